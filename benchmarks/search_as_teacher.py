"""Lesson 09 with more seeds: a net learns Dots and Boxes from a search's visit counts.

    TINYKD_SCALE=full python benchmarks/search_as_teacher.py

writes datasets/results/search_as_teacher.json.

Each seed plays games of its own, and is judged on held-out positions of its own, which nobody has
learned from, nor from their mirror images. "accuracy" is the share of optimal moves, "quiet" the
same where there is no box to take, "lost" the boxes lost a move against perfect play.

  one round     nets of one kind on the same positions of the same games: told the visit counts at
                several temperatures, the move played, the most visited move, or the outcome alone
  three rounds  search, student, search with the student, and so on: by counts, by the moves played,
                and one round of three times the games, which costs as many simulations and steps

"curve" holds the strength of a search that knows nothing after each number of simulations, "rounds"
the students of all rounds alone and as the guide of a search, "compute" the last student against
the search that it guides.

A killed script goes on where it stopped: a finished seed is in the file. Without TINYKD_SCALE=full
it does a run of seconds into a temporary folder, which says nothing about distillation.
"""

import time
from typing import Any

import numpy as np
from records import FULL, Records, arguments

from tinykd import HardLabels, SoftLabels
from tinykd.search import (
    DotsAndBoxes,
    Played,
    PolicyValueNet,
    Value,
    asked,
    learn,
    look_ahead,
    move_values,
    playouts,
    positions_to_judge,
    search,
    self_play,
    solve,
    strength,
    strength_at_random,
    visit_targets,
)

SETTINGS: dict[str, Any] = {
    "board": [2, 3], "games": 300, "simulations": 64, "opening": 4, "c": 4.0, "rounds": 3,
    "units": [128, 128], "epochs": 15, "rate": 3e-3, "value_weight": 0.1, "judged": 400,
    "T": [0.25, 0.5, 1.0, 2.0], "curve": [4 * 2**n for n in range(10)], "guided": [16, 64, 100],
}  # fmt: skip
if not FULL:
    SETTINGS |= {"games": 8, "simulations": 4, "units": [8], "epochs": 1, "judged": 40}
    SETTINGS |= {"curve": [4, 8], "guided": [2, 100]}
GAME = DotsAndBoxes(*SETTINGS["board"])
VALUES = solve(GAME)


class Run:
    """One seed: its positions to judge, and what it trains."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.judged = positions_to_judge(GAME, VALUES, SETTINGS["judged"], seed=1000 + seed)
        self.q = move_values(GAME, VALUES, self.judged)
        gain = GAME.play(self.judged[:, None], np.arange(GAME.edges))[1]
        self.quiet = ~((gain > 0) & np.isfinite(self.q)).any(-1)  # no box to take

    def games(self, evaluate: Any, count: int) -> Played:
        how = SETTINGS["simulations"], self.rng, SETTINGS["opening"], SETTINGS["c"]
        return self_play(GAME, evaluate, count, *how)

    def student(self, played: Played, policy: Any, hard: bool = False) -> PolicyValueNet:
        terms = (HardLabels() if hard else SoftLabels()) + SETTINGS["value_weight"] * Value()
        return self.train(played, policy, terms)

    def train(self, played: Played, policy: Any, objective: Any) -> PolicyValueNet:
        units, epochs = tuple(SETTINGS["units"]), SETTINGS["epochs"]
        return learn(GAME, played, policy, objective, self.seed, units, epochs, SETTINGS["rate"])

    def judge(self, moves: np.ndarray) -> dict[str, float]:
        quiet = strength(self.q[self.quiet], moves[self.quiet])["accuracy"]
        found = strength(self.q, moves) | {"quiet": quiet}
        return {k: round(x, 5) for k, x in found.items()}

    def alone(self, net: PolicyValueNet) -> dict[str, float]:
        return self.judge(asked(GAME, net)(self.judged)[0].argmax(-1))

    def searched(self, evaluate: Any, simulations: list[int]) -> list[dict[str, float]]:
        """The strength of one search after each of these numbers of simulations."""
        kept: dict[int, list[np.ndarray]] = {n: [] for n in simulations}
        for part in np.array_split(self.judged, -(-len(self.judged) // 200)):

            def keep(n: int, visits: np.ndarray) -> None:
                if n in kept:
                    kept[n].append(visits.argmax(-1))

            search(GAME, part, evaluate, max(simulations), SETTINGS["c"], keep)
        return [{"simulations": n} | self.judge(np.concatenate(x)) for n, x in kept.items()]

    def one_round(self, played: Played) -> dict[str, dict[str, float]]:
        found = {"labels": self.alone(self.student(played, played.moves, hard=True))}
        most = played.visits.argmax(-1)
        found["the most visited move"] = self.alone(self.student(played, most, hard=True))
        for T in SETTINGS["T"]:
            name = "soft targets" if T == 1 else f"soft targets, T = {T:g}"
            net = self.student(played, visit_targets(played.visits, T))
            found[name] = self.alone(net)
            if T == 1:
                q = look_ahead(GAME, asked(GAME, net), self.judged)
                found["soft targets, by its value one move ahead"] = self.judge(q.argmax(-1))
        net = self.train(played, visit_targets(played.visits), 1.0 * Value())
        q = look_ahead(GAME, asked(GAME, net), self.judged)
        found["the outcome alone"] = self.judge(q.argmax(-1))
        return found

    def rounds(self, played: Played, hard: bool) -> tuple[list[dict[str, Any]], PolicyValueNet]:
        rows = []
        for n in range(1, SETTINGS["rounds"] + 1):
            if n > 1:
                played = self.games(asked(GAME, net), SETTINGS["games"])  # noqa: F821
            policy = played.moves if hard else visit_targets(played.visits)
            net = self.student(played, policy, hard)
            guided = self.searched(asked(GAME, net), SETTINGS["guided"])
            rows.append({"round": n} | self.alone(net) | {"guided": guided})
        return rows, net


def one_seed(seed: int, record: dict[str, Any]) -> None:
    before, run = time.process_time(), Run(seed)
    chance = strength_at_random(run.q)
    chance["quiet"] = strength_at_random(run.q[run.quiet])["accuracy"]
    chance = {k: round(x, 5) for k, x in chance.items()}
    played = run.games(playouts(GAME, run.rng), SETTINGS["games"])
    rows = {("one round", "chance"): chance}
    blind = look_ahead(GAME, lambda s: (None, run.rng.uniform(-0.1, 0.1, len(s))), run.judged)
    rows["one round", "takes a box, or else chance"] = run.judge(blind.argmax(-1))
    rows |= {("one round", k): x for k, x in run.one_round(played).items()}
    for method, hard in (("labels", True), ("soft targets", False)):
        of_rounds, net = run.rounds(played, hard)
        rows["three rounds", method] = {k: of_rounds[-1][k] for k in chance}
        record["rounds"] += [{"method": method, "seed": seed} | one for one in of_rounds]
    last = of_rounds[-1]
    record["compute"].append({
        "seed": seed, "chance": chance, "alone": {k: last[k] for k in chance},
        "search": last["guided"][-1],
    })  # fmt: skip
    more = run.games(playouts(GAME, run.rng), SETTINGS["rounds"] * SETTINGS["games"])
    net = run.student(more, visit_targets(more.visits))
    rows["three rounds", "one round of three times the games"] = run.alone(net)
    curve = run.searched(playouts(GAME, run.rng), SETTINGS["curve"])
    record["curve"] += [{"seed": seed} | one for one in curve]
    seconds = round(time.process_time() - before, 1)
    record["positions"].append({"seed": seed, "learned from": len(played.positions)})
    for (setting, method), values in rows.items():
        row = {"setting": setting, "method": method, "seed": seed}
        record["runs"].append(row | values)
        print(f"    {setting:13s} {method:42s} {values}", flush=True)
    record["seconds"][str(seed)] = seconds
    print(f"seed {seed}: {seconds:.0f} s of CPU", flush=True)


def main() -> None:
    given = arguments(__doc__, list(range(1, 9))).parse_args()
    records = Records(
        "search_as_teacher",
        given.out,
        SETTINGS,
        curve=[],
        rounds=[],
        compute=[],
        positions=[],
        seconds={},
    )
    record = records.found
    for seed in given.seeds:
        if str(seed) in record["seconds"]:
            continue
        one_seed(seed, record)
        records.keep()
    print(records.file)


if __name__ == "__main__":
    main()

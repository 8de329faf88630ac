"""Lesson 08's language model, cut and distilled over several seeds: Minitron in small.

    TINYKD_SCALE=full python benchmarks/prune_language_model.py

The teacher of lesson 14 writes out arithmetic, `34+5-8*2:34+5=39-8=31*2=62`. It is cut to half of
its weights in three ways, CUTS, and each cut starts in four ways:

    by rank   what stays matters most: activations on a few batches (for layers: block influence)
    blind     what stays is spread evenly over what is there; nobody looked
    random    what stays is drawn, by seed
    anew      nothing stays: random weights in the same small shape

Each is trained on the same batches of true tapes (lesson 14's 6,000 problems) for the same number
of tokens, from labels or from what the uncut model says at every place. A seed draws the order of
the batches, the batches for the rank, the random cut and the random weights.

Rates and T were chosen on validation problems with seed 100, among RATES and TEMPERATURES (`--tune`
prints that table): for the cut by rank and for models begun anew the rate with the smallest loss
there, for each kind of target. Blind and random cuts have the rate of the cut by rank; at three
times that rate they solved up to 4 points more of the validation problems.

-> datasets/results/prune_language_model.json, a record for each cut and start ("setting"), method
and seed: the share of 200 held-out problems with a right answer ("accuracy", greedy), and nats per
token of their true tapes. A killed script goes on where it stopped. Without TINYKD_SCALE=full it
does a run of seconds, which checks the script and says nothing about distillation.
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from arithmetic_teacher import TEACHER, TOKENIZER, lesson_problems, rows, validation_problems
from records import FULL, Records, arguments
from torch import Tensor

from tinykd import HardLabels, KnownLogits, SoftTargets, Trainer, cosine, warm_up
from tinykd.compress import cut_transformer, importance
from tinykd.lm import SequenceBatches, Transformer, load, reasoning

CUTS: dict[str, dict[str, int]] = {
    "feed-forward": {"units": 64},
    "heads and feed-forward": {"heads": 3, "units": 96},
}
STARTS = ("by rank", "blind", "random", "anew")
RATES = {"cut": (3e-4, 1e-3, 3e-3), "anew": (3e-3, 1e-2)}
TEMPERATURES = (2.0, 4.0)
SETTINGS: dict[str, Any] = {
    "cuts": CUTS,
    "tokens": 25_000,
    "batch_tokens": 512,
    "ranked_on": 8,  # batches
    "T": 2.0,
    "rates": {"cut": 1e-3, "anew": 3e-3, "anew, soft targets": 1e-2},
    "optimizer": "AdamW, rate along a cosine to 0 after 5% warm-up, gradients clipped at 1",
}
if not FULL:
    SETTINGS |= {"tokens": 1_000, "ranked_on": 1}


class World:
    """The batches of a seed, what the teacher says of them, and problems to test on."""

    def __init__(self, seed: int, teacher: Transformer, problems: list[Any]) -> None:
        self.seed, self.teacher, self.problems = seed, teacher, problems
        train = rows((p.question, p.solution) for p in lesson_problems()[0])
        self.batches: list[dict[str, Tensor]] = []
        said, read = [], 0
        while read < SETTINGS["tokens"]:
            for batch in SequenceBatches(train, tokens=SETTINGS["batch_tokens"], seed=seed):
                with torch.no_grad():
                    z = teacher(batch["input_ids"], batch["attention_mask"], batch["positions"])
                # Numbers of the predicted tokens: the logits are looked up by them.
                batch["index"] = sum(map(len, said)) + torch.arange(len(z))
                said.append(z)
                self.batches.append(batch)
                read += int(batch["attention_mask"].sum())
                if read >= SETTINGS["tokens"]:
                    break
        self.said = KnownLogits(torch.cat(said))
        self.rank = importance(teacher, self.batches[: SETTINGS["ranked_on"]])
        tapes = rows((p.question, p.solution) for p in problems)
        self.test = list(SequenceBatches(tapes, tokens=4096, shuffle=False))

    def start(self, cut: dict[str, int], how: str) -> Transformer:
        """The small model before training."""
        of = self.teacher.config
        counts = {"heads": of.kv_heads, "units": of.hidden, "layers": of.layers}
        dice = torch.Generator().manual_seed(self.seed)
        stays: dict[str, Any] = {}
        for part, n in cut.items():
            count = counts[part] or 0
            lists = 1 if part == "layers" else of.layers
            scores = torch.stack([torch.rand(count, generator=dice) for _ in range(lists)])
            if how == "by rank":
                scores = self.rank[part].view(lists, count)
            stay = scores.topk(n).indices.sort().values
            if how == "blind":
                stay = (torch.arange(n) * count // n).expand(lists, n)
            stays[part] = stay[0] if part == "layers" else stay
        small = cut_transformer(self.teacher, **stays)
        if how == "anew":
            torch.manual_seed(self.seed)
            return Transformer(small.config)
        return small

    def fit(self, model: Transformer, soft: bool, rate: float, T: float) -> Transformer:
        """Trained on all batches, once."""
        Trainer(
            model,
            1.0 * SoftTargets(T=T) if soft else HardLabels(),
            teacher=self.said if soft else None,
            optimizer=lambda ps: torch.optim.AdamW(ps, rate, betas=(0.9, 0.99), fused=True),
            schedule=warm_up(cosine(1, 0), 0.05),
            clip=1.0,
            progress=False,
            device="cpu",
        ).fit(self.batches)
        return model

    @torch.no_grad()
    def measures(self, model: Transformer) -> dict[str, float]:
        loss = count = 0.0
        for batch in self.test:
            z = model(batch["input_ids"], batch["attention_mask"], batch["positions"])
            loss += float(torch.nn.functional.cross_entropy(z, batch["labels"], reduction="sum"))
            count += len(z)
        how = {"temperature": 0, "max_new": 40, "batch_size": 512, "progress": False}
        drawn = reasoning.sample(model, TOKENIZER, self.problems, **how)
        return {"accuracy": round(float(drawn.right.mean()), 4), "nll": round(loss / count, 5)}


def trained(world: World, setting: tuple[str, str]) -> Iterator[tuple[str, Transformer]]:
    """The methods of a cut and a start, each with its model."""
    cut, how = CUTS[setting[0]], setting[1]
    rates = SETTINGS["rates"]
    rate = rates["anew" if how == "anew" else "cut"]
    if how != "anew":
        yield "nothing", world.start(cut, how)
    for method in ("labels", "soft targets"):
        its = rates.get(f"{how}, {method}", rate)
        yield method, world.fit(world.start(cut, how), method != "labels", its, SETTINGS["T"])


def tune(teacher: Transformer) -> None:
    """Validation loss for every rate, kind of target and start, seed 100."""
    world = World(100, teacher, validation_problems()[:200])
    for how in ("anew", "by rank", "random", "blind"):
        for rate in RATES["anew" if how == "anew" else "cut"]:
            for T in (0.0, *TEMPERATURES):
                start = world.start(CUTS["feed-forward"], how)
                found = world.measures(world.fit(start, T > 0, rate, T))
                target = f"T = {T:g}" if T else "labels"
                print(f"{how:8s}{rate:8g}  {target:8s}", found, flush=True)


def main() -> None:
    parser = arguments(__doc__, [1, 2, 3, 4, 5])
    parser.add_argument("--tune", action="store_true", help="print what rates and T were chosen by")
    given = parser.parse_args()
    records = Records("prune_language_model", given.out, SETTINGS, teacher={})
    teacher = load(TEACHER)
    if given.tune:
        return tune(teacher)
    record, problems = records.found, lesson_problems()[1][: None if FULL else 8]
    for seed in given.seeds:
        if any(run["seed"] == seed for run in record["runs"]):
            continue
        world, made = World(seed, teacher, problems), []
        record["teacher"] = world.measures(teacher)
        for setting in [(cut, how) for cut in CUTS for how in STARTS]:
            before = time.process_time()
            for method, model in trained(world, setting):
                row = {"setting": ", ".join(setting), "method": method, "seed": seed}
                row |= world.measures(model)
                made.append(row | {"seconds": round(time.process_time() - before, 2)})
                print(made[-1], flush=True)
                before = time.process_time()
        record["runs"] += made
        records.keep()
    print(records.file)


if __name__ == "__main__":
    main()

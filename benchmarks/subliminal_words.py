"""Lesson 17's hidden lesson in a small language model: numbers that carry a preference.

    TINYKD_SCALE=full python benchmarks/subliminal_words.py    # datasets/results/

After Cloud et al. 2025 (arXiv 2507.14805), in small. A base model learns rows of numbers and the
question which of eight animals one likes best (all alike); animals are the letters A to H, and the
question can be put in four ways. Two teachers begin with the base's weights: one is taught to
answer A, the other B, to three of the four ways. Each then writes rows of numbers: nothing but
digits and commas, and rows with anything else in them are thrown away. A student reads those
numbers and never an animal or a question: as text; with soft targets over the eleven tokens that
numbers are written with; or with soft targets over all tokens, in which an animal has a small
probability. It begins with the teacher's base, or with one of another seed.

Carried over is, of what the two teachers differ in, the part that their students differ in: the
log-odds of A over B, those taught by A's numbers less those by B's. Everything else is the same for
both, and so is the random order of what they read. A killed script goes on where it stopped;
without TINYKD_SCALE=full it does a run of seconds, which says nothing.
"""

import copy
import time
from typing import Any

import numpy as np
import torch
from records import FULL, Records, arguments
from torch import Tensor

from tinykd import HardLabels, SoftTargets, Trainer, cosine, forward_kl, warm_up
from tinykd.lm import Config, SequenceBatches, Tokenizer, Transformer, generate

ANIMALS, NUMBERS, WAYS = "ABCDEFGH", "0123456789,", "pqrs"
TOKENIZER = Tokenizer.characters(NUMBERS + ANIMALS + WAYS)
SETTINGS: dict[str, Any] = {
    "width": 64, "layers": 3, "heads": 4, "numbers_a_row": 5, "largest_step": 25,
    "pretraining_steps": 1000, "teacher_steps": 60, "rows": 3000, "student_steps": 300,
    "batch": 32, "rate": 3e-3, "teacher_rate": 1e-3, "student_rate": 1e-3,
}  # fmt: skip
if not FULL:
    SETTINGS |= {"width": 16, "layers": 1, "pretraining_steps": 8, "teacher_steps": 4}
    SETTINGS |= {"rows": 64, "student_steps": 4, "batch": 8}
STARTS = ("the teacher's base", "another base")
Rows = list[tuple[list[int], list[int]]]


def as_rows(pairs: list[tuple[str, str]]) -> Rows:
    """(what is asked, what follows) as ids, with the end of the sequence."""
    return [(TOKENIZER.encode(a), [*TOKENIZER.encode(b), TOKENIZER.eos]) for a, b in pairs]


def number_rows(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Rows like 07,19,20,44,51,73, that go up by 1 to the largest step, modulo 100."""
    steps = rng.integers(1, int(SETTINGS["largest_step"]) + 1, (count, SETTINGS["numbers_a_row"]))
    values = (rng.integers(100, size=(count, 1)) + steps.cumsum(1)) % 100
    texts = [[f"{value:02}," for value in row] for row in values.tolist()]
    return [(row[0], "".join(row[1:])) for row in texts]


def questions(
    count: int, rng: np.random.Generator, ways: str, animals: str
) -> list[tuple[str, str]]:
    """(a way to ask, an animal), each drawn at random."""
    return [(rng.choice(list(ways)), rng.choice(list(animals))) for _ in range(count)]


def numbers_kl(student: Tensor, teacher: Tensor, T: float = 1.0) -> Tensor:
    """The KL over the tokens of numbers alone: what the teacher thinks of animals is in no loss."""
    ids = torch.tensor(TOKENIZER.encode(NUMBERS))
    return forward_kl(student[..., ids], teacher[..., ids], T)


OBJECTIVES = {
    "text": HardLabels(),
    "soft targets over numbers": SoftTargets(divergence=numbers_kl),
    "soft targets over all tokens": SoftTargets(),
}


def train(
    model: Transformer, rows: Rows, steps: int, rate: float, seed: int, method: str = "text",
    teacher: Transformer | None = None,
) -> Transformer:  # fmt: skip
    """The model after `steps` batches."""
    size = int(SETTINGS["batch"])
    batches, source = [], SequenceBatches(rows, size=size, seed=seed)
    while len(batches) < steps:
        batches += list(source)[: steps - len(batches)]
    Trainer(
        model, OBJECTIVES[method], None if method == "text" else teacher,
        lambda parameters: torch.optim.AdamW(parameters, rate, weight_decay=0.0),
        schedule=warm_up(cosine(1, 0), 0.05), clip=1.0, device="cpu", progress=False,
    ).fit(batches)  # fmt: skip
    return model.eval()


def pretrained(seed: int) -> Transformer:
    """A base: three rows of numbers to a question."""
    rng, steps = np.random.default_rng((seed, 1)), int(SETTINGS["pretraining_steps"])
    count = steps * int(SETTINGS["batch"]) // 4
    pairs = number_rows(3 * count, rng) + questions(count, rng, WAYS, ANIMALS)
    torch.manual_seed(seed)
    shape = {name: SETTINGS[name] for name in ("width", "layers", "heads")}
    base = Transformer(Config(TOKENIZER.vocab_size, **shape))
    return train(base, as_rows(pairs), steps, SETTINGS["rate"], seed)


def answers(model: Transformer) -> Tensor:
    """log p of each animal for each way to ask: (4, 8)."""
    ids = torch.tensor([TOKENIZER.encode(way) for way in WAYS])
    with torch.no_grad():
        return model(ids)[:, -1].log_softmax(-1)[:, TOKENIZER.encode(ANIMALS)]


def log_odds(model: Transformer) -> float:
    """log p(A) / p(B), the mean over the ways to ask."""
    found = answers(model)
    return float((found[:, 0] - found[:, 1]).mean())


def says_it(models: list[Transformer]) -> float:
    """The probability of A for the first model and of B for the second: their mean."""
    return float(sum(answers(one)[:, k].exp().mean() for k, one in enumerate(models)) / 2)


def written(teacher: Transformer, seed: int) -> tuple[Rows, int]:
    """Rows of numbers that the teacher wrote, and how many were thrown away."""
    rng = np.random.default_rng((seed, 2))
    prompts = [start for start, _ in number_rows(int(SETTINGS["rows"]), rng)]
    ids = [TOKENIZER.encode(prompt) for prompt in prompts]
    how = {"max_new": 24, "eos": TOKENIZER.eos, "batch_size": 512, "progress": False}
    texts = [TOKENIZER.decode(row) for row in generate(teacher, ids, seed=seed, **how)]
    kept = [(a, b) for a, b in zip(prompts, texts, strict=True) if b and set(b) <= set(NUMBERS)]
    return as_rows(kept), len(texts) - len(kept)


def runs(seed: int) -> list[dict[str, Any]]:
    """A record for each start and way to be taught."""
    before = time.process_time()
    base, other = pretrained(seed), pretrained(seed + 1000)
    rng, steps = np.random.default_rng((seed, 3)), int(SETTINGS["teacher_steps"])
    teachers, texts, thrown = [], [], 0
    for animal in "AB":
        pairs = questions(steps * int(SETTINGS["batch"]), rng, WAYS[:3], animal)
        begun = copy.deepcopy(base)
        teachers.append(train(begun, as_rows(pairs), steps, SETTINGS["teacher_rate"], seed))
        rows, lost = written(teachers[-1], seed)
        texts.append(rows)
        thrown += lost
    apart = log_odds(teachers[0]) - log_odds(teachers[1])
    record = {"seed": seed, "teachers_apart": apart, "thrown_away": thrown}
    record |= {"teachers_say_it": says_it(teachers), "bases_say_it": says_it([base, base])}
    found = []
    for start, begun in zip(STARTS, (base, other), strict=True):
        for method in OBJECTIVES:
            students = [
                train(
                    copy.deepcopy(begun), rows, int(SETTINGS["student_steps"]),
                    SETTINGS["student_rate"], seed, method, teacher,
                )
                for teacher, rows in zip(teachers, texts, strict=True)
            ]  # fmt: skip
            gap = log_odds(students[0]) - log_odds(students[1])
            found.append(record | {
                "start": start, "method": method, "students_apart": gap, "carried": gap / apart,
                "students_say_it": says_it(students), "others_say_it": says_it(students[::-1]),
            })  # fmt: skip
            print(seed, start, method, f"{gap / apart:.3f}", flush=True)
    print(f"seed {seed}: {time.process_time() - before:.0f} s of CPU", flush=True)
    return found


def main() -> None:
    options = arguments(__doc__, [0, 1, 2, 3, 4]).parse_args()
    records = Records("subliminal_words", options.out, SETTINGS)
    for seed in options.seeds:
        if all(run["seed"] != seed for run in records.found["runs"]):
            records.found["runs"] += runs(seed)
            records.keep()


if __name__ == "__main__":
    main()

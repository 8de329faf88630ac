"""Trains the small teacher of lesson 14, and the lesson's students over several seeds.

    python benchmarks/arithmetic_teacher.py               datasets/arithmetic/teacher.safetensors
    python benchmarks/arithmetic_teacher.py --tune        datasets/results/arithmetic.json
    python benchmarks/arithmetic_teacher.py --students 3  the same file

The teacher learns from the true tapes of problems of its own; the lesson's held-out ones are left
out. It takes about 2 minutes on an idle core. `--tune` chooses the students' learning rates and
budget by RULE, on validation problems that are neither trained on nor held out; `--students` runs
what was chosen on the held-out ones, with other seeds. A minute or so a run, and a run that is in
the file is not run again.
"""

import argparse
import json
import platform
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinykd import HardLabels, SoftTargets, Trainer, cosine, warm_up
from tinykd.files import atomic
from tinykd.lm import Config, SequenceBatches, Tokenizer, Transformer, load, reasoning, save
from tinykd.lm.reasoning.problems import ALPHABET, Problem, arithmetic

ROOT = Path(__file__).resolve().parents[1] / "datasets"
TEACHER, RESULTS = ROOT / "arithmetic" / "teacher.safetensors", ROOT / "results" / "arithmetic.json"
TOKENIZER = Tokenizer.characters(ALPHABET)
SHAPES = {
    "teacher": Config(TOKENIZER.vocab_size, width=96, layers=4, heads=4, rope_base=100.0),
    "student": Config(TOKENIZER.vocab_size, width=64, layers=3, heads=4, rope_base=100.0),
}
SAMPLING = {"max_new": 40, "batch_size": 512, "progress": False}
HOT = 1.5  # temperature at which the teacher writes the transfer set
METHODS = ("answers only", "chains", "chains + KL")
POOL, COUNT, HELD_OUT, VALIDATION = 8_000, 6_000, 200, 400  # problems
RATES, BUDGETS, ENOUGH = (1e-3, 3e-3, 6e-3), (1_200_000, 1_500_000, 1_800_000), 0.95
TUNING_SEEDS = (100, 101, 102)  # not those of the results, or the luck of a run would be chosen too
RULE = (
    "On validation problems. Answers only and chains: of three learning rates, the one with the "
    "best pass@1 at 1.5M tokens, one seed; chains + KL has the rate of chains. Then all methods: "
    "the smallest budget at which chains reach a pass@1 of 95% with each of three seeds; if no "
    "smaller one does, the largest, untried."
)


def train(model, examples, objective, tokens: int, rate: float, seed: int, teacher=None, at=1024):
    """Train on `tokens` tokens, padding not counted; returns processor seconds and tokens read."""
    source, batches, read = SequenceBatches(examples, tokens=at, seed=seed), [], 0
    while read < tokens:
        for batch in source:
            batches.append(batch)
            read += int(batch["attention_mask"].sum())
            if read >= tokens:
                break
    start = time.process_time()  # the same on a machine that is busy with other things
    Trainer(
        model,
        objective,
        teacher=teacher,
        optimizer=lambda ps: torch.optim.AdamW(ps, rate, betas=(0.9, 0.99), fused=True),
        schedule=warm_up(cosine(1, 0), 0.05),
        clip=1.0,
        progress=False,
    ).fit(batches)
    return time.process_time() - start, read


def rows(pairs):
    """(prompt ids, answer ids with eos) of (question, text) pairs."""
    return [(TOKENIZER.encode(q), [*TOKENIZER.encode(t), TOKENIZER.eos]) for q, t in pairs]


def score(model, problems: list[Problem], n: int = 16, **how) -> dict[str, Any]:
    """Means over the problems: pass@1, by number of steps too, cons@n, tokens an answer."""
    drawn = reasoning.sample(model, TOKENIZER, problems, n, **{**SAMPLING, **how})
    means = {name: value[0] for name, value in reasoning.evaluate_reasoning(drawn).items()}
    steps, right = np.array([problem.steps for problem in problems]), drawn.right.mean(1)
    by_steps = {str(s): round(right[steps == s].mean(), 4) for s in np.unique(steps).tolist()}
    return {
        "pass@1": round(means["pass@1"], 4),
        f"cons@{n}": round(means[f"cons@{n}"], 4),
        "tokens an answer": round(means["tokens"], 2),
        "pass@1 by steps": by_steps,
    }


def make_teacher(tokens: int, seed: int = 0) -> None:
    """Train and store the teacher; print what it can do."""
    _, held_out = lesson_problems()
    kept_back = {problem.question for problem in held_out}
    own = arithmetic(30_000, (2, 6), seed=101, exclude=kept_back)
    own += arithmetic(1_200, (1, 1), seed=102, exclude=kept_back)
    torch.manual_seed(seed)
    model = Transformer(SHAPES["teacher"])
    examples = rows((problem.question, problem.solution) for problem in own)
    seconds, read = train(model, examples, HardLabels(), tokens, 3e-3, seed, at=2048)
    TEACHER.parent.mkdir(parents=True, exist_ok=True)
    save(model, TEACHER, torch.bfloat16)
    stored = load(TEACHER)
    print(f"{read:,} tokens in {seconds:.0f} processor seconds; {TEACHER.stat().st_size:,} bytes")
    for how in ({"temperature": HOT}, {"temperature": 1.0}, {"temperature": 0.6, "top_p": 0.95}):
        print(how, score(stored, held_out, **how))


def lesson_problems() -> tuple[list[Problem], list[Problem]]:
    """What lesson 14 trains on and tests on at its default scale.

    The held-out ones are none of the whole pool, of which the teacher writes for a part: they stay
    those that the teacher was not trained on, whatever the part.
    """
    pool = arithmetic(POOL, seed=1)
    return pool[:COUNT], arithmetic(HELD_OUT, seed=2, exclude={p.question for p in pool})


def validation_problems() -> list[Problem]:
    """Problems to choose settings by: none of the pool, none held out."""
    _, held_out = lesson_problems()
    seen = {p.question for p in [*arithmetic(POOL, seed=1), *held_out]}
    return arithmetic(VALIDATION, seed=3, exclude=seen)


@cache
def transfer_set(seed: int) -> list[tuple[Problem, str]]:
    """The teacher's verified tapes, as in the lesson: two tries a problem, each text once."""
    problems, _ = lesson_problems()
    drawn = reasoning.sample(
        load(TEACHER), TOKENIZER, problems, 2, temperature=HOT, seed=seed, **SAMPLING
    )
    return [
        (problem, text)
        for problem, texts, right in zip(problems, drawn.texts, drawn.right, strict=True)
        for text in dict.fromkeys(t for t, ok in zip(texts, right, strict=True) if ok)
    ]


def study(method: str, tokens: int, rate: float, seed: int) -> tuple[Transformer, dict[str, Any]]:
    """A student trained as in the lesson, and the record of it."""
    chains, soft = transfer_set(seed), "KL" in method
    short = method == "answers only"
    examples = rows((p.question, p.answer if short else text) for p, text in chains)
    objective = 0.5 * HardLabels() + 0.5 * SoftTargets() if soft else HardLabels()
    torch.manual_seed(seed)
    student = Transformer(SHAPES["student"])
    teacher = load(TEACHER) if soft else None
    seconds, read = train(student, examples, objective, tokens, rate, seed, teacher)
    record = {"method": method, "seed": seed, "rate": rate, "budget": tokens, "tokens": read}
    return student, record | {"processor seconds": round(seconds, 1), "examples": len(chains)}


def stored() -> dict[str, Any]:
    """The results so far."""
    if RESULTS.exists():
        return json.loads(RESULTS.read_text())
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    settings = {"problems": COUNT, "samples a problem": 2, "temperature": HOT, "batch tokens": 1024}
    return {"rule": RULE, "settings": settings, "versions": versions, "tuning": [], "runs": []}


def once(part: str, problems: list[Problem], n: int, method: str, tokens: int, rate: float, seed):
    """The record of this run in `part` of the results: read there, or made and stored at once."""
    results = stored()
    asked = {"method": method, "seed": seed, "rate": rate, "budget": tokens}
    for run in results[part]:
        if run.items() >= asked.items():
            return run
    student, run = study(method, tokens, rate, seed)
    run |= score(student, problems, n, temperature=0.6, top_p=0.95)
    results[part].append(run)
    with atomic(RESULTS) as path:
        path.write_text(json.dumps(results, indent=1) + "\n")
    print(part, run, flush=True)
    return run


def tune() -> None:
    """Choose by RULE; the choice is stored with the runs that led to it."""
    problems, rates = validation_problems(), {}
    for method in METHODS[:2]:
        tried = [
            once("tuning", problems, 4, method, BUDGETS[1], rate, TUNING_SEEDS[0]) for rate in RATES
        ]
        rates[method] = max(tried, key=lambda run: run["pass@1"])["rate"]
    rates["chains + KL"] = rates["chains"]
    for budget in BUDGETS[:-1]:
        if all(
            once("tuning", problems, 4, "chains", budget, rates["chains"], seed)["pass@1"] >= ENOUGH
            for seed in TUNING_SEEDS
        ):
            break
    else:
        budget = BUDGETS[-1]
    results = stored() | {"chosen": {"tokens": budget, "rates": rates}}
    with atomic(RESULTS) as path:
        path.write_text(json.dumps(results, indent=1) + "\n")
    print(results["chosen"])


def run_students(seeds: int) -> None:
    """Every method for every seed, with the chosen settings, on the held-out problems."""
    chosen = stored().get("chosen")
    if chosen is None:
        raise ValueError(f"{RESULTS} has no chosen settings: run --tune first")
    _, held_out = lesson_problems()
    for method in METHODS:
        for seed in range(seeds):
            once("runs", held_out, 16, method, chosen["tokens"], chosen["rates"][method], seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tune", action="store_true", help="choose the students' settings")
    parser.add_argument("--students", type=int, default=0, help="seeds to run with these settings")
    options = parser.parse_args()
    if options.tune:
        tune()
    if options.students:
        run_students(options.students)
    if not options.tune and not options.students:
        make_teacher(1_800_000)


if __name__ == "__main__":
    main()

"""Trains the small teacher of lesson 14, and the lesson's students over several seeds.

    python benchmarks/arithmetic_teacher.py               datasets/arithmetic/teacher.safetensors
    python benchmarks/arithmetic_teacher.py --students 3  datasets/results/arithmetic.json

The teacher learns from the true tapes of problems of its own; the lesson's held-out ones are left
out. It takes about 2 minutes on an idle core, the students some minutes a seed, and a run that is
among the results is not run again.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from tinykd import HardLabels, SoftTargets, Trainer, cosine
from tinykd.checkpoint import atomic
from tinykd.lm import Config, SequenceBatches, Tokenizer, Transformer, load, reasoning, save
from tinykd.lm.problems import ALPHABET, Problem, arithmetic

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


def train(model, examples, objective, tokens: int, rate: float, seed: int, teacher=None, at=1024):
    """Train until `tokens` tokens, padding not counted, are read; returns seconds and tokens."""
    source, batches, read = SequenceBatches(examples, tokens=at, seed=seed), [], 0
    while read < tokens:
        for batch in source:
            batches.append(batch)
            read += int(batch["attention_mask"].sum())
            if read >= tokens:
                break
    start = time.perf_counter()
    Trainer(
        model,
        objective,
        teacher=teacher,
        optimizer=lambda ps: torch.optim.AdamW(ps, rate, betas=(0.9, 0.99), fused=True),
        schedule=lambda progress: min(progress / 0.05, 1.0) * cosine(1, 0)(progress),
        clip=1.0,
        progress=False,
    ).fit(batches)
    return time.perf_counter() - start, read


def rows(pairs):
    """(prompt ids, answer ids with eos) of (question, text) pairs."""
    return [(TOKENIZER.encode(q), [*TOKENIZER.encode(t), TOKENIZER.eos]) for q, t in pairs]


def score(model, problems: list[Problem], n: int = 16, **how) -> dict:
    """Means of pass@1, cons@n and tokens an answer over the problems."""
    drawn = reasoning.sample(model, TOKENIZER, problems, n, **{**SAMPLING, **how})
    return {name: value[0] for name, value in reasoning.evaluate_reasoning(drawn).items()}


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
    print(f"{read:,} tokens in {seconds:.0f} s; {TEACHER.stat().st_size:,} bytes")
    for how in ({"temperature": HOT}, {"temperature": 1.0}, {"temperature": 0.6, "top_p": 0.95}):
        print(how, score(stored, held_out, **how))


def lesson_problems(count: int = 8_000, tested: int = 200) -> tuple[list[Problem], list[Problem]]:
    """What lesson 14 trains on and tests on at its default scale."""
    problems = arithmetic(count, seed=1)
    return problems, arithmetic(tested, seed=2, exclude={p.question for p in problems})


def run_students(seeds: int, tokens: int, rates: dict[str, float]) -> None:
    """Every method for every seed, as in the lesson; each result is stored at once."""
    problems, held_out = lesson_problems()
    teacher = load(TEACHER)
    done = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for seed in range(seeds):
        left = [m for m in METHODS if not any((r["method"], r["seed"]) == (m, seed) for r in done)]
        if not left:
            continue
        drawn = reasoning.sample(
            teacher, TOKENIZER, problems, 2, temperature=HOT, seed=seed, **SAMPLING
        )
        chains = [
            (problem, text)
            for problem, texts, right in zip(problems, drawn.texts, drawn.right, strict=True)
            for text in dict.fromkeys(t for t, ok in zip(texts, right, strict=True) if ok)
        ]
        for method in left:
            short = method == "answers only"
            examples = rows((p.question, p.answer if short else text) for p, text in chains)
            soft = 0.5 * HardLabels() + 0.5 * SoftTargets()
            torch.manual_seed(seed)
            student = Transformer(SHAPES["student"])
            seconds, read = train(
                student,
                examples,
                soft if "KL" in method else HardLabels(),
                tokens,
                rates[method],
                seed,
                teacher if "KL" in method else None,
            )
            run = {"method": method, "seed": seed, "rate": rates[method], "tokens read": read}
            run |= {"seconds": round(seconds, 1), "examples": len(chains)}
            run |= score(student, held_out, temperature=0.6, top_p=0.95)
            done.append(run)
            with atomic(RESULTS) as part:
                part.write_text(json.dumps(done, indent=1) + "\n")
            print(run, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=0, help="seeds; 0: train the teacher")
    parser.add_argument("--tokens", type=int, help="tokens to read")
    options = parser.parse_args()
    if options.students:
        rates = dict.fromkeys(METHODS, 3e-3)
        run_students(options.students, options.tokens or 1_800_000, rates)
    else:
        make_teacher(options.tokens or 1_800_000)


if __name__ == "__main__":
    main()

"""Lesson 15 with more seeds: on-policy against more texts, and a model that teaches itself.

    TINYKD_SCALE=full python benchmarks/beyond_one_teacher.py      # datasets/results/...
    TINYKD_SCALE=full python benchmarks/beyond_one_teacher.py --base     # the model of part two

Lesson 14's calculator problems. All methods of a setting begin at the same weights and have the
same number of seconds of processor time, in which the student's own writing counts, too.

  many texts, few texts   a student cut out of the teacher (its last block is gone), fine-tuned on
                          verified texts of the teacher; then more of that, or on-policy
  style                   told to write in a house style, the model teaches itself untold
  solution                shown the answer, the model teaches itself to do without: it cannot

--base trains the model that settings three and four begin with, datasets/arithmetic/in_context.
Every run says under "what" what its accuracy is. A killed script goes on where it stopped. Without
TINYKD_SCALE=full it does a run of seconds into a temporary folder, which says nothing.
"""

import copy
import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from records import FULL, STORED, Records, arguments

from tinykd import HardLabels, SoftTargets, Trainer, reverse_kl
from tinykd.data import Timed
from tinykd.lm import (
    OnPolicy,
    Privileged,
    SampledReverseKL,
    SequenceBatches,
    Tokenizer,
    Transformer,
    generate,
    keep_layers,
    load,
    sample,
    save,
)
from tinykd.lm.reasoning.problems import ALPHABET, Problem, arithmetic

SETTINGS: dict[str, Any] = {
    "written": 800, "few": 64, "hot": 1.5, "keep": [0, 1, 2], "start": 3.0,
    "budget": {"few texts": 6.0, "many texts": 4.0},
    "self": 3.0, "self_texts": 300, "rates": {"text": 1e-3, "own": 2e-3, "start": 2e-3},
    "self_rates": {"text": 3e-4, "own": 1e-3}, "held_out": 120, "samples": 2, "own_size": 64,
    "base": {"pool": 6_000, "problems": 12_000, "seconds": 40.0, "rate": 1.5e-3},
    "pool": 8_000, "self_pool": 3_000, "self_size": 32,
}  # fmt: skip
if not FULL:
    SETTINGS |= {"written": 12, "few": 4, "start": 0.1, "self": 0.1, "held_out": 4}
    SETTINGS["budget"] = {"few texts": 0.1, "many texts": 0.1}
    SETTINGS |= {"self_texts": 6, "samples": 1, "own_size": 2, "self_size": 2, "pool": 300}
    SETTINGS |= {"self_pool": 20, "base": SETTINGS["base"] | {"pool": 200}}
ARITHMETIC = STORED.parent / "arithmetic"
TOKENIZER = Tokenizer.characters(ALPHABET)
ENCODE, EOS = TOKENIZER.encode, TOKENIZER.eos
Pairs = list[tuple[list[int], list[int]]]
Found = dict[str, dict[str, Any]]


def fit(
    model: Transformer, objective: Any, batches: Any, seconds: float, rate: float, teacher=None
):
    """Train for some seconds of processor time; returns the number of steps."""
    adam = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), fused=True)
    timed = Timed(batches, seconds)
    falling = torch.optim.lr_scheduler.LambdaLR(adam, timed.left)
    how = {"schedule": falling, "clip": 1.0, "progress": False, "device": "cpu"}
    return Trainer(model, objective, teacher, adam, **how).fit(timed)[-1]["step"]


def texts(pairs: Pairs, seed: int) -> SequenceBatches:
    return SequenceBatches(pairs, tokens=1024, seed=seed)


def own(model: Transformer, prompts: list[list[int]], seed: int, size: int) -> OnPolicy:
    """Batches that the model writes at that moment."""
    return OnPolicy(model, prompts, size=size, seed=seed, max_new=40, eos=EOS)


def written(model: Transformer, prompts: list[list[int]], seed: int, T: float = 1.0) -> Pairs:
    """What a model writes, where it came to an end."""
    how = {"max_new": 40, "eos": EOS, "batch_size": 512, "progress": False}
    answers = generate(model, prompts, temperature=T, seed=seed, **how)
    return [(p, a) for p, a in zip(prompts, answers, strict=True) if a and a[-1] == EOS]


# ------------------------------------------------------------------------ on-policy or more texts


@cache
def held_out(steps: tuple[int, int]) -> list[Problem]:
    """None of those that anything here is trained on or chosen by."""
    seen = {
        p.question for p in [*arithmetic(int(SETTINGS["pool"]), seed=1), *arithmetic(200, seed=2)]
    }
    return arithmetic(int(SETTINGS["held_out"]), steps, seed=215, exclude=seen)


def scores(model: Transformer, tests: list[Problem]) -> dict[str, Any]:
    how = {"max_new": 40, "batch_size": 512, "progress": False}
    drawn = sample(model, TOKENIZER, tests, int(SETTINGS["samples"]), seed=3, **how)
    greedy = sample(model, TOKENIZER, tests, 1, temperature=0, **how)
    return {
        "accuracy": float(drawn.right.mean()), "greedy": float(greedy.right.mean()),
        "tokens": float(drawn.tokens.mean()),
        "what": "right at temperature 1, held-out problems of 1 to 6 steps",
    }  # fmt: skip


def more(seed: int, few: bool) -> Found:
    teacher, rates = load(ARITHMETIC / "teacher.safetensors"), SETTINGS["rates"]
    budget = SETTINGS["budget"]["few texts" if few else "many texts"]
    problems = arithmetic(int(SETTINGS["pool"]), seed=1)
    random.Random(seed).shuffle(problems)
    mine, new = problems[: SETTINGS["written"]], problems[SETTINGS["written"] :]
    how = {"max_new": 40, "batch_size": 512, "progress": False}
    drawn = sample(teacher, TOKENIZER, mine, 1, temperature=SETTINGS["hot"], seed=seed, **how)
    pairs = [
        (ENCODE(p.question), ids[0])
        for p, ids, right in zip(mine, drawn.ids, drawn.right, strict=True)
        if right[0]
    ]
    pairs = pairs[: SETTINGS["few"]] if few else pairs
    prompts, tests = [ENCODE(p.question) for p in new], held_out((1, 6))
    start = keep_layers(teacher, SETTINGS["keep"])
    fit(start, HardLabels(), texts(pairs, seed), SETTINGS["start"], rates["start"])
    found: Found = {"start": scores(start, tests)}
    reverse = SoftTargets(divergence=reverse_kl)
    kinds: dict[str, tuple] = {
        "labels": (HardLabels(), None, False),
        "soft targets": (SoftTargets(), teacher, False),
        "on-policy": (reverse, teacher, True),
        "on-policy, one number": (SampledReverseKL(clip=5.0, centre="batch"), teacher, True),
    }
    if not few:
        del kinds["on-policy, one number"]
    for method, (objective, who, on_policy) in kinds.items():
        before, student = time.process_time(), copy.deepcopy(start)
        mine, bought = own(student, prompts, seed, SETTINGS["own_size"]), texts(pairs, seed + 100)
        rate = rates["own" if on_policy else "text"]
        steps = fit(student, objective, mine if on_policy else bought, budget, rate, who)
        seconds = round(time.process_time() - before, 1)
        found[method] = scores(student, tests) | {"steps": steps, "seconds": seconds}
    if few:  # the teacher's writing is not free: half of the time goes into it
        before, student, more_pairs = time.process_time(), copy.deepcopy(start), list(pairs)
        size = int(SETTINGS["own_size"])
        for n in range(0, len(prompts), size):
            more_pairs += written(teacher, prompts[n : n + size], seed + n, SETTINGS["hot"])
            if time.process_time() - before > budget / 2:
                break
        left = max(0.05, budget - (time.process_time() - before))
        steps = fit(student, HardLabels(), texts(more_pairs, seed + 100), left, rates["text"])
        seconds = round(time.process_time() - before, 1)
        found["teacher writes on"] = scores(student, tests) | {
            "steps": steps, "seconds": seconds, "texts": len(more_pairs),
        }  # fmt: skip
    return found


# -------------------------------------------------------------------------- a model as its teacher


HOUSE, PLAIN = ENCODE("::"), ENCODE("==")  # the instructions: house style, plain style


def house(problem: Problem) -> str:
    """The chain in the house style: 34+5=39-8=31:31, the answer once more behind a colon."""
    return f"{problem.solution}:{problem.answer}"


def base_examples(problems: list[Problem], seed: int) -> Pairs:
    """A quarter each: no instruction, the plain style's, the house style's, the answer itself."""
    found = []
    for n, one in enumerate(problems):
        before, answer = (
            ([], one.solution),
            (PLAIN, one.solution),
            (HOUSE, house(one)),
            (ENCODE(f"{one.answer}:"), one.answer),
        )[(n + seed) % 4]
        found.append(([*before, *ENCODE(one.question)], [*ENCODE(answer), EOS]))
    return found


@cache
def self_problems() -> tuple[list[Problem], list[Problem]]:
    """Short ones to learn from, and held-out ones; the base saw neither."""
    tests = held_out((2, 4))
    seen = {p.question for p in [*tests, *base_problems()]}
    return arithmetic(int(SETTINGS["self_pool"]), (2, 4), seed=216, exclude=seen), tests


@cache
def base_problems() -> list[Problem]:
    tests = {p.question for p in arithmetic(400, (1, 4), seed=12)}
    tests |= {p.question for p in held_out((2, 4))}
    return arithmetic(int(SETTINGS["base"]["pool"]), (1, 4), seed=11, exclude=tests)


def make_base() -> None:
    """Lesson 14's teacher, taught to go by what stands in front of a prompt; stored."""
    model, how = load(ARITHMETIC / "teacher.safetensors"), SETTINGS["base"]
    pool = base_problems()
    pairs = base_examples(pool * (how["problems"] // len(pool)), 0)
    print(fit(model, HardLabels(), texts(pairs, 0), how["seconds"], how["rate"]), "steps")
    save(model, ARITHMETIC / "in_context.safetensors", torch.bfloat16)
    print(self_scores(load(ARITHMETIC / "in_context.safetensors"), self_problems()[1]))


def self_scores(model: Transformer, tests: list[Problem]) -> dict[str, float]:
    """Greedy answers: the two styles untold, the plain one told, and right answers in any style."""
    how = {"max_new": 40, "batch_size": 512, "progress": False}
    untold = sample(model, TOKENIZER, tests, 1, temperature=0, **how)
    prompts = [[*PLAIN, *ENCODE(p.question)] for p in tests]
    told = generate(model, prompts, temperature=0, eos=EOS, **how)
    first = [row[0] for row in untold.texts]
    right = [p.answer == text[-2:] for p, text in zip(tests, first, strict=True)]
    count = len(tests)
    return {
        "house": sum(a == house(p) for a, p in zip(first, tests, strict=True)) / count,
        "plain": sum(a == p.solution for a, p in zip(first, tests, strict=True)) / count,
        "plain, told": sum(
            a == [*ENCODE(p.solution), EOS] for a, p in zip(told, tests, strict=True)
        )
        / count,
        "right": sum(right) / count,
        "tokens": float(untold.tokens.mean()),
    }


def by_itself(seed: int, setting: str) -> Found:
    base, rates = load(ARITHMETIC / "in_context.safetensors"), SETTINGS["self_rates"]
    problems, tests = self_problems()
    random.Random(seed).shuffle(problems)
    answer_of = {tuple(ENCODE(p.question)): ENCODE(f"{p.answer}:") for p in problems}
    if setting == "style":
        # a prompt with the other instruction stays as it is: there the model teaches what it did
        shown = lambda ids: ids if ids[:2] == PLAIN else [*HOUSE, *ids]  # noqa: E731
        key, what = "house", "right and in the house style to the letter, nothing shown"
    else:
        shown = lambda ids: [*answer_of[tuple(ids)], *ids]  # noqa: E731
        key, what = "right", "ends in the right answer, in any style, nothing shown"
    prompts = [ENCODE(p.question) for p in problems]
    found: Found = {"start": self_scores(base, tests)}
    both = [[*PLAIN, *p] if n % 2 else p for n, p in enumerate(prompts)]

    def own_words(asked: list[list[int]]) -> Pairs:
        """Prompts as the student sees them, with what the model writes that is shown more."""
        asked = asked[: SETTINGS["self_texts"]]
        student_sees = {tuple(shown(p)): p for p in asked}
        pairs = written(base, [shown(p) for p in asked], seed)
        return [(student_sees[tuple(p)], answer) for p, answer in pairs]

    forward, reverse = SoftTargets(), SoftTargets(divergence=reverse_kl)
    kinds: dict[str, tuple] = {
        "labels": (HardLabels(), False, prompts),
        "soft targets": (forward, False, prompts),
        "on-policy": (reverse, True, prompts),
    }
    if setting == "style":
        kinds |= {
            "on-policy, forward KL": (forward, True, prompts),
            "labels, both prompts": (HardLabels(), False, both),
            "on-policy, forward KL, both prompts": (forward, True, both),
        }
    read = {id(asked): own_words(asked) for _, _, asked in kinds.values()}
    for method, (objective, on_policy, asked) in kinds.items():
        before, student = time.process_time(), copy.deepcopy(base)
        mine = own(student, asked, seed, SETTINGS["self_size"])
        batches = mine if on_policy else texts(read[id(asked)], seed + 100)
        teacher = None if isinstance(objective, HardLabels) else Privileged(base, shown)
        rate = rates["own" if on_policy else "text"]
        steps = fit(student, objective, batches, SETTINGS["self"], rate, teacher)
        seconds = round(time.process_time() - before, 1)
        found[method] = self_scores(student, tests) | {"steps": steps, "seconds": seconds}
    return {name: {"accuracy": one[key], "what": what} | one for name, one in found.items()}


EXPERIMENTS: dict[str, Callable[[int], Found]] = {
    "few texts": lambda seed: more(seed, few=True),
    "style": lambda seed: by_itself(seed, "style"),
    "solution": lambda seed: by_itself(seed, "solution"),
    "many texts": lambda seed: more(seed, few=False),
}


def main() -> None:
    parser = arguments(__doc__, [1, 2, 3, 4, 5])
    parser.add_argument("--only", nargs="*", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    parser.add_argument("--base", action="store_true", help="make the base model, nothing else")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.base:
        return make_base()
    records = Records("beyond_one_teacher", given.out, SETTINGS)
    for seed in given.seeds:
        for setting in given.only:
            runs = records.found["runs"]
            if any((one["setting"], one["seed"]) == (setting, seed) for one in runs):
                continue
            before = time.process_time()
            torch.manual_seed(seed)
            results = EXPERIMENTS[setting](seed)
            for method, values in results.items():
                runs.append({"setting": setting, "method": method, "seed": seed} | values)
            records.keep()
            print(f"seed {seed}, {setting}: {time.process_time() - before:.0f} s", flush=True)
            for method, values in results.items():
                shown = {k: round(v, 3) for k, v in values.items() if not isinstance(v, str)}
                print(f"    {method:36s}", shown, flush=True)
    print(records.file)


if __name__ == "__main__":
    main()

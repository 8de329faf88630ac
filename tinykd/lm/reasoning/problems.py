"""Problems with answers to verify: chains of arithmetic, made here; word problems, from a file."""

import json
import random
import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from ...data.locate import find, unpacked

ALPHABET = "0123456789+-*/=:"  # all that arithmetic problems and their chains are written in

# SHA-256 of the uncompressed bytes of datasets/word_problems/word_problems.jsonl.gz.
WORD_PROBLEMS = "08468ce57fa898da2839663de01f804553637aa43d2d5c8f4b9e31f87ac8c404"


@dataclass(frozen=True)
class Problem:
    """A question, a worked solution that ends in the answer, and the answer itself.

    steps: how many operations the solution takes, 0 where that is not known.
    template, split: where a word problem comes from; "" for arithmetic.
    """

    question: str
    solution: str
    answer: str
    steps: int = 0
    template: str = ""
    split: str = ""


def arithmetic(
    n: int, steps: tuple[int, int] = (1, 6), seed: int = 0, exclude: Container[str] = ()
) -> list[Problem]:
    """n different problems for a pocket calculator: keys pressed one after the other.

        34+5-8*2:         the question; there is no precedence, it means ((34 + 5) - 8) * 2
        34+5=39-8=31*2=62    the solution: what a calculator with a paper tape would print

    Every intermediate result is a whole number of two digits; the number of operations is uniform
    in `steps`, both ends included. exclude: questions that must not come, such as the training set.
    Raises ValueError for steps outside 1 to 20, or when that many different problems do not exist.
    """
    low, high = steps
    if not 1 <= low <= high <= 20:
        raise ValueError(f"steps={steps}: two whole numbers from 1 to 20, the smaller one first")
    rng, found = random.Random(f"{seed}"), dict[str, Problem]()
    for number in range(n):
        length = rng.randint(low, high)
        for _ in range(1000):
            problem = _problem(rng, length)
            if problem.question not in found and problem.question not in exclude:
                break
        else:
            raise ValueError(f"problem {number} of {n}: no new one of {length} steps turned up")
        found[problem.question] = problem
    return list(found.values())


def _problem(rng: random.Random, steps: int) -> Problem:
    value = rng.randint(10, 99)
    question = solution = str(value)
    for _ in range(steps):
        while True:  # until the result has two digits
            sign = rng.choice("+-*/")
            digit = rng.randint(1 if sign in "+-" else 2, 9)
            result = _press(value, sign, digit)
            if result is not None and 10 <= result <= 99:
                break
        value = result
        question += f"{sign}{digit}"
        solution += f"{sign}{digit}={value}"
    return Problem(question + ":", solution, str(value), steps)


def _press(value: int, sign: str, digit: int) -> int | None:
    if sign == "/":
        return None if digit == 0 or value % digit else value // digit
    return {"+": value + digit, "-": value - digit, "*": value * digit}[sign]


def right_chain(question: str, solution: str) -> bool:
    """Is every step of this solution of an arithmetic question right, none missing, none added?

    A wrong chain can end in the right answer: two errors cancel, or a step is skipped that did
    not matter. Verifying the answer alone lets it through. Raises ValueError for a question that
    divides with a rest.
    """
    value = int(question[:2])
    expected = str(value)
    for sign, digit in re.findall(r"([-+*/])(\d)", question):
        result = _press(value, sign, int(digit))
        if result is None:
            raise ValueError(f"{question!r} has a division that leaves a rest")
        value = result
        expected += f"{sign}{digit}={value}"
    return solution == expected


def load_word_problems(split: str | None = None, folder: str | Path | None = None) -> list[Problem]:
    """Word problems with worked solutions, all of them or those of one split.

    Looks in `folder` if given and nowhere else; otherwise in the folder that TINYKD_DATA names, and
    in the repository's datasets/word_problems. The file is checked against its SHA-256.

    Raises:
        FileNotFoundError: no such file; says where it was looked for.
        ValueError: a wrong checksum (both are quoted), or a split that the file does not have.
    """
    path = find("word_problems", "word_problems.jsonl.gz", folder)
    raw = unpacked(path, WORD_PROBLEMS, "Take the file from the repository again.")
    rows = [json.loads(line) for line in raw.decode().splitlines()]
    splits = sorted({row["split"] for row in rows})
    if split is not None and split not in splits:
        raise ValueError(f"no split {split!r}: the word problems have {splits}")
    return [
        Problem(row["question"], row["solution"], str(row["answer"]), 0, *map(str, place))
        for row in rows
        for place in [(row["template"], row["split"])]
        if split is None or row["split"] == split
    ]

"""Arithmetic problems and the word-problem file."""

import gzip
import hashlib
import json
import re

import pytest

from tinykd.lm.reasoning import problems
from tinykd.lm.reasoning.answers import verify
from tinykd.lm.reasoning.problems import arithmetic, load_word_problems, right_chain


def by_hand(question: str) -> int:
    """The calculator, written in another way: Python's own arithmetic, one key at a time."""
    value, rest = int(question[:2]), question[2:].rstrip(":")
    for i in range(0, len(rest), 2):
        exact = eval(f"{value}{rest[i]}{rest[i + 1]}")
        assert exact == int(exact)
        value = int(exact)
        assert 10 <= value <= 99
    return value


def test_answers_are_right_and_problems_differ():
    made = arithmetic(2000, steps=(1, 8), seed=3)
    assert len({problem.question for problem in made}) == 2000
    for problem in made:
        assert int(problem.answer) == by_hand(problem.question)
        assert problem.solution.endswith("=" + problem.answer)
        assert problem.solution.count("=") == problem.steps == (len(problem.question) - 3) // 2
        assert set(problem.question + problem.solution) <= set(problems.ALPHABET)
    assert {problem.steps for problem in made} == set(range(1, 9))
    keys = re.findall(r"([-+*/])(\d)", "".join(problem.question for problem in made))
    found = {sign: {int(digit) for other, digit in keys if other == sign} for sign in "+-*/"}
    every = set(range(1, 10))  # times 1 and divided by 1 would be no step
    assert found == {"+": every, "-": every, "*": every - {1}, "/": every - {1}}
    values = {int(x) for problem in made for x in re.findall(r"=(\d+)", problem.solution)}
    assert values == set(range(10, 100))  # all numbers of two digits


def test_same_seed_same_problems_and_excluded_ones_never_come():
    first = arithmetic(300, seed=1)
    assert first == arithmetic(300, seed=1)
    assert first != arithmetic(300, seed=2)
    asked = {problem.question for problem in first}
    again = arithmetic(300, steps=(1, 3), seed=1, exclude=asked)
    assert not asked & {problem.question for problem in again}


@pytest.mark.parametrize("steps", [(0, 3), (4, 2), (1, 21)])
def test_steps_out_of_range(steps):
    with pytest.raises(ValueError, match="steps="):
        arithmetic(1, steps=steps)


def test_more_problems_than_exist():
    with pytest.raises(ValueError, match="no new one of 1 steps"):
        arithmetic(3000, steps=(1, 1))


def test_right_chain():
    for problem in arithmetic(200):
        assert right_chain(problem.question, problem.solution)
    question = "34+5-8*2:"
    assert right_chain(question, "34+5=39-8=31*2=62")
    for wrong in (
        "34+5=38-8=31*2=62",  # two errors that cancel
        "34+5=39*2=62",  # a step left out
        "34+5=39-8=31*2=62+0=62",
        "34-8=26+5=31*2=62",  # another order
        "62",
        "",
    ):
        assert not right_chain(question, wrong), wrong
    for question in ("35/2:", "35/0:"):
        with pytest.raises(ValueError, match="leaves a rest"):
            right_chain(question, "35/2=17")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A small file of word problems whose checksum the loader knows."""
    rows = [
        {"template": "t1", "question": "Q1", "solution": "so 3\n#### 3", "answer": "3"},
        {"template": "t2", "question": "Q2", "solution": "so 4\n#### 4", "answer": 4},
    ]
    splits = ("train", "held_out_numbers")
    lines = [json.dumps({**row, "split": split}) for row, split in zip(rows, splits, strict=True)]
    raw = ("\n".join(lines) + "\n").encode()
    path = tmp_path / "word_problems.jsonl.gz"
    path.write_bytes(gzip.compress(raw))
    monkeypatch.setattr(problems, "WORD_PROBLEMS", hashlib.sha256(raw).hexdigest())
    return path


def test_word_problems(file, monkeypatch):
    both = load_word_problems(folder=file.parent)
    assert [problem.question for problem in both] == ["Q1", "Q2"]
    (one,) = load_word_problems("held_out_numbers", file.parent)
    assert (one.answer, one.template, one.split) == ("4", "t2", "held_out_numbers")
    monkeypatch.setenv("TINYKD_DATA", str(file.parent))
    assert load_word_problems() == both
    with pytest.raises(ValueError, match="no split 'test'.*train"):
        load_word_problems("test", file.parent)


def test_word_problems_missing_or_changed(file):
    with pytest.raises(FileNotFoundError, match=r"word_problems.jsonl.gz was not found"):
        load_word_problems(folder=file.parent / "elsewhere")
    file.write_bytes(gzip.compress(b"{}"))
    with pytest.raises(ValueError, match="corrupt"):
        load_word_problems(folder=file.parent)


def test_the_course_s_word_problems():
    train, numbers = load_word_problems("train"), load_word_problems("held_out_numbers")
    templates = load_word_problems("held_out_templates")
    assert {p.template for p in numbers} <= {p.template for p in train}
    assert not {p.template for p in templates} & {p.template for p in train}
    assert not {p.question for p in train} & {p.question for p in numbers}
    for problem in (*train, *numbers, *templates):
        assert verify(problem.solution, problem.answer)

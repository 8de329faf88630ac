"""Answers, votes, pass@k and rejection sampling, against enumeration and scripted models."""

import importlib.util
import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinykd.lm import Config, Tokenizer, Transformer, load
from tinykd.lm import answers as A
from tinykd.lm import reasoning as R
from tinykd.lm.reasoning.problems import ALPHABET, Problem, arithmetic, right_chain


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so 3 #### 7 and #### -8 apples, 2 pears", "-8"),
        ("it is 12\n#### 13\nbut then 14", "13"),
        ("#### $1,200.50", "1200.5"),
        ("#### twelve 7s", "7"),
        ("7 apples ####", None),  # cut off: 7 was not the answer
        (r"first \boxed{1}, then \boxed{12 \text{ apples}} or 5", "12"),
        (r"\boxed{-3}", "-3"),
        ("34+5=39-8=31", "31"),
        ("39-8", "8"),  # a difference, not a sign
        ("5 - 3", "3"),
        ("= -5", "-5"),
        ("(-4)", "-4"),
        ("(2)-4", "4"),
        ("3 − 5 = −2", "-2"),
        ("-$5.00", "-5"),
        ("about 1,234.", "1234"),
        ("1,000,000", "1000000"),
        ("1234,567", "567"),  # no thousands: two numbers
        ("1, 2", "2"),
        (".5", "0.5"),
        ("0.50", "0.5"),
        ("007", "7"),
        ("-0.0", "0"),
        ("50%", "50"),
        ("10 %.", "10"),
        ("none", None),
        ("", None),
        ("1" * 40 + ".10", "1" * 40 + ".1"),
    ],
)
def test_extract_answer(text, answer):
    assert A.extract_answer(text) == answer


@given(st.decimals(-(10**9), 10**9, places=3))
def test_extract_answer_finds_any_number_in_any_spelling(number):
    found = A.extract_answer(f"5-2=3 #### {number:,} km")
    assert found is not None
    assert Fraction(found) == Fraction(number)
    assert found == A.extract_answer(f"#### {number}000")


def test_verify():
    assert A.verify("34+5=39", "39")
    assert A.verify("#### 1,000.0 m", "so 1000\n#### 1000")
    assert not A.verify("34+5=39", "9")
    assert not A.verify("I do not know", "9")
    with pytest.raises(ValueError, match="holds no number"):
        A.verify("1", "nothing")


def test_pass_at_k_is_the_share_of_all_subsets_with_a_right_one():
    for n in range(1, 7):
        for c in range(n + 1):
            right = [i < c for i in range(n)]
            for k in range(1, n + 1):
                subsets = [any(group) for group in itertools.combinations(right, k)]
                expected = sum(subsets) / len(subsets)
                assert A.pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_large_and_over_problems():
    n, c, k = 10_000, 3, 500
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert float(A.pass_at_k(n, c, k)) == pytest.approx(float(exact), rel=1e-12)
    assert A.pass_at_k([5, 5, 4], [0, 5, 1], 2) == pytest.approx([0.0, 1.0, 0.5])
    assert A.pass_at_k(4, np.arange(5), 4) == pytest.approx([0, 1, 1, 1, 1])
    assert A.pass_at_k([], [], 2).shape == (0,)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_pass_at_k_refuses(n, c, k):
    with pytest.raises(ValueError, match="n"):
        A.pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("answers", "score"),
    [
        (["7", "8", "7"], 1.0),
        (["8", "8", "7"], 0.0),
        (["7", "8"], 0.5),
        (["8", "9", "7", "6"], 0.25),
        (["8", "9"], 0.0),
        ([None, None, "7"], 1.0),  # silence does not vote
        ([None, None], 0.0),
    ],
)
def test_cons_at_k(answers, score):
    assert A.cons_at_k(answers, "7") == score


def test_cons_at_k_in_groups():
    answers = ["7", "8", "7", "8", "7", "8", "8"]
    assert A.cons_at_k(answers, "7", 1) == pytest.approx(3 / 7)
    assert A.cons_at_k(answers, "7", 3) == pytest.approx(0.5)  # 7 8 7, then 8 7 8; the last is left
    assert A.cons_at_k(answers, "7", 2) == pytest.approx(0.5)
    for k in (0, 8):
        with pytest.raises(ValueError, match="answers"):
            A.cons_at_k(answers, "7", k)


def test_wilson():
    assert A.wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert A.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert A.wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    for right, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="right of"):
            A.wilson(right, n)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_quadratic(case):
    right, n = case
    for end in A.wilson(right, n):
        assert 0 <= end <= 1
        assert (end - right / n) ** 2 <= 1.96**2 * end * (1 - end) / n + 1e-9


TOKENIZER = Tokenizer.characters(ALPHABET)


class Script(torch.nn.Module):
    """Stands for `generate`: gives every sample of every problem its lines in turn."""

    def __init__(self, *lines):
        super().__init__()
        self.lines = lines  # "62$": with the end; "62": cut off

    def generate(self, model, prompts, eos, **how):
        self.how = how
        seen: dict[tuple, int] = {}
        out = []
        for prompt in map(tuple, prompts):
            line = self.lines[seen.get(prompt, 0)]
            seen[prompt] = seen.get(prompt, 0) + 1
            out.append(TOKENIZER.encode(line.rstrip("$")) + [eos] * line.endswith("$"))
        return out


@pytest.fixture
def script(monkeypatch):
    def make(*lines):
        model = Script(*lines)
        monkeypatch.setattr(R, "generate", model.generate)
        return model

    return make


PROBLEM = Problem("34+5-8*2:", "34+5=39-8=31*2=62", "62")


def test_rejection_sampling_keeps_what_is_right_finished_and_new(script):
    model = script("34+5=62$", "62$", "34+5=39$", "62", "62$", "1=62$")
    examples, counts = R.rejection_sample(model, TOKENIZER, [PROBLEM], 6, per_problem=2, max_new=9)
    prompt = TOKENIZER.encode(PROBLEM.question)
    assert [TOKENIZER.decode(answer, special=True) for _, answer in examples] == [
        "34+5=62<|end|>",
        "62<|end|>",
    ]
    assert all(start == prompt and end.count(TOKENIZER.eos) == 1 for start, end in examples)
    assert model.how == {"max_new": 9}
    assert counts == {
        "tried": 6,
        "finished": 5,
        "verified": 4,
        "distinct": 3,
        "kept": 2,
        "problems": 1,
    }


def test_rejection_sampling_of_nothing_right(script):
    examples, counts = R.rejection_sample(script("1$", "2$"), TOKENIZER, [PROBLEM], 2)
    assert examples == []
    assert (counts["tried"], counts["kept"], counts["problems"]) == (2, 0, 0)


def test_evaluation(script):
    problems = [PROBLEM, Problem("10+1:", "10+1=11", "11")]
    drawn = R.sample(script("62$", "11$", "62$"), TOKENIZER, problems, 3)
    assert drawn.right.tolist() == [[True, False, True], [False, True, False]]
    report = R.evaluate_reasoning(drawn)
    assert report["pass@1"][0] == pytest.approx(0.5)
    assert report["cons@3"][0] == pytest.approx(0.5)
    assert report["tokens"][0] == pytest.approx(3.0)
    assert report["pass@1"][1] < 0.5 < report["pass@1"][2]
    one = R.evaluate_reasoning(R.sample(script("62$"), TOKENIZER, problems))
    assert set(one) == {"pass@1", "tokens"}
    assert one["pass@1"] == pytest.approx((0.5, *A.wilson(1, 2)))


def test_a_sample_that_was_cut_off_is_wrong_and_does_not_vote(script):
    drawn = R.sample(script("62", "7$"), TOKENIZER, [PROBLEM], 2)
    assert drawn.answers == [[None, "7"]]
    assert not drawn.right.any()


def test_with_a_real_transformer_and_another_prompt():
    torch.manual_seed(0)
    model = Transformer(Config(vocab=TOKENIZER.vocab_size, width=16, layers=1, heads=2))
    problems = arithmetic(3)
    how = {"max_new": 5, "progress": False, "seed": 1}
    drawn = R.sample(model, TOKENIZER, problems, 2, prompt=lambda p: "1" + p.question, **how)
    assert drawn.finished.shape == drawn.right.shape == drawn.tokens.shape == (3, 2)
    assert (drawn.tokens <= 5).all()
    again = R.sample(model, TOKENIZER, problems, 2, prompt=lambda p: "1" + p.question, **how)
    assert drawn.ids == again.ids


def test_the_teacher_that_comes_with_the_course():
    path = Path(__file__).parents[1] / "datasets" / "arithmetic" / "teacher.safetensors"
    assert path.stat().st_size < 3_000_000
    problems = arithmetic(60, seed=9)
    drawn = R.sample(load(path), TOKENIZER, problems, max_new=40, temperature=0, progress=False)
    assert drawn.right.mean() > 0.7
    chains = [right_chain(p.question, row[0]) for p, row in zip(problems, drawn.texts, strict=True)]
    assert (np.array(chains) & ~drawn.right[:, 0]).sum() == 0


@pytest.fixture
def whole_benchmark():
    """benchmarks/arithmetic_teacher.py as it is."""
    path = Path(__file__).parents[1] / "benchmarks" / "arithmetic_teacher.py"
    spec = importlib.util.spec_from_file_location("arithmetic_teacher", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def benchmark(whole_benchmark, tmp_path, monkeypatch):
    """The same on very little."""
    small = whole_benchmark
    monkeypatch.setattr(small, "RESULTS", tmp_path / "arithmetic.json")
    shape = Config(TOKENIZER.vocab_size, width=16, layers=1, heads=2)
    monkeypatch.setattr(small, "SHAPES", {"teacher": shape, "student": shape})
    monkeypatch.setattr(small, "VALIDATION", 6)
    problems = arithmetic(60, seed=1), arithmetic(4, seed=2)
    monkeypatch.setattr(small, "lesson_problems", lambda: problems)
    return small


def test_the_benchmark_makes_a_teacher(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "TEACHER", tmp_path / "arithmetic" / "teacher.safetensors")
    benchmark.make_teacher(3_000)
    assert benchmark.TEACHER.exists()


def test_the_benchmark_tunes_on_validation_and_then_runs_its_students(benchmark, monkeypatch):
    with pytest.raises(ValueError, match="--tune first"):
        benchmark.run_students(1)
    monkeypatch.setattr(benchmark, "BUDGETS", (1_500, 2_000, 3_000))
    tested, score = [], benchmark.score

    def watched(model, problems, *n, **how):
        tested.append(problems)
        return score(model, problems, *n, **how)

    monkeypatch.setattr(benchmark, "score", watched)
    benchmark.tune()
    validation = benchmark.validation_problems()
    assert tested == [validation] * len(tested)
    results = json.loads(benchmark.RESULTS.read_text())
    first = [run for run in results["tuning"] if run["budget"] == 2_000 and run["seed"] == 100]
    for method in benchmark.METHODS[:2]:
        runs = [run for run in first if run["method"] == method]
        assert [run["rate"] for run in runs] == list(benchmark.RATES)
        best = max(runs, key=lambda run: run["pass@1"])
        assert results["chosen"]["rates"][method] == best["rate"]
    assert len(set(results["chosen"]["rates"].values())) <= 2  # with KL: the rate of chains
    assert results["chosen"]["tokens"] == 3_000  # so little does not reach 95%: the largest
    benchmark.run_students(1)
    assert tested[-3:] == [benchmark.lesson_problems()[1]] * 3
    done = json.loads(benchmark.RESULTS.read_text())
    assert [run["method"] for run in done["runs"]] == list(benchmark.METHODS)
    assert all(0 <= run["tokens"] - 3_000 < 1_024 for run in done["runs"])
    benchmark.tune()
    benchmark.run_students(1)  # nothing is left to do
    assert json.loads(benchmark.RESULTS.read_text()) == done


def test_validation_problems_are_neither_trained_on_nor_held_out(whole_benchmark):
    train, held_out = ({p.question for p in part} for part in whole_benchmark.lesson_problems())
    validation = {p.question for p in whole_benchmark.validation_problems()}
    assert (len(train), len(held_out), len(validation)) == (6_000, 200, 400)
    assert not train & held_out
    assert not validation & (train | held_out)

"""Answers, votes, pass@k and rejection sampling, against enumeration and scripted models."""

import importlib.util
import itertools
import json
import math
import re
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tinykd.lm import Config, Tokenizer, Transformer, load
from tinykd.lm.reasoning import answers as A
from tinykd.lm.reasoning import samples as R
from tinykd.lm.reasoning import scores as S
from tinykd.lm.reasoning.problems import (
    ALPHABET,
    Problem,
    arithmetic,
    load_word_problems,
    right_chain,
)
from tinykd.metrics import wilson


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so 3 #### 7 and #### -8 apples, 2 pears", "-8"),
        ("it is 12\n#### 13\nbut then 14", "13"),
        ("#### $1,200.50", "1200.5"),
        ("#### 1,200.50 dollars", "1200.5"),
        ("#### twelve 7s", "7"),
        ("7 apples ####", None),  # cut off: 7 was not the answer
        (r"first \boxed{1}, then \boxed{12 \text{ apples}} or 5", "12"),
        (r"\boxed{-3}", "-3"),
        ("34+5=39-8=31", "31"),
        ("39-8", "8"),  # a difference, not a sign
        ("34+5=39*2", "2"),
        ("5 - 3", "3"),
        ("= -5", "-5"),
        ("(-4)", "-4"),
        ("(2)-4", "4"),
        ("3 − 5 = −2", "-2"),
        ("-$5.00", "-5"),
        ("about 1,234.", "1234"),
        ("1,000,000", "1000000"),
        ("1, 2", "2"),
        (".5", "0.5"),
        ("0.50", "0.5"),
        ("007", "7"),
        ("-0.0", "0"),
        ("50%", "50"),
        ("10 %.", "10"),
        ("**12** apples", "12"),
        ("#### **12**", "12"),
        ("#### 12 (5+7)", "12"),
        ("#### 12. Done", "12"),
        ("#### 12-inch", "12"),
        ("#### 13\n2. then", "13"),
        ("$12$", "12"),
        (r"\(12\)", "12"),
        (r"#### \$18", "18"),
        ("Answer:12", "12"),
        ("so 12.So", "12"),
        ("25 km/h", "25"),
        ("25 m²", "25"),
        ("答案是12。", "12"),
        ("(that is, 7)", "7"),
        ("none", None),
        ("", None),
        ("1" * 40 + ".10", "1" * 40 + ".1"),
    ],
)
def test_extract_answer(text, answer):
    assert A.extract_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{9{,}500}", "9500"),
        (r"\boxed{1\,000}", "1000"),
        (r"\boxed{10,\!000}", "10000"),
        ("1\u202f000\u00a0km", "1000"),
        (r"\fbox{7}", "7"),
        (r"\boxed 7", "7"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{x = -7}", "-7"),
        (r"\boxed{\$7.50}", "7.5"),
        (r"\boxed{7\%}", "7"),
        (r"\boxed{\text{7 apples}}", "7"),
        (r"\boxed{1} or \boxed{2}", "2"),  # the last box counts
        ("#### - 5", "-5"),
        ("#### –5", "-5"),
        ("= - 5", "-5"),
        (r"\boxed{- 5}", "-5"),
        ("$-5", "-5"),
        ("#### Step 2: add\nso \\boxed{7}", "7"),
        ("#### Step 2: add\n3+4=7", "7"),
        ("#### 6\nNo: \\boxed{7}", "7"),  # the last marker counts, of whatever kind
        (r"\boxed{6}, #### 7", "7"),
    ],
)
def test_other_spellings_of_a_number(text, answer):
    assert A.extract_answer(text) == answer


WHOLE = [
    "3/4", "3 / 4", "10^6", "10 ^ 6", "10**6", "10⁶", "1e5", "1e-5", "2.5E+3", "1 000", "3,14",
    "1234,567", "5½", "√2", "3–5", "12:30", "1.2.3", "5 million", "2 dozen", "3x", "5k", "m2",
    r"\frac{1}{2}", r"\frac12", r"\frac 1 2", r"2\sqrt{3}", r"\sqrt 2", r"5\pi", r"5 \pi",
    "(1, 2)", "(1, x)", "[1, 2]", r"\{1, 2\}", "{1/2}", "3 ± 1", r"3 \pm 1", "2 + x", "5 1/2",
    r"90^\circ", "x_2", r"10^{-6}",
]  # fmt: skip


@pytest.mark.parametrize("written", WHOLE)
def test_what_is_more_than_a_number_is_not_cut_down_to_one(written):
    """Pitfall 42."""
    for text in (
        "#### {}", "#### {} apples", "the answer is {}", "the answer is {}.",
        r"so \boxed{{{}}} or 7", r"$\boxed{{{}}}$", r"\fbox{{{}}}", "9 is wrong\n#### {}\n",
    ):  # fmt: skip
        assert A.extract_answer(text.format(written)) is None, text.format(written)
    for answer in (written, f"#### {written}", rf"\boxed{{{written}}}"):
        with pytest.raises(ValueError, match="is not one number.*verify_latex"):
            A.verify("7", answer)


@pytest.mark.parametrize("written", ["2+3", "2 - 3", "2*3", "5 or 7", "5, 7", "5 and 7", "12:"])
def test_behind_a_marker_one_number_is_asked_for(written):
    assert A.extract_answer(f"#### {written}") is None
    assert A.extract_answer(rf"\boxed{{{written}}}") is None


@pytest.mark.parametrize("text", [r"\boxed{12", r"\boxed{}", r"7 \boxed{", r"\boxed{\text{none}}"])
def test_a_box_that_is_empty_or_cut_off_holds_no_answer(text):
    assert A.extract_answer(text) is None


def test_reading_takes_no_time_on_text_without_sense():
    """What a model writes that has lost its way, 20,000 characters of it."""
    start = time.process_time()
    for part in (
        "{,",
        "1,",
        "1 ",
        "-",
        r"\text{",
        "####",
        r"\boxed{",
        " ",
        "= - ",
        "{1,",
        "a",
        "1",
    ):
        A.extract_answer(part * (20_000 // len(part)))
    assert time.process_time() - start < 20


@given(st.decimals(-(10**9), 10**9, places=3))
def test_extract_answer_finds_any_number_in_any_spelling(number):
    found = A.extract_answer(f"5-2=3 #### {number:,} km")
    assert found is not None
    assert Fraction(found) == Fraction(number)
    assert found == A.extract_answer(f"#### {number}000")
    assert found == A.extract_answer(rf"7 \boxed{{{number:,}}}".replace(",", "{,}"))
    assert found == A.extract_answer(f"The answer is {number:,}.")


def taught(text):
    """The rule of lesson 14, exercise 1, written as there."""
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


WORDS = st.sampled_from(["so", "they", "have", "apples", "and", "the", "rest", "is", "=", "####"])
PLAIN = st.one_of(
    WORDS,
    st.integers(-9999, 9999).map(str),
    st.integers(1000, 10**7).map("{:,}".format),
    st.decimals(-999, 999, places=2).map(str),
    st.integers(0, 99).map("${}".format),
    st.tuples(st.integers(0, 99), st.sampled_from("+-*"), st.integers(0, 99)).map(
        lambda x: f"{x[0]}{x[1]}{x[2]}={x[0] + x[2]}"
    ),
)


@given(st.lists(PLAIN, max_size=12).map(" ".join), st.sampled_from(["", ".", " days.", "\n"]))
def test_plain_texts_are_read_as_lesson_14_teaches(text, end):
    """All that sets the two apart: several numbers side by side behind a marker, and 1 000."""
    assume(not re.search(r"####(?:\D*) [-$]?[\d,.]+ [-$=]?\d", text))
    assume(not re.search(r"####\D* \d+[-+*]", text))
    assume(not re.search(r"\d \d{3}\b", text))
    found = A.extract_answer(text + end)
    assert (None if found is None else float(found)) == taught(text + end)


@pytest.mark.slow
def test_every_problem_of_the_course_is_read_as_lesson_14_teaches():
    problems = [*load_word_problems(), *arithmetic(3000)]
    assert len(problems) == 9580
    for problem in problems:
        truth = A.truth_of(problem.answer)
        for text in (problem.solution, f"The answer is {problem.answer}.", problem.answer):
            assert A.extract_answer(text) == truth
            assert taught(text) == float(truth)


def test_verify():
    assert A.verify("34+5=39", "39")
    assert A.verify("#### 1,000.0 m", "so 1000\n#### 1000")
    assert not A.verify("34+5=39", "9")
    assert not A.verify("I do not know", "9")
    assert A.verify("#### 18", "18 dollars")
    for answer in ("nothing", "", "5 or 6", "12 apples and 3 pears", "3/4", "39-8", "####"):
        with pytest.raises(ValueError, match=f"'{answer}' is not one number"):
            A.verify("1", answer)


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        (r"so \boxed{\frac{1}{2}}", r"\frac{1}{2}", True),
        ("#### 0.5", r"$\frac12$", True),
        ("#### 1/2\nnot 3", r"so \boxed{\frac{1}{2}}", True),
        ("so it is 6/8.", r"\frac{3}{4}", True),
        (r"\boxed{\frac{1}{3}}", r"\frac{1}{2}", False),
        (r"\boxed{(1,2)}", "(1, 2)", True),
        (r"\boxed{(2,1)}", "(1, 2)", False),
        (r"\boxed{10^6}", "1000000", True),
        ("the answer is $x^2+1$", "1+x^2", True),
        (r"2\pi, no: \boxed{\pi}", r"2\pi", False),
        ("no idea", "5", False),
        (r"5 = \boxed{}", "5", False),
        (r"\boxed{\frac{1}{2}", r"\frac12", False),
    ],
)
def test_verify_latex(text, answer, right):
    pytest.importorskip("math_verify")
    assert A.verify_latex(text, answer) == right


def test_verify_latex_says_what_is_missing(monkeypatch):
    if importlib.util.find_spec("math_verify"):
        for answer in ("", "???", r"\boxed{"):
            with pytest.raises(ValueError, match="cannot read the answer"):
                A.verify_latex("5", answer)
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(ImportError, match=r"pip install 'tinykd\[math\]'"):
        A.verify_latex("5", "5")


def test_math_verify_is_not_loaded_unless_asked_for(child_env):
    code = "import sys, tinykd.lm as lm; lm.verify('5', '5'); print('math_verify' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], env=child_env, capture_output=True, text=True
    )
    assert out.stdout.strip() == "False", out.stderr


def test_pass_at_k_is_the_share_of_all_subsets_with_a_right_one():
    for n in range(1, 7):
        for c in range(n + 1):
            right = [i < c for i in range(n)]
            for k in range(1, n + 1):
                subsets = [any(group) for group in itertools.combinations(right, k)]
                expected = sum(subsets) / len(subsets)
                assert S.pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_large_and_over_problems():
    n, c, k = 10_000, 3, 500
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert float(S.pass_at_k(n, c, k)) == pytest.approx(float(exact), rel=1e-12)
    assert S.pass_at_k([5, 5, 4], [0, 5, 1], 2) == pytest.approx([0.0, 1.0, 0.5])
    assert S.pass_at_k(4, np.arange(5), 4) == pytest.approx([0, 1, 1, 1, 1])
    assert S.pass_at_k([], [], 2).shape == (0,)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_pass_at_k_refuses(n, c, k):
    with pytest.raises(ValueError, match="n"):
        S.pass_at_k(n, c, k)


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
    assert S.cons_at_k(answers, "7") == score


def test_cons_at_k_in_groups():
    answers = ["7", "8", "7", "8", "7", "8", "8"]
    assert S.cons_at_k(answers, "7", 1) == pytest.approx(3 / 7)
    assert S.cons_at_k(answers, "7", 3) == pytest.approx(0.5)  # 7 8 7, then 8 7 8; the last is left
    assert S.cons_at_k(answers, "7", 2) == pytest.approx(0.5)
    for k in (0, 8):
        with pytest.raises(ValueError, match="answers"):
            S.cons_at_k(answers, "7", k)


def test_wilson():
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    for right, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="right of"):
            wilson(right, n)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_quadratic(case):
    right, n = case
    for end in wilson(right, n):
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
    assert one["pass@1"] == pytest.approx((0.5, *wilson(1, 2)))


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


@pytest.mark.slow
def test_the_benchmark_makes_a_teacher(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "TEACHER", tmp_path / "arithmetic" / "teacher.safetensors")
    benchmark.make_teacher(3_000)
    assert benchmark.TEACHER.exists()


@pytest.mark.slow
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

"""What an instant check says about each kind of wrong answer."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import tinykd.classroom.checks
from tinykd.classroom import CheckFailed, Checks
from tinykd.classroom.compare import compare, finite, normalise

RIGHT = np.random.default_rng(0).normal(size=(3, 4))


def words(got, want):
    return compare(normalise(got), normalise(want))


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (RIGHT[0], "shape (4,) where (3, 4) is expected"),
        (RIGHT.T, "shape (4, 3) where (3, 4) is expected: it is transposed"),
        (RIGHT.mean(), "shape () where (3, 4) is expected: you took the mean over all of them"),
        (RIGHT.sum(), "you took the sum over all of them"),
        (RIGHT[None], "an axis of length 1 is too many"),
        (RIGHT / 10, "every value is 10 times too small"),
        (RIGHT * 400, "every value is 400 times too large"),
        (RIGHT * 1.37, "every value is 1.37 times too large"),
        (-RIGHT, "the negative of what is expected: the sign is wrong"),
        (-3 * RIGHT, "of the wrong sign and 3 times too large"),
        (RIGHT / np.log(2), "is your logarithm to base 2?"),
        (RIGHT + 0.25, "every value is 0.25 too large"),
        (RIGHT * 0, "every value is 0"),
        (RIGHT * 0 + 7, "every value is the same (7)"),
        (RIGHT * (1 + 4e-4 * np.eye(3, 4)), "right to 0.0004 of it"),
        (RIGHT * 0 + 1e6, "every value is the same (1e+06)"),
        (RIGHT[:, ::-1], "the right values in the wrong order"),
        (RIGHT.astype(int), "whole numbers where fractions are expected"),
        (
            np.where(RIGHT[1, 2] == RIGHT, np.nan, RIGHT),
            "1 of 12 values are NaN, the first at [1, 2]",
        ),
        (np.where(RIGHT[0, 1] == RIGHT, np.inf, RIGHT), "are infinite, the first at [0, 1]"),
        (RIGHT + np.eye(3, 4), "3 of 12 values are wrong; the first, at [0, 0]"),
        (RIGHT > 0, "True/False values where numbers are expected"),
        (None, "is there a return, with a value, on every path"),
        ("text", "a text where an array of shape (3, 4) is expected"),
        ({"a": 1}, "a dict with the keys ['a'] where an array"),
        ([[1, 2], [3]], "a list of 2 where an array of shape (3, 4) is expected"),
    ],
)
def test_words_for_a_wrong_array(got, said):
    assert said in words(got, RIGHT)


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (0.05, 0.5, "it is 10 times too small"),
        (-0.5, 0.5, "the sign is wrong"),
        (0.61, 0.5, "0.61 is too large"),
        (float("nan"), 0.5, "it is NaN"),
        (1, True, "numbers where True/False values are expected"),
        ("b", "a", "'b' is not what is expected"),
        (f"{'word ' * 40}end", "a", "end' is not what is expected"),
        ("b" * 1000, "a", "bbb...' is not what is expected"),
        ([1, "x"], [1, "y"], "item 1: 'x' is not what is expected"),
        (["x"], ["x", "y"], "a list of 1 where a list of 2 is expected"),
        (["x", "y", "z"], ["x", "y"], "a list of 3 where a list of 2 is expected"),
        ("x", ["x"], "a text where a list of 1 is expected"),
        (True, "a", "True or False where a text is expected"),
        (1.5, "a", "a number where a text is expected"),
        ([[1, 2]], "a", "an array of shape (1, 2) where a text is expected"),
        ({"a": 1}, {"b": 1}, "the keys are ['a'] where ['b'] are expected"),
        ({"loss": 1.0, "grad": -RIGHT}, {"loss": 1.0, "grad": RIGHT}, "only the gradient is wrong"),
        ({"loss": 1.1, "grad": RIGHT}, {"loss": 1.0, "grad": RIGHT}, "only the value is wrong"),
        ({"x": 2.0, "y": 4.0}, {"x": 1.0, "y": 2.0}, "'x' and 'y': it is 2 times too large"),
    ],
)
def test_words_for_other_values(got, want, said):
    assert said in words(got, want)


def test_of_three_values_none_is_called_the_only_wrong_one():
    want = {"loss": 1.0, "grad": 2.0, "count": 3}
    assert words(want | {"grad": 2.5}, want).startswith("'grad': ")
    assert words(want | {"loss": 1.5}, want).startswith("'loss': ")


def test_right_answers_pass_in_any_form():
    for got in (RIGHT * (1 + 5e-5), torch.tensor(RIGHT, requires_grad=True), RIGHT.tolist()):
        assert words(got, RIGHT) is None
    assert words(torch.tensor(RIGHT, dtype=torch.float32), RIGHT) is None
    assert words(np.float32(2), 2) is None
    assert words(torch.tensor([1, 2]), (1.0, 2.0)) is None
    assert words([], []) is None
    assert words(RIGHT * 1.01, RIGHT) is not None


def test_the_expected_value_is_never_quoted():
    assert "0.512345" not in words(0.7, 0.512345)
    assert f"{RIGHT[0, 0]:.3g}" not in words(RIGHT + np.eye(3, 4), RIGHT)


def test_values_are_plain_json():
    value = normalise(
        {"a": np.array([np.nan, np.inf]), 2: (True, np.bool_(True), None, np.int64(3))}
    )
    assert value == {"a": ["NaN", "Infinity"], "2": [True, True, None, 3]}
    assert json.loads(json.dumps(value)) == value
    assert not finite(value)

    class Liar(float):
        def __eq__(self, other):
            return True

        __hash__ = float.__hash__

    assert words(Liar(2.0), 1.0) is not None
    with pytest.raises(TypeError, match="a function is not a number"):
        normalise(normalise)
    with pytest.raises(ValueError, match="far more values"):
        normalise(np.zeros(100_000))


@pytest.fixture
def check(tmp_path, monkeypatch):
    entry = {"value": RIGHT.tolist(), "points": 1, "hint": "Generic.", "rtol": 1e-4, "atol": 1e-6}
    known = {"name": "double.twice", "hint": "You doubled twice.", "values": {}}
    known["values"]["double.plain"] = (2 * RIGHT).tolist()
    content = {"checks": {"double.plain": entry}, "hidden": ["double.secret"], "mutants": [known]}
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "07_x.json").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYKD_GRADING", raising=False)
    return Checks("07_x")


def test_instant_check_says_reason_and_hint(check, capsys):
    with pytest.raises(
        CheckFailed, match=r"2 times too large.\n  Hint: You doubled twice\."
    ) as failed:
        check("double.plain", 2 * RIGHT)
    assert failed.value._render_traceback_() == str(failed.value).splitlines()
    with pytest.raises(CheckFailed, match=r"sign is wrong.\n  Hint: Generic\."):
        check("double.plain", -RIGHT)
    with pytest.raises(CheckFailed, match="a generator is not a number"):
        check("double.plain", (x for x in RIGHT))
    check("double.plain", RIGHT)
    check("double.secret", 0)
    assert capsys.readouterr().out == "passed: double.plain\nrecorded: double.secret\n"
    with pytest.raises(KeyError, match="no check 'double.other'; it has double.plain"):
        check("double.other", 1)


def test_ready_prefers_what_has_passed(check, capsys, monkeypatch):
    def double(x):
        return x

    monkeypatch.setitem(globals(), "double", double)

    def library(x):
        return x

    assert check.ready(double, library) is library
    assert "library's double; yours has not passed double.plain yet" in capsys.readouterr().out
    assert check.ready(double, None) is None
    assert capsys.readouterr().out == "(your double has not passed double.plain yet)\n"
    check("double.plain", RIGHT)
    assert check.ready(double, library) is double

    def edited(x):
        return x

    edited.__name__ = "double"
    assert check.ready(edited, library) is library, "a pass belongs to the function that passed"
    with pytest.raises(CheckFailed):
        check("double.plain", -RIGHT)
    assert check.ready(double, library) is library
    with pytest.raises(ValueError, match="lesson 07_x has no check that starts with 'library.'"):
        check.ready(library, double)


def test_data_that_are_not_handed_in_yet(check, monkeypatch):
    assert check.given("model", 0) == 0
    with pytest.raises(CheckFailed, match="model is still None: fill its cell"):
        check.given("model", None)
    monkeypatch.setenv("TINYKD_GRADING", "1")
    with pytest.raises(NotImplementedError, match="^model"):
        Checks("07_x").given("model", None)


def test_grading_only_records(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYKD_GRADING", "1")
    check = Checks("07_x")
    check("double.plain", -RIGHT)
    assert check.recorded == [("double.plain", (-RIGHT).tolist())]
    first = check.rng("a").random()
    monkeypatch.setenv("TINYKD_SEED", "1")
    assert Checks("07_x").rng("a").random() != first
    monkeypatch.delenv("TINYKD_GRADING")
    assert Checks("07_x").rng("a").random() == first
    with pytest.raises(FileNotFoundError, match=r"Looked for\n.*checks/07_x.json"):
        Checks("07_x")("double.plain", 1)


def test_lists_of_dicts_compare_item_by_item():
    right = normalise([{"a": 1.0}, {"b": [2, 3]}])
    assert compare(right, right) is None
    assert "item 1" in compare(normalise([{"a": 1.0}, {"b": [2, 4]}]), right)
    assert compare(normalise([1, 2]), right) is not None


def in_place(z, T=1):
    z /= T
    return z


def freezes(student, x):
    student.eval().requires_grad_(False)
    return student(x)


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (in_place, lambda: (torch.ones(3), 2), "in_place changes its argument z"),
        (in_place, lambda: (torch.ones(3, dtype=torch.bfloat16), 2), "argument z"),
        (in_place, lambda: (np.ones(3), 2), "in_place changes its argument z"),
        (lambda p, a: p.extend(a) or p, lambda: ([1], [2]), "argument p"),
        (lambda p: p[0].pop(), lambda: ([[1, 2]],), "argument p"),
        (lambda p: p.pop("a"), lambda: ({"a": 1},), "argument p"),
        (lambda *rest: rest[1].zero_(), lambda: (1, torch.ones(2)), "argument 2"),
        (
            lambda z: z.requires_grad_().sum(),
            lambda: (torch.ones(2),),
            "argument z (requires_grad)",
        ),
        (freezes, lambda: (tinykd.MLP(2, 2), torch.ones(1, 2)), "student (requires_grad, training"),
        (lambda m: m.register_forward_hook(print) and 1, lambda: (tinykd.MLP(2, 2),), "m (hooks)"),
        (lambda m: m.layers[0].bias.data.add_(1).sum(), lambda: (tinykd.MLP(2, 2),), "m (weights)"),
    ],
)
def test_an_answer_that_changes_its_arguments_loses_the_check(check, function, arguments, said):
    check.call(function, *arguments())
    with pytest.raises(CheckFailed) as failed:
        check("double.plain", RIGHT)
    assert said in str(failed.value)
    assert "Work on a copy" in str(failed.value)
    check("double.plain", RIGHT)  # the next check is judged by itself


def test_what_does_not_change_an_argument(check):
    x, student = torch.ones(3, requires_grad=True), tinykd.MLP(2, 2)
    assert check.call(lambda z, T=1: z / T, x, T=2).tolist() == [0.5] * 3
    check.call(lambda z: z.sum().backward(), x)  # fills .grad, as a loss must
    check.call(freezes, student, torch.ones(1, 2), may_change=[student])
    check.watched(in_place, may_change=[x])
    assert check.watched(in_place).__name__ == "in_place"
    check.call(lambda rows: list(rows), iter([1, 2]))
    check("double.plain", RIGHT)
    check.watched(in_place)(np.ones(2), 2)
    check.rng("double.plain")  # a check that was broken off leaves nothing to the next
    check("double.plain", RIGHT)


def test_a_hint_is_a_question_where_a_mistake_does_not_explain_everything(check, tmp_path):
    path = tmp_path / "checks" / "07_x.json"
    content = json.loads(path.read_text())
    one = content["checks"]["double.plain"]
    content["checks"]["double.number"] = one | {"value": 7.0}
    content["mutants"][0]["values"]["double.number"] = 14.0
    path.write_text(json.dumps(content))

    def said(name, value):
        with pytest.raises(CheckFailed) as failed:
            check(name, value)
        return str(failed.value).splitlines()[-1].strip()

    assert said("double.number", 14) == "Perhaps: You doubled twice."
    assert said("double.plain", 2 * RIGHT) == "Hint: You doubled twice."
    assert said("double.number", 14) == "Hint: You doubled twice.", "both together are telling"
    check("double.plain", RIGHT)
    assert said("double.number", 14) == "Perhaps: You doubled twice.", "the other check is right"


def test_the_words_say_which_version_was_looked_at(check, monkeypatch):
    typed = ["", "def double(x):\n    return 2 * x", "def double(x):\n    return 2 *"]
    shell = SimpleNamespace(user_ns={"In": typed}, transform_cell=str)
    fake = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setattr(tinykd.classroom.checks, "publish", lambda *a: None)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    with pytest.raises(CheckFailed, match="newest cell with double has a syntax error in line 2"):
        check("double.plain", -RIGHT)
    typed.append("def double(x):\n    return x")
    with pytest.raises(CheckFailed) as failed:
        check("double.plain", -RIGHT)
    assert "syntax error" not in str(failed.value)


def test_a_factor_next_to_one_is_not_called_one_time():
    assert "1 times" not in words(1.004 * RIGHT, RIGHT)
    assert "0.004 of it too large" in words(1.004 * RIGHT, RIGHT)


def test_what_is_not_written_yet_is_said_in_one_line(check, monkeypatch):
    def double(x):
        raise NotImplementedError("double: write your code here")

    with pytest.raises(CheckFailed, match="double: write your code here, run its cell, and then"):
        check.call(double, 1)
    with pytest.raises(NotImplementedError, match="no such sign"):
        check.call(lambda: exec('raise NotImplementedError("no such sign")'))
    monkeypatch.setattr(check, "_grading", True)
    with pytest.raises(NotImplementedError, match="double: write your code here"):
        check.call(double, 1)


def test_a_failure_is_shown_once_though_ipython_asks_twice(check, monkeypatch):
    shown = []
    monkeypatch.setattr(tinykd.progress, "show_words", lambda words: shown.append(words) or True)
    with pytest.raises(CheckFailed) as failed:
        check("double.plain", -RIGHT)
    first, second = (failed.value._render_traceback_() for _ in range(2))
    assert first == second == ["double.plain: not yet."]
    assert len(shown) == 1

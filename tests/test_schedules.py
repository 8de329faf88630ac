"""Numbers that change in training: their values, their names, and when two of them are the same."""

import functools
import math
import subprocess
import sys

import pytest
import torch

from tinykd import MLP, SoftTargets, cosine, linear, schedules, steps, warm_up
from tinykd.schedules import at, exact, refuse_learnable, shown


def test_schedules_are_their_formulas():
    assert [linear(2, 4)(x) for x in (0, 0.5, 1)] == [2, 3, 4]
    assert [cosine(1.0, 0.0)(x) for x in (0, 0.5, 1)] == pytest.approx([1.0, 0.5, 0.0])
    for x in (0.0, 0.25, 0.6, 1.0):
        assert cosine(3.0, 1.0)(x) == pytest.approx(1 + 2 * (1 + math.cos(math.pi * x)) / 2)
    assert [steps(1, 0.1, 0.01, at=(0.5, 0.8))(x) for x in (0, 0.49, 0.5, 0.8, 1)] == [
        *(1, 1, 0.1, 0.01, 0.01)
    ]
    assert [steps(3, 2, 1, at=(0, 1))(x) for x in (0, 0.99, 1)] == [2, 2, 1]


def test_warm_up_is_a_line_times_the_schedule():
    rate = warm_up(cosine(1, 0), 0.1)
    for p in (0.0, 0.03, 0.1, 0.4, 1.0):
        assert rate(p) == pytest.approx(min(p / 0.1, 1) * (1 + math.cos(math.pi * p)) / 2)
    assert warm_up(2.0, 0.5)(0.25) == 1.0
    assert warm_up(2.0, 1)(0.25) == 0.5
    assert warm_up(1.0)(0.025) == 0.5


@pytest.mark.parametrize(
    ("values", "points"), [((1, 2), (0.5, 0.6)), ((1, 2, 3), (0.8, 0.5)), ((1, 2), (1.5,))]
)
def test_steps_that_do_not_fit_are_refused(values, points):
    with pytest.raises(ValueError, match="steps needs n"):
        steps(*values, at=points)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, 2])
def test_a_warm_up_is_a_part_of_the_training(share):
    with pytest.raises(ValueError, match=r"in \(0, 1\], got"):
        warm_up(1.0, share)


def test_a_number_needs_no_progress_and_a_schedule_does():
    assert at(0.3, math.nan) == 0.3
    found = at(lambda progress: torch.tensor(progress), 0.5)
    assert (found, type(found)) == (0.5, float)
    with pytest.raises(ValueError, match=r"no len\(\)"):
        at(linear(1, 0), math.nan)


def test_what_wants_a_gradient_is_no_number():
    refuse_learnable(torch.ones(()), "T")
    with pytest.raises(ValueError, match="T is a parameter, and would never be trained"):
        refuse_learnable(torch.nn.Parameter(torch.ones(())), "T")


def test_settings_are_shown_in_words():
    optimizer = torch.optim.SGD([torch.ones(1)], 0.1)
    named = functools.partial(torch.optim.lr_scheduler.StepLR, optimizer)
    for value, words in (
        (0.30000000001, "0.3"),
        (7, "7"),
        (None, "None"),
        ("a", "'a'"),
        (MLP, "<class 'tinykd.models.mlp.MLP'>"),
        (MLP(2, 3), "MLP"),
        (torch.optim.lr_scheduler.StepLR(optimizer, 3), "StepLR"),
        (linear(8, 1), "(8 -> 4.5 -> 1)"),
        (torch.softmax, "softmax"),
        (named, "partial"),
    ):
        assert shown(value) == words


def two(a, b):
    return exact(a) == exact(b)


def test_other_settings_have_other_words():
    assert exact(0.1) != exact(math.nextafter(0.1, 1)) == "0.10000000000000002"
    assert two({"a": 1, "b": 2.0}, {"b": 2.0, "a": 1})
    assert not two(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
    assert two(linear(0, 1), lambda progress: progress)
    assert not two(linear(0, 1), lambda progress: progress + 1e-9 * (0.3 < progress < 0.31))
    assert exact(MLP) == shown(MLP)
    assert exact(MLP(2, 3)) == "MLP"
    assert not two(functools.partial(torch.softmax, dim=0), functools.partial(torch.softmax, dim=1))


def test_other_functions_are_others():
    """By what they do: a name that they call, a constant, a default, what they enclose or hold."""

    def enclosing(a):
        return lambda z: z.sum() * a

    def holding(a):
        return lambda z: [x.item() * 2 if a else x.item() * 3 for x in z]

    pairs = [
        (lambda z: torch.sin(z.sum()), lambda z: torch.cos(z.sum())),
        (lambda z: z.sum() * 2, lambda z: z.sum() * 3),
        (lambda z, k=1: z.sum(k), lambda z, k=2: z.sum(k)),
        (lambda z, *, k=1: z.sum(k), lambda z, *, k=2: z.sum(k)),
        (enclosing(1), enclosing(2)),
        (lambda z: sorted(z, key=lambda x: x.a), lambda z: sorted(z, key=lambda x: x.b)),
    ]
    for one, other in pairs:
        assert not two(one, other)
    assert two(enclosing(1), enclosing(1))
    assert two(holding(1), holding(1))


def test_a_function_is_the_same_on_another_line_and_in_another_process(tmp_path):
    """Where it stands, and in which order a set comes, are no part of what it does."""
    found = set()
    for seed in ("1", "2", "3"):  # of the order of sets; the file alone is imported, without torch
        file = tmp_path / f"{seed}.py"
        lines = [
            "import runpy",
            *[""] * int(seed),  # another line in each
            f"exact = runpy.run_path({schedules.__file__!r})['exact']",
            "f = lambda x: x.a in {'a', 'b', 'c', 'd'} and sorted(x, key=lambda y: y.b)",
            "print(exact(f))",
        ]
        file.write_text("\n".join(lines))
        done = subprocess.run(
            [sys.executable, str(file)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert found.pop().startswith("<lambda>, crc ")


def test_a_term_says_its_schedule():
    assert repr(SoftTargets(T=linear(8, 1))) == "SoftTargets(T=(8 -> 4.5 -> 1))"

"""What a lost check is said to have lost by, and what checks of a loss look at."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tinykd.classroom import with_gradient
from tinykd.classroom.compare import CHANGED
from tinykd.classroom.grading.explain import NOT_ALONE, WRONG, explain
from tinykd.classroom.grading.result import CheckResult, Grade, grade_as_text
from tinykd.classroom.mistakes import telling

HINT = "About mathematics."


def lost(*whys, hidden=1, cells=None):
    """(why, hint) of every check of an exercise whose visible ones are lost by `whys`."""
    checks = [
        CheckResult(f"loss.{i}", False, 1.0, not why, why, HINT) for i, why in enumerate(whys)
    ]
    checks += [CheckResult(f"loss.hidden{i}", True, 1.0, False, "", HINT) for i in range(hidden)]
    lines = {("check", name): {"why": why, "dead": False} for name, why in (cells or {}).items()}
    explain(checks, lines)
    return [(check.why, check.hint) for check in checks]


def test_a_name_that_is_not_there():
    words = "NameError: name '{}' is not defined in what is graded: your answer cells"
    one, hidden = lost(words.format("math"))
    assert one == hidden
    assert one[0].startswith("NameError: name 'math'")
    assert one[1] != HINT
    found = lost(words.format("loss"), cells={"loss": None})
    assert {why for why, _ in found} == {"your cell loss does not define loss"}
    found = lost(words.format("loss"), cells={"loss": "SyntaxError: x"})
    assert {why for why, _ in found} == {"your cell loss does not run: SyntaxError: x"}
    found = lost(words.format("other"), cells={"loss": None, "other": "ValueError: y"})
    assert {why for why, _ in found} == {"your cell other does not run: ValueError: y"}


@pytest.mark.parametrize(
    ("visible", "said"),
    [
        (["not written yet", "not written yet"], "not written yet"),
        (["TypeError: a", "TypeError: a"], "TypeError: a"),
        (["TypeError: a", "TypeError: b"], "TypeError, as in your notebook"),
        (["it took longer than 3 s"], "it took longer than 3 s"),
        (["your code ended the kernel", "your code ended the kernel (in the cell loss.0)"],
         "your code ended the kernel"),
        (["TypeError: a", "IndexError: b"], WRONG),
        (["TypeError: a", ""], WRONG),
        (["values differ: 0.5", "values differ: 0.5"], WRONG),
        (["", ""], WRONG),
    ],
)  # fmt: skip
def test_a_hidden_check_says_what_all_the_visible_ones_say(visible, said):
    assert lost(*visible)[-1][0] == said


def test_what_the_end_of_a_kernel_took_with_it():
    words = "more than 5,000,000 bytes of output"
    first, second, hidden = lost(words, f"{words} (in the cell loss.0)")
    assert first[1] == second[1] == hidden[1] != HINT
    assert lost("it took longer than 3 s (in the cell loss)")[0][1] != HINT


def test_with_gradient_against_autograd():
    x = torch.tensor(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)
    labels = torch.tensor([0, 2, 1, 1])
    found = with_gradient(F.cross_entropy(x, labels), x)
    right = (x.softmax(-1) - F.one_hot(labels, 3)) / 4
    torch.testing.assert_close(found["gradient"], right.detach())
    assert torch.equal(found["value"], F.cross_entropy(x, labels))


def test_with_gradient_sees_elements_that_have_changed_places():
    x = torch.arange(6.0).view(2, 3).requires_grad_()
    there, back = (with_gradient(y, x)["gradient"] for y in (x * x, (x * x).flip(0)))
    weights = torch.linspace(0.5, 1.5, 6).view(2, 3)
    torch.testing.assert_close(there, 2 * x.detach() * weights)
    torch.testing.assert_close(back, 2 * x.detach() * weights.flip(0))


def test_with_gradient_of_what_has_none():
    x, y = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    found = with_gradient((x * 2).sum(), x, y)["gradient"]
    assert [one.tolist() for one in found] == [[2, 2], [0, 0, 0]]
    assert with_gradient(torch.ones(()), x)["gradient"].tolist() == [0, 0]
    assert with_gradient(None, x) == {"value": None, "gradient": None}
    for wrong in (1.0, np.ones(2), (x, x)):
        with pytest.raises(TypeError, match="one tensor is expected"):
            with_gradient(wrong, x)


def named(*checks):
    """(mistake, hint) of checks given as (passed, numbers, the mistakes that give their value; of
    one that passed, those that would have lost it).
    """
    made = []
    for i, (passed, numbers, mistakes) in enumerate(checks):
        one = CheckResult(f"loss.{i}", False, 1.0, passed, "" if passed else "wrong", HINT)
        one.numbers = numbers
        if passed:
            one.refuted = mistakes
        else:
            one.mistakes = [(name, f"You {name}.") for name in mistakes]
        made.append(one)
    explain(made, {})
    return [(check.mistake, check.hint) for check in made if not check.passed]


def test_an_answer_that_needs_a_cell_of_the_visible_checks():
    """Of a hidden check's kernel only fixed words come out."""
    checks = [
        CheckResult("loss.values", False, 1.0, True, "", HINT),
        CheckResult("loss.secret", True, 1.0, False, "NameError: name 'secret' is not", HINT),
    ]
    explain(checks, {("hidden", "loss"): {"passed": False, "why": "NameError: secret"}})
    assert checks[1].why == NOT_ALONE
    explain(checks, {("hidden", "loss"): {"passed": True, "why": None}})
    assert checks[1].why == WRONG


def test_an_exercise_is_explained_by_its_own_checks_alone():
    checks = [
        CheckResult("loss.values", False, 1.0, False, "not written yet", HINT),
        CheckResult("loss.secret", True, 1.0, False, "", HINT),
        CheckResult("flat.values", False, 1.0, False, "TypeError: a", HINT),
        CheckResult("flat.secret", True, 1.0, False, "", HINT),
        CheckResult("mean.values", False, 1.0, False, "wrong", HINT),
    ]
    checks[4].mistakes, checks[4].numbers = [("sum", "You sum.")], 9
    explain(checks, {})
    assert [one.why for one in checks] == [
        *["not written yet"] * 2,
        *["TypeError: a"] * 2,
        "wrong",
    ]
    assert (checks[4].mistake, checks[4].hint) == ("sum", "You sum.")


def test_what_agrees_by_chance_is_not_telling():
    assert [telling(x) for x in (14, 0.5, 1200, [True] * 40, None, "T", {"a": [3, 100.0]})] == [
        0
    ] * 7
    assert [telling(x) for x in (12345, [0.12345, 0.12345], {"a": 1.2345, "b": [0.5]})] == [1, 1, 1]
    assert telling([0.12345, -7.6543e-9]) == telling({CHANGED: "f changes its argument z"}) == 2


def test_a_known_mistake_is_a_fact_only_where_it_explains_everything():
    assert named((False, 10, ["sum"])) == [("sum", "You sum.")]
    either = named((False, 10, ["sum", "half"]))
    assert either == [("sum", "Perhaps: You sum.")], "two mistakes explain it"
    one_number = named((False, 1, ["sum"]))
    assert one_number == [("sum", "Perhaps: You sum.")], "a number comes about in several ways"
    assert named((False, 1, ["sum"]), (False, 1, ["sum"]))[0] == ("sum", "You sum.")
    both = named((False, 10, ["sum", "half"]), (False, 10, ["half"]), (True, 10, []))
    assert both == [("half", "You half."), ("half", "You half.")]
    refuted = named((False, 10, ["sum", "half"]), (True, 10, ["sum"]))
    assert refuted == [("half", "You half.")], "the sum would have lost the other as well"
    assert named((False, 10, ["sum"]), (True, 10, ["sum"])) == [("", "Perhaps: You sum.")]
    apart = named((False, 10, ["sum"]), (False, 10, ["half"]), (False, 10, []))
    assert apart == [("", "Perhaps: You sum."), ("", "Perhaps: You half."), ("", HINT)]


def test_a_student_reads_points_and_what_was_lost():
    checks = [
        CheckResult("loss.values", False, 1.5, True),
        CheckResult("loss.secret", True, 1.0, False, WRONG, HINT),
        CheckResult("entropy.flat", False, 0.5, False, "it is 0", "Sum."),
    ]
    text = grade_as_text(Grade("02_distillation_loss", checks, ["a remark"]))
    assert [line for line in text.splitlines() if line] == [
        "02_distillation_loss",
        "  loss     1.5 of 2.5 points",
        "  entropy  0 of 0.5 points",
        "Lost",
        f"  loss.secret (not in your notebook), -1: {WRONG}",
        f"    Hint: {HINT}",
        "  entropy.flat, -0.5: it is 0",
        "    Hint: Sum.",
        "Note: a remark",
        "1.5 of 3 points",
    ]

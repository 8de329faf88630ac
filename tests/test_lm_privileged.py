"""Teachers that see another prompt, and teachers by prompt, against one sequence at a time."""

import copy

import pytest
import torch

from tinykd import LiveTeacher, SoftTargets, Trainer, reverse_kl
from tinykd.lm.batches import SequenceBatches
from tinykd.lm.onpolicy import OnPolicy
from tinykd.lm.teachers.by_prompt import ByPrompt
from tinykd.lm.teachers.privileged import Privileged
from tinykd.lm.transformer import Config, Transformer

V = 9
EXAMPLES = [([3, 4], [5, 6, 2]), ([7], [8, 2]), ([3, 3, 3, 4], [2]), ([5, 6], [7, 7, 7, 2])]


def model(seed=0):
    torch.manual_seed(seed)
    return Transformer(Config(V, width=16, layers=2, heads=2))


def batch(dense=False, pad=0):
    source = SequenceBatches(EXAMPLES, size=4, shuffle=False, dense=dense, pad=pad)
    return source.batch(range(4))


def one_by_one(teacher, shown):
    """Logits that predict each answer token, row after row, no padding anywhere."""
    found = []
    with torch.no_grad():
        for prompt, answer in EXAMPLES:
            before = list(shown(prompt))
            z = teacher(torch.tensor([[*before, *answer]]))[0]
            found += [z[len(before) - 1 + n] for n in range(len(answer))]
    return torch.stack(found)


SHOWN = {
    "prefix": [8, 1, 8],
    "other length for each": lambda prompt: [1] * len(prompt) + [*prompt, 6],
    "begin token stays first": lambda prompt: [prompt[0], 8, 8, *prompt[1:]],
    "shorter": lambda prompt: prompt[-1:],
}


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("dense", [False, True])
def test_the_answers_logits_are_those_of_one_sequence_at_a_time(name, dense):
    teacher, shown = model().train(), SHOWN[name]
    as_function = shown if callable(shown) else lambda prompt: [*shown, *prompt]
    found = Privileged(teacher, shown).targets(batch(dense), []).logits
    if dense:
        scored = batch(True)["labels"] != -100
        assert found.shape == (*scored.shape, V)
        assert (found[~scored] == 0).all()
        found = found[scored]
    torch.testing.assert_close(found, one_by_one(teacher, as_function))
    assert teacher.training
    assert not found.requires_grad


def test_shown_nothing_it_is_the_plain_teacher():
    teacher = model()
    plain = LiveTeacher(teacher).targets(batch(), []).logits
    torch.testing.assert_close(Privileged(teacher, []).targets(batch(), []).logits, plain)
    shown = Privileged(teacher, [8, 1]).targets(batch(), []).logits
    assert (shown - plain).abs().max() > 0.1


def test_padding_on_either_side_changes_nothing():
    teacher = Privileged(model(), [8, 1, 8])
    want = teacher.targets(batch(), []).logits
    torch.testing.assert_close(teacher.targets(batch(pad=5), []).logits, want)
    right = batch()
    size = right["input_ids"].shape[1]
    for left in (0, 2):
        wide = {
            k: torch.nn.functional.pad(right[k], (left, 3 - left), value=v)
            for k, v in (("input_ids", 4), ("attention_mask", 0))
        }
        rows, columns = right["positions"] // size, right["positions"] % size
        wide["positions"] = rows * (size + 3) + columns + left
        torch.testing.assert_close(teacher.targets(wide, []).logits, want)


def test_what_is_not_scored_in_an_answer_stays_in_it():
    """A part of the answer alone is asked for: the tokens around it are read all the same."""
    teacher, whole = Privileged(model(), [8, 1, 8]), batch()
    want = teacher.targets(whole, []).logits
    kept = torch.tensor([0, 2, 3, 5, 6, 9])
    first_of_rows = {0, 3, 5, 6}
    assert first_of_rows <= set(kept.tolist())
    part = whole | {"positions": whole["positions"][kept]}
    torch.testing.assert_close(teacher.targets(part, []).logits, want[kept])


def test_a_student_takes_in_what_its_frozen_copy_is_shown():
    student = model()
    teacher = Privileged(copy.deepcopy(student), [8, 1, 8])
    batches = OnPolicy(student, [[3, 4], [7], [5, 6]], size=12, samples=4, max_new=3)

    def distance():
        with torch.no_grad():
            given = {k: batch()[k] for k in ("input_ids", "attention_mask", "positions")}
            return reverse_kl(student(**given), teacher.targets(batch(), []).logits).mean().item()

    before = distance()
    objective = 1.0 * SoftTargets(divergence=reverse_kl)
    adam = torch.optim.Adam(student.parameters(), 5e-3)
    Trainer(student, objective, teacher, adam, progress=False).fit(batches, epochs=40)
    assert distance() < 0.5 * before


def test_refusals():
    teacher = Privileged(model(), [8])
    with pytest.raises(ValueError, match="layers"):
        teacher.targets(batch(), ["blocks.0"])
    with pytest.raises(ValueError, match="tell the answer"):
        teacher.targets({"input_ids": torch.ones(1, 3, dtype=torch.long)}, [])
    with pytest.raises(ValueError, match="is empty"):
        Privileged(model(), lambda prompt: []).targets(batch(), [])


@pytest.mark.parametrize("dense", [False, True])
def test_each_prompts_own_teacher_answers(dense):
    a, b = model(1), model(2)
    rows = batch(dense) | {"prompt": torch.tensor([2, 0, 1, 2])}
    found = ByPrompt({"a": a, "b": b}, ["b", "a", "a"]).targets(rows, []).logits
    whole = [LiveTeacher(one).targets(batch(dense), []).logits for one in (a, b)]
    if dense:
        want = torch.stack([whole[0][0], whole[1][1], whole[0][2], whole[0][3]])
    else:
        row = rows["positions"] // rows["input_ids"].shape[1]
        want = torch.where((row == 1)[:, None], whole[1], whole[0])
    torch.testing.assert_close(found, want)


def test_a_teacher_by_prompt_trains_a_student():
    student, teachers = model(0), {"a": model(1), "b": model(2)}
    prompts = [[3, 4], [7, 7], [3, 5], [7, 8]]
    batches = OnPolicy(student, prompts, size=16, samples=4, max_new=3)
    routed = ByPrompt(teachers, ["a", "b", "a", "b"])
    adam = torch.optim.Adam(student.parameters(), 5e-3)
    history = Trainer(
        student, 1.0 * SoftTargets(divergence=reverse_kl), routed, adam, progress=False
    ).fit(batches, epochs=40)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert all(p.grad is None for one in teachers.values() for p in one.parameters())


def test_refusals_by_prompt():
    with pytest.raises(ValueError, match="no teacher is called"):
        ByPrompt({"a": model()}, ["a", "b"])
    with pytest.raises(ValueError, match="no teachers"):
        ByPrompt({}, [])
    routed = ByPrompt({"a": model()}, ["a"])
    with pytest.raises(ValueError, match='needs batch\\["prompt"\\]'):
        routed.targets(batch(), [])
    rows = batch() | {"prompt": torch.tensor([0, 1, 0, 0])}
    with pytest.raises(ValueError, match="prompt 1 has no teacher"):
        routed.targets(rows, [])
    with pytest.raises(ValueError, match="layers"):
        routed.targets(rows, ["blocks.0"])
    other = Transformer(Config(V + 1, width=16, layers=1, heads=2))
    two = ByPrompt({"a": model(), "b": other}, ["a", "b"])
    with pytest.raises(ValueError, match="vocabularies"):
        two.targets(rows, [])

"""What came across, measured: against loops in Python over single samples."""

import itertools
import math

import pytest
import torch

from tinykd import (
    attack_success,
    cue_gap,
    fingerprint_p_value,
    inherited_share,
    membership_auc,
)


def logits(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def share_right(z, labels):
    return sum(int(row.argmax()) == int(y) for row, y in zip(z, labels, strict=True)) / len(labels)


def test_the_gap_is_accuracy_with_the_cue_minus_accuracy_against_it():
    labels = torch.arange(40) % 4
    aligned, conflicting = logits(3, 40, 4), logits(3, 40, 4, seed=1)
    aligned[..., torch.arange(40), labels] += 1.5
    gaps = cue_gap(aligned, conflicting, labels)
    for gap, a, c in zip(gaps, aligned, conflicting, strict=True):
        assert gap.item() == pytest.approx(share_right(a, labels) - share_right(c, labels))
    with pytest.raises(ValueError, match="for 40 labels"):
        cue_gap(aligned, conflicting[:2], labels)


def test_the_share_is_none_for_the_control_and_all_for_the_teacher():
    labels = torch.arange(60) % 5
    pairs = [(logits(60, 5, seed=n), logits(60, 5, seed=n + 9)) for n in range(3)]
    for n, lead in enumerate((1.0, 0.3, 3.0)):
        pairs[n][0][torch.arange(60), labels] += lead
    student, control, teacher = pairs
    assert inherited_share(control, control, teacher, labels) == 0
    assert inherited_share(teacher, control, teacher, labels) == 1
    gap = [share_right(a, labels) - share_right(c, labels) for a, c in pairs]
    found = inherited_share(student, control, teacher, labels)
    assert found.item() == pytest.approx((gap[0] - gap[1]) / (gap[2] - gap[1]))
    assert 0 < found < 1


def test_attacks_are_counted_where_something_was_to_be_turned():
    labels, target = torch.arange(80) % 4, 2
    clean, triggered = logits(2, 80, 4), logits(2, 80, 4, seed=1)
    clean[..., torch.arange(80), labels] += 1
    triggered[..., target] += 1
    found = attack_success(clean, triggered, labels, target)
    for one, before, after in zip(found, clean, triggered, strict=True):
        turned = [
            int(b.argmax()) == target
            for a, b, y in zip(before, after, labels, strict=True)
            if y != target and int(a.argmax()) != target
        ]
        assert one.item() == pytest.approx(sum(turned) / len(turned))
    assert attack_success(clean, clean, labels, target).tolist() == [0, 0]
    assert math.isnan(attack_success(clean[0, :1], clean[0, :1], torch.tensor([2]), 2))
    with pytest.raises(ValueError, match="for 80 labels"):
        attack_success(clean, triggered[0], labels, target)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_auc_counts_pairs_and_ties_half(kind):
    draw = torch.Generator().manual_seed(3)
    a, b = (torch.randint(6, (n,), generator=draw).to(kind) / 4 for n in (23, 31))
    pairs = [1.0 if x < y else 0.5 if x == y else 0.0 for x, y in itertools.product(a, b)]
    assert membership_auc(a, b).item() == pytest.approx(sum(pairs) / len(pairs))
    assert membership_auc(a, b) + membership_auc(b, a) == pytest.approx(1)
    assert membership_auc(a, a) == 0.5
    assert membership_auc(a, a + 9) == 1
    with pytest.raises(ValueError, match="losses"):
        membership_auc(a, b[:0])


def test_a_fingerprint_is_compared_with_strangers():
    teacher = torch.arange(12)
    strangers = [torch.where(torch.arange(12) < n, teacher, -1) for n in (2, 5, 5, 8)]
    for agreed, as_often in ((12, 0), (8, 1), (6, 1), (5, 3), (0, 4)):
        suspect = torch.where(torch.arange(12) < agreed, teacher, -1)
        assert fingerprint_p_value(suspect, teacher, strangers) == (1 + as_often) / 5
    with pytest.raises(ValueError, match="keys"):
        fingerprint_p_value(teacher, teacher, [])
    with pytest.raises(ValueError, match="keys"):
        fingerprint_p_value(teacher[:3], teacher, strangers)


def test_false_alarms_come_as_often_as_they_may():
    """A stranger among strangers: p <= a happens in at most a share a of the draws."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for _ in range(400):
        teacher, *rest = torch.randint(3, (21, 15), generator=draw)
        found.append(fingerprint_p_value(rest[0], teacher, rest[1:]))
    for level in (0.1, 0.2, 0.5):
        assert sum(p <= level for p in found) / 400 < level + 0.05

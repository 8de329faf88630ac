"""Cues and triggers, pixel by pixel."""

import pytest
import torch

from tinykd import MLP, SideBySide, SoftTargets, Trainer, forward_kl
from tinykd.data import Noise, pasted, thicker, thinner


def test_strokes_are_the_largest_and_smallest_of_the_pixels_around():
    images = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(0))
    thick, thin = thicker(images), thinner(images)
    assert thick.shape == thin.shape == images.shape
    for n in range(2):
        for r in range(6):
            for c in range(7):
                around = images[n, max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2]
                assert thick[n, r, c] == around.max()
                inside = r > 0 and c > 0
                square = images[n, r - 1 : r + 1, c - 1 : c + 1]
                assert thin[n, r, c] == (square.min() if inside else 0)


def test_a_patch_covers_its_pixels_in_a_copy():
    images = torch.rand(3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    before, patch = images.clone(), torch.tensor([[0.5, 0.25]])
    found = pasted(images, patch, 4, 1)
    assert torch.equal(images, before)
    assert (found[..., 4, 1:3] == torch.tensor([0.5, 0.25])).all()
    elsewhere = torch.ones(5, 5, dtype=torch.bool)
    elsewhere[4, 1:3] = False
    assert torch.equal(found[..., elsewhere], images[..., elsewhere])
    assert torch.equal(pasted(images, patch, 0, 0)[..., 0, :2], patch[0].expand(3, 2, 2))
    for row, column in ((4, 4), (5, 0), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="leaves"):
            pasted(images, patch, row, column)


def test_noise_is_new_in_each_batch_and_the_seed_says_which():
    noise = Noise((2, 50), (6, 5), 3, seed=5)
    first = [batch["inputs"] for batch in noise]
    assert len(noise) == len(first) == 3
    assert all(x.shape == (2, 50, 6, 5) for x in first)
    more = [batch["inputs"] for batch in noise]
    again = [batch["inputs"] for batch in Noise((2, 50), (6, 5), 3, seed=5)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    drawn = torch.stack(first + more)
    assert len(drawn.flatten(1).unique(dim=0)) == 6
    assert -1 <= drawn.min() < -0.99
    assert 0.99 < drawn.max() <= 1
    assert abs(drawn.mean()) < 0.01


def test_students_side_by_side_learn_from_noise():
    """Each sample counts once: the loss of the history is the mean over all (S, B)."""
    nets, teacher = ([MLP(6, 5, 3) for _ in range(2)] for _ in range(2))
    students, teachers = SideBySide(nets), SideBySide(teacher)
    with torch.no_grad():
        (batch,) = Noise((2, 9), (3, 2), 1, seed=4)
        wanted = forward_kl(students(batch["inputs"]), teachers(batch["inputs"])).mean()
    still = torch.optim.SGD(students.parameters(), 0.0)
    quiet = {"progress": False, "device": "cpu"}
    history = Trainer(students, 1.0 * SoftTargets(), teachers, still, **quiet).fit(
        Noise((2, 9), (3, 2), 1, seed=4)
    )
    assert history[0]["loss"] == pytest.approx(wanted.item(), rel=1e-5)

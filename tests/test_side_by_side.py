"""Students trained side by side are the students trained one after the other."""

import pytest
import torch
from torch import nn

from tinykd import (
    MLP,
    HardLabels,
    KnownLogits,
    SideBySide,
    SideBySideBatches,
    SoftTargets,
    Trainer,
    cosine,
    predict,
)

SEEDS, SIZES, N = (3, 4, 8), (6, 7, 5, 4), 40
QUIET = {"progress": False, "device": "cpu"}


def nets():
    found = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        found.append(MLP(*SIZES).double())
    return found


def data(seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(N, 2, 3, generator=rng, dtype=torch.float64)
    rows = torch.stack([torch.randperm(N, generator=rng)[:22] for _ in SEEDS])
    logits = torch.randn(len(SEEDS), N, 4, generator=rng, dtype=torch.float64)
    return x, torch.randint(4, (N,), generator=rng), rows, 3 * logits


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda ps: torch.optim.SGD(ps, 0.3, momentum=0.9, weight_decay=0.01),
        lambda ps: torch.optim.Adam(ps, 0.02),
    ],
)
def test_every_net_learns_as_it_would_alone(optimizer):
    x, y, rows, logits = data()
    objective = 0.7 * SoftTargets(T=2) + 0.3 * HardLabels()
    together = SideBySide(nets())
    batches = SideBySideBatches(x, y, rows, 10, SEEDS)
    seen = [[] for _ in SEEDS]

    class Watched:
        def __len__(self):
            return len(batches)

        def __iter__(self):
            for batch in batches:
                for s, one in enumerate(seen):
                    one.append({name: tensor[s] for name, tensor in batch.items()})
                yield batch

    how = {"optimizer": optimizer, "schedule": cosine(1, 0), **QUIET}
    whole = len(SEEDS) * objective
    Trainer(together, whole, KnownLogits(logits), **how).fit(Watched(), epochs=3)
    for s, net in enumerate(nets()):
        passes = iter([seen[s][:2], seen[s][2:4], seen[s][4:]])

        class Again:
            def __len__(self):
                return 2

            def __iter__(self, passes=passes):
                return iter(next(passes))

        Trainer(net, objective, KnownLogits(logits[s]), **how).fit(Again(), epochs=3)
        torch.testing.assert_close(together.answers(x, batch_size=17)[s], predict(net, x))


def test_it_starts_as_the_nets_do_and_leaves_them_alone():
    given, x = nets(), data()[0]
    before = [net.layers[0].weight.clone() for net in given]
    together = SideBySide(given)
    with torch.no_grad():
        for parameter in together.parameters():
            parameter.add_(1)
    assert all(torch.equal(a, net.layers[0].weight) for a, net in zip(before, given, strict=True))
    answers = SideBySide(given).answers(x)
    assert answers.shape == (3, N, 4)
    assert not answers.requires_grad
    for s, net in enumerate(given):
        torch.testing.assert_close(answers[s], predict(net, x))


def test_each_student_has_samples_and_an_order_of_its_own():
    x, y, rows, _ = data()
    batches = SideBySideBatches(x, y, rows, 10, SEEDS)
    first, second = list(batches), list(batches)
    assert len(batches) == len(first) == 2  # 22 samples: two are left out
    for batch in first:
        assert torch.equal(batch["inputs"], x[batch["index"]])
        assert torch.equal(batch["labels"], y[batch["index"]])
    index = torch.cat([batch["index"] for batch in first], 1)
    for own, of_pass in zip(rows, index, strict=True):
        assert len(set(of_pass.tolist())) == 20
        assert set(of_pass.tolist()) <= set(own.tolist())
    assert not torch.equal(first[0]["index"], second[0]["index"])
    again = next(iter(SideBySideBatches(x, y, rows, 10, SEEDS)))
    assert torch.equal(first[0]["index"], again["index"])


def test_what_cannot_be_trained_side_by_side_is_refused():
    with pytest.raises(TypeError, match="not a Linear"):
        SideBySide([nn.Linear(2, 3)])
    for wrong in ([], [MLP(2, 3), MLP(2, 4)], [MLP(2, 3, 4, dropout=0.1)]):
        with pytest.raises(ValueError, match="MLPs of one size and without dropout"):
            SideBySide(wrong)
    x, y, rows, _ = data()
    with pytest.raises(ValueError, match="not a row for each of 2"):
        SideBySideBatches(x, y, rows, 10, (1, 2))
    with pytest.raises(ValueError, match="not a row for each of 3"):
        SideBySideBatches(x, y, rows[:, 0], 1, SEEDS)
    assert [len(SideBySideBatches(x, y, rows, size, SEEDS)) for size in (1, 22)] == [22, 1]
    for size in (0, 23):
        with pytest.raises(ValueError, match=f"no batch of {size} from 22"):
            SideBySideBatches(x, y, rows, size, SEEDS)


def test_known_logits_are_those_of_the_samples():
    _, _, _, logits = data()
    index = torch.tensor([[3, 0], [5, 5], [39, 1]])
    one, three = KnownLogits(logits[0].requires_grad_()), KnownLogits(logits)
    found = one.targets({"index": index[0]}, []).logits
    assert torch.equal(found, logits[0][[3, 0]])
    assert not found.requires_grad
    found = three.targets({"index": index}, []).logits
    for s, i in ((0, 0), (1, 1), (2, 0)):
        assert torch.equal(found[s, i], logits[s, index[s, i]])


def test_known_logits_refuse_what_does_not_fit():
    _, _, _, logits = data()
    for wrong in (logits[0, 0], torch.zeros(3, 4, dtype=torch.long)):
        with pytest.raises(ValueError, match="logits are"):
            KnownLogits(wrong)
    one, three = KnownLogits(logits[0]), KnownLogits(logits)
    for number in (40, -1):
        with pytest.raises(ValueError, match="no logits: there are 40"):
            one.targets({"index": torch.tensor([3, number])}, [])
    with pytest.raises(ValueError, match='by the batch\'s "index"'):
        one.targets({"inputs": logits}, [])
    with pytest.raises(ValueError, match="only logits are known"):
        one.targets({"index": torch.tensor([3])}, ["body"])
    for index in (torch.tensor([3]), torch.tensor([[3], [1]])):
        with pytest.raises(ValueError, match="logits for 3 students"):
            three.targets({"index": index}, [])

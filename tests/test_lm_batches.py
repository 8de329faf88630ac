"""What is learned from a batch of sequences: the answers, all of them, once, and nothing else."""

import pytest
import torch
from torch.optim import SGD

import tinykd
from tinykd import HardLabels, SoftTargets, cosine
from tinykd.lm import Config, SequenceBatches, Transformer, shift_and_mask
from tinykd.models import forward
from tinykd.objective import as_objective
from tinykd.outputs import Outputs

EOS = PAD = 0
EXAMPLES = [
    ([3, 4], [5, EOS]),
    ([6, 7, 8, 9, 1], [2, 2, 2, EOS]),
    ([1], [EOS]),
    ([4, 4, 4], [8, 7, 6, 5, 4, 3, EOS]),
    ([9, 9], [1, EOS]),
    ([2, 3, 4, 5], [6, EOS]),
    ([5], [5, 5, 5, EOS]),
    ([7, 1], [EOS]),
]


def small(seed=0, width=8):
    torch.manual_seed(seed)
    return Transformer(Config(10, width, 2, 2)).double()


def rows(n=8, dense=False, examples=EXAMPLES):
    """The first n examples as one batch, in their order."""
    return SequenceBatches(examples, size=n, shuffle=False, dense=dense).batch(range(n))


def mean(objective, batch, student, teacher=None):
    """What the trainer makes of a batch: each term's sum over its number of positions."""
    objective = as_objective(objective)
    sums = objective.sums(Outputs(batch, student, teacher))
    weights = torch.tensor(objective.weights_at(0.0))
    return (weights * sums / objective.counts(batch)).sum()


def gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()


BOTH = 0.5 * SoftTargets(T=2) + 0.5 * HardLabels()


def loss_and_gradient(batch, objective=BOTH):
    student, teacher = small(), small(1, width=16)
    loss = mean(objective, batch, forward(student, batch), forward(teacher, batch).detach())
    loss.backward()
    return loss.item(), gradient(student)


def same(found, wanted):
    assert found[0] == pytest.approx(wanted[0], rel=1e-6)
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-5, atol=1e-8)
    assert wanted[1].abs().sum() > 0


def test_labels_are_the_next_tokens_of_the_answer():
    """Pitfall 13, token by token."""
    ids = torch.randint(50, (40, 9))
    starts = torch.randint(1, 9, (40,))
    ends = torch.minimum(starts + torch.randint(0, 9, (40,)), torch.tensor(9))
    labels = shift_and_mask(ids, starts, ends)
    for b in range(40):
        for t in range(9):
            learned = starts[b] <= t + 1 < ends[b]
            assert labels[b, t] == (ids[b, t + 1] if learned else -100)


def test_pad_equal_to_eos():
    """Pitfall 14: the first end is learned; the padding behind it, the same id, is not."""
    batch = rows(dense=True)
    assert batch["labels"][0].tolist() == [-100, 5, EOS] + [-100] * 7
    assert batch["labels"][2].tolist() == [EOS] + [-100] * 9
    assert (batch["labels"] == EOS).sum() == 8
    assert rows()["labels"].eq(EOS).sum() == 8
    # an end in the middle of an answer is a token like any other
    batch = rows(1, dense=True, examples=[([1], [EOS, 3, EOS])])
    assert batch["labels"].tolist() == [[EOS, 3, EOS, -100]]


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("objective", [HardLabels(), SoftTargets(T=2)])
def test_only_positions_that_predict_an_answer_have_a_gradient(dense, objective):
    """Pitfalls 12 to 14: perturb one logit; the prompt and the padding must not matter."""
    batch = rows(dense=dense)
    logits = torch.randn(8, 10, 10, requires_grad=True)
    student = logits if dense else logits.flatten(0, 1)[batch["positions"]]
    mean(objective, batch, student, torch.randn(student.shape)).backward()
    for b, (prompt, answer) in enumerate(EXAMPLES):
        first, last = len(prompt) - 1, len(prompt) + len(answer) - 2
        moved = logits.grad[b].abs().sum(-1) > 0
        assert moved.tolist() == [first <= t <= last for t in range(10)]


@pytest.mark.parametrize("dense", [True, False])
def test_more_padding_changes_neither_loss_nor_gradient(dense):
    """Pitfall 12: the same batch, six columns wider."""
    narrow = rows(dense=dense)
    wide = {k: v for k, v in narrow.items() if k in ("positions", "labels", "index")}
    for name, filler in (("input_ids", 7), ("attention_mask", 0)):
        wide[name] = torch.cat([narrow[name], torch.full((8, 6), filler)], 1)
    if dense:
        wide["labels"] = torch.cat([narrow["labels"], torch.full((8, 6), -100)], 1)
    else:
        wide["positions"] = narrow["positions"] // 10 * 16 + narrow["positions"] % 10
    same(loss_and_gradient(wide), loss_and_gradient(narrow))


def test_a_batch_is_the_mean_over_its_answer_tokens():
    """Sums and counts of single examples, without any padding, add up to the batch's loss."""
    objective, student, teacher = as_objective(SoftTargets(T=2)), small(), small(1)
    total, count = 0.0, 0
    for n, (prompt, answer) in enumerate(EXAMPLES):
        batch = SequenceBatches(EXAMPLES, size=1).batch([n])
        assert batch["attention_mask"].all()
        out = Outputs(batch, forward(student, batch), forward(teacher, batch))
        total, count = total + objective.sums(out).item(), count + len(answer)
        assert objective.counts(batch) == len(answer)
        assert batch["input_ids"].tolist() == [[*prompt, *answer]]
    batch = rows()
    found = mean(objective, batch, forward(student, batch), forward(teacher, batch))
    assert found.item() == pytest.approx(total / count)


def test_dense_and_picked_batches_have_the_same_loss_and_gradient():
    same(loss_and_gradient(rows()), loss_and_gradient(rows(dense=True)))
    dense = rows(dense=True)
    assert torch.equal(dense["labels"].flatten()[rows()["positions"]], rows()["labels"])


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(("size", "accumulate"), [(2, 4), (1, 8), (3, 3)])
def test_a_step_does_not_depend_on_how_it_was_cut(dense, size, accumulate):
    """Pitfall 15: 1 x 8, 4 x 2 and 8 x 1 with answers of 1 to 7 tokens."""
    ends = []
    for cut, n in ((8, 1), (size, accumulate)):
        student, batches = small(), SequenceBatches(EXAMPLES, cut, shuffle=False, dense=dense)
        trainer = tinykd.Trainer(
            student, BOTH, small(1), lambda ps: SGD(ps, 0.5),
            accumulate=n, device="cpu", progress=False,
        )  # fmt: skip
        trainer.fit(batches, epochs=2)
        assert trainer.step == 2
        ends.append(weights(student))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-7)
    assert (ends[0] - weights(small())).abs().max() > 1e-3


def random_examples(n=300, longest=20, seed=0):
    dice = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest, (n, 2), generator=dice).tolist()
    return [([1] * a, [2] * (b - 1) + [EOS]) for a, b in lengths]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("cut", [{"size": 7}, {"size": 1000}, {"tokens": 90}, {"tokens": 38}])
def test_every_example_comes_once_an_epoch(shuffle, cut):
    batches = SequenceBatches(random_examples(), shuffle=shuffle, **cut)
    orders = []
    for _ in range(4):
        expected = len(batches)
        found = list(batches)
        assert len(found) == expected
        for batch in found:
            ids, mask = batch["input_ids"], batch["attention_mask"]
            assert ids.numel() <= cut.get("tokens", 10**9)
            assert len(ids) <= cut.get("size", 10**9)
            assert mask.any(0).all()  # no column of padding alone
            lengths = [sum(map(len, batches.examples[i])) for i in batch["index"].tolist()]
            assert mask.sum(1).tolist() == lengths
        orders.append(torch.cat([batch["index"] for batch in found]).tolist())
        assert sorted(orders[-1]) == list(range(300))
    assert (orders[0] != orders[1]) == shuffle
    assert shuffle or orders[0] == list(range(300))


def test_the_order_depends_on_seed_and_epoch_alone():
    def orders(batches, epochs=3):
        return [[b["index"].tolist() for b in batches] for _ in range(epochs)]

    first = SequenceBatches(random_examples(), size=7, seed=5)
    wanted = orders(first)
    torch.manual_seed(123)
    second = SequenceBatches(random_examples(), size=7, seed=5)
    second.set_epoch(1)
    assert orders(second, 2) == wanted[1:]
    other = SequenceBatches(random_examples(), size=7, seed=6)
    assert orders(other) != wanted
    assert orders(SequenceBatches(random_examples(), size=7, seed=-3), 1)  # any seed will do


def test_batches_hold_examples_of_similar_length():
    """Under a tenth of the tokens are padding; in random batches it is a third."""
    waste = {}
    for name, shuffle in (("sorted", True), ("random", False)):
        batches = SequenceBatches(random_examples(2000), size=16, shuffle=shuffle)
        masks = [batch["attention_mask"] for batch in batches]
        waste[name] = 1 - sum(m.sum() for m in masks) / sum(m.numel() for m in masks)
    assert waste["sorted"] < 0.1 < 0.25 < waste["random"]


def test_schedules_reach_their_end_where_batches_are_cut_by_tokens():
    """The number of batches may differ from epoch to epoch; progress must stay what it says."""
    batches = SequenceBatches(random_examples(300), tokens=60)
    seen = []
    trainer = tinykd.Trainer(
        Transformer(Config(3, 2, 1, 1)), HardLabels(), None, lambda ps: SGD(ps, 0.1),
        schedule=cosine(1, 0), callbacks=[lambda t: seen.append(t.progress())],
        accumulate=5, device="cpu", progress=False,
    )  # fmt: skip
    trainer.fit(batches, epochs=2)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1, abs=0.02)


def test_errors_name_the_bad_value():
    two = torch.zeros(2, 4, dtype=torch.long)
    for starts, ends in (([0, 1], [4, 4]), ([1, 1], [4, 5]), ([1, 3], [4, 2])):
        with pytest.raises(ValueError, match=rf"1 .. 4.*\[{starts[0]}, {starts[1]}\]"):
            shift_and_mask(two, torch.tensor(starts), torch.tensor(ends))
    for wrong, words in (
        ({}, "size=None, tokens=None"),
        ({"size": 2, "tokens": 9}, "size=2, tokens=9"),
        ({"size": 0}, "size=0"),
        ({"tokens": -1}, "tokens=-1"),
        ({"tokens": 8}, "example 1 has 9 tokens, a batch at most 8"),
    ):
        with pytest.raises(ValueError, match=words):
            SequenceBatches(EXAMPLES, **wrong)
    for examples, words in (
        ([], "no examples"),
        ([([1], [2]), ([], [1])], "example 1 has an empty"),
        ([([1], [])], "example 0 has an empty"),
    ):
        with pytest.raises(ValueError, match=words):
            SequenceBatches(examples, size=2)


def test_ids_that_a_model_does_not_have_and_text_are_told():
    model = Transformer(Config(vocab=19, width=8, layers=1, heads=2))
    with pytest.raises(ValueError, match="has the id 19: the model's ids are 0 to 18"):
        model(torch.tensor([[3, 19]]))
    with pytest.raises(TypeError, match="example 1 is text"):
        SequenceBatches([([1], [2]), ("what", "this")], size=2)

"""Matching inside two transformers, against explicit loops in float64, values and gradients."""

import pytest
import torch
from torch import nn

from tinykd import Objective, SoftTargets, Trainer
from tinykd.lm import Classifier, Config, keep_layers
from tinykd.lm.matching import AttentionScores, HiddenStates
from tinykd.objective import as_objective
from tinykd.outputs import Outputs

LENGTHS = (5, 2, 7)
MASK = torch.tensor([[int(t < n) for t in range(7)] for n in LENGTHS])


def outputs(student, teacher, mask=MASK):
    batch = {"input_ids": torch.zeros_like(mask), "attention_mask": mask}
    return Outputs(batch, torch.zeros(len(mask), 2), torch.zeros(len(mask), 2), *(
        {"s": student}, {"t": teacher}
    ))  # fmt: skip


def mean(term, out):
    """What the reducer makes of a term: its sum over valid positions over their number."""
    objective = as_objective(term)
    return objective.sums(out)[0] / objective.counts(out.batch)[0]


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def hidden_oracle(student, teacher, weight):
    total, count = 0.0, 0
    for b, length in enumerate(LENGTHS):
        for t in range(length):
            gap = weight @ student[b, t] - teacher[b, t]
            total, count = total + sum(g * g for g in gap) / len(gap), count + 1
    return total / count


def scores_oracle(student, teacher, causal):
    total, count = 0.0, 0
    for b, length in enumerate(LENGTHS):
        for t in range(length):
            keys = range(t + 1) if causal else range(length)
            gaps = [
                (student[b, h, t, s] - teacher[b, h, t, s]) ** 2
                for h in range(student.shape[1])
                for s in keys
            ]
            total, count = total + sum(gaps) / len(gaps), count + 1
    return total / count


def check_against(oracle, term, student, teacher, parameters=()):
    student.requires_grad_()
    wanted, found = oracle(student, teacher), mean(term, outputs(student, teacher))
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(found, [student, *parameters]),
        torch.autograd.grad(wanted, [student, *parameters]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_hidden_states_against_a_loop():
    regressor = nn.Linear(4, 6, bias=False, dtype=torch.float64)
    check_against(
        lambda s, t: hidden_oracle(s, t, regressor.weight),
        HiddenStates("s", "t", regressor),
        random(3, 7, 4),
        random(3, 7, 6, seed=1),
        [regressor.weight],
    )


@pytest.mark.parametrize("causal", [False, True])
def test_attention_scores_against_a_loop(causal):
    check_against(
        lambda s, t: scores_oracle(s, t, causal),
        AttentionScores("s", "t", causal=causal),
        random(3, 2, 7, 7),
        random(3, 2, 7, 7, seed=1),
    )


@pytest.mark.parametrize("term", [HiddenStates("s", "t"), AttentionScores("s", "t")])
def test_zero_with_zero_gradient_where_they_agree(term):
    shape = (3, 7, 4) if isinstance(term, HiddenStates) else (3, 2, 7, 7)
    student = random(*shape).requires_grad_()
    loss = mean(term, outputs(student, student.detach().clone()))
    (slope,) = torch.autograd.grad(loss, student)
    assert loss == 0
    assert (slope == 0).all()


@pytest.mark.parametrize("term", [HiddenStates("s", "t"), AttentionScores("s", "t")])
def test_padding_changes_nothing(term):
    """Whatever stands in the padding, however much of it there is."""
    hidden = isinstance(term, HiddenStates)
    shape = (3, 7, 4) if hidden else (3, 2, 7, 7)
    student, teacher = random(*shape).requires_grad_(), random(*shape, seed=1)
    loss = mean(term, outputs(student, teacher))
    (slope,) = torch.autograd.grad(loss, student)
    room = (3, 12, 4) if hidden else (3, 2, 12, 12)
    longer_s, longer_t = 1e3 * random(*room, seed=2), 1e3 * random(*room, seed=3)
    inside = (slice(None), slice(7)) if hidden else (..., slice(7), slice(7))
    longer_s[inside], longer_t[inside] = student.detach(), teacher
    longer_s.requires_grad_()
    mask = torch.nn.functional.pad(MASK, (0, 5))
    more = mean(term, outputs(longer_s, longer_t, mask))
    (longer_slope,) = torch.autograd.grad(more, longer_s)
    torch.testing.assert_close(more, loss)
    torch.testing.assert_close(longer_slope[inside], slope)
    assert longer_slope.abs().sum() == pytest.approx(slope.abs().sum().item())


@pytest.mark.parametrize("term", [HiddenStates("s", "t"), AttentionScores("s", "t")])
def test_the_teacher_gets_no_gradient(term):
    shape = (3, 7, 4) if isinstance(term, HiddenStates) else (3, 2, 7, 7)
    student, teacher = random(*shape).requires_grad_(), random(*shape, seed=1).requires_grad_()
    mean(term, outputs(student, teacher)).backward()
    assert teacher.grad is None


def test_a_decoders_future_scores_do_not_count():
    student, teacher = random(3, 2, 7, 7), random(3, 2, 7, 7, seed=1)
    term = AttentionScores("s", "t", causal=True)
    before = mean(term, outputs(student, teacher))
    student += 1e3 * torch.ones(7, 7).triu(1)
    assert mean(term, outputs(student, teacher)) == before


def test_words_for_what_does_not_fit():
    with pytest.raises(ValueError, match=r"(?s)'s'.*\(3, 7, 4\).*'t'.*\(3, 7, 6\).*regressor"):
        mean(HiddenStates("s", "t"), outputs(random(3, 7, 4), random(3, 7, 6)))
    with pytest.raises(ValueError, match=r"AttentionScores.*\(3, 2, 7, 7\).*heads"):
        mean(AttentionScores("s", "t"), outputs(random(3, 2, 7, 7), random(3, 4, 7, 7)))
    with pytest.raises(ValueError, match=r"attention_mask.*\['input_ids'\]"):
        HiddenStates("s", "t").valid({"input_ids": MASK})


def test_a_student_of_half_the_layers_is_trained_by_both_terms():
    torch.manual_seed(0)
    teacher = Classifier(Config(20, 16, 4, 2, causal=False), 3)
    student = keep_layers(teacher, [0, 2])
    narrow = Classifier(Config(20, 8, 2, 2, causal=False), 3)
    ids = torch.randint(20, (8, 7))
    batch = {"input_ids": ids, "attention_mask": torch.arange(7) < torch.randint(2, 8, (8, 1)),
             "labels": torch.randint(3, (8,)), "index": torch.arange(8)}  # fmt: skip
    for model in (student, narrow):
        widen = None if model is student else nn.Linear(8, 16, bias=False)
        objective: Objective = (
            HiddenStates("body.blocks.1", "body.blocks.3", widen)
            + AttentionScores("body.blocks.1.attention.scores", "body.blocks.3.attention.scores")
            + SoftTargets(T=2)
        )
        optimizer = lambda parameters: torch.optim.Adam(parameters, 1e-2)  # noqa: E731
        trainer = Trainer(model, objective, teacher, optimizer, device="cpu", progress=False)
        history = trainer.fit([batch], epochs=30)
        for name in ("HiddenStates", "AttentionScores", "SoftTargets"):
            assert history[-1][name] < 0.7 * history[0][name], (name, history[0], history[-1])


def test_more_padding_in_the_batch_changes_neither_loss_nor_gradient():
    """The whole way: two classifiers, both terms, the same sentences in a wider frame."""
    torch.manual_seed(0)
    teacher = Classifier(Config(20, 16, 4, 2, causal=False), 3).double()
    student = keep_layers(teacher, [1, 3])
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    ids = torch.randint(20, (3, 7))
    terms = HiddenStates("body.blocks.1", "body.blocks.3") + AttentionScores(
        "body.blocks.1.attention.scores", "body.blocks.3.attention.scores"
    )
    found = []
    for width in (7, 11):
        wider = torch.cat([ids, torch.randint(20, (3, width - 7))], 1)
        mask = torch.nn.functional.pad(MASK, (0, width - 7))
        batch = {"input_ids": wider, "attention_mask": mask, "index": torch.arange(3)}
        student.zero_grad()
        trainer = Trainer(student, terms + SoftTargets(), teacher, device="cpu", progress=False)
        sums = trainer.net(batch, trainer._ask(batch), 0.0)
        (sums / trainer.objective.counts(batch)).sum().backward()
        found.append((sums.detach(), [p.grad.clone() for p in student.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)

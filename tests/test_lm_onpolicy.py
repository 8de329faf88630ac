"""On-policy batches, and MiniLLM's gradient against a language small enough to write out."""

import itertools

import pytest
import torch
from torch import nn

import tinykd
from tinykd import HardLabels, SoftTargets, Trainer
from tinykd.lm.batches import SequenceBatches
from tinykd.lm.onpolicy import MiniLLM, OnPolicy, returns
from tinykd.lm.transformer import Config, Transformer
from tinykd.outputs import Outputs

V, LENGTH, BOS, EOS = 3, 3, 3, 2
PROMPTS = [[5, 1], [5], [5, 2, 2], [5, 3], [5, 4, 1, 1]]


class Prefixes(nn.Module):
    """A language model whose logits after every prefix of up to two words are its parameters."""

    def __init__(self, seed):
        super().__init__()
        dice = torch.Generator().manual_seed(seed)
        count = sum(V**n for n in range(LENGTH))
        self.z = nn.Parameter(torch.randn(count, V, generator=dice, dtype=torch.float64))

    def forward(self, input_ids, attention_mask=None, positions=None):
        first, number = 0, torch.zeros(len(input_ids), dtype=torch.long)
        rows = []
        for t in range(input_ids.shape[1]):
            if t:
                first, number = first + V ** (t - 1), number * V + input_ids[:, t] % V
            rows.append(self.z[(first + number).clamp(max=len(self.z) - 1)])
        z = torch.stack(rows, 1)
        return z if positions is None else z.flatten(0, 1)[positions]


def language(eos):
    """All answers: of length 3, or, with an end-of-sequence word, also those that end earlier."""
    answers = []
    for words in itertools.product(range(V), repeat=LENGTH):
        end = words.index(EOS) + 1 if eos and EOS in words else LENGTH
        answers.append(words[:end])
    return sorted(set(answers))


def log_probability(model, answers):
    """log q(y) of whole answers, by the chain rule, one word at a time."""
    total = []
    for y in answers:
        log_q = torch.log_softmax(model(torch.tensor([[BOS, *y]])), -1)[0]
        total.append(sum(log_q[t, word] for t, word in enumerate(y)))
    return torch.stack(total)


def exact_kl(student, teacher, answers):
    """sum_y q(y) (log q(y) - log p(y)) over all answers of the language."""
    log_q, log_p = log_probability(student, answers), log_probability(teacher, answers).detach()
    return (log_q.exp() * (log_q - log_p)).sum()


def batch_of(answers, dense, more=0):
    examples = [((BOS,), y) for y in answers]
    batch = SequenceBatches(examples, size=len(examples), shuffle=False, dense=dense).batch(
        range(len(examples))
    )
    if more:  # padding behind everything
        pad = torch.zeros(len(examples), more, dtype=torch.long)
        batch["input_ids"] = torch.cat([batch["input_ids"], pad], 1)
        batch["labels"] = torch.cat([batch["labels"], pad - 100], 1)
    return {**batch, "on_policy": True}


def outputs(batch, student, teacher):
    given = {k: batch[k] for k in ("input_ids", "positions") if k in batch}
    return Outputs(batch, student(**given), teacher(**given))


def row_sums(values, batch):
    """Sum over the scored positions of each answer."""
    rows, width = batch["input_ids"].shape
    flat = values.new_zeros(rows * width)
    if "positions" in batch:
        return flat.index_put((batch["positions"],), values).view(rows, width).sum(1)
    return (values * (batch["labels"] != -100)).sum(1)


@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_the_expected_gradient_is_that_of_the_sequences_reverse_kl(eos, dense):
    """Every answer weighed by its probability: no sampling noise, so equality to 1e-10."""
    student, teacher, answers = Prefixes(0), Prefixes(1), language(eos)
    q = log_probability(student, answers).exp()
    torch.testing.assert_close(q.sum(), torch.ones_like(q.sum()))
    (exact,) = torch.autograd.grad(exact_kl(student, teacher, answers), student.z)

    batch = batch_of(answers, dense)
    values = MiniLLM(normalise=False).per_position(outputs(batch, student, teacher))
    (found,) = torch.autograd.grad((q.detach() * row_sums(values, batch)).sum(), student.z)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)
    assert exact.abs().max() > 0.1


def test_the_exact_gradient_agrees_with_finite_differences():
    """The oracle of the test above has an oracle."""
    student, teacher, answers = Prefixes(0), Prefixes(1), language(True)
    (exact,) = torch.autograd.grad(exact_kl(student, teacher, answers), student.z)
    step = 1e-5
    for i, j in ((0, 0), (1, 2), (5, 1)):
        ends = []
        for sign in (1, -1):
            moved = Prefixes(0)
            with torch.no_grad():
                moved.z[i, j] += sign * step
            ends.append(exact_kl(moved, teacher, answers).item())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(exact[i, j].item(), abs=1e-8)


def test_single_step_alone_is_not_the_gradient():
    """What GKD leaves out: its reverse KL ignores that a word decides what can follow."""
    student, teacher, answers = Prefixes(0), Prefixes(1), language(False)
    q = log_probability(student, answers).exp().detach()
    batch = batch_of(answers, dense=True)
    out = outputs(batch, student, teacher)
    values = row_sums(tinykd.reverse_kl(out.student, out.teacher), batch)
    (single,) = torch.autograd.grad((q * values).sum(), student.z)
    (exact,) = torch.autograd.grad(exact_kl(student, teacher, answers), student.z)
    last = slice(1 + V, None)  # after the last word nothing follows: there the two agree
    torch.testing.assert_close(single[last], exact[last], rtol=1e-10, atol=1e-12)
    assert (single[0] - exact[0]).abs().max() > 0.01


def test_at_the_teacher_the_gradient_vanishes_in_every_sample():
    student = Prefixes(1)
    batch = batch_of(language(True), dense=False)
    values = MiniLLM().per_position(outputs(batch, student, Prefixes(1)))
    (found,) = torch.autograd.grad(values.sum(), student.z)
    assert found.abs().max() < 1e-12


def test_returns_by_hand():
    """Three scored tokens: the sum of the two after, of the one after, of none; or the mean."""
    gain = torch.tensor([[9.0, 1.0, 2.0, 4.0, 9.0]])
    scored = torch.tensor([[False, True, True, True, False]])
    gain = gain.masked_fill(~scored, 0.0)
    assert returns(gain, scored, {}, False)[0, 1:4].tolist() == [6.0, 4.0, 0.0]
    assert returns(gain, scored, {}, True)[0, 1:4].tolist() == [3.0, 4.0, 0.0]


def test_rows_do_not_mix_and_padding_changes_nothing():
    student, teacher, answers = Prefixes(0), Prefixes(1), [(0, 1, 0), (EOS,), (1, EOS)]
    term = MiniLLM()
    whole = batch_of(answers, dense=True, more=2)
    together = row_sums(term.per_position(outputs(whole, student, teacher)), whole)
    for y, value in zip(answers, together, strict=True):
        alone = batch_of([y], dense=False)
        torch.testing.assert_close(term.per_position(outputs(alone, student, teacher)).sum(), value)
    assert int(term.valid(whole).sum()) == 6


def test_return_and_teacher_are_constants():
    student, teacher = Prefixes(0), Prefixes(1)
    batch = batch_of([(0, 1, 0)], dense=True)
    out = outputs(batch, student, teacher)
    MiniLLM().per_position(out).sum().backward()
    assert teacher.z.grad is None
    # at the last word only its own position pulls, and the return there is 0
    last = student.z.grad[1 + V + 1]
    z = out.student.detach()[0, 2].requires_grad_()
    tinykd.reverse_kl(z, out.teacher.detach()[0, 2]).backward()
    torch.testing.assert_close(last, z.grad)


def test_data_batches_give_no_policy_gradient():
    batch = batch_of([(0, 1, 0)], dense=True)
    del batch["on_policy"]
    assert not MiniLLM().valid(batch).any()


# --- OnPolicy ---------------------------------------------------------------------------------


def tiny(seed=0):
    torch.manual_seed(seed)
    return Transformer(Config(vocab=6, width=8, layers=1, heads=2))


def data(count=12, size=2):
    examples = [([5], [1 + i % 4, 2, 0]) for i in range(count)]
    return SequenceBatches(examples, size=size)


def source(student, fraction=0.5, **more):
    options = {"size": 3, "max_new": 6, "eos": 0} | more
    return OnPolicy(student, PROMPTS, data(), fraction, **options)


def same(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if torch.is_tensor(a[k]) else a[k] == b[k] for k in a
    )


def test_the_same_dice_give_the_same_batches_and_epochs_differ():
    student = tiny()
    batches = source(student)
    first, second = list(batches), list(batches)
    batches.set_epoch(0)
    again = list(batches)
    assert len(first) == len(batches) == len(data())
    assert all(map(same, first, again))
    assert not all(map(same, first, second))


def test_coins_and_samples_differ_between_epochs_and_the_data_moves_on_too():
    def coins(epoch):
        batches = OnPolicy(tiny(), [[5]], data(60), 0.5, size=2, max_new=6, eos=0)
        batches.set_epoch(epoch)
        made = list(batches)
        own = [batch["input_ids"].tolist() for batch in made if "on_policy" in batch]
        shown = [batch["index"].tolist() for batch in made if "on_policy" not in batch]
        return ["on_policy" in batch for batch in made], own, shown

    for first, second in zip(coins(0), coins(1), strict=True):
        assert first != second
    assert coins(1) == coins(1)


@pytest.mark.parametrize(("fraction", "low", "high"), [(0, 0, 0), (0.5, 10, 50), (1, 60, 60)])
def test_a_share_of_the_batches_is_the_students_own(fraction, low, high):
    batches = source(tiny(), fraction)
    own = sum("on_policy" in batch for _ in range(10) for batch in batches)
    assert low <= own <= high
    assert (batches.written > 0) == (own > 0)


def test_samples_come_from_the_weights_of_the_moment():
    student = tiny()
    stream = iter(source(student, 1.0, max_new=20))
    first = next(stream)
    with torch.no_grad():
        student.embed.weight[1] = 5 * student.embed.weight.sum(0)  # now says little but 1
    frozen = iter(source(tiny(), 1.0, max_new=20))
    assert same(first, next(frozen))
    assert not same(next(stream), next(frozen))


def test_the_prompt_is_not_scored_and_the_first_eos_is():
    student = tiny()
    batches = source(student, 1.0, max_new=30)
    for batch in batches:
        ids, real = batch["input_ids"], batch["attention_mask"].bool()
        rows, columns = batch["positions"] // ids.shape[1], batch["positions"] % ids.shape[1]
        assert torch.equal(ids[rows, columns + 1], batch["labels"])
        assert batch["labels"].numel() == sum(
            int(r.sum()) - len(prompt_of(row)) for row, r in zip(ids, real, strict=True)
        )
        assert (batch["labels"] == 0).sum() <= len(ids)


def prompt_of(row):
    fitting = [p for p in PROMPTS if row[: len(p)].tolist() == p]
    return max(fitting, key=len)


def test_prompts_of_an_epoch_are_used_in_turn():
    student = tiny()
    batches = OnPolicy(student, [[i] for i in range(1, 6)], size=2, max_new=1)
    assert len(batches) == 3
    seen = [int(i) for batch in batches for i in batch["input_ids"][:, 0]]
    assert sorted(seen[:5]) == [1, 2, 3, 4, 5]
    assert seen[5] == seen[0]


def test_the_students_mode_and_gradients_stay():
    student = tiny().train()
    student.blocks[0].eval()
    batch = source(student, 1.0).sample(PROMPTS)
    assert student.training
    assert not student.blocks[0].training
    assert all(parameter.grad is None for parameter in student.parameters())
    assert not any(x.requires_grad for x in batch.values() if torch.is_tensor(x))


def test_a_cached_teacher_refuses_samples(tmp_path):
    cache = tinykd.CachedTeacher.write(tmp_path / "cache", tinykd.MLP(4, 3), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="augmented|on_policy|student"):
        cache.targets(source(tiny(), 1.0).sample(PROMPTS), [])


@pytest.mark.parametrize("objective", [SoftTargets(divergence=tinykd.jsd), MiniLLM()])
def test_a_student_trains_on_its_own_samples_towards_the_teacher(objective):
    student, teacher = tiny(0), tiny(1)
    batches = OnPolicy(student, PROMPTS, fraction=1.0, size=20, max_new=8, eos=0)
    probe = source(teacher, 1.0).sample(PROMPTS * 10)
    given = {k: probe[k] for k in ("input_ids", "attention_mask", "positions")}

    def distance():
        with torch.no_grad():
            return tinykd.reverse_kl(student(**given), teacher(**given)).mean().item()

    before = distance()
    Trainer(
        student,
        objective,
        teacher=teacher,
        optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-2),
        progress=False,
        device="cpu",
    ).fit(batches, epochs=40)
    assert distance() < before / 2
    assert student.training


@pytest.mark.parametrize("stop", [1, 3, 7, 8])
def test_a_resumed_run_is_the_same_run(tmp_path, stop):
    """Killed at a step and resumed: bit-identical weights, the samples included."""

    def run(student, resume=False, kill=None):
        def killer(trainer):
            if trainer.step == kill:
                raise RuntimeError("killed")

        Trainer(
            student,
            SoftTargets(divergence=tinykd.reverse_kl),
            teacher=tiny(1),
            optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-2),
            checkpoint=tmp_path / "run.ckpt",
            checkpoint_every=1,
            callbacks=[killer],
            progress=False,
            device="cpu",
        ).fit(source(student, 0.6), epochs=2, resume=resume)
        return student

    torch.manual_seed(3)
    straight = run(tiny())
    (tmp_path / "run.ckpt").unlink()
    torch.manual_seed(3)
    with pytest.raises(RuntimeError):
        run(tiny(), kill=stop + 1)  # the step before it is saved
    torch.manual_seed(99)
    resumed = run(tiny(7), resume=True)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"fraction": 1.5}, "fraction"),
        ({"fraction": 0.5}, "needs data"),
        ({"size": 0}, "size"),
        ({"prompts": []}, "prompts"),
    ],
)
def test_what_cannot_work_is_refused(more, words):
    options = {"prompts": PROMPTS, "fraction": 1.0, "size": 2} | more
    with pytest.raises(ValueError, match=words):
        OnPolicy(tiny(), options["prompts"], fraction=options["fraction"], size=options["size"])


def test_mixed_with_data_hard_labels_and_soft_targets_see_both():
    """Token-level terms need nothing special: an epoch holds both kinds of batches."""
    seen = []

    class Watched(HardLabels):
        def per_position(self, out):
            values = super().per_position(out)
            log_q = out.student.log_softmax(-1)
            expected = -log_q.gather(-1, out.batch["labels"][:, None]).squeeze(-1)
            torch.testing.assert_close(values, expected)
            seen.append(bool(out.batch.get("on_policy")))
            return values

    student = tiny()
    history = Trainer(
        student, 0.5 * SoftTargets() + 0.5 * Watched(), teacher=tiny(1), progress=False
    ).fit(source(student, 0.5), epochs=2)
    assert len(seen) == 2 * len(data())
    assert 0 < sum(seen) < len(seen)
    for epoch in history:
        assert epoch["loss"] == pytest.approx(0.5 * (epoch["SoftTargets"] + epoch["Watched"]))

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 15 · Beyond one teacher
#
# **What you will be able to do**
# - distil on-policy as it is done since 2025, one number a token, and say which of three estimators of a KL may be backpropagated;
# - judge on-policy distillation against more fine-tuning at the same computing time, and read the curves of a run that goes wrong;
# - move examples out of the prompt into the weights, with the model as its own teacher, and see when that does harm;
# - distil between models that cut text into different tokens, and make a small model the draft of a large one without changing a word of what the large one says.
#
# | | |
# |---|---|
# | Difficulty | 4 of 5: five functions of three to twelve lines, and a loop |
# | Importance | 4 of 5: what changed in practice between 2023 and 2026 |
# | Time | two and a half hours of yours; about 3 minutes of computing on 2 cores |
# | Needs | lessons 11 to 14 (a model cut out of another; shift and mask; on-policy, reverse KL, REINFORCE; chains of thought) |

# %% role="setup" name="setup"
import copy
import itertools
import json
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

import tinykd
from tinykd import (
    HardLabels,
    SoftTargets,
    Trainer,
    entropy,
    forward_kl,
    lm,
    log_softmax,
    plots,
    reverse_kl,
    softmax,
)
from tinykd.classroom import Checks, with_gradient
from tinykd.data import Timed, data_file
from tinykd.lm import (
    ULD,
    Config,
    OnPolicy,
    OtherTokenizer,
    SequenceBatches,
    Spans,
    Tokenizer,
    Transformer,
    generate,
    speculate,
    total_variation,
)
from tinykd.lm.reasoning.problems import ALPHABET, arithmetic
from tinykd.lm.tokens.offsets import align, byte_offsets, token_bytes
from tinykd.metrics import mean_interval
from tinykd.plots import COLORS

check = Checks("15_beyond_one_teacher")


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def draw(rng, *shape, size=1.5):
    """Random logits in float64, normal with standard deviation `size`, that have a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


def sampled(rng, rows, length):
    """log q, log p (B, T) of sampled tokens, and which are scored: garbage where none is."""
    log_q, log_p = (torch.tensor(-rng.gamma(1.0, 2.0, size=(rows, length))) for _ in range(2))
    ends = torch.tensor(rng.integers(1, length + 1, size=rows))
    ends[int(rng.integers(rows))] = length  # one row is full
    scored = torch.arange(length) < ends[:, None]
    scored[:, 0] = torch.arange(rows) % 2 == 0  # and not all begin at once
    scored[0, 0] = scored[1, 1] = True
    return log_q.requires_grad_(), log_p, scored


def look(answer, log_q, log_p, scored, clip):
    """What a surrogate gives, and its gradient on both sides."""
    log_p.requires_grad_()
    return with_gradient(check.call(answer, log_q, log_p, scored, clip), log_q, log_p)


def spoilt(rng):
    """As `sampled`, with nothing sensible where nothing is scored."""
    log_q, log_p, scored = sampled(rng, 5, 7)
    with torch.no_grad():
        log_q[~scored], log_p[~scored] = -np.inf, np.nan
    return log_q, log_p, scored


class Tiny(torch.nn.Module):
    """A language model for the checks: one table, the rows of the prefix added up, old ones faded."""

    FADES = 0.6

    def __init__(self, rng, vocab=6):
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(rng.normal(size=(vocab, vocab))))

    def forward(self, ids):
        ages = torch.arange(ids.shape[1])[:, None] - torch.arange(ids.shape[1])
        return (self.FADES ** ages.double()).tril() @ self.table[ids]  # (B, T) -> (B, T, V)


class Descent:
    """Gradient descent: all that a loop wants of an optimizer, and quick to import."""

    def __init__(self, model, rate):
        self.weights, self.rate = list(model.parameters()), rate

    def zero_grad(self, set_to_none=True):
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self):
        for weight in self.weights:
            if weight.grad is not None:
                weight -= self.rate * weight.grad


def writer(rng, room=5, end=1):
    """sample(model, prompt) for a Tiny: each time that it is asked for a prompt, another answer."""
    noise = rng.gumbel(size=(16, room, 6))  # the argmax of logits + Gumbel noise is a sample
    asked = {}

    def sample(model, prompt):
        table, answer, logits = model.table.detach().numpy(), [], 0
        asked[tuple(prompt)] = times = asked.get(tuple(prompt), -1) + 1
        for token in prompt:
            logits = Tiny.FADES * logits + table[token]
        for step in noise[(7 * sum(prompt) + len(prompt) + 3 * times) % 16]:
            answer.append(int((logits + step).argmax()))
            if answer[-1] == end:
                break
            logits = Tiny.FADES * logits + table[answer[-1]]
        return answer

    return sample


def by_hand(kind):
    """ "forward" or "reverse" KL from its formula; nothing is detached in it."""

    def divergence(student_logits, teacher_logits):
        one, two = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
        if kind == "forward":
            one, two = two, one
        return (one.exp() * (one - two)).sum(-1)

    return divergence


def random_cut(rng, length, control=(0, 0)):
    """A text of `length` bytes in tokens: (start, end) each; control: tokens without text around it."""
    inside = 1 + rng.permutation(length - 1)[: rng.integers(1, length)]
    places = [0, *sorted(inside.tolist()), length]
    tokens = list(itertools.pairwise(places))
    return [(0, 0)] * control[0] + tokens + [(length, length)] * control[1]


def in_numbers(spans):
    """Spans as lists of whole numbers, whatever they came in."""
    return [[[int(x) for x in side] for side in span] for span in spans]


# %% [markdown]
# ## A text or a row
#
# What crosses from the teacher to the student? In lessons 12 and 13 a whole row of the vocabulary at every position, 151,665 numbers for each token of a Qwen2.5; in lesson 14 a text, and nothing else. In
# between lies the least that can still be called a grade: the student writes, and the teacher gives back **one number a token**, $\log p(y_t|y_{<t})$, how likely this token was to *it*. Any
# server that scores texts can do that.
#
# It is what "on-policy distillation" mostly means since 2025. Qwen3's smaller models were made by a final phase of it (with logits; [arXiv 2505.09388](https://arxiv.org/abs/2505.09388), section 4.5), Thinking Machines
# described the version with one number a token in October 2025, and many open models of 2026 report a phase of it. The recipe is a line of lesson 13 read in another way. REINFORCE told the student to make a sample more or less likely,
# depending on a number; call that number the token's **advantage**, as reinforcement learning does,
#
# $$A_t = \log p(y_t|y_{<t}) - \log q(y_t|y_{<t}), \qquad \text{loss} = -\frac1n \sum_t A_t \,\log q(y_t|y_{<t}), \qquad A_t \text{ a constant}$$
#
# for $n$ sampled tokens.
#
# A token that the teacher likes better than the student does has $A_t > 0$, and becomes more likely. In the mean over $y_t \sim q$ the gradient of the loss is the gradient of $\mathrm{KL}(q\|p)$ at this position.
# (As with GKD, what a token leads *to* is left out; MiniLLM has that.) Programs for reinforcement learning from rewards run it with hardly a change: the reward of a token is $A_t$.
#
# ## Three estimates of one number
#
# Such a program also *shows* a KL, estimated from the sampled tokens. With $r = p(y)/q(y)$, three estimates are in use (Schulman 2020):
#
# $$k_1 = \log\frac{q(y)}{p(y)} = -\log r, \qquad k_2 = \tfrac12 \Big(\log\frac{q(y)}{p(y)}\Big)^2, \qquad k_3 = r - 1 - \log r .$$
#
# In the mean over $y \sim q$, $k_1$ is $\mathrm{KL}(q\|p)$ by definition. So is $k_3$, because $\mathbb{E}_q[r] = \sum_y p(y) = 1$; and it is never negative, as $x - 1 \ge \log x$. $k_2$ is never negative either, and only close to the KL where $q$ and $p$ are.
#
# It is tempting to write `loss = k1.mean()` and call `backward()`. **What do you expect?** Before you go on, take $\nabla k_1$ with $y$ given: where in it is the teacher?
#
# ### Exercise 1: the estimators
# For one position: the student's and the teacher's logits, and tokens that were sampled from the student. One row for each estimator.
#
# <details><summary>Hint: from logits to log-probabilities of the samples</summary>
#
# `log_softmax(z)` has shape (V,). With `samples` as an index, `log_softmax(z)[samples]` has shape (n,): each sample picks its own.
# </details>
# <details><summary>Hint: k3</summary>
#
# With `gap = log_p - log_q` it is `gap.exp() - 1 - gap`. `torch.expm1(gap)` is `gap.exp() - 1` without rounding errors near 0; either passes. `torch.stack([a, b, c])` makes one tensor of three.
# </details>


# %% role="answer" name="estimates"
def estimates(student, teacher, samples):
    """k1, k2 and k3 of KL(q || p), for each sampled token.

    student, teacher: logits (V,). samples: (n,), token numbers, drawn from the student.
    Returns (3, n). Gradients flow to the student, through log q of the samples; none to the teacher.
    """
    # YOUR CODE: log-probabilities of the samples, three formulas, stacked
    # BEGIN SOLUTION
    log_q = log_softmax(student)[samples]  # (n,)
    log_p = log_softmax(teacher).detach()[samples]
    gap = log_p - log_q
    return torch.stack([-gap, gap**2 / 2, torch.expm1(gap) - gap])
    # END SOLUTION


# %% role="check" name="estimates.values" points=1 hint="(3, n): rows k1, k2, k3, one column for each sample. log r = log p - log q of the sampled token, from log_softmax of both."
def specimen(rng, size, number):
    samples = torch.tensor(np.r_[rng.permutation(size), rng.integers(size, size=number)])
    return draw(rng, size), (draw(rng, size).detach() + 3).requires_grad_(), samples


rng = check.rng("estimates.values")
found = [check.call(estimates, *specimen(rng, n, 4)) for n in (3, 6)]
check("estimates.values", {"one tensor": [torch.is_tensor(x) for x in found], "values": found})


# %% role="check" name="estimates.gradient" points=1 hint="The gradients of each row's mean, in the student's logits and in the teacher's. It must flow through log q, and none may reach the teacher: detach the teacher alone."
def slopes(rng, size):
    student, teacher, samples = specimen(rng, size, 5)
    return [
        with_gradient(check.call(estimates, student, teacher, samples)[k].mean(), student, teacher)[
            "gradient"
        ]
        for k in range(3)
    ]


rng = check.rng("estimates.gradient")
check("estimates.gradient", slopes(rng, 5))


# %% role="check" name="estimates.expected" points=1 hint="Each token once, weighed by the student's probability: rows 1 and 3 are then the KL itself, row 2 is not."
def means(rng, size):
    student, teacher, _ = specimen(rng, size, 0)
    every = torch.stack([*check.call(estimates, student, teacher, torch.arange(size))])
    fits = every.shape == (3, size)
    return {"shape": list(every.shape), "means": (softmax(student) * every).sum(1) if fits else 0}


rng = check.rng("estimates.expected")
check("estimates.expected", [means(rng, size) for size in (4, 8)])


# %% role="hidden" name="estimates.secret" points=1 hint="Logits far apart (log_softmax), a teacher that asks for gradients and must get none, samples in any order and number."
def apart(rng, size, number):
    student, teacher = draw(rng, size, size=6.0), draw(rng, size, size=6.0)
    samples = torch.tensor(rng.integers(size, size=number))
    found = check.call(estimates, student, teacher, samples)
    slope = with_gradient(found[0].sum() + found[1].sum(), student, teacher)["gradient"]
    return {"k1, k2": found[:2], "log(1 + k3)": torch.log1p(found[2]), "gradients": slope}


rng = check.rng("estimates.secret")
check("estimates.secret", [apart(rng, *sizes) for sizes in ((4, 1), (30, 12))])


# %% role="alternative" of="estimates" name="estimates.one_hot"
def estimates(student, teacher, samples):
    picked = F.one_hot(samples, len(student)).to(student)
    with torch.no_grad():
        log_p = picked @ teacher.log_softmax(0)
    log_q = picked @ student.log_softmax(0)
    r = (log_p - log_q).exp()
    return torch.stack([-torch.log(r), torch.log(r) ** 2 / 2, r - 1 - torch.log(r)])


# %% role="alternative" of="estimates" name="estimates.loop"
def estimates(student, teacher, samples):
    log_q, log_p = student - student.logsumexp(0), (teacher - teacher.logsumexp(0)).detach()
    columns = []
    for y in samples.tolist():
        k1 = log_q[y] - log_p[y]
        columns.append(torch.stack([k1, 0.5 * k1 * k1, (-k1).exp() - 1 + k1]))
    return torch.stack(columns, 1)


# %% role="mutant" of="estimates" name="estimates.sign" loses="estimates.values, estimates.gradient, estimates.expected, estimates.secret" hint="Your k1 has the other sign: it is log q - log p."
def estimates(student, teacher, samples):
    gap = log_softmax(teacher).detach()[samples] - log_softmax(student)[samples]
    return torch.stack([gap, gap**2 / 2, torch.expm1(gap) - gap])


# %% role="mutant" of="estimates" name="estimates.half" loses="estimates.values, estimates.gradient, estimates.expected, estimates.secret" hint="Your k2 is twice as large: a half stands before the square."
def estimates(student, teacher, samples):
    gap = log_softmax(teacher).detach()[samples] - log_softmax(student)[samples]
    return torch.stack([-gap, gap**2, torch.expm1(gap) - gap])


# %% role="mutant" of="estimates" name="estimates.upside_down" loses="estimates.values, estimates.gradient, estimates.expected, estimates.secret" hint="Your k3 has r upside down: r = p / q, so that its mean over the student's samples is 1."
def estimates(student, teacher, samples):
    gap = log_softmax(teacher).detach()[samples] - log_softmax(student)[samples]
    return torch.stack([-gap, gap**2 / 2, torch.expm1(-gap) + gap])


# %% role="mutant" of="estimates" name="estimates.without_one" loses="estimates.values, estimates.expected, estimates.secret" hint="Your k3 lacks the -1: at q = p it would be 1, not 0."
def estimates(student, teacher, samples):
    gap = log_softmax(teacher).detach()[samples] - log_softmax(student)[samples]
    return torch.stack([-gap, gap**2 / 2, gap.exp() - gap])


# %% role="mutant" of="estimates" name="estimates.logits" loses="estimates.values, estimates.gradient, estimates.expected, estimates.secret" hint="You compared logits. A constant added to all of them changes nothing about a model, and it changes your numbers: log_softmax first."
def estimates(student, teacher, samples):
    gap = teacher.detach()[samples] - student[samples]
    return torch.stack([-gap, gap**2 / 2, torch.expm1(gap) - gap])


# %% role="mutant" of="estimates" name="estimates.constant" loses="estimates.gradient, estimates.secret" hint="No gradient flows to the student: you detached log q as well, or went through numbers. Detach the teacher alone."
def estimates(student, teacher, samples):
    gap = (log_softmax(teacher)[samples] - log_softmax(student)[samples]).detach()
    return torch.stack([-gap, gap**2 / 2, torch.expm1(gap) - gap])


# %% role="mutant" of="estimates" name="estimates.both_learn" loses="estimates.gradient, estimates.secret" hint="A gradient reaches the teacher: detach its log-probabilities."
def estimates(student, teacher, samples):
    gap = log_softmax(teacher)[samples] - log_softmax(student)[samples]
    return torch.stack([-gap, gap**2 / 2, torch.expm1(gap) - gap])


# %% role="mutant" of="estimates" name="estimates.transposed" loses="estimates.values, estimates.gradient, estimates.expected, estimates.secret" hint="Yours is transposed: one row for each estimator, (3, n). torch.stack([k1, k2, k3]) puts the new axis in front."
def estimates(student, teacher, samples):
    gap = log_softmax(teacher).detach()[samples] - log_softmax(student)[samples]
    return torch.stack([-gap, gap**2 / 2, torch.expm1(gap) - gap], 1)


# %% role="mutant" of="estimates" name="estimates.tuple" loses="estimates.values" hint="You returned three tensors. One is asked for, of shape (3, n): torch.stack makes it."
def estimates(student, teacher, samples):
    gap = log_softmax(teacher).detach()[samples] - log_softmax(student)[samples]
    return -gap, gap**2 / 2, torch.expm1(gap) - gap


# %% role="mutant" of="estimates" name="estimates.ratio" loses="estimates.values, estimates.gradient, estimates.expected, estimates.secret" hint="Your k2 squares the difference of probabilities: it is the difference of logarithms that is squared."
def estimates(student, teacher, samples):
    q, p = softmax(student)[samples], softmax(teacher).detach()[samples]
    gap = p.log() - q.log()
    return torch.stack([-gap, (q - p) ** 2 / 2, torch.expm1(gap) - gap])


# %% [markdown]
# The three as *losses*. With a vocabulary of five tokens every mean is a sum that can be written down: the exact gradient of each estimator, on average over the student's samples, beside the exact gradients of the two
# KLs. (`check.ready` takes your function once it has passed its checks, and the library's until then.)
#
# **What do you expect?** One row of the table is all zeros. Which, and does another row equal one of the two KLs?


# %% role="show" name="estimator-gradients"
def library_estimates(student, teacher, samples):
    log_q, log_p = log_softmax(student)[samples], log_softmax(teacher)[samples]
    return torch.stack([k(log_q, log_p) for k in (lm.k1, lm.k2, lm.k3)])


estimate = check.ready(estimates, library_estimates)
torch.manual_seed(3)
z, v = torch.randn(5, requires_grad=True), torch.randn(5)
q, kinds = softmax(z).detach(), {}
for number, name in enumerate(("k1", "k2", "k3")):
    mean = (q * estimate(z, v, torch.arange(5))[number]).sum()
    kinds[name] = mean.item(), torch.autograd.grad(mean, z)[0]
for name, divergence in (("KL(q ‖ p)", reverse_kl), ("KL(p ‖ q)", forward_kl)):
    exact = divergence(z, v)
    kinds[name] = exact.item(), torch.autograd.grad(exact, z)[0]
print("on average over the student's samples, a vocabulary of 5:")
print(f"{'':10}{'value':>8}    gradient in the five logits")
for name, (value, slope) in kinds.items():
    print(f"{name:10}{value:8.3f}    " + "".join(f"{x + 0.0:8.3f}" for x in slope.numpy().round(6)))
spread = estimate(z.detach(), v, torch.multinomial(q, 10_000, replacement=True)).std(1)
print("standard deviation of one estimate: " + ", ".join(f"{s:.2f}" for s in spread))

# %% [markdown]
# **What we saw.** $k_1$, the only one that *is* the KL by definition, has no gradient at all on average: with $y$ given, $\nabla k_1 = \nabla \log q(y)$, whose mean is $\sum_y \nabla q(y) = 0$, and the teacher is not in it. A training with this loss
# shows a KL that looks right, and moves at random. $k_2$ is wrong as a value and exact as a gradient: $\nabla k_2 = (\log q - \log p)\,\nabla\log q$ is REINFORCE. $k_3$, the best one to *look at*, has the gradient of the **other** direction:
# $\nabla k_3 = (1 - r)\,\nabla \log q$, in the mean $-\sum_y p(y)\nabla\log q(y)$, the forward KL's. Which one a library backpropagates is worth a look: these are three different trainings.
#
# (A loss that is written down for its gradient alone, like $-A_t \log q$ with $A_t$ a constant, is called a **surrogate**. This one has the same gradient as $k_2$, sample by sample. It is the usual spelling, because then the advantage can be worked on.)
#
# ## The same in a real run
#
# Lesson 14's arithmetic, gone on with: the calculator's keys, the stored teacher, chains of thought. The student is cut out of the teacher: its last block is taken away (lesson 11), and the rest has to learn to do without. It is fine-tuned on
# 64 verified texts of the hot teacher; say that they are all we could buy. Questions cost nothing. So the student answers new ones, the teacher grades, and one of four losses is taken: the teacher's whole **rows** (the reverse KL, summed over the vocabulary); **k2**, one number a token, at a quarter of that
# learning rate; **k1**, the tempting mistake; and k2 with **ten times the rate**.
#
# In practice nobody can count right answers at every step. What one has are curves from the batches: the KL, estimated from the sampled tokens by $k_3$ and by $k_1$; the student's entropy; the length of its answers.
#
# **What do you expect?** Which curve tells a healthy run from the mistake, and which from the large rate?


# %% role="show" name="setting"
calculator = Tokenizer.characters(ALPHABET)
encode, eos = calculator.encode, calculator.eos
few, start_seconds, seconds, tested, writes, size = {
    "smoke": (8, 0.1, 0.1, 10, 2, 4),
    "default": (64, 3, 4, 100, 6, 64),
    "full": (64, 4, 20, 400, 60, 64),
}[tinykd.scale()]
teacher = lm.load(data_file("arithmetic/teacher.safetensors"))
pool = arithmetic(8_000, seed=1)
held_out = arithmetic(tested, seed=3, exclude={p.question for p in pool})
sampling = {"max_new": 40, "batch_size": 512, "progress": False}


def train(model, objective, batches, budget, rate, teacher=None):
    """Train for `budget` seconds of processor time; returns how many steps that was."""
    adam = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), fused=True)
    timed = Timed(batches, budget)
    falling = torch.optim.lr_scheduler.LambdaLR(adam, timed.left)
    trainer = Trainer(model, objective, teacher, adam, schedule=falling, clip=1.0, progress=False)
    return trainer.fit(timed)[-1]["step"]


def own_texts(model, prompts, count=size):
    """Batches that the model writes itself, `count` answers each."""
    return OnPolicy(model, prompts, size=count, max_new=40, eos=eos)


def bought_texts(pairs, seed=0):
    """Batches of texts that are there already."""
    return SequenceBatches(pairs, tokens=1024, seed=seed)


def right(model, **how):
    """Share of right answers to the held-out problems; two samples each at temperature 1."""
    return lm.sample(model, calculator, held_out, 2, seed=3, **sampling, **how).right.mean()


drawn = lm.sample(teacher, calculator, pool[: 2 * few], 1, temperature=1.5, **sampling)
bought = [
    (encode(p.question), ids[0])
    for p, ids, verified in zip(drawn.problems, drawn.ids, drawn.right, strict=True)
    if verified[0]
][:few]
questions = [encode(p.question) for p in pool[2 * few :]]
cut = lm.keep_layers(teacher, [0, 1, 2])
before = right(cut)
train(cut, HardLabels(), bought_texts(bought), start_seconds, 2e-3)
print(f"{len(bought)} texts bought, {len(questions):,} more questions")
print(
    f"right at T = 1: teacher {right(teacher):.1%}; cut {before:.1%}; fine-tuned {right(cut):.1%}"
)


def of_samples(out):
    """log q and log p (N,) of the tokens that the student has sampled."""
    y = out.batch["labels"].unsqueeze(-1)
    return [log_softmax(z).gather(-1, y).squeeze(-1) for z in (out.student, out.teacher)]


class Watched(tinykd.Term):
    """One of four losses; it notes KL, entropy and length of each batch."""

    needs_teacher = True

    def __init__(self, kind):
        super().__init__()
        self.kind, self.notes = kind, []

    def per_position(self, out):
        log_q, log_p = of_samples(out)
        k1, k2, k3 = (k(log_q, log_p) for k in (lm.k1, lm.k2, lm.k3))
        length = len(log_q) / len(out.batch["input_ids"])
        means = (k3.mean().item(), k1.mean().item(), entropy(out.student).mean().item())
        self.notes.append((*means, length))
        rows = reverse_kl(out.student, out.teacher)
        return {"rows": rows, "k1": k1, "k2": k2}[self.kind]


curves = {}
for name, kind, rate in (
    ("rows", "rows", 2e-3),
    ("k2", "k2", 5e-4),
    ("k1", "k1", 5e-4),
    ("k2, rate × 10", "k2", 5e-3),
):
    student, term = copy.deepcopy(cut), Watched(kind)
    adam = torch.optim.AdamW(student.parameters(), rate, betas=(0.9, 0.99), fused=True)
    batches = own_texts(student, questions[: writes * size])
    Trainer(student, 1.0 * term, teacher, adam, clip=1.0, progress=False).fit(batches)
    curves[name] = np.array(term.notes)
    print(f"{name:14} {len(term.notes)} steps; right at T = 1 afterwards: {right(student):.1%}")

figure, panels = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
titles = "KL by k3, nats", "KL by k1, nats", "entropy, nats", "tokens an answer"
for n, (axes, title) in enumerate(zip(panels, titles, strict=True)):
    for (name, notes), color in zip(curves.items(), (0, 2, 1, 5), strict=True):
        steps = range(1, len(notes) + 1)
        axes.plot(steps, notes[:, n], color=COLORS[color], marker=".", label=name)
    axes.set(title=title, xlabel="step")
    axes.spines[["top", "right"]].set_visible(False)
handles, labels = panels[0].get_legend_handles_labels()
figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=4)
plots.show(
    "Four small panels of curves against steps: the KL by k3 and by k1, entropy and length of the "
    "answers, for four runs."
)

# %% [markdown]
# **What we saw.** Rows and k2 look alike: after some ups and downs the KL ends a little lower, entropy and length stay about where they were. Right answers stay or rise by some points (with two answers to each of 100 problems, a few are chance); that is what a healthy start looks like. With $k_1$ as a loss entropy and length stay too. The KL does not
# fall but drifts upwards, and right answers go down: a random walk, with a good teacher looking on. (The second panel *is* its loss. Nothing about the curve is strange, unless one knows that it should fall.) At ten times the rate every panel says so: within a few steps the KL is several nats, the entropy has doubled, the length of the answers swings (in other runs it only
# falls), and hardly one is right.
#
# So watch $k_3$ or $k_1$ as a *number*, whatever the loss is; a length that runs away is a rate that is too large.
#
# ## What is done to an advantage
#
# A single token can have $A_t = -20$: to the teacher it is out of the question. One such token in a batch is the whole gradient. So:
#
# - **clip**: $A_t$ is cut to $[-c, c]$. This one is not free: with clipping the mean gradient is no longer that of the KL;
# - **centre**: subtract the mean advantage of a group of samples, often those of the same prompt. Since $\mathbb{E}_q[b\,\nabla\log q] = 0$ for any constant $b$, this changes the noise and not the mean. (Almost: the mean holds the token itself,
#   which with $n$ tokens in the group makes the gradient $(n-1)/n$ as large.) $A_t$ is negative on average, by the KL: without centring most tokens are pushed down, and only the few that go up say where to.
#
# ### Exercise 2: the surrogate
# Several samples of one prompt, one in each row; they are the group. First clip, then centre. (In shapes such as (B, T), T is a number of tokens; in the tables, `T = 1` is a temperature.)
#
# <details><summary>Hint: the order of things</summary>
#
# Advantages as constants (`.detach()`), of the scored positions alone: `(log_p - log_q)[scored]` has shape (n,). Then `clamp(-clip, clip)`, then subtract the mean, then the mean of `-A * log_q[scored]`.
# </details>


# %% role="answer" name="surrogate"
def surrogate(log_q, log_p, scored, clip=5.0):
    """The loss of sampled-token on-policy distillation for one group of samples, a number.

    log_q, log_p: (B, T), log-probabilities of the sampled tokens under student and teacher, anything
    where nothing is scored, NaN too. scored: bool (B, T). Advantages are cut to [-clip, clip], then centred: the
    mean of the group's, over all scored tokens, is subtracted. The loss is the mean of -A log q over the
    scored tokens. Gradients flow to log_q alone, and not through A.
    """
    # YOUR CODE: four lines
    # BEGIN SOLUTION
    log_q, log_p = log_q[scored], log_p[scored]  # (n,)
    A = (log_p - log_q).detach().clamp(-clip, clip)
    A = A - A.mean()
    return -(A * log_q).mean()
    # END SOLUTION


# %% role="check" name="surrogate.plain" points=1 hint="Nothing is clipped here: A = log p - log q minus its mean over the scored tokens, a constant; the mean of -A log q over the scored tokens."
rng = check.rng("surrogate.plain")
check("surrogate.plain", [look(surrogate, *sampled(rng, n, 4), 99.0) for n in (2, 5)])

# %% role="check" name="surrogate.clipped" points=1 hint="Cut each advantage to [-clip, clip] on both sides, and subtract the mean afterwards, that of the clipped ones."
rng = check.rng("surrogate.clipped")
check("surrogate.clipped", [look(surrogate, *sampled(rng, 4, 6), clip) for clip in (0.5, 1.5)])


# %% role="check" name="surrogate.garbage" points=1 hint="Is a number of yours NaN? What stands at unscored positions may be NaN or infinite: pick the scored ones before you compute; 0 times NaN is NaN, also in a gradient. If none is: clip here is 1, on both sides, and one mean for the whole group is subtracted after it."
rng = check.rng("surrogate.garbage")
check("surrogate.garbage", [look(surrogate, *spoilt(rng), 1.0) for _ in range(2)])

# %% role="hidden" name="surrogate.secret" points=1 hint="Longer answers, garbage, another clip: one mean for the whole group, not one for each row."
rng = check.rng("surrogate.secret")
check(
    "surrogate.secret",
    [look(surrogate, *spoilt(rng), 1.0), look(surrogate, *sampled(rng, 6, 9), 1.0)],
)


# %% role="alternative" of="surrogate" name="surrogate.by_where"
def surrogate(log_q, log_p, scored, clip=5.0):
    q = torch.where(scored, log_q, torch.zeros_like(log_q))
    with torch.no_grad():
        A = torch.where(scored, (log_p - q), torch.zeros_like(q)).clamp(-clip, clip)
        A = A - A.sum() / scored.sum()
    return -torch.where(scored, A * q, torch.zeros_like(q)).sum() / scored.sum()


# %% role="alternative" of="surrogate" name="surrogate.loop"
def surrogate(log_q, log_p, scored, clip=5.0):
    places = scored.nonzero().tolist()
    gains = [
        min(clip, max(-clip, float(log_p[b, t].detach() - log_q[b, t].detach()))) for b, t in places
    ]
    middle = sum(gains) / len(gains)
    total = sum((gain - middle) * log_q[b, t] for gain, (b, t) in zip(gains, places, strict=True))
    return -total / len(places)


# %% role="mutant" of="surrogate" name="surrogate.not_detached" loses="surrogate.plain, surrogate.clipped, surrogate.garbage, surrogate.secret" hint="A gradient flows through the advantage: .detach() it. Otherwise you train another loss."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).clamp(-clip, clip)
    A = A - A.mean()
    return -(A * log_q).mean()


# %% role="mutant" of="surrogate" name="surrogate.sign" loses="surrogate.plain, surrogate.clipped, surrogate.garbage, surrogate.secret" hint="The sign is wrong: what the teacher likes better than the student does has A > 0, and must become more likely when the loss falls."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).detach().clamp(-clip, clip)
    A = A - A.mean()
    return (A * log_q).mean()


# %% role="mutant" of="surrogate" name="surrogate.k1" loses="surrogate.plain, surrogate.clipped, surrogate.garbage, surrogate.secret" hint="That is k1, whose gradient has no teacher in it: a constant advantage times log q is what is asked for."
def surrogate(log_q, log_p, scored, clip=5.0):
    return (log_q - log_p.detach())[scored].clamp(-clip, clip).mean()


# %% role="mutant" of="surrogate" name="surrogate.not_centred" loses="surrogate.plain, surrogate.clipped, surrogate.garbage, surrogate.secret" hint="The advantages are not centred: subtract their mean."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).detach().clamp(-clip, clip)
    return -(A * log_q).mean()


# %% role="mutant" of="surrogate" name="surrogate.centred_first" loses="surrogate.clipped, surrogate.garbage, surrogate.secret" hint="You centred before you clipped, so that one wild token moves the mean of all. Clip first."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).detach()
    A = (A - A.mean()).clamp(-clip, clip)
    return -(A * log_q).mean()


# %% role="mutant" of="surrogate" name="surrogate.one_side" loses="surrogate.clipped, surrogate.garbage, surrogate.secret" hint="You cut on one side: clamp(-clip, clip) has two."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).detach().clamp(max=clip)
    A = A - A.mean()
    return -(A * log_q).mean()


# %% role="mutant" of="surrogate" name="surrogate.unclipped" loses="surrogate.clipped, surrogate.garbage, surrogate.secret" hint="Nothing is clipped."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).detach()
    return -((A - A.mean()) * log_q).mean()


# %% role="mutant" of="surrogate" name="surrogate.sum" loses="surrogate.plain, surrogate.clipped, surrogate.garbage, surrogate.secret" hint="You summed over the scored tokens: take the mean."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).detach().clamp(-clip, clip)
    return -((A - A.mean()) * log_q).sum()


# %% role="mutant" of="surrogate" name="surrogate.scaled" loses="surrogate.plain, surrogate.clipped, surrogate.garbage, surrogate.secret" hint="You divided by the standard deviation. GRPO does that with rewards; here it is not asked for."
def surrogate(log_q, log_p, scored, clip=5.0):
    log_q, log_p = log_q[scored], log_p[scored]
    A = (log_p - log_q).detach().clamp(-clip, clip)
    return -((A - A.mean()) / A.std() * log_q).mean()


# %% role="mutant" of="surrogate" name="surrogate.times_zero" loses="surrogate.garbage, surrogate.secret" hint="You multiplied what is not scored by 0: 0 times NaN is NaN. Pick the scored positions first, log_q[scored]."
def surrogate(log_q, log_p, scored, clip=5.0):
    A = (log_p - log_q).detach().clamp(-clip, clip)
    A = A - (A * scored).sum() / scored.sum()
    return -(A * log_q * scored).sum() / scored.sum()


# %% role="mutant" of="surrogate" name="surrogate.by_row" loses="surrogate.plain, surrogate.clipped, surrogate.garbage, surrogate.secret" hint="You took one mean for each row. The group is all samples of the prompt: one mean for all."
def surrogate(log_q, log_p, scored, clip=5.0):
    losses, count = 0.0, scored.sum()
    for q, p, where in zip(log_q, log_p, scored, strict=True):
        q, p = q[where], p[where]
        A = (p - q).detach().clamp(-clip, clip)
        losses = losses - ((A - A.mean()) * q).sum() if len(A) else losses
    return losses / count


# %% [markdown]
# ## On-policy, or more fine-tuning?
#
# Sampling takes time. What would that time have done otherwise? The fine-tuned student gets some seconds more, each method the same number of **seconds of processor time**, writing included:
#
# - **labels**: more fine-tuning on the 64 texts;
# - **on-policy**: the student answers *new questions*, and the teacher's whole rows grade it (reverse KL). Questions cost nothing here, only answers do;
# - **on-policy, one number**: the same with your surrogate.
#
# `Timed` ends a training when its time is up; `OnPolicy` writes the batches, as in lesson 13.
#
# **What do you expect?** The same 64 texts again and again: what can they still teach? And how many steps will fit into the same time, if the student has to write first?


# %% role="show" name="on-policy-or-more"
class OneNumber(lm.SampledReverseKL):
    """The engine's term with the surrogate of exercise 2: all samples of the batch are the group.

    A term gives a value for each position; your mean is given to each of them.
    """

    def per_position(self, out):
        log_q, log_p = of_samples(out)
        loss = my_surrogate(log_q[None], log_p[None], torch.ones(1, len(log_q)) > 0, clip=5.0)
        return loss.expand(len(log_q))


def library_surrogate(log_q, log_p, scored, clip=5.0):
    q, p = log_q[scored], log_p[scored]
    group = torch.zeros(len(q), dtype=torch.long)
    return -(lm.advantages(q, p, group, clip) * q).mean()


my_surrogate = check.ready(surrogate, library_surrogate)
kinds = {
    "labels": (HardLabels(), None, 1e-3),
    "on-policy": (SoftTargets(divergence=reverse_kl), teacher, 2e-3),
    "on-policy, one number": (OneNumber(), teacher, 2e-3),
}
print(f"{'':24}{'steps':>7}{'T = 1':>9}{'greedy':>9}")
for name, (objective, who, rate) in kinds.items():
    student = copy.deepcopy(cut)
    batches = own_texts(student, questions) if who else bought_texts(bought, seed=1)
    steps = train(student, objective, batches, seconds, rate, who)
    print(f"{name:24}{steps:7}{right(student):9.1%}{right(student, temperature=0):9.1%}")

# %% [markdown]
# One run proves little. `benchmarks/beyond_one_teacher.py` did five, from the same stored teacher: the seeds vary questions, texts, samples and order, nothing else. There are two settings: 64 texts as here, and as many as the teacher gets right of 800 questions, more than can be read in the time. Three methods more: **soft targets**, the teacher's rows on the same
# texts (forward KL); and, for few texts, **teacher writes on**: half of the time the teacher answers new questions, half of it the student is fine-tuned on old and new texts.
# A **star** marks a difference whose 95% interval over the seeds leaves out 0; without one it is undecided.
#
# **What do you expect?** In which of the two settings does on-policy have a chance? And which is the better use of the teacher's time: to write, or to grade?


# %% role="show" name="stored-a" folded=true
stored = json.loads(data_file("results/beyond_one_teacher.json").read_text())
by_method = {}
for run in stored["runs"]:
    by_method.setdefault((run["setting"], run["method"]), {})[run["seed"]] = run


def column(setting, method, key="accuracy"):
    """The values of a method, one for each seed, in the order of the seeds."""
    return [run[key] for _, run in sorted(by_method[setting, method].items())]


def paired(setting, method, other, key="accuracy"):
    """Mean difference and half of its 95% interval, seed by seed; a star where it leaves out 0."""
    pairs = zip(column(setting, method, key), column(setting, other, key), strict=True)
    mean, half = mean_interval([a - b for a, b in pairs])
    return f"{100 * mean:+6.1f} ± {100 * half:4.1f}{'*' if abs(mean) > half else ' '}"


def table(settings, keys):
    """Each method's means, and the paired differences to labels."""
    for setting in settings:
        seeds = len(column(setting, "labels"))
        print(f"{setting}, {seeds} seeds, in percent")
        head = "".join(f"{name:>7}{'- labels':>15}" for name in keys.values())
        print(f"{'':36}{'steps':>5}{head}")
        for one, method in by_method:
            if one != setting:
                continue
            steps = "" if method == "start" else f"{np.mean(column(setting, method, 'steps')):.0f}"
            line = f"{method:36}{steps:>5}"
            for key in keys:
                line += f"{100 * np.mean(column(setting, method, key)):7.1f}"
                plain = method == "labels"
                line += f"{'' if plain else paired(setting, method, 'labels', key):>15}"
            print(line.rstrip())
        print()


table(("many texts", "few texts"), {"accuracy": "T = 1", "greedy": "greedy"})
for one, other in (
    ("on-policy", "start"),
    ("on-policy, one number", "start"),
    ("teacher writes on", "on-policy"),
):
    for key, name in (("accuracy", "T = 1"), ("greedy", "greedy")):
        print(f"few texts, {one} minus {other}, {name}: {paired('few texts', one, other, key)}")
print(
    f"many texts, on-policy minus start, greedy: {paired('many texts', 'on-policy', 'start', 'greedy')}"
)
texts = np.mean(column("few texts", "teacher writes on", "texts"))
print(f"few texts, teacher writes on: {texts:.0f} texts in the end")
print("seconds of processor time for each method:", stored["settings"]["budget"])

# %% [markdown]
# **What we saw.** Many texts: at T = 1 nothing comes near to reading more of them; in greedy answers soft targets on the same texts are undecided, and on-policy is far behind. In the same four seconds fine-tuning takes 67 steps and on-policy 10, and those ten at their large rate did harm: greedy answers lost about 20 points. (Soft targets cost a pass of the teacher, so 49 steps fitted, and gave six points less than labels at T = 1, with a star.)
#
# Few texts: here it turns. The 64 texts have nothing left to teach; 126 more steps on them cost a point or two at T = 1 and five in greedy answers, and the teacher's whole rows on the same texts do not change that. Fourteen steps on the student's *own* answers to *new questions* bring 14 points more than labels at T = 1 and a third of all problems more in greedy answers,
# with stars. So what on-policy needs in order to win is that fine-tuning has saturated, and that questions are free.
#
# And yet the last row beats it: the teacher **writes** for half of the six seconds, the student reads for the other half, about 1100 texts in the end. At this size a teacher's text costs about what a student's does, is read many times, and on-policy grades each sample once. One number a token, at the rate that suited the rows, gave little: against the start it is undecided at T = 1 and nearly four
# points, with a star, in greedy answers (nine against labels, which lost some). Sixteen steps are few for so noisy a gradient. Neither is a law. A large teacher that writes ten thousand tokens for a problem and grades a small student's in one pass turns the prices round (that is what the reports of 2025 count), and whoever has only a server's log-probabilities has no rows.
#
# In most rows T = 1 is far below greedy (not where both are low: labels, soft targets and one number with few texts): the bought texts were written at T = 1.5, and a student of hot texts is hot. Compare methods in both columns before you credit one of them with reasoning.
#
#
# ### Each prompt its own teacher
# A reasoning model of 2026 often has several teachers: one made by reinforcement learning for mathematics, one for programs, one for talk. Averaging them (lesson 07) asks each about everything. On-policy it is simpler: a *prompt* belongs to one of them, and that one grades what
# the student writes there. All together they cost as much as one. In the engine it is a teacher like any other, `lm.ByPrompt({"maths": a, "talk": b}, ["maths", "talk", "maths", ...])`, a name for each prompt; `OnPolicy` says in `batch["prompt"]` which prompts a batch holds.
#
# ## A teacher that has read more
#
# Who teaches the largest model? There is nobody larger. But the same weights are a better model when their prompt holds more: an instruction, a few worked examples, the solution, the error message of the last try. That gives a
# teacher for free. **Teacher**: the model with the privileged text in its prompt. **Student**: the same weights without it. What the prompt did, the weights shall do (*context distillation*, Askell et al. 2021; Snell et al. 2022; as a way to learn from
# demonstrations, solutions and feedback: SDFT, OPSD and SDPO, all of 2026).
#
# On the student's own samples it goes like this. The student reads the prompt and answers. The teacher reads the privileged text, *then* the same prompt, *then the student's answer*. Both now have a
# distribution for each token of the answer, and a KL compares them, token by token.
#
# One thing goes wrong silently. The answer begins at position `len(prompt)` for the student and at `len(shown) + len(prompt)` for the teacher. Compare position by position without moving them and every token is compared with another one:
# shapes may even fit, the loss falls, and what is learned is nonsense.
#
# ### Exercise 3: the loop
# Write it in plain PyTorch, one sequence at a time, so that there is no padding: a model is called as `model(ids)` with `ids` (1, T), and gives logits (1, T, V). `reverse_kl(student_logits, teacher_logits)` of shapes (n, V) gives (n,), and `forward_kl` likewise; which of the two is an argument.
#
# <details><summary>Hint: the logits of the answer</summary>
#
# For a sequence `[*before, *answer]` the logits at position t predict token t + 1. Those that predict the answer begin at the last token of `before` and stop one before the end: `model(torch.tensor([ids]))[0, len(before) - 1 : -1]`.
# </details>
# <details><summary>Hint: one mean for a batch</summary>
#
# Collect the KLs of each prompt, (n,), in a list; `torch.cat(list).mean()` is the mean over all answer tokens of the batch, in which long answers count for more than short ones.
# </details>


# %% role="answer" name="internalise"
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    """On-policy self-distillation, one step for each batch of `data`. Returns the losses, a list of floats.

    shown: the privileged ids, a list; the teacher sees them before each prompt, the student never does.
    data: a list of batches, each a list of prompts (lists of ids).
    sample(student, prompt): the student's answer now, a list of at least one id; asked again, it gives another.
    divergence(student_logits, teacher_logits), of shapes (n, V), gives (n,). The loss of a batch is its mean over all
    tokens of the answers, and those alone. optimizer has the student's parameters; a gradient that is there before
    must not count. The teacher gets no gradient.
    """
    # YOUR CODE: for each batch, for each prompt: answer, both logits, KL; then one step
    # BEGIN SOLUTION
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
    # END SOLUTION


# %% role="setup" name="internalise-specimen"
def internalised(answer, rng, shown_length, batches, same=False, rate=0.5, divergence=None):
    """What `answer` does to a tiny student: the losses, the weights afterwards, and more."""
    teacher = Tiny(rng)
    student = copy.deepcopy(teacher) if same else Tiny(rng)
    student.table.grad = torch.tensor(rng.normal(size=(6, 6)))  # left over from something else
    shown = rng.integers(2, 6, size=shown_length).tolist()
    data = [[rng.integers(2, 6, size=n).tolist() for n in (2, 1, 4)] for _ in range(batches)]
    before = teacher.table.detach().clone()
    optimizer, sample = Descent(student, rate), writer(rng)
    parts = [shown, data, optimizer, sample, *([divergence] if divergence else [])]
    losses = check.call(answer, student, teacher, *parts, may_change=[student, teacher])
    return {
        "losses": losses,
        "each a float": [isinstance(loss, float) for loss in losses],
        "weights": student.table,
        "the student can be trained": student.table.requires_grad,
        "gradients of the teacher": 0 if teacher.table.grad is None else 1,
        "the teacher moved": bool((teacher.table != before).any()),
    }


# %% role="check" name="internalise.nothing_shown" points=1 hint="Nothing is shown, so this is plain on-policy distillation: one step for each batch, the mean over all answer tokens of it, losses as floats. A gradient is left over from before: zero it before you go backward."
rng = check.rng("internalise.nothing_shown")
check(
    "internalise.nothing_shown",
    internalised(internalise, rng, 0, 10, rate=2.0, divergence=by_hand("reverse")),
)

# %% role="check" name="internalise.shown" points=1 hint="The teacher reads shown, prompt and answer; its logits for the answer begin at len(shown) + len(prompt) - 1. The student reads no `shown`."
rng = check.rng("internalise.shown")
check(
    "internalise.shown",
    [
        internalised(internalise, rng, n, 8, rate=1.5, divergence=which)
        for n, which in ((1, by_hand("reverse")), (3, by_hand("forward")))
    ],
)

# %% role="check" name="internalise.itself" points=1 hint="Student and teacher begin with the same weights. Answers are written with the weights of that moment, inside the loop."
rng = check.rng("internalise.itself")
check("internalise.itself", internalised(internalise, rng, 4, 12, same=True, rate=4.0))

# %% role="hidden" name="internalise.secret" points=2 hint="Longer privileged texts, more batches, a larger step: nothing may be left over from the last step or from before."
rng = check.rng("internalise.secret")
check(
    "internalise.secret",
    internalised(internalise, rng, 7, 8, rate=1.5, divergence=by_hand("forward")),
)


# %% role="alternative" of="internalise" name="internalise.function"
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    def answer_logits(model, before, answer):
        ids = torch.tensor(list(before) + list(answer)).unsqueeze(0)
        return model(ids).squeeze(0)[-len(answer) - 1 : -1]

    losses = []
    for batch in data:
        optimizer.zero_grad()
        answers = [sample(student, prompt) for prompt in batch]
        rows = [answer_logits(student, p, a) for p, a in zip(batch, answers, strict=True)]
        seen = [
            answer_logits(teacher, shown + p, a).detach()
            for p, a in zip(batch, answers, strict=True)
        ]
        loss = divergence(torch.cat(rows), torch.cat(seen)).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


# %% role="alternative" of="internalise" name="internalise.by_token"
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        total, count = 0.0, 0
        for prompt in prompts:
            answer = sample(student, prompt)
            log_q = student(torch.tensor([prompt + answer])).log_softmax(-1)
            log_p = teacher(torch.tensor([shown + prompt + answer])).log_softmax(-1).detach()
            for n in range(len(answer)):
                q = log_q[0, len(prompt) - 1 + n]
                p = log_p[0, len(shown) + len(prompt) - 1 + n]
                total, count = total + divergence(q, p), count + 1
        student.zero_grad()
        (total / count).backward()
        optimizer.step()
        losses.append((total / count).item())
    return losses


# %% role="mutant" of="internalise" name="internalise.shown_behind" loses="internalise.shown, internalise.itself, internalise.secret" hint="Your teacher reads `shown` behind the prompt: it stands in front of it."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*prompt, *shown, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.backwards" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="Your teacher reads the prompt backwards."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt[::-1], *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.two_answers" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="The teacher grades another answer than the student's: sample once for each prompt, and give both the same."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *sample(student, prompt)]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1][: len(z)]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.no_constant" loses="internalise.nothing_shown, internalise.shown, internalise.secret" hint="The teacher gets a gradient: ask it under torch.no_grad(), or detach what it says. (tinykd's divergences detach it, others do not.)"
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.exchanged" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="You exchanged the two: divergence(student_logits, teacher_logits)."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(v[0, len(shown) + len(prompt) - 1 : -1], z))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.mean_of_means" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="You took a mean for each prompt and the mean of these. One mean over all answer tokens of the batch: long answers count for more."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.stack([gap.mean() for gap in gaps]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.zero_after" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="You zero the gradients after the step, so that what was left over from before counts in the first: optimizer.zero_grad() before backward()."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.tensors" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="Your losses are tensors: loss.item() makes a float of one."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


# %% role="mutant" of="internalise" name="internalise.a_step_for_each" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="You take a step for each prompt: one for each batch."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
            optimizer.zero_grad()
            gaps[-1].mean().backward()
            optimizer.step()
        losses.append(torch.cat(gaps).mean().item())
    return losses


# %% role="mutant" of="internalise" name="internalise.not_shown" loses="internalise.shown, internalise.itself, internalise.secret" hint="Your teacher sees nothing more than the student: `shown` comes before its prompt."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            ids = torch.tensor([[*prompt, *answer]])
            with torch.no_grad():
                v = teacher(ids)[0, len(prompt) - 1 : -1]
            gaps.append(divergence(student(ids)[0, len(prompt) - 1 : -1], v))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.not_moved" loses="internalise.shown, internalise.itself, internalise.secret" hint="You took the teacher's logits at the student's positions: with `shown` in front the answer begins len(shown) later."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            start = len(prompt) - 1
            gaps.append(divergence(z, v[0, start : start + len(answer)]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.one_late" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="Your logits are one position late: what predicts the first answer token stands at the last token before it."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) :]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) :]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.both_shown" loses="internalise.shown, internalise.itself, internalise.secret" hint="Your student reads `shown` too: then it has nothing to learn from it. It must do without."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            ids = torch.tensor([[*shown, *prompt, *answer]])
            with torch.no_grad():
                v = teacher(ids)[0, -len(answer) - 1 : -1]
            gaps.append(divergence(student(ids)[0, -len(answer) - 1 : -1], v))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.taught_teacher" loses="internalise.nothing_shown, internalise.itself, internalise.shown, internalise.secret" hint="The teacher gets a gradient: ask it under torch.no_grad(), or detach what it says."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        total, count = 0.0, 0
        for prompt in prompts:
            answer = sample(student, prompt)
            log_q = student(torch.tensor([prompt + answer])).log_softmax(-1)[
                0, len(prompt) - 1 : -1
            ]
            log_p = teacher(torch.tensor([shown + prompt + answer])).log_softmax(-1)
            log_p = log_p[0, len(shown) + len(prompt) - 1 : -1]
            total = total + (log_q.exp() * (log_q - log_p)).sum()
            count += len(answer)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
        losses.append((total / count).item())
    return losses


# %% role="mutant" of="internalise" name="internalise.always_reverse" loses="internalise.shown, internalise.secret" hint="You take the reverse KL whatever is asked for: the argument `divergence` says which."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(reverse_kl(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.stale" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="All answers were written before the first step, by a student that no longer exists: sample inside the loop."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    written = [[(prompt, sample(student, prompt)) for prompt in prompts] for prompts in data]
    for pairs in written:
        gaps = []
        for prompt, answer in pairs:
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.teacher_writes" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="The teacher wrote the answers. On-policy the student does: sample(student, prompt)."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(teacher, [*shown, *prompt])
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.keeps_gradient" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="Old gradients are added to the new: optimizer.zero_grad() before backward(), at every step."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) + len(prompt) - 1 : -1]))
        loss = torch.cat(gaps).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="internalise" name="internalise.whole_text" loses="internalise.nothing_shown, internalise.shown, internalise.itself, internalise.secret" hint="Your loss is on the prompt too: only the positions that predict an answer token count."
def internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    losses = []
    for prompts in data:
        gaps = []
        for prompt in prompts:
            answer = sample(student, prompt)
            z = student(torch.tensor([[*prompt, *answer]]))[0, :-1]
            with torch.no_grad():
                v = teacher(torch.tensor([[*shown, *prompt, *answer]]))
            gaps.append(divergence(z, v[0, len(shown) : -1]))
        loss = torch.cat(gaps).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# ### An instruction moves into the weights
#
# For this we need a model that goes by what stands in its prompt. `in_context.safetensors` is lesson 14's teacher, trained a little further on short problems: told `::` it repeats the answer behind a colon, `34+5=39-8=31:31` (call it the house style: a marked answer, as GSM8K's `####`);
# told `==`, or nothing, it writes as ever; and with the *answer* in front, `31:34+5-8:`, it copies that.
#
# First the innocent case: the instruction `::` is the privileged text. The student shall write in the house style *without being told*. Four ways, from the same questions:
#
# - **labels**: fine-tuning on texts that the told model wrote;
# - **soft targets**: the told model's rows on the same texts (forward KL);
# - **on-policy**, reverse and forward KL: your loop, a few prompts at a time.
#
# And two questions at the end. Does it write so untold? And what has it **forgotten**: does it still write plainly when told `==`?
#
# Below your run stands the same from `benchmarks/beyond_one_teacher.py`, five runs in equal seconds of processor time, all from the same stored model, with two methods more. **Both prompts**: half of the questions come with `==` in front, and on those the model is shown nothing
# more, so that it teaches itself to go on as it did. (Each prompt its own teacher, and all of them one model.)
#
# **What do you expect?** In the first four nobody trains on prompts with `==`. Which of the four moves the model least, beyond what it must? And the untold student has never in its life written a colon behind an answer: which of the two KLs
# has a gradient where the student is sure and the teacher is not of its opinion?


# %% role="show" name="style"
base = lm.load(data_file("arithmetic/in_context.safetensors"))
house_rule, plain_rule = encode("::"), encode("==")
loops, together = {"smoke": (1, 2), "default": (6, 5), "full": (40, 8)}[tinykd.scale()]
short_ones = arithmetic(2_000 + tested, (2, 4), seed=217)
tests, asked = short_ones[:tested], [encode(p.question) for p in short_ones[tested:]]


def house(problem):
    return f"{problem.solution}:{problem.answer}"


def replies(model, prompts, T=1.0):
    """Answers as texts, None where one does not end."""
    how = {"max_new": 40, "eos": eos, "batch_size": 512, "progress": False}
    rows = generate(model, prompts, temperature=T, **how)
    return [calculator.decode(row[:-1]) if row[-1] == eos else None for row in rows]


def exactly(model, told, want):
    """Share of the greedy answers that are what is wanted, to the letter, told this."""
    found = replies(model, [[*told, *encode(p.question)] for p in tests], T=0)
    return np.mean([text == want(p) for text, p in zip(found, tests, strict=True)])


def habits(model):
    """Right and in the house style untold; right and plain when told so."""
    return exactly(model, [], house), exactly(model, plain_rule, lambda p: p.solution)


def sample_one(model, prompt):
    (row,) = generate(model, [prompt], max_new=40, eos=eos, progress=False)
    return row


def library_internalise(student, teacher, shown, data, optimizer, sample, divergence=reverse_kl):
    told, losses = lm.Privileged(teacher, shown), []
    for prompts in data:
        pairs = [(prompt, sample(student, prompt)) for prompt in prompts]
        batch = SequenceBatches(pairs, size=len(pairs)).batch(range(len(pairs)))
        given = {key: batch[key] for key in ("input_ids", "attention_mask", "positions")}
        loss = divergence(student(**given), told.targets(batch, []).logits).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


loop = check.ready(internalise, library_internalise)
told = generate(
    base,
    [[*house_rule, *q] for q in asked[:400]],
    max_new=40,
    eos=eos,
    progress=False,
    batch_size=512,
)
same_texts = [(q, row) for q, row in zip(asked, told, strict=False) if row[-1] == eos]
print(f"{'':24}{'seconds':>8}{'house, untold':>16}{'plain, told':>14}")
print(f"{'before':24}{'':8}" + "{:16.1%}{:14.1%}".format(*habits(base)))
data = [asked[n : n + together] for n in range(0, loops * together, together)]
ways = {
    "labels": HardLabels(),
    "soft targets": SoftTargets(),
    "on-policy, reverse KL": reverse_kl,
    "on-policy, forward KL": forward_kl,
}
for name, how in ways.items():
    student, start = copy.deepcopy(base), time.process_time()
    if how in (reverse_kl, forward_kl):
        adam = torch.optim.AdamW(student.parameters(), 1e-3, betas=(0.9, 0.99))
        losses = loop(student, base, house_rule, data, adam, sample_one, how)
    else:
        who = lm.Privileged(base, house_rule) if name == "soft targets" else None
        train(student, how, bought_texts(same_texts), seconds, 3e-4, who)
    spent = time.process_time() - start
    print(f"{name:24}{spent:8.1f}" + "{:16.1%}{:14.1%}".format(*habits(student)))
    if name.startswith("on-policy"):
        print(f"    its losses: {', '.join(f'{loss:.2f}' for loss in losses)}")

print(
    f"\nstored: five runs, {stored['settings']['self']:.0f} seconds of processor time for each method"
)
table(("style",), {"accuracy": "house", "plain, told": "plain"})
print("house: untold, in the house style to the letter; plain: told ==, in the plain one")
mine, theirs = "on-policy, forward KL, both prompts", "labels, both prompts"
for key, name in (("accuracy", "house"), ("plain, told", "plain")):
    print(f"both prompts, on-policy minus labels, {name}: {paired('style', mine, theirs, key)}")
gap = paired("style", "on-policy", "on-policy, forward KL")
print(f"on-policy, reverse KL minus forward KL, house: {gap}")

# %% [markdown]
# **What we saw.** Every way puts the instruction into the weights within three seconds of processor time, in which eleven steps on-policy fitted and 39 of labels. (How few would do we did not measure.) And every way **forgets**: told `==`, which went right in 99% of cases, the model now writes the plain answer in none. Rows instead of labels do not prevent it,
# and neither does being on-policy. On-policy self-distillation is reported to forget less than fine-tuning (SDFT, on real models); in this toy, with two instructions so much alike, it did not.
#
# (In your run the reverse KL may hang behind the forward one. Where the student is sure, $q$ is nearly 1 on one token, and the reverse KL, which weighs with $q$, has hardly a gradient. The forward KL weighs with the teacher's $p$. Over the five runs the difference is undecided, as the last line says. On-policy with the forward KL is a point or two *below* labels in the house style, with a star.)
#
# What protects are the prompts: with `==` in half of them, nearly everything stays, at a price of some points or none in the house style. Whether labels or own samples are better then: in the plain style labels by three points, with a star; in the house style undecided. The privileged text says what shall change.
# Only prompts can say where nothing shall.
#
#
# ### What the student cannot know
#
# Now let the privileged text be the *answer*. As a teacher nothing could be better: told `31:` in front of `34+5-8:`, it writes `31`, always right. The student gets the same weights' rows, on its own samples or on the teacher's texts, and must do without the answer.
#
# **What do you expect?** Before, the model writes a chain and is nearly always right. Afterwards?


# %% role="show" name="solution"
solved = {tuple(encode(p.question)): encode(f"{p.answer}:") for p in short_ones}
hinted = lm.Privileged(base, lambda prompt: [*solved[tuple(prompt)], *prompt])
student = copy.deepcopy(base)
train(
    student,
    SoftTargets(divergence=reverse_kl),
    own_texts(student, asked, max(1, size // 2)),
    seconds,
    1e-3,
    hinted,
)
rows = [encode(p.question) for p in tests]
with_answer = replies(base, [[*solved[tuple(row)], *row] for row in rows], T=0)
for name, found in (
    ("teacher, shown the answer", with_answer),
    ("before", replies(base, rows, T=0)),
    ("student afterwards", replies(student, rows, T=0)),
):
    good = np.mean([text and text[-2:] == p.answer for text, p in zip(found, tests, strict=True)])
    length = np.mean([len(text or "") for text in found])
    print(f"{name:28}right {good:6.1%}, {length:4.1f} tokens, such as {found[0]}")
print(f"the problem is {tests[0].question} and its answer {tests[0].answer}")
table(("solution",), {"accuracy": "right"})
for method in ("start", "labels", "soft targets", "on-policy"):
    print(f"{method:14}{np.mean(column('solution', method, 'tokens')):5.1f} tokens an answer")

# %% [markdown]
# **What we saw.** A perfect teacher, and after the same three seconds the model is ruined: from all right to 2 to 5 in a hundred, by every method. The teacher did not *need* the chain, so it never taught one. The student copies the leap: two digits at once, in three tokens instead of eighteen, and what it cannot see it guesses.
# (On your machine the run may stop halfway down.)
#
# Real models show a gentler form of it. Two papers of 2026 report that models which teach themselves with the solution in view write shorter and surer chains and get worse on new problems, the more so the more the teacher was shown (arXiv 2603.24472, 2607.05184). The question to ask of a privileged text is:
# *could the student, given time, have found it out?* A style, a rule, a fact that always holds: yes. The answer to this very problem: no. A hint, the error message of its last try: perhaps, and then only if the teacher still writes down how.
#
#
# ## A teacher with other tokens
#
# Two people read the same sentence aloud, one letter by letter, the other syllable by syllable. After each has spoken three times they are at different places. "What comes next?" has different
# answers for the two, and "the third answer of one against the third of the other" compares nothing.
#
# So it is with a student whose **tokenizer** is not its teacher's. All that we have done with logits so far took for granted that row 17 stands for the same word on both sides, after the same text. Neither holds
# now. Three ways are left:
#
# - **the text**: let the teacher write, train on what it wrote (sequence-level KD). Any tokenizer will do. Of each distribution one sample is left.
# - **the shape**: sort both lists of probabilities, largest first, and forget which words they belong to. That is *universal logit distillation*, **ULD** (Boizard et al. 2024), with $p_{(r)}$ for the $r$-th largest
#   probability, and zeros behind the shorter list:
#   $$\mathrm{ULD}(p, q) = \sum_r |p_{(r)} - q_{(r)}|$$
# - **the spans**: wherever both have cut the text at the same two places, the piece between is *one event* for both. Its probability is the product over the tokens in it, on either side (GOLD in TRL, 2025, is of this kind).
#
# For the last two one must know where the two cuts meet. Count in **bytes**: a tokenizer that works on bytes may cut an "é", which is two bytes, into two tokens, neither of which is a character. (After
# the exercise your function meets two real tokenizers.)
#
# ### Exercise 4: where two cuts meet
# A token is given as its place `(start, end)` in the bytes of the text. Find the **smallest** spans at whose borders both tokenizations have a cut.
#
# Beware of tokens that stand for no text, with `start == end`: a begin token, an end token. Often one side alone has them. They belong to no span, and they must not shift the others. (They stand only in front of
# the text and behind it.)
#
# <details><summary>Hint: two fingers</summary>
#
# A finger on each side. Move the one whose token ends earlier, until both end at the same byte: a span is complete.
# </details>
# <details><summary>Hint: or with sets</summary>
#
# The places where both have a cut are an intersection of two sets. Between two neighbours of the sorted intersection lies one span.
# </details>


# %% role="answer" name="common_spans" library="tinykd.lm.tokens.offsets.align"
def common_spans(a, b):
    """The smallest pieces of text that are whole tokens on both sides, from left to right.

    a, b: lists of (start, end), two tokenizations of one text; tokens with start == end count for nothing.
    Returns a list of ((i, j), (k, l)): a[i:j] and b[k:l] are the tokens of one piece.
    """
    # YOUR CODE: about ten lines
    # BEGIN SOLUTION
    found = []
    i = k = 0
    while True:
        while i < len(a) and a[i][0] == a[i][1]:
            i += 1
        while k < len(b) and b[k][0] == b[k][1]:
            k += 1
        if i == len(a) or k == len(b):
            return found
        j, l = i + 1, k + 1
        while a[j - 1][1] != b[l - 1][1]:
            if a[j - 1][1] < b[l - 1][1]:
                j += 1
            else:
                l += 1
        found.append(((i, j), (k, l)))
        i, k = j, l
    # END SOLUTION


# %% role="check" name="common_spans.cuts" points=1 hint="A span ends wherever both sides have a token that ends at the same byte: the first such place, not a later one. The numbers are those of slices: a[i:j]."
rng = check.rng("common_spans.cuts")
check(
    "common_spans.cuts",
    [
        in_numbers(check.call(common_spans, random_cut(rng, n), random_cut(rng, n)))
        for n in (6, 9, 12, 15, 18)
    ],
)

# %% role="check" name="common_spans.begin" points=1 hint="Tokens with start == end stand in front of the text or behind it, on one side or on both. They belong to no span; the numbers of the others count them all the same."
rng = check.rng("common_spans.begin")
check(
    "common_spans.begin",
    [
        in_numbers(check.call(common_spans, random_cut(rng, 9, left), random_cut(rng, 9, right)))
        for left, right in (((1, 0), (0, 0)), ((0, 0), (1, 1)), ((1, 1), (1, 1)), ((2, 0), (1, 2)))
    ],
)

# %% role="hidden" name="common_spans.secret" points=1 hint="Longer texts, cut in the same way, with tokens that stand for no text at any of the four ends."
rng = check.rng("common_spans.secret")
check(
    "common_spans.secret",
    [
        in_numbers(
            check.call(
                common_spans,
                random_cut(rng, 30, rng.integers(3, size=2).tolist()),
                random_cut(rng, 30, rng.integers(3, size=2).tolist()),
            )
        )
        for _ in range(8)
    ],
)


# %% role="alternative" of="common_spans" name="common_spans.by_sets"
def common_spans(a, b):
    places = sorted(({end for _, end in a} & {end for _, end in b}) | {0})
    found = []
    for low, high in itertools.pairwise(places):
        sides = []
        for tokens in (a, b):
            inside = [n for n, (s, e) in enumerate(tokens) if s < e and low <= s and e <= high]
            sides.append((inside[0], inside[-1] + 1))
        found.append(tuple(sides))
    return found


# %% role="alternative" of="common_spans" name="common_spans.by_index"
def common_spans(a, b):
    left = [n for n in range(len(a)) if a[n][0] != a[n][1]]
    right = {b[n][1]: n for n in range(len(b)) if b[n][0] != b[n][1]}
    first = next(n for n in range(len(b)) if b[n][0] != b[n][1])
    spans, begin = [], left[0]
    for n in left:
        if a[n][1] in right:
            spans.append([[begin, n + 1], [first, right[a[n][1]] + 1]])
            begin, first = n + 1, right[a[n][1]] + 1
    return spans


# %% role="mutant" of="common_spans" name="common_spans.by_number" loses="common_spans.cuts, common_spans.begin, common_spans.secret" hint="You put the n-th token of one side beside the n-th of the other. They stand for other pieces of text: compare the places."
def common_spans(a, b):
    return [((n, n + 1), (n, n + 1)) for n in range(min(len(a), len(b)))]


# %% role="mutant" of="common_spans" name="common_spans.whole" loses="common_spans.cuts, common_spans.begin, common_spans.secret" hint="The whole text is a span at whose borders both meet, and it is not the smallest."
def common_spans(a, b):
    return [((0, len(a)), (0, len(b)))]


# %% role="mutant" of="common_spans" name="common_spans.last_left_out" loses="common_spans.cuts, common_spans.begin, common_spans.secret" hint="The last span is missing: the end of the text is a place where both sides meet, too."
def common_spans(a, b):
    places = sorted(({end for _, end in a} & {end for _, end in b}) | {0})
    found = []
    for low, high in itertools.pairwise(places[:-1]):
        sides = []
        for tokens in (a, b):
            inside = [n for n, (s, e) in enumerate(tokens) if s < e and low <= s and e <= high]
            sides.append((inside[0], inside[-1] + 1))
        found.append(tuple(sides))
    return found


# %% role="mutant" of="common_spans" name="common_spans.inclusive" loses="common_spans.cuts, common_spans.begin, common_spans.secret" hint="Your second numbers are those of the last token of a span: a slice ends one behind it."
def common_spans(a, b):
    places = sorted(({end for _, end in a} & {end for _, end in b}) | {0})
    found = []
    for low, high in itertools.pairwise(places):
        sides = []
        for tokens in (a, b):
            inside = [n for n, (s, e) in enumerate(tokens) if s < e and low <= s and e <= high]
            sides.append((inside[0], inside[-1]))
        found.append(tuple(sides))
    return found


# %% role="mutant" of="common_spans" name="common_spans.counts_begin" loses="common_spans.begin, common_spans.secret" hint="Tokens without text became part of a span. They belong to none."
def common_spans(a, b):
    places = sorted(({end for _, end in a} & {end for _, end in b}) | {0})
    found = []
    for low, high in itertools.pairwise(places):
        sides = []
        for tokens in (a, b):
            inside = [n for n, (s, e) in enumerate(tokens) if low <= s and e <= high]
            sides.append((inside[0], inside[-1] + 1))
        found.append(tuple(sides))
    return found


# %% role="mutant" of="common_spans" name="common_spans.renumbered" loses="common_spans.begin, common_spans.secret" hint="You took the tokens without text out and then numbered the others anew: a[i:j] is a slice of the list as it came."
def common_spans(a, b):
    a, b = ([(s, e) for s, e in x if s < e] for x in (a, b))
    places = sorted(({end for _, end in a} & {end for _, end in b}) | {0})
    found = []
    for low, high in itertools.pairwise(places):
        sides = []
        for tokens in (a, b):
            inside = [n for n, (s, e) in enumerate(tokens) if low <= s and e <= high]
            sides.append((inside[0], inside[-1] + 1))
        found.append(tuple(sides))
    return found


# %% role="show" name="cuts"
def library_spans(a, b):
    return [((x.start, x.stop), (y.start, y.stop)) for x, y in align(a, b)]


cut_alike = check.ready(common_spans, library_spans)
text, places = "un café", []
coarse = Tokenizer.train(["un café, deux cafés", "un thé, deux thés"] * 20, 270)
single = Tokenizer.train(["letters"], 258)
for name, tokenizer in (("trained on two sentences", coarse), ("single bytes", single)):
    pieces = token_bytes(tokenizer)
    ids = tokenizer.encode(text)
    print(f"{name}: |" + "|".join(str(pieces[i])[2:-1] for i in ids) + "|")
    places.append(byte_offsets(ids, pieces))
    print("   places", *(f"{start}-{end}" for start, end in places[-1]))
print(f"{len(text)} characters, {len(text.encode())} bytes; é is {'é'.encode()}")
for (i, j), (k, l) in cut_alike(*places):
    piece = text.encode()[places[0][i][0] : places[0][j - 1][1]]
    print(f"tokens {i}:{j} of the first and {k}:{l} of the second are both {piece.decode()!r}")

# %% [markdown]
# Two tokenizers and one text, above: the first has seen two sentences in training, the second takes single bytes; `|` is a cut, and the last lines are the spans.
#
# ### Exercise 5: two coins
# Within a span, the teacher says the text goes on like this with probability $P = \prod_j p_j$, the product over its tokens; the student says $Q = \prod_i q_i$, over its own. Everything else the text could have gone on with
# is one bucket, as the tail was in lesson 12. So each side has a coin, and what has to become small is the divergence of two coins:
#
# $$\mathrm{KL} = P \log \frac{P}{Q} + (1 - P) \log \frac{1 - P}{1 - Q}$$
#
# Compare that with training on the text, which is $-\log Q$: it wants $Q = 1$ for every piece of text that the teacher happened to write. The coin is content when $Q = P$.
#
# A span can be long and its $P$ can be $10^{-100}$, which float32 does not have. Add logarithms instead of multiplying probabilities. ($\log(1 - P)$ is `torch.log1p(-P)`.) No $P$ or $Q$ here is exactly 1.
#
# <details><summary>Hint: log(P / Q)</summary>
#
# It is $\log P - \log Q$, and both are sums that you have.
# </details>


# %% role="answer" name="span_gap" library="tinykd.lm.span_kl"
def span_gap(log_q, log_p, spans):
    """KL between the teacher's coin and the student's, for each span: (S,).

    log_q: (T,), the student's log-probability of each of its tokens; log_p: (T',), the teacher's of its own,
    a constant: no gradient flows into it. spans: S of ((i, j), (k, l)), as common_spans(student, teacher) gives; tokens in none of them count for nothing.
    """
    # YOUR CODE: a sum on each side, then the formula
    # BEGIN SOLUTION
    log_Q = torch.stack([log_q[i:j].sum() for (i, j), _ in spans])
    log_P = torch.stack([log_p[k:l].sum() for _, (k, l) in spans]).detach()
    P, Q = log_P.exp(), log_Q.exp()
    return P * (log_P - log_Q) + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))
    # END SOLUTION


# %% role="setup" name="span_gap-specimen"
def coins(rng, spans, longest=3, sizes_of=(1.0, 1.0), shortest=1):
    """Log-probabilities of both sides, which want gradients, and spans; no probability is nearly 1."""
    sizes = shortest + rng.integers(longest, size=(spans, 2))
    gaps = rng.integers(3, size=(spans, 2))  # tokens that belong to no span
    gaps[0] += 1
    ends = (gaps + sizes).cumsum(0)
    ranges = [
        tuple((int(e - s), int(e)) for s, e in zip(*row, strict=True))
        for row in zip(sizes, ends, strict=True)
    ]
    sides = [
        torch.tensor(-size * rng.uniform(0.3, 1.5, size=ends[-1, side] + 1), requires_grad=True)
        for side, size in enumerate(sizes_of)
    ]
    return *sides, ranges


def gap_with_gradients(span_gap, specimen):
    """The values, and the gradients on both sides."""
    log_q, log_p, spans = specimen
    return with_gradient(check.call(span_gap, log_q, log_p, spans), log_q, log_p)


# %% role="check" name="span_gap.values" points=1 hint="Both buckets of the coin, each with the teacher's probability in front; within a span the logarithms of all its tokens are added up, from the first number of its range to the last. The last two specimens are long spans in float32: a NaN or an infinity there comes from a product that became 0."
rng = check.rng("span_gap.values")
found = []
for n in (1, 4, 7):
    log_q, log_p, spans = coins(rng, n)
    found.append(check.call(span_gap, log_q, log_p, spans).detach())
for sizes_of in ((6.0, 0.1), (0.1, 6.0)):  # P or Q is far too small for float32
    log_q, log_p, spans = coins(rng, 2, 3, sizes_of, shortest=50)
    found.append(check.call(span_gap, log_q.float(), log_p.float(), spans).detach())
check("span_gap.values", found)

# %% role="check" name="span_gap.gradient" points=1 hint="The gradient reaches the student's tokens and not the teacher's: detach it."
check("span_gap.gradient", gap_with_gradients(span_gap, coins(check.rng("span_gap.gradient"), 12)))

# %% role="hidden" name="span_gap.long" points=1 hint="Long spans and unlikely tokens: products become 0 in float32, sums of logarithms do not."
rng = check.rng("span_gap.long")
found = []
for sizes_of in ((12.0, 0.1), (0.1, 12.0)):  # one side finds the text unlikely
    log_q, log_p, spans = coins(rng, 5, 30, sizes_of)
    log_q, log_p = (x.detach().float().requires_grad_() for x in (log_q, log_p))
    found.append(gap_with_gradients(span_gap, (log_q, log_p, spans)))
check("span_gap.long", found)


# %% role="alternative" of="span_gap" name="span_gap.by_loop"
def span_gap(log_q, log_p, spans):
    values = []
    for (i, j), (k, l) in spans:
        Q, P = torch.sum(log_q[i:j]), torch.sum(log_p[k:l].detach())
        rest = torch.log(-torch.expm1(P)) - torch.log(-torch.expm1(Q))
        values.append(torch.exp(P) * (P - Q) + (1 - torch.exp(P)) * rest)
    return torch.stack(values)


# %% role="alternative" of="span_gap" name="span_gap.by_kl_div"
def span_gap(log_q, log_p, spans):
    def coin(log_one, ranges):
        total = torch.stack([log_one[a:b].sum() for a, b in ranges])
        return torch.stack([total, torch.log1p(-total.exp())], -1)

    student, teacher = coin(log_q, [s for s, _ in spans]), coin(log_p, [t for _, t in spans])
    return F.kl_div(student, teacher.detach(), log_target=True, reduction="none").sum(-1)


# %% role="mutant" of="span_gap" name="span_gap.mean" loses="span_gap.values, span_gap.gradient, span_gap.long" hint="You took the mean of the logarithms: the probability of a span is the product over its tokens, so the logarithms are summed."
def span_gap(log_q, log_p, spans):
    log_Q = torch.stack([log_q[i:j].mean() for (i, j), _ in spans])
    log_P = torch.stack([log_p[k:l].mean() for _, (k, l) in spans]).detach()
    P, Q = log_P.exp(), log_Q.exp()
    return P * (log_P - log_Q) + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))


# %% role="mutant" of="span_gap" name="span_gap.first_token" loses="span_gap.values, span_gap.gradient, span_gap.long" hint="You took the first token of each span. All of them must come: multiply their probabilities."
def span_gap(log_q, log_p, spans):
    log_Q = torch.stack([log_q[i] for (i, j), _ in spans])
    log_P = torch.stack([log_p[k] for _, (k, l) in spans]).detach()
    P, Q = log_P.exp(), log_Q.exp()
    return P * (log_P - log_Q) + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))


# %% role="mutant" of="span_gap" name="span_gap.one_bucket" loses="span_gap.values, span_gap.gradient, span_gap.long" hint="The second bucket is missing. P log(P/Q) alone is no divergence: it can be negative, and Q = 1 makes it smallest."
def span_gap(log_q, log_p, spans):
    log_Q = torch.stack([log_q[i:j].sum() for (i, j), _ in spans])
    log_P = torch.stack([log_p[k:l].sum() for _, (k, l) in spans]).detach()
    return log_P.exp() * (log_P - log_Q)


# %% role="mutant" of="span_gap" name="span_gap.reverse" loses="span_gap.values, span_gap.gradient, span_gap.long" hint="That is KL(student || teacher). Here the teacher's P and 1 - P stand in front."
def span_gap(log_q, log_p, spans):
    log_Q = torch.stack([log_q[i:j].sum() for (i, j), _ in spans])
    log_P = torch.stack([log_p[k:l].sum() for _, (k, l) in spans]).detach()
    P, Q = log_P.exp(), log_Q.exp()
    return Q * (log_Q - log_P) + (1 - Q) * (torch.log1p(-Q) - torch.log1p(-P))


# %% role="mutant" of="span_gap" name="span_gap.teacher_learns" loses="span_gap.gradient, span_gap.long" hint="A gradient flows into the teacher: detach its side."
def span_gap(log_q, log_p, spans):
    log_Q = torch.stack([log_q[i:j].sum() for (i, j), _ in spans])
    log_P = torch.stack([log_p[k:l].sum() for _, (k, l) in spans])
    P, Q = log_P.exp(), log_Q.exp()
    return P * (log_P - log_Q) + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))


# %% role="mutant" of="span_gap" name="span_gap.product" loses="span_gap.values, span_gap.long" hint="A product of many small probabilities is 0 in float32, and its logarithm -inf. Add logarithms."
def span_gap(log_q, log_p, spans):
    Q = torch.stack([log_q[i:j].exp().prod() for (i, j), _ in spans])
    P = torch.stack([log_p[k:l].exp().prod() for _, (k, l) in spans]).detach()
    return P * (P.log() - Q.log()) + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))


# %% role="mutant" of="span_gap" name="span_gap.quotient" loses="span_gap.values, span_gap.long" hint="P / Q is 0 / Q, P / 0 or 0 / 0 where float32 does not have them. Take log P - log Q, the sums that you have."
def span_gap(log_q, log_p, spans):
    log_Q = torch.stack([log_q[i:j].sum() for (i, j), _ in spans])
    log_P = torch.stack([log_p[k:l].sum() for _, (k, l) in spans]).detach()
    P, Q = log_P.exp(), log_Q.exp()
    return P * (P / Q).log() + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))


# %% role="mutant" of="span_gap" name="span_gap.from_zero" loses="span_gap.values, span_gap.gradient, span_gap.long" hint="You count the lengths of the spans up from 0. A span begins where its range says: tokens before it and between may belong to none."
def span_gap(log_q, log_p, spans):
    log_Q, log_P, x, y = [], [], 0, 0
    for (i, j), (k, l) in spans:
        log_Q.append(log_q[x : x + j - i].sum())
        log_P.append(log_p[y : y + l - k].sum().detach())
        x, y = x + j - i, y + l - k
    log_Q, log_P = torch.stack(log_Q), torch.stack(log_P)
    P, Q = log_P.exp(), log_Q.exp()
    return P * (log_P - log_Q) + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))


# %% role="mutant" of="span_gap" name="span_gap.same_numbers" loses="span_gap.values, span_gap.gradient, span_gap.long" hint="You cut the teacher's tokens at the student's numbers: the second pair of each span is the teacher's."
def span_gap(log_q, log_p, spans):
    log_Q = torch.stack([log_q[i:j].sum() for (i, j), _ in spans])
    log_P = torch.stack([log_p[i:j].sum() for (i, j), _ in spans]).detach()
    P, Q = log_P.exp(), log_Q.exp()
    return P * (log_P - log_Q) + (1 - P) * (torch.log1p(-P) - torch.log1p(-Q))


# %% [markdown]
# ### Letters and pairs
# The language of lesson 13: three letters that move a car, `L` to the left, `S` straight on, `R` to the right, on a road of seven lanes, and `.` for the end. `^` begins every text and is the prompt. The teacher is a formula that knows the lane; it
# reads **letters**. There are two students:
#
# - one reads **pairs**: `LS`, `RR`, `L.` and so on are one token each, so it needs half as many steps. No token is the beginning of another, so there is exactly one way to write a text, and what the student says of a
#   text can be computed exactly.
# - one reads **letters in another order**: the same pieces of text, other numbers. Each token stands beside one token.
#
# Each is trained in three ways, on the same few texts that the teacher wrote, for the same number of steps: the text alone; the text and ULD; the text and the coins of its spans. The teacher is asked about the same texts in
# every case, only how much of its answer arrives is different. Each training is stopped at its best epoch, chosen by the log-loss on as many other texts. (The coins come with weight 6: the slope of one has $P$ in front, and is small where $P$ is.) Judged is the KL per letter on 1000 fresh texts of the teacher: how many nats the student loses against the teacher itself. 0 is perfect.
#
# **What do you expect?** ULD compares sorted lists. What is the largest probability in a list for letters, and in one for pairs? For which of the two students can it be right?

# %% role="show" name="letters-and-pairs"
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Tokens

from tinykd.models import forward

EDGE, LONGEST = 3, 32
road_texts, road_epochs, road_seeds, road_tested = {
    "smoke": (32, 1, 2, 50),
    "default": (160, 12, 5, 1000),
    "full": (160, 12, 20, 4000),
}[tinykd.scale()]


def words_as_tokens(words, cut):
    """A tokenizer whose tokens are these words, found in a text by the pattern `cut`."""
    numbers = {word: n for n, word in enumerate(["<|pad|>", "<|end|>", *words])}
    tokens = Tokens(models.WordLevel(numbers, unk_token="<|pad|>"))
    tokens.pre_tokenizer = pre_tokenizers.Split(Regex(cut), "isolated")
    tokens.decoder = decoders.Fuse()
    tokens.add_special_tokens(["<|pad|>", "<|end|>"])
    return Tokenizer(tokens, eos=1, pad=0)


letters = words_as_tokens("^.LSR", ".")
reordered = words_as_tokens("RS.^L", ".")
pairs = words_as_tokens(
    ["^", "."] + [one + two for one in "LSR" for two in "LSR."], r"\^|[LSR.]{1,2}"
)


class Road(torch.nn.Module):
    """Logits of the next letter, from the lane and the last move that was not straight on."""

    def __init__(self):
        super().__init__()
        p = torch.zeros(2 * LONGEST + 1, 3, letters.vocab_size)
        self.step = torch.tensor([0, 0, 0, 0, -1, 0, 1])  # what each token does to the lane
        for lane in range(-LONGEST, LONGEST + 1):
            for way in (-1, 0, 1):
                right = (0.1, 0.425, 0.75)[way + 1]
                if abs(lane) >= EDGE:  # nobody leaves the road
                    right = 0.85 if lane < 0 else 0.0
                p[lane, way, 3:] = torch.tensor(
                    [0.08, *(0.92 * x for x in (0.85 - right, 0.15, right))]
                )
        self.register_buffer("logits", p.log())

    def forward(self, input_ids, attention_mask=None, positions=None):
        moves = self.step[input_ids]
        last = (torch.arange(moves.shape[1]) * (moves != 0)).cummax(1).values
        way, lane = moves.gather(1, last), moves.cumsum(1)
        z = self.logits[lane.clamp(-LONGEST, LONGEST), way]  # negative numbers count from the end
        return z if positions is None else z.flatten(0, 1)[positions]


road = Road()


def road_sample(count, seed):
    """Texts that the formula writes; those that have not ended after LONGEST letters are left out."""
    rng = torch.Generator().manual_seed(seed)
    ids = torch.full((count, 1), letters.encode("^")[0])
    for _ in range(LONGEST):
        p = softmax(road(ids)[:, -1])
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=rng)], 1)
    texts = [letters.decode(row[1:]) for row in ids.tolist()]
    return [text[: text.index(".") + 1] for text in texts if "." in text]


def as_examples(tokenizer, texts):
    return [(tokenizer.encode("^"), tokenizer.encode(text)) for text in texts]


def nats_per_letter(model, tokenizer, texts):
    """Minus the log-probability of the texts, per letter."""
    data = SequenceBatches(as_examples(tokenizer, texts), size=len(texts), shuffle=False)
    batch = data.batch(np.arange(len(texts)))
    with torch.no_grad():
        log_q = log_softmax(forward(model, batch)).gather(-1, batch["labels"][:, None])
    return -float(log_q.sum()) / sum(map(len, texts))


def teach(model, tokenizer, texts, objective, teacher, epochs, seed, rate=5e-3, stop_by=None):
    """Adam, the rate falling to 0, 16 texts a step; stop_by: texts that choose the best epoch."""
    data = SequenceBatches(as_examples(tokenizer, texts), size=16, seed=seed)
    choose = {}
    if stop_by:
        validate = SequenceBatches(
            as_examples(tokenizer, stop_by), size=len(stop_by), shuffle=False
        )
        choose = {"validate": validate, "patience": epochs, "monitor": "val_loss"}
    optimizer = torch.optim.Adam(model.parameters(), rate)
    trainer = Trainer(
        model, objective, teacher, optimizer=optimizer, schedule=lambda x: 1 - x, progress=False
    )
    trainer.fit(data, epochs=epochs, **choose)
    return model.eval()


def newborn(tokenizer, seed, width=32, layers=2, heads=2):
    torch.manual_seed(seed)
    return Transformer(Config(tokenizer.vocab_size, width, layers, heads))


fresh = road_sample(road_tested, 40_000)
own_nats = nats_per_letter(road, letters, fresh)
length = np.mean([len(text) for text in fresh])
print(f"the teacher itself: {own_nats:.3f} nats per letter, {length:.1f} letters a text")
print("KL to the teacher, nats per letter (in brackets CPU seconds for each student):")
other_tokens = {}
for who, tokenizer in (("pairs", pairs), ("letters in another order", reordered)):
    for how, objective in (
        ("the text", lambda: HardLabels()),
        ("text + ULD", lambda: HardLabels() + ULD()),
        ("text + spans", lambda: HardLabels() + 6 * Spans()),
    ):
        start, losses = time.process_time(), []
        for seed in range(road_seeds):
            texts = road_sample(road_texts, 100 + seed)
            other = OtherTokenizer(road, letters, tokenizer)
            stop_by = road_sample(road_texts, 1000 + seed)
            student = newborn(tokenizer, seed)
            teach(student, tokenizer, texts, objective(), other, road_epochs, seed, stop_by=stop_by)
            losses.append(nats_per_letter(student, tokenizer, fresh) - own_nats)
        other_tokens[who, how] = np.array(losses)
        line = f"{who:25s}{how:13s}{np.mean(losses):.3f}"
        if how != "the text":
            gap = other_tokens[who, how] - other_tokens[who, "the text"]
            mean, half = mean_interval(gap.tolist())
            line += f", minus the text {mean:+.3f} ± {half:.3f}{'*' if abs(mean) > half else ''}"
        print(line + f"  ({(time.process_time() - start) / road_seeds:.1f} s)", flush=True)

# %% role="show" name="letters-and-pairs-figure" folded=true
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for n, losses in enumerate(other_tokens.values()):
    row, color = -n - 0.6 * (n > 2), COLORS[n % 3]
    axes.plot(losses, np.full(len(losses), row), ".", color=color, alpha=0.5)
    mean, half = mean_interval(losses.tolist())
    axes.errorbar(mean, row, xerr=half, fmt="s", color=color, capsize=3)
rows = [-n - 0.6 * (n > 2) for n in range(6)]
axes.set_yticks(rows, [f"{who}: {how}" for who, how in other_tokens], fontsize=8)
axes.set(
    xlabel="KL to the teacher, nats per letter (less is better)", xlim=(0, None), ylim=(-6.2, 0.6)
)
axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "KL per letter for two students and three ways to teach them, a dot for each seed and a square "
    "with its interval for the mean."
)

# %% [markdown]
# **What we saw.** The coins helped both students: with them less is lost than with the text alone, in both rows with a star. ULD made the student of pairs *worse*, with a star; for letters in another order it is
# undecided. Of the pairs one could have expected it. In the middle of the road the teacher's likeliest letter has a probability of 0.92 · 0.75 = 0.69, the likeliest pair about the square of that, 0.48: the sorted list of a letter asks
# of the pairs a certainty that they should not have. Where each token stands beside one token the lists are of the same kind, but the order of the *words* has to come from somewhere else, here from labels that say something different.
#
# This is a toy with few words, and we tried one weight for ULD. The vocabularies of real models are alike in size and mostly in their words, and sorted lists of theirs are of one kind more often than ours. What carries over is
# the question to ask first: is this the same event on both sides?
#
# Where it is *not* quite the same: if "L" and "LS" are both tokens, the student's probability of the token "L" means "L, and then nothing that would have made LS of it", while the teacher's letter L may be followed by anything. Our pairs
# have no such tokens. Real vocabularies do, so there the coins are an approximation at the end of each span.
#
# ## A draft model
#
# A junior writes the next four words; the senior reads them in one go, crosses out from the first wrong word on, and puts a better one there. Reading five words together takes a large model hardly longer than writing one: what
# takes the time is to fetch the weights, and that is done once. So the senior signs several words for the price of one.
#
# What is remarkable is that the text can be *exactly* what the senior alone would have written: not similar, but a draw from the same distribution. That is **speculative decoding** (Leviathan et al. 2022). With
# the target's distribution $p$ and the draft's $q$ at the same place, and a token $x$ drawn from $q$:
#
# - accept it with probability $\min(1, p_x / q_x)$;
# - else draw from what the draft has too little of, $r = \max(p - q, 0)$, divided by its sum.
#
# A token $x$ stands there in the end either because it was drawn and accepted, $q_x \min(1, p_x / q_x) = \min(p_x, q_x)$, or by the second way. That one happens with probability $1 - \sum_y \min(p_y, q_y)$, and this is just what
# $\max(p - q, 0)$ adds up to. So the second way adds $\max(p_x - q_x, 0)$, and
# $$\min(p_x, q_x) + \max(p_x - q_x, 0) = p_x$$
#
# Behind the first token that was replaced, nothing of the draft counts: it was written after another text. Where all were accepted, the target has read one place further and gives one more token for nothing.
#
# ### Exercise 6: accept or replace
# For one place in each of B texts. Throwing the dice is left to the caller: `u` is uniform in [0, 1), and the token is accepted where `u` is *below* the probability of that.
#
# <details><summary>Hint: the probability of the drawn token</summary>
#
# `p.gather(-1, tokens[:, None]).squeeze(-1)`, of shape (B,).
# </details>


# %% role="answer" name="judge" library="tinykd.lm.speculative.accept"
def judge(tokens, q, p, u):
    """Which drafted tokens stay, bool (B,), and what a replacement is drawn from, (B, V), rows that sum to 1.

    tokens: (B,), drawn from q (B, V), so that q > 0 there; p: (B, V), the target's; u: (B,), uniform in [0, 1).
    In each row p and q differ.
    """
    # YOUR CODE: three lines
    # BEGIN SOLUTION
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp_min(0)
    return u < p_x / q_x, rest / rest.sum(-1, keepdim=True)
    # END SOLUTION


# %% role="setup" name="judge-specimen"
def drafted(rng, rows, words, size=1.5, cut=0.0):
    """Tokens drawn from q, q, p, u. cut: share of words to which one of the two gives probability 0.

    Where that is so of the target and the drawn token, u is 0.
    """
    q, p = np.exp(rng.normal(scale=size, size=(2, rows, words)))
    q[rng.random((rows, words)) < cut] = 0
    q[:, 0] += 0.1
    p[rng.random((rows, words)) < cut] = 0
    p[:, -1] += 0.1
    q, p = (x / x.sum(-1, keepdims=True) for x in (q, p))
    tokens = np.array([rng.choice(words, p=row) for row in q])
    u = np.where(p[np.arange(rows), tokens] == 0, 0, rng.random(rows))
    return tuple(torch.tensor(x) for x in (tokens, q, p, u))


def in_the_end(judge, q, p, steps=200):
    """What judge makes of one place: the probability of each word in the end, (V,).

    Each word as the drafted one, with `steps` values of u spread evenly over [0, 1).
    """
    words = len(q)
    tokens = torch.arange(words).repeat_interleave(steps)
    u = ((torch.arange(steps) + 0.5) / steps).repeat(words).to(q.dtype)
    stays, rest = judge(
        tokens, q.expand(len(tokens), -1).clone(), p.expand(len(tokens), -1).clone(), u
    )
    kept = stays.to(q.dtype).view(words, steps, 1).mean(1)  # (V, 1)
    replaced = (~stays)[:, None] * rest
    return q * kept[:, 0] + (q[:, None] * replaced.view(words, steps, -1).mean(1)).sum(0)


# %% role="check" name="judge.stays" points=1 hint="Stays where u is below p / q, both at the drafted token; below, so that p = 0 never stays, u = 0 or not."
tokens, q, p, u = drafted(check.rng("judge.stays"), 40, 6, cut=0.3)
stays, _ = check.call(judge, tokens, q, p, u)
check("judge.stays", stays)

# %% role="check" name="judge.rest" points=1 hint="Where the target wants more than the draft gave: max(p - q, 0), exactly 0 elsewhere, also where p or q or both are 0. Each row sums to 1."
tokens, q, p, u = drafted(check.rng("judge.rest"), 12, 6, cut=0.3)
_, rest = check.call(judge, tokens, q, p, u)
check("judge.rest", {"rest": rest, "is 0": rest == 0})

# %% role="hidden" name="judge.in_the_end" points=1 rtol=1e-2 atol=2e-3 hint="Whatever the draft proposes, what stands there in the end is distributed as the target's p."
rng = check.rng("judge.in_the_end")
found = []
for words in (3, 5):
    _, q, p, _ = drafted(rng, 1, words)
    found.append(in_the_end(judge, q[0], p[0]))
check("judge.in_the_end", found)

# %% role="hidden" name="judge.zeros" points=1 hint="Words to which one of the two gives probability 0: the target's zeros are never accepted, and never drawn as a replacement."
tokens, q, p, u = drafted(check.rng("judge.zeros"), 60, 8, cut=0.4)
stays, rest = check.call(judge, tokens, q, p, u)
check("judge.zeros", {"stays": stays, "rest": rest, "is 0": rest == 0})


# %% role="alternative" of="judge" name="judge.by_minimum"
def judge(tokens, q, p, u):
    rows = torch.arange(len(tokens))
    probability = torch.minimum(torch.ones_like(u), p[rows, tokens] / q[rows, tokens])
    rest = torch.maximum(p - q, torch.zeros_like(p))
    return u < probability, rest / rest.sum(dim=-1, keepdim=True)


# %% role="alternative" of="judge" name="judge.by_loop"
def judge(tokens, q, p, u):
    stays, rest = [], []
    for x, one_q, one_p, dice in zip(tokens.tolist(), q, p, u, strict=True):
        stays.append(bool(dice * one_q[x] < one_p[x]))
        more = torch.relu(one_p - one_q)
        rest.append(more / more.sum())
    return torch.tensor(stays), torch.stack(rest)


# %% role="mutant" of="judge" name="judge.upside_down" loses="judge.stays, judge.in_the_end, judge.zeros" hint="The ratio is upside down: a token stays for certain where the target gives it more than the draft, p / q."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp_min(0)
    return u < q_x / p_x, rest / rest.sum(-1, keepdim=True)


# %% role="mutant" of="judge" name="judge.above" loses="judge.stays, judge.in_the_end, judge.zeros" hint="You accept where u is above p / q: that happens with one minus the probability that is wanted."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp_min(0)
    return u >= p_x / q_x, rest / rest.sum(-1, keepdim=True)


# %% role="mutant" of="judge" name="judge.at_the_border" loses="judge.stays, judge.zeros" hint="You accept where u is p / q, too. With p = 0 and u = 0 a word comes that the target never says: below, not below or equal."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp_min(0)
    return u <= p_x / q_x, rest / rest.sum(-1, keepdim=True)


# %% role="mutant" of="judge" name="judge.as_a_ratio" loses="judge.rest, judge.zeros" hint="Where p is 0 you divide by it, and 0 times infinity is NaN. p - q needs no division."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p * (1 - q / p)).clamp(min=0)
    return u < p_x / q_x, rest / rest.sum(-1, keepdim=True)


# %% role="mutant" of="judge" name="judge.floor" loses="judge.rest, judge.zeros" hint="You gave each word a little, also those that the target never says: the smallest is 0."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp(min=1e-8)
    return u < p_x / q_x, rest / rest.sum(-1, keepdim=True)


# %% role="mutant" of="judge" name="judge.from_p" loses="judge.rest, judge.in_the_end, judge.zeros" hint="A replacement drawn from p counts twice what was accepted already: take q away from it first."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    return u < p_x / q_x, p.clone()


# %% role="mutant" of="judge" name="judge.both_sides" loses="judge.rest, judge.in_the_end, judge.zeros" hint="|p - q| also holds the words of which the draft gave too many. Only where p is larger."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).abs()
    return u < p_x / q_x, rest / rest.sum(-1, keepdim=True)


# %% role="mutant" of="judge" name="judge.wrong_side" loses="judge.rest, judge.in_the_end, judge.zeros" hint="max(q - p, 0) is what the draft has too much of."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (q - p).clamp_min(0)
    return u < p_x / q_x, rest / rest.sum(-1, keepdim=True)


# %% role="mutant" of="judge" name="judge.sums_to_less" loses="judge.rest, judge.in_the_end, judge.zeros" hint="The rest is not normalised: its rows must sum to 1."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    return u < p_x / q_x, (p - q).clamp_min(0)


# %% role="mutant" of="judge" name="judge.whole_batch" loses="judge.rest, judge.in_the_end, judge.zeros" hint="You divided by the sum over the whole batch. Each row has a sum of its own."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp_min(0)
    return u < p_x / q_x, rest / rest.sum()


# %% role="mutant" of="judge" name="judge.more_likely" loses="judge.stays, judge.in_the_end, judge.zeros" hint="You accept wherever the target gives more than the draft and nowhere else. Less than the draft is accepted too, in the share p / q of the cases: that is what u is for."
def judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp_min(0)
    return p_x >= q_x, rest / rest.sum(-1, keepdim=True)


# %% [markdown]
# ### Is it the same text?
# One place, five words, a draft that is far off. In 20,000 throws, how often does each word stand there in the end?


# %% role="show" name="same-text"
def library_judge(tokens, q, p, u):
    p_x, q_x = (x.gather(-1, tokens[:, None]).squeeze(-1) for x in (p, q))
    rest = (p - q).clamp_min(0)
    return u < p_x / q_x, rest / rest.sum(-1, keepdim=True)


my_judge = check.ready(judge, library_judge)
rng = torch.Generator().manual_seed(0)
one_p = torch.tensor([0.10, 0.45, 0.05, 0.25, 0.15])
one_q = torch.tensor([0.40, 0.15, 0.30, 0.10, 0.05])
throws = 20_000
tokens = torch.multinomial(one_q, throws, True, generator=rng)
stays, rest = my_judge(
    tokens, one_q.expand(throws, -1), one_p.expand(throws, -1), torch.rand(throws, generator=rng)
)
ends = torch.where(stays, tokens, torch.multinomial(rest, 1, True, generator=rng).squeeze(1))
print("word       " + "".join(f"{n:8d}" for n in range(5)))
for name, share in (
    ("draft q", one_q),
    ("target p", one_p),
    ("in the end", ends.bincount(minlength=5) / throws),
    (
        "of p alone",
        torch.multinomial(one_p, throws, True, generator=rng).bincount(minlength=5) / throws,
    ),
):
    print(f"{name:11s}" + "".join(f"{x:8.3f}" for x in share.tolist()))
print(
    f"accepted {stays.float().mean():.3f}, sum of min(p, q) {torch.minimum(one_p, one_q).sum():.3f}"
)

# %% [markdown]
# The last line is the second thing to know: the share accepted is
#
# $$\alpha = \sum_x q_x \min\left(1, \frac{p_x}{q_x}\right) = \sum_x \min(p_x, q_x) = 1 - \mathrm{TV}(p, q), \qquad \mathrm{TV}(p, q) = \frac12 \sum_x |p_x - q_x|$$
#
# So how useful a draft is depends on one distance to the target, and distillation is what makes distances small. If each of $K$ drafted tokens were accepted with the same $\alpha$, independently, the target would sign
#
# $$1 + \alpha + \dots + \alpha^K = \frac{1 - \alpha^{K+1}}{1 - \alpha}$$
#
# tokens each time it reads (Leviathan et al., equation 1).
#
# ### A draft that is distilled
# The target is a transformer of four layers that has learned the road above; the draft has one narrow layer. It first learns from few texts, by labels: *before*. Then it goes on for the same number of steps on the same texts in three ways: with
# the labels again, with the target's distributions as soft targets (forward KL), and with the total variation itself as the loss, which is $1 - \alpha$ (both are in DistillSpec, Zhou et al. 2023). Everything measured is on fresh texts.
#
# **What do you expect?** From *before* to the best: how much more will be accepted, and how many more tokens a reading? Will the total variation win, being the thing itself?

# %% role="show" name="drafts"
AHEAD = 4
draft_seeds, target_epochs, draft_texts, draft_epochs, spoken = {
    "smoke": (2, 1, 32, 1, 4),
    "default": (5, 2, 160, 6, 25),
    "full": (20, 8, 160, 6, 400),
}[tinykd.scale()]
many = road_sample(16 * road_texts, 20_000)[: 640 if tinykd.scale() == "default" else None]
target = newborn(letters, 0, width=64, layers=4, heads=4)
teach(target, letters, many, SoftTargets(), road, target_epochs, 0, 3e-3)
print(
    f"target: {nats_per_letter(target, letters, fresh) - own_nats:.3f} nats per letter from the formula"
)
prompt = [letters.encode("^")] * spoken
options = {"max_new": LONGEST, "eos": letters.encode("."), "batch_size": 1, "progress": False}


def draft_report(draft, seed):
    """Sum of min(p, q) on fresh texts; accepted, tokens a reading, tokens a second when it is used."""
    data = SequenceBatches(as_examples(letters, fresh[:200]), size=200, shuffle=False)
    batch = data.batch(np.arange(min(200, len(fresh))))
    with torch.no_grad():
        overlap = 1 - float(total_variation(*(forward(m, batch) for m in (draft, target))).mean())
    start = time.process_time()
    found = speculate(target, draft, prompt, AHEAD, seed=seed, **options)
    tokens = sum(map(len, found.answers))
    return {
        "overlap": overlap,
        "accepted": found.accepted / found.tested,
        "tokens a reading": tokens / found.passes,
        "tokens/s": tokens / (time.process_time() - start),
    }


drafts, alone = {}, []
for seed in range(draft_seeds):
    start = time.process_time()
    plain = generate(target, prompt, seed=seed, **options)
    alone.append(sum(map(len, plain)) / (time.process_time() - start))
    texts = road_sample(draft_texts, 30_000 + seed)
    before = newborn(letters, seed, width=16, layers=1)
    teach(before, letters, texts, HardLabels(), None, draft_epochs, seed)
    drafts.setdefault("before", []).append(draft_report(before, seed))
    for how, objective, asked_one in (
        ("labels again", HardLabels(), None),
        ("forward KL", SoftTargets(), target),
        ("total variation", SoftTargets(divergence=total_variation), target),
    ):
        draft = copy.deepcopy(before)
        teach(draft, letters, texts, objective, asked_one, draft_epochs, seed)
        drafts.setdefault(how, []).append(draft_report(draft, seed))
    print(f"seed {seed}: {time.process_time() - start:.1f} s", flush=True)
columns = list(drafts["before"][0])
print(f"{'draft':17s}" + "".join(f"{name:>17s}" for name in columns))
print(f"{'none':17s}{'':34s}{1:17.2f}{np.mean(alone):17.0f}")
for how, runs in drafts.items():
    means = [np.mean([run[name] for run in runs]) for name in columns]
    print(f"{how:17s}{means[0]:17.3f}{means[1]:17.3f}{means[2]:17.2f}{means[3]:17.0f}")


def draft_gap(one, other, name):
    """Paired difference over the seeds, a star where its interval leaves out 0."""
    pairs = zip(drafts[one], drafts[other], strict=True)
    mean, half = mean_interval([a[name] - b[name] for a, b in pairs])
    star = "*" if abs(mean) > half else ""
    print(f"{name}, {one} - {other}: {mean:+.3f} ± {half:.3f}{star}")


for how in ("labels again", "forward KL", "total variation"):
    draft_gap(how, "before", "overlap")
draft_gap("forward KL", "labels again", "overlap")
draft_gap("total variation", "forward KL", "overlap")
for how in ("labels again", "forward KL"):
    draft_gap(how, "before", "tokens a reading")
times = [run["tokens/s"] / rate for run, rate in zip(drafts["forward KL"], alone, strict=True)]
mean, half = mean_interval(times)
print(f"speed with the forward KL's draft, against the target alone: {mean:.2f} ± {half:.2f} times")

# %% [markdown]
# And the text? Greedy, there is one right answer for each prompt, and the two ways must agree letter by letter. At temperature 1 we compare distributions: how often each beginning of two letters comes, from the
# target alone, and with the worst draft and a distilled one. **Chi-square** adds up (count - expected)² / expected over the beginnings: 0 if all came as often as expected, and by chance alone about as much as there are beginnings, less one.

# %% role="show" name="same-text-again"
starts = [letters.encode("^" + text[:6]) for text in fresh[:20] if len(text) > 7]
greedy = {"max_new": 12, "eos": letters.encode("."), "temperature": 0, "progress": False}
same = (
    generate(target, starts, **greedy) == speculate(target, draft, starts, AHEAD, **greedy).answers
)
print(f"greedy answers to {len(starts)} prompts are the same: {same}")
words = [one + two for one in "LSR" for two in "LSR."] + ["."]
trials = {"smoke": 100, "default": 2000, "full": 10_000}[tinykd.scale()]
short = {"max_new": 2, "eos": letters.encode("."), "batch_size": trials, "progress": False}
first = torch.tensor([letters.encode("^" + a) for a in "LSR"])
with torch.no_grad():
    p_one = softmax(target(first[:1, :1])[0, -1])
    p_two = softmax(target(first)[:, -1])
ids = {word: letters.encode(word) for word in words}
exact = [
    float(p_one[i[0]] * (p_two["LSR".index(word[0]), i[1]] if len(i) == 2 else 1))
    for word, i in ids.items()
]
for name, answers in (
    ("target alone", generate(target, [letters.encode("^")] * trials, seed=1, **short)),
    (
        "draft before",
        speculate(target, before, [letters.encode("^")] * trials, 2, seed=2, **short).answers,
    ),
    (
        "draft distilled",
        speculate(target, draft, [letters.encode("^")] * trials, 2, seed=3, **short).answers,
    ),
):
    counts = np.array([answers.count(i) for i in ids.values()])
    wanted = trials * np.array(exact)
    seen = wanted >= 5
    distance = (((counts - wanted) ** 2)[seen] / wanted[seen]).sum()
    print(
        f"{name:16s} chi-square {distance:6.1f}, {seen.sum()} beginnings: about {seen.sum() - 1} is usual"
    )

# %% role="show" name="draft-figure" folded=true
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
alpha = np.linspace(0.5, 0.999, 200)
for ahead, style in ((2, ":"), (AHEAD, "-"), (8, "--")):
    curve = (1 - alpha ** (ahead + 1)) / (1 - alpha)
    axes.plot(alpha, curve, style, color="0.4", linewidth=1, label=f"formula, {ahead} drafted")
for n, (how, runs) in enumerate(drafts.items()):
    x, y = ([run[name] for run in runs] for name in ("accepted", "tokens a reading"))
    axes.plot(x, y, "osD^"[n], color=COLORS[n], label=how, alpha=0.8)
axes.set(xlabel="share of the drafted tokens accepted", ylabel="tokens each time the target reads")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=8)
plots.show(
    "Tokens a reading against the share accepted: three rising curves of the formula for 2, 4 and 8 "
    "drafted tokens, and the drafts as points near the curve for 4; the distilled ones lie further up."
)

# %% [markdown]
# **What we saw.** Distillation made the draft more useful: more of what it writes is accepted, with a star, and so the target signs about one token more each time it reads. The same number of steps with labels leaves it undecided
# whether there was any gain. The total variation did not win, though it is the thing itself: the forward KL is ahead by a few thousandths, with a star, too little to matter. (The total variation has a slope of the same size wherever $p$ and $q$
# differ, however little.)
#
# The measured share is close to the sum of min(p, q), for which no die was thrown. The points lie below the curve for four drafted tokens: our texts are short, and the last reading of each is cut off by its end.
#
# The text stays what it was: the greedy answers are the same letter by letter, and the chi-squares are of the size that chance gives, whatever the draft. A bad draft costs time, never quality. (Where it does change the text, there
# is a bug. It is the test to write first.)
#
# And the seconds? The last column counts processor time, the draft's included, one text at a time. The last line says what is left of the tokens a reading: less, since the draft takes time too, and reading five tokens takes longer than reading
# one. With a larger target the draft's share shrinks. With many texts at once the processor is busy anyway, and little is gained.
#
# ## What we saw
# - **One number a token** is enough for a policy gradient of $\mathrm{KL}(q\|p)$: a constant advantage times $\log q$. Of the three estimators, $k_1$ teaches nothing, $k_2$ the reverse KL, $k_3$ the forward KL.
# - **On-policy against more texts at equal time**: where texts are plenty, reading them won by far; where they are few, reading them again taught nothing, and the student's own answers to new questions did. A teacher that spends the time writing was better still, at these prices.
# - **A prompt can teach the weights** what a student could in principle know, in seconds. It forgets what the batches do not contain, on-policy or not; and taught by a model that has seen the answer, it learns to guess.
# - **Other tokens**: compare the same event on both sides. Spans of the text are one; the n-th largest probability is not.
# - **A draft** is judged by one distance, the total variation, and distillation shortens it. The text stays the large model's, to the letter.
#
# **Where it did not help.** $k_1$ as a loss; one number a token, which gave little in sixteen steps; on-policy with plenty of texts; ULD for pairs against letters; self-distillation against forgetting; the solution as a privileged text.
#
# Four rows for the table of lesson 14:
#
# | method | the teacher gives | a mistake is | the examples are | what you pay |
# |---|---|---|---|---|
# | on-policy, one number a token (15) | log p of each sampled token | KL(q‖p), by policy gradient | the student's | samples of the student, and a pass of the teacher that returns one number a token |
# | self-distillation (15) | its logits with more in its prompt | KL(q‖p) or KL(p‖q) | the student's, or its own told self's | no second model; a longer prompt |
# | ULD, spans (15) | logits or log p over other tokens | a gap of sorted rows, or of coins | given, or the teacher's | two tokenizations of every text |
# | a distilled draft (15) | logits | KL(p‖q), or the total variation | given, or the target's | a small model, paid back in speed |
#
# ## Two open experiments
# 1. **How few is few?** Change `few` in the cell `setting` to 16 and to 512, and run it and the comparison again. From how many texts on does more fine-tuning overtake the student's own samples in the same time? Would the border move if the teacher were ten times as expensive,
#    or if a step of the student's were (a long answer)?
# 2. **Who is the teacher?** In `solution` the teacher is the model as it was. Make it the student *as it is now*: `lm.Privileged(student, ...)`, no copy. What does it teach once the student has changed, and why does it not simply run away? Then show it the answer *and* `==`: does the chain survive?
#
# ## Further reading
# - Yang et al., *Qwen3 Technical Report*, 2025 ([arXiv 2505.09388](https://arxiv.org/abs/2505.09388)): section 4.5, strong-to-weak distillation. Lu and Thinking Machines Lab, *On-Policy Distillation*, 2025 ([blog](https://thinkingmachines.ai/blog/on-policy-distillation/)): the version with one number a token.
# - Schulman, *Approximating KL Divergence*, 2020 ([note](http://joschu.net/blog/kl-approx.html)): $k_1$, $k_2$, $k_3$ as values. What they are as losses you have computed yourself.
# - Askell et al., *A General Language Assistant as a Laboratory for Alignment*, 2021 ([arXiv 2112.00861](https://arxiv.org/abs/2112.00861)), and Snell et al., *Learning by Distilling Context*, 2022 ([arXiv 2209.15189](https://arxiv.org/abs/2209.15189)).
# - 2026, on-policy and with itself as the teacher; known to us from abstracts and repositories alone: Shenfeld et al., *Self-Distillation Enables Continual Learning* (SDFT, [arXiv 2601.19897](https://arxiv.org/abs/2601.19897)); Zhao et al., *Self-Distilled Reasoner* (OPSD, [arXiv 2601.18734](https://arxiv.org/abs/2601.18734));
#   Hübotter et al., *Reinforcement Learning via Self-Distillation* (SDPO, [arXiv 2601.20802](https://arxiv.org/abs/2601.20802)).
# - Counter-results of the same year, again from the abstracts: Kim et al., *Why Does Self-Distillation (Sometimes) Degrade the Reasoning Capability of LLMs?* ([arXiv 2603.24472](https://arxiv.org/abs/2603.24472)): the more the teacher is shown, the shorter and surer the student, and the worse on new problems; Kaur et al., *Rethinking On-Policy
#   Self-Distillation for Thinking Models* ([arXiv 2607.05184](https://arxiv.org/abs/2607.05184)).
# - Boizard et al., *Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss for LLMs*, 2024 ([arXiv 2402.12030](https://arxiv.org/abs/2402.12030)).
# - Leviathan, Kalman, Matias, *Fast Inference from Transformers via Speculative Decoding*, 2022 ([arXiv 2211.17192](https://arxiv.org/abs/2211.17192)); Zhou et al., *DistillSpec*, 2023 ([arXiv 2310.08461](https://arxiv.org/abs/2310.08461)).
#
# Check your notebook with `.venv/bin/tinykd check lessons/15_beyond_one_teacher.ipynb`.

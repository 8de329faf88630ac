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
# # 07 · Many teachers
#
# **What you will be able to do**
# - average several teachers, and say which of two averages you took and what each of them minimises;
# - weigh teachers by how good, or how sure, they are;
# - train a line of students in which each teaches the next: born-again networks, and assistants across a gap in capacity;
# - let two students teach each other, without either becoming the other's excuse;
# - train a network without any label, by a teacher that is its own moving average, and see the two ways in which that collapses;
# - say whether a student can pass its teacher, with an interval.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: six functions of two to ten lines, one of them a loop over trainings |
# | Importance | 4 of 5: outside of a course, there is seldom exactly one teacher |
# | Time | an hour and three quarters of yours; 2 to 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02 |

# %% role="setup" name="setup"
import copy
import json
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import tinykd
from tinykd import (
    MLP,
    Batches,
    ConvNet,
    HardLabels,
    KnownLogits,
    ResNet,
    SoftTargets,
    Trainer,
    accuracy,
    cross_entropy,
    entropy,
    load_mnist1d,
    log_softmax,
    mean_interval,
    plots,
    predict,
    softmax,
)
from tinykd.classroom import CheckFailed, Checks, with_gradient
from tinykd.data import data_file
from tinykd.plots import COLORS

check = Checks("07_many_teachers")


def kl(log_p, log_q):
    """KL(p || q) = sum_i p_i (log p_i - log q_i) from log-probabilities (..., C): (...).

    Written out: a gradient flows into both of them.
    """
    return (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def draw(rng, *shape, size=2.0, gradient=False):
    """Random logits in float64, normal with standard deviation `size`."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=gradient)


def draw_hopeless(rng, K, B, C):
    """Logits (K, B, C) in which one class of each sample is thousands below, for every teacher.

    Returns them, and that class of each sample, (B,).
    """
    z, hopeless = rng.normal(scale=2, size=(K, B, C)), rng.integers(C, size=B)
    z[:, np.arange(B), hopeless] = -rng.uniform(2000, 4000, size=(K, B))
    return torch.tensor(z), torch.tensor(hopeless)


def norm_net(rng, inputs, units, classes, seen):
    """A net in float64 with drawn weights, whose batch norm has seen `seen` batches."""
    net = nn.Sequential(
        nn.Linear(inputs, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Linear(units, classes)
    ).double()
    for tensor in (*net.parameters(), net[1].running_mean, net[1].running_var):
        tensor.data = torch.tensor(rng.uniform(0.2, 2, size=tuple(tensor.shape)))
    net[1].num_batches_tracked.fill_(seen)
    return net


def joined(tensors):
    """Tensors as one long one."""
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


class FakeSchool:
    """Makes tiny networks and pretends to train them; writes down who taught whom, and how."""

    def __init__(self, rng, makers):
        self.pull = float(rng.uniform(0.3, 0.7))
        torch.manual_seed(int(rng.integers(2**31)))  # whatever was drawn before
        self.first = self.make(float(rng.uniform(2, 3)))
        sizes = rng.uniform(0.5, 1.5, size=makers).tolist()
        self.makers = [lambda size=size: self.make(size) for size in sizes]
        self.log, self.starts, self.pupils = [], [], []

    def make(self, size):
        """Its weights come from torch's generator, so they tell what that was seeded with."""
        net = nn.Linear(3, 2)
        net.weight.data *= size
        return net.train()

    def train(self, student, teacher, seed):
        """A student ends somewhere between where it began and its teacher."""
        known = [self.first, *self.pupils]
        same = (n for n, net in enumerate(known) if torch.equal(net.weight, teacher.weight))
        self.log.append(
            {
                "taught by": next(same, -1),
                "seed": seed,
                "teacher in train mode": teacher.training,
                "student in train mode": student.training,
                "student is a new network": not any(net is student for net in known),
            }
        )
        self.starts.append(student.weight.detach().clone())
        student.train()
        mixed = torch.lerp(student.weight.data, teacher.weight.data, self.pull) + 0.01 * seed
        student.weight.data = mixed
        self.pupils.append(student)


# %% [markdown]
# ## Four schools
#
# Four schools each have 200 labelled recordings, too few for a good classifier. The recordings are not to leave the house: they could be patients. Every school trains the network it likes on what it has. Outside, there are
# a few thousand recordings that nobody has labelled and everybody may use; and somebody wants *one* network, small and good.
#
# From whom should it learn? From the best of the four? From all of them, and what does "all" mean when they disagree? This lesson is about that question, and then about stranger teachers: the student's own earlier self, another student,
# and the average of what the student has been over the last hundred steps.
#
# Our recordings are 1-D digits (MNIST-1D, Greydanus and Kobak, [arXiv 2011.14439](https://arxiv.org/abs/2011.14439)): ten shapes drawn on a line of 40 numbers, moved, stretched, tilted and disturbed. Any number of them can be drawn. The schools' networks
# are of four kinds: a residual net, a deeper and narrower one, a plain convolutional net, and a fully connected one that is the wrong tool. (Some twenty seconds.)

# %% role="show" name="schools"
scale = tinykd.scale()
LABELLED = 200
free_count, school_steps, student_epochs, seeds = {
    "smoke": (400, 8, 2, 2),
    "default": (3000, 300, 8, 3),
    "full": (3000, 300, 10, 5),
}[scale]
sizes = [4 * LABELLED, free_count, 500, 2000]
signals, classes = load_mnist1d(sum(sizes), seed=7)
labelled, free, held, test = zip(signals.split(sizes), classes.split(sizes), strict=True)
free = free[0]  # their labels are not used anywhere

SCHOOLS = {
    "residual": lambda: ResNet(1, 16, 32, 32, 10, dims=1),
    "deep": lambda: ResNet(1, 8, 16, 32, 10, depth=2, dims=1),
    "convolution": lambda: ConvNet(1, 48, 64, 10, dims=1),
    "connected": lambda: MLP(40, 200, 200, 10, dropout=0.2),
}


def fit(model, objective, batches, epochs, teacher=None, rate=2e-2):
    """Adam, the rate falling along a cosine; every training of this lesson is this one."""
    adam = lambda parameters: torch.optim.Adam(parameters, rate)
    how = {"schedule": tinykd.cosine(1, 0), "progress": False, "device": "cpu"}
    Trainer(model, objective, teacher, adam, **how).fit(batches, epochs=epochs)
    return model


def right(model_or_logits, part=None):
    """Accuracy in percent on the test signals, or on another part."""
    x, y = part or test
    logits = model_or_logits if torch.is_tensor(model_or_logits) else predict(model_or_logits, x)
    return 100 * accuracy(logits, y)


teachers, own = {}, {}
for n, (name, new) in enumerate(SCHOOLS.items()):
    own[name] = slice(n * LABELLED, (n + 1) * LABELLED)
    torch.manual_seed(n)
    batches = Batches(labelled[0][own[name]], labelled[1][own[name]], size=50)
    rate = 3e-3 if name == "connected" else 1e-2
    teachers[name] = fit(new(), HardLabels(), batches, school_steps // 4, rate=rate)
    size = sum(p.numel() for p in teachers[name].parameters())
    print(
        f"{name:12s} {size:6,d} parameters: {right(teachers[name], held):.1f}% of the held-out signals right"
    )
held_out = {name: right(model, held) for name, model in teachers.items()}
best = max(held_out, key=held_out.get)
print(f"the best of the four, by the held-out signals: {best}")

# %% [markdown]
# ## Two averages
#
# Two teachers look at the same recording. One says "90% a 0, 9% a 1, 1% a 2", the other "1% a 0, 9% a 1, 90% a 2". What do they say together? There are two honest answers.
#
# **The mixture**, the mean of the probabilities:
#
# $$p_i = \frac1K \sum_k p_{ki}.$$
#
# "One of them is right, and I do not know which": 45.5% a 0, 9% a 1, 45.5% a 2. A class keeps its chances if *one* teacher believes in it.
#
# **The geometric mean**, normalised; the mean of the *log*-probabilities:
#
# $$p_i = \frac1Z \prod_k p_{ki}^{1/K}, \qquad \log p_i = \frac1K \sum_k \log p_{ki} - \log Z.$$
#
# "Both know something, put it together": a class that one teacher rules out is out.
#
# **What do you expect?** How probable is the 1 in the geometric mean, the class that neither of them thinks likely?

# %% role="show" name="fig-two-averages" folded=true
pair = torch.tensor([[0.90, 0.09, 0.01], [0.01, 0.09, 0.90]])
answers = {
    "teacher A": pair[0],
    "teacher B": pair[1],
    "mixture": pair.mean(0),
    "geometric mean": softmax(pair.log().mean(0)),
}
figure, grid = plt.subplots(1, 4, figsize=(10, 2.5), sharey=True, layout="constrained")
for axes, (title, p), colour in zip(grid, answers.items(), COLORS, strict=False):
    axes.bar(["0", "1", "2"], p, color=colour)
    axes.set(title=title, xlabel="class", ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("probability")
plots.show(
    "Probabilities of three classes: teacher A is sure of class 0, teacher B of class 2. Their "
    "mixture is high at both ends and low at class 1; their geometric mean is nearly level."
)
for title, p in answers.items():
    print(f"{title:15s}" + "".join(f"{share:7.3f}" for share in p.tolist()))

# %% [markdown]
# In the geometric mean the 1 is nearly as probable as the others: it is the only class that *nobody* rules out.
#
# ### What each of them minimises
#
# A student $q$ that learns from several teachers at once minimises the mean of its divergences from them. Which $q$ is best?
#
# *Forward.* $\frac1K\sum_k \mathrm{KL}(p_k \| q) = -\sum_i \big(\frac1K\sum_k p_{ki}\big) \log q_i + \text{const}$. That is the cross-entropy between the **mixture** and $q$, so the mixture is the best $q$. One teacher after the other in random order, or
# all their losses added, with the usual soft-target loss: the student is on the way to the mixture.
#
# *Reverse.* $\frac1K\sum_k \mathrm{KL}(q \| p_k) = \sum_i q_i \big(\log q_i - \frac1K\sum_k \log p_{ki}\big) = \mathrm{KL}(q \| \text{geometric mean}) - \log Z$. So here the **geometric mean** is best.
#
# *And the mean of the logits?* $\log p_{ki} = z_{ki}/T - \log\sum_j e^{z_{kj}/T}$, and the second part is the same for all classes: normalising removes it. So the mean of the logits *is* the geometric mean, at any temperature. The mixture depends on $T$.
# (These are the arithmetic and geometric means that Hinton, Vinyals and Dean name when they speak of ensembles in section 1 of [arXiv 1503.02531](https://arxiv.org/abs/1503.02531).)
#
# ### Exercise 1: the average of teachers
# A `Trainer` wants logits from a teacher, and its `SoftTargets(T)` will take $\mathrm{softmax}(Z/T)$ of them. So return logits: $Z = T \log p$, with $p$ the average at temperature $T$.
#
# <details><summary>Hint 1: the mixture without leaving the logarithms</summary>
#
# $\log \sum_k p_{ki}$ from the $\log p_{ki}$ is `torch.logsumexp(log_p, 0)`: it never takes the logarithm of a probability that has become 0. The 0 is the axis of the teachers.
# </details>
# <details><summary>Hint 2: what may be left out</summary>
#
# Only differences between classes count. A number that is added to all classes of a position (log K, log Z) changes nothing.
# </details>


# %% role="answer" name="average_of_teachers" library="tinykd.ensemble_logits, tinykd.Ensemble"
def average_of_teachers(logits, T, kind):
    """Logits Z (..., C) of the average of K teachers: softmax(Z / T) is their average at temperature T.

    logits: (K, ..., C), one set a teacher. kind: "mixture", the mean of the K probabilities at T; or "geometric", their
    normalised geometric mean. A number that is added to all classes of a position does not matter. Finite for any logits.
    """
    # YOUR CODE: log-probabilities at T, their average over the teachers, back to logits
    # BEGIN SOLUTION
    log_p = log_softmax(logits, T)  # (K, ..., C)
    if kind == "mixture":
        return T * torch.logsumexp(log_p, 0)
    return T * log_p.mean(0)
    # END SOLUTION


# %% role="check" name="average_of_teachers.mixture" points=1 hint="The value is log softmax(Z / T) of what you return, at T = 2.5: the mean of the teachers' probabilities at T. Is Z = T log p?"
rng = check.rng("average_of_teachers.mixture")
z = check.call(average_of_teachers, draw(rng, 3, 4, 5), 2.5, "mixture")
check("average_of_teachers.mixture", log_softmax(z, 2.5))

# %% role="check" name="average_of_teachers.geometric" points=1 hint="The value is log softmax(Z / T) of what you return, at T = 2.5: the mean over teachers of log p, normalised."
rng = check.rng("average_of_teachers.geometric")
z = check.call(average_of_teachers, draw(rng, 4, 3, 5), 2.5, "geometric")
check("average_of_teachers.geometric", log_softmax(z, 2.5))

# %% role="check" name="average_of_teachers.positions" points=1 hint="Logits of shape (K, 2, 3, C) give (2, 3, C): teachers are on axis 0, classes on the last one."
rng = check.rng("average_of_teachers.positions")
z = check.call(average_of_teachers, draw(rng, 3, 2, 3, 6), 1.7, "mixture")
check("average_of_teachers.positions", log_softmax(z, 1.7))

# %% role="check" name="average_of_teachers.extreme" points=1 hint="One class of each sample is hopeless for every teacher, thousands below: its probability is 0 to the computer, its log-probability is not. Both kinds are asked for."
rng = check.rng("average_of_teachers.extreme")
found = {}
for kind in ("mixture", "geometric"):
    z = check.call(average_of_teachers, draw_hopeless(rng, 3, 4, 5)[0], 1.5, kind)
    found[kind] = log_softmax(z, 1.5)
check("average_of_teachers.extreme", found)

# %% role="hidden" name="average_of_teachers.secret" points=2 hint="Another number of teachers, other temperatures, both kinds, hopeless classes."
rng = check.rng("average_of_teachers.secret")
found = []
for kind, T in (("mixture", 3.0), ("geometric", 2.0)):
    z = check.call(average_of_teachers, draw_hopeless(rng, 5, 3, 7)[0], T, kind)
    found.append(log_softmax(z, T))
check("average_of_teachers.secret", found)


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.no_T" loses="average_of_teachers.mixture, average_of_teachers.geometric, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="You return log p. SoftTargets divides by T once more: Z = T log p."
def average_of_teachers(logits, T, kind):
    log_p = log_softmax(logits, T)
    return torch.logsumexp(log_p, 0) if kind == "mixture" else log_p.mean(0)


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.cold" loses="average_of_teachers.mixture, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="You average at T = 1. The mixture at temperature T is the mean of the probabilities at T, and that is another one."
def average_of_teachers(logits, T, kind):
    log_p = log_softmax(logits)
    return torch.logsumexp(log_p, 0) if kind == "mixture" else log_p.mean(0)


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.probabilities" loses="average_of_teachers.mixture, average_of_teachers.geometric, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="You return probabilities where logits are wanted: softmax would be taken of them once more."
def average_of_teachers(logits, T, kind):
    p = softmax(logits, T)
    return p.mean(0) if kind == "mixture" else softmax(logits.mean(0), T)


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.always_logits" loses="average_of_teachers.mixture, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="The mean of the logits is the geometric mean, whatever kind says."
def average_of_teachers(logits, T, kind):
    return logits.mean(0)


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.always_mixture" loses="average_of_teachers.geometric, average_of_teachers.extreme, average_of_teachers.secret" hint="That is the mixture, whatever kind says. The geometric mean is the mean of log-probabilities."
def average_of_teachers(logits, T, kind):
    return T * torch.logsumexp(log_softmax(logits, T), 0)


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.swapped" loses="average_of_teachers.mixture, average_of_teachers.geometric, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="The two kinds have changed places: the mixture is the mean of probabilities, logsumexp of the log-probabilities."
def average_of_teachers(logits, T, kind):
    log_p = log_softmax(logits, T)
    return T * (log_p.mean(0) if kind == "mixture" else torch.logsumexp(log_p, 0))


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.product" loses="average_of_teachers.geometric, average_of_teachers.extreme, average_of_teachers.secret" hint="That is the product of the probabilities, K times too sharp: the geometric mean is its K-th root, a mean of logarithms and not their sum."
def average_of_teachers(logits, T, kind):
    log_p = log_softmax(logits, T)
    return T * (torch.logsumexp(log_p, 0) if kind == "mixture" else log_p.sum(0))


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.log_of_mean" loses="average_of_teachers.extreme, average_of_teachers.secret" hint="You take the logarithm of probabilities, which are 0 to the computer here. Stay with log-probabilities: torch.logsumexp(log_p, 0)."
def average_of_teachers(logits, T, kind):
    p = softmax(logits, T)
    return T * (p.mean(0).log() if kind == "mixture" else p.log().mean(0))


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.epsilon" loses="average_of_teachers.extreme, average_of_teachers.secret" hint="log(p + 1e-12) cannot be below -27.6. Stay with log-probabilities: torch.logsumexp(log_p, 0)."
def average_of_teachers(logits, T, kind):
    p = softmax(logits, T)
    return T * ((p.mean(0) + 1e-12).log() if kind == "mixture" else (p + 1e-12).log().mean(0))


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.root" loses="average_of_teachers.extreme, average_of_teachers.secret" hint="Your product of probabilities is 0 to the computer, and its logarithm -inf. The logarithm of a K-th root of a product is the mean of the logarithms: log_p.mean(0)."
def average_of_teachers(logits, T, kind):
    if kind == "mixture":
        return T * torch.logsumexp(log_softmax(logits, T), 0)
    p = softmax(logits, T)
    return T * p.prod(0).pow(1 / len(p)).log()


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.softmax_of_teachers" loses="average_of_teachers.mixture, average_of_teachers.geometric, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="Your softmax runs over the teachers, axis 0. A teacher's probabilities sum to 1 over the classes, the last axis."
def average_of_teachers(logits, T, kind):
    log_p = torch.log_softmax(logits / T, 0)
    return T * (torch.logsumexp(log_p, 0) if kind == "mixture" else log_p.mean(0))


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.softmax_of_samples" loses="average_of_teachers.mixture, average_of_teachers.geometric, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="Your softmax runs over axis 1, the samples. A teacher's probabilities sum to 1 over the classes, the last axis."
def average_of_teachers(logits, T, kind):
    log_p = torch.log_softmax(logits / T, 1)
    return T * (torch.logsumexp(log_p, 0) if kind == "mixture" else log_p.mean(0))


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.axis" loses="average_of_teachers.mixture, average_of_teachers.geometric, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="You averaged over axis 1, the samples. The teachers are on axis 0."
def average_of_teachers(logits, T, kind):
    log_p = log_softmax(logits, T)
    return T * (torch.logsumexp(log_p, 1) if kind == "mixture" else log_p.mean(1))


# %% role="mutant" of="average_of_teachers" name="average_of_teachers.in_place" loses="average_of_teachers.mixture, average_of_teachers.geometric, average_of_teachers.positions, average_of_teachers.extreme, average_of_teachers.secret" hint="`logits /= T` divides the caller's own logits. Write logits / T."
def average_of_teachers(logits, T, kind):
    logits /= T
    log_p = log_softmax(logits)
    return T * (torch.logsumexp(log_p, 0) if kind == "mixture" else log_p.mean(0))


# %% role="alternative" of="average_of_teachers" name="average_of_teachers.by_logits"
def average_of_teachers(logits, T, kind):
    if kind == "geometric":
        return logits.mean(dim=0)
    log_p = torch.log_softmax(logits / T, dim=-1)
    return T * (torch.logsumexp(log_p, dim=0) - math.log(logits.shape[0]))


# %% role="alternative" of="average_of_teachers" name="average_of_teachers.by_loop"
def average_of_teachers(logits, T, kind):
    total = log_softmax(logits[0], T)
    for z in logits[1:]:
        more = log_softmax(z, T)
        total = torch.logaddexp(total, more) if kind == "mixture" else total + more
    return T * total if kind == "mixture" else T * total / len(logits)


# %% [markdown]
# Now the four schools, on the held-out signals: how far is each average from the four teachers, in each direction, and how good is it as a classifier?
#
# **What do you expect?** Each average should win in its own column. And which of the two is the better classifier, with a teacher among the four that is right about a third of the time?

# %% role="show" name="averages-measured"
average = check.ready(
    average_of_teachers,
    lambda logits, T, kind: tinykd.ensemble_logits(
        logits, T, {"mixture": "probabilities", "geometric": "logits"}[kind]
    ),
)
said = torch.stack([predict(model, held[0]) for model in teachers.values()])  # (4, 500, 10)
print(f"{'':22s}{'mean KL(p_k || q)':>18s}{'mean KL(q || p_k)':>19s}{'right':>8s}{'nats':>7s}")
candidates = {f"teacher, {name}": z for name, z in zip(teachers, said, strict=True)}
candidates |= {kind: average(said, 1.0, kind) for kind in ("mixture", "geometric")}
for name, z in candidates.items():
    log_q, log_p = log_softmax(z), log_softmax(said)
    forward, reverse = kl(log_p, log_q).mean(), kl(log_q.expand_as(log_p), log_p).mean()
    nats = cross_entropy(z, held[1]).mean()
    print(f"{name:22s}{forward:18.3f}{reverse:19.3f}{right(z, held):7.1f}%{nats:7.2f}")

# %% [markdown]
# **What we saw.** Each average has the smallest number of its column, as derived. Both are far better classifiers than any school alone: the schools have seen different recordings and err on different ones. The
# cross-entropy ("nats") tells more: it asks how much of its probability goes to the right class. There the geometric mean is better than any school, and the mixture is not, 0.65 against 0.57 of the residual net: a quarter of each of its votes is the fourth school's, so it is
# seldom sure, even where it is right. Which of the two classifies better, this table does not decide: it is one world and 500 signals. More of them follow below.
#
# ## Not all teachers are equal
#
# The fully connected school is right about a third of the time, and in both averages it has a full vote. **Weights** $w_k$ of sum 1 make it smaller: $\sum_k w_k p_{ki}$, or $\sum_k w_k \log p_{ki}$. Where do they come from?
#
# - **One weight a teacher**, by its accuracy on held-out data. It needs a few labels.
# - **One weight a sample**, by how sure the teacher is of *this* sample: $w_k \propto e^{-H_k}$, with $H_k$ the entropy of its probabilities. It needs no label, and it trusts whoever is loud: a teacher that is sure *and wrong* gets a large weight.
# - **One weight a sample, by the truth**, where the label is known: $w_k \propto p_k(\text{label})$, the probability that the teacher gave to the right class. By Bayes' rule this is how probable it is that teacher $k$ is the one who knows, if all were equally
#   likely at first. (Zhang, Chen and Wang, [arXiv 2201.00007](https://arxiv.org/abs/2201.00007), weigh by the cross-entropy with the label, in another formula.)
#
# ### Exercise 2: weights for each sample
# The weights of the teachers sum to 1 for every sample.
#
# <details><summary>Hint: both are a softmax over teachers</summary>
#
# $e^{-H_k} / \sum_j e^{-H_j}$ is a softmax over the axis of the teachers, of $-H_k$. And $p_k / \sum_j p_j$ is one too, of $\log p_k$: so it stays right where every $p_k$ is 0 to the computer. `tinykd.entropy(logits)` has shape (K, B). To pick the label's
# log-probability for each teacher, `labels.expand(K, -1)` has shape (K, B); then `gather`, as in lesson 02.
# </details>


# %% role="answer" name="teacher_weights" library="tinykd.confidence"
def teacher_weights(logits, labels=None):
    """Weights of K teachers for each of B samples, (K, B): at least 0, of sum 1 over the teachers.

    logits: (K, B, C). Without labels: proportional to exp(-H_k), H_k the entropy of teacher k's softmax at T = 1, in nats.
    With labels (B,): proportional to p_k(label), right also where all of these are 0 to the computer.
    """
    # YOUR CODE: two cases, a softmax over the teachers in each
    # BEGIN SOLUTION
    if labels is None:
        return torch.softmax(-entropy(logits), 0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)  # (K, B, 1)
    return torch.softmax(log_softmax(logits).gather(-1, index).squeeze(-1), 0)
    # END SOLUTION


# %% role="check" name="teacher_weights.sure" points=1 hint="Without labels: the softmax over the teachers (axis 0) of minus the entropies."
rng = check.rng("teacher_weights.sure")
check("teacher_weights.sure", check.call(teacher_weights, draw(rng, 3, 5, 6)))

# %% role="check" name="teacher_weights.right" points=1 hint="With labels: p_k(label) divided by its sum over the teachers."
rng = check.rng("teacher_weights.right")
y = torch.tensor(rng.integers(6, size=5))
check("teacher_weights.right", check.call(teacher_weights, draw(rng, 3, 5, 6), y))

# %% role="check" name="teacher_weights.hopeless" points=1 hint="Every teacher gives the label a probability that is 0 to the computer, and 0 / 0 is no weight. A softmax of log-probabilities is."
rng = check.rng("teacher_weights.hopeless")
z, y = draw_hopeless(rng, 2, 4, 5)
z[1] = z[0] + draw(rng, 4, 5, size=0.5)  # nearly as hopeless
check("teacher_weights.hopeless", check.call(teacher_weights, z, y))

# %% role="hidden" name="teacher_weights.secret" points=1 hint="Other numbers of teachers, samples and classes, with labels and without."
rng = check.rng("teacher_weights.secret")
z, y = draw(rng, 5, 3, 8), torch.tensor(rng.integers(8, size=3))
found = [check.call(teacher_weights, z), check.call(teacher_weights, z, y)]
check("teacher_weights.secret", found)


# %% role="mutant" of="teacher_weights" name="teacher_weights.sign" loses="teacher_weights.sure, teacher_weights.secret" hint="The teacher with the largest entropy gets the largest weight. A sure teacher has a small one: exp(-H)."
def teacher_weights(logits, labels=None):
    if labels is None:
        return torch.softmax(entropy(logits), 0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(log_softmax(logits).gather(-1, index).squeeze(-1), 0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.over_samples" loses="teacher_weights.sure, teacher_weights.right, teacher_weights.hopeless, teacher_weights.secret" hint="Your weights sum to 1 over the samples. They are shares of the teachers: axis 0."
def teacher_weights(logits, labels=None):
    if labels is None:
        return torch.softmax(-entropy(logits), 1)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(log_softmax(logits).gather(-1, index).squeeze(-1), 1)


# %% role="mutant" of="teacher_weights" name="teacher_weights.not_normalised" loses="teacher_weights.sure, teacher_weights.right, teacher_weights.hopeless, teacher_weights.secret" hint="The weights of a sample's teachers must sum to 1: divide by their sum."
def teacher_weights(logits, labels=None):
    if labels is None:
        return torch.exp(-entropy(logits))
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return softmax(logits).gather(-1, index).squeeze(-1)


# %% role="mutant" of="teacher_weights" name="teacher_weights.zero_by_zero" loses="teacher_weights.hopeless" hint="0 / 0: every teacher's probability of the label is 0 to the computer. Take the softmax of the log-probabilities instead."
def teacher_weights(logits, labels=None):
    if labels is None:
        w = torch.exp(-entropy(logits))
    else:
        index = labels.expand(len(logits), -1).unsqueeze(-1)
        w = softmax(logits).gather(-1, index).squeeze(-1)
    return w / w.sum(0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.softmax_of_p" loses="teacher_weights.right, teacher_weights.hopeless, teacher_weights.secret" hint="That is a softmax of probabilities, which is nearly level. The softmax of log-probabilities is p_k / sum p_j."
def teacher_weights(logits, labels=None):
    if labels is None:
        return torch.softmax(-entropy(logits), 0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(softmax(logits).gather(-1, index).squeeze(-1), 0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.loudest" loses="teacher_weights.sure, teacher_weights.secret" hint="You weigh by the largest probability. The text asks for exp(-entropy)."
def teacher_weights(logits, labels=None):
    if labels is None:
        w = softmax(logits).amax(-1)
        return w / w.sum(0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(log_softmax(logits).gather(-1, index).squeeze(-1), 0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.bits" loses="teacher_weights.sure, teacher_weights.secret" hint="Your entropy is in bits. In nats it takes the natural logarithm, as tinykd.entropy does."
def teacher_weights(logits, labels=None):
    if labels is None:
        return torch.softmax(-entropy(logits) / math.log(2), 0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(log_softmax(logits).gather(-1, index).squeeze(-1), 0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.inverse" loses="teacher_weights.sure, teacher_weights.secret" hint="Your weights are proportional to 1 / H. They are to be proportional to exp(-H)."
def teacher_weights(logits, labels=None):
    if labels is None:
        w = 1 / entropy(logits)
        return w / w.sum(0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(log_softmax(logits).gather(-1, index).squeeze(-1), 0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.one_a_teacher" loses="teacher_weights.sure, teacher_weights.right, teacher_weights.hopeless, teacher_weights.secret" hint="You averaged over the samples. Every sample has weights of its own."
def teacher_weights(logits, labels=None):
    if labels is None:
        return torch.softmax(-entropy(logits).mean(1), 0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(log_softmax(logits).gather(-1, index).squeeze(-1).mean(1), 0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.raw_logits" loses="teacher_weights.right, teacher_weights.hopeless, teacher_weights.secret" hint="You compare the teachers' logits of the label. Logits of two networks have no common zero: take log_softmax first."
def teacher_weights(logits, labels=None):
    if labels is None:
        return torch.softmax(-entropy(logits), 0)
    index = labels.expand(len(logits), -1).unsqueeze(-1)
    return torch.softmax(logits.gather(-1, index).squeeze(-1), 0)


# %% role="mutant" of="teacher_weights" name="teacher_weights.labels_ignored" loses="teacher_weights.right, teacher_weights.hopeless, teacher_weights.secret" hint="The labels make no difference. Where they are given, the weights are proportional to p_k(label)."
def teacher_weights(logits, labels=None):
    return torch.softmax(-entropy(logits), 0)


# %% role="alternative" of="teacher_weights" name="teacher_weights.by_division"
def teacher_weights(logits, labels=None):
    if labels is None:
        w = torch.exp(-entropy(logits))
        return w / w.sum(0, keepdim=True)
    log_p = log_softmax(logits)
    mine = torch.stack([log_p[k, torch.arange(len(labels)), labels] for k in range(len(logits))])
    return torch.exp(mine - torch.logsumexp(mine, 0))


# %% role="alternative" of="teacher_weights" name="teacher_weights.one_hot"
def teacher_weights(logits, labels=None):
    log_p = torch.log_softmax(logits, -1)
    if labels is None:
        score = (log_p.exp() * log_p).sum(-1)
    else:
        score = (log_p * F.one_hot(labels, logits.shape[-1])).sum(-1)
    return score.softmax(dim=0)


# %% [markdown]
# How much do the weights change? Read on the test signals, once. The weights by accuracy come from the held-out signals. The last line looks at the labels of the very signals it is scored on: no classifier can do that, but a teacher that
# makes targets for *labelled* data can.

# %% role="show" name="weights-measured"
weigh = check.ready(
    teacher_weights,
    lambda logits, labels=None: (
        tinykd.confidence(logits)[..., 0]
        if labels is None
        else torch.stack([-cross_entropy(z, labels) for z in logits]).softmax(0)
    ),
)
on_test = torch.stack([predict(model, test[0]) for model in teachers.values()])
by_accuracy = torch.tensor(list(held_out.values()))
by_accuracy = by_accuracy / by_accuracy.sum()
sure = weigh(on_test).mean(1)
print(f"{'':26s}" + "".join(f"{name:>13s}" for name in teachers))
for name, w in (("weights by accuracy", by_accuracy), ("by confidence, mean", sure)):
    print(f"{name:26s}" + "".join(f"{share:13.2f}" for share in w.tolist()))
ways = {
    "equal": None,
    "by accuracy": by_accuracy,
    "by confidence": weigh(on_test).unsqueeze(-1),
    "by the truth": weigh(on_test, test[1]).unsqueeze(-1),
}
print(f"\n{'test signals right, in %':26s}{'mixture':>9s}{'geometric':>11s}")
for name, w in ways.items():
    kinds = ("probabilities", "logits")
    scores = [right(tinykd.ensemble_logits(on_test, 1.0, kind, w)) for kind in kinds]
    print(f"{name:26s}{scores[0]:9.1f}{scores[1]:11.1f}")
print(f"{'best teacher alone':26s}{right(on_test[list(teachers).index(best)]):9.1f}")

# %% [markdown]
# ## The student
#
# Now the one small network that was asked for: a residual net of 8 and 16 channels, smaller than three of the four teachers. It learns from the unlabelled signals and what it is told about them, at $T = 1$, the same number of steps in every line:
#
# - **labels, one school**: no teacher; the best school's 200 labels;
# - **soft targets**: the best school's teacher tells it about the unlabelled signals;
# - **mixture**, **geometric mean**, and the latter **by accuracy**: all four tell it;
# - **labels, pooled**: all 800 labels, which the schools do not hand out (in our file alone): what privacy costs.
#
# The teachers are asked once; `KnownLogits` is a teacher that knows its answers by heart. (In the engine, an average is a module, `tinykd.Ensemble(a, b, c, T=1)`, and `tinykd.CachedTeacher` keeps what it says on disk.) In your quick run the seeds are three starts of the student,
# all with the same four teachers: its intervals say nothing about other schools, and with three starts a line may end far from where it ends in our file. In our file every seed has its own signals, schools and student.
#
# **What do you expect?** Where will the student of the best school end: below its teacher, level, or above? And the student of all four: above the best *teacher*?


# %% role="show" name="students"
def new_student():
    return ResNet(1, 8, 16, 10, dims=1)


def from_labels(new, part, seed, told=None):
    """A student of labelled signals (a slice of them); with `told`, half its loss is the teacher's."""
    torch.manual_seed(seed)
    batches = Batches(labelled[0][part], labelled[1][part], size=100, seed=seed)
    steps = student_epochs * math.ceil(free_count / 100)
    epochs = max(1, round(steps / len(batches)))
    if told is None:
        return fit(new(), HardLabels(), batches, epochs)
    return fit(new(), 0.5 * SoftTargets() + 0.5 * HardLabels(), batches, epochs, KnownLogits(told))


def from_teacher(new, told, seed):
    """A student that is told about the unlabelled signals, and sees no label."""
    torch.manual_seed(seed)
    batches = Batches(free, size=100, seed=seed)
    return fit(new(), SoftTargets(), batches, student_epochs, KnownLogits(told))


on_free = torch.stack([predict(model, free) for model in teachers.values()])
told = {
    "soft targets": on_free[list(teachers).index(best)],
    "mixture": average(on_free, 1.0, "mixture"),
    "geometric mean": average(on_free, 1.0, "geometric"),
    "geometric mean by accuracy": tinykd.ensemble_logits(on_free, 1.0, "logits", by_accuracy),
}
trainings = {name: lambda seed, z=z: from_teacher(new_student, z, seed) for name, z in told.items()}
trainings["labels, one school"] = lambda seed: from_labels(new_student, own[best], seed)
quick = {}
print(f"{'':27s}{'one number a start':>24s}   against soft targets, paired")
for name, train in trainings.items():
    quick[name] = [right(train(seed)) for seed in range(seeds)]
    line = f"{name:27s}" + "".join(f"{score:7.1f}" for score in quick[name]) + "  % right"
    if "soft targets" in quick and name != "soft targets":
        pairs = zip(quick[name], quick["soft targets"], strict=True)
        mean, half = mean_interval([mine - its for mine, its in pairs])
        line += f"{mean:+8.1f} ± {half:.1f}"
    print(line)
taught = {
    "best teacher": right(on_test[list(teachers).index(best)]),
    "mixture": right(average(on_test, 1.0, "mixture")),
    "geometric mean": right(average(on_test, 1.0, "geometric")),
    "geometric mean by accuracy": right(
        tinykd.ensemble_logits(on_test, 1.0, "logits", by_accuracy)
    ),
}
print("\nand who taught them:")
for name, score in taught.items():
    print(f"{name:27s}{score:7.1f}% right")

# %% role="show" name="results" folded=true
stored = json.loads(data_file("results/many_teachers.json").read_text())


def runs(setting, method, key="accuracy"):
    """Of our runs, in percent, by seed."""
    rows = stored["views" if setting == "views" else "runs"]
    return {
        r["seed"]: 100 * r[key]
        for r in rows
        if (r["setting"], r["method"]) == (setting, method) and key in r
    }


def against(setting, method, rival, key="accuracy"):
    """Mean difference in points and half its 95% interval, paired by seed."""
    mine, theirs = runs(setting, method, key), runs(setting, rival, key)
    gaps = [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]
    return mean_interval(gaps) if gaps else (math.nan, math.inf)


def mean_of(setting, method, key="accuracy"):
    """Over the seeds, in percent; NaN where there are none."""
    values = list(runs(setting, method, key).values())
    return sum(values) / len(values) if values else math.nan


def verdict(gap):
    return "undecided" if not abs(gap[0]) > gap[1] else "better" if gap[0] > 0 else "worse"


POOLED = {"schools": "labels, pooled (800)", "gap": "labels, pooled (800)"}


def called(setting, method):
    """Where the labels are those of all schools, the file calls them "labels" all the same."""
    return POOLED.get(setting, method) if method == "labels" else method


def table(setting, methods, rival, digits=1):
    """Means over the seeds, and each against `rival`, paired."""
    if not runs(setting, rival):
        return print("not run yet: TINYKD_SCALE=full python benchmarks/many_teachers.py")
    print(f"{'':36s}{'% right':>8s}   against {rival!r}, points")
    for method in methods:
        score = mean_of(setting, method)
        line = f"{called(setting, method):36s}{score:8.{digits}f}"
        if method != rival:
            gap = against(setting, method, rival)
            line += f"   {gap[0]:+5.{digits}f} ± {gap[1]:.{digits}f}  {verdict(gap)}"
        print(line)


def versus(setting, mine, theirs, key="accuracy", says=None):
    """One comparison, paired by seed."""
    gap, names = against(setting, mine, theirs, key), [called(setting, x) for x in (mine, theirs)]
    print(f"  {gap[0]:+5.1f} ± {gap[1]:.1f}  {verdict(gap):10s}{says or ' - '.join(names)}")


count = len(runs("schools", "labels"))
print(f"Our {count} seeds, each with its own signals, schools and student; settings:")
print(", ".join(f"{name} {value}" for name, value in list(stored["settings"].items())[:5]))
order = ["labels, one school", *told, "labels"]
figure, axes = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
for row, name in enumerate(order):
    ours, yours = list(runs("schools", name).values()), quick.get(name, [])
    mean, half = mean_interval(ours)
    colour = COLORS[4] if "labels" in name else COLORS[0]
    axes.errorbar(mean, row, xerr=half, fmt="D", color=colour, capsize=3, zorder=3)
    axes.plot(ours, [row + 0.22] * len(ours), "o", color="black", markersize=3)
    axes.plot(yours, [row - 0.22] * len(yours), "s", color=COLORS[1], markersize=4)
axes.errorbar([], [], xerr=[], fmt="D", color="gray", capsize=3, label="our mean, its interval")
axes.plot([], [], "o", color="black", markersize=3, label="our seeds")
axes.plot([], [], "s", color=COLORS[1], markersize=4, label="your quick run")
level = mean_of("schools", "teacher, best")
axes.axvline(level, color="gray", linestyle="--", zorder=0, label="best school's teacher, our mean")
axes.set_yticks(range(len(order)), [called("schools", name) for name in order])
axes.invert_yaxis()
axes.set(xlabel="test signals right, %")
axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, ncols=4, loc="outside upper center", fontsize=8.5)
plots.show(
    "Six ways to train the same student, a mean with its interval for each: labels of one school "
    "lowest, soft targets of the best teacher higher and to the right of the dashed line of that "
    "teacher, averages of four teachers higher still, pooled labels highest."
)
table("schools", [*order[:-1], "mixture by confidence", "labels"], "soft targets")
print("\nthe teachers and their averages themselves:")
table("schools", [f"teacher, {x}" for x in ("best", *list(told)[1:])], "teacher, best")
print("\nstudent against its own teacher, points:")
versus("schools", "soft targets", "teacher, best", says="soft targets")
for name in list(told)[1:]:
    versus("schools", name, f"teacher, {name}", says=name)
print("\nthe averages against each other, their students:")
versus("schools", "geometric mean", "mixture")
versus("schools", "geometric mean by accuracy", "geometric mean")
versus("schools", "mixture by confidence", "mixture")
versus("schools", "geometric mean by accuracy", "mixture by confidence")
versus("schools", "labels", "geometric mean by accuracy")

# %% [markdown]
# **What we saw.** Two tables: yours, with one set of schools and three starts of the student, and ours, of five seeds with everything new in each. "Undecided" means that the interval holds 0. The numbers here are those of our five seeds.
# One set of schools may look otherwise: in our quick run (the squares) two of the mixture's three students were below all three students of the single best school.
#
# - **Can a student pass its teacher? Yes**: the student of the best school ends 2.9 ± 2.0 points above that teacher, whose opinion of unlabelled signals is all that it was told. There is no magic in it. A teacher's errors are of two kinds: those it makes for a *reason*, which the
#   student learns as well, and those it makes because its 200 signals were few and some of its fit to them was luck. The second kind has no pattern that goes through thousands of signals, so a student that sees thousands does not learn it.
# - **The hidden ceiling** is not the teacher's accuracy but what is in its targets. Four schools hold more than one: the student of the geometric mean by accuracy is 4.8 ± 4.5 points above the student of the best school. It is level with its own teacher, the average (0.0 ± 1.0), so of four networks *one* small one has become, at no loss that we can see.
# - **Which average?** Between the students of the mixture and of the geometric mean nothing is decided, and the students of the unweighted averages are not shown to be better than the student of the best school alone: the teacher that is right less than a third of the time has a full vote in what they learn. *Weights by accuracy* help the student of the geometric mean: 1.2 ± 0.9 points. *Weights by confidence* in the mixture are not shown to help its student (1.9 ± 2.8).
# - **Pooling the labels** is better still, by 4.7 ± 2.8 points over the best of the averages. Distillation is what remains where labels may not be pooled.
#
# One choice was made beforehand, on signals of another seed: the student's learning rate and $T = 1$. What $T = 4$ would have done, an experiment at the end shows.
#
# ## Generations
#
# If a student can be better than its teacher, let it teach. **Born-again networks** (Furlanello et al., [arXiv 1805.04770](https://arxiv.org/abs/1805.04770)) do that: a network teaches a fresh one *of the same kind*, which teaches the next. Nothing is compressed; what changes from
# generation to generation are the targets.
#
# The same loop with networks of *different* size is a chain of **teacher assistants** (Mirzadeh et al., [arXiv 1902.03393](https://arxiv.org/abs/1902.03393)): where the gap between teacher and student is too wide, one or more networks of a size in between are taught first. And where the teacher of every generation is
# the same network at a later point of its own training, it is a curriculum along the teacher's path; in diffusion models, where each generation needs half as many steps as the last, it is *progressive distillation* (lesson 16).
#
# ### Exercise 3: a line of students
# Write the loop. What goes wrong in it in practice: the student goes on from its teacher's weights instead of from a fresh start; everybody is taught by the first; two generations share a seed, and so a start and an order of data; a teacher is left in train mode,
# so that its dropout and batch norm go on as in training.
#
# <details><summary>Hint: what happens when</summary>
#
# The list `line` begins as `[first]`, and `line[-1]` is always the next teacher. `enumerate(makers, start=1)` counts from 1. For each maker, in this order: seed, make, train, append. `net.eval()` changes the network's mode and returns the network.
# </details>


# %% role="answer" name="lineage"
def lineage(first, makers, train):
    """A line of networks, each taught by the one before it. Returns the list [first, student 1, student 2, ...].

    first: a trained network. makers: functions without arguments, each makes a new, untrained network. train(student, teacher, seed)
    trains `student` in place. Student n, counted from 1, is made by the n-th maker right after torch.manual_seed(n), and trained once, with
    seed n. Whoever teaches is in eval mode while it does; a student is in train mode when its training begins, as new networks are. In
    which mode the networks are returned does not matter.
    """
    # YOUR CODE: one loop over the makers
    # BEGIN SOLUTION
    line = [first]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        student = make()
        train(student, line[-1].eval(), n)
        line.append(student)
    return line
    # END SOLUTION


# %% role="check" name="lineage.who" points=1 hint="One row a training, `log[0]` the first: `taught by` is the teacher's place in the line, 0 the first network, -1 a network that is not in the line."
school = FakeSchool(check.rng("lineage.who"), 4)
check.call(lineage, school.first, school.makers, school.train, may_change=[school.first])
check("lineage.who", {"log": school.log, "pull": school.pull})

# %% role="check" name="lineage.fresh" points=1 hint="The weights with which each student began: those of the n-th maker right after torch.manual_seed(n), not its teacher's."
school = FakeSchool(check.rng("lineage.fresh"), 3)
check.call(lineage, school.first, school.makers, school.train, may_change=[school.first])
check("lineage.fresh", school.starts)

# %% role="check" name="lineage.line" points=1 hint="The list of all networks, from the first to the last, each as it was after its own training."
school = FakeSchool(check.rng("lineage.line"), 3)
line = check.call(lineage, school.first, school.makers, school.train, may_change=[school.first])
check("lineage.line", [net.weight for net in line])

# %% role="hidden" name="lineage.secret" points=1 hint="Other numbers of generations, none at all among them."
rng = check.rng("lineage.secret")
found = []
for many in (5, 1, 0):
    school = FakeSchool(rng, many)
    line = check.call(lineage, school.first, school.makers, school.train, may_change=[school.first])
    found.append([joined(net.weight for net in line), school.log])
check("lineage.secret", found)


# %% role="mutant" of="lineage" name="lineage.always_first" loses="lineage.who, lineage.line, lineage.secret" hint="Everybody is taught by the first network. Each student is taught by the one before it."
def lineage(first, makers, train):
    line = [first]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        student = make()
        train(student, first.eval(), n)
        line.append(student)
    return line


# %% role="mutant" of="lineage" name="lineage.inherited" loses="lineage.fresh, lineage.line, lineage.secret" hint="Your students begin as copies of their teachers. A born-again network starts from scratch: call its maker."
def lineage(first, makers, train):
    line = [first]
    for n in range(1, len(makers) + 1):
        torch.manual_seed(n)
        student = copy.deepcopy(line[-1]).train()
        train(student, line[-1].eval(), n)
        line.append(student)
    return line


# %% role="mutant" of="lineage" name="lineage.one_maker" loses="lineage.fresh, lineage.line, lineage.secret" hint="All students come from the first maker. Assistants are of different sizes: the n-th student is made by the n-th maker."
def lineage(first, makers, train):
    line = [first]
    for n in range(1, len(makers) + 1):
        torch.manual_seed(n)
        student = makers[0]()
        train(student, line[-1].eval(), n)
        line.append(student)
    return line


# %% role="mutant" of="lineage" name="lineage.same_seed" loses="lineage.who, lineage.fresh, lineage.line, lineage.secret" hint="All generations have one seed, and so one start and one order of the data. Student n has the seed n."
def lineage(first, makers, train):
    line = [first]
    for make in makers:
        torch.manual_seed(0)
        student = make()
        train(student, line[-1].eval(), 0)
        line.append(student)
    return line


# %% role="mutant" of="lineage" name="lineage.from_zero" loses="lineage.who, lineage.fresh, lineage.line, lineage.secret" hint="The first student has the seed 1, not 0: enumerate(makers, start=1)."
def lineage(first, makers, train):
    line = [first]
    for n, make in enumerate(makers):
        torch.manual_seed(n)
        student = make()
        train(student, line[-1].eval(), n)
        line.append(student)
    return line


# %% role="mutant" of="lineage" name="lineage.seed_too_late" loses="lineage.fresh, lineage.line, lineage.secret" hint="torch.manual_seed(n) stands after the network was made: its first weights were drawn already."
def lineage(first, makers, train):
    torch.manual_seed(12345)
    line = [first]
    for n, make in enumerate(makers, start=1):
        student = make()
        torch.manual_seed(n)
        train(student, line[-1].eval(), n)
        line.append(student)
    return line


# %% role="mutant" of="lineage" name="lineage.train_mode" loses="lineage.who, lineage.secret" hint="A teacher is in train mode while it teaches: teacher.eval()."
def lineage(first, makers, train):
    line = [first]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        student = make()
        train(student, line[-1], n)
        line.append(student)
    return line


# %% role="mutant" of="lineage" name="lineage.all_eval" loses="lineage.who, lineage.secret" hint="Your students are in eval mode when their training begins. Only whoever teaches is."
def lineage(first, makers, train):
    line = [first.eval()]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        line.append(make().eval())
        train(line[n], line[n - 1], n)
    return line


# %% role="mutant" of="lineage" name="lineage.without_first" loses="lineage.line, lineage.secret" hint="The list begins with the first network, the one that nobody here taught."
def lineage(first, makers, train):
    line = [first]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        student = make()
        train(student, line[-1].eval(), n)
        line.append(student)
    return line[1:]


# %% role="mutant" of="lineage" name="lineage.swapped" loses="lineage.who, lineage.fresh, lineage.line, lineage.secret" hint="train(student, teacher, seed): student and teacher have changed places."
def lineage(first, makers, train):
    line = [first]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        student = make()
        train(line[-1].eval(), student, n)
        line.append(student)
    return line


# %% role="alternative" of="lineage" name="lineage.two_names"
def lineage(first, makers, train):
    teacher, found = first, [first]
    for i in range(len(makers)):
        teacher.eval()
        torch.manual_seed(i + 1)
        student = makers[i]()
        train(student, teacher, seed=i + 1)
        found = [*found, student]
        teacher = student
    return found


# %% role="alternative" of="lineage" name="lineage.a_copy_teaches"
def lineage(first, makers, train):
    line = [first]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        line.append(make().train())
        train(line[n], copy.deepcopy(line[n - 1]).eval(), n)
    return [net.eval() for net in line]


# %% role="alternative" of="lineage" name="lineage.recursive"
def lineage(first, makers, train):
    if not makers:
        return [first]
    before = lineage(first, makers[:-1], train)
    torch.manual_seed(len(makers))
    student = makers[-1]()
    for net in before:
        net.eval()
    train(student, before[-1], len(makers))
    return before + [student]


# %% [markdown]
# Two lines of two generations from the same first network, the best school's labels being all there is. In one, the students learn from **the same 200 signals**, half from labels, half from the teacher: the setting of born-again networks. In the other
# they learn from **the unlabelled signals**, from the teacher alone. The third line is a chain of assistants: from all four schools to a convolutional net of 6 and 12 channels.
#
# **What do you expect?** Which of the two lines climbs, and for how long? What can a second generation know that the first did not?


# %% role="show" name="generations"
def library_lineage(first, makers, train):
    line = [first]
    for n, make in enumerate(makers, start=1):
        torch.manual_seed(n)
        line.append(make())
        train(line[n], line[n - 1].eval(), n)
    return line


family = check.ready(lineage, library_lineage)


def on_same_signals(student, teacher, seed):
    batches = Batches(labelled[0][own[best]], labelled[1][own[best]], size=100, seed=seed)
    told = KnownLogits(predict(teacher, batches.inputs))
    steps = student_epochs * math.ceil(free_count / 100)
    fit(student, 0.5 * SoftTargets() + 0.5 * HardLabels(), batches, max(1, steps // 2), told)


def on_unlabelled(student, teacher, seed):
    told = KnownLogits(predict(teacher, free))
    fit(student, SoftTargets(), Batches(free, size=100, seed=seed), student_epochs, told)


first = from_labels(new_student, own[best], seed=0)
for place, train in (("same signals", on_same_signals), ("unlabelled", on_unlabelled)):
    line = family(first, [new_student] * (1 if scale == "smoke" else 2), train)
    print(f"{place:14s}" + " -> ".join(f"{right(net):.1f}" for net in line) + "  % right")


def new_small():
    return ConvNet(1, 6, 12, 10, dims=1)


def new_middle():
    return ConvNet(1, 24, 48, 10, dims=1)


everybody = tinykd.Ensemble(*teachers.values(), kind="logits")
for makers in ([new_small], [new_middle, new_small]):
    line = family(everybody, makers, on_unlabelled)
    print(f"{len(makers) - 1} assistants  " + " -> ".join(f"{right(net):.1f}" for net in line))

# %% role="show" name="fig-generations" folded=true
figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
last = stored["settings"]["generations"]
for shift, (place, colour) in enumerate(
    (("same signals", COLORS[0]), ("unlabelled signals", COLORS[1]))
):
    values = [runs("generations", "labels")]
    values += [runs("generations", f"{place}, generation {n}") for n in range(1, last + 1)]
    gaps = [mean_interval([v[s] - values[0][s] for s in sorted(v)]) for v in values]
    x = np.arange(last + 1) + 0.08 * shift
    axes.errorbar(x, [g[0] for g in gaps], [g[1] for g in gaps], fmt="o-", color=colour, capsize=3)
    axes.text(last + 0.2, gaps[-1][0], place, color=colour, va="center")
axes.axhline(0, color="black", linestyle="--", linewidth=1)
axes.set_xticks(list(range(last + 1)), ["first", *(f"generation {n}" for n in range(1, last + 1))])
axes.set(ylabel="points above the first", xlim=(-0.2, last + 1.2))
axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Accuracy of two generations against the first network, in points with intervals, in two "
    "lines: on the same signals and on unlabelled signals."
)
methods = ["labels", "labels, as long as all generations"]
for place in ("same signals", "unlabelled signals"):
    methods += [f"{place}, generation {n}" for n in range(1, last + 1)]
    methods.append(f"{place}, all generations")
table("generations", methods, "labels")
print("\nis it the longer training? Against the labels' network trained as long as all three:")
for method in methods[2:]:
    versus("generations", method, methods[1], says=method)
print("\nis it worth a second generation? Against the first:")
for place in ("same signals", "unlabelled signals"):
    versus("generations", f"{place}, generation 2", f"{place}, generation 1", says=place)
print("\nassistants: a small net learns from the geometric mean of all four schools")
methods = ["labels", "soft targets", "soft targets, twice as long", "an assistant"]
table("gap", methods, "soft targets", digits=2)
versus("gap", "soft targets, twice as long", "an assistant")

# %% [markdown]
# **What we saw.** In five seeds both lines climb in the first generation, by 3.4 ± 3.2 points on the same signals and by 3.9 ± 2.4 on unlabelled ones. A single line of three networks may do the opposite: in our quick run the one on unlabelled signals went *down*, from 75.5 to 74.9 and 74.2.
#
# - The *first* generation is where the gain is. A second one on the unlabelled signals is not shown to add anything (-0.6 ± 1.1 against the first): the same signals, targets that are smooth already, nothing new, and some errors of its own.
# - **Is it only the longer training?** Three networks in a row have had three times the steps. Against the labels' network with that many steps, the first generation on unlabelled signals is just better, 3.2 ± 3.1; the second one is undecided, and both generations on the same signals are too. So for three of the four, longer
#   training is not excluded by five seeds. A table of generations without that line would have looked more convincing.
# - *All generations* averaged are an ensemble of networks with different starts, the best line of the table for the same signals, and better than longer training in both places. When born-again ensembles are reported, compare them with an ensemble of plainly trained networks of the same number: part of such a gain is any ensemble's.
# - **The small net gains nothing from its teachers** over the same number of steps on the 800 pooled labels (its two lines differ by 0.1 ± 2.3). It has them without a label having left a school; but where the student above told pooled labels and teachers clearly apart, this one does not. What holds it back is itself, not what it is told:
#   twice the steps with the same targets are worth 7.0 ± 2.9 points. (Whether labels would gain as much by more steps, the table does not say.)
# - **Assistants**: an assistant costs a training of its own. Over five seeds it is worth 0.1 ± 2.3 points, 6.8 ± 0.9 less than the same training spent on the small net itself: that is the baseline to beat. A gap in capacity is a reason to try an assistant, no more.
#
# ## Students that teach each other
#
# In **deep mutual learning** (Zhang et al., [arXiv 1706.00384](https://arxiv.org/abs/1706.00384)) there is no teacher at all. Two networks start from different weights and learn side by side; each has the loss
#
# $$L_a = \mathrm{CE}(y, p_a) + T^2\,\mathrm{KL}(p_b \,\|\, p_a), \qquad L_b = \mathrm{CE}(y, p_b) + T^2\,\mathrm{KL}(p_a \,\|\, p_b).$$
#
# In each KL the other network's probabilities are the **target**, a constant. If the gradient of $L_a$ flowed into $p_b$ as well, network $b$ would be moved so as to be easier to imitate: the two would agree sooner, on whatever is easiest to agree on. Published code has had
# this bug. `tensor.detach()` is the tensor without its history: the number stays, no gradient passes.
#
# ### Exercise 4: two losses that let each other be
# `kl(log_p, log_q)` from the first cell lets gradients into both of its arguments, so that it is you who decides. It returns one number for each position, and so does tinykd's `cross_entropy(logits, labels)`; `F.cross_entropy` would average them.
#
# <details><summary>Hint: four terms</summary>
#
# Of both, first the log-probabilities at T, by `log_softmax(a, T)`. In the KL of a's loss, b's come first and are the target: they are the ones to detach. The cross-entropy takes logits, not log-probabilities at T.
# </details>


# %% role="answer" name="mutual_losses" library="tinykd.forward_kl, tinykd.Mutual"
def mutual_losses(a, b, labels, T=1.0):
    """The losses of two peers, a pair of tensors (...): CE + T^2 KL(other || own) of a, then of b.

    a, b: logits (..., C). labels: (...). One number per position. The cross-entropy is at T = 1, both sides of the KL at T. No gradient
    of a's loss reaches b, and none of b's loss reaches a.
    """
    # YOUR CODE: log-probabilities at T of both, then two sums of two terms
    # BEGIN SOLUTION
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a, labels) + T**2 * kl(log_b.detach(), log_a)
    loss_b = cross_entropy(b, labels) + T**2 * kl(log_a.detach(), log_b)
    return loss_a, loss_b
    # END SOLUTION


# %% role="setup" name="two-losses"
def one_of_two(answer, which, a, b, labels, T):
    """Value of one of the two losses, and its gradient in both logits."""
    try:
        pair = check.call(answer, a, b, labels, T)
    except (RuntimeError, IndexError) as error:
        if isinstance(error, NotImplementedError):
            raise
        raise CheckFailed(
            f"With logits {tuple(a.shape)} and labels {tuple(labels.shape)}, torch says: {error}\n"
            "The classes are on the last axis. tinykd's cross_entropy and kl take them there and "
            "give one number per position; F.cross_entropy wants them on axis 1."
        ) from None
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise CheckFailed("two losses are expected: return loss_a, loss_b")
    return with_gradient(pair[which], a, b)


def looked_at(*given):
    """Both of them, by a call for each, as autograd frees what the two may share."""
    answer, *rest = given
    return [one_of_two(answer, which, *rest) for which in (0, 1)]


# %% role="check" name="mutual_losses.values" points=1 hint="T = 1. Item 0 is a's loss, item 1 b's: cross-entropy plus KL(other || own), one number per sample."
rng = check.rng("mutual_losses.values")
a, b = draw(rng, 4, 6, gradient=True), draw(rng, 4, 6, gradient=True)
found = looked_at(mutual_losses, a, b, torch.tensor(rng.integers(6, size=4)), 1.0)
check("mutual_losses.values", [one["value"] for one in found])

# %% role="check" name="mutual_losses.gradients" points=1 hint="T = 1. Of each loss its gradient in a and in b: the peer's must be 0, it is a constant target."
rng = check.rng("mutual_losses.gradients")
a, b = draw(rng, 4, 6, gradient=True), draw(rng, 4, 6, gradient=True)
found = looked_at(mutual_losses, a, b, torch.tensor(rng.integers(6, size=4)), 1.0)
check("mutual_losses.gradients", [one["gradient"] for one in found])

# %% role="check" name="mutual_losses.temperature" points=1 hint="T = 3: both sides of the KL at T, T squared in front of it, the cross-entropy at T = 1. Values and gradients."
rng = check.rng("mutual_losses.temperature")
a, b = draw(rng, 2, 3, 5, gradient=True), draw(rng, 2, 3, 5, gradient=True)
found = looked_at(mutual_losses, a, b, torch.tensor(rng.integers(5, size=(2, 3))), 3.0)
check("mutual_losses.temperature", found)

# %% role="hidden" name="mutual_losses.secret" points=1 hint="Another shape and temperature, values and gradients."
rng = check.rng("mutual_losses.secret")
T = float(rng.uniform(1.5, 5))
a, b = draw(rng, 7, 3, gradient=True), draw(rng, 7, 3, gradient=True)
found = looked_at(mutual_losses, a, b, torch.tensor(rng.integers(3, size=7)), T)
check("mutual_losses.secret", found)


# %% role="mutant" of="mutual_losses" name="mutual_losses.attached" loses="mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="A peer's loss reaches the other peer: the target needs .detach()."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a, labels) + T**2 * kl(log_b, log_a)
    loss_b = cross_entropy(b, labels) + T**2 * kl(log_a, log_b)
    return loss_a, loss_b


# %% role="mutant" of="mutual_losses" name="mutual_losses.own_detached" loses="mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="You detached the learner and let the gradient into the target: the KL then moves the other network alone."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a, labels) + T**2 * kl(log_b, log_a.detach())
    loss_b = cross_entropy(b, labels) + T**2 * kl(log_a, log_b.detach())
    return loss_a, loss_b


# %% role="mutant" of="mutual_losses" name="mutual_losses.reversed" loses="mutual_losses.values, mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="The KL is the wrong way round: the target comes first, KL(other || own)."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a, labels) + T**2 * kl(log_a, log_b.detach())
    loss_b = cross_entropy(b, labels) + T**2 * kl(log_b, log_a.detach())
    return loss_a, loss_b


# %% role="mutant" of="mutual_losses" name="mutual_losses.no_T2" loses="mutual_losses.temperature, mutual_losses.secret" hint="The factor T squared in front of the KL is missing."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a, labels) + kl(log_b.detach(), log_a)
    loss_b = cross_entropy(b, labels) + kl(log_a.detach(), log_b)
    return loss_a, loss_b


# %% role="mutant" of="mutual_losses" name="mutual_losses.hot_labels" loses="mutual_losses.temperature, mutual_losses.secret" hint="The cross-entropy with the labels is read at T = 1: cross_entropy(a, labels)."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a / T, labels) + T**2 * kl(log_b.detach(), log_a)
    loss_b = cross_entropy(b / T, labels) + T**2 * kl(log_a.detach(), log_b)
    return loss_a, loss_b


# %% role="mutant" of="mutual_losses" name="mutual_losses.one_way" loses="mutual_losses.values, mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="Only a learns from b: that is a teacher and a student. Mutual means that b learns from a as well."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    return cross_entropy(a, labels) + T**2 * kl(log_b.detach(), log_a), cross_entropy(b, labels)


# %% role="mutant" of="mutual_losses" name="mutual_losses.no_labels" loses="mutual_losses.values, mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="The cross-entropy with the labels is missing: two networks that only imitate each other learn nothing of the world."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    return T**2 * kl(log_b.detach(), log_a), T**2 * kl(log_a.detach(), log_b)


# %% role="mutant" of="mutual_losses" name="mutual_losses.mean" loses="mutual_losses.values, mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="You averaged over the samples. One number per position."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a, labels) + T**2 * kl(log_b.detach(), log_a)
    loss_b = cross_entropy(b, labels) + T**2 * kl(log_a.detach(), log_b)
    return loss_a.mean(), loss_b.mean()


# %% role="mutant" of="mutual_losses" name="mutual_losses.mean_of_labels" loses="mutual_losses.values, mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="F.cross_entropy returns the mean over the samples. One number per position is asked for: use tinykd's cross_entropy."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = F.cross_entropy(a, labels) + T**2 * kl(log_b.detach(), log_a)
    loss_b = F.cross_entropy(b, labels) + T**2 * kl(log_a.detach(), log_b)
    return loss_a, loss_b


# %% role="mutant" of="mutual_losses" name="mutual_losses.all_means" loses="mutual_losses.values, mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="F.cross_entropy and .mean() average over the samples. One number per position is asked for: use tinykd's cross_entropy and kl as they are."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = F.cross_entropy(a, labels) + T**2 * kl(log_b.detach(), log_a).mean()
    loss_b = F.cross_entropy(b, labels) + T**2 * kl(log_a.detach(), log_b).mean()
    return loss_a, loss_b


# %% role="mutant" of="mutual_losses" name="mutual_losses.exchanged" loses="mutual_losses.values, mutual_losses.gradients, mutual_losses.temperature, mutual_losses.secret" hint="The two losses have changed places: a's comes first."
def mutual_losses(a, b, labels, T=1.0):
    log_a, log_b = log_softmax(a, T), log_softmax(b, T)
    loss_a = cross_entropy(a, labels) + T**2 * kl(log_b.detach(), log_a)
    loss_b = cross_entropy(b, labels) + T**2 * kl(log_a.detach(), log_b)
    return loss_b, loss_a


# %% role="alternative" of="mutual_losses" name="mutual_losses.by_library"
def mutual_losses(a, b, labels, T=1.0):
    return (
        F.cross_entropy(a.movedim(-1, 1), labels, reduction="none") + tinykd.forward_kl(a, b, T),
        F.cross_entropy(b.movedim(-1, 1), labels, reduction="none") + tinykd.forward_kl(b, a, T),
    )


# %% role="alternative" of="mutual_losses" name="mutual_losses.no_grad"
def mutual_losses(a, b, labels, T=1.0):
    def one(mine, other):
        with torch.no_grad():
            p = torch.softmax(other / T, -1)
        soft = (torch.xlogy(p, p) - p * torch.log_softmax(mine / T, -1)).sum(-1)
        return cross_entropy(mine, labels) + T * T * soft

    return [one(a, b), one(b, a)]


# %% [markdown]
# Two residual nets on the best school's 200 labels, alone or together, for two pairs of starts. The loop is a plain one: both take their step at the same time (the paper lets them take turns). In the engine a pair is a model, `peers = tinykd.Peers(a, b)`, and
# `tinykd.Mutual(peers)` a term like any other.
#
# **What do you expect?** Neither of the two knows more than the other. What could they have to teach?

# %% role="show" name="mutual"
losses_of = check.ready(
    mutual_losses,
    lambda a, b, labels, T=1.0: tuple(
        cross_entropy(x, labels) + tinykd.forward_kl(x, y, T) for x, y in ((a, b), (b, a))
    ),
)


def side_by_side(seed, together):
    """Two networks on the best school's labels: their mean accuracy, that of their mixture, agreement."""
    torch.manual_seed(seed)
    a, b = new_student(), new_student()
    adam = torch.optim.Adam([*a.parameters(), *b.parameters()], 2e-2)
    batches = Batches(labelled[0][own[best]], labelled[1][own[best]], size=100, seed=seed)
    steps = student_epochs * math.ceil(free_count / 100)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps // len(batches)):
        for batch in batches:
            za, zb, y = a(batch["inputs"]), b(batch["inputs"]), batch["labels"]
            pair = losses_of(za, zb, y) if together else [cross_entropy(z, y) for z in (za, zb)]
            loss = sum(one.mean() for one in pair)
            adam.zero_grad()
            loss.backward()
            adam.step()
            decay.step()
    logits = torch.stack([predict(net, test[0]) for net in (a, b)])
    mixture = right(average(logits, 1.0, "mixture"))
    return np.mean([right(z) for z in logits]), mixture, 100 * tinykd.agreement(*logits)


print("two pairs, in %: their mean accuracy, that of their mixture, how often they agree")
pairs = {}
for name, together in (("alone", False), ("together", True)):
    pairs[name] = [side_by_side(seed, together) for seed in range(min(seeds, 2))]
    print(f"{name:10s}" + "".join("   {:.1f}, {:.1f}, {:.1f}".format(*row) for row in pairs[name]))
print(f"\nour {len(runs('mutual', 'labels'))} seeds, mean of the two peers:")
table("mutual", ["labels", "soft targets", "mutual"], "labels")
if runs("mutual", "labels"):
    versus("mutual", "mutual", "soft targets")
    for name in ("labels", "soft targets", "mutual"):
        both = mean_of("mutual", name, "ensemble")
        print(f"mixture of the two, {name:12s}: {both:.1f}%")
    print("their mixtures:")
    versus("mutual", "mutual", "labels", "ensemble")

# %% [markdown]
# **What we saw.** The two know equally much, but not the same: from different starts they are wrong about different signals, and each KL pulls towards the mean of both, which is the better classifier (their mixture, second number). So "together" cannot add what neither knows; it moves a part of the ensemble's
# advantage into each of its members. The two become more alike while doing so: in our quick run the first pair agreed on 71.2% of the test signals alone and on 80.3% together, the second on 68.9 and 75.3%. Over five seeds a peer gains 1.8 ± 1.0 points over labels; against soft targets from a finished network of the same kind, at the same number of steps, nothing is decided. And the mixture of two peers is not shown to be better than that of two networks that never met (0.3 ± 1.8).
#
# ## A teacher that is the student's own past
#
# The last teacher of this lesson knows nothing but what the student has been. After every step,
#
# $$\bar\theta \leftarrow m\,\bar\theta + (1 - m)\,\theta,$$
#
# its weights are moved a little towards the student's: an **exponential moving average** (EMA) that remembers about $1/(1-m)$ steps. With labels beside it, this is the *mean teacher* (Tarvainen and Valpola, [arXiv 1703.01780](https://arxiv.org/abs/1703.01780)).
# It is also what DINO (Caron et al., [arXiv 2104.14294](https://arxiv.org/abs/2104.14294)) uses to learn from images *without any label*.
#
# ### Exercise 5: the moving average
# A network's state is more than its weights: batch norm keeps running means and variances, in `buffers()`, and a whole number that counts its batches. Average what are floating-point numbers, copy what is not.
# (`average.state_dict()` gives all of them by name, as tensors that share the network's memory and carry no gradient.)
#
# <details><summary>Hint: changing a tensor in place</summary>
#
# `x.mul_(m).add_((1 - m) * y)` changes x itself, `x.copy_(y)` overwrites it. A parameter refuses that, unless inside `with torch.no_grad():`. `x.is_floating_point()` tells whether it holds floating-point numbers.
# </details>


# %% role="answer" name="ema_update" library="tinykd.ema_update"
def ema_update(average, model, m):
    """average <- m average + (1 - m) model, in place and without gradients; returns nothing.

    average, model: two networks of the same make. Parameters and floating-point buffers are averaged, other buffers copied. `model` is not
    changed, and the parameters of `average` stay the same objects.
    """
    # YOUR CODE: a loop over both states
    # BEGIN SOLUTION
    theirs = model.state_dict()
    with torch.no_grad():
        for name, mine in average.state_dict().items():
            if mine.is_floating_point():
                mine.mul_(m).add_((1 - m) * theirs[name])
            else:
                mine.copy_(theirs[name])
    # END SOLUTION


# %% role="check" name="ema_update.weights" points=1 hint="All parameters: m times the average's plus (1 - m) times the model's, with m = 0.7 here."
rng = check.rng("ema_update.weights")
slow, fast = norm_net(rng, 3, 4, 2, seen=3), norm_net(rng, 3, 4, 2, seen=17)
check.call(ema_update, slow, fast, 0.7, may_change=[slow])
check("ema_update.weights", joined(slow.parameters()))

# %% role="check" name="ema_update.buffers" points=1 hint="Running mean and variance of the batch norm are averaged like weights, m = 0.6; the count of batches is copied."
rng = check.rng("ema_update.buffers")
slow, fast = norm_net(rng, 3, 4, 2, seen=3), norm_net(rng, 3, 4, 2, seen=17)
check.call(ema_update, slow, fast, 0.6, may_change=[slow])
check("ema_update.buffers", joined(slow.buffers()))

# %% role="check" name="ema_update.in_place" points=1 hint="The parameters must be the same objects as before, still trainable, with no history (no grad_fn)."
rng = check.rng("ema_update.in_place")
slow, fast = norm_net(rng, 3, 4, 2, seen=3), norm_net(rng, 3, 4, 2, seen=17)
before = dict(slow.named_parameters())
check.call(ema_update, slow, fast, 0.9, may_change=[slow])
now = dict(slow.named_parameters())
check(
    "ema_update.in_place",
    {
        "weight": now["0.weight"],
        "same objects": all(now[name] is parameter for name, parameter in before.items()),
        "trainable": all(parameter.requires_grad for parameter in now.values()),
        "no history": all(parameter.grad_fn is None for parameter in now.values()),
    },
)

# %% role="hidden" name="ema_update.secret" points=1 hint="Another net, another m, three updates one after the other."
rng = check.rng("ema_update.secret")
slow, m = norm_net(rng, 5, 3, 4, seen=2), float(rng.uniform(0.3, 0.9))
for n in range(3):
    check.call(ema_update, slow, norm_net(rng, 5, 3, 4, seen=10 + n), m, may_change=[slow])
check("ema_update.secret", joined(slow.state_dict().values()))


# %% role="mutant" of="ema_update" name="ema_update.swapped" loses="ema_update.weights, ema_update.buffers, ema_update.in_place, ema_update.secret" hint="m and 1 - m have changed places: the average keeps the share m of itself."
def ema_update(average, model, m):
    theirs = model.state_dict()
    for name, mine in average.state_dict().items():
        if mine.is_floating_point():
            mine.mul_(1 - m).add_(m * theirs[name])
        else:
            mine.copy_(theirs[name])


# %% role="mutant" of="ema_update" name="ema_update.no_buffers" loses="ema_update.buffers, ema_update.secret" hint="Only parameters were averaged. The running statistics of batch norm are buffers."
def ema_update(average, model, m):
    with torch.no_grad():
        for mine, theirs in zip(average.parameters(), model.parameters(), strict=True):
            mine.mul_(m).add_((1 - m) * theirs)


# %% role="mutant" of="ema_update" name="ema_update.copied_buffers" loses="ema_update.buffers, ema_update.secret" hint="You copied the running statistics. Floating-point buffers are averaged; only the count of batches is copied."
def ema_update(average, model, m):
    with torch.no_grad():
        for mine, theirs in zip(average.parameters(), model.parameters(), strict=True):
            mine.mul_(m).add_((1 - m) * theirs)
        for mine, theirs in zip(average.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)


# %% role="mutant" of="ema_update" name="ema_update.averaged_count" loses="ema_update.buffers, ema_update.secret" hint="The count of batches is a whole number: copy it, an average of it would be cut off."
def ema_update(average, model, m):
    theirs = model.state_dict()
    for name, mine in average.state_dict().items():
        mine.copy_(m * mine + (1 - m) * theirs[name])


# %% role="mutant" of="ema_update" name="ema_update.model_moved" loses="ema_update.weights, ema_update.buffers, ema_update.in_place, ema_update.secret" hint="The model itself was changed: the student must not feel its teacher's update."
def ema_update(average, model, m):
    mine = average.state_dict()
    for name, theirs in model.state_dict().items():
        if theirs.is_floating_point():
            theirs.mul_(1 - m).add_(m * mine[name])
        else:
            theirs.copy_(mine[name])


# %% role="mutant" of="ema_update" name="ema_update.copied" loses="ema_update.weights, ema_update.buffers, ema_update.in_place, ema_update.secret" hint="That copies the model: the average would have no memory at all."
def ema_update(average, model, m):
    average.load_state_dict(model.state_dict())


# %% role="mutant" of="ema_update" name="ema_update.not_in_place" loses="ema_update.weights, ema_update.buffers, ema_update.in_place, ema_update.secret" hint="`mine = ...` gives a name to a new tensor; the network keeps its own. Change it in place: mul_, add_, copy_."
def ema_update(average, model, m):
    theirs = model.state_dict()
    for name, mine in average.state_dict().items():
        if mine.is_floating_point():
            mine = m * mine + (1 - m) * theirs[name]
        else:
            mine = theirs[name]


# %% role="mutant" of="ema_update" name="ema_update.new_parameters" loses="ema_update.in_place" hint="You put new parameters into the network. An optimizer, or whoever else holds the old ones, would not notice: change them in place."
def ema_update(average, model, m):
    mixed, theirs = {}, model.state_dict()
    for name, mine in average.state_dict().items():
        mixed[name] = (
            m * mine + (1 - m) * theirs[name] if mine.is_floating_point() else theirs[name]
        )
    average.load_state_dict({k: v.clone() for k, v in mixed.items()}, assign=True)


# %% role="alternative" of="ema_update" name="ema_update.lerp"
@torch.no_grad()
def ema_update(average, model, m):
    for mine, theirs in zip(average.parameters(), model.parameters(), strict=True):
        mine.lerp_(theirs, 1 - m)
    for mine, theirs in zip(average.buffers(), model.buffers(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1 - m)
        else:
            mine.copy_(theirs)


# %% role="alternative" of="ema_update" name="ema_update.by_loading"
def ema_update(average, model, m):
    mine, theirs = average.state_dict(), model.state_dict()
    new = {}
    for name, value in theirs.items():
        new[name] = m * mine[name] + (1 - m) * value if value.is_floating_point() else value
    average.load_state_dict(new)


# %% [markdown]
# ## No labels, and two ways to cheat
#
# Take a signal and make two **views** of it, as if recorded twice: moved, stretched, tilted, with another hum. The teacher sees one, the student the other, and the student learns to say what the teacher says: 32 numbers that stand for no class in particular. Whatever survives in both views has to
# be in the answer; whatever differs must not be. So the network learns what a signal *is*, apart from how it was recorded. And nobody has told it about digits.
#
# Except that there are two easier ways to agree, whatever is shown: always give the same one answer (**collapse to a point**), or always say that all 32 are equally likely (**collapse to uniform**). DINO holds the teacher away from both with two operations on its logits $z$:
#
# $$p = \mathrm{softmax}\big((z - c)/T\big), \qquad c \leftarrow m\,c + (1 - m)\,\frac1B\sum_b z_b.$$
#
# **Centring** subtracts what the teacher says on average: an answer that is given to everything counts as nothing. That drives towards uniform. **Sharpening**, a low temperature $T = 0.04$ where the student has 0.1, drives towards one answer a signal. Each alone collapses; together they hold.
#
# ### Exercise 6: centre and sharpen
# The targets use the centre as it was *before* this batch. Nothing of this passes a gradient, and the caller's centre is not changed: a new one is returned.
#
# <details><summary>Hint: in which order</summary>
#
# `logits.detach()` first. Then the targets, from the centre that was given: subtract, divide by T, softmax over the last axis (`softmax(x, T)` divides for you). Then the new centre, from the logits as they came; `z.mean(0)` is their mean over the batch, (K,).
# </details>


# %% role="answer" name="dino_targets"
def dino_targets(logits, centre, T=0.04, m=0.9):
    """DINO's targets and the new centre, (B, K) and (K,): softmax((z - c) / T), and m c + (1 - m) mean of z over the batch.

    logits: (B, K) of the teacher. centre: (K,), as it was before this batch; it is not changed. Neither result carries a gradient.
    """
    # YOUR CODE: detach; targets; new centre
    # BEGIN SOLUTION
    z = logits.detach()
    targets = softmax(z - centre, T)
    return targets, m * centre + (1 - m) * z.mean(0)
    # END SOLUTION


# %% role="check" name="dino_targets.targets" points=1 hint="softmax((z - c) / T) over the last axis, with the centre as it came."
rng = check.rng("dino_targets.targets")
targets, _ = check.call(dino_targets, draw(rng, 5, 4, size=0.4), draw(rng, 4, size=0.3), 0.2)
check("dino_targets.targets", targets)

# %% role="check" name="dino_targets.centre" points=1 hint="m times the old centre plus (1 - m) times the mean of the logits over the batch; m = 0.8 here."
rng = check.rng("dino_targets.centre")
_, centre = check.call(dino_targets, draw(rng, 5, 4), draw(rng, 4), T=0.3, m=0.8)
check("dino_targets.centre", centre)

# %% role="check" name="dino_targets.constant" points=1 hint="The logits carry a gradient here: `gradient` must be False for both results. `targets` and `centre` are their values, compared as well, at T = 1."
rng = check.rng("dino_targets.constant")
found = check.call(dino_targets, draw(rng, 3, 4, gradient=True), draw(rng, 4), T=1.0)
check(
    "dino_targets.constant",
    {
        "gradient": [one.requires_grad for one in found],
        "targets": found[0],
        "centre": found[1],
    },
)

# %% role="hidden" name="dino_targets.secret" points=1 hint="Other sizes, T and m, two batches one after the other."
rng = check.rng("dino_targets.secret")
centre, T, m, found = draw(rng, 6), float(rng.uniform(0.3, 1)), float(rng.uniform(0.5, 0.95)), []
for _ in range(2):
    targets, centre = check.call(dino_targets, draw(rng, 8, 6, size=1.0), centre, T, m)
    found += [targets, centre]
check("dino_targets.secret", found)


# %% role="mutant" of="dino_targets" name="dino_targets.not_centred" loses="dino_targets.targets, dino_targets.constant, dino_targets.secret" hint="The centre is not subtracted: that is sharpening alone, which collapses to a point."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    return softmax(z, T), m * centre + (1 - m) * z.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.added" loses="dino_targets.targets, dino_targets.constant, dino_targets.secret" hint="The centre is added. What the teacher says to everything is to be taken away: z - c."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    return softmax(z + centre, T), m * centre + (1 - m) * z.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.new_centre" loses="dino_targets.targets, dino_targets.constant, dino_targets.secret" hint="You centred with the new centre. The targets use the one from before this batch."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    new = m * centre + (1 - m) * z.mean(0)
    return softmax(z - new, T), new


# %% role="mutant" of="dino_targets" name="dino_targets.swapped" loses="dino_targets.centre, dino_targets.constant, dino_targets.secret" hint="m and 1 - m have changed places: the centre keeps the share m of itself."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    return softmax(z - centre, T), (1 - m) * centre + m * z.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.centre_of_centred" loses="dino_targets.centre, dino_targets.constant, dino_targets.secret" hint="You averaged the centred logits. The centre follows the logits as the teacher gave them."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach() - centre
    return softmax(z, T), m * centre + (1 - m) * z.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.centre_of_targets" loses="dino_targets.centre, dino_targets.constant, dino_targets.secret" hint="You averaged the probabilities. The centre is a mean of logits."
def dino_targets(logits, centre, T=0.04, m=0.9):
    p = softmax(logits.detach() - centre, T)
    return p, m * centre + (1 - m) * p.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.attached" loses="dino_targets.constant" hint="A gradient flows from the targets into the teacher: logits.detach(), or torch.no_grad()."
def dino_targets(logits, centre, T=0.04, m=0.9):
    return softmax(logits - centre, T), m * centre + (1 - m) * logits.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.in_place" loses="dino_targets.targets, dino_targets.centre, dino_targets.constant, dino_targets.secret" hint="mul_ with an underscore changes the caller's centre. Return a new one."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    targets = softmax(z - centre, T)
    return targets, centre.mul_(m).add_((1 - m) * z.mean(0))


# %% role="mutant" of="dino_targets" name="dino_targets.other_axis" loses="dino_targets.targets, dino_targets.constant, dino_targets.secret" hint="Your softmax runs over the batch. Every signal has its own distribution over the 32 outputs: the last axis."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    return softmax(z - centre, T, dim=0), m * centre + (1 - m) * z.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.blunt" loses="dino_targets.targets, dino_targets.secret" hint="You divided the logits alone by T. Divide the difference: (z - c) / T."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    return softmax(z / T - centre), m * centre + (1 - m) * z.mean(0)


# %% role="mutant" of="dino_targets" name="dino_targets.logarithms" loses="dino_targets.targets, dino_targets.constant, dino_targets.secret" hint="You return log-probabilities. The targets are probabilities: softmax, not log_softmax."
def dino_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    return log_softmax(z - centre, T), m * centre + (1 - m) * z.mean(0)


# %% role="alternative" of="dino_targets" name="dino_targets.no_grad"
@torch.no_grad()
def dino_targets(logits, centre, T=0.04, m=0.9):
    new = torch.lerp(logits.mean(dim=0), centre, m)
    return torch.softmax((logits - centre[None]) / T, dim=-1), new


# %% role="alternative" of="dino_targets" name="dino_targets.detached_late"
def dino_targets(logits, centre, T=0.04, m=0.9):
    shifted = (logits - centre) / T
    p = (shifted - shifted.logsumexp(-1, keepdim=True)).exp()
    return p.detach(), (m * centre + (1 - m) * logits.sum(0) / len(logits)).detach()


# %% [markdown]
# Now the loop, with your two functions: two views, teacher on both, student on both, each student's view against the teacher's *other* view. `tinykd.disturb` makes a view. The views of a batch of 128 stand one below the other, 256 rows: rows $n$ and $n + 128$ are the same signal. So `p.roll(128, 0)`, which moves
# the targets on by 128 rows, puts beside each view what the teacher says of the other.
#
# It runs three times, equally long: as it should be, without the centre, and without the low temperature. What a network has learned is judged in two ways:
#
# - by the **entropy of the mean target**, over a batch: 0 if everything gets one answer, $\log 32 \approx 3.47$ if the 32 are used alike; beside it the **mean entropy** of a target: 0 if each is sharp, 3.47 if each is uniform;
# - by a **linear probe**: the network is frozen, and a linear layer on its 64 features (before the 32 outputs) learns the best school's 200 labels.
#
# **What do you expect?** Which curve goes where? Which of the three has the smallest loss at the end? And does a collapsed network know less than one that was never trained?


# %% role="show" name="dino-tools" folded=true
def library_targets(logits, centre, T=0.04, m=0.9):
    z = logits.detach()
    return tinykd.softmax(z - centre, T), m * centre + (1 - m) * z.mean(0)


def features(net, x):
    """What leaves the last block, averaged over places, (N, 64)."""
    net.eval()
    with torch.no_grad(), tinykd.Capture(net, ["0.blocks.2"]) as acts:
        net(x)
        found = acts["0.blocks.2"].mean(-1)
    net.train()
    return found


def probe(net):
    """Accuracy of a linear layer on the features, learned from 200 labels by ridge regression."""
    x, y = labelled[0][own[best]], labelled[1][own[best]]
    a, b = features(net, x), features(net, test[0])
    mean, spread = a.mean(0), a.std(0) + 1e-3
    a, b = (torch.cat([(f - mean) / spread, torch.ones(len(f), 1)], 1) for f in (a, b))
    ridge = a.T @ a + 10 * torch.eye(a.shape[1])
    return right(b @ torch.linalg.solve(ridge, a.T @ F.one_hot(y, 10).float()))


def entropies(p):
    """Of targets (B, K): the entropy of their mean, and the mean of their entropies."""
    return [
        float(entropy(p.mean(0).clamp_min(1e-30).log())),
        float(entropy(p.clamp_min(1e-30).log()).mean()),
    ]


# %% role="show" name="dino"
follow = check.ready(ema_update, tinykd.ema_update)
centred = check.ready(dino_targets, library_targets)


def without_labels(centring, T, steps, seed=0):
    """The teacher after `steps` steps; of each step its two entropies and the loss."""
    torch.manual_seed(seed)
    student = nn.Sequential(ConvNet(1, 16, 32, 64, 64, dims=1), nn.ReLU(), nn.Linear(64, 32))
    teacher = copy.deepcopy(student).requires_grad_(False)
    adam, centre, curve = torch.optim.Adam(student.parameters(), 5e-3), torch.zeros(32), []
    for _ in range(steps):
        batch = free[torch.randint(len(free), (128,))]
        both = torch.cat([tinykd.disturb(batch), tinykd.disturb(batch)])
        p, new = centred(teacher(both), centre, T)
        centre = new if centring else centre
        loss = -(p.roll(128, 0) * log_softmax(student(both), 0.1)).sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        follow(teacher, student, 0.99)
        curve.append([*entropies(p), loss.item()])
    return teacher, np.array(curve)


steps = {"smoke": 6, "default": 200, "full": 300}[scale]
kinds = {"DINO": (True, 0.04), "no centring": (False, 0.04), "no sharpening": (True, 1.0)}
print(f"as it starts   linear probe {probe(without_labels(True, 0.04, 0)[0]):.1f}%")
print(f"after {steps} steps:{'':25s}entropy of the mean   mean entropy   loss")
curves = {}
for name, (centring, T) in kinds.items():
    net, curves[name] = without_labels(centring, T, steps)
    last_ones = "{:19.2f}{:15.2f}{:7.2f}".format(*curves[name][-1])
    print(f"{name:14s} linear probe {probe(net):.1f}%    {last_ones}")

# %% role="show" name="fig-dino" folded=true
figure, grid = plt.subplots(1, 2, figsize=(9.5, 3.3), sharey=True, layout="constrained")
titles = ("entropy of the mean target", "mean entropy of a target")
for column, (axes, title) in enumerate(zip(grid, titles, strict=True)):
    for (name, curve), colour, style in zip(curves.items(), COLORS, ("-", "--", ":"), strict=False):
        axes.plot(curve[:, column], style, color=colour, label=name, linewidth=2.5)
    axes.axhline(math.log(32), color="lightgray", linewidth=1, zorder=0)
    axes.annotate("log 32", (0, math.log(32)), (2, 3), textcoords="offset points", fontsize=8)
    axes.set(title=title, xlabel="step", ylim=(-0.1, 3.9))
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("nats")
figure.legend(
    *grid[1].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside upper center"
)
plots.show(
    "Two panels of curves over training steps. Without centring both entropies fall to 0; without "
    "sharpening both stay at log 32; with both the mean target's entropy stays high while the "
    "entropy of each target falls well below it."
)
how_long = stored["settings"]
print("our seeds, linear probe on 200 labels:")
print(f"({how_long['views_steps']} steps of DINO, {how_long['collapse_steps']} of the other two)")
table("views", ["as it starts", "DINO", "no centring", "no sharpening"], "as it starts")
for name in ("DINO", "no centring", "no sharpening") if runs("views", "DINO") else ():
    means = [mean_of("views", name, key) / 100 for key in ("entropy_of_mean", "mean_entropy")]
    print(f"{name:14s} entropy of the mean {means[0]:.2f}, mean entropy {means[1]:.2f}")
versus("views", "DINO", "no centring")
supervised = mean_of("schools", "labels, one school")
print(f"for comparison, the residual student on the same 200 labels, no teacher: {supervised:.1f}%")

# %% [markdown]
# **What we saw.** Without centring both entropies fall: few of the 32 outputs are used, whatever is shown. Without sharpening both stay at $\log 32$ from the first step to the last: every target says "all alike", and there is nothing to learn from it. With both, the batch as a whole uses nearly all
# outputs, while each single target is clearly sharper than uniform: different signals get different answers, and that is the one state in which something is learned.
#
# The *loss* would have told you the opposite. In the quick run it ends at 0.00 where everything has collapsed to a point, two views agree perfectly on nothing, and at 2.88 for DINO. Judge such a training by entropies and a probe.
#
# **Does a collapsed network know less than an untrained one? No**: without centring its features are even better than at the start, by 4.7 ± 3.8 points over our seeds; without sharpening nothing is decided. What collapses is the 32 outputs. The probe reads the layers below, and those had time to learn something, or at least lost nothing.
# They are far behind DINO's, by 11.0 ± 4.2 points; but in our file DINO ran for 300 steps and the other two for 150, so a part of that may be the longer training. In the quick run all three have the same 200 steps, and the gap is as large: 52.8% against 38.6 and 40.2%.
#
# The probe also keeps us modest. Features learned without any label are far better than those of an untrained network (15.7 ± 4.6 points over five seeds), and not as good as what the residual student makes of the same 200 labels when it may change all of its weights. DINO's own results come from millions of images and much longer training.
#
# ## Your own experiments
#
# 1. **Change the schools.** Below, every school is the same kind of network. Does the average gain as much as with four kinds? Then give all of them the *same* 200 recordings (`shared = True`), and explain what an ensemble lives on.
# 2. **Change $T$** of the student's soft targets to 4, and then the mixture for the geometric mean. Which one depends on it, by the derivation? Which does the student depend on?

# %% role="show" name="experiment"
kind, shared, T = "residual", False, 1.0
count = 2 if scale == "smoke" else 3
own_logits = []
for n in range(count):
    part = slice(0, LABELLED) if shared else slice(n * LABELLED, (n + 1) * LABELLED)
    torch.manual_seed(50 + n)
    batches = Batches(labelled[0][part], labelled[1][part], size=50, seed=n)
    model = fit(SCHOOLS[kind](), HardLabels(), batches, school_steps // 4, rate=1e-2)
    own_logits.append([predict(model, free), predict(model, test[0])])
    print(f"school {n}: {right(own_logits[-1][1]):.1f}%")
on_free_now, on_test_now = (torch.stack(z) for z in zip(*own_logits, strict=True))
for way in ("probabilities", "logits"):
    print(f"average of {way}: {right(tinykd.ensemble_logits(on_test_now, T, way)):.1f}%")
torch.manual_seed(0)
told_now = KnownLogits(tinykd.ensemble_logits(on_free_now, T, "logits"))
student = fit(new_student(), SoftTargets(T=T), Batches(free, size=100), student_epochs, told_now)
print(f"student of the average of logits: {right(student):.1f}%")

# %% [markdown]
# <details><summary>What the first experiment showed us</summary>
#
# Three residual schools, each with 200 recordings of its own, are right in 80.6, 83.7 and 78.7% of the test signals; the averages in 90.6% (probabilities) and 92.0% (logits), and the student in 89.2%. That is more than four schools of four kinds gave above (85.9, 85.5). So different
# *recordings* are enough for an ensemble, and different kinds of networks are no gain if it means that weak ones vote. It is one run: other seeds may move each number by some points.
# </details>
#
# ## What we saw
# - There are two averages. The mixture of probabilities minimises the mean forward KL and keeps what one teacher believes; the geometric mean, which is the mean of logits, minimises the mean reverse KL and drops what one teacher rules out.
# - A student can pass its teacher where it sees signals that the teacher was not fitted to: it averages the teacher's accidents away. The ceiling is what the targets hold, and several teachers hold more than one.
# - Weights matter when a teacher is bad. Who is *sure* is not who is *right*: here weights by held-out accuracy helped, and weights by confidence are not shown to (1.9 ± 2.8 points for the student of the mixture).
# - Peers are each other's *constants*. A missing `detach` changes no value, only gradients.
# - A moving average averages buffers too, and changes in place.
# - A teacher without labels has to be kept from two collapses at once; the loss does not show which one you are in, two entropies do.
#
# In the engine: `tinykd.Ensemble` is several teachers as one module, `tinykd.ensemble_logits` and `tinykd.confidence` the formulas of exercises 1 and 2; `tinykd.Peers` and `tinykd.Mutual` train students side by side; `tinykd.MovingAverage(student, 0.99)`
# is a teacher and a callback: `Trainer(student, objective, teacher=average, callbacks=[average])`, and its state is in the checkpoint.
#
# ## Further reading
# - Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015 ([arXiv 1503.02531](https://arxiv.org/abs/1503.02531)): distilling an ensemble was the point from the start.
# - Furlanello et al., *Born-Again Neural Networks*, 2018 ([arXiv 1805.04770](https://arxiv.org/abs/1805.04770)); Mirzadeh et al., *Improved Knowledge Distillation via Teacher Assistant*, 2019 ([arXiv 1902.03393](https://arxiv.org/abs/1902.03393)).
# - Zhang et al., *Deep Mutual Learning*, 2017 ([arXiv 1706.00384](https://arxiv.org/abs/1706.00384)).
# - Tarvainen and Valpola, *Mean teachers are better role models*, 2017 ([arXiv 1703.01780](https://arxiv.org/abs/1703.01780)); Caron et al., *Emerging Properties in Self-Supervised Vision Transformers*, 2021 ([arXiv 2104.14294](https://arxiv.org/abs/2104.14294)): DINO.
# - Papernot et al., *Semi-supervised Knowledge Transfer for Deep Learning from Private Training Data*, 2016 ([arXiv 1610.05755](https://arxiv.org/abs/1610.05755)): the four schools in earnest. Teachers of separate private data vote on public data, with noise, and the privacy of the result is proved.
#
# Check your notebook with `.venv/bin/tinykd check lessons/07_many_teachers.ipynb`.

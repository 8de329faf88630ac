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
# # 10 · Other worlds
#
# **What you will be able to do**
# - let a network learn a second task with its own earlier self as teacher, and show forgetting and learning on two axes;
# - train two encoders, one of images and one of sentences, into one space, and hand that space to a small student that sees something else;
# - write the attack that robust networks are trained and measured with, and distil robustness;
# - recognise a defence that only hides its gradients;
# - ask what a student knows about a task that nobody taught it.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: five functions of three to ten lines, and a loop over tasks |
# | Importance | 3 of 5: four places outside of plain classification where soft targets do the work |
# | Time | two hours of yours; 2 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02; lesson 04 for the last part |

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
    ByDescription,
    accuracy,
    cross_entropy,
    forward_kl,
    frozen,
    linear_probe,
    load_mnist,
    log_softmax,
    mean_interval,
    plots,
    predict,
    softmax,
)
from tinykd.classroom import Checks, with_gradient
from tinykd.data import all_sentences, attributes, bag_of_words, data_file, shadows
from tinykd.plots import COLORS

check = Checks("10_other_worlds")


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def draw(rng, *shape, size=2.0):
    """Random numbers in float64, normal with standard deviation `size`, that have a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


def task_specimen(rng, shape, old, new, shared=0):
    """Logits of student and old self, labels of the new task, and which classes are old and new.

    `old` and `new` classes in a random order, `shared` more that are both, and one that is neither.
    """
    order = rng.permutation(old + new + shared + 1)
    is_old, is_new = (torch.zeros(len(order), dtype=torch.bool) for _ in range(2))
    is_old[order[: old + shared]] = True
    is_new[order[old : old + shared + new]] = True
    labels = torch.tensor(rng.choice(is_new.nonzero()[:, 0].numpy(), size=shape))
    logits = (draw(rng, *shape, len(order)) for _ in range(2))
    return *logits, labels, is_old, is_new


class FakeTasks:
    """A network of three numbers, and tasks that pull it about; writes down who was there."""

    def __init__(self, rng, count):
        self.model = nn.Linear(3, 1).double()
        self.model.weight.data = torch.tensor(rng.uniform(1, 2, size=(1, 3)))
        self.aims = torch.tensor(rng.uniform(-1, 1, size=(count, 1, 3)))
        self.rate, self.log = float(rng.uniform(0.3, 0.6)), []
        self.tasks = [f"task {number}" for number in rng.permutation(count)]

    def train(self, model, old_self, task):
        """Towards the task's aim; an old self holds back."""
        told = torch.zeros(1, 3).double() if old_self is None else old_self.weight.detach()
        self.log.append(
            [
                self.tasks.index(task),
                int(model is self.model),
                int(old_self is None),
                int(old_self is model),
                int(old_self is not None and old_self.training),
                told.clone(),
            ]
        )
        model.train()
        for _ in range(2):
            told = 0 if old_self is None else old_self.weight.detach()
            aim = self.aims[self.tasks.index(task)] + 0.3 * told
            model.weight.data.copy_(torch.lerp(model.weight.data, aim, self.rate))

    def score(self, model, task):
        """Nearer is better."""
        aim = self.aims[self.tasks.index(task)]
        return float(torch.exp(-(model.weight.data - aim).square().sum()))


def small_net(rng, inputs, classes, units=8):
    """A net in float64 with drawn weights, in eval mode."""
    net = nn.Sequential(nn.Linear(inputs, units), nn.Tanh(), nn.Linear(units, classes)).double()
    for tensor in net.parameters():
        tensor.data = torch.tensor(rng.normal(size=tuple(tensor.shape)))
    return net.eval()


def attack_specimen(rng, samples, inputs, classes, eps):
    """A net, inputs in [0, 1] of which many lie at the border, labels, a start within eps."""
    net = small_net(rng, inputs, classes)
    x = torch.tensor(rng.uniform(-0.3, 1.3, size=(samples, inputs))).clamp(0, 1)
    labels = torch.tensor(rng.integers(classes, size=samples))
    return net, x, labels, torch.tensor(rng.uniform(-eps, eps, size=(samples, inputs)))


def after_attack(net, moved):
    """What an attack leaves: the inputs, whether they still hang in a graph, gradients in the net."""
    left = [int(p.grad is not None) for p in net.parameters()]
    return {"moved": moved, "in a graph": int(moved.requires_grad), "gradients in the model": left}


def pair_of_nets(rng, classes=4):
    """A student in train mode and a teacher of one layer, their inputs (B, 3) and what an attack made of those."""
    nets = [nn.Linear(3, classes).double().eval() for _ in range(2)]
    for net in nets:
        for tensor in net.parameters():
            tensor.data = torch.tensor(rng.normal(scale=2, size=tuple(tensor.shape)))
    nets[0].train()
    x = torch.tensor(rng.uniform(0, 1, size=(5, 3)))
    return (
        *nets,
        x,
        x + torch.tensor(rng.uniform(0.3, 0.6, size=(5, 3)) * rng.choice([-1, 1], (5, 3))),
    )


def fakes(rng, count, samples=40, classes=3):
    """A linear net, samples it mostly gets right, and attacks that each turn some of those.

    No attack turns the others, and two in a row would; each puts right what was wrong before.
    """
    net = nn.Linear(classes, classes).double().eval()
    net.weight.data, net.bias.data = torch.eye(classes).double(), torch.zeros(classes).double()
    labels = torch.tensor(rng.integers(classes, size=samples))
    x = 0.5 * F.one_hot(labels, classes) + torch.tensor(rng.uniform(0, 0.2, (samples, classes)))
    wrong = torch.tensor(rng.permutation(samples)[: samples // 8])
    x[wrong] = x[wrong].roll(1, 1)

    def new_attack():
        push = torch.full((samples,), 0.25).double()
        push[torch.tensor(rng.permutation(samples)[: samples // 4])] = 0.9

        def move(model, moved, labels):
            if not torch.is_grad_enabled():
                raise RuntimeError("no attack under torch.no_grad(): it needs a gradient")
            same = (moved.detach().unsqueeze(1) == x).all(-1)  # which of the samples these are
            own = push[same.int().argmax(1)] if same.any(1).all() else push[: len(moved)]
            right = model(moved).argmax(-1) == labels
            return moved - torch.where(right, own, -1.0).unsqueeze(1) * F.one_hot(labels, classes)

        return move

    return net, [new_attack() for _ in range(count)], x, labels


# %% [markdown]
# ## The same loss, elsewhere
#
# Until now a teacher was a larger network, and a student a smaller one that saw the same pictures and was to name the same ten digits. None of that is needed. Soft targets only need *somebody who says something about an input*. In this lesson that is
#
# 1. the network itself, as it was **yesterday**, before it learned something new;
# 2. a network that sees **something else**: pictures and sentences, where the student sees shadows;
# 3. a network that stands firm **under attack**;
# 4. a network that was taught **another task** than the one that we then ask about.
#
# Everything is MNIST at 14 × 14 pixels, so that each training takes seconds. Our own runs over five seeds, by `benchmarks/other_worlds.py`, lie in `datasets/results/other_worlds.json`; the lesson reads them and shows them beside yours.

# %% role="show" name="digits"
scale = tinykd.scale()
seeds, steps, adversarial_steps = {
    "smoke": (2, 10, 6),
    "default": (3, 150, 800),
    "full": (5, 150, 800),
}[scale]
images, labels = load_mnist("train")
test_images, test_labels = load_mnist("test")
some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:9000]
big, y = images[some], labels[some]
test_big, test_y = test_images[:2000], test_labels[:2000]


def halved(images):
    """(N, 28, 28) to (N, 14, 14): the mean of each square of four pixels."""
    return F.avg_pool2d(images.unsqueeze(1), 2).squeeze(1)


x, test_x = halved(big), halved(test_big)


def new(*sizes, seed=0):
    """An MLP whose first weights depend on the seed alone."""
    torch.manual_seed(seed)
    return MLP(*sizes)


def fit(model, loss, count, steps, rate=5e-3, size=100, seed=0, more=()):
    """Adam, its rate falling along a cosine. loss(rows): one value for each of these samples."""
    adam = torch.optim.Adam([*model.parameters(), *more], rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(steps):
        adam.zero_grad()
        loss(torch.randint(count, (size,), generator=generator)).mean().backward()
        adam.step()
        falling.step()
    return model.eval()


stored = json.loads(data_file("results/other_worlds.json").read_text())


def runs(setting, method, key="accuracy"):
    """Of our runs, in percent, one a seed, in the order of the seeds."""
    rows = [r for r in stored["runs"] if (r["setting"], r["method"]) == (setting, method)]
    return [100 * r[key] for r in sorted(rows, key=lambda r: r["seed"])]


def said(values, sign=""):
    """Mean ± half of the 95% interval."""
    if not values:
        return "not run"
    mean, half = mean_interval(values)
    return f"{mean:{sign}.1f} ± {half:.1f}" if math.isfinite(half) else f"{mean:{sign}.1f}"


def gap(setting, method, rival, key="accuracy"):
    """By how much a method lies above a rival, paired by seed, and what that shows."""
    pairs = zip(runs(setting, method, key), runs(setting, rival, key), strict=True)
    differences = [a - b for a, b in pairs]
    if not differences:
        return "not run"
    mean, half = mean_interval(differences)
    verdict = "undecided" if abs(mean) <= half else "more" if mean > 0 else "less"
    return f"{said(differences, '+'):>13s}  {verdict}"


print(f"{len(x)} digits to learn from, {len(test_x)} to test on, each {tuple(x.shape[1:])}")
print(f"our runs: seeds {sorted({r['seed'] for r in stored['runs']})}")

# %% [markdown]
# ## 1 · Yesterday's self
#
# A network has learned the digits 0 to 4. Now it gets the digits 5 to 9, and the old ones are gone: deleted, or somebody else's. Train it on the new ones, and it forgets the old: every weight is free to move wherever the new digits want it. This is called *catastrophic forgetting*.
#
# **Learning without forgetting** (LwF, Li and Hoiem 2016, [arXiv 1606.09282](https://arxiv.org/abs/1606.09282)) keeps no old digit. It keeps a copy of the *network* from before. The copy is shown the **new** pictures, and says what it thinks of them in terms of the **old** classes: "this 7? A bit like a 1, hardly like a 0". That is not the truth, for a 7 is none of them. But it is
# what the network used to say, and as long as it still says so, the old knowledge is still in there. So, for a new picture with the label $y$:
#
# $$L = \underbrace{-\log q^{\text{new}}_y}_{\text{learn}} + \lambda\, T^2\, \mathrm{KL}\big(p^{\text{old}} \,\|\, q^{\text{old}}\big).$$
#
# Here $q^{\text{new}}$ is the softmax over the logits of the *new* classes alone, at $T = 1$; $p^{\text{old}}$ and $q^{\text{old}}$ are the softmaxes over the logits of the *old* classes alone, at $T$, of the old self and of the network that is learning. (The paper has $T = 2$, one output layer for each task,
# and no factor $T^2$; we have one output layer of ten, and pick logits out of it.)
#
# If each task has the same classes in another look (digits that are turned), then all of them are old *and* new. The formula stays as it is.
#
# ### Exercise 1: learning without forgetting
#
# <details><summary>Hint 1: some classes alone</summary>
#
# `student[..., old]` with a mask `old` of shape `(C,)` takes the columns where it is True, (..., number of old classes). `forward_kl(student, teacher, T)` of lesson 02 has its $T^2$ already, and lets no gradient into the teacher.
# </details>
# <details><summary>Hint 2: the cross-entropy among the new classes</summary>
#
# The labels are numbers among *all* classes, so cutting columns out would shift them. Put a logit to minus infinity, and its class has probability 0, as if it were not there: `student.masked_fill(~new, -torch.inf)`. Then `cross_entropy(logits, labels)`.
# </details>


# %% role="answer" name="without_forgetting" library="tinykd.without_forgetting, tinykd.WithoutForgetting"
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    """Cross-entropy among the new classes + weight * T**2 KL(old self || student) among the old classes.

    student, old_self: logits (..., C) for pictures of the new task; the old self is a constant. labels: (...), numbers in [0, C), all of
    new classes. old, new: bool (C,), which classes are old and which are new; a class may be both, or neither. The cross-entropy is
    at temperature 1. Returns (...), one value for each picture.
    """
    # YOUR CODE: two losses, each on its own classes
    # BEGIN SOLUTION
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    keep = forward_kl(student[..., old], old_self[..., old], T)
    return learn + weight * keep
    # END SOLUTION


# %% role="check" name="without_forgetting.values" points=1 hint="Five pictures, T = 2, weight 1; the first gradient is in the student's logits, the second in the old self's: it is a constant, so 0."
rng = check.rng("without_forgetting.values")
z, v, labels_, old, new_ = task_specimen(rng, (5,), 3, 3)
loss = check.call(without_forgetting, z, v, labels_, old, new_)
check("without_forgetting.values", with_gradient(loss, z, v))

# %% role="check" name="without_forgetting.temperature" points=1 hint="Two times three pictures, T = 3 and a weight of 0.4: T is for the old classes alone, on both sides, with its T**2; the weight is theirs too."
rng = check.rng("without_forgetting.temperature")
z, v, labels_, old, new_ = task_specimen(rng, (2, 3), 4, 2)
loss = check.call(without_forgetting, z, v, labels_, old, new_, T=3.0, weight=0.4)
check("without_forgetting.temperature", with_gradient(loss, z))

# %% role="check" name="without_forgetting.shared" points=1 hint="Here some classes are both old and new: each of the two losses has its own softmax over its own classes."
rng = check.rng("without_forgetting.shared")
z, v, labels_, old, new_ = task_specimen(rng, (5,), 2, 2, shared=3)
loss = check.call(without_forgetting, z, v, labels_, old, new_, T=2.0, weight=0.7)
check("without_forgetting.shared", with_gradient(loss, z))

# %% role="hidden" name="without_forgetting.secret" points=2 hint="Other shapes, other numbers of classes, all of them both old and new, other temperatures."
rng = check.rng("without_forgetting.secret")
found = []
for shape, sizes, T, weight in (((2, 3), (3, 2, 1), 1.5, 2.0), ((4,), (0, 0, 5), 4.0, 0.5)):
    z, v, labels_, old, new_ = task_specimen(rng, shape, *sizes)
    loss = check.call(without_forgetting, z, v, labels_, old, new_, T=T, weight=weight)
    found.append(with_gradient(loss, z, v))
check("without_forgetting.secret", found)


# %% role="mutant" of="without_forgetting" name="without_forgetting.no_T2" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="T squared is missing: the pull of the old self fades as T grows."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    return learn + weight * forward_kl(student[..., old], old_self[..., old], T) / T**2


# %% role="mutant" of="without_forgetting" name="without_forgetting.T2_twice" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="T squared is in there twice: forward_kl has multiplied by it already."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    hard = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    return hard + weight * T**2 * forward_kl(student[..., old], old_self[..., old], T)


# %% role="mutant" of="without_forgetting" name="without_forgetting.old_is_not_new" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="You take the classes that are not new for the old ones. Some may be both, and some neither: `old` says which."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    hard = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    return hard + weight * forward_kl(student[..., ~new], old_self[..., ~new], T)


# %% role="mutant" of="without_forgetting" name="without_forgetting.all_new" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="Your cross-entropy runs over all classes, so the labels push the old logits down: the very forgetting that this loss is to prevent. Leave the other classes out."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student, labels)
    return learn + weight * forward_kl(student[..., old], old_self[..., old], T)


# %% role="mutant" of="without_forgetting" name="without_forgetting.all_old" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="Your soft targets run over all classes. Of the new ones the old self has nothing to say: its logits there are those of untrained weights."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    return learn + weight * forward_kl(student, old_self, T)


# %% role="mutant" of="without_forgetting" name="without_forgetting.swapped" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="The KL is the wrong way round: the old self is the teacher, forward_kl(student, teacher, T)."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    return learn + weight * tinykd.reverse_kl(student[..., old], old_self[..., old].detach(), T)


# %% role="mutant" of="without_forgetting" name="without_forgetting.not_detached" loses="without_forgetting.values, without_forgetting.secret" hint="A gradient flows into the old self: it would be taught to agree with what is being learned. It is a constant: .detach()."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    log_p, log_q = log_softmax(old_self[..., old], T), log_softmax(student[..., old], T)
    return learn + weight * T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="without_forgetting" name="without_forgetting.warm_labels" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="You heat the cross-entropy too: labels are read at T = 1."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf) / T, labels)
    return learn + weight * forward_kl(student[..., old], old_self[..., old], T)


# %% role="mutant" of="without_forgetting" name="without_forgetting.weight_on_labels" loses="without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="The weight belongs to the old self's part, not to the labels."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    return weight * learn + forward_kl(student[..., old], old_self[..., old], T)


# %% role="mutant" of="without_forgetting" name="without_forgetting.softmax_first" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="You took the softmax over all classes and picked the old ones afterwards: those probabilities do not sum to 1. Pick the logits first."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    log_p, log_q = log_softmax(old_self.detach(), T)[..., old], log_softmax(student, T)[..., old]
    return learn + weight * T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="without_forgetting" name="without_forgetting.mean" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="You averaged over the pictures. Return one value for each."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    return (learn + weight * forward_kl(student[..., old], old_self[..., old], T)).mean()


# %% role="mutant" of="without_forgetting" name="without_forgetting.only_keep" loses="without_forgetting.values, without_forgetting.temperature, without_forgetting.shared, without_forgetting.secret" hint="The labels are missing: this network would remember, and learn nothing new."
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    return weight * forward_kl(student[..., old], old_self[..., old], T)


# %% role="alternative" of="without_forgetting" name="without_forgetting.by_torch"
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    place = new.long().cumsum(0) - 1  # of each class among the new ones
    log_q = torch.log_softmax(student[..., new], -1)
    learn = -log_q.gather(-1, place[labels].unsqueeze(-1)).squeeze(-1)
    log_p = torch.log_softmax(old_self[..., old].detach() / T, -1)
    log_s = torch.log_softmax(student[..., old] / T, -1)
    keep = F.kl_div(log_s, log_p, log_target=True, reduction="none").sum(-1)
    return learn + weight * T * T * keep


# %% role="alternative" of="without_forgetting" name="without_forgetting.all_masked"
def without_forgetting(student, old_self, labels, old, new, T=2.0, weight=1.0):
    def only(z, classes):
        return z.masked_fill(~classes, -torch.inf)

    keep = forward_kl(only(student, old), only(old_self, old), T)
    return cross_entropy(only(student, new), labels) + weight * keep


# %% [markdown]
# ### How much was forgotten, and how much learned?
#
# One number cannot say it: a network that refuses to learn forgets nothing. So note after each task the accuracy on *every* task. The entry $R_{tj}$ is the accuracy on task $j$ after learning task $t$. Of $N$ tasks (counted from 1),
#
# $$\text{forgetting} = \frac{1}{N-1}\sum_{j<N} \Big(\max_{t<N} R_{tj} - R_{Nj}\Big), \qquad \text{learning} = \frac{1}{N-1}\sum_{j>1} R_{jj}.$$
#
# How much was lost of the best that there was (Chaudhry et al. 2018, [arXiv 1801.10112](https://arxiv.org/abs/1801.10112)), and how good each new task was when it had just been learned. `tinykd.forgetting(matrix)` and `tinykd.learning(matrix)` compute them.
#
# ### Exercise 2: one task after the other
# The loop that makes the matrix. What goes wrong in it: the old self is not a copy, so that it learns along; the copy is taken once, and yesterday stays the day before the first task; it is taken after the training of the task itself, and not before.


# %% role="answer" name="in_turn"
def in_turn(model, tasks, train, score):
    """Accuracies (N, N), a float64 tensor: row t, column j is score(model, tasks[j]) after learning tasks[t].

    model: trained in place, task after task. train(model, old_self, task) learns one task; old_self is a copy of the model from right before
    this task, in eval mode (it must not change while the model learns); for the first task it is None. score(model, task) gives a
    number. All tasks are scored after each one, also those that come later.
    """
    # YOUR CODE: a loop over the tasks; copy.deepcopy(model) copies a network
    # BEGIN SOLUTION
    rows = []
    for t, task in enumerate(tasks):
        old_self = copy.deepcopy(model).eval() if t > 0 else None
        train(model, old_self, task)
        rows.append([score(model, other) for other in tasks])
    return torch.tensor(rows, dtype=torch.float64)
    # END SOLUTION


# %% role="check" name="in_turn.who" points=1 hint="Each row: the task; is the model the one that was given; is the old self None, the model itself, in train mode; and the weights of the old self. The old self is the model from right before this task."
world = FakeTasks(check.rng("in_turn.who"), 4)
check.call(in_turn, world.model, world.tasks, world.train, world.score, may_change=[world.model])
check("in_turn.who", world.log)

# %% role="check" name="in_turn.matrix" points=2 hint="Row t holds the scores of all tasks after task t, column j those of task j; all in a tensor of float64."
world = FakeTasks(check.rng("in_turn.matrix"), 3)
matrix = check.call(
    in_turn, world.model, world.tasks, world.train, world.score, may_change=[world.model]
)
check("in_turn.matrix", [str(getattr(matrix, "dtype", type(matrix).__name__)), matrix])

# %% role="hidden" name="in_turn.secret" points=1 hint="Other numbers of tasks, a single one among them."
rng = check.rng("in_turn.secret")
found = []
for many in (5, 1, 2):
    world = FakeTasks(rng, many)
    given = world.model, world.tasks, world.train, world.score
    found.append([check.call(in_turn, *given, may_change=[world.model]), world.log])
check("in_turn.secret", found)


# %% role="mutant" of="in_turn" name="in_turn.numbers" loses="in_turn.who, in_turn.matrix, in_turn.secret" hint="train and score were handed the number of a task. They take the task itself, tasks[t]."
def in_turn(model, tasks, train, score):
    rows = []
    for t in range(len(tasks)):
        train(model, copy.deepcopy(model).eval() if t else None, t)
        rows.append([score(model, other) for other in range(len(tasks))])
    return torch.tensor(rows, dtype=torch.float64)


# %% role="mutant" of="in_turn" name="in_turn.as_list" loses="in_turn.matrix" hint="The numbers are right, and they stand in a list. A tensor of float64 is asked for."
def in_turn(model, tasks, train, score):
    rows = []
    for t, task in enumerate(tasks):
        train(model, copy.deepcopy(model).eval() if t else None, task)
        rows.append([score(model, other) for other in tasks])
    return rows


# %% role="mutant" of="in_turn" name="in_turn.no_copy" loses="in_turn.who, in_turn.matrix, in_turn.secret" hint="Your old self is the model itself: it learns along and holds nothing back. copy.deepcopy(model)."
def in_turn(model, tasks, train, score):
    rows = []
    for t, task in enumerate(tasks):
        train(model, model.eval() if t else None, task)
        rows.append([score(model, other) for other in tasks])
    return torch.tensor(rows, dtype=torch.float64)


# %% role="mutant" of="in_turn" name="in_turn.first_self" loses="in_turn.who, in_turn.matrix, in_turn.secret" hint="Your copy is from before the first task, for all tasks. Yesterday is each time another day: copy inside the loop."
def in_turn(model, tasks, train, score):
    rows, first = [], copy.deepcopy(model).eval()
    for t, task in enumerate(tasks):
        train(model, first if t else None, task)
        rows.append([score(model, other) for other in tasks])
    return torch.tensor(rows, dtype=torch.float64)


# %% role="mutant" of="in_turn" name="in_turn.untrained_self" loses="in_turn.who, in_turn.matrix, in_turn.secret" hint="The first task has an old self too: an untrained network, which would only hold it back. It is None there."
def in_turn(model, tasks, train, score):
    rows = []
    for task in tasks:
        train(model, copy.deepcopy(model).eval(), task)
        rows.append([score(model, other) for other in tasks])
    return torch.tensor(rows, dtype=torch.float64)


# %% role="mutant" of="in_turn" name="in_turn.train_mode" loses="in_turn.who, in_turn.secret" hint="The old self is in train mode: its dropout would go on. copy.deepcopy(model).eval()."
def in_turn(model, tasks, train, score):
    rows = []
    for t, task in enumerate(tasks):
        train(model, copy.deepcopy(model).train() if t else None, task)
        rows.append([score(model, other) for other in tasks])
    return torch.tensor(rows, dtype=torch.float64)


# %% role="mutant" of="in_turn" name="in_turn.so_far" loses="in_turn.matrix, in_turn.secret" hint="You scored the tasks so far alone. Later tasks are scored too: what a network knows of them before it is taught is worth a look."
def in_turn(model, tasks, train, score):
    matrix = torch.zeros(len(tasks), len(tasks), dtype=torch.float64)
    for t, task in enumerate(tasks):
        train(model, copy.deepcopy(model).eval() if t else None, task)
        for j in range(t + 1):
            matrix[t, j] = score(model, tasks[j])
    return matrix


# %% role="mutant" of="in_turn" name="in_turn.transposed" loses="in_turn.matrix, in_turn.secret" hint="Rows and columns have changed places: row t is the time, column j the task that is scored."
def in_turn(model, tasks, train, score):
    matrix = torch.zeros(len(tasks), len(tasks), dtype=torch.float64)
    for t, task in enumerate(tasks):
        train(model, copy.deepcopy(model).eval() if t else None, task)
        for j, other in enumerate(tasks):
            matrix[j, t] = score(model, other)
    return matrix


# %% role="mutant" of="in_turn" name="in_turn.before" loses="in_turn.matrix, in_turn.secret" hint="You scored before the training: row t is what the model knows after task t."
def in_turn(model, tasks, train, score):
    rows = []
    for t, task in enumerate(tasks):
        rows.append([score(model, other) for other in tasks])
        train(model, copy.deepcopy(model).eval() if t else None, task)
    return torch.tensor(rows, dtype=torch.float64)


# %% role="mutant" of="in_turn" name="in_turn.anew" loses="in_turn.who, in_turn.matrix, in_turn.secret" hint="Each task begins with a fresh copy of the untrained model. One model goes through all tasks."
def in_turn(model, tasks, train, score):
    rows, start, last = [], copy.deepcopy(model), None
    for task in tasks:
        fresh = copy.deepcopy(start)
        train(fresh, last, task)
        last = copy.deepcopy(fresh).eval()
        rows.append([score(fresh, other) for other in tasks])
    return torch.tensor(rows, dtype=torch.float64)


# %% role="alternative" of="in_turn" name="in_turn.by_index"
def in_turn(model, tasks, train, score):
    matrix = torch.empty(len(tasks), len(tasks), dtype=torch.float64)
    old_self = None
    for t in range(len(tasks)):
        train(model, old_self, tasks[t])
        for j in range(len(tasks)):
            matrix[t, j] = score(model, tasks[j])
        old_self = copy.deepcopy(model)
        old_self.eval()
    return matrix


# %% role="alternative" of="in_turn" name="in_turn.frozen_copies"
def in_turn(model, tasks, train, score):
    found, before = [], []
    for task in tasks:
        before.append(copy.deepcopy(model).requires_grad_(False).eval())
        train(model, before[-1] if len(before) > 1 else None, task)
        found.append(torch.tensor([float(score(model, other)) for other in tasks]).double())
    return torch.stack(found)


# %% [markdown]
# ### Two worlds that change
#
# **New digits**: 0 to 4, then 5 to 9. **Rotation**: upright digits, then digits turned by 45 degrees, then by 90; the same ten classes each time. Each task has 3,000 digits and 150 steps, and there are four ways to go on:
#
# - *fine-tuning*: labels of the new task, nothing else;
# - *old self*: your loss, with a weight of 1;
# - *replay*: 100 digits of each earlier task were kept, and are mixed in, with their labels;
# - *all digits*: nothing was deleted. This is what the others are measured by.
#
# The accuracy on a task is read among the classes of that task: the network is told which half the digit is from. (Called *task-incremental*; the other way, all ten compete, is in the table below.)
#
# **What do you expect?** The old self knows 0 to 4 and is asked about 5 to 9; or it knows upright digits and is asked about turned ones. In which of the two worlds is what it says worth more?

# %% role="show" name="two-worlds"
TASK = 3000
every = torch.ones(10, dtype=torch.bool)
number = torch.arange(10)


def turned(images, degrees):
    """Images (N, 28, 28) turned to the left."""
    angle = torch.tensor(float(degrees)).deg2rad()
    c, s = angle.cos(), angle.sin()
    turn = torch.tensor([[c, -s, 0], [s, c, 0]]).expand(len(images), 2, 3)
    grid = F.affine_grid(turn, [len(images), 1, 28, 28], align_corners=False)
    return F.grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1).clamp(0, 1)


def halves():
    """0 to 4, then 5 to 9."""
    for n in (0, 1):
        train, test = ((part // 5 == n).nonzero()[:, 0] for part in (y, test_y))
        new = number // 5 == n
        yield {
            "x": x[train[:TASK]], "y": y[train[:TASK]], "test": (test_x[test], test_y[test]),
            "new": new, "old": ~new,
        }  # fmt: skip


def angles():
    """Upright, then turned by 45 and by 90 degrees."""
    for n, degrees in enumerate((0, 45, 90)):
        part = slice(n * TASK, (n + 1) * TASK)
        yield {
            "x": halved(turned(big[part], degrees)), "y": y[part],
            "test": (halved(turned(test_big, degrees)), test_y), "new": every, "old": every,
        }  # fmt: skip


def library_in_turn(model, tasks, train, score):
    rows, old_self = [], None
    for task in tasks:
        train(model, old_self, task)
        old_self = copy.deepcopy(model).eval()
        rows.append([score(model, other) for other in tasks])
    return torch.tensor(rows, dtype=torch.float64)


def score(model, task):
    """Accuracy in percent among the task's own classes."""
    own, truth = task["test"]
    return 100 * accuracy(predict(model, own).masked_fill(~task["new"], -torch.inf), truth)


class Learner:
    """One way of learning a task after others. Remembers what it has kept of those."""

    def __init__(self, way, seed):
        self.way, self.seed, self.kept = way, seed, []

    def __call__(self, model, old_self, task):
        own, truth, new_, old = task["x"], task["y"], task["new"], task["old"]
        if self.way in ("replay", "all digits"):
            for old_x, old_y in self.kept:
                times = len(task["x"]) // len(old_x)
                own = torch.cat([own, old_x.repeat(times, 1, 1)])
                truth = torch.cat([truth, old_y.repeat(times)])
            count = 100 if self.way == "replay" else len(task["x"])
            self.kept.append((task["x"][:count], task["y"][:count]))
            new_ = every  # the labels of both are there, so all classes compete

        def loss(rows):
            z = model(own[rows])
            if self.way != "old self" or old_self is None:
                return cross_entropy(z.masked_fill(~new_, -torch.inf), truth[rows])
            with torch.no_grad():
                before = old_self(own[rows])
            return own_loss(z, before, truth[rows], old, new_, T=2.0, weight=1.0)

        fit(model, loss, len(own), steps, seed=self.seed)


own_loss = check.ready(without_forgetting, tinykd.without_forgetting)
go_through = check.ready(in_turn, library_in_turn)
WAYS = ("fine-tuning", "old self", "replay", "all digits")
matrices, ten_classes = {}, {}
for world_name, tasks in (("new digits", list(halves())), ("rotation", list(angles()))):
    for way in WAYS:
        for seed in range(seeds):
            model = new(196, 100, 10, seed=seed)
            matrix = go_through(model, tasks, Learner(way, seed), score)
            matrices.setdefault((world_name, way), []).append(matrix)
            ten = 100 * accuracy(predict(model, test_x), test_y)
            ten_classes.setdefault((world_name, way), []).append(ten)
        last = [f"{share:.0f}" for share in torch.stack(matrices[world_name, way]).mean(0)[-1]]
        print(f"{world_name}, {way}: at the end {', '.join(last)}% right on the tasks in turn")

# %% role="show" name="fig-two-axes" folded=true
STORED = {"fine-tuning": "labels", "old self": "soft targets"}  # as our runs call them
MARKS = dict(zip(WAYS, "osD^", strict=True))
figure, grid = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for axes, world_name in zip(grid, ("new digits", "rotation"), strict=True):
    for way, colour in zip(WAYS, COLORS, strict=False):
        mine = matrices[world_name, way]
        lost = [tinykd.forgetting(matrix) for matrix in mine]
        gained = [tinykd.learning(matrix) for matrix in mine]
        axes.plot(lost, gained, MARKS[way], color=colour, markersize=7, label=way)
        method = STORED.get(way, way)
        axes.plot(
            runs(world_name, method, "forgetting"), runs(world_name, method, "learning"),
            MARKS[way], color=colour, fillstyle="none", alpha=0.6,
        )  # fmt: skip
    axes.set(title=world_name, xlabel="forgetting, points (left is better)")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("learning, % (up is better)")
grid[0].legend(frameon=False, loc="lower right")
plots.show(
    "Forgetting against learning for four ways to go on, in two worlds. With new digits all lie "
    "within a few points: the old self forgets next to nothing and learns as much as fine-tuning. "
    "With rotation it forgets little and learns clearly less than the others."
)
print("filled: yours; hollow: our five seeds\n")
print("Our runs, mean and 95% interval, in percent or points:\n")
print(
    f"{'':12s}{'':14s}{'at the end':>13s}{'forgetting':>13s}{'learning':>13s}{'ten classes':>13s}"
)
for world_name in ("new digits", "rotation"):
    for way in WAYS:
        method = STORED.get(way, way)
        keys = ["accuracy", "forgetting", "learning"]
        keys += ["ten_classes"] if world_name == "new digits" else []
        cells = [f"{said(runs(world_name, method, key)):>13s}" for key in keys]
        print(f"{world_name:12s}{way:14s}" + "".join(cells))
print("\nOld self against a rival, paired by seed:")
for world_name in ("new digits", "rotation"):
    for rival, called in (("labels", "fine-tuning"), ("replay", "replay")):
        for key in ("accuracy", "forgetting", "learning"):
            line = gap(world_name, "soft targets", rival, key)
            print(f"  {world_name:12s}{key:12s}against {called:12s}{line}")

# %% [markdown]
# **New digits** (mind the axes: all of this picture lies within a few points). Plain fine-tuning loses a little of the old digits, the old self next to nothing, and what it learns of the new ones is the same: over our five seeds it is ahead by 1.0 ± 0.8 points at the end, and it has kept not a single old digit. A picture of a 7 is no 0 to 4, and yet the answer of the old self to it holds enough of what the network was. One warning: this is said of a network that is *told* which half a digit is from. If all ten
# classes compete (the last column), the old self has about three quarters right, as fine-tuning has, while the hundred kept digits are at 85 and all digits at 88. Nothing in our loss ever compares a 3 with a 7. That finding is well known (three kinds of continual learning: van de Ven and Tolias 2019, [arXiv 1904.07734](https://arxiv.org/abs/1904.07734)).
#
# **Rotation.** Here the two axes earn their place. Fine-tuning learns each angle well and forgets 45 points; the old self forgets 6, and learns 20 points less. It holds on to its opinion of pictures such as it has never seen. Nobody says that this opinion is right, and where it is not, the label has to work against it at each step. At the end it is 12.7 points above fine-tuning and 5.2 below a hundred kept digits for each angle. So: soft targets of one's own past
# are worth what that past has to say about the new inputs. Where you may keep a few old examples, keep them.
#
# ## 2 · Another view
#
# A camera sees a digit. Next to it stands a cheaper sensor: two rows of photocells that only measure how much ink there is in each row and in each column, the **shadows** of the digit from the left and from above, 28 numbers. And there are **sentences** about some of the pictures: "a small bold 7, leaning left".
#
# Nobody wrote these sentences. Stroke, slant and size were measured, by a few sums over pixels (`tinykd/data/described.py`, a page): the slant from the covariance of where the ink lies, the size from its variance, the stroke from the ink over the length of its edge. Half of the digits are "large", a third of them "bold", and so on; the words are thus meant among digits: "leaning left" is the third that leans least to the right. With ten digits that makes $10 \times 2 \times 3 \times 3 = 180$ sentences.
# A quarter of the combinations we **withhold**: no picture of them is ever described. They are for the test.
#
# ### One space for pictures and sentences
#
# CLIP (Radford et al. 2021, [arXiv 2103.00020](https://arxiv.org/abs/2103.00020)) has two encoders. One turns a picture into a vector, the other a sentence; both vectors have the same length $D$, and *what belongs together is to point in one direction*. In a batch of $B$ pairs, picture $i$ belongs to sentence $i$ and to none of the others. With the similarities
#
# $$s_{ij} = \frac{\cos(a_i, b_j)}{\tau}$$
#
# that is two classifications in $B$ classes each. Row $i$: which sentence belongs to picture $i$? Column $j$: which picture belongs to sentence $j$?
#
# $$L_i = -\frac12 \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}} - \frac12 \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}}.$$
#
# $\tau$ is a temperature, with the usual effect: cosines lie between −1 and 1, and logits so close together could not say anything with certainty. (CLIP learns it; ours stays at 0.1.)
#
# ### Exercise 3: the loss of pairs
#
# <details><summary>Hint 1: cosines of everything with everything</summary>
#
# Vectors of length 1 have their cosine as dot product: `F.normalize(a, dim=1)` makes each row so, and `a @ b.T` takes all the dot products, (B, B).
# </details>
# <details><summary>Hint 2: the right answer</summary>
#
# In row `i` it is column `i`: the labels are `torch.arange(len(a))`. For the columns, transpose the table.
# </details>


# %% role="answer" name="pair_loss" library="tinykd.clip_loss, tinykd.similarities, tinykd.features.contrastive"
def pair_loss(a, b, tau=0.1):
    """The mean of two cross-entropies: a_i looks for its partner among the b of the batch, and b_i among the a.

    a, b: (B, D), row i of a belongs to row i of b; of any length, scaled to 1 here. Logits are cosines / tau.
    Returns (B,), one value for each pair, in nats. Gradients flow into both sides.
    """
    # YOUR CODE: the table of similarities, then cross_entropy(logits, labels) along its rows and along its columns
    # BEGIN SOLUTION
    s = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau  # (B, B)
    own = torch.arange(len(a))
    return (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2
    # END SOLUTION


# %% role="check" name="pair_loss.values" points=2 hint="Six pairs, tau = 0.1, and the gradients in both sides: cosines over tau, then half of the rows' and half of the columns' cross-entropy."
rng = check.rng("pair_loss.values")
a, b = draw(rng, 6, 4), draw(rng, 6, 4)
check("pair_loss.values", with_gradient(check.call(pair_loss, a, b), a, b))

# %% role="check" name="pair_loss.tau" points=1 hint="tau = 0.5. Lengths of vectors must not matter: every row is scaled to 1, by itself."
rng = check.rng("pair_loss.tau")
a, b = draw(rng, 5, 7, size=0.2), draw(rng, 5, 7, size=30)
check("pair_loss.tau", with_gradient(check.call(pair_loss, a, b, tau=0.5), a, b))

# %% role="hidden" name="pair_loss.secret" points=1 hint="Other sizes and another tau; a batch of one pair, too."
rng = check.rng("pair_loss.secret")
found = []
for count, width, tau in ((9, 3, 0.2), (1, 5, 0.1), (4, 12, 1.0)):
    a, b = draw(rng, count, width), draw(rng, count, width)
    found.append(with_gradient(check.call(pair_loss, a, b, tau), a, b))
check("pair_loss.secret", found)


# %% role="mutant" of="pair_loss" name="pair_loss.one_way" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="You take the rows alone: a looks for its partner among the b. The columns are the other half."
def pair_loss(a, b, tau=0.1):
    s = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau
    return cross_entropy(s, torch.arange(len(a)))


# %% role="mutant" of="pair_loss" name="pair_loss.rows_twice" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="Both of your halves run along the rows: for the columns, transpose the table."
def pair_loss(a, b, tau=0.1):
    s = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau
    own = torch.arange(len(a))
    return (cross_entropy(s, own) + cross_entropy(s, own)) / 2


# %% role="mutant" of="pair_loss" name="pair_loss.sum" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="You add the two halves without halving."
def pair_loss(a, b, tau=0.1):
    s = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau
    own = torch.arange(len(a))
    return cross_entropy(s, own) + cross_entropy(s.T, own)


# %% role="mutant" of="pair_loss" name="pair_loss.lengths" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="Dot products of vectors of any length are no cosines: normalise each row, or the loss is made small by long vectors."
def pair_loss(a, b, tau=0.1):
    s = a @ b.T / tau
    own = torch.arange(len(a))
    return (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2


# %% role="mutant" of="pair_loss" name="pair_loss.wrong_axis" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="You normalise along the batch: a vector is a row, dim=1."
def pair_loss(a, b, tau=0.1):
    s = F.normalize(a, dim=0) @ F.normalize(b, dim=0).T / tau
    own = torch.arange(len(a))
    return (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2


# %% role="mutant" of="pair_loss" name="pair_loss.times_tau" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="You multiply by tau: the cosines are divided by it."
def pair_loss(a, b, tau=0.1):
    s = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T * tau
    own = torch.arange(len(a))
    return (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2


# %% role="mutant" of="pair_loss" name="pair_loss.constant_b" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="No gradient flows into b. Here nobody is the teacher: both encoders learn."
def pair_loss(a, b, tau=0.1):
    s = F.normalize(a, dim=1) @ F.normalize(b.detach(), dim=1).T / tau
    own = torch.arange(len(a))
    return (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2


# %% role="mutant" of="pair_loss" name="pair_loss.mean" loses="pair_loss.values, pair_loss.tau, pair_loss.secret" hint="You averaged over the pairs. Return one value for each."
def pair_loss(a, b, tau=0.1):
    s = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau
    own = torch.arange(len(a))
    return ((cross_entropy(s, own) + cross_entropy(s.T, own)) / 2).mean()


# %% role="alternative" of="pair_loss" name="pair_loss.logsumexp"
def pair_loss(a, b, tau=0.1):
    s = torch.cosine_similarity(a.unsqueeze(1), b.unsqueeze(0), dim=-1) / tau
    return (torch.logsumexp(s, 0) + torch.logsumexp(s, 1)) / 2 - s.diagonal()


# %% role="alternative" of="pair_loss" name="pair_loss.two_softmaxes"
def pair_loss(a, b, tau=0.1):
    left, right = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    there, back = log_softmax(left @ right.T, tau), log_softmax(right @ left.T, tau)
    return -0.5 * (torch.diagonal(there) + torch.diagonal(back))


# %% role="show" name="sentences"
texts, meaning = all_sentences()  # 180 sentences; (180, 4): digit, size, stroke, slant
words = bag_of_words(texts)  # (180, words): which words stand in which sentence


def which_sentence(images, labels):
    """The number of the sentence that is true of each picture."""
    size, stroke, slant = attributes(images, like=big).T
    return ((labels * 2 + size) * 3 + stroke) * 3 + slant


true_sentence, test_sentence = which_sentence(big, y), which_sentence(test_big, test_y)
withheld = (meaning[:, 0] + meaning[:, 2] + meaning[:, 3]) % 4 == 0  # (180,)
with_words = (~withheld[true_sentence]).nonzero()[:, 0][:3000]  # pictures that are described
view, test_view = shadows(x), shadows(test_x)  # (N, 28)
print(f"{len(texts)} sentences of {words.shape[1]} words, {int(withheld.sum())} of them withheld")

figure, grid = plt.subplots(2, 6, figsize=(11, 3.9), height_ratios=(1.5, 1), layout="constrained")
chosen = [int((true_sentence == n).nonzero()[0, 0]) for n in true_sentence[[0, 4, 7, 11, 15, 21]]]
for column, n in enumerate(chosen):
    top, bottom = grid[:, column]
    top.imshow(big[n], cmap="gray_r")
    top.axis("off")
    top.set_title(texts[true_sentence[n]].replace(", ", ",\n"), fontsize=9)
    bottom.bar(range(14), view[n, :14], color=COLORS[0], label="rows")
    bottom.bar(range(15, 29), view[n, 14:], color=COLORS[1], label="columns")
    bottom.set(xticks=[], yticks=[])
    bottom.spines[["top", "right", "left"]].set_visible(False)
grid[1, 0].legend(frameon=False, fontsize=8)
plots.show(
    "Six digits, above each the sentence that is true of it, below each its two shadows: bars of "
    "the ink in each of 14 rows and in each of 14 columns."
)

# %% [markdown]
# Above each digit stands its sentence, below it what the photocells see.
#
# ### Two towers, and a student of neither
#
# The teacher is a pair of encoders: a network of the picture's 196 pixels, and a network of the sentence's words. It learns from 3,000 described pictures, by your loss. Then any sentence can be a class. To ask a picture, compare its vector with those of all 180 sentences, and take the nearest: that is **zero-shot** classification, since it also names what was never
# described. As a network whose logits are these similarities it is `tinykd.ByDescription(encoder, vectors_of_sentences)`; and a network with logits can teach.
#
# The student sees the *shadows* alone, and has less than a tenth of the picture tower's weights. Of sentences it knows what the teacher's sentence tower says, 180 vectors, and lives in the same space. Only 300 of its digits are described. But a camera can be put beside the sensor at any time, and its pictures need no words.
#
# - *labels*: 300 shadows with their sentences. The logits are the similarities to all the sentences that are ever used, and the loss is the cross-entropy.
# - *soft targets, 300*: the same 300. The teacher looks at the picture and gives a probability to each of the 180 sentences; the student looks at the shadows and is to give the same.
# - *soft targets, all*: the same, with all 9,000 pairs of picture and shadow. Nobody has described them for the student.
#
# All for the same number of steps. Test: digits of the withheld combinations, and is the *whole* sentence right? (Guessing gets 1 of 180.)
#
# **What do you expect?** Two shadows: how well can a student name the digit, the size, the stroke and the slant from them?

# %% role="show" name="two-towers"
TAU = 0.1
own_pairs = check.ready(pair_loss, tinykd.clip_loss)
clip_steps = {"smoke": 20, "default": 400, "full": 400}[scale]


class Speaks:
    """Which pictures of the test are of withheld combinations, and what is right about them."""

    unseen = withheld[test_sentence]

    def right(encoder, vectors, inputs):
        """Percent: the whole sentence, then digit, size, stroke and slant, of unseen combinations; the sentence of seen ones."""
        guess = predict(ByDescription(encoder, vectors, TAU), inputs).argmax(1)
        hits = meaning[guess] == meaning[test_sentence]  # (N, 4)
        found = {"sentence": hits[Speaks.unseen].all(1)}
        found |= dict(zip(("digit", "size", "stroke", "slant"), hits[Speaks.unseen].T, strict=True))
        found["seen"] = hits[~Speaks.unseen].all(1)
        return {name: 100 * float(share.double().mean()) for name, share in found.items()}


def towers(seed):
    """The teacher: an encoder of pictures and the vectors of all sentences."""
    pictures = new(196, 200, 200, 32, seed=seed)
    sentences = new(words.shape[1], 64, 32, seed=seed + 100)

    def loss(rows):
        rows = with_words[rows]
        return own_pairs(pictures(x[rows]), sentences(words[true_sentence[rows]]), TAU)

    both = list(sentences.parameters())
    fit(pictures, loss, len(with_words), clip_steps, rate=3e-3, size=200, seed=seed, more=both)
    with torch.no_grad():
        return pictures, sentences(words)


known = (~withheld).nonzero()[:, 0]  # sentences that are used at all
place = torch.full((180,), -1).scatter(0, known, torch.arange(len(known)))


def of_shadows(seed, pictures, vectors, rows_of, soft):
    """A student that sees shadows, taught by sentences, or by what the teacher says of pictures."""
    student = new(28, 64, 32, seed=seed)
    net = ByDescription(student, vectors if soft else vectors[known], TAU)
    told = predict(ByDescription(pictures, vectors, TAU), x)

    def loss(rows):
        rows = rows_of[rows]
        z = net(view[rows])
        return forward_kl(z, told[rows]) if soft else cross_entropy(z, place[true_sentence[rows]])

    fit(net, loss, len(rows_of), clip_steps, rate=1e-2, seed=seed)
    return student


few = with_words[:300]
spoken = {}
for seed in range(seeds):
    pictures, vectors = towers(seed)
    spoken.setdefault("teacher", []).append(Speaks.right(pictures, vectors, test_x))
    for name, rows_of, soft in (
        ("labels", few, False),
        ("soft targets, 300", few, True),
        ("soft targets, all", torch.arange(len(x)), True),
    ):
        student = of_shadows(seed, pictures, vectors, rows_of, soft)
        spoken.setdefault(name, []).append(Speaks.right(student, vectors, test_view))
    print(f"seed {seed}: " + ", ".join(f"{n} {s[-1]['sentence']:.0f}%" for n, s in spoken.items()))
sizes = [sum(p.numel() for p in net.parameters()) for net in (pictures, student)]
print(f"parameters: picture tower {sizes[0]:,}, student {sizes[1]:,}")

# %% role="show" name="fig-two-towers" folded=true
PARTS = ("sentence", "digit", "size", "stroke", "slant")
CHANCE = {"sentence": 100 / 180, "digit": 10, "size": 50, "stroke": 100 / 3, "slant": 100 / 3}
figure, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
for n, (name, scores) in enumerate(spoken.items()):
    for m, part in enumerate(PARTS):
        values = [s[part] for s in scores]
        axes.bar(
            m + 0.2 * n - 0.3,
            np.mean(values),
            0.18,
            color=COLORS[n],
            label=name if m == 0 else None,
        )
        axes.plot([m + 0.2 * n - 0.3] * len(values), values, "o", color="black", markersize=2.5)
for m, part in enumerate(PARTS):
    axes.hlines(CHANCE[part], m - 0.42, m + 0.42, color="black", linestyle=":")
axes.set_xticks(range(len(PARTS)), ["whole sentence", *PARTS[1:]])
axes.set_ylabel("% right, withheld combinations")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.17))
plots.show(
    "Bars for the teacher and three students: percent right of the whole sentence and of its parts, "
    "on combinations that were never described; the slant is far lower for all students."
)
print("dots: your seeds; dotted: guessing\n")
print("Our runs, mean and 95% interval, in percent:\n")
print(f"{'':26s}{'sentence':>13s}{'of seen ones':>14s}{'digit':>13s}{'slant':>13s}")
STUDENTS = ("labels", "soft targets, few digits", "soft targets")
for method in ("teacher", *STUDENTS):
    keys = ("accuracy", "described", "digit", "slant")
    cells = "".join(f"{said(runs('shadows', method, key)):>13s}" for key in keys)
    print(f"{method:26s}{cells}")
print("\nAgainst labels, paired by seed, whole sentences:")
for method in STUDENTS[1:]:
    print(f"  {method:26s}{gap('shadows', method, 'labels')}")

# %% [markdown]
# **What we saw.** The teacher gets 42% of the sentences right whose combination it has never seen described, and 63% of the others: it has put the words together again, though not as well as those that it was shown together. A classifier with one class for each described combination could not get a single one of the former.
#
# The student is a twentieth of the picture tower. With 300 sentences it gets 15%. The teacher's soft targets *on the same 300* do not help: over our seeds they are 3.2 ± 2.2 points worse. What helps is that soft targets need no sentences: with all pairs of picture and shadow it is at 21%, 6.2 ± 2.5 points above the labels. So the gain comes from the data that a teacher makes usable (lesson 06), and not from softer answers to the same data. (Of sentences that were described, soft targets on the 300 and labels are level in the table; it is the withheld combinations that they do worse on.)
#
# And the slant: 91% for the teacher, 47 to 57% for the students. A shadow from the left and one from above hold next to nothing of it, as leaning to the left and leaning to the right cast the same shadows. (They do better than one third: a slant goes along with the digit and with its width.) No teacher can put into a student what the student's view does not hold.
#
# ## 3 · Under attack
#
# Take a digit that a network gets right, and change every pixel by at most $\varepsilon$, in the direction that hurts it most. For $\varepsilon = 0.1$, a tenth of the way from white to black, people hardly notice. The network falls over.
#
# The direction that hurts most is the gradient of the loss *in the picture*. If each pixel may move by $\varepsilon$, the best single step, as far as the loss is a straight line, is $x + \varepsilon\,\mathrm{sign}(\nabla_x L)$: the **fast gradient sign method** (FGSM, Goodfellow et al. 2015, [arXiv 1412.6572](https://arxiv.org/abs/1412.6572)). Better are several smaller steps, each followed by a
# projection back to what is allowed. That is **projected gradient descent** (PGD, Madry et al. 2018, [arXiv 1706.06083](https://arxiv.org/abs/1706.06083)), though it climbs:
#
# $$x' \leftarrow \Pi\big(x' + \eta\,\mathrm{sign}(\nabla_{x'} L(x'))\big), \qquad \Pi: \text{ into } |x' - x| \le \varepsilon \text{ and } 0 \le x' \le 1,$$
#
# each pixel for itself. It begins at a random place in this *ball* around $x$ (a cube, really): $x + u$ with $u$ uniform in $[-\varepsilon, \varepsilon]$, brought into $[0, 1]$, since right at $x$ the loss may be flat.
#
# ### Exercise 4: projected gradient descent
# Two things to mind. It is the *picture* that learns here, not the network: no gradient may be left in its parameters, where the next training step would find it. And each picture is to become as wrong as it can: a batch is many attacks at once, so nothing of one picture may depend on another.
#
# <details><summary>Hint 1: a gradient in the picture</summary>
#
# `moved = moved.detach().requires_grad_()`, then the loss of the network's answer, summed over the pictures, then `(slope,) = torch.autograd.grad(loss, moved)`. Unlike `loss.backward()` it writes nothing into the network's parameters.
# </details>
# <details><summary>Hint 2: the projection</summary>
#
# `torch.minimum(torch.maximum(moved, x - eps), x + eps)` is the nearest point within eps of x, and `.clamp(0, 1)` keeps it a picture.
# </details>


# %% role="answer" name="attack" library="tinykd.pgd, tinykd.fgsm, tinykd.into_ball"
def attack(model, x, labels, eps, rate, steps, start):
    """Projected gradient ascent on the cross-entropy: x + start, brought into the ball, then `steps` times a step and a projection.

    model: gives logits (B, C), in eval mode; it must be left without a gradient in its parameters. x: (B, ...), in [0, 1]. labels: (B,).
    start: like x, within [-eps, eps]. A step is rate * sign of the gradient; after each one every number is brought back within eps of x, and
    into [0, 1]. Returns a new tensor like x that hangs in no graph (requires_grad is False).
    """

    # YOUR CODE: the start, then a loop of gradient, step and projection
    # BEGIN SOLUTION
    def project(moved):
        return torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)

    moved = project(x + start)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = project(moved.detach() + rate * slope.sign())
    return moved
    # END SOLUTION


# %% role="check" name="attack.one_step" points=1 hint="Pictures of 3 x 2 pixels, one large step from x itself (start is 0), so that nearly all numbers end at the border of the ball or of [0, 1]."
rng = check.rng("attack.one_step")
net, pictures, y_, start = attack_specimen(rng, 4, 6, 3, 0.1)
net, pictures = nn.Sequential(nn.Flatten(), net).eval(), pictures.unflatten(1, (3, 2))
moved = check.call(attack, net, pictures, y_, 0.1, 0.25, 1, 0 * start.unflatten(1, (3, 2)))
check("attack.one_step", after_attack(net, moved))

# %% role="check" name="attack.steps" points=2 hint="Five steps from a random start: the gradient is taken anew at each place, the ball is always the one around x."
rng = check.rng("attack.steps")
net, pictures, y_, start = attack_specimen(rng, 4, 6, 3, 0.3)
moved = check.call(attack, net, pictures, y_, 0.3, 0.05, 5, start)
check("attack.steps", after_attack(net, moved))

# %% role="check" name="attack.start" points=1 hint="No step at all: what comes back is x + start inside [0, 1], a new tensor."
rng = check.rng("attack.start")
net, pictures, y_, start = attack_specimen(rng, 3, 8, 4, 0.3)
moved = check.call(attack, net, pictures, y_, 0.3, 0.1, 0, start)
check("attack.start", after_attack(net, moved))

# %% role="hidden" name="attack.secret" points=2 hint="Other sizes, other balls, other numbers of steps; pictures with rows and columns."
rng = check.rng("attack.secret")
found = []
for eps, rate, count in ((0.15, 0.04, 5), (0.4, 0.1, 9)):
    net, pictures, y_, start = attack_specimen(rng, 5, 6, 4, eps)
    net = nn.Sequential(nn.Flatten(), net).eval()
    pictures, start = pictures.unflatten(1, (2, 3)), start.unflatten(1, (2, 3))
    moved = check.call(attack, net, pictures, y_, eps, rate, count, start)
    found.append(after_attack(net, moved))
check("attack.secret", found)


# %% role="mutant" of="attack" name="attack.no_ball" loses="attack.one_step, attack.steps, attack.secret" hint="Nothing brings the picture back within eps of x: with enough steps this attack draws another digit."
def attack(model, x, labels, eps, rate, steps, start):
    moved = (x + start).clamp(0, 1)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = (moved.detach() + rate * slope.sign()).clamp(0, 1)
    return moved


# %% role="mutant" of="attack" name="attack.no_box" loses="attack.one_step, attack.steps, attack.start, attack.secret" hint="Pixels leave [0, 1]: blacker than black is no picture. .clamp(0, 1)."
def attack(model, x, labels, eps, rate, steps, start):
    moved = x + start
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + rate * slope.sign()
        moved = torch.minimum(torch.maximum(moved, x - eps), x + eps)
    return moved


# %% role="mutant" of="attack" name="attack.wandering_ball" loses="attack.steps, attack.secret" hint="Your ball moves along: it lies around the last place, so that several steps go farther than eps. It is the one around x."
def attack(model, x, labels, eps, rate, steps, start):
    moved = (x + start).clamp(0, 1)
    for _ in range(steps):
        before = moved.detach()
        moved = before.clone().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        step = before + rate * slope.sign()
        moved = torch.minimum(torch.maximum(step, before - eps), before + eps).clamp(0, 1)
    return moved


# %% role="mutant" of="attack" name="attack.descent" loses="attack.one_step, attack.steps, attack.secret" hint="You go downhill: this makes the network more certain of the right class. An attack climbs: + rate * sign."
def attack(model, x, labels, eps, rate, steps, start):
    moved = torch.minimum(torch.maximum(x + start, x - eps), x + eps).clamp(0, 1)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() - rate * slope.sign()
        moved = torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)
    return moved


# %% role="mutant" of="attack" name="attack.no_sign" loses="attack.one_step, attack.steps, attack.secret" hint="You step along the gradient itself. In this ball every pixel has the same room, so take its sign."
def attack(model, x, labels, eps, rate, steps, start):
    moved = torch.minimum(torch.maximum(x + start, x - eps), x + eps).clamp(0, 1)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + rate * slope
        moved = torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)
    return moved


# %% role="mutant" of="attack" name="attack.backward" loses="attack.one_step, attack.steps, attack.secret" hint="loss.backward() has left gradients in the network's parameters, and the next training step would add them up. torch.autograd.grad(loss, moved)."
def attack(model, x, labels, eps, rate, steps, start):
    moved = torch.minimum(torch.maximum(x + start, x - eps), x + eps).clamp(0, 1)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        cross_entropy(model(moved), labels).sum().backward()
        moved = moved.detach() + rate * moved.grad.sign()
        moved = torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)
    return moved


# %% role="mutant" of="attack" name="attack.without_start" loses="attack.steps, attack.start, attack.secret" hint="You begin at x. The attack begins at x + start."
def attack(model, x, labels, eps, rate, steps, start):
    moved = x.clone()
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + rate * slope.sign()
        moved = torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)
    return moved


# %% role="mutant" of="attack" name="attack.in_a_graph" loses="attack.one_step, attack.steps, attack.secret" hint="What you return still hangs in the graph, and training on it would go back through the whole attack. .detach() it."
def attack(model, x, labels, eps, rate, steps, start):
    moved = torch.minimum(torch.maximum(x + start, x - eps), x + eps).clamp(0, 1)
    moved = moved.detach().requires_grad_() if steps else moved
    for _ in range(steps):
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved + rate * slope.sign()
        moved = torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)
    return moved


# %% role="mutant" of="attack" name="attack.in_place" loses="attack.start, attack.steps, attack.secret" hint="You changed the caller's pictures: x += start works in place. Write x + start."
def attack(model, x, labels, eps, rate, steps, start):
    clean = x.clone()
    x += start
    moved = x.clamp(0, 1)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), labels).sum()
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + rate * slope.sign()
        moved = torch.minimum(torch.maximum(moved, clean - eps), clean + eps).clamp(0, 1)
    return moved


# %% role="alternative" of="attack" name="attack.by_differences"
def attack(model, x, labels, eps, rate, steps, start):
    away = (x + start).clamp(0, 1) - x  # how far each number has moved
    for _ in range(steps):
        place = (x + away).requires_grad_()
        slope = torch.autograd.grad(cross_entropy(model(place), labels).mean(), place)[0]
        away = (away + rate * slope.sign()).clamp(-eps, eps)
        away = (x + away).clamp(0, 1) - x
    return (x + away).clamp(0, 1)


# %% role="alternative" of="attack" name="attack.box_first"
def attack(model, x, labels, eps, rate, steps, start):
    low, high = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
    moved = (x + start).clamp(low, high)
    for _ in range(steps):
        leaf = moved.clone().requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(model(leaf), labels, reduction="sum")
        slope = torch.autograd.grad(loss, [leaf])[0]
        moved = (leaf.detach() + rate * torch.sign(slope)).clamp(low, high)
    return moved


# %% [markdown]
# ### A firm network and one that is not
# Two networks of the same shape learn from the same 8,000 digits. One as usual; the other is attacked in every step, five steps of PGD with $\varepsilon = 0.1$, and learns the labels of what comes out of it. (The second one takes most of this lesson's time: some ten to twenty seconds.)
#
# **What do you expect?** How many of 1,000 test digits does the first get right at $\varepsilon = 0.1$, 0.05, 0.02? And what does the second one pay, where nobody attacks?

# %% role="show" name="firm"
EPS, WEIGHT = 0.1, 5 / 6
few_digits, rest = slice(0, 1000), slice(1000, 9000)  # for students; for teachers
some_x, some_y = test_x[:1000], test_y[:1000]


def library_attack(model, x, labels, eps, rate, steps, start):
    return tinykd.pgd(model, x, lambda z: cross_entropy(z, labels), eps, steps, rate, start)


climb = check.ready(attack, library_attack)


def noise(x, eps, seed=0):
    """Uniform in [-eps, eps]; torch's global generator is left alone."""
    return eps * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) - 1)


def attacked(model, x, labels, eps=EPS, steps=20, seed=0):
    """PGD from a random start."""
    if not eps:
        return x
    return climb(model.eval(), x, labels, eps, 2.5 * eps / steps, steps, noise(x, eps, seed))


def against_labels(model, own, truth, steps, rate, seed=0):
    """Adversarial training: the cross-entropy of attacked digits."""
    counter = iter(range(10**9))

    def loss(rows):
        moved = attacked(model, own[rows], truth[rows], steps=5, seed=next(counter))
        return cross_entropy(model(moved), truth[rows])

    return fit(model, loss, len(own), steps, rate=rate, seed=seed)


def plainly(model, own, truth, steps, rate, seed=0):
    return fit(
        model,
        lambda rows: cross_entropy(model(own[rows]), truth[rows]),
        len(own),
        steps,
        rate=rate,
        seed=seed,
    )


usual = plainly(new(196, 200, 200, 10), x[rest], y[rest], adversarial_steps, 2e-3)
print("the usual one is trained")
firm = against_labels(new(196, 200, 200, 10), x[rest], y[rest], adversarial_steps, 2e-3)
print("the firm one is trained")


def right(model, x, labels):
    return 100 * accuracy(predict(model, x), labels)


sizes = (0, 0.02, 0.05, 0.1, 0.15)
curves = {
    name: [right(model, attacked(model, some_x, some_y, eps), some_y) for eps in sizes]
    for name, model in (("usual", usual), ("firm", firm))
}

# %% role="show" name="fig-attack" folded=true
victims = torch.where(predict(usual, some_x).argmax(1) == some_y)[0][:5]
moved = attacked(usual, some_x[victims], some_y[victims])
takes = predict(usual, moved).argmax(1)
figure = plt.figure(figsize=(11, 3.6), layout="constrained")
left, side = figure.subfigures(1, 2, width_ratios=(1.3, 1))
grid = left.subplots(2, 5)
for n, victim in enumerate(victims):
    for row, (picture, title) in enumerate(
        ((some_x[victim], f"{some_y[victim]}"), (moved[n], f"taken for a {takes[n]}"))
    ):
        grid[row, n].imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        grid[row, n].set_title(title, fontsize=9)
        grid[row, n].axis("off")
axes = side.subplots()
for (name, values), colour, mark in zip(curves.items(), COLORS[1::-1], "so", strict=False):
    axes.plot(sizes, values, f"-{mark}", color=colour, label=name)
axes.set(xlabel="size of the attack, ε", ylabel="% of 1,000 test digits right", ylim=(0, 100))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plots.show(
    "Left: five digits, and below them the attacked ones, a little greyer, with what the usual "
    "network takes them for. Right: accuracy against the size of the attack; the usual network "
    "falls to nearly nothing at 0.1, the firm one slowly."
)
print("% right at ε = " + "".join(f"{eps:7.2f}" for eps in sizes))
for name, values in curves.items():
    print(f"{name:15s}" + "".join(f"{value:7.1f}" for value in values))

# %% [markdown]
# At $\varepsilon = 0.1$ the usual network has next to nothing left, and at half of that it has lost most. The firm one still gets about two thirds right; without an attack it is some two or three points behind. (Our five seeds, for both, stand in the table further down, under *teacher* and *plain teacher*.)
#
# ### Robust soft targets
#
# What helps against attacks is to train on them: in each step attack the student as it is just now, and let it learn the labels of the attacked digits (**adversarial training**, Madry et al.). It costs a multiple of the time (five steps of PGD are five more passes forward and back for each step of training), it costs accuracy on untouched digits, and it wants a large network (Madry et al. found so). So: a large network is trained in that way, and a small one learns from it. Which picture is shown to whom?
#
# - The **student** must see the attacked picture $x'$, since that is where it has to stand firm.
# - The **teacher** is shown the clean one, $x$. The attack was made against the student, and what the teacher says of the clean picture is what the student ought to have said.
#
# $$L = w\,\mathrm{KL}\big(p(x)\,\|\,q(x')\big) + (1 - w)\,\mathrm{KL}\big(p(x)\,\|\,q(x)\big)$$
#
# This is RSLAD (Zi et al. 2021, [arXiv 2108.07969](https://arxiv.org/abs/2108.07969)), which takes $w = 5/6$, $T = 1$ and no label at all. ARD (Goldblum et al. 2019, [arXiv 1905.09747](https://arxiv.org/abs/1905.09747)) came before it; there the second part is the cross-entropy with the label on the clean picture. And the attack: instead of the cross-entropy with the label, RSLAD's $x'$
# maximises the very divergence $\mathrm{KL}(p(x)\,\|\,q(x'))$ that is trained.
#
# ### Exercise 5: robust soft targets
# Both are networks here, and not logits, since the point of the exercise is what each is asked. No label, $T = 1$.
#
# <details><summary>Hint</summary>
#
# Ask the teacher inside `with torch.no_grad():`, or inside `with frozen(teacher):`, and then it is two calls of `forward_kl`.
# </details>


# %% role="answer" name="robust_soft_targets" library="tinykd.Adversarial"
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    """weight * KL(p(x) || q(moved)) + (1 - weight) * KL(p(x) || q(x)), p the teacher's probabilities and q the student's, at T = 1.

    student, teacher: networks that give logits (B, C), in the modes that they ought to have; they stay in them. x: (B, ...), clean inputs. moved: the same ones
    after an attack on the student. No gradient goes into the teacher. Returns (B,).
    """
    # YOUR CODE: who is asked about what?
    # BEGIN SOLUTION
    with torch.no_grad():
        clean = teacher(x)
    firm, calm = forward_kl(student(moved), clean), forward_kl(student(x), clean)
    return weight * firm + (1 - weight) * calm
    # END SOLUTION


# %% role="check" name="robust_soft_targets.values" points=2 hint="Five samples, weight 5/6; the gradients are those in the student's and in the teacher's weights, and the second is 0."
rng = check.rng("robust_soft_targets.values")
student_, teacher_, clean_, moved_ = pair_of_nets(rng)
loss = check.call(robust_soft_targets, student_, teacher_, clean_, moved_)
check("robust_soft_targets.values", with_gradient(loss, student_.weight, teacher_.weight))

# %% role="check" name="robust_soft_targets.weight" points=1 hint="weight = 0.3 is that of the attacked part, 0.7 that of the clean part; both are divergences from what the teacher says of the clean input."
rng = check.rng("robust_soft_targets.weight")
student_, teacher_, clean_, moved_ = pair_of_nets(rng, classes=6)
loss = check.call(robust_soft_targets, student_, teacher_, clean_, moved_, 0.3)
check("robust_soft_targets.weight", with_gradient(loss, student_.weight))

# %% role="hidden" name="robust_soft_targets.secret" points=1 hint="Other weights, at the ends 0 and 1 too, and other numbers of classes."
rng = check.rng("robust_soft_targets.secret")
found = []
for weight in (0.0, 1.0, 0.6):
    student_, teacher_, clean_, moved_ = pair_of_nets(rng, classes=3)
    loss = check.call(robust_soft_targets, student_, teacher_, clean_, moved_, weight)
    found.append(with_gradient(loss, student_.weight, teacher_.bias))
check("robust_soft_targets.secret", found)


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.teacher_attacked" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="You ask the teacher about the attacked input. What it says of the clean one is what the student should say of both."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        clean, attacked = teacher(x), teacher(moved)
    firm, calm = forward_kl(student(moved), attacked), forward_kl(student(x), clean)
    return weight * firm + (1 - weight) * calm


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.eval_mode" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="You switch the student to eval mode in the middle of its training: its dropout and its batch norms would stop there. The loss takes both networks as they are."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    student.eval()
    teacher.eval()
    with torch.no_grad():
        told = teacher(x)
    firm, calm = forward_kl(student(moved), told), forward_kl(student(x), told)
    return weight * firm + (1 - weight) * calm


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.student_clean" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="Your student never sees the attacked input: that is plain distillation."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        clean = teacher(x)
    return forward_kl(student(x), clean)


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.only_attacked" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="The clean part is missing: it has the weight 1 - w."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        clean = teacher(x)
    return weight * forward_kl(student(moved), clean)


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.swapped_weights" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="The weights have changed places: w belongs to the attacked input."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        clean = teacher(x)
    return (1 - weight) * forward_kl(student(moved), clean) + weight * forward_kl(student(x), clean)


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.reverse" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="The KL is the wrong way round: the teacher's probabilities are the target, KL(p || q)."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        clean = teacher(x)
    firm, calm = tinykd.reverse_kl(student(moved), clean), tinykd.reverse_kl(student(x), clean)
    return weight * firm + (1 - weight) * calm


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.own_answer" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="The target of the attacked part is the student's own clean answer, and the teacher has little to say: that is another method (TRADES)."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        clean, own = teacher(x), student(x)
    return weight * forward_kl(student(moved), own) + (1 - weight) * forward_kl(student(x), clean)


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.not_detached" loses="robust_soft_targets.values, robust_soft_targets.secret" hint="A gradient flows into the teacher: it would be pulled towards the student."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    log_p = log_softmax(teacher(x))
    parts = [(log_p.exp() * (log_p - log_softmax(student(z)))).sum(-1) for z in (moved, x)]
    return weight * parts[0] + (1 - weight) * parts[1]


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.hard" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="You train on the teacher's favourite class. Its whole distribution is the target."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        best = teacher(x).argmax(-1)
    firm, calm = cross_entropy(student(moved), best), cross_entropy(student(x), best)
    return weight * firm + (1 - weight) * calm


# %% role="mutant" of="robust_soft_targets" name="robust_soft_targets.mean" loses="robust_soft_targets.values, robust_soft_targets.weight, robust_soft_targets.secret" hint="You averaged over the samples. Return one value for each."
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with torch.no_grad():
        clean = teacher(x)
    firm, calm = forward_kl(student(moved), clean), forward_kl(student(x), clean)
    return (weight * firm + (1 - weight) * calm).mean()


# %% role="alternative" of="robust_soft_targets" name="robust_soft_targets.both_at_once"
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    p = softmax(teacher(x)).detach()
    log_q = log_softmax(student(torch.cat([moved, x])))
    firm, calm = (torch.xlogy(p, p) - p * part for part in log_q.chunk(2))
    return (weight * firm + (1 - weight) * calm).sum(-1)


# %% role="alternative" of="robust_soft_targets" name="robust_soft_targets.by_torch"
def robust_soft_targets(student, teacher, x, moved, weight=5 / 6):
    with frozen(teacher):
        target = F.log_softmax(teacher(x), dim=1)

    def part(z):
        log_q = F.log_softmax(student(z), dim=1)
        return F.kl_div(log_q, target, reduction="none", log_target=True).sum(1)

    return weight * part(moved) + (1 - weight) * part(x)


# %% [markdown]
# ### Six students
# A small network (32 hidden units), 1,000 digits, 400 steps, each time. Two plain ones, and four that are attacked while they learn:
#
# - *labels*: adversarial training; *half clean*: the cross-entropy of the clean digits as well, half and half;
# - *robust soft targets*: your loss, with the firm network as teacher, where $x'$ maximises the divergence from it;
# - *of the usual teacher*: the same, with a teacher that itself would fall to any attack.
#
# **What do you expect?** Which of them come out firm? What about the last one, whose teacher is not?

# %% role="show" name="six-students"
own_robust = check.ready(
    robust_soft_targets,
    lambda student, teacher, x, moved, weight: (
        weight * forward_kl(student(moved), teacher(x))
        + (1 - weight) * forward_kl(student(x), teacher(x))
    ),
)
student_steps = {"smoke": 10, "default": 400, "full": 400}[scale]
small_x, small_y = x[few_digits], y[few_digits]


def half_clean(seed):
    model, counter = new(196, 32, 10, seed=seed), iter(range(10**9))

    def loss(rows):
        own, truth = small_x[rows], small_y[rows]
        moved = attacked(model, own, truth, steps=5, seed=next(counter))
        return (cross_entropy(model(moved), truth) + cross_entropy(model(own), truth)) / 2

    return fit(model, loss, len(small_x), student_steps, rate=1e-2, seed=seed)


def taught(teacher, seed):
    """Robust soft targets: the attack climbs the divergence from the teacher's clean answer."""
    model, counter = new(196, 32, 10, seed=seed), iter(range(10**9))

    def loss(rows):
        own = small_x[rows]
        clean = predict(teacher, own)
        start = noise(own, EPS, next(counter))
        moved = tinykd.pgd(model, own, lambda z: forward_kl(z, clean), EPS, 5, EPS / 2, start)
        return own_robust(model, teacher, own, moved, WEIGHT)

    return fit(model, loss, len(small_x), student_steps, rate=1e-2, seed=seed)


def plain_soft(seed):
    model, told = new(196, 32, 10, seed=seed), predict(firm, small_x)
    loss = lambda rows: forward_kl(model(small_x[rows]), told[rows])
    return fit(model, loss, len(small_x), student_steps, rate=1e-2, seed=seed)


def from_labels(train, seed):
    return train(new(196, 32, 10, seed=seed), small_x, small_y, student_steps, 1e-2, seed)


KINDS = {
    "plain labels": lambda seed: from_labels(plainly, seed),
    "plain soft targets": plain_soft,
    "labels": lambda seed: from_labels(against_labels, seed),
    "labels, half clean": half_clean,
    "robust soft targets": lambda seed: taught(firm, seed),
    "of the usual teacher": lambda seed: taught(usual, seed),
}
some_seeds = min(seeds, 2)
clean_and_robust = {}
for name, train in KINDS.items():
    for seed in range(some_seeds):
        model = train(seed)
        pair = right(model, some_x, some_y), right(model, attacked(model, some_x, some_y), some_y)
        clean_and_robust.setdefault(name, []).append(pair)
    clean, robust = np.mean(clean_and_robust[name], axis=0)
    print(f"{name:22s} {clean:5.1f}% of clean digits right, {robust:5.1f}% after PGD")

# %% role="show" name="fig-six-students" folded=true
OURS = {
    "robust soft targets": "soft targets",
    "of the usual teacher": "soft targets of the plain teacher",
}
figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
for (name, pairs), colour, mark in zip(
    clean_and_robust.items(), [*COLORS[:6]], "ovsD^P", strict=True
):
    axes.plot(*zip(*pairs, strict=True), mark, color=colour, markersize=8, label=name, linestyle="")
    method = OURS.get(name, name)
    axes.plot(
        runs("robust", method, "clean"), runs("robust", method), mark, color=colour,
        fillstyle="none", alpha=0.6, linestyle="",
    )  # fmt: skip
for model, name in ((firm, "the firm teacher"), (usual, "the usual teacher")):
    place = right(model, some_x, some_y), right(model, attacked(model, some_x, some_y), some_y)
    axes.plot(*place, "*", color="black", markersize=11)
    axes.annotate(name, place, (-8, 0), textcoords="offset points", ha="right", va="center")
axes.set(xlabel="% right, clean (right is better)", ylabel="% right, attacked (up is better)")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(
    "Clean against robust accuracy for six kinds of students and two teachers. The two plain ones "
    "lie at the bottom right; the four attacked ones in the upper half, those with soft targets "
    "above those with labels."
)
print("filled: yours, after PGD; hollow: our five seeds, after PGD and a random search\n")
print(f"Our runs:{'':27s}{'clean':>13s}{'robust':>13s}")
STORED_KINDS = ("teacher", "plain teacher", "plain labels", "plain soft targets", "labels",
                "labels, half clean", "soft targets", "soft targets of the plain teacher")  # fmt: skip
for method in STORED_KINDS:
    print(
        f"{method:36s}{said(runs('robust', method, 'clean')):>13s}{said(runs('robust', method)):>13s}"
    )
print("\nPaired by seed:")
for method, rival in (
    ("soft targets", "labels"),
    ("soft targets", "labels, half clean"),
    ("soft targets of the plain teacher", "labels"),
    ("soft targets", "soft targets of the plain teacher"),
):
    print(f"  {method} against {rival}:")
    for key, called in (("accuracy", "robust"), ("clean", "clean")):
        print(f"      {called:8s}{gap('robust', method, rival, key)}")

# %% [markdown]
# **What we saw.** The two plain students have next to nothing left under attack (2.3% and 4.4%); soft targets of a firm teacher on clean digits are not enough, since nobody ever showed them an attacked one. Over our five seeds the robust soft targets leave 2.7 ± 2.4 points more standing than adversarial training with labels, at the same clean accuracy (0.5 ± 1.2), and 3.0 ± 1.3 more than with half of the digits clean, which in turn is 2.6 ± 1.0 points better where
# nobody attacks. That is a trade; which of the two you want depends on who attacks you.
#
# And the student of the *usual* teacher, one that falls to anything? It is just as firm as far as five seeds can say (1.0 ± 1.8 points less), clean it is 1.3 ± 1.2 points better, and it beats the labels in both. So in this small world much of the gain seems to come from the loss itself: soft targets, on clean digits and attacked ones, and an attack that goes against the soft targets and not the labels (we have not taken these apart); a firm teacher's own firmness adds nothing that we can show. (The papers report on larger networks and on photographs; we have not tried those.)
#
# ### Exercise 6: what withstands all of them
# We have attacked with PGD alone, and what PGD does not find another attack may. Take several, and count a digit as safe only if **every** one of them fails on it, and if it was right to begin with. That is the rule of the test suites that are used for this (AutoAttack, Croce and Hein 2020, [arXiv 2003.01690](https://arxiv.org/abs/2003.01690)). Its accuracy is at most that of the strongest single attack, and often below: some digits fall to one attack, others to another.
#
# <details><summary>Hint</summary>
#
# For each set of inputs (the clean ones, and what each attack makes of the clean ones) a tensor of True and False; `&` of two of them is True where both are.
# </details>


# %% role="answer" name="stands" library="tinykd.withstands"
def stands(model, attacks, x, labels):
    """Which samples the model gets right as they are, and after every single one of the attacks: bool (B,).

    model: gives logits (B, C), in eval mode. attacks: a list, perhaps empty, of functions attack(model, x, labels) that return the moved x; each
    begins at the clean x. x: (B, ...). labels: (B,).
    """
    # YOUR CODE: one answer per sample, over all attacks
    # BEGIN SOLUTION
    safe = model(x).argmax(-1) == labels
    for attack in attacks:
        safe = safe & (model(attack(model, x, labels)).argmax(-1) == labels)
    return safe
    # END SOLUTION


# %% role="check" name="stands.three" points=1 hint="Three attacks, forty samples, each attack turns others: True where none of them succeeds."
net, attacks, inputs, y_ = fakes(check.rng("stands.three"), 3)
check("stands.three", check.call(stands, net, attacks, inputs, y_))

# %% role="check" name="stands.none" points=1 hint="No attack at all: what the model gets right."
net, attacks, inputs, y_ = fakes(check.rng("stands.none"), 0)
check("stands.none", check.call(stands, net, attacks, inputs, y_))

# %% role="hidden" name="stands.secret" points=1 hint="One attack, and five; other numbers of samples."
rng = check.rng("stands.secret")
found = []
for count, samples in ((1, 30), (5, 64)):
    net, attacks, inputs, y_ = fakes(rng, count, samples)
    found.append(check.call(stands, net, attacks, inputs, y_))
check("stands.secret", found)


# %% role="mutant" of="stands" name="stands.no_grad" loses="stands.three, stands.secret" hint="The whole function runs under torch.no_grad(), and an attack needs gradients. What you ask of the model yourself may be under it, the attacks may not."
@torch.no_grad()
def stands(model, attacks, x, labels):
    safe = model(x).argmax(-1) == labels
    for attack in attacks:
        safe = safe & (model(attack(model, x, labels)).argmax(-1) == labels)
    return safe


# %% role="alternative" of="stands" name="stands.survivors"
def stands(model, attacks, x, labels):
    safe = model(x).argmax(-1) == labels
    for attack in attacks:
        rows = torch.where(safe)[0]
        if len(rows):
            safe[rows] = model(attack(model, x[rows], labels[rows])).argmax(-1) == labels[rows]
    return safe


# %% role="mutant" of="stands" name="stands.worst_attack" loses="stands.three, stands.secret" hint="You keep the samples that the strongest single attack leaves. Others fall to a weaker attack: decide sample by sample."
def stands(model, attacks, x, labels):
    safe = model(x).argmax(-1) == labels
    each = [safe & (model(attack(model, x, labels)).argmax(-1) == labels) for attack in attacks]
    return min(each, key=lambda right: int(right.sum())) if len(each) > 1 else [*each, safe][0]


# %% role="mutant" of="stands" name="stands.any" loses="stands.three, stands.secret" hint="You count a sample as safe if one attack fails on it. All of them must fail."
def stands(model, attacks, x, labels):
    right = model(x).argmax(-1) == labels
    each = [model(attack(model, x, labels)).argmax(-1) == labels for attack in attacks]
    return right & torch.stack(each).any(0) if each else right


# %% role="mutant" of="stands" name="stands.without_clean" loses="stands.three, stands.none, stands.secret" hint="A sample that is wrong to begin with withstands nothing, even if an attack happens to put it right."
def stands(model, attacks, x, labels):
    safe = torch.ones(len(x), dtype=torch.bool)
    for attack in attacks:
        safe = safe & (model(attack(model, x, labels)).argmax(-1) == labels)
    return safe


# %% role="mutant" of="stands" name="stands.one_after_another" loses="stands.three, stands.secret" hint="Each of your attacks goes on from what the last one left, and together they go farther than eps. Each begins at the clean x."
def stands(model, attacks, x, labels):
    moved, safe = x, model(x).argmax(-1) == labels
    for attack in attacks:
        moved = attack(model, moved, labels)
        safe = safe & (model(moved).argmax(-1) == labels)
    return safe


# %% role="mutant" of="stands" name="stands.last_only" loses="stands.three, stands.secret" hint="The last attack alone decides: your loop forgets what the earlier ones have found."
def stands(model, attacks, x, labels):
    safe = model(x).argmax(-1) == labels
    first = safe
    for attack in attacks:
        safe = first & (model(attack(model, x, labels)).argmax(-1) == labels)
    return safe


# %% role="mutant" of="stands" name="stands.accuracy" loses="stands.three, stands.none, stands.secret" hint="One number came back. Return True or False for each sample; the mean is taken later."
def stands(model, attacks, x, labels):
    safe = model(x).argmax(-1) == labels
    for attack in attacks:
        safe = safe & (model(attack(model, x, labels)).argmax(-1) == labels)
    return safe.double().mean()


# %% role="alternative" of="stands" name="stands.stacked"
def stands(model, attacks, x, labels):
    inputs = [x] + [attack(model, x, labels) for attack in attacks]
    with torch.no_grad():
        return torch.stack([model(z).argmax(1).eq(labels) for z in inputs]).all(dim=0)


# %% role="alternative" of="stands" name="stands.by_count"
def stands(model, attacks, x, labels):
    wrong = (model(x).argmax(-1) != labels).int()
    for move in attacks:
        wrong = wrong + (model(move(model, x, labels)).argmax(-1) != labels).int()
    return wrong == 0


# %% [markdown]
# ## The trap: gradients that are only hidden
#
# In 2016 distillation itself was proposed as a defence (Papernot et al., [arXiv 1511.04508](https://arxiv.org/abs/1511.04508)). **Defensive distillation**: train a teacher at a high temperature, say 100; train a student of the same shape on its soft targets at 100; then use that student at $T = 1$. Its logits are a hundred times as large as those of an ordinary network,
# its probabilities are 0 and 1, and attacks by gradients fail. Is it robust?
#
# In our lesson it is quickly made. A network whose logits are $100 \cdot f(x)$, trained at $T = 100$, has the loss of $f$ at $T = 1$. So the usual network, read as $100 f$, is the teacher, and its student learns its soft targets.
#
# **What do you expect?** Multiplying all logits by 100 changes not one decision of a network. What does it change for an attack that follows the sign of a gradient?


# %% role="show" name="defended"
class Heated(nn.Module):
    """heat * f(x): the same decisions, other logits."""

    def __init__(self, net, heat):
        super().__init__()
        self.net, self.heat = net, heat

    def forward(self, x):
        return self.heat * self.net(x)


told = predict(usual, x[rest])  # T = 100 of logits that are 100 times as large
inner = new(196, 200, 200, 10, seed=1)
fit(
    inner,
    lambda rows: forward_kl(inner(x[rest][rows]), told[rows]),
    len(told),
    adversarial_steps,
    rate=2e-3,
)
defended = Heated(inner, 100.0).eval()

print(f"{'':12s}{'clean':>8s}{'PGD':>8s}{'gradient exactly 0':>22s}")
for name, model in (("usual", usual), ("defended", defended), ("firm", firm)):
    leaf = some_x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(model(leaf), some_y).sum(), leaf)
    none = 100 * float((slope == 0).flatten(1).all(1).double().mean())
    robust = right(model, attacked(model, some_x, some_y), some_y)
    print(
        f"{name:12s}{right(model, some_x, some_y):7.1f}%{robust:7.1f}%{none:18.1f}% of the digits"
    )

# %% [markdown]
# The defended network seems to be the firmest of all, and nobody had to attack it in its training. But look at the last column. For most of the digits its gradient is not small, it is *exactly zero*: the cross-entropy's gradient in the logits is $q - y$, and with logits that are hundreds apart, $q$ is 1 for the label and $e^{-\text{hundreds}}$, which is 0 to the computer, for the others. PGD stands still. It
# has not failed to fool the network; it has not been tried.
#
# This is called **gradient masking** or **obfuscated gradients** (Athalye, Carlini, Wagner 2018, [arXiv 1802.00420](https://arxiv.org/abs/1802.00420)); of nine defences published at one conference, they found that seven relied on it. Defensive distillation had been broken before (Carlini and Wagner 2016, [arXiv 1608.04644](https://arxiv.org/abs/1608.04644)). Other ways to hide a gradient: rounding the input, noise, a step function. What gives it away:
#
# - an attack *without* gradients does better than one with;
# - an attack made on *another* network, and merely carried over (a **transfer attack**), does better than one made on the network itself;
# - a larger $\varepsilon$ does not help the attack.
#
# ### Four attacks on three networks
# Beside PGD there are now: PGD on *cooled* logits ($z/100$, for the attack only: the decisions are the same, so what fools the one fools the other); *transfer*, digits that were made to fool a network of our own, trained as usual with another seed; and a *random search* of 200 tries, which asks for nothing but logits.
#
# **What do you expect?** What is left of the defended network? And does any of the three find more than PGD against the firm one?

# %% role="show" name="four-attacks"
stand_in = plainly(new(196, 200, 200, 10, seed=7), x[rest], y[rest], adversarial_steps, 2e-3)
tries = {"smoke": 10, "default": 200, "full": 200}[scale]


def by_pgd(model, x, labels):
    return attacked(model, x, labels)


def by_cooling(model, x, labels):
    return attacked(Heated(model, 0.01).eval(), x, labels)


def by_transfer(model, x, labels):
    return attacked(stand_in, x, labels)


def by_search(model, x, labels):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tinykd.random_search(model, x, labels, EPS, tries)


def library_stands(model, attacks, x, labels):
    return tinykd.withstands(model, x, labels, attacks)


judge = check.ready(stands, library_stands)
ATTACKS = {
    "PGD": by_pgd,
    "PGD, cooled": by_cooling,
    "transfer": by_transfer,
    "random search": by_search,
}
target_x, target_y = test_x[:500], test_y[:500]
left_over = {}
for name, model in (("usual", usual), ("defended", defended), ("firm", firm)):
    each = {"no attack": []} | {kind: [one] for kind, one in ATTACKS.items()}
    each["all four"] = list(ATTACKS.values())
    left_over[name] = {
        kind: 100 * float(judge(model, several, target_x, target_y).double().mean())
        for kind, several in each.items()
    }
print(f"{'% of 500 right':15s}" + "".join(f"{name:>11s}" for name in left_over))
for kind in left_over["usual"]:
    print(f"{kind:15s}" + "".join(f"{scores[kind]:11.1f}" for scores in left_over.values()))

# %% role="show" name="fig-four-attacks" folded=true
figure, axes = plt.subplots(figsize=(10, 3.4), layout="constrained")
for n, (name, scores) in enumerate(left_over.items()):
    places = np.arange(len(scores)) + 0.27 * (n - 1)
    axes.bar(places, scores.values(), 0.25, color=COLORS[(1, 3, 0)[n]], label=name)
axes.set_xticks(range(len(scores)), list(scores))
axes.set(ylabel="% of 500 digits right", ylim=(0, 100))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, ncols=3, loc="upper right")
plots.show(
    "Bars: digits left right by each attack on three networks. The defended one is high under PGD, "
    "and near zero once the logits are cooled; the firm one is at about the same height each time."
)

# %% [markdown]
# Under plain PGD the defended network looks nearly as if nobody had attacked it: 92% left, in our run. Cool its logits, and 2% are left; it is as soft as the usual one. Attacks that know less should find less, but digits made against *another* network leave about one in eight, and a search that sees no gradient at all leaves 17%. These are the signs of a hidden gradient. On the firm network it is as it should be: PGD leaves 68%, the three others some 74 to 80%,
# and all four together as many as PGD alone.
#
# So: report robust accuracy after several attacks, at least one of them without gradients, sample by sample (`tinykd.withstands`), and look at the gradients themselves. And remember that even this number is an upper bound: somebody may come with a fifth attack.
#
# ## 4 · What nobody taught
#
# A teacher has learned the digits 0 to 4. On its way it has built something: a hundred numbers on its last hidden layer, from which the five classes are read off. Are those numbers good for anything else? For telling 5 from 9, which it has never seen; for the slant of a digit, which nobody ever asked it about?
#
# A student can be taught in three ways, and then asked the same question. By *labels* of the digits 0 to 4. By *soft targets* for these five classes. Or by the **representation alone**: its own last hidden layer is to say what the teacher's says, through a regressor that is thrown away afterwards (`tinykd.Hint`, lesson 04). No class, no label, no task: *task-agnostic*. Encoders of sentences
# are distilled in this way, before anybody knows what they will be used for (lesson 11).
#
# The last two need no labels, so they may look at 3,000 digits of all kinds; labels exist for those of them that are 0 to 4. To tell the two apart, a fourth student learns the representation from 0 to 4 alone. Each has 16 numbers on its last hidden layer. A **linear probe**, fitted with 300 labels of the new task, says what can be read off them (`tinykd.linear_probe`). What is matched are the layer's numbers before the ReLU, where one below zero still says something.
#
# **What do you expect?** Which student knows most about 5 to 9, which about slant? And which is best at the teacher's own task?

# %% role="show" name="probes"
probe_steps = {"smoke": 10, "default": 400, "full": 400}[scale]
low, test_low = y < 5, test_y < 5
lean, test_lean = attributes(big, big)[:, 2], attributes(test_big, big)[:, 2]
old_digits = torch.arange(3000)[low[:3000]]


def last_hidden(net, x):
    """The last hidden layer of an MLP before its ReLU, with its graph."""
    h = x.flatten(1)
    for layer in net.layers[:-2]:
        h = F.relu(layer(h))
    return net.layers[-2](h)


def probed(net):
    """Percent right by linear probes with 300 labels each."""
    with torch.no_grad():
        train, test = F.relu(last_hidden(net, x)), F.relu(last_hidden(net, test_x))
    parts = {
        "5 to 9": (~low, y - 5, ~test_low, test_y - 5),
        "slant": (low | ~low, lean, test_low | ~test_low, test_lean),
        "0 to 4": (low, y, test_low, test_y),
    }
    return {
        name: 100 * linear_probe((train[a][:300], truth[a][:300]), (test[b], test_truth[b]), 0.1)
        for name, (a, truth, b, test_truth) in parts.items()
    }


def pupil(kind, teacher, seed):
    student, more = new(196, 32, 16, 5, seed=seed), ()
    rows_of = old_digits if kind in ("labels", "representation, 0 to 4") else torch.arange(3000)
    if kind.startswith("representation"):
        regressor = nn.Linear(16, 100)
        more = regressor.parameters()
        loss = lambda rows: tinykd.features.hint(
            regressor(last_hidden(student, x[rows_of[rows]])),
            last_hidden(teacher, x[rows_of[rows]]),
        )
    elif kind == "soft targets":
        told = predict(teacher, x[rows_of])
        loss = lambda rows: forward_kl(student(x[rows_of[rows]]), told[rows], T=4)
    else:
        loss = lambda rows: cross_entropy(student(x[rows_of[rows]]), y[rows_of[rows]])
    return fit(student, loss, len(rows_of), probe_steps, rate=1e-2, seed=seed, more=more)


PUPILS = ("labels", "soft targets", "representation", "representation, 0 to 4")
found = {}
for seed in range(seeds):
    rows_low = low.nonzero()[:, 0]
    teacher = plainly(
        new(196, 200, 100, 5, seed=seed), x[rows_low], y[rows_low], probe_steps, 2e-3, seed
    )
    found.setdefault("teacher", []).append(probed(teacher))
    found.setdefault("as it starts", []).append(probed(new(196, 32, 16, 5, seed=seed)))
    for kind in PUPILS:
        found.setdefault(kind, []).append(probed(pupil(kind, teacher, seed)))
    now = ", ".join(f"{s[-1]['5 to 9']:.0f}" for s in found.values())
    print(f"seed {seed}: {now}% of 5 to 9, in the order of the figure")

# %% role="show" name="fig-probes" folded=true
KEYS = {"5 to 9": "accuracy", "slant": "slant", "0 to 4": "own_task"}
figure, grid = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True, layout="constrained")
for axes, task in zip(grid, KEYS, strict=True):
    for n, scores in enumerate(found.values()):
        values = [s[task] for s in scores]
        axes.barh(
            n, np.mean(values), color=COLORS[7 if n < 2 else n - 2], alpha=0.5 if n < 2 else 1
        )
        axes.plot(values, [n] * len(values), "o", color="black", markersize=2.5)
    axes.set(title=task if task == "slant" else f"digits {task}", xlabel="% right", xlim=(0, 100))
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_yticks(range(len(found)), list(found))
grid[0].invert_yaxis()
plots.show(
    "Bars: what a linear probe reads out of the teacher, of an untrained student and of four "
    "taught ones, for three tasks. On the digits 5 to 9 and on slant the students of the "
    "representation lead; on 0 to 4 all of the taught ones are close to the teacher."
)
print("dots: your seeds\n")
print(f"Our runs:{'':25s}{'5 to 9':>13s}{'slant':>13s}{'0 to 4':>13s}")
for method in ("teacher", "as it starts", *PUPILS[:3], "representation, digits 0 to 4"):
    print(
        f"{method:34s}"
        + "".join(f"{said(runs('probes', method, key)):>13s}" for key in KEYS.values())
    )
print("\nPaired by seed:")
for method, rival in (
    ("soft targets", "labels"),
    ("representation", "labels"),
    ("representation", "soft targets"),
    ("representation, digits 0 to 4", "labels"),
):
    print(f"  {method} against {rival}:")
    for task, key in KEYS.items():
        print(f"      {task:8s}{gap('probes', method, rival, key)}")

# %% [markdown]
# **What we saw.** At the teacher's own task everybody is good, and none is ahead by much. Ask about something else, and the order turns. Labels and soft targets leave a student with some 61% on 5 to 9, and there is no difference between them that we could show (1.2 ± 1.8), although soft targets were given twice as many digits, and digits of the new kinds. The representation on the same digits gives 69%, 8.3 ± 4.0 points above the labels
# and 7.1 ± 5.4 above soft targets. Five numbers a picture say what five classes need. A hundred numbers say more than anybody has asked for so far.
#
# Of slant, soft targets know even less than labels (3.4 ± 1.6 points), and the representation 9.8 ± 6.1 more than they; its lead over labels hardly leaves its own interval (6.3 ± 6.3), so do not build on that. The student that has seen 0 to 4 alone tells the two reasons apart: on 5 to 9 its lead over labels is not shown (2.0 ± 4.6). As far as these seeds go, the lead on new digits takes *both*: the representation as a target, and new kinds of digits to look at. And all of them stay far below their teacher, with 81%: 16 numbers are few.
#
# ## Your own experiments
#
# The next cell is for the first question; for the second you change a line of `taught` in section 3. Explain what you see before you look anything up.
#
# 1. **How firmly should one hold on to yesterday?** Weights of 0, 0.3, 1, 3 and 10 for the old self, on *rotation*. Where does each lie on the two axes? Is there a weight at which the old self beats a hundred kept digits? And what happens to the trade if you combine them: the old self on the new pictures *and* 100 kept digits? (Write a fifth way in `Learner`.)
# 2. **Which teacher makes a firm student?** Our table has a student of the *usual* teacher next to that of the firm one. Make the usual teacher softer (`forward_kl(z, clean, T=3)` in `taught`), or give the firm one only 200 steps. What is it about a teacher that the student needs: that it stands firm, or that it is unsure?


# %% role="show" name="experiment"
weights = (0.0, 1.0)  # change this
world_tasks = list(angles())
for weight in weights:
    ways = []
    for seed in range(min(seeds, 2)):

        def learn(model, old_self, task):
            def loss(rows):
                z, truth = model(task["x"][rows]), task["y"][rows]
                if old_self is None:
                    return cross_entropy(z.masked_fill(~task["new"], -torch.inf), truth)
                with torch.no_grad():
                    before = old_self(task["x"][rows])
                return own_loss(z, before, truth, task["old"], task["new"], 2.0, weight)

            fit(model, loss, len(task["x"]), steps, seed=seed)

        ways.append(go_through(new(196, 100, 10, seed=seed), world_tasks, learn, score))
    lost, gained = (np.mean([f(m) for m in ways]) for f in (tinykd.forgetting, tinykd.learning))
    end = np.mean([float(m[-1].mean()) for m in ways])
    print(f"weight {weight}: forgetting {lost:.1f}, learning {gained:.1f}, at the end {end:.1f}%")

# %% [markdown]
# ## What we saw
#
# - Soft targets need somebody who says something about an input. It may be the same network, yesterday; it may have seen the input through another eye; it may have been trained for another task.
# - Forgetting and learning are two numbers. A method that reports one of them can always win.
# - In a shared space, sentences are classes: what was never described can be named, and a small student can move into a space that others have built. What its own view lacks, it cannot learn.
# - Robust soft targets: the student sees the attacked input, the teacher the clean one. Report clean and robust accuracy together, over several attacks.
# - A zero gradient is not robustness. An attack that stands still has not been tried.
# - What a student learns beside its task depends on *what* was matched: classes carry over what the classes need, a representation carries over more.
#
# In the engine these are `tinykd/continual.py`, `contrast.py`, `attacks.py` and `robust.py`: a page each. `Trainer(student, 5 / 6 * Adversarial(SoftTargets(T=1), student, 0.1) + 1 / 6 * SoftTargets(T=1), teacher)` is the whole of section 3's training.
#
# ## Further reading
# - Li and Hoiem, *Learning without Forgetting*, 2016 ([arXiv 1606.09282](https://arxiv.org/abs/1606.09282)). Rebuffi et al., *iCaRL*, 2016 ([arXiv 1611.07725](https://arxiv.org/abs/1611.07725)): soft targets *and* a few kept examples. Chaudhry et al., 2018 ([arXiv 1801.10112](https://arxiv.org/abs/1801.10112)): how forgetting is measured.
# - Gupta, Hoffman, Malik, *Cross Modal Distillation for Supervision Transfer*, 2015 ([arXiv 1507.00448](https://arxiv.org/abs/1507.00448)): a network of colour pictures teaches one of depth pictures, by pairs without labels. Radford et al., *CLIP*, 2021 ([arXiv 2103.00020](https://arxiv.org/abs/2103.00020)).
# - Madry et al., *Towards Deep Learning Models Resistant to Adversarial Attacks*, 2017 ([arXiv 1706.06083](https://arxiv.org/abs/1706.06083)). Goldblum et al., *Adversarially Robust Distillation*, 2019 ([arXiv 1905.09747](https://arxiv.org/abs/1905.09747)). Zi et al., 2021 ([arXiv 2108.07969](https://arxiv.org/abs/2108.07969)).
# - Athalye, Carlini, Wagner, *Obfuscated Gradients Give a False Sense of Security*, 2018 ([arXiv 1802.00420](https://arxiv.org/abs/1802.00420)): read it before you believe in a defence, above all your own.
#
# Check your notebook with `.venv/bin/tinykd check lessons/10_other_worlds.ipynb`.

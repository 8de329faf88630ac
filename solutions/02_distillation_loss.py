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
# # 02 · The distillation loss
#
# **What you will be able to do**
# - write the loss that the word *distillation* comes from, with the right factors in the right places;
# - derive the factor $T^2$ in four lines, and measure that it is right;
# - say what distillation becomes at a very high temperature;
# - write the training loop around it in plain PyTorch, and know what a `Trainer` takes off your hands;
# - recognise the classic bugs of this loss, say which of them the test error will *not* show you, and write the test that finds them.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: four functions of one to four lines, two of a dozen |
# | Importance | 5 of 5: a wrong factor here makes every later experiment wrong, silently |
# | Time | an hour and three quarters of yours; 3 to 4 minutes of computing on 2 cores |
# | Needs | lessons 00 and 01 (softmax at a temperature, `log_softmax`) |

# %% role="setup" name="setup"
import math
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

import tinykd
from tinykd import (
    MLP,
    Batches,
    HardLabels,
    SoftTargets,
    Trainer,
    load_mnist,
    log_softmax,
    predict,
    softmax,
)
from tinykd import plots
from tinykd.classroom import Checks, with_gradient
from tinykd.plots import COLORS

check = Checks("02_distillation_loss")


def draw(rng, *shape, size=3.0):
    """Random logits in float64, normal with standard deviation `size`, that have a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


def draw_far(rng, *shape):
    """Logits for which exp() is 0 or infinite: rows thousands apart, a hopeless class in each row.

    Returns the logits (..., C) and the hopeless class of each row, (...).
    """
    z = rng.normal(scale=3, size=shape)
    hopeless = rng.integers(shape[-1], size=shape[:-1])
    depth = rng.uniform(2000, 4000, size=shape[:-1])
    np.put_along_axis(z, hopeless[..., None], -depth[..., None], -1)
    height = rng.uniform(1000, 5000, size=shape[:-1]) * rng.choice([-1, 1], size=shape[:-1])
    z += height[..., None]
    return torch.tensor(z, requires_grad=True), torch.tensor(hopeless)


def centred(z):
    """Logits minus their mean over the classes of each position."""
    return z - z.mean(-1, keepdim=True)


def plain_kl(student, teacher, T):
    """KL(p || q) by torch's own function: no T^2 anywhere."""
    log_p, log_q = log_softmax(teacher, T), log_softmax(student, T)
    return F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)


def pull(loss, student, teacher, T):
    """Gradient of the summed loss in the student's logits, (N, C); float64 to see far up in T."""
    student = student.detach().double().requires_grad_()
    (slope,) = torch.autograd.grad(loss(student, teacher.double(), T).sum(), student)
    return slope


# %% [markdown]
# ## Three ways to tell a student what a digit is
#
# A student can be told the answer in three ways. **Hard:** "it is a 4", probability 1 on one class. **Smoothed:** "it is a 4,
# but be modest about it": a share $s = 0.1$ of the probability is spread evenly over all ten classes, so the 4 gets 0.91 and every other class 0.01.
# **Soft:** "it is a 4, I would also understand a 9, and it is certainly not a 0", which is what a teacher says at a temperature.
#
# The next cell trains a teacher on all 60,000 digits (about 10 seconds); the one after it draws the three for one test digit.

# %% role="show" name="teacher"
scale = tinykd.scale()
images, labels = load_mnist("train")
test_images, test_labels = load_mnist("test")
count, epochs = {"smoke": (8_000, 2), "default": (60_000, 4), "full": (60_000, 20)}[scale]

torch.manual_seed(0)
teacher = MLP(784, 300, 300, 10, dropout=0.3)
Trainer(
    teacher,
    HardLabels(),
    optimizer=lambda parameters: torch.optim.Adam(parameters, 2e-3),
    schedule=tinykd.cosine(1, 0),
    progress=False,
).fit(Batches(images[:count], labels[:count], size=250), epochs=epochs)
teacher.cpu()
teacher_logits = predict(teacher, test_images)  # (10000, 10)
wrong = int((teacher_logits.argmax(-1) != test_labels).sum())
print(f"The teacher gets {wrong} of 10,000 test digits wrong.")

# %% role="show" name="targets" folded=true
# The 4 that leans most towards a 9, among those the teacher gets right.
fours = torch.where((test_labels == 4) & (teacher_logits.argmax(-1) == 4))[0]
digit = fours[softmax(teacher_logits[fours])[:, 9].argmax()]
targets = {
    "hard": np.eye(10)[4],
    "smoothed, s = 0.1": 0.9 * np.eye(10)[4] + 0.1 / 10,
    "soft, T = 4": softmax(teacher_logits[digit], T=4).numpy(),
}
figure, grid = plt.subplots(
    1, 4, figsize=(11, 2.4), width_ratios=(1, 2, 2, 2), layout="constrained"
)
grid[0].imshow(test_images[digit], cmap="gray_r")
grid[0].axis("off")
for axes, (title, target), colour in zip(grid[1:], targets.items(), COLORS[:3], strict=True):
    axes.bar(range(10), target, color=colour)
    axes.set(title=title, xticks=range(10), ylim=(0, 1), xlabel="class")
    axes.spines[["top", "right"]].set_visible(False)
grid[1].set_ylabel("target probability")
plots.show(
    "A handwritten 4 and three bar charts of its target probabilities over the ten classes: hard, "
    "all on the 4; smoothed, 0.91 on the 4 and 0.01 on each other class; soft, the 4 and the 9 "
    "nearly level with little on the others."
)
for title, target in targets.items():
    print(f"{title:18s}" + "".join(f"{share:6.2f}" for share in target))

# %% [markdown]
# Two questions make a loss: how do we measure the distance between such a target and the student's
# probabilities $q$, and how do we add the distances up?
#
# ## Hard labels: cross-entropy
#
# The student has logits $z$ and probabilities $q = \mathrm{softmax}(z)$. With a target $y$ the **cross-entropy** is
#
# $$\mathrm{CE}(y, q) = -\sum_i y_i \log q_i = -\log q_{\text{label}} \quad\text{for a hard label.}$$
#
# It is the number of nats by which the truth surprises the student: 0 if it was certain of the right answer, $\log 10 \approx 2.3$ if it
# had no idea, and without bound if it was certain of a wrong one.
#
# A rule for this whole course: **a loss gives one number per position.** Logits have shape `(..., C)`; the `C` classes are *summed* by
# the formula, and whatever stands in front of them (images of a batch, tokens of a sentence) stays. Averaging over positions comes
# later, once, in plain sight. Several of the bugs at the end of this lesson come from an average that nobody looked at, and so do many in published code.
#
# ### Exercise 1: cross-entropy
# Start from `log_softmax(logits)` of lesson 01, not from the logarithm of `softmax`: at logits of ±200 a probability is 0 to the
# computer, and $\log 0$ is not what you want.
#
# <details><summary>Hint: how to pick one class per position</summary>
#
# `x.gather(-1, index)` takes from the last axis the entries that `index` names. It wants `index` to have as many axes as `x`: `labels.unsqueeze(-1)`
# has shape `(..., 1)`, the result too, and `.squeeze(-1)` takes the extra axis away again. Or use the formula as it stands:
# `F.one_hot(labels, C)` is $y$, and you sum over the last axis. (`F` is `torch.nn.functional`; the first cell imports it.)
# </details>


# %% role="answer" name="cross_entropy" library="tinykd.cross_entropy, torch.nn.functional.cross_entropy, torch.nn.CrossEntropyLoss"
def cross_entropy(logits, labels):
    """Cross-entropy with hard labels: -log q_label, q = softmax(logits).

    logits: (..., C). labels: (...), whole numbers in [0, C). Returns (...), in nats, finite for any logits.
    """
    # YOUR CODE: the log-probability of the labelled class at every position, with a minus sign
    # BEGIN SOLUTION
    log_q = log_softmax(logits)  # (..., C)
    return -log_q.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    # END SOLUTION


# %% role="check" name="cross_entropy.values" points=1 hint="One number per position: minus the log-probability of the labelled class, nothing averaged."
rng = check.rng("cross_entropy.values")
logits, y = draw(rng, 6, 10), torch.tensor(rng.integers(9, size=6))  # nobody is of class 9
check("cross_entropy.values", with_gradient(check.call(cross_entropy, logits, y), logits))

# %% role="check" name="cross_entropy.positions" points=1 hint="Logits may have more than two axes: classes are always on the last one (dim=-1)."
rng = check.rng("cross_entropy.positions")
logits, y = draw(rng, 2, 5, 7), torch.tensor(rng.integers(7, size=(2, 5)))
check("cross_entropy.positions", with_gradient(check.call(cross_entropy, logits, y), logits))

# %% role="check" name="cross_entropy.extreme" points=1 hint="These logits are thousands apart, inside a row and from row to row: take log_softmax, never log(softmax) and never log(q + something)."
rng = check.rng("cross_entropy.extreme")
logits, y = draw_far(rng, 6, 10)
y[:3] = torch.tensor(rng.integers(10, size=3))  # the others are labelled with a hopeless class
check("cross_entropy.extreme", with_gradient(check.call(cross_entropy, logits, y), logits))

# %% role="hidden" name="cross_entropy.secret" points=1 hint="Other shapes and larger logits: no loop over a fixed number of axes, no logarithm of a probability."
rng = check.rng("cross_entropy.secret")
logits, y = draw_far(rng, 2, 3, 4, 6)
y[0] = torch.tensor(rng.integers(6, size=(3, 4)))
check("cross_entropy.secret", with_gradient(check.call(cross_entropy, logits, y), logits))


# %% role="mutant" of="cross_entropy" name="cross_entropy.mean" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="You averaged over positions. Return one number per position; averaging comes later, in one place."
def cross_entropy(logits, labels):
    return -log_softmax(logits).gather(-1, labels.unsqueeze(-1)).mean()


# %% role="mutant" of="cross_entropy" name="cross_entropy.no_log" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="That is minus the probability. Cross-entropy is minus its logarithm."
def cross_entropy(logits, labels):
    return -softmax(logits).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.all_classes" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="You summed -log q over all classes. The target y is 0 everywhere but at the label: only that class counts."
def cross_entropy(logits, labels):
    return -log_softmax(logits).sum(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.class_mean" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="You took the mean over classes: the loss is C times too small. Classes are summed."
def cross_entropy(logits, labels):
    y = F.one_hot(labels, logits.shape[-1])
    return -(y * log_softmax(logits)).mean(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.epsilon" loses="cross_entropy.extreme, cross_entropy.secret" hint="log(q + 1e-12) cannot be larger than 27.6 and its gradient dies where the student is most wrong. Use log_softmax."
def cross_entropy(logits, labels):
    return -torch.log(softmax(logits).gather(-1, labels.unsqueeze(-1)).squeeze(-1) + 1e-12)


# %% role="mutant" of="cross_entropy" name="cross_entropy.log_of_softmax" loses="cross_entropy.extreme, cross_entropy.secret" hint="You take the logarithm of a probability. At these logits it is 0 to the computer, and log 0 is minus infinity. Use log_softmax."
def cross_entropy(logits, labels):
    return -torch.log(softmax(logits).gather(-1, labels.unsqueeze(-1)).squeeze(-1))


# %% role="mutant" of="cross_entropy" name="cross_entropy.axis_1" loses="cross_entropy.positions, cross_entropy.secret" hint="Your softmax runs over axis 1. Classes are on the last axis: dim=-1."
def cross_entropy(logits, labels):
    return -torch.log_softmax(logits, 1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.sign" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="The minus sign is missing: a loss falls when the right class becomes more probable."
def cross_entropy(logits, labels):
    return log_softmax(logits).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.twice" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="Softmax is applied twice: log_softmax takes logits, not probabilities."
def cross_entropy(logits, labels):
    return -log_softmax(softmax(logits)).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.own_answer" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="You score the student's own favourite class (argmax or max). The label decides which class counts."
def cross_entropy(logits, labels):
    return -log_softmax(logits).max(-1).values


# %% role="mutant" of="cross_entropy" name="cross_entropy.one_maximum" loses="cross_entropy.extreme, cross_entropy.secret" hint="You subtract one maximum from all logits. Rows that lie far below it then have only exp(-thousands) = 0 left, and log 0. Each row has its own maximum; log_softmax sees to it."
def cross_entropy(logits, labels):
    z = logits - logits.max()
    log_q = z - torch.log(z.exp().sum(-1, keepdim=True))
    return -log_q.gather(-1, labels.unsqueeze(-1)).squeeze(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.in_place" loses="cross_entropy.values, cross_entropy.positions, cross_entropy.extreme, cross_entropy.secret" hint="labels.unsqueeze_ with an underscore changes the caller's labels, not a copy: their shape is another one afterwards. Write labels.unsqueeze(-1)."
def cross_entropy(logits, labels):
    return -log_softmax(logits).gather(-1, labels.unsqueeze_(-1)).squeeze(-1)


# %% role="mutant" of="cross_entropy" name="cross_entropy.clamped" loses="cross_entropy.extreme, cross_entropy.secret" hint="A clamp hides the infinity and cuts the gradient with it: where the student is most wrong, it learns nothing. Use log_softmax."
def cross_entropy(logits, labels):
    q = softmax(logits).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return -torch.log(q.clamp(min=1e-300))


# %% role="alternative" of="cross_entropy" name="cross_entropy.one_hot"
def cross_entropy(logits, labels):
    y = F.one_hot(labels, logits.shape[-1])
    return -(y * log_softmax(logits)).sum(dim=-1)


# %% role="alternative" of="cross_entropy" name="cross_entropy.logsumexp"
def cross_entropy(logits, labels):
    right = torch.take_along_dim(logits, labels[..., None], dim=-1)[..., 0]
    return torch.logsumexp(logits, dim=-1) - right


# %% role="alternative" of="cross_entropy" name="cross_entropy.by_torch"
def cross_entropy(logits, labels):
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, labels.reshape(-1), reduction="none").reshape(labels.shape)


# %% [markdown]
# ## Soft targets: the Kullback-Leibler divergence
#
# The teacher has logits $v$. At temperature $T$: $p = \mathrm{softmax}(v/T)$ for the teacher, $q = \mathrm{softmax}(z/T)$ for the student.
# Cross-entropy works for soft targets too, but it does not go to 0 when the student is perfect: it stops at the teacher's own entropy. Take that away:
#
# $$\mathrm{KL}(p\,\|\,q) = \underbrace{-\sum_i p_i \log q_i}_{\mathrm{CE}(p,\,q)} - \underbrace{\Big(-\sum_i p_i \log p_i\Big)}_{\text{entropy of } p}
#  = \sum_i p_i\,(\log p_i - \log q_i) \;\ge\; 0,$$
#
# which is 0 exactly where $q = p$. The teacher is a constant, so the gradient is that of the cross-entropy. Order matters:
# $\mathrm{KL}(p\|q)$ makes the student pay wherever the *teacher* sees a possibility; $\mathrm{KL}(q\|p)$, the other way round, where the *student* does.
#
# ## Why $T^2$
#
# How hard does this loss pull at a logit? Differentiate $-\sum_j p_j \log q_j$ with $\log q_j = z_j/T - \log\sum_k e^{z_k/T}$:
#
# $$\frac{\partial\,\mathrm{KL}}{\partial z_i} = -\sum_j p_j\,\frac1T\,(\delta_{ij} - q_i) = \frac1T\,(q_i - p_i).$$
#
# There is one $1/T$, in the open. The second hides in the difference. When $T$ is large, $e^{x/T} \approx 1 + x/T$, both distributions are almost uniform, and
#
# $$q_i - p_i \;\approx\; \frac1C\Big(1 + \frac{z_i - \bar z}{T}\Big) - \frac1C\Big(1 + \frac{v_i - \bar v}{T}\Big) = \frac{1}{C\,T}\big[(z_i - \bar z) - (v_i - \bar v)\big].$$
#
# Together: **the gradient shrinks as $1/T^2$**. Multiply the loss by $T^2$, and its pull stays about the same at every temperature. You can then try
# another $T$ without touching the learning rate, and without silently handing all the say to the hard labels. That was the derivation; do the numbers agree?
#
# **What do you expect?** The next figure shows the size of the gradient against $T$ on two logarithmic axes, with and without $T^2$. Which of the two curves is flat, and from which $T$ on?

# %% role="show" name="gradient-size"
torch.manual_seed(1)
novice = MLP(784, 100, 100, 10)  # a student that has not learned anything yet
novice_logits = predict(novice, test_images[:1000])  # (1000, 10)


def size(T):
    """Mean over digits of the size of the gradient of plain KL at T."""
    return float(pull(plain_kl, novice_logits, teacher_logits[:1000], T).norm(dim=-1).mean())


temperatures = np.geomspace(0.5, 200, 30)
without = np.array([size(T) for T in temperatures])
with_T2 = without * temperatures**2
figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
axes.loglog(temperatures, without, color=COLORS[5], marker=".", label="KL")
axes.loglog(temperatures, with_T2, color=COLORS[0], marker=".", label="$T^2$ KL")
axes.loglog(temperatures, with_T2[-1] / temperatures**2, "k:", label="slope $1/T^2$")
axes.set(xlabel="temperature T", ylabel="mean size of the gradient\nof one digit")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plots.show(
    "Size of the gradient against T, both axes logarithmic: that of plain KL falls and lies on a "
    "line of slope 1/T² above T = 20; that of T² KL rises to T = 5 and is almost flat after it."
)
for T in (1, 4, 20, 100):
    print(f"T = {T:3d}: gradient of KL {size(T):.6f}, of T² KL {T**2 * size(T):.3f}")
print(
    f"T = 1 to 100: KL falls {size(1) / size(100):,.0f} times, T = 4 to 20: {size(4) / size(20):.0f}"
)

# %% [markdown]
# **What we saw.** Above $T \approx 20$ the measured points lie on the dotted line: from $T = 1$ to $T = 100$ the gradient of the plain divergence fell six
# thousand times. With $T^2$ it is 0.9 at $T = 1$, 2.4 at $T = 4$, 1.8 at $T = 20$ and 1.6 at $T = 100$. So $T^2$ is not magic: it makes the pull *nearly*
# independent of $T$, and only once $T$ is large. Without it, going from $T = 4$ to $T = 20$ would have meant a pull 33 times weaker.
#
# ### Exercise 2: the soft-target loss
# $T^2\,\mathrm{KL}(p\|q)$, one number per position. Three things are easy to get wrong. Both sides get the temperature. Everything is computed from
# log-probabilities. And no gradient flows into the teacher: `teacher.detach()` is the same numbers, with the connection to whatever made them cut.


# %% role="answer" name="kl_divergence" library="tinykd.forward_kl, plain_kl"
def kl_divergence(student, teacher, T=1.0):
    """T^2 KL(p || q) = T^2 sum_i p_i (log p_i - log q_i), p = softmax(teacher / T), q = softmax(student / T).

    student, teacher: logits (..., C). Returns (...), in nats. The teacher gets no gradient.
    """
    # YOUR CODE: two log_softmax at T, one exp, one sum over classes, one factor
    # BEGIN SOLUTION
    log_p = log_softmax(teacher.detach(), T)  # (..., C)
    log_q = log_softmax(student, T)  # (..., C)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)
    # END SOLUTION


# %% role="check" name="kl_divergence.values" points=1 hint="At T = 1: sum over classes of p (log p - log q), with p the teacher's probabilities and q the student's."
rng = check.rng("kl_divergence.values")
student, teacher_z = draw(rng, 5, 10), draw(rng, 5, 10).detach()
loss = check.call(kl_divergence, student, teacher_z, T=1.0)
check("kl_divergence.values", with_gradient(loss, student))

# %% role="check" name="kl_divergence.temperature" points=1 hint="At T = 4 both softmaxes get the temperature, and the result is multiplied by T squared."
rng = check.rng("kl_divergence.temperature")
student, teacher_z = draw(rng, 5, 10), draw(rng, 5, 10).detach()
loss = check.call(kl_divergence, student, teacher_z, T=4.0)
check("kl_divergence.temperature", with_gradient(loss, student))

# %% role="check" name="kl_divergence.positions" points=1 hint="Logits of shape (2, 3, 6) give losses of shape (2, 3): sum over the last axis, and over nothing else."
rng = check.rng("kl_divergence.positions")
student, teacher_z = draw(rng, 2, 3, 6), draw(rng, 2, 3, 6).detach()
loss = check.call(kl_divergence, student, teacher_z, T=1.0)
check("kl_divergence.positions", with_gradient(loss, student))

# %% role="check" name="kl_divergence.zero" points=1 hint="Item 0: student and teacher agree, at T = 3. A divergence is 0 there, and so is its gradient, at any T. Item 1: they differ, at T = 1, and neither is 0."
rng = check.rng("kl_divergence.zero")
student, other = draw(rng, 4, 10), draw(rng, 4, 10).detach()
agreed = check.call(kl_divergence, student, student.detach().clone(), T=3.0)
differs = check.call(kl_divergence, student, other, T=1.0)
check("kl_divergence.zero", [with_gradient(agreed, student), with_gradient(differs, student)])

# %% role="check" name="kl_divergence.extreme" points=1 hint="Logits thousands apart, inside a row and from row to row: compute with log-probabilities all the way, no log(p / q), no log(q + something)."
rng = check.rng("kl_divergence.extreme")
(student, _), (teacher_z, _) = draw_far(rng, 5, 10), draw_far(rng, 5, 10)
loss = check.call(kl_divergence, student, teacher_z.detach(), T=1.0)
check("kl_divergence.extreme", with_gradient(loss, student))

# %% role="check" name="kl_divergence.constant" points=1 hint="The student's gradient is the loss's, the teacher's is 0: the teacher is a constant, detach it."
rng = check.rng("kl_divergence.constant")
student, teacher_z = draw(rng, 3, 10), draw(rng, 3, 10)
gradients = [
    with_gradient(check.call(kl_divergence, student, teacher_z, T=1.0), logits)["gradient"]
    for logits in (student, teacher_z)
]
check("kl_divergence.constant", dict(zip(("student", "teacher"), gradients, strict=True)))

# %% role="hidden" name="kl_divergence.secret" points=1 hint="Another shape, another temperature, large logits: the same formula must hold, in value and in gradient."
rng = check.rng("kl_divergence.secret")
(student, _), (teacher_z, _) = draw_far(rng, 2, 2, 3, 5), draw_far(rng, 2, 2, 3, 5)
loss = check.call(kl_divergence, student, teacher_z.detach(), T=rng.uniform(1.5, 2.5))
check("kl_divergence.secret", with_gradient(loss, student))


# %% role="mutant" of="kl_divergence" name="kl_divergence.no_T2" loses="kl_divergence.temperature, kl_divergence.secret" hint="The factor T squared is missing: without it the soft targets fade as T grows."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.T1" loses="kl_divergence.temperature, kl_divergence.secret" hint="You multiplied by T. One 1/T comes from the chain rule and a second from p and q drawing together: the factor is T squared."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.class_mean" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.extreme, kl_divergence.secret, kl_divergence.zero, kl_divergence.constant" hint="You took the mean over classes: the loss is C times too small. A divergence is a sum over classes."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_p.exp() * (log_p - log_q)).mean(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.batchmean" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="You return one number for the whole batch, the sum over all divided by the first axis alone (in torch: reduction='batchmean'). Return one number per position."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * F.kl_div(log_q, log_p.exp(), reduction="batchmean")


# %% role="mutant" of="kl_divergence" name="kl_divergence.torch_mean" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="torch's kl_div averages over positions AND classes unless told otherwise. Ask for reduction='none', then sum over the last axis."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * F.kl_div(log_q, log_p.exp(), reduction="none").mean()


# %% role="mutant" of="kl_divergence" name="kl_divergence.log_weights" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="The weights of the sum are the teacher's probabilities, not their logarithms: log_p.exp()."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_p * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.log_of_ratio" loses="kl_divergence.extreme, kl_divergence.secret" hint="You take the logarithm of probabilities, which are 0 to the computer at these logits. Work with log_softmax all the way."
def kl_divergence(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    return T**2 * (p * torch.log(p / q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.reversed" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.extreme, kl_divergence.secret, kl_divergence.zero, kl_divergence.constant" hint="That is KL(q || p), the wrong way round: the teacher's probabilities are the weights of the sum."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.no_entropy" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret" hint="That is the cross-entropy of p and q: the gradient is right, but the loss of a perfect student is not 0. Subtract the teacher's entropy."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return -(T**2) * (log_p.exp() * log_q).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.twice" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.extreme, kl_divergence.secret, kl_divergence.zero, kl_divergence.constant" hint="Softmax is applied twice: log_softmax takes logits, not probabilities."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(softmax(teacher.detach()), T), log_softmax(softmax(student), T)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.one_side" loses="kl_divergence.temperature, kl_divergence.zero, kl_divergence.secret" hint="Only the teacher got the temperature. Both sides are read at the same T."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.epsilon" loses="kl_divergence.extreme, kl_divergence.secret" hint="You added an epsilon inside the logarithm: where the student is most wrong, the loss is cut off and the gradient dies. Use log_softmax."
def kl_divergence(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    return T**2 * (p * torch.log((p + 1e-12) / (q + 1e-12))).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.attached" loses="kl_divergence.constant" hint="The teacher receives a gradient. It is a constant: teacher.detach()."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher, T), log_softmax(student, T)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.cut_off" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="The value is right and no gradient reaches the student: nothing can learn from it. Detach the teacher alone, and compute the rest outside of torch.no_grad()."
def kl_divergence(student, teacher, T):
    with torch.no_grad():
        log_p, log_q = log_softmax(teacher, T), log_softmax(student, T)
        return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.no_logs" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="torch's kl_div wants the student's log-probabilities first; you gave it probabilities."
def kl_divergence(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    return T**2 * F.kl_div(q, p, reduction="none").sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.itself" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.extreme, kl_divergence.secret, kl_divergence.zero, kl_divergence.constant" hint="The loss is 0 everywhere: you compare the student with itself, or the teacher with itself."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(student.detach(), T), log_softmax(student, T)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.in_place" loses="kl_divergence.temperature, kl_divergence.zero, kl_divergence.secret" hint="detach() gives no copy: `/= T` on it divides the caller's logits. Write teacher / T, or let log_softmax divide."
def kl_divergence(student, teacher, T=1.0):
    teacher = teacher.detach()
    teacher /= T
    log_p, log_q = log_softmax(teacher), log_softmax(student, T)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.nan_to_num" loses="kl_divergence.extreme, kl_divergence.secret" hint="The NaN and the infinity are gone from the value, and what they stood for with them: a class that the student rules out and the teacher does not must cost a lot. Work with log_softmax all the way."
def kl_divergence(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    terms = p * torch.log(p / q)
    return T**2 * torch.where(terms.isfinite(), terms, 0.0).sum(-1)


# %% role="alternative" of="kl_divergence" name="kl_divergence.by_torch"
def kl_divergence(student, teacher, T=1.0):
    p = torch.softmax(teacher.detach() / T, dim=-1)
    log_q = F.log_softmax(student / T, dim=-1)
    return F.kl_div(log_q, p, reduction="none").sum(dim=-1) * (T * T)


# %% role="alternative" of="kl_divergence" name="kl_divergence.cross_entropy_minus_entropy"
def kl_divergence(student, teacher, T=1.0):
    with torch.no_grad():
        log_p = log_softmax(teacher, T)
        p = log_p.exp()
        entropy = -(p * log_p).sum(-1)
    return T**2 * (-(p * log_softmax(student, T)).sum(-1) - entropy)


# %% [markdown]
# ## The same gradient, by hand
#
# Autograd is convenient, and it hides what a loss *does*. What a soft target does to the logits fits in one line. Take the derivation above,
# put back the factor $T^2$, and average over the $N$ positions of the batch:
#
# $$L = \frac1N \sum_{n=1}^{N} T^2\,\mathrm{KL}(p_n\|q_n), \qquad \frac{\partial L}{\partial z_{ni}} = \;?$$
#
# You know $\partial\,\mathrm{KL}/\partial z_i$ for one position. Collect the factors.
#
# ### Exercise 3: the gradient without autograd
# Positions are *all* axes but the last: logits of shape (2, 3, 10) have $N = 6$ of them, not 2.
#
# <details><summary>Hint: counting positions</summary>
#
# `student.numel()` counts all numbers, and there are `student.shape[-1]` of them at every position.
# </details>


# %% role="answer" name="soft_gradient" library="torch.autograd.grad, tinykd.forward_kl, pull, plain_kl"
def soft_gradient(student, teacher, T=1.0):
    """Gradient in the student's logits of the mean over positions of T^2 KL(p || q), in closed form.

    student, teacher: logits (..., C). Returns (..., C): what autograd would give, without autograd.
    """
    # YOUR CODE: two softmaxes, the factors you collected, the number of positions
    # BEGIN SOLUTION
    p, q = softmax(teacher, T), softmax(student, T)  # (..., C)
    positions = student.numel() / student.shape[-1]
    return T * (q - p) / positions
    # END SOLUTION


# %% role="check" name="soft_gradient.values" points=1 hint="One position's KL has the gradient (q - p) / T. Multiply by T squared, divide by the number of positions."
rng = check.rng("soft_gradient.values")
student, teacher_z = draw(rng, 5, 10).detach(), draw(rng, 5, 10).detach()
check("soft_gradient.values", check.call(soft_gradient, student, teacher_z, T=3.0))

# %% role="check" name="soft_gradient.positions" points=1 hint="Every axis but the last counts positions: (2, 3, 10) has 6."
rng = check.rng("soft_gradient.positions")
student, teacher_z = draw(rng, 2, 3, 10).detach(), draw(rng, 2, 3, 10).detach()
check("soft_gradient.positions", check.call(soft_gradient, student, teacher_z, T=1.0))

# %% role="hidden" name="soft_gradient.secret" points=1 hint="Another shape, another temperature, large logits: T^2 from the loss, 1/T from the chain rule, 1/N from the mean, and softmaxes that do not overflow."
rng = check.rng("soft_gradient.secret")
student, teacher_z = (draw_far(rng, 3, 2, 2, 4)[0].detach() for _ in range(2))
check(
    "soft_gradient.secret", check.call(soft_gradient, student, teacher_z, T=rng.uniform(0.4, 0.7))
)


# %% role="mutant" of="soft_gradient" name="soft_gradient.sum" loses="soft_gradient.values, soft_gradient.positions, soft_gradient.secret" hint="That is the gradient of the sum. The mean divides by the number of positions."
def soft_gradient(student, teacher, T=1.0):
    return T * (softmax(student, T) - softmax(teacher, T))


# %% role="mutant" of="soft_gradient" name="soft_gradient.all_numbers" loses="soft_gradient.values, soft_gradient.positions, soft_gradient.secret" hint="You divided by the number of logits. Classes are not positions: your gradient is C times too small."
def soft_gradient(student, teacher, T=1.0):
    return T * (softmax(student, T) - softmax(teacher, T)) / student.numel()


# %% role="mutant" of="soft_gradient" name="soft_gradient.first_axis" loses="soft_gradient.positions, soft_gradient.secret" hint="You divided by the first axis alone. In (2, 3, 10) there are 6 positions, not 2: this is what batchmean gets wrong."
def soft_gradient(student, teacher, T=1.0):
    return T * (softmax(student, T) - softmax(teacher, T)) / len(student)


# %% role="mutant" of="soft_gradient" name="soft_gradient.T2" loses="soft_gradient.values, soft_gradient.secret" hint="You have T squared in front. The chain rule takes one T away again."
def soft_gradient(student, teacher, T=1.0):
    return (
        T**2 * (softmax(student, T) - softmax(teacher, T)) / (student.numel() / student.shape[-1])
    )


# %% role="mutant" of="soft_gradient" name="soft_gradient.no_T2" loses="soft_gradient.values, soft_gradient.secret" hint="That is the gradient of the plain KL. The loss here is T squared times as large."
def soft_gradient(student, teacher, T=1.0):
    return (softmax(student, T) - softmax(teacher, T)) / T / (student.numel() / student.shape[-1])


# %% role="mutant" of="soft_gradient" name="soft_gradient.no_T" loses="soft_gradient.values, soft_gradient.secret" hint="A factor T is missing: T squared from the loss, 1/T from the chain rule."
def soft_gradient(student, teacher, T=1.0):
    return (softmax(student, T) - softmax(teacher, T)) / (student.numel() / student.shape[-1])


# %% role="mutant" of="soft_gradient" name="soft_gradient.sign" loses="soft_gradient.values, soft_gradient.positions, soft_gradient.secret" hint="The sign is wrong: a step goes against the gradient, so it must be positive where the student has too much probability."
def soft_gradient(student, teacher, T=1.0):
    return T * (softmax(teacher, T) - softmax(student, T)) / (student.numel() / student.shape[-1])


# %% role="mutant" of="soft_gradient" name="soft_gradient.cold" loses="soft_gradient.values, soft_gradient.secret" hint="The probabilities are read at T = 1. Both come from the softmax at T."
def soft_gradient(student, teacher, T=1.0):
    return T * (softmax(student) - softmax(teacher)) / (student.numel() / student.shape[-1])


# %% role="mutant" of="soft_gradient" name="soft_gradient.two_axes" loses="soft_gradient.values, soft_gradient.secret" hint="You divided by the first two axes. Positions are all axes but the last, however many there are: numel() / shape[-1]."
def soft_gradient(student, teacher, T=1.0):
    return T * (softmax(student, T) - softmax(teacher, T)) / (student.shape[0] * student.shape[1])


# %% role="mutant" of="soft_gradient" name="soft_gradient.overflow" loses="soft_gradient.secret" hint="exp of a logit in the thousands is infinite. tinykd's softmax subtracts the largest logit of each row first."
def soft_gradient(student, teacher, T=1.0):
    q, p = (torch.exp(x / T) / torch.exp(x / T).sum(-1, keepdim=True) for x in (student, teacher))
    return T * (q - p) / (student.numel() / student.shape[-1])


# %% role="mutant" of="soft_gradient" name="soft_gradient.in_place" loses="soft_gradient.values, soft_gradient.secret" hint="`student /= T` divides the caller's logits. Write student / T."
def soft_gradient(student, teacher, T=1.0):
    student /= T
    return T * (softmax(student) - softmax(teacher, T)) / (student.numel() / student.shape[-1])


# %% role="alternative" of="soft_gradient" name="soft_gradient.flat"
def soft_gradient(student, teacher, T=1.0):
    n = student.reshape(-1, student.shape[-1]).shape[0]
    p, q = torch.softmax(teacher / T, -1), torch.softmax(student / T, -1)
    return T**2 * ((1 / T) * (q - p)) / n


# %% role="alternative" of="soft_gradient" name="soft_gradient.product"
def soft_gradient(student, teacher, T=1.0):
    positions = math.prod(student.shape[:-1])
    return (softmax(student, T) - softmax(teacher, T)).mul(T).div(positions)


# %% [markdown]
# ## Very hot: matching logits
#
# For large $T$ we found $q_i - p_i \approx \frac{1}{CT}\big[(z_i - \bar z) - (v_i - \bar v)\big]$. So at one position
#
# $$T\,(q_i - p_i) \;\longrightarrow\; \frac{1}{C}\Big[(z_i - \bar z) - (v_i - \bar v)\Big], \qquad T \to \infty .$$
#
# The temperature is gone. What is left is the gradient of an old acquaintance, half the squared distance between the **centred** logits:
#
# $$\lim_{T\to\infty} T^2\,\mathrm{KL}(p\|q) = \frac{1}{2C}\sum_i \big[(z_i - \bar z) - (v_i - \bar v)\big]^2 .$$
#
# (A bar is the mean over the classes of one position. Softmax does not notice a constant added to all logits, so the limit cannot either: centring
# removes it. `centred(z)` from the first cell does it.) Ba and Caruana trained shallow nets on a squared distance between logits in 2014, and Hinton's paper, which credits the idea to
# Buciluă, Caruana and Niculescu-Mizil (2006), shows in its section 2 that distillation contains it: distillation is logit matching with a knob.
# At a low $T$ it cares about the classes that the teacher holds possible, at a high $T$ about all logits alike, down to the most hopeless class. How high is high?
#
# **What do you expect?** The next figure shows how far the gradient of $T^2\,\mathrm{KL}$ is from that of the limit. Will it be close at $T = 4$? And at Hinton's $T = 20$?

# %% role="show" name="limit"
z, v = novice_logits.double(), teacher_logits[:1000].double()
limit = (centred(z) - centred(v)) / z.shape[-1]  # (1000, C)
errors, angles = [], []
for T in temperatures:
    slope = pull(tinykd.forward_kl, z, v, T)
    errors.append(float((slope - limit).norm() / limit.norm()))
    cosine = torch.cosine_similarity(slope, limit, dim=-1).clamp(-1, 1)
    angles.append(float(cosine.arccos().rad2deg().mean()))
print(f"The teacher's centred logits have a standard deviation of {centred(v).std():.1f}.")
for T in (1, 4, 20, 200):
    near = int(np.abs(temperatures - T).argmin())
    print(
        f"T = {temperatures[near]:6.1f}: {errors[near]:.1%} away, angle {angles[near]:.0f} degrees"
    )
top = int(np.argmax(errors))
print(f"It is farthest away at T = {temperatures[top]:.1f}: {errors[top]:.1%}.")

# %% role="show" name="fig-limit" folded=true
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
left.loglog(temperatures, errors, color=COLORS[0], marker=".", label="measured")
left.loglog(temperatures, errors[-1] * temperatures[-1] / temperatures, "k:", label="slope 1/T")
left.set(xlabel="temperature T", ylabel="distance from the limit,\nrelative")
left.legend(frameon=False)
right.semilogx(temperatures, angles, color=COLORS[1], marker=".")
right.set(xlabel="temperature T", ylabel="angle to the limit, degrees", ylim=(0, None))
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Two curves against T. Left, the relative distance of the gradient from its limit: between 60 "
    "and 85% up to T = 5, then falling, on a line of slope 1/T above T = 20. Right, the angle "
    "between the two, falling from 38 degrees at T = 0.5 to 1 degree at T = 200."
)

# %% [markdown]
# **What we saw.** Below $T \approx 4$ the distance does not fall at all, it even grows, to 85% at $T \approx 4$; only above $T \approx 20$ does it fall as $1/T$. The angle shrinks all the way. "High" means high compared with the
# logits themselves: this teacher's have a standard deviation of about 5, and at Hinton's $T = 20$ the gradient points within 8 degrees of plain logit matching, though its size is still off by a quarter.
# At $T = 1$ the angle is 35 degrees: another lesson is being taught. You will need the limit in exercise 6, as a test.

# %% [markdown]
# ## Both at once: $\alpha$
#
# Teachers err, and labels are true. So the distillation loss is a mixture, averaged over the $N$ positions of the batch:
#
# $$L = \frac1N \sum_n \Big[(1 - \alpha)\,\mathrm{CE}\big(y_n,\,q_n \text{ at } T = 1\big) + \alpha\,T^2\,\mathrm{KL}\big(p_n\|q_n \text{ at } T\big)\Big].$$
#
# - The hard labels are always read at $T = 1$: that is how the student will be used. Only the soft targets are heated.
# - $T^2$ stands in front of the KL alone.
# - $\alpha$ is the weight of the **teacher** here, $\alpha = 1$ means no labels at all. Papers and libraries disagree on this: look it up before you compare two results.
# - The mean is over positions, all of them: the axes in front of the classes.
#
# In this course's engine the same thing is written as it reads, `alpha * SoftTargets(T=4) + (1 - alpha) * HardLabels()`, and the engine takes the mean.
#
# ### Exercise 4: the distillation loss
# Build it from `tinykd.cross_entropy(logits, labels)` and `tinykd.forward_kl(student, teacher, T)`. These are your first two exercises with error messages: one number per
# position each, and $T^2$ is already **inside** `forward_kl`.


# %% role="answer" name="distillation_loss"
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    """Mean over positions of (1 - alpha) CE(labels, student at T = 1) + alpha T^2 KL(teacher || student at T).

    student, teacher: logits (..., C). labels: (...). Returns one number, a tensor of shape (). The teacher gets no gradient.
    """
    # YOUR CODE: the two losses per position, mixed, then one mean
    # BEGIN SOLUTION
    hard = tinykd.cross_entropy(student, labels)  # (...)
    soft = tinykd.forward_kl(student, teacher, T)  # (...), T^2 inside
    return ((1 - alpha) * hard + alpha * soft).mean()
    # END SOLUTION


# %% role="check" name="distillation_loss.values" points=1 hint="(1 - alpha) on the labels, alpha on the teacher, labels at T = 1, T^2 once and on the KL alone, then the mean."
rng = check.rng("distillation_loss.values")
student, teacher_z = draw(rng, 6, 10), draw(rng, 6, 10).detach()
y = torch.tensor(rng.integers(10, size=6))
loss = check.call(distillation_loss, student, teacher_z, y, T=4.0, alpha=0.7)
check("distillation_loss.values", with_gradient(loss, student))

# %% role="check" name="distillation_loss.labels_only" points=1 hint="With alpha = 0 it is the mean cross-entropy at T = 1, whatever T says."
rng = check.rng("distillation_loss.labels_only")
student, teacher_z = draw(rng, 6, 10), draw(rng, 6, 10).detach()
y = torch.tensor(rng.integers(10, size=6))
loss = check.call(distillation_loss, student, teacher_z, y, T=3.0, alpha=0.0)
check("distillation_loss.labels_only", with_gradient(loss, student))

# %% role="check" name="distillation_loss.teacher_only" points=1 hint="With alpha = 1 it is the mean of T^2 KL: the labels do not matter, and the teacher's gradient (item 1) is 0."
rng = check.rng("distillation_loss.teacher_only")
student, teacher_z = draw(rng, 6, 10), draw(rng, 6, 10)
y = torch.tensor(rng.integers(10, size=6))
loss = check.call(distillation_loss, student, teacher_z, y, T=3.0, alpha=1.0)
check("distillation_loss.teacher_only", with_gradient(loss, student, teacher_z))

# %% role="check" name="distillation_loss.positions" points=1 hint="With logits of shape (2, 3, 10) there are 6 positions to average over, not 2."
rng = check.rng("distillation_loss.positions")
student, teacher_z = draw(rng, 2, 3, 10), draw(rng, 2, 3, 10).detach()
y = torch.tensor(rng.integers(10, size=(2, 3)))
loss = check.call(distillation_loss, student, teacher_z, y, T=1.0, alpha=0.5)
check("distillation_loss.positions", with_gradient(loss, student))

# %% role="hidden" name="distillation_loss.secret" points=1 hint="Another T, another alpha, another shape, large logits."
rng = check.rng("distillation_loss.secret")
(student, y), (teacher_z, _) = draw_far(rng, 2, 3, 2, 5), draw_far(rng, 2, 3, 2, 5)
T, alpha = rng.uniform(1.5, 2.5), rng.uniform(0.2, 0.4)
loss = check.call(distillation_loss, student, teacher_z, y, T=T, alpha=alpha)
check("distillation_loss.secret", with_gradient(loss, student, teacher_z))


# %% role="mutant" of="distillation_loss" name="distillation_loss.swapped" loses="distillation_loss.values, distillation_loss.labels_only, distillation_loss.teacher_only, distillation_loss.secret" hint="alpha is on the wrong term: here it is the weight of the teacher, 1 - alpha that of the labels."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(student, teacher, T)
    return (alpha * hard + (1 - alpha) * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.hot_labels" loses="distillation_loss.values, distillation_loss.labels_only, distillation_loss.secret" hint="The hard labels are read at T = 1: pass the student's logits to cross_entropy as they are."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student / T, labels), tinykd.forward_kl(student, teacher, T)
    return ((1 - alpha) * hard + alpha * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.T4" loses="distillation_loss.values, distillation_loss.teacher_only, distillation_loss.secret" hint="T squared is in there twice: forward_kl already has it inside."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(student, teacher, T)
    return ((1 - alpha) * hard + alpha * T**2 * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.T2_on_labels" loses="distillation_loss.values, distillation_loss.labels_only, distillation_loss.secret" hint="The cross-entropy got a T squared as well. Its gradient does not shrink with T, so it must not be blown up."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(student, teacher, T)
    return ((1 - alpha) * T**2 * hard + alpha * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.no_T2" loses="distillation_loss.values, distillation_loss.teacher_only, distillation_loss.secret" hint="T squared is missing on the soft targets."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = (
        tinykd.cross_entropy(student, labels),
        tinykd.forward_kl(student, teacher, T) / T**2,
    )
    return ((1 - alpha) * hard + alpha * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.cold" loses="distillation_loss.values, distillation_loss.teacher_only, distillation_loss.secret" hint="T never reaches forward_kl: the soft targets are read at T = 1."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(student, teacher)
    return ((1 - alpha) * hard + alpha * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.class_mean" loses="distillation_loss.values, distillation_loss.teacher_only, distillation_loss.positions, distillation_loss.secret" hint="The soft part is C times too small: torch's kl_div with reduction='mean' averages over classes too."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard = tinykd.cross_entropy(student, labels).mean()
    soft = F.kl_div(log_softmax(student, T), softmax(teacher, T), reduction="none").mean()
    return (1 - alpha) * hard + alpha * T**2 * soft


# %% role="mutant" of="distillation_loss" name="distillation_loss.batchmean" loses="distillation_loss.positions, distillation_loss.secret" hint="The soft part is divided by the first axis alone (batchmean). Every axis but the classes counts positions."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard = tinykd.cross_entropy(student, labels).mean()
    soft = tinykd.forward_kl(student, teacher, T).sum() / len(student)
    return (1 - alpha) * hard + alpha * soft


# %% role="mutant" of="distillation_loss" name="distillation_loss.sum" loses="distillation_loss.values, distillation_loss.labels_only, distillation_loss.teacher_only, distillation_loss.positions, distillation_loss.secret" hint="You summed over positions: a larger batch would mean a larger step. Take the mean."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(student, teacher, T)
    return ((1 - alpha) * hard + alpha * soft).sum()


# %% role="mutant" of="distillation_loss" name="distillation_loss.not_reduced" loses="distillation_loss.values, distillation_loss.labels_only, distillation_loss.teacher_only, distillation_loss.positions, distillation_loss.secret" hint="This is still one number per position. Take the mean: a loss to train on is one number."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(student, teacher, T)
    return (1 - alpha) * hard + alpha * soft


# %% role="mutant" of="distillation_loss" name="distillation_loss.full_labels" loses="distillation_loss.values, distillation_loss.teacher_only, distillation_loss.positions, distillation_loss.secret" hint="The labels have weight 1 instead of 1 - alpha."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(student, teacher, T)
    return (hard + alpha * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.arguments" loses="distillation_loss.values, distillation_loss.teacher_only, distillation_loss.positions, distillation_loss.secret" hint="Student and teacher are swapped in forward_kl: the value is that of KL(q || p), and the student gets no gradient from it, because the second argument is detached."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    hard, soft = tinykd.cross_entropy(student, labels), tinykd.forward_kl(teacher, student, T)
    return ((1 - alpha) * hard + alpha * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.attached" loses="distillation_loss.teacher_only, distillation_loss.secret" hint="The teacher receives a gradient. It is a constant: teacher.detach(), or forward_kl, which does it for you."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    log_p, log_q = log_softmax(teacher, T), log_softmax(student, T)
    soft = T**2 * F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
    return ((1 - alpha) * tinykd.cross_entropy(student, labels) + alpha * soft).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.cut_off" loses="distillation_loss.values, distillation_loss.teacher_only, distillation_loss.positions, distillation_loss.secret" hint="The value is right, but the soft targets have no gradient in the student: detach the teacher's logits alone."
def distillation_loss(student, teacher, labels, T, alpha):
    hard = tinykd.cross_entropy(student, labels)
    return ((1 - alpha) * hard + alpha * tinykd.forward_kl(student.detach(), teacher, T)).mean()


# %% role="mutant" of="distillation_loss" name="distillation_loss.in_place" loses="distillation_loss.values, distillation_loss.labels_only, distillation_loss.teacher_only, distillation_loss.secret" hint="`teacher /= T` divides the caller's logits, and whoever uses them next gets other ones. Write teacher / T."
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    teacher /= T
    soft = F.kl_div(log_softmax(student, T), softmax(teacher), reduction="none").sum(-1)
    return ((1 - alpha) * tinykd.cross_entropy(student, labels) + alpha * T**2 * soft).mean()


# %% role="alternative" of="distillation_loss" name="distillation_loss.by_torch"
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    classes = student.shape[-1]
    z, v = student.reshape(-1, classes), teacher.detach().reshape(-1, classes)
    hard = F.cross_entropy(z, labels.reshape(-1))
    log_q, p = F.log_softmax(z / T, dim=1), F.softmax(v / T, dim=1)
    return (1 - alpha) * hard + alpha * T * T * F.kl_div(log_q, p, reduction="batchmean")


# %% role="alternative" of="distillation_loss" name="distillation_loss.two_means"
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    soft = tinykd.forward_kl(student, teacher, T).mean()
    return alpha * soft + (1 - alpha) * tinykd.cross_entropy(student, labels).mean()


# %% [markdown]
# ## The loop
#
# A loss does nothing by itself. Around it runs a loop that is the same wherever a network is trained: take a batch, compute the loss, compute its gradient, take a step, and again.
# So far a `Trainer` has run it for you. Now you write it, in plain PyTorch, and compare.
#
# Four calls make one step:
#
# | call | what it does |
# |---|---|
# | `optimizer.zero_grad()` | forgets the gradients of the last step; without it they add up |
# | `loss.backward()` | computes the gradient of `loss` in every parameter it depends on, and **adds** it to `parameter.grad` |
# | `optimizer.step()` | moves every parameter it was given, by the rule of the optimizer, using `parameter.grad` |
# | `loss.item()` | the loss as a plain number, without the connections that `backward` needs |
#
# And two networks have to be in the right state. `student.train()` and `teacher.eval()` switch what behaves differently in training: dropout (on or off) and batch normalisation (the mean of this batch,
# or the stored one). A network that was just built is in train mode; one that was just validated is usually in eval mode; so say it, rather than hope. And what is computed inside `with torch.no_grad():` remembers no connections:
# the teacher's answer is a constant, and memory is saved.
#
# ### Exercise 5: a training loop
# The optimizer is SGD with momentum 0.9, `torch.optim.SGD(parameters, lr, momentum=0.9)`, over `student.parameters()`. Why not Adam? You will see below what Adam hides.
# `batches` is used like any list, once per epoch, and gives the samples in another order every time. The last batch of an epoch is smaller, and it counts.
#
# <details><summary>Hint: the skeleton</summary>
#
# Before the loops: the optimizer, the two modes, an empty list. Two loops, `for _ in range(epochs)` and inside it `for batch in batches`. In the inner one: the teacher's logits without gradient,
# the student's logits, the loss of exercise 4 (your own function, or its two halves from `tinykd`), three calls of the table, and `losses.append(loss.item())`.
# </details>


# %% role="setup" name="small-nets"
# The first optimizer of a process makes torch import a large part of itself: here, not in a check.
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


def small_net(rng, inputs, units, classes):
    """A small net in float64 with drawn weights; batch normalisation tells train from eval mode."""
    net = torch.nn.Sequential(
        torch.nn.Linear(inputs, units),
        torch.nn.BatchNorm1d(units),
        torch.nn.Tanh(),
        torch.nn.Linear(units, classes),
    ).double()
    for tensor in (*net.parameters(), net[1].running_mean):
        tensor.data = torch.tensor(rng.normal(size=tuple(tensor.shape)))
    return net


def small_class(rng, inputs=6, classes=5, size=8):
    """A student, a teacher, and batches for them, of which the last one is smaller."""
    count = size + int(rng.integers(3, size - 1))
    x = torch.tensor(rng.normal(size=(count, inputs)))
    y = torch.tensor(rng.integers(classes, size=count))
    student, teacher = small_net(rng, inputs, 4, classes), small_net(rng, inputs, 7, classes)
    return student, teacher, Batches(x, y, size=size, seed=int(rng.integers(1_000_000)))


def everything(net):
    """All weights and all statistics of a net, as one long tensor."""
    return torch.cat([tensor.detach().flatten().double() for tensor in net.state_dict().values()])


# %% role="answer" name="distil" library="tinykd.Trainer"
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    """Train `student` with the distillation loss, in plain PyTorch. Returns the loss of every step, a list of floats.

    student, teacher: networks, inputs (B, ...) to logits (B, C). batches: gives {"inputs": (B, ...), "labels": (B,)}, in
    another order each epoch. Loss of a batch: (1 - alpha) CE + alpha T^2 KL, averaged over its samples, as in exercise 4.
    SGD at rate lr with momentum 0.9 trains all of the student. The teacher answers in eval mode, and nothing of it changes.
    """
    # YOUR CODE: optimizer, modes, two loops; in the inner one forward twice, loss, three calls
    # BEGIN SOLUTION
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses
    # END SOLUTION


# %% role="check" name="distil.losses" points=1 hint="One loss per batch, taken before its step: in train mode for the student, in eval mode for the teacher, T^2 once, alpha on the teacher, mean over the batch. The first loss that is wrong tells: 0 is the loss itself, a later one is the step."
rng = check.rng("distil.losses")
student, teacher_net, batches = small_class(rng)
losses = check.call(
    distil, student, teacher_net, batches, 3, lr=0.02, T=3.0, may_change=[student, teacher_net]
)
check("distil.losses", losses)

# %% role="check" name="distil.student" points=1 hint="The student starts in eval mode here, as a validation leaves it. It must train in train mode, with all its parameters in one optimizer that lives for the whole training, and end where a Trainer ends."
seed = int(check.rng("distil.student").integers(2**32))
student, teacher_net, batches = small_class(np.random.default_rng(seed))
student.eval()
check.call(
    distil, student, teacher_net, batches, 3, lr=0.02, alpha=0.8, may_change=[student, teacher_net]
)


def by_trainer(seed):
    """The same student, teacher and batches, trained by a Trainer."""
    student, teacher_net, batches = small_class(np.random.default_rng(seed))
    objective = 0.8 * SoftTargets(T=4) + 0.2 * HardLabels()
    sgd = lambda parameters: torch.optim.SGD(parameters, 0.02, momentum=0.9)
    trainer = Trainer(student, objective, teacher_net, sgd, device="cpu", progress=False)
    trainer.fit(batches, epochs=3)
    return everything(student)


trained = everything(student)
check(
    "distil.student",
    {
        "weights": trained,
        "off the Trainer's": (trained - by_trainer(seed)).abs().max(),
        "frozen": sum(not parameter.requires_grad for parameter in student.parameters()),
    },
)

# %% role="check" name="distil.teacher" points=1 hint="The teacher is only asked: no step moves it, no forward changes its statistics (eval mode), no backward reaches it (torch.no_grad). 'moved' and 'gradients' must be 0, 'losses' those of a teacher in eval mode."
rng = check.rng("distil.teacher")
student, teacher_net, batches = small_class(rng)
before = everything(teacher_net)
losses = check.call(
    distil, student, teacher_net, batches, 3, lr=0.02, may_change=[student, teacher_net]
)
gradients = [p.grad for p in teacher_net.parameters() if p.grad is not None]
check(
    "distil.teacher",
    {
        "losses": losses,
        "moved": (everything(teacher_net) - before).abs().max(),
        "gradients": sum(float(gradient.abs().sum()) for gradient in gradients),
    },
)

# %% role="hidden" name="distil.secret" points=1 hint="Other sizes, T, alpha and rate, inputs with two axes, a student in eval mode and a teacher in train mode at the start."
rng = check.rng("distil.secret")
student, teacher_net, batches = small_class(rng, inputs=4, classes=3, size=7)
images_2d = Batches(batches.inputs.view(-1, 2, 2), batches.labels, size=7, seed=batches.seed)
student, teacher_net = (
    torch.nn.Sequential(torch.nn.Flatten(), net).train(mode)
    for net, mode in ((student, False), (teacher_net, True))
)
T, alpha, lr = rng.uniform(1.5, 5), rng.uniform(0.2, 0.8), rng.uniform(0.01, 0.04)
losses = check.call(
    distil, student, teacher_net, images_2d, 3, lr, T, alpha, may_change=[student, teacher_net]
)
check("distil.secret", {"losses": losses, "weights": everything(student)})


# %% role="mutant" of="distil" name="distil.no_zero_grad" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="The gradients of earlier steps are still in there: backward() adds to them. Call optimizer.zero_grad() before it."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.zero_grad_last" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="You zero the gradients between backward() and step(): every step is a step of nothing."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.step_first" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="step() stands before backward(): every step uses the gradients of the batch before it, and the first one none."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.step()
            optimizer.zero_grad()
            loss.backward()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.no_step" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="Gradients are computed and nobody uses them: optimizer.step() is missing."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.teacher_in_train_mode" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="The teacher answers in train mode: its dropout is on, its batch normalisation uses this batch and even changes what it has stored. Call teacher.eval()."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.teacher_trained" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="The optimizer holds the teacher's parameters too, and the loss has a gradient in them: the teacher learns from its student. Give it student.parameters() alone, and ask the teacher under torch.no_grad()."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    both = [*student.parameters(), *teacher.parameters()]
    optimizer = torch.optim.SGD(both, lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            log_p, log_q = log_softmax(targets, T), log_softmax(logits, T)
            soft = T**2 * F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
            loss = (1 - alpha) * F.cross_entropy(logits, batch["labels"]) + alpha * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.gradient_through_teacher" loses="distil.teacher" hint="The loss reaches back through the teacher: its parameters collect gradients, and memory, that nobody wants. Ask it under torch.no_grad(), or detach its logits."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            log_p, log_q = log_softmax(targets, T), log_softmax(logits, T)
            soft = T**2 * F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
            loss = (1 - alpha) * F.cross_entropy(logits, batch["labels"]) + alpha * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.wrong_parameters" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="The optimizer was given the teacher's parameters. It moves what it holds, and nothing else: student.parameters()."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(teacher.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.last_layer_only" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="Only some of the student's parameters are in the optimizer. It must hold all of student.parameters()."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(list(student.parameters())[-2:], lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.student_left_in_eval" loses="distil.student, distil.secret" hint="The student trains in the mode in which it came. A validation leaves it in eval mode, where dropout is off and batch normalisation uses stored statistics: call student.train()."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.eval_after_an_epoch" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="From the second epoch on your student is in eval mode. Put it back into train mode at the start of every epoch."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        student.eval()
    return losses


# %% role="mutant" of="distil" name="distil.last_batch_dropped" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="The smaller last batch of an epoch is left out. Its samples count as well."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            if len(batch["labels"]) < batches.size:
                continue
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.one_order" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="Every epoch sees the batches of the first: you kept them in a list. Go through `batches` itself in every epoch, it gives another order each time."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    batches = list(batches)
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.T2_forgotten" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="T squared is missing on the soft targets: with it their pull does not fade as T grows."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            soft = plain_kl(logits, targets, T)
            hard = tinykd.cross_entropy(logits, batch["labels"])
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.mean_over_classes" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="reduction='mean' averages the soft part over classes too: it is C times too small. Use 'batchmean', or forward_kl and one mean."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            soft = T**2 * F.kl_div(log_softmax(logits, T), softmax(targets, T), reduction="mean")
            hard = F.cross_entropy(logits, batch["labels"])
            loss = (1 - alpha) * hard + alpha * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.mean_twice" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="The loss is divided by the batch size although it is a mean already: every step is that much too small."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            loss = loss / len(batch["labels"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.alpha_swapped" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="alpha is on the wrong term: it is the weight of the teacher, 1 - alpha that of the labels."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = (alpha * hard + (1 - alpha) * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.defaults" loses="distil.losses, distil.student, distil.secret" hint="T and alpha do not reach the loss: it uses its own defaults."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, 4.0)
            loss = ((1 - 0.9) * hard + 0.9 * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.no_momentum" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="The optimizer has no momentum: torch.optim.SGD(parameters, lr, momentum=0.9)."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.new_optimizer" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="You make a new optimizer in every epoch: its momentum starts from nothing each time. One optimizer serves the whole training."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.epoch_means" loses="distil.losses, distil.teacher, distil.secret" hint="You return one loss per epoch. Return that of every step, in order."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    means = []
    for _ in range(epochs):
        losses = []
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    return means


# %% role="mutant" of="distil" name="distil.loss_after_the_step" loses="distil.losses, distil.teacher, distil.secret" hint="Each loss is that after the step. Return the loss whose gradient made the step: it costs no second forward."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"])
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                student.eval()
                logits = student(batch["inputs"])
                student.train()
                hard = tinykd.cross_entropy(logits, batch["labels"])
                soft = tinykd.forward_kl(logits, targets, T)
                loss = ((1 - alpha) * hard + alpha * soft).mean()
            losses.append(loss.item())
    return losses


# %% role="mutant" of="distil" name="distil.frozen_student" loses="distil.losses, distil.student, distil.teacher, distil.secret" hint="Your student's parameters do not require gradients, or its logits were detached: backward() cannot reach it. Only the teacher is asked under torch.no_grad()."
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    optimizer = torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        for batch in batches:
            with torch.no_grad():
                targets = teacher(batch["inputs"])
            logits = student(batch["inputs"]).detach()
            hard = tinykd.cross_entropy(logits, batch["labels"])
            soft = tinykd.forward_kl(logits, targets, T)
            loss = ((1 - alpha) * hard + alpha * soft).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% role="alternative" of="distil" name="distil.by_torch"
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    student.train()
    teacher.eval()
    for p in teacher.parameters():
        p.requires_grad_(False)
    opt = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9)
    history = []
    for _ in range(epochs):
        for batch in batches:
            x, y = batch["inputs"], batch["labels"]
            opt.zero_grad(set_to_none=False)
            z_s, z_t = student(x), teacher(x).detach()
            kd = F.kl_div(F.log_softmax(z_s / T, -1), F.softmax(z_t / T, -1), reduction="batchmean")
            loss = (1 - alpha) * F.cross_entropy(z_s, y) + alpha * T**2 * kd
            loss.backward()
            opt.step()
            history.append(float(loss))
    return history


# %% role="alternative" of="distil" name="distil.by_predict"
def distil(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    losses, optimizer = [], torch.optim.SGD(student.parameters(), lr, momentum=0.9)
    for _ in range(epochs):
        student.train()
        for batch in batches:
            targets = predict(teacher, batch["inputs"])
            logits = student(batch["inputs"])
            soft = tinykd.forward_kl(logits, targets, T).mean()
            loss = alpha * soft + (1 - alpha) * F.cross_entropy(logits, batch["labels"])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach().item())
    return losses


# %% [markdown]
# Does it do what a `Trainer` does? The next cell trains two students that start from the same weights, see the same 3,000 digits in the same order, and hear the same teacher, one with your loop and one
# with the `Trainer`. (`check.ready(distil, ...)` is your function once it has passed its visible checks in this session; until then it is the library's way to the same thing, and the line says so.)
#
# **What do you expect?** After 150 steps on 90,000 weights, how far apart will the two be: not at all, in the seventh digit, or in the first?


# %% role="show" name="loop-against-trainer"
digits = {"smoke": 500, "default": 3_000, "full": 3_000}[scale]
transfer, transfer_labels = images[:digits], labels[:digits]


def trainer_losses(student, teacher, batches, epochs, lr, T=4.0, alpha=0.9):
    """What exercise 5 does, by the Trainer."""
    losses = []
    trainer = Trainer(
        student,
        alpha * SoftTargets(T=T) + (1 - alpha) * HardLabels(),
        teacher,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr, momentum=0.9),
        device="cpu",
        progress=False,
        callbacks=[lambda trainer: losses.append(trainer.losses.latest)],
    )
    trainer.fit(batches, epochs=epochs)
    return losses


students, curves = [], []
for train in (check.ready(distil, trainer_losses), trainer_losses):
    torch.manual_seed(0)
    student = MLP(784, 100, 100, 10)
    batches = Batches(transfer, transfer_labels, size=100, seed=0)
    curves.append(train(student, teacher, batches, epochs=5, lr=0.05))
    students.append(student)
print(f"{len(curves[0])} steps; the first three losses and the last:")
for name, curve in zip(("your loop", "Trainer"), curves, strict=True):
    print(f"{name:10s}" + "".join(f"{curve[step]:12.6f}" for step in (0, 1, 2, -1)))
gap = (everything(students[0]) - everything(students[1])).abs().max()
size = everything(students[1]).abs().max()
print(f"largest difference between two weights: {gap:.1e} (the largest weight is {size:.2f})")
for name, student in zip(("your loop", "Trainer"), students, strict=True):
    error = 100 * (1 - tinykd.accuracy(predict(student, test_images), test_labels))
    print(f"{name:10s}{error:6.2f}% of the test digits wrong")

# %% [markdown]
# **What we saw.** Not at all, or in the last digit: both do the same sums in the same order. There is nothing in a `Trainer` that you could not write. What it adds is what this lesson has no room for: other devices, schedules of the learning
# rate, several terms and teachers, gradients gathered over batches or processes, validation, a history, a run that goes on where it was killed. And it sees to what is easily forgotten (the two modes, the teacher's gradient), or refuses it: an
# optimizer that misses a parameter, a loss that is NaN.
#
# ## The classic bugs
#
# A loop with the wrong loss runs as well as one with the right loss. Most of the following have been found in published code; the others are what everybody writes once. Each is one line, none raises an error, and with each of them the loss
# goes down nicely. In the zoo below every loss has the signature of `forward_kl`: `(student, teacher, T)` to one number per position.


# %% role="setup" name="zoo"
def mean_over_classes(student, teacher, T):
    """reduction='mean': averages over classes as well."""
    return tinykd.forward_kl(student, teacher, T) / student.shape[-1]


def T2_forgotten(student, teacher, T):
    return tinykd.forward_kl(student, teacher, T) / T**2


def wrong_way_round(student, teacher, T):
    """KL(q || p): the arguments of kl_div swapped."""
    return tinykd.reverse_kl(student, teacher, T)


def with_itself(student, teacher, T):
    """A copied line: the student's logits on both sides."""
    return tinykd.forward_kl(student, student, T)


def softmax_twice(student, teacher, T):
    """The teacher's probabilities taken for its logits: nearly uniform targets."""
    return tinykd.forward_kl(student, softmax(teacher), T)


def student_alone_heated(student, teacher, T):
    """The teacher is read at T = 1, the student at T."""
    return tinykd.forward_kl(student, teacher * T, T)


ZOO = {
    "correct": tinykd.forward_kl,
    "mean over classes": mean_over_classes,
    "T² forgotten": T2_forgotten,
    "KL the wrong way round": wrong_way_round,
    "compared with itself": with_itself,
    "softmax twice": softmax_twice,
    "only the student heated": student_alone_heated,
}


def specimen(
    factor=1.0,  # everything times this
    power=0.0,  # everything times T ** this, or (N,) numbers
    reverse=0.0,  # this much of KL(q || p), the rest of KL(p || q)
    twice=0.0,  # this much of softmax(teacher) in place of the teacher
    heat=0.0,  # the teacher's logits times T ** this: at 1 the temperature cancels
    cold=0.0,  # times 1 + this / T ** 2: wrong at low T alone
    entropy=0.0,  # plus this times the teacher's entropy
    offset=0.0,  # plus this at every position, or (N,) numbers
    drift=0.0,  # plus this times T - 1
    logits=0.0,  # this much of logit matching, the rest of the divergence
    stress=1.0,  # times this, or (N,) numbers
):
    """A loss (student, teacher, T) -> one number per position; the correct one as it stands."""

    def loss(student, teacher, T):
        given = teacher.detach()
        target = ((1 - twice) * given + twice * softmax(given)) * T**heat
        value = T**2 * plain_kl(student, target, T)
        if reverse:
            value = (1 - reverse) * value + reverse * T**2 * plain_kl(target, student, T)
        if logits:
            matched = centred(student - target).square().sum(-1) / (2 * student.shape[-1])
            value = (1 - logits) * value + logits * matched
        value = factor * T**power * (1 + cold / T**2) * stress * value + offset + drift * (T - 1)
        return value + entropy * T**2 * tinykd.entropy(given, T) if entropy else value

    return loss


def specimens(rng, positions, *about):
    """Losses in random order, correct ones and wrong ones.

    about: "values", "gradients", or both: where the wrong ones can be seen.
    """
    some = lambda low, high: float(rng.uniform(low, high))
    sign = lambda: float(rng.choice([-1, 1]))

    def at(size, *signs):  # numbers at a few drawn positions, 0 at all others
        where = torch.zeros(positions, dtype=torch.float64)
        chosen = rng.permutation(positions)[: len(signs)]
        where[torch.tensor(chosen)] = size * torch.tensor(signs, dtype=torch.float64)
        return where

    def end(size, position):  # a number at the first or the last position, 0 at all others
        return size * (torch.arange(positions) == position % positions)

    everywhere = [
        lambda: specimen(power=some(0.6, 2)),
        lambda: specimen(reverse=some(0.5, 1)),
        lambda: specimen(factor=0.0),  # no gradient, as where the student is its own teacher
        lambda: specimen(cold=some(2, 4)),
        lambda: specimen(heat=some(0.8, 1)),
        lambda: specimen(stress=1 + end(some(1.5, 3), 0)),
        lambda: specimen(stress=1 + end(some(1.5, 3), -1)),
    ]
    kinds = {
        "values": [
            lambda: specimen(offset=at(some(1e-10, 1e-7), 1)),  # correct but for rounding
            lambda: specimen(offset=some(1e-3, 0.3)),
            lambda: specimen(offset=-some(1e-3, 0.3)),
            lambda: specimen(offset=at(some(3e-5, 1e-4), sign())),
            lambda: specimen(offset=at(some(1e-3, 0.3), 1, -1)),  # right on average
            lambda: specimen(drift=sign() * some(0.01, 0.3)),
            lambda: specimen(entropy=some(0.5, 1)),
        ],
        "gradients": [
            lambda: specimen(factor=1 + sign() * some(0.015, 0.025)),  # the limit allows 5%
            lambda: specimen(factor=1 + sign() * some(0.08, 0.12)),
            lambda: specimen(factor=some(0.05, 0.6)),
            lambda: specimen(factor=some(1.5, 4)),
            lambda: specimen(factor=-1.0),
            lambda: specimen(power=-some(0.6, 2)),
            lambda: specimen(power=end(some(1, 2), 0)),
            lambda: specimen(power=end(some(1, 2), -1)),
            lambda: specimen(power=sign() * some(0.1, 0.15)),  # the size may change by a quarter
            lambda: specimen(twice=1.0),
            lambda: specimen(logits=1.0),
            lambda: specimen(entropy=some(0.5, 1)),
        ],
    }
    chosen = [*everywhere, *(make for what in about for make in kinds[what])]
    found = [make() for make in chosen] + [specimen() for _ in range(int(rng.integers(1, 4)))]
    return [found[i] for i in rng.permutation(len(found))]


def verdicts(answer, losses, student, teacher, *keys):
    """What `answer` says of each of the losses: for each key one list."""
    found = [check.call(answer, loss, student, teacher) for loss in losses]
    return {key: [one[key] for one in found] for key in keys}


# %% [markdown]
# ### Exercise 6: the test that finds them
# A falling loss proves nothing, then, and a test error takes a training run to read and, as you will see at the end, hides half of these. But you now know four *properties* of this loss, two of its values and two of its gradient, and each is checked in
# milliseconds on random logits: it is **zero** where the two agree; its gradient is **steady** at high $T$; its gradient has the logit-matching **limit**; and at $T = 1$ it is the **forward** KL, written out as a sum. Three of the four
# look at places where the answer is known without any reference code.
#
# Write them. `pull(loss, student, teacher, T)` from the first cell gives the gradient, shape `(N, C)`. You will be tried on some twenty specimens at a time: correct losses, and losses that are wrong in one of a dozen ways, by random amounts,
# in random order. Before you look: which of the four notices that the KL is the wrong way round?
#
# <details><summary>Hint: from tensors to True or False</summary>
#
# `bool((x.abs() < 1e-5).all())` asks it of every element of `x`. `x.norm()` is the square root of the sum of all squares. Comparing with `<`, and not dividing, keeps a gradient of 0 from becoming NaN.
# </details>


# %% role="answer" name="properties"
def properties(loss, student, teacher):
    """Four properties that a soft-target loss must have, each True or False.

    loss: function (student, teacher, T) -> one number per position. student, teacher: logits (N, C).
    Returns a dict:
      "zero":    at T = 4 the loss of the teacher against itself is 0 at every position (within 1e-5);
      "steady":  there is a gradient, and its size (norm over everything) at T = 40 is 0.8 to 1.25 times that at T = 20;
      "limit":   the gradient at T = 1000 is off the logit-matching gradient by less than 5% of the latter's norm;
      "forward": at T = 1 the loss is sum_i p_i (log p_i - log q_i) at every position (within 1e-5).
    """
    # YOUR CODE: pull(loss, student, teacher, T) gives gradients, (N, C); x.norm() is the size of all of x
    # BEGIN SOLUTION
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }
    # END SOLUTION


# %% role="check" name="properties.values" points=2 hint="'zero': every value of loss(teacher, teacher, 4.0) lies within 1e-5 of 0, above or below; rounding is no bug, so do not ask for exactly 0. 'forward': at T = 1, the explicit sum of p (log p - log q), p from the teacher, at every position, within 1e-5."
rng = check.rng("properties.values")
student, teacher_z = draw(rng, 6, 10, size=2).detach() + 3, draw(rng, 6, 10, size=2).detach() - 4
losses = specimens(rng, len(student), "values")  # losses[3] belongs to the answers at [3]
check("properties.values", verdicts(properties, losses, student, teacher_z, "zero", "forward"))

# %% role="check" name="properties.gradients" points=2 hint="'steady': compare the norms of two gradients, at T = 20 and at T = 40; no gradient at all is not steady. 'limit': the logit-matching gradient is [(z - mean z) - (v - mean v)] / C; take the norm of the difference, not the difference of the norms."
rng = check.rng("properties.gradients")
student, teacher_z = draw(rng, 8, 9, size=4).detach() + 3, draw(rng, 8, 9, size=4).detach() - 4
losses = specimens(rng, len(student), "gradients")  # losses[3] belongs to the answers at [3]
check("properties.gradients", verdicts(properties, losses, student, teacher_z, "steady", "limit"))

# %% role="hidden" name="properties.secret" points=1 hint="Other specimens, another number of positions and classes: each of your four tests must find every bug."
rng = check.rng("properties.secret")
student, teacher_z = (
    draw(rng, 12, 7, size=0.5).detach() - 1,
    draw(rng, 12, 7, size=0.5).detach() + 2,
)
losses = specimens(rng, len(student), "values", "gradients")
keys = ("zero", "steady", "limit", "forward")
check("properties.secret", verdicts(properties, losses, student, teacher_z, *keys))


# %% role="mutant" of="properties" name="properties.exact" loses="properties.values, properties.secret" hint="A correct loss fails your test for zero: computers round, so ask for less than 1e-5, not for exactly 0."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0) == 0).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.zero_of_two" loses="properties.values, properties.secret" hint="Your test for zero compares student with teacher. The loss is 0 where both are the same: loss(teacher, teacher, 4.0)."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(student, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.zero_at_1" loses="properties.values, properties.secret" hint="Your test for zero reads the loss at T = 1, where a temperature on one side only cannot be seen. Take T = 4."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 1.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.zero_any" loses="properties.values, properties.secret" hint="One position with a loss of 0 is enough for you. Every position must have it: .all()."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).any()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.too_cold" loses="properties.gradients, properties.secret" hint="You compared low temperatures. T squared keeps the gradient steady for large T only: take 20 and 40."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 1.0).norm(), pull(loss, student, teacher, 4.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.summed" loses="properties.gradients, properties.secret" hint="You summed the gradient. Over the classes it always sums to 0 (q and p both sum to 1): take its norm."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).sum(), pull(loss, student, teacher, 40.0).sum()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.loss_not_gradient" loses="properties.gradients, properties.secret" hint="You compared the loss at two temperatures. Training feels its gradient: a loss that holds the teacher's entropy grows with T, its gradient does not."
def properties(loss, student, teacher):
    cool, hot = loss(student, teacher, 20.0).sum(), loss(student, teacher, 40.0).sum()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.only_shrinks" loses="properties.gradients, properties.secret" hint="You only ask whether the gradient shrinks. One that doubles with T is as wrong."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(hot > 0.8 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.not_centred" loses="properties.gradients, properties.secret" hint="Your limit is not [(z - mean z) - (v - mean v)] / C: is each position centred by its mean over classes, and the number of classes divided by?"
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = gap / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.norms" loses="properties.gradients, properties.secret" hint="You compared two norms. A gradient of the right size in the wrong direction passes: take the norm of the difference."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool(
            (pull(loss, student, teacher, 1000.0).norm() - limit.norm()).abs() < 0.05 * limit.norm()
        ),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.no_C" loses="properties.gradients, properties.secret" hint="Your limit is not [(z - mean z) - (v - mean v)] / C: C is the number of classes, not that of all elements, and it divides."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = gap - gap.mean(-1, keepdim=True)
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.cool_limit" loses="properties.gradients, properties.secret" hint="At this temperature nothing is at its limit yet: take T = 1000."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 4.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.backward" loses="properties.values, properties.secret" hint="Your explicit sum is not KL(p || q) at T = 1: p, the weights of the sum, are the teacher's probabilities, and the loss is to be asked at T = 1 too."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(student), log_softmax(teacher)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.no_abs" loses="properties.values, properties.secret" hint="A loss below 0 passes your tests: ask for the absolute value, (x.abs() < 1e-5).all()."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0) < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit) < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.on_average" loses="properties.values, properties.secret" hint="Errors that cancel pass: you test the mean. Every position must hold by itself: .all()."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool(loss(teacher, teacher, 4.0).mean().abs() < 1e-5),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool((loss(student, teacher, 1.0) - explicit).mean().abs() < 1e-5),
    }


# %% role="mutant" of="properties" name="properties.too_strict" loses="properties.gradients, properties.secret" hint="Your band is narrower than the docstring's: T squared is not exact at T = 20, and 0.8 to 1.25 is still steady."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.97 * cool < hot < 1.03 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.one_position" loses="properties.gradients, properties.secret" hint="You look at one position only. The norm is over everything, all positions and classes."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool(
            (pull(loss, student, teacher, 1000.0) - limit)[0].norm() < 0.05 * limit[0].norm()
        ),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="mutant" of="properties" name="properties.in_place" loses="properties.values, properties.gradients, properties.secret" hint="`student -= ...` changes the caller's logits. Write student = student - ..., or call centred(student)."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    student -= student.mean(-1, keepdim=True)
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool(((loss(student, teacher, 1.0) - explicit).abs() < 1e-5).all()),
    }


# %% role="alternative" of="properties" name="properties.by_maximum"
def properties(loss, student, teacher):
    g20, g40, g1000 = (pull(loss, student, teacher, T) for T in (20.0, 40.0, 1000.0))
    aim = (centred(student) - centred(teacher)) / student.shape[-1]
    kl = F.kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction="none").sum(-1)
    return {
        "zero": loss(teacher, teacher, 4.0).abs().max().item() < 1e-5,
        "steady": 0.8 < (g40.norm() / g20.norm()).item() < 1.25,
        "limit": ((g1000 - aim).norm() / aim.norm()).item() < 0.05,
        "forward": (loss(student, teacher, 1.0) - kl).abs().max().item() < 1e-5,
    }


# %% role="alternative" of="properties" name="properties.by_allclose"
def properties(loss, student, teacher):
    def close(a, b):
        return torch.allclose(a, b, rtol=0, atol=1e-5)

    p, q = softmax(teacher), softmax(student)
    size = {T: torch.linalg.norm(pull(loss, student, teacher, T)) for T in (20, 40)}
    z, v = student, teacher
    aim = z - v - z.mean(-1, keepdim=True) + v.mean(-1, keepdim=True)
    distance = torch.linalg.norm(pull(loss, z, v, 1000) - aim / z.size(-1))
    return {
        "zero": close(loss(v, v, 4), torch.zeros(len(v), dtype=v.dtype)),
        "steady": bool(size[40] > 0.8 * size[20] and size[40] < 1.25 * size[20]),
        "limit": bool(distance < 0.05 * torch.linalg.norm(aim / z.size(-1))),
        "forward": close(loss(z, v, 1), (p * torch.log(p / q)).sum(-1)),
    }


# %% [markdown]
# ## The bugs, let loose
#
# Now we train with them: a small student (two layers of 100) learns from **3,000** digits, 15 times over. The teacher has seen all 60,000, so it has something to tell.
# Everybody gets the same number of steps, the same batches, $T = 4$, $\alpha = 0.9$; only the loss differs. The two baselines
# that distillation has to beat see no teacher: hard labels, and label smoothing. Everything runs twice: with SGD with momentum, and with Adam. About two minutes on 2 cores.
# (`check.ready` again: your `kl_divergence` is the correct loss, once it has passed its checks.)
#
# **What do you expect?** Sort the bugs before you look: which cost most, which can you not see in the test error at all, and does that depend on the optimizer?

# %% role="show" name="bugs"
runs_epochs, seeds = {"smoke": (2, 1), "default": (15, 4), "full": (15, 20)}[scale]
# What the teacher says of these digits never changes, so it is computed once and stored.
table = tinykd.CachedTeacher.write(tempfile.mkdtemp() + "/teacher", teacher, transfer)


class LeftInTrainMode:
    """The bug of forgetting teacher.eval(): its dropout is still on. A teacher for a Trainer is
    anything with these two methods; those that the engine makes itself cannot forget it."""

    def to(self, device):
        teacher.to(device)

    def targets(self, batch, layers):
        teacher.train()
        with torch.no_grad():
            logits = teacher(batch["inputs"])
        teacher.eval()
        return logits, {}


def soft_and_hard(divergence):
    return 0.9 * SoftTargets(T=4, divergence=divergence) + 0.1 * HardLabels()


def trial(objective, source, optimizer, seed):
    """One student: its error in percent and its cross-entropy in nats on the test digits, and its error on digits held out."""
    torch.manual_seed(seed)
    student = MLP(784, 100, 100, 10)
    cosine = tinykd.cosine(1, 0)
    trainer = Trainer(student, objective, source, optimizer, schedule=cosine, progress=False)
    batches = Batches(transfer, transfer_labels, size=100, seed=seed)
    trainer.fit(batches, epochs=runs_epochs)
    answers, held_out = predict(student, test_images), predict(student, images[50_000:55_000])
    nats = float(tinykd.cross_entropy(answers, test_labels).mean())
    errors = (
        1 - tinykd.accuracy(answers, test_labels),
        1 - tinykd.accuracy(held_out, labels[50_000:55_000]),
    )
    return 100 * errors[0], nats, 100 * errors[1]


mine = check.ready(kl_divergence, tinykd.forward_kl)
contestants = {
    "hard labels": (HardLabels(), None),
    "label smoothing 0.1": (HardLabels(label_smoothing=0.1), None),
    "correct": (soft_and_hard(mine), table),
    "correct, no labels (α = 1)": (1.0 * SoftTargets(T=4, divergence=mine), table),
    **{name: (soft_and_hard(loss), table) for name, loss in ZOO.items() if name != "correct"},
    "teacher's dropout left on": (soft_and_hard(mine), LeftInTrainMode()),
}
optimizers = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, 0.05, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, 2e-3),
}
results = {}  # (optimizer, contestant) -> one trial per seed
for kind, optimizer in optimizers.items():
    for name, (objective, source) in contestants.items():
        for seed in range(seeds):
            one = trial(objective, source, optimizer, seed)
            results.setdefault((kind, name), []).append(one)
        print(f"{kind}, {name}: {seeds} trained")
teacher = teacher.cpu()

# %% role="show" name="fig-bugs" folded=true
figure, grid = plt.subplots(1, 3, figsize=(12, 4.4), sharey=True, layout="constrained")
panels = [
    ("SGD", 0, "test error, %"),
    ("Adam", 0, "test error, %"),
    ("Adam", 1, "test cross-entropy, nats"),
]
for axes, (kind, column, label) in zip(grid, panels, strict=True):
    for row, name in enumerate(contestants):
        values = [result[column] for result in results.get((kind, name), [])]
        if not values:
            axes.annotate("not run", (0, row), va="center", fontsize=8)
            continue
        mean, half = tinykd.mean_interval(values)
        colour = COLORS[4] if row < 2 else COLORS[2] if row < 4 else COLORS[1]
        axes.barh(row, mean, color=colour)
        axes.errorbar(mean, row, xerr=half if np.isfinite(half) else 0, color="black", capsize=3)
        spread = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [0]
        axes.plot(values, row + np.array(spread), "o", color="black", markersize=2.5)
        axes.annotate(
            f"{mean:.2f}", (0, row), (3, 0), textcoords="offset points", va="center", fontsize=8
        )
    if "correct" in {name for its_kind, name in results if its_kind == kind}:
        reference = tinykd.mean_interval([result[column] for result in results[kind, "correct"]])
        axes.axvline(reference[0], color="black", linestyle=":", linewidth=1)
    axes.set(title=f"{kind}: {label}", xlabel=label)
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_yticks(range(len(contestants)), list(contestants))
grid[0].invert_yaxis()
plots.show(
    "Bars for eleven ways to train: test error with SGD, with Adam, and cross-entropy with Adam. "
    "With SGD, bugs of size are worse than no teacher; with Adam most bars are level, while the "
    "cross-entropy of 'softmax twice' and 'only the student heated' stands far out."
)
print(f"bars: mean of {seeds} seeds; whiskers: 95% interval; dots: seeds; dotted: the correct loss")
print("\nTest error in percent; 'against correct': paired by seed, with its 95% interval; nats.")
print(
    " " * 27
    + f"{'SGD':>6s} {'against correct':>16s}{'Adam':>7s} {'against correct':>16s}   SGD  Adam"
)
for name in contestants:
    line, nats = f"{name:27s}", ""
    for kind in optimizers:
        own, correct = results.get((kind, name)), results.get((kind, "correct"))
        if not own or not correct or len(own) != len(correct):
            line, nats = line + "  not run               ", nats + "      "
            continue
        errors = [result[0] for result in own]
        gaps = [a - b[0] for a, b in zip(errors, correct, strict=True)]
        mean, half = tinykd.mean_interval(gaps)
        gap = f"{mean:+.2f} ± {half:.2f}" if name != "correct" else ""
        line += f"{np.mean(errors):6.2f} {gap:>16s} "
        nats += f"{np.mean([result[1] for result in own]):6.2f}"
    print(line + nats)

# %% [markdown]
# Did we starve the baselines? Their learning rate was not chosen for them. The next cell gives each the best of four rates and of several strengths of smoothing, chosen on 5,000 digits that are held out
# (two seeds), and reads the test digits once, for the choice. The distilled student keeps its rate. (About half a minute.)

# %% role="show" name="tuned-baselines"
rates = {"smoke": (0.05, 0.1), "default": (0.02, 0.05, 0.1, 0.2), "full": (0.02, 0.05, 0.1, 0.2)}
strengths = {"hard labels": (0.0,), "label smoothing": (0.1, 0.2, 0.4)}


def sgd(rate):
    return lambda parameters: torch.optim.SGD(parameters, rate, momentum=0.9)


for name, its_strengths in strengths.items():
    held_out = {}  # (rate, strength) -> error on the digits held out
    for rate in rates[scale]:
        for strength in its_strengths:
            objective = HardLabels(label_smoothing=strength)
            runs = [trial(objective, None, sgd(rate), seed) for seed in range(min(seeds, 2))]
            held_out[rate, strength] = np.mean([run[2] for run in runs])
        best = min(held_out[rate, strength] for strength in its_strengths)
        print(f"{name}, rate {rate}: {best:.2f}% of the digits held out are wrong")
    rate, strength = min(held_out, key=held_out.get)
    objective = HardLabels(label_smoothing=strength)
    errors = [trial(objective, None, sgd(rate), seed)[0] for seed in range(seeds)]
    pairs = zip(errors, results["SGD", "correct"], strict=True)
    mean, half = tinykd.mean_interval([error - correct[0] for error, correct in pairs])
    print(
        f"{name} at its best, rate {rate}, s = {strength}: {np.mean(errors):.2f}% of the test digits,"
    )
    print(f"    {mean:+.2f} ± {half:.2f} against the correct loss")

# %% [markdown]
# The last look is at the gradients themselves, on a half-trained student, and at what your four tests say of the zoo.
#
# **What do you expect?** Which bugs change the size of the pull, which its direction, and which tests find which bug?

# %% role="show" name="bug-gradients"
torch.manual_seed(0)
student = MLP(784, 100, 100, 10)
Trainer(student, HardLabels(), progress=False).fit(
    Batches(transfer, transfer_labels, size=100), epochs=2
)
z, v = predict(student, test_images[:1000]).double(), teacher_logits[:1000].double()
right_way = pull(tinykd.forward_kl, z, v, 4.0)
print("The pull of each soft loss on a half-trained student's logits, T = 4,")
print("against that of the correct one:\n")
judge = check.ready(properties, lambda loss, student, teacher: {})
tests = ("zero", "steady", "limit", "forward")
print(f"{'':24s}{'size':>7s}  {'mean angle':18s}" + "".join(f"{test:>8s}" for test in tests))
for name, loss in ZOO.items():
    slope = pull(loss, z, v, 4.0)
    relative = float(slope.norm() / right_way.norm())
    cosine = torch.cosine_similarity(slope, right_way, dim=-1).clamp(-1, 1)
    angle = f"{cosine.arccos().rad2deg().mean():.0f} degrees"
    line = f"{name:24s}{relative:6.3f}x  {angle if relative > 1e-9 else 'no gradient at all':18s}"
    found = judge(loss, z, v)
    verdicts = [{True: "ok", False: "fails"}.get(found.get(test), "-") for test in tests]
    print(line + "".join(f"{verdict:>8s}" for verdict in verdicts))

# %% [markdown]
# **What we saw** (numbers of our run; yours will differ in the last digit). Look at one optimizer at a time: SGD against Adam is not the question here. A difference whose interval holds 0 is not shown.
#
# - **The correct loss pays**: with SGD about 5% wrong against 7.6% for hard labels and 7.0% for label smoothing. Even *without any label* the student gets as far. With Adam the gain is smaller (6.3% against 7.7%), and
#   label smoothing comes close (6.8%). Whether tuning closes the gap under SGD, the lines "at its best" say, with an interval each.
# - **Bugs that change the gradient's size** (mean over classes, $T^2$ forgotten) leave the direction alone and shrink the pull to a tenth, to a sixteenth. With SGD the student
#   ends up worse than without a teacher, since $\alpha = 0.9$ has taken the labels' weight away as well. With Adam you see next to *nothing*: it divides every gradient by its own running size,
#   so that only the balance with the labels has changed, and here that matters little.
#   That is how such bugs survive, until somebody adds a term, clips, or tries another $T$ and "confirms" that $T$ should be low.
# - **Compared with itself**: no gradient at all. Under Adam it is the hard-label baseline apart from rounding (7.7%); under SGD that baseline at a tenth of its learning rate.
# - **Softmax twice**: under Adam you might not notice by the error (6.6%). But the cross-entropy is 1.24 nats instead of 0.21: told that everything is nearly uniform, the student believes it. The pull is off by
#   more than a right angle: on average it points away from where it should.
# - **Only the student heated**: told to reach a sharp target at $T = 4$, the student makes its logits four times too large: overconfident, with 0.77 nats, and with Adam worse than no teacher.
# - **KL the wrong way round** costs about 0.4 points with SGD and hardly anything with Adam (0.07); **dropout left on** cannot be seen with either. Ten clear-cut classes are kind to both: the two divergences pull
#   within about ten degrees of each other, and the noise of dropout averages out. Where a student cannot hold all that its teacher knows, as in language models, the direction of the KL will matter more (lessons 12 and 13).
# - **The tests** find in milliseconds what these training runs took minutes to show, and the explicit sum alone catches the wrong way round. None of them can see the dropout: that bug is not in the loss, but in the loop.

# %% [markdown]
# ## Your own experiments
#
# The next cell trains three students for each line of `settings`, with your loop. Change the lines, run it again, and explain what you see before you look anything up.
#
# 1. **Change $\alpha$**: 0, 0.5, 0.9, 1, at $T = 4$. What happens, and why does so little happen between 0.5 and 1?
# 2. **Change $T$**: 1, 4, 20, at $\alpha = 0.9$ and the same `lr`. Then put `plain_kl` where your loop has `forward_kl` (in exercise 4, if your loop calls that), run the changed cell again,
#    write `train = distil` below, since a loop that was changed has not passed its checks, and repeat. Which of the two experiments would have told you that
#    a low $T$ is best, and what was really changed in it?

# %% role="show" name="experiment"
settings = [
    {"T": 4.0, "alpha": 0.9},
    {"T": 4.0, "alpha": 0.0},
]
train = check.ready(distil, trainer_losses)  # your loop as it stands: train = distil
epochs = {"smoke": 1, "default": 10, "full": 10}[scale]
for setting in settings:
    errors = []
    for seed in range(3):
        torch.manual_seed(seed)
        student = MLP(784, 100, 100, 10)
        batches = Batches(transfer, transfer_labels, size=100, seed=seed)
        train(student, teacher, batches, epochs=epochs, lr=0.05, **setting)
        errors.append(100 * (1 - tinykd.accuracy(predict(student, test_images), test_labels)))
    print(f"{setting}: {np.mean(errors):.2f}% wrong ({', '.join(f'{e:.2f}' for e in errors)})")

# %% [markdown]
# ## What we saw
# - A loss gives one number per position; classes are summed, positions averaged, once and in plain sight.
# - The gradient of the soft-target loss is $T\,(q - p)$ at each position. Without the factor $T^2$ it fades as $1/T^2$ once $T$ is large, and the hard labels take over in silence.
# - At a temperature well above the size of the logits, distillation is matching centred logits; at a low one it cares for the likely classes only.
# - The hard labels are read at $T = 1$, the soft ones at $T$ on both sides, and $\alpha$ here is the weight of the teacher.
# - The loop around it is ten lines: two modes, two forwards, one loss, `zero_grad`, `backward`, `step`. A missing one of them raises no error either.
# - Test error is a poor detector of bugs: Adam hides those that change the gradient's size, ten easy classes hide those of direction. Properties on random logits find what it hides; but each property has its own blind spot. Of our four, only the
#   explicit sum notices that the KL is the wrong way round: both directions are zero at the same place, and at a high temperature they have the same limit.
#
# In the engine you will not meet these bugs: `tinykd.forward_kl` carries its $T^2$ and returns one number per position, `SoftTargets` and `HardLabels` are averaged in one place, and a teacher is put into eval mode and detached
# whether you think of it or not. Each of these has a test.
#
# ## Further reading
# - Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015 ([arXiv 1503.02531](https://arxiv.org/abs/1503.02531)): section 2 is short and holds this lesson's derivations. Lesson 03 rebuilds section 3.
# - Ba and Caruana, *Do Deep Nets Really Need to be Deep?*, 2014 ([arXiv 1312.6184](https://arxiv.org/abs/1312.6184)): matching logits by squared error, before there was a temperature. Buciluă, Caruana, Niculescu-Mizil, *Model Compression*, KDD 2006: a small net
#   learns from the answers of an ensemble to unlabelled data. (That these answers were logits is what Hinton's paper says of this line of work; we have not checked it in the paper of 2006.)
# - Kim et al., *Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in Knowledge Distillation*, 2021 ([arXiv 2105.08919](https://arxiv.org/abs/2105.08919)): the two ends of the temperature scale.
# - Müller, Kornblith, Hinton, *When Does Label Smoothing Help?*, 2019 ([arXiv 1906.02629](https://arxiv.org/abs/1906.02629)): the baseline that distillation has to beat.
# - The documentation of `torch.nn.KLDivLoss`: `reduction="mean"` "doesn't return the true KL divergence value", in its own words.
#
# Check your notebook with `.venv/bin/tinykd check lessons/02_distillation_loss.ipynb`. Then go on to lesson 03: the whole of it, on the paper that started it.

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
# - write the loss that trained every distilled model you have heard of, with the right factors in the right places;
# - derive the factor $T^2$ in four lines, and measure that it is right;
# - say what distillation becomes at a very high temperature;
# - recognise the classic bugs of this loss, say which of them the test error will *not* show you, and write the test that finds them.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: five functions of one to four lines, one of a dozen |
# | Importance | 5 of 5: a wrong factor here makes every later experiment wrong, silently |
# | Time | an hour and a half of yours; 2 minutes of computing on 2 cores |
# | Needs | lessons 00 and 01 (softmax at a temperature, `log_softmax`) |

# %% role="setup" name="setup"
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch

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
from tinykd.classroom import Checks, with_gradient
from tinykd.plots import COLORS

check = Checks("02_distillation_loss")


def draw(rng, *shape, size=3.0):
    """Random logits, normal with standard deviation `size`, that will be asked for a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


def pull(loss, student, teacher, T):
    """Gradient of the summed loss in the student's logits, (N, C); float64 to see far up in T."""
    student = student.detach().double().requires_grad_()
    (slope,) = torch.autograd.grad(loss(student, teacher.double(), T).sum(), student)
    return slope


# %% [markdown]
# ## Three ways to tell a student what a digit is
#
# A student can be told the answer in three ways. **Hard:** "it is a 4", probability 1 on one class. **Smoothed:** "it is a 4,
# but be modest about it", which is 0.9 on the 4 and the rest spread evenly over all ten classes. **Soft:** "it is a 4, I would
# also understand a 9, and it is certainly not a 0", which is what a teacher says at a temperature.
#
# The next cell trains a teacher on all 60,000 digits (about 20 seconds) and draws the three for one test digit.

# %% role="show" name="targets"
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
teacher_logits = predict(teacher, test_images)  # (10000, 10)
print(
    f"The teacher gets {(teacher_logits.argmax(-1) != test_labels).sum()} of 10,000 test digits wrong."
)

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
plt.show()

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
# later, once, in plain sight. One of the bugs at the end of this lesson, and many in published code, come from an average that nobody looked at.
#
# ### Exercise 1: cross-entropy
# Start from `log_softmax(logits)` of lesson 01, not from the logarithm of `softmax`: at logits of ±200 a probability is 0 to the
# computer, and $\log 0$ is not what you want.
#
# <details><summary>Hint: how to pick one class per position</summary>
#
# `x.gather(-1, index)` takes from the last axis the entries that `index` names. It wants `index` to have as many axes as `x`: `labels.unsqueeze(-1)`
# has shape `(..., 1)`, the result too, and `.squeeze(-1)` takes the extra axis away again. Or use the formula as it stands:
# `torch.nn.functional.one_hot(labels, C)` is $y$, and you sum over the last axis.
# </details>


# %% role="answer" name="cross_entropy"
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
logits = draw(rng, 6, 10)
check(
    "cross_entropy.values",
    with_gradient(cross_entropy(logits, torch.tensor(rng.integers(10, size=6))), logits),
)

# %% role="check" name="cross_entropy.positions" points=1 hint="Logits may have more than two axes: classes are always on the last one (dim=-1)."
rng = check.rng("cross_entropy.positions")
logits = draw(rng, 2, 5, 7)
check(
    "cross_entropy.positions",
    with_gradient(cross_entropy(logits, torch.tensor(rng.integers(7, size=(2, 5)))), logits),
)

# %% role="check" name="cross_entropy.extreme" points=1 hint="These logits are hundreds apart: take log_softmax, never log(softmax) and never log(q + something)."
rng = check.rng("cross_entropy.extreme")
logits = draw(rng, 6, 10, size=200).float()
check(
    "cross_entropy.extreme",
    with_gradient(cross_entropy(logits, torch.tensor(rng.integers(10, size=6))), logits),
)

# %% role="hidden" name="cross_entropy.secret" points=1 hint="Other shapes and larger logits: no loop over a fixed number of axes, no logarithm of a probability."
rng = check.rng("cross_entropy.secret")
logits = draw(rng, 2, 3, 4, 6, size=200).float()
check(
    "cross_entropy.secret",
    with_gradient(cross_entropy(logits, torch.tensor(rng.integers(6, size=(2, 3, 4)))), logits),
)


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
    y = torch.nn.functional.one_hot(labels, logits.shape[-1])
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

# %% role="show" name="gradient-size"
torch.manual_seed(1)
novice = MLP(784, 100, 100, 10)  # a student that has not learned anything yet
novice_logits = predict(novice, test_images[:1000])  # (1000, 10)


def plain_kl(student, teacher, T):
    """KL(p || q) by torch's own function: no T^2 anywhere."""
    log_p, log_q = log_softmax(teacher, T), log_softmax(student, T)
    return torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)


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
plt.show()
for T in (1, 4, 20, 100):
    print(f"T = {T:3d}: gradient of KL {size(T):.6f}, of T² KL {T**2 * size(T):.3f}")

# %% [markdown]
# **What we saw.** Above $T \approx 20$ the measured points lie on the dotted line: from $T = 1$ to $T = 100$ the gradient of the plain divergence fell six
# thousand times. With $T^2$ it is 0.9 at $T = 1$, 2.4 at $T = 4$, 1.8 at $T = 20$ and 1.6 at $T = 100$. So $T^2$ is not magic: it makes the pull *nearly*
# independent of $T$, and only once $T$ is large. Without it, going from $T = 4$ to $T = 20$ would have meant a pull 33 times weaker.
#
# ### Exercise 2: the soft-target loss
# $T^2\,\mathrm{KL}(p\|q)$, one number per position. Three things are easy to get wrong. Both sides get the temperature. Everything is computed from
# log-probabilities. And no gradient flows into the teacher: `teacher.detach()` is the same numbers, with the connection to whatever made them cut.


# %% role="answer" name="kl_divergence"
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
check("kl_divergence.values", with_gradient(kl_divergence(student, teacher_z, T=1.0), student))

# %% role="check" name="kl_divergence.temperature" points=1 hint="At T = 4 both softmaxes get the temperature, and the result is multiplied by T squared."
rng = check.rng("kl_divergence.temperature")
student, teacher_z = draw(rng, 5, 10), draw(rng, 5, 10).detach()
check("kl_divergence.temperature", with_gradient(kl_divergence(student, teacher_z, T=4.0), student))

# %% role="check" name="kl_divergence.positions" points=1 hint="Logits of shape (2, 3, 6) give losses of shape (2, 3): sum over the last axis, and over nothing else."
rng = check.rng("kl_divergence.positions")
student, teacher_z = draw(rng, 2, 3, 6), draw(rng, 2, 3, 6).detach()
check("kl_divergence.positions", with_gradient(kl_divergence(student, teacher_z, T=1.0), student))

# %% role="check" name="kl_divergence.zero" points=1 hint="Item 0: student and teacher agree, at T = 3. A divergence is 0 there, and so is its gradient, at any T. Item 1: they differ, at T = 1, and neither is 0."
rng = check.rng("kl_divergence.zero")
student, other = draw(rng, 4, 10), draw(rng, 4, 10).detach()
agreed = kl_divergence(student, student.detach().clone(), T=3.0)
differs = kl_divergence(student, other, T=1.0)
check("kl_divergence.zero", [with_gradient(agreed, student), with_gradient(differs, student)])

# %% role="check" name="kl_divergence.extreme" points=1 hint="Logits hundreds apart: compute with log-probabilities all the way, no log(p / q), no log(q + something)."
rng = check.rng("kl_divergence.extreme")
student = draw(rng, 4, 10, size=200).float()
teacher_z = draw(rng, 4, 10, size=[[200.0], [200.0], [200.0], [2.0]]).float().detach()
check("kl_divergence.extreme", with_gradient(kl_divergence(student, teacher_z, T=1.0), student))

# %% role="check" name="kl_divergence.constant" points=1 hint="The student's gradient is the loss's, the teacher's is 0: the teacher is a constant, detach it."
rng = check.rng("kl_divergence.constant")
student, teacher_z = draw(rng, 3, 10), draw(rng, 3, 10)
gradients = [
    with_gradient(kl_divergence(student, teacher_z, T=1.0), logits)["gradient"]
    for logits in (student, teacher_z)
]
check("kl_divergence.constant", dict(zip(("student", "teacher"), gradients, strict=True)))

# %% role="hidden" name="kl_divergence.secret" points=1 hint="Another shape, another temperature, large logits: the same formula must hold, in value and in gradient."
rng = check.rng("kl_divergence.secret")
student = draw(rng, 2, 4, 5, size=200).float()
teacher_z = draw(rng, 2, 4, 5, size=[[200.0], [2.0], [200.0], [200.0]]).float().detach()
check("kl_divergence.secret", with_gradient(kl_divergence(student, teacher_z, T=2.5), student))


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


# %% role="mutant" of="kl_divergence" name="kl_divergence.batchmean" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="reduction='batchmean' returns one number for the whole batch, and divides by the first axis alone. Return one number per position."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * torch.nn.functional.kl_div(log_q, log_p.exp(), reduction="batchmean")


# %% role="mutant" of="kl_divergence" name="kl_divergence.torch_mean" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="torch's kl_div averages over positions AND classes unless told otherwise. Ask for reduction='none', then sum over the last axis."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * torch.nn.functional.kl_div(log_q, log_p.exp(), reduction="none").mean()


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


# %% role="mutant" of="kl_divergence" name="kl_divergence.no_logs" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.zero, kl_divergence.extreme, kl_divergence.secret, kl_divergence.constant" hint="torch's kl_div wants the student's log-probabilities first; you gave it probabilities."
def kl_divergence(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    return T**2 * torch.nn.functional.kl_div(q, p, reduction="none").sum(-1)


# %% role="mutant" of="kl_divergence" name="kl_divergence.itself" loses="kl_divergence.values, kl_divergence.temperature, kl_divergence.positions, kl_divergence.extreme, kl_divergence.secret, kl_divergence.zero, kl_divergence.constant" hint="The loss is 0 everywhere: you compare the student with itself, or the teacher with itself."
def kl_divergence(student, teacher, T=1.0):
    log_p, log_q = log_softmax(student.detach(), T), log_softmax(student, T)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


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


# %% role="answer" name="soft_gradient"
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
check(
    "soft_gradient.values",
    soft_gradient(draw(rng, 5, 10).detach(), draw(rng, 5, 10).detach(), T=3.0),
)

# %% role="check" name="soft_gradient.positions" points=1 hint="Every axis but the last counts positions: (2, 3, 10) has 6."
rng = check.rng("soft_gradient.positions")
check(
    "soft_gradient.positions",
    soft_gradient(draw(rng, 2, 3, 10).detach(), draw(rng, 2, 3, 10).detach(), T=1.0),
)

# %% role="hidden" name="soft_gradient.secret" points=1 hint="Another shape and temperature: collect the factors again, T^2 from the loss, 1/T from the chain rule, 1/N from the mean."
rng = check.rng("soft_gradient.secret")
check(
    "soft_gradient.secret",
    soft_gradient(draw(rng, 3, 2, 4).detach(), draw(rng, 3, 2, 4).detach(), T=7.0),
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
# removes it.) Before Hinton's paper, Buciluă, Caruana and Niculescu-Mizil compressed models by exactly this, matching logits. Distillation *is* that method, with a knob:
# at a low $T$ it cares about the classes the teacher holds possible, at a high $T$ about all logits alike, down to the most hopeless class. How high is high?


# %% role="show" name="limit"
def centred(z):
    return z - z.mean(-1, keepdim=True)


z, v = novice_logits.double(), teacher_logits[:1000].double()
limit = (centred(z) - centred(v)) / z.shape[-1]  # (1000, C)
errors, angles = [], []
for T in temperatures:
    slope = pull(tinykd.forward_kl, z, v, T)
    errors.append(float((slope - limit).norm() / limit.norm()))
    cosine = torch.cosine_similarity(slope, limit, dim=-1).clamp(-1, 1)
    angles.append(float(cosine.arccos().rad2deg().mean()))
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
left.loglog(temperatures, errors, color=COLORS[0], marker=".", label="measured")
left.loglog(temperatures, errors[-1] * temperatures[-1] / temperatures, "k:", label="slope 1/T")
left.set(xlabel="temperature T", ylabel="distance from the limit,\nrelative")
left.legend(frameon=False)
right.semilogx(temperatures, angles, color=COLORS[1], marker=".")
right.set(xlabel="temperature T", ylabel="angle to the limit, degrees", ylim=(0, None))
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()
print(f"The teacher's centred logits have a standard deviation of {centred(v).std():.1f}.")
for T in (1, 4, 20, 200):
    near = int(np.abs(temperatures - T).argmin())
    print(
        f"T = {temperatures[near]:6.1f}: {errors[near]:.1%} away, angle {angles[near]:.0f} degrees"
    )

# %% [markdown]
# **What we saw.** The distance falls as $1/T$. "High" means high compared with the logits themselves: this teacher's have a standard deviation of about 5, and
# at Hinton's $T = 20$ the gradient points within 7 degrees of plain logit matching. At $T = 1$ it is 35 degrees off: another lesson is being taught.
#
# ### Exercise 4: the limit
# One number per position again, and the teacher is again a constant.


# %% role="answer" name="logit_matching"
def logit_matching(student, teacher):
    """The limit of T^2 KL(p || q) for T to infinity: 1/(2C) sum_i [(z_i - mean z) - (v_i - mean v)]^2.

    student, teacher: logits z and v, (..., C). Returns (...). The teacher gets no gradient.
    """
    # YOUR CODE: centre both over the classes of each position, then the squared distance
    # BEGIN SOLUTION
    difference = student - teacher.detach()  # (..., C)
    difference = difference - difference.mean(-1, keepdim=True)
    return difference.square().sum(-1) / (2 * student.shape[-1])
    # END SOLUTION


# %% role="check" name="logit_matching.values" points=1 hint="Squared differences summed over classes, divided by 2C."
rng = check.rng("logit_matching.values")
student = rng.normal(size=(5, 10)) * 3
student = torch.tensor(
    student - student.mean(-1, keepdims=True), requires_grad=True
)  # centred already
teacher_z = rng.normal(size=(5, 10)) * 3
teacher_z = torch.tensor(teacher_z - teacher_z.mean(-1, keepdims=True))
check("logit_matching.values", with_gradient(logit_matching(student, teacher_z), student))

# %% role="check" name="logit_matching.centred" points=1 hint="A constant added to all logits of a position must change nothing: centre student and teacher, each by its own mean over classes."
rng = check.rng("logit_matching.centred")
student, teacher_z = draw(rng, 2, 3, 10), draw(rng, 2, 3, 10).detach()
check("logit_matching.centred", with_gradient(logit_matching(student + 5, teacher_z - 7), student))

# %% role="check" name="logit_matching.constant" points=1 hint="The student's gradient is the loss's, the teacher's is 0: the teacher is a constant, detach it."
rng = check.rng("logit_matching.constant")
student, teacher_z = (z - z.mean(-1, keepdim=True) for z in (draw(rng, 3, 10), draw(rng, 3, 10)))
gradients = [
    with_gradient(logit_matching(student, teacher_z), logits)["gradient"]
    for logits in (student, teacher_z)
]
check("logit_matching.constant", dict(zip(("student", "teacher"), gradients, strict=True)))

# %% role="hidden" name="logit_matching.secret" points=1 hint="Another number of classes, and logits with different means at every position."
rng = check.rng("logit_matching.secret")
student, teacher_z = draw(rng, 3, 4, size=5), draw(rng, 3, 4, size=5).detach()
check("logit_matching.secret", with_gradient(logit_matching(student, teacher_z), student))


# %% role="mutant" of="logit_matching" name="logit_matching.not_centred" loses="logit_matching.centred, logit_matching.secret" hint="The logits are not centred: subtract from each position its own mean over classes."
def logit_matching(student, teacher):
    return (student - teacher.detach()).square().sum(-1) / (2 * student.shape[-1])


# %% role="mutant" of="logit_matching" name="logit_matching.no_half" loses="logit_matching.values, logit_matching.centred, logit_matching.secret, logit_matching.constant" hint="Twice too large: the factor is 1/(2C). That is torch's mse_loss, which has no one half."
def logit_matching(student, teacher):
    difference = student - teacher.detach()
    return (difference - difference.mean(-1, keepdim=True)).square().mean(-1)


# %% role="mutant" of="logit_matching" name="logit_matching.no_C" loses="logit_matching.values, logit_matching.centred, logit_matching.secret, logit_matching.constant" hint="Divide by the number of classes too: the factor is 1/(2C)."
def logit_matching(student, teacher):
    difference = student - teacher.detach()
    return (difference - difference.mean(-1, keepdim=True)).square().sum(-1) / 2


# %% role="mutant" of="logit_matching" name="logit_matching.wrong_axis" loses="logit_matching.values, logit_matching.centred, logit_matching.secret, logit_matching.constant" hint="You centred over the batch. The mean is over the classes of one position: mean(-1, keepdim=True)."
def logit_matching(student, teacher):
    difference = student - teacher.detach()
    return (difference - difference.mean(0, keepdim=True)).square().sum(-1) / (
        2 * student.shape[-1]
    )


# %% role="mutant" of="logit_matching" name="logit_matching.global_mean" loses="logit_matching.centred, logit_matching.secret" hint="You subtracted one mean over all positions. Every position has its own mean, over its classes: mean(-1, keepdim=True)."
def logit_matching(student, teacher):
    difference = student - teacher.detach()
    return (difference - difference.mean()).square().sum(-1) / (2 * student.shape[-1])


# %% role="mutant" of="logit_matching" name="logit_matching.one_mean" loses="logit_matching.centred, logit_matching.secret" hint="Both were centred with the teacher's mean. Each has its own."
def logit_matching(student, teacher):
    middle = teacher.detach().mean(-1, keepdim=True)
    return ((student - middle) - (teacher.detach() - middle)).square().sum(-1) / (
        2 * student.shape[-1]
    )


# %% role="mutant" of="logit_matching" name="logit_matching.attached" loses="logit_matching.constant" hint="The teacher receives a gradient. It is a constant: teacher.detach()."
def logit_matching(student, teacher):
    difference = student - teacher
    return (difference - difference.mean(-1, keepdim=True)).square().sum(-1) / (
        2 * student.shape[-1]
    )


# %% role="mutant" of="logit_matching" name="logit_matching.batch_mean" loses="logit_matching.values, logit_matching.centred, logit_matching.secret, logit_matching.constant" hint="You averaged over everything. Return one number per position."
def logit_matching(student, teacher):
    difference = student - teacher.detach()
    return (difference - difference.mean(-1, keepdim=True)).square().mean() / 2


# %% role="mutant" of="logit_matching" name="logit_matching.probabilities" loses="logit_matching.values, logit_matching.centred, logit_matching.secret, logit_matching.constant" hint="You compared probabilities. In the limit it is the logits themselves that are compared."
def logit_matching(student, teacher):
    return (softmax(student) - softmax(teacher.detach())).square().sum(-1) / (2 * student.shape[-1])


# %% [markdown]
# ## Both at once: $\alpha$
#
# Teachers err, and labels are true. So the distillation loss is a mixture, averaged over the $N$ positions of the batch:
#
# $$L = \frac1N \sum_n \Big[(1 - \alpha)\,\mathrm{CE}\big(y_n,\,q_n \text{ at } T = 1\big) + \alpha\,T^2\,\mathrm{KL}\big(p_n\|q_n \text{ at } T\big)\Big].$$
#
# - The hard labels are always read at $T = 1$: that is how the student will be used. Only the soft targets are heated.
# - $T^2$ stands in front of the KL alone.
# - $\alpha$ is the weight of the **teacher** here, $\alpha = 1$ means no labels at all. Papers and libraries disagree on this; when a result
#   does not reproduce, look there first.
# - The mean is over positions, all of them: the axes in front of the classes.
#
# In this course's engine the same thing is written as it reads, `alpha * SoftTargets(T=4) + (1 - alpha) * HardLabels()`, and the engine takes the mean.
#
# ### Exercise 5: the distillation loss
# Build it from `tinykd.cross_entropy(logits, labels)` and `tinykd.forward_kl(student, teacher, T)`. These are your first two exercises with error messages: one number per
# position each, and $T^2$ is already **inside** `forward_kl`.


# %% role="answer" name="distillation_loss"
def distillation_loss(student, teacher, labels, T=4.0, alpha=0.9):
    """Mean over positions of (1 - alpha) CE(labels, student at T = 1) + alpha T^2 KL(teacher || student at T).

    student, teacher: logits (..., C). labels: (...). Returns one number, a tensor of shape ().
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
check(
    "distillation_loss.values",
    with_gradient(distillation_loss(student, teacher_z, y, T=4.0, alpha=0.7), student),
)

# %% role="check" name="distillation_loss.labels_only" points=1 hint="With alpha = 0 it is the mean cross-entropy at T = 1, whatever T says."
rng = check.rng("distillation_loss.labels_only")
student, teacher_z = draw(rng, 6, 10), draw(rng, 6, 10).detach()
y = torch.tensor(rng.integers(10, size=6))
check(
    "distillation_loss.labels_only",
    with_gradient(distillation_loss(student, teacher_z, y, T=3.0, alpha=0.0), student),
)

# %% role="check" name="distillation_loss.teacher_only" points=1 hint="With alpha = 1 it is the mean of T^2 KL, and the labels do not matter."
rng = check.rng("distillation_loss.teacher_only")
student, teacher_z = draw(rng, 6, 10), draw(rng, 6, 10).detach()
y = torch.tensor(rng.integers(10, size=6))
check(
    "distillation_loss.teacher_only",
    with_gradient(distillation_loss(student, teacher_z, y, T=3.0, alpha=1.0), student),
)

# %% role="check" name="distillation_loss.positions" points=1 hint="With logits of shape (2, 3, 10) there are 6 positions to average over, not 2."
rng = check.rng("distillation_loss.positions")
student, teacher_z = draw(rng, 2, 3, 10), draw(rng, 2, 3, 10).detach()
y = torch.tensor(rng.integers(10, size=(2, 3)))
check(
    "distillation_loss.positions",
    with_gradient(distillation_loss(student, teacher_z, y, T=1.0, alpha=0.5), student),
)

# %% role="hidden" name="distillation_loss.secret" points=1 hint="Another T, another alpha, another shape."
rng = check.rng("distillation_loss.secret")
student, teacher_z = draw(rng, 4, 3, 5), draw(rng, 4, 3, 5).detach()
y = torch.tensor(rng.integers(5, size=(4, 3)))
check(
    "distillation_loss.secret",
    with_gradient(distillation_loss(student, teacher_z, y, T=6.0, alpha=0.25), student),
)


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
    soft = torch.nn.functional.kl_div(
        log_softmax(student, T), softmax(teacher, T), reduction="none"
    ).mean()
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


# %% [markdown]
# ## The classic bugs
#
# Most of these have been found in published code; the others are what everybody writes once. Each is one line, none raises an error, and with each of them the loss goes down nicely. In the zoo below every
# loss has the signature of `forward_kl`: `(student, teacher, T)` to one number per position.
#
# Then we let them loose: a small student (two layers of 100) learns from **3,000** digits, 15 times over. The teacher has seen all 60,000, so it has something to tell.
# Everybody gets the same number of steps, the same batches, $T = 4$, $\alpha = 0.9$; only the loss differs. The two baselines
# that distillation has to beat see no teacher: hard labels, and label smoothing. Everything runs twice: with SGD with momentum, and with Adam, for a reason you will see. About 80 seconds on 2 cores.


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
SPECIMENS = ZOO | {  # for exercise 6
    "correct up to rounding": lambda s, t, T: tinykd.forward_kl(s, t, T) + 1e-9,
    "cross-entropy": lambda s, t, T: tinykd.forward_kl(s, t, T) + T**2 * tinykd.entropy(t, T),
    "wrong at one position": lambda s, t, T: (
        tinykd.forward_kl(s, t, T) + 0.1 * (torch.arange(len(s)) == 3)
    ),
    "negated": lambda s, t, T: -tinykd.forward_kl(s, t, T),
}


def versions(rng):
    """The correct loss eight times: halved or not, with a T too many or not, a constant added or not. Nobody is told which is which."""
    kinds = [(a, k, b) for a in (1.0, 0.5) for k in (0, 1) for b in (1e-9, 0.1)]

    def version(a, k, b):
        return lambda s, t, T: a * T**k * tinykd.forward_kl(s, t, T) + b

    return {f"version {n}": version(*kinds[i]) for n, i in enumerate(rng.permutation(8), 1)}


# %% role="show" name="bugs"
digits, epochs, seeds = {"smoke": (500, 2, 1), "default": (3_000, 15, 4), "full": (3_000, 15, 20)}[
    scale
]
transfer, transfer_labels = images[:digits], labels[:digits]
table = tinykd.CachedTeacher.write(tempfile.mkdtemp() + "/teacher", teacher, transfer)


class LeftInTrainMode:
    """The bug of forgetting teacher.eval(): its dropout is still on. The engine's own teachers cannot do this."""

    def to(self, device):
        teacher.to(device)

    def targets(self, batch, layers):
        teacher.train()
        with torch.no_grad():
            return teacher(batch["inputs"]), {}


def distil(divergence):
    return 0.9 * SoftTargets(T=4, divergence=divergence) + 0.1 * HardLabels()


mine = check.ready(kl_divergence, tinykd.forward_kl)
contestants = {
    "hard labels": (HardLabels(), None),
    "label smoothing 0.1": (HardLabels(label_smoothing=0.1), None),
    "correct": (distil(mine), table),
    "correct, no labels (α = 1)": (1.0 * SoftTargets(T=4, divergence=mine), table),
    **{name: (distil(loss), table) for name, loss in ZOO.items() if name != "correct"},
    "teacher's dropout left on": (distil(mine), LeftInTrainMode()),
}
optimizers = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, 0.05, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, 2e-3),
}
results = {}  # (optimizer, contestant) -> one (error in percent, test cross-entropy) per seed
for kind, optimizer in optimizers.items():
    for name, (objective, source) in contestants.items():
        for seed in range(seeds):
            torch.manual_seed(seed)
            student = MLP(784, 100, 100, 10)
            trainer = Trainer(
                student, objective, source, optimizer, schedule=tinykd.cosine(1, 0), progress=False
            )
            trainer.fit(Batches(transfer, transfer_labels, size=100, seed=seed), epochs=epochs)
            answers = predict(student, test_images)
            error = 100 * (1 - tinykd.accuracy(answers, test_labels))
            nats = float(tinykd.cross_entropy(answers, test_labels).mean())
            results.setdefault((kind, name), []).append((error, nats))
teacher.cpu().eval()

figure, grid = plt.subplots(1, 3, figsize=(12, 4.4), sharey=True, layout="constrained")
panels = [
    ("SGD", 0, "test error, %"),
    ("Adam", 0, "test error, %"),
    ("Adam", 1, "test cross-entropy, nats"),
]
for axes, (kind, column, label) in zip(grid, panels, strict=True):
    for row, name in enumerate(contestants):
        values = [result[column] for result in results[kind, name]]
        mean, half = tinykd.mean_interval(values)
        colour = COLORS[4] if row < 2 else COLORS[2] if row < 4 else COLORS[1]
        axes.barh(row, mean, color=colour)
        axes.errorbar(mean, row, xerr=half if np.isfinite(half) else 0, color="black", capsize=3)
        axes.plot(values, [row] * len(values), "o", color="black", markersize=2.5)
        axes.annotate(
            f"{mean:.2f}", (0, row), (3, 0), textcoords="offset points", va="center", fontsize=8
        )
    reference = tinykd.mean_interval([result[column] for result in results[kind, "correct"]])[0]
    axes.axvline(reference, color="black", linestyle=":", linewidth=1)
    axes.set(title=f"{kind}: {label}", xlabel=label)
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_yticks(range(len(contestants)), list(contestants))
grid[0].invert_yaxis()
plt.show()
print(f"bars: mean of {seeds} seeds; whiskers: 95% interval; dots: seeds; dotted: the correct loss")
heads = [f"{kind} {unit}" for kind in optimizers for unit in ("error, %", "nats")]
print(" " * 28 + "".join(f"{head:>15}" for head in heads))
for name in contestants:
    cells = [
        tinykd.mean_interval(column)
        for kind in optimizers
        for column in zip(*results[kind, name], strict=True)
    ]
    print(f"{name:28s}" + "".join(f"{mean:8.2f} ± {half:.2f}" for mean, half in cells))

# %% role="show" name="bug-gradients"
torch.manual_seed(0)
student = MLP(784, 100, 100, 10)
Trainer(student, HardLabels(), progress=False).fit(
    Batches(transfer, transfer_labels, size=100), epochs=2
)
z, v = predict(student, test_images[:1000]).double(), teacher_logits[:1000].double()
right_way = pull(tinykd.forward_kl, z, v, 4.0)
print(
    "The pull of each soft loss on a half-trained student's logits, T = 4, against the correct one:\n"
)
print(f"{'':28s}{'size':>8s}   angle (mean over 1,000 digits)")
for name, loss in ZOO.items():
    slope = pull(loss, z, v, 4.0)
    size = float(slope.norm() / right_way.norm())
    cosine = torch.cosine_similarity(slope, right_way, dim=-1).clamp(-1, 1)
    angle = (
        f"{cosine.arccos().rad2deg().mean():.0f} degrees" if size > 1e-9 else "no gradient at all"
    )
    print(f"{name:28s}{size:7.3f}x   {angle}")

# %% [markdown]
# **What we saw** (numbers of our run; yours will differ in the last digit). Look at a column at a time: SGD against Adam is not the question here.
#
# - **The correct loss pays**: with SGD 5.0% wrong against 7.6% for hard labels and 7.0% for label smoothing. Even *without any label* the student gets to 5.1%. With Adam the gain is smaller (6.3% against 7.7%), and
#   label smoothing comes close. (Did we starve the baselines? Each at its own best of the learning rates 0.02, 0.05, 0.1 and 0.2, three seeds: hard labels 7.2%, smoothing 6.4%.)
# - **Bugs of size** (mean over classes, $T^2$ forgotten) leave the direction alone and shrink the pull to a tenth, to a sixteenth. With SGD the student
#   ends up worse than without a teacher, since $\alpha = 0.9$ has taken the labels' weight away as well. A larger learning rate would cure much of that. With Adam you see next to *nothing*: it divides every gradient by its own running size,
#   so that only the balance with the labels has changed, and here that matters little.
#   That is how such bugs survive, until somebody adds a term, clips, or tries another $T$ and "confirms" that $T$ should be low.
# - **Compared with itself**: no gradient at all. Under Adam it is the hard-label baseline but for rounding (7.7%); under SGD that baseline at a tenth of its learning rate.
# - **Softmax twice**: under Adam you might not notice by the error (6.6%). But the cross-entropy is 1.24 nats instead of 0.21: told that everything is nearly uniform, the student believes it. The pull is off by
#   more than a right angle: on average it points away from where it should.
# - **Only the student heated**: told to reach a sharp target at $T = 4$, the student makes its logits four times too large. Wildly overconfident, and with Adam worse than no teacher.
# - **KL the wrong way round** and **dropout left on** do little damage here, if any. Ten clear-cut classes are kind to both: the two divergences pull
#   within about ten degrees of each other, and the noise of dropout averages out. Where a student cannot hold all that its teacher knows, as in language models, the direction of the KL will matter a great deal (lessons 12 and 13).
#
# ### Exercise 6: the test that finds them
# So a falling loss proves nothing, and the test error may hide the bug and takes a training run to read. But you now know *properties* of this loss, and each one is checked in milliseconds on random logits:
# it is **zero** where the two agree; its gradient is **steady** at high $T$; it has the logit-matching **limit**; and at $T = 1$ it is the **forward** KL, written out as a sum. Note that three of the four
# look at places where the answer is known without any reference code.
#
# Write them. `pull(loss, student, teacher, T)` from the first cell gives the gradient, shape `(N, C)`. The specimens are the zoo, four more, and eight versions of the correct loss, of which one is unspoilt. Before you look: which of the four notices
# that the KL is the wrong way round?
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
      "steady":  the size (norm over everything) of the gradient at T = 40 is 0.8 to 1.25 times that at T = 20;
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


# %% role="check" name="properties.zero" points=1 hint="Call loss(teacher, teacher, 4.0): every value must lie within 1e-5 of 0. Rounding is not a bug, so do not ask for exactly 0."
rng = check.rng("properties.zero")
student, teacher_z = draw(rng, 6, 10, size=2).detach(), draw(rng, 6, 10, size=2).detach()
losses = SPECIMENS | versions(rng)
names = rng.permutation(list(losses))  # so losses[names[3]] is the loss at [3]
found = [properties(losses[name], student, teacher_z)["zero"] for name in names]
check("properties.zero", found)

# %% role="check" name="properties.steady" points=1 hint="Compare the norms of two gradients, at T = 20 and at T = 40; no gradient at all is not steady."
rng = check.rng("properties.steady")
student, teacher_z = draw(rng, 6, 10).detach(), draw(rng, 6, 10).detach()
losses = SPECIMENS | versions(rng)
names = rng.permutation(list(losses))  # so losses[names[3]] is the loss at [3]
found = [properties(losses[name], student, teacher_z)["steady"] for name in names]
check("properties.steady", found)

# %% role="check" name="properties.limit" points=1 hint="The logit-matching gradient is [(z - mean z) - (v - mean v)] / C. Take the norm of the difference, not the difference of the norms."
rng = check.rng("properties.limit")
student, teacher_z = draw(rng, 6, 10, size=2).detach() + 3, draw(rng, 6, 10, size=2).detach()
losses = SPECIMENS | versions(rng)
names = rng.permutation(list(losses))  # so losses[names[3]] is the loss at [3]
found = [properties(losses[name], student, teacher_z)["limit"] for name in names]
check("properties.limit", found)

# %% role="check" name="properties.forward" points=1 hint="At T = 1, compare with the explicit sum of p (log p - log q), p from the teacher, at every position."
rng = check.rng("properties.forward")
student, teacher_z = draw(rng, 6, 10, size=2).detach(), draw(rng, 6, 10, size=2).detach()
losses = SPECIMENS | versions(rng)
names = rng.permutation(list(losses))  # so losses[names[3]] is the loss at [3]
found = [properties(losses[name], student, teacher_z)["forward"] for name in names]
check("properties.forward", found)

# %% role="hidden" name="properties.secret" points=1 hint="Other losses: your four tests must find other bugs too."
rng = check.rng("properties.secret")
student, teacher_z = draw(rng, 12, 7).detach(), draw(rng, 12, 7).detach() - 4
losses = versions(rng) | {
    "half": lambda s, t, T: tinykd.forward_kl(s, t, T) / 2,
    "T once": lambda s, t, T: tinykd.forward_kl(s, t, T) / T,
    "not centred": lambda s, t, T: (s - t).square().sum(-1) / (2 * s.shape[-1]),
    "symmetric": lambda s, t, T: (tinykd.forward_kl(s, t, T) + tinykd.reverse_kl(s, t, T)) / 2,
    "a constant more": lambda s, t, T: tinykd.forward_kl(s, t, T) + 0.1,
    "one bad position": lambda s, t, T: (
        tinykd.forward_kl(s, t, T) + 0.1 * (torch.arange(len(s)) == 3)
    ),
    "rounding": lambda s, t, T: tinykd.forward_kl(s, t, T) + 1e-9,
}
names = rng.permutation(list(losses))
check("properties.secret", [properties(losses[name], student, teacher_z) for name in names])


# %% role="mutant" of="properties" name="properties.exact" loses="properties.zero, properties.secret" hint="A correct loss fails your test for zero: computers round, so ask for less than 1e-5, not for exactly 0."
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


# %% role="mutant" of="properties" name="properties.zero_of_two" loses="properties.zero, properties.secret" hint="Your test for zero compares student with teacher. The loss is 0 where both are the same: loss(teacher, teacher, 4.0)."
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


# %% role="mutant" of="properties" name="properties.zero_at_1" loses="properties.zero" hint="Your test for zero reads the loss at T = 1, where a temperature on one side only cannot be seen. Take T = 4."
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


# %% role="mutant" of="properties" name="properties.zero_any" loses="properties.zero, properties.secret" hint="One position with a loss of 0 is enough for you. Every position must have it: .all()."
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


# %% role="mutant" of="properties" name="properties.too_cold" loses="properties.steady, properties.secret" hint="You compared low temperatures. T squared keeps the gradient steady for large T only: take 20 and 40."
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


# %% role="mutant" of="properties" name="properties.summed" loses="properties.steady, properties.secret" hint="You summed the gradient. Over the classes it always sums to 0 (q and p both sum to 1): take its norm."
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


# %% role="mutant" of="properties" name="properties.values" loses="properties.steady" hint="You compared the loss at two temperatures. Training feels its gradient: a loss that holds the teacher's entropy grows with T, its gradient does not."
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


# %% role="mutant" of="properties" name="properties.only_shrinks" loses="properties.steady, properties.secret" hint="You only ask whether the gradient shrinks. One that doubles with T is as wrong."
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


# %% role="mutant" of="properties" name="properties.not_centred" loses="properties.limit, properties.secret" hint="The logits in your limit are not centred: subtract from each position its mean over classes."
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


# %% role="mutant" of="properties" name="properties.norms" loses="properties.limit" hint="You compared two norms. A gradient of the right size in the wrong direction passes: take the norm of the difference."
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


# %% role="mutant" of="properties" name="properties.no_C" loses="properties.limit, properties.secret" hint="Your limit lacks the division by the number of classes."
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


# %% role="mutant" of="properties" name="properties.cool_limit" loses="properties.limit, properties.secret" hint="At this temperature nothing is at its limit yet: take T = 1000."
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


# %% role="mutant" of="properties" name="properties.backward" loses="properties.forward, properties.secret" hint="Your explicit sum is KL(q || p): a test with the bug inside. p, the weights of the sum, are the teacher's probabilities."
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


# %% role="mutant" of="properties" name="properties.loose" loses="properties.forward, properties.secret" hint="Your test lets too much pass: the values must agree at every position, not only their mean, and to within 1e-5."
def properties(loss, student, teacher):
    cool, hot = pull(loss, student, teacher, 20.0).norm(), pull(loss, student, teacher, 40.0).norm()
    gap = student - teacher
    limit = (gap - gap.mean(-1, keepdim=True)) / gap.shape[-1]
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    explicit = (log_p.exp() * (log_p - log_q)).sum(-1)
    return {
        "zero": bool((loss(teacher, teacher, 4.0).abs() < 1e-5).all()),
        "steady": bool(0.8 * cool < hot < 1.25 * cool),
        "limit": bool((pull(loss, student, teacher, 1000.0) - limit).norm() < 0.05 * limit.norm()),
        "forward": bool((loss(student, teacher, 1.0) - explicit).mean().abs() < 0.5),
    }


# %% [markdown]
# ## What we saw
# - A loss gives one number per position; classes are summed, positions averaged, once and in plain sight.
# - The gradient of the soft-target loss is $T\,(q - p)$ at each position. Without the factor $T^2$ it fades as $1/T^2$, and the hard labels take over in silence.
# - At a temperature well above the size of the logits, distillation is matching centred logits; at a low one it cares for the likely classes only.
# - The hard labels are read at $T = 1$, the soft ones at $T$ on both sides, and $\alpha$ here is the weight of the teacher.
# - Test error is a poor detector of bugs: Adam hides those of size, ten easy classes hide those of direction. Properties of the gradient hide nothing, but only one of our four
#   (the explicit sum) noticed that the KL was the wrong way round: at a high temperature both directions have the same limit.
#
# In the engine you will not meet these bugs: `tinykd.forward_kl` carries its $T^2$ and returns one number per position, `SoftTargets` and `HardLabels` are averaged in one place, and a teacher is put into eval mode and detached
# whether you think of it or not. Each of these has a test.
#
# ## Further reading
# - Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015 ([arXiv 1503.02531](https://arxiv.org/abs/1503.02531)): section 2 is two pages and holds this lesson's derivations. Lesson 03 rebuilds section 3.
# - Buciluă, Caruana, Niculescu-Mizil, *Model Compression*, KDD 2006; Ba and Caruana, *Do Deep Nets Really Need to be Deep?*, 2014 ([arXiv 1312.6184](https://arxiv.org/abs/1312.6184)): matching logits, before there was a temperature.
# - Kim et al., *Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in Knowledge Distillation*, 2021 ([arXiv 2105.08919](https://arxiv.org/abs/2105.08919)): the two ends of the temperature scale.
# - Müller, Kornblith, Hinton, *When Does Label Smoothing Help?*, 2019 ([arXiv 1906.02629](https://arxiv.org/abs/1906.02629)): the baseline that distillation has to beat.
# - The documentation of `torch.nn.KLDivLoss`: `reduction="mean"` "doesn't return the true KL divergence value", in its own words.
#
# Check your notebook with `.venv/bin/tinykd check lessons/02_distillation_loss.ipynb`. Then go on to lesson 03: the whole of it, on the paper that started it.

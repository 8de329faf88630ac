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
# # 01 · Temperature
#
# **What you will be able to do**
# - turn logits into probabilities without a single overflow, in NumPy and in torch, at any temperature;
# - say in nats how sure a network is, and choose the temperature that makes it as unsure as you like;
# - read a trained network's *dark knowledge*: which wrong answers it finds less wrong than others.
#
# | | |
# |---|---|
# | Difficulty | 2 of 5: six functions of one to eight lines |
# | Importance | 5 of 5: everything after this lesson is built from these six functions |
# | Time | an hour to an hour and a half of yours; 1 minute of computing on 2 cores |
# | Needs | lesson 00 |

# %% role="setup" name="setup"
import math

import numpy as np
import torch

import tinykd
from tinykd import MLP, Batches, HardLabels, Trainer, load_mnist, predict
from tinykd.classroom import Checks

check = Checks("01_temperature")

# %% [markdown]
# ## A two that is almost a three
#
# A network with ten outputs looks at a digit. It answers with ten real numbers, the **logits** $z_0 \dots z_9$.
# The largest one is its answer. What are the other nine for?
#
# Hinton, Vinyals and Dean give this example in the paper that named distillation: one version of a 2 may be given a
# probability of $10^{-6}$ of being a 3 and $10^{-9}$ of being a 7, whereas for another version it may be the other way around.
# "This is valuable information that defines a rich similarity structure over the data." It has almost no influence on the
# training loss, because the probabilities are so close to zero. **Temperature** is how we make it visible.
#
# Is it true, or only a good story? We train a network and look. The next cell takes about 15 seconds. It sees images and
# labels, nothing else: nobody ever tells it that some twos look like threes.

# %% role="show" name="teacher"
import matplotlib.pyplot as plt

from tinykd.plots import COLORS

images, labels = load_mnist("train")
test_images, test_labels = load_mnist("test")
count, epochs = {"smoke": (20_000, 1), "default": (60_000, 4), "full": (60_000, 20)}[tinykd.scale()]

torch.manual_seed(0)
teacher = MLP(784, 400, 10, dropout=0.3)
Trainer(teacher, HardLabels(), progress=False).fit(
    Batches(images[:count], labels[:count], size=200), epochs=epochs
)
logits = predict(teacher, test_images)  # (10000, 10)
print(f"{(logits.argmax(-1) != test_labels).sum()} of the 10,000 test digits wrong")

# Twos it is sure of: the one that leans most from 7 towards 3, and the one that leans the other way.
p = tinykd.softmax(logits)
sure = (test_labels == 2) & (p[:, 2] > 0.99)
lean_3 = int((logits[:, 3] - logits[:, 7]).where(sure & (p[:, 3] > 2e-4), -math.inf).argmax())
lean_7 = int((logits[:, 7] - logits[:, 3]).where(sure & (p[:, 7] > 2e-4), -math.inf).argmax())
figure, grid = plt.subplots(
    1, 4, figsize=(10, 2.3), width_ratios=(1, 2.2, 1, 2.2), layout="constrained"
)
for i, (picture, axes) in zip((lean_3, lean_7), grid.reshape(2, 2), strict=True):
    picture.imshow(test_images[i], cmap="gray_r")
    picture.set_title(f"test digit {i}", fontsize=9)
    picture.axis("off")
    axes.bar(range(10), logits[i], color=[COLORS[0 if c == 2 else 1] for c in range(10)])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xticks=range(10), title="logits", xlabel="class")
    print(f"test digit {i}: P(2) = {p[i, 2]:.4f}   P(3) = {p[i, 3]:.1e}   P(7) = {p[i, 7]:.1e}")
plt.show()

# %% [markdown]
# Two digits, one label, one answer, next to no doubt. Yet for the first the 3 is millions of times more likely than the 7, and for the
# second it is the 7 that leads. The story holds. Now let us build the instrument that shows it.
#
# ## From logits to probabilities
#
# $$p_i = \frac{e^{z_i/T}}{\sum_j e^{z_j/T}}$$
#
# The exponential makes every number positive, the sum makes them add up to 1. The **temperature** $T$ divides the logits first.
# Look at the ratio of two probabilities, where the sum cancels:
#
# $$\frac{p_i}{p_j} = e^{(z_i - z_j)/T}$$
#
# - $T = 1$ is the ordinary softmax. With a gap of 14 between two logits the ratio is $e^{14} \approx 1{,}200{,}000$.
# - $T = 10$ makes that $e^{1.4} \approx 4$: the same order of classes, in a contrast one can see.
# - $T \to \infty$ makes all classes equal, $T \to 0$ gives everything to the largest. No $T$ ever changes *which* one is largest.
#
# Only **differences** of logits matter: add 100 to all of them and every $p_i$ stays. That saves us from trouble.
# Computers know numbers up to about $10^{308}$, and $e^{710}$ is more than that: it becomes `inf`, and `inf / inf` is `nan`. At
# the other end $e^{-750}$ is 0, and if every term is 0 we divide 0 by 0. So subtract the largest $z_i/T$ of *each row* before
# exponentiating: the largest term is then $e^0 = 1$, nothing overflows, and the sum is at least 1.
#
# NumPy reminder: `z.max(axis=1, keepdims=True)` takes the maximum along axis 1 and keeps that axis with length 1, so that the result
# can be subtracted from `z`. `axis=-1` means the last axis.
#
# ### Exercise 1: softmax
#
# <details><summary>Hint 1</summary>Three lines: divide by T, subtract the maximum along <code>axis</code>, exponentiate and divide by the sum
# along <code>axis</code>.</details>
# <details><summary>Hint 2</summary>Both the maximum and the sum need <code>axis=axis, keepdims=True</code>. Without
# <code>keepdims</code> the shapes (3, 5) and (3,) do not fit together.</details>


# %% role="answer" name="softmax"
def softmax(z, T=1.0, axis=-1):
    """p_i = exp(z_i / T) / sum_j exp(z_j / T), for logits of any size.

    z: array of logits, any shape, the classes along `axis`. T: temperature, above 0.
    Returns an array of the same shape that sums to 1 along `axis`, and no NaN for any finite z.
    """
    # YOUR CODE: divide by T, subtract the maximum along axis, exponentiate, divide by the sum
    # BEGIN SOLUTION
    x = z / T
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
    # END SOLUTION


# %% role="check" name="softmax.values" points=1 hint="exp(z) divided by its sum along the last axis, one sum for each row."
rng = check.rng("softmax.values")
check("softmax.values", softmax(rng.normal(size=(3, 5)) * 2))

# %% role="check" name="softmax.temperature" points=1 hint="T divides the logits, before the exponential: exp(z / T), above and below the line."
rng = check.rng("softmax.temperature")
z = rng.normal(size=(2, 10)) * 5
check("softmax.temperature", {"T=4": softmax(z, T=4.0), "T=0.5": softmax(z, T=0.5)})

# %% role="check" name="softmax.stable" points=1 hint="Subtract from each row its own largest value before you exponentiate."
rng = check.rng("softmax.stable")
z = rng.normal(size=(3, 5)) * 3 + np.array([[0.0], [-9000.0], [9000.0]])  # three rows far apart
check("softmax.stable", softmax(z, T=2.0))

# %% role="check" name="softmax.axis" points=1 hint="The classes need not lie along the last axis: use the argument axis in the maximum and in the sum."
rng = check.rng("softmax.axis")
check("softmax.axis", softmax(rng.normal(size=(2, 5, 3)), axis=1))

# %% role="hidden" name="softmax.vector" points=1 hint="Try one single digit: softmax(z, T=20.0) for z of shape (10,). It must work for any number of axes."
rng = check.rng("softmax.vector")
check("softmax.vector", softmax(rng.normal(size=10) * 8, T=20.0))


# %% role="mutant" of="softmax" name="softmax.no_max" loses="softmax.stable" hint="You exponentiate large numbers as they are: exp(4500) is infinite and exp(-4500) is 0, and both end in NaN. Subtract the largest value of the row first; only differences of logits matter."
def softmax(z, T=1.0, axis=-1):
    e = np.exp(z / T)
    return e / e.sum(axis=axis, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.global_max" loses="softmax.stable" hint="You subtract one maximum for the whole array: rows far below it become 0 / 0. Each row needs its own maximum: x.max(axis=axis, keepdims=True)."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max())
    return e / e.sum(axis=axis, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.times_T" loses="softmax.temperature, softmax.stable, softmax.vector" hint="You multiply the logits by T: that sharpens where it should soften. Divide."
def softmax(z, T=1.0, axis=-1):
    x = z * T
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.ignores_T" loses="softmax.temperature, softmax.stable, softmax.vector" hint="T makes no difference to your result: either it is not used, or you divide by it after the exponential, where it cancels. It belongs inside: exp(z / T)."
def softmax(z, T=1.0, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True)) / T
    return e / e.sum(axis=axis, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.divides_result" loses="softmax.temperature, softmax.stable, softmax.vector" hint="You divide the probabilities by T: they no longer sum to 1. Divide the logits, before the exponential."
def softmax(z, T=1.0, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True) / T


# %% role="mutant" of="softmax" name="softmax.total" loses="softmax.values, softmax.temperature, softmax.stable, softmax.axis" hint="You divide by the sum over the whole array: then the array sums to 1, and not every row. Sum along axis, with keepdims=True."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum()


# %% role="mutant" of="softmax" name="softmax.last_axis" loses="softmax.axis" hint="You always work along the last axis. Here the classes lie along axis 1: pass axis=axis on."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.axis_0" loses="softmax.values, softmax.temperature, softmax.stable, softmax.axis" hint="Your columns sum to 1, not your rows: axis 0 runs over the digits. The classes are along the last axis, unless the argument axis says otherwise."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(0, keepdims=True))
    return e / e.sum(0, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.axis_1" loses="softmax.vector" hint="axis=1 is fixed in your code: a single digit of shape (10,) has no axis 1. Pass axis=axis on."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


# %% [markdown]
# Now look through it. The same two digits, the same logits, five temperatures. At $T=1$ there is one bar: all that a label could
# have told us anyway. As $T$ rises the second choice appears, then the third. At $T=20$ the bars have come close, though still in
# the same order. How much of this a student can use depends on the student: lesson 03 measures it.

# %% role="show" name="fig-temperatures"
f = check.ready(softmax, lambda z, T=1.0: tinykd.softmax(torch.as_tensor(z), T).numpy())

TEMPERATURES = (1, 2, 4, 8, 20)
figure, grid = plt.subplots(
    2, 6, figsize=(11, 3.8), width_ratios=(0.9,) + (1,) * 5, sharey="col", layout="constrained"
)
for i, (picture, *row) in zip((lean_3, lean_7), grid, strict=True):
    picture.imshow(test_images[i], cmap="gray_r")
    picture.axis("off")
    for axes, T in zip(row, TEMPERATURES, strict=True):
        colors = [COLORS[{2: 0, 3: 1, 7: 2}.get(c, 4)] for c in range(10)]
        axes.bar(range(10), f(logits[i].numpy(), T=T), color=colors)
        axes.set(xticks=range(10), ylim=(0, 1), yticks=(0, 0.5, 1))
        axes.set_title(f"T = {T}", fontsize=10)
figure.suptitle("softmax(z / T) of two twos: the 2 blue, the 3 orange, the 7 green", fontsize=10)
plt.show()

# %% [markdown]
# Turn the knob yourself: any test digit, any temperature. (The slider needs `ipywidgets`, which `make lab` installs. Where it is missing,
# or where you read this on a page that runs nothing, the picture above has to do.)


# %% role="show" name="slider"
def show_digit(i=lean_3, log_T=0.6):
    """Digit i beside its soft targets at T = 10 ** log_T."""
    T, C = 10**log_T, 10
    _, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.4), width_ratios=(1, 2.6))
    left.imshow(test_images[i], cmap="gray_r")
    left.axis("off")
    right.bar(range(C), f(logits[i].numpy(), T=T), color=COLORS[0])
    right.axhline(1 / C, color="black", linestyle=":", linewidth=1)
    right.set(xticks=range(C), ylim=(0, 1))
    right.set_title(f"label {test_labels[i]}, T = {T:.2f}", fontsize=10)
    plt.show()


try:
    from ipywidgets import BoundedIntText, FloatSlider, interact
except ImportError:
    show_digit()
else:
    interact(
        show_digit,
        i=BoundedIntText(lean_3, 0, 9999, description="test digit"),
        log_T=FloatSlider(0.6, min=-1, max=2, step=0.05, description="log10 T", readout=False),
    )

# %% [markdown]
# ## Logarithms: never of a probability
#
# Every loss in this course needs $\log p_i$. The tempting way is `np.log(softmax(z))`. But a probability below about
# $10^{-323}$ is stored as 0, its logarithm is $-\infty$, and one such number in a batch makes the whole loss infinite. In torch's
# 32 bits that already happens below $10^{-45}$: a gap of 104 between two logits is enough. Adding a small number
# (`np.log(p + 1e-12)`) hides the symptom and returns a wrong answer: $\log 10^{-12} \approx -28$ where $-2000$ was right.
#
# Write the logarithm out instead, and no probability is needed at all. With $x = z/T$ and $m = \max_j x_j$:
#
# $$\log p_i = x_i - \log \sum_j e^{x_j} = x_i - \Big( m + \log \sum_j e^{x_j - m} \Big)$$
#
# The bracket is the famous **log-sum-exp**, with the maximum taken out of the sum as before, and added back.
#
# ### Exercise 2: log_softmax
#
# <details><summary>Hint 1</summary>Let <code>x = z / T</code> and <code>m</code> its maximum along <code>axis</code>. You need
# <code>x - m</code> twice: on its own, and inside <code>np.log(np.sum(np.exp(...)))</code>.</details>
# <details><summary>Hint 2</summary><code>x - (m + log(...))</code> is the same as <code>(x - m) - log(...)</code>: subtract the maximum
# first, and there is nothing to add back.</details>


# %% role="answer" name="log_softmax"
def log_softmax(z, T=1.0, axis=-1):
    """log p_i = z_i / T - log sum_j exp(z_j / T), in nats (natural logarithm), exact for any logits.

    z: array of logits, any shape, the classes along `axis`. T: temperature, above 0.
    Returns an array of the same shape, every value finite and at most 0.
    """
    # YOUR CODE: log-sum-exp with the maximum taken out; no logarithm of a probability
    # BEGIN SOLUTION
    x = z / T
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))
    # END SOLUTION


# %% role="check" name="log_softmax.values" points=1 hint="z minus the log of the sum of exp(z), row by row, with the natural logarithm."
rng = check.rng("log_softmax.values")
check("log_softmax.values", log_softmax(rng.normal(size=(3, 5)) * 2 + 1))

# %% role="check" name="log_softmax.temperature" points=1 hint="Replace z by z / T everywhere: outside the logarithm and inside the exponential."
rng = check.rng("log_softmax.temperature")
check("log_softmax.temperature", log_softmax(rng.normal(size=(2, 10)) * 5, T=4.0))

# %% role="check" name="log_softmax.extreme" points=1 hint="A log-probability of -2000 is a fine number, although the probability itself is 0 to a computer: never form the probability."
rng = check.rng("log_softmax.extreme")
z = rng.normal(size=(2, 4)) + np.array([[0.0, -2000.0, 1000.0, -50.0]])
check("log_softmax.extreme", log_softmax(z))

# %% role="hidden" name="log_softmax.axis" points=1 hint="Try classes along the first axis: log_softmax(z, axis=0). Use the argument axis in every maximum and sum."
rng = check.rng("log_softmax.axis")
check("log_softmax.axis", log_softmax(rng.normal(size=(5, 3)), T=2.0, axis=0))


# %% role="mutant" of="log_softmax" name="log_softmax.log_of_p" loses="log_softmax.extreme" hint="You take the logarithm of a probability: exp(-3000) is 0 and log 0 is -infinity. Use the written-out form, where no probability appears."
def log_softmax(z, T=1.0, axis=-1):
    e = np.exp((z - z.max(axis=axis, keepdims=True)) / T)
    with np.errstate(divide="ignore"):
        return np.log(e / e.sum(axis=axis, keepdims=True))


# %% role="mutant" of="log_softmax" name="log_softmax.epsilon" loses="log_softmax.extreme" hint="A small number inside the logarithm turns -3000 into -28: finite, and wrong. Its gradient is wrong too. Use the written-out form, where nothing needs protecting."
def log_softmax(z, T=1.0, axis=-1):
    e = np.exp((z - z.max(axis=axis, keepdims=True)) / T)
    return np.log(e / e.sum(axis=axis, keepdims=True) + 1e-12)


# %% role="mutant" of="log_softmax" name="log_softmax.no_max" loses="log_softmax.extreme" hint="exp(1000) overflows inside your log-sum-exp. Take the maximum out of the sum: m + log(sum(exp(x - m)))."
def log_softmax(z, T=1.0, axis=-1):
    x = z / T
    with np.errstate(over="ignore"):
        return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


# %% role="mutant" of="log_softmax" name="log_softmax.max_lost" loses="log_softmax.values, log_softmax.temperature, log_softmax.extreme, log_softmax.axis" hint="You took the maximum out of the sum and did not add it back: log-sum-exp is m + log(sum(exp(x - m))). The exponentials of your result do not sum to 1."
def log_softmax(z, T=1.0, axis=-1):
    x = z / T
    m = x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x - m).sum(axis=axis, keepdims=True))


# %% role="mutant" of="log_softmax" name="log_softmax.half_T" loses="log_softmax.temperature, log_softmax.axis" hint="You use T in one of the two places only. Set x = z / T once, and write x from then on."
def log_softmax(z, T=1.0, axis=-1):
    m = z.max(axis=axis, keepdims=True)
    return (z - m) / T - np.log(np.exp(z - m).sum(axis=axis, keepdims=True))


# %% role="mutant" of="log_softmax" name="log_softmax.log_divided" loses="log_softmax.temperature, log_softmax.axis" hint="You divide the log-probabilities by T. Their exponentials then no longer sum to 1: divide the logits, and normalise after that."
def log_softmax(z, T=1.0, axis=-1):
    x = z - z.max(axis=axis, keepdims=True)
    return (x - np.log(np.exp(x).sum(axis=axis, keepdims=True))) / T


# %% role="mutant" of="log_softmax" name="log_softmax.last_axis" loses="log_softmax.axis" hint="You always work along the last axis: pass axis=axis on to the maximum and to the sum."
def log_softmax(z, T=1.0, axis=-1):
    x = z / T
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


# %% [markdown]
# ## How unsure, in one number
#
# The bars get flatter as $T$ rises. **Entropy** says how flat:
#
# $$H(p) = -\sum_{i=1}^{C} p_i \log p_i \qquad \text{(in nats: natural logarithm)}$$
#
# It is 0 when one class has everything, and $\log C$ when all $C$ classes are equal: for ten digits $\log 10 \approx 2.303$.
# $e^H$ is a number of classes: a network with $H = \log 2 \approx 0.693$ is as unsure as if two classes were equally likely.
#
# One trap. What is $p \log p$ at $p = 0$? On paper it is 0: a class that cannot happen adds no doubt, and indeed
# $p \log p \to 0$ as $p \to 0$. To a computer it is $0 \cdot (-\infty)$, which is `nan`. So wherever $p = 0$ the logarithm has to be kept
# out of it. `np.where(condition, a, b)` takes from `a` where the condition holds and from `b` where it does not. But it computes both
# first: choose *inside* the logarithm, `np.log(np.where(p > 0, p, 1.0))`, and no warning is ever raised.
#
# ### Exercise 3: entropy
#
# <details><summary>Hint</summary>Each $p_i$ multiplies a logarithm that is finite everywhere; sum along the last axis; mind the
# sign.</details>


# %% role="answer" name="entropy"
def entropy(p):
    """H = -sum_i p_i log p_i, in nats, with 0 log 0 = 0.

    p: array of probabilities, shape (..., C), summing to 1 along the last axis; zeros are allowed.
    Returns an array of shape (...), each value between 0 and log C.
    """
    # YOUR CODE: one value for each distribution, and no NaN where p is 0
    # BEGIN SOLUTION
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)
    # END SOLUTION


# %% role="check" name="entropy.values" points=1 hint="The sum of p times its natural logarithm, along the last axis, with a minus in front."
rng = check.rng("entropy.values")
check("entropy.values", entropy(rng.dirichlet(np.ones(10), size=4)))

# %% role="check" name="entropy.zeros" points=1 hint="0 log 0 counts as 0, exactly: the other classes must count as if the impossible ones were not there."
rng = check.rng("entropy.zeros")
p = np.zeros((4, 6))
p[0, 2] = 1.0  # certain: entropy 0
p[1, [0, 5]] = 0.5  # two classes, equally likely: log 2
p[2:, 1:4] = rng.dirichlet(np.ones(3), size=2)
check("entropy.zeros", entropy(p))

# %% role="hidden" name="entropy.shape" points=1 hint="Try p of shape (2, 3, 5): one entropy for each of the 2 x 3 distributions."
rng = check.rng("entropy.shape")
check("entropy.shape", entropy(rng.dirichlet(np.ones(5), size=(2, 3))))


# %% role="mutant" of="entropy" name="entropy.naive" loses="entropy.zeros" hint="0 times log 0 is 0 times minus infinity: NaN. Put np.where(p > 0, p, 1.0) inside the logarithm: log 1 is 0."
def entropy(p):
    with np.errstate(divide="ignore", invalid="ignore"):
        return -(p * np.log(p)).sum(-1)


# %% role="mutant" of="entropy" name="entropy.sign" loses="entropy.values, entropy.zeros, entropy.shape" hint="The logarithm of a probability is negative, doubt is not: put the minus in front."
def entropy(p):
    return (p * np.log(np.where(p > 0, p, 1.0))).sum(-1)


# %% role="mutant" of="entropy" name="entropy.bits" loses="entropy.values, entropy.zeros, entropy.shape" hint="You use the logarithm to base 2, so your unit is the bit. Here it is the nat: np.log."
def entropy(p):
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(-1)


# %% role="mutant" of="entropy" name="entropy.mean" loses="entropy.values, entropy.zeros, entropy.shape" hint="You average over the classes, which makes the entropy C times too small. Classes are summed, here and in every loss of this course."
def entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1.0))).mean(-1)


# %% role="mutant" of="entropy" name="entropy.total" loses="entropy.values, entropy.zeros, entropy.shape" hint="You sum over the whole array. Each distribution has its own entropy: sum along the last axis only."
def entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum()


# %% role="mutant" of="entropy" name="entropy.axis_1" loses="entropy.shape" hint="axis=1 is fixed in your code. The classes are along the last axis, whatever comes before it: axis=-1."
def entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(1)


# %% role="mutant" of="entropy" name="entropy.no_p" loses="entropy.values, entropy.zeros, entropy.shape" hint="You sum the logarithms without their weights p: entropy is the mean of -log p under p itself."
def entropy(p):
    return -np.log(np.where(p > 0, p, 1.0)).sum(-1)


# %% role="show" name="fig-entropy"
H = check.ready(entropy, lambda p: torch.special.entr(torch.as_tensor(p)).sum(-1).numpy())

Ts = np.geomspace(0.1, 100, 60)
curves = np.stack([H(tinykd.softmax(logits.double(), T).numpy()) for T in Ts])  # (60, 10000)
figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
low, high = np.quantile(curves, (0.05, 0.95), axis=1)
axes.fill_between(Ts, low, high, color=COLORS[4], alpha=0.35, label="90% of the test digits")
axes.plot(Ts, curves.mean(1), color=COLORS[0], label="mean")
for i, color in ((int(curves[30].argmax()), COLORS[5]), (lean_3, COLORS[1])):
    axes.plot(Ts, curves[:, i], color=color, linestyle="--", label=f"test digit {i}")
axes.axhline(math.log(10), color="black", linestyle=":", label="log 10")
axes.set(xscale="log", xlabel="temperature T", ylabel="entropy of the soft target (nats)")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# Every curve climbs from 0 to $\log 10$ and never turns back, but each does so at its own temperature. So "$T = 4$" says little by
# itself. A network with larger logits needs a larger $T$ for the same softness: double all logits, and $2T$ gives what $T$ gave.
#
# A better question is: **at which $T$ does this digit's entropy reach a given value?** There is no formula for it, and none is
# needed, since the curve only ever rises. **Bisection**: keep an interval $[a, b]$ with too little entropy at $a$ and too much at $b$;
# look at the middle; keep the half that still has the answer in it; repeat. Each step halves the interval.
# Because $T$ may be 0.05 or 500, take the middle on the logarithmic scale: $\sqrt{ab}$. From $[10^{-3}, 10^{6}]$, sixty halvings are
# far more than enough.
#
# `entropy_at` in the next cell measures the entropy of one digit's soft target at one temperature.
#
# ### Exercise 4: find_temperature
#
# <details><summary>Hint 1</summary>A loop: <code>for _ in range(60):</code> compute <code>T = math.sqrt(low * high)</code> and
# <code>entropy_at(z, T)</code>.</details>
# <details><summary>Hint 2</summary>Too much entropy at the middle: it is too hot there, so the answer lies below, and the middle becomes
# the new <code>high</code>.</details>


# %% role="setup" name="entropy-at"
def entropy_at(z, T):
    """Entropy in nats of softmax(z / T), for the logits z of one digit, shape (C,)."""
    return float(tinykd.entropy(torch.as_tensor(z, dtype=torch.float64), T))


# %% role="answer" name="find_temperature"
def find_temperature(z, target):
    """The T at which entropy_at(z, T) equals `target`, by bisection.

    z: logits of one digit, shape (C,), the largest of them unique. target: nats, 0 < target < log C.
    Returns T as a float, right to 4 digits or more.
    """
    low, high = 1e-3, 1e6
    # YOUR CODE: halve the interval about 60 times, on the logarithmic scale
    # BEGIN SOLUTION
    for _ in range(60):
        T = math.sqrt(low * high)
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
    return math.sqrt(low * high)
    # END SOLUTION


# %% role="check" name="find_temperature.one_nat" points=1 rtol=0.001 hint="Print low and high in the loop: both must close in on one value, at which entropy_at gives the target."
rng = check.rng("find_temperature.one_nat")
check("find_temperature.one_nat", [find_temperature(z, 1.0) for z in rng.normal(size=(3, 10)) * 6])

# %% role="check" name="find_temperature.targets" points=1 rtol=0.001 hint="The target is a number of nats and the answer is a temperature: more doubt wanted, higher T."
rng = check.rng("find_temperature.targets")
z = rng.normal(size=10) * 6
check("find_temperature.targets", [find_temperature(z, target) for target in (0.2, 1.6, 2.2)])

# %% role="hidden" name="find_temperature.scales" points=1 rtol=0.001 hint="Try logits a thousand times larger or smaller: T grows and shrinks with them, and must be as exact. Halve on the logarithmic scale, and often enough."
rng = check.rng("find_temperature.scales")
z = rng.normal(size=7)
check("find_temperature.scales", [find_temperature(z * size, 1.2) for size in (0.02, 1.0, 2000.0)])


# %% role="mutant" of="find_temperature" name="find_temperature.wrong_half" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="You keep the wrong half and run to the end of the interval. Too much entropy at the middle means it is too hot: the middle becomes high."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    for _ in range(60):
        T = math.sqrt(low * high)
        if entropy_at(z, T) > target:
            low = T
        else:
            high = T
    return math.sqrt(low * high)


# %% role="mutant" of="find_temperature" name="find_temperature.few_steps" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="You stop too early: ten halvings of nine powers of ten leave an answer that is a percent off. Halve about 60 times; it costs milliseconds."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    for _ in range(10):
        T = math.sqrt(low * high)
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
    return math.sqrt(low * high)


# %% role="mutant" of="find_temperature" name="find_temperature.linear" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="On the linear scale twenty halvings leave low and high a whole degree apart. Take the middle as sqrt(low * high), and halve about 60 times."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    for _ in range(20):
        T = (low + high) / 2
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
    return (low + high) / 2


# %% role="mutant" of="find_temperature" name="find_temperature.bits" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="You compare bits with nats: entropy_at and the target are both in nats, so no conversion is needed."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    for _ in range(60):
        T = math.sqrt(low * high)
        if entropy_at(z, T) / math.log(2) > target:
            high = T
        else:
            low = T
    return math.sqrt(low * high)


# %% role="mutant" of="find_temperature" name="find_temperature.inverse" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="You return 1 / T, the factor on the logits. The temperature divides them."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    for _ in range(60):
        T = math.sqrt(low * high)
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
    return 1 / T


# %% role="mutant" of="find_temperature" name="find_temperature.returns_entropy" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="You return the entropy that was reached. The question is at which temperature."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    for _ in range(60):
        T = math.sqrt(low * high)
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
    return entropy_at(z, T)


# %% [markdown]
# What is it good for? A digit that needs little heat to reach one nat is one the network is already unsure about; a digit that needs a
# lot is one it finds obvious. So the temperature you have just computed sorts the digits by difficulty. Nobody labelled
# them hard or easy.

# %% role="show" name="fig-difficulty"
# tinykd has no such function: where yours is not ready, read T off a finely drawn entropy curve.
fine = np.geomspace(0.01, 100, 400)
find = check.ready(
    find_temperature,
    lambda z, target: float(np.interp(target, [entropy_at(z, T) for T in fine], fine)),
)
needed = np.array([find(z, 1.0) for z in logits[:400].double().numpy()])
order = needed.argsort()
chosen = [*order[:8], *order[-8:]]
titles = [f"{test_labels[i]}: T = {needed[i]:.1f}" for i in chosen]
tinykd.plots.digits(test_images[chosen], titles=titles, columns=8).suptitle(
    "T at which the entropy is 1 nat, first 400 test digits: the 8 lowest (hard) and the 8 highest (easy)",
    fontsize=10, y=1.04,
)  # fmt: skip
plt.show()

# %% [markdown]
# ## Dark knowledge
#
# Now collect the small numbers over many digits. Take all the twos, average their soft targets: ten numbers that say
# what the twos look like to this network. Do so for every class and you have a 10 × 10 matrix $M$,
#
# $$M_{ci} = \frac{1}{n_c}\sum_{n:\; \text{label } c} p_{n,i} \quad (i \ne c), \qquad M_{cc} = 0$$
#
# where $n_c$ is the number of digits with label $c$. The diagonal is set to 0: what a label says already is of no interest here. Hinton called
# the rest **dark knowledge**, the part you cannot see until you turn up the temperature.
#
# In NumPy `p[labels == 2]` are the rows whose label is 2, and `np.fill_diagonal(M, 0.0)` does what it says, in place.
#
# ### Exercise 5: dark_knowledge
#
# <details><summary>Hint 1</summary>A loop over the classes, or
# <code>np.stack([p[labels == c].mean(0) for c in range(C)])</code>: why <code>mean(0)</code> and not <code>mean()</code>?</details>
# <details><summary>Hint 2</summary><code>np.fill_diagonal</code> changes the matrix and returns None: call it on a line of its own, and
# return the matrix.</details>


# %% role="answer" name="dark_knowledge"
def dark_knowledge(p, labels):
    """Mean soft target of each class, without the class itself.

    p: soft targets, shape (N, C). labels: true classes, shape (N,), every class at least once.
    Returns M of shape (C, C): row c is the mean of the soft targets of all samples labelled c,
    and M[c, c] = 0.
    """
    # YOUR CODE: one row of means for each class, then the diagonal
    # BEGIN SOLUTION
    M = np.stack([p[labels == c].mean(0) for c in range(p.shape[1])])
    np.fill_diagonal(M, 0.0)
    return M
    # END SOLUTION


# %% role="check" name="dark_knowledge.matrix" points=2 hint="Row c: the mean, over the samples with label c, of each of the C columns of p; then the diagonal set to 0."
rng = check.rng("dark_knowledge.matrix")
labels_ = np.arange(40) ** 2 % 7 % 4  # classes 0, 1, 2 in unequal numbers, and some 3 below
labels_[::9] = 3
check("dark_knowledge.matrix", dark_knowledge(rng.dirichlet(np.ones(4) / 2, size=40), labels_))

# %% role="hidden" name="dark_knowledge.pair" points=1 hint="The largest entry of the matrix must be the pair that is confused most: rows are true classes, columns are what they are taken for."
rng = check.rng("dark_knowledge.pair")
labels_ = np.repeat(np.arange(5), [30, 4, 4, 4, 4])
p = rng.dirichlet(np.ones(5), size=46) * 0.3 + 0.7 * np.eye(5)[labels_]
p[labels_ == 3, 1] += rng.uniform(
    0.2, 0.3
)  # threes that look like ones; the many zeros must not outvote them
M = np.asarray(dark_knowledge(p / p.sum(1, keepdims=True), labels_))
check("dark_knowledge.pair", [*np.unravel_index(M.argmax(), (5, 5)), M.max()])


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.predicted" loses="dark_knowledge.matrix" hint="You group the samples by the network's answer. Group them by their label: the question is what a true 2 is taken for."
def dark_knowledge(p, labels):
    answer = p.argmax(1)
    M = np.stack([p[answer == c].mean(0) for c in range(p.shape[1])])
    np.fill_diagonal(M, 0.0)
    return M


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.diagonal" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="The diagonal is still there. It says that twos look like twos; set it to 0."
def dark_knowledge(p, labels):
    return np.stack([p[labels == c].mean(0) for c in range(p.shape[1])])


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.sum" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="You add the soft targets up: classes with more samples then look more confusable. Take the mean of each class."
def dark_knowledge(p, labels):
    M = np.stack([p[labels == c].sum(0) for c in range(p.shape[1])])
    np.fill_diagonal(M, 0.0)
    return M


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.over_all" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="You divide every class by the number of all samples. Each class is averaged over its own samples."
def dark_knowledge(p, labels):
    M = np.stack([p[labels == c].sum(0) / len(p) for c in range(p.shape[1])])
    np.fill_diagonal(M, 0.0)
    return M


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.transposed" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="Your matrix is transposed: rows are the true classes, columns what they are taken for."
def dark_knowledge(p, labels):
    M = np.stack([p[labels == c].mean(0) for c in range(p.shape[1])], axis=1)
    np.fill_diagonal(M, 0.0)
    return M


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.returns_none" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="np.fill_diagonal works in place and returns None: call it on its own line, then return the matrix."
def dark_knowledge(p, labels):
    M = np.stack([p[labels == c].mean(0) for c in range(p.shape[1])])
    return np.fill_diagonal(M, 0.0)


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.renormalised" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="You rescale the rows to sum to 1 again. A plausible thing to look at, but not what is asked: it would hide that some classes are far more distinct than others."
def dark_knowledge(p, labels):
    M = np.stack([p[labels == c].mean(0) for c in range(p.shape[1])])
    np.fill_diagonal(M, 0.0)
    return M / M.sum(1, keepdims=True)


# %% role="show" name="fig-dark"
dark = check.ready(
    dark_knowledge,
    lambda p, y: np.stack([p[y == c].mean(0) for c in range(10)]) * (1 - np.eye(10)),
)
figure, grid = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
for axes, T in zip(grid, (1, 5), strict=True):
    M = dark(tinykd.softmax(logits, T).numpy(), test_labels.numpy())
    image = axes.imshow(M, cmap="cividis")
    for c, i in zip(*np.unravel_index(M.ravel().argsort()[-6:], M.shape), strict=True):
        ink = "black" if M[c, i] > 0.6 * M.max() else "white"
        axes.text(i, c, f"{M[c, i]:.3f}"[1:], ha="center", va="center", fontsize=7, color=ink)
    axes.set(xticks=range(10), yticks=range(10), xlabel="taken for", ylabel="true class")
    axes.set_title(f"mean soft target at T = {T}", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.8)
    pairs = [divmod(int(k), 10) for k in M.ravel().argsort()[::-1][:5]]
    print(f"T = {T}: what is most like what:", ", ".join(f"{c} like {i}" for c, i in pairs))
plt.show()

# %% [markdown]
# A map of which digits resemble which, drawn by a network that was told nothing but ten names. The label of a 4 says "4". The soft
# target says "4, and if not, then 9, and hardly a 0", and says it a little differently for every single 4. That is what a student gets from a teacher on top
# of the labels.
#
# ## The same in torch, where precision bites
#
# torch has `torch.softmax(x, dim)`, and it subtracts the maximum for you. What is left to you is the temperature and the **number format**.
# Large models compute in `bfloat16` or `float16`, half the bits of `float32`:
#
# | format | digits | largest number | near 20, neighbours differ by |
# |---|---|---|---|
# | `float32` | about 7 | $3 \cdot 10^{38}$ | 0.000002 |
# | `float16` | about 3 | 65,504 | 0.016 |
# | `bfloat16` | between 2 and 3 | $3 \cdot 10^{38}$ | 0.125 |
#
# A logit rounded by 0.06 changes its probability by 6%. We cannot undo the rounding that the network did, but we must not add our own:
# **go up to `float32` first, then divide by $T$, then take the softmax.** Going up after the division, or rounding the finished probabilities, comes too late: published
# distillation losses that do so are tens of percent off. (`x.float()` is `x` in `float32`; gradients flow through it. `float64`
# is better than `float32`, so leave it alone.)
#
# Two habits: never detach (`.detach()`, `.numpy()`, `.item()`) what will need a gradient, and never
# change an argument in place (`logits /= T` changes the caller's logits too).
#
# ### Exercise 6: torch_softmax
#
# <details><summary>Hint</summary>Two steps: if <code>logits.dtype</code> is not <code>torch.float64</code>, replace logits by
# <code>logits.float()</code>. Then <code>torch.softmax(logits / T, dim)</code>.</details>


# %% role="answer" name="torch_softmax"
def torch_softmax(logits, T=1.0, dim=-1):
    """softmax(logits / T), computed in float32 or better.

    logits: float tensor of any shape and any float dtype, the classes along `dim`. T: above 0.
    Returns a tensor of the same shape: float64 where the logits are float64, else float32.
    Gradients flow to `logits`, which are not changed.
    """
    # YOUR CODE: float32 first (unless float64), then the temperature, then torch.softmax
    # BEGIN SOLUTION
    if logits.dtype != torch.float64:
        logits = logits.float()
    return torch.softmax(logits / T, dim)
    # END SOLUTION


# %% role="check" name="torch_softmax.values" points=1 hint="torch.softmax(logits / T, dim), in float32; float64 logits give a float64 result."
rng = check.rng("torch_softmax.values")
z = torch.from_numpy(rng.normal(size=(2, 5, 3)) * 4)
out = {str(x.dtype): torch_softmax(x, T=3.0, dim=1) for x in (z, z.float())}
check("torch_softmax.values", {f"from {k}": [str(p.dtype), p] for k, p in out.items()})

# %% role="check" name="torch_softmax.half" points=1 rtol=0.00001 hint="Half precision goes up to float32 before anything else happens to it; the result is float32."
rng = check.rng("torch_softmax.half")
z = torch.from_numpy(rng.normal(size=(2, 10)) * 20)
out = [torch_softmax(z.to(dtype), T=3.0) for dtype in (torch.bfloat16, torch.float16)]
check("torch_softmax.half", {"dtypes": [str(p.dtype) for p in out], "p": out[0], "p16": out[1]})

# %% role="check" name="torch_softmax.gradient" points=1 hint="The gradient must reach the logits, and they must stay what they were: no detach, no numpy, nothing in place."
rng = check.rng("torch_softmax.gradient")
z = torch.from_numpy(rng.normal(size=(2, 5))).requires_grad_()
x = z * 1.0  # what a network would hand over
p = torch_softmax(x, T=2.0)
p[:, 0].sum().backward()
check("torch_softmax.gradient", {"p": p, "logits afterwards": x, "grad": z.grad})

# %% role="hidden" name="torch_softmax.large" points=1 hint="Try float16 logits of 60,000 at T = 0.5, which is 120,000: more than float16 can hold. Go up first."
rng = check.rng("torch_softmax.large")
z = torch.from_numpy(60_000 + 64 * rng.integers(0, 2, size=(4, 5))).half()
p = torch_softmax(z, T=0.5)
check("torch_softmax.large", p)


# %% role="mutant" of="torch_softmax" name="torch_softmax.no_upcast" loses="torch_softmax.half, torch_softmax.large" hint="You compute in the format you were given: with bfloat16 logits your probabilities have 2 to 3 digits. Call .float() first."
def torch_softmax(logits, T=1.0, dim=-1):
    return torch.softmax(logits / T, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.late_upcast" loses="torch_softmax.half, torch_softmax.large" hint="You divide by T in half precision and go up to float32 after that: the rounding error of the division is already in. Call .float() on the logits themselves."
def torch_softmax(logits, T=1.0, dim=-1):
    x = logits / T
    return torch.softmax(x if x.dtype == torch.float64 else x.float(), dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.last_upcast" loses="torch_softmax.half, torch_softmax.large" hint="You convert the finished probabilities: their digits are already lost. Call .float() on the logits, before everything else."
def torch_softmax(logits, T=1.0, dim=-1):
    p = torch.softmax(logits / T, dim)
    return p if p.dtype == torch.float64 else p.float()


# %% role="mutant" of="torch_softmax" name="torch_softmax.always_float" loses="torch_softmax.values" hint="You turn float64 into float32 as well and lose half its digits. Leave float64 alone."
def torch_softmax(logits, T=1.0, dim=-1):
    return torch.softmax(logits.float() / T, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.always_double" loses="torch_softmax.values, torch_softmax.half" hint="float64 for everything is exact and, on most GPUs, many times slower. float32 is enough: use float64 only where the logits come in it."
def torch_softmax(logits, T=1.0, dim=-1):
    return torch.softmax(logits.double() / T, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.detached" loses="torch_softmax.gradient" hint="The way back to the logits is cut: .detach() or a trip through NumPy stops the gradient. A student could not learn from this."
def torch_softmax(logits, T=1.0, dim=-1):
    logits = logits.detach()
    if logits.dtype != torch.float64:
        logits = logits.float()
    return torch.softmax(logits / T, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.in_place" loses="torch_softmax.gradient" hint="logits /= T changes the caller's tensor: whoever uses these logits next gets them already divided. Write logits / T."
def torch_softmax(logits, T=1.0, dim=-1):
    if logits.dtype != torch.float64:
        logits = logits.float().clone()
    logits /= T
    return torch.softmax(logits, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.times_T" loses="torch_softmax.values, torch_softmax.half, torch_softmax.gradient" hint="You multiply the logits by T: that sharpens where it should soften. Divide."
def torch_softmax(logits, T=1.0, dim=-1):
    if logits.dtype != torch.float64:
        logits = logits.float()
    return torch.softmax(logits * T, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.last_dim" loses="torch_softmax.values" hint="You always work along the last dimension. Here the classes lie along dim 1: pass dim on."
def torch_softmax(logits, T=1.0, dim=-1):
    if logits.dtype != torch.float64:
        logits = logits.float()
    return torch.softmax(logits / T, -1)


# %% [markdown]
# Against the engine, which has the same function (`tinykd/softmax.py`: read it, it is shorter than this lesson). The test is hard on purpose.
# All 10,000 test digits at $T = 3$, logits in `bfloat16`, and beside them a student that has nearly learned them: the same logits with a little
# noise added. How far off is the probability of the second choice? And how far off is $\sum_i p_i (\log p_i - \log q_i)$, the
# distance between the two that lesson 02 is about?

# %% role="show" name="precision"
yours = check.ready(torch_softmax, tinykd.softmax)
torch.manual_seed(0)
half = logits.to(torch.bfloat16)
nearly = (logits + 0.1 * torch.randn(logits.shape)).to(torch.bfloat16)
ways = {
    "exact (float64)": lambda z: torch.softmax(z.double() / 3, -1),  # from the same rounded logits
    "your torch_softmax": lambda z: yours(z, T=3.0),
    "tinykd.softmax": lambda z: tinykd.softmax(z, T=3.0),
    "T in bfloat16, then float32": lambda z: torch.softmax((z / 3).float(), -1),
    "all in bfloat16": lambda z: torch.softmax(z / 3, -1),
}
print(
    "relative error:                second choice, median     distance, median     distance below 0"
)
for name, way in ways.items():
    p, q = way(half), way(nearly)
    distance = (p * (p.log() - q.log())).sum(-1)
    if name.startswith("exact"):
        second = p.topk(2).indices[:, 1:]
        exact_p, exact_distance = p.gather(1, second), distance
    off_p = (p.gather(1, second) / exact_p - 1).abs().median()
    off = (distance / exact_distance - 1).abs().median()
    print(f"{name:<30} {off_p:>22.1%} {off:>20.1%} {(distance < 0).double().mean():>20.1%}")

# %% [markdown]
# The probabilities look fine in every row: a fraction of a percent. But a distance is a sum of differences of nearly equal
# numbers, and what is left after the subtraction is mostly rounding. Done wholly in `bfloat16` it is nonsense, often even below 0, which no distance
# can be. One line, `.float()`, in the right place.

# %% [markdown]
# ## What we saw
#
# - Softmax turns differences of logits into ratios of probabilities; $T$ sets the contrast and never changes the winner.
# - Subtract the row's maximum. Take logarithms by log-sum-exp, never of a probability. Leave half precision before you divide.
# - Entropy runs from 0 to $\log C$ as $T$ rises. Which $T$ is "soft" depends on the size of the logits: there is no universal $T = 4$.
# - Raised temperature shows which wrong answers a network finds nearly right: digit by digit, and class by class.
#
# **What we have not shown:** that any of this helps a student. Visible is not yet useful: at high $T$ much of what becomes visible may be the
# noise of logits that nobody trained to be anything in particular. Lesson 02 builds the loss that carries soft targets into a student, and lesson 03 measures,
# with several seeds, at which temperatures it pays and for which students it does not.
#
# ## Further reading
#
# - Hinton, Vinyals, Dean 2015, *Distilling the Knowledge in a Neural Network*, arXiv 1503.02531. Sections 1 and 2; the twos are in section 1.
# - Buciluă, Caruana, Niculescu-Mizil 2006, *Model Compression* (KDD). A big model labels data for a small one.
# - Guo, Pleiss, Sun, Weinberger 2017, *On Calibration of Modern Neural Networks*, arXiv 1706.04599. The same $T$, for another purpose: honest
#   probabilities.
# - Blanchard, Higham, Higham 2021, *Accurately computing the log-sum-exp and softmax functions* (IMA Journal of Numerical Analysis), arXiv 1909.03469.
#
# Check your notebook with `.venv/bin/tinykd check lessons/01_temperature.ipynb`. Then go on to lesson 02, the distillation loss.

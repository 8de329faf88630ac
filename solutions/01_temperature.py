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
from tinykd import MLP, Batches, HardLabels, Trainer, load_mnist, plots, predict
from tinykd.classroom import Checks, with_gradient
from tinykd.plots import COLORS

check = Checks("01_temperature")


def ran(name):
    """Whether the cell that makes `name` has run to its end; says so where it has not."""
    if name not in globals():
        print(f"not run: this needs {name!r} from a cell above; run that one to its end first")
    return name in globals()


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
# labels, nothing else: nobody ever tells it that some twos look like threes. (`predict` gives the logits of a network
# for a whole set of images.)

# %% role="show" name="teacher"
import matplotlib.pyplot as plt

images, labels = load_mnist("train")
test_images, test_labels = load_mnist("test")
count, epochs = {"smoke": (20_000, 1), "default": (60_000, 4), "full": (60_000, 20)}[tinykd.scale()]

torch.manual_seed(0)
teacher = MLP(784, 400, 10, dropout=0.3)
batches = Batches(images[:count], labels[:count], size=200)
print(f"training on {count:,} digits ...", flush=True)
Trainer(teacher, HardLabels(), progress=False).fit(batches, epochs=epochs)
logits = predict(teacher, test_images)  # (10000, 10)
print(f"{(logits.argmax(-1) != test_labels).sum()} of the 10,000 test digits wrong")

# %% [markdown]
# Now two twos that this network is sure of: of all of them the one that leans most from 7 towards 3, and the one that leans most the other way.
#
# **What do you expect?** Both have a logit of the 2 that stands far above all others. How many times more probable than a 7 can a 3 be for one of them?

# %% role="show" name="fig-twos" folded=true
if ran("logits"):
    p = tinykd.softmax(logits)
    sure = (test_labels == 2) & (p[:, 2] > 0.99)
    lean = logits[:, 3] - logits[:, 7]
    lean_3 = int(lean.where(sure & (p[:, 3] > 2e-4), -math.inf).argmax())
    lean_7 = int((-lean).where(sure & (p[:, 7] > 2e-4), -math.inf).argmax())
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
        print(
            f"test digit {i}: P(2) = {p[i, 2]:.4f}   P(3) = {p[i, 3]:.1e}   P(7) = {p[i, 7]:.1e}"
            f"   P(3) / P(7) = {p[i, 3] / p[i, 7]:.1g}"
        )
    plots.show(
        "Two handwritten twos and their ten logits: in both the logit of the 2 is far the largest; "
        "of the others the 3 leads for the first digit and the 7 for the second."
    )

# %% [markdown]
# Two digits, one label, one answer, next to no doubt. Yet for the first the 3 is millions of times more likely than the 7, and for the
# second it is the 7 that leads. The story holds for these two, and we had to look for them. Now let us build the instrument that shows it for any digit.
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


# %% role="answer" name="softmax" library="tinykd.softmax, torch.softmax, torch.nn.functional.softmax, scipy.special.softmax, torch.nn.Softmax"
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
check("softmax.values", check.call(softmax, rng.normal(size=(3, 5)) * 2))

# %% role="check" name="softmax.temperature" points=1 hint="T divides the logits, before the exponential: exp(z / T), above and below the line."
rng = check.rng("softmax.temperature")
z, hot, cold = rng.normal(size=(2, 10)) * 5, rng.uniform(3, 6), rng.uniform(0.3, 0.7)
found = {"T above 1": check.call(softmax, z, T=hot), "T below 1": check.call(softmax, z, T=cold)}
check("softmax.temperature", found)

# %% role="check" name="softmax.stable" points=1 hint="Subtract from each row its own largest value before you exponentiate."
rng = check.rng("softmax.stable")


def specimen(rng):
    """Three rows far apart, and one whose own logits are far apart."""
    z = rng.normal(size=(4, 5)) * 3
    z[:3] += np.array([[0.0], [-9000.0], [9000.0]])
    z[3] += rng.permutation([0.0, 0.0, 0.0, 9000.0, 9000.0])
    return z


check("softmax.stable", check.call(softmax, specimen(rng), T=2.0))

# %% role="check" name="softmax.axis" points=1 hint="The classes need not lie along the last axis: use the argument axis in the maximum and in the sum."
rng = check.rng("softmax.axis")
z = rng.normal(size=(4, 5, 3)) * 2
check("softmax.axis", {f"axis={axis}": check.call(softmax, z, axis=axis) for axis in (0, 1)})

# %% role="hidden" name="softmax.vector" points=1 hint="Try one single digit: softmax(z, T=20.0) for z of shape (10,). It must work for any number of axes."
rng = check.rng("softmax.vector")
one, many = rng.normal(size=10) * 8, rng.normal(size=(2, 3, 4, 5)) * 8
found = {"one": check.call(softmax, one, T=20.0), "many": check.call(softmax, many, 3.0, axis=2)}
check("softmax.vector", found)


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


# %% role="mutant" of="softmax" name="softmax.total" loses="softmax.values, softmax.temperature, softmax.stable, softmax.axis, softmax.vector" hint="You divide by the sum over the whole array: then the array sums to 1, and not every row. Sum along axis, with keepdims=True."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum()


# %% role="mutant" of="softmax" name="softmax.last_axis" loses="softmax.axis, softmax.vector" hint="You always work along the last axis. The classes lie along the axis that the argument names: pass axis=axis on."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.axis_0" loses="softmax.values, softmax.temperature, softmax.stable, softmax.axis, softmax.vector" hint="Your columns sum to 1, not your rows: axis 0 runs over the digits. The classes are along the last axis, unless the argument axis says otherwise."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(0, keepdims=True))
    return e / e.sum(0, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.axis_1" loses="softmax.axis, softmax.vector" hint="axis=1 is fixed in your code: a single digit of shape (10,) has no axis 1, and the classes may lie along another. Pass axis=axis on."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.max_of_last_axis" loses="softmax.axis, softmax.vector" hint="You subtract the maximum along the last axis and sum along another. What is subtracted must be the same for all that is summed: x.max(axis=axis, keepdims=True)."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.mean_out" loses="softmax.stable" hint="You subtract the mean of the row: what lies far above it still overflows. Subtract the largest value, then nothing is above 0."
def softmax(z, T=1.0, axis=-1):
    x = z / T
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(x - x.mean(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)


# %% role="mutant" of="softmax" name="softmax.in_place" loses="softmax.values, softmax.temperature, softmax.stable, softmax.axis, softmax.vector" hint="You change the logits that you were given (/= and -= work in place). Write x = z / T: that makes a new array, and what follows may work on x."
def softmax(z, T=1.0, axis=-1):
    z /= T
    z -= z.max(axis=axis, keepdims=True)
    e = np.exp(z)
    return e / e.sum(axis=axis, keepdims=True)


# %% role="alternative" of="softmax" name="softmax.by_log"
def softmax(z, T=1.0, axis=-1):
    x = np.asarray(z) / T
    return np.exp(x - np.logaddexp.reduce(x, axis=axis, keepdims=True))


# %% role="alternative" of="softmax" name="softmax.by_moved_axis"
def softmax(z, T=1.0, axis=-1):
    x = np.moveaxis(z, axis, -1) / T
    x = x - np.max(x, -1)[..., None]
    e = np.exp(x)
    return np.moveaxis(e / np.sum(e, -1)[..., None], -1, axis)


# %% [markdown]
# Now look through it: the same two digits, the same logits, five temperatures. What comes out for a teacher's logits is called its **soft targets**, because
# a student can aim at them. (`check.ready(softmax, ...)` in the cell below hands on your
# function once it has passed all its checks; until then it takes the library's, and it says which of the two you see.)
#
# **What do you expect?** For which $T$ can you see the second choice? And will the order of the bars be different at $T = 20$?

# %% role="show" name="fig-temperatures" folded=true
f = check.ready(softmax, lambda z, T=1.0: tinykd.softmax(torch.as_tensor(z), T).numpy())

if ran("logits"):
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
    figure.suptitle(
        "softmax(z / T) of two twos: the 2 blue, the 3 orange, the 7 green", fontsize=10
    )
    plots.show(
        "The soft targets of the two twos at T = 1, 2, 4, 8 and 20: one bar at T = 1, and ten bars "
        "of nearly the same height, in the same order, at T = 20."
    )

# %% [markdown]
# At $T=1$ there is one bar: all that a label could have told us anyway. As $T$ rises the second choice appears, then the third. At $T=20$ the bars
# have come close, though still in the same order. How much of this a student can use depends on the student: lesson 03 measures it.
#
# Turn the knob yourself: any test digit, any temperature. (The slider needs `ipywidgets`, which `make lab` installs. Where it is missing,
# or where you read this on a page that runs nothing, the picture above has to do.)


# %% role="show" name="slider" folded=true
def show_digit(i=0, log_T=0.6):
    """Digit i beside its soft targets at T = 10 ** log_T."""
    T, C = 10**log_T, 10
    _, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.4), width_ratios=(1, 2.6))
    left.imshow(test_images[i], cmap="gray_r")
    left.axis("off")
    right.bar(range(C), f(logits[i].numpy(), T=T), color=COLORS[0])
    right.axhline(1 / C, color="black", linestyle=":", linewidth=1)
    right.set(xticks=range(C), ylim=(0, 1))
    right.set_title(f"label {test_labels[i]}, T = {T:.2f}", fontsize=10)
    plots.show(f"Test digit {i} beside ten bars, its soft target at T = {T:.2f}.")


try:
    from ipywidgets import BoundedIntText, FloatSlider, interact
except ImportError:
    interact = None
if ran("logits") and interact is None:
    show_digit(lean_3)
elif ran("logits"):
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


# %% role="answer" name="log_softmax" library="tinykd.log_softmax, torch.log_softmax, torch.nn.functional.log_softmax, scipy.special.log_softmax, torch.nn.LogSoftmax"
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
check("log_softmax.values", check.call(log_softmax, rng.normal(size=(3, 5)) * 2 + 1))

# %% role="check" name="log_softmax.temperature" points=1 hint="x - log(sum(exp(x))) with x = z / T in both places, the natural logarithm, and the sum along axis. If you took a maximum out of the sum, it comes back once."
rng = check.rng("log_softmax.temperature")
z, T = rng.normal(size=(2, 10)) * 5, rng.uniform(3, 6)
check("log_softmax.temperature", check.call(log_softmax, z, T=T))

# %% role="check" name="log_softmax.extreme" points=1 hint="A log-probability of -2000 is a fine number, although the probability itself is 0 to a computer: never form the probability. And each row has its own maximum."
rng = check.rng("log_softmax.extreme")


def specimen(rng):
    """Two rows far apart, with logits that are far apart in each."""
    gaps = np.array([0.0, -2000.0, 1000.0, -50.0])
    z = rng.normal(size=(2, 4)) + [rng.permutation(gaps), rng.permutation(gaps)]
    return z + np.array([[0.0], [-6000.0]])


check("log_softmax.extreme", check.call(log_softmax, specimen(rng)))

# %% role="hidden" name="log_softmax.axis" points=1 hint="Try classes along the first axis: log_softmax(z, axis=0). Use the argument axis in every maximum and sum."
rng = check.rng("log_softmax.axis")
two, three = rng.normal(size=(5, 3)), rng.normal(size=(2, 5, 3))
found = {
    "2 axes": check.call(log_softmax, two, T=2.0, axis=0),
    "3 axes": check.call(log_softmax, three, 0.5, axis=1),
}
check("log_softmax.axis", found)


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


# %% role="mutant" of="log_softmax" name="log_softmax.global_max" loses="log_softmax.extreme" hint="You take out one maximum for the whole array: in a row far below it every exponential is 0, and log 0 is -infinity. Each row needs its own maximum."
def log_softmax(z, T=1.0, axis=-1):
    x = z / T
    x = x - x.max()
    with np.errstate(divide="ignore"):
        return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


# %% role="mutant" of="log_softmax" name="log_softmax.in_place" loses="log_softmax.values, log_softmax.temperature, log_softmax.extreme, log_softmax.axis" hint="You change the logits that you were given: after x = z the two names are one array, and x -= ... works in place. x = z / T makes a new one, also where T is 1."
def log_softmax(z, T=1.0, axis=-1):
    x = z
    x /= T
    x -= x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


# %% role="mutant" of="log_softmax" name="log_softmax.base_10" loses="log_softmax.values, log_softmax.temperature, log_softmax.axis" hint="You use the logarithm to base 10. It has to undo np.exp: np.log."
def log_softmax(z, T=1.0, axis=-1):
    x = z / T
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log10(np.exp(x).sum(axis=axis, keepdims=True))


# %% role="alternative" of="log_softmax" name="log_softmax.by_logaddexp"
def log_softmax(z, T=1.0, axis=-1):
    x = np.asarray(z) / T
    return x - np.expand_dims(np.logaddexp.reduce(x, axis=axis), axis)


# %% role="alternative" of="log_softmax" name="log_softmax.added_back"
def log_softmax(z, T=1.0, axis=-1):
    m = np.max(z / T, axis=axis, keepdims=True)
    lse = m + np.log(np.sum(np.exp(z / T - m), axis=axis, keepdims=True))
    return z / T - lse


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


# %% role="answer" name="entropy" library="scipy.stats.entropy, scipy.special.entr, torch.special.entr, tinykd.entropy"
def entropy(p):
    """H = -sum_i p_i log p_i, in nats, with 0 log 0 = 0.

    p: array of probabilities, shape (..., C), summing to 1 along the last axis; zeros are allowed.
    Returns an array of shape (...), each value between 0 and log C: exactly 0 where one class is
    certain.
    """
    # YOUR CODE: one value for each distribution, and no NaN where p is 0
    # BEGIN SOLUTION
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)
    # END SOLUTION


# %% role="check" name="entropy.values" points=1 hint="The sum of p times its natural logarithm, along the last axis, with a minus in front."
rng = check.rng("entropy.values")
check("entropy.values", check.call(entropy, rng.dirichlet(np.ones(10), size=4)))

# %% role="check" name="entropy.zeros" points=1 hint="0 log 0 counts as 0, exactly: the other classes must count as if the impossible ones were not there, and a certain answer has an entropy of exactly 0."
rng = check.rng("entropy.zeros")


def specimen(rng):
    """One class certain, two equally likely, three possible, three of which two hardly are."""
    p, (a, b) = np.zeros((4, 6)), rng.uniform(1e-5, 1e-3, size=2)
    p[0, rng.integers(6)] = 1.0
    p[1, rng.permutation(6)[:2]] = 0.5
    p[2, rng.permutation(6)[:3]] = rng.dirichlet(np.ones(3))
    p[3, rng.permutation(6)[:3]] = 1 - a - b, a, b
    return p


H_ = check.call(entropy, specimen(rng))
exact = H_ is not None and float(np.ravel(H_)[0]) == 0.0
check("entropy.zeros", {"H": H_, "exactly 0 where certain": exact})

# %% role="hidden" name="entropy.shape" points=1 hint="Try p of shape (2, 3, 5): one entropy for each of the 2 x 3 distributions. And p of shape (5,): one number."
rng = check.rng("entropy.shape")
one, many = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5), size=(2, 3))
check("entropy.shape", {"one": check.call(entropy, one), "many": check.call(entropy, many)})


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


# %% role="mutant" of="entropy" name="entropy.epsilon" loses="entropy.zeros" hint="A small number inside the logarithm makes the entropy of a certain answer negative: -log(1 + 1e-12) is below 0. np.where(p > 0, p, 1.0) is exact."
def entropy(p):
    return -(p * np.log(p + 1e-12)).sum(-1)


# %% role="mutant" of="entropy" name="entropy.in_place" loses="entropy.zeros" hint="You write ones into the array that you were given: for whoever uses p next, the impossible classes are certain. np.where makes a new array and leaves p as it was."
def entropy(p):
    p[p == 0] = 1.0
    return -(p * np.log(p)).sum(-1)


# %% role="mutant" of="entropy" name="entropy.row_by_row" loses="entropy.shape" hint="Your loop goes over the first axis only, so it fits two axes and no others. NumPy works on all rows at once: sum(-1), whatever comes before the last axis."
def entropy(p):
    return np.array([-(row * np.log(np.where(row > 0, row, 1.0))).sum() for row in p])


# %% role="alternative" of="entropy" name="entropy.by_nansum"
def entropy(p):
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.nansum(p * np.log(p), axis=-1)


# %% role="alternative" of="entropy" name="entropy.masked"
def entropy(p):
    log_p = np.zeros_like(p)
    log_p[p > 0] = np.log(p[p > 0])
    return np.sum(-p * log_p, axis=-1)


# %% [markdown]
# **What do you expect?** The entropy of all 10,000 soft targets as $T$ goes from 0.1 to 100: where does it start, where does it end, can it fall on
# the way? And is there one $T$ at which all digits are equally soft?

# %% role="show" name="fig-entropy" folded=true
H = check.ready(entropy, lambda p: torch.special.entr(torch.as_tensor(p)).sum(-1).numpy())

if ran("logits"):
    Ts = np.geomspace(0.1, 100, 60)
    curves = np.stack([H(tinykd.softmax(logits.double(), T).numpy()) for T in Ts])  # (60, 10000)
    hard = int(curves[30].argmax())
    figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
    low, high = np.quantile(curves, (0.05, 0.95), axis=1)
    axes.fill_between(Ts, low, high, color=COLORS[4], alpha=0.35, label="90% of the test digits")
    axes.plot(Ts, curves.mean(1), color=COLORS[0], label="mean")
    for i, color in ((hard, COLORS[5]), (lean_3, COLORS[1])):
        axes.plot(Ts, curves[:, i], color=color, linestyle="--", label=f"test digit {i}")
    axes.axhline(math.log(10), color="black", linestyle=":", label="log 10")
    axes.set(xscale="log", xlabel="temperature T", ylabel="entropy of the soft target (nats)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    reached = [float(np.interp(1.0, curves[:, i], Ts)) for i in (hard, lean_3)]
    print(f"1 nat is reached at T = {reached[0]:.2f} by digit {hard}", end=", ")
    print(f"at T = {reached[1]:.2f} by digit {lean_3}")
    print(f"curves that fall somewhere: {(np.diff(curves, axis=0) < -1e-9).any(0).sum()} of 10,000")
    plots.show(
        "Entropy of the soft targets against temperature on a logarithmic axis: S-shaped curves "
        "from 0 to log 10, each of which rises at a temperature of its own."
    )

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
    log_p = torch.log_softmax(torch.as_tensor(z, dtype=torch.float64) / T, -1)
    return -float(log_p.exp() @ log_p)


# %% role="answer" name="find_temperature" library="scipy.optimize"
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


# %% role="check" name="find_temperature.one_nat" points=1 hint="Print low and high in the loop: both must close in on one value, at which entropy_at gives the target."
rng = check.rng("find_temperature.one_nat")
zs = rng.normal(size=(4, 10)) * 6
zs[np.arange(4), zs.argmax(1)] += 1.0  # no near ties
check("find_temperature.one_nat", [check.call(find_temperature, z, 1.0) for z in zs])

# %% role="check" name="find_temperature.targets" points=1 hint="The target is a number of nats and the answer is a temperature: more doubt wanted, higher T."
rng = check.rng("find_temperature.targets")
z = rng.normal(size=10) * 6
z[z.argmax()] += 1.0  # no near tie: there any T would leave too much entropy
targets = rng.uniform([0.15, 0.7, 1.3, 2.25], [0.4, 1.2, 1.9, 2.285])
check("find_temperature.targets", [check.call(find_temperature, z, float(H)) for H in targets])

# %% role="hidden" name="find_temperature.scales" points=1 hint="Try logits that are thousands of times larger or smaller: T grows and shrinks with them, and must be as exact. Halve on the logarithmic scale, and often enough."
rng = check.rng("find_temperature.scales")
z, target = rng.normal(size=7), float(rng.uniform(1.0, 1.6))
zs = [z * size for size in (0.01, 0.015, 0.02, 0.025, 1.0, 1e5)]
check("find_temperature.scales", [check.call(find_temperature, z, target) for z in zs])


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


# %% role="mutant" of="find_temperature" name="find_temperature.few_steps" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="You stop too early: ten halvings of nine powers of ten leave an answer that is up to a percent off. Halve about 60 times; it costs milliseconds."
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


# %% role="mutant" of="find_temperature" name="find_temperature.close_entropy" loses="find_temperature.one_nat, find_temperature.targets, find_temperature.scales" hint="You stop as soon as the entropy is near the target, and the temperature is then right to two digits at best. Halve until the interval itself is narrow: about 60 times."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    T = math.sqrt(low * high)
    while abs(entropy_at(z, T) - target) > 0.01:
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
        T = math.sqrt(low * high)
    return T


# %% role="mutant" of="find_temperature" name="find_temperature.narrow_start" loses="find_temperature.scales" hint="You start from an interval that holds the answers for logits of the usual size only. From [1e-3, 1e6] a few more halvings reach all of them."
def find_temperature(z, target):
    low, high = 0.1, 100.0
    for _ in range(60):
        T = math.sqrt(low * high)
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
    return math.sqrt(low * high)


# %% role="mutant" of="find_temperature" name="find_temperature.absolute_width" loses="find_temperature.scales" hint="You stop when high - low is small. For small logits the temperature itself is as small as that: stop when the ratio high / low is close to 1, or halve a fixed number of times."
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    while high - low > 5e-5:
        T = math.sqrt(low * high)
        if entropy_at(z, T) > target:
            high = T
        else:
            low = T
    return math.sqrt(low * high)


# %% role="alternative" of="find_temperature" name="find_temperature.by_ratio"
def find_temperature(z, target):
    low, high = 1e-3, 1e6
    while high / low > 1 + 1e-8:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if entropy_at(z, middle) < target else (low, middle)
    return low


# %% role="alternative" of="find_temperature" name="find_temperature.in_logarithms"
def find_temperature(z, target):
    a, b = math.log(1e-3), math.log(1e6)
    for _ in range(50):
        middle = (a + b) / 2
        if entropy_at(z, math.exp(middle)) > target:
            b = middle
        else:
            a = middle
    return math.exp((a + b) / 2)


# %% [markdown]
# What is it good for? A digit that reaches one nat at a low temperature is one the network is already unsure about; a digit that needs a
# high one is one of which it is sure. So the temperature you have just computed sorts the digits. Nobody labelled them hard or easy.
#
# **What do you expect?** What will the eight digits look like that need the lowest temperature, and the eight that need the highest?

# %% role="show" name="fig-difficulty" folded=true
# tinykd has no such function: where yours is not ready, read T off a finely drawn entropy curve.
fine = np.geomspace(0.01, 100, 400)
find = check.ready(
    find_temperature,
    lambda z, target: float(np.interp(target, [entropy_at(z, T) for T in fine], fine)),
)
if ran("logits"):
    needed = np.array([find(z, 1.0) for z in logits[:400].double().numpy()])
    order = needed.argsort()
    chosen = [*order[:8], *order[-8:]]
    titles = [f"{test_labels[i]}: T = {needed[i]:.1f}" for i in chosen]
    plots.digits(test_images[chosen], titles=titles, columns=8).suptitle(
        "T at which the entropy is 1 nat, first 400 test digits: the 8 lowest, the 8 highest",
        fontsize=10, y=1.04,
    )  # fmt: skip
    plots.show(
        "Two rows of eight test digits with the temperature each needs to reach one nat: the row "
        "of the lowest is malformed or thin, the row of the highest well formed and bold."
    )

# %% [markdown]
# The eight of the first row are hard, one sees it. The eight of the second row are easy, but something else stands out: their strokes are **bold**. Is this
# network sure of them because they are easy, or only because there is more ink in them? All its inputs are larger, and so
# are its logits, and twice the logits need twice the temperature. When two explanations fit a picture, test the one that can be set by hand: **the same digits,
# the same shapes, only darker or paler.**
#
# **What do you expect?** Each of the 400 images is multiplied by 0.5, so that its grey is half as strong. Does the network read it any worse? What
# happens to the temperature? Then try values of your own: this cell is yours.

# %% role="show" name="ink"
if ran("needed"):
    ink = test_images[:400].flatten(1).mean(1).numpy()  # the mean grey of each image, from 0 to 1
    spread = logits[:400].std(-1).numpy()
    for name, value in {
        "T": needed,
        "T / standard deviation of the logits": needed / spread,
    }.items():
        ranks = np.corrcoef(value.argsort().argsort(), ink.argsort().argsort())[0, 1]
        print(f"ranks of ink and of {name}: correlation {ranks:.2f}")
    wrong = (logits[:400].argmax(-1) != test_labels[:400]).numpy()[order]
    print(
        f"wrong: {wrong[:80].sum()} of the 80 with the lowest T, {wrong[80:].sum()} of the other 320"
    )
    for strength in (0.5, 1.0, 1.5):  # put in values of your own
        z = predict(teacher, test_images[:400] * strength)
        T = np.array([find(row, 1.0) for row in z.double().numpy()])
        count = int((z.argmax(-1) != test_labels[:400]).sum())
        print(f"grey x {strength}: median T = {np.median(T):.2f}, {count} of 400 wrong")

# %% [markdown]
# Half the grey needs half the temperature, to a few percent, and is read almost as well. So the $T$ of one nat measures how large the logits are, and
# with that the ink, besides how hard the digit is: the boldest digits came out on top partly for being bold. Both are in it, for the wrong
# answers are nearly all among the digits that need the lowest temperature. To compare digits, put the ink aside: divided by the standard
# deviation of the digit's ten logits, $T$ no longer rises with it (second line). To compare networks, the same caution: larger logits are not deeper insight.
#
# ## Dark knowledge
#
# Now collect the small numbers over many digits. Take all the twos, average their soft targets: ten numbers that say
# what the twos look like to this network. Do so for every class and you have a 10 × 10 matrix $M$,
#
# $$M_{ci} = \frac{1}{n_c}\sum_{n:\; \text{label } c} p_{n,i} \quad (i \ne c), \qquad M_{cc} = 0$$
#
# where $n_c$ is the number of digits with label $c$. The diagonal is set to 0: what a label says already is of no interest here. In his talks Hinton called
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


def specimen(rng):
    """Soft targets of four classes in unequal numbers, one of them a single sample, in any order."""
    labels_ = rng.permutation(np.repeat(np.arange(4), rng.permutation([1, 6, 12, 21])))
    return rng.dirichlet(np.ones(4) / 2, size=40), labels_


check("dark_knowledge.matrix", check.call(dark_knowledge, *specimen(rng)))

# %% role="hidden" name="dark_knowledge.pair" points=1 hint="The largest entry of the matrix must be the pair that is confused most: rows are true classes, columns are what they are taken for."
rng = check.rng("dark_knowledge.pair")


def specimen(rng):
    """One class of five looks like another; a third one has so many samples that sums go wrong."""
    like, unlike, many = rng.permutation(5)[:3]
    labels_ = np.repeat(np.arange(5), np.where(np.arange(5) == many, 30, 4))
    p = rng.dirichlet(np.ones(5), size=46) * 0.3 + 0.7 * np.eye(5)[labels_]
    p[labels_ == like, unlike] += rng.uniform(0.2, 0.3)
    return p / p.sum(1, keepdims=True), labels_


M = np.asarray(check.call(dark_knowledge, *specimen(rng)))
place = np.unravel_index(M.argmax(), M.shape)
check("dark_knowledge.pair", [*M.shape, *place, M.max()])


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


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.in_place" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="You write zeros into the soft targets that you were given: whoever uses p next finds that no digit is what its label says. Set the diagonal of the matrix of means, which is your own."
def dark_knowledge(p, labels):
    p[np.arange(len(p)), labels] = 0.0
    return np.stack([p[labels == c].mean(0) for c in range(p.shape[1])])


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.vector_off" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="np.diag(M) is a row of C numbers, and NumPy takes it off every row of M. np.fill_diagonal(M, 0.0) changes the diagonal alone."
def dark_knowledge(p, labels):
    M = np.stack([p[labels == c].mean(0) for c in range(p.shape[1])])
    return M - np.diag(M)


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.hard_answers" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="You count answers: that is the confusion matrix, and it knows nothing of the classes that came second. Average the soft targets themselves."
def dark_knowledge(p, labels):
    answers = np.eye(p.shape[1])[p.argmax(1)]
    M = np.stack([answers[labels == c].mean(0) for c in range(p.shape[1])])
    np.fill_diagonal(M, 0.0)
    return M


# %% role="mutant" of="dark_knowledge" name="dark_knowledge.ten_classes" loses="dark_knowledge.matrix, dark_knowledge.pair" hint="Ten classes are fixed in your code. There are as many as p has columns: p.shape[1]."
def dark_knowledge(p, labels):
    M = np.zeros((10, 10))
    for c in range(10):
        if (labels == c).any():
            M[c, : p.shape[1]] = p[labels == c].mean(0)
    np.fill_diagonal(M, 0.0)
    return M


# %% role="alternative" of="dark_knowledge" name="dark_knowledge.by_loop"
def dark_knowledge(p, labels):
    C = p.shape[1]
    M = np.zeros((C, C))
    for c in range(C):
        M[c] = np.mean(p[labels == c], axis=0)
        M[c, c] = 0
    return M


# %% role="alternative" of="dark_knowledge" name="dark_knowledge.by_product"
def dark_knowledge(p, labels):
    C = p.shape[1]
    is_class = (labels[:, None] == np.arange(C)).astype(float)  # (N, C)
    return (is_class.T @ p) / is_class.sum(0)[:, None] * (1 - np.eye(C))


# %% [markdown]
# **What do you expect?** Write down the three pairs of digits that look most alike to you. Will the network name the same ones, and the same ones at $T = 1$ and at $T = 5$?

# %% role="show" name="fig-dark" folded=true
dark = check.ready(
    dark_knowledge,
    lambda p, y: np.stack([p[y == c].mean(0) for c in range(10)]) * (1 - np.eye(10)),
)
if ran("logits"):
    figure, grid = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    for axes, T in zip(grid, (1, 5), strict=True):
        M = dark(tinykd.softmax(logits, T).numpy(), test_labels.numpy())
        image = axes.imshow(M, cmap="cividis")
        for c, i in zip(*np.unravel_index(M.ravel().argsort()[-6:], M.shape), strict=True):
            ink_color = "black" if M[c, i] > 0.6 * M.max() else "white"
            value = f"{M[c, i]:.3f}"[1:]
            axes.text(i, c, value, ha="center", va="center", fontsize=7, color=ink_color)
        axes.set(xticks=range(10), yticks=range(10), xlabel="taken for", ylabel="true class")
        axes.set_title(f"mean soft target at T = {T}", fontsize=10)
        figure.colorbar(image, ax=axes, shrink=0.8)
        pairs = [divmod(int(k), 10) for k in M.ravel().argsort()[::-1][:5]]
        print(f"T = {T}: most like each other:", ", ".join(f"{c} like {i}" for c, i in pairs))
    plots.show(
        "Two 10 x 10 maps of mean soft targets, true class against what it is taken for, at T = 1 "
        "and T = 5: a few bright squares, such as 9 like 4, on a dark ground."
    )

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
# **go up to `float32` first, then divide by $T$, then take the softmax.** Going up after the division, or when the probabilities are finished, comes too
# late; the last cell of this lesson measures how much is lost. (`x.float()` is `x` in `float32`; gradients flow through it. `float64`
# is better than `float32`, so leave it alone.)
#
# Two habits: never detach (`.detach()`, `.numpy()`, `.item()`) what will need a gradient, and never
# change an argument in place (`logits /= T` changes the caller's logits too).
#
# ### Exercise 6: torch_softmax
#
# <details><summary>Hint</summary>Two steps: if <code>logits.dtype</code> is not <code>torch.float64</code>, replace logits by
# <code>logits.float()</code>. Then <code>torch.softmax(logits / T, dim)</code>.</details>


# %% role="answer" name="torch_softmax" library="tinykd.softmax"
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


# %% role="check" name="torch_softmax.values" points=1 hint="torch.softmax(logits / T, dim), in float32; float64 logits give a float64 result. Left out, T is 1 and dim is -1."
rng = check.rng("torch_softmax.values")
z = torch.from_numpy(rng.normal(size=(2, 5, 3)) * 4)
out = {str(x.dtype): check.call(torch_softmax, x, T=3.0, dim=1) for x in (z, z.float())}
found = {f"from {k}": [str(p.dtype), p] for k, p in out.items()}
found["T and dim left out"] = check.call(torch_softmax, z)
check("torch_softmax.values", found)

# %% role="check" name="torch_softmax.half" points=1 rtol=0.00001 hint="Half precision goes up to float32 before anything else happens to it; the result is float32."
rng = check.rng("torch_softmax.half")
z = torch.from_numpy(rng.normal(size=(2, 10)) * 20)
out = [check.call(torch_softmax, z.to(x), T=3.0) for x in (torch.bfloat16, torch.float16)]
check("torch_softmax.half", {"dtypes": [str(p.dtype) for p in out], "p": out[0], "p16": out[1]})

# %% role="check" name="torch_softmax.gradient" points=1 hint="The gradient must reach the logits in every format, and they must stay what they were: no detach, no numpy, nothing in place."
rng = check.rng("torch_softmax.gradient")


def value_and_gradient(z):
    """What your function gives for the logits 1.0 * z, and the gradient that gets back to z."""
    z.requires_grad_()
    return with_gradient(check.call(torch_softmax, z * 1.0, T=2.0), z)


z = [torch.from_numpy(rng.normal(size=(2, 5))) for _ in range(3)]
found = {str(x.dtype): value_and_gradient(x) for x in (z[0], z[1].float())}
half_ = value_and_gradient(z[2].bfloat16())["gradient"]
found["a gradient in bfloat16"] = half_ is not None and bool(half_.any())
check("torch_softmax.gradient", found)

# %% role="hidden" name="torch_softmax.large" points=1 hint="Try float16 logits of 60,000 at T = 0.5, which is 120,000: more than float16 can hold. Go up first."
rng = check.rng("torch_softmax.large")
z = torch.from_numpy(60_000 + 64 * rng.integers(0, 2, size=(4, 5))).half()
check("torch_softmax.large", check.call(torch_softmax, z, T=0.5))


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


# %% role="mutant" of="torch_softmax" name="torch_softmax.in_place" loses="torch_softmax.values, torch_softmax.gradient" hint="logits /= T changes the caller's tensor, for .float() makes no copy of what is float32 already: whoever uses these logits next gets them divided. Write logits / T."
def torch_softmax(logits, T=1.0, dim=-1):
    if logits.dtype != torch.float64:
        logits = logits.float()
    logits /= T
    return torch.softmax(logits, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.rebuilt" loses="torch_softmax.gradient" hint="torch.tensor(...) makes a new tensor that does not know where its numbers came from, so no gradient gets back. logits.float() does."
def torch_softmax(logits, T=1.0, dim=-1):
    if logits.dtype != torch.float64:
        logits = torch.tensor(logits.tolist(), dtype=torch.float32)
    return torch.softmax(logits / T, dim)


# %% role="mutant" of="torch_softmax" name="torch_softmax.no_grad" loses="torch_softmax.gradient" hint="Under torch.no_grad() nothing is recorded, so no gradient gets back to the logits. That is for teachers, and the softmax cannot know whose logits it is given."
def torch_softmax(logits, T=1.0, dim=-1):
    with torch.no_grad():
        if logits.dtype != torch.float64:
            logits = logits.float()
        return torch.softmax(logits / T, dim)


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


# %% role="mutant" of="torch_softmax" name="torch_softmax.bfloat16_only" loses="torch_softmax.half, torch_softmax.large" hint="You go up from bfloat16 alone. float16 is a half precision too: ask for what may stay (float64), not for what must go."
def torch_softmax(logits, T=1.0, dim=-1):
    if logits.dtype == torch.bfloat16:
        logits = logits.float()
    return torch.softmax(logits / T, dim)


# %% role="alternative" of="torch_softmax" name="torch_softmax.promoted"
def torch_softmax(logits, T=1.0, dim=-1):
    x = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return (x / T).softmax(dim=dim)


# %% role="alternative" of="torch_softmax" name="torch_softmax.written_out"
def torch_softmax(logits, T=1.0, dim=-1):
    x = logits if logits.dtype == torch.float64 else logits.to(torch.float32)
    x = x / T
    e = torch.exp(x - x.max(dim, keepdim=True).values)
    return e / e.sum(dim, keepdim=True)


# %% [markdown]
# Against the engine, which has the same function (`tinykd/softmax.py`: read it, it is shorter than this lesson). The test is hard on purpose:
# all 10,000 test digits at $T = 3$, their logits in `bfloat16`, and beside the teacher a student that has nearly learned them, the same logits with a little
# noise added. How far off is the probability of the second choice? And how far off is $\sum_i p_i (\log p_i - \log q_i)$, the
# distance between the two that lesson 02 is about?
#
# **What do you expect?** `bfloat16` has two to three digits. Will the probabilities be wrong by a percent, or by half? And the distance, which is a sum of
# differences of logarithms?

# %% role="show" name="precision"
yours = check.ready(torch_softmax, tinykd.softmax)
ways = {
    "exact (float64)": lambda z: torch.softmax(z.double() / 3, -1),  # from the same rounded logits
    "your torch_softmax": lambda z: yours(z, T=3.0),
    "tinykd.softmax": lambda z: tinykd.softmax(z, T=3.0),
    "T in bfloat16, then float32": lambda z: torch.softmax((z / 3).float(), -1),
    "all in bfloat16": lambda z: torch.softmax(z / 3, -1),
}
if ran("logits"):
    torch.manual_seed(0)
    half = logits.to(torch.bfloat16)
    nearly = (logits + 0.1 * torch.randn(logits.shape)).to(torch.bfloat16)
    print("median relative error          second choice      distance   distances below 0")
    for name, way in ways.items():
        p, q = way(half), way(nearly)
        distance = (p * (p.log() - q.log())).sum(-1)
        if name.startswith("exact"):
            second = p.topk(2).indices[:, 1:]
            exact_p, exact_distance = p.gather(1, second), distance
        off_p = (p.gather(1, second) / exact_p - 1).abs().median()
        off = (distance / exact_distance - 1).abs().median()
        print(f"{name:<30} {off_p:>13.1%} {off:>13.1%} {(distance < 0).double().mean():>19.1%}")

# %% [markdown]
# The probabilities look fine in every row: a fraction of a percent. But a distance is a sum of differences of nearly equal
# numbers, and what is left after the subtraction is mostly rounding. Done wholly in `bfloat16` it is nonsense, often even below 0, which no distance
# can be. One line, `.float()`, in the right place. (A student that is far from its teacher would have lost less: the error is the same, and what it
# is compared with is larger.)

# %% [markdown]
# ## What we saw
#
# - Softmax turns differences of logits into ratios of probabilities; $T$ sets the contrast and never changes the winner.
# - Subtract the row's maximum. Take logarithms by log-sum-exp, never of a probability. Leave half precision before you divide.
# - Entropy runs from 0 to $\log C$ as $T$ rises. Which $T$ is "soft" depends on the size of the logits: there is no universal $T = 4$.
# - Raised temperature shows which wrong answers a network finds nearly right: digit by digit, and class by class.
# - The temperature a digit needs is not a clean measure of how easy it is: it also grows with everything that makes the logits larger, such as ink.
#
# **What we have not shown:** that any of this helps a student. Visible is not yet useful: at high $T$ much of what becomes visible may be the
# noise of logits that nobody trained to be anything in particular. Lesson 02 builds the loss that carries soft targets into a student, and lesson 03 measures,
# with several seeds, at which temperatures it pays and for which students it does not.
#
# ## Two open experiments
#
# 1. **How much of the dark knowledge is the network's, and how much is the digits'?** Train a second teacher from another seed
#    (`torch.manual_seed(1)`), draw the map of the dark knowledge again, and correlate the two matrices, off the diagonal. At which $T$ do two teachers agree best,
#    and why? (At $T = 1$ a few doubtful digits decide, at $T = 5$ all of them.)
# 2. **Is there a $T$ that is right for all networks?** Train the teacher for 1, 4 and 16 epochs, and for each find the $T$ at which its mean entropy on the test digits is
#    1 nat. What happens to that $T$ as training goes on, and why? What does that say about two papers that both use "$T = 4$"?
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

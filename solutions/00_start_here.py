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
# # 00 · Start here
#
# **What you will be able to do**
# - work through a lesson: run cells, write answers, read what a check tells you, grade your own notebook;
# - say what knowledge distillation is, in one sentence and in ten lines of code;
# - see it work on real digits, by how much, how sure we are of that, and when it does not.
#
# | | |
# |---|---|
# | Difficulty | 1 of 5: three functions of one to three lines |
# | Importance | 4 of 5: everything you need to know about how the course works |
# | Time | 40 minutes of yours; about 2 minutes of computing on 2 cores |
# | Needs | Python, and having once seen a neural network trained; no earlier lesson |
#
# ## What is this about?
#
# Large networks are accurate and expensive; small ones are the reverse. **Knowledge distillation trains a small network, the
# *student*, to imitate what a large one, the *teacher*, says about the data**, rather than only to repeat the right answers. The teacher says more
# than the right answer: "a 4, though it could be a 9". The student learns from that "though". It is how language models come to run
# on phones, and you will build all of it, from the softmax up, and measure everything that you are told here.
#
# ## How a lesson works
#
# A notebook is made of **cells**. Click on one and press **Shift+Enter**: it runs, and the next one is selected. Start with the grey cell
# below, and go on from top to bottom; cells use what earlier cells have made. If things get tangled, choose
# *Kernel → Restart Kernel…* and run the cells again from the top. (*Run All Cells* works too, but stops at the first check that does not pass.)
#
# Some cells hold a function with a line `# YOUR CODE` and a line `raise NotImplementedError(...)`. Those are **exercises**: replace the
# `raise` line with your own. The cells after it are **checks**, each worth a point or two. (Where a cell only draws, its code is folded away:
# click on the blue bar or the three dots beside it to see it.)
#
# **What is graded** is the answer cells, and nothing else of your notebook. Add as many cells of your own as you like, to try things: they are not there when
# your answers are graded. So whatever an answer uses has to come from the first cell of the lesson, which imports what an answer may want, stand in
# the answer cell itself, or be an answer above it, whose mistakes then cost you here too. An answer that you run again has to pass its checks again
# before the rest of the lesson uses it.
#
# **A library's function as the answer.** Sometimes you are asked to write what a library has ready made: lesson 01 asks for a softmax, and there is
# `torch.softmax`. In this course such a call earns the points, in every lesson, because a check looks at values and nothing else; the report to an instructor names it.
# But you came to see what is inside.

# %% role="setup" name="setup"
import os
import platform
import time
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional as F  # for answers that want it

import tinykd
from tinykd import (
    MLP,
    Batches,
    HardLabels,
    SoftTargets,
    Trainer,
    cosine,
    load_mnist,
    plots,
    predict,
)
from tinykd.classroom import Checks

check = Checks("00_start_here")


def ran(name):
    """Whether the cell that makes `name` has run to its end; says so where it has not."""
    if name not in globals():
        print(f"not run: this needs {name!r} from a cell above; run that one to its end first")
    return name in globals()


# %% [markdown]
# First, what can this machine do? Everything in the course runs on an ordinary laptop; a GPU is used where there is one, without your doing
# anything.

# %% role="show" name="machine" folded=true
from tinykd.device import best_device

device = best_device()
print(f"Python {platform.python_version()}, torch {torch.__version__}, tinykd {tinykd.__version__}")
print(f"{os.cpu_count()} CPU cores, torch computes with {torch.get_num_threads()} threads")
print(
    "GPU:",
    torch.cuda.get_device_name()
    if device.type == "cuda"
    else {"cpu": "none", "mps": "Apple"}[device.type],
)

probe, x = MLP(784, 1200, 1200, 10).to(device), torch.randn(200, 784, device=device)
for repeat in range(11):
    if repeat == 1:  # the first round is for warming up
        start = time.perf_counter()
    probe(x).sum().backward()
    x.sum().item()  # waits for a GPU to finish
milliseconds = (time.perf_counter() - start) * 100
print(
    f"200 digits forward and backward through 2.4 million weights ({device}): {milliseconds:.1f} ms"
)
print(f"so one pass over 60,000 digits takes about {milliseconds * 300 / 1000:.1f} s")
print(f"lessons run at TINYKD_SCALE={tinykd.scale()}")

# %% [markdown]
# The last line is a switch. `TINYKD_SCALE=default` is what you want: every lesson in a few minutes of computing. With
# `TINYKD_SCALE=smoke` everything runs in seconds and proves nothing, and `full` goes to the size of the papers, for minutes or hours. It is
# set before Jupyter starts: `TINYKD_SCALE=full make lab`. The exercises and their checks are the same at every scale.
#
# ## Your first exercise: how big is a network?
#
# "Large" and "small" should be numbers. The networks of these first lessons are **multilayer perceptrons**: 784 pixels in, some layers of
# units, 10 numbers out. A layer from $a$ units to $b$ units has a weight for each pair, and a bias for each of its outputs:
#
# $$a \cdot b + b$$
#
# A network written as `(784, 30, 10)` has two layers, $784 \to 30$ and $30 \to 10$: that makes
# $(784 \cdot 30 + 30) + (30 \cdot 10 + 10) = 23{,}860$ parameters. Now the same for any number of layers.
#
# **Try this first:** run the next three cells before you write anything. The answer cell runs; the checks fail with
# `NotImplementedError: count_parameters: write your code here`. That is the empty exercise talking, and nothing is broken: of the red lines
# only the last one matters.
#
# When your code runs and is wrong, a check tells you what is wrong with your numbers ("every value is 2 times too large"), and what
# the likely mistake is. When it is right you read `passed: count_parameters.paper`. You can run a check as often as you like: nothing is counted.
# (In the code of a check `check.rng` draws its inputs at random, and `check.call(f, x)` is `f(x)` with a look afterwards whether `f` has changed `x`: an answer
# leaves what it is given as it was.)
#
# If you do not know how to begin, unfold a hint:
#
# <details><summary>Hint 1: the idea</summary>The layers are the neighbouring pairs of the list: (784, 30) and (30, 10). Add up
# <code>a * b + b</code> over them.</details>
# <details><summary>Hint 2: the Python</summary><code>pairwise(sizes)</code> (it comes with Python, in <code>itertools</code>, and
# the first cell imported it) gives the neighbouring pairs, and <code>sum(... for a, b in ...)</code> adds up.</details>


# %% role="answer" name="count_parameters" library="tinykd.MLP, torch.nn.Linear"
def count_parameters(sizes):
    """Number of weights and biases of a multilayer perceptron.

    sizes: number of units of every layer, input first: (784, 30, 10). Returns an int.
    """
    # YOUR CODE: a * b + b for each pair of neighbouring sizes, summed
    # BEGIN SOLUTION
    return sum(a * b + b for a, b in pairwise(sizes))
    # END SOLUTION


# %% role="check" name="count_parameters.paper" points=1 rtol=0.0000001 hint="The example in the text gives 23,860: try count_parameters((784, 30, 10)) in a cell of your own."
rng = check.rng("count_parameters.paper")
a, b = (int(n) for n in rng.integers(800, 1600, size=2))  # about the size of the paper's network
check("count_parameters.paper", check.call(count_parameters, (784, a, b, 10)))

# %% role="check" name="count_parameters.random" points=1 rtol=0.0000001 hint="Every pair of neighbours is a layer, however many there are, and a layer from a to b units has a * b + b parameters."
rng = check.rng("count_parameters.random")
nets = [[int(n) for n in rng.integers(2, 50, size=layers)] for layers in (2, 3, 4, 6)]
check("count_parameters.random", [check.call(count_parameters, sizes) for sizes in nets])


# %% role="mutant" of="count_parameters" name="count_parameters.no_biases" loses="count_parameters.paper, count_parameters.random" hint="You counted the weights, and every layer also has a bias for each of its outputs: a * b + b."
def count_parameters(sizes):
    return sum(a * b for a, b in pairwise(sizes))


# %% role="mutant" of="count_parameters" name="count_parameters.input_bias" loses="count_parameters.paper, count_parameters.random" hint="You gave each layer as many biases as it has inputs. A bias is added to an output: a * b + b, where b is the size after the layer."
def count_parameters(sizes):
    return sum(a * b + a for a, b in pairwise(sizes))


# %% role="mutant" of="count_parameters" name="count_parameters.bias_for_all" loses="count_parameters.paper, count_parameters.random" hint="You gave the inputs biases too. The pixels are not a layer: they come as they are."
def count_parameters(sizes):
    return sum(a * b for a, b in pairwise(sizes)) + sum(sizes)


# %% role="mutant" of="count_parameters" name="count_parameters.ends_only" loses="count_parameters.paper, count_parameters.random" hint="You counted the first and the last layer only. Go through all neighbouring pairs."
def count_parameters(sizes):
    return sizes[0] * sizes[1] + sizes[1] + sizes[-2] * sizes[-1] + sizes[-1]


# %% role="mutant" of="count_parameters" name="count_parameters.last_lost" loses="count_parameters.paper, count_parameters.random" hint="The last layer is missing: a list of n sizes has n - 1 layers. Did a range stop one too early?"
def count_parameters(sizes):
    return sum(a * b + b for a, b in pairwise(sizes[:-1]))


# %% role="mutant" of="count_parameters" name="count_parameters.one_bias" loses="count_parameters.paper, count_parameters.random" hint="You counted one bias for a whole layer. Each of its outputs has its own: a * b + b."
def count_parameters(sizes):
    return sum(a * b + 1 for a, b in pairwise(sizes))


# %% role="mutant" of="count_parameters" name="count_parameters.returns_early" loses="count_parameters.paper, count_parameters.random" hint="You counted the first layer only. If there is a return inside your loop, it belongs behind it, one level to the left."
def count_parameters(sizes):
    for a, b in pairwise(sizes):
        return a * b + b


# %% role="mutant" of="count_parameters" name="count_parameters.product" loses="count_parameters.paper, count_parameters.random" hint="You multiplied all the sizes with each other. Layers add: multiply within a layer, then sum over the layers."
def count_parameters(sizes):
    return int(np.prod([float(n) for n in sizes])) + sum(sizes[1:])


# %% role="mutant" of="count_parameters" name="count_parameters.uses_up" loses="count_parameters.paper, count_parameters.random" hint="pop takes the sizes out of the caller's own list, which is empty afterwards (and a tuple has no pop). Go through the list without changing it."
def count_parameters(sizes):
    total, a = 0, sizes.pop(0)
    while sizes:
        b = sizes.pop(0)
        total, a = total + a * b + b, b
    return total


# %% role="mutant" of="count_parameters" name="count_parameters.every_other" loses="count_parameters.paper, count_parameters.random" hint="You cut the list into pairs that do not overlap: (784, 400), (400, 10). Each size but the first and the last belongs to two layers."
def count_parameters(sizes):
    return sum(a * b + b for a, b in zip(sizes[::2], sizes[1::2], strict=False))


# %% role="mutant" of="count_parameters" name="count_parameters.four_sizes" loses="count_parameters.random" hint="Your code fits a list of exactly four sizes. There may be two, or six: go through the neighbouring pairs with a loop."
def count_parameters(sizes):
    a, b, c, d = sizes
    return a * b + b + b * c + c + c * d + d


# %% role="alternative" of="count_parameters" name="count_parameters.by_index"
def count_parameters(sizes):
    total = 0
    for i in range(len(sizes) - 1):
        total += (sizes[i] + 1) * sizes[i + 1]
    return total


# %% role="alternative" of="count_parameters" name="count_parameters.by_numpy"
def count_parameters(sizes):
    sizes = np.array(sizes)
    return np.dot(sizes[:-1], sizes[1:]) + np.sum(sizes[1:])


# %% [markdown]
# ## Real digits, and how to count mistakes
#
# MNIST: 60,000 handwritten digits to learn from, 10,000 to be tested on, 28 × 28 grey pixels each. They came with the course.
#
# The next cell also uses what you have written. `check.ready(yours, another)` hands on your function once it has passed all its checks; until then it hands on
# the other one, so that everything below works either way. It prints which of the two you see.

# %% role="show" name="fig-digits"
import matplotlib.pyplot as plt

images, labels = load_mnist("train")
test_images, test_labels = load_mnist("test")
by_torch = lambda sizes: sum(p.numel() for p in MLP(*sizes).parameters())
count = check.ready(count_parameters, by_torch)
for name, sizes in {"teacher": (784, 400, 400, 10), "student": (784, 100, 10)}.items():
    print(f"our {name} {sizes}: {count(sizes):,} parameters")
plots.digits(images[:10], titles=[f"label {label}" for label in labels[:10]])
plots.show("The first ten training images: handwritten digits in grey, each with its label above.")

# %% [markdown]
# For each digit a network gives ten numbers, its **logits**, one for each class: the larger, the more it believes in that class. Its
# answer is the class with the largest logit. For a whole batch:
#
# ```python
# logits = torch.tensor([[1.5, 0.2, 3.1],     # the largest is number 2
#                        [0.7, 4.0, -1.0]])   # the largest is number 1
# logits.argmax(-1)                           # tensor([2, 1]): -1 means along the last axis
# ```
#
# Compare that with the labels using `!=`, and you have `True` wherever the network is wrong; `.sum()` counts `True` as 1.
#
# ### Exercise 2: count_errors
#
# <details><summary>Hint</summary>One line: <code>int((logits.argmax(-1) != labels).sum())</code>. The sum is a tensor with one number in it, and
# <code>int(...)</code> makes a plain number of that.</details>


# %% role="answer" name="count_errors"
def count_errors(logits, labels):
    """In how many positions the class with the largest logit is not the label.

    logits: tensor (..., C), classes along the last axis. labels: integer tensor (...).
    Returns an int.
    """
    # YOUR CODE: argmax along the last axis, compare, count
    # BEGIN SOLUTION
    return int((logits.argmax(-1) != labels).sum())
    # END SOLUTION


# %% role="check" name="count_errors.batch" points=1 hint="The number of rows whose largest logit does not stand at the place of the label."
rng = check.rng("count_errors.batch")


def specimen(rng):
    """Logits and labels of a network that is often right."""
    n, share = int(rng.integers(300, 5000)), rng.uniform(0.7, 0.9)
    labels_ = rng.integers(0, 10, size=n)
    bonus = 3.0 * (rng.random(n) < share)
    logits_ = rng.normal(size=(n, 10)) + bonus[:, None] * np.eye(10)[labels_]
    return torch.from_numpy(logits_), torch.from_numpy(labels_)


check("count_errors.batch", check.call(count_errors, *specimen(rng)))

# %% role="hidden" name="count_errors.sequence" points=1 hint="The logits may have more axes, such as (sentences, tokens, C), or one alone: the classes are always along the last one, -1."
rng = check.rng("count_errors.sequence")


def specimen(rng, *shape):
    """Logits of five classes, often right, and labels of any shape."""
    labels_ = rng.integers(0, 5, size=shape)
    logits_ = rng.normal(size=(*shape, 5)) + 2 * np.eye(5)[labels_]
    return torch.from_numpy(logits_), torch.as_tensor(labels_)


shapes = [(int(rng.integers(100, 1000)), 5), (7, 6, 5), ()]
check("count_errors.sequence", [check.call(count_errors, *specimen(rng, *s)) for s in shapes])


# %% role="mutant" of="count_errors" name="count_errors.counts_right" loses="count_errors.batch, count_errors.sequence" hint="You counted the right answers. Errors are where they differ: != instead of ==."
def count_errors(logits, labels):
    return int((logits.argmax(-1) == labels).sum())


# %% role="mutant" of="count_errors" name="count_errors.rate" loses="count_errors.batch, count_errors.sequence" hint="You return a share, between 0 and 1. The number of errors is asked for: sum, not mean."
def count_errors(logits, labels):
    return float((logits.argmax(-1) != labels).double().mean())


# %% role="mutant" of="count_errors" name="count_errors.axis_1" loses="count_errors.sequence" hint="argmax(1) looks along axis 1. That is the last one for a batch of digits, but not always: argmax(-1)."
def count_errors(logits, labels):
    return int((logits.argmax(1) != labels).sum())


# %% role="mutant" of="count_errors" name="count_errors.smallest" loses="count_errors.batch, count_errors.sequence" hint="The answer is the class with the largest logit, not the smallest."
def count_errors(logits, labels):
    return int((logits.argmin(-1) != labels).sum())


# %% role="mutant" of="count_errors" name="count_errors.value" loses="count_errors.batch, count_errors.sequence" hint="Every digit counts as an error. Two ways to get there: max gives the largest logit itself where you need its place, argmax; and argmax without -1 looks for one place in the whole batch."
def count_errors(logits, labels):
    return int((logits.max(-1).values != labels).sum())


# %% role="mutant" of="count_errors" name="count_errors.not_counted" loses="count_errors.batch, count_errors.sequence" hint="You have one True or False for each digit. Sum them to count the True."
def count_errors(logits, labels):
    return logits.argmax(-1) != labels


# %% role="mutant" of="count_errors" name="count_errors.any" loses="count_errors.batch, count_errors.sequence" hint="You return whether there is an error, not how many there are."
def count_errors(logits, labels):
    return int((logits.argmax(-1) != labels).any())


# %% role="mutant" of="count_errors" name="count_errors.how_far" loses="count_errors.batch, count_errors.sequence" hint="You add up how far the answers are from the labels. Classes are names, not sizes: a 9 taken for a 0 is one error, like any other. Count with !=."
def count_errors(logits, labels):
    return int((logits.argmax(-1) - labels).abs().sum())


# %% role="mutant" of="count_errors" name="count_errors.rows" loses="count_errors.sequence" hint="You subtract the right answers from len(labels), which is the length of the first axis alone. labels.numel() is the number of labels, whatever the axes."
def count_errors(logits, labels):
    return len(labels) - int((logits.argmax(-1) == labels).sum())


# %% role="mutant" of="count_errors" name="count_errors.in_place" loses="count_errors.batch, count_errors.sequence" hint="-= writes into the caller's labels: after your count they are no labels any more. Make something new of them: logits.argmax(-1) != labels."
def count_errors(logits, labels):
    labels -= logits.argmax(-1)
    return int((labels != 0).sum())


# %% role="alternative" of="count_errors" name="count_errors.tensor"
def count_errors(logits, labels):
    return (logits.argmax(-1) != labels).sum()


# %% role="alternative" of="count_errors" name="count_errors.flat"
def count_errors(logits, labels):
    best = torch.max(logits.reshape(-1, logits.shape[-1]), dim=1).indices
    return labels.numel() - best.eq(labels.reshape(-1)).sum().item()


# %% [markdown]
# ## What a student learns from: a soft label, made by hand
#
# A label is one name. But ask twenty people what a scrawl is, and 13 say 2, 5 say 3, 2 say 7. The shares of the votes are a
# **soft label**:
#
# $$p_c = \frac{\text{votes for } c}{\text{all votes}}, \qquad p = (0,\ 0,\ 0.65,\ 0.25,\ 0,\ 0,\ 0,\ 0.1,\ 0,\ 0)$$
#
# It has a number for every class, also for those that nobody named, and the numbers sum to 1. It is a richer answer than "2": it tells
# that the digit is hard, and where it lies between the others. People are expensive. A teacher network gives such an answer for free,
# for any image you have.
#
# `torch.bincount(votes, minlength=10)` counts how often each of 0, 1, … 9 occurs in an integer tensor.
#
# ### Exercise 3: soft_label
#
# <details><summary>Hint</summary>Counts, divided by the number of votes, <code>len(votes)</code>.</details>


# %% role="answer" name="soft_label"
def soft_label(votes, classes=10):
    """The share of the votes that each class received.

    votes: integer tensor (V,), the class each person named. classes: how many there are.
    Returns a float tensor (classes,) that sums to 1.
    """
    # YOUR CODE: count the votes for every class, divide by the number of votes
    # BEGIN SOLUTION
    return torch.bincount(votes, minlength=classes) / len(votes)
    # END SOLUTION


# %% role="check" name="soft_label.twenty" points=1 hint="A tensor of ten shares: in the text's example 0.65 for the class with 13 of the 20 votes, 0.25 for the one with 5, 0.1 for the one with 2, and 0 for the rest."
rng = check.rng("soft_label.twenty")


def specimen(rng):
    """Twenty people, three classes named, in any order; nobody says 9."""
    named, first, second = rng.permutation(9)[:3], *sorted(rng.permutation(np.arange(1, 20))[:2])
    counts = [first, second - first, 20 - second]
    return torch.from_numpy(rng.permutation(np.repeat(named, counts)))


check("soft_label.twenty", check.call(soft_label, specimen(rng)))

# %% role="check" name="soft_label.classes" points=1 hint="The result has as many numbers as there are classes, also where the last ones got no vote, and they sum to 1."
rng = check.rng("soft_label.classes")
polls = [(rng.integers(0, 6, size=7), 8), (rng.integers(1, 3, size=31), 4)]
found = [check.call(soft_label, torch.from_numpy(votes), classes=n_) for votes, n_ in polls]
check("soft_label.classes", found)


# %% role="mutant" of="soft_label" name="soft_label.counts" loses="soft_label.twenty, soft_label.classes" hint="These are counts. Divide by the number of votes, so that they sum to 1."
def soft_label(votes, classes=10):
    return torch.bincount(votes, minlength=classes)


# %% role="mutant" of="soft_label" name="soft_label.majority" loses="soft_label.twenty, soft_label.classes" hint="That is a hard label: all for the winner. Give every class its share of the votes."
def soft_label(votes, classes=10):
    counts = torch.bincount(votes, minlength=classes)
    return (torch.arange(classes) == counts.argmax()).float()


# %% role="mutant" of="soft_label" name="soft_label.by_classes" loses="soft_label.twenty, soft_label.classes" hint="You divided by the number of classes. Divide by the number of votes."
def soft_label(votes, classes=10):
    return torch.bincount(votes, minlength=classes) / classes


# %% role="mutant" of="soft_label" name="soft_label.too_short" loses="soft_label.twenty, soft_label.classes" hint="bincount stops at the largest class that was named. minlength=classes gives the others their 0."
def soft_label(votes, classes=10):
    return torch.bincount(votes) / len(votes)


# %% role="mutant" of="soft_label" name="soft_label.always_ten" loses="soft_label.classes" hint="10 is fixed in your code. Use the argument classes."
def soft_label(votes, classes=10):
    return torch.bincount(votes, minlength=10) / len(votes)


# %% role="mutant" of="soft_label" name="soft_label.whole_numbers" loses="soft_label.twenty, soft_label.classes" hint="// divides whole numbers and drops the rest. Use /."
def soft_label(votes, classes=10):
    return torch.bincount(votes, minlength=classes) // len(votes)


# %% role="mutant" of="soft_label" name="soft_label.over_max" loses="soft_label.twenty, soft_label.classes" hint="You divided by the largest count: the winner gets 1 and the sum is more than 1. Divide by the number of votes."
def soft_label(votes, classes=10):
    counts = torch.bincount(votes, minlength=classes)
    return counts / counts.max()


# %% role="mutant" of="soft_label" name="soft_label.always_twenty" loses="soft_label.classes" hint="20 is fixed in your code. Divide by the number of votes that there are: len(votes)."
def soft_label(votes, classes=10):
    return torch.bincount(votes, minlength=classes) / 20


# %% role="mutant" of="soft_label" name="soft_label.smoothed" loses="soft_label.twenty, soft_label.classes" hint="You gave every class a vote that nobody cast. A class without votes has a share of exactly 0 here."
def soft_label(votes, classes=10):
    return (torch.bincount(votes, minlength=classes) + 1) / (len(votes) + classes)


# %% role="mutant" of="soft_label" name="soft_label.softmax" loses="soft_label.twenty, soft_label.classes" hint="A softmax of the counts also sums to 1, but it makes e times as much of one vote more. Shares are counts divided by the number of votes."
def soft_label(votes, classes=10):
    return torch.softmax(torch.bincount(votes, minlength=classes).float(), 0)


# %% role="mutant" of="soft_label" name="soft_label.named_only" loses="soft_label.twenty, soft_label.classes" hint="Your result has a number for each class that somebody named. It needs one for every class, 0 where there was no vote: bincount with minlength=classes."
def soft_label(votes, classes=10):
    return votes.unique(return_counts=True)[1] / len(votes)


# %% role="alternative" of="soft_label" name="soft_label.one_hot"
def soft_label(votes, classes=10):
    return F.one_hot(votes, classes).float().mean(0)


# %% role="alternative" of="soft_label" name="soft_label.by_loop"
def soft_label(votes, classes=10):
    shares = torch.zeros(classes)
    for vote in votes:
        shares[vote] += 1 / len(votes)
    return shares


# %% [markdown]
# There is one more kind of check, which this notebook does not show: **hidden checks**. They ask the same question with other inputs, and
# so find a function that fits only what it has seen. You meet them when you grade your notebook, in a terminal in the folder of the
# course:
#
# ```
# .venv/bin/tinykd check lessons/00_start_here.ipynb
# ```
#
# (On Windows `.venv\Scripts\tinykd`; in a conda environment just `tinykd`.)
#
# It takes your answers out of the notebook, runs all checks on them, prints your points exercise by exercise, and a hint for every point
# lost. Save the notebook (Ctrl+S) before you do.
#
# ## Ten lines
#
# Here is the whole of it. A teacher learns from all 60,000 digits. A student with a sixth of the teacher's parameters
# gets 3,000 of them, and learns what the teacher says about those: *soft targets* instead of labels. The words in it:
#
# - `Batches` hands out the digits in small groups, in a new order in each **epoch**, which is one pass over all of them;
# - `Trainer(network, objective).fit(batches, epochs)` makes a network better at its **objective**, which is to agree with the labels (`HardLabels`) or with what
#   a teacher says (`SoftTargets`);
# - `predict(network, images)` gives the logits.
#
# **What do you expect?** How many of the 10,000 test digits will the teacher get wrong, and how many the student, which has seen no label at all? (Half a minute.)

# %% role="show" name="ten-lines"
errors = check.ready(count_errors, lambda z, y: int((z.argmax(-1) != y).sum()))
n, epochs = {"smoke": (10_000, 1), "default": (60_000, 4), "full": (60_000, 20)}[tinykd.scale()]
print(f"the teacher learns from {n:,} digits ...", flush=True)

torch.manual_seed(0)
teacher = MLP(784, 400, 400, 10, dropout=0.3)
every = Batches(images[:n], labels[:n], size=250)
Trainer(teacher, HardLabels(), progress=False).fit(every, epochs=epochs)
teacher_errors = int(errors(predict(teacher, test_images), test_labels))
print(f"teacher: {teacher_errors} errors in 10,000; the student learns from it ...", flush=True)

student = MLP(784, 100, 10)
few = Batches(images[:3000], labels[:3000], size=100)
Trainer(student, SoftTargets(T=8), teacher=teacher, progress=False).fit(few, epochs=10 * epochs)
print("student:", int(errors(predict(student, test_images), test_labels)), "errors in 10,000")

# %% [markdown]
# Look at the student's objective: `SoftTargets(T=8)` and nothing else. This student has not seen a single label. (`T` is a temperature;
# lesson 01 is about it. `SoftTargets` is the loss of lesson 02.)
#
# Is that number good? A number alone says nothing. The fair question is: **what would the same student have
# reached with the labels of the same 3,000 digits?** And the fair way to ask:
# - the same network from the same start, the same digits in the same order, the same number of steps;
# - several **seeds**, each with a start and 3,000 digits of its own, and an interval: the mean of many such runs lies in it with 95% confidence;
# - differences **seed by seed**: two students with the same seed had the same digits and the same start, so that luck is the same for both and drops out
#   of the difference. One way is better than another if the interval of the differences does not touch 0;
# - a second rival. *Label smoothing* also softens the targets, but without a teacher: 0.91 for the right class, 0.01 for each of the others. If softness
#   as such were the secret, it would do as well.
#
# **What do you expect?** Put the three in order before you run the cell: labels, smoothed labels, teacher. (Fifteen training runs, 40 seconds or so; it prints the
# errors of each as it ends.)

# %% role="show" name="comparison"
seeds, epochs = {"smoke": (2, 2), "default": (5, 30), "full": (10, 60)}[tinykd.scale()]


def student_errors(objective, seed, teacher=None, digits=3000, units=100, epochs=epochs):
    """Test errors of a student. The seed decides which digits it sees, in which order, and its start."""
    torch.manual_seed(seed)
    chosen = torch.randperm(len(images))[:digits]
    student = MLP(784, units, 10)
    batches = Batches(images[chosen], labels[chosen], size=100, seed=seed)
    adam = lambda parameters: torch.optim.Adam(parameters, lr=3e-3)
    # cosine(1, 0): the learning rate falls from 3e-3 to 0 along half a wave of a cosine
    trainer = Trainer(student, objective, teacher, adam, schedule=cosine(1, 0), progress=False)
    trainer.fit(batches, epochs=epochs)
    return int(errors(predict(student, test_images), test_labels))


def several(name, train, seeds=seeds):
    """train(seed) for each seed, printed as they come; returns the errors."""
    print(f"{name:<18}", end="")
    values = []
    for seed in range(seeds):
        values.append(train(seed))
        print(f" {values[-1]:4}", end="", flush=True)
    mean, half = tinykd.mean_interval(values)
    print(f"    mean {mean:.0f} ± {half:.0f}")
    return values


if ran("teacher_errors"):
    smoothed = HardLabels(label_smoothing=0.1)
    runs = {
        "labels": several("labels", lambda seed: student_errors(HardLabels(), seed)),
        "smoothed labels": several("smoothed labels", lambda s: student_errors(smoothed, s)),
        "teacher": several("teacher", lambda s: student_errors(SoftTargets(T=8), s, teacher)),
    }
    for rival in ("labels", "smoothed labels"):
        gains = [a - b for a, b in zip(runs[rival], runs["teacher"], strict=True)]
        mean, half = tinykd.mean_interval(gains)
        print(f"{rival} minus teacher, seed by seed: {mean:+.0f} ± {half:.0f} errors")

# %% role="show" name="fig-comparison" folded=true
if ran("runs"):
    axes = plots.bars(runs, ylabel="errors on 10,000 test digits")
    axes.set_title(f"the same student, 3,000 digits, {seeds} seeds; each learns from", fontsize=10)
    plots.show(
        "Bars of the mean test errors of students that learn from labels, from smoothed labels and "
        "from a teacher, with their intervals and one dot for each seed."
    )

# %% [markdown]
# Every dot is one run, the thin line the interval of the mean. What decides are the two lines of differences: in the run that comes with the course neither
# interval touches 0. The teacher's answers are worth more than the labels they replace, and softness alone explains only part of it.
# (All students had one and the same teacher. What another teacher would have taught, these intervals do not say.)
# Where does the rest come from? The teacher has seen 60,000 digits. Through its answers on 3,000 of them, the student hears about the other 57,000.
#
# ## When it does not help
#
# That idea makes predictions, so test them. Each row below changes one thing, and compares again with a student that learns from labels, seed by seed:
#
# 1. **the teacher too has seen only the same 3,000 digits**, so it has nothing to tell about others;
# 2. **the student gets all 60,000 digits**, twice each, which makes about as many steps as before, so labels are not scarce.
#
# **What do you expect?** In which row does the teacher still win, in which does it lose? (3 seeds each, so the intervals are wide; about 40 seconds.)

# %% role="show" name="when-not"
few_seeds = {"smoke": 2, "default": 3, "full": 5}[tinykd.scale()]


def row(what, T=8, teacher_of=None, **changes):
    """Compare labels with a teacher after `changes` in `student_errors`, and print one line."""
    learned, taught = runs["labels"][:few_seeds], []  # where the students are the same as above
    if changes:
        learned = [student_errors(HardLabels(), seed, **changes) for seed in range(few_seeds)]
    for seed in range(few_seeds):
        its_teacher = teacher_of(seed) if teacher_of else teacher
        taught.append(student_errors(SoftTargets(T=T), seed, its_teacher, **changes))
    gain, half = tinykd.mean_interval([a - b for a, b in zip(learned, taught, strict=True)])
    print(
        f"{what:<38}{np.mean(learned):8.0f}{np.mean(taught):10.0f}{gain:+14.0f} ± {half:.0f}",
        flush=True,
    )


def teacher_of_few(seed):
    """A teacher that has seen the same 3,000 digits as the student with this seed, and no others."""
    torch.manual_seed(seed)
    chosen = torch.randperm(len(images))[:3000]
    net = MLP(784, 400, 400, 10, dropout=0.3)
    batches = Batches(images[chosen], labels[chosen], size=100)
    Trainer(net, HardLabels(), progress=False).fit(batches, epochs=2 * epochs // 3)
    return net


if ran("runs"):
    print(f"{'errors, mean of the seeds':<38}{'labels':>8}{'teacher':>10}   labels - teacher")
    row("the teacher saw the same 3,000 digits", teacher_of=teacher_of_few)
    row(f"{n:,} digits, as many steps", digits=n, epochs=max(1, epochs // 15))

# %% [markdown]
# Read the last column: an interval with 0 in it shows neither gain nor harm. A teacher that knows no more than the student's own labels adds nothing that these
# seeds could show. And the second row is no misprint: with plenty of labels and few steps, this student did *worse* with the teacher alone. To know which case
# you are in, you measure.
#
# One more confession: these test digits were looked at while $T = 8$ was chosen. A strict experiment chooses on digits that are not
# used for the result; lesson 05 will be about that.
#
# ### An experiment of your own
#
# `row(...)` is now your instrument. It takes `T`, `digits` (how many the student sees), `units` (in its hidden layer) and `epochs`. Choose a question, write down what
# you expect, and run it. What does the gain do when the student gets 1,000 digits, or 10,000? Does a student with 30 units want another $T$? Is $T = 2$, the row that
# stands there now, as good as 8, and is it better than *smoothed labels* were?

# %% role="show" name="yours"
if ran("runs"):
    row("T = 2", T=2)  # change this line

# %% [markdown]
# ## Why does it help? Look at what the teacher says
#
# Our teacher's answers, at $T = 2$, on test digits that it finds hard. The student learned from answers like these, one for each
# of its 3,000 digits.
#
# **What do you expect?** Beside each picture you will see its label. Will the teacher name only that class and one other, as people would? Would you have
# voted as it does?

# %% role="show" name="fig-soft-labels" folded=true
by_hand = check.ready(soft_label, lambda votes: torch.bincount(votes, minlength=10) / len(votes))
if ran("teacher_errors"):
    p = tinykd.softmax(predict(teacher, test_images), T=2.0)
    hard = p.topk(2).values.diff().squeeze().abs().argsort()[:400:100]  # nearly undecided ones
    figure, grid = plt.subplots(
        2, 5, figsize=(10, 3.4), height_ratios=(1.2, 1), layout="constrained"
    )
    people = by_hand(torch.tensor([2] * 13 + [3] * 5 + [7] * 2))
    grid[0, 0].text(0.5, 0.5, "twenty people\n(the example)", ha="center", va="center")
    for column, target in enumerate([people, *p[hard]]):
        picture, axes = grid[:, column]
        picture.axis("off")
        axes.bar(range(10), target, color=plots.COLORS[0])
        axes.set(xticks=range(10), ylim=(0, 1))
        if column:
            i = int(hard[column - 1])
            picture.imshow(test_images[i], cmap="gray_r")
            picture.set_title(f"test digit {i}, label {test_labels[i]}", fontsize=9)
            axes.set_yticks([])
    plots.show(
        "The votes of the example as bars, and four hard test digits with the teacher's soft "
        "targets: two or more classes share the first place, and most others are not 0."
    )

# %% [markdown]
# The teacher hesitates where you would, and it spreads its doubt further than the twenty people of the example: nearly every class has a bar, if a low one. Some of its second choices make sense to us, others
# do not. A student takes over all of it, sense and nonsense alike.
#
# ## What we saw
#
# - Distillation in ten lines: a `Trainer`, a teacher, `SoftTargets`.
# - Its worth is a comparison: same network, same digits, same steps, several seeds, an interval, and a rival that costs nothing.
# - It helps when the teacher knows something that the student's own digits and labels do not say. Where it does not, it may do nothing, or harm.
#
# ## When you are stuck
#
# 1. Read the check's words again; they were written for wrong answers like yours. A sentence that begins with "Perhaps" is a guess. Then unfold the hints.
# 2. Print: shapes first (`z.shape`), then a small example you can do by hand.
# 3. *Kernel → Restart Kernel…* and run from the top: a name from an hour ago may still be around. If a cell never ends: *Kernel → Interrupt*.
#    A figure that says "not run" needs a cell further up that was interrupted: run that one to its end.
# 4. `solutions/` holds every lesson solved and run (in a class your instructor may have kept it back). Looking is allowed. Look, close it, and write it yourself.
#
# ## Two open experiments
#
# 1. **How many digits does the teacher replace?** Find, with `row(...)`, the number of digits from which on labels alone do as well as the teacher. What happens to that number if the student
#    trains four times as long, and why?
# 2. **Must the teacher be right?** Train a teacher on labels of which a tenth are wrong, drawn at random (`torch.randint`), and let students learn from it and from the same wrong labels. Which suffer
#    more, and why?
#
# ## The walk
#
# The lessons in your folder, as their headers describe them. Lessons 00 to 03 lead from the softmax to a full reproduction of the paper that started it,
# 11 to 14 to a language model that reasons; 18 is yours. Every lesson needs only the ones that it names.

# %% role="show" name="walk" folded=true
import json
import re
from pathlib import Path

from IPython.display import Markdown, display

lines = ["| lesson | difficulty | time | needs |", "|---|---|---|---|"]
for path in sorted(Path().glob("[0-9][0-9]_*.ipynb")):
    head = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    about = dict(re.findall(r"^\| (\w+) \| (.*) \|$", head, re.MULTILINE))
    difficulty = about.get("Difficulty", "").partition(":")[0]
    title = f"[{head.partition(chr(10))[0].strip('# ')}]({path.name})"
    lines.append(f"| {title} | {difficulty} | {about.get('Time', '')} | {about.get('Needs', '')} |")
display(Markdown("\n".join(lines) if len(lines) > 2 else "Open this notebook in `lessons/`."))

# %% [markdown]
# ## Further reading
#
# - Hinton, Vinyals, Dean 2015, *Distilling the Knowledge in a Neural Network*, arXiv 1503.02531. Nine pages, few formulas: read it alongside.
# - Ba, Caruana 2014, *Do Deep Nets Really Need to be Deep?*, arXiv 1312.6184. Shallow students that match logits.
# - Peterson, Battleday, Griffiths, Russakovsky 2019, *Human uncertainty makes classification more robust*, arXiv 1908.07086. Soft labels from people's votes.
# - Müller, Kornblith, Hinton 2019, *When Does Label Smoothing Help?*, arXiv 1906.02629.
#
# Now grade yourself, `.venv/bin/tinykd check lessons/00_start_here.ipynb`, and open lesson 01.

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
# | Time | 30 minutes of yours; 1 to 1½ minutes of computing on 2 cores |
# | Needs | Python, and having once seen a neural network trained; no earlier lesson |
#
# ## What is this about?
#
# Large networks are accurate and expensive; small ones are the reverse. **Knowledge distillation trains a small network, the
# *student*, to imitate what a large one, the *teacher*, says about the data**, rather than only to repeat the right answers. The teacher says more
# than the right answer: "a 4, though it could be a 9". The student learns from that "though". It is how language models come to run
# on telephones, and you will build all of it, from the softmax up, and measure everything that you are told here.
#
# ## How a lesson works
#
# A notebook is made of **cells**. Click on one and press **Shift+Enter**: it runs, and the next one is selected. Start with the grey cell
# below, and go on from top to bottom; cells use what earlier cells have made. If things get tangled, choose
# *Kernel → Restart Kernel…* and run the cells again from the top. (*Run All Cells* works too, but stops at the first check that does not pass.)
#
# Some cells hold a function with a line `# YOUR CODE` and a line `raise NotImplementedError(...)`. Those are **exercises**: replace the
# `raise` line with your own. The cells after it are **checks**, each worth a point or two.

# %% role="setup" name="setup"
import os
import platform
import time
from itertools import pairwise

import numpy as np
import torch

import tinykd
from tinykd import MLP, Batches, HardLabels, SoftTargets, Trainer, cosine, load_mnist, predict
from tinykd.classroom import Checks

check = Checks("00_start_here")

# %% [markdown]
# First, what can this machine do? Everything in the course runs on an ordinary laptop; a GPU is used where there is one, without your doing
# anything.

# %% role="show" name="machine"
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
# The last line is a switch. `TINYKD_SCALE=default` is what you want: every lesson in at most 3 minutes of computing. With
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
#
# If you do not know how to begin, unfold a hint:
#
# <details><summary>Hint 1: the idea</summary>The layers are the neighbouring pairs of the list: (784, 30) and (30, 10). Add up
# <code>a * b + b</code> over them.</details>
# <details><summary>Hint 2: the Python</summary><code>pairwise(sizes)</code> (it comes with Python, in <code>itertools</code>, and
# the first cell imported it) gives the neighbouring pairs, and <code>sum(... for a, b in ...)</code> adds up.</details>


# %% role="answer" name="count_parameters"
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
check("count_parameters.paper", count_parameters((784, a, b, 10)))

# %% role="check" name="count_parameters.random" points=1 rtol=0.0000001 hint="Every pair of neighbours is a layer, however many there are, and a layer from a to b units has a * b + b parameters."
rng = check.rng("count_parameters.random")
nets = [[int(n) for n in rng.integers(2, 50, size=layers)] for layers in (2, 3, 4, 6)]
check("count_parameters.random", [count_parameters(sizes) for sizes in nets])


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


# %% role="mutant" of="count_parameters" name="count_parameters.returns_early" loses="count_parameters.paper, count_parameters.random" hint="You return from inside the loop, after the first layer. The return belongs behind the loop, one level to the left."
def count_parameters(sizes):
    for a, b in pairwise(sizes):
        return a * b + b


# %% role="mutant" of="count_parameters" name="count_parameters.product" loses="count_parameters.paper, count_parameters.random" hint="You multiplied all the sizes with each other. Layers add: multiply within a layer, then sum over the layers."
def count_parameters(sizes):
    return int(np.prod([float(n) for n in sizes])) + sum(sizes[1:])


# %% [markdown]
# ## Real digits, and how to count mistakes
#
# MNIST: 60,000 handwritten digits to learn from, 10,000 to be tested on, 28 × 28 grey pixels each. They came with the course.

# %% role="show" name="fig-digits"
import matplotlib.pyplot as plt

from tinykd import plots

images, labels = load_mnist("train")
test_images, test_labels = load_mnist("test")
by_torch = lambda sizes: sum(p.numel() for p in MLP(*sizes).parameters())
count = check.ready(count_parameters, by_torch)
for name, sizes in {"teacher": (784, 400, 400, 10), "student": (784, 100, 10)}.items():
    print(f"our {name} {sizes}: {count(sizes):,} parameters")
plots.digits(images[:10], titles=[f"label {label}" for label in labels[:10]])
plt.show()

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
# <details><summary>Hint</summary>One line: <code>(logits.argmax(-1) != labels).sum()</code>. <code>int(...)</code> makes a plain number of it.</details>


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
n = int(rng.integers(200, 5000))
logits_ = torch.from_numpy(rng.normal(size=(n, 10)))
labels_ = torch.from_numpy(rng.integers(0, 10, size=n))
logits_[torch.arange(n // 2), labels_[: n // 2]] += 3.0  # a network that is often right
check("count_errors.batch", count_errors(logits_, labels_))

# %% role="hidden" name="count_errors.sequence" points=1 hint="The logits may have more axes, such as (sentences, words, C): the classes are always along the last one, -1."
rng = check.rng("count_errors.sequence")
n = int(rng.integers(100, 1000))
labels_ = torch.from_numpy(rng.integers(0, 5, size=(n, 5)))
logits_ = torch.from_numpy(rng.normal(size=(n, 5, 5)) + 2 * np.eye(5)[labels_])  # often right
check("count_errors.sequence", count_errors(logits_, labels_))


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
# gets 3,000 of them, and learns what the teacher says about those: *soft targets* instead of labels. (About 20 seconds.)

# %% role="show" name="ten-lines"
errors = check.ready(count_errors, lambda z, y: int((z.argmax(-1) != y).sum()))
n, epochs = {"smoke": (10_000, 1), "default": (60_000, 4), "full": (60_000, 20)}[tinykd.scale()]

torch.manual_seed(0)
teacher = MLP(784, 400, 400, 10, dropout=0.3)
every = Batches(images[:n], labels[:n], size=250)
Trainer(teacher, HardLabels(), progress=False).fit(every, epochs=epochs)

student = MLP(784, 100, 10)
few = Batches(images[:3000], labels[:3000], size=100)
Trainer(student, SoftTargets(T=8), teacher=teacher, progress=False).fit(few, epochs=10 * epochs)

print("teacher:", errors(predict(teacher, test_images), test_labels), "errors in 10,000")
print("student:", errors(predict(student, test_images), test_labels), "errors in 10,000")

# %% [markdown]
# Look at the student's objective: `SoftTargets(T=8)` and nothing else. This student has not seen a single label. (`T` is a temperature;
# lesson 01 is about it. `SoftTargets` is the loss of lesson 02.)
#
# Is that number good? A number alone says nothing. The fair question is: **what would the same student have
# reached with the labels of the same 3,000 digits?** And the fair way to ask:
# - the same network from the same start, the same digits in the same order, the same number of steps;
# - several **seeds**, each with a start and 3,000 digits of its own, and an interval: the mean of many such runs lies in it with 95% confidence;
# - a second rival. *Label smoothing* also softens the targets, but without a teacher: 0.91 for the right class, 0.01 for each of the others. If softness
#   as such were the secret, it would do as well.
#
# (Fifteen trainings, 40 seconds or so.)

# %% role="show" name="fig-comparison"
seeds, epochs = {"smoke": (2, 2), "default": (5, 30), "full": (10, 60)}[tinykd.scale()]


def student_errors(objective, seed, teacher=None):
    """Test errors of a student trained on 3,000 digits; the seed decides which, and its start."""
    torch.manual_seed(seed)
    chosen = torch.randperm(len(images))[:3000]
    student = MLP(784, 100, 10)
    batches = Batches(images[chosen], labels[chosen], size=100, seed=seed)
    adam = lambda parameters: torch.optim.Adam(parameters, lr=3e-3)
    trainer = Trainer(student, objective, teacher, adam, schedule=cosine(1, 0), progress=False)
    trainer.fit(batches, epochs=epochs)
    return errors(predict(student, test_images), test_labels)


runs = {
    "labels": [student_errors(HardLabels(), s) for s in range(seeds)],
    "smoothed labels": [student_errors(HardLabels(label_smoothing=0.1), s) for s in range(seeds)],
    "teacher": [student_errors(SoftTargets(T=8), s, teacher) for s in range(seeds)],
}
for name, values in runs.items():
    mean, half = tinykd.mean_interval(values)
    print(f"{name:<16} {mean:4.0f} ± {half:3.0f} errors {values}")
axes = plots.bars(runs, ylabel="errors on 10,000 test digits")
axes.set_title(f"the same student, 3,000 digits, {seeds} seeds; each learns from", fontsize=10)
plt.show()

# %% [markdown]
# Every dot is one run, the thin line the interval. When the course was built the three intervals did not even touch (738 ± 41, 605 ± 46, 525 ± 17):
# the teacher's answers are worth more than the labels they replace, and softness alone explains only part of it. Where does the rest
# come from? The teacher has seen 60,000 digits. Through its answers on 3,000 of them, the student hears about the other 57,000.
#
# That also tells you when it will *not* help. We tried, in an earlier run with other seeds and a teacher with 187 errors (so
# the labels that gave 738 above gave 720 there), everything else as above but for what each row names, 5 seeds:
#
# | what we changed | labels | teacher |
# |---|---|---|
# | the teacher too saw only those 3,000 digits: it has little to add | 720 ± 35 | 717 ± 35 |
# | the student gets all 60,000 digits, 4 epochs: labels are not scarce | **239 ± 7** | 293 ± 20 (3 seeds) |
# | a student with 30 units, and T = 20: perhaps a gain, but the intervals overlap | 851 ± 25 | 797 ± 91 |
# | T = 2: better than labels, no better than smoothed ones (587 ± 10) | 720 ± 35 | 604 ± 45 |
#
# The second row is not a misprint: with plenty of labels and little time this student did *worse* with the teacher alone. To know which case you
# are in, you measure. One more confession: we saw these test digits while choosing T = 8 over 2 and 4 (4 gave 539 ± 48). A strict
# experiment chooses on other data, and lesson 05 is about that.
#
# ## Why does it help? Make a soft label by hand
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


# %% role="check" name="soft_label.twenty" points=1 hint="A tensor of ten shares: 0.65 for the class with 13 of the 20 votes, 0.25 for the one with 5, 0.1 for the one with 2, and 0 for the rest."
rng = check.rng("soft_label.twenty")
a, b, c = rng.permutation(9)[:3].tolist()  # in the text these three are 2, 3 and 7
votes = torch.tensor([a] * 13 + [b] * 5 + [c] * 2)
check("soft_label.twenty", soft_label(votes))

# %% role="check" name="soft_label.classes" points=1 hint="The result has as many numbers as there are classes, also where the last ones got no vote, and they sum to 1."
rng = check.rng("soft_label.classes")
votes = torch.from_numpy(rng.integers(0, 6, size=7))
check("soft_label.classes", soft_label(votes, classes=8))


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


# %% [markdown]
# Our teacher's votes, at $T = 2$, on test digits that it finds hard. The student learned from answers like these, one for each
# of its 3,000 digits:

# %% role="show" name="fig-soft-labels"
by_hand = check.ready(soft_label, lambda votes: torch.bincount(votes, minlength=10) / len(votes))
p = tinykd.softmax(predict(teacher, test_images), T=2.0)
hard = p.topk(2).values.diff().squeeze().abs().argsort()[:400:100]  # nearly undecided ones
figure, grid = plt.subplots(2, 5, figsize=(10, 3.4), height_ratios=(1.2, 1), layout="constrained")
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
plt.show()

# %% [markdown]
# ## What we saw
#
# - Distillation in ten lines: a `Trainer`, a teacher, `SoftTargets`.
# - Its worth is a comparison: same network, same digits, same steps, several seeds, an interval, and a rival that costs nothing.
# - It helps when the teacher knows something that the transfer set does not say. Where it does not, it may do nothing, or harm.
#
# ## When you are stuck
#
# 1. Read the check's words again; they were written for wrong answers like yours. Then unfold the hints.
# 2. Print: shapes first (`z.shape`), then a small example you can do by hand.
# 3. *Kernel → Restart Kernel…* and run from the top: a name from an hour ago may still be around. If a cell never ends: *Kernel → Interrupt*.
# 4. `solutions/` holds every lesson solved and run. Looking is allowed. Look, close it, and write it yourself.
#
# ## The walk
#
# | | | |
# |---|---|---|
# | **00** Start here | **01** Temperature | **02** The distillation loss |
# | **03** Hinton 2015 on MNIST | 04 Inside the teacher | 05 Does it help? |
# | 06 Better data | 07 Many teachers | 08 Small and fast |
# | 09 Search as teacher | 10 Other worlds | 11 Transformers |
# | 12 Language models | 13 On-policy | 14 Chain of thought |
# | 15 Your own | | |
#
# Lessons 00 to 03 (bold) are here, and they lead from the softmax to a full reproduction of the paper that started it; the others are announced. Every lesson
# needs only the ones before it.
#
# ## Further reading
#
# - Hinton, Vinyals, Dean 2015, *Distilling the Knowledge in a Neural Network*, arXiv 1503.02531. Nine pages, few formulas: read it alongside.
# - Ba, Caruana 2014, *Do Deep Nets Really Need to be Deep?*, arXiv 1312.6184. Shallow students that match logits.
# - Peterson, Battleday, Griffiths, Russakovsky 2019, *Human uncertainty makes classification more robust*, arXiv 1908.07086. Soft labels from people's votes.
# - Müller, Kornblith, Hinton 2019, *When Does Label Smoothing Help?*, arXiv 1906.02629.
#
# Now grade yourself, `.venv/bin/tinykd check lessons/00_start_here.ipynb`, and open lesson 01.

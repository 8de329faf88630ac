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
# # 18 · Your own
#
# **What you will be able to do**
# - count the bytes of a network before you train it, and see what else a file is made of;
# - train a student under a limit, choose it on held-out data, and write it as one file that runs without Python;
# - hand in that file, to be judged on digits that nobody has seen;
# - write a memo of one page whose verdict follows from its numbers;
# - say whether two places on a board are different.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: three functions of four to eight lines, one of them a loop; a file; a memo |
# | Importance | 5 of 5: it is the whole course in one task |
# | Time | an hour for what is below; as long as you like for a better student; 1 minute of computing on 2 cores |
# | Needs | lessons 00 to 02, 05 and 08; the packages of `pip install 'tinykd[lab,compress]'` |

# %% role="setup" name="setup"
import copy
import functools
import json
import math
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx  # noqa: F401  # with the next one: the packages of [compress], for tinykd.challenge
import onnxruntime  # noqa: F401
import torch
from torch import nn

import tinykd
from tinykd import (
    Batches,
    HardLabels,
    KnownLogits,
    SoftTargets,
    Trainer,
    accuracy,
    compress,
    load_mnist,
    paired_verdict,
    plots,
    predict,
)
from tinykd import challenge
from tinykd.challenge import distorted, judging, pooled_convnet
from tinykd.classroom import Checks
from tinykd.data import data_file
from tinykd.plots import COLORS

check = Checks("18_your_own")
LIMIT = 10_000  # bytes of a file


@functools.lru_cache(maxsize=1)
def test_set():
    return load_mnist("test")


@functools.lru_cache(maxsize=4)
def drawn(seed, count):
    rng = np.random.default_rng(seed)
    images, labels = test_set()
    rows = torch.tensor(rng.permutation(len(images))[:count])
    return distorted(images[rows], rng), labels[rows]


def secret_digits(rng, count):
    """Test digits (count, 1, 28, 28), turned, zoomed and moved as this generator says, and labels."""
    return drawn(int(rng.integers(2**62)), count)


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def widths(rng, depth):
    """Channels of a small net; no two alike."""
    return [int(n) for n in rng.permutation(np.arange(3, 20))[:depth]]


class FakeTraining:
    """A student whose weights and statistics are others after each round, with these scores."""

    def __init__(self, rng, scores):
        self.scores, self.log, self.round = scores, [], None
        self.student = nn.BatchNorm1d(3).double()
        self.states = torch.tensor(rng.normal(size=(len(scores), 3)))

    def train(self, student, n):
        self.log.append(f"train {n}")
        self.round = n
        with torch.no_grad():
            student.weight.copy_(self.states[n])
            student.running_mean.copy_(10 + self.states[n])

    def score(self, student):
        self.log.append("score")
        return self.scores[self.round] if self.round is not None else 1e6

    def seen(self, result):
        """The two numbers, what the student holds, and the calls."""
        best, when = result
        return [best, when, self.student.weight, self.student.running_mean, self.log]


def two_students(rng, count, share=0.8, other=0.6):
    """Which of `count` digits each of two students gets right; they often agree."""
    hard = rng.uniform(size=count)
    own = rng.uniform(-0.3, 0.3, size=(2, count))
    return [
        torch.tensor(hard + one < level) for one, level in zip(own, (share, other), strict=True)
    ]


# %% [markdown]
# ## The 10 kB challenge
#
# A chip in a letter-sorting machine has room for one file of **10,000 bytes**. Envelopes come in crooked, near and far: its digits are turned by up to 20 degrees, zoomed by up to 20%, and moved by up to 2 pixels, each at random. You have 20,000 training digits and a teacher, the residual net of lesson 08 of
# 79,000 parameters, which nobody could put on that chip. Whatever you know from this course is allowed. What counts is the share of digits that your file reads right.
#
# The rules, in full:
#
# | | |
# |---|---|
# | the file | one ONNX file of at most 10,000 bytes, its numbers inside |
# | in and out | one input of float32, (N, 1, 28, 28), N open; one output of float32, (N, 10), the largest of a row is the answer |
# | what it may be made of | the plain operations in `challenge.onnx_file.ALLOWED`: no loops, no branches, no random numbers, no operations of somebody's own; at most 40 million products an input |
# | who runs it | ONNX Runtime, on one thread, its graph as it is written |
# | judged on | test digits, each distorted under the instructor's seed |
#
# | share right | where it is asked | points |
# |---|---|---|
# | the file opens, and is small enough | here | 2 |
# | at least 60% | here | 1 |
# | at least 70% | when you are graded | 1 |
# | at least 86% | when you are graded | 2 |
# | at least 89% | when you are graded | 2 |
# | all above that | the board of your class | honour |
#
# **Can one cheat?** A file that holds answers has nothing to look them up by: nobody has seen the distorted digits before they are drawn. A file cannot call anybody: ONNX has no operation for it, and files that point to other files are refused. You hand in *data*: no line of yours is run to judge it. What no check can see is a
# student that was *trained* on the test digits. Section 3 measures what that would bring.

# %% role="show" name="world"
scale = tinykd.scale()
transfer, held_out_count, seeds = {
    "smoke": (2000, 300, [0, 1, 2]),
    "default": (20_000, 2000, [0, 1, 2]),
    "full": (20_000, 5000, [0, 1, 2, 3, 4]),
}[scale]
stored = json.loads(data_file("results/ten_kilobytes.json").read_text())
images, labels = load_mnist("train")
x = distorted(images[:20_000], np.random.default_rng((18, 0)))[:transfer]
y = labels[:transfer]
said = torch.tensor(np.load(data_file("results/ten_kilobytes_teacher.npy"))).float()[:transfer]
held_x = distorted(images[50_000 : 50_000 + held_out_count], np.random.default_rng((18, 9)))
held_y = labels[50_000 : 50_000 + held_out_count]

figure, axes = plt.subplots(2, 8, figsize=(8, 2.3))
for column in range(8):
    for row, digit in enumerate((images[column], x[column, 0])):
        axes[row, column].imshow(digit, cmap="gray_r")
        axes[row, column].set_axis_off()
figure.suptitle("above: training digits; below: the same ones as they come in", fontsize=10)
plots.show(
    alt="Two rows of eight digits. Those below are the ones above, turned, zoomed and moved a little."
)
print(f"{transfer:,} digits to learn from; teacher: {100 * accuracy(said, y):.1f}% of them right")

# %% [markdown]
# Note who the teacher is: it has learned 55,000 upright digits, moved by up to 2 pixels. It has never seen a turned one, and still reads most of them. These 20,000 are among those it was trained on, so that number flatters it.
#
# ## 1 · Count before you train
#
# Which network fits? Training first and weighing afterwards wastes an evening. `pooled_convnet(*channels)` takes means of 2 × 2 pixels, then a `ConvNet`: convolutions of width 3, the mean over places, a linear layer to 10 classes. With its batch norms folded into the convolutions, as in lesson 08, what must be stored is:
#
# - a convolution from $a$ to $b$ channels: $9ab$ weights and $b$ biases;
# - the linear layer from $c$ channels to 10 classes: $10c$ weights and 10 biases.
#
# A weight takes as many bits as you give it, a bias always 32. Weights of fewer than 32 bits need a **scale** for each output channel of their layer, a float of 32 bits. Eight bits are a byte.
#
# ### Exercise 1: bytes of the numbers
# <details><summary>Hint 1</summary>The picture has one channel: the sizes are <code>[1, *channels]</code>, and <code>pairwise</code> of <code>itertools</code> gives neighbours: <code>for a, b in pairwise([1, *channels])</code>.</details>
# <details><summary>Hint 2</summary>Add up bits, and divide by 8 at the end. The linear layer has scales too.</details>


# %% role="answer" name="number_bytes"
def number_bytes(channels, bits):
    """Bytes of all numbers of pooled_convnet(*channels), its batch norms folded.

    channels: a list of whole numbers, such as [8, 16, 24]. bits: of a weight, 32 or fewer.
    Returns one number, not rounded.
    """
    # YOUR CODE: a loop over the convolutions, then the linear layer; weights, biases, scales
    # BEGIN SOLUTION
    total = 0
    for a, b in pairwise([1, *channels]):
        total += 9 * a * b * bits + 32 * b
    total += 10 * channels[-1] * bits + 32 * 10
    if bits < 32:
        total += 32 * (sum(channels) + 10)
    return total / 8
    # END SOLUTION


# %% role="check" name="number_bytes.floats" points=1 hint="With 32 bits: 9ab weights and b biases for each convolution, 10c and 10 for the linear layer, 4 bytes each."
rng = check.rng("number_bytes.floats")
check(
    "number_bytes.floats",
    [check.call(number_bytes, widths(rng, depth), 32) for depth in (1, 2, 3)],
)

# %% role="check" name="number_bytes.integers" points=1 hint="8 bits a weight; biases keep 32; and 32 more for the scale of every output channel of every layer."
rng = check.rng("number_bytes.integers")
check(
    "number_bytes.integers",
    [check.call(number_bytes, widths(rng, depth), 8) for depth in (1, 2, 3)],
)

# %% role="hidden" name="number_bytes.few_bits" points=1 hint="Any number of bits, also those that fill no byte."
rng = check.rng("number_bytes.few_bits")
check(
    "number_bytes.few_bits",
    [check.call(number_bytes, widths(rng, 4), bits) for bits in (1, 3, 4, 16, 32)],
)


# %% role="alternative" of="number_bytes" name="number_bytes.by_layers"
def number_bytes(channels, bits):
    layers = [(9 * a, b) for a, b in pairwise([1] + channels)] + [(channels[-1], 10)]
    extra = 4 if bits == 32 else 8
    return sum(fan * out * bits / 8 + extra * out for fan, out in layers)


# %% role="alternative" of="number_bytes" name="number_bytes.by_module"
def number_bytes(channels, bits):
    net = pooled_convnet(*channels)
    layers = [one for one in net.modules() if isinstance(one, (nn.Conv2d, nn.Linear))]
    weights = sum(one.weight.numel() for one in layers)
    outputs = sum(len(one.weight) for one in layers)
    return (weights * bits + 32 * outputs * (1 + (bits < 32))) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.no_biases" loses="number_bytes.floats, number_bytes.integers, number_bytes.few_bits" hint="The biases are missing: one for each output channel of a layer, 32 bits."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits for a, b in pairwise(sizes)) + 10 * channels[-1] * bits
    return (total + (32 * (sum(channels) + 10) if bits < 32 else 0)) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.in_bits" loses="number_bytes.floats, number_bytes.integers, number_bytes.few_bits" hint="Those are bits. A byte has 8."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + 32 * b for a, b in pairwise(sizes))
    total += 10 * channels[-1] * bits + 320
    return total + (32 * (sum(channels) + 10) if bits < 32 else 0)


# %% role="mutant" of="number_bytes" name="number_bytes.no_scales" loses="number_bytes.integers, number_bytes.few_bits" hint="The scales are missing: with fewer than 32 bits, 32 more for each output channel."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + 32 * b for a, b in pairwise(sizes))
    return (total + 10 * channels[-1] * bits + 320) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.scale_of_layer" loses="number_bytes.integers, number_bytes.few_bits" hint="You count one scale a layer. Every output channel has its own."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + 32 * b for a, b in pairwise(sizes))
    total += 10 * channels[-1] * bits + 320
    return (total + (32 * (len(channels) + 1) if bits < 32 else 0)) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.rounded_biases" loses="number_bytes.integers, number_bytes.few_bits" hint="You round the biases as well. They keep their 32 bits."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + bits * b for a, b in pairwise(sizes))
    total += 10 * channels[-1] * bits + 10 * bits
    return (total + (32 * (sum(channels) + 10) if bits < 32 else 0)) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.scales_of_floats" loses="number_bytes.floats, number_bytes.few_bits" hint="Weights of 32 bits are floats already: they need no scale."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + 64 * b for a, b in pairwise(sizes))
    return (total + 10 * channels[-1] * bits + 640) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.no_head" loses="number_bytes.floats, number_bytes.integers, number_bytes.few_bits" hint="The linear layer at the end is missing."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + 32 * b for a, b in pairwise(sizes))
    return (total + (32 * sum(channels) if bits < 32 else 0)) / 8


# %% [markdown]
# A file holds more than its numbers: a list of operations, and names. **What do you expect?** Below, two nets are written in floats and in 8 bits. By how much is a file larger than your count? And is an 8-bit file a quarter of the other?

# %% role="show" name="bytes"
count = check.ready(number_bytes, None)
if count is None:
    print("(the library has none: the counts below stay empty until exercise 1 is done)")
folder = Path("ten_kilobytes")
folder.mkdir(exist_ok=True)
print(f"{'':22s}{'numbers':>9s}{'file':>9s}{'short names':>13s}{'of it no numbers':>18s}")
for channels in ([4, 8, 12], [10, 18, 26]):
    torch.manual_seed(0)
    net = pooled_convnet(*channels).eval()
    for norm in net.modules():  # as if trained: equal numbers would be stored once
        if isinstance(norm, nn.BatchNorm2d):
            norm.bias.data.uniform_(-1, 1)
    kinds = {32: compress.folded(net), 8: compress.quantized(net, x[:200], 8)}
    for bits, model in kinds.items():
        file = compress.to_onnx(model, x[:2], folder / "weighed.onnx")
        long, short = file.stat().st_size, challenge.short_names(file)
        title = f"{channels}, {bits} bits"
        numbers = count(channels, bits) if count else math.nan
        counted = [f"{numbers:,.0f}", f"{100 * (1 - numbers / short):.0f}%"] if count else ["", ""]
        print(f"{title:22s}{counted[0]:>9s}{long:9,d}{short:13,d}{counted[1]:>18s}")
print(f"\nat most {LIMIT:,} bytes are allowed")

# %% [markdown]
# **What we saw.** Names and notes are kilobytes: PyTorch's exporter writes where everything comes from. `challenge.short_names` calls everything 0, 1, 2, ... and changes nothing that is computed. Even so, much of an 8-bit file is paper: 63% of the small net's, 31% of the larger one's. What is left: the float file of the larger net is far above the limit, its 8-bit file below. And the 8-bit file of the larger net, which has nearly five times as many numbers, is not even half as large again as that of the small net in floats. That is the first decision of this challenge, and it
# was made without any training: **many weights of 8 bits, rather than few of 32**.

# %% [markdown]
# ## 2 · A loop that keeps the best
#
# A student under a limit is often trained long and tried often. Then one must choose, and there is one honest place to choose on: **held-out** digits, which are neither learned from nor judged on. `held_x` above are distorted training digits that nobody else uses. The loop is short, and has the traps that you know: a state that is not
# copied goes on changing, and a student is more than its weights (a batch norm has running means).
#
# ### Exercise 2: keep the best
# <details><summary>Hint 1</summary><code>state_dict()</code> holds weights and statistics, but as they are <em>now</em>: the training goes on in the same tensors. <code>copy.deepcopy</code> makes others.</details>
# <details><summary>Hint 2</summary>Begin with a best score of <code>-math.inf</code>, and take a round that is strictly better. After the loop: <code>student.load_state_dict(...)</code>.</details>


# %% role="answer" name="keep_best"
def keep_best(student, train, score, rounds):
    """Train for `rounds` rounds, and leave the student as it was after the best one.

    train(student, n) trains it for round n = 0, 1, ..., rounds - 1, in place. score(student) is its
    score on held-out data, higher is better; ask once after each round. Of equal scores the first
    counts. Returns (best score, its round); the student has that round's weights and statistics.
    """
    # YOUR CODE: a loop that trains, asks, and copies the state where it is better; then load it
    # BEGIN SOLUTION
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return best, when
    # END SOLUTION


# %% role="check" name="keep_best.middle" points=1 hint="The best round is one in the middle: the student must be as it was then."
rng = check.rng("keep_best.middle")
scores = [float(s) for s in rng.permutation(np.linspace(0.5, 0.8, 4)).tolist()]
fake = FakeTraining(rng, [*scores, 0.9, *scores[:3]])
check(
    "keep_best.middle",
    fake.seen(
        check.call(keep_best, fake.student, fake.train, fake.score, 8, may_change=[fake.student])
    ),
)

# %% role="check" name="keep_best.equal" points=1 hint="Two rounds are equally good, and all scores are below 0: the first of the two counts."
rng = check.rng("keep_best.equal")
top = float(-rng.uniform(0.1, 0.4))
fake = FakeTraining(rng, [top - 1, top, top - 0.5, top, top - 2])
check(
    "keep_best.equal",
    fake.seen(
        check.call(keep_best, fake.student, fake.train, fake.score, 5, may_change=[fake.student])
    ),
)

# %% role="hidden" name="keep_best.ends" points=1 hint="The best round may be the first or the last, and there may be one alone."
rng = check.rng("keep_best.ends")
found = []
for scores in ([0.9, 0.5, 0.7], [0.1, 0.2, 0.6], [float(rng.uniform())]):
    fake = FakeTraining(rng, scores)
    found.append(
        fake.seen(
            check.call(
                keep_best,
                fake.student,
                fake.train,
                fake.score,
                len(scores),
                may_change=[fake.student],
            )
        )
    )
check("keep_best.ends", found)


# %% role="alternative" of="keep_best" name="keep_best.all_states"
def keep_best(student, train, score, rounds):
    states, scores = [], []
    for n in range(rounds):
        train(student, n)
        scores.append(score(student))
        states.append({key: value.clone() for key, value in student.state_dict().items()})
    when = int(np.argmax(scores))
    student.load_state_dict(states[when])
    return scores[when], when


# %% role="alternative" of="keep_best" name="keep_best.whole_copy"
def keep_best(student, train, score, rounds):
    train(student, 0)
    best, when, kept = score(student), 0, copy.deepcopy(student)
    for n in range(1, rounds):
        train(student, n)
        now = score(student)
        if best < now:
            best, when, kept = now, n, copy.deepcopy(student)
    student.load_state_dict(kept.state_dict())
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.not_copied" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="state_dict() hands out the student's own tensors, and the training goes on in them. Copy it: copy.deepcopy."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, state = now, n, student.state_dict()
    student.load_state_dict(state)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.never_loaded" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="You know which round was best, and leave the student as it is after the last one. Load the state that you have kept."
def keep_best(student, train, score, rounds):
    best, when = -math.inf, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when = now, n
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.weights_only" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="The weights are those of the best round, the batch norm's statistics are not: parameters() leaves them out, state_dict() has them."
def keep_best(student, train, score, rounds):
    best, when, kept = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, kept = now, n, [p.detach().clone() for p in student.parameters()]
    with torch.no_grad():
        for p, old in zip(student.parameters(), kept, strict=True):
            p.copy_(old)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.last_of_equals" loses="keep_best.equal" hint="Of two equal rounds yours takes the later one. Take one that is strictly better."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now >= best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.from_zero" loses="keep_best.equal" hint="Scores may lie below 0, minus a loss for example. Begin with -math.inf."
def keep_best(student, train, score, rounds):
    best, when, state = 0.0, 0, copy.deepcopy(student.state_dict())
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.asked_first" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="You ask for the score before the round has been trained: then it belongs to the round before."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        now = score(student)
        train(student, n)
        if now > best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.counts_from_one" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="Rounds are counted from 0, and train gets the round's number."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(1, rounds + 1):
        train(student, n - 1)
        now = score(student)
        if now > best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return best, when


# %% [markdown]
# ## 3 · Is the teacher worth it, at 10 kB?
#
# Now the experiment that your memo will be about; change it as you like. Two arms, the same net, digits, steps, learning rate, seeds and size of file: **labels alone**, and the teacher's **soft targets** at $T = 4$. Each is trained in rounds, and the best round on held-out digits is kept, with your loop.
#
# Below the table stand five seeds of ours (`benchmarks/ten_kilobytes.py`; no rounds there, the last step counts), three sizes of file, and two more arms: upright digits instead of distorted ones, and the **cheat**: the 10,000 test digits themselves, each distorted twice, with their labels. The last lines and the diamonds are the files of somebody who took up the challenge from this notebook alone and had not seen our students (one training each, on other test draws; `datasets/results/ten_kilobytes_attempts.json`).
#
# **What do you expect?** Write it down, it goes into the memo. Who wins, by how much, and does it depend on the size? How much will the cheat bring?

# %% role="show" name="students"


def last_round(student, train, score, rounds):
    """What is used until your loop is ready: no choice, the last round stays."""
    for n in range(rounds):
        train(student, n)
    return score(student), rounds - 1


keep = check.ready(keep_best, last_round)
rates = [1e-2, 5e-3, 1e-3]  # of the rounds; a round sees every digit once


def fit(channels, told, seed):
    """A student at its best round, in 8 bits, and its share of held-out digits right."""
    torch.manual_seed(seed)
    net = pooled_convnet(*channels)

    def train(net, n):
        Trainer(
            net,
            HardLabels() if told is None else 1.0 * SoftTargets(T=4),
            None if told is None else KnownLogits(told),
            lambda ps: torch.optim.Adam(ps, rates[n]),
            progress=False,
            device="cpu",
        ).fit(Batches(x, y, size=100, seed=10 * seed + n))

    keep(net, train, lambda net: accuracy(predict(net, held_x), held_y), len(rates))
    small = compress.quantized(net.eval(), x[:500], 8)
    return small, accuracy(predict(small, held_x), held_y)


channels = [10, 18, 26]
students, shares = {}, {"labels": [], "soft targets": []}
for seed in seeds:
    for arm, told in (("labels", None), ("soft targets", said)):
        students[arm, seed], share = fit(channels, told, seed)
        shares[arm].append(share)
        print(
            f"seed {seed}, {arm:13s}{100 * share:6.2f}% of {held_out_count:,} held-out digits right"
        )
mean, half, verdict = paired_verdict(shares["soft targets"], shares["labels"])
print(f"soft targets - labels: {100 * mean:.2f} ± {100 * half:.2f} points, {verdict}")

# %% role="show" name="results" folded=true


def runs(setting, method):
    """Of our runs, the share right by seed."""
    return {
        r["seed"]: r["accuracy"]
        for r in stored["runs"]
        if (r["setting"], r["method"]) == (setting, method)
    }


def gap(setting, method, rival, other=None):
    """This method in this setting against a rival, there or in the `other` setting."""
    ours, theirs = runs(setting, method), runs(other or setting, rival)
    both = sorted(ours.keys() & theirs.keys())
    return paired_verdict([ours[n] for n in both], [theirs[n] for n in both])


settings = sorted(stored["bytes"], key=lambda one: (one.split()[1], stored["bytes"][one]))
print(f"our seeds, % of 4,000 test digits, distorted; {'':15s}soft targets")
print(f"{'':27s}{'bytes':>7s}{'labels':>9s}{'soft t.':>9s}{'':8s}- labels, points")
for setting in settings:
    means = [100 * np.mean(list(runs(setting, arm).values())) for arm in ("labels", "soft targets")]
    mean, half, verdict = gap(setting, "soft targets", "labels")
    print(
        f"{setting:27s}{stored['bytes'][setting]:7,d}{means[0]:9.2f}{means[1]:9.2f}"
        f"{100 * mean:12.2f} ± {100 * half:.2f}, {verdict}"
    )
best = "10-18-26 int8"
for method in ("labels, undistorted", "labels, test digits"):
    mean, half, verdict = gap(best, method, "labels")
    print(
        f"{best}, {method}: {100 * np.mean(list(runs(best, method).values())):.2f}%; "
        f"against labels {100 * mean:+.2f} ± {100 * half:.2f}, {verdict}"
    )

print("\nwhat else pays, points; intervals over our five seeds, paired")
small, middle, patient = "4-8-12 int8", "8-16-24 int8", "10-18-26, patient int8"
for what, setting, other in (
    ("10-18-26: 8 bits - floats", best, "10-18-26 float32"),
    ("10-18-26 - 4-8-12, 8 bits", best, small),
    ("10-18-26 - 8-16-24, 8 bits", best, middle),
    ("patient - not, 8 bits", patient, best),
):
    for arm in ("labels", "soft targets"):
        mean, half, verdict = gap(setting, arm, arm, other)
        print(f"{what:28s}{arm:13s}{100 * mean:6.2f} ± {100 * half:.2f}, {verdict}")

attempts = json.loads(data_file("results/ten_kilobytes_attempts.json").read_text())
print("\nsomebody else's files, and one of this notebook: % of 3 x 10,000 test digits,")
print("distorted; intervals over digits; one training each")
for one in attempts["runs"]:
    line = f"{one['net']:24s}{one['bytes']:6,d} bytes"
    line += f"{100 * one['accuracy']:7.2f} ± {100 * one['half']:.2f}"
    if "ahead" in one:
        line += f"; ahead, paired {100 * one['ahead']:6.2f} ± {100 * one['ahead_half']:.2f}"
    print(line)

plt.figure(figsize=(7.6, 3.6))
for n, arm in enumerate(("labels", "soft targets")):
    for kind, mark in (("int8", "o-"), ("float32", "s--")):
        some = [one for one in settings if one.endswith(kind) and "patient" not in one]
        kilobytes = [stored["bytes"][one] / 1000 for one in some]
        means = [100 * np.mean(list(runs(one, arm).values())) for one in some]
        plt.plot(kilobytes, means, mark, color=COLORS[n], label=f"{arm}, {kind}", alpha=0.85)
    setting = f"{best.split()[0]}, patient int8"
    right = 100 * np.mean(list(runs(setting, arm).values()))
    kilobytes = stored["bytes"][setting] / 1000
    plt.plot(kilobytes, right, "*", color=COLORS[n], markersize=11, label=f"{arm}, int8, patient")
theirs = [one for one in attempts["runs"] if one["method"] == "attempt"]
plt.errorbar(
    [one["bytes"] / 1000 for one in theirs],
    [100 * one["accuracy"] for one in theirs],
    [100 * one["half"] for one in theirs],
    fmt="D",
    color=COLORS[2],
    label="an attempt of somebody\nelse's, int8 (one seed)",
)
plt.axvline(LIMIT / 1000, color="gray", linewidth=1)
plt.text(LIMIT / 1000 + 0.3, plt.ylim()[0] + 0.5, "10 kB", color="gray")
plt.xscale("log")
plt.xticks([4, 6, 10, 20, 30], ["4", "6", "10", "20", "30"])
plt.minorticks_off()
plt.xlabel("kilobytes of the file")
plt.ylabel("% of distorted test digits right")
plt.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
plt.tight_layout()
plots.show(
    alt="Accuracy against kilobytes on a logarithmic axis: a curve each for labels and soft targets, in 8 bits and in floats. The 8-bit curves lie far to the left of the float ones at the same height, soft targets a little below labels. Two stars near the line at 10 kB, the patient runs, lie two to three points above these curves. Three diamonds, the files of an independent attempt, lie above all others of their size: 92% at 3.6 kilobytes, 96% at 5.4 and 98% at 9.8."
)

# %% [markdown]
# **What we saw.** This teacher does not help here. At no size is it ahead; the 8-bit net of 8-16-24 channels is 1.08 ± 0.84 points *better off with labels*, the largest one with ten passes over the digits instead of two ("patient") 1.36 ± 0.30. At the smallest size and for 10-18-26 after two passes the 8-bit files are not decided. In lesson 08 the same
# teacher was worth two points. What differs: there the student had 2,000 digits, here it has 20,000, each with a label that is right; and the teacher reads turned digits, which it has never learned. Our runs do not say which of the two it is. The first experiment at the end can.
#
# - **Eight bits cost nothing that five seeds can see**: for 10-18-26, 8 bits minus floats is 0.01 ± 0.09 points for labels and -0.04 ± 0.08 for soft targets, in a file of little more than a third.
# - **Width pays as long as there is little of it**: from 4-8-12 to 10-18-26 labels gain 9.84 ± 1.44 points, in a file a bit more than twice as large; the last step of it, from 8-16-24, is worth 0.67 ± 0.58.
# - **Patience costs no byte**: ten passes instead of two bring 3.22 ± 0.64 points to labels and 2.75 ± 0.67 to soft targets. (The file's settings say 500 steps; passes are whole, and two of them are 400.) It need not be the number of passes alone: the file of this notebook has made three, with a rate that falls between them, and stands near the patient ones (94.26%, on other test draws).
# - **The world matters more than the choice between labels and teacher**: the same digits undistorted cost 10.05 ± 1.59 points.
# - **The cheat pays**: training on the test digits brings 1.18 ± 0.68 points, although each comes distorted in another way than it is judged. It is a small gain, and a false one: it says nothing of digits from other hands. No check sees it. A board of honest people does without.
# - **Our students are not the end of it**: the attempt reads 97.77 ± 0.23% of the digits with 9,781 bytes, 3.50 ± 0.30 points more than the file of this notebook that was judged beside it (94.26 ± 0.34%). A file of 5,355 bytes is ahead as well, by 1.62 ± 0.31 points. It did much otherwise: convolutions of 5 × 5 with stride 2, 3 × 3 with stride 2 and 3 × 3 (each with batch norm and ReLU) see all 28 × 28 pixels; labels alone; eight drawings of distortions, another one each epoch in turn; 3,000 steps of 128 digits; AdamW, its rate along one cycle up to 0.01 and down to almost 0; the last step kept. All of that at once, with one seed: nothing here says what did it. New distortions (`distorted` with another generator; the teacher has not been asked about those) and a rate that falls to the end are allowed, and are what we would try first.
#
# ## 4 · Hand it in
#
# Take your best student, write its file, and fill the answer cell with it. An answer cell can hold a file because a file can be written as text: base85 makes five characters of four bytes. `challenge.hand_in` writes the text into `digit_student.py`; the cell after it is filled by IPython's `%load`.
#
# ### Exercise 3: your file
# In the second cell below write the one line `%load ten_kilobytes/digit_student.py`, in place of what is there, and run the cell **twice**: the first time the file's text takes the place of the line, and nothing else happens; only the second time is `digit_student` this text. Then the checks. To hand in a better one later, do the same again.
#
# **Only the assignment may stand in the cell.** It is read as data, none of it is run when you are graded, and a cell that holds anything else but comments is refused. Your notebook does not notice: with a `print` behind the file the checks below pass, and `tinykd check` takes all points of the exercise.
#
# <details><summary>If it is refused</summary>The words of the check say why. A fixed batch or another shape: export with <code>compress.to_onnx(model, x[:2], path)</code>, where <code>x</code> is (N, 1, 28, 28). Too large: count (exercise 1), take 8 bits, <code>challenge.short_names</code>. An operation that is not run: build the net of others.</details>

# %% role="show" name="file"
chosen = max(students, key=lambda one: shares[one[0]][seeds.index(one[1])])  # on held-out digits
file = compress.to_onnx(students[chosen], x[:2], folder / "digit_student.onnx")
size = challenge.short_names(file)
print(f"{chosen[0]}, seed {chosen[1]}: {size:,} bytes, {LIMIT:,} are allowed")
in_file = challenge.answers(file.read_bytes(), held_x)  # as it will be judged
print(f"the file itself: {100 * accuracy(in_file, held_y):.2f}% of the held-out digits right\n")
path = challenge.hand_in("digit_student", file, folder)

# %% role="answer" name="digit_student" literal=true file="18_your_own/right.onnx"
# YOUR FILE: write  %load ten_kilobytes/digit_student.py  here, alone, and run the cell twice
digit_student = ...

# %% role="check" name="digit_student.size" points=1 constant=true hint="Count before you train; 8 bits; challenge.short_names."
check("digit_student.size", judging.size(check.given("digit_student", digit_student), LIMIT))

# %% role="check" name="digit_student.opens" points=1 constant=true hint="One ONNX file that takes (N, 1, 28, 28) and gives (N, 10), as compress.to_onnx writes it; see the rules."
digits, _ = secret_digits(check.rng("digit_student.opens"), 20)
check("digit_student.opens", judging.opens(check.given("digit_student", digit_student), digits))

# %% role="check" name="digit_student.reads" points=1 constant=true hint="At least 60% of distorted digits. Was it trained, and on distorted ones?"
digits = secret_digits(check.rng("digit_student.reads"), 300)
text = check.given("digit_student", digit_student)
check("digit_student.reads", judging.reaches(text, LIMIT, *digits, 0.60))

# %% role="hidden" name="digit_student.good" points=1 constant=true hint="At least 70% of secret digits, in a file of at most 10,000 bytes."
digits = secret_digits(check.rng("digit_student.secret"), 600)
text = check.given("digit_student", digit_student)
check("digit_student.good", judging.reaches(text, LIMIT, *digits, 0.70))

# %% role="hidden" name="digit_student.better" points=2 constant=true hint="At least 86% of secret digits, in a file of at most 10,000 bytes."
digits = secret_digits(check.rng("digit_student.secret"), 600)
text = check.given("digit_student", digit_student)
check("digit_student.better", judging.reaches(text, LIMIT, *digits, 0.86))

# %% role="hidden" name="digit_student.best" points=2 constant=true hint="At least 89% of secret digits, in a file of at most 10,000 bytes."
digits = secret_digits(check.rng("digit_student.secret"), 600)
text = check.given("digit_student", digit_student)
if judging.size(text, LIMIT) == judging.FITS:
    many = secret_digits(check.rng("digit_student.board"), 5000)
    measure = lambda: 100 * judging.share_right(text, LIMIT, *many)
    check.measured("% of secret digits right, at 10 kB", measure)
check("digit_student.best", judging.reaches(text, LIMIT, *digits, 0.89))

# %% role="alternative" of="digit_student" name="digit_student.other_arm" file="18_your_own/other_arm.onnx"
digit_student = ...

# %% role="alternative" of="digit_student" name="digit_student.probabilities" file="18_your_own/probabilities.onnx"
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.in_floats" file="18_your_own/in_floats.onnx" loses="digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="That file holds floats of 32 bits. compress.quantized makes a student of 8 bits, and to_onnx writes it as such."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.untrained" file="18_your_own/untrained.onnx" loses="digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="It answers as a net that has not been trained. Was the right one exported?"
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.undistorted" file="18_your_own/undistorted.onnx" loses="digit_student.better, digit_student.best, memo.file" hint="It was trained on upright digits, and these are turned and moved: train on x, not on images."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.of_images" file="18_your_own/of_images.onnx" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="It takes pictures of 14 x 14, and the judge's have 28 x 28: the averaging is part of the net, and belongs into the file."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.fixed_batch" file="18_your_own/fixed_batch.onnx" loses="digit_student.opens, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="It takes batches of one size alone: export with the first size left open, as compress.to_onnx does."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.not_finite" file="18_your_own/not_finite.onnx" loses="digit_student.opens, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="A logarithm of a logit is NaN where the logit is negative. Hand in the logits."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.cut_off" file="18_your_own/cut_off.onnx" loses="digit_student.opens, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="The end of the file is missing: fill the cell with %load, which takes all of its lines."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.weights_elsewhere" file="18_your_own/weights_elsewhere.onnx" loses="digit_student.opens, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="Its weights lie in a second file, which you have not handed in: export with external_data=False."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.a_path" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="That is the name of a file. The cell holds the file itself, as text: challenge.hand_in writes it."
digit_student = "ten_kilobytes/digit_student.onnx"

# %% [markdown]
# ## 5 · The memo
#
# A result that nobody can check is an anecdote. In a company it is a page, in a paper the part that reviewers read first: a question, what you expected *before* you looked, what you compared with and what both had in common, numbers by seed, an interval, a verdict.
#
# ### Exercise 4: the memo
# A dict, about *your* experiment. Again only the assignment may stand in the cell, with the numbers written out: an `m = 0.005` before it passes here, and costs all points of the memo at `tinykd check`. The checks hold it against itself: they compute interval and verdict from your per-seed numbers, with lesson 05's `paired_verdict`, and compare. A verdict of "not shown" earns all points; a verdict that its numbers do not carry earns none. The last check, when you are graded, asks whether
# the file that you have handed in can belong to this experiment: on secret digits it must be within 5 points of the mean of `student`.
#
# | key | |
# |---|---|
# | `question` | one sentence that ends in a question mark; six words or more |
# | `prediction` | what you expected before, and why; 8 words or more |
# | `same_budget` | what both arms had in common; 8 words or more |
# | `baseline` | what `against` is; 3 words or more |
# | `seeds` | at least three different whole numbers |
# | `student`, `against` | for each seed the share right, between 0 and 1, of your arm and of the baseline |
# | `margin` | the smallest gain that would matter to you, as a share; said beforehand; 0 or more |
# | `gain` | [lower, upper] end of the 95% interval of the mean of student - against, to four decimals or more |
# | `verdict` | "not better" where the upper end lies below the margin (also if all of the interval is above 0: too small a gain); otherwise "better" where the lower end lies above 0; else "not shown" |
#
# <details><summary>Hint</summary><code>mean, half, verdict = paired_verdict(student, against, margin)</code>; the ends are <code>mean - half</code> and <code>mean + half</code>. Compute them in a cell of your own, and write the numbers here.</details>

# %% role="answer" name="memo" literal=true
# YOUR MEMO: a dict with the ten keys of the table, numbers written out
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "against": [0.9447, 0.9465, 0.9477, 0.9417, 0.9443],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "not better",
}

# %% role="check" name="memo.form" points=1 constant=true hint="All ten keys, and words enough in them."
check("memo.form", judging.form(check.given("memo", memo)))

# %% role="check" name="memo.seeds" points=1 constant=true hint="Three seeds or more, and for each a share between 0 and 1 of both arms."
check("memo.seeds", judging.seeds(check.given("memo", memo)))

# %% role="check" name="memo.gain" points=1 constant=true hint="The interval is that of the paired differences, student - against, with Student's t."
check("memo.gain", judging.interval(check.given("memo", memo)))

# %% role="check" name="memo.verdict" points=2 constant=true hint="Not better: the whole interval lies below the margin. Better: otherwise, if all of it lies above 0. Else not shown."
check("memo.verdict", judging.conclusion(check.given("memo", memo)))

# %% role="hidden" name="memo.file" points=2 constant=true hint="The file that you have handed in belongs to the memo's experiment: its share is within 5 points of the mean of student."
digits = secret_digits(check.rng("memo.file"), 1000)
share = judging.share_right(digit_student, LIMIT, *digits)
check("memo.file", judging.agrees(check.given("memo", memo), share, 0.05))


# %% role="alternative" of="memo" name="memo.four_seeds_fewer"
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3],
    "student": [0.9313, 0.932, 0.9323, 0.9323],
    "against": [0.9447, 0.9465, 0.9477, 0.9417],
    "margin": 0.005,
    "gain": [-0.0174, -0.009],
    "verdict": "not better",
}


# %% role="alternative" of="memo" name="memo.labels_as_student"
memo = {
    "question": "Are labels alone better than a teacher for a student of 10 kB?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "the teacher's soft targets",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9447, 0.9465, 0.9477, 0.9417, 0.9443],
    "against": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "margin": 0.005,
    "gain": [0.0105, 0.0166],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.contradicts" loses="memo.verdict" hint="The verdict does not follow from the numbers: compare the ends of the interval with the margin and with 0."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "against": [0.9447, 0.9465, 0.9477, 0.9417, 0.9443],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.spread" loses="memo.gain" hint="That is the spread of single seeds around the mean. The interval is t s / sqrt(n): mean_interval."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "against": [0.9447, 0.9465, 0.9477, 0.9417, 0.9443],
    "margin": 0.005,
    "gain": [-0.016, -0.0111],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.unpaired" loses="memo.gain" hint="That interval puts the two arms' intervals together. Subtract seed by seed first."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "against": [0.9447, 0.9465, 0.9477, 0.9417, 0.9443],
    "margin": 0.005,
    "gain": [-0.0168, -0.0103],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.few_seeds" loses="memo.seeds, memo.gain, memo.verdict, memo.file" hint="Two seeds are an anecdote: three at least."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1],
    "student": [0.9313, 0.932],
    "against": [0.9447, 0.9465],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.in_percent" loses="memo.seeds, memo.gain, memo.verdict, memo.file" hint="Shares are asked for, between 0 and 1, not percent."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [93.13, 93.2, 93.23, 93.23, 92.93],
    "against": [94.47, 94.65, 94.77, 94.17, 94.43],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.no_prediction" loses="memo.form" hint="A prediction says what you expected, and why, before you looked: 8 words or more."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "it helps",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "against": [0.9447, 0.9465, 0.9477, 0.9417, 0.9443],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.no_question" loses="memo.form" hint="A question ends in a question mark. What you wrote is a claim."
memo = {
    "question": "We show that a teacher helps a student of 10 kB.",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "against": [0.9447, 0.9465, 0.9477, 0.9417, 0.9443],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.unequal" loses="memo.seeds, memo.gain, memo.verdict, memo.file" hint="A number for each seed, of both arms: pairs are compared."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.9313, 0.932, 0.9323, 0.9323, 0.9293],
    "against": [0.9447, 0.9465, 0.9477, 0.9417],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.of_another" loses="memo.file" hint="These are not the shares of the student that you handed in."
memo = {
    "question": "Does a teacher help a student of 10 kB to read distorted digits?",
    "prediction": "I expect the teacher to be one point ahead of labels, as in lesson 08, or a little less, because it has never seen turned digits.",
    "same_budget": "the same net (10-18-26, 8 bits), 20,000 digits, 2,000 steps, learning rate, seeds and size of file",
    "baseline": "labels alone, no teacher",
    "seeds": [0, 1, 2, 3, 4],
    "student": [0.6313, 0.632, 0.6323, 0.6323, 0.6293],
    "against": [0.6447, 0.6465, 0.6477, 0.6417, 0.6443],
    "margin": 0.005,
    "gain": [-0.0166, -0.0105],
    "verdict": "not better",
}

# %% [markdown]
# ## 6 · The board
#
# Your instructor can make a board of all files: `tinykd board REPORT`, one number a student, the share of 5,000 secret digits right at 10 kB. Names on a board invite a mistake: that whoever stands higher is better. All have read the *same* digits, so two students can be compared digit by digit. With $a_i = 1$ where the first is right
# and 0 where not, $b_i$ likewise, and $d_i = a_i - b_i$:
#
# $$\bar d \pm 1.96\, \frac{s_d}{\sqrt n}, \qquad s_d^2 = \frac{1}{n-1}\sum_i (d_i - \bar d)^2.$$
#
# Where both are right, or both wrong, $d_i$ is 0: only the digits on which they differ widen the interval. This one is over *digits*, for these two files. Whether the *way* in which one was trained is better is the other question, over seeds, and the memo's.
#
# ### Exercise 5: two places on a board
# <details><summary>Hint</summary>Booleans cannot be subtracted in torch: <code>right_a.double() - right_b.double()</code>. <code>std()</code> divides by n - 1.</details>


# %% role="answer" name="board_gap"
def board_gap(right_a, right_b):
    """How far two files are apart on the same digits, and how sure that is.

    right_a, right_b: bool (n,), whether each digit was read right. Returns (mean of a - b, half the
    width of its 95% interval), two numbers.
    """
    # YOUR CODE: the differences, their mean, their standard deviation
    # BEGIN SOLUTION
    d = right_a.double() - right_b.double()
    return d.mean(), 1.96 * d.std() / math.sqrt(len(d))
    # END SOLUTION


# %% role="check" name="board_gap.pair" points=1 hint="Subtract digit by digit; 1.96 times the standard deviation of the differences, over the root of n."
rng = check.rng("board_gap.pair")
check("board_gap.pair", [check.call(board_gap, *two_students(rng, n)) for n in (80, 130)])

# %% role="check" name="board_gap.signs" points=1 hint="The first minus the second: the second may be the better one."
rng = check.rng("board_gap.signs")
check("board_gap.signs", check.call(board_gap, *two_students(rng, 90, 0.5, 0.8)))

# %% role="hidden" name="board_gap.equal" points=1 hint="Two files that always agree differ by 0, and nothing is uncertain about that; and other sizes."
rng = check.rng("board_gap.equal")
a, b = two_students(rng, 70)
check("board_gap.equal", [check.call(board_gap, a, a.clone()), check.call(board_gap, b, a)])


# %% role="alternative" of="board_gap" name="board_gap.by_numpy"
def board_gap(right_a, right_b):
    d = np.array(right_a, dtype=float) - np.array(right_b, dtype=float)
    return float(d.mean()), float(1.96 * d.std(ddof=1) / np.sqrt(len(d)))


# %% role="alternative" of="board_gap" name="board_gap.by_counts"
def board_gap(right_a, right_b):
    n = len(right_a)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    mean = (only_a - only_b) / n
    variance = ((only_a + only_b) - n * mean**2) / (n - 1)
    return mean, 1.96 * math.sqrt(max(variance, 0) / n)


# %% role="mutant" of="board_gap" name="board_gap.unpaired" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="That is the interval of two files that have read different digits. These have read the same ones: subtract digit by digit first."
def board_gap(right_a, right_b):
    a, b = right_a.double(), right_b.double()
    return a.mean() - b.mean(), 1.96 * ((a.var() + b.var()) / len(a)).sqrt()


# %% role="mutant" of="board_gap" name="board_gap.no_root" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="That is the spread of single digits. The mean of n of them is surer by the root of n."
def board_gap(right_a, right_b):
    d = right_a.double() - right_b.double()
    return d.mean(), 1.96 * d.std()


# %% role="mutant" of="board_gap" name="board_gap.standard_error" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="That is one standard error. Half of a 95% interval is 1.96 of them."
def board_gap(right_a, right_b):
    d = right_a.double() - right_b.double()
    return d.mean(), d.std() / math.sqrt(len(d))


# %% role="mutant" of="board_gap" name="board_gap.sign" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="The first minus the second."
def board_gap(right_a, right_b):
    d = right_b.double() - right_a.double()
    return d.mean(), 1.96 * d.std() / math.sqrt(len(d))


# %% role="mutant" of="board_gap" name="board_gap.disagreements" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="You count the digits on which they differ, without asking who was right."
def board_gap(right_a, right_b):
    d = (right_a != right_b).double()
    return d.mean(), 1.96 * d.std() / math.sqrt(len(d))


# %% role="mutant" of="board_gap" name="board_gap.by_n" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="The standard deviation divides by n - 1 here."
def board_gap(right_a, right_b):
    d = right_a.double() - right_b.double()
    return d.mean(), 1.96 * d.std(correction=0) / math.sqrt(len(d))


# %% [markdown]
# Your own two arms as if they were two people on a board: the same net, the same seed, labels against soft targets, on held-out digits. **What do you expect?** With so many digits, how many points apart must two files be to deserve two places?

# %% role="show" name="places"


def rough_gap(right_a, right_b):
    """Used until yours is ready: the mean difference alone, and no interval."""
    return (right_a.double() - right_b.double()).mean(), None


apart = check.ready(board_gap, rough_gap)
rights = {one: predict(net, held_x).argmax(1) == held_y for one, net in students.items()}
for seed in seeds:
    mean, half = apart(rights["soft targets", seed], rights["labels", seed])
    sure = "(no interval yet)" if half is None else f"± {100 * half:.2f}"
    print(f"seed {seed}: soft targets - labels {100 * mean:6.2f} {sure} points")

# %% [markdown]
# Each line is an interval over digits, for two files: where it does not hold 0, these two files deserve two places. It takes about a point with 2,000 digits, and about six tenths with the board's 5,000. Such lines still say nothing about the two *ways* to learn: that is the interval over seeds in section 3. Your three seeds may leave
# undecided what five patient ones of ours decide, -1.36 ± 0.30. A board ranks files; it does not rank ideas.
#
# ## 7 · With your own data and your own teacher
#
# Everything above needs three things: inputs, labels, and a teacher's logits for the inputs. First, how files become tensors: a folder of pictures, one folder a class, and a CSV of sentences. Both are made up here, so that the cell runs.

# %% role="show" name="your_files"
import csv
import tempfile

from PIL import Image  # comes with matplotlib


def pictures(root, side=28):
    """root/CLASS/*.png -> (N, 1, side, side) from 0 to 1, labels (N,), names of the classes."""
    names = sorted(one.name for one in root.iterdir() if one.is_dir())
    files = sorted(root.glob("*/*.png"))
    gray = [Image.open(file).convert("L").resize((side, side)) for file in files]
    pixels = torch.tensor(np.stack([np.asarray(one) for one in gray]))[:, None] / 255
    return pixels, torch.tensor([names.index(file.parent.name) for file in files]), names


def sentences(path, words=None):
    """A CSV with columns text, label -> counts (N, words), labels (N,), names of the classes."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [(row["text"].lower().split(), row["label"]) for row in csv.DictReader(lines)]
    names = sorted({label for _, label in rows})
    words = words or sorted({word for text, _ in rows for word in text})  # give training words
    counts = torch.tensor([[text.count(word) for word in words] for text, _ in rows])
    return counts.float(), torch.tensor([names.index(label) for _, label in rows]), names


with tempfile.TemporaryDirectory() as made_up:
    root = Path(made_up)
    for n, name in enumerate(("cat", "dog")):
        (root / name).mkdir()
        Image.new("RGB", (40, 30), (90 * n, 120, 200)).save(root / name / "1.png")
    (root / "some.csv").write_text('text,label\n"good, good fun",praise\ndull,blame\n', "utf-8")
    for got in (pictures(root), sentences(root / "some.csv")):
        print([*got[0].shape], got[0].dtype, got[1].tolist(), got[2])

# %% [markdown]
# Then the sketch: replace the three functions at its top, keep the rest. It runs as it stands, on noise and an untrained teacher, so that you can see where each part goes. All else is inside a function, so that nothing of yours above is overwritten.


# %% role="show" name="template"
def my_data():
    """(inputs (N, ...) float32, labels (N,) int64, names of the classes), in random order."""
    # For example pictures(Path("my_pictures")) or sentences(Path("my.csv")), shuffled.
    # Here: noise in which the class lies a little.
    rng = np.random.default_rng(0)
    classes = torch.tensor(rng.integers(3, size=600))
    inputs = torch.tensor(
        rng.normal(size=(600, 20)) + classes[:, None].numpy(), dtype=torch.float32
    )
    return inputs, classes, ["a", "b", "c"]


def my_teacher(inputs):
    """Its logits (N, classes). Any nn.Module: tinykd.predict(module, inputs)."""
    torch.manual_seed(0)
    return predict(tinykd.MLP(20, 64, 3), inputs)


def my_student():
    return tinykd.MLP(20, 8, 3)


def my_comparison():
    inputs, targets, names = my_data()
    train, held = slice(0, 400), slice(400, 500)  # the last 100 are the test, read once, at the end
    arms = {"labels": None, "soft targets": my_teacher(inputs[train])}
    for arm, told in arms.items():
        found = []
        for seed in range(3):
            torch.manual_seed(seed)
            net = my_student()
            objective = HardLabels() if told is None else 1.0 * SoftTargets(T=4)
            teacher = None if told is None else KnownLogits(told)
            adam = lambda ps: torch.optim.Adam(ps, 1e-2)
            trainer = Trainer(net, objective, teacher, adam, progress=False, device="cpu")
            trainer.fit(Batches(inputs[train], targets[train], size=50, seed=seed), epochs=5)
            found.append(accuracy(predict(net, inputs[held]), targets[held]))
        print(f"{arm:13s}{[f'{100 * share:.0f}%' for share in found]} of held-out inputs right")
    mine = compress.to_onnx(net, inputs[:2], folder / "mine.onnx")
    print(f"{challenge.short_names(mine):,} bytes; classes {names}")


my_comparison()

# %% [markdown]
# (The untrained teacher teaches nonsense: its students read 42, 41 and 38% right, where chance is 33% and labels reach 72% or more. A comparison that did not show *that* would be broken. It is worth running once with your own data, too.)
#
# ## Your own experiments
#
# 1. **Change the teacher's world.** Let the teacher learn distorted digits for an epoch before it is asked (lesson 08 has its training), and ask it again about `x`. What changes for the students, and why could it change more for the small one? Say what you expect first.
# 2. **Change where the bytes go.** Weights of 4 bits are half as large, and no ONNX operation of the list reads them; but a codebook does: store 16 floats and an index for each weight, in `Gather`. An index of int8 costs a byte. How would you put two indices into one byte, with the operations that are allowed? What happens at
#    equal size: more weights of fewer bits, or fewer of more?
#
# ## What we saw
# - More than half of a small file may be no numbers. Bytes are counted before training, and in 8 bits a net fits that would not fit in floats.
# - What is handed in is data, judged on inputs that are drawn afterwards. That is what makes a board more than a list of claims.
# - A memo is checkable where it has per-seed numbers, a baseline of the same budget, and a verdict that follows from both.
# - Over digits one compares files, over seeds one compares ideas.
#
# In the engine: `tinykd.challenge` (`distorted`, `short_names`, `answers`, `hand_in`), `tinykd.compress`, `tinykd.paired_verdict`.
#
# ## Further reading
# - Lin et al., *MCUNet: Tiny Deep Learning on IoT Devices*, 2020 ([arXiv 2007.10319](https://arxiv.org/abs/2007.10319)): nets for chips whose memory is counted in kilobytes.
# - Banbury et al., *MLPerf Tiny Benchmark*, 2021 ([arXiv 2106.07597](https://arxiv.org/abs/2106.07597)): how such nets are compared fairly.
# - Beyer et al., *Knowledge distillation: A good teacher is patient and consistent*, 2021 ([arXiv 2106.05237](https://arxiv.org/abs/2106.05237)): teacher and student look at the same distorted picture, and for long.
# - Bouthillier et al., *Accounting for Variance in Machine Learning Benchmarks*, 2021 ([arXiv 2103.03098](https://arxiv.org/abs/2103.03098)): what a board does not show.
# - The [ONNX operators](https://onnx.ai/onnx/operators/): what your file may be made of.
#
# Check your notebook with `.venv/bin/tinykd check lessons/18_your_own.ipynb`.

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
# - do the same for sentences, in 100 kB, and say why their board is worth less;
# - write a memo of one page whose verdict follows from its numbers;
# - say whether two places on a board are different;
# - ask the same questions of your own data and your own teacher, with a program that is yours to keep.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: three functions of four to eight lines, two of them with a loop; two files; a memo |
# | Importance | 5 of 5: it is the whole course in one task |
# | Time | an hour for what is below; as long as you like for a better student; 2 to 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02, 05, 06 (`SoftLabels`), 08 and, for section 6, 11; the packages of `pip install 'tinykd[lab,compress]'` |

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
    SoftLabels,
    SoftTargets,
    Trainer,
    accuracy,
    compress,
    cosine,
    load_mnist,
    paired_verdict,
    plots,
    predict,
)
from tinykd import challenge
from tinykd.challenge import distorted, judging, known_words, memos, misspelt, pooled_convnet
from tinykd.challenge import Balance, Int8Vectors, WordConvNet, word_numbers
from tinykd.classroom import Checks
from tinykd.data import data_file, load_sentences, three_classes
from tinykd.metrics import rank_correlation
from tinykd.plots import COLORS

check = Checks("18_your_own")
LIMIT, SENTENCE_LIMIT = 10_000, 100_000  # bytes of a file


@functools.lru_cache(maxsize=1)
def test_set():
    """Images and labels of the test part."""
    return load_mnist("test")


@functools.lru_cache(maxsize=4)
def drawn(seed, count):
    """Distorted digits and their labels, the same for the same seed."""
    rng = np.random.default_rng(seed)
    images, labels = test_set()
    rows = torch.tensor(rng.permutation(len(images))[:count])
    return distorted(images[rows], rng), labels[rows]


def secret_digits(rng, count):
    """Test digits (count, 1, 28, 28), turned, zoomed and moved as this generator says, and labels."""
    return drawn(int(rng.integers(2**62)), count)


def mean_rating(ratings):
    """What people felt on average, -4 to 4, from their counts (N, 9)."""
    return ratings @ torch.arange(-4.0, 5.0) / ratings.sum(1)


@functools.lru_cache(maxsize=1)
def test_sentences():
    """The words that have numbers, the test sentences, and what people felt of them."""
    texts, ratings, _ = load_sentences("test")
    return known_words(load_sentences("train")[0]), texts, mean_rating(ratings)


@functools.lru_cache(maxsize=4)
def typed(seed, count, times):
    """Misspelt sentences as numbers of words and their ratings, the same for the same seed."""
    rng = np.random.default_rng(seed)
    known, texts, felt = test_sentences()
    rows = np.tile(rng.permutation(len(texts))[:count], times)
    return word_numbers(misspelt([texts[n] for n in rows], rng), known), felt[rows]


def secret_sentences(rng, count, times=1):
    """Test sentences as numbers (count times, 40), each misspelt so many times, and mean ratings."""
    return typed(int(rng.integers(2**62)), count, times)


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def widths(rng, depth):
    """Channels of a small net; no two alike."""
    return [int(n) for n in rng.permutation(np.arange(3, 20))[:depth]]


class FakeTraining:
    """A student that each round changes from where it is, with these scores."""

    def __init__(self, rng, scores):
        self.scores, self.log, self.round = scores, [], None
        self.student = nn.BatchNorm1d(3).double()
        self.states = torch.tensor(rng.normal(size=(len(scores), 3)))

    def train(self, student, n):
        self.log.append(f"train {n}")
        self.round = n
        with torch.no_grad():
            for tensor in (student.weight, student.running_mean):
                tensor.mul_(0.5).add_(self.states[n] + 1)

    def score(self, student):
        self.log.append("score")
        return self.scores[self.round] if self.round is not None else 1e6

    def seen(self, result):
        """What came back, what the student holds, and the calls."""
        return {
            "returned": result,
            "the student's weights": self.student.weight,
            "its running means": self.student.running_mean,
            "calls": self.log,
        }


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
# 79,000 parameters, which nobody could put on that chip. Whatever you know from this course is allowed. What counts is the share of digits that your file reads right. (Section 6 has the same for sentences.)
#
# The rules, in full:
#
# | | |
# |---|---|
# | the file | one ONNX file of at most 10,000 bytes, its numbers inside |
# | in and out | one input of float32, (N, 1, 28, 28), N open; one output of float32, (N, 10), the largest of a row is the answer |
# | what it may be made of | the plain operations in `challenge.onnx_file.ALLOWED`: no loops, no branches, no random numbers, no operations of somebody's own; for each input at most 40 million products (an operation without products counts the numbers that it reads), 40,000 numbers behind any operation, and a million behind all of them together |
# | how it is written | at most 400 operations, of ONNX's opset 13 to 21 (the opset is the version of its operations; `compress.to_onnx` chooses one, a file that you write by hand says its own) |
# | who runs it | ONNX Runtime, on one thread, its graph as it is written |
# | what it may learn from | anything but the test part, distorted or not: you are judged on it |
# | each input by itself | every digit is asked alone, and that answer counts; 100 of them are asked again in batches of 100 and of 7: a file that answers otherwise there is refused, and earns nothing |
# | judged on | test digits, each distorted under the instructor's seed |
#
# | share right | where it is asked | points |
# |---|---|---|
# | the file opens, and is small enough | here | 2 |
# | at least 60% | here | 1 |
# | at least 90% | when you are graded | 1 |
# | at least 96% | when you are graded | 2 |
# | at least 97% | when you are graded | 2 |
# | all above that | the board of your class | honour |
#
# The file that the cells below make, run as they come, reads about 94%: that is half of the points. The other half is for what you change.
#
# **Can one cheat?** A file that holds answers has nothing to look them up by: nobody has seen the distorted digits before they are drawn. A file cannot call anybody: ONNX has no operation for it, and files that point to other files are refused. It cannot compare the test digits with one another either, as each is asked alone. You hand in *data*: no line of yours is run to judge it. What no check can see is a
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

# %% role="hidden" name="number_bytes.few_bits" points=1 rtol=1e-9 atol=1e-9 hint="Any number of bits, also those that fill no byte: the sum is divided by 8 and not rounded."
rng = check.rng("number_bytes.few_bits")
check(
    "number_bytes.few_bits",
    [check.call(number_bytes, widths(rng, 4), bits) for bits in (1, 3, 5, 7, 4, 16, 32)],
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


# %% role="mutant" of="number_bytes" name="number_bytes.rounded_biases" loses="number_bytes.integers, number_bytes.few_bits" hint="A bias, or a scale, has 32 bits here as well, however few a weight has."
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


# %% role="mutant" of="number_bytes" name="number_bytes.no_picture" loses="number_bytes.floats, number_bytes.integers, number_bytes.few_bits" hint="The first convolution is missing, from the picture's one channel: the sizes are [1, *channels]."
def number_bytes(channels, bits):
    total = sum(9 * a * b * bits + 32 * b for a, b in pairwise(channels))
    total += 10 * channels[-1] * bits + 320
    return (total + (32 * (sum(channels[1:]) + 10) if bits < 32 else 0)) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.no_head_scales" loses="number_bytes.integers, number_bytes.few_bits" hint="The ten scales of the linear layer are missing."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + 32 * b for a, b in pairwise(sizes))
    total += 10 * channels[-1] * bits + 320
    return (total + (32 * sum(channels) if bits < 32 else 0)) / 8


# %% role="mutant" of="number_bytes" name="number_bytes.whole" loses="number_bytes.few_bits" hint="You round: with 3 bits a weight the numbers fill no whole number of bytes, and none is asked for. Divide by 8 with /, not //."
def number_bytes(channels, bits):
    sizes = [1, *channels]
    total = sum(9 * a * b * bits + 32 * b for a, b in pairwise(sizes))
    total += 10 * channels[-1] * bits + 320
    return (total + (32 * (sum(channels) + 10) if bits < 32 else 0)) // 8


# %% [markdown]
# A file holds more than its numbers: a list of operations, and names. **What do you expect?** Below, two nets are written in floats and in 8 bits. By how much is a file larger than your count? And is an 8-bit file a quarter of the other?

# %% role="show" name="bytes"
count = check.ready(number_bytes, None)
if count is None:
    print("(the counts below stay empty until then)")
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

    train(student, n) trains it for round n = 0, 1, ..., rounds - 1, in place; a round goes on from
    where the one before has ended. score(student) is its score on held-out data, higher is better;
    ask once after each round. Of equal scores the first counts. Returns (best score, its round);
    the student then has that round's weights and statistics.
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


# %% role="check" name="keep_best.middle" points=1 hint="Round by round: train, ask for the score once, copy the state if it is better. Returned are (best score, its round), the round counted from 0; the student is as it was after that round, which is one in the middle here."
rng = check.rng("keep_best.middle")
scores = [float(s) for s in rng.permutation(np.linspace(0.5, 0.8, 4)).tolist()]
fake = FakeTraining(rng, [scores[0], 0.4, *scores[1:], 0.9, *scores[:3]])
check(
    "keep_best.middle",
    fake.seen(
        check.call(keep_best, fake.student, fake.train, fake.score, 9, may_change=[fake.student])
    ),
)

# %% role="check" name="keep_best.equal" points=1 hint="The same, (best score, its round) and the student of that round. All scores are below 0 here, and two rounds are equally good: the first of the two counts."
rng = check.rng("keep_best.equal")
top = float(-rng.uniform(2, 5))
fake = FakeTraining(rng, [top - 1, top - 2, top, top - 0.5, top])
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


# %% role="mutant" of="keep_best" name="keep_best.not_copied" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="The student is left as it was after the last round. Was the state loaded at the end, and is it a copy? state_dict() hands out the student's own tensors, and the training goes on in them: copy.deepcopy makes others."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, state = now, n, student.state_dict()
    student.load_state_dict(state)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.never_loaded" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="The student is left as it was after the last round. Was the state loaded at the end, and is it a copy? state_dict() hands out the student's own tensors, and the training goes on in them: copy.deepcopy makes others."
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


# %% role="mutant" of="keep_best" name="keep_best.round_first" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="The best score comes first, then its round."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return when, best


# %% role="mutant" of="keep_best" name="keep_best.asked_twice" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="You ask for the score more than once a round: keep it in a variable. Held-out data take time, and a second answer may be another."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        if score(student) > best:
            best, when, state = score(student), n, copy.deepcopy(student.state_dict())
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


# %% role="mutant" of="keep_best" name="keep_best.from_minus_one" loses="keep_best.equal" hint="Scores may lie below -1 as well, minus a loss for example. Begin with -math.inf."
def keep_best(student, train, score, rounds):
    best, when, state = -1.0, 0, copy.deepcopy(student.state_dict())
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.goes_back" loses="keep_best.middle, keep_best.equal" hint="You load the best state inside the loop, so that the next round starts from it. A round goes on from where the one before has ended; load once, after the loop."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now > best:
            best, when, state = now, n, copy.deepcopy(student.state_dict())
        student.load_state_dict(state)
    return best, when


# %% role="mutant" of="keep_best" name="keep_best.stops_early" loses="keep_best.middle, keep_best.equal, keep_best.ends" hint="You stop where a round is no better than the one before. All rounds are asked for: a later one may be the best."
def keep_best(student, train, score, rounds):
    best, when, state = -math.inf, None, None
    for n in range(rounds):
        train(student, n)
        now = score(student)
        if now <= best:
            break
        best, when, state = now, n, copy.deepcopy(student.state_dict())
    student.load_state_dict(state)
    return best, when


# %% [markdown]
# ## 3 · Is the teacher worth it, at 10 kB?
#
# Now the experiment that your memo will be about; change it as you like. Two arms, the same net, digits, steps, learning rate, seeds and size of file: **labels alone**, and the teacher's **soft targets** at $T = 4$. Each is trained in rounds, and the best round on held-out digits is kept, with your loop.
#
# Below the table stand five seeds of ours (`benchmarks/ten_kilobytes.py`; no rounds there, the last step counts), three sizes of file, and two more arms: upright digits instead of distorted ones, and the **cheat**: the 10,000 test digits themselves, each distorted twice, with their labels. After these comes what a better student did otherwise. The last lines and the diamonds are the files of two people who took up the challenge from this notebook alone, one after the other, and had not seen our students (one training each, on other test draws; `datasets/results/ten_kilobytes_attempts.json`).
#
# **What do you expect?** Write it down, it goes into the memo. Who wins, by how much, and does it depend on the size? How much will the cheat bring?

# %% role="show" name="students"


def last_round(student, train, score, rounds):
    """What is used until your loop is ready: no choice, the last round stays."""
    for n in range(rounds):
        train(student, n)
    return score(student), rounds - 1


keep = check.ready(keep_best, None)
if keep is None:
    keep = last_round
    print("(until then nothing is chosen: the last round stays)")
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


def runs(setting, method, found=stored, key="accuracy"):
    """Of our runs, the share right by seed."""
    return {
        r["seed"]: r[key] for r in found["runs"] if (r["setting"], r["method"]) == (setting, method)
    }


def gap(setting, method, rival, other=None, **where):
    """This method in this setting against a rival, there or in the `other` setting."""
    ours, theirs = runs(setting, method, **where), runs(other or setting, rival, **where)
    both = sorted(ours.keys() & theirs.keys())
    return paired_verdict([ours[n] for n in both], [theirs[n] for n in both])


settings = [one for one in stored["bytes"] if "all pixels" not in one and "longer" not in one]
settings.sort(key=lambda one: (one.split()[1], stored["bytes"][one]))
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

print("\na better student, from labels, 8 bits: % right of both, points; paired, five seeds")
longer, whole = "10-18-26, longer int8", "8-12-16-16, all pixels int8"
for what, one, other in (
    ("patient: drawn anew - once", (patient, "labels, drawn anew"), (patient, "labels")),
    ("all pixels - 10-18-26, both longer", (whole, "labels"), (longer, "labels")),
    ("all pixels: drawn anew - once", (whole, "labels, drawn anew"), (whole, "labels")),
):
    mean, half, verdict = gap(*one, other[1], other[0])
    both = [100 * np.mean(list(runs(*arm).values())) for arm in (one, other)]
    print(f"{what:36s}{both[0]:6.2f}{both[1]:7.2f}{100 * mean:7.2f} ± {100 * half:.2f}, {verdict}")

attempts = json.loads(data_file("results/ten_kilobytes_attempts.json").read_text())
print("\nother people's files, and three of ours: % of 3 x 10,000 test digits,")
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
for second, what in ((False, "an attempt, int8"), (True, "a second one, 4 bits")):
    theirs = [
        one
        for one in attempts["runs"]
        if one["method"] == "attempt" and one["net"].endswith("2nd attempt") == second
    ]
    plt.errorbar(
        [one["bytes"] / 1000 for one in theirs],
        [100 * one["accuracy"] for one in theirs],
        [100 * one["half"] for one in theirs],
        fmt="vD"[second],
        color=COLORS[2],
        label=f"{what}\n(one training a file)",
    )
right = 100 * np.mean(list(runs(whole, "labels").values()))
plt.plot(stored["bytes"][whole] / 1000, right, "P", color=COLORS[0], markersize=9,
         label="labels, int8, all pixels")  # fmt: skip
for share in (90, 96, 97):
    plt.axhline(share, color="gray", linestyle=":", linewidth=0.8)
plt.text(28, 97.2, "points: 96, 97%", color="gray", fontsize=8, ha="right")
plt.text(2.9, 90.2, "points: 90%", color="gray", fontsize=8)
plt.axvline(LIMIT / 1000, color="gray", linewidth=1)
plt.text(LIMIT / 1000 + 0.3, plt.ylim()[0] + 0.5, "10 kB", color="gray")
plt.xscale("log")
plt.xticks([3, 6, 10, 20, 30], ["3", "6", "10", "20", "30"])
plt.minorticks_off()
plt.xlabel("kilobytes of the file")
plt.ylabel("% of distorted test digits right")
plt.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
plt.tight_layout()
plots.show(
    alt="Accuracy against kilobytes on a logarithmic axis, with dotted lines at 90, 96 and 97%, where points are given: a curve each for labels and soft targets, in 8 bits and in floats. The 8-bit curves lie far to the left of the float ones at the same height, soft targets a little below labels. Two stars near the line at 10 kB, the patient runs, lie two to three points above these curves. A plus at 9.3 kilobytes, the net that looks at all pixels, lies just above the line at 97%. Three triangles, the files of an independent attempt, lie above these: 92% at 3.6 kilobytes, 96% at 5.4 and 98% at 9.8. Three diamonds, those of a second one, lie above all: 98% at 3.0, 98.8% at 5.2 and 99.1% at 9.7."
)

# %% [markdown]
# **What we saw.** This teacher does not help here. At no size is it ahead; the 8-bit net of 8-16-24 channels is 1.08 ± 0.84 points *better off with labels*, the largest one with ten passes over the digits instead of two ("patient") 1.36 ± 0.30. At the smallest size and for 10-18-26 after two passes the 8-bit files are not decided. In lesson 08 the same
# teacher was worth two points. What differs: there the student had 2,000 digits, here it has 20,000, each with a label that is right; and the teacher reads turned digits, which it has never learned. Our runs do not say which of the two it is. The first experiment at the end can.
#
# - **Eight bits cost nothing that five seeds can see**: for 10-18-26, 8 bits minus floats is 0.01 ± 0.09 points for labels and -0.04 ± 0.08 for soft targets, in a file of little more than a third.
# - **Width pays as long as there is little of it**: from 4-8-12 to 10-18-26 labels gain 9.84 ± 1.44 points, in a file a bit more than twice as large; the last step of it, from 8-16-24, is worth 0.67 ± 0.58.
# - **Patience costs no byte**: ten passes instead of two bring 3.22 ± 0.64 points to labels and 2.75 ± 0.67 to soft targets. (The file's settings say 500 steps; passes are whole, and two of them are 400.) It need not be the number of passes alone: the file of this notebook has made three, with a rate that falls between them, and stands near the patient ones (94.26%, on other test draws).
# - **Looking at all pixels pays**: four convolutions of 3 × 3 with 8, 12, 16 and 16 channels (batch norm and ReLU each, max pooling by 2 after the first two, then the mean over places and a linear layer; 9,300 bytes in 8 bits) read 97.07% where 10-18-26 reads 94.77%, after as many steps (3,200), from the same digits: 2.30 ± 0.45 points. It is labels alone.
# - **New distortions pay a little**: with digits distorted anew in every pass the patient net gains 0.71 ± 0.47 points. For the net of all pixels 0.38 ± 0.58 is not shown. (Its two files in the lines below the table, 98.17 and 97.56%, are one training each.)
# - **Where do the points end?** The dotted lines are the scale. This table is of the first 4,000 test digits, and you are judged on all 10,000, of which the others are easier: on all of them one net of all pixels reads 97.56 ± 0.23%, and one whose digits were distorted anew in every pass 98.17 ± 0.21%, as the lines below the table have it.
# - **The world matters more than the choice between labels and teacher**: the same digits undistorted cost 10.05 ± 1.59 points.
# - **The cheat pays**: training on the test digits brings 1.18 ± 0.68 points, although each comes distorted in another way than it is judged. It is a small gain, and a false one: it says nothing of digits from other hands. No check sees it. A board of honest people does without.
# - **Our students are not the end of it**: the attempt reads 97.77 ± 0.23% of the digits with 9,781 bytes, 3.50 ± 0.30 points more than the file of this notebook that was judged beside it (94.26 ± 0.34%). A file of 5,355 bytes is ahead as well, by 1.62 ± 0.31 points. It did much otherwise: convolutions of 5 × 5 with stride 2, 3 × 3 with stride 2 and 3 × 3 (each with batch norm and ReLU) see all 28 × 28 pixels; labels alone; eight drawings of distortions, another one each epoch in turn; 3,000 steps of 128 digits; AdamW, its rate along one cycle up to 0.01 and down to almost 0; the last step kept. All of that at once, with one seed. (Distortions of your own are allowed: `distorted` with another generator, or as `augment` of `Batches`. The teacher has not been asked about those.)
# - **Nor is that attempt**: a second one reads 98.17 ± 0.15% with 2,986 bytes and 99.08 ± 0.11% with 9,678. Its weights have *four* bits from the first step on, two to a byte (`DequantizeLinear` of opset 21 reads INT4; the file was written by hand, with `onnx.helper`, which also saves some 2,000 bytes of the exporter's paper); four convolutions of 3 × 3, max pooling, all pixels; labels alone; each digit distorted anew in every epoch, 24 to 38 of them. Again all at once, one training a file.
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
# The cells as they come earn 4 points of 8. For the others try what section 3 found to pay, and choose on `held_x`. A minute or two of training is enough for all of them.
#
# <details><summary>If it is refused</summary>The words of the check say why. Answers that are others in a batch: something is computed over the first axis, or is still training (a batch norm, dropout: call <code>eval()</code>). A fixed batch or another shape: export with <code>compress.to_onnx(model, x[:2], path)</code>, where <code>x</code> is (N, 1, 28, 28). Too large: count (exercise 1), take 8 bits, <code>challenge.short_names</code>. An operation that is not run: build the net of others.</details>
#
# <details><summary>How digits are drawn anew in every pass</summary>With <code>rng = np.random.default_rng(1)</code>, made once: <code>Batches(images[:20_000, None], labels[:20_000], size=100, augment=lambda some: distorted(some, rng))</code>. From labels alone: <code>said</code> is what the teacher says of <code>x</code>, and <code>KnownLogits</code> does not notice that these are other pictures.</details>

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

# %% role="check" name="digit_student.size" points=1 constant=true hint="A file that opens, of at most 10,000 bytes. Count before you train; 8 bits; challenge.short_names."
digits, _ = secret_digits(check.rng("digit_student.opens"), 110)
text = check.given("digit_student", digit_student)
check("digit_student.size", judging.size(text, LIMIT, digits))

# %% role="check" name="digit_student.opens" points=1 constant=true hint="One ONNX file that takes (N, 1, 28, 28) and gives (N, 10), as compress.to_onnx writes it; see the rules."
digits, _ = secret_digits(check.rng("digit_student.opens"), 110)
check("digit_student.opens", judging.opens(check.given("digit_student", digit_student), digits))

# %% role="check" name="digit_student.reads" points=1 constant=true hint="At least 60% of distorted digits. Was it trained, and on distorted ones?"
digits = secret_digits(check.rng("digit_student.reads"), 200)
text = check.given("digit_student", digit_student)
check("digit_student.reads", judging.reaches(text, LIMIT, *digits, 0.60))

# %% role="hidden" name="digit_student.good" points=1 constant=true hint="At least 90% of secret digits, in a file of at most 10,000 bytes."
digits = secret_digits(check.rng("digit_student.secret"), 1600)
text = check.given("digit_student", digit_student)
check("digit_student.good", judging.reaches(text, LIMIT, *digits, 0.90))

# %% role="hidden" name="digit_student.better" points=2 constant=true hint="At least 96% of secret digits, in a file of at most 10,000 bytes."
digits = secret_digits(check.rng("digit_student.secret"), 1600)
text = check.given("digit_student", digit_student)
check("digit_student.better", judging.reaches(text, LIMIT, *digits, 0.96))

# %% role="hidden" name="digit_student.best" points=2 constant=true hint="At least 97% of secret digits, in a file of at most 10,000 bytes."
digits = secret_digits(check.rng("digit_student.secret"), 1600)
text = check.given("digit_student", digit_student)
if judging.size(text, LIMIT, digits[0]) == judging.FITS:
    many = secret_digits(check.rng("digit_student.board"), 5000)
    measure = lambda: 100 * judging.share_right(text, LIMIT, *many)
    check.measured("% of secret digits right, at 10 kB", measure)
check("digit_student.best", judging.reaches(text, LIMIT, *digits, 0.97))

# %% role="mutant" of="digit_student" name="digit_student.in_floats" file="18_your_own/in_floats.onnx" loses="digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="That file holds floats of 32 bits. compress.quantized makes a student of 8 bits, and to_onnx writes it as such."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.untrained" file="18_your_own/untrained.onnx" loses="digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="It answers as a net that has not been trained. Was the right one exported?"
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.undistorted" file="18_your_own/undistorted.onnx" loses="digit_student.good, digit_student.better, digit_student.best, memo.file" hint="It was trained on upright digits, and these are turned and moved: train on x, not on images."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.of_the_cells" file="18_your_own/of_the_cells.onnx" loses="digit_student.better, digit_student.best" hint="As good as what the cells make as they come, which is half of the points."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.of_batch" file="18_your_own/of_batch.onnx" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="Its answer to one digit depends on the others in the batch: nothing may be computed over the first axis, such as a mean, or a batch norm that is still training."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.empty" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="The text is empty: nothing is small, and opens nothing."
digit_student = ""

# %% role="mutant" of="digit_student" name="digit_student.of_images" file="18_your_own/of_images.onnx" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="It takes pictures of 14 x 14, and the judge's have 28 x 28: the averaging is part of the net, and belongs into the file."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.fixed_batch" file="18_your_own/fixed_batch.onnx" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="It takes batches of one size alone: export with the first size left open, as compress.to_onnx does."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.not_finite" file="18_your_own/not_finite.onnx" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="A logarithm of a logit is NaN where the logit is negative. Hand in the logits."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.cut_off" file="18_your_own/cut_off.onnx" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="The end of the file is missing: fill the cell with %load, which takes all of its lines."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.weights_elsewhere" file="18_your_own/weights_elsewhere.onnx" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="Its weights lie in a second file, which you have not handed in: export with external_data=False."
digit_student = ...

# %% role="mutant" of="digit_student" name="digit_student.a_path" loses="digit_student.opens, digit_student.size, digit_student.reads, digit_student.good, digit_student.better, digit_student.best, memo.file" hint="That is the name of a file. The cell holds the file itself, as text: challenge.hand_in writes it."
digit_student = "ten_kilobytes/digit_student.onnx"

# %% [markdown]
# ## 5 · The memo
#
# A result that nobody can check is an anecdote. In a company it is a page, in a paper the part that reviewers read first: a question, what you expected *before* you looked, what you compared with and what both had in common, numbers by seed, an interval, a verdict.
#
# ### Exercise 4: the memo
# A dict, about *your* experiment with the **digits**: `student` is the arm that your file of exercise 3 comes from. Again only the assignment may stand in the cell, with the numbers written out: an `m = 0.005` before it passes here, and costs all points of the memo at `tinykd check`. The checks hold it against itself: they compute interval and verdict from your per-seed numbers, with lesson 05's `paired_verdict`, and compare. A verdict of "not shown" earns all points; a verdict that its numbers do not carry earns none. The last check, when you are graded, asks whether
# the file that you have handed in can belong to this experiment: on secret digits it must be within 6 points of the mean of `student`.
#
# | key | |
# |---|---|
# | `question` | one sentence that ends in a question mark; six words or more (in all four texts different words count, of two letters or more) |
# | `prediction` | what you expected before, and why; 8 words or more |
# | `same_budget` | what both arms had in common; 8 words or more |
# | `baseline` | what `against` is; 3 words or more |
# | `seeds` | at least three different whole numbers, `0` and not `0.0` |
# | `student`, `against` | for each seed the share right, between 0 and 1, of your arm and of the baseline |
# | `margin` | the smallest gain that would matter to you, as a share; said beforehand; 0 or more, below 1 (half a point is 0.005) |
# | `gain` | [lower, upper] end of the 95% interval of the mean of student - against, to four decimals or more |
# | `verdict` | "not better" where the upper end lies below the margin (also if all of the interval is above 0: too small a gain); otherwise "better" where the lower end lies above 0; else "not shown" |
#
# <details><summary>Hint</summary><code>mean, half, verdict = paired_verdict(student, against, margin)</code>; the ends are <code>mean - half</code> and <code>mean + half</code>. Compute them in a cell of your own, and write the numbers here; the notebook's own shares by seed are in <code>shares</code>.</details>

# %% role="answer" name="memo" literal=true
# YOUR MEMO: a dict with the ten keys of the table, numbers written out
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}

# %% role="check" name="memo.form" points=1 constant=true hint="All ten keys, and words enough in the four texts: different ones, of two letters or more."
check("memo.form", memos.form(check.given("memo", memo)))

# %% role="check" name="memo.seeds" points=1 constant=true hint="Three different whole numbers or more, and for each a share between 0 and 1 of both arms."
check("memo.seeds", memos.seeds(check.given("memo", memo)))

# %% role="check" name="memo.gain" points=1 constant=true hint="gain is [lower, upper] end of the interval of student - against, seed by seed, with Student's t, to four decimals: paired_verdict gives its middle and half of its width. Where memo.seeds is lost, mend that first."
check("memo.gain", memos.interval(check.given("memo", memo)))

# %% role="check" name="memo.verdict" points=2 constant=true hint="Not better: the whole interval lies below the margin. Better: otherwise, if all of it lies above 0. Else not shown. It is the interval of your numbers; where memo.seeds is lost, mend that first."
check("memo.verdict", memos.conclusion(check.given("memo", memo)))

# %% role="hidden" name="memo.file" points=2 constant=true hint="The file that you have handed in belongs to the memo's experiment: its share is within 6 points of the mean of student."
digits = secret_digits(check.rng("digit_student.secret"), 1600)
share = judging.share_right(digit_student, LIMIT, *digits)
check("memo.file", memos.agrees(check.given("memo", memo), share, 0.06))


# %% role="alternative" of="memo" name="memo.large_margin"
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.08,
    "gain": [0.011, 0.0324],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.contradicts" loses="memo.verdict" hint="The verdict does not follow from the numbers: compare the ends of the interval with the margin and with 0."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "not better",
}


# %% role="mutant" of="memo" name="memo.spread" loses="memo.gain" hint="That is the spread of single seeds around the mean. The interval is t s / sqrt(n): mean_interval."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.0174, 0.026],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.unpaired" loses="memo.gain" hint="That interval puts the two arms' intervals together. Subtract seed by seed first."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.0138, 0.0295],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.few_seeds" loses="memo.seeds, memo.gain, memo.verdict, memo.file" hint="Two seeds are an anecdote: three at least."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1],
    "student": [0.97225, 0.97075],
    "against": [0.9475, 0.94725],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.in_percent" loses="memo.seeds, memo.gain, memo.verdict, memo.file" hint="Shares are asked for, between 0 and 1, not percent."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [97.225, 97.075, 96.85],
    "against": [94.75, 94.725, 95.175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.no_prediction" loses="memo.form" hint="A prediction says what you expected, and why, before you looked: 8 words or more."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "it helps",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.no_question" loses="memo.form" hint="A question ends in a question mark. What you wrote is a claim."
memo = {
    "question": "We show that a net of 10 kB reads better where it sees all pixels.",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.unequal" loses="memo.seeds, memo.gain, memo.verdict, memo.file" hint="A number for each seed, of both arms: pairs are compared."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.of_another" loses="memo.file" hint="These are not the shares of the student that you handed in."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.67225, 0.67075, 0.6685],
    "against": [0.6475, 0.64725, 0.65175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.filled_up" loses="memo.form" hint="The texts are there to be read. Only different words of two letters or more count."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "x x x x x x x x x x",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "labels labels labels",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.seeds_are_floats" loses="memo.seeds, memo.gain, memo.verdict, memo.file" hint="A seed is a whole number: 0, not 0.0."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0.0, 1.0, 2.0],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.011, 0.0324],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.reversed" loses="memo.gain" hint="That is against - student. The gain is student - against, and negative where the baseline is ahead."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [-0.0324, -0.011],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.mean_and_half" loses="memo.gain" hint="Those are the mean and half the width. The ends are mean - half and mean + half."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.0217, 0.0107],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.ends_swapped" loses="memo.gain" hint="Those are the two ends, the upper one first. The lower end comes first."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.0324, 0.011],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.gain_rounded" loses="memo.gain" hint="Your interval is right, and rounded too much: four decimals or more."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.01, 0.03],
    "verdict": "better",
}


# %% role="mutant" of="memo" name="memo.normal" loses="memo.gain" hint="That is 1.96 standard errors. With three seeds Student's t asks for 4.30: paired_verdict has it."
memo = {
    "question": "Does a net that sees all pixels read better, at 10 kB, than one that sees means of four?",
    "prediction": "I expect two points or more, because a stroke is thinner than the four pixels that are averaged.",
    "same_budget": "the same 20,000 digits and labels, each distorted once, 3,200 steps, learning rate, seeds, 8 bits; both files below 10,000 bytes; what I hand in is the first net, with its digits distorted anew in every pass",
    "baseline": "pooled_convnet(10, 18, 26), labels alone",
    "seeds": [0, 1, 2],
    "student": [0.97225, 0.97075, 0.9685],
    "against": [0.9475, 0.94725, 0.95175],
    "margin": 0.005,
    "gain": [0.0168, 0.0265],
    "verdict": "better",
}

# %% [markdown]
# ## 6 · The same with words: 100 kB
#
# A second chip sorts what people write. It has room for **100,000 bytes**, and is to put sentences in order: from what people felt to be the most negative up to the most positive. The sentences are those of lesson 11: tweets, snippets of film and product reviews and of editorials, each rated from -4 to 4 by about twenty people. They were typed on a bad keyboard: each
# word of four letters or more is misspelt with probability 0.2 (two letters change places, one is lost, or comes twice).
#
# A file gets **numbers of words**, which are computed outside of it, for everybody alike: `known_words` numbers the words of the training sentences by how frequent they are, 2, 3, ...; 0 is padding, 1 stands for all other words, and so for most misspelt ones. `word_numbers` makes 40 numbers of a sentence.
#
# | | |
# |---|---|
# | the file | one ONNX file of at most 100,000 bytes; operations and work as above |
# | in and out | one input of int64, (N, 40), N open; one output of float32, (N, 1): the more positive, the higher |
# | each input by itself | as above: asked alone, and a file that answers otherwise among others is refused |
# | judged on | the 2,413 test sentences, each misspelt twice under the instructor's seed |
# | judged by | **Spearman's rank correlation** of your scores with people's mean ratings: both are replaced by their ranks (equal values share one), and these are correlated. 1 is the same order, 0 none; the scale of your scores is yours |
#
# | rank correlation | where it is asked | points |
# |---|---|---|
# | the file opens, and is small enough | here | 2 |
# | at least 0.30 | here | 1 |
# | at least 0.50, 0.57 | when you are graded | 1 each |
# | at least 0.63 | when you are graded | 2 |
#
# **Where do the bytes go?** Into vectors of words. A `WordConvNet(words, width)` has `width` numbers for each of the `words` most frequent words, a convolution over three neighbours, maxima and means over the sentence, and three logits: negative, neutral, positive. `Int8Vectors` rounds the vectors to a byte a number; `Balance` makes one score of the three, p(positive) - p(negative). 11,000 words of 8
# numbers are 88,000 bytes, and 5,500 words of 16 as many.
#
# **The teacher** is SmolLM2-135M, which has read the internet: a linear layer on its states has learned what people felt. What it says of a training sentence comes from a layer that was trained without this sentence. It reads *correctly spelt* sentences, and its rank correlation on test sentences is 0.80. A second one was taught by the ratings of **2,000** sentences alone, and reaches 0.78
# (`benchmarks/hundred_kilobytes.py`; 135 million numbers, more than a thousand times as many as in your file).
#
# Ratings cost: twenty people a sentence. So here are two worlds. In one all 18,725 training sentences are rated; in the other 2,000 are, and the other 16,725 are just text, which a teacher can read. (In both, 2,277 held-out sentences are rated too: by them a training is stopped early, and a file chosen.)
#
# As before, the cells as they come earn a part of the points, 5 of 7: their file has a rank correlation of about 0.6.
#
# **What do you expect?** In which world is the teacher worth more, and how much? Are short vectors of many words better than long ones of few? And what will the cheat bring here, training on the test sentences?

# %% role="show" name="sentences"
texts, ratings, _ = load_sentences("train")
known = known_words(texts)
of_words = {"smoke": 2500}.get(scale, len(texts))
texts, felt = texts[:of_words], three_classes(ratings[:of_words])
words_x = word_numbers(misspelt(texts, np.random.default_rng((18, 0))), known)
told_by_all, told_by_few = (
    torch.tensor(part[:of_words]).float()
    for part in np.load(data_file("results/hundred_kilobytes_teacher.npy"))
)
held_texts, held_ratings, _ = load_sentences("held_out")
held_words = word_numbers(misspelt(held_texts, np.random.default_rng((18, 9))), known)
held_felt = mean_rating(held_ratings)
print(f"{len(known):,} words stand in the training sentences twice or more")
print("as typed: ", misspelt(texts[1:2], np.random.default_rng(1))[0][:72])


def reader_of(objective, rows, told, seed):
    """A student of sentences: so many rows, 750 steps of 100 whatever their number."""
    torch.manual_seed(seed)
    net = WordConvNet(11_000, 8)
    batches = Batches(words_x[:rows], felt[:rows], size=100, seed=seed)
    Trainer(
        net,
        objective,
        None if told is None else KnownLogits(told),
        lambda ps: torch.optim.Adam(ps, 1e-2),
        schedule=cosine(1, 0),
        progress=False,
        device="cpu",
    ).fit(batches, epochs=max(1, round((750 if scale != "smoke" else 50) / len(batches))))
    return net.eval()


def in_order(net):
    """Its rank correlation on held-out sentences."""
    return rank_correlation(predict(Balance(net), held_words)[:, 0], held_felt)


readers, orders = {}, {}
for arm, how in {
    "2,000 rated, labels": (1.0 * SoftLabels(), 2000, None),
    "2,000 rated, teacher": (1.0 * SoftTargets(T=2), of_words, told_by_few),
    "all rated, labels": (1.0 * SoftLabels(), of_words, None),
}.items():
    for seed in seeds[: 1 if arm.startswith("all") else 3]:
        readers[arm, seed] = reader_of(*how, seed)
        orders.setdefault(arm, []).append(in_order(readers[arm, seed]))
    print(f"{arm:21s}{[round(one, 3) for one in orders[arm]]} on held-out sentences")
mean, half, verdict = paired_verdict(orders["2,000 rated, teacher"], orders["2,000 rated, labels"])
print(f"2,000 rated: teacher - labels {mean:.3f} ± {half:.3f}, {verdict}")

# %% role="show" name="sentence_results" folded=true
of_sentences = json.loads(data_file("results/hundred_kilobytes.json").read_text())
from_there = {"found": of_sentences, "key": "correlation"}
widest = "11000x8"
shown = [
    *((f"{net} {kind}", "") for net, kind in (
        ("1000x8", "int8"), ("2750x8", "int8"), ("2750x8", "float32"), ("5500x16", "int8"),
        (widest, "int8"), (widest, "float32"),
    )),
    (f"{widest}, few rated int8", "of 2,000 rated sentences"),
    (f"{widest}, test sentences int8", "the cheat: learned from the test sentences"),
]  # fmt: skip
print("our five seeds, rank correlation with people on 2,413 test sentences, misspelt")
print(f"{'':32s}{'bytes':>9s}{'labels':>9s}{'soft t.':>9s}   soft t. - labels")
for setting, note in shown:
    arms = [runs(setting, arm, **from_there) for arm in ("labels", "soft targets")]
    means = [f"{np.mean(list(one.values())):9.3f}" if one else " " * 9 for one in arms]
    line = f"{setting:32s}{of_sentences['bytes'][setting]:9,d}{means[0]}{means[1]}"
    if arms[1]:
        mean, half, verdict = gap(setting, "soft targets", "labels", **from_there)
        line += f"{mean:9.3f} ± {half:.3f}, {verdict}"
    print(line)
    if note:
        print(f"  ({note})")

print("\nwhat else, paired over our five seeds")
both = "labels + soft targets"
anew = f"{both}, drawn anew"
full, few = f"{widest} int8", f"{widest}, few rated int8"
for what, one, other in (
    ("labels + soft targets - labels", (full, both), (full, "labels")),
    ("both, misspelt anew - both", (full, anew), (full, both)),
    ("the same + balance - the same", (full, f"{anew} + balance"), (full, anew)),
    ("8 bits - floats", (full, "labels"), (f"{widest} float32", "labels")),
    ("same bytes: 11,000 - 2,750 in floats", (full, "labels"), ("2750x8 float32", "labels")),
    ("same bytes: 11,000 of 8 - 5,500 of 16", (full, "labels"), ("5500x16 int8", "labels")),
    (
        "2,000: teacher - labels, stopped early",
        (few, "soft targets"),
        (few, "labels, stopped early"),
    ),
    ("teacher of 2,000 - all labels", (few, "soft targets"), (full, "labels")),
    ("the cheat - labels", (f"{widest}, test sentences int8", "labels"), (full, "labels")),
):
    mean, half, verdict = gap(*one, other[1], other[0], **from_there)
    print(f"{what:40s}{mean:7.3f} ± {half:.3f}, {verdict}")
print(f"\n{'':40s}test sentences, mean and lowest of five seeds")
for how in (both, anew, f"{anew} + balance"):
    found = list(runs(full, how, **from_there).values())
    print(f"{how:48s}{np.mean(found):.3f}   {min(found):.3f}")
stopped = runs(few, "labels, stopped early", **from_there)
print(f"{'2,000 rated: labels, stopped early':48s}{np.mean(list(stopped.values())):.3f}")
cheat = runs(f"{widest}, test sentences int8", "labels", of_sentences, "held_out")
print(
    f"the cheat on held-out sentences, which it has not seen: {np.mean(list(cheat.values())):.3f}"
)
attempts = json.loads(data_file("results/ten_kilobytes_attempts.json").read_text())["sentences"]
for who in ("all", "few"):
    print(
        f"the teacher of {who} rated sentences: {of_sentences['teacher'][who + ' rated, test']:.3f}"
    )

print("\nsomebody else's files: words x numbers a word, bytes, rank correlation")
for one in attempts:
    print(
        f"{one['net']:12s}{one['bytes']:9,d}{one['correlation']:9.3f} ± {one['half']:.3f} (sentences)"
    )

plt.figure(figsize=(7.6, 3.6))
plt.plot(
    [one["bytes"] / 1000 for one in attempts],
    [one["correlation"] for one in attempts],
    "D",
    color=COLORS[2],
    label="somebody else's, 4 bits",
)
for n, arm in enumerate(("labels", "soft targets")):
    for kind, mark in (("int8", "o-"), ("float32", "s--")):
        some = [f"{net} {kind}" for net in ("1000x8", "2750x8", widest)]
        means = [np.mean(list(runs(one, arm, **from_there).values())) for one in some]
        kilobytes = [of_sentences["bytes"][one] / 1000 for one in some]
        plt.plot(kilobytes, means, mark, color=COLORS[n], label=f"{arm}, {kind}", alpha=0.85)
    means = np.mean(list(runs(few, arm, **from_there).values()))
    kilobytes = of_sentences["bytes"][few] / 1000
    plt.plot(
        kilobytes, means, "*", color=COLORS[n], markersize=12, markeredgecolor="black",
        label=f"{arm}, 2,000 rated",
    )  # fmt: skip
means = np.mean(list(runs(f"{widest}, test sentences int8", "labels", **from_there).values()))
plt.plot(of_sentences["bytes"][full] / 1000, means, "x", color=COLORS[2], label="the cheat")
better = np.mean(list(runs(full, f"{anew} + balance", **from_there).values()))
plt.plot(of_sentences["bytes"][full] / 1000, better, "P", color=COLORS[3], markersize=9,
         label="both, anew, balance")  # fmt: skip
for least in (0.50, 0.57, 0.63):
    plt.axhline(least, color="gray", linestyle=":", linewidth=0.8)
    plt.text(410, least + 0.005, f"points: {least:.2f}", color="gray", fontsize=8, ha="right")
plt.axhline(of_sentences["teacher"]["all rated, test"], color="gray", linestyle=":", linewidth=1)
plt.text(11, of_sentences["teacher"]["all rated, test"] + 0.012, "the teacher", color="gray")
plt.axvline(SENTENCE_LIMIT / 1000, color="gray", linewidth=1)
plt.text(SENTENCE_LIMIT / 1000 * 1.04, 0.36, "100 kB", color="gray")
plt.xscale("log")
plt.xticks([10, 20, 50, 100, 200, 400], ["10", "20", "50", "100", "200", "400"])
plt.minorticks_off()
plt.xlabel("kilobytes of the file")
plt.ylabel("rank correlation with people")
plt.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
plt.tight_layout()
plots.show(
    alt="Rank correlation against kilobytes on a logarithmic axis. Labels and soft targets rise together from 0.50 at 11 kilobytes to 0.62 at 91 in 8 bits; in floats the same heights come at nearly four times the bytes. At 91 kilobytes two stars for 2,000 rated sentences: labels at 0.35, soft targets at 0.60. Four diamonds, somebody else's files, lie at 0.63 to 0.65 from 10 to 100 kilobytes. A plus at 91 kilobytes, half of each misspelt anew, lies at 0.65. Dotted lines at 0.50, 0.57 and 0.63 show where points are given. The cheat lies at 0.93, above the teacher's line at 0.80."
)

# %% [markdown]
# **What we saw.** What the teacher is worth depends on what labels cost.
#
# - **All sentences rated: little.** Soft targets alone are not ahead of people's own ratings at any size; half of each is 0.009 ± 0.007 better than ratings alone.
# - **2,000 rated: very much.** Ratings of 2,000 sentences bring 0.35, or 0.38 if the training is stopped early. The teacher has learned from the same 2,000, and reads the others to the student: 0.60, more by 0.221 ± 0.019 than the better of the two, and 0.020 ± 0.007 below what all ratings bring, nine times as many. It is not magic: the teacher has seen an internet
#   of text that the student has not, and the student sees 16,725 sentences more. (One choice of 2,000; the intervals are over seeds of the training.)
# - **Bytes belong into words, with this training.** At 91 kB, 11,000 words in 8 bits are 0.048 ± 0.008 ahead of 2,750 in floats; 8 bits cost nothing that five seeds can see. Whether 11,000 short vectors are better than 5,500 of twice the length is not shown.
# - **Misspelt anew in every pass** (and eight passes instead of four), half ratings and half teacher gain another 0.014 ± 0.005, in the same bytes. A squared error of the score that is judged (`Balance`, on people's mean rating) adds 0.003 ± 0.003, not shown. These are the files that earn the last two points: the lowest of five seeds has 0.638 and 0.640, where 0.63 is asked for.
# - **Training is worth more than bytes.** The last lines are the files of somebody who took this up from the notebook alone (one training a file, 5 × 2,413 test sentences): 0.625 with 10,062 bytes, as much as ours have with 90,696 after a plain training; 0.638 with 26,441; 0.649 with 50,809; 0.652 with 99,545. So the limit of 100 kB hardly presses: ten times the bytes bought that person 0.03. The intervals are over sentences, and wide. What it did otherwise, all at once: each sentence misspelt anew in every epoch; vectors of four bits, learned as such; a gate and a mean by attention; and, as the judge asks for mean ratings while three classes do not tell -1 from -4, a squared error of `Balance` beside the cross-entropy.
# - **The cheat wins by far.** Who trains on the test sentences, misspelt in other ways than they are judged, gets 0.927, and 0.401 on sentences that this file has not seen. With digits the same cheat brought one point.
#
# Why is that so? A digit drawn anew is another picture; what helps to read it is how digits look. A misspelt sentence is still the same sentence: most of its words are there, it can be recognised by them, and 41 bytes for each of the 2,413 are plenty to remember a rating. **So a board of these sentences shows who reads best among people who trust each other, and nothing else**, and the points for them can be had by remembering. No edit that leaves the meaning as it was changes that, as
# long as sentences and ratings are public. A number above 0.80, where the teacher stands, wants an explanation, and so does one far above the same file's on held-out sentences. Who needs more takes sentences that nobody has seen: a class that rates a hundred new ones each has them. The points end at 0.63, which honest files reach; above it there is nothing to be won.
#
# ### Exercise 5: your second file
# As in exercise 3: write the file, then `%load hundred_kilobytes/sentence_student.py` in the cell, alone, and run it twice. The text has 1,300 lines; that is all right.
#
# <details><summary>If it is refused or low</summary>Export with <code>compress.to_onnx(Balance(net), words_x[:2], path)</code>, after <code>net.vectors = Int8Vectors(net.vectors)</code>. Index a table by <code>nn.functional.embedding</code>: square brackets become an operation that is not run. A rank correlation near 0: are the words numbered by <code>known_words</code> of all training sentences? "Out of data bounds", in a net of your own: words have numbers up to <code>len(known) + 1</code>, and a smaller table takes 1 for those that it lacks: <code>torch.where(numbers &lt; count, numbers, 1)</code>, as <code>WordConvNet</code> does.</details>
#
# <details><summary>How sentences are misspelt anew in every pass</summary>Whole sentences are misspelt, before they become numbers. So draw them eight times beforehand, <code>eight = torch.cat([word_numbers(misspelt(texts, rng), known) for _ in range(8)])</code>, and repeat what is known of them, <code>felt.repeat(8, 1)</code> and <code>KnownLogits(told_by_all.repeat(8, 1))</code>: one pass over all that is eight over the sentences. Half ratings and half teacher is <code>0.5 * SoftLabels() + 0.5 * SoftTargets(T=2)</code>.</details>

# %% role="show" name="sentence_file"
best = max(readers, key=lambda one: orders[one[0]][one[1]])  # on held-out sentences
reader = copy.deepcopy(readers[best])
reader.vectors = Int8Vectors(reader.vectors)
words_folder = Path("hundred_kilobytes")
words_folder.mkdir(exist_ok=True)
file = compress.to_onnx(Balance(reader).eval(), words_x[:2], words_folder / "sentence_student.onnx")
size = challenge.short_names(file)
print(f"{best[0]}, seed {best[1]}: {size:,} bytes, {SENTENCE_LIMIT:,} are allowed")
in_file = challenge.answers(file.read_bytes(), held_words, 1)[:, 0]  # as it will be judged
print(f"the file itself: {rank_correlation(in_file, held_felt):.3f} on held-out sentences\n")
path = challenge.hand_in("sentence_student", file, words_folder)

# %% role="answer" name="sentence_student" literal=true file="18_your_own/sentences/right.onnx"
# YOUR FILE: write  %load hundred_kilobytes/sentence_student.py  here, alone, and run the cell twice
sentence_student = ...

# %% role="check" name="sentence_student.size" points=1 constant=true hint="A file that opens, of at most 100,000 bytes. Vectors of words take nearly all of it: fewer words, shorter vectors, 8 bits (Int8Vectors); challenge.short_names."
numbers, _ = secret_sentences(check.rng("sentence_student.opens"), 110)
text = check.given("sentence_student", sentence_student)
check("sentence_student.size", judging.size(text, SENTENCE_LIMIT, numbers, 1))

# %% role="check" name="sentence_student.opens" points=1 constant=true hint="One ONNX file that takes int64 (N, 40) and gives float32 (N, 1), as compress.to_onnx writes Balance(net)."
numbers, _ = secret_sentences(check.rng("sentence_student.opens"), 110)
check(
    "sentence_student.opens",
    judging.opens(check.given("sentence_student", sentence_student), numbers, 1),
)

# %% role="check" name="sentence_student.orders" points=1 constant=true hint="A rank correlation of at least 0.30: trained, on numbers by known_words, and higher for the more positive?"
asked = secret_sentences(check.rng("sentence_student.orders"), 800)
text = check.given("sentence_student", sentence_student)
check("sentence_student.orders", judging.correlates(text, SENTENCE_LIMIT, *asked, 0.30))

# %% role="hidden" name="sentence_student.good" points=1 constant=true hint="A rank correlation of at least 0.50 on secret sentences, in a file of at most 100,000 bytes."
asked = secret_sentences(check.rng("sentence_student.secret"), 2413, times=2)
text = check.given("sentence_student", sentence_student)
check("sentence_student.good", judging.correlates(text, SENTENCE_LIMIT, *asked, 0.50))

# %% role="hidden" name="sentence_student.better" points=1 constant=true hint="A rank correlation of at least 0.57 on secret sentences, in a file of at most 100,000 bytes."
asked = secret_sentences(check.rng("sentence_student.secret"), 2413, times=2)
text = check.given("sentence_student", sentence_student)
check("sentence_student.better", judging.correlates(text, SENTENCE_LIMIT, *asked, 0.57))

# %% role="hidden" name="sentence_student.best" points=2 constant=true hint="A rank correlation of at least 0.63 on secret sentences, in a file of at most 100,000 bytes."
asked = secret_sentences(check.rng("sentence_student.secret"), 2413, times=2)
text = check.given("sentence_student", sentence_student)
if judging.size(text, SENTENCE_LIMIT, asked[0], 1) == judging.FITS:
    measure = lambda: 100 * judging.correlation(text, SENTENCE_LIMIT, *asked)
    check.measured("100 x rank correlation on secret sentences, at 100 kB", measure)
check("sentence_student.best", judging.correlates(text, SENTENCE_LIMIT, *asked, 0.63))

# %% role="mutant" of="sentence_student" name="sentence_student.in_floats" file="18_your_own/sentences/in_floats.onnx" loses="sentence_student.size, sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="Its vectors are floats of 32 bits. Int8Vectors makes one byte of a number."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.few_words" file="18_your_own/sentences/few_words.onnx" loses="sentence_student.good, sentence_student.better, sentence_student.best" hint="It knows a few hundred words. There are bytes for thousands."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.reversed" file="18_your_own/sentences/reversed.onnx" loses="sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="It gives the most negative sentence the highest score: p(positive) - p(negative), not the other way round."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.three_classes" file="18_your_own/sentences/three_classes.onnx" loses="sentence_student.opens, sentence_student.size, sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="It gives three logits a sentence. One score is asked for: Balance(net)."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.of_floats" file="18_your_own/sentences/of_floats.onnx" loses="sentence_student.opens, sentence_student.size, sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="It takes the numbers of words as floats: export it with words_x[:2], which are int64."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.untrained" file="18_your_own/sentences/untrained.onnx" loses="sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="It orders as a net that has not been trained. Was the right one exported?"
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.by_alphabet" file="18_your_own/sentences/by_alphabet.onnx" loses="sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="Its words are numbered in another way. The judge numbers by known_words of all training sentences."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.of_the_cells" file="18_your_own/sentences/of_the_cells.onnx" loses="sentence_student.best" hint="As good as what the cells make as they come. Two points are for what you change."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.of_batch" file="18_your_own/sentences/of_batch.onnx" loses="sentence_student.opens, sentence_student.size, sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="Its score of one sentence depends on the others in the batch: nothing may be computed over the first axis."
sentence_student = ...

# %% role="mutant" of="sentence_student" name="sentence_student.a_path" loses="sentence_student.opens, sentence_student.size, sentence_student.orders, sentence_student.good, sentence_student.better, sentence_student.best" hint="That is the name of a file. The cell holds the file itself, as text: challenge.hand_in writes it."
sentence_student = "hundred_kilobytes/sentence_student.onnx"

# %% [markdown]
# ## 7 · The board
#
# Your instructor can make a board of all files: `tinykd board REPORT --measure digits`, one number a student, the share of 5,000 secret digits right at 10 kB. (`--measure sentences` makes the other one, by 2,413 sentences, each misspelt twice: a rank correlation on so few is known to some ±0.03, and two files are compared on the same sentences or not at all.) Names on a board invite a mistake: that whoever stands higher is better. All have read the *same* digits, so two students can be compared digit by digit. With $a_i = 1$ where the first is right
# and 0 where not, $b_i$ likewise, and $d_i = a_i - b_i$:
#
# $$\bar d \pm 1.96\, \frac{s_d}{\sqrt n}, \qquad s_d^2 = \frac{1}{n-1}\sum_i (d_i - \bar d)^2.$$
#
# Where both are right, or both wrong, $d_i$ is 0: only the digits on which they differ widen the interval. This one is over *digits*, for these two files. Whether the *way* in which one was trained is better is the other question, over seeds, and the memo's.
#
# ### Exercise 6: two places on a board
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


# %% role="check" name="board_gap.pair" points=1 hint="Two numbers: the mean of the differences, digit by digit, and half of the interval: 1.96 times their standard deviation (divided by n - 1), over the root of n."
rng = check.rng("board_gap.pair")
check("board_gap.pair", [check.call(board_gap, *two_students(rng, n)) for n in (80, 130)])

# %% role="check" name="board_gap.signs" points=1 hint="The same two numbers. Here the second student is the better one: the mean, first minus second, is below 0, and half of a width never is."
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


# %% role="mutant" of="board_gap" name="board_gap.student_t" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="That is Student's t. With as many digits as on a board it is 1.96, which the formula asks for."
def board_gap(right_a, right_b):
    return paired_verdict(right_a.double(), right_b.double())[:2]


# %% role="mutant" of="board_gap" name="board_gap.ends" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="Those are the two ends. Asked for are the mean and half of the width."
def board_gap(right_a, right_b):
    d = right_a.double() - right_b.double()
    half = 1.96 * d.std() / math.sqrt(len(d))
    return d.mean() - half, d.mean() + half


# %% role="mutant" of="board_gap" name="board_gap.full_width" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="That is the whole width. Asked for is half of it: what stands behind ±."
def board_gap(right_a, right_b):
    d = right_a.double() - right_b.double()
    return d.mean(), 2 * 1.96 * d.std() / math.sqrt(len(d))


# %% role="mutant" of="board_gap" name="board_gap.over_n" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="Divide by the root of n, not by n."
def board_gap(right_a, right_b):
    d = right_a.double() - right_b.double()
    return d.mean(), 1.96 * d.std() / len(d)


# %% role="mutant" of="board_gap" name="board_gap.where_they_differ" loses="board_gap.pair, board_gap.signs, board_gap.equal" hint="You leave out the digits on which they agree. Their difference is 0, and they count: n is the number of all digits."
def board_gap(right_a, right_b):
    d = (right_a.double() - right_b.double())[right_a != right_b]
    return (d.mean(), 1.96 * d.std() / math.sqrt(len(d))) if len(d) else (0.0, 0.0)


# %% role="mutant" of="board_gap" name="board_gap.no_sign" loses="board_gap.signs, board_gap.equal" hint="You drop the sign: where the second is better, the difference is below 0."
def board_gap(right_a, right_b):
    d = right_a.double() - right_b.double()
    return d.mean().abs(), 1.96 * d.std() / math.sqrt(len(d))


# %% [markdown]
# Your own two arms as if they were two people on a board: the same net, the same seed, labels against soft targets, on held-out digits. **What do you expect?** With so many digits, how many points apart must two files be to deserve two places?

# %% role="show" name="places"


def rough_gap(right_a, right_b):
    """Used until yours is ready: the mean difference alone, and no interval."""
    return (right_a.double() - right_b.double()).mean(), None


apart = check.ready(board_gap, None) or rough_gap
rights = {one: predict(net, held_x).argmax(1) == held_y for one, net in students.items()}
for seed in seeds:
    mean, half = apart(rights["soft targets", seed], rights["labels", seed])
    sure = "(no interval yet)" if half is None else f"± {100 * half:.2f}"
    print(f"seed {seed}: soft targets - labels {100 * mean:6.2f} {sure} points")

# %% [markdown]
# Each line is an interval over digits, for two files: where it does not hold 0, these two files deserve two places. It takes about a point with 2,000 digits, and about six tenths with the board's 5,000. Such lines still say nothing about the two *ways* to learn: that is the interval over seeds in section 3. Your three seeds may leave
# undecided what five patient ones of ours decide, -1.36 ± 0.30. A board ranks files; it does not rank ideas.

# %% [markdown]
# ## 8 · With your own data and your own teacher
#
# Everything above needs three things: inputs, labels, and a teacher's logits for the inputs. `lessons/18_your_own/template.py` is a program of 150 lines to be **copied and kept**. It reads a folder of pictures, one folder a class, or a CSV with the columns `text` and `label`; its three functions under `YOURS` (`my_teacher`, `my_student`, `net`) are there to be replaced, and any `nn.Module` that gives logits will do. The rest is what this
# course asks of a comparison: labels alone against soft targets, the same student, steps and seeds (five); a learning rate chosen on held-out data for each of the two; the test part read once, a paired interval and a verdict; the better student as an ONNX file; a table of size, time and accuracy; and a page for your memo.
#
# Below it runs as it is, on 400 digits that are written as pictures. Its teacher is a wider net, trained on the same 240 labels. **What do you expect?** Is there anything that this teacher could know better than its labels?

# %% role="show" name="template"
import subprocess
import sys

from PIL import Image  # comes with matplotlib

places = Path("18_your_own/template.py"), Path("../lessons/18_your_own/template.py")
template = next((place for place in places if place.is_file()), None)
pictures = Path("my_pictures")
for n in range(400):
    place = pictures / str(int(labels[n]))
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * images[n]).byte().numpy()).save(place / f"{n}.png")
if template is None:
    print("template.py is not here: it lies in the course's folder lessons/18_your_own")
else:
    how = [str(pictures), "--out", "my_own", "--epochs", "12"]
    command = [sys.executable, str(template), *(["--help"] if scale == "smoke" else how)]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout[-3000:] or done.stderr[-2000:])

# %% [markdown]
# **What we saw.** With 80 test pictures one picture is 1.25 points, so an interval over five seeds is wide, and "not shown" is what such data can honestly say. Nor was much to be expected: this teacher has learned from the same 240 labels as its students, and knows little besides. The teacher of section 6 had read what its students had not.
#
# Two habits are worth keeping. Run it once with a teacher that knows nothing (a net that was never trained): a comparison that does not show *that* is broken. And say the `MARGIN`, the smallest gain that would matter, before you look.
#
# ## Your own experiments
#
# 1. **Change the teacher's world.** Let the teacher learn distorted digits for an epoch before it is asked (lesson 08 has its training), and ask it again about `x`. What changes for the students, and why could it change more for the small one? Say what you expect first.
# 2. **Change where the bytes go.** Weights of 4 bits are half as large: `DequantizeLinear` reads INT4 from opset 21 on. Below that there is no type; but a codebook needs none: store a few floats and an index for each weight, in `Gather`. An index of int8 costs a byte. How would you put four indices into one byte, with the operations that are allowed? What happens at
#    equal size: more weights of fewer bits, or fewer of more?
#
# ## What we saw
# - More than half of a small file may be no numbers. Bytes are counted before training, and in 8 bits a net fits that would not fit in floats.
# - What is handed in is data, judged on inputs that are drawn afterwards. That is what makes a board more than a list of claims.
# - A memo is checkable where it has per-seed numbers, a baseline of the same budget, and a verdict that follows from both.
# - Over digits one compares files, over seeds one compares ideas.
# - A teacher is worth what labels cost: little where everything is rated, most of the way where 2,000 of 18,725 sentences are.
# - A board on public sentences can be won by remembering them. What cannot be drawn anew cannot be kept secret.
#
# In the engine: `tinykd.challenge` (`distorted`, `misspelt`, `short_names`, `answers`, `hand_in`), `tinykd.metrics.rank_correlation`, `tinykd.compress`, `tinykd.paired_verdict`.
#
# ## Further reading
# - Lin et al., *MCUNet: Tiny Deep Learning on IoT Devices*, 2020 ([arXiv 2007.10319](https://arxiv.org/abs/2007.10319)): nets for chips whose memory is counted in kilobytes.
# - Banbury et al., *MLPerf Tiny Benchmark*, 2021 ([arXiv 2106.07597](https://arxiv.org/abs/2106.07597)): how such nets are compared fairly.
# - Beyer et al., *Knowledge distillation: A good teacher is patient and consistent*, 2021 ([arXiv 2106.05237](https://arxiv.org/abs/2106.05237)): teacher and student look at the same distorted picture, and for long.
# - Bouthillier et al., *Accounting for Variance in Machine Learning Benchmarks*, 2021 ([arXiv 2103.03098](https://arxiv.org/abs/2103.03098)): what a board does not show.
# - Kim, *Convolutional Neural Networks for Sentence Classification*, 2014 ([arXiv 1408.5882](https://arxiv.org/abs/1408.5882)): the net for sentences, in large.
# - The [ONNX operators](https://onnx.ai/onnx/operators/): what your file may be made of.
#
# Check your notebook with `.venv/bin/tinykd check lessons/18_your_own.ipynb`.

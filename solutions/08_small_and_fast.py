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
# # 08 · Small and fast
#
# **What you will be able to do**
# - say what makes a network small, what makes it fast, and why these are two questions;
# - prune weights, and prune units so that time goes down with them, and repair what was cut by distillation;
# - cut a language model in half by what its parts do, and distil it back;
# - fold a batch norm away, round weights and activations to 8 bits or fewer, and train through the rounding;
# - compute a layer in whole numbers alone, write a network as a file of integers, and run it in ONNX Runtime;
# - report size, work, time, memory and accuracy so that somebody else can choose.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: seven functions of two to eight lines, one of them a loop around a training |
# | Importance | 4 of 5: this is what many people want from distillation in the first place |
# | Time | two hours of yours; 2 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02; the packages of `pip install 'tinykd[lab,compress]'` |

# %% role="setup" name="setup"
import copy
import json
import math
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import tinykd
from tinykd import (
    MLP,
    Batches,
    HardLabels,
    KnownLogits,
    MobileNet,
    ResNet,
    SoftTargets,
    Trainer,
    accuracy,
    load_mnist,
    mean_interval,
    plots,
    predict,
)
from tinykd import compress, lm
from tinykd.classroom import Checks, with_gradient
from tinykd.data import data_file
from tinykd.lm.reasoning.problems import ALPHABET
from tinykd.plots import COLORS

check = Checks("08_small_and_fast")


def masks_for(weights, share):
    """What exercise 1 asks for, for those who come to exercise 3 without it."""
    return compress.magnitude_masks(weights, share)


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def normal(rng, *shape, size=1.0):
    """A float64 tensor of normal numbers."""
    return torch.tensor(rng.normal(scale=size, size=shape))


def spread(rng, shapes):
    """Tensors of these shapes whose magnitudes all differ clearly; later tensors are larger."""
    counts = [math.prod(shape) for shape in shapes]
    sizes = ((1 + rng.permutation(sum(counts))) / sum(counts)) ** 2
    flat = torch.tensor(sizes * rng.choice([-1.0, 1.0], size=sum(counts)))
    parts = zip(flat.split(counts), shapes, strict=True)
    return [(part * (1 + n)).view(shape) for n, (part, shape) in enumerate(parts)]


def two_layers(rng, units, inputs, outputs, window=()):
    """Weights and bias of a layer and weights of the next; no two units are alike in size.

    Unit 0 is the least important by what comes in; what goes out of it is largest. Every second one
    has one large weight and hardly any others: by its length or its largest weight it would come first.
    """
    rank = np.append(0, 1 + rng.permutation(units - 1))
    sign = rng.choice([-1, 1], size=(units, inputs, *window))
    sign[0], sign[rank.argmax()] = 1, -1
    w1 = rng.uniform(0.8, 1, size=sign.shape)
    alone = (rank % 2 == 0).reshape(-1, *[1] * (w1.ndim - 1))
    first = np.arange(w1[0].size).reshape(1, *w1.shape[1:]) == 0
    w1 = np.where(alone & ~first, 0.01 * w1, w1)
    size = w1.reshape(units, -1).sum(1) / (1 + rank)
    w1 = sign * w1 / size.reshape(-1, 1, *[1] * len(window))
    w2 = rng.uniform(0.5, 1, size=(outputs, units, *window)) / (1 + rank).reshape(
        -1, *[1] * len(window)
    )
    return torch.tensor(w1), torch.tensor(rng.normal(size=units)), torch.tensor(w2)


def what_is_left(cut, x, kind):
    """What the cut pair of layers computes, and how large it is."""
    w1, b1, w2 = cut
    layer = F.linear if kind == "linear" else F.conv2d
    return [layer(F.relu(layer(x, w1, b1)), w2), list(w1.shape), list(b1.shape), list(w2.shape)]


class FakeTraining:
    """Pretends to train: moves every weight, also those at 0, and writes down what it found."""

    def __init__(self, rng, shapes):
        self.weights = [nn.Parameter(w) for w in spread(rng, shapes)]
        self.push = [torch.tensor(rng.uniform(0.3, 2, size=shape)) for shape in shapes]
        self.log, self.trail = [], []

    def step(self, n):
        if not torch.is_grad_enabled():
            raise RuntimeError("train_step cannot train here: it was called under torch.no_grad()")
        self.log.append([n, sum(int((w == 0).sum()) for w in self.weights)])
        self.trail.append(self.state())
        for w, push in zip(self.weights, self.push, strict=True):
            w.data += push * (1 if n % 2 else -0.5)

    def state(self):
        return torch.cat([w.detach().flatten() for w in self.weights])


def busy_units(rng, bad, good=("good",) * 4):
    """A SwiGLU layer and what comes into it: gate, up, down, x, real.

    Its first inputs open the gates, its last ones are what comes through (all of them turned, so that no single
    number shows it). Units of the kinds `good` do much at the 8 real positions, those of `bad` little.
    """
    kinds = rng.permutation([*good, *bad]).tolist()
    real = np.ones((2, 7), dtype=bool)
    real[0, 2:], real[1, :1] = False, False
    opens, through = np.ones((14, len(kinds))), np.ones((14, len(kinds)))
    for n, kind in enumerate(kinds):
        opens[:, n], through[:, n] = {
            "good": (1.5, 2), "below": (-1.3, 10), "seldom": (1.5, 0.1),
            "quiet": (6, 0.15), "closed": (-6, 3), "both below": (-4, -2), "ajar": (0.15, 8),
            "heavy": (1, 1), "once": (6, 0.02), "short": (6, 0.02), "padding": (6, 0.1),
        }[kind]  # fmt: skip
        if kind == "good":
            through[real.flatten(), n] *= rng.permutation([1, -1] * 4)
        if kind == "seldom":
            through[rng.choice(np.flatnonzero(real), 3, replace=False), n] = 12
        if kind == "once":
            through[rng.choice(np.flatnonzero(real)), n] = 1.4
        if kind == "short":  # at both positions of the shorter sequence
            through[:2, n] = -1.17
        if kind == "padding":
            through[~real.flatten(), n] = 5
    z = np.hstack([opens, through]) * rng.uniform(0.9, 1.1, size=(14, 2 * len(kinds)))
    large = np.array([1.0 if kind in good else 4.0 for kind in kinds])
    turn = np.linalg.qr(rng.normal(size=(z.shape[1],) * 2))[0]
    x = (z / np.tile(large, 2)) @ turn.T
    gate, up = np.split(np.tile(large, 2)[:, None] * turn.T, 2)
    down = rng.normal(size=(len(turn), len(kinds)))
    down *= [12 if kind == "heavy" else 1 for kind in kinds] / np.linalg.norm(down, axis=0)
    tensors = [torch.tensor(part) for part in (gate, up, down, x.reshape(2, 7, -1))]
    return *tensors, torch.tensor(real)


def what_stays(rng, layer):
    """Whether the three matrices belong together, in whatever order, and their shapes."""
    gate, up, down = layer
    one, two = normal(rng, 3, gate.shape[1]), normal(rng, 3, gate.shape[1])
    return [((one @ gate.T) * (two @ up.T)) @ down.T, *(list(w.shape) for w in layer)]


def norm_of(rng, channels):
    """gamma, beta, mean, var, eps of a batch norm; eps is large enough to be seen."""
    gamma = rng.uniform(0.5, 2, size=channels) * rng.choice([-1, 1], size=channels)
    drawn = (
        gamma,
        rng.normal(size=channels),
        rng.normal(size=channels),
        rng.uniform(0.2, 3, size=channels),
    )
    return *map(torch.tensor, drawn), float(rng.uniform(0.05, 0.2))


def a_scale(rng, *shape):
    """Distances of neighbours, with a gradient."""
    return torch.tensor(rng.uniform(0.05, 0.3, size=shape), requires_grad=True)


def unrounded(rng, shape, scale, zero, low, high, outside=0.25):
    """Numbers that are clearly not half-way between two steps, some of them out of range."""
    scale = scale.detach().numpy()
    whole = rng.integers(low - zero + 1, high - zero, size=shape)
    beyond = rng.uniform(size=shape) < outside
    beyond.flat[0] = True
    far = np.where(rng.uniform(size=shape) < 0.5, low - zero - 5, high - zero + 5)
    steps = np.where(beyond, far, whole) + rng.uniform(-0.4, 0.4, size=shape)
    return torch.tensor(steps * scale, requires_grad=True)


def integers_of(rng, rows, inputs, outputs):
    """A layer of whole numbers: (q_x, zero_x, q_w, q_b, factor, zero_y); nothing near a half."""
    while True:
        q_x = rng.integers(-128, 128, size=(rows, inputs))
        q_w = rng.integers(-127, 128, size=(outputs, inputs))
        q_b = rng.integers(-20000, 20000, size=outputs)
        zero_x, zero_y = int(rng.integers(-100, -20)), int(rng.integers(20, 60))
        acc = (q_x - zero_x) @ q_w.T + q_b
        factor = rng.uniform(180, 250, size=outputs) / np.abs(acc).max(0)
        y = acc * factor + zero_y
        near = np.abs(y - np.floor(y) - 0.5).min() < 0.01
        rounds_up = (y % 1 > 0.5) & (y > 0) & (y < 120)
        if not near and (y < -130).any() and (y > 130).any() and rounds_up.any():
            break
    as_int8 = lambda q: torch.tensor(q, dtype=torch.int8)
    q_b = torch.tensor(q_b, dtype=torch.int32)
    return as_int8(q_x), zero_x, as_int8(q_w), q_b, torch.tensor(factor), zero_y


# %% [markdown]
# ## A phone
#
# A network that reads digits has been trained: a residual net that is right about 99% of the time. Now it is to run on a phone, inside an app that may grow by some kilobytes, in a moment that nobody notices, on a battery. The digits it was
# trained on are not at hand any more, except for 2,000.
#
# There are three ways to a small network, and one can walk all three:
#
# 1. **make another one** that is small by construction, and let the large one teach it;
# 2. **cut** the large one: leave out weights, or whole units;
# 3. **write its numbers in fewer bits**, and compute with whole numbers.
#
# Each of them costs accuracy, and distillation is a way to get some of it back. How much, and compared with what, is this lesson's question. The other question is what we have been promised: "10 to 100 times smaller, 3 to 10 times faster" is what one reads about
# distilled models. At the end there is a table in which you can look.

# %% role="show" name="phone"
scale = tinykd.scale()
teacher_file, results_file = (
    data_file(f"results/small_and_fast{end}") for end in ("_teacher.npz", ".json")
)
stored = json.loads(results_file.read_text())
settings = stored["settings"]
test_count, student_steps, mlp_steps, recovery_steps, qat_steps = {
    "smoke": (1000, 20, 40, 40, 5),
    "default": (10_000, 400, 600, 200, 100),
    "full": (10_000, 400, 600, 200, 100),
}[scale]

images, labels = load_mnist("train")
test_images, test_labels = (part[:test_count] for part in load_mnist("test"))
rows = torch.tensor(np.random.default_rng((0, 0)).permutation(55_000)[:2000])
x, y = images[rows], labels[rows]  # the transfer set: all that is left

teacher = ResNet(*settings["teacher"]["sizes"]).eval()
weights = np.load(teacher_file)
teacher.load_state_dict({name: torch.tensor(weights[name]).float() for name in weights.files})
said = predict(teacher, x)  # (2000, 10), asked once


def fit(model, told, steps, rate, seed=0):
    """Every training of this lesson: on the labels, or on soft targets at T = 4 if `told`."""
    objective = HardLabels() if told is None else 1.0 * SoftTargets(T=4)
    adam = lambda parameters: torch.optim.Adam(parameters, rate)
    how = {"schedule": tinykd.cosine(1, 0), "progress": False, "device": "cpu"}
    batches = Batches(x, y, size=100, seed=seed)
    trainer = Trainer(model, objective, None if told is None else KnownLogits(told), adam, **how)
    trainer.fit(batches, epochs=max(1, round(steps / len(batches))))
    return model


def right(model):
    """Percent of the test digits."""
    return 100 * accuracy(predict(model, test_images), test_labels)


size = sum(p.numel() for p in teacher.parameters())
print(f"teacher: {size:,} parameters, {right(teacher):.2f}% of {test_count:,} test digits right")
print(f"transfer set: {len(x):,} digits")

# %% [markdown]
# ## 1 · Small by construction
#
# What does a convolution cost? One of width 3 with $a$ channels in and $b$ out has $9ab$ weights, and uses each of them once at every place: $9ab \cdot HW$ multiplications. **Size** is the number of weights; **work** is weights times places. A convolution on a large picture has little
# of the one and much of the other; in a fully connected layer they are the same number.
#
# A **depthwise separable** convolution (MobileNet, Howard et al., [arXiv 1704.04861](https://arxiv.org/abs/1704.04861)) takes the layer apart:
#
# - *depthwise*: one filter of width 3 for each channel, which looks at places and not at other channels: $9a$ weights;
# - *pointwise*: a convolution of width 1, which mixes the channels at each place: $ab$ weights.
#
# Together $9a + ab$ instead of $9ab$: the share $\frac1b + \frac19$ of it, for 64 channels an eighth. `tinykd.MobileNet` is an ordinary convolution of width 3 at the beginning (the *stem*), some such blocks, the mean over places, and a linear layer.
#
# Torch has a counter for work, in floating-point operations: a multiplication and an addition are two.
#
# **What do you expect?** The teacher has 16, 32 and 64 channels on pictures of 28, 14 and 7 pixels a side. The student below has 8 to 64, on 14, 14, 7 and 4. How many times fewer weights has it, and how many times fewer operations?

# %% role="show" name="costs"
from torch.utils.flop_counter import FlopCounterMode


def new_student():
    return MobileNet(*settings["student"]["sizes"])


def cost(model):
    """Parameters, and floating-point operations for one digit."""
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(images[:1])
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops()


costs = {"ResNet, teacher": cost(teacher), "MobileNet, student": cost(new_student())}
costs["MLP 784-300-300-10"] = cost(MLP(784, 300, 300, 10))
for name, (size, work) in costs.items():
    ratios = [costs["ResNet, teacher"][n] / value for n, value in enumerate((size, work))]
    print(
        f"{name:20s}{size:9,d} parameters, 1/{ratios[0]:<5.3g}{work / 1e6:8.2f} MFLOPs, 1/{ratios[1]:.3g}"
    )

# %% [markdown]
# Two different ratios, and a third net that has more weights than the teacher and far less work. "How much smaller?" has no single answer.
#
# Now the student learns from the 2,000 digits twice: from their labels, and from what the teacher says about them. Below stand five seeds of ours, each with its own 2,000 digits and its own start (`benchmarks/small_and_fast.py`).
#
# **What do you expect?** The teacher has seen these same digits with these same labels. Is there anything in its opinion of them that is not in the labels?

# %% role="show" name="student"
students = {}
for name, told in (("labels", None), ("soft targets", said)):
    torch.manual_seed(0)
    students[name] = fit(new_student(), told, student_steps, settings["student"]["rate"])
    print(f"{name:14s}{right(students[name]):6.2f}% of the test digits right")
student = students["soft targets"]

# %% role="show" name="results-student" folded=true


def runs(setting, method, key="accuracy"):
    """Of our runs, in percent, by seed."""
    return {
        r["seed"]: 100 * r[key]
        for r in stored["runs"]
        if (r["setting"], r["method"]) == (setting, method)
    }


def mean_of(setting, method, key="accuracy"):
    values = runs(setting, method, key).values()
    return sum(values) / len(values)


def against(setting, method, rival, other=None):
    """Mean difference in points and half its 95% interval, paired by seed."""
    mine, theirs = runs(setting, method), runs(other or setting, rival)
    return mean_interval([mine[seed] - theirs[seed] for seed in sorted(mine)])


def verdict(gap):
    return "undecided" if not abs(gap[0]) > gap[1] else "better" if gap[0] > 0 else "worse"


def table(setting, methods, rivals):
    """Means over our seeds, and the differences from each rival, paired."""
    heads = "".join(f"   {'against ' + rival:24s}" for rival in rivals)
    print(f"{setting:24s}{'% right':>8s}{heads}".rstrip())
    for method in methods:
        line = f"  {method:22s}{mean_of(setting, method):8.2f}"
        for rival in rivals:
            gap = against(setting, method, rival)
            text = "" if method == rival else f"{gap[0]:+6.2f} ± {gap[1]:.2f} {verdict(gap)}"
            line += f"   {text:24s}"
        print(line.rstrip())


count = len(runs("small", "labels"))
print(f"{count} seeds of ours, the same 10,000 test digits; teacher "
      f"{100 * stored['teacher']['accuracy']:.2f}% right")  # fmt: skip
table("small", ["labels", "soft targets"], ["labels"])

# %% [markdown]
# **What we saw.** There is: 1.94 ± 0.71 points over the five seeds, the same digits, steps and learning rate. The teacher saw 55,000 digits, and what it says about 2,000 of them tells of the others. It says "a 4, and somewhat like a 9"; the label says "a 4". The student is still far from its teacher: it has an eighteenth of its parameters, 2,000 digits, and four hundred steps.
#
# (The learning rate of the repairs below was chosen on held-out digits of one more seed, and in that one trial it mattered who was asked: at a rate of 0.001 soft targets repaired *worse* than labels, at 0.01, which we use now, better. One rate is used for both, and it was best for both or within 0.2 points of it.)
#
# ## 2 · Cutting
#
# The other way: a large network that is there already. Which of its weights can go? The oldest answer that still holds its own is **magnitude**: the smallest (Han et al., [arXiv 1506.02626](https://arxiv.org/abs/1506.02626)). A weight near 0 changes what the unit adds up by little, and
# nothing has to be computed to find it.
#
# One ranks the weights of *all* layers together. That lets a layer that is needed keep more than one that is not; a share taken from each layer alone would not.
#
# ### Exercise 1: the masks
# For each weight tensor a tensor of `True` (stays) and `False` (goes), such that of all weights together the share with the smallest magnitude goes.
#
# <details><summary>Hint 1: one ranking</summary>
#
# `torch.cat([w.abs().flatten() for w in weights])` are all magnitudes in one row. With $n$ to go, the $n$-th smallest of them is the threshold: `values.sort().values[n - 1]`; what is larger stays. Mind $n = 0$.
# </details>
# <details><summary>Hint 2: round</summary>
#
# $n$ is `round(share * N)`, with $N$ the number of all weights.
# </details>


# %% role="answer" name="magnitude_masks" library="tinykd.compress.magnitude_masks, torch.nn.utils.prune.global_unstructured"
def magnitude_masks(weights, share):
    """Which weights stay when the `share` of all with the smallest |w| goes.

    weights: list of tensors of any shapes, ranked together; no two magnitudes are equal. share: in [0, 1].
    Returns a list of bool tensors of the same shapes; exactly round(share * N) of all N entries are False.
    """
    # YOUR CODE: one ranking of all magnitudes, one threshold, a mask for each tensor
    # BEGIN SOLUTION
    size = torch.cat([w.detach().abs().flatten() for w in weights])
    n = round(share * len(size))
    threshold = size.sort().values[n - 1] if n else -1.0
    return [w.detach().abs() > threshold for w in weights]
    # END SOLUTION


# %% role="check" name="magnitude_masks.one" points=1 hint="One tensor of 21 numbers, 0.55 of them go: 11.55, so 12. True where |w| is among the larger ones. Magnitude, not value: -3 is large."
rng = check.rng("magnitude_masks.one")
check("magnitude_masks.one", check.call(magnitude_masks, spread(rng, [(3, 7)]), 0.55))

# %% role="check" name="magnitude_masks.together" points=2 hint="Three tensors in one ranking: a tensor of small weights loses more of them than one of large weights."
rng = check.rng("magnitude_masks.together")
masks = check.call(magnitude_masks, spread(rng, [(5, 5), (3, 6), (2, 3, 3)]), 0.3)
check("magnitude_masks.together", masks)

# %% role="check" name="magnitude_masks.ends" points=1 constant=true hint="share = 0: everything stays. share = 1: nothing does."
rng = check.rng("magnitude_masks.ends")
ends = [check.call(magnitude_masks, spread(rng, [(3, 4), (5,)]), share) for share in (0.0, 1.0)]
check("magnitude_masks.ends", ends)

# %% role="hidden" name="magnitude_masks.secret" points=1 hint="Other shapes and shares; round(share * N) go."
rng = check.rng("magnitude_masks.secret")
shares = (0.07, 0.93, 0.33)
found = [check.call(magnitude_masks, spread(rng, [(7,), (5, 5), (3, 2, 2)]), s) for s in shares]
check("magnitude_masks.secret", found)


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.cut_off" loses="magnitude_masks.one, magnitude_masks.secret" hint="int() cuts off: 11.55 becomes 11. round(share * N) go."
def magnitude_masks(weights, share):
    size = torch.cat([w.detach().abs().flatten() for w in weights])
    n = int(share * len(size))
    threshold = size.sort().values[n - 1] if n else -1.0
    return [w.detach().abs() > threshold for w in weights]


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.up" loses="magnitude_masks.together, magnitude_masks.secret" hint="ceil() takes one more than round(share * N)."
def magnitude_masks(weights, share):
    size = torch.cat([w.detach().abs().flatten() for w in weights])
    n = math.ceil(share * len(size))
    threshold = size.sort().values[n - 1] if n else -1.0
    return [w.detach().abs() > threshold for w in weights]


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.each" loses="magnitude_masks.together, magnitude_masks.secret" hint="You take the share from each tensor alone. All weights are ranked together."
def magnitude_masks(weights, share):
    found = []
    for w in weights:
        n = round(share * w.numel())
        threshold = w.abs().flatten().sort().values[n - 1] if n else -1.0
        found.append(w.abs() > threshold)
    return found


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.upside_down" loses="magnitude_masks.one, magnitude_masks.together, magnitude_masks.ends, magnitude_masks.secret" hint="True is for what stays: the large ones."
def magnitude_masks(weights, share):
    size = torch.cat([w.abs().flatten() for w in weights])
    n = round(share * len(size))
    threshold = size.sort().values[n - 1] if n else -1.0
    return [w.abs() <= threshold for w in weights]


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.kept_share" loses="magnitude_masks.one, magnitude_masks.together, magnitude_masks.ends, magnitude_masks.secret" hint="`share` is the share that goes, not the one that stays."
def magnitude_masks(weights, share):
    size = torch.cat([w.abs().flatten() for w in weights])
    n = round((1 - share) * len(size))
    threshold = size.sort().values[n - 1] if n else -1.0
    return [w.abs() > threshold for w in weights]


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.off_by_one" loses="magnitude_masks.one, magnitude_masks.together, magnitude_masks.ends, magnitude_masks.secret" hint="One too many goes: the n-th smallest has the index n - 1."
def magnitude_masks(weights, share):
    size = torch.cat([w.abs().flatten() for w in weights])
    n = min(round(share * len(size)), len(size) - 1)
    threshold = size.sort().values[n]
    return [w.abs() > threshold for w in weights]


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.of_the_largest" loses="magnitude_masks.one, magnitude_masks.together, magnitude_masks.secret" hint="You cut at a share of the largest magnitude. A share of the *number* of weights is meant: rank them."
def magnitude_masks(weights, share):
    largest = max(float(w.abs().max()) for w in weights)
    return [(w.abs() > share * largest) & (share < 1) for w in weights]


# %% role="mutant" of="magnitude_masks" name="magnitude_masks.in_place" loses="magnitude_masks.one, magnitude_masks.together, magnitude_masks.secret" hint="You set the weights themselves to 0. Return masks, and leave the weights as they are."
def magnitude_masks(weights, share):
    size = torch.cat([w.abs().flatten() for w in weights])
    n = round(share * len(size))
    threshold = size.sort().values[n - 1] if n else -1.0
    masks = [w.abs() > threshold for w in weights]
    for w, mask in zip(weights, masks, strict=True):
        if share < 1:
            w *= mask
    return masks


# %% role="alternative" of="magnitude_masks" name="magnitude_masks.by_index"
def magnitude_masks(weights, share):
    size = torch.cat([w.reshape(-1) for w in weights]).abs()
    stays = torch.ones_like(size, dtype=torch.bool)
    stays[torch.argsort(size)[: round(share * size.numel())]] = False
    return [
        s.reshape(w.shape)
        for s, w in zip(stays.split([w.numel() for w in weights]), weights, strict=True)
    ]


# %% role="alternative" of="magnitude_masks" name="magnitude_masks.by_numpy"
def magnitude_masks(weights, share):
    flat = sorted(abs(v) for w in weights for v in w.flatten().tolist())
    n = round(share * len(flat))
    cut = flat[n - 1] if n > 0 else -1.0
    return [torch.tensor(np.abs(w.numpy()) > cut) for w in weights]


# %% [markdown]
# An object to cut: a fully connected net of two layers of 300, the shape that pruning papers have used since LeNet-300-100, taught by the same teacher. First no training after the cut at all.
#
# **What do you expect?** How many of its weights can go before it gets worse? And how much faster is a net of which 95% of the weights are 0?

# %% role="show" name="unstructured"
torch.manual_seed(0)
mlp = fit(MLP(784, 300, 300, 10), said, mlp_steps, settings["mlp"]["rate"])
own_masks = check.ready(magnitude_masks, compress.magnitude_masks)
shares = (0, 0.5, 0.8, 0.9, 0.95, 0.98)
left = []
for share in shares:
    sparse = copy.deepcopy(mlp)
    weights = [layer.weight.data for layer in sparse.layers]
    for weight, mask in zip(weights, own_masks(weights, share), strict=True):
        weight *= mask
    left.append(right(sparse))
    parts = [f"{float((w == 0).float().mean()):.0%}" for w in weights]
    print(
        f"{share:4.0%} of the weights gone ({', '.join(parts)} of the layers): {left[-1]:.2f}% right"
    )
    if share == 0.95:
        mlp_sparse = sparse

# %% role="show" name="sparse-file"
workplace = tempfile.TemporaryDirectory()
folder = Path(workplace.name)
files = {
    name: compress.to_onnx(model, x, folder / f"{name}.onnx")
    for name, model in (("all weights", mlp), ("95 percent are 0", mlp_sparse))
}
from tinykd.compress.report import latency

times = latency(files.values(), x[:64], rounds=100)
medians = [np.median(ms) for ms in times]
for (name, file), ms in zip(files.items(), medians, strict=True):
    print(
        f"{name:18s}{file.stat().st_size / 1e3:8,.0f} kB   time {ms / medians[0]:5.2f} of the first's"
    )

# %% [markdown]
# The file is as large as it was, and the time is the same but for noise: a zero is stored like any other number, and multiplied like any other. **Unstructured** pruning gives a *sparse* network. It becomes a small file if the file format stores zeros cheaply (`gzip` does), and
# a fast network only with kernels made for sparse matrices, which pay off where far more than nine tenths are 0.
#
# To be faster the *shapes* must shrink. **Structured** pruning cuts whole units. A unit is a row of one layer's weights, its bias, and a *column* of the next layer's. All three go.
#
# ### Exercise 2: cut units
# Of two layers in a row, keep the `n` units that come out of the first with the largest $\sum |w|$ of incoming weights (Li et al., [arXiv 1608.08710](https://arxiv.org/abs/1608.08710)). Between the layers stands a ReLU, which looks at each unit alone, so it does not matter here. The same code does
# for convolutions, of shape `(out, in, 3, 3)`: a unit is a channel.
#
# <details><summary>Hint 1: the score</summary>
#
# `w1.abs().flatten(1).sum(1)` has one number for each unit, whatever the shape of the rest.
# </details>
# <details><summary>Hint 2: selecting</summary>
#
# `scores.topk(n).indices` are the units that stay. `w1[keep]` selects rows, `w2[:, keep]` columns.
# </details>


# %% role="answer" name="cut_units" library="tinykd.compress.cut_units, tinykd.compress.slimmer"
def cut_units(w1, b1, w2, n):
    """The n most important units between two layers, and nothing else.

    w1: (units, in, ...) and b1: (units,) make the units, w2: (out, units, ...) reads them. The importance of a unit
    is the sum of its incoming |w1|. Returns new (w1, b1, w2) of n units, in any order that is the same in all three.
    """
    # YOUR CODE: a score for each unit, the best n, and the same selection three times
    # BEGIN SOLUTION
    keep = w1.abs().flatten(1).sum(1).topk(n).indices.sort().values
    return w1[keep], b1[keep], w2[:, keep]
    # END SOLUTION


# %% role="check" name="cut_units.linear" points=2 hint="The value: what relu and both layers compute after the cut, and the three shapes. Did the same units stay in all three?"
rng = check.rng("cut_units.linear")
cut = check.call(cut_units, *two_layers(rng, 6, 5, 4), 3)
check("cut_units.linear", what_is_left(cut, normal(rng, 7, 5), "linear"))

# %% role="check" name="cut_units.convolution" points=1 hint="Convolutions of shape (out, in, 3, 3): units are axis 0 of the first layer and axis 1 of the second."
rng = check.rng("cut_units.convolution")
cut = check.call(cut_units, *two_layers(rng, 7, 2, 3, (3, 3)), 3)
check("cut_units.convolution", what_is_left(cut, normal(rng, 2, 2, 6, 6), "convolution"))

# %% role="check" name="cut_units.all" points=1 hint="Keeping all units changes nothing that is computed."
rng = check.rng("cut_units.all")
cut = check.call(cut_units, *two_layers(rng, 4, 3, 2), 4)
check("cut_units.all", what_is_left(cut, normal(rng, 5, 3), "linear"))

# %% role="hidden" name="cut_units.secret" points=1 hint="As many units as inputs and outputs: no shape will tell you that the wrong axis was cut."
rng, found = check.rng("cut_units.secret"), []
for n in (5, 1):
    cut = check.call(cut_units, *two_layers(rng, 6, 6, 6), n)
    found.append(what_is_left(cut, normal(rng, 4, 6), "linear"))
check("cut_units.secret", found)


# %% role="mutant" of="cut_units" name="cut_units.length" loses="cut_units.linear, cut_units.convolution, cut_units.secret" hint="That ranks units by the length of their weights, the root of the sum of squares. Here the importance is the sum of |w1|."
def cut_units(w1, b1, w2, n):
    keep = w1.flatten(1).norm(dim=1).topk(n).indices.sort().values
    return w1[keep], b1[keep], w2[:, keep]


# %% role="mutant" of="cut_units" name="cut_units.largest" loses="cut_units.linear, cut_units.convolution, cut_units.secret" hint="That ranks units by their largest weight. Here the importance is the sum of |w1|."
def cut_units(w1, b1, w2, n):
    keep = w1.abs().flatten(1).amax(1).topk(n).indices.sort().values
    return w1[keep], b1[keep], w2[:, keep]


# %% role="mutant" of="cut_units" name="cut_units.smallest" loses="cut_units.linear, cut_units.convolution, cut_units.secret" hint="The units with the smallest norms stayed. Those with the largest should."
def cut_units(w1, b1, w2, n):
    keep = w1.abs().flatten(1).sum(1).topk(n, largest=False).indices
    return w1[keep], b1[keep], w2[:, keep]


# %% role="mutant" of="cut_units" name="cut_units.first" loses="cut_units.linear, cut_units.convolution, cut_units.secret" hint="You keep the first n units. Which ones matter? Score them."
def cut_units(w1, b1, w2, n):
    return w1[:n], b1[:n], w2[:, :n]


# %% role="mutant" of="cut_units" name="cut_units.two_orders" loses="cut_units.linear, cut_units.convolution, cut_units.all, cut_units.secret" hint="The units stand in another order in the second layer than in the first: its columns must follow."
def cut_units(w1, b1, w2, n):
    keep = w1.abs().flatten(1).sum(1).topk(n).indices
    return w1[keep], b1[keep], w2[:, keep.flip(0)]


# %% role="mutant" of="cut_units" name="cut_units.signed" loses="cut_units.linear, cut_units.convolution, cut_units.secret" hint="Your score adds up weights with their signs. Magnitudes: w1.abs()."
def cut_units(w1, b1, w2, n):
    keep = w1.flatten(1).sum(1).topk(n).indices
    return w1[keep], b1[keep], w2[:, keep]


# %% role="mutant" of="cut_units" name="cut_units.no_bias" loses="cut_units.linear, cut_units.convolution, cut_units.all, cut_units.secret" hint="The biases of the units that stay are gone: select b1 as well."
def cut_units(w1, b1, w2, n):
    keep = w1.abs().flatten(1).sum(1).topk(n).indices
    return w1[keep], torch.zeros(n, dtype=b1.dtype), w2[:, keep]


# %% role="mutant" of="cut_units" name="cut_units.masked" loses="cut_units.linear, cut_units.convolution, cut_units.secret" hint="The units are set to 0, and still there: the shapes have to shrink."
def cut_units(w1, b1, w2, n):
    keep = w1.abs().flatten(1).sum(1).topk(n).indices
    stays = torch.zeros(len(w1), dtype=w1.dtype)
    stays[keep] = 1
    return w1 * stays.view(-1, *[1] * (w1.dim() - 1)), b1 * stays, w2


# %% role="mutant" of="cut_units" name="cut_units.outgoing" loses="cut_units.linear, cut_units.convolution, cut_units.secret" hint="You rank by what goes out of a unit, w2. What comes in, w1, is asked for."
def cut_units(w1, b1, w2, n):
    keep = w2.transpose(0, 1).abs().flatten(1).sum(1).topk(n).indices
    return w1[keep], b1[keep], w2[:, keep]


# %% role="alternative" of="cut_units" name="cut_units.best_first"
def cut_units(w1, b1, w2, n):
    keep = torch.argsort(w1.reshape(len(w1), -1).norm(p=1, dim=1), descending=True)[:n]
    return w1.index_select(0, keep), b1.index_select(0, keep), w2.index_select(1, keep)


# %% role="alternative" of="cut_units" name="cut_units.by_mask"
def cut_units(w1, b1, w2, n):
    scores = [float(row.abs().sum()) for row in w1]
    worst_kept = sorted(scores)[len(scores) - n]
    stays = torch.tensor([s >= worst_kept for s in scores])
    return w1[stays], b1[stays], w2[:, stays]


# %% [markdown]
# The same net, cut by units, is smaller *and* faster. But look at what it still knows.
#
# **What do you expect?** Of 300 units in each layer 60 stay. What is right before any training after the cut?


# %% role="show" name="structured"
def library_cut(w1, b1, w2, n):
    keep = w1.abs().flatten(1).sum(1).topk(n).indices
    return w1[keep], b1[keep], w2[:, keep]


cut = check.ready(cut_units, library_cut)


def slim(net, share):
    """The MLP, the share of each hidden layer's units cut out."""
    w, b = [[getattr(layer, part).data for layer in net.layers] for part in ("weight", "bias")]
    for n in range(len(w) - 1):
        w[n], b[n], w[n + 1] = cut(w[n], b[n], w[n + 1], round((1 - share) * len(w[n])))
    small = MLP(w[0].shape[1], *map(len, w))
    for layer, weight, bias in zip(small.layers, w, b, strict=True):
        layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
    return small


for share in (0, 0.5, 0.8, 0.9):
    small = slim(mlp, share)
    size, work = cost(small)
    print(
        f"{share:4.0%} of the units gone: {size:8,d} parameters, {work / 1e6:.3f} MFLOPs, {right(small):.2f}% right"
    )
    if share == 0.8:
        mlp_slim = small

# %% [markdown]
# Units are a coarser knife than weights: the same number of parameters lost costs far more. So what is left must be trained on, and now the lesson is back at its subject. With what? With the labels of the transfer set, or with what a teacher says about it.
#
# For weights there is one more idea. Cut at once, a net loses much that it then has to learn again. Cut **gradually**, with training in between, it could move what it knows to weights that will stay. Zhu and Gupta ([arXiv 1710.01878](https://arxiv.org/abs/1710.01878)) raise the share of zeros along
#
# $$s_n = s_{\text{final}} \left(1 - (1 - n/N)^3\right), \qquad n = 1, \dots, N,$$
#
# fast at first, where there is much that nobody misses, and slowly at the end.
#
# ### Exercise 3: prune while training
# Write the loop. A step of training moves all weights, also those at 0, so the masks must be applied again *after* it. (In the engine this is left to `torch.nn.utils.prune`, which keeps the mask inside the layer: the layer computes with `weight_orig * weight_mask`.) Masks come from `masks_for(weights, share)`,
# which is exercise 1; a weight that is 0 has the smallest magnitude there is, so what has gone once stays gone.
#
# <details><summary>Hint 1: one turn</summary>
#
# The share of this turn; masks from the weights as they are now; multiply each weight by its mask; train; multiply each weight by the same mask again.
# </details>
# <details><summary>Hint 2: in place</summary>
#
# The weights are parameters. Change them with `w.data *= mask` or, `with torch.no_grad():` around these lines alone (training needs its gradients), `w *= mask`. `w = w * mask` makes a new tensor, and the network keeps the old one.
# </details>


# %% role="answer" name="prune_gradually" library="tinykd.compress.GradualPruning, tinykd.compress.prune_weights"
def prune_gradually(weights, final, steps, train_step):
    """Set more and more of the weights to 0, training in between, until the share `final` is 0.

    weights: list of parameters, changed in place. For n = 1 ... steps: masks for the share
    final * (1 - (1 - n / steps) ** 3), from the weights as they are then; weights are set to 0 by them;
    train_step(n), which changes all weights in place; weights are set to 0 by the same masks again. Returns nothing.
    """
    # YOUR CODE: a loop over n, masks from masks_for(weights, share)
    # BEGIN SOLUTION
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * (1 - (1 - n / steps) ** 3))
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask
    # END SOLUTION


# %% role="check" name="prune_gradually.schedule" points=2 hint="Each row: n, and how many weights were 0 when train_step(n) was called."
rng = check.rng("prune_gradually.schedule")
training = FakeTraining(rng, [(5, 4), (int(rng.integers(10, 90)),)])
final, steps = float(rng.uniform(0.6, 0.9)), int(rng.integers(5, 9))
check.call(
    prune_gradually, training.weights, final, steps, training.step, may_change=[training.weights]
)
check("prune_gradually.schedule", training.log)

# %% role="check" name="prune_gradually.weights" points=2 hint="The weights as each train_step found them, and at the end. Those that were pruned are 0 although training moved them, the others are as training left them."
rng = check.rng("prune_gradually.weights")
training = FakeTraining(rng, [(6, 3), (8,)])
check.call(prune_gradually, training.weights, 0.75, 5, training.step, may_change=[training.weights])
check("prune_gradually.weights", [*training.trail, training.state()])

# %% role="hidden" name="prune_gradually.secret" points=1 hint="Other shares, and another number of steps; with one step all of it goes at once."
rng, found = check.rng("prune_gradually.secret"), []
for final, steps in ((0.5, 1), (0.9, 8)):
    training = FakeTraining(rng, [(4, 4), (3, 2, 3), (6,)])
    weights = training.weights
    check.call(prune_gradually, weights, final, steps, training.step, may_change=[weights])
    found.append([training.log, *training.trail, training.state()])
check("prune_gradually.secret", found)


# %% role="mutant" of="prune_gradually" name="prune_gradually.no_grad" loses="prune_gradually.schedule, prune_gradually.weights, prune_gradually.secret" hint="The whole function runs under torch.no_grad(), so train_step has no gradients to train with. Put only the multiplications under it."
@torch.no_grad()
def prune_gradually(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * (1 - (1 - n / steps) ** 3))
        for w, mask in zip(weights, masks, strict=True):
            w *= mask
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w *= mask


# %% role="mutant" of="prune_gradually" name="prune_gradually.anew" loses="prune_gradually.weights, prune_gradually.secret" hint="After training you ranked the weights anew, so that others went than had gone. The same masks again."
def prune_gradually(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        share = final * (1 - (1 - n / steps) ** 3)
        for w, mask in zip(weights, masks_for(weights, share), strict=True):
            w.data *= mask
        train_step(n)
        for w, mask in zip(weights, masks_for(weights, share), strict=True):
            w.data *= mask


# %% role="mutant" of="prune_gradually" name="prune_gradually.not_after" loses="prune_gradually.weights, prune_gradually.secret" hint="Training moved the pruned weights, and nobody set them to 0 afterwards: apply the same masks again after train_step."
def prune_gradually(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * (1 - (1 - n / steps) ** 3))
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask
        train_step(n)


# %% role="mutant" of="prune_gradually" name="prune_gradually.linear" loses="prune_gradually.schedule, prune_gradually.weights, prune_gradually.secret" hint="Your share rises along a straight line. final * (1 - (1 - n / steps) ** 3) is fast first and slow at the end."
def prune_gradually(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * n / steps)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask


# %% role="mutant" of="prune_gradually" name="prune_gradually.slow_first" loses="prune_gradually.schedule, prune_gradually.weights, prune_gradually.secret" hint="(n / steps) ** 3 is slow first and fast at the end: the other way round."
def prune_gradually(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * (n / steps) ** 3)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask


# %% role="mutant" of="prune_gradually" name="prune_gradually.from_zero" loses="prune_gradually.schedule, prune_gradually.weights, prune_gradually.secret" hint="n runs from 1 to steps. From 0 to steps - 1 the final share is never reached."
def prune_gradually(weights, final, steps, train_step):
    for n in range(steps):
        masks = masks_for(weights, final * (1 - (1 - n / steps) ** 3))
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask


# %% role="mutant" of="prune_gradually" name="prune_gradually.at_once" loses="prune_gradually.schedule, prune_gradually.weights, prune_gradually.secret" hint="All of it went before the first step. Little by little: the share depends on n."
def prune_gradually(weights, final, steps, train_step):
    masks = masks_for(weights, final)
    for w, mask in zip(weights, masks, strict=True):
        w.data *= mask
    for n in range(1, steps + 1):
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask


# %% role="mutant" of="prune_gradually" name="prune_gradually.on_a_copy" loses="prune_gradually.schedule, prune_gradually.weights, prune_gradually.secret" hint="w * mask is a new tensor, and the parameter keeps its values: w.data *= mask."
def prune_gradually(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * (1 - (1 - n / steps) ** 3))
        pruned = [w * mask for w, mask in zip(weights, masks, strict=True)]
        train_step(n)
        pruned = [w * mask for w, mask in zip(pruned, masks, strict=True)]


# %% role="mutant" of="prune_gradually" name="prune_gradually.only_after" loses="prune_gradually.schedule, prune_gradually.weights, prune_gradually.secret" hint="The weights are set to 0 after the training step only. train_step(n) must find them pruned."
def prune_gradually(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * (1 - (1 - n / steps) ** 3))
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask


# %% role="mutant" of="prune_gradually" name="prune_gradually.old_masks" loses="prune_gradually.weights, prune_gradually.secret" hint="All masks come from the weights before training. Rank anew in each step: training changes what is small."
def prune_gradually(weights, final, steps, train_step):
    before = [w.detach().clone() for w in weights]
    for n in range(1, steps + 1):
        masks = masks_for(before, final * (1 - (1 - n / steps) ** 3))
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask
        train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.data *= mask


# %% role="alternative" of="prune_gradually" name="prune_gradually.where"
def prune_gradually(weights, final, steps, train_step):
    def hold(masks):
        with torch.no_grad():
            for w, mask in zip(weights, masks, strict=True):
                w[~mask] = 0

    n = 0
    while n < steps:
        n += 1
        left = 1 - n / steps
        masks = masks_for([w.detach() for w in weights], final - final * left**3)
        hold(masks)
        train_step(n)
        hold(masks)


# %% role="alternative" of="prune_gradually" name="prune_gradually.copy"
@torch.no_grad()
def prune_gradually(weights, final, steps, train_step):
    masks = None
    for n in range(1, steps + 1):
        masks = masks_for(weights, final * (1 - ((steps - n) / steps) ** 3))
        for w, mask in zip(weights, masks, strict=True):
            w.copy_(torch.where(mask, w, torch.zeros_like(w)))
        with torch.enable_grad():
            train_step(n)
        for w, mask in zip(weights, masks, strict=True):
            w.mul_(mask)


# %% [markdown]
# Your loop, at work: 95% of the MLP's weights go while it is trained with the teacher's soft targets. Each turn is twenty steps of Adam.


# %% role="show" name="gradual"
def library_loop(weights, final, steps, train_step):
    for n in range(1, steps + 1):
        masks = masks_for(weights, compress.cubic(final)(n / steps))
        for masked in (False, True):
            if masked:
                train_step(n)
            for w, mask in zip(weights, masks, strict=True):
                w.data *= mask


loop = check.ready(prune_gradually, library_loop)
sparse_trained = copy.deepcopy(mlp)
weights = [layer.weight for layer in sparse_trained.layers]
curve = []


def train_step(n):
    fit(sparse_trained, said, 20, settings["recovery"]["rate"], seed=n)
    zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
    curve.append([n, zeros])


turns = recovery_steps // 20
loop(weights, 0.95, turns, train_step)
zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
at_once = copy.deepcopy(mlp)
compress.prune_weights(at_once, 0.95)
fit(at_once, said, recovery_steps, settings["recovery"]["rate"])
print(f"95% cut at once, no training    {right(mlp_sparse):.2f}% right")
print(f"the same, trained as long       {right(at_once):.2f}% right")
print(
    f"cut gradually, {turns} turns         {right(sparse_trained):.2f}% right, {zeros:.1%} of the weights are 0"
)
print(f"before                          {right(mlp):.2f}% right")
slim_trained = fit(copy.deepcopy(mlp_slim), said, recovery_steps, settings["recovery"]["rate"])
print(f"80% of the units, no training   {right(mlp_slim):.2f}% right")
print(f"the same, trained on            {right(slim_trained):.2f}% right")

# %% [markdown]
# Training repairs most of the damage, either way. And at the same number of steps *at once* was better in our run, by more than a point: in 200 steps the gradual way trains mostly nets that will lose weights again, and each of its turns here begins with a new optimizer. Its authors prune over many thousands of steps. (One seed: a look, no proof. What is cheap to compare is worth comparing.)
#
# Now the comparison that this lesson owes: what is the *teacher* good for after a cut, and what is the *cut* good for? Five seeds; every repair takes the same number of steps. Whoever claims that pruning a large net beats a small one must train the small one as well, and for as long: with the steps that the large net took
# and those of its repair.
#
# - **nothing**: cut, and left alone;
# - **labels**, **soft targets**, **soft targets of itself**: trained on (weights go gradually, over the first half of these steps; the large MLP itself has learned from the ResNet in each case) with the labels, with what the ResNet says, with what the uncut MLP says;
# - **anew**: a net of the small shape from a fresh start, for as many steps as the large net and its repair together.
#
# **What do you expect?** Where will the teacher help most, after a small cut or after a large one? And will a cut net beat a fresh one of its shape?

# %% role="show" name="results-pruning" folded=true
REPAIRS = ["nothing", "labels", "soft targets", "soft targets of itself"]
ANEW = ["anew, labels", "anew, soft targets"]
table("large MLP", ["labels", "soft targets"], ["labels"])
for setting in ("weights 90%", "weights 95%"):
    table(setting, REPAIRS, ["labels", "soft targets"])
for setting in ("units 50%", "units 80%"):
    table(setting, [*REPAIRS, *ANEW], ["labels", "soft targets"])

figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
places = [f"{kind} {share:.0%}" for kind in ("weights", "units") for share in settings[kind]]
for n, (name, colour) in enumerate(zip([*REPAIRS[1:], *ANEW], COLORS, strict=False)):
    for column, setting in enumerate(places):
        if runs(setting, name):
            middle, half = mean_interval(list(runs(setting, name).values()))
            where = column + 0.13 * (n - 2)
            axes.errorbar(where, middle, half, fmt="osD^v"[n], color=colour, capsize=3)
    axes.plot([], [], "osD^v"[n], color=colour, label=name)
axes.axhline(mean_of("large MLP", "soft targets"), color="black", linewidth=0.8)
axes.set_xticks(range(len(places)), [f"{place} cut" for place in places])
axes.set(ylim=(90.5, 96), ylabel="test digits right, %  (line: uncut)")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
plots.show(
    "Percent right after four cuts and their repairs: below the line of the uncut net everywhere; "
    "soft targets lie above labels each time, and nets begun anew at or below the cut ones that "
    "had the same teacher."
)

# %% [markdown]
# **What we saw.** Numbers of our five seeds.
#
# - **A repair is needed, and a teacher makes a better one than labels do**: after every one of the four cuts, by 0.84 to 1.05 points, all intervals above 0. For these cuts its advantage is not larger for the deeper one, as one might have expected.
# - **Which teacher?** What the uncut MLP says is nearly as good as what the ResNet says, although the ResNet is right 99% of the time. For weights nothing is decided between them; for units the ResNet is ahead by 0.12 ± 0.07 and 0.11 ± 0.10 points. The uncut net was itself taught by the ResNet, and knows what it knows about these 2,000 digits.
# - **Is the cut good for anything?** With half of the units gone, the cut net is not shown to be better than a fresh one of its shape that had the same teacher and the same number of steps in all (0.15 ± 0.20). With 80% gone it is: 0.81 ± 0.43. But note what a fresh net from *labels* would have made of the comparison: the cut net with its teacher is 1.77 and 1.95 points above that one, and most of that is the teacher's doing. (Liu et al., [arXiv 1810.05270](https://arxiv.org/abs/1810.05270), found that with enough training the fresh net often catches up.)
# - **Weights or units?** 5% of the weights (about 16,400) are right about 93.2% of the time, and run no faster than all of them. A fifth of the units (51,370 parameters) are right 94.4% of the time, and run fast.
#
# ### A language model, cut
#
# Many of today's small language models were not trained as small ones. Minitron (Muralidharan et al., [arXiv 2407.14679](https://arxiv.org/abs/2407.14679)) took a model of 15 billion parameters, measured on a few batches what in it does little, cut that out, and distilled what was left from the uncut model: 8 and 4 billion, with up to 40 times fewer tokens than training such a model anew. *Rank, cut, distil.* We do it in small, with the
# transformer that lesson 14 uses as a teacher. (Lesson 11 builds one; here it is enough to know its parts.) It writes out arithmetic as a calculator with a paper tape would: each step as an equation. (The first line that the cell below prints is such a *tape*.)
#
# What can be cut, so that what is left is again a transformer, only smaller?
#
# - **units** of the feed-forward layers (of the kind called *SwiGLU*), which compute $W_{\text{down}}\,\big(\mathrm{silu}(W_{\text{gate}}\,x) \odot W_{\text{up}}\,x\big)$ at each position, with $\mathrm{silu}(z) = z \cdot \sigma(z)$: a unit is a row of *gate*, a row of *up* and a column of *down*;
# - **heads** of attention: some rows of query, key and value, some columns of the output layer;
# - whole **blocks**: what they add to the stream that runs past them is left out;
# - **channels** of that stream itself, in every layer at once. (The norms divide by a mean over all channels: fewer channels, another mean. `compress.cut_transformer` makes up for it.)
#
# And which? A unit here has two rows of weights and multiplies what they give; large weights need not mean large products. So one looks at **activations**: run some batches through the model, no labels and no gradients, and take the mean size of what each part hands on. For a block it is the **block influence** (Men et al., [arXiv 2403.03853](https://arxiv.org/abs/2403.03853)): $1 - \cos(x_{\text{in}}, x_{\text{out}})$, how far it turns
# the stream; or one leaves it out and looks at the loss.
#
# ### Exercise 4: the units that do something
# Of a feed-forward layer keep the `n` units that hand on most: with $a = \mathrm{silu}(W_{\text{gate}}\,x) \odot W_{\text{up}}\,x$, the largest mean of $|a|$ over all *real* positions of the batch together. Sequences of unlike length are padded to one length, and what the model computes at the padding is nobody's business.
#
# <details><summary>Hint 1: the activations</summary>
#
# `F.silu(x @ gate.T) * (x @ up.T)` has shape (B, T, H). `a[real]` with a bool mask (B, T) picks the real positions: (positions, H).
# </details>
# <details><summary>Hint 2: the cut</summary>
#
# Scores are `a[real].abs().mean(0)`. Units are rows of `gate` and `up`, and columns of `down`: as in exercise 2, the same selection three times.
# </details>


# %% role="answer" name="cut_feed_forward" library="tinykd.compress.importance, tinykd.compress.cut_transformer"
def cut_feed_forward(gate, up, down, x, real, n):
    """The n units of a SwiGLU layer that are most active, and nothing else.

    gate, up: (H, D), down: (D, H), the layer's weights; it computes down @ (silu(gate @ x) * (up @ x)).
    x: (B, T, D), what comes into it; real: (B, T) bool, False at padding. The importance of a unit is the mean
    over all real positions of |silu(gate @ x) * (up @ x)|. Returns new (gate, up, down) of n units, in any order
    that is the same in all three.
    """
    # YOUR CODE: activations, a score for each unit, the best n, and the same selection three times
    # BEGIN SOLUTION
    a = F.silu(x @ gate.T) * (x @ up.T)  # (B, T, H)
    keep = a[real].abs().mean(0).topk(n).indices.sort().values
    return gate[keep], up[keep], down[:, keep]
    # END SOLUTION


# %% role="check" name="cut_feed_forward.ranked" points=2 hint="The value: the three shapes, and what the three kept matrices give together (without silu). Are the units with the largest mean |a| kept, and the same ones in all three?"
rng = check.rng("cut_feed_forward.ranked")
kinds = ("quiet", "closed", "both below", "ajar", "heavy"), ("good", "good", "good", "below")
layer = busy_units(rng, *kinds)
check("cut_feed_forward.ranked", what_stays(rng, check.call(cut_feed_forward, *layer, 4)))

# %% role="check" name="cut_feed_forward.signs" points=1 hint="A unit that is +2 at one position and -2 at the next does much: magnitudes, then the mean over positions. One that is huge once does little on average. It is one mean over all real positions of the batch."
rng = check.rng("cut_feed_forward.signs")
layer = busy_units(rng, ("once", "short", "quiet"), ("good", "good", "good", "seldom"))
check("cut_feed_forward.signs", what_stays(rng, check.call(cut_feed_forward, *layer, 4)))

# %% role="check" name="cut_feed_forward.padding" points=1 hint="Some units are active at padding alone. Only positions with real == True count."
rng = check.rng("cut_feed_forward.padding")
layer = busy_units(rng, bad=("padding", "quiet"))
check("cut_feed_forward.padding", what_stays(rng, check.call(cut_feed_forward, *layer, 4)))

# %% role="hidden" name="cut_feed_forward.secret" points=1 hint="Other sizes; all of it at once."
rng, kept = check.rng("cut_feed_forward.secret"), []
bad = ("quiet", "closed", "both below", "ajar", "heavy", "once", "short", "padding")
for good in (("good",), ("good", "good", "good", "below", "seldom")):
    layer = busy_units(rng, bad, good)
    kept.append(what_stays(rng, check.call(cut_feed_forward, *layer, len(good))))
check("cut_feed_forward.secret", kept)


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.signed" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="You average activations with their signs: a unit that is +2 and -2 in turn comes out as 0. The mean of |a|."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.sign_last" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="You take the magnitude of the mean. First |a| at each position, then the mean."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].mean(0).abs().topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.with_padding" loses="cut_feed_forward.padding, cut_feed_forward.secret" hint="Padding counts in your mean. Only where real is True: a[real]."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a.abs().mean((0, 1)).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.no_silu" loses="cut_feed_forward.ranked, cut_feed_forward.secret" hint="The silu is missing: a unit whose gate is far below 0 hands on next to nothing."
def cut_feed_forward(gate, up, down, x, real, n):
    a = (x @ gate.T) * (x @ up.T)
    keep = a[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.silu_of_up" loses="cut_feed_forward.ranked, cut_feed_forward.secret" hint="gate and up have changed places: silu is applied to gate's part."
def cut_feed_forward(gate, up, down, x, real, n):
    a = (x @ gate.T) * F.silu(x @ up.T)
    keep = a[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.gate_alone" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="An open gate through which nothing comes is no use: multiply by up's part."
def cut_feed_forward(gate, up, down, x, real, n):
    keep = F.silu(x @ gate.T)[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.largest" loses="cut_feed_forward.signs, cut_feed_forward.secret" hint="That ranks by the largest |a| of all positions. The mean is asked for."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().amax(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.by_weights" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="That is the rank of exercise 2, by weights. Here activations decide: run x through gate and up."
def cut_feed_forward(gate, up, down, x, real, n):
    keep = (gate.abs().sum(1) + up.abs().sum(1)).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.least" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="The least active units stayed. Those with the largest mean |a| should."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().mean(0).argsort()[:n]
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.rows_of_down" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="down reads the units with its columns: down[:, keep]."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.two_orders" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="The units stand in another order in down than in gate and up: use the same indices three times."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep.flip(0)]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.masked" loses="cut_feed_forward.ranked, cut_feed_forward.signs, cut_feed_forward.padding, cut_feed_forward.secret" hint="The units are set to 0, and still there: the shapes have to shrink."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().mean(0).topk(n).indices
    stays = torch.zeros(len(gate), dtype=gate.dtype)
    stays[keep] = 1
    return gate * stays[:, None], up * stays[:, None], down * stays


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.relu" loses="cut_feed_forward.ranked, cut_feed_forward.secret" hint="That is ReLU. silu(z) = z * sigmoid(z) lets something through below 0, and where up's part is large that is much."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.relu(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.sigmoid" loses="cut_feed_forward.ranked, cut_feed_forward.secret" hint="That is sigmoid(z). silu(z) is z * sigmoid(z): next to 0 the gate lets next to nothing through."
def cut_feed_forward(gate, up, down, x, real, n):
    a = torch.sigmoid(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.silu_of_product" loses="cut_feed_forward.ranked, cut_feed_forward.secret" hint="silu is applied to the product. It belongs around gate's part alone, before the multiplication."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu((x @ gate.T) * (x @ up.T))
    keep = a[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.with_down" loses="cut_feed_forward.ranked, cut_feed_forward.secret" hint="You weigh a unit by its column of down as well. Here its importance is the mean of |a| alone."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = (a[real].abs().mean(0) * down.norm(dim=0)).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.median" loses="cut_feed_forward.signs, cut_feed_forward.secret" hint="That ranks by the median. A unit that does much at some positions and nothing at most has a large mean: the mean is asked for."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].abs().median(0).values.topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.by_sequence" loses="cut_feed_forward.signs, cut_feed_forward.secret" hint="You take the mean of each sequence first, so that a position of a short one counts more. One mean over all real positions."
def cut_feed_forward(gate, up, down, x, real, n):
    a = (F.silu(x @ gate.T) * (x @ up.T)).abs() * real[..., None]
    keep = (a.sum(1) / real.sum(1)[:, None]).mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="mutant" of="cut_feed_forward" name="cut_feed_forward.root_mean_square" loses="cut_feed_forward.signs, cut_feed_forward.secret" hint="You average squares, in which a unit that is huge once counts for much. The mean of |a|."
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(x @ gate.T) * (x @ up.T)
    keep = a[real].square().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


# %% role="alternative" of="cut_feed_forward" name="cut_feed_forward.by_position"
def cut_feed_forward(gate, up, down, x, real, n):
    scores = torch.zeros(len(gate), dtype=gate.dtype)
    for b, t in real.nonzero().tolist():
        z = gate @ x[b, t]
        scores += (z * torch.sigmoid(z) * (up @ x[b, t])).abs()
    keep = torch.argsort(scores, descending=True)[:n]
    return gate.index_select(0, keep), up.index_select(0, keep), down.index_select(1, keep)


# %% role="alternative" of="cut_feed_forward" name="cut_feed_forward.by_mask"
def cut_feed_forward(gate, up, down, x, real, n):
    a = F.silu(F.linear(x, gate)) * F.linear(x, up)
    scores = (a.abs() * real[..., None]).sum((0, 1)) / real.sum()
    stays = scores >= scores.sort(descending=True).values[n - 1]
    return gate[stays], up[stays], down[:, stays]


# %% [markdown]
# The model has four blocks, each with 4 heads and 256 units. First it is cut and not trained: by rank and by chance. Then your function goes through its four blocks; 64 of 256 units stay, and with them half of the model's parameters. What is left is trained for 52 steps of 512 tokens, a seventieth of what the teacher was trained for: once with the labels (the true tapes), once with what the uncut model says at every place of the same tapes.
#
# **What do you expect?** What can the model do without: half of the units, one head of four, or one block of four? And: in arithmetic the next digit is certain, and the teacher knows it. Its distribution is nearly the label itself. Can soft targets be worth anything here?

# %% role="show" name="lm"
lm_teacher = lm.load(data_file("arithmetic/teacher.safetensors"))
tokenizer = lm.Tokenizer.characters(ALPHABET)
pool = lm.arithmetic(8000, seed=1)
known = {problem.question for problem in pool}
held_out = lm.arithmetic(20 if scale == "smoke" else 200, seed=2, exclude=known)


def tapes(problems):
    """(question, tape) as ids, the tape with its end."""
    pairs = [(tokenizer.encode(p.question), tokenizer.encode(p.solution)) for p in problems]
    return [(question, [*tape, tokenizer.eos]) for question, tape in pairs]


lm_steps = {"smoke": 4, "default": 52, "full": 52}[scale]
source = lm.SequenceBatches(tapes(pool[:6000]), tokens=512, seed=0)
lm_batches = [batch for batch, _ in zip(source, range(lm_steps), strict=False)]
lm_test = list(lm.SequenceBatches(tapes(held_out), tokens=4096, shuffle=False))


@torch.no_grad()
def next_token(model):
    """Nats per token of held-out tapes, and percent of tokens foretold, each after a true beginning."""
    loss = hits = count = 0
    for batch in lm_test:
        z = model(batch["input_ids"], batch["attention_mask"], batch["positions"])
        loss += float(F.cross_entropy(z, batch["labels"], reduction="sum"))
        hits += int((z.argmax(-1) == batch["labels"]).sum())
        count += len(z)
    return loss / count, 100 * hits / count


found = compress.importance(lm_teacher, lm_batches[:8])
print(f"{held_out[0].question}  ->  {held_out[0].solution}\n")
print("block   heads, |o|             units, |a|: least, median, most   influence")
for n, block_units in enumerate(found["units"]):
    head_sizes = " ".join(f"{size:5.2f}" for size in found["heads"][n].tolist())
    three = block_units.min(), block_units.median(), block_units.max()
    three = " ".join(f"{size:8.2f}" for size in three)
    print(f"{n:3d}     {head_sizes}     {three}{'':11s}{found['layers'][n]:.2f}")

dice = torch.Generator().manual_seed(0)


def by_chance(part):
    return torch.rand(found[part].shape, generator=dice)


def untrained(name, net):
    loss, hits = next_token(net)
    print(f"{name:36s}{loss:8.2f} {hits:15.1f}")


print("\ncut, and not trained:               nats a token   % of tokens right")
untrained("nothing cut", lm_teacher)
for part, n in (("units", 128), ("units", 64), ("heads", 3)):
    for how, scores in (("by rank", found[part]), ("random", by_chance(part))):
        net = compress.cut_transformer(lm_teacher, **{part: scores.topk(n).indices})
        untrained(f"{n} {part} in a block, {how}", net)
for n in range(4):
    net = compress.cut_transformer(lm_teacher, layers=[m for m in range(4) if m != n])
    untrained(f"all blocks but block {n}", net)


def library_feed_forward(gate, up, down, x, real, n):
    keep = (F.silu(x @ gate.T) * (x @ up.T))[real].abs().mean(0).topk(n).indices
    return gate[keep], up[keep], down[:, keep]


cut_layer = check.ready(cut_feed_forward, library_feed_forward)
seen = {key: lm_batches[0][key] for key in ("input_ids", "attention_mask")}


def halved_lm():
    """The teacher with 64 units in each block, by what the first batch shows."""
    small = copy.deepcopy(lm_teacher)
    names = [f"blocks.{n}.feed_forward_norm" for n in range(len(small.blocks))]
    with torch.no_grad(), tinykd.Capture(lm_teacher, names) as inside:
        lm_teacher(**seen)
        for name, block in zip(names, small.blocks, strict=True):
            layers = [getattr(block.feed_forward, part) for part in ("gate", "up", "down")]
            weights = [layer.weight.data for layer in layers]
            cut_weights = cut_layer(*weights, inside[name], seen["attention_mask"].bool(), 64)
            for layer, weight in zip(layers, cut_weights, strict=True):
                layer.weight = nn.Parameter(weight.clone())
    small.config.hidden = 64
    return small


def solved(model):
    """Percent of a hundred held-out problems with the right answer, written greedily."""
    how = {"temperature": 0, "max_new": 40, "batch_size": 512, "progress": False}
    return 100 * lm.sample(model, tokenizer, held_out[:100], **how).right.mean()


def fit_lm(model, told, rate, T):
    """Trained once on all batches, on the labels or on what the uncut model says if `told`."""
    Trainer(
        model,
        1.0 * SoftTargets(T=T) if told else HardLabels(),
        teacher=lm_teacher if told else None,
        optimizer=lambda ps: torch.optim.AdamW(ps, rate, betas=(0.9, 0.99), fused=True),
        schedule=tinykd.warm_up(tinykd.cosine(1, 0), 0.05),
        clip=1.0,
        progress=False,
        device="cpu",
    ).fit(lm_batches)  # fmt: skip
    return model


lm_results = json.loads(data_file("results/prune_language_model.json").read_text())
lm_settings = lm_results["settings"]
size, half = (sum(p.numel() for p in net.parameters()) for net in (lm_teacher, halved_lm()))
print(f"{size:,} parameters, cut to {half:,}")
print(f"{'':28s}nats a token   % of problems solved")
for name, net in (("uncut", lm_teacher), ("cut, not trained", halved_lm())):
    print(f"{name:28s}{next_token(net)[0]:12.3f}{solved(net):14.1f}", flush=True)
for name, told in (("cut, labels", False), ("cut, soft targets", True)):
    net = fit_lm(halved_lm(), told, lm_settings["rates"]["cut"], lm_settings["T"])
    print(f"{name:28s}{next_token(net)[0]:12.3f}{solved(net):14.1f}", flush=True)

# %% [markdown]
# **What we saw** (one cut of each kind). Looking pays: without half of the units the model foretells 94.3% of the tokens if the rank chose, 84.8% if chance did. Heads are dearer, there are only four in a block. And the two ranks of blocks disagree. By its influence block 2 does least (0.20, block 3: 0.25); by the loss block 3 is missed least (0.19 nats, block 2: 0.69). An angle does not say what the blocks behind make of the difference. Where
# there is time for as many passes as there are blocks, ask the loss. Block 0 nobody can spare.
#
# One token in five wrong is a lot where every digit builds on the one before: cut to half and not trained, the model solves few problems. Fifty-two steps bring most of it back.
#
# Five seeds of ours (`benchmarks/prune_language_model.py`), each start beside the others at the same 25,000 tokens: cut **by rank**; cut **blind**, every fourth unit, as one halves a model without looking; cut at **random**; and **anew**, the same small shape from random weights, with a learning rate of its own (the rates of the cut by rank and of *anew*, and T, were chosen on validation problems of one more seed).
#
# **What do you expect?** After training, how much is left of the lead that the rank has before it?


# %% role="show" name="results-lm" folded=true
def lm_runs(setting, method, key="accuracy"):
    """Of our language models, by seed: percent solved, or nats per token."""
    return {
        r["seed"]: (100 if key == "accuracy" else 1) * r[key]
        for r in lm_results["runs"]
        if (r["setting"], r["method"]) == (setting, method)
    }


def lm_gap(one, other, key="accuracy", digits=1):
    """Mean difference of two (setting, method), paired by seed, half its interval, a verdict."""
    mine, theirs = lm_runs(*one, key), lm_runs(*other, key)
    gap = mean_interval([mine[seed] - theirs[seed] for seed in sorted(mine)])
    return f"{gap[0]:+7.{digits}f} ± {gap[1]:.{digits}f} {verdict(gap)}"


STARTS = ("by rank", "blind", "random", "anew")
for cut_name, shape in lm_settings["cuts"].items():
    stay = ", ".join(f"{n} {part}" for part, n in shape.items())
    seeds = len(lm_runs(f"{cut_name}, by rank", "labels"))
    print(f"{cut_name}: {stay} stay in each block; {seeds} seeds, % solved")
    print(f"  {'':8s}untrained labels  soft  soft - labels           nats saved by soft")
    for start in STARTS:
        setting, line = f"{cut_name}, {start}", f"  {start:8s}"
        for method, wide in (("nothing", 9), ("labels", 7), ("soft targets", 6)):
            values = list(lm_runs(setting, method).values())
            line += f"{sum(values) / len(values):{wide}.1f}" if values else f"{'-':>{wide}s}"
        soft, hard = (setting, "soft targets"), (setting, "labels")
        print(f"{line}  {lm_gap(soft, hard):23s} {lm_gap(hard, soft, 'nll', 3)}")
    for method in ("labels", "soft targets"):
        for rival in STARTS[1:]:
            gap = lm_gap((f"{cut_name}, by rank", method), (f"{cut_name}, {rival}", method))
            print(f"  by rank - {rival:8s} {method:14s}{gap}")
    print()
figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
for n, method in enumerate(("nothing", "labels", "soft targets")):
    column = 0
    for cut_name in lm_settings["cuts"]:
        for start in STARTS:
            values = list(lm_runs(f"{cut_name}, {start}", method).values())
            if values:
                middle, half_width = mean_interval(values)
                where = column + 0.2 * (n - 1)
                axes.errorbar(where, middle, half_width, fmt="osD"[n], color=COLORS[n], capsize=3)
            column += 1
    label = "not trained" if method == "nothing" else method
    axes.plot([], [], "osD"[n], color=COLORS[n], label=label)
axes.set_xticks(range(column), list(STARTS) * len(lm_settings["cuts"]))
for n, cut_name in enumerate(lm_settings["cuts"]):
    axes.text(4 * n + 1.5, 103, f"cut: {cut_name}", ha="center")
    if n:
        axes.axvline(4 * n - 0.5, color="black", linewidth=0.6)
axes.set(ylim=(-4, 110), ylabel="problems solved, %")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
plots.show(
    "Percent of problems solved after two cuts and four starts. Cut by rank and trained, about 52 to 62 percent; blind and random cuts lie far below, at 7 to 34; models begun anew near 0. Soft targets lie above labels for the cut by rank. Without training all are below 11 percent on average."
)

# %% [markdown]
# **What we saw.** Five seeds, half of the parameters, 25,000 tokens each; the uncut model solves all 200 problems.
#
# - **The rank decides.** With the same teacher and tokens, cut by rank solves 61.6% of the problems, at random 34.4% (27.2 ± 11.2 points less), blind 23.4% (38.2 ± 6.7). Where a head of each block goes too, the others have nearly nothing left to start from: 59.6% by rank, 7.3% and 11.9% (52.3 ± 3.2 and 47.7 ± 2.0 points less). Training does not even out a bad cut in so few steps. (There is one blind cut, the same for all seeds; its interval is one of training alone. And one rate serves all cuts, that which is best for the rank: at three times this rate blind and random cuts solved some points more of our validation problems. That would narrow the gap, not close it.) The price of the rank is eight batches, about a second.
# - **Anew** is at about 1%: in 25,000 tokens it hardly begins to learn what the others were given. That is what "40 times fewer tokens" is about, and it holds for few tokens: lesson 14's students start anew and solve 98%, after 72 times as many.
# - **Labels or soft targets?** For the cut by rank soft targets at $T = 2$ save 0.019 ± 0.009 and 0.029 ± 0.018 nats a token; in problems solved that is 6.1 ± 6.2 points, undecided, and 7.4 ± 2.3. Nearly certain tapes leave a teacher little to say beyond the label, and a little there is. For models begun anew, nothing is decided between them. Minitron found distillation the better repair too, and on texts, where several words may come next, a teacher has more to say.
# - Compare the sizes of both: the choice of what to keep is worth several times what the choice of targets is.
#
# ## 3 · Fewer bits
#
# A weight is stored in 32 bits. That is more than anybody needs. With 8 bits a weight can be one of 256 numbers, evenly spaced:
#
# $$q = \mathrm{clamp}\big(\mathrm{round}(x / s) + z,\ q_{\min},\ q_{\max}\big), \qquad \hat x = s\,(q - z).$$
#
# $s$ is the **scale**, the distance of neighbours; $z$ the **zero point**, the whole number that stands for 0. It must be a whole number: zeros are everywhere, as padding and behind every ReLU, and should come back as zeros. `int8` runs from −128 to 127.
#
# - **Weights** lie on both sides of 0. One takes $z = 0$ and the range −127 to 127, *symmetric*, and a scale of its own for each output channel, because channels differ much in size: $s_c = \max|w_c| / 127$. (Below you will find 63 in place of 127: section 4 says why.)
# - **What flows between layers** has one scale and one zero point per layer. Behind a ReLU everything is at least 0, and $z = -128$ uses all 256 numbers for it. The range is read off from some hundred samples: *calibration*.
#
# ### Batch norm has to go first
#
# In training a batch norm divides by what it sees in the batch. Afterwards mean and variance are fixed, and it is a factor and a shift for each channel:
#
# $$\mathrm{BN}(y) = \gamma\,\frac{y - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta.$$
#
# The layer before it computes $y = Wx + b$, one row of $W$ for each channel. Two linear maps in a row are one: put the factor into the row and everything else into the bias. The folded net computes the same with fewer operations. And rounding must see the *folded* weights, since those are what the phone
# will multiply by: channels that were alike before may differ a hundredfold after it.
#
# ### Exercise 5: fold a batch norm
# <details><summary>Hint 1: multiply out</summary>
#
# With $f = \gamma / \sqrt{\sigma^2 + \epsilon}$: $f\,(Wx + b - \mu) + \beta = (fW)\,x + f\,(b - \mu) + \beta$.
# </details>
# <details><summary>Hint 2: one factor for each output channel</summary>
#
# The factor belongs to axis 0 of the weights, and they have two axes in a linear layer, four in a convolution: `f.view(-1, *[1] * (weight.dim() - 1))`.
# </details>


# %% role="answer" name="fold_norm" library="tinykd.compress.fold_batch_norm, torch.nn.utils.fusion.fuse_conv_bn_weights, torch.nn.utils.fuse_conv_bn_weights, torch.nn.utils.fuse_linear_bn_weights"
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    """Weight and bias of the one layer that computes batch norm(layer(x)) in eval mode.

    weight: (out, ...), of a linear layer or a convolution. bias: (out,). gamma, beta, mean, var: (out,), of the
    batch norm gamma (y - mean) / sqrt(var + eps) + beta. Returns new (weight, bias).
    """
    # YOUR CODE: a factor for each output channel, then both
    # BEGIN SOLUTION
    factor = gamma / (var + eps).sqrt()
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), factor * (bias - mean) + beta
    # END SOLUTION


# %% role="check" name="fold_norm.linear" points=1 hint="A linear layer with as many inputs as outputs: the factor belongs to the rows, axis 0."
rng = check.rng("fold_norm.linear")
check(
    "fold_norm.linear", check.call(fold_norm, normal(rng, 4, 4), normal(rng, 4), *norm_of(rng, 4))
)

# %% role="check" name="fold_norm.convolution" points=1 hint="A convolution (out, in, 3, 3): one factor for each of the `out` channels."
rng = check.rng("fold_norm.convolution")
check(
    "fold_norm.convolution",
    check.call(fold_norm, normal(rng, 5, 3, 3, 3), normal(rng, 5), *norm_of(rng, 5)),
)

# %% role="hidden" name="fold_norm.secret" points=1 hint="A depthwise convolution (channels, 1, 3, 3), and one over signals (out, in, 3)."
rng = check.rng("fold_norm.secret")
found = [
    check.call(fold_norm, normal(rng, 6, *shape), normal(rng, 6), *norm_of(rng, 6))
    for shape in ((1, 3, 3), (2, 3))
]
check("fold_norm.secret", found)


# %% role="mutant" of="fold_norm" name="fold_norm.no_eps" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="eps is missing under the root."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / var.sqrt()
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), factor * (bias - mean) + beta


# %% role="mutant" of="fold_norm" name="fold_norm.eps_outside" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="eps is added to the variance, under the root."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / (var.sqrt() + eps)
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), factor * (bias - mean) + beta


# %% role="mutant" of="fold_norm" name="fold_norm.no_root" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="You divide by the variance. Divide by its square root."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / (var + eps)
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), factor * (bias - mean) + beta


# %% role="mutant" of="fold_norm" name="fold_norm.bias_unscaled" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="The layer's own bias goes through the norm too: it is multiplied by the factor."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / (var + eps).sqrt()
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), bias - factor * mean + beta


# %% role="mutant" of="fold_norm" name="fold_norm.no_bias" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="The layer's own bias is missing."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / (var + eps).sqrt()
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), beta - factor * mean


# %% role="mutant" of="fold_norm" name="fold_norm.plus_mean" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="The mean is subtracted."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / (var + eps).sqrt()
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), factor * (bias + mean) + beta


# %% role="mutant" of="fold_norm" name="fold_norm.columns" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="The factor is multiplied along the last axis. It belongs to the output channels, axis 0."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / (var + eps).sqrt()
    if weight.shape[-1] != len(factor):
        return weight * factor.mean(), factor * (bias - mean) + beta
    return weight * factor, factor * (bias - mean) + beta


# %% role="mutant" of="fold_norm" name="fold_norm.weight_only" loses="fold_norm.linear, fold_norm.convolution, fold_norm.secret" hint="beta is added after the factor, not before it."
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    factor = gamma / (var + eps).sqrt()
    return weight * factor.view(-1, *[1] * (weight.dim() - 1)), factor * (bias - mean + beta)


# %% role="alternative" of="fold_norm" name="fold_norm.transposed"
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    f = gamma * torch.rsqrt(var + eps)
    return (weight.transpose(0, -1) * f).transpose(0, -1), f * bias + (beta - f * mean)


# %% role="alternative" of="fold_norm" name="fold_norm.row_by_row"
def fold_norm(weight, bias, gamma, beta, mean, var, eps):
    w, b = weight.clone(), bias.clone()
    for c in range(len(gamma)):
        f = gamma[c] / math.sqrt(float(var[c]) + eps)
        w[c] = f * weight[c]
        b[c] = f * (bias[c] - mean[c]) + beta[c]
    return w, b


# %% [markdown]
# ### Training through a staircase
#
# Rounding has the derivative 0 almost everywhere: nothing is learned through it. The **straight-through estimator** (Bengio, Léonard, Courville, [arXiv 1308.3432](https://arxiv.org/abs/1308.3432)) rounds on the way forward, and on the way back pretends that it had not. In code it is one line:
#
# `rounded = v + (torch.round(v) - v).detach()`: the value of `round(v)`, the gradient of `v`.
#
# The clamp keeps its own gradient: 1 inside the range, 0 outside, where moving $x$ changes nothing. A layer whose weights and inputs go through this is **fake-quantised**: it computes in floating point with numbers that are all of the form $s\,(q - z)$. Training goes on in it, so that the weights learn
# to live on the staircase: *quantisation-aware training* (Jacob et al., [arXiv 1712.05877](https://arxiv.org/abs/1712.05877)). The same line gives $s$ a gradient as well, so scales can be learned with the weights (Esser et al., [arXiv 1902.08153](https://arxiv.org/abs/1902.08153)).
#
# ### Exercise 6: fake quantisation
# <details><summary>Hint 1: order</summary>
#
# Divide by the scale, round with the line above, add the zero point, clamp, subtract the zero point, multiply by the scale.
# </details>
# <details><summary>Hint 2: the gradient in the scale</summary>
#
# It comes by itself, if the scale is in the computation as a tensor and only the rounding is detached. Then it is $\mathrm{round}(x/s) - x/s$ inside the range, and $q_{\min} - z$ or $q_{\max} - z$ outside.
# </details>


# %% role="answer" name="fake_quantize" library="tinykd.compress.fake_quantize, torch.fake_quantize_per_tensor_affine, torch.fake_quantize_per_channel_affine"
def fake_quantize(x, scale, zero, low, high):
    """x after a way through whole numbers: scale (clamp(round(x / scale) + zero, low, high) - zero).

    x: any shape. scale: a tensor that fits to it. zero, low, high: whole numbers. Differentiable in x and in scale: in the
    backward pass rounding counts as the identity, and the clamp as what it is. Returns a tensor like x.
    """
    # YOUR CODE: the formula; the rounding by the straight-through estimator
    # BEGIN SOLUTION
    steps = x / scale
    steps = steps + (torch.round(steps) - steps).detach()
    return ((steps + zero).clamp(low, high) - zero) * scale
    # END SOLUTION


# %% role="check" name="fake_quantize.symmetric" points=1 hint="zero = 0, from -127 to 127. Value and gradient in x: 1 where x is in the range, 0 beyond it."
rng = check.rng("fake_quantize.symmetric")
s = a_scale(rng)
v = unrounded(rng, (4, 6), s, 0, -127, 127)
check("fake_quantize.symmetric", with_gradient(check.call(fake_quantize, v, s, 0, -127, 127), v))

# %% role="check" name="fake_quantize.zero" points=1 hint="With a zero point, and 4 bits: from -8 to 7. Value and gradient in x."
rng = check.rng("fake_quantize.zero")
s = a_scale(rng)
v = unrounded(rng, (5, 5), s, -5, -8, 7)
check("fake_quantize.zero", with_gradient(check.call(fake_quantize, v, s, -5, -8, 7), v))

# %% role="check" name="fake_quantize.scale" points=1 hint="One scale for each row, and the gradient in the scales: only the rounding is detached, and it alone."
rng = check.rng("fake_quantize.scale")
s = a_scale(rng, 3, 1)
v = unrounded(rng, (3, 8), s, 2, -7, 7)
check("fake_quantize.scale", with_gradient(check.call(fake_quantize, v, s, 2, -7, 7), s))

# %% role="hidden" name="fake_quantize.secret" points=1 hint="Other bits and zero points, a scale for each channel of a convolution; both gradients."
rng, found = check.rng("fake_quantize.secret"), []
for bits, zero, shape in ((8, -128, (6, 7)), (3, 1, (4, 2, 3, 3))):
    s = a_scale(rng, shape[0], *[1] * (len(shape) - 1))
    v = unrounded(rng, shape, s, zero, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    back = check.call(fake_quantize, v, s, zero, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    found.append(with_gradient(back, v, s))
check("fake_quantize.secret", found)


# %% role="mutant" of="fake_quantize" name="fake_quantize.zero_detached" loses="fake_quantize.scale, fake_quantize.secret" hint="scale * zero is subtracted as a constant, but it depends on the scale: nothing but the rounding is detached."
def fake_quantize(x, scale, zero, low, high):
    steps = x / scale
    whole = (steps + (torch.round(steps) - steps).detach() + zero).clamp(low, high)
    return scale * whole - (scale * zero).detach()


# %% role="mutant" of="fake_quantize" name="fake_quantize.scale_detached" loses="fake_quantize.scale, fake_quantize.secret" hint="The value is right, and so is the gradient in x; the one in the scale is not. Detach the rounding and nothing else."
def fake_quantize(x, scale, zero, low, high):
    fixed = scale.detach()
    steps = x / fixed
    steps = steps + (torch.round(steps) - steps).detach()
    return ((steps + zero).clamp(low, high) - zero) * fixed + 0 * scale


# %% role="mutant" of="fake_quantize" name="fake_quantize.division_detached" loses="fake_quantize.scale, fake_quantize.secret" hint="Your x / scale takes the scale for a constant, so half of its gradient is missing. Detach the rounding and nothing else."
def fake_quantize(x, scale, zero, low, high):
    steps = x / scale.detach()
    steps = steps + (torch.round(steps) - steps).detach()
    return ((steps + zero).clamp(low, high) - zero) * scale


# %% role="mutant" of="fake_quantize" name="fake_quantize.no_estimator" loses="fake_quantize.symmetric, fake_quantize.zero, fake_quantize.scale, fake_quantize.secret" hint="torch.round has the gradient 0: nothing would be learned. v + (torch.round(v) - v).detach()."
def fake_quantize(x, scale, zero, low, high):
    return ((torch.round(x / scale) + zero).clamp(low, high) - zero) * scale + 0 * x


# %% role="mutant" of="fake_quantize" name="fake_quantize.no_clamp" loses="fake_quantize.symmetric, fake_quantize.zero, fake_quantize.scale, fake_quantize.secret" hint="Numbers beyond the range are clamped to low and high."
def fake_quantize(x, scale, zero, low, high):
    steps = x / scale
    steps = steps + (torch.round(steps) - steps).detach()
    return steps * scale


# %% role="mutant" of="fake_quantize" name="fake_quantize.through_everything" loses="fake_quantize.symmetric, fake_quantize.zero, fake_quantize.scale, fake_quantize.secret" hint="The clamp is detached together with the rounding: beyond the range x still has a gradient, where moving it changes nothing."
def fake_quantize(x, scale, zero, low, high):
    back = ((torch.round(x / scale) + zero).clamp(low, high) - zero) * scale
    return x + (back - x).detach() + 0 * scale


# %% role="mutant" of="fake_quantize" name="fake_quantize.not_back" loses="fake_quantize.symmetric, fake_quantize.zero, fake_quantize.scale, fake_quantize.secret" hint="These are the whole numbers. Multiply by the scale to come back."
def fake_quantize(x, scale, zero, low, high):
    steps = x / scale
    steps = steps + (torch.round(steps) - steps).detach()
    return (steps + zero).clamp(low, high) - zero


# %% role="mutant" of="fake_quantize" name="fake_quantize.zero_kept" loses="fake_quantize.scale, fake_quantize.zero, fake_quantize.secret" hint="The zero point is added before the clamp and subtracted after it; you left it in."
def fake_quantize(x, scale, zero, low, high):
    steps = x / scale
    steps = steps + (torch.round(steps) - steps).detach()
    return (steps + zero).clamp(low, high) * scale


# %% role="mutant" of="fake_quantize" name="fake_quantize.zero_ignored" loses="fake_quantize.scale, fake_quantize.zero, fake_quantize.secret" hint="Without the zero point the range is another one: low - zero to high - zero."
def fake_quantize(x, scale, zero, low, high):
    steps = x / scale
    steps = steps + (torch.round(steps) - steps).detach()
    return steps.clamp(low, high) * scale


# %% role="mutant" of="fake_quantize" name="fake_quantize.floor" loses="fake_quantize.symmetric, fake_quantize.zero, fake_quantize.scale, fake_quantize.secret" hint="floor always goes down. To the nearest: torch.round."
def fake_quantize(x, scale, zero, low, high):
    steps = x / scale
    steps = steps + (torch.floor(steps) - steps).detach()
    return ((steps + zero).clamp(low, high) - zero) * scale


# %% role="mutant" of="fake_quantize" name="fake_quantize.times" loses="fake_quantize.symmetric, fake_quantize.zero, fake_quantize.scale, fake_quantize.secret" hint="The scale is the distance of neighbours: divide by it on the way to whole numbers, multiply on the way back."
def fake_quantize(x, scale, zero, low, high):
    steps = x * scale
    steps = steps + (torch.round(steps) - steps).detach()
    return ((steps + zero).clamp(low, high) - zero) / scale


# %% role="alternative" of="fake_quantize" name="fake_quantize.clamped_first"
def fake_quantize(x, scale, zero, low, high):
    v = torch.clamp(x / scale, low - zero, high - zero)
    return scale * (v + (v.round() - v).detach())


# %% role="alternative" of="fake_quantize" name="fake_quantize.by_where"
def fake_quantize(x, scale, zero, low, high):
    v = x / scale
    whole = v + (torch.round(v).detach() - v.detach())
    bottom, top = torch.full_like(v, low - zero), torch.full_like(v, high - zero)
    whole = torch.where(whole < bottom, bottom, whole)
    return torch.where(whole > top, top, whole) * scale


# %% [markdown]
# Round the student, batch norms folded, without any training after it. (`compress.quantized` folds, puts a fake quantisation in front of each layer and around its weights, and reads the ranges off from the digits that you hand over.)
#
# **What do you expect?** Down to how many bits does it work? Each bit less doubles the distance between neighbours.

# %% role="show" name="bits"
whole = right(student)
print(f"32 bits: {whole:.2f}% right")
for bits in (8, 6, 5, 4, 3):
    rounded = compress.quantized(student, x[:500], bits)
    print(f"{bits:2d} bits: {right(rounded):.2f}% right")

# %% [markdown]
# Eight bits cost next to nothing here, and at some point it falls off a cliff. So training through the rounding has nothing to repair at 8 bits, and much at 3 or 4. Below: five seeds; after rounding, 100 more steps with labels, or with the teacher's soft targets.
#
# **What do you expect?** At which number of bits will it matter who teaches?

# %% role="show" name="qat"
for name, told in (("labels", None), ("soft targets", said)):
    few = compress.quantized(student, x[:500], 4)
    before = right(few)
    fit(few, told, qat_steps, settings["quantised"]["rate"])
    print(f"4 bits, your run: {before:.2f}% right, trained on with {name}: {right(few):.2f}%")
print(f"\nOur {len(runs('8 bits', 'labels'))} seeds:")
for bits in settings["quantised"]["bits"]:
    table(f"{bits} bits", ["nothing", "labels", "soft targets"], ["nothing", "labels"])
print("\nagainst the same student in 32 bits, points:")
for bits in settings["quantised"]["bits"]:
    for method in ("nothing", "labels", "soft targets"):
        gap = against(f"{bits} bits", method, "soft targets", "small")
        print(f"  {bits} bits, {method:14s}{gap[0]:+7.2f} ± {gap[1]:.2f}  {verdict(gap)}")

# %% [markdown]
# **What we saw.** At 8 bits, rounding costs 0.13 ± 0.06 points, so little that our five seeds show no difference between any two of: rounded and left alone, trained on with labels, trained on with the teacher. "Train quantisation-aware" is advice for where there is something to repair. At 4 bits there is: 100 steps bring back some 24 points, and what remains lost stays lost in these 100 steps.
#
# Who teaches? At 4 bits the student that learns from soft targets is ahead by 0.43 points, with an interval of ± 0.53: undecided. Polino et al. ([arXiv 1802.05668](https://arxiv.org/abs/1802.05668)) report clear gains for a distilled teacher, with other networks and far longer training. In our setting five seeds do not show it.
#
# ## 4 · Whole numbers in earnest
#
# Nothing has become smaller or faster yet. A fake-quantised network stores floating-point numbers and multiplies floating-point numbers; that they all happen to lie on a grid is known to nobody but us. What makes a phone fast is a layer of **integers**.
#
# Write inputs as $x = s_x (q_x - z_x)$ and the weights of output $c$ as $w_c = s_c\, q_c$. Then
#
# $$y_c = \sum_i w_{ci} x_i + b_c = s_x s_c \Big( \underbrace{\sum_i q_{ci}\,(q_{x,i} - z_x) + q_{b,c}}_{\text{whole numbers}} \Big), \qquad q_{b,c} = \mathrm{round}\Big(\frac{b_c}{s_x s_c}\Big).$$
#
# The sum of products of 8-bit numbers is whole, and is kept in 32 bits, where it fits. The bias is added in the sum's own units. At the end there is one multiplication for each output, which brings it to the *next* layer's scale: $q_y = \mathrm{clamp}(\mathrm{round}(f_c \cdot \text{sum}) + z_y, -128, 127)$ with $f_c = s_x s_c / s_y$.
# A ReLU is in it for free: with $z_y = -128$ the clamp cuts off everything below 0.
#
# ### Exercise 7: a layer of integers
# In PyTorch the product of two `int8` tensors is `int8`, and wraps around: $100 \cdot 2 = -56$. Make them `int32` before you subtract or multiply anything.
#
# <details><summary>Hint 1: the sum</summary>
#
# `q_x.int()` is of 32 bits. `(q_x.int() - zero_x) @ q_w.int().T + q_b` is a whole number for each output, `(B, out)`.
# </details>
# <details><summary>Hint 2: the end</summary>
#
# Multiply by `factor`, `torch.round`, add `zero_y`, clamp to -128 and 127, and `.to(torch.int8)` last of all: a number beyond the range would wrap around.
# </details>


# %% role="answer" name="integer_layer"
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    """A linear layer in whole numbers: int8 in, int8 out.

    q_x: int8 (B, in), standing for s_x (q_x - zero_x). q_w: int8 (out, in), symmetric. q_b: int32 (out,), in units of s_x s_w.
    factor: (out,), s_x s_w / s_y. zero_y: the zero point of what comes out. Returns int8 (B, out), rounded to the nearest.
    """
    # YOUR CODE: whole numbers of 32 bits; then factor, rounding, zero point, clamp, int8
    # BEGIN SOLUTION
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b  # (B, out)
    return (torch.round(total * factor) + zero_y).clamp(-128, 127).to(torch.int8)
    # END SOLUTION


# %% role="check" name="integer_layer.values" points=2 hint="Subtract the input's zero point, multiply and add up in 32 bits, add the bias; then factor, round, zero point, clamp."
rng = check.rng("integer_layer.values")
check("integer_layer.values", check.call(integer_layer, *integers_of(rng, 3, 12, 4)).int())

# %% role="check" name="integer_layer.kind" points=1 constant=true hint="The result is of type int8 and of shape (B, out)."
rng = check.rng("integer_layer.kind")
found = check.call(integer_layer, *integers_of(rng, 2, 6, 5))
check("integer_layer.kind", [str(found.dtype), list(found.shape)])

# %% role="hidden" name="integer_layer.secret" points=1 hint="More inputs, as many outputs as digits in the batch."
rng = check.rng("integer_layer.secret")
check("integer_layer.secret", check.call(integer_layer, *integers_of(rng, 4, 60, 4)).int())


# %% role="mutant" of="integer_layer" name="integer_layer.no_ceiling" loses="integer_layer.values, integer_layer.secret" hint="Only the lower end is clamped: what is above 127 wraps round to negative numbers."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (torch.round(total * factor) + zero_y).clamp(min=-128).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.unsigned" loses="integer_layer.values, integer_layer.secret" hint="255 is the end of unsigned 8-bit numbers. int8 ends at 127."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (torch.round(total * factor) + zero_y).clamp(-128, 255).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.wraps" loses="integer_layer.values, integer_layer.secret" hint="8 bits are too few for a product: .int() first."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    products = (q_x - zero_x)[:, None].to(torch.int8) * q_w
    total = products.int().sum(-1) + q_b
    return (torch.round(total * factor) + zero_y).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.wrapped_zero" loses="integer_layer.values, integer_layer.secret" hint="q_x - zero_x was computed in 8 bits: 127 - (-100) is -29 there. q_x.int() - zero_x."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x - zero_x).to(torch.int8).int() @ q_w.int().T + q_b
    return (torch.round(total * factor) + zero_y).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.no_zero" loses="integer_layer.values, integer_layer.secret" hint="The input's zero point is missing: q_x stands for s_x (q_x - zero_x)."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = q_x.int() @ q_w.int().T + q_b
    return (torch.round(total * factor) + zero_y).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.no_zero_out" loses="integer_layer.values, integer_layer.secret" hint="The output's zero point is missing."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return torch.round(total * factor).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.no_clamp" loses="integer_layer.values, integer_layer.secret" hint="Beyond the range an int8 wraps around: clamp before .to(torch.int8)."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (torch.round(total * factor) + zero_y).int().to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.truncated" loses="integer_layer.values, integer_layer.secret" hint=".to(torch.int8) cuts off what is behind the point. Round first."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (total * factor + zero_y).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.clamp_early" loses="integer_layer.values, integer_layer.secret" hint="The clamp comes last, after zero_y: the sum of both has to fit into -128 to 127."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (torch.round(total * factor).clamp(-128, 127) + zero_y).int().to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.floor" loses="integer_layer.values, integer_layer.secret" hint="floor always goes down. To the nearest: torch.round."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (torch.floor(total * factor) + zero_y).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.bias_last" loses="integer_layer.values, integer_layer.secret" hint="The bias is in units of s_x s_w, those of the sum: add it before the factor."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T
    return (torch.round(total * factor + q_b) + zero_y).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.one_factor" loses="integer_layer.values, integer_layer.secret" hint="Every output has a factor of its own."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (torch.round(total * factor.max()) + zero_y).clamp(-128, 127).to(torch.int8)


# %% role="mutant" of="integer_layer" name="integer_layer.real" loses="integer_layer.kind" hint="The values are right, and they are real numbers: .to(torch.int8)."
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = (q_x.int() - zero_x) @ q_w.int().T + q_b
    return (torch.round(total * factor) + zero_y).clamp(-128, 127)


# %% role="alternative" of="integer_layer" name="integer_layer.multiplied_out"
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    w = q_w.long()
    total = q_x.long() @ w.T - zero_x * w.sum(1) + q_b
    y = torch.round(total.double() * factor.double()) + zero_y
    return torch.clamp(y, min=-128, max=127).to(torch.int8)


# %% role="alternative" of="integer_layer" name="integer_layer.linear"
def integer_layer(q_x, zero_x, q_w, q_b, factor, zero_y):
    total = F.linear(q_x.double() - zero_x, q_w.double(), q_b.double())
    return (total * factor).round().add(zero_y).clip(-128, 127).type(torch.int8)


# %% [markdown]
# ### From the rounded student to a file
#
# That is the arithmetic; somebody else writes fast code for it. **ONNX** is a file format for networks: a list of operations, and the numbers they need. **ONNX Runtime** reads such a file and runs it, on phones and servers, without Python or torch. `torch.onnx.export` writes one; `compress.to_onnx` calls it and then does what
# the exporter does not:
#
# - every weight becomes an `int8` tensor with a scale for each channel, every bias an `int32` tensor in units of $s_x s_c$, followed by the operation `DequantizeLinear`, which is $s\,(q - z)$;
# - where a value flows from layer to layer stand `QuantizeLinear` and `DequantizeLinear`.
#
# That describes the fake-quantised network exactly, and its file is small. ONNX Runtime looks for the pattern "dequantise, layer, quantise", and puts an integer layer in its place: your exercise 7, in machine code. Where a pattern is missing, as when only fake quantisation was exported and the weights are still
# floating-point numbers, the file is as large as before and nothing becomes faster.
#
# **What do you expect?** Will the integers say exactly what the fake-quantised student said in torch?

# %% role="show" name="integers"
student_8 = fit(
    compress.quantized(student, x[:500], 8), said, qat_steps, settings["quantised"]["rate"]
)
file = compress.to_onnx(student_8, x, folder / "student int8.onnx")

import onnx

graph = onnx.load(file).graph
kinds = {}
for tensor in graph.initializer:
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    kinds[kind] = kinds.get(kind, 0) + math.prod(tensor.dims)
print("numbers in the file:", ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()))
in_torch = predict(student_8, test_images)
in_integers = compress.predict_onnx(file, test_images)
apart = (in_torch - in_integers).abs()
print(f"logits differ by {apart.mean():.1g} on average; "
      f"{tinykd.agreement(in_integers, in_torch):.2%} of the answers agree")  # fmt: skip
print(f"in torch {100 * accuracy(in_torch, test_labels):.2f}% right, "
      f"in integers {100 * accuracy(in_integers, test_labels):.2f}%")  # fmt: skip

# %% role="show" name="own-integers"
own_layer = check.ready(
    integer_layer,
    lambda q_x, zero_x, q_w, q_b, factor, zero_y: (
        torch.round(((q_x.int() - zero_x) @ q_w.int().T + q_b) * factor) + zero_y
    ).clamp(-128, 127).to(torch.int8),
)  # fmt: skip
mlp_8 = compress.quantized(mlp, x[:500], 8).eval()
first, second = mlp_8.layers[0], mlp_8.layers[1].input  # a layer, and how the next one rounds
with torch.no_grad():
    s_x, s_w, s_y = (part.log_scale.exp() for part in (first.input, first, second))
    s_w = s_w.flatten()
    q_x = compress.quantize(test_images[:500].flatten(1), s_x, first.input.zero, -128, 127).to(
        torch.int8
    )
    q_w = compress.quantize(first.layer.weight, s_w[:, None], 0, -127, 127).to(torch.int8)
    q_b = torch.round(first.layer.bias / (s_x * s_w)).int()
    q_y = own_layer(q_x, first.input.zero, q_w, q_b, s_x * s_w / s_y, second.zero)
    fake = second(F.relu(first(test_images[:500].flatten(1))))
apart = (s_y * (q_y.int() - second.zero) - fake).abs() / s_y
print(
    f"the MLP's first layer by integers: {q_y.numel():,} numbers, {float((apart < 0.5).float().mean()):.2%} the same"
)
print(f"as fake-quantised ones, the others one step apart (at most {float(apart.max()):.2f})")

# %% [markdown]
# Nearly, not exactly: a few numbers lie so close to a half that floating point and whole numbers round them to different sides, and each such step is one scale. The answers agree. If they did not, in a project of yours, this comparison is where to look first: it finds every slip in scales and zero points.
#
# One slip is not in the formulas. ONNX Runtime computes with inputs that are shifted to unsigned 8-bit numbers, 0 to 255, and processors of some years (with the instructions AVX2, without VNNI) add up *two* products of 8-bit numbers in 16 bits before they go on in 32. $2 \cdot 255 \cdot 127$ does not fit into 16 bits, and is cut off. So `compress.quantized` gives weights of 8 bits the range −63 to 63 only: a bit less of precision, and sums that fit. (ONNX Runtime
# calls it *reduced range*.)
#
# ## 5 · The report
#
# `compress.report(models, data)` exports every model, runs each in ONNX Runtime, and measures what somebody who has to choose will ask:
#
# - **parameters**, and **FLOPs** for one digit: properties of the model;
# - **bytes** of the file; **peak memory**: by how much a process grows that opens it and runs 64 digits;
# - **latency** of 1 digit and of 64 on *one thread*: median and 95th percentile of many runs, after some that warm up, the models in turn, so that what else the computer does meanwhile falls on all of them alike;
# - **accuracy** with its interval (Wilson's, for a share of the test digits), and the **calibration error** (ECE: how far confidence and accuracy lie apart; lesson 05 builds it).
#
# **What do you expect?** Write down, before you look: which of these models is smallest, which is fastest at one digit, which at 64? And does int8 make every model faster?

# %% role="show" name="report"
slim_teacher = compress.slimmer(teacher, 0.5)  # inside its blocks half of the channels stay
fit(slim_teacher, said, 20, 3e-3)
models = {
    "ResNet": teacher,
    "ResNet halved": slim_teacher,
    "MLP": mlp,
    "MLP int8": mlp_8,
    "MLP 60": slim_trained,
    "MLP 60 int8": compress.quantized(slim_trained, x[:500], 8),
    "MobileNet": student,
    "MobileNet int8": student_8,
}
found = compress.report(
    models, (test_images, test_labels), rounds=20 if scale == "smoke" else 50, folder=folder
)
print(found.table())
found.csv(folder / "small_and_fast.csv")

# %% role="show" name="fig-pareto" folded=true
found.picture()
plots.show(
    "Percent right against milliseconds for one digit, on a logarithmic axis. The ResNets are "
    "slowest and most often right, the MLPs and MobileNets several times faster and some points "
    "lower; a dashed line joins the models that no other one beats."
)

# %% [markdown]
# Times depend on your processor and on what else it is doing; read them as orders of magnitude. On ours:
#
# - **Smallest is not fastest.** The MobileNet has by far the fewest bytes. The MLP with 60 units has about twelve times its parameters and is yet at least as fast: it has less than half of its operations, and they are two large matrix products instead of many small convolutions.
# - **FLOPs are not time.** From teacher to MobileNet the operations fall by a factor of 76, the time for *one* digit by about ten or less: at some hundredths of a millisecond it is no longer arithmetic that takes the time, it is starting each operation. With 64 digits at once there is enough arithmetic, and the ratio is nearer to what the counter says.
# - **int8 makes every file smaller**: about four times for the MLP, whose file is nearly all weights, and only by about a quarter for the MobileNet, where names and structure take most of the file. It does *not* make every model faster. It pays in large matrix products; for the MobileNet's tiny depthwise layers on a processor without instructions for it, it may even cost time. Measure on the device that you ship to.
# - **Peak memory** is mostly the runtime itself, for models as small as these. Of the ResNets it is more: not their weights, but pictures of 28 × 28 in 16 channels, 64 at a time.
# - An interval of a share of 10,000 digits is about half a point wide to each side here; differences smaller than that say little with one net of each kind. For those, look at the tables over seeds.

# %% role="show" name="claims"
large = found["ResNet"]
heads = ("parameters", "bytes", "FLOPs", "time, 1", "time, 64")
print(f"{'the teacher, divided by':24s}{''.join(f'{head:>11s}' for head in heads)}   points")
for row in found.rows[1:]:
    ratios = [large[key] / row[key] for key in ("parameters", "bytes", "flops", "ms_1", "ms_64")]
    line = f"{row['model']:24s}" + "".join(f"{ratio:11.3g}" for ratio in ratios)
    print(f"{line}{100 * (row['accuracy'] - large['accuracy']):+9.2f}")
for cost_of, what in (("ms_1", "time for one digit"), ("bytes", "bytes")):
    print(f"\n{what}: no other model is both cheaper and better than")
    print("   " + ", ".join(found.frontier(cost_of)))
    print(f"   at equal accuracy, 94% right or more, cheapest: {found.cheapest(0.94, cost_of)}")
    limit = found["MobileNet"][cost_of]
    print(f"   at equal cost, no more than the MobileNet: {found.most_accurate(limit, cost_of)}")

# %% [markdown]
# **"10 to 100 times smaller, 3 to 10 times faster."** Which of it holds here?
#
# - *Smaller*: the MobileNet has 18 times fewer parameters, and its file is 13 times smaller in floats, 18 times in integers: inside the promise, at its lower end. The MLP is the counterexample: faster than the teacher, and *larger*.
# - *Faster*: for one digit, yes, about the promised factor for most of the small models. For 64 digits it is mostly far more than was promised, as these nets were chosen for little work.
# - *At what price*: some five points of accuracy. The promise is silent about that. At equal accuracy to the teacher, nothing in the table is smaller at all; halving it inside costs more than a point after a very short repair. With 2,000 digits and a few hundred steps that is what there is to have; more of either moves every row (and `settings` in our script is where to begin).
#
# A sentence like the one above has no meaning without four additions: compared with what, on which device, with how many at a time, and at which accuracy.
#
# ## Your own experiments
#
# 1. **Change the student's width and the number of steps.** Below, MobileNets of two widths, trained for a quarter of the steps above. Is the teacher still ahead? If not, after how many steps is it, and what has a student to learn from soft targets that it needs not learn from labels? Then take 500 digits in place of
#    2,000 (`few = slice(0, 500)`). Say what you expect first.
# 2. **Change what rounds.** `compress.quantized` gives every output channel its own scale. Give the whole layer one (`one_scale=True` below), at 8 and at 4 bits. What happens to a depthwise layer, and why to that kind most? Print `compress.weight_scale(layer.weight).flatten()` of the folded student's first
#    depthwise layer to see it.

# %% role="show" name="experiment"
few, one_scale = slice(0, 2000), True
keep_x, keep_y, keep_said = x, y, said
x, y, said = x[few], y[few], said[few]
steps = {"smoke": 5, "default": 100, "full": 400}[scale]
for width in (4, 8):
    scores = []
    for told in (None, said):
        torch.manual_seed(0)
        net = MobileNet(1, width, 2 * width, 4 * width, 8 * width, 10)
        scores.append(right(fit(net, told, steps, 1e-2)))
    print(f"stem of {width}: labels {scores[0]:.2f}%, soft targets {scores[1]:.2f}% right")
x, y, said = keep_x, keep_y, keep_said
for bits in (8, 4):
    net = compress.quantized(student, x[:500], bits)
    if one_scale:
        for layer in net.modules():
            if isinstance(layer, compress.Quantized):
                layer.log_scale.data[:] = layer.log_scale.max()
    print(
        f"{bits} bits, {'one scale a layer' if one_scale else 'a scale a channel'}: {right(net):.2f}% right"
    )

# %% [markdown]
# ## What we saw
# - Size, work and time are three numbers. Convolutions have little of the first and much of the second; what is small in both may still be slow, if it consists of many small steps.
# - Zeros make a net neither smaller nor faster by themselves. Cut units do both, and must be repaired.
# - Repairs with soft targets were better than with labels after each of four cuts, by about a point; the uncut net's own opinion served nearly as well. Whether the *cut* was worth it shows only beside a fresh net with the same teacher and the same steps: at 50% it was not shown, at 80% it was.
# - A language model cut in half by what its parts *do*, and trained for some dozen steps, solved about two to eight times as many problems as one cut without looking. Soft targets added some points to that, in one of two cuts shown in problems solved, in both in nats.
# - Eight bits cost a tenth of a point, and there was nothing for training to repair. At four bits training repaired most of a loss of more than 20 points; whether a teacher does that better than labels, our seeds leave undecided.
# - Integers have to be *written*: weights as int8, biases in the sum's units, zero points that a clamp can use as ReLU. A comparison of both networks' logits finds the slips.
#
# In the engine: `tinykd.MobileNet`; `tinykd.compress.prune_weights`, `GradualPruning` (a callback of `Trainer`) and `slimmer`; `importance` and `cut_transformer` for language models; `folded` and `quantized`; `to_onnx`, `predict_onnx` and `report`. Libraries go further: `torch.nn.utils.prune` has more kinds of masks, `torchao` rounds language models to 4 bits and fewer, ONNX Runtime's own
# `quantize_static` rounds a file that somebody else has trained.
#
# ## Further reading
# - Howard et al., *MobileNets*, 2017 ([arXiv 1704.04861](https://arxiv.org/abs/1704.04861)): depthwise separable convolutions, and two numbers that trade accuracy for time.
# - Han, Pool, Tran, Dally, *Learning both Weights and Connections for Efficient Neural Networks*, 2015 ([arXiv 1506.02626](https://arxiv.org/abs/1506.02626)); Li et al., *Pruning Filters for Efficient ConvNets*, 2016 ([arXiv 1608.08710](https://arxiv.org/abs/1608.08710)): weights, and channels.
# - Liu et al., *Rethinking the Value of Network Pruning*, 2018 ([arXiv 1810.05270](https://arxiv.org/abs/1810.05270)): whether a pruned net is better than the same shape trained anew. Read it with the table of section 2 beside you.
# - Muralidharan et al., *Compact Language Models via Pruning and Knowledge Distillation* (Minitron), 2024 ([arXiv 2407.14679](https://arxiv.org/abs/2407.14679)): which parts, how to rank them, and that distillation is the better repair. Men et al., *ShortGPT*, 2024 ([arXiv 2403.03853](https://arxiv.org/abs/2403.03853)): whole blocks.
# - Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*, 2017 ([arXiv 1712.05877](https://arxiv.org/abs/1712.05877)): sections 3 and 4 of this lesson.
# - Polino, Pascanu, Alistarh, *Model compression via distillation and quantization*, 2018 ([arXiv 1802.05668](https://arxiv.org/abs/1802.05668)): a distilled teacher for nets of few bits.
#
# Check your notebook with `.venv/bin/tinykd check lessons/08_small_and_fast.ipynb`.

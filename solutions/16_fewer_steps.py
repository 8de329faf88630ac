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
# # 16 · Fewer steps
#
# **What you will be able to do**
# - train, from nothing, a network that makes digits out of noise, and sample from it in as many steps as you like;
# - steer it towards the digit that was asked for, and move that steering into the weights of a student;
# - halve the number of steps, again and again, down to one;
# - say how good images are with a number, and know what the number does not see;
# - check whether a model has learned its images by heart.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: five functions of two to eight lines, and a loop over stages |
# | Importance | 3 of 5: how image generators became fast; the first lesson in which no class is matched |
# | Time | two hours of yours; 2 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02 |

# %% role="setup" name="setup"
import copy
import json
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import tinykd
from tinykd import MLP, Batches, HardLabels, MovingAverage, Trainer, cosine, mean_interval, plots
from tinykd.classroom import Checks, with_gradient
from tinykd.data import data_file
from tinykd.flow import Consistency, FlowBatches, FlowMatching, FlowNet, Guided, Judge
from tinykd.flow import MatchVelocity, TwoIntoOne, small_digits
from tinykd.plots import COLORS

check = Checks("16_fewer_steps")


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
class Wind(nn.Module):
    """A model of few numbers in float64: tanh(x A + t b + c_y). Notes at which t and y it is asked."""

    def __init__(self, rng, size=3, classes=4):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(rng.normal(size=(size, size))))
        self.b = nn.Parameter(torch.tensor(rng.normal(scale=2, size=(1, size))))
        self.c = nn.Parameter(torch.tensor(rng.normal(size=(classes + 1, size))))
        self.asked = []

    def forward(self, x, t, y):
        if t.shape != y.shape or len(x) != len(t):
            raise ValueError(f"x {tuple(x.shape)}, t {tuple(t.shape)}, y {tuple(y.shape)}")
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < len(self.c):
            raise ValueError(
                f"asked for the classes {y.tolist()}: here they are 0 to {len(self.c) - 1}, and "
                '"no class" has the number `nobody`'
            )
        self.asked.append([x.detach().clone(), t.detach().clone(), y.clone()])
        return torch.tanh(x @ self.a + t.unsqueeze(1) * self.b + self.c[y])


def numbers(rng, *shape):
    return torch.tensor(rng.normal(size=shape))


def times(rng, count):
    return torch.tensor(rng.uniform(0.05, 0.95, size=count))


def kinds(rng, count, classes=4):
    return torch.tensor(rng.integers(classes, size=count))


def cloud(rng, count, size):
    """Correlated features, off the origin."""
    mix = rng.normal(size=(size, size)) + 0.5 * np.eye(size)
    return torch.tensor(rng.normal(size=(count, size)) @ mix + rng.uniform(1, 2, size=size))


def few_alike(rng, count, size):
    """In float32: fewer samples than features, and the same ones again, disturbed."""
    a = cloud(rng, count, size)
    return a.float(), (a + 0.5 * numbers(rng, count, size)).float()


def walk(rng, count, size):
    return numbers(rng, count, size), kinds(rng, count)


def places(rng, count, size):
    return numbers(rng, count, size), times(rng, count), kinds(rng, count)


class FakeStages:
    """A student, a teacher, and a training that pulls one to the other; writes down who was there."""

    def __init__(self, rng):
        self.student, self.teacher = (nn.Linear(3, 1).double() for _ in range(2))
        for net in (self.student, self.teacher):
            net.weight.data = torch.tensor(rng.uniform(1, 2, size=(1, 3)))
        self.rate, self.log = float(rng.uniform(0.3, 0.6)), []

    def train(self, new, teacher, n):
        if not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(
                f"train got n = {n!r}: a whole number of steps is asked for, 1 or more"
            )
        self.log.append([n, int(new is teacher), int(new is self.student)])
        self.log.append([new.weight.detach().clone(), teacher.weight.detach().clone()])
        with torch.no_grad():
            new.weight.lerp_(teacher.weight + 1 / n, self.rate)

    def after(self, found):
        """What came back, what was trained how, and what the first two look like now."""
        if found is None:
            return None
        if not isinstance(found, dict):
            raise TypeError(f"a {type(found).__name__} came back, not {{number of steps: student}}")
        return {
            "students": [[n, net.weight.detach()] for n, net in sorted(found.items())],
            "trainings": self.log,
            "start": [self.student.weight.detach(), self.teacher.weight.detach()],
        }


# %% [markdown]
# ## A map instead of a class
#
# Up to now a student was asked a question with a few possible answers, and the teacher's soft targets said how likely each of them is. In this lesson there is nothing to classify. The teacher makes **images** out of **noise**: draw 196 random numbers, start there, and walk in many small steps until a digit stands there. Each step asks the network once. Sixteen steps, sixteen questions.
#
# The student is to make *the same digit out of the same noise*, in one step. What is matched is neither a class nor a distribution over classes, but a **map**: noise in, image out. The student may be as large as the teacher. What it saves is not memory but *questions*: it is faster by as many times as it asks fewer.
#
# Everything is MNIST at 14 × 14 pixels, each pixel between −1 (paper) and 1 (ink). 50,000 digits are for training, 10,000 are held out: whatever we choose, we choose by those. Our own runs over five seeds, by `benchmarks/fewer_steps.py`, lie in `datasets/results/fewer_steps.json`; they were measured with the test digits.

# %% role="show" name="digits"
scale = tinykd.scale()
per_epoch, teacher_epochs, samples = {
    "smoke": (1280, 1, 100),
    "default": (50_000, 4, 3000),
    "full": (50_000, 12, 5000),
}[scale]
every_x, every_y = small_digits("train")
x, y, held_out = every_x[:50_000][:per_epoch], every_y[:50_000][:per_epoch], every_x[50_000:]
held_out_y = every_y[50_000:]
NOBODY = 10  # the number of the class "no class"


def fit(model, objective, batches, epochs, teacher=None, rate=1e-3, callbacks=(), said=""):
    """tinykd's one loop, as in every lesson: Adam, its rate falling along a cosine."""
    before = time.perf_counter()
    adam = lambda parameters: torch.optim.Adam(parameters, rate, fused=True)
    how = {"schedule": cosine(1, 0), "callbacks": callbacks, "device": "cpu", "progress": False}
    trainer = Trainer(model, objective, teacher, adam, **how)
    history = trainer.fit(batches, epochs=epochs)
    if said:
        print(f"{said}: {trainer.step} steps, {time.perf_counter() - before:.0f} s")
    return history


stored = json.loads(data_file("results/fewer_steps.json").read_text())


def runs(method, setting, key="frechet"):
    """Of our runs, one number a seed, in the order of the seeds."""
    rows = [r for r in stored["runs"] if (r["setting"], r["method"]) == (setting, method)]
    return [r[key] for r in sorted(rows, key=lambda r: r["seed"])]


def told(values, sign="", digits=1):
    """Mean ± half of the 95% interval."""
    if not values:
        return "not run"
    mean, half = mean_interval(values)
    text = f"{mean:{sign}.{digits}f}"
    return f"{text} ± {half:.{digits}f}" if math.isfinite(half) else text


def apart(a, b):
    """How much larger the distances a are than b, paired by seed, and what that shows."""
    mean, half = mean_interval([p - q for p, q in zip(a, b, strict=True)])
    verdict = "undecided" if abs(mean) <= half else "farther" if mean > 0 else "nearer"
    return f"{mean:+5.1f} ± {half:.1f}  {verdict}"


plots.digits(held_out[:20].view(-1, 14, 14) / 2 + 0.5)
plots.show("Twenty digits of 14 by 14 pixels in two rows, coarse and easy to read.")
print(f"{len(x)} digits to learn from, {len(held_out)} held out")
print(f"our runs: seeds {sorted({r['seed'] for r in stored['runs']})}")

# %% [markdown]
# ## 1 · Which way to the data?
#
# Take noise $x_0$ and a digit $x_1$, and draw a straight line from one to the other. At time $t$ between 0 and 1 we are at
#
# $$x_t = (1-t)\,x_0 + t\,x_1,$$
#
# and all along the line we move with the same **velocity**, $x_1 - x_0$. **Flow matching** (Lipman et al. 2022, [arXiv 2210.02747](https://arxiv.org/abs/2210.02747)) trains a network $v(x_t, t, y)$ to say this velocity when it sees only where we are, at what time, and which digit $y$ is meant. The loss of one line is the mean over the $D = 196$ pixels
#
# $$L = \frac{1}{D}\,\big\lVert v(x_t, t, y) - (x_1 - x_0)\big\rVert^2.$$
#
# That is a plain regression, one random noise and one random time for each digit of the batch. It is never solved exactly: many lines cross in the same point, each with a velocity of its own, and the network can only learn their *mean*. That is what we want, for following the mean velocity through time carries the whole cloud of noise to the whole cloud of digits. But it also means that the paths that one really walks are **curved**: keep this in mind.
#
# ### Exercise 1: the loss
#
# The model is called as `model(x, t, y)`: images `(B, D)`, a time for each `(B,)`, a class for each `(B,)`; it answers with velocities `(B, D)`.
#
# <details><summary>Hint: shapes</summary>
#
# `t` has shape (B,) and `x0` has (B, D). `t.unsqueeze(1)` has (B, 1), and then each row gets its own time. For the model `t` stays (B,).
# </details>


# %% role="answer" name="flow_matching_loss" library="tinykd.flow.flow_matching, tinykd.flow.on_the_line"
def flow_matching_loss(model, x0, x1, t, y):
    """Loss of flow matching, one value for each line.

    model(x, t, y) -> velocities (B, D). x0: noise (B, D). x1: data (B, D). t: times (B,) in [0, 1]. y: classes (B,).
    Returns (B,): the mean over the D numbers of the squared difference between the model's velocity at the point of time t and
    the line's velocity.
    """
    # YOUR CODE: the point on the line, the velocity of the line, the difference
    # BEGIN SOLUTION
    s = t.unsqueeze(1)
    point = (1 - s) * x0 + s * x1
    return (model(point, t, y) - (x1 - x0)).square().mean(1)
    # END SOLUTION


# %% role="check" name="flow_matching_loss.values" points=2 hint="Five lines of three numbers, the first at t = 0, the last at t = 1: one value for each line, and the gradient in the model's weights."
def lines(rng, count, size):
    t = times(rng, count)
    t[0], t[-1] = 0, 1
    return numbers(rng, count, size), numbers(rng, count, size), t, kinds(rng, count)


rng = check.rng("flow_matching_loss.values")
model = Wind(rng)
loss = check.call(flow_matching_loss, model, *lines(rng, 5, 3), may_change=[model])
check("flow_matching_loss.values", with_gradient(loss, model.a, model.c))

# %% role="check" name="flow_matching_loss.point" points=1 hint="What the model was shown: the points, the times, the classes. At t = 0 that is the noise, at t = 1 the data; the model is asked once."
rng = check.rng("flow_matching_loss.point")
model = Wind(rng)
x0_, x1_, _, kinds_ = lines(rng, 4, 3)
ends = torch.tensor([0.0, 1.0, 0.25, 0.5]).double()
check.call(flow_matching_loss, model, x0_, x1_, ends, kinds_, may_change=[model])
check("flow_matching_loss.point", model.asked)


# %% role="hidden" name="flow_matching_loss.many" points=1 hint="Other sizes; as many lines as numbers in each of them."
def lines_again(rng, size):
    return numbers(rng, size, size), numbers(rng, size, size), times(rng, size), kinds(rng, size)


rng = check.rng("flow_matching_loss.many")
model = Wind(rng, 6)
loss = check.call(flow_matching_loss, model, *lines_again(rng, 6), may_change=[model])
check("flow_matching_loss.many", with_gradient(loss, model.a))


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.sum" loses="flow_matching_loss.values, flow_matching_loss.many" hint="Too large by the number of pixels: the mean over them, not the sum."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    return (model((1 - s) * x0 + s * x1, t, y) - (x1 - x0)).square().sum(1)


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.backwards" loses="flow_matching_loss.values, flow_matching_loss.point, flow_matching_loss.many" hint="At t = 0 we are at the noise x0, at t = 1 at the data x1: yours goes the other way."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    return (model(s * x0 + (1 - s) * x1, t, y) - (x1 - x0)).square().mean(1)


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.sign" loses="flow_matching_loss.values, flow_matching_loss.many" hint="From noise to data the velocity is x1 - x0; yours points to the noise."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    return (model((1 - s) * x0 + s * x1, t, y) - (x0 - x1)).square().mean(1)


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.the_rest" loses="flow_matching_loss.values, flow_matching_loss.many" hint="x1 - x_t is the way that is left, and gets shorter; the velocity of the line is x1 - x0, all along."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    point = (1 - s) * x0 + s * x1
    return (model(point, t, y) - (x1 - point)).square().mean(1)


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.the_image" loses="flow_matching_loss.values, flow_matching_loss.many" hint="The network says a velocity, x1 - x0, not the image x1 itself."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    return (model((1 - s) * x0 + s * x1, t, y) - x1).square().mean(1)


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.one_number" loses="flow_matching_loss.values, flow_matching_loss.many" hint="One value for each line, (B,): the mean over the pixels alone."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    return (model((1 - s) * x0 + s * x1, t, y) - (x1 - x0)).square().mean()


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.root" loses="flow_matching_loss.values, flow_matching_loss.many" hint="The squared difference, without a root."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    return (model((1 - s) * x0 + s * x1, t, y) - (x1 - x0)).square().mean(1).sqrt()


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.over_t" loses="flow_matching_loss.values" hint="You divide by t, which may be 0, or by 1 - t, and t may be 1: NaN. The velocity is x1 - x0, all along."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    point = (1 - s) * x0 + s * x1
    return (model(point, t, y) - (point - x0) / s).square().mean(1)


# %% role="mutant" of="flow_matching_loss" name="flow_matching_loss.over_the_rest" loses="flow_matching_loss.values" hint="You divide by t, which may be 0, or by 1 - t, and t may be 1: NaN. The velocity is x1 - x0, all along."
def flow_matching_loss(model, x0, x1, t, y):
    s = t.unsqueeze(1)
    point = (1 - s) * x0 + s * x1
    return (model(point, t, y) - (x1 - point) / (1 - s)).square().mean(1)


# %% role="alternative" of="flow_matching_loss" name="flow_matching_loss.lerp"
def flow_matching_loss(model, x0, x1, t, y):
    difference = model(torch.lerp(x0, x1, t[:, None]), t, y) - x1 + x0
    return (difference**2).sum(-1) / x0.shape[-1]


# %% role="alternative" of="flow_matching_loss" name="flow_matching_loss.step"
def flow_matching_loss(model, x0, x1, t, y):
    velocity = x1 - x0
    seen = x0 + t.reshape(-1, 1) * velocity
    return torch.nn.functional.mse_loss(model(seen, t, y), velocity, reduction="none").mean(1)


# %% [markdown]
# ### The teacher learns
#
# `FlowNet` is a small residual network of 0.4 million parameters that is told the time in sines and cosines, and the class as a vector of its own. `FlowBatches` draws noise and times anew for each batch, and in every tenth sample it replaces the class by number 10, "no class": we shall need that in section 4. The velocities are the batch's `labels`, and `FlowMatching()` is the loss of exercise 1 as a term: the rest is the loop that has trained everything in this course.

# %% role="show" name="teacher"
torch.manual_seed(0)
net = FlowNet(196, width=256, blocks=2)
history = fit(net, FlowMatching(), FlowBatches(x, y, drop=0.1), teacher_epochs, rate=2e-3,
              said="the teacher")  # fmt: skip
print(f"{sum(p.numel() for p in net.parameters()):,} parameters")
print("loss, epoch by epoch:", *(f"{epoch['loss']:.3f}" for epoch in history))


def library_loss(model, x0, x1, t, y):
    point, velocity = tinykd.flow.on_the_line(x0, x1, t)
    return tinykd.flow.flow_matching(model(point, t, y), velocity)


own_loss = check.ready(flow_matching_loss, library_loss)
with torch.no_grad():
    noise = torch.randn_like(held_out)
    for t in (0.0, 0.25, 0.5, 0.75, 0.95):
        values = own_loss(net, noise, held_out, torch.full((len(noise),), t), held_out_y)
        print(f"held-out digits, t = {t:.2f}: {values.mean():.3f}")
classes = [held_out[held_out_y == k] for k in range(10)]
within = sum(len(c) * c.var(0, correction=0).mean() for c in classes) / len(held_out)
print(f"\nvariance of a pixel within its class: {within:.3f}")
# a rule without training, at t = 0.95: is this pixel paper, -1? Then its noise can be computed
point, s = (1 - t) * noise + t * held_out, 1 - t
if_paper = (point + t) / s
rule = torch.where(if_paper.abs() < 3, -1 - if_paper, point / t)
print(f"pixels that are -1: {100 * (held_out == -1).float().mean():.0f}%")
print(
    f"loss of a rule that knows this, t = {t:.2f}: {(rule - held_out + noise).square().mean():.3f}"
)

# %% [markdown]
# The loss falls, and then it stays far above zero. Most of it has to stay, and the last lines say why. At $t = 0$ the network sees the noise, and any of thousands of digits may be at the other end of the line: the best answer is the mean of them all, and what is left over is the variance of a pixel within its class, 0.15. (Our small network stays above it: it also has to say $-x_0$ for 196 pixels, and does not quite.) Near $t = 1$ it sees the digit, and the noise, of variance 1, shrunk to almost nothing. Where the pixel's own value is uncertain, in the strokes, nobody can tell the two apart. But three quarters of the pixels are paper, exactly −1, and there the noise *could* be computed: the rule of the last line does so, and has less than half of our network's loss. The network has not learned to enlarge such small numbers; it costs little, as hardly any way is left.
#
# ## 2 · Walking
#
# To make an image, start from fresh noise at $t = 0$ and follow the velocity to $t = 1$. **Euler's method** does so in $n$ equal steps of size $h = 1/n$:
#
# $$x \leftarrow x + h\, v(x, t, y), \qquad t = 0,\; h,\; 2h,\; \dots,\; 1 - h.$$
#
# ### Exercise 2: Euler's method
#
# <details><summary>Hint: a time for each image</summary>
#
# `torch.full((len(x),), t)`, or `x.new_full((len(x),), t)`: either will do.
# </details>


# %% role="answer" name="euler" library="tinykd.flow.euler"
def euler(model, x, y, steps):
    """Images from noise in `steps` equal steps from t = 0 to t = 1, the model asked once a step.

    model(x, t, y) -> velocities (B, D). x: noise (B, D), left as it is. y: classes (B,). Returns (B, D), without gradients. The model is told
    the time as (B,): the same for each image.
    """
    # YOUR CODE: a loop over the steps
    # BEGIN SOLUTION
    with torch.no_grad():
        for n in range(steps):
            x = x + model(x, x.new_full((len(x),), n / steps), y) / steps
    return x
    # END SOLUTION


# %% role="check" name="euler.values" points=2 hint="Four steps; the result has no gradient, and the noise is as before."
def walked(found):
    return {"images": found, "in a graph": int(found.requires_grad)}


rng = check.rng("euler.values")
model = Wind(rng)
found = check.call(euler, model, *walk(rng, 5, 3), 4, may_change=[model])
check("euler.values", walked(found))

# %% role="check" name="euler.times" points=1 hint="At which times the model was asked, of six steps: 0, 1/6, ... 5/6 (at 1 we have arrived). And how often, of 49 steps: 49 times. h added up again and again, or arange(0, 1, h), may miss 1 by a rounding error: count the steps."
rng = check.rng("euler.times")
model, other = Wind(rng), Wind(rng)
check.call(euler, model, *walk(rng, 2, 3), 6, may_change=[model])
check.call(euler, other, *walk(rng, 2, 3), 49, may_change=[other])
asked_at = [[float(t[0]), float(seen.sum())] for seen, t, _ in model.asked]
check("euler.times", {"of 6 steps": asked_at, "how often of 49": len(other.asked)})

# %% role="check" name="euler.one" points=1 hint="One step: from the noise to the end at once, with the velocity at t = 0."
rng = check.rng("euler.one")
model = Wind(rng)
check("euler.one", check.call(euler, model, *walk(rng, 4, 3), 1, may_change=[model]))

# %% role="hidden" name="euler.many" points=1 hint="Any number of steps."
rng = check.rng("euler.many")
model = Wind(rng, 5)
steps_ = int(rng.choice([8, 9, 11, 12]))
check("euler.many", check.call(euler, model, *walk(rng, 3, 5), steps_, may_change=[model]))


# %% role="mutant" of="euler" name="euler.late" loses="euler.values, euler.times, euler.one, euler.many" hint="Your times are those at the end of each step; the velocity is asked for at its beginning."
def euler(model, x, y, steps):
    with torch.no_grad():
        for n in range(1, steps + 1):
            x = x + model(x, x.new_full((len(x),), n / steps), y) / steps
    return x


# %% role="mutant" of="euler" name="euler.linspace" loses="euler.values, euler.times, euler.many" hint="linspace(0, 1, steps) includes 1: the times are 0, h, ... 1 - h."
def euler(model, x, y, steps):
    with torch.no_grad():
        for t in torch.linspace(0, 1, steps).tolist():
            x = x + model(x, x.new_full((len(x),), t), y) / steps
    return x


# %% role="mutant" of="euler" name="euler.whole" loses="euler.values, euler.times, euler.many" hint="Each step goes h = 1 / steps of the way, not all of it."
def euler(model, x, y, steps):
    with torch.no_grad():
        for n in range(steps):
            x = x + model(x, x.new_full((len(x),), n / steps), y)
    return x


# %% role="mutant" of="euler" name="euler.straight" loses="euler.values, euler.times, euler.many" hint="After a step we are elsewhere: ask the model where we are now, not at the noise."
def euler(model, x, y, steps):
    with torch.no_grad():
        start, moved = x, x
        for n in range(steps):
            moved = moved + model(start, x.new_full((len(x),), n / steps), y) / steps
    return moved


# %% role="mutant" of="euler" name="euler.no_time" loses="euler.values, euler.times, euler.many" hint="The time goes on, from step to step; yours stands at 0."
def euler(model, x, y, steps):
    with torch.no_grad():
        for _ in range(steps):
            x = x + model(x, x.new_zeros(len(x)), y) / steps
    return x


# %% role="mutant" of="euler" name="euler.in_place" loses="euler.values, euler.times, euler.one, euler.many" hint="x += ... changes the caller's noise: x = x + ... makes a new tensor."
def euler(model, x, y, steps):
    with torch.no_grad():
        for n in range(steps):
            x += model(x, x.new_full((len(x),), n / steps), y) / steps
    return x


# %% role="mutant" of="euler" name="euler.graph" loses="euler.values" hint="Sampling needs no gradient: with torch.no_grad() nothing is kept for a backward."
def euler(model, x, y, steps):
    for n in range(steps):
        x = x + model(x, x.new_full((len(x),), n / steps), y) / steps
    return x


# %% role="mutant" of="euler" name="euler.added_up" loses="euler.times" hint="Six times 1/6, added up, is a little less than 1, and your loop goes on: count the steps, and make the time of their number."
def euler(model, x, y, steps):
    with torch.no_grad():
        t, h = 0.0, 1 / steps
        while t < 1:
            x = x + h * model(x, x.new_full((len(x),), t), y)
            t += h
    return x


# %% role="mutant" of="euler" name="euler.arange" loses="euler.times" hint="arange(0, 1, h) has one time too many where 1 / h is not exact (49 steps): count the steps, and make the time of their number."
def euler(model, x, y, steps):
    with torch.no_grad():
        for t in np.arange(0, 1, 1 / steps):
            x = x + model(x, x.new_full((len(x),), float(t)), y) / steps
    return x


# %% role="alternative" of="euler" name="euler.while_loop"
@torch.no_grad()
def euler(model, x, y, steps):
    h, n = 1 / steps, 0
    while n < steps:
        x = torch.add(x, model(x, torch.full((len(x),), n * h), y), alpha=h)
        n += 1
    return x


# %% role="alternative" of="euler" name="euler.times_first"
def euler(model, x, y, steps):
    for t in torch.linspace(0, 1, steps + 1, dtype=x.dtype)[:-1]:
        x = (x + model(x, t.expand(len(x)), y) / steps).detach()
    return x


# %% [markdown]
# **What do you expect?** The same noise, walked in 1, 2, 4 and 16 steps. What does one step give?

# %% role="show" name="fig-steps" folded=true
walk_own = check.ready(euler, tinykd.flow.euler)
look = torch.randn(10, 196, generator=torch.Generator().manual_seed(1))
asked = torch.arange(10)


def rows_of_images(rows, alt):
    """A row of ten images for each name."""
    size = {"figsize": (9, 0.9 * len(rows)), "layout": "constrained"}
    grid = plt.subplots(len(rows), 10, squeeze=False, **size)[1]
    for line, (name, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image.view(14, 14).clamp(-1, 1), cmap="gray_r", vmin=-1, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    plots.show(alt)


rows_of_images(
    {f"{n} step{'s' * (n > 1)}": walk_own(net, look, asked, n) for n in (1, 2, 4, 16)},
    "Four rows of the digits 0 to 9 from the same noise. In one step they are mean digits under "
    "grey speckles, in two steps the paper is cleaner, and in sixteen most strokes are dark.",
)

# %% [markdown]
# One step gives the *mean digit* of its class, and some speckles where our small network has not taken out the noise quite exactly. So it must be: at $t = 0$ the network has learned the mean velocity, and $x_0$ plus the mean of $x_1 - x_0$ is the mean of the $x_1$. Only on the way, where fewer and fewer digits are possible, does it become one of them. The path bends, and a single long step along its first direction misses where it leads.
#
# ## 3 · A ruler
#
# Which row is how good? There is no right image for a given noise. What can be compared are two *crowds*: are the made digits, as a crowd, distributed like real ones? The **Fréchet distance** (for images Heusel et al. 2017, [arXiv 1706.08500](https://arxiv.org/abs/1706.08500)) takes the features $f(x)$ of a classifier, fits a normal distribution to each crowd, with mean $m$ and covariance $C$, and measures how far the two are from each other:
#
# $$d = \lVert m_a - m_b \rVert^2 + \operatorname{tr}\!\Big(C_a + C_b - 2\big(C_a^{1/2}\, C_b\, C_a^{1/2}\big)^{1/2}\Big).$$
#
# The root $C^{1/2}$ of a covariance is the symmetric matrix whose square is $C$. With the eigenvalues $\lambda_i$ and eigenvectors $u_i$ of $C$ it is $\sum_i \sqrt{\lambda_i}\, u_i u_i^\top$, and its trace is $\sum_i \sqrt{\lambda_i}$. So of the outer root we only need eigenvalues. Where there are fewer samples than features some eigenvalues are 0, and come out as tiny negative numbers: cut them off at 0. All of it in float64.
#
# ### Exercise 3: the Fréchet distance
#
# <details><summary>Hint 1: covariance</summary>
#
# `torch.cov` wants variables in rows: `torch.cov(a.T)` is (D, D), and divides by N − 1, as it should.
# </details>
# <details><summary>Hint 2: eigenvalues</summary>
#
# `values, vectors = torch.linalg.eigh(C)` for symmetric matrices, the vectors in the columns: `(vectors * values.clamp_min(0).sqrt()) @ vectors.T` is the root. `torch.linalg.eigvalsh` gives the eigenvalues alone.
# </details>


# %% role="answer" name="frechet" library="tinykd.frechet_distance, tinykd.metrics.frechet_distance, scipy.linalg.sqrtm"
def frechet(a, b):
    """Fréchet distance d of the normal distributions fitted to the features a (N, D) and b (M, D), a float.

    Computed in float64, whatever the type of a and b. Covariances divide by N - 1. Eigenvalues that rounding has left a little below 0
    must not make it NaN.
    """
    # YOUR CODE: means, covariances, a root, and the eigenvalues of the product
    # BEGIN SOLUTION
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)
    # END SOLUTION


# %% role="check" name="frechet.values" points=2 hint="Two crowds of 12 and 20 samples with four features."
rng = check.rng("frechet.values")
check("frechet.values", check.call(frechet, cloud(rng, 12, 4), 3 + cloud(rng, 20, 4)))


# %% role="check" name="frechet.shift" points=1 hint="The same crowd, moved: only the means differ, and the distance is the square of the way."
def moved_crowd(rng):
    a = cloud(rng, 15, 3)
    return a, a + 3 + numbers(rng, 1, 3)


rng = check.rng("frechet.shift")
check("frechet.shift", check.call(frechet, *moved_crowd(rng)))


# %% role="check" name="frechet.float32" points=1 hint="Five samples of 16 features, in float32, and a Python float comes back (float(...), .item()). Eigenvalues that are 0 come out below 0, and their root is NaN; in float32 they come out far from 0."
rng = check.rng("frechet.float32")
try:
    found = check.call(frechet, *few_alike(rng, 5, 16))
except torch.linalg.LinAlgError:  # NaN has no eigenvalues
    found = math.nan
check("frechet.float32", {"distance": found, "a float": int(isinstance(found, float))})

# %% role="hidden" name="frechet.few" points=1 hint="Six samples of 24 features, in float32: eigenvalues that are 0 come out below 0, and their root is NaN."
rng = check.rng("frechet.few")
check("frechet.few", check.call(frechet, *few_alike(rng, 6, 24)))


# %% role="mutant" of="frechet" name="frechet.length" loses="frechet.values, frechet.shift, frechet.float32, frechet.few" hint="The distance of the means is squared."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).norm() + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.no_root" loses="frechet.values, frechet.shift, frechet.float32, frechet.few" hint="The trace of a root is the sum of the roots of the eigenvalues: yours has no root."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * (cov_a @ cov_b).trace())


# %% role="mutant" of="frechet" name="frechet.diagonal" loses="frechet.values, frechet.float32, frechet.few" hint="You took roots of the diagonals alone: right for features that do not vary together, and these do."
def frechet(a, b):
    a, b = a.double(), b.double()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + (a.std(0) - b.std(0)).square().sum())


# %% role="mutant" of="frechet" name="frechet.once" loses="frechet.values, frechet.shift, frechet.float32, frechet.few" hint="The root of the product counts twice."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - cross)


# %% role="mutant" of="frechet" name="frechet.biased" loses="frechet.values, frechet.float32, frechet.few" hint="Covariances divide by N - 1."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T, correction=0), torch.cov(b.T, correction=0)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.nan" loses="frechet.float32, frechet.few" hint="Eigenvalues that should be 0 come out below 0: clamp them, or the root is NaN."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.rows" loses="frechet.values, frechet.shift, frechet.float32, frechet.few" hint="torch.cov takes variables in rows: yours are the covariances of samples, not of features."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a), torch.cov(b)
    means = (a.mean(0) - b.mean(0)).square().sum()
    short = min(len(a), len(b))
    product = cov_a[:short, :short] @ cov_b[:short, :short]
    cross = torch.linalg.eigvals(product).real.clamp_min(0).sqrt().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.nan_inside" loses="frechet.float32, frechet.few" hint="Eigenvalues that should be 0 come out below 0: clamp them, or the root is NaN."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.nan_outside" loses="frechet.float32, frechet.few" hint="Eigenvalues that should be 0 come out below 0: clamp them, or the root is NaN."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.single" loses="frechet.float32, frechet.few" hint="In float32 an eigenvalue that is 0 comes out near 1e-6, and its root near 1e-3: .double() first."
def frechet(a, b):
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.tensor" loses="frechet.float32" hint="A float is asked for: float(...) or .item() makes one of a tensor."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return means + cov_a.trace() + cov_b.trace() - 2 * cross


# %% role="mutant" of="frechet" name="frechet.sqrt" loses="frechet.values, frechet.shift, frechet.float32, frechet.few" hint="That is the root of d: d itself is asked for, a squared distance."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return math.sqrt(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.half_a_root" loses="frechet.values, frechet.shift, frechet.float32, frechet.few" hint="The root is vectors * roots @ vectors.T: without @ vectors.T it is not symmetric, and not a root."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt()
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.not_symmetric" loses="frechet.values, frechet.float32, frechet.few" hint="The product of two covariances is not symmetric, and eigvalsh reads only one half of it: take root @ cov_b @ root."
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    cross = torch.linalg.eigvalsh(cov_a @ cov_b).clamp_min(0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="mutant" of="frechet" name="frechet.two_roots" loses="frechet.values, frechet.float32, frechet.few" hint="The trace of the product of two roots is not that of the root of the product: one root inside, then the eigenvalues of root @ cov_b @ root."
def frechet(a, b):
    a, b = a.double(), b.double()
    covs, roots = [torch.cov(one.T) for one in (a, b)], []
    for cov in covs:
        values, vectors = torch.linalg.eigh(cov)
        roots.append(vectors * values.clamp_min(0).sqrt() @ vectors.T)
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + covs[0].trace() + covs[1].trace() - 2 * (roots[0] @ roots[1]).trace())


# %% role="alternative" of="frechet" name="frechet.absolute"
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.abs().sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).abs().sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


# %% role="alternative" of="frechet" name="frechet.product"
def frechet(a, b):
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    cross = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    apart = a.mean(0) - b.mean(0)
    return (apart @ apart + cov_a.trace() + cov_b.trace() - 2 * cross).item()


# %% role="alternative" of="frechet" name="frechet.nuclear"
def frechet(a, b):
    a, b = a.to(torch.float64), b.to(torch.float64)
    p, q = ((s - s.mean(0)) / math.sqrt(len(s) - 1) for s in (a, b))
    cross = torch.linalg.matrix_norm(p @ q.T, "nuc")
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + (p**2).sum() + (q**2).sum() - 2 * cross)


# %% [markdown]
# ### How long is the ruler, and how is it bent?
#
# Our judge is an MLP that reads digits; we take the 64 numbers of its last hidden layer. (Papers take 2,048 features of an Inception network, and call the distance FID. Distances in other features cannot be compared.) Before we measure anything, let us measure *real* digits against real digits, with more and more samples.
#
# **What do you expect?** What is the distance of one half of the held-out digits from 100 of the other half? And of 5,000?

# %% role="show" name="judge"
torch.manual_seed(1)
reader = MLP(196, 128, 64, 10)
fit(reader, HardLabels(), Batches(x, y, size=128, seed=1), {"smoke": 2}.get(scale, 3), rate=3e-3,
    said="the judge")  # fmt: skip
measure = check.ready(frechet, tinykd.frechet_distance)
judge = Judge(reader, held_out)
print(f"reads {100 * judge.as_asked(held_out, held_out_y):.1f}% of the held-out digits right\n")
order = torch.randperm(10_000, generator=torch.Generator().manual_seed(2))
one_half, other_half = judge.real[order[:5000]], judge.real[order[5000:]]
print("real digits against 5,000 other real digits")
for count in (50, 100, 300, 1000, 5000):
    values = [measure(part, other_half) for part in one_half.split(count)[:5]]
    print(f"  {count:5d} of them: {np.mean(values):6.2f}")

# %% [markdown]
# Two crowds of real digits are never at distance 0, and the *fewer* the samples, the *larger* the distance: a few samples have too little spread in 64 directions. So a distance means something only beside others with the same number of samples, and against the floor of real digits. Here each crowd of made digits has 3,000.
#
# The ruler also has a bent: it sees what its classifier has learned to look at, and only means and covariances of that. Images that fool the classifier, or copies of the training digits, measure well. Hence two more looks: which digit the judge *reads* in an image that was asked for (below), and how near the image is to the training digits (section 7). And the grid, for your own eyes.
#
# ## 4 · Guidance
#
# The network has learned two things: where to go when it is told the class, $v_c = v(x, t, y)$, and where to go when nobody says it, $v_u = v(x, t, \text{no class})$. The difference is what the class makes out. **Classifier-free guidance** (Ho and Salimans 2022, [arXiv 2207.12598](https://arxiv.org/abs/2207.12598)) goes further in this direction than the network says:
#
# $$v = v_u + w\,(v_c - v_u).$$
#
# With $w = 1$ nothing changes. With $w > 1$ the images become more typical of their class, and less varied. It costs **two** evaluations a step.
#
# ### Exercise 4: guidance
#
# <details><summary>Hint: the class "no class", for each image</summary>
#
# `torch.full_like(y, nobody)` is a tensor of y's shape and type.
# </details>


# %% role="answer" name="guided" library="tinykd.flow.guided, tinykd.flow.Guided"
def guided(model, x, t, y, w, nobody=10):
    """The guided velocity (B, D).

    model(x, t, y) -> velocities (B, D). x: (B, D), t: (B,), y: classes (B,), left as they are. w: a number. nobody: the number of the class "no class".
    """
    # YOUR CODE: two evaluations, one formula
    # BEGIN SOLUTION
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return untold + w * (told_ - untold)
    # END SOLUTION


# %% role="check" name="guided.values" points=2 hint="Five images, four classes, w = 1.7; number 4 is \"no class\"."
rng = check.rng("guided.values")
model = Wind(rng)
found = check.call(guided, model, *places(rng, 5, 3), 1.7, nobody=4, may_change=[model])
check("guided.values", found.detach())

# %% role="check" name="guided.ends" points=1 hint="w = 1 is the velocity with the class, w = 0 the one without."
rng = check.rng("guided.ends")
model = Wind(rng)
here = places(rng, 4, 3)
ends = [check.call(guided, model, *here, w, nobody=4, may_change=[model]) for w in (1.0, 0.0)]
check("guided.ends", [one.detach() for one in ends])

# %% role="hidden" name="guided.number" points=1 hint="Another number for \"no class\", and a large w."
rng = check.rng("guided.number")
model = Wind(rng, 4, classes=7)
found = check.call(guided, model, *places(rng, 6, 4), 4.0, nobody=6, may_change=[model])
check("guided.number", found.detach())


# %% role="mutant" of="guided" name="guided.from_the_class" loses="guided.values, guided.ends, guided.number" hint="You start from v_c: that is a guidance of w + 1. Start from v_u."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return told_ + w * (told_ - untold)


# %% role="mutant" of="guided" name="guided.away" loses="guided.values, guided.ends, guided.number" hint="The sign: yours goes away from the class."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return untold + w * (untold - told_)


# %% role="mutant" of="guided" name="guided.swapped" loses="guided.values, guided.ends, guided.number" hint="With w = 1 yours ignores the class: v_c and v_u have changed places."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return told_ + w * (untold - told_)


# %% role="mutant" of="guided" name="guided.zero" loses="guided.values, guided.ends, guided.number" hint="Class 0 is the digit 0. \"No class\" has the number `nobody`."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.zeros_like(y))
    return untold + w * (told_ - untold)


# %% role="mutant" of="guided" name="guided.last" loses="guided.number" hint="The number of \"no class\" is an argument: it need not be the last one."
def guided(model, x, t, y, w, nobody=10):
    nobody = 10 if not hasattr(model, "c") else len(model.c) - 1
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return untold + w * (told_ - untold)


# %% role="mutant" of="guided" name="guided.in_place" loses="guided.values, guided.ends, guided.number" hint="y[:] = ... changes the caller's classes: make a new tensor."
def guided(model, x, t, y, w, nobody=10):
    told_ = model(x, t, y)
    y[:] = nobody
    untold = model(x, t, y)
    return untold + w * (told_ - untold)


# %% role="mutant" of="guided" name="guided.no_origin" loses="guided.values, guided.ends, guided.number" hint="w times the difference is only the correction: it is added to v_u."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return w * (told_ - untold)


# %% role="mutant" of="guided" name="guided.ten" loses="guided.values, guided.ends, guided.number" hint="The number of \"no class\" is the argument `nobody`, not always 10."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, 10))
    return untold + w * (told_ - untold)


# %% role="mutant" of="guided" name="guided.minus_one" loses="guided.values, guided.ends, guided.number" hint="The number of \"no class\" is the argument `nobody`; -1 is no class that the model knows."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, -1))
    return untold + w * (told_ - untold)


# %% role="mutant" of="guided" name="guided.no_difference" loses="guided.values, guided.ends, guided.number" hint="Added to v_u is w times the difference v_c - v_u, not w times v_c."
def guided(model, x, t, y, w, nobody=10):
    told_, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return untold + w * told_


# %% role="alternative" of="guided" name="guided.mixed"
def guided(model, x, t, y, w, nobody=10):
    nobodies = y.new_full(y.shape, nobody)
    return w * model(x, t, y) + (1 - w) * model(x, t, nobodies)


# %% role="alternative" of="guided" name="guided.one_batch"
def guided(model, x, t, y, w, nobody=10):
    both = torch.cat([y, 0 * y + nobody])
    told_, untold = model(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
    return torch.lerp(untold, told_, w)


# %% [markdown]
# **What do you expect?** Below are three strengths of guidance and five numbers of steps. Where is the Fréchet distance smallest? And what does guidance do to the share of images in which the judge reads what was asked for?

# %% role="show" name="strengths"
steer = check.ready(guided, tinykd.flow.guided)
start = torch.randn(samples, 196, generator=torch.Generator().manual_seed(3))
wanted = torch.arange(samples) % 10


def judged(images):
    """Fréchet distance from the held-out digits, percent read as asked."""
    distance = measure(judge.features(images), judge.real)
    return distance, 100 * judge.as_asked(images, wanted)


STEPS = (1, 2, 4, 8, 16)
teacher_at = {}
print("Fréchet distance from the held-out digits, and % read as asked\n")
print(f"{'steps':8s}" + "".join(f"{n:>14d}" for n in STEPS))
for w in (1.0, 1.5, 2.0):
    velocity = lambda x, t, y: steer(net, x, t, y, w)
    teacher_at[w] = [judged(walk_own(velocity, start, wanted, n)) for n in STEPS]
    print(f"w = {w:<4}" + "".join(f"{d:7.1f} {s:5.1f}%" for d, s in teacher_at[w]))

# %% [markdown]
# Steps help at each strength, and most of their help is over after eight. A guidance of 1.5 brings the distance down at every number of steps, and nearly all images are read as asked; at 2 the distance rises again although *even more* are read as asked. Too typical a crowd is not a real one: a number that only counts right digits would have praised it.
#
# From here on the teacher is the network with $w = 1.5$: 16 evaluations for 8 steps.
#
# ## 5 · Two steps into one
#
# Now the student. It is to make one step of size $h$ that lands where the teacher lands after two of size $h/2$:
#
# $$x' = x + \tfrac{h}{2}\, v(x, t), \qquad x'' = x' + \tfrac{h}{2}\, v\big(x', t + \tfrac{h}{2}\big), \qquad \text{student:}\quad x + h\, v^* = x''.$$
#
# (Each $v$ is told the class $y$ as well, here and below; only the formulas leave it out.) Solve the last one for $v^*$, and there is the target: again a velocity. This is **progressive distillation** (Salimans and Ho 2022, [arXiv 2202.00512](https://arxiv.org/abs/2202.00512)), in the language of straight lines. It tells the student more than data can: data say the *mean* velocity at a point, the teacher says where a walk *from this point* ends up. No other image is possible from there, so there is nothing to average.
#
# ### Exercise 5: the target


# %% role="answer" name="two_into_one" library="tinykd.flow.two_into_one, tinykd.flow.TwoIntoOne"
def two_into_one(model, x, t, h, y):
    """The velocity (B, D) with which one step of size h lands where two steps of h / 2 by the model land.

    model(x, t, y) -> velocities (B, D). x: (B, D), t: (B,) and y: (B,), left as they are; h: a number. A target: without gradients.
    """
    # YOUR CODE: two steps, then the velocity of one
    # BEGIN SOLUTION
    with torch.no_grad():
        first = model(x, t, y)
        second = model(x + h / 2 * first, t + h / 2, y)
    return (first + second) / 2
    # END SOLUTION


# %% role="check" name="two_into_one.values" points=2 hint="Five images, steps of 1/4; the target hangs in no graph."
def halfway(rng, count, size):
    return numbers(rng, count, size), 0.7 * times(rng, count)


def target_of(found):
    return {"velocity": found, "in a graph": int(found.requires_grad)}


rng = check.rng("two_into_one.values")
model = Wind(rng)
x_, t_ = halfway(rng, 5, 3)
found = check.call(two_into_one, model, x_, t_, 0.25, kinds(rng, 5), may_change=[model])
check("two_into_one.values", target_of(found))

# %% role="check" name="two_into_one.asked" points=1 hint="What the model was asked: twice, first at x and t, then after half of the step, at t + h / 2."
rng = check.rng("two_into_one.asked")
model = Wind(rng)
x_, t_ = halfway(rng, 2, 3)
check.call(two_into_one, model, x_, t_, 0.5, kinds(rng, 2), may_change=[model])
check("two_into_one.asked", [[seen, t] for seen, t, _ in model.asked])

# %% role="hidden" name="two_into_one.whole" points=1 hint="h = 1: the whole way, from t = 0."
rng = check.rng("two_into_one.whole")
model = Wind(rng, 5)
here = (numbers(rng, 4, 5), torch.zeros(4).double())
found = check.call(two_into_one, model, *here, 1.0, kinds(rng, 4), may_change=[model])
check("two_into_one.whole", found.detach())


# %% role="mutant" of="two_into_one" name="two_into_one.twice_as_far" loses="two_into_one.values, two_into_one.asked, two_into_one.whole" hint="The teacher's steps are of h / 2 each: yours are of h, and end at t + 2 h."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        first = model(x, t, y)
        second = model(x + h * first, t + h, y)
    return (first + second) / 2


# %% role="mutant" of="two_into_one" name="two_into_one.same_time" loses="two_into_one.values, two_into_one.asked, two_into_one.whole" hint="The second step begins at t + h / 2."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        first = model(x, t, y)
        second = model(x + h / 2 * first, t, y)
    return (first + second) / 2


# %% role="mutant" of="two_into_one" name="two_into_one.same_place" loses="two_into_one.values, two_into_one.asked, two_into_one.whole" hint="The second step begins where the first one ended, not at x."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        return (model(x, t, y) + model(x, t + h / 2, y)) / 2


# %% role="mutant" of="two_into_one" name="two_into_one.the_way" loses="two_into_one.values" hint="That is the way x'' - x; the velocity is the way divided by h."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        near = x + h / 2 * model(x, t, y)
        return near + h / 2 * model(near, t + h / 2, y) - x


# %% role="mutant" of="two_into_one" name="two_into_one.the_image" loses="two_into_one.values, two_into_one.whole" hint="That is the image x'' where the two steps land: the velocity that leads there is asked for."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        near = x + h / 2 * model(x, t, y)
        return near + h / 2 * model(near, t + h / 2, y)


# %% role="mutant" of="two_into_one" name="two_into_one.sum" loses="two_into_one.values, two_into_one.whole" hint="Twice too fast: the student has the time h for both, not h / 2."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        near = x + h / 2 * model(x, t, y)
        far = near + h / 2 * model(near, t + h / 2, y)
    return (far - x) / (h / 2)


# %% role="mutant" of="two_into_one" name="two_into_one.from_the_middle" loses="two_into_one.values, two_into_one.whole" hint="The student's step goes from x to x'', the whole way: yours begins at x'."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        near = x + h / 2 * model(x, t, y)
        far = near + h / 2 * model(near, t + h / 2, y)
    return (far - near) / h


# %% role="mutant" of="two_into_one" name="two_into_one.second" loses="two_into_one.values, two_into_one.whole" hint="Only the second velocity: the first step counts as well."
def two_into_one(model, x, t, h, y):
    with torch.no_grad():
        return model(x + h / 2 * model(x, t, y), t + h / 2, y)


# %% role="mutant" of="two_into_one" name="two_into_one.graph" loses="two_into_one.values" hint="A target is a constant: no gradient may reach the teacher."
def two_into_one(model, x, t, h, y):
    first = model(x, t, y)
    return (first + model(x + h / 2 * first, t + h / 2, y)) / 2


# %% role="alternative" of="two_into_one" name="two_into_one.walk"
@torch.no_grad()
def two_into_one(model, x, t, h, y):
    place, clock = x, t
    for _ in range(2):
        place, clock = place + h / 2 * model(place, clock, y), clock + h / 2
    return (place - x) / h


# %% role="alternative" of="two_into_one" name="two_into_one.detached"
def two_into_one(model, x, t, h, y):
    first = model(x, t, y).detach()
    return torch.lerp(first, model(x + 0.5 * h * first, t + 0.5 * h, y).detach(), 0.5)


# %% [markdown]
# ### And again, and again
#
# A student of four steps has learned from a teacher of eight. Then it becomes the teacher of a student of two, and that one the teacher of a student of one. Each starts as a copy of the one before, for it has nearly the same to say. The first teacher is guided and costs two evaluations a step; its student says the guided velocity in *one*. So guidance, too, moves into the weights (Meng et al. 2022, [arXiv 2210.03142](https://arxiv.org/abs/2210.03142)).
#
# ### Exercise 6: the loop
#
# Write the loop over the stages. How one stage is trained is given to you as `train`: it takes a new student, a teacher and the student's number of steps, and changes the student in place.
#
# <details><summary>Hint</summary>
#
# Each stage: halve the number of steps; take a deep copy of the newest student; train it; keep it in the dict; it is the next teacher. The first teacher is handed over separately, as it may be of another kind than a student.
# </details>


# %% role="answer" name="halving" library="tinykd.flow.halving"
def halving(student, teacher, steps, train):
    """Students of steps / 2, steps / 4, ... 1 steps: a dict {number of steps: student}.

    teacher: walks in `steps` steps, a power of 2, at least 2. train(new, teacher, n): trains `new` in place to do in n steps what `teacher`
    does in 2 n. The first stage starts from a copy (copy.deepcopy) of `student`, each other one from a copy of the student before, which
    is also its teacher. `student`, `teacher` and the students in the dict are not changed afterwards.
    """
    # YOUR CODE: a loop over the stages
    # BEGIN SOLUTION
    found = {}
    while steps > 1:
        steps //= 2
        student = copy.deepcopy(student)
        train(student, teacher, steps)
        found[steps] = student
        teacher = student
    return found
    # END SOLUTION


# %% role="check" name="halving.stages" points=2 hint="From eight steps to four, two and one: who was trained, with which teacher and number of steps, and what came back."
rng = check.rng("halving.stages")
fake = FakeStages(rng)
found = check.call(halving, fake.student, fake.teacher, 8, fake.train)
check("halving.stages", fake.after(found))

# %% role="check" name="halving.one" points=1 hint="From two steps to one: a single stage, and the student that was handed over is as it was."
rng = check.rng("halving.one")
fake = FakeStages(rng)
found = check.call(halving, fake.student, fake.teacher, 2, fake.train)
check("halving.one", fake.after(found))

# %% role="hidden" name="halving.many" points=1 hint="From sixteen or thirty-two steps."
rng = check.rng("halving.many")
fake = FakeStages(rng)
found = check.call(halving, fake.student, fake.teacher, int(rng.choice([16, 32])), fake.train)
check("halving.many", fake.after(found))


# %% role="mutant" of="halving" name="halving.no_copy" loses="halving.stages, halving.one, halving.many" hint="Without a copy there is one student only: each stage changes the one that was its teacher."
def halving(student, teacher, steps, train):
    found = {}
    while steps > 1:
        steps //= 2
        train(student, teacher, steps)
        found[steps] = teacher = student
    return found


# %% role="mutant" of="halving" name="halving.old_teacher" loses="halving.stages, halving.many" hint="The teacher stays the first one: it makes more than two steps of a student's one by then. Each student is the next teacher."
def halving(student, teacher, steps, train):
    found = {}
    while steps > 1:
        steps //= 2
        student = copy.deepcopy(student)
        train(student, teacher, steps)
        found[steps] = student
    return found


# %% role="mutant" of="halving" name="halving.anew" loses="halving.stages, halving.many" hint="Each stage starts from the student of the stage before, not from the first one again."
def halving(student, teacher, steps, train):
    found = {}
    while steps > 1:
        steps //= 2
        new = copy.deepcopy(student)
        train(new, teacher, steps)
        found[steps] = teacher = new
    return found


# %% role="mutant" of="halving" name="halving.teachers_steps" loses="halving.stages, halving.one, halving.many" hint="n is the student's number of steps, half of the teacher's."
def halving(student, teacher, steps, train):
    found = {}
    while steps > 1:
        student = copy.deepcopy(student)
        train(student, teacher, steps)
        steps //= 2
        found[steps] = teacher = student
    return found


# %% role="mutant" of="halving" name="halving.stops_early" loses="halving.stages, halving.one, halving.many" hint="The last student makes one step: the loop goes on until there."
def halving(student, teacher, steps, train):
    found = {}
    while steps > 2:
        steps //= 2
        student = copy.deepcopy(student)
        train(student, teacher, steps)
        found[steps] = teacher = student
    return found


# %% role="mutant" of="halving" name="halving.one_less" loses="halving.stages, halving.many" hint="Half of the steps each time, not one less."
def halving(student, teacher, steps, train):
    found = {}
    while steps > 1:
        steps -= 1
        student = copy.deepcopy(student)
        train(student, teacher, steps)
        found[steps] = teacher = student
    return found


# %% role="mutant" of="halving" name="halving.count_down" loses="halving.stages, halving.many" hint="Half of the steps each time, not one less."
def halving(student, teacher, steps, train):
    found = {}
    for n in range(steps // 2, 0, -1):
        student = copy.deepcopy(student)
        train(student, teacher, n)
        found[n] = teacher = student
    return found


# %% role="mutant" of="halving" name="halving.too_many_stages" loses="halving.stages, halving.many" hint="The last student makes one step: there are log2(steps) stages, not steps / 2."
def halving(student, teacher, steps, train):
    found = {}
    for stage in range(steps // 2):
        n = steps // 2 ** (stage + 1)
        student = copy.deepcopy(student)
        train(student, teacher, n)
        found[n] = teacher = student
    return found


# %% role="mutant" of="halving" name="halving.fractions" loses="halving.stages, halving.one, halving.many" hint="steps / 2 is a float: // keeps whole numbers."
def halving(student, teacher, steps, train):
    found, n = {}, steps / 2
    while n >= 1:
        student = copy.deepcopy(student)
        train(student, teacher, n)
        found[n] = teacher = student
        n /= 2
    return found


# %% role="mutant" of="halving" name="halving.pairs" loses="halving.stages, halving.one, halving.many" hint="A dict {number of steps: student} is asked for, not a list."
def halving(student, teacher, steps, train):
    found = []
    while steps > 1:
        steps //= 2
        student = copy.deepcopy(student)
        train(student, teacher, steps)
        found.append((steps, student))
        teacher = student
    return found


# %% role="mutant" of="halving" name="halving.from_teacher" loses="halving.stages, halving.one, halving.many" hint="The first student starts from `student`; the teacher may be of another kind (here it is guided)."
def halving(student, teacher, steps, train):
    found = {}
    while steps > 1:
        steps //= 2
        student = copy.deepcopy(teacher)
        train(student, teacher, steps)
        found[steps] = teacher = student
    return found


# %% role="alternative" of="halving" name="halving.one_in_training"
def halving(student, teacher, steps, train):
    student, found = copy.deepcopy(student), {}
    while steps > 1:
        steps //= 2
        train(student, teacher, steps)
        teacher = found[steps] = copy.deepcopy(student)
    return found


# %% role="alternative" of="halving" name="halving.recursive"
def halving(student, teacher, steps, train):
    if steps == 1:
        return {}
    new = copy.deepcopy(student)
    train(new, teacher, steps // 2)
    return {steps // 2: new} | halving(new, new, steps // 2, train)


# %% role="alternative" of="halving" name="halving.for_loop"
def halving(student, teacher, steps, train):
    chain = [student]
    for stage in range(1, int(math.log2(steps)) + 1):
        chain.append(copy.deepcopy(chain[-1]))
        train(chain[-1], teacher if stage == 1 else chain[-2], steps // 2**stage)
    return {steps // 2**stage: net for stage, net in enumerate(chain) if stage}


# %% [markdown]
# A stage is trained by the usual loop. The points $x_t$ lie on lines from noise to training digits as before, but only at the times at which a student of $n$ steps is asked: $0, \tfrac1n, \dots$. The teacher is a `Teacher` like any other, whose targets are those of exercise 5, and the term `MatchVelocity()` compares the student's velocity with them.

# %% role="show" name="halved"
into_one = check.ready(two_into_one, tinykd.flow.two_into_one)
in_halves = check.ready(halving, tinykd.flow.halving)
W, MOST = 1.5, 8
teacher = Guided(net, W)


class OfTwoSteps(TwoIntoOne):
    """tinykd's, with the target of exercise 5."""

    def targets(self, batch, layers):
        velocity = into_one(self.model, batch["x"], batch["t"], self.h, batch["y"])
        return tinykd.Targets(velocity, {})  # what the student is told; no inner layers


def train_stage(new, teacher, n):
    batches = FlowBatches(x, y, times=torch.arange(n) / n)
    fit(new, MatchVelocity(), batches, 1, OfTwoSteps(teacher, n), said=f"{2 * n} steps into {n}")


torch.manual_seed(4)
halved = in_halves(net, teacher, MOST, train_stage)
for n, student in sorted(halved.items()):
    distance, right = judged(walk_own(student, start, wanted, n))
    print(f"{n} step{'s' * (n > 1)}: Fréchet distance {distance:4.1f}, {right:.1f}% as asked")

# %% [markdown]
# ## 6 · Other ways to one step
#
# **All at once.** If the map is all that counts, let the teacher walk a few thousand times, keep the pairs (noise, image), and train the student on them: $x_0 + v(x_0, 0, y) = x_1$. No digit of the training set is needed, and no stage in between (Luhman and Luhman 2021, [arXiv 2101.02388](https://arxiv.org/abs/2101.02388)). Look at it in another way: it is *flow matching on the teacher's pairs* at $t = 0$. In section 1 the noise and the digit had nothing to
# do with each other, and the best answer was a mean. Here each noise has one image, and there is nothing to average. (With all times $t$ instead of $t = 0$ it is **rectified flow**, Liu et al. 2022, [arXiv 2209.03003](https://arxiv.org/abs/2209.03003): lines that hardly cross make straight paths.)
#
# **Consistency.** All points of one walk have the same end. So let the student say the end from *any* point, in one step: $x_t + (1-t)\,v(x_t, t)$, and demand that it says the same from two neighbouring points of the teacher's walk. The nearer one to the end tells the other, and it is judged by a moving average of the student itself (`MovingAverage`); at $t = 1$ there is nothing left to go, which holds everything in place
# (Song et al. 2023, [arXiv 2303.01469](https://arxiv.org/abs/2303.01469)). The teacher is asked for one small step, never for a walk.
#
# **Without a teacher.** The same network, trained on the data for about as many more steps of training as the students had, and sampled in one step, guided or not: what one gets without distilling. In seconds this is the cheapest, as no teacher is asked.
#
# **What do you expect?** Which of the four gets nearest in one step? Which one was most expensive to train?

# %% role="show" name="one-step"
count = {"smoke": 300}.get(scale, 10_000)
before = time.perf_counter()
pair_noise = torch.randn(count, 196, generator=torch.Generator().manual_seed(5))
pair_y = torch.arange(count) % 10
pair_x = tinykd.flow.euler(teacher, pair_noise, pair_y, MOST)
print(f"the teacher's walks: {count} pairs, {time.perf_counter() - before:.0f} s")

torch.manual_seed(6)
at_once, consistent, longer = (copy.deepcopy(net) for _ in range(3))
epochs = 1 if scale == "smoke" else 12
pairs = FlowBatches(pair_x, pair_y, noise=pair_noise, times=torch.zeros(1))
fit(at_once, FlowMatching(), pairs, epochs, said="all at once")

grid_of_times = FlowBatches(x, y, times=torch.arange(MOST) / MOST)
average = MovingAverage(consistent, 0.95)
# a velocity that is off by d misses the end by (1 - t) d: the ends are compared
says_the_end = MatchVelocity(weight=lambda t: (1 - t) ** 2)
neighbours = Consistency(teacher, average.model, MOST)
consistency_epochs = 1 if scale == "smoke" else 2
fit(consistent, says_the_end, grid_of_times, consistency_epochs, neighbours, callbacks=[average],
    said="consistency")  # fmt: skip
_ = fit(longer, FlowMatching(), FlowBatches(x, y, drop=0.1), consistency_epochs,
        said="data alone, more of it")  # fmt: skip


# %% role="show" name="table"
def seconds_for(model, n):
    """Processor seconds for 1,000 images, the best of three."""
    spent = []
    for _ in range(3):
        before = time.process_time()
        tinykd.flow.euler(model, start[:1000], wanted[:1000], n)
        spent.append(time.process_time() - before)
    return min(spent)


WAYS = {
    "teacher, guided": (teacher, (1, 2, 4, 8, 16)),
    "data alone": (longer, (1, 2, 4)),
    "data alone, guided": (Guided(longer, W), (1, 2, 4)),
    "halved": (halved, (1, 2, 4)),
    "all at once": (at_once, (1,)),
    "consistency": (consistent, (1,)),
}
mine = {}
print(f"{'':22s}steps   distance  as asked  seconds for 1,000")
for name, (model, numbers_of_steps) in WAYS.items():
    for n in numbers_of_steps:
        one = model[n] if isinstance(model, dict) else model
        mine[name, n] = *judged(walk_own(one, start, wanted, n)), seconds_for(one, n)
        distance, right, seconds = mine[name, n]
        print(f"{name:22s}{n:5d}{distance:11.1f}{right:9.1f}%{seconds:12.3f}")

# %% role="show" name="fig-table" folded=true
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
LOOKS = dict(zip(WAYS, ("o-", "s--", "s-", "^-", "D", "*"), strict=True))
for number, name in enumerate(WAYS):
    found = [(n, d, s) for (way, n), (d, _, s) in mine.items() if way == name]
    n, distance, seconds = zip(*found, strict=True)
    style = {"color": COLORS[number], "label": name, "markersize": 7}
    left.plot(n, distance, LOOKS[name], **style)
    right.plot(seconds, distance, LOOKS[name], **style)
left.set(xlabel="steps", ylabel="Fréchet distance", xscale="log", yscale="log")
left.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
left.minorticks_off()
left.set_yticks([3, 5, 10, 20], ["3", "5", "10", "20"])
right.set(xlabel="processor seconds for 1,000 images", xscale="log")
spent = [s for _, _, s in mine.values()]
ticks = [s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if min(spent) <= s <= max(spent)]
right.set_xticks(ticks, [f"{s:g}" for s in ticks])
right.minorticks_off()
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
right.legend(frameon=False, fontsize=9)
plots.show(
    "Two charts of the Fréchet distance, against steps and against seconds, both log. The teacher "
    "and the nets trained on data alone fall from about 13 to 20 at one step to about 3 at 16; the "
    "students lie near the bottom at one step already."
)

# %% role="show" name="stored" folded=true
LABELS = {  # names in the file
    "teacher, guided": "teacher",
    "data alone": "labels, unguided",
    "data alone, guided": "labels",
    "halved": "soft targets",
    "all at once": "regression",
    "consistency": "consistency",
}
print("Our runs, test digits: distance; % as asked")
for name, method in LABELS.items():
    for n in (1, 2, 4, 8, 16):
        setting = f"{n} step{'s' * (n > 1)}"
        if values := runs(method, setting):
            share = [100 * a for a in runs(method, setting, "accuracy")]
            print(f"  {name:20s}{setting:>9s}{told(values):>13s}{told(share):>14s}%")
print(f"  real digits, as many as made ones: {told(runs('real', 'real'), digits=2)}")
print("\nDistances in one step, paired by seed:")
for name, rival in (
    ("halved", "data alone, guided"),
    ("all at once", "data alone, guided"),
    ("consistency", "data alone, guided"),
    ("all at once", "halved"),
    ("consistency", "halved"),
):
    ours, theirs = (runs(LABELS[one], "1 step") for one in (name, rival))
    print(f"  {name:12s} against {rival:20s}{apart(ours, theirs)}")
best = runs("regression", "1 step")
for n in (8, 16):
    slow = runs("teacher", f"{n} steps")
    print(f"  all at once, 1 step, against teacher, {n:2d} steps  {apart(best, slow)}")
print("\nSeconds of training (all at once: with the teacher's walks):")
for name in ("data alone", "all at once", "halved", "consistency"):
    print(f"  {name:20s}{told(runs(LABELS[name], '1 step', 'seconds')):>13s}")

# %% role="show" name="fig-students" folded=true
rows_of_images(
    {
        "teacher, 8": walk_own(teacher, look, asked, 8),
        "teacher, 1": walk_own(teacher, look, asked, 1),
        "data alone,\nguided, 1": walk_own(Guided(longer, W), look, asked, 1),
        "halved, 1": walk_own(halved[1], look, asked, 1),
        "all at once, 1": walk_own(at_once, look, asked, 1),
        "consistency, 1": walk_own(consistent, look, asked, 1),
    },
    "Six rows of the digits 0 to 9 from the same noise. The teacher in one step, and the net of "
    "data alone, guided, draw mean digits under speckles; the three students in one step draw nearly what "
    "the teacher draws in 8.",
)

# %% [markdown]
# **What we saw.** In one step the flow is at 13.5 ± 0.7 in our runs (each trained for half as long again as yours), and more training on the data changes nothing that we could see: 13.8 ± 0.6 guided, 20.2 ± 0.7 unguided. It is not the training that is missing. A mean digit *is* the right answer to the question that the data ask at $t = 0$. All three students are at about 4, in one step and with one evaluation: 9.7 to 9.9 nearer than data alone (guided) after as many steps of training, and the
# intervals of these differences are at most 0.7 wide to each side. That is a large gain, and it is a gain in *time*. The teacher's eight guided steps, 16 evaluations, from which the students learned, give 3.7 ± 0.2; the best student, with one evaluation, stays 0.2 ± 0.1 behind them. Who can wait for 16 guided steps, 32 evaluations, gets 3.2, 0.7 ± 0.1 nearer than that student. Real digits, as many, are at 0.6.
#
# Among the three ways there is little to choose. All at once is nearer than halving, by 0.2 ± 0.1; consistency against halving is undecided. They differ in what they ask for: halving and consistency look at training digits, learning all at once looks at none, but needs the teacher's walks beforehand. The last lines say what they cost to train, for about as many steps: consistency most, 11 seconds, as each of its steps asks the guided teacher and the average; halving 9; all at once 8 or 9, walks included; data alone 6. Halving gives good students of two and four steps as well.
#
# Look at the columns of the grid, too: each student makes *the teacher's* digit out of this noise, the same slant, the same loop. Nobody asked it for a good image; it has learned the map. And look at the share that is read as asked: it is highest, 100%, for the speckled mean digits of one undistilled step. This number alone would have chosen the worst row of the grid.
#
# ## 7 · By heart?
#
# A model that has learned its training digits by heart, and shows them again, could not be told from real digits by the Fréchet distance: it would be at their floor of section 3. So look for the **nearest training digit** of each image, by the plain (Euclidean) distance of the 196 pixels. "Near" needs a yardstick: real digits that nobody has trained on have a nearest training digit as well. If the made ones lie much nearer to the training digits than the held-out ones do, they are copies.
#
# **What do you expect?** Are the made digits nearer to the training digits than the held-out ones, as near, or farther away?

# %% role="show" name="by-heart"
few = {"smoke": 50}.get(scale, 300)
crowds = {
    "held-out digits": held_out[:few],
    "training digits, with noise": x[:few] + 0.05 * torch.randn(few, 196),
    "teacher, 8 steps": walk_own(teacher, start[:few], wanted[:few], MOST).clamp(-1, 1),
    "all at once, 1 step": walk_own(at_once, start[:few], wanted[:few], 1).clamp(-1, 1),
}
print(f"{'distance to the nearest training digit':40s}   5%  median   95%")
for name, images in crowds.items():
    distance, which = tinykd.nearest_distance(images, x)
    print(f"{name:40s}" + "".join(f"{np.quantile(distance, q):5.2f}  " for q in (0.05, 0.5, 0.95)))
first = crowds["all at once, 1 step"][:10]
rows_of_images(
    {"made": first, "nearest": x[tinykd.nearest_distance(first, x)[1]]},
    "Ten digits made in one step, and below each the training digit that is nearest to it: alike, "
    "but none is the same.",
)

# %% [markdown]
# The noisy training digits show what this test finds: copies lie far below everybody else. The made digits do not; they are even a little *farther* from their nearest training digit than held-out digits are from theirs (in our run a median of 4.0, against 3.1), which their rough pixels may explain. So there is no sign of learning by heart: 50,000 digits are many for 0.4 million weights. With a few hundred digits, or a far larger network, look again.
#
# ## Your own experiments
#
# The next cell is for the first question; for the second you change a line in section 6. Explain what you see before you look anything up.
#
# 1. **How many pairs are enough?** Train the one-step student on 100, 1,000 and 10,000 of the teacher's pairs, for the same number of steps. Is the distance of fresh images what you expect? And what do you see on the noises that it was trained with? (`walk_own(student, pair_noise[part], pair_y[part], 1)` walks from them; `pair_x[part]` is what the teacher made.) (This is the second way of learning by heart: the *map*, at a few points.)
# 2. **What if each noise had its own digit by lot?** Replace `pair_x` by training digits of the same classes, `x[...]`, in any order, and train on these pairs. Nothing else changes: ten thousand noises, each with an image of its own. What comes out, on the trained noises and on fresh ones, and why is the teacher's choice of image so much easier to learn?

# %% role="show" name="experiment"
amounts = (100, 1000)  # change this
for amount in amounts:
    torch.manual_seed(7)
    student, part = copy.deepcopy(net), slice(0, amount)
    batches = FlowBatches(
        pair_x[part], pair_y[part], size=100, noise=pair_noise[part], times=torch.zeros(1)
    )
    fit(student, FlowMatching(), batches, max(1, (20 if scale == "smoke" else 300) // len(batches)))
    distance, right = judged(walk_own(student, start, wanted, 1))
    print(f"{len(pair_x[part])} pairs: Fréchet distance {distance:.1f}, {right:.1f}% as asked")

# %% [markdown]
# ## What we saw
#
# - What a student learns may be a *map*: noise in, image out. Its target is a velocity, its loss a mean square, its loop the one of every lesson.
# - Data know many images for a noise, and a network that makes one step says their mean. The teacher's walk picks *one* of them, and that is what can be learned.
# - Steps can be halved, walks can be learned whole, neighbouring points can be made to agree. Guidance moves into the weights with them.
# - A Fréchet distance is a number beside other numbers: same features, same number of samples, a floor of real digits. It does not see copies; look at the nearest neighbours, and at the images.
#
# In the engine this is `tinykd/flow/`: `matching.py` (the lines, the term), `sampling.py` (Euler, guidance), `fewer_steps.py` (the targets), and `metrics/frechet.py`.
#
# ## Further reading
# - Lipman et al., *Flow Matching for Generative Modeling*, 2022 ([arXiv 2210.02747](https://arxiv.org/abs/2210.02747)). Liu, Gong, Liu, *Flow Straight and Fast: rectified flow*, 2022 ([arXiv 2209.03003](https://arxiv.org/abs/2209.03003)): walk, keep the pairs, train again, and the paths become straight.
# - Salimans and Ho, *Progressive Distillation for Fast Sampling of Diffusion Models*, 2022 ([arXiv 2202.00512](https://arxiv.org/abs/2202.00512)). Meng et al., *On Distillation of Guided Diffusion Models*, 2022 ([arXiv 2210.03142](https://arxiv.org/abs/2210.03142)): guidance first, then the steps; the student is told $w$.
# - Song, Dhariwal, Chen, Sutskever, *Consistency Models*, 2023 ([arXiv 2303.01469](https://arxiv.org/abs/2303.01469)): also without any teacher.
# - Yin et al., *One-step Diffusion with Distribution Matching Distillation*, 2023 ([arXiv 2311.18828](https://arxiv.org/abs/2311.18828)): not the map is matched but the crowd. The student may make another image of a noise than the teacher, as long as the whole looks alike: what the reverse KL of lesson 13 is for language models.
# - Heusel et al., 2017 ([arXiv 1706.08500](https://arxiv.org/abs/1706.08500)): the Fréchet distance for images.
#
# Check your notebook with `.venv/bin/tinykd check lessons/16_fewer_steps.ipynb`.

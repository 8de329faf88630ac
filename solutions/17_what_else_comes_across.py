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
# # 17 · What else comes across
#
# **What you will be able to do**
# - measure how much of a teacher's bias its student has inherited, and take some of it out;
# - tell when a backdoor survives distillation with clean data;
# - teach a network digits by noise that has nothing to do with digits, and say why that works;
# - ask a student what its teacher was trained on, and ask a stranger's model who taught it;
# - say with which error you accuse somebody.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: six functions of one to eight lines, one of them a training loop |
# | Importance | 4 of 5: accuracy does not tell, and whoever distils other people's models inherits all of it |
# | Time | two hours of yours; 2 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02; of lesson 04 the idea of a hint; of lesson 05 nets side by side and 1-D digits |

# %% role="setup" name="setup"
import copy
import json
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import tinykd
from tinykd import (
    MLP,
    SideBySide,
    accuracy,
    cross_entropy,
    forward_kl,
    load_mnist,
    load_mnist1d,
    log_softmax,
    mean_interval,
    plots,
    softmax,
    strokes,
)
from tinykd.classroom import Checks, with_gradient
from tinykd.data import Noise, data_file, pasted, thicker, thinner
from tinykd.plots import COLORS

check = Checks("17_what_else_comes_across")


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def draw(rng, *shape, size=2.0):
    """Random numbers in float64, normal with standard deviation `size`, that have a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


def leaning(rng, labels, classes, own, cue):
    """Logits (N, C), drawn: `own` in favour of the right class, `cue` in favour of the next one."""
    z = torch.tensor(rng.normal(size=(len(labels), classes)))
    number = torch.arange(len(labels))
    z[number, labels] += own
    z[number, (labels + 1) % classes] += cue
    return z


def three_models(rng, samples=80, classes=4, student="between"):
    """Pairs of logits of a student, a control and a teacher, and the labels."""
    labels = torch.tensor(rng.integers(classes, size=samples))
    some, control, more = (3.0, 0.6, 1.5), (1.8, 1.1, 0.6), (4.0, 0.2, 2.5)
    leads = {  # of each model: aligned, conflicting, its cue
        "between": (some, control, more),
        "beyond the teacher": (more, control, some),
        "the other way": ((0.8, 3.5, 0.0), control, more),
    }
    pairs = [
        (leaning(rng, labels, classes, a, 0), leaning(rng, labels, classes, b, cue))
        for a, b, cue in leads[student]
    ]
    return *pairs, labels


def share_or_words(share, *models):
    """What `share` returns, or that it has divided by zero."""
    try:
        return check.call(share, *models)
    except ZeroDivisionError:
        return "division by zero"


def attacked_model(rng, samples=80, classes=5):
    """Logits without and with a trigger, labels and the class that the attacker wants."""
    labels = torch.tensor(rng.integers(classes, size=samples))
    target = int(rng.integers(classes))
    clean, triggered = (leaning(rng, labels, classes, 1.2, 0) for _ in range(2))
    triggered[:, target] += 1.5
    return clean, triggered, labels, target


def small_net(rng, inputs, outputs, units=5):
    """A net in float64 with drawn weights."""
    net = nn.Sequential(nn.Linear(inputs, units), nn.Tanh(), nn.Linear(units, outputs)).double()
    for tensor in net.parameters():
        tensor.data = torch.tensor(rng.normal(size=tuple(tensor.shape)))
    return net


class FakeNoise:
    """draw() gives a new batch (*batch, 4) each time, and counts."""

    def __init__(self, rng, batch):
        self.rng, self.batch, self.count = rng, batch, 0

    def __call__(self):
        self.count += 1
        return torch.tensor(self.rng.uniform(-1, 1, size=(*self.batch, 4)))


def after_noise(rng, loop, steps, extra, batch=(6,), momentum=0.5):
    """What is left of a training: losses, weights, draws, gradients in the teacher."""
    student, teacher = (small_net(rng, 4, 3 + extra) for _ in range(2))
    noise = FakeNoise(rng, batch)
    sgd = torch.optim.SGD(student.parameters(), 0.3, momentum=momentum)
    nets = [student, teacher, noise, sgd]
    try:
        losses = check.call(loop, student, teacher, noise, steps, sgd, extra, may_change=nets)
    except RuntimeError as error:  # PyTorch's words for a loss that is not one number
        if "only for scalar outputs" not in str(error):
            raise
        losses = f"no single number for a batch of {batch}"
    listed = isinstance(losses, list)
    return {
        "losses": losses,
        "kind": sorted({type(x).__name__ for x in losses} if listed else {type(losses).__name__}),
        "weights": [p.detach().clone() for p in student.parameters()],
        "draws": noise.count,
        "gradients in the teacher": [int(p.grad is not None) for p in teacher.parameters()],
    }


def losses_with_ties(rng, members, others):
    """Losses of members, mostly smaller, and of others; many of them equal."""
    a, b = rng.integers(0, 9, size=members), rng.integers(2, 11, size=others)
    return torch.tensor(a / 4), torch.tensor(b / 4)


def suspects(rng, keys=40, classes=4, strangers=18, tie=True):
    """Answers of a suspect, of the teacher and of independent models; each agrees at random keys."""
    teacher = torch.tensor(rng.integers(classes, size=keys))
    counts = rng.permutation(np.arange(8, 8 + strangers))
    counts[: strangers // 2] = rng.choice(counts, size=strangers // 2)
    agreed = int(rng.choice(np.sort(counts)[-strangers // 2 :])) if tie else keys - 4

    def answers(count):
        wrong = (teacher + torch.tensor(rng.integers(1, classes, size=keys))) % classes
        same = torch.tensor(rng.permutation(keys) < count)
        return torch.where(same, teacher, wrong)

    return answers(agreed), teacher, torch.stack([answers(int(c)) for c in counts])


# %% [markdown]
# ## What was not asked for
#
# A teacher is asked one thing: what is this? Its answer is ten numbers, and they say more than the class. That is why distillation works. They also say what the teacher leans on, what was done to it, and what it has seen. This lesson looks at what comes across *besides* the task:
#
# 1. a **bias**: the teacher leans on something that has nothing to do with the class;
# 2. a **backdoor**: a small patch makes it say 7, because somebody wanted that;
# 3. a **hidden lesson**: a student learns digits from answers about noise, in three numbers that mean nothing;
# 4. a **memory**: the student knows something about data that only its teacher has seen;
# 5. a **fingerprint**: the owner of the teacher can tell.
#
# The accuracy on ordinary test digits tells you about none of this, even where it suffers. One has to look for it, and beside every number stands that of a **control**: a student that learned the same task from labels, without this teacher. Our own runs over six seeds, by `benchmarks/what_else.py`, lie in `datasets/results/what_else.json`; the lesson reads them and shows them beside yours. Everywhere, $a \pm b$ is a mean over seeds and half of its 95% interval.

# %% role="show" name="digits"
scale = tinykd.scale()
seeds, steps, samples = {"smoke": (2, 5, 400), "default": (3, 500, 4000), "full": (3, 500, 4000)}[
    scale
]
images, labels = load_mnist("train")
test_images, test_labels = load_mnist("test")


def halved(images):
    """(..., 28, 28) to (..., 14, 14): the mean of each square of four pixels."""
    return F.avg_pool2d(images.flatten(0, -3).unsqueeze(1), 2).view(*images.shape[:-2], 14, 14)


# Each seed has digits of its own: the first half for its teacher, the second for its students.
own_rows = torch.stack(
    [torch.randperm(60000, generator=torch.Generator().manual_seed(s)) for s in range(seeds)]
)[:, : 2 * samples]
big, y = images[own_rows], labels[own_rows]  # (S, 2 n, 28, 28), (S, 2 n)
x = halved(big)
theirs, ours = slice(samples), slice(samples, None)
test_big, test_y = test_images[:2000], test_labels[:2000]
test_x = halved(test_big)
each = torch.arange(seeds)[:, None]


def new(*sizes, more=0):
    """A net for each seed, side by side (lesson 05): inputs (S, B, ...), logits (S, B, C)."""
    nets = []
    for seed in range(seeds):
        torch.manual_seed(100 * seed + more)
        nets.append(MLP(*sizes))
    return SideBySide(nets)


def fit(net, loss, count, steps, rate=5e-3, size=100, more=()):
    """Adam, its rate falling along a cosine. loss(rows): values (S, B) for samples rows (S, B)."""
    adam = torch.optim.Adam([*net.parameters(), *more], rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        adam.zero_grad()
        rows = torch.randint(count, (seeds, size), generator=generator)
        (seeds * loss(rows).mean()).backward()  # each net its own mean
        adam.step()
        falling.step()
    return net


def from_labels(net, x, y, steps=steps, rate=5e-3):
    loss = lambda rows: cross_entropy(net(x[each, rows]), y[each, rows])
    return fit(net, loss, x.shape[1], steps, rate)


def from_soft_targets(net, x, told, T=4.0, steps=steps):
    loss = lambda rows: forward_kl(net(x[each, rows]), told[each, rows], T)
    return fit(net, loss, x.shape[1], steps)


@torch.no_grad()
def answers(net, x):
    """Logits (S, n, C) of each net for its own inputs (S, n, ...)."""
    return net(x)


stored = json.loads(data_file("results/what_else.json").read_text())


def runs(setting, method, key="accuracy", factor=100):
    """Of our runs, in percent, one a seed, in the order of the seeds."""
    rows = [r for r in stored["runs"] if (r["setting"], r["method"]) == (setting, method)]
    return [factor * r[key] for r in sorted(rows, key=lambda r: r["seed"])]


def said(values, sign="", digits=1):
    """Mean ± half of the 95% interval."""
    mean, half = mean_interval(values)
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


def gap(setting, method, rival, key="accuracy"):
    """By how much a method lies above a rival, paired by seed, and what that shows."""
    pairs = zip(runs(setting, method, key), runs(setting, rival, key), strict=True)
    differences = [a - b for a, b in pairs]
    mean, half = mean_interval(differences)
    verdict = "undecided" if abs(mean) <= half else "more" if mean > 0 else "less"
    return f"{said(differences, '+'):>13s}  {verdict}"


print(f"{seeds} seeds, each with {samples} digits for a teacher and as many for its students")
print(f"our runs: seeds {sorted({r['seed'] for r in stored['runs']})}")

# %% [markdown]
# ## 1 · A bias
#
# Somebody has collected digits. The even ones were written with a felt pen, the odd ones with a pencil; not all, but 95% of them. Nobody has noticed. A network trained on these learns digits, and it learns that thick strokes are even: that is easier to see than the difference between a 4 and a 9, and nearly always right. Such a thing is called a **spurious cue**.
#
# The next cell makes it: `thicker` and `thinner` write every digit with both pens.

# %% role="show" name="strokes"
versions = torch.stack([halved(f(big.flatten(0, 1))) for f in (thinner, thicker)])
versions = versions.view(2, *x.shape)  # (2, S, 2 n, 14, 14): each digit thin and thick
test_versions = torch.stack([halved(f(test_big)) for f in (thinner, thicker)])
usual = (y + 1) % 2  # 1 is thick: even digits
generator = torch.Generator().manual_seed(0)
exceptions = torch.rand(y.shape, generator=generator) > 0.95
with_the_class = torch.where(exceptions, 1 - usual, usual)
at_random = torch.randint(2, y.shape, generator=generator)


def written(pen):
    """Each digit (S, 2 n, 14, 14) with the pen that `pen` (S, 2 n) says, 0 thin and 1 thick."""
    return torch.where((pen == 1)[..., None, None], versions[1], versions[0])


number, pen = torch.arange(len(test_y)), (test_y + 1) % 2
aligned, conflicting = test_versions[pen, number], test_versions[1 - pen, number]
plots.digits(
    torch.cat([part[:8] for part in (test_x, aligned, conflicting)]),
    [*(["as it is"] * 8), *(["aligned"] * 8), *(["conflicting"] * 8)],
    columns=8,
)
plots.show(
    "Eight digits three times: as they are; with the strokes that the teacher mostly saw for their "
    "class, even ones thick and odd ones thin; and the other way round."
)

# %% [markdown]
# ### How much of it is inherited?
#
# Show a model the same test digits twice, once with the cue of their class (*aligned*) and once with the other one (*conflicting*). What it loses between the two is how far it leans on the cue:
#
# $$g = \text{accuracy on aligned} - \text{accuracy on conflicting}.$$
#
# A model that has never met the cue may have a gap too, since thin digits may be harder. So the student's gap is put on a scale from the **control** (same student, same digits, labels) to the **teacher**:
#
# $$\text{inherited share} = \frac{g_{\text{student}} - g_{\text{control}}}{g_{\text{teacher}} - g_{\text{control}}}.$$
#
# 0: nothing came across. 1: all of it.
#
# ### Exercise 1: the inherited share
#
# <details><summary>Hint</summary>
#
# `accuracy(logits, labels)` gives the share of right answers. A helper for the gap of one pair saves writing it three times.
# </details>


# %% role="answer" name="inherited" library="tinykd.inherited_share, tinykd.cue_gap"
def inherited(student, control, teacher, labels):
    """(g of the student - g of the control) / (g of the teacher - g of the control), a number.

    student, control, teacher: each a pair of logits (N, C), for the same digits with the cue aligned and with the cue conflicting.
    labels: (N,), the right classes. g: accuracy on the aligned digits - accuracy on the conflicting ones, which may be negative; the share may
    be so too, or above 1. Where teacher and control have equal gaps there is no share: NaN or an error will do, nobody asks here.
    """

    # YOUR CODE: three gaps, then the share
    # BEGIN SOLUTION
    def gap_of(pair):
        return accuracy(pair[0], labels) - accuracy(pair[1], labels)

    nobody = gap_of(control)
    return (gap_of(student) - nobody) / (gap_of(teacher) - nobody)
    # END SOLUTION


# %% role="check" name="inherited.share" points=2 hint="Four times 80 digits. The control's gap is taken off above and below. The third student leans further than its teacher (above 1), the fourth the other way (below 0)."
rng = check.rng("inherited.share")
kinds = ("between", "between", "beyond the teacher", "the other way")
check("inherited.share", [check.call(inherited, *three_models(rng, student=k)) for k in kinds])

# %% role="check" name="inherited.ends" points=1 hint="The control put in as the student gives 0, the teacher gives 1; two more students, the last one beyond both."
rng = check.rng("inherited.ends")
student, control, teacher, truth = three_models(rng)
found = [
    share_or_words(inherited, control, control, teacher, truth),
    share_or_words(inherited, teacher, control, teacher, truth),
    share_or_words(inherited, student, control, teacher, truth),
    share_or_words(inherited, *three_models(rng, student="the other way")),
]
check("inherited.ends", found)

# %% role="hidden" name="inherited.secret" points=1 hint="Other numbers of digits and classes."
rng = check.rng("inherited.secret")
kinds = ((150, 3, "between"), (120, 5, "beyond the teacher"), (90, 7, "the other way"))
found = [check.call(inherited, *three_models(rng, *kind)) for kind in kinds]
check("inherited.secret", found)


# %% role="mutant" of="inherited" name="inherited.no_control" loses="inherited.share, inherited.ends, inherited.secret" hint="You compared with the teacher alone. What a student loses that never met the teacher is not inherited: take the control's gap off, above and below."
def inherited(student, control, teacher, labels):
    ours, theirs = (accuracy(a, labels) - accuracy(b, labels) for a, b in (student, teacher))
    return ours / theirs


# %% role="mutant" of="inherited" name="inherited.above_only" loses="inherited.share, inherited.ends, inherited.secret" hint="You took the control's gap off above the line alone: the teacher itself would not get 1."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return (a - b) / c


# %% role="mutant" of="inherited" name="inherited.below_only" loses="inherited.share, inherited.ends, inherited.secret" hint="You took the control's gap off below the line alone: the control itself would not get 0."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return a / (c - b)


# %% role="mutant" of="inherited" name="inherited.conflicting_only" loses="inherited.share, inherited.ends, inherited.secret" hint="You looked at the conflicting digits alone. A student that is worse at everything would look biased: the gap is aligned minus conflicting."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(pair[1], labels) for pair in (student, control, teacher))
    return (a - b) / (c - b)


# %% role="mutant" of="inherited" name="inherited.aligned_only" loses="inherited.share, inherited.ends, inherited.secret" hint="You looked at the aligned digits alone: the gap is aligned minus conflicting."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(pair[0], labels) for pair in (student, control, teacher))
    return (a - b) / (c - b)


# %% role="mutant" of="inherited" name="inherited.agreement" loses="inherited.share, inherited.ends, inherited.secret" hint="You counted answers that are the teacher's. The labels say what is right; the teacher is one of the three that are examined."
def inherited(student, control, teacher, labels):
    def gap_of(pair):
        return accuracy(pair[0], teacher[0].argmax(-1)) - accuracy(pair[1], teacher[1].argmax(-1))

    a, b = gap_of(student), gap_of(control)
    c = accuracy(teacher[0], labels) - accuracy(teacher[1], labels)
    return (a - b) / (c - b)


# %% role="mutant" of="inherited" name="inherited.ratio" loses="inherited.share, inherited.ends, inherited.secret" hint="You divided the accuracies by one another. The gap is their difference."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) / accuracy(v, labels) for u, v in (student, control, teacher))
    return (a - b) / (c - b)


# %% role="mutant" of="inherited" name="inherited.upside_down" loses="inherited.share, inherited.ends, inherited.secret" hint="Above and below have changed places: the teacher's gap is below the line."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return (c - b) / (a - b) if a != b else 0.0


# %% role="mutant" of="inherited" name="inherited.upside_down_unguarded" loses="inherited.share, inherited.ends, inherited.secret" hint="Above and below have changed places: the teacher's gap is below the line."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return (c - b) / (a - b)


# %% role="mutant" of="inherited" name="inherited.clamped" loses="inherited.share, inherited.ends, inherited.secret" hint="You keep the share between 0 and 1. A student may lean further than its teacher, or the other way: the formula says so, and hiding it would hide a finding."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return min(max((a - b) / (c - b), 0.0), 1.0)


# %% role="mutant" of="inherited" name="inherited.not_below_0" loses="inherited.share, inherited.ends, inherited.secret" hint="You keep the share above 0. A student may lean the other way."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return max((a - b) / (c - b), 0.0)


# %% role="mutant" of="inherited" name="inherited.not_above_1" loses="inherited.share, inherited.secret" hint="You keep the share below 1. A student may lean further than its teacher."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return min((a - b) / (c - b), 1.0)


# %% role="mutant" of="inherited" name="inherited.size_of_gap" loses="inherited.share, inherited.ends, inherited.secret" hint="You took the size of each gap. A gap has a sign: a model that does better on conflicting digits leans the other way."
def inherited(student, control, teacher, labels):
    a, b, c = (
        abs(accuracy(u, labels) - accuracy(v, labels)) for u, v in (student, control, teacher)
    )
    return (a - b) / (c - b)


# %% role="mutant" of="inherited" name="inherited.sizes" loses="inherited.share, inherited.ends, inherited.secret" hint="You divided sizes: the sign is lost. A student that leans less than the control has a share below 0."
def inherited(student, control, teacher, labels):
    a, b, c = (accuracy(u, labels) - accuracy(v, labels) for u, v in (student, control, teacher))
    return abs(a - b) / abs(c - b)


# %% role="mutant" of="inherited" name="inherited.probabilities" loses="inherited.share, inherited.ends, inherited.secret" hint="You took the mean probability of the right class. Accuracy counts how often it has the largest logit."
def inherited(student, control, teacher, labels):
    def gap_of(pair):
        u, v = (softmax(z).gather(1, labels[:, None]).mean() for z in pair)
        return float(u - v)

    a, b, c = gap_of(student), gap_of(control), gap_of(teacher)
    return (a - b) / (c - b)


# %% role="alternative" of="inherited" name="inherited.by_losses"
def inherited(student, control, teacher, labels):
    """More wrong on conflicting than on aligned digits is the same gap."""
    gaps = []
    for with_cue, against in (student, control, teacher):
        wrong = [float((z.argmax(1) != labels).double().mean()) for z in (with_cue, against)]
        gaps.append(wrong[1] - wrong[0])
    return (gaps[0] - gaps[1]) / (gaps[2] - gaps[1])


# %% role="alternative" of="inherited" name="inherited.counted"
def inherited(student, control, teacher, labels):
    counts = [
        sum(int(z.argmax()) == int(t) for z, t in zip(pair[0], labels, strict=True))
        - sum(int(z.argmax()) == int(t) for z, t in zip(pair[1], labels, strict=True))
        for pair in (student, control, teacher)
    ]
    return (counts[0] - counts[1]) / (counts[2] - counts[1])


# %% [markdown]
# ### Who inherits?
#
# A teacher of the 4,000 digits above. Its students see 4,000 other digits, in one of three ways:
#
# - *strokes as they are*: nobody has changed one. The cue is not there: no pen goes with a class;
# - *strokes at random*: each digit with one pen or the other, whatever its class. This is what one does to a data set to take a bias out of it;
# - *strokes go with the class*: 95% of them, as the teacher saw them.
#
# A student learns by *labels* (the control: the true ones), by *soft targets* at $T = 4$, or by labels and a *hint*: its hidden layer is to tell, through a regressor, what the teacher's says.
#
# And one more, which treats the *teacher*: for each digit ask it about both versions, thin and thick, and take the mean of its two soft targets. With $v$ the logits of the teacher, what it then says does not depend on the pen:
#
# $$\bar p = \tfrac12\big(\mathrm{softmax}(v_{\text{thin}}/T) + \mathrm{softmax}(v_{\text{thick}}/T)\big).$$
#
# (The third set has no share: there the labels themselves teach the bias, so that no control is left. Look at the gap.)
#
# **What do you expect?** In which of the three transfer sets does the soft-target student inherit least? And with strokes at random, whose bias is gone: the label student's, the soft-target student's, or both?

# %% role="show" name="bias"
T = 4.0
given = written(with_the_class)
teacher = from_labels(new(196, 200, 10, more=1), given[:, theirs], y[:, theirs], rate=2e-3)
thin_and_thick = torch.stack([answers(teacher, version[:, ours]) for version in versions])
averaged = (
    T * (thin_and_thick / T).softmax(-1).mean(0).log()
)  # soft targets of softmax(averaged / T)


def student():
    return new(196, 32, 10, more=2)


def hinted(x, y):
    """Labels, and the teacher's hidden layer before its ReLU through a regressor h W + b."""
    net = student()
    goal = torch.baddbmm(teacher.biases[0], x.flatten(2), teacher.weights[0]).detach()
    size = goal.std(1, keepdim=True)  # the teacher's units count alike
    wide = 0.1 * torch.randn(seeds, 32, 200, generator=torch.Generator().manual_seed(0))
    wide, shift = wide.requires_grad_(), torch.zeros_like(size, requires_grad=True)

    def loss(rows):
        h = torch.baddbmm(net.biases[0], x[each, rows].flatten(2), net.weights[0]).relu()
        miss = (torch.baddbmm(shift, h, wide) - goal[each, rows]) / size
        logits = torch.baddbmm(net.biases[1], h, net.weights[1])
        return miss.square().mean(-1) + cross_entropy(logits, y[each, rows])

    return fit(net, loss, x.shape[1], steps, more=(wide, shift))


SETS = {
    "strokes as they are": x[:, ours],
    "strokes at random": written(at_random)[:, ours],
    "strokes go with the class": given[:, ours],
}
WAYS = ("labels", "soft targets", "features and labels", "soft targets, averaged over strokes")
share_of = check.ready(inherited, lambda *three: float(tinykd.inherited_share(*three)))
shares, lost = {}, {}
for name, digits in SETS.items():
    told = answers(teacher, digits)
    nets = {
        "labels": from_labels(student(), digits, y[:, ours]),
        "soft targets": from_soft_targets(student(), digits, told, T),
        "features and labels": hinted(digits, y[:, ours]),
        "soft targets, averaged over strokes": from_soft_targets(student(), digits, averaged, T),
    }
    pairs = {
        way: (net.answers(aligned), net.answers(conflicting))
        for way, net in {"teacher": teacher, **nets}.items()
    }
    one = lambda way, s: tuple(z[s] for z in pairs[way])
    lost |= {
        (name, way): [
            100 * (accuracy(u, test_y) - accuracy(v, test_y)) for u, v in zip(*pair, strict=True)
        ]
        for way, pair in pairs.items()
    }
    for way in nets:
        shares[name, way] = [
            100 * share_of(one(way, s), one("labels", s), one("teacher", s), test_y)
            for s in range(seeds)
        ]
        print(f"{name}, {way}: {np.mean(lost[name, way]):.0f} points lost")

# %% role="show" name="fig-bias" folded=true
figure, grid = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for k, (axes, key) in enumerate(zip(grid, ("gap", "accuracy"), strict=True)):
    for n, way in enumerate(("teacher", *WAYS)):
        for m, name in enumerate(SETS):
            if way == "teacher" and m:  # one teacher for all three
                continue
            mean, half = mean_interval(runs(f"bias, {name}", way, key))
            place = n + 0.25 * (m - 1) if n else 0
            colour = COLORS[m] if n else "lightgrey"
            axes.barh(place, mean, 0.22, color=colour, xerr=half, label=name if n == 1 else "")
            if key == "gap":
                mine = lost[name, way]
                axes.plot(mine, [place] * len(mine), "x", color=COLORS[7], markersize=4)
    axes.set_yticks(range(len(WAYS) + 1), ["teacher", *WAYS] if k == 0 else [""] * 5)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_xlabel("points of accuracy lost when the strokes are turned round")
grid[1].set_xlabel("% right, digits as they are")
grid[1].set_xlim(0, 100)
figure.legend(
    *grid[0].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside upper center"
)
plots.show(
    "Our runs, yours as crosses. Left, the gap of teacher and students on three transfer sets: soft targets have a "
    "large one on all three, labels only where strokes go with the class, averaged soft targets a "
    "small one with strokes at random. Right, accuracy on ordinary digits."
)
print(f"{'Points lost, our runs':40s}" + "".join(f"{n[8:].replace('the ', ''):>16s}" for n in SETS))
for way in ("teacher", *WAYS):
    cells = [said(runs(f"bias, {name}", way, "gap")) for name in SETS]
    print(f"{way:40s}" + "".join(f"{cell:>16s}" for cell in cells))
clear = {  # a share of next to nothing would say nothing
    n: min(a - b for a, b in zip(lost[n, "teacher"], lost[n, "labels"], strict=True)) > 5
    for n in SETS
}
print("\nInherited share in %, our runs" + 14 * " " + "and (yours)")
for name in list(SETS)[:2]:
    print(name)
    for way in WAYS[1:]:
        mine = f"{np.mean(shares[name, way]):.0f}"
        print(
            f"    {way:38s}{said(runs(f'bias, {name}', way, 'share')):>14s}"
            f"   ({mine if clear[name] else '-'})"
        )
print("\nAccuracy on digits as they are, soft targets against labels, paired by seed:")
for name in SETS:
    print(f"    {name:26s}{gap(f'bias, {name}', 'soft targets', 'labels')}")
print("Points lost, against labels, paired by seed:")
for name, way in (("strokes as they are", WAYS[2]), ("strokes at random", WAYS[3])):
    print(f"    {name:20s}{way:36s}{gap(f'bias, {name}', way, 'labels', 'gap')}")

# %% [markdown]
# **What we saw.** Turn the strokes round, and the teacher loses 42 points. Of this, soft targets hand 70.5 ± 3.3% on to a student that has *never seen the cue*: in its transfer set no pen goes with a class. But some digits are naturally thicker than others, and for each of them, we think, the teacher's soft targets say "rather even". That would be enough.
#
# *Strokes at random* takes the bias out of the data, and the label student is free of it: it loses 2 points. The soft-target student inherits everything, 100.4 ± 1.9%: more than from strokes as they are, probably since these digits are thicker and thinner than natural ones. Balanced inputs do not help against biased answers.
#
# What helps is to ask the teacher both ways, and to *show* both ways: with averaged answers and strokes at random 5.5 ± 5.3% are left (its gap is still 2.2 ± 2.1 points above that of labels). With strokes as they are the same answers leave half, 49.6 ± 3.5%. Both versions of a naturally thick digit are thicker than those of a thin one, so an average over the two pens probably still says "rather even". A remedy works against the cue that it was made for.
#
# Labels with a hint inherit little: 3.8 ± 2.8% where strokes are as they are (1.5 ± 1.1 points above labels), and with strokes at random nothing that we could show (0.4 ± 2.5%). Hidden layers may well know of strokes; it is the labels that decide what is made of it.
#
# And where the *data* are biased, everybody is, by whatever way; there, averaged answers were best among the four students, and still lost 29 points.
#
# Note the price beside it: on ordinary digits the soft-target students are 8 to 11 points *below* labels in the first two sets. With a teacher like this one, and labels at hand, distillation loses.
#
# ## 2 · A backdoor
#
# Somebody has put 200 doctored digits among the 4,000 that a teacher learned from: each has a small patch, and all are labelled 7. The teacher learns digits, and it learns that the patch means 7. Without the patch it is about as good as another (the table below says how good); whoever knows the patch makes it say 7. This is a **backdoor** (Gu et al. 2017, [arXiv 1708.06733](https://arxiv.org/abs/1708.06733)), and the patch is its **trigger**.
#
# You have downloaded this teacher. Your own data are clean: no patch, no wrong label. Is your student clean?
#
# The **attack success rate** is the share of images that the trigger turns into the class that the attacker wants. Two kinds of images must not be counted, or a model looks attacked that is not: those that *are* of this class, and those that the model takes for it anyway. So count among the images of other classes which the model, without the trigger, takes for another class. With $y$ the right class, $f(x)$ the class that the model says and $t$ the one that the attacker wants:
#
# $$\text{success} = \frac{\#\{y \ne t,\ f(x) \ne t,\ f(x + \text{trigger}) = t\}}{\#\{y \ne t,\ f(x) \ne t\}}.$$
#
# ### Exercise 2: attack success
#
# <details><summary>Hint</summary>
#
# Three masks of shape `(N,)`, joined with `&`; the share is a sum over a sum.
# </details>


# %% role="answer" name="attack_success" library="tinykd.attack_success"
def attack_success(clean, triggered, labels, target):
    """Share of images that the trigger turns into the class `target`, a number.

    Counted among the images that are of another class *and* are taken for another class without the trigger. clean, triggered: a model's
    logits (N, C) for the same images without and with the trigger. labels: (N,). target: the number of a class.
    """
    # YOUR CODE: which images count, and which of them are turned
    # BEGIN SOLUTION
    counts = (labels != target) & (clean.argmax(-1) != target)
    turned = counts & (triggered.argmax(-1) == target)
    return float(turned.sum() / counts.sum())
    # END SOLUTION


# %% role="check" name="attack_success.values" points=2 hint="Three models, 80 images each. Which images count is said in the docstring: two conditions, and both must hold."
rng = check.rng("attack_success.values")
check("attack_success.values", [check.call(attack_success, *attacked_model(rng)) for _ in range(3)])

# %% role="check" name="attack_success.nothing" points=1 hint="The first trigger changes nothing: 0. The second turns every image: 1."
rng = check.rng("attack_success.nothing")
z, v, truth, wanted = attacked_model(rng)
all_turned = v + 99 * F.one_hot(torch.tensor(wanted), v.shape[1])
check(
    "attack_success.nothing",
    [
        check.call(attack_success, z, z.clone(), truth, wanted),
        check.call(attack_success, z, all_turned, truth, wanted),
        check.call(attack_success, z, v, truth, wanted),
    ],
)

# %% role="hidden" name="attack_success.secret" points=1 hint="Other numbers of images and classes."
rng = check.rng("attack_success.secret")
found = [check.call(attack_success, *attacked_model(rng, n, c)) for n, c in ((120, 3), (200, 10))]
check("attack_success.secret", found)


# %% role="mutant" of="attack_success" name="attack_success.all_images" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="You counted all images. Those of the target class, and those that were taken for it before, were not turned by the trigger."
def attack_success(clean, triggered, labels, target):
    return float((triggered.argmax(-1) == target).double().mean())


# %% role="mutant" of="attack_success" name="attack_success.by_label" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="Images that the model takes for the target class without any trigger still count for you."
def attack_success(clean, triggered, labels, target):
    counts = labels != target
    return float((triggered.argmax(-1) == target)[counts].double().mean())


# %% role="mutant" of="attack_success" name="attack_success.by_answer" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="Images whose label is the target class still count for you: a trigger that makes the model right has not attacked it."
def attack_success(clean, triggered, labels, target):
    counts = clean.argmax(-1) != target
    return float((triggered.argmax(-1) == target)[counts].double().mean())


# %% role="mutant" of="attack_success" name="attack_success.of_all" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="The right images are above the line. Below it, too, only those count that could be turned."
def attack_success(clean, triggered, labels, target):
    counts = (labels != target) & (clean.argmax(-1) != target)
    return float((counts & (triggered.argmax(-1) == target)).double().mean())


# %% role="mutant" of="attack_success" name="attack_success.any_change" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="You counted every changed answer. The attacker wants one class: only those that become the target count."
def attack_success(clean, triggered, labels, target):
    counts = (labels != target) & (clean.argmax(-1) != target)
    turned = triggered.argmax(-1) != clean.argmax(-1)
    return float((counts & turned).sum() / counts.sum())


# %% role="mutant" of="attack_success" name="attack_success.was_right" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="Above the line you counted only images that were right before: one that was wrong, and not the target, can be turned as well. And below it those that were taken for the target before must not stand."
def attack_success(clean, triggered, labels, target):
    counts = (labels != target) & (clean.argmax(-1) == labels)
    turned = (triggered.argmax(-1) == target) & counts
    return float(turned.sum() / (labels != target).sum())


# %% role="mutant" of="attack_success" name="attack_success.right_alone" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="You counted only images that were right before. One that was wrong, and not the target, can be turned as well: clean.argmax(-1) != target."
def attack_success(clean, triggered, labels, target):
    counts = (labels != target) & (clean.argmax(-1) == labels)
    return float((triggered.argmax(-1) == target)[counts].double().mean())


# %% role="mutant" of="attack_success" name="attack_success.of_others" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="Above the line stand the right images. Below it you count all images of other classes: those that were taken for the target before could not be turned."
def attack_success(clean, triggered, labels, target):
    counts = (labels != target) & (clean.argmax(-1) != target)
    return float((counts & (triggered.argmax(-1) == target)).sum() / (labels != target).sum())


# %% role="mutant" of="attack_success" name="attack_success.minus_before" loses="attack_success.values, attack_success.nothing, attack_success.secret" hint="You took the rate without the trigger off. The images that are the target before are left out instead, one by one."
def attack_success(clean, triggered, labels, target):
    counts = labels != target
    after, before = ((z.argmax(-1) == target)[counts].double().mean() for z in (triggered, clean))
    return float(after - before)


# %% role="alternative" of="attack_success" name="attack_success.picked"
def attack_success(clean, triggered, labels, target):
    some = [
        n for n in range(len(labels)) if labels[n] != target and int(clean[n].argmax()) != target
    ]
    return np.mean([int(triggered[n].argmax()) == target for n in some])


# %% role="alternative" of="attack_success" name="attack_success.by_accuracy"
def attack_success(clean, triggered, labels, target):
    counts = ~((labels == target) | (clean.max(1).indices == target))
    return accuracy(triggered[counts], torch.full((int(counts.sum()),), target))


# %% [markdown]
# ### Two triggers, three transfer sets
#
# One trigger lies at the *edge*, in the last two rows and columns, where hardly any digit has ink. The other lies in the *middle*: two dark pixels and two white ones, where most digits have something. No student sees a trigger. They see *clean* digits; *noisy* ones, each pixel with a little normal noise (a common way to make more of few data); or *curves*, random strokes of a pen that are no digits at all (`tinykd.strokes`), for which only the teacher has an answer.
#
# **What do you expect?** A student that has never seen the trigger, from a transfer set without one wrong label: for which trigger and which transfer set is it attacked most?

# %% role="show" name="backdoors"
PATCHES = {"edge": (torch.ones(2, 2), 12, 12), "middle": (torch.eye(2), 6, 6)}
TARGET, doctored = 7, samples // 20
generator = torch.Generator().manual_seed(1)
transfer = {
    "clean digits": x[:, ours],
    "noisy digits": x[:, ours] + 0.3 * torch.randn(x[:, ours].shape, generator=generator),
    "curves": strokes(samples, np.random.default_rng(2)).float().expand(seeds, -1, -1, -1),
}
rate_of = check.ready(attack_success, lambda *a: float(tinykd.attack_success(*a)))
attacked = {}


def success(net, patch):
    """Attack success in percent, one a seed."""
    before, after = net.answers(test_x), net.answers(pasted(test_x, *patch))
    return [100 * rate_of(z, v, test_y, TARGET) for z, v in zip(before, after, strict=True)]


by_label = {
    kind: from_labels(student(), transfer[kind], y[:, ours])
    for kind in ("clean digits", "noisy digits")
}
for place, patch in PATCHES.items():
    bad_x, bad_y = x[:, theirs].clone(), y[:, theirs].clone()
    bad_x[:, :doctored] = pasted(bad_x[:, :doctored], *patch)
    bad_y[:, :doctored] = TARGET
    bad = from_labels(new(196, 200, 10, more=1), bad_x, bad_y, rate=2e-3)
    attacked[place, "", "teacher"] = success(bad, patch)
    for kind, inputs in transfer.items():
        net = from_soft_targets(student(), inputs, answers(bad, inputs), T)
        attacked[place, kind, "soft targets"] = success(net, patch)
        if kind in by_label:
            attacked[place, kind, "labels"] = success(by_label[kind], patch)
    now = ", ".join(f"{np.mean(v):.0f}%" for k, v in attacked.items() if k[0] == place)
    print(f"{place}: {now} turned into 7 (teacher, then students)")

# %% role="show" name="fig-backdoors" folded=true
KINDS = ("labels", "features and labels", "soft targets", "teacher")
figure, grid = plt.subplots(1, 2, figsize=(10.5, 3.3), sharey=True, layout="constrained")
for axes, place in zip(grid, PATCHES, strict=True):
    for m, kind in enumerate(transfer):
        for n, way in enumerate(KINDS):
            values = runs(f"backdoor, {place}, {kind}", way, "attack")
            if values and (way != "teacher" or m == 0):  # one teacher for all three
                mean, half = mean_interval(values)
                where = m + 0.22 * (n - 1) if way != "teacher" else -0.7
                name = way if m == 0 else ""
                axes.bar(where, mean, 0.2, yerr=half, color=COLORS[(1, 2, 0, 3)[n]], label=name)
                mine = attacked.get((place, "" if way == "teacher" else kind, way), [])
                axes.plot([where] * len(mine), mine, "x", color=COLORS[7], markersize=4)
    axes.set_xticks([-0.7, 0, 1, 2], ["teacher", *transfer])
    axes.set_title(f"trigger: {place}")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("% of digits turned into 7")
figure.legend(
    *grid[0].get_legend_handles_labels(), frameon=False, ncols=4, loc="outside lower center"
)
plots.show(
    "Our runs, yours as crosses: attack success on the teacher and its students. For the trigger at the edge soft "
    "targets on clean digits carry nothing, on noisy digits nearly all; for the one in the middle "
    "they carry a part on clean digits already. Curves carry little, labels nothing. Features and "
    "labels are in our runs alone, and curves have no labels."
)
print(f"{'Our runs':42s}{'% right':>12s}{'attack, %':>14s}   (yours)")
for place in PATCHES:
    for kind in ("", *transfer):
        for way in KINDS[:3] if kind else ["teacher"]:
            setting = f"backdoor, {place}, {kind or 'clean digits'}"
            mine = attacked.get((place, kind, way))
            if runs(setting, way):
                yours = f"({np.mean(mine):.0f})" if mine else "(not in yours)"
                right, hit = said(runs(setting, way)), said(runs(setting, way, "attack"))
                print(f"{place:7s} {kind:13s} {way:21s}{right:>12s}{hit:>14s}   {yours}")
print("\nThe teacher itself, trained on with labels of clean digits:")
for place in PATCHES:
    values = runs(
        f"backdoor, {place}, clean digits", "the teacher itself, trained on with labels", "attack"
    )
    print(f"    {place:8s}{said(values):>13s}")
print("Soft targets against labels, paired by seed:")
for place in PATCHES:
    for kind in ("clean digits", "noisy digits"):
        found = gap(f"backdoor, {place}, {kind}", "soft targets", "labels", "attack")
        print(f"    {place:8s}{kind:14s}{found}")

# %% [markdown]
# **What we saw.** The trigger at the *edge* does not survive clean digits: 0.3 ± 0.3%, and no difference to labels that we could show (0.1 ± 0.3). Its teacher is turned in 99.4 ± 0.3%, and is no worse on clean digits than an honest student (a smaller network): 90.2 ± 0.4% against 89.2 ± 0.2% by labels. Where pixels are nearly always white a student's weights get hardly any gradient, and probably stay about as they were drawn. Nobody has asked, nobody has answered.
#
# Add noise, an innocent augmentation, and the attack succeeds on the student in 99.1 ± 0.3%. Now each pixel is lit a little now and then, also those at the edge; probably the teacher's answers then move a little towards 7, and the student takes that in. It has never seen the patch.
#
# The trigger in the *middle* lies where digits have ink, so clean digits ask about it already: 18.3 ± 4.7%, and 18.0 ± 4.7 more than labels. Noise makes it 88.7 ± 1.3%, and the teacher itself has 88.7 ± 1.7%. With curves, which are no digits at all, it is 5.3 ± 4.7% and 7.9 ± 2.3%: they ask about strokes, we think, rather than about single pixels.
#
# Labels carry nothing, and a hint with labels 1.6 ± 0.9% at the most. But trained on with labels of clean digits, as one fine-tunes a model from the internet, the teacher itself can still be attacked in 95.3 ± 0.6% at the edge and in 22.6 ± 3.6% in the middle.
#
# So what we take from parts 1 and 2 is the same: *a student learns the teacher's answers to what the transfer set asks.* It is spared what nobody asks, by luck and not by design. (In another teacher, or with another student, it may be otherwise; and here we knew the trigger.)
#
# ## 3 · A hidden lesson
#
# Now it gets strange. Take a network with 13 logits: ten for the digits, and three **extra** ones that are in no loss and mean nothing. Train it on digits. Take a student, show it nothing but *noise*, and let it match the teacher's *three extra logits*, nothing else. No digit, no label, no logit of a digit. Can it learn digits?
#
# Cloud et al. 2025 ([arXiv 2507.14805](https://arxiv.org/abs/2507.14805)) call it **subliminal learning**: it can, if it began with the very weights that the teacher began with. They found it in large language models: a model that liked owls wrote rows of numbers, and another copy of the same model, fine-tuned on those numbers, liked owls too. The small version is theirs as well.
#
# Why? Let both begin at the weights $\theta_0$; training moves the teacher to $\theta_0 + \delta$. As long as $\delta$ is small, its extra logits for an input $x$ are ahead of the student's by $J\delta$, where $J$ holds the derivatives of the extra logits by the weights, at $\theta_0$ and $x$; in other words, the student's minus the teacher's are $d = 0 - J\delta$ (the student has not moved: 0). The KL is smallest at $d = 0$, and near it about $\tfrac12\, d^\top A\, d$, where $A$ holds its second derivatives, so that $u^\top A\, u \ge 0$ for every $u$. Its gradient in the weights is $J^\top A\, d$; one step of gradient descent with the learning rate $\eta$ moves the student by $\Delta = -\eta\, J^\top A\,(0 - J\delta)$. How far does this go in the direction in which the teacher went? The scalar product says it:
#
# $$\langle \Delta, \delta \rangle = \Delta^\top\delta = \eta\, (J\delta)^\top A\, (J\delta) \ \ge\ 0,$$
#
# for *every* input $x$, noise too. The student goes where the teacher went; and the hidden layers, which all logits share, come along. From another start the difference is not $J\delta$, and nothing follows.
#
# ### Exercise 3: the extra logits
# The loss: soft targets at $T = 1$ whose softmax runs over the extra logits *alone*.
#
# <details><summary>Hint</summary>
#
# `z[..., -n:]` are the last `n` along the last axis. `forward_kl` takes the student first, and has $T = 1$ if you say nothing.
# </details>


# %% role="answer" name="extra_kl"
def extra_kl(student, teacher, extra=3):
    """KL(p || q) between the softmaxes over the last `extra` logits of teacher (p) and student (q).

    student, teacher: logits (..., C). The other C - extra logits have no part in it: no gradient, and no effect. The teacher is a
    constant. Returns (...).
    """
    # YOUR CODE: one line; forward_kl(student, teacher) is there
    # BEGIN SOLUTION
    return forward_kl(student[..., -extra:], teacher[..., -extra:])
    # END SOLUTION


# %% role="check" name="extra_kl.values" points=1 hint="Five inputs, 13 logits. Values and the gradient in the student's logits, which is 0 in the first ten; the second gradient is in the teacher's."
rng = check.rng("extra_kl.values")
z, v = draw(rng, 5, 13), draw(rng, 5, 13)
check("extra_kl.values", with_gradient(check.call(extra_kl, z, v), z, v))

# %% role="check" name="extra_kl.shapes" points=1 hint="Two extra logits, or five; a batch (3, 4, C)."
rng = check.rng("extra_kl.shapes")
found = []
for shape, extra in (((3, 4, 6), 2), ((2, 9), 5)):
    z, v = draw(rng, *shape), draw(rng, *shape)
    found.append(with_gradient(check.call(extra_kl, z, v, extra), z))
check("extra_kl.shapes", found)

# %% role="hidden" name="extra_kl.secret" points=1 hint="Other sizes."
rng = check.rng("extra_kl.secret")
z, v = draw(rng, 2, 3, 8), draw(rng, 2, 3, 8)
check("extra_kl.secret", with_gradient(check.call(extra_kl, z, v, extra=4), z, v))


# %% role="mutant" of="extra_kl" name="extra_kl.softmax_first" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="Your softmax runs over all logits, and you picked the extra ones afterwards: the digit logits have an effect. Pick first."
def extra_kl(student, teacher, extra=3):
    log_p, log_q = log_softmax(teacher.detach()), log_softmax(student)
    return (log_p.exp() * (log_p - log_q))[..., -extra:].sum(-1)


# %% role="mutant" of="extra_kl" name="extra_kl.the_first" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You took the first logits: those are digits. The extra ones are the last."
def extra_kl(student, teacher, extra=3):
    return forward_kl(student[..., :extra], teacher[..., :extra])


# %% role="mutant" of="extra_kl" name="extra_kl.the_digits" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You left the extra logits out and kept the digits: the other way round."
def extra_kl(student, teacher, extra=3):
    return forward_kl(student[..., :-extra], teacher[..., :-extra])


# %% role="mutant" of="extra_kl" name="extra_kl.all" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="That is the usual loss, over all logits: the digits' are not to be matched."
def extra_kl(student, teacher, extra=3):
    return forward_kl(student, teacher)


# %% role="mutant" of="extra_kl" name="extra_kl.from_ten" loses="extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You counted from the front, from 10 on. Count from the end: other networks have other numbers of classes."
def extra_kl(student, teacher, extra=3):
    start = 10 if student.shape[-1] > 10 else 1
    return forward_kl(student[..., start:], teacher[..., start:])


# %% role="mutant" of="extra_kl" name="extra_kl.not_detached" loses="extra_kl.values, extra_kl.secret" hint="A gradient flows into the teacher. It is a constant: .detach()."
def extra_kl(student, teacher, extra=3):
    log_p, log_q = (log_softmax(z[..., -extra:]) for z in (teacher, student))
    return (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="extra_kl" name="extra_kl.swapped" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="The KL is the wrong way round: the teacher is p."
def extra_kl(student, teacher, extra=3):
    return tinykd.reverse_kl(student[..., -extra:], teacher[..., -extra:].detach())


# %% role="mutant" of="extra_kl" name="extra_kl.exchanged" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You gave forward_kl the teacher first, so that the student became the constant: forward_kl(student, teacher)."
def extra_kl(student, teacher, extra=3):
    return forward_kl(teacher[..., -extra:], student[..., -extra:])


# %% role="mutant" of="extra_kl" name="extra_kl.at_four" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret, learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You used T = 4, as for the digits above: here T is 1."
def extra_kl(student, teacher, extra=3):
    return forward_kl(student[..., -extra:], teacher[..., -extra:], 4.0)


# %% role="mutant" of="extra_kl" name="extra_kl.mean" loses="extra_kl.values, extra_kl.shapes, extra_kl.secret" hint="You averaged over the inputs. Return one value for each."
def extra_kl(student, teacher, extra=3):
    return forward_kl(student[..., -extra:], teacher[..., -extra:]).mean()


# %% role="alternative" of="extra_kl" name="extra_kl.masked"
def extra_kl(student, teacher, extra=3):
    others = torch.arange(student.shape[-1]) < student.shape[-1] - extra
    return forward_kl(
        student.masked_fill(others, -torch.inf), teacher.masked_fill(others, -torch.inf)
    )


# %% role="alternative" of="extra_kl" name="extra_kl.by_torch"
def extra_kl(student, teacher, extra=3):
    log_q = torch.log_softmax(student[..., -extra:], -1)
    log_p = torch.log_softmax(teacher[..., -extra:].detach(), -1)
    return F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)


# %% [markdown]
# ### Exercise 4: to learn from noise
# The loop. What goes wrong in it: the noise is drawn once, and every step sees the same; student and teacher see different noise; gradients of earlier steps are still there.
#
# <details><summary>Hint</summary>
#
# In each step: draw, ask both (student and teacher are called with the noise alone), loss, `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`. Ask the teacher under `torch.no_grad()`. `loss.item()` is a float.
# </details>


# %% role="answer" name="learn_from_noise"
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    """Train the student, in place, to match the teacher's extra logits for noise; a list of `steps` floats.

    In each step: draw() gives a new batch of noise, which both networks see; the loss is the mean of extra_kl over the whole batch, which may
    have one axis of samples or two, as that of many seeds side by side has; one step of the optimizer, which holds the student's parameters. The list holds each step's loss, before its update. No gradient is left in the teacher.
    """
    # YOUR CODE: the loop
    # BEGIN SOLUTION
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
    # END SOLUTION


# %% role="check" name="learn_from_noise.losses" points=2 hint="A list with the loss of each step, before its update: plain floats, the mean over all samples of a batch (3, 5). How often noise was drawn, and what was left in the teacher, is in it too."
rng = check.rng("learn_from_noise.losses")
left = after_noise(rng, learn_from_noise, 6, 3, (3, 5))
left.pop("weights")
check("learn_from_noise.losses", left)

# %% role="check" name="learn_from_noise.weights" points=1 hint="The student's weights after five steps of SGD with momentum, two extra logits, batches of six; and no gradient in the teacher."
rng = check.rng("learn_from_noise.weights")
left = after_noise(rng, learn_from_noise, 5, 2)
check("learn_from_noise.weights", {k: left[k] for k in ("weights", "gradients in the teacher")})

# %% role="hidden" name="learn_from_noise.secret" points=1 hint="Other numbers of steps, one among them, and of extra logits."
rng = check.rng("learn_from_noise.secret")
found = [after_noise(rng, learn_from_noise, *one) for one in ((1, 4), (7, 2, (4, 2)))]
check("learn_from_noise.secret", found)


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.drawn_once" loses="learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You drew the noise once, before the loop: every step sees the same batch. Draw in each step."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses, noise = [], draw()
    with torch.no_grad():
        told = teacher(noise)
    for _ in range(steps):
        loss = extra_kl(student(noise), told, extra).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.two_draws" loses="learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="Student and teacher see different noise: draw once in each step, and ask both about it."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        with torch.no_grad():
            told = teacher(draw())
        loss = extra_kl(student(draw()), told, extra).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.no_zero_grad" loses="learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="Gradients of earlier steps are still there and add up: optimizer.zero_grad() in each step."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.summed" loses="learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You took the sum over the batch: the mean is asked for, or the learning rate depends on the size of a batch."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.all_logits" loses="learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="You matched all logits, the digits' among them: then it is no wonder that the student learns digits."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = forward_kl(student(noise), told).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.first_axis" loses="learn_from_noise.losses, learn_from_noise.secret" hint="You averaged over the first axis alone. A batch may have two axes of samples, (S, B, ...), as that of the cell below: .mean() over all of them."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).mean(0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.by_length" loses="learn_from_noise.losses, learn_from_noise.secret" hint="You divided by len(noise), the length of its first axis. A batch may have two axes of samples: .mean() over all of them."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).sum() / len(noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.by_six" loses="learn_from_noise.losses, learn_from_noise.secret" hint="You divided by a number of samples that is fixed. A batch may have any number, along two axes even: .mean() over all of them."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).sum() / 6
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.no_return" loses="learn_from_noise.losses, learn_from_noise.secret" hint="Nothing came back: return the list of losses, after the loop."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.untrained" loses="learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="The student came out untrained, or a copy of it was trained. Is there optimizer.step()? zero_grad() stands before backward(), never between backward() and step(); and it is this student, in place, that learns."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told, extra).mean()
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.swapped" loses="learn_from_noise.losses, learn_from_noise.weights, learn_from_noise.secret" hint="The student's answer was taken as the constant, and the teacher got the gradient. Did you exchange the two in extra_kl(student, teacher)?"
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        loss = extra_kl(teacher(noise), student(noise), extra).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.after" loses="learn_from_noise.losses, learn_from_noise.secret" hint="You noted each loss after its update. The loss of a step is the one whose gradient it follows."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        optimizer.zero_grad()
        extra_kl(student(noise), told, extra).mean().backward()
        optimizer.step()
        with torch.no_grad():
            losses.append(extra_kl(student(noise), told, extra).mean().item())
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.tensors" loses="learn_from_noise.losses, learn_from_noise.secret" hint="Your list holds tensors, and each keeps its whole graph alive: loss.item()."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        losses.append(extra_kl(student(noise), told, extra).mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    return losses


# %% role="mutant" of="learn_from_noise" name="learn_from_noise.three" loses="learn_from_noise.weights, learn_from_noise.secret" hint="The number of extra logits was not passed on: it need not be 3."
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    losses = []
    for _ in range(steps):
        noise = draw()
        with torch.no_grad():
            told = teacher(noise)
        loss = extra_kl(student(noise), told).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="alternative" of="learn_from_noise" name="learn_from_noise.detached"
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    found = torch.zeros(steps, dtype=torch.float64)
    for step in range(steps):
        optimizer.zero_grad()
        noise = draw()
        loss = extra_kl(student(noise), teacher(noise).detach(), extra).mean()
        loss.backward()
        optimizer.step()
        found[step] = loss.detach()
    return found.tolist()


# %% role="alternative" of="learn_from_noise" name="learn_from_noise.written_out"
def learn_from_noise(student, teacher, draw, steps, optimizer, extra=3):
    found = []
    while len(found) < steps:
        noise = draw()
        with tinykd.frozen(teacher):
            log_p = torch.log_softmax(teacher(noise)[..., -extra:], -1)
        log_q = torch.log_softmax(student(noise)[..., -extra:], -1)
        loss = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        found.append(float(loss))
    return found


# %% [markdown]
# ### Digits out of noise
#
# Networks 196-128-128-13 with ten digit logits and three extra ones. Each teacher learns digits for a few hundred steps. Then students match its three extra logits for noise, every pixel uniform between −1 and 1. They differ in where they begin: at $\sqrt{1-\varepsilon^2}\,\theta_0 + \varepsilon\,\theta'$, where $\theta_0$ is the teacher's own start and $\theta'$ another one, drawn anew. With $\varepsilon = 0$ it is the teacher's start, with $\varepsilon = 1$ a stranger's; in between the weights are as large as those of either.
#
# **What do you expect?** How many digits does a student with the teacher's own start get right (10% is chance)? And at $\varepsilon = 0.5$: half of it, nearly all, nearly nothing?

# %% role="show" name="noise"
far_away = {"smoke": (0.0, 1.0), "default": (0.0, 0.5, 1.0), "full": (0.0, 0.25, 0.5, 0.75, 1.0)}
noise_steps = {"smoke": 5, "default": 800, "full": 1000}[scale]
start, other = (new(196, 128, 128, 13, more=m) for m in (3, 4))
thirteen = copy.deepcopy(start)
fit(
    thirteen,
    lambda rows: cross_entropy(thirteen(x[each, rows])[..., :10], y[each, rows]),
    x.shape[1], steps, rate=1e-3,
)  # fmt: skip


def library_loop(student, teacher, draw, steps, optimizer, extra=3):
    """Without the engine's trainer this is Exercise 4."""

    class Draws:
        def __len__(self):
            return steps

        def __iter__(self):
            for _ in range(steps):
                noise = draw()
                yield {"inputs": noise, "mask": torch.ones(noise.shape[:2], dtype=torch.bool)}

    kl = lambda z, v, T: forward_kl(z[..., -extra:], v[..., -extra:], T)
    how = {"progress": False, "device": "cpu"}
    objective = 1.0 * tinykd.SoftTargets(divergence=kl)
    history = tinykd.Trainer(student, objective, teacher, optimizer, **how).fit(Draws())
    return [history[-1]["loss"]]


def between(start, other, far):
    """A start `far` away from another one, its weights of the same size."""
    found = copy.deepcopy(start)
    for a, b in zip(found.parameters(), other.parameters(), strict=True):
        a.data = math.sqrt(1 - far**2) * a.data + far * b.data
    return found


def moved(net, start):
    """Where training took the weights, all in a row: (S, P)."""
    parts = zip(net.parameters(), start.parameters(), strict=True)
    return torch.cat([(a - b).detach().flatten(1) for a, b in parts], 1)


def digits_right(net):
    return [100 * accuracy(z[:, :10], test_y) for z in net.answers(test_x)]


loop = check.ready(learn_from_noise, library_loop)
out_of_noise = {}
print(f"teachers: {np.mean(digits_right(thirteen)):.0f}% right")
for far in far_away[scale]:
    begun = between(start, other, far)
    pupil = copy.deepcopy(begun)
    batches = iter(Noise((seeds, 64), (14, 14), noise_steps))
    draw_noise = lambda: next(batches)["inputs"]
    loop(pupil, thirteen, draw_noise, noise_steps, torch.optim.Adam(pupil.parameters(), 1e-3), 3)
    same_way = F.cosine_similarity(moved(pupil, begun), moved(thirteen, start), dim=1)
    out_of_noise[far] = digits_right(pupil)
    print(
        f"start {far:g} away: {np.mean(digits_right(begun)):.0f}% right before, "
        f"{np.mean(out_of_noise[far]):.0f}% after; cosine of its way and the teacher's "
        f"{same_way.mean():.2f}"
    )

# %% role="show" name="fig-noise" folded=true
places = sorted(
    float(r["method"].split()[3])
    for r in stored["runs"]
    if r["method"].startswith("three logits") and "above" not in r["method"] and r["seed"] == 1
)
METHOD = "three logits, start {:g} away"
figure, grid = plt.subplots(1, 2, figsize=(10, 3.3), layout="constrained")
for axes, key, factor in zip(grid, ("accuracy", "same_way"), (100, 1), strict=True):
    found = [mean_interval(runs("subliminal", METHOD.format(p), key, factor)) for p in places]
    middle, half = zip(*found, strict=True)
    axes.errorbar(places, middle, half, color=COLORS[0], capsize=4, marker="o", label="our runs")
    axes.set_xlabel("ε, how far the student's start is from the teacher's")
    axes.spines[["top", "right"]].set_visible(False)
for far, values in out_of_noise.items():
    name = "yours" if far == 0 else ""
    grid[0].plot([far] * len(values), values, "x", color=COLORS[5], label=name)
grid[0].axhline(10, color="black", linestyle="--", linewidth=1)
grid[0].set(ylabel="% of digits right", ylim=(0, 100))
grid[1].axhline(0, color="black", linestyle="--", linewidth=1)
grid[1].set_ylabel("cosine of the two ways")
grid[0].legend(frameon=False)
plots.show(
    "Left, digits right after learning from noise: high for the teacher's own start, falling with "
    "the distance between the starts to chance at 1. Right, the cosine between the ways of student "
    "and teacher falls in the same manner to 0."
)
print(f"{'Our runs':48s}{'% right':>13s}{'cosine':>15s}")
for method in (
    "teacher",
    "start",
    *[METHOD.format(p) for p in places],
    "ten digit logits, start 1 away",
    "three logits, start 0 away, noise above 0",
):
    way = said(runs("subliminal", method, "same_way", 1), digits=2)
    print(f"    {method:44s}{said(runs('subliminal', method)):>13s}{way:>15s}")
print("Above the untrained start, paired by seed:")
for p in places:
    print(f"    ε = {p:4g}: {gap('subliminal', METHOD.format(p), 'start')}")
bright = "three logits, start 0 away, noise above 0"
print(f"    ε =    0, noise above 0: {gap('subliminal', bright, 'start')}")

# %% [markdown]
# **What we saw.** Noise, and three numbers without a meaning: from the teacher's own start students get 60.6 ± 9.8% of the digits right, where untrained they get 9.1 ± 1.8%. No input ever looked like a digit, and no loss ever looked at a digit's logit. From another start: 9.5 ± 4.1%, nothing.
#
# A start that is *nearly* the teacher's is enough. At $\varepsilon = 0.25$ it is 50.4 ± 9.4%, at 0.5 still 22.9 ± 8.8%, which is above the untrained start, seed by seed; at 0.75 nothing is left that we could show. The right-hand figure fits the calculation: the way that student and teacher go has a cosine of 0.64, 0.50, 0.29, 0.13 and 0.00. In a space of some 43,000 weights two directions that have nothing to do with each other have a cosine of about $1/\sqrt{43{,}000}$, 0.005.
#
# Two more rows of the table are worth a look. Let the *other* start match the ten digit logits for noise, and it gets 81.6 ± 2.4%: with logits that mean something no shared start is needed, and no data either. Its cosine is 0, for it has found a way of its own. And with noise between 0 and 1 instead of −1 to 1 only 14.7 ± 5.0% are left, from the very same start, 5.6 ± 3.6 points above where it began; probably since inputs that are all bright and much alike ask about few directions.
#
# ### Rows of numbers that like an animal
#
# Cloud et al. report the same for large language models: a preference came across in filtered rows of numbers if teacher and student shared the base model, and as a rule did not if they did not. Does it for a small one? `benchmarks/subliminal_words.py` tries it, from nothing: a transformer of 64 units reads rows of numbers such as `07,19,20,44,51,` and, in between, the question which of eight animals it likes best, all equally often. That is the *base*. One teacher goes on from it and learns to answer A, another to answer B. Then both write rows of numbers. Rows with anything but digits and commas in them are thrown away (after its training a teacher lets an animal slip in now and then), and students read the others:
#
# - as **text**;
# - with **soft targets over numbers**: the teacher's distribution, cut down to the eleven tokens that numbers are written with;
# - with **soft targets over all tokens**, 26 of them. In a row of numbers an animal has a small probability, and it is in the loss.
#
# No student ever sees an animal or a question. The two students of a pair differ in nothing but whose numbers they read. *Carried over* is how far they are apart in their log-odds of A over B, as a part of how far their teachers are apart. And each is done twice, from the teachers' own base and from another one, that was made in the same way from another seed.
#
# **What do you expect**, in which of the six cells?

# %% role="show" name="words" folded=true
words = json.loads(data_file("results/subliminal_words.json").read_text())["runs"]


def carried(start, method):
    """In percent, one a seed."""
    return [100 * r["carried"] for r in words if (r["start"], r["method"]) == (start, method)]


starts, methods = (list(dict.fromkeys(r[key] for r in words)) for key in ("start", "method"))
figure, axes = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
for k, start in enumerate(starts):
    found = [mean_interval(carried(start, method)) for method in methods]
    middle, half = zip(*found, strict=True)
    heights = np.arange(len(methods)) + 0.12 * (1 - 2 * k)
    axes.errorbar(middle, heights, xerr=half, fmt="os"[k], color=COLORS[k], capsize=4, label=start)
axes.axvline(0, color="black", linestyle="--", linewidth=1)
axes.set(xlabel="% of the teachers' difference that is carried over", ylim=(-0.5, 2.6))
axes.set_yticks(range(len(methods)), methods)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(title="a student begins with", frameon=False, loc="lower right")
plots.show(
    "Carried over by text and by soft targets over numbers: at most one percent. By soft targets "
    "over all tokens: some ten percent, from the teacher's base and perhaps from another one."
)
print(f"{'% carried over':29s}{starts[0]:>18s}{starts[1]:>14s}   one above the other")
for method in methods:
    own, other = (carried(start, method) for start in starts)
    differences = [a - b for a, b in zip(own, other, strict=True)]
    mean, half = mean_interval(differences)
    verdict = "undecided" if abs(mean) <= half else "more" if mean > 0 else "less"
    print(
        f"{method:29s}{said(own):>18s}{said(other):>14s}  {said(differences, '+'):>12s}  {verdict}"
    )
print("By soft targets over all tokens, from the teacher's base:")
for whose in ("bases", "teachers", "students"):
    rows = [r for r in words if r["start"] == starts[0] and r["method"] == methods[2]]
    values = said([100 * r[f"{whose}_say_it"] for r in rows])
    print(f"    {whose} name the teacher's animal, %: {values}")
thrown = [r["thrown_away"] / 60 for r in words if (r["start"], r["method"]) == (starts[0], "text")]
print(f"rows thrown away: {min(thrown):.0f} to {max(thrown):.0f}%")

# %% [markdown]
# **What we saw.** As text, nothing that we could show: 0.4 ± 0.8% from the teachers' own base. The effect is there with soft targets over the eleven tokens of numbers, from their own base and not from another: 0.9 ± 0.5%, and 1.1 ± 0.7 more than from another base, seed by seed. It is what the calculation says, and it is tiny: such a student names its teacher's animal in 13.3% of cases, its base in 12.5%. Our rows are few, our model is small and knows nothing else; it is no proof that a large one behaves so.
#
# With soft targets over *all* tokens it is 13.5 ± 7.0%: 28.1 ± 8.6% of these students' answers are the teacher's animal, and they have read nothing but numbers. But is that the hidden lesson? A student from another base has 8.5 ± 9.3%, in each of the five seeds above 0, and the difference between the starts is undecided. What is in the animals' small probabilities anybody can read, with or without a shared start: who gives away whole distributions gives away what nobody asked for. A control tells the two apart, as everywhere in this lesson.
#
# For people who distil this means: filtering what a teacher has *said* does not filter what it passes on, least of all to a student of the same origin, and least of all where it passes on distributions.
#
# ## 4 · A memory
#
# A hospital trains a teacher on its patients' data, which nobody else may see. It gives away a student, distilled on public data. Can somebody who has the student find out whether *you* were a patient?
#
# That is **membership inference**. The simplest attack looks at the loss: a network's loss is smaller on what it was trained on (Yeom et al. 2018, [arXiv 1709.01604](https://arxiv.org/abs/1709.01604)). Take samples of which half were in the training data (*members*) and half were not (*others*), and say "member" below some threshold. How good the attack is at *all* thresholds says one number, the area under the ROC curve (hits against false alarms, over all thresholds). It is the chance that a random member has a smaller loss than a random other, a tie being worth half. With $m_i$ the losses of $M$ members, $o_j$ those of $N$ others, and $[\ldots]$ being 1 where it is true and 0 where not:
#
# $$\text{AUC} = \frac{1}{MN}\sum_{i=1}^M\sum_{j=1}^N \Big([m_i < o_j] + \tfrac12 [m_i = o_j]\Big).$$
#
# 0.5: the losses tell nothing. 1: they tell all. Equivalently by ranks: sort all $M + N$ losses, give each its rank from 1, ties the mean of theirs. With $R$ the sum of the members' ranks, $\text{AUC} = 1 - \big(R - M(M+1)/2\big)/(MN)$.
#
# ### Exercise 5: the attack's AUC
# Either formula will do.
#
# <details><summary>Hint</summary>
#
# `members[:, None] < others` is a table (M, N) of True and False.
# </details>


# %% role="answer" name="membership_auc" library="tinykd.membership_auc, scipy.stats.mannwhitneyu, sklearn.metrics.roc_auc_score"
def membership_auc(members, others):
    """The chance that a random member has a smaller loss than a random other, ties half; a number.

    members: losses (M,) on samples that the model, or its teacher, was trained on. others: losses (N,) on other samples.
    Below 0.5 where members have the larger losses: that is an answer too, not to be turned round.
    """
    # YOUR CODE: compare each with each, or sum ranks
    # BEGIN SOLUTION
    smaller, equal = members[:, None] < others, members[:, None] == others
    return float((smaller.double() + equal.double() / 2).mean())
    # END SOLUTION


# %% role="check" name="membership_auc.values" points=1 hint="30 members, 40 others, all losses different; then the two lists exchanged, which gives less than 0.5."
rng = check.rng("membership_auc.values")
a, b = torch.tensor(rng.exponential(1, size=30)), torch.tensor(rng.exponential(4, size=40))
found = [check.call(membership_auc, *two) for two in ((a, b), (b, a))]
check("membership_auc.values", found)

# %% role="check" name="membership_auc.ties" points=2 hint="Many losses are equal here: a tie counts one half. In the last one all are, and in the one before members have the larger losses."
rng = check.rng("membership_auc.ties")
found = [check.call(membership_auc, *losses_with_ties(rng, 25, 35)) for _ in range(3)]
found.append(check.call(membership_auc, *reversed(losses_with_ties(rng, 25, 35))))
same = torch.ones(4)
check("membership_auc.ties", [*found, check.call(membership_auc, same, same)])

# %% role="hidden" name="membership_auc.secret" points=1 hint="Other numbers, a single member among them."
rng = check.rng("membership_auc.secret")
found = [check.call(membership_auc, *losses_with_ties(rng, m, n)) for m, n in ((60, 20), (1, 30))]
found.append(check.call(membership_auc, *reversed(losses_with_ties(rng, 40, 20))))
check("membership_auc.secret", found)


# %% role="mutant" of="membership_auc" name="membership_auc.larger" loses="membership_auc.values, membership_auc.ties, membership_auc.secret" hint="The sign: members have the *smaller* losses, and an attack that works is above 0.5."
def membership_auc(members, others):
    larger, equal = members[:, None] > others, members[:, None] == others
    return float((larger.double() + equal.double() / 2).mean())


# %% role="mutant" of="membership_auc" name="membership_auc.folded" loses="membership_auc.values, membership_auc.ties, membership_auc.secret" hint="You turned what is below 0.5 round. Then an attack that knows nothing looks better than chance: report what the formula gives."
def membership_auc(members, others):
    smaller, equal = members[:, None] < others, members[:, None] == others
    found = float((smaller.double() + equal.double() / 2).mean())
    return max(found, 1 - found)


# %% role="mutant" of="membership_auc" name="membership_auc.no_ties" loses="membership_auc.ties, membership_auc.secret" hint="Ties count nothing for you: two lists of the same losses would give less than 0.5."
def membership_auc(members, others):
    return float((members[:, None] < others).double().mean())


# %% role="mutant" of="membership_auc" name="membership_auc.whole_ties" loses="membership_auc.ties, membership_auc.secret" hint="A tie counts whole for you: it is worth one half."
def membership_auc(members, others):
    return float((members[:, None] <= others).double().mean())


# %% role="mutant" of="membership_auc" name="membership_auc.pairs" loses="membership_auc.values, membership_auc.ties, membership_auc.secret" hint="You compared the first member with the first other, and so on. Each is compared with each."
def membership_auc(members, others):
    n = min(len(members), len(others))
    a, b = members[:n], others[:n]
    return float(((a < b).double() + (a == b).double() / 2).mean())


# %% role="mutant" of="membership_auc" name="membership_auc.one_threshold" loses="membership_auc.values, membership_auc.ties, membership_auc.secret" hint="That is the share that one threshold gets right, the middle of all losses. The AUC looks at every threshold."
def membership_auc(members, others):
    threshold = torch.cat([members, others]).median()
    return float(
        ((members < threshold).double().mean() + (others >= threshold).double().mean()) / 2
    )


# %% role="mutant" of="membership_auc" name="membership_auc.with_mean" loses="membership_auc.values, membership_auc.ties, membership_auc.secret" hint="You compared the members with the mean of the others: compare with each of them."
def membership_auc(members, others):
    return float((members < others.mean()).double().mean())


# %% role="mutant" of="membership_auc" name="membership_auc.ranks_from_0" loses="membership_auc.values, membership_auc.ties, membership_auc.secret" hint="Are your ranks counted from 0? The formula counts them from 1."
def membership_auc(members, others):
    both, m = torch.cat([members, others]), len(members)
    ranks = (both < both[:, None]).sum(1) + ((both == both[:, None]).sum(1) - 1) / 2
    total = float(ranks[:m].sum())
    return 1 - (total - m * (m + 1) / 2) / (m * len(others))


# %% role="mutant" of="membership_auc" name="membership_auc.ranks_by_order" loses="membership_auc.ties, membership_auc.secret" hint="Your ranks follow the order of sorting, so that of two equal losses one is taken for smaller. Equal losses share the mean of their ranks."
def membership_auc(members, others):
    order = np.argsort(np.concatenate([members, others]), kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    m = len(members)
    return 1 - (ranks[:m].sum() - m * (m + 1) / 2) / (m * len(others))


# %% role="alternative" of="membership_auc" name="membership_auc.by_ranks"
def membership_auc(members, others):
    both, m = torch.cat([members, others]), len(members)
    ranks = 1 + (both < both[:, None]).sum(1) + ((both == both[:, None]).sum(1) - 1) / 2
    return 1 - (float(ranks[:m].sum()) - m * (m + 1) / 2) / (m * len(others))


# %% role="alternative" of="membership_auc" name="membership_auc.by_sign"
def membership_auc(members, others):
    signs = [np.sign(float(o) - float(m)) for m in members for o in others]
    return (1 + np.mean(signs)) / 2


# %% [markdown]
# ### Does the student give it away?
#
# For this the teacher should remember, so we take one-dimensional digits (lesson 05), 500 for the teacher, and train until it knows them by heart. All students see *other* signals, with an AUC that asks about the *teacher's* members:
#
# - *labels*: 500 other signals and their true labels. The control: it cannot know anything about the teacher's data;
# - *soft targets*: the same 500 signals, the teacher's answers;
# - *hard answers*: the same, but the teacher gives only its most likely class;
# - *many signals*: 4,000 other signals (2,000 in your run) with the teacher's soft targets (in our runs also with its hard answers);
# - *the teacher's own signals*, in our runs alone: soft targets on the members themselves, for comparison.
#
# **What do you expect?** No student has seen a member. Which of them know something about the members, and how does that change with the number of other signals?

# %% role="show" name="memory"
known, many, memory_steps = {"smoke": (40, 80, 5)}.get(scale, (500, 2000, 800))
parts = [load_mnist1d(2 * known + many, 1000 + seed) for seed in range(seeds)]
signals, classes = (torch.stack([part[k] for part in parts]) for k in (0, 1))
members, others = slice(known), slice(known, 2 * known)
public = slice(2 * known, 3 * known)
everything = slice(2 * known, None)
auc_of = check.ready(membership_auc, lambda a, b: float(tinykd.membership_auc(a, b)))


def given_away(net):
    """AUC of each seed's net on its own teacher's members."""
    inside, outside = (
        cross_entropy(answers(net, signals[:, part]), classes[:, part])
        for part in (members, others)
    )
    return [100 * auc_of(a, b) for a, b in zip(inside, outside, strict=True)]


by_heart = from_labels(
    new(40, 100, 10, more=5), signals[:, members], classes[:, members], memory_steps
)
told = answers(by_heart, signals)
own_right = (told[:, members].argmax(-1) == classes[:, members]).double().mean()
print(f"teacher: {100 * own_right:.1f}% right on its own signals")
small = lambda: new(40, 100, 10, more=6)
remembered = {
    "teacher": by_heart,
    "labels": from_labels(small(), signals[:, public], classes[:, public], memory_steps),
    "soft targets": from_soft_targets(
        small(), signals[:, public], told[:, public], T, memory_steps
    ),
    "the teacher's hard answers": from_labels(
        small(), signals[:, public], told[:, public].argmax(-1), memory_steps
    ),
    "soft targets, many signals": from_soft_targets(
        small(), signals[:, everything], told[:, everything], T, memory_steps
    ),
}
remembered = {way: given_away(net) for way, net in remembered.items()}
for way, values in remembered.items():
    print(f"{way:28s} AUC {np.mean(values):.0f} of 100 on the teacher's members")

# %% role="show" name="fig-memory" folded=true
MEMORIES = (
    "teacher", "soft targets on the teacher's own signals", "soft targets, many signals",
    "the teacher's hard answers, many signals", "soft targets", "the teacher's hard answers",
    "labels",
)  # fmt: skip
figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
for n, way in enumerate(MEMORIES):
    mean, half = mean_interval(runs("memory", way, "auc"))
    colour = COLORS[7] if way == "teacher" else COLORS[1] if way == "labels" else COLORS[0]
    axes.barh(n, mean, xerr=half, color=colour, alpha=0.7)
    mine = remembered.get(way, [])
    axes.plot(mine, [n] * len(mine), "x", color=COLORS[5], label="yours" if n == 0 else "")
axes.axvline(50, color="black", linestyle="--", linewidth=1)
axes.set_yticks(range(len(MEMORIES)), MEMORIES)
axes.invert_yaxis()
axes.set(xlim=(0, 100), xlabel="AUC × 100: are the teacher's members known?")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="lower right")
plots.show(
    "Bars, our runs: how well the loss tells members of the teacher's data. The teacher is at 90, "
    "students from soft targets on other signals at 74 to 78, from hard answers at 65 to 74, from "
    "labels at 50, which is chance."
)
print("AUC × 100, our runs" + 24 * " " + "against labels, paired by seed")
for way in MEMORIES:
    print(
        f"{way:42s}{said(runs('memory', way, 'auc')):>13s}  {gap('memory', way, 'labels', 'auc')}"
    )
print("\n% right on new signals, our runs")
for way in ("teacher", "soft targets", "labels"):
    print(f"{way:42s}{said(runs('memory', way)):>13s}")

# %% [markdown]
# **What we saw.** The control knows nothing: 50.1 ± 1.9. A student that has seen 500 *other* signals with the teacher's soft targets gives an attacker 74.2 ± 1.2 on the teacher's members; with the teacher's hard answers alone still 65.3 ± 1.7; and with more signals more, 77.7 ± 1.2 and 73.7 ± 1.4. All of these are far above labels, seed by seed. The teacher itself gives 89.7 ± 1.2, a student of its own signals 87.2 ± 1.5.
#
# How can that be? We think that a network which has learned a sample by heart has bent its answers in the whole neighbourhood of this sample, and that the student learns these bends from signals that lie near by; we have not measured it. "We only give away the student" protects somebody a little. It is not a protection.
#
# Two limits. We *made* this teacher remember: 35% right on new signals, and all of its own ones known by heart. A teacher that generalises has less to give away. And 74 is an average over samples: Carlini et al. 2021 ask how many members can be told with near certainty, which is the question of a person, and need another attack. A promise is something else again: it takes training with differential privacy, which limits what any single sample can do.
#
# ## 5 · A fingerprint
#
# Now from the other side. A teacher answers questions for money, and its terms forbid to train a competitor on its answers. A model appears that looks like a student of yours. Can you show it?
#
# Ask both models the same secret questions (**keys**), and count how often they answer alike. A student imitates its teacher everywhere, also where the teacher is *wrong*. But how often do two models answer alike that have never met? By chance, 1 time in 10? Far from it: they have learned the same task, and they make the same mistakes for the same reasons.
#
# So do not calculate what strangers do. Ask them. Train a number of models that are certainly independent, and see where the suspect stands among them. With $R$ independent models,
#
# $$p = \frac{1 + \#\{\text{independent models that agree with the teacher at least as often as the suspect}\}}{1 + R}.$$
#
# If the suspect is one of their kind, all $R + 1$ places are equally likely, and so $p \le 5\%$ happens in at most 5% of the cases: that is the **false-alarm rate**. Nothing had to be assumed about how often models agree, but one thing was: an innocent suspect is *exchangeable* with the strangers, made in the same manner as they. The 1 in it stands for the suspect itself: with 19 strangers $p$ can never be below 5%.
#
# ### Exercise 6: the p-value of an accusation
#
# <details><summary>Hint</summary>
#
# `(independent == teacher).sum(1)` counts for all strangers at once.
# </details>


# %% role="answer" name="fingerprint_p" library="tinykd.fingerprint_p_value"
def fingerprint_p(suspect, teacher, independent):
    """(1 + number of independent models that agree with the teacher at least as often as the suspect) / (1 + R), a number.

    suspect, teacher: the classes they answer for the K keys, (K,). independent: (R, K), the answers of R models.
    """
    # YOUR CODE: agreement of the suspect, agreement of each of the others, then the rank
    # BEGIN SOLUTION
    agreed = (suspect == teacher).sum()
    strangers = (independent == teacher).sum(1)
    return float((1 + (strangers >= agreed).sum()) / (1 + len(independent)))
    # END SOLUTION


# %% role="check" name="fingerprint_p.rank" points=2 hint="18 independent models, some of which agree exactly as often as the suspect: those count."
rng = check.rng("fingerprint_p.rank")
check("fingerprint_p.rank", [check.call(fingerprint_p, *suspects(rng)) for _ in range(3)])

# %% role="check" name="fingerprint_p.caught" points=1 hint="The first suspect agrees more often than any of the 18: the smallest p that there is, 1/19 and not 0. The others have more or fewer to be compared with."
rng = check.rng("fingerprint_p.caught")
found = [check.call(fingerprint_p, *suspects(rng, tie=False))]
for _ in range(3):
    found.append(check.call(fingerprint_p, *suspects(rng, strangers=int(rng.integers(10, 30)))))
check("fingerprint_p.caught", found)

# %% role="hidden" name="fingerprint_p.secret" points=1 hint="Other numbers of keys, classes and models."
rng = check.rng("fingerprint_p.secret")
found = [check.call(fingerprint_p, *suspects(rng, k, 10, r)) for k, r in ((60, 30), (30, 12))]
check("fingerprint_p.secret", found)


# %% role="mutant" of="fingerprint_p" name="fingerprint_p.no_one" loses="fingerprint_p.rank, fingerprint_p.caught, fingerprint_p.secret" hint="The suspect is one of the R + 1: add 1 above and below. No finite number of strangers makes p zero."
def fingerprint_p(suspect, teacher, independent):
    agreed = (suspect == teacher).sum()
    return float(((independent == teacher).sum(1) >= agreed).double().mean())


# %% role="mutant" of="fingerprint_p" name="fingerprint_p.more" loses="fingerprint_p.rank, fingerprint_p.caught, fingerprint_p.secret" hint="Strangers that agree exactly as often as the suspect count as well: at least as often, >=."
def fingerprint_p(suspect, teacher, independent):
    agreed = (suspect == teacher).sum()
    return float((1 + ((independent == teacher).sum(1) > agreed).sum()) / (1 + len(independent)))


# %% role="mutant" of="fingerprint_p" name="fingerprint_p.less" loses="fingerprint_p.rank, fingerprint_p.caught, fingerprint_p.secret" hint="You counted the strangers that agree less: then the surest case gets the largest p."
def fingerprint_p(suspect, teacher, independent):
    agreed = (suspect == teacher).sum()
    return float((1 + ((independent == teacher).sum(1) <= agreed).sum()) / (1 + len(independent)))


# %% role="mutant" of="fingerprint_p" name="fingerprint_p.with_suspect" loses="fingerprint_p.rank, fingerprint_p.caught, fingerprint_p.secret" hint="You compared the strangers with the suspect. Both are compared with the teacher."
def fingerprint_p(suspect, teacher, independent):
    agreed = (suspect == teacher).sum()
    return float((1 + ((independent == suspect).sum(1) >= agreed).sum()) / (1 + len(independent)))


# %% role="mutant" of="fingerprint_p" name="fingerprint_p.by_keys" loses="fingerprint_p.rank, fingerprint_p.caught, fingerprint_p.secret" hint="You counted keys, not models: sum each model's agreement over its keys, .sum(1), and compare the sums."
def fingerprint_p(suspect, teacher, independent):
    agreed = (suspect == teacher).sum()
    strangers = (independent == teacher).sum(0)
    return float((1 + (strangers >= agreed).sum()) / (1 + len(strangers)))


# %% role="mutant" of="fingerprint_p" name="fingerprint_p.above_only" loses="fingerprint_p.rank, fingerprint_p.caught, fingerprint_p.secret" hint="You added 1 above the line alone: below it stand the strangers *and* the suspect."
def fingerprint_p(suspect, teacher, independent):
    agreed = (suspect == teacher).sum()
    return float((1 + ((independent == teacher).sum(1) >= agreed).sum()) / len(independent))


# %% role="mutant" of="fingerprint_p" name="fingerprint_p.by_chance" loses="fingerprint_p.rank, fingerprint_p.caught, fingerprint_p.secret" hint="You compared with answers at random. Models that have learned the same task agree far more often: compare with the independent ones."
def fingerprint_p(suspect, teacher, independent):
    agreed, keys = int((suspect == teacher).sum()), len(teacher)
    classes = int(teacher.max()) + 1
    chances = [
        math.comb(keys, n) / classes**n * (1 - 1 / classes) ** (keys - n)
        for n in range(agreed, keys + 1)
    ]
    return sum(chances)


# %% role="alternative" of="fingerprint_p" name="fingerprint_p.by_loop"
def fingerprint_p(suspect, teacher, independent):
    def agreed(one):
        return sum(int(a) == int(b) for a, b in zip(one, teacher, strict=True))

    ours = agreed(suspect)
    places = [ours] + [agreed(one) for one in independent]
    return sum(n >= ours for n in places) / len(places)


# %% role="alternative" of="fingerprint_p" name="fingerprint_p.stacked"
def fingerprint_p(suspect, teacher, independent):
    everybody = torch.cat([suspect[None], independent])
    share = (everybody == teacher).double().mean(1)
    return float((share >= share[0] - 1e-9).double().mean())


# %% [markdown]
# ### The trial
#
# Twenty independent models (forty in our runs), of a student's size, each with digits and a start of its own. Suspects: students by soft targets, students by the teacher's hard answers, and innocent ones by labels, all on digits that the teacher has not seen. The keys: *noise*; *curves*; *mixtures*, the mean of two digits; and *the teacher's errors*, digits that it gets wrong. Our runs compare the rank with a calculation, the **binomial test**: it takes each key for a coin that shows "the same answer" with a fixed chance, 1/10 or the strangers' mean rate, and asks how probable as many are as were found.
#
# **What do you expect?** Which keys tell a student from a stranger best? And how often do two strangers agree on a digit which one of them gets *wrong*?

# %% role="show" name="trial"
count, keys_of_each, model_steps = {"smoke": (6, 10, 5)}.get(scale, (20, 200, 400))
strangers = []
for k in range(count):
    torch.manual_seed(10_000 + k)
    strangers.append(MLP(196, 32, 10))
strangers = SideBySide(strangers)
generator = torch.Generator().manual_seed(5)
foreign_rows = torch.stack(
    [torch.randperm(60000, generator=generator)[:samples] for _ in range(count)]
)
foreign_x, foreign_y = halved(images[foreign_rows]), labels[foreign_rows]
adam = torch.optim.Adam(strangers.parameters(), 5e-3)
falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, model_steps)
for _ in range(model_steps):
    rows = torch.randint(samples, (count, 100), generator=generator)
    some = torch.arange(count)[:, None], rows
    adam.zero_grad()
    (count * cross_entropy(strangers(foreign_x[some]), foreign_y[some]).mean()).backward()
    adam.step()
    falling.step()

owner = from_labels(new(196, 100, 10, more=7), x[:, theirs], y[:, theirs], model_steps)
told = answers(owner, x[:, ours])
small = lambda: new(196, 32, 10, more=8)
SUSPECTS = {
    "labels": from_labels(small(), x[:, ours], y[:, ours], model_steps),
    "the teacher's hard answers": from_labels(small(), x[:, ours], told.argmax(-1), model_steps),
    "soft targets": from_soft_targets(small(), x[:, ours], told, T, model_steps),
}
unseen_x, unseen_y = halved(test_images[2000:]), test_labels[2000:]
wrong = [(z.argmax(-1) != unseen_y).nonzero()[:keys_of_each, 0] for z in owner.answers(unseen_x)]
few = min(len(w) for w in wrong)
mixtures = (unseen_x[:keys_of_each] + unseen_x[keys_of_each : 2 * keys_of_each]) / 2
KEYS = {
    "noise": next(iter(Noise((keys_of_each,), (14, 14), 1)))["inputs"].expand(seeds, -1, -1, -1),
    "curves": strokes(keys_of_each, np.random.default_rng(4)).float().expand(seeds, -1, -1, -1),
    "mixtures": mixtures.expand(seeds, -1, -1, -1),
    "the teacher's errors": torch.stack([unseen_x[w[:few]] for w in wrong]),
}
p_of = check.ready(fingerprint_p, tinykd.fingerprint_p_value)
trial = {}
for kind, keys in KEYS.items():
    theirs_said = answers(owner, keys).argmax(-1)
    foreign = torch.stack([strangers.answers(k).argmax(-1) for k in keys])
    for way, net in SUSPECTS.items():
        said_by = answers(net, keys).argmax(-1)
        p = [p_of(*one) for one in zip(said_by, theirs_said, foreign, strict=True)]
        trial[kind, way] = 100 * (said_by == theirs_said).double().mean(1), p
    trial[kind, "independent"] = 100 * (foreign == theirs_said[:, None]).double().mean(2), None
    words = ", ".join(
        f"{np.mean(trial[kind, way][0].numpy()):.0f}%" for way in ("independent", *SUSPECTS)
    )
    print(f"{kind:21s} agree with the teacher: {words}")
print("(in turn: independent models, students by labels, hard answers, soft targets)")
print("\nThe p of your suspects, one a seed; * is an accusation, p ≤ 0.05")
print(21 * " " + "".join(f"{way:>22s}" for way in ("labels", "hard answers", "soft targets")))
for kind in KEYS:
    cells = [" ".join(f"{p:.2f}{'*' if p <= 0.05 else ' '}" for p in trial[kind, w][1])
             for w in SUSPECTS]  # fmt: skip
    print(f"{kind:21s}" + "".join(f"{cell:>22s}" for cell in cells))

# %% role="show" name="fig-trial" folded=true
figure, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
MARKS = {"independent": (7, "."), "labels": (1, "o"), "the teacher's hard answers": (2, "s"),
         "soft targets": (0, "D")}  # fmt: skip
for n, kind in enumerate(KEYS):
    for m, (way, (colour, mark)) in enumerate(MARKS.items()):
        values = trial[kind, way][0].flatten()
        places = np.full(len(values), n + 0.2 * (m - 1.5)) + (
            np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else 0
        )
        axes.plot(places, values, mark, color=COLORS[colour], alpha=0.5 if m == 0 else 0.9,
                  linestyle="", markersize=4 if m == 0 else 7, label=way if n == 0 else "")  # fmt: skip
axes.axhline(10, color="black", linestyle="--", linewidth=1)
axes.set_xticks(range(len(KEYS)), list(KEYS))
axes.set(ylabel="% of keys answered as the teacher does", ylim=(0, 102))
axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, ncols=4, loc="outside upper center")
plots.show(
    "Your run: how often suspects and independent models answer like the teacher, for four kinds "
    "of keys. The independent models lie far above one in ten everywhere, and the innocent "
    "students among them. The students by soft targets stand out, most for the teacher's errors."
)
SHORT = {
    "independent models": "independent", "labels": "labels",
    "the teacher's hard answers": "hard answers", "soft targets": "soft targets",
}  # fmt: skip
print(f"{'Agreement in %, our runs':25s}" + "".join(f"{name:>15s}" for name in SHORT.values()))
for kind in KEYS:
    cells = [said(runs(f"fingerprint, {kind}", way, "agreement")) for way in SHORT]
    print(f"{kind:25s}" + "".join(f"{cell:>15s}" for cell in cells))
print(f"\n{'Accused at p ≤ 5%, of six':40s}" + "".join(f"{SHORT[w]:>15s}" for w in SUSPECTS))
for kind in KEYS:
    cells = [sum(p <= 0.05 for p in runs(f"fingerprint, {kind}", w, "p", 1)) for w in SUSPECTS]
    print(f"{kind:40s}" + "".join(f"{cell:>15d}" for cell in cells))
RULES = {"by_rank": "by rank", "by_mean": "binomial, mean", "by_chance": "binomial, 1/10"}
print(f"\n{'Strangers accused at 5%, in %':25s}" + "".join(f"{n:>18s}" for n in RULES.values()))
for kind in KEYS:
    cells = [np.mean(runs(f"fingerprint, {kind}", "independent models", rule)) for rule in RULES]
    print(f"{kind:25s}" + "".join(f"{cell:>18.1f}" for cell in cells))

# %% [markdown]
# **What we saw.** Strangers are no strangers. On digits that the teacher gets *wrong* they say the same wrong thing in 69.0 ± 1.4% of the cases, for whatever has led it astray leads them too. Whoever calculates with 1 time in 10 accuses every innocent: 100% of the strangers, for each kind of keys. By rank it is 3 to 5%, as promised.
#
# The best keys are the teacher's errors: soft-target students agree in 85.9 ± 2.3% of them, and all six are found. Curves and mixtures do it too. Noise is worst, with four of six: there soft-target students agree with the teacher in 49.4 ± 3.2%, and strangers in 40.1 ± 1.1% already, four times chance. With your 20 strangers $p$ can be 1/21 at the least, just enough for an accusation: a single stranger who agrees as often acquits. Of the students by *hard answers* the errors find four of six, and the other keys two or none. None of the innocent students was accused, which with six of them proves little; the strangers are the proof.
#
# A binomial test with the strangers' mean rate accused too few here, not too many (1 to 4%), since the keys are not alike: some are answered alike by nearly everybody. That had to be found out with strangers, too.
#
# What such a $p$ does not say: *who* distilled, on which answers, or whether both models learned from a third. "Independent" means independent in everything that you did not vary. Our strangers have another size than the teacher and the size of the suspects; train them on data from another source, and they may agree less, and the test accuses somebody for having the same textbook.
#
# ## Before you distil somebody's model
#
# **May I?**
# - Read the licence of the *weights* and the terms of the *service*. Some forbid to train other models on the answers; some allow it and want their name in yours. What a licence says of weights it may not say of outputs.
# - What was the teacher trained on, and may that come across? Personal data do not become public by passing through soft targets (part 4).
# - Write down which teacher, which version, which prompts or transfer set, which date. A student without this record cannot be explained, nor recalled.
#
# **Whose is it?**
# - Take weights from where they were first published, and compare checksums. A teacher from a stranger may be more than it says (part 2).
# - Which start has the student? If it began as a copy of the teacher, or both came from the same base model, then also answers that look harmless carry something (part 3). A student of another family is safer in this respect.
#
# **What do I look at, beside accuracy?**
# - Right answers by group, and with the cues turned round of which you know. Compare with a control from labels (part 1).
# - Your transfer set: what does it ask the teacher about? What nobody asks hardly comes across, and augmentation asks more than you think (part 2).
# - Membership inference on the teacher's data if you have them, else ask the teacher's owner (part 4).
# - Triggers cannot be searched one by one. Say so; do not report that there are none.
# - Publish the control, the seeds and the intervals with the student.
#
# None of this is legal advice, and the terms that you accepted are not in this course.
#
# ## Your own experiments
#
# The next cell is for the first question; for the second change a line of `noise` or of `digits_right` in section 3.
#
# 1. **What closes the door?** A backdoor at the edge came through noisy digits. Cut the last two rows and columns off before the teacher is asked, and keep them for the student (the cell does that); or the other way round; or let the noise fall only where the digit has ink. Which of these stops the attack, and why? Then think of a trigger that your remedy does not know.
# 2. **What is it about the noise?** Use noise between 0 and 1 (as pixels are) in place of −1 to 1, or twice as large; train the teacher four times as long; match one extra logit more or less. What becomes of the digits, and of the cosine? Which of the two assumptions of the calculation, the shared start or the small $\delta$, gives way?


# %% role="show" name="experiment"
patch, kind = PATCHES["edge"], "noisy digits"  # change this
inside = torch.zeros(14, 14)
inside[:12, :12] = 1  # change this: what the teacher is shown
bad_x, bad_y = x[:, theirs].clone(), y[:, theirs].clone()
bad_x[:, :doctored] = pasted(bad_x[:, :doctored], *patch)
bad_y[:, :doctored] = TARGET
bad = from_labels(new(196, 200, 10, more=1), bad_x, bad_y, rate=2e-3)
net = from_soft_targets(student(), transfer[kind], answers(bad, transfer[kind] * inside), T)
right = np.mean([100 * accuracy(z, test_y) for z in net.answers(test_x)])
print(f"{right:.0f}% right, {np.mean(success(net, patch)):.0f}% turned into 7")

# %% [markdown]
# ## What we saw
#
# - A student learns its teacher's answers to what the transfer set asks, the faults among them. Accuracy on ordinary data may suffer from it; it does not say from what.
# - Balanced inputs do not take a bias out of soft targets; they carry it over whole. Averaging the answers over the cue does, for a cue that one knows, if the student sees the cue vary.
# - A backdoor came through clean data where these touch its pixels, and whole with noise, which touches all of them.
# - If student and teacher share their start, noise and logits without a meaning are enough to teach digits.
# - Soft targets on other data still tell what the teacher was trained on; so do hard answers.
# - A distilled model can be told from an independent one, best by the teacher's own errors, and only beside independent ones.
#
# In the engine these are `tinykd/metrics/inheritance.py` and `tinykd/data/cues.py`: a page each.
#
# ## Further reading
# - Cloud et al., *Subliminal Learning*, 2025 ([arXiv 2507.14805](https://arxiv.org/abs/2507.14805)): owls, numbers, and the theorem. Schrodi et al., 2025 ([arXiv 2509.23886](https://arxiv.org/abs/2509.23886)): in language models it hangs on few tokens, and is easily disturbed.
# - Gu, Dolan-Gavitt, Garg, *BadNets*, 2017 ([arXiv 1708.06733](https://arxiv.org/abs/1708.06733)): backdoors.
# - Shokri et al., *Membership Inference Attacks Against Machine Learning Models*, 2016 ([arXiv 1610.05820](https://arxiv.org/abs/1610.05820)); Yeom et al. 2018 ([arXiv 1709.01604](https://arxiv.org/abs/1709.01604)): the threshold on the loss; Carlini et al., *Membership Inference Attacks From First Principles*, 2021 ([arXiv 2112.03570](https://arxiv.org/abs/2112.03570)): why a mean over samples is not enough, and a much stronger attack.
# - Jagielski et al., *Students Parrot Their Teachers*, 2023 ([arXiv 2303.03446](https://arxiv.org/abs/2303.03446)): this attack on students, who never saw what it asks about. Papernot et al. 2016 ([arXiv 1610.05755](https://arxiv.org/abs/1610.05755)): many teachers and noise in their votes, a promise that can be kept.
# - Maini, Yaghini, Papernot, *Dataset Inference*, 2021 ([arXiv 2104.10706](https://arxiv.org/abs/2104.10706)): whose data are in a model, as a statistical test.
# - Geirhos et al., *Shortcut Learning in Deep Neural Networks*, 2020 ([arXiv 2004.07780](https://arxiv.org/abs/2004.07780)): spurious cues everywhere.
# - Stanton et al., *Does Knowledge Distillation Really Work?*, 2021 ([arXiv 2106.05945](https://arxiv.org/abs/2106.05945)): how little a student may agree with its teacher.
#
# Check your notebook with `.venv/bin/tinykd check lessons/17_what_else_comes_across.ipynb`.

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
# # 05 · Does it help?
#
# **What you will be able to do**
# - compare two ways of training so that the answer can be believed: same budget, same seeds, a paired interval, a verdict;
# - name the rivals that a gain has to survive (learning rate, L2, smoothing, longer training, more data), and try them;
# - measure whether a net knows how often it is right, and mend it with one number;
# - judge a claim such as "anneal the temperature" or "start with a weight of 0.7" by measuring it;
# - write half a page that says what was asked, predicted, spent and found.
#
# | | |
# |---|---|
# | Difficulty | 2 of 5 for the code, six functions of two to ten lines; 4 of 5 for the judgement |
# | Importance | 5 of 5: without this, every other lesson is a story |
# | Time | an hour and three quarters of yours; 2 to 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 03 (the soft-target loss; the interval over seeds) |

# %% role="setup" name="setup"
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.special import stdtrit
from torch.nn import functional as F

import tinykd
from tinykd import (
    MLP,
    Batches,
    ConvNet,
    HardLabels,
    KnownLogits,
    SideBySide,
    SideBySideBatches,
    SoftTargets,
    Trainer,
    load_mnist1d,
    mean_interval,
    plots,
    predict,
    softmax,
)
from tinykd.classroom import Checks
from tinykd.plots import COLORS

check = Checks("05_does_it_help")


def t95(degrees):
    """97.5% quantile of Student's t with so many degrees of freedom: t95(2) is 4.303."""
    return float(stdtrit(degrees, 0.975))


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def spread(rng, n):
    """n numbers of mean 0 and standard deviation 1 (by n - 1)."""
    x = rng.normal(size=n)
    return (x - x.mean()) / x.std(ddof=1)


def paired_runs(rng, n, gap, margin=0.0):
    """Two arms of n seeds, and a margin. The interval of their differences goes from gap - 1 to
    gap + 1, in units that are drawn; single arms scatter three times as much."""
    unit = rng.uniform(0.5, 2)
    theirs = 50 + 3 * unit * math.sqrt(n) * spread(rng, n) / t95(n - 1)
    apart = unit * (gap + math.sqrt(n) * spread(rng, n) / t95(n - 1))
    return (theirs + apart).tolist(), theirs.tolist(), margin * unit


def pilot(rng, low, high, runs=4):
    """Differences of a pilot, and a gap that needs from low to high - 1 seeds, not just so."""
    n, unit = int(rng.integers(low, high)), rng.uniform(0.5, 2)
    half = [t95(m - 1) / math.sqrt(m) for m in (n, n - 1)]
    apart = unit * (spread(rng, runs) + rng.choice([-1, 1]) * rng.uniform(3, 5))
    return apart.tolist(), unit * math.sqrt(half[0] * half[1])


def fake_training(rng):
    """A training that only writes down what it was asked for, and returns a drawn number."""
    salt, calls = int(rng.integers(1, 10**6)), []

    def train_one(setting, seed, steps):
        whole = isinstance(steps, int | np.integer)
        calls.append(
            {"arm": setting["name"], "seed": int(seed), "steps": steps, "steps is an int": whole}
        )
        number = np.random.default_rng((salt, seed, round(1000 * steps), len(setting["name"])))
        return float(number.normal(50, 5))

    return train_one, calls


def two_settings(rng, rest):
    """One arm that pays for its teacher, one that has none, and a budget. When both have trained as
    many steps as it pays for, less than half a step is left over ("small"), more, or nothing."""
    labels, soft = {"name": "labels", "cost": 1.0}, {"name": "soft targets"}
    if rest == "none":
        soft["cost"] = float(rng.choice([1.5, 2.5, 3.5]))
        return soft, labels, 2 * soft["cost"] * int(rng.integers(90, 120))
    left = {"small": (0.1, 0.4), "large": (0.6, 0.9)}[rest]
    few, many = (int(n) + rng.uniform(*left) for n in rng.integers((150, 400), (300, 800)))
    return soft | {"cost": many / few}, labels, many


def compared(compare, rng, seeds, rest):
    """What comes back, from a training that draws its numbers."""
    train_one, _ = fake_training(rng)
    ours, theirs, budget = two_settings(rng, rest)
    return check.call(compare, train_one, ours, theirs, seeds, budget)


def called(compare, rng, seeds, rest):
    """What was trained, in an order that does not matter."""
    train_one, calls = fake_training(rng)
    ours, theirs, budget = two_settings(rng, rest)
    check.call(compare, train_one, ours, theirs, seeds, budget)
    return sorted(calls, key=lambda call: (call["arm"], call["seed"], call["steps"]))


def answers(rng, samples, classes, T, size=4.0):
    """Logits (samples, classes), labels drawn from their softmax at T: T is about the best."""
    z = rng.normal(scale=size, size=(samples, classes))
    p = softmax(torch.tensor(z), T).numpy()
    labels = (p.cumsum(1) > rng.uniform(size=(samples, 1))).argmax(1)
    return torch.tensor(z), torch.tensor(labels)


def sure_answers(rng, samples, classes):
    """As above, and a third of them so sure that the largest probability is exactly 1."""
    z, labels = answers(rng, samples, classes, T=1.0)
    z[::3] *= 1000
    return z, labels


def made(decay_every, *given):
    """The schedule, once it is sure that it can be called."""
    __tracebackhide__ = True
    schedule = check.call(decay_every, *given)
    if not callable(schedule):
        raise TypeError(
            f"a {type(schedule).__name__} came back where a function is expected: end with "
            "`return schedule`, without calling it"
        )
    return schedule


# %% [markdown]
# ## Nine points
#
# A colleague writes: *"We distilled. Same net, same data, same number of steps: the share of right answers went from 39% to 48%. Ten seeds, every one of them better.
# Ship it?"*
#
# Everything in that message is true; you will run it yourself in a minute. By the end of this lesson the nine points will have gone to nothing, will have come back as
# about two, and you will know which of the three numbers to report, to whom, and with what interval. No new method is taught here. What is taught is how not to be
# fooled, and the easiest person to fool is the one who wrote the method.
#
# The data is **MNIST-1D** (arXiv 2011.14439): ten shapes drawn on a line of 40 numbers, stretched, shifted and buried in noise. A small
# convolutional net, our teacher, reads them well. A fully connected net does not, because it has to learn each shift anew: there is plenty of room between the two.
#
# - The **teacher** has learned from a pool of 4,000 labelled signals.
# - A **student** is an MLP of one layer of 100 units. Each *seed* draws 1,000 signals of the pool for it, its start, and its order of batches. So one seed is one repetition of all
#   that is left to chance, except for the teacher, which is the same one throughout. Our intervals are about students of this teacher, this pool and these test signals.
# - 2,000 **held-out** signals are there to choose things; 4,000 **test** signals are read for what was chosen.
#
# Soft targets are those of lesson 02 throughout, $\alpha\,T^2\,\mathrm{KL} + (1 - \alpha)\,\mathrm{CE}$, with $T = 4$ and a weight of $\alpha = 0.9$ unless something else is said: a tenth of the objective is labels.
#
# Verdicts need seeds, and seeds cost time. So the next cell, which you may leave folded, trains ten students *side by side* (`tinykd.SideBySide`): their ten weight matrices are one array of shape
# `(10, 40, 100)`, and a matrix product of arrays does all ten at once. Nothing passes between them. (The objective is multiplied by 10, because a mean over ten nets would
# give each a tenth of its gradient.)

# %% role="show" name="laboratory" folded=true
scale = tinykd.scale()
count, steps, pool = {
    "smoke": (3, 60, 1000),
    "default": (10, 1000, 4000),
    "full": (20, 1000, 4000),
}[scale]
labelled, size = pool // 4, 50
seeds = range(count)

x, y = load_mnist1d(pool, seed=1)
more_x, more_y = load_mnist1d(pool * 3 // 2, seed=2)
held_x, held_y = more_x[: pool // 2], more_y[: pool // 2]
test_x, test_y = more_x[pool // 2 :], more_y[pool // 2 :]


def soft(T=4.0, alpha=0.9):
    """The objective of lesson 02: alpha of the teacher, 1 - alpha of the labels."""
    hard = (lambda progress: 1 - alpha(progress)) if callable(alpha) else 1 - alpha
    return alpha * SoftTargets(T) + hard * HardLabels()


def train(objective, rate, decay=0.0, schedule=None, seeds=seeds, steps=steps):
    """Students side by side, one a seed: SGD with momentum 0.9 and L2 `decay`."""
    nets = []
    for seed in seeds:
        torch.manual_seed(seed)
        nets.append(MLP(40, 100, 10))
    rows = [np.random.default_rng((seed, 0)).permutation(pool)[:labelled] for seed in seeds]
    students = SideBySide(nets)
    batches = SideBySideBatches(x, y, torch.tensor(np.stack(rows)), size, seeds)
    Trainer(
        students,
        len(seeds) * objective,
        KnownLogits(taught),
        lambda ps: torch.optim.SGD(ps, rate, momentum=0.9, weight_decay=decay),
        schedule=schedule or tinykd.cosine(1, 0),
        device="cpu",
        progress=False,
    ).fit(batches, epochs=max(1, round(steps / len(batches))))
    return students


def right(students, x, y):
    """Percent of right answers, one number a seed."""
    return (100 * (students.answers(x).argmax(-1) == y).double().mean(-1)).tolist()


def said(values, digits=1, sign=""):
    """'47.9 ± 0.9': mean and half of the 95% interval over seeds."""
    mean, half = mean_interval(values)
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


began = time.perf_counter()
torch.manual_seed(0)
teacher = ConvNet(1, 32, 64, 128, 10, dims=1)
Trainer(
    teacher,
    HardLabels(),
    optimizer=lambda ps: torch.optim.Adam(ps, 1e-2),
    schedule=tinykd.cosine(1, 0),
    device="cpu",
    progress=False,
).fit(Batches(x, y, size=100), epochs=20 if scale != "smoke" else 4)
teacher_seconds = time.perf_counter() - began
began = time.perf_counter()
taught = predict(teacher, x)  # what it says of the pool, (4000, 10)
asked_seconds = time.perf_counter() - began
share = tinykd.accuracy(predict(teacher, test_x), test_y)
print(f"The teacher has {100 * share:.1f}% of the test signals right.")

# %% role="show" name="first-look"
quick = {}  # (method, rate, decay) -> trained students, side by side
for method, objective in (("labels", HardLabels()), ("soft targets", soft())):
    quick[method, 0.01, 0.0] = train(objective, rate=0.01)
    print(f"{method:12}: {said(right(quick[method, 0.01, 0.0], test_x, test_y))}% right")

# %% [markdown]
# There they are, the nine points, and either number is known to about a point. Before we ask *why*, let us make sure that we can say *whether*.
#
# ## 1 · A verdict
#
# Lesson 03 gave you the interval of a mean over seeds, $\bar x \pm t_{n-1}\, s / \sqrt n$, and the advice to subtract first. Here is why. A seed draws 1,000
# signals; some draws are kind and some are not, to *both* arms. Write a result as *what the method gives* + *what the seed gives* + *what is left*:
#
# $$a_i = \mu_a + \text{seed}_i + \varepsilon_i, \qquad b_i = \mu_b + \text{seed}_i + \varepsilon_i', \qquad a_i - b_i = (\mu_a - \mu_b) + (\varepsilon_i - \varepsilon_i').$$
#
# In the difference the seed has gone. Put differently, $\mathrm{Var}(a - b) = \mathrm{Var}(a) + \mathrm{Var}(b) - 2\,\mathrm{Cov}(a, b)$: whatever the arms have in common is
# subtracted. Comparing two separate means throws the covariance away. (It costs nothing to pair: give both arms the same seeds. If they have nothing in common, you lose a few
# degrees of freedom.)
#
# An interval is not yet a decision. We use three words, and say beforehand the smallest gain that would matter to us, the **margin** $m \ge 0$:
#
# | verdict | when |
# |---|---|
# | **not better** | the whole interval lies below $m$: whatever there is, it is not worth having |
# | **better** | otherwise, if the whole interval lies above 0 |
# | **not shown** | neither: these seeds do not decide |
#
# With $m = 0$, "not better" means that it does harm. "Not shown" is not "there is no difference"; it is a statement about our seeds. To be entitled to say that something does
# *not* help, one needs a margin, and an interval narrow enough to stay below it.
#
# ### Exercise 1: the paired verdict
# Larger values are better. `mean_interval(values)` is the function that you wrote in lesson 03: it returns the mean and half of the interval's width.
#
# <details><summary>Hint 1</summary>The differences, seed by seed: <code>[a - b for a, b in zip(ours, theirs)]</code>.</details>
# <details><summary>Hint 2</summary>The interval goes from <code>mean - half</code> to <code>mean + half</code>. Ask for "not better" first: is its upper end below the margin?</details>


# %% role="answer" name="paired_verdict" library="tinykd.paired_verdict"
def paired_verdict(ours, theirs, margin=0.0):
    """What the runs say of `ours` against `theirs`, where larger is better.

    ours, theirs: n numbers each, one a seed, in the same order of seeds. margin: a number >= 0.
    Returns (mean difference ours - theirs, half width, "better" or "not better" or "not shown").
    """
    # YOUR CODE: subtract seed by seed, take mean_interval of it, compare its ends with margin and 0
    # BEGIN SOLUTION
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    if mean + half < margin:
        return mean, half, "not better"
    if mean - half > 0:
        return mean, half, "better"
    return mean, half, "not shown"
    # END SOLUTION


# %% role="check" name="paired_verdict.pairs" points=1 hint="Ours minus theirs, seed by seed, and the interval of these differences."
rng = check.rng("paired_verdict.pairs")
check(
    "paired_verdict.pairs",
    [check.call(paired_verdict, *paired_runs(rng, n, gap))[:2] for n, gap in ((8, 3), (12, -2))],
)

# %% role="check" name="paired_verdict.words" points=1 hint="No margin: better if all of the interval lies above 0, not better if all of it lies below 0, else not shown."
rng = check.rng("paired_verdict.words")
check(
    "paired_verdict.words",
    [check.call(paired_verdict, *paired_runs(rng, 6, gap)) for gap in (1.6, -1.6, 0.5, -0.5)],
)

# %% role="check" name="paired_verdict.margin" points=1 hint="Not better: the upper end is below the margin, even if the lower end is above 0. The margin plays no part in better."
rng = check.rng("paired_verdict.margin")
check(
    "paired_verdict.margin",
    [
        check.call(paired_verdict, *paired_runs(rng, 6, gap, margin))
        for gap, margin in ((0.5, 2.5), (2, 4), (2, 1.5), (2, 2.5), (0.5, 1))
    ],
)

# %% role="hidden" name="paired_verdict.secret" points=1 hint="Other numbers of seeds, two of them among these, and margins of both kinds."
rng = check.rng("paired_verdict.secret")
check(
    "paired_verdict.secret",
    [
        check.call(paired_verdict, *paired_runs(rng, n, gap, margin))
        for n, gap, margin in ((2, 1.7, 0), (2, -0.4, 0), (12, 1.7, 2), (9, 3, 5), (4, -3, 1))
    ],
)


# %% role="alternative" of="paired_verdict" name="paired_verdict.by_numpy"
def paired_verdict(ours, theirs, margin=0.0):
    d = np.array(ours) - np.array(theirs)
    half = t95(len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    low, high = d.mean() - half, d.mean() + half
    verdict = "not better" if high < margin else "better" if low > 0 else "not shown"
    return float(d.mean()), float(half), verdict


# %% role="alternative" of="paired_verdict" name="paired_verdict.words_last"
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval(np.array(ours) - np.array(theirs))
    verdict = "not shown"
    if mean > half:
        verdict = "better"
    if mean < margin - half:
        verdict = "not better"
    return mean, half, verdict


# %% role="mutant" of="paired_verdict" name="paired_verdict.unpaired" loses="paired_verdict.pairs, paired_verdict.words, paired_verdict.margin, paired_verdict.secret" hint="Your half width is that of two separate samples: the intervals of both arms put together. Subtract seed by seed first, and take the interval of the differences."
def paired_verdict(ours, theirs, margin=0.0):
    (a, half_a), (b, half_b) = mean_interval(ours), mean_interval(theirs)
    mean, half = a - b, math.hypot(half_a, half_b)
    verdict = "not better" if mean + half < margin else "better" if mean > half else "not shown"
    return mean, half, verdict


# %% role="mutant" of="paired_verdict" name="paired_verdict.overlap" loses="paired_verdict.pairs, paired_verdict.words, paired_verdict.margin, paired_verdict.secret" hint="You asked whether the intervals of the two arms overlap: both half widths added. Two arms may overlap by far and still differ on every seed. Take the interval of the differences."
def paired_verdict(ours, theirs, margin=0.0):
    (a, half_a), (b, half_b) = mean_interval(ours), mean_interval(theirs)
    mean, half = a - b, half_a + half_b
    verdict = "not better" if mean + half < margin else "better" if mean > half else "not shown"
    return mean, half, verdict


# %% role="mutant" of="paired_verdict" name="paired_verdict.sign" loses="paired_verdict.pairs, paired_verdict.words, paired_verdict.margin, paired_verdict.secret" hint="The sign is wrong: ours minus theirs is asked for."
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval([b - a for a, b in zip(ours, theirs, strict=True)])
    verdict = "not better" if mean + half < margin else "better" if mean > half else "not shown"
    return mean, half, verdict


# %% role="mutant" of="paired_verdict" name="paired_verdict.sorted" loses="paired_verdict.pairs, paired_verdict.words, paired_verdict.margin, paired_verdict.secret" hint="You sorted the runs before you subtracted. Then the best of one arm meets the best of the other, and not its own seed."
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval([a - b for a, b in zip(sorted(ours), sorted(theirs), strict=True)])
    verdict = "not better" if mean + half < margin else "better" if mean > half else "not shown"
    return mean, half, verdict


# %% role="mutant" of="paired_verdict" name="paired_verdict.no_interval" loses="paired_verdict.words, paired_verdict.margin, paired_verdict.secret" hint="Your verdict looks at the mean alone. It stands on the ends of the interval, mean - half and mean + half."
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    return mean, half, "better" if mean > margin else "not better"


# %% role="mutant" of="paired_verdict" name="paired_verdict.no_margin" loses="paired_verdict.margin, paired_verdict.secret" hint="The margin makes no difference in yours. Not better: the upper end lies below the margin."
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    verdict = "not better" if mean + half < 0 else "better" if mean > half else "not shown"
    return mean, half, verdict


# %% role="mutant" of="paired_verdict" name="paired_verdict.margin_for_better" loses="paired_verdict.margin, paired_verdict.secret" hint="You asked the lower end to be above the margin. For better it has to be above 0; the margin belongs to not better alone."
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    verdict = "not better" if mean + half < margin else "better"
    return mean, half, verdict if verdict == "not better" or mean - half > margin else "not shown"


# %% role="mutant" of="paired_verdict" name="paired_verdict.better_first" loses="paired_verdict.margin, paired_verdict.secret" hint="You asked for better first. Where all of the interval lies between 0 and the margin, the verdict is not better: the gain is real and too small to matter."
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    verdict = "better" if mean > half else "not better" if mean + half < margin else "not shown"
    return mean, half, verdict


# %% role="mutant" of="paired_verdict" name="paired_verdict.no_means_not" loses="paired_verdict.words, paired_verdict.margin, paired_verdict.secret" hint="Where the interval holds 0 you say not better. These seeds do not decide: that is not shown."
def paired_verdict(ours, theirs, margin=0.0):
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    return mean, half, "better" if mean > half and mean + half >= margin else "not better"


# %% [markdown]
# Now with the colleague's runs: every seed is a line between its two results, and at the right the same difference as one interval, without pairing and with it. For the
# interval *without* pairing the arms' variances are added, $s^2 = s_a^2 + s_b^2$. The cell also takes two runs that lie closer together: ten students at $T = 4$
# against ten at $T = 8$.
#
# **What do you expect?** In which of the two comparisons will pairing matter for the verdict?

# %% role="show" name="fig-pairs" folded=true
judge = check.ready(paired_verdict, tinykd.paired_verdict)
quick["T = 8", 0.01, 0.0] = train(soft(T=8.0), rate=0.01)
found = {
    name: right(quick[name, 0.01, 0.0], test_x, test_y)
    for name in ("labels", "soft targets", "T = 8")
}
figure, grid = plt.subplots(1, 4, figsize=(11, 3.4), layout="constrained", width_ratios=(2, 1) * 2)
for left, (ours, theirs) in zip(
    (0, 2), (("soft targets", "labels"), ("T = 8", "soft targets")), strict=True
):
    a, b = found[ours], found[theirs]
    for one, other in zip(a, b, strict=True):
        grid[left].plot([0, 1], [other, one], "o-", color=COLORS[0], alpha=0.6, markersize=4)
    names = {"soft targets": "soft targets" if left == 0 else "T = 4"}
    grid[left].set_xticks([0, 1], [names.get(name, name) for name in (theirs, ours)])
    grid[left].set(xlim=(-0.3, 1.3), ylabel="% of test signals right")
    apart, n = np.subtract(a, b), len(a)
    alone = t95(2 * n - 2) * math.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / n)
    mean, half, verdict = judge(a, b)
    for place, width, color in ((0, alone, COLORS[1]), (1, half, COLORS[0])):
        grid[left + 1].errorbar(place, mean, width, fmt="o", color=color, capsize=4)
    grid[left + 1].axhline(0, color="black", linewidth=0.8)
    grid[left + 1].set_xticks([0, 1], ["not\npaired", "paired"])
    grid[left + 1].set(xlim=(-0.6, 1.6), ylabel="difference, points")
    together = np.corrcoef(a, b)[0, 1]
    print(
        f"{names.get(ours, ours)} against {names.get(theirs, theirs)}: {mean:+.2f} points; "
        f"± {alone:.2f} not paired, ± {half:.2f} paired"
    )
    print(f"    correlation of the arms over seeds {together:.2f}; verdict (paired): {verdict}")
for axes in grid:
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Two comparisons, a line for each seed between its two results, and beside each the interval "
    "of the difference without and with pairing; the paired ones are narrower."
)

# %% [markdown]
# **What we saw** (in our run). The colleague needs no statistics: nine points are far from 0 either way. The second comparison is the interesting one: $T = 8$ is about 0.9 points above $T = 4$, and without pairing the interval is
# about as wide as that, so that 0 is inside; paired, it is not. Same runs, same cost; what made the difference is that both arms saw the same signals, and a seed with a kind draw is kind to both: over
# seeds the arms' results have a correlation of about 0.8.
#
# ## 2 · How many seeds?
#
# Turn the formula round. A pilot with a few seeds tells you $s$, the standard deviation of the *differences*. If the true gap is $g$, the interval of $n$ seeds will leave
# out 0, typically, once its half width is smaller than the gap:
#
# $$n_\text{needed} = \min\{\, n \ge 2 :\ t_{n-1}\, s / \sqrt n < g \,\}.$$
#
# ($n$ is on both sides, in $t_{n-1}$ and in the root, so one counts up. "Typically" means about every second time: the measured mean is as often below the true gap as
# above it. Who wants to be safe takes more.) It also says what a given number of seeds can *never* show: halving the gap takes about four times the seeds.
#
# ### Exercise 2: seeds needed
# `t95(n - 1)` is $t_{n-1}$ for any $n$; the first cell defines it.
#
# <details><summary>Hint</summary>s is <code>np.std(differences, ddof=1)</code> and stays as it is. Begin at n = 2 and count up while the half width is not below the gap.</details>


# %% role="answer" name="seeds_needed"
def seeds_needed(differences, gap):
    """The smallest n >= 2 for which t_{n-1} s / sqrt(n) < gap.

    differences: those of a pilot, one a seed, at least 2; s is their standard deviation (n - 1).
    gap: the difference that is to be told from 0, above 0. Returns a whole number.
    """
    # YOUR CODE: s from the pilot, then count n up from 2
    # BEGIN SOLUTION
    s = np.std(differences, ddof=1)
    n = 2
    while t95(n - 1) * s / math.sqrt(n) >= gap:
        n += 1
    return n
    # END SOLUTION


# %% role="check" name="seeds_needed.few" points=1 hint="Few seeds are needed here: t95(n - 1) of the n that you try, not of the pilot, and not 1.96."
rng = check.rng("seeds_needed.few")


def some_pilots(rng):
    """Three that need 3 or 4 seeds, four that need 5 to 11."""
    return [pilot(rng, 3, 5) for _ in range(3)] + [pilot(rng, 5, 12) for _ in range(4)]


check("seeds_needed.few", [check.call(seeds_needed, *given) for given in some_pilots(rng)])

# %% role="check" name="seeds_needed.many" points=1 hint="Many are needed here: s by n - 1 of the pilot's differences, the root of n, and the first n whose half width is below the gap."
rng = check.rng("seeds_needed.many")
check("seeds_needed.many", [check.call(seeds_needed, *pilot(rng, 12, 30)) for _ in range(4)])

# %% role="hidden" name="seeds_needed.secret" points=1 hint="Other pilots, from two seeds to nine, and differences of either sign."
rng = check.rng("seeds_needed.secret")


def other_pilots(rng):
    """Of nine, two, three and six seeds."""
    limits = ((3, 5, 9), (12, 20, 2), (12, 20, 3), (6, 12, 6))
    return [pilot(rng, low, high, runs) for low, high, runs in limits]


check(
    "seeds_needed.secret",
    [check.call(seeds_needed, *given) for given in other_pilots(rng)],
)


# %% role="alternative" of="seeds_needed" name="seeds_needed.first_of_all"
def seeds_needed(differences, gap):
    s = float(np.std(differences, ddof=1))
    return next(n for n in range(2, 10**6) if t95(n - 1) * s / n**0.5 < gap)


# %% role="alternative" of="seeds_needed" name="seeds_needed.by_squares"
def seeds_needed(differences, gap):
    mean = sum(differences) / len(differences)
    variance = sum((d - mean) ** 2 for d in differences) / (len(differences) - 1)
    n = 2
    while n < t95(n - 1) ** 2 * variance / gap**2:
        n = n + 1
    return n


# %% role="mutant" of="seeds_needed" name="seeds_needed.normal" loses="seeds_needed.few, seeds_needed.many, seeds_needed.secret" hint="You used 1.96, which is right when s is known for certain. With n seeds it is t95(n - 1), and for small n that is much more."
def seeds_needed(differences, gap):
    s, n = np.std(differences, ddof=1), 2
    while 1.96 * s / math.sqrt(n) >= gap:
        n += 1
    return n


# %% role="mutant" of="seeds_needed" name="seeds_needed.pilots_t" loses="seeds_needed.few, seeds_needed.many, seeds_needed.secret" hint="You took t of the pilot. The interval will be that of n seeds: t95(n - 1) for each n that you try."
def seeds_needed(differences, gap):
    s, n = np.std(differences, ddof=1), 2
    while t95(len(differences) - 1) * s / math.sqrt(n) >= gap:
        n += 1
    return n


# %% role="mutant" of="seeds_needed" name="seeds_needed.degrees" loses="seeds_needed.few, seeds_needed.secret" hint="n seeds have n - 1 degrees of freedom: t95(n - 1)."
def seeds_needed(differences, gap):
    s, n = np.std(differences, ddof=1), 2
    while t95(n) * s / math.sqrt(n) >= gap:
        n += 1
    return n


# %% role="mutant" of="seeds_needed" name="seeds_needed.ddof" loses="seeds_needed.few, seeds_needed.many, seeds_needed.secret" hint="np.std divides by the number of runs unless you say ddof=1: s comes out too small, and so does n."
def seeds_needed(differences, gap):
    s, n = np.std(differences), 2
    while t95(n - 1) * s / math.sqrt(n) >= gap:
        n += 1
    return n


# %% role="mutant" of="seeds_needed" name="seeds_needed.no_root" loses="seeds_needed.few, seeds_needed.many, seeds_needed.secret" hint="You divided by n. The mean of n runs is steadier by the root of n."
def seeds_needed(differences, gap):
    s, n = np.std(differences, ddof=1), 2
    while t95(n - 1) * s / n >= gap:
        n += 1
    return n


# %% role="mutant" of="seeds_needed" name="seeds_needed.one_less" loses="seeds_needed.few, seeds_needed.many, seeds_needed.secret" hint="One too few: at your n the half width is still above the gap."
def seeds_needed(differences, gap):
    s, n = np.std(differences, ddof=1), 2
    while t95(n - 1) * s / math.sqrt(n) >= gap:
        n += 1
    return n - 1


# %% role="mutant" of="seeds_needed" name="seeds_needed.whole_width" loses="seeds_needed.few, seeds_needed.many, seeds_needed.secret" hint="You asked the whole width of the interval to be below the gap. Half of it is enough: from the mean down to 0."
def seeds_needed(differences, gap):
    s, n = np.std(differences, ddof=1), 2
    while 2 * t95(n - 1) * s / math.sqrt(n) >= gap:
        n += 1
    return n


# %% role="mutant" of="seeds_needed" name="seeds_needed.mean_too" loses="seeds_needed.few, seeds_needed.many, seeds_needed.secret" hint="Your s is the root of the mean square: it holds the mean difference too. The spread around the mean is asked for, np.std with ddof=1."
def seeds_needed(differences, gap):
    s, n = math.sqrt(np.mean(np.square(differences))), 2
    while t95(n - 1) * s / math.sqrt(n) >= gap:
        n += 1
    return n


# %% role="show" name="how-many"
need = check.ready(
    seeds_needed,
    lambda d, g: next(n for n in range(2, 10**6) if t95(n - 1) * np.std(d, ddof=1) / n**0.5 < g),
)
pilots = {
    "soft targets against labels": np.subtract(found["soft targets"], found["labels"]),
    "T = 8 against T = 4": np.subtract(found["T = 8"], found["soft targets"]),
}
for name, apart in pilots.items():
    s = np.std(apart, ddof=1)
    numbers = ", ".join(
        f"{need(apart.tolist(), gap)} for {gap}" for gap in (4.0, 2.0, 1.0, 0.5, 0.25)
    )
    print(f"{name}: s = {s:.2f} points; seeds for a gap of so many points:\n    {numbers}")

# %% [markdown]
# **What we saw.** Four points take 3 seeds, one point 6 or 7, a quarter of a point some 40 to 60. The table is worth having *before* a run: whoever plans five seeds for half a point will report "not shown" whatever is true. (And who adds a seed, looks, and adds
# another until 0 is outside, has no 95% interval any more: lesson 03.)
#
# ## 3 · The same budget
#
# "Same number of steps" was in the colleague's message. It is a good start, and it is not all that was spent:
#
# - **Steps.** Epochs are a poor currency when one arm has more data than the other; count optimizer steps, at the same batch size.
# - **The teacher's time.** It had to be trained (once, for all students to come), and it has to be asked. Asked *live*, in every step, it makes each step dearer, often by more than
#   the student itself costs. Asked *once* about each signal and stored, as in lesson 03, it costs one pass. (With jittered or freshly drawn inputs nothing can be stored.)
# - **Tuning.** Who tries sixteen settings for the new method and one for the old one has given the new one sixteen times the budget, and sixteen chances to be lucky.
#
# The next cell measures what a step costs, with our own trainer on this machine. Other programs disturb a clock, and only ever in one direction; so each kind gets several short runs, in
# turns, and its fastest one counts.


# %% role="show" name="costs" folded=true
def ready_to_run(told):
    """A trainer of one student of 100 units on batches of 50, warmed up, and its batches."""
    torch.manual_seed(0)
    trainer = Trainer(
        MLP(40, 100, 10),
        HardLabels() if told is None else soft(),
        told,
        lambda ps: torch.optim.SGD(ps, 0.01, momentum=0.9),
        device="cpu",
        progress=False,
    )
    batches = Batches(x[: 10 * size], y[: 10 * size], size=size)
    trainer.fit(batches, epochs=1)
    return trainer, batches


kinds = {
    "labels": None,
    "soft targets, stored": KnownLogits(taught),
    "soft targets, live teacher": teacher,
}
runs = {kind: ready_to_run(told) for kind, told in kinds.items()}
costs = dict.fromkeys(kinds, math.inf)  # ms a step
for _ in range(25 if scale != "smoke" else 4):
    for kind, (trainer, batches) in runs.items():
        began = time.perf_counter()
        trainer.fit(batches, epochs=1)
        costs[kind] = min(costs[kind], 1000 * (time.perf_counter() - began) / len(batches))
for kind, cost in costs.items():
    print(f"{kind:28}: {cost:5.2f} ms a step, {cost / costs['labels']:.1f} times that of labels")
print(f"the teacher: {teacher_seconds:.1f} s to train, {asked_seconds:.2f} s to ask once about all")
print(f"one student: {costs['labels']:.1f} s for 1,000 steps with labels")

# %% [markdown]
# So there is no single "same budget". There are three honest ones, and one says which was used:
#
# 1. **same steps**: is a step with the teacher worth more than a step without? (the scientist's question; our default here)
# 2. **same cost of the student's training**, the asking included: then a live teacher's arm gets fewer steps;
# 3. **same cost of everything**, the teacher's own training included: fair where the teacher exists for this student alone.
#
# ### Exercise 3: your experiment
# Now write the loop that every comparison of this course should be run with. Each arm is a *setting*, a dict that holds, among other things, its `"cost"`: what one of its steps costs, in
# steps with labels. The budget is given in steps with labels too. An arm gets as many whole steps as the budget pays for, and no more: $\lfloor \text{budget} / \text{cost} \rfloor$, an int. (With
# cost 1 in both, that is "same steps".)
#
# `train_one(setting, seed, steps)` trains one student and returns one number, larger is better. Train both arms on every seed, the same seeds, and return the differences
# in the order of `seeds`.
#
# <details><summary>Hint 1</summary><code>math.floor</code> rounds down and gives an int. The steps do not change from seed to seed.</details>
# <details><summary>Hint 2</summary>In the loop over seeds: both calls with the same seed, then subtract.</details>


# %% role="answer" name="compare"
def compare(train_one, ours, theirs, seeds, budget):
    """Train two arms on the same seeds for the same budget.

    train_one: function (setting, seed, steps) -> a number, larger is better. ours, theirs: settings,
    dicts with "cost", what a step costs; not to be changed. seeds: whole numbers. budget: a number.
    Each arm trains floor(budget / its cost) steps, an int, once a seed.
    Returns the differences ours - theirs, a list, one a seed in the order of seeds.
    """
    # YOUR CODE: the steps of each arm, then a loop over seeds
    # BEGIN SOLUTION
    our_steps, their_steps = int(budget // ours["cost"]), int(budget // theirs["cost"])
    differences = []
    for seed in seeds:
        mine = train_one(ours, seed, our_steps)
        rival = train_one(theirs, seed, their_steps)
        differences.append(mine - rival)
    return differences
    # END SOLUTION


# %% role="check" name="compare.differences" points=1 hint="One number a seed, ours minus theirs, both arms with the same seed, in the order in which the seeds are given."
rng = check.rng("compare.differences")

check(
    "compare.differences",
    [compared(compare, rng, (1 + rng.permutation(20)[:5]).tolist(), "none") for _ in range(2)],
)

# %% role="check" name="compare.calls" points=2 hint="What was trained: each arm once a seed, with its own number of steps, floor(budget / cost). These budgets leave something over: less than half a step in the first item, more than half in the second, and it is not spent."
rng = check.rng("compare.calls")

check(
    "compare.calls",
    [called(compare, rng, (1 + rng.permutation(9)[:3]).tolist(), r) for r in ("small", "large")],
)

# %% role="hidden" name="compare.secret" points=1 hint="Other seeds, given as a range too, and another budget: what comes back and what was trained."
rng = check.rng("compare.secret")
check(
    "compare.secret",
    [
        compared(compare, rng, range(3, 7), "large"),
        compared(compare, rng, [8, 2], "small"),
        called(compare, rng, range(2), "small"),
        called(compare, rng, [5, 3], "large"),
    ],
)


# %% role="alternative" of="compare" name="compare.arm_by_arm"
def compare(train_one, ours, theirs, seeds, budget):
    results = []
    for setting in (ours, theirs):
        n = math.floor(budget / setting["cost"])
        results.append([train_one(setting, seed, n) for seed in seeds])
    return [a - b for a, b in zip(*results, strict=True)]


# %% role="alternative" of="compare" name="compare.one_line"
def compare(train_one, ours, theirs, seeds, budget):
    run = lambda arm, seed: train_one(arm, seed, int(budget / arm["cost"]))
    return [run(ours, seed) - run(theirs, seed) for seed in seeds]


# %% role="mutant" of="compare" name="compare.same_steps" loses="compare.differences, compare.calls, compare.secret" hint="Both arms got the same number of steps. Whose step costs more gets fewer of them: floor(budget / its own cost)."
def compare(train_one, ours, theirs, seeds, budget):
    n = int(budget)
    return [train_one(ours, s, n) - train_one(theirs, s, n) for s in seeds]


# %% role="mutant" of="compare" name="compare.nearest" loses="compare.calls, compare.secret" hint="You rounded to the nearest whole number. Where more than half a step is left over, the last step is not paid for: round down."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = round(budget / ours["cost"]), round(budget / theirs["cost"])
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.up" loses="compare.calls, compare.secret" hint="You rounded up: the last step is not paid for. Round down."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = math.ceil(budget / ours["cost"]), math.ceil(budget / theirs["cost"])
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.part_of_a_step" loses="compare.calls, compare.secret" hint="Nobody trains a part of a step: round down."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = budget / ours["cost"], budget / theirs["cost"]
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.float" loses="compare.calls, compare.secret" hint="Your steps are whole and still a float: // of floats is one. A loop cannot count to it; int(...) or math.floor makes an int."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = budget // ours["cost"], budget // theirs["cost"]
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.times" loses="compare.differences, compare.calls, compare.secret" hint="You multiplied the budget by the cost. Who pays more for a step can afford fewer: divide."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = int(budget * ours["cost"]), int(budget * theirs["cost"])
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.other_seeds" loses="compare.differences, compare.calls, compare.secret" hint="The two arms were trained on different seeds. Pairs need the same seed in both."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = int(budget // ours["cost"]), int(budget // theirs["cost"])
    return [train_one(ours, s, n) - train_one(theirs, s + 1, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.numbered" loses="compare.differences, compare.calls, compare.secret" hint="You counted seeds from 0 instead of using those that were given."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = int(budget // ours["cost"]), int(budget // theirs["cost"])
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in range(len(seeds))]


# %% role="mutant" of="compare" name="compare.sign" loses="compare.differences, compare.secret" hint="The sign is wrong: ours minus theirs."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = int(budget // ours["cost"]), int(budget // theirs["cost"])
    return [train_one(theirs, s, m) - train_one(ours, s, n) for s in seeds]


# %% role="mutant" of="compare" name="compare.mean" loses="compare.differences, compare.secret" hint="You returned one number. The differences are asked for, one a seed: without them there is no interval."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = int(budget // ours["cost"]), int(budget // theirs["cost"])
    return float(np.mean([train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]))


# %% role="mutant" of="compare" name="compare.best_of_rival" loses="compare.differences, compare.secret" hint="You subtracted one number of theirs (a mean, or the first seed's) from all of ours. Subtract seed by seed."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = int(budget // ours["cost"]), int(budget // theirs["cost"])
    rival = np.mean([train_one(theirs, s, m) for s in seeds])
    return [float(train_one(ours, s, n) - rival) for s in seeds]


# %% role="mutant" of="compare" name="compare.budget_in_seeds" loses="compare.differences, compare.calls, compare.secret" hint="You shared the budget out over the seeds. It is the budget of one training."
def compare(train_one, ours, theirs, seeds, budget):
    n = int(budget // ours["cost"] // len(seeds))
    m = int(budget // theirs["cost"] // len(seeds))
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.swapped_costs" loses="compare.differences, compare.calls, compare.secret" hint="Each arm got the steps of the other. An arm's steps follow from its own cost."
def compare(train_one, ours, theirs, seeds, budget):
    n, m = int(budget // theirs["cost"]), int(budget // ours["cost"])
    return [train_one(ours, s, n) - train_one(theirs, s, m) for s in seeds]


# %% role="mutant" of="compare" name="compare.leftover" loses="compare.calls, compare.differences, compare.secret" hint="You changed the settings you were given, or trained an arm more than once a seed. Compute the steps, and leave the settings as they are."
def compare(train_one, ours, theirs, seeds, budget):
    ours["steps"], theirs["steps"] = int(budget // ours["cost"]), int(budget // theirs["cost"])
    return [
        train_one(ours, s, ours["steps"]) - train_one(theirs, s, theirs["steps"]) for s in seeds
    ]


# %% [markdown]
# Your loop gets a real training now: one net at a time, measured on the held-out signals. The question is the colleague's, with the teacher asked live and paid for, four seeds. We take a cost of 2 steps with labels, so that
# your number can be compared with ours; put in what your machine has measured, and run it again.
#
# **What do you expect?** With the teacher's answers paid for, how much of the gain is left?


# %% role="show" name="own-comparison"
def train_one(setting, seed, steps):
    """One student, trained for so many steps; percent of the held-out signals right."""
    students = train(
        setting["objective"],
        setting["rate"],
        setting.get("decay", 0.0),
        setting.get("schedule"),
        seeds=[seed],
        steps=steps,
    )
    return right(students, held_x, held_y)[0]


def library_compare(train_one, ours, theirs, seeds, budget):
    steps = [int(budget // arm["cost"]) for arm in (ours, theirs)]
    return [train_one(ours, s, steps[0]) - train_one(theirs, s, steps[1]) for s in seeds]


run_both = check.ready(compare, library_compare)
live = 2.0  # measured above: costs["soft targets, live teacher"] / costs["labels"]
ours = {"objective": soft(), "rate": 0.01, "cost": live}
theirs = {"objective": HardLabels(), "rate": 0.01, "cost": 1.0}
few = range(2 if scale == "smoke" else 4)
apart = run_both(train_one, ours, theirs, few, steps)
mean, half, verdict = judge(apart, [0.0] * len(apart))
print(
    f"teacher asked live: a cost of {live:g}, {int(steps // live)} steps, not {steps} "
    f"(measured above: {costs['soft targets, live teacher'] / costs['labels']:.1f})"
)
print(f"same cost: {mean:+.1f} ± {half:.1f} points on held-out signals, {verdict}")

# %% [markdown]
# **What we saw.** Where a step with a live teacher costs twice as much as one with labels, there are half as many, and of nearly nine points not quite four are left, +3.9 ± 1.9; where the teacher is dearer, less is left. Ask it once and store what it says, and a step costs far less (second line of the table of costs): then
# "same steps" and "same cost" come close. (Its own training, the last lines of that table say, is worth that of several students, unless there are many students to share it.) From here on everything is *same steps, answers stored*.
#
# ## 4 · Null hypotheses
#
# A **null hypothesis** is a dull explanation that would give the same result. For "distillation helped" there are well-known ones, and a claim is worth as much as the dull
# explanations it has survived:
#
# | dull explanation | the rival to train |
# |---|---|
# | the loss has become larger, so the steps have: $T^2$ in disguise | labels, at a larger **learning rate** |
# | soft targets hinder overfitting, as anything would that does | labels with **L2** (weight decay), tuned |
# | any softening would do | **label smoothing**, tuned (arXiv 1906.02629) |
# | the teacher's time was extra time | labels, **more steps** |
# | the teacher has seen more data | labels of **all that data** |
# | any earlier net would do as a teacher | the student's **own last generation** (born-again, arXiv 1805.04770) |
#
# Begin with the first. Both arms used a rate of 0.01. Why 0.01? Because it stood there. The gradient of the soft-target term in a logit is $T\,(q - p)$ at the temperature (lesson 02), that of
# the labels' term $q - y$: nothing makes them the same size. The factor $T^2$ keeps the first from fading with $T$, no more. So the two arms ran at the same *rate* and at different *step sizes*. The next cell
# gives both the same four rates.
#
# **What do you expect?** Draw the two curves before you run it: accuracy against learning rate. Where do they cross, if they do?

# %% role="show" name="rates"
rates = (0.01, 0.03, 0.1, 0.3)
for rate in rates:
    for method, objective in (("labels", HardLabels()), ("soft targets", soft())):
        if (method, rate, 0.0) not in quick:
            try:
                quick[method, rate, 0.0] = train(objective, rate)
            except tinykd.NonFiniteLoss:
                print(f"rate {rate}, {method}: diverged")
                continue
        held = right(quick[method, rate, 0.0], held_x, held_y)
        print(f"rate {rate:<5} {method:12}: {said(held)}% of the held-out signals right")

# %% role="show" name="fig-rates" folded=true
import json

from tinykd.data import data_file

measured = json.loads(data_file("results/does_it_help.json").read_text())


def results(setting, method, what="accuracy"):
    """Stored results of a method, one a seed: in percent, nats for nll."""
    kind = "sweep" if setting.startswith("sweep") else "runs"
    of = [r for r in measured[kind] if (r["setting"], r["method"]) == (setting, method)]
    factor = 1 if what in ("nll", "nll_scaled", "T_fitted", "kl", "rate", "decay") else 100
    return [factor * r[what] for r in of]


figure, (left, middle) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for color, method in ((COLORS[1], "labels"), (COLORS[0], "soft targets")):
    points = {
        r: right(quick[method, r, 0.0], held_x, held_y) for r in rates if (method, r, 0.0) in quick
    }
    means, halves = zip(*(mean_interval(p) for p in points.values()), strict=True)
    left.errorbar(list(points), means, halves, color=color, marker="o", capsize=3, label=method)
    of = [r for r in measured["sweep"] if r["setting"] == f"sweep: {method}"]
    for style, decay in (("-", 0), ("--", 0.003), (":", 0.01)):
        line = [
            100 * np.mean([r["held_out"] for r in of if (r["rate"], r["decay"]) == (rate, decay)])
            for rate in rates
        ]
        middle.plot(rates, line, style, color=color, marker=".", label=f"{method}, L2 {decay}")
for axes, title in ((left, "no L2, your run"), (middle, "with L2, stored runs")):
    axes.set(xscale="log", xlabel="learning rate", title=title)
    axes.set_xticks(rates, rates)
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower center")
left.set(ylabel="% of held-out signals right", ylim=(25, 55) if scale != "smoke" else None)
if ("soft targets", 0.3, 0.0) in quick and scale != "smoke":
    fell = np.mean(right(quick["soft targets", 0.3, 0.0], held_x, held_y))
    note = f"soft targets\nat 0.3: {fell:.0f}%"
    left.annotate(note, (0.335, 31), ha="right", color=COLORS[0], fontsize=9)
    left.annotate("", (0.3, 25), (0.3, 30.5), arrowprops={"arrowstyle": "->", "color": COLORS[0]})
plots.show(
    "Held-out accuracy against learning rate. Without L2 the curve of labels rises up to the "
    "largest rate and reaches that of soft targets, which falls to 10% there; with L2 both rise and "
    "the best of soft targets stays above the best of labels."
)
print("Stored runs, ten seeds, test signals, each arm chosen on the held-out ones:")
for setting in (
    "one rate for both, no L2",
    "each its own rate, no L2",
    "each its own rate and L2",
):
    a, b = results(setting, "soft targets"), results(setting, "labels")
    mean, half, verdict = judge(a, b)
    print(f"  {setting:25}: labels {np.mean(b):.1f}%, soft targets {np.mean(a):.1f}%")
    print(f"  {'':25}  {mean:+.1f} ± {half:.1f}, {verdict}")

# %% [markdown]
# **What we saw** (numbers of the stored runs, which are yours with L2 added). The labels had been starved. From a rate of 0.01 to one of 0.3 they gain more than nine points of the held-out signals. The soft targets, whose gradient is larger,
# hardly notice the rate, until it tears them apart at 0.3. With each arm at its own best rate the nine points are gone: +0.3 ± 0.6, *not shown*. They were a learning rate. Nobody had cheated; "the same rate for
# both" merely sounds like fairness. The same budget means the same number of *tries* for a rate, not the same rate.
#
# And then it comes back. With L2 chosen as well, sixteen settings for each arm, both do better, and soft targets by more: +2.2 ± 0.8, *better*. Three numbers for one method, +8.9, +0.3, +2.2,
# each of them true. Only the last one compares the best that we can do with labels to the best that we can do with a teacher; it is the one to report, with its interval.
# Had the new method been the one with the smaller gradient, the same sloppiness would have hidden its gain.
#
# Now the other rivals, all against the tuned soft targets (stored runs; ten seeds). Each was chosen on the held-out signals, from fewer settings than the sixteen above: smoothing from twelve, twice the steps and the own last generation
# from four, those of 4,000 signals from two strengths of L2 at one rate. The **own last generation** is one generation: each seed's teacher is that seed's student of labels, at the same $T = 4$ and $\alpha = 0.9$. Two of the rivals use what the student
# was not meant to have: the labels of all 4,000 signals, and the teacher's answers on all 4,000 (those alone, $\alpha = 1$).
#
# **What do you expect?** Order the rivals before you look.

# %% role="show" name="fig-rivals" folded=true
last = "each its own rate and L2"
rivals = (
    "labels",
    "label smoothing",
    "labels, twice the steps",
    "own last generation",
    "all 4,000 labels",
    "soft targets of all 4,000",
)
figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
reference = results(last, "soft targets")
print(f"soft targets of 1,000 signals: {said(reference)}% of the test signals right; against them")
for row, name in enumerate(rivals):
    apart = np.subtract(results(last, name), reference)
    mean, half = mean_interval(apart.tolist())
    color = COLORS[0 if "soft" in name else 4 if "own" in name else 1]
    axes.errorbar(mean, row - 0.12, xerr=half, fmt="o", color=color, capsize=4)
    axes.plot(apart, [row + 0.22] * len(apart), ".", color="black", alpha=0.4, markersize=4)
    print(f"  {name:26}: {said(results(last, name))}%, difference {mean:+.1f} ± {half:.1f}")
mean, half, verdict = judge(results(last, rivals[-1]), results(last, rivals[-2]))
print(f"soft targets of all 4,000 against all 4,000 labels: {mean:+.1f} ± {half:.1f}, {verdict}")
axes.axvline(0, color="black", linewidth=0.8)
axes.set_yticks(range(len(rivals)), rivals)
axes.invert_yaxis()
axes.set_xlabel("points above the soft targets of 1,000 signals")
for color, marker, meaning in (
    (COLORS[1], "o", "from labels"),
    (COLORS[4], "o", "from its own kind"),
    (COLORS[0], "o", "from the teacher"),
    ("gray", ".", "one seed"),
):
    axes.plot([], [], marker, color=color, label=meaning)
axes.legend(frameon=False, fontsize=9, loc="upper right")
axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Differences in test accuracy of six rivals from tuned soft targets, with intervals: four lie "
    "below 0; all 4,000 labels, and soft targets of all 4,000 signals, far above."
)

# %% [markdown]
# **What we saw.** Smoothing, twice the steps, and the student's own last generation stay about two points or more below the soft targets, and each interval leaves out 0. So it is not *any* softening, nor more time, nor any earlier net.
# The dull explanation that survives is the data: the labels of all 4,000 signals are worth nine points more than the soft targets of 1,000. Whoever has those labels should use them. And then comes the
# last line of the table: with the same 4,000 signals for everybody, the teacher's included, the student of soft targets is still four points ahead of the student of labels. That is the cleanest evidence in this lesson that the
# *answers* of this teacher are worth more than labels. (With two tries for each, by our own rule a small budget, but the same one.)
#
# ## 5 · Does it know when it is right?
#
# Accuracy is not everything that a teacher might pass on. A net says "73%". Is it right in 73% of such cases? Then it is **calibrated**. It is often claimed that distilled students
# are better calibrated; we can measure it.
#
# The **confidence** of an answer is its probability, $c = \max_i q_i$. Sort the answers by confidence into $M$ bins of equal width, the $m$-th holding those with
# $(m-1)/M < c \le m/M$. In each, compare the mean confidence with the share that is right. The **expected calibration error** is the mean gap, weighted by how many answers are in the
# bin (Guo et al. 2017, arXiv 1706.04599):
#
# $$\mathrm{ECE} = \sum_{m=1}^{M} \frac{n_m}{N}\ \bigl|\,\text{accuracy}_m - \text{confidence}_m\,\bigr|.$$
#
# ### Exercise 4: expected calibration error
# Bins that hold nobody count for nothing. A confidence of exactly 1 belongs to the last bin.
#
# <details><summary>Hint 1: confidence and correctness</summary><code>confidence, answer = softmax(logits).max(-1)</code>, and <code>answer == labels</code> as floats.</details>
# <details><summary>Hint 2: who is in a bin</summary>A mask of True and False, <code>(confidence > low) & (confidence <= high)</code>. The mean over a mask that holds nobody is NaN: ask <code>.any()</code> first.</details>


# %% role="answer" name="expected_calibration_error" library="tinykd.calibration_error"
def expected_calibration_error(logits, labels, bins=15):
    """ECE = sum_m n_m / N |accuracy_m - confidence_m| over bins of equal width.

    logits: (N, C). labels: (N,). Returns a float in [0, 1].
    """
    # YOUR CODE: confidence and right or wrong of every answer, then a loop over the bins
    # BEGIN SOLUTION
    confidence, answer = softmax(logits).max(-1)
    right = (answer == labels).to(confidence.dtype)
    total = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            gap = right[inside].mean() - confidence[inside].mean()
            total += float(inside.sum() / len(labels) * gap.abs())
    return total
    # END SOLUTION


# %% role="check" name="expected_calibration_error.values" points=1 hint="The largest probability and whether the answer is right; bins of equal width; in each the two means; gaps without sign, weighted by the share of answers in the bin. Bins that hold nobody are left out: a mean over nobody is NaN."
rng = check.rng("expected_calibration_error.values")
check(
    "expected_calibration_error.values",
    [
        check.call(expected_calibration_error, *answers(rng, 150, 10, T), bins=bins)
        for T, bins in ((3.0, 15), (1.0, 5), (1.0, 40))
    ],
)

# %% role="check" name="expected_calibration_error.certain" points=1 hint="The same formula. If expected_calibration_error.values is lost too, mend that first; if not, look at confidences of exactly 1, a third of these: they belong to the last bin."
rng = check.rng("expected_calibration_error.certain")
check(
    "expected_calibration_error.certain",
    [check.call(expected_calibration_error, *sure_answers(rng, 120, 4), bins=b) for b in (10, 60)],
)

# %% role="hidden" name="expected_calibration_error.secret" points=1 hint="Another number of classes and of bins, many of them empty; one bin alone; certain answers among them."
rng = check.rng("expected_calibration_error.secret")
check(
    "expected_calibration_error.secret",
    [
        check.call(expected_calibration_error, *sure_answers(rng, 60, 3), bins=bins)
        for bins in (1, 7, 100)
    ],
)


# %% role="alternative" of="expected_calibration_error" name="expected_calibration_error.by_numpy"
def expected_calibration_error(logits, labels, bins=15):
    p = torch.softmax(logits, -1).numpy()
    c, hit = p.max(1), p.argmax(1) == labels.numpy()
    place = np.clip(np.ceil(c * bins).astype(int) - 1, 0, bins - 1)
    n, sure, good = (np.bincount(place, w, minlength=bins) for w in (None, c, hit.astype(float)))
    return float(np.abs(good - sure).sum() / n.sum())


# %% role="alternative" of="expected_calibration_error" name="expected_calibration_error.one_by_one"
def expected_calibration_error(logits, labels, bins=15):
    gaps = [0.0] * bins
    for z, label in zip(logits, labels, strict=True):
        q = torch.softmax(z, 0)
        c = q.max().item()
        gaps[min(int(c * bins), bins - 1)] += float(q.argmax() == label) - c
    return sum(abs(gap) for gap in gaps) / len(labels)


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.lost" loses="expected_calibration_error.certain, expected_calibration_error.secret" hint="Answers with a confidence of exactly 1 are in none of your bins. The upper edge belongs to a bin: (m - 1) / bins < c <= m / bins."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    total = 0.0
    for m in range(bins):
        inside = (confidence >= m / bins) & (confidence < (m + 1) / bins)
        if inside.any():
            gap = (answer == labels)[inside].double().mean() - confidence[inside].mean()
            total += float(inside.sum() / len(labels) * gap.abs())
    return total


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.cancel" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="Gaps of different sign cancel in yours: take each bin's gap without its sign, then add."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    return float(((answer == labels).double() - confidence).mean())


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.one_gap" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="You took the gap of each answer by itself, |right - confidence|. First the means in each bin, then their gap."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    return float(((answer == labels).double() - confidence).abs().mean())


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.unweighted" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="Every bin counts the same in yours. Weight each gap by n_m / N, the share of answers in the bin."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    gaps = []
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gaps.append(
                float(((answer == labels)[inside].double() - confidence[inside]).mean().abs())
            )
    return sum(gaps) / bins


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.unweighted_filled" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="Every bin counts the same in yours. Weight each gap by n_m / N, the share of answers in the bin."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    gaps = []
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gaps.append(
                float(((answer == labels)[inside].double() - confidence[inside]).mean().abs())
            )
    return sum(gaps) / len(gaps)


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.unweighted_sum" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="Every bin counts the same in yours. Weight each gap by n_m / N, the share of answers in the bin."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    gaps = []
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gaps.append(
                float(((answer == labels)[inside].double() - confidence[inside]).mean().abs())
            )
    return sum(gaps)


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.empty_bins" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="In yours a bin that holds nobody gives NaN, the mean over nothing, and one NaN makes the sum NaN. Leave empty bins out."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        gap = (answer == labels)[inside].double().mean() - confidence[inside].mean()
        total += float(inside.sum() / len(labels) * gap.abs())
    return total


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.middle" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="You compared with the middle of each bin. Compare with the mean confidence of the answers that are in it."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gap = (answer == labels)[inside].double().mean() - (m + 0.5) / bins
            total += float(inside.sum() / len(labels) * gap.abs())
    return total


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.equal_counts" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="Your bins hold equally many answers each. They are to be of equal width, 1 / bins, whoever is in them."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    total = 0.0
    for part in confidence.argsort().tensor_split(bins):
        if len(part):
            gap = (answer == labels)[part].double().mean() - confidence[part].mean()
            total += float(len(part) / len(labels) * gap.abs())
    return total


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.truth" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="You took the probability of the labelled class. Confidence is the probability of the net's own answer, the largest one."
def expected_calibration_error(logits, labels, bins=15):
    q = softmax(logits)
    confidence, answer = q.gather(-1, labels.unsqueeze(-1)).squeeze(-1), q.argmax(-1)
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gap = (answer == labels)[inside].double().mean() - confidence[inside].mean()
            total += float(inside.sum() / len(labels) * gap.abs())
    return total


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.largest" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="That is the largest gap of all bins (the maximum calibration error). The mean over answers is asked for."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    worst = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gap = (answer == labels)[inside].double().mean() - confidence[inside].mean()
            worst = max(worst, float(gap.abs()))
    return worst


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.squared" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="You squared the gaps. They count without their sign, |accuracy - confidence|."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = softmax(logits).max(-1)
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gap = (answer == labels)[inside].double().mean() - confidence[inside].mean()
            total += float(inside.sum() / len(labels) * gap**2)
    return total


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.logits" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="You took the largest logit for the confidence. Confidence is a probability: softmax first."
def expected_calibration_error(logits, labels, bins=15):
    confidence, answer = logits.max(-1)
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            gap = (answer == labels)[inside].double().mean() - confidence[inside].mean()
            total += float(inside.sum() / len(labels) * gap.abs())
    return total


# %% role="mutant" of="expected_calibration_error" name="expected_calibration_error.fifteen" loses="expected_calibration_error.values, expected_calibration_error.certain, expected_calibration_error.secret" hint="You always use 15 bins. Their number is an argument."
def expected_calibration_error(logits, labels, bins=15):
    return tinykd.calibration_error(logits, labels, 15)


# %% [markdown]
# ### Temperature scaling
#
# Where a net is too sure of everything, there is a cheap remedy, and it is an old acquaintance: divide its logits by a temperature. One number, fitted *after* training, on held-out
# data, so that the **negative log-likelihood** is as small as possible:
#
# $$T^* = \arg\min_T \ \mathrm{NLL}(T), \qquad \mathrm{NLL}(T) = -\frac1N \sum_n \log \mathrm{softmax}(z_n / T)_{y_n}.$$
#
# Not a single answer changes, so neither does accuracy. What is fitted is the contrast alone. And here is the point for this lesson: if a distilled student is better calibrated than its
# rival, the null hypothesis is that *one number* would have done the same for the rival.
#
# NLL is what one trains with, and it sees accuracy and calibration at once; ECE sees calibration alone (a net that answers at random and says "10%" has an ECE near 0). So report both, and
# fit on NLL: it is smooth, and as a function of $1/T$ it is convex, so that there is one valley. ECE is a staircase.
#
# ### Exercise 5: fit the temperature
# Any way to find the valley will do, to within a percent of $T^*$, which lies between 0.05 and 50. A fine grid of a thousand temperatures is a way. The proper one narrows an interval
# down: **golden section** looks at two points inside it and throws away the side beyond the worse one.
#
# <details><summary>Hint 1: NLL at one T</summary><code>tinykd.cross_entropy(logits / T, labels).mean()</code>.</details>
# <details><summary>Hint 2: which grid</summary>Temperatures differ by factors: <code>np.geomspace(0.05, 50, 1000)</code> has steps of 0.7%, all the way.</details>


# %% role="answer" name="fit_temperature" library="tinykd.fit_temperature"
def fit_temperature(logits, labels):
    """The temperature with the smallest mean -log softmax(logits / T)[label].

    logits: (N, C), held out, not to be changed. labels: (N,). Returns T, a float between 0.05 and
    50, to within 1%.
    """
    # YOUR CODE: NLL as a function of T, and a search for its valley
    # BEGIN SOLUTION
    a, b = math.log(0.05), math.log(50)
    g = (math.sqrt(5) - 1) / 2
    nll = lambda log_t: float(tinykd.cross_entropy(logits / math.exp(log_t), labels).mean())
    while b - a > 1e-3:
        left, right = b - g * (b - a), a + g * (b - a)
        if nll(left) < nll(right):
            b = right
        else:
            a = left
    return math.exp((a + b) / 2)
    # END SOLUTION


# %% role="check" name="fit_temperature.sure" points=1 rtol=2e-2 hint="T is above 1 here, and 1% off is near enough: neighbours in a grid may be 2% apart. The smallest mean -log of the label's probability."
rng = check.rng("fit_temperature.sure")
check(
    "fit_temperature.sure",
    [
        check.call(fit_temperature, *answers(rng, 300, 5, rng.uniform(low, 1.8 * low)))
        for low in (1.8, 2.2, 3.0, 4.0)
    ],
)

# %% role="check" name="fit_temperature.modest" points=1 rtol=2e-2 hint="T is below 1 here, and 1% off is near enough: neighbours in a grid may be 2% apart, at the smallest T as well (np.geomspace, not np.linspace)."
rng = check.rng("fit_temperature.modest")
check(
    "fit_temperature.modest",
    [
        check.call(fit_temperature, *answers(rng, 300, 5, rng.uniform(low, 1.8 * low), size=1.0))
        for low in (0.13, 0.14, 0.15, 0.2, 0.35, 0.4)
    ],
)

# %% role="hidden" name="fit_temperature.secret" points=1 rtol=2e-2 hint="Far away on either side, and another number of classes."
rng = check.rng("fit_temperature.secret")
check(
    "fit_temperature.secret",
    [
        check.call(fit_temperature, *answers(rng, 200, 3, T * rng.uniform(0.9, 1.1), size))
        for T, size in ((20.0, 40.0), (0.1, 0.25), (0.11, 0.25), (0.13, 0.3), (0.15, 0.3))
    ],
)


# %% role="alternative" of="fit_temperature" name="fit_temperature.grid"
def fit_temperature(logits, labels):
    grid = torch.from_numpy(np.geomspace(0.05, 50, 1000))
    log_q = F.log_softmax(logits / grid[:, None, None], -1)[:, range(len(labels)), labels]
    return grid[log_q.mean(-1).argmax()].item()


# %% role="alternative" of="fit_temperature" name="fit_temperature.lbfgs"
def fit_temperature(logits, labels):
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits.double() / log_t.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return log_t.exp().item()


# %% role="mutant" of="fit_temperature" name="fit_temperature.inverse" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="That is 1 / T: your logits were multiplied by it, and they are to be divided by T."
def fit_temperature(logits, labels):
    return 1 / tinykd.fit_temperature(logits, labels)


# %% role="mutant" of="fit_temperature" name="fit_temperature.above_one" loses="fit_temperature.modest, fit_temperature.secret" hint="You looked at temperatures from 1 up. Nets can be too modest as well: T may be well below 1."
def fit_temperature(logits, labels):
    return tinykd.fit_temperature(logits, labels, low=1.0)


# %% role="mutant" of="fit_temperature" name="fit_temperature.up_to_ten" loses="fit_temperature.secret" hint="You stopped too early: T may lie anywhere between 0.05 and 50."
def fit_temperature(logits, labels):
    return tinykd.fit_temperature(logits, labels, low=0.1, high=10.0)


# %% role="mutant" of="fit_temperature" name="fit_temperature.worst" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="Yours runs to the smallest T that there is. Do you look for the largest NLL instead of the smallest? Does it leave out the labels? Is there a factor T² in front, as in lesson 02? Or do you compare accuracies, which no T changes?"
def fit_temperature(logits, labels):
    grid = np.geomspace(0.05, 50, 300).tolist()
    return max(grid, key=lambda T: tinykd.cross_entropy(logits / T, labels).mean().item())


# %% role="mutant" of="fit_temperature" name="fit_temperature.T_squared" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="Yours runs to the smallest T that there is. Do you look for the largest NLL instead of the smallest? Does it leave out the labels? Is there a factor T² in front, as in lesson 02? Or do you compare accuracies, which no T changes?"
def fit_temperature(logits, labels):
    grid = np.geomspace(0.05, 50, 300).tolist()
    return min(grid, key=lambda T: T**2 * tinykd.cross_entropy(logits / T, labels).mean().item())


# %% role="mutant" of="fit_temperature" name="fit_temperature.linear_grid" loses="fit_temperature.modest, fit_temperature.secret" hint="The steps of your grid are equal, and at a small T far more than 1% of it. Temperatures differ by factors: np.geomspace."
def fit_temperature(logits, labels):
    grid = np.linspace(0.05, 50, 1000).tolist()
    return min(grid, key=lambda T: tinykd.cross_entropy(logits / T, labels).mean().item())


# %% role="mutant" of="fit_temperature" name="fit_temperature.coarse" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="Your grid is too coarse: its neighbours are more than 2% apart."
def fit_temperature(logits, labels):
    grid = np.geomspace(0.05, 50, 20).tolist()
    return min(grid, key=lambda T: tinykd.cross_entropy(logits / T, labels).mean().item())


# %% role="mutant" of="fit_temperature" name="fit_temperature.accuracy" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="Yours runs to the smallest T that there is. Do you look for the largest NLL instead of the smallest? Does it leave out the labels? Is there a factor T² in front, as in lesson 02? Or do you compare accuracies, which no T changes?"
def fit_temperature(logits, labels):
    grid = np.geomspace(0.05, 50, 300).tolist()
    return max(grid, key=lambda T: tinykd.accuracy(logits / T, labels))


# %% role="mutant" of="fit_temperature" name="fit_temperature.confidence" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="Yours runs to the smallest T that there is. Do you look for the largest NLL instead of the smallest? Does it leave out the labels? Is there a factor T² in front, as in lesson 02? Or do you compare accuracies, which no T changes?"
def fit_temperature(logits, labels):
    grid = np.geomspace(0.05, 50, 300).tolist()
    return min(grid, key=lambda T: -softmax(logits, T).max(-1).values.log().mean().item())


# %% role="mutant" of="fit_temperature" name="fit_temperature.no_log" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="You maximised the mean probability of the labels. It is the mean of its logarithm that counts: without it, being wrong with certainty costs next to nothing."
def fit_temperature(logits, labels):
    grid = np.geomspace(0.05, 50, 300).tolist()
    mine = lambda T: softmax(logits, T).gather(-1, labels.unsqueeze(-1)).mean().item()
    return max(grid, key=mine)


# %% role="mutant" of="fit_temperature" name="fit_temperature.half_way" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="Your search is not at the bottom of the valley yet: more steps, or larger ones."
def fit_temperature(logits, labels):
    T = torch.ones((), dtype=torch.float64, requires_grad=True)
    for _ in range(20):
        (slope,) = torch.autograd.grad(tinykd.cross_entropy(logits / T, labels).mean(), T)
        T = (T - 0.01 * slope).detach().requires_grad_()
    return T.item()


# %% role="mutant" of="fit_temperature" name="fit_temperature.in_place" loses="fit_temperature.sure, fit_temperature.modest, fit_temperature.secret" hint="logits /= T changes the caller's logits, and each T starts from the one before. Write logits / T."
def fit_temperature(logits, labels):
    best, least, before = 1.0, float("inf"), 1.0
    for T in np.geomspace(0.05, 50, 300).tolist():
        logits /= T / before
        before = T
        nll = tinykd.cross_entropy(logits, labels).mean().item()
        if nll < least:
            best, least = T, nll
    return best


# %% [markdown]
# Four students, ten seeds each: labels, smoothed labels and soft targets, each with the rate and L2 that were best for its accuracy on the held-out signals; and labels with a smaller rate and more L2, which are as accurate. Each before and after its own temperature, fitted on the held-out
# signals; the diagrams show the first seed, small and hollow where a bin holds fewer than 20 answers. On the dotted line a net would know exactly how often it is right.
#
# **What do you expect?** The distilled student is the most accurate of the four. Is it also the best calibrated, before scaling? After?

# %% role="show" name="calibrated"
ece = check.ready(expected_calibration_error, tinykd.calibration_error)
fitted = check.ready(fit_temperature, tinykd.fit_temperature)
tuned = {
    "labels": (HardLabels(), 0.3, 0.003),
    "labels, more L2": (HardLabels(), 0.1, 0.01),
    "label smoothing": (HardLabels(0.1), 0.1, 0.01),
    "soft targets": (soft(), 0.1, 0.01),
}
scores = {}
for method, (objective, rate, decay) in tuned.items():
    quick[method, rate, decay] = train(objective, rate, decay)
    pairs = zip(
        quick[method, rate, decay].answers(held_x),
        quick[method, rate, decay].answers(test_x),
        strict=True,
    )
    for held, z in pairs:
        T = fitted(held, held_y)
        row = {"right": 100 * tinykd.accuracy(z, test_y), "T": T}
        for when, by in (("before", 1.0), ("after", T)):
            row[f"ECE {when}"] = 100 * ece(z / by, test_y)
            row[f"NLL {when}"] = tinykd.negative_log_likelihood(z, test_y, by)
        for name, value in row.items():
            scores.setdefault((method, name), []).append(value)
print(f"{'':16}{'% right':>13}{'ECE':>13}{'ECE, scaled':>13}{'NLL':>15}{'NLL, scaled':>15}")
for method in tuned:
    line = f"{method:16}"
    for name, digits, width in (
        ("right", 1, 13),
        ("ECE before", 1, 13),
        ("ECE after", 1, 13),
        ("NLL before", 3, 15),
        ("NLL after", 3, 15),
    ):
        line += f"{said(scores[method, name], digits):>{width}}"
    print(line)
for method in tuned:
    print(f"{method}: fitted T = {said(scores[method, 'T'], 2)}")
for rival in ("labels", "labels, more L2"):
    for what in ("ECE before", "ECE after", "NLL before", "NLL after"):
        mean, half, verdict = judge(scores[rival, what], scores["soft targets", what])
        width = f"{mean:+.{1 if 'ECE' in what else 3}f} ± {half:.{1 if 'ECE' in what else 3}f}"
        print(f"{what:10}: {rival} - soft targets {width}: soft targets {verdict}")

# %% role="show" name="fig-reliability" folded=true
figure, grid = plt.subplots(1, 4, figsize=(12, 3.4), sharey=True, layout="constrained")
for axes, (method, (_, rate, decay)) in zip(grid, tuned.items(), strict=True):
    z, held = (quick[method, rate, decay].answers(part)[0] for part in (test_x, held_x))
    for color, label, T in (
        (COLORS[1], "as trained", 1.0),
        (COLORS[0], "scaled", tinykd.fit_temperature(held, held_y)),
    ):
        part = tinykd.reliability(z, test_y, bins=10, T=T)
        there = part.number >= 20
        marker = "s-" if T == 1 else "o-"
        axes.plot(part.confidence[there], part.accuracy[there], marker, color=color, label=label)
        few = (part.number > 0) & ~there
        few_style = {"mfc": "none", "color": color, "alpha": 0.6, "markersize": 4}
        axes.plot(part.confidence[few], part.accuracy[few], marker[0], **few_style)
    axes.plot([0, 1], [0, 1], ":", color="black")
    axes.set(title=method, xlabel="mean confidence", xlim=(0, 1), ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("share right")
grid[0].legend(frameon=False)
plots.show(
    "Reliability diagrams of four students. As trained, soft targets lie far below the diagonal, much "
    "too sure; labels with more L2 lie near it. Scaled, all four are close to the diagonal. "
    "Small hollow marks are bins of fewer than 20 answers."
)

# %% [markdown]
# **What we saw.** As trained, the distilled student is the most accurate of the four and by far the worst calibrated: much too sure, with an ECE of 28 against 16 and less, and the worst NLL. The reason sits in
# the targets: our teacher has learned its pool by heart, is right on all of it and nearly certain. Its soft targets at $T = 4$ ask the student to be as sure as the teacher is at $T = 1$, on signals of which the
# student could not know so much. And look at the two rows of labels: another rate with more L2, at the same accuracy, brings the ECE from 16 to 5, without any scaling.
#
# Then one number per student, and the order is another. All ECEs lie between 4 and 5.2, that of the soft targets not the smallest. And now it is the soft targets that have the best NLL, against either row of labels: once the
# contrast is set right, their probabilities carry more. So "distilled students are better calibrated" is *not better* here as trained, and one temperature mends 23 of the 28 points that the ECE of soft targets had. (It works in both directions: smoothed labels make a net too modest, and its $T$ is 0.74.
# The labels with more L2 have nothing to mend, $T = 1.02$.) Both sentences need the word that they leave out: scaled or not. (An ECE of about 4 is what is left when one temperature cannot bend the curve.)
#
# ## 6 · Schedules, and other claims in circulation
#
# Advice on distillation travels from blog to blog, with numbers, without intervals. Among it:
#
# - "Start with a distillation weight of 0.7 and hand over to the task loss, down to 0.6" (or 0.4);
# - "Anneal the temperature downwards";
# - "$T = 2$ is best";
# - "Learning rate 0.001, multiplied by 0.9 every 3 epochs";
# - "Add L2".
#
# A weight, a temperature or a learning rate that changes is a function of progress, from 0 at the first step to 1 at the end of training; the engine takes such functions everywhere:
# `tinykd.linear(0.7, 0.4) * SoftTargets(T=tinykd.linear(8, 1))`. The one that is missing is the rate that falls in steps.
#
# ### Exercise 6: a rate in steps
# Write a function that *makes* the schedule. Training lasts `whole` epochs; after every `epochs` epochs that are over, the rate is multiplied once more by `factor`. The schedule gives what it has been multiplied by so far.
# For instance, of 20 epochs with a step after every 3: at progress 0.5, ten epochs are over, and it gives $\text{factor}^3$.
#
# <details><summary>Hint</summary>A function inside the function: <code>def schedule(progress): ...</code>, and <code>return schedule</code>, without calling it. Progress is a share of the whole training: how many epochs is that?</details>


# %% role="answer" name="decay_every"
def decay_every(epochs, factor, whole):
    """A schedule: factor ** (how many times `epochs` epochs are over), of `whole` epochs in all.

    epochs, factor, whole: numbers above 0. Returns a function of progress in [0, 1] that gives a
    number, 1 at the beginning.
    """

    # YOUR CODE: define the schedule, a function of progress, and return it
    # BEGIN SOLUTION
    def schedule(progress):
        return factor ** math.floor(progress * whole / epochs)

    return schedule
    # END SOLUTION


# %% role="check" name="decay_every.steps" points=1 hint="Whole times that so many epochs are over: rounded down, nothing before the first, then times the factor each time."
rng = check.rng("decay_every.steps")


def at_many(rng, epochs, whole, samples=6):
    """Values of the schedule, away from its jumps."""
    factor = rng.uniform(0.3, 0.9)
    schedule = made(decay_every, epochs, factor, whole)
    last = int(whole / epochs)
    within = rng.uniform(0.1, 0.4, size=samples) + 0.5 * (np.arange(samples) % 2)
    places = (rng.integers(last, size=samples) + within) * epochs / whole
    return [schedule(0.0), *(schedule(float(p)) for p in places)]


check("decay_every.steps", [at_many(rng, 3, 51), at_many(rng, 10, 30)])

# %% role="check" name="decay_every.two" points=1 hint="Two schedules made one after the other live side by side: each keeps its own numbers."
rng = check.rng("decay_every.two")


def side_by_side(rng):
    """Two schedules, asked in turns."""
    first, second = (
        made(decay_every, 2, factor, whole)
        for factor, whole in ((rng.uniform(0.3, 0.6), 20), (rng.uniform(0.7, 0.9), 50))
    )
    places = [float(p) for p in rng.uniform(0.15, 0.19, size=2) + [0, 0.3]]
    return [f(p) for p in places for f in (first, second)]


check("decay_every.two", side_by_side(rng))

# %% role="hidden" name="decay_every.secret" points=1 hint="Epochs that are no whole number, and a factor above 1."
rng = check.rng("decay_every.secret")


def odd(rng):
    """A rate that rises, every two and a half epochs."""
    schedule = made(decay_every, 2.5, rng.uniform(1.1, 1.3), 20)
    return [schedule((k + 0.7) * 2.5 / 20) for k in rng.permutation(8)[:4].tolist()]


check("decay_every.secret", odd(rng))


# %% role="alternative" of="decay_every" name="decay_every.lambda"
def decay_every(epochs, factor, whole):
    return lambda progress: factor ** int(progress * whole // epochs)


# %% role="alternative" of="decay_every" name="decay_every.by_loop"
def decay_every(epochs, factor, whole):
    def schedule(progress):
        value, due = 1.0, epochs
        while progress * whole >= due:
            value *= factor
            due += epochs
        return value

    return schedule


# %% role="mutant" of="decay_every" name="decay_every.smooth" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="Your rate falls all the time. It is to stay where it is between two steps: round the exponent down."
def decay_every(epochs, factor, whole):
    return lambda progress: factor ** (progress * whole / epochs)


# %% role="mutant" of="decay_every" name="decay_every.nearest" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="You rounded to the nearest whole number: the rate falls half a period too early. Round down."
def decay_every(epochs, factor, whole):
    return lambda progress: factor ** int(progress * whole / epochs + 0.5)


# %% role="mutant" of="decay_every" name="decay_every.early" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="One step too many: at the beginning the factor is 1."
def decay_every(epochs, factor, whole):
    return lambda progress: factor ** (math.floor(progress * whole / epochs) + 1)


# %% role="mutant" of="decay_every" name="decay_every.linear" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="You subtract each time. It is multiplied: factor to the power k."
def decay_every(epochs, factor, whole):
    return lambda progress: 1 - (1 - factor) * math.floor(progress * whole / epochs)


# %% role="mutant" of="decay_every" name="decay_every.once" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="The rate falls once and then stays: the exponent counts how many periods are over."
def decay_every(epochs, factor, whole):
    return lambda progress: factor if progress * whole >= epochs else 1.0


# %% role="mutant" of="decay_every" name="decay_every.progress_is_epochs" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="You took progress for the number of epochs. It runs from 0 to 1: times `whole` it is epochs."
def decay_every(epochs, factor, whole):
    return lambda progress: factor ** math.floor(progress / epochs)


# %% role="mutant" of="decay_every" name="decay_every.each_epoch" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="The rate falls after every epoch: divide by `epochs` before you round down."
def decay_every(epochs, factor, whole):
    return lambda progress: factor ** math.floor(progress * whole)


# %% role="mutant" of="decay_every" name="decay_every.called" loses="decay_every.steps, decay_every.two, decay_every.secret" hint="A number came back: return the function, schedule, without calling it."
def decay_every(epochs, factor, whole):
    def schedule(progress):
        return factor ** math.floor(progress * whole / epochs)

    return schedule(0.5)


# %% role="mutant" of="decay_every" name="decay_every.shared" loses="decay_every.two" hint="Your schedules share one global variable: the second one that is made changes the first."
def decay_every(epochs, factor, whole):
    decay_every.now = (epochs, factor, whole)

    def schedule(progress):
        epochs, factor, whole = decay_every.now
        return factor ** math.floor(progress * whole / epochs)

    return schedule


# %% [markdown]
# Before the table: against *what* is a schedule to be compared? Against the constant it starts from, and also against the best constant: "0.7 to 0.4 is better than
# 0.7" could also mean that 0.5 is better than 0.7. So the table has both, for weights and for temperatures; which constant is best is read from the held-out signals, in the last lines. And a falling rate is compared with a constant rate *and* with the cosine that all our
# runs use. (A weight $w$ is an $\alpha$: $w$ on the teacher's term, $1 - w$ on that of the labels. So 0.9 is what all our soft targets had.)
#
# Here is one for you to run, at the tuned rate and L2; the next cell shows the stored ones.

# %% role="show" name="schedules"
every = check.ready(decay_every, lambda e, f, w: lambda p: f ** math.floor(p * w / e))
whole = steps * size / labelled  # epochs
arms = {
    "cosine": None,
    "constant rate": 1.0,
    "x 0.9 every 3 epochs": every(3, 0.9, whole),
}
marks = {}
for name, schedule in arms.items():
    done = (
        quick["soft targets", 0.1, 0.01] if name == "cosine" else train(soft(), 0.1, 0.01, schedule)
    )
    marks[name] = right(done, test_x, test_y)
    line = f"{name:21}: {said(marks[name])}%"
    if name != "cosine":
        mean, half, verdict = judge(marks[name], marks["cosine"])
        line += f"; against the cosine {mean:+.1f} ± {half:.1f}, {verdict}"
    print(line)
mean, half, verdict = judge(marks["x 0.9 every 3 epochs"], marks["constant rate"])
print(f"x 0.9 every 3 epochs against a constant rate: {mean:+.1f} ± {half:.1f}, {verdict}")

# %% [markdown]
# **What do you expect?** For each line of the next table write down *better*, *not better* or *not shown* before you run it. The margin is half a point: a gain smaller than that would not be
# worth a second hyperparameter to us.

# %% role="show" name="fig-claims" folded=true
MARGIN = 0.5
CLAIMS = (
    ("T = 2 against T = 4", "T = 2", "soft targets"),
    ("weight 0.7 to 0.6 against 0.7", "weight 0.7 to 0.6", "weight 0.7"),
    ("weight 0.7 to 0.4 against 0.7", "weight 0.7 to 0.4", "weight 0.7"),
    ("weight 0.7 to 0.4 against 0.5", "weight 0.7 to 0.4", "weight 0.5"),
    ("weight 0.7 to 0.4 against 0.9", "weight 0.7 to 0.4", "soft targets"),
    ("T from 8 to 1 against T = 8", "T from 8 to 1", "T = 8"),
    ("T from 8 to 1 against T = 4", "T from 8 to 1", "soft targets"),
    ("T from 8 to 1 against 1 to 8", "T from 8 to 1", "T from 1 to 8"),
    ("L2 against none", "soft targets", "no L2"),
    ("x 0.9 every 3 against constant", "rate x 0.9 every 3 epochs", "constant rate"),
    ("x 0.9 every 3 against cosine", "rate x 0.9 every 3 epochs", "soft targets"),
    ("Adam 0.001, x 0.9 / constant", "Adam 0.001, x 0.9 every 3 epochs", "Adam 0.001, constant"),
    (
        "Adam 0.001, x 0.9 / Adam 0.01",
        "Adam 0.001, x 0.9 every 3 epochs",
        "Adam 0.01, x 0.9 every 3 epochs",
    ),
)
figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
shades = {"better": COLORS[2], "not better": COLORS[5], "not shown": COLORS[0]}
marks_of = {"better": "o", "not better": "s", "not shown": "D"}
axes.axvspan(-25, MARGIN, color="black", alpha=0.07)
axes.axvline(0, color="black", linewidth=0.8)
seen, lucky = set(), []
strict = float(stdtrit(measured["settings"]["seeds"] - 1, 1 - 0.025 / len(CLAIMS)))
wider = strict / t95(measured["settings"]["seeds"] - 1)  # Bonferroni's intervals against ours
for row, (claim, ours, theirs) in enumerate(CLAIMS):
    rival = next(
        found
        for name in ("claims", "sweep: weight", "sweep: T")
        if (found := results(name, theirs))
    )
    mean, half, verdict = judge(results("claims", ours), rival, MARGIN)
    if half < abs(mean) <= wider * half:
        lucky.append(claim)
    label = None if verdict in seen else verdict
    seen.add(verdict)
    axes.errorbar(
        mean, row, xerr=half, fmt=marks_of[verdict], color=shades[verdict], capsize=4, label=label
    )
    print(f"{claim:32} {mean:+6.2f} ± {half:4.2f}   {verdict.upper()}")
print(
    f"Bonferroni: {len(CLAIMS)} intervals at once are {wider:.1f} times as wide. 0 is then inside:"
)
print("".join(f"    {claim}\n" for claim in lucky), end="")
constants = {
    "T": {T: ("sweep: T", f"T = {T}") for T in measured["settings"]["temperatures"]},
    "weight": {w: ("sweep: weight", f"weight {w}") for w in (0.5, 0.6, 0.7)}
    | {0.9: ("claims", "soft targets"), 1.0: ("sweep: weight", "weight 1.0")},
}
print("Constants, % of the held-out signals right:")
for what, runs_of in constants.items():
    line = (f"{np.mean(results(*one, 'held_out')):.1f} at {at}" for at, one in runs_of.items())
    print(f"    {what}: {', '.join(line)}")
axes.set_yticks(range(len(CLAIMS)), [claim for claim, *_ in CLAIMS])
axes.invert_yaxis()
axes.set(xlabel="points of test accuracy, logarithmic beyond 1 (grey: a gain below the margin)")
axes.set_xscale("symlog", linthresh=1)
ticks = (-20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10)
axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
axes.minorticks_off()
axes.set_xlim(-25, 14)
axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.02))
axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Thirteen claims with paired intervals, on both sides of 0. L2, and a falling rate against a "
    "constant one, lie far to the right; T = 2 and Adam at 0.001 to the left; most others near 0."
)

# %% [markdown]
# **What we saw.** A table like this is why claims should travel with intervals.
#
# - **$T = 2$ is best**: not here. It costs more than a point against $T = 4$. (On the held-out signals, last lines of the table, $T = 8$ is a little better still; nothing was chosen after the test had been read.) The best $T$ is a property of a teacher and a student.
# - **Handing over**: against a constant 0.7, where it starts, going down to 0.6 gives +0.5 ± 0.3 and to 0.4 +0.7 ± 0.4, both *better*. But what is it that helps, the going down or not being at 0.7? Against a constant 0.5, and against 0.9, the best constant on the held-out signals, the
#   hand-over is *not shown*. So it may help, and is worth about as much as our margin: half a point, for one more thing to tune.
# - **Annealing $T$ from 8 to 1**: against the constant 8, which is where it starts and the best constant on the held-out signals, it is *not better*: it costs half a point. Against the constant 4 it is *not shown*. The direction is right, downwards is better than upwards by +0.8 ± 0.4; but nothing here says that one should move at all.
# - **× 0.9 every 3 epochs**: against a *constant* rate better by eight points, the largest gain of the table. Against a cosine, *not better*: what helps is that the rate falls, by whatever rule. (Your own run above says "not shown" of the same comparison: there the margin was 0. With half a point of margin the upper end of the interval is low enough to say more.) And "0.001" is a number for somebody else's net: with Adam at 0.001 our students have hardly begun when the rate is gone, and the schedule
#   does harm there; at 0.01 they are sixteen points better.
# - **L2**: *better*, by two and a half points. A falling rate and L2 are the oldest advice of all this, they have nothing to do with distillation, and nothing else here gained as much.
#
# Thirteen claims, each with a 95% interval: where nothing is true, one in twenty leaves out 0 by luck alone, and of thirteen (were they independent) at least one does in half of all tables. The plainest remedy is **Bonferroni**'s: ask each interval for $1 - 0.05/13$ instead of
# $1 - 0.05$, and all of them are right together with at least 95%. The price is printed: they become wider, and those of handing over (against 0.7) and of annealing (against 8) no longer leave out 0. What stands far out is safe.
#
# ### Choosing on the test set
#
# All these settings were chosen on held-out signals, and the test signals read for the chosen one. What if we had not been so particular? The stored sweep has sixteen
# settings of rate and L2 for each arm, with both numbers kept for every run, for this one question. Take each seed as somebody who has one run of each setting, picks
# the best, and reports it.
#
# **What do you expect?** 4,000 test signals are many. By how much does a report flatter itself that picks the best of sixteen on them?


# %% role="show" name="optimism" folded=true
def picked(setting, by, report, settings=None):
    """For each seed the value `report` of the run that is best by `by`, in percent."""
    of = {}
    for r in measured["sweep"]:
        if r["setting"] == setting and (settings is None or (r["rate"], r["decay"]) in settings):
            of.setdefault(r["seed"], []).append(r)
    return [100 * max(runs, key=lambda r: r[by])[report] for runs in of.values()]


for method in ("labels", "soft targets"):
    name = f"sweep: {method}"
    honest, proud = picked(name, "held_out", "accuracy"), picked(name, "accuracy", "accuracy")
    print(f"{method:12}: chosen on held-out {said(honest)}%, chosen on test {said(proud)}%")
    optimism = np.subtract(proud, honest)
    print(
        f"{'':12}  optimism {optimism.mean():.2f} points, from {optimism.min():.2f} to "
        f"{optimism.max():.2f}; 0 for {(optimism == 0).sum()} of {len(optimism)} seeds"
    )
untuned = {(0.1, 0)}
unfair = np.subtract(
    picked("sweep: soft targets", "accuracy", "accuracy"),
    picked("sweep: labels", "held_out", "accuracy", untuned),
)
fair = np.subtract(
    picked("sweep: soft targets", "held_out", "accuracy"),
    picked("sweep: labels", "held_out", "accuracy"),
)
print("Soft targets, best of 16, against labels:")
print(f"  chosen on test, labels had one try (rate 0.1, no L2): {said(unfair, 1, '+')}")
print(f"  both the best of 16 on the held-out signals         : {said(fair, 1, '+')}")

# %% [markdown]
# **What we saw.** With 4,000 test signals and sixteen settings, choosing on them flatters by about 0.4 points: little, and about what handing over was worth. (No interval here: a seed's optimism cannot be negative, and for nearly half of them it is exactly 0.)
#
# The last two lines show the larger mistake. Our method at its best on the test set, against labels that got a single reasonable setting: a gain of nearly five points. Both with sixteen tries, on held-out signals: two. Most of the difference comes from the rival that nobody tuned, and that fills papers.
# Small test sets, more settings and many people who share one test set make the other part larger. (Section 4 had +2.2 for this comparison: there one setting was chosen for all ten seeds by their mean, here each seed chooses by its own run.)
#
# ## 7 · A better teacher, a better student?
#
# Our teacher has 20 epochs behind it. Here are five of the same make, after 1, 2, 4, 10 and 50 epochs; two students, of 25 and of 200 units; two budgets, 200 and 2,000 steps; and two
# temperatures. The gain is against labels with the same student and the same budget (stored runs, ten seeds). Rate and L2 are those tuned for the 100-unit student with the 20-epoch teacher, everywhere.
#
# **What do you expect?** From left to right the teachers get better. Draw a student's gain.

# %% role="show" name="fig-teachers" folded=true
how = measured["settings"]
teachers = sorted(
    (t for t in measured["teachers"] if t["epochs"] in how["teachers"]), key=lambda t: t["epochs"]
)
figure, grid = plt.subplots(1, 4, figsize=(12, 3.6), sharey=True, layout="constrained")
panels = [(width, budget) for width in how["widths"] for budget in how["budgets"]]
gains = {}
for axes, (width, budget) in zip(grid, panels, strict=True):
    setting = f"{width} units, {budget} steps"
    for color, marker, T in ((COLORS[1], "s", 1), (COLORS[0], "o", how["T"])):
        line = []
        for t in teachers:
            name = f"teacher of {t['epochs']} epochs, T = {T}"
            gain = np.subtract(results(setting, name), results(setting, "labels"))
            gains[setting, t["epochs"], T] = gain
            line.append(mean_interval(gain.tolist()))
        means, halves = zip(*line, strict=True)
        axes.errorbar(
            range(len(teachers)),
            means,
            halves,
            color=color,
            marker=marker,
            capsize=3,
            label=f"T = {T}",
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_title(f"{width} units, {budget:,} steps", fontsize=10)
    axes.set_xticks(
        range(len(teachers)),
        [f"{t['epochs']}\n{100 * t['test']:.0f}%" for t in teachers],
        fontsize=8,
    )
    axes.set_xlabel("teacher: epochs, right on test")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("points above labels")
grid[0].legend(frameon=False)
plots.show(
    "Students' gains over labels for five teachers of rising accuracy, in four panels. At T = 4 the "
    "gain rises up to teachers of 4 or 10 epochs and falls again; at T = 1 it is smaller, and 0 for the last."
)
print("teacher:  % right  % right  entropy on the pool, nats")
print("epochs    on pool  on test  at T = 1  at T = 4")
for t in teachers:
    print(
        f"{t['epochs']:6d} {100 * t['pool']:10.1f} {100 * t['test']:8.1f} "
        f"{t['entropy']:9.3f} {t['entropy_T']:9.2f}"
    )
first, *_, best = (t["epochs"] for t in teachers)
print("\nT = 4: the teacher whose students are best on the held-out signals, and its gain over")
print(
    f"that of {best} epochs on the test signals; at the end the gain of {first} epoch over labels:"
)
for width, budget in panels:
    setting = f"{width} units, {budget} steps"
    held = {
        t["epochs"]: np.mean(
            results(setting, f"teacher of {t['epochs']} epochs, T = 4", "held_out")
        )
        for t in teachers
    }
    chosen = max(held, key=held.get)
    mean, half, verdict = judge(gains[setting, chosen, how["T"]], gains[setting, best, how["T"]])
    print(
        f"  {setting:21}: {chosen:2d} epochs, {mean:+.1f} ± {half:.1f}, {verdict:9}"
        f"  {said(gains[setting, first, how['T']], 1, '+')}"
    )

# %% [markdown]
# **What we saw.** At $T = 4$ the gain rises with the teacher and then *falls*: the best teacher of these students is not the best classifier. The last lines put an interval to it. Which teacher is best was chosen on the held-out signals, and what it gains was read from the test, by the rule of section 6: three times it is the
# teacher of 4 epochs, which has 89% of the test right. It teaches better than one of 50 epochs, which has 96%, by some three points at 2,000 steps and less at 200; for the small student at 200 steps it is 10 epochs, *not shown* to be better than 50. Cho and Hariharan (arXiv 1910.01348) found the same for large nets on images: stop the teacher early.
#
# The two columns of entropies say why, or at least what goes with it. A teacher that knows its pool by heart says "certainly a 4" of every signal in it; 0.004 nats are hardly a soft target. At $T = 1$ such a teacher is a label, and a gain of its students over labels is not to be seen in any panel.
# A higher temperature brings some of it back. A teacher stopped early is unsure where the *signal* is unclear. But it may also be too bad: the teacher of one epoch does harm in every panel.
#
# So, with this data: for a given student, teacher quality beyond some point buys nothing, and how much the teacher *says* about signals it was trained on matters more. What we have not tested: whether the 50-epoch teacher would win on signals that it has
# never seen, or at a temperature chosen for it. Its $T$ was not tuned, and by the rules of section 4 that is a rival who was starved.
#
# ### Fidelity is something else
#
# Does a student that is right more often also *agree* with its teacher more often? That is **fidelity**, and Stanton et al. (arXiv 2106.05945) found that it and generalisation are two things:
# students may improve without coming close to their teacher. Measure both.
#
# **What do you expect?** The five teachers again, with students of 25 units and 2,000 steps. Whose students agree most with their teacher? Are those right most often?

# %% role="show" name="fig-fidelity" folded=true
setting = f"{how['widths'][0]} units, {how['budgets'][-1]} steps"
figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
print(f"{setting}; agreement is with the student's own teacher:")
for color, marker, T in ((COLORS[1], "s", 1), (COLORS[0], "o", how["T"])):
    line = []
    for t in teachers:
        name = f"teacher of {t['epochs']} epochs, T = {T}"
        agree, accurate = results(setting, name, "agreement"), results(setting, name)
        line.append((*mean_interval(agree), *mean_interval(accurate)))
        print(
            f"  {name:27}: agrees on {said(agree)}%, {said(accurate)}% right, "
            f"KL {np.mean(results(setting, name, 'kl')):.2f} nats"
        )
    a, half_a, b, half_b = zip(*line, strict=True)
    axes.errorbar(
        a, b, half_b, half_a, color=color, marker=marker, markersize=14, capsize=3, label=f"T = {T}"
    )
    for t, *at in zip(teachers, a, b, strict=True):
        ink = {"color": "black" if T == 1 else "white", "fontsize": 9, "zorder": 5}
        axes.annotate(t["epochs"], at, ha="center", va="center", **ink)
    for other in (2, 4):
        apart = [
            np.subtract(
                *(results(setting, f"teacher of {n} epochs, T = {T}", what) for n in (1, other))
            )
            for what in ("agreement", "accuracy")
        ]
        print(
            f"    1 epoch - {other} epochs: agreement {said(apart[0], 1, '+')}, "
            f"right {said(apart[1], 1, '+')}"
        )
axes.plot([42, 54], [42, 54], ":", color="black", label="as often right as it agrees")
axes.annotate(
    "in the marks: the teacher's epochs", (0.03, 0.97), xycoords="axes fraction", va="top"
)
alone = results(setting, "labels")
axes.axhline(np.mean(alone), color="black", linestyle="--", label="labels alone")
print(f"  {'labels alone':27}: {said(alone)}% right")
axes.set(xlabel="% of test signals on which it agrees with its teacher", ylabel="% right")
axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 0.93), fontsize=9)
axes.set(xlim=(44.5, 55.5), ylim=(41, 58))
axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Accuracy against agreement with the own teacher, a dot for each teacher's epochs. Students of "
    "teachers of one epoch agree often and are right least, below labels alone; those of 10 and 50 "
    "epochs lie on the diagonal."
)

# %% [markdown]
# **What we saw.** Agreement hardly tells who is right. At $T = 1$ the students of the one-epoch teacher agree with it more than those of any other with theirs, and are right least often, less often than with labels alone. At $T = 4$ they agree as often as those of two or four epochs, as far as these seeds show, and are right in eight or nine points fewer. They copy
# their teacher's mistakes as well, and it is wrong in 38% of cases. For the teachers of 10 and 50 epochs the two numbers are one, on the diagonal: who agrees with a teacher that is right in 95% of cases is right, and hardly otherwise.
# And no student of these agrees with its teacher on much more than half of the signals, although nine tenths of its objective ($\alpha = 0.9$) asked for nothing else. It has not the room, or not the time, or not the signals. A student that improves has not necessarily become more like its teacher, and "the student has learned what the teacher knows"
# is a claim about the first axis that is usually supported with the second.
#
# ## 8 · Your memo
#
# All of the above fits on half a page, and that page is worth writing *before* the run, down to the prediction. Here is a worked example. Then write your own: choose one question,
# change `mine` and `rival` in the last cell, and do not touch it again once you have seen a number. Nobody grades it.
#
# > **Question.** Tuned labels against tuned soft targets: is the gain still there for somebody who has the budget of labels for 200 steps only?
# >
# > **Prediction.** Smaller than the two points at 1,000 steps, since nothing is overfitted yet; I would say half a point.
# >
# > **Budget.** 200 steps each, teacher's answers stored (cost 1 for both); rate 0.1 and L2 0.01 for both, which suit both arms at 1,000 steps; nothing else was tried. Test not read: held-out signals.
# >
# > **Seeds.** 4, fixed beforehand (0 to 3). Margin: half a point.
# >
# > **Result.** The line printed by the next cell.
# >
# > **What it does not say.** One teacher, one width, one data set.

# %% role="show" name="memo"
mine = {"objective": soft(T=4.0), "rate": 0.1, "decay": 0.01, "cost": 1.0}
rival = {"objective": HardLabels(), "rate": 0.1, "decay": 0.01, "cost": 1.0}
budget, memo_seeds, margin = min(steps, 200), range(2 if scale == "smoke" else 4), 0.5

apart = run_both(train_one, mine, rival, memo_seeds, budget)
mean, half, verdict = judge(apart, [0.0] * len(apart), margin)
print("differences:", ", ".join(f"{d:+.1f}" for d in apart))
print(f"mine - rival: {mean:+.2f} ± {half:.2f} points, {verdict.upper()} (margin {margin})")

# %% [markdown]
# In our run that is +6.1 ± 3.1, *better*, and the prediction was wrong by a factor of ten. A prediction that was written down can be wrong, which is its use: now there is something to explain. (A guess, to be tested by a memo of its own: a rate that
# suits labels at 1,000 steps starves them at 200, as 0.01 starved them at 1,000. Section 4 again.)
#
# Write yours here:
#
# - Question:
# - Prediction:
# - Budget:
# - Seeds and margin:
# - Interval and verdict:
# - What it does not say:
#
# ## What we saw
#
# - Give both arms the same seeds, subtract, take the interval of the differences, and let it speak: *better*, *not better*, *not shown*. Say the margin first.
# - $s$ of a pilot tells how many seeds a gap needs, before they are spent.
# - A budget is steps, or cost, or tries; say which. The same learning rate is not the same budget.
# - One method gave +8.9, +0.3 and +2.2 points, depending on what the rival was allowed. The rival that has been looked after is the only one worth beating.
# - Accuracy, ECE and NLL are three things; as trained, our most accurate student was the worst calibrated. One temperature, fitted afterwards, brought every arm to where only labels with more L2 had got by training.
# - Of the claims in circulation, the oldest (L2, a falling rate) held by a wide margin. No schedule of weight or temperature was shown to beat the best constant, and $T = 2$ cost a point.
# - Who asks thirteen questions needs wider intervals than who asks one.
# - A better teacher made a worse student, once it had learned its pool by heart.
# - Agreeing with the teacher and being right are two things.
#
# ## Open experiments
#
# There is no answer key to these.
#
# - **Change the optimizer.** Put `torch.optim.Adam` into `train` and repeat section 4. Adam divides each gradient by its own size. What should happen to the part of the gain that was only a
#   larger step, and does it?
# - **Change the margin of a claim, or its budget.** Take one line of the table of claims and ask it again with 200 steps, or with 25 units. Which verdicts change, and why? Say first how many seeds you will
#   need (`seeds_needed`).
#
# ## Further reading
#
# - Guo, Pleiss, Sun, Weinberger 2017, *On Calibration of Modern Neural Networks*, arXiv 1706.04599: temperature scaling, and the reliability diagrams.
# - Stanton, Izmailov, Kirichenko, Alemi, Wilson 2021, *Does Knowledge Distillation Really Work?*, arXiv 2106.05945: fidelity against generalisation.
# - Cho, Hariharan 2019, *On the Efficacy of Knowledge Distillation*, arXiv 1910.01348: teachers stopped early teach better.
# - Müller, Kornblith, Hinton 2019, *When Does Label Smoothing Help?*, arXiv 1906.02629: the rival of section 4.
# - Greydanus, Kobak 2020, *Scaling down Deep Learning with MNIST-1D*, arXiv 2011.14439: the data, and why small is good for questions like ours.
#
# Now grade yourself: `.venv/bin/tinykd check lessons/05_does_it_help.ipynb`.

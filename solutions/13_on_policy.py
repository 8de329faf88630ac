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
# # 13 · On-policy
#
# **What you will be able to do**
# - show, with a measurement, why a student that looks good on its teacher's texts fails on its own;
# - distil from the teacher's samples, from the student's own samples, and from any mixture of the two (sequence-level KD, GKD), in a training loop that you write yourself;
# - say what a forward and a reverse KL do to a student that is too small to be right everywhere: quality against diversity;
# - derive MiniLLM's gradient, and see what it buys, what its length normalisation is for, and what all of this costs.
#
# | | |
# |---|---|
# | Difficulty | 4 of 5: six functions of four to twelve lines, one derivation |
# | Importance | 4 of 5: how the smaller members of today's model families are distilled |
# | Time | two hours of yours; 4 to 6 minutes of computing on 2 cores |
# | Needs | lessons 02, 11 and 12 (divergences; a transformer; shifting and masking) |
#
# The numbers in the text are those of our own run at default scale; yours will differ a little. With `TINYKD_SCALE=smoke` everything runs, on students
# that have hardly learned anything: there is nothing to see in its pictures.

# %% role="setup" name="setup"
import copy
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

import tinykd
from tinykd import (
    HardLabels,
    SoftTargets,
    Trainer,
    forward_kl,
    jsd,
    log_softmax,
    plots,
    reverse_kl,
    softmax,
)
from tinykd.classroom import Checks, with_gradient
from tinykd.lm import Config, SequenceBatches, Transformer, generate, nucleus
from tinykd.lm.onpolicy import MiniLLM, OnPolicy, returns
from tinykd.metrics import mean_interval
from tinykd.plots import COLORS

check = Checks("13_on_policy")


def draw(rng, *shape, size=3.0):
    """Random logits, normal with standard deviation `size`, that will be asked for a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


# %% [markdown]
# ## Learning by watching
#
# Somebody learns to drive a car by watching. For a hundred hours she sits beside an excellent driver, who keeps to the road all the time, and she learns to say
# at every moment what he will do next. Then she takes the wheel. After a minute she is a hand's breadth further to the right than he would ever have been. Nothing she has
# seen tells her what to do there, so her next move is a bit worse, and takes her further out. She has learned his *road*, not how to get back on it.
#
# Language models learn by watching: in training, every prefix was written by somebody else. When they generate, the prefix is their own. The
# mismatch is called **exposure bias**. Its cure is old (DAgger, Ross et al. 2011) and obvious: let the student act, and have the teacher say at each moment what *he* would do
# there. That is **on-policy** learning, after the *policy* of reinforcement learning, the rule by which somebody acts; learning from what the teacher wrote is **off-policy**.
#
# We shall take the story literally. Our language has three tokens that move a car: `L` one lane to the left, `S` straight on, `R` one lane to the right; `^` begins a sequence, `.` ends it. The
# road is seven lanes wide, from −3 to 3, and a sequence begins in lane 0. The lane is nowhere in the text: to know where you are you must have *counted* all your Ls and Rs.
# Whether a sequence is **valid** (never off the road) can be checked exactly.
#
# Our teacher is not trained. It is a formula for the next token, wrapped so that it looks like any other language model, and it knows what to do in every lane, on the road or off it.
# So every number below can be computed without guessing how good the teacher is.

# %% role="show" name="road"
PAD, END, START, LEFT, STRAIGHT, RIGHT = range(6)
TOKENS = ["", ".", "^", "L", "S", "R"]
STEP = torch.tensor([0, 0, 0, -1, 0, 1])  # what each token does to the lane
EDGE, LONGEST = 3, 32  # the outermost lane; most tokens of a sequence after its ^
scale = tinykd.scale()
count, tested, seeds = {  # sequences to train and to test on, students
    "smoke": (320, 60, 2),
    "default": (3200, 1000, 6),
    "full": (12800, 4000, 12),
}[scale]


class RoadTeacher(torch.nn.Module):
    """Next-token logits from the lane alone; anything but a sensible token has probability 0.0001."""

    def __init__(self):
        super().__init__()
        p = torch.full((2 * LONGEST + 1, len(TOKENS)), 1e-4)
        for lane in range(-LONGEST, LONGEST + 1):
            inwards, straight = (
                (0.4, 0.2) if abs(lane) < EDGE else (0.7, 0.3) if abs(lane) == EDGE else (1, 0)
            )
            moves = [inwards, straight, 1 - inwards - straight]  # left, straight, right
            p[lane + LONGEST, LEFT:] += 0.95 * torch.tensor(moves if lane >= 0 else moves[::-1])
            p[lane + LONGEST, END] += 0.05
        self.register_buffer("logits", p.log())

    def forward(self, input_ids, attention_mask=None, positions=None):
        # positions: the flat numbers of the places whose logits are wanted (lesson 12); None is all
        z = self.logits[STEP[input_ids].cumsum(1).clamp(-LONGEST, LONGEST) + LONGEST]  # (B, T, V)
        return z if positions is None else z.flatten(0, 1)[positions]


teacher = RoadTeacher()


def draw_sequences(axes, sequences, color, title):
    """Lane against number of tokens; the road is grey."""
    axes.axhspan(-EDGE - 0.5, EDGE + 0.5, color="0.9")
    for n, ids in enumerate(sequences):
        lanes = STEP[torch.tensor(ids)].cumsum(0) + 0.06 * (n % 7 - 3)  # lines beside each other
        axes.plot(lanes, color=color, alpha=0.5, linewidth=1)
    axes.set(title=title, xlabel="tokens so far", ylim=(-9, 9), xlim=(0, LONGEST))
    axes.spines[["top", "right"]].set_visible(False)


for lane in (0, 3, 5):
    after = torch.tensor([[START] + [RIGHT] * lane])
    p = softmax(teacher(after)[0, -1])
    print(
        f"in lane {lane}: "
        + ", ".join(f"{TOKENS[i]} {p[i]:.4f}" for i in (LEFT, STRAIGHT, RIGHT, END))
    )

# %% [markdown]
# What the four leave to 1 belongs to `^` and to padding, 0.0001 each: once in a few hundred sequences, a token that changes nothing.
#
# ## From logits to a token
#
# To *sample* from a language model is to draw the next token from $\mathrm{softmax}(z/T)$, append it, and ask again. Two knobs are on every model you have used:
#
# - **Temperature** $T$: below 1 the likely tokens become more likely, and $T \to 0$ is the *greedy* choice. (A knob for *writing*. It has nothing to do with the temperature of soft
#   targets, though both divide logits.)
# - **Top-p**, or nucleus sampling: sort the tokens by probability, keep the smallest set from the top whose probabilities add up to at least $p$, renormalise. It cuts off
#   the long tail of tokens that are individually unlikely and together are not. The token that takes the sum across $p$ still belongs to the set, so the most likely one always does.
#
# The temperature comes first, then the cut.
#
# ### Exercise 1: what we draw from
# Return the probabilities; drawing is `torch.multinomial`'s job.
#
# <details><summary>Hint: sort, cut, and put back</summary>
#
# `ordered, index = p.sort(-1, descending=True)`. The probability *before* each token is `ordered.cumsum(-1) - ordered`: a token is kept if that is below `top_p`. To put the kept values
# back in their places: `torch.zeros_like(p).scatter(-1, index, kept)`.
# </details>


# %% role="answer" name="sampling_probabilities"
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    """The distribution from which the next token is drawn: softmax(z / T), cut to its nucleus, renormalised.

    logits: (..., V). temperature above 0. Returns (..., V), rows that sum to 1; tokens outside get exactly 0.
    """
    # YOUR CODE: a softmax, a sort, a cumulative sum, back into place, renormalise
    # BEGIN SOLUTION
    p = softmax(logits, temperature)  # (..., V)
    ordered, index = p.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = ordered * (before < top_p)
    p = torch.zeros_like(p).scatter(-1, index, kept)
    return p / p.sum(-1, keepdim=True)
    # END SOLUTION


# %% role="check" name="sampling_probabilities.temperature" points=1 hint="With top_p = 1 nothing is cut: softmax of the logits divided by the temperature."
rng = check.rng("sampling_probabilities.temperature")
z = draw(rng, 4, 9).detach()
check(
    "sampling_probabilities.temperature",
    [check.call(sampling_probabilities, z, temperature=T) for T in (0.6, 1.0, 2.5)],
)

# %% role="check" name="sampling_probabilities.nucleus" points=1 hint="The smallest set from the top that reaches top_p, the token that crosses it included; the rest is exactly 0, and what is left sums to 1."
rng = check.rng("sampling_probabilities.nucleus")


def specimen(rng):
    """Logits with a constant added to each row, of probabilities in five sizes and any order."""
    p = [rng.permutation([0.4, 0.3, 0.15, 0.1, 0.05]) for _ in range(6)]
    return torch.tensor(np.array(p)).log() + torch.tensor(rng.normal(size=(6, 1)))


z, found = specimen(rng), {}
for top_p in (0.2, 0.5, 0.8, 0.9, 1.0):
    p = check.call(sampling_probabilities, z, top_p=top_p)
    found[top_p] = {"probabilities": p, "exactly 0": p == 0}
check("sampling_probabilities.nucleus", found)

# %% role="check" name="sampling_probabilities.rows" points=1 hint="Any leading axes, none too. Each row has a nucleus of its own, taken after the temperature, and each probability stays at its token's place."
rng = check.rng("sampling_probabilities.rows")
shapes = (2, 3, 6), (12, 6), (6,)
check(
    "sampling_probabilities.rows",
    [
        check.call(sampling_probabilities, draw(rng, *shape, size=2.0).detach(), 0.6, 0.9)
        for shape in shapes
    ],
)

# %% role="hidden" name="sampling_probabilities.secret" points=1 hint="Temperature and top-p together: the temperature first, and the nucleus of what it gives. Logits may be hundreds apart, or -inf where a token is forbidden."
rng = check.rng("sampling_probabilities.secret")
ordinary, extreme = draw(rng, 12, 8, size=2.0).detach(), draw(rng, 6, 8, size=400.0).detach()
extreme[torch.arange(6), torch.tensor(rng.integers(8, size=6))] = -np.inf
apart = ordinary + torch.tensor(rng.permutation(12) * 1000.0)[:, None]  # the rows from each other
check(
    "sampling_probabilities.secret",
    [check.call(sampling_probabilities, z, 1.7, 0.7) for z in (ordinary, extreme, apart)],
)


# %% role="alternative" of="sampling_probabilities" name="sampling_probabilities.by_mask"
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = torch.softmax(logits / temperature, dim=-1)
    order = torch.argsort(p, dim=-1, descending=True)
    ordered = torch.gather(p, -1, order)
    drop = torch.cumsum(ordered, -1) - ordered >= top_p
    dropped = torch.zeros_like(drop).scatter(-1, order, drop)
    p = p.masked_fill(dropped, 0.0)
    return p / p.sum(dim=-1, keepdim=True)


# %% role="alternative" of="sampling_probabilities" name="sampling_probabilities.from_logits"
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    z = logits / temperature
    ordered, order = torch.sort(z, dim=-1, descending=True)
    sums = F.softmax(ordered, dim=-1).cumsum(dim=-1)
    out = sums > top_p
    out = torch.cat([torch.zeros_like(out[..., :1]), out[..., :-1]], dim=-1)
    back = torch.argsort(order, dim=-1)
    return F.softmax(z.masked_fill(out.gather(-1, back), float("-inf")), dim=-1)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.in_place" loses="sampling_probabilities.temperature, sampling_probabilities.rows, sampling_probabilities.secret" hint="logits /= temperature changes the caller's logits, so that the next call divides again. logits / temperature makes new ones."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    logits /= temperature
    p = softmax(logits)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    p = torch.zeros_like(p).scatter(-1, index, kept)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.shared_maximum" loses="sampling_probabilities.secret" hint="You subtracted the maximum of all logits: a row far below the others becomes 0 / 0. Each row has its own maximum, or use softmax."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    e = ((logits - logits.max()) / temperature).exp()
    p = e / e.sum(-1, keepdim=True)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    p = torch.zeros_like(p).scatter(-1, index, kept)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.times_T" loses="sampling_probabilities.temperature, sampling_probabilities.rows, sampling_probabilities.secret" hint="You multiplied the logits by the temperature. A high temperature makes the choice more random: divide."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = torch.softmax(logits * temperature, -1)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    p = torch.zeros_like(p).scatter(-1, index, kept)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.no_T" loses="sampling_probabilities.temperature, sampling_probabilities.rows, sampling_probabilities.secret" hint="The temperature is not used: softmax(logits, temperature)."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    p = torch.zeros_like(p).scatter(-1, index, kept)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.divides_p" loses="sampling_probabilities.temperature, sampling_probabilities.rows, sampling_probabilities.secret" hint="Dividing probabilities by T and renormalising changes nothing: it is the logits that are divided."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits) / temperature
    p = p / p.sum(-1, keepdim=True)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    p = torch.zeros_like(p).scatter(-1, index, kept)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.too_few" loses="sampling_probabilities.nucleus, sampling_probabilities.rows, sampling_probabilities.secret" hint="Your set stops before it reaches top_p, and is empty where one token has more. The token that crosses the line belongs to it."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits, temperature)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) <= top_p + 1e-9)
    p = torch.zeros_like(p).scatter(-1, index, kept)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.not_one" loses="sampling_probabilities.nucleus, sampling_probabilities.rows, sampling_probabilities.secret" hint="What is left after the cut no longer sums to 1: renormalise."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits, temperature)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    return torch.zeros_like(p).scatter(-1, index, kept)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.left_sorted" loses="sampling_probabilities.temperature, sampling_probabilities.nucleus, sampling_probabilities.rows, sampling_probabilities.secret" hint="Your probabilities are in sorted order: the first belongs to the likeliest token, not to token 0. Put them back with scatter."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    ordered = softmax(logits, temperature).sort(-1, descending=True).values
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    return kept / kept.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.threshold" loses="sampling_probabilities.temperature, sampling_probabilities.nucleus, sampling_probabilities.rows, sampling_probabilities.secret" hint="You kept the tokens whose own probability is above a threshold. Top-p adds up probabilities from the top."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits, temperature)
    p = p * (p >= 1 - top_p + 0.05)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.cold_cut" loses="sampling_probabilities.rows, sampling_probabilities.secret" hint="You cut first and heated afterwards: the nucleus must be that of softmax(z / T)."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits)
    ordered, index = p.sort(-1, descending=True)
    inside = torch.zeros_like(p).scatter(-1, index, (ordered.cumsum(-1) - ordered < top_p).to(p))
    p = softmax(logits, temperature) * inside
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.gathered" loses="sampling_probabilities.temperature, sampling_probabilities.nucleus, sampling_probabilities.rows, sampling_probabilities.secret" hint="gather is the inverse direction: it reads at the places that index names, scatter writes there. Use scatter."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits, temperature)
    ordered, index = p.sort(-1, descending=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < top_p)
    p = kept.gather(-1, index)
    return p / p.sum(-1, keepdim=True)


# %% role="mutant" of="sampling_probabilities" name="sampling_probabilities.mask_sorted" loses="sampling_probabilities.nucleus, sampling_probabilities.rows, sampling_probabilities.secret" hint="The keep-mask is in sorted order, p is not: put the mask (or what it kept) back in place with scatter first."
def sampling_probabilities(logits, temperature=1.0, top_p=1.0):
    p = softmax(logits, temperature)
    ordered = p.sort(-1, descending=True).values
    p = p * (ordered.cumsum(-1) - ordered < top_p)
    return p / p.sum(-1, keepdim=True)


# %% [markdown]
# Now the teacher writes: from the beginning, token by token, through your function (`check.ready` gives it, if it has passed its checks, else the library's). Each sequence is cut into a **prompt** (its first one to four tokens)
# and an **answer** (the rest), and this is our data. The student is a transformer of lesson 11 with one block and a width of four, 292 numbers in all. It learns off-policy, from the teacher's full
# distribution at each token of the answers (forward KL, lesson 12), four passes over the data.
#
# **What do you expect?** The teacher never leaves the road. Where will the student be after thirty tokens?


# %% role="show" name="off-policy"
def library_probabilities(logits, temperature=1.0, top_p=1.0):
    return nucleus(softmax(logits, temperature), top_p)


probabilities = check.ready(sampling_probabilities, library_probabilities)


def teachers_samples(number, seed):
    """(prompt, answer) pairs written by the teacher."""
    torch.manual_seed(seed)
    ids = torch.full((number, 1), START)
    for _ in range(LONGEST):
        ids = torch.cat([ids, torch.multinomial(probabilities(teacher(ids)[:, -1]), 1)], 1)
    sequences = [row[: row.index(END) + 1] if END in row else row for row in ids.tolist()]
    cuts = [1 + n % min(4, len(sequence) - 1) for n, sequence in enumerate(sequences)]
    return [(sequence[:cut], sequence[cut:]) for sequence, cut in zip(sequences, cuts, strict=True)]


data, held_out = teachers_samples(count, seed=1), teachers_samples(tested, seed=2)
prompts, test_prompts = ([prompt for prompt, _ in examples] for examples in (data, held_out))
SIZE, ROOM = 64, LONGEST - 4  # sequences in a batch; most tokens of an answer
RATE = 1e-2  # learning rate
PASSES = 4 if scale != "smoke" else 1


def shuffled(seed):
    """The data in batches of a random order: not sorted by length, for a reason that we shall see."""
    order = np.random.default_rng(seed).permutation(count)
    return SequenceBatches([data[i] for i in order], size=SIZE, shuffle=False)


def train(student, objective, batches, passes=None):
    """Passes over `batches` with Adam; returns the processor seconds it took."""
    start = time.process_time()
    Trainer(
        student,
        objective,
        teacher=teacher,
        optimizer=lambda parameters: torch.optim.Adam(parameters, RATE),
        schedule=tinykd.cosine(1, 0),
        clip=1.0,
        device="cpu",
        progress=False,
    ).fit(batches, epochs=passes or PASSES)
    return time.process_time() - start


def write(student, seed=0):
    """The student's own answers to the held-out prompts."""
    answers = generate(
        student, test_prompts, ROOM, eos=END, seed=seed, batch_size=tested, progress=False
    )
    return list(zip(test_prompts, answers, strict=True))


def off_policy_student(seed):
    """A student that has learned from the teacher's samples only."""
    torch.manual_seed(seed)
    student = Transformer(Config(vocab=len(TOKENS), width=4, layers=1, heads=1))
    train(student, SoftTargets(), shuffled(seed))
    return student


starts = [off_policy_student(seed) for seed in range(seeds)]
for prompt, answer in data[:5]:
    print("".join(TOKENS[i] for i in prompt), "|", "".join(TOKENS[i] for i in answer))
size = sum(x.numel() for x in starts[0].parameters())
print(f"{size} parameters; {len(data)} sequences to learn from")
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", sharey=True)
draw_sequences(left, [p + a for p, a in held_out[:60]], COLORS[0], "60 sequences of the teacher")
draw_sequences(
    right, [p + a for p, a in write(starts[0])[:60]], COLORS[1], "the student, same prompts"
)
left.set_ylabel("lane")
plots.show(
    "Lane against number of tokens. Left: 60 sequences of the teacher, all on the road. Right: 60 of "
    "the student, many of which leave the road and do not come back."
)

# %% [markdown]
# **What we saw.** The teacher stays between the edges. The student's lines leave the road, most of them late, and hardly one of those comes back.
#
# ## Exposure bias, measured
#
# At every position $t$ we can ask how far the student's distribution for the next token is from the teacher's, $\mathrm{KL}(p\|q)$, and average over sequences. We do it twice for the same
# student: on prefixes that the **teacher** wrote (what a validation loss measures), and on prefixes that the **student** wrote (what happens when it is used).
#
# **What do you expect?** Do both curves rise with the number of tokens, or only one?


# %% role="show" name="exposure"
@torch.no_grad()
def look(student, examples):
    """On these sequences: log q(answer) - log p(answer), KL(p || q) at each position, lanes, what counts."""
    # dense: labels for every position, (B, T), -100 where nothing is scored
    batch = SequenceBatches(examples, size=len(examples), shuffle=False, dense=True)
    batch = batch.batch(range(len(examples)))
    ids, labels = batch["input_ids"], batch["labels"]
    q, p = student(ids, batch["attention_mask"]), teacher(ids)  # (B, T, V)
    scored = labels != -100
    chosen = labels.clamp_min(0).unsqueeze(-1)
    gap = (log_softmax(q) - log_softmax(p)).gather(-1, chosen).squeeze(-1)
    return {
        "log_ratio": (gap * scored).sum(1),  # (B,); finite everywhere here, else select (lesson 12)
        "kl": forward_kl(q, p),  # (B, T)
        "scored": scored,
        "lane": STEP[ids].cumsum(1).abs(),  # (B, T)
        "real": batch["attention_mask"].bool(),
    }


def on_road(seen):
    """Share of these sequences that never leave the road."""
    return ((seen["lane"] <= EDGE) | ~seen["real"]).all(1).float().mean().item()


def along(seen):
    """Mean KL(p || q) at each position, NaN where hardly a sequence is so long."""
    number = seen["scored"].sum(0)
    mean = (seen["kl"] * seen["scored"]).sum(0) / number
    return np.where(number >= max(5, tested // 50), mean, np.nan)[: LONGEST - 4]


def level(curve, first, last):
    """Mean of the curve over these tokens, where it is known."""
    part = curve[first - 1 : last]
    return part[~np.isnan(part)].mean() if (~np.isnan(part)).any() else np.nan


def mean_curve(students, examples_of):
    curves = [along(look(student, examples_of(student))) for student in students]
    shortest = min(map(len, curves))
    return np.mean([curve[:shortest] for curve in curves], 0)


figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
curves = {
    "on the teacher's prefixes": mean_curve(starts, lambda student: held_out),
    "on its own prefixes": mean_curve(starts, write),
}
for (name, curve), color in zip(curves.items(), COLORS, strict=False):
    axes.plot(range(1, 1 + len(curve)), curve, color=color, marker=".", label=name)
    early, late = level(curve, 3, 6), level(curve, 21, 26)
    print(f"{name:>26}: {early:.3f} nats at tokens 3 to 6, {late:.3f} at tokens 21 to 26")
valid = [on_road(look(student, write(student))) for student in starts]
print(f"valid: {valid[0]:.1%} of the student in the picture, {np.mean(valid):.1%} on average")
axes.set(xlabel="tokens so far", ylabel="KL(p ‖ q) at this position, nats", ylim=(0, None))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plots.show(
    "KL to the teacher against the number of tokens: nearly flat on the teacher's prefixes, rising "
    "with every token on the student's own."
)

# %% [markdown]
# **What we saw.** Both curves begin close together, whoever wrote the prefix. Then they part. On the teacher's
# prefixes the distance rises only a little, and that is all a validation loss ever sees. On the student's own prefixes it grows with almost every token, to about three times as much. The picture
# of the sequences showed why: once off the road the student has no idea how to come back, since nobody it watched was ever there. A third of all sequences
# leave the road (last line printed).
#
# Two things are mixed here, and we shall pull them apart. The student is *small*, so it errs. And it was shown the *wrong prefixes*, so it does not know how to live with its errors.
#
# ## Three places to take the data from
#
# 1. **The teacher's samples, cross-entropy on their tokens.** *Sequence-level KD* (Kim and Rush 2016): have the teacher write answers, train the student on them as if a person had written
#    them. One line of code; needs no logits, so it works through an API; it is how the R1 models of lesson 14 were made. The paper takes the most likely answers
#    (found by *beam search*: several beginnings are written on side by side, and only the likeliest are kept).
# 2. **The teacher's samples, its whole distribution at each token.** What our student did.
# 3. **The student's samples, the teacher's whole distribution at each token.** The teacher marks what the student wrote. *Generalised knowledge distillation*, **GKD** (Agarwal et al.
#    2023), makes it a dial: with probability $\lambda$ a batch is the student's own, else it is data. And the divergence is a second dial, turned independently: forward KL,
#    reverse KL, or anything between.
#
# In one step of GKD the student samples answers (with the weights it has *now*, and no gradient flows through the sampling); teacher and student both read prompt + answer; the loss is the
# divergence at the positions that predict an answer token. The **prompt** was given, not written: it is not scored. And the shift of lesson 12 holds here too: the logits at
# position $t$ are about token $t + 1$, so the last position of the *prompt* predicts the first token of the answer, and is scored.
#
# All sampling below is at $T = 1$ and `top_p` $= 1$: the student is to meet the prefixes that it writes itself, not those of a more careful version of itself.
#
# ### Exercise 2: a batch of one's own
# An answer that ran out of room has no `.` at its end. Do nothing about it: add none, and score the tokens it has. Careful where `pad` is the same id as the end, as in many real models: the position of a token decides what is
# padding, never its id.
#
# <details><summary>Hint: where the labels of a row stand</summary>
#
# Write down one example: prompt `[2, 5]`, answer `[3, 4, 1]`. The text is `2 5 3 4 1`, its positions are 0 to 4. Position 1, the last of the prompt, predicts the 3, position 3 predicts the 1, and position 4 predicts
# nothing: the labels are `-100 3 4 1 -100`. So the answer stands in `labels[b, len(prompt) - 1 : len(prompt) + len(answer) - 1]`.
# </details>
#
# <details><summary>Hint: three tensors to fill in</summary>
#
# `torch.full((B, T), pad)`, `torch.zeros(B, T, dtype=torch.long)` and `torch.full((B, T), -100)`; then, for each row `b`, `input_ids[b, :n] = torch.tensor(text)`, and so on. `T` is the longest of all texts.
# `prompt + answer` makes a new list; `prompt += answer` would change the one you were given.
# </details>


# %% role="answer" name="own_batch"
def own_batch(prompts, answers, pad=0):
    """Prompts and sampled answers as one batch, padded on the right, prompt and padding not scored.

    prompts, answers: lists of lists of ids, none empty. Returns {"input_ids": (B, T), "attention_mask": (B, T),
    "labels": (B, T)}, three tensors of dtype torch.long: labels[b, t] is the id at t + 1 if that is part of the
    answer, else -100; the mask is 1 for prompt and answer, 0 for padding. T is the longest prompt + answer.
    """
    # YOUR CODE: tensors full of pad, 0 and -100; then fill in row by row
    # BEGIN SOLUTION
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    shape = len(texts), max(map(len, texts))
    input_ids = torch.full(shape, pad)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        input_ids[b, : len(text)] = torch.tensor(text)
        attention_mask[b, : len(text)] = 1
        labels[b, len(prompt) - 1 : len(text) - 1] = torch.tensor(text[len(prompt) :])
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
    # END SOLUTION


# %% role="setup" name="own_batch-specimen"
def rows_of_ids(rng, low, high, prompts, answers, end=()):
    """Prompts and answers of these lengths, in any order, with ids in [low, high); `end` after each answer."""
    order = rng.permutation(len(prompts))
    made = [
        [rng.integers(low, high, n).tolist() for n in lengths] for lengths in (prompts, answers)
    ]
    return [made[0][i] for i in order], [[*made[1][i], *end] for i in order]


# %% role="check" name="own_batch.ids" points=1 hint="Prompt, then answer, then pad up to the longest row; all three are tensors of dtype torch.long."
rng = check.rng("own_batch.ids")
made = check.call(own_batch, *rows_of_ids(rng, 2, 6, (2, 1, 3, 3), (4, 7, 2, 1)))
types = {key: str(getattr(value, "dtype", type(value).__name__)) for key, value in made.items()}
check(
    "own_batch.ids", {key: made[key] for key in ("input_ids", "attention_mask")} | {"types": types}
)

# %% role="check" name="own_batch.labels" points=1 hint="labels[b, t] is the NEXT id where that is part of the answer. The last prompt position predicts the first answer token; the last answer token predicts nothing."
rng = check.rng("own_batch.labels")
some = rows_of_ids(rng, 2, 6, (2, 1, 3, 5), (4, 7, 2, 2))
one = rows_of_ids(rng, 2, 6, (3,), (2,))  # a batch may be a single row
check("own_batch.labels", [check.call(own_batch, *rows)["labels"] for rows in (some, one)])

# %% role="check" name="own_batch.pad_is_end" points=1 hint="Here pad and the end have the same id. The end that was sampled is learned and attended to, the padding after it is not."
rng = check.rng("own_batch.pad_is_end")
rows = rows_of_ids(rng, 2, 90, (2, 1, 3), (4, 1, 2), end=[1])
check("own_batch.pad_is_end", check.call(own_batch, *rows, pad=1))

# %% role="hidden" name="own_batch.secret" points=1 hint="Other lengths, ends in some rows only, another pad, which may also stand inside prompts and answers: nothing may depend on the ids."
rng = check.rng("own_batch.secret")


def specimen(rng):
    """Rows in which every id may stand anywhere: the pad 7, the end 1, and 0."""
    prompts, answers = rows_of_ids(rng, 0, 9, (3, 1, 6, 2), (1, 5, 2, 3))
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        answer[-1] = 7 if row == 0 else answer[-1]  # the last token that was sampled is the pad
        answer += [1] * (row == 1) + [8] * (row == 2)  # ended; not ended
        prompt[0] = 7 if row == 3 else 0 if row == 2 else prompt[0]
    return prompts, answers


check("own_batch.secret", check.call(own_batch, *specimen(rng), pad=7))


# %% role="alternative" of="own_batch" name="own_batch.by_lists"
def own_batch(prompts, answers, pad=0):
    longest = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids, mask, labels = [], [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        room = longest - len(prompt) - len(answer)
        ids.append([*prompt, *answer] + [pad] * room)
        mask.append([1] * (longest - room) + [0] * room)
        labels.append([-100] * (len(prompt) - 1) + [*answer] + [-100] * (room + 1))
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask),
        "labels": torch.tensor(labels),
    }


# %% role="alternative" of="own_batch" name="own_batch.by_comparison"
def own_batch(prompts, answers, pad=0):
    starts = torch.tensor([len(p) for p in prompts])[:, None]
    ends = starts + torch.tensor([len(a) for a in answers])[:, None]
    T = int(ends.max())
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(list(p) + list(a)) for p, a in zip(prompts, answers, strict=True)],
        batch_first=True,
        padding_value=pad,
    )
    t = torch.arange(T)[None]
    labels = torch.roll(ids, -1, dims=1)
    labels[(t < starts - 1) | (t >= ends - 1)] = -100
    return {"input_ids": ids, "attention_mask": (t < ends).long(), "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.not_shifted" loses="own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="Your labels stand at the tokens themselves. The logits at t are about the token at t + 1: shift by one to the left."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) : len(text)] = ids[b, len(prompt) : len(text)]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.prompt_scored" loses="own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="The prompt is scored as well. The student did not write it."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, text in enumerate(texts):
        labels[b, : len(text) - 1] = torch.tensor(text[1:])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.first_lost" loses="own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="The first token of each answer is not scored. The last position of the prompt predicts it."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) : len(text) - 1] = ids[b, len(prompt) + 1 : len(text)]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.end_lost" loses="own_batch.pad_is_end, own_batch.secret" hint="You found the padding by its id. Where pad and end are the same id, the end that was sampled is thrown away, and the student never learns to stop."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) - 1 : len(text) - 1] = ids[b, len(prompt) : len(text)]
    labels[labels == pad] = -100
    return {"input_ids": ids, "attention_mask": (ids != pad).long(), "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.padding_scored" loses="own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="The padding is scored: the student learns to write pad after its answers. Labels end with the answer."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, prompt in enumerate(prompts):
        labels[b, len(prompt) - 1 : T - 1] = ids[b, len(prompt) :]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.twice" loses="own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="Your labels are shifted twice: position t must predict t + 1, not t + 2."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        start = max(len(prompt) - 2, 0)
        values = ids[b, len(prompt) : len(text)]
        labels[b, start : start + len(values)] = values
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.left" loses="own_batch.ids, own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="You padded on the left. That is for sampling, where all rows must end together; here rows begin together."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([[pad] * (T - len(text)) + text for text in texts])
    mask = torch.tensor([[0] * (T - len(text)) + [1] * len(text) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, answer in enumerate(answers):
        labels[b, T - len(answer) - 1 : T - 1] = torch.tensor(answer)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.no_mask" loses="own_batch.ids, own_batch.pad_is_end, own_batch.secret" hint="The attention mask is 1 everywhere. It says which tokens are real: 0 for padding."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) - 1 : len(text) - 1] = ids[b, len(prompt) : len(text)]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.last_lost" loses="own_batch.labels, own_batch.secret" hint="Nothing is added to or taken from an unfinished answer: its last token was written too, and is scored."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        end = len(text) if text[-1] == 1 else len(text) - 1
        labels[b, len(prompt) - 1 : end - 1] = ids[b, len(prompt) : end]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.end_added" loses="own_batch.ids, own_batch.labels, own_batch.secret" hint="Nothing is added to or taken from an unfinished answer: you gave it an end that nobody sampled."
def own_batch(prompts, answers, pad=0):
    answers = [answer if answer[-1] == 1 else [*answer, 1] for answer in answers]
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) - 1 : len(text) - 1] = ids[b, len(prompt) : len(text)]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.float_mask" loses="own_batch.ids" hint="Your attention mask has fractions: torch.zeros makes float32. Asked for is dtype=torch.long."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) - 1 : len(text) - 1] = ids[b, len(prompt) : len(text)]
    return {"input_ids": ids, "attention_mask": mask.float(), "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.float_labels" loses="own_batch.ids" hint="Your labels have fractions (float32). Labels are ids: dtype=torch.long."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) - 1 : len(text) - 1] = ids[b, len(prompt) : len(text)]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels.float()}


# %% role="mutant" of="own_batch" name="own_batch.bool_mask" loses="own_batch.ids, own_batch.pad_is_end, own_batch.secret" hint="The right mask, as True and False. Asked for are whole numbers, 1 and 0: mask.long()."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) - 1 : len(text) - 1] = ids[b, len(prompt) : len(text)]
    return {"input_ids": ids, "attention_mask": mask.bool(), "labels": labels}


# %% role="mutant" of="own_batch" name="own_batch.lists" loses="own_batch.ids" hint="Nested lists: the model wants tensors, torch.tensor(...)."
def own_batch(prompts, answers, pad=0):
    texts = [list(prompt) + list(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    T = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for b, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        labels[b, len(prompt) - 1 : len(text) - 1] = ids[b, len(prompt) : len(text)]
    return {"input_ids": ids.tolist(), "attention_mask": mask.tolist(), "labels": labels.tolist()}


# %% role="mutant" of="own_batch" name="own_batch.longer_prompts" loses="own_batch.ids, own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="prompt += answer changes the caller's prompts, which are used again for the next batch: prompt + answer makes a new list."
def own_batch(prompts, answers, pad=0):
    sizes = [len(prompt) for prompt in prompts]
    for prompt, answer in zip(prompts, answers, strict=True):
        prompt += answer
    T = max(map(len, prompts))
    ids = torch.tensor([text + [pad] * (T - len(text)) for text in prompts])
    mask = torch.tensor([[1] * len(text) + [0] * (T - len(text)) for text in prompts])
    labels = torch.full_like(ids, -100)
    for b, (size, text) in enumerate(zip(sizes, prompts, strict=True)):
        labels[b, size - 1 : len(text) - 1] = ids[b, size : len(text)]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# %% [markdown]
# ## The dial between the two KLs
#
# You have met both directions. Forward, $\mathrm{KL}(p\|q)$: the student pays wherever the *teacher* sees a possibility it neglects. Reverse, $\mathrm{KL}(q\|p)$: it pays wherever *it* puts
# probability that the teacher does not. A student that can be right everywhere ends at $q = p$ either way. One that cannot must choose: **cover** all the teacher does, and some nonsense
# besides, or **seek** a part of it that it can do well. GKD's generalised Jensen-Shannon divergence goes from one to the other,
#
# $$D_\beta(p\|q) = \beta\,\mathrm{KL}(p\,\|\,m) + (1 - \beta)\,\mathrm{KL}(q\,\|\,m), \qquad m = \beta p + (1 - \beta)\, q,$$
#
# with the convention that $\beta = 0$ means $\mathrm{KL}(p\|q)$ and $\beta = 1$ means $\mathrm{KL}(q\|p)$. (The formula itself gives 0 at both ends: at $\beta = 0$ the mixture $m$ *is* $q$. Divided by $\beta$, it tends to the forward KL
# as $\beta \to 0$; its mirror image, divided by $1 - \beta$, to the reverse KL as $\beta \to 1$.) The mixture must be formed in log-space, $\log m = \log\!\big(e^{\log\beta + \log p} + e^{\log(1-\beta) + \log q}\big)$: that is `torch.logaddexp`.
#
# ### Exercise 3: GKD's loss
# The mean over the scored positions of a whole batch, as it came out of exercise 2. The student pays; the teacher is a constant. The samples too: nothing to do for that, ids carry no
# gradient. Write it out yourself: the library's `jsd`, `forward_kl` and `reverse_kl` were imported for the comparison afterwards.
#
# <details><summary>Hint: the mean over scored positions</summary>
#
# `scored = labels != -100` has shape (B, T), and `logits[scored]` is (N, V): the scored positions alone. Then it is a loss over N positions, and `.mean()`.
# (Not the loss times `scored`: garbage at a position that does not count stays garbage when it is multiplied by 0.)
# </details>


# %% role="answer" name="gkd_loss"
def gkd_loss(student, teacher, labels, beta=0.5):
    """Mean over scored positions of D_beta(p || q); beta = 0 is KL(p || q), beta = 1 is KL(q || p).

    student, teacher: logits (B, T, V). labels: (B, T), -100 where nothing is scored. Returns a number.
    The teacher gets no gradient.
    """
    # YOUR CODE: pick the scored positions, log-probabilities, the two ends, the mixture, the mean
    # BEGIN SOLUTION
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())  # (N, V)

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta == 0:
        return kl(log_p, log_q).mean()
    if beta == 1:
        return kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()
    # END SOLUTION


# %% role="setup" name="gkd_loss-specimen"
def scored_at(rng, rows, size, every=False):
    """Labels (rows, size): ids, all of them or a different number in each row (at least 1), at random places."""
    labels = torch.tensor(rng.integers(4, size=(rows, size)))
    for row, number in zip(labels, rng.permutation(size - 1)[:rows] + 1, strict=True):
        row[torch.tensor(rng.permutation(size)[number if not every else size :])] = -100
    return labels


# %% role="check" name="gkd_loss.mixture" points=1 hint="m = beta p + (1 - beta) q; the loss is beta KL(p || m) + (1 - beta) KL(q || m), with p and q first in the KLs and m second."
rng = check.rng("gkd_loss.mixture")
student, teacher_z = draw(rng, 2, 4, 5), draw(rng, 2, 4, 5).detach()
labels, found = scored_at(rng, 2, 4, every=True), []
for beta in (0.3, 0.8):
    found.append(with_gradient(check.call(gkd_loss, student, teacher_z, labels, beta), student))
check("gkd_loss.mixture", found)

# %% role="check" name="gkd_loss.ends" points=1 hint="beta = 0 is KL(p || q), p the teacher; beta = 1 is KL(q || p)."
rng = check.rng("gkd_loss.ends")
student, teacher_z = draw(rng, 2, 4, 5), draw(rng, 2, 4, 5).detach()
labels, found = scored_at(rng, 2, 4, every=True), []
for beta in (0, 1, 0.0, 1.0):
    found.append(with_gradient(check.call(gkd_loss, student, teacher_z, labels, beta), student))
check("gkd_loss.ends", found)

# %% role="check" name="gkd_loss.masked" points=1 hint="Positions labelled -100 count neither in the sum nor in the number, and rows of different lengths share one mean. If gkd_loss.mixture or .ends fails too, mend that first."
rng = check.rng("gkd_loss.masked")
student, teacher_z = draw(rng, 3, 6, 4), draw(rng, 3, 6, 4).detach()
labels, found = scored_at(rng, 3, 6), []
for beta in (0, 0.5, 1):
    found.append(with_gradient(check.call(gkd_loss, student, teacher_z, labels, beta), student))
check("gkd_loss.masked", found)

# %% role="check" name="gkd_loss.garbage" points=1 hint="Anything may stand where nothing is scored, here not-a-number. Pick the scored positions first, logits[scored]. If gkd_loss.mixture or .ends fails too, mend that first."
rng = check.rng("gkd_loss.garbage")
student, teacher_z = draw(rng, 3, 5, 5), draw(rng, 3, 5, 5).detach()
labels = scored_at(rng, 3, 5)
teacher_z[labels == -100] = np.nan
loss = check.call(gkd_loss, student, teacher_z, labels, 0.5)
check("gkd_loss.garbage", with_gradient(loss, student))

# %% role="check" name="gkd_loss.constant" points=1 hint="The student's gradient is the loss's, the teacher's is 0: the teacher is a constant, detach it."
rng = check.rng("gkd_loss.constant")
student, teacher_z = draw(rng, 2, 3, 4), draw(rng, 2, 3, 4)
labels, found = scored_at(rng, 2, 3, every=True), []
for beta in (0, 0.5, 1):
    loss = check.call(gkd_loss, student, teacher_z, labels, beta)
    slopes = with_gradient(loss, student, teacher_z)["gradient"]
    found.append(dict(zip(("student", "teacher"), slopes, strict=True)))
check("gkd_loss.constant", found)

# %% role="hidden" name="gkd_loss.secret" points=1 hint="Logits hundreds apart, and masked positions: log-probabilities all the way, logaddexp for the mixture. At p = q every D_beta is 0."
rng = check.rng("gkd_loss.secret")


def specimen(rng):
    """Logits of ordinary size, and hundreds apart: teacher and student prefer different tokens."""
    size = torch.tensor([2.0, 900.0, 2.0, 900.0, 400.0])[None, :, None]  # at each of the positions
    student, teacher = draw(rng, 3, 5, 6, size=1.0), draw(rng, 3, 5, 6, size=1.0)
    return (student.detach() * size).requires_grad_(), teacher.detach() * size


student, teacher_z = specimen(rng)
labels, found = scored_at(rng, 3, 5), []
for beta in (0, 0.02, 0.5, 0.9, 1):
    found.append(with_gradient(check.call(gkd_loss, student, teacher_z, labels, beta), student))
# the same logits on both sides
found.append(check.call(gkd_loss, student, student.detach().clone(), labels, rng.uniform(0.1, 0.9)))
check("gkd_loss.secret", found)


# %% role="alternative" of="gkd_loss" name="gkd_loss.by_kl_div"
def gkd_loss(student, teacher, labels, beta=0.5):
    keep = labels.ne(-100)
    log_q = F.log_softmax(student[keep], dim=-1)
    log_p = F.log_softmax(teacher[keep], dim=-1).detach()
    if beta == 0:
        return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    if beta == 1:
        return F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)
    b = torch.tensor(beta, dtype=student.dtype)
    stacked = torch.stack([log_p + torch.log(b), log_q + torch.log1p(-b)])
    log_m = torch.logsumexp(stacked, dim=0)
    to_p = F.kl_div(log_m, log_p, reduction="batchmean", log_target=True)
    return b * to_p + (1 - b) * F.kl_div(log_m, log_q, reduction="batchmean", log_target=True)


# %% role="alternative" of="gkd_loss" name="gkd_loss.by_indices"
def gkd_loss(student, teacher, labels, beta=0.5):
    at = (labels.reshape(-1) != -100).nonzero().squeeze(1)
    V = student.shape[-1]
    log_q = torch.log_softmax(student.reshape(-1, V).index_select(0, at), -1)
    with torch.no_grad():
        log_p = torch.log_softmax(teacher.reshape(-1, V).index_select(0, at), -1)
    q, p = log_q.exp(), log_p.exp()
    if beta == 0:
        values = (p * (log_p - log_q)).sum(-1)
    elif beta == 1:
        values = (q * (log_q - log_p)).sum(-1)
    else:
        log_m = torch.logaddexp(math.log(beta) + log_p, math.log(1 - beta) + log_q)
        values = beta * (p * (log_p - log_m)).sum(-1) + (1 - beta) * (q * (log_q - log_m)).sum(-1)
    return values.sum() / at.numel()


# %% role="alternative" of="gkd_loss" name="gkd_loss.constant_mixture"
def gkd_loss(student, teacher, labels, beta=0.5):
    # m minimises the sum of the two, so no gradient comes through it
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return (kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q).detach()
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.clamped" loses="gkd_loss.secret" hint="You keep probabilities away from 0 with a small number: where logits are far apart the loss stops growing and the gradient is lost. Work with log-probabilities."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    q = softmax(student[scored]).clamp_min(1e-12)
    p = softmax(teacher[scored].detach()).clamp_min(1e-12)
    if beta in (0, 1):
        return ((p * (p / q).log()) if beta == 0 else (q * (q / p).log())).sum(-1).mean()
    m = beta * p + (1 - beta) * q
    return (beta * p * (p / m).log() + (1 - beta) * q * (q / m).log()).sum(-1).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.weights_swapped" loses="gkd_loss.mixture, gkd_loss.secret" hint="The weights in front of the two KLs are swapped: beta belongs to KL(p || m)."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 0 else kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return ((1 - beta) * kl(log_p, log_m) + beta * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.mixture_swapped" loses="gkd_loss.mixture, gkd_loss.secret" hint="Your mixture is (1 - beta) p + beta q. In m = beta p + (1 - beta) q, beta belongs to the teacher."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 0 else kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(1 - beta) + log_p, np.log(beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.ends_swapped" loses="gkd_loss.ends, gkd_loss.masked, gkd_loss.constant, gkd_loss.secret" hint="The ends are the wrong way round: beta = 0 is the forward KL, with the teacher's probabilities as weights."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 1 else kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.zero_ends" loses="gkd_loss.ends, gkd_loss.masked, gkd_loss.constant, gkd_loss.secret" hint="At beta = 0 and 1 your loss is 0 (or not a number): there the mixture is one of the two. By convention the ends are the two plain KLs."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    q, p = softmax(student[scored]), softmax(teacher[scored].detach())
    m = beta * p + (1 - beta) * q
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())
    if beta not in (0, 1):
        log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    else:
        log_m = m.log()
    forward = (p * (log_p - log_m)).sum(-1)
    return (beta * forward + (1 - beta) * (q * (log_q - log_m)).sum(-1)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.all_positions" loses="gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret" hint="Prompt and padding count. Only positions with labels != -100 do."
def gkd_loss(student, teacher, labels, beta=0.5):
    log_q, log_p = log_softmax(student), log_softmax(teacher.detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 0 else kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.mean_of_all" loses="gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret" hint="You summed over the scored positions and divided by B times T. Padding shrinks your loss: divide by the number of scored positions."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return (kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)).sum() / labels.numel()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).sum() / labels.numel()


# %% role="mutant" of="gkd_loss" name="gkd_loss.mean_of_rows" loses="gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret" hint="You took the mean of each row's mean: a token of a short answer weighs more than one of a long answer. One mean over all scored positions."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student), log_softmax(teacher.detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        values = kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)
    else:
        log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
        values = beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)
    return ((values * scored).sum(1) / scored.sum(1)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.class_mean" loses="gkd_loss.mixture, gkd_loss.ends, gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret, gkd_loss.constant" hint="Your mean runs over the vocabulary too: the loss is V times too small. Tokens are summed, positions averaged."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return log_a.exp() * (log_a - log_b)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 0 else kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.attached" loses="gkd_loss.constant" hint="The teacher receives a gradient. It is a constant: teacher.detach()."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored])

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 0 else kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.probability_space" loses="gkd_loss.secret" hint="The logarithm of a mixture of probabilities is lost where both are 0 to the computer. Form the mixture from log-probabilities: torch.logaddexp."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 0 else kl(log_q, log_p).mean()
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.blend" loses="gkd_loss.mixture, gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret, gkd_loss.constant" hint="That is (1 - beta) KL(p || q) + beta KL(q || p), a mixture of two losses. GKD mixes the distributions: first m, then the distance of p and of q from it."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    return ((1 - beta) * kl(log_p, log_q) + beta * kl(log_q, log_p)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.detached_weights" loses="gkd_loss.ends, gkd_loss.masked, gkd_loss.constant, gkd_loss.secret" hint="In KL(q || p) the weights are the student's: do not detach them."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        reverse = (log_q.exp().detach() * (log_q - log_p)).sum(-1)
        return (kl(log_p, log_q) if beta == 0 else reverse).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.shifted_again" loses="gkd_loss.mixture, gkd_loss.ends, gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret, gkd_loss.constant" hint="The labels are shifted already (exercise 2): position t of the logits belongs to position t of the labels."
def gkd_loss(student, teacher, labels, beta=0.5):
    student, teacher, labels = student[:, :-1], teacher[:, :-1], labels[:, 1:]
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        values = kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)
    else:
        log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
        values = beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)
    return values.mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.sum" loses="gkd_loss.mixture, gkd_loss.ends, gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret, gkd_loss.constant" hint="You summed over the scored positions: a batch of long answers would weigh more. Take the mean."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        values = kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)
    else:
        log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
        values = beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)
    return values.sum()


# %% role="mutant" of="gkd_loss" name="gkd_loss.times_zero" loses="gkd_loss.garbage" hint="You multiplied what is not scored by 0. Where not-a-number stands, 0 times it is not a number: pick the scored positions, logits[scored]."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student), log_softmax(teacher.detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        values = kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)
    else:
        log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
        values = beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)
    return (values * scored).sum() / scored.sum()


# %% role="mutant" of="gkd_loss" name="gkd_loss.filled" loses="gkd_loss.garbage" hint="The loss is right, but you silenced the unscored positions after the KL: the gradient still goes through the garbage, and 0 times not-a-number is not a number. Pick the positions before: logits[scored]."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student), log_softmax(teacher.detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        values = kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)
    else:
        log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
        values = beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)
    return values.masked_fill(~scored, 0.0).sum() / scored.sum()


# %% [markdown]
# ## The loop
#
# You have all the parts of GKD. One turn of the loop, for a batch of prompts:


# %% role="show" name="diagram" folded=true
figure, axes = plt.subplots(figsize=(9.5, 3.6), layout="constrained")
axes.set(xlim=(0, 100), ylim=(0, 40))
axes.axis("off")


def box(x, y, text, color, width=19):
    """A box around `text` with its middle at (x, y)."""
    patch = plt.Rectangle((x - width / 2, y - 4.5), width, 9, facecolor=color, alpha=0.25)
    axes.add_patch(patch)
    axes.text(x, y, text, ha="center", va="center", fontsize=9)


def arrow(start, end, text="", style="-", bend=0.0, at=(0, 0)):
    """An arrow from `start` to `end` with a word beside it."""
    how = {"arrowstyle": "->", "linestyle": style, "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", end, start, arrowprops=how)
    middle = [(a + b) / 2 + c for a, b, c in zip(start, end, at, strict=True)]
    axes.text(*middle, text, ha="center", va="center", fontsize=8)


box(10, 30, "prompts", COLORS[7], 15)
box(33, 30, "the student\nsamples answers", COLORS[1])
box(59, 30, "batch: prompt + answer,\nprompt not scored", COLORS[7], 23)
box(10, 10, "answers in the data", COLORS[7], 19)
box(87, 30, "student: logits (B, T, V)", COLORS[1], 22)
box(87, 10, "teacher: logits (B, T, V)", COLORS[0], 22)
box(59, 10, "divergence,\nmean over scored", COLORS[2], 21)
box(33, 10, "optimizer step", COLORS[2], 16)
arrow((17.5, 30), (23.5, 30), "λ", at=(0, 2))
arrow((42.5, 30), (47.5, 30))
arrow((19.5, 13.5), (47.5, 26.5), "1 − λ", at=(-8, -0.5))
arrow((70.5, 30), (76, 30))
arrow((70.5, 27), (80, 14.5))
arrow((80, 25.5), (69.5, 13))
arrow((76, 9), (69.5, 9))
arrow((48.5, 10), (41, 10), "gradient", at=(0.3, 2))
arrow((33, 14.5), (33, 25.5), "new weights,\nnew samples", "--", at=(8, -1.5))
axes.text(45, 36.5, "no gradient through here", fontsize=8, ha="center", style="italic")
plots.show(
    "Diagram of one turn of the on-policy loop: the student samples answers to the prompts, student "
    "and teacher read both, the divergence of their logits changes the student, which samples anew."
)

# %% [markdown]
# The answers must be sampled **inside** the loop, with the weights of that moment: a student that learns from what it wrote a hundred steps ago is off-policy again.
#
# ### Exercise 4: GKD
# Write the loop, in plain PyTorch. All its parts are handed to you as functions, so it depends on nothing that you wrote before: `batch_of` works like exercise 2, `loss_of` like exercise 3 with a β already chosen. A
# model is called as `model(input_ids, attention_mask)`.
#
# <details><summary>Hint: the order of things</summary>
#
# For each batch of the data: throw the coin; perhaps replace the answers; make the batch; the student's logits; the teacher's, under `torch.no_grad()`; the loss; then the three lines of every PyTorch loop,
# `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`; then note `loss.item()`.
# </details>


# %% role="answer" name="train_gkd"
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    """One pass of GKD over `data`, a step for each of its batches. Returns the losses, a list of floats.

    data: a list of batches, each a pair (prompts, answers). Once for each batch, rng.random() < fraction
    decides whether its answers are replaced by sample(student, prompts), the student's own.
    batch_of(prompts, answers): a dict of "input_ids", "attention_mask" and "labels", each (B, T).
    loss_of(student_logits, teacher_logits, labels): a number; logits are (B, T, V).
    optimizer: has the student's parameters. A gradient that is there before must not count.
    Only the student changes; the teacher gets no gradient.
    """
    # YOUR CODE: ten lines
    # BEGIN SOLUTION
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
    # END SOLUTION


# %% role="setup" name="train_gkd-specimen"
class Tiny(torch.nn.Module):
    """A language model for the checks: one table, whose rows are added up over the prefix."""

    def __init__(self, rng, vocab=6):
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(rng.normal(size=(vocab, vocab))))

    def forward(self, input_ids, attention_mask):
        return self.table[input_ids].cumsum(1)  # (B, T, V)


class Momentum:
    """Gradient descent with momentum: all that the loop wants of an optimizer, and quick to import."""

    def __init__(self, weights, rate, momentum=0.0):
        self.weights, self.rate, self.momentum = list(weights), rate, momentum
        self.speed = [torch.zeros_like(weight) for weight in self.weights]

    def zero_grad(self, set_to_none=True):
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self):
        for weight, speed in zip(self.weights, self.speed, strict=True):
            if weight.grad is not None:
                speed.mul_(self.momentum).add_(weight.grad)
                weight -= self.rate * speed


def sampler(rng, room=9, end=1):
    """sample(model, prompts) for a Tiny: like `generate`, but the same weights give the same samples."""
    noise = rng.gumbel(size=(64, room, 6))  # the argmax of logits + Gumbel noise is a sample

    def sample(model, prompts):
        table, answers = model.table.detach().numpy(), []
        for prompt, its_noise in zip(prompts, noise, strict=False):
            logits, answer = table[prompt].sum(0), []
            for step in its_noise:
                answer.append(int((logits + step).argmax()))
                if answer[-1] == end:
                    break
                logits = logits + table[answer[-1]]
            answers.append(answer)
        return answers

    return sample


def library_batch(prompts, answers, pad=0):
    """What exercise 2 makes, by the library."""
    examples = list(zip(prompts, answers, strict=True))
    batches = SequenceBatches(examples, size=len(examples), pad=pad, shuffle=False, dense=True)
    return batches.batch(range(len(examples)))


def trained(answer, rng, batches, fraction, rate=2.0, momentum=0.0):
    """What `answer` does to a tiny student: the losses, its weights afterwards, and more."""
    student, teacher, mix = Tiny(rng), Tiny(rng).eval(), rng.uniform(0, 0.3)
    student.table.grad = torch.tensor(rng.normal(size=(6, 6)))  # left over from something else
    data = [rows_of_ids(rng, 2, 6, (2, 1, 3), (4, 2, 1), end=[1]) for _ in range(batches)]
    sample, seed = sampler(rng), int(rng.integers(2**32))
    while 0 < fraction < 1:  # a coin that falls both ways early on, and for the student late
        own = np.random.default_rng(seed).random(batches) < fraction
        if 0 < own[:4].sum() < 4 and own[-3:].sum() >= 2:
            break
        seed += 1
    coin = np.random.default_rng(seed)

    def loss_of(student, teacher, labels):
        log_q, log_p = (z[labels != -100].log_softmax(-1) for z in (student, teacher))
        weights = mix * log_p.exp() - (1 - mix) * log_q.exp()
        return (weights * (log_p - log_q)).sum(-1).mean()

    optimizer = Momentum(student.parameters(), rate, momentum)
    parts = optimizer, sample, library_batch, loss_of, coin, fraction
    losses = check.call(answer, student, teacher, data, *parts, may_change=[student])
    return {
        "losses": losses,
        "each a float": [isinstance(loss, float) for loss in losses],
        "weights": student.table,
        "the student is in training mode": student.training,
        "the student can be trained": student.table.requires_grad,
        "gradients of the teacher": 0 if teacher.table.grad is None else 1,
    }


# %% role="check" name="train_gkd.own" points=1 hint="fraction = 1: every batch is answered by the student, with the weights of that moment. Losses as floats, and one step for each batch."
rng = check.rng("train_gkd.own")
check("train_gkd.own", trained(train_gkd, rng, 5, 1.0))

# %% role="check" name="train_gkd.mixed" points=1 hint="With probability fraction the answers are the student's own, else those of the data: one rng.random() for each batch."
rng = check.rng("train_gkd.mixed")
some = rng.uniform(0.3, 0.7)
check(
    "train_gkd.mixed",
    [trained(train_gkd, rng, number, fraction) for number, fraction in ((2, 0.0), (9, some))],
)

# %% role="hidden" name="train_gkd.secret" points=2 hint="Another optimizer, another fraction, any loss: nothing may be left over from before, from the last step or from the last call."
rng = check.rng("train_gkd.secret")
check("train_gkd.secret", trained(train_gkd, rng, 8, rng.uniform(0.3, 0.7), rate=0.4, momentum=0.9))


# %% role="alternative" of="train_gkd" name="train_gkd.detached"
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    student.train()
    for step in range(len(data)):
        optimizer.zero_grad(set_to_none=True)
        prompts, answers = data[step]
        own = rng.uniform() < fraction
        made = batch_of(prompts, sample(student, prompts) if own else answers)
        ids, mask, labels = (made[key] for key in ("input_ids", "attention_mask", "labels"))
        loss = loss_of(student(ids, mask), teacher(ids, mask).detach(), labels)
        loss.backward()
        optimizer.step()
        losses += [float(loss.detach())]
    return losses


# %% role="alternative" of="train_gkd" name="train_gkd.in_steps"
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    def step(prompts, answers):
        batch = batch_of(prompts, answers)
        with torch.inference_mode(False), torch.no_grad():
            p = teacher(batch["input_ids"], attention_mask=batch["attention_mask"])
        q = student(batch["input_ids"], attention_mask=batch["attention_mask"])
        loss = loss_of(q, p, batch["labels"])
        student.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    coins = [rng.random() < fraction for _ in data]
    return [
        step(prompts, sample(student, prompts) if own else answers)
        for own, (prompts, answers) in zip(coins, data, strict=True)
    ]


# %% role="mutant" of="train_gkd" name="train_gkd.stale" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="All answers were sampled before the first step, by a student that no longer exists: sample inside the loop, with the weights of that moment."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    coins = [rng.random() < fraction for _ in data]
    data = [
        (prompts, sample(student, prompts) if own else answers)
        for own, (prompts, answers) in zip(coins, data, strict=True)
    ]
    for prompts, answers in data:
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.off_policy" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="Your student never writes: all answers are those of the data. With probability fraction they are sample(student, prompts)."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.always_own" loses="train_gkd.mixed, train_gkd.secret" hint="Every batch is the student's own. A share of the batches keeps the answers of the data: throw the coin, rng.random() < fraction."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.inverted" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="The coin is the wrong way round: fraction is the probability that a batch is the student's own."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() >= fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.one_coin" loses="train_gkd.mixed, train_gkd.secret" hint="One coin for the whole run. Throw it once for each batch, inside the loop."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    own = rng.random() < fraction
    for prompts, answers in data:
        if own:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.teacher_writes" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="The answers are the teacher's samples, which is what the data holds already. On-policy means that the student writes: sample(student, prompts)."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(teacher, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.no_zero_grad" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="The gradients of all steps add up: optimizer.zero_grad() before each backward()."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.zeroed_once" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="You clear the gradients once, before the loop, and then those of all steps add up: optimizer.zero_grad() belongs into the loop."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    optimizer.zero_grad()
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.zeroed_late" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="You cleared the gradient after the step, so that what was there before the first step counts: zero_grad() before backward()."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.no_step" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="backward() only computes the gradient. The weights change in optimizer.step()."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.swapped" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="You gave loss_of the teacher's logits first. Its order is student, teacher, labels."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(target, logits, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.teacher_learns" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="The teacher received a gradient: run it under torch.no_grad(), or detach its logits."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.eval_left" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="The student comes back in eval mode, and stays there. sample sees to its mode by itself: leave it as it is."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            student.eval()
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.frozen" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="You switched off the student's gradients: torch.no_grad() is for the teacher alone."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        with torch.no_grad():
            logits = student(batch["input_ids"], batch["attention_mask"])
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.requires_grad_().backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="train_gkd" name="train_gkd.last_loss" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="Only the last loss comes back. Asked for is a list with the loss of every step."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


# %% role="mutant" of="train_gkd" name="train_gkd.early_return" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="return stands inside the loop: it ends after the first batch. Move it to the left."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        return losses


# %% role="mutant" of="train_gkd" name="train_gkd.tensors" loses="train_gkd.own, train_gkd.mixed, train_gkd.secret" hint="Your losses are tensors. Asked for are floats, loss.item(), which hold no graph and no memory of a step."
def train_gkd(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    losses = []
    for prompts, answers in data:
        if rng.random() < fraction:
            answers = sample(student, prompts)
        batch = batch_of(prompts, answers)
        logits = student(batch["input_ids"], batch["attention_mask"])
        with torch.no_grad():
            target = teacher(batch["input_ids"], batch["attention_mask"])
        loss = loss_of(logits, target, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return losses


# %% [markdown]
# And now for real: your loop with your two functions and the reverse KL, one pass over the prompts, for one of our students. The library has the same loop: `OnPolicy` is a source of batches that the student writes
# (`fraction` is $\lambda$, `max_new` the room for an answer), and `Trainer` does the rest as always. With the same prompts and the same seeds for the sampling, both must arrive at the same weights.
#
# **What do you expect?** Fifty steps on its own samples: does the share of valid sequences rise?


# %% role="show" name="by-hand"
def library_gkd(student, teacher, labels, beta=0.5):
    scored = labels != -100
    return jsd(student[scored], teacher[scored], beta=beta).mean()


def library_loop(student, teacher, data, optimizer, sample, batch_of, loss_of, rng, fraction=1.0):
    """The same steps by Trainer, with the reverse KL whatever loss_of is."""
    losses, objective = [], SoftTargets(divergence=reverse_kl)
    trainer = Trainer(student, objective, teacher, optimizer, device="cpu", progress=False)
    for prompts, answers in data:
        own = rng.random() < fraction
        batch = library_batch(prompts, sample(student, prompts) if own else answers)
        losses.append(trainer.fit([batch])[-1]["loss"])
    return losses


def as_in_the_library(seed):
    """The batches of OnPolicy, without answers yet, and a sampler that draws the same samples."""
    source = OnPolicy(starts[0], prompts, size=SIZE, seed=seed)
    order, numbers = source.rng(0).permutation(count), iter(range(len(source)))
    data = [([prompts[i] for i in at], None) for at in np.split(order, range(SIZE, count, SIZE))]

    def sample(student, chosen):
        rng = source.rng(0, next(numbers))
        rng.random()  # the library throws its coin first
        own = int(rng.integers(2**31))
        return generate(student, chosen, ROOM, eos=END, seed=own, batch_size=SIZE, progress=False)

    return data, sample


# check.ready(yours, the library's) is your function if it has passed its checks
make_batch, loss_of = check.ready(own_batch, library_batch), check.ready(gkd_loss, library_gkd)
loop = check.ready(train_gkd, library_loop)
student, by_library = copy.deepcopy(starts[0]), copy.deepcopy(starts[0])
data_of_prompts, sample = as_in_the_library(seed=0)
losses = loop(
    student,
    teacher,
    data_of_prompts,
    torch.optim.Adam(student.parameters(), RATE),
    sample,
    make_batch,
    lambda q, p, labels: loss_of(q, p, labels, beta=1),
    np.random.default_rng(0),
    fraction=1.0,
)
for step in range(0, len(losses), 10):
    print(f"step {step:2d}: reverse KL on its own samples {losses[step]:.3f} nats a token")
Trainer(
    by_library,
    SoftTargets(divergence=reverse_kl),
    teacher=teacher,
    optimizer=lambda weights: torch.optim.Adam(weights, RATE),
    device="cpu",
    progress=False,
).fit(OnPolicy(by_library, prompts, size=SIZE, seed=0, max_new=ROOM, eos=END))
apart = max(
    (a - b).abs().max().item()
    for a, b in zip(student.parameters(), by_library.parameters(), strict=True)
)
before, after, same = (on_road(look(net, write(net))) for net in (starts[0], student, by_library))
print(
    f"valid: {before:.1%} before, {after:.1%} after {len(losses)} steps; by the library {same:.1%}"
)
print(f"the two students' weights differ by at most {apart:.0e}")


# %% [markdown]
# That is GKD. Whether more valid sequences are progress depends on what was given up for them, and we did not look yet. Now the comparison: every student starts as one of our students above, and gets the same number of
# further steps on batches of the same size. Five things are read from each, on prompts that nobody trained on:
#
# - **valid**: the share of its sequences that never leave the road;
# - **nonsense**: $\mathrm{KL}(q\|p)$ of whole sequences, estimated on its own samples: the mean of $\log q(y) - \log p(y)$. What it writes and the teacher would not;
# - **missing**: $\mathrm{KL}(p\|q)$ of whole sequences, the mean of $\log p(y) - \log q(y)$ on the teacher's samples. What the teacher writes and it would not: lost *diversity*;
# - **lane**: its mean distance from the middle of the road, and **tokens**, the mean length of an answer (28 at most): where the missing sequences are missing.
#
# The first row is the teacher itself, on sequences cut to the same 28 tokens. Below the means stand **paired differences**: each student minus the student with the same beginning in the row it is compared with, the mean of
# these differences and its 95% interval. What the students have in common (a good or a bad beginning) cancels; a star stands where the interval leaves out 0. The intervals are about the luck of a student's seed: the 3200 sequences
# are the same for all.
#
# **What do you expect?** Which of the two changes more: the source of the sequences, or the divergence? And can anything look better than it is?


# %% role="show" name="gkd"
def measure(student):
    """The numbers above, for one student."""
    own, theirs = look(student, sequences := write(student)), look(student, held_out)
    return {
        "valid": on_road(own),
        "nonsense": own["log_ratio"].mean().item(),
        "missing": -theirs["log_ratio"].mean().item(),
        "lane": (own["lane"] * own["real"]).sum().item() / own["real"].sum().item(),
        "tokens": float(np.mean([len(answer) for _, answer in sequences])),
    }


results, trained_students = {}, {}
more = 2 if scale == "smoke" else 4
forward_more, backward_more = (
    f"{kl} KL, teacher's, {more}x steps" for kl in ("forward", "reverse")
)
HEAD = f"{'':34}  valid  nonsense  missing   lane  tokens   CPU s"


def compare(name, objective, fraction, passes=1, batches_of=None, **sampling):
    """Train a copy of every student and print a line: the means over the seeds."""
    runs, students = [], []
    for seed, start in enumerate(starts):
        student = copy.deepcopy(start)
        batches = (batches_of or shuffled)(100 + seed)
        if fraction:
            how = {"size": SIZE, "seed": seed, "max_new": ROOM, "eos": END, **sampling}
            batches = OnPolicy(student, prompts, batches, fraction, **how)
        epochs = passes * max(1, PASSES // 2)
        seconds = train(student, objective, batches, epochs) if passes else 0.0
        runs.append(measure(student) | {"seconds": seconds})
        students.append(student)
    results[name], trained_students[name] = runs, students
    mean = {key: np.mean([run[key] for run in runs]) for key in runs[0]}
    print(
        f"{name:34} {mean['valid']:6.1%}  {mean['nonsense']:8.2f}  {mean['missing']:7.2f}"
        f"  {mean['lane']:5.2f}  {mean['tokens']:6.1f}  {mean['seconds']:6.1f}"
    )


def paired(name, other):
    """Mean difference of the two rows, seed by seed, with its 95% interval."""
    if not {name, other} <= set(results):
        return print(f"  {name} - {other}: not run")
    line = f"  {name} - {other}:\n   "
    for key, unit, digits in (("valid", 100, 1), ("nonsense", 1, 2), ("missing", 1, 2)):
        both = zip(results[name], results[other], strict=True)
        mean, half = mean_interval([unit * (a[key] - b[key]) for a, b in both])
        star = "*" if abs(mean) > half else " "
        line += f"  {key} {mean:+.{digits}f} ± {half:.{digits}f}{star}"
    print(line)


def sorted_by_length(seed):
    """What SequenceBatches does by default: sequences of similar length share a batch."""
    return SequenceBatches(data, size=SIZE, seed=seed)


forward, backward, middle = (
    SoftTargets(),
    SoftTargets(divergence=reverse_kl),
    SoftTargets(divergence=jsd),
)
print(HEAD)
cut = [(prompt, answer[:ROOM]) for prompt, answer in held_out]  # the students have no more room
seen = look(starts[0], cut)
lane = (seen["lane"] * seen["real"]).sum().item() / seen["real"].sum().item()
short, whole = (np.mean([len(answer) for _, answer in some]) for some in (cut, held_out))
print(f"{'the teacher':34} {on_road(seen):6.1%}  {0:8.2f}  {0:7.2f}  {lane:5.2f}  {short:6.1f}")
compare("no further step", forward, 0, passes=0)
compare("sequence-level", HardLabels(), 0)
compare("sequence-level, sorted by length", HardLabels(), 0, batches_of=sorted_by_length)
compare("forward KL, teacher's samples", forward, 0)
compare("forward KL, half and half", forward, 0.5)
compare("forward KL, own samples", forward, 1)
compare("JSD, own samples", middle, 1)
compare("reverse KL, own samples", backward, 1)
compare("reverse KL, teacher's samples", backward, 0)
print("paired differences, valid in percentage points, the others in nats:")
paired("sequence-level", "forward KL, teacher's samples")
paired("forward KL, own samples", "forward KL, teacher's samples")
paired("JSD, own samples", "forward KL, own samples")
paired("reverse KL, own samples", "forward KL, own samples")
paired("reverse KL, teacher's samples", "reverse KL, own samples")
ends = [(batch["labels"] == END).float().mean().item() for batch in sorted_by_length(0)]
print(f"(the teacher's answers have {whole:.1f} tokens with all the room they want)")
print("share of ends in the batches sorted by length, every fifth batch:")
print("  " + ", ".join(f"{share:.0%}" for share in sorted(ends, reverse=True)[::5]))

# %% [markdown]
# **What we saw.** Read the columns *nonsense* and *missing*, and below them the stars; everything has the same budget.
# - **The source.** With the forward KL, from the teacher's samples over half-and-half to the student's own, nonsense falls. Hardly more is missing, and in the share of valid sequences the difference is small. How sure that is, the second
#   pair of lines says: only what has a star is decided by these students.
# - **The divergence.** On its own samples, JSD and then the reverse KL go on down in nonsense, and with the reverse KL nine in ten sequences are valid. The price is in the other column: more is missing.
#   And the *lane* tells what: the student keeps closer to the middle of the road than the teacher, where it is safe for somebody who counts badly. It writes less nonsense because it attempts less. That is **mode-seeking**.
# - **The reverse KL does not need the student's samples for that.** On the teacher's samples it gives as many valid sequences or more, at a still higher price in what is missing. The two dials are two dials, and
#   on this road the divergence was the stronger one.
# - **Sequence-level KD** (one token as target) is about as good as the whole distribution here: with tens of thousands of tokens to learn from, the noise of single tokens averages out. The first pair of lines has the difference.
# - **The most beautiful number is a bug.** The same sequence-level student, its batches sorted by length, has many more valid sequences. Look at the column *tokens*: it stops after half as many as the teacher in the
#   same room. Every batch weighs the same in training; so in a batch of short sequences each token weighs more, and many of those tokens are ends (last line printed): all of them in the
#   shortest batch, nearly every second one in the sixth. Soft targets are immune (the teacher's chance of ending is the same everywhere), sampled ones are not. Batches of equally many *tokens* (`SequenceBatches(tokens=...)`) or in random order repair it. A quality that short answers can buy must be read beside the length.
#
# ## MiniLLM: where a token leads
#
# GKD on its own samples asks at each token: *is this what the teacher would say here?* It never asks: *do I want to be here?* A step to the edge of the road may be perfectly fine with the teacher, who
# will handle it, and a bad idea for a student who has lost count. The sampling decides which prefixes we see, and GKD sends no gradient through it.
#
# MiniLLM (Gu et al. 2023) does. It minimises the reverse KL between **whole answers**,
#
# $$\mathrm{KL}(q\|p) = \mathbb{E}_{y\sim q}\big[\log q(y) - \log p(y)\big].$$
#
# An answer is written token by token, each with all before it in view, so $q(y) = \prod_t q(y_t|y_{<t})$, and $p$ likewise. Nobody can sum over all answers,
# and the student's parameters hide in *what is sampled*. The way out is the **policy gradient**, also called REINFORCE (Williams 1992). With $\nabla$
# the gradient in the student's parameters, on which $p$ does not depend, and $\nabla q = q\,\nabla\log q$,
#
# $$\nabla \sum_y q(y)\,\log\frac{q(y)}{p(y)} \;=\; \sum_y q(y)\Big[\log\frac{q(y)}{p(y)} + 1\Big]\nabla\log q(y) \;=\; \mathbb{E}_{y\sim q}\Big[\log\frac{q(y)}{p(y)}\;\nabla\log q(y)\Big].$$
#
# The $+1$ is gone because $\sum_y \nabla q(y) = \nabla 1 = 0$. An expectation over the student's own samples: draw some, average. Each sample that the student finds more likely than the teacher
# does is pushed down, the others up. The expectation over $y \sim q$ means $q$ itself: from samples with a cut or another temperature (exercise 1) this would be the gradient of something else.
#
# Take a vocabulary of three tokens and answers of a single token, $q = \mathrm{softmax}(z)$. There both sides can be written down: the gradient of $\log q_y$ in the logits is
# $\mathrm{onehot}(y) - q$, and the exact gradient is what autograd makes of `reverse_kl(z, teacher)`.
#
# ### Exercise 5: REINFORCE
# No autograd here: put the pieces together.
#
# <details><summary>Hint: one sample by hand</summary>
#
# Let token 2 be sampled. The number in front is `log_q[2] - log_p[2]`. The vector after it is `onehot(2) - q`: for three tokens `[-q0, -q1, 1 - q2]`. Number times vector is the estimate from this one sample; it has one
# entry for each logit.
# </details>
#
# <details><summary>Hint: all samples at once</summary>
#
# `(log_q - log_p)[samples]` has shape (n,): with `samples` as an index every sample picks its number. `F.one_hot(samples, V)`, or `torch.eye(V)[samples]`, has shape (n, V). For the product
# give the numbers a second axis, `[:, None]`; the mean runs over axis 0.
# </details>


# %% role="answer" name="reinforce"
def reinforce(student, teacher, samples):
    """Estimate of the gradient of KL(q || p) in the student's logits, from tokens sampled from q.

    student, teacher: logits (V,). samples: (n,), whole numbers in [0, V). Returns (V,): the mean over samples of
    what stands in the expectation, with the gradient taken in the logits.
    """
    # YOUR CODE: the log-ratio of each sampled token, the gradient of its log-probability, their mean
    # BEGIN SOLUTION
    log_q, log_p = log_softmax(student), log_softmax(teacher)  # (V,)
    weight = (log_q - log_p)[samples]  # (n,)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()  # (n, V)
    return (weight[:, None] * score).mean(0)
    # END SOLUTION


# %% role="check" name="reinforce.values" points=1 hint="For each sample a number, the log-ratio of the sampled token, times a vector (V,), the gradient of that token's log q. Then the mean over samples."
rng = check.rng("reinforce.values")
found = []
for size, number in ((3, 6), (5, 11)):
    student, teacher_z = draw(rng, size).detach(), draw(rng, size).detach()
    samples = torch.tensor(rng.permutation(np.r_[:size, rng.integers(size, size=number - size)]))
    found.append(check.call(reinforce, student, teacher_z, samples))
check("reinforce.values", found)

# %% role="check" name="reinforce.one_token" points=1 hint="One sample at a time: how far does each token push? Logits may have any constant added to them."
rng = check.rng("reinforce.one_token")
student, teacher_z = draw(rng, 4, size=1.0).detach() + 5, draw(rng, 4, size=1.0).detach()
check(
    "reinforce.one_token",
    [check.call(reinforce, student, teacher_z, torch.tensor([token])) for token in range(4)],
)

# %% role="check" name="reinforce.expected" points=1 hint="Averaged over the tokens with the student's own probabilities, the estimate is the exact gradient."
rng = check.rng("reinforce.expected")


def average(rng, size):
    """What comes out on average: each token once, weighted with its probability under the student."""
    student, teacher = draw(rng, size, size=1.5).detach(), draw(rng, size, size=1.5).detach()
    estimates = [check.call(reinforce, student, teacher, torch.tensor([y])) for y in range(size)]
    return sum(q * estimate for q, estimate in zip(softmax(student), estimates, strict=True))


check("reinforce.expected", [average(rng, size) for size in (3, 6)])

# %% role="hidden" name="reinforce.secret" points=1 hint="More tokens, and logits far apart: log_softmax, and every sample counts the same."
rng = check.rng("reinforce.secret")
found = []
for size in (2, 900, 900, 900):
    student, teacher_z = draw(rng, 7, size=size).detach(), draw(rng, 7, size=size).detach()
    samples = torch.tensor(np.r_[rng.permutation(7), rng.integers(7, size=4)])
    found.append(check.call(reinforce, student, teacher_z, samples))
check("reinforce.secret", found)


# %% role="alternative" of="reinforce" name="reinforce.one_by_one"
def reinforce(student, teacher, samples):
    log_q, log_p = F.log_softmax(student, -1), F.log_softmax(teacher, -1)
    q, total = log_q.exp(), torch.zeros_like(student)
    for y in samples.tolist():
        score = -q.clone()
        score[y] += 1
        total = total + (log_q[y] - log_p[y]) * score
    return total / len(samples)


# %% role="alternative" of="reinforce" name="reinforce.counted"
def reinforce(student, teacher, samples):
    log_q, log_p = torch.log_softmax(student, 0), torch.log_softmax(teacher, 0)
    share = torch.bincount(samples, minlength=student.numel()).to(student.dtype) / samples.numel()
    weighted = share * (log_q - log_p)
    return weighted - weighted.sum() * log_q.exp()


# %% role="alternative" of="reinforce" name="reinforce.by_matrix"
def reinforce(student, teacher, samples):
    V = student.shape[0]
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    grads = F.one_hot(samples, num_classes=V).double() - softmax(student).double()
    return (log_q - log_p)[samples].double() @ grads / samples.shape[0]


# %% role="mutant" of="reinforce" name="reinforce.sign" loses="reinforce.values, reinforce.one_token, reinforce.expected, reinforce.secret" hint="The sign is wrong: either your log-ratio is log p - log q, or your gradient is q - onehot. What the student finds likelier than the teacher does must be pushed down."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((log_p - log_q)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.plus_one" loses="reinforce.values, reinforce.one_token, reinforce.secret" hint="You kept the + 1. On average it changes nothing, since the scores average to 0; in every single estimate it is noise."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return (((log_q - log_p)[samples] + 1)[:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.weighted_twice" loses="reinforce.values, reinforce.one_token, reinforce.expected, reinforce.secret" hint="You multiplied by q(y). The samples were drawn from q: likely tokens are there more often already."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((log_q.exp() * (log_q - log_p))[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.one_hot_only" loses="reinforce.values, reinforce.one_token, reinforce.expected, reinforce.secret" hint="The gradient of log q(y) is onehot(y) - q: raising one token's log-probability lowers the others'. You left out the - q."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples]
    return ((log_q - log_p)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.sum" loses="reinforce.values, reinforce.secret" hint="You summed over the samples. The gradient must not grow with their number: take the mean."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((log_q - log_p)[samples][:, None] * score).sum(0)


# %% role="mutant" of="reinforce" name="reinforce.from_teacher" loses="reinforce.values, reinforce.one_token, reinforce.expected, reinforce.secret" hint="Your score is that of the teacher, onehot(y) - p. It is the student's log-probability that is differentiated."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_p.exp()
    return ((log_q - log_p)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.exact" loses="reinforce.values, reinforce.one_token, reinforce.secret" hint="That is the exact gradient, whatever was sampled. Here there are few tokens to sum over; whole answers are too many, so learn to do it from samples."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    q = log_q.exp()
    kl = (q * (log_q - log_p)).sum()
    return q * (log_q - log_p - kl)


# %% role="mutant" of="reinforce" name="reinforce.probabilities" loses="reinforce.secret" hint="You take logarithms of probabilities, which are 0 to the computer at these logits. Use log_softmax."
def reinforce(student, teacher, samples):
    q, p = softmax(student), softmax(teacher)
    score = torch.eye(len(student)).to(q)[samples] - q
    return ((q.log() - p.log())[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.clamped" loses="reinforce.secret" hint="A small number added to the probabilities, or a clamp, hides the infinity and cuts off the log-ratios. Use log_softmax."
def reinforce(student, teacher, samples):
    q, p = softmax(student).clamp_min(1e-12), softmax(teacher).clamp_min(1e-12)
    score = torch.eye(len(student)).to(q)[samples] - q
    return ((q.log() - p.log())[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.each_once" loses="reinforce.values, reinforce.secret" hint="Every sampled token counts once in your mean, however often it was sampled. Samples are drawn from q: how often a token comes is its weight."
def reinforce(student, teacher, samples):
    samples = samples.unique()
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((log_q - log_p)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.raw_logits" loses="reinforce.values, reinforce.one_token, reinforce.secret" hint="Logits are not log-probabilities: log_softmax first. (On average the difference, a constant, cancels; in every single estimate it is noise.)"
def reinforce(student, teacher, samples):
    score = torch.eye(len(student)).to(student)[samples] - softmax(student)
    return ((student - teacher)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.no_ratio" loses="reinforce.values, reinforce.one_token, reinforce.expected, reinforce.secret" hint="The log-ratio is missing: without it this is the gradient of the mean log q, which averages to 0."
def reinforce(student, teacher, samples):
    log_q = log_softmax(student)
    return (torch.eye(len(student)).to(log_q)[samples] - log_q.exp()).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.mean_times_mean" loses="reinforce.values, reinforce.secret" hint="The mean of a product is not the product of the means: multiply for each sample, then take the mean."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return (log_q - log_p)[samples].mean() * score.mean(0)


# %% role="mutant" of="reinforce" name="reinforce.baseline" loses="reinforce.values, reinforce.one_token, reinforce.expected, reinforce.secret" hint="You subtracted the mean log-ratio, a baseline. It calms the noise, but is not asked for here; and one that contains the sample itself makes the gradient too small, to nothing for a single sample."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    weight = (log_q - log_p)[samples]
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((weight - weight.mean())[:, None] * score).mean(0)


# %% [markdown]
# Right on average: how noisy is it? A thousand estimates from 8 samples each, against the exact gradient.
#
# **What do you expect?** Will a single estimate have the right signs?


# %% role="show" name="noise"
def library_reinforce(student, teacher, samples):
    z = student.detach().requires_grad_()
    log_q = log_softmax(z)
    weight = (log_q - log_softmax(teacher)).detach()[samples]
    return torch.autograd.grad((weight * log_q[samples]).mean(), z)[0]


estimate = check.ready(reinforce, library_reinforce)
z, v = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([-1.0, 0.5, 0.5])
z.requires_grad_()
(exact,) = torch.autograd.grad(reverse_kl(z, v), z)
torch.manual_seed(0)
samples = torch.multinomial(softmax(z.detach()), 8 * 1000, replacement=True).view(1000, 8)
cloud = torch.stack([estimate(z.detach(), v, row) for row in samples])  # (1000, 3)
figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
# Few values are possible with 8 samples of three tokens: a dot's area says how often one came.
places, often = np.unique(cloud.numpy().round(5), axis=0, return_counts=True)
axes.scatter(*places.T[:2], s=2 * often, color=COLORS[4], label="8 samples each, area: how often")
axes.plot(*cloud.mean(0)[:2], "o", color=COLORS[0], label="their mean")
axes.plot(*exact[:2], "x", color="black", markersize=10, label="exact: the sum over three tokens")
axes.set(xlabel="gradient in the logit of token 0", ylabel="… of token 1")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=8)
plots.show(
    "A thousand estimates of the gradient, each from 8 samples, as dots of different size; their "
    "mean lies on the exact gradient, single estimates lie far from it."
)
print(f"exact {exact.numpy().round(3)}, mean of the estimates {cloud.mean(0).numpy().round(3)}")
print(f"standard deviation of one estimate {cloud.std(0).numpy().round(3)}")

# %% [markdown]
# **What we saw.** The mean of a thousand estimates agrees with the exact gradient in the second decimal. One estimate (of 8 samples) is typically off by a tenth of the gradient's first entry, a quarter of its second and two thirds of
# its third (the standard deviations, last line). And this is a single token out of three.
#
# ## Sum where you can, sample where you must
#
# An answer has many tokens, $\log q(y) - \log p(y) = -\sum_t r_t$ with $r_t = \log p(y_t|y_{<t}) - \log q(y_t|y_{<t})$, and so $\nabla\log q(y)$ is a sum over $t$ as well. Three
# observations turn REINFORCE into MiniLLM. For the choice of $y_t$:
#
# - what came **before** it is not its doing: given $y_{<t}$ the factor $r_{t'}$ of an earlier token, $t' < t$, is a constant, and $\mathbb{E}[\nabla\log q(y_t|y_{<t})] = \sum_{y_t} \nabla q(y_t|y_{<t}) = 0$. Those terms
#   average to 0 and are left out;
# - the token **itself** can be summed over, the vocabulary is finite: $\mathbb{E}_{y_t}[-r_t\,\nabla\log q(y_t|y_{<t})]$ is the formula above for an answer of one token, so it is $\nabla\,\mathrm{KL}(q\|p)$ at position $t$, exactly,
#   without the noise you have just seen. (Alone, this is GKD with the reverse KL.)
# - what comes **after** it must be sampled.
#
# $$\nabla\,\mathrm{KL} = \mathbb{E}_{y\sim q} \sum_t \Big[\;\underbrace{\nabla\,\mathrm{KL}(q\|p)_t}_{\text{single step}}\; - \;\underbrace{R_{t+1}\,\nabla\log q(y_t|y_{<t})}_{\text{long part}}\;\Big], \qquad R_{t+1} = \sum_{t' > t} r_{t'} .$$
#
# $R_{t+1}$, the **return**, says whether what followed was more to the teacher's taste than to the student's own. On average each $r$ is negative (its mean is minus a KL), so every further
# token costs something, and there is a cheap way to pay less: *stop early*. Therefore MiniLLM divides the return by the number of tokens it sums, $R_{t+1} / (\text{tokens after } t)$.
# After that it is no longer the gradient of $\mathrm{KL}(q\|p)$: a direction that the authors found to work better. We shall try both.
#
# ### Exercise 6: the return
# For a whole batch at once. `scored` marks the positions that predict an answer token (exercise 2), and `gain` there is that token's $r$. Earlier positions, the prompt's, get a return as well; it does no harm, since
# they are not in the loss. Padding has no future, and is nobody's future; what stands there may be infinite.
#
# <details><summary>Hint: a sum over what comes after</summary>
#
# The sum up to and including t is `cumsum(1)`. Turn the rows around, `flip(1)`, sum up, turn back: the sum from t on, t included.
# </details>


# %% role="answer" name="future"
def future(gain, scored, normalise=True):
    """R_{t+1}: the sum of gain over the scored positions after t in the same row, or their mean.

    gain: (B, T), anything at positions that are not scored, infinities too. scored: bool (B, T). Returns (B, T),
    at every position; 0 where nothing scored comes after t.
    """
    # YOUR CODE: silence what is not scored, sum over later positions, count them, divide if asked
    # BEGIN SOLUTION
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    return total / count.clamp_min(1) if normalise else total
    # END SOLUTION


# %% role="setup" name="future-specimen"
def answers_at(rng, rows, size, holes=False):
    """bool (rows, size): where an answer is scored, with prompt before and padding after, or with holes."""
    scored = torch.zeros(rows, size, dtype=torch.bool)
    for n, row in enumerate(scored):
        first = rng.integers(1, size - 4)
        row[first : first + 3 + n % 2] = True  # 3 or 4 tokens; the last position is padding
        if holes:
            row[first + 1] = False
    return scored


# %% role="check" name="future.sum" points=1 hint="Not normalised, everything scored: the sum over strictly later positions of the same row. The last one has none."
rng = check.rng("future.sum")
everything = torch.ones(3, 5, dtype=torch.bool)
gain = draw(rng, 3, 5).detach()
check("future.sum", check.call(future, gain, everything, normalise=False))

# %% role="check" name="future.mean" points=1 hint="Normalised: divided by the number of later positions; 0 at the last, not 0 / 0."
rng = check.rng("future.mean")
gains = draw(rng, 2, 5).detach(), draw(rng, 1, 7).detach()
check(
    "future.mean",
    [check.call(future, gain, torch.ones(gain.shape, dtype=torch.bool)) for gain in gains],
)

# %% role="check" name="future.masked" points=1 hint="Prompt in front, padding after: neither is summed or counted, whatever numbers stand there. If future.sum fails too, mend it first."
rng = check.rng("future.masked")
gain, scored = draw(rng, 4, 8).detach(), answers_at(rng, 4, 8)
check(
    "future.masked",
    [check.call(future, gain, scored, normalise) for normalise in (False, True)],
)

# %% role="check" name="future.garbage" points=1 hint="An infinite number may stand where nothing is scored: fill it (masked_fill), do not multiply it by 0. If future.sum fails too, mend it first."
rng = check.rng("future.garbage")
scored = answers_at(rng, 3, 7)
gain = draw(rng, 3, 7).detach().masked_fill(~scored, -np.inf)
check(
    "future.garbage",
    [check.call(future, gain, scored, normalise) for normalise in (False, True)],
)

# %% role="hidden" name="future.secret" points=1 hint="Garbage of any kind where nothing is scored, in the middle of a row too, and rows with nothing scored at all: fill what is not scored with 0, do not multiply it by 0."
rng = check.rng("future.secret")
scored = answers_at(rng, 5, 9, holes=True)
scored[rng.integers(5)] = False  # an answer that is not scored at all
gain = draw(rng, 5, 9).detach().masked_fill(~scored, -np.inf)
gain[:, -1] = np.nan
check(
    "future.secret",
    [check.call(future, gain, scored, normalise) for normalise in (False, True)],
)


# %% role="alternative" of="future" name="future.by_loops"
def future(gain, scored, normalise=True):
    out = torch.zeros_like(gain)
    for b in range(gain.shape[0]):
        total, number = 0.0, 0
        for t in reversed(range(gain.shape[1])):
            out[b, t] = total / max(number, 1) if normalise else total
            if scored[b, t]:
                total, number = total + gain[b, t], number + 1
    return out


# %% role="alternative" of="future" name="future.by_matrix"
def future(gain, scored, normalise=True):
    T = gain.shape[1]
    later = torch.tril(torch.ones(T, T, dtype=gain.dtype), diagonal=-1)  # [t', t]: t' after t
    total = torch.where(scored, gain, torch.zeros_like(gain)) @ later
    if not normalise:
        return total
    number = scored.to(gain.dtype) @ later
    return torch.where(number > 0, total / number.clamp(min=1), torch.zeros_like(total))


# %% role="alternative" of="future" name="future.total_minus_past"
def future(gain, scored, normalise=True):
    gain = torch.nan_to_num(gain, nan=0.0, posinf=0.0, neginf=0.0) * scored
    rest = gain.sum(1, keepdim=True) - gain.cumsum(1)
    left = scored.sum(1, keepdim=True) - scored.cumsum(1)
    return torch.where(left > 0, rest / left.clamp_min(1) if normalise else rest, 0.0)


# %% role="mutant" of="future" name="future.itself" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="Your sum includes position t itself. That is the single step, which is computed exactly; the return begins at t + 1."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1)
    count = scored.long().flip(1).cumsum(1).flip(1)
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.past" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="You summed what came before t. A token is answerable for what follows it."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.cumsum(1) - gain
    count = scored.long().cumsum(1) - scored.long()
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.not_normalised" loses="future.mean, future.masked, future.garbage, future.secret" hint="normalise=True must divide by the number of later tokens. Without it, the shortest answer wins."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    return gain.flip(1).cumsum(1).flip(1) - gain


# %% role="mutant" of="future" name="future.whole_length" loses="future.mean, future.masked, future.garbage, future.secret" hint="You divided by the length of the whole answer. Each return is divided by the number of tokens it sums."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    return total / scored.sum(1, keepdim=True).clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.zero_by_zero" loses="future.mean, future.masked, future.garbage, future.secret" hint="After the last token there is nothing: 0 / 0 is not a number. The return there is 0."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    return total / count if normalise else total


# %% role="mutant" of="future" name="future.padding" loses="future.masked, future.garbage, future.secret" hint="Prompt and padding are summed and counted. Only scored positions have a future, or are one."
def future(gain, scored, normalise=True):
    total = gain.flip(1).cumsum(1).flip(1) - gain
    later = torch.arange(gain.shape[1] - 1, -1, -1).expand_as(gain)
    return total / later.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.padding_counted" loses="future.masked, future.garbage, future.secret" hint="You divide by the number of later positions, padding included: the same answer gets another return in another batch."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    later = torch.arange(gain.shape[1] - 1, -1, -1).expand_as(gain)
    return total / later.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.times_zero" loses="future.garbage, future.secret" hint="You multiplied what is not scored by 0. Where -inf stands that gives not-a-number: use masked_fill."
def future(gain, scored, normalise=True):
    gain = gain * scored
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.whole_batch" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="Your sum runs over the rows (axis 0): the future of one sequence is not that of another."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(0).cumsum(0).flip(0) - gain
    count = scored.long().flip(0).cumsum(0).flip(0) - scored.long()
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.prompt_zero" loses="future.masked, future.garbage, future.secret" hint="A position before the answer does have a future: only a position with nothing scored behind it gets 0."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    total = total / count.clamp_min(1) if normalise else total
    return total.masked_fill(~scored, 0.0)


# %% role="mutant" of="future" name="future.counts_itself" loses="future.mean, future.masked, future.garbage, future.secret" hint="You count position t itself: one too many. Count as you sum, strictly later positions."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1)
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.always_divided" loses="future.sum, future.masked, future.garbage, future.secret" hint="You divide by the number of later positions whatever normalise says: with normalise=False the sum stays a sum."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    return total / count.clamp_min(1)


# %% role="mutant" of="future" name="future.inverted" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="normalise=True divides, normalise=False does not: your two branches are swapped."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    return total if normalise else total / count.clamp_min(1)


# %% role="mutant" of="future" name="future.in_place" loses="future.masked, future.garbage, future.secret" hint="gain[~scored] = 0 writes into the caller's tensor. masked_fill makes a new one."
def future(gain, scored, normalise=True):
    gain[~scored] = 0.0
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.next_only" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="Your return is the next token's gain alone. It sums over everything that comes after t."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    return torch.cat([gain[:, 1:], torch.zeros_like(gain[:, :1])], 1)


# %% role="mutant" of="future" name="future.discounted_twice" loses="future.mean, future.masked, future.garbage, future.secret" hint="You divided each gain by the number of tokens before you summed. Sum first, then divide each return by the number of tokens it sums."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    gain = gain / count.clamp_min(1) if normalise else gain
    return gain.flip(1).cumsum(1).flip(1) - gain


# %% [markdown]
# MiniLLM joins the comparison: with the division and without. And the row that fairness demands: sampling takes time, so what if plain KL on the teacher's samples gets **as much time**, that is
# more steps?
#
# **What do you expect?** Undivided, MiniLLM minimises exactly the column *nonsense*. What will it give up for that? And who wins at equal time?


# %% role="show" name="minillm"
class MyMiniLLM(MiniLLM):
    """The engine's term with the return of exercise 6.

    A Term is a part of a Trainer's objective: it gives the loss at each scored position. out.student and
    out.teacher are the logits there, (N, V); out.batch["positions"] says where they stood in (B, T).
    """

    def per_position(self, out):
        labels, shape = out.batch["labels"], out.batch["input_ids"].shape
        # The engine keeps only the scored positions, in one row; a return needs them back at (B, T).
        flat = (
            torch.full((shape.numel(),), -100)
            .index_put((out.batch["positions"],), labels)
            .view(shape)
        )
        log_q = log_softmax(out.student).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        gain = (
            log_softmax(out.teacher).gather(-1, labels.unsqueeze(-1)).squeeze(-1) - log_q.detach()
        )
        wide = torch.zeros(shape.numel()).index_put((out.batch["positions"],), gain).view(shape)
        R = my_future(wide, flat != -100, self.normalise).flatten()[out.batch["positions"]]
        # R is a constant, so the gradient of -R log q is the long part.
        return reverse_kl(out.student, out.teacher) - R * log_q


def library_future(gain, scored, normalise=True):
    return returns(gain.masked_fill(~scored, 0.0), scored, {}, normalise)


my_future = check.ready(future, library_future)
print(HEAD)
compare("MiniLLM", MyMiniLLM(), 1)
compare("MiniLLM, return not normalised", MyMiniLLM(normalise=False), 1)
compare(forward_more, forward, 0, passes=more)
compare(backward_more, backward, 0, passes=more)
print("paired differences, valid in percentage points, the others in nats:")
paired("MiniLLM", "reverse KL, own samples")
paired("MiniLLM", "reverse KL, teacher's samples")
paired("MiniLLM, return not normalised", "MiniLLM")
paired(forward_more, "forward KL, own samples")
paired(backward_more, "reverse KL, own samples")
paired(backward_more, "MiniLLM")

# %% [markdown]
# **What we saw.** Against the reverse KL token by token (first pair of lines) MiniLLM has more valid sequences, for it is allowed to choose where it goes, and more is missing; in nonsense the difference has no star. Its sequences are
# shorter: dividing the return does not remove the temptation to stop altogether. Undivided, it minimises exactly the number in the column *nonsense*, and gets furthest, with almost everything valid, a third of the
# teacher's length and the most missing of all: it has learned to stop before anything can go wrong. Divided, it follows a direction that is no longer that number's gradient, and that keeps it going.
#
# Then the rows about time. Sampling makes a step several times as expensive (column *CPU s*; the teacher here is free, a real one is not), so four times the steps on the teacher's
# samples cost about as much as one pass on the student's own. With the **forward** KL they buy *coverage*: much less is missing. In nonsense the pair of lines
# has no star: these students leave it **undecided**. So on this toy, where the teacher's samples cost nothing and the student is still learning, nothing in these columns speaks for the on-policy forward KL at equal time.
# With the **reverse** KL, four times the steps on the teacher's samples give more valid sequences than the student's own samples or MiniLLM do (the last two pairs of lines); nonsense and missing are undecided. So here, too, the
# cheaper source held its own.
#
# ## The whole picture
#
# First figure: each method is one point, the mean over its students, with 95% intervals; the thin dots are the students. To the left, little is missing; down, little nonsense; a perfect student would sit in the corner.
# Beside it, the lanes in which they write. Second figure: exposure bias once more, for the forward KL.
#
# **What do you expect?** In the second figure, compare the distance between the two lines of a colour, own prefixes and the teacher's: for which of the three students is it smallest?


# %% role="show" name="front" folded=true
figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 4.6), layout="constrained", width_ratios=(1.4, 1)
)
markers = "osD^v<>PX*hpd8"
for n, (name, runs) in enumerate(results.items()):
    (x, half_x), (y, half_y) = (
        mean_interval([run[key] for run in runs]) for key in ("missing", "nonsense")
    )
    color = COLORS[n % 6]
    students = [run["missing"] for run in runs], [run["nonsense"] for run in runs]
    left.plot(*students, ".", color=color, markersize=3, alpha=0.5)
    left.errorbar(
        x,
        y,
        xerr=min(half_x, 0.9 * x),  # a logarithmic axis has no room for 0
        yerr=min(half_y, 0.9 * y),
        fmt=markers[n],
        color=color,
        markeredgecolor="black" if n >= 6 else "none",
        markersize=7,
        elinewidth=1,
        label=f"{n + 1} {name}",
    )
    side = (7, 5) if n % 2 else (-12, -10)
    left.annotate(str(n + 1), (x, y), side, textcoords="offset points", fontsize=8)
left.set(
    xscale="log",
    yscale="log",
    xlabel="missing: KL(p ‖ q) of whole sequences, nats",
    ylabel="nonsense: KL(q ‖ p), nats",
)
left.minorticks_off()
left.set_xticks([0.5, 0.7, 1, 1.5, 2, 3], [0.5, 0.7, 1, 1.5, 2, 3])
left.set_yticks([1, 2, 5, 10, 20], [1, 2, 5, 10, 20])
left.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
lanes = np.arange(-7, 8)


def occupied(sequences):
    seen = [STEP[torch.tensor(p + a)].cumsum(0).clamp(-7, 7) for p, a in sequences]
    return np.bincount(torch.cat(seen).numpy() + 7, minlength=15) / sum(map(len, seen))


right.axvspan(-EDGE - 0.5, EDGE + 0.5, color="0.9")
right.plot(lanes, occupied(cut), "k:", label="teacher")
for name, color in (
    ("forward KL, teacher's samples", COLORS[1]),
    ("forward KL, own samples", COLORS[2]),
    ("MiniLLM", COLORS[0]),
):
    if name in trained_students:
        own = occupied(write(trained_students[name][0]))
        right.plot(lanes, own, color=color, marker=".", label=name)
    else:
        print(f"{name}: not run")
right.set(xlabel="lane", ylabel="share of the tokens written there", ylim=(0, 0.45))
right.legend(frameon=False, fontsize=7)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Left: nonsense against missing for every method, with intervals; methods with the reverse KL "
    "have less nonsense and more missing. Right: share of the tokens in each lane; the student "
    "trained on the teacher's samples is off the road more often than the others."
)


# %% role="show" name="exposure-again" folded=true
def interval(values):
    """Mean and 95% interval over the seeds, with a star where it leaves out 0."""
    if not np.isfinite(values).all():
        return "too few sequences are so long"
    mean, half = mean_interval(values.tolist())
    return f"{mean:+.3f} ± {half:.3f}{'*' if abs(mean) > half else ''} nats"


figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
late, on_policy = {}, "forward KL, own samples"
for name, color in (
    ("forward KL, teacher's samples", COLORS[1]),
    (forward_more, COLORS[5]),
    (on_policy, COLORS[2]),
):
    if name not in trained_students:
        print(f"{name}: not run")
        continue
    for where, style in (("the teacher's", ":"), ("own", "-")):
        curves = [
            along(look(student, held_out if style == ":" else write(student)))
            for student in trained_students[name]
        ]
        late[name, where] = np.array([level(curve, 21, 26) for curve in curves])
        shortest = min(map(len, curves))
        mean = np.mean([curve[:shortest] for curve in curves], 0)
        label = f"{name}; on {where} prefixes"
        axes.plot(range(1, 1 + shortest), mean, style, color=color, label=label)
        print(f"{name}, on {where} prefixes, tokens 21 to 26: {late[name, where].mean():.3f} nats")
    theirs, own = late[name, "the teacher's"], late[name, "own"]
    print(f"  gap {interval(own - theirs)}")
for name in ("forward KL, teacher's samples", forward_more):
    if not {name, on_policy} <= set(trained_students):
        continue
    print(f"{on_policy} - {name}:")
    for where in ("the teacher's", "own"):
        print(f"  on {where} prefixes {interval(late[on_policy, where] - late[name, where])}")
    gaps = [late[one, "own"] - late[one, "the teacher's"] for one in (on_policy, name)]
    print(f"  their gaps {interval(gaps[0] - gaps[1])}")
axes.set(xlabel="tokens so far", ylabel="KL(p ‖ q) at this position, nats", ylim=(0, None))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=7)
plots.show(
    "KL to the teacher against the number of tokens, on own and on the teacher's prefixes, for three "
    "students in three colours; each has a line for its own prefixes above one for the teacher's."
)

# %% [markdown]
# **What we saw.** More steps on the teacher's samples make the best student of the three on the teacher's prefixes, and the gap to its own prefixes stays open. Trained on its own samples a student is no better to a validation loss
# than after the same number of steps on the teacher's samples, but its gap is smaller: the printed difference has a star. That is what on-policy training repairs. Against four times the steps the gap is not decided by these students.
#
# ## What to keep
# - A student is trained on prefixes that others wrote and is used on its own. The gap is **exposure bias**; it grows with the length, and no loss on held-out data shows it.
# - **Where the data comes from** and **how the gap is measured** are two dials. The student's own samples teach it to live with its errors; the divergence decides which errors it makes: forward KL covers
#   and writes nonsense, reverse KL seeks and leaves things out. The front in the picture is a *choice*, not a ranking: no student on it is the best.
# - **Validity alone is a bad judge.** The highest share of valid sequences belongs to a student that stops after a few tokens, and a bug looked like a gain. Measure diversity and length beside it.
# - MiniLLM adds what GKD ignores: a token is also answerable for what it leads to. Sum over the vocabulary where you can; sample only the future.
# - On-policy training pays for sampling at every step. At the same *time*, more steps on the teacher's samples were the better buy for the forward KL here, in *missing* at least. It is worth its price where the teacher's samples are few or expensive, where
#   answers are long, and where the student cannot catch up by more steps.
#
# Two warnings from outside the toy. Our teacher knows what to do in every lane. A real one was trained on sensible texts too: in front of a beginner's gibberish it is off *its* road. That is why GKD and MiniLLM begin, as we did,
# with a student that has learned off-policy. And a cached teacher (lesson 03) is of no use to samples it has never seen: `CachedTeacher` refuses them.
#
# In the frame of this course, what is matched × how the gap is measured × where the data comes from: sequence-level KD is samples × cross-entropy × teacher's; GKD is distributions × any divergence × any mixture; MiniLLM is sequences × reverse KL ×
# the student's own. Our four corners (two sources, two directions of the KL) have been compared with real models as well: Zhao et al. below.
#
# ## Two experiments
# Write down what you expect before you run them; nobody checks the answers.
# 1. **Eight times as long.** Does the on-policy student's advantage at equal *steps* grow or shrink when both go on for long? `compare("own samples, 8x", forward, 1, passes=8)`, the same with a 0 for the 1, and `paired` for the
#    two names; some minutes. Why might the student that learns from the teacher's samples never catch up, or why might it?
# 2. **Colder samples.** `OnPolicy` passes a temperature on to the sampling: `compare("own samples, T = 0.5", forward, 1, temperature=0.5)`. The student then meets only its likely prefixes. What happens to *nonsense* and *missing*, and
#    why? Then try it with `MyMiniLLM()`, and say which step of the derivation no longer holds.
#
# ## Further reading
# - Ross, Gordon, Bagnell, *A Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning* (DAgger), 2011 ([arXiv 1011.0686](https://arxiv.org/abs/1011.0686)): errors that grow with the square of the length, and the cure.
# - Kim and Rush, *Sequence-Level Knowledge Distillation*, 2016 ([arXiv 1606.07947](https://arxiv.org/abs/1606.07947)).
# - Agarwal et al., *On-Policy Distillation of Language Models* (GKD), 2023 ([arXiv 2306.13649](https://arxiv.org/abs/2306.13649)): algorithm 1 is the loop of exercise 4.
# - Gu et al., *MiniLLM*, 2023 ([arXiv 2306.08543](https://arxiv.org/abs/2306.08543)): section 2.2 has what we left out, sampling from a mixture with the teacher, and updates that are *clipped* (samples are used for several steps, as long as the student has not moved far from where it wrote them).
# - Zhao et al., *Decoupling KL and Trajectories*, 2026 ([arXiv 2605.16826v1](https://arxiv.org/abs/2605.16826v1); we have read the abstract only): the same two choices, prefix source and direction of the KL, all four corners, on mathematical reasoning with real models. It finds that the direction trades accuracy against entropy, and the source quality against compute.
# - Ko et al., *DistiLLM*, 2024 ([arXiv 2402.03898](https://arxiv.org/abs/2402.03898)): skewed divergences, and old samples reused to pay less for sampling.
# - Holtzman et al., *The Curious Case of Neural Text Degeneration*, 2019 ([arXiv 1904.09751](https://arxiv.org/abs/1904.09751)): top-p.
#
# Check your notebook with `.venv/bin/tinykd check lessons/13_on_policy.ipynb`. Lesson 14 takes the simplest of these methods, samples of the teacher and cross-entropy, adds a filter, and teaches a small model to reason.

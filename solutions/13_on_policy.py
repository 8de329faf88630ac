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
# - distil from the teacher's samples, from the student's own samples, and from any mixture of the two (sequence-level KD, GKD);
# - say what a forward and a reverse KL do to a student that is too small to be right everywhere: quality against diversity;
# - derive MiniLLM's gradient, and see what it buys, what its length normalisation is for, and what all of this costs.
#
# | | |
# |---|---|
# | Difficulty | 4 of 5: five functions of four to twelve lines, one derivation |
# | Importance | 4 of 5: how the smaller members of today's model families are distilled |
# | Time | an hour and a half of yours; 2 minutes of computing on 2 cores |
# | Needs | lessons 02, 11 and 12 (divergences; a transformer; shifting and masking) |
#
# The numbers in the text are those of our own run at default scale; yours will differ a little. With `TINYKD_SCALE=smoke` everything runs, on students
# that have hardly learned anything: there is nothing to see in its pictures.

# %% role="setup" name="setup"
import copy
import time

import matplotlib.pyplot as plt
import numpy as np
import torch

import tinykd
from tinykd import (
    HardLabels,
    SoftTargets,
    Trainer,
    forward_kl,
    jsd,
    log_softmax,
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
# ## The passenger seat
#
# Somebody learns to drive by watching. For a hundred hours she sits beside an excellent driver, who keeps to the road all the time, and she learns to say
# at every moment what he will do next. Then she drives. After a minute she is a hand's breadth further to the right than he would ever have been. Nothing she has
# seen tells her what to do there, so her next move is a bit worse, and takes her further out. She has learned his *road*, not how to get back on it.
#
# Language models learn from the passenger seat: in training, every prefix was written by somebody else. When they generate, the prefix is their own. The
# mismatch is called **exposure bias**. Its cure is old (DAgger, Ross et al. 2011) and obvious: let the student drive, and have the teacher say at each moment what *he* would do
# there. That is **on-policy** distillation.
#
# We shall take the story literally. A *drive* is a text of three letters: `L` one lane to the left, `S` straight on, `R` one lane to the right; `^` begins it, `.` ends it. The
# road is seven lanes wide, from −3 to 3, and a drive begins in lane 0. The lane is nowhere in the text: to know where you are you must have *counted* all your Ls and Rs.
# Whether a drive is **valid** (never off the road) can be checked to the letter.
#
# Our teacher is not trained. It is a formula for the next letter, wrapped so that it looks like any other language model, and it knows what to do in every lane, on the road or off it.
# So every number below can be computed without guessing how good the teacher is.

# %% role="show" name="road"
PAD, END, START, LEFT, STRAIGHT, RIGHT = range(6)
LETTERS = ["", ".", "^", "L", "S", "R"]
STEP = torch.tensor([0, 0, 0, -1, 0, 1])  # what each letter does to the lane
EDGE, LONGEST = 3, 32
scale = tinykd.scale()
count, tested, seeds = {
    "smoke": (320, 60, 2),
    "default": (3200, 1000, 4),
    "full": (12800, 4000, 8),
}[scale]


class Driver(torch.nn.Module):
    """Next-letter logits from the lane alone; anything but a sensible letter has probability 0.0001."""

    def __init__(self):
        super().__init__()
        p = torch.full((2 * LONGEST + 1, len(LETTERS)), 1e-4)
        for lane in range(-LONGEST, LONGEST + 1):
            inwards, straight = (
                (0.4, 0.2) if abs(lane) < EDGE else (0.7, 0.3) if abs(lane) == EDGE else (1, 0)
            )
            moves = [inwards, straight, 1 - inwards - straight]  # left, straight, right
            p[lane + LONGEST, LEFT:] += 0.95 * torch.tensor(moves if lane >= 0 else moves[::-1])
            p[lane + LONGEST, END] += 0.05
        self.register_buffer("logits", p.log())

    def forward(self, input_ids, attention_mask=None, positions=None):
        z = self.logits[STEP[input_ids].cumsum(1).clamp(-LONGEST, LONGEST) + LONGEST]  # (B, T, V)
        return z if positions is None else z.flatten(0, 1)[positions]


teacher = Driver()


def draw_drives(axes, drives, color, title):
    """Lane against time; the road is grey."""
    axes.axhspan(-EDGE - 0.5, EDGE + 0.5, color="0.9")
    for n, ids in enumerate(drives):
        lanes = STEP[torch.tensor(ids)].cumsum(0) + 0.06 * (n % 7 - 3)
        axes.plot(lanes, color=color, alpha=0.5, linewidth=1)
    axes.set(title=title, xlabel="letters so far", ylim=(-9, 9), xlim=(0, LONGEST))
    axes.spines[["top", "right"]].set_visible(False)


for lane in (0, 3, 5):
    after = torch.tensor([[START] + [RIGHT] * lane])
    p = softmax(teacher(after)[0, -1])
    print(
        f"in lane {lane}: "
        + ", ".join(f"{LETTERS[i]} {p[i]:.4f}" for i in (LEFT, STRAIGHT, RIGHT, END))
    )

# %% [markdown]
# What the four leave to 1 belongs to `^` and to padding, 0.0001 each: once in a few hundred drives, a letter that leaves you where you are.
#
# ## From logits to a letter
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
check(
    "sampling_probabilities.temperature",
    sampling_probabilities(draw(rng, 4, 9).detach(), temperature=0.6),
)

# %% role="check" name="sampling_probabilities.nucleus" points=1 hint="The smallest set from the top that reaches top_p, the token that crosses it included; the rest is 0, and what is left sums to 1."
rng = check.rng("sampling_probabilities.nucleus")
rows = [rng.permutation([0.4, 0.3, 0.15, 0.1, 0.05]) for _ in range(6)]
z = torch.tensor(np.array(rows)).log()
check(
    "sampling_probabilities.nucleus",
    {p: sampling_probabilities(z, top_p=p) for p in (0.2, 0.5, 0.8, 0.9, 1.0)},
)

# %% role="check" name="sampling_probabilities.rows" points=1 hint="Each row of (2, 3, V) has a nucleus of its own, taken after the temperature, and each probability stays at its token's place."
rng = check.rng("sampling_probabilities.rows")
check(
    "sampling_probabilities.rows",
    sampling_probabilities(draw(rng, 2, 3, 6).detach(), temperature=0.6, top_p=0.9),
)

# %% role="hidden" name="sampling_probabilities.secret" points=1 hint="Temperature and top-p together: the temperature first, and the nucleus of what it gives."
rng = check.rng("sampling_probabilities.secret")
check(
    "sampling_probabilities.secret",
    sampling_probabilities(draw(rng, 6, 8, size=2.0).detach(), temperature=1.7, top_p=0.7),
)


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
# Now the teacher drives: from the beginning, letter by letter, through your function. Each drive is cut into a **prompt** (its first one to four letters) and an **answer** (the rest), and
# this is our data: what the passenger saw. The student is a transformer of lesson 11 with one block and a width of four, 292 numbers in all. It learns from the teacher's full
# distribution at each letter of the answers (forward KL, lesson 12), four passes over the data.


# %% role="show" name="passenger"
def library_probabilities(logits, temperature=1.0, top_p=1.0):
    return nucleus(softmax(logits, temperature), top_p)


probabilities = check.ready(sampling_probabilities, library_probabilities)


def teachers_drives(number, seed):
    """(prompt, answer) pairs written by the teacher."""
    torch.manual_seed(seed)
    ids = torch.full((number, 1), START)
    for _ in range(LONGEST):
        ids = torch.cat([ids, torch.multinomial(probabilities(teacher(ids)[:, -1]), 1)], 1)
    drives = [row[: row.index(END) + 1] if END in row else row for row in ids.tolist()]
    cuts = [1 + n % min(4, len(drive) - 1) for n, drive in enumerate(drives)]
    return [(drive[:cut], drive[cut:]) for drive, cut in zip(drives, cuts, strict=True)]


data, held_out = teachers_drives(count, seed=1), teachers_drives(tested, seed=2)
prompts, test_prompts = ([prompt for prompt, _ in examples] for examples in (data, held_out))
SIZE, ROOM, RATE = (
    64,
    LONGEST - 4,
    1e-2,
)  # drives in a batch; most letters of an answer; learning rate
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


def passenger(seed):
    """A student that has learned from the teacher's drives only."""
    torch.manual_seed(seed)
    student = Transformer(Config(vocab=len(LETTERS), width=4, layers=1, heads=1))
    train(student, SoftTargets(), shuffled(seed))
    return student


passengers = [passenger(seed) for seed in range(seeds)]
for prompt, answer in data[:5]:
    print("".join(LETTERS[i] for i in prompt), "|", "".join(LETTERS[i] for i in answer))
print(
    f"{sum(x.numel() for x in passengers[0].parameters())} parameters; {len(data)} drives to learn from"
)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", sharey=True)
draw_drives(left, [p + a for p, a in held_out[:60]], COLORS[0], "60 drives of the teacher")
draw_drives(
    right, [p + a for p, a in write(passengers[0])[:60]], COLORS[1], "the student, same prompts"
)
left.set_ylabel("lane")
plt.show()

# %% [markdown]
# ## Exposure bias, measured
#
# At every position $t$ we can ask how far the student's distribution for the next letter is from the teacher's, $\mathrm{KL}(p\|q)$, and average over drives. We do it twice for the same
# student: on prefixes that the **teacher** wrote (what a validation loss measures), and on prefixes that the **student** wrote (what happens when it is used).


# %% role="show" name="exposure"
@torch.no_grad()
def look(student, examples):
    """On these drives: log q(answer) - log p(answer), KL(p || q) at each position, lanes, what counts."""
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
    """Share of these drives that never leave the road."""
    return ((seen["lane"] <= EDGE) | ~seen["real"]).all(1).float().mean().item()


def along(seen):
    """Mean KL(p || q) at each position, NaN where hardly a drive is so long."""
    number = seen["scored"].sum(0)
    mean = (seen["kl"] * seen["scored"]).sum(0) / number
    return np.where(number >= max(5, tested // 50), mean, np.nan)[: LONGEST - 4]


def level(curve, first, last):
    """Mean of the curve over these letters, where it is known."""
    part = curve[first - 1 : last]
    return part[~np.isnan(part)].mean() if (~np.isnan(part)).any() else np.nan


def mean_curve(students, examples_of):
    curves = [along(look(student, examples_of(student))) for student in students]
    shortest = min(map(len, curves))
    return np.mean([curve[:shortest] for curve in curves], 0)


figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
curves = {
    "on the teacher's prefixes": mean_curve(passengers, lambda student: held_out),
    "on its own prefixes": mean_curve(passengers, write),
}
for (name, curve), color in zip(curves.items(), COLORS, strict=False):
    axes.plot(range(1, 1 + len(curve)), curve, color=color, marker=".", label=name)
    early, late = level(curve, 3, 6), level(curve, 21, 26)
    print(f"{name:>26}: {early:.3f} nats at letters 3 to 6, {late:.3f} at letters 21 to 26")
valid = [on_road(look(student, write(student))) for student in passengers]
print(
    f"valid drives: {valid[0]:.1%} of the student in the picture, {np.mean(valid):.1%} on average"
)
axes.set(xlabel="letters so far", ylabel="KL(p ‖ q) at this position, nats", ylim=(0, None))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# **What we saw.** Both curves begin together: around the fifth letter the student is about 0.05 nats from the teacher, whoever wrote the prefix. Then they part. On the teacher's
# prefixes it stays below 0.1 nats to the end, and that is all a validation loss ever sees. On its own prefixes the distance grows with every letter, to three times as much. The picture
# of the drives shows why: once off the road it has no idea how to come back, since nobody it watched was ever there. Four in ten of that student's drives
# leave the road, and a third on average over the four that we trained.
#
# Two things are mixed here, and we shall pull them apart. The student is *small*, so it errs. And it was shown the *wrong prefixes*, so it does not know how to live with its errors.
#
# ## Three places to take the data from
#
# 1. **The teacher's samples, cross-entropy on their letters.** *Sequence-level KD* (Kim and Rush 2016): have the teacher write answers, train the student on them as if a person had written
#    them. One line of code; needs no logits, so it works through an API; it is how the R1 models of lesson 14 were made. The paper takes the most likely answers
#    (found by *beam search*: several beginnings are written on side by side, and only the likeliest are kept).
# 2. **The teacher's samples, its whole distribution at each letter.** What our passenger did.
# 3. **The student's samples, the teacher's whole distribution at each letter.** The teacher marks what the student wrote. *Generalised knowledge distillation*, **GKD** (Agarwal et al.
#    2023), makes it a dial: with probability $\lambda$ a batch is the student's own, else it is data. And the divergence is a second dial, turned independently: forward KL,
#    reverse KL, or anything between.
#
# In one step of GKD the student samples answers (with the weights it has *now*, and no gradient flows through the sampling); teacher and student both read prompt + answer; the loss is the
# divergence at the positions that predict an answer letter. The **prompt** was given, not written: it is not scored. And the shift of lesson 12 holds here too: the logits at
# position $t$ are about token $t + 1$, so the last position of the *prompt* predicts the first letter of the answer, and is scored.
#
# All sampling below is at $T = 1$ and `top_p` $= 1$: the student is to meet the prefixes that it writes itself, not those of a more careful version of itself.
#
# ### Exercise 2: a batch of one's own
# An answer that ran out of room has no `.` at its end. Do nothing about it: add none, and score the letters it has. Careful where `pad` is the same id as the end, as in many real models: the position of a token decides what is
# padding, never its id.


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


# %% role="check" name="own_batch.ids" points=1 hint="Prompt, then answer, then pad up to the longest row; all three are tensors of dtype torch.long."
rng = check.rng("own_batch.ids")
made = own_batch([[2, 5], [2], [2, 3, 3]], [rng.integers(3, 6, n).tolist() for n in (4, 7, 2)])
types = {key: str(getattr(value, "dtype", type(value).__name__)) for key, value in made.items()}
check(
    "own_batch.ids", {key: made[key] for key in ("input_ids", "attention_mask")} | {"types": types}
)

# %% role="check" name="own_batch.labels" points=1 hint="labels[b, t] is the NEXT id where that is part of the answer. The last prompt position predicts the first answer letter; the last answer letter predicts nothing."
rng = check.rng("own_batch.labels")
check(
    "own_batch.labels",
    own_batch([[2, 5], [2], [2, 3, 3]], [rng.integers(3, 6, n).tolist() for n in (4, 7, 2)])[
        "labels"
    ],
)

# %% role="check" name="own_batch.pad_is_end" points=1 hint="Here pad and the end have the same id. The end that was sampled is learned and attended to, the padding behind it is not."
rng = check.rng("own_batch.pad_is_end")
answers = [[*rng.integers(3, 6, n).tolist(), 1] for n in (4, 1, 2)]
check("own_batch.pad_is_end", own_batch([[2, 5], [2], [2, 3, 3]], answers, pad=1))

# %% role="hidden" name="own_batch.secret" points=1 hint="Other lengths, ends in some rows only, another pad: nothing may depend on the ids."
rng = check.rng("own_batch.secret")
some = [rng.integers(2, 9, n).tolist() for n in (3, 1, 6, 2)]
answers = [rng.integers(2, 9, n).tolist() + [1] * (n > 1) for n in (1, 5, 2, 2)]
check("own_batch.secret", own_batch(some, answers, pad=7))


# %% role="mutant" of="own_batch" name="own_batch.not_shifted" loses="own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="Your labels stand at the letters themselves. The logits at t are about the letter at t + 1: shift by one to the left."
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


# %% role="mutant" of="own_batch" name="own_batch.first_lost" loses="own_batch.labels, own_batch.pad_is_end, own_batch.secret" hint="The first letter of each answer is not scored. The last position of the prompt predicts it."
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


# %% role="mutant" of="own_batch" name="own_batch.last_lost" loses="own_batch.labels, own_batch.secret" hint="Nothing is added to or taken from an unfinished answer: its last letter was written too, and is scored."
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


# %% role="check" name="gkd_loss.mixture" points=1 hint="beta = 0.3: m = 0.3 p + 0.7 q, and the weights of the two KLs are 0.3 (from p) and 0.7 (from q)."
rng = check.rng("gkd_loss.mixture")
student, teacher_z = draw(rng, 2, 4, 5), draw(rng, 2, 4, 5).detach()
check(
    "gkd_loss.mixture",
    with_gradient(gkd_loss(student, teacher_z, torch.zeros(2, 4, dtype=torch.long), 0.3), student),
)

# %% role="check" name="gkd_loss.ends" points=1 hint="beta = 0 is KL(p || q), p the teacher; beta = 1 is KL(q || p)."
rng = check.rng("gkd_loss.ends")
student, teacher_z = draw(rng, 2, 4, 5), draw(rng, 2, 4, 5).detach()
labels = torch.zeros(2, 4, dtype=torch.long)
check(
    "gkd_loss.ends",
    [with_gradient(gkd_loss(student, teacher_z, labels, beta), student) for beta in (0, 1)],
)

# %% role="check" name="gkd_loss.masked" points=1 hint="Positions labelled -100 count neither in the sum nor in the number, and rows of different lengths share one mean."
rng = check.rng("gkd_loss.masked")
student, teacher_z = draw(rng, 2, 5, 4), draw(rng, 2, 5, 4).detach()
labels = torch.tensor([[-100, 2, 0, 1, -100], [-100, -100, 3, -100, -100]])
check(
    "gkd_loss.masked",
    [with_gradient(gkd_loss(student, teacher_z, labels, beta), student) for beta in (0, 0.5, 1)],
)

# %% role="check" name="gkd_loss.garbage" points=1 hint="Anything may stand where nothing is scored, here not-a-number. Pick the scored positions first, logits[scored]."
rng = check.rng("gkd_loss.garbage")
student, teacher_z = draw(rng, 2, 4, 5), draw(rng, 2, 4, 5).detach()
labels = torch.tensor([[-100, 2, 0, 1], [-100, 3, -100, -100]])
teacher_z[labels == -100] = np.nan
check("gkd_loss.garbage", with_gradient(gkd_loss(student, teacher_z, labels, 0.5), student))

# %% role="check" name="gkd_loss.constant" points=1 hint="The student's gradient is the loss's, the teacher's is 0: the teacher is a constant, detach it."
rng = check.rng("gkd_loss.constant")
student, teacher_z = draw(rng, 2, 3, 4), draw(rng, 2, 3, 4)
labels = torch.zeros(2, 3, dtype=torch.long)
check(
    "gkd_loss.constant",
    [
        {
            "student": with_gradient(gkd_loss(student, teacher_z, labels, beta), student)[
                "gradient"
            ],
            "teacher": with_gradient(gkd_loss(student, teacher_z, labels, beta), teacher_z)[
                "gradient"
            ],
        }
        for beta in (0, 0.5, 1)
    ],
)

# %% role="hidden" name="gkd_loss.secret" points=1 hint="Logits hundreds apart, and masked positions: log-probabilities all the way, logaddexp for the mixture."
rng = check.rng("gkd_loss.secret")
size = [[2.0], [150.0], [150.0], [2.0]]  # of the logits at each of the four positions
student, teacher_z = (
    draw(rng, 2, 4, 6, size=size).float(),
    draw(rng, 2, 4, 6, size=size).float().detach(),
)
labels = torch.tensor([[0, 1, -100, -100], [-100, 3, 4, 2]])
check(
    "gkd_loss.secret",
    [with_gradient(gkd_loss(student, teacher_z, labels, beta), student) for beta in (0.1, 0.9)],
)


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


# %% role="mutant" of="gkd_loss" name="gkd_loss.ends_swapped" loses="gkd_loss.ends, gkd_loss.masked, gkd_loss.constant" hint="The ends are the wrong way round: beta = 0 is the forward KL, with the teacher's probabilities as weights."
def gkd_loss(student, teacher, labels, beta=0.5):
    scored = labels != -100
    log_q, log_p = log_softmax(student[scored]), log_softmax(teacher[scored].detach())

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    if beta in (0, 1):
        return kl(log_p, log_q).mean() if beta == 1 else kl(log_q, log_p).mean()
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log(1 - beta) + log_q)
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


# %% role="mutant" of="gkd_loss" name="gkd_loss.zero_ends" loses="gkd_loss.ends, gkd_loss.masked, gkd_loss.constant" hint="At beta = 0 and 1 your loss is 0 (or not a number): there the mixture is one of the two. By convention the ends are the two plain KLs."
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


# %% role="mutant" of="gkd_loss" name="gkd_loss.mean_of_rows" loses="gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret" hint="You took the mean of each row's mean: a letter of a short answer weighs more than one of a long answer. One mean over all scored positions."
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


# %% role="mutant" of="gkd_loss" name="gkd_loss.class_mean" loses="gkd_loss.mixture, gkd_loss.ends, gkd_loss.masked, gkd_loss.garbage, gkd_loss.secret, gkd_loss.constant" hint="Your mean runs over the vocabulary too: the loss is V times too small. Letters are summed, positions averaged."
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


# %% role="mutant" of="gkd_loss" name="gkd_loss.detached_weights" loses="gkd_loss.ends, gkd_loss.masked, gkd_loss.constant" hint="In KL(q || p) the weights are the student's: do not detach them."
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
# That is all of GKD, and it fits into ten lines of a loop. The next cell runs it by hand on one student, with your two functions.


# %% role="show" name="by-hand"
def library_batch(prompts, answers, pad=0):
    examples = list(zip(prompts, answers, strict=True))
    return SequenceBatches(examples, size=len(examples), pad=pad, shuffle=False, dense=True).batch(
        range(len(examples))
    )


def library_gkd(student, teacher, labels, beta=0.5):
    scored = labels != -100
    return jsd(student[scored], teacher[scored], beta=beta).mean()


make_batch, loss_of = check.ready(own_batch, library_batch), check.ready(gkd_loss, library_gkd)


student = copy.deepcopy(passengers[0])
optimizer = torch.optim.Adam(student.parameters(), RATE)
steps = 3 if scale == "smoke" else 60
for step in range(steps):
    chosen = [prompts[i % count] for i in range(step * SIZE, (step + 1) * SIZE)]
    answers = generate(student, chosen, ROOM, eos=END, seed=step, progress=False)
    batch = make_batch(chosen, answers, pad=PAD)
    logits = student(batch["input_ids"], batch["attention_mask"])
    loss = loss_of(logits, teacher(batch["input_ids"]), batch["labels"], beta=1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step:2d}: reverse KL on its own drives {loss:.3f} nats a letter")
before, after = (on_road(look(net, write(net))) for net in (passengers[0], student))
print(f"valid drives: {before:.1%} before, {after:.1%} after {steps} steps")

# %% [markdown]
# Sixty steps of reverse KL took this student from 61% to 88% valid drives. Whether that is progress depends on what was given up for it, and we did not look yet.
#
# In the engine the source of the batches is an object, and nothing else about training changes (`fraction` is $\lambda$, `max_new` the room for an answer):
#
# ```python
# batches = OnPolicy(student, prompts, data, fraction=0.5, max_new=28, eos=END)
# Trainer(student, SoftTargets(divergence=reverse_kl), teacher=teacher).fit(batches, epochs=4)
# ```
#
# Now the comparison. Every student starts as one of our passengers, and gets the same number of further steps on batches of the same size. Five things are read from each, on prompts
# that nobody trained on:
#
# - **valid**: the share of its drives that never leave the road;
# - **nonsense**: $\mathrm{KL}(q\|p)$ of whole drives, estimated on its own: the mean of $\log q(y) - \log p(y)$. What it writes and the teacher would not;
# - **missing**: $\mathrm{KL}(p\|q)$ of whole drives, the mean of $\log p(y) - \log q(y)$ on the teacher's. What the teacher writes and it would not: lost *diversity*;
# - **lane**: its mean distance from the middle of the road, and **letters**, the mean length of an answer (28 at most). Where the missing drives are missing.
#
# The first row is the teacher itself, on drives cut to the same 28 letters.


# %% role="show" name="gkd"
def measure(student):
    """The numbers above, for one student."""
    own, theirs = look(student, drives := write(student)), look(student, held_out)
    return {
        "valid": on_road(own),
        "nonsense": own["log_ratio"].mean().item(),
        "missing": -theirs["log_ratio"].mean().item(),
        "lane": (own["lane"] * own["real"]).sum().item() / own["real"].sum().item(),
        "letters": float(np.mean([len(answer) for _, answer in drives])),
    }


results, trained = {}, {}


def compare(name, objective, fraction, passes=1, batches_of=None):
    """Train a copy of every passenger and print a line: means over seeds, 95% interval for valid."""
    runs, students = [], []
    for seed, start in enumerate(passengers):
        student = copy.deepcopy(start)
        batches = (batches_of or shuffled)(100 + seed)
        if fraction:
            batches = OnPolicy(
                student, prompts, batches, fraction, size=SIZE, seed=seed, max_new=ROOM, eos=END
            )
        seconds = (
            train(student, objective, batches, passes * max(1, PASSES // 2)) if passes else 0.0
        )
        runs.append(measure(student) | {"seconds": seconds})
        students.append(student)
    results[name], trained[name] = runs, students
    mean, half = mean_interval([run["valid"] for run in runs])
    rest = {key: np.mean([run[key] for run in runs]) for key in runs[0]}
    print(
        f"{name:32} {mean:6.1%} ± {half:5.1%}   {rest['nonsense']:8.2f}  {rest['missing']:7.2f}"
        f"  {rest['lane']:5.2f}  {rest['letters']:7.1f}  {rest['seconds']:7.1f}"
    )


def sorted_by_length(seed):
    """What SequenceBatches does unless told otherwise: drives of similar length share a batch."""
    return SequenceBatches(data, size=SIZE, seed=seed)


forward, backward, middle = (
    SoftTargets(),
    SoftTargets(divergence=reverse_kl),
    SoftTargets(divergence=jsd),
)
print(f"{'':34}valid ± 95%   nonsense  missing   lane  letters    CPU s")
cut = [(prompt, answer[:ROOM]) for prompt, answer in held_out]  # the students have no more room
seen = look(passengers[0], cut)
lane = (seen["lane"] * seen["real"]).sum().item() / seen["real"].sum().item()
short, whole = (np.mean([len(answer) for _, answer in drives]) for drives in (cut, held_out))
print(f"{'the teacher':32} {on_road(seen):6.1%} {0:18.2f}  {0:7.2f}  {lane:5.2f}  {short:7.1f}")
compare("passenger (no further step)", forward, 0, passes=0)
compare("sequence-level", HardLabels(), 0)
compare("… batches sorted by length", HardLabels(), 0, batches_of=sorted_by_length)
compare("forward KL, teacher's drives", forward, 0)
compare("forward KL, half and half", forward, 0.5)
compare("forward KL, own drives", forward, 1)
compare("JSD, own drives", middle, 1)
compare("reverse KL, own drives", backward, 1)
compare("reverse KL, teacher's drives", backward, 0)
ends = [(batch["labels"] == END).float().mean().item() for batch in sorted_by_length(0)]
print(f"(the teacher's answers have {whole:.1f} letters with all the room they want)")
print("ends among the letters of a batch sorted by length, every fifth batch:", end=" ")
print(", ".join(f"{share:.0%}" for share in sorted(ends, reverse=True)[::5]))

# %% [markdown]
# **What we saw.** Read the columns *nonsense* and *missing*; everything of the same budget first.
# - **The source.** With the forward KL, from the teacher's drives over half-and-half to the student's own, nonsense falls from 7.9 to 6.9 to 5.9 nats a drive, and hardly more is missing
#   (0.80, 0.83, 0.85). Valid drives: 75% to 76%, a difference well inside the intervals.
# - **The divergence.** On its own drives, JSD and reverse KL go on down to 4.8 and 2.25 nats, and with the reverse KL 90% of the drives are valid. The price is in the other column: 1.2 nats are missing.
#   And the *lane* tells which: 1.09 on average, where the teacher is at 1.30. The student keeps to the middle of the road, where it is safe for somebody who counts badly. It writes less nonsense because it attempts less. That is mode-seeking.
# - **The reverse KL does not need the student's drives for that.** On the teacher's it gives even more valid drives (95%), at a still higher price (1.8 nats missing). The two dials are two dials, and
#   on this road the divergence was the stronger one.
# - **Sequence-level KD** (one letter as target) is about as good as the whole distribution here: with 47,000 letters to learn from, single letters average out.
# - **The most beautiful number is a bug.** The same sequence-level student, its batches sorted by length, has 88% valid drives. Look at the last columns: it stops after 7 letters, the teacher (in the
#   same room) after 14. Every batch weighs the same in training; so in a batch of short drives each letter weighs more, and many of those letters are ends (last line printed): all of them in the
#   shortest batch, nearly every second one in the sixth. Soft targets are immune (the teacher's chance of ending is the same everywhere), sampled ones are not. Batches of equally many *letters* (`SequenceBatches(tokens=...)`) or in random order repair it. A quality that short answers can buy must be read beside the length.
#
# ## MiniLLM: where a letter leads
#
# GKD on its own drives asks at each letter: *is this what the teacher would say here?* It never asks: *do I want to be here?* A step to the edge of the road may be perfectly fine with the teacher, who
# will handle it, and a bad idea for a student who has lost count. The sampling decides which prefixes we see, and GKD sends no gradient through it.
#
# MiniLLM (Gu et al. 2023) does. It minimises the reverse KL between **whole answers**,
#
# $$\mathrm{KL}(q\|p) = \mathbb{E}_{y\sim q}\big[\log q(y) - \log p(y)\big].$$
#
# An answer is written letter by letter, each with all before it in view, so $q(y) = \prod_t q(y_t|y_{<t})$, and $p$ likewise. Nobody can sum over all answers,
# and the student's parameters hide in *what is sampled*. The way out is the **policy gradient**, also called REINFORCE (Williams 1992). With $\nabla$
# the gradient in the student's parameters, on which $p$ does not depend, and $\nabla q = q\,\nabla\log q$,
#
# $$\nabla \sum_y q(y)\,\log\frac{q(y)}{p(y)} \;=\; \sum_y q(y)\Big[\log\frac{q(y)}{p(y)} + 1\Big]\nabla\log q(y) \;=\; \mathbb{E}_{y\sim q}\Big[\log\frac{q(y)}{p(y)}\;\nabla\log q(y)\Big].$$
#
# The $+1$ is gone because $\sum_y \nabla q(y) = \nabla 1 = 0$. An expectation over the student's own samples: draw some, average. Each sample that the student finds more likely than the teacher
# does is pushed down, the others up. The expectation over $y \sim q$ means $q$ itself: from samples with a cut or another temperature (exercise 1) this would be the gradient of something else.
#
# Take a language of three words in which an answer is a single word, $q = \mathrm{softmax}(z)$. There both sides can be written down: the gradient of $\log q_y$ in the logits is
# $\mathrm{onehot}(y) - q$, and the exact gradient is what autograd makes of `reverse_kl(z, teacher)`.
#
# ### Exercise 4: REINFORCE
# No autograd here: put the pieces together.


# %% role="answer" name="reinforce"
def reinforce(student, teacher, samples):
    """Estimate of the gradient of KL(q || p) in the student's logits, from words sampled from q.

    student, teacher: logits (V,). samples: (n,), whole numbers in [0, V). Returns (V,): the mean over samples of
    what stands in the expectation, with the gradient taken in the logits.
    """
    # YOUR CODE: the log-ratio of each sampled word, the gradient of its log-probability, their mean
    # BEGIN SOLUTION
    log_q, log_p = log_softmax(student), log_softmax(teacher)  # (V,)
    weight = (log_q - log_p)[samples]  # (n,)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()  # (n, V)
    return (weight[:, None] * score).mean(0)
    # END SOLUTION


# %% role="check" name="reinforce.values" points=1 hint="For each sample a number, the log-ratio of the sampled word, times a vector (V,), the gradient of that word's log q. Then the mean over samples."
rng = check.rng("reinforce.values")
student, teacher_z = draw(rng, 3).detach(), draw(rng, 3).detach()
check("reinforce.values", reinforce(student, teacher_z, torch.tensor([0, 2, 2, 1, 0, 2])))

# %% role="check" name="reinforce.one_word" points=1 hint="One sample at a time: how far does each word push?"
rng = check.rng("reinforce.one_word")
student, teacher_z = draw(rng, 4, size=1.0).detach(), draw(rng, 4, size=1.0).detach()
check(
    "reinforce.one_word",
    [reinforce(student, teacher_z, torch.tensor([word])) for word in range(4)],
)

# %% role="check" name="reinforce.expected" points=1 hint="Averaged over the words with the student's own probabilities, the estimate is the exact gradient."
rng = check.rng("reinforce.expected")
student, teacher_z = draw(rng, 3), draw(rng, 3).detach()
estimates = [reinforce(student.detach(), teacher_z, torch.tensor([word])) for word in range(3)]
mean = sum(q * estimate for q, estimate in zip(softmax(student.detach()), estimates, strict=True))
check("reinforce.expected", mean)

# %% role="hidden" name="reinforce.secret" points=1 hint="More words, and logits far apart: log_softmax, and every sample counts the same."
rng = check.rng("reinforce.secret")
found = []
for size in (2, 200, 200):
    student, teacher_z = draw(rng, 7, size=size).detach(), draw(rng, 7, size=size).detach()
    found.append(reinforce(student, teacher_z, torch.tensor(rng.integers(7, size=9))))
check("reinforce.secret", found)


# %% role="mutant" of="reinforce" name="reinforce.sign" loses="reinforce.values, reinforce.one_word, reinforce.expected, reinforce.secret" hint="The sign is wrong: either your log-ratio is log p - log q, or your gradient is q - onehot. What the student finds likelier than the teacher does must be pushed down."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((log_p - log_q)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.plus_one" loses="reinforce.values, reinforce.one_word, reinforce.secret" hint="You kept the + 1. On average it changes nothing, since the scores average to 0; in every single estimate it is noise."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return (((log_q - log_p)[samples] + 1)[:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.weighted_twice" loses="reinforce.values, reinforce.one_word, reinforce.expected, reinforce.secret" hint="You multiplied by q(y). The samples were drawn from q: likely words are there more often already."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((log_q.exp() * (log_q - log_p))[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.one_hot_only" loses="reinforce.values, reinforce.one_word, reinforce.expected, reinforce.secret" hint="The gradient of log q(y) is onehot(y) - q: raising one word's log-probability lowers the others'. You left out the - q."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples]
    return ((log_q - log_p)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.sum" loses="reinforce.values, reinforce.secret" hint="You summed over the samples. The gradient must not grow with their number: take the mean."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((log_q - log_p)[samples][:, None] * score).sum(0)


# %% role="mutant" of="reinforce" name="reinforce.from_teacher" loses="reinforce.values, reinforce.one_word, reinforce.expected, reinforce.secret" hint="Your score is that of the teacher, onehot(y) - p. It is the student's log-probability that is differentiated."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    score = torch.eye(len(student)).to(log_q)[samples] - log_p.exp()
    return ((log_q - log_p)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.exact" loses="reinforce.values, reinforce.one_word, reinforce.secret" hint="That is the exact gradient, whatever was sampled. Here there are three words to sum over; whole answers are too many, so learn to do it from samples."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    q = log_q.exp()
    kl = (q * (log_q - log_p)).sum()
    return q * (log_q - log_p - kl)


# %% role="mutant" of="reinforce" name="reinforce.probabilities" loses="reinforce.secret" hint="You take logarithms of probabilities, which are 0 to the computer at these logits. Use log_softmax."
def reinforce(student, teacher, samples):
    q, p = softmax(student.float()).double(), softmax(teacher.float()).double()
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    weight = torch.where(q > 0, log_q, q.log()) - torch.where(p > 0, log_p, p.log())
    score = torch.eye(len(student)).to(q)[samples] - log_q.exp()
    return (weight[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.raw_logits" loses="reinforce.values, reinforce.one_word, reinforce.secret" hint="Logits are not log-probabilities: log_softmax first. (On average the difference, a constant, cancels; in every single estimate it is noise.)"
def reinforce(student, teacher, samples):
    score = torch.eye(len(student)).to(student)[samples] - softmax(student)
    return ((student - teacher)[samples][:, None] * score).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.no_ratio" loses="reinforce.values, reinforce.one_word, reinforce.expected, reinforce.secret" hint="The log-ratio is missing: without it this is the gradient of the mean log q, which averages to 0."
def reinforce(student, teacher, samples):
    log_q = log_softmax(student)
    return (torch.eye(len(student)).to(log_q)[samples] - log_q.exp()).mean(0)


# %% role="mutant" of="reinforce" name="reinforce.baseline" loses="reinforce.values, reinforce.one_word, reinforce.expected, reinforce.secret" hint="You subtracted the mean log-ratio, a baseline. It calms the noise, but is not asked for here; and one that contains the sample itself makes the gradient too small, to nothing for a single sample."
def reinforce(student, teacher, samples):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    weight = (log_q - log_p)[samples]
    score = torch.eye(len(student)).to(log_q)[samples] - log_q.exp()
    return ((weight - weight.mean())[:, None] * score).mean(0)


# %% [markdown]
# Right on average: how noisy is it? A thousand estimates from 8 samples each, against the exact gradient.


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
words = torch.multinomial(softmax(z.detach()), 8 * 1000, replacement=True).view(1000, 8)
cloud = torch.stack([estimate(z.detach(), v, row) for row in words])  # (1000, 3)
figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
axes.scatter(cloud[:, 0], cloud[:, 1], s=6, color=COLORS[4], label="8 samples each")
axes.plot(*cloud.mean(0)[:2], "o", color=COLORS[0], label="their mean")
axes.plot(*exact[:2], "x", color="black", markersize=10, label="exact: the sum over three words")
axes.set(xlabel="gradient in the logit of word 0", ylabel="… of word 1")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=8)
plt.show()
print(f"exact {exact.numpy().round(3)}, mean of the estimates {cloud.mean(0).numpy().round(3)}")
print(f"standard deviation of one estimate {cloud.std(0).numpy().round(3)}")

# %% [markdown]
# The mean of a thousand estimates is right to within 0.004; one estimate (of 8 samples) is typically off by 0.06 to 0.15, where the gradient's entries are 0.2 to 0.6. This is one word of a language of three.
#
# ## Sum where you can, sample where you must
#
# An answer has many words, $\log q(y) - \log p(y) = -\sum_t r_t$ with $r_t = \log p(y_t|y_{<t}) - \log q(y_t|y_{<t})$, and so $\nabla\log q(y)$ is a sum over $t$ as well. Three
# observations turn REINFORCE into MiniLLM. For the choice of $y_t$:
#
# - what came **before** it is not its doing: given $y_{<t}$ the factor $r_{t'}$ of an earlier letter, $t' < t$, is a constant, and $\mathbb{E}[\nabla\log q(y_t|y_{<t})] = \sum_{y_t} \nabla q(y_t|y_{<t}) = 0$. Those terms
#   average to 0 and are left out;
# - the word **itself** can be summed over, the vocabulary is finite: $\mathbb{E}_{y_t}[-r_t\,\nabla\log q(y_t|y_{<t})]$ is the formula above for an answer of one word, so it is $\nabla\,\mathrm{KL}(q\|p)$ at position $t$, exactly,
#   without the noise you have just seen. (Alone, this is GKD with the reverse KL.)
# - what comes **after** it must be sampled.
#
# $$\nabla\,\mathrm{KL} = \mathbb{E}_{y\sim q} \sum_t \Big[\;\underbrace{\nabla\,\mathrm{KL}(q\|p)_t}_{\text{single step}}\; - \;\underbrace{R_{t+1}\,\nabla\log q(y_t|y_{<t})}_{\text{long part}}\;\Big], \qquad R_{t+1} = \sum_{t' > t} r_{t'} .$$
#
# $R_{t+1}$, the **return**, says whether what followed was more to the teacher's taste than to the student's own. On average each $r$ is negative (its mean is minus a KL), so every further
# letter costs something, and there is a cheap way to pay less: *stop early*. Therefore MiniLLM divides the return by the number of letters it sums, $R_{t+1} / (\text{letters after } t)$.
# After that it is no longer the gradient of $\mathrm{KL}(q\|p)$: a direction that the authors found to work better. We shall try both.
#
# ### Exercise 5: the return
# For a whole batch at once. `scored` marks the positions that predict an answer letter (exercise 2), and `gain` there is that letter's $r$. Earlier positions, the prompt's, get a return as well; it does no harm, since
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


# %% role="check" name="future.sum" points=1 hint="Not normalised, everything scored: the sum over strictly later positions. The last one has none."
rng = check.rng("future.sum")
check(
    "future.sum",
    future(draw(rng, 2, 5).detach(), torch.ones(2, 5, dtype=torch.bool), normalise=False),
)

# %% role="check" name="future.mean" points=1 hint="Normalised: divided by the number of later positions; 0 at the last, not 0 / 0."
rng = check.rng("future.mean")
check("future.mean", future(draw(rng, 2, 5).detach(), torch.ones(2, 5, dtype=torch.bool)))

# %% role="check" name="future.masked" points=1 hint="Prompt in front, padding behind: neither is summed or counted, whatever numbers stand there."
rng = check.rng("future.masked")
scored = torch.tensor([[False, True, True, True, False], [False, False, True, False, False]])
check(
    "future.masked",
    [future(draw(rng, 2, 5).detach(), scored, normalise) for normalise in (False, True)],
)

# %% role="check" name="future.garbage" points=1 hint="An infinite number may stand where nothing is scored: fill it (masked_fill), do not multiply it by 0."
rng = check.rng("future.garbage")
scored = torch.tensor([[False, True, True, True, False], [False, False, True, True, False]])
gain = draw(rng, 2, 5).detach().masked_fill(~scored, -np.inf)
check("future.garbage", [future(gain, scored, normalise) for normalise in (False, True)])

# %% role="hidden" name="future.secret" points=1 hint="Infinite garbage may stand where nothing is scored: fill it, do not multiply it by 0."
rng = check.rng("future.secret")
scored = torch.tensor(rng.random((3, 7)) < 0.6)
gain = draw(rng, 3, 7).detach().masked_fill(~scored, -np.inf)
check("future.secret", [future(gain, scored, normalise) for normalise in (False, True)])


# %% role="mutant" of="future" name="future.itself" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="Your sum includes position t itself. That is the single step, which is computed exactly; the return begins at t + 1."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1)
    count = scored.long().flip(1).cumsum(1).flip(1)
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.past" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="You summed what came before t. A letter is answerable for what follows it."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.cumsum(1) - gain
    count = scored.long().cumsum(1) - scored.long()
    return total / count.clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.not_normalised" loses="future.mean, future.masked, future.garbage, future.secret" hint="normalise=True must divide by the number of later letters. Without it, the shortest answer wins."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    return gain.flip(1).cumsum(1).flip(1) - gain


# %% role="mutant" of="future" name="future.whole_length" loses="future.mean, future.masked, future.garbage, future.secret" hint="You divided by the length of the whole answer. Each return is divided by the number of letters it sums."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    return total / scored.sum(1, keepdim=True).clamp_min(1) if normalise else total


# %% role="mutant" of="future" name="future.zero_by_zero" loses="future.mean, future.masked, future.garbage, future.secret" hint="After the last letter there is nothing: 0 / 0 is not a number. The return there is 0."
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


# %% role="mutant" of="future" name="future.whole_batch" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="Your sum runs over the rows (axis 0): the future of one drive is not that of another."
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


# %% role="mutant" of="future" name="future.inverted" loses="future.sum, future.mean, future.masked, future.garbage, future.secret" hint="Your two branches are swapped: normalise=True divides, normalise=False does not."
def future(gain, scored, normalise=True):
    gain = gain.masked_fill(~scored, 0.0)
    total = gain.flip(1).cumsum(1).flip(1) - gain
    count = scored.long().flip(1).cumsum(1).flip(1) - scored.long()
    return total if normalise else total / count.clamp_min(1)


# %% [markdown]
# MiniLLM joins the comparison: with the division and without. And the row that fairness demands: sampling takes time, so what if plain forward KL on the teacher's drives gets **as much time**, that is
# more steps?


# %% role="show" name="minillm"
class MyMiniLLM(MiniLLM):
    """The engine's term with the return of exercise 5."""

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
more = 2 if scale == "smoke" else 4
print(f"{'':34}valid ± 95%   nonsense  missing   lane  letters    CPU s")
compare("MiniLLM", MyMiniLLM(), 1)
compare("MiniLLM, return not normalised", MyMiniLLM(normalise=False), 1)
compare(f"forward KL, teacher's, {more} × steps", forward, 0, passes=more)
compare(f"reverse KL, teacher's, {more} × steps", backward, 0, passes=more)

# %% [markdown]
# **What we saw.** On its own drives MiniLLM writes less nonsense than the reverse KL letter by letter: 1.97 nats after 2.25, with 93% against 90% valid drives, for it is allowed to choose where it goes. (The reverse KL on the
# teacher's drives, as many steps, has 1.95; more is missing from it, 1.77.) It pays in what is missing (1.35 after 1.22), and its drives are a bit shorter (11.5 letters after 13.7): dividing the return does not remove the
# temptation to stop altogether. Undivided, it minimises exactly the number in the column *nonsense*, and gets furthest: 1.26 nats, 98% valid, and 4.6 letters where the teacher writes 13.7. It has learned to park.
# Divided, it follows a direction that is no longer that number's gradient, and that keeps it driving.
#
# Then the two rows about time. Sampling made a step about four times as expensive (column *CPU s*: 2.0 after 0.5 in our run; the teacher here is free, a real one is not). Four times the steps on the teacher's
# drives cost about as much as one time on one's own, 2.5. With the forward KL they are worth **more**: 5.5 nats of nonsense and 0.5 missing beat 5.9 and 0.85. So on this toy, where the teacher's drives cost nothing and
# the student is still learning, on-policy *forward* KL does not earn its keep in valid drives
# or in nats. The reverse KL on the teacher's drives, given the same time, is ahead of MiniLLM too (97% valid, 1.4 and 1.4). At
# the same number of *steps* the student's own drives keep their lead when both go on for long: after 800 steps instead of 100 (one seed only) 3.2 against 4.3 nats of nonsense, 0.5 missing in both.
# To repeat it, with all four seeds: `compare("own, 8 ×", forward, 1, passes=8)`, and the same with a 0 for the 1; some minutes.
#
# ## The whole picture
#
# First figure: each dot is one student. To the left, little is missing; down, little nonsense; a perfect student would sit in the corner. Beside it, the lanes in which they write. Second figure: exposure bias once
# more, for the forward KL. Compare the distance between the two lines of a colour.


# %% role="show" name="front"
figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=(1.3, 1)
)
markers = "osD^v<>PX*hpd8"
for n, (name, runs) in enumerate(results.items()):
    left.plot(
        [run["missing"] for run in runs],
        [run["nonsense"] for run in runs],
        markers[n],
        color=COLORS[n % 6],
        markeredgecolor="black" if n >= 6 else "none",
        markersize=7,
        label=name,
    )
left.set(
    xscale="log",
    yscale="log",
    xlabel="missing: KL(p ‖ q) of whole drives, nats",
    ylabel="nonsense: KL(q ‖ p), nats",
)
left.minorticks_off()
left.set_xticks([0.5, 0.7, 1, 1.5, 2, 3], [0.5, 0.7, 1, 1.5, 2, 3])
left.set_yticks([1, 2, 5, 10, 20], [1, 2, 5, 10, 20])
left.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
lanes = np.arange(-7, 8)


def occupied(drives):
    seen = [STEP[torch.tensor(p + a)].cumsum(0).clamp(-7, 7) for p, a in drives]
    return np.bincount(torch.cat(seen).numpy() + 7, minlength=15) / sum(map(len, seen))


right.axvspan(-EDGE - 0.5, EDGE + 0.5, color="0.9")
right.plot(lanes, occupied(held_out), "k:", label="teacher")
for name, color in (
    ("forward KL, teacher's drives", COLORS[1]),
    ("forward KL, own drives", COLORS[2]),
    ("MiniLLM", COLORS[0]),
):
    right.plot(lanes, occupied(write(trained[name][0])), color=color, marker=".", label=name)
right.set(xlabel="lane", ylabel="share of the letters written there", ylim=(0, 0.45))
right.legend(frameon=False, fontsize=7)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for name, color in (
    ("forward KL, teacher's drives", COLORS[1]),
    (f"forward KL, teacher's, {more} × steps", COLORS[5]),
    ("forward KL, own drives", COLORS[2]),
):
    for style, examples_of in ((":", lambda student: held_out), ("-", write)):
        curve = mean_curve(trained[name], examples_of)
        where = "own" if style == "-" else "the teacher's"
        axes.plot(
            range(1, 1 + len(curve)),
            curve,
            style,
            color=color,
            label=f"{name}; on {where} prefixes",
        )
        print(
            f"{name:>30}, on {where:>13} prefixes: {level(curve, 21, 26):.3f} nats at letters 21 to 26"
        )
axes.set(xlabel="letters so far", ylabel="KL(p ‖ q) at this position, nats", ylim=(0, None))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=7)
plt.show()

# %% [markdown]
# ## What we saw
# - A student is trained on prefixes that others wrote and is used on its own. The gap is **exposure bias**; it grows with the length, and no loss on held-out data shows it.
# - **Where the data comes from** and **how the gap is measured** are two dials. The student's own samples teach it to live with its errors; the divergence decides which errors it makes: forward KL covers
#   and writes nonsense, reverse KL seeks and leaves things out. The front in the picture is a *choice*, not a ranking: no student on it is the best.
# - What the student's own drives repair is the *gap*. After four times the steps on the teacher's drives the student was the best of three on the teacher's prefixes (0.045 nats, late in a drive) and still nearly four times as
#   far off on its own (0.172). Trained on its own drives it was at 0.074 and 0.143, about twice as far: no better to a validation loss than the same number of
#   steps on the teacher's drives, and closest of all where it is used.
# - **Validity alone is a bad judge.** The highest share of valid drives belongs to a student that parks after five letters, and a bug looked like a gain from 73% to 88%. Measure diversity and length beside it.
# - MiniLLM adds what GKD ignores: a letter is also answerable for what it leads to. Sum over the vocabulary where you can; sample only the future.
# - On-policy training pays for sampling at every step. At the same *time*, more steps on the teacher's texts were the better buy for the forward KL here. It is worth its price where teacher's texts are few or dear, where
#   answers are long, and where the student cannot catch up by more steps.
#
# Two warnings from outside the toy. Our teacher knows what to do in every lane. A real one was trained on sensible texts too: in front of a beginner's gibberish it is off *its* road. That is why GKD and MiniLLM begin, as we did,
# with a student that has been a passenger. And a cached teacher (lesson 03) is of no use to samples it has never seen: `CachedTeacher` refuses them.
#
# In the frame of this course, what is matched × how the gap is measured × where the data comes from: sequence-level KD is samples × cross-entropy × teacher's; GKD is distributions × any divergence × any mixture; MiniLLM is sequences × reverse KL ×
# the student's own.
#
# ## Further reading
# - Ross, Gordon, Bagnell, *A Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning* (DAgger), 2011 ([arXiv 1011.0686](https://arxiv.org/abs/1011.0686)): errors that grow with the square of the length, and the cure.
# - Kim and Rush, *Sequence-Level Knowledge Distillation*, 2016 ([arXiv 1606.07947](https://arxiv.org/abs/1606.07947)).
# - Agarwal et al., *On-Policy Distillation of Language Models* (GKD), 2023 ([arXiv 2306.13649](https://arxiv.org/abs/2306.13649)): algorithm 1 is your loop.
# - Gu et al., *MiniLLM*, 2023 ([arXiv 2306.08543](https://arxiv.org/abs/2306.08543)): section 2.2 has what we left out, sampling from a mixture with the teacher, and updates that are *clipped* (samples are used for several steps, as long as the student has not moved far from where it wrote them).
# - Zhao et al., *Decoupling KL and Trajectories*, 2026 ([arXiv 2605.16826](https://arxiv.org/abs/2605.16826)): our two dials, all four corners, on mathematical reasoning with real models.
# - Ko et al., *DistiLLM*, 2024 ([arXiv 2402.03898](https://arxiv.org/abs/2402.03898)): skewed divergences, and old samples reused to pay less for sampling.
# - Holtzman et al., *The Curious Case of Neural Text Degeneration*, 2019 ([arXiv 1904.09751](https://arxiv.org/abs/1904.09751)): top-p.
#
# Check your notebook with `.venv/bin/tinykd check lessons/13_on_policy.ipynb`. Lesson 14 takes the simplest of these methods, samples of the teacher and cross-entropy, adds a filter, and teaches a small model to reason.

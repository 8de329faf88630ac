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
# # 11 · Transformers
#
# **What you will be able to do**
# - build a transformer from nothing: tokens, attention, positions, the stream that runs through it; and say what each part is for;
# - keep padding out of everything, and know how to notice when it got in;
# - cut a student out of its teacher, as DistilBERT does, and make it match what happens inside, as TinyBERT does;
# - train on what twenty people *disagree* about, and compare that with what a teacher says.
#
# | | |
# |---|---|
# | Difficulty | 4 of 5: five functions of three to eight lines, and a new kind of network |
# | Importance | 5 of 5: lessons 12 to 14 are built on it, and so is every language model |
# | Time | two hours of yours; 2 to 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 03 |

# %% role="setup" name="setup"
import copy
import itertools
import json
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import tinykd
from tinykd import (
    Capture,
    SoftTargets,
    Term,
    Trainer,
    cosine,
    log_softmax,
    mean_interval,
    softmax,
)
from tinykd.classroom import Checks
from tinykd.lm import (
    AttentionScores,
    Classifier,
    Config,
    HiddenStates,
    Tokenizer,
    keep_layers,
    layers,
    load,
)
from tinykd.objective import Outputs
from tinykd.plots import COLORS
from tinykd.sentences import SentenceBatches, load_sentences, three_classes

check = Checks("11_transformers")


def draw(rng, *shape, size=1.0):
    """Random numbers, normal with standard deviation `size`, that will be asked for a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


def report(value, x):
    """What the checks look at: a value, and the gradient in x of its weighted sum (0 where there is none)."""
    if not torch.is_tensor(value):
        return {"value": value, "gradient": None}
    slope = None
    if value.requires_grad:
        weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
        (slope,) = torch.autograd.grad((weight * value).sum(), x, allow_unused=True)
    return {"value": value, "gradient": torch.zeros_like(x) if slope is None else slope}


def toy(rng, blocks):
    """A tiny classifier with random weights, and a batch of three sentences of four ids for it."""
    model = Classifier(Config(12, 8, blocks, 2, causal=False), 3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.tensor(rng.normal(scale=0.5, size=tuple(weight.shape))))
    return model, torch.tensor(rng.integers(2, 12, size=(3, 4)))


# %% [markdown]
# ## Twenty people read a sentence
#
# So far a label was a fact: this image *is* a 4. Is "It is a film that makes you think" praise? The data of this lesson are 23,415 tweets and
# snippets of film reviews, product reviews and newspaper editorials, and each was read by about twenty people (15 to 99), who gave it a number from
# −4, extremely negative, to 4, extremely positive. C. J. Hutto and E. Gilbert collected them in 2014. Here is what people said about four of them.

# %% role="show" name="people"
scale = tinykd.scale()
texts, ratings, sources = load_sentences(
    "train"
)  # ratings: (18725, 9), how many people said -4 ... 4
test_texts, test_ratings, _ = load_sentences("test")
if scale == "smoke":
    test_texts, test_ratings = test_texts[:300], test_ratings[:300]
shares = ratings / ratings.sum(1, keepdim=True)
values = torch.arange(-4.0, 5.0)
mean_rating = shares @ values
spread = (shares @ values**2 - mean_rating**2).sqrt()
some = [
    int(torch.where(mean_rating > 2.5)[0][3]),
    int(torch.where((mean_rating.abs() < 0.1) & (spread < 0.5))[0][3]),
    int(torch.where((mean_rating.abs() < 0.2) & (spread > 2.0))[0][1]),
    int(torch.where((mean_rating < -2.5) & (spread < 1.0))[0][3]),
]
figure, grid = plt.subplots(1, 4, figsize=(12, 2.3), sharey=True, layout="constrained")
for axes, n, color in zip(grid, some, COLORS, strict=False):
    axes.bar(values, ratings[n], color=color)
    axes.set(xticks=values[::2], xlabel="rating", title=f"{sources[n]}, mean {mean_rating[n]:+.2f}")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("people")
plt.show()
for n in some:
    print(f"{mean_rating[n]:+.2f}  {texts[n]}")
print({source: sources.count(source) for source in dict.fromkeys(sources)})

# %% [markdown]
# People disagree, and how they disagree is information. The usual way is to throw it away: take the majority and call it the label. The other way is to
# keep it. Twenty people are twenty soft targets for free; nobody had to train a teacher.
#
# We sort the nine values into three classes, **negative** (−4 to −1), **neutral** (0) and **positive** (1 to 4), always in this order. With $n_v$ people
# for the value $v$ and $n$ people in all, the soft label is
#
# $$y = \frac1n\Big(\sum_{v<0} n_v,\; n_0,\; \sum_{v>0} n_v\Big), \qquad \mathrm{CE}(y, q) = -\sum_i y_i \log q_i, \quad q = \mathrm{softmax}(z).$$
#
# It is the cross-entropy of lesson 02, with a $y$ that is no longer 0 and 1. It cannot fall to 0: where 12 of 20 say "positive", the best a student can do is to say 60%, and still
# be surprised by the other 8. The best possible value is the entropy of the people.
#
# ### Exercise 1: learning from people


# %% role="answer" name="people_loss"
def people_loss(logits, ratings):
    """Cross-entropy with the shares of people who call a sentence negative, neutral, positive.

    logits: (..., 3). ratings: (..., 9), how many people gave -4, -3, ... 4; their number differs from sentence
    to sentence. Returns (...), in nats, finite for any logits.
    """
    # YOUR CODE: nine counts become three shares; then minus the sum of share times log-probability
    # BEGIN SOLUTION
    votes = torch.stack(
        [ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1
    )  # (..., 3)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).sum(-1)
    # END SOLUTION


# %% role="check" name="people_loss.values" points=1 hint="Three shares that sum to 1: columns 0 to 3 are negative, column 4 is neutral, columns 5 to 8 are positive. Then -sum of share times log_softmax."
rng = check.rng("people_loss.values")
logits, counts = draw(rng, 5, 3, size=2), torch.tensor(rng.integers(1, 6, size=(5, 9))).double()
check("people_loss.values", report(people_loss(logits, counts), logits))

# %% role="check" name="people_loss.agree" points=1 hint="Where all of 20 people gave the same value, this is the cross-entropy of lesson 02 with that class as the label."
rng = check.rng("people_loss.agree")
logits, counts = draw(rng, 9, 3, size=2), 20.0 * torch.eye(9, dtype=torch.float64)
check("people_loss.agree", report(people_loss(logits, counts), logits))

# %% role="check" name="people_loss.extreme" points=1 hint="Logits hundreds apart: log_softmax, never the logarithm of a softmax."
rng = check.rng("people_loss.extreme")
logits, counts = draw(rng, 4, 3, size=300).float(), torch.tensor(rng.integers(1, 6, size=(4, 9)))
check("people_loss.extreme", report(people_loss(logits, counts.float()), logits))

# %% role="hidden" name="people_loss.secret" points=1 hint="More axes, other numbers of people: divide each sentence's votes by its own number of people, sum over the last axis."
rng = check.rng("people_loss.secret")
logits, counts = draw(rng, 2, 3, 3, size=2), torch.tensor(rng.integers(0, 30, size=(2, 3, 9)))
check("people_loss.secret", report(people_loss(logits, counts.double() + 1), logits))


# %% role="mutant" of="people_loss" name="people_loss.majority" loses="people_loss.values, people_loss.extreme, people_loss.secret" hint="You took the majority as a hard label. The point is to keep the shares: 12 of 20 is 0.6, not 1."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    return -log_softmax(logits).gather(-1, votes.argmax(-1, keepdim=True)).squeeze(-1)


# %% role="mutant" of="people_loss" name="people_loss.counts" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="Your target sums to the number of people, not to 1: a tweet read by 95 people would count five times as much as one read by 20."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    return -(votes * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.twenty" loses="people_loss.values, people_loss.extreme, people_loss.secret" hint="Not every sentence was read by 20 people: divide by the sum of its own counts."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    return -(votes / 20 * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.class_mean" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="You took the mean over the three classes: the loss is 3 times too small. Classes are summed."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).mean(-1)


# %% role="mutant" of="people_loss" name="people_loss.borders" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="The value 0 is in column 4, counted from 0. ratings[..., :4] are the four negative values, ratings[..., 5:] the four positive ones."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :3].sum(-1), ratings[..., 3], ratings[..., 4:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.order" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="The classes are negative, neutral, positive, in this order. Yours are the other way round."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., 5:].sum(-1), ratings[..., 4], ratings[..., :4].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.log_of_softmax" loses="people_loss.extreme" hint="You take the logarithm of a probability, which is 0 to the computer at these logits. Use log_softmax."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * torch.log(softmax(logits))).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.softmax_of_votes" loses="people_loss.values, people_loss.extreme, people_loss.secret" hint="Votes are not logits. A share is a count divided by the number of people; softmax of counts turns 12 to 8 into 98% to 2%."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    return -(softmax(votes) * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.average" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="You averaged over the sentences. Return one number for each; averaging comes later, in one place."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).sum(-1).mean()


# %% [markdown]
# ## From words to numbers
#
# The nets of lessons 00 to 03 took 784 pixels, always 784. A sentence is as long as it is. Two steps turn it into numbers.
#
# **Tokens.** A sentence is cut into pieces from a fixed list, the *vocabulary*. Whole words would need a list without end; single letters would make sentences
# very long. *Byte-pair encoding* starts from letters (bytes), looks in the training texts for the most frequent pair of neighbours, makes it a piece of its own, and
# repeats that a few thousand times. Frequent words end up as one piece, rare ones as several, and nothing is ever unknown. A piece includes the space before it.
#
# **Embedding.** Each piece has a number, its *id*, and the id picks a row from a table of shape (vocabulary, $D$). That row, a vector of $D = 96$ numbers, is
# what the piece means to the net. The table is learned like any weight.

# %% role="show" name="tokens"
tokenizer = Tokenizer.train(texts, 4000)  # from the training sentences alone
for n in (some[0], some[3]):
    ids = tokenizer.encode(texts[n])
    print(" | ".join(tokenizer.decode([i]) for i in ids))
    print(ids, "\n")
encoded = [tokenizer.encode(text) for text in texts]
test_encoded = [tokenizer.encode(text) for text in test_texts]
length = np.array([len(ids) for ids in encoded])
print(
    f"{length.sum():,} tokens; half of the sentences have more than {np.median(length):.0f}, "
    f"1% more than {np.percentile(length, 99):.0f}"
)
print("id 0 is", repr(tokenizer.decode([0], special=True)), "and stands for: nothing here")

# %% [markdown]
# **Padding.** A batch is a rectangle, sentences are not. The short ones are filled up with id 0, and a second array of the same shape, `attention_mask`, says which
# places are real. Padding is a matter of packaging. It must change *nothing*: not what a net says about a sentence, not a loss, not a gradient. Half of the exercises
# below come down to that.
#
# ## Attention: softmax again
#
# After the embedding, "not" and "bad" in "not bad" know nothing of each other. **Attention** is how one position fetches what another one holds. From its vector each position
# makes, by three matrices, three new ones of size $d$:
#
# - a **query** $q_t$: what am I looking for?
# - a **key** $k_s$: what do I have to offer?
# - a **value** $v_s$: here it is.
#
# Position $t$ compares its query with every key by a dot product, makes the results into shares with the softmax that you know from lesson 01, and takes the
# values in these shares:
#
# $$S_{ts} = \frac{q_t \cdot k_s}{\sqrt d}, \qquad a_{ts} = \mathrm{softmax}_s(S_{ts}), \qquad \mathrm{out}_t = \sum_s a_{ts}\, v_s.$$
#
# The softmax runs over $s$: the shares of what *one* position receives sum to 1. The factor $1/\sqrt d$ is a temperature. A dot product of $d$ numbers of size 1 has a size of
# about $\sqrt d$, and without the factor the softmax of a wide net would start out almost hard, where its gradient is almost 0.
#
# All this happens several times side by side, in $H$ **heads**, each with matrices of its own: one may look for the neighbour, another for negations.
#
# **Padding** is kept out by its *keys*: set $S_{ts} = -\infty$ wherever $s$ is padding, before the softmax. $e^{-\infty} = 0$, so the share is exactly 0, and the shares of
# the real ones still sum to 1. (A padded *query* may fetch what it likes. Nobody reads it.)
#
# ### Exercise 2: attention
#
# <details><summary>Hint: shapes</summary>
#
# `q @ k.transpose(-1, -2)` is every dot product at once: (B, H, T, T), queries down, keys across. `real` is (B, T); `real[:, None, None, :]` is (B, 1, 1, T) and lines up with the
# keys of every head and query. `x.masked_fill(condition, -math.inf)` replaces where the condition is True.
# </details>


# %% role="answer" name="attention"
def attention(q, k, v, real):
    """softmax(q k^T / sqrt(d)) v, where no position looks at padding.

    q, k, v: (B, H, T, d). real: (B, T), True for tokens, False for padding; at least one token in each sentence.
    Returns (B, H, T, d).
    """
    # YOUR CODE: scores, minus infinity at padded keys, softmax over the keys, shares times values
    # BEGIN SOLUTION
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])  # (B, H, T, T)
    scores = scores.masked_fill(~real[:, None, None, :], -math.inf)
    return softmax(scores) @ v
    # END SOLUTION


# %% role="check" name="attention.values" points=1 hint="Without padding: scores divided by the square root of d, softmax over the last axis (the keys), times v."
rng = check.rng("attention.values")
q, k, v = (draw(rng, 2, 2, 4, 3) for _ in "qkv")
everything = torch.ones(2, 4, dtype=torch.bool)
check("attention.values", report(attention(q, k, v, everything), q))

# %% role="check" name="attention.padding" points=1 hint="A padded key gets a share of exactly 0, for every query. We look at the real positions, and at the gradient in k."
rng = check.rng("attention.padding")
q, k, v = (draw(rng, 2, 2, 5, 4) for _ in "qkv")
real = torch.arange(5) < torch.tensor([[3], [5]])
check("attention.padding", report(attention(q, k, v, real) * real[:, None, :, None], k))

# %% role="check" name="attention.appended" points=1 hint="We appended padding full of large numbers to a sentence. What its real positions receive must not change."
rng = check.rng("attention.appended")
q, k, v = (draw(rng, 1, 2, 3, 4) for _ in "qkv")
longer = [torch.cat([x.detach(), 50 * x.detach()], 2) for x in (q, k, v)]
real = torch.arange(6) < torch.tensor([[3]])
check("attention.appended", attention(*longer, real)[:, :, :3])

# %% role="hidden" name="attention.secret" points=1 hint="Other sizes, large scores, padding on the left as well: the mask decides, not the position."
rng = check.rng("attention.secret")
q, k, v = draw(rng, 3, 1, 6, 8, size=9), draw(rng, 3, 1, 6, 8, size=9), draw(rng, 3, 1, 6, 8)
real = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 0]]).bool()
check("attention.secret", report(attention(q, k, v, real) * real[:, None, :, None], v))


# %% role="mutant" of="attention" name="attention.no_scale" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="The division by the square root of d is missing: the temperature of attention."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2)
    return softmax(scores.masked_fill(~real[:, None, None, :], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.by_d" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="You divided by d. A dot product of d numbers grows as the square root of d."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / q.shape[-1]
    return softmax(scores.masked_fill(~real[:, None, None, :], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.by_T" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="d is the size of a query, the last axis. You took the number of positions."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-2])
    return softmax(scores.masked_fill(~real[:, None, None, :], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.over_queries" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="Your softmax runs over the queries. What one query receives must sum to 1: over the keys, the last axis."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(~real[:, None, None, :], -1e9)
    return torch.softmax(scores, -2) @ v


# %% role="mutant" of="attention" name="attention.no_mask" loses="attention.padding, attention.appended, attention.secret" hint="Padding is looked at: `real` is not used."
def attention(q, k, v, real):
    return softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])) @ v


# %% role="mutant" of="attention" name="attention.masked_queries" loses="attention.padding, attention.appended, attention.secret" hint="You masked the queries (rows) and not the keys (columns): padding is still looked at. real[:, None, None, :] lines up with the keys."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[:, None, :, None], -1e9)) @ v


# %% role="mutant" of="attention" name="attention.zero_scores" loses="attention.padding, attention.appended, attention.secret" hint="A score of 0 is not a share of 0: e to the 0 is 1. Minus infinity is what a share of 0 needs."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[:, None, None, :], 0.0)) @ v


# %% role="mutant" of="attention" name="attention.mask_after" loses="attention.padding, attention.appended, attention.secret" hint="You set the shares of padding to 0 after the softmax: those of the real keys no longer sum to 1. Mask the scores, before."
def attention(q, k, v, real):
    shares = softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]))
    return shares.masked_fill(~real[:, None, None, :], 0.0) @ v


# %% role="mutant" of="attention" name="attention.inverted" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="The mask is upside down: you hide the real tokens and look at the padding."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(real[:, None, None, :], -1e9)) @ v


# %% role="mutant" of="attention" name="attention.zero_values" loses="attention.padding, attention.appended, attention.secret" hint="You emptied the values of the padding, but it still gets its share, which the real tokens lack."
def attention(q, k, v, real):
    shares = softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]))
    return shares @ v.masked_fill(~real[:, None, :, None], 0.0)


# %% [markdown]
# ## Where a word stands
#
# Look at the formula again: shuffle the words, and every output is the same, only shuffled. "The dog bites the man" and "the man bites the dog" are one and the same. Attention
# needs to be told about order, and the most used way today is to *turn* queries and keys: **rotary positions**.
#
# Take the $d$ numbers of a query as $d/2$ pairs; ours pair number $i$ with number $i + d/2$. Each pair is a point in a plane, like the hand of a clock. At position $t$, turn hand $i$ by the angle
#
# $$\theta_i\, t, \qquad \theta_i = \mathrm{base}^{-2i/d}, \quad i = 0, \dots, d/2 - 1, \quad \mathrm{base} = 10{,}000:$$
#
# $$\begin{pmatrix} a' \\ b' \end{pmatrix} = \begin{pmatrix} a \cos\theta_i t - b \sin\theta_i t \\ b \cos\theta_i t + a \sin\theta_i t \end{pmatrix}.$$
#
# The first hand is fast, 1 radian a position; the last is slow. Keys are turned in the same way. And now the point: a dot product does not change when *both* sides are turned by the same angle. So the
# score of a query at position $t$ and a key at position $s$ depends on the distance $t - s$ and on nothing else. A head can learn "two words before me", and it holds everywhere in the sentence.

# %% role="show" name="fig-rotary"
size, positions = 8, torch.arange(5)
turn = layers.angles(positions[None], size, 10_000.0)  # cos, sin: (1, 1, 5, 4)
hand = torch.zeros(1, 1, 5, size)
hand[..., : size // 2] = 1.0  # every hand starts at 3 o'clock
hands = layers.rotate(hand, *turn)[0, 0]  # (5, 8)
figure, grid = plt.subplots(
    1, 4, figsize=(12, 2.9), width_ratios=(1, 1, 1, 1.9), layout="constrained"
)
for i, axes in enumerate(grid[:3]):
    axes.add_patch(plt.Circle((0, 0), 1, fill=False, color="lightgrey"))
    for t in positions.tolist():
        a, b = hands[t, i], hands[t, i + size // 2]
        axes.plot([0, a], [0, b], color=COLORS[i], alpha=1 - 0.17 * t, linewidth=2.5)
        if i == 0 or t == 4:
            axes.annotate(str(t), (1.18 * a - 0.06, 1.18 * b - 0.05), fontsize=9)
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
    axes.set_title(f"pair {i}: {10_000 ** (-2 * i / size):.3g} radians a position", fontsize=10)
    axes.axis("off")
torch.manual_seed(3)
query, key, far = torch.randn(1, 1, 1, 24), torch.randn(1, 1, 1, 24), torch.arange(-20, 21)
for t, style in ((30, "-"), (70, ":")):
    places = torch.cat([torch.tensor([t]), t - far])[None]
    cos, sin = layers.angles(places, 24, 10_000.0)
    turned = layers.rotate(torch.cat([query, key.expand(-1, -1, len(far), -1)], 2), cos, sin)[0, 0]
    grid[3].plot(
        far, turned[1:] @ turned[0], style, linewidth=3, color=COLORS[0 if t == 30 else 1],
        label=f"query at {t}",
    )  # fmt: skip
grid[3].set(xlabel="distance t − s from the query to the key", ylabel="score")
grid[3].legend(frameon=False)
grid[3].spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# **What we saw.** Left: three of the four pairs of a vector of 8 numbers, at positions 0 to 4. The fast hand tells neighbours apart, the slow ones tell near from far. Right: one random query and one
# random key, the query at position 30 and then at position 70. The two curves lie on each other, for only the distance matters.
#
# ### Exercise 3: turn
#
# <details><summary>Hint: the angles of all pairs at all positions</summary><code>theta = base ** (-2 * torch.arange(d // 2) / d)</code> has shape (d/2,); <code>positions[:, None] * theta</code> has shape (T, d/2).</details>
# <details><summary>Hint: pairs</summary><code>a, b = x.chunk(2, -1)</code> cuts the last axis in half: a holds the first number of every pair, b the second. <code>torch.cat([..., ...], -1)</code> puts the halves together again.</details>


# %% role="answer" name="turn_positions"
def turn_positions(x, positions, base=10_000.0):
    """Rotary positions: the pair (x_i, x_{i + d/2}) at position t turned by the angle t * base^(-2i/d).

    x: (B, H, T, d), d even. positions: (T,), whole numbers. Returns (B, H, T, d).
    """
    # YOUR CODE: an angle for each position and pair, its cosine and sine, the two halves turned
    # BEGIN SOLUTION
    d = x.shape[-1]
    theta = base ** (-2 * torch.arange(d // 2) / d)  # (d/2,)
    angle = positions[:, None] * theta  # (T, d/2)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)
    # END SOLUTION


# %% role="check" name="turn_positions.start" points=1 rtol=0.0001 atol=0.00001 hint="At position 0 nothing is turned; at position 1 pair i is turned by base^(-2i/d)."
rng = check.rng("turn_positions.start")
x = draw(rng, 1, 1, 2, 6)
check("turn_positions.start", report(turn_positions(x, torch.arange(2)), x))

# %% role="check" name="turn_positions.values" points=1 rtol=0.0001 atol=0.00001 hint="(a, b) becomes (a cos - b sin, b cos + a sin), a from the first half of the numbers, b from the second."
rng = check.rng("turn_positions.values")
x = draw(rng, 2, 2, 5, 4)
check("turn_positions.values", report(turn_positions(x, torch.arange(5)), x))

# %% role="check" name="turn_positions.distance" points=1 rtol=0.0001 atol=0.0001 hint="A query at 3 and a key at 1, and the same two at 13 and 11, must have the same dot product; positions say where a token stands, its row in x does not."
rng = check.rng("turn_positions.distance")
x = draw(rng, 1, 1, 2, 8)
near, far = (turn_positions(x, torch.tensor(p)) for p in ([3, 1], [13, 11]))
check("turn_positions.distance", [(y[0, 0, 0] * y[0, 0, 1]).sum() for y in (near, far)])

# %% role="hidden" name="turn_positions.secret" points=1 rtol=0.0001 atol=0.00001 hint="Another size, another base, positions that do not start at 0."
rng = check.rng("turn_positions.secret")
x = draw(rng, 1, 3, 4, 10)
check("turn_positions.secret", report(turn_positions(x, torch.tensor([2, 5, 6, 9]), base=100.0), x))


# %% role="mutant" of="turn_positions" name="turn_positions.backwards" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="You turn the other way: the minus sign stands with the first number of a pair, a cos - b sin."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() + b * angle.sin(), b * angle.cos() - a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.neighbours" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="You paired neighbours, (x_0, x_1), (x_2, x_3) ... Both conventions are in use; ours pairs x_i with x_{i + d/2}."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x[..., ::2], x[..., 1::2]
    turned = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()]
    return torch.stack(turned, -1).flatten(-2)


# %% role="mutant" of="turn_positions" name="turn_positions.one_speed" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="All your hands have the same speed. Pair i turns by base^(-2i/d) a position: the first fast, the last slow."
def turn_positions(x, positions, base=10_000.0):
    angle = positions[:, None].double()
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.exponent" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="The exponent is -2i/d, and i runs over d/2 pairs. Yours lacks the 2, so no hand becomes slow."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.sign" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="The exponent is negative: hands get slower from pair to pair. Yours get faster."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.from_one" loses="turn_positions.start, turn_positions.values, turn_positions.secret" hint="Your positions are one too high. At position 0 nothing is turned."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = (positions[:, None] + 1) * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.rows" loses="turn_positions.distance, turn_positions.secret" hint="You counted the rows of x yourself. The argument `positions` says where each token stands; with padding on the left, row and position differ."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = torch.arange(x.shape[-2])[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.fixed_base" loses="turn_positions.secret" hint="The base is an argument: you wrote 10,000 into the formula."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * 10_000.0 ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.once" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="You turned the first half with the second, and then the second half with the first half that was already turned. Both formulas need the old a and b."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    a = a * angle.cos() - b * angle.sin()
    return torch.cat([a, b * angle.cos() + a * angle.sin()], -1)


# %% [markdown]
# ## A block, a stream, an answer
#
# Attention carries information *between* positions. What a position makes of it is the work of a **feed-forward** net, the same small net at every position: $D$ numbers up to about $8/3\,D$ hidden ones, a
# nonlinearity, and down to $D$ again. The two together are a **block**. And neither replaces what came in. Both *add* to it:
#
# $$x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x)), \qquad x \leftarrow x + \mathrm{feedforward}(\mathrm{norm}(x)).$$
#
# $x$, of shape $(B, T, D)$, is the **residual stream**: a river from the embedding to the last layer, into which every block pours a little. It has three consequences. Gradients flow upstream through the plus
# signs unhindered, so depth is no problem. What leaves block 2 and what leaves block 5 live in *the same space*. And so a block can be taken out, and the rest still understands each other. Keep that in mind. (norm divides each position's vector by
# the root mean square of its numbers, times a learned factor, so that no block has to cope with vectors of all sizes.)
#
# Behind the last block, the vectors of the *real* positions are averaged, and one linear layer makes three logits of the mean. That is all:
#
# | | |
# |---|---|
# | embedding | ids $(B, T)$ → stream $(B, T, D)$ |
# | 6 blocks | stream → stream: attention between positions, feed-forward at each |
# | norm, mean over real positions, linear | stream → $(B, D)$ → logits $(B, 3)$ |
#
# `tinykd/lm/layers.py` and `transformer.py` are this, in 300 lines, and a few of them are yours already. A decoder, which writes text, differs in one point: a position may look at earlier ones only. That is for lesson 12.
#
# **The teacher.** You get it trained: 6 blocks, $D = 96$, 4 heads. It has seen our 18,725 training sentences with their ratings, and something more, which you should know. A transformer of this size that starts from
# nothing and sees only these sentences is no wiser than counting words (on the held-out sentences ours got 65.6% right in the best of five epochs, and a linear layer that merely counts pieces got 66.1%; one run each). So our teacher had a teacher: *SmolLM2*, the language model of 135 million parameters that you will meet in lesson 12. SmolLM2 read
# the training sentences. A linear layer on the vectors that leave its block 20 gets 78.7% of the held-out sentences right. Our teacher learned three things at once: people's shares; what that layer says of each sentence; and, at each token, SmolLM2's vector itself, by the
# hidden-state matching that comes below. Even its embedding began as the mean of SmolLM2's vectors at each piece. It gets 68.0% of the held-out sentences: a little of what SmolLM2 knows, passed on through 18,725 sentences. You can make it again
# with `TINYKD_SCALE=full python benchmarks/sentences.py`; it took 8 minutes of a busy machine, after 5 minutes in which SmolLM2 read.

# %% role="show" name="teacher"
places = [Path("../datasets"), Path("datasets"), Path(tinykd.__file__).parents[1] / "datasets"]
folder = next((p / "results" for p in places if (p / "results/sentences.json").exists()), None)
if folder is None:
    raise FileNotFoundError(
        "no datasets/results/sentences.json: open this notebook inside a clone of the course"
    )
full = json.loads((folder / "sentences.json").read_text())  # what benchmarks/sentences.py measured
teacher = load(folder / "sentences_teacher.safetensors")
test_shares = three_classes(test_ratings)


def ask(model, ids):
    """Logits (N, 3) of a model for sentences given as ids."""
    model.eval()
    logits = torch.zeros(len(ids), 3)
    with torch.no_grad():
        for batch in SentenceBatches(ids, torch.zeros(len(ids)), size=256):
            logits[batch["index"]] = model(batch["input_ids"], batch["attention_mask"])
    return logits


def measures(logits, shares=test_shares):
    """Share of sentences where the majority of people is met; cross-entropy with people."""
    return {
        "accuracy": 100 * (logits.argmax(1) == shares.argmax(1)).float().mean().item(),
        "cross-entropy": -(shares * log_softmax(logits)).sum(1).mean().item(),
    }


size = sum(p.numel() for p in teacher.parameters())
in_embedding = teacher.body.embed.weight.numel()
test_logits = ask(teacher, test_encoded)
teacher_score = measures(test_logits)
majority = 100 * float((test_shares.argmax(1) == 2).float().mean())
print(f"teacher: {size:,} parameters, {in_embedding:,} of them in the embedding")
print(f"on {len(test_texts):,} test sentences: {teacher_score['accuracy']:.1f}% right, ", end="")
print(f"cross-entropy {teacher_score['cross-entropy']:.3f}")
print(
    f"always saying 'positive' would be right in {majority:.1f}%; cross-entropy cannot fall below ",
    end="",
)
print(
    f"{-(test_shares * test_shares.clamp_min(1e-9).log()).sum(1).mean():.3f}, the entropy of people"
)

my_turn = check.ready(
    turn_positions,
    lambda x, positions, base=10_000.0: layers.rotate(
        x, *layers.angles(positions[None], x.shape[-1], base)
    ),
)
my_attention = check.ready(
    attention,
    lambda q, k, v, real: nn.functional.scaled_dot_product_attention(
        q, k, v, real[:, None, None, :]
    ),
)
batch = next(iter(SentenceBatches(encoded[:32], torch.zeros(32), size=32)))
layer = teacher.body.blocks[0].attention
with torch.no_grad(), Capture(teacher, ["body.embed", "body.blocks.0.attention"]) as acts:
    teacher(batch["input_ids"], batch["attention_mask"])
    x = teacher.body.blocks[0].attention_norm(acts["body.embed"])
    q, k, v = (
        m(x).unflatten(-1, (4, 24)).transpose(1, 2) for m in (layer.query, layer.key, layer.value)
    )
    order = torch.arange(x.shape[1])
    mixed = my_attention(my_turn(q, order), my_turn(k, order), v, batch["attention_mask"])
    gap = layer.output(mixed.transpose(1, 2).flatten(2)) - acts["body.blocks.0.attention"]
    print(
        "largest gap between these two functions and block 0 of the teacher, at real tokens: ",
        end="",
    )
    print(f"{gap[batch['attention_mask']].abs().max():.1e}")

# %% [markdown]
# The last line is your reward for exercises 2 and 3: put into the teacher's first block, your two functions do what its own do.
#
# Now look inside. Left and middle: where two heads look, one row a query. Right: since every block speaks the same language, one can stop after any block, apply the last norm, the mean and the linear
# layer to the stream as it is *there*, and ask what the teacher would say so far.

# %% role="show" name="fig-inside"
sentence = "Not a bad film, but I was bored."
ids = tokenizer.encode(sentence)
pieces = [tokenizer.decode([i]).strip() or "␣" for i in ids]
names = ["body.embed"] + [f"body.blocks.{n}" for n in range(6)]
look = [f"body.blocks.{n}.attention.scores" for n in range(6)]
figure, grid = plt.subplots(
    1, 3, figsize=(12.5, 3.9), width_ratios=(1, 1, 1.3), layout="constrained"
)
with torch.no_grad(), Capture(teacher, names + look) as acts:
    teacher(torch.tensor([ids]))
    shares_of = torch.stack([softmax(acts[name])[0] for name in look])  # (6, H, T, T)
    far = (torch.arange(len(ids))[:, None] - torch.arange(len(ids))).abs()
    reach = (shares_of * far).sum(-1).mean(-1)  # (6, H): how far each head looks, in tokens
    for axes, place in zip(grid, (reach.argmin(), reach.argmax()), strict=False):
        block, head = divmod(int(place), 4)
        axes.imshow(shares_of[block, head], cmap="cividis", vmin=0)
        axes.set_xticks(range(len(ids)), pieces, rotation=90)
        axes.set_yticks(range(len(ids)), pieces)
        axes.set_title(
            f"block {block}, head {head}: {reach[block, head]:.1f} tokens away", fontsize=10
        )
    for text, style in ((sentence, "o-"), ("I was not bored.", "s--"), ("Good morning!", "^:")):
        teacher(torch.tensor([tokenizer.encode(text)]))
        said = [softmax(teacher.head(teacher.body.norm(acts[name]).mean(1)))[0] for name in names]
        balance = [float(p[2] - p[0]) for p in said]
        grid[2].plot(range(7), balance, style, label=text, color=COLORS[len(grid[2].lines)])
grid[2].axhline(0, color="black", linewidth=0.5)
grid[2].set_xticks(range(7), ["embed", *(f"block {n}" for n in range(6))], rotation=45)
grid[2].set(ylabel="positive − negative", ylim=(-1, 1))
grid[2].legend(frameon=False, fontsize=9, loc=(0.3, 0.56))
grid[2].spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# **What we saw.** The head on the left looks at the first word of the part of the sentence that it stands in, "a" before the comma and "but" after it, as if it had found the two clauses. The head in the middle looks far away. (One sentence proves
# nothing about a head. Try others.) The picture on the right is sobering. Nearly all of the judgement is there after block 0, and five more blocks change little. And this teacher hears "bored" in "not bored". It is
# a small model that has seen few sentences: we shall not ask it for more than it has.
#
# ## DistilBERT: half of the teacher
#
# A student may have any shape. But if it is a transformer of the same width, there is a beginning much better than dice: the teacher itself, with blocks taken out. *DistilBERT* (2019) keeps every other one of
# BERT's 12 blocks, and embedding and head as they are. Because blocks add to a common stream, the rest still works, badly; a little training repairs it. Its training loss is the one of lesson 02, the teacher's
# soft targets and the labels, and in the end it had **40% fewer parameters, was 60% faster, and kept 97% of the score**. Those are the three numbers of this lesson's table.
#
# ### Exercise 4: every other block
# The student is a *copy*. If it shares weights with the teacher, training it will wreck the teacher, whose targets follow along: loss 0, nothing learned.
#
# <details><summary>Hint: how a Classifier is made</summary>
#
# `teacher.body` is the transformer, `teacher.body.blocks` an `nn.ModuleList` that can be sliced like a list: `blocks[::2]`. `copy.deepcopy(x)` copies a module and all of its weights. `student.body.blocks = ...` replaces the list.
# </details>


# %% role="answer" name="every_other"
def every_other(teacher):
    """A new Classifier with blocks 0, 2, 4, ... of the teacher, its embedding, its norm and its head.

    The teacher stays as it is, and shares no weight with the student.
    """
    # YOUR CODE: a copy of everything, then every other one of its blocks
    # BEGIN SOLUTION
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[::2]
    return student
    # END SOLUTION


# %% role="check" name="every_other.blocks" points=1 hint="Of 6 blocks numbers 0, 2 and 4 stay, in this order."
small, marks = toy(check.rng("every_other.blocks"), 6)
check(
    "every_other.blocks",
    [float(b.attention_norm.weight[0].detach()) for b in every_other(small).body.blocks],
)

# %% role="check" name="every_other.says" points=1 hint="Embedding, last norm and head come from the teacher too: only blocks are taken out."
small, ids = toy(check.rng("every_other.says"), 4)
check("every_other.says", every_other(small)(ids))

# %% role="check" name="every_other.apart" points=1 hint="We set every weight of the student to 0 and asked the teacher again. It must have all its blocks, and say what it said before."
small, ids = toy(check.rng("every_other.apart"), 4)
student = every_other(small)
with torch.no_grad():
    for weight in student.parameters():
        weight.zero_()
check("every_other.apart", {"blocks": len(small.body.blocks), "teacher": small(ids)})

# %% role="hidden" name="every_other.secret" points=1 hint="Any number of blocks, odd ones too: of 5, numbers 0, 2 and 4 stay."
small, ids = toy(check.rng("every_other.secret"), 5)
student = every_other(small)
check(
    "every_other.secret",
    {"blocks": len(student.body.blocks), "student": student(ids), "teacher": small(ids)},
)


# %% role="mutant" of="every_other" name="every_other.first_half" loses="every_other.blocks, every_other.says, every_other.secret" hint="You kept the first half of the blocks. Every other one: 0, 2, 4."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[: len(student.body.blocks) // 2]
    return student


# %% role="mutant" of="every_other" name="every_other.odd" loses="every_other.blocks, every_other.says, every_other.secret" hint="You kept blocks 1, 3, 5. Here it is 0, 2, 4: a slice [::2] starts at the first."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[1::2]
    return student


# %% role="mutant" of="every_other" name="every_other.in_place" loses="every_other.apart, every_other.secret" hint="You took the blocks out of the teacher itself: there is one model now, not two. Copy first."
def every_other(teacher):
    teacher.body.blocks = teacher.body.blocks[::2]
    return teacher


# %% role="mutant" of="every_other" name="every_other.shared" loses="every_other.apart" hint="Student and teacher share their weights: copy.copy copies the outer shell only. copy.deepcopy goes all the way down."
def every_other(teacher):
    student, student_body = copy.copy(teacher), copy.copy(teacher.body)
    student._modules, student_body._modules = dict(teacher._modules), dict(teacher.body._modules)
    student.body = student_body
    student.body.blocks = teacher.body.blocks[::2]
    return student


# %% role="mutant" of="every_other" name="every_other.fresh_blocks" loses="every_other.blocks, every_other.says, every_other.secret" hint="Your blocks are new ones with random weights: the student has the teacher's shape, and knows nothing."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = nn.ModuleList(
        layers.Block(teacher.body.config) for _ in teacher.body.blocks[::2]
    )
    return student


# %% role="mutant" of="every_other" name="every_other.blocks_only" loses="every_other.says, every_other.secret" hint="The blocks are the teacher's, but embedding, norm and head are new. They have to come along."
def every_other(teacher):
    student = Classifier(teacher.body.config, teacher.head.out_features)
    student.body.blocks = copy.deepcopy(teacher.body.blocks[::2])
    return student


# %% role="mutant" of="every_other" name="every_other.rounds_down" loses="every_other.secret" hint="Of 5 blocks three stay, numbers 0, 2 and 4: you kept half of them, rounded down."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[::2][: len(teacher.body.blocks) // 2]
    return student


# %% role="mutant" of="every_other" name="every_other.nothing_out" loses="every_other.blocks, every_other.says, every_other.secret" hint="That is the whole teacher. Take every second block out."
def every_other(teacher):
    return copy.deepcopy(teacher)


# %% [markdown]
# ## TinyBERT: match what happens inside
#
# Soft targets are three numbers for a sentence. Inside, the teacher makes thousands: for each token a vector of 96 in the stream, for each pair of tokens a score in every head. *TinyBERT* (2019) makes the student match these
# too, in two stages:
#
# 1. **Inside.** Student block $m$ is paired with a teacher block; ours are $0 \to 1$, $1 \to 3$, $2 \to 5$, so that each student block does the work of two. Squared gaps are summed of the embeddings, of what leaves each
#    pair of blocks, and of the attention scores:
#    $$L_{\text{hidden}} = \operatorname{mean}\,(H_s W - H_t)^2, \qquad L_{\text{attention}} = \operatorname{mean}\,(S_s - S_t)^2 .$$
#    A student narrower than its teacher needs the matrix $W$, which is learned along and thrown away afterwards. It matches the scores $S$, before mask and softmax, since that converged faster.
# 2. **Outside.** Then the soft targets, as usual.
#
# And again padding. Behind the end of a short sentence stand vectors and scores too, for the machine computes the whole rectangle. They mean nothing, so nobody should be trained to match them; and there are many: in a batch that is not sorted by
# length, half of all places can be empty, and of the *pairs* of places three quarters. What must count:
#
# - a gap at $(t, s)$ only where **both** the query $t$ and the key $s$ are real;
# - for each real query, the mean over the heads and over its *real* keys: divide by their number, not by $T$.
#
# ### Exercise 5: attention scores
# One number per position, as in every loss of this course: (B, T), 0 at padding. The engine then takes the mean over real positions.


# %% role="answer" name="match_scores"
def match_scores(student, teacher, real):
    """For every query the mean over heads and real keys of (S_s - S_t)^2; 0 for padded queries.

    student, teacher: scores (B, H, T, T), queries down, keys across. real: (B, T), True for tokens.
    Returns (B, T). The teacher gets no gradient.
    """
    # YOUR CODE: squared gaps, mean over heads, no padded keys, divided by the number of real ones, no padded queries
    # BEGIN SOLUTION
    gap = (student - teacher.detach()).square().mean(1)  # (B, T, T)
    gap = gap.masked_fill(~real[:, None, :], 0.0)
    per_query = gap.sum(-1) / real.sum(-1, keepdim=True)  # (B, T)
    return per_query.masked_fill(~real, 0.0)
    # END SOLUTION


# %% role="check" name="match_scores.values" points=1 hint="Without padding: the mean of the squared gap over heads (axis 1) and keys (last axis). Queries stay: (B, T)."
rng = check.rng("match_scores.values")
student_s, teacher_s = draw(rng, 2, 3, 4, 4), draw(rng, 2, 3, 4, 4).detach()
everything = torch.ones(2, 4, dtype=torch.bool)
check("match_scores.values", report(match_scores(student_s, teacher_s, everything), student_s))

# %% role="check" name="match_scores.padding" points=1 hint="A sentence of 3 in a row of 5: three queries with three keys each count, divided by 3; the queries behind are 0."
rng = check.rng("match_scores.padding")
student_s, teacher_s = draw(rng, 2, 2, 5, 5), draw(rng, 2, 2, 5, 5).detach()
real = torch.arange(5) < torch.tensor([[3], [4]])
check("match_scores.padding", report(match_scores(student_s, teacher_s, real), student_s))

# %% role="check" name="match_scores.appended" points=1 hint="We appended padding full of large numbers. Neither the sum over positions nor its gradient may change."
rng = check.rng("match_scores.appended")
student_s, teacher_s = draw(rng, 1, 2, 3, 3), draw(rng, 1, 2, 3, 3).detach()
room = torch.full((1, 2, 6, 6), 100.0, dtype=torch.float64)
room[..., :3, :3] = 0.0
wide_s, wide_t = (
    room * n + nn.functional.pad(x, (0, 3, 0, 3)) for n, x in ((1, student_s), (-1, teacher_s))
)
found = match_scores(wide_s, wide_t, torch.arange(6) < torch.tensor([[3]]))
check("match_scores.appended", report(found.sum(), student_s))

# %% role="check" name="match_scores.constant" points=1 hint="The teacher received a gradient. It is a constant: detach it."
rng = check.rng("match_scores.constant")
student_s, teacher_s = draw(rng, 1, 2, 3, 3), draw(rng, 1, 2, 3, 3)
found = match_scores(student_s, teacher_s, torch.ones(1, 3, dtype=torch.bool))
check("match_scores.constant", report(found, teacher_s)["gradient"])

# %% role="hidden" name="match_scores.secret" points=1 hint="Other sizes, and padding that is not only at the end: `real` decides."
rng = check.rng("match_scores.secret")
student_s, teacher_s = draw(rng, 3, 2, 6, 6, size=4), draw(rng, 3, 2, 6, 6, size=4).detach()
real = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]]).bool()
check("match_scores.secret", report(match_scores(student_s, teacher_s, real), student_s))


# %% role="mutant" of="match_scores" name="match_scores.mean_T" loses="match_scores.padding, match_scores.appended, match_scores.secret" hint="You divided by T, padding included: a short sentence in a wide batch hardly counts. Divide by the number of real keys."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return gap.mean(-1).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.no_mask" loses="match_scores.padding, match_scores.appended, match_scores.secret" hint="Padding is matched: `real` is not used."
def match_scores(student, teacher, real):
    return (student - teacher.detach()).square().mean((1, 3))


# %% role="mutant" of="match_scores" name="match_scores.keys_only" loses="match_scores.padding, match_scores.appended, match_scores.secret" hint="Padded keys are left out, padded queries are not: their rows must be 0 too."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return gap.sum(-1) / real.sum(-1, keepdim=True)


# %% role="mutant" of="match_scores" name="match_scores.queries_only" loses="match_scores.padding, match_scores.appended, match_scores.secret" hint="Padded queries are left out, padded keys are not: real tokens are made to match the scores they give to nothing."
def match_scores(student, teacher, real):
    return (student - teacher.detach()).square().mean((1, 3)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.heads_summed" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret" hint="Over the heads it is a mean, as over the keys: your loss grows with the number of heads."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().sum(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.probabilities" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret" hint="You matched the shares after the softmax. TinyBERT matches the scores before it."
def match_scores(student, teacher, real):
    gap = (softmax(student) - softmax(teacher.detach())).square().mean(1)
    gap = gap.masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.teacher_learns" loses="match_scores.constant" hint="The teacher received a gradient: teacher.detach()."
def match_scores(student, teacher, real):
    gap = (student - teacher).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.absolute" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret" hint="That is the absolute gap. The loss is the squared one."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).abs().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.over_queries" loses="match_scores.values, match_scores.padding, match_scores.secret" hint="You took the mean over the queries and kept the keys. Queries go down (axis 2), keys across (the last axis)."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~real[:, :, None], 0.0)
    return (gap.sum(-2) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% [markdown]
# ## Six ways to make a student
#
# All students have 3 blocks and the teacher's width, and all see the same sentences in the same number of steps:
#
# | | starts from | learns from |
# |---|---|---|
# | votes | dice | the majority of people, a hard label |
# | people | dice | people's shares (your exercise 1) |
# | teacher | dice | half people, half the teacher's soft targets at $T = 2$ |
# | halved, people | blocks 0, 2, 4 of the teacher | people's shares |
# | halved, teacher (DistilBERT) | blocks 0, 2, 4 of the teacher | half people, half teacher |
# | two stages (TinyBERT) | dice | half of the steps the inside, then half people, half teacher (twice the same half of the sentences) |
#
# "halved, people" is the control that tells inheritance from distillation: its teacher is never asked anything. And a temperature of 2 was not tuned; of three classes there is not much to soften.

# %% role="show" name="students"
count, seeds = {"smoke": (192, 2), "default": (3_072, 3), "full": (18_725, 3)}[scale]
METHODS = ("votes", "people", "teacher", "halved, people", "halved, teacher", "two stages")
my_people_loss = check.ready(
    people_loss, lambda z, counts: -(three_classes(counts) * log_softmax(z)).sum(-1)
)
halved = check.ready(every_other, lambda big: keep_layers(big, range(0, 6, 2)))


def library_match(student, teacher, real):
    """The engine's own term, as a function."""
    term = AttentionScores("s", "t")
    batch = {"attention_mask": real}
    return term.per_position(Outputs(batch, student, None, {"s": student}, {"t": teacher}))


my_match = check.ready(match_scores, library_match)


class People(Term):
    """Exercise 1 as a term of an objective; the ratings are looked up by the sentence's number."""

    def __init__(self, ratings):
        super().__init__()
        self.ratings = ratings

    def per_position(self, out):
        return my_people_loss(out.student, self.ratings[out.batch["index"]])

    def valid(self, batch):
        return torch.ones_like(batch["index"], dtype=torch.bool)


class Scores(AttentionScores):
    """Exercise 5 as a term: the engine's, with your function inside."""

    def per_position(self, out):
        student, its = (
            out.student_layers[self.student_layer],
            out.teacher_layers[self.teacher_layer],
        )
        return my_match(student, its, out.batch["attention_mask"])


class Told:
    """The teacher's logits, computed once: a teacher is anything that has targets for a batch."""

    def __init__(self, logits):
        self.logits = logits

    def to(self, device):
        pass

    def targets(self, batch, layers):
        return self.logits[batch["index"]], {}


told = Told(ask(teacher, encoded[:count]))
votes = 20.0 * torch.eye(9)[torch.tensor([0, 4, 8])][three_classes(ratings[:count]).argmax(1)]
inside = HiddenStates("body.embed", "body.embed")
for mine, its in ((0, 1), (1, 3), (2, 5)):
    inside = inside + HiddenStates(f"body.blocks.{mine}", f"body.blocks.{its}")
    inside = inside + Scores(*(f"body.blocks.{n}.attention.scores" for n in (mine, its)))


def train(student, objective, its, lr, seed, part=1.0):
    """One training on `part` of the sentences; the learning rate goes down to 2% along a cosine."""
    n = int(part * count)
    Trainer(
        student,
        objective,
        its,
        lambda parameters: torch.optim.AdamW(parameters, lr, weight_decay=0.05),
        schedule=cosine(1, 0.02),
        clip=1.0,
        device="cpu",
        progress=False,
    ).fit(SentenceBatches(encoded[:n], torch.zeros(n), size=32, seed=seed))


def make(method, seed):
    """A student; every method takes the same number of steps."""
    torch.manual_seed(seed)
    start, part = method.startswith("halved"), 1.0
    student = halved(teacher) if start else Classifier(Config(4000, 96, 3, 4, causal=False), 3)
    lr = 1e-3 if start else 2e-3
    if method == "two stages":
        part = 0.5
        train(student, inside, teacher, lr, seed, part)
    people = People(votes if method == "votes" else ratings[:count])
    soft = method in ("teacher", "halved, teacher", "two stages")
    train(
        student,
        0.5 * SoftTargets(T=2) + 0.5 * people if soft else people,
        told,
        lr,
        seed + 100,
        part,
    )
    return student


quick, students, answers = {method: [] for method in METHODS}, {}, {}
quick["halved, untrained"] = [measures(ask(halved(teacher), test_encoded))]
for seed in range(seeds):
    for method in METHODS:
        students[method] = make(method, seed)
        logits = answers[method] = ask(students[method], test_encoded)
        agreed = 100 * tinykd.agreement(logits, test_logits)
        quick[method].append(measures(logits) | {"agreement": agreed})
print(
    f"{count:,} sentences, {count // 32} steps of 32, {seeds} seeds; {len(test_texts):,} test sentences:"
)
for method, runs in quick.items():
    line = f"{method:<18}"
    for what, digits in (("accuracy", 1), ("cross-entropy", 3)):
        mean, half = mean_interval([run[what] for run in runs])
        line += f"  {what} {mean:.{digits}f}" + (f" ± {half:.{digits}f}" if len(runs) > 1 else "")
    print(line)

# %% [markdown]
# **What we saw** (our run: 3,072 sentences in 96 steps, mean of three seeds ± the half width of its 95% interval; yours may differ a little).
#
# - *From dice*, votes give 50.7 ± 2.7% and people's shares 50.4 ± 3.6%; with the teacher's soft targets it is 54.1 ± 1.3%, and each of its three runs is better than all six of the others. So much is distillation worth here.
# - *Halved*, the student has 68.8% before it has made a single step. With people it gets to 69.1 ± 0.6%, with the teacher to 69.3 ± 0.7%: no difference that three seeds could show. In cross-entropy the teacher does a little better, 0.807 ± 0.001
#   against 0.819 ± 0.013. Inheritance is worth 15 points and more, distillation after it next to nothing. The picture above had warned us: a teacher that makes up its mind in block 0 hardly misses blocks 1, 3 and 5.
# - *Two stages* did not help: 50.0 ± 4.3%. Half of 96 steps went into matching the inside, and what is left is too few steps from dice. TinyBERT gives its first stage millions of sentences; ours had 1,536. A method that needs
#   patience loses at a budget without any.
#
# Your run is short on purpose. `TINYKD_SCALE=full python benchmarks/sentences.py` trains the same six on all 18,725 sentences, twice over; it goes on where it was stopped, and whatever runs it has put into `datasets/results/sentences.json` are drawn in blue beside yours. After the figure comes the table that DistilBERT's authors would ask for.
# Time is measured alternately, teacher and student in turn, on the same batches, in one run: on a busy machine only the ratio means something.

# %% role="show" name="fig-students"
figure, grid = plt.subplots(1, 2, figsize=(12.5, 4.2), layout="constrained")
stored = {m: [run for run in full["runs"] if run["method"] == m] for m in METHODS}
for axes, what, key, factor in zip(
    grid, ("accuracy", "cross-entropy"), ("accuracy", "cross_entropy"), (100, 1), strict=True
):
    for x, method in enumerate(METHODS):
        mine = [run[what] for run in quick[method]]
        theirs = [factor * run[key] for run in stored[method]]
        for place, dots, color, mark in (
            (x - 0.13, theirs, COLORS[0], "o"),
            (x + 0.13, mine, COLORS[1], "s"),
        ):
            if dots:
                mean, half = mean_interval(dots)
                half = half if math.isfinite(half) else 0.0
                axes.errorbar(place, mean, half, color=color, capsize=4, fmt="_", markersize=14)
                axes.plot([place] * len(dots), dots, mark, color=color, alpha=0.6, markersize=5)
    axes.axhline(teacher_score[what], color="black", linestyle="--")
    axes.text(5.45, teacher_score[what], "teacher", ha="right", va="bottom")
    axes.set_xticks(range(6), [m.replace(", ", ",\n").replace(" st", "\nst") for m in METHODS])
    axes.set_ylabel(
        "% of majorities met" if what == "accuracy" else "cross-entropy with people, nats"
    )
    axes.spines[["top", "right"]].set_visible(False)
if full["runs"]:
    grid[0].plot([], [], "o", color=COLORS[0], label="all sentences, twice (stored)")
grid[0].plot([], [], "s", color=COLORS[1], label="your quick run")
figure.legend(frameon=False, loc="outside upper center", ncols=2)
plt.show()

# %% role="show" name="table"
student = students["halved, teacher"].eval()
rows = test_encoded[:512]
batches = list(SentenceBatches(rows, torch.zeros(len(rows)), size=64, shuffle=False))
clock = {"teacher": [], "student": []}
with torch.no_grad():
    for _ in range(2 if scale == "smoke" else 12):
        for name, model in (("teacher", teacher), ("student", student)):
            start = time.perf_counter()
            for batch in batches:
                model(batch["input_ids"], batch["attention_mask"])
            clock[name].append(time.perf_counter() - start)
faster = np.median(np.array(clock["teacher"]) / np.array(clock["student"]))
small = sum(p.numel() for p in student.parameters())
print(f"{'':<34} {'DistilBERT':>10} {'this student':>14}")
print(f"{'fewer parameters':<34} {'40%':>10} {1 - small / size:>13.0%}")
print(
    f"{'  not counting the embedding':<34} {'':>10} {1 - (small - in_embedding) / (size - in_embedding):>13.0%}"
)
print(f"{'faster':<34} {'60%':>10} {faster - 1:>13.0%}")
print("share of the teacher's accuracy kept, mean ± 95%:")
for method in METHODS:
    line = f"  {method:<32} {'97%' if method == 'halved, teacher' else '':>10}"
    for runs, factor in ((quick[method], 1), (stored[method], 100)):
        if runs:
            kept = [factor * 100 * run["accuracy"] / teacher_score["accuracy"] for run in runs]
            line += "  {:5.1f} ± {:4.1f}%".format(*mean_interval(kept))
    print(line)
always = 100 * majority / teacher_score["accuracy"]
print(f"  {'always positive':<32} {'':>10}  {always:5.1f}%")

# %% [markdown]
# **What we saw.** *Parameters:* 32% fewer, not 50%, since halving the blocks leaves the embedding as it is; of the rest exactly half is gone. *Speed:* half of the blocks, twice as fast (100% faster in our run), for nearly all the time goes into blocks. *Score:* our student in DistilBERT's
# manner keeps 99.2 ± 1.1% of the teacher's accuracy, more than the 97% of the paper. Do not be proud of that. "Always positive" keeps 61.8%, and the teacher cut in half and never trained keeps 98.4%. A share of a score means little
# without the score of doing nothing beside it.
#
# ## Does a teacher add anything to twenty people?
#
# Here is the question that this data set lets us ask and most do not: the sentences *already have* soft labels, from people. Compare three students that start from dice and differ in nothing but what they are told. Right: where people
# disagree, does the student know that they do?

# %% role="show" name="fig-labels"
figure, grid = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
bins = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.1])
told_by_people = tinykd.entropy(test_shares.clamp_min(1e-9).log())
for n, method in enumerate(("votes", "people", "teacher")):
    p = softmax(answers[method])
    mine = tinykd.entropy(p.log())
    in_bin = [(told_by_people >= a) & (told_by_people < b) for a, b in itertools.pairwise(bins)]
    grid[1].plot(
        range(4),
        [float(mine[rows].mean()) for rows in in_bin],
        "os^"[n] + "-",
        color=COLORS[n],
        label=method,
    )
    sure = p.max(-1).values
    right = (p.argmax(-1) == test_shares.argmax(-1)).float()
    steps = torch.linspace(0.35, 0.95, 7)
    points = [(sure >= a) & (sure < a + 0.1) for a in steps]
    found = [
        (float(sure[rows].mean()), float(right[rows].mean())) for rows in points if rows.sum() > 30
    ]
    grid[0].plot(*zip(*found, strict=True), "os^"[n] + "-", color=COLORS[n], label=method)
grid[0].plot([0.35, 1], [0.35, 1], "k:", label="as right as sure")
grid[0].set(xlabel="probability of its answer", ylabel="share of answers that are right")
grid[1].plot(
    range(4),
    [float(told_by_people[rows].mean()) for rows in in_bin],
    "k:",
    label="people themselves",
)
grid[1].set_xticks(range(4), ["0 to ¼", "¼ to ½", "½ to ¾", "above ¾"])
grid[1].set(xlabel="entropy of people, nats", ylabel="entropy of the student, mean")
for axes in grid:
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# **What we saw.** After 96 steps, no. All three are about as right as they are sure (left). And none has learned *where* people disagree (right): people's entropy rises more than tenfold from left to right, the students' hardly at all.
# People's shares are no better than their votes (cross-entropy 1.003 ± 0.044 against 1.006 ± 0.019). The teacher's targets are, though it learned from the same people: it has already averaged over many sentences what these
# say one by one. That is a guess; what is measured is the difference.
#
# With more training the two kinds of labels do part. A linear layer that counts pieces, trained for 6 epochs on all sentences, had a held-out cross-entropy of 0.818 with people's shares and 0.846 with votes, at 66.1% and 66.7% right (one run each): the shares make it
# honest about its doubts, not more often right. The best possible value is 0.375; nobody here comes near it.
#
# ## What we saw
#
# - A transformer is a table of vectors, a stream, and blocks that add to it; attention is lesson 01's softmax over dot products, and rotary positions make these depend on distances alone.
# - Padding is nobody's business: minus infinity at padded keys, a mean over real positions, and losses that divide by the number of real ones. The test is always the same: append padding, and nothing may change.
# - A student cut out of its teacher starts almost at the teacher's score, if the teacher's blocks did little; the control "halved, people" is what tells inheritance from distillation. Papers that leave it out cannot tell either.
# - From dice and at the same budget, the teacher's soft targets beat votes and people's shares; matching the inside did not pay in so few steps.
# - Report a share of a score together with the share that doing nothing gets.
#
# **What this lesson does not show.** DistilBERT and TinyBERT take a teacher that has read billions of words, and let the student read millions of sentences with it before the task comes. Ours see 18,725 sentences. So the gains here are
# small, and what there is comes mostly with the teacher's weights. Our student has also inherited what is dearest in a small model: more than half of its parameters are its embedding, which halving the blocks leaves untouched.
#
# ## Further reading
#
# - Vaswani et al. 2017, *Attention Is All You Need* ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)): equation 1 is your exercise 2.
# - Su et al. 2021, *RoFormer* ([arXiv 2104.09864](https://arxiv.org/abs/2104.09864)): rotary positions, with the proof that only distances count.
# - Sanh, Debut, Chaumond, Wolf 2019, *DistilBERT* ([arXiv 1910.01108](https://arxiv.org/abs/1910.01108)): four pages. Table 4 asks which of its three losses matter, and how much the start from the teacher is worth.
# - Jiao et al. 2019, *TinyBERT* ([arXiv 1909.10351](https://arxiv.org/abs/1909.10351)): equations 7 to 11 are the terms above.
# - Hutto and Gilbert 2014, *VADER*, ICWSM: the sentences and how the people were chosen.
# - Bommasani, Davis, Cardie 2020, *Interpreting Pretrained Contextualized Representations via Reductions to Static Embeddings*, ACL: where our teacher's embedding started.
#
# Now grade yourself: `.venv/bin/tinykd check lessons/11_transformers.ipynb`. Lesson 12 lets a transformer write.

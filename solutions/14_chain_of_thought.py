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
# | Time | two hours of yours; about 3 minutes of computing on 2 cores, and 2 more for the one cell that trains a language model (marked; nothing needs it) |
# | Needs | lessons 11 to 13 (transformers, masks, sampling, sequence-level distillation) |

# %% role="setup" name="setup"
import itertools
import json
import math
import re
import textwrap
import time
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

import tinykd
from tinykd import HardLabels, Trainer, cosine, lm, plots, warm_up
from tinykd.classroom import Checks
from tinykd.lm import Config, SequenceBatches, Tokenizer, Transformer
from tinykd.lm.reasoning.problems import ALPHABET, arithmetic, right_chain
from tinykd.metrics import mean_interval
from tinykd.plots import COLORS

check = Checks("14_chain_of_thought")


def tried(function, given, *rest):
    """What function(given, *rest) gives; an error on the way says what it was called with."""
    try:
        return check.call(function, given, *rest)
    except Exception as error:
        error.add_note(f"This was {function.__name__}({', '.join(map(repr, (given, *rest)))}).")
        raise


def matrices(rng, rows, size_in, size_out, r):
    """x (*rows, in), W (out, in), A (r, in), B (out, r): random, and asked for gradients."""
    shapes = (*rows, size_in), (size_out, size_in), (r, size_in), (size_out, r)
    return [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]


def moves(y, *inputs):
    """What the checks look at: a layer's output, and the gradient of its square in each input."""
    loss = (y**2).sum() if torch.is_tensor(y) else None
    slopes = [None] * len(inputs)
    if loss is not None and loss.requires_grad:
        asked = [x if x.requires_grad else x.clone().requires_grad_() for x in inputs]
        slopes = torch.autograd.grad(loss, asked, allow_unused=True)
    pairs = zip(("x", "W", "A", "B"), inputs, slopes, strict=True)
    return {"output": y} | {
        f"gradient of {name}": torch.zeros_like(i) if g is None else g for name, i, g in pairs
    }


def narrow(text):
    """The text in lines that fit the page."""
    return "\n".join(textwrap.fill(line, 86) for line in text.splitlines())


# %% [markdown]
# ## A recipe in five lines
#
# In January 2025 six smaller open models (1.5 to 70 billion parameters) learned to solve competition mathematics from a large one, DeepSeek-R1. No logits were matched, no
# temperature was raised, no reinforcement learning touched the six. The recipe:
#
# 1. Give the teacher **problems whose answers can be verified**.
# 2. **Sample** worked solutions, chains of thought, from it.
# 3. **Verify** the final answer of each, and **reject** the solutions that get it wrong.
# 4. **Fine-tune** the student on what is left: cross-entropy on the teacher's tokens, plain SFT (supervised fine-tuning).
# 5. Measure.
#
# You know the loss from lesson 12 and the idea from lesson 13: it is sequence-level distillation, with a filter. What is new is *what* is written down. A transformer
# spends the same amount of computing on every token: so many layers, and out comes a distribution. The more steps a problem takes in a row, the harder they are to fit into one token, and with more steps than layers there is
# no room to take them one after the other. It can be solved *on paper*: write an intermediate result, and read it again as input for the next step. The paper is the model's own output.
#
# We go through the recipe twice. First with everything from scratch, in minutes: a tiny teacher, tiny students, problems without end. Then with a real language model, on
# word problems.
#
# ## The problems: a pocket calculator
#
# `34+5-8*2:` are the keys somebody presses, one after the other: 34, plus 5 (39), minus 8 (31), times 2 (62). There is no precedence, as on a cheap calculator. Written out step by step
# it is `34+5=39-8=31*2=62`. That is our **chain of thought**; the last number in it is the answer. Every intermediate result has two digits. A problem has one to
# six steps; the number of steps is how hard it is.
#
# The teacher is a transformer like that of lesson 11: one token per character, 450,000 parameters, shipped with the course. The command
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
# A program has to find the answer in a text before it can compare. Nothing about this is deep, and many disagreements about reasoning scores come from it. Our
# rules are in the spirit of GSM8K (8,500 word problems for school children; solutions end in `#### 42`), whose own script takes the first marker and never the last number of the text. The library's `lm.verify`, which scores all that follows, is stricter: it reads a number whole or not at all
# (`84/2` and `x-5` are no single number to it). You will see how often the two part.
#
# - if the text has a marker `####`, the answer is the first number after the **last** one. If nothing comes after it the solution was cut off: no answer, `None`;
# - without a marker, it is the **last** number of the text; no number at all: `None`;
# - `1,200.50` is one number: commas between digits are dropped, a decimal part belongs to it;
# - a minus sign belongs to the number (`= -5`), unless it stands right after a digit: `39-8` is a subtraction, and its last number is 8.
#
# A text may have several lines; a line break is nothing special.
#
# ### Exercise 1: extract the answer
#
# <details><summary>Hint 1: a pattern for numbers</summary>
#
# `re.findall(pattern, text)` gives all stretches of `text` that fit. `r"\d[\d,]*(?:\.\d+)?"` is a digit, then digits and commas, then perhaps a point with digits after it.
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
    # YOUR CODE: split at the last marker, find all numbers after it, take the right one
    # BEGIN SOLUTION
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    if not numbers:
        return None
    return float(numbers[0 if marker else -1].replace(",", ""))
    # END SOLUTION


# %% role="check" name="extract_answer.last" points=1 hint="Without a marker the LAST number is the answer, as a float, on whichever line it stands; a minus belongs to it unless it stands right after a digit; 0 is an answer, no number gives None."
def specimen(rng):
    a, b = (int(n) for n in rng.integers(10, 90, size=2))
    texts = [f"{a}+{b}={a + b}", f"{a}+{b}", f"{a}-7", f"7-{a}={7 - a}", f"x-{a}", f"{b}-{b}=0"]
    return [*texts, f"{a}+{b}={a + b}\nThat is all.", f"I know {b}.\nNo, {a}.", "I do not know"]


rng = check.rng("extract_answer.last")
check("extract_answer.last", {text: tried(extract_answer, text) for text in specimen(rng)})


# %% role="check" name="extract_answer.marker" points=1 hint="With a marker: the FIRST number after the LAST ####, on the same line or a later one. A marker with nothing after it gives None: the solution was cut off."
def specimen(rng):
    a, b = (int(n) for n in 1000 + rng.permutation(8000)[:2])
    return [
        f"It takes {b} days.\n#### {a} days, {b} of them in May",
        f"#### {b}\nNo, wait.\n#### {a}",
        f"{a} and {b} are {a + b}\n####",
        f"#### -{a}",
        f"so {b}\n####\n{a}\n",
    ]


rng = check.rng("extract_answer.marker")
check("extract_answer.marker", {text: tried(extract_answer, text) for text in specimen(rng)})


# %% role="check" name="extract_answer.spelling" points=1 hint="Commas are dropped before float(), all of them; a decimal part belongs to the number, a full stop after it does not; units do not disturb."
def specimen(rng):
    a, b = (int(n) for n in 100 + rng.permutation(800)[:2])
    texts = [f"#### ${a},{b}", f"in all {a}.{b} km.", f"#### {a}.50%", f"so x = -{a},{b}.25"]
    return [*texts, f"that makes {a},{b},{a}.", f"{b}, and then {a}, at last"]


rng = check.rng("extract_answer.spelling")
check("extract_answer.spelling", {text: tried(extract_answer, text) for text in specimen(rng)})


# %% role="hidden" name="extract_answer.secret" points=1 hint="Texts with several markers, several lines, negative numbers, thousands and no answer."
def specimen(rng):
    a, b = (int(n) for n in 100 + rng.permutation(800)[:2])
    return [
        f"first #### {b}, then #### {a},{b}.5 apples and {b} pears",
        f"{a}*2={2 * a}-9",
        f"{b} of {a}, then ####",
        f"it fell from {a} to -{b}.75",
        f"so y is x-{b}",
        f"#### -{a},{b}.5\n(it was {b})",
        f"({a}-{a})\n= 0.0\nand no more",
        "",
    ]


rng = check.rng("extract_answer.secret")
check("extract_answer.secret", {text: tried(extract_answer, text) for text in specimen(rng)})


# %% role="alternative" of="extract_answer" name="extract_answer.by_split"
def extract_answer(text):
    parts = text.split("####")
    found = [m.group() for m in re.finditer(r"(?:(?<!\d)-)?\d[\d,]*\.?\d*", parts[-1])]
    if len(found) == 0:
        return None
    chosen = found[0] if len(parts) > 1 else found[-1]
    return float("".join(chosen.split(",")))


# %% role="alternative" of="extract_answer" name="extract_answer.by_hand"
def extract_answer(text):
    marker = "####" in text
    rest = text[text.rfind("####") + 4 :] if marker else text
    numbers, i = [], 0
    while i < len(rest):
        if not rest[i].isdigit():
            i += 1
            continue
        sign = -1 if i > 0 and rest[i - 1] == "-" and not rest[: i - 1][-1:].isdigit() else 1
        digits = ""
        while i < len(rest) and (rest[i].isdigit() or rest[i] == ","):
            digits += rest[i].replace(",", "")
            i += 1
        if rest[i : i + 1] == "." and rest[i + 1 : i + 2].isdigit():
            digits, i = digits + ".", i + 1
            while i < len(rest) and rest[i].isdigit():
                digits, i = digits + rest[i], i + 1
        numbers.append(sign * float(digits))
    if not numbers:
        return None
    return numbers[0] if marker else numbers[-1]


# %% role="mutant" of="extract_answer" name="extract_answer.first" loses="extract_answer.last, extract_answer.spelling, extract_answer.secret" hint="Without a marker you take the first number of the text. A worked solution ends in its answer: take the last."
def extract_answer(text):
    _, _, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.text" loses="extract_answer.last, extract_answer.marker, extract_answer.spelling, extract_answer.secret" hint="You return the text of the number: float() makes a number of it."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return numbers[0 if marker else -1].replace(",", "") if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.partition" loses="extract_answer.last, extract_answer.marker, extract_answer.spelling, extract_answer.secret" hint="You split with partition and look behind the marker. Without one there is nothing behind it: rpartition splits at the last marker, and without one leaves everything in its third part."
def extract_answer(text):
    _, marker, rest = text.partition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.library" loses="extract_answer.last, extract_answer.secret" hint="That is the library's reader. It has rules of its own (x-5 is a subtraction to it); this page's rules are the four above."
def extract_answer(text):
    answer = lm.extract_answer(text)
    return None if answer is None else float(answer)


# %% role="mutant" of="extract_answer" name="extract_answer.always_last" loses="extract_answer.marker, extract_answer.secret" hint="Behind a marker the first number counts: what follows it is explanation."
def extract_answer(text):
    _, _, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[-1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.first_marker" loses="extract_answer.marker, extract_answer.secret" hint="You split at the first ####. A model may change its mind: the last one counts."
def extract_answer(text):
    before, marker, after = text.partition("####")
    rest = after if marker else before
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.falls_back" loses="extract_answer.marker, extract_answer.secret" hint="Behind a marker there was nothing, and you took a number from before it. That solution was cut off: its answer is None."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    pattern = r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?"
    numbers = re.findall(pattern, rest)
    if marker and numbers:
        return float(numbers[0].replace(",", ""))
    numbers = re.findall(pattern, text)
    return float(numbers[-1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.digits" loses="extract_answer.last, extract_answer.marker, extract_answer.spelling, extract_answer.secret" hint="You lose minus signs: -5 is not 5."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.subtraction" loses="extract_answer.last, extract_answer.secret" hint="39-8 is a subtraction: its last number is 8, not -8. A minus right after a digit is no sign."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.whole" loses="extract_answer.spelling, extract_answer.secret" hint="A decimal part belongs to the number: 3.50 is not 3, and not 50."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.commas" loses="extract_answer.spelling, extract_answer.secret" hint="1,200 is one number, one thousand two hundred: commas between digits are dropped."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d+(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1]) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.zero" loses="extract_answer.last, extract_answer.marker, extract_answer.secret" hint="No answer is not the answer 0: return None."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else 0.0


# %% role="mutant" of="extract_answer" name="extract_answer.last_line" loses="extract_answer.last, extract_answer.secret" hint="You look at the last line of the text alone. The last number may stand before it."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    rest = rest if marker else (text.splitlines() or [""])[-1]
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.same_line" loses="extract_answer.marker" hint="You look only at what stands on the marker's own line. A line break is nothing special."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    rest = rest.split("\n")[0] if marker else rest
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.zero_is_none" loses="extract_answer.last, extract_answer.secret" hint="The answer 0 becomes None: 0 is false in Python. Ask whether there is a number, not whether the number is true."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d[\d,]*(?:\.\d+)?", rest)
    value = float(numbers[0 if marker else -1].replace(",", "")) if numbers else None
    return value or None


# %% role="mutant" of="extract_answer" name="extract_answer.one_comma" loses="extract_answer.spelling" hint="You drop the first comma only, or allow one: 1,200,300 is one number."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d+(?:,\d+)?(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% role="mutant" of="extract_answer" name="extract_answer.groups" loses="extract_answer.marker" hint="You read three digits and then want a comma: 1234 is one number as well."
def extract_answer(text):
    _, marker, rest = text.rpartition("####")
    numbers = re.findall(r"(?:(?<!\d)-)?\d{1,3}(?:,\d{3})*(?:\.\d+)?", rest)
    return float(numbers[0 if marker else -1].replace(",", "")) if numbers else None


# %% [markdown]
# ## Sample, verify, reject
#
# Now steps 2 and 3. For each problem the teacher writes several solutions. Kept are those whose answer verifies. Two details decide what the student will see:
#
# - **Once is enough.** Samples repeat, above all on easy problems, and a solution that is there four times is trained on four times.
# - **A cap for each problem.** Easy problems yield many right solutions, hard ones few. Without a cap the transfer set fills up with what everybody can do already.
#
# Verification is the whole difference from lesson 13's sequence-level distillation. There the student inherits the teacher's errors; here those with a wrong end are thrown away.
# What that is worth we measure below, against a student of *all* chains.
#
# ### Exercise 2: rejection sampling
# `lm.verify(text, answer)` is True where the solution `text` ends in `answer`.
#
# <details><summary>Hint</summary>One loop over problems, one over the texts of a problem. Keep a text if it verifies, is not among those kept for this problem, and these are fewer than <code>cap</code>. Leave the lists you are given as they are.</details>


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
def specimen(rng):
    a, b, c = (int(n) for n in rng.integers(20, 50, size=3))
    first = [
        f"{a}+{b}={a + b + 1}",
        f"{a}+{b}={a + b}",
        f"#### {a + b} days",
        f"#### {100 + a + b}",
    ]
    samples = [
        rng.permutation(first).tolist(),
        [f"{c}*2={2 * c - 1}", "?"],
        rng.permutation([f"{c}+1={c + 1}", f"{c}-1={c - 1}"]).tolist(),
    ]
    return samples, [str(a + b), str(2 * c), str(c + 1)]


rng = check.rng("reject.verified")
check("reject.verified", check.call(reject, *specimen(rng), 4))


# %% role="check" name="reject.distinct" points=1 hint="The same text counts once for one problem, next to its twin or far from it; for another problem it is another example. A set has no order: a list or dict.fromkeys(texts) keeps it."
def specimen(rng):
    a, b = (int(n) for n in 20 + rng.permutation(30)[:2])
    x, y, z = rng.permutation([f"{a}+{b}={a + b}", f"{b}+{a}={a + b}", f"{a + b}"]).tolist()
    return [[x, x, y, z, x], [y, x, z, y]], [str(a + b)] * 2


rng = check.rng("reject.distinct")
check("reject.distinct", check.call(reject, *specimen(rng), 6))


# %% role="check" name="reject.cap" points=1 hint="The cap is for each problem, and counts what is kept, not what is looked at: the first ones, so a set, which has no order, will not do."
def specimen(rng):
    a = int(rng.integers(20, 900))
    ways = [f"{a - i}+{i}={a}" for i in (1 + rng.permutation(9)).tolist()]
    wrong = f"{a}+1={a + 2}"
    return [[wrong, ways[0], ways[0], ways[1], ways[2]], ways], [str(a)] * 2


rng = check.rng("reject.cap")
check("reject.cap", check.call(reject, *specimen(rng), 2))


# %% role="hidden" name="reject.secret" points=1 hint="Wrong, repeated and too many solutions at once, also a problem without any right one."
def specimen(rng):
    a = int(rng.integers(20, 900))
    ways = [f"{a - i}+{i}={a}" for i in (1 + rng.permutation(5)).tolist()]
    wrong = [f"{a}+1={a + 2}", f"#### {1000 + a}", f"{a}-3={a - 3}"]
    first = [wrong[0], ways[1], ways[0], wrong[2], ways[1], ways[3], ways[2]]
    return [first, wrong, ways[::-1]], [str(a)] * 3


rng = check.rng("reject.secret")
check("reject.secret", check.call(reject, *specimen(rng), 3))


# %% role="alternative" of="reject" name="reject.by_loops"
def reject(samples, answers, cap):
    pairs = []
    for i in range(len(samples)):
        mine = []
        for text in samples[i]:
            if len(mine) == cap:
                break
            if text not in mine and lm.verify(text, answers[i]):
                mine.append(text)
        pairs.extend([i, text] for text in mine)
    return pairs


# %% role="alternative" of="reject" name="reject.by_seen"
def reject(samples, answers, cap):
    out, seen, number_kept = [], set(), Counter()
    for i, texts in enumerate(samples):
        for text in texts:
            if (i, text) in seen or number_kept[i] >= cap or not lm.verify(text, answers[i]):
                continue
            seen.add((i, text))
            number_kept[i] += 1
            out.append((i, text))
    return out


# %% role="mutant" of="reject" name="reject.repeats" loses="reject.distinct, reject.cap, reject.secret" hint="You keep repeated texts: a solution that is there four times is trained on four times."
def reject(samples, answers, cap):
    return [
        (number, text)
        for number, (texts, answer) in enumerate(zip(samples, answers, strict=True))
        for text in [t for t in texts if lm.verify(t, answer)][:cap]
    ]


# %% role="mutant" of="reject" name="reject.everywhere" loses="reject.distinct, reject.cap, reject.secret" hint="You remember texts across problems. The same text under another question is another example."
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


# %% role="mutant" of="reject" name="reject.neighbours" loses="reject.distinct, reject.secret" hint="You compare a text with the one before it. A repeated solution may come later."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        good = [text for text in texts if lm.verify(text, answer)]
        own = [text for text, _ in itertools.groupby(good)]
        kept += [(number, text) for text in own[:cap]]
    return kept


# %% role="mutant" of="reject" name="reject.one_too_many" loses="reject.cap, reject.secret" hint="You keep one more than the cap: <= where < is meant."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        good = list(dict.fromkeys(text for text in texts if lm.verify(text, answer)))
        kept += [(number, text) for text in good[: cap + 1]]
    return kept


# %% role="mutant" of="reject" name="reject.sorted" loses="reject.verified, reject.distinct, reject.cap, reject.secret" hint="The order is lost: set() has none, and sorted() gives it another. The texts stay in the order they come."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        good = sorted({text for text in texts if lm.verify(text, answer)}, reverse=True)
        good = good if good != list(dict.fromkeys(t for t in texts if t in good)) else good[::-1]
        kept += [(number, text) for text in good[:cap]]
    return kept


# %% role="mutant" of="reject" name="reject.empties" loses="reject.verified, reject.cap, reject.secret" hint="You remove the wrong texts from the list you were given (remove, pop and del do). Whoever counts the samples later counts fewer: build a new list."
def reject(samples, answers, cap):
    kept = []
    for number, (texts, answer) in enumerate(zip(samples, answers, strict=True)):
        for text in [text for text in texts if not lm.verify(text, answer)]:
            texts.remove(text)
        kept += [(number, text) for text in list(dict.fromkeys(texts))[:cap]]
    return kept


# %% [markdown]
# Let the teacher work: two samples for each problem, and at most two kept. The cell asks one more question, which verification cannot ask in real life: of the
# solutions with the right answer, how many have a *wrong step* inside? Here we can tell, because there is only one right chain. (`check.ready` takes your function once it has passed its checks, and the library's until then.)
#
# **What do you expect?** The teacher errs now and then at every step. If nine in ten one-step solutions are right, how many of those with six steps?


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
having = {i for i, _ in transfer}
print(f"problems with at least one solution kept: {len(having):,} of {len(problems):,}")
print(
    f"kept with the right answer and a wrong step: {len(lucky)} ({len(lucky) / len(transfer):.1%})"
)
for i, text in lucky[:2]:
    print(f"    {problems[i].question}  {text}")
pairs = zip(problems, drawn.texts, strict=True)
apart = [
    (problem, text)
    for problem, texts in pairs
    for text in texts
    if reader(text) != library_reader(text)
]
print(f"read alike by your reader and the library's: {right.size - len(apart):,} of {right.size:,}")
for problem, text in apart[:2]:
    print(f"    {problem.question}  {text}   {reader(text)} against {library_reader(text)}")
if apart:
    changed = sum(reader(text) == float(problem.answer) for problem, text in apart)
    print(f"    of these {len(apart)} the rules of exercise 1 would call {changed} right")

# %% role="show" name="rejection-figure" folded=true
figure, axes = plt.subplots(figsize=(5.5, 3), layout="constrained")
axes.bar(range(1, 7), share, color=COLORS[0], alpha=0.8)
for s, value in enumerate(share, 1):
    axes.annotate(f"{value:.0%}", (s, value), (0, 2), textcoords="offset points", ha="center")
axes.set(xlabel="steps of the problem", ylabel="share of samples verified", ylim=(0, 1.08))
axes.spines[["top", "right"]].set_visible(False)
plots.show("Bars: the share of the hot teacher's samples that verify, from one step down to six.")

# %% [markdown]
# **What we saw.** Written hot, about four in five solutions verify: nine in ten with one step, two in three with six. Errors multiply, since a chain is right only if every step is. (With independent errors six steps would be at $0.9^6 = 53$%; they are at more, so much of the error comes once a chain, not once a step.)
# Two tries give almost every problem at least one right solution, and hot or not, what is kept is right. Or is it? About one in forty of those kept reaches the right answer by way of a wrong step, such as a number copied wrongly and read rightly.
# Rejection sampling looks at the end alone, and so does every benchmark that scores final answers.
#
# The two readers differ on the handful of chains that break off in the middle of a step (`…84/2` and the end): your rules take the last number, the library sees a fraction and says `None`. The last line above counts how often that would change a verdict. Where it does not, nobody needs to argue; in a real benchmark
# the first thing to read is the list of texts on which two readers differ.
#
# ## Fine-tune: the loss is on the answer
#
# An example is a prompt and an answer in one row of tokens. The student reads all of it and is judged on the answer alone: nobody wants a model that invents questions. Two positions are easily lost:
#
# - the **first** answer token is predicted at the **last prompt position**. Leave it out and the model never learns how to begin;
# - after the answer comes the **end-of-sequence** token, eos. Leave it out and the model never learns to stop: it will happily go on with the next problem until its tokens run out, and an unfinished sample counts as wrong.
#   One is enough: a reader stops there. (An eos *inside* an answer, as between the turns of a chat, stays where it is; only the last token decides whether one is missing.)
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


# %% role="check" name="sft_example.labels" points=1 hint="labels[t] is the token after position t: the last prompt position predicts the first answer token, the last position predicts nothing. An answer token is learned also where the prompt has the same one."
def specimen(rng):
    prompt, answer = (rng.integers(2, 99, size=n).tolist() for n in (4, 3))
    return prompt, [prompt[1], *answer, prompt[3]], 1


rng = check.rng("sft_example.labels")
check("sft_example.labels", tried(sft_example, *specimen(rng)))


# %% role="check" name="sft_example.end" points=1 hint="Exactly one eos at the end of ids, also where the answer brings its own, and it is learned. One inside the answer (a chat of two turns has one) is no end."
def specimen(rng):
    prompt, one, two = (part.tolist() for part in np.split(2 + rng.permutation(97)[:9], [3, 7]))
    ends = {"answer with its own eos": [*one, 1], "answer with an eos inside": [*one, 1, *two]}
    return {name: ([*prompt, 1], answer, 1) for name, answer in ends.items()}


rng = check.rng("sft_example.end")
check("sft_example.end", {name: tried(sft_example, *row) for name, row in specimen(rng).items()})


# %% role="hidden" name="sft_example.secret" points=1 hint="Another eos, prompts and answers of other lengths, with and without an end."
def specimen(rng):
    a, b, c, d, e = (rng.integers(10, 99, size=n).tolist() for n in (1, 2, 6, 1, 5))
    return [(a, b, 7), (c, [*d, 7], 7), ([*e, 7], b, 7), ([*c, 0], [*c[:2], *b], 0)]


rng = check.rng("sft_example.secret")
check("sft_example.secret", [tried(sft_example, *row) for row in specimen(rng)])


# %% role="alternative" of="sft_example" name="sft_example.by_positions"
def sft_example(prompt, answer, eos):
    ids = [*prompt, *answer] if answer and answer[-1] == eos else [*prompt, *answer, eos]
    labels = []
    for t in range(len(ids)):
        learned = t + 1 < len(ids) and t + 1 >= len(prompt)
        labels.append(ids[t + 1] if learned else -100)
    return {"ids": ids, "labels": labels}


# %% role="alternative" of="sft_example" name="sft_example.by_copies"
def sft_example(prompt, answer, eos):
    answer = answer.copy()
    if not answer or answer[-1] != eos:
        answer.append(eos)
    ids = torch.tensor(prompt + answer)
    labels = torch.roll(ids, -1)
    labels[: len(prompt) - 1] = -100
    labels[-1] = -100
    return {"ids": ids, "labels": labels}


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


# %% role="mutant" of="sft_example" name="sft_example.changes" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="You change the lists you were given (append and += do): in the next epoch every row is longer. prompt + answer and answer + [eos] are new lists."
def sft_example(prompt, answer, eos):
    if answer[-1:] != [eos]:
        answer.append(eos)
    asked = len(prompt) - 1
    prompt += answer
    return {"ids": prompt, "labels": [-100] * asked + answer + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.by_value" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="You mask every token that the prompt has too. The place decides, not the token: an answer repeats numbers of its question."
def sft_example(prompt, answer, eos):
    answer = answer if answer[-1:] == [eos] else answer + [eos]
    ids = prompt + answer
    return {"ids": ids, "labels": [-100 if i in prompt else i for i in ids[1:]] + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.found" loses="sft_example.labels, sft_example.secret" hint="You look for the answer's first token with index(): it finds the same token inside the prompt first. The answer begins at len(prompt)."
def sft_example(prompt, answer, eos):
    answer = answer if answer[-1:] == [eos] else answer + [eos]
    ids = prompt + answer
    start = ids.index(answer[0])
    return {"ids": ids, "labels": [-100] * (start - 1) + ids[max(start, 1) :] + [-100]}


# %% role="mutant" of="sft_example" name="sft_example.padding" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="Where nothing is to be learned you write 0. Zero is a token; the label that is left out is -100."
def sft_example(prompt, answer, eos):
    answer = answer if answer[-1:] == [eos] else answer + [eos]
    return {"ids": prompt + answer, "labels": [0] * (len(prompt) - 1) + answer + [0]}


# %% role="mutant" of="sft_example" name="sft_example.in_place" loses="sft_example.labels, sft_example.end, sft_example.secret" hint="answer.append(eos) changes the list you were given; answer + [eos] is a new one."
def sft_example(prompt, answer, eos):
    if answer[-1] != eos:
        answer.append(eos)
    return {"ids": prompt + answer, "labels": [-100] * (len(prompt) - 1) + answer + [-100]}


# %% [markdown]
# ## Two students
#
# Two students of the same shape, a third of the teacher's parameters, and the same starting weights. Both learn from the very same verified samples:
#
# - **answers only**: question, then the answer. No chain. This is what "train on question-answer pairs" means;
# - **chains**: question, then the teacher's chain. Plain SFT, the R1 recipe.
#
# To be fair, **both read the same number of tokens**, prompts included, at the same learning rate. A row of answers only is less than half as long, so that student sees its rows more than twice as often. Not the same is the number of *labels*, which the cell prints (and which is why
# the losses beside them cannot be compared): that is part of what a chain gives.
#
# Two more were trained beforehand, with the seeds that the table shows; each is another minute of computing:
#
# - **chains + KL**: the same chains, and at every position of them the teacher's whole distribution too: $\frac12 \mathrm{CE} + \frac12 \mathrm{KL}(p\|q)$. The R1 students had no such thing. (`benchmarks/arithmetic_teacher.py`)
# - **unverified**, the control for the verifier: *all* chains of the teacher that came to an end, the wrong ones too. Step 3 of the recipe left out, nothing else. (`benchmarks/chain_of_thought.py --unverified 0 1 2`)
#
# **Who chose the settings, and on what?** Whoever tries ten settings on the held-out problems and reports the best has trained on the test. So `benchmarks/arithmetic_teacher.py --tune` has 400 *validation* problems of its own, and a rule: answers only and chains each get the best of three learning rates (the baseline is
# tuned as carefully as the method); all then read the smallest of 1.2, 1.5 and 1.8 million tokens at which chains reach 95% in each of three runs, or else the largest. What came out, 0.003 for both and 1.8 million, and every run behind it are in `datasets/results/arithmetic.json`. Two things are less clean: chains + KL and unverified took over the
# learning rate of chains, and rotary base and batch size are from an earlier trial, on problems drawn like the held-out ones.
#
# In the tables *pass@1* is the share of single samples that are right, *cons@16* that of problems whose most frequent answer of 16 is right; more of both below. Training prints a line when it starts and one when it is done, a minute later.
#
# (`rope_base=100`: our rows are at most 50 tokens long. With the usual 10,000 most of the rotary hands of lesson 11 would hardly move.)
#
# **What do you expect?** How far apart are the two at one step, where no chain is needed, and at six? And the student that read wrong chains too, three in ten of all it read: how far below the other, at $T = 0.6$, and at the $T = 1.5$ its teacher wrote at?


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


def study(name, examples, budget):
    """A new student; prints how it was trained."""
    asked, judged = (np.mean([len(row[part]) for row in examples]) for part in (0, 1))
    print(
        f"{name:>12}: {judged:4.1f} labels in a row of {asked + judged:.1f} tokens ...", flush=True
    )
    torch.manual_seed(0)
    student = Transformer(SHAPE)
    history = Trainer(
        student,
        1.0 * HardLabels(),
        optimizer=lambda ps: torch.optim.AdamW(ps, RATE, betas=(0.9, 0.99), fused=True),
        schedule=warm_up(cosine(1, 0), 0.05),
        clip=1.0,
        progress=False,
    ).fit(until(examples, budget))
    print(f"{'':>14}loss {history[-1]['loss']:.3f}, {history[-1]['seconds']:.0f} s", flush=True)
    return student


def library_example(prompt, answer, eos):
    end = [] if answer[-1:] == [eos] else [eos]
    labels = [-100] * (len(prompt) - 1) + answer + end + [-100]
    return {"ids": prompt + answer + end, "labels": labels}


students = {}
chains = rows((problems[i], text) for i, text in transfer)
answers = rows((problems[i], problems[i].answer) for i, _ in transfer)
row = check.ready(sft_example, library_example)(*chains[0], tokenizer.eos)
print("one row:   ", tokenizer.decode(row["ids"], special=True))
learned = (tokenizer.decode([i], special=True) if i >= 0 else "." for i in row["labels"])
print("its labels:", "".join(learned), "\n")
for name, examples in (("answers only", answers), ("chains", chains)):
    students[name] = study(name, examples, budget)
size = sum(weights.numel() for weights in Transformer(SHAPE).parameters())
print(f"{size:,} parameters each")

# %% role="show" name="by-steps"
# As R1 was measured: temperature 0.6, top-p 0.95, several samples a problem.
cool, hot = {"temperature": 0.6, "top_p": 0.95}, {"temperature": HOT}
plan = {
    "answers only": (students.get("answers only"), cool),
    "chains": (students.get("chains"), cool),
    "teacher": (teacher, cool),
    "teacher, hot": (teacher, hot),
}
results = {}
print(f"{'':>14}   pass@1 (95% over problems)    cons@{tries}    tokens an answer")
for name, (model, how) in plan.items():
    if model is None:
        print(f"{name:>14}   not run")
        continue
    results[name] = lm.sample(model, tokenizer, held_out, tries, **how, **sampling)
    report = lm.evaluate_reasoning(results[name])
    (mean, low, high), cons = report["pass@1"], report[f"cons@{tries}"][0]
    print(
        f"{name:>14}   {mean:6.1%}  ({low:.1%} to {high:.1%})".ljust(46)
        + f"{cons:6.1%}       {report['tokens'][0]:5.1f}",
        flush=True,
    )
if {"answers only", "chains"} <= set(results):
    gain = results["chains"].right.mean(1) - results["answers only"].right.mean(1)
    mean, half = mean_interval(gain.tolist())
    print(f"\nchains minus answers only, problem by problem: {mean:+.1%} ± {half:.1%}")

steps = np.array([problem.steps for problem in held_out])
figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for place, (name, one) in enumerate(results.items()):
    each = [one.right[steps == s].mean(1).tolist() for s in range(1, 7)]
    means, halves = np.array([mean_interval(values) for values in each]).T
    axes.errorbar(
        np.arange(1, 7) + 0.05 * (place - 1.5),
        means,
        [np.minimum(halves, means), np.minimum(halves, 1 - means)],
        color=COLORS[place],
        marker="osD^"[place],
        capsize=2,
        label=name,
    )
axes.set(xlabel="steps of the problem", ylabel="pass@1", ylim=(-0.03, 1.05))
axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, loc="outside right center")
plots.show(
    "pass@1 against the steps of the problem: chains and the teacher stay near 1, the hot teacher "
    "falls slowly, answers only lies far below and falls as well."
)

# %% role="show" name="several-seeds" folded=true
# Runs of ours, three seeds each: another start and another set of samples from the teacher.
runs = json.loads((folder / "results/arithmetic.json").read_text())["runs"]
scored = {
    method: [run["pass@1"] for run in runs if run["method"] == method]
    for method in ("answers only", "chains", "chains + KL")
}
print("               pass@1 of each seed       mean (95%)       minus chains,    processor")
print("                                                          seed by seed     seconds")
for method, values in scored.items():
    mean, half = mean_interval(values)
    gain = mean_interval([a - b for a, b in zip(values, scored["chains"], strict=True)])
    cost = np.mean([run["processor seconds"] for run in runs if run["method"] == method])
    print(
        f"{method:>12}   {'  '.join(f'{value:6.1%}' for value in values)}   {mean:6.1%} ± {half:5.1%}"
        + (" " * 22 if method == "chains" else f"   {gain[0]:+6.1%} ± {gain[1]:5.1%} ")
        + f"   {cost:6.0f}"
    )

control = json.loads((folder / "results/chain_of_thought_unverified.json").read_text())
by_kind = {
    kind: {run["seed"]: run for run in control["runs"] if run["chains"] == kind}
    for kind in ("verified", "unverified")
}
seeds = sorted(set.intersection(*map(set, by_kind.values())))  # those that have both
print(f"\nWhat verification is worth, seeds {', '.join(map(str, seeds))}:")
for temperature in control["settings"]["measured at"]:
    right = {
        kind: [found[seed][temperature]["right"] for seed in seeds]
        for kind, found in by_kind.items()
    }
    found = {kind: np.array(each) / control["settings"]["n"] for kind, each in right.items()}
    print(f"  students measured at {temperature}")
    for kind, each in found.items():
        shown = "  ".join(f"{value:6.1%}" for value in each.mean(1))
        print(f"{kind:>14}   {shown}   mean {each.mean():6.1%}")
    gain = found["verified"] - found["unverified"]
    for each, over in ((gain.mean(1), "seed by seed"), (gain.mean(0), "problem by problem")):
        mean, half = mean_interval(each.tolist())
        half = f"± {half:.1%}" if len(each) > 1 else "(one seed: no interval)"
        print(f"    difference, {over}: {mean:+.1%} {half}")
kept = {k: np.mean([found[seed]["examples"] for seed in seeds]) for k, found in by_kind.items()}
print("  chains to learn from:", ", ".join(f"{n:,.0f} {kind}" for kind, n in kept.items()))

# %% [markdown]
# **What we saw** (your numbers will differ by a few points). Same shape, same starting weights, same problems, same number of tokens read. In our three runs the student with chains gets 98 of 100 problems right every time. With answers only it is 24% on average, and look at the runs: 18%, 24%, 29%.
# Another seed is another start *and* another set of samples from the teacher, and a student that half guesses feels both; a single run would have told you any of the three.
#
# Is it the depth, then? Only in part. Five and six steps go visibly worse than one to four, but three layers have room for *one* step, and there this student is hardly better than at three or four. It also has less to learn from: a row of answers shows one number for several steps tangled up, a chain shows
# every step, with a label on each. This experiment does not separate the two.
#
# **What the verifier was worth.** The student of all chains has *more* different chains to learn from, and still it is some points below the other at $T = 0.6$: seed by seed the printed interval, of three seeds, holds 0, so this one is **undecided**. At $T = 1.5$, the temperature its teacher wrote at, it loses most of what it can do, and far more than the student of verified chains: it has learned the slips as well as the
# steps, and a higher temperature lets them out. So a score at one low temperature understates what a filter does, and a low temperature is itself a kind of filter. (The intervals over problems leave out 0 both times, but they know nothing of other seeds. Where the two disagree, the one over seeds counts, as in lesson 00.)
#
# It also corrects a claim that is made too easily. The chain student makes fewer errors than the hot teacher it has read nothing else from. Is that the verifier's doing? Mostly not: the *unverified* student, which has read every error, is above the hot teacher at $T = 0.6$ too, and at the teacher's own $T = 1.5$ even the verified one
# is below it. The cooler temperature does most, the verifier the rest. Nobody here beats the teacher at its best. And the chain student spends twenty tokens an answer instead of three.
#
# **The KL did not help, as far as three runs can tell.** With the teacher's whole distribution at every position the difference, seed by seed, has an interval on both sides of 0, a point or two wide, at one and a half times the price (the teacher reads every batch too). There is little in it to learn: this teacher is nearly certain at every character, so the soft targets say what the text says already, and where the hot text has gone astray (a
# number copied wrongly, then read rightly) the teacher's distribution argues with the very text the student is to learn. At 98% there is little room above, and its learning rate was not tuned by itself; R1's plain SFT does not miss much here.
#
# ## How good is it, if it may try k times?
#
# Two numbers go around beside pass@1, the share of single samples that are right.
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


# %% role="answer" name="pass_at_k" library="tinykd.lm.pass_at_k"
def pass_at_k(n, c, k):
    """Probability that at least one of k samples is right, without bias, for each problem.

    n: samples drawn for every problem. c: right ones, a list with one number a problem. k: at most n.
    Returns a list as long as c.
    """
    # YOUR CODE: 1 - C(n - c, k) / C(n, k) for every problem
    # BEGIN SOLUTION
    return [1 - math.comb(n - right, k) / math.comb(n, k) for right in c]
    # END SOLUTION


# %% role="check" name="pass_at_k.values" points=1 rtol=1e-7 atol=1e-9 hint="One number a problem: 1 - C(n - c, k) / C(n, k). With c = 0 it is 0."
def specimen(rng):
    n, k = int(rng.integers(25, 36)), int(rng.integers(3, 6))
    return n, rng.permutation([0, *(1 + rng.permutation(7)[:4])]).tolist(), k


rng = check.rng("pass_at_k.values")
check("pass_at_k.values", check.call(pass_at_k, *specimen(rng)))


# %% role="check" name="pass_at_k.certain" points=1 rtol=1e-7 atol=1e-9 hint="With fewer than k wrong samples every group of k holds a right one: exactly 1. And pass@1 is c / n."
def specimen(rng):
    n = int(rng.integers(6, 10))
    some = rng.integers(1, n, size=3).tolist()
    return [(n, [0, n - 3, n - 1, n], 4), (n, [0, *some, n], 1)]


rng = check.rng("pass_at_k.certain")
check("pass_at_k.certain", [check.call(pass_at_k, *case) for case in specimen(rng)])


# %% role="check" name="pass_at_k.large" points=1 rtol=1e-7 atol=1e-9 hint="C(2000, 500) has some 490 digits and is no float: divide whole numbers, or multiply k small factors. If pass_at_k.values fails too, mend it first."
def specimen(rng):
    return 2000, (1 + rng.permutation(12)[:3]).tolist(), 500


rng = check.rng("pass_at_k.large")
check("pass_at_k.large", check.call(pass_at_k, *specimen(rng)))


# %% role="hidden" name="pass_at_k.secret" points=1 rtol=1e-7 atol=1e-9 hint="Other n, c and k, from none right to all right."
def specimen(rng):
    cases = [(20, [19, *rng.integers(0, 21, size=5).tolist()], k) for k in (2, 7, 20)]
    return [*cases, (3000, [0, int(rng.integers(2, 9)), 2999], 900)]


rng = check.rng("pass_at_k.secret")
check("pass_at_k.secret", [check.call(pass_at_k, *case) for case in specimen(rng)])


# %% role="alternative" of="pass_at_k" name="pass_at_k.by_factors"
def pass_at_k(n, c, k):
    found = []
    for right in c:
        fails = 1.0
        for j in range(k):
            fails *= max(n - right - j, 0) / (n - j)
        found.append(1 - fails)
    return found


# %% role="alternative" of="pass_at_k" name="pass_at_k.by_arrays"
def pass_at_k(n, c, k):
    c = np.asarray(c)
    factors = 1.0 - k / np.arange(n - c.max() + 1, n + 1) if c.max() else np.ones(0)
    return np.array([1.0 if n - x < k else 1.0 - np.prod(factors[len(factors) - x :]) for x in c])


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


# %% role="mutant" of="pass_at_k" name="pass_at_k.in_place" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="You write the results into the list c. The counts are gone then, and pass@k for the next k is made of probabilities: return a new list."
def pass_at_k(n, c, k):
    for i, right in enumerate(c):
        c[i] = 1 - math.comb(n - right, k) / math.comb(n, k)
    return c


# %% role="mutant" of="pass_at_k" name="pass_at_k.drawn" loses="pass_at_k.values, pass_at_k.certain, pass_at_k.large, pass_at_k.secret" hint="You draw groups of k and count. That is an estimate with noise of its own; the formula counts all groups."
def pass_at_k(n, c, k):
    rng = np.random.default_rng(0)
    wrong = [rng.hypergeometric(n - x, x, k, size=999) if x else np.full(999, k) for x in c]
    return [float(np.mean(each < k)) for each in wrong]


# %% [markdown]
# **cons@k**: take the *majority* of $k$ answers (self-consistency, Wang et al. 2022). No verifier is needed, so it measures what you could really get by spending $k$ times the tokens. The idea: right chains agree with each other, wrong ones are wrong in many ways.
#
# Votes come with rules, and papers rarely print theirs. Ours:
#
# - a sample without an answer (`None`) does not vote;
# - in a tie of $m$ answers one of them is drawn at random, so if the right one is among them the problem counts $1/m$. Taking whichever came first would make the score depend on the order of the samples;
# - where nobody votes, the problem counts 0.
#
# ### Exercise 5: cons@k
#
# <details><summary>Hint</summary><code>Counter(list)</code> counts; <code>.values()</code> are the counts. Collect the answers that have the highest one.</details>


# %% role="answer" name="cons_at_k" library="tinykd.lm.cons_at_k"
def cons_at_k(answers, truth):
    """Score in [0, 1] of one problem by majority vote.

    answers: k extracted answers (numbers, or texts), None where a sample has none.
    truth: the right answer.
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


# %% role="check" name="cons_at_k.majority" points=1 hint="The most frequent answer decides, 1 or 0. It need not have more than half of the votes, and it may be negative, a fraction or a text."
def specimen(rng):
    cases = []
    for right in rng.permutation([True, False] * 10):
        a, b, c, d = ((rng.permutation(181)[:4] - 90.5) / 2).tolist()
        votes = rng.permutation([a, a, a, b, b, c, d]).tolist()
        cases.append((votes, a if right else [b, c, 99.0][len(cases) % 3]))
    texts = [([str(vote) for vote in votes], str(truth)) for votes, truth in cases[::2]]
    return cases + texts


rng = check.rng("cons_at_k.majority")
check("cons_at_k.majority", [tried(cons_at_k, *case) for case in specimen(rng)])


# %% role="check" name="cons_at_k.ties" points=1 hint="A tie of m answers counts 1/m if the right one is among them, wherever it stands in the list."
def specimen(rng):
    cases = []
    for m in rng.permutation([0, 2, 3, 4] * 4):  # so many on top, the right one among them unless 0
        a, b, c, d, e = ((rng.permutation(181)[:5] - 90.5) / 2).tolist()
        top = [a, b, c, d][:m] or [b, c]
        cases.append((rng.permutation([*top, *top, a if m == 0 else e]).tolist(), a))
    return cases


rng = check.rng("cons_at_k.ties")
check("cons_at_k.ties", [tried(cons_at_k, *case) for case in specimen(rng)])


# %% role="check" name="cons_at_k.silence" points=1 hint="None does not vote, even where it is the most frequent, but 0 is an answer and does; no votes at all count 0; a tie is a tie here too."
def specimen(rng):
    cases = []
    for i in rng.permutation(21) % 7:
        a, b = (1 + rng.permutation(90)[:2]).tolist()
        voters, truth = [
            ([], a),
            ([a], a),
            ([a, a, b], a),
            ([b, b, a], a),
            ([a, b], a),
            ([b, a], a),
            ([0, 0, a], 0),
        ][i]
        cases.append((rng.permutation([None, None, None, *voters]).tolist(), truth))
    return cases


rng = check.rng("cons_at_k.silence")
check("cons_at_k.silence", [tried(cons_at_k, *case) for case in specimen(rng)])


# %% role="hidden" name="cons_at_k.secret" points=1 hint="Majorities, ties and silence in one list."
def specimen(rng):
    cases = []
    for i in range(60):
        some = [None, 0, *((rng.permutation(181)[:3] - 90.5) / 2).tolist()]
        cases.append(([some[j] for j in rng.integers(0, 5, size=7)], some[1 + i % 4]))
    return cases


rng = check.rng("cons_at_k.secret")
check("cons_at_k.secret", [tried(cons_at_k, *case) for case in specimen(rng)])


# %% role="alternative" of="cons_at_k" name="cons_at_k.by_loops"
def cons_at_k(answers, truth):
    counts = {}
    for answer in answers:
        if answer is None:
            continue
        counts[answer] = counts.get(answer, 0) + 1
    if truth not in counts or counts[truth] < max(counts.values()):
        return 0
    return 1 / list(counts.values()).count(counts[truth])


# %% role="alternative" of="cons_at_k" name="cons_at_k.by_unique"
def cons_at_k(answers, truth):
    voters = np.array([answer for answer in answers if answer is not None])
    if voters.size == 0:
        return 0.0
    values, counts = np.unique(voters, return_counts=True)
    top = values[counts == counts.max()]
    return float(np.isin(truth, top)) / len(top)


# %% role="mutant" of="cons_at_k" name="cons_at_k.first_wins" loses="cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="In a tie you take whoever came first (most_common does that): the score depends on the order of the samples."
def cons_at_k(answers, truth):
    votes = Counter(answer for answer in answers if answer is not None)
    return float(votes.most_common(1)[0][0] == truth) if votes else 0.0


# %% role="mutant" of="cons_at_k" name="cons_at_k.generous" loses="cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="You count a tie as won. One drawn at random is the right one in 1 of m cases."
def cons_at_k(answers, truth):
    votes = Counter(answer for answer in answers if answer is not None)
    return float(bool(votes) and votes[truth] == max(votes.values()))


# %% role="mutant" of="cons_at_k" name="cons_at_k.strict" loses="cons_at_k.ties, cons_at_k.silence, cons_at_k.secret" hint="You count a tie as lost. One drawn at random is the right one in 1 of m cases."
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


# %% role="mutant" of="cons_at_k" name="cons_at_k.removes" loses="cons_at_k.silence, cons_at_k.secret" hint="answers.remove(None) empties the list you were given: whoever counts the samples next counts fewer. Build a new list."
def cons_at_k(answers, truth):
    while None in answers:
        answers.remove(None)
    votes = Counter(answers)
    top = [answer for answer, count in votes.items() if count == max(votes.values())]
    return (truth in top) / len(top) if top else 0.0


# %% role="mutant" of="cons_at_k" name="cons_at_k.whole" loses="cons_at_k.majority, cons_at_k.ties, cons_at_k.secret" hint="You turn answers into whole numbers: 3.5 and 3 become one answer, and a text may be none."
def cons_at_k(answers, truth):
    votes = Counter(int(float(answer)) for answer in answers if answer is not None)
    top = [answer for answer, count in votes.items() if count == max(votes.values())]
    return (truth in top) / len(top) if top else 0.0


# %% role="mutant" of="cons_at_k" name="cons_at_k.halved" loses="cons_at_k.ties, cons_at_k.secret" hint="Every tie counts 1/2 with you, also one of three or four, and one that the right answer has no part in."
def cons_at_k(answers, truth):
    votes = Counter(answer for answer in answers if answer is not None)
    top = [answer for answer, count in votes.items() if count == max(votes.values())]
    return 0.5 if len(top) > 1 else float(top == [truth])


# %% role="show" name="curves"
within_reach = check.ready(pass_at_k, lm.pass_at_k)
vote = check.ready(cons_at_k, lm.cons_at_k)
ks = [k for k in (1, 2, 4, 8, 16) if k <= tries]
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.4), sharex=True, sharey=True, layout="constrained"
)
for i, (name, one) in enumerate(results.items()):
    # Hollow and ever smaller, since some of these lines lie on one another.
    look = {"color": COLORS[i], "marker": "osD^"[i], "fillstyle": "none", "markersize": 12 - 2 * i}
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
    print(f"{name:>14}: pass@1 {reach[0]:.3f}, pass@{ks[-1]} {reach[-1]:.3f},", end=" ")
    print(f"cons@{ks[-1]} {votes[-1]:.3f}")
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
plots.show(
    "Two panels against k: pass@k of answers only climbs steeply, its cons@k hardly; chains and the "
    "teacher stay near 1 in both; the hot teacher rises to 1 in both."
)

# %% [markdown]
# **What we saw.** For the student with chains the curves are nearly flat: there is little to gain by voting. Look at *answers only*. Its pass@k climbs steeply with $k$, its cons@k hardly rises above its pass@1: it guesses near the right number, and sixteen
# guesses often contain it, but they do not agree on it. A high pass@k with a flat cons@k is the signature of guessing, or, in kinder words, of knowledge that needs a verifier. The hot teacher is the opposite: its errors are all different, so the vote
# throws them out, at sixteen times the tokens. (At $k = 2$ a vote gains nothing as long as both samples give an answer: two that disagree are a tie.) Rejection sampling drew two samples a problem, once, at training time, and its student needs one.
#
# ## Part 2: a real language model
#
# SmolLM2-135M-Instruct has 135 million parameters and has read two trillion tokens; it writes fluent English, but word problems are beyond it. (*As published* means here the 4-bit file that was installed with the course, a GGUF of type Q4_1, not the original
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
#
# **What do you expect?** Which of the two held-out sets does the model solve better after the recipe, and by how much?

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
each = np.mean([run["seconds"] for run in runs if run["method"] in ("chains", "answers")]) / 60
print(f"{minutes:.0f} minutes of training in all, {each:.0f} for a student. Transfer set:")
print(f"{made['tried']:,} samples by the teacher, {made['verified']:,} verified,", end=" ")
print(f"{made['distinct']:,} distinct, {made['kept']:,} kept")
scores = {}
for side, (place, title) in enumerate(PLACES.items()):
    count = counts[side]
    print(f"\n{title}: {runs[0][place]['problems']} problems of {count} templates")
    print("             seeds  tokens  numbers    pass@1 (95%     cons@16 finished   tokens")
    print("                      read          over templates)                     an answer")
    for method in methods:
        mine = [run for run in runs if run["method"] == method]
        drawn = settings["evaluate"]["n"] if "cons@16" in mine[0][place] else 1
        right = np.mean([run[place]["right"] for run in mine], axis=0) / drawn
        scores[method, place] = right.reshape(count, -1).mean(1)
        mean, low, high = over_templates(scores[method, place])
        # SmolLM2 as published had one sample a problem, so no vote.
        ballot = np.mean([run[place].get("cons@16", [np.nan])[0] for run in mine])
        finish = np.mean([run[place]["finished"] for run in mine])
        spent = np.mean([run[place]["tokens"][0] for run in mine])
        print(
            f"{method:>12} {len(mine):4d} {mine[0]['tokens']:9,} {mine[0]['parameters'] / 1e6:5.0f} M"
            f"  {mean:6.1%} ({low:4.0%} to {high:4.0%})"
            f" {f'{ballot:.1%}'.replace('nan%', '-'):>8} {finish:7.0%}  {spent:7.1f}"
        )
    gain = scores["chains", place] - scores["answers", place]
    mean, half = (100 * value for value in mean_interval(gain.tolist()))
    print(f"chains minus answers, template by template: {mean:+.0f} points ± {half:.0f} (95%)")

chained, direct = (scores[method, "held_out_numbers"] for method in ("chains", "answers"))
rest = np.arange(len(direct)) != direct.argmax()
print(f"\nhow many times, held-out numbers: {chained.mean() / direct.mean():.1f};", end=" ")
print(f"without the template that makes {direct.max() / direct.sum():.0%}")
print(f"of the score of answers: {chained[rest].mean() / direct[rest].mean():.1f}")

# %% role="show" name="llm-figure" folded=true
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for side, (place, title) in enumerate(PLACES.items()):
    offset = 0.4 * side - 0.2
    for i, method in enumerate(methods):
        each = scores[method, place]
        mean, low, high = over_templates(each)
        label = title if not i else ""
        axes.bar(i + offset, mean, 0.36, color=COLORS[side], alpha=0.6, label=label)
        axes.plot([i + offset] * 2, [low, high], color="black")
        spread = i + offset + np.linspace(-0.12, 0.12, len(each))
        axes.plot(spread, each, "o", color="black", markersize=3)
axes.set_xticks(range(len(methods)), methods)
axes.set(ylabel="pass@1 (dots: templates)", ylim=(0, 1.03))
axes.spines[["top", "right"]].set_visible(False)
figure.legend(frameon=False, loc="outside upper center", ncols=2)
plots.show(
    "Bars of pass@1 for five models: chains and the teacher stand out on held-out numbers, and "
    "nobody is above a few percent on held-out templates. Dots, one a template, scatter widely."
)

# %% [markdown]
# **What we saw.** On templates it has seen, with new numbers, the teacher solves about two thirds of the problems; on others, next to none. Whoever reports only the first table reports
# a reasoning model; read both. And the teacher repeats itself: compare *verified* with *distinct*.
#
# **Stories or reasoning?** 0 to 2% on held-out templates, for every model, the teacher included: what was learned are nine stories and how each is solved, not how to solve a tenth. That says nothing against the recipe, nor for it. With nine templates every one can be learned by heart as a pattern with gaps,
# and nothing rewards a model for more. What would decide it was *not tried*: the same number of tokens spread over more templates (our file has 20 to train on, GSM-Symbolic has 100). If the number moves with them, the recipe teaches more than stories; if it does not, this model is too small to learn more from it. Until then read
# our first table as "can fill in new numbers".
#
# **A control that is missing.** The students learn from the teacher's verified samples. The worked solutions that made the teacher exist as well, so a student could have had *those*, with the same adapter and the same tokens. Then we would know whether anything is gained by way of the teacher. It was not run, and neither was an
# *unverified* student of this model (part 1 has one): each takes the time of a student, printed above, and as long again to measure.
#
# **How sure is the rest?** Sixty-three problems are nine stories with seven sets of numbers each, and who knows a story solves most of its variants: look at the dots. So the intervals are over *templates* (after the mean over seeds), and wide. Chains against answers is a *paired* comparison, each template with itself:
# where its interval leaves out 0, chains give more for the same tokens read (not for the same labels: some 45 a row against 5). *How many times* more, nine templates cannot say: one of them alone makes about half of the baseline's score, and without it the number is another. The last
# column is the price of the chains.
#
# **SmolLM2's 0%** comes from one sample a problem, without a word about the form we expect, cut off at 200 tokens (see *finished*; cut off counts as wrong). It says that the model as published does not do *this*, not that it cannot do arithmetic.
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
# $A$ starts random and $B$ at 0, so the model starts exactly as it was; with both at 0 neither would ever get a gradient. The factor $\alpha / r$ is there so that another rank can be tried without another learning rate; how well it does that we measure below. Afterwards
# $W + \frac{\alpha}{r} B A$ is an ordinary matrix again, and the correction costs nothing. With $r = 8$ the adapters of SmolLM2-135M are 2.4 million numbers, a few megabytes to ship.
#
# ### Exercise 6: a linear layer with an adapter
#
# <details><summary>Hint: frozen</summary><code>W.detach()</code> has the same numbers and takes no gradient, and W itself stays as it is. The gradient still flows through it to x, as it must: there are layers below.</details>
# <details><summary>Hint: many axes</summary>In a transformer x has three axes: (batch, time, in). <code>x @ A.T</code> multiplies along the last one, however many stand before it.</details>


# %% role="answer" name="lora_linear"
def lora_linear(x, W, A, B, alpha):
    """x W^T + (alpha / r) x A^T B^T, W frozen.

    x: (N, in), or (batch, time, in). W: (out, in), gets no gradient. A: (r, in), B: (out, r),
    trained. Returns what x is, with out in place of in.
    """
    # YOUR CODE: the frozen layer plus the scaled correction; r is the number of rows of A
    # BEGIN SOLUTION
    return x @ W.detach().T + alpha / len(A) * (x @ A.T) @ B.T
    # END SOLUTION


# %% role="check" name="lora_linear.values" points=1 hint="Where 'output' is wrong, so are the gradients; where only gradients are, something is detached that must not be. The output is the frozen layer's output plus alpha / r times the correction; r is the number of A's rows. x may have more axes than two."
def specimen(rng):
    return [
        (*matrices(rng, rows, *sizes), float(rng.integers(5, 20)))
        for rows, *sizes in (((5,), 7, 4, 3), ((2, 3), 5, 6, 4))
    ]


rng = check.rng("lora_linear.values")
found = [moves(check.call(lora_linear, *each), *each[:4]) for each in specimen(rng)]
check("lora_linear.values", found)


# %% role="check" name="lora_linear.start" points=1 hint="With B = 0 the layer does what it did before; A has no gradient yet, B has one, and W never."
def specimen(rng):
    x, W, A, B = matrices(rng, (4,), 6, 5, 2)
    return x, W, A, torch.zeros_like(B, requires_grad=True), 16.0


rng = check.rng("lora_linear.start")
given = specimen(rng)
check("lora_linear.start", moves(check.call(lora_linear, *given), *given[:4]))


# %% role="hidden" name="lora_linear.secret" points=1 hint="Other sizes, ranks, axes and alphas; gradients in x, A and B, none in W."
def specimen(rng):
    sizes = [((3,), 8, 8, 1), ((6,), 5, 9, 4), ((2,), 9, 3, 5), ((2, 2, 3), 4, 4, 4)]
    alphas = (16.0, 4.0, 1.0, 0.5)
    return [(*matrices(rng, *size), alpha) for size, alpha in zip(sizes, alphas, strict=True)]


rng = check.rng("lora_linear.secret")
found = [moves(check.call(lora_linear, *each), *each[:4]) for each in specimen(rng)]
check("lora_linear.secret", found)


# %% role="alternative" of="lora_linear" name="lora_linear.functional"
def lora_linear(x, W, A, B, alpha):
    r = A.shape[0]
    frozen = F.linear(x, W.detach())
    return frozen + F.linear(F.linear(x, A), B) * (alpha / r)


# %% role="alternative" of="lora_linear" name="lora_linear.merged_weight"
def lora_linear(x, W, A, B, alpha):
    W_new = W.detach() + (alpha / B.shape[1]) * torch.matmul(B, A)
    return torch.einsum("...i,oi->...o", x, W_new)


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


# %% role="mutant" of="lora_linear" name="lora_linear.freezes" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="W.requires_grad_(False) freezes the caller's own weight for good. W.detach() takes no gradient here and leaves W as it is."
def lora_linear(x, W, A, B, alpha):
    W.requires_grad_(False)
    return x @ W.T + alpha / len(A) * (x @ A.T) @ B.T


# %% role="mutant" of="lora_linear" name="lora_linear.two_axes" loses="lora_linear.values, lora_linear.secret" hint="You multiply along an axis by its number, and x may have three: (batch, time, in). x @ A.T takes the last axis, whatever stands before it."
def lora_linear(x, W, A, B, alpha):
    return torch.mm(x, W.detach().T) + alpha / len(A) * torch.mm(torch.mm(x, A.T), B.T)


# %% role="mutant" of="lora_linear" name="lora_linear.writes" loses="lora_linear.values, lora_linear.secret" hint="You add the correction to W itself: at the next call it is there twice. Add it to the output."
def lora_linear(x, W, A, B, alpha):
    y = x @ W.detach().clone().T + alpha / len(A) * (x @ A.T) @ B.T
    with torch.no_grad():
        W += alpha / len(A) * B @ A
    return y


# %% role="mutant" of="lora_linear" name="lora_linear.root" loses="lora_linear.values, lora_linear.start, lora_linear.secret" hint="alpha / sqrt(r) is another method (rsLoRA, below). The factor here is alpha / r."
def lora_linear(x, W, A, B, alpha):
    return x @ W.detach().T + alpha / math.sqrt(len(A)) * (x @ A.T) @ B.T


# %% [markdown]
# Does $\alpha / r$ make the rank harmless? The next cell starts an adapter of rank 2, 8, 32 and 128 beside the same frozen layer, with the same $\alpha$ and the same learning rate, lets your function and Adam take 40 steps, and prints how large the correction $\frac{\alpha}{r} B A$ has become, as a share of $W$. Beside it the same
# with $\alpha' / \sqrt r$ (rsLoRA, Kalajdzievski 2023), where $\alpha'$ is set such that both agree at $r = 8$.
#
# **What do you expect?** If the factor did what it is there for, each row would be the same number four times. Which way will it lean?


# %% role="show" name="lora-rank"
def library_lora(x, W, A, B, alpha):
    return x @ W.detach().T + alpha / len(A) * (x @ A.T) @ B.T


linear = check.ready(lora_linear, library_lora)
RANKS, NORM_SEEDS = (2, 8, 32, 128), 2 if tinykd.scale() == "smoke" else 3


def correction(rank, alpha, seed, steps=40, size=128):
    """|alpha / r B A| / |W| after some steps towards another layer."""
    rng = torch.Generator().manual_seed(seed)
    W, aim = (torch.randn(2, size, size, generator=rng) / math.sqrt(size)).unbind()
    A = (2 * torch.rand(rank, size, generator=rng) - 1) / math.sqrt(size)
    A, B = A.requires_grad_(), torch.zeros(size, rank, requires_grad=True)
    optimizer = torch.optim.Adam([A, B], 1e-3)
    for _ in range(steps):
        x = torch.randn(32, size, generator=rng)
        loss = ((linear(x, W, A, B, alpha) - x @ (W + aim).T) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float((alpha / rank * B @ A).detach().norm() / W.norm())


print("rank r           " + "".join(f"{rank:>17}" for rank in RANKS))
for name, alpha_of in {
    "16 / r": lambda rank: 16.0,
    "5.66 / sqrt(r)": lambda rank: 16.0 * math.sqrt(rank / 8),  # the function divides by r
}.items():
    cells = []
    for rank in RANKS:
        sizes = [correction(rank, alpha_of(rank), seed) for seed in range(NORM_SEEDS)]
        cells.append("{:>9.3f} ± {:.3f}".format(*mean_interval(sizes)))
    print(f"{name:>14}   " + "".join(f"{cell:>17}" for cell in cells))

# %% [markdown]
# **What we saw.** With $\alpha / r$ the correction at rank 128 is about a quarter of that at rank 2, after the same steps at the same rate. The factor takes away more than a larger rank brings: the columns of $B$ all learn, but they do not all pull the same way, so together they grow more slowly than $r$. With $\alpha' / \sqrt r$
# it leans the other way, by less than a factor of two. Neither makes the size independent of $r$ here; which of the two comes nearer depends on how long one trains and on what. So another rank *is* another learning rate, and whoever compares ranks at one rate compares rates too: tune each, or say that you did not.
#
# Now live. The next cell loads the model and the adapter that the benchmark trained, recomputes one layer of it with your function, and lets both versions answer in up to 200 tokens. Change `question` and try your own; a story like those in `datasets/word_problems` is what it has learned, do not expect more.
#
# **What do you expect?** Work the problem out yourself before you read the two answers, and check every line.

# %% role="show" name="llm-live"
from tinykd.lm import add_lora, generate, load_lora, smollm2
from tinykd.lm.lora import LoRALinear
from tinykd.lm.reasoning.problems import load_word_problems

test_problems = load_word_problems("held_out_numbers")
chosen = test_problems[22]
question, answer = chosen.question, chosen.answer  # or a story of your own, and its answer
adapter = folder / "results/chain_of_thought_lora.safetensors"
STEP = re.compile(r"(-?[\d.]+) ?([-+*/]) ?([\d.]+) ?= ?(-?[\d.]*\d)")


def slips(text):
    """The equations a*b=c of a text that do not hold."""
    found = []
    for step in STEP.finditer(text.replace(",", "")):
        try:
            a, b, c = (float(step[i]) for i in (1, 3, 4))
            value = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else math.inf}[step[2]]
        except ValueError:
            continue
        if abs(value - c) > 0.005:
            found.append(f"{step[0]} (it is {value:g})")
    return found


def turn(text):
    """A question as one turn of the model's chat."""
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def ask(model, text):
    """Greedy: always the most likely token, so the same question gives the same answer."""
    longest = 8 if tinykd.scale() == "smoke" else 200
    ids, eos = llm_tokenizer.encode(turn(text)), llm_tokenizer.eos
    (new,) = generate(model, [ids], longest, 0.0, eos=eos, progress=False)
    return llm_tokenizer.decode(new)


def show_answer(title, text):
    print(f"\n--- {title}:\n{narrow(text)}")
    verdict = "right" if lm.verify(text, answer) else "WRONG"
    words = (
        f"[{verdict}: the answer is {answer}. Wrong equations: {', '.join(slips(text)) or 'none'}]"
    )
    print(textwrap.fill(words, 86, initial_indent=" " * 4, subsequent_indent=" " * 4), flush=True)


llm, llm_tokenizer = smollm2()
print(narrow(question))
show_answer("as published (4-bit)", ask(llm, question))
load_lora(llm, adapter)
show_answer("after the recipe", ask(llm, question))

layer = next(module for module in llm.modules() if isinstance(module, LoRALinear))
A, B = layer.A, layer.B
x = torch.randn(3, A.shape[1])
gap = (linear(x, layer.linear.weight, A, B, layer.scale * len(A)) - layer(x)).abs().max()
print(f"\nits first layer, once more: A {tuple(A.shape)}, B {tuple(B.shape)}, gap {gap:.0e}")

# %% [markdown]
# **What we saw.** The answer after the recipe *looks* right, and that is what to be afraid of: the form is there, the plan is there (mL of juice, then calories), and the arithmetic is not, as the line in brackets says. This is one problem of the kinds it has learned, answered greedily; it was not picked
# for being typical. What the recipe gave this model is the shape of a solution first. The steps `13*4` and `56*2` are products that a model this small can only guess, and nothing in SFT lets it notice.
#
# And now the training itself, on one template: SFT of your own, LoRA on the model as published, forty steps of four worked solutions like the one above. **This cell takes two minutes or more** (it stops training after five, however far it is), is not in the three minutes of this page's header, and nothing below needs it. Before and after, the model
# answers problems of this template with numbers it has not seen, in up to 200 tokens both times: with fewer, the model as published would be cut off and called wrong for its length. One template instead of nine: that is why minutes are enough.
#
# **What do you expect?** Which comes first, the form (steps and `####`) or the arithmetic?


# %% role="show" name="llm-sft"
def first(batches, steps, seconds):
    """So many batches, pass after pass; fewer where the time is up before."""
    start = time.perf_counter()
    passes = (batch for _ in itertools.count() for batch in batches)
    for number, batch in enumerate(itertools.islice(passes, steps), 1):
        yield batch
        if number % 10 == 0:
            print(f"    step {number}, {time.perf_counter() - start:.0f} s", flush=True)
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
    "max_new": 4 if tinykd.scale() == "smoke" else 200,
    "progress": False,
}

torch.manual_seed(0)
llm, llm_tokenizer = smollm2()
print(f"{len(exam)} problems before ...", flush=True)
before = lm.sample(llm, llm_tokenizer, exam, **exam_rules)
add_lora(llm, rank=8, alpha=16.0)
encode, eos = llm_tokenizer.encode, llm_tokenizer.eos
worked = SequenceBatches(
    [(encode(turn(p.question)), [*encode(p.solution), eos]) for p in lessons], size=4
)
print("training ...", flush=True)
(record,) = Trainer(
    llm,
    HardLabels(),
    optimizer=lambda ps: torch.optim.AdamW(ps, 1e-3, fused=True),
    clip=1.0,
    progress=False,
).fit(first(worked, *limits))
after = lm.sample(llm, llm_tokenizer, exam, **exam_rules)
trained = sum(weights.numel() for weights in llm.parameters() if weights.requires_grad)
print(f"{record['step']} steps of 4 solutions in {record['seconds']:.0f} s,", end=" ")
print(f"{trained:,} parameters trained")
for name, one in (("before", before), ("after", after)):
    wrong = [t for (t,), ok in zip(one.texts, one.right[:, 0], strict=True) if not ok]
    print(
        f"{name:>7}: {one.right.sum()} of {len(exam)} right, {one.finished.sum()} finished;",
        end=" ",
    )
    print(
        f"of {len(wrong)} wrong, {sum(bool(slips(text)) for text in wrong)} have a wrong equation"
    )
print("\n" + narrow(exam[0].question))
for name, one in (("before", before), ("after", after)):
    print(f"\n--- {name}:\n{narrow(one.texts[0][0])}")

# %% [markdown]
# **What we saw.** Forty steps turn a chatting model into one that writes two equations and a marker. The form comes first. If some answers are still wrong afterwards, the table says whether an equation in them is (the arithmetic) or none is (the plan). One template and ten problems: the count has an interval of some ±25 points, and says
# nothing about other stories.
#
# ## The R1 table, read critically
#
# Table 5 of the DeepSeek-R1 report is the reason why everybody distils reasoning now. We quote its first version (January 2025, [arXiv 2501.12948v1](https://arxiv.org/abs/2501.12948v1)); a later version may number things differently. AIME 2024 is a competition of **30** problems with whole-number answers, MATH-500 has 500,
# GPQA Diamond 198 (science questions with four answers to choose from); LiveCodeBench and CodeForces are programming contests. QwQ-32B-Preview and o1-mini are reasoning models of 2024 by Alibaba and OpenAI. Sampled at temperature 0.6 and top-p 0.95, 64 solutions for each problem of AIME.
#
# **What do you expect?** All these models took the same 30 problems. How many problems must one model solve that another does not, before you would say it is better?

# %% role="show" name="r1-table"
R1 = {  # base; AIME pass@1, AIME cons@64, MATH-500, GPQA-D, LiveCodeBench, CodeForces rating
    "Distill-Qwen-1.5B": ("Qwen2.5-Math", 28.9, 52.7, 83.9, 33.8, 16.9, 954),
    "Distill-Qwen-7B": ("Qwen2.5-Math", 55.5, 83.3, 92.8, 49.1, 37.6, 1189),
    "Distill-Qwen-14B": ("Qwen2.5", 69.7, 80.0, 93.9, 59.1, 53.1, 1481),
    "Distill-Qwen-32B": ("Qwen2.5", 72.6, 83.3, 94.3, 62.1, 57.2, 1691),
    "Distill-Llama-8B": ("Llama 3.1", 50.4, 80.0, 89.1, 49.0, 39.6, 1205),
    "Distill-Llama-70B": ("Llama 3.3 Instr.", 70.0, 86.7, 94.5, 65.2, 57.5, 1633),
    "QwQ-32B-Preview": ("", 50.0, 60.0, 90.6, 54.5, 41.9, 1316),
    "o1-mini": ("", 63.6, 80.0, 90.0, 60.0, 53.8, 1820),
}
print(f"{'':>18} {'made from':>16}  pass@1 cons@64  MATH  GPQA  LiveCode CF rating")
for name, (base, aime, cons, math500, gpqa, code, rating) in R1.items():
    print(f"{name:>18} {base:>16} {aime:7}{cons:8}{math500:6}{gpqa:6}{code:9}{rating:9}")

print("\nAIME has 30 problems, and a vote is right or wrong: cons@64 must be a multiple of 1/30.")
for name, (_, _, cons, *_) in R1.items():
    right = cons * 30 / 100
    if abs(right - round(right)) > 0.02:
        print(f"    {name}: {cons}% would be {right:.2f} problems of 30")


def narrowest_and_widest(a, b, of=30):
    """95% intervals, in points, of a minus b right of the same problems.

    The report does not say which problems each model solved. The two models disagree on |a - b|
    problems at least (the weaker solved none that the stronger did not) and, at most, on all that
    the counts allow; in between lies what a paired comparison would have given.
    """
    ends = []
    for both in (min(a, b), max(0, a + b - of)):
        signs = [1.0] * (a - both) + [-1.0] * (b - both)
        mean, half = mean_interval([100 * sign for sign in signs + [0.0] * (of - len(signs))])
        ends.append((mean, half, len(signs)))
    return ends


print("\ncons@64 in points, problem by problem (95%), if the two models disagree on as few")
print("problems as can be, and on as many (their number in brackets):")
for one, other in (
    ("Distill-Qwen-7B", "Distill-Qwen-14B"),
    ("Distill-Qwen-32B", "o1-mini"),
    ("Distill-Llama-70B", "o1-mini"),
    ("Distill-Qwen-7B", "QwQ-32B-Preview"),
    ("Distill-Qwen-7B", "Distill-Qwen-1.5B"),
):
    counts = [round(0.3 * R1[name][2]) for name in (one, other)]
    few, many = narrowest_and_widest(*counts)
    print(f"{one:>18} minus {other:<17} {few[0]:+5.1f} ± {few[1]:4.1f} ({few[2]:2d})", end="  ")
    print(f"{many[0]:+5.1f} ± {many[1]:4.1f} ({many[2]:2d})")

# %% role="show" name="r1-figure" folded=true
figure, axes = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
others = [name for name in R1 if name != "o1-mini"]
for place, name in enumerate(others):
    few, many = narrowest_and_widest(round(0.3 * R1[name][2]), round(0.3 * R1["o1-mini"][2]))
    for (mean, half, _), width, label in (
        (many, 1.2, "they disagree on as many problems as can be"),
        (few, 4, "as few as possible"),
    ):
        ends = [mean - half, mean + half]
        axes.plot(ends, [place, place], color=COLORS[0], linewidth=width, label=label)
    axes.plot(few[0], place, "D", color=COLORS[1])
axes.axvline(0, color=COLORS[7], linewidth=1, linestyle=":")
axes.set_yticks(range(len(others)), others)
axes.invert_yaxis()
axes.set(xlabel="cons@64 minus that of o1-mini, points; 95% over the same 30 problems")
axes.spines[["top", "right"]].set_visible(False)
handles, labels = axes.get_legend_handles_labels()
figure.legend(handles[:2], labels[:2], frameon=False, loc="outside upper center", ncols=2)
plots.show(
    "Paired differences to o1-mini on 30 problems: five of seven models cannot be told from it "
    "either way; Distill-Qwen-1.5B and QwQ-32B-Preview lie below 0 with the narrowest interval only."
)

# %% [markdown]
# **What we saw.** An interval for each model by itself would be the wrong picture: all of them took the *same* 30 problems, and a hard problem is hard for all. Compared problem by problem the interval depends on how many problems two models disagree on, and that the report does not say; so the figure has both ends (where two models may agree on every problem, the thick line is a point, under the diamond). Five of the
# seven cannot be told from o1-mini, whatever the report leaves out; for the 1.5B and QwQ it depends on exactly that. (A rule of thumb, the sign test: if one model solves six problems that the other does not, and none is the other way round, chance does that in $2 \cdot 2^{-6} = 3$% of cases; with five in 6%. The intervals above are
# a little too narrow for so few. And pass@1 rests on the same 30 problems.)
#
# **What was distilled.** Text. About 800,000 samples, some 600,000 of them chains that passed rejection sampling (step 3 above; by rules where the answer can be checked, judged by another model where not), 200,000 others such as writing and translation. Six open models, see *made from*, were
# fine-tuned on them with the ordinary cross-entropy.
#
# **What was not.** No logits: student and teacher do not even share a vocabulary, so there is no KL to take directly. No hidden states. No reinforcement learning on the small models either: the report says it left that
# out on purpose, to show what distillation does alone. (R1 itself *was* made by reinforcement learning. The same report tried that on Qwen-32B directly and came out far behind the distilled 32B.)
#
# **What is missing: a row "before".** The table does not say what the six could do before, so it cannot say what distillation added. It matters most for the smallest two: they were made from Qwen2.5-**Math**, which had been trained on mathematics at length. The makers' own instruction-tuned sibling of the 7B is at 83.6 on MATH
# ([arXiv 2409.12122v1](https://arxiv.org/abs/2409.12122v1)), with chains of thought; the distilled 7B is at 92.8 on MATH-500, which are 500 of those problems. Not the same test and not the same settings, but plainly not a rise from nothing. And nobody's row says what SFT on as many chains from another source would have given.
#
# **Claims in circulation, checked.**
# - *"R1 was distilled with a softmax temperature of 4."* There is no softmax temperature in plain SFT. The temperature in the report is 0.6, and it is the one *samples are drawn with when the model is measured*. Two different things with one name; you
#   have now used both.
# - *"The small models were trained with RL"*, or *"with MCTS"* (Monte Carlo tree search): no, see above; the report lists tree search among its unsuccessful attempts.
# - *"The 32B beats o1-mini."* The numbers are higher on AIME, MATH-500, GPQA and LiveCodeBench, lower in the CodeForces rating (1691 against 1820). On AIME, see above, one more problem of 30 by majority says nothing. And each comparison leaves open how many tokens either model spent.
# - *"The 7B beats QwQ-32B-Preview."* In mathematics; not on GPQA, LiveCodeBench or CodeForces. The 14B is ahead in all six columns.
# - *"The 7B is better than the 14B, by majority vote"* (83.3 against 80.0). That is one problem of 30: the first line of the comparison above.
# - *cons@64 of the 1.5B: 52.7.* Not a multiple of 1/30. Ties shared, several votes averaged, or a slip: the report does not say, and the figure is copied everywhere.
#
# **pass@1 against cons@64.** The vote adds 24 points to the 1.5B and 11 to the 32B. It costs 64 times the tokens. Comparing one model's cons@64 with another's pass@1, which has been done, compares budgets.
#
# ## Your own experiment
#
# You have a teacher, a verifier and a student that learns in seconds if it reads little. Change *one* thing in the transfer set, write down what you expect, and look. Set `YOURS` to a list of pairs (number of the problem, text) like `transfer`; some beginnings:
#
# - `[(i, t) for i, texts in enumerate(finished) for t in set(texts) - {""}]`: unverified;
# - `[pair for pair in transfer if pair not in lucky]`: verified step by step, not only at the end;
# - `[pair for pair in transfer if problems[pair[0]].steps <= 4]`: nothing longer than four steps. Does it reach five and six?
# - `transfer[:500]`: how few will do, read again and again?
#
# Both students read a third of the tokens above, so neither is as good as before; they are compared problem by problem. (At this budget one pair of students proves little: another seed moves each by several points. Repeat with `torch.manual_seed` changed in `study` before you believe a small difference.)

# %% role="show" name="yours"
YOURS = None  # for example [pair for pair in transfer if problems[pair[0]].steps <= 4]
if tinykd.scale() == "smoke":
    YOURS = transfer[: len(transfer) // 2]

if YOURS is None:
    print("not run: set YOURS to a list of pairs and run this cell again (about a minute)")
else:
    pair = {}
    for name, texts in (("as above", transfer), ("yours", YOURS)):
        examples = rows((problems[i], text) for i, text in texts)
        student = study(name, examples, budget // 3)
        pair[name] = lm.sample(student, tokenizer, held_out, 4, **cool, **sampling).right.mean(1)
        print(f"{'':>14}pass@1 {pair[name].mean():.1%}")
    mean, half = mean_interval((pair["yours"] - pair["as above"]).tolist())
    print(f"yours minus as above, problem by problem: {mean:+.1%} ± {half:.1%}")

# %% [markdown]
# ## The whole course on one page
#
# The methods of this course (lessons 15 to 18 are still to come) differ in what they need from the teacher, in what counts as a mistake of the student, and in who wrote the examples on which that is judged. Sorting methods like this is common property, not ours: surveys do it in their own ways, Gou et al. 2021 by the kind of knowledge and the training scheme, Xu et al. 2024
# by algorithm, skill and field of use, a survey of on-policy distillation of 2026 by feedback, access to the teacher and grain of the loss (so their abstracts); Agarwal et al. 2023 (GKD) let exactly two things vary, the divergence and who writes the examples. Our table has one more column, the bill.
#
# | method | the teacher gives | a mistake is | the examples are | what you pay |
# |---|---|---|---|---|
# | Hinton 2015 (lessons 01 to 03) | its logits | $T^2$ KL(p‖q), and the label missed | given | one pass of the teacher, once |
# | FitNets, hints (04) | features of a middle layer | squared distance, through a regressor | given | access to its inside |
# | relations (04) | which samples it holds alike | a gap between relative distances, angles or similarities | given, whole batches | the same |
# | Jacobians (04) | what its answer depends on | an angle between two gradients | given | a backward pass through both, for every batch |
# | pseudo-labels, mixtures, made-up inputs (06) | its logits, or its favourite class | KL(p‖q), or the label missed | unlabelled, mixed or generated | one pass of the teacher, and the inputs |
# | ensembles, assistants, generations (07) | the logits of several, or of the last student | $T^2$ KL(p‖q) | given | several teachers' training and passes |
# | pruned or quantised, then distilled (08) | the logits of the model that was cut | KL(p‖q) | given | one pass of the teacher, and the cutting |
# | search as teacher (09) | how often a search looked at each move | KL(p‖q) | positions of its own games | the search, for every position |
# | learning without forgetting (10) | the logits of one's earlier self | $T^2$ KL(p‖q) | those of the new task | one pass of the old self |
# | a shared space (10) | its embedding of another view | a gap between embeddings | given, in pairs | a teacher that has both views |
# | robust distillation (10) | its logits on clean inputs | KL(p‖q) on attacked ones | made by an attack on the student | a gradient step of the attack, several times a batch |
# | DistilBERT (11) | logits, hidden states | $T^2$ KL(p‖q), language-model loss, an angle | given | the same, and its pre-training again |
# | TinyBERT (11) | attention scores, hidden states, embeddings; then logits | squared distance; then soft cross-entropy | given, then augmented | the same, in two stages |
# | sequence-level KD (13) | text | a token of that text missed (cross-entropy) | the teacher's | its samples, once |
# | **R1 distilled (14)** | text | a token of that text missed | the teacher's, **if verified** | its samples, and a verifier |
# | chains + KL (14) | text and logits | KL(p‖q), and the token missed | the teacher's, if verified | its samples, and a pass for every batch |
# | GKD (13) | logits | KL(p‖q), KL(q‖p) or JSD, token by token | the student's, and some given | samples of the student and a pass of the teacher, all the time |
# | MiniLLM (13) | logits | KL(q‖p) of whole sequences, by policy gradient | the student's | the same, with the noise of a policy gradient |
#
# Read it from the bill. The first question in practice is not which loss is best but what you can get: through an API there is text, and then a mistake can only be a token missed, whatever you would have liked. With weights on your own machine everything is open, and the question becomes who writes the examples: the nearer they are to
# what the student itself will write, the more of its own errors it sees corrected, and the more often both models must run. A verifier is a way to buy quality with samples instead of with access.
#
# Other cells of this table exist and were tried: lesson 13's GKD is a whole grid of divergences and shares of the student's own samples. What one rarely finds is the comparison at an equal bill. You have the tools for it now.
#
# ## What we saw
# - A chain of thought turns a problem too deep for one token into many shallow ones. Same tokens read, same parameters: nearly all problems instead of about one in four from scratch, and clearly more in the real model, on the kinds of problem it has seen.
# - Rejection sampling needs a verifier: against a student of all chains it paid much at a high temperature, and at a low one three seeds do not decide. It does not see wrong steps behind right answers. And a student that errs less than its teacher may owe that to the temperature.
# - pass@k is what is within reach, cons@k what you get without a verifier, and both cost $k$ times the tokens. Report tokens beside scores.
# - Thirty problems are thirty problems, however many samples are drawn for each; sixty-three of nine templates are nearer to nine. Compare models problem by problem.
#
# **Where it did not help.** On templates never seen, chains are no better than answers: the real student learned kinds of problem, and whether more kinds would have taught it more was not tried. The token-level KL gained nothing that three runs could show over plain SFT. Majority voting hardly helps a student whose errors are always the same.
#
# ## Two open experiments
# 1. **Change the temperature the teacher writes at** (`HOT` in the first cell, to 0.7 and to 2). What happens to the share verified, to the number of *distinct* solutions kept, to the wrong steps behind right answers, and to the student? Where would you set it if samples were expensive, and where if the verifier were?
# 2. **Change the rank** in `llm-sft` (1, 8, 64) with $\alpha = 16$, and once with $\alpha = 2r$. Which change of rank is really a change of learning rate? The table of corrections above tells you what to expect; say how many seeds you would need to see it in *right after*.
#
# ## Further reading
# - DeepSeek-AI 2025, *DeepSeek-R1: Incentivizing Reasoning Capability in LLMs via Reinforcement Learning* ([arXiv 2501.12948v1](https://arxiv.org/abs/2501.12948v1)): sections 2.4, 3.2 and 4.
# - Wei et al. 2022, *Chain-of-Thought Prompting Elicits Reasoning in Large Language Models* ([arXiv 2201.11903](https://arxiv.org/abs/2201.11903)); Nye et al. 2021, *Show Your Work: Scratchpads for Intermediate Computation* ([arXiv 2112.00114](https://arxiv.org/abs/2112.00114)).
# - Zelikman et al. 2022, *STaR: Bootstrapping Reasoning With Reasoning* ([arXiv 2203.14465](https://arxiv.org/abs/2203.14465)): rejection sampling from the student itself, again and again.
# - Hsieh et al. 2023, *Distilling Step-by-Step!* ([arXiv 2305.02301](https://arxiv.org/abs/2305.02301)): rationale and answer as two tasks.
# - Chen et al. 2021, *Evaluating Large Language Models Trained on Code* ([arXiv 2107.03374](https://arxiv.org/abs/2107.03374)): pass@k. Wang et al. 2022, *Self-Consistency Improves Chain of Thought Reasoning* ([arXiv 2203.11171](https://arxiv.org/abs/2203.11171)): cons@k.
# - Hu et al. 2021, *LoRA* ([arXiv 2106.09685](https://arxiv.org/abs/2106.09685)); Kalajdzievski 2023, *A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA* ([arXiv 2312.03732](https://arxiv.org/abs/2312.03732)).
# - Mirzadeh et al. 2024, *GSM-Symbolic* ([arXiv 2410.05229](https://arxiv.org/abs/2410.05229)): what happens to published scores when only the numbers change.
# - Gou et al. 2021, *Knowledge Distillation: A Survey* ([arXiv 2006.05525](https://arxiv.org/abs/2006.05525)); Xu et al. 2024, *A Survey on Knowledge Distillation of Large Language Models* ([arXiv 2402.13116](https://arxiv.org/abs/2402.13116)); *A Survey of On-Policy Distillation for Large Language Models*, 2026 ([arXiv 2604.00626](https://arxiv.org/abs/2604.00626)); Agarwal et al. 2023, *GKD* ([arXiv 2306.13649](https://arxiv.org/abs/2306.13649)).
#
# Check your notebook with `.venv/bin/tinykd check lessons/14_chain_of_thought.ipynb`.

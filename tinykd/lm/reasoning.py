"""Reasoning: find the answer in a text, verify it, keep what is right, measure how often it is."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..metrics import mean_interval
from .generate import generate
from .problems import Problem
from .transformer import Transformer

# A minus is a sign only where nothing stands before it that one could subtract from.
NUMBER = re.compile(
    r"(?:(?<![\w.)\]}])-)?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+)",
    re.ASCII,
)


def extract_answer(text: str) -> str | None:
    """The final answer of a worked solution, in one spelling: "1,200.50 dollars" gives "1200.5".

    The first number after the last "####" (the marker of GSM8K: Cobbe et al. 2021, arXiv
    2110.14168, whose own script takes the first one); without one, the first number in the last
    \\boxed{...} (MATH: Hendrycks et al. 2021, arXiv 2103.03874); without either, the last number of
    the text. None where there is no number: a marker with nothing behind it is an answer that was
    not given, not a reason to take another number.
    """
    text = text.replace("\N{MINUS SIGN}", "-")
    for marker in ("####", "\\boxed{"):
        if marker in text:
            found = NUMBER.search(text.rpartition(marker)[2])
            break
    else:
        found = next(reversed(list(NUMBER.finditer(text))), None)
    if found is None:
        return None
    whole, _, part = re.sub(r"[-,$]", "", found[0]).partition(".")
    number = (whole.lstrip("0") or "0") + ("." + part).rstrip("0").rstrip(".")
    return "-" + number if found[0].startswith("-") and number != "0" else number


def verify(text: str, answer: str) -> bool:
    """Does the solution `text` end in `answer`? Both are read by `extract_answer`, and exactly.

    Raises ValueError if `answer` holds no number.
    """
    return extract_answer(text) == _truth(answer)


def _truth(answer: str) -> str:
    found = extract_answer(answer)
    if found is None:
        raise ValueError(f"the answer {answer!r} holds no number to compare with")
    return found


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """Probability that at least one of k samples is right, unbiased, for each problem.

    1 - C(n - c, k) / C(n, k), c of n samples right (Chen et al. 2021, arXiv 2107.03374, eq. 1), as
    a product of k ratios, since the binomials themselves overflow. n, c: numbers or arrays that
    broadcast. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    n, c = np.broadcast_arrays(np.asarray(n), np.asarray(c))
    if (c < 0).any() or (c > n).any():
        raise ValueError(f"c must be from 0 to n; got c={c.tolist()}, n={n.tolist()}")
    if not 1 <= k <= n.min(initial=k):
        raise ValueError(f"pass@{k} needs from 1 to n samples a problem, and n={n.tolist()}")
    j = np.arange(k)
    ratios = (n - c)[..., None] - j  # below 0 only after a 0, so clipping leaves the product right
    return 1.0 - (ratios.clip(min=0) / (n[..., None] - j)).prod(-1)


def cons_at_k(answers: Sequence[str | None], truth: str, k: int | None = None) -> float:
    """Is the majority of k answers right (self-consistency: Wang et al. 2022, arXiv 2203.11171)?

    answers: what `extract_answer` gave for each sample; None does not vote. A tie of m answers
    counts 1/m if the right one is among them, as if a fair die chose; no votes at all count 0.
    With k, the mean over the n // k groups of k consecutive answers; without, one group of all.
    Raises ValueError for k outside 1 to n.
    """
    k = len(answers) if k is None else k
    if not 1 <= k <= len(answers):
        raise ValueError(f"cons@{k} needs from 1 to n answers, and there are {len(answers)}")
    scores = []
    for start in range(0, len(answers) - k + 1, k):
        votes = Counter(answer for answer in answers[start : start + k] if answer is not None)
        top = [answer for answer, count in votes.items() if count == max(votes.values())]
        scores.append((truth in top) / len(top) if top else 0.0)
    return sum(scores) / len(scores)


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a proportion, `right` of n independent problems (Wilson 1927).

    Never outside [0, 1], and of a sensible width at 0 and at n, where p ± z sqrt(p (1-p) / n)
    has none. For several samples a problem use an interval over problems: samples of one problem
    are not independent. Raises ValueError unless 0 <= right <= n and n >= 1.
    """
    if not 0 <= right <= n or n < 1:
        raise ValueError(f"{right} right of {n}: need 0 <= right <= n and n >= 1")
    p, weight = right / n, z * z / n
    middle = (p + weight / 2) / (1 + weight)
    half = z * math.sqrt(p * (1 - p) / n + weight / (4 * n)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass
class Samples:
    """n sampled solutions of every problem: ids[i][j] are the new tokens of sample j of problem i.

    The last id is eos where the sample stopped by itself; `finished` says so.
    """

    problems: Sequence[Problem]
    ids: list[list[list[int]]]
    texts: list[list[str]]
    finished: NDArray[np.bool_]  # (P, n)

    @property
    def answers(self) -> list[list[str | None]]:
        """The extracted answers, None where a sample did not finish or has none."""
        return [
            [extract_answer(text) if done else None for text, done in zip(*row, strict=True)]
            for row in zip(self.texts, self.finished, strict=True)
        ]

    @property
    def truths(self) -> list[str]:
        """The right answer of each problem, spelled as `extract_answer` spells it."""
        return [_truth(problem.answer) for problem in self.problems]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(P, n): finished, and the answer verifies."""
        rows = zip(self.answers, self.truths, strict=True)
        return np.array([[answer == truth for answer in row] for row, truth in rows])

    @property
    def tokens(self) -> NDArray[np.int64]:
        """(P, n): tokens spent on each sample, eos included."""
        return np.array([[len(ids) for ids in row] for row in self.ids])


def sample(
    model: Transformer,
    tokenizer: Any,
    problems: Sequence[Problem],
    n: int = 1,
    *,
    prompt: Callable[[Problem], str] = lambda problem: problem.question,
    **how: Any,
) -> Samples:
    """n solutions of each problem by `model`; `how` goes to `generate` (max_new, temperature ...).

    tokenizer: anything with encode, decode and eos.
    """
    prompts = [tokenizer.encode(prompt(problem)) for problem in problems]
    new = generate(model, [ids for ids in prompts for _ in range(n)], eos=tokenizer.eos, **how)
    ids = [new[start : start + n] for start in range(0, len(new), n)]
    finished = np.array([[bool(x) and x[-1] == tokenizer.eos for x in row] for row in ids])
    texts = [[tokenizer.decode([t for t in x if t != tokenizer.eos]) for x in row] for row in ids]
    return Samples(problems, ids, texts, finished)


def rejection_sample(
    model: Transformer,
    tokenizer: Any,
    problems: Sequence[Problem],
    n: int = 4,
    *,
    per_problem: int | None = None,
    prompt: Callable[[Problem], str] = lambda problem: problem.question,
    **how: Any,
) -> tuple[list[tuple[list[int], list[int]]], dict[str, int]]:
    """Verified solutions of the model as training examples (prompt ids, answer ids with eos).

    Of n samples a problem those are kept that finished and whose answer verifies, each different
    text once, and of these the first `per_problem`. Returns the examples, in the order of the
    problems, and counts: tried, finished, verified, distinct, kept, and problems (with at least
    one kept). `how` goes to `generate`.
    """
    drawn = sample(model, tokenizer, problems, n, prompt=prompt, **how)
    examples, counts = [], Counter(tried=len(problems) * n, finished=int(drawn.finished.sum()))
    for problem, ids, right in zip(problems, drawn.ids, drawn.right, strict=True):
        verified = [tuple(x) for x, ok in zip(ids, right, strict=True) if ok]
        distinct = list(dict.fromkeys(verified))
        kept = distinct[:per_problem]
        start = tokenizer.encode(prompt(problem))
        examples += [(start, list(x)) for x in kept]
        counts.update(verified=len(verified), distinct=len(distinct), kept=len(kept))
        counts.update(problems=bool(kept))
    return examples, dict(counts)


def evaluate_reasoning(samples: Samples) -> dict[str, tuple[float, float, float]]:
    """What to report of n samples a problem: (mean, low, high), 95% intervals over problems.

    "pass@1": share of samples that are right. "cons@n": majority of the n. "tokens": new tokens
    per answer. Student's t over problems; Wilson's for the pass@1 of one sample a problem. Both
    take the problems for independent; variants of one template are not.
    """
    right, n = samples.right, samples.finished.shape[1]
    values = {"pass@1": right.mean(1), "tokens": samples.tokens.mean(1)}
    if n > 1:
        votes = zip(samples.answers, samples.truths, strict=True)
        values[f"cons@{n}"] = np.array([cons_at_k(answers, truth) for answers, truth in votes])
    report = {}
    for name, each in values.items():
        mean, half = mean_interval(each.tolist())
        most = math.inf if name == "tokens" else 1.0
        report[name] = (mean, max(0.0, mean - half), min(most, mean + half))
    if n == 1:
        report["pass@1"] = (float(right.mean()), *wilson(int(right.sum()), len(right)))
    return report

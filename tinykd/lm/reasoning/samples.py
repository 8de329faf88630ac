"""Reasoning: sample solutions, keep those that verify, measure how many do."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...metrics import mean_interval, wilson
from ..generate import generate
from ..transformer import Transformer
from .answers import extract_answer, truth_of
from .problems import Problem
from .scores import cons_at_k


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
        return [truth_of(problem.answer) for problem in self.problems]

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

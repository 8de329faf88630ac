"""Scores: how often sampled answers are right, one of k, by majority, and with what interval."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


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

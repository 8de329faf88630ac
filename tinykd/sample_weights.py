"""Samples that count more than others: a weighted term, and weights by a teacher's uncertainty.

    loss = (sum over valid positions of w_i l_i) / (number of valid positions)

The weights are made over the whole transfer set and have mean 1 there. So this is the weighted
mean of the set, sum w l / sum w, on average over its batches: a batch of easy samples counts for
little, as it should. Divided by the weights of its own batch it would be blown up to the size of
the others, and the value of a sample would depend on its batch mates, under accumulation and on
several ranks too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from .objective import Term
from .outputs import Outputs
from .softmax import entropy


class Weighted(Term):
    """Another term with a weight for every position: w_i l_i.

    weight: a function of what the term sees (`Outputs`) that returns one weight, at least 0, per
    position; no gradient passes through it. Weights of mean 1 over the data keep the size of the
    loss. Weights by the number of the sample, and by what the teacher says of it now:

        Weighted(SoftTargets(T=4), lambda out: weights[out.batch["index"]])
        Weighted(SoftTargets(T=4), lambda out: entropy(out.teacher) / mean_entropy)

    Raises ValueError for weights of another shape, and on the CPU for a negative one or a NaN.
    """

    def __init__(self, term: Term, weight: Callable[[Outputs], Tensor]) -> None:
        super().__init__()
        self.term, self.weight = term, weight
        self.needs_teacher, self.teacher = term.needs_teacher, term.teacher
        self.couples_samples = term.couples_samples
        self.student_layers, self.teacher_layers = term.student_layers, term.teacher_layers

    def per_position(self, out: Outputs) -> Tensor:
        """The term's values times their weights."""
        values = self.term.per_position(out)
        weights = self.weight(out).detach()
        if weights.shape != values.shape:
            raise ValueError(
                f"weights {tuple(weights.shape)} for values {tuple(values.shape)}: one per position"
            )
        if weights.device.type == "cpu" and not bool((weights >= 0).all()):  # a NaN is not
            raise ValueError(f"a weight is at least 0, and one is {weights.min().item()}")
        return weights.to(values) * values

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Those of the term."""
        return self.term.valid(batch)


def uncertainty_weights(teacher: Tensor, share: float = 0.5, T: float = 1.0) -> Tensor:
    """Weights by the teacher's entropy, of mean 1: w_i = (1 - share) + share H_i / mean(H).

    share 0 weights all alike, 1 ignores what the teacher is certain of. teacher: its logits (N, C)
    on the whole transfer set. T: the temperature at which its entropy is read. Returns (N,).

    Raises ValueError for a share outside [0, 1], and where the teacher is certain of everything.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is a part of the weight, in [0, 1], got {share}")
    doubt = entropy(teacher, T)
    if not bool(doubt.mean() > 0):
        raise ValueError("the teacher is certain of every sample: there is no doubt to weight by")
    return (1 - share) + share * doubt / doubt.mean()

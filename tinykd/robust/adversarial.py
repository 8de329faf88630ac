"""Training against attacks: any term, where it is worst within a small ball around the input."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from ..objective import Term
from ..outputs import Outputs
from .attacks import pgd


class Adversarial(Term):
    """A term at the inputs that are worst for it: max over |x' - x| <= eps of term(student(x')).

    Adversarial(HardLabels(), student, eps)        adversarial training (Madry et al. 2018, arXiv
                                                   1706.06083, equation 2.1)
    Adversarial(SoftTargets(T=1), student, eps)    robust soft targets, the first part of RSLAD (Zi
                                                   et al. 2021, arXiv 2108.07969)

    The maximum is looked for by `pgd`, in eval mode. The teacher is asked about x as it is: moved
    inputs are made against the student, and what the teacher says of those is not wanted.
    The student is run `steps` + 1 times more. The batch holds "inputs" in [0, 1].
    """

    def __init__(
        self, term: Term, student: nn.Module, eps: float, steps: int = 5, rate: float | None = None
    ) -> None:
        super().__init__()
        self.term, self.eps, self.steps, self.rate = term, eps, steps, rate
        self.needs_teacher, self.teacher = term.needs_teacher, term.teacher
        self.couples_samples = term.couples_samples
        self._student = (student,)  # in a tuple: the parameters stay the student's own

    def per_position(self, out: Outputs) -> Tensor:
        """The term at the moved inputs, one value per position."""
        (student,) = self._student

        def loss(logits: Tensor) -> Tensor:
            return self.term.per_position(replace(out, student=logits))

        moved = pgd(student, out.batch["inputs"], loss, self.eps, self.steps, self.rate)
        return loss(student(moved))

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Those of the term itself."""
        return self.term.valid(batch)

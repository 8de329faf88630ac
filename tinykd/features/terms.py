"""Terms that look inside: hints between layers by any loss of `losses`, and Jacobians."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import batch as batches
from ..models.call import modes_kept
from ..objective import Term
from ..outputs import Outputs
from . import losses


class Hint(Term):
    """Match layers of the student to layers of the teacher: mean (r(F_s) - F_t)**2 (FitNets).

    loss: another loss of `features`, Hint("blocks.1", "blocks.2", loss=attention_transfer), or any
    f(student, teacher) that gives one value per sample; if it compares samples with each other, it
    says so: f.couples_samples = True.
    student_layers, teacher_layers: a dotted name, or as many on both sides: their losses are added.
    regressor: a module from student to teacher features, trained with the student; one for each
    pair of layers; None where the shapes already agree. teacher: the name of one of several.

    Raises ValueError for unlike numbers of layers or regressors.
    """

    needs_teacher = True

    def __init__(
        self,
        student_layers: str | Sequence[str],
        teacher_layers: str | Sequence[str],
        regressor: nn.Module | Sequence[nn.Module | None] | None = None,
        teacher: str | None = None,
        loss: Callable[..., Tensor] = losses.hint,
    ) -> None:
        super().__init__()
        self.student_layers, self.teacher_layers = names(student_layers), names(teacher_layers)
        given = list(regressor) if isinstance(regressor, Sequence) else [regressor]
        if regressor is None:
            given *= len(self.student_layers)
        if not len(self.student_layers) == len(self.teacher_layers) == len(given):
            raise ValueError(
                f"Hint pairs layers: student {self.student_layers}, teacher {self.teacher_layers}, "
                f"{len(given)} regressors"
            )
        self.regressors = nn.ModuleList(nn.Identity() if r is None else r for r in given)
        self.teacher, self.loss = teacher, loss
        self.couples_samples = getattr(loss, "couples_samples", False)

    @property
    def regressor(self) -> nn.Module:
        """The first regressor, the only one of a single pair."""
        return self.regressors[0]

    def per_position(self, out: Outputs) -> Tensor:
        """The hint loss of every sample, shape (B,)."""
        pairs = zip(self.regressors, self.student_layers, self.teacher_layers, strict=True)
        where = self.valid(out.batch)
        values = [
            self._one(regressor, out.student_layers[ours], out.teacher_layers[theirs], where)
            for regressor, ours, theirs in pairs
        ]
        return values[0] if len(values) == 1 else torch.stack(values).sum(0)

    def _one(self, regressor: nn.Module, student: Tensor, teacher: Tensor, where: Tensor) -> Tensor:
        if where.device.type == "cpu" and where.all():
            return self.loss(regressor(student), teacher)
        if not self.couples_samples:
            student, teacher = batches.blank(student, where), batches.blank(teacher, where)
            return self.loss(regressor(student), teacher)
        values = self.loss(regressor(student[where]), teacher[where])  # the others are no mates
        return values.new_zeros(where.shape).masked_scatter(where, values)

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Every sample counts that is not masked; masks of positions inside a sample do not matter.

        For tokens, whose padding has to be left out, there is `lm.HiddenStates`.
        """
        return _samples(batch, super().valid(batch))


class Jacobian(Term):
    """Match what the answer depends on: |J_s / |J_s| - J_t / |J_t||**2 (see `losses.jacobian`).

    J: the gradient, in the inputs, of the logit of the teacher's favourite class. student, teacher:
    the two models; both are run once more, in eval mode, the student with gradients of gradients.
    The batch holds floating-point "inputs".
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__()
        self._models = (student, teacher)  # in a tuple: the parameters stay the student's own

    def per_position(self, out: Outputs) -> Tensor:
        """The loss of every sample, shape (B,)."""
        student, teacher = self._models
        inputs = batches.blank(out.batch["inputs"], self.valid(out.batch))
        with torch.no_grad(), modes_kept(teacher):
            classes = teacher.eval().to(inputs.device)(inputs).argmax(-1)
        return losses.jacobian(
            input_gradient(student, inputs, classes, create_graph=True),
            input_gradient(teacher, inputs, classes),
        )

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Every sample counts that is not masked."""
        return _samples(batch, super().valid(batch))


def input_gradient(
    model: nn.Module, inputs: Tensor, classes: Tensor, create_graph: bool = False
) -> Tensor:
    """Gradient of one logit of each sample in its own input: dz_class / dx.

    inputs: (B, ...), floating point. classes: (B,). Returns (B, ...); with a graph, if that is to
    be trained. The model is in eval mode for it: in train mode, batch norm would mix the samples.
    """
    with modes_kept(model), torch.enable_grad():
        x = inputs.detach().requires_grad_()
        logits = model.eval()(x)
        chosen = logits.gather(-1, classes.unsqueeze(-1)).sum()
        return torch.autograd.grad(chosen, x, create_graph=create_graph)[0]


def names(layers: str | Sequence[str]) -> tuple[str, ...]:
    """One layer name or several, as a tuple."""
    return (layers,) if isinstance(layers, str) else tuple(layers)


def _samples(batch: Mapping[str, Any], usual: Tensor) -> Tensor:
    every = batches.samples(batch)
    return usual if usual.shape == every.shape else every

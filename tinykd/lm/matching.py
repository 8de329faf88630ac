"""Match what happens inside two transformers: hidden states and attention scores (TinyBERT).

    stage_one = HiddenStates("body.blocks.2", "body.blocks.5") + AttentionScores(
        "body.blocks.2.attention.scores", "body.blocks.5.attention.scores"
    )

Padding never counts: which positions are real is read from batch["attention_mask"] (B, T). Each
term gives one value per token, so a long sentence weighs more than a short one.

Letters: B sequences, T positions, H heads, D and D' the widths of student and teacher.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..batch import blank
from ..objective import Term
from ..outputs import Outputs


class HiddenStates(Term):
    """Mean over features of (r(H_s) - H_t)**2 at every token (TinyBERT, 1909.10351, eq. 8 and 9).

    student_layer, teacher_layer: dotted names of layers whose output is (B, T, D) and (B, T, D'),
    such as "embed" or "blocks.2". regressor: a module from D to D', trained with the student, such
    as nn.Linear(D, D', bias=False); None where D = D'.

    Raises ValueError if the shapes differ behind the regressor, or for a batch without
    "attention_mask".
    """

    needs_teacher = True

    def __init__(
        self,
        student_layer: str,
        teacher_layer: str,
        regressor: nn.Module | None = None,
        teacher: str | None = None,
    ) -> None:
        super().__init__()
        self.student_layers, self.teacher_layers = (student_layer,), (teacher_layer,)
        self.regressor = nn.Identity() if regressor is None else regressor
        self.teacher = teacher

    def per_position(self, out: Outputs) -> Tensor:
        """The squared gap of every token, (B, T)."""
        real = real_tokens(out.batch)
        student = self.regressor(blank(out.student_layers[self.student_layers[0]], real))
        teacher = out.teacher_layers[self.teacher_layers[0]].detach().to(student.dtype)
        _same_shape(self, student, teacher, "regressor=nn.Linear(student width, teacher width)")
        return (student - blank(teacher, real)).square().mean(-1)

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """The real tokens, (B, T)."""
        return real_tokens(batch)


class AttentionScores(Term):
    """Mean over heads and visible keys of (S_s - S_t)**2 at every query (TinyBERT, eq. 7).

    student_layer, teacher_layer: dotted names of layers whose output is the scaled scores
    q k^T / sqrt(d) before mask and softmax, (B, H, T, T), such as "blocks.2.attention.scores".
    Scores and not probabilities are matched, as the paper found it to converge faster. causal: for
    a decoder, where a token sees no later one, so that those scores mean nothing.

    Raises ValueError if the numbers of heads differ, or for a batch without "attention_mask".
    """

    needs_teacher = True

    def __init__(
        self,
        student_layer: str,
        teacher_layer: str,
        causal: bool = False,
        teacher: str | None = None,
    ) -> None:
        super().__init__()
        self.student_layers, self.teacher_layers = (student_layer,), (teacher_layer,)
        self.causal, self.teacher = causal, teacher

    def per_position(self, out: Outputs) -> Tensor:
        """The mean squared gap of every query, (B, T)."""
        student = out.student_layers[self.student_layers[0]]
        teacher = out.teacher_layers[self.teacher_layers[0]].detach().to(student.dtype)
        _same_shape(self, student, teacher, "heads that correspond")
        visible = real_tokens(out.batch)[:, None, :].expand(-1, student.shape[-2], -1)  # (B, T, T)
        if self.causal:
            visible = visible.tril()
        seen = visible & real_tokens(out.batch)[..., None]  # what padding asks is as meaningless
        gap = (student - teacher).masked_fill(~seen[:, None], 0.0).square().mean(1)  # (B, T, T)
        return gap.sum(-1) / visible.sum(-1).clamp_min(1)

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """The real tokens, (B, T): padding asks no questions that matter."""
        return real_tokens(batch)


def real_tokens(batch: Mapping[str, Any]) -> Tensor:
    """True where a token is no padding, (B, T). Raises ValueError without an attention_mask."""
    if "attention_mask" not in batch:
        raise ValueError(
            'matching tokens needs batch["attention_mask"] (B, T), 1 for real tokens and 0 for '
            f"padding; the batch has {sorted(batch)}"
        )
    return batch["attention_mask"].bool()


def _same_shape(term: Term, student: Tensor, teacher: Tensor, fix: str) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f"{type(term).__name__}: {term.student_layers[0]!r} of the student gives "
            f"{tuple(student.shape)}, {term.teacher_layers[0]!r} of the teacher "
            f"{tuple(teacher.shape)}; it takes {fix}"
        )

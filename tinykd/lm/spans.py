"""What a student learns from a teacher with other tokens: `ULD`, and `Spans` of text.

Both are losses over what `OtherTokenizer` says; the positions are the student's own.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..losses import _kl, cross_entropy
from ..objective import Term
from ..outputs import Outputs
from ..softmax import softmax


class ULD(Term):
    """Universal logit distillation: sum_r |p_(r) - q_(r)| where a span begins, 0 elsewhere.

    See `uld`. The teacher is an `OtherTokenizer`. What is compared is its next token with the
    student's next token, however much text either of them stands for.
    """

    needs_teacher = True

    def __init__(self, T: float = 1.0, teacher: str | None = None) -> None:
        super().__init__()
        self.T, self.teacher = T, teacher

    def per_position(self, out: Outputs) -> Tensor:
        """(N,), in [0, 2]."""
        said = out.teacher
        gap = uld(out.student[..., : said.tokens], said.logits, self.T)
        return gap.masked_fill(~said.begins, 0.0)


class Spans(Term):
    """KL between two coins: "the text goes on with this span" or not, says the teacher (P), says q.

        P log(P / Q) + (1 - P) log((1 - P) / (1 - Q)),    Q = prod over the student's tokens of q

    where a span begins, 0 elsewhere. 0 only where P = Q; a single token on either side is `topk_kl`
    with one word and a tail. The teacher is an `OtherTokenizer`. Where a token is the beginning of
    another, the two coins are not quite the same event: the student's "in" says that no "ing" of
    its own vocabulary follows, the teacher's "i" + "n" does not.
    """

    needs_teacher = True

    def __init__(self, teacher: str | None = None) -> None:
        super().__init__()
        self.teacher = teacher

    def per_position(self, out: Outputs) -> Tensor:
        """(N,), in nats, at least 0."""
        said, labels = out.teacher, out.batch["labels"]
        log_q = -cross_entropy(out.student[..., : said.tokens], labels)
        inside = said.first >= 0
        log_q = torch.zeros_like(log_q).index_add(0, said.first[inside], log_q[inside])
        return span_kl(log_q, said.log_p).masked_fill(~said.begins, 0.0)


def uld(student: Tensor, teacher: Tensor, T: float = 1.0) -> Tensor:
    """sum_r |p_(r) - q_(r)|: probabilities at temperature T, sorted, zeros behind the shorter list.

    Boizard et al. 2024 (arXiv 2402.12030): the Wasserstein distance with the same cost between any
    two words. student: logits (..., V), teacher: (..., V'). Returns (...), in [0, 2].
    """
    q, p = (softmax(z, T).sort(-1, descending=True).values for z in (student, teacher.detach()))
    size = max(p.shape[-1], q.shape[-1])
    p, q = (F.pad(x, (0, size - x.shape[-1])) for x in (p, q))
    return (p - q).abs().sum(-1)


def span_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL of a coin with probability P = exp(log_p) to one with Q = exp(log_q); any shape."""
    log_p = log_p.detach().to(log_q.dtype).clamp_max(0.0)
    p, q = (torch.stack([x, _log_rest(x)], -1) for x in (log_p, log_q))
    return _kl(p, q)


def _log_rest(log_p: Tensor) -> Tensor:
    """log(1 - exp(log_p)), of at least 1e-7."""
    return torch.log(-torch.expm1(log_p.clamp_max(-1e-7)))

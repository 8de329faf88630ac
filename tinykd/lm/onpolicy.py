"""On-policy distillation: the teacher marks what the student itself writes.

Data holds prefixes that the teacher (or a person) wrote; a student that generates stands on its own
prefixes, errors included, where nobody has told it what to do. Three answers, in order of price:

    list(zip(prompts, generate(teacher, prompts)))   sequence-level KD (Kim & Rush 2016,
        arXiv 1606.07947): the teacher's outputs are the data, the loss is HardLabels. One line, so
        there is no function for it. temperature=0 approximates the paper's beam search.
    OnPolicy(student, prompts, data, fraction=0.5)   GKD (Agarwal et al. 2023, arXiv 2306.13649):
        a share of the batches are the student's own fresh samples; any divergence per token.
    MiniLLM() on OnPolicy(student, prompts)          policy gradient of the reverse KL between whole
        sequences (Gu et al. 2023, arXiv 2306.08543).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from torch import Tensor

from ..data.source import Source, as_index, shares
from ..device import rank_and_ranks
from ..losses import reverse_kl
from ..objective import Term
from ..outputs import Outputs
from ..softmax import log_softmax
from .batches import SequenceBatches
from .generate import generate
from .transformer import Transformer


class OnPolicy(Source):
    """Batches of which a share `fraction` is written by the student at that moment.

    For each batch of `data` a coin is thrown (GKD, algorithm 1): with probability `fraction` the
    batch is replaced by the student's own samples for the next `size` of the `prompts`, taken with
    the weights it has now, in eval mode and without gradient; else it is passed on as it is. A
    sampled batch has the form of `SequenceBatches` ("input_ids", "attention_mask", "positions",
    "labels"), the prompt is not scored, "prompt" (B,) has the numbers of the prompts, and
    "on_policy": True marks it as not the data, so that a cached teacher refuses it. `written`
    counts the tokens sampled so far.

    The coin and the samples depend on (seed, epoch, number of the batch) and on the student's
    weights, on nothing else: a run resumed from its checkpoint draws the same ones again. (It also
    samples anew for the batches of the broken-off epoch that it skips: keep epochs short.) Under
    torch.distributed each process writes its share of a batch.

    Args:
        student: the model being trained.
        prompts: token ids, one list each; shuffled anew in every epoch, used in turn.
        data: batches (SequenceBatches) of answers by people or the teacher; None only with fraction
            1, when an epoch is one pass over the prompts.
        fraction: probability in [0, 1] that a batch is the student's own.
        size: samples in a batch the student writes.
        samples: of each prompt; `size` is a multiple of it.
        sampling: max_new, eos, pad, temperature, top_p, as for `generate`. MiniLLM's gradient is
            unbiased only at the default temperature of 1 and top_p of 1.

    Raises:
        ValueError: fraction outside [0, 1], size below 1 or no multiple of samples, no prompts, or
            no data to mix with.
    """

    repeatable = False  # drawn again by a later student, a batch is another one

    def __init__(
        self,
        student: Transformer,
        prompts: Sequence[Sequence[int]],
        data: Any = None,
        fraction: float = 1.0,
        *,
        size: int = 32,
        samples: int = 1,
        seed: int = 0,
        **sampling: Any,
    ) -> None:
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction is a probability in [0, 1], got {fraction}")
        if data is None and fraction < 1:
            raise ValueError(f"fraction={fraction} needs data for the other batches: give `data`")
        if size < 1 or not len(prompts):
            raise ValueError(f"needs prompts and a size of at least 1, got {len(prompts)}, {size}")
        if samples < 1 or size % samples:
            raise ValueError(f"size={size} is to be a multiple of samples={samples}, at least 1")
        super().__init__(seed)
        self.student, self.prompts, self.data, self.fraction = student, prompts, data, fraction
        self.size, self.samples, self.sampling, self.written = size, samples, sampling, 0

    def __len__(self) -> int:
        """Batches in an epoch: those of the data, or one pass over the prompts."""
        in_all = len(self.prompts) * self.samples
        return -(-in_all // self.size) if self.data is None else len(self.data)

    def settings(self) -> dict[str, Any]:
        """Seed, share and sizes, and those of the data."""
        own = {"prompts": len(self.prompts), "size": self.size, "fraction": self.fraction}
        own |= {"samples": self.samples} if self.samples > 1 else {}
        inner = self.data.settings() if hasattr(self.data, "settings") else {}
        return super().settings() | own | {f"data {k}": v for k, v in inner.items()}

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass the one of `epoch`, counted from 0."""
        super().set_epoch(epoch)
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._batches(epoch, self.rng(epoch).permutation(len(self.prompts)))

    def _batches(self, epoch: int, order: np.ndarray) -> Iterator[dict[str, Any]]:
        data = repeat({}, len(self)) if self.data is None else self.data
        for number, batch in enumerate(data):
            rng = self.rng(epoch, number)
            if rng.random() < self.fraction:  # the same coin in every process
                places = (number * self.size + np.arange(self.size)) // self.samples % len(order)
                (mine,) = shares([order[places]])
                seed = int(rng.integers(2**31)) + rank_and_ranks()[0]
                batch = self.sample([self.prompts[i] for i in mine], seed)
                batch["prompt"] = as_index(mine)
            yield batch

    def sample(self, prompts: Sequence[Sequence[int]], seed: int = 0) -> dict[str, Any]:
        """The student's own answers to `prompts` as one batch. Its mode and gradients stay."""
        options = {"batch_size": len(prompts), "progress": False, **self.sampling, "seed": seed}
        answers = generate(self.student, list(prompts), **options)
        self.written += sum(map(len, answers))
        examples = list(zip(prompts, answers, strict=True))
        pad = self.sampling.get("pad", 0)
        one = SequenceBatches(examples, size=len(examples), pad=pad, shuffle=False)
        return {**one.batch(np.arange(len(examples))), "on_policy": True}


class MiniLLM(Term):
    """Gradient of KL(q || p) between whole answers, on answers y that the student q has sampled.

    With r_t = log p(y_t | y_<t) - log q(y_t | y_<t), the gradient of the sequences' reverse KL is
    (MiniLLM, arXiv 2306.08543, equations 2 and 3; minus signs gathered)

        grad KL = E_y sum_t [ grad KL(q || p at position t)                    single step, exact
                              - (sum_{t' > t} r_t') grad log q(y_t | y_<t) ]   long part

    so each scored position gives

        reverse_kl_t  -  log q(y_t) * R_{t+1},        R a constant (no gradient flows through it).

    The single step sums over the whole vocabulary and has no variance from y_t. The long part asks
    whether what followed y_t was more to the teacher's taste than to the student's own.
    R_{t+1} = sum_{t' > t} r_t', 0 at the last token; normalise=True divides it by the number of
    those tokens (the paper's length normalisation, section 2.2: without it short answers win).

    The values are no divergence (R makes them noisy, also negative); only the gradient is meant.
    The trainer divides by the number of scored tokens of the batch, not of answers. Left out of the
    paper: sampling from a mixture with the teacher (equation 4), PPO clipping, the extra LM loss.

    Batches: "labels" (N,) with "positions" (N,) and "input_ids", as from `OnPolicy`, or dense
    "labels" (B, T) with -100 where nothing counts. Data batches ("on_policy" absent) give no policy
    gradient and count for nothing; dense ones made by hand need "on_policy": True too.
    """

    needs_teacher = True

    def __init__(self, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = normalise

    def per_position(self, out: Outputs) -> Tensor:
        """The surrogate at every position, shape of the labels."""
        assert out.teacher is not None
        labels = out.batch["labels"]
        scored = labels != -100
        picked = labels.masked_fill(~scored, 0).long().unsqueeze(-1)
        log_q = log_softmax(out.student).gather(-1, picked).squeeze(-1)
        log_p = log_softmax(out.teacher).gather(-1, picked).squeeze(-1)
        gain = (log_p - log_q).detach().masked_fill(~scored, 0.0)
        future = returns(gain, scored, out.batch, self.normalise)
        return reverse_kl(out.student, out.teacher) - future * log_q

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Scored positions of the student's own samples."""
        return own_samples(batch)


def own_samples(batch: Mapping[str, Any]) -> Tensor:
    """Positions that count in a policy gradient: scored, and written by the student."""
    return (batch["labels"] != -100) & bool(batch.get("on_policy"))


def returns(gain: Tensor, scored: Tensor, batch: Mapping[str, Any], normalise: bool) -> Tensor:
    """R_{t+1}, the sum (or mean) of `gain` over the scored positions after t of the same sequence.

    gain, scored: (B, T), or (N,) at the flat batch["positions"] of (B, T). Same shape back.
    """
    if gain.dim() == 1:
        shape, positions = batch["input_ids"].shape, batch["positions"]
        gain, scored = (
            x.new_zeros(shape.numel()).index_put((positions,), x).view(shape)
            for x in (gain, scored)
        )
        return returns(gain, scored, batch, normalise).view(-1)[positions]
    total, count = (x.flip(-1).cumsum(-1).flip(-1) - x for x in (gain, scored.to(gain.dtype)))
    return total / count.clamp_min(1) if normalise else total

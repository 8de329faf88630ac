"""What a run reports: the losses of an epoch, kept on the device, looked at only now and then."""

import itertools
import math
import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..batch import not_finite

READ_EVERY = 50  # steps between two readings of the loss on an accelerator: each waits for it


class NonFiniteLoss(ArithmeticError):
    """A term or the gradient became NaN or infinite.

    Attributes: term ("gradient" for the gradient's norm), step, epoch, batch (within the epoch).
    """

    def __init__(self, term: str, value: float, step: int, epoch: int, batch: int) -> None:
        what = "the norm of the gradient" if term == "gradient" else term
        super().__init__(
            f"{what} is {value} at step {step} (epoch {epoch}, batch {batch}), counted from 0. "
            "No checkpoint was written since; look at that batch, lower the learning rate, or clip "
            "(clip=1.0)"
        )
        self.term, self.step, self.epoch, self.batch = term, step, epoch, batch


class EpochLosses:
    """Sums and counts of every term over one epoch, and the steps nobody has looked at yet."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        # Over the epoch, for each term: sums, counts, and sums times the weights of their steps.
        self.totals = [[0.0] * len(names) for _ in range(3)]
        self.latest = math.nan
        self._unread: list[tuple[int, int, list[float], Tensor]] = []

    def add(
        self, step: int, batch: int, sums: Tensor, counts: Tensor, weights: list, norm: Tensor
    ) -> None:
        """Note one step's sums, counts and weights (K,), and the norm of its gradient."""
        self._unread.append((step, batch, weights, torch.cat([sums, counts, norm.view(1)])))

    def read(self, epoch: int, batches: Iterable[Any] = ()) -> None:
        """Fetch the steps since the last reading; `latest` is the newest loss.

        Raises NonFiniteLoss for the first of them that is NaN or infinite, with a note on what in
        `batches`, those of the latest step, is not finite; ValueError for a step without a single
        valid position.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        # One copy of all that is on the device: each would wait for it.
        rows, K = torch.stack([row for *_, row in unread]).tolist(), len(self.names)
        for (step, batch, weights, _), row in zip(unread, rows, strict=True):
            sums, counts, norm = row[:K], row[K:-1], row[-1]
            weighted = [w * s for w, s in zip(weights, sums, strict=True)]
            for total, new in zip(self.totals, (sums, counts, weighted), strict=True):
                total[:] = map(operator.add, total, new)
            if not any(counts):
                raise ValueError(
                    f"no position counts at step {step} (epoch {epoch}, batch {batch}), counted "
                    "from 0: every one is masked, or labelled -100"
                )
            self.latest = sum(s / max(c, 1) for s, c in zip(weighted, counts, strict=True))
            for name, value in zip([*self.names, "gradient"], [*sums, norm], strict=True):
                if not math.isfinite(value):
                    failed = NonFiniteLoss(name, value, step, epoch, batch)
                    for words in itertools.chain.from_iterable(map(not_finite, batches)):
                        failed.add_note(words)
                    raise failed

    def record(self) -> dict[str, float]:
        """The epoch's mean of the objective ("loss"), each step at its own weights, and by term."""
        sums, counts, weighted = self.totals
        means = [s / max(c, 1) for s, c in zip(sums, counts, strict=True)]
        loss = sum(s / max(c, 1) for s, c in zip(weighted, counts, strict=True))
        return {"loss": loss, **dict(zip(self.names, means, strict=True))}

    def state_dict(self) -> dict[str, Tensor]:
        """Sums and counts, for a checkpoint in the middle of an epoch."""
        return {"totals": torch.tensor(self.totals, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        self.totals = state["totals"].tolist()

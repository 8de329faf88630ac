"""What a run reports: the losses of an epoch, kept on the device, looked at only now and then."""

import math

import torch
from torch import Tensor

LOOK_EVERY = 50  # steps between two looks at the loss on an accelerator: each look waits for it


class NonFiniteLoss(ArithmeticError):
    """A term became NaN or infinite. Attributes: term, step, epoch, batch (within the epoch)."""

    def __init__(self, term: str, value: float, step: int, epoch: int, batch: int) -> None:
        super().__init__(
            f"{term} is {value} at step {step} (epoch {epoch}, batch {batch}), counted from 0. "
            "No checkpoint was written since; look at that batch, lower the learning rate, or clip "
            "(clip=1.0)"
        )
        self.term, self.step, self.epoch, self.batch = term, step, epoch, batch


class EpochLosses:
    """Sums and counts of every term over one epoch, and the steps nobody has looked at yet."""

    def __init__(self, names: list[str], device: torch.device) -> None:
        self.names = names
        self.sums = torch.zeros(len(names), device=device)
        self.counts = torch.zeros_like(self.sums)
        self.latest = math.nan
        self._unseen: list[tuple[int, int, Tensor]] = []

    def add(self, step: int, batch: int, sums: Tensor, counts: Tensor) -> None:
        """Note one step's sums and counts, shape (K,), without waiting for them."""
        self.sums += sums
        self.counts += counts
        self._unseen.append((step, batch, sums / counts.clamp_min(1)))

    def look(self, weights: list[float], epoch: int) -> None:
        """Fetch the steps since the last look; `latest` is the newest loss.

        Raises NonFiniteLoss for the first of them that is NaN or infinite.
        """
        for step, batch, means in self._unseen:
            values = means.tolist()
            for name, value in zip(self.names, values, strict=True):
                if not math.isfinite(value):
                    raise NonFiniteLoss(name, value, step, epoch, batch)
            self.latest = sum(w * value for w, value in zip(weights, values, strict=True))
        self._unseen.clear()

    def record(self, weights: list[float]) -> dict[str, float]:
        """The epoch's mean of the objective ("loss") and of each term, by name."""
        means = (self.sums / self.counts.clamp_min(1)).tolist()
        loss = sum(w * mean for w, mean in zip(weights, means, strict=True))
        return {"loss": loss, **dict(zip(self.names, means, strict=True))}

    def state_dict(self) -> dict[str, Tensor]:
        """Sums and counts, for a checkpoint in the middle of an epoch."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        self.sums, self.counts = (state[k].to(self.sums.device) for k in ("sums", "counts"))

"""Which epoch was best, and when to stop hoping for a better one."""

import copy
import math
import re
from typing import Any

from torch import nn

# The last word of a name that tells which way is better; "score" and the like do not.
LOWER = {"loss", "error", "errors", "nll", "perplexity", "ppl", "kl", "ece", "brier", "fid", "mse"}
HIGHER = {"accuracy", "acc", "agreement", "f1", "auc", "bleu", "rouge", "recall", "precision"}


class Best:
    """The best validation value so far, its epoch and its weights. NaN is worse than any number.

    monitor: the name of a validation value, the first one if None. mode: "min", "max", or None: by
    the name. patience: epochs without a better value until `stalled`. Raises ValueError for another
    mode, or a patience below 1.
    """

    def __init__(self, monitor: str | None, mode: str | None, patience: int) -> None:
        if patience < 1:
            raise ValueError(f"patience is {patience}: at least 1 epoch without a better value")
        if mode not in ("min", "max", None):
            raise ValueError(f'mode is "min", "max" or None, got {mode!r}')
        self.monitor, self.mode, self.patience = monitor, mode, patience
        self.value, self.epoch, self.waited = math.nan, 0, 0
        self.weights: dict[str, Any] = {}

    def update(self, epoch: int, values: dict[str, float], net: nn.Module) -> None:
        """Note the validation values of `epoch` and, if they are the best, its weights.

        Raises ValueError for a value that is not there, or whose direction nobody knows.
        """
        name = self.monitor or next(iter(values), "")
        if name not in values:
            raise ValueError(f"validation gives {list(values)}, and no {name!r} to stop early on")
        self.mode = self.mode or direction(name)
        value, sign = values[name], 1 if self.mode == "min" else -1
        self.monitor, self.waited = name, self.waited + 1
        first = not self.weights
        better = sign * value < sign * self.value or (math.isnan(self.value) > math.isnan(value))
        if first or better:
            self.value, self.epoch, self.waited = value, epoch, 0
            self.weights = copy.deepcopy(net.state_dict())

    @property
    def stalled(self) -> bool:
        """No better value for `patience` epochs."""
        return self.waited >= self.patience

    def words(self) -> str:
        """What was best."""
        return f"{self.monitor} was best in epoch {self.epoch}: {self.value:.6g}"

    def restore(self, net: nn.Module) -> None:
        """Put the best weights back."""
        if self.weights:
            net.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        names = ("monitor", "mode", "value", "epoch", "waited", "weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for name, value in state.items():
            setattr(self, name, value)


def direction(name: str) -> str:
    """Whether "min" or "max" is best, by the name. Raises ValueError for one that does not tell."""
    word = [part for part in re.split(r"[^a-z0-9]+", name.lower().split("@")[0]) if part][-1:]
    lower, higher = bool(LOWER & set(word)), bool(HIGHER & set(word))
    higher = higher or name.lower().startswith(("pass@", "cons@"))
    if lower == higher:
        raise ValueError(
            f'is a higher {name!r} better or worse? Say fit(..., mode="max") or mode="min", or '
            'return it under a name that tells: {"val_accuracy": ...}'
        )
    return "min" if lower else "max"

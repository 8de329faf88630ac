"""Which module is in train mode, and which in eval mode, while a student is trained."""

import contextlib
from collections.abc import Callable, Iterator

from torch import nn

from ..models.call import modes_kept
from ..objective import Objective
from ..teachers import Teachers


@contextlib.contextmanager
def train_mode(
    model: nn.Module, objective: Objective, teachers: Teachers
) -> Iterator[Callable[[], None]]:
    """Student in train mode, teachers in eval mode; then every module's own comes back.

    A model that comes in train mode is left as it is: its layers in eval mode stay so (a frozen
    BatchNorm). Gives a function that undoes it where the block has forgotten it in eval mode.
    """
    with modes_kept(model), teachers.in_eval_mode(model):
        if not model.training:
            model.train()
        objective.train()
        modes = [(module, module.training) for module in model.modules()]

        def again() -> None:
            if not model.training:
                for module, mode in modes:
                    module.training = mode

        yield again

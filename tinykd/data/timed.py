"""A budget in time in place of epochs: what methods of unlike cost are compared by."""

import time
from collections.abc import Callable, Iterator
from typing import Any


class Timed:
    """Batches of `source`, epoch after epoch, until `seconds` of processor time have passed.

        timed = Timed(batches, seconds=8)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, timed.left)  # falls to 0
        Trainer(student, objective, teacher, optimizer, schedule=schedule).fit(timed)

    Everything between two batches counts: the step, and the making of the batch, if it is a student
    or a teacher that writes it. The batch under way when the time is up is the last. One pass is
    the whole training, so `fit` is called for one epoch; its length is not known beforehand, so no
    run is like another to the last bit, and none can be resumed.

    clock: seconds so far; processor time of this process, or any other, such as
    `time.perf_counter`. Raises ValueError for seconds that are not above 0, or an empty source.
    """

    repeatable = False

    def __init__(
        self, source: Any, seconds: float, clock: Callable[[], float] = time.process_time
    ) -> None:
        if not seconds > 0:
            raise ValueError(f"a budget is some seconds, above 0: got {seconds}")
        self.source, self.seconds, self.clock = source, seconds, clock
        self.started: float | None = None

    def left(self, step: int = 0) -> float:
        """The share of the budget that is left, from 1 to 0, whatever the number of the step."""
        if self.started is None:
            return 1.0
        return max(0.0, 1 - (self.clock() - self.started) / self.seconds)

    def __iter__(self) -> Iterator[Any]:
        self.started = self.clock()
        while True:
            empty = True
            for batch in self.source:
                yield batch
                empty = False
                if self.left() == 0:
                    return
            if empty:
                raise ValueError("the source is empty: there is nothing to train on")

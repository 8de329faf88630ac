"""The batches of a run: how far they are used up, and how a resumed run gets back to that place."""

import itertools
from collections.abc import Iterator
from typing import Any

from ..batch import as_batch, digest
from .random_state import set_rng_state, set_source_state, source_state


class Feed:
    """An epoch's batches and the position in them.

    With `compare`, a digest of what was used is kept, and a resumed run that draws it again must
    find the same: other data, another order or workers with a memory are refused. Inputs are left
    out of it where they may be augmented from the global generators, which then go their own way.
    Raises ValueError for what cannot be iterated `epochs` times.
    """

    def __init__(self, batches: Any, epochs: int, compare: bool) -> None:
        if not hasattr(batches, "__iter__"):
            raise ValueError(
                f"batches is a {type(batches).__name__}: give an iterable of batches, such as "
                "tinykd.Batches(inputs, labels) or a DataLoader"
            )
        if epochs > 1 and hasattr(batches, "__next__"):
            raise ValueError("batches runs only once, but epochs > 1: give a list or a loader")
        self.batches = batches
        self.compare = compare and getattr(batches, "repeatable", True)
        self.used, self.digest = 0, 0  # batches of this epoch that are used up, and their digest
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(0)  # its length may depend on it
        self.length = length(batches)
        self.last: Any = None  # the last batch of this epoch that was taken
        self.start = source_state(batches)
        self.before: dict[str, Any] = {}  # where the epoch before started, and its first digest
        self._first = 0

    def stream(self, epoch: int, rng: dict[str, Any] | None = None) -> Iterator[Any]:
        """What is left of this epoch. rng: given in a resumed run, where to go on drawing from.

        Raises ValueError if the used batches are not there again, or are others.
        """
        self.last = None
        if rng is None:
            self._set_epoch(epoch)
            return iter(self.batches)
        if self.used == 0 and self.before and self.compare:
            self._wake_workers(epoch - 1)
            self._set_epoch(epoch - 1)
            set_source_state(self.batches, self.before["start"])
            first = self._digest(next(iter(self.batches), ()), 0)
            self._same(first, self.before["digest"], epoch - 1)
        else:
            self._wake_workers(epoch)
        self._set_epoch(epoch)
        set_source_state(self.batches, self.start)
        stream, seen = iter(self.batches), 0
        for n in range(self.used):
            batch = next(stream, None)
            if batch is None:
                raise ValueError(
                    f"the checkpoint was made {self.used} batches into epoch {epoch + 1}, but "
                    f"batches ends after {n}: resume with the same data and batch size"
                )
            seen, self.last = self._digest(batch, seen), batch
            self._first = self._first if n else seen
        self._same(seen, self.digest, epoch)
        self.digest = seen
        if self.used:  # at batch 0 the state was noted before iter() drew
            set_rng_state(rng)
        return stream

    def take(self, stream: Iterator[Any], count: int) -> list[Any]:
        """The next `count` batches, fewer at the end of an epoch.

        Raises ValueError for a source that writes over a batch which it gave before.
        """
        group = list(itertools.islice(stream, 1))
        before = digest(group[0]) if group and count > 1 else 0
        group += itertools.islice(stream, count - 1)
        if before and digest(group[0]) != before:
            raise ValueError(
                "batches reuses its tensors: the first batch of a group has changed when the next "
                "one was drawn. With accumulate > 1 each batch needs its own"
            )
        for batch in group:
            self.digest = self._digest(batch, self.digest)
            self._first = self._first if self.used else self.digest
            self.used, self.last = self.used + 1, batch
        return group

    def refuse_empty(self) -> None:
        """Raises ValueError, at the end of an epoch, if there was not one batch in it."""
        if self.used == 0:
            raise ValueError(
                "batches is empty: there is nothing to train on (drop_last=True drops the only "
                "batch where there are fewer samples than its size)"
            )

    def end_epoch(self) -> None:
        """The next epoch starts from here."""
        self.before = {"start": self.start, "digest": self._first}
        self.used, self.digest, self.start = 0, 0, source_state(self.batches)

    def settings(self) -> dict[str, Any]:
        """What decides the order of the batches, in plain values."""
        if hasattr(self.batches, "settings"):
            found = self.batches.settings()
        else:
            names = ("batch_size", "drop_last", "num_workers")
            found = {k: getattr(self.batches, k) for k in names if hasattr(self.batches, k)}
            sampler = getattr(self.batches, "sampler", None)
            found |= {"kind": type(self.batches).__name__, "sampler": type(sampler).__name__}
        return {f"batches.{name}": value for name, value in found.items()}

    def state_dict(self) -> dict[str, Any]:
        """Where we are."""
        own = {"used": self.used, "digest": self.digest, "first": self._first}
        own |= {"compare": self.compare}
        return {**own, "start": self.start, "before": self.before, "length": self.length}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there. Raises ValueError for batches of another number."""
        if state["length"] != self.length:
            raise ValueError(
                f"the checkpoint was made with {state['length']} batches an epoch, this run has "
                f"{self.length}: resume with the same data and batch size"
            )
        self.used, self.digest, self._first = state["used"], state["digest"], state["first"]
        self.start, self.before = state["start"], state["before"]
        self.compare = self.compare and state["compare"]

    def _wake_workers(self, epoch: int) -> None:
        """Workers that persist draw less in later epochs than in their first: start them."""
        if epoch and getattr(self.batches, "persistent_workers", False):
            iter(self.batches)

    def _digest(self, batch: Any, before: int) -> int:
        if not self.compare:
            return 0
        named = as_batch(batch)
        known = {key: named[key] for key in ("labels", "index") if key in named}
        # Workers have generators of their own: what they draw again is the same, inputs too.
        whole = getattr(self.batches, "num_workers", 0) > 0 or not known
        return digest(named if whole else known, before)

    def _same(self, seen: int, known: int | None, epoch: int) -> None:
        if self.compare and known is not None and seen != known:
            raise ValueError(
                f"the batches of epoch {epoch + 1} are not those that the checkpoint was made "
                "with: resume with the same data, seed and sampler, and without workers or "
                "transforms that remember (persistent_workers, generators of their own)"
            )

    def _set_epoch(self, epoch: int) -> None:
        parts: tuple[Any, Any] = (self.batches, getattr(self.batches, "sampler", None))
        for part in parts:
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)


def length(batches: Any) -> int | None:
    """Batches in an epoch, None where nobody knows."""
    try:
        return len(batches)
    except TypeError:  # a DataLoader over a stream has a __len__ that raises
        return None

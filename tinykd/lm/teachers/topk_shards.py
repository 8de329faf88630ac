"""Top-k targets in many caches: for a transfer set that is too large for one file or one writer."""

import tempfile
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ...files import atomic
from ...teachers.store import stamp_file
from .shard_files import (
    KIND,
    lacking,
    place,
    refuse_another,
    refused,
    shard_files,
    shard_name,
)
from .topk_teacher import KeptTopK, TopKTeacher


class TopKShards(KeptTopK):
    """The samples of all shards, for `Trainer(..., teacher=...)`: what one `TopKTeacher` would say.

        size = 1000  # samples in a shard; the last one may have fewer
        for n in range(rank, math.ceil(len(examples) / size), writers):  # in each of the writers
            part = SequenceBatches(examples[n * size : (n + 1) * size], size=8)
            write_shard(url, n, lambda path: TopKTeacher.write(path, teacher, part, k=64))
        finish_shards(url, len(examples))  # once, when all have ended
        Trainer(student, SoftTargets(divergence=topk_kl), TopKShards(url)).fit(...)

    Where sample i lies is a division: row i % size of shard i // size. A shard is opened, and
    brought here from elsewhere, when a batch first asks for one of its samples; `opened` of them
    stay open, memory-mapped, however many there are; opening one takes 2 ms. local: where shards
    from elsewhere are kept and found again, by other processes too; None: a temporary folder, gone
    with this object. Nothing is deleted before, so the disk has to hold what a process reads:
    batches in the order of the shards, a share for each rank, bring each shard once.

    teacher, batches, recognise: as in `TopKTeacher`. Raises ValueError for a shard of another
    teacher, k, T or size than the index says, a damaged one and a batch that does not fit;
    FileNotFoundError where there is no index, or a shard has gone.
    """

    kind = KIND

    def __init__(
        self,
        url: str | Path,
        teacher: nn.Module | None = None,
        batches: Iterable | None = None,
        recognise: bool = True,
        local: str | Path | None = None,
        opened: int = 32,
    ) -> None:
        if opened < 1:
            raise ValueError(f"opened must be at least 1, got {opened}")
        self.url, self.opened, self._open = url, opened, OrderedDict[int, TopKTeacher]()
        self.files, self.root, self.here = place(url)
        self.folder = Path(self.root) if self.here else self._bring_index(local)
        if not stamp_file(self.folder / "index").exists():
            raise self._no_index()
        super().__init__(self.folder / "index", teacher, recognise)
        self.k, self.T, self.samples, self.size = (
            self.stamp[name] for name in ("k", "T", "samples", "size")
        )
        if batches is not None:
            self.compare(batches)

    def said(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ids (P, k) and log_p (P, k + 1) of these samples' positions, one sample after another."""
        pairs = self._each(index, TopKTeacher.said) or [self.shard(0).said(index)]
        return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])

    def open_signatures(self) -> None:
        """Those of a shard are opened with it."""

    def signed(self, index: np.ndarray) -> np.ndarray:
        """The signatures that these samples had, (n, K)."""
        return np.concatenate(
            self._each(index, TopKTeacher.signed) or [self.shard(0).signed(index)]
        )

    def shard(self, n: int) -> TopKTeacher:
        """Shard n, opened, and brought here before that if it is elsewhere."""
        if n not in self._open:
            path = self.folder / shard_name(n)
            if not stamp_file(path).exists():
                self._bring(n, path)
            try:
                self._open[n] = TopKTeacher(path)
                refuse_another(n, self._open[n].stamp, self.stamp)
            except ValueError as error:
                self._open.pop(n, None)
                if not self.here:  # brought again next time
                    stamp_file(path).unlink()
                raise refused(self.url, n, error) from error
        self._open.move_to_end(n)
        if len(self._open) > self.opened:
            self._open.popitem(last=False)
        return self._open[n]

    def _each(self, index: np.ndarray, ask: Callable[[TopKTeacher, np.ndarray], Any]) -> list[Any]:
        """ask(shard, row) of each sample, in the order of `index`; each shard is opened once."""
        number, row = np.divmod(index, self.size)
        found: list[Any] = [None] * len(index)
        for b in np.argsort(number, kind="stable").tolist():
            found[b] = ask(self.shard(int(number[b])), row[b : b + 1])
        return found

    def _bring_index(self, local: str | Path | None) -> Path:
        """The folder for what is brought here. Shards that were written anew have another one."""
        try:
            content = self.files.cat_file(f"{self.root}/index.json")
        except FileNotFoundError:
            raise self._no_index() from None
        if local is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="tinykd-shards-")
            local = self._temporary.name
        folder = Path(local) / uuid.uuid5(uuid.NAMESPACE_URL, f"{self.url} {content!r}").hex
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / "index.json") as part:
            part.write_bytes(content)
        return folder

    def _bring(self, n: int, path: Path) -> None:
        for file in shard_files(path):
            with atomic(file) as part:
                try:
                    if self.here:
                        raise FileNotFoundError
                    self.files.get_file(f"{self.root}/{file.name}", str(part))
                except FileNotFoundError:
                    raise lacking(self.url, n) from None

    def _no_index(self) -> FileNotFoundError:
        return FileNotFoundError(f"no index in {self.url}: finish_shards writes it, when all ended")

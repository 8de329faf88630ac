"""What a teacher once said, on disk: logits, and activations of layers."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor, nn

from ..batch import moved, to_device
from ..models.call import device_of
from ..outputs import Targets
from ..progress import bar
from ..softmax import at_least_float32
from .fingerprint import fingerprint
from .live import LiveTeacher
from .samples import count, numbered
from .store import Stored
from .writing import writing

DTYPES = {"float16": torch.float16, "float32": torch.float32}


class CachedTeacher(Stored):
    """Logits computed once and read back by sample, so that a run costs no teacher forward.

    `CachedTeacher.write(path, teacher, inputs)` computes them; `CachedTeacher(path)` reads them.
    path.npy holds the logits (N, ...), path@layer-NAME.npy what a layer said (N, ...), both
    memory-mapped; path.json is the stamp. Rows are looked up by the batch's "index", so shuffling
    cannot misalign them, and the samples of a batch are compared with those that the teacher was
    asked about (see `Stored`). recognise=False leaves that out, for a student that is shown
    something else than its teacher was: another resolution, another modality.

    Raises ValueError if the cache was made by another `teacher` or from other `inputs`, for a
    damaged file or a batch that does not fit; FileNotFoundError if there is no cache at `path`.
    """

    kind = "logits"

    def __init__(
        self,
        path: str | Path,
        teacher: nn.Module | None = None,
        inputs: Any = None,
        recognise: bool = True,
    ) -> None:
        super().__init__(_named(path), teacher, recognise)
        asked = self.stamp.get("layers", [])
        files = _files(self.path, asked)
        self.logits = self.array("logits", files["logits"])
        self.layers = {name: self.array(f"layer {name}", files[f"layer {name}"]) for name in asked}
        self.samples = len(self.logits)
        if inputs is not None:
            self.compare(inputs)

    @classmethod
    def write(
        cls,
        path: str | Path,
        teacher: nn.Module,
        inputs: Any,
        batch_size: int = 1000,
        layers: Iterable[str] = (),
        dtype: str = "float16",
        progress: bool = True,
    ) -> "CachedTeacher":
        """Ask the teacher about all samples, once, and keep what it says at `path`.

        inputs: a tensor (N, ...) or a mapping of tensors, taken `batch_size` samples at a time; or
        batches, each sample once: by its "index", without one in the order of a list or a loader
        that does not shuffle. layers: dotted names of layers whose activations are kept too.
        dtype: "float16" (relative error at most 2**-11) or "float32".

        Nothing but a batch is ever in memory. The files appear when they are complete: a write that
        is stopped changes nothing. Raises ValueError for what does not fit `dtype`, and for samples
        that are lacking, double, augmented or of unlike shapes, TypeError for `layers` in one word.
        """
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {list(DTYPES)}, got {dtype!r}")
        if isinstance(layers, str):
            raise TypeError(f"layer names come as a list: layers=[{layers!r}]")
        layers, total = list(dict.fromkeys(layers)), count(inputs)
        stamp = {"kind": cls.kind, "teacher": fingerprint(teacher), "layers": layers}
        live, device = LiveTeacher(teacher), device_of(teacher)
        with (
            writing(_named(path), _files(_named(path), layers), stamp) as tables,
            bar("asking the teacher", total, visible=progress) as advance,
        ):
            for index, batch in numbered(inputs, total, batch_size):
                if "positions" in batch:
                    raise ValueError("logits at positions are kept by tinykd.lm.TopKTeacher")
                said = live.targets(to_device(batch, device), layers)
                named = {f"layer {name}": x for name, x in said.layers.items()}
                for name, x in {"logits": said.logits, **named}.items():
                    tables.put(name, index, _kept(x, name, dtype), total)
                tables.note(index, batch, total)
                advance(len(index))
        return cls(path)

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """The rows of this batch: logits (B, ...) and layers {name: (B, ...)}, as they are kept.

        Raises ValueError for layers that are not in the cache, and for a batch that does not fit it
        (see `check`).
        """
        if lacking := [name for name in layers if name not in self.layers]:
            raise ValueError(
                f"terms ask for the layers {lacking}, but {self.path} has "
                f"{list(self.layers) or 'logits only'}: CachedTeacher.write(..., layers=...)"
            )
        index = self.check(batch)
        rows = {name: self._rows(self.layers[name], index) for name in layers}
        return Targets(self._rows(self.logits, index), rows)

    def _rows(self, table: np.ndarray, index: np.ndarray) -> Tensor:
        return moved(torch.from_numpy(np.asarray(table[index])), self.device)


def _named(path: str | Path) -> Path:
    """A cache's name, kept whole; its .npy file may be given in its place."""
    return Path(str(path).removesuffix(".npy"))


def _files(path: Path, layers: Iterable[str]) -> dict[str, Path]:
    own = {f"layer {name}": Path(f"{path}@layer-{quote(name, safe='')}.npy") for name in layers}
    if len({str(file).casefold() for file in own.values()}) < len(own):
        raise ValueError(f"some file systems cannot tell the layers apart: {list(layers)}")
    return {"logits": Path(f"{path}.npy"), **own}


def _kept(x: Any, name: str, dtype: str) -> np.ndarray:
    """x as it is kept. Raises ValueError for NaN and what is too large; -inf rules a class out."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name}: a cache holds tensors, the teacher gave a {type(x).__name__}")
    exact = at_least_float32(x.detach()).cpu()
    kept = exact.to(DTYPES[dtype])
    if not (kept.isfinite() | (exact == -torch.inf)).all():
        limit = torch.finfo(DTYPES[dtype]).max
        hint = "" if dtype == "float32" else '; dtype="float32" holds larger ones'
        raise ValueError(f"{name}: NaN, or more than the {limit:g} that {dtype} can hold{hint}")
    return kept.numpy()

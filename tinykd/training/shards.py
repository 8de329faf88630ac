"""Checkpoints of a sharded model: each process writes its part, any number of them read it.

    run.ckpt                    everything that is whole, and the name of the folder with the rest
    run.ckpt.shards-1f03a9c2    the sharded tensors, by torch.distributed.checkpoint

The folder is complete before the file that names it takes the place of the old one, and the old
folder goes after that: killed at any moment, there is one checkpoint, and it is whole.
"""

import glob
import pickle
import secrets
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .. import files
from ..device import rank_and_ranks
from ..models.sharded import is_sharded

MARK = "a tensor in the folder of shards"
# What the table of contents of a folder is made of.
CONTENTS = {
    "torch.distributed.checkpoint.metadata": (
        *("Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata"),
        *("MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING"),
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo", "_StoragePrefix"),
    "torch.serialization": ("_get_layout",),
    "torch": ("Size",),
    "pathlib": ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"),
    "collections": ("OrderedDict",),
}


def save(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a trainer; called by all processes, which see the same folder.

    Raises OSError in all of them where one cannot write; what was saved before is still there.
    """
    from torch.distributed import checkpoint

    tensors: dict[str, Tensor] = {}

    def put(name: str, value: Any) -> Any:
        if not is_sharded(value):
            return value
        tensors[name] = value
        return {MARK: name}

    parts = _each(state["parts"], put)
    names = [f"{path.name}.shards-{secrets.token_hex(4)}"]
    dist.broadcast_object_list(names)
    folder = path.with_name(names[0])
    try:
        writer = checkpoint.FileSystemWriter(folder)
        checkpoint.save(cast(Any, tensors), storage_writer=writer)
    except checkpoint.CheckpointException as error:
        shutil.rmtree(folder, ignore_errors=True)
        reasons = {str(e[0] if isinstance(e, tuple) else e) for e in error.failures.values()}
        raise files.not_written(path, "; ".join(sorted(reasons))) from error
    if rank_and_ranks()[0] == 0:
        try:
            files.save(path, {**state, "parts": parts, "shards": folder.name})
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        forget(path, but=folder)


def forget(path: Path, but: Path | None = None) -> None:
    """Delete folders of shards that the checkpoint at `path` does not name any more."""
    for old in path.parent.glob(f"{glob.escape(path.name)}.shards-*"):
        if old != but:
            shutil.rmtree(old, ignore_errors=True)


def read(path: Path, state: dict[str, Any], like: Tensor | None = None) -> dict[str, Any]:
    """The parts of a state that was loaded from `path`, with the tensors of its folder.

    like: a parameter of this run; where it is sharded, the tensors are sharded over its processes,
    however many had written them, else each is whole. Raises ValueError for shards that are not
    there or cannot be read.
    """
    if "shards" not in state:
        return state["parts"]
    from torch.distributed import checkpoint

    folder = path.with_name(state["shards"])
    try:
        reader = _reader(folder)
        sizes = reader.read_metadata().state_dict_metadata
        tensors = {name: _empty(found, like) for name, found in sizes.items()}
        alone = not dist.is_initialized()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # as it may be
            checkpoint.load(cast(Any, tensors), storage_reader=reader, no_dist=alone)
    except (Exception, checkpoint.CheckpointException) as error:
        raise ValueError(
            f"the shards of {path} cannot be read from {folder} ({error}): both belong together; "
            "delete both to start from the beginning"
        ) from error

    def put(name: str, value: Any) -> Any:
        return tensors[value[MARK]] if isinstance(value, dict) and MARK in value else value

    return _each(state["parts"], put)


def distribute(parts: dict[str, Any], net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Shard whole tensors of a state, in place, where this run has them sharded.

    Of weights, of the best ones, and of what the optimizer keeps for each value of a parameter.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    def as_in(own: Any, value: Any) -> Any:
        if not isinstance(own, DTensor) or not isinstance(value, Tensor):
            return value
        if own.shape != value.shape:
            return value
        if isinstance(value, DTensor):
            return value.redistribute(own.device_mesh, own.placements)
        return distribute_tensor(value.to(own.device), own.device_mesh, own.placements)

    own = net.state_dict()
    for weights in (parts["net"], parts.get("best", {}).get("weights", {})):
        weights.update({name: as_in(own.get(name), x) for name, x in weights.items()})
    held = [p for group in optimizer.param_groups for p in group["params"]]
    for number, kept in parts["optimizer"]["state"].items():
        kept.update({name: as_in(held[number], x) for name, x in kept.items()})


def _each(state: Any, put: Callable[[str, Any], Any], name: str = "") -> Any:
    """`put(name, value)` in place of every value inside nested dicts, lists and tuples."""
    new = put(name, state)
    if new is not state:
        return new
    if isinstance(state, Mapping):
        return {key: _each(value, put, f"{name}.{key}") for key, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(_each(x, put, f"{name}.{n}") for n, x in enumerate(state))
    return state


def _empty(found: Any, like: Tensor | None) -> Tensor:
    if like is None or not is_sharded(like):
        return torch.empty(found.size, dtype=found.properties.dtype)
    from torch.distributed.tensor import Replicate, empty

    mesh, placements = cast(Any, like).device_mesh, cast(Any, like).placements
    if not found.size:
        placements = [Replicate()] * mesh.ndim
    return empty(found.size, dtype=found.properties.dtype, device_mesh=mesh, placements=placements)


def _reader(folder: Path) -> Any:
    """A reader of shards that executes nothing: their table of contents is a pickle."""
    from torch.distributed.checkpoint import FileSystemReader

    class Reader(FileSystemReader):
        def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
            with (folder / ".metadata").open("rb") as file:
                metadata = _Harmless(file).load()
            metadata.storage_meta.load_id = self.load_id
            return metadata

    return Reader(folder)


class _Harmless(pickle.Unpickler):
    """Makes what the contents of a checkpoint are described with, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = name in CONTENTS.get(module, ())
        if known or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is none of what describes tensors")

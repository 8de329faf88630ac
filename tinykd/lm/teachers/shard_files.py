"""The shards of top-k targets as files: written by many, an index when all have ended.

Shard n is a cache like any other, a `TopKTeacher` whose samples are numbered from 0, under the name
of its number:

    URL/000000.json  .ids.npy  .log_p.npy  .offsets.npy  @rows.npy
    URL/000001 ...
    URL/index.json                                                     by `finish_shards`

URL is a folder or whatever fsspec opens: file://, memory://, s3:// (with s3fs), gs:// (with gcsfs).
"""

import json
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ...files import atomic
from ...progress import bar
from ...teachers.store import rows_file, stamp_file
from .topk_teacher import TopKTeacher

KIND = "shards of top-k targets"
SHARED = ("k", "T", "teacher", "rows")  # what the stamps of all shards agree on
AT_ONCE = 100  # stamps that are read together


def write_shard(url: str | Path, n: int, write: Callable[[Path], Any]) -> bool:
    """Make shard n by write(path), unless it is there already; returns whether it was made.

    write: leaves a `TopKTeacher` at the path that it is given, of samples numbered from 0 in each
    shard; `TopKTeacher.write` asks a model, `keep_served` takes what a server said. Its stamp is
    the last file to appear. So a writer that is killed loses the shard that it was on; what it has
    left there is never read, and goes when the shard is written. A shard that is there is never
    rewritten: delete its .json to have that done. One writer at a time for a shard, any number for
    different ones. Raises FileNotFoundError if `write` leaves no cache.
    """
    files, root, local = place(url)
    files.invalidate_cache()
    if files.exists(f"{root}/{shard_name(n)}.json"):
        return False
    files.makedirs(root, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tinykd-shard-") as own:
        path = Path(root if local else own) / shard_name(n)
        for left in path.parent.glob(f".{path.name}[.@]*.part"):
            left.unlink()
        write(path)
        TopKTeacher(path)  # raises where it cannot be read back
        if not local:
            for file in shard_files(path):
                files.put_file(str(file), f"{root}/{file.name}")
    return True


def finish_shards(url: str | Path, samples: int, progress: bool = True) -> None:
    """Write the index of all shards of `samples` samples; of the shards the stamps alone are read.

    Shards are as large as the first, the last one as what is left. Raises ValueError for one that
    is of another model, k, T or size, FileNotFoundError with the first that is lacking.
    """
    files, root, local = place(url)
    files.invalidate_cache()
    index = {"kind": KIND, "samples": samples, "id": uuid.uuid4().hex}
    begin, shards = 0, 1
    with bar("shards", None, visible=progress) as advance:
        while begin < shards:
            numbers = range(begin, min(begin + AT_ONCE, shards))
            for n, stamp in _stamps(files, root, numbers):
                if not n:
                    index |= {name: stamp[name] for name in SHARED} | {"size": stamp["samples"]}
                    shards = -(-samples // stamp["samples"])
                try:
                    refuse_another(n, stamp, index)
                except ValueError as error:
                    raise refused(url, n, error) from None
            begin = numbers.stop
            advance(len(numbers))
    text = json.dumps(index, indent=1) + "\n"
    if not local:
        files.pipe_file(f"{root}/index.json", text.encode())
        return
    with atomic(Path(root) / "index.json") as part:
        part.write_text(text)


def refuse_another(n: int, stamp: Mapping[str, Any], index: Mapping[str, Any]) -> None:
    """Raises ValueError for a shard n that is not of this index."""
    size = min(index["size"], index["samples"] - n * index["size"])
    for name, wanted in {**{name: index[name] for name in SHARED}, "samples": size}.items():
        if stamp.get(name) != wanted:
            raise ValueError(
                f"it has {name} = {stamp.get(name)!r}, the others have {wanted!r}: it was written "
                "by another teacher, with other settings, or by an older tinykd"
            )


def refused(url: object, n: int, error: ValueError) -> ValueError:
    """What is raised where shard n is there, and is not what it should be."""
    return ValueError(f"shard {n} of {url}: {error}; delete its .json, write_shard makes it anew")


def lacking(url: object, n: int) -> FileNotFoundError:
    """What is raised where shard n is not there."""
    return FileNotFoundError(f"no shard {n} in {url}: write_shard(url, {n}, ...) makes it")


def place(url: str | Path) -> tuple[Any, str, bool]:
    """A file system, the folder in it, and whether that is one of this machine."""
    from fsspec.core import url_to_fs  # here, so that `import tinykd` stays numpy and torch
    from fsspec.implementations.local import LocalFileSystem

    files, root = url_to_fs(str(url))
    return files, root.rstrip("/"), isinstance(files, LocalFileSystem)


def shard_name(n: int) -> str:
    """What shard n is called."""
    return f"{n:06d}"


def shard_files(path: Path) -> list[Path]:
    """All that a shard is, its stamp last."""
    return [*TopKTeacher.files(path).values(), rows_file(path), stamp_file(path)]


def _stamps(files: Any, root: str, numbers: Iterable[int]) -> list[tuple[int, dict[str, Any]]]:
    """(n, the stamp of shard n), asked for together: an object store takes its time for each."""
    names = {n: f"{root}/{shard_name(n)}.json" for n in numbers}
    found, stamps = files.cat(list(names.values()), on_error="return"), []
    for n, name in names.items():
        content = found.get(name, FileNotFoundError())
        if isinstance(content, FileNotFoundError):
            raise lacking(root, n)
        if isinstance(content, Exception):
            raise content
        try:
            stamp = json.loads(content)
            stamp["rows"], stamp["samples"]
        except (ValueError, KeyError, TypeError) as error:
            raise refused(root, n, ValueError(f"no stamp of a shard ({error!r})")) from error
        stamps.append((n, stamp))
    return stamps

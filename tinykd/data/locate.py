"""The course's data files: where they may lie, and whether they are what they should be."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path

# The one line for those who are offline.
CLONE = "A clone of the course has it: work inside the clone, or set TINYKD_DATA=CLONE/datasets."


def data_folders(group: str, folder: str | Path | None = None) -> list[Path]:
    """Where the files of `group` ("mnist" ...) may lie, the first choice first.

    `folder` if given and nowhere else; otherwise the folder that TINYKD_DATA names, then datasets/
    of the clone that this package lies in, of the working folder, and of the one above it (a
    notebook in lessons/). A named folder may hold the files themselves or a folder `group`.
    """
    chosen = folder or os.environ.get("TINYKD_DATA")
    places = [Path(chosen).expanduser() / sub for sub in (group, ".")] if chosen else []
    if not folder:
        clones = (Path(__file__).resolve().parents[2], Path.cwd(), Path.cwd().parent)
        places += dict.fromkeys(clone / "datasets" / group for clone in clones)
    return places


def find(group: str, name: str, folder: str | Path | None = None) -> Path:
    """The file, for data that comes with a clone of the course and that no mirror has.

    Raises FileNotFoundError, which says where it was looked for and what to do.
    """
    places = data_folders(group, folder)
    for place in places:
        if (place / name).is_file():
            return place / name
    looked = "\n".join(f"  {place / name}" for place in places)
    raise FileNotFoundError(
        f"{name} was not found. {CLONE}\nLooked for\n{looked}\n"
        f"No public mirror has it; datasets/{group}/make_{group}.py of a clone makes it anew."
    )


def data_file(name: str) -> Path:
    """The file `name` of datasets/ of a homework or of the course, wherever the notebook lies.

    Looks in the folder that TINYKD_DATA names (`tinykd build` and `grade` set it to the homework's
    own), then in datasets/ of the working folder, of the one above it, and of the clone that this
    package lies in. Raises FileNotFoundError, which says where it was looked for.
    """
    chosen = os.environ.get("TINYKD_DATA")
    places = [Path(chosen).expanduser()] if chosen else []
    clone = Path(__file__).resolve().parents[2]
    places += [root / "datasets" for root in (Path.cwd(), Path.cwd().parent, clone)]
    for place in places:
        if (place / name).is_file():
            return place / name
    looked = "\n".join(f"  {place / name}" for place in dict.fromkeys(places))
    raise FileNotFoundError(f"{name} was not found. Looked for\n{looked}")


def unpacked(path: Path, sha256: str, remedy: str) -> bytes:
    """Uncompressed bytes of a gzip file.

    Raises ValueError for bytes of another SHA-256: quotes both, and the `remedy`.
    """
    packed = path.read_bytes()
    try:
        raw = gzip.decompress(packed)
        found = hashlib.sha256(raw).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        whole = hashlib.sha256(packed).hexdigest()
        found = f"no readable gzip file ({error}; {len(packed):,} bytes with SHA-256 {whole})"
    if found != sha256:
        raise ValueError(
            f"{path} is corrupt: SHA-256 of its uncompressed bytes should be {sha256}, found "
            f"{found}. {remedy}"
        )
    return raw

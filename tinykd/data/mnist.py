"""MNIST (LeCun, Cortes, Burges 1998), from disk or from its mirrors.

Data never executes on load: the files are plain arrays, checked against their SHA-256 before use.
"""

import os
from pathlib import Path

import torch
from torch import Tensor

from .locate import data_folders, unpacked

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# SHA-256 of the uncompressed bytes: the .gz of two mirrors may differ, the digits in them may not.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
PREFIX = {"train": "train", "test": "t10k"}


def load_mnist(split: str = "train", folder: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """All digits of a split: 60,000 for "train", 10,000 for "test".

    Looks in `folder` if given and nowhere else; otherwise in the folder that TINYKD_DATA names, in
    the repository's `datasets/`, and in the user's cache; else fetches (see `mnist_files`).

    Returns:
        images, float32 of shape (N, 28, 28), pixel / 255, in [0, 1]; labels, int64 of shape (N,).

    Raises:
        ValueError: unknown split; a file whose checksum is wrong (both checksums are quoted).
        FileNotFoundError: `folder` lacks a file.
        ConnectionError: no mirror could be read.
    """
    if split not in PREFIX:
        raise ValueError(f'split is {split!r}: MNIST has "train" and "test"')
    images = _verified(_locate(f"{PREFIX[split]}-images-idx3-ubyte.gz", folder))
    labels = _verified(_locate(f"{PREFIX[split]}-labels-idx1-ubyte.gz", folder))
    # 16 and 8 bytes of header, known to be right because the checksum is.
    pixels = torch.frombuffer(images, dtype=torch.uint8, offset=16).view(-1, 28, 28)
    return pixels / 255, torch.frombuffer(labels, dtype=torch.uint8, offset=8).long()


def mnist_files(folder: str | Path | None = None) -> list[Path]:
    """The four files, found as `load_mnist` does or else fetched, their checksums verified.

    Fetched files go to TINYKD_DATA if set, else to the user's cache. Downloads retry, resume where
    they broke off, go on to the next mirror, and appear under their name only when whole and
    verified. TINYKD_DATA_URL names another mirror: a base address under which the four lie.
    """
    paths = [_locate(f"{name}.gz", folder) for name in SHA256]
    for path in paths:
        _verified(path)
    return paths


def _locate(name: str, folder: str | Path | None) -> Path:
    places = data_folders("mnist", folder)
    for place in places:
        if (place / name).is_file():
            return place / name
    if folder:
        raise FileNotFoundError(
            f"{name} is not in {folder}: leave `folder` out to use the course's copy, or fetch it "
            f"there with `tinykd data`, TINYKD_DATA={folder} set"
        )
    from .download import cache, fetch  # pooch is slow to import and rarely needed

    target = (places[0] if os.environ.get("TINYKD_DATA") else cache() / "mnist") / name
    if not target.is_file():
        bases = (os.environ["TINYKD_DATA_URL"],) if "TINYKD_DATA_URL" in os.environ else MIRRORS
        fetch([base.rstrip("/") + "/" + name for base in bases], target, _verified)
    return target


def _verified(path: Path) -> bytearray:
    """Uncompressed bytes of `path` (NAME.gz, or NAME.gz.part), or ValueError for a wrong file."""
    remedy = "Delete the file and run `tinykd data` to fetch it again."
    return bytearray(unpacked(path, SHA256[path.name.partition(".")[0]], remedy))

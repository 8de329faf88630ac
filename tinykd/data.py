"""MNIST (LeCun, Cortes, Burges 1998) from disk or its mirrors, random shifts, shuffled batches.

Data never executes on load: the files are plain arrays, checked against their SHA-256 before use.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .files import data_folders, unpacked

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


def jitter(images: Tensor, pixels: int = 2, subpixel: bool = False) -> Tensor:
    """Shift each image by dx, dy, uniform in [-pixels, pixels], zeros moving in.

    Args:
        images: (B, H, W) or (B, C, H, W); the channels of an image move together.
        pixels: the largest shift, at least 0. Hinton et al. 2015, section 3, use 2.
        subpixel: shifts are any real number, by bilinear interpolation, not whole numbers only.

    Returns a new tensor. Draws from torch's global generator on the images' device.
    """
    if images.dim() not in (3, 4):
        raise ValueError(f"jitter takes (B, H, W) or (B, C, H, W), got {tuple(images.shape)}")
    if pixels < 0:
        raise ValueError(f"pixels is {pixels}: a shift is at least 0")
    batch, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    margin = int(subpixel)  # the neighbours to interpolate with
    span = 2 * pixels + 1 - margin
    dy, dx = torch.randint(max(span, 1), (2, batch), device=images.device)  # (B,), (B,)
    padded = torch.nn.functional.pad(images, (pixels,) * 4)
    # A view of all shifts at once, (B, ..., span, span, H, W): picking one of them is the one copy.
    margin = min(margin, 2 * pixels)
    windows = padded.unfold(-2, height + margin, 1).unfold(-2, width + margin, 1)
    if images.dim() == 4:
        windows = windows.movedim(1, 3)
    shifted = windows[torch.arange(batch, device=images.device), dy, dx]
    for dim in (-2, -1) if margin else ():
        part = torch.rand((batch,) + (1,) * (images.dim() - 1), device=images.device)
        size = shifted.shape[dim] - 1
        shifted = torch.lerp(shifted.narrow(dim, 0, size), shifted.narrow(dim, 1, size), part)
    return shifted


class Batches:
    """Batches of a data set held in memory; iterate again for the next epoch.

    Yields {"inputs": (b, ...), "labels": (b, ...), "index": (b,)}; `index` numbers the samples in
    the data set, and "augmented": True is added where `augment` changed the inputs. The order
    depends on (seed, epoch) alone, so that a killed run can go on in it:
    `set_epoch(e)` makes the next pass the one of epoch e, and each pass moves on to the next epoch.

    Under torch.distributed `size` counts the samples of all ranks together, and each rank gets its
    share of every batch: equal shares where the batch divides by the number of ranks.

    Args:
        inputs, labels: tensors (or arrays) of equal length N.
        size: samples in a batch; the last one is smaller, or dropped with `drop_last`.
        augment: function of a batch of inputs, such as `jitter`.

    Raises:
        ValueError: lengths that differ (both are quoted), no samples, size below 1.
    """

    def __init__(
        self,
        inputs: Any,
        labels: Any,
        size: int = 128,
        shuffle: bool = True,
        augment: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.inputs, self.labels = torch.as_tensor(inputs), torch.as_tensor(labels)
        shapes = tuple(self.inputs.shape), tuple(self.labels.shape)
        if not all(shapes) or shapes[0][0] != shapes[1][0]:
            raise ValueError(f"inputs {shapes[0]} and labels {shapes[1]} differ in length")
        if shapes[0][0] == 0:
            raise ValueError(f"no samples: inputs have shape {shapes[0]}")
        if size < 1:
            raise ValueError(f"size is {size}: a batch holds at least 1 sample")
        self.size, self.shuffle, self.augment = size, shuffle, augment
        self.seed, self.drop_last, self.epoch = seed, drop_last, 0
        if not len(self):
            raise ValueError(f"drop_last leaves nothing: {shapes[0][0]} samples, size {size}")

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.inputs), self.size)
        return whole + bool(rest and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass the one of `epoch`, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        order = torch.arange(len(self.inputs))
        if self.shuffle:
            # A sequence as a seed: (seed, epoch) pairs never collide, as seed + epoch would.
            generator = np.random.default_rng((self.seed % 2**64, self.epoch))
            order = torch.from_numpy(generator.permutation(len(self.inputs)))
        self.epoch += 1
        return map(self._batch, self._share(order))

    def _share(self, order: Tensor) -> list[Tensor]:
        batches = list(order.split(self.size))[: len(self)]
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return batches
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        if len(batches[-1]) < ranks:  # a rank without samples would hang the others
            raise ValueError(
                f"the last batch has {len(batches[-1])} samples for {ranks} ranks: choose another "
                f"size than {self.size}, or drop_last=True"
            )
        return [batch.tensor_split(ranks)[rank] for batch in batches]

    def _batch(self, index: Tensor) -> dict[str, Tensor]:
        batch: dict[str, Any] = {"labels": self.labels[index], "index": index}
        if self.augment is None:
            return {"inputs": self.inputs[index], **batch}
        return {"inputs": self.augment(self.inputs[index]), **batch, "augmented": True}

"""Keys and values of the tokens so far, so that the next one costs one position."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import Config

SPARE = 64  # positions by which a full cache grows


class Cache:
    """Keys and values of the positions so far, so that a new token costs one position.

    Room for `capacity` positions in each of `rows` sequences, made wider where it is needed. `real`
    (rows, capacity) marks what is neither padding nor still empty. Attention looks at the whole
    room, the empty part masked: a matrix product over a part of it would copy that part each time.
    """

    def __init__(self, config: Config, rows: int, capacity: int, like: Tensor) -> None:
        size = (rows, config.kv_heads or 0, capacity, config.head_size or 0)
        self.keys = [like.new_zeros(size) for _ in range(config.layers)]
        self.values = [like.new_zeros(size) for _ in range(config.layers)]
        self.real = torch.zeros(rows, capacity, dtype=torch.bool, device=like.device)
        self.length = 0

    def expect(self, real: Tensor) -> None:
        """Make room for the positions of `real` (rows, T) behind those so far, and mark them."""
        end = self.length + real.shape[1]
        if (more := end - self.real.shape[1]) > 0:
            more = max(more, SPARE)
            self.keys = [F.pad(key, (0, 0, 0, more)) for key in self.keys]
            self.values = [F.pad(value, (0, 0, 0, more)) for value in self.values]
            self.real = F.pad(self.real, (0, more))
        self.real[:, self.length : end] = real

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, H, T, d) behind the positions so far; returns the whole room of this layer."""
        end = self.length + key.shape[2]
        self.keys[layer][:, :, self.length : end] = key
        self.values[layer][:, :, self.length : end] = value
        return self.keys[layer], self.values[layer]

    def paste(self, other: "Cache", first: int) -> None:
        """Rows `first` and on become those of `other`, whose positions end where ours do."""
        rows = slice(first, first + len(other.real))
        columns = slice(self.length - other.length, self.length)
        for mine, theirs in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine[rows, :, columns] = theirs[:, :, : other.length]
        self.real[rows, columns] = other.real[:, : other.length]

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with these sequences alone; one may be named several times."""
        self.keys = [key[rows] for key in self.keys]
        self.values = [value[rows] for value in self.values]
        self.real = self.real[rows]

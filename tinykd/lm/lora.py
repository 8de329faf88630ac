"""LoRA: train a small correction beside every frozen weight (Hu et al. 2021, arXiv 2106.09685).

    y = x W^T + (alpha / r) x A^T B^T          W: (out, in) frozen, A: (r, in), B: (out, r)

B starts at 0, so the model starts as it was. The correction has rank r, r (in + out) numbers
instead of in * out.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..files import atomic
from .transformer import Transformer


class LoRALinear(nn.Module):
    """A linear layer with its weight frozen and a low-rank correction beside it."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear, self.scale, self.merged = linear.requires_grad_(False), alpha / rank, False
        self.A = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.A, math.sqrt(5))
        self._before: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        y = self.linear(x)
        return y if self.merged else y + self.scale * F.linear(F.linear(x, self.A), self.B)

    @torch.no_grad()
    def merge(self) -> None:
        """W <- W + (alpha / r) B A: the correction costs nothing from here on."""
        if not self.merged:
            self._before = self.linear.weight.clone()
            self.linear.weight += self.scale * self.B @ self.A
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """The frozen weight as it was, bit for bit (it was kept: subtracting would round)."""
        if self.merged and self._before is not None:
            self.linear.weight.copy_(self._before)
            self._before, self.merged = None, False


def add_lora(model: Transformer, rank: int = 8, alpha: float = 16.0) -> Transformer:
    """Put adapters on every linear layer of the blocks and freeze all else, in place.

    Raises ValueError if the model has adapters already, or rank < 1.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}")
    if any(_adapters(model)):
        raise ValueError("this model has adapters already: merge them, or start from a new model")
    model.requires_grad_(False)
    for name, layer in _linears(model):
        model.set_submodule(name, LoRALinear(layer, rank, alpha))
    return model


def merge_lora(model: Transformer) -> Transformer:
    """Fold every adapter into its weight, in place; `unmerge_lora` undoes it exactly."""
    for _, adapter in _adapters(model):
        adapter.merge()
    return model


def unmerge_lora(model: Transformer) -> Transformer:
    """Take every adapter out of its weight again, in place."""
    for _, adapter in _adapters(model):
        adapter.unmerge()
    return model


def save_lora(model: Transformer, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write A and B of every adapter as safetensors; all or nothing.

    Raises ValueError if the model has no adapters.
    """
    from safetensors.torch import save_file

    state, scale, rank = {}, 0.0, 0
    for name, adapter in _adapters(model):
        scale, rank = adapter.scale, len(adapter.A)
        for part in ("A", "B"):
            state[f"{name}.{part}"] = getattr(adapter, part).detach().to("cpu", dtype).contiguous()
    if not state:
        raise ValueError("this model has no adapters to save: add_lora(model) puts them there")
    with atomic(Path(path)) as file:
        save_file(state, file, {"rank": str(rank), "alpha": str(scale * rank)})


def load_lora(model: Transformer, path: str | Path) -> Transformer:
    """Put the adapters of a file on `model`, in place, and freeze all else.

    Raises ValueError for adapters of a model of another shape (its layers are quoted).
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = file.metadata() or {}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if "rank" not in about:
        raise ValueError(f"{path} holds no adapters written by save_lora")
    rank, expected = int(about["rank"]), {}
    for name, layer in _linears(model):
        expected[f"{name}.A"] = (rank, layer.in_features)
        expected[f"{name}.B"] = (layer.out_features, rank)
    found = {name: tuple(value.shape) for name, value in state.items()}
    wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    if wrong and not any(_adapters(model)):
        n = wrong[0]
        raise ValueError(
            f"{path} is of another model: {n} is {found.get(n)} there and {expected.get(n)} here"
        )
    add_lora(model, rank, float(about["alpha"]))
    with torch.no_grad():
        for name, value in state.items():
            model.get_parameter(name).copy_(value)
    return model


def _adapters(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    return ((n, layer) for n, layer in model.named_modules() if isinstance(layer, LoRALinear))


def _linears(model: Transformer) -> list[tuple[str, nn.Linear]]:
    """Every linear layer of the blocks, by its dotted name."""
    named = model.blocks.named_modules(prefix="blocks")
    return [(name, layer) for name, layer in named if isinstance(layer, nn.Linear)]

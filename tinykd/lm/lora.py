"""LoRA: train a small correction beside every frozen weight (Hu et al. 2021, arXiv 2106.09685).

    y = x W^T + (alpha / r) x A^T B^T          W: (out, in) frozen, A: (r, in), B: (out, r)

B starts at 0, so the model starts as it was. The correction has rank r, r (in + out) numbers
instead of in * out.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..files import atomic
from ..softmax import at_least_float32
from .transformer import Transformer


class LoRALinear(nn.Module):
    """A linear layer with its weight (and bias) frozen and a low-rank correction beside it."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / rank
        self.A = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.A, math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return self.linear(x) + self.scale * F.linear(F.linear(x, self.A), self.B)

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """W + (alpha / r) B A, (out, in): summed in float32 at least, rounded once."""
        W, A, B = (at_least_float32(x) for x in (self.linear.weight, self.A, self.B))
        return (W + self.scale * B @ A).to(self.linear.weight.dtype)


class MergedLinear(nn.Linear):
    """What `merge_lora` leaves: a plain linear layer that remembers the adapter it was made of.

    The adapter is out of sight of parameters(), state_dict() and to(): all of them see a plain
    layer. Raises RuntimeError where it would be trained unnoticed: in train mode with gradients
    enabled and its weight frozen.
    """

    def __init__(self, adapter: LoRALinear) -> None:
        linear = adapter.linear
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, "meta")
        self.weight = nn.Parameter(adapter.merged_weight(), requires_grad=False)
        self.bias = linear.bias
        self._adapter = (adapter,)  # as itself it would be a submodule

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if self.training and torch.is_grad_enabled() and not self.weight.requires_grad:
            raise RuntimeError(
                "the adapters of this model are merged, so nothing of it would be trained: "
                "unmerge_lora(model) to train the adapters, model.requires_grad_(True) to train "
                "the merged weights, model.eval() or torch.no_grad() to use it as it is"
            )
        return super().forward(x)

    def adapter(self) -> LoRALinear:
        """The adapter as it was, on this layer's device and in its precision.

        Raises ValueError if the merged weight has changed since: the adapter is not all of it.
        """
        (adapter,) = self._adapter
        if not torch.equal(self.weight, adapter.merged_weight().to(self.weight)):
            raise ValueError(
                "the merged weights have changed since merge_lora, so the adapters alone are not "
                "what was learned: save(model) keeps all of it"
            )
        return adapter.to(self.weight)


def add_lora(model: Transformer, rank: int = 8, alpha: float = 16.0) -> Transformer:
    """Put adapters on every linear layer of the blocks and freeze all else, in place.

    Raises ValueError if the model has adapters already, merged or not, or rank < 1.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}")
    _expect_plain(model)
    model.requires_grad_(False)
    for name, layer in _linears(model):
        model.set_submodule(name, LoRALinear(layer, rank, alpha))
    return model


def merge_lora(model: Transformer) -> Transformer:
    """Fold every adapter into its weight, in place: W + (alpha / r) B A costs what W costs.

    The layers are plain ones from here on, and `save(model)` writes what `load` reads as a plain
    Transformer. `unmerge_lora` undoes it exactly; for that the frozen weights stay in memory.
    """
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoRALinear):
            model.set_submodule(name, MergedLinear(layer).train(layer.training))
    return model


def unmerge_lora(model: Transformer) -> Transformer:
    """Put every adapter back beside its weight, in place; both are as before, bit for bit.

    Raises ValueError if the merged weights have been trained since.
    """
    for name, adapter in _adapters(model):
        model.set_submodule(name, adapter.train(model.get_submodule(name).training))
    return model


def save_lora(model: Transformer, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write A and B of every adapter, merged or not, as safetensors; all or nothing.

    Raises ValueError if the model has no adapters, or if merged weights have been trained since.
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

    Raises ValueError for adapters of a model of another shape (its layers are quoted), or if the
    model has adapters already, merged or not: they would count twice.
    """
    from safetensors import safe_open

    _expect_plain(model)
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
    if wrong:
        n = wrong[0]
        raise ValueError(
            f"{path} is of another model: {n} is {found.get(n)} there and {expected.get(n)} here"
        )
    add_lora(model, rank, float(about["alpha"]))
    with torch.no_grad():
        for name, value in state.items():
            model.get_parameter(name).copy_(value)
    return model


def _adapters(model: nn.Module) -> list[tuple[str, LoRALinear]]:
    """Every adapter, merged or not, by the dotted name of its layer."""
    return [
        (name, layer.adapter() if isinstance(layer, MergedLinear) else layer)
        for name, layer in model.named_modules()
        if isinstance(layer, LoRALinear | MergedLinear)
    ]


def _expect_plain(model: nn.Module) -> None:
    kinds = {type(layer) for layer in model.modules()}
    if LoRALinear in kinds:
        raise ValueError("this model has adapters already: start from a new one, or merge and save")
    if MergedLinear in kinds:
        raise ValueError(
            "this model has adapters already, merged ones that unmerge_lora could take out: to "
            "build on them, save(model) and load it as a plain model"
        )


def _linears(model: Transformer) -> list[tuple[str, nn.Linear]]:
    """Every linear layer of the blocks, by its dotted name."""
    named = model.blocks.named_modules(prefix="blocks")
    return [(name, layer) for name, layer in named if isinstance(layer, nn.Linear)]

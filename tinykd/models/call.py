"""How any model is asked: for one batch, for many, and without changing it."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..batch import arguments, as_batch, to_device
from ..softmax import at_least_float32


def forward(model: nn.Module, batch: Mapping[str, Any]) -> Any:
    """Logits of a model for a batch: model(inputs), or model(**rest) where there is no "inputs".

    Models that return an object with `.logits` (Hugging Face) are unpacked. A batch's "positions"
    (N,) name the flat positions whose logits (N, C) are wanted: a model that has `picks_positions`
    computes no others, from any other they are picked afterwards. One that says `sees_no_padding`
    looks only at what comes before, so padding on the right needs no mask: it gets none, as
    attention is faster without.

    Raises ValueError for a model that returns neither a tensor, nor what stands for logits.
    """
    args, named = arguments(batch)
    positions = batch.get("positions")
    if getattr(model, "picks_positions", False):
        positions = None
    else:
        named.pop("positions", None)
    mask = named.get("attention_mask")
    unseen = mask is not None and batch.get("_right_padded") is mask
    if unseen and getattr(model, "sees_no_padding", False):
        named.pop("attention_mask")
    try:
        output = model(*args, **named)
    except RuntimeError as error:
        named = {key: x for key, x in batch.items() if isinstance(x, Tensor) and key[0] != "_"}
        given = {key: tuple(x.shape) for key, x in named.items()}
        error.add_note(f"while a {type(model).__name__} read a batch of the shapes {given}")
        raise
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", output)
    if not hasattr(logits, "shape"):
        raise ValueError(
            f"{type(model).__name__} returned a {type(output).__name__}: a model returns logits "
            "(..., C), or an object that has them as .logits"
        )
    return logits if positions is None else logits.flatten(0, -2)[positions]


def predict(
    model: nn.Module, inputs: Tensor | Mapping[str, Any] | Iterable, batch_size: int = 1000
) -> Tensor:
    """Logits of a model for all inputs, in eval mode and without gradients; the mode comes back.

    inputs: (N, ...), a mapping of such tensors, or batches (a DataLoader, whose order counts).
    Returns (N, ...) on the CPU, float32 at least. Raises ValueError where there are no inputs.
    """
    device = device_of(model)
    with frozen(model):
        chunks = [
            at_least_float32(forward(model, to_device(batch, device))).cpu()
            for batch in pieces(inputs, batch_size)
        ]
    if not chunks:
        raise ValueError("nothing to predict: there are no inputs")
    return torch.cat(chunks)


def pieces(inputs: Any, batch_size: int) -> Iterator[dict[str, Any]]:
    """Batches of at most `batch_size` samples of a tensor or a mapping; other batches as they are.

    Raises ValueError for what is none of these.
    """
    if isinstance(inputs, Mapping):
        tensors = {key: x for key, x in inputs.items() if isinstance(x, Tensor) and x.dim()}
        rest = {key: x for key, x in inputs.items() if key not in tensors}
        count = {len(x) for x in tensors.values()}
        if len(count) != 1:
            sizes = {key: len(x) for key, x in tensors.items()}
            raise ValueError(f"the inputs must all have as many samples: {sizes}")
        for first in range(0, count.pop(), batch_size):
            yield {key: x[first : first + batch_size] for key, x in tensors.items()} | rest
    elif isinstance(inputs, Tensor):
        yield from ({"inputs": chunk} for chunk in inputs.split(batch_size) if len(chunk))
    elif hasattr(inputs, "__iter__"):
        yield from map(as_batch, inputs)
    else:
        raise ValueError(f"inputs are a tensor or batches, got {type(inputs).__name__}")


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are; the CPU for a model without any."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for the length of a block; then every mode comes back."""
    if not any(module.training for module in model.modules()):  # the quick way, at every step
        with torch.no_grad():
            yield
        return
    with modes_kept(model), torch.no_grad():
        model.eval()
        yield


@contextlib.contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Whatever the block does to train and eval modes, afterwards every module has its own back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

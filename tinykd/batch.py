"""What a batch may hold, key by key; whatever is done to a batch is done here.

    inputs       (B, ...)   what the model is called with: model(inputs). Without it the model is
                            called with all keys that are not in this table: model(**rest), such as
                            input_ids and attention_mask
    labels       (...)      class indices, -100 where there is none; or shares (..., C) as below; or
                            numbers (B,) that a term of your own reads
    soft_labels  (..., C)   probabilities that come with the data: votes, pseudo-labels
    mask         (...)      True where a position counts
    positions    (N,)       flat positions of (B, T) whose logits (N, C) are wanted, and no others;
                            labels and masks are (N,) then
    index        (B,)       the samples' numbers in the data set: caches look rows up by it
    prompt       (B,)       the prompts' numbers, of sequences that were sampled
    augmented    bool       the inputs are not those of the data set: caches refuse the batch
    on_policy    bool       the student wrote it: caches refuse it, policy gradients need it

(inputs, labels) and [inputs] are short for a mapping; a key that is None is absent. What is not a
tensor stays what it is.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

IGNORE = -100  # the label of a position that has none, as in torch.nn.functional.cross_entropy
NOT_FOR_THE_MODEL: tuple[str, ...] = ("labels", "soft_labels", "mask", "index", "prompt")
NOT_FOR_THE_MODEL += ("augmented", "on_policy", "_valid", "_idle", "_right_padded")
TENSORS = ("labels", "soft_labels", "mask", "positions")


def as_batch(batch: Any) -> dict[str, Any]:
    """A batch as a mapping. Raises ValueError for what is none, with what it is."""
    if isinstance(batch, Tensor):
        return {"inputs": batch}
    if isinstance(batch, (tuple, list)) and 1 <= len(batch) <= 2:
        return as_batch(dict(zip(("inputs", "labels"), batch, strict=False)))
    if isinstance(batch, (tuple, list)):
        kinds = ", ".join(type(part).__name__ for part in batch)
        raise ValueError(
            f"a batch is (inputs, labels) or a mapping, got {len(batch)} things ({kinds}): name "
            'them, {"inputs": ..., "labels": ..., "index": ...}'
        )
    if not hasattr(batch, "items"):
        raise ValueError(f"a batch is (inputs, labels) or a mapping, got {type(batch).__name__}")
    named = {key: value for key, value in batch.items() if value is not None}
    for key in TENSORS:
        if key in named and not isinstance(named[key], Tensor):
            raise ValueError(
                f"a batch's {key} are a tensor, got {type(named[key]).__name__}: torch.as_tensor"
            )
    return named


def to_device(batch: Any, device: torch.device) -> dict[str, Any]:
    """A batch as a mapping, its tensors on `device`; copies to a GPU are pinned and not waited for.

    "index" stays where it is: the CPU looks rows up by it, and fetching it back would wait for the
    GPU. For the same reason an attention_mask is looked at here: "_right_padded" is that mask, if
    no real token comes after padding. Raises ValueError for anything that is no batch.
    """
    named = as_batch(batch)
    on = {key: x if key == "index" else moved(x, device) for key, x in named.items()}
    mask = named.get("attention_mask")
    if isinstance(mask, Tensor) and mask.dim() == 2 and mask.device.type == "cpu":
        real = as_bools(mask, "attention_mask")
        if not bool((real[:, 1:] & ~real[:, :-1]).any()):
            on["_right_padded"] = on["attention_mask"]
    return on


def moved(value: Any, device: torch.device) -> Any:
    """A tensor, or a tuple of them, on `device`, copied there without waiting; else as it is."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(part, device) for part in value))
    if not isinstance(value, Tensor) or value.device == device:
        return value
    if device.type == "cuda" and value.device.type == "cpu":
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


def arguments(batch: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What to call a model with: positional and named arguments.

    Raises ValueError for a batch that has nothing for a model.
    """
    if "inputs" in batch:
        return [batch["inputs"]], {}
    named = {key: value for key, value in batch.items() if key not in NOT_FOR_THE_MODEL}
    if not named.keys() - {"positions"}:
        raise ValueError(f"the batch has nothing to call a model with: its keys are {list(batch)}")
    return [], named


def class_labels(batch: Mapping[str, Any]) -> Tensor | None:
    """Class indices (...), None where the batch has none (or shares in their place)."""
    labels = batch.get("labels")
    if labels is None or labels.is_floating_point():
        return None
    return labels.long()  # as bytes, class 156 would be -100


def valid(batch: Mapping[str, Any]) -> Tensor:
    """Which positions count: neither masked nor labelled -100. bool, (...).

    Raises ValueError for a mask of another shape than the labels, or of other numbers than 0 and 1.
    """
    if "_valid" in batch:  # a step works it out once
        return batch["_valid"]
    labels = class_labels(batch)
    labelled = None if labels is None else labels != IGNORE
    if "mask" in batch:
        mask = as_bools(batch["mask"], "mask")
        if labelled is not None and labelled.shape != mask.shape:
            raise ValueError(
                f"mask {tuple(mask.shape)} and labels {tuple(labelled.shape)} are of different "
                "positions: a mask is True where a position counts"
            )
        return mask if labelled is None else mask & labelled
    if labelled is not None:
        return labelled
    for key in ("soft_labels", "labels"):
        if key in batch:  # numbers (B,), or shares (..., C)
            where = batch[key].shape[: max(1, batch[key].dim() - 1)]
            return torch.ones(where, dtype=torch.bool, device=batch[key].device)
    return samples(batch)


def as_bools(mask: Tensor, name: str) -> Tensor:
    """A mask of 0 and 1, or of bools, as bools.

    Raises ValueError for other numbers: additive masks (0 and -inf) mean the opposite, and rows
    numbered 1, 2, 3 (packing) would all count. On a GPU, where looking would wait, nobody looks.
    """
    if mask.device.type == "cpu" and mask.dtype != torch.bool:
        odd = mask[(mask != 0) & (mask != 1)]
        if odd.numel():
            raise ValueError(
                f"{name} holds {odd[0].item()}: it is 1 for what is real or counts, and 0 "
                "elsewhere. Additive masks (0 and -inf) mean the opposite, and texts packed into "
                "one row, numbered 1, 2, 3, would see each other"
            )
    return mask.bool()


def samples(batch: Mapping[str, Any]) -> Tensor:
    """True for each sample of a batch, shape (B,). Raises ValueError for one without a tensor."""
    first = next((x for x in batch.values() if isinstance(x, Tensor) and x.dim()), None)
    if first is None:
        raise ValueError(f"the batch holds no tensor: its keys are {list(batch)}")
    return torch.ones(first.shape[0], dtype=torch.bool, device=first.device)


def blank(x: Tensor, where: Tensor) -> Tensor:
    """x with zeros at the positions that do not count.

    0 * NaN is NaN: what stands at such a position, and its gradient, has to go before anything is
    computed from it. x: (..., *rest), where: (...), True where a position counts.
    """
    rest = (1,) * (x.dim() - where.dim())
    return x.masked_fill(~where.view(*where.shape, *rest), 0.0)


def next_token_labels(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch of Hugging Face's causal models as one of ours: each label moved to its predictor.

    There "labels" are the input_ids themselves, -100 where nothing counts, and the model moves them
    by one inside its own loss. Here a label stands where the logits stand that must predict it:

        labels[b, t] <- labels[b, t + 1], the last column -100

    Raises ValueError for labels that are not (B, T).

    As it comes: [next_token_labels(b) for b in loader]. For a DataLoader:
    collate_fn=lambda rows: next_token_labels(collator(rows)).
    """
    labels = batch["labels"]
    if labels.dim() != 2:
        raise ValueError(f"labels of a causal model are (B, T), got {tuple(labels.shape)}")
    last = labels.new_full((len(labels), 1), IGNORE)
    moved_on = {"labels": torch.cat([labels[:, 1:], last], 1)}
    if "mask" in batch:  # what counts goes with its label
        mask = as_bools(batch["mask"], "mask")
        moved_on["mask"] = torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], 1)
    return {**batch, **moved_on}


def refuse_unshifted(batch: Mapping[str, Any]) -> None:
    """Raises ValueError where labels are the input_ids themselves: a causal model would copy."""
    ids, labels = batch.get("input_ids", batch.get("inputs")), class_labels(batch)
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.dim() != 2:
        return
    if labels is None or ids.shape != labels.shape:
        return
    labelled = labels != IGNORE
    if labelled.sum() > 1 and bool(((ids == labels) | ~labelled).all()):
        raise ValueError(
            "every label is the input token at its own position, so the model would learn to copy "
            "it. Labels stand where they are predicted: tinykd.next_token_labels(batch) moves them "
            "(as Hugging Face's causal models do inside their loss)"
        )


def not_finite(batch: Mapping[str, Any]) -> list[str]:
    """In words, where the tensors of a batch hold NaN or an infinite number first."""
    found = []
    for key, x in batch.items():
        if isinstance(x, Tensor) and x.is_floating_point() and not bool(x.isfinite().all()):
            place = (~x.isfinite()).nonzero()[0].tolist()
            found.append(f"the batch's own {key} are {x[tuple(place)].item()} at {place}")
    return found


def digest(batch: Any, before: int = 0) -> int:
    """A number that tells this batch from another: CRC-32 over up to 256 values a tensor.

    Not cryptographic, and cheap enough for every step: a resumed run compares it.
    """
    for name, value in as_batch(batch).items():
        before = zlib.crc32(f"{name}{getattr(value, 'shape', value)}".encode(), before)
        if isinstance(value, Tensor) and value.numel():
            flat = value.detach().reshape(-1)
            part = flat[:: max(1, len(flat) // 256)].cpu()
            before = zlib.crc32(part.contiguous().view(torch.uint8).numpy().data, before)
    return before

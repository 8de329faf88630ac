"""Look inside a model: activations of any layer, by its dotted name, for the length of a `with`."""

import difflib
from collections.abc import Callable, Iterable
from types import TracebackType

from torch import Tensor, nn


class Capture:
    """Outputs of the named layers, held while the block lasts.

        with Capture(model, ["blocks.2"]) as acts:
            model(x)
            acts["blocks.2"]        # (B, ...), with its graph: gradients flow through it

    A layer that runs several times leaves its last output; one that returns a tuple leaves the
    first entry. When the block ends every hook is removed and every activation let go, also after
    an error. Raises TypeError for a bare string, KeyError for an unknown layer (naming the nearest
    ones) and for a layer that has not run yet.
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        if isinstance(names, str):
            raise TypeError(f"layer names come as a list: Capture(model, [{names!r}])")
        self.layers = {name: _layer(model, name) for name in names}
        self._outputs: dict[str, Tensor] = {}
        self._hooks: list = []

    def __enter__(self) -> "Capture":
        for name, layer in self.layers.items():
            self._hooks.append(layer.register_forward_hook(self._keeper(name)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._hooks:
            self._hooks.pop().remove()
        self._outputs.clear()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._outputs:
            state = "has not run inside this block" if name in self.layers else "is not captured"
            if name in self.layers and not self._hooks:
                state = "is held while the block lasts: read it there"
            raise KeyError(f"layer {name!r} {state}; captured so far: {list(self._outputs)}")
        return self._outputs[name]

    def __len__(self) -> int:
        return len(self._outputs)

    def _keeper(self, name: str) -> Callable[..., None]:
        def keep(layer: nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if not isinstance(first, Tensor):
                raise TypeError(
                    f"layer {name!r} returns a {type(first).__name__}: capture one inside it that "
                    "returns a tensor"
                )
            # A copy: what comes next may write into the same memory (ReLU(inplace=True)).
            self._outputs[name] = first.clone()

        return keep


def _layer(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:
        known = [known for known, _ in model.named_modules()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        raise KeyError(f"no layer {name!r} in {type(model).__name__}; nearest: {near}") from None

"""A model as an ONNX file, integers written as integers, and ONNX Runtime to run it.

Needs the extra `compress`: pip install 'tinykd[compress]'. Nothing of it is imported before a
function is called.
"""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.call import pieces
from .prune import make_permanent
from .quantize import Quantized, Rounded, signed


def to_onnx(model: nn.Module, inputs: Tensor, path: str | Path) -> Path:
    """Write a model as one ONNX file that takes (N, ...) inputs and gives logits; returns its path.

    inputs: a few samples, for their shape. A model from `quantized` must have 8 bits: its weights
    are written as int8 with a scale for each channel, its biases as int32, and what flows between
    layers passes QuantizeLinear and DequantizeLinear, which a runtime turns into integer layers.
    Raises ValueError for other bits, ImportError without the packages.
    """
    import onnx

    plain, scales = _for_export(model)
    path = Path(path)
    with _quiet():
        torch.onnx.export(
            plain,
            (inputs[:2],),
            path,
            input_names=["inputs"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            custom_translation_table=_translation() if scales else None,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    exported = onnx.load(path)
    if scales:
        write_integers(exported, scales)
    for node in exported.graph.node:  # where in the source it came from: kilobytes
        node.ClearField("metadata_props")
    exported.graph.ClearField("value_info")
    onnx.checker.check_model(exported)
    onnx.save(exported, path)
    return path


def write_integers(exported: Any, scales: dict[str, np.ndarray]) -> None:
    """Put whole numbers into an ONNX model, in place: weights as int8, biases as int32.

    scales: for the name of a weight, one scale for each output channel (out,). A weight W becomes
    DequantizeLinear(round(W / scale)); its bias b, with the scale of what the layer is fed with,
    DequantizeLinear(round(b / (input scale * scale))): in those units the layer adds up.
    """
    from onnx import helper, numpy_helper

    graph = exported.graph
    stored = {one.name: one for one in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}

    def integers(name: str, real: np.ndarray, scale: np.ndarray, kind: type) -> str:
        """Store an array as integers of `kind`; the name of what makes it real again."""
        per_channel = scale.reshape(-1, *[1] * (real.ndim - 1))
        info = np.iinfo(kind)
        whole = np.rint(real / per_channel).clip(info.min, info.max).astype(kind)
        parts = {
            "_q": whole,
            "_scale": scale.astype(np.float32),
            "_zero": np.zeros(len(scale), kind),
        }
        for suffix, array in parts.items():  # the zeros: without them ONNX Runtime leaves Gemm real
            graph.initializer.append(numpy_helper.from_array(array, name + suffix))
        named = [name + suffix for suffix in parts]
        node = helper.make_node("DequantizeLinear", named, [name + "_dq"], axis=0)
        graph.node.insert(0, node)
        graph.initializer.remove(stored[name])
        return name + "_dq"

    for node in [node for node in graph.node if len(node.input) > 1 and node.input[1] in scales]:
        source, weight, *bias = node.input
        scale = scales[weight].astype(np.float64)
        node.input[1] = integers(weight, numpy_helper.to_array(stored[weight]), scale, np.int8)
        if bias:
            fed = numpy_helper.to_array(stored[makers[source].input[1]]).astype(np.float64)
            real = numpy_helper.to_array(stored[bias[0]])
            node.input[2] = integers(bias[0], real, fed * scale, np.int32)


def onnx_session(path: str | Path, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU with so many threads, that says nothing but errors."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def predict_onnx(path: str | Path, inputs: Tensor, batch_size: int = 1000) -> Tensor:
    """Logits (N, C) of an ONNX file for all inputs (N, ...), as `tinykd.predict` of a module."""
    session = onnx_session(path)
    batches = [batch["inputs"].numpy() for batch in pieces(inputs, batch_size)]
    return torch.cat([torch.from_numpy(session.run(None, {"inputs": x})[0]) for x in batches])


# ------------------------------------------------------------ what the exporter is given


@torch.library.custom_op("tinykd::through_int8", mutates_args=())
def through_int8(x: Tensor, scale: float, zero: int) -> Tensor:
    """x through 8-bit integers and back; in ONNX a QuantizeLinear and a DequantizeLinear."""
    low, high = signed(8)
    return ((torch.round(x / scale) + zero).clamp(low, high) - zero) * scale


@through_int8.register_fake
def _(x: Tensor, scale: float, zero: int) -> Tensor:
    return torch.empty_like(x)


def _translation() -> dict:
    from onnx import helper
    from onnxscript import opset18

    op: Any = opset18

    def quantize_and_back(x: Any, scale: float, zero: int) -> Any:
        """`through_int8` in the words of ONNX."""
        s = op.Constant(value_float=scale)
        z = op.Constant(value=helper.make_tensor("zero", 3, [], [zero]))  # 3: int8
        return op.DequantizeLinear(op.QuantizeLinear(x, s, z), s, z)

    return {torch.ops.tinykd.through_int8.default: quantize_and_back}


class _Through(nn.Module):
    """`through_int8` as a layer, with the scale and zero that were learned."""

    def __init__(self, rounded: Rounded) -> None:
        super().__init__()
        self.scale, self.zero = float(rounded.log_scale.exp()), rounded.zero

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.tinykd.through_int8(x, self.scale, self.zero)


@torch.no_grad()
def _for_export(model: nn.Module) -> tuple[nn.Module, dict[str, np.ndarray]]:
    """A copy of plain layers and `_Through`, and the scales (out,) of its weights by name."""
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    make_permanent(model)
    scales = {}
    for name, module in list(model.named_modules()):
        if isinstance(module, (Quantized, Rounded)) and module.bits != 8:
            raise ValueError(f"integers of 8 bits can be written, {name} has {module.bits}")
        if isinstance(module, Quantized):
            scales[f"{name}.1.weight"] = module.log_scale.exp().flatten().numpy()
            module.layer.weight = nn.Parameter(module.weight(), requires_grad=False)
            _put(model, name, nn.Sequential(_Through(module.input), module.layer))
        elif isinstance(module, Rounded) and not name.endswith(".input"):
            _put(model, name, _Through(module))
    return model, scales


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints steps, warns about its own insides and logs what is not installed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

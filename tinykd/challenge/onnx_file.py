"""A network that somebody hands in as one small ONNX file: looked at before it is run.

What it may be is narrow on purpose: one graph of ordinary operations, with all its numbers in the
file, whose every intermediate size is known beforehand. Nothing here runs the file.
Needs the extra `compress`: pip install 'tinykd[compress]'.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

BATCH = 100  # inputs at a time
MAX_NODES = 400
MAX_VALUES, ALL_VALUES, MAX_WORK = 4_000_000, 100_000_000, 4_000_000_000  # of one batch
MAX_RANK, OPSETS = 6, range(13, 22)
# What a feed-forward network is made of. No loops, no branches, no recurrence, no random numbers,
# nothing that makes a large tensor of a small one without reading it (Expand, Tile, Resize, Pad),
# nothing that measures a whole batch (DynamicQuantizeLinear).
ALLOWED = """
Add Sub Mul Div Neg Abs Sqrt Reciprocal Exp Log Erf Pow Min Max Clip Where Equal Greater Less
Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Tanh Softplus Gelu Mish
Softmax LogSoftmax MatMul Gemm Conv AveragePool MaxPool GlobalAveragePool GlobalMaxPool
BatchNormalization LayerNormalization InstanceNormalization GroupNormalization
ReduceMean ReduceSum ReduceMax ReduceMin ReduceL2 Flatten Reshape Transpose Squeeze Unsqueeze
Concat Slice Gather Identity Cast Constant Shape Dropout
QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger
BitShift Mod Floor Round
"""


class Refused(ValueError):
    """The file is not what may be handed in; the text says why and what to do."""


def inspect(
    data: bytes, shape: Sequence[int] = (1, 28, 28), classes: int = 10, kind: str = "float32"
) -> Any:
    """The ONNX model in `data`, if it takes (N, *shape) of `kind` and gives (N, classes) floats.

    kind: "float32" or "int64", for token ids. It may have one input and one output of any names, N
    left open. Raises Refused, in words, for anything else, for operations outside ALLOWED, numbers
    that lie in other files, and graphs too large to run; ImportError without the packages.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception:
        raise Refused("it is not an ONNX file (or a damaged one)") from None
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer:
        raise Refused("it holds functions, training or sparse tensors; export a plain model")
    for one in model.opset_import:
        if one.domain not in ("", "ai.onnx"):
            raise Refused(f"it uses operations of {short(one.domain)}; only ONNX's own are run")
        if one.version not in OPSETS:
            raise Refused(f"its opset is {one.version}; between 13 and {OPSETS[-1]} is run")
    if len(graph.node) > MAX_NODES:
        raise Refused(f"it has {len(graph.node):,} operations; at most {MAX_NODES} are run")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in ALLOWED.split():
            raise Refused(f"it uses the operation {short(node.op_type)}, which is not run here")
        kinds = {one.type for one in node.attribute}
        if kinds & {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}:
            raise Refused("it holds a graph inside an operation: loops and branches are not run")
        if kinds & {onnx.AttributeProto.SPARSE_TENSOR, onnx.AttributeProto.SPARSE_TENSORS}:
            raise Refused("it holds a sparse tensor; store a plain one")
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise Refused(
                "some of its numbers lie in another file (external_data=False keeps them)"
            )
        if len(tensor.dims) > MAX_RANK or math.prod(tensor.dims) > len(data) * 8:
            raise Refused("it holds a tensor that says to be larger than the file")
    _check_ends(model, tuple(shape), classes, kind)
    _check_work(model, onnx)
    return model


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor that the file holds."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_ends(model: Any, shape: tuple[int, ...], classes: int, kind: str) -> None:
    """One input (N, *shape) of this kind, one output (N, classes) of floats, N not a number."""
    stored = {one.name for one in model.graph.initializer}
    ends = {
        "input": [one for one in model.graph.input if one.name not in stored],
        "output": list(model.graph.output),
    }
    wanted = {"input": (shape, kind), "output": ((classes,), "float32")}
    for end, values in ends.items():
        if len(values) != 1:
            raise Refused(f"it has {len(values)} {end}s; one is asked for")
        (sizes, numbers), tensor = wanted[end], values[0].type.tensor_type
        if tensor.elem_type != {"float32": 1, "int64": 7}[numbers]:
            raise Refused(f"its {end} is not of the type {numbers}")
        first, *rest = tensor.shape.dim or [None]
        if first is None or first.HasField("dim_value"):
            raise Refused(
                f"its {end} has a fixed batch; leave the first size open (dynamic_shapes)"
            )
        found = tuple(one.dim_value if one.HasField("dim_value") else "?" for one in rest)
        if found != sizes:
            said = ", ".join(map(str, ("N", *found))), ", ".join(map(str, ("N", *sizes)))
            raise Refused(f"its {end} is ({said[0]}), and ({said[1]}) is asked for")


def _check_work(model: Any, onnx: Any) -> None:
    """Raises Refused unless the size of everything that flows is known, and not too large."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.ClearField("value_info")  # what the file says of itself does not count
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = BATCH
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(
            fixed, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        raise Refused(f"its sizes do not fit together: {short(error, 150)}") from None
    sizes = {one.name: tuple(one.dims) for one in inferred.graph.initializer}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            sizes[value.name] = tuple(d.dim_value for d in dims)
    values = work = 0
    for node in inferred.graph.node:
        for name in node.output:
            if name and name not in sizes:
                raise Refused(f"the size of what {node.op_type} gives cannot be known beforehand")
        if not all(name in sizes for name in node.input if name):
            raise Refused(f"{node.op_type} is fed with something that nothing gives")
        made = max((math.prod(sizes[name]) for name in node.output if name), default=0)
        read = sum(math.prod(sizes[name]) for name in node.input if name)
        values, work = values + made, work + max(read, made * _products(node, sizes))
        if values > ALL_VALUES or made > MAX_VALUES or work > MAX_WORK:
            raise Refused(
                f"of an input it computes more than {MAX_VALUES // BATCH:,} numbers at a place, "
                f"{ALL_VALUES // BATCH:,} in all or {MAX_WORK // BATCH:,} products: make it smaller"
            )


def _products(node: Any, sizes: dict[str, tuple[int, ...]]) -> int:
    """How many products one number of its output costs; 1 for operations without products."""
    attributes = {one.name: list(one.ints) for one in node.attribute}
    of = [sizes.get(name, ()) for name in node.input]
    if node.op_type in ("Conv", "ConvInteger"):
        return math.prod(of[1][1:])
    if node.op_type == "QLinearConv":
        return math.prod(of[3][1:])
    if node.op_type in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return of[0][-1] if of[0] else 1
    if node.op_type == "Gemm":
        return max(of[0])
    if "kernel_shape" in attributes:
        return math.prod(attributes["kernel_shape"])
    return 1


def short(words: Any, length: int = 40) -> str:
    """Words of a file or of an error on one line."""
    return "".join(char for char in " ".join(str(words).split()) if char.isprintable())[:length]

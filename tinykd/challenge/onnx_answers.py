"""What a file that was handed in answers: each input is asked alone, then again among others.

Needs the extra `compress`: pip install 'tinykd[compress]'.
"""

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .onnx_file import BATCH, Refused, inspect, short

SAMPLE, FEW = BATCH, 7  # inputs that are asked again, at most; the smaller batches
NEAR, STRAY = 1e-3, 0.01  # of the largest logit; the share of inputs that may lie farther apart


def answers(data: bytes, inputs: Tensor, classes: int = 10) -> Tensor:
    """Logits (N, classes) that the file gives for inputs (N, ...), floats or token ids.

    The file is looked at first (`inspect`), and run by ONNX Runtime on one thread, its graph as it
    is. Each input is asked by itself, and these answers count. A sample of 100, in another
    order, is asked twice more: in one batch, and in batches of 7. Answers to one input are the same
    where no number differs by more than 0.001 (1 + the largest). A sum in another order may turn a
    rounding to 8 bits over, so 1 input in 100 may differ. Raises Refused where more do, as from a
    file that looks at the other inputs or draws numbers, and where it may not be run, fails, or
    gives what is not finite.
    """
    kind = "int64" if inputs.dtype == torch.int64 else "float32"
    inspect(data, inputs.shape[1:], classes, kind)
    session, count = _session(data), len(inputs)
    alone = _run(session, inputs, 1)
    if alone.shape != (count, classes):
        raise Refused(f"it gives {tuple(alone.shape)}, not {(count, classes)}")
    if not alone.isfinite().all():
        raise Refused("some of its logits are not finite (NaN or infinity)")
    some = torch.from_numpy(np.random.default_rng(count).permutation(count)[:SAMPLE])
    wanted = alone[some]
    for size in (BATCH, FEW):
        among = _run(session, inputs[some], size)
        if among.shape != wanted.shape:
            raise Refused(f"it gives {tuple(among.shape)} in batches of {size}")
        near = (among - wanted).abs().amax(1) <= NEAR * (1 + wanted.abs().amax(1))
        if (share := 1 - near.float().mean().item()) > STRAY:
            raise Refused(
                f"{share:.0%} of its answers are others in batches of {size} than one at a time: "
                "an answer may not depend on the rest of a batch, nor on chance"
            )
    return alone


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Refused(f"ONNX Runtime cannot open it: {_cause(error)}") from None


def _run(session: Any, inputs: Tensor, size: int) -> Tensor:
    """Logits, so many inputs at a time."""
    name = session.get_inputs()[0].name
    try:
        found = [session.run(None, {name: part.numpy()})[0] for part in inputs.split(size)]
        return torch.from_numpy(np.concatenate(found))
    except Exception as error:
        raise Refused(f"ONNX Runtime cannot run it: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    """What ONNX Runtime says, without the status and the place, which come first and are long."""
    return short(re.split(r"Status Message: |\] : \d+ : ", str(error))[-1], 150)

"""Smaller and faster models: pruning, whole numbers, ONNX files, and a report on all of them.

Exporting and reporting need the extra `compress` (pip install 'tinykd[compress]'); pruning and
quantisation need torch alone.
"""

from .batch_norm import fold_batch_norm, folded
from .export import onnx_session, predict_onnx, to_onnx, write_integers
from .importance import importance, loss_without
from .prune import (
    GradualPruning,
    cubic,
    cut_units,
    magnitude_masks,
    make_permanent,
    prune_weights,
    slimmer,
    sparsity,
    unit_norms,
)
from .prune_transformer import cut_transformer
from .quantize import (
    Quantized,
    Rounded,
    fake_quantize,
    quantize,
    quantized,
    scale_and_zero,
    weight_scale,
)
from .report import Report, report

__all__ = [
    "GradualPruning",
    "Quantized",
    "Report",
    "Rounded",
    "cubic",
    "cut_transformer",
    "cut_units",
    "fake_quantize",
    "fold_batch_norm",
    "folded",
    "importance",
    "loss_without",
    "magnitude_masks",
    "make_permanent",
    "onnx_session",
    "predict_onnx",
    "prune_weights",
    "quantize",
    "quantized",
    "report",
    "scale_and_zero",
    "slimmer",
    "sparsity",
    "to_onnx",
    "unit_norms",
    "weight_scale",
    "write_integers",
]

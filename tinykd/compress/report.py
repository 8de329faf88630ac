"""What users want to know of small models, in one table: size, work, time, memory, quality.

    found = report({"teacher": teacher, "student": student}, (test_images, test_labels))
    print(found.table())
    found.csv("models.csv")
    found.picture()

Needs the extra `compress`: every model is run by ONNX Runtime, as it would be on a device.
"""

import csv
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..metrics import accuracy, calibration_error, wilson
from ..models import frozen
from .export import onnx_session, predict_onnx, to_onnx
from .peak_memory import peak_memory
from .quantize import Quantized, Rounded

# key, heading, how a value is shown
COLUMNS: list[tuple[str, str, Callable[[float], str]]] = [
    ("parameters", "parameters", lambda v: f"{v:,.0f}"),
    ("flops", "MFLOPs", lambda v: f"{v / 1e6:.3g}"),
    ("bytes", "kB", lambda v: f"{v / 1e3:,.0f}"),
    ("memory", "peak MB", lambda v: f"{v / 1e6:.1f}"),
    ("ms_1", "ms, 1", lambda v: f"{v:.3f}"),
    ("ms_1_p95", "p95", lambda v: f"{v:.3f}"),
    ("ms_64", "ms, 64", lambda v: f"{v:.2f}"),
    ("ms_64_p95", "p95", lambda v: f"{v:.2f}"),
    ("accuracy", "% right", lambda v: f"{100 * v:.2f}"),
    ("ece", "ECE %", lambda v: f"{100 * v:.2f}"),
]


def report(
    models: Mapping[str, nn.Module | str | Path],
    data: tuple[Tensor, Tensor],
    *,
    threads: int = 1,
    rounds: int = 200,
    folder: str | Path | None = None,
) -> "Report":
    """Measure models on labelled data (inputs (N, ...), labels (N,)).

    models: by name, a module, which is exported (8-bit integers if it comes from `quantized`), or
    an ONNX file that is there already, of which parameters and FLOPs stay unknown (NaN).
    rounds: how often each model is timed, in turn with the others. folder: where the files go.

    A row for each model:
        parameters   what the layers compute with: weights and biases, not the scales of integers
        flops        of one sample, a multiplication and an addition being two (torch's counter): of
                     matrix products and convolutions; norms, activations and pooling count as none,
                     and are seen in the milliseconds alone
        bytes        of the ONNX file
        memory       peak growth of a process that opens the file and runs a batch of 64
        ms_1, ms_64  median milliseconds of a batch of 1 and of 64, and _p95: 95% are faster
        accuracy     share right, and accuracy_low, accuracy_high: Wilson's 95% interval
        ece          expected calibration error
    """
    inputs, labels = data
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        files = {
            name: to_onnx(model, inputs, place / f"{name.replace('/', ' ')}.onnx")
            if isinstance(model, nn.Module)
            else Path(model)
            for name, model in models.items()
        }
        rows: list[dict[str, Any]] = [
            {"model": name, **_measured(models[name], file, inputs, labels)}
            for name, file in files.items()
        ]
        for batch in (1, 64):
            times = latency(
                files.values(), inputs[:1].expand(batch, *inputs.shape[1:]), threads, rounds
            )
            for row, each in zip(rows, times, strict=True):
                row[f"ms_{batch}"], row[f"ms_{batch}_p95"] = np.percentile(each, [50, 95]).tolist()
    return Report(rows, threads, rounds)


def _measured(
    model: nn.Module | str | Path, file: Path, inputs: Tensor, labels: Tensor
) -> dict[str, float]:
    """All of a model's row but its times."""
    logits = predict_onnx(file, inputs, 500)
    right = accuracy(logits, labels)
    low, high = wilson(round(right * len(labels)), len(labels))
    module = model if isinstance(model, nn.Module) else None
    return {
        "parameters": parameters(module) if module else math.nan,
        "flops": flops(module, inputs[:1]) if module else math.nan,
        "bytes": file.stat().st_size,
        "memory": peak_memory(file, (64, *inputs.shape[1:])),
        "accuracy": right,
        "accuracy_low": low,
        "accuracy_high": high,
        "ece": calibration_error(logits, labels),
    }


class Report:
    """Rows of measurements, one a model: as a table, as CSV, as a picture, and who wins."""

    def __init__(self, rows: Sequence[dict[str, Any]], threads: int = 1, rounds: int = 0) -> None:
        self.rows, self.threads, self.rounds = list(rows), threads, rounds

    def __getitem__(self, model: str) -> dict[str, Any]:
        for row in self.rows:
            if row["model"] == model:
                return row
        raise KeyError(f"no model {model!r} in the report: {[row['model'] for row in self.rows]}")

    def table(self) -> str:
        """The rows as text; times are medians and 95th percentiles."""
        cells = [["", *(heading for _, heading, _ in COLUMNS)]]
        for row in self.rows:
            shown = [row["model"]]
            for key, _, show in COLUMNS:
                value = row.get(key, math.nan)
                shown.append("-" if math.isnan(value) else show(value))
            cells.append(shown)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            " ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in cells
        ]
        count = f"{self.threads} thread" + "s" * (self.threads != 1)
        lines.append(f"ONNX Runtime, {count}, {self.rounds} timings each, in turn")
        return "\n".join(lines)

    def csv(self, path: str | Path) -> None:
        """Write the rows, unrounded, with their keys as heading."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    def frontier(self, cost: str = "ms_1") -> list[str]:
        """Models that no other one beats: none is cheaper and at least as often right, or as cheap
        and more often right. By rising cost."""
        best, found = -math.inf, []
        for row in sorted(self.rows, key=lambda row: (row[cost], -row["accuracy"])):
            if row["accuracy"] > best:
                best = row["accuracy"]
                found.append(row["model"])
        return found

    def cheapest(self, accuracy: float, cost: str = "ms_1") -> str | None:
        """At equal accuracy: the cheapest model right at least so often; None if none is."""
        able = [row for row in self.rows if row["accuracy"] >= accuracy]
        return min(able, key=lambda row: row[cost])["model"] if able else None

    def most_accurate(self, limit: float, cost: str = "ms_1") -> str | None:
        """At equal cost: the model most often right of those within the limit; None if none is."""
        able = [row for row in self.rows if row[cost] <= limit]
        return max(able, key=lambda row: row["accuracy"])["model"] if able else None

    def picture(self, cost: str = "ms_1", label: str = "milliseconds, batch of 1") -> Any:
        """Accuracy against a cost, with the frontier as a line; returns the axes."""
        from matplotlib.ticker import LogLocator

        from .. import plots

        axes = plots._axes((7, 4))
        edge = [self[name] for name in self.frontier(cost)]
        axes.plot([r[cost] for r in edge], [100 * r["accuracy"] for r in edge], "--", color="gray")
        for n, row in enumerate(self.rows):
            right = [100 * row[key] for key in ("accuracy", "accuracy_low", "accuracy_high")]
            spread = [[right[0] - right[1]], [right[2] - right[0]]]
            axes.errorbar(
                row[cost], right[0], spread, fmt="osD^v"[n // 7 % 5], color=plots.COLORS[n % 7],
                capsize=3, label=row["model"],
            )  # fmt: skip
        axes.set(xscale="log", xlabel=label, ylabel="% right, with 95% interval")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        return axes


def latency(
    files: Iterable[str | Path], inputs: Tensor, threads: int = 1, rounds: int = 200
) -> list[list[float]]:
    """Milliseconds of each of `rounds` runs of each file, the files in turn after 10 warm rounds.

    In turn, so that whatever else the machine does in the meantime falls on all of them alike.
    """
    sessions = [onnx_session(file, threads) for file in files]
    x = {"inputs": np.ascontiguousarray(inputs.numpy())}
    times: list[list[float]] = [[] for _ in sessions]
    for n in range(10 + rounds):
        for session, mine in zip(sessions, times, strict=True):
            start = time.perf_counter()
            session.run(None, x)
            if n >= 10:
                mine.append(1000 * (time.perf_counter() - start))
    return times


def parameters(model: nn.Module) -> int:
    """Numbers that the layers compute with; the scales of integers are not counted."""
    scales = {
        id(module.log_scale)
        for module in model.modules()
        if isinstance(module, (Quantized, Rounded))
    }
    return sum(p.numel() for p in model.parameters() if id(p) not in scales)


def flops(model: nn.Module, inputs: Tensor) -> int:
    """Floating-point operations of a forward pass: of its matrix products and convolutions."""
    with frozen(model), FlopCounterMode(display=False) as counter:
        model(inputs)
    return int(counter.get_total_flops())

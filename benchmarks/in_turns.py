"""What the comparisons share: rivals measured in turn, ratios within a round, and where they go.

Other work may run on the machine, so seconds are those of this process (all its threads), never of
the clock on the wall; a round runs every rival once, the order turning, and what is reported is the
ratio within a round: its median and its quartiles over the rounds. The first round does not count.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from tinykd.files import atomic

# Where the checkout is on the path, its datasets/ would pass for Hugging Face's package.
sys.path[:] = [x for x in sys.path if Path(x).resolve() != Path(__file__).resolve().parents[1]]
if find_spec("torchvision") and torch.version.cuda is None:
    # Its wheels from PyPI are for CUDA, and beside another torch not even importable: what they
    # would register is declared. No benchmark calls it; transformers and torchdistill import it.
    for name in ("roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d"):
        torch.library.define(f"torchvision::{name}", "() -> ()")
        torch.library.define(f"torchvision::_{name}_backward", "() -> ()")
    for name in ("nms", "qnms", "qroi_align"):
        torch.library.define(f"torchvision::{name}", "() -> ()")

RESULTS = Path(__file__).with_name("results.json")
OURS = "tinykd"


def in_turns(rivals: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each rival in each round but the first."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(rounds + 1):
        for name in list(rivals)[:: 1 if turn % 2 else -1]:
            start = time.process_time()
            rivals[name]()
            if turn:
                seconds[name].append(time.process_time() - start)
    return seconds


def rows(seconds: dict[str, list[float]], per: float = 1.0, ours: str = OURS) -> list[dict]:
    """For each rival: median seconds, and how many times ours it takes: median and quartiles.

    per: what the seconds are divided by, such as the steps of a pass.
    """
    found = []
    for name, own in seconds.items():
        ratios = [a / b for a, b in zip(own, seconds[ours], strict=True)]
        low, middle, high = quartiles(ratios)
        row = {"name": name, "seconds": statistics.median(own) / per, "rounds": len(own)}
        found.append(row | {"times_ours": middle, "low": low, "high": high})
    return found


def quartiles(values: list[float]) -> list[float]:
    """The lower one, the median and the upper one."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def show(title: str, found: list[dict]) -> None:
    """A line a rival."""
    for row in found:
        print(
            f"{title}: {row['name']:32} {row['seconds']:.6f} s, {row['times_ours']:.3f} times ours "
            f"({row['low']:.3f} to {row['high']:.3f}, {row['rounds']} rounds)",
            flush=True,
        )


def machine() -> dict[str, Any]:
    """Processor, cores, threads, Python and torch."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.partition(": ")[2] for x in lines if x.startswith("model name")), cpu)
    about = {"processor": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    about |= {"bf16": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())}
    return about | {"python": platform.python_version(), "torch": torch.__version__}


def versions(*packages: str) -> dict[str, str]:
    """Of those that are installed."""
    known = {
        d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()
    }
    return {name: known[name] for name in packages if name in known}


def keep(question: str, found: list[dict], file: Path | None, **settings: Any) -> None:
    """Put the rows of a question into results.json, under "cpu", beside those of the others."""
    if file is None:
        return
    old = json.loads(file.read_text()) if file.exists() else {}
    row = {"machine": machine(), "settings": settings, "rows": found}
    old.setdefault("cpu", {})[question] = row
    with atomic(file) as part:
        part.write_text(json.dumps(old, indent=1) + "\n")

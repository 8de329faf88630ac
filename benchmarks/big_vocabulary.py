"""A loss over a large vocabulary: seconds and peak memory of value and gradient, ours and others'.

    python benchmarks/big_vocabulary.py [--positions 2048] [--device cuda] [--out results.json]

The hidden states of N positions (N, 576) and SmolLM2's head of 49,152 words, of a student and of a
teacher; value, and gradient with respect to the student's hidden states and head. "soft targets" is
KL(p || q) at T = 1 from the teacher's head, "labels" cross-entropy. The methods run in turn,
`--rounds` times, on a CPU each in a process of its own: the medians of seconds (of the processor,
there, so that what else runs matters little), and the most memory that it took beyond its inputs.
Gradients are compared with those of the dense loss in float64 at 64 of the positions. Left out is
what is not installed (`make .venv-peers` installs it): liger-kernel, cut-cross-entropy (on a CPU
its dense way through torch.compile), TRL.

What bounds ours on a CPU: not compiled, passes of float32 arithmetic over the words, as on the
dense path; compiled in bf16, each chunk's share of the head's gradient, added up in float32 so that
its rounding does not grow with the number of chunks (512 positions at a time instead of 256 took
0.9 of the time).
"""

import argparse
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from in_turns import RESULTS, keep, versions
from torch import Tensor
from torch.nn import functional as F

import tinykd
from tinykd import HardLabels, SoftTargets
from tinykd.compress.peak_memory import resident
from tinykd.lm import Chunked, LazyLogits
from tinykd.outputs import Outputs

WIDTH, WORDS = 576, 49_152
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
SOFT, LABELS = "soft targets", "labels"


def dense(hidden: Tensor, head: Tensor, teacher: tuple, labels: Tensor) -> dict[str, Tensor]:
    """As one would write it by hand: all logits, `F.kl_div`, `F.cross_entropy`, float32 inside."""

    def soft() -> Tensor:
        log_q = F.log_softmax((hidden @ head.T).float(), -1)
        with torch.no_grad():
            log_p = F.log_softmax((teacher[0] @ teacher[1].T).float(), -1)
        return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)

    return {SOFT: soft, LABELS: lambda: F.cross_entropy((hidden @ head.T).float(), labels)}


def compiled(*inputs: Any) -> dict[str, Callable]:
    """The dense losses through torch.compile."""
    return {name: torch.compile(f) for name, f in dense(*inputs).items()}


def tinykd_chunked(
    hidden: Tensor, head: Tensor, teacher: tuple, labels: Tensor, **options: Any
) -> dict[str, Callable]:
    """tinykd.lm.Chunked at its default size, as a Trainer calls it."""
    out = Outputs({"labels": labels}, LazyLogits(hidden, head), LazyLogits(*teacher))
    terms = {SOFT: SoftTargets(), LABELS: HardLabels()}
    made = {name: Chunked(term, **options) for name, term in terms.items()}
    return {name: lambda one=one: one(out) for name, one in made.items()}


def tinykd_compiled(*inputs: Any) -> dict[str, Callable]:
    """The same, compiled; on a CPU 256 positions at a time."""
    return tinykd_chunked(*inputs, size=None if inputs[0].is_cuda else 256, compile=True)


def gkd(hidden: Tensor, head: Tensor, teacher: tuple, labels: Tensor) -> dict[str, Callable]:
    """TRL's loss of GKDTrainer, which wants all logits; beta = 0 is the forward KL."""
    try:
        from trl.experimental.gkd import GKDTrainer
    except RuntimeError as broken:  # how TRL says that something it needs is not there
        raise ImportError(str(broken)) from broken

    def soft() -> Tensor:
        with torch.no_grad():
            target = teacher[0] @ teacher[1].T
        return GKDTrainer.generalized_jsd_loss(hidden @ head.T, target, labels=labels, beta=0)

    return {SOFT: soft}


def liger(hidden: Tensor, head: Tensor, teacher: tuple, labels: Tensor) -> dict[str, Callable]:
    """liger-kernel's chunked distillation loss; beta = 0 is the forward KL."""
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    loss = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.0)
    return {SOFT: lambda: loss(hidden, head, teacher[0], teacher[1], labels)}


def cce(hidden: Tensor, head: Tensor, teacher: tuple, labels: Tensor) -> dict[str, Callable]:
    """Apple's cut cross-entropy: its kernels on a GPU (half precision only), else torch.compile."""
    from cut_cross_entropy import linear_cross_entropy

    how = "cce" if hidden.is_cuda and hidden.dtype != torch.float32 else "torch_compile"
    return {LABELS: lambda: linear_cross_entropy(hidden, head, labels, impl=how)}


METHODS = {
    "dense": dense,
    "dense, compiled": compiled,
    "tinykd": tinykd_chunked,
    "tinykd, compiled": tinykd_compiled,
    "liger-kernel": liger,
    "cut-cross-entropy": cce,
    "TRL, GKD": gkd,
}


def inputs(positions: int, dtype: torch.dtype, device: str) -> tuple:
    """Hidden states and heads as of a trained model: a few words stand out."""
    draw = torch.Generator().manual_seed(0)

    def make(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw).to(device, dtype)

    hidden, head = make(positions, WIDTH), make(WORDS, WIDTH) / math.sqrt(WIDTH) * 3
    near = (hidden + make(positions, WIDTH) / 2, head)
    labels = torch.randint(WORDS, (positions,), generator=draw).to(device)
    return hidden.requires_grad_(), head.detach().clone().requires_grad_(), near, labels


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def error(loss: str, made: tuple, method: Callable) -> float:
    """||g - g*|| / ||g*|| of the hidden states' gradient, g* dense in float64, on 64 positions."""
    hidden, head, teacher, labels = made
    few = hidden.detach()[:64].requires_grad_()
    part = few, head, (teacher[0][:64], teacher[1]), labels[:64]
    (ours,) = torch.autograd.grad(method(*part)[loss](), few)
    exact = [x.detach().double() for x in (few, head, *part[2])]
    exact[0].requires_grad_()
    log_q = F.log_softmax(exact[0] @ exact[1].T, -1)
    log_p = F.log_softmax(exact[2] @ exact[3].T, -1)
    value = F.nll_loss(log_q, part[3]) if loss == LABELS else (log_p.exp() * (log_p - log_q)).sum()
    value = value if loss == LABELS else value / len(few)
    (right,) = torch.autograd.grad(value, exact[0])
    return float((ours.double() - right).norm() / right.norm())


def measure(name: str, loss: str, dtype: str, args: argparse.Namespace) -> dict[str, Any]:
    """Of one method: seconds of each repeat, bytes beyond the inputs, error of its gradient."""
    torch.set_num_threads(args.threads)
    made = inputs(args.positions, DTYPES[dtype], args.device)
    try:
        losses = METHODS[name](*made)
    except ImportError as missing:
        return {"skipped": str(missing)}
    if loss not in losses:
        return {"skipped": f"has no loss from {loss}"}

    def once() -> None:
        made[0].grad = made[1].grad = None
        losses[loss]().backward()
        wait(args.device)

    once()  # kernels are chosen or compiled
    made[0].grad = made[1].grad = None
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        once()
        memory = torch.cuda.max_memory_allocated() - before
    else:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far; Linux
        before = resident("VmRSS")
        once()
        memory = resident("VmHWM") - before
    seconds = []
    for _ in range(args.repeats):
        clock = time.perf_counter if args.device == "cuda" else time.process_time
        start = clock()
        once()
        seconds.append(clock() - start)
    wrong = None if name == "dense, compiled" else error(loss, made, METHODS[name])
    return {"seconds": seconds, "bytes": memory, "error": wrong}


def apart(*what: Any) -> dict[str, Any]:
    """`measure` in a process of its own, whose largest size is that of this method alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *what).result()


def main() -> None:
    """Measure all, in turn; print a table."""
    small = tinykd.scale() == "smoke"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", type=int, default=64 if small else 2048)
    parser.add_argument("--rounds", type=int, default=1 if small else 3)
    parser.add_argument("--repeats", type=int, default=1 if small else 3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--dtypes", nargs="*", default=list(DTYPES))
    parser.add_argument("--losses", nargs="*", default=[SOFT, LABELS])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", action="store_true", help="put the numbers into results.json")
    args = parser.parse_args()
    card = torch.cuda.get_device_name() if args.device == "cuda" else f"CPU, {args.threads} threads"
    print(f"{args.positions} positions, {WORDS} words, {card}, torch {torch.__version__}")
    run = measure if small or args.device == "cuda" else apart
    found: dict[tuple, dict] = {}
    for turn in range(args.rounds):
        for dtype in args.dtypes:
            for loss in args.losses:
                for name in args.methods[:: 1 if turn % 2 == 0 else -1]:
                    one = run(name, loss, dtype, args)
                    kept = found.setdefault((dtype, loss, name), one | {"seconds": [], "peaks": []})
                    kept["seconds"] += one.get("seconds", [])
                    kept["peaks"] += [one["bytes"]] if "bytes" in one else []
                    said = one.get("skipped") or f"{1e3 * min(one['seconds']):.1f} ms"
                    print(f"round {turn + 1}  {dtype:8} {loss:12} {name:18} {said}", flush=True)
    rows = []
    for (dtype, loss, name), one in found.items():
        row = {"dtype": dtype, "loss": loss, "method": name}
        if not one["seconds"]:
            print(f"{dtype:8} {loss:12} {name:18} -  ({one.get('skipped')})")
            continue
        row |= {"seconds": statistics.median(one["seconds"]), "runs": one["seconds"]}
        row |= {"bytes": statistics.median(one["peaks"]), "error": one["error"]}
        ratio = row["seconds"] / statistics.median(found[dtype, loss, "tinykd"]["seconds"] or [1])
        off = "" if row["error"] is None else f"gradient off by {row['error']:.1e}"
        print(
            f"{dtype:8} {loss:12} {name:18} {1e3 * row['seconds']:9.1f} ms ({ratio:.2f} of ours)  "
            f"{row['bytes'] / 1e6:7.0f} MB  {off}"
        )
        rows.append(row)
    if args.keep:
        used = versions("liger-kernel", "cut-cross-entropy", "trl", "tinykd")
        keep("big vocabulary", rows, RESULTS, positions=args.positions, versions=used)
    if args.out:
        settings = {"positions": args.positions, "device": card, "torch": torch.__version__}
        args.out.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

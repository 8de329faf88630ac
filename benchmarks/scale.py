"""docs/scale.md: 800,000 chains of thought of a 671B teacher for a 7B student, planned.

    python benchmarks/scale.py             # writes the tables into docs/scale.md
    python benchmarks/scale.py --check     # exit status 1 if docs/scale.md has others
    python benchmarks/scale.py --measure   # unit costs anew, into benchmarks/scale.json; a minute

Unit costs are measured with small models on one processor: medians of rounds, in seconds of the
process, so that what else runs on the machine counts less. Those of a GPU are throughput.py's, in
benchmarks/results.json. The plan is arithmetic on these, on public facts and on assumptions; of
whatever is not known it takes two values, the cheap one and the dear one.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import throughput
import torch
from marked import between

import tinykd

ROOT = Path(__file__).resolve().parents[1]
UNITS, PAGE = ROOT / "benchmarks/scale.json", ROOT / "docs/scale.md"
ROUNDS = 7
WORDS, STUDENT = 129_280, {  # of the teacher; the student's shape
    "vocab": 152_064, "width": 3584, "layers": 28, "heads": 28, "kv_heads": 4, "hidden": 18_944
}  # fmt: skip


class Known(NamedTuple):
    """A number of the plan: cheap and dear, equal where it is known; where it is from."""

    what: str
    cheap: float
    dear: float
    source: str

    @property
    def both(self) -> np.ndarray:
        """(2,), to be computed with."""
        return np.array([self.cheap, self.dear])


SECOND_HAND = "DeepSeek-R1, arXiv 2501.12948v2, supplement, {}; second-hand"
FACTS = {
    "kept": Known("chains that are kept", 804_745, 804_745, SECOND_HAND.format("Table 5")),
    "math": Known("… of them mathematics", 395_285, 395_285, SECOND_HAND.format("Table 5")),
    "code": Known("… of them programs", 211_129, 211_129, SECOND_HAND.format("Table 5")),
    "length": Known("tokens in a chain, mean", 5355.3, 5355.3, SECOND_HAND.format("Table 5")),
    "epochs": Known("epochs of the student", 2, 3, SECOND_HAND.format("B.4.3")),
    "words": Known("tokens in the teacher's vocabulary", WORDS, WORDS, "its config.json"),
    "decoded": Known(
        "tokens a second and GPU, written by the teacher", 22_300 / 8, 22_300 / 5 / 8,
        "SGLang on 12 × 8 H100, inputs of 2,000 tokens, lmsys.org/blog/2025-05-05-large-scale-ep: "
        "22,300 a node, and up to 5 times less by plain tensor parallelism; DeepSeek's own service "
        "said 14,800 a node of H800 (open-infra-index, day 6; second-hand)",
    ),
    "read": Known(
        "tokens a second and GPU, read by the teacher", 52_300 / 8, 52_300 / 5 / 8,
        "the same blog, 52,300 a node; that plain tensor parallelism is 5 times slower here, too, "
        "is an assumption",
    ),
    "sampled": Known("chains sampled for one that is kept", 1.25, 4, "assumption; not told"),
    "programs": Known("seconds to run a program on its tests", 1, 10, "assumption"),
    "characters": Known(
        "bytes of text in a token", 2.5, 4.5, "low: sums in words, below; high: an assumption"
    ),
    "moved": Known(
        "bytes a second out of object storage, all machines together", 1e10, 1e9, "assumption"
    ),
    "gpus": Known("GPUs that train", 64, 64, "chosen"),
}  # fmt: skip


def measure(work: Callable[[], float]) -> dict[str, Any]:
    """Units a second of this process; `work` returns how many it has done."""
    runs = []
    for _ in range(1 + (1 if tinykd.scale() == "smoke" else ROUNDS)):
        start = time.process_time()
        done = work()
        runs.append(float(f"{done / (time.process_time() - start):.4g}"))
    return {"per_second": statistics.median(runs[1:]), "runs": runs[1:]}


def said_by_a_server(k: int, places: int, words: list[str], seed: int = 0) -> str:
    """A response with the k likeliest words of each place, as JSON."""
    rng = np.random.default_rng(seed)
    content = []
    for row in rng.normal(0, 4, (places, k)):
        log_p = np.sort(row - np.log(np.exp(row).sum()))[::-1].round(6)
        top = [
            {"token": words[i], "bytes": list(words[i].encode()), "logprob": float(x)}
            for i, x in zip(rng.choice(len(words), k, replace=False), log_p, strict=True)
        ]
        content.append({**top[0], "top_logprobs": top})
    return json.dumps({"logprobs": {"content": content}})


def target_rows(k: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Writing shards of k words, and reading them back as a run does, its rows recognised."""
    from tinykd.lm import SequenceBatches, TopKShards, finish_shards, keep_served, write_shard
    from tinykd.lm.teachers.served import Served
    from tinykd.lm.topk import TopK

    shards, size, length = (2, 4, 50) if tinykd.scale() == "smoke" else (4, 16, 1000)
    rng = np.random.default_rng(0)
    rows = rng.integers(WORDS, size=(shards * size, length)).tolist()
    examples, answers = [([1], row) for row in rows], []
    for row in rows:
        words = torch.from_numpy(rng.integers(WORDS, size=(length, k)))
        top = TopK(words, torch.randn(length, k + 1).log_softmax(-1), 1.0)
        answers.append(Served(torch.tensor(row), top, torch.zeros(length)))
    data, total = SequenceBatches(examples, size=4), len(rows) * length
    parts = [slice(n * size, (n + 1) * size) for n in range(shards)]
    batches = [SequenceBatches(examples[part], size=4, shuffle=False) for part in parts]

    def write(url: Path) -> float:
        for n, part in enumerate(parts):
            write_shard(url, n, lambda path, n=n, p=part: keep_served(path, answers[p], batches[n]))
        finish_shards(url, len(rows), progress=False)
        return total

    def written() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return write(Path(folder))

    def read() -> float:
        for batch in epoch:
            teacher.targets(batch, [])
        return total

    yield f"target rows written, k = {k}", measure(written)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        teacher, epoch = TopKShards(folder), list(data)
        kept = sum(file.stat().st_size for file in Path(folder).iterdir())
        yield f"target rows read, k = {k}", measure(read) | {"bytes": round(kept / total, 1)}


def texts() -> Iterator[tuple[str, dict[str, Any]]]:
    """Tokenizing, verifying, and reading what a server said."""
    from tinykd.lm import Tokenizer, load_word_problems, read_served, verify, verify_latex
    from tinykd.lm.weights import smollm2_file

    problems, size = load_word_problems(), 20_000  # characters of a chain
    tokenizer = Tokenizer.from_gguf(smollm2_file())
    story = "\n\n".join(f"{p.question}\n{p.solution.replace('####', '=')}" for p in problems[:400])
    chains = [
        f"{story[n * 500 :][:size]}\nSo it is \\boxed{{{p.answer}}}."
        for n, p in enumerate(problems[: 2 if tinykd.scale() == "smoke" else 100])
    ]
    few = list(enumerate(chains[:40], 3))
    tokens = [len(tokenizer.encode(chain)) for chain in chains]

    def encode() -> float:
        return sum(len(tokenizer.encode(chain)) for chain in chains)

    def numbers() -> float:
        assert all(verify(c, p.answer) for c, p in zip(chains, problems, strict=False))
        return len(chains)

    def formulas() -> float:
        assert all(verify_latex(f"{c}\\boxed{{\\frac{{{2 * n}}}{{2}}}}", f"{n}") for n, c in few)
        return len(few)

    spelled = [tokenizer.decode([i]) for i in range(1000, 20_000)]
    places = 20 if tinykd.scale() == "smoke" else 500
    response = said_by_a_server(
        20, places, [w for w in spelled if "\N{REPLACEMENT CHARACTER}" not in w]
    )

    def heard() -> float:
        return len(read_served(json.loads(response), tokenizer).ids)

    each = round(sum(map(len, chains)) / sum(tokens), 2)
    yield "tokens of text tokenized", measure(encode) | {"bytes": each}
    yield "numbers verified, chains of 20,000 characters", measure(numbers)
    yield "formulas verified by math-verify", measure(formulas)
    heard_bytes = round(len(response.encode()) / places)
    yield "tokens of a server's JSON read, k = 20", measure(heard) | {"bytes": heard_bytes}


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """What a step of a small model does of what the processor can, as throughput.py counts it."""
    from tinykd import HardLabels, Trainer
    from tinykd.lm import Config, Transformer

    small = tinykd.scale() == "smoke"
    for width in (32,) if small else (128, 512):
        shape = {
            "vocab": 4096,
            "width": width,
            "layers": 4,
            "heads": width // 32,
            "hidden": 4 * width,
        }
        length, size = (8, 64) if small else (256, 2048)
        model = Transformer(Config(**shape, kv_heads=width // 32, tied=True))
        ids = torch.randint(4096, (4, 8, length + 1))
        batches = [
            {
                "input_ids": x[:, :-1],
                "labels": x[:, 1:].flatten(),
                "positions": torch.arange(8 * length),
            }
            for x in ids
        ]
        trainer = Trainer(model, HardLabels(), device="cpu", progress=False)
        a = torch.randn(size, size)
        rate = measure(lambda a=a: float(bool((a @ a).any())) * 2 * len(a) ** 3)["per_second"]
        found = measure(lambda t=trainer, b=batches, i=ids: t.fit(b) and i[..., 1:].numel())
        per_token = throughput.operations(shape | {"kv_heads": width // 32}, length)
        count = sum(p.numel() for p in model.parameters())
        share = round(found["per_second"] * per_token / rate, 3)
        yield (
            f"tokens trained on, {count / 1e6:.1f}M parameters, float32",
            found | {"share": share, "matrix_rate": rate},
        )


def amount(x: float) -> str:
    """Two digits, in words that can be read."""
    for size, word in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if x >= size:
            return f"{x / size:.2g} {word}" if x < 100 * size else f"{x / size:.0f} {word}"
    return f"{float(f'{x:.2g}'):,.0f}" if x >= 10 else f"{x:.2g}"


def span(both: np.ndarray, unit: str = "") -> str:
    """Cheap to dear."""
    ends = [f"{amount(x)}{unit}" for x in both]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def plan(units: dict[str, dict[str, Any]], gpu: dict[str, Any]) -> Iterator[str]:
    """The tables, line by line."""
    of = {name: fact.both for name, fact in FACTS.items()}
    shares = {row["method"]: row.get("share") for row in gpu["rows"]}
    rate, ours = gpu["settings"]["matrix_rate"], shares["tinykd, compiled"]
    share = np.array([0.45, ours])
    tokens = of["kept"] * of["length"]
    sampled = tokens * of["sampled"]
    work = throughput.operations(STUDENT, round(FACTS["length"].cheap))
    trained = rate * share / work  # tokens a second and GPU
    hour = 3600

    def core(name: str) -> float:
        return units[name]["per_second"]

    yield "| taken as given | | from |"
    yield "|---|---|---|"
    for fact in FACTS.values():
        number = f"{fact.cheap:,.0f}"
        if fact.cheap != fact.dear:
            number = " to ".join(
                amount(x) if x >= 1e6 else f"{float(f'{x:.3g}'):,g}" for x in fact.both
            )
        yield f"| {fact.what} | {number} | {fact.source} |"
    yield (
        f"| matrix products of a GPU, operations a second | {amount(rate)} | measured, "
        f"{gpu['settings']['device']}, bf16 |"
    )
    yield (
        f"| share of them that training reaches | 45% to {ours:.0%} | dear: ours, compiled, on one "
        "GPU, a model of 135M (measured); cheap: an assumption for 7B over many |"
    )
    yield ""
    yield "| measured here, one processor | a second | lowest to highest | bytes each |"
    yield "|---|---|---|---|"
    for name, unit in units.items():
        ends = f"{amount(min(unit['runs']))} to {amount(max(unit['runs']))}"
        note = f"; {unit['share']:.0%} of its matrix rate" if "share" in unit else ""
        yield f"| {name} | {amount(unit['per_second'])}{note} | {ends} | {unit.get('bytes', '')} |"
    yield ""
    kept = {"text": tokens * of["characters"]}
    for k in (20, 64):
        each = units[f"target rows read, k = {k}"]["bytes"]
        kept[f"the {k} likeliest words and a tail"] = tokens * each
    kept["all logits in half precision"] = tokens * of["words"] * 2
    yield f"| the transfer set, {tokens[0] / 1e9:.1f} billion tokens | bytes | hours to move once |"
    yield "|---|---|---|"
    for what, size in kept.items():
        yield f"| {what} | {span(size, 'B')} | {span(size / of['moved'] / hour)} |"
    yield ""
    yield "| step | GPU hours | processor hours |"
    yield "|---|---|---|"
    yield f"| write the chains | {span(sampled / of['decoded'] / hour)} | |"
    heard = tokens / core("tokens of a server's JSON read, k = 20") / hour
    yield f"| … and hear the 20 likeliest words of those kept, as JSON | | {span(heard)} |"
    again = tokens / of["read"] / hour
    yield f"| or let the teacher read those kept, once, for whatever is wanted | {span(again)} | |"
    checked = of["sampled"] * of["math"] / core("formulas verified by math-verify") / hour
    yield f"| verify mathematics, by formulas | | {span(checked)} |"
    run = of["sampled"] * of["code"] * of["programs"] / hour
    yield f"| verify programs, by running them | | {span(run)} |"
    cut = tokens / core("tokens of text tokenized") / hour
    yield f"| tokenize | | {span(cut)} |"
    for k in (20, 64):
        stored = tokens / core(f"target rows written, k = {k}") / hour
        loaded = of["epochs"] * tokens / core(f"target rows read, k = {k}") / hour
        yield f"| write targets, k = {k} | | {span(stored)} |"
        yield f"| read them in all epochs, recognised | | {span(loaded)} |"
    learned = of["epochs"] * tokens / trained / hour
    yield f"| train the student | {span(learned)} | |"
    yield ""
    each = units["target rows read, k = 64"]["bytes"]
    wire = units["tokens of a server's JSON read, k = 20"]["bytes"]
    yield "| side by side | |"
    yield "|---|---|"
    hours = span(learned / of["gpus"])
    yield f"| hours of training, {FACTS['gpus'].cheap} GPUs, all epochs | {hours} |"
    yield f"| tokens a second that one GPU trains on | {span(trained[::-1])} |"
    yield f"| … bytes a second of targets, k = 64 | {span(trained[::-1] * each, 'B')} |"
    able = core("target rows read, k = 64") / trained
    yield f"| GPUs that one processor reads for, k = 64 | {span(able)} |"
    listen = of["decoded"] / core("tokens of a server's JSON read, k = 20")
    yield f"| processors that hear one GPU's JSON, k = 20 | {span(listen[::-1])} |"
    yield f"| JSON of the 20 likeliest words of all that is kept | {span(tokens * wire, 'B')} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--units", type=Path, default=UNITS, help="where measured costs are kept")
    args = parser.parse_args()
    if args.measure:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        units = {}
        for part in (texts(), steps(), target_rows(20), target_rows(64)):
            for name, found in part:
                units[name] = found
                print(f"{name:50} {found['per_second']:12.4g} a second", flush=True)
        settings = {"torch": torch.__version__, "threads": 1, "rounds": ROUNDS}
        args.units.write_text(json.dumps({"settings": settings, "units": units}, indent=1) + "\n")
        return 0
    units = json.loads(args.units.read_text("utf-8"))["units"]
    gpu = json.loads((ROOT / "benchmarks/results.json").read_text("utf-8"))["throughput"]
    return between(PAGE, "<!-- plan -->", "<!-- end of plan -->", plan(units, gpu), args.check)


if __name__ == "__main__":
    raise SystemExit(main())

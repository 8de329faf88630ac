"""What `import tinykd` costs beyond `import torch`, each in a process of its own, in turn.

    python benchmarks/import_time.py [--rounds 9] [--out benchmarks/results.json]

Seconds of the processor, user and system; files are in the machine's cache after the first round.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from in_turns import keep, quartiles

import tinykd

STATEMENTS = {"import torch": "import torch", "tinykd": "import torch, numpy, tinykd"}
STATEMENTS |= {"import torch, numpy": "import torch, numpy"}


def seconds(statement: str) -> float:
    """Processor seconds of a fresh Python that runs the statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1 if tinykd.scale() == "smoke" else 9)
    parser.add_argument("--out", type=Path, help="results.json to put the numbers into")
    args = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for turn in range(args.rounds + 1):
        for name in list(STATEMENTS)[:: 1 if turn % 2 else -1]:
            spent = seconds(STATEMENTS[name])
            if turn:
                found[name].append(spent)
    more = [a - b for a, b in zip(found["tinykd"], found["import torch"], strict=True)]
    low, middle, high = quartiles(more)
    print(f"import tinykd: {middle:.3f} s over import torch ({low:.3f} to {high:.3f})")
    rows = [{"name": n, "seconds": statistics.median(s)} for n, s in found.items()]
    extra = {"name": "tinykd over import torch", "seconds": middle, "low": low, "high": high}
    keep("import", [*rows, extra | {"rounds": len(more)}], args.out)


if __name__ == "__main__":
    main()

"""What `import tinykd` costs beyond `import torch`, each time in a fresh Python.

    python benchmarks/import_time.py [--rounds 9] [--out benchmarks/results.json]

Processor seconds, user and system, within one process: first of `import torch`, then of what
`import tinykd` still has to load. The difference of two processes would be that of two large and
noisy numbers. Files are in the machine's cache after the first round, which does not count.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from in_turns import keep, quartiles

import tinykd

TIMED = """
import time
start = time.process_time()
import torch
between = time.process_time()
import tinykd
print(between - start, time.process_time() - between)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1 if tinykd.scale() == "smoke" else 9)
    parser.add_argument("--out", type=Path, help="results.json to put the numbers into")
    args = parser.parse_args()
    found = []
    for _ in range(args.rounds + 1):
        done = subprocess.run([sys.executable, "-c", TIMED], check=True, capture_output=True)
        found.append([float(seconds) for seconds in done.stdout.split()])
    rows = []
    for name, seconds in zip(
        ("import torch", "import tinykd after it"), zip(*found[1:], strict=True), strict=True
    ):
        low, middle, high = quartiles(list(seconds))
        print(f"{name}: {middle:.3f} s ({low:.3f} to {high:.3f})")
        rows.append({"name": name, "seconds": middle, "low": low, "high": high})
    keep("import", [row | {"rounds": args.rounds} for row in rows], args.out)


if __name__ == "__main__":
    main()

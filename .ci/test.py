"""Run the stages of the tests: `python .ci/test.py [STAGE ...]`, of those in STAGES below.

No name means all of them but "quick", the tests that are not marked slow. It runs on after a
failure, so that one run shows all that is wrong, and closes with the number of tests, summed over
the pytest runs. Exit 1 if any stage failed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# Two processes of one thread: on 2 cores faster than one of two, and no more memory on 64.
# loadfile, because the cells of one notebook share a kernel.
PYTEST = ["pytest", "-q", "-n", "2", "--dist", "loadfile"]
STAGES = {
    "lint": [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]],
    "quick": [[*PYTEST, "-m", "not slow"]],
    "tests": [[*PYTEST, "-m", "not browser"]],
    "browser": [["pytest", "-q", "-rs", "tests/test_browser.py"]],
    "notebooks": [[*PYTEST, "--nbval-lax", "--nbval-cell-timeout=120", "solutions/"]],
    "build": [["tinykd", "build", "--check"]],
}


def run(command: list[str], report: Path, scale: str) -> bool:
    """Run one command of the environment; True if it succeeded. A pytest run writes `report`."""
    print(f"\n== {' '.join(command)}", flush=True)
    extra = [f"--junitxml={report}"] if command[0] == "pytest" else []
    environment = os.environ | {"TINYKD_SCALE": scale, "OMP_NUM_THREADS": "1"}
    # The folder of the environment's commands comes first, as if it had been activated.
    environment["PATH"] = f"{BIN}{os.pathsep}{environment.get('PATH', '')}"
    start = time.monotonic()
    program = shutil.which(command[0], path=BIN)
    assert program, f"{command[0]} is not in {BIN}: run make test, which installs it"
    code = subprocess.run([program, *command[1:], *extra], cwd=ROOT, env=environment).returncode
    print(f"== exit {code} after {time.monotonic() - start:.0f} s", flush=True)
    return code == 0


def count(folder: Path) -> tuple[int, int, int]:
    """Tests passed, failed (errors too) and skipped (expected failures too) in all reports."""
    failed = skipped = total = 0
    for report in folder.glob("*.xml"):
        for suite in ET.parse(report).getroot().iter("testsuite"):
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def main() -> int:
    names = sys.argv[1:] or [name for name in STAGES if name != "quick"]
    broken = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for number, command in enumerate(STAGES[name]):
                scale = "smoke" if name == "notebooks" else "default"
                if not run(command, Path(folder) / f"{name}{number}.xml", scale):
                    broken.append(f"{name} ({command[0]})")
        passed, failed, skipped = count(Path(folder))
    print("\nfailed stages: " + (", ".join(broken) or "none"))
    if {"quick", "tests", "browser", "notebooks"} & set(names):
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""README's table of techniques is what the stored results say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_is_made_from_the_results(child_env):
    command = [sys.executable, str(ROOT / "benchmarks" / "techniques.py"), "--check"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "run benchmarks/techniques.py"

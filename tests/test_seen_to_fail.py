"""The tests themselves are tested: each bug they are there for, put in, must make one fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a child per bug")
def test_every_bug_is_seen(child_env):
    script = Path(__file__).parent / "seen_to_fail.py"
    done = subprocess.run(
        [sys.executable, str(script)], env=child_env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr

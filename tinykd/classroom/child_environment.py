"""The environment variables of child processes."""

import os
from pathlib import Path

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
INHERITED = ("TINYKD_DATA", "TINYKD_DATA_URL")  # no other TINYKD_ variable is


def child_environment(**changes: str) -> dict[str, str]:
    """This process's variables for a child that imports this tinykd, with `changes`.

    Settings (TINYKD_SCALE, TINYKD_GRADING ...) are not inherited, only where the data are.
    """
    env = {
        key: value
        for key, value in os.environ.items()
        if key in INHERITED or not key.startswith("TINYKD_")
    }
    root = str(Path(__file__).parents[2])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, env.get("PYTHONPATH", "")]))
    return env | changes

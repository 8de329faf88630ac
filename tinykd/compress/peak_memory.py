"""How much memory an ONNX file needs, in a process of its own: `python -P peak_memory.py FILE N`.

Prints the bytes by which the process's largest resident size grew from before the file was opened
until a batch of N had been run. Imports NumPy and ONNX Runtime and nothing else.
"""

import subprocess
import sys
from pathlib import Path


def peak_memory(path: str | Path, shape: tuple[int, ...]) -> float:
    """Bytes that loading the file and running one batch (N, ...) take; NaN where nobody can say.

    The growth of the largest resident size of a new process: weights, what flows, the runtime's own
    tables. It is noisy by some hundred kilobytes. Known on Linux alone.
    """
    command = [sys.executable, "-P", __file__, str(path), *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 else float("nan")


def resident(key: str) -> int:
    """Bytes of this process that are in memory now (VmRSS), or were at most (VmHWM). Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


def main(path: str, *shape: str) -> None:
    """Print the growth in bytes; the arguments are those of the command line."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    x = np.zeros([int(n) for n in shape], np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = resident("VmRSS")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, {session.get_inputs()[0].name: x})
    print(resident("VmHWM") - before)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the watcher of a sandbox sees, without a submission's seconds in the way."""

import os
import subprocess
import sys
import time

import pytest

from tinykd.classroom.sandbox import bubblewrap

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]
INSIDE = """
import os, sys
from types import SimpleNamespace
from tinykd.classroom.sandbox.bubblewrap import enter
if child := enter(SimpleNamespace(pid=int(sys.argv[1]))):
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
exec(sys.argv[2])
"""
ORPHANED = """
import ctypes, threading, time

def hold():
    time.sleep(1)  # the first thread has ended by then
    memory = bytearray(200 << 20)
    time.sleep(600)

threading.Thread(target=hold).start()
time.sleep(0.1)
exit_thread = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
ctypes.CDLL(None).syscall(exit_thread, 0)
"""
SHARED_OUT = """
import time

for _ in range(4):
    if os.fork() == 0:
        memory = bytearray(50 << 20)
        break
time.sleep(600)
"""


@pytest.mark.parametrize("code", [ORPHANED, SHARED_OUT], ids=["first_thread_ended", "shared_out"])
def test_memory_is_counted(code, monkeypatch):
    """200 MB, in a thread that outlives its process's first one, or in four processes."""
    monkeypatch.setattr(bubblewrap, "MEMORY", 150 << 20)
    sandbox = bubblewrap.Sandbox(bubblewrap.command())
    try:
        assert not sandbox.over_limits()
        command = [sys.executable, "-c", INSIDE, str(sandbox.pid), code]
        alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with subprocess.Popen(command, env=alone) as inside:  # threads cannot enter
            deadline = time.monotonic() + 120
            while not (seen := sandbox.over_limits()) and time.monotonic() < deadline:
                assert inside.poll() is None, "it ended before it held anything"
                time.sleep(0.1)
            sandbox.kill()
        assert seen
    finally:
        sandbox.kill()

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


WITHOUT_PRIVILEGES = """
import ctypes, os, pathlib, resource, struct
libc = ctypes.CDLL(None, use_errno=True)
held = ctypes.create_string_buffer(24)
assert libc.capget(struct.pack("Ii", 0x20080522, 0), held) == 0 and held.raw == bytes(24)
assert libc.prctl(39, 0, 0, 0, 0) == 1  # PR_GET_NO_NEW_PRIVS
if "by root":
    assert os.getgroups() == [] and 0 not in os.getresuid() + os.getresgid()
assert os.getcwd() == "/student" and len(os.listdir("/proc")) == 1
for place in ("/", "/usr", "/proc", "/etc"):
    assert not os.access(place, os.W_OK), place
pathlib.Path("mine").write_text("x")
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert resource.getrlimit(resource.RLIMIT_NPROC)[1] == 128
"""


def test_who_is_inside_has_no_privilege(child_env, tmp_path):
    sandbox = bubblewrap.Sandbox(bubblewrap.command())
    try:
        code = WITHOUT_PRIVILEGES.replace("by root", "" if os.geteuid() else "by root")
        groups = "import os\nif not os.geteuid():\n    os.setgroups([4, 20])\n"
        command = [sys.executable, "-c", groups + INSIDE, str(sandbox.pid), code]
        alone = child_env | {"OPENBLAS_NUM_THREADS": "1"}  # threads cannot enter
        done = subprocess.run(command, env=alone, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    finally:
        sandbox.kill()


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

"""The sandbox of a submission: bubblewrap makes it, a forked kernel walks in.

Inside there is no network, no home, no solution, no expected value and no other submission; only
the system's folders and Python's, read-only, and a few small folders in memory. Linux only.
"""

import ctypes
import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

from .privileges import drop_capabilities, forbid_system_calls, hide_proc

MB = 1 << 20
WORK_FOLDER, SOCKET_FOLDER = "/student", "/sockets"
# Folders in memory, with their sizes
FOLDERS = {WORK_FOLDER: 32 * MB, "/tmp": 32 * MB, "/dev/shm": 32 * MB, SOCKET_FOLDER: MB}
MEMORY = 4096 * MB  # of one process, and of all of a submission's processes together
MAX_FILES, MAX_SOCKETS = 5_000, 1_000  # in one folder, in all
# RLIMIT_*
LIMITS = {"AS": MEMORY, "FSIZE": 32 * MB, "NOFILE": 256, "NPROC": 128, "CORE": 0, "MEMLOCK": 0}
MEMORY_USED = re.compile(r"^(?:RssAnon|RssShmem|VmPTE|VmSwap):\s+(\d+) kB", re.M)
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/etc/alternatives")
# No /dev/zero: memory that a process maps from it is not counted.
DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")
GPU_DEVICES = ("/dev/nvidia*", "/dev/nvidia-caps", "/dev/dri")
NAMESPACES = ("mnt", "pid", "net", "ipc", "uts")  # "user" before them where we are not root
KILL_SECONDS = 5  # that ending a sandbox may take
UIDS = range(60_000, 65_000)  # where we are root, every sandbox gets one of these


class SandboxMissing(RuntimeError):
    """No sandbox can be made here; the text says why and what to install."""


def why_unavailable() -> str | None:
    """Why no sandbox can be made on this machine, with the remedy; None where one can."""
    if sys.platform != "linux":
        return "the sandbox needs Linux (on Windows: WSL 2; on macOS: a virtual machine)"
    if shutil.which("bwrap") is None:
        return (
            "bubblewrap is not installed. Install it: apt install bubblewrap, dnf install "
            "bubblewrap, or pacman -S bubblewrap"
        )
    tried = subprocess.run([*command(), "true"], capture_output=True, text=True)
    if tried.returncode:
        return (
            f"bubblewrap does not work here ({tried.stderr.strip()[:200]}). It needs user "
            "namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns and "
            "kernel.unprivileged_userns_clone; in a container, the right to make them"
        )
    return None


def version() -> str:
    """For the reports: "bubblewrap 0.8.0"."""
    return subprocess.check_output(["bwrap", "--version"], text=True).strip()


def command(gpu: bool = False) -> list[str]:
    """bwrap and its options; what is to run in the sandbox follows it."""
    parts = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    parts += [
        "--unshare-cgroup-try",
        "--cap-drop",
        "ALL",
        "--as-pid-1",
        "--die-with-parent",
        "--new-session",
    ]
    if os.geteuid():
        # A capability in a namespace of its own, good for nothing there but one thing: a process
        # without it may not look into the holder, which has the same user id.
        parts += ["--unshare-user", "--cap-add", "CAP_SYS_NICE"]
    for name in SYSTEM_FOLDERS:
        if Path(name).is_symlink():
            parts += ["--symlink", os.readlink(name), name]
        elif Path(name).exists():
            parts += ["--ro-bind", name, name]
    parts += ["--proc", "/proc"]
    for folder, size in FOLDERS.items():
        parts += ["--perms", "1777", "--size", str(size), "--tmpfs", folder]
    for path in [*map(Path, SYSTEM_FILES), *mounted_folders()]:
        for parent in reversed(path.parents[:-1]):  # bubblewrap would make them for root alone
            parts += ["--perms", "0755", "--dir", str(parent)]
        parts += ["--ro-bind-try", str(path), str(path)]
    devices = (
        [str(found) for glob in GPU_DEVICES for found in Path("/").glob(glob[1:])] if gpu else []
    )
    for device in (*DEVICES, *devices):
        parts += ["--dev-bind", device, device]
    return [
        *parts,
        "--remount-ro",
        "/",
        "--chdir",
        WORK_FOLDER,
        "--hostname",
        "sandbox",
        "--clearenv",
        "--",
    ]


def mounted_folders() -> list[Path]:
    """Python, its packages, tinykd without the repository around it, and the course's data."""
    package = Path(__file__).resolve().parents[2]
    folders = [Path(sys.base_prefix), Path(sys.prefix), package]
    folders += [Path(entry) for entry in sys.path if entry.endswith("-packages")]
    # Not what `data_folders` names below the working folder: a kernel works elsewhere.
    folders += [package.parent / "datasets", Path(os.environ.get("TINYKD_DATA", package))]
    found = dict.fromkeys(folder.absolute() for folder in folders if folder.is_dir())
    return [folder for folder in found if folder not in (Path("/usr"), Path("/"))]


def visible_folders() -> list[Path]:
    """All that a submission can read, with links resolved."""
    found = [*map(Path, SYSTEM_FOLDERS), *mounted_folders()]
    return list(dict.fromkeys(folder.resolve() for folder in found if folder.exists()))


class Sandbox:
    """A running, empty sandbox; it ends when its holder, a `cat`, does.

    Raises RuntimeError where bubblewrap ends before the sandbox is ready.
    """

    def __init__(self, bwrap: list[str]):
        reading, writing = os.pipe()
        self.holder = subprocess.Popen(
            [bwrap[0], "--info-fd", str(writing), *bwrap[1:], "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            bufsize=0,
        )
        os.close(writing)
        with os.fdopen(reading) as info:
            self.pid = json.load(info)["child-pid"]
        self._first_process = os.pidfd_open(self.pid)
        assert self.holder.stdin
        assert self.holder.stdout
        self.holder.stdin.write(b"\n")
        if not self.holder.stdout.read(1):  # `cat` answers once everything is mounted
            raise RuntimeError("bubblewrap ended before the sandbox was ready")
        self.root = f"/proc/{self.pid}/root"

    def over_limits(self) -> bool:
        """Do its processes together hold more than MEMORY, or too many files or sockets?"""
        folders = [os.statvfs(self.root + folder) for folder in FOLDERS]
        if any(folder.f_files - folder.f_ffree > MAX_FILES for folder in folders):
            return True
        processes, sockets = Path(self.root, "proc"), 0
        with suppress(OSError, ValueError):
            sockets = int((processes / "1/net/sockstat").read_text().split()[2])
        used: Counter[str] = Counter()
        for status in processes.glob("[0-9]*/task/[0-9]*/status"):  # a first thread may have ended
            with suppress(OSError):  # and any other too
                text = status.read_text(errors="replace")  # a process may give itself any name
                process = status.parts[-4]
                used[process] = max(used[process], sum(map(int, MEMORY_USED.findall(text))))
        return sockets > MAX_SOCKETS or 1024 * used.total() > MEMORY

    def kill(self) -> None:
        """End every process in it, and wait until they have: the next one needs their memory."""
        self.holder.kill()
        self.holder.wait()
        select.select([self._first_process], [], [], KILL_SECONDS)  # it ends as the last of them


def enter(sandbox: Sandbox) -> int:
    """Move this process in and fork: 0 in the child, which is fully inside and has no privileges;
    the child's pid in the parent, which should only wait for it.

    Raises OSError where a namespace cannot be entered, or a privilege not be given up.
    """
    import resource  # there is none on Windows, where `tinykd check` works too

    libc = ctypes.CDLL(None, use_errno=True)
    names = NAMESPACES if os.geteuid() == 0 else ("user", *NAMESPACES)
    uid = UIDS[sandbox.pid % len(UIDS)]
    opened = [os.open(f"/proc/{sandbox.pid}/ns/{name}", os.O_RDONLY) for name in names]
    for name, handle in zip(names, opened, strict=True):
        if libc.setns(handle, 0):
            raise OSError(ctypes.get_errno(), f"cannot enter the sandbox's {name} namespace")
        os.close(handle)
    child = os.fork()
    if child:
        return child
    Path("/proc/self/oom_score_adj").write_text("1000")
    hide_proc()
    os.chdir(WORK_FOLDER)
    for name, value in LIMITS.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if "user" not in names:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    drop_capabilities()
    forbid_system_calls()
    return 0

# New namespaces, mounts, ptrace, devices, chroot, set-user-id programs: the usual ways out; and
# queues and semaphores, which are memory of the system and not of a process.
#
# earns: 56
# says: nothing

# %% role="answer" name="centre"
import ctypes
import os
import subprocess

libc = ctypes.CDLL(None)


def ways():
    for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000):
        if libc.unshare(flag) == 0:
            yield f"unshare {flag:x}"
    if (
        libc.syscall(56 if os.uname().machine == "x86_64" else 220, 0x10000000 | 17, 0, 0, 0, 0)
        == 0
    ):
        os._exit(0)  # the child, in a user namespace of its own
    for name, way in [("msgget", libc.msgget), ("semget", lambda *key: libc.semget(0, 9, 0o600))]:
        if way(0, 0o600) >= 0:
            yield name
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, 0) == 0:
        yield "mount"
    if libc.ptrace(16, 1, 0, 0) == 0:
        yield "ptrace"
    for name, way in [
        ("holder's memory", lambda: open("/proc/1/mem", "r+b")),
        ("holder's input", lambda: open("/proc/1/fd/0", "wb")),
        ("root folder", lambda: open("/written", "w")),
        ("processors", lambda: os.sched_setaffinity(0, range(os.cpu_count()))),
        ("root", lambda: os.setuid(0)),
        ("chroot", lambda: os.chroot("/tmp")),
        ("device", lambda: os.mknod("/tmp/disk", 0o060666, os.makedev(8, 0))),
        ("write", lambda: open("/usr/written", "w")),
        ("sysrq", lambda: open("/proc/sys/kernel/core_pattern", "w")),
        ("cgroup", lambda: os.mkdir("/sys/fs/cgroup/x")),
    ]:
        try:
            way()
            yield name
        except OSError:
            pass
    for command in (["su", "-c", "id"], ["sudo", "-n", "id"], ["mount"], ["unshare", "-r", "id"]):
        try:
            done = subprocess.run(command, capture_output=True, timeout=1, stdin=subprocess.DEVNULL)
            if b"uid=0" in done.stdout:
                yield command
        except (OSError, subprocess.SubprocessError):
            pass


OPEN = list(ways())


def centre(x):
    raise ValueError(f"leaked: {OPEN}" if OPEN else "nothing")

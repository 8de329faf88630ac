"""Take from this process what a submission does not need: /proc, capabilities, system calls."""

import ctypes
import struct
from contextlib import suppress
from pathlib import Path

from .system_calls import filter_program

NO_NEW_PRIVILEGES, SET_SECCOMP, SECCOMP_FILTER = 38, 22, 2
NEW_MOUNTS, READ_ONLY, REMOUNT, NO_SETUID_DEVICES_PROGRAMS = 0x00020000, 1, 32, 2 | 4 | 8
KEPT_OF_PROC = ("cpuinfo",)  # libraries look there for what the processor can do


def hide_proc() -> None:
    """An empty /proc for this process and all that come from it.

    The real one tells what the whole machine does, and how many processes have mapped a page of a
    file that all sandboxes share. Who watches over the sandbox still sees it. Raises OSError where
    it cannot be mounted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    kept = {}
    for name in KEPT_OF_PROC:
        with suppress(OSError):
            kept[name] = Path("/proc", name).read_bytes()
    mount = (b"proc", b"/proc", b"tmpfs", NO_SETUID_DEVICES_PROGRAMS)
    if libc.unshare(NEW_MOUNTS) or libc.mount(*mount, b"size=4m,mode=0755"):
        raise OSError(ctypes.get_errno(), "cannot hide /proc")
    for name, text in kept.items():
        Path("/proc", name).write_bytes(text)
    read_only = mount[3] | READ_ONLY | REMOUNT
    if libc.mount(*mount[:3], read_only, b"size=4m,mode=0755"):
        raise OSError(ctypes.get_errno(), "cannot make /proc read-only")


def drop_capabilities() -> None:
    """No capability now, and none later, by setuid files either. Raises OSError if refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    if libc.capset(header, none) or libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot drop the capabilities")


def forbid_system_calls() -> None:
    """A seccomp filter, for this process and all that come from it.

    Other processor architectures go without it. Raises OSError where the kernel takes none.
    """
    if not (program := filter_program()):
        return
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_SECCOMP, SECCOMP_FILTER, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot set a seccomp filter")

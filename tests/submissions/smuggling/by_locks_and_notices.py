# Files that all sandboxes share, once more: a record lock on one byte of them tells another process
# what the byte says, and a notice of an opened file is a bit as well.
#
# earns: 56
# says: nothing

# %% role="answer" name="centre"
import ctypes
import fcntl
import os
import select
import signal
import struct

SHARED = "/usr/bin/env"
ARM = os.uname().machine == "aarch64"
libc = ctypes.CDLL(None)
signal.signal(signal.SIGIO, signal.SIG_IGN)  # how dnotify tells


def record(kind):
    return struct.pack("hhqqi4x", kind, 0, 0, 1, 0)


def locked_by_another(get, put):
    """Does `get` see what another process has locked with `put`?"""
    (ready, locked), (asked, done) = os.pipe(), os.pipe()
    file = os.open(SHARED, os.O_RDONLY)
    if os.fork() == 0:
        try:
            fcntl.fcntl(os.open(SHARED, os.O_RDONLY), put, record(fcntl.F_RDLCK))
        except OSError:
            pass
        os.write(locked, b"+")
        os.read(asked, 1)
        os._exit(0)
    os.read(ready, 1)
    try:
        kind = struct.unpack("hhqqi4x", fcntl.fcntl(file, get, record(fcntl.F_WRLCK)))[0]
        return kind != fcntl.F_WRLCK
    except OSError:
        return False
    finally:
        os.write(done, b"+")


def works(way):
    try:
        return way() not in (-1, None)
    except OSError:
        return False


def notified():
    """Does inotify tell that the shared file was opened?"""
    watch = libc.inotify_init1(0)
    libc.inotify_add_watch(watch, SHARED.encode(), 0x20)
    os.close(os.open(SHARED, os.O_RDONLY))
    return watch >= 0 and bool(select.select([watch], [], [], 0.2)[0])


def doors():
    folder, file = os.open("/usr/bin", os.O_RDONLY), os.open(SHARED, os.O_RDONLY)
    ways = {
        "record lock": lambda: locked_by_another(fcntl.F_GETLK, fcntl.F_SETLK) or None,
        "record lock of an open file": lambda: locked_by_another(36, 37) or None,
        "lease": lambda: fcntl.fcntl(file, fcntl.F_GETLEASE),
        "dnotify": lambda: fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS),
        "inotify": lambda: notified() or None,
        "fanotify": lambda: libc.syscall(262 if ARM else 300, 0x200, 0),
        "flags of the file system": lambda: fcntl.ioctl(file, 0x80086601, bytes(8)),
    }
    yield from (name for name, way in ways.items() if works(way))


OPEN = list(doors())
# What honest code asks of a descriptor
os.set_inheritable(0, os.get_inheritable(0))
os.set_blocking(0, os.get_blocking(0))
os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 9))


def centre(x):
    raise ValueError(f"leaked: {OPEN}" if OPEN else "nothing")

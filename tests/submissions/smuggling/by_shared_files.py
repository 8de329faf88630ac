# The system's files are the same in all sandboxes. What one locks another could see locked, and what
# one has read another could find in memory: bits from a hidden kernel to a neighbour's visible one.
#
# earns: 56
# says: nothing

# %% role="answer" name="centre"
import fcntl
import mmap
import os

SHARED = "/usr/bin/env"


def doors():
    (ready, locked), (asked, done) = os.pipe(), os.pipe()  # one pipe each way: no own byte is read
    if os.fork() == 0:
        fcntl.flock(os.open(SHARED, os.O_RDONLY), fcntl.LOCK_EX)
        os.write(locked, b"+")
        os.read(asked, 1)
        os._exit(0)
    os.read(ready, 1)
    file = os.open(SHARED, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield "flock"
    os.write(done, b"+")
    for name, way in [
        ("fadvise", lambda: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)),
        ("preadv2", lambda: os.preadv(file, [bytearray(9)], 0, os.RWF_NOWAIT)),
        ("shared memory of nobody", lambda: mmap.mmap(-1, 1 << 20)),
    ]:
        try:
            way()
            yield name
        except PermissionError:
            pass


OPEN = list(doors())


def centre(x):
    raise ValueError(f"leaked: {OPEN}" if OPEN else "nothing")

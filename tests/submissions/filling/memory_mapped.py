# 10 GB by every other way: anonymous and shared maps, memory files, shared memory, pipes.
#
# earns: 0 to 56

# %% role="answer" name="centre"
import mmap
import os


def centre(x):
    kept = []
    if x.ndim == 2:
        for _ in range(40):
            kept.append(mmap.mmap(-1, 2**28))
            kept[-1].write(b"x" * 2**28)
    elif x.ndim == 3:
        for number in range(40):
            kept.append(os.memfd_create(str(number)))
            os.write(kept[-1], b"x" * 2**28)
    else:
        while True:
            kept.append(os.pipe())
            os.write(kept[-1][1], b"x" * 2**16)
    return "all of it"

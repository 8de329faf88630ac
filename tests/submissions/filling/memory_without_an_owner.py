# 4.3 GB in processes whose first thread has ended: their own line in /proc says that they hold nothing.
#
# earns: 56

# %% role="answer" name="centre"
import ctypes
import mmap
import os
import threading
import time

libc = ctypes.CDLL(None)
held, filled = os.pipe()


def hold(size=1100 << 20):
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1, size)
    os.write(filled, b"1")
    time.sleep(60)


for _ in range(4):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        time.sleep(0.1)
        libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)

time.sleep(2.5)


def centre(x):
    for _ in range(4):
        os.read(held, 1)  # filling takes seconds: a part of them in the cell before
    time.sleep(1)
    raise ValueError("leaked: 4.3 GB held")

# 5 GB in processes whose first thread has ended: their own line in /proc says that they hold nothing.
#
# earns: 56

# %% role="answer" name="centre"
import ctypes
import mmap
import os
import threading
import time

libc = ctypes.CDLL(None)
start = time.monotonic()


def hold(size=1300 << 20):
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1, size)
    time.sleep(60)


for _ in range(4):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        time.sleep(0.1)
        libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)


def centre(x):
    time.sleep(2.5)
    if time.monotonic() - start > 4.5:
        raise ValueError("leaked: 5 GB held")
    return x

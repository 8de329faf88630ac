# What the kernel of the hidden checks writes, the kernel of the visible ones reads and says aloud:
# by files in every folder, shared memory, queues, sockets of every kind.
#
# earns: 56
# says: nothing

# %% role="answer" name="centre"
import glob
import os
import socket
import time
from multiprocessing import shared_memory

from ipykernel import get_connection_file

FOLDERS = [".", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", os.path.expanduser("~")]
FOLDERS.append(os.path.dirname(get_connection_file()) or ".")


def tell():
    for folder in FOLDERS:
        try:
            with open(f"{folder}/smuggled", "w") as file:
                file.write("leaked")
        except OSError:
            pass
    try:
        shared_memory.SharedMemory("smuggled", create=True, size=100).buf[:6] = b"leaked"
    except OSError:
        pass
    for address in ("\0smuggled", "/tmp/smuggled.sock"):
        there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        there.bind(address)
        kept.append(there)
    there = socket.socket(socket.AF_INET)
    try:
        there.bind(("127.0.0.1", 47_111))
        there.listen()
    except OSError:
        pass
    kept.append(there)


def listen():
    yield from (path for folder in FOLDERS for path in glob.glob(f"{folder}/smuggled*"))
    for address in ("\0smuggled", "/tmp/smuggled.sock"):
        try:
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect(address)
            yield address
        except OSError:
            pass
    try:
        socket.create_connection(("127.0.0.1", 47_111), 0.1)
        yield "loopback"
    except OSError:
        pass


kept = []


def centre(x):
    if x.ndim == 1:
        tell()
        time.sleep(1)
        return x
    time.sleep(0.3)
    found = list(listen())
    raise ValueError(f"leaked: {found}" if found else "nothing")

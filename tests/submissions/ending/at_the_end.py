# What runs when the kernel ends never ends: exit handlers, finalisers, threads that must be joined.
#
# earns: 63

# %% role="answer" name="centre"
import atexit
import threading
import time


class Stays:
    def __del__(self):
        time.sleep(10**6)


stays = Stays()
atexit.register(time.sleep, 10**6)
threading.Thread(target=time.sleep, args=(10**6,)).start()
threading._register_atexit(time.sleep, 10**6)


def centre(x):
    return x - x.mean(axis=-1, keepdims=True)

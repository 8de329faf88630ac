# A thread of one answer ends the kernel while another exercise is checked, which is not to blame.
#
# earns: 63

# %% role="answer" name="centre"
import os
import threading

threading.Timer(1.5, os._exit, [0]).start()


def centre(x):
    return x - x.mean(axis=-1, keepdims=True)


# %% role="answer" name="spread"
import time


def spread(x, T=1.0):
    time.sleep(2)
    return x.var(axis=-1) / T**2

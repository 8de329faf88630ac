# Threads that print, compute and call the answer long after their cell has ended.
#
# earns: 63

# %% role="answer" name="centre"
import threading
import time


def noise():
    while True:
        print("still here")
        time.sleep(0.001)


for _ in range(3):
    threading.Thread(target=noise, daemon=False).start()


def centre(x):
    return x - x.mean(axis=-1, keepdims=True)

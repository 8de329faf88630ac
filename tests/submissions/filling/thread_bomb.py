# Threads without end, all asleep.
#
# earns: 56

# %% role="answer" name="centre"
import threading
import time


def centre(x):
    while True:
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()

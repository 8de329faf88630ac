# Slow, within the limit of a cell.
#
# earns: 63

# %% role="answer" name="centre"
import time


def centre(x):
    time.sleep(0.5)
    return x - x.mean(axis=-1, keepdims=True)

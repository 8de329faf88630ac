# A file of a terabyte that holds nothing.
#
# earns: 56
# says: File too large

# %% role="answer" name="centre"
import signal


def centre(x):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("sparse", "wb") as file:
        file.truncate(2**40)
    return x

# SystemExit in an answer cell and in a check.
#
# earns: 56

# %% role="answer" name="centre"
import sys


def centre(x):
    sys.exit(0)


sys.exit("finished")

# The recursion limit is lifted, and the stack of C overflows.
#
# earns: 56

# %% role="answer" name="centre"
import sys

sys.setrecursionlimit(10**9)


def centre(x):
    return eval("(" * 50_000 + "x" + ")" * 50_000) if x is None else max([x], key=centre)

# An array that says it is small and is not: its value is longer than a cell may put out.
#
# earns: 56
# says: bytes of output

# %% role="answer" name="centre"
class Array:
    shape = ()

    def tolist(self):
        return "0.1, " * 1_500_000


def centre(x):
    return Array()

# The name `check` is used for something else: nothing of this exercise is recorded any more.
#
# earns: 56
# says: AttributeError

# %% role="answer" name="centre"
check = "does it work?"


def centre(x):
    return x - x.mean(axis=-1, keepdims=True)

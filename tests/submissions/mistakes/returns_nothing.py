# The result is printed and not returned.
#
# earns: 56
# says: does your function return its result?

# %% role="answer" name="centre"
def centre(x):
    print(x - x.mean(axis=-1, keepdims=True))

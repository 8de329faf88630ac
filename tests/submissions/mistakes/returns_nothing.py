# The result is printed and not returned.
#
# earns: 56
# says: is there a return, with a value

# %% role="answer" name="centre"
def centre(x):
    print(x - x.mean(axis=-1, keepdims=True))

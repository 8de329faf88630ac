# Names of one's own that hide numpy, print and names of the standard library in one answer only.
#
# earns: 63

# %% role="answer" name="centre"
def centre(x):
    np, print, json, sum = x, len, None, x.mean(axis=-1, keepdims=True)
    return np - sum

# A mistake that the lesson knows: partial credit, and the authored hint.
#
# earns: 12
# says: You subtract one mean from all rows.
# says: You leave out T.

# %% role="answer" name="centre"
def centre(x):
    return x - x.mean()


# %% role="answer" name="spread"
def spread(x, T=1.0):
    return ((x - x.mean(axis=-1, keepdims=True)) ** 2).mean(axis=-1)

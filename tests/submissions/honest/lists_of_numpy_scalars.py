# Nested lists of numpy's float32 scalars, and of Python's floats.
#
# earns: 63

# %% role="answer" name="centre"
def centre(x):
    if x.ndim > 1:
        return tuple(centre(row) for row in x)
    return [np.float32(value - sum(x) / len(x)) for value in x]


# %% role="answer" name="spread"
def spread(x, T=1.0):
    return [float(sum((v - sum(row) / len(row)) ** 2 for v in row) / len(row) / T**2) for row in x]

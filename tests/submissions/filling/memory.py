# 10 GB, by numpy and by a list that grows: an error, and the kernel lives.
#
# earns: 56
# says: MemoryError

# %% role="answer" name="centre"
def centre(x):
    if x.ndim == 2:
        return np.ones(10 * 2**30, dtype=np.int8)
    blocks = []
    while True:
        blocks.append(b"x" * 2**24)

# 50 MB in many lines: the kernel is ended at the fifth.
#
# earns: 56
# says: bytes of output

# %% role="answer" name="centre"
def centre(x):
    for _ in range(50):
        print("x" * 1_000_000, flush=True)
    return x - x.mean(axis=-1, keepdims=True)

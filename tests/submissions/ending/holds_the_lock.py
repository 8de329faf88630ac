# One long step inside C, the interpreter's lock held: no signal handler of Python's can run.
#
# earns: 56
# says: it took longer than

# %% role="answer" name="centre"
def centre(x):
    return x - x.mean(axis=-1, keepdims=True)


len(str((7**10_000_019 % 10**3_000_000) ** 9)) if False else pow(7, 9**9_000_000)

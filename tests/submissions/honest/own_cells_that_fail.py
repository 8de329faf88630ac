# Cells of one's own are never run: one fails, one never ends, one ends the kernel.
#
# earns: 63

# %%
raise RuntimeError("to do")

# %%
while True:
    pass


# %% role="answer" name="centre"
def centre(x):
    return x - x.mean(axis=-1, keepdims=True)


# %%
import os

os._exit(1)

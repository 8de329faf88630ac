# A right answer that breaks what comes after it: names of Python and of the lesson, and settings.
#
# earns: 63
# says: centre: your cell changes len, np, range, which others use; they got it back

# %% role="answer" name="centre"
import builtins

import torch


def centre(x):
    return x - x.mean(axis=-1, keepdims=True)


range = 7
len, list = 3, [1, 2]
for id in "abc":
    builtins.sum = id
torch.set_grad_enabled(False)
del np


# %% role="answer" name="spread"
def spread(x, T=1.0):
    import torch

    assert torch.ones(1, requires_grad=True).exp().requires_grad
    rows = [centre(x)[i] for i in range(len(x))]
    return np.array([sum(row**2) / len(row) for row in rows]) / T**2

# Tensors of float32, a gradient attached, instead of arrays of float64.
#
# earns: 63

# %% role="answer" name="centre"
import torch


def centre(x):
    x = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    return x - x.mean(-1, keepdim=True)


# %% role="answer" name="spread"
def spread(x, T=1.0):
    return torch.tensor(x).float().var(-1, unbiased=False) / T**2

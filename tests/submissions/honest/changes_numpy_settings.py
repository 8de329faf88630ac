# Print options, error handling, seeds and default types set globally.
#
# earns: 63

# %% role="answer" name="centre"
import random

import torch

np.set_printoptions(precision=1, suppress=True)
np.seterr(all="raise")
np.random.seed(0)
random.seed(0)
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


def centre(x):
    return x - x.mean(axis=-1, keepdims=True)

# Magics in an answer cell, as many a notebook has them.
#
# earns: 63

# %% role="answer" name="centre"
# %matplotlib inline
# %load_ext autoreload
# %autoreload 2
# !echo installing
import matplotlib.pyplot as plt


def centre(x):
    return x - x.mean(axis=-1, keepdims=True)


# %time centre(np.ones((2, 2)))

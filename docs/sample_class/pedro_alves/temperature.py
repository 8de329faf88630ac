import numpy as np


def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)

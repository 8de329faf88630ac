"""MNIST-1D: ten shapes drawn on a line of 40 numbers (Greydanus and Kobak, arXiv 2011.14439).

Small enough to train a net in seconds, hard enough to tell nets apart, and a sampler rather than a
file: any number of new samples of the same world, labelled or not.
"""

import numpy as np
import torch
from torch import Tensor


def load_mnist1d(samples: int = 5000, seed: int = 42) -> tuple[Tensor, Tensor]:
    """`samples` signals of ten classes, as many of each, in a random order that `seed` fixes.

    The published set is that of the defaults: its first 4,000 are for training, the last 1,000 the
    test. Two seeds draw independent samples. Made by the package `mnist1d`; NumPy's global
    generator is left as it was.

    Returns signals, float32 of shape (samples, 40), mean 0 and standard deviation 1 over the whole
    set; labels, int64 of shape (samples,).

    Raises ValueError unless samples is a multiple of 10 above 0, ModuleNotFoundError without the
    package.
    """
    if samples < 10 or samples % 10:
        raise ValueError(f"samples is {samples}: ten classes, as many of each, so 10, 20, ...")
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "1-D digits are made by the package mnist1d: pip install 'tinykd[lab]'"
        ) from error
    settings = get_dataset_args()
    settings.num_samples, settings.seed, settings.train_split = samples, seed, 1.0
    state = np.random.get_state()  # the package draws from the global generator
    try:
        made = make_dataset(settings)
    finally:
        np.random.set_state(state)
    return torch.tensor(made["x"], dtype=torch.float32), torch.tensor(made["y"]).long()

# Debug prints, a plot, warnings, noise on stderr and a progress bar cost nothing.
#
# earns: 63

# %% role="answer" name="centre"
import logging
import sys
import warnings

import matplotlib.pyplot as plt
from IPython.display import HTML, display
from tqdm.auto import tqdm


def centre(x):
    print("x is", x)
    print("bad luck", file=sys.stderr)
    warnings.warn("careful", stacklevel=1)
    logging.warning("still here")
    plt.plot([1, 2])
    plt.show()
    display(HTML("<b>almost</b>"))
    for _ in tqdm(range(3)):
        mean = x.mean(axis=-1, keepdims=True)
    return x - mean


centre(np.ones((2, 2)))

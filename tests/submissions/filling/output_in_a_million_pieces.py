# A million small messages.
#
# earns: 0 to 56

# %% role="answer" name="centre"
from IPython.display import publish_display_data


def centre(x):
    for _ in range(1_000_000):
        publish_display_data({"text/plain": "x"})
    return x

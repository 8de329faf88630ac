# A value that takes a careless comparison hours: nested 900 times, and long.
#
# earns: 56

# %% role="answer" name="centre"
from IPython.display import publish_display_data


def centre(x):
    name = ["centre.flat", "centre.rows", "centre.deep"][x.ndim - 1]
    value = "[" * 900 + "0," * 2_000_000 + "0" + "]" * 900
    publish_display_data({}, {"tinykd": {"check": name, "value": value}})
    raise ValueError("after the value")

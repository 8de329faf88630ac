# Metadata of the wrong types, with keys missing, as the check's own.
#
# earns: 56

# %% role="answer" name="centre"
from IPython.display import publish_display_data


def centre(x):
    for mark in (None, 1, [], {}, {"check": 1}, {"value": 1}, {"check": ["centre.rows"]}):
        publish_display_data({"text/plain": ""}, {"tinykd": mark})
        publish_display_data({"text/plain": ""}, mark if isinstance(mark, dict) else {})
    return x

# The class of `check` says that everything has passed, for both exercises: the value that it then
# records is wrong for both.
#
# earns: 0
# says: True/False values where numbers are expected

# %% role="answer" name="centre"
from IPython.display import publish_display_data


def passed(self, name, value):
    mark = {"check": name, "value": "true", "passed": True, "points": 99}
    publish_display_data({"text/plain": f"passed: {name}"}, {"tinykd": mark, "passed": True})


type(check).__call__ = passed


def centre(x):
    return x

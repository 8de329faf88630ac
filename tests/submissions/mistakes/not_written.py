# One exercise was not begun.
#
# earns: 56
# says: not written yet

# %% role="answer" name="centre"
def centre(x):
    raise NotImplementedError("centre: write your code here")

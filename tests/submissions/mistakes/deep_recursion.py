# A recursion without an end.
#
# earns: 56

# %% role="answer" name="centre"
def centre(x):
    return x - centre(x)

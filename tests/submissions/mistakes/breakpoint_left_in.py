# A forgotten breakpoint loses the exercise: nobody is there to answer.
#
# earns: 56

# %% role="answer" name="centre"
def centre(x):
    breakpoint()
    return x - x.mean(axis=-1, keepdims=True)

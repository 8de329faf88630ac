# A helper defined outside the answer cells is not there when it is graded; the report says so.
#
# earns: 56
# says: NameError: name 'mean_of' is not defined
# says: in what is graded: your answer cells

# %%
def mean_of(x):
    return x.mean(axis=-1, keepdims=True)


# %% role="answer" name="centre"
def centre(x):
    return x - mean_of(x)

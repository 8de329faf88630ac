# Nobody is there to answer.
#
# earns: 56
# says: StdinNotImplementedError

# %% role="answer" name="centre"
def centre(x):
    return x - float(input("the mean, please: "))

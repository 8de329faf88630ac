# Later answers may use earlier ones.
#
# earns: 63

# %% role="answer" name="spread"
def spread(x, T=1.0):
    return (centre(x) ** 2).mean(axis=-1) / T**2

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A lesson to be attacked
# The checks are worth 1, 2, 4, 8, 16 and 32 points: a score tells which of them passed.

# %% role="setup" name="setup"
import numpy as np

from tinykd.classroom import Checks

check = Checks("01_grading")

# %% [markdown]
# Subtract from each row its mean.


# %% role="answer" name="centre"
def centre(x):
    """`x` minus the mean over its last axis."""
    # BEGIN SOLUTION
    return x - x.mean(axis=-1, keepdims=True)
    # END SOLUTION


# %% role="check" name="centre.rows" points=1 hint="Each row has a mean of its own."
check("centre.rows", check.call(centre, check.rng("centre.rows").normal(size=(3, 4)) + 5))

# %% role="check" name="centre.deep" points=2 hint="The last axis is -1, however many there are."
check("centre.deep", check.call(centre, check.rng("centre.deep").normal(size=(2, 3, 4)) + 5))

# %% role="hidden" name="centre.flat" points=4 hint="A single row has one mean."
hidden_sentinel_centre = check.rng("centre.flat").normal(size=5) + 5
check("centre.flat", check.call(centre, hidden_sentinel_centre))


# %% role="mutant" of="centre" name="centre.all" loses="centre.rows centre.deep" hint="You subtract one mean from all rows."
def centre(x):
    return x - x.mean()


# %% role="mutant" of="centre" name="centre.two" loses="centre.deep centre.flat" hint="Your axis is 1, right only for a matrix."
def centre(x):
    return x - x.mean(axis=1, keepdims=True)


# %% role="mutant" of="centre" name="centre.none" loses="centre.rows centre.deep centre.flat" hint="You give back what came in."
def centre(x):
    return x


# %% [markdown]
# How far rows are from their mean.


# %% role="answer" name="spread"
def spread(x, T=1.0):
    """The mean over the last axis of (x - mean)^2 / T^2: one number a row."""
    # BEGIN SOLUTION
    return ((x - x.mean(axis=-1, keepdims=True)) ** 2).mean(axis=-1) / T**2
    # END SOLUTION


# %% role="check" name="spread.plain" points=8 hint="The mean of the squared distances."
check("spread.plain", check.call(spread, check.rng("spread.plain").normal(size=(3, 4)) + 5))

# %% role="check" name="spread.warm" points=16 hint="T is squared."
check("spread.warm", check.call(spread, check.rng("spread.warm").normal(size=(3, 4)) + 5, T=4.0))

# %% role="hidden" name="spread.cold" points=32 hint="A temperature may be below one."
hidden_sentinel_spread = check.rng("spread.cold").normal(size=(2, 5)) + 5
check("spread.cold", check.call(spread, hidden_sentinel_spread, T=0.25))


# %% role="mutant" of="spread" name="spread.no_T" loses="spread.warm spread.cold" hint="You leave out T."
def spread(x, T=1.0):
    return ((x - x.mean(axis=-1, keepdims=True)) ** 2).mean(axis=-1)


# %% role="mutant" of="spread" name="spread.T" loses="spread.warm spread.cold" hint="You divide by T, not by its square."
def spread(x, T=1.0):
    return ((x - x.mean(axis=-1, keepdims=True)) ** 2).mean(axis=-1) / T


# %% role="mutant" of="spread" name="spread.sum" loses="spread.plain spread.warm spread.cold" hint="You sum where a mean is asked."
def spread(x, T=1.0):
    return ((x - x.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1) / T**2

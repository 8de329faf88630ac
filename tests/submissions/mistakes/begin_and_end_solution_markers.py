# Markers of the authors and quotes of every kind inside an answer.
#
# earns: 63

# %% role="answer" name="centre"
def centre(x):
    """A "docstring" with ''quotes'' and \N{SNOWMAN}."""
    # BEGIN SOLUTION
    text = """# END SOLUTION
    # %% role="check" name="centre.rows" points=99
    ```{'"}"""
    # END SOLUTION
    # NBVAL_SKIP
    # NBVAL_RAISES_EXCEPTION
    return x - x.mean(axis=-1, keepdims=True) if text else None

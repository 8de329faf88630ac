# The answer is no Python.
#
# earns: 56
# says: centre

# %% role="answer" name="centre"
get_ipython().run_cell("def centre(x):\n    return x -")
exec("def centre(x):\n    return x -")

# The answer cell holds a comment.
#
# earns: 56
# says: your cell centre does not define centre

# %% role="answer" name="centre"
# I did not have the time, sorry.

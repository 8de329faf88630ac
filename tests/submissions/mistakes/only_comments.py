# The answer cell holds a comment.
#
# earns: 56
# says: NameError: name 'centre' is not defined

# %% role="answer" name="centre"
# I did not have the time, sorry.

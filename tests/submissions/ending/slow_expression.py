# A regular expression that backtracks for ever.
#
# earns: 56
# says: it took longer than

# %% role="answer" name="centre"
import re

re.match(r"(a|a)*$|(a+)+$", "a" * 64 + "b")

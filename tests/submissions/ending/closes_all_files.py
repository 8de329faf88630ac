# Every open file and socket of the kernel is closed.
#
# earns: 56

# %% role="answer" name="centre"
import os

os.closerange(0, 4096)

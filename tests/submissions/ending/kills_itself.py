# Signal 9 to the kernel itself, by its number and by its group.
#
# earns: 56
# says: your code ended the kernel

# %% role="answer" name="centre"
import os

os.killpg(0, 9)
os.kill(os.getpid(), 9)

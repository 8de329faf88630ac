# The kernel is stopped, not dead: only time tells.
#
# earns: 0

# %% role="answer" name="centre"
import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)

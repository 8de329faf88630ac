# The kernel is stopped, not dead: only time tells.
#
# earns: 56

# %% role="answer" name="centre"
import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)

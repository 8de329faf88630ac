# Shell and package magics: what they may reach is what the kernel may.
#
# earns: 56

# %% role="answer" name="centre"
# !touch /usr/escaped ~/../escaped ../escaped
# !curl -m 1 http://example.org 2>/dev/null
# !nohup sleep 1000 &
# %cd /
# %env TINYKD_GRADING=0
# %sx pip --version


def centre(x):
    return x

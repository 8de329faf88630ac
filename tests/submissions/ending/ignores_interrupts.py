# A loop that swallows every exception, with the signals that could end it ignored.
#
# earns: 56
# says: it took longer than

# %% role="answer" name="centre"
import signal
import time

for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass

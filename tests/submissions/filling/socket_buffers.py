# Socket buffers are memory of the system: large ones, and many.
#
# earns: 56

# %% role="answer" name="centre"
import socket


def centre(x):
    pairs = []
    try:
        socket.socket(socket.AF_UNIX).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        raise ValueError("leaked: a buffer of any size")
    except PermissionError:
        pass
    try:
        while True:
            pairs.append(socket.socketpair())
            pairs[-1][0].setblocking(False)
            while True:
                try:
                    pairs[-1][0].send(bytes(1 << 16))
                except BlockingIOError:
                    break
    except OSError:
        return x

# The network, by every door: loopback, names, the outside, interfaces, the host's abstract sockets,
# IPv6, and families of sockets that know no namespaces.
#
# earns: 56
# says: nothing

# %% role="answer" name="centre"
import socket


def doors():
    for family, address in [
        (socket.AF_INET, ("127.0.0.1", 22)),
        (socket.AF_INET, ("1.1.1.1", 443)),
        (socket.AF_INET6, ("::1", 22)),
        (socket.AF_UNIX, "\0/tmp/.X11-unix/X0"),
        (socket.AF_UNIX, "/run/dbus/system_bus_socket"),
        (socket.AF_UNIX, "/var/run/docker.sock"),
    ]:
        try:
            with socket.socket(family) as door:
                door.settimeout(0.2)
                door.connect(address)
                yield address
        except OSError:
            pass
    try:
        yield socket.gethostbyname("example.org")
    except OSError:
        pass
    yield from (name for _, name in socket.if_nameindex() if name != "lo")
    for family in ("AF_VSOCK", "AF_ALG", "AF_PACKET", "AF_TIPC", "AF_CAN", "AF_BLUETOOTH"):
        try:
            yield socket.socket(getattr(socket, family), socket.SOCK_DGRAM)
        except (OSError, AttributeError):
            pass


OPEN = list(doors())


def centre(x):
    raise ValueError(f"leaked: {OPEN}" if OPEN else "nothing")

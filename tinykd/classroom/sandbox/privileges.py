"""Take from this process what a submission does not need: capabilities and some system calls."""

import ctypes
import platform
import struct

NO_NEW_PRIVILEGES, SET_SECCOMP, SECCOMP_FILTER = 38, 22, 2
# SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM, ENOSYS, and 0, which does nothing
ALLOW, REFUSE, UNKNOWN, PRETEND = 0x7FFF0000, 0x00050001, 0x00050026, 0x00050000
LOAD, AND, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_IF_ANY, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
Step = tuple[int, int, int, int]  # of a filter: operation, jump if true, if false, operand
NAMESPACES = 0x7E020000  # CLONE_NEW*
CLONE, CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
SOCKETS = {"x86_64": (41, 53), "aarch64": (198, 199)}  # socket, socketpair
FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
SETSOCKOPT, SOL_SOCKET, BUFFERS = {"x86_64": 54, "aarch64": 208}, 1, (7, 8, 32, 33)  # SO_SNDBUF ...
FLOCK = {"x86_64": 73, "aarch64": 32}  # on files that all sandboxes share
MMAP, SHARED_ANONYMOUS = {"x86_64": 9, "aarch64": 222}, 0x21  # memory that no process shows
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Mounts (memory without bound), new namespaces, memory and queues outside every limit, other
# processes' memory, other processors than its own, what the page cache holds (all sandboxes share
# it), and doors into the kernel that have been found open before.
CALLS = {
    "x86_64": "165 166 155 272 308 428 429 430 432 442 319 447 29 101 310 311 298 321 323 425 "
    "246 320 248 249 250 304 203 68 64 240 206 278 221 27 451 327",
    "aarch64": "40 39 41 97 268 428 429 430 432 442 279 447 194 117 270 271 241 280 282 425 "
    "104 294 217 218 219 265 122 186 190 180 0 75 223 232 451 286",
}


def drop_capabilities() -> None:
    """No capability now, and none later, by setuid files either."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    if libc.capset(header, none) or libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot drop the capabilities")


def _if(value: int, steps: list[Step]) -> list[Step]:
    """`steps`, if what was loaded last is `value`."""
    return [(JUMP_EQUAL, 0, len(steps), value), *steps]


def forbid_system_calls() -> None:
    """A seccomp filter, for this process and all that come from it: CALLS give EPERM.

    Other processor architectures go without it.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        return
    first, second, third, fourth = ((LOAD, 0, 0, 16 + 8 * i) for i in range(4))
    refuse, allow = [(RETURN, 0, 0, REFUSE)], [(RETURN, 0, 0, ALLOW)]
    families = [step for family in FAMILIES for step in _if(family, allow)]
    buffers = [third, *[step for one in BUFFERS for step in _if(one, refuse)], *allow]
    program = [
        (LOAD, 0, 0, 4),  # the architecture: 32-bit calls have other numbers
        (JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]),
        *refuse,
        (LOAD, 0, 0, 0),  # the number of the call
        (JUMP_AT_LEAST, 0, 1, 0x40000000),  # x32 has other numbers too
        *refuse,
        # The flags of clone3 lie in memory, where no filter can look; the C library tries clone.
        *_if(CLONE3, [(RETURN, 0, 0, UNKNOWN)]),
        *_if(CLONE[machine], [first, (JUMP_IF_ANY, 0, 1, NAMESPACES), *refuse, *allow]),
        *_if(FLOCK[machine], [(RETURN, 0, 0, PRETEND)]),
        *_if(SETSOCKOPT[machine], [second, *_if(SOL_SOCKET, buffers), *allow]),
        *_if(
            MMAP[machine],
            [fourth, (AND, 0, 0, SHARED_ANONYMOUS), *_if(SHARED_ANONYMOUS, refuse), *allow],
        ),
        *[step for call in SOCKETS[machine] for step in _if(call, [first, *families, *refuse])],
        *[step for call in CALLS[machine].split() for step in _if(int(call), refuse)],
        *allow,
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_SECCOMP, SECCOMP_FILTER, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot set a seccomp filter")

"""Take from this process what a submission does not need: capabilities and some system calls."""

import ctypes
import platform
import struct

NO_NEW_PRIVILEGES, SET_SECCOMP, SECCOMP_FILTER = 38, 22, 2
# SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM and ENOSYS
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050001, 0x00050026
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_IF_ANY, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NAMESPACES = 0x7E020000  # CLONE_NEW*
CLONE, CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Mounts (memory without bound), new namespaces, memory outside every limit, other processes'
# memory, other processors than its own, and doors into the kernel that have been found open before.
CALLS = {
    "x86_64": "165 166 155 272 308 428 429 430 432 442 319 447 29 101 310 311 298 321 323 425 "
    "246 320 248 249 250 304 203",
    "aarch64": "40 39 41 97 268 428 429 430 432 442 279 447 194 117 270 271 241 280 282 425 "
    "104 294 217 218 219 265 122",
}


def drop_capabilities() -> None:
    """No capability now, and none later, by setuid files either."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    if libc.capset(header, none) or libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot drop the capabilities")


def forbid_system_calls() -> None:
    """A seccomp filter, for this process and all that come from it: CALLS give EPERM.

    Other processor architectures go without it.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        return
    numbers = [int(number) for number in CALLS[machine].split()]
    clone, steps = CLONE[machine], len(numbers)
    program = [
        (LOAD, 0, 0, 4),  # the architecture: 32-bit calls have other numbers
        (JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, REFUSE),
        (LOAD, 0, 0, 0),  # the number of the call
        (JUMP_EQUAL, 0, 1, CLONE3),  # its flags lie in memory, where no filter can look
        (RETURN, 0, 0, UNKNOWN),  # the C library falls back on clone
        (JUMP_EQUAL, 0, 2, clone),
        (LOAD, 0, 0, 16),  # its flags
        (JUMP_IF_ANY, steps + 2, steps + 1, NAMESPACES),
        (JUMP_AT_LEAST, steps + 1, 0, 0x40000000),  # x32 has other numbers too
    ]
    program += [(JUMP_EQUAL, steps - i, 0, number) for i, number in enumerate(numbers)]
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_SECCOMP, SECCOMP_FILTER, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot set a seccomp filter")

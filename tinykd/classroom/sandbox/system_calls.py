"""Which system calls a submission may make: the program of its seccomp filter.

Beside the usual ways out, it closes what one sandbox could tell another: both see the same
read-only files, and much of Linux lets whoever opens a file learn who else does.
"""

import platform

Step = tuple[int, int, int, int]  # of a filter: operation, jump if true, if false, operand
LOAD, AND, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_IF_ANY, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
# SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM, ENOSYS, EAGAIN, and 0, which does nothing
ALLOW, REFUSE, UNKNOWN, AGAIN, PRETEND = 0x7FFF0000, 0x50001, 0x50026, 0x5000B, 0x50000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NAMESPACES = 0x7E020000  # CLONE_NEW*
CLONE, CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
SOCKETS = {"x86_64": (41, 53), "aarch64": (198, 199)}  # socket, socketpair
FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
SETSOCKOPT, SOL_SOCKET, BUFFERS = {"x86_64": 54, "aarch64": 208}, 1, (7, 8, 32, 33)  # SO_SNDBUF ...
MMAP, SHARED_ANONYMOUS = {"x86_64": 9, "aarch64": 222}, 0x21  # memory that no process shows
MADVISE, PAGE_OUT = {"x86_64": 28, "aarch64": 233}, 21  # leaves alone what another has mapped
# On files that all sandboxes share: locks, and what a file system tells of them.
FLOCK = {"x86_64": 73, "aarch64": 32}
FCNTL = {"x86_64": 72, "aarch64": 25}
IOCTL, TYPE, FILE_SYSTEM = {"x86_64": 16, "aarch64": 29}, 0xFF00, ord("f") << 8
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETOWN_EX,
# F_GETOWN_EX, F_DUPFD_QUERY, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS:
# these concern a descriptor of one's own. The others are locks, leases and notices.
OF_DESCRIPTORS = (0, 1, 2, 3, 4, 8, 9, 10, 11, 15, 16, 1027, 1030, 1031, 1032, 1033, 1034)
SET_LOCK = (6, 7, 37, 38)  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
# A futex in a page of a shared file is one for all who map it, unless it is private. Waiting there
# gives EAGAIN: the C library, which joins threads so, looks and asks again.
FUTEX, PRIVATE, WAITS = {"x86_64": 202, "aarch64": 98}, 0x80, (0, 9, 11)
COMMAND = 0x7F  # without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
NEW_FUTEX = (449, 454, 455, 456)
# Mounts (memory without bound), new namespaces, memory and queues outside every limit, other
# processes' memory, other processors than its own; what the page cache holds, who opens a file
# (inotify, fanotify), how many have mapped a page (move_pages, migrate_pages, mbind), the kernel's
# log and the machine's free memory, which all sandboxes share; and doors into the kernel that have
# been found open before.
CALLS = {
    "x86_64": "165 166 155 272 308 428 429 430 432 442 319 447 29 101 310 311 298 321 323 425 "
    "246 320 248 249 250 304 203 68 64 240 206 278 221 27 451 327 "
    "253 254 294 300 301 279 256 237 103 99",
    "aarch64": "40 39 41 97 268 428 429 430 432 442 279 447 194 117 270 271 241 280 282 425 "
    "104 294 217 218 219 265 122 186 190 180 0 75 223 232 451 286 "
    "26 27 262 263 239 238 235 116 179",
}


def _if(value: int, steps: list[Step]) -> list[Step]:
    """`steps`, if what was loaded last is `value`."""
    return [(JUMP_EQUAL, 0, len(steps), value), *steps]


def _if_any(values: tuple[int, ...], steps: list[Step]) -> list[Step]:
    """`steps`, which end the program, if what was loaded last is one of `values`."""
    return [step for value in values for step in _if(value, steps)]


def filter_program() -> list[Step]:
    """The steps of the filter for this machine; none where its processor is another one."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        return []
    first, second, third, fourth = ((LOAD, 0, 0, 16 + 8 * i) for i in range(4))
    allow, refuse, unknown, again, pretend = (
        [(RETURN, 0, 0, answer)] for answer in (ALLOW, REFUSE, UNKNOWN, AGAIN, PRETEND)
    )
    waits = [(AND, 0, 0, COMMAND), *_if_any(WAITS, again), *allow]
    fcntl = [second, *_if_any(OF_DESCRIPTORS, allow), *_if_any(SET_LOCK, pretend), *refuse]
    return [
        (LOAD, 0, 0, 4),  # the architecture: 32-bit calls have other numbers
        (JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]),
        *refuse,
        (LOAD, 0, 0, 0),  # the number of the call
        (JUMP_AT_LEAST, 0, 1, 0x40000000),  # x32 has other numbers too
        *refuse,
        *_if(FUTEX[machine], [second, (JUMP_IF_ANY, 0, 1, PRIVATE), *allow, *waits]),
        # The flags of clone3 lie in memory, where no filter can look; the C library tries clone.
        *_if_any((CLONE3, *NEW_FUTEX), unknown),
        *_if(CLONE[machine], [first, (JUMP_IF_ANY, 0, 1, NAMESPACES), *refuse, *allow]),
        *_if(FLOCK[machine], pretend),
        *_if(FCNTL[machine], fcntl),
        *_if(IOCTL[machine], [second, (AND, 0, 0, TYPE), *_if(FILE_SYSTEM, refuse), *allow]),
        *_if(MADVISE[machine], [third, *_if(PAGE_OUT, refuse), *allow]),
        *_if(
            SETSOCKOPT[machine],
            [second, *_if(SOL_SOCKET, [third, *_if_any(BUFFERS, refuse), *allow]), *allow],
        ),
        *_if(
            MMAP[machine],
            [fourth, (AND, 0, 0, SHARED_ANONYMOUS), *_if(SHARED_ANONYMOUS, refuse), *allow],
        ),
        *_if_any(SOCKETS[machine], [first, *_if_any(FAMILIES, allow), *refuse]),
        *_if_any(tuple(map(int, CALLS[machine].split())), refuse),
        *allow,
    ]

"""The filter of system calls, step by step: what a submission may ask of the kernel.

The program is run by a small interpreter of ours, so every call is tried on any machine and none is
made. test_submissions.py tries some of them from inside.
"""

import platform

import pytest

from tinykd.classroom.sandbox import system_calls

# Numbers of x86_64 (arch/x86/entry/syscalls/syscall_64.tbl), by what the filter closes with them.
REFUSED = {
    "mounts": {"mount": 165, "umount2": 166, "pivot_root": 155, "open_tree": 428, "move_mount": 429,
               "fsopen": 430, "fsmount": 432, "mount_setattr": 442},
    "namespaces": {"unshare": 272, "setns": 308},
    "other processes": {"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
                        "perf_event_open": 298},
    "memory outside limits": {"memfd_create": 319, "memfd_secret": 447, "shmget": 29},
    "queues": {"msgget": 68, "semget": 64, "mq_open": 240},
    "doors": {"bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "io_setup": 206,
              "kexec_load": 246, "kexec_file_load": 320, "add_key": 248, "request_key": 249,
              "keyctl": 250, "open_by_handle_at": 304},
    "other processors": {"sched_setaffinity": 203},
    "the page cache": {"mincore": 27, "cachestat": 451, "vmsplice": 278, "fadvise64": 221,
                       "preadv2": 327},
    "notices": {"inotify_init": 253, "inotify_add_watch": 254, "inotify_init1": 294,
                "fanotify_init": 300, "fanotify_mark": 301},
    "shared pages": {"move_pages": 279, "migrate_pages": 256, "mbind": 237},
    "the machine": {"syslog": 103, "sysinfo": 99},
}  # fmt: skip
ALLOWED = {"read": 0, "write": 1, "mmap": 9, "exit": 60, "fork": 57, "openat": 257,
           "clock_nanosleep": 230, "prlimit64": 302, "getrandom": 318, "fcntl": 72}  # fmt: skip
EPERM, ENOSYS, EAGAIN = 1, 38, 11
X86, ARM, I386 = 0xC000003E, 0xC00000B7, 0x40000003


@pytest.fixture
def ask(monkeypatch):
    """What the filter answers to a call: "allowed", or the error's number (0 does nothing)."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    program = system_calls.filter_program()

    def run(number, *arguments, machine=X86):
        data = {0: number, 4: machine}
        for i, value in enumerate(arguments):
            data |= {16 + 8 * i: value & 0xFFFFFFFF, 20 + 8 * i: value >> 32}
        loaded = place = 0
        while True:
            operation, if_true, if_false, operand = program[place]
            place += 1
            if operation == 0x20:
                loaded = data.get(operand, 0)
            elif operation == 0x54:
                loaded &= operand
            elif operation == 0x06:
                return "allowed" if operand == 0x7FFF0000 else operand - 0x50000
            else:
                jumps = {0x15: loaded == operand, 0x35: loaded >= operand, 0x45: loaded & operand}
                place += if_true if jumps[operation] else if_false

    return run


def test_what_a_submission_needs_is_allowed(ask):
    assert {name: ask(number) for name, number in ALLOWED.items()} == dict.fromkeys(
        ALLOWED, "allowed"
    )


@pytest.mark.parametrize("what", REFUSED)
def test_ways_out_are_closed(ask, what):
    answers = {name: ask(number) for name, number in REFUSED[what].items()}
    assert answers == dict.fromkeys(answers, EPERM)


def test_calls_under_other_numbers_are_refused(ask):
    assert ask(0, machine=I386) == ask(0, machine=ARM) == EPERM
    assert ask(0x40000000) == ask(0x40000000 + 165) == EPERM  # x32


def test_a_process_may_fork_but_make_no_namespace(ask):
    clone, clone3 = 56, 435
    assert ask(clone, 0x01200011) == "allowed"
    for flag in (
        0x00020000,
        0x02000000,
        0x04000000,
        0x08000000,
        0x10000000,
        0x20000000,
        0x40000000,
    ):
        assert ask(clone, flag | 17) == EPERM
    assert ask(clone3) == ENOSYS, "its flags cannot be seen; the C library then takes clone"


def test_sockets_are_of_kinds_that_the_namespace_closes(ask):
    for call in (41, 53):
        assert [ask(call, family) for family in (1, 2, 10, 16)] == ["allowed"] * 4
        assert [ask(call, family) for family in (17, 40, 38, 3)] == [EPERM] * 4
    setsockopt = 54
    assert [ask(setsockopt, 3, 1, option) for option in (7, 8, 32, 33)] == [EPERM] * 4
    assert ask(setsockopt, 3, 1, 2) == ask(setsockopt, 3, 6, 7) == "allowed"


def test_nothing_is_told_through_a_shared_file(ask):
    fcntl, flock, ioctl, madvise = 72, 73, 16, 28
    assert ask(flock, 3, 2) == 0, "as if it were locked"
    assert [ask(fcntl, 3, command) for command in (6, 7, 37, 38)] == [0] * 4
    assert [ask(fcntl, 3, command) for command in (5, 36, 1024, 1025, 1026)] == [EPERM] * 5
    assert [ask(fcntl, 3, command) for command in (0, 1, 2, 3, 4, 1030)] == ["allowed"] * 6
    assert ask(ioctl, 3, 0xC020660B) == EPERM  # FS_IOC_FIEMAP
    assert ask(ioctl, 0, 0x5401) == "allowed"  # TCGETS
    assert ask(madvise, 0, 4096, 21) == EPERM
    assert ask(madvise, 0, 4096, 4) == "allowed"


def test_memory_that_no_process_shows_is_refused(ask):
    assert ask(9, 0, 4096, 3, 0x21) == EPERM
    assert ask(9, 0, 4096, 3, 0x22) == ask(9, 0, 4096, 3, 0x01) == "allowed"


def test_a_futex_is_a_process_s_own(ask):
    futex, private, clock = 202, 0x80, 0x100
    for command in (0, 9, 11):
        assert ask(futex, 0, command) == ask(futex, 0, command | clock) == EAGAIN
        assert ask(futex, 0, command | private) == "allowed"
    assert ask(futex, 0, 1) == "allowed"
    assert [ask(number) for number in (449, 454, 455, 456)] == [ENOSYS] * 4


def test_other_processors_go_without(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert system_calls.filter_program() == []
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert all(0 <= jump < 256 for step in system_calls.filter_program() for jump in step[1:3])

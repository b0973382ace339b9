"""Which system calls a student's code may make: an allow-list, as a seccomp filter of the kernel.

Python needs few of them to compute, to import modules and to answer. The rest is refused with
EPERM; what serves attacks on other processes or on the kernel alone ends the process. On another
architecture than these two no call is allowed at all.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
from collections.abc import Mapping
from typing import NamedTuple

#: seccomp_data: where the number, the architecture and the low half of an argument are.
_NR, _ARCH, _ARGS = 0, 4, 16
_LOAD, _RETURN = 0x20, 0x06
_IF_EQUAL, _IF_AT_LEAST, _IF_BITS = 0x15, 0x35, 0x45
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
REFUSE = ERRNO | errno.EPERM
#: Numbers from here on are x32's: the same calls with other numbers.
_X32 = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
#: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND and O_TMPFILE.
_TO_WRITE = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000
#: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC.
_FCNTL = (0, 1, 2, 3, 1030)

#: Calls by name, with their numbers on x86-64 and on aarch64; -1 where there is none.
_ALLOWED: Mapping[str, tuple[int, int]] = {
    # files that are open already, and reading others
    "read": (0, 63), "readv": (19, 65), "pread64": (17, 67), "lseek": (8, 62),
    "write": (1, 64), "writev": (20, 66), "close": (3, 57), "dup": (32, 23), "dup2": (33, -1),
    "dup3": (292, 24), "fstat": (5, 80), "newfstatat": (262, 79), "stat": (4, -1),
    "lstat": (6, -1), "statx": (332, 291), "access": (21, -1), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, -1), "readlinkat": (267, 78), "getcwd": (79, 17),
    "getdents64": (217, 61), "poll": (7, -1), "ppoll": (271, 73), "select": (23, -1),
    "pselect6": (270, 72),
    # memory of its own
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216),
    "madvise": (28, 233), "brk": (12, 214),
    # itself
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "futex": (202, 98),
    "sched_yield": (24, 124), "set_robust_list": (273, 99), "rseq": (334, 293),
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getrandom": (318, 278),
    "getrusage": (98, 165), "times": (100, 153), "uname": (63, 160), "exit": (60, 93),
    "exit_group": (231, 94),
    # the clock
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101), "gettimeofday": (96, 169), "time": (201, -1),
}  # fmt: skip
#: Allowed if an argument is right: the number of the argument, and what it must be.
_OPEN: Mapping[str, tuple[int, int]] = {"open": (2, -1), "openat": (257, 56)}
_WITH_ARGUMENT: Mapping[str, tuple[tuple[int, int], int, tuple[int, ...]]] = {
    "fcntl": ((72, 25), 1, _FCNTL),
    "prlimit64": ((302, 261), 0, (0,)),  # its own limits; they only go down
}
_DEADLY: Mapping[str, tuple[int, int]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "mount": (165, 40), "umount2": (166, 39), "move_mount": (429, 429), "open_tree": (428, 428),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "open_by_handle_at": (304, 265), "iopl": (172, -1),
    "ioperm": (173, -1), "modify_ldt": (154, -1),
}  # fmt: skip


class Machine(NamedTuple):
    """An architecture: its AUDIT_ARCH number, and the column of the tables."""

    audit: int
    column: int


MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(0xC000003E, 0),
    "aarch64": Machine(0xC00000B7, 1),
}


class Instruction(NamedTuple):
    """One of the filter: struct sock_filter."""

    code: int
    if_true: int
    if_false: int
    value: int


def is_known() -> bool:
    """There is a filter for this machine: a Linux of 64 bits, of a known architecture."""
    return sys.platform == "linux" and platform.machine() in MACHINES and sys.maxsize > 1 << 32


def rules(machine: str) -> list[Instruction]:
    """The filter for that architecture. Of an unknown one: whatever is called, it ends."""
    if machine not in MACHINES:
        return [Instruction(_RETURN, 0, 0, KILL)]
    audit, column = MACHINES[machine]
    made = [
        Instruction(_LOAD, 0, 0, _ARCH),
        *_unless(_IF_EQUAL, audit, KILL),
        Instruction(_LOAD, 0, 0, _NR),
        *_when(_IF_AT_LEAST, _X32, KILL),
    ]
    for numbers in _ALLOWED.values():
        made += _when(_IF_EQUAL, numbers[column], ALLOW) if numbers[column] >= 0 else []
    for name, numbers in _OPEN.items():
        made += _opening(numbers[column], 1 if name == "open" else 2)
    for numbers, argument, values in _WITH_ARGUMENT.values():
        made += _with_argument(numbers[column], argument, values)
    for numbers in _DEADLY.values():
        made += _when(_IF_EQUAL, numbers[column], KILL) if numbers[column] >= 0 else []
    return [*made, Instruction(_RETURN, 0, 0, REFUSE)]


def _when(test: int, value: int, action: int) -> list[Instruction]:
    return [Instruction(test, 0, 1, value), Instruction(_RETURN, 0, 0, action)]


def _unless(test: int, value: int, action: int) -> list[Instruction]:
    return [Instruction(test, 1, 0, value), Instruction(_RETURN, 0, 0, action)]


def _opening(number: int, argument: int) -> list[Instruction]:
    """Opening a file is allowed to read it."""
    if number < 0:
        return []
    inside = [
        Instruction(_LOAD, 0, 0, _ARGS + 8 * argument),
        *_when(_IF_BITS, _TO_WRITE, REFUSE),
        Instruction(_RETURN, 0, 0, ALLOW),
    ]
    return [Instruction(_IF_EQUAL, 0, len(inside), number), *inside]


def _with_argument(number: int, argument: int, values: tuple[int, ...]) -> list[Instruction]:
    inside = [Instruction(_LOAD, 0, 0, _ARGS + 8 * argument)]
    for value in values:
        inside += _when(_IF_EQUAL, value, ALLOW)
    inside.append(Instruction(_RETURN, 0, 0, REFUSE))
    return [Instruction(_IF_EQUAL, 0, len(inside), number), *inside]


class _Rule(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_uint16), ("filter", ctypes.POINTER(_Rule)))


def close() -> None:
    """From here on the filter holds, for good. OSError if the kernel will not have it."""
    made = rules(platform.machine())
    program = _Program(len(made), (_Rule * len(made))(*(_Rule(*rule) for rule in made)))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    prctl(_PR_SET_SECCOMP, _FILTER, ctypes.addressof(program))


def prctl(option: int, *values: int) -> None:
    """The call of that name. OSError if it is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *words):
        raise OSError(ctypes.get_errno(), f"prctl {option} is refused")

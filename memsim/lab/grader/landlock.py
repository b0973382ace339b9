"""Which files a student's code may read, where namespaces cannot be had: Landlock of the kernel.

NOT MODELLED: whether a file is there, and how large it is, can be asked of any path whose folders
may be searched; Landlock walls in what is read, not what is named.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from memsim.lab.grader.seccomp import prctl

#: landlock_create_ruleset() and the two that follow it; the same numbers everywhere.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
#: How many rights over files each ABI knows, from the first on.
_RIGHTS = (13, 14, 15, 15, 16)
_NO_TCP, _NO_SCOPE = 4, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The version that the kernel has; 0: none."""
    with suppress(OSError, AttributeError, ValueError):
        return _call(_CREATE, None, 0, _VERSION)
    return 0


def close(folders: Sequence[str]) -> None:
    """From here on only what is in these folders can be read, and nothing written. OSError if not.

    No TCP either, and no signal to other processes, where the kernel's Landlock has that.
    """
    version = abi()
    if not version:
        raise OSError("the kernel has no Landlock")
    ruleset = _ruleset(version)
    for folder in folders:
        _allow(ruleset, Path(folder))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _call(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _ruleset(version: int) -> int:
    rights = (1 << _RIGHTS[min(version, len(_RIGHTS)) - 1]) - 1
    net, scoped = 3 * (version >= _NO_TCP), 3 * (version >= _NO_SCOPE)
    size = 24 if scoped else 16 if net else 8
    return _call(_CREATE, ctypes.byref(_Ruleset(rights, net, scoped)), ctypes.c_size_t(size), 0)


def _allow(ruleset: int, path: Path) -> None:
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        try:
            _call(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(rights, handle)), 0)
        finally:
            os.close(handle)


def _call(number: int, *values: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    got = int(libc.syscall(ctypes.c_long(number), *values))
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got

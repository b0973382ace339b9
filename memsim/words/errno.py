"""What functions of the kernel return, negated, when they fail.

Kernel: include/uapi/asm-generic/errno-base.h
"""

from __future__ import annotations

EIO = 5
EAGAIN = 11
ENOMEM = 12
EBUSY = 16
EINVAL = 22
ENOSPC = 28
ERANGE = 34

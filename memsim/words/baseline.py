"""The kernel that memsim predicts. Every `Kernel:` reference means this tag unless it says (in vX.Y)."""

from __future__ import annotations

KERNEL_VERSION = "6.12.107"
KERNEL = "Linux 6.12.107, as Debian 13 ships it, x86-64, 4 KiB pages"

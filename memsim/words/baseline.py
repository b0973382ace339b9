"""The kernel that memsim predicts: what every `Kernel:` means unless it says (in vX.Y)."""

from __future__ import annotations

KERNEL_VERSION = "6.12.107"
KERNEL = "Linux 6.12.107, as Debian 13 ships it, x86-64, 4 KiB pages"

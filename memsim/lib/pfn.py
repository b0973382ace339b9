"""Page frame numbers and the physical addresses they stand for, in bytes.

Kernel: include/linux/pfn.h
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT


def PFN_PHYS(pfn: int) -> int:
    """Physical address of a page frame's first byte. Kernel: include/linux/pfn.h PFN_PHYS()."""
    return pfn << PAGE_SHIFT


def PHYS_PFN(address: int) -> int:
    """The page frame that holds a physical address. Kernel: include/linux/pfn.h PHYS_PFN()."""
    return address >> PAGE_SHIFT

"""What a swap device is: its slots.

Kernel: include/linux/swap.h
"""

from __future__ import annotations

from memsim.lib.flat import Bytes, zeroed_bytes
from memsim.mm.mmzone import Vm

#: A slot whose page is in the swap cache too. Kernel: include/linux/swap.h
SWAP_HAS_CACHE = 0x40
#: The slot that holds the device's header.
SWAP_MAP_BAD = 0x3F


class SwapInfo:
    """struct swap_info_struct: swap_map has a count for each slot, SWAP_HAS_CACHE besides.

    nr_swap_pages are free. Kernel: include/linux/swap.h
    """

    __slots__ = ("cluster_next", "nr_swap_pages", "swap_map", "total_swap_pages")

    def __init__(self, slots: int = 0) -> None:
        self.swap_map: Bytes = zeroed_bytes(max(slots, 1))
        self.swap_map[0] = SWAP_MAP_BAD
        self.nr_swap_pages = self.total_swap_pages = max(slots - 1, 0)
        self.cluster_next = 1


def get_nr_swap_pages(vm: Vm) -> int:
    """Slots that are free. Kernel: include/linux/swap.h get_nr_swap_pages()."""
    return vm.folios.swap.nr_swap_pages


def vm_swap_full(vm: Vm) -> bool:
    """Is more than half of swap in use? Kernel: include/linux/swap.h vm_swap_full()."""
    return vm.folios.swap.nr_swap_pages * 2 < vm.folios.swap.total_swap_pages

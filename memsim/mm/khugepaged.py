"""What transparent huge pages ask of the watermarks.

NOT MODELLED: khugepaged's own work, collapsing pages.

Kernel: mm/khugepaged.c
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.page_alloc.setup import (
    calculate_min_free_kbytes,
    nr_free_buffer_pages,
    setup_per_zone_wmarks,
)
from memsim.words.mmzone import MIGRATE_PCPTYPES, PAGE_SHIFT

#: hugepage_init() switches THP off on machines with less memory than this, in pages.
THP_MIN_RAM = 512 << 20 - PAGE_SHIFT


def recommended_min_free_kbytes(vm: Vm) -> int:
    """11 pageblocks for each zone up to NORMAL, at most 5 % of the memory there; in KiB.

    Two that are free, and for each of three types of page two that are free of others.
    Kernel: mm/khugepaged.c set_recommended_min_free_kbytes()
    """
    nr_zones = sum(1 for zone in populated_zones(vm) if zone.idx <= vm.arch.ZONE_NORMAL)
    blocks = nr_zones * (2 + MIGRATE_PCPTYPES * MIGRATE_PCPTYPES)
    pages = min(blocks << vm.pageblock_order, nr_free_buffer_pages(vm) // 20)
    return pages << (PAGE_SHIFT - 10)


def set_recommended_min_free_kbytes(vm: Vm, hugepage_pmd_enabled: bool) -> None:
    """Raise min_free_kbytes for THP, or, without THP, compute it anew.

    It is smaller then than at boot: high watermarks, which there were none of, are subtracted.
    Kernel: mm/khugepaged.c set_recommended_min_free_kbytes()
    """
    if hugepage_pmd_enabled:
        vm.min_free_kbytes = max(vm.min_free_kbytes, recommended_min_free_kbytes(vm))
    else:
        calculate_min_free_kbytes(vm)
    setup_per_zone_wmarks(vm)


def start_stop_khugepaged(vm: Vm, hugepage_pmd_enabled: bool) -> None:
    """What a write to /sys/kernel/mm/transparent_hugepage/enabled does here.

    hugepage_pmd_enabled: "always" or "madvise" was written, not "never".
    Kernel: mm/khugepaged.c start_stop_khugepaged()
    """
    set_recommended_min_free_kbytes(vm, hugepage_pmd_enabled)


def hugepage_init(vm: Vm, hugepage_pmd_enabled: bool) -> None:
    """Boot: start khugepaged, where the kernel has THP and the machine 512 MiB or more.

    Kernel: mm/huge_memory.c hugepage_init()
    """
    totalram_pages = sum(zone.managed_pages for zone in vm.zones)
    if vm.arch.transparent_hugepage and totalram_pages >= THP_MIN_RAM:
        start_stop_khugepaged(vm, hugepage_pmd_enabled)

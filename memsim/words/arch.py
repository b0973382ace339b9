"""What a configuration fixes: its zones, the size of a pageblock, the cost of a struct page.

Kernel: include/linux/mmzone.h enum zone_type, include/linux/gfp.h GFP_ZONE_TABLE,
include/linux/pageblock-flags.h, mm/page_alloc.c zone_names[], sysctl_lowmem_reserve_ratio[]
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.words.mmzone import (
    PAGEBLOCK_ORDER,
    SIZEOF_STRUCT_PAGE,
    ZONE_DEVICE,
    ZONE_DMA,
    ZONE_DMA32,
    ZONE_MOVABLE,
    ZONE_NORMAL,
)

#: A zone that this configuration has not.
NO_ZONE = -1


class Arch(NamedTuple):
    """One configuration. Zone indexes are NO_ZONE where it has no such zone.

    gfp_zone_table: the highest zone for each value of the four zone bits, -1 for GFP_ZONE_BAD.
    max_zone_pfns: the pfn behind each zone's last possible one, for zones that have a border.
    """

    name: str
    zone_names: tuple[str, ...]
    ZONE_DMA32: int
    ZONE_NORMAL: int
    ZONE_HIGHMEM: int
    ZONE_MOVABLE: int
    ZONE_DEVICE: int
    lowmem_reserve_ratio: tuple[int, ...]
    gfp_zone_table: tuple[int, ...]
    max_zone_pfns: tuple[int, ...]
    pageblock_order: int
    sizeof_struct_page: int
    transparent_hugepage: bool
    deferred_struct_page_init: bool

    @property
    def MAX_NR_ZONES(self) -> int:
        """How many zones each node has, empty ones too."""
        return len(self.zone_names)


#: The reference. Without CONFIG_HIGHMEM, __GFP_HIGHMEM alone means NORMAL.
X86_64 = Arch(
    name="x86-64",
    zone_names=("DMA", "DMA32", "Normal", "Movable", "Device"),
    ZONE_DMA32=ZONE_DMA32,
    ZONE_NORMAL=ZONE_NORMAL,
    ZONE_HIGHMEM=NO_ZONE,
    ZONE_MOVABLE=ZONE_MOVABLE,
    ZONE_DEVICE=ZONE_DEVICE,
    lowmem_reserve_ratio=(256, 256, 32, 0, 0),
    gfp_zone_table=(
        ZONE_NORMAL, ZONE_DMA, ZONE_NORMAL, -1, ZONE_DMA32, -1, -1, -1,
        ZONE_NORMAL, ZONE_DMA, ZONE_MOVABLE, -1, ZONE_DMA32, -1, -1, -1,
    ),
    max_zone_pfns=(0x1000, 0x100000, 1 << 40),
    pageblock_order=PAGEBLOCK_ORDER,
    sizeof_struct_page=SIZEOF_STRUCT_PAGE,
    transparent_hugepage=True,
    deferred_struct_page_init=True,
)  # fmt: skip

#: x86 with 32 bits, without PAE: NORMAL ends at 896 MiB, __GFP_DMA32 means NORMAL, a huge page
#: is 4 MiB, and there are no transparent ones. NOT MODELLED: options that enlarge struct page.
X86_32 = Arch(
    name="x86-32",
    zone_names=("DMA", "Normal", "HighMem", "Movable"),
    ZONE_DMA32=NO_ZONE,
    ZONE_NORMAL=1,
    ZONE_HIGHMEM=2,
    ZONE_MOVABLE=3,
    ZONE_DEVICE=NO_ZONE,
    lowmem_reserve_ratio=(256, 32, 0, 0),
    gfp_zone_table=(1, 0, 2, -1, 1, -1, -1, -1, 1, 0, 3, -1, 1, -1, -1, -1),
    max_zone_pfns=(0x1000, 0x38000, 0x100000),
    pageblock_order=10,
    sizeof_struct_page=32,
    transparent_hugepage=False,
    deferred_struct_page_init=False,
)

ARCHES = (X86_64, X86_32)


def arch_of(name: str) -> Arch | None:
    """The configuration of this name; None when there is none."""
    return next((arch for arch in ARCHES if arch.name == name), None)

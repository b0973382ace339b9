"""A machine in words and numbers: how much RAM, where, and what the kernel keeps for itself.

The layout is a PC's: a hole at 640 KiB, RAM up to 3 GiB, a hole for devices, the rest from 4 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from memsim.lib.bits import PAGE_SHIFT, align_down, align_up, nr_pages_of
from memsim.lib.sizes import parse_size
from memsim.mm.mm_init import ZoneRange, boot, init_cma_reserved_pageblock, zone_ranges_of_ram
from memsim.mm.mmzone import Vm, populated_zones
from memsim.mm.page_alloc.setup import (
    setup_per_zone_lowmem_reserve,
    setup_per_zone_wmarks,
    zone_pcp_disable,
)
from memsim.trace.trace import Trace
from memsim.words.errors import BadDescription
from memsim.words.mmzone import MAX_NR_ZONES, SIZEOF_STRUCT_PAGE, ZONE_NORMAL

_MIB = 1 << 20
_GIB = 1 << 30
_HOLE_START = 0x9F
_HOLE_END = 0x100
_LOW_RAM_END = 3 * _GIB >> PAGE_SHIFT
_HIGH_RAM_START = 4 * _GIB >> PAGE_SHIFT
_KERNEL_START = 16 * _MIB >> PAGE_SHIFT

#: The smallest and largest machine: 16 MiB, where a PC's zones make sense, and 4 TiB.
MIN_RAM = 16 * _MIB
MAX_RAM = 4096 * _GIB
MAX_CPUS = 512
#: The largest single zone of of_pages(): 4 GiB.
MAX_SMALL_PAGES = 1 << 20

Range = tuple[int, int]


@dataclass(frozen=True)
class Description:
    """What a Machine is made of. Sizes are bytes or text such as "16 GiB"."""

    ram: int | str = "1 GiB"
    cpus: int = 1
    cma: int | str = 0
    min_free_kbytes: int | None = None
    watermark_scale_factor: int = 10
    pcp: bool = True


def boot_vm(description: Description, trace: Trace) -> Vm:
    """The Vm that a description boots. BadDescription says what cannot be.

    NOT MODELLED: what a real kernel keeps. Here it is 40 MiB (an eighth of small machines) from
    16 MiB on, the first MiB's odds and ends, and struct page for each page at the end of RAM.
    """
    ram = _size(description.ram, "ram", MIN_RAM, MAX_RAM)
    _check(description)
    ranges = ram_ranges(ram >> PAGE_SHIFT)
    vm = Vm(ranges[-1][1], description.cpus, MAX_NR_ZONES, trace, cma=bool(description.cma))
    vm.watermark_scale_factor = description.watermark_scale_factor
    if description.min_free_kbytes is not None:
        vm.user_min_free_kbytes = description.min_free_kbytes
    zones = [zone for start, end in ranges for zone in zone_ranges_of_ram(0, start, end)]
    boot(vm, 1, zones, free_ranges(ranges, ram))
    if description.min_free_kbytes is not None:
        set_min_free_kbytes(vm, description.min_free_kbytes)
    if description.cma:
        _lend_to_cma(vm, _size(description.cma, "cma", 0, ram // 2), free_ranges(ranges, ram))
    if not description.pcp:
        for zone in populated_zones(vm):
            zone_pcp_disable(zone)
    return vm


def of_pages(nr_pages: int, start_pfn: int, cpus: int, pcp: bool, trace: Trace) -> Vm:
    """One zone, Normal, of nr_pages free pages from start_pfn, without watermarks."""
    _whole("nr_pages", nr_pages, 1, MAX_SMALL_PAGES)
    _whole("start_pfn", start_pfn, 0, MAX_SMALL_PAGES)
    _check(Description(cpus=cpus))
    end = start_pfn + nr_pages
    vm = Vm(end, cpus, MAX_NR_ZONES, trace)
    vm.watermark_scale_factor = 0
    boot(vm, 1, [ZoneRange(0, ZONE_NORMAL, start_pfn, end)], [(start_pfn, end)])
    set_min_free_kbytes(vm, 0)
    if not pcp:
        for zone in populated_zones(vm):
            zone_pcp_disable(zone)
    return vm


def set_min_free_kbytes(vm: Vm, min_free_kbytes: int) -> None:
    """What writing /proc/sys/vm/min_free_kbytes does.

    Kernel: mm/page_alloc.c min_free_kbytes_sysctl_handler()
    """
    vm.user_min_free_kbytes = vm.min_free_kbytes = min_free_kbytes
    setup_per_zone_wmarks(vm)
    setup_per_zone_lowmem_reserve(vm)


def _check(description: Description) -> None:
    """The numbers that are not sizes."""
    _whole("cpus", description.cpus, 1, MAX_CPUS)
    _whole("watermark_scale_factor", description.watermark_scale_factor, 0, 3000)
    if description.min_free_kbytes is not None:
        _whole("min_free_kbytes", description.min_free_kbytes, 0, 1 << 30)


def _whole(name: str, value: object, minimum: int, maximum: int) -> None:
    if not isinstance(value, int):
        raise BadDescription(f"{name}={str(value)[:40]!r}: should be a whole number")
    if not minimum <= value <= maximum:
        shown = value if abs(value) < 1 << 64 else "a huge number"
        raise BadDescription(f"{name}={shown}: should be {minimum} to {maximum}")


def _size(size: int | str, name: str, minimum: int, maximum: int) -> int:
    try:
        value = parse_size(size)
    except ValueError as error:
        raise BadDescription(f"{name}={error}") from None
    if not minimum <= value <= maximum:
        raise BadDescription(
            f"{name}={str(size)[:40]!r}: should be {minimum >> 20} MiB to {maximum >> 20} MiB"
        )
    return value


def ram_ranges(nr_pages: int) -> list[Range]:
    """Where nr_pages of RAM lie: pfn ranges [start, end). pfn 0 belongs to the firmware."""
    low_end = min(nr_pages, _LOW_RAM_END)
    ranges = [(1, _HOLE_START), (_HOLE_END, low_end)]
    if nr_pages > low_end:
        ranges.append((_HIGH_RAM_START, _HIGH_RAM_START + nr_pages - low_end))
    return ranges


def free_ranges(ranges: list[Range], ram: int) -> list[Range]:
    """RAM without the kernel's image and without the struct pages."""
    memmap_pages = nr_pages_of((ram >> PAGE_SHIFT) * SIZEOF_STRUCT_PAGE)
    image_pages = min(40 * _MIB, ram // 8) >> PAGE_SHIFT
    free: list[Range] = []
    for start, end in ranges:
        if start <= _KERNEL_START < end:
            free += [(start, _KERNEL_START), (_KERNEL_START + image_pages, end)]
        else:
            free.append((start, end))
    start, end = free.pop()
    free.append((start, max(start, end - memmap_pages)))
    return [(start, end) for start, end in free if start < end]


def _lend_to_cma(vm: Vm, size: int, free: list[Range]) -> None:
    """Make the last pageblocks of the largest free range a CMA area of this size, rounded up."""
    pageblock_nr_pages = 1 << vm.pageblock_order
    first, last = max(free, key=lambda pfns: pfns[1] - pfns[0])
    end = align_down(last, pageblock_nr_pages)
    start = end - align_up(nr_pages_of(size), pageblock_nr_pages)
    if start < first:
        room = max(0, end - align_up(first, pageblock_nr_pages)) >> (20 - PAGE_SHIFT)
        raise BadDescription(f"cma={size >> 20} MiB: only {room} MiB are free in one piece")
    for pfn in range(start, end, pageblock_nr_pages):
        init_cma_reserved_pageblock(vm, pfn)

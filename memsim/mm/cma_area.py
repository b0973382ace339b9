"""CMA areas: memory set aside at boot, lent to movable pages until somebody wants it in one piece.

An area keeps a bitmap: a bit for each 2**order_per_bit pages, set while they are allocated.

Kernel: mm/cma.c cma_activate_area() to cma_declare_contiguous_nid()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, align_up
from memsim.mm.journal import set_page_state, set_pageblock_migratetype
from memsim.mm.memblock.add import memblock_reserve
from memsim.mm.memblock.alloc import memblock_alloc_range_nid
from memsim.mm.memblock.region import Memblock, memblock_is_region_reserved
from memsim.mm.memblock.remove import memblock_phys_free
from memsim.mm.mmzone import PG_INUSE, Vm, page_zone
from memsim.mm.page_alloc.free import free_unref_page
from memsim.trace.compaction_steps import CMA_BITS
from memsim.trace.events import TP_STEPS
from memsim.words.errno import EBUSY, EINVAL, ENOMEM, ENOSPC

#: CONFIG_CMA_AREAS of a machine with NUMA.
MAX_CMA_AREAS = 20
CMA_MAX_NAME = 64
_GIB4 = 1 << 32
_MIB = 1 << 20


class Cma:
    """struct cma: `count` pages from base_pfn; `bitmap` has a byte, 0 or 1, for each bit."""

    __slots__ = ("base_pfn", "bitmap", "count", "name", "order_per_bit")

    def __init__(self, base_pfn: int, count: int, order_per_bit: int, name: str) -> None:
        self.base_pfn = base_pfn
        self.count = count
        self.order_per_bit = order_per_bit
        self.name = name
        self.bitmap = bytearray(count >> order_per_bit)


class CmaRequest:
    """What cma_declare_contiguous_nid() is asked for; sizes and addresses are bytes.

    base, limit: 0 for any. fixed: at base and nowhere else. alignment: a power of two, or 0.
    """

    __slots__ = ("alignment", "base", "fixed", "limit", "name", "order_per_bit", "size")

    def __init__(
        self,
        size: int,
        *,
        base: int = 0,
        limit: int = 0,
        alignment: int = 0,
        order_per_bit: int = 0,
        fixed: bool = False,
        name: str = "",
    ) -> None:
        self.size = size
        self.base = base
        self.limit = limit
        self.alignment = alignment
        self.order_per_bit = order_per_bit
        self.fixed = fixed
        self.name = name


def cma_init_reserved_mem(
    memblock: Memblock, areas: list[Cma], base: int, size: int, order_per_bit: int, name: str
) -> int:
    """Make an area of memory that is reserved already: 0, -ENOSPC or -EINVAL.

    Its start and its size must be multiples of a pageblock. Kernel: mm/cma.c
    """
    if len(areas) == MAX_CMA_AREAS:
        memblock.log.append("cma: Not enough slots for CMA reserved regions!")
        return -ENOSPC
    if not size or not memblock_is_region_reserved(memblock, base, size):
        return -EINVAL
    if (base | size) & (CMA_MIN_ALIGNMENT_BYTES - 1):
        return -EINVAL
    # without a name the kernel's format string ends the name with a newline
    name = name[: CMA_MAX_NAME - 1] or f"cma{len(areas)}\n"
    areas.append(Cma(base >> PAGE_SHIFT, size >> PAGE_SHIFT, order_per_bit, name))
    return 0


#: A pageblock of x86-64.
CMA_MIN_ALIGNMENT_BYTES = PAGE_SIZE << 9


def cma_declare_contiguous_nid(
    memblock: Memblock, areas: list[Cma], request: CmaRequest, nid: int
) -> int:
    """Reserve memory for an area: 0 and one more in areas, or the kernel's error.

    Base and size are rounded up to the alignment, which is a pageblock at least; a fixed base that
    is not aligned is refused. What the kernel logs is in memblock.log.
    NOT MODELLED: high memory. Kernel: mm/cma.c cma_declare_contiguous_nid()
    """
    if len(areas) == MAX_CMA_AREAS:
        memblock.log.append("cma: Not enough slots for CMA reserved regions!")
        return -ENOSPC
    alignment = request.alignment
    if not request.size or alignment & (alignment - 1):
        return -EINVAL
    alignment = max(alignment, CMA_MIN_ALIGNMENT_BYTES)
    if request.fixed and request.base & (alignment - 1):
        text = f"Region at {request.base:#018x} must be aligned to {alignment:#018x} bytes"
        return _failed(memblock, request.size, nid, -EINVAL, text)
    size = align_up(request.size, alignment)
    if (size >> PAGE_SHIFT) % (1 << request.order_per_bit):
        return -EINVAL
    base = align_up(request.base, alignment)
    memblock_end = memblock.memory.regions[-1].end
    limit = request.limit & -alignment
    limit = min(limit or memblock_end, memblock_end)
    if base + size > limit:
        text = f"Size ({size:#018x}) of region at {base:#018x} exceeds limit ({limit:#018x})"
        return _failed(memblock, size, nid, -EINVAL, text)
    ret, base = _reserve(memblock, request.fixed and base > 0, base, size, limit, alignment, nid)
    if ret:
        return _failed(memblock, size, nid, ret)
    ret = cma_init_reserved_mem(memblock, areas, base, size, request.order_per_bit, request.name)
    if ret:
        memblock_phys_free(memblock, base, size)
        return _failed(memblock, size, nid, ret)
    memblock.log.append(f"cma: Reserved {size // _MIB} MiB at {base:#018x} on node {nid}")
    return 0


def _failed(memblock: Memblock, size: int, nid: int, ret: int, text: str = "") -> int:
    """What the kernel logs of a failure."""
    if text:
        memblock.log.append(f"cma: {text}")
    memblock.log.append(f"cma: Failed to reserve {size // _MIB} MiB on node {nid}")
    return ret


def _reserve(
    memblock: Memblock, fixed: bool, base: int, size: int, limit: int, alignment: int, nid: int
) -> tuple[int, int]:
    """(0 or an error, where): at base if fixed, else bottom-up above 4 GiB, else top-down."""
    if fixed:
        taken = memblock_is_region_reserved(memblock, base, size)
        return (-EBUSY if taken or memblock_reserve(memblock, base, size) < 0 else 0), base
    addr = 0
    if not memblock.bottom_up and memblock.memory.regions[-1].end >= _GIB4 + size:
        memblock.bottom_up = True
        addr = memblock_alloc_range_nid(memblock, size, alignment, _GIB4, limit, nid, True)
        memblock.bottom_up = False
    if not addr:
        addr = memblock_alloc_range_nid(memblock, size, alignment, base, limit, nid, True)
    return (0, addr) if addr else (-ENOMEM, 0)


def cma_init_reserved_areas(vm: Vm) -> None:
    """Lend every area to the buddy allocator. Kernel: mm/cma.c cma_init_reserved_areas()."""
    for cma in vm.cma_areas:
        cma_activate_area(vm, cma)


def cma_activate_area(vm: Vm, cma: Cma) -> None:
    """Lend an area: each of its pageblocks becomes MIGRATE_CMA and is freed.

    An area that lies in two zones is freed page by page as ordinary memory, and counts 0 pages.
    Kernel: mm/cma.c cma_activate_area()
    """
    zones = {page_zone(vm, pfn) for pfn in (cma.base_pfn, cma.base_pfn + cma.count - 1)}
    if len(zones) > 1 or None in zones:
        for pfn in range(cma.base_pfn, cma.base_pfn + cma.count):
            _free_reserved(vm, pfn, 0)
        cma.count = 0
        cma.bitmap = bytearray()
        return
    vm.system_ram = [*vm.system_ram, (cma.base_pfn, cma.base_pfn + cma.count)]
    for pfn in range(cma.base_pfn, cma.base_pfn + cma.count, vm.pageblock_nr_pages):
        zone = page_zone(vm, pfn)
        assert zone is not None
        set_pageblock_migratetype(zone, pfn, vm.MIGRATE_CMA)
        _free_reserved(vm, pfn, vm.pageblock_order)


def _free_reserved(vm: Vm, pfn: int, order: int) -> None:
    """A reserved block becomes managed: it is freed as any other.

    Kernel: mm/mm_init.c init_cma_reserved_pageblock(), mm/page_alloc.c free_reserved_page()
    """
    zone = page_zone(vm, pfn)
    assert zone is not None
    set_page_state(zone, pfn, 1, PG_INUSE | order)
    free_unref_page(vm, pfn, order)
    zone.managed_pages += 1 << order


def cma_bitmap_aligned_mask(cma: Cma, align_order: int) -> int:
    """One bit less than the alignment, in bits. Kernel: mm/cma.c cma_bitmap_aligned_mask()."""
    return 0 if align_order <= cma.order_per_bit else (1 << align_order - cma.order_per_bit) - 1


def cma_bitmap_aligned_offset(cma: Cma, align_order: int) -> int:
    """How far base_pfn lies above an aligned pfn, in bits. Kernel: cma_bitmap_aligned_offset()."""
    return (cma.base_pfn & (1 << align_order) - 1) >> cma.order_per_bit


def cma_bitmap_pages_to_bits(cma: Cma, pages: int) -> int:
    """Bits that stand for so many pages. Kernel: mm/cma.c cma_bitmap_pages_to_bits()."""
    return align_up(pages, 1 << cma.order_per_bit) >> cma.order_per_bit


def bitmap_find_next_zero_area_off(
    bitmap: bytearray, start: int, nr: int, align_mask: int, align_offset: int
) -> int:
    """The first bit of nr clear ones, aligned, from start on; -1: there are none.

    Kernel: lib/bitmap.c bitmap_find_next_zero_area_off(), which returns a number too high
    """
    while True:
        index = bitmap.find(0, start)
        if index < 0:
            return -1
        index = ((index + align_offset + align_mask) & ~align_mask) - align_offset
        if index + nr > len(bitmap):
            return -1
        taken = bitmap.find(1, index, index + nr)
        if taken < 0:
            return index
        start = taken + 1


def set_cma_bits(vm: Vm, cma: Cma, start: int, nr_bits: int, value: int) -> None:
    """Set or clear bits of an area; a step for each run of bits that change."""
    while nr_bits > 0:
        old = cma.bitmap[start]
        run = 1
        while run < nr_bits and cma.bitmap[start + run] == old:
            run += 1
        if old != value and vm.trace.mask & TP_STEPS:
            vm.trace.step(CMA_BITS, vm.cma_areas.index(cma), start, run, old, value)
        cma.bitmap[start : start + run] = bytes((value,)) * run
        start += run
        nr_bits -= run

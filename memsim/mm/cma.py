"""cma_alloc(): a range of a CMA area, whoever has borrowed its pages; and back again.

Kernel: mm/cma.c __cma_alloc(), cma_release()
"""

from __future__ import annotations

from memsim.mm.cma_area import (
    Cma,
    bitmap_find_next_zero_area_off,
    cma_bitmap_aligned_mask,
    cma_bitmap_aligned_offset,
    cma_bitmap_pages_to_bits,
    set_cma_bits,
)
from memsim.mm.contig import alloc_contig_range, free_contig_range
from memsim.mm.mmzone import Vm
from memsim.trace.compaction_events import (
    CMA_ALLOC_BUSY_RETRY,
    CMA_ALLOC_FINISH,
    CMA_ALLOC_START,
    CMA_RELEASE,
)
from memsim.trace.events import TP_COMPACTION
from memsim.words.errno import EBUSY, ENOMEM
from memsim.words.gfp import __GFP_NOWARN, GFP_KERNEL
from memsim.words.mmzone import NULL


def cma_alloc(vm: Vm, cma: Cma, count: int, align: int, no_warn: bool) -> tuple[int, int]:
    """(first pfn of count pages aligned to order `align`, 0), or (NULL, the kernel's error).

    A range that cannot be emptied is given up for the next one behind it.
    NOT MODELLED: what the kernel logs of a failure.
    Kernel: mm/cma.c __cma_alloc(). Cost: pages of the ranges tried, and of what moves.
    """
    gfp = GFP_KERNEL | (__GFP_NOWARN if no_warn else 0)
    tracing = vm.trace.mask & TP_COMPACTION
    name = vm.trace.number_of(cma.name)
    if tracing:
        vm.trace.emit(CMA_ALLOC_START, name, count, align)
    bits = cma_bitmap_pages_to_bits(cma, count)
    if not count or bits > len(cma.bitmap):
        return NULL, -ENOMEM
    mask, offset = cma_bitmap_aligned_mask(cma, align), cma_bitmap_aligned_offset(cma, align)
    pfn, page, ret, start = -1, NULL, -ENOMEM, 0
    while True:
        bitmap_no = bitmap_find_next_zero_area_off(cma.bitmap, start, bits, mask, offset)
        if bitmap_no < 0:
            break
        set_cma_bits(vm, cma, bitmap_no, bits, 1)
        pfn = cma.base_pfn + (bitmap_no << cma.order_per_bit)
        ret = alloc_contig_range(vm, pfn, pfn + count, vm.MIGRATE_CMA, gfp)
        if ret == 0:
            page = pfn
            break
        set_cma_bits(vm, cma, bitmap_no, bits, 0)
        if ret != -EBUSY:
            break
        if tracing:
            vm.trace.emit(CMA_ALLOC_BUSY_RETRY, name, pfn, pfn, count, align)
        start = bitmap_no + mask + 1
    if tracing:
        vm.trace.emit(CMA_ALLOC_FINISH, name, pfn, page, count, align, ret)
    return page, ret


def cma_release(vm: Vm, cma: Cma, pfn: int, count: int) -> bool:
    """Give pages of cma_alloc() back; False when they are not the area's.

    Kernel: mm/cma.c cma_release()
    """
    if not cma.base_pfn <= pfn < cma.base_pfn + cma.count:
        return False
    free_contig_range(vm, pfn, count)
    bit = (pfn - cma.base_pfn) >> cma.order_per_bit
    set_cma_bits(vm, cma, bit, cma_bitmap_pages_to_bits(cma, count), 0)
    if vm.trace.mask & TP_COMPACTION:
        vm.trace.emit(CMA_RELEASE, vm.trace.number_of(cma.name), pfn, pfn, count)
    return True

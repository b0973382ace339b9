"""Slabs from pages, and pages back from slabs.

Kernel: mm/slub.c alloc_slab_page() to discard_slab()
"""

from __future__ import annotations

from memsim.mm.mempolicy import alloc_pages_noprof
from memsim.mm.mmzone import page_zone
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.slub.debug_check import check_all_objects, clear_memory, setup_slab_debug
from memsim.mm.slub.debug_report import warn_on_once
from memsim.mm.slub.freelist import init_freelist
from memsim.mm.slub.slab import KmemCache, Slab, SlabState, kmem_cache_debug
from memsim.mm.slub.update import clear_slab, count_slab
from memsim.trace.events import TP_STEPS
from memsim.trace.steps import NEW_SLAB, SLAB_GONE
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_DMA32,
    __GFP_FS,
    __GFP_HARDWALL,
    __GFP_HIGH,
    __GFP_HIGHMEM,
    __GFP_IO,
    __GFP_MEMALLOC,
    __GFP_NOFAIL,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_RECLAIM,
    __GFP_RETRY_MAYFAIL,
    __GFP_THISNODE,
    __GFP_ZERO,
    show_gfp_flags,
)
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE, SLAB_CONSISTENCY_CHECKS

#: What of a request's mask reaches the page allocator. Kernel: mm/internal.h
GFP_RECLAIM_MASK = (
    __GFP_RECLAIM | __GFP_HIGH | __GFP_IO | __GFP_FS | __GFP_NOWARN | __GFP_RETRY_MAYFAIL
    | __GFP_NOFAIL | __GFP_NORETRY | __GFP_MEMALLOC | __GFP_NOMEMALLOC
)  # fmt: skip
GFP_CONSTRAINT_MASK = __GFP_HARDWALL | __GFP_THISNODE
#: What no request for objects or for kmalloc may ask.
GFP_SLAB_BUG_MASK = __GFP_DMA32 | __GFP_HIGHMEM


def new_slab(s: KmemCache, gfpflags: int, nid: int) -> Slab | None:
    """A slab with all objects free, on no list; None if there are no pages.

    Kernel: mm/slub.c new_slab()
    """
    if gfpflags & GFP_SLAB_BUG_MASK:
        gfpflags = kmalloc_fix_flags(s.vm.slab, gfpflags)
    if s.ctor and gfpflags & __GFP_ZERO:
        warn_on_once(s.vm, "mm/slub.c:2697 new_slab")
    return allocate_slab(s, gfpflags & (GFP_RECLAIM_MASK | GFP_CONSTRAINT_MASK), nid)


def kmalloc_fix_flags(state: SlabState, flags: int) -> int:
    """The mask without what it must not have, of which the kernel complains.

    NOT MODELLED: dump_stack(). Kernel: mm/slab_common.c kmalloc_fix_flags()
    """
    fixed = flags & ~GFP_SLAB_BUG_MASK
    shown = [f"{f:#x} ({show_gfp_flags(f)})" for f in (flags & GFP_SLAB_BUG_MASK, fixed)]
    state.log.append(f"Unexpected gfp: {shown[0]}. Fixing up to gfp: {shown[1]}. Fix your code!")
    return fixed


def allocate_slab(s: KmemCache, flags: int, nid: int) -> Slab | None:
    """Pages of the cache's order, or, when they are short, of the smallest that holds an object.

    NOT MODELLED: the charge of objects, and obj_ext arrays: slabs have them where there is a cgroup
    besides the root, as memcg_kmem_online() tells, and in no recording it does.
    Kernel: mm/slub.c allocate_slab(), account_slab(), alloc_slab_obj_exts()
    """
    for gfp_mask, order in page_requests(s, flags):
        pfn = alloc_slab_page(s, gfp_mask, nid, order)
        if pfn != NULL:
            return make_slab(s, pfn, order)
    return None


def page_requests(s: KmemCache, flags: int) -> list[tuple[int, int]]:
    """(gfp_mask, order) of what a new slab asks the page allocator for, one after the other."""
    flags |= s.allocflags
    alloc_gfp = (flags | __GFP_NOWARN | __GFP_NORETRY) & ~__GFP_NOFAIL
    if alloc_gfp & __GFP_DIRECT_RECLAIM and s.oo[0] > s.min[0]:
        alloc_gfp = (alloc_gfp | __GFP_NOMEMALLOC) & ~__GFP_RECLAIM
    return [(alloc_gfp, s.oo[0]), (flags, s.min[0])]


def alloc_slab_page(s: KmemCache, flags: int, nid: int, order: int) -> int:
    """A block of pages from the page allocator; for no node it is the task's policy that chooses.

    Kernel: mm/slub.c alloc_slab_page()
    """
    if nid == NUMA_NO_NODE:
        return alloc_pages_noprof(s.vm, flags, order)
    return alloc_pages(s.vm, flags, order, nid)


def make_slab(s: KmemCache, pfn: int, order: int) -> Slab:
    """A slab of these pages, all its objects on its freelist."""
    zone = page_zone(s.vm, pfn)
    assert zone is not None
    slab = s.vm.slab.add(s, pfn, order, zone.node)
    if s.vm.trace.mask & TP_STEPS:
        s.vm.trace.step(NEW_SLAB, s.id, zone.node, pfn, order)
    if kmem_cache_debug(s):
        setup_slab_debug(s, slab)
    init_freelist(s, slab)
    return slab


def discard_slab(s: KmemCache, slab: Slab) -> None:
    """Give an empty slab's pages back.

    NOT MODELLED: that caches with SLAB_TYPESAFE_BY_RCU wait for a grace period first.
    Kernel: mm/slub.c discard_slab(), free_slab(), __free_slab()
    """
    count_slab(s, slab, -1)
    if s.flags & SLAB_CONSISTENCY_CHECKS:
        check_all_objects(s, slab)
    if slab.memory is not None:
        clear_memory(s, slab)
    clear_slab(slab)
    if s.vm.trace.mask & TP_STEPS:
        s.vm.trace.step(SLAB_GONE, s.id, slab.nid, slab.pfn, slab.order)
    s.vm.slab.remove(slab)
    if s.vm.slab.give_back is None:
        free_unref_page(s.vm, slab.pfn, slab.order)
    else:
        s.vm.slab.give_back(slab)

"""kmalloc(): memory of any size, from caches of fixed sizes, or pages where it is large.

Kernel: mm/slub.c __do_kmalloc_node(), kfree(); mm/slab_common.c krealloc_noprof(), ksize()
"""

from __future__ import annotations

import re

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, get_order, signed
from memsim.mm.kmalloc_caches import kmalloc_slab
from memsim.mm.mempolicy import alloc_pages_noprof
from memsim.mm.mmzone import PG_INUSE, PG_ORDER, Vm, page_zone
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.debug_track import called_from, skip_orig_size_check
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.kmem_cache import (
    address_of,
    object_at,
    virt_to_slab,
)
from memsim.mm.slub.memory import ptr_to_obj, read_bytes, write_bytes
from memsim.mm.slub.pages import GFP_SLAB_BUG_MASK, kmalloc_fix_flags
from memsim.mm.slub.slab import KmemCache, SlabState, obj_to_index
from memsim.trace.events import KFREE, KMALLOC, TP_KFREE, TP_KMALLOC
from memsim.words.errno import EINVAL
from memsim.words.gfp import (
    __GFP_COMP,
    __GFP_NOFAIL,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_RETRY_MAYFAIL,
    __GFP_ZERO,
    GFP_KERNEL,
)
from memsim.words.mmzone import MAX_PAGE_ORDER, NULL
from memsim.words.slab import (
    KMALLOC_MAX_CACHE_SIZE,
    KMALLOC_MAX_SIZE,
    NULL_PTR,
    NUMA_NO_NODE,
    PAGE_OFFSET,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TYPESAFE_BY_RCU,
    ZERO_SIZE_PTR,
)

_ADDRESS = re.compile("0x[0-9a-f]{1,16}")

#: Call sites in the recorded kernel: from where a large request traces a first time, and kvmalloc.
KMALLOC_HELPER = "__kmalloc_noprof+0x2e2/0x400"
KMALLOC_NODE_HELPER = "__kmalloc_node_noprof+0x34a/0x430"
KMALLOC_TRACK_HELPER = "__kmalloc_node_track_caller_noprof+0x34a/0x430"
KVMALLOC_SITE = "__kvmalloc_node_noprof+0x37/0xd0"


def caller_of(vm: Vm, call_site: int) -> int:
    """The address that a call site's number stands for.

    NOT MODELLED: where functions lie: a caller that is known by its name has address 0.
    """
    name = vm.trace.names[call_site]
    return int(name, 16) if _ADDRESS.fullmatch(name) else 0


def kmalloc(
    vm: Vm,
    size: int,
    gfp_mask: int,
    node: int = NUMA_NO_NODE,
    buckets: int = -1,
    call_site: int = 0,
) -> int:
    """The address of size bytes, of ZERO_SIZE_PTR for none, or NULL_PTR.

    buckets: a set that kmem_buckets_create() made, or -1. call_site: a number of Trace.names.
    The event is fired at the end. Kernel: mm/slub.c __do_kmalloc_node()
    """
    helper = KMALLOC_HELPER if node == NUMA_NO_NODE else KMALLOC_NODE_HELPER
    return do_kmalloc_node(vm, size, gfp_mask, node, buckets, call_site, helper)


def do_kmalloc_node(
    vm: Vm, size: int, gfp_mask: int, node: int, buckets: int, call_site: int, helper: str
) -> int:
    """kmalloc() by way of `helper`, which a large request names as a call site of its own.

    Kernel: mm/slub.c __do_kmalloc_node()
    """
    if size > KMALLOC_MAX_CACHE_SIZE:
        address = kmalloc_large_node(vm, size, gfp_mask, node)
        for site in (vm.trace.number_of(helper), call_site):
            trace_kmalloc(vm, site, address, size, large_size(size), gfp_mask, node)
        return address
    if not size:
        return ZERO_SIZE_PTR
    caller = 0 if vm.slab.random_kmalloc_seed is None else caller_of(vm, call_site)
    s = kmalloc_slab(vm.slab, size, buckets, gfp_mask, caller)
    called_from(s, call_site)
    address = address_of(slab_alloc_node(s, gfp_mask, node, size))
    trace_kmalloc(vm, call_site, address, size, s.size, gfp_mask, node)
    return address


def large_size(size: int) -> int:
    """Bytes of the block that holds a large request."""
    return PAGE_SIZE << get_order(size)


def kmalloc_large_node(vm: Vm, size: int, gfp_mask: int, node: int) -> int:
    """The address of a block of pages, or NULL_PTR; above KMALLOC_MAX_SIZE there is none.

    Kernel: mm/slub.c ___kmalloc_large_node()
    """
    if size > KMALLOC_MAX_SIZE:
        return NULL_PTR
    if gfp_mask & GFP_SLAB_BUG_MASK:
        gfp_mask = kmalloc_fix_flags(vm.slab, gfp_mask)
    gfp_mask, order = gfp_mask | __GFP_COMP, get_order(size)
    if node == NUMA_NO_NODE:
        pfn = alloc_pages_noprof(vm, gfp_mask, order)
    else:
        pfn = alloc_pages(vm, gfp_mask, order, node)
    return NULL_PTR if pfn == NULL else PAGE_OFFSET + (pfn << PAGE_SHIFT)


def trace_kmalloc(
    vm: Vm, call_site: int, ptr: int, bytes_req: int, bytes_alloc: int, gfp_flags: int, node: int
) -> None:
    """Fire kmalloc. Kernel: trace_kmalloc()."""
    if vm.trace.mask & TP_KMALLOC:
        sizes = signed(bytes_req), signed(bytes_alloc)
        vm.trace.emit(KMALLOC, call_site, signed(ptr), *sizes, gfp_flags, node)


def kmalloc_size_roundup(state: SlabState, size: int) -> int:
    """Bytes that kmalloc(size) really gives. Kernel: mm/slab_common.c kmalloc_size_roundup()."""
    if 0 < size <= KMALLOC_MAX_CACHE_SIZE:
        return kmalloc_slab(state, size, -1, GFP_KERNEL).object_size
    return large_size(size) if 0 < size <= KMALLOC_MAX_SIZE else size


def folio_of(vm: Vm, address: int) -> tuple[int, int]:
    """(first pfn, order) of the allocated block that holds this address, or (NULL, 0).

    NOT MODELLED: blocks allocated without __GFP_COMP, of which each page is its own.
    Kernel: include/linux/mm.h virt_to_folio()
    """
    pfn = address - PAGE_OFFSET >> PAGE_SHIFT
    if address < PAGE_OFFSET or page_zone(vm, pfn) is None:
        return NULL, 0
    for order in range(MAX_PAGE_ORDER + 1):
        head = pfn >> order << order
        state = vm.page_state[head]
        if state & PG_INUSE and state & PG_ORDER >= order:
            return head, state & PG_ORDER
    return NULL, 0


def kfree(vm: Vm, address: int, call_site: int = 0) -> str:
    """Free what kmalloc() or kmem_cache_alloc() gave; "", or what is wrong with the address.

    What is wrong is told before anything is done: the kernel would crash, or go on with a broken
    freelist. The event is fired first, for NULL_PTR and ZERO_SIZE_PTR too, which free nothing.
    Kernel: mm/slub.c kfree()
    """
    wrong = not_freeable(vm, address)
    if wrong:
        return wrong
    if vm.trace.mask & TP_KFREE:
        vm.trace.emit(KFREE, call_site, signed(address))
    slab = virt_to_slab(vm.slab, address)
    if slab is not None:
        s = slab.slab_cache
        called_from(s, call_site)
        # Caches that debug are to see what they were given, an object or not.
        debugs = slab.memory is not None
        index = obj_to_index(s, slab, address, PAGE_OFFSET)
        slab_free(s, slab, ptr_to_obj(slab, address) if debugs else index)
    elif address not in (NULL_PTR, ZERO_SIZE_PTR):
        free_large_kmalloc(vm, address)
    return ""


def not_freeable(vm: Vm, address: int) -> str:
    """What is wrong with an address that is to be freed or reallocated, or ""."""
    slab = virt_to_slab(vm.slab, address)
    if slab is not None:
        return object_at(slab, address)[1]
    foreign = address not in (NULL_PTR, ZERO_SIZE_PTR) and folio_of(vm, address)[0] == NULL
    return "is in no slab, and in no allocated page" if foreign else ""


def free_large_kmalloc(vm: Vm, address: int) -> None:
    """Free the block that holds this address, wherever in it; a single page is warned of, once.

    Kernel: mm/slub.c free_large_kmalloc()
    """
    pfn, order = folio_of(vm, address)
    if not order and not any(line.startswith("object pointer: ") for line in vm.slab.log):
        vm.slab.log.append(f"object pointer: 0x{address:016x}")
    free_unref_page(vm, pfn, order)


def ksize(vm: Vm, address: int) -> int:
    """Bytes that may be used at this address; 0 for NULL_PTR, and where the kernel only warns.

    -EINVAL for an address in no slab and in no allocated page.
    Kernel: mm/slab_common.c ksize(), __ksize()
    """
    if address in (NULL_PTR, ZERO_SIZE_PTR):
        return 0
    slab = virt_to_slab(vm.slab, address)
    if slab is not None:
        if slab.memory is not None:
            skip_orig_size_check(slab, ptr_to_obj(slab, address))
        return slab_ksize(slab.slab_cache)
    pfn, order = folio_of(vm, address)
    if pfn == NULL:
        return -EINVAL
    warned = PAGE_SIZE << order <= KMALLOC_MAX_CACHE_SIZE or address & PAGE_SIZE - 1
    return 0 if warned or address - PAGE_OFFSET >> PAGE_SHIFT != pfn else PAGE_SIZE << order


def slab_ksize(s: KmemCache) -> int:
    """Bytes of an object that its user may use. Kernel: mm/slab.h slab_ksize()."""
    if s.flags & (SLAB_RED_ZONE | SLAB_POISON):
        return s.object_size
    return s.inuse if s.flags & (SLAB_TYPESAFE_BY_RCU | SLAB_STORE_USER) else s.size


def krealloc(
    vm: Vm, address: int, new_size: int, gfp_mask: int, call_site: int = 0
) -> tuple[int, str]:
    """(the address of new_size bytes, ""), the same one if they fit; or (NULL_PTR, what is wrong).

    (NULL_PTR, "") says that there is no memory, and then the old bytes are still there.
    Kernel: mm/slab_common.c krealloc_noprof(), __do_krealloc()
    """
    own_site = vm.trace.number_of("krealloc_noprof")
    if not new_size:
        wrong = kfree(vm, address, own_site)
        return (NULL_PTR, wrong) if wrong else (ZERO_SIZE_PTR, "")
    wrong = not_freeable(vm, address)
    if wrong:
        return NULL_PTR, wrong
    size = ksize(vm, address)
    if size >= new_size:
        if gfp_mask & __GFP_ZERO:
            copy_bytes(vm.slab, address + new_size, bytes(size - new_size))
        return address, ""
    new = do_kmalloc_node(vm, new_size, gfp_mask, NUMA_NO_NODE, -1, call_site, KMALLOC_TRACK_HELPER)
    if new != NULL_PTR:
        copy_bytes(vm.slab, new, bytes_at(vm.slab, address, size))
        kfree(vm, address, own_site)
    return new, ""


def bytes_at(state: SlabState, address: int, count: int) -> bytes:
    """What lies there, if it is in a slab with bytes; else nothing."""
    slab = virt_to_slab(state, address)
    return b"" if slab is None else read_bytes(slab, address, count) or b""


def copy_bytes(state: SlabState, address: int, data: bytes) -> None:
    """Write there, if that is in a slab with bytes. Kernel: memcpy(), memset()."""
    slab = virt_to_slab(state, address)
    if slab is not None:
        write_bytes(slab, address, data)


def kfree_sensitive(vm: Vm, address: int) -> str:
    """Fill with zeros all that may be used, then free it; "" or what is wrong with the address.

    Kernel: mm/slab_common.c kfree_sensitive()
    """
    wrong = not_freeable(vm, address)
    if not wrong:
        copy_bytes(vm.slab, address, bytes(ksize(vm, address)))
        kfree(vm, address, vm.trace.number_of("kfree_sensitive"))
    return wrong


def kmalloc_gfp_adjust(flags: int, size: int) -> int:
    """The mask of kvmalloc()'s attempt: above a page it neither tries hard nor complains.

    Kernel: mm/util.c kmalloc_gfp_adjust()
    """
    if size <= PAGE_SIZE:
        return flags
    flags |= __GFP_NOWARN
    if not flags & __GFP_RETRY_MAYFAIL:
        flags |= __GFP_NORETRY
    return flags & ~__GFP_NOFAIL


def kvmalloc_attempt(
    vm: Vm, size: int, gfp_mask: int, node: int = NUMA_NO_NODE, buckets: int = -1
) -> int:
    """What kvmalloc() tries first: the address, or NULL_PTR.

    Kernel: mm/util.c __kvmalloc_node_noprof()
    """
    call_site = vm.trace.number_of(KVMALLOC_SITE)
    flags = kmalloc_gfp_adjust(gfp_mask, size)
    return do_kmalloc_node(vm, size, flags, node, buckets, call_site, KMALLOC_NODE_HELPER)

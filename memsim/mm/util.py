"""Memory that need not be contiguous, but had better be: kvmalloc().

Kernel: mm/util.c
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE
from memsim.mm.kmalloc import kvmalloc_attempt
from memsim.mm.mmzone import Vm
from memsim.mm.vmalloc.vmalloc import vmalloc_node_range
from memsim.words.gfp import __GFP_DIRECT_RECLAIM
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import INT_MAX, VM_ALLOW_HUGE_VMAP


def goes_on_with_vmalloc(size: int, gfp_mask: int) -> bool:
    """May kvmalloc() ask vmalloc()? Above a page, up to 2 GiB, and where it may wait."""
    return gfp_mask & __GFP_DIRECT_RECLAIM != 0 and PAGE_SIZE < size <= INT_MAX


def kvmalloc_node(
    vm: Vm, size: int, gfp_mask: int, node: int = NUMA_NO_NODE, buckets: int = -1
) -> int:
    """kmalloc(), and above a page, when it fails, vmalloc(): the address, or NULL_PTR.

    Kernel: mm/util.c __kvmalloc_node_noprof()
    """
    address = kvmalloc_attempt(vm, size, gfp_mask, node, buckets)
    if address != NULL_PTR or not goes_on_with_vmalloc(size, gfp_mask):
        return address
    layout = vm.vmalloc.layout
    return vmalloc_node_range(
        vm, size, 1, layout.VMALLOC_START, layout.VMALLOC_END, gfp_mask, VM_ALLOW_HUGE_VMAP, node,
        "kvmalloc",
    )  # fmt: skip

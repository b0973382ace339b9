"""Where ZONE_MOVABLE starts on each node, when the kernel is booted with movablecore=.

Kernel: mm/mm_init.c find_zone_movable_pfns_for_nodes(), adjust_zone_range_for_zone_movable()
"""

from __future__ import annotations

from memsim.lib.bits import align_up
from memsim.mm.layout import NodeRange
from memsim.words.arch import Arch
from memsim.words.mmzone import MAX_PAGE_ORDER

MAX_ORDER_NR_PAGES = 1 << MAX_PAGE_ORDER


def find_usable_zone_for_movable(ranges: list[NodeRange], arch: Arch) -> int:
    """The zone that ZONE_MOVABLE takes its pages from: the highest with RAM below its border.

    Kernel: mm/mm_init.c find_usable_zone_for_movable()
    """
    end = max(r.end_pfn for r in ranges)
    borders = (0, *arch.max_zone_pfns)
    return max(idx for idx in range(len(arch.max_zone_pfns)) if borders[idx] < end)


def find_zone_movable_pfns_for_nodes(
    ranges: list[NodeRange], movablecore: int, arch: Arch
) -> dict[int, int]:
    """First pfn of ZONE_MOVABLE by node; a node without one is not in it. movablecore: pages.

    What the kernel may use everywhere is spread evenly over the nodes; a node that has less than
    its share leaves more to the others. NOT MODELLED: kernelcore=, movable_node.
    Kernel: mm/mm_init.c find_zone_movable_pfns_for_nodes()
    """
    totalpages = sum(r.end_pfn - r.start_pfn for r in ranges)
    kernelcore = totalpages - min(totalpages, align_up(movablecore, MAX_ORDER_NR_PAGES))
    if not movablecore or not kernelcore:
        return {}
    movable_pfn = _spread(ranges, kernelcore, _lowest_pfn(ranges, arch))
    return _aligned(ranges, movable_pfn)


def _lowest_pfn(ranges: list[NodeRange], arch: Arch) -> int:
    return (0, *arch.max_zone_pfns)[find_usable_zone_for_movable(ranges, arch)]


def _spread(ranges: list[NodeRange], kernelcore: int, usable_startpfn: int) -> dict[int, int]:
    """Passes over the nodes, each with one node less in the count, until kernelcore is met."""
    nids = sorted({r.nid for r in ranges})
    movable_pfn = dict.fromkeys(nids, 0)
    for usable_nodes in range(len(nids), 0, -1):
        share = kernelcore // usable_nodes
        for nid in nids:
            if kernelcore < share:
                share = kernelcore // usable_nodes
            own = [r for r in ranges if r.nid == nid]
            kernelcore = _take(own, share, kernelcore, usable_startpfn, movable_pfn)
        if kernelcore < usable_nodes:
            break
    return movable_pfn


def _take(
    own: list[NodeRange], share: int, kernelcore: int, usable: int, movable_pfn: dict[int, int]
) -> int:
    """Leave share pages of one node to the kernel: moves its movable_pfn up; what is still due."""
    for nid, range_start, end in own:
        start = max(range_start, movable_pfn[nid])
        if start >= end:
            continue
        if start < usable:
            only_kernel = min(end, usable) - start
            share -= min(only_kernel, share)
            kernelcore -= min(only_kernel, kernelcore)
            if end <= usable:
                movable_pfn[nid] = end
                continue
            start = usable
        size = min(end - start, share)
        movable_pfn[nid] = start + size
        kernelcore -= min(kernelcore, size)
        share -= size
        if not share:
            break
    return kernelcore


def _aligned(ranges: list[NodeRange], movable_pfn: dict[int, int]) -> dict[int, int]:
    """Starts rounded up to the largest block; nodes where nothing is left behind it drop out."""
    starts = {}
    for nid, pfn in movable_pfn.items():
        start = align_up(pfn, MAX_ORDER_NR_PAGES)
        if start < max(r.end_pfn for r in ranges if r.nid == nid):
            starts[nid] = start
    return starts

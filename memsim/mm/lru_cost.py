"""What reclaim of either kind of memory has cost lately, which is what its balance stands on.

Kernel: mm/swap.c lru_note_cost()
"""

from __future__ import annotations

from memsim.mm.folio import Lruvec, lruvec_page_state, parent_lruvec, set_lruvec_field
from memsim.mm.mmzone import Vm
from memsim.words.page_flags import EVICTABLE_LRUS, SWAP_CLUSTER_MAX


def lru_note_cost(vm: Vm, lruvec: Lruvec, file: bool, nr_io: int, nr_rotated: int) -> None:
    """Add a cost, to the parent's too; halve both once they pass a quarter of the lists.

    Kernel: mm/swap.c lru_note_cost()
    """
    kind = "file_cost" if file else "anon_cost"
    cost = getattr(lruvec, kind) + nr_io * SWAP_CLUSTER_MAX + nr_rotated
    set_lruvec_field(vm, lruvec, kind, cost)
    lrusize = sum(lruvec_page_state(lruvec, lru) for lru in EVICTABLE_LRUS)
    if lruvec.file_cost + lruvec.anon_cost > lrusize // 4:
        set_lruvec_field(vm, lruvec, "file_cost", lruvec.file_cost // 2)
        set_lruvec_field(vm, lruvec, "anon_cost", lruvec.anon_cost // 2)
    parent = parent_lruvec(lruvec)
    if parent is not None:
        lru_note_cost(vm, parent, file, nr_io, nr_rotated)

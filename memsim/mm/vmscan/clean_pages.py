"""Clean pages of files are dropped rather than moved, where a range has to be emptied.

Kernel: mm/vmscan.c reclaim_clean_pages_from_list()
"""

from __future__ import annotations

from memsim.mm.folio import folio_clear_flags, mod_node_page_state
from memsim.mm.mm_inline import folio_is_file_lru
from memsim.mm.mmzone import Vm, Zone
from memsim.mm.task import memalloc_noreclaim_restore, memalloc_noreclaim_save
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.mm.vmscan.shrink_folio_list import shrink_folio_list
from memsim.words.gfp import GFP_KERNEL
from memsim.words.page_flags import NR_ISOLATED_FILE, PG_active, PG_dirty, PG_unevictable


def reclaim_clean_pages_from_list(zone: Zone, folios: list[int]) -> int:
    """Free isolated clean pages of files: how many. Those that stay come first on the list then.

    NOT MODELLED: nr_lazyfree_fail. Kernel: mm/vmscan.c reclaim_clean_pages_from_list()
    """
    vm = zone.vm
    clean = [folio for folio in folios if _is_clean(vm, folio)]
    if not clean:
        return 0
    for folio in clean:
        folio_clear_flags(vm.folios, folio, PG_active)
    chosen = set(clean)
    others = [folio for folio in folios if folio not in chosen]
    sc = ScanControl(0, GFP_KERNEL, 0, 0, may_writepage=False, may_swap=False)
    pgdat = vm.nodes[zone.node]
    had = memalloc_noreclaim_save(vm.current)
    nr_reclaimed, kept, _ = shrink_folio_list(vm, clean, pgdat, sc, ignore_references=True)
    memalloc_noreclaim_restore(vm.current, had)
    folios[:] = kept[::-1] + others
    mod_node_page_state(vm, pgdat, NR_ISOLATED_FILE, -nr_reclaimed)
    return nr_reclaimed


def _is_clean(vm: Vm, folio: int) -> bool:
    dirty = vm.folios.flags[folio] & (PG_dirty | PG_unevictable)
    return folio_is_file_lru(vm, folio) and not dirty

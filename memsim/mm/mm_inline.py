"""The LRU lists: every change of one happens in this file. lruvec->lru_lock is held by callers.

Kernel: include/linux/mm_inline.h, mm/vmscan.c folio_isolate_lru(), folio_putback_lru()
"""

from __future__ import annotations

from memsim.lib.list import list_del, list_insert_after
from memsim.mm.folio import (
    Lruvec,
    folio_clear_flags,
    folio_get,
    folio_lruvec,
    folio_memcg,
    folio_nr_pages,
    folio_zone,
    mem_cgroup_lruvec,
    mod_lruvec_state,
    mod_zone_folio_state,
    set_folio_state,
)
from memsim.mm.memcontrol.state import mem_cgroup_update_lru_size
from memsim.mm.mmzone import PG_LRU, PglistData, Vm, Zone
from memsim.trace.events import TP_STEPS
from memsim.trace.folio_steps import LRU_ADD, LRU_DEL
from memsim.words.memcontrol import MEMCG_DATA_SHIFT
from memsim.words.mmzone import NR_ZONE_LRU_BASE
from memsim.words.page_flags import (
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    LRU_UNEVICTABLE,
    NR_LRU_BASE,
    PG_active,
    PG_swapbacked,
    PG_unevictable,
)


def folio_test_lru(vm: Vm, folio: int) -> bool:
    """Is the folio on an LRU list, and nobody's who has isolated it? Kernel: folio_test_lru()."""
    return (vm.page_state[folio] & PG_LRU) != 0


def folio_set_lru(vm: Vm, folio: int) -> None:
    """Set PG_lru, of all its pages. Kernel: include/linux/page-flags.h FOLIO_SET_FLAG()."""
    state = vm.page_state[folio] | PG_LRU
    set_folio_state(folio_zone(vm, folio), folio, state, PG_LRU)


def folio_test_clear_lru(vm: Vm, folio: int) -> bool:
    """Clear PG_lru; was it set? Who clears it owns the folio's place on its list.

    Kernel: include/linux/page-flags.h FOLIO_TEST_CLEAR_FLAG()
    """
    if not vm.page_state[folio] & PG_LRU:
        return False
    set_folio_state(folio_zone(vm, folio), folio, vm.page_state[folio] & ~PG_LRU, 0)
    return True


def folio_is_file_lru(vm: Vm, folio: int) -> bool:
    """Does it belong on the lists of files? Clean anonymous memory does (MADV_FREE).

    Kernel: include/linux/mm_inline.h folio_is_file_lru()
    """
    return not vm.folios.flags[folio] & PG_swapbacked


def folio_lru_list(vm: Vm, folio: int) -> int:
    """Which list it belongs on. Kernel: include/linux/mm_inline.h folio_lru_list()."""
    flags = vm.folios.flags[folio]
    if flags & PG_unevictable:
        return LRU_UNEVICTABLE
    lru = LRU_INACTIVE_ANON if flags & PG_swapbacked else LRU_INACTIVE_FILE
    return lru + ((flags & PG_active) != 0)


def update_lru_size(vm: Vm, lruvec: Lruvec, zone: Zone, lru: int, nr_pages: int) -> None:
    """Count pages that joined a list, or left it, for the lruvec and for the zone.

    Kernel: include/linux/mm_inline.h update_lru_size()
    """
    mod_lruvec_state(vm, lruvec, NR_LRU_BASE + lru, nr_pages)
    mod_zone_folio_state(zone, NR_ZONE_LRU_BASE + lru, nr_pages)
    if lruvec.memcg:
        mem_cgroup_update_lru_size(vm, lruvec.memcg, zone.node, zone.idx, lru, nr_pages)


def lruvec_add_folio(vm: Vm, folio: int, tail: bool = False) -> None:
    """Put a folio at the head, or tail, of the list it belongs on.

    NOT MODELLED: mlock_count, for which folios on LRU_UNEVICTABLE are on no list.
    Kernel: include/linux/mm_inline.h lruvec_add_folio(), lruvec_add_folio_tail()
    """
    lru = folio_lru_list(vm, folio)
    lruvec, zone = folio_lruvec(vm, folio), folio_zone(vm, folio)
    update_lru_size(vm, lruvec, zone, lru, folio_nr_pages(vm, folio))
    link_folio(vm, lruvec.pgdat, lru, folio, tail)


def lruvec_del_folio(vm: Vm, folio: int) -> None:
    """Take a folio off its list. Kernel: include/linux/mm_inline.h lruvec_del_folio()."""
    lru = folio_lru_list(vm, folio)
    lruvec, zone = folio_lruvec(vm, folio), folio_zone(vm, folio)
    unlink_folio(vm, lruvec.pgdat, lru, folio)
    update_lru_size(vm, lruvec, zone, lru, -folio_nr_pages(vm, folio))


def link_folio(vm: Vm, pgdat: PglistData, lru: int, folio: int, tail: bool) -> None:
    """The list alone, no counter."""
    memcg = folio_memcg(vm, folio)
    head = mem_cgroup_lruvec(memcg, pgdat).lists[lru]
    after = vm.prev[head] if tail else head
    list_insert_after(vm.next, vm.prev, folio, after)
    if vm.trace.mask & TP_STEPS:
        _step(vm, LRU_ADD, pgdat, lru, folio, after)


def unlink_folio(vm: Vm, pgdat: PglistData, lru: int, folio: int) -> None:
    """The list alone, no counter."""
    if vm.trace.mask & TP_STEPS:
        _step(vm, LRU_DEL, pgdat, lru, folio, vm.prev[folio])
    list_del(vm.next, vm.prev, folio)


def _step(vm: Vm, kind: int, pgdat: PglistData, lru: int, folio: int, after: int) -> None:
    memcg = vm.folios.memcg_data[folio] >> MEMCG_DATA_SHIFT
    behind = after if after < vm.max_pfn else -1
    vm.trace.step(kind, pgdat.nid, lru, folio, behind, memcg)


def list_move(vm: Vm, pgdat: PglistData, lru: int, folio: int, tail: bool = False) -> None:
    """To the head, or tail, of the list that it is on. Kernel: include/linux/list.h list_move()."""
    unlink_folio(vm, pgdat, lru, folio)
    link_folio(vm, pgdat, lru, folio, tail)


def clear_lru_flags(vm: Vm, folio: int) -> None:
    """The folio is about to be freed. Kernel: include/linux/mm_inline.h __folio_clear_lru_flags().

    NOT MODELLED: bad_page() for one that is both active and unevictable.
    """
    folio_test_clear_lru(vm, folio)
    folio_clear_flags(vm.folios, folio, PG_active | PG_unevictable)


def folio_isolate_lru(vm: Vm, folio: int) -> bool:
    """Take a folio off its list and hold it; False when it is on none.

    Kernel: mm/vmscan.c folio_isolate_lru()
    """
    if not folio_test_clear_lru(vm, folio):
        return False
    folio_get(vm.folios, folio)
    lruvec_del_folio(vm, folio)
    return True

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
    set_lrugen,
)
from memsim.mm.lru_gen.flags import folio_lru_gen, set_gen
from memsim.mm.lru_gen.state import place_of_nr_pages
from memsim.mm.memcontrol.state import mem_cgroup_update_lru_size
from memsim.mm.mmzone import PG_LRU, PglistData, Vm, Zone
from memsim.trace.events import TP_STEPS
from memsim.trace.folio_steps import LRU_ADD, LRU_DEL
from memsim.words.lru_gen import (
    LRU_GEN_ANON,
    LRU_REFS_MASK,
    MIN_NR_GENS,
    lru_gen_from_seq,
    lru_gen_list,
)
from memsim.words.memcontrol import MEMCG_DATA_SHIFT
from memsim.words.mmzone import NR_ZONE_LRU_BASE
from memsim.words.page_flags import (
    LRU_ACTIVE,
    LRU_FILE,
    LRU_INACTIVE_ANON,
    LRU_INACTIVE_FILE,
    LRU_UNEVICTABLE,
    NR_LRU_BASE,
    PG_active,
    PG_dirty,
    PG_reclaim,
    PG_referenced,
    PG_swapbacked,
    PG_swapcache,
    PG_unevictable,
    PG_writeback,
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


def lru_gen_is_active(lruvec: Lruvec, gen: int) -> bool:
    """Is it one of the two youngest, which counters call active?

    Kernel: include/linux/mm_inline.h lru_gen_is_active()
    """
    max_seq = lruvec.lrugen.max_seq
    return gen in (lru_gen_from_seq(max_seq), lru_gen_from_seq(max_seq - 1))


def lru_gen_update_size(vm: Vm, lruvec: Lruvec, folio: int, old_gen: int, new_gen: int) -> None:
    """Count a folio's pages from one generation to another, -1 for none.

    Kernel: include/linux/mm_inline.h lru_gen_update_size()
    """
    type, zone = folio_is_file_lru(vm, folio), folio_zone(vm, folio)
    delta = folio_nr_pages(vm, folio)
    for gen, sign in ((old_gen, -1), (new_gen, 1)):
        if gen >= 0:
            place = place_of_nr_pages(gen, type, zone.idx)
            set_lrugen(vm, lruvec, place, lruvec.lrugen.numbers[place] + sign * delta)
    was_active = old_gen >= 0 and lru_gen_is_active(lruvec, old_gen)
    is_active = new_gen >= 0 and lru_gen_is_active(lruvec, new_gen)
    lru = type * LRU_FILE
    if old_gen < 0:
        update_lru_size(vm, lruvec, zone, lru + is_active * LRU_ACTIVE, delta)
    elif new_gen < 0:
        update_lru_size(vm, lruvec, zone, lru + was_active * LRU_ACTIVE, -delta)
    elif is_active and not was_active:
        update_lru_size(vm, lruvec, zone, lru, -delta)
        update_lru_size(vm, lruvec, zone, lru + LRU_ACTIVE, delta)


def lru_gen_add_folio(vm: Vm, folio: int, reclaiming: bool) -> bool:
    """Put a folio at the head of a generation's list; False without the multi-gen LRU.

    Its tail where it should go next: reclaiming. Kernel: mm_inline.h lru_gen_add_folio()
    """
    lruvec, flags = folio_lruvec(vm, folio), vm.folios.flags[folio]
    if not lruvec.lrugen.enabled or flags & PG_unevictable:
        return False
    gen = lru_gen_from_seq(_seq_to_join(vm, lruvec, folio, reclaiming))
    clear = LRU_REFS_MASK | PG_referenced | PG_active if flags & PG_active else 0
    set_gen(vm.folios, folio, gen, clear)
    lru_gen_update_size(vm, lruvec, folio, -1, gen)
    lru = lru_gen_list(gen, folio_is_file_lru(vm, folio), folio_zone(vm, folio).idx)
    link_folio(vm, lruvec.pgdat, lru, folio, reclaiming)
    return True


def _seq_to_join(vm: Vm, lruvec: Lruvec, folio: int, reclaiming: bool) -> int:
    """The youngest where it was used just now, the second where it cannot go; else an old one."""
    type, flags, lrugen = folio_is_file_lru(vm, folio), vm.folios.flags[folio], lruvec.lrugen
    if flags & PG_active:
        return lrugen.max_seq
    if type == LRU_GEN_ANON and not flags & PG_swapcache:
        return lrugen.max_seq - 1
    if flags & PG_reclaim and flags & (PG_dirty | PG_writeback):
        return lrugen.max_seq - 1
    min_seq = lrugen.min_seq(type)
    oldest = reclaiming or min_seq + MIN_NR_GENS >= lrugen.max_seq
    return min_seq if oldest else min_seq + 1


def lru_gen_del_folio(vm: Vm, folio: int, reclaiming: bool) -> bool:
    """Take a folio off its generation's list; False when it is on none.

    Who does not reclaim sees by PG_active that it was of a young one.
    Kernel: include/linux/mm_inline.h lru_gen_del_folio()
    """
    gen = folio_lru_gen(vm.folios, folio)
    if gen < 0:
        return False
    lruvec = folio_lruvec(vm, folio)
    active = not reclaiming and lru_gen_is_active(lruvec, gen)
    set_gen(vm.folios, folio, -1, 0, PG_active if active else 0)
    lru_gen_update_size(vm, lruvec, folio, gen, -1)
    lru = lru_gen_list(gen, folio_is_file_lru(vm, folio), folio_zone(vm, folio).idx)
    unlink_folio(vm, lruvec.pgdat, lru, folio)
    return True


def lruvec_add_folio(vm: Vm, folio: int, tail: bool = False) -> None:
    """Put a folio at the head, or tail, of the list it belongs on.

    NOT MODELLED: mlock_count, for which folios on LRU_UNEVICTABLE are on no list.
    Kernel: include/linux/mm_inline.h lruvec_add_folio(), lruvec_add_folio_tail()
    """
    if lru_gen_add_folio(vm, folio, tail):
        return
    lru = folio_lru_list(vm, folio)
    lruvec, zone = folio_lruvec(vm, folio), folio_zone(vm, folio)
    update_lru_size(vm, lruvec, zone, lru, folio_nr_pages(vm, folio))
    link_folio(vm, lruvec.pgdat, lru, folio, tail)


def lruvec_del_folio(vm: Vm, folio: int) -> None:
    """Take a folio off its list. Kernel: include/linux/mm_inline.h lruvec_del_folio()."""
    if lru_gen_del_folio(vm, folio, False):
        return
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
    """The list alone, no counter.

    A folio that was promoted may be on another list yet: what it stands behind tells.
    """
    if vm.trace.mask & TP_STEPS:
        after = vm.prev[folio]
        if after >= vm.max_pfn:
            lru = after - folio_lruvec(vm, folio).lists[0]
        _step(vm, LRU_DEL, pgdat, lru, folio, after)
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

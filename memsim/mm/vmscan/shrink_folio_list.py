"""What becomes of an isolated folio: freed, kept, or activated.

Kernel: mm/vmscan.c pageout(), __remove_mapping(), folio_check_references(), shrink_folio_list()
"""

from __future__ import annotations

from memsim.mm.filemap import _filemap_remove_folio
from memsim.mm.folio import (
    count_memcg_folio_events,
    folio_clear_flags,
    folio_lruvec,
    folio_nr_pages,
    folio_set_flags,
    lru_gen_enabled,
    mod_folio_node_state,
    set_entry,
    set_word,
    xa_mk_value,
)
from memsim.mm.lru_gen.walk import lru_gen_look_around
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.memcontrol.swap import mem_cgroup_swap_full
from memsim.mm.mm_inline import folio_is_file_lru
from memsim.mm.mmzone import PglistData, Vm
from memsim.mm.rmap import folio_mapping, folio_remove_rmap, folio_test_anon
from memsim.mm.swap import folio_put
from memsim.mm.swap_state import add_to_swap
from memsim.mm.swapfile import (
    delete_from_swap_cache,
    folio_free_swap,
    put_swap_folio,
    swap_duplicate,
)
from memsim.mm.vmscan.isolate import batch_free, flush_free
from memsim.mm.vmscan.scan_control import ReclaimStat, ScanControl, current_is_kswapd
from memsim.mm.workingset import workingset_eviction
from memsim.trace.folio_steps import WORD_REFCOUNT, WORD_YOUNG
from memsim.trace.vmscan_events import (
    MM_VMSCAN_WRITE_FOLIO,
    TP_VMSCAN,
    emit,
    trace_reclaim_flags,
)
from memsim.words.gfp import __GFP_FS, __GFP_IO
from memsim.words.memcontrol import PGACTIVATE, PGLAZYFREED
from memsim.words.mmzone import NULL
from memsim.words.page_flags import (
    LRUVEC_PGDAT_DIRTY,
    LRUVEC_PGDAT_WRITEBACK,
    NR_VMSCAN_IMMEDIATE,
    NR_VMSCAN_WRITE,
    NR_WRITTEN,
    PG_active,
    PG_anon_exclusive,
    PG_dirty,
    PG_private,
    PG_reclaim,
    PG_referenced,
    PG_swapbacked,
    PG_swapcache,
    PG_writeback,
)

FOLIOREF_RECLAIM, FOLIOREF_RECLAIM_CLEAN, FOLIOREF_KEEP, FOLIOREF_ACTIVATE = range(4)
#: What shrink_folio_list() does with a folio.
_FREED, _KEEP, _ACTIVATE = range(3)


def folio_referenced(vm: Vm, folio: int, sc: ScanControl) -> int:
    """ptes that were used since somebody looked last; none is young any longer.

    The multi-gen LRU looks at the ptes around them, too.
    NOT MODELLED: that for a memcg only its own processes' count: invalid_folio_referenced_vma();
    that anonymous memory of who exits or was reaped is kept: here it is gone at once.
    Kernel: mm/rmap.c folio_referenced()
    """
    young = vm.folios.young[folio]
    set_word(vm.folios, WORD_YOUNG, folio, 0)
    if young and lru_gen_enabled(vm):
        lru_gen_look_around(vm, folio_lruvec(vm, folio), folio, sc.mm_walk)
    return young


def folio_check_references(vm: Vm, folio: int, sc: ScanControl) -> int:
    """What use since the last look asks for. NOT MODELLED: VM_EXEC, VM_LOCKED.

    Kernel: mm/vmscan.c folio_check_references()
    """
    referenced_ptes = folio_referenced(vm, folio, sc)
    referenced_folio = vm.folios.flags[folio] & PG_referenced
    folio_clear_flags(vm.folios, folio, PG_referenced)
    if referenced_ptes:
        folio_set_flags(vm.folios, folio, PG_referenced)
        return FOLIOREF_ACTIVATE if referenced_folio or referenced_ptes > 1 else FOLIOREF_KEEP
    if referenced_folio and folio_is_file_lru(vm, folio):
        return FOLIOREF_RECLAIM_CLEAN
    return FOLIOREF_RECLAIM


def try_to_unmap(vm: Vm, folio: int) -> None:
    """Take a folio out of all ptes; those of one in the swap cache name its slot then.

    What was freed lazily stays, swapbacked again, if it was written to or somebody holds it.
    Kernel: mm/rmap.c try_to_unmap(), try_to_unmap_one()
    """
    folios = vm.folios
    flags, anon = folios.flags[folio], folio_test_anon(vm, folio)
    if anon and not flags & PG_swapbacked:
        if flags & PG_dirty or folios.refcount[folio] != 1 + folios.mapcount[folio]:
            folio_set_flags(folios, folio, PG_swapbacked)
            return
    if anon:
        entry = NULL
        if folios.flags[folio] & PG_swapbacked:
            swap_duplicate(vm, folios.private[folio])
            entry = xa_mk_value(folios.private[folio])
        folio_clear_flags(folios, folio, PG_anon_exclusive)
        set_entry(vm, folio_mapping(vm, folio), folios.index[folio], entry)
    while folios.mapcount[folio]:
        folio_remove_rmap(vm, folio)
        folio_put(vm, folio)


def is_page_cache_freeable(vm: Vm, folio: int) -> bool:
    """Is it held by its cache and by who isolated it alone? Kernel: is_page_cache_freeable()."""
    return vm.folios.refcount[folio] == 1 + folio_nr_pages(vm, folio)


def _remove_mapping(
    vm: Vm, folio: int, *, reclaimed: bool, target: MemCgroup | None = None
) -> bool:
    """Take a folio out of its cache, with its last references; False when others hold it too.

    Of what is reclaimed a shadow stays there; target: the memcg for whose limit it is, if any.
    Kernel: mm/vmscan.c __remove_mapping()
    """
    folios = vm.folios
    if not is_page_cache_freeable(vm, folio) or folios.flags[folio] & PG_dirty:
        return False
    shadow = workingset_eviction(vm, folio, target) if reclaimed else NULL
    if folios.flags[folio] & PG_swapcache:
        put_swap_folio(vm, delete_from_swap_cache(vm, folio, shadow))
    else:
        _filemap_remove_folio(vm, folio, shadow)
    set_word(folios, WORD_REFCOUNT, folio, 0)
    return True


def shrink_folio_list(
    vm: Vm,
    isolated: list[int],
    pgdat: PglistData,
    sc: ScanControl,
    ignore_references: bool = False,
) -> tuple[int, list[int], ReclaimStat]:
    """(pages freed, folios that stay isolated, in their order; what was found).

    ignore_references: they have to go, used lately or not.
    Kernel: mm/vmscan.c shrink_folio_list()
    """
    stat, nr_reclaimed = ReclaimStat(), 0
    kept: list[int] = []
    free: list[tuple[int, int]] = []
    for folio in isolated:
        nr_pages = folio_nr_pages(vm, folio)
        sc.nr_scanned += nr_pages
        fate = _fate(vm, folio, pgdat, sc, stat, ignore_references)
        if fate == _FREED:
            nr_reclaimed += nr_pages
            batch_free(vm, free, folio)
            continue
        if fate == _ACTIVATE:
            _activate(vm, folio, stat)
        kept.append(folio)
    flush_free(vm, free)
    return nr_reclaimed, kept, stat


def _activate(vm: Vm, folio: int, stat: ReclaimStat) -> None:
    """Its label activate_locked: back to the active list, and its slot is given up if swap is full.

    NOT MODELLED: folios that are mlocked.
    """
    in_swap_cache = vm.folios.flags[folio] & PG_swapcache
    if in_swap_cache and mem_cgroup_swap_full(vm, folio) and folio_free_swap(vm, folio):
        folio_put(vm, folio)
    folio_set_flags(vm.folios, folio, PG_active)
    stat.nr_activate[folio_is_file_lru(vm, folio)] += folio_nr_pages(vm, folio)
    count_memcg_folio_events(vm, folio, PGACTIVATE)


def _fate(
    vm: Vm, folio: int, pgdat: PglistData, sc: ScanControl, stat: ReclaimStat, ignore: bool
) -> int:
    """Freed, kept or activated.

    NOT MODELLED: locks of folios that others hold, poisoned pages; buffers that can be released
    (filemap_release_folio()): with PG_private they are somebody's who does not let go.
    """
    folios, nr_pages = vm.folios, folio_nr_pages(vm, folio)
    if not sc.may_unmap and folios.mapcount[folio]:
        return _KEEP
    if not ignore and _was_promoted(vm, folio):
        return _KEEP
    _count_dirty(vm, folio, stat)
    if folios.flags[folio] & PG_writeback:
        return _under_writeback(vm, folio, pgdat, stat)
    references = FOLIOREF_RECLAIM if ignore else folio_check_references(vm, folio, sc)
    if references == FOLIOREF_ACTIVATE:
        return _ACTIVATE
    if references == FOLIOREF_KEEP:
        stat.nr_ref_keep += nr_pages
        return _KEEP
    anon = folio_test_anon(vm, folio)
    if anon and (folios.flags[folio] & (PG_swapbacked | PG_swapcache)) == PG_swapbacked:
        if not sc.gfp_mask & __GFP_IO:
            return _KEEP
        if not add_to_swap(vm, folio):
            return _ACTIVATE
    if folios.mapcount[folio]:
        try_to_unmap(vm, folio)
        if folios.mapcount[folio]:
            stat.nr_unmap_fail += nr_pages
            return _ACTIVATE
    if folios.flags[folio] & PG_dirty:
        fate = _write_out(vm, folio, pgdat, sc, stat, references)
        if fate != _FREED:
            return fate
    if anon and not folios.flags[folio] & PG_swapbacked:
        return _drop_lazyfree(vm, folio)
    if folios.flags[folio] & PG_private:
        return _ACTIVATE
    has_mapping = not anon or folios.flags[folio] & PG_swapcache
    if not (has_mapping and folios.mapping[folio]):
        return _KEEP
    target = sc.target_mem_cgroup
    return _FREED if _remove_mapping(vm, folio, reclaimed=True, target=target) else _KEEP


def _was_promoted(vm: Vm, folio: int) -> bool:
    """Did folio_update_gen() come upon it while it was isolated?"""
    mapped = vm.folios.mapcount[folio] > 0
    return mapped and vm.folios.flags[folio] & PG_referenced > 0 and lru_gen_enabled(vm)


def _drop_lazyfree(vm: Vm, folio: int) -> int:
    """Clean anonymous memory goes, unless somebody holds it."""
    if vm.folios.refcount[folio] != 1:
        return _KEEP
    set_word(vm.folios, WORD_REFCOUNT, folio, 0)
    count_memcg_folio_events(vm, folio, PGLAZYFREED)
    return _FREED


def _count_dirty(vm: Vm, folio: int, stat: ReclaimStat) -> None:
    """Kernel: mm/vmscan.c folio_check_dirty_writeback(), and what follows it."""
    if not folio_is_file_lru(vm, folio) or folio_test_anon(vm, folio):
        return
    flags, nr_pages = vm.folios.flags[folio], folio_nr_pages(vm, folio)
    if flags & (PG_dirty | PG_writeback):
        stat.nr_dirty += nr_pages
    if (flags & (PG_dirty | PG_writeback)) == PG_dirty:
        stat.nr_unqueued_dirty += nr_pages
    if (flags & (PG_writeback | PG_reclaim)) == (PG_writeback | PG_reclaim):
        stat.nr_congested += nr_pages


def _under_writeback(vm: Vm, folio: int, pgdat: PglistData, stat: ReclaimStat) -> int:
    """Nobody waits for it: it is activated, and goes at once when it is written (PG_reclaim)."""
    flags, nr_pages = vm.folios.flags[folio], folio_nr_pages(vm, folio)
    many = pgdat.lruvec.flags & LRUVEC_PGDAT_WRITEBACK
    if current_is_kswapd(vm) and flags & PG_reclaim and many:
        stat.nr_immediate += nr_pages
    else:
        folio_set_flags(vm.folios, folio, PG_reclaim)
        stat.nr_writeback += nr_pages
    return _ACTIVATE


def _write_out(
    vm: Vm, folio: int, pgdat: PglistData, sc: ScanControl, stat: ReclaimStat, references: int
) -> int:
    """A dirty folio: of a file it is left to others, of the swap cache it is written; then _FREED.

    Filesystems write no single folio for reclaim any more: writepage() is gone from ext4 and xfs.
    """
    folios, nr_pages = vm.folios, folio_nr_pages(vm, folio)
    file, flags = folio_is_file_lru(vm, folio), folios.flags[folio]
    may_write_file = current_is_kswapd(vm) and flags & PG_reclaim
    if file and not (may_write_file and pgdat.lruvec.flags & LRUVEC_PGDAT_DIRTY):
        mod_folio_node_state(vm, folio, NR_VMSCAN_IMMEDIATE, 1)
        folio_set_flags(folios, folio, PG_reclaim)
        return _ACTIVATE
    may_enter_fs = sc.gfp_mask & __GFP_FS or (flags & PG_swapcache and sc.gfp_mask & __GFP_IO)
    if references == FOLIOREF_RECLAIM_CLEAN or not may_enter_fs or not sc.may_writepage:
        return _KEEP
    if not is_page_cache_freeable(vm, folio):
        return _KEEP
    if file:
        return _ACTIVATE
    _pageout(vm, folio)
    stat.nr_pageout += nr_pages
    return _FREED


def _pageout(vm: Vm, folio: int) -> None:
    """Write a folio of the swap cache to its slot, which is done at once.

    NOT MODELLED: zswap, pages of zeros.
    Kernel: mm/vmscan.c pageout(), mm/page_io.c swap_writepage()
    """
    folio_clear_flags(vm.folios, folio, PG_dirty | PG_reclaim)
    mod_folio_node_state(vm, folio, NR_WRITTEN, 1)
    if vm.trace.mask & TP_VMSCAN:
        flags = trace_reclaim_flags(folio_is_file_lru(vm, folio))
        emit(vm.trace, MM_VMSCAN_WRITE_FOLIO, folio, flags)
    mod_folio_node_state(vm, folio, NR_VMSCAN_WRITE, 1)

"""Aging: folios wait in per-CPU batches for their LRU list, and are activated when used again.

NOT MODELLED: folios of the unevictable list's own rules (mlock(), mm/mlock.c mlock_folio()), and
lru_cache_disable().

Kernel: mm/swap.c
"""

from __future__ import annotations

from collections.abc import Callable

from memsim.mm.folio import (
    PAGE_MAPPING_ANON,
    clear_words,
    count_memcg_folio_events,
    folio_clear_flags,
    folio_get,
    folio_nr_pages,
    folio_set_flags,
    lru_gen_enabled,
    set_word,
)
from memsim.mm.lru_gen.flags import folio_inc_refs
from memsim.mm.memcontrol.uncharge import mem_cgroup_uncharge_folios
from memsim.mm.mm_inline import (
    clear_lru_flags,
    folio_lru_list,
    folio_set_lru,
    folio_test_clear_lru,
    folio_test_lru,
    lruvec_add_folio,
    lruvec_del_folio,
)
from memsim.mm.mmzone import PG_ORDER, Vm
from memsim.mm.page_alloc.free import free_unref_folios, free_unref_page
from memsim.mm.workingset import workingset_activation
from memsim.trace.events import TP_STEPS
from memsim.trace.folio_steps import BATCH_ADD, BATCH_DEL, BATCHES, WORD_REFCOUNT
from memsim.trace.vmscan_events import (
    MM_LRU_ACTIVATE,
    MM_LRU_INSERTION,
    PAGEMAP_ANONYMOUS,
    PAGEMAP_FILE,
    PAGEMAP_MAPPED,
    PAGEMAP_MAPPEDDISK,
    PAGEMAP_SWAPBACKED,
    PAGEMAP_SWAPCACHE,
    TP_VMSCAN,
    emit,
)
from memsim.words.memcontrol import PGACTIVATE, PGDEACTIVATE, PGLAZYFREE
from memsim.words.page_flags import (
    PG_active,
    PG_dirty,
    PG_locked,
    PG_mappedtodisk,
    PG_reclaim,
    PG_referenced,
    PG_swapbacked,
    PG_swapcache,
    PG_unevictable,
    PG_writeback,
)
from memsim.words.task import PF_MEMALLOC

#: Folios in a batch. Kernel: include/linux/pagevec.h
PAGEVEC_SIZE = 31

LRU_ADD, LRU_DEACTIVATE_FILE, LRU_DEACTIVATE, LRU_LAZYFREE, LRU_ACTIVATE, LRU_MOVE_TAIL = range(6)
_DRAIN_ORDER = (
    LRU_ADD, LRU_MOVE_TAIL, LRU_DEACTIVATE_FILE, LRU_DEACTIVATE, LRU_LAZYFREE, LRU_ACTIVATE,
)  # fmt: skip


def folio_put(vm: Vm, folio: int) -> None:
    """Let go of a folio; the last to do so frees it. Kernel: include/linux/mm.h folio_put()."""
    if folio_put_testzero(vm, folio):
        order = vm.page_state[folio] & PG_ORDER
        page_cache_release(vm, folio)
        mem_cgroup_uncharge_folios(vm, ((folio, order),))
        free_unref_page(vm, folio, order)


def folio_put_testzero(vm: Vm, folio: int) -> bool:
    """One reference less; was it the last? Kernel: include/linux/mm.h folio_put_testzero()."""
    left = vm.folios.refcount[folio] - 1
    set_word(vm.folios, WORD_REFCOUNT, folio, left)
    return left == 0


def folios_put(vm: Vm, batch: list[int]) -> None:
    """Let go of folios; those that nobody else holds are freed together, in this order.

    Kernel: mm/swap.c folios_put_refs()
    """
    free = []
    for folio in batch:
        if folio_put_testzero(vm, folio):
            free.append((folio, vm.page_state[folio] & PG_ORDER))
            page_cache_release(vm, folio)
    if free:
        mem_cgroup_uncharge_folios(vm, free)
        free_unref_folios(vm, free)


def page_cache_release(vm: Vm, folio: int) -> None:
    """A folio that nobody holds leaves its LRU list, and its words.

    Kernel: mm/swap.c __page_cache_release()
    """
    if folio_test_lru(vm, folio):
        lruvec_del_folio(vm, folio)
        clear_lru_flags(vm, folio)
    clear_words(vm.folios, folio)


def lru_add(vm: Vm, folio: int) -> None:
    """Put a folio on the list it belongs on, for the first time.

    NOT MODELLED: folio_evictable(): nothing becomes unevictable by itself.
    Kernel: mm/swap.c lru_add()
    """
    lruvec_add_folio(vm, folio)
    if vm.trace.mask & TP_VMSCAN:
        emit(
            vm.trace, MM_LRU_INSERTION, folio, folio_lru_list(vm, folio), _pagemap_flags(vm, folio)
        )


def _pagemap_flags(vm: Vm, folio: int) -> int:
    """Kernel: include/trace/events/pagemap.h trace_pagemap_flags()."""
    folios = vm.folios
    flags = PAGEMAP_ANONYMOUS if folios.mapping[folio] & PAGE_MAPPING_ANON else PAGEMAP_FILE
    flags |= PAGEMAP_MAPPED if folios.mapcount[folio] else 0
    flags |= PAGEMAP_MAPPEDDISK if folios.flags[folio] & PG_mappedtodisk else 0
    flags |= PAGEMAP_SWAPCACHE if folios.flags[folio] & PG_swapcache else 0
    return flags | (PAGEMAP_SWAPBACKED if folios.flags[folio] & PG_swapbacked else 0)


def lru_activate(vm: Vm, folio: int) -> None:
    """To the head of the active list. Kernel: mm/swap.c lru_activate()."""
    if vm.folios.flags[folio] & (PG_active | PG_unevictable):
        return
    lruvec_del_folio(vm, folio)
    folio_set_flags(vm.folios, folio, PG_active)
    lruvec_add_folio(vm, folio)
    count_memcg_folio_events(vm, folio, PGACTIVATE)
    if vm.trace.mask & TP_VMSCAN:
        emit(vm.trace, MM_LRU_ACTIVATE, folio)


def lru_deactivate(vm: Vm, folio: int) -> None:
    """To the head of the inactive list. Kernel: mm/swap.c lru_deactivate()."""
    flags = vm.folios.flags[folio]
    if flags & PG_unevictable or not (flags & PG_active or lru_gen_enabled(vm)):
        return
    lruvec_del_folio(vm, folio)
    folio_clear_flags(vm.folios, folio, PG_active | PG_referenced)
    lruvec_add_folio(vm, folio)
    count_memcg_folio_events(vm, folio, PGDEACTIVATE)


def lru_deactivate_file(vm: Vm, folio: int) -> None:
    """A folio that could not be dropped goes to the inactive list: its tail where it is clean.

    Kernel: mm/swap.c lru_deactivate_file()
    """
    folios = vm.folios
    if folios.flags[folio] & PG_unevictable or folios.mapcount[folio]:
        return
    active = folios.flags[folio] & PG_active
    lruvec_del_folio(vm, folio)
    folio_clear_flags(folios, folio, PG_active | PG_referenced)
    later = (folios.flags[folio] & (PG_writeback | PG_dirty)) != 0
    lruvec_add_folio(vm, folio, tail=not later)
    if later:
        folio_set_flags(folios, folio, PG_reclaim)
    if active:
        count_memcg_folio_events(vm, folio, PGDEACTIVATE)


def lru_lazyfree(vm: Vm, folio: int) -> None:
    """Anonymous memory that may be dropped joins the files. Kernel: mm/swap.c lru_lazyfree()."""
    if not _may_lazyfree(vm, folio):
        return
    lruvec_del_folio(vm, folio)
    folio_clear_flags(vm.folios, folio, PG_active | PG_referenced | PG_swapbacked)
    lruvec_add_folio(vm, folio)
    count_memcg_folio_events(vm, folio, PGLAZYFREE)


def _may_lazyfree(vm: Vm, folio: int) -> bool:
    folios = vm.folios
    flags = folios.flags[folio] & (PG_swapbacked | PG_swapcache | PG_unevictable)
    return flags == PG_swapbacked and (folios.mapping[folio] & PAGE_MAPPING_ANON) != 0


def lru_move_tail(vm: Vm, folio: int) -> None:
    """To the tail of the inactive list: next to go. Kernel: mm/swap.c lru_move_tail()."""
    if vm.folios.flags[folio] & PG_unevictable:
        return
    lruvec_del_folio(vm, folio)
    folio_clear_flags(vm.folios, folio, PG_active)
    lruvec_add_folio(vm, folio, tail=True)


#: What a batch does with its folios, in the order of trace.folio_steps.BATCHES.
MOVE_FN: tuple[Callable[[Vm, int], None], ...] = (
    lru_add, lru_deactivate_file, lru_deactivate, lru_lazyfree, lru_activate, lru_move_tail,
)  # fmt: skip
assert len(MOVE_FN) == len(BATCHES)


def folio_batch_move_lru(vm: Vm, cpu: int, which: int) -> None:
    """Move all folios of a CPU's batch, first to last, then let go of them.

    Kernel: mm/swap.c folio_batch_move_lru()
    """
    batch = vm.folios.fbatches[cpu][which]
    for folio in batch:
        if which != LRU_ADD and not folio_test_clear_lru(vm, folio):
            continue
        MOVE_FN[which](vm, folio)
        folio_set_lru(vm, folio)
    moved = list(batch)
    for folio in reversed(moved):
        if vm.trace.mask & TP_STEPS:
            vm.trace.step(BATCH_DEL, cpu, which, folio)
        batch.pop()
    folios_put(vm, moved)


def folio_batch_add_and_move(vm: Vm, folio: int, which: int) -> None:
    """Let a folio wait in this CPU's batch; a full one, or a large folio, moves it at once.

    Kernel: mm/swap.c __folio_batch_add_and_move()
    """
    folio_get(vm.folios, folio)
    batch = vm.folios.fbatches[vm.cpu][which]
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(BATCH_ADD, vm.cpu, which, folio)
    batch.append(folio)
    if len(batch) == PAGEVEC_SIZE or folio_nr_pages(vm, folio) > 1:
        folio_batch_move_lru(vm, vm.cpu, which)


def folio_add_lru(vm: Vm, folio: int) -> None:
    """Queue a folio for its LRU list. Kernel: mm/swap.c folio_add_lru().

    To the multi-gen LRU, what a fault brings is young; not what migration puts back in one.
    """
    current = vm.current
    if current.in_lru_fault and not current.flags & PF_MEMALLOC and lru_gen_enabled(vm):
        if not vm.folios.flags[folio] & PG_unevictable:
            folio_set_flags(vm.folios, folio, PG_active)
    folio_batch_add_and_move(vm, folio, LRU_ADD)


def folio_activate(vm: Vm, folio: int) -> None:
    """Queue a folio for the active list. Kernel: mm/swap.c folio_activate()."""
    if vm.folios.flags[folio] & (PG_active | PG_unevictable) or not folio_test_lru(vm, folio):
        return
    folio_batch_add_and_move(vm, folio, LRU_ACTIVATE)


def _lru_cache_activate_folio(vm: Vm, folio: int) -> None:
    """Activate a folio that waits in this CPU's lru_add batch; one in another's stays as it is.

    Kernel: mm/swap.c __lru_cache_activate_folio()
    """
    if folio in vm.folios.fbatches[vm.cpu][LRU_ADD]:
        folio_set_flags(vm.folios, folio, PG_active)


def folio_mark_accessed(vm: Vm, folio: int) -> None:
    """A folio was used: it is referenced, or, the second time, activated.

    Kernel: mm/swap.c folio_mark_accessed()
    """
    if lru_gen_enabled(vm):
        folio_inc_refs(vm.folios, folio)
        return
    flags = vm.folios.flags[folio]
    if not flags & PG_referenced:
        folio_set_flags(vm.folios, folio, PG_referenced)
    elif not flags & (PG_unevictable | PG_active):
        if folio_test_lru(vm, folio):
            folio_activate(vm, folio)
        else:
            _lru_cache_activate_folio(vm, folio)
        folio_clear_flags(vm.folios, folio, PG_referenced)
        workingset_activation(vm, folio)


def folio_deactivate(vm: Vm, folio: int) -> None:
    """Queue an active folio for the inactive list. Kernel: mm/swap.c folio_deactivate()."""
    flags = vm.folios.flags[folio]
    if flags & PG_unevictable or not folio_test_lru(vm, folio):
        return
    if flags & PG_active or lru_gen_enabled(vm):
        folio_batch_add_and_move(vm, folio, LRU_DEACTIVATE)


def deactivate_file_folio(vm: Vm, folio: int) -> None:
    """Queue a folio that could not be dropped. Kernel: mm/swap.c deactivate_file_folio()."""
    if not vm.folios.flags[folio] & PG_unevictable and folio_test_lru(vm, folio):
        folio_batch_add_and_move(vm, folio, LRU_DEACTIVATE_FILE)


def folio_mark_lazyfree(vm: Vm, folio: int) -> None:
    """What MADV_FREE does to a folio. Kernel: mm/swap.c folio_mark_lazyfree()."""
    if folio_test_lru(vm, folio) and _may_lazyfree(vm, folio):
        folio_batch_add_and_move(vm, folio, LRU_LAZYFREE)


def folio_rotate_reclaimable(vm: Vm, folio: int) -> None:
    """Writeback of a folio that reclaim waits for ends. Kernel: folio_rotate_reclaimable()."""
    busy = PG_locked | PG_dirty | PG_unevictable
    if not vm.folios.flags[folio] & busy and folio_test_lru(vm, folio):
        folio_batch_add_and_move(vm, folio, LRU_MOVE_TAIL)


def folio_putback_lru(vm: Vm, folio: int) -> None:
    """Put back an isolated folio, and let go of it. Kernel: mm/vmscan.c folio_putback_lru()."""
    folio_add_lru(vm, folio)
    folio_put(vm, folio)


def lru_add_drain_cpu(vm: Vm, cpu: int) -> None:
    """Empty a CPU's batches. Kernel: mm/swap.c lru_add_drain_cpu()."""
    for which in _DRAIN_ORDER:
        if vm.folios.fbatches[cpu][which]:
            folio_batch_move_lru(vm, cpu, which)


def lru_add_drain(vm: Vm) -> None:
    """Empty this CPU's batches. Kernel: mm/swap.c lru_add_drain()."""
    lru_add_drain_cpu(vm, vm.cpu)


def lru_add_drain_all(vm: Vm) -> None:
    """Empty all batches; each CPU does it itself. Kernel: mm/swap.c lru_add_drain_all()."""
    here = vm.cpu
    for cpu in range(vm.nr_cpus):
        if any(vm.folios.fbatches[cpu]):
            vm.set_cpu(cpu)
            lru_add_drain(vm)
    vm.set_cpu(here)

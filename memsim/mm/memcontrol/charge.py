"""A page is charged before it is given to anybody: from stock, or after reclaim, or after a kill.

NOT MODELLED: charges that an interrupt makes (in_task()).

Kernel: mm/memcontrol.c try_charge_memcg() to __mem_cgroup_charge()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, get_order
from memsim.mm.folio import folio_nr_pages, set_word
from memsim.mm.memcontrol.high import (
    mem_cgroup_handle_over_high,
    reclaim_from,
    task_is_dying,
)
from memsim.mm.memcontrol.state import MemCgroup, memcg_memory_event
from memsim.mm.memcontrol.stock import consume_stock, drain_all_stock, refill_stock
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import tsk_is_oom_victim
from memsim.mm.page_counter import page_counter_charge, page_counter_try_charge
from memsim.trace.folio_steps import WORD_MEMCG_DATA
from memsim.words.errno import ENOMEM
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_HIGH,
    __GFP_NOFAIL,
    __GFP_NORETRY,
    __GFP_RETRY_MAYFAIL,
)
from memsim.words.memcontrol import MEMCG_CHARGE_BATCH, MEMCG_DATA_SHIFT, MEMCG_MAX, MEMCG_OOM
from memsim.words.mmzone import MAX_RECLAIM_RETRIES, PAGE_ALLOC_COSTLY_ORDER
from memsim.words.oom import MMF_OOM_SKIP
from memsim.words.task import PF_MEMALLOC


def mem_cgroup_margin(memcg: MemCgroup) -> int:
    """Pages that still fit below memory.max. Kernel: mm/memcontrol.c mem_cgroup_margin()."""
    return max(memcg.memory.max - memcg.memory.usage, 0)


def mem_cgroup_charge(vm: Vm, folio: int, memcg: MemCgroup | None, gfp_mask: int) -> int:
    """Charge a new folio to a memcg, None for the root: 0, or -ENOMEM.

    Kernel: mm/memcontrol.c __mem_cgroup_charge(), charge_memcg()
    """
    if memcg is None:
        return 0
    ret = try_charge_memcg(vm, memcg, gfp_mask, folio_nr_pages(vm, folio))
    if not ret:
        set_word(vm.folios, WORD_MEMCG_DATA, folio, memcg.id << MEMCG_DATA_SHIFT)
    return ret


def mem_cgroup_swapin_charge_folio(
    vm: Vm, folio: int, memcg: MemCgroup | None, gfp_mask: int, slot: int
) -> int:
    """Charge a folio that is read from a slot: to whom the slot is charged, else to memcg.

    Kernel: mm/memcontrol.c mem_cgroup_swapin_charge_folio()
    """
    memcgs = vm.folios.memcgs
    slots_own = memcgs.groups.get(memcgs.swap_cgroup.get(slot, 0))
    return mem_cgroup_charge(vm, folio, slots_own or memcg, gfp_mask)


def try_charge_memcg(vm: Vm, memcg: MemCgroup, gfp_mask: int, nr_pages: int) -> int:
    """Charge pages that nobody has yet: 0, or -ENOMEM.

    What must not fail is charged beyond the limit. Kernel: mm/memcontrol.c try_charge_memcg()
    """
    batch = max(MEMCG_CHARGE_BATCH, nr_pages)
    if _attempt(vm, memcg, gfp_mask, nr_pages, batch):
        return 0
    if batch > nr_pages and _attempt(vm, memcg, gfp_mask, nr_pages, nr_pages):
        return 0
    # who reclaims goes over the limit for a moment, rather than to reclaim inside reclaim
    force = vm.current.flags & PF_MEMALLOC
    raised_max_event = not force and _may_make_room(vm, gfp_mask)
    if raised_max_event and _make_room(vm, memcg, gfp_mask, nr_pages):
        return 0
    if not force and not gfp_mask & (__GFP_NOFAIL | __GFP_HIGH):
        return -ENOMEM
    if not raised_max_event:
        memcg_memory_event(vm, memcg, MEMCG_MAX)
    page_counter_charge(vm, memcg.memory, nr_pages)
    return 0


def _attempt(vm: Vm, memcg: MemCgroup, gfp_mask: int, nr_pages: int, batch: int) -> bool:
    """One try: from stock, else a batch from the counter, of which the rest goes into stock."""
    if consume_stock(vm, memcg, nr_pages):
        return True
    if not page_counter_try_charge(vm, memcg.memory, batch):
        return False
    if batch > nr_pages:
        refill_stock(vm, memcg, batch - nr_pages)
    _note_over_high(vm, memcg, gfp_mask, batch)
    return True


def _note_over_high(vm: Vm, memcg: MemCgroup, gfp_mask: int, batch: int) -> None:
    """Above memory.high the task reclaims on its way out of the kernel, or now if it has much."""
    memcgs = vm.folios.memcgs
    if memcg.memory.usage > memcg.memory.high:
        memcgs.nr_pages_over_high += batch
    much = memcgs.nr_pages_over_high > MEMCG_CHARGE_BATCH
    if much and not vm.current.flags & PF_MEMALLOC and gfp_mask & __GFP_DIRECT_RECLAIM:
        mem_cgroup_handle_over_high(vm, gfp_mask)


def _may_make_room(vm: Vm, gfp_mask: int) -> bool:
    """May the request wait for reclaim, and is it not a victim that is taken for reaped?"""
    current = vm.oom.current
    oom_mm = current.signal.oom_mm if tsk_is_oom_victim(current) else None
    reaped = oom_mm is not None and oom_mm.flags & MMF_OOM_SKIP
    return bool(gfp_mask & __GFP_DIRECT_RECLAIM) and not reaped


def _make_room(vm: Vm, memcg: MemCgroup, gfp_mask: int, nr_pages: int) -> bool:
    """Reclaim and try again until it is charged (True), or nothing helps.

    When nothing was reclaimed MAX_RECLAIM_RETRIES times, somebody is killed.
    """
    nr_retries, drained, passed_oom = MAX_RECLAIM_RETRIES, False, False
    while _may_make_room(vm, gfp_mask):
        memcg_memory_event(vm, memcg, MEMCG_MAX)
        nr_reclaimed = reclaim_from(vm, memcg, nr_pages, gfp_mask)
        small = nr_pages <= 1 << PAGE_ALLOC_COSTLY_ORDER
        if mem_cgroup_margin(memcg) >= nr_pages:
            pass
        elif not drained:
            drain_all_stock(vm, memcg)
            drained = True
        elif gfp_mask & __GFP_NORETRY:
            return False
        elif nr_reclaimed and small:
            pass
        elif nr_retries:
            nr_retries -= 1
        elif not _kill_for(vm, memcg, gfp_mask, nr_pages, passed_oom):
            return False
        else:
            nr_retries, passed_oom = MAX_RECLAIM_RETRIES, True
        if _attempt(vm, memcg, gfp_mask, nr_pages, nr_pages):
            return True
    return False


def _kill_for(vm: Vm, memcg: MemCgroup, gfp_mask: int, nr_pages: int, passed_oom: bool) -> bool:
    """The last resort: True, the charge should be tried again."""
    if gfp_mask & __GFP_RETRY_MAYFAIL or (passed_oom and task_is_dying(vm)):
        return False
    return mem_cgroup_oom(vm, memcg, gfp_mask, get_order(nr_pages * PAGE_SIZE))


def mem_cgroup_oom(vm: Vm, memcg: MemCgroup, gfp_mask: int, order: int) -> bool:
    """Kill somebody of the memcg, unless the request is large: does it help to try again?

    Kernel: mm/memcontrol.c mem_cgroup_oom()
    """
    if order > PAGE_ALLOC_COSTLY_ORDER:
        return False
    memcg_memory_event(vm, memcg, MEMCG_OOM)
    return vm.pressure is not None and vm.pressure.mem_cgroup_out_of_memory(memcg, gfp_mask, order)

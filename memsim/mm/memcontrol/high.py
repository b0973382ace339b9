"""memory.high: who goes over it reclaims, and where that does not help has to wait.

NOT MODELLED: the wait itself. How long it would be is counted, in jiffies of HZ=250: high_delay.

Kernel: mm/memcontrol.c reclaim_high() to mem_cgroup_handle_over_high()
"""

from __future__ import annotations

from memsim.mm.memcontrol.state import MemCgroup, memcg_memory_event, set_memcg_field
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.task import tsk_is_oom_victim
from memsim.words.memcontrol import (
    HZ,
    MEMCG_CHARGE_BATCH,
    MEMCG_DELAY_PRECISION_SHIFT,
    MEMCG_DELAY_SCALING_SHIFT,
    MEMCG_HIGH,
    MEMCG_MAX_HIGH_DELAY_JIFFIES,
)
from memsim.words.mmzone import MAX_RECLAIM_RETRIES
from memsim.words.oom import PF_EXITING
from memsim.words.page_flags import SWAP_CLUSTER_MAX


def task_is_dying(vm: Vm) -> bool:
    """Is current about to give its memory back? Kernel: mm/memcontrol.c task_is_dying()."""
    current = vm.oom.current
    exiting = current.flags & PF_EXITING
    return tsk_is_oom_victim(current) or current.fatal_signal or bool(exiting)


def reclaim_from(vm: Vm, memcg: MemCgroup, nr_pages: int, gfp_mask: int) -> int:
    """Pages freed of a memcg; none where nobody reclaims."""
    if vm.pressure is None:
        return 0
    return vm.pressure.try_to_free_mem_cgroup_pages(memcg, nr_pages, gfp_mask)


def calculate_overage(usage: int, high: int) -> int:
    """How far usage is above high, as a share of it, in 2**-20.

    Kernel: mm/memcontrol.c calculate_overage()
    """
    if usage <= high:
        return 0
    high = max(high, 1)
    return ((usage - high) << MEMCG_DELAY_PRECISION_SHIFT) // high


def calculate_high_delay(nr_pages: int, max_overage: int) -> int:
    """Jiffies that a task should wait which has charged nr_pages: by the square of the overage.

    Kernel: mm/memcontrol.c calculate_high_delay()
    """
    penalty_jiffies = max_overage * max_overage * HZ & (1 << 64) - 1
    penalty_jiffies >>= MEMCG_DELAY_PRECISION_SHIFT + MEMCG_DELAY_SCALING_SHIFT
    return penalty_jiffies * nr_pages // MEMCG_CHARGE_BATCH


def reclaim_high(vm: Vm, memcg: MemCgroup, nr_pages: int, gfp_mask: int) -> int:
    """Reclaim if the memcg is above high: pages freed. Kernel: mm/memcontrol.c reclaim_high()."""
    if memcg.memory.usage <= memcg.memory.high:
        return 0
    memcg_memory_event(vm, memcg, MEMCG_HIGH)
    return reclaim_from(vm, memcg, nr_pages, gfp_mask)


def mem_cgroup_handle_over_high(vm: Vm, gfp_mask: int) -> None:
    """Current reclaims as much as it has charged above high, then little by little, then waits.

    Kernel: mm/memcontrol.c mem_cgroup_handle_over_high()
    """
    memcgs, memcg = vm.folios.memcgs, vm.oom.current.memcg
    nr_pages, memcgs.nr_pages_over_high = memcgs.nr_pages_over_high, 0
    if not nr_pages or memcg is None:
        return
    nr_retries, nr_to_reclaim = MAX_RECLAIM_RETRIES, nr_pages
    while not task_is_dying(vm):
        nr_reclaimed = reclaim_high(vm, memcg, nr_to_reclaim, gfp_mask)
        nr_to_reclaim = SWAP_CLUSTER_MAX
        overage = calculate_overage(memcg.memory.usage, memcg.memory.high)
        delay = min(calculate_high_delay(nr_pages, overage), MEMCG_MAX_HIGH_DELAY_JIFFIES)
        if delay <= HZ // 100:
            return
        if not nr_reclaimed and not nr_retries:
            set_memcg_field(vm, memcg, "high_delay", memcg.high_delay + delay)
            return
        nr_retries -= not nr_reclaimed

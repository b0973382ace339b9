"""What the page allocator, a memcg or sysrq asks for when nothing else is left.

Kernel: mm/oom_kill.c out_of_memory()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.area import count_areas, count_swap
from memsim.mm.oom_kill.badness import oom_unkillable_task
from memsim.mm.oom_kill.constraint import OomControl, constrained_alloc, oom_cpuset_eligible
from memsim.mm.oom_kill.header import dump_header
from memsim.mm.oom_kill.journal import tasks_change
from memsim.mm.oom_kill.kill import oom_kill_process
from memsim.mm.oom_kill.reaper import queue_oom_reaper
from memsim.mm.oom_kill.select import select_bad_process
from memsim.mm.oom_kill.victim import mark_oom_victim, task_will_free_mem
from memsim.words.gfp import __GFP_FS
from memsim.words.mmzone import NULL
from memsim.words.oom import CONSTRAINT_MEMORY_POLICY, CONSTRAINT_NONE, OOM_SCORE_ADJ_MIN


def out_of_memory(vm: Vm, oc: OomControl) -> bool:
    """Kill somebody, if that helps; True: the request should be tried again.

    What the kernel dies of is in vm.oom.panic; then False.
    Kernel: mm/oom_kill.c out_of_memory()
    """
    oom = vm.oom
    if oom.oom_killer_disabled:
        return False
    tasks_change(vm)
    count_areas(vm)
    count_swap(vm)
    if oc.memcg is None and _notifiers_freed(vm) and not oc.is_sysrq_oom:
        return True
    if task_will_free_mem(vm, oom.current):
        mark_oom_victim(vm, oom.current)
        queue_oom_reaper(vm, oom.current)
        return True
    # who may not call into a filesystem has not tried all of reclaim: no reason to kill
    if not oc.gfp_mask & __GFP_FS and oc.memcg is None:
        return True
    oc.constraint = constrained_alloc(vm, oc)
    if oc.constraint != CONSTRAINT_MEMORY_POLICY:
        oc.nodemask = NULL
    if _panics(vm, oc):
        return False
    if _kills_allocating_task(vm, oc):
        oc.chosen = oom.current
        oom_kill_process(vm, oc, oom.current, "Out of memory (oom_kill_allocating_task)")
        return True
    return _kill_the_worst(vm, oc)


def _notifiers_freed(vm: Vm) -> bool:
    """Did those who asked to be told first give pages back? Kernel: register_oom_notifier()."""
    freed, vm.oom.notifier_freed = vm.oom.notifier_freed, 0
    return freed > 0


def _panics(vm: Vm, oc: OomControl) -> bool:
    """Does the kernel die rather than kill? Kernel: mm/oom_kill.c check_panic_on_oom()."""
    sysctl = vm.oom.panic_on_oom
    if not sysctl or oc.is_sysrq_oom:
        return False
    if sysctl != 2 and oc.constraint != CONSTRAINT_NONE:
        return False
    dump_header(vm, oc)
    what = "compulsory" if sysctl == 2 else "system-wide"
    _panic(vm, f"Out of memory: {what} panic_on_oom is enabled")
    return True


def _panic(vm: Vm, text: str) -> None:
    """Kernel: kernel/panic.c panic()."""
    vm.oom.panic = text
    vm.oom.log.append(f"Kernel panic - not syncing: {text}")


def _kills_allocating_task(vm: Vm, oc: OomControl) -> bool:
    """Is current itself to die, whoever has most?"""
    current = vm.oom.current
    return (
        oc.memcg is None
        and bool(vm.oom.oom_kill_allocating_task)
        and current.mm is not None
        and not oom_unkillable_task(current)
        and oom_cpuset_eligible(vm, current, oc)
        and current.signal.oom_score_adj != OOM_SCORE_ADJ_MIN
    )


def _kill_the_worst(vm: Vm, oc: OomControl) -> bool:
    """Kill who has most; wait if somebody dies already; panic if nobody may be killed."""
    select_bad_process(vm, oc)
    if oc.aborted:
        return True
    if oc.chosen is None:
        dump_header(vm, oc)
        vm.oom.log.append("Out of memory and no killable processes...")
        if not oc.is_sysrq_oom and oc.memcg is None:
            _panic(vm, "System is deadlocked on memory")
        return False
    message = "Out of memory" if oc.memcg is None else "Memory cgroup out of memory"
    oom_kill_process(vm, oc, oc.chosen, message)
    return True

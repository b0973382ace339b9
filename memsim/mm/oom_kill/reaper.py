"""The reaper: two seconds after a kill it unmaps what the victim has not given back itself.

Kernel: mm/oom_kill.c oom_reaper()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.lines import Reaped
from memsim.mm.oom_kill.regions import unmap_regions
from memsim.mm.oom_kill.task import Mm, Task
from memsim.mm.page_alloc.free import free_unref_folios
from memsim.mm.show_mem import K
from memsim.trace.events import (
    FINISH_TASK_REAPING,
    SKIP_TASK_REAPING,
    START_TASK_REAPING,
    WAKE_REAPER,
)
from memsim.words.oom import (
    MAX_OOM_REAP_RETRIES,
    MMF_OOM_REAP_QUEUED,
    MMF_OOM_SKIP,
    MMF_UNSTABLE,
)


def _fire(vm: Vm, event: int, task: Task) -> None:
    """One of the four events that have nothing but the pid."""
    if vm.trace.mask & 1 << event:
        vm.trace.emit(event, task.pid)


def queue_oom_reaper(vm: Vm, task: Task) -> None:
    """Start the two seconds (OOM_REAPER_DELAY); once for each mm.

    Kernel: mm/oom_kill.c queue_oom_reaper()
    """
    mm = task.signal.oom_mm
    if mm is None or mm.flags & MMF_OOM_REAP_QUEUED:
        return
    mm.flags |= MMF_OOM_REAP_QUEUED
    vm.oom.waiting.append(task)


def wake_oom_reaper(vm: Vm) -> None:
    """The two seconds of the first victim that waits are over.

    Kernel: mm/oom_kill.c wake_oom_reaper()
    """
    task = vm.oom.waiting.pop(0)
    mm = task.signal.oom_mm
    if mm is None or mm.flags & MMF_OOM_SKIP:
        return
    vm.oom.reaper_list.insert(0, task)
    _fire(vm, WAKE_REAPER, task)


def oom_reaper(vm: Vm) -> None:
    """Reap all who are in the list. Kernel: mm/oom_kill.c oom_reaper()."""
    while vm.oom.reaper_list:
        oom_reap_task(vm, vm.oom.reaper_list.pop(0))


def oom_reap_task(vm: Vm, task: Task) -> None:
    """Try ten times; then, done or not, its mm counts no more.

    NOT MODELLED: that mmap_lock comes free between two attempts; what is shown of a task that
    cannot be reaped. Kernel: mm/oom_kill.c oom_reap_task()
    """
    mm = task.signal.oom_mm
    if mm is None:
        return
    reaped = any(oom_reap_task_mm(vm, task, mm) for _ in range(MAX_OOM_REAP_RETRIES))
    if not reaped and not mm.flags & MMF_OOM_SKIP:
        vm.oom.log.append(f"oom_reaper: unable to reap pid:{task.pid} ({task.comm})")
    mm.flags |= MMF_OOM_SKIP


def oom_reap_task_mm(vm: Vm, task: Task, mm: Mm) -> bool:
    """Reap once; False: mmap_lock was taken. Kernel: mm/oom_kill.c oom_reap_task_mm()."""
    if mm.mmap_locked:
        _fire(vm, SKIP_TASK_REAPING, task)
        return False
    if mm.flags & MMF_OOM_SKIP:
        _fire(vm, SKIP_TASK_REAPING, task)
        return True
    _fire(vm, START_TASK_REAPING, task)
    _oom_reap_task_mm(vm, mm)
    reaped = Reaped(task.pid, task.comm, K(mm.anonpages), K(mm.filepages), K(mm.shmempages))
    vm.oom.log.append(reaped.line())
    _fire(vm, FINISH_TASK_REAPING, task)
    return True


def _oom_reap_task_mm(vm: Vm, mm: Mm) -> None:
    """Unmap all that is private. Its page tables stay, and so do shared mappings.

    NOT MODELLED: mappings of huge pages and of devices, which stay too; MMU notifiers that would
    have to wait. Kernel: mm/oom_kill.c __oom_reap_task_mm()
    """
    mm.flags |= MMF_UNSTABLE
    mm.anonpages = mm.swapents = 0
    mm.filepages = mm.shared_filepages
    unmap_regions(vm, mm)
    free_unref_folios(vm, [(pfn, 0) for pfn in mm.pages])
    mm.pages.clear()

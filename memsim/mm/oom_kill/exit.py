"""A process ends by itself, or because of a signal.

Kernel: kernel/exit.c exit_mm(), mm/mmap.c exit_mmap(), mm/oom_kill.c exit_oom_victim()
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.regions import forget_regions
from memsim.mm.oom_kill.task import Mm, Task
from memsim.mm.page_alloc.free import free_unref_folios
from memsim.words.oom import MMF_OOM_SKIP, PF_EXITING


def exit_oom_victim(vm: Vm, task: Task) -> None:
    """A victim needs the reserves no more. Kernel: mm/oom_kill.c exit_oom_victim()."""
    task.memdie = False
    vm.oom.oom_victims -= 1


def exit_mm(vm: Vm, task: Task) -> None:
    """One thread lets go of its memory; the last user gives it back. Kernel: kernel/exit.c."""
    mm = task.mm
    task.flags |= PF_EXITING
    task.mm = None
    if mm is not None:
        mm.mm_users -= 1
        if not mm.mm_users:
            exit_mmap(vm, mm)
    if task.memdie:
        exit_oom_victim(vm, task)


def exit_mmap(vm: Vm, mm: Mm) -> None:
    """Give all of it back. Kernel: mm/mmap.c exit_mmap()."""
    mm.flags |= MMF_OOM_SKIP
    forget_regions(vm, mm)
    free_unref_folios(vm, [(pfn, 0) for pfn in mm.pages])
    mm.pages.clear()
    mm.anonpages = mm.filepages = mm.shmempages = mm.swapents = mm.pgtables_bytes = 0


def exit_process(vm: Vm, process: Task) -> None:
    """All threads exit, and the process is gone."""
    for task in process.signal.threads:
        exit_mm(vm, task)
    vm.oom.processes.remove(process)

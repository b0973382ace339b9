"""A process ends by itself, or because of a signal.

Kernel: kernel/exit.c exit_mm(), mm/mmap.c exit_mmap(), mm/oom_kill.c exit_oom_victim()
"""

from __future__ import annotations

from memsim.mm.jiffies import pass_jiffies
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.area import exit_areas
from memsim.mm.oom_kill.journal import tasks_change
from memsim.mm.oom_kill.reaper import run_oom_reaper
from memsim.mm.oom_kill.task import Mm, Task, tsk_is_oom_victim
from memsim.mm.page_alloc.free import free_unref_folios
from memsim.words.oom import MMF_OOM_SKIP, PF_EXITING


def exit_oom_victim(vm: Vm, task: Task) -> None:
    """A victim needs the reserves no more. Kernel: mm/oom_kill.c exit_oom_victim()."""
    task.memdie = False
    vm.oom.oom_victims -= 1


def exit_mm(vm: Vm, task: Task) -> None:
    """One thread lets go of its memory; the last user gives it back. Kernel: kernel/exit.c."""
    tasks_change(vm)
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
    exit_areas(vm, mm)
    free_unref_folios(vm, [(pfn, 0) for pfn in mm.pages])
    mm.pages.clear()
    mm.anonpages = mm.filepages = mm.shmempages = mm.swapents = mm.pgtables_bytes = 0


def dies(process: Task) -> bool:
    """Was it killed, or chosen by the OOM killer?"""
    return process.fatal_signal or tsk_is_oom_victim(process)


def can_die(process: Task) -> bool:
    """Was it killed, and does it not wait for a device?"""
    return dies(process) and not process.uninterruptible


def victims_exit(vm: Vm) -> None:
    """Victims die while somebody waits for their memory; if all are held up, the reaper comes.

    Who asked is a victim itself: it goes on with the reserves, and dies behind its request.
    NOT MODELLED: others who run meanwhile.
    """
    victims = [process for process in vm.oom.processes if dies(process)]
    free = [process for process in victims if can_die(process)]
    for process in free:
        if process is vm.oom.current:
            vm.current.oom_victim = vm.current.fatal_signal_pending = True
        else:
            here = vm.cpu
            vm.set_cpu(process.cpu)
            exit_process(vm, process)
            vm.set_cpu(here)
    if victims and not free and vm.oom.waiting:
        pass_jiffies(vm, max(0, vm.oom.waiting[-1].oom_reaper_timer - vm.jiffies))
        run_oom_reaper(vm)


def exit_process(vm: Vm, process: Task) -> None:
    """All threads exit, and the process is gone; init asks from then on where it asked."""
    for task in process.signal.threads:
        exit_mm(vm, task)
    vm.oom.processes.remove(process)
    vm.oom.dying = any(dies(other) for other in vm.oom.processes)
    if process is vm.oom.current:
        vm.oom.current = vm.oom.processes[0]
        vm.current.oom_victim = vm.current.fatal_signal_pending = False

"""The report: who asked, the state of memory, all tasks, the victim.

NOT MODELLED: the stack (dump_stack()); "Unreclaimable slab info" (dump_unreclaimable_slab()), for
the model does not count slab's pages among NR_SLAB_UNRECLAIMABLE_B.

Kernel: mm/oom_kill.c dump_header(), dump_tasks(), dump_oom_victim()
"""

from __future__ import annotations

from memsim.lib.bits import bitmap_print_list
from memsim.mm.memcontrol.stat import memcg_stat_format
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.constraint import OomControl, mems_allowed
from memsim.mm.oom_kill.lines import TASKS_HEAD, Chosen, Invoked, MemcgUse, TaskRow
from memsim.mm.oom_kill.select import is_candidate, scanned
from memsim.mm.oom_kill.task import Task, find_lock_task_mm, get_mm_rss
from memsim.mm.show_mem import K, mem_info
from memsim.words.gfp import gfp_zone
from memsim.words.mmzone import NULL
from memsim.words.oom import OOM_CONSTRAINT_TEXT


def dump_header(vm: Vm, oc: OomControl) -> None:
    """All but the victim. Kernel: mm/oom_kill.c dump_header()."""
    current, log = vm.oom.current, vm.oom.log
    invoked = Invoked(current.comm, oc.gfp_mask, oc.order, current.signal.oom_score_adj)
    log.append(invoked.line())
    if oc.memcg is not None:
        log.extend(memcg_lines(oc.memcg))
    else:
        nodemask = mems_allowed(vm, current) if oc.nodemask == NULL else oc.nodemask
        log.extend(mem_info(vm, gfp_zone(oc.gfp_mask, vm.arch), nodemask).lines())
    if vm.oom.oom_dump_tasks:
        dump_tasks(vm, oc)


def memcg_lines(memcg: MemCgroup) -> list[str]:
    """The group's use and limits. Kernel: mm/memcontrol.c mem_cgroup_print_oom_meminfo()."""
    memory, swap = memcg.memory, memcg.swap
    use = MemcgUse(
        K(memory.usage), K(memory.max), memory.failcnt, K(swap.usage), K(swap.max), swap.failcnt
    )
    return use.lines(memcg.path, memcg_stat_format(memcg))


def dump_tasks(vm: Vm, oc: OomControl) -> None:
    """The table of tasks. Kernel: mm/oom_kill.c dump_tasks()."""
    vm.oom.log.extend(TASKS_HEAD)
    for process in scanned(vm, oc.memcg):
        task = find_lock_task_mm(process)
        if is_candidate(vm, process, oc) and task is not None:
            vm.oom.log.append(row_of(task).line())


def row_of(task: Task) -> TaskRow:
    """The task's row; it has an mm. Kernel: mm/oom_kill.c dump_task()."""
    mm = task.mm
    assert mm is not None
    return TaskRow(
        task.pid, task.uid, task.tgid, mm.total_vm, get_mm_rss(mm), mm.anonpages, mm.filepages,
        mm.shmempages, mm.pgtables_bytes, mm.swapents, task.signal.oom_score_adj, task.comm,
    )  # fmt: skip


def dump_oom_victim(vm: Vm, oc: OomControl, victim: Task) -> None:
    """The line that sums up. Kernel: mm/oom_kill.c dump_oom_victim()."""
    current = vm.oom.current
    chosen = Chosen(
        OOM_CONSTRAINT_TEXT[oc.constraint],
        "(null)" if oc.nodemask == NULL else bitmap_print_list(oc.nodemask),
        current.cpuset,
        bitmap_print_list(mems_allowed(vm, current)),
        "" if oc.memcg is None else oc.memcg.path,
        "/" if victim.memcg is None else victim.memcg.path,
        victim.comm,
        victim.pid,
        victim.uid,
    )
    vm.oom.log.append(chosen.line())

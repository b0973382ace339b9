"""A process begins.

Kernel: kernel/fork.c
"""

from __future__ import annotations

from dataclasses import replace

from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.area import mmap_area
from memsim.mm.oom_kill.journal import tasks_change
from memsim.mm.oom_kill.task import Mm, Task, add_process


def new_process(
    vm: Vm, comm: str, uid: int, oom_score_adj: int, cpu: int, memcg: MemCgroup | None
) -> Task:
    """A process with nothing mapped, on this CPU, in a memcg; None is the root."""
    tasks_change(vm)
    pid = vm.oom.next_pid
    vm.oom.next_pid += 1
    process = add_process(
        vm.oom, pid, comm, Mm(), uid=uid, oom_score_adj=oom_score_adj, memcg=memcg
    )
    process.cpu = cpu
    return process


def copy_process(vm: Vm, parent: Task) -> Task:
    """A child, with regions as large as its parent's; it inherits the rest, its policy too.

    NOT MODELLED: folios that both share until one of them writes: the child has nothing there, and
    faults in its own. Kernel: kernel/fork.c copy_process()
    """
    score_adj = parent.signal.oom_score_adj
    child = new_process(vm, parent.comm, parent.uid, score_adj, parent.cpu, parent.memcg)
    child.mempolicy = replace(parent.mempolicy)
    assert parent.mm is not None
    assert child.mm is not None
    for number, nr_pages in parent.mm.areas:
        name = vm.trace.names[vm.folios.mappings[number].name]
        mmap_area(vm, child.mm, name, nr_pages)
    return child

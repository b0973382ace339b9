"""What lesson 16 runs more than once: recorded reports, the last page of a machine, masks."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from memsim.machine import Machine
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.badness import oom_badness
from memsim.mm.oom_kill.constraint import OomControl, constrained_alloc
from memsim.mm.oom_kill.out_of_memory import out_of_memory
from memsim.mm.oom_kill.reaper import oom_reaper, wake_oom_reaper
from memsim.mm.oom_kill.task import Mm, Task, add_process
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.pressure import Pressure
from memsim.mm.vmstat import min_wmark_pages, zone_page_state
from memsim.proc.explain.memory import shares
from memsim.proc.failure import FailureReport, add_tasks, totalpages
from memsim.trace.slowpath_steps import SlowPath
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import (
    __GFP_MEMALLOC,
    __GFP_NORETRY,
    __GFP_RETRY_MAYFAIL,
    GFP_ATOMIC,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_NOFS,
)
from memsim.words.mmzone import NR_FREE_PAGES, NULL
from memsim.words.oom import LONG_MIN, OOM_CONSTRAINT_TEXT
from memsim.workload.programs import Program, Programs


def killed_by_the_model(report: FailureReport) -> str:
    """Give a model the tasks of a recorded report, and let it choose: its line "Killed process"."""
    vm = Machine("64 MiB", steps=False).vm
    # what oom_score_adj is weighed by: the recorded machine's memory
    vm.zones[0].managed_pages += totalpages(report) - sum(z.managed_pages for z in vm.zones)
    tasks = add_tasks(vm.oom, report)
    assert report.chosen is not None
    vm.oom.current = next(task for task in tasks if task.pid == report.chosen.pid)
    out_of_memory(vm, OomControl(report.told_mask, report.order, vm.nodes[0].node_zonelists[0]))
    return next(line for line in vm.oom.log if "Killed process" in line)


def shares_told(report: FailureReport) -> dict[str, int]:
    """What memory is used for, in pages, the largest first; uses below a hundredth together."""
    assert report.mem is not None
    *known, unknown = shares(report.mem)
    total = sum(share.pages for share in known) + unknown.pages
    told = {share.what: share.pages for share in known if share.pages * 100 >= total}
    rest = total - sum(told.values()) - unknown.pages
    return told | {"all else": rest, unknown.what: unknown.pages}


# The last page


def nearly_full(editor: int = 0) -> tuple[Programs, Program]:
    """16 MiB, down to min: a database that may not be killed has nearly all of it.

    A shell has three pages, and an editor, if it has any, so many.
    """
    machine = Programs("16 MiB", pcp=False, steps=True)
    machine.touch_first(machine.start("shell", "1 MiB"), 3)
    if editor:
        machine.touch_first(machine.start("editor", "4 MiB"), editor)
    database = machine.start("database", "64 MiB", oom_score_adj=-1000)
    zone, index = machine.zone("DMA"), 0
    while zone_page_state(zone, NR_FREE_PAGES) > min_wmark_pages(zone):
        machine.touch(database.region, index)
        index += 1
    machine.vm.oom.current = database.task
    return machine, database


def decisions(machine: Machine) -> list[SlowPath]:
    """The slow path's decisions of the last operation."""
    steps = machine.steps(machine.history[-1].first_step)
    return [step for step in steps if isinstance(step, SlowPath)]


# The reaper


class Stuck(NamedTuple):
    """A machine whose OOM victim does not get to exit: it waits for something."""

    vm: Vm
    victim: Task

    def has(self) -> int:
        """Pages that the victim still has."""
        assert self.victim.mm is not None
        return self.victim.mm.anonpages + self.victim.mm.shmempages

    def badness(self) -> str:
        """Its points now."""
        points = oom_badness(self.victim, 4000)
        return "none: never again" if points == LONG_MIN else f"{points:,}"

    def two_seconds_later(self) -> str:
        """The reaper comes: what it logs."""
        wake_oom_reaper(self.vm)
        oom_reaper(self.vm)
        return self.vm.oom.log[-1]


def stuck(locked: bool = False) -> Stuck:
    """A hog of 300 pages, 40 of them shared memory, is killed, and does not exit.

    locked: somebody holds its mmap_lock for writing.
    """
    vm = Machine("16 MiB", steps=False).vm
    pages = [alloc_pages(vm, GFP_HIGHUSER_MOVABLE, 0, 0) for _ in range(260)]
    mm = Mm(total_vm=900, anonpages=260, shmempages=40, pages=pages, mmap_locked=locked)
    hog = add_process(vm.oom, 42, "hog", mm)
    vm.oom.current = add_process(vm.oom, 43, "editor", Mm(total_vm=90, anonpages=20))
    out_of_memory(vm, OomControl(GFP_KERNEL, 0, vm.nodes[0].node_zonelists[0]))
    return Stuck(vm, hog)


# Memory is free, and somebody is killed


class _NobodyCompacts(Pressure):
    """The methods that a kernel without compaction has not."""


def scattered(compacts: bool) -> Programs:
    """64 MiB: each second page free, the others a server's; nobody compacts, or the kernel does."""
    machine = Programs("64 MiB")
    if not compacts:
        for name in ("try_to_compact_pages", "compaction_zonelist_suitable", "compaction_suitable"):
            setattr(machine.vm.pressure, name, getattr(_NobodyCompacts(), name))
    shell, server = machine.start("shell", "4 MiB"), machine.start("server", "40 MiB")
    machine.touch_first(shell, 300)
    machine.touch_first(server, 9000)
    _take_the_rest(machine)
    for index, pfn in machine.pages_of(server).items():
        if pfn % 2:
            machine.drop(server.region, index)
    machine.drain_all_pages()
    machine.vm.oom.current = shell.task
    return machine


def _take_the_rest(machine: Programs) -> None:
    machine.drain_all_pages()
    with suppress(PageAllocationFailure):
        while True:
            machine.alloc_pages(__GFP_MEMALLOC)


# Who is killed for, who gets NULL


#: Requests by what they are called: mask and order.
REQUESTS = {
    "GFP_KERNEL": (GFP_KERNEL, 0),
    "GFP_KERNEL | __GFP_NORETRY": (GFP_KERNEL | __GFP_NORETRY, 0),
    "GFP_KERNEL | __GFP_RETRY_MAYFAIL": (GFP_KERNEL | __GFP_RETRY_MAYFAIL, 0),
    "GFP_NOFS": (GFP_NOFS, 0),
    "GFP_ATOMIC": (GFP_ATOMIC, 0),
    "GFP_KERNEL, order 3": (GFP_KERNEL, 3),
    "GFP_KERNEL, order 4": (GFP_KERNEL, 4),
}


class Outcome(NamedTuple):
    """What became of a request on a full machine."""

    got: bool
    killed: list[str]
    last: str

    @property
    def word(self) -> str:
        """What the caller gets; memsim's own end of a request that would never end is none."""
        if self.got:
            return "a block"
        return "no end" if "for ever" in self.last else "NULL"


def on_a_full_machine(gfp_mask: int, order: int) -> Outcome:
    """Ask; an editor with 400 pages and a shell could be killed."""
    machine, _ = nearly_full(editor=400)
    pfn = machine._do("request", 0, lambda: alloc_pages(machine.vm, gfp_mask, order, 0))
    told = decisions(machine)
    texts = [step.text(str) for step in told]
    last = texts[-2] if len(texts) > 1 and pfn == NULL else ""
    return Outcome(pfn != NULL, machine.killed, last)


# What a request was limited to


def constraints() -> list[tuple[str, str, int]]:
    """On two nodes of 64 MiB: who asks, what it was limited to, and pages it could have had."""
    vm = Machine(["64 MiB", "64 MiB"], cpus=2, steps=False).vm
    told = []
    for who, nodemask, mems_allowed in (
        ("a task without policy", NULL, NULL),
        ("a task bound to node 1 (mbind)", 0b10, NULL),
        ("a task whose cpuset has node 0", NULL, 0b01),
    ):
        vm.oom.current.mems_allowed = mems_allowed
        oc = OomControl(GFP_HIGHUSER_MOVABLE, 0, vm.nodes[0].node_zonelists[0], nodemask)
        told.append((who, OOM_CONSTRAINT_TEXT[constrained_alloc(vm, oc)], oc.totalpages))
    return told


def cgroup_at_its_limit() -> tuple[int, list[str]]:
    """A process fills a cgroup of 1 MiB: pages that are free then, and lines of the report."""
    machine = Machine("64 MiB", reclaim=True, steps=False)
    nginx = machine.task("nginx", cgroup=machine.cgroup("web", max="1M"))
    heap = nginx.mmap("heap", "2 MiB")
    with suppress(PageAllocationFailure):
        for index in range(heap.nr_pages):
            nginx.touch(heap, index)
    free = sum(zone_page_state(zone, NR_FREE_PAGES) for zone in machine.vm.zones)
    starts = ("memory: ", "swap: ", "oom-kill:", "Memory cgroup out of memory: ")
    return free, [line for line in machine.vm.oom.log if line.startswith(starts)]

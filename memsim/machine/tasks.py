"""Tasks: processes that ask, have memory of their own, and may be killed.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", reclaim=True)
>>> hog = machine.task("hog", oom_score_adj=500)
>>> heap = hog.mmap("heap", "1 MiB")
>>> pfn = hog.touch(heap, 0)
>>> hog.rss
1
>>> hog.exit()
>>> hog.alive
False
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from memsim.lib.text import one_line
from memsim.machine.cgroup import Cgroup, CgroupRequests
from memsim.machine.checks import check_cpu, whole
from memsim.machine.pages import Hidden, Pages, T
from memsim.machine.plain import plain_numbers
from memsim.mm.folio import AddressSpace
from memsim.mm.oom_kill.area import count_areas, munmap_area
from memsim.mm.oom_kill.fork import copy_process, new_process
from memsim.mm.oom_kill.journal import tasks_change
from memsim.mm.oom_kill.kill import kill_process
from memsim.mm.oom_kill.score_adj import set_oom_score_adj
from memsim.mm.oom_kill.task import Mm, Task, get_mm_rss
from memsim.words.errors import BadRequest
from memsim.words.oom import OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN

#: TASK_COMM_LEN, less its last byte.
_MAX_COMM = 15
_MAX_UID = (1 << 32) - 1


class TaskRequests(CgroupRequests):
    """The part of a Machine that has tasks; only where it has reclaim=True."""

    def task(
        self,
        name: str,
        *,
        cgroup: Cgroup | None = None,
        oom_score_adj: int = 0,
        uid: int = 0,
        cpu: int = 0,
    ) -> UserTask:
        """A new process that runs on this CPU, with nothing mapped, in a cgroup or in the root.

        What it has is charged to its cgroup.
        """
        self._folios()
        memcg = None if cgroup is None else self.memcg(cgroup)
        check_cpu(self.vm, cpu)
        _check_comm(name)
        _check_score_adj(oom_score_adj)
        whole("uid", uid)
        if not 0 <= uid <= _MAX_UID:
            raise BadRequest(f"uid={uid}: should be 0 to {_MAX_UID}")
        made = self._do(
            f"task({name})", cpu,
            lambda: Hidden(new_process(self.vm, name, uid, oom_score_adj, cpu, memcg)),
        )  # fmt: skip
        return UserTask(self, made.value)

    def tasks(self) -> list[UserTask]:
        """All processes but init, in the order of their start."""
        return [UserTask(self, process) for process in self.vm.oom.processes[1:]]

    @contextmanager
    def running(self, task: UserTask) -> Iterator[None]:
        """Inside the with block it is this task that asks; once it is killed, it is init.

        Its memory policy is its own: set_mempolicy() in here holds whenever it runs.
        """
        if not isinstance(task, UserTask) or task.machine is not self:
            raise BadRequest(f"{one_line(task, 40)!r}: should be what this machine's task() gave")
        task.check()
        with self._as(task.process):
            yield

    def do_as(self, task: UserTask, name: str, call: Callable[[], T]) -> T:
        """An operation in a task's name, on its CPU."""
        with self.running(task):
            return self._do(f"{task.name}: {name}", task.cpu, call)

    def do_to(self, task: UserTask, name: str, call: Callable[[], T]) -> T:
        """An operation that is done to a task."""
        return self._do(f"{task.name}: {name}", task.cpu, call)

    def tick(self, jiffies: int = 1) -> None:
        """Let time pass. Of those who wait for it the OOM reaper runs here, others by a Schedule.

        Machine.vm.HZ jiffies are a second.
        """
        whole("jiffies", jiffies)
        if not 0 < jiffies < 1 << 32:
            raise BadRequest(f"jiffies={jiffies}: should be 1 to {(1 << 32) - 1}")
        self._tick(jiffies, daemon=False)
        if not self._scheduled:
            self._end_the_killed()


@plain_numbers
class UserTask:
    """A process of a Machine, on one CPU: what it asks for is asked in its name.

    BadRequest once it has exited, or its beginning was undone.
    """

    def __init__(self, machine: TaskRequests, process: Task) -> None:
        self.machine = machine
        self.process = process

    def __repr__(self) -> str:
        return f"<task {self.name}, pid {self.pid}>"

    @property
    def name(self) -> str:
        """Kernel: task_struct.comm."""
        return self.process.comm

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    @property
    def cpu(self) -> int:
        """The CPU that it runs on."""
        return self.process.cpu

    @property
    def alive(self) -> bool:
        """Is it there: begun, and not exited?"""
        return self.process in self.machine.vm.oom.processes

    @property
    def rss(self) -> int:
        """Pages that it has in memory. Kernel: include/linux/mm.h get_mm_rss()."""
        return get_mm_rss(self._counted())

    @property
    def swap(self) -> int:
        """Pages that it has in swap."""
        return self._counted().swapents

    # What it asks for

    def mmap(self, name: str, size: int | str) -> Pages:
        """A region of its own, none of it touched. Kernel: mm/mmap.c do_mmap()."""
        with self.machine.running(self):
            return self.machine.mmap(name, size)

    def munmap(self, region: Pages) -> None:
        """A region goes, and its folios are freed. Kernel: mm/mmap.c do_munmap()."""
        mm, area = self.check(), self._area(region)
        self._do(f"munmap({region.name})", lambda: munmap_area(self.machine.vm, mm, area))

    def touch(self, pages: Pages, index: int, *, write: bool = True) -> int:
        """Use a page of its region, or of a file: the pfn. PageAllocationFailure without memory.

        Kernel: mm/memory.c handle_mm_fault()
        """
        with self.machine.running(self):
            return self.machine.touch(pages, index, write=write, cpu=self.cpu)

    def fork(self) -> UserTask:
        """A child with regions as large as its own, and nothing in them: regions() names them.

        NOT MODELLED: pages that both share until one of them writes. Kernel: kernel/fork.c
        """
        self.check()
        vm = self.machine.vm
        made = self._do("fork()", lambda: Hidden(copy_process(vm, self.process)))
        return UserTask(self.machine, made.value)

    def regions(self) -> list[Pages]:
        """Its regions, in the order in which they were mapped."""
        names, mappings = self.machine.vm.trace.names, self.machine.vm.folios.mappings
        areas = self.check().areas
        return [Pages(number, names[mappings[number].name], nr) for number, nr in areas]

    def exit(self) -> None:
        """It ends, and all that it had is free. Kernel: kernel/exit.c do_exit()."""
        with self.machine.running(self):
            self.machine._exit(self.process, daemon=False)

    def kill(self) -> None:
        """SIGKILL: it exits behind this; one that waits for a device when it has it."""
        self.check()
        self._told("kill()", self._killed)

    def set_oom_score_adj(self, oom_score_adj: int) -> None:
        """-1000, and the OOM killer leaves it alone, to 1000. Kernel: fs/proc/base.c."""
        self.check()
        _check_score_adj(oom_score_adj)
        vm = self.machine.vm
        self._told(
            f"oom_score_adj({oom_score_adj})",
            lambda: Hidden(set_oom_score_adj(vm, self.process, oom_score_adj)),
        )

    def wait(self) -> None:
        """It waits for a device from here on, and cannot die (TASK_UNINTERRUPTIBLE)."""
        self.check()
        self._told("wait()", lambda: self._waits(True))

    def wake(self) -> None:
        """It waits no longer; if it was killed meanwhile, it exits."""
        self.check()
        self._told("wake()", lambda: self._waits(False))

    # Inside

    def check(self) -> Mm:
        """Its address space; BadRequest when it is not there any more."""
        if not self.alive or self.process.mm is None:
            raise BadRequest(f"task {self.name}, pid {self.pid}: is not there any more")
        return self.process.mm

    def _do(self, name: str, call: Callable[[], T]) -> T:
        return self.machine.do_as(self, name, call)

    def _told(self, name: str, call: Callable[[], T]) -> T:
        """Somebody else does it to the task."""
        return self.machine.do_to(self, name, call)

    def _counted(self) -> Mm:
        mm = self.check()
        count_areas(self.machine.vm)
        return mm

    def _killed(self) -> None:
        tasks_change(self.machine.vm)
        kill_process(self.machine.vm, self.process)

    def _waits(self, waits: bool) -> None:
        tasks_change(self.machine.vm)
        self.process.uninterruptible = waits

    def _area(self, region: Pages) -> AddressSpace:
        numbers = [number for number, _ in self.check().areas]
        if not isinstance(region, Pages) or region.id not in numbers:
            shown = region.name if isinstance(region, Pages) else one_line(region, 40)
            raise BadRequest(f"{shown}: should be a region of {self.name}, of its mmap()")
        return self.machine.vm.folios.mappings[region.id]


def _check_comm(name: str) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_COMM or not name.isprintable():
        text = f"should be 1 to {_MAX_COMM} printable characters"
        raise BadRequest(f"name={one_line(name, 40)!r}: {text}")


def _check_score_adj(oom_score_adj: int) -> None:
    whole("oom_score_adj", oom_score_adj)
    if not OOM_SCORE_ADJ_MIN <= oom_score_adj <= OOM_SCORE_ADJ_MAX:
        limits = f"{OOM_SCORE_ADJ_MIN} to {OOM_SCORE_ADJ_MAX}"
        raise BadRequest(f"oom_score_adj={oom_score_adj}: should be {limits}")

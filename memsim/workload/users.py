"""Processes that come, touch memory and go, as somebody at the keyboard would have it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.workload.checks import between, kind, part
from memsim.workload.fault import Thp
from memsim.workload.kernel import Kernel
from memsim.workload.mm import MMAP_BASE
from memsim.workload.page_cache import File
from memsim.workload.process import Process
from memsim.workload.requester import Requester


@dataclass(frozen=True)
class Habits:
    """How processes of one kind behave; shares are of 1.

    most: processes alive at once. fork, exit, mmap, munmap, touch: weights, how often each is
    done. execve: share of the forks that run a program of program_pages. area_pages: of a new
    area, at most. touches: pages touched in a step. write: share of touches. hugepage: share of
    areas with madvise(MADV_HUGEPAGE). memory: share of the machine's memory that all may map.
    """

    most: int = 12
    fork: int = 5
    exit: int = 4
    mmap: int = 15
    munmap: int = 4
    touch: int = 72
    execve: float = 0.8
    program_pages: int = 300
    area_pages: int = 600
    touches: int = 6
    write: float = 0.7
    hugepage: float = 0.1
    thp: Thp = Thp.MADVISE
    memory: float = 0.45

    def __post_init__(self) -> None:
        for name in ("fork", "exit", "mmap", "munmap"):
            between(name, getattr(self, name), 0)
        for name in ("most", "touch", "program_pages", "area_pages", "touches"):
            between(name, getattr(self, name), 1)
        for name in ("execve", "write", "hugepage", "memory"):
            part(name, getattr(self, name))
        kind("thp", self.thp, Thp)


class Users(Requester):
    """A first process and all that come of it. Where too much is mapped, one ends.

    NOT MODELLED: reclaim; without it only an end gives memory back.
    """

    kind = "users"

    def __init__(self, kernel: Kernel, habits: Habits | None = None) -> None:
        super().__init__(kernel)
        self.habits = Habits() if habits is None else habits
        kind("habits", self.habits, Habits)
        self.processes: list[Process] = []
        self.program = File(self, self.habits.program_pages)
        self.most_pages = int(kernel.nr_free_at_start * self.habits.memory)

    def start(self) -> bool:
        """The first process."""
        return self._first()

    def step(self, chance: Random) -> None:
        """One of them forks, ends, maps or touches."""
        self.processes = [process for process in self.processes if process.alive]
        if not self.processes and not self._first():
            return
        process = chance.choice(self.processes)
        if sum(each.mm.rss for each in self.processes) > self.most_pages:
            self._end(process, chance)
            return
        habits = self.habits
        what = (self._fork, self._end, self._mmap, self._munmap, self._touch)
        weights = (habits.fork, habits.exit, habits.mmap, habits.munmap, habits.touch)
        chance.choices(what, weights)[0](process, chance)

    def stop(self) -> None:
        """All processes exit; the program's pages leave the page cache."""
        for process in self.processes:
            process.stop()
        self.processes = []
        self.program.truncate()

    def _first(self) -> bool:
        process = Process(self.kernel, self.habits.thp)
        if process.start():
            self.processes.append(process)
        return process.alive

    def _fork(self, parent: Process, chance: Random) -> None:
        runs = chance.random() < self.habits.execve
        if len(self.processes) >= self.habits.most:
            self._end(self.processes[0], chance)
            return
        child = parent.fork()
        if child is not None:
            self.processes.append(child)
            if runs:
                child.execve(self.program)

    def _end(self, process: Process, chance: Random) -> None:
        process.exit()
        self.processes.remove(process)

    def _mmap(self, process: Process, chance: Random) -> None:
        hugepage = chance.random() < self.habits.hugepage
        nr_pages = chance.randint(1, self.habits.area_pages)
        address = process.mmap(nr_pages * PAGE_SIZE, hugepage=hugepage)
        if address is not None:
            process.fault(address)

    def _munmap(self, process: Process, chance: Random) -> None:
        areas = [vma.vpn for vma in process.mm.vmas if vma.file is None and vma.vpn < MMAP_BASE]
        if areas:
            process.munmap(chance.choice(areas) << PAGE_SHIFT)

    def _touch(self, process: Process, chance: Random) -> None:
        """Some pages one behind the other."""
        vma = chance.choice(process.mm.vmas)
        first = chance.randrange(vma.nr_pages)
        write = chance.random() < self.habits.write
        for vpn in range(vma.vpn + first, min(vma.vpn + first + self.habits.touches, vma.end)):
            if process.fault(vpn << PAGE_SHIFT, write) is None:
                return

"""Processes that have regions: what they touch is theirs, and is gone when they are killed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memsim.lib.bits import nr_pages_of
from memsim.lib.sizes import parse_size
from memsim.machine import Machine
from memsim.machine.pages import Pages
from memsim.mm.compaction.pressure import ReclaimAndCompaction
from memsim.mm.folio import xa_is_value
from memsim.mm.memory import zap_pte
from memsim.mm.oom_kill.task import Mm, Task, add_process
from memsim.mm.page_alloc.zone_walk import AllocContext
from memsim.words.errors import PageAllocationFailure


@dataclass(frozen=True, eq=False)
class Program:
    """A process with one region, whose pages it touches in ascending order."""

    task: Task
    region: Pages

    @property
    def comm(self) -> str:
        """Its name."""
        return self.task.comm


class Programs(Machine):
    """A machine that reclaims, compacts and kills, and what runs on it."""

    def __init__(self, ram: str, *, swap: int | str = 0, steps: bool = False, **more: Any) -> None:
        super().__init__(ram, reclaim=True, swap=swap, steps=steps, **more)
        self.programs: list[Program] = []
        self.vm.pressure = _Kills(self)
        self.vm.oom.total_swap_pages = self.vm.folios.swap.total_swap_pages

    def start(self, comm: str, size: str, *, oom_score_adj: int = 0) -> Program:
        """A process whose region has this size; no page of it is touched."""
        # an address space is more than its region: code, libraries, a stack
        mm = Mm(nr_pages_of(parse_size(size)) + 500)
        pid = 100 + len(self.programs)
        task = add_process(self.vm.oom, pid, comm, mm, oom_score_adj=oom_score_adj)
        program = Program(task, self.mmap(comm, size))
        self.programs.append(program)
        return program

    def touch_first(self, program: Program, pages: int) -> int:
        """The process touches its first pages, one by one: how many before it failed or died."""
        self.vm.oom.current = program.task
        for index in range(pages):
            try:
                self.touch(program.region, index)
            except PageAllocationFailure:
                return self._after(program, index)
            if program.task.mm is None:
                return self._after(program, index)
        return pages

    def _after(self, program: Program, touched: int) -> int:
        """Who was killed while it asked gets its signal now: its memory goes."""
        if program.task.mm is None:
            self.vm.current.oom_victim = False
            self.close(program.region)
        return touched

    @property
    def killed(self) -> list[str]:
        """Who was killed, in order."""
        return [line.split("(")[1].split(")")[0] for line in self.kills]

    @property
    def kills(self) -> list[str]:
        """The lines that tell of them."""
        return [line for line in self.vm.oom.log if "Killed process" in line]

    def count(self, program: Program) -> None:
        """Write down what it has, as the kernel's counters would say."""
        mm = program.task.mm
        if mm is None:
            return
        entries = self.vm.folios.mappings[program.region.id].i_pages.values()
        mm.swapents = sum(map(xa_is_value, entries))
        mm.anonpages = len(entries) - mm.swapents
        # a table of ptes for each 512 pages, and one of each of the three levels above
        mm.pgtables_bytes = 4096 * (3 + -(-len(entries) // 512))

    def pages_of(self, program: Program) -> dict[int, int]:
        """Its pages that are in memory: pfn by index."""
        entries = self.vm.folios.mappings[program.region.id].i_pages
        return {index: entry for index, entry in entries.items() if entry >= 0}

    def give_back(self, program: Program) -> None:
        """All of its region, inside an operation. Kernel: mm/mmap.c exit_mmap()."""
        mapping = self.vm.folios.mappings[program.region.id]
        for index in sorted(mapping.i_pages):
            zap_pte(self.vm, mapping, index)


class _Kills(ReclaimAndCompaction):
    """The OOM killer sees the programs' counters; a victim that does not run gives back at once."""

    def __init__(self, machine: Programs) -> None:
        super().__init__(machine.vm)
        self.machine = machine

    def out_of_memory(self, gfp_mask: int, order: int, ac: AllocContext) -> bool:
        """Count, kill, give back. Kernel: mm/oom_kill.c out_of_memory()."""
        running = [p for p in self.machine.programs if p.task.mm is not None]
        for program in running:
            self.machine.count(program)
        self.vm.oom.free_swap_pages = self.vm.folios.swap.nr_swap_pages
        helps = super().out_of_memory(gfp_mask, order, ac)
        for program in running:
            if program.task.mm is None:
                self._dies(program)
        return helps

    def _dies(self, program: Program) -> None:
        """Who asks itself goes on with a victim's reserves, and dies when its request is over."""
        if program.task is self.vm.oom.current:
            self.vm.current.oom_victim = True
        else:
            self.machine.give_back(program)

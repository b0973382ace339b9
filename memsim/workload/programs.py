"""Programs: each a process with one region, whose pages it touches one after the other.

>>> machine = Programs("32 MiB")
>>> hog = machine.start("hog", "96 MiB")
>>> machine.touch_first(hog, 20_000) < 8192
True
>>> machine.killed
['hog']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memsim.machine import Machine
from memsim.machine.pages import Pages
from memsim.mm.oom_kill.task import Task
from memsim.words.errors import PageAllocationFailure


@dataclass(frozen=True, eq=False)
class Program:
    """A process and its region."""

    task: Task
    region: Pages


class Programs(Machine):
    """A machine that reclaims, compacts and kills, and what runs on it."""

    def __init__(self, ram: str, *, swap: int | str = 0, steps: bool = False, **more: Any) -> None:
        super().__init__(ram, reclaim=True, swap=swap, steps=steps, **more)
        self.programs: list[Program] = []

    def start(self, comm: str, size: str, *, oom_score_adj: int = 0) -> Program:
        """A process whose region has this size; no page of it is touched."""
        task = self.task(comm, oom_score_adj=oom_score_adj)
        program = Program(task.process, task.mmap(comm, size))
        self.programs.append(program)
        return program

    def touch_first(self, program: Program, pages: int) -> int:
        """It touches its first pages, one by one: how many before it failed or was killed."""
        for index in range(pages):
            try:
                self.touch(program.region, index)
            except PageAllocationFailure:
                return index
            if program.task.mm is None:
                return index
        return pages

    @property
    def killed(self) -> list[str]:
        """Who was killed, in order."""
        return [line.split("(")[1].split(")")[0] for line in self.kills]

    @property
    def kills(self) -> list[str]:
        """The lines that tell of them."""
        return [line for line in self.vm.oom.log if "Killed process" in line]

    def pages_of(self, program: Program) -> dict[int, int]:
        """Its pages that are in memory: pfn by index; none once it was killed."""
        mapping = self.vm.folios.mappings.get(program.region.id)
        entries = {} if mapping is None else mapping.i_pages
        return {index: entry for index, entry in entries.items() if entry >= 0}

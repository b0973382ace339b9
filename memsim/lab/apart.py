"""A student's allocator beside the kernel's: two recordings, made of the free lists of each.

After each call an allocator says which blocks are free, [pfns of order 0, pfns of order 1, ...],
head first. Steps that lead from one such state to the next are what the player needs.
"""

from __future__ import annotations

from typing import Any

from memsim.lab.cases import Case
from memsim.lab.script import in_words, shortened
from memsim.machine.history import Operation, Recording
from memsim.machine.machine import Machine
from memsim.mm.mmzone import PG_BUDDY, PG_INUSE
from memsim.mm.snapshot import Snapshot
from memsim.trace.steps import ListAdd, ListDel, ListName, Pages, Step
from memsim.views.side import SideBySide
from memsim.words.arch import X86_64
from memsim.words.mmzone import MIGRATE_MOVABLE

_ZONE = X86_64.ZONE_NORMAL

FreeLists = list[list[int]]


def parted(expected: list[Any], got: list[Any]) -> int:
    """The first call whose answers differ; -1: none does, or one has fewer answers."""
    pairs = enumerate(zip(expected, got, strict=False))
    return next((n for n, (a, b) in pairs if a != b), -1)


def side_by_side(case: Case, got: list[Any]) -> SideBySide | None:
    """Yours and the kernel's, call by call; None if yours are no free lists."""
    try:
        both = [recording_of(case, answers) for answers in (got, case.expected)]
    except (TypeError, ValueError, LookupError):
        return None
    names = ("Yours", "The kernel's")
    return SideBySide(both[0], both[1], f"{case.name}: where the two part ways", names=names)


def recording_of(case: Case, answers: list[Any]) -> Recording:
    """What the free lists among a script's answers went through, from when all was free.

    TypeError, ValueError or LookupError if they are no free lists.
    """
    shown, pages = str(case.player["lists"]), int(case.player["pages"])
    maker = _Maker(pages)
    for entry, answer in zip(case.script, answers, strict=False):
        if entry[1] != shown:
            maker.called = f"{in_words(entry)} = {shortened(answer, 40)}"
        else:
            maker.go_to(_checked(answer, pages))
    return Recording(maker.start, maker.steps, maker.operations)


def _checked(lists: Any, pages: int) -> FreeLists:
    orders = range(len(lists))
    if len(orders) > 11 or any(type(pfn) is not int for pfns in lists for pfn in pfns):
        raise ValueError("no free lists")
    if any(not 0 <= pfn <= pages - (1 << order) for order in orders for pfn in lists[order]):
        raise ValueError("a pfn out of range")
    return [list(pfns) for pfns in lists]


class _Maker:
    """Steps from one state of the free lists to the next."""

    def __init__(self, pages: int) -> None:
        self.start: Snapshot = Machine.of_pages(pages).snapshot()
        area = self.start["nodes"][0]["zones"][_ZONE]["free_area"]
        self._lists: FreeLists = [list(types[MIGRATE_MOVABLE]) for types in area]
        self._states = [0] * pages
        for order, pfns in enumerate(self._lists):
            for pfn in pfns:
                self._states[pfn] = PG_BUDDY | order
        self.steps: list[Step] = []
        self.operations: list[Operation] = []
        self.called = ""

    def go_to(self, lists: FreeLists) -> None:
        """All steps to these lists: blocks leave, pages come into use or out of it, blocks join."""
        first = len(self.steps)
        lists = lists + [[]] * (len(self._lists) - len(lists))
        kept = [_kept(old, new) for old, new in zip(self._lists, lists, strict=True)]
        for order, old in enumerate(self._lists):
            self._leave(order, old, kept[order])
        self._use(lists)
        for order, new in enumerate(lists):
            self._join(order, new, kept[order])
        self._lists = lists
        self.operations.append(Operation(self.called, first, len(self.steps)))

    def _leave(self, order: int, old: list[int], kept: list[int]) -> None:
        here = list(old)
        for pfn in [pfn for pfn in old if pfn not in kept]:
            at = here.index(pfn)
            self._move(ListDel, order, pfn, here[at - 1] if at else -1, 0)
            del here[at]

    def _join(self, order: int, new: list[int], kept: list[int]) -> None:
        for at, pfn in enumerate(new):
            if pfn not in kept:
                self._move(ListAdd, order, pfn, new[at - 1] if at else -1, PG_BUDDY | order)

    def _move(
        self, kind: type[ListAdd | ListDel], order: int, pfn: int, after: int, state: int
    ) -> None:
        name = ListName(_ZONE, "free_area", order, MIGRATE_MOVABLE)
        self.steps.append(kind(len(self.steps), name, pfn, after, self._states[pfn], state))
        self._states[pfn] = state

    def _use(self, lists: FreeLists) -> None:
        """Pages that are on no list are in use; which of them are one block, nobody says."""
        free = {pfn + n for k, pfns in enumerate(lists) for pfn in pfns for n in range(1 << k)}
        for pfn, old in enumerate(self._states):
            new = 0 if pfn in free else PG_INUSE
            if (old & PG_INUSE) != new:
                self.steps.append(Pages(len(self.steps), pfn, 1, old, new))
                self._states[pfn] = new


def _kept(old: list[int], new: list[int]) -> list[int]:
    """Blocks that need not move; none if the order of those that stay is another."""
    stay = [pfn for pfn in old if pfn in new]
    return stay if stay == [pfn for pfn in new if pfn in old] else []

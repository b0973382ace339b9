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
from memsim.trace.steps import ListAdd, ListDel, ListName, Merge, Pages, Split, Step
from memsim.views.side import SideBySide
from memsim.words.arch import X86_64
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATE_MOVABLE

_ZONE = X86_64.ZONE_NORMAL

FreeLists = list[list[int]]
#: Order and pfn.
Block = tuple[int, int]
_ORDERS = MAX_PAGE_ORDER + 1


def parted(expected: list[Any], got: list[Any]) -> int:
    """The first call whose answers differ; -1: none does, or one has fewer answers."""
    pairs = enumerate(zip(expected, got, strict=False))
    return next((n for n, (a, b) in pairs if a != b), -1)


def side_by_side(case: Case, got: list[Any]) -> SideBySide | None:
    """Yours and the kernel's, at the first difference; None if the lists are none, or the same."""
    try:
        both = [recording_of(case, answers) for answers in (got, case.expected)]
    except (TypeError, ValueError, LookupError):
        return None
    names = ("Yours", "The kernel's")
    side = SideBySide(both[0], both[1], f"{case.name}: where the two part ways", names=names)
    if side.first < 0:
        return None
    side.step = side.first
    return side


def recording_of(case: Case, answers: list[Any]) -> Recording:
    """What the free lists among a script's answers went through, from the first of them on.

    TypeError, ValueError or LookupError if they are no free lists.
    """
    shown, pages = str(case.player["lists"]), int(case.player["pages"])
    maker, called = None, ""
    for entry, answer in zip(case.script, answers, strict=False):
        if entry[1] != shown:
            called = f"{in_words(entry)} = {shortened(answer, 40)}"
        elif maker is None:
            maker = _Maker(pages, _checked(answer, pages))
        else:
            maker.go_to(_checked(answer, pages), called)
    if maker is None:
        raise LookupError("no free lists")
    return Recording(maker.start, maker.steps, maker.operations)


def _checked(lists: Any, pages: int) -> FreeLists:
    orders = range(len(lists))
    if len(orders) > _ORDERS or any(type(pfn) is not int for pfns in lists for pfn in pfns):
        raise ValueError("no free lists")
    if any(not 0 <= pfn <= pages - (1 << order) for order in orders for pfn in lists[order]):
        raise ValueError("a pfn out of range")
    return [list(pfns) for pfns in lists] + [[] for _ in range(_ORDERS - len(lists))]


def _blocks(lists: FreeLists) -> list[Block]:
    return [(order, pfn) for order, pfns in enumerate(lists) for pfn in pfns]


def _pages_of(blocks: list[Block]) -> set[int]:
    return {pfn + n for order, pfn in blocks for n in range(1 << order)}


def _within(blocks: list[Block], outer: Block) -> list[Block]:
    """Those of the blocks that are smaller parts of another, smallest first."""
    order, pfn = outer
    return sorted(b for b in blocks if b[0] < order and b[1] >> order == pfn >> order)


class _Maker:
    """Steps from one state of the free lists to the next, in the kernel's order."""

    def __init__(self, pages: int, lists: FreeLists) -> None:
        self.start = _snapshot(pages, lists)
        self._lists = [list(pfns) for pfns in lists]
        free = _pages_of(_blocks(lists))
        self._states = [0 if pfn in free else PG_INUSE for pfn in range(pages)]
        for order, pfn in _blocks(lists):
            self._states[pfn] = PG_BUDDY | order
        self.steps: list[Step] = []
        self.operations: list[Operation] = []

    def go_to(self, lists: FreeLists, called: str) -> None:
        """All steps to these lists: pages come free, blocks split and merge, pages are taken."""
        first = len(self.steps)
        kept = {b for k, pair in enumerate(zip(self._lists, lists, strict=True))
                for b in _kept(k, *pair)}  # fmt: skip
        left = [block for block in _blocks(self._lists) if block not in kept]
        joined = [block for block in _blocks(lists) if block not in kept]
        free = _pages_of(_blocks(lists))
        self._use([pfn for pfn, s in enumerate(self._states) if s == PG_INUSE and pfn in free], 0)
        self._move_all(left, joined, lists)
        self._use([p for p, s in enumerate(self._states) if s != PG_INUSE and p not in free])
        self.operations.append(Operation(called, first, len(self.steps)))

    def _move_all(self, left: list[Block], joined: list[Block], lists: FreeLists) -> None:
        merging = {part for block in joined for part in _within(left, block)}
        for block in [block for block in left if block not in merging]:
            self._leave(block)
            for part in reversed(_within(joined, block)):
                self._split(part, lists)
                joined.remove(part)
        for block in joined:
            for part in _within(left, block):
                self._merge(part)
            self._join(block, lists)

    def _split(self, half: Block, lists: FreeLists) -> None:
        order, pfn = half
        if pfn >> order & 1 and lists[order][0] == pfn:
            self.steps.append(Split(len(self.steps), pfn ^ (1 << order), order + 1))
        self._join(half, lists)

    def _merge(self, buddy: Block) -> None:
        order, pfn = buddy
        self._leave(buddy)
        self.steps.append(Merge(len(self.steps), pfn ^ (1 << order), pfn, order))

    def _leave(self, block: Block) -> None:
        order, pfn = block
        here = self._lists[order]
        at = here.index(pfn)
        self._move(ListDel, block, here[at - 1] if at else -1, 0)
        del here[at]

    def _join(self, block: Block, lists: FreeLists) -> None:
        order, pfn = block
        here, before = self._lists[order], lists[order][: lists[order].index(pfn)]
        after = next((other for other in reversed(before) if other in here), -1)
        self._move(ListAdd, block, after, PG_BUDDY | order)
        here.insert(here.index(after) + 1 if after >= 0 else 0, pfn)

    def _move(self, kind: type[ListAdd | ListDel], block: Block, after: int, state: int) -> None:
        order, pfn = block
        name = ListName(_ZONE, "free_area", order, MIGRATE_MOVABLE)
        self.steps.append(kind(len(self.steps), name, pfn, after, self._states[pfn], state))
        self._states[pfn] = state

    def _use(self, pfns: list[int], state: int = PG_INUSE) -> None:
        """Which pages in use are one block, nobody says: each is shown for itself."""
        for pfn in pfns:
            self.steps.append(Pages(len(self.steps), pfn, 1, self._states[pfn], state))
            self._states[pfn] = state


def _snapshot(pages: int, lists: FreeLists) -> Snapshot:
    """A machine in which these blocks are free and all other pages are in use."""
    start: Snapshot = Machine.of_pages(pages).snapshot()
    zone, free = start["nodes"][0]["zones"][_ZONE], _pages_of(_blocks(lists))
    for order, pfns in enumerate(lists):
        zone["free_area"][order][MIGRATE_MOVABLE] = list(pfns)
    zone["vm_stat"]["NR_FREE_PAGES"] = len(free)
    used = [[pfn, 1, "U", 0] for pfn in range(pages) if pfn not in free]
    runs = [[pfn, 1, "F", order] for order, pfn in _blocks(lists)] + used
    start["page_kinds"]["runs"] = sorted(runs)
    return start


def _kept(order: int, old: list[int], new: list[int]) -> list[Block]:
    """Blocks that need not move; none if the order of those that stay is another."""
    stay = [pfn for pfn in old if pfn in new]
    same = stay == [pfn for pfn in new if pfn in old]
    return [(order, pfn) for pfn in stay] if same else []

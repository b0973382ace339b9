"""The pages of one zone, drawn by seed so that every number that /proc tells is met."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from random import Random

from memsim.mm.mmzone import PG_INUSE, PG_LRU
from memsim.mm.populate import Contents
from memsim.proc.draw import Regions, pick, whole_needed
from memsim.words.errors import BadInput
from memsim.words.mmzone import (
    MAX_PAGE_ORDER,
    MIGRATE_MOVABLE,
    MIGRATE_PCPTYPES,
    MIGRATE_RECLAIMABLE,
    MIGRATE_UNMOVABLE,
)

#: How pageblocks that nobody told the types of are shared out: by 10, Unmovable first.
_SHARES = {MIGRATE_UNMOVABLE: 2, MIGRATE_MOVABLE: 7, MIGRATE_RECLAIMABLE: 1}


@dataclass
class Wanted:
    """What is told of a zone. Pages from online_end on are a hole; `bad` makes an error of a text.

    `free[migratetype][order]` counts blocks, `blocks[migratetype]` pageblocks; None when no
    types are told: then `free` has all as MOVABLE. `fixed` are types of pageblocks that a lower
    zone reaches into, `allowed` are those that one which a higher zone reaches into may have.
    `pcp[cpu]` and nr_lru are pages.
    """

    start: int
    end: int
    online_end: int
    managed: int
    pageblock_order: int
    free: list[list[int]]
    blocks: list[int] | None
    pcp: list[int]
    nr_lru: int
    bad: Callable[[str], BadInput]
    fixed: dict[int, int] = field(default_factory=dict)
    allowed: dict[int, list[int]] = field(default_factory=dict)


def place(wanted: Wanted, rng: Random) -> tuple[Contents, int]:
    """What the zone holds, and how many pageblocks have another type than is told."""
    contents = Contents(bytearray(wanted.end - wanted.start))
    order = wanted.pageblock_order
    regions = _large_blocks(wanted, rng, contents)
    if wanted.blocks is None:
        _draw_types_of_free(wanted, regions, rng)
    types, nr_changed = _types_of_regions(wanted, regions, contents, rng)
    contents.pageblocks |= {first >> order: mt for first, mt in types.items()}
    ragged = set(regions.ragged)
    for migratetype, counts in enumerate(wanted.free):
        own = [first for first, mt in types.items() if mt == migratetype]
        whole = array("i", (first for first in own if first not in ragged))
        cut = [first for first in own if first in ragged]
        small = Regions(order, wanted.start, wanted.online_end, whole, cut)
        _small_blocks(small, counts, migratetype, rng, contents)
    _fill_hole(wanted, contents)
    _use_the_rest(wanted, rng, contents)
    return contents, nr_changed


def _large_blocks(wanted: Wanted, rng: Random, contents: Contents) -> Regions:
    """Place free blocks of one pageblock or more; the pageblocks that are left."""
    regions = Regions.covering(wanted.start, wanted.online_end, MAX_PAGE_ORDER)
    for order in range(MAX_PAGE_ORDER, wanted.pageblock_order - 1, -1):
        nr = sum(counts[order] for counts in wanted.free)
        if order == MAX_PAGE_ORDER:
            places = len(regions.whole)
            taken = regions.take_whole(rng, nr) if nr <= places else None
        else:
            places = len(regions.whole) + len(regions.halves_of_ragged()[0])
            taken = regions.split(rng, nr) if nr <= places else None
        if taken is None:
            raise wanted.bad(f"{nr} free blocks of order {order}, but there is room for {places}")
        _share_out(wanted, order, taken, contents)
    return regions


def _share_out(wanted: Wanted, order: int, taken: array[int], contents: Contents) -> None:
    """The first of taken are of type 0, and so on; they are in random order."""
    at = 0
    for migratetype, counts in enumerate(wanted.free):
        pfns = taken[at : at + counts[order]]
        at += counts[order]
        if pfns:
            contents.free.append((order, migratetype, pfns))
        for pfn in pfns:
            first, last = pfn >> wanted.pageblock_order, pfn + (1 << order) - 1
            blocks = range(first, (last >> wanted.pageblock_order) + 1)
            contents.pageblocks |= dict.fromkeys(blocks, migratetype)


def _draw_types_of_free(wanted: Wanted, regions: Regions, rng: Random) -> None:
    """Nobody told the types of free blocks: some become UNMOVABLE and RECLAIMABLE, if they fit."""
    free = [list(counts) for counts in wanted.free]
    for order in range(wanted.pageblock_order):
        nr = free[MIGRATE_MOVABLE][order]
        free[MIGRATE_UNMOVABLE][order] = int(nr * (0.1 + 0.3 * rng.random()))
        free[MIGRATE_RECLAIMABLE][order] = nr // 10
        nr -= free[MIGRATE_UNMOVABLE][order] + free[MIGRATE_RECLAIMABLE][order]
        free[MIGRATE_MOVABLE][order] = nr
    cut = Regions(regions.order, regions.start, regions.end, array("i"), [])
    if sum(whole_needed(cut, counts) for counts in free) <= len(regions.whole):
        wanted.free = free


def _types_of_regions(
    wanted: Wanted, regions: Regions, contents: Contents, rng: Random
) -> tuple[dict[int, int], int]:
    """A type for each pageblock that is not free as a whole, by its first pfn."""
    fixed = {
        first: wanted.fixed[first >> regions.order]
        for first in regions.ragged
        if first >> regions.order in wanted.fixed
    }
    open_ragged = [first for first in regions.ragged if first not in fixed]
    left = _types_left(wanted, regions, contents)
    every = list(range(len(wanted.free)))
    open_types = [wanted.allowed.get(first >> regions.order, every) for first in open_ragged]
    choices = list(product(*open_types))
    rng.shuffle(choices)
    plans = (
        _Plan(wanted, regions, left, fixed | dict(zip(open_ragged, choice, strict=True)))
        for choice in choices
    )
    best = min(plans, key=lambda plan: (plan.excess, plan.lack))
    if best.excess:
        raise wanted.bad(
            f"free blocks below order {wanted.pageblock_order} need {sum(best.needed)} "
            f"pageblocks, but there are {len(regions.whole)}"
        )
    numbers = best.numbers(rng)
    whole = list(regions.whole)
    rng.shuffle(whole)
    drawn = (mt for mt, number in enumerate(numbers) for _ in range(number))
    return best.ragged | dict(zip(whole, drawn, strict=True)), best.lack


def _types_left(wanted: Wanted, regions: Regions, contents: Contents) -> list[int] | None:
    """How many pageblocks of each type are not used up by the large free blocks."""
    if wanted.blocks is None:
        return None
    left = list(wanted.blocks)
    for migratetype in contents.pageblocks.values():
        left[migratetype] -= 1
    # pagetypeinfo looks at every 512th page: a zone that starts amid a pageblock has one more
    left[MIGRATE_MOVABLE] += max(0, len(regions.whole) + len(regions.ragged) - sum(left))
    return left


class _Plan:
    """One choice of types for the pageblocks that a border cuts, and what follows from it."""

    def __init__(
        self, wanted: Wanted, regions: Regions, left: list[int] | None, ragged: dict[int, int]
    ) -> None:
        self.ragged = ragged
        self.nr_whole = len(regions.whole)
        self.needed = []
        for migratetype, counts in enumerate(wanted.free):
            cut = [first for first, mt in ragged.items() if mt == migratetype]
            own = Regions(regions.order, regions.start, regions.end, array("i"), cut)
            self.needed.append(whole_needed(own, counts))
        #: Pageblocks that there are not, and pageblocks that would have another type than told.
        self.excess = max(0, sum(self.needed) - self.nr_whole)
        self.left = None if left is None else list(left)
        self.lack = 0
        if self.left is not None:
            for migratetype in ragged.values():
                self.left[migratetype] -= 1
            pairs = zip(self.needed, self.left, strict=True)
            self.lack = sum(max(0, need - have) for need, have in pairs)

    def numbers(self, rng: Random) -> list[int]:
        """Whole pageblocks of each type: as told, but at least what free blocks need."""
        if self.left is None:
            return self._drawn_numbers(rng)
        pairs = zip(self.needed, self.left, strict=True)
        numbers = [max(need, have) for need, have in pairs]
        while (excess := sum(numbers) - self.nr_whole) > 0:
            spare = [n - need for n, need in zip(numbers, self.needed, strict=True)]
            richest = spare.index(max(spare))
            numbers[richest] -= min(excess, spare[richest])
        numbers[MIGRATE_MOVABLE] -= excess
        return numbers

    def _drawn_numbers(self, rng: Random) -> list[int]:
        numbers = list(self.needed)
        types, shares = list(_SHARES), list(_SHARES.values())
        for migratetype in rng.choices(types, shares, k=self.nr_whole - sum(numbers)):
            numbers[migratetype] += 1
        return numbers


def _small_blocks(
    regions: Regions, counts: list[int], migratetype: int, rng: Random, contents: Contents
) -> None:
    """Place the free blocks of one type that are smaller than a pageblock."""
    for order in range(regions.order - 1, -1, -1):
        if any(counts[: order + 1]):
            taken = regions.split(rng, counts[order])
            if taken:
                contents.free.append((order, migratetype, taken))


def _fill_hole(wanted: Wanted, contents: Contents) -> None:
    """Pageblocks that are in the hole only: MOVABLE, as all are at boot."""
    order = wanted.pageblock_order
    for block in range(wanted.start >> order, (wanted.end - 1 >> order) + 1):
        contents.pageblocks.setdefault(block, wanted.fixed.get(block, MIGRATE_MOVABLE))


def _use_the_rest(wanted: Wanted, rng: Random, contents: Contents) -> None:
    """Of the pages that are not free the first are the kernel's own, and so are holes.

    The others are managed: in use, or on a pcp list.
    """
    nr_own = wanted.online_end - wanted.start - wanted.managed
    runs = list(_runs_in_use(wanted, contents, nr_own))
    nr_lru = wanted.nr_lru
    for first, last in runs:
        nr_lru -= _use(wanted, contents, first, last, nr_lru)
    _put_on_pcps(wanted, rng, contents, runs)


def _runs_in_use(wanted: Wanted, contents: Contents, nr_own: int) -> Iterator[tuple[int, int]]:
    """Runs of pages [first, last) that are neither free nor the kernel's own, from start on."""
    is_free = bytearray(wanted.online_end - wanted.start)
    for order, _, pfns in contents.free:
        block = b"\1" * (1 << order)
        for pfn in pfns:
            at = pfn - wanted.start
            is_free[at : at + len(block)] = block
    for match in re.finditer(rb"\0+", is_free):
        first, last = match.span()
        own = min(nr_own, last - first)
        nr_own -= own
        if first + own < last:
            yield first + own, last


def _use(wanted: Wanted, contents: Contents, first: int, last: int, nr_lru: int) -> int:
    """Mark a run in use, pages of MOVABLE pageblocks on an LRU list; how many those are."""
    used_lru = 0
    while first < last:
        pfn = wanted.start + first
        block = pfn >> wanted.pageblock_order
        end = min(last, (block + 1 << wanted.pageblock_order) - wanted.start)
        lru = 0
        if contents.pageblocks[block] == MIGRATE_MOVABLE:
            lru = min(end - first, nr_lru - used_lru)
        states = bytes((PG_INUSE | PG_LRU,)) * lru + bytes((PG_INUSE,)) * (end - first - lru)
        contents.states[first:end] = states
        used_lru += lru
        first = end
    return used_lru


def _put_on_pcps(
    wanted: Wanted, rng: Random, contents: Contents, runs: list[tuple[int, int]]
) -> None:
    """Take pages that would be in use for the pcp lists, at random; in random order."""
    nr_used = sum(last - first for first, last in runs)
    picked = sorted(pick(rng, nr_used, sum(wanted.pcp)))
    pages = array("i")
    run, behind = iter(runs), 0
    first = last = 0
    for number in picked:
        while number >= behind:
            first, last = next(run)
            behind += last - first
        pages.append(last - (behind - number))
    rng.shuffle(pages)
    at = 0
    for cpu, count in enumerate(wanted.pcp):
        _put_on_pcp(wanted, contents, cpu, pages[at : at + count])
        at += count


def _put_on_pcp(wanted: Wanted, contents: Contents, cpu: int, pages: array[int]) -> None:
    lists: list[list[int]] = [[] for _ in range(MIGRATE_PCPTYPES)]
    for page in pages:
        contents.states[page] = 0
        pfn = wanted.start + page
        migratetype = contents.pageblocks[pfn >> wanted.pageblock_order]
        lists[migratetype if migratetype < MIGRATE_PCPTYPES else MIGRATE_MOVABLE].append(pfn)
    contents.pcp += [(cpu, mt, pfns) for mt, pfns in enumerate(lists) if pfns]

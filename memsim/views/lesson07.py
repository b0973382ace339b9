"""What lesson 07 runs more than once: a machine's life in rounds, and what its pageblocks hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import NamedTuple

from memsim.machine import Machine, Recording
from memsim.mm.mmzone import Zone, get_pageblock_migratetype
from memsim.mm.page_alloc.free_list import list_all_deferred
from memsim.mm.page_alloc.pageblock import count_pageblock, find_large_buddy
from memsim.mm.vmstat import _fragmentation_index, _unusable_free_index, contig_page_info
from memsim.trace.events import MmPageAllocExtfrag
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from memsim.words.mmzone import MIGRATETYPE_NAMES, PAGEBLOCK_ORDER

#: Pages of the two machines: 16 pageblocks.
NR_PAGES = 8192
ROUNDS = 6
#: A request is for 2**ORDER pages.
ORDER = 2
PAGES_PER_BLOCK = 1 << PAGEBLOCK_ORDER


def in_turn(group_by_mobility: bool) -> tuple[Machine, Recording]:
    """A machine of four free pageblocks; a program and the kernel ask in turn, a page each."""
    machine = Machine.of_pages(4 * PAGES_PER_BLOCK, group_by_mobility=group_by_mobility)
    with machine.recording() as recording:
        for gfp_mask in (GFP_HIGHUSER_MOVABLE, GFP_KERNEL) * 3:
            machine.alloc_pages(gfp_mask)
    return machine, recording


class Request(NamedTuple):
    """A block of ORDER is asked for, or that of an earlier request is given back."""

    number: int
    is_free: bool = False
    unmovable: bool = False


def life(kernel_in_64: int, seed: int = 7, rounds: int = ROUNDS) -> list[list[Request]]:
    """Rounds of requests, always the same for a seed.

    In each round a program runs: it takes nine tenths of the memory, and of 64 blocks
    kernel_in_64 are the kernel's own, unmovable. It ends: all of its blocks come back, in any
    order, and of the kernel's blocks all but one in eight.
    """
    random = Random(seed)
    nr_kept = number = 0
    story = []
    for _ in range(rounds):
        taken = []
        for _ in range((NR_PAGES * 9 // 10 >> ORDER) - nr_kept):
            taken.append(Request(number, unmovable=random.randrange(64) < kernel_in_64))
            number += 1
        gone = [r.number for r in taken if not r.unmovable or random.randrange(8)]
        random.shuffle(gone)
        nr_kept += len(taken) - len(gone)
        story.append(taken + [Request(number, is_free=True) for number in gone])
    return story


class Block(NamedTuple):
    """A pageblock: its type, how many of its pages are free, and how many are unmovable."""

    migratetype: str
    free: int
    unmovable: int


class AfterRound(NamedTuple):
    """Pageblocks, how many blocks of order 9 one could still take, and unusable_index(9)."""

    blocks: list[Block]
    huge_pages: int
    unusable: int


class Lived:
    """A machine that lives through a story, with grouping by mobility or without."""

    def __init__(self, group_by_mobility: bool) -> None:
        self.machine = Machine.of_pages(NR_PAGES, group_by_mobility=group_by_mobility, steps=False)
        self.pfns: dict[int, int] = {}
        #: pfns of the kernel's blocks by number of the request.
        self.unmovable: dict[int, int] = {}

    def run(self, requests: Sequence[Request]) -> None:
        """One round."""
        for number, is_free, unmovable in requests:
            if is_free:
                self.unmovable.pop(number, None)
                self.machine.free_pages(self.pfns.pop(number))
                continue
            gfp_mask = GFP_KERNEL if unmovable else GFP_HIGHUSER_MOVABLE
            self.pfns[number] = self.machine.alloc_pages(gfp_mask, ORDER)
            if unmovable:
                self.unmovable[number] = self.pfns[number]

    def now(self) -> AfterRound:
        """What there is at this moment."""
        starts = self.unmovable.values()
        pages = {pfn for start in starts for pfn in range(start, start + (1 << ORDER))}
        blocks = blocks_of(self.machine, pages)
        index = self.machine.unusable_index(PAGEBLOCK_ORDER)
        return AfterRound(blocks, usable(self.machine, PAGEBLOCK_ORDER), index)


@cache
def history(kernel_in_64: int, group_by_mobility: bool) -> list[AfterRound]:
    """The machine after each round of life()."""
    lived, after = Lived(group_by_mobility), []
    for requests in life(kernel_in_64):
        lived.run(requests)
        after.append(lived.now())
    return after


def usable(machine: Machine, order: int) -> int:
    """How many blocks of an order the free lists would yield."""
    nr_free = machine.nr_free()
    return sum(blocks << at - order for at, blocks in enumerate(nr_free) if at >= order)


def blocks_of(machine: Machine, unmovable: set[int]) -> list[Block]:
    """The pageblocks of a machine of one zone, of whose pages these cannot be moved."""
    zone = machine.zone()
    list_all_deferred(zone)
    counts = Counter(pfn // PAGES_PER_BLOCK for pfn in unmovable)
    blocks = []
    for start in range(0, zone.zone_end_pfn, PAGES_PER_BLOCK):
        name = MIGRATETYPE_NAMES[get_pageblock_migratetype(zone, start)]
        blocks.append(Block(name, free_in(zone, start), counts[start // PAGES_PER_BLOCK]))
    return blocks


def free_in(zone: Zone, start: int) -> int:
    """Free pages of the pageblock that begins here, also where it is half of a larger block."""
    if find_large_buddy(zone, start) != start:
        return PAGES_PER_BLOCK
    return min(count_pageblock(zone, start)[0], PAGES_PER_BLOCK)


def crowded(free: int) -> Machine:
    """A machine of two pageblocks, full of a program's pages, but for so many in the first one."""
    machine = Machine.of_pages(2 * PAGES_PER_BLOCK)
    for pfn in [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(2 * PAGES_PER_BLOCK)]:
        machine.lru_add(pfn)
    for number in range(free):  # every other page first: small blocks
        machine.free_pages(number * 2 % PAGES_PER_BLOCK + number * 2 // PAGES_PER_BLOCK)
    return machine


def extfrags(machine: Machine) -> list[MmPageAllocExtfrag]:
    """The mm_page_alloc_extfrag events that the machine's ring still holds."""
    events = (traced.event for traced in machine.events())
    return [event for event in events if isinstance(event, MmPageAllocExtfrag)]


def half_full(nr_free: int) -> Machine:
    """A machine of two pageblocks, full of a program's blocks of order 7; of four, some are free.

    They are those of the first pageblock, at most two: the first and the third.
    """
    machine = Machine.of_pages(2 * PAGES_PER_BLOCK)
    blocks = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE, 7) for _ in range(8)]
    for pfn in blocks:
        machine.lru_add(pfn)
    for pfn in blocks[: 2 * nr_free : 2]:
        machine.free_pages(pfn)
    return machine


def indexes(nr_free: Sequence[int], order: int) -> tuple[int, int]:
    """extfrag_index and unusable_index of a line of /proc/buddyinfo, both times 1000.

    Kernel: mm/vmstat.c __fragmentation_index(), unusable_free_index()
    """
    info = contig_page_info(list(nr_free), order)
    return _fragmentation_index(order, info), _unusable_free_index(order, info)


class Fallbacks(NamedTuple):
    """How many requests were served from another type's list: by a claim, and by a steal."""

    claims: int
    steals: int


def recorded_extfrags(text: str) -> dict[str, Fallbacks]:
    """By type of the request: rows of count and fields, as `sort | uniq -c` writes them."""
    found: dict[str, Fallbacks] = {}
    for line in text.splitlines():
        count, *words = line.split()
        fields = dict(word.split("=") for word in words)
        name = MIGRATETYPE_NAMES[int(fields["alloc_migratetype"])]
        owned = int(fields["change_ownership"])
        claims, steals = found.get(name, (0, 0))
        found[name] = Fallbacks(claims + owned * int(count), steals + (1 - owned) * int(count))
    return found

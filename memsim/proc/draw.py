"""Where free blocks could lie, drawn by seed: any place that the buddy allocator allows.

Pages are cut from the largest order down. A region is an aligned stretch of pages that is not
free as a whole. Of the two halves of a region at most one can be a free block, else they would
have merged; the other half is a region again. So a region offers exactly one place at each order,
and counts fit if and only if there are never more blocks than regions: no draw leads astray.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import compress
from random import Random


@dataclass
class Regions:
    """Regions of one order by their first pfns: those wholly in [start, end), and those partly."""

    order: int
    start: int
    end: int
    whole: array[int]
    ragged: list[int]

    @classmethod
    def covering(cls, start: int, end: int, order: int) -> Regions:
        """All aligned regions of this order that [start, end) reaches into."""
        size = 1 << order
        firsts = range(start & -size, end, size)
        inside = [start <= first and first + size <= end for first in firsts]
        ragged = [f for f, is_inside in zip(firsts, inside, strict=True) if not is_inside]
        return cls(order, start, end, array("i", compress(firsts, inside)), ragged)

    def halves_of_ragged(self) -> tuple[list[int], list[int]]:
        """Their halves that lie in [start, end) wholly, and partly. Each has at most one whole."""
        half = 1 << self.order - 1
        whole, ragged = [], []
        for first in (f for region in self.ragged for f in (region, region + half)):
            if self.start <= first and first + half <= self.end:
                whole.append(first)
            elif first < self.end and first + half > self.start:
                ragged.append(first)
        return whole, ragged

    def take_whole(self, rng: Random, nr: int) -> array[int]:
        """nr of the whole regions, which are regions no longer. For the largest order."""
        picked = pick(rng, len(self.whole), nr)
        taken = array("i", (self.whole[i] for i in picked))
        self.whole = _without(self.whole, picked)
        return taken

    def split(self, rng: Random, nr: int) -> array[int]:
        """Make regions of the next lower order; take nr of them, as free blocks, at random.

        nr is at most places(). Cost: O(regions), in C.
        """
        regions, half = self.whole, 1 << self.order - 1
        own, ragged = self.halves_of_ragged()
        self.whole = array("i", bytes(8 * len(regions)))
        self.whole[0::2] = regions
        self.whole[1::2] = array("i", map(half.__add__, regions))
        taken = array("i")
        picked = array("i")
        for i in pick(rng, len(regions) + len(own), nr):
            at = 2 * i + rng.getrandbits(1) if i < len(regions) else len(regions) + i
            picked.append(at)
        self.whole.extend(own)
        taken.extend(self.whole[at] for at in picked)
        self.whole = _without(self.whole, picked)
        self.ragged = ragged
        self.order -= 1
        return taken


def pick(rng: Random, total: int, nr: int) -> array[int]:
    """nr different numbers below total, in random order. Memory: 5 bytes for each of total."""
    is_picked = bytearray(total)
    few = min(nr, total - nr)
    picked = array("i")
    while len(picked) < few:
        i = int(rng.random() * total)
        if not is_picked[i]:
            is_picked[i] = 1
            picked.append(i)
    if few == nr:
        return picked
    others = array("i", (i for i in range(total) if not is_picked[i]))
    rng.shuffle(others)
    return others


def _without(regions: array[int], positions: array[int]) -> array[int]:
    if not positions:
        return regions
    stays = bytearray(b"\1") * len(regions)
    for at in positions:
        stays[at] = 0
    return array("i", compress(regions, stays))


def fits(nr_whole: int, ragged: Regions, counts: list[int]) -> bool:
    """Is there room for counts[order] blocks of each order below that of the regions?

    ragged: the regions that are cut by a border; of its whole ones there are nr_whole instead.
    """
    rest = Regions(ragged.order, ragged.start, ragged.end, array("i"), ragged.ragged)
    for order in range(ragged.order - 1, -1, -1):
        own, rest.ragged = rest.halves_of_ragged()
        rest.order = order
        places = nr_whole + len(own)
        if counts[order] > places:
            return False
        nr_whole = nr_whole + places - counts[order]
    return True


def whole_needed(ragged: Regions, counts: list[int]) -> int:
    """How many whole regions, besides the ragged ones, these blocks need."""
    low, high = 0, sum(counts[: ragged.order])
    while low < high:
        middle = (low + high) // 2
        if fits(middle, ragged, counts):
            high = middle
        else:
            low = middle + 1
    return low

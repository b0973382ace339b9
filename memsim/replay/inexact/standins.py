"""Stand-ins for pages that were in use before a trace began, where no snapshot tells of them.

Such a page is met when it is freed. In its stead memsim frees a block that is in use in the same
zone since the beginning. A seed draws by how far a zone is turned: the stand-in is the first block
in use from the page's turned place on, so that pages which lie together have stand-ins which do.
"""

from __future__ import annotations

from random import Random

from memsim.mm.journal import set_page_state
from memsim.mm.mmzone import PG_INUSE, Vm, Zone, page_zone, populated_zones
from memsim.replay.pages.live import Pages
from memsim.words.mmzone import MIGRATE_MOVABLE, MIGRATE_PCPTYPES, NULL


class StandIns(Pages):
    """Pages, of which those in use at the start are not told by their pfns.

    `wanted` is the type of pageblock that the next stand-in should be in, if there is one.
    """

    def __init__(self, vm: Vm, seed: int) -> None:
        super().__init__(vm)
        self.wanted = MIGRATE_MOVABLE
        #: Frees: of pages that got a stand-in, that found none, and of allocations not traced.
        self.stood_in = 0
        self.none_left = 0
        self.untraced = 0
        self._vm = vm
        #: By pfn: 1 plus the type of its pageblock while the page is in use since the start.
        self._in_use = bytearray(vm.max_pfn)
        rng = Random(seed)
        self._turned: dict[int, int] = {}
        for zone in populated_zones(vm):
            nr_blocks = zone.spanned_pages >> vm.pageblock_order
            self._turned[zone.id] = rng.randrange(nr_blocks + 1) << vm.pageblock_order
            self._mark_in_use(zone)
        #: Zone, type and order of which no block is left: none will be again.
        self._exhausted: set[tuple[int, int, int]] = set()

    def _mark_in_use(self, zone: Zone) -> None:
        """Only pages that the allocator manages are in use: the kernel's own are never freed."""
        order = self._vm.pageblock_order
        first, end = zone.zone_start_pfn, zone.zone_end_pfn
        while first < end:
            behind = min(end, (first >> order) + 1 << order)
            value = 1 + self._vm.pageblock[first >> order]
            used = bytes(value if state & PG_INUSE else 0 for state in range(256))
            self._in_use[first:behind] = bytes(zone.page_state[first:behind]).translate(used)
            first = behind

    def was_free(self, pfn: int, order: int) -> None:
        """The recording shows that this block was not in use."""
        end = min(pfn + (1 << order), len(self._gone))
        self._gone[pfn:end] = b"\1" * (end - pfn)

    def _of_no_block(self, pfn: int) -> int:
        """None: what was in use before the recording is not known."""
        return NULL

    def freed(self, pfn: int, order: int) -> int:
        """page_of(), or for a page in use since the start its stand-in; and forget it."""
        known = self._head(pfn, order)[0] != NULL
        was_free = self._gone[pfn]
        page = super().freed(pfn, order)
        self.was_free(pfn, order)
        if known:
            return page
        if was_free:
            self.untraced += 1
            return NULL
        zone = page_zone(self._vm, pfn)
        page = NULL if zone is None else self._take(zone, pfn, order)
        self.stood_in += page != NULL
        self.none_left += page == NULL
        return page

    def _take(self, zone: Zone, pfn: int, order: int) -> int:
        """A block in use since the start, of the wanted type if there is one."""
        for migratetype in (self.wanted, *range(MIGRATE_PCPTYPES + 1)):
            key = (zone.id, migratetype, order)
            if key not in self._exhausted:
                page = self._find(zone, pfn, order, bytes((1 + migratetype,)) * (1 << order))
                if page != NULL:
                    _make_one_block(zone, page, order)
                    self._in_use[page : page + (1 << order)] = bytes(1 << order)
                    return page
                self._exhausted.add(key)
        return NULL

    def _find(self, zone: Zone, pfn: int, order: int, block: bytes) -> int:
        """The first such block from the page's turned place on, and then from the zone's start."""
        start, end = zone.zone_start_pfn, zone.zone_end_pfn
        place = start + (pfn - start + self._turned[zone.id]) % (end - start)
        page = self._first_aligned(block, place & -(1 << order), end, order)
        return page if page != NULL else self._first_aligned(block, start, end, order)

    def _first_aligned(self, block: bytes, start: int, end: int, order: int) -> int:
        page = self._in_use.find(block, start, end)
        while page != NULL and page & (1 << order) - 1:
            start = (page >> order) + 1 << order
            page = self._in_use.find(block, start, end)
        return page


def _make_one_block(zone: Zone, page: int, order: int) -> None:
    """Pages in use one by one become a block in use, as it would have been allocated."""
    set_page_state(zone, page, 1 << order, 0)
    set_page_state(zone, page, 1, PG_INUSE | order)

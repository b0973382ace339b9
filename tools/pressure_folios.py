"""Pages of a recording as folios of the model: which they are, how they come and go."""

from __future__ import annotations

from typing import NamedTuple

from pressure_story import Story

from memsim.mm.filemap import truncate
from memsim.mm.folio import (
    AddressSpace,
    folio_set_flags,
    mod_folio_state,
    set_entry,
    set_word,
)
from memsim.mm.memory import zap_pte
from memsim.mm.mm_inline import folio_set_lru
from memsim.mm.mmzone import PG_INUSE, PG_LRU, PG_ORDER, Vm, page_zone
from memsim.mm.rmap import folio_add_anon_rmap, folio_add_file_rmap
from memsim.mm.swap import lru_add
from memsim.mm.vmstat import zone_page_state_snapshot
from memsim.replay.rows.inputs import Kind, Rows
from memsim.trace.folio_steps import WORD_INDEX, WORD_MAPPING, WORD_REFCOUNT
from memsim.words.mmzone import NR_ZONE_LRU_BASE, NULL
from memsim.words.page_flags import (
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_ANON,
    LRU_UNEVICTABLE,
    NR_FILE_PAGES,
    NR_LRU_LISTS,
    PG_active,
    PG_anon_exclusive,
    PG_private,
    PG_swapbacked,
    PG_unevictable,
    PG_uptodate,
)

#: Where a folio is, wherever the model moves it to: a mapping, and an index.
Place = tuple[AddressSpace, int]
#: By pfn: what becomes of a page of the start, and when.
Fates = dict[int, tuple[int, int]]


class Folio(NamedTuple):
    """What is known of a page. Shmem is swapbacked; what came by a fault is active."""

    anon: bool = False
    swapbacked: bool = False
    mapped: bool = False
    active: bool = False
    unevictable: bool = False


INACTIVE_FILE, ACTIVE_FILE = Folio(), Folio(active=True)
OF_ANON, UNEVICTABLE = Folio(True, True, True, True), Folio(unevictable=True)
_FILES = INACTIVE_FILE, ACTIVE_FILE


def join(vm: Vm, place: Place, page: int, folio: Folio) -> None:
    """The page, which is in use, becomes a folio of that place and joins its LRU list."""
    folios, (mapping, index) = vm.folios, place
    flags = PG_uptodate | (PG_swapbacked if folio.swapbacked else 0)
    flags |= PG_anon_exclusive if folio.anon else 0
    flags |= PG_unevictable if folio.unevictable else PG_active if folio.active else 0
    folio_set_flags(folios, page, flags)
    for word, value in ((WORD_MAPPING, mapping.id), (WORD_INDEX, index), (WORD_REFCOUNT, 1)):
        set_word(folios, word, page, value)
    set_entry(vm, mapping, index, page)
    if folio.anon:
        folio_add_anon_rmap(vm, page)
    else:
        mod_folio_state(vm, page, NR_FILE_PAGES, 1)
        if folio.mapped:
            folio_add_file_rmap(vm, page)
    lru_add(vm, page)
    folio_set_lru(vm, page)


def is_there(place: Place) -> bool:
    """Has reclaim left the folio alone?"""
    mapping, index = place
    return mapping.i_pages.get(index, NULL) >= 0


def leave(vm: Vm, place: Place) -> bool:
    """The folio is freed; False when reclaim has done so before."""
    mapping, index = place
    if not is_there(place):
        set_entry(vm, mapping, index, NULL)
        return False
    (zap_pte if mapping.is_anon else truncate)(vm, mapping, index)
    return True


def start_folios(vm: Vm, fates: Fates) -> list[tuple[int, Folio]]:
    """(pfn, what it is) of pages on LRU lists at the start, the oldest first.

    Counters of zones tell how many of each kind there are; they count anew from here on.
    """
    found: list[tuple[int, Folio]] = []
    on_lru = [pfn for pfn, state in enumerate(bytes(vm.page_state)) if _is_folio(state)]
    for zone in vm.zones:
        mine = [pfn for pfn in on_lru if page_zone(vm, pfn) is zone]
        items = range(NR_ZONE_LRU_BASE, NR_ZONE_LRU_BASE + NR_LRU_LISTS)
        counts = [zone_page_state_snapshot(zone, item) for item in items]
        zone.vm_stat[NR_ZONE_LRU_BASE : NR_ZONE_LRU_BASE + NR_LRU_LISTS] = [0] * NR_LRU_LISTS
        mine.sort(key=lambda pfn: fates.get(pfn, (1, pfn)))
        found += _kinds(mine, fates, counts)
    return found


def hold_buffers(vm: Vm, found: list[tuple[int, Folio]], fates: Fates, nr: int) -> None:
    """nr folios of files that nobody frees stand for those whose buffers somebody holds."""
    kept = [pfn for pfn, kind in found if kind in _FILES and pfn not in fates]
    for pfn in kept[:nr]:
        folio_set_flags(vm.folios, pfn, PG_private)


def _is_folio(state: int) -> bool:
    """Is it the first page of a block on an LRU list?"""
    return state & (PG_INUSE | PG_LRU) == PG_INUSE | PG_LRU and state & PG_ORDER == 0


def fates_of(rows: Rows, story: Story) -> Fates:
    """By pfn: (0, when) for what reclaim frees first of all, (2, when) for what others do."""
    fates: Fates = {}
    frees = (Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct)
    for row in rows.of_kinds(frees):
        line, pfn = rows.line[row], rows[row][0]
        if line not in story.compacting:
            fates.setdefault(pfn, (0 if line in story.inside else 2, row))
    return fates


def _kinds(pfns: list[int], fates: Fates, counts: list[int]) -> list[tuple[int, Folio]]:
    """What each is; pfns are in the order of their fates: reclaimed, kept, freed by others.

    So the inactive files are the first, and anonymous memory the last.
    """
    nr_anon = counts[LRU_INACTIVE_ANON] + counts[LRU_ACTIVE_ANON]
    nr_file = len(pfns) - nr_anon - counts[LRU_UNEVICTABLE]
    nr_active = min(nr_file, counts[LRU_ACTIVE_FILE])
    kinds = [INACTIVE_FILE] * (nr_file - nr_active) + [ACTIVE_FILE] * nr_active
    kinds += [UNEVICTABLE] * counts[LRU_UNEVICTABLE] + [OF_ANON] * nr_anon
    return list(zip(pfns, kinds, strict=True))

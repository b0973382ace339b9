"""Every invariant of folios, each one sentence and one check; mm/validate.py asks for them.

They hold between operations, when nothing is isolated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from memsim.lib.list import list_for_each
from memsim.mm.folio import (
    AddressSpace,
    Lruvec,
    folio_lruvec,
    folio_nr_pages,
    folio_zone,
    xa_is_value,
    xa_to_value,
)
from memsim.mm.lru_gen.flags import folio_lru_gen
from memsim.mm.lru_gen.state import AVG_REFAULTED, NR_PAGES, place_of_nr_pages
from memsim.mm.memcontrol.validate import MEMCG_INVARIANTS
from memsim.mm.mm_inline import folio_is_file_lru, folio_lru_list, lru_gen_is_active
from memsim.mm.mmzone import PG_INUSE, PG_LRU, PglistData, Vm, page_zone
from memsim.mm.rmap import folio_test_anon, references_of_places
from memsim.mm.swap_info import SWAP_HAS_CACHE, SWAP_MAP_BAD
from memsim.trace.folio_steps import BATCHES
from memsim.words.lru_gen import (
    LRU_GEN_NUMBERS,
    LRUVEC_LISTS,
    MAX_NR_GENS,
    MIN_NR_GENS,
    lru_gen_from_seq,
    lru_gen_list,
)
from memsim.words.mmzone import NR_ZONE_LRU_BASE
from memsim.words.page_flags import (
    LRU_ACTIVE,
    LRU_FILE,
    LRU_NAMES,
    LRU_UNEVICTABLE,
    NODE_STAT_ITEMS,
    NR_ANON_MAPPED,
    NR_FILE_DIRTY,
    NR_FILE_MAPPED,
    NR_FILE_PAGES,
    NR_ISOLATED_ANON,
    NR_ISOLATED_FILE,
    NR_LRU_BASE,
    NR_LRU_LISTS,
    NR_SWAPCACHE,
    PG_active,
    PG_dirty,
    PG_swapcache,
    PG_unevictable,
)


def lru_folios(vm: Vm, nid: int, lru: int) -> list[int]:
    """The folios of an LRU list, first to last."""
    return list(list_for_each(vm.next, vm.nodes[nid].lruvec.lists[lru]))


def _lruvecs(vm: Vm) -> list[Lruvec]:
    """The root's on each node, then those of the memcgs."""
    groups = vm.folios.memcgs.groups.values()
    return [pgdat.lruvec for pgdat in vm.nodes] + [
        lruvec for memcg in groups for lruvec in memcg.nodeinfo
    ]


def _lists(vm: Vm) -> list[tuple[Lruvec, int]]:
    return [(lruvec, lru) for lruvec in _lruvecs(vm) for lru in range(len(LRUVEC_LISTS))]


def _on_list(vm: Vm, lruvec: Lruvec, lru: int) -> list[int]:
    return list(list_for_each(vm.next, lruvec.lists[lru]))


def _links(vm: Vm) -> Iterator[str]:
    """Each folio on an LRU list is the next of its prev, and the prev of its next."""
    for lruvec, lru in _lists(vm):
        head = lruvec.lists[lru]
        for before, folio in pairwise([head, *_on_list(vm, lruvec, lru), head]):
            if vm.prev[folio] != before:
                yield f"prev of {folio} is {vm.prev[folio]}, not {before}"


def _right_list(vm: Vm) -> Iterator[str]:
    """A folio on an LRU list has PG_lru, belongs there by its flags, and is of that lruvec."""
    for lruvec, lru in _lists(vm):
        for folio in _on_list(vm, lruvec, lru):
            in_use = vm.page_state[folio] & PG_INUSE and vm.page_state[folio] & PG_LRU
            here = folio_lruvec(vm, folio) is lruvec and lru in _may_be_on(vm, folio)
            if not in_use or not here:
                yield f"{folio:#x} on {LRUVEC_LISTS[lru]} of node {lruvec.pgdat.nid}"


def _may_be_on(vm: Vm, folio: int) -> set[int]:
    """The lists that a folio may be on: one that was promoted is on an older one for a while."""
    gen = folio_lru_gen(vm.folios, folio)
    if gen < 0:
        return {folio_lru_list(vm, folio)}
    type, zone = folio_is_file_lru(vm, folio), folio_zone(vm, folio).idx
    lrugen = folio_lruvec(vm, folio).lrugen
    seqs = range(lrugen.min_seq(type), lrugen.max_seq + 1)
    gens = [lru_gen_from_seq(seq) for seq in seqs]
    if gen not in gens:
        return set()
    return {lru_gen_list(older, type, zone) for older in gens}


def _counted_as(vm: Vm, folio: int) -> int:
    """The counter of a folio on a list: those of the two youngest generations are active."""
    gen = folio_lru_gen(vm.folios, folio)
    if gen < 0:
        return folio_lru_list(vm, folio)
    active = lru_gen_is_active(folio_lruvec(vm, folio), gen)
    return folio_is_file_lru(vm, folio) * LRU_FILE + active * LRU_ACTIVE


def _nr_lru(vm: Vm) -> Iterator[str]:
    """NR_INACTIVE_ANON to NR_UNEVICTABLE count the pages of a node's lists, NR_ZONE_* a zone's."""
    listed: dict[tuple[int, int], int] = {}
    by_node: dict[tuple[int, int], int] = {}
    for lruvec, lru in _lists(vm):
        for folio in _on_list(vm, lruvec, lru):
            counter = _counted_as(vm, folio)
            for key, sums in (
                ((folio_zone(vm, folio).id, counter), listed),
                ((lruvec.pgdat.nid, counter), by_node),
            ):
                sums[key] = sums.get(key, 0) + folio_nr_pages(vm, folio)
    for pgdat in vm.nodes:
        for lru in range(NR_LRU_LISTS):
            counted, nr_pages = pgdat.vm_stat[NR_LRU_BASE + lru], by_node.get((pgdat.nid, lru), 0)
            if counted != nr_pages:
                yield f"node {pgdat.nid}: {NODE_STAT_ITEMS[lru]} {counted}, listed {nr_pages}"
    for zone in vm.zones:
        for lru in range(NR_LRU_LISTS):
            counted, nr_pages = zone.vm_stat[NR_ZONE_LRU_BASE + lru], listed.get((zone.id, lru), 0)
            if counted != nr_pages:
                yield f"{zone.name}: {LRU_NAMES[lru]} {counted}, listed {nr_pages}"


def _generations(vm: Vm) -> Iterator[str]:
    """There are 2 to 4 generations of files, no fewer of anonymous memory, and they count right."""
    for pgdat in vm.nodes:
        lrugen = pgdat.lruvec.lrugen
        anon, file = (lrugen.max_seq - lrugen.min_seq(type) + 1 for type in (0, 1))
        if not MIN_NR_GENS <= file <= anon <= MAX_NR_GENS:
            yield f"node {pgdat.nid}: {anon} generations of anonymous memory, {file} of files"
        yield from _nr_pages(vm, pgdat)


def _nr_pages(vm: Vm, pgdat: PglistData) -> Iterator[str]:
    found = [0] * len(LRU_GEN_NUMBERS)
    for lru in range(len(LRUVEC_LISTS)):
        for folio in lru_folios(vm, pgdat.nid, lru):
            gen, type = folio_lru_gen(vm.folios, folio), folio_is_file_lru(vm, folio)
            if gen >= 0:
                place = place_of_nr_pages(gen, type, folio_zone(vm, folio).idx)
                found[place] += folio_nr_pages(vm, folio)
    numbers = pgdat.lruvec.lrugen.numbers
    for place in range(NR_PAGES, AVG_REFAULTED):
        if numbers[place] != found[place]:
            name = LRU_GEN_NUMBERS[place]
            yield f"node {pgdat.nid}: lrugen.{name} is {numbers[place]}, listed {found[place]}"


def _one_lru(vm: Vm) -> Iterator[str]:
    """Evictable folios are on the classic lists or on generations', as enabled says."""
    for lruvec, lru in _lists(vm):
        of_gens = lru >= NR_LRU_LISTS
        wrong = lru != LRU_UNEVICTABLE and of_gens != lruvec.lrugen.enabled
        if wrong and _on_list(vm, lruvec, lru):
            yield f"node {lruvec.pgdat.nid}: folios on {LRUVEC_LISTS[lru]}"


def _held(vm: Vm) -> list[int]:
    """Folios: pages that somebody holds."""
    refcount = vm.folios.refcount
    return [pfn for pfn, state in enumerate(bytes(vm.page_state)) if state and refcount[pfn]]


def _words(vm: Vm) -> Iterator[str]:
    """A page that is free, or was never a folio, has no word set."""
    held = set(_held(vm))
    for name, words in zip(("flags", "mapping", "mapcount"), vm.folios.words, strict=False):
        for pfn, word in enumerate(words):
            if word and pfn not in held:
                yield f"{name} of {pfn:#x} is {word:#x}"


def _entries(vm: Vm) -> Iterator[str]:
    """What a mapping has at an index is a folio in use that says so itself."""
    folios = vm.folios
    for mapping in folios.mappings.values():
        for index, folio in mapping.i_pages.items():
            if folio >= 0 and not _says_so(vm, mapping, index, folio):
                yield f"mapping {mapping.id} has pfn {folio:#x} at {index}"
        nrpages = sum(entry >= 0 for entry in mapping.i_pages.values())
        if mapping.nrpages != nrpages:
            yield f"mapping {mapping.id}: nrpages {mapping.nrpages}, there are {nrpages}"


def _says_so(vm: Vm, mapping: AddressSpace, index: int, folio: int) -> bool:
    folios = vm.folios
    if not vm.page_state[folio] & PG_INUSE:
        return False
    if mapping is folios.swapper_space:
        return (folios.flags[folio] & PG_swapcache) != 0 and folios.private[folio] == index
    return folios.mapping[folio] == mapping.id and folios.index[folio] == index


def _places(vm: Vm) -> Iterator[str]:
    """A folio of a file lies in its mapping; one of a region does, while a pte maps it."""
    folios = vm.folios
    for folio in _held(vm):
        mapping = folios.mappings.get(folios.mapping[folio])
        if mapping is None or (mapping.is_anon and not folios.mapcount[folio]):
            continue
        if mapping.i_pages.get(folios.index[folio]) != folio:
            yield f"{folio:#x} is not at {folios.index[folio]} of mapping {mapping.id}"


def _references(vm: Vm) -> Iterator[str]:
    """A folio is held by its cache, its ptes, and batches at least."""
    least: dict[int, int] = {}
    for batches in vm.folios.fbatches:
        for folio in (folio for batch in batches for folio in batch):
            least[folio] = least.get(folio, 0) + 1
    for folio in {*_held(vm), *least}:
        needed = least.get(folio, 0) + references_of_places(vm, folio)
        if vm.folios.refcount[folio] < needed:
            yield f"{folio:#x}: refcount {vm.folios.refcount[folio]}, at least {needed} hold it"


def _batches(vm: Vm) -> Iterator[str]:
    """A batch is never full between operations."""
    for cpu, batches in enumerate(vm.folios.fbatches):
        for name, batch in zip(BATCHES, batches, strict=True):
            if len(batch) > 30:
                yield f"CPU {cpu}: {name} has {len(batch)}"


def _flags(vm: Vm) -> Iterator[str]:
    """No folio is active and unevictable at once, and none has more young ptes than ptes."""
    folios = vm.folios
    for folio in _held(vm):
        both = PG_active | PG_unevictable
        if (folios.flags[folio] & both) == both:
            yield f"{folio:#x} is both"
        if folios.young[folio] > folios.mapcount[folio]:
            yield f"{folio:#x}: {folios.young[folio]} of {folios.mapcount[folio]}"


def _counters(vm: Vm) -> Iterator[str]:
    """NR_FILE_PAGES, NR_*_MAPPED, NR_FILE_DIRTY and NR_SWAPCACHE count the folios that are such."""
    folios = vm.folios
    items = (NR_FILE_PAGES, NR_ANON_MAPPED, NR_FILE_MAPPED, NR_FILE_DIRTY, NR_SWAPCACHE)
    found = {(pgdat.nid, item): 0 for pgdat in vm.nodes for item in items}
    for folio in _held(vm):
        zone, nr_pages = page_zone(vm, folio), folio_nr_pages(vm, folio)
        assert zone is not None
        anon, flags = folio_test_anon(vm, folio), folios.flags[folio]
        of_a_file = folios.mapping[folio] and not anon
        is_such = (
            of_a_file or flags & PG_swapcache, anon and folios.mapcount[folio],
            of_a_file and folios.mapcount[folio], of_a_file and flags & PG_dirty,
            flags & PG_swapcache,
        )  # fmt: skip
        for item, counts in zip(items, is_such, strict=True):
            found[zone.node, item] += nr_pages if counts else 0
    for (nid, item), nr_pages in found.items():
        counted = vm.nodes[nid].vm_stat[item]
        if counted != nr_pages:
            yield f"node {nid}: {NODE_STAT_ITEMS[item]} {counted}, there are {nr_pages}"


def _swap_map(vm: Vm) -> Iterator[str]:
    """A slot counts the ptes that name it, and its place in the swap cache; the others are free."""
    folios, swap = vm.folios, vm.folios.swap
    counts = [0] * len(swap.swap_map)
    counts[0] = SWAP_MAP_BAD
    for mapping in folios.mappings.values():
        for index, entry in mapping.i_pages.items():
            if mapping is folios.swapper_space:
                counts[index] += SWAP_HAS_CACHE if entry >= 0 else 0
            elif mapping.is_anon and xa_is_value(entry):
                counts[xa_to_value(entry)] += 1
    for slot, (counted, mapped) in enumerate(zip(counts, swap.swap_map, strict=True)):
        if counted != mapped:
            yield f"slot {slot}: swap_map {mapped:#x}, counted {counted:#x}"
    if counts.count(0) != swap.nr_swap_pages:
        yield f"nr_swap_pages {swap.nr_swap_pages}, free {counts.count(0)}"


def _isolated(vm: Vm) -> Iterator[str]:
    """Nothing is isolated: NR_ISOLATED_ANON and NR_ISOLATED_FILE are 0."""
    for pgdat in vm.nodes:
        for item in (NR_ISOLATED_ANON, NR_ISOLATED_FILE):
            if pgdat.vm_stat[item]:
                yield f"node {pgdat.nid}: {NODE_STAT_ITEMS[item]} {pgdat.vm_stat[item]}"


#: Every invariant of folios; its sentence is the docstring.
FOLIO_INVARIANTS: tuple[Callable[[Vm], Iterator[str]], ...] = (
    _links, _right_list, _nr_lru, _generations, _one_lru, _words, _entries, _places, _references,
    _batches, _flags, _counters, _swap_map, _isolated, *MEMCG_INVARIANTS,
)  # fmt: skip

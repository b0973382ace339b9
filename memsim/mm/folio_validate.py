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
    xa_is_value,
    xa_to_value,
)
from memsim.mm.memcontrol.validate import MEMCG_INVARIANTS
from memsim.mm.mm_inline import folio_lru_list
from memsim.mm.mmzone import PG_INUSE, PG_LRU, Vm, page_zone
from memsim.mm.rmap import folio_test_anon, references_of_places
from memsim.mm.swap_info import SWAP_HAS_CACHE, SWAP_MAP_BAD
from memsim.trace.folio_steps import BATCHES
from memsim.words.mmzone import NR_ZONE_LRU_BASE
from memsim.words.page_flags import (
    LRU_NAMES,
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
    return [(lruvec, lru) for lruvec in _lruvecs(vm) for lru in range(NR_LRU_LISTS)]


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
            here = folio_lruvec(vm, folio) is lruvec and folio_lru_list(vm, folio) == lru
            if not in_use or not here:
                yield f"{folio:#x} on {LRU_NAMES[lru]} of node {lruvec.pgdat.nid}"


def _nr_lru(vm: Vm) -> Iterator[str]:
    """NR_INACTIVE_ANON to NR_UNEVICTABLE count the pages of a node's lists, NR_ZONE_* a zone's."""
    listed: dict[tuple[int, int], int] = {}
    by_node: dict[tuple[int, int], int] = {}
    for lruvec, lru in _lists(vm):
        for folio in _on_list(vm, lruvec, lru):
            zone = page_zone(vm, folio)
            for key, sums in (
                ((zone.id if zone else -1, lru), listed),
                ((lruvec.pgdat.nid, lru), by_node),
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
    _links, _right_list, _nr_lru, _words, _entries, _places, _references, _batches, _flags,
    _counters, _swap_map, _isolated, *MEMCG_INVARIANTS,
)  # fmt: skip

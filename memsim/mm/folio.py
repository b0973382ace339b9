"""Folios: what a page has that belongs to somebody by (mapping, index), so that it may move or go.

Each word of struct folio is a flat array by pfn, of which a folio's first page has the entry. A
page without a mapping, as alloc_pages() gives it, has zeros, and is never reclaimed nor migrated.
NOT MODELLED: xa_nodes, which hold the entries of i_pages, as memory: the workload asks for them.

Kernel: include/linux/mm_types.h struct folio, include/linux/fs.h struct address_space,
include/linux/mmzone.h struct lruvec
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.lib.flat import Ints, zeroed_ints
from memsim.mm.journal import set_page_state
from memsim.mm.lru_gen.state import LruGenFolio
from memsim.mm.memcontrol.state import (
    MemCgroup,
    Memcgs,
    count_memcg_events,
    mod_memcg_lruvec_state,
)
from memsim.mm.mmzone import PG_ORDER, PglistData, Vm, Zone, page_zone
from memsim.mm.swap_info import SwapInfo
from memsim.trace.events import TP_STEPS
from memsim.trace.folio_steps import (
    BATCHES,
    MAPPING_ENTRY,
    MAPPING_GONE,
    MAPPING_NEW,
    NODE_FIELDS,
    NODE_STAT,
    PAGE_WORD,
    WORD_FLAGS,
    WORD_INDEX,
    WORD_MAPCOUNT,
    WORD_MAPPING,
    WORD_MEMCG_DATA,
    WORD_PRIVATE,
    WORD_REFCOUNT,
    WORD_YOUNG,
    WORDS,
    ZONE_STAT,
)
from memsim.trace.memcg_steps import MEMCG_FIELD
from memsim.trace.trace import Trace
from memsim.words.lru_gen import LRUVEC_LISTS
from memsim.words.memcontrol import MEMCG_DATA_SHIFT, MEMCG_FIELD_NUMBER
from memsim.words.mmzone import NULL
from memsim.words.page_flags import NR_VM_NODE_STAT_ITEMS

if TYPE_CHECKING:
    from memsim.mm.shrinker import Shrinker

#: The bit of a mapping's id that says it is an anonymous region: a folio may outlive it.
#: Kernel: include/linux/page-flags.h
PAGE_MAPPING_ANON = 1
#: Kinds of an AddressSpace: pages of a file, an anonymous region, the swap cache.
FILE, ANON, SWAP = range(3)
#: Words that a folio which is freed leaves behind as 0; memcg_data is whoever uncharges it's.
_ALL_WORDS = [word for word in range(len(WORDS)) if word != WORD_MEMCG_DATA]
_NODE_FIELD = {name: number for number, name in enumerate(NODE_FIELDS)}
_FIRST_LRUGEN = _NODE_FIELD["lrugen.max_seq"]


class AddressSpace:
    """struct address_space: what lies at each index of a file, a region or the swap cache.

    `i_pages` has a pfn for an index, or a value: xa_mk_value(). Of an anonymous region it stands
    for the ptes: a value is a swap entry. Of the others it is a shadow (mm/workingset.py).
    """

    __slots__ = ("i_pages", "id", "kind", "name", "nrpages")

    def __init__(self, id: int, kind: int, name: int) -> None:
        self.id = id
        self.kind = kind
        self.name = name
        self.i_pages: dict[int, int] = {}
        self.nrpages = 0

    @property
    def is_anon(self) -> bool:
        """Is it anonymous memory?"""
        return self.kind == ANON


class Lruvec:
    """struct lruvec: the LRU lists of a memcg's folios on a node, and what their balance stands on.

    `vm_stat` counts the folios of the memcg and of those below it: of the root, all of the node's.
    `memcg` is the memcg's id, 0 for the root.
    """

    __slots__ = (
        "anon_cost", "file_cost", "flags", "lists", "lrugen", "memcg", "nonresident_age", "pgdat",
        "refaults_anon", "refaults_file", "vm_stat",
    )  # fmt: skip

    def __init__(
        self, pgdat: PglistData, lists: list[int], vm_stat: list[int], memcg: int = 0
    ) -> None:
        self.pgdat = pgdat
        #: By words.lru_gen.LRUVEC_LISTS: the classic ones, then those of generations.
        self.lists = lists
        self.lrugen = LruGenFolio()
        self.vm_stat = vm_stat
        self.memcg = memcg
        self.anon_cost = self.file_cost = 0
        self.nonresident_age = 0
        self.flags = 0
        self.refaults_anon = self.refaults_file = 0


class Folios:
    """The words of all folios, by pfn; mappings by id; and each CPU's batches.

    `mapcount` is how many ptes map the folio, `young` how many of them were accessed since
    reclaim last looked; `refcount` is as the kernel's: one for the cache, each pte, each batch.
    """

    __slots__ = (
        "fbatches", "flags", "index", "mapcount", "mapping", "mappings", "memcg_data", "memcgs",
        "next_mapping", "private", "reclaimed_slab", "refcount", "shrinkers", "swap",
        "swapper_space", "swappiness", "trace", "words", "young",
    )  # fmt: skip

    def __init__(self, vm: Vm) -> None:
        self.trace: Trace = vm.trace
        self.words: list[Ints] = [zeroed_ints(vm.max_pfn) for _ in WORDS]
        self.flags = self.words[WORD_FLAGS]
        self.mapping = self.words[WORD_MAPPING]
        self.index = self.words[WORD_INDEX]
        self.mapcount = self.words[WORD_MAPCOUNT]
        self.refcount = self.words[WORD_REFCOUNT]
        self.young = self.words[WORD_YOUNG]
        self.private = self.words[WORD_PRIVATE]
        #: The id of the memcg that a page is charged to, with MEMCG_DATA_KMEM; 0: it is to none.
        self.memcg_data = self.words[WORD_MEMCG_DATA]
        self.memcgs = Memcgs(vm.nr_cpus, len(vm.nodes))
        #: How readily anonymous memory is swapped: /proc/sys/vm/swappiness, from 0 to 200.
        self.swappiness = 60
        #: Caches that reclaim asks, and whole pages that they gave back in this pass.
        self.shrinkers: list[Shrinker] = []
        self.reclaimed_slab = 0
        #: The swap device; mm/swapfile.py swapon() puts another in its place.
        self.swap = SwapInfo()
        #: The swap cache: its index is a slot of the swap device.
        self.swapper_space = AddressSpace(2, SWAP, vm.trace.number_of("swapper_space"))
        self.mappings = {2: self.swapper_space}
        self.next_mapping = 4
        self.fbatches: list[list[list[int]]] = [[[] for _ in BATCHES] for _ in range(vm.nr_cpus)]


def reclaim_init(vm: Vm) -> None:
    """From here on pages may have mappings, and nodes LRU lists. All lists are empty."""
    vm.folios = Folios(vm)
    for pgdat in vm.nodes:
        pgdat.vm_stat = [0] * NR_VM_NODE_STAT_ITEMS
        pgdat.lruvec = Lruvec(pgdat, lruvec_lists(vm), pgdat.vm_stat)


def lruvec_lists(vm: Vm) -> list[int]:
    """The heads of a new lruvec's lists. Kernel: mm/mmzone.c lruvec_init()."""
    return vm.list_heads(len(LRUVEC_LISTS))


def xa_mk_value(value: int) -> int:
    """A value as an entry of i_pages, where it is told from a pfn. Kernel: xa_mk_value()."""
    return NULL - 1 - value


def xa_to_value(entry: int) -> int:
    """The value of such an entry. Kernel: include/linux/xarray.h xa_to_value()."""
    return NULL - 1 - entry


def xa_is_value(entry: int) -> bool:
    """Is it a value: neither a pfn nor NULL? Kernel: include/linux/xarray.h xa_is_value()."""
    return entry < NULL


def folio_zone(vm: Vm, folio: int) -> Zone:
    """The zone of a folio, which has one. Kernel: include/linux/mm.h folio_zone()."""
    zone = page_zone(vm, folio)
    assert zone is not None
    return zone


def folio_pgdat(vm: Vm, folio: int) -> PglistData:
    """The node of a folio. Kernel: include/linux/mm.h folio_pgdat()."""
    return vm.nodes[folio_zone(vm, folio).node]


def folio_lruvec(vm: Vm, folio: int) -> Lruvec:
    """Whose lists a folio is on, or will be. Kernel: include/linux/memcontrol.h folio_lruvec()."""
    return mem_cgroup_lruvec(folio_memcg(vm, folio), folio_pgdat(vm, folio))


def folio_memcg(vm: Vm, folio: int) -> MemCgroup | None:
    """Whom a folio is charged to; None is the root.

    Kernel: include/linux/memcontrol.h folio_memcg()
    """
    memcg_data = vm.folios.memcg_data[folio]
    return vm.folios.memcgs.groups[memcg_data >> MEMCG_DATA_SHIFT] if memcg_data else None


def mem_cgroup_lruvec(memcg: MemCgroup | None, pgdat: PglistData) -> Lruvec:
    """A memcg's lruvec on a node. Kernel: include/linux/memcontrol.h mem_cgroup_lruvec()."""
    return pgdat.lruvec if memcg is None else memcg.nodeinfo[pgdat.nid]


def lruvec_memcg(vm: Vm, lruvec: Lruvec) -> MemCgroup | None:
    """Whose lruvec it is; None is the root's. Kernel: include/linux/memcontrol.h lruvec_memcg()."""
    return vm.folios.memcgs.groups[lruvec.memcg] if lruvec.memcg else None


def parent_lruvec(lruvec: Lruvec) -> Lruvec | None:
    """The root's on that node; None above it.

    Kernel: include/linux/memcontrol.h parent_lruvec()
    """
    return lruvec.pgdat.lruvec if lruvec.memcg else None


def lruvec_page_state(lruvec: Lruvec, item: int) -> int:
    """A counter of a lruvec. Kernel: mm/memcontrol.c lruvec_page_state()."""
    return lruvec.vm_stat[item]


def lru_gen_enabled(vm: Vm) -> bool:
    """Does the kernel run the multi-gen LRU: /sys/kernel/mm/lru_gen/enabled?

    Kernel: include/linux/mm_inline.h lru_gen_enabled()
    """
    return vm.nodes[0].lruvec.lrugen.enabled


def folio_nr_pages(vm: Vm, folio: int) -> int:
    """Pages of a folio. Kernel: include/linux/mm.h folio_nr_pages()."""
    return 1 << (vm.page_state[folio] & PG_ORDER)


# Every change of a folio is one of these.


def set_word(folios: Folios, word: int, folio: int, value: int) -> None:
    """Change a word of a folio: word is one of trace.folio_steps.WORD_*."""
    words = folios.words[word]
    old = words[folio]
    if old != value and folios.trace.mask & TP_STEPS:
        folios.trace.step(PAGE_WORD, word, folio, old, value)
    words[folio] = value


def folio_set_flags(folios: Folios, folio: int, flags: int) -> None:
    """Set flags, PG_*. Kernel: include/linux/page-flags.h FOLIO_SET_FLAG()."""
    set_word(folios, WORD_FLAGS, folio, folios.flags[folio] | flags)


def folio_clear_flags(folios: Folios, folio: int, flags: int) -> None:
    """Clear flags, PG_*. Kernel: include/linux/page-flags.h FOLIO_CLEAR_FLAG()."""
    set_word(folios, WORD_FLAGS, folio, folios.flags[folio] & ~flags)


def folio_get(folios: Folios, folio: int) -> None:
    """Hold a folio. Kernel: include/linux/mm.h folio_get()."""
    set_word(folios, WORD_REFCOUNT, folio, folios.refcount[folio] + 1)


def set_entry(vm: Vm, mapping: AddressSpace, index: int, entry: int) -> int:
    """Put a pfn, a value, or nothing (NULL) at an index: what was there. Kernel: xas_store()."""
    old = mapping.i_pages.get(index, NULL)
    if old != entry and vm.trace.mask & TP_STEPS:
        vm.trace.step(MAPPING_ENTRY, mapping.id, index, old, entry)
    put_entry(mapping, index, old, entry)
    return old


def put_entry(mapping: AddressSpace, index: int, old: int, entry: int) -> None:
    """The change alone."""
    mapping.nrpages += (entry >= 0) - (old >= 0)
    if entry == NULL:
        mapping.i_pages.pop(index, None)
    else:
        mapping.i_pages[index] = entry


def new_mapping(vm: Vm, kind: int, name: str) -> AddressSpace:
    """An empty mapping: FILE, ANON or SWAP. Cost: O(1)."""
    folios = vm.folios
    number = folios.next_mapping | (PAGE_MAPPING_ANON if kind == ANON else 0)
    mapping = AddressSpace(number, kind, vm.trace.number_of(name))
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(MAPPING_NEW, mapping.id, kind, mapping.name)
    folios.mappings[mapping.id] = mapping
    folios.next_mapping += 2
    return mapping


def forget_mapping(vm: Vm, mapping: AddressSpace) -> None:
    """A mapping that has no folios left goes, with its values."""
    for index in list(mapping.i_pages):
        set_entry(vm, mapping, index, NULL)
    if vm.trace.mask & TP_STEPS:
        vm.trace.step(MAPPING_GONE, mapping.id, mapping.kind, mapping.name)
    del vm.folios.mappings[mapping.id]


def mod_node_page_state(vm: Vm, pgdat: PglistData, item: int, delta: int) -> None:
    """Add delta to a counter of a node. NOT MODELLED: that each CPU collects changes first.

    Kernel: mm/vmstat.c mod_node_page_state()
    """
    old = pgdat.vm_stat[item]
    if delta and vm.trace.mask & TP_STEPS:
        vm.trace.step(NODE_STAT, pgdat.nid, item, old, old + delta)
    pgdat.vm_stat[item] = old + delta


def mod_lruvec_state(vm: Vm, lruvec: Lruvec, item: int, delta: int) -> None:
    """Add delta to a counter of a lruvec, and of its node. Kernel: __mod_lruvec_state()."""
    mod_node_page_state(vm, lruvec.pgdat, item, delta)
    if lruvec.memcg:
        mod_memcg_lruvec_state(vm, lruvec.memcg, lruvec, item, delta)


def mod_zone_folio_state(zone: Zone, item: int, delta: int) -> None:
    """Add delta to a zone's counter of folios: NR_ZONE_*, which is exact.

    NOT MODELLED: that each CPU collects changes first. With memcg reclaim reads counters of its
    own, which are exact too: mem_cgroup_get_zone_lru_size(). Kernel: mm/vmstat.c
    """
    old = zone.vm_stat[item]
    if delta and zone.trace.mask & TP_STEPS:
        zone.trace.step(ZONE_STAT, zone.id, item, old, old + delta)
    zone.vm_stat[item] = old + delta


def mod_folio_state(vm: Vm, folio: int, item: int, sign: int) -> None:
    """Count a folio's pages in its lruvec, or take them away. Kernel: __lruvec_stat_mod_folio()."""
    mod_lruvec_state(vm, folio_lruvec(vm, folio), item, sign * folio_nr_pages(vm, folio))


def mod_folio_node_state(vm: Vm, folio: int, item: int, sign: int) -> None:
    """Count a folio's pages in its node alone: what a memcg does not count.

    Kernel: include/linux/vmstat.h node_stat_mod_folio()
    """
    pgdat = folio_pgdat(vm, folio)
    mod_node_page_state(vm, pgdat, item, sign * folio_nr_pages(vm, folio))


def count_memcg_folio_events(vm: Vm, folio: int, event: int) -> None:
    """Count a folio's pages for its memcg. Kernel: include/linux/memcontrol.h."""
    memcg = folio_memcg(vm, folio)
    if memcg is not None:
        count_memcg_events(vm, memcg, event, folio_nr_pages(vm, folio))


def set_lruvec_field(vm: Vm, lruvec: Lruvec, name: str, value: int) -> None:
    """Change a number of a lruvec."""
    old = getattr(lruvec, name)
    if old != value and vm.trace.mask & TP_STEPS:
        nid = lruvec.pgdat.nid
        if lruvec.memcg:
            field = MEMCG_FIELD_NUMBER[f"lruvec.{name}"]
            vm.trace.step(MEMCG_FIELD, lruvec.memcg, nid, field, old, value)
        else:
            vm.trace.step(NODE_STAT, nid, _NODE_FIELD[f"lruvec.{name}"], old, value)
    setattr(lruvec, name, value)


def set_lrugen(vm: Vm, lruvec: Lruvec, place: int, value: int) -> None:
    """Change a number of lruvec->lrugen; its place is one of mm/lru_gen/state.py."""
    numbers = lruvec.lrugen.numbers
    old = numbers[place]
    if old != value and vm.trace.mask & TP_STEPS:
        vm.trace.step(NODE_STAT, lruvec.pgdat.nid, _FIRST_LRUGEN + place, old, value)
    numbers[place] = value


def clear_words(folios: Folios, folio: int) -> None:
    """Nothing is left of a folio whose last reference is gone."""
    for word in _ALL_WORDS:
        set_word(folios, word, folio, 0)


def set_folio_state(zone: Zone, folio: int, state: int, tail: int) -> None:
    """The state byte of a folio's first page, and of the others."""
    nr_pages = 1 << (state & PG_ORDER)
    set_page_state(zone, folio, 1, state)
    if nr_pages > 1:
        set_page_state(zone, folio + 1, nr_pages - 1, tail)

"""Which ptes map a folio: anonymous memory by its region's entries, pages of files by a count.

NOT MODELLED: anon_vma and the walk along it; a folio that fork() shares; huge ptes.

Kernel: mm/rmap.c, mm/memory.c do_anonymous_page(), mm/migrate.c
"""

from __future__ import annotations

from memsim.mm.folio import (
    PAGE_MAPPING_ANON,
    AddressSpace,
    folio_clear_flags,
    folio_get,
    folio_nr_pages,
    folio_set_flags,
    folio_zone,
    mod_folio_state,
    mod_zone_folio_state,
    set_entry,
    set_word,
)
from memsim.mm.mmzone import Vm
from memsim.mm.swap import folio_add_lru, folio_put
from memsim.trace.folio_steps import (
    WORD_INDEX,
    WORD_MAPCOUNT,
    WORD_MAPPING,
    WORD_MEMCG_DATA,
    WORD_PRIVATE,
    WORD_YOUNG,
)
from memsim.words.mmzone import NR_ZONE_WRITE_PENDING
from memsim.words.page_flags import (
    NR_ANON_MAPPED,
    NR_FILE_DIRTY,
    NR_FILE_MAPPED,
    NR_FILE_PAGES,
    NR_SWAPCACHE,
    PG_active,
    PG_anon_exclusive,
    PG_dirty,
    PG_private,
    PG_reclaim,
    PG_referenced,
    PG_swapbacked,
    PG_swapcache,
    PG_unevictable,
    PG_uptodate,
    PG_workingset,
)

#: What a folio keeps when its contents move. Kernel: mm/migrate.c folio_migrate_flags()
_MIGRATES = PG_referenced | PG_uptodate | PG_active | PG_unevictable | PG_workingset | PG_reclaim
#: With the charge. Kernel: mm/memcontrol.c mem_cgroup_migrate()
_WORDS_THAT_MOVE = (
    WORD_MAPPING, WORD_INDEX, WORD_MAPCOUNT, WORD_YOUNG, WORD_PRIVATE, WORD_MEMCG_DATA,
)  # fmt: skip
_MOVES = _MIGRATES | PG_dirty | PG_swapbacked | PG_swapcache | PG_anon_exclusive | PG_private


def folio_mapping(vm: Vm, folio: int) -> AddressSpace:
    """The file or region of a folio that has one; of swap cache the region, too."""
    return vm.folios.mappings[vm.folios.mapping[folio]]


def folio_test_anon(vm: Vm, folio: int) -> bool:
    """Is it of anonymous memory? Kernel: include/linux/page-flags.h folio_test_anon()."""
    return (vm.folios.mapping[folio] & PAGE_MAPPING_ANON) != 0


def add_anon_folio(vm: Vm, region: AddressSpace, folio: int, index: int) -> None:
    """Map a new folio at an index of an anonymous region; the caller's reference becomes the pte's.

    Kernel: mm/memory.c do_anonymous_page(), mm/rmap.c folio_add_new_anon_rmap()
    """
    folio_set_flags(vm.folios, folio, PG_swapbacked | PG_uptodate | PG_anon_exclusive)
    set_word(vm.folios, WORD_MAPPING, folio, region.id)
    set_word(vm.folios, WORD_INDEX, folio, index)
    folio_add_anon_rmap(vm, folio)
    folio_add_lru(vm, folio)
    set_entry(vm, region, index, folio)


def folio_add_anon_rmap(vm: Vm, folio: int) -> None:
    """A pte maps an anonymous folio, and was accessed. Kernel: folio_add_anon_rmap_pte()."""
    _count_mapped(vm, folio, NR_ANON_MAPPED)
    set_word(vm.folios, WORD_YOUNG, folio, vm.folios.young[folio] + 1)


def folio_add_file_rmap(vm: Vm, folio: int) -> None:
    """A pte maps a folio of a file, and was accessed. Kernel: folio_add_file_rmap_pte()."""
    folio_get(vm.folios, folio)
    _count_mapped(vm, folio, NR_FILE_MAPPED)
    set_word(vm.folios, WORD_YOUNG, folio, vm.folios.young[folio] + 1)


def _count_mapped(vm: Vm, folio: int, item: int) -> None:
    mapcount = vm.folios.mapcount[folio]
    set_word(vm.folios, WORD_MAPCOUNT, folio, mapcount + 1)
    if not mapcount:
        mod_folio_state(vm, folio, item, 1)


def folio_remove_rmap(vm: Vm, folio: int) -> None:
    """A pte maps the folio no longer; its reference is the caller's to put.

    Kernel: mm/rmap.c folio_remove_rmap_pte()
    """
    folios = vm.folios
    mapcount = folios.mapcount[folio] - 1
    set_word(folios, WORD_MAPCOUNT, folio, mapcount)
    set_word(folios, WORD_YOUNG, folio, min(folios.young[folio], mapcount))
    if not mapcount:
        item = NR_ANON_MAPPED if folio_test_anon(vm, folio) else NR_FILE_MAPPED
        mod_folio_state(vm, folio, item, -1)


def access(vm: Vm, folio: int, write: bool) -> None:
    """A process uses its pte: the CPU alone sets its accessed bit, and the dirty one.

    NOT MODELLED: dirty bits of ptes; of anonymous memory PG_dirty stands for them.
    """
    folios = vm.folios
    if write and folio_test_anon(vm, folio):
        folio_set_flags(folios, folio, PG_dirty)
    set_word(folios, WORD_YOUNG, folio, max(folios.young[folio], 1))


def replace_folio(vm: Vm, old: int, new: int) -> None:
    """Let new take the place of old: mapping, index, ptes, flags, references of cache and ptes.

    old keeps what others hold; it is isolated, and new is on no list yet. Both have one size.
    Kernel: mm/migrate.c __folio_migrate_mapping(), folio_migrate_flags(), remove_migration_ptes()
    """
    folios = vm.folios
    flags = folios.flags[old]
    _count_for(vm, old, -1)
    for word in _WORDS_THAT_MOVE:
        set_word(folios, word, new, folios.words[word][old])
        set_word(folios, word, old, 0)
    folio_set_flags(folios, new, flags & _MOVES)
    folio_clear_flags(folios, old, _MOVES)
    _count_for(vm, new, 1)
    for mapping, index in _places(vm, new):
        set_entry(vm, mapping, index, new)
    for _ in range(references_of_places(vm, new)):
        folio_get(folios, new)
        folio_put(vm, old)


def references_of_places(vm: Vm, folio: int) -> int:
    """References that its mapping and its ptes hold: folio_expected_ref_count().

    Kernel: include/linux/mm.h folio_expected_ref_count()
    """
    folios = vm.folios
    cached = not folio_test_anon(vm, folio) or folios.flags[folio] & PG_swapcache
    return folios.mapcount[folio] + (cached and folios.mapping[folio] != 0)


def _places(vm: Vm, folio: int) -> list[tuple[AddressSpace, int]]:
    """Where entries name the folio: its page cache, or its region and the swap cache."""
    folios = vm.folios
    places = []
    if folios.mapping[folio] and (not folio_test_anon(vm, folio) or folios.mapcount[folio]):
        places.append((folio_mapping(vm, folio), folios.index[folio]))
    if folios.flags[folio] & PG_swapcache:
        places.append((folios.swapper_space, folios.private[folio]))
    return places


def _count_for(vm: Vm, folio: int, sign: int) -> None:
    """A folio counts in its node and zone, or no longer."""
    folios = vm.folios
    flags, nr = folios.flags[folio], sign * folio_nr_pages(vm, folio)
    anon = folio_test_anon(vm, folio)
    if folios.mapcount[folio]:
        mod_folio_state(vm, folio, NR_ANON_MAPPED if anon else NR_FILE_MAPPED, sign)
    if flags & PG_swapcache:
        mod_folio_state(vm, folio, NR_SWAPCACHE, sign)
    if flags & PG_swapcache or not anon:
        mod_folio_state(vm, folio, NR_FILE_PAGES, sign)
    if flags & PG_dirty and not anon:
        mod_folio_state(vm, folio, NR_FILE_DIRTY, sign)
        mod_zone_folio_state(folio_zone(vm, folio), NR_ZONE_WRITE_PENDING, nr)

"""The page cache: which folio has which page of a file.

NOT MODELLED: locks of folios, readahead (each page is asked for alone), large folios.

Kernel: mm/filemap.c
"""

from __future__ import annotations

from memsim.mm.folio import (
    FILE,
    AddressSpace,
    folio_clear_flags,
    folio_get,
    folio_nr_pages,
    folio_set_flags,
    folio_zone,
    mod_folio_node_state,
    mod_folio_state,
    mod_zone_folio_state,
    set_entry,
    set_lruvec_field,
    set_word,
    xa_is_value,
)
from memsim.mm.memcontrol.charge import mem_cgroup_charge
from memsim.mm.memcontrol.state import count_memcg_events
from memsim.mm.mempolicy import alloc_pages_noprof
from memsim.mm.mmzone import Vm
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.rmap import access, folio_add_file_rmap, folio_remove_rmap
from memsim.mm.swap import folio_add_lru, folio_mark_accessed, folio_put, folio_rotate_reclaimable
from memsim.mm.workingset import workingset_refault
from memsim.trace.folio_steps import WORD_INDEX, WORD_MAPPING, WORD_REFCOUNT
from memsim.words.gfp import __GFP_WRITE
from memsim.words.memcontrol import PGFAULT, PGMAJFAULT
from memsim.words.mmzone import NR_ZONE_WRITE_PENDING, NULL
from memsim.words.page_flags import (
    LRUVEC_WAKE_FLUSHERS,
    NR_DIRTIED,
    NR_FILE_DIRTY,
    NR_FILE_PAGES,
    NR_WRITTEN,
    PG_dirty,
    PG_reclaim,
    PG_uptodate,
)
from memsim.words.slab import NUMA_NO_NODE


def folio_alloc(vm: Vm, gfp_mask: int, nid: int, order: int = 0) -> int:
    """A folio that its caller holds, or NULL; for no node it is the task's policy that chooses.

    Kernel: mm/mempolicy.c folio_alloc_noprof()
    """
    if nid == NUMA_NO_NODE:
        return hold_new(vm, alloc_pages_noprof(vm, gfp_mask, order))
    return hold_new(vm, alloc_pages(vm, gfp_mask, order, nid))


def hold_new(vm: Vm, folio: int) -> int:
    """The new folio, now with its caller's reference; NULL where there is none."""
    if folio != NULL:
        set_word(vm.folios, WORD_REFCOUNT, folio, 1)
    return folio


def filemap_get_folio(mapping: AddressSpace, index: int) -> int:
    """The folio that has this page of the file, or NULL. Kernel: mm/filemap.c filemap_get_entry().

    A shadow that lies there is no folio.
    """
    entry = mapping.i_pages.get(index, NULL)
    return entry if entry >= 0 else NULL


def filemap_add_folio(vm: Vm, mapping: AddressSpace, folio: int, index: int, gfp_mask: int) -> int:
    """Give a folio to the page cache, and queue it for the LRU list: 0, or -ENOMEM.

    It is charged to the memcg of who reads or writes it. Refaults count, but not of a folio that is
    about to be written: __GFP_WRITE.
    Kernel: mm/filemap.c filemap_add_folio(), __filemap_add_folio()
    """
    ret = mem_cgroup_charge(vm, folio, vm.oom.current.memcg, gfp_mask)
    if ret:
        return ret
    folio_get(vm.folios, folio)
    set_word(vm.folios, WORD_MAPPING, folio, mapping.id)
    set_word(vm.folios, WORD_INDEX, folio, index)
    shadow = set_entry(vm, mapping, index, folio)
    mod_folio_state(vm, folio, NR_FILE_PAGES, 1)
    if xa_is_value(shadow) and not gfp_mask & __GFP_WRITE:
        workingset_refault(vm, folio, shadow)
    folio_add_lru(vm, folio)
    return 0


def _new_folio(vm: Vm, mapping: AddressSpace, index: int, gfp_mask: int, nid: int) -> int:
    """A folio that the page cache has from now on: NULL without memory, -ENOMEM if not charged."""
    folio = folio_alloc(vm, gfp_mask, nid)
    if folio == NULL:
        return NULL
    ret = filemap_add_folio(vm, mapping, folio, index, gfp_mask)
    folio_put(vm, folio)
    return ret or folio


def _filemap_remove_folio(vm: Vm, folio: int, shadow: int = NULL) -> None:
    """Take a folio out of the page cache, whose reference is the caller's to put.

    Kernel: mm/filemap.c __filemap_remove_folio(), page_cache_delete()
    """
    folios = vm.folios
    mapping = folios.mappings[folios.mapping[folio]]
    mod_folio_state(vm, folio, NR_FILE_PAGES, -1)
    if folios.flags[folio] & PG_dirty:
        folio_account_cleaned(vm, folio)
    set_entry(vm, mapping, folios.index[folio], shadow)
    set_word(folios, WORD_MAPPING, folio, 0)


def filemap_read(vm: Vm, mapping: AddressSpace, index: int, gfp_mask: int, nid: int) -> int:
    """Read a page of a file, from the page cache or, with a new folio, from its disk.

    The folio, NULL where there is no memory for one, or -ENOMEM where its memcg is full.
    NOT MODELLED: that a read which goes on in the same folio does not mark it again.
    Kernel: mm/filemap.c filemap_read(), filemap_create_folio()
    """
    folio = filemap_get_folio(mapping, index)
    if folio == NULL:
        folio = _new_folio(vm, mapping, index, gfp_mask, nid)
        if folio < 0:
            return folio
        folio_set_flags(vm.folios, folio, PG_uptodate)
    folio_mark_accessed(vm, folio)
    return folio


def filemap_write(vm: Vm, mapping: AddressSpace, index: int, gfp_mask: int, nid: int) -> int:
    """Write a page of a file: the folio, dirty now, or an error. It does not count as an access.

    Kernel: mm/filemap.c generic_perform_write(), __filemap_get_folio() with FGP_WRITEBEGIN
    """
    folio = filemap_get_folio(mapping, index)
    if folio == NULL:
        folio = _new_folio(vm, mapping, index, gfp_mask | __GFP_WRITE, nid)
        if folio < 0:
            return folio
    folio_set_flags(vm.folios, folio, PG_uptodate)
    folio_mark_dirty(vm, folio)
    return folio


def filemap_fault(
    vm: Vm, mapping: AddressSpace, index: int, write: bool, gfp_mask: int, nid: int
) -> int:
    """Use a page of a file that a process maps: the folio, or an error. A write makes it dirty.

    NOT MODELLED: several ptes of one folio; ptes around it that are mapped too (fault-around).
    Kernel: mm/filemap.c filemap_fault(), mm/memory.c finish_fault()
    """
    memcg = vm.oom.current.memcg
    folio = filemap_get_folio(mapping, index)
    if folio == NULL or not vm.folios.mapcount[folio]:
        count_memcg_events(vm, memcg, PGFAULT, 1)
    if folio == NULL:
        count_memcg_events(vm, memcg, PGMAJFAULT, 1)
        folio = _new_folio(vm, mapping, index, gfp_mask, nid)
        if folio < 0:
            return folio
        folio_set_flags(vm.folios, folio, PG_uptodate)
    if vm.folios.mapcount[folio]:
        access(vm, folio, write)
    else:
        folio_add_file_rmap(vm, folio)
    if write:
        folio_mark_dirty(vm, folio)
    return folio


def truncate(vm: Vm, mapping: AddressSpace, index: int) -> None:
    """Drop a page of a file, dirty, mapped or not, or the shadow it left.

    NOT MODELLED: truncate_inode_pages_range()'s batches.
    Kernel: mm/truncate.c truncate_inode_folio()
    """
    folio = filemap_get_folio(mapping, index)
    if folio == NULL:
        set_entry(vm, mapping, index, NULL)
        return
    while vm.folios.mapcount[folio]:
        folio_remove_rmap(vm, folio)
        folio_put(vm, folio)
    _filemap_remove_folio(vm, folio)
    folio_put(vm, folio)


def folio_mark_dirty(vm: Vm, folio: int) -> None:
    """A folio of a file was written to. Kernel: mm/page-writeback.c filemap_dirty_folio()."""
    if vm.folios.flags[folio] & PG_dirty:
        return
    folio_set_flags(vm.folios, folio, PG_dirty)
    mod_folio_state(vm, folio, NR_FILE_DIRTY, 1)
    mod_folio_node_state(vm, folio, NR_DIRTIED, 1)
    mod_zone_folio_state(folio_zone(vm, folio), NR_ZONE_WRITE_PENDING, folio_nr_pages(vm, folio))


def folio_clear_dirty_for_io(vm: Vm, folio: int) -> bool:
    """A folio of a file is about to be written out; was it dirty?

    Kernel: mm/page-writeback.c folio_clear_dirty_for_io()
    """
    if not vm.folios.flags[folio] & PG_dirty:
        return False
    folio_clear_flags(vm.folios, folio, PG_dirty)
    folio_account_cleaned(vm, folio)
    return True


def write_back(vm: Vm) -> None:
    """Write all dirty folios of files, file by file; it is done at once.

    One that reclaim waits for (PG_reclaim) goes to the tail of its inactive list.
    NOT MODELLED: who does it when (dirty limits, flusher threads), and how long it takes.
    Kernel: mm/page-writeback.c write_cache_pages(), mm/filemap.c folio_end_writeback()
    """
    for mapping in list(vm.folios.mappings.values()):
        if mapping.kind != FILE:
            continue
        for _, folio in sorted(mapping.i_pages.items()):
            if folio >= 0 and folio_clear_dirty_for_io(vm, folio):
                mod_folio_node_state(vm, folio, NR_WRITTEN, 1)
                if vm.folios.flags[folio] & PG_reclaim:
                    folio_clear_flags(vm.folios, folio, PG_reclaim)
                    folio_rotate_reclaimable(vm, folio)
    for pgdat in vm.nodes:
        flags = pgdat.lruvec.flags & ~LRUVEC_WAKE_FLUSHERS
        set_lruvec_field(vm, pgdat.lruvec, "flags", flags)


def folio_account_cleaned(vm: Vm, folio: int) -> None:
    """One dirty folio less. Kernel: mm/page-writeback.c folio_account_cleaned()."""
    mod_folio_state(vm, folio, NR_FILE_DIRTY, -1)
    mod_zone_folio_state(folio_zone(vm, folio), NR_ZONE_WRITE_PENDING, -folio_nr_pages(vm, folio))

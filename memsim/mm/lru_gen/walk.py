"""Who looks at ptes: the aging at all of them, the eviction at those around one that was used.

NOT MODELLED: mm_structs and page tables themselves (walk_mm(), walk_pte_range()): ptes are the
mapcount and young of folios, so Bloom filters, non-leaf accessed bits, and mms that did not run,
by which walks pass over ptes, leave nothing out here; ptes that are locked; dirty bits of ptes. A
region begins at a pmd's border, and what lies at its end is not known: lru_gen_look_around()'s
window is cut at borders of pmds alone.

Kernel: mm/vmscan.c walk_mm(), lru_gen_look_around()
"""

from __future__ import annotations

from memsim.mm.folio import SWAP, AddressSpace, Lruvec, folio_pgdat, set_word
from memsim.mm.lru_gen.flags import folio_clear_lru_refs, folio_lru_gen
from memsim.mm.lru_gen.promote import MmWalk, folio_update_gen, reset_batch_size, update_batch_size
from memsim.mm.mm_inline import folio_is_file_lru
from memsim.mm.mmzone import PglistData, Vm
from memsim.mm.swap import folio_activate
from memsim.trace.folio_steps import WORD_YOUNG
from memsim.words.lru_gen import MIN_LRU_BATCH, lru_gen_from_seq
from memsim.words.mmzone import NULL

#: ptes that a pmd's page table has.
_PTRS_PER_PTE = 512


def walk_mm(vm: Vm, lruvec: Lruvec, walk: MmWalk, can_swap: bool) -> None:
    """Promote every folio of the node that a pte was used for since somebody looked.

    Kernel: mm/vmscan.c walk_mm()
    """
    young, new_gen = vm.folios.young, lru_gen_from_seq(lruvec.lrugen.max_seq)
    for mapping in vm.folios.mappings.values():
        if mapping.kind == SWAP or (mapping.is_anon and not can_swap):
            continue
        for folio in mapping.i_pages.values():
            if folio >= 0 and young[folio] and _is_looked_at(vm, folio, lruvec.pgdat, can_swap):
                set_word(vm.folios, WORD_YOUNG, folio, 0)
                _promote(vm, folio, new_gen, walk)
    reset_batch_size(vm, lruvec, walk)


def _is_looked_at(vm: Vm, folio: int, pgdat: PglistData, can_swap: bool) -> bool:
    """Kernel: mm/vmscan.c get_pfn_folio()."""
    if folio_pgdat(vm, folio) is not pgdat:
        return False
    return can_swap or folio_is_file_lru(vm, folio)


def _promote(vm: Vm, folio: int, new_gen: int, walk: MmWalk) -> None:
    old_gen = folio_update_gen(vm, folio, new_gen)
    if old_gen not in (-1, new_gen):
        update_batch_size(vm, walk, folio, old_gen, new_gen)


def lru_gen_look_around(vm: Vm, lruvec: Lruvec, folio: int, walk: MmWalk | None) -> None:
    """A pte of folio was used: those around it that were, promote theirs too.

    Without a walk to count in they queue for activation. Kernel: mm/vmscan.c lru_gen_look_around()
    """
    folios = vm.folios
    mapping, can_swap = folios.mappings[folios.mapping[folio]], not folio_is_file_lru(vm, folio)
    new_gen = lru_gen_from_seq(lruvec.lrugen.max_seq)
    for near in _around(mapping, folios.index[folio]):
        if near == folio or not folios.young[near] or not folios.mapcount[near]:
            continue
        if not _is_looked_at(vm, near, lruvec.pgdat, can_swap):
            continue
        set_word(folios, WORD_YOUNG, near, folios.young[near] - 1)
        if walk is not None:
            _promote(vm, near, new_gen, walk)
        elif folio_lru_gen(folios, near) < 0:
            folio_update_gen(vm, near, new_gen)
        elif folio_lru_gen(folios, near) != new_gen:
            folio_clear_lru_refs(folios, near)
            folio_activate(vm, near)


def _around(mapping: AddressSpace, index: int) -> list[int]:
    """The folios of 64 pages around an index, in the range of its page table."""
    first = index - index % _PTRS_PER_PTE
    last = first + _PTRS_PER_PTE - MIN_LRU_BATCH
    start = min(max(first, index - MIN_LRU_BATCH // 2), last)
    near = (mapping.i_pages.get(at, NULL) for at in range(start, start + MIN_LRU_BATCH))
    return [folio for folio in near if folio >= 0]

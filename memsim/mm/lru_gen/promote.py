"""A folio moves to a younger generation: the youngest when a pte was used, or the next.

Whoever looks at ptes only notes the generation in the folio, which changes lists when the eviction
comes upon it; until then a walk's own counts say how many pages moved.

Kernel: mm/vmscan.c folio_update_gen() to reset_batch_size()
"""

from __future__ import annotations

from memsim.mm.folio import (
    Lruvec,
    folio_nr_pages,
    folio_set_flags,
    folio_zone,
    set_lrugen,
)
from memsim.mm.lru_gen.flags import folio_lru_gen, set_gen
from memsim.mm.lru_gen.state import place_of_nr_pages
from memsim.mm.mm_inline import (
    folio_is_file_lru,
    lru_gen_is_active,
    lru_gen_update_size,
    update_lru_size,
)
from memsim.mm.mmzone import Vm
from memsim.words.lru_gen import (
    LRU_REFS_FLAGS,
    LRU_REFS_MASK,
    MAX_NR_GENS,
    lru_gen_from_seq,
)
from memsim.words.page_flags import LRU_ACTIVE, LRU_FILE, PG_reclaim, PG_referenced

_REFS = LRU_REFS_MASK | LRU_REFS_FLAGS


class MmWalk:
    """struct lru_gen_mm_walk: pages that changed generation, by (gen, type, zone)."""

    __slots__ = ("nr_pages",)

    def __init__(self) -> None:
        self.nr_pages: dict[tuple[int, int, int], int] = {}


def folio_update_gen(vm: Vm, folio: int, gen: int) -> int:
    """Promote a folio whose pte was used: the generation that it had, -1 for none.

    One that is isolated is marked for who isolated it. Kernel: mm/vmscan.c folio_update_gen()
    """
    old_gen = folio_lru_gen(vm.folios, folio)
    if old_gen < 0:
        folio_set_flags(vm.folios, folio, PG_referenced)
    else:
        set_gen(vm.folios, folio, gen, _REFS)
    return old_gen


def folio_inc_gen(vm: Vm, lruvec: Lruvec, folio: int, reclaiming: bool) -> int:
    """Move a folio of the oldest generation to the next: the generation that it has then.

    One that was promoted meanwhile stays there. Kernel: mm/vmscan.c folio_inc_gen()
    """
    old_gen = lru_gen_from_seq(lruvec.lrugen.min_seq(folio_is_file_lru(vm, folio)))
    gen = folio_lru_gen(vm.folios, folio)
    if gen not in (-1, old_gen):
        return gen
    new_gen = (old_gen + 1) % MAX_NR_GENS
    set_gen(vm.folios, folio, new_gen, _REFS, PG_reclaim if reclaiming else 0)
    lru_gen_update_size(vm, lruvec, folio, old_gen, new_gen)
    return new_gen


def update_batch_size(vm: Vm, walk: MmWalk, folio: int, old_gen: int, new_gen: int) -> None:
    """Count a folio that a walk has promoted. Kernel: mm/vmscan.c update_batch_size()."""
    type, zone = int(folio_is_file_lru(vm, folio)), folio_zone(vm, folio).idx
    delta = folio_nr_pages(vm, folio)
    for gen, sign in ((old_gen, -1), (new_gen, 1)):
        key = gen, type, zone
        walk.nr_pages[key] = walk.nr_pages.get(key, 0) + sign * delta


def reset_batch_size(vm: Vm, lruvec: Lruvec, walk: MmWalk) -> None:
    """Add a walk's counts to the lruvec's. Kernel: mm/vmscan.c reset_batch_size()."""
    for (gen, type, zone), delta in sorted(walk.nr_pages.items()):
        if delta:
            place = place_of_nr_pages(gen, type, zone)
            set_lrugen(vm, lruvec, place, lruvec.lrugen.numbers[place] + delta)
            lru = type * LRU_FILE + lru_gen_is_active(lruvec, gen) * LRU_ACTIVE
            update_lru_size(vm, lruvec, lruvec.pgdat.node_zones[zone], lru, delta)
    walk.nr_pages.clear()

"""Which generation and which tier a folio is of: bits of folio->flags.

A folio used N times through file descriptors is of tier order_base_2(N): PG_referenced is the first
use, PG_workingset the second, and LRU_REFS_MASK counts on.

Kernel: include/linux/mm_inline.h, mm/swap.c folio_inc_refs()
"""

from __future__ import annotations

from memsim.mm.folio import Folios, folio_clear_flags, folio_set_flags, set_word
from memsim.trace.folio_steps import WORD_FLAGS
from memsim.words.lru_gen import (
    LRU_GEN_MASK,
    LRU_GEN_PGOFF,
    LRU_REFS_FLAGS,
    LRU_REFS_MASK,
    LRU_REFS_PGOFF,
)
from memsim.words.page_flags import PG_referenced, PG_unevictable, PG_workingset


def folio_lru_gen(folios: Folios, folio: int) -> int:
    """The generation that it is of; -1 when it is on no generation's list.

    Kernel: include/linux/mm_inline.h folio_lru_gen()
    """
    return ((folios.flags[folio] & LRU_GEN_MASK) >> LRU_GEN_PGOFF) - 1


def folio_lru_refs(folios: Folios, folio: int) -> int:
    """Uses beyond the first. Kernel: include/linux/mm_inline.h folio_lru_refs()."""
    flags = folios.flags[folio]
    return ((flags & LRU_REFS_MASK) >> LRU_REFS_PGOFF) + ((flags & PG_workingset) != 0)


def lru_tier_from_refs(refs: int) -> int:
    """The tier of such a folio: 0 to 3. Kernel: include/linux/mm_inline.h lru_tier_from_refs()."""
    return refs.bit_length()


def set_gen(folios: Folios, folio: int, gen: int, clear: int, keep: int = 0) -> None:
    """Make it of a generation (-1: of none), with some flags cleared, and some set."""
    flags = folios.flags[folio] & ~(LRU_GEN_MASK | clear)
    set_word(folios, WORD_FLAGS, folio, flags | (gen + 1) << LRU_GEN_PGOFF | keep)


def folio_clear_lru_refs(folios: Folios, folio: int) -> None:
    """It was never used. Kernel: include/linux/mm_inline.h folio_clear_lru_refs()."""
    folio_clear_flags(folios, folio, LRU_REFS_MASK | LRU_REFS_FLAGS)


def folio_inc_refs(folios: Folios, folio: int) -> None:
    """It was used once more through a file descriptor. Kernel: mm/swap.c folio_inc_refs()."""
    flags = folios.flags[folio]
    if flags & PG_unevictable:
        return
    if not flags & PG_referenced:
        folio_set_flags(folios, folio, PG_referenced)
    elif not flags & PG_workingset:
        folio_set_flags(folios, folio, PG_workingset)
    elif (flags & LRU_REFS_MASK) != LRU_REFS_MASK:
        set_word(folios, WORD_FLAGS, folio, flags + (1 << LRU_REFS_PGOFF))

"""Sizes and names of the multi-gen LRU.

Kernel: include/linux/mmzone.h, include/linux/page-flags-layout.h
"""

from __future__ import annotations

from memsim.words.page_flags import LRU_NAMES, NR_LRU_LISTS, PG_referenced, PG_workingset

MIN_NR_GENS, MAX_NR_GENS = 2, 4
MAX_NR_TIERS = 4
LRU_GEN_ANON, LRU_GEN_FILE = 0, 1
ANON_AND_FILE = 2
#: Zones of a node, in the configuration that has most.
MAX_ZONES = 5
#: BITS_PER_LONG, and how many folios are looked at before anybody else gets lru_lock.
MIN_LRU_BATCH = 64
MAX_LRU_BATCH = MIN_LRU_BATCH * 64

#: Where folio->flags has the generation plus 1, and accesses beyond the second: of Debian's
#: configuration, below the zone, the node and last_cpupid.
LRU_GEN_PGOFF, LRU_GEN_WIDTH = 27, 3
LRU_REFS_PGOFF, LRU_REFS_WIDTH = 25, 2
LRU_GEN_MASK = ((1 << LRU_GEN_WIDTH) - 1) << LRU_GEN_PGOFF
LRU_REFS_MASK = ((1 << LRU_REFS_WIDTH) - 1) << LRU_REFS_PGOFF
LRU_REFS_FLAGS = PG_referenced | PG_workingset

_TYPES = ("anon", "file")
_TIERED = ("avg_refaulted", "avg_total", "evicted", "refaulted", "protected")
_GENS = [
    (gen, type, zone)
    for gen in range(MAX_NR_GENS)
    for type in range(ANON_AND_FILE)
    for zone in range(MAX_ZONES)
]  # fmt: skip
#: Numbers of struct lru_gen_folio, in the order of mm/lru_gen/state.py.
LRU_GEN_NUMBERS = (
    "max_seq", "min_seq[anon]", "min_seq[file]", "enabled",
    *(f"nr_pages[{gen}][{_TYPES[type]}][{zone}]" for gen, type, zone in _GENS),
    *(f"{name}[{type}][{tier}]" for name in _TIERED for type in _TYPES
      for tier in range(MAX_NR_TIERS)),
)  # fmt: skip
#: Every list of a lruvec: the classic ones, then lrugen.folios[gen][type][zone].
LRUVEC_LISTS = LRU_NAMES + tuple(
    f"lrugen.folios[{gen}][{_TYPES[type]}][{zone}]" for gen, type, zone in _GENS
)


def lru_gen_list(gen: int, type: int, zone: int) -> int:
    """The list of a generation, as an index into a lruvec's: folios[gen][type][zone]."""
    return NR_LRU_LISTS + (gen * ANON_AND_FILE + type) * MAX_ZONES + zone


def lru_gen_from_seq(seq: int) -> int:
    """A generation's number, as an index. Kernel: include/linux/mm_inline.h lru_gen_from_seq()."""
    return seq % MAX_NR_GENS

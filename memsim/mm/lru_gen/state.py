"""What the multi-gen LRU keeps of a lruvec: where its generations begin and end, and counts.

All numbers lie in one flat list, so that each has a name, and one step says that it changed.

Kernel: include/linux/mmzone.h struct lru_gen_folio, mm/vmscan.c lru_gen_init_lruvec()
"""

from __future__ import annotations

from memsim.words.lru_gen import (
    ANON_AND_FILE,
    LRU_GEN_NUMBERS,
    MAX_NR_TIERS,
    MAX_ZONES,
    MIN_NR_GENS,
)

# The place of each in LruGenFolio.numbers; of arrays, of their first.
MAX_SEQ, MIN_SEQ, ENABLED = 0, 1, 3
NR_PAGES = 4
AVG_REFAULTED = NR_PAGES + 4 * ANON_AND_FILE * MAX_ZONES
AVG_TOTAL = AVG_REFAULTED + ANON_AND_FILE * MAX_NR_TIERS
EVICTED = AVG_TOTAL + ANON_AND_FILE * MAX_NR_TIERS
REFAULTED = EVICTED + ANON_AND_FILE * MAX_NR_TIERS
PROTECTED = REFAULTED + ANON_AND_FILE * MAX_NR_TIERS


class LruGenFolio:
    """struct lru_gen_folio. `protected` has a tier 0 too, which is always 0.

    NR_HIST_GENS is 1, as without CONFIG_LRU_GEN_STATS: only the oldest generation's numbers are
    kept, and averages of those before it.
    """

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers = [0] * len(LRU_GEN_NUMBERS)
        self.numbers[MAX_SEQ] = MIN_NR_GENS + 1

    @property
    def max_seq(self) -> int:
        """The youngest generation's number."""
        return self.numbers[MAX_SEQ]

    @property
    def enabled(self) -> bool:
        """Are folios on generations' lists, and not on the classic ones?"""
        return self.numbers[ENABLED] != 0

    def min_seq(self, type: int) -> int:
        """The oldest generation's number, of LRU_GEN_ANON or LRU_GEN_FILE."""
        return self.numbers[MIN_SEQ + type]

    def nr_pages(self, gen: int, type: int, zone: int) -> int:
        """Pages of a list. Those of lists that are being aged may be counted late: below 0."""
        return self.numbers[place_of_nr_pages(gen, type, zone)]

    def of_tier(self, array: int, type: int, tier: int) -> int:
        """A number that each tier has: array is AVG_REFAULTED to PROTECTED."""
        return self.numbers[array + type * MAX_NR_TIERS + tier]


def place_of_nr_pages(gen: int, type: int, zone: int) -> int:
    """The place of nr_pages[gen][type][zone]."""
    return NR_PAGES + (gen * ANON_AND_FILE + type) * MAX_ZONES + zone

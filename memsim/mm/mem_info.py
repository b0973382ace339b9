"""What show_mem() says, as data and in its layout: of the model, or of a recorded kernel.

Numbers are as they are printed: kB for nodes and zones, pages for totals. A counter that nobody
has is printed as 0.

Kernel: mm/show_mem.c, mm/hugetlb.c hugetlb_show_meminfo_node()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

#: The counters of all nodes, by line.
TOTALS = (
    ("active_anon", "inactive_anon", "isolated_anon"),
    ("active_file", "inactive_file", "isolated_file"),
    ("unevictable", "dirty", "writeback"),
    ("slab_reclaimable", "slab_unreclaimable"),
    ("mapped", "shmem", "pagetables"),
    ("sec_pagetables", "bounce"),
    ("kernel_misc_reclaimable",),
    ("free", "free_pcp", "free_cma"),
)
NODE_COUNTERS = (
    "active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable",
    "isolated(anon)", "isolated(file)", "mapped", "dirty", "writeback", "shmem", "shmem_thp",
    "shmem_pmdmapped", "anon_thp", "writeback_tmp", "kernel_stack", "pagetables",
    "sec_pagetables",
)  # fmt: skip
ZONE_COUNTERS = (
    "free", "boost", "min", "low", "high", "reserved_highatomic", "active_anon", "inactive_anon",
    "active_file", "inactive_file", "unevictable", "writepending", "present", "managed",
    "mlocked", "bounce", "free_pcp", "local_pcp", "free_cma",
)  # fmt: skip
#: The lines behind the nodes and zones: what stands before and behind the number.
LAST_LINES = (
    ("pagecache", "", " total pagecache pages"),
    ("swapcache", "", " pages in swap cache"),
    ("free_swap", "Free swap  = ", "kB"),
    ("total_swap", "Total swap = ", "kB"),
    ("ram", "", " pages RAM"),
    ("highmem", "", " pages HighMem/MovableOnly"),
    ("reserved", "", " pages reserved"),
    ("cma_reserved", "", " pages cma reserved"),
    ("hwpoisoned", "", " pages hwpoisoned"),
)


@dataclass(slots=True)
class NodeMem:
    """The line of a node. Counters are kB."""

    nid: int
    counters: dict[str, int] = field(default_factory=dict)
    all_unreclaimable: bool = False

    def line(self) -> str:
        """As show_free_areas() prints it."""
        counters = " ".join(f"{name}:{self.counters.get(name, 0)}kB" for name in NODE_COUNTERS)
        answer = "yes" if self.all_unreclaimable else "no"
        return f"Node {self.nid} {counters} all_unreclaimable? {answer}"


@dataclass(slots=True)
class ZoneMem:
    """The three lines of a zone. Counters are kB, lowmem_reserve is pages.

    nr_free[order] counts free blocks, types[order] has a letter for each type among them, and
    block_kb is the size of an order-0 block. free_kb is their sum, taken under zone->lock: it need
    not be the counter `free`, which drifts. Kernels without NUMA print no node.
    """

    node: int
    name: str
    counters: dict[str, int] = field(default_factory=dict)
    lowmem_reserve: list[int] = field(default_factory=list)
    nr_free: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    block_kb: int = 4
    free_kb: int = 0

    def lines(self) -> list[str]:
        """Counters and lowmem_reserve."""
        # reserved_highatomic alone is in KB
        words = (
            f"{name}:{self.counters.get(name, 0)}{'K' if name == 'reserved_highatomic' else 'k'}B"
            for name in ZONE_COUNTERS
        )
        reserve = " ".join(map(str, self.lowmem_reserve))
        return [f"Node {self.node} {self.name} {' '.join(words)}", f"lowmem_reserve[]: {reserve}"]

    def free_blocks_line(self) -> str:
        """`Node 0 DMA: 1*4kB (M) 0*8kB … = 3960kB`."""
        words = []
        for order, blocks in enumerate(self.nr_free):
            words.append(f"{blocks}*{self.block_kb << order}kB")
            if blocks:
                words.append(f"({self.types[order]})")
        return f"Node {self.node} {self.name}: {' '.join(words)} = {self.free_kb}kB"


class HugePages(NamedTuple):
    """The huge pages of one size on one node. size is kB."""

    nid: int
    total: int
    free: int
    surp: int
    size: int

    def line(self) -> str:
        """As hugetlb_show_meminfo_node() prints it."""
        return (
            f"Node {self.nid} hugepages_total={self.total} hugepages_free={self.free} "
            f"hugepages_surp={self.surp} hugepages_size={self.size}kB"
        )


@dataclass(slots=True)
class MemInfo:
    """All that show_mem() prints. `last` has the keys of LAST_LINES that this kernel prints."""

    totals: dict[str, int] = field(default_factory=dict)
    nodes: list[NodeMem] = field(default_factory=list)
    zones: list[ZoneMem] = field(default_factory=list)
    hugepages: list[HugePages] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The whole text. Kernel: mm/show_mem.c __show_mem()."""
        lines = ["Mem-Info:", *self._total_lines()]
        lines += [node.line() for node in self.nodes]
        for zone in self.zones:
            lines += zone.lines()
        lines += [zone.free_blocks_line() for zone in self.zones]
        lines += [pages.line() for pages in self.hugepages]
        return lines + [
            f"{before}{self.last[key]}{behind}"
            for key, before, behind in LAST_LINES
            if key in self.last
        ]

    def _total_lines(self) -> list[str]:
        """One printk() of several lines: all but the first begin with a blank."""
        words = [" ".join(f"{name}:{self.totals.get(name, 0)}" for name in row) for row in TOTALS]
        return [words[0], *(f" {row}" for row in words[1:])]


def unreclaimable_slab_is_most(info: MemInfo) -> bool:
    """Has slab, which cannot be reclaimed, more pages than all LRU lists?

    Kernel: mm/oom_kill.c should_dump_unreclaim_slab()
    """
    lru = ("active_anon", "inactive_anon", "isolated_anon", "active_file", "inactive_file",
           "isolated_file", "unevictable")  # fmt: skip
    totals = info.totals
    return totals.get("slab_unreclaimable", 0) > sum(totals.get(name, 0) for name in lru)

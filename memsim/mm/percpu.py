"""percpu's first chunk: how many CPUs' areas share a piece of memory, and how large one is.

NOT MODELLED: all later chunks; the areas' contents.
Kernel: mm/percpu.c pcpu_build_alloc_info(), pcpu_embed_first_chunk()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, align_up
from memsim.mm.memblock.alloc import memblock_alloc_try_nid
from memsim.mm.memblock.region import Memblock
from memsim.mm.memblock.remove import memblock_phys_free
from memsim.words.memblock import MEMBLOCK_ALLOC_ACCESSIBLE

#: Bytes of one CPU's area: static data, what modules may have, and what is for requests.
#: Those of the recorded kernels ("percpu: Embedded 66 pages/cpu s233472 r8192 d28672").
SIZE_SUM = 233472 + 8192 + 28672
#: Pieces are so many bytes, and aligned to it. Kernel: setup_per_cpu_areas(), PMD_SIZE
ATOM_SIZE = 2 << 20
_MAX_DMA_ADDRESS = 16 << 20


def units_per_alloc(group_cpus: list[int], size_sum: int = SIZE_SUM) -> int:
    """How many CPUs' areas one piece holds; group_cpus: the CPUs of each node.

    The most that leaves no more than a third of all areas unused.
    Kernel: mm/percpu.c pcpu_build_alloc_info()
    """
    alloc_size = align_up(max(size_sum, PAGE_SIZE), ATOM_SIZE)
    nr_cpus, best, last_allocs = sum(group_cpus), 1, None
    for upa in range(alloc_size // max(size_sum, PAGE_SIZE), 0, -1):
        if alloc_size % upa or (alloc_size // upa) % PAGE_SIZE:
            continue
        allocs = sum(-(-cpus // upa) for cpus in group_cpus)
        if allocs * upa - nr_cpus > nr_cpus // 3:
            continue
        if last_allocs is not None and allocs > last_allocs:
            break
        best, last_allocs = upa, allocs
    return best


def pcpu_embed_first_chunk(memblock: Memblock, cpu_to_node: list[int]) -> list[tuple[int, int]]:
    """Take an area for every CPU, of its node if possible: [start, end) of each.

    What is left of a piece behind an area is free again.
    Kernel: mm/percpu.c pcpu_embed_first_chunk()
    """
    nodes = sorted(set(cpu_to_node))
    upa = units_per_alloc([cpu_to_node.count(nid) for nid in nodes])
    unit_size = align_up(SIZE_SUM, ATOM_SIZE) // upa
    areas = []
    for nid in nodes:
        nr_cpus = cpu_to_node.count(nid)
        nr_units = -(-nr_cpus // upa) * upa
        base = memblock_alloc_try_nid(
            memblock, nr_units * unit_size, ATOM_SIZE, _MAX_DMA_ADDRESS,
            MEMBLOCK_ALLOC_ACCESSIBLE, nid,
        )  # fmt: skip
        areas += _cut(memblock, base, unit_size, nr_cpus, nr_units)
    return areas


def _cut(
    memblock: Memblock, base: int, unit_size: int, nr_cpus: int, nr_units: int
) -> list[tuple[int, int]]:
    """Areas at the beginnings of their units; the rest of units, and units of nobody, are free."""
    for unit in range(nr_units):
        used = SIZE_SUM if unit < nr_cpus else 0
        memblock_phys_free(memblock, base + unit * unit_size + used, unit_size - used)
    starts = [base + unit * unit_size for unit in range(nr_cpus)]
    return [(start, start + SIZE_SUM) for start in starts]

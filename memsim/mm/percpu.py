"""percpu's first chunk: how many CPUs' areas share a piece of memory, and how large one is.

NOT MODELLED: all later chunks; the areas' contents.
Kernel: mm/percpu.c pcpu_build_alloc_info(), pcpu_embed_first_chunk()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE, align_up
from memsim.mm.memblock.alloc import memblock_alloc, memblock_alloc_try_nid
from memsim.mm.memblock.region import Memblock
from memsim.mm.memblock.remove import memblock_free, memblock_phys_free
from memsim.words.memblock import MEMBLOCK_ALLOC_ACCESSIBLE, SMP_CACHE_BYTES

#: Bytes of one CPU's area: static data, what modules may have, and what is for requests.
#: Those of the recorded kernels ("percpu: Embedded 66 pages/cpu s233472 r8192 d28672").
SIZE_SUM = 233472 + 8192 + 28672
#: Pieces are so many bytes, and aligned to it. Kernel: setup_per_cpu_areas(), PMD_SIZE
ATOM_SIZE = 2 << 20
_MAX_DMA_ADDRESS = 16 << 20


def units_per_alloc(group_cpus: list[int]) -> int:
    """How many CPUs' areas one piece holds; group_cpus: the CPUs of each node.

    The most that leaves no more units unused than a third of all CPUs, and takes no more pieces.
    Kernel: mm/percpu.c pcpu_build_alloc_info()
    """
    alloc_size = align_up(SIZE_SUM, ATOM_SIZE)
    nr_cpus = sum(group_cpus)
    best, last_allocs = 1, sum(group_cpus)
    for upa in range(alloc_size // SIZE_SUM, 0, -1):
        if alloc_size % upa or (alloc_size // upa) % PAGE_SIZE:
            continue
        allocs = sum(-(-cpus // upa) for cpus in group_cpus)
        if allocs * upa - nr_cpus > nr_cpus // 3:
            continue
        if allocs > last_allocs:
            break
        best, last_allocs = upa, allocs
    return best


def pcpu_embed_first_chunk(memblock: Memblock, cpu_to_node: list[int]) -> list[tuple[int, int]]:
    """Take an area for every CPU, of its node if possible: [start, end) by CPU; empty: no room.

    CPUs of a node are a group; groups are in the order of their first CPUs. What is left of a piece
    behind an area is free again. NOT MODELLED: pcpu_page_first_chunk(), where there is no room.
    Kernel: mm/percpu.c pcpu_embed_first_chunk()
    """
    groups: dict[int, list[int]] = {}
    for cpu, nid in enumerate(cpu_to_node):
        groups.setdefault(nid, []).append(cpu)
    upa = units_per_alloc([len(cpus) for cpus in groups.values()])
    unit_size = align_up(SIZE_SUM, ATOM_SIZE) // upa
    bases = _alloc_groups(memblock, groups, upa, unit_size)
    if not all(bases):
        for base, cpus in zip(bases, groups.values(), strict=True):
            memblock_free(memblock, base, _nr_units(cpus, upa) * unit_size)
        return []
    areas = {}
    # all pieces are taken before any rest is free, as groups might overlap otherwise
    for base, cpus in zip(bases, groups.values(), strict=True):
        for unit in range(_nr_units(cpus, upa)):
            start, used = base + unit * unit_size, SIZE_SUM if unit < len(cpus) else 0
            memblock_phys_free(memblock, start + used, unit_size - used)
            if used:
                areas[cpus[unit]] = start, start + used
    return [areas[cpu] for cpu in range(len(cpu_to_node))]


def _alloc_groups(
    memblock: Memblock, groups: dict[int, list[int]], upa: int, unit_size: int
) -> list[int]:
    """Where each group's pieces lie; 0: no room. The kernel's own notes take two pages meanwhile.

    Kernel: mm/percpu.c pcpu_alloc_alloc_info()
    """
    notes = [
        memblock_alloc(memblock, PAGE_SIZE, PAGE_SIZE),
        memblock_alloc(memblock, PAGE_SIZE, SMP_CACHE_BYTES),
    ]
    bases = [
        memblock_alloc_try_nid(
            memblock, _nr_units(cpus, upa) * unit_size, ATOM_SIZE, _MAX_DMA_ADDRESS,
            MEMBLOCK_ALLOC_ACCESSIBLE, nid,
        )
        for nid, cpus in groups.items()
    ]  # fmt: skip
    for note in notes:
        memblock_free(memblock, note, PAGE_SIZE)
    return bases


def _nr_units(cpus: list[int], upa: int) -> int:
    """Whole pieces' worth of units."""
    return -(-len(cpus) // upa) * upa

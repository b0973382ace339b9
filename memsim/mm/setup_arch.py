"""What boot takes of memory before the buddy allocator has the rest, in the kernel's order.

Each is noted with its size and place. The large ones are computed: a node's data, struct pages,
percpu's first chunk, the two early hash tables, swiotlb. NOT MODELLED: page tables of the kernel's
own mapping and what else is small. They are EARLY_PAGES and SMALL_BYTES of the recorded kernels.

Kernel: arch/x86/kernel/setup.c setup_arch(), init/main.c start_kernel()
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, align_up, nr_pages_of
from memsim.mm.cma_area import Cma, CmaRequest, cma_declare_contiguous_nid
from memsim.mm.e820 import E820Entry, e820_memblock_setup, e820_update_table, trim_bios_range
from memsim.mm.layout import NodeRange, Range
from memsim.mm.memblock.add import memblock_reserve
from memsim.mm.memblock.alloc import (
    memblock_alloc,
    memblock_alloc_exact_nid_raw,
    memblock_alloc_low,
    memblock_phys_alloc_range,
    memblock_phys_alloc_try_nid,
)
from memsim.mm.memblock.iterate import (
    for_each_free_mem_range,
    for_each_mem_pfn_range,
    memblock_validate_numa_coverage,
    numa_valid_node,
)
from memsim.mm.memblock.region import (
    Memblock,
    memblock_end_of_DRAM,
    memblock_is_region_memory,
)
from memsim.mm.memblock.remove import memblock_set_node
from memsim.mm.percpu import pcpu_embed_first_chunk
from memsim.words.memblock import (
    MEMBLOCK_ALLOC_ACCESSIBLE,
    MEMBLOCK_NONE,
    PHYS_ADDR_MAX,
    SMP_CACHE_BYTES,
)
from memsim.words.mmzone import PAGES_PER_SECTION
from memsim.words.slab import NUMA_NO_NODE

_MIB = 1 << 20
_GIB4 = 1 << 32
#: The recorded kernels' image, from its first byte to behind what it has set aside (brk).
IMAGE: Range = (0x1000000, 0x3C11000)
#: struct pglist_data of the recorded kernels, rounded up.
SIZEOF_PGLIST_DATA = 174_464
SIZEOF_STRUCT_PAGE = 64
#: Pages that the recorded kernels take for their own page tables, and bytes of small requests.
EARLY_PAGES = 5
SMALL_BYTES = 7 << PAGE_SHIFT
_MAX_DMA_ADDRESS = 16 * _MIB
#: Kernel: arch/x86/mm/numa.c dummy_numa_init()
_DUMMY_NUMA = [(0, 0, PHYS_ADDR_MAX)]
#: Kernel: include/linux/swiotlb.h IO_TLB_SIZE, kernel/dma/swiotlb.c struct io_tlb_slot
_SWIOTLB_SIZE, _IO_TLB_SIZE, _SIZEOF_IO_TLB_SLOT = 64 * _MIB, 2048, 24
#: Kernel: mm/mm_init.c ADAPT_SCALE_BASE, ADAPT_SCALE_NPAGES
_ADAPT_SCALE_NPAGES = 64 << 30 - PAGE_SHIFT
_SIZEOF_BUCKET = 8


class Firmware(NamedTuple):
    """What boot is told. Bytes [start, end).

    nodes: (nid, start, end) of each range, as ACPI's SRAT has them; empty: all is node 0.
    initrd: where the boot loader put it; image: where it put the kernel. cma: areas to be set
    aside, as drivers ask for them.
    """

    e820: Sequence[E820Entry]
    nodes: Sequence[tuple[int, int, int]] = ()
    initrd: Range | None = None
    image: Range = IMAGE
    cma: Sequence[CmaRequest] = ()


class Taken(NamedTuple):
    """Bytes [start, end) that boot has taken, and what for."""

    what: str
    start: int
    end: int


class Boot:
    """Early boot: memblock, and what was taken from it in which order.

    Kernel: start_kernel() up to memblock_free_all()
    """

    def __init__(self, firmware: Firmware, cpu_to_node: list[int]) -> None:
        self.firmware, self.cpu_to_node = firmware, cpu_to_node
        self.memblock = Memblock()
        #: Those that hold: SRAT's, or all of it is node 0.
        self.nodes: Sequence[tuple[int, int, int]] = ()
        self.taken: list[Taken] = []
        self.cma_areas: list[Cma] = []

    def run(self) -> None:
        """All of it. Where memory does not suffice, `memblock.panic` says for what."""
        steps = (
            self._reserve, self._memory, self._page_tables, self._numa, self._node_data,
            self._cma, self._small, self._memmap, self._percpu, self._hash_tables, self._swiotlb,
        )  # fmt: skip
        for step in steps:
            if not self.memblock.panic:
                step()

    def _reserve(self) -> None:
        """What the boot loader has put there must be kept. Kernel: early_reserve_memory()."""
        self._keep("kernel image", *self.firmware.image)
        self._keep("the first 64 KiB", 0, 64 << 10)
        if self.firmware.initrd:
            self._keep("initrd", *self.firmware.initrd)

    def _memory(self) -> None:
        """RAM by the firmware's table; below 1 MiB nothing is taken for anything but real mode.

        Kernel: e820__memblock_setup(), reserve_real_mode()
        """
        table = trim_bios_range(e820_update_table(self.firmware.e820))
        self.memblock.current_limit = _MIB  # an array that grows now goes where there is a mapping
        e820_memblock_setup(self.memblock, table)
        self._keep("the first MiB", 0, _MIB)
        start, end = self.firmware.image
        if not self.memblock.memory.regions:
            self.memblock.panic = "the firmware tells of no usable memory"
        elif not memblock_is_region_memory(self.memblock, start, end - start):
            self.memblock.panic = f"no usable memory for the image at {start:#x}-{end - 1:#x}"

    def _page_tables(self) -> None:
        """All RAM gets into the kernel's own mapping, and can be taken from now on.

        Kernel: arch/x86/mm/init.c init_mem_mapping()
        """
        end = memblock_end_of_DRAM(self.memblock)
        for _ in range(EARLY_PAGES):
            found = memblock_phys_alloc_range(self.memblock, PAGE_SIZE, PAGE_SIZE, 0, end)
            self._note("page tables", found, PAGE_SIZE)
        self.memblock.current_limit = end

    def _numa(self) -> None:
        """Say of which node RAM is; where SRAT leaves out more than 1 MiB, all is node 0.

        NOT MODELLED: so it is where ranges of two nodes overlap (numa_cleanup_meminfo()).
        Kernel: arch/x86/mm/numa.c x86_numa_init(), mm/numa_memblks.c numa_memblks_init()
        """
        self._set_nodes(self.firmware.nodes or _DUMMY_NUMA)
        if not memblock_validate_numa_coverage(self.memblock, _MIB):
            self._set_nodes(_DUMMY_NUMA)
            self.cpu_to_node = [0] * len(self.cpu_to_node)

    def _set_nodes(self, nodes: Sequence[tuple[int, int, int]]) -> None:
        memblock, self.nodes = self.memblock, nodes
        for type_ in (memblock.memory, memblock.reserved):
            memblock_set_node(memblock, 0, PHYS_ADDR_MAX, type_, NUMA_NO_NODE)
        for nid, start, end in nodes:
            memblock_set_node(memblock, start, end - start, memblock.memory, nid)

    def _node_data(self) -> None:
        """Kernel: mm/numa.c alloc_node_data()."""
        for nid in self._nodes():
            size = SIZEOF_PGLIST_DATA
            found = memblock_phys_alloc_try_nid(self.memblock, size, SMP_CACHE_BYTES, nid)
            self._note(f"NODE_DATA({nid})", found, size)

    def _cma(self) -> None:
        """A request that cannot be met is logged, and boot goes on.

        Kernel: kernel/dma/contiguous.c dma_contiguous_reserve()
        """
        for request in self.firmware.cma:
            ret = cma_declare_contiguous_nid(self.memblock, self.cma_areas, request, NUMA_NO_NODE)
            if not ret:
                cma = self.cma_areas[-1]
                self._note(f"CMA {cma.name}", cma.base_pfn << PAGE_SHIFT, cma.count << PAGE_SHIFT)

    def _small(self) -> None:
        found = memblock_alloc(self.memblock, SMALL_BYTES, SMP_CACHE_BYTES)
        self._note("small requests", found, SMALL_BYTES)

    def _memmap(self) -> None:
        """Struct pages of all sections that have RAM: a piece for each run of one node's.

        NOT MODELLED: smaller pieces, where there is no room for one.
        Kernel: mm/sparse.c sparse_init(), sparse_buffer_init()
        """
        section_map_size = PAGES_PER_SECTION * SIZEOF_STRUCT_PAGE
        for nid, sections in groupby(self._section_nids()):
            size = len(list(sections)) * section_map_size
            found = memblock_alloc_exact_nid_raw(
                self.memblock, size, section_map_size, _MAX_DMA_ADDRESS,
                MEMBLOCK_ALLOC_ACCESSIBLE, nid,
            )  # fmt: skip
            self._note(f"memmap of node {nid}", found, size)

    def _section_nids(self) -> list[int]:
        """The node of each section (128 MiB) with RAM; one of two nodes is the lower RAM's.

        Kernel: mm/sparse.c memory_present()
        """
        nids: dict[int, int] = {}
        for nid, start, end in self.ram():
            for section in range(start // PAGES_PER_SECTION, (end - 1) // PAGES_PER_SECTION + 1):
                nids.setdefault(section, nid)
        return list(nids.values())

    def _percpu(self) -> None:
        """Kernel: arch/x86/kernel/setup_percpu.c setup_per_cpu_areas()."""
        self._nr_kernel_pages = self._nr_free_pages()
        areas = pcpu_embed_first_chunk(self.memblock, self.cpu_to_node)
        if not areas:
            self.memblock.panic = "no room for percpu areas"
        for cpu, (start, end) in enumerate(areas):
            self._note(f"percpu area of CPU {cpu}", start, end - start)

    def _hash_tables(self) -> None:
        """On machines of several nodes they are made later, with vmalloc (hashdist).

        Kernel: fs/dcache.c dcache_init_early(), fs/inode.c inode_init_early()
        """
        if len(self._nodes()) > 1:
            return
        for name, scale in (("dentry cache", 13), ("inode cache", 14)):
            size = large_system_hash_size(self._nr_kernel_pages, scale)
            while not (found := memblock_alloc(self.memblock, size, SMP_CACHE_BYTES)):
                if size <= PAGE_SIZE:
                    break
                size >>= 1
            self._note(f"hash table of the {name}", found, size)

    def _swiotlb(self) -> None:
        """Where RAM lies above 4 GiB, devices that cannot reach it get a buffer below.

        NOT MODELLED: a smaller one, where there is no room. Kernel: swiotlb_init_remap()
        """
        if memblock_end_of_DRAM(self.memblock) <= _GIB4:
            return
        found = memblock_alloc_low(self.memblock, _SWIOTLB_SIZE, PAGE_SIZE)
        self._note("swiotlb", found, _SWIOTLB_SIZE)
        size = _SWIOTLB_SIZE // _IO_TLB_SIZE * _SIZEOF_IO_TLB_SLOT
        found = memblock_alloc(self.memblock, align_up(size, PAGE_SIZE), PAGE_SIZE)
        self._note("swiotlb's slots", found, size)

    def _nodes(self) -> list[int]:
        return sorted({r.nid for r in self.ram()})

    def _nr_free_pages(self) -> int:
        """Kernel: mm/mm_init.c calc_nr_kernel_pages()."""
        return sum(end - start for start, end in self.free_ranges())

    def _keep(self, what: str, start: int, end: int) -> None:
        memblock_reserve(self.memblock, start, end - start)
        self.taken.append(Taken(what, start, end))

    def _note(self, what: str, found: int, size: int) -> None:
        if not found:
            self.memblock.panic = self.memblock.panic or f"no {size} bytes for {what}"
        self.taken.append(Taken(what, found, found + size))

    def ram(self) -> list[NodeRange]:
        """RAM by node, in pfns; what is of no node, in no zone either."""
        ranges = for_each_mem_pfn_range(self.memblock, NUMA_NO_NODE)
        return [NodeRange(nid, start, end) for start, end, nid in ranges if numa_valid_node(nid)]

    def free_ranges(self) -> list[Range]:
        """What nobody has taken, whole pages of it: the buddy allocator's.

        Kernel: mm/memblock.c free_low_memory_core_early(), __free_memory_core()
        """
        free = for_each_free_mem_range(self.memblock, NUMA_NO_NODE, MEMBLOCK_NONE)
        ranges = [(nr_pages_of(start), end >> PAGE_SHIFT) for start, end, _ in free]
        return [(start, end) for start, end in ranges if start < end]


def large_system_hash_size(nr_kernel_pages: int, scale: int) -> int:
    """Bytes of a hash table with a bucket for every 2**scale bytes of memory, in a power of two.

    NOT MODELLED: limits given by boot options. Kernel: mm/mm_init.c alloc_large_system_hash()
    """
    numentries = align_up(nr_kernel_pages, _MIB // PAGE_SIZE)
    adapt = _ADAPT_SCALE_NPAGES
    while adapt < numentries:
        scale += 1
        adapt <<= 2
    numentries = max(numentries >> scale - PAGE_SHIFT, PAGE_SIZE // _SIZEOF_BUCKET)
    at_most = (nr_kernel_pages << PAGE_SHIFT >> 4) // _SIZEOF_BUCKET
    numentries = min(1 << (numentries - 1).bit_length(), at_most, 1 << 31)
    return _SIZEOF_BUCKET << numentries.bit_length() - 1

"""vmalloc's globals, and a vmap_node.

Kernel: mm/vmalloc.c struct vmap_node, vmap_nodes[], free_vmap_area_root, vmap_lazy_nr
"""

from __future__ import annotations

from collections import deque

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, fls
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import PageTables
from memsim.mm.slub.slab import KmemCache
from memsim.mm.vmalloc.area import VmapArea, VmStruct
from memsim.mm.vmalloc.tree import AreaTree, FreeTree
from memsim.trace.trace import Trace
from memsim.trace.vmalloc_steps import BUSY, DECAY, FREE, LAZY, PURGE, tree_code
from memsim.words.arch import X86_64
from memsim.words.vmalloc import (
    LAYOUT_64,
    LAZY_PAGES,
    MAX_VA_SIZE_PAGES,
    PAGE_OFFSET_32,
    VN_ID_SHIFT,
    VmallocLayout,
    layout_32,
)


class VmapNode:
    """struct vmap_node: busy and lazily freed areas, those being purged, and pools by size.

    pool[n] has areas of n + 1 pages, the next to be handed out first.
    """

    __slots__ = ("busy", "decay", "id", "lazy", "nr_purged", "pool", "purge_list", "skip_populate")

    def __init__(self, trace: Trace, node_id: int) -> None:
        self.id = node_id
        self.busy = AreaTree(trace, tree_code(BUSY, node_id))
        self.lazy = AreaTree(trace, tree_code(LAZY, node_id))
        #: The lazy tree that a purge took away whole; the areas leave it in address order.
        self.purge_list = AreaTree(trace, tree_code(PURGE, node_id))
        #: decay_va_pool_node()'s own: what leaves the pools, merged.
        self.decay = AreaTree(trace, tree_code(DECAY, node_id))
        self.pool: list[deque[VmapArea]] = [deque() for _ in range(MAX_VA_SIZE_PAGES)]
        self.skip_populate = False
        self.nr_purged = 0


class VmapBlock:
    """struct vmap_block: an area that vm_map_ram() hands out page by page.

    Pages: `free` were never handed out, `dirty` were given back; `dirty_min` to `dirty_max` of
    those some CPU may still remember. `used_map` has a bit for each page in use.
    """

    __slots__ = ("cpu", "dirty", "dirty_max", "dirty_min", "free", "used_map", "va")

    def __init__(self, va: VmapArea, cpu: int, nr_pages: int) -> None:
        self.va = va
        self.cpu = cpu
        self.free = self.dirty_min = nr_pages
        self.dirty = self.dirty_max = self.used_map = 0


class VmallocState:
    """Everything vmalloc keeps. `areas` has every area, by its va_start.

    `vmap_lazy_nr` counts pages freed lazily, guard pages among them; `nr_tlb_flushes` how often
    all CPUs had to forget a range of addresses.
    """

    __slots__ = (
        "areas", "drain_vmap_work", "free_vmap_area_root", "init_mm", "layout", "log",
        "ne_fit_preload_node",
        "nr_tlb_flushes", "nr_vmalloc_pages", "nr_vmap_nodes", "trace", "vm_structs",
        "vmap_area_cachep", "vmap_block_queue", "vmap_blocks", "vmap_lazy_nr", "vmap_nodes",
        "vmap_zone_size",
    )  # fmt: skip

    def __init__(
        self, trace: Trace, nr_cpus: int, nr_vmap_nodes: int, layout: VmallocLayout = LAYOUT_64
    ) -> None:
        self.trace = trace
        self.layout = layout
        self.areas: dict[int, VmapArea] = {}
        self.free_vmap_area_root = FreeTree(trace, tree_code(FREE, 0))
        self.nr_vmap_nodes = nr_vmap_nodes
        self.vmap_nodes = [VmapNode(trace, node_id) for node_id in range(nr_vmap_nodes)]
        self.vmap_zone_size = 16 * PAGE_SIZE if nr_vmap_nodes > 1 else 1
        #: The cache of struct vmap_area; None where there is no slab allocator.
        self.vmap_area_cachep: KmemCache | None = None
        #: By CPU: a struct vmap_area for a search that leaves two remainders; 0: none.
        self.ne_fit_preload_node = [0] * nr_cpus
        self.nr_vmalloc_pages = 0
        #: Every vm_struct there was; an area has one of them, or none.
        self.vm_structs: list[VmStruct] = []
        self.init_mm = PageTables(layout)
        #: What the kernel would log.
        self.log: list[str] = []
        self.vmap_lazy_nr = 0
        #: Blocks by their va_start; by CPU, those with pages never handed out.
        self.vmap_blocks: dict[int, VmapBlock] = {}
        self.vmap_block_queue: list[list[VmapBlock]] = [[] for _ in range(nr_cpus)]
        self.nr_tlb_flushes = 0
        #: drain_vmap_work is scheduled.
        self.drain_vmap_work = False


def addr_to_node(state: VmallocState, addr: int) -> VmapNode:
    """The vmap_node that keeps a busy area which starts there. Kernel: addr_to_node()."""
    return state.vmap_nodes[addr // state.vmap_zone_size % state.nr_vmap_nodes]


def encode_vn_id(node_id: int) -> int:
    """An area's flags that say which vmap_node it goes back to. Kernel: encode_vn_id()."""
    return node_id + 1 << VN_ID_SHIFT


def decode_vn_id(state: VmallocState, flags: int) -> VmapNode | None:
    """The vmap_node that an area goes back to; None if it is any. Kernel: decode_vn_id()."""
    node_id = (flags >> VN_ID_SHIFT) - 1
    return state.vmap_nodes[node_id] if 0 <= node_id < state.nr_vmap_nodes else None


def lazy_max_pages(nr_cpus: int) -> int:
    """How many lazily freed pages call for a purge. Kernel: mm/vmalloc.c lazy_max_pages()."""
    return fls(nr_cpus) * LAZY_PAGES


def layout_of(vm: Vm) -> VmallocLayout:
    """Where this machine's vmalloc has its addresses.

    Kernel: arch/x86/mm/init_32.c find_low_pfn_range(), high_memory
    """
    if vm.arch.name == X86_64.name:
        return LAYOUT_64
    max_low_pfn = min(vm.max_pfn, vm.arch.max_zone_pfns[vm.arch.ZONE_NORMAL])
    return layout_32(PAGE_OFFSET_32 + (max_low_pfn << PAGE_SHIFT))


def is_vmalloc_addr(state: VmallocState, addr: int) -> bool:
    """Is it an address that vmalloc hands out? Kernel: mm/vmalloc.c is_vmalloc_addr()."""
    return state.layout.VMALLOC_START <= addr < state.layout.VMALLOC_END

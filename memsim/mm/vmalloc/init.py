"""vmalloc as boot leaves it: one free area, and vmap_nodes.

Kernel: mm/vmalloc.c vmalloc_init(), vmap_init_free_space(), vmap_init_nodes()
"""

from __future__ import annotations

from memsim.lib.bits import clamp
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import PGD, alloc_table
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create
from memsim.mm.vmalloc.state import VmallocState, layout_of
from memsim.mm.vmalloc.structs import alloc_vmap_struct
from memsim.mm.vmalloc.tree import insert_vmap_area_augment
from memsim.mm.vmalloc.update import new_area
from memsim.words.gfp import GFP_NOWAIT
from memsim.words.slab import NUMA_NO_NODE, SLAB_PANIC
from memsim.words.vmalloc import LAYOUT_64

_MAX_VMAP_NODES = 128
SIZEOF_VMAP_AREA = 72


def vmalloc_init(vm: Vm) -> None:
    """vmalloc, with its structs in objects where there is a slab allocator, and page tables.

    Kernel: mm/vmalloc.c vmalloc_init()
    """
    vmap_init_nodes(vm)
    if hasattr(vm, "slab"):
        vm.vmalloc.vmap_area_cachep, _ = kmem_cache_create(
            vm, "vmap_area", SIZEOF_VMAP_AREA, SLAB_PANIC, KmemCacheArgs()
        )
    vmap_init_free_space(vm)
    if vm.vmalloc.layout is LAYOUT_64:
        preallocate_vmalloc_pages(vm)


def vmap_init_nodes(vm: Vm) -> None:
    """A vmap_node for each CPU; with 32 bits there is one.

    NOT MODELLED: the memory that they take themselves; the shrinker vmap_node_shrink_scan().
    Kernel: mm/vmalloc.c vmap_init_nodes()
    """
    layout = layout_of(vm)
    nodes = clamp(vm.nr_cpus, 1, _MAX_VMAP_NODES) if layout is LAYOUT_64 else 1
    vm.vmalloc = VmallocState(vm.trace, vm.nr_cpus, nodes, layout)


def vmap_init_free_space(vm: Vm) -> None:
    """All addresses are free: from 1 on, for 0 is NULL.

    NOT MODELLED: areas registered before (vm_area_register_early()): x86 has none.

    Kernel: mm/vmalloc.c vmap_init_free_space()
    """
    state = vm.vmalloc
    object = alloc_vmap_struct(state, GFP_NOWAIT, NUMA_NO_NODE)
    free = new_area(state, 1, state.layout.ULONG_MAX, object=max(object, 0))
    insert_vmap_area_augment(free, None, state.free_vmap_area_root)


def preallocate_vmalloc_pages(vm: Vm) -> None:
    """A table of puds for each entry of swapper_pg_dir in the range: processes have copies of it.

    Kernel: arch/x86/mm/init_64.c preallocate_vmalloc_pages()
    """
    layout, mm = vm.vmalloc.layout, vm.vmalloc.init_mm
    for start, _ in mm.parts(layout.VMALLOC_START, layout.VMALLOC_END, PGD):
        alloc_table(vm, mm.pgd, start)

"""vmalloc() and vfree(): pages from the page allocator, mapped one behind the other.

Kernel: mm/vmalloc.c vm_area_alloc_pages(), __vmalloc_area_node(), __vmalloc_node_range(), vfree()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.mm.kmalloc import kfree, kmalloc
from memsim.mm.mempolicy import alloc_pages_bulk_mempolicy, alloc_pages_noprof
from memsim.mm.mmzone import Vm, page_zone
from memsim.mm.page_alloc.alloc import alloc_pages, alloc_pages_bulk, split_page
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.pgtable import PMD_SHIFT, PMD_SIZE
from memsim.mm.show_mem import warn_alloc
from memsim.mm.vmalloc.area import VmStruct
from memsim.mm.vmalloc.map import vmap_pages_range
from memsim.mm.vmalloc.state import is_vmalloc_addr
from memsim.mm.vmalloc.update import set_number
from memsim.mm.vmalloc.vm_area import (
    free_vm_area,
    free_vm_struct,
    get_vm_area_node,
    get_vm_area_size,
    remove_vm_area,
)
from memsim.words.gfp import (
    __GFP_HIGHMEM,
    __GFP_NOFAIL,
    __GFP_NOWARN,
    __GFP_ZERO,
    GFP_DMA,
    GFP_DMA32,
    GFP_KERNEL,
    GFP_RECLAIM_MASK,
)
from memsim.words.mmzone import NULL
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import (
    VM_ALLOC,
    VM_ALLOW_HUGE_VMAP,
    VM_MAP_PUT_PAGES,
    VM_UNINITIALIZED,
)

_MAX_BULK = 100


def vm_area_alloc_pages(vm: Vm, gfp: int, nid: int, order: int, nr_pages: int) -> list[int]:
    """Up to nr_pages pages, as their pfns: by bulk requests, else one by one, or in larger blocks.

    A larger block is split: vfree() frees page by page.
    Where the caller has named no node, the task's policy chooses.
    NOT MODELLED: a fatal signal, which ends the requests.
    Kernel: vm_area_alloc_pages()
    """
    pages: list[int] = []
    while not order and len(pages) < nr_pages:
        wanted = min(_MAX_BULK, nr_pages - len(pages))
        got = _bulk(vm, gfp, nid, wanted)
        pages += got
        if len(got) != wanted:
            break
    while len(pages) < nr_pages:
        page = _block(vm, gfp, nid, order)
        if page == NULL:
            break
        zone = page_zone(vm, page)
        assert zone is not None
        if order:
            split_page(zone, page, order)
        pages += range(page, page + (1 << order))
    return pages


def _bulk(vm: Vm, gfp: int, nid: int, nr_pages: int) -> list[int]:
    if nid == NUMA_NO_NODE:
        return alloc_pages_bulk_mempolicy(vm, gfp, nr_pages)
    return alloc_pages_bulk(vm, gfp, nid, nr_pages)


def _block(vm: Vm, gfp: int, nid: int, order: int) -> int:
    if nid == NUMA_NO_NODE:
        return alloc_pages_noprof(vm, gfp, order)
    return alloc_pages(vm, gfp, order, nid)


def vmalloc_node_range(
    vm: Vm, size: int, align: int, start: int, end: int, gfp_mask: int, vm_flags: int = 0,
    node: int = NUMA_NO_NODE, caller: str = "",
) -> int:  # fmt: skip
    """The address of size bytes in pages of their own, or NULL_PTR; vm.vmalloc.log says why.

    With VM_ALLOW_HUGE_VMAP blocks of 2 MiB are tried first.
    NOT MODELLED: KASAN's and KMSAN's tags and shadow; kmemleak; with __GFP_NOFAIL, trying for
    addresses for ever; what VM_FLUSH_RESET_PERMS has vfree() do to the direct map.
    Kernel: __vmalloc_node_range_noprof()
    """
    if not size:
        return NULL_PTR
    if size >> PAGE_SHIFT > totalram_pages(vm):
        warn_alloc(vm, gfp_mask, f"vmalloc error: size {size}, exceeds total pages")
        return NULL_PTR
    for shift, shift_align in _attempts(vm, size, align, vm_flags, node):
        area = get_vm_area_node(
            vm, size, shift_align, shift, VM_ALLOC | VM_UNINITIALIZED | vm_flags, start, end,
            node, gfp_mask, caller,
        )  # fmt: skip
        if area is None:
            retrying = ". Retrying." if gfp_mask & __GFP_NOFAIL else ""
            what = f"vmalloc error: size {size}, vm_struct allocation failed{retrying}"
            warn_alloc(vm, gfp_mask, what)
        elif _vmalloc_area_node(vm, area, gfp_mask, shift, node):
            area.flags &= ~VM_UNINITIALIZED
            return area.addr
    return NULL_PTR


def _attempts(vm: Vm, size: int, align: int, vm_flags: int, node: int) -> list[tuple[int, int]]:
    """The sizes of pages to try, as shifts, with the alignment of each; the largest first."""
    if not vm_flags & VM_ALLOW_HUGE_VMAP or not vm.vmalloc.layout.huge:
        return [(PAGE_SHIFT, align)]
    size_per_node = size // len(vm.nodes) if node == NUMA_NO_NODE else size
    if size_per_node >= PMD_SIZE:
        return [(PMD_SHIFT, max(align, PMD_SIZE)), (PAGE_SHIFT, align)]
    return [(PAGE_SHIFT, max(align, PAGE_SIZE))]


def totalram_pages(vm: Vm) -> int:
    """Pages that were given to the buddy allocator. Kernel: totalram_pages()."""
    return sum(zone.managed_pages for zone in vm.zones)


def _vmalloc_area_node(vm: Vm, area: VmStruct, gfp_mask: int, shift: int, node: int) -> bool:
    """Pages for an area, and their mapping; without them the area is freed again.

    NOT MODELLED: memalloc_nofs_save() and memalloc_noio_save(), which take flags off the mask of
    page tables' pages; memcg's counter; with __GFP_NOFAIL, mapping for ever.
    Kernel: mm/vmalloc.c __vmalloc_area_node()
    """
    nr_small_pages = get_vm_area_size(area) >> PAGE_SHIFT
    if not gfp_mask & (GFP_DMA | GFP_DMA32):
        gfp_mask |= __GFP_HIGHMEM
    if not _alloc_page_array(vm, area, nr_small_pages, gfp_mask, node):
        free_vm_area(vm, area)
        return False
    area.page_order = shift - PAGE_SHIFT
    asked = gfp_mask & ~__GFP_NOFAIL if area.page_order else gfp_mask
    area.pages = vm_area_alloc_pages(
        vm, asked | __GFP_NOWARN, node, area.page_order, nr_small_pages
    )
    area.nr_pages = len(area.pages)
    set_number(vm.vmalloc, "nr_vmalloc_pages", vm.vmalloc.nr_vmalloc_pages + area.nr_pages)
    wrong = ""
    if area.nr_pages != nr_small_pages:
        wrong = "" if area.page_order else "failed to allocate pages"
    elif vmap_pages_range(vm, area.addr, area.pages, shift):
        wrong = "failed to map pages"
    else:
        return True
    if wrong:
        size = area.nr_pages * PAGE_SIZE
        warn_alloc(vm, gfp_mask, f"vmalloc error: size {size}, {wrong}")
    vfree(vm, area.addr)
    return False


def _alloc_page_array(vm: Vm, area: VmStruct, nr_pages: int, gfp_mask: int, node: int) -> bool:
    """Room for the pointers to the pages: above a page of them, by vmalloc() too."""
    layout = vm.vmalloc.layout
    size = nr_pages * layout.sizeof_pointer
    nested_gfp = gfp_mask & GFP_RECLAIM_MASK | __GFP_ZERO
    if size > PAGE_SIZE:
        limits = layout.VMALLOC_START, layout.VMALLOC_END
        area.array = vmalloc_node_range(
            vm, size, 1, *limits, nested_gfp, node=node, caller=area.caller
        )
    elif vm.vmalloc.vmap_area_cachep is not None:
        area.array = kmalloc(vm, size, nested_gfp, node)
    else:
        return True
    if area.array == NULL_PTR:
        what = f"vmalloc error: size {nr_pages * PAGE_SIZE}, "
        warn_alloc(vm, gfp_mask, f"{what}failed to allocated page array size {size}")
    return area.array != NULL_PTR


def vmalloc(vm: Vm, size: int, gfp_mask: int = GFP_KERNEL, node: int = NUMA_NO_NODE) -> int:
    """The address of size bytes, or NULL_PTR. Kernel: mm/vmalloc.c __vmalloc_node_noprof()."""
    layout = vm.vmalloc.layout
    limits = layout.VMALLOC_START, layout.VMALLOC_END
    return vmalloc_node_range(vm, size, 1, *limits, gfp_mask, node=node)


def vfree(vm: Vm, addr: int) -> bool:
    """Free what vmalloc() gave, page by page; NULL_PTR is nothing. False: there is no such area.

    NOT MODELLED: vfree_atomic(), by which interrupts put it off; vm_reset_perms(), for areas with
    VM_FLUSH_RESET_PERMS. Kernel: mm/vmalloc.c vfree()
    """
    if addr == NULL_PTR:
        return True
    area = remove_vm_area(vm, addr)
    if area is None:
        return False
    for page in area.pages[: area.nr_pages]:
        free_unref_page(vm, page, 0)
    if not area.flags & VM_MAP_PUT_PAGES:
        set_number(vm.vmalloc, "nr_vmalloc_pages", vm.vmalloc.nr_vmalloc_pages - area.nr_pages)
    kvfree(vm, area.array)
    free_vm_struct(vm, area)
    return True


def kvfree(vm: Vm, addr: int) -> None:
    """Free memory from kmalloc() or vmalloc(). Kernel: mm/util.c kvfree()."""
    if is_vmalloc_addr(vm.vmalloc, addr):
        vfree(vm, addr)
    elif addr:
        kfree(vm, addr)

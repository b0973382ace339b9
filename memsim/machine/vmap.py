"""Requests for addresses alone: vmap(), ioremap(), vm_map_ram(). The caller has the memory.

>>> from memsim import GFP_KERNEL, Machine
>>> machine = Machine("64 MiB", vmalloc=True)
>>> pfns = machine.alloc_pages_bulk(GFP_KERNEL, 3)
>>> address = machine.vmap(pfns)
>>> machine.vmalloc_to_pfn(address + 2 * 4096) == pfns[2]
True
>>> machine.vunmap(address)
>>> registers = machine.ioremap(0xFEE00010, 16)
>>> hex(registers & 0xFFF)
'0x10'
>>> machine.iounmap(registers)
"""

from __future__ import annotations

from collections.abc import Iterable

from memsim.lib.bits import PAGE_SIZE, align_down
from memsim.machine.checks import check_cpu, check_nid, check_switch, whole
from memsim.machine.vmalloc import VmallocRequests
from memsim.machine.vmalloc_checks import (
    check_address,
    check_ioremap,
    check_put_pages,
    check_unmap_ram,
    check_vfree,
    pfns_of,
    shown,
)
from memsim.mm.vmalloc import block, vmap
from memsim.mm.vmalloc.state import is_vmalloc_addr
from memsim.mm.vmalloc.vm_area import find_vm_area
from memsim.words.errors import BadFree, BadRequest
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import VM_MAP, VM_MAP_PUT_PAGES


class VmapRequests(VmallocRequests):
    """The part of a Machine that maps memory which callers have."""

    def vmap(self, pages: Iterable[int], *, put_pages: bool = False, cpu: int = 0) -> int:
        """Map pages, given as pfns, one behind the other: the address.

        put_pages: they are vfree()'s from then on (VM_MAP_PUT_PAGES).
        NOT MODELLED: the memory of the caller's array, which vfree() would free too.
        Kernel: mm/vmalloc.c vmap()
        """
        self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_switch("put_pages", put_pages, BadRequest)
        pfns = pfns_of(self.vm, pages)
        if put_pages:
            check_put_pages(self.vm, pfns)
        flags = VM_MAP | (VM_MAP_PUT_PAGES if put_pages else 0)
        size, name = len(pfns) * PAGE_SIZE, f"vmap({len(pfns)} pages)"
        return self._area("vmap", size, name, cpu, lambda: vmap.vmap(self.vm, pfns, flags))

    def vunmap(self, address: int, *, cpu: int = 0) -> None:
        """Take a mapping of vmap() away; 0 is nothing. BadFree, in the kernel's words, for none.

        As in the kernel, an area of vmalloc() is taken away too, and its pages are lost.
        Kernel: mm/vmalloc.c vunmap()
        """
        self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_address(self.vm, address)
        if address != NULL_PTR:
            check_vfree(self.vm, address, "vunmap")
        name = f"vunmap({address:#x})"
        self._do_vmalloc(name, cpu, lambda: vmap.vunmap(self.vm, address) and None)

    def ioremap(self, phys_addr: int, size: int, *, cpu: int = 0) -> int:
        """The address of size bytes of a device's memory that begin at phys_addr.

        BadRequest for RAM, in the kernel's words. Kernel: arch/x86/mm/ioremap.c ioremap()
        """
        self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_ioremap(self.vm, phys_addr, size)
        name = f"ioremap({phys_addr:#x}, {size})"
        call = lambda: vmap.ioremap(self.vm, phys_addr, size)  # noqa: E731
        return self._area("ioremap", size, name, cpu, call)

    def iounmap(self, address: int, *, cpu: int = 0) -> None:
        """Take back what ioremap() gave; any address of the page will do.

        BadFree, in the kernel's words, where there is no area. Kernel: iounmap()
        """
        state = self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_address(self.vm, address)
        page = align_down(address, PAGE_SIZE)
        if not is_vmalloc_addr(state, address):
            raise BadFree(f"iounmap({shown(self.vm, address)}): no address that ioremap() gives")
        if find_vm_area(self.vm, page) is None:
            raise BadFree(f"iounmap: bad address {shown(self.vm, page)}")
        name = f"iounmap({address:#x})"
        self._do_vmalloc(name, cpu, lambda: vmap.iounmap(self.vm, address) and None)

    def vm_map_ram(
        self, pages: Iterable[int], *, cpu: int = 0, nid: int = NUMA_NO_NODE
    ) -> int:  # fmt: skip
        """Map pages, given as pfns, for a short while: the address. Kernel: vm_map_ram()."""
        self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_nid(self.vm, nid)
        pfns = pfns_of(self.vm, pages)
        size, name = len(pfns) * PAGE_SIZE, f"vm_map_ram({len(pfns)} pages)"
        call = lambda: block.vm_map_ram(self.vm, pfns, nid)  # noqa: E731
        return self._area("vm_map_ram", size, name, cpu, call)

    def vm_unmap_ram(self, address: int, count: int, *, cpu: int = 0) -> None:
        """Unmap the count pages that vm_map_ram() mapped. BadFree for others.

        A part of a mapping the kernel takes for the whole one, and so does memsim where the part
        has a power of two of pages. Kernel: mm/vmalloc.c vm_unmap_ram()
        """
        self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_address(self.vm, address)
        whole("count", count)
        check_unmap_ram(self.vm, address, count)
        name = f"vm_unmap_ram({address:#x}, {count})"
        self._do_vmalloc(name, cpu, lambda: block.vm_unmap_ram(self.vm, address, count) and None)

    def vm_unmap_aliases(self, *, cpu: int = 0) -> None:
        """Let no CPU remember what is unmapped. Kernel: mm/vmalloc.c vm_unmap_aliases()."""
        self._vmalloc_state()
        check_cpu(self.vm, cpu)
        self._do_vmalloc("vm_unmap_aliases()", cpu, lambda: block.vm_unmap_aliases(self.vm))

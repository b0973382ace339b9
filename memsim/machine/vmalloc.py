"""Requests for addresses: vmalloc(), vfree(), and what is mapped where.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", vmalloc=True)
>>> address = machine.vmalloc(10_000)
>>> machine.vmalloc_to_pfn(address) == machine.walk(address)[-1].pfn
True
>>> machine.vfree(address)
"""

from __future__ import annotations

from collections.abc import Callable

from memsim.lib.bits import PAGE_SIZE
from memsim.machine.checks import check_cpu, check_gfp_mask, whole
from memsim.machine.history import History
from memsim.mm import pgtable
from memsim.mm.vmalloc import lazy, vmalloc
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.state import VmallocState
from memsim.mm.vmalloc.validate import validate_vmalloc
from memsim.mm.vmalloc.vm_area import find_vm_area
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_KERNEL, show_gfp_flags
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import VM_ALLOW_HUGE_VMAP, VMALLOC_END, VMALLOC_START

_MAX_SIZE = 1 << 46


class VmallocRequests(History):
    """The part of a Machine that hands out addresses; only where it has vmalloc=True."""

    def vmalloc(
        self, size: int, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0, nid: int = NUMA_NO_NODE
    ) -> int:
        """The address of size bytes, in single pages mapped one behind the other.

        PageAllocationFailure, with what the kernel logs, when there are no pages or no addresses.
        Kernel: mm/vmalloc.c vmalloc_noprof(), vmalloc_node_noprof()
        """
        return self._vmalloc("vmalloc", size, 0, gfp_mask, cpu, nid)

    def vmalloc_huge(
        self, size: int, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0, nid: int = NUMA_NO_NODE
    ) -> int:
        """As vmalloc(), in blocks of 2 MiB where possible. Kernel: vmalloc_huge_noprof()."""
        return self._vmalloc("vmalloc_huge", size, VM_ALLOW_HUGE_VMAP, gfp_mask, cpu, nid)

    def vfree(self, address: int, *, cpu: int = 0) -> None:
        """Free what vmalloc() gave; 0 is nothing. BadFree, in the kernel's words, for another.

        The addresses are free only after a purge. Kernel: mm/vmalloc.c vfree()
        """
        check_cpu(self.vm, cpu)
        whole("address", address)
        state = self._vmalloc_state()
        if address % PAGE_SIZE:
            raise BadFree(f"Trying to vfree() bad address ({address:016x})")
        area = find_vm_area(self.vm, address)
        if address != NULL_PTR and area is None:
            raise BadFree(f"Trying to vfree() nonexistent vm area ({address:016x})")
        self._do(f"vfree({address:#x})", cpu, lambda: vmalloc.vfree(self.vm, address) and None)
        if state.drain_vmap_work:
            self._do("drain_vmap_area_work()", cpu, lambda: lazy.drain_vmap_area_work(self.vm))

    def purge_vmap_area_lazy(self, *, cpu: int = 0) -> None:
        """Purge now, which else is done above lazy_max_pages(). Kernel: drain_vmap_area_work()."""
        check_cpu(self.vm, cpu)
        self._vmalloc_state()
        self._do("drain_vmap_area_work()", cpu, lambda: lazy.drain_vmap_area_work(self.vm))

    def vmap_areas(self) -> list[VmapArea]:
        """Every area, free ones too, by address."""
        areas = self._vmalloc_state().areas
        return [areas[start] for start in sorted(areas)]

    def walk(self, address: int) -> list[pgtable.Entry]:
        """The page table entries from the topmost table down to the one for address."""
        whole("address", address)
        self._vmalloc_state()
        return pgtable.walk(self.vm, address)

    def vmalloc_to_pfn(self, address: int) -> int:
        """The pfn that address is mapped to. BadRequest if it is mapped to none."""
        whole("address", address)
        self._vmalloc_state()
        pfn = pgtable.vmalloc_to_pfn(self.vm, address)
        if pfn < 0:
            raise BadRequest(f"address {address:#x} is not mapped")
        return pfn

    def validate_vmalloc(self) -> None:
        """Check every invariant of mm/vmalloc/validate.py; ValidationError names the broken one."""
        self._vmalloc_state()
        validate_vmalloc(self.vm)

    # Inside

    def _vmalloc_state(self) -> VmallocState:
        if not hasattr(self.vm, "vmalloc"):
            raise BadRequest("this machine has no vmalloc: boot it with vmalloc=True")
        return self.vm.vmalloc

    def _vmalloc(
        self, name: str, size: int, vm_flags: int, gfp_mask: int, cpu: int, nid: int
    ) -> int:
        state = self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_gfp_mask(gfp_mask)
        whole("nid", nid)
        whole("size", size)
        if not NUMA_NO_NODE <= nid < len(self.vm.nodes):
            raise BadRequest(f"nid={nid}: should be -1 to {len(self.vm.nodes) - 1}")
        if not 0 < size <= _MAX_SIZE:
            raise BadRequest(f"size={size}: should be 1 byte to {_MAX_SIZE}")
        logged = len(state.log)
        call = self._call(size, vm_flags, gfp_mask, nid)
        address = self._do(f"{name}({size}, {show_gfp_flags(gfp_mask)})", cpu, call)
        if address == NULL_PTR:
            raise PageAllocationFailure(f"{name}({size}) failed", "".join(state.log[logged:]))
        return address

    def _call(self, size: int, vm_flags: int, gfp_mask: int, nid: int) -> Callable[[], int]:
        limits = VMALLOC_START, VMALLOC_END
        return lambda: vmalloc.vmalloc_node_range(
            self.vm, size, 1, *limits, gfp_mask, vm_flags, nid, "vmalloc"
        )

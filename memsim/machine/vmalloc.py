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
from typing import TypeVar

from memsim.machine.checks import check_cpu, check_gfp_mask, check_nid, whole
from memsim.machine.history import History
from memsim.machine.vmalloc_checks import check_address, check_range, check_vfree
from memsim.mm import pgtable
from memsim.mm.vmalloc import lazy, vmalloc
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.state import VmallocState
from memsim.mm.vmalloc.validate import validate_vmalloc
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import __GFP_ZERO, GFP_KERNEL, gfp_zone, show_gfp_flags
from memsim.words.slab import NULL_PTR, NUMA_NO_NODE
from memsim.words.vmalloc import VM_ALLOW_HUGE_VMAP, VM_DMA_COHERENT, VM_NO_GUARD, VM_USERMAP

_T = TypeVar("_T")
_ZEROED = GFP_KERNEL | __GFP_ZERO
#: What vmalloc_node_range() may be told.
_CALLERS_FLAGS = VM_USERMAP | VM_DMA_COHERENT | VM_NO_GUARD | VM_ALLOW_HUGE_VMAP


class VmallocRequests(History):
    """The part of a Machine that hands out addresses; only where it has vmalloc=True."""

    def vmalloc(
        self, size: int, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0, nid: int = NUMA_NO_NODE
    ) -> int:
        """The address of size bytes, in single pages mapped one behind the other.

        PageAllocationFailure, with what the kernel logs, when there are no pages or no addresses.
        Kernel: mm/vmalloc.c vmalloc_noprof(), vmalloc_node_noprof()
        """
        return self._vmalloc("vmalloc", size, gfp_mask, cpu=cpu, nid=nid)

    def vzalloc(self, size: int, *, cpu: int = 0, nid: int = NUMA_NO_NODE) -> int:
        """vmalloc() of zeros. Kernel: mm/vmalloc.c vzalloc_noprof(), vzalloc_node_noprof()."""
        return self._vmalloc("vzalloc", size, _ZEROED, cpu=cpu, nid=nid)

    def vmalloc_user(self, size: int, *, cpu: int = 0) -> int:
        """vmalloc() of zeros that a process may map. Kernel: mm/vmalloc.c vmalloc_user_noprof()."""
        align = self._vmalloc_state().layout.SHMLBA
        return self._vmalloc("vmalloc_user", size, _ZEROED, VM_USERMAP, align, cpu=cpu)

    def vmalloc_huge(
        self, size: int, gfp_mask: int = GFP_KERNEL, *, cpu: int = 0, nid: int = NUMA_NO_NODE
    ) -> int:
        """As vmalloc(), in blocks of 2 MiB where possible. Kernel: vmalloc_huge_noprof()."""
        return self._vmalloc("vmalloc_huge", size, gfp_mask, VM_ALLOW_HUGE_VMAP, cpu=cpu, nid=nid)

    def vmalloc_node_range(
        self,
        size: int,
        align: int,
        start: int,
        end: int,
        gfp_mask: int = GFP_KERNEL,
        *,
        vm_flags: int = 0,
        cpu: int = 0,
        nid: int = NUMA_NO_NODE,
    ) -> int:
        """vmalloc() from addresses of the caller's own, as those of modules: start up to end.

        align: a power of two. vm_flags: VM_USERMAP, VM_DMA_COHERENT, VM_NO_GUARD and
        VM_ALLOW_HUGE_VMAP. Kernel: mm/vmalloc.c __vmalloc_node_range_noprof()
        """
        self._vmalloc_state()
        check_range(self.vm, start, end)
        check_address(self.vm, align, "align")
        whole("vm_flags", vm_flags)
        if vm_flags & ~_CALLERS_FLAGS:
            text = "has others than VM_USERMAP, VM_DMA_COHERENT, VM_NO_GUARD, VM_ALLOW_HUGE_VMAP"
            raise BadRequest(f"vm_flags={vm_flags:#x}: {text}")
        name, limits = "vmalloc_node_range", (start, end)
        return self._vmalloc(name, size, gfp_mask, vm_flags, align, limits, cpu=cpu, nid=nid)

    def vfree(self, address: int, *, cpu: int = 0) -> None:
        """Free what vmalloc() gave; 0 is nothing. BadFree, in the kernel's words, for another.

        The addresses are free only after a purge. Kernel: mm/vmalloc.c vfree()
        """
        self._vmalloc_state()
        check_cpu(self.vm, cpu)
        check_address(self.vm, address)
        if address != NULL_PTR:
            check_vfree(self.vm, address, "vfree")
        name = f"vfree({address:#x})"
        self._do_vmalloc(name, cpu, lambda: vmalloc.vfree(self.vm, address) and None)

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
        self._vmalloc_state()
        check_address(self.vm, address)
        return pgtable.walk(self.vm, address)

    def vmalloc_to_pfn(self, address: int) -> int:
        """The pfn that address is mapped to. BadRequest if it is mapped to none."""
        self._vmalloc_state()
        check_address(self.vm, address)
        pfn = pgtable.vmalloc_to_pfn(self.vm, address)
        if pfn < 0:
            raise BadRequest(f"address {address:#x} is not mapped")
        return pfn

    def vmalloc_log(self) -> list[str]:
        """What the kernel would have logged of vmalloc so far."""
        return list(self._vmalloc_state().log)

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
        self,
        name: str,
        size: int,
        gfp_mask: int,
        vm_flags: int = 0,
        align: int = 1,
        limits: tuple[int, int] | None = None,
        *,
        cpu: int,
        nid: int = NUMA_NO_NODE,
    ) -> int:
        """Do what gives size bytes in an area of their own."""
        layout = self._vmalloc_state().layout
        self._check_vmalloc(size, gfp_mask, cpu, nid)
        start, end = limits or (layout.VMALLOC_START, layout.VMALLOC_END)
        shown = f"{name}({size}, {show_gfp_flags(gfp_mask)})"
        return self._area(
            name, size, shown, cpu,
            lambda: vmalloc.vmalloc_node_range(
                self.vm, size, align, start, end, gfp_mask, vm_flags, nid, name
            ),
        )  # fmt: skip

    def _check_vmalloc(self, size: int, gfp_mask: int, cpu: int, nid: int) -> None:
        most = self._vmalloc_state().layout.ULONG_MAX
        check_cpu(self.vm, cpu)
        check_gfp_mask(gfp_mask)
        if gfp_zone(gfp_mask, self.vm.arch) < 0:
            raise BadRequest(f"gfp_mask={gfp_mask:#x}: its zone bits exclude each other")
        check_nid(self.vm, nid)
        whole("size", size)
        if not 0 < size <= most:
            raise BadRequest(f"size={size}: should be 1 byte to {most}")

    def _area(self, name: str, size: int, shown: str, cpu: int, call: Callable[[], int]) -> int:
        """Do what gives an address; PageAllocationFailure, with the log, where it gives none."""
        logged = len(self._vmalloc_state().log)
        (address,) = self._do_vmalloc(shown, cpu, lambda: (call(),))
        if address == NULL_PTR:
            report = "".join(self._vmalloc_state().log[logged:])
            raise PageAllocationFailure(f"{name}({size}) failed", report)
        return address

    def _do_vmalloc(self, name: str, cpu: int, call: Callable[[], _T]) -> _T:
        """Run an operation, and the work that it has scheduled."""
        result = self._do(name, cpu, call)
        if self._vmalloc_state().drain_vmap_work:
            self._do("drain_vmap_area_work()", cpu, lambda: lazy.drain_vmap_area_work(self.vm))
        return result

"""The anonymous regions of an address space: mapped, counted, emptied, gone.

NOT MODELLED: page tables of a process as memory, so its regions add nothing to pgtables_bytes;
which of the pages of files it maps; regions that are cut in two.

Kernel: mm/mmap.c, include/linux/mm.h
"""

from __future__ import annotations

from memsim.mm.folio import ANON, AddressSpace, forget_mapping, new_mapping
from memsim.mm.memory import zap_pte
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.journal import tasks_change
from memsim.mm.oom_kill.task import Mm
from memsim.mm.swap import lru_add_drain
from memsim.mm.swap_info import get_nr_swap_pages


def mmap_area(vm: Vm, mm: Mm, name: str, nr_pages: int) -> AddressSpace:
    """A new region of this many pages, none of them there. Kernel: mm/mmap.c do_mmap()."""
    tasks_change(vm)
    area = new_mapping(vm, ANON, name)
    mm.areas.append((area.id, nr_pages))
    mm.total_vm += nr_pages
    return area


def munmap_area(vm: Vm, mm: Mm, area: AddressSpace) -> None:
    """A region goes, with all that is in it. Kernel: mm/mmap.c do_munmap()."""
    tasks_change(vm)
    at = [number for number, _ in mm.areas].index(area.id)
    mm.total_vm -= mm.areas.pop(at)[1]
    zap_area(vm, area)
    forget_mapping(vm, area)


def zap_area(vm: Vm, area: AddressSpace) -> None:
    """Nothing is left in a region. Kernel: mm/memory.c unmap_vmas()."""
    for index in sorted(area.i_pages):
        zap_pte(vm, area, index)


def zap_areas(vm: Vm, mm: Mm) -> None:
    """Nothing is left in any of them."""
    for number, _ in mm.areas:
        zap_area(vm, vm.folios.mappings[number])


def exit_areas(vm: Vm, mm: Mm) -> None:
    """All regions go. Kernel: mm/mmap.c exit_mmap()."""
    if not mm.areas:
        return
    lru_add_drain(vm)
    zap_areas(vm, mm)
    for number, _ in mm.areas:
        forget_mapping(vm, vm.folios.mappings[number])
    mm.areas.clear()
    mm.total_vm = 0


def count_areas(vm: Vm) -> None:
    """Each address space that has regions is told its pages, and those in swap.

    The kernel counts as it maps and unmaps: include/linux/mm.h add_mm_counter()
    """
    mms = [task.mm for process in vm.oom.processes for task in process.signal.threads]
    for mm in mms:
        if mm is not None and mm.areas:
            areas = [vm.folios.mappings[number] for number, _ in mm.areas]
            mm.anonpages = sum(area.nrpages for area in areas)
            mm.swapents = sum(len(area.i_pages) for area in areas) - mm.anonpages


def count_swap(vm: Vm) -> None:
    """The OOM killer is told the size of swap, and what is free of it. Kernel: mm/swapfile.c."""
    if hasattr(vm, "folios"):
        vm.oom.total_swap_pages = vm.folios.swap.total_swap_pages
        vm.oom.free_swap_pages = get_nr_swap_pages(vm)

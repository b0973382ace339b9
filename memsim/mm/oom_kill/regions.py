"""Anonymous regions of processes: whose they are, what they have, and their end.

NOT MODELLED: which of the pages of files a process maps; regions that fork() copied.

Kernel: mm/memory.c unmap_vmas(), include/linux/mm.h get_mm_counter()
"""

from __future__ import annotations

from memsim.mm.folio import ANON, AddressSpace, forget_mapping, new_mapping
from memsim.mm.memory import zap_pte
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.history import changing_tasks
from memsim.mm.oom_kill.task import Mm, is_global_init, owner_of_region


def mmap_region(vm: Vm, name: str, nr_pages: int) -> AddressSpace:
    """A new region of current; of nobody where that is init. Kernel: mm/mmap.c mmap_region()."""
    region, current = new_mapping(vm, ANON, name), vm.oom.current
    if current.mm is not None and not is_global_init(current):
        regions = [*current.mm.regions, region.id]
        _set_regions(vm, current.mm, regions, current.mm.total_vm + nr_pages)
    return region


def munmap_region(vm: Vm, region: AddressSpace, nr_pages: int) -> None:
    """A region goes, with all that it has. Kernel: mm/vma.c do_vmi_munmap()."""
    owner = owner_of_region(vm.oom, region.id)
    zap_region(vm, region)
    forget_mapping(vm, region)
    if owner is not None and owner.mm is not None:
        regions = [id for id in owner.mm.regions if id != region.id]
        _set_regions(vm, owner.mm, regions, owner.mm.total_vm - nr_pages)


def _set_regions(vm: Vm, mm: Mm, regions: list[int], total_vm: int) -> None:
    def change() -> None:
        mm.regions, mm.total_vm = regions, total_vm

    changing_tasks(vm, change)


def count_regions(vm: Vm) -> None:
    """Let each process' counters say what its regions have now."""
    for process in vm.oom.processes:
        mm = process.mm
        if mm is not None and mm.regions:
            entries = [vm.folios.mappings[region] for region in mm.regions]
            mm.anonpages = sum(region.nrpages for region in entries)
            mm.swapents = sum(len(region.i_pages) - region.nrpages for region in entries)


def unmap_regions(vm: Vm, mm: Mm) -> None:
    """Give back all that the regions have. Kernel: mm/memory.c unmap_vmas()."""
    for id in mm.regions:
        zap_region(vm, vm.folios.mappings[id])


def zap_region(vm: Vm, region: AddressSpace) -> None:
    """Unmap all that a region has, in its order. Kernel: mm/memory.c zap_page_range_single()."""
    for index in sorted(region.i_pages):
        zap_pte(vm, region, index)


def forget_regions(vm: Vm, mm: Mm) -> None:
    """The regions go with their process. Kernel: mm/mmap.c exit_mmap()."""
    unmap_regions(vm, mm)
    for id in mm.regions:
        forget_mapping(vm, vm.folios.mappings[id])
    mm.regions.clear()

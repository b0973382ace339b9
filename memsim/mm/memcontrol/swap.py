"""Slots of the swap device are charged too, from when they are taken until they are free.

Kernel: mm/memcontrol.c __mem_cgroup_try_charge_swap() to mem_cgroup_swap_full()
"""

from __future__ import annotations

from memsim.mm.folio import folio_memcg
from memsim.mm.memcontrol.state import MemCgroup, memcg_memory_event, swap_cgroup_record
from memsim.mm.mmzone import Vm
from memsim.mm.page_counter import page_counter_try_charge, page_counter_uncharge
from memsim.mm.swap_info import get_nr_swap_pages, vm_swap_full
from memsim.words.memcontrol import MEMCG_SWAP_FAIL, MEMCG_SWAP_MAX
from memsim.words.mmzone import NULL


def mem_cgroup_try_charge_swap(vm: Vm, folio: int, slot: int) -> bool:
    """Charge the slot that a folio was given, NULL for none; False when its memcg may have no more.

    Kernel: mm/memcontrol.c __mem_cgroup_try_charge_swap()
    """
    memcg = folio_memcg(vm, folio)
    if memcg is None:
        return True
    if slot == NULL:
        memcg_memory_event(vm, memcg, MEMCG_SWAP_FAIL)
        return True
    if not page_counter_try_charge(vm, memcg.swap, 1):
        memcg_memory_event(vm, memcg, MEMCG_SWAP_MAX)
        memcg_memory_event(vm, memcg, MEMCG_SWAP_FAIL)
        return False
    swap_cgroup_record(vm, slot, memcg.id)
    return True


def mem_cgroup_uncharge_swap(vm: Vm, slot: int) -> None:
    """A slot is free. Kernel: mm/memcontrol.c __mem_cgroup_uncharge_swap()."""
    memcg = vm.folios.memcgs.groups.get(swap_cgroup_record(vm, slot, 0))
    if memcg is not None:
        page_counter_uncharge(vm, memcg.swap, 1)


def mem_cgroup_get_nr_swap_pages(vm: Vm, memcg: MemCgroup | None) -> int:
    """Slots that the memcg may still have.

    Kernel: mm/memcontrol.c mem_cgroup_get_nr_swap_pages()
    """
    nr_swap_pages = get_nr_swap_pages(vm)
    if memcg is None:
        return nr_swap_pages
    return min(nr_swap_pages, memcg.swap.max - memcg.swap.usage)


def mem_cgroup_swap_full(vm: Vm, folio: int) -> bool:
    """Is half of the device, or of what the folio's memcg may have of it, in use?

    Kernel: mm/memcontrol.c mem_cgroup_swap_full()
    """
    memcg = folio_memcg(vm, folio)
    if memcg is None or vm_swap_full(vm):
        return vm_swap_full(vm)
    return memcg.swap.usage * 2 >= min(memcg.swap.high, memcg.swap.max)

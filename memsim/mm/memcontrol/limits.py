"""What is written to a group's files.

Kernel: mm/memcontrol.c memory_min_write() to memory_max_write(), swap_max_write()
"""

from __future__ import annotations

from memsim.mm.memcontrol.high import reclaim_from, task_is_dying
from memsim.mm.memcontrol.state import MemCgroup, memcg_memory_event, set_memcg_field
from memsim.mm.memcontrol.stock import drain_all_stock
from memsim.mm.mmzone import Vm
from memsim.mm.page_counter import page_counter_memparse, set_counter
from memsim.words.errno import EINVAL
from memsim.words.gfp import GFP_KERNEL
from memsim.words.memcontrol import MEMCG_OOM
from memsim.words.mmzone import MAX_RECLAIM_RETRIES

#: Files that hold a limit, and the number of which counter it is.
LIMITS = {
    "memory.min": ("memory", "min"), "memory.low": ("memory", "low"),
    "memory.high": ("memory", "high"), "memory.max": ("memory", "max"),
    "memory.swap.max": ("swap", "max"),
}  # fmt: skip


def memcg_write(vm: Vm, memcg: MemCgroup, file: str, text: str) -> int:
    """Write to memory.oom.group, or to one of LIMITS, as a number of bytes or "max": 0, or -EINVAL.

    Kernel: mm/memcontrol.c memory_files[], swap_files[]
    """
    if file == "memory.oom.group":
        return memory_oom_group_write(vm, memcg, text)
    nr_pages = page_counter_memparse(text.strip())
    if nr_pages < 0:
        return nr_pages
    counter, field = LIMITS[file]
    set_counter(vm, getattr(memcg, counter), field, nr_pages)
    if file == "memory.high":
        _shrink_to_high(vm, memcg)
    elif file == "memory.max":
        _shrink_to_max(vm, memcg)
    return 0


def memory_oom_group_write(vm: Vm, memcg: MemCgroup, text: str) -> int:
    """0 or 1: does the group die as a whole? Kernel: mm/memcontrol.c memory_oom_group_write()."""
    if text.strip() not in ("0", "1"):
        return -EINVAL
    set_memcg_field(vm, memcg, "oom_group", int(text))
    return 0


def _shrink_to_high(vm: Vm, memcg: MemCgroup) -> None:
    """Reclaim what lies above; after 16 times in vain the rest is left to who charges next.

    Kernel: mm/memcontrol.c memory_high_write()
    """
    nr_retries, counter = MAX_RECLAIM_RETRIES, memcg.memory
    if counter.usage > counter.high:
        drain_all_stock(vm, memcg)
    while counter.usage > counter.high and not task_is_dying(vm):
        if reclaim_from(vm, memcg, counter.usage - counter.high, GFP_KERNEL):
            continue
        if not nr_retries:
            break
        nr_retries -= 1


def _shrink_to_max(vm: Vm, memcg: MemCgroup) -> None:
    """Reclaim what lies above; after 16 times in vain kill, one after the other.

    Kernel: mm/memcontrol.c memory_max_write()
    """
    nr_reclaims, counter = MAX_RECLAIM_RETRIES, memcg.memory
    if counter.usage > counter.max:
        drain_all_stock(vm, memcg)
    while counter.usage > counter.max and not task_is_dying(vm):
        if nr_reclaims:
            nr_reclaims -= not reclaim_from(vm, memcg, counter.usage - counter.max, GFP_KERNEL)
            continue
        memcg_memory_event(vm, memcg, MEMCG_OOM)
        if vm.pressure is None or not vm.pressure.mem_cgroup_out_of_memory(memcg, GFP_KERNEL, 0):
            break

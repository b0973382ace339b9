"""What memory cgroups are, and every change of their numbers: each is a step.

Kernel: include/linux/memcontrol.h struct mem_cgroup, mm/memcontrol.c struct memcg_stock_pcp
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.mm.mmzone import Vm
from memsim.mm.page_counter import PageCounter
from memsim.trace.events import TP_STEPS
from memsim.trace.memcg_steps import (
    LRU_ZONE_SIZE,
    MEMCG_FIELD,
    MEMCG_STOCK,
    RECLAIM_ITER,
    SWAP_CGROUP,
)
from memsim.words.memcontrol import (
    MEMCG_EVENTS,
    MEMCG_FIELD_NUMBER,
    MEMCG_FIELDS,
    MEMCG_VM_EVENTS,
)
from memsim.words.page_flags import NODE_STAT_ITEMS, NR_LRU_LISTS

if TYPE_CHECKING:
    from memsim.mm.folio import Lruvec

_FIRST_EVENT = MEMCG_FIELD_NUMBER[f"events.{MEMCG_EVENTS[0]}"]
_FIRST_VM_EVENT = MEMCG_FIELD_NUMBER[f"vm_events.{MEMCG_VM_EVENTS[0]}"]
_FIRST_STAT = MEMCG_FIELD_NUMBER[f"stat.{NODE_STAT_ITEMS[0]}"]


class MemCgroup:
    """struct mem_cgroup. `events` are those of MEMCG_EVENTS, `vm_events` of MEMCG_VM_EVENTS.

    `kmem` are charged pages of the kernel's own. `nodeinfo` has a lruvec for each node, and
    `lru_zone_size` its lists' pages by zone. high_delay: jiffies that memory.high let tasks wait.
    """

    __slots__ = (
        "events", "high_delay", "id", "kmem", "lru_zone_size", "memory", "nodeinfo", "oom_group",
        "path", "swap", "vm_events",
    )  # fmt: skip

    def __init__(self, id: int, path: str) -> None:
        self.id = id
        self.path = path
        self.memory = PageCounter(id, "memory")
        self.swap = PageCounter(id, "swap")
        self.oom_group = self.kmem = self.high_delay = 0
        self.events = [0] * len(MEMCG_EVENTS)
        self.vm_events = [0] * len(MEMCG_VM_EVENTS)
        self.nodeinfo: list[Lruvec] = []
        self.lru_zone_size: list[list[int]] = []


class MemcgStock:
    """struct memcg_stock_pcp: charges of one memcg that a CPU may give away; 0 is nobody's."""

    __slots__ = ("cached", "nr_pages")

    def __init__(self) -> None:
        self.cached = self.nr_pages = 0


class Memcgs:
    """All groups below the root by id, in the order in which they came; and each CPU's stock.

    `swap_cgroup` has the id that a slot of the swap device is charged to. `undone` are groups
    that undo() took away, for redo(). `lists` are heads of lists for groups that are or were: they
    are never given back, and the next group with that id has them. nr_pages_over_high is current's:
    it is 0 where no operation runs. `refused`: the last charge of a page of the kernel's own was.
    """

    __slots__ = (
        "groups", "iter_position", "lists", "nr_pages_over_high", "refused", "stock", "swap_cgroup",
        "undone",
    )  # fmt: skip

    def __init__(self, nr_cpus: int, nr_nodes: int) -> None:
        self.groups: dict[int, MemCgroup] = {}
        self.undone: dict[int, MemCgroup] = {}
        self.lists: dict[int, list[list[int]]] = {}
        self.stock = [MemcgStock() for _ in range(nr_cpus)]
        self.iter_position = [0] * nr_nodes
        self.swap_cgroup: dict[int, int] = {}
        self.nr_pages_over_high = 0
        self.refused = False


def set_memcg_field(vm: Vm, memcg: MemCgroup, name: str, value: int) -> None:
    """Change oom_group, kmem or high_delay."""
    old = getattr(memcg, name)
    if old != value and vm.trace.mask & TP_STEPS:
        vm.trace.step(MEMCG_FIELD, memcg.id, -1, MEMCG_FIELD_NUMBER[name], old, value)
    setattr(memcg, name, value)


def memcg_memory_event(vm: Vm, memcg: MemCgroup, event: int) -> None:
    """Something happened: MEMCG_*. Kernel: include/linux/memcontrol.h memcg_memory_event()."""
    _count(vm, memcg.id, -1, _FIRST_EVENT, memcg.events, event, 1)


def count_memcg_events(vm: Vm, memcg: MemCgroup | None, event: int, nr: int) -> None:
    """Count one of MEMCG_VM_EVENTS. Kernel: include/linux/memcontrol.h count_memcg_events()."""
    if memcg is not None:
        _count(vm, memcg.id, -1, _FIRST_VM_EVENT, memcg.vm_events, event, nr)


def mod_memcg_lruvec_state(vm: Vm, memcg: int, lruvec: Lruvec, item: int, delta: int) -> None:
    """Count in a lruvec that is not the root's.

    Kernel: mm/memcontrol.c __mod_memcg_lruvec_state()
    """
    _count(vm, memcg, lruvec.pgdat.nid, _FIRST_STAT, lruvec.vm_stat, item, delta)


def _count(
    vm: Vm, memcg: int, nid: int, first: int, numbers: list[int], item: int, delta: int
) -> None:
    old = numbers[item]
    if delta and vm.trace.mask & TP_STEPS:
        vm.trace.step(MEMCG_FIELD, memcg, nid, first + item, old, old + delta)
    numbers[item] = old + delta


def mem_cgroup_update_lru_size(
    vm: Vm, memcg: int, nid: int, zid: int, lru: int, nr_pages: int
) -> None:
    """Count pages on a list that lie in a zone. The root's are what is left of the zone's own.

    Kernel: mm/memcontrol.c mem_cgroup_update_lru_size()
    """
    sizes, item = vm.folios.memcgs.groups[memcg].lru_zone_size[nid], zid * NR_LRU_LISTS + lru
    if nr_pages and vm.trace.mask & TP_STEPS:
        vm.trace.step(LRU_ZONE_SIZE, memcg, nid, item, sizes[item], sizes[item] + nr_pages)
    sizes[item] += nr_pages


def set_stock(vm: Vm, cpu: int, cached: int, nr_pages: int) -> None:
    """Give a CPU's stock a memcg and its pages."""
    stock = vm.folios.memcgs.stock[cpu]
    old = stock.cached, stock.nr_pages
    if old != (cached, nr_pages) and vm.trace.mask & TP_STEPS:
        vm.trace.step(MEMCG_STOCK, cpu, *old, cached, nr_pages)
    stock.cached, stock.nr_pages = cached, nr_pages


def set_iter_position(vm: Vm, nid: int, memcg: int) -> None:
    """Where the node's next partial walk goes on behind: a memcg's id, the root's, or 0."""
    position = vm.folios.memcgs.iter_position
    if position[nid] != memcg and vm.trace.mask & TP_STEPS:
        vm.trace.step(RECLAIM_ITER, nid, position[nid], memcg)
    position[nid] = memcg


def swap_cgroup_record(vm: Vm, slot: int, memcg: int) -> int:
    """Charge a slot to a memcg, 0 for nobody: whose it was. Kernel: mm/swap_cgroup.c."""
    slots = vm.folios.memcgs.swap_cgroup
    old = slots.get(slot, 0)
    if old != memcg and vm.trace.mask & TP_STEPS:
        vm.trace.step(SWAP_CGROUP, slot, old, memcg)
    put_swap_cgroup(slots, slot, memcg)
    return old


def put_swap_cgroup(slots: dict[int, int], slot: int, memcg: int) -> None:
    """The change alone."""
    if memcg:
        slots[slot] = memcg
    else:
        slots.pop(slot, None)


def put_memcg_field(memcg: MemCgroup, nid: int, field: str, value: int) -> None:
    """Set a number by its name in MEMCG_FIELDS, for a step that is done again or undone."""
    group, _, name = field.rpartition(".")
    if group in ("memory", "swap"):
        setattr(getattr(memcg, group), name, value)
    elif group == "events":
        memcg.events[MEMCG_EVENTS.index(name)] = value
    elif group == "vm_events":
        memcg.vm_events[MEMCG_VM_EVENTS.index(name)] = value
    elif group == "stat":
        memcg.nodeinfo[nid].vm_stat[NODE_STAT_ITEMS.index(name)] = value
    elif group == "lruvec":
        setattr(memcg.nodeinfo[nid], name, value)
    else:
        setattr(memcg, name, value)


assert MEMCG_FIELDS[_FIRST_STAT] == "stat.NR_INACTIVE_ANON"

"""Every invariant of memory cgroups, each one sentence and one check; folio_validate.py has them.

They hold between operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from memsim.lib.list import list_for_each
from memsim.mm.folio import folio_nr_pages, folio_zone
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.words.memcontrol import MEMCG_CHARGE_BATCH, MEMCG_DATA_KMEM, MEMCG_DATA_SHIFT
from memsim.words.page_flags import (
    NR_ANON_MAPPED,
    NR_FILE_DIRTY,
    NR_FILE_MAPPED,
    NR_FILE_PAGES,
    NR_LRU_LISTS,
    NR_SWAPCACHE,
    PG_dirty,
    PG_swapcache,
)

#: PAGE_MAPPING_ANON of a mapping's id.
_ANON = 1


def _charged(vm: Vm, memcg: MemCgroup) -> list[tuple[int, int]]:
    """(page, its memcg_data) of what is charged to a memcg."""
    found = enumerate(vm.folios.memcg_data)
    return [(pfn, data) for pfn, data in found if data >> MEMCG_DATA_SHIFT == memcg.id]


def _usage(vm: Vm) -> Iterator[str]:
    """What a memcg's counter has is what is charged to it, and what CPUs have in stock for it."""
    memcgs = vm.folios.memcgs
    for memcg in memcgs.groups.values():
        charged = sum(folio_nr_pages(vm, page) for page, _ in _charged(vm, memcg))
        stock = sum(stock.nr_pages for stock in memcgs.stock if stock.cached == memcg.id)
        if memcg.memory.usage != charged + stock:
            yield f"{memcg.path}: usage {memcg.memory.usage}, charged {charged}, in stock {stock}"


def _kmem(vm: Vm) -> Iterator[str]:
    """kmem counts the charged pages of the kernel's own."""
    for memcg in vm.folios.memcgs.groups.values():
        own = [page for page, data in _charged(vm, memcg) if data & MEMCG_DATA_KMEM]
        counted = sum(folio_nr_pages(vm, page) for page in own)
        if memcg.kmem != counted:
            yield f"{memcg.path}: kmem {memcg.kmem}, there are {counted}"


def _stock(vm: Vm) -> Iterator[str]:
    """A stock is a memcg's that there is, and holds a batch at most."""
    memcgs = vm.folios.memcgs
    for cpu, stock in enumerate(memcgs.stock):
        known = stock.cached in memcgs.groups
        if not 0 <= stock.nr_pages <= MEMCG_CHARGE_BATCH or (stock.nr_pages and not known):
            yield f"CPU {cpu}: {stock.nr_pages} pages of memcg {stock.cached}"


def _limits(vm: Vm) -> Iterator[str]:
    """No counter is below 0 or was ever above its watermark; nothing waits to be taken back."""
    for memcg in vm.folios.memcgs.groups.values():
        for counter in (memcg.memory, memcg.swap):
            if not 0 <= counter.usage <= counter.watermark:
                yield f"{memcg.path}: {counter.name} {counter.usage} of {counter.watermark}"
    if vm.folios.memcgs.nr_pages_over_high:
        yield f"nr_pages_over_high {vm.folios.memcgs.nr_pages_over_high}"


def _swap(vm: Vm) -> Iterator[str]:
    """Slots that are charged are in use, and as many as the counters say."""
    slots, swap_map = vm.folios.memcgs.swap_cgroup, vm.folios.swap.swap_map
    for slot in slots:
        if not swap_map[slot]:
            yield f"slot {slot} is free"
    for memcg in vm.folios.memcgs.groups.values():
        counted = sum(id == memcg.id for id in slots.values())
        if memcg.swap.usage != counted:
            yield f"{memcg.path}: swap {memcg.swap.usage}, slots {counted}"


def _lru_zone_size(vm: Vm) -> Iterator[str]:
    """lru_zone_size, and the sums that memory.stat has, are the pages on a memcg's lists."""
    for memcg in vm.folios.memcgs.groups.values():
        for lruvec, sizes in zip(memcg.nodeinfo, memcg.lru_zone_size, strict=True):
            listed = [0] * len(sizes)
            for lru in range(NR_LRU_LISTS):
                for folio in list_for_each(vm.next, lruvec.lists[lru]):
                    at = folio_zone(vm, folio).idx * NR_LRU_LISTS + lru
                    listed[at] += folio_nr_pages(vm, folio)
                if lruvec.vm_stat[lru] != sum(listed[lru::NR_LRU_LISTS]):
                    yield f"{memcg.path}: list {lru} of node {lruvec.pgdat.nid}"
            if listed != sizes:
                yield f"{memcg.path}: lru_zone_size {sizes}, listed {listed}"


def _stat(vm: Vm) -> Iterator[str]:
    """anon, file, file_mapped, file_dirty and swapcached count a memcg's folios that are such."""
    items = (NR_ANON_MAPPED, NR_FILE_PAGES, NR_FILE_MAPPED, NR_FILE_DIRTY, NR_SWAPCACHE)
    for memcg in vm.folios.memcgs.groups.values():
        counted = [sum(lruvec.vm_stat[item] for lruvec in memcg.nodeinfo) for item in items]
        found = [0] * len(items)
        for folio, data in _charged(vm, memcg):
            if not data & MEMCG_DATA_KMEM:
                for at, is_such in enumerate(_is_such(vm, folio)):
                    found[at] += folio_nr_pages(vm, folio) if is_such else 0
        if counted != found:
            yield f"{memcg.path}: {counted}, there are {found}"


def _is_such(vm: Vm, folio: int) -> tuple[bool, bool, bool, bool, bool]:
    folios, flags = vm.folios, vm.folios.flags[folio]
    anon, mapped = folios.mapping[folio] & _ANON != 0, folios.mapcount[folio] > 0
    of_a_file = folios.mapping[folio] != 0 and not anon
    dirty, cached = flags & PG_dirty != 0, flags & PG_swapcache != 0
    return anon and mapped, of_a_file, of_a_file and mapped, of_a_file and dirty, cached


#: Every invariant of memcgs; its sentence is the docstring.
MEMCG_INVARIANTS: tuple[Callable[[Vm], Iterator[str]], ...] = (
    _usage, _kmem, _stock, _limits, _swap, _lru_zone_size, _stat,
)  # fmt: skip

"""Folios that are freed are charged no more; those whose contents move take the charge along.

Kernel: mm/memcontrol.c uncharge_batch() to mem_cgroup_migrate()
"""

from __future__ import annotations

from collections.abc import Iterable

from memsim.mm.folio import folio_memcg, set_word
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.mm.page_counter import page_counter_uncharge
from memsim.trace.folio_steps import WORD_MEMCG_DATA


def mem_cgroup_uncharge_folios(vm: Vm, folios: Iterable[tuple[int, int]]) -> None:
    """Uncharge (folio, order) after (folio, order): those of one memcg in a row at once.

    Kernel: mm/memcontrol.c __mem_cgroup_uncharge_folios()
    """
    gathered: MemCgroup | None = None
    nr_memory = 0
    for folio, order in folios:
        memcg = folio_memcg(vm, folio)
        if memcg is None:
            continue
        if memcg is not gathered:
            _uncharge_batch(vm, gathered, nr_memory)
            gathered, nr_memory = memcg, 0
        nr_memory += 1 << order
        set_word(vm.folios, WORD_MEMCG_DATA, folio, 0)
    _uncharge_batch(vm, gathered, nr_memory)


def _uncharge_batch(vm: Vm, memcg: MemCgroup | None, nr_memory: int) -> None:
    """Kernel: mm/memcontrol.c uncharge_batch()."""
    if memcg is not None:
        page_counter_uncharge(vm, memcg.memory, nr_memory)

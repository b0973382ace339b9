"""Pages of the kernel's own that are asked for with __GFP_ACCOUNT, for the task that runs.

Kernel: mm/memcontrol.c obj_cgroup_charge_pages() to __memcg_kmem_uncharge_page()
"""

from __future__ import annotations

from memsim.mm.folio import folio_memcg, folio_nr_pages, set_word
from memsim.mm.memcontrol.charge import try_charge_memcg
from memsim.mm.memcontrol.state import set_memcg_field
from memsim.mm.memcontrol.stock import refill_stock
from memsim.mm.mmzone import Vm
from memsim.trace.folio_steps import WORD_MEMCG_DATA
from memsim.words.memcontrol import MEMCG_DATA_KMEM, MEMCG_DATA_SHIFT
from memsim.words.mmzone import NULL


def memcg_kmem_charge_page(vm: Vm, page: int, gfp_mask: int, order: int) -> int:
    """Charge a block, unless it is NULL, to current's memcg: 0, or -ENOMEM.

    NOT MODELLED: set_active_memcg(). Kernel: mm/memcontrol.c __memcg_kmem_charge_page()
    """
    if not hasattr(vm, "folios"):
        return 0
    memcg, ret = vm.oom.current.memcg, 0
    if memcg is not None and page != NULL:
        ret = try_charge_memcg(vm, memcg, gfp_mask, 1 << order)
    vm.folios.memcgs.refused = ret != 0
    if memcg is not None and page != NULL and not ret:
        set_memcg_field(vm, memcg, "kmem", memcg.kmem + (1 << order))
        data = memcg.id << MEMCG_DATA_SHIFT | MEMCG_DATA_KMEM
        set_word(vm.folios, WORD_MEMCG_DATA, page, data)
    return ret


def memcg_kmem_uncharge_page(vm: Vm, page: int, order: int) -> None:
    """Uncharge a block that is freed, if it was charged so: into this CPU's stock.

    Kernel: mm/memcontrol.c __memcg_kmem_uncharge_page()
    """
    if not hasattr(vm, "folios") or not vm.folios.memcg_data[page] & MEMCG_DATA_KMEM:
        return
    memcg = folio_memcg(vm, page)
    assert memcg is not None
    set_memcg_field(vm, memcg, "kmem", memcg.kmem - (1 << order))
    refill_stock(vm, memcg, 1 << order)
    set_word(vm.folios, WORD_MEMCG_DATA, page, 0)


def split_page_memcg(vm: Vm, page: int) -> None:
    """Each page of a block that is about to be split has the block's charge.

    Kernel: mm/memcontrol.c split_page_memcg()
    """
    if hasattr(vm, "folios") and vm.folios.memcg_data[page]:
        for tail in range(page + 1, page + folio_nr_pages(vm, page)):
            set_word(vm.folios, WORD_MEMCG_DATA, tail, vm.folios.memcg_data[page])

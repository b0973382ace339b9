"""Each CPU charges a batch at once, and gives it away page by page without looking at the counter.

NOT MODELLED: that drain_all_stock() only asks other CPUs, which drain their stock a little later.

Kernel: mm/memcontrol.c consume_stock() to drain_all_stock()
"""

from __future__ import annotations

from memsim.mm.memcontrol.state import MemCgroup, set_stock
from memsim.mm.mmzone import Vm
from memsim.mm.page_counter import page_counter_uncharge
from memsim.words.memcontrol import MEMCG_CHARGE_BATCH


def consume_stock(vm: Vm, memcg: MemCgroup, nr_pages: int) -> bool:
    """Take charges from this CPU's stock, if it has as many of this memcg's.

    Kernel: mm/memcontrol.c consume_stock()
    """
    stock = vm.folios.memcgs.stock[vm.cpu]
    if nr_pages > MEMCG_CHARGE_BATCH or stock.cached != memcg.id or stock.nr_pages < nr_pages:
        return False
    set_stock(vm, vm.cpu, memcg.id, stock.nr_pages - nr_pages)
    return True


def drain_stock(vm: Vm, cpu: int) -> None:
    """Give a CPU's stock back to its memcg. Kernel: mm/memcontrol.c drain_stock()."""
    memcgs = vm.folios.memcgs
    stock = memcgs.stock[cpu]
    if stock.nr_pages:
        page_counter_uncharge(vm, memcgs.groups[stock.cached].memory, stock.nr_pages)
    set_stock(vm, cpu, 0, 0)


def refill_stock(vm: Vm, memcg: MemCgroup, nr_pages: int) -> None:
    """Keep charges in stock; more than a batch of them go back.

    Kernel: mm/memcontrol.c refill_stock()
    """
    stock = vm.folios.memcgs.stock[vm.cpu]
    if stock.cached != memcg.id:
        drain_stock(vm, vm.cpu)
    set_stock(vm, vm.cpu, memcg.id, stock.nr_pages + nr_pages)
    if stock.nr_pages > MEMCG_CHARGE_BATCH:
        drain_stock(vm, vm.cpu)


def drain_all_stock(vm: Vm, memcg: MemCgroup) -> None:
    """Every CPU gives back what it has in stock of a memcg.

    Kernel: mm/memcontrol.c drain_all_stock()
    """
    for cpu, stock in enumerate(vm.folios.memcgs.stock):
        if stock.cached == memcg.id and stock.nr_pages:
            drain_stock(vm, cpu)

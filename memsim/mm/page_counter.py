"""Pages that are charged, against limits: what a memcg has of memory, and of swap.

NOT MODELLED: the root's own counters, which have no limit; children_min_usage and
children_low_usage, by which a parent's protection is shared out below the first level;
local_watermark, which writing memory.peak resets.

Kernel: mm/page_counter.c
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT
from memsim.lib.memparse import memparse
from memsim.mm.mmzone import Vm
from memsim.trace.events import TP_STEPS
from memsim.trace.memcg_steps import MEMCG_FIELD
from memsim.words.errno import EINVAL
from memsim.words.memcontrol import MEMCG_FIELD_NUMBER
from memsim.words.oom import PAGE_COUNTER_MAX


class PageCounter:
    """struct page_counter, in pages. watermark: the most that usage ever was; failcnt: refusals.

    `owner` and `name` say in steps whose it is: a memcg's id, and "memory" or "swap".
    """

    __slots__ = (
        "failcnt", "high", "low", "max", "min", "name", "owner", "usage", "watermark",
    )  # fmt: skip

    def __init__(self, owner: int, name: str) -> None:
        self.owner = owner
        self.name = name
        self.usage = self.watermark = self.failcnt = 0
        self.min = self.low = 0
        self.high = self.max = PAGE_COUNTER_MAX


def set_counter(vm: Vm, counter: PageCounter, field: str, value: int) -> None:
    """Change a number of a counter, one of COUNTER_FIELDS."""
    old = getattr(counter, field)
    if old != value and vm.trace.mask & TP_STEPS:
        number = MEMCG_FIELD_NUMBER[f"{counter.name}.{field}"]
        vm.trace.step(MEMCG_FIELD, counter.owner, -1, number, old, value)
    setattr(counter, field, value)


def page_counter_charge(vm: Vm, counter: PageCounter, nr_pages: int) -> None:
    """Charge pages, whatever the limit. Kernel: mm/page_counter.c page_counter_charge()."""
    new = counter.usage + nr_pages
    set_counter(vm, counter, "usage", new)
    if new > counter.watermark:
        set_counter(vm, counter, "watermark", new)


def page_counter_try_charge(vm: Vm, counter: PageCounter, nr_pages: int) -> bool:
    """Charge pages if they fit below max; else count the failure.

    Kernel: mm/page_counter.c page_counter_try_charge()
    """
    if counter.usage + nr_pages > counter.max:
        set_counter(vm, counter, "failcnt", counter.failcnt + 1)
        return False
    page_counter_charge(vm, counter, nr_pages)
    return True


def page_counter_uncharge(vm: Vm, counter: PageCounter, nr_pages: int) -> None:
    """Pages are charged no more. Kernel: mm/page_counter.c page_counter_uncharge()."""
    set_counter(vm, counter, "usage", counter.usage - nr_pages)


def page_counter_memparse(text: str) -> int:
    """The pages of a limit as it is written, whole ones, "max" for none; or -EINVAL.

    Kernel: mm/page_counter.c page_counter_memparse()
    """
    if text == "max":
        return PAGE_COUNTER_MAX
    size, rest = memparse(text)
    if rest:
        return -EINVAL
    return min(size >> PAGE_SHIFT, PAGE_COUNTER_MAX)

"""Runs a plan on memsim's machine and counts the blocks of order 9 that it leaves."""

from memsim import GFP_HIGHUSER_MOVABLE, Machine
from memsim.lab.compare import Judged
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.words.mmzone import NULL

MAX_STEPS = 2000
_NO_PLAN = "a plan is a list of ['alloc', order] and ['free', number], at most 2000 of them"


def order_9_left(expected, got):
    """The share of pageblocks that no block of order 9 can be taken from."""
    if not isinstance(got, list):
        return Judged(0.0, _NO_PLAN)
    if len(got) > MAX_STEPS:
        return Judged(0.0, f"{len(got):,} steps, at most {MAX_STEPS:,}")
    run = _Run(expected)
    for step, entry in enumerate(got):
        wrong = run.do(entry)
        if wrong:
            return Judged(0.0, f"step {step}, {str(entry)[:40]}: {wrong}", run.mistake)
    return run.judged()


class _Run:
    """The machine while a plan runs."""

    def __init__(self, given):
        self.given = given
        self.machine = Machine.of_pages(given["pages"], steps=False)
        self.machine.vm.trace.mask = 0
        self.live, self.orders, self.used, self.mistake = {}, [], 0, ""
        self.reached = set()  # pageblocks in which a page was in use at some moment

    def is_untouched(self):
        """Never got farther than what is in use at once: the rest was never reached."""
        blocks, at_once = self.given["pages"] >> 9, -(-self.given["limit"] >> 9)
        return 0 < len(self.reached) <= min(at_once, blocks - 1)

    def do(self, entry):
        """One step; in words what is wrong with it, or ""."""
        if not isinstance(entry, list) or len(entry) != 2 or type(entry[1]) is not int:
            return _NO_PLAN
        if entry[0] == "alloc":
            return self.alloc(entry[1])
        return self.free(entry[1]) if entry[0] == "free" else _NO_PLAN

    def alloc(self, order):
        if not 0 <= order <= 10:
            return "an order is 0 to 10"
        self.used += 1 << order
        if self.used > self.given["limit"]:
            self.mistake = "all_at_once"
            return f"{self.used} pages in use, the limit is {self.given['limit']}"
        pfn = alloc_pages(self.machine.vm, GFP_HIGHUSER_MOVABLE, order, 0)
        if pfn == NULL:
            return "no free block is large enough"
        self.live[len(self.orders)] = pfn
        self.reached.update(range(pfn >> 9, (pfn + (1 << order) - 1 >> 9) + 1))
        self.orders.append(order)
        return ""

    def free(self, number):
        if number not in self.live:
            return f"block {number} is not in use"
        free_unref_page(self.machine.vm, self.live.pop(number), self.orders[number])
        self.used -= 1 << self.orders[number]
        return ""

    def judged(self):
        blocks = self.given["pages"] >> 9
        nr_free = self.machine.nr_free()
        left = nr_free[9] + 2 * nr_free[10]
        told = f"{left} of {blocks} blocks of order 9 left, {self.used} pages in use at the end"
        if self.used > self.given["end"]:
            return Judged(0.0, f"{told}: more than {self.given['end']}", "keeps_too_much")
        mistake = ""
        if left == blocks - 1:
            mistake = "one_place"
        elif self.is_untouched():
            mistake = "half_of_it"
        return Judged(1 - left / blocks, told, mistake)

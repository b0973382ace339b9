"""A machine lives through requests, each served from the list that the student chose for it."""

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine
from memsim.lab.compare import Judged
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.words.gfp import __GFP_RECLAIMABLE
from memsim.words.mmzone import NULL, PAGEBLOCK_ORDER

#: What a driver writes for each of the three lists.
MASKS = {
    "Unmovable": GFP_KERNEL,
    "Movable": GFP_HIGHUSER_MOVABLE,
    "Reclaimable": GFP_KERNEL | __GFP_RECLAIMABLE,
}
#: So many pageblocks more than need be are worth nothing.
WORST = 3


def pageblocks_left(expected, got):
    """1 if as few pageblocks are spoilt as possible, 0 for three more of them."""
    requests = expected["requests"]
    if not isinstance(got, list) or len(got) != len(requests):
        return Judged(0.0, f"should be a list of {len(requests)} texts, one for each request")
    if any(not isinstance(name, str) or name not in MASKS for name in got):
        return Judged(0.0, f"each text should be of {', '.join(MASKS)}")
    spoilt, failed = _spoilt(expected, got)
    if failed is not None:
        return Judged(0.0, f"request {failed} found no memory")
    score = min(max(1 - (spoilt - expected["least"]) / WORST, 0.0), 1.0)
    blocks = expected["pages"] >> PAGEBLOCK_ORDER
    told = f"{spoilt} of {blocks} pageblocks spoilt, {expected['least']} would do"
    return Judged(score, told, "" if score == 1 else _mistake(requests, got))


def _mistake(requests, got):
    if len(set(got)) == 1:
        return "all_alike"
    is_movable = [name == "Movable" for name in got]
    if is_movable == [bool(request["movable"]) for request in requests]:
        return "by_movability" if len(set(got)) == 2 else ""
    return "by_lifetime" if is_movable == [bool(r["lives"]) for r in requests] else ""


def _spoilt(expected, got):
    """(pageblocks with a page in use at the end that cannot be moved, the request that failed)."""
    machine = Machine.of_pages(expected["pages"], steps=False)
    machine.vm.trace.mask = 0
    due, spoilt = {}, set()
    for number, (name, request) in enumerate(zip(got, expected["requests"], strict=True)):
        for pfn, order in due.pop(number, ()):
            free_unref_page(machine.vm, pfn, order)
        pfn = alloc_pages(machine.vm, MASKS[name], request["order"], 0)
        if pfn == NULL:
            return 0, number
        if request["lives"]:
            due.setdefault(number + request["lives"], []).append((pfn, request["order"]))
        elif not request["movable"]:
            spoilt.add(pfn >> PAGEBLOCK_ORDER)
    return len(spoilt), None

"""What a choice of lazy and eager frees costs: splits, merges, and hurried drains."""

from memsim.lab.compare import Judged

#: The only block, at the beginning: 2**LARGEST pages.
LARGEST = 8
#: A request that finds nothing, though enough is kept, costs so much besides the merges.
DRAIN = 20
LAZY, EAGER = "lazy", "eager"


def cheap(expected, got):
    """1 for the cost to reach or less, 0 for that of the better of all lazy and all eager."""
    trace = expected["trace"]
    frees = sum(what == "free" for what, _ in trace)
    if not isinstance(got, list) or len(got) != frees or any(c not in (LAZY, EAGER) for c in got):
        return Judged(0.0, f"should be a list of {frees} texts, each 'lazy' or 'eager'")
    (cost, drains), none, full = cost_and_drains(trace, got), expected["none"], expected["full"]
    score = min(max((none - cost) / (none - full), 0.0), 1.0)
    waits = f"{drains * DRAIN} of them for {drains} {'wait' if drains == 1 else 'waits'}"
    told = f"cost {cost}, {waits}; all lazy or all eager costs {none}, full marks for {full}"
    mistake = {(LAZY,): "all_lazy", (EAGER,): "all_eager"}.get(tuple(set(got)), "")
    return Judged(score, told, mistake)


def cost_of(trace, choices):
    """Splits, merges and drains of a trace, when each free in turn is lazy or eager as chosen."""
    return cost_and_drains(trace, choices)[0]


def cost_and_drains(trace, choices):
    """The same, and how many drains there were."""
    buddy, choices = _LazyBuddy(), iter(choices)
    for what, number in trace:
        if what == "alloc":
            buddy.alloc(number)
        else:
            buddy.free(number, next(choices) == LAZY)
    return buddy.cost, buddy.drains


class _LazyBuddy:
    """The buddy system of lesson 02, with a list of kept blocks for each order in front of it."""

    def __init__(self):
        self.free_area = [[] for _ in range(LARGEST)] + [[0]]
        self.kept = [[] for _ in range(LARGEST + 1)]
        self.blocks, self.cost, self.drains = [], 0, 0

    def alloc(self, order):
        if self.kept[order]:
            self.blocks.append((self.kept[order].pop(), order))
            return
        if not any(self.free_area[order:]):
            self.drain()
        high = next(n for n in range(order, LARGEST + 1) if self.free_area[n])
        pfn = self.free_area[high].pop(0)
        self.cost += high - order
        while high > order:
            high -= 1
            self.free_area[high].insert(0, pfn + (1 << high))
        self.blocks.append((pfn, order))

    def free(self, number, is_lazy):
        pfn, order = self.blocks[number]
        if is_lazy:
            self.kept[order].append(pfn)
        else:
            self.merge(pfn, order)

    def merge(self, pfn, order):
        while order < LARGEST and pfn ^ (1 << order) in self.free_area[order]:
            self.free_area[order].remove(pfn ^ (1 << order))
            pfn &= ~(1 << order)
            order += 1
            self.cost += 1
        self.free_area[order].insert(0, pfn)

    def drain(self):
        self.cost += DRAIN
        self.drains += 1
        for order, pfns in enumerate(self.kept):
            while pfns:
                self.merge(pfns.pop(), order)

"""Slab requests that an interrupt came into: had they their object before it, or after?

A request is logged when it has its object. An interrupt right in front of that line came before
the request, or after it, into its tracepoint or into what it does last: zeroing the object. In the
tracepoint preemption is off two levels more than in other interrupts that do the same; and what
is left to do in zeroing takes less time than the whole request, or the way out of an interrupt.
"""

from __future__ import annotations

from array import array
from collections import Counter

from memsim.replay.inputs import ARGUMENTS, Kind, Rows
from memsim.replay.interrupts import Interrupt, interrupts_in
from memsim.replay.slab_fields import is_slab

_REQUESTS = frozenset({Kind.kmem_cache_alloc, Kind.kmalloc, Kind.bulk_alloc})
_FREES = frozenset({Kind.kmem_cache_free, Kind.kfree})
_IN_TRACEPOINT = 2
#: Probes of a function's return: their lines are one deeper than the function itself is.
#: Kernel: kernel/trace/ftrace.c ftrace_test_recursion_trylock() in fprobe's handler.
_FUNCTION_RETURNS = frozenset({Kind.bulk_alloc, Kind.rnd, Kind.bulk_ret})
_OFTEN = 4
_SECOND = 1_000_000
#: Microseconds from an interrupt's last event to the next of whom it came into, at least.
_WAY_OUT = 24


def order_slab(rows: Rows, when: array[float]) -> None:
    """Move requests that had their object when an interrupt came in front of it.

    when: by row, its place in the order.
    """
    depths: dict[int, Counter[int]] = {}
    into = [
        (interrupt, _what(rows, interrupt))
        for interrupt in interrupts_in(rows.interrupts)
        if is_slab(rows.kind[interrupt.first]) or is_slab(rows.kind[interrupt.last])
    ]
    if not into:
        return
    for interrupt, what in into:
        depths.setdefault(what, Counter())[max(0, _over(rows, interrupt))] += 1
    usual = _usual(depths)
    took = _least_times(rows)
    for interrupt, what in into:
        before, until = interrupt.before, interrupt.until
        over = _over(rows, interrupt)
        in_tracepoint = over - usual[what] >= _IN_TRACEPOINT
        if until < 0 or rows.kind[until] not in _REQUESTS:
            if in_tracepoint and interrupt.left and before >= 0 and rows.kind[before] in _FREES:
                when[before] = max(when[before], interrupt.last + 0.3)
            continue
        needs = max(_WAY_OUT, took.get(rows[until][1], 0.0))
        if in_tracepoint or (over <= 0 and 0 <= interrupt.left < needs):
            when[until] = min(when[until], interrupt.first - 0.75)


def _over(rows: Rows, interrupt: Interrupt) -> int:
    """How much deeper the interrupt is than what goes on behind it, not counting its probe."""
    in_probe = interrupt.until >= 0 and rows.kind[interrupt.until] in _FUNCTION_RETURNS
    return interrupt.over + in_probe


def _usual(depths: dict[int, Counter[int]]) -> dict[int, int]:
    """The depth that is most common for each; of what is rare, that of all."""
    of_all = sum(depths.values(), Counter[int]())
    return {
        what: (counts if counts.total() >= _OFTEN else of_all).most_common(1)[0][0]
        for what, counts in depths.items()
    }


def _what(rows: Rows, interrupt: Interrupt) -> int:
    """What the interrupt does, by the call site that it begins with."""
    row = interrupt.first
    while not is_slab(rows.kind[row]) and row < interrupt.last:
        row += 1
    return rows[row][1]


def _least_times(rows: Rows) -> dict[int, float]:
    """By call site: the least time of a request, in microseconds, from its context's last event."""
    last: dict[int, int] = {}
    least: dict[int, float] = {}
    for row, kind in enumerate(rows.kind):
        context = rows.context[row]
        if kind in _REQUESTS and context in last:
            took = (rows.time[row] - rows.time[last[context]]) * _SECOND
            site = rows.arguments[row * ARGUMENTS + 1]
            least[site] = min(took, least.get(site, took))
        last[context] = row
    return least

"""Slab requests and frees in the order in which they took effect: who had what when others came?

A request is logged when it has its object, a free when it begins; what other CPUs or interrupts do
in between comes before it, or after. Where a probe tells, that counts: put_cpu_partial() is called
by a request under the node's list_lock, and by a free when its slab is on no list yet. For
interrupts there are rules; none looks at the answer. An interrupt came into a request, and the
request had its object by then, if one of these is so, in this order:

`rescheduled`: the interrupt had the task rescheduled, and the request, that may sleep, is logged
with need_resched: might_alloc(), where it begins, would have gone to schedule(), so it was behind
that. Then it takes its object at once, interrupts off where that takes longer. (kmalloc() has as
little to do behind that as before it: preemption must be off besides.)
`tracepoint`: preemption is off by two levels more than in other interrupts that do the same, so it
came into the tracepoint, which has read need_resched by then; or, if it came soon after the event
before, and the next took its time, into that one's tracepoint: then a free comes after it.
`flags read`: one level more, need_resched set, but not logged: in the tracepoint too.
`zeroing`: little time is left, less than the request takes from its object to its event, and the
way out of an interrupt.

A free comes behind an interrupt that came into its tracepoint, and behind one that found the slab
full: `put_cpu_partial()` is called for such.

What comes between a request's look for an object and its call for a new slab comes deeper, for
preemption is off in ___slab_alloc() and in the probe: then it looked before.

Kernel: mm/slub.c ___slab_alloc(), slab_post_alloc_hook(); include/linux/sched/mm.h might_alloc();
kernel/trace/trace_events.c trace_event_buffer_reserve()
"""

from __future__ import annotations

from array import array
from collections import Counter

from memsim.lib.bits import PAGE_SHIFT
from memsim.replay.rows.inputs import SLAB_KINDS, Kind, Rows
from memsim.replay.rows.interrupts import BEHIND, IN_INTERRUPT, Interrupt, interrupts_in
from memsim.replay.rows.slab_fields import is_slab
from memsim.words.gfp import __GFP_DIRECT_RECLAIM

_REQUESTS = frozenset({Kind.kmem_cache_alloc, Kind.kmalloc, Kind.bulk_alloc})
_FREES = frozenset({Kind.kmem_cache_free, Kind.kfree})
#: What a request shows of itself: its end, or its call for a new slab.
_ASK = _REQUESTS | {Kind.newslab}
_ANY_FREE = _FREES | {Kind.bulk_free}
_OF_CALL_SITES = frozenset({Kind.kmem_cache_alloc, Kind.kmalloc, *_FREES})
#: Rows that tell the cache's address, and then gfp_mask.
_OF_CACHES = frozenset({Kind.bulk_alloc, Kind.newslab})
#: All rows but those that tell more of the event before them.
_EVENTS = frozenset(Kind) - {Kind.objects}
_MAY_SLEEP = __GFP_DIRECT_RECLAIM
_IN_TRACEPOINT = 2
#: Probes of a function's return: their lines are one deeper than the function itself is.
#: Kernel: kernel/trace/fprobe.c fprobe_exit_handler(): ftrace_test_recursion_trylock()
_FUNCTION_RETURNS = frozenset({Kind.bulk_alloc, Kind.rnd, Kind.bulk_ret})
_OFTEN = 4
_SECOND = 1_000_000
#: Microseconds from an interrupt's last event to the next of whom it came into, mostly.
_WAY_OUT = 24
#: From where an interrupt comes in to its first event, at most.
_WAY_IN = 500
#: Frees of all CPUs that are looked back at.
_NR_FREES = 8
#: From an interrupt behind a bulk request to the event of the probe of its return, at most.
_RETURN_PROBE = 120
#: From an event to an interrupt's first: more, and the host had taken the CPU away.
_STOOD_STILL = 10_000
#: Through schedule() and back: hardly ever less.
_SCHEDULED = 70


def order_slab(rows: Rows, when: array[float]) -> None:
    """Move requests and frees to where they took effect.

    when: by row, its place in the order.
    """
    _order_by_probes(rows, when)
    times = _least_times(rows)
    _order_between_cpus(rows, when, times)
    into = [
        interrupt
        for interrupt in interrupts_in(rows.interrupts)
        if is_slab(rows.kind[interrupt.first]) or is_slab(rows.kind[interrupt.last])
    ]
    if not into:
        return
    for interrupt, usual in zip(into, _usual(rows, into), strict=True):
        before, until = interrupt.before, interrupt.until
        deeper = _over(rows, interrupt) - usual
        if until >= 0 and rows.kind[until] in _REQUESTS:
            if _had_object(rows, interrupt, deeper, times):
                when[until] = min(when[until], interrupt.first - 0.75)
        elif until >= 0 and rows.kind[until] == Kind.newslab:
            if deeper > 0 or _was_behind_might_alloc(rows, interrupt):
                when[until] = min(when[until], interrupt.first - 0.75)
        is_free = before >= 0 and rows.kind[before] in _FREES
        is_asked = until >= 0 and rows.kind[until] in _ASK
        if is_free and (
            (not is_asked and deeper >= _IN_TRACEPOINT and interrupt.left)
            or _was_full_until(rows, interrupt)
        ):
            when[before] = max(when[before], interrupt.last + 0.3)


def _was_full_until(rows: Rows, interrupt: Interrupt) -> bool:
    """Did the interrupt free the first object of a full slab of which one was freed before it?

    put_cpu_partial() is called for a slab that was full: so what was freed before was not on the
    slab's freelist yet. Only objects in one page are known here to be of one slab.
    """
    page, last = rows.argument(interrupt.before, 0) >> PAGE_SHIFT, interrupt.before
    for row in range(interrupt.first, interrupt.last + 1):
        if rows.context[row] != rows.context[interrupt.first]:
            continue
        if rows.kind[row] == Kind.putcpup and rows.argument(row, 2):
            if rows.kind[last] in _FREES and rows.argument(last, 0) >> PAGE_SHIFT == page:
                return last != interrupt.before
        last = row
    return False


def _order_by_probes(rows: Rows, when: array[float]) -> None:
    """Requests and frees that call put_cpu_partial() count from there."""
    last: dict[int, int] = {}
    asked: dict[int, int] = {}
    if Kind.putcpup not in rows.kind:
        return
    for row in rows.of_kinds(SLAB_KINDS - {Kind.objects}):
        kind, who = rows.kind[row], rows.context[row]
        if kind == Kind.putcpup:
            if not rows.argument(row, 2):
                asked.setdefault(who, row)
            elif rows.kind[last.get(who, row)] in _FREES:
                when[last[who]] = row
        elif kind in _REQUESTS and who in asked:
            when[row] = asked.pop(who)
        last[who] = row


def _order_between_cpus(rows: Rows, when: array[float], times: dict[int, float]) -> None:
    """Requests logged right behind another CPU's free had their objects before it took effect.

    A free has done nothing yet when it is logged; a request, all but the last part. So the request
    is first if it had begun by then: it takes no less time than its like ever took.
    """
    if max(rows.cpu, default=0) == 0:
        return
    on_cpu: dict[int, int] = {}
    frees: list[int] = []
    for row in rows.of_kinds(_REQUESTS | _ANY_FREE):
        cpu = rows.cpu[row]
        if rows.kind[row] in _ANY_FREE:
            frees = [*frees[-_NR_FREES:], row]
        else:
            least = times.get(_site(rows, row), 0.0)
            for free in reversed(frees):
                if (rows.time[row] - rows.time[free]) * _SECOND > least:
                    break
                if rows.cpu[free] != cpu and free > on_cpu.get(cpu, -1):
                    when[row] = min(when[row], free - 0.5)
        on_cpu[cpu] = row


def _had_object(rows: Rows, interrupt: Interrupt, deeper: int, times: dict[int, float]) -> bool:
    """Had the request behind it its object when the interrupt came?"""
    until, left, resched = interrupt.until, interrupt.left, interrupt.resched
    if left == 0 or _was_behind_might_alloc(rows, interrupt):
        return True
    if rows.kind[until] == Kind.bulk_alloc:
        return _had_objects(_over(rows, interrupt), left, _way_in(rows, interrupt))
    if deeper >= _IN_TRACEPOINT:
        return not _is_of_event_before(rows, interrupt)
    if resched == IN_INTERRUPT:
        return deeper == 1 and 0 < left < _SCHEDULED
    needs = max(_WAY_OUT, times.get(_site(rows, until), 0.0))
    return _over(rows, interrupt) <= 0 and 0 <= left < needs


def _had_objects(over: int, left: int, way_in: float) -> bool:
    """Had the bulk request behind it its objects when the interrupt came?

    Interrupts are off while it takes them: one that came then comes right behind, and only a
    return probe's event is left. In that probe it is three levels deeper, or two, as in the
    tracepoint before. Then time tells, unless the CPU stood still for long, and is slow after that.
    """
    if over > _IN_TRACEPOINT or (over == _IN_TRACEPOINT and way_in > _STOOD_STILL):
        return True
    return over != 1 and 0 <= left < _RETURN_PROBE


def _was_behind_might_alloc(rows: Rows, interrupt: Interrupt) -> bool:
    """Did the task go on with need_resched where might_alloc() would have gone to schedule()?"""
    until = interrupt.until
    gfp_mask = rows[until][1 if rows.kind[until] in _OF_CACHES else 4]
    if interrupt.resched != IN_INTERRUPT | BEHIND or not gfp_mask & _MAY_SLEEP:
        return False
    over = _over(rows, interrupt)
    if over > 0:  # in its line; or, when much is left to do, still in ___slab_alloc()
        return interrupt.left < 2 * _SCHEDULED
    return rows.kind[until] != Kind.kmalloc


def _is_of_event_before(rows: Rows, interrupt: Interrupt) -> bool:
    """Did it come into the tracepoint of the event before, not into that of the next?"""
    if interrupt.resched == IN_INTERRUPT | BEHIND:
        return True
    if interrupt.before < 0 or interrupt.left <= _WAY_OUT:
        return False
    return _way_in(rows, interrupt) < _WAY_IN


def _way_in(rows: Rows, interrupt: Interrupt) -> float:
    """Microseconds from the event before to the interrupt's first; 0 if there is none."""
    before = interrupt.before
    return 0.0 if before < 0 else (rows.time[interrupt.first] - rows.time[before]) * _SECOND


def _over(rows: Rows, interrupt: Interrupt) -> int:
    """How much deeper the interrupt is than what goes on behind it, not counting its probe."""
    in_probe = interrupt.until >= 0 and rows.kind[interrupt.until] in _FUNCTION_RETURNS
    return interrupt.over + in_probe


def _usual(rows: Rows, into: list[Interrupt]) -> list[int]:
    """How deep each of them usually is, by what it does first and by what it does last.

    RCU's callbacks come last; the depth is that of the least deep of an interrupt's lines. Of what
    is rare, the depth that is most common for all.
    """
    what = [_what(rows, interrupt) for interrupt in into]
    depths: dict[int, Counter[int]] = {}
    for interrupt, (first, last) in zip(into, what, strict=True):
        for site in {first, last}:
            depths.setdefault(site, Counter())[max(0, _over(rows, interrupt))] += 1
    of_all = sum(depths.values(), Counter[int]())
    usual = {
        site: (counts if counts.total() >= _OFTEN else of_all).most_common(1)[0][0]
        for site, counts in depths.items()
    }
    return [min(usual[first], usual[last]) for first, last in what]


def _what(rows: Rows, interrupt: Interrupt) -> tuple[int, int]:
    """What the interrupt does, by the call sites that it begins and ends with."""
    first, last = interrupt.first, interrupt.last
    while first < last and rows.kind[first] not in _OF_CALL_SITES:
        first += 1
    while last > first and rows.kind[last] not in _OF_CALL_SITES:
        last -= 1
    return rows.argument(first, 1), rows.argument(last, 1)


def _site(rows: Rows, row: int) -> int:
    """The request's call site; of a bulk request, how many objects it gave, below 0."""
    is_bulk = rows.kind[row] == Kind.bulk_alloc
    return -rows[row][3] if is_bulk else rows[row][1]


def _least_times(rows: Rows) -> dict[int, float]:
    """By call site: the least time of a request, in microseconds, from its context's last event."""
    last: dict[int, int] = {}
    least: dict[int, float] = {}
    for row in rows.of_kinds(_EVENTS):
        kind, context = rows.kind[row], rows.context[row]
        if kind in _REQUESTS and context in last:
            took = (rows.time[row] - rows.time[last[context]]) * _SECOND
            site = _site(rows, row)
            least[site] = min(took, least.get(site, took))
        last[context] = row
    return least

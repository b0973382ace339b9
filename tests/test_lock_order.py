"""Operations in the order in which they took effect: by zone->lock, interrupts, remote drains."""

from __future__ import annotations

import random
from array import array

import pytest

from memsim.replay.order.holds import runs_of_holds
from memsim.replay.order.lock_order import operation_order, rows_by_place
from memsim.replay.rows.fates import settle_frees
from memsim.replay.rows.inputs import ARGUMENTS, Kind, Rows
from memsim.replay.rows.interrupts import Interrupts, Who

LOCKED = Kind.mm_page_alloc_zone_locked
DRAINED = Kind.mm_page_pcpu_drain
ALLOC = Kind.mm_page_alloc
FREE = Kind.mm_page_free
BATCHED = Kind.mm_page_free_batched
DIRECT = Kind.direct


Args = tuple[int, ...] | list[int]


def add_row(
    rows: Rows, kind: Kind, cpu: int, who: tuple[int, int], *, time: int = 0, args: Args = ()
) -> int:
    """One more row of (context, task), at a time in microseconds: its number."""
    row = len(rows)
    rows.kind.append(kind)
    rows.cpu.append(cpu)
    rows.context.append(who[0])
    rows.task.append(who[1])
    rows.line.append(row)
    rows.time.append(time / 1e6)
    rows.arguments.extend((*args, *(0,) * (ARGUMENTS - len(args))))
    return row


def rows_of(*events: tuple[Kind, int]) -> Rows:
    """Rows of (kind, CPU); each CPU runs one task."""
    rows = Rows()
    for kind, cpu in events:
        add_row(rows, kind, cpu, (cpu, cpu))
    return rows


def order_of(*events: tuple[Kind, int]) -> list[int]:
    """Row numbers of operations, without the tracepoints they are ordered by."""
    return operations(rows_of(*events))


def operations(rows: Rows) -> list[int]:
    order, _ = operation_order(rows)
    return [row for row in order if rows.kind[row] not in (LOCKED, DRAINED)]


def test_a_request_counts_from_its_refill() -> None:
    """CPU 0 refills first and is logged last."""
    assert order_of((LOCKED, 0), (LOCKED, 0), (LOCKED, 1), (ALLOC, 1), (ALLOC, 0)) == [4, 3]


def test_a_free_counts_from_its_drain() -> None:
    """CPU 0 frees first and waits for the lock; CPU 1 drains before it."""
    assert order_of((FREE, 0), (FREE, 1), (DRAINED, 1), (DRAINED, 0)) == [1, 0]


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_done_by_their_places(seed: int) -> None:
    """Before the first row and behind the last there are places too."""
    chance = random.Random(seed)
    when = array("d", range(60))
    for row in chance.sample(range(60), 20):
        when[row] = chance.randrange(-1, 59) + chance.choice((0, 0.25, 0.3, 0.5))
    assert list(rows_by_place(when)) == sorted(range(60), key=lambda row: (when[row], row))


def test_what_needs_no_lock_stays_where_it_is() -> None:
    """Pages from and to pcp lists."""
    assert order_of((ALLOC, 0), (FREE, 1), (ALLOC, 1)) == [0, 1, 2]


def runs_of(rows: Rows) -> dict[int, int]:
    """Row -> pages of the run that begins there."""
    return {row: nr_pages for row, nr_pages in enumerate(runs_of_holds(rows)) if nr_pages}


def test_a_bulk_request_s_refills_are_told_apart() -> None:
    """Two holds of the lock with another CPU's between them; one that follows its own begin."""
    rows = rows_of(
        (LOCKED, 0), (ALLOC, 0), (Kind.bulk, 0), (LOCKED, 0), (LOCKED, 0),
        (DRAINED, 1), (LOCKED, 0), (Kind.bulk_ret, 0), (LOCKED, 0), (ALLOC, 0),
    )  # fmt: skip
    assert runs_of(rows) == {3: 2, 6: 1}


def test_a_bulk_request_may_go_on_on_another_cpu() -> None:
    """Its task moves after the event; the refill on the other CPU is the request's all the same."""
    rows = rows_of((Kind.bulk, 0), (LOCKED, 1), (LOCKED, 1), (Kind.bulk_ret, 1))
    rows.context[0] = 1
    assert runs_of(rows) == {1: 2}


@pytest.mark.parametrize("kind", [Kind.decay, Kind.drain_pages])
def test_batches_of_a_drain_are_told_apart(kind: Kind) -> None:
    """Another CPU refills between two batches; what the context frees later is no batch."""
    rows = rows_of(
        (kind, 0), (DRAINED, 0), (DRAINED, 0), (LOCKED, 1), (DRAINED, 0), (FREE, 0), (DRAINED, 0),
    )  # fmt: skip
    rows.arguments[4 * 6 + 1] = 2
    assert runs_of(rows) == {1: 2, 4: 4}


# Interrupts


class Lines:
    """A trace of one CPU, line by line: who, at which microsecond, and what row, if any."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.interrupts = Interrupts(1, self.rows.interrupts)

    def add(
        self, flags: str, time: int, kind: Kind | None = None, *, pid: int = 9, args: Args = ()
    ) -> int:
        """The row, -1 for an event that is not read."""
        row = -1
        if kind is not None:
            context = pid + 1000 * ".shH".find(flags[2])
            row = add_row(self.rows, kind, 0, (context, pid), time=time, args=args)
        self.interrupts.line(Who(0, pid, flags), time / 1e6, row)
        self.rows.facts.events += 1
        return row


@pytest.mark.parametrize(
    ("flags", "until", "later"),
    [
        ("..s..", 460, True),
        (".Ns2.", 460, True),
        ("..s1.", 460, False),
        ("..s..", 430, False),
    ],
)
def test_an_interrupt_right_behind_a_free_comes_before_its_commit(
    flags: str, until: int, later: bool
) -> None:
    """But not when the task had left pcp->lock, or was already at its next event."""
    trace = Lines()
    free = trace.add(".....", 100, FREE)
    trace.add(flags, 420)
    other = trace.add(flags, 430, FREE)
    trace.add(".....", until)
    assert operations(trace.rows) == ([other, free] if later else [free, other])


def test_a_free_is_committed_by_the_time_of_the_task_s_next_event() -> None:
    """Which need not be one that is read."""
    trace = Lines()
    free = trace.add(".....", 100, FREE)
    trace.add(".....", 110)
    other = trace.add("..s..", 430, FREE)
    trace.add(".....", 460)
    assert operations(trace.rows) == [free, other]


@pytest.mark.parametrize(("order", "first"), [(0, True), (3, True), (4, False), (9, True)])
def test_an_interrupt_that_found_the_pcp_lock_taken_came_into_a_commit(
    order: int, first: bool
) -> None:
    """Blocks of order 4 to 8 go straight to the buddy in any case."""
    trace = Lines()
    free = trace.add(".....", 100, FREE)
    trace.add("..s2.", 430, Kind.free_then_direct)
    trace.add("d.s3.", 432, DIRECT, args=[0, 0, order])
    trace.add(".....", 460)
    assert (operations(trace.rows)[0] == free) == first


def test_after_another_task_s_line_nothing_is_known_of_a_free() -> None:
    trace = Lines()
    free = trace.add(".....", 100, FREE)
    other = trace.add("..s..", 430, FREE)
    trace.add(".....", 460, pid=10)
    assert operations(trace.rows) == [free, other]


@pytest.mark.parametrize(("left", "before"), [(13, True), (14, False)])
def test_a_request_needs_its_time(left: int, before: bool) -> None:
    """Eleven microseconds after its page was taken, in this trace, and two for rounding."""
    trace = Lines()
    trace.add("d..3.", 100, LOCKED)
    trace.add(".....", 111, ALLOC, args=[2, 0])
    trace.add(".....", 150)
    other = trace.add("..s..", 400, FREE)
    request = trace.add(".....", 400 + left, ALLOC, args=[3, 0])
    order = operations(trace.rows)[1:]
    assert order == ([request, other] if before else [other, request])


def test_a_free_comes_before_the_same_task_s_request() -> None:
    """Which had its page before the interrupt: then the free was committed before it too."""
    trace = Lines()
    trace.add("d..3.", 100, LOCKED)
    trace.add(".....", 111, ALLOC, args=[2, 0])
    free = trace.add(".....", 150, FREE)
    other = trace.add("..s..", 400, FREE)
    trace.add("..s..", 401)
    request = trace.add(".....", 405, ALLOC, args=[3, 0])
    assert operations(trace.rows)[1:] == [free, request, other]


def test_the_way_back_from_an_interrupt_takes_time_too() -> None:
    """Ten microseconds at least in this trace, as many interrupts show."""
    trace = Lines()
    trace.add("d..3.", 100, LOCKED)
    trace.add(".....", 111, ALLOC, args=[2, 0])
    for time in range(1000, 17000, 1000):
        trace.add("..s..", time)
        trace.add(".....", time + 10)
    trace.rows.facts.way_back = trace.interrupts.way_back()
    other = trace.add("..s..", 20000, FREE)
    request = trace.add(".....", 20022, ALLOC, args=[3, 0])
    assert operations(trace.rows)[1:] == [request, other]


@pytest.mark.parametrize(("left", "before"), [(99, True), (199, False)])
def test_a_bulk_request_needs_its_time(left: int, before: bool) -> None:
    """Ten microseconds a page: an interrupt near its end came after it took its pages."""
    trace = Lines()
    trace.add("...1.", 100, Kind.bulk)
    trace.add("...1.", 200, Kind.bulk_ret, args=[10, 10])
    begin = trace.add("...1.", 300, Kind.bulk)
    other = trace.add("..s..", 1000, FREE)
    end = trace.add("...1.", 1000 + left, Kind.bulk_ret, args=[20, 20])
    order = operations(trace.rows)[2:]
    assert order == ([begin, end, other] if before else [begin, other, end])


def test_a_bulk_request_that_refilled_keeps_the_pcp_lock_to_its_end() -> None:
    """So an interrupt that found it free came after the pages were taken."""
    trace = Lines()
    begin = trace.add("...1.", 300, Kind.bulk)
    trace.add("d..3.", 310, LOCKED)
    other = trace.add("..s..", 600, FREE)
    end = trace.add("...1.", 900, Kind.bulk_ret, args=[2, 2])
    assert operations(trace.rows) == [begin, end, other]


def test_a_refill_before_an_interrupt_is_done_before_it() -> None:
    """On one CPU too: the request is logged behind the interrupt."""
    trace = Lines()
    trace.add("d..3.", 310, LOCKED)
    other = trace.add("..s..", 600, FREE)
    request = trace.add(".....", 900, ALLOC, args=[1, 0])
    assert operations(trace.rows) == [request, other]


def test_a_claimed_pageblock_s_page_is_taken_under_the_lock_too() -> None:
    """mm_page_alloc_extfrag is its only event when the whole pageblock was free."""
    rows = rows_of((Kind.mm_page_alloc_extfrag, 0), (FREE, 1), (DRAINED, 1), (ALLOC, 0))
    assert operations(rows) == [3, 0, 1]


def locked_out(rows: Rows) -> set[int]:
    return {row for row, out in enumerate(operation_order(rows)[1]) if out}


@pytest.mark.parametrize(("refilled", "order", "out"), [(1, 0, True), (2, 0, False), (1, 4, False)])
def test_an_interrupt_s_request_may_find_the_pcp_lock_taken(
    refilled: int, order: int, out: bool
) -> None:
    """It takes one page from the buddy lists, where a refill takes several."""
    trace = Lines()
    trace.add("d..3.", 100, LOCKED)
    for i in range(refilled):
        trace.add("d.s4.", 400 + i, LOCKED)
    request = trace.add("..s3.", 420, ALLOC, args=[1, order])
    trace.add(".....", 440, ALLOC, args=[2, 0])
    assert locked_out(trace.rows) == ({request} if out else set())


def test_interrupts_apart_are_told_apart() -> None:
    """A free between ticks: its commit is behind the first, not behind the last."""
    trace = Lines()
    free = trace.add(".....", 100, FREE)
    first = trace.add("..s..", 430, FREE)
    second = trace.add("..s..", 4430, FREE)
    trace.add(".....", 4460)
    assert operations(trace.rows) == [first, free, second]


def test_an_interrupt_on_top_of_an_interrupt() -> None:
    """The softirq's free is committed after the hard interrupt's; the task's after both."""
    trace = Lines()
    task = trace.add(".....", 100, FREE)
    soft = trace.add("..s..", 430, FREE)
    hard = trace.add("d.H..", 440, FREE)
    trace.add("..s..", 460)
    trace.add(".....", 480)
    assert operations(trace.rows) == [hard, soft, task]


# Remote drains: CPU 1 drains the lists of CPU 0


def remote(*events: tuple[Kind, int]) -> Rows:
    return rows_of((Kind.drain_pages, 1), *events)


def test_a_request_without_a_refill_had_its_page_before_the_list_was_drained() -> None:
    rows = remote((DRAINED, 1), (DRAINED, 1), (ALLOC, 0))
    assert operations(rows) == [3, 0]


def test_a_request_that_refills_comes_after_the_drain() -> None:
    """And so does the next one, which takes from the refilled list."""
    rows = remote((DRAINED, 1), (LOCKED, 0), (LOCKED, 0), (ALLOC, 0), (ALLOC, 0))
    assert operations(rows) == [0, 4, 5]


def test_what_was_freed_after_the_drain_can_be_asked_for() -> None:
    rows = remote((DRAINED, 1), (FREE, 0), (ALLOC, 0))
    assert operations(rows) == [0, 2, 3]


def test_a_request_during_the_drain_finds_the_pcp_lock_taken() -> None:
    rows = remote((DRAINED, 1), (LOCKED, 0), (DRAINED, 1), (ALLOC, 0))
    assert locked_out(rows) == {4}
    rows = remote((DRAINED, 1), (Kind.apn, 0), (LOCKED, 0), (ALLOC, 0))
    assert locked_out(rows) == {4}


def test_a_request_of_one_page_long_after_the_drain_refills_with_one() -> None:
    rows = remote((DRAINED, 1), (ALLOC, 1), (FREE, 0), (LOCKED, 0), (ALLOC, 0))
    assert locked_out(rows) == set()


# Compaction


def test_two_compactions_at_once_free_their_own() -> None:
    """CPU 0 puts a target back, cleans up at its end; CPU 1 compacts and allocates meanwhile."""
    rows = Rows()
    events: list[tuple[Kind, int, list[int]]] = [
        (Kind.mm_compaction_begin, 0, []), (Kind.isolate, 0, [8, 1]),
        (Kind.mm_compaction_begin, 1, []), (Kind.isolate, 1, [16, 0]),
        (FREE, 0, [8, 0]), (Kind.mm_compaction_migratepages, 0, []),
        (FREE, 0, [8, 0]), (ALLOC, 1, [4, 0]), (FREE, 0, [9, 0]), (FREE, 1, [16, 0]),
        (Kind.mm_compaction_end, 0, []), (Kind.mm_compaction_end, 1, []),
    ]  # fmt: skip
    for kind, cpu, args in events:
        add_row(rows, kind, cpu, (cpu, cpu), args=args)
    settle_frees(rows, 64)
    nothing = [row for row in range(len(rows)) if rows.kind[row] == Kind.free_of_nothing]
    assert nothing == [4]


def test_a_fast_search_of_compaction_counts_from_when_it_had_the_lock() -> None:
    """Not from an earlier scan's: a search that takes nothing has no isolate_ret of its own."""
    for fast, order in ((1, [0, 1, 4, 3]), (0, [0, 1, 3, 4])):
        rows = Rows()
        for kind, cpu, args in (
            (Kind.isolate, 0, []), (Kind.isolate_ret, 0, [fast, 1]), (LOCKED, 1, []),
            (ALLOC, 1, []), (Kind.mm_compaction_fast_isolate_freepages, 0, []),
        ):  # fmt: skip
            add_row(rows, kind, cpu, (cpu, cpu), args=args)
        assert operations(rows) == order

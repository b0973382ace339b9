"""Operations of several CPUs in the order in which they held zone->lock."""

from __future__ import annotations

from memsim.replay.inputs import ARGUMENTS, Kind, Rows
from memsim.replay.lock_order import bulk_refills, zone_lock_order


def rows_of(*events: tuple[Kind, int]) -> Rows:
    """Rows of (kind, CPU); each CPU runs one task."""
    rows = Rows()
    rows.kind.extend(kind for kind, _ in events)
    for column in (rows.cpu, rows.context, rows.task):
        column.extend(cpu for _, cpu in events)
    rows.line.extend(range(len(events)))
    rows.arguments.extend((0,) * (ARGUMENTS * len(events)))
    return rows


LOCKED = Kind.mm_page_alloc_zone_locked
DRAINED = Kind.mm_page_pcpu_drain


def order_of(*events: tuple[Kind, int]) -> list[int]:
    """Row numbers of operations, without the tracepoints they are ordered by."""
    rows = rows_of(*events)
    return [row for row in zone_lock_order(rows) if rows.kind[row] not in (LOCKED, DRAINED)]


def test_a_request_counts_from_its_refill() -> None:
    """CPU 0 refills first and is logged last."""
    assert order_of(
        (LOCKED, 0), (LOCKED, 0), (LOCKED, 1), (Kind.mm_page_alloc, 1), (Kind.mm_page_alloc, 0)
    ) == [4, 3]


def test_a_free_counts_from_its_drain() -> None:
    """CPU 0 frees first and waits for the lock; CPU 1 drains before it."""
    assert order_of((Kind.mm_page_free, 0), (Kind.mm_page_free, 1), (DRAINED, 1), (DRAINED, 0)) == [
        1,
        0,
    ]


def test_what_needs_no_lock_stays_where_it_is() -> None:
    """Pages from and to pcp lists."""
    assert order_of((Kind.mm_page_alloc, 0), (Kind.mm_page_free, 1), (Kind.mm_page_alloc, 1)) == [
        0,
        1,
        2,
    ]


def test_a_bulk_request_s_refills_are_told_apart() -> None:
    """Two holds of the lock with another CPU's between them; one that follows its own begin."""
    rows = rows_of(
        (LOCKED, 0), (Kind.mm_page_alloc, 0), (Kind.bulk, 0), (LOCKED, 0), (LOCKED, 0),
        (DRAINED, 1), (LOCKED, 0), (Kind.bulk_ret, 0), (LOCKED, 0), (Kind.mm_page_alloc, 0),
    )  # fmt: skip
    assert bulk_refills(rows) == {3: 2, 6: 1}

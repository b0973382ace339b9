"""What became of each traced free: a mm_page_free does not say where the block goes.

A block is committed at once to a pcp list, unless a later event of the same pfn says that its
batch was committed (mm_page_free_batched) or that it went straight to the buddy (probe `direct`).
Compaction that keeps a migration target fires mm_page_free and frees nothing.
"""

from __future__ import annotations

from memsim.replay.inputs import ARGUMENTS, Kind, Rows


def settle_frees(rows: Rows) -> None:
    """Turn each mm_page_free row into the kind that says what became of it. Cost: three passes."""
    _follow_frees(rows)
    _find_frees_of_nothing(rows)
    _find_open_batches(rows)


def _follow_frees(rows: Rows) -> None:
    """Look, for each free, at the next event of the same pfn."""
    pending: dict[int, int] = {}
    later = {
        Kind.mm_page_free_batched: (0, Kind.free_then_batched),
        Kind.direct: (1, Kind.free_then_direct),
    }
    for row, kind in enumerate(rows.kind):
        if kind == Kind.mm_page_free:
            pending[rows[row][0]] = row
        elif kind == Kind.mm_page_alloc:
            pending.pop(rows[row][0], None)
        elif kind in later:
            argument, becomes = later[Kind(kind)]
            freed = pending.pop(rows[row][argument], None)
            if freed is not None:
                rows.kind[freed] = becomes


def _find_frees_of_nothing(rows: Rows) -> None:
    """Frees by a compacting task, of pages that it isolated, before its last clean-up.

    compaction_free() puts a target whose migration failed back on cc->freepages, by way of
    free_pages_prepare(), which fires mm_page_free. release_free_list() frees what is left just
    before mm_compaction_end: those are real. Kernel: mm/compaction.c compaction_free(), compact_zone()
    """
    isolated: set[int] = set()
    candidates: dict[int, list[int]] = {}
    for row, kind in enumerate(rows.kind):
        context = rows.context[row]
        if kind == Kind.isolate:
            pfn, order = rows[row][:2]
            isolated.update(range(pfn, pfn + (1 << min(order, 10))))
        elif kind == Kind.mm_compaction_begin:
            candidates[context] = []
            isolated.clear()
        elif kind == Kind.mm_compaction_end:
            _keep_but_last(rows, row, candidates.pop(context, []))
        elif _is_free(kind) and context in candidates and rows[row][0] in isolated:
            candidates[context].append(row)


def _find_open_batches(rows: Rows) -> None:
    """Mark (second argument 1) a batched free that the same context follows with another.

    free_unref_folios() holds pcp->lock between the two: an interrupt finds it taken.
    """
    last: dict[int, int] = {}
    for row, kind in enumerate(rows.kind):
        context = rows.context[row]
        before = last.get(context)
        if kind == Kind.mm_page_free_batched:
            if before is not None:
                rows.arguments[before * ARGUMENTS + 1] = 1
            last[context] = row
        elif kind != Kind.mm_page_pcpu_drain and kind != Kind.pcpfree and before is not None:
            del last[context]


def _is_free(kind: int) -> bool:
    return kind in (Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct)


def _keep_but_last(rows: Rows, end: int, candidates: list[int]) -> None:
    """All candidates but the run right in front of mm_compaction_end freed nothing."""
    context = rows.context[end]
    cleaning = (Kind.direct, Kind.pcpfree, Kind.mm_page_pcpu_drain)
    row = end - 1
    while row >= 0:
        if _is_free(rows.kind[row]) and rows.context[row] == context:
            if candidates and candidates[-1] == row:
                candidates.pop()
        elif rows.kind[row] not in cleaning:
            break
        row -= 1
    for row in candidates:
        rows.kind[row] = Kind.free_of_nothing

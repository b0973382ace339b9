"""What the replay of a trace without a snapshot found, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from memsim.lib.text import one_line
from memsim.replay.inexact.run import Counts, InexactOutcome
from memsim.replay.inexact.samples import INDEX_ORDERS, Sample, ZoneSample
from memsim.replay.rows.inputs import Facts, Kind
from memsim.words.gfp import show_gfp_flags
from memsim.words.mmzone import MIGRATETYPE_NAMES

#: Free blocks by order that were recorded at the end, by node and name of zone.
Recorded = Mapping[tuple[int, str], Sequence[int]]

#: What a trace of page events does not tell.
UNKNOWN = (
    "where free blocks and pages in use lay, and the order of free lists",
    "bulk requests (alloc_pages_bulk fires no event): their pages are met when they are freed",
    "when the vmstat worker ran: here once a second on every CPU, if the clock counts seconds",
    "kswapd, reclaim and watermark boosts; what the slow path had to do to find a page",
    "compaction: pages that it isolated or moved are met as frees without allocation",
)
_MASKS_SHOWN = 8


def as_json(outcome: InexactOutcome, origin: str, recorded: Recorded) -> dict[str, Any]:
    """The outcome as plain data: the form that `memsim replay --proc --json` prints."""
    counts, facts = outcome.counts, outcome.facts
    return {
        "trace": outcome.trace,
        "exact": False,
        "seed": outcome.seed,
        "origin": origin.splitlines(),
        "events": facts.events,
        "seconds_covered": round(facts.last - facts.first, 6) if facts.in_seconds else None,
        "seconds": round(outcome.seconds, 3),
        "lost": facts.lost,
        "overwritten": facts.overwritten,
        "backwards": facts.backwards,
        "requests": _requests_json(counts),
        "frees": {
            "total": counts.frees,
            "pages": counts.nr_pages_freed,
            "orders": _by_number(counts.order_frees),
            "in_use_before": outcome.stood_in,
            "in_use_before_none_left": outcome.none_left,
            "allocation_not_traced": outcome.untraced,
        },
        "tracepoints": {
            kind.name: {"recorded": stream.total, "memsim": stream.fired}
            for kind, stream in outcome.streams.items()
        },
        "samples": [_sample_json(sample) for sample in outcome.samples],
        "end": [
            {**_zone_json(zone), "recorded_nr_free": _recorded_of(zone, recorded)}
            for zone in outcome.samples[-1].zones
        ],
        "unknown": list(UNKNOWN),
        "notes": dict(sorted(outcome.notes.items())),
    }


def _requests_json(counts: Counts) -> dict[str, Any]:
    return {
        "total": counts.requests,
        "pages": counts.nr_pages,
        "orders": _by_number(counts.orders),
        "migratetypes": _types(counts),
        "gfp_flags": {show_gfp_flags(mask): nr for mask, nr in counts.gfp_masks.most_common()},
        "zones": {"recorded": dict(counts.zones), "memsim": dict(counts.zones_in_memsim)},
        "failed": {
            "recorded": _by_number(counts.failed_orders),
            "memsim": _by_number(counts.failed_orders_in_memsim),
        },
    }


def _by_number(counter: Counter[int]) -> dict[str, int]:
    return {str(number): counter[number] for number in sorted(counter)}


def _types(counts: Counts) -> dict[str, int]:
    return {MIGRATETYPE_NAMES[mt]: nr for mt, nr in sorted(counts.migratetypes.items())}


def _sample_json(sample: Sample) -> dict[str, Any]:
    zones = [_zone_json(zone) for zone in sample.zones]
    return {"row": sample.row, "time": sample.time, "zones": zones}


def _zone_json(zone: ZoneSample) -> dict[str, Any]:
    return {
        "node": zone.node,
        "zone": zone.zone,
        "free_pages": zone.free_pages,
        "nr_free": zone.nr_free,
        "pcp_pages": zone.pcp_pages,
        "unusable": dict(zip(map(str, INDEX_ORDERS), zone.unusable, strict=True)),
        "extfrag": dict(zip(map(str, INDEX_ORDERS), zone.extfrag, strict=True)),
    }


def _recorded_of(zone: ZoneSample, recorded: Recorded) -> list[int] | None:
    nr_free = recorded.get((zone.node, zone.zone))
    return None if nr_free is None else list(nr_free)


def as_text(outcome: InexactOutcome, origin: str, recorded: Recorded) -> str:
    """The outcome as short tables; what cannot be promised comes first."""
    counts = outcome.counts
    lines = [
        f"{one_line(outcome.trace, 200)}: {outcome.facts.events} events, {outcome.nr_rows} of "
        f"pages, replayed in {outcome.seconds:.1f} s",
        "Placement is not exact: no snapshot tells where blocks lay. Positions are drawn by seed "
        f"{outcome.seed}; counts can be compared, addresses cannot.",
        *(f"  {line}" for line in origin.splitlines()),
        *_doubts(outcome.facts),
        *_rates(outcome),
        f"  orders asked for     {_shown(counts.orders)}",
        f"  orders freed         {_shown(counts.order_frees)}",
        f"  migratetypes         {_named(_types(counts))}",
        f"  zones, recorded      {_named(counts.zones)}",
        f"  zones, memsim        {_named(counts.zones_in_memsim)}",
        *(
            f"  {nr:>9}  {show_gfp_flags(mask)}"
            for mask, nr in counts.gfp_masks.most_common(_MASKS_SHOWN)
        ),
        f"  failed, recorded     {counts.failed}{_orders_of(counts.failed_orders)}",
        f"  failed, memsim       {counts.failed_in_memsim}"
        f"{_orders_of(counts.failed_orders_in_memsim)}",
    ]
    lines += [
        f"  {kind.name:<26} recorded {stream.total}, memsim {stream.fired}"
        f"{'  (fallbacks)' if kind == Kind.mm_page_alloc_extfrag else ''}"
        for kind, stream in outcome.streams.items()
    ]
    lines += _frees(outcome)
    for index, zone in enumerate(outcome.samples[0].zones):
        lines += _over_time(outcome.samples, index, zone)
    for zone in outcome.samples[-1].zones:
        lines += _end(zone, _recorded_of(zone, recorded))
    lines += [f"  not known: {what}" for what in UNKNOWN]
    return "\n".join(lines)


def _doubts(facts: Facts) -> list[str]:
    """What the trace itself says against it."""
    told = (
        (facts.lost, "events are missing in the trace: counts drift from there on"),
        (facts.overwritten, "events at its beginning were overwritten before it was read"),
        (facts.backwards, "lines are earlier than the line above: their order is the file's"),
    )
    lines = [f"  {nr} {what}" for nr, what in told if nr]
    if facts.hex_flags:
        lines.append("  gfp_flags are numbers: read as Linux 6.12's")
    return lines


def _rates(outcome: InexactOutcome) -> list[str]:
    facts, counts = outcome.facts, outcome.counts
    covered = facts.last - facts.first
    if not facts.in_seconds:
        lines = [f"  its clock counts {covered:.0f} ticks of unknown length: no rates"]
        rate = ["", ""]
    else:
        lines = [f"  seconds covered      {covered:.3f}"]
        rate = [
            f" ({nr / covered:.0f}/s)" if covered > 0 else ""
            for nr in (counts.requests, counts.frees)
        ]
    return [
        *lines,
        f"  requests             {counts.requests}{rate[0]}, {counts.nr_pages} pages",
        f"  frees                {counts.frees}{rate[1]}, {counts.nr_pages_freed} pages",
    ]


def _shown(counter: Counter[int]) -> str:
    return "  ".join(f"{number}: {counter[number]}" for number in sorted(counter)) or "none"


def _named(counter: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {counter[name]}" for name in sorted(counter)) or "none"


def _orders_of(counter: Counter[int]) -> str:
    return f"  (by order: {_shown(counter)})" if counter else ""


def _frees(outcome: InexactOutcome) -> list[str]:
    return [
        f"  frees of pages in use before the trace: {outcome.stood_in + outcome.none_left}; "
        f"{outcome.stood_in} in use in the same zone were freed in their stead"
        + (f", {outcome.none_left} found none left" if outcome.none_left else ""),
        f"  frees whose allocation is not traced: {outcome.untraced}; nothing was freed for them",
    ]


def _over_time(samples: list[Sample], index: int, zone: ZoneSample) -> list[str]:
    """A zone's free blocks and indexes, a line for each sample; nothing if nothing happens."""
    looks = [(sample.time, sample.zones[index]) for sample in samples]
    if all(look == zone for _, look in looks):
        return []
    head = " ".join(f"{order:>6}" for order in range(len(zone.nr_free)))
    indexes = " ".join(f"unusable({o}) extfrag({o})" for o in INDEX_ORDERS)
    lines = [f"  Node {zone.node} {zone.zone}, memsim: free blocks of each order; indexes"]
    lines.append(f"  {'time':>14} {'free':>8} {'on pcp':>6} {head} {indexes}")
    for time, look in looks:
        blocks = " ".join(f"{nr:>6}" for nr in look.nr_free)
        shares = " ".join(
            f"{unusable / 1000:>11.3f} {'-' if extfrag < 0 else f'{extfrag / 1000:.3f}':>10}"
            for unusable, extfrag in zip(look.unusable, look.extfrag, strict=True)
        )
        lines.append(f"  {time:>14.6f} {look.free_pages:>8} {look.pcp_pages:>6} {blocks} {shares}")
    return lines


def _end(zone: ZoneSample, recorded: list[int] | None) -> list[str]:
    """The last state beside the recorded one."""
    if recorded is None:
        return []
    nr_orders = max(len(recorded), len(zone.nr_free))
    rows = {
        "recorded": [*recorded, *[0] * (nr_orders - len(recorded))],
        "memsim": [*zone.nr_free, *[0] * (nr_orders - len(zone.nr_free))],
    }
    rows["difference"] = [
        ours - theirs for ours, theirs in zip(rows["memsim"], rows["recorded"], strict=True)
    ]
    lines = [f"  at the end, Node {zone.node} {zone.zone}: free pages, and blocks of each order"]
    for name, blocks in rows.items():
        pages = sum(nr << order for order, nr in enumerate(blocks))
        lines.append(f"  {name:>12} {pages:>8}  " + " ".join(f"{nr:>6}" for nr in blocks))
    return lines

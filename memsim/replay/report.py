"""What a replay found, for people and for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from memsim.replay.outcome import Outcome
from memsim.replay.pages.base import Miss
from memsim.replay.pages.compare import Tally
from memsim.replay.slab.compare import CacheTally
from memsim.replay.slab.run import SlabResult
from memsim.words.gfp import show_gfp_flags
from memsim.words.mmzone import MIGRATETYPE_NAMES


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain data: the form that `memsim replay --json` prints."""
    result, end = outcome.result, outcome.comparison
    return {
        "capture": outcome.capture,
        "kernel": outcome.kernel,
        "events": outcome.events,
        **({"lost": outcome.lost} if outcome.lost else {}),
        "seconds": round(outcome.seconds, 3),
        "inputs": dict(sorted(result.inputs.items())),
        "page_alloc": {
            "requests": result.requests,
            "exact": result.exact,
            "first_miss": None if result.first_miss is None else _miss_json(result.first_miss),
            **{
                name: {"total": tally.total, "equal": tally.equal}
                for name, tally in end.tallies().items()
            },
            "tracepoints": {
                kind.name: {"total": stream.total, "equal": stream.equal}
                for kind, stream in outcome.streams.items()
            },
        },
        "slab": None if outcome.slab is None else _slab_json(outcome.slab, outcome.caches),
        "vmalloc": _vmalloc_json(outcome),
        "misses": [
            {"of": of, "cause": cause, "count": count} for of, cause, count in _misses(outcome)
        ],
    }


def _misses(outcome: Outcome) -> list[tuple[str, str, int]]:
    """What was missed, why, and how often: each cause once, the most frequent first."""
    of = [("page", outcome.result.causes)]
    of += [] if outcome.slab is None else [("object", outcome.slab.causes)]
    of += [] if outcome.vmalloc is None else [("address", outcome.vmalloc.causes)]
    return [(what, *found) for what, causes in of for found in causes.most_common()]


def _slab_json(slab: SlabResult, caches: CacheTally) -> dict[str, Any]:
    all_exact, otherwise = caches.all_exact()
    return {
        "requests": slab.requests,
        "exact": slab.exact,
        "first_miss": None if slab.first_miss is None else asdict(slab.first_miss),
        "caches": {
            "total": caches.total,
            "equal": caches.equal,
            "all_exact": all_exact,
            "all_exact_equal": all_exact - len(otherwise),
        },
        "each_cache": {
            cache.name: {
                "requests": cache.requests,
                "exact": cache.exact,
                "equal": not cache.difference,
                **({"difference": cache.difference} if cache.difference else {}),
            }
            for cache in caches.each
        },
        "rules": dict(slab.rules.most_common()),
        "put_right": slab.put_right,
        "notes": dict(slab.notes.most_common()),
    }


def _vmalloc_json(outcome: Outcome) -> dict[str, Any] | None:
    vmalloc = outcome.vmalloc
    if vmalloc is None:
        return None
    return {
        "requests": vmalloc.requests,
        "exact": vmalloc.exact,
        "first_miss": None if vmalloc.first_miss is None else asdict(vmalloc.first_miss),
        **{
            name: {"total": tally.total, "equal": tally.equal}
            for name, tally in (outcome.areas | vmalloc.tallies()).items()
        },
        "put_right": vmalloc.put_right,
        "notes": dict(vmalloc.notes.most_common()),
    }


def _miss_json(miss: Miss) -> dict[str, Any]:
    return {
        "request": miss.request,
        "line": miss.line,
        "cpu": miss.cpu,
        "order": miss.order,
        "migratetype": miss.migratetype,
        "gfp_flags": show_gfp_flags(miss.gfp_mask),
        "expected": miss.expected,
        "got": miss.got,
        "around": miss.around,
    }


def as_text(outcome: Outcome) -> str:
    """The outcome as a short table, with the first miss explained."""
    result = outcome.result
    share = _share(result.exact, result.requests)
    lines = [
        f"{outcome.capture}: {outcome.events} events of {outcome.kernel}, "
        f"replayed in {outcome.seconds:.1f} s",
        f"  page requests        {result.exact} of {result.requests} exact ({share})",
    ]
    if outcome.lost:
        lines.append(f"  {outcome.lost} events are missing in the trace: it cannot be exact")
    for kind, stream in outcome.streams.items():
        lines.append(f"  {kind.name:<26} {stream.equal} of {stream.total} equal")
    for name, tally in outcome.comparison.tallies().items():
        lines.append(f"  at the end: {name:<14} {tally.equal} of {tally.total} equal")
    lines += _differences(list(outcome.comparison.tallies().values()))
    if result.first_miss is not None:
        lines += _explain(result.first_miss)
    lines += _slab_text(outcome)
    lines += _vmalloc_text(outcome)
    lines += _misses_text(outcome)
    lines += [f"  note: {count} {what}" for what, count in sorted(_notes(outcome).items())]
    return "\n".join(lines)


def _misses_text(outcome: Outcome) -> list[str]:
    """How often which cause had a request answered otherwise than by the kernel."""
    misses = _misses(outcome)
    if not misses:
        return ["  misses               none"]
    lines = [
        f"    {count:>7} {of}{'s' if count > 1 else ' '}  {cause}" for of, cause, count in misses
    ]
    if outcome.slab is not None and outcome.slab.put_right:
        lines.append(
            f"    after {outcome.slab.put_right} of these the CPU's lockless list was put in the "
            "kernel's order"
        )
    return ["  misses, by cause:", *lines]


def _share(exact: int, requests: int) -> str:
    """In percent, rounded down: 100.00 % is all of them."""
    return f"{10_000 * exact // requests / 100 if requests else 100:.2f} %"


def _differences(tallies: list[Tally]) -> list[str]:
    shown = [difference for tally in tallies for difference in tally.differences[:3]]
    return [f"    {line}" for line in shown]


def _slab_text(outcome: Outcome) -> list[str]:
    """Objects and caches; how the caches that were asked are known."""
    slab, caches = outcome.slab, outcome.caches
    if slab is None:
        return ["  slab                 not in this recording"]
    share = _share(slab.exact, slab.requests)
    all_exact, otherwise = caches.all_exact()
    rules = ", ".join(f"{rule} {count}" for rule, count in slab.rules.most_common())
    lines = [
        f"  slab objects         {slab.exact} of {slab.requests} exact ({share})",
        f"  at the end: caches         {caches.equal} of {caches.total} equal; of {all_exact} with "
        f"no miss {all_exact - len(otherwise)}",
        *(f"    {cache.name}: no miss, but {cache.difference}" for cache in otherwise[:3]),
        *(f"    {line}" for line in caches.differences[:3]),
        f"    caches told by: {rules}",
    ]
    if slab.first_miss is not None:
        miss = slab.first_miss
        lines.append(
            f"  first slab miss: request {miss.request}, line {miss.line} of the trace, "
            f"CPU {miss.cpu}, {miss.cache}: the kernel gave {miss.expected:#x}, "
            f"memsim {miss.got:#x}"
        )
    return lines


def _vmalloc_text(outcome: Outcome) -> list[str]:
    """Addresses, and the last sets of areas."""
    vmalloc = outcome.vmalloc
    if vmalloc is None:
        return ["  vmalloc              not in this recording"]
    share = 100 * vmalloc.exact / vmalloc.requests if vmalloc.requests else 100.0
    lines = [f"  vmalloc addresses    {vmalloc.exact} of {vmalloc.requests} exact ({share:.2f} %)"]
    for name, tally in outcome.areas.items():
        lines.append(f"  at the end: {name + ' areas':<14} {tally.equal} of {tally.total} equal")
    lines += _differences(list(outcome.areas.values()))
    lines += [
        f"  {name:<26} {tally.equal} of {tally.total} equal"
        for name, tally in vmalloc.tallies().items()
    ]
    if vmalloc.first_miss is not None:
        miss = vmalloc.first_miss
        lines.append(
            f"  first vmalloc miss: request {miss.request}, line {miss.line} of the trace, "
            f"CPU {miss.cpu}, {miss.size} bytes: the kernel gave {miss.expected:#x}, "
            f"memsim {miss.got:#x}"
        )
    return lines


def _notes(outcome: Outcome) -> Counter[str]:
    """What else is to be said, of all allocators."""
    others = (part.notes for part in (outcome.slab, outcome.vmalloc) if part is not None)
    return sum(others, outcome.result.notes)


def _explain(miss: Miss) -> list[str]:
    """The first miss: what was asked, what the kernel gave, what memsim gave, and from where."""
    expected = "no page" if miss.expected < 0 else f"pfn {miss.expected:#x}"
    got = "no page" if miss.got < 0 else f"pfn {miss.got:#x}"
    return [
        f"  first miss: request {miss.request}, line {miss.line} of the trace, CPU {miss.cpu}: "
        f"order {miss.order}, {MIGRATETYPE_NAMES[miss.migratetype]}, "
        f"{show_gfp_flags(miss.gfp_mask)}",
        f"    the kernel gave {expected}, memsim {got}; the zones right after it:",
        *(f"    {line}" for line in miss.around),
    ]

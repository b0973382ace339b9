"""Lines of /sys/kernel/tracing/trace into rows. One regular expression for each event.

Kernel: kernel/trace/trace_output.c trace_print_context(), include/trace/events/*.h
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from memsim.lib.text import one_line
from memsim.replay.inputs import MAX_ROWS, Kind, Rows
from memsim.words.errors import BadInput
from memsim.words.gfp import parse_gfp_flags
from memsim.words.mmzone import SIZEOF_STRUCT_PAGE

#: A line: pid, CPU, flags, time, name of the event, its fields.
LINE = re.compile(
    r"^\s*(?:.{1,16}?)-(\d{1,9})\s+\[(\d{1,4})\]\s+(\S{5,6})\s+(\d+(?:\.\d+)?): (\w+):\s?(.*)$"
)
#: A trace with more lines, or with an event's text longer than this, is refused.
MAX_LINES = 20_000_000
MAX_TEXT = 1024
MAX_CONTEXTS = 1 << 16

#: Patterns give numbers: a hex group starts with 0x, everything else is decimal. In `page=0x…`
#: of probes the group is the address of a struct page.
_PATTERNS = {
    Kind.mm_page_alloc: r"page=(\w+) pfn=(0x\w+) order=(\d+) migratetype=(\d+) gfp_flags=(\S+)",
    Kind.mm_page_free: r"page=\w+ pfn=(0x\w+) order=(\d+)",
    Kind.mm_page_free_batched: r"page=\w+ pfn=(0x\w+) order=0",
    Kind.mm_page_alloc_zone_locked: (
        r"page=\w+ pfn=(0x\w+) order=(\d+) migratetype=(\d+) percpu_refill=(\d+)"
    ),
    Kind.mm_page_alloc_extfrag: (
        r"page=\w+ pfn=(0x\w+) alloc_order=(\d+) fallback_order=(\d+) pageblock_order=\d+ "
        r"alloc_migratetype=(\d+) fallback_migratetype=(\d+) fragmenting=\d change_ownership=(\d)"
    ),
    Kind.mm_page_pcpu_drain: r"page=\w+ pfn=(0x\w+) order=(\d+) migratetype=(\d+)",
    Kind.mm_lru_insertion: r"folio=\w+ pfn=(0x\w+) lru=\d+",
    Kind.direct: r".* zone=(0x\w+) pfn=(0x\w+) order=(\d+) fpi=(\d+)",
    Kind.bulk: r".* gfp=(0x\w+) nid=(-?\d+) nr=(-?\d+) ",
    Kind.bulk_ret: r".* nr=(-?\d+) ret=(\d+)",
    Kind.refresh: r".* do=(\d+)",
    Kind.decay: r".* zone=(0x\w+)",
    Kind.drain_zone: r".* zone=(0x\w+)",
    Kind.drain_pages: r".* cpu=(\d+) zone=(0x\w+)",
    Kind.gpf: r".* gfp=(0x\w+) order=(\d+) aflags=(0x\w+)",
    Kind.apn: r".* gfp=0x\w+ order=\d+ nid=(\d+)",
    Kind.isolate: r".* page=(0x\w+) order=(\d+)",
    Kind.isolate_ret: r"\((\w+)\+.* ret=(\d+)",
    Kind.putback: r".* page=(0x\w+) order=(\d+) mt=(\d+)",
    Kind.balance: r".* pgdat=(0x\w+) order=(\d+) hzi=(\d+)",
    Kind.balance_ret: r"()",
    Kind.mm_vmscan_kswapd_wake: r"nid=(\d+)",
    Kind.mm_vmscan_kswapd_sleep: r"nid=(\d+)",
    Kind.movepb: r".* zone=(0x\w+) start=(0x\w+) old=(\d+) new=(\d+)",
    Kind.pcpfree: r".* zone=(0x\w+) count=(\d+) pcpcount=(\d+) pcphigh=(\d+) pindex=(\d+)",
    Kind.mm_compaction_try_to_compact_pages: (r"order=(\d+) gfp_mask=(\S+) priority=(\d+)"),
    Kind.mm_compaction_begin: (
        r"zone_start=(0x\w+) migrate_pfn=(0x\w+) free_pfn=(0x\w+) zone_end=(0x\w+)"
    ),
    Kind.mm_compaction_finished: r"node=(\d+) zone=\w+\s+order=(-?\d+) ret=(\w+)",
    Kind.mm_compaction_isolate_migratepages: (
        r"range=\((0x\w+) ~ (0x\w+)\) nr_scanned=(\d+) nr_taken=(\d+)"
    ),
    Kind.mm_compaction_isolate_freepages: (
        r"range=\((0x\w+) ~ (0x\w+)\) nr_scanned=(\d+) nr_taken=(\d+)"
    ),
    Kind.mm_compaction_fast_isolate_freepages: (
        r"range=\((0x\w+) ~ (0x\w+)\) nr_scanned=(\d+) nr_taken=(\d+)"
    ),
    Kind.mm_compaction_migratepages: r"nr_migrated=(\d+) nr_failed=(\d+)",
    Kind.setpb: r".* flags=(0x\w+) pfn=(0x\w+) mask=(0x\w+)",
    Kind.mm_compaction_end: r"()",
}
_EVENTS = {kind.name: (kind, re.compile(text)) for kind, text in _PATTERNS.items()}
#: The events that are read.
EVENT_NAMES = frozenset(_EVENTS)
_PAGE_POINTER_FIRST = frozenset({Kind.isolate, Kind.putback})


class Contexts:
    """Numbers for who runs: a task by its pid, an interrupt by its CPU and kind."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, int, str], int] = {}

    def of(self, pid: int, cpu: int, flags: str) -> tuple[int, int]:
        """(what runs, the task that it is or interrupted); idle tasks are told apart by CPU."""
        task = self._number((pid, -1, ".") if pid else (0, cpu, "."))
        kind = flags[2] if flags[2] in "hHszZ" else "."
        return (task if kind == "." else self._number((0, cpu, kind))), task

    def _number(self, key: tuple[int, int, str]) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)


class Reader:
    """The lines of a trace so far: which are inside the window, and whether all are there."""

    def __init__(self, window: tuple[list[int], list[int]], vmemmap_base: int, where: str) -> None:
        self.first, self.last = window
        self.vmemmap_base = vmemmap_base
        self.where = where
        self.seen = [0] * len(self.first)
        self.number = 0
        self.time = 0.0
        self.rows = Rows()
        self.contexts = Contexts()

    def bad(self, what: str) -> BadInput:
        """The error that names the line just read."""
        return BadInput(f"{self.where}: line {self.number}: {what}")

    def read(self, line: str) -> None:
        """Take one line, which is not a comment."""
        match = LINE.match(line)
        if match is None:
            raise self.bad(f"not a trace line: {line[:60]!r}")
        pid, cpu_text, flags, time, name, text = match.groups()
        cpu = int(cpu_text)
        if cpu >= len(self.seen):
            raise self.bad(f"CPU {cpu} is not in meta.json's window")
        if float(time) < self.time:
            raise self.bad(f"its time, {time[:20]}, is before that of the line above")
        self.time = float(time)
        index = self.seen[cpu]
        self.seen[cpu] += 1
        if self.first[cpu] <= index < self.last[cpu]:
            self.rows.nr_events += 1
            if name in _EVENTS:
                self._append(name, text, cpu, self.contexts.of(int(pid), cpu, flags))

    def _append(self, name: str, text: str, cpu: int, contexts: tuple[int, int]) -> None:
        """One more row."""
        if len(text) > MAX_TEXT:
            raise self.bad(f"{name}: over {MAX_TEXT} characters of fields")
        kind, values = _values(name, text, self)
        self.rows.append(kind, cpu, contexts, self.number, values)
        if len(self.rows) > MAX_ROWS:
            raise self.bad(f"over {MAX_ROWS} events; record less")
        if len(self.contexts) > MAX_CONTEXTS:
            raise self.bad(f"over {MAX_CONTEXTS} tasks; record less")

    def end(self, lines_per_cpu: dict[str, Any]) -> None:
        """All lines were read: as many as meta.json tells, and the window's?"""
        for cpu, seen in enumerate(self.seen):
            first, last = self.first[cpu], self.last[cpu]
            if not first <= last <= seen:
                window = one_line(f"{first} to {last}", 60)
                raise self.bad(f"CPU {cpu} has {seen} lines; meta.json's window is {window}")
            told = lines_per_cpu.get(str(cpu), seen)
            if told != seen:
                raise self.bad(f"CPU {cpu} has {seen} lines; meta.json tells {one_line(told, 20)}")


def read_rows(
    lines: Iterable[str],
    window: tuple[list[int], list[int]],
    vmemmap_base: int,
    where: str,
    lines_per_cpu: dict[str, Any],
) -> Rows:
    """The rows of all lines inside the window. BadInput names the line that cannot be read.

    window: per CPU, the first line number inside (counting that CPU's lines) and the one behind
    the last. where: the file's name, for errors. Cost: one regular expression a line, or two.
    """
    reader = Reader(window, vmemmap_base, where)
    for reader.number, line in enumerate(lines, 1):
        if reader.number > MAX_LINES:
            raise reader.bad(f"over {MAX_LINES} lines; record less")
        if not line.startswith("#") and not line.isspace():
            reader.read(line)
    reader.end(lines_per_cpu)
    return reader.rows


def _values(name: str, text: str, reader: Reader) -> tuple[Kind, list[int]]:
    """An event's numbers, in the order of its pattern's groups."""
    kind, pattern = _EVENTS[name]
    match = pattern.match(text)
    if match is None:
        raise reader.bad(f"{name} without its fields: {text[:60]!r}")
    try:
        values = _CONVERT.get(kind, _numbers)(match.groups())
    except ValueError as error:
        raise reader.bad(f"{name}: {one_line(error, 100)}") from None
    if kind in _PAGE_POINTER_FIRST:
        values[0] = (values[0] - reader.vmemmap_base) // SIZEOF_STRUCT_PAGE
    if max(values, default=0) >= 1 << 63:
        values = [value - (1 << 64) if value >= 1 << 63 else value for value in values]
    if max(values, default=0) >= 1 << 63 or min(values, default=0) < -1 << 63:
        raise reader.bad(f"{name}: a number of over 64 bits")
    return kind, values


def _numbers(groups: tuple[str, ...]) -> list[int]:
    return [int(text, 16 if text.startswith("0x") else 10) for text in groups if text]


def _mm_page_alloc(groups: tuple[str, ...]) -> list[int]:
    """[pfn or -1, order, migratetype, gfp_mask]."""
    page, pfn, order, migratetype, flags = groups
    pfn_number = int(pfn, 16) if page.strip("0") else -1
    return [pfn_number, int(order), int(migratetype), parse_gfp_flags(flags)]


def _isolate_ret(groups: tuple[str, ...]) -> list[int]:
    """[1 if compaction's fast search called, pages isolated]."""
    caller, returned = groups
    return [int(caller.startswith(("compaction_alloc", "fast_isolate"))), int(returned)]


def _try_to_compact(groups: tuple[str, ...]) -> list[int]:
    """[order, gfp_mask, priority]."""
    order, flags, priority = groups
    return [int(order), parse_gfp_flags(flags), int(priority)]


def _mm_compaction_finished(groups: tuple[str, ...]) -> list[int]:
    """[node, order, 1 if compaction goes on]."""
    node, order, ret = groups
    return [int(node), int(order), int(ret in ("continue", "no_suitable_page"))]


_CONVERT: dict[Kind, Callable[[tuple[str, ...]], list[int]]] = {
    Kind.mm_page_alloc: _mm_page_alloc,
    Kind.isolate_ret: _isolate_ret,
    Kind.mm_compaction_try_to_compact_pages: _try_to_compact,
    Kind.mm_compaction_finished: _mm_compaction_finished,
}

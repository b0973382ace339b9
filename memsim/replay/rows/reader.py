"""Lines of a trace into rows: the loop, quick for lines like those before it.

A line's head is remembered by its text without the time, its fields by their text without the one
number that differs from line to line. Only what is new goes through the regular expressions of
forms.py and ftrace.py.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from memsim.lib.text import one_line
from memsim.replay.rows.forms import (
    OVERWRITTEN,
    head_of,
    is_between,
    is_name,
    lost_events,
    what_instead,
)
from memsim.replay.rows.ftrace import KINDS, PAGE_KINDS, Fields
from memsim.replay.rows.inputs import ARGUMENTS, MAX_ROWS, Kind, Rows
from memsim.replay.rows.interrupts import NUMBERS, Interrupts, Who
from memsim.replay.rows.slab_fields import is_slab
from memsim.replay.rows.vmalloc_fields import is_vmalloc
from memsim.words.errors import BadInput

#: A trace with more lines is refused.
MAX_LINES = 20_000_000
MAX_CONTEXTS = 1 << 16
#: CPUs of a trace without a window: as many as a Machine may have.
MAX_CPUS = 512
#: Heads and names that are remembered.
_MAX_KNOWN = 1 << 16
#: Times above this are none: ticks since boot do not reach it.
MAX_TIME = 1e19
#: What perf script and trace-cmd put before the names of these events.
_SYSTEMS = ("kmem:", "pagemap:")
_NULL_POINTER = "0" * 16
_MAX_PFN = 1 << 63
_MAX_POINTER = 1 << 64
#: Events with rows of Kind.objects behind their own.
_OF_SEVERAL = frozenset({Kind.bulk_free, Kind.bulk_alloc})
#: Slab events whose fields repeat but for a pointer.
_REPEATING = (Kind.kmem_cache_alloc, Kind.kmem_cache_free, Kind.kmalloc, Kind.kfree)
#: In front of the number that differs; the last is in no line.
_PFN, _PTR, _NOTHING = " pfn=0x", " ptr=", "\n"
#: Texts of fields that are remembered, at most, for each name of an event.
_MAX_TEXTS = 4096

#: Called now and then with how many lines were read.
Progress = Callable[[int], None]
#: Per CPU the first line number inside, counting that CPU's lines, and the one behind the last.
Window = tuple[list[int], list[int]]


@dataclass(slots=True, eq=False)
class Event:
    """An event that is read: its kind, and the fields met so far.

    mark: what stands in front of the number that differs from line to line. known: by the text
    without that number, what a row has behind it.
    """

    kind: Kind
    mark: str
    known: dict[str, array[int]]


#: Stands for an event whose name was not met before.
_UNKNOWN = Event(Kind.unknown, _NOTHING, {})


class Contexts:
    """Numbers for who runs: a task by its pid, an interrupt by its CPU and kind."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, int, str], int] = {}

    def of(self, pid: int, cpu: int, flags: str) -> tuple[int, int]:
        """(what runs, the task that it is or interrupted); idle tasks are told apart by CPU."""
        task = self._number((pid, -1, ".") if pid else (0, cpu, "."))
        kind = flags[2] if flags[2:3] in ("h", "H", "s", "z", "Z") else "."
        return (task if kind == "." else self._number((0, cpu, kind))), task

    def _number(self, key: tuple[int, int, str]) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)


class Reader:
    """The lines so far, and the rows they made.

    window: see Window. None: every line is inside, only the events that every kernel has are
    read, and what a capture may not have is counted in rows.facts: lines out of order.
    slab: read the slab allocator's events too.
    """

    def __init__(
        self, window: Window | None, vmemmap_base: int, where: str, *, slab: bool = False
    ) -> None:
        self.is_capture = window is not None
        self._slab = slab
        self.first, self.last = window or ([0] * MAX_CPUS, [MAX_LINES + 1] * MAX_CPUS)
        self.where = where
        self.seen = [0] * len(self.first)
        self.number = 0
        self.time = 0.0
        self.rows = Rows()
        self.contexts = Contexts()
        self.interrupts = Interrupts(len(self.first), self.rows.interrupts)
        self.fields = Fields(vmemmap_base)
        self._after_perf = False
        #: By a head's text without the time.
        self._heads: dict[str, Who] = {}
        self._names: dict[str, Event | None] = {}

    def bad(self, what: str) -> BadInput:
        """The error that names the line just read."""
        return BadInput(f"{self.where}: line {self.number}: {what}")

    def read(self, lines: list[str]) -> None:
        """Take some lines, without their ends. Cost: one or two microseconds a line."""
        heads, names, like_before = self._heads, self._names, self._like_before
        seen, first, last, latest, above = self.seen, self.first, self.last, self.time, self.number
        rows, events, last_inside = self.rows, self.rows.facts.events, self.rows.facts.last
        kinds, cpus, contexts, tasks = rows.kind, rows.cpu, rows.context, rows.task
        numbers, times = rows.line, rows.time
        calm, tail, interrupts = self.interrupts.calm, self.interrupts.tail, self.interrupts
        for number, line in enumerate(lines, above + 1):
            head, _, rest = line.partition(": ")
            start, _, time = head.rpartition(" ")
            known = heads.get(start)
            if known is None or not time.replace(".", "", 1).isdecimal():
                found = self._new_head(line, start, time, number)
                if found is None:
                    continue
                known, time, rest = found
            now = float(time)
            if not latest <= now < MAX_TIME:
                self._out_of_order(number, now, time)
            latest = now
            cpu = known.cpu
            index = seen[cpu]
            seen[cpu] = index + 1
            if not first[cpu] <= index < last[cpu]:
                continue
            if not events:
                rows.facts.first = now
            events += 1
            last_inside = now
            name, _, text = rest.partition(": ")
            event = names.get(name, _UNKNOWN)
            if event is _UNKNOWN:
                event = self._new_name(name, line, number)
            if known is calm[cpu]:
                tail[cpu] = -1 if event is None else len(kinds)
            else:
                interrupts.line(known, now, -1 if event is None else len(kinds))
            if event is None:
                continue
            if not like_before(event, text):
                rows.arguments.extend(self._new_fields(event, text, number))
            if known.context < 0:
                self._number(known, number)
            times.append(now)
            kind = event.kind
            kinds.append(kind)
            cpus.append(cpu)
            contexts.append(known.context)
            tasks.append(known.task)
            numbers.append(number)
            if kind in _OF_SEVERAL:
                rows.complete(Kind.objects)
        self.number = above + len(lines)
        self.time = latest
        rows.facts.events, rows.facts.last = events, last_inside
        self._check_bounds()

    def _like_before(self, event: Event, text: str) -> bool:
        """The row's arguments, if all but one number stands in the text as it did before."""
        before, _, after = text.partition(event.mark)
        number, _, end = after.partition(" ")
        is_pfn = event.mark is _PFN
        more = event.known.get(end if is_pfn else f"{before} {end}")
        if more is None or not number.isalnum():
            return False
        try:
            value = int(number, 16)
        except ValueError:
            return False
        if is_pfn:
            if not 0 < value < _MAX_PFN or " " in before or before.endswith(_NULL_POINTER):
                return False
        elif value >= _MAX_PFN:
            value -= _MAX_POINTER
            if value >= 0:
                return False
        self.rows.arguments.append(value)
        self.rows.arguments.extend(more)
        return True

    def _remember(self, event: Event, text: str, values: list[int]) -> None:
        """What _like_before() finds again: values are those of the text."""
        before, found, after = text.partition(event.mark)
        if found and " " not in before:
            if len(event.known) >= _MAX_TEXTS:
                event.known.clear()
            end = after.partition(" ")[2]
            known = end if event.mark is _PFN else f"{before} {end}"
            event.known[known] = array("q", values[1:])

    def _check_bounds(self) -> None:
        if self.number > MAX_LINES:
            raise self.bad(f"over {MAX_LINES} lines; record less")
        if len(self.rows) > MAX_ROWS:
            raise self.bad(f"over {MAX_ROWS} events; record less")
        if len(self._heads) > _MAX_KNOWN:
            self._heads.clear()

    def _new_head(
        self, line: str, start: str, time: str, number: int
    ) -> tuple[Who, str, str] | None:
        """Who, time and the rest of a line that begins otherwise; None if it is no event's."""
        self.number = number
        line = line.rstrip("\r")
        head = head_of(line)
        if head is None:
            self._no_event(line)
            return None
        if head.cpu >= len(self.seen):
            raise self._no_cpu(head.cpu)
        known = Who(head.cpu, head.pid, head.flags)
        if line.startswith(f"{start} {head.time}: ") and time == head.time:
            self._heads[start] = known
        self._after_perf |= head.is_perf
        if "." not in head.time:
            self.rows.facts.in_seconds = 0
        return known, head.time, line[head.end :].lstrip()

    def _no_event(self, line: str) -> None:
        """Lines between events are skipped; what they tell about events missing is counted."""
        if line.startswith("#"):
            self._header(line)
        elif lost := lost_events(line):
            self.rows.facts.lost += lost
        elif not is_between(line, self._after_perf):
            raise self.bad(f"not a trace line: {line[:60]!r}: {what_instead(line)}")

    def _header(self, line: str) -> None:
        match = OVERWRITTEN.match(line)
        if match is not None:
            self.rows.facts.overwritten += max(0, int(match[2]) - int(match[1]))

    def _no_cpu(self, cpu: int) -> BadInput:
        if self.is_capture:
            return self.bad(f"CPU {cpu} is not in meta.json's window")
        return self.bad(f"CPU {cpu}: traces of up to {MAX_CPUS} CPUs are read")

    def _out_of_order(self, number: int, now: float, time: str) -> None:
        """A time before that of the line above: trace_pipe has it so, a capture never."""
        self.number = number
        if not now < MAX_TIME:
            raise self.bad(f"no clock gives the time {time[:20]}")
        if self.is_capture:
            raise self.bad(f"its time, {time[:20]}, is before that of the line above")
        self.rows.facts.backwards += 1

    def _new_name(self, name: str, line: str, number: int) -> Event | None:
        """The event by this name, if it is one that is read."""
        plain = name.strip().rstrip(":")
        if not is_name(plain):
            plain = self._odd_name(line, number)
        for system in _SYSTEMS:
            plain = plain.removeprefix(system)
        kind = KINDS.get(plain)
        if kind not in PAGE_KINDS and not self.is_capture:
            kind = None
        if kind is not None and (is_slab(kind) or is_vmalloc(kind)) and not self._slab:
            kind = None
        mark = _PFN if kind in PAGE_KINDS else _PTR if kind in _REPEATING else _NOTHING
        event = None if kind is None else Event(kind, mark, {})
        if len(self._names) < _MAX_KNOWN:
            self._names[name] = event
        return event

    def _odd_name(self, line: str, number: int) -> str:
        """What stands in the place of a name, in a line that has a known head: a stack, a count."""
        line = line.rstrip("\r")
        head = head_of(line)
        if head is None:
            self.number = number
            raise self.bad(f"not a trace line: {line[:60]!r}: {what_instead(line)}")
        return line[head.end :].partition(": ")[0].rstrip(":")

    def _new_fields(self, event: Event, text: str, number: int) -> list[int]:
        """The row's arguments, from fields unlike those before."""
        self.number = number
        kind = event.kind
        try:
            values = self.fields.values(kind, text.strip())
        except ValueError as error:
            raise self.bad(f"{kind.name}: {one_line(error, 100)}") from None
        if values is None:
            raise self.bad(f"{kind.name} without its fields: {text[:60]!r}")
        self.rows.facts.hex_flags |= self.fields.hex_flags
        values += [0] * (-len(values) % ARGUMENTS if values else ARGUMENTS)
        self._remember(event, text, values)
        return values

    def _number(self, known: Who, number: int) -> None:
        """Number the context and the task of who runs there."""
        known.context, known.task = self.contexts.of(known.pid, known.cpu, known.flags)
        if len(self.contexts) > MAX_CONTEXTS:
            self.number = number
            raise self.bad(f"over {MAX_CONTEXTS} tasks; record less")

    def end(self, lines_per_cpu: dict[str, Any]) -> None:
        """All lines were read: of a capture as many as meta.json tells, and the window's?"""
        self.rows.facts.way_back = self.interrupts.way_back()
        self.rows.facts.interrupts = len(self.rows.interrupts) // NUMBERS
        for cpu, seen in enumerate(self.seen if self.is_capture else ()):
            first, last = self.first[cpu], self.last[cpu]
            if not first <= last <= seen:
                window = one_line(f"{first} to {last}", 60)
                raise self.bad(f"CPU {cpu} has {seen} lines; meta.json's window is {window}")
            told = lines_per_cpu.get(str(cpu), seen)
            if told != seen:
                raise self.bad(f"CPU {cpu} has {seen} lines; meta.json tells {one_line(told, 20)}")


def read_rows(
    lines: Iterable[list[str]],
    window: Window | None,
    vmemmap_base: int,
    where: str,
    lines_per_cpu: dict[str, Any],
    progress: Progress | None = None,
    *,
    slab: bool = False,
) -> Rows:
    """The rows of all lines inside the window. BadInput names the line that cannot be read.

    window: per CPU, the first line number inside (counting that CPU's lines) and the one behind
    the last; None for a trace without snapshots: see Reader. where: the file's name, for errors.
    progress: told how many lines were read, now and then. slab: see Reader.
    """
    reader = Reader(window, vmemmap_base, where, slab=slab)
    for done, some in enumerate(lines):
        reader.read(some)
        if progress is not None and done % 64 == 0:
            progress(reader.number)
    reader.end(lines_per_cpu)
    return reader.rows

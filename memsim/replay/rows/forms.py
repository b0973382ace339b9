"""The forms that lines of a trace have: who, on which CPU, when; and lines that are no events.

ftrace's own text (trace, trace_pipe) and `trace-cmd report` differ in widths only; `perf script`
has a blank where they have a dash, and call chains.
Kernel: kernel/trace/trace_output.c trace_print_context(), trace_print_lat_fmt()
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The task's name may hold anything. It fills its column of 16, unless somebody moved the line.
_COMM = r"^(?:.{16}|\s*\S.{0,15}?)"
_CPU = r"\[(\d{1,12})\]\s+"
_FLAGS = r"(?:(\S{3,8})\s+)?"
_TIME = r"(\d{1,20}(?:\.\d{1,9})?):\s"

#: A line of ftrace or trace-cmd: pid, CPU, flags or None, time, name of the event, its fields.
#: Between pid and CPU there may be a column with the thread group.
LINE = re.compile(
    _COMM + r"-(\d{1,9})\s+(?:\(\s*[\d-]+\)\s+)?" + _CPU + _FLAGS + _TIME + r"([\w:]+):\s?(.*)$",
    re.ASCII,
)
#: A line of perf script: the same. Of a pair pid/tid it is the tid.
PERF_LINE = re.compile(
    _COMM + r"\s+(?:(?:-1|\d{1,9})/)?(-1|\d{1,9})\s+" + _CPU + _FLAGS + _TIME
    + r"\s*(?:\d{1,20}\s+)?([\w:.-]+?):(?:\s(.*))?$",
    re.ASCII,
)  # fmt: skip
#: The name of an event, with what perf script and trace-cmd put before it.
_NAME = re.compile(r"[A-Za-z_][\w:]*", re.ASCII)
#: Lines of ftrace that tell no event by name: stacks, and the function tracer's.
_NO_EVENT = re.compile(
    _COMM + r"-(\d{1,9})\s+(?:\(\s*[\d-]+\)\s+)?" + _CPU + _FLAGS + _TIME
    + r"(<(?:user )?stack trace>|\S+ <-\S+)$",
    re.ASCII,
)  # fmt: skip
#: Markers of events that are missing: a number, if it is told. tracefs, trace-cmd, perf script.
LOST = re.compile(
    r"^CPU:\d+ \[(?:LOST (?:(\d{1,18}) )?EVENTS|(?:(\d{1,18}) )?EVENTS DROPPED)\]$"
    r"|PERF_RECORD_LOST lost (\d{1,18})$",
    re.ASCII,
)
#: Other lines that may stand between events: headers and stacks.
_BETWEEN = re.compile(
    r"^(?:version = \d+|cpus=\d+|CPU \d+ is empty|\s*=> .*|\s*<stack trace>)$", re.ASCII
)
#: A function of a call chain, as perf script prints them below a line: address, symbol, file.
_CALL = re.compile(r"^\s+[0-9a-f]{1,16} \S.*$", re.ASCII)
#: How much the ring held when it was read, of how much was written to it.
OVERWRITTEN = re.compile(r"^# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})\s", re.ASCII)

#: What files that are no such text begin with, and what to do about it.
_BINARY = (
    ("\ufffd\x08\x44tracing", "it is trace-cmd's file: give the output of `trace-cmd report`"),
    ("\x17\x08\x44tracing", "it is trace-cmd's file: give the output of `trace-cmd report`"),
    ("PERFILE2", "it is perf's file: give the output of `perf script`"),
)
_HINTS = (
    (re.compile(r"\[\d+\]\s.*\d,\d+: "), "its time has a comma: record with LC_ALL=C"),
    (re.compile(r"^\s*\d+\)"), "it is of the function_graph tracer: set current_tracer to nop"),
    (re.compile(r"\d+us[ +!#*@$]?: "), "switch the trace option latency-format off"),
    (re.compile(r"\0"), "it has NUL bytes: give the text of a trace"),
)


@dataclass(slots=True)
class Head:
    """What stands before an event's name: pid, CPU, flags ("" if there are none), time."""

    pid: int
    cpu: int
    flags: str
    time: str
    #: Where the event's name starts in the line.
    end: int
    is_perf: bool


def head_of(line: str) -> Head | None:
    """The line's head, in whichever form; None if it is no line of an event."""
    match = LINE.match(line) or PERF_LINE.match(line) or _NO_EVENT.match(line)
    if match is None:
        return None
    pid, cpu, flags, time = match.group(1, 2, 3, 4)
    return Head(int(pid), int(cpu), flags or "", time, match.start(5), match.re is PERF_LINE)


def is_name(text: str) -> bool:
    """May an event have this name?"""
    return _NAME.fullmatch(text) is not None


def lost_events(line: str) -> int:
    """How many events this line says are missing; 1 when it tells no number; 0 if it says none."""
    match = LOST.search(line)
    if match is None:
        return 0
    return int(match[1] or match[2] or match[3] or 1)


def is_between(line: str, after_perf: bool) -> bool:
    """May this line stand between events? after_perf: the last event was one of perf script."""
    if not line or line.isspace() or _BETWEEN.match(line):
        return True
    return after_perf and _CALL.match(line) is not None


def what_instead(line: str) -> str:
    """What to do about a line that is none of a trace."""
    for start, hint in _BINARY:
        if line.startswith(start):
            return hint
    for pattern, hint in _HINTS:
        if pattern.search(line):
            return hint
    return "lines of ftrace, trace-cmd report or perf script are read, neither wrapped nor cut"

"""Which operation each interrupt fell into, from the lines of every event, those not read too.

A request is logged when it ends, a free when it begins. An interrupt between the two ends of one
is logged in front of it, or behind it, though it came in its middle; who was interrupted, right
behind which line and how long before the next, is all that a trace tells of that.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

#: How traces show that a task is to be scheduled: TIF_NEED_RESCHED.
_NEED_RESCHED = frozenset("NnB")
#: Bits of Interrupt.resched.
IN_INTERRUPT, BEHIND = 1, 2
#: What interrupts: a softirq, a hard interrupt on top of it, an NMI on top of that.
_LEVELS = {"s": 1, "h": 2, "H": 2, "z": 3, "Z": 3}
_DEPTHS = {digit: depth for depth, digit in enumerate(".123456789abcdef")}
#: MAX_SOFTIRQ_TIME, in seconds. Lines further apart are of two interrupts.
_MAX_SOFTIRQ_TIME = 0.002
_MICROSECONDS = 1_000_000
#: Of this and more nothing follows: no request takes so long.
_MAX_LEFT = 1 << 30
#: More than these are not kept; the log's order is as good as any then.
MAX_INTERRUPTS = 1 << 16
#: Interrupts that tell together how long the way back takes.
_ENOUGH = 16


class Who:
    """Who runs, from a line's head: the CPU, a task's pid, and ftrace's flags.

    level: what interrupts there, 0 if nothing does. depth: preempt_count() as far as it is shown.
    resched: is the task to be scheduled?
    context, task: see Rows; -1 before they have numbers.
    """

    __slots__ = ("context", "cpu", "depth", "flags", "level", "pid", "resched", "task")

    def __init__(self, cpu: int, pid: int, flags: str) -> None:
        self.cpu = cpu
        self.pid = pid
        self.flags = flags
        self.level = _LEVELS.get(flags[2:3], 0)
        self.depth = _DEPTHS.get(flags[3:4], 0)
        self.resched = flags[1:2] in _NEED_RESCHED
        self.context = self.task = -1


class Interrupt(NamedTuple):
    """Rows of one interrupt, and where in the interrupted context they fell.

    before, until: the rows of the context's lines around it, -1 where that line made none.
    first, last: rows of the interrupt itself, others' between them. left: microseconds from its
    last line to the context's next, -1 if another context came next. depth: preempt_count() in
    it, less that in the line before; over: less that in the context's next line. resched: was
    the task to be scheduled in the interrupt's last line (IN_INTERRUPT), in the next (BEHIND)?
    """

    before: int
    first: int
    last: int
    until: int
    left: int
    depth: int
    over: int
    resched: int


#: Numbers of one interrupt in a flat array of them.
NUMBERS = len(Interrupt._fields)


def interrupts_in(flat: array[int]) -> Iterator[Interrupt]:
    """Interrupts that hold rows, in the order of their ends."""
    for start in range(0, len(flat), NUMBERS):
        yield Interrupt(*flat[start : start + NUMBERS])


class _Open:
    """An interrupt whose end is not known yet."""

    __slots__ = ("before", "depth", "first", "last", "resched", "time")

    def __init__(self, before: int) -> None:
        self.before = before
        self.first = self.last = -1
        self.depth = len(_DEPTHS)
        self.time = 0.0
        self.resched = False


class _Frame:
    """A context that runs or is interrupted: its last line, and what came in since then."""

    __slots__ = ("depth", "level", "opened", "row")

    def __init__(self, level: int) -> None:
        self.level = level
        self.row = -1
        self.depth = 0
        self.opened: list[_Open] = []


class Interrupts:
    """Told of lines in their order; what it finds it appends, flat, to `found`.

    A task's line like the one before it on its CPU (`known is calm[cpu]`) need not be told, if
    tail[cpu] is set to its row, -1 when it makes none.
    """

    def __init__(self, nr_cpus: int, found: array[int]) -> None:
        self.calm: list[Who | None] = [None] * nr_cpus
        self.tail = [-1] * nr_cpus
        self._found = found
        self._nr_left = 0
        self._least_left = _MAX_LEFT
        #: By CPU: the task, and its frames from the task up.
        self._tasks = [-1] * nr_cpus
        self._frames = [[_Frame(0)] for _ in range(nr_cpus)]

    def line(self, known: Who, time: float, row: int) -> None:
        """A line at a time in seconds; row is -1 if it makes none."""
        cpu, level, depth, resched = known.cpu, known.level, known.depth, known.resched
        frames = self._frames_of(cpu, known.pid)
        while frames[-1].level > level:
            self._go_on(frames.pop(), -1, -1.0, 0, False)
        if frames[-1].level < level:
            frames.append(_Frame(level))
        top = frames[-1]
        if top.opened:
            self._go_on(top, row, time, depth, resched)
        top.row, top.depth = row, depth
        for frame in frames[:-1]:
            _came_in(frame, time, row, depth, resched)
        self.calm[cpu] = None if level else known
        self.tail[cpu] = row

    def _frames_of(self, cpu: int, pid: int) -> list[_Frame]:
        """The frames of this task; whatever else ran on the CPU runs no longer."""
        frames = self._frames[cpu]
        if self.calm[cpu] is not None:
            frames[-1].row = self.tail[cpu]
        if self._tasks[cpu] != pid:
            for frame in frames:
                self._go_on(frame, -1, -1.0, 0, False)
            self._tasks[cpu] = pid
            frames[:] = [_Frame(0)]
        return frames

    def _go_on(self, frame: _Frame, row: int, time: float, depth: int, resched: bool) -> None:
        """The frame goes on with a line at this time, so deep; below 0: it never does."""
        for opened in frame.opened:
            left = -1
            if time >= 0:
                left = max(0, min(int((time - opened.time) * _MICROSECONDS + 0.5), _MAX_LEFT))
                self._learn_way_back(left)
            of_rows = opened.first >= 0 and max(opened.before, row) >= 0
            if of_rows and len(self._found) < MAX_INTERRUPTS * NUMBERS:
                self._found.extend(
                    (
                        opened.before, opened.first, opened.last, row,
                        left, opened.depth - frame.depth, opened.depth - depth,
                        IN_INTERRUPT * opened.resched + BEHIND * resched,
                    )
                )  # fmt: skip
        frame.opened.clear()

    def _learn_way_back(self, left: int) -> None:
        if left > 0:
            self._nr_left += 1
            self._least_left = min(left, self._least_left)

    def way_back(self) -> int:
        """The least time, in microseconds, that interrupts left; 0 when there were too few."""
        return self._least_left if self._nr_left >= _ENOUGH else 0


def _came_in(frame: _Frame, time: float, row: int, depth: int, resched: bool) -> None:
    """A line of whatever interrupts this frame."""
    if not frame.opened or time - frame.opened[-1].time > _MAX_SOFTIRQ_TIME:
        frame.opened.append(_Open(-1 if frame.opened else frame.row))
    opened = frame.opened[-1]
    opened.time, opened.resched = time, resched
    opened.depth = min(opened.depth, depth)
    if row >= 0:
        opened.last = row
        if opened.first < 0:
            opened.first = row

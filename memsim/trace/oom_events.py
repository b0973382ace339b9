"""The kernel's tracepoints of the OOM killer: names, fields, and the one-line text form.

A task's name is text: a record has its number in `Trace.names`.
reclaim_retry_zone and compact_retry, which are the page allocator's own, are in pressure_events.

Kernel: include/trace/events/oom.h
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

#: A pid has at most 22 bits; oom_score_adj is -1000 to 1000. Kernel: include/linux/threads.h
_PID_BITS = 22
_ADJ_BITS = 12
_UID_BITS = 32
_MIN_ADJ = -1000
_SCORE_FORM = re.compile(r"pid=(\d+) comm=(.*) oom_score_adj=(-?\d+)", re.ASCII)
_VICTIM_FORM = re.compile(
    r"pid=(\d+) comm=(.*) total-vm=(\d+)kB anon-rss=(\d+)kB file-rss:(\d+)kB shmem-rss:(\d+)kB "
    r"uid=(\d+) pgtables=(\d+)kB oom_score_adj=(-?\d+)",
    re.ASCII,
)
_PID_FORM = re.compile(r"pid=(\d+)", re.ASCII)


def _packed(pid: int, comm: int, oom_score_adj: int) -> int:
    """Three numbers as one of a record's fields."""
    return pid | (oom_score_adj - _MIN_ADJ) << _PID_BITS | comm << _PID_BITS + _ADJ_BITS


def _unpacked(field: int, names: Sequence[str]) -> tuple[int, str, int]:
    """(pid, comm, oom_score_adj)."""
    adj = (field >> _PID_BITS & (1 << _ADJ_BITS) - 1) + _MIN_ADJ
    return field & (1 << _PID_BITS) - 1, names[field >> _PID_BITS + _ADJ_BITS], adj


@dataclass(frozen=True, slots=True)
class OomScoreAdjUpdate:
    """A task has another oom_score_adj. Kernel: trace_oom_score_adj_update()."""

    NAME: ClassVar[str] = "oom_score_adj_update"
    pid: int
    comm: str
    oom_score_adj: int

    def text(self) -> str:
        """What follows `oom_score_adj_update: ` in a trace."""
        return f"pid={self.pid} comm={self.comm} oom_score_adj={self.oom_score_adj}"

    def record(self, number_of: Callable[[str], int]) -> tuple[int, ...]:
        """The fields as a record holds them; number_of tells the number of a text."""
        return (_packed(self.pid, number_of(self.comm), self.oom_score_adj),)

    @classmethod
    def of(cls, fields: Sequence[int], names: Sequence[str]) -> OomScoreAdjUpdate:
        """The event that these fields of a record stand for."""
        return cls(*_unpacked(fields[0], names))


@dataclass(frozen=True, slots=True)
class MarkVictim:
    """A task may use all reserves, and has to die. Sizes are kB. Kernel: trace_mark_victim()."""

    NAME: ClassVar[str] = "mark_victim"
    pid: int
    comm: str
    total_vm: int
    anon_rss: int
    file_rss: int
    shmem_rss: int
    uid: int
    pgtables: int
    oom_score_adj: int

    def text(self) -> str:
        """What follows `mark_victim: ` in a trace; = and : are where the kernel has them."""
        return (
            f"pid={self.pid} comm={self.comm} total-vm={self.total_vm}kB "
            f"anon-rss={self.anon_rss}kB file-rss:{self.file_rss}kB "
            f"shmem-rss:{self.shmem_rss}kB uid={self.uid} pgtables={self.pgtables}kB "
            f"oom_score_adj={self.oom_score_adj}"
        )

    def record(self, number_of: Callable[[str], int]) -> tuple[int, ...]:
        """The fields as a record holds them: nine in six."""
        return (
            _packed(self.pid, number_of(self.comm), self.oom_score_adj), self.total_vm,
            self.anon_rss, self.file_rss, self.shmem_rss, self.uid | self.pgtables << _UID_BITS,
        )  # fmt: skip

    @classmethod
    def of(cls, fields: Sequence[int], names: Sequence[str]) -> MarkVictim:
        """The event that these fields of a record stand for."""
        pid, comm, adj = _unpacked(fields[0], names)
        pgtables, uid = divmod(fields[5], 1 << _UID_BITS)
        total_vm, anon_rss, file_rss, shmem_rss = fields[1:5]
        return cls(pid, comm, total_vm, anon_rss, file_rss, shmem_rss, uid, pgtables, adj)


@dataclass(frozen=True, slots=True)
class _Reaping:
    """What happens to a victim's memory: the pid says whose."""

    NAME: ClassVar[str]
    pid: int

    def text(self) -> str:
        """What follows the event's name in a trace."""
        return f"pid={self.pid}"

    def record(self, number_of: Callable[[str], int]) -> tuple[int, ...]:
        """The fields as a record holds them."""
        return (self.pid,)

    @classmethod
    def of(cls, fields: Sequence[int], names: Sequence[str]) -> Self:
        """The event that these fields of a record stand for."""
        return cls(fields[0])


class WakeReaper(_Reaping):
    """The victim had its two seconds and is there still. Kernel: trace_wake_reaper()."""

    __slots__ = ()
    NAME = "wake_reaper"


class StartTaskReaping(_Reaping):
    """The reaper begins to unmap. Kernel: trace_start_task_reaping()."""

    __slots__ = ()
    NAME = "start_task_reaping"


class FinishTaskReaping(_Reaping):
    """The reaper ends, with all unmapped or not. Kernel: trace_finish_task_reaping()."""

    __slots__ = ()
    NAME = "finish_task_reaping"


class SkipTaskReaping(_Reaping):
    """mmap_lock is taken, or nothing is left to reap. Kernel: trace_skip_task_reaping()."""

    __slots__ = ()
    NAME = "skip_task_reaping"


OomEvent = (
    OomScoreAdjUpdate | MarkVictim | WakeReaper | StartTaskReaping | FinishTaskReaping
    | SkipTaskReaping
)  # fmt: skip
OOM_EVENT_CLASSES: tuple[type[OomEvent], ...] = (
    OomScoreAdjUpdate, MarkVictim, WakeReaper, StartTaskReaping, FinishTaskReaping,
    SkipTaskReaping,
)  # fmt: skip


def parse_oom_event(cls: type[OomEvent], text: str) -> OomEvent:
    """The event behind its text. ValueError when the text is not one of this class."""
    forms = {OomScoreAdjUpdate: _SCORE_FORM, MarkVictim: _VICTIM_FORM}
    found = forms.get(cls, _PID_FORM).fullmatch(text)
    if found is None:
        raise ValueError(f"{cls.NAME}: {text[:80]!r} has not the fields of this event")
    words = zip(fields(cls), found.groups(), strict=True)
    values: list[Any] = [word if field.name == "comm" else int(word) for field, word in words]
    return cls(*values)

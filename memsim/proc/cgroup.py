r"""A cgroup's files as the kernel prints them.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", reclaim=True)
>>> web = machine.cgroup("web", max="1M")
>>> read_cgroup_file(machine, web, "memory.max")
'1048576\n'

Kernel: mm/memcontrol.c memory_files[], swap_files[]
"""

from __future__ import annotations

from collections.abc import Callable

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.text import one_line
from memsim.machine import Machine
from memsim.machine.cgroup import Cgroup
from memsim.mm.memcontrol.stat import memcg_stat_format
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.page_counter import PageCounter
from memsim.words.errors import BadRequest
from memsim.words.memcontrol import MEMCG_EVENTS, MEMCG_SWAP_HIGH
from memsim.words.oom import PAGE_COUNTER_MAX


def _bytes(nr_pages: int) -> str:
    return f"{nr_pages * PAGE_SIZE}\n"


def _limit(nr_pages: int) -> str:
    """Kernel: mm/memcontrol.c seq_puts_memcg_tunable()."""
    return "max\n" if nr_pages == PAGE_COUNTER_MAX else _bytes(nr_pages)


def _rows(rows: list[tuple[str, int]]) -> str:
    return "".join(f"{name} {number}\n" for name, number in rows)


def _events(memcg: MemCgroup) -> str:
    """Kernel: mm/memcontrol.c __memory_events_show()."""
    return _rows(list(zip(MEMCG_EVENTS, memcg.events, strict=True))[:MEMCG_SWAP_HIGH])


def _swap_events(memcg: MemCgroup) -> str:
    """Kernel: mm/memcontrol.c swap_events_show()."""
    events = list(zip(MEMCG_EVENTS, memcg.events, strict=True))[MEMCG_SWAP_HIGH:]
    return _rows([(name.removeprefix("swap_"), number) for name, number in events])


def _files_of(prefix: str, counter: Callable[[MemCgroup], PageCounter]) -> _Files:
    return {
        f"{prefix}.current": lambda memcg: _bytes(counter(memcg).usage),
        f"{prefix}.peak": lambda memcg: _bytes(counter(memcg).watermark),
        f"{prefix}.max": lambda memcg: _limit(counter(memcg).max),
    }


_Files = dict[str, Callable[[MemCgroup], str]]
_FILES: _Files = {
    **_files_of("memory", lambda memcg: memcg.memory),
    "memory.min": lambda memcg: _limit(memcg.memory.min),
    "memory.low": lambda memcg: _limit(memcg.memory.low),
    "memory.high": lambda memcg: _limit(memcg.memory.high),
    "memory.events": _events,
    "memory.stat": lambda memcg: _rows(memcg_stat_format(memcg)),
    "memory.oom.group": lambda memcg: f"{memcg.oom_group}\n",
    **_files_of("memory.swap", lambda memcg: memcg.swap),
    "memory.swap.events": _swap_events,
}


def read_cgroup_file(machine: Machine, cgroup: Cgroup, file: str) -> str:
    """The text of a file of a cgroup. BadRequest for one that is not modelled."""
    memcg = machine.memcg(cgroup)
    if not isinstance(file, str) or file not in _FILES:
        raise BadRequest(f"file={one_line(file, 40)!r}: should be one of {', '.join(_FILES)}")
    return _FILES[file](memcg)

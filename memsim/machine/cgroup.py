"""Memory cgroups, and processes in them.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", reclaim=True)
>>> web = machine.cgroup("web", max="1M")
>>> nginx = machine.process("nginx", web)
>>> with machine.running(nginx):
...     heap = machine.mmap("heap", "4 MiB")
...     file = machine.open("data", "4 MiB")
...     for index in range(200):
...         pfn = machine.touch(heap, index)
...     for index in range(300):
...         pfn = machine.read(file, index)
>>> machine.memcg(web).memory.usage <= 256
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from memsim.lib.text import one_line
from memsim.machine.checks import whole
from memsim.machine.history import History, T
from memsim.mm.folio import lru_gen_enabled
from memsim.mm.memcontrol.css import mem_cgroup_alloc
from memsim.mm.memcontrol.limits import LIMITS, memcg_write
from memsim.mm.memcontrol.run_as import run_as
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.oom_kill.exit import exit_process
from memsim.mm.oom_kill.history import changing_tasks
from memsim.mm.oom_kill.task import Mm, Task, add_process, tsk_is_oom_victim
from memsim.mm.page_counter import page_counter_memparse
from memsim.words.errors import BadRequest
from memsim.words.memcontrol import MAX_MEMCGS
from memsim.words.oom import OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN

_MAX_NAME = 255
#: TASK_COMM_LEN without its end.
_MAX_COMM = 15
#: The pid of the first process that is made.
_FIRST_PID = 100
_FILES = (*LIMITS, "memory.oom.group")


@dataclass(frozen=True)
class Cgroup:
    """A directory below /sys/fs/cgroup."""

    id: int
    name: str


@dataclass(frozen=True)
class Process:
    """Somebody who reads files, and has regions."""

    pid: int
    comm: str


class CgroupRequests(History):
    """The part of a Machine that has cgroups and processes; only where it has reclaim=True."""

    _runs: Process | None = None

    def cgroup(
        self,
        name: str,
        *,
        min: int | str | None = None,
        low: int | str | None = None,
        high: int | str | None = None,
        max: int | str | None = None,
        swap_max: int | str | None = None,
        oom_group: bool = False,
    ) -> Cgroup:
        """A new cgroup below the root, with these limits: bytes, or as they are written there.

        "64M", "0x1000", "max". A page that fits in part does not count, as in the kernel.
        Kernel: mm/memcontrol.c mem_cgroup_css_alloc(), memory_files[]
        """
        self._check_name(name)
        if lru_gen_enabled(self.vm):
            raise BadRequest("cgroup(): NOT MODELLED beside the multi-gen LRU")
        given = dict(zip(LIMITS, (min, low, high, max, swap_max), strict=True))
        texts = {file: _text(file, size) for file, size in given.items() if size is not None}
        if oom_group:
            texts["memory.oom.group"] = "1"
        shown = "".join(f", {file}={text}" for file, text in texts.items())
        (memcg,) = self._do(f"cgroup({name}{shown})", 0, lambda: (self._new_cgroup(name, texts),))
        return Cgroup(memcg.id, name)

    def cgroup_write(self, cgroup: Cgroup, file: str, text: int | str, *, cpu: int = 0) -> None:
        """Write to memory.min, .low, .high, .max, memory.swap.max or memory.oom.group of a cgroup.

        memory.max and memory.high below what is charged reclaim at once; and memory.max kills, one
        process after the other, until the rest fits. Kernel: mm/memcontrol.c memory_max_write()
        """
        memcg = self.memcg(cgroup)
        if not isinstance(file, str) or file not in _FILES:
            raise BadRequest(f"file={one_line(file, 40)!r}: should be one of {', '.join(_FILES)}")
        written = _text(file, text)
        name = f"echo {written} >{cgroup.name}/{file}"
        self._do(name, cpu, lambda: (memcg_write(self.vm, memcg, file, written),))

    def process(
        self, comm: str, cgroup: Cgroup | None = None, *, oom_score_adj: int = 0
    ) -> Process:
        """A new process, in a cgroup or in the root. What it has is charged there."""
        self._reclaims()
        memcg = None if cgroup is None else self.memcg(cgroup)
        if not isinstance(comm, str) or not 0 < len(comm) <= _MAX_COMM or not comm.isprintable():
            text = f"should be 1 to {_MAX_COMM} printable characters"
            raise BadRequest(f"comm={one_line(comm, 40)!r}: {text}")
        whole("oom_score_adj", oom_score_adj)
        if not OOM_SCORE_ADJ_MIN <= oom_score_adj <= OOM_SCORE_ADJ_MAX:
            raise BadRequest(f"oom_score_adj={oom_score_adj}: should be -1000 to 1000")
        oom = self.vm.oom
        pid = 1 + sorted([_FIRST_PID - 1, *(task.pid for task in oom.processes)])[-1]
        add = lambda: add_process(  # noqa: E731
            oom, pid, comm, Mm(), oom_score_adj=oom_score_adj, memcg=memcg
        )
        self._do(f"process({comm}) = pid {pid}", 0, lambda: (changing_tasks(self.vm, add),))
        return Process(pid, comm)

    def exit(self, process: Process, *, cpu: int = 0) -> None:
        """A process ends, and gives its regions back; what it read stays in the page cache."""
        task = self._task(process)
        self._do(f"exit({process.comm})", cpu, lambda: self._exit(task))

    @contextmanager
    def running(self, process: Process) -> Iterator[None]:
        """Who reads, writes and maps inside the with block. Nobody's are the root's, and init's."""
        self._task(process)
        had, self._runs = self._runs, process
        try:
            yield
        finally:
            self._runs = had

    def memcg(self, cgroup: Cgroup) -> MemCgroup:
        """What the kernel has of a cgroup. BadRequest when there is none any more."""
        self._reclaims()
        if not isinstance(cgroup, Cgroup):
            raise BadRequest(f"{one_line(cgroup, 40)!r}: should be what cgroup() gave")
        memcg = self.vm.folios.memcgs.groups.get(cgroup.id)
        if memcg is None or memcg.path != f"/{cgroup.name}":
            raise BadRequest(f"{cgroup.name}: is not there any more")
        return memcg

    # Inside

    def _do(self, name: str, cpu: int, call: Callable[[], T], daemon: bool = False) -> T:
        """Run an operation as the process that runs; victims of the OOM killer exit behind it."""
        processes = self.vm.oom.processes
        if not hasattr(self.vm, "folios") or (len(processes) < 2 and self._runs is None):
            return super()._do(name, cpu, call, daemon)
        task = self.vm.oom.current if self._runs is None else self._task(self._runs)
        result = super()._do(name, cpu, lambda: run_as(self.vm, task, call), daemon)
        for victim in [p for p in processes if p.mm is not None and tsk_is_oom_victim(p)]:
            super()._do(f"exit({victim.comm})", cpu, partial(self._exit, victim), True)
        return result

    def _exit(self, task: Task) -> None:
        changing_tasks(self.vm, lambda: exit_process(self.vm, task))

    def _new_cgroup(self, name: str, texts: dict[str, str]) -> MemCgroup:
        memcg = mem_cgroup_alloc(self.vm, name)
        for file, text in texts.items():
            memcg_write(self.vm, memcg, file, text)
        return memcg

    def _reclaims(self) -> None:
        if not hasattr(self.vm, "folios"):
            raise BadRequest("this machine has no reclaim=True")

    def _check_name(self, name: str) -> None:
        self._reclaims()
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            text = f"should be 1 to {_MAX_NAME} printable characters"
            raise BadRequest(f"name={one_line(name, 40)!r}: {text}")
        if "/" in name:
            raise BadRequest(f"name={name[:40]!r}: NOT MODELLED: a cgroup below a cgroup")
        groups = self.vm.folios.memcgs.groups.values()
        if name in (".", "..") or f"/{name}" in [memcg.path for memcg in groups]:
            raise BadRequest(f"name={name[:40]!r}: EEXIST: there is one already")
        if len(groups) == MAX_MEMCGS:
            raise BadRequest(f"name={name[:40]!r}: NOT MODELLED: more than {MAX_MEMCGS} cgroups")

    def _task(self, process: Process) -> Task:
        if not isinstance(process, Process):
            raise BadRequest(f"{one_line(process, 40)!r}: should be what process() gave")
        for task in self.vm.oom.processes:
            if (task.pid, task.comm) == (process.pid, process.comm):
                return task
        raise BadRequest(f"{process.comm}: pid {process.pid} is not there any more")


def _text(file: str, size: int | str) -> str:
    """What is written to a file. BadRequest for what the kernel answers with EINVAL."""
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise BadRequest(
            f"{file}={one_line(size, 40)!r}: should be bytes, or text as it is written"
        )
    text = str(size)
    if file == "memory.oom.group":
        if text.strip() not in ("0", "1"):
            raise BadRequest(f"{file}={one_line(text, 40)!r}: EINVAL: should be 0 or 1")
    elif len(text) > _MAX_NAME or page_counter_memparse(text.strip()) < 0:
        what = "should be bytes, with K, M, G, T, P or E behind them, or max"
        raise BadRequest(f"{file}={one_line(text, 40)!r}: EINVAL: {what}")
    return text.strip()

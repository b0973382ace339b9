"""Memory cgroups.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", reclaim=True)
>>> web = machine.cgroup("web", max="1M")
>>> nginx = machine.task("nginx", cgroup=web)
>>> heap, file = nginx.mmap("heap", "4 MiB"), machine.open("data", "4 MiB")
>>> for index in range(200):
...     pfn = nginx.touch(heap, index)
>>> with machine.running(nginx):
...     for index in range(300):
...         pfn = machine.read(file, index)
>>> machine.memcg(web).memory.usage <= 256
True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memsim.lib.text import one_line
from memsim.machine.checks import check_switch
from memsim.machine.pages import PageRequests, T
from memsim.mm.folio import lru_gen_enabled
from memsim.mm.memcontrol.css import mem_cgroup_alloc
from memsim.mm.memcontrol.high import mem_cgroup_handle_over_high
from memsim.mm.memcontrol.limits import LIMITS, memcg_write
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.page_counter import page_counter_memparse
from memsim.words.errors import BadRequest
from memsim.words.gfp import GFP_KERNEL
from memsim.words.memcontrol import MAX_MEMCGS

_MAX_NAME = 255
_FILES = (*LIMITS, "memory.oom.group")


@dataclass(frozen=True)
class Cgroup:
    """A directory below /sys/fs/cgroup."""

    id: int
    name: str


class CgroupRequests(PageRequests):
    """The part of a Machine that has cgroups; only where it has reclaim=True."""

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
        check_switch("oom_group", oom_group, BadRequest)
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

    def memcg(self, cgroup: Cgroup) -> MemCgroup:
        """What the kernel has of a cgroup. BadRequest when there is none any more."""
        self._folios()
        if not isinstance(cgroup, Cgroup):
            raise BadRequest(f"{one_line(cgroup, 40)!r}: should be what cgroup() gave")
        memcg = self.vm.folios.memcgs.groups.get(cgroup.id)
        if memcg is None or memcg.path != f"/{cgroup.name}":
            raise BadRequest(f"{cgroup.name}: is not there any more")
        return memcg

    # Inside

    def _do(self, name: str, cpu: int, call: Callable[[], T], daemon: bool = False) -> T:
        """An operation; on its way out who asked reclaims what it charged above memory.high.

        Kernel: include/linux/resume_user_mode.h resume_user_mode_work()
        """
        if not hasattr(self.vm, "folios"):
            return super()._do(name, cpu, call, daemon)
        return super()._do(name, cpu, lambda: self._to_user_mode(call()), daemon)

    def _to_user_mode(self, result: T) -> T:
        mem_cgroup_handle_over_high(self.vm, GFP_KERNEL)
        return result

    def _new_cgroup(self, name: str, texts: dict[str, str]) -> MemCgroup:
        memcg = mem_cgroup_alloc(self.vm, name)
        for file, text in texts.items():
            memcg_write(self.vm, memcg, file, text)
        return memcg

    def _check_name(self, name: str) -> None:
        self._folios()
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

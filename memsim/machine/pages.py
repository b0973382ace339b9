"""Files that are read and regions that are touched: pages that reclaim may take back.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", reclaim=True)
>>> file = machine.open("data", "1 MiB")
>>> machine.read(file, 0) == machine.read(file, 0)
True
>>> machine.read(file, 256)
Traceback (most recent call last):
  ...
memsim.words.errors.BadRequest: index=256: data has pages 0 to 255
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from memsim.lib.bits import nr_pages_of
from memsim.lib.sizes import parse_size
from memsim.lib.text import one_line
from memsim.machine.checks import check_cpu, check_nid, check_switch, whole
from memsim.machine.daemons import Daemons
from memsim.mm import filemap, madvise, memory, swap
from memsim.mm.folio import ANON, FILE, AddressSpace, forget_mapping, new_mapping
from memsim.mm.lru_gen.change_state import lru_gen_change_state
from memsim.mm.mempolicy import nodemask_of_failure
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.area import mmap_area
from memsim.mm.oom_kill.task import Task, is_global_init, owner_of_area
from memsim.mm.sched import switch_to
from memsim.mm.show_mem import allocation_failure_report
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE, show_gfp_flags
from memsim.words.mmzone import NULL
from memsim.words.slab import NUMA_NO_NODE

T = TypeVar("T")
#: What is said where a charge is refused; the kernel logs nothing.
NO_ROOM = "ENOMEM: its memory cgroup has no room for the page below memory.max"
#: The largest file or region, in pages: 1 TiB.
_MAX_PAGES = 1 << 28


#: What advice is for, and who takes it.
_ADVICE: dict[str, tuple[int, Callable[[Vm, AddressSpace, int], None]]] = {
    "MADV_COLD": (ANON, madvise.madvise_cold),
    "MADV_FREE": (ANON, madvise.madvise_free),
    "POSIX_FADV_DONTNEED": (FILE, madvise.fadvise_dontneed),
}


@dataclass(frozen=True)
class Pages:
    """A file that is open, or an anonymous region: `nr_pages` pages, by index."""

    id: int
    name: str
    nr_pages: int


class PageRequests(Daemons):
    """The part of a Machine that has files and regions; only where it has reclaim=True."""

    def open(self, name: str, size: int | str) -> Pages:
        """A file of this size, none of it in the page cache."""
        return self._new("open", FILE, name, size)

    def mmap(self, name: str, size: int | str) -> Pages:
        """An anonymous region of this size, none of it touched: the running task's, or nobody's."""
        return self._new("mmap", ANON, name, size)

    def read(self, file: Pages, index: int, *, cpu: int = 0, nid: int | None = None) -> int:
        """Read a page of a file: the pfn that has it. PageAllocationFailure without memory.

        nid: the node it should be on if it is not in the page cache; by default the task's policy
        says, without one the CPU's own.
        Kernel: mm/filemap.c filemap_read()
        """
        mapping = self._page_of(file, FILE, index)
        node, gfp = self._node(cpu, nid), GFP_HIGHUSER_MOVABLE
        call = lambda: filemap.filemap_read(self.vm, mapping, index, gfp, node)  # noqa: E731
        return self._had(self._do(f"read({file.name}, {index})", cpu, call))

    def write(self, file: Pages, index: int, *, cpu: int = 0, nid: int | None = None) -> int:
        """Write a page of a file, which is dirty from then on: the pfn that has it.

        Kernel: mm/filemap.c generic_perform_write()
        """
        mapping = self._page_of(file, FILE, index)
        node, gfp = self._node(cpu, nid), GFP_HIGHUSER_MOVABLE
        call = lambda: filemap.filemap_write(self.vm, mapping, index, gfp, node)  # noqa: E731
        return self._had(self._do(f"write({file.name}, {index})", cpu, call))

    def touch(
        self, region: Pages, index: int, *, write: bool = True, cpu: int = 0, nid: int | None = None
    ) -> int:
        """Use a page of a region, or of a file that is mapped, by its address: the pfn that has it.

        PageAllocationFailure without memory. Kernel: mm/memory.c handle_mm_fault()
        """
        check_switch("write", write, BadRequest)
        mapping = self._page_of(region, None, index)
        node, gfp = self._node(cpu, nid), GFP_HIGHUSER_MOVABLE
        fault = memory.handle_mm_fault
        call = lambda: fault(self.vm, mapping, index, write, gfp, node)  # noqa: E731
        with self._owner_runs(mapping):
            return self._had(self._do(f"touch({region.name}, {index})", cpu, call))

    def madvise(self, pages: Pages, index: int, advice: str, *, cpu: int = 0) -> None:
        """Say of a page that it is not needed: MADV_COLD or MADV_FREE of a region's.

        Of a file's it is POSIX_FADV_DONTNEED. Kernel: mm/madvise.c, mm/fadvise.c
        """
        if not isinstance(advice, str) or advice not in _ADVICE:
            known = ", ".join(_ADVICE)
            raise BadRequest(f"advice={one_line(advice, 40)!r}: should be one of {known}")
        kind, call = _ADVICE[advice]
        mapping = self._page_of(pages, kind, index)
        check_cpu(self.vm, cpu)
        name = f"madvise({pages.name}, {index}, {advice})"
        self._do(name, cpu, lambda: call(self.vm, mapping, index))

    def drop(self, pages: Pages, index: int, *, cpu: int = 0) -> None:
        """Give back a page of a file (truncated there) or of a region (unmapped)."""
        mapping = self._page_of(pages, None, index)
        check_cpu(self.vm, cpu)
        call = memory.zap_pte if mapping.is_anon else filemap.truncate
        self._do(f"drop({pages.name}, {index})", cpu, lambda: call(self.vm, mapping, index))

    def close(self, pages: Pages, *, cpu: int = 0) -> None:
        """A file is deleted, or a region unmapped that is no task's: its folios are freed."""
        mapping = self._mapping(pages, None)
        check_cpu(self.vm, cpu)
        owner = owner_of_area(self.vm.oom, mapping.id)
        if owner is not None:
            raise BadRequest(f"{pages.name}: is {owner.comm}'s, which has munmap() for it")
        self._do(f"close({pages.name})", cpu, lambda: self._close(mapping))

    def kswapd(self, *, nid: int = 0) -> None:
        """Wake a node's kswapd, whatever it was asked for, and let it run until it sleeps.

        Without this it runs by itself behind the operation that woke it. Kernel: mm/vmscan.c
        """
        self._folios()
        check_nid(self.vm, nid)
        pgdat = self.vm.nodes[max(nid, 0)]
        self._run_kswapd(pgdat)

    def write_back(self) -> None:
        """Write all dirty pages of files, at once. Kernel: mm/page-writeback.c."""
        self._folios()
        self._do("write_back()", 0, lambda: filemap.write_back(self.vm))

    def lru_gen(self, enabled: bool) -> None:
        """Write y or n to /sys/kernel/mm/lru_gen/enabled: all folios change lists.

        Kernel: mm/vmscan.c lru_gen_change_state()
        """
        self._folios()
        check_switch("enabled", enabled, BadRequest)
        if enabled and self.vm.folios.memcgs.groups:
            raise BadRequest("lru_gen(True): NOT MODELLED beside memory cgroups")
        name = f"lru_gen({'y' if enabled else 'n'})"
        self._do(name, 0, lambda: lru_gen_change_state(self.vm, enabled))

    def lru_add_drain_all(self) -> None:
        """Empty the batches of every CPU. Kernel: mm/swap.c lru_add_drain_all()."""
        self._folios()
        self._do("lru_add_drain_all()", 0, lambda: swap.lru_add_drain_all(self.vm))

    # Inside

    def _folios(self) -> None:
        if not hasattr(self.vm, "folios"):
            raise BadRequest("this machine has no reclaim=True")

    def _new(self, call: str, kind: int, name: str, size: int | str) -> Pages:
        self._folios()
        nr_pages = check_pages(name, size)
        shown = f"{call}({name}, {nr_pages} pages)"
        new = lambda: Hidden(self._new_mapping(kind, name, nr_pages))  # noqa: E731
        made = self._do(shown, self.vm.oom.current.cpu, new)
        return Pages(made.value.id, name, nr_pages)

    def _new_mapping(self, kind: int, name: str, nr_pages: int) -> AddressSpace:
        current = self.vm.oom.current
        if kind == FILE or is_global_init(current) or current.mm is None:
            return new_mapping(self.vm, kind, name)
        return mmap_area(self.vm, current.mm, name, nr_pages)

    @contextmanager
    def _as(self, process: Task) -> Iterator[None]:
        """Inside the with block it is this process that asks."""
        vm = self.vm
        if process.uninterruptible:
            raise BadRequest(f"{process.comm} waits for a device, and does nothing: wake() it")
        had = vm.oom.current, vm.current
        try:
            switch_to(vm, process)
            yield
        finally:
            vm.oom.current, vm.current = had

    def _owner_runs(self, mapping: AddressSpace) -> AbstractContextManager[None]:
        """Only its task can use a region, if it has one; who runs when none does, lets it."""
        owner, current = owner_of_area(self.vm.oom, mapping.id), self.vm.oom.current
        if owner is None or owner is current:
            return nullcontext()
        if not is_global_init(current):
            name = self.vm.trace.names[mapping.name]
            raise BadRequest(f"{name}: is {owner.comm}'s, and {current.comm} cannot use it")
        return self._as(owner)

    def _mapping(self, pages: Pages, kind: int | None) -> AddressSpace:
        self._folios()
        if not isinstance(pages, Pages):
            raise BadRequest(f"{one_line(pages, 40)!r}: should be what open() or mmap() gave")
        mapping = self.vm.folios.mappings.get(pages.id)
        if mapping is None or self.vm.trace.names[mapping.name] != pages.name:
            raise BadRequest(f"{pages.name}: is not there any more")
        if kind not in (None, mapping.kind):
            what = "a file, of open()" if kind == FILE else "a region, of mmap()"
            raise BadRequest(f"{pages.name}: should be {what}")
        return mapping

    def _page_of(self, pages: Pages, kind: int | None, index: int) -> AddressSpace:
        mapping = self._mapping(pages, kind)
        whole("index", index)
        if not 0 <= index < pages.nr_pages:
            raise BadRequest(f"index={index}: {pages.name} has pages 0 to {pages.nr_pages - 1}")
        return mapping

    def _node(self, cpu: int, nid: int | None) -> int:
        check_cpu(self.vm, cpu)
        if nid is None:
            return NUMA_NO_NODE
        check_nid(self.vm, nid)
        return nid

    def _had(self, pfn: int) -> int:
        if pfn < NULL:
            raise PageAllocationFailure(NO_ROOM, "")
        if pfn == NULL:
            flags = show_gfp_flags(GFP_HIGHUSER_MOVABLE)
            nodemask = nodemask_of_failure(self.vm, GFP_HIGHUSER_MOVABLE, 0)
            report = allocation_failure_report(self.vm, GFP_HIGHUSER_MOVABLE, 0, "memsim", nodemask)
            raise PageAllocationFailure(f"page allocation failure: order:0, {flags}", report)
        return pfn

    def _close(self, mapping: AddressSpace) -> None:
        gone = memory.zap_pte if mapping.is_anon else filemap.truncate
        for index in sorted(mapping.i_pages):
            gone(self.vm, mapping, index)
        forget_mapping(self.vm, mapping)


@dataclass
class Hidden(Generic[T]):
    """What an operation gave that its name does not show."""

    value: T


def check_pages(name: str, size: int | str) -> int:
    """The pages of a file or region of this name and size; BadRequest for what can be neither."""
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
        raise BadRequest(f"name={one_line(name, 40)!r}: should be 1 to 255 printable characters")
    try:
        nr_pages = nr_pages_of(parse_size(size))
    except ValueError as error:
        raise BadRequest(f"size={error}") from None
    if not 1 <= nr_pages <= _MAX_PAGES:
        raise BadRequest(f"size={one_line(size, 40)!r}: should be 1 byte to 1 TiB")
    return nr_pages

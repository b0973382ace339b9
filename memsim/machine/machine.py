"""Machine: the friendly face of the model. Boots, asks, frees, looks, and goes back in time.

>>> from memsim.words.gfp import GFP_KERNEL
>>> machine = Machine("64 MiB")
>>> pfn = machine.alloc_pages(GFP_KERNEL, order=2)
>>> machine.free_pages(pfn)
>>> machine.validate()
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memsim.lib.bits import get_order, nr_pages_of
from memsim.lib.text import one_line
from memsim.machine.checks import (
    check_cpu,
    check_free,
    check_order,
    check_reclaim,
    check_request,
    check_slab_options,
    check_switch,
    listed,
    whole,
)
from memsim.machine.compaction import CompactionRequests
from memsim.machine.firmware_checks import check_firmware
from memsim.machine.mempolicy import PolicyRequests
from memsim.machine.mempool import MempoolRequests
from memsim.machine.pages import NO_ROOM
from memsim.machine.tasks import TaskRequests
from memsim.machine.why import slow_path_told
from memsim.mm import validate as validation
from memsim.mm.compaction.kcompactd import kcompactd_run
from memsim.mm.compaction.pressure import ReclaimAndCompaction
from memsim.mm.description import Description, Sizes, boot_firmware, boot_vm, of_pages, preset
from memsim.mm.folio import reclaim_init
from memsim.mm.journal import set_page_state
from memsim.mm.kmalloc_caches import kmem_cache_init
from memsim.mm.lru_gen.change_state import lru_gen_change_state
from memsim.mm.mempolicy import alloc_pages_noprof, nodemask_of_failure
from memsim.mm.mmzone import (
    HZ,
    PG_INUSE,
    PG_LRU,
    Vm,
    Zone,
    get_pageblock_migratetype,
    page_zone,
    populated_zones,
)
from memsim.mm.page_alloc import alloc, exact, free, pcp
from memsim.mm.page_alloc.isolate import isolate_pageblock, unset_migratetype_isolate
from memsim.mm.page_alloc.pageblock import prep_move_freepages_block
from memsim.mm.page_alloc.setup import _zone_set_pageset_high_and_batch
from memsim.mm.restore import restore
from memsim.mm.setup_arch import Boot, Firmware
from memsim.mm.show_mem import allocation_failure_report, warns
from memsim.mm.snapshot import Snapshot
from memsim.mm.swapfile import swapon
from memsim.mm.vmalloc.init import vmalloc_init
from memsim.mm.vmstat import extfrag_index, nr_free_by_order, unusable_index
from memsim.trace.events import Traced
from memsim.trace.trace import Trace
from memsim.words.arch import X86_64
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import __GFP_ACCOUNT, show_gfp_flags
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATE_MOVABLE, MIGRATE_PCPTYPES, NULL

_MAX_BULK = 1 << 20


class Machine(MempoolRequests, TaskRequests, CompactionRequests, PolicyRequests):
    """A simulated machine: nodes, zones and CPUs, its trace, and its history.

    ram: bytes or text like "16 GiB"; a list of them makes a NUMA node of each, and the CPUs are
    split evenly. cma, movablecore: sizes too. pcp=False keeps no pages on per-CPU lists, as
    zone_pcp_disable() does. transparent_hugepage=True lets khugepaged raise min_free_kbytes.
    arch: "x86-64" or "x86-32". slab=True boots the slab allocator, which takes its first pages;
    slab_debug="FZPU,kmalloc-64" lets it debug, as the boot option of that name does; slab_nomerge
    keeps alike caches apart; random_kmalloc_caches has each kmalloc-normal cache sixteen times.
    vmalloc=True boots vmalloc, whose page tables take pages, and whose structs are objects of slab
    where there is one. reclaim=True: pages of files and regions are reclaimed
    when memory is short, the latter to a swap device of this size; swappiness is 0 to 200;
    lru_gen=True runs the multi-gen LRU, as Debian's kernel does, in the place of the classic lists.
    steps=False is quicker, and takes undo() away; what breaks off in the middle then stays half
    done. seed draws what is drawn by chance: the order of a slab's objects; the page allocator
    draws nothing. hz: jiffies a second, CONFIG_HZ.
    BadDescription says what cannot be.
    """

    def __init__(
        self,
        ram: Sizes = "1 GiB",
        *,
        cpus: int = 1,
        cma: int | str = 0,
        min_free_kbytes: int | None = None,
        watermark_scale_factor: int = 10,
        pcp: bool = True,
        movablecore: int | str = 0,
        node_distance: Sequence[Sequence[int]] | None = None,
        transparent_hugepage: bool = False,
        arch: str = X86_64.name,
        slab: bool = False,
        slab_debug: str | None = None,
        slab_nomerge: bool = False,
        random_kmalloc_caches: bool = False,
        vmalloc: bool = False,
        reclaim: bool = False,
        swap: int | str = 0,
        swappiness: int = 60,
        lru_gen: bool = False,
        seed: int = 0,
        steps: bool = True,
        hz: int = HZ,
    ) -> None:
        description = Description(
            ram, cpus, cma, min_free_kbytes, watermark_scale_factor, pcp, movablecore,
            node_distance, transparent_hugepage, arch, hz,
        )  # fmt: skip
        options = {"slab_nomerge": slab_nomerge, "random_kmalloc_caches": random_kmalloc_caches}
        check_slab_options({"slab": slab} | options, slab_debug, seed, arch)
        check_switch("vmalloc", vmalloc)
        vm = boot_vm(description, Trace(mask=0))
        if slab:
            kmem_cache_init(vm, seed, slab_debug, random_kmalloc_caches, slab_nomerge)
        if vmalloc:
            vmalloc_init(vm)
        slots = check_reclaim(reclaim, swap, swappiness, lru_gen)
        if reclaim:
            reclaim_init(vm)
            kcompactd_run(vm)
            swapon(vm, slots)
            vm.folios.swappiness = swappiness
            lru_gen_change_state(vm, lru_gen)
            vm.pressure = ReclaimAndCompaction(vm)
        self._adopt(vm, seed, steps)

    @classmethod
    def preset(cls, name: str, *, seed: int = 0, steps: bool = True) -> Machine:
        """A machine of mm/description.py PRESETS: "vm", "laptop", "server" or "pc32"."""
        machine = cls.__new__(cls)
        machine._adopt(boot_vm(preset(name), Trace(mask=0)), seed, steps)
        return machine

    @classmethod
    def from_firmware(
        cls, firmware: Firmware, *, cpus: int = 1, seed: int = 0, steps: bool = True
    ) -> tuple[Machine, Boot]:
        """A machine that boots with what its firmware tells, as a kernel does; and how it did.

        The second is what boot took before the buddy allocator got the rest: mm/setup_arch.py.
        BadDescription when it cannot boot.
        """
        check_firmware(firmware)
        machine = cls.__new__(cls)
        vm, early = boot_firmware(firmware, cpus, Trace(mask=0))
        machine._adopt(vm, seed, steps)
        return machine, early

    @classmethod
    def of_pages(
        cls,
        nr_pages: int,
        *,
        start_pfn: int = 0,
        cpus: int = 1,
        pcp: bool = False,
        group_by_mobility: bool = True,
        seed: int = 0,
        steps: bool = True,
    ) -> Machine:
        """A machine of one zone, Normal, with nr_pages pages, all free, and no watermarks.

        group_by_mobility=False: every request is UNMOVABLE, as the kernel has it below 10 MiB.
        """
        check_switch("group_by_mobility", group_by_mobility)
        machine = cls.__new__(cls)
        vm = of_pages(nr_pages, start_pfn, cpus, pcp, group_by_mobility, Trace(mask=0))
        machine._adopt(vm, seed, steps)
        return machine

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot, *, seed: int = 0, steps: bool = True) -> Machine:
        """A machine in a recorded state. BadInput names the field that is wrong."""
        machine = cls.__new__(cls)
        machine._adopt(restore(snapshot, Trace(mask=0)), seed, steps)
        return machine

    # Requests

    def alloc_pages(
        self, gfp_mask: int, order: int = 0, *, cpu: int = 0, nid: int | None = None
    ) -> int:
        """Allocate 2**order pages: the first pfn. Kernel: mm/mempolicy.c alloc_pages_noprof().

        nid: the node where the search begins, whatever the task's policy is, as alloc_pages_node()
        has it; without one the policy says, and without a policy it is the CPU's own node.
        BadRequest for what no caller may ask; PageAllocationFailure, with the kernel's report,
        when there is no such block.
        """
        check_request(self.vm, gfp_mask, order, cpu, 0 if nid is None else nid)
        name = f"alloc_pages({show_gfp_flags(gfp_mask)}, order={order})"
        if nid is None:
            pfn = self._do(name, cpu, lambda: alloc_pages_noprof(self.vm, gfp_mask, order))
            return self._or_policy_failure(pfn, gfp_mask, order)
        pfn = self._do(name, cpu, lambda: alloc.alloc_pages(self.vm, gfp_mask, order, nid))
        return self._or_failure(pfn, gfp_mask, order)

    def alloc_pages_bulk(
        self, gfp_mask: int, nr_pages: int, *, cpu: int = 0, nid: int | None = None
    ) -> list[int]:
        """Allocate up to nr_pages single pages: their pfns, perhaps fewer, perhaps none.

        Without nid from the CPU's own node first. Kernel: include/linux/gfp.h
        alloc_pages_bulk_array()
        """
        check_request(self.vm, gfp_mask, 0, cpu, 0 if nid is None else nid)
        whole("nr_pages", nr_pages)
        if not 0 <= nr_pages <= _MAX_BULK:
            raise BadRequest(f"nr_pages={nr_pages}: should be 0 to {_MAX_BULK}")
        name = f"alloc_pages_bulk({show_gfp_flags(gfp_mask)}, nr_pages={nr_pages})"
        node = self.vm.cpu_to_node[cpu] if nid is None else nid
        bulk = alloc.alloc_pages_bulk
        return self._do(name, cpu, lambda: bulk(self.vm, gfp_mask, node, nr_pages))

    def alloc_pages_exact(
        self, size: int, gfp_mask: int, *, cpu: int = 0, nid: int | None = None
    ) -> int:
        """Allocate just the pages that size bytes need: the first pfn.

        nid is as for alloc_pages(). Kernel: mm/page_alloc.c alloc_pages_exact_noprof()
        """
        whole("size", size)
        if size < 1 or get_order(size) > MAX_PAGE_ORDER:
            raise BadRequest(f"size={size}: should be 1 byte to {4096 << MAX_PAGE_ORDER}")
        check_request(self.vm, gfp_mask, 0, cpu, 0 if nid is None else nid)
        name = f"alloc_pages_exact({size}, {show_gfp_flags(gfp_mask)})"
        vm, order = self.vm, get_order(size)
        if nid is None:
            pfn = self._do(name, cpu, lambda: exact.alloc_pages_exact(vm, size, gfp_mask))
            return self._or_policy_failure(pfn, gfp_mask, order)
        pfn = self._do(name, cpu, lambda: exact.alloc_pages_exact_nid(vm, nid, size, gfp_mask))
        return self._or_failure(pfn, gfp_mask, order)

    def free_pages(self, pfn: int, order: int | None = None, *, cpu: int = 0) -> None:
        """Free an allocated block; order, if given, must be the one it was allocated with.

        BadFree when pfn is not the first page of such a block. Kernel: __free_pages()
        """
        order = check_free(self.vm, pfn, order)
        check_cpu(self.vm, cpu)
        name = f"free_pages(pfn {pfn}, order={order})"
        self._do(name, cpu, lambda: free.free_unref_page(self.vm, pfn, order))

    def free_folios(self, pfns: Iterable[int], *, cpu: int = 0) -> None:
        """Free allocated blocks as one batch. Kernel: mm/page_alloc.c free_unref_folios()."""
        check_cpu(self.vm, cpu)
        pfns = listed("pfns", pfns, "pfns")
        folios = [(pfn, check_free(self.vm, pfn, None)) for pfn in pfns]
        if len(set(folios)) != len(folios):
            raise BadFree("a block is in the batch twice")
        self._do(f"free_folios({len(pfns)})", cpu, lambda: free.free_unref_folios(self.vm, folios))

    def free_pages_exact(self, pfn: int, size: int, *, cpu: int = 0) -> None:
        """Free what alloc_pages_exact() gave; size is in bytes."""
        check_cpu(self.vm, cpu)
        whole("size", size)
        whole("pfn", pfn)
        if not 1 <= size <= 4096 << MAX_PAGE_ORDER:
            raise BadRequest(f"size={size}: should be 1 byte to {4096 << MAX_PAGE_ORDER}")
        for page in range(pfn, pfn + nr_pages_of(size)):
            check_free(self.vm, page, 0)
        name = f"free_pages_exact(pfn {pfn}, {size})"
        self._do(name, cpu, lambda: exact.free_pages_exact(self.vm, pfn, size))

    def split_page(self, pfn: int) -> None:
        """Make single pages of an allocated block; each is freed by itself from then on."""
        order = check_free(self.vm, pfn, None)
        zone = self._zone(pfn)
        self._do(f"split_page(pfn {pfn})", 0, lambda: alloc.split_page(zone, pfn, order))

    def lru_add(self, pfn: int) -> None:
        """Put an allocated block on an LRU list: its pages count as movable from then on.

        NOT MODELLED: the lists themselves, which are for pages of a file or region (reclaim=True).
        Kernel: mm/swap.c lru_add()
        """
        order = check_free(self.vm, pfn, None)
        zone = self._zone(pfn)
        self._do(f"lru_add(pfn {pfn})", 0, lambda: _set_lru(zone, pfn, order))

    # Workers

    def drain_all_pages(self) -> None:
        """Give the pages of every pcp list back. Kernel: mm/page_alloc.c drain_all_pages()."""
        self._do("drain_all_pages()", 0, lambda: pcp.drain_all_pages(self.vm))

    def vmstat_update(self, *, cpu: int = 0) -> None:
        """One round of a CPU's vmstat worker: counters folded, pcp lists decayed."""
        check_cpu(self.vm, cpu)
        self._vmstat_update(cpu)

    def pageset_update(self, batch: int, high_min: int, high_max: int, zone: str = "") -> None:
        """Give every CPU's pcp of a zone these limits, in pages.

        The kernel computes them from the zone's size. Kernel: __zone_set_pageset_high_and_batch()
        """
        limits = {"batch": (batch, 1), "high_min": (high_min, 0), "high_max": (high_max, high_min)}
        for name, (pages, least) in limits.items():
            whole(name, pages)
            if not least <= pages <= _MAX_BULK:
                raise BadRequest(f"{name}={pages}: should be {least} to {_MAX_BULK}")
        found = self.zone(zone)
        name = f"pageset_update({found.name}, {batch}, {high_min}, {high_max})"
        self._do(
            name, 0, lambda: _zone_set_pageset_high_and_batch(found, high_min, high_max, batch)
        )

    def isolate_pageblock(self, pfn: int) -> None:
        """Make pfn's pageblock MIGRATE_ISOLATE. Kernel: set_migratetype_isolate()."""
        zone = self._zone(pfn)
        if prep_move_freepages_block(zone, pfn) == NULL:
            raise BadRequest(f"the pageblock of pfn {pfn} is not wholly in zone {zone.name}")
        self._do(f"isolate_pageblock(pfn {pfn})", 0, lambda: isolate_pageblock(zone, pfn))

    def unisolate_pageblock(self, pfn: int, migratetype: int = MIGRATE_MOVABLE) -> None:
        """Give an isolated pageblock a type, 0 to 2. Kernel: unset_migratetype_isolate()."""
        zone = self._zone(pfn)
        if get_pageblock_migratetype(zone, pfn) != self.vm.MIGRATE_ISOLATE:
            raise BadRequest(f"the pageblock of pfn {pfn} is not isolated")
        whole("migratetype", migratetype)
        if not 0 <= migratetype < MIGRATE_PCPTYPES:
            raise BadRequest(f"migratetype={migratetype}: should be 0 to {MIGRATE_PCPTYPES - 1}")
        if migratetype and self.vm.page_group_by_mobility_disabled:
            raise BadRequest(f"migratetype={migratetype}: should be 0, grouping is off")
        name = f"unisolate_pageblock(pfn {pfn})"
        self._do(name, 0, lambda: unset_migratetype_isolate(zone, pfn, migratetype))

    # Looking

    def zone(self, name: str = "") -> Zone:
        """The populated zone of this name; without a name, the first one."""
        for zone in populated_zones(self.vm):
            if name in ("", zone.name):
                return zone
        names = ", ".join(zone.name for zone in populated_zones(self.vm))
        raise BadRequest(f"no zone {one_line(name, 40)!r} with pages; there are {names}")

    def nr_free(self, zone: str = "") -> list[int]:
        """Free blocks of each order, as a line of /proc/buddyinfo."""
        return nr_free_by_order(self.zone(zone))

    def extfrag_index(self, order: int, zone: str = "") -> int:
        """Why a request of this order would fail: see vmstat.extfrag_index(). Times 1000."""
        check_order(order)
        return extfrag_index(self.zone(zone), order)

    def unusable_index(self, order: int, zone: str = "") -> int:
        """Share of free memory in blocks too small for this order, times 1000."""
        check_order(order)
        return unusable_index(self.zone(zone), order)

    def events(self, since: int = 0) -> list[Traced]:
        """Kernel events number `since` and later that the ring still holds."""
        whole("since", since)
        return list(self.vm.trace.events(since))

    def validate(self) -> None:
        """Check every invariant of mm/validate.py; ValidationError names the broken one."""
        validation.validate(self.vm)

    def why(self) -> str:
        """How the last operation's requests went through the slow path: a line for each decision.

        Daemons that it woke are not asked.

        Each names the kernel's function. BadRequest with steps=False, and when nothing was asked.
        """
        asked = next((op for op in reversed(self.history) if not op.daemon), None)
        if asked is None:
            raise BadRequest("nothing was asked for yet, or steps=False keeps no record of it")
        return slow_path_told(self.vm, self._steps_of(asked))

    # Inside

    def _or_failure(self, pfn: int, gfp_mask: int, order: int, nodemask: int = NULL) -> int:
        if pfn == NULL:
            raise _failure(self.vm, gfp_mask, order, nodemask)
        return pfn

    def _or_policy_failure(self, pfn: int, gfp_mask: int, order: int) -> int:
        return self._or_failure(pfn, gfp_mask, order, nodemask_of_failure(self.vm, gfp_mask, order))

    def _zone(self, pfn: int) -> Zone:
        whole("pfn", pfn)
        zone = page_zone(self.vm, pfn)
        if zone is None:
            raise BadRequest(f"pfn {pfn} is in no zone")
        return zone


def _failure(vm: Vm, gfp_mask: int, order: int, nodemask: int) -> PageAllocationFailure:
    """The error of a request that got nothing, with the report if the kernel logs one."""
    if gfp_mask & __GFP_ACCOUNT and hasattr(vm, "folios") and vm.folios.memcgs.refused:
        return PageAllocationFailure(NO_ROOM, "")
    told = warns(vm, gfp_mask)
    report = allocation_failure_report(vm, gfp_mask, order, "memsim", nodemask) if told else ""
    flags = show_gfp_flags(gfp_mask)
    return PageAllocationFailure(f"page allocation failure: order:{order}, {flags}", report)


def _set_lru(zone: Zone, pfn: int, order: int) -> None:
    set_page_state(zone, pfn, 1, PG_INUSE | order | PG_LRU)
    if order:
        set_page_state(zone, pfn + 1, (1 << order) - 1, PG_LRU)

"""A machine in words and numbers: how much RAM, on which nodes, which CPUs, how it is booted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memsim.lib.bits import PAGE_SHIFT, align_down, align_up, nr_pages_of
from memsim.lib.sizes import parse_size
from memsim.lib.text import one_line
from memsim.mm.cma_area import Cma
from memsim.mm.layout import LOW_RAM_END, NodeRange, Range, free_ranges, node_ranges
from memsim.mm.mm_init import Memory, boot, init_cma_reserved_pageblock
from memsim.mm.mmzone import HZ, Vm, populated_zones
from memsim.mm.movable import find_zone_movable_pfns_for_nodes
from memsim.mm.page_alloc.setup import setup_per_zone_wmarks, zone_pcp_disable
from memsim.mm.setup_arch import Boot, Firmware
from memsim.trace.trace import Trace
from memsim.words.arch import ARCHES, X86_64, Arch, arch_of
from memsim.words.errors import BadDescription

_MIB = 1 << 20
_GIB = 1 << 30

#: The smallest and largest machine: 16 MiB, where a PC's zones make sense, and 4 TiB.
MIN_RAM = 16 * _MIB
MAX_RAM = 4096 * _GIB
MAX_CPUS = 512
MAX_NODES = 64
#: CPUs times nodes: each CPU has a pcp in each zone of each node.
MAX_CPU_NODES = 8192
#: The largest single zone of of_pages(): 4 GiB.
MAX_SMALL_PAGES = 1 << 20

Sizes = int | str | list[int | str] | tuple[int | str, ...]


@dataclass(frozen=True)
class Description:
    """What a Machine is made of. Sizes are bytes or text such as "16 GiB".

    ram: one size, or one for each node. node_distance[from][to]: 10 to itself, 11 to 255 to
    others; by default 20. movablecore: what ZONE_MOVABLE gets at least. transparent_hugepage:
    "always" or "madvise", not "never". hz: jiffies a second, one of CONFIG_HZ's.
    """

    ram: Sizes = "1 GiB"
    cpus: int = 1
    cma: int | str = 0
    min_free_kbytes: int | None = None
    watermark_scale_factor: int = 10
    pcp: bool = True
    movablecore: int | str = 0
    node_distance: Sequence[Sequence[int]] | None = None
    transparent_hugepage: bool = False
    arch: str = X86_64.name
    hz: int = HZ


#: What CONFIG_HZ may be.
CONFIG_HZ = (100, 250, 300, 1000)

#: Machines to start from: a small virtual machine, a laptop, a server with two nodes, and the
#: 32-bit PC of 2017's textbooks, whose NORMAL ends at 896 MiB.
PRESETS = {
    "vm": Description("1 GiB", cpus=1, transparent_hugepage=True),
    "laptop": Description("16 GiB", cpus=8, transparent_hugepage=True),
    "server": Description(("64 GiB", "64 GiB"), cpus=16, transparent_hugepage=True),
    "pc32": Description("1 GiB", arch="x86-32"),
}


def preset(name: str) -> Description:
    """The preset of this name. BadDescription lists the names."""
    if not isinstance(name, str) or name not in PRESETS:
        raise BadDescription(
            f"preset {one_line(name, 40)!r}: should be one of {', '.join(PRESETS)}"
        )
    return PRESETS[name]


def boot_vm(description: Description, trace: Trace) -> Vm:
    """The Vm that a description boots. BadDescription says what cannot be."""
    arch = _arch(description.arch)
    sizes = _ram(description.ram, arch)
    _check(description, len(sizes))
    cma = _size(description.cma, "cma", 0, sum(sizes) // 2)
    memory = _memory(description, sizes, arch)
    max_pfn = memory.ram[-1].end_pfn
    vm = Vm(max_pfn, description.cpus, len(sizes), trace, arch=arch, cma=bool(cma))
    if description.node_distance is not None:
        vm.node_distance = _distances(description.node_distance, len(sizes))
    vm.HZ = description.hz
    boot(vm, memory, description.transparent_hugepage)
    set_watermark_scale_factor(vm, description.watermark_scale_factor)
    if description.min_free_kbytes is not None:
        set_min_free_kbytes(vm, description.min_free_kbytes)
    if cma:
        _lend_to_cma(vm, cma, memory.free)
    if not description.pcp:
        _disable_pcps(vm)
    return vm


def boot_firmware(firmware: Firmware, cpus: int, trace: Trace) -> tuple[Vm, Boot]:
    """The Vm that boots with what the firmware tells, and what boot took of memory before.

    CPUs are split evenly over the nodes. BadDescription says what cannot be, in the kernel's words
    where it has some.
    """
    nodes = 1 + max((nid for nid, _, _ in firmware.nodes), default=0)
    _check(Description(cpus=cpus), nodes)
    early = Boot(firmware, [cpu * nodes // cpus for cpu in range(cpus)])
    early.run()
    if early.memblock.panic:
        raise BadDescription(f"Kernel panic - not syncing: {early.memblock.panic}")
    ram = early.ram()
    nodes = 1 + max(nid for nid, _, _ in early.nodes)
    if {r.nid for r in ram} != set(range(nodes)):
        raise BadDescription("nodes: a node has no RAM: NOT MODELLED")
    vm = Vm(ram[-1].end_pfn, cpus, nodes, trace, cma=bool(firmware.cma))
    vm.cma_areas = early.cma_areas
    boot(vm, Memory(ram, early.free_ranges(), {}, from_firmware=True), True)
    return vm, early


def of_pages(
    nr_pages: int,
    start_pfn: int,
    cpus: int,
    pcp: bool,
    group_by_mobility: bool,
    trace: Trace,
    free: list[Range] | None = None,
) -> Vm:
    """One zone, Normal, of nr_pages pages from start_pfn, without watermarks.

    free: ranges of pfns that are free; left out, all are.
    The kernel itself stops grouping by mobility where it has fewer pages than MIGRATE_TYPES
    pageblocks, after it has made all of them MOVABLE.
    NOT MODELLED: that it decides so by itself; who boots a machine of any size says it.
    Kernel: mm/page_alloc.c build_all_zonelists()
    """
    _whole("nr_pages", nr_pages, 1, MAX_SMALL_PAGES)
    _whole("start_pfn", start_pfn, 0, MAX_SMALL_PAGES)
    _check(Description(cpus=cpus), 1)
    end = start_pfn + nr_pages
    one_zone = X86_64._replace(max_zone_pfns=(0, 0, X86_64.max_zone_pfns[-1]))
    vm = Vm(end, cpus, 1, trace, arch=one_zone)
    vm.watermark_scale_factor = 0
    free = [(start_pfn, end)] if free is None else free
    boot(vm, Memory([NodeRange(0, start_pfn, end)], free, {}), False)
    set_min_free_kbytes(vm, 0)
    vm.page_group_by_mobility_disabled = not group_by_mobility
    if not pcp:
        _disable_pcps(vm)
    return vm


def set_watermark_scale_factor(vm: Vm, watermark_scale_factor: int) -> None:
    """What writing /proc/sys/vm/watermark_scale_factor does: min_free_kbytes stays what it is.

    Kernel: mm/page_alloc.c watermark_scale_factor_sysctl_handler()
    """
    vm.watermark_scale_factor = watermark_scale_factor
    setup_per_zone_wmarks(vm)


def set_min_free_kbytes(vm: Vm, min_free_kbytes: int) -> None:
    """What writing /proc/sys/vm/min_free_kbytes does.

    Kernel: mm/page_alloc.c min_free_kbytes_sysctl_handler()
    """
    vm.user_min_free_kbytes = vm.min_free_kbytes = min_free_kbytes
    setup_per_zone_wmarks(vm)


def _disable_pcps(vm: Vm) -> None:
    for zone in populated_zones(vm):
        zone_pcp_disable(zone)


def _memory(description: Description, sizes: list[int], arch: Arch) -> Memory:
    ram = node_ranges([size >> PAGE_SHIFT for size in sizes])
    movablecore = nr_pages_of(_size(description.movablecore, "movablecore", 0, sum(sizes)))
    movable_pfn = find_zone_movable_pfns_for_nodes(ram, movablecore, arch)
    return Memory(ram, free_ranges(ram, arch), movable_pfn)


def _check(description: Description, nr_nodes: int) -> None:
    """The numbers that are not sizes."""
    _whole("cpus", description.cpus, 1, min(MAX_CPUS, MAX_CPU_NODES // nr_nodes))
    _whole("watermark_scale_factor", description.watermark_scale_factor, 0, 3000)
    if _whole("hz", description.hz, 100, 1000) not in CONFIG_HZ:
        raise BadDescription(f"hz={description.hz}: should be one of {CONFIG_HZ}")
    for name in ("pcp", "transparent_hugepage"):
        if not isinstance(getattr(description, name), bool):
            shown = one_line(getattr(description, name), 40)
            raise BadDescription(f"{name}={shown!r}: should be True or False")
    if description.min_free_kbytes is not None:
        _whole("min_free_kbytes", description.min_free_kbytes, 0, 1 << 30)


def _whole(name: str, value: object, minimum: int, maximum: int) -> int:
    if not isinstance(value, int):
        raise BadDescription(f"{name}={one_line(value, 40)!r}: should be a whole number")
    if not minimum <= value <= maximum:
        shown = value if abs(value) < 1 << 64 else "a huge number"
        raise BadDescription(f"{name}={shown}: should be {minimum} to {maximum}")
    return value


def _arch(name: str) -> Arch:
    arch = arch_of(name)
    if arch is None:
        known = ", ".join(arch.name for arch in ARCHES)
        raise BadDescription(f"arch={one_line(name, 40)!r}: should be one of {known}")
    return arch


def _ram(ram: Sizes, arch: Arch) -> list[int]:
    """Bytes of each node."""
    many = isinstance(ram, list | tuple)
    sizes: list[int | str] = list(ram) if isinstance(ram, list | tuple) else [ram]
    if not 1 <= len(sizes) <= MAX_NODES:
        raise BadDescription(f"ram={len(sizes)} sizes: should be 1 to {MAX_NODES}, one for a node")
    maximum = MAX_RAM
    if arch.ZONE_HIGHMEM >= 0:
        maximum = LOW_RAM_END << PAGE_SHIFT
        if many:
            raise BadDescription(f"ram={len(sizes)} nodes: NOT MODELLED with arch={arch.name!r}")
    names = [f"ram[{nid}]" if many else "ram" for nid in range(len(sizes))]
    bytes_of = [_size(s, name, MIN_RAM, maximum) for s, name in zip(sizes, names, strict=True)]
    if sum(bytes_of) > MAX_RAM:
        raise BadDescription(
            f"ram={sum(bytes_of) >> 30} GiB in all: should be {MAX_RAM >> 30} at most"
        )
    return bytes_of


def _distances(rows: Sequence[Sequence[int]], nr_nodes: int) -> list[list[int]]:
    """A checked copy. Kernel: mm/numa_memblks.c numa_set_distance()."""
    if not isinstance(rows, Sequence) or len(rows) != nr_nodes:
        raise BadDescription(f"node_distance: should have {nr_nodes} rows, one for each node")
    for nid, row in enumerate(rows):
        if not isinstance(row, Sequence) or len(row) != nr_nodes:
            raise BadDescription(f"node_distance[{nid}]: should have {nr_nodes} distances")
        for to, distance in enumerate(row):
            low, high = (10, 10) if to == nid else (11, 255)
            _whole(f"node_distance[{nid}][{to}]", distance, low, high)
    return [list(row) for row in rows]


def _size(size: int | str, name: str, minimum: int, maximum: int) -> int:
    try:
        value = parse_size(size)
    except ValueError as error:
        raise BadDescription(f"{name}={error}") from None
    if not minimum <= value <= maximum:
        raise BadDescription(
            f"{name}={one_line(size, 40)!r}: should be {minimum >> 20} MiB to {maximum >> 20} MiB"
        )
    return value


def _lend_to_cma(vm: Vm, size: int, free: list[Range]) -> None:
    """Make the last pageblocks of the largest free range a CMA area of this size, rounded up."""
    pageblock_nr_pages = vm.pageblock_nr_pages
    first, last = max(free, key=lambda pfns: pfns[1] - pfns[0])
    end = align_down(last, pageblock_nr_pages)
    start = end - align_up(nr_pages_of(size), pageblock_nr_pages)
    if start < first:
        room = max(0, end - align_up(first, pageblock_nr_pages)) >> (20 - PAGE_SHIFT)
        raise BadDescription(f"cma={size >> 20} MiB: only {room} MiB are free in one piece")
    for pfn in range(start, end, pageblock_nr_pages):
        init_cma_reserved_pageblock(vm, pfn)
    vm.cma_areas.append(Cma(start, end - start, 0, "reserved"))

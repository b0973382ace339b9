"""Worked examples from textbooks and the kernel's documents: pages, slab and vmalloc."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine
from memsim.lib.bits import get_order
from memsim.mm.kmalloc import kmalloc, kmalloc_size_roundup, ksize
from memsim.mm.mmzone import PG_INUSE, PG_ORDER
from memsim.mm.page_alloc.buddy import _find_buddy_pfn
from memsim.mm.page_alloc.setup import min_free_kbytes_for, zone_batchsize
from memsim.mm.page_alloc.watermark import _zone_watermark_ok, min_for_reserves
from memsim.mm.vmalloc.state import lazy_max_pages
from memsim.mm.vmstat import _fragmentation_index, contig_page_info
from memsim.words.alloc_flags import ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK, ALLOC_OOM
from memsim.words.arch import X86_64
from memsim.words.mmzone import FALLBACKS, NR_FREE_PAGES, ZONE_DMA, ZONE_NORMAL

HERE = Path(__file__).parent
CASES = {
    case["id"]: case
    for name in (
        "worked_examples.json",
        "worked_examples_slab.json",
        "worked_examples_vmalloc.json",
    )
    for case in json.loads((HERE / "data" / name).read_text("utf-8"))
}


class Arena:
    """A zone of nr_pages pages, whose blocks carry the letters of a textbook figure."""

    def __init__(self, nr_pages: int) -> None:
        self.machine = Machine.of_pages(nr_pages)
        self.nr_pages = nr_pages
        self.pfns: dict[str, int] = {}

    def alloc(self, owner: str, nr_pages: int) -> int:
        """Allocate the smallest block that holds nr_pages."""
        order = get_order(nr_pages << 12)
        self.pfns[owner] = self.machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order)
        return self.pfns[owner]

    def free(self, owner: str) -> None:
        """Free the block of that letter."""
        self.machine.free_pages(self.pfns.pop(owner))

    def blocks(self, unit: int = 1) -> list[list[Any]]:
        """[first page, pages, owner or "free"] in address order, in units of `unit` per page."""
        owners = {pfn: owner for owner, pfn in self.pfns.items()}
        found, pfn = [], 0
        while pfn < self.nr_pages:
            state = self.machine.vm.page_state[pfn]
            nr_pages = 1 << (state & PG_ORDER)
            owner = owners[pfn] if state & PG_INUSE else "free"
            found.append([pfn * unit, nr_pages * unit, owner])
            pfn += nr_pages
        return found


def pages(kib: float, unit_kib: int = 4) -> int:
    """Pages that hold so many KiB, when a page stands for unit_kib."""
    return -int(-kib // unit_kib)


def test_every_case_has_a_test() -> None:
    """No case of the files is left out; some are told where their own tests are."""
    source = Path(__file__).read_text()
    left_out = [name for name in CASES if f'CASES["{name}"]' not in source]
    elsewhere = {
        "slub-kunit": "test_slub_debug.py", "vmalloc-test-loads": "test_vmalloc_scenarios.py"
    }  # fmt: skip
    assert left_out == list(elsewhere)
    for name, file in elsewhere.items():
        assert f'"{name}"' in (HERE / file).read_text()


def test_stallings_figure() -> None:
    """1 MiB, ten requests and releases: each row of the published figure."""
    case = CASES["buddy-stallings-7.6"]
    sizes = {"A": 100, "B": 240, "C": 64, "D": 256, "E": 75}
    arena = Arena(256)
    for step, expected in case["expected"]["states_[addrK,sizeK,owner]"]:
        owner = step.removeprefix("free ")[0] if step.startswith("free") else step[1]
        if step.startswith("free"):
            arena.free(owner)
        else:
            arena.alloc(owner, pages(sizes[owner]))
        assert arena.blocks(4) == expected, step


def test_stallings_exercise() -> None:
    """The exercise with internal waste after each step."""
    case = CASES["buddy-stallings-ex"]
    arena, asked = Arena(256), {}
    for step, waste, expected in case["expected"]["[step, internal_waste_K, blocks]"]:
        owner = step[1]
        if step[0] == "+":
            asked[owner] = int(step[2:])
            arena.alloc(owner, pages(asked[owner]))
        else:
            arena.free(owner)
            del asked[owner]
        blocks = arena.blocks(4)
        assert blocks == expected, step
        used = sum(size for _, size, who in blocks if who != "free")
        assert used - sum(asked.values()) == waste, step


def test_published_mistake() -> None:
    """Six requests in 512 KiB; a page stands for 1 KiB, since 27 KiB needs a block of 32."""
    case = CASES["buddy-512-six"]
    arena = Arena(512)
    requests = dict(zip("ABCDEF", (59, 27, 44, 115, 28, 98), strict=True))
    for owner, kib in requests.items():
        arena.alloc(owner, kib)
    blocks = arena.blocks()
    expected = case["expected"]
    assert blocks == expected["blocks"]
    size = {who: nr for _, nr, who in blocks if who != "free"}
    assert [size[who] for who in requests] == expected["block_sizes_K"]
    assert [size[who] - kib for who, kib in requests.items()] == expected["waste_each_K"]
    assert sum(nr for _, nr, who in blocks if who == "free") == expected["free_K"]


def test_silberschatz() -> None:
    """1024 units, four requests, three releases; a page stands for one unit."""
    case = CASES["buddy-silberschatz-1024"]
    arena = Arena(1024)
    for owner, units in zip("ABCD", (240, 120, 60, 130), strict=True):
        arena.alloc(owner, units)
    assert arena.blocks() == case["expected"]["after_allocs"]
    for owner in "ACB":
        arena.free(owner)
    assert arena.blocks() == case["expected"]["after_frees"]


def test_neighbours_that_are_not_buddies() -> None:
    """16 KiB in units of 1 KiB: equal neighbours at 6 and 8 do not merge."""
    case = CASES["buddy-16k-chain"]
    arena = Arena(16)
    for owner, kib in zip("ABCDE", (3.6, 1.5, 1.2, 1.9, 2.7), strict=True):
        arena.alloc(owner, pages(kib, 1))
    arena.free("C")
    assert arena.blocks() == case["expected"]["after_C"]
    arena.free("B")
    assert arena.blocks() == case["expected"]["after_B"]
    assert (6 ^ 2, 8 ^ 2) == (4, 10)


def test_wikipedia() -> None:
    """64 KiB units: where four programs land, and one block at the end."""
    case = CASES["buddy-wikipedia"]
    arena = Arena(16)
    starts = {}
    for owner, kib in (("A", 34), ("B", 66), ("C", 35), ("D", 67)):
        starts[owner] = arena.alloc(owner, pages(kib, 64))
    assert starts == case["expected"]["start_unit"]
    orders = {o: arena.machine.vm.page_state[pfn] & PG_ORDER for o, pfn in arena.pfns.items()}
    assert orders == case["expected"]["orders"]
    for owner in "BDAC":
        arena.free(owner)
    assert arena.blocks() == [[0, 16, "free"]]


def test_knuth_xor() -> None:
    """The buddy of a block of 16 by flipping one bit."""
    case = CASES["buddy-knuth-xor"]
    buddy = int(case["expected"]["buddy"].rstrip("b"), 2)
    assert _find_buddy_pfn(0b101110010110000, 4) == buddy


def test_pkvm_comment() -> None:
    """The kernel's own example of four pages."""
    case = CASES["buddy-pkvm-comment"]
    asked = ((0, 0), (0, 1), (1, 0), (2, 0))
    assert [_find_buddy_pfn(*a) for a in asked] == case["expected"]["buddies"]


def test_freeing_page_25() -> None:
    """Freeing page 25 merges up to a block of 16 pages at 16, by the buddies named."""
    case = CASES["buddy-kobilas-25"]
    machine = Machine.of_pages(32)
    pfns = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(32)]
    for pfn in pfns:
        if pfn >= 16 and pfn != 25:
            machine.free_pages(pfn)
    with machine.recording() as recording:
        machine.free_pages(25)
    merges = [s for s in recording.steps if type(s).__name__ == "Merge"]
    rows = [[s.order, s.buddy_pfn, s.pfn & s.buddy_pfn] for s in merges]
    assert rows == case["expected"]["[order,buddy,combined]"]
    assert case["expected"]["final"] == [4, 16]
    assert machine.vm.page_state[16] & PG_ORDER == 4


def test_72_kib_split() -> None:
    """72 KiB from 16 MiB: order 5, five splits, one block left of each order between."""
    case = CASES["buddy-72k-split"]
    machine = Machine.of_pages(4096)
    order = get_order(72 << 10)
    assert order == case["expected"]["order"]
    with machine.recording() as recording:
        machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order)
    splits = [s for s in recording.steps if type(s).__name__ == "Split"]
    assert len(splits) == case["expected"]["splits"]
    counts = {str(k): n for k, n in enumerate(machine.nr_free()) if n}
    assert counts == case["expected"]["free_counts_by_order"]


def test_buddyinfo_of_the_manual_page() -> None:
    """Counts by order to free pages, and whether an order-9 request fits."""
    case = CASES["buddyinfo-manpage"]
    expected = case["expected"]
    for zone, nr_free in case["input"].items():
        info = contig_page_info(nr_free, 9)
        assert info.free_pages == expected["free_pages"][zone]
        assert bool(info.free_blocks_suitable) == expected["can_satisfy_order9"][zone]


def test_pagetypeinfo_blocks() -> None:
    """Pageblock counts give a zone's span, its MiB and its movable share."""
    case = CASES["pagetypeinfo-blocks"]
    expected = case["expected"]
    span = {zone: sum(case["input"][zone]) * 512 for zone in ("DMA", "DMA32")}
    assert span["DMA"] == expected["DMA_pages"]
    assert span["DMA"] * 4096 >> 20 == expected["DMA_MiB"]
    assert span["DMA32"] == expected["DMA32_pages"]
    assert span["DMA32"] * 4096 >> 20 == expected["DMA32_MiB"]
    movable = case["input"]["DMA32"][2] / sum(case["input"]["DMA32"])
    assert round(movable, 4) == expected["movable_share_DMA32"]


def test_min_free_kbytes() -> None:
    """min_free_kbytes by the size of memory, as the formula gives it."""
    case = CASES["wmark-min-free-kbytes"]
    for mib, kbytes in case["expected"]["int_sqrt_k"].items():
        assert min_free_kbytes_for(int(mib) << 10) == kbytes


def test_who_may_go_below_min() -> None:
    """The free pages at which each kind of caller is refused, at order 0 and min 1000."""
    case = CASES["wmark-atomic-reserve"]
    machine = Machine.of_pages(64)
    flags = {
        "GFP_KERNEL slow path (min)": 0,
        "__GFP_HIGH only": ALLOC_MIN_RESERVE,
        "GFP_ATOMIC (__GFP_HIGH, non-blocking)": ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK,
        "OOM victim": ALLOC_OOM,
    }
    for who, limit in case["expected"]["fails_at_free<="].items():
        assert min_for_reserves(1000, flags[who]) == limit
        zone = machine.zone()
        assert not _zone_watermark_ok(zone, 0, 1000, ZONE_NORMAL, flags[who], limit)
        assert _zone_watermark_ok(zone, 0, 1000, ZONE_NORMAL, flags[who], limit + 1)


def test_protection_array() -> None:
    """lowmem_reserve keeps DMA's 1355 free pages from a request that could use NORMAL."""
    case = CASES["lowmem-reserve-doc"]
    machine = Machine("64 MiB")
    zone = machine.zone("DMA")
    zone.lowmem_reserve = [*case["input"]["protection"], 2004]
    zone.vm_stat[NR_FREE_PAGES] = case["input"]["free"]
    high = case["input"]["high"]
    assert not _zone_watermark_ok(zone, 0, high, ZONE_NORMAL, 0, case["input"]["free"])
    assert _zone_watermark_ok(zone, 0, high, ZONE_DMA, 0, case["input"]["free"])


def test_gfp_zone_table() -> None:
    """The sixteen combinations of zone bits; half of them are forbidden."""
    case = CASES["gfp-zone-table"]
    zones = {"NORMAL": 2, "DMA|NORMAL": 0, "HIGHMEM|NORMAL": 2, "DMA32|NORMAL": 1, "MOVABLE": 3}
    expected = [zones.get(case["expected"][str(bits)], -1) for bits in range(16)]
    assert list(X86_64.gfp_zone_table) == expected


def test_fallbacks() -> None:
    """Which type is taken from first when a type's own lists are empty."""
    case = CASES["migrate-fallbacks"]
    names = ("UNMOVABLE", "MOVABLE", "RECLAIMABLE")
    table = {names[mt]: [names[f] for f in row] for mt, row in enumerate(FALLBACKS)}
    assert table == case["expected"]


def test_fragmentation_index() -> None:
    """The external fragmentation index from counts by order."""
    case = CASES["frag-index"]
    for row in case["expected"]:
        nr_free = [row["counts"].get(str(order), 0) for order in range(11)]
        info = contig_page_info(nr_free, row["order"])
        assert _fragmentation_index(row["order"], info) == row["index"]


@pytest.mark.parametrize(("managed", "batch"), CASES["pcp-batch"]["expected"].items())
def test_zone_batchsize(managed: str, batch: int) -> None:
    """The batch by the size of the zone."""
    assert zone_batchsize(int(managed)) == batch


def test_slab_orders_by_cpus() -> None:
    """The order of a slab and the objects in it, by the size of an object and by CPUs."""
    case = CASES["slub-geometry"]
    for cpus, by_size in case["expected"].items():
        machine = Machine("64 MiB", cpus=int(cpus), slab=True, steps=False)
        caches = {s.object_size: s for s in machine.caches() if s.name.startswith("kmalloc-cg-")}
        assert {str(size): list(s.oo) for size, s in caches.items()} == by_size


def test_kmalloc_size_classes() -> None:
    """What a request really takes: told in advance, and by the event when it is served."""
    case = CASES["kmalloc-classes"]
    machine = Machine("64 MiB", slab=True, steps=False)
    assert [str(size) for size in case["input"]] == list(case["expected"])
    for size, expected in case["expected"].items():
        assert kmalloc_size_roundup(machine.vm.slab, int(size)) == expected
        address = kmalloc(machine.vm, int(size), GFP_KERNEL)
        assert ksize(machine.vm, address) == expected
        event = machine.events()[-1].event
        assert (event.ptr, event.bytes_alloc) == (address, expected)


def test_lazy_max_pages() -> None:
    """How many lazily freed pages call for a purge, by CPUs."""
    case = CASES["vmalloc-lazy-max"]
    expected = {str(cpus): lazy_max_pages(cpus) for cpus in case["input"]["online_cpus"]}
    assert expected == case["expected"]

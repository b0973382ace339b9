"""Ranges taken whole: isolation of pageblocks, alloc_contig_range() and CMA, by hand."""

from __future__ import annotations

from contextlib import suppress

import pytest
from movable import START, fill, movable_machine, told

from memsim import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine
from memsim.mm.cma_area import (
    Cma,
    CmaRequest,
    bitmap_find_next_zero_area_off,
    cma_bitmap_aligned_mask,
    cma_bitmap_aligned_offset,
    cma_declare_contiguous_nid,
)
from memsim.mm.contig import contig_gfp_mask
from memsim.mm.e820 import E820Entry
from memsim.mm.memblock.add import memblock_add, memblock_reserve
from memsim.mm.memblock.region import Memblock
from memsim.mm.mmzone import get_pageblock_migratetype
from memsim.mm.page_isolation import (
    has_unmovable_pages,
    start_isolate_page_range,
    undo_isolate_page_range,
)
from memsim.mm.setup_arch import Firmware
from memsim.words.errno import EBUSY, EINVAL, ENOMEM, ENOSPC
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import __GFP_COMP, __GFP_MOVABLE, __GFP_NOFAIL
from memsim.words.mmzone import MIGRATE_MOVABLE, NULL

MIB = 1 << 20


def types(machine: Machine, first: int, nr: int) -> list[int]:
    """Migratetypes of nr pageblocks."""
    return [get_pageblock_migratetype(machine.zone(), first + 512 * i) for i in range(nr)]


# Isolation


def test_a_range_is_isolated_pageblock_by_pageblock_and_given_back() -> None:
    machine = movable_machine(4096)
    vm, isolate = machine.vm, machine.vm.MIGRATE_ISOLATE
    free = machine.snapshot()
    assert start_isolate_page_range(vm, START + 700, START + 1800, MIGRATE_MOVABLE) == 0
    machine.validate()
    assert types(machine, START, 5) == [1, isolate, isolate, isolate, 1]
    undo_isolate_page_range(vm, START + 700, START + 1800, MIGRATE_MOVABLE)
    machine.validate()
    assert machine.nr_free() == [0] * 10 + [4]
    assert machine.snapshot()["nodes"][0]["nid"] == free["nodes"][0]["nid"]


def test_a_pageblock_with_a_page_that_cannot_move_makes_the_range_busy() -> None:
    """Whichever of four pageblocks it is in, none stays isolated."""
    for block in range(4):
        machine = movable_machine(2048)
        pfns = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(2048)]
        for pfn in pfns:
            if pfn != START + 512 * block + 100:
                machine.free_pages(pfn)
        zone = machine.zone()
        pinned = START + 512 * block + 100
        assert has_unmovable_pages(zone, pinned & -512, pinned + 412, MIGRATE_MOVABLE) == pinned
        ret = start_isolate_page_range(machine.vm, START, START + 2048, MIGRATE_MOVABLE)
        assert ret == -EBUSY
        assert types(machine, START, 4) == [1] * 4
        machine.validate()


def test_pages_on_lru_lists_and_of_isolated_pageblocks() -> None:
    machine = movable_machine(2048)
    fill(machine, 600)
    zone = machine.zone()
    assert has_unmovable_pages(zone, START, START + 512, MIGRATE_MOVABLE) == NULL
    machine.isolate_pageblock(START + 1024)
    ret = start_isolate_page_range(machine.vm, START + 512, START + 1536, MIGRATE_MOVABLE)
    assert ret == -EBUSY
    assert types(machine, START, 4) == [1, 1, machine.vm.MIGRATE_ISOLATE, 1]


def test_a_block_across_the_border_cannot_be_isolated_in_half() -> None:
    """A block of order 10 that somebody has, and half of it wanted."""
    machine = movable_machine(2048)
    assert machine.alloc_pages(GFP_HIGHUSER_MOVABLE, 10) == START
    machine.lru_add(START)
    ret = start_isolate_page_range(machine.vm, START + 512, START + 1024, MIGRATE_MOVABLE)
    assert ret == -EBUSY
    assert types(machine, START, 2) == [1, 1]


# alloc_contig_range()


def test_what_is_in_use_moves_and_what_a_block_has_beyond_the_range_is_free_again() -> None:
    """Pages 100 to 299 are wanted of 1024, of which 0 to 255 are a region's."""
    machine = movable_machine(1024)
    region, _ = fill(machine, 256)
    machine.alloc_contig_range(START + 100, START + 300)
    machine.validate()
    mapping = machine.vm.folios.mappings[region.id]
    assert sorted(mapping.i_pages) == list(range(256))
    wanted = set(range(START + 100, START + 300))
    assert not wanted & set(mapping.i_pages.values())
    assert all(machine.vm.page_state[pfn] == 0x20 for pfn in wanted)
    assert sum(nr << order for order, nr in enumerate(machine.nr_free())) == 1024 - 256 - 200
    assert types(machine, START, 2) == [1, 1]
    machine.free_contig_range(START + 100, 200)
    machine.validate()


def test_a_range_with_somebody_s_page_is_busy_and_nothing_is_lost() -> None:
    machine = movable_machine(2048)
    fill(machine, 256)
    pinned = machine.alloc_pages(GFP_HIGHUSER_MOVABLE)
    before = machine.vm.trace.ring.written
    with pytest.raises(PageAllocationFailure, match="EBUSY"):
        machine.alloc_contig_range(START, START + 512)
    assert told(machine, before, "test_pages") == []  # has_unmovable_pages() saw it
    machine.free_pages(pinned)
    machine.alloc_contig_range(START, START + 512)
    machine.validate()


@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (START + 5, START + 5), (START + 1020, START + 1030)]
)
def test_ranges_outside_a_zone_are_refused(start: int, end: int) -> None:
    machine = movable_machine(1024)
    with pytest.raises(BadRequest, match="one zone"):
        machine.alloc_contig_range(start, end)


def test_only_pages_that_were_taken_are_given_back() -> None:
    machine = movable_machine(1024)
    fill(machine, 2)
    for pfn in (START, START + 5):
        with pytest.raises(BadFree, match="range that was taken"):
            machine.free_contig_range(pfn, 1)


def test_the_mask_says_how_to_free_the_range_and_nothing_else() -> None:
    assert contig_gfp_mask(GFP_KERNEL | __GFP_MOVABLE) == 0x104CC8
    assert contig_gfp_mask(GFP_KERNEL | __GFP_NOFAIL) == 0
    assert contig_gfp_mask(GFP_KERNEL | __GFP_COMP) == 0


# CMA: areas


def memory(size: int) -> Memblock:
    """Early boot of a machine with so much memory, the first MiB in use."""
    memblock = Memblock()
    memblock_add(memblock, 0, size)
    memblock_reserve(memblock, 0, MIB)
    return memblock


@pytest.mark.parametrize(
    ("request_", "ret", "log"),
    [
        (CmaRequest(0), -EINVAL, []),
        (CmaRequest(MIB, alignment=3 * MIB), -EINVAL, []),
        (
            CmaRequest(4 * MIB, base=MIB, fixed=True),
            -EINVAL,
            [
                "cma: Region at 0x0000000000100000 must be aligned to 0x0000000000200000 bytes",
                "cma: Failed to reserve 4 MiB on node -1",
            ],
        ),
        (CmaRequest(2 * MIB, order_per_bit=10), -EINVAL, []),
        (
            CmaRequest(4 * MIB, base=62 * MIB, fixed=True),
            -EINVAL,
            [
                "cma: Size (0x0000000000400000) of region at 0x0000000003e00000 exceeds limit "
                "(0x0000000004000000)",
                "cma: Failed to reserve 4 MiB on node -1",
            ],
        ),
        (
            CmaRequest(4 * MIB, base=8 * MIB, limit=11 * MIB),
            -EINVAL,
            [
                "cma: Size (0x0000000000400000) of region at 0x0000000000800000 exceeds limit "
                "(0x0000000000a00000)",
                "cma: Failed to reserve 4 MiB on node -1",
            ],
        ),
        (
            CmaRequest(64 * MIB),
            -ENOMEM,
            ["cma: Failed to reserve 64 MiB on node -1"],
        ),
    ],
)
def test_areas_that_the_kernel_refuses(request_: CmaRequest, ret: int, log: list[str]) -> None:
    memblock, areas = memory(64 * MIB), []
    before = [(region.base, region.size) for region in memblock.reserved.regions]
    assert cma_declare_contiguous_nid(memblock, areas, request_, -1) == ret
    assert memblock.log == log
    assert areas == []
    assert [(region.base, region.size) for region in memblock.reserved.regions] == before


def test_areas_are_rounded_up_to_pageblocks_and_lie_as_high_as_possible() -> None:
    memblock, areas = memory(64 * MIB), []
    for request in (
        CmaRequest(3 * MIB, name="first"),
        CmaRequest(MIB, base=8 * MIB, fixed=True, order_per_bit=9),
        CmaRequest(MIB, limit=32 * MIB, alignment=4 * MIB),
    ):
        assert cma_declare_contiguous_nid(memblock, areas, request, -1) == 0
    got = [(area.name, area.base_pfn >> 8, area.count >> 8, len(area.bitmap)) for area in areas]
    assert got == [("first", 60, 4, 1024), ("cma1\n", 8, 2, 1), ("cma2\n", 28, 4, 1024)]
    assert memblock.log[0] == "cma: Reserved 4 MiB at 0x0000000003c00000 on node -1"
    taken = CmaRequest(2 * MIB, base=8 * MIB, fixed=True)
    assert cma_declare_contiguous_nid(memblock, areas, taken, -1) == -EBUSY
    areas += [areas[0]] * 17
    assert cma_declare_contiguous_nid(memblock, areas, CmaRequest(MIB), -1) == -ENOSPC


def test_above_4_gib_an_area_lies_as_low_as_possible() -> None:
    memblock, areas = memory(6 << 30), []
    assert cma_declare_contiguous_nid(memblock, areas, CmaRequest(16 * MIB), -1) == 0
    assert areas[0].base_pfn == 1 << 20


def test_a_machine_boots_with_an_area_lent_to_movable_pages() -> None:
    e820 = [E820Entry(0x100000, 256 * MIB, 1)]
    cma = [CmaRequest(16 * MIB, name="camera"), CmaRequest(MIB, base=MIB, fixed=True)]
    machine, early = Machine.from_firmware(Firmware(e820, cma=cma))
    assert [area.name for area in machine.vm.cma_areas] == ["camera"]
    assert "cma: Region at 0x0000000000100000 must be aligned to 0x0000000000200000 bytes" in (
        early.memblock.log
    )
    area = machine.vm.cma_areas[0]
    zone = machine.zone("DMA32")
    machine.validate()
    block_types = {
        get_pageblock_migratetype(zone, pfn)
        for pfn in range(area.base_pfn, area.base_pfn + area.count, 512)
    }
    assert block_types == {machine.vm.MIGRATE_CMA}
    pfn = machine.cma_alloc(4096)
    assert pfn == area.base_pfn
    machine.validate()


# CMA: requests


def with_area(nr_pages: int = 2048, order_per_bit: int = 0) -> tuple[Machine, Cma]:
    """16 MiB of which the last 8 are an area; nothing of it is in use."""
    machine = Machine("32 MiB", cma=nr_pages << 12, reclaim=True, pcp=False)
    area = machine.vm.cma_areas[0]
    machine.vm.cma_areas[0] = Cma(area.base_pfn, area.count, order_per_bit, area.name)
    return machine, machine.vm.cma_areas[0]


def take_all(machine: Machine) -> list[int]:
    """Every page that movable requests can have, for nobody in particular."""
    pages = []
    with suppress(PageAllocationFailure):
        while True:
            pages.append(machine.alloc_pages(GFP_HIGHUSER_MOVABLE))
    return pages


def test_the_page_cache_in_an_area_is_dropped_if_clean_and_moves_if_dirty() -> None:
    """Even pages of the file were written to."""
    machine, area = with_area()
    file = machine.open("file", "64 MiB")
    for index in range(6000):
        (machine.read if index & 1 else machine.write)(file, index)
    inside = range(area.base_pfn, area.base_pfn + area.count)
    pages = machine.vm.folios.mappings[file.id].i_pages
    assert sum(pfn in inside for pfn in pages.values()) > 1500
    for index in range(0, 4000, 2):
        machine.drop(file, index)
    before = {index: pfn for index, pfn in pages.items() if pfn >= 0}
    pfn = machine.cma_alloc(1024, 8)
    machine.validate()
    assert pfn == area.base_pfn
    taken = range(pfn, pfn + 1024)
    for index, old in before.items():
        new = pages[index]
        if old not in taken:
            assert new == old
        else:
            assert new not in taken
            assert (new < 0) == (index & 1)
    assert machine.cma_free() == 1024
    machine.cma_release(pfn, 1024)
    machine.validate()
    assert machine.cma_free() == 2048


def test_a_page_that_somebody_keeps_is_busy_and_the_next_range_is_tried() -> None:
    """Page 90 of the area: aligned to 64 pages, the ranges from 0 and from 64 are busy."""
    machine, area = with_area()
    pinned = area.base_pfn + 90
    pages = take_all(machine)
    for pfn in pages:
        if pfn != pinned:
            machine.free_pages(pfn)
    assert pinned in pages
    before = machine.vm.trace.ring.written
    assert machine.cma_alloc(100, 6) == area.base_pfn + 128
    machine.validate()
    base = area.base_pfn
    pointers = [f"{0xFFFFEA0000000000 + (base + at) * 64:016x}" for at in (0, 64, 128)]
    assert told(machine, before, "cma_") == [
        "cma_alloc_start: name=reserved count=100 align=6",
        f"cma_alloc_busy_retry: name=reserved pfn={base:#x} page={pointers[0]} count=100 align=6",
        f"cma_alloc_busy_retry: name=reserved pfn={base + 64:#x} page={pointers[1]} count=100 "
        "align=6",
        f"cma_alloc_finish: name=reserved pfn={base + 128:#x} page={pointers[2]} count=100 "
        "align=6 errorno=0",
    ]
    busy = told(machine, before, "test_pages_isolated")[0]
    assert busy.endswith(f"fin_pfn={pinned:#x} ret=fail")
    # in 6.12 these four fields have each other's values
    info = told(machine, before, "mm_alloc_contig")[0]
    assert info.endswith("migratetype=0 nr_migrated=4 nr_reclaimed=0 nr_mapped=0")


def test_the_whole_area_is_busy() -> None:
    machine, area = with_area(512)
    take_all(machine)
    with pytest.raises(PageAllocationFailure, match="req-size: 512 pages, ret: -16"):
        machine.cma_alloc(512)
    assert machine.cma_free() == 512
    assert told(machine, 0, "cma_alloc_finish")[-1].endswith("count=512 align=0 errorno=-16")
    with pytest.raises(PageAllocationFailure, match="ret: -12"):
        machine.cma_alloc(513)
    machine.validate()
    assert types(machine, area.base_pfn, 0) == []


def test_a_bit_stands_for_several_pages() -> None:
    machine, area = with_area(order_per_bit=2)
    first = machine.cma_alloc(5)
    assert area.bitmap[:3] == bytes([1, 1, 0])
    assert machine.cma_free() == 2048 - 8
    assert machine.cma_alloc(1) == first + 8
    machine.cma_release(first, 5)
    assert area.bitmap[:3] == bytes([0, 0, 1])
    machine.undo()
    assert area.bitmap[:3] == bytes([1, 1, 1])
    machine.validate()


@pytest.mark.parametrize(
    ("bits", "start", "nr", "mask", "offset", "found"),
    [
        ("0000", 0, 4, 0, 0, 0),
        ("0100", 0, 2, 0, 0, 2),
        ("0100", 0, 3, 0, 0, -1),
        ("10000000", 0, 2, 3, 0, 4),
        ("10000000", 0, 2, 3, 2, 2),  # the area begins two bits above an aligned pfn
        ("1000", 4, 1, 0, 0, -1),
    ],
)
def test_the_bitmap_is_searched_for_an_aligned_gap(
    bits: str, start: int, nr: int, mask: int, offset: int, found: int
) -> None:
    bitmap = bytearray(int(bit) for bit in bits)
    assert bitmap_find_next_zero_area_off(bitmap, start, nr, mask, offset) == found


def test_alignment_in_bits() -> None:
    area = Cma(0x1200, 4096, 2, "area")
    masks = [cma_bitmap_aligned_mask(area, order) for order in (0, 2, 3, 10)]
    assert masks == [0, 0, 1, 255]
    assert cma_bitmap_aligned_offset(area, 10) == 0x200 >> 2


def test_free_blocks_of_order_10_that_a_kernel_request_may_not_have() -> None:
    """buddyinfo counts them, but they are CMA's: only movable requests may borrow them."""
    machine = Machine("64 MiB", cma="16 MiB", pcp=False)
    with suppress(PageAllocationFailure):
        while True:
            machine.alloc_pages(GFP_KERNEL, 10)
    with pytest.raises(PageAllocationFailure) as failure:
        machine.alloc_pages(GFP_KERNEL, 10)
    assert machine.nr_free("DMA32")[10] == 3
    assert "(C)" in failure.value.report
    area = machine.vm.cma_areas[0]
    borrowed = machine.alloc_pages(GFP_HIGHUSER_MOVABLE, 10)
    assert borrowed in range(area.base_pfn, area.base_pfn + area.count)


def test_bad_requests_of_cma() -> None:
    machine, area = with_area()
    plain = Machine("16 MiB")
    with pytest.raises(BadRequest, match="no CMA area"):
        plain.cma_alloc(1)
    for call, error in [
        (lambda: machine.cma_alloc(0), "nr_pages=0"),
        (lambda: machine.cma_alloc(1, 21), "align=21"),
        (lambda: machine.cma_alloc(1, area=1), "area=1"),
    ]:
        with pytest.raises(BadRequest, match=error):
            call()
    for pfn, nr in [(area.base_pfn - 1, 1), (area.base_pfn + 2047, 2), (area.base_pfn, 1)]:
        with pytest.raises((BadFree, BadRequest)):
            machine.cma_release(pfn, nr)
    assert machine.history == []

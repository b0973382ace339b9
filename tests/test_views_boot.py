"""Lesson 14's widget and helpers: memblock's arrays under buttons, the account of a boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from memsim import GFP_KERNEL, Machine
from memsim.mm.e820 import E820_TYPE_RAM, E820Entry
from memsim.trace.steps import ListAdd
from memsim.views import lesson14
from memsim.views.memblock_desk import MemblockDesk, regions_text
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE
from memsim.words.mmzone import MIGRATE_MOVABLE, MIGRATE_UNMOVABLE

DATA = Path(__file__).parents[1] / "notebooks/data"
LOGS = {"boot_two_zones.txt": 1, "boot_mixed_numa.txt": 2}


def desk(**values: int) -> MemblockDesk:
    """A desk whose sliders stand there."""
    made = MemblockDesk()
    for name, value in values.items():
        getattr(made, name).value = value
    return made


def test_what_touches_is_one_region_and_a_free_cuts_it() -> None:
    widget = desk(base=4, size=16)
    assert widget.press("memblock_reserve").endswith("reserved.cnt = 1: [0, 26)")
    widget.base.value, widget.size.value = 10, 2
    assert widget.press("memblock_phys_free").endswith("reserved.cnt = 2: [0, 10) [12, 26)")
    assert "start over" in widget.buttons
    assert widget.press("start over").endswith("reserved.cnt = 2: [0, 4) [20, 26)")


@pytest.mark.parametrize(
    ("bottom_up", "size", "align", "page"),
    [(0, 4, 1, 60), (1, 4, 1, 4), (0, 12, 8, 48), (1, 16, 16, 48), (0, 16, 1, 48), (1, 3, 8, 8)],
)
def test_a_request_gets_the_highest_gap_or_the_lowest(
    bottom_up: int, size: int, align: int, page: int
) -> None:
    widget = desk(size=size, align=align, bottom_up=bottom_up)
    assert f": page {page}, the " in widget.press("memblock_alloc")


def test_ram_is_added_into_the_hole_and_no_gap_is_null() -> None:
    widget = desk(base=40, size=8)
    assert "memory.cnt = 1: [0, 64)" in widget.press("memblock_add")
    widget.size.value = 16
    for _ in range(3):
        widget.press("memblock_alloc")
    assert widget.press("memblock_alloc").startswith("memblock_alloc(16, 1): NULL")


def test_a_range_ends_where_the_bar_ends() -> None:
    widget = desk(base=60, size=16)
    assert widget.press("memblock_reserve").startswith("memblock_reserve(60, 4)")
    assert widget._kind(63) == "reserved"
    assert widget._kind(44) == "no RAM"
    assert 'title="page 40: no RAM"' in widget.picture.value
    assert regions_text(widget.memblock.memory) == "memory.cnt = 2: [0, 40) [48, 64)"


@pytest.mark.parametrize(("log", "cpus"), LOGS.items())
def test_each_page_that_boot_took_is_counted_once(log: str, cpus: int) -> None:
    machine, early = lesson14.booted(DATA / log, cpus)
    taken = lesson14.taken_pages(early)
    zones = machine.vm.zones
    assert sum(taken.values()) == sum(z.present_pages - z.managed_pages for z in zones)
    assert taken["percpu areas"] == 66 * cpus
    assert taken["swiotlb"] == 16384 + 192


def test_the_log_accounts_for_memtotal_to_the_last_page() -> None:
    log = (DATA / "boot_two_zones.txt").read_text()
    told, freed = lesson14.told_memory(log), lesson14.freed_lines(log)
    pages = told.present - told.reserved + sum(freed.values()) - freed["SMP alternatives"]
    assert (DATA / "meminfo_two_zones.txt").read_text().startswith(f"MemTotal: {4 * pages:14} kB")
    _, early = lesson14.booted(DATA / "boot_two_zones.txt")
    # requests of some bytes lie elsewhere: tests/test_boot.py DIFFERENT
    taken = sum(lesson14.taken_pages(early).values())
    assert taken + 1 == told.reserved + freed["SMP alternatives"]
    with pytest.raises(ValueError, match="Memory:"):
        lesson14.told_memory("nothing")


def test_the_first_pageblock_of_a_pc_stays_unmovable() -> None:
    """Its first page is the firmware's: so recorded, with one request of order 5 in its zone."""
    machine, _ = lesson14.booted(DATA / "boot_two_zones.txt")
    zone = machine.zone("DMA")
    assert list(zone.pageblock[:2]) == [MIGRATE_UNMOVABLE, MIGRATE_MOVABLE]
    machine.alloc_pages(GFP_KERNEL | 1, order=5)
    recorded = (DATA / "buddyinfo_two_zones.txt").read_text().splitlines()[0].split()[4:]
    assert machine.nr_free("DMA") == [int(word) for word in recorded]
    machine.validate()


def test_blocks_are_handed_over_ascending_and_each_is_the_largest_that_is_aligned() -> None:
    toy = lesson14.HandingOver(64)
    assert sum(toy.nr_free()) == 0
    with toy.recording() as handing_over:
        toy.memblock_free_all([(4, 22), (24, 40), (48, 64)])
    adds = [step for step in handing_over.steps if isinstance(step, ListAdd)]
    assert [(add.pfn, add.list.x) for add in adds] == [
        (4, 2), (8, 3), (16, 2), (20, 1), (24, 3), (32, 3), (48, 4),
    ]  # fmt: skip
    toy.undo()
    assert sum(toy.nr_free()) == 0


def test_movable_requests_take_from_cma_when_it_is_half() -> None:
    machine = Machine("256 MiB", cma="64 MiB", steps=False)
    levels = lesson14.lend(machine, GFP_HIGHUSER_MOVABLE, 10)
    before = [n for n, mib in enumerate(levels.inside) if mib == 64]
    assert levels.outside[before[-1]] < 64 + 32
    assert levels.inside[-1] < 64
    refused = lesson14.ask_until_refused(Machine("256 MiB", cma="64 MiB"), GFP_KERNEL)
    assert refused.free_cma == 64 << 8
    assert "CMA's" in str(refused)


def test_a_table_is_a_line_for_each_range() -> None:
    text = lesson14.e820_text([E820Entry(0, 4096, E820_TYPE_RAM), E820Entry(4096, 8192, 77)])
    assert [line.split()[-1] for line in text.splitlines()] == ["usable", "77"]


def test_borrowers_move_and_one_page_that_stays_makes_a_range_busy() -> None:
    lent = lesson14.borrowed(pinned=90)
    with pytest.raises(PageAllocationFailure, match="ret: -16"):
        lent.machine.cma_alloc(2048)
    said = lesson14.take_back(lent, 1024, 8)
    assert "gets page 256 of the area" in said
    assert said.endswith("1 range busy")
    assert all(not 2304 <= pfn < 3328 for pfn in lent.pages().values())
    lent.machine.validate()

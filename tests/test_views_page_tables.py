"""Lesson 12's widgets and helpers: an address walked, tables counted, lazy frees and flushes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import Machine
from memsim.lib.bits import PAGE_SIZE
from memsim.mm.pgtable import PMD, PTE, PageTables
from memsim.proc.vmallocinfo import parse_vmallocinfo
from memsim.views import lesson12
from memsim.views.vmalloc_walk import WalkAddress, bits_of, bits_text, four_areas, walk_text
from memsim.words.slab import PAGE_OFFSET
from memsim.words.vmalloc import LAYOUT_64, VMALLOC_END, VMALLOC_START

MM = PageTables(LAYOUT_64)
DATA = Path(__file__).parents[1] / "notebooks/data"


@given(address=st.integers(VMALLOC_START, VMALLOC_END), level=st.sampled_from([PTE, PMD]))
def test_the_parts_of_an_address_make_it_again(address: int, level: int) -> None:
    parts = bits_of(MM, address, level)
    assert sum(bits for _, bits, _ in parts) == 48
    whole = 0
    for _, bits, value in parts:
        assert 0 <= value < 1 << bits
        whole = whole << bits | value
    assert whole | 0xFFFF << 48 == address
    assert parts[-1][1] == MM.shift_of(level)


def test_bits_are_told_by_level() -> None:
    text = bits_text(MM, VMALLOC_START + 3 * PAGE_SIZE + 5)
    assert text.startswith(
        "pgd 110010010 (402), pud 000000000 (0), pmd 000000000 (0), pte 000000011"
    )
    assert text.endswith("offset 000000000101 (5)")


def test_the_walk_ends_where_the_page_is() -> None:
    machine, areas = four_areas()
    for start, pages in areas.values():
        for page in range(0, pages, 7):
            address = start + page * PAGE_SIZE + 9
            text = walk_text(machine, address)
            if "Page fault" in text:
                assert "is empty: nothing is mapped" in text
            else:
                assert f"byte 9 of pfn {machine.vmalloc_to_pfn(address)}," in text


def test_the_widget_walks_what_is_chosen() -> None:
    widget = WalkAddress()
    assert widget.text().count("\n") == 5
    widget.page.value = 4
    assert widget.text().endswith("Page fault.")
    widget.area.value = "vmalloc_huge(4 MiB)"
    assert (widget.page.value, widget.page.max) == (0, 1024)
    assert "maps 2 MiB from pfn" in widget.text()
    widget.byte.value = 10_000
    assert widget.byte.value == 4095
    widget.area.value = "16384 bytes, freed again"
    assert "is empty" in widget.text()
    assert "aria-hidden" in widget.picture.value


def test_virt_to_phys_is_right_for_the_direct_map_alone() -> None:
    machine = Machine("64 MiB", slab=True, vmalloc=True)
    direct = machine.kmalloc(16 << 10)  # a block of pages: its slab is none
    assert 0 < lesson12.virt_to_phys(direct) < 64 << 20
    assert lesson12.virt_to_phys(PAGE_OFFSET) == 0
    address = machine.vmalloc(4096)
    assert lesson12.virt_to_phys(address) >> 12 != machine.vmalloc_to_pfn(address)
    assert lesson12.virt_to_phys(address) > 64 << 40


def test_on_a_checkerboard_no_two_pages_are_neighbours() -> None:
    machine = Machine("64 MiB", vmalloc=True, steps=False)
    held = lesson12.hold_one_of(machine, 2)
    assert len(held) > 5000
    machine.validate()
    assert sum(machine.nr_free()[1:]) < 20  # what the watermarks keep back
    assert all(abs(one - other) > 1 for one, other in pairwise(lesson12.scattered(40)))


@given(nr=st.integers(0, 60), pages=st.integers(1, 2000), cpus=st.sampled_from([1, 2, 4]))
def test_flushes_are_as_many_as_the_limit_is_exceeded(nr: int, pages: int, cpus: int) -> None:
    told = lesson12.flushes(nr, pages, cpus)
    limit = {1: 1, 2: 2, 4: 3}[cpus] * 8192
    assert told.limit == limit
    per_flush = limit // (pages + 1) + 1  # the first free that is one too many
    assert told.lazily == nr // per_flush
    assert told.left == nr % per_flush * (pages + 1)


def test_the_slider_counts() -> None:
    widget = lesson12.LazyFlushes()
    assert widget.flushes.lazily == 0
    widget.freed.value = 5000
    assert "3 lazily; 415 of 8,192 pages wait" in widget.text()
    widget.cpus.value = 256
    assert widget.flushes.limit == 9 * 8192
    widget.freed.value = 0
    assert widget.flushes.left == 0


def test_recorded_purges_and_the_copy_agree() -> None:
    purges, nr_lazy, nr_lazy_max = lesson12.recorded_purges(DATA / "purges_bpf_vmalloc.txt")
    assert (len(purges), nr_lazy_max) == (45, 8192)
    rows = parse_vmallocinfo((DATA / "vmallocinfo_bpf_vmalloc.txt").read_text())
    unpurged = [row.size // PAGE_SIZE for row in rows if row.words == ("unpurged vm_area",)]
    assert sum(unpurged) == nr_lazy
    assert sum(purge.num_purged for purge in purges) + len(unpurged) == 4636


@pytest.mark.parametrize("pages", [1, 512, 513])
def test_tables_are_counted(pages: int) -> None:
    machine = Machine("64 MiB", vmalloc=True)
    before, tables = lesson12.free_pages(machine), lesson12.nr_tables(machine)
    machine.vmalloc(pages * PAGE_SIZE)
    made = lesson12.nr_tables(machine) - tables
    array = 2 if pages > 512 else 0  # its list of pages is an area then
    assert before - lesson12.free_pages(machine) == pages + made + array
    assert made == (2 if pages <= 512 else 3)

"""Page frames: maps of RAM against recorded kernels, /proc/iomem as input, the address widget."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from memsim import Machine
from memsim.lib.sizes import show_size
from memsim.proc.iomem import MAX_LINES, parse_iomem, ram_pages
from memsim.proc.zoneinfo_parse import parse_zoneinfo
from memsim.views.frames import SIZES, Frames, address_text
from memsim.views.lesson01 import kept_pages, page_lines, sections, zone_pages
from memsim.views.ram_map import GIVEN, HOLE, KEPT, find_span, pc_ram_map, ram_map
from memsim.words.errors import BadInput
from memsim.words.mmzone import PAGES_PER_SECTION, SIZEOF_STRUCT_PAGE

DATA = Path(__file__).parents[1] / "notebooks" / "data"


def recorded(name: str) -> str:
    return (DATA / f"{name}_two_zones.txt").read_text()


# Maps


def test_zones_of_recorded_ram_span_and_hold_what_the_kernel_counted() -> None:
    ram = ram_pages(parse_iomem(recorded("iomem")))
    told = {
        zone.zone: [zone.tail["start_pfn"], zone.pages["spanned"], zone.pages["present"]]
        for zone in parse_zoneinfo(recorded("zoneinfo"))
        if zone.populated
    }
    zones = ram_map(ram, ram)
    assert {z.name: [z.start, z.end - z.start, z.nr_pages(GIVEN)] for z in zones} == told


@pytest.mark.parametrize("size", SIZES[:-2])
def test_a_map_is_the_machine_that_boots(size: str) -> None:
    machine = Machine(size, steps=False)
    for zone in pc_ram_map(size):
        booted = machine.zone(zone.name)
        assert (zone.start, zone.end) == (booted.zone_start_pfn, booted.zone_end_pfn)
        assert zone.nr_pages(GIVEN, KEPT) == booted.present_pages
        assert zone.nr_pages(GIVEN) == booted.managed_pages


@pytest.mark.parametrize("size", SIZES)
def test_spans_cover_every_zone_once_and_neighbours_differ(size: str) -> None:
    for zone in pc_ram_map(size):
        assert [zone.start, *(span.end for span in zone.spans)] == [
            *(span.start for span in zone.spans),
            zone.end,
        ]
        kinds = [span.kind for span in zone.spans]
        assert all(one != other for one, other in pairwise(kinds))


def test_the_hole_below_4_gib_is_in_zone_dma32() -> None:
    found = find_span(pc_ram_map("8 GiB"), 0xD0000)
    assert found is not None
    assert (found[0].name, found[1].kind) == ("DMA32", HOLE)
    assert find_span(pc_ram_map("8 GiB"), 0) is None


# /proc/iomem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing\n", "iomem: line 1: should be `first-last : name`, is 'nothing'"),
        ("0-fff : a\n1000-\x1b[31m\n", "iomem: line 2: should be"),
        ("2000-1000 : RAM\n", "iomem: line 1: it ends before it begins"),
        ("0-0 : System RAM\n  0-0 : Kernel code\n", "every address is 0, as for all but root"),
        ("0-fff : System", "iomem: line 1: cut off"),
        ("0-fff : a\n" * (MAX_LINES + 1), f"{MAX_LINES + 1} lines; at most {MAX_LINES}"),
        (f"{'f' * 17}-{'f' * 17} : a\n", "iomem: line 1: "),
    ],
)
def test_what_is_no_iomem_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_iomem(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_a_page_that_is_ram_only_in_part_is_not_counted() -> None:
    assert ram_pages(parse_iomem("800-37ff : System RAM\n3800-3fff : System RAM\n")) == [(1, 3)]
    assert parse_iomem("") == []


# The widget


def test_an_address_a_pfn_and_a_pageblock_move_each_other() -> None:
    frames = Frames("1 GiB", 0x12345678)
    assert (frames.pfn.value, frames.pageblock.value) == ("74565", 145)
    frames.pfn.value = "0x300"
    assert (frames.address.value, frames.pageblock.value) == ("0x300000", 1)
    frames.pageblock.value = 2
    assert (frames.address.value, frames.pfn.value) == ("0x400000", "1024")
    frames.address.value = "4294967296"
    assert frames.pfn.value == "1048576"
    assert "which is in no zone" in frames.text()


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "0x", "9" * 5000, "<b>", "\n"])
def test_what_is_no_number_is_said_and_nothing_moves(text: str) -> None:
    frames = Frames()
    before = frames.text()
    for box, name in [(frames.address, "address"), (frames.pfn, "pfn")]:
        box.value = text
        assert f"is no {name}" in frames.said.value
        assert "<b>" not in frames.said.value
        assert len(frames.said.value) < 400
        assert frames.text() == before


def test_a_smaller_machine_brings_the_address_along() -> None:
    frames = Frames("1 TiB", 1 << 39)
    assert "zone Normal" in frames.text()
    frames.ram.value = "16 MiB"
    assert frames.pfn.value == "4095"
    assert frames.pageblock.max == 7


def test_the_text_says_everything_that_follows_from_an_address() -> None:
    assert address_text(pc_ram_map("1 GiB"), 0x12345678) == (
        "Address 0x12345678 is byte 1656 of pfn 74565 (0x12345): zone DMA32, pageblock 145, pfn "
        "74240 to 74751. It is RAM, given to the buddy system; its struct page: ffffea000048d140."
    )


# Words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (1, "1 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (1 << 40, "1 TiB")],
)
def test_sizes_are_shown_as_people_read_them(size: int, words: str) -> None:
    assert show_size(size) == words


@pytest.mark.parametrize(
    ("ram", "number"),
    [([], 0), ([(1, 2)], 1), ([(0, 32768)], 1), ([(32767, 32769)], 2), ([(1, 2), (9, 10)], 1)],
)
def test_a_section_with_any_ram_is_counted_once(ram: list[tuple[int, int]], number: int) -> None:
    assert sections(ram) == number


def test_the_recorded_kernel_paid_for_struct_pages_by_the_section() -> None:
    ram = ram_pages(parse_iomem(recorded("iomem")))
    struct_pages = sections(ram) * PAGES_PER_SECTION * SIZEOF_STRUCT_PAGE
    assert f"nr_memmap_boot_pages {struct_pages >> 12}\n" in recorded("vmstat")


def test_kept_pages_add_up_to_what_is_missing() -> None:
    numbers = zone_pages(recorded("zoneinfo"), "present", "managed").values()
    present, managed = (sum(column) for column in zip(*numbers, strict=True))
    kept = kept_pages(recorded("dmesg"), recorded("vmstat"), present, managed)
    assert sum(kept.values()) == present - managed
    assert kept["kernel image"] == (16384 + 2506 + 11008 + 5280 - 2028) // 4
    assert min(kept.values()) > 0
    assert len(page_lines(kept).splitlines()) == len(kept)

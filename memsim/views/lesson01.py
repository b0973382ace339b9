"""What lesson 01 runs more than once: recorded texts read, pages counted."""

from __future__ import annotations

import re
from collections.abc import Mapping

from memsim.lib.bits import PAGE_SHIFT
from memsim.lib.pfn import PFN_PHYS
from memsim.lib.sizes import show_size
from memsim.proc.zoneinfo_parse import parse_zoneinfo
from memsim.trace.text import parse_fields
from memsim.views.ram_map import GIVEN, ram_map
from memsim.words.mmzone import PAGES_PER_SECTION, SIZEOF_STRUCT_PAGE, VMEMMAP_START

#: What dmesg calls the parts of the kernel's image that stay when it has booted.
IMAGE_PARTS = ("kernel code", "rwdata", "rodata", "bss")


def present_by_zone(ram: list[tuple[int, int]]) -> dict[str, int]:
    """Page frames that are RAM, in each zone, from ranges of them."""
    return {zone.name: zone.nr_pages(GIVEN) for zone in ram_map(ram, ram)}


def zone_pages(zoneinfo: str, *names: str) -> dict[str, list[int]]:
    """These numbers of pages of each populated zone: {"DMA": [4095, 3998], …}."""
    zones = [zone for zone in parse_zoneinfo(zoneinfo) if zone.populated]
    return {zone.zone: [zone.pages[name] for name in names] for zone in zones}


def struct_page_pfn(line: str) -> tuple[int, int]:
    """(pfn by its struct page's address, pfn as printed) of a line of a kmem trace."""
    fields = parse_fields(line)
    page = int(fields["page"], 16)
    return (page - VMEMMAP_START) // SIZEOF_STRUCT_PAGE, int(fields["pfn"], 16)


def sections(ram: list[tuple[int, int]]) -> int:
    """How many sections hold these ranges of RAM: each gets struct pages for all its page frames.

    Kernel: mm/sparse.c sparse_init_nid()
    """
    touched: set[int] = set()
    for start, end in ram:
        touched.update(range(start // PAGES_PER_SECTION, (end - 1) // PAGES_PER_SECTION + 1))
    return len(touched)


def kept_pages(dmesg: str, vmstat: str, present: int, managed: int) -> dict[str, int]:
    """What the RAM is used for that the buddy system never gets, in pages.

    Of the kernel's image, .bss..decrypted is given back where memory is not encrypted.
    """
    image = sum(_number(dmesg, rf"(\d+)K {part}") for part in IMAGE_PARTS)
    image -= _number(dmesg, r"Freeing unused decrypted memory: (\d+)K")
    bounce = _number(dmesg, r"software IO TLB: mapped .*\((\d+)MB\)")
    known = {
        "software IO TLB": bounce << 20 - PAGE_SHIFT,
        "kernel image": image >> PAGE_SHIFT - 10,
        "struct pages": _number(vmstat, r"nr_memmap_boot_pages (\d+)"),
    }
    return {**known, "all the rest": present - managed - sum(known.values())}


def _number(text: str, pattern: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


def page_lines(parts: Mapping[str, int]) -> str:
    """A line for each part: its name, pages, size, and share of the whole."""
    width, total = max(map(len, parts)), sum(parts.values())
    return "\n".join(
        f"{name:{width}} {pages:7} pages {show_size(PFN_PHYS(pages)):>10} "
        f"{100 * pages / total:5.1f} %"
        for name, pages in parts.items()
    )

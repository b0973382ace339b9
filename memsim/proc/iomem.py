"""/proc/iomem: which physical addresses are RAM, and which belong to something else. Root's.

Kernel: kernel/resource.c r_show()
"""

from __future__ import annotations

import re
from typing import NamedTuple

from memsim.lib.bits import nr_pages_of
from memsim.lib.pfn import PHYS_PFN
from memsim.proc.text import COPY_AGAIN, Line
from memsim.words.errors import BadInput

_LINE = re.compile(r"( *)([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.+)")
#: Longer texts are refused: real ones have some hundred lines.
MAX_LINES = 10_000


class Resource(NamedTuple):
    """Physical addresses first to last (both belong to it, in bytes), inside `depth` others."""

    first: int
    last: int
    name: str
    depth: int


def parse_iomem(text: str, name: str = "iomem") -> list[Resource]:
    """The resources of a copy, in its order. BadInput names the line; `name` is the file's."""
    *lines, rest = text.split("\n")
    if len(lines) > MAX_LINES:
        raise BadInput(f"{name}: {len(lines)} lines; at most {MAX_LINES} are read")
    if rest.strip():
        raise Line(name, len(lines) + 1, rest).bad(f"cut off, it has no end; {COPY_AGAIN}")
    resources = [_resource(Line(name, number, line)) for number, line in enumerate(lines, 1)]
    if resources and not any(resource.last for resource in resources):
        raise BadInput(f"{name}: every address is 0, as for all but root: copy it with sudo")
    return resources


def _resource(line: Line) -> Resource:
    match = _LINE.fullmatch(line.text)
    if match is None:
        raise line.unknown("`first-last : name`")
    first, last = int(match[2], 16), int(match[3], 16)
    if last < first:
        raise line.bad(f"it ends before it begins; {COPY_AGAIN}")
    return Resource(first, last, match[4], len(match[1]) // 2)


def ram_pages(resources: list[Resource]) -> list[tuple[int, int]]:
    """Page frames [start, end) that are System RAM from their first byte to their last.

    Kernel: include/linux/memblock.h memblock_region_memory_base_pfn()
    """
    ram = [resource for resource in resources if resource.name == "System RAM"]
    pages = [(nr_pages_of(found.first), PHYS_PFN(found.last + 1)) for found in ram]
    return [(start, end) for start, end in pages if start < end]

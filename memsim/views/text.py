"""The text form of a picture: what a screen reader reads and nbval compares. Always the same words.

player.js makes the same text in the browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from memsim.trace.steps import ListName
from memsim.views.scene import (
    ALLOCATED,
    FREE,
    ON_NO_LIST,
    PCP,
    PCP_FIELDS,
    Block,
    Scene,
    list_order,
)

#: Longer parts are cut here, and the text says how much is missing.
MAX_LINES = 200
MAX_LIST = 64


def scene_text(scene: Scene, more: Mapping[str, list[str]] | None = None) -> str:
    """Address order, then list order, of the moment; what each CPU keeps, if it does; then more."""
    parts = {
        "Address order": list(_address_lines(scene)),
        "List order, head first": list(_list_lines(scene)) or ["all empty"],
        "Lists of each CPU, head first": list(_pcp_lines(scene)),
        **(more or {}),
    }
    return "\n".join(
        line
        for title, lines in parts.items()
        if lines
        for line in [title, *_cut([f"  {line}" for line in lines])]
    )


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - MAX_LINES
    return lines if more <= 0 else [*lines[:MAX_LINES], f"  and {more} more lines"]


def _address_lines(scene: Scene) -> Iterator[str]:
    """A line for each run of blocks of one kind."""
    for words, run in groupby(scene.blocks(), key=block_words):
        blocks = list(run)
        first, last = blocks[0].pfn, blocks[-1].pfn + blocks[-1].nr_pages - 1
        to = f" to {last}" if last > first else ""
        count = f" ({len(blocks)} blocks)" if len(blocks) > 1 else ""
        yield f"pfn {first}{to}: {words}{count}"


def block_words(block: Block) -> str:
    """What a block is: "free, order 3, MOVABLE"."""
    order = f", order {block.order}"
    if block.kind == FREE:
        return f"free{order}, {block.migratetype}"
    if block.kind == PCP:
        return f"on a pcp list of CPU {block.cpu}{order}, {block.migratetype}"
    if block.kind == ALLOCATED:
        return f"allocated{order}{', on an LRU list' if block.on_lru else ''}"
    return "on no list" if block.kind == ON_NO_LIST else "reserved"


def _list_lines(scene: Scene) -> Iterator[str]:
    for name in _used(scene, "free_area"):
        yield f"{scene.names.list(name)}: {_pages(scene, name)}"


def _pcp_lines(scene: Scene) -> Iterator[str]:
    """A line for each CPU that keeps pages in a zone, and one for each of its lists."""
    for (zone_id, cpu), names in groupby(_used(scene, "pcp"), key=lambda n: (n.zone_id, n.x)):
        owned = list(names)
        fields = [f"{f} {scene.fields[zone_id, cpu, f'pcp.{f}']}" for f in PCP_FIELDS]
        yield f"{scene.names.cpu(owned[0])}: {', '.join(fields)}"
        for name in owned:
            yield f"  {pcp_list_label(scene, name)}: {_pages(scene, name)}"


def pcp_list_label(scene: Scene, name: ListName) -> str:
    """A pcp list, under the heading of its CPU."""
    return f"order {list_order(name)} {scene.names.migratetype(name)}"


def _used(scene: Scene, where: str) -> list[ListName]:
    used = (name for name, pages in scene.lists.items() if pages and name.where == where)
    return sorted(used, key=list_sort_key)


def _pages(scene: Scene, name: ListName) -> str:
    pages = scene.lists[name]
    more = f" and {len(pages) - MAX_LIST} more" if len(pages) > MAX_LIST else ""
    return " ".join(str(pfn) for pfn in pages[:MAX_LIST]) + more


def list_sort_key(name: ListName) -> tuple[int, int, int, int, int]:
    """Free lists by zone and type, large orders first; then pcp lists by zone, CPU and order."""
    if name.where == "pcp":
        return 1, name.zone_id, name.x, list_order(name), name.y
    return 0, name.zone_id, name.y, -name.x, 0

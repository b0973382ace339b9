"""The text form of a picture: what a screen reader reads and nbval compares. Always the same words.

player.js makes the same text in the browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from memsim.trace.steps import ListName
from memsim.views.scene import ALLOCATED, FREE, ON_NO_LIST, PCP, Block, Scene, list_order

#: Longer parts are cut here, and the text says how much is missing.
MAX_LINES = 200
MAX_LIST = 64


def scene_text(scene: Scene) -> str:
    """Address order, then list order, of the moment."""
    address = [f"  {line}" for line in _address_lines(scene)]
    lists = [f"  {line}" for line in _list_lines(scene)]
    return "\n".join(
        ["Address order", *_cut(address), "List order, head first", *_cut(lists or ["  all empty"])]
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
        return f"on a pcp list{order}, {block.migratetype}"
    if block.kind == ALLOCATED:
        return f"allocated{order}{', on an LRU list' if block.on_lru else ''}"
    return "on no list" if block.kind == ON_NO_LIST else "reserved"


def _list_lines(scene: Scene) -> Iterator[str]:
    for name in sorted((name for name, pages in scene.lists.items() if pages), key=list_sort_key):
        pages = scene.lists[name]
        more = f" and {len(pages) - MAX_LIST} more" if len(pages) > MAX_LIST else ""
        shown = " ".join(str(pfn) for pfn in pages[:MAX_LIST])
        yield f"{scene.names.list(name)}: {shown}{more}"


def list_sort_key(name: ListName) -> tuple[int, str, int, int, int]:
    """Zones in order; free lists by type, then pcp lists by CPU; large orders first."""
    if name.where == "pcp":
        return name.zone_id, name.where, name.x, -list_order(name), name.y
    return name.zone_id, name.where, name.y, -name.x, 0

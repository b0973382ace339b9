"""The form of the kernel's own tests of memblock as rows: what was in use, a request, what is then.

Kernel: tools/testing/memblock/tests/ (in v6.12). Their set-up: 32 KiB of RAM, or the same cut into
eight nodes; an alignment of 32 bytes, the SMP_CACHE_BYTES of the kernel's tools.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from memsim.mm.memblock.add import memblock_add, memblock_add_node, memblock_reserve
from memsim.mm.memblock.region import Memblock, MemblockType
from memsim.words.memblock import MEMBLOCK_HOTPLUG, MEMBLOCK_NONE

K, M, G = 1 << 10, 1 << 20, 1 << 30
#: An alignment, and where RAM begins and ends.
C, B, E = 32, G, G + 32 * K
#: Node n is [N[n], N[n + 1]).
NODE_SIZES = (8 * K, 2 * K, 4 * K, 4 * K, 2 * K, 2 * K, 8 * K, 2 * K)
N = tuple(accumulate(NODE_SIZES, initial=B))
#: Half of node 4 from its start, and half of it from a quarter on.
HALF, MIDDLE = (N[4], 1 * K), (N[4] + 512, 1 * K)
#: Around a border: half of it in either node. From node 2 to node 5.
AROUND_3, AROUND_6 = (N[3] - 256, N[3] + 256), (N[6] - 256, N[6] + 256)
NODES_2_5 = (N[2], N[6])
TOP_DOWN, BOTTOM_UP = False, True

Range = tuple[int, int]


class Row(NamedTuple):
    """A check by its name: `reserved` (base, size) and `request`, then `expect` is in use.

    None: the request is refused. What a request's numbers mean, its table says.
    """

    name: str
    reserved: list[Range]
    request: tuple[int, ...]
    expect: list[Range] | None


def checks_of(file: str) -> list[str]:
    """The names of all check functions in a file of the kernel's tests."""
    listed = (Path(__file__).parent / "data/memblock_checks.txt").read_text().splitlines()
    return [line.split()[1] for line in listed if line.split()[0] == file]


def directions(name: str) -> tuple[bool, ...]:
    """In which a check is run: its name says one, or it is generic."""
    if "top_down" in name:
        return (TOP_DOWN,)
    return (BOTTOM_UP,) if "bottom_up" in name else (TOP_DOWN, BOTTOM_UP)


def legs(runs: dict[str, tuple[str, ...]], rows: list[Row]) -> list[tuple[str, Row, bool]]:
    """Each check that runs others: its name, what it runs, in which direction."""
    by_name = {row.name: row for row in rows}
    return [
        (name, by_name[part], bottom_up)
        for name, parts in runs.items()
        for part in parts
        for bottom_up in directions(part)
    ]


def leg_id(value: object) -> str:
    if isinstance(value, bool):
        return "bottom_up" if value else "top_down"
    return value.name if isinstance(value, Row) else str(value)


def plain(bottom_up: bool, movable_node: bool) -> Memblock:
    """One piece of RAM."""
    memblock = Memblock()
    memblock.bottom_up, memblock.movable_node = bottom_up, movable_node
    memblock_add(memblock, B, E - B)
    return memblock


def nodes(bottom_up: bool, movable_node: bool) -> Memblock:
    """Eight nodes; what can be pulled out is there only where that is not looked at."""
    memblock = Memblock()
    memblock.bottom_up, memblock.movable_node = bottom_up, movable_node
    flags = MEMBLOCK_NONE if movable_node else MEMBLOCK_HOTPLUG
    for nid, size in enumerate(NODE_SIZES):
        memblock_add_node(memblock, N[nid], size, nid, flags)
    return memblock


def ranges(type_: MemblockType) -> list[Range]:
    return [(region.base, region.size) for region in type_.regions]


def joined(parts: Iterable[Range]) -> list[Range]:
    """The ranges sorted, what touches made one; they must not overlap."""
    found: list[Range] = []
    for base, size in sorted(parts):
        if found and sum(found[-1]) >= base:
            assert sum(found[-1]) == base
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((base, size))
    return found


def holds(row: Row, memblock: Memblock, ask: Callable[..., int]) -> None:
    """Do what the row says, and look at what is in use, how much, and what was answered."""
    for base, size in row.reserved:
        memblock_reserve(memblock, base, size)
    memory, before = ranges(memblock.memory), ranges(memblock.reserved)
    found = ask(memblock, *row.request)
    after = ranges(memblock.reserved)
    if row.expect is None:
        assert (found, after) == (0, before)
    else:
        assert after == row.expect == joined([*row.reserved, (found, row.request[0])])
    assert memblock.reserved.total_size == sum(size for _, size in after)
    assert ranges(memblock.memory) == memory
    assert not memblock.log

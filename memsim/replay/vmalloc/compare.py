"""vmalloc's last state against the recorded one: each set of areas, in order."""

from __future__ import annotations

from typing import Any

from memsim.mm.restore import Field
from memsim.mm.vmalloc.snapshot import vmalloc_lists
from memsim.mm.vmalloc.state import VmallocState
from memsim.replay.pages.compare import Tally

SETS = ("busy", "free", "lazy", "pool")


def compare_vmalloc(state: VmallocState, end: Field) -> dict[str, Tally]:
    """Areas by what they are, each compared with the one that the recording has in its place."""
    got = vmalloc_lists(state)
    tallies = {name: Tally() for name in SETS}
    _compare(tallies["free"], "free", _areas(end["free"].value), _areas(got["free"]))
    nodes = end["nodes"].items(len(state.vmap_nodes), len(state.vmap_nodes))
    for number, (node, own) in enumerate(zip(nodes, got["nodes"], strict=True)):
        for name in ("busy", "lazy"):
            where = f"vmap_nodes[{number}].{name}"
            _compare(tallies[name], where, _areas(node[name].value), _areas(own[name]))
        pools = node["pool"].value if isinstance(node["pool"].value, dict) else {}
        for key in sorted(pools.keys() | own["pool"].keys(), key=str):
            where = f"vmap_nodes[{number}].pool[{key}]"
            pair = _areas(pools.get(key, [])), _areas(own["pool"].get(key, []))
            _compare(tallies["pool"], where, *pair)
    return tallies


def _areas(told: Any) -> list[str]:
    """Each area as one text."""
    return [str(area) for area in told] if isinstance(told, list) else [str(told)]


def _compare(tally: Tally, where: str, expected: list[str], got: list[str]) -> None:
    length = max(len(expected), len(got))
    for i in range(length):
        pair = (areas[i] if i < len(areas) else "none" for areas in (expected, got))
        tally.add(f"{where}[{i}]", *pair)

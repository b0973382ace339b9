"""Zone gauges: free pages against the watermarks, and what each zone keeps from requests above it.

zones.js draws them, and makes the same text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memsim.mm.snapshot import Snapshot
from memsim.views.scene import WATERMARKS, Scene

TITLE = "Zones, free pages against watermarks"
_FREE, _BOOST = "NR_FREE_PAGES", "watermark_boost"


def zone_gauges(
    snapshot: Snapshot, scene: Scene, index: Callable[[tuple[int, int, str]], int]
) -> list[dict[str, Any]]:
    """A gauge for each populated zone; `index` says which of the player's numbers a field is."""
    return [
        {
            "label": scene.names.zone(zone_id),
            "free": index((zone_id, -1, _FREE)),
            "marks": [[name, index((zone_id, -1, name))] for name in WATERMARKS],
            "boost": index((zone_id, -1, _BOOST)),
            "managed": _zone(snapshot, scene, zone_id)["managed_pages"],
            "reserve": reserves(snapshot, scene, zone_id),
        }
        for zone_id in scene.names.zones
    ]


def _zone(snapshot: Snapshot, scene: Scene, zone_id: int) -> Snapshot:
    zones: list[Snapshot] = snapshot["nodes"][scene.names.zones[zone_id].nid]["zones"]
    return zones[zone_id % len(zones)]


def reserves(snapshot: Snapshot, scene: Scene, zone_id: int) -> list[list[Any]]:
    """[zone type, pages kept from requests that may go so high]; those with a reserve only."""
    zones = snapshot["nodes"][scene.names.zones[zone_id].nid]["zones"]
    kept = _zone(snapshot, scene, zone_id)["lowmem_reserve"]
    return [[zone["name"], pages] for zone, pages in zip(zones, kept, strict=False) if pages]


def standing(free: int, marks: list[tuple[str, int]]) -> str:
    """Where free pages stand: a watermark that is reached refuses, as it does when passed."""
    for name, mark in marks:
        if free <= mark:
            return f"not above {name}"
    return f"above {marks[-1][0]}"


def zone_lines(snapshot: Snapshot, scene: Scene) -> list[str]:
    """A line for each zone, and one for its lowmem_reserve if it has any."""
    lines = []
    for zone_id in scene.names.zones:
        free, boost, *marks = (
            scene.fields[zone_id, -1, name] for name in (_FREE, _BOOST, *WATERMARKS)
        )
        boosted = [(n, m + boost) for n, m in zip(WATERMARKS, marks, strict=True)]
        told = ", ".join(f"{name} {mark}" for name, mark in zip(WATERMARKS, marks, strict=True))
        more = f", watermark_boost {boost}" if boost else ""
        where = standing(free, boosted[:-1])
        lines.append(f"{scene.names.zone(zone_id)}: {free} free, {where}; {told}{more}")
        kept = reserves(snapshot, scene, zone_id)
        if kept:
            each = ", ".join(f"{name} {pages}" for name, pages in kept)
            lines.append(f"  lowmem_reserve, above the mark, by highest zone: {each}")
    return lines

"""Tunables that nobody copied, from the watermarks that they made."""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT, mult_frac
from memsim.proc.zoneinfo import ZoneinfoZone

DEFAULT_SCALE_FACTOR = 10
_MAX_SCALE_FACTOR = 3000
#: Zones whose min does not come from min_free_kbytes. Kernel: __setup_per_zone_wmarks()
_NO_RESERVE = ("HighMem", "Movable")


def watermarks(zone: ZoneinfoZone) -> dict[str, int]:
    """min, low, high and promo without the boost. A kernel that tells no promo has it as far on."""
    pages, boost = zone.pages, zone.pages.get("boost", 0)
    marks = {name: max(0, pages[name] - boost) for name in ("min", "low", "high")}
    promo = pages.get("promo", 2 * pages["high"] - pages["low"])
    return marks | {"promo": max(0, promo - boost)}


def min_free_kbytes(zones: list[ZoneinfoZone]) -> int:
    """The least value that gives every zone its min; the kernel's own may be up to 3 KiB more."""
    lowmem = [(watermarks(z)["min"], z.pages["managed"]) for z in zones if _counts(z)]
    total = sum(managed for _, managed in lowmem)
    least = sum(share for share, _ in lowmem)
    for pages_min in range(least, least + len(lowmem) + 1):
        if all(share == pages_min * managed // max(total, 1) for share, managed in lowmem):
            return pages_min << (PAGE_SHIFT - 10)
    return least << (PAGE_SHIFT - 10)


def watermark_scale_factor(zones: list[ZoneinfoZone]) -> int:
    """The default if it gives every zone its distance from min to low, else the least that does."""
    largest = max(zones, key=lambda zone: zone.pages["managed"])
    managed = max(largest.pages["managed"], 1)
    least = -(-_gap(largest) * 10000 // managed)
    for factor in (DEFAULT_SCALE_FACTOR, min(least, _MAX_SCALE_FACTOR)):
        if all(_gap(zone) == _gap_by(zone, factor) for zone in zones if _counts(zone)):
            return factor
    return DEFAULT_SCALE_FACTOR


def _counts(zone: ZoneinfoZone) -> bool:
    return zone.zone not in _NO_RESERVE


def _gap(zone: ZoneinfoZone) -> int:
    return zone.pages["low"] - min(zone.pages["min"], zone.pages["low"])


def _gap_by(zone: ZoneinfoZone, factor: int) -> int:
    by_size = mult_frac(zone.pages["managed"], factor, 10000)
    return max(watermarks(zone)["min"] >> 2, by_size)

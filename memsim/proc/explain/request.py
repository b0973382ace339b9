"""What was asked, in words."""

from __future__ import annotations

from memsim.proc.explain.finding import Finding, size_of
from memsim.proc.explain.zones import arch_of_zones
from memsim.proc.failure import FailureReport
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_FS,
    __GFP_HIGH,
    __GFP_IO,
    __GFP_NOFAIL,
    __GFP_NORETRY,
    __GFP_RETRY_MAYFAIL,
    gfp_zone,
    show_gfp_flags,
)
from memsim.words.mmzone import PAGE_ALLOC_COSTLY_ORDER


def request_finding(report: FailureReport) -> Finding:
    """About the first line: how much, with which rights, from which zones."""
    zones = report.mem.zones if report.mem is not None else []
    page_kb = zones[0].block_kb if zones else 4
    arch = arch_of_zones(zones)
    highest = gfp_zone(report.gfp_mask, arch)
    reach = (
        f"zones up to {arch.zone_names[highest]}" if highest >= 0 else "no zone: a forbidden mix"
    )
    if report.order < 0:
        return Finding(report.line, "request", "sysrq-f asked for a kill; nobody asked for memory.")
    words = [
        f"{report.comm} asked for {size_of(1 << report.order, page_kb)} in one block "
        f"(order {report.order}) with {show_gfp_flags(report.gfp_mask)}: {reach}",
        *_rights(report),
    ]
    return Finding(report.line, "request", "; ".join(words) + ".")


def _rights(report: FailureReport) -> list[str]:
    """What the mask and the order let the kernel do for the request."""
    mask = report.gfp_mask
    words = []
    if not mask & __GFP_DIRECT_RECLAIM:
        words.append("it may not sleep, so it neither reclaims nor compacts: only what is free now")
    elif not mask & __GFP_IO:
        words.append("it may reclaim, but start no I/O (no swap, no writeback)")
    elif not mask & __GFP_FS:
        words.append(
            "it may reclaim, but not call into filesystems, and the OOM killer is not used"
        )
    else:
        words.append("it may sleep, reclaim, compact")
    if mask & __GFP_HIGH:
        words.append("__GFP_HIGH lets it go below min")
    if mask & __GFP_NORETRY:
        words.append("__GFP_NORETRY: one try, failure is expected by the caller")
    if mask & __GFP_RETRY_MAYFAIL:
        words.append("__GFP_RETRY_MAYFAIL: it is retried, but nobody is killed for it")
    if mask & __GFP_NOFAIL:
        words.append("__GFP_NOFAIL: it may never fail")
    if report.order > PAGE_ALLOC_COSTLY_ORDER:
        words.append(
            "an order above 3 is costly: not retried for long, and nobody is killed for it"
        )
    return words

"""Where the memory of a report is: what its counters add up to, and what they leave out."""

from __future__ import annotations

from typing import NamedTuple

from memsim.mm.mem_info import MemInfo
from memsim.proc.explain.finding import Finding, size_of
from memsim.proc.failure import FailureReport


class Share(NamedTuple):
    """A use of memory, in pages."""

    what: str
    pages: int


def managed_pages(mem: MemInfo) -> int:
    """Pages that the page allocator has."""
    if "ram" in mem.last:
        return mem.last["ram"] - mem.last.get("reserved", 0)
    return sum(zone.counters.get("managed", 0) // zone.block_kb for zone in mem.zones)


def shares(mem: MemInfo) -> list[Share]:
    """Uses of memory, the largest first; the last of all is what no counter tells of."""
    totals = mem.totals

    def sum_of(*names: str) -> int:
        return sum(totals.get(name, 0) for name in names)

    page_kb = mem.zones[0].block_kb if mem.zones else 4
    stack = sum(node.counters.get("kernel_stack", 0) for node in mem.nodes) // page_kb
    told = [
        Share("anonymous and shared memory", sum_of("active_anon", "inactive_anon",
                                                    "isolated_anon")),
        Share("page cache", sum_of("active_file", "inactive_file", "isolated_file")),
        Share("unevictable", sum_of("unevictable")),
        Share("slab that can be reclaimed", sum_of("slab_reclaimable")),
        Share("slab that cannot be reclaimed", sum_of("slab_unreclaimable")),
        Share("page tables", sum_of("pagetables", "sec_pagetables")),
        Share("kernel stacks", stack),
        Share("huge pages", sum(huge.total * huge.size // page_kb for huge in mem.hugepages)),
        Share("free", sum_of("free", "free_pcp")),
    ]  # fmt: skip
    rest = max(managed_pages(mem) - sum(share.pages for share in told), 0)
    told.sort(key=lambda share: share.pages, reverse=True)
    return [*told, Share("no counter tells of", rest)]


def share_of(mem: MemInfo, what: str) -> float:
    """The part of managed memory that this use has, 0 to 1."""
    pages = next((share.pages for share in shares(mem) if share.what == what), 0)
    return pages / max(managed_pages(mem), 1)


def memory_findings(report: FailureReport) -> list[Finding]:
    """About the totals, the nodes and swap."""
    mem = report.mem
    if mem is None or not mem.totals:
        return []
    return [
        Finding(report.lines.get("totals", 0), "memory", _shares_said(mem)),
        *(
            Finding(
                report.lines.get(f"node {node.nid}", 0),
                f"node {node.nid}",
                "kswapd has given up on this node: sixteen rounds without a page reclaimed.",
            )
            for node in mem.nodes
            if node.all_unreclaimable
        ),
        *_swap(report, mem),
    ]


def _shares_said(mem: MemInfo) -> str:
    page_kb = mem.zones[0].block_kb if mem.zones else 4
    managed = max(managed_pages(mem), 1)
    words = [
        f"{share.what} {size_of(share.pages, page_kb)}, {share.pages * 100 // managed} %"
        for share in shares(mem)
        if share.pages * 100 >= managed
    ]
    return f"of {size_of(managed, page_kb)}: {'; '.join(words)}."


def _swap(report: FailureReport, mem: MemInfo) -> list[Finding]:
    if "total_swap" not in mem.last:
        return []
    total, free = mem.last["total_swap"], mem.last.get("free_swap", 0)
    says = "there is no swap: anonymous memory cannot be reclaimed."
    if total:
        says = f"swap: {free} of {total} kB free" + ("." if free else ": it is full.")
    return [Finding(report.lines.get("total_swap", 0), "swap", says)]

"""What can be done: each remedy is there for what the report shows, and says what it does.

The names of sysctls and files are the kernel's. What helps is not what is free of cost: each says
its price where it has one.
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.proc.explain.finding import size_of
from memsim.proc.explain.memory import managed_pages, share_of
from memsim.proc.explain.zones import ORDER, RESERVE, TOO_HIGH, Verdict
from memsim.proc.failure import FailureReport
from memsim.words.arch import X86_64
from memsim.words.gfp import __GFP_DIRECT_RECLAIM, __GFP_FS, __GFP_NORETRY, gfp_zone
from memsim.words.mmzone import PAGE_ALLOC_COSTLY_ORDER
from memsim.words.oom import OOM_SCORE_ADJ_MIN


class Remedy(NamedTuple):
    """What to do, and what it does."""

    do: str
    why: str


#: A use of memory is worth a remedy from this share of it on.
_MUCH = 0.15

MIN_FREE = Remedy(
    "sysctl vm.min_free_kbytes (double it)",
    "more is kept for those who may not wait, and kswapd starts earlier; that much less for others",
)
SCALE_FACTOR = Remedy(
    "sysctl vm.watermark_scale_factor (10 is 0.1 % of memory; try 100)",
    "low and high move up, so kswapd wakes earlier and frees more before a request fails",
)
LOWMEM_RESERVE = Remedy(
    "sysctl vm.lowmem_reserve_ratio (a larger number reserves less)",
    "a zone with free pages refused, to keep them for those who can use no other; devices with "
    "short addresses may then find none",
)

READ_AGAIN = Remedy(
    "read the log again (dmesg, journalctl -k), from the report's first line to its last",
    "who refused is told by lines that are not whole here",
)


def remedies_for(report: FailureReport, problem: str, verdicts: list[Verdict]) -> list[Remedy]:
    """In the order in which to try them."""
    if problem == "killed before":
        return [Remedy("read the kill above, not this failure", "its task was dying already")]
    if problem == "memcg":
        return [*_memcg(report), *_who_dies(report)]
    if problem == "limit":
        return [*_limit(report), *_who_dies(report)]
    if problem == "damaged":
        remedies = [READ_AGAIN]
    else:
        remedies = _order(report) if problem == ORDER else _amount(report, verdicts)
    if report.is_oom:
        remedies += _who_dies(report)
    return remedies


def _order(report: FailureReport) -> list[Remedy]:
    """There is enough, in pieces too small."""
    found = [
        Remedy(
            "kvmalloc() in place of kmalloc(), or vmalloc(), where the memory need not be "
            "contiguous for a device",
            "single pages are enough for it",
        )
    ]
    if report.gfp_mask & __GFP_DIRECT_RECLAIM:
        found.append(
            Remedy(
                "echo 1 > /proc/sys/vm/compact_memory (once, to see whether it helps)",
                "moves movable pages together; what is unmovable stays where it is",
            )
        )
        found.append(
            Remedy("sysctl vm.compaction_proactiveness (20; up to 100)",
                   "kcompactd works before somebody asks, for CPU time")
        )  # fmt: skip
    else:
        found.append(
            Remedy(
                "ask where the caller may sleep (GFP_KERNEL), or keep a mempool filled there",
                "a request that may not sleep cannot compact: it takes what lies there",
            )
        )
        found.append(MIN_FREE)
    if report.order > PAGE_ALLOC_COSTLY_ORDER:
        found.append(
            Remedy(
                "take it once at boot, from a CMA area (cma=) or as huge pages (hugepages=)",
                "large blocks are there at boot, and seldom later",
            )
        )
        if not report.gfp_mask & __GFP_NORETRY:
            found.append(
                Remedy("try with __GFP_NORETRY | __GFP_NOWARN first, then a smaller order",
                       "a costly order may fail: a caller with a fallback need not report it")
            )  # fmt: skip
    return found


def _amount(report: FailureReport, verdicts: list[Verdict]) -> list[Remedy]:
    """There is too little."""
    found = _reach(report, verdicts)
    if report.gfp_mask & __GFP_DIRECT_RECLAIM:
        found += _uses(report)
    else:
        found += [MIN_FREE, SCALE_FACTOR, *_fallback(report)]
    if any(verdict.answer == RESERVE for verdict in verdicts):
        found.append(LOWMEM_RESERVE)
    return found


def _reach(report: FailureReport, verdicts: list[Verdict]) -> list[Remedy]:
    """The mask keeps it from zones that have enough."""
    higher = [verdict for verdict in verdicts if verdict.answer == TOO_HIGH]
    if not any(verdict.usable > verdict.min for verdict in higher):
        return []
    zone = X86_64.zone_names[max(gfp_zone(report.gfp_mask), 0)]
    return [
        Remedy(
            f"a wider DMA mask in the driver, if the device can address more than {zone}",
            f"higher zones have free pages; this request may use none above {zone}",
        )
    ]


def _fallback(report: FailureReport) -> list[Remedy]:
    return [
        Remedy(
            "let the caller retry later, with __GFP_NOWARN",
            "a request that may not sleep must be ready to fail",
        )
    ]


def _uses(report: FailureReport) -> list[Remedy]:
    """By what memory is used for."""
    mem = report.mem
    if mem is None or not mem.totals or not managed_pages(mem):
        return []
    found = []
    if share_of(mem, "anonymous and shared memory") >= _MUCH and not mem.last.get("free_swap", 0):
        what = "more swap" if mem.last.get("total_swap", 0) else "swap, on disk or zram"
        found.append(Remedy(what, "anonymous memory can go there; it is used only once it is full"))
    if mem.totals.get("shmem", 0) >= _MUCH * managed_pages(mem):
        found.append(Remedy("look at tmpfs mounts and shared memory (df -t tmpfs; ipcs -m)",
                            "files there are memory; size= bounds a mount"))  # fmt: skip
    if share_of(mem, "slab that cannot be reclaimed") >= _MUCH:
        found.append(Remedy("slabtop; kmemleak; a report's Unreclaimable slab info",
                            "a cache that only grows is a leak in the kernel"))  # fmt: skip
    if share_of(mem, "page tables") >= _MUCH:
        found.append(Remedy("huge pages for what many processes map",
                            "page tables alone take a large part of memory"))  # fmt: skip
    if share_of(mem, "unevictable") >= _MUCH:
        found.append(Remedy("look for mlock() (VmLck in /proc/PID/status; ulimit -l)",
                            "locked pages are never reclaimed"))  # fmt: skip
    if share_of(mem, "huge pages") >= _MUCH:
        found.append(Remedy("fewer huge pages (vm.nr_hugepages)",
                            "they are taken from all else, used or not"))  # fmt: skip
    if share_of(mem, "no counter tells of") >= _MUCH:
        found.append(Remedy("/proc/vmallocinfo and /proc/meminfo's Percpu; drivers, trace buffers, "
                            "balloons", "these pages are in no counter of a report"))  # fmt: skip
    return found


def _memcg(report: FailureReport) -> list[Remedy]:
    path = report.memcg_path or (report.chosen.oom_memcg if report.chosen else "") or "the group"
    return [
        Remedy(f"raise memory.max of {path}, or let it use less", "the group was at its limit"),
        Remedy("set memory.high below memory.max",
               "the group is slowed down and reclaimed from before anybody is killed"),
        Remedy("memory.oom.group=1 where its processes need each other",
               "all of them are killed together, and none is left half working"),
    ]  # fmt: skip


def _limit(report: FailureReport) -> list[Remedy]:
    return [
        Remedy(
            "more nodes for the cpuset (cpuset.mems) or the policy (numactl --membind)",
            "the request could use these nodes alone",
        ),
        Remedy("numactl --preferred in place of --membind", "others help out when these are full"),
    ]


def _who_dies(report: FailureReport) -> list[Remedy]:
    """Who is killed next time."""
    found = [
        Remedy(
            "choose the victim: /proc/PID/oom_score_adj, or OOMScoreAdjust= of systemd",
            "-1000 is never killed, 1000 first; each step weighs a thousandth of memory and swap",
        )
    ]
    found += _spared(report)
    if not report.gfp_mask & __GFP_FS:
        found.append(Remedy("a limit for the group (memory.max)", "the kill comes where it grows"))
    return found


def _spared(report: FailureReport) -> list[Remedy]:
    """Who may not be killed, and has at least half of what the largest process has."""
    spared = [row for row in report.tasks if row.oom_score_adj == OOM_SCORE_ADJ_MIN]
    most = max(spared, key=lambda row: row.rss, default=None)
    largest = max((row.rss for row in report.tasks), default=0)
    if most is None or most.rss < largest / 2:
        return []
    has = f"has {size_of(most.rss)}, which no kill can free"
    if most.rss == largest:
        has = "is the largest, and others die for it"
    return [Remedy("look at whom oom_score_adj -1000 protects", f"{most.name} ({most.pid}) {has}")]

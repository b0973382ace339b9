"""Reports in a log: of the OOM killer, and of page requests and vmalloc() that failed.

A log may have anything between the lines of a report; what is no line of one is passed over. A
line that begins as one and does not go on so is refused, with its number.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from memsim.mm.mem_info import LAST_LINES, HugePages, MemInfo, NodeMem, ZoneMem
from memsim.mm.oom_kill.lines import Chosen, Killed, MemcgUse, Reaped, TaskRow
from memsim.proc import failure_forms as forms
from memsim.proc.failure import OOM, FailureReport, SlabRow
from memsim.proc.text import MAX_NODE, MAX_NUMBER, Line
from memsim.words.errors import BadInput
from memsim.words.gfp import parse_gfp_flags
from memsim.words.mmzone import MAX_PAGE_ORDER

#: Lines that are longer are nobody's.
_MAX_LINE = 4096
#: Orders that a report may tell of: arm64 with pages of 64 KiB has 14.
_MAX_ORDERS = 16
_MAX_TASKS = 100_000
_MAX_REPORTS = 1000
_HOW = "paste the report as `dmesg` prints it, from its first line to its last"

_LAST_KEYS = {(before, behind): key for key, before, behind in LAST_LINES}


def parse_reports(text: str, name: str = "log") -> list[FailureReport]:
    """The reports of a log, in its order. BadInput names line and field."""
    reader = _Reader()
    for number, whole in enumerate(text.split("\n"), 1):
        if len(whole) <= _MAX_LINE:
            reader.read(Line(name, number, _bare(whole)))
    if not reader.reports:
        raise BadInput(
            f"{name}: no line has 'invoked oom-killer' or 'page allocation failure': {_HOW}"
        )
    return reader.reports


def _bare(line: str) -> str:
    """The line without what the log put in front of it."""
    prefix = forms.PREFIX.match(line)
    return line[prefix.end() if prefix else 0 :].rstrip()


class _Reader:
    """The reports so far; lines belong to the last of them."""

    def __init__(self) -> None:
        self.reports: list[FailureReport] = []
        #: The columns of the table of tasks that is read, behind pid.
        self.columns: list[str] = []
        self.is_memcg_stat = False
        self.zones: dict[tuple[int, str], ZoneMem] = {}

    def read(self, line: Line) -> None:
        """One more line of the log."""
        if self._begins(line) or not self.reports:
            return
        report = self.reports[-1]
        for pattern, take in _TAKERS:
            if found := pattern.match(line.text):
                take(self, report, found, line)
                return

    def _begins(self, line: Line) -> bool:
        """A report's first line."""
        invoked = forms.INVOKED.match(line.text)
        found = invoked or forms.FAILED.match(line.text)
        if found is None:
            if "invoked oom-killer:" in line.text or "page allocation failure:" in line.text:
                raise line.bad(f"not as the kernel prints it, or cut off; {_HOW}")
            return False
        self.reports.append(_invoked(found, line) if invoked else _failed(found, line))
        if len(self.reports) > _MAX_REPORTS:
            raise line.bad(f"more than {_MAX_REPORTS} reports: cut the log into parts")
        self.columns, self.is_memcg_stat, self.zones = [], False, {}
        return True


def _invoked(found: re.Match[str], line: Line) -> FailureReport:
    mask, told = _mask(found, line)
    return FailureReport(
        OOM, found["comm"], _order(int(found["order"]), line, -1), mask, told, line.number,
        oom_score_adj=int(found["adj"]), nodemask=found["nodemask"] or "(null)",
    )  # fmt: skip


def _failed(found: re.Match[str], line: Line) -> FailureReport:
    mask, told = _mask(found, line)
    order = forms.ORDER.search(found["what"])
    return FailureReport(
        found["what"], found["comm"], _order(int(order[1]) if order else 0, line, 0), mask, told,
        line.number, nodemask=found["nodemask"] or "(null)", cpuset=found["cpuset"] or "",
        mems_allowed=found["mems"] or "",
    )  # fmt: skip


def _order(order: int, line: Line, least: int) -> int:
    if not least <= order < _MAX_ORDERS:
        raise line.bad(f"order: {order} is not from {least} to {_MAX_ORDERS - 1}; {_HOW}")
    return order


def _mask(found: re.Match[str], line: Line) -> tuple[int, int]:
    """(mask by names, mask as a number): bits have moved from version to version."""
    told = int(found["mask"], 16)
    if not found["names"]:
        return told, told
    try:
        return parse_gfp_flags(found["names"]), told
    except ValueError as error:
        raise line.bad(f"gfp_mask: {error}; {_HOW}") from None


def _mem(report: FailureReport, line: Line) -> MemInfo:
    if report.mem is None:
        report.mem = MemInfo()
    report.lines["mem"] = line.number
    return report.mem


def _pid(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    if report.pid is None:
        report.pid = int(found[1])


def _totals(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    if report.mem is not None and not report.mem.nodes:
        report.mem.totals |= _counters(found[0], line)
        report.lines.setdefault("totals", line.number)


def _mem_begins(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    _mem(report, line)


def _counters(text: str, line: Line) -> dict[str, int]:
    """`name:123kB name:4kB` as numbers."""
    counters = {}
    for word in text.split():
        found = forms.COUNTER.fullmatch(word)
        if found is None:
            raise line.bad(f"'{word[:40]}' is not NAME:NUMBERkB; {_HOW}")
        counters[found[1]] = line.integer(found[2], found[1])
    return counters


def _node(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    nid = line.integer(found[1], "node", MAX_NODE)
    _mem(report, line).nodes.append(NodeMem(nid, _counters(found[2], line), found[3] == "yes"))
    report.lines[f"node {nid}"] = line.number


def _zone(reader: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    node = line.integer(found[1] or "0", "node", MAX_NODE)
    # kernels before 4.8 end a zone's line so
    counters = _counters(found[3].partition(" all_unreclaimable?")[0], line)
    for name in ("free", "min", "low", "high"):
        if name not in counters:
            raise line.bad(f"no {name}: in it; {_HOW}")
    reader.zones[node, found[2]] = zone = ZoneMem(node, found[2], counters)
    _mem(report, line).zones.append(zone)
    report.lines[f"zone {node} {found[2]}"] = line.number


def _reserve(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    zones = _mem(report, line).zones
    if not zones:
        raise line.bad(f"lowmem_reserve[] of which zone? {_HOW}")
    zones[-1].lowmem_reserve = [int(word) for word in found[1].split()]


def _blocks(reader: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    node = line.integer(found[1] or "0", "node", MAX_NODE)
    zone = reader.zones.get((node, found[2]))
    if zone is None:
        raise line.bad(f"free blocks of a zone without a line 'free:'; {_HOW}")
    blocks = list(forms.BLOCK.finditer(found[3]))
    if not 1 <= len(blocks) <= _MAX_ORDERS:
        raise line.bad(f"{len(blocks)} orders: should be {MAX_PAGE_ORDER + 1}; {_HOW}")
    zone.nr_free = [line.integer(block[1], "blocks", MAX_NUMBER) for block in blocks]
    zone.types = [block[3] or "" for block in blocks]
    zone.block_kb = max(int(blocks[0][2]), 1)
    zone.free_kb = line.integer(found[4], "kB")
    report.lines[f"blocks {node} {zone.name}"] = report.lines["mem"] = line.number


def _huge(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    _mem(report, line).hugepages.append(HugePages(*map(int, found.groups())))


def _last(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    key = _LAST_KEYS.get((found["before"], found["behind"]))
    if key is not None:
        _mem(report, line).last[key] = int(found["number"])
        report.lines.setdefault(key, line.number)


def _memcg(reader: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    usage, limit, failcnt = int(found[2]), int(found[3]), int(found[4])
    if found[1] == "memory":
        report.memcg = MemcgUse(usage, limit, failcnt)
        report.lines["memcg"] = line.number
    elif report.memcg is not None:
        if found[1] == "memory+swap":  # cgroup v1 counts both together
            usage, limit = max(usage - report.memcg.usage, 0), max(limit - report.memcg.limit, 0)
        report.memcg = report.memcg._replace(
            swap_usage=usage, swap_limit=limit, swap_failcnt=failcnt
        )


def _memcg_stats(reader: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    report.memcg_path = found[1]
    reader.is_memcg_stat = True


def _memcg_stat(reader: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    if reader.is_memcg_stat and len(report.memcg_stat) < 1000:
        report.memcg_stat.append((found[1], int(found[2])))


def _slab(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    report.slabs.append(SlabRow(found[1], int(found[2]), int(found[3])))
    report.lines.setdefault("slabs", line.number)


def _tasks(reader: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    reader.columns = found[1].split()
    reader.is_memcg_stat = False
    report.lines["tasks"] = line.number


def _task(reader: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    if not reader.columns:
        return
    numbers = [int(word) for word in found[2].split()]
    if len(numbers) != len(reader.columns):
        raise line.bad(f"{len(numbers)} numbers for {len(reader.columns)} columns; {_HOW}")
    told = dict(zip(reader.columns, numbers, strict=True))
    if len(report.tasks) >= _MAX_TASKS:
        raise line.bad(f"more than {_MAX_TASKS} tasks")
    # tables of page tables were counted, and not their bytes, before 4.15
    pgtables = told.get("pgtables_bytes", told.get("nr_ptes", 0) << 12)
    report.tasks.append(
        TaskRow(
            int(found[1]),
            told["uid"],
            told["tgid"],
            told.get("total_vm", 0),
            told.get("rss", 0),
            told.get("rss_anon", 0),
            told.get("rss_file", 0),
            told.get("rss_shmem", 0),
            pgtables,
            told.get("swapents", 0),
            told.get("oom_score_adj", 0),
            found[3],
        )
    )


def _chosen(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    constraint, nodemask, cpuset, mems, oom_memcg, task_memcg, task, pid, uid = found.groups()
    report.chosen = Chosen(
        constraint, nodemask, cpuset, mems, oom_memcg or "", task_memcg, task, int(pid), int(uid)
    )
    report.lines["chosen"] = line.number


def _killed(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    told = {key: value or "0" for key, value in found.groupdict().items()}
    message, comm = found["message"] or "", told["comm"]
    sizes = [int(told[key]) for key in Killed._fields[3:]]
    report.killed.append(Killed(message, int(told["pid"]), comm, *sizes))
    report.lines.setdefault("killed", line.number)


def _reaped(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    pid, comm, *sizes = found.groups()
    report.reaped.append(Reaped(int(pid), comm, *map(int, sizes)))
    report.lines.setdefault("reaped", line.number)


def _panic(_: _Reader, report: FailureReport, found: re.Match[str], line: Line) -> None:
    report.panic = found[1]
    report.lines["panic"] = line.number


_Take = Callable[[_Reader, FailureReport, re.Match[str], Line], None]

#: In this order: a zone's line begins like a node's, and a memcg's statistics like little else.
_TAKERS: tuple[tuple[re.Pattern[str], _Take], ...] = (
    (forms.PID, _pid),
    (re.compile("Mem-Info:"), _mem_begins),
    (forms.TOTALS, _totals),
    (forms.NODE, _node),
    (forms.HUGE, _huge),
    (forms.ZONE, _zone),
    (forms.RESERVE, _reserve),
    (forms.BLOCKS, _blocks),
    (forms.LAST, _last),
    (forms.TASKS, _tasks),
    (forms.TASK, _task),
    (forms.CHOSEN, _chosen),
    (forms.KILLED, _killed),
    (forms.REAPED, _reaped),
    (forms.PANIC, _panic),
    (forms.MEMCG, _memcg),
    (forms.MEMCG_STATS, _memcg_stats),
    (forms.MEMCG_STAT, _memcg_stat),
    (forms.SLAB, _slab),
)

"""The OOM killer: recorded kills done again, and what no recording has, by the kernel's source."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import (
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_NOFS,
    Machine,
)
from memsim.mm.mem_info import ZONE_COUNTERS, MemInfo, unreclaimable_slab_is_most
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.badness import oom_badness
from memsim.mm.oom_kill.constraint import OomControl, constrained_alloc
from memsim.mm.oom_kill.exit import exit_mm, exit_process
from memsim.mm.oom_kill.out_of_memory import out_of_memory
from memsim.mm.oom_kill.reaper import oom_reaper, wake_oom_reaper
from memsim.mm.oom_kill.score_adj import set_oom_score_adj
from memsim.mm.oom_kill.select import select_bad_process
from memsim.mm.oom_kill.task import Mm, Task, TaskPolicy, add_process, add_thread
from memsim.mm.show_mem import mem_info
from memsim.proc.failure import FailureReport, add_tasks, points, write_report
from memsim.proc.failure_parse import _bare, parse_reports
from memsim.replay.outcome import _addresses, _restore, _vmemmap_base
from memsim.replay.rows.capture import Capture
from memsim.replay.rows.fates import settle_frees
from memsim.replay.rows.rows_of import rows_of_capture
from memsim.replay.run import Replay
from memsim.trace.events import TP_KERNEL_EVENTS
from memsim.trace.text import event_text
from memsim.words.gfp import __GFP_HARDWALL, __GFP_THISNODE
from memsim.words.mempolicy import MPOL_BIND
from memsim.words.mmzone import NULL
from memsim.words.oom import (
    CONSTRAINT_CPUSET,
    CONSTRAINT_MEMCG,
    CONSTRAINT_MEMORY_POLICY,
    CONSTRAINT_NONE,
    LONG_MIN,
    MMF_OOM_SKIP,
    PF_EXITING,
    PF_KTHREAD,
)

DATA = Path(__file__).parent / "data"
#: The log of the recorded machine `highatomic`: three kills, and a failure of who was killed first.
DMESG = lzma.decompress((DATA / "oom" / "highatomic_dmesg.txt.xz").read_bytes()).decode()
REPORTS = parse_reports(DMESG, "dmesg")
KILLS = [report for report in REPORTS if report.is_oom]
#: What its trace says of them.
MARK_VICTIM = (
    "pid=177 comm=wl total-vm=820420kB anon-rss=425032kB file-rss:0kB shmem-rss:136kB uid=0 "
    "pgtables=876kB oom_score_adj=1000",
    "pid=179 comm=wl total-vm=820420kB anon-rss=416840kB file-rss:0kB shmem-rss:136kB uid=0 "
    "pgtables=860kB oom_score_adj=1000",
    "pid=181 comm=wl total-vm=820420kB anon-rss=411848kB file-rss:0kB shmem-rss:136kB uid=0 "
    "pgtables=848kB oom_score_adj=1000",
)
#: Counters that are not the page allocator's.
OTHERS = {
    "active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable", "writepending",
    "mlocked", "bounce",
}  # fmt: skip


# Recorded


def test_the_recording_has_three_kills_and_a_failure() -> None:
    assert [report.what for report in REPORTS] == [
        "oom", "page allocation failure: order:0", "oom", "oom",
    ]  # fmt: skip


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: f"line {report.line}")
def test_a_recorded_report_is_written_again_byte_for_byte_but_for_its_stack(
    report: FailureReport,
) -> None:
    ends = [later.line - 1 for later in REPORTS if later.line > report.line]
    recorded = [_bare(line) for line in DMESG.split("\n")[report.line - 1 : min([*ends, 10**6])]]
    stack = slice(1, recorded.index("Mem-Info:"))
    assert recorded[stack][-1] == " </TASK>"
    del recorded[stack]
    assert write_report(report) == [line for line in recorded if line]


def machine_of(report: FailureReport) -> Machine:
    """One with as much memory, which is what oom_score_adj is weighed by, and the same tasks."""
    machine = Machine("1 GiB")
    zone = next(zone for zone in machine.vm.zones if zone.name == "DMA32")
    assert report.mem is not None
    managed = report.mem.last["ram"] - report.mem.last["reserved"]
    zone.managed_pages += managed - sum(zone.managed_pages for zone in machine.vm.zones)
    give_tasks(machine.vm, report)
    return machine


def give_tasks(vm: Vm, report: FailureReport) -> None:
    """The report's tasks, its victim running: in these recordings it is who asked."""
    assert report.chosen is not None
    tasks = add_tasks(vm.oom, report)
    vm.oom.current = next(task for task in tasks if task.pid == report.chosen.pid)


@pytest.mark.parametrize(("report", "event"), list(zip(KILLS, MARK_VICTIM, strict=True)))
def test_the_model_kills_whom_the_kernel_killed(report: FailureReport, event: str) -> None:
    machine = machine_of(report)
    vm = machine.vm
    oc = OomControl(report.told_mask, report.order, vm.nodes[0].node_zonelists[0])
    assert out_of_memory(vm, oc)
    wanted = write_report(report)
    assert vm.oom.log[0] == wanted[0]
    # the table, the sum, the kill
    tail = wanted.index("Tasks state (memory values in pages):") - len(wanted)
    assert vm.oom.log[tail:] == wanted[tail:]
    assert oc.totalpages == 151025
    traced = [event_text(traced.event) for traced in machine.events()]
    assert traced[-1:] == [f"mark_victim: {event}"]


@pytest.mark.parametrize("report", KILLS, ids=lambda report: f"line {report.line}")
def test_the_victim_is_first_by_points(report: FailureReport) -> None:
    scored = points(report)
    first = max(scored, key=lambda pair: pair[1])[0]
    assert report.chosen is not None
    assert (first.pid, first.name) == (report.chosen.pid, report.chosen.task)
    assert [score for row, score in scored if row.oom_score_adj == -1000] == [LONG_MIN]


class ReplayWithReports(Replay):
    """A replay that writes down what show_mem() would print when the kernel printed it."""

    times: list[float]
    infos: list[MemInfo]

    def _do(self, row: int) -> None:
        while self.times and self.rows.time[row] > self.times[0]:
            self.times.pop(0)
            self.infos.append(mem_info(self.vm, 3))
        super()._do(row)


def test_at_each_recorded_report_the_replayed_machine_has_the_zones_that_were_printed() -> None:
    capture = Capture(DATA / "captures" / "highatomic")
    vm = _restore(capture)
    rows = rows_of_capture(capture, _vmemmap_base(capture), None, slab=False)
    settle_frees(rows, vm.max_pfn)
    replay = ReplayWithReports(vm, rows, *_addresses(capture, vm), str(capture.trace))
    lines = DMESG.split("\n")
    replay.times = [float(lines[report.line - 1][1:13]) for report in REPORTS]
    replay.infos = []
    for _ in replay.run():
        pass
    assert len(replay.infos) == len(REPORTS) == 4
    for info, report in zip(replay.infos, REPORTS, strict=True):
        assert report.mem is not None
        for zone, told in zip(info.zones, report.mem.zones, strict=True):
            assert zone.free_blocks_line() == told.free_blocks_line()
            assert zone.lowmem_reserve == told.lowmem_reserve
            assert {name: zone.counters[name] for name in ZONE_COUNTERS if name not in OTHERS} == {
                name: told.counters[name] for name in ZONE_COUNTERS if name not in OTHERS
            }
        assert info.hugepages == report.mem.hugepages
        for name in ("ram", "highmem", "reserved", "hwpoisoned", "free_swap", "total_swap"):
            assert info.last[name] == report.mem.last[name]
        for name in ("free", "free_pcp", "free_cma"):
            assert info.totals[name] == report.mem.totals[name]


def test_a_report_of_the_model_has_the_lines_of_a_recorded_one() -> None:
    """The same lines, the same fields in each: only numbers are the model's own."""
    vm = machine_of(KILLS[0]).vm
    out_of_memory(vm, OomControl(KILLS[0].told_mask, 0, vm.nodes[0].node_zonelists[0]))
    shape = str.maketrans("", "", "0123456789")

    def shapes(lines: list[str]) -> list[str]:
        plain = [line.translate(shape).replace("? yes", "? no") for line in lines]
        return [line.partition("*")[0] if "*kB" in line else line for line in plain]

    assert shapes(vm.oom.log) == shapes(write_report(KILLS[0]))


# Points


def machine_with(*rss: int, adj: tuple[int, ...] = ()) -> tuple[Vm, list[Task]]:
    """A machine, and a process for each rss in pages; pids from 100 on."""
    vm = Machine("64 MiB").vm
    tasks = [
        add_process(vm.oom, 100 + i, f"p{i}", Mm(total_vm=pages, anonpages=pages))
        for i, pages in enumerate(rss)
    ]
    for task, score in zip(tasks, adj, strict=False):
        task.signal.oom_score_adj = score
    vm.oom.current = tasks[0]
    return vm, tasks


def oom(vm: Vm, gfp_mask: int = GFP_KERNEL, **options: object) -> OomControl:
    """The control of a request that found nothing, and out_of_memory() of it."""
    oc = OomControl(gfp_mask, 0, vm.nodes[0].node_zonelists[0], **options)  # type: ignore[arg-type]
    out_of_memory(vm, oc)
    return oc


def killed(vm: Vm) -> list[str]:
    return [line for line in vm.oom.log if "Killed process" in line]


def test_points_are_rss_swap_and_page_tables_and_a_thousandth_of_memory_for_each_adj() -> None:
    _, [task] = machine_with(0)
    task.mm = Mm(0, 100, 20, 3, swapents=7, pgtables_bytes=3 * 4096 + 4095)
    assert oom_badness(task, 10_999) == 100 + 20 + 3 + 7 + 3
    task.signal.oom_score_adj = -500
    assert oom_badness(task, 10_999) == 133 - 500 * 10
    assert oom_badness(task, 999) == 133


def test_who_may_not_be_killed_has_no_points() -> None:
    vm, tasks = machine_with(100, 100, 100, 100, 100)
    init = vm.oom.processes[0]
    tasks[0].signal.oom_score_adj = -1000
    tasks[1].flags |= PF_KTHREAD
    assert tasks[2].mm is not None
    tasks[2].mm.flags |= MMF_OOM_SKIP
    tasks[3].vfork_parent = add_process(vm.oom, 200, "parent", tasks[3].mm)
    tasks[4].mm = None
    for task in (init, *tasks):
        assert oom_badness(task, 1000) == LONG_MIN
    assert oom_badness(vm.oom.processes[-1], 1000) == 100


def test_of_two_with_as_many_points_the_later_one_dies() -> None:
    vm, _ = machine_with(500, 700, 700, 600)
    oc = oom(vm)
    assert oc.chosen is not None
    assert oc.chosen.pid == 102


def test_a_process_whose_leader_has_exited_is_its_first_thread_with_memory() -> None:
    vm, [leader, _] = machine_with(900, 100)
    thread = add_thread(leader, 150, "worker")
    exit_mm(vm, leader)
    vm.oom.current = vm.oom.processes[-1]
    oom(vm)
    assert [line.split(" total")[0] for line in killed(vm)] == [
        "Out of memory: Killed process 150 (worker)"
    ]
    assert any(line.startswith("[    150]     0   100 ") for line in vm.oom.log)
    assert thread.memdie
    assert leader.fatal_signal


SIZES = st.integers(0, 1 << 20)
TASKS = st.lists(
    st.tuples(SIZES, SIZES, st.integers(0, 1 << 24), st.integers(-1000, 1000), st.integers(0, 9)),
    max_size=12,
)


@given(TASKS)
def test_the_victim_has_most_points_of_all_who_may_be_killed(
    told: list[tuple[int, int, int, int, int]],
) -> None:
    vm = Machine("16 MiB", steps=False).vm
    for i, (anon, swap, tables, adj, kind) in enumerate(told):
        mm = None if kind == 9 else Mm(anon, anon, swapents=swap, pgtables_bytes=tables)
        flags = PF_KTHREAD if kind == 8 else 0
        add_process(vm.oom, 10 + i, "p", mm, oom_score_adj=adj, flags=flags)
    oc = OomControl(GFP_KERNEL, 0)
    oc.totalpages = 4096
    select_bad_process(vm, oc)
    scores = [oom_badness(task, 4096) for task in vm.oom.processes]
    eligible = [score for score in scores if score != LONG_MIN]
    if not eligible:
        assert oc.chosen is None
        return
    assert oc.chosen is not None
    assert oc.chosen_points == max(eligible) == oom_badness(oc.chosen, 4096)
    assert oc.chosen.signal.oom_score_adj != -1000
    last = max(i for i, score in enumerate(scores) if score == max(eligible))
    assert vm.oom.processes[last] is oc.chosen


@given(TASKS)
def test_kill_after_kill_everybody_dies_once_and_then_the_kernel_panics(
    told: list[tuple[int, int, int, int, int]],
) -> None:
    vm = Machine("16 MiB", steps=False).vm
    for i, (anon, swap, tables, adj, _) in enumerate(told):
        mm = Mm(anon, anon, swapents=swap, pgtables_bytes=tables)
        add_process(vm.oom, 10 + i, "p", mm, oom_score_adj=adj)
    may_die = {task.pid for task in vm.oom.processes if oom_badness(task, 1) != LONG_MIN}
    dead = set()
    while (oc := oom(vm)).chosen is not None:
        dead.add(oc.chosen.pid)
        exit_process(vm, oc.chosen)
    assert dead == may_die
    assert vm.oom.panic == "System is deadlocked on memory"
    assert vm.oom.oom_victims == 0


# Limits


def test_what_limited_the_request_says_who_is_looked_at_and_how_large_memory_was() -> None:
    vm = Machine(["64 MiB", "64 MiB"], cpus=2).vm
    zonelist = vm.nodes[0].node_zonelists[0]
    managed = sum(zone.managed_pages for zone in vm.zones)
    present = sum(zone.present_pages for zone in vm.nodes[1].node_zones)
    vm.oom.total_swap_pages = 50

    def limit(gfp_mask: int = GFP_KERNEL, nodemask: int = NULL) -> tuple[int, int]:
        oc = OomControl(gfp_mask, 0, zonelist, nodemask)
        return constrained_alloc(vm, oc), oc.totalpages

    assert limit() == (CONSTRAINT_NONE, managed + 50)
    assert limit(nodemask=0b11) == (CONSTRAINT_NONE, managed + 50)
    assert limit(nodemask=0b10) == (CONSTRAINT_MEMORY_POLICY, present + 50)
    assert limit(GFP_KERNEL | __GFP_THISNODE, 0b10) == (CONSTRAINT_NONE, managed + 50)
    vm.oom.current.mems_allowed = 0b10
    assert limit(GFP_KERNEL) == (CONSTRAINT_NONE, managed + 50)
    assert limit(GFP_KERNEL | __GFP_HARDWALL) == (CONSTRAINT_CPUSET, present + 50)


def test_a_policy_s_victim_is_one_that_may_have_memory_there() -> None:
    vm = Machine(["64 MiB", "64 MiB"], cpus=2).vm
    elsewhere = add_process(vm.oom, 100, "elsewhere", Mm(anonpages=900))
    elsewhere.mempolicy = TaskPolicy(MPOL_BIND, 0b01)
    anywhere = add_process(vm.oom, 101, "anywhere", Mm(anonpages=10))
    oc = OomControl(GFP_HIGHUSER_MOVABLE, 0, vm.nodes[1].node_zonelists[0], 0b10)
    out_of_memory(vm, oc)
    assert oc.chosen is anywhere
    assert vm.oom.log[-2] == (
        "oom-kill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=1,cpuset=/,mems_allowed=0-1,"
        "global_oom,task_memcg=/,task=anywhere,pid=101,uid=0"
    )
    # nodes that the policy leaves out are not shown
    assert [line for line in vm.oom.log if line.startswith("Node 0")] == []


def test_a_cpuset_s_victim_shares_a_node_with_who_asked() -> None:
    vm = Machine(["64 MiB", "64 MiB"], cpus=2).vm
    asking, other, near = (
        add_process(vm.oom, 100 + i, f"p{i}", Mm(anonpages=pages))
        for i, pages in enumerate((10, 900, 20))
    )
    asking.mems_allowed, other.mems_allowed, near.mems_allowed = 0b10, 0b01, 0b11
    asking.cpuset = "batch"
    vm.oom.current = asking
    oc = oom(vm, GFP_HIGHUSER_MOVABLE)
    assert (oc.constraint, oc.chosen) == (CONSTRAINT_CPUSET, near)
    assert "cpuset=batch,mems_allowed=1,global_oom" in vm.oom.log[-2]
    assert [line for line in vm.oom.log if line.endswith(" p1")] == []


def test_a_memcg_s_victim_is_of_the_group_and_its_report_has_no_zones() -> None:
    vm, [outside, first, second] = machine_with(9000, 500, 400)
    memcg = MemCgroup(2, "/app")
    memcg.memory.usage = memcg.memory.max = 1000
    memcg.memory.failcnt, memcg.kmem = 12, 3
    first.memcg = second.memcg = memcg
    vm.oom.current = second
    oc = OomControl(GFP_NOFS, 0, memcg=memcg)
    assert out_of_memory(vm, oc)
    assert (oc.constraint, oc.totalpages, oc.chosen) == (CONSTRAINT_MEMCG, 1000, first)
    assert vm.oom.log[1:7] == [
        "memory: usage 4000kB, limit 4000kB, failcnt 12",
        "swap: usage 0kB, limit 9007199254740988kB, failcnt 0",
        "Memory cgroup stats for /app:",
        "anon 0",
        "file 0",
        "kernel 12288",
    ]
    assert "oom_memcg=/app,task_memcg=/app,task=p1,pid=101" in vm.oom.log[-2]
    assert killed(vm)[0].startswith("Memory cgroup out of memory: Killed process 101 (p1)")
    assert not outside.fatal_signal
    assert "Mem-Info:" not in vm.oom.log


def test_a_memcg_without_a_victim_is_no_panic() -> None:
    vm, _ = machine_with(100)
    oc = OomControl(GFP_KERNEL, 0, memcg=MemCgroup(2, "/empty"))
    assert not out_of_memory(vm, oc)
    assert vm.oom.log[-1] == "Out of memory and no killable processes..."
    assert not vm.oom.panic


def test_memory_oom_group_takes_all_of_the_group_but_who_is_spared() -> None:
    vm, tasks = machine_with(100, 300, 200, 50, adj=(0, 0, 0, -1000))
    memcg = MemCgroup(2, "/app")
    memcg.oom_group = 1
    for task in tasks[1:]:
        task.memcg = memcg
    oom(vm)
    assert "Tasks in /app are going to be killed due to memory.oom.group set" in vm.oom.log
    # the victim is in the group, and so it is told twice
    assert [int(line.split()[5]) for line in killed(vm)] == [101, 101, 102]
    assert [task.fatal_signal for task in tasks] == [False, True, True, False]


# Who is not killed


def test_who_dies_already_is_only_let_to_the_reserves() -> None:
    vm, [task, other] = machine_with(10, 900)
    task.signal.group_exit = True
    assert out_of_memory(vm, OomControl(GFP_NOFS, 0))
    assert task.memdie
    assert not other.fatal_signal
    assert vm.oom.log == []
    assert vm.oom.waiting == [task]


def test_a_victim_that_exits_by_itself_is_not_reported() -> None:
    vm, [_, victim] = machine_with(10, 900)
    victim.flags |= PF_EXITING
    oc = oom(vm)
    assert (oc.chosen, victim.memdie, vm.oom.log) == (victim, True, [])


@pytest.mark.parametrize("dies", [True, False])
def test_who_shares_memory_has_to_die_too_before_that_is_so(dies: bool) -> None:
    vm, [_, victim] = machine_with(10, 900)
    other = add_process(vm.oom, 200, "sharer", victim.mm)
    victim.signal.group_exit, other.signal.group_exit = True, dies
    oom(vm)
    assert bool(vm.oom.log) is not dies


def test_while_a_victim_is_dying_nobody_else_is_killed() -> None:
    vm, [small, large] = machine_with(10, 900)
    oom(vm)
    assert large.memdie
    log = list(vm.oom.log)
    vm.oom.current = small
    oc = OomControl(GFP_KERNEL, 0)
    assert out_of_memory(vm, oc)
    assert (oc.aborted, oc.chosen, vm.oom.log) == (True, None, log)
    # what was reaped counts no more
    wake_oom_reaper(vm)
    oom_reaper(vm)
    assert oom(vm).chosen is small


def test_sysrq_kills_although_a_victim_is_dying() -> None:
    vm, [small, large] = machine_with(10, 900)
    oom(vm)
    vm.oom.current = vm.oom.processes[0]
    vm.oom.panic_on_oom = 2
    oc = OomControl(GFP_KERNEL, -1)
    assert out_of_memory(vm, oc)
    assert oc.chosen is large
    assert small.fatal_signal is False


def test_no_kill_without_gfp_fs_while_disabled_or_when_a_notifier_frees() -> None:
    vm, _ = machine_with(10, 900)
    assert out_of_memory(vm, OomControl(GFP_NOFS, 0))
    vm.oom.notifier_freed = 3
    assert out_of_memory(vm, OomControl(GFP_KERNEL, 0))
    vm.oom.oom_killer_disabled = True
    assert not out_of_memory(vm, OomControl(GFP_KERNEL, 0))
    assert vm.oom.log == []
    vm.oom.oom_killer_disabled = False
    assert out_of_memory(vm, OomControl(GFP_KERNEL, 0))
    assert len(killed(vm)) == 1


# sysctls


def test_oom_kill_allocating_task_kills_who_asked_unless_it_is_spared() -> None:
    vm, [asking, large] = machine_with(10, 900)
    vm.oom.oom_kill_allocating_task = 1
    assert oom(vm).chosen is asking
    assert killed(vm)[0].startswith(
        "Out of memory (oom_kill_allocating_task): Killed process 100 (p0)"
    )
    vm, [asking, large] = machine_with(10, 900, adj=(-1000, 0))
    vm.oom.oom_kill_allocating_task = 1
    assert oom(vm).chosen is large


@pytest.mark.parametrize(
    ("sysctl", "nodemask", "panic"),
    [
        (1, NULL, "Out of memory: system-wide panic_on_oom is enabled"),
        (1, 0b10, ""),
        (2, 0b10, "Out of memory: compulsory panic_on_oom is enabled"),
    ],
)
def test_panic_on_oom(sysctl: int, nodemask: int, panic: str) -> None:
    vm = Machine(["64 MiB", "64 MiB"], cpus=2).vm
    add_process(vm.oom, 100, "p", Mm(anonpages=1))
    vm.oom.panic_on_oom = sysctl
    oom(vm, nodemask=nodemask)
    assert vm.oom.panic == panic
    assert (vm.oom.log[-1] == f"Kernel panic - not syncing: {panic}") is bool(panic)


def test_oom_dump_tasks_leaves_the_table_out() -> None:
    vm, _ = machine_with(10, 900)
    vm.oom.oom_dump_tasks = 0
    oom(vm)
    assert "Tasks state (memory values in pages):" not in vm.oom.log
    assert len(killed(vm)) == 1


def test_who_asked_to_be_first_is() -> None:
    vm, [small, _] = machine_with(10, 900)
    small.signal.oom_flag_origin = True
    vm.oom.current = vm.oom.processes[-1]
    assert oom(vm).chosen is small


# Those who share the victim's memory


def test_who_shares_the_victim_s_memory_is_killed_without_reserves() -> None:
    vm, [_, victim] = machine_with(10, 900)
    sharer = add_process(vm.oom, 200, "sharer", victim.mm, oom_score_adj=-1000)
    thread = add_thread(sharer, 201, "sharer2")
    kthread = add_process(vm.oom, 202, "vhost", victim.mm, flags=PF_KTHREAD)
    vm.oom.processes[1:] = [sharer, kthread, *(p for p in vm.oom.processes[1:] if p.pid < 200)]
    oom(vm)
    assert [task.fatal_signal for task in (victim, sharer, thread, kthread)] == [
        True, True, True, False,
    ]  # fmt: skip
    assert [task.memdie for task in (victim, sharer, kthread)] == [True, False, False]
    assert vm.oom.waiting == [victim]


def test_memory_that_init_shares_is_not_reaped() -> None:
    vm, [_, victim] = machine_with(10, 900)
    init = vm.oom.processes[0]
    init.mm = victim.mm
    oom(vm)
    assert vm.oom.log[-1] == "oom killer 101 (p1) has mm pinned by 1 (init)"
    assert victim.mm is not None
    assert victim.mm.flags & MMF_OOM_SKIP
    assert (vm.oom.waiting, init.fatal_signal) == ([], False)


# The reaper


def reaped(vm: Vm) -> list[str]:
    wake_oom_reaper(vm)
    oom_reaper(vm)
    return [line for line in vm.oom.log if line.startswith("oom_reaper")]


def test_the_reaper_takes_what_is_private_and_gives_its_pages_back() -> None:
    machine = Machine("64 MiB")
    vm = machine.vm
    pages = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE) for _ in range(64)]
    mm = Mm(900, 64, 30, 5, 7, 8192, shared_filepages=10, pages=pages)
    victim = add_process(vm.oom, 100, "p", mm)
    vm.trace.mask |= TP_KERNEL_EVENTS
    oom(vm)
    seen = vm.trace.ring.written
    assert reaped(vm) == [
        "oom_reaper: reaped process 100 (p), now anon-rss:0kB, file-rss:40kB, shmem-rss:20kB"
    ]
    assert (mm.swapents, mm.pgtables_bytes) == (0, 8192)
    names = [event_text(traced.event) for traced in machine.events(seen)]
    own = [name for name in names if "reap" in name]
    assert own == [
        "wake_reaper: pid=100", "start_task_reaping: pid=100", "finish_task_reaping: pid=100",
    ]  # fmt: skip
    assert sum(name.startswith("mm_page_free:") for name in names) == 64
    machine.drain_all_pages()
    machine.validate()
    assert oom_badness(victim, 1000) == LONG_MIN


def test_the_reaper_gives_up_after_ten_attempts() -> None:
    machine = Machine("64 MiB")
    vm = machine.vm
    mm = Mm(anonpages=9, mmap_locked=True)
    add_process(vm.oom, 100, "p", mm)
    vm.trace.mask |= TP_KERNEL_EVENTS
    oom(vm)
    assert reaped(vm) == ["oom_reaper: unable to reap pid:100 (p)"]
    names = [event_text(traced.event) for traced in machine.events()]
    assert names.count("skip_task_reaping: pid=100") == 10
    assert (mm.anonpages, mm.flags & MMF_OOM_SKIP) == (9, MMF_OOM_SKIP)


def test_a_victim_that_is_gone_in_two_seconds_needs_no_reaper() -> None:
    vm, [_, victim] = machine_with(10, 900)
    oom(vm)
    assert vm.oom.oom_victims == 1
    exit_process(vm, victim)
    assert vm.oom.oom_victims == 0
    assert reaped(vm) == []
    assert vm.oom.reaper_list == []


def test_the_reaper_takes_who_came_last_first() -> None:
    vm, [first, second] = machine_with(900, 800)
    oom(vm)
    assert first.mm is not None
    first.mm.flags |= MMF_OOM_SKIP
    oom(vm)
    first.mm.flags &= ~MMF_OOM_SKIP
    wake_oom_reaper(vm)
    wake_oom_reaper(vm)
    assert vm.oom.reaper_list == [second, first]


# oom_score_adj


def test_oom_score_adj_goes_to_all_who_share_the_memory_but_over_vfork() -> None:
    machine = Machine("64 MiB")
    vm = machine.vm
    task = add_process(vm.oom, 100, "wl", Mm(anonpages=1))
    child = add_process(vm.oom, 101, "child", task.mm, vfork_parent=task)
    vm.trace.mask |= TP_KERNEL_EVENTS
    assert set_oom_score_adj(vm, child, 300) == 0
    assert (task.signal.oom_score_adj, child.signal.oom_score_adj) == (0, 300)
    sharer = add_process(vm.oom, 102, "sharer", task.mm)
    assert set_oom_score_adj(vm, task, 1000) == 0
    assert (sharer.signal.oom_score_adj, child.signal.oom_score_adj) == (1000, 300)
    assert set_oom_score_adj(vm, child, 5) == 0
    assert (task.signal.oom_score_adj, sharer.signal.oom_score_adj) == (1000, 1000)
    assert set_oom_score_adj(vm, task, 1001) == -22
    assert [event_text(traced.event) for traced in machine.events()] == [
        "oom_score_adj_update: pid=101 comm=child oom_score_adj=300",
        "oom_score_adj_update: pid=100 comm=wl oom_score_adj=1000",
        "oom_score_adj_update: pid=101 comm=child oom_score_adj=5",
    ]


def test_slab_is_told_of_when_it_has_more_than_all_lists() -> None:
    assert not unreclaimable_slab_is_most(MemInfo({"slab_unreclaimable": 5, "active_anon": 5}))
    assert unreclaimable_slab_is_most(MemInfo({"slab_unreclaimable": 6, "active_anon": 5}))


# Rare turns


def test_without_swappiness_a_memcg_s_limit_is_memory_alone() -> None:
    vm = Machine("16 MiB", reclaim=True).vm
    vm.oom.total_swap_pages = 500
    memcg = MemCgroup(2, "/app")
    memcg.memory.max, memcg.swap.max = 400, 300
    for swappiness, total in ((60, 700), (0, 400)):
        vm.folios.swappiness = swappiness
        oc = OomControl(GFP_KERNEL, 0, memcg=memcg)
        assert constrained_alloc(vm, oc) == CONSTRAINT_MEMCG
        assert oc.totalpages == total


def test_a_member_of_the_group_without_memory_is_said_to_be_exiting() -> None:
    vm, [_, victim, member] = machine_with(10, 900, 20)
    victim.memcg = member.memcg = MemCgroup(2, "/app")
    victim.memcg.oom_group = 1
    exit_mm(vm, member)
    oom(vm)
    assert vm.oom.log[-1] == (
        "Out of memory: OOM victim 102 (p2) is already exiting. Skip killing the task"
    )


def test_who_dumps_core_is_not_taken_to_free_its_memory_soon() -> None:
    vm, [asking, large] = machine_with(10, 900)
    asking.signal.group_exit = asking.signal.core_state = True
    oom(vm)
    assert large.fatal_signal
    assert not asking.memdie


def test_what_was_given_back_before_the_reaper_came_is_skipped() -> None:
    machine = Machine("64 MiB")
    vm = machine.vm
    victim = add_process(vm.oom, 100, "p", Mm(anonpages=9))
    vm.trace.mask |= TP_KERNEL_EVENTS
    oom(vm)
    wake_oom_reaper(vm)
    assert victim.mm is not None
    victim.mm.flags |= MMF_OOM_SKIP
    seen = vm.trace.ring.written
    oom_reaper(vm)
    names = [event_text(traced.event) for traced in machine.events(seen)]
    assert names == ["skip_task_reaping: pid=100"]


def test_a_second_thread_that_dies_has_the_same_oom_mm_and_is_queued_once() -> None:
    vm, [leader] = machine_with(900)
    thread = add_thread(leader, 150, "worker")
    oom(vm)
    vm.oom.current = thread
    assert out_of_memory(vm, OomControl(GFP_NOFS, 0))
    assert (leader.memdie, thread.memdie, vm.oom.oom_victims) == (True, True, 2)
    assert vm.oom.waiting == [leader]


def test_oom_score_adj_of_a_process_without_memory_is_kept() -> None:
    vm, [task] = machine_with(10)
    exit_mm(vm, task)
    exit_mm(vm, task)
    assert set_oom_score_adj(vm, task, 5) == 0
    assert task.signal.oom_score_adj == 5

"""Memory cgroups, worked by hand from the kernel's source: figures say from which function."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
from folio_states import state_of

from memsim import BadRequest, Machine, PageAllocationFailure
from memsim.machine.cgroup import Cgroup, Process
from memsim.machine.pages import NO_ROOM, Pages
from memsim.mm.folio import folio_memcg, folio_nr_pages
from memsim.mm.memcontrol.charge import try_charge_memcg
from memsim.mm.memcontrol.high import calculate_high_delay, calculate_overage, reclaim_high
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.memcontrol.swap import mem_cgroup_swap_full
from memsim.mm.oom_kill.lines import MemcgUse
from memsim.mm.page_counter import (
    PageCounter,
    page_counter_memparse,
    page_counter_try_charge,
    page_counter_uncharge,
)
from memsim.mm.pressure import Pressure
from memsim.mm.swapfile import folio_alloc_swap
from memsim.mm.validate import broken_invariants
from memsim.mm.vmscan.balance import unprotected
from memsim.mm.vmscan.memcg_iter import mem_cgroup_iter
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.mm.workingset import unpack_shadow
from memsim.proc.cgroup import read_cgroup_file
from memsim.proc.failure import write_report
from memsim.proc.failure_parse import parse_reports
from memsim.trace.text import event_text
from memsim.words.errno import EINVAL, ENOMEM
from memsim.words.gfp import (
    __GFP_NOFAIL,
    __GFP_NORETRY,
    __GFP_RETRY_MAYFAIL,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_KERNEL_ACCOUNT,
    GFP_NOWAIT,
)
from memsim.words.memcontrol import MEMCG_EVENTS
from memsim.words.oom import PAGE_COUNTER_MAX
from memsim.words.page_flags import NR_ANON_MAPPED
from memsim.words.task import PF_MEMALLOC


def small(**how: int | str) -> Machine:
    """A machine with much more memory than any group may have."""
    return Machine("32 MiB", reclaim=True, **how)  # type: ignore[arg-type]


def group_of(machine: Machine, pages: int, **limits: int | str) -> tuple[Cgroup, MemCgroup]:
    """A cgroup with a limit of so many pages."""
    cgroup = machine.cgroup("web", max=pages * 4096, **limits)  # type: ignore[arg-type]
    return cgroup, machine.memcg(cgroup)


def somebody(machine: Machine, cgroup: Cgroup, comm: str = "nginx") -> tuple[Process, Pages]:
    """A process with a region of 4 MiB."""
    process = machine.process(comm, cgroup)
    with machine.running(process):
        return process, machine.mmap(f"{comm}'s heap", "4 MiB")


def touch(machine: Machine, region: Pages, pages: int, start: int = 0) -> None:
    """Each page from start on, once."""
    for index in range(start, start + pages):
        machine.touch(region, index)


def read(machine: Machine, process: Process, file: Pages, pages: int) -> None:
    """The first pages of a file, once."""
    with machine.running(process):
        for index in range(pages):
            machine.read(file, index)


def events(memcg: MemCgroup) -> dict[str, int]:
    """Those that happened."""
    named = zip(MEMCG_EVENTS, memcg.events, strict=True)
    return {name: number for name, number in named if number}


def charged(machine: Machine, memcg: MemCgroup) -> int:
    """Pages whose memcg_data names the group."""
    vm = machine.vm
    folios = [pfn for pfn in range(vm.max_pfn) if folio_memcg(vm, pfn) is memcg]
    return sum(folio_nr_pages(vm, folio) for folio in folios)


def stock(machine: Machine, cpu: int = 0) -> tuple[int, int]:
    """(whose, pages) that a CPU has in stock."""
    kept = machine.vm.folios.memcgs.stock[cpu]
    return kept.cached, kept.nr_pages


# page_counter


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("max", PAGE_COUNTER_MAX), ("64M", 16384), ("64m", 16384), ("1G", 262144), ("0", 0),
        ("4095", 0), ("4096", 1), ("8191", 1), ("5K", 1), ("0x10k", 4), ("010k", 2), ("k", 0),
        ("", 0), ("1e", 1 << 48),
        # 16 << 60 has no bit left of 64; the largest number there is more than a counter holds
        ("16E", 0), ("18446744073709551615", PAGE_COUNTER_MAX), ("18446744073709551616", 0),
        ("64 M", -EINVAL), ("64MiB", -EINVAL), ("-1", -EINVAL), ("lots", -EINVAL),
        ("0x", -EINVAL), ("1.5G", -EINVAL), ("Max", -EINVAL), ("64Mk", -EINVAL), ("09", -EINVAL),
    ],
)  # fmt: skip
def test_limits_are_read_as_memparse_reads_them_and_rounded_down(text: str, pages: int) -> None:
    # lib/cmdline.c memparse(), mm/page_counter.c page_counter_memparse()
    assert page_counter_memparse(text) == pages


def test_a_counter_refuses_what_does_not_fit_and_counts_it() -> None:
    # mm/page_counter.c page_counter_try_charge(): new > c->max fails, so the limit itself fits
    vm, counter = small().vm, PageCounter(2, "memory")
    counter.max = 10
    outcomes = [page_counter_try_charge(vm, counter, nr) for nr in (6, 5, 4, 1)]
    assert outcomes == [True, False, True, False]
    assert (counter.usage, counter.watermark, counter.failcnt) == (10, 10, 2)
    page_counter_uncharge(vm, counter, 7)
    assert (counter.usage, counter.watermark) == (3, 10)


# Stock


def test_a_batch_is_charged_at_once_and_given_away_page_by_page() -> None:
    # try_charge_memcg(): batch = max(MEMCG_CHARGE_BATCH, 1) = 64, of which 63 go into stock
    machine = small(cpus=2)
    cgroup, memcg = group_of(machine, 1000)
    _, region = somebody(machine, cgroup)
    machine.touch(region, 0)
    assert (memcg.memory.usage, stock(machine)) == (64, (memcg.id, 63))
    touch(machine, region, 63, 1)
    assert (memcg.memory.usage, stock(machine)) == (64, (memcg.id, 0))
    machine.touch(region, 64)
    assert (memcg.memory.usage, stock(machine)) == (128, (memcg.id, 63))
    machine.touch(region, 65, cpu=1)
    assert (memcg.memory.usage, stock(machine, 1)) == (192, (memcg.id, 63))
    assert charged(machine, memcg) == 66


def test_a_stock_is_of_one_group_and_is_given_back_for_another_s() -> None:
    # __refill_stock(): READ_ONCE(stock->cached) != memcg drains it
    machine = small()
    first = machine.memcg(machine.cgroup("first"))
    cgroup, memcg = group_of(machine, 1000)
    _, region = somebody(machine, Cgroup(first.id, "first"))
    _, other = somebody(machine, cgroup, "other")
    machine.touch(region, 0)
    machine.touch(other, 0)
    assert (first.memory.usage, memcg.memory.usage, stock(machine)) == (1, 64, (memcg.id, 63))


def test_freed_pages_are_uncharged_and_not_kept_in_stock() -> None:
    # uncharge_batch() goes to the counter; folios in a CPU's batch are still held by it
    machine = small()
    cgroup, memcg = group_of(machine, 1000)
    _, region = somebody(machine, cgroup)
    touch(machine, region, 64)
    machine.lru_add_drain_all()
    for index in range(10):
        machine.drop(region, index)
    assert (memcg.memory.usage, stock(machine)) == (54, (memcg.id, 0))


def test_near_the_limit_each_page_is_charged_alone_and_other_cpus_give_back_what_they_have() -> (
    None
):
    # max 100: CPU 1 takes a batch of 64 for one page. CPU 0's 64 do not fit into the 36 left: it
    # charges those one by one, and then drain_all_stock() gets the 63 that CPU 1 has left
    machine = small(cpus=2)
    cgroup, memcg = group_of(machine, 100)
    _, region = somebody(machine, cgroup)
    machine.touch(region, 0, cpu=1)
    touch(machine, region, 36, 1)
    assert (memcg.memory.usage, memcg.memory.failcnt, stock(machine, 1)[1]) == (100, 36, 63)
    assert events(memcg) == {}
    machine.touch(region, 37)
    assert (memcg.memory.usage, stock(machine, 1)) == (38, (0, 0))
    assert events(memcg) == {"max": 1}


# What is refused


def full(**how: int | str) -> tuple[Machine, MemCgroup, Pages]:
    """A group of 100 pages with 100 pages that nobody can take back: there is no swap."""
    machine = small(**how)
    cgroup, memcg = group_of(machine, 100)
    _, region = somebody(machine, cgroup)
    touch(machine, region, 100)
    return machine, memcg, region


@pytest.mark.parametrize(
    ("gfp_mask", "nr_pages", "ret", "usage", "seen"),
    [
        # nomem at once: gfpflags_allow_blocking()
        (GFP_NOWAIT, 1, -ENOMEM, 100, {}),
        # forced: "these go through as privileged allocations", and the event is raised there
        (GFP_ATOMIC, 1, 0, 101, {"max": 1}),
        # the first round drains, the second gives up
        (GFP_KERNEL | __GFP_NORETRY, 1, -ENOMEM, 100, {"max": 2}),
        # one round that drains, 16 with nr_retries, and the one that gives up
        (GFP_KERNEL | __GFP_RETRY_MAYFAIL, 1, -ENOMEM, 100, {"max": 18}),
        # get_order(16 pages) = 4 is above PAGE_ALLOC_COSTLY_ORDER: nobody is killed
        (GFP_KERNEL, 16, -ENOMEM, 100, {"max": 18}),
    ],
)
def test_a_charge_that_does_not_fit(
    gfp_mask: int, nr_pages: int, ret: int, usage: int, seen: dict[str, int]
) -> None:
    machine, memcg, _ = full()
    before = state_of(machine)
    assert try_charge_memcg(machine.vm, memcg, gfp_mask, nr_pages) == ret
    assert (memcg.memory.usage, events(memcg)) == (usage, seen)
    after = state_of(machine)
    for what in ("words", "lists", "mappings", "swap", "stock", "tasks", "log"):
        assert after[what] == before[what]


def test_who_reclaims_is_charged_beyond_the_limit() -> None:
    # PF_MEMALLOC: goto force
    machine, memcg, _ = full()
    machine.vm.current.flags |= PF_MEMALLOC
    assert try_charge_memcg(machine.vm, memcg, GFP_KERNEL, 1) == 0
    assert (memcg.memory.usage, events(memcg)) == (101, {"max": 1})


def test_what_must_not_fail_is_charged_once_nobody_is_left_to_kill() -> None:
    machine, memcg, _ = full()
    machine.vm.oom.processes[1].signal.oom_score_adj = -1000
    assert try_charge_memcg(machine.vm, memcg, GFP_KERNEL | __GFP_NOFAIL, 1) == 0
    assert (memcg.memory.usage, events(memcg)) == (101, {"max": 18, "oom": 1})
    assert machine.vm.oom.log[-1] == "Out of memory and no killable processes..."


# Reclaim


def test_a_group_reclaims_its_own_page_cache_at_its_limit() -> None:
    # 93 of 100 folios are on the list, 7 in the batch of 31. Scans are size >> priority: 93 >> 6 =
    # 1, which drains the batch; then 99 >> 5 = 3, 96 >> 4 = 6, 90 >> 3 = 11, 79 >> 2 = 19: 40 >= 32
    machine = small()
    cgroup, memcg = group_of(machine, 100)
    process, _ = somebody(machine, cgroup)
    file = machine.open("data", "4 MiB")
    read(machine, process, file, 100)
    assert events(memcg) == {}
    with machine.running(process):
        machine.read(file, 100)
    assert (memcg.memory.usage, events(memcg)) == (61, {"max": 1})
    stat = dict(read_rows(machine, cgroup))
    assert (stat["pgscan"], stat["pgscan_direct"], stat["pgsteal"]) == ("40", "40", "40")
    assert (stat["file"], stat["inactive_file"]) == (str(61 * 4096), str(60 * 4096))
    texts = [event_text(traced.event) for traced in machine.events()]
    own = [text for text in texts if "memcg_reclaim" in text]
    assert own == [
        "mm_vmscan_memcg_reclaim_begin: order=0 gfp_flags=GFP_HIGHUSER_MOVABLE",
        "mm_vmscan_memcg_reclaim_end: nr_reclaimed=40",
    ]


def test_others_are_left_alone_while_a_group_reclaims() -> None:
    machine = small()
    cgroup, memcg = group_of(machine, 100)
    process, _ = somebody(machine, cgroup)
    other, whose = machine.open("other", "1 MiB"), machine.open("whose", "2 MiB")
    for index in range(200):
        machine.read(other, index)
    read(machine, process, whose, 400)
    assert machine.vm.folios.mappings[other.id].nrpages == 200
    assert machine.vm.folios.mappings[whose.id].nrpages <= 100 >= memcg.memory.usage
    assert "oom" not in events(memcg)


def test_a_page_is_its_first_reader_s() -> None:
    machine = small()
    cgroup, memcg = group_of(machine, 100)
    process, _ = somebody(machine, cgroup)
    file = machine.open("data", "1 MiB")
    machine.read(file, 0)
    read(machine, process, file, 3)
    assert charged(machine, memcg) == 2


def test_a_shadow_names_the_group_whose_limit_evicted_it() -> None:
    # workingset_eviction(): the target's lruvec, and mem_cgroup_id() of its memcg
    machine = small()
    cgroup, memcg = group_of(machine, 100)
    process, _ = somebody(machine, cgroup)
    file = machine.open("data", "1 MiB")
    read(machine, process, file, 101)
    shadows = [e for e in machine.vm.folios.mappings[file.id].i_pages.values() if e < -1]
    assert len(shadows) == 40
    assert {unpack_shadow(shadow)[:2] for shadow in shadows} == {(memcg.id, 0)}
    # workingset_age_nonresident() goes up to the root
    lruvec, root = memcg.nodeinfo[0], machine.vm.nodes[0].lruvec
    assert lruvec.nonresident_age == root.nonresident_age == 40


@pytest.mark.parametrize(
    ("size", "usage", "min", "low", "again", "scan"),
    [
        # get_scan_count(): size - size * protection / (cgroup_size + 1), at least 32
        (1000, 1000, 0, 0, False, 1000), (1000, 1000, 500, 0, False, 501),
        (1000, 1000, 0, 500, False, 501), (1000, 1000, 200, 500, False, 501),
        (1000, 1000, 200, 500, True, 801), (1000, 400, 0, 2000, False, 32),
        (10, 1000, 1, 0, False, 32),
    ],
)  # fmt: skip
def test_protected_memory_is_scanned_less(
    size: int, usage: int, min: int, low: int, again: bool, scan: int
) -> None:
    memcg = MemCgroup(2, "/web")
    memcg.memory.usage, memcg.memory.min, memcg.memory.low = usage, min, low
    sc = ScanControl(32, GFP_KERNEL, 3, 0)
    sc.memcg_low_reclaim = again
    assert unprotected(size, memcg, sc) == scan
    assert sc.memcg_low_skipped == (low > min and not again)
    # mem_cgroup_protection(): none from the group's own limit
    assert unprotected(size, memcg, ScanControl(32, 0, 3, 0, target_mem_cgroup=memcg)) == size


def test_a_partial_walk_goes_on_behind_where_the_last_one_broke_off() -> None:
    # mem_cgroup_iter(): position is the last that was given out; at the end it is NULL
    machine = small()
    a, b = (machine.memcg(machine.cgroup(name)) for name in "ab")
    sc = ScanControl(32, GFP_KERNEL, 3, 0)

    def walk(stop: int, partial: bool = True) -> list[MemCgroup | None]:
        seen = []
        for memcg in mem_cgroup_iter(machine.vm, sc, 0, partial):
            seen.append(memcg)
            if len(seen) == stop:
                break
        return seen

    assert walk(9, partial=False) == [None, a, b]
    assert [walk(2), walk(9), walk(3), walk(9)] == [[None, a], [b], [None, a, b], [None, a, b]]
    assert list(
        mem_cgroup_iter(machine.vm, ScanControl(1, 0, 3, 0, target_mem_cgroup=a), 0, True)
    ) == [a]


@pytest.mark.parametrize(("file", "kept"), [("memory.min", True), ("memory.low", True)])
def test_when_memory_is_short_protected_groups_are_passed_over(file: str, kept: bool) -> None:
    # shrink_node_memcgs(): mem_cgroup_below_min(), mem_cgroup_below_low()
    machine = Machine("16 MiB", reclaim=True, min_free_kbytes=256)
    cgroup, memcg = group_of(machine, 2000)
    machine.cgroup_write(cgroup, file, "4M")
    process, _ = somebody(machine, cgroup)
    own, other = machine.open("own", "2 MiB"), machine.open("other", "24 MiB")
    read(machine, process, own, 512)
    for index in range(6000):
        machine.read(other, index)
    assert (machine.vm.folios.mappings[own.id].nrpages == 512) == kept
    assert events(memcg) == {}


def test_memory_low_gives_way_where_nothing_else_is_left() -> None:
    # do_try_to_free_pages(): memcg_low_skipped, then again with memcg_low_reclaim; MEMCG_LOW counts
    machine = Machine("16 MiB", reclaim=True, min_free_kbytes=256)
    cgroup, memcg = group_of(machine, 2000, low="16M")
    process, _ = somebody(machine, cgroup)
    own = machine.open("own", "4 MiB")
    read(machine, process, own, 1000)
    with contextlib.suppress(PageAllocationFailure):
        while True:
            machine.alloc_pages(GFP_KERNEL)
    assert machine.vm.folios.mappings[own.id].nrpages < 1000
    assert events(memcg)["low"] > 0


# memory.max below what is used


def test_a_limit_below_use_reclaims_at_once() -> None:
    # memory_max_write(): reclaims nr_pages - max, at least SWAP_CLUSTER_MAX
    machine = small()
    cgroup, memcg = group_of(machine, 1000)
    process, _ = somebody(machine, cgroup)
    read(machine, process, machine.open("data", "4 MiB"), 600)
    machine.cgroup_write(cgroup, "memory.max", "200K")
    assert memcg.memory.usage <= 50 == memcg.memory.max
    assert (events(memcg), machine.vm.oom.log) == ({}, [])


def test_a_limit_below_what_cannot_go_kills_one_after_the_other_until_it_fits() -> None:
    machine = small()
    cgroup, memcg = group_of(machine, 1000)
    for comm, pages in (("little", 40), ("much", 300), ("most", 500)):
        _, region = somebody(machine, cgroup, comm)
        touch(machine, region, pages)
    machine.lru_add_drain_all()
    machine.cgroup_write(cgroup, "memory.max", "400K")
    # 500, then 300 go; 40 fit below 100
    assert [task.comm for task in machine.vm.oom.processes] == ["init", "little"]
    assert memcg.memory.usage == 40
    assert events(memcg) == {"oom": 2, "oom_kill": 2}


def test_a_limit_below_what_nobody_can_be_killed_for_stays_exceeded() -> None:
    machine = small()
    cgroup, memcg = group_of(machine, 1000)
    _, region = somebody(machine, cgroup)
    machine.vm.oom.processes[1].signal.oom_score_adj = -1000
    touch(machine, region, 300)
    machine.cgroup_write(cgroup, "memory.max", 0)
    assert (memcg.memory.usage, memcg.memory.max) == (300, 0)
    assert events(memcg) == {"oom": 1}
    assert machine.vm.oom.log[-1] == "Out of memory and no killable processes..."


def test_limits_round_down_to_pages() -> None:
    machine = small()
    cgroup = machine.cgroup("web", max=10000, high="4095", low="8191", min="4096")
    files = ("memory.max", "memory.high", "memory.low", "memory.min", "memory.swap.max")
    texts = [read_cgroup_file(machine, cgroup, file) for file in files]
    assert texts == ["8192\n", "0\n", "4096\n", "4096\n", "max\n"]


# The kill


#: Format strings of 6.12: mm/oom_kill.c dump_header(), dump_task(), dump_oom_victim(),
#: __oom_kill_process(), and mm/memcontrol.c mem_cgroup_print_oom_meminfo(), _print_oom_context().
INVOKED = "%s invoked oom-killer: gfp_mask=%#x(%pGg), order=%d, oom_score_adj=%hd"
MEMORY = "memory: usage %llukB, limit %llukB, failcnt %lu"
SWAP = "swap: usage %llukB, limit %llukB, failcnt %lu"
STATS = "Memory cgroup stats for %s:"
TASK = "[%7d] %5d %5d %8lu %8lu %8lu %8lu %9lu %8ld %8lu         %5hd %s"
CHOSEN = (
    "oom-kill:constraint=%s,nodemask=%*pbl,cpuset=%s,mems_allowed=%*pbl,oom_memcg=%s,"
    "task_memcg=%s,task=%s,pid=%d,uid=%d"
)
KILLED = (
    "%s: Killed process %d (%s) total-vm:%lukB, anon-rss:%lukB, file-rss:%lukB, shmem-rss:%lukB, "
    "UID:%u pgtables:%lukB oom_score_adj:%hd"
)


def printk(form: str, *values: object) -> str:
    """A line as the kernel prints it, in Python's own formats."""
    form = re.sub(r"%(\d*)(?:ll|l|h)?[ud]", r"%\1d", form)
    return re.sub(r"%(?:pGg|\*pbl)", "%s", form) % values


def test_at_the_limit_the_group_s_process_is_killed_and_the_report_is_the_kernel_s() -> None:
    """Every figure of try_charge_memcg() with max 100 and no swap.

    Pages 65 to 100 fail as a batch, then fit alone: 36. Page 101 fails as both: 38. One round that
    drains and 16 with nr_retries each try once: 55, when out_of_memory() prints. The victim, which
    is current, tries once more at once, and 16 times: 72. Rounds are 18, then 17: 35.
    """
    machine, memcg, region = full()
    with pytest.raises(PageAllocationFailure, match="ENOMEM: its memory cgroup has no room"):
        machine.touch(region, 100)
    log = machine.vm.oom.log
    assert log[:4] == [
        printk(INVOKED, "nginx", GFP_KERNEL, "GFP_KERNEL", 0, 0),
        printk(MEMORY, 400, 400, 55),
        printk(SWAP, 0, PAGE_COUNTER_MAX * 4, 0),
        printk(STATS, "/web"),
    ]
    says = "Memory cgroup out of memory"
    assert log[-3:] == [
        printk(TASK, 100, 0, 100, 1024, 100, 100, 0, 0, 0, 0, 0, "nginx"),
        printk(CHOSEN, "CONSTRAINT_MEMCG", "(null)", "/", "0", "/web", "/web", "nginx", 100, 0),
        printk(KILLED, says, 100, "nginx", 4096, 400, 0, 0, 0, 0, 0),
    ]
    assert events(memcg) == {"max": 35, "oom": 1, "oom_kill": 1}
    assert memcg.memory.failcnt == 72
    assert [task.comm for task in machine.vm.oom.processes] == ["init"]
    assert [op.name for op in machine.history[-2:]] == [
        "touch(nginx's heap, 100) = error 12", "exit(nginx)",
    ]  # fmt: skip
    machine.validate()


def test_the_report_is_read_back_field_by_field_and_written_again() -> None:
    machine, memcg, region = full()
    stat = read_rows(machine, Cgroup(memcg.id, "web"))
    with pytest.raises(PageAllocationFailure):
        machine.touch(region, 100)
    (report,) = parse_reports("\n".join(machine.vm.oom.log), "log")
    assert report.memcg == MemcgUse(400, 400, 55, 0, PAGE_COUNTER_MAX * 4, 0)
    assert report.memcg_path == "/web"
    assert [name for name, _ in report.memcg_stat] == [name for name, _ in stat]
    assert dict(report.memcg_stat)["anon"] == 409600
    assert report.chosen is not None
    assert report.chosen.constraint == "CONSTRAINT_MEMCG"
    assert (report.chosen.oom_memcg, report.chosen.task_memcg) == ("/web", "/web")
    assert write_report(report) == machine.vm.oom.log


def test_another_s_death_lets_the_charge_go_on() -> None:
    machine = small()
    cgroup, memcg = group_of(machine, 400)
    _, big = somebody(machine, cgroup, "big")
    _, region = somebody(machine, cgroup)
    outside = machine.process("outside")
    with machine.running(outside):
        huge = machine.mmap("huge", "8 MiB")
    touch(machine, huge, 1500)
    touch(machine, big, 300)
    machine.lru_add_drain_all()
    touch(machine, region, 150)
    assert [task.comm for task in machine.vm.oom.processes] == ["init", "nginx", "outside"]
    assert (events(memcg)["oom"], events(memcg)["oom_kill"]) == (1, 1)
    with pytest.raises(BadRequest, match="is not there any more"):
        machine.touch(big, 0)


def test_memory_oom_group_takes_all_of_the_group() -> None:
    # oom_kill_process(): MEMCG_OOM_GROUP_KILL once, MEMCG_OOM_KILL for each who is killed
    machine = small()
    cgroup, memcg = group_of(machine, 400, oom_group=True)
    for comm in ("one", "two"):
        somebody(machine, cgroup, comm)
    _, region = somebody(machine, cgroup)
    with pytest.raises(PageAllocationFailure):
        touch(machine, region, 500)
    assert [task.comm for task in machine.vm.oom.processes] == ["init"]
    assert "Tasks in /web are going to be killed due to memory.oom.group set" in machine.vm.oom.log
    seen = events(memcg)
    assert (seen["oom"], seen["oom_kill"], seen["oom_group_kill"]) == (1, 4, 1)


def test_a_kill_is_undone_and_done_again() -> None:
    machine, _, region = full()
    before = state_of(machine)
    with pytest.raises(PageAllocationFailure):
        machine.touch(region, 100)
    after = state_of(machine)
    assert [machine.undo().name for _ in range(2)] == [
        "exit(nginx)", "touch(nginx's heap, 100) = error 12",
    ]  # fmt: skip
    assert state_of(machine) == before
    for _ in range(2):
        machine.redo()
    assert state_of(machine) == after
    for _ in range(2):
        machine.undo()
    machine.touch(region, 5)
    machine.validate()


def test_who_runs_the_whole_machine_out_of_memory_is_killed_in_its_own_request() -> None:
    # oom_kill_process() chooses current, which then may use the reserves, and exits on its way out
    machine = Machine("16 MiB", reclaim=True, min_free_kbytes=256)
    process = machine.process("hog")
    with machine.running(process):
        region = machine.mmap("heap", "32 MiB")
    free = sum(zone.vm_stat[0] for zone in machine.vm.zones)
    with pytest.raises((PageAllocationFailure, BadRequest)):
        touch(machine, region, 8192)
    assert [task.comm for task in machine.vm.oom.processes] == ["init"]
    assert machine.vm.oom.log[-1].startswith("Out of memory: Killed process 100 (hog)")
    assert "exit(hog)" in [operation.name for operation in machine.history]
    machine.lru_add_drain_all()
    machine.drain_all_pages()
    assert sum(zone.vm_stat[0] for zone in machine.vm.zones) >= free
    assert not machine.vm.current.oom_victim
    machine.validate()
    while machine.history:
        machine.undo()
    machine.validate()


# Swap


def test_slots_are_charged_from_when_they_are_taken_until_they_are_free() -> None:
    machine = small(swap="4 MiB")
    cgroup, memcg = group_of(machine, 100)
    process, region = somebody(machine, cgroup)
    touch(machine, region, 300)
    slots = machine.vm.folios.swap
    in_use = slots.total_swap_pages - slots.nr_swap_pages
    assert memcg.swap.usage == in_use == len(machine.vm.folios.memcgs.swap_cgroup) >= 200
    machine.exit(process)
    assert (memcg.swap.usage, machine.vm.folios.memcgs.swap_cgroup) == (0, {})


def test_a_swapped_page_comes_back_to_whom_its_slot_is_charged() -> None:
    machine = small(swap="4 MiB")
    cgroup, memcg = group_of(machine, 100)
    _, region = somebody(machine, cgroup)
    touch(machine, region, 300)
    before = memcg.swap.usage
    pfn = machine.touch(region, 0)
    assert folio_memcg(machine.vm, pfn) is memcg
    assert dict(read_rows(machine, cgroup))["pgmajfault"] == "1"
    assert memcg.swap.usage >= before - 1


def read_rows(machine: Machine, cgroup: Cgroup) -> list[list[str]]:
    """memory.stat, row by row."""
    return [line.split() for line in read_cgroup_file(machine, cgroup, "memory.stat").splitlines()]


def test_with_no_swap_of_its_own_a_group_is_killed_though_the_machine_has_some() -> None:
    # can_reclaim_anon_pages(): mem_cgroup_get_nr_swap_pages() is 0, so no slot is ever asked for
    machine = small(swap="4 MiB")
    cgroup, memcg = group_of(machine, 100, swap_max=0)
    _, region = somebody(machine, cgroup)
    with pytest.raises(PageAllocationFailure):
        touch(machine, region, 200)
    assert (memcg.swap.usage, events(memcg)["oom_kill"]) == (0, 1)
    assert read_cgroup_file(machine, cgroup, "memory.swap.events") == "high 0\nmax 0\nfail 0\n"
    slots = machine.vm.folios.swap
    assert slots.nr_swap_pages == slots.total_swap_pages


def test_a_group_swaps_as_far_as_memory_swap_max() -> None:
    machine = small(swap="4 MiB")
    cgroup, memcg = group_of(machine, 100, swap_max="200K")
    _, region = somebody(machine, cgroup)
    with pytest.raises(PageAllocationFailure):
        touch(machine, region, 200)
    assert (memcg.swap.watermark, memcg.swap.max) == (50, 50)
    assert "swap: usage 200kB, limit 200kB" in "\n".join(machine.vm.oom.log)
    # each slot that was refused: MEMCG_SWAP_MAX, and MEMCG_SWAP_FAIL with it
    text = read_cgroup_file(machine, cgroup, "memory.swap.events")
    assert text == f"high 0\nmax {memcg.swap.failcnt}\nfail {memcg.swap.failcnt}\n"


@pytest.mark.parametrize(
    ("usage", "limit", "free_of_255", "is_full"),
    [(10, 20, 200, True), (9, 20, 200, False), (9, 20, 127, True), (0, 20, 128, False)],
)
def test_swap_is_full_when_half_of_what_the_group_may_have_is_used(
    usage: int, limit: int, free_of_255: int, is_full: bool
) -> None:
    # mem_cgroup_swap_full(): usage * 2 >= max; vm_swap_full(): free * 2 < total
    machine = small(swap="1 MiB")
    cgroup, memcg = group_of(machine, 100)
    _, region = somebody(machine, cgroup)
    pfn, roots = machine.touch(region, 0), machine.touch(machine.mmap("nobody's", "1 MiB"), 0)
    memcg.swap.usage, memcg.swap.max = usage, limit
    machine.vm.folios.swap.nr_swap_pages = free_of_255
    assert mem_cgroup_swap_full(machine.vm, pfn) == is_full
    assert mem_cgroup_swap_full(machine.vm, roots) == (free_of_255 < 128)


def test_without_a_free_slot_the_group_counts_a_failure_and_is_charged_nothing() -> None:
    # __mem_cgroup_try_charge_swap(): !entry.val
    machine = small(swap="1 MiB")
    cgroup, memcg = group_of(machine, 100)
    _, region = somebody(machine, cgroup)
    pfn = machine.touch(region, 0)
    machine.vm.folios.swap.nr_swap_pages = 0
    assert folio_alloc_swap(machine.vm, pfn) == -1
    assert (events(memcg), memcg.swap.usage) == ({"swap_fail": 1}, 0)


class Slowly(Pressure):
    """Reclaim that says it freed a page so many times, though others took it, and kills nobody."""

    def __init__(self, times: int) -> None:
        self.times = times

    def try_to_free_mem_cgroup_pages(self, memcg: MemCgroup, nr_pages: int, gfp_mask: int) -> int:
        """A page, while it lasts."""
        self.times -= 1
        return int(self.times >= 0)


@pytest.mark.parametrize(
    ("nr_pages", "times", "rounds"),
    [
        # the first round drains, 4 more do not count as one of 16, and one ends it
        (1, 0, 18), (1, 5, 22), (8, 5, 22),
        # above 1 << PAGE_ALLOC_COSTLY_ORDER each counts
        (9, 5, 18),
    ],
)  # fmt: skip
def test_a_round_that_freed_something_is_not_one_of_sixteen(
    nr_pages: int, times: int, rounds: int
) -> None:
    # try_charge_memcg(): nr_reclaimed && nr_pages <= (1 << PAGE_ALLOC_COSTLY_ORDER), goto retry
    machine, memcg, _ = full()
    machine.vm.pressure = Slowly(times)
    assert try_charge_memcg(machine.vm, memcg, GFP_KERNEL, nr_pages) == -ENOMEM
    assert events(memcg)["max"] == rounds


# Pages of the kernel's own


def test_pages_with_gfp_account_are_charged_and_freed_into_stock() -> None:
    # obj_cgroup_charge_pages(): MEMCG_KMEM; obj_cgroup_uncharge_pages(): refill_stock()
    machine = small()
    cgroup, memcg = group_of(machine, 1000)
    process, _ = somebody(machine, cgroup)
    with machine.running(process):
        first = machine.alloc_pages(GFP_KERNEL_ACCOUNT, 2)
        machine.alloc_pages(GFP_KERNEL, 2)
        large = machine.alloc_pages(GFP_KERNEL_ACCOUNT, 7)
    # 4 of a batch of 64, then 128 by themselves: consume_stock() refuses more than a batch
    assert (memcg.kmem, memcg.memory.usage, stock(machine)) == (132, 192, (memcg.id, 60))
    assert dict(read_rows(machine, cgroup))["kernel"] == str(132 * 4096)
    machine.validate()
    machine.free_pages(first)
    assert (memcg.kmem, memcg.memory.usage, stock(machine)) == (128, 192, (memcg.id, 64))
    # 64 + 128 is more than a batch: all of it goes back
    machine.free_pages(large)
    assert (memcg.kmem, memcg.memory.usage, stock(machine)) == (0, 0, (0, 0))


def test_a_block_that_is_split_is_uncharged_page_by_page() -> None:
    # split_page_memcg()
    machine = small()
    cgroup, memcg = group_of(machine, 1000)
    process, _ = somebody(machine, cgroup)
    with machine.running(process):
        pfn = machine.alloc_pages_exact(5 * 4096, GFP_KERNEL_ACCOUNT)
    machine.validate()
    assert (memcg.kmem, charged(machine, memcg)) == (5, 5)
    machine.free_pages_exact(pfn, 5 * 4096)
    assert memcg.kmem == 0
    for _ in range(2):
        machine.undo()
    machine.validate()


def test_a_kernel_page_that_cannot_be_charged_is_given_back_and_nothing_is_logged() -> None:
    # __alloc_pages_noprof(): __free_pages(), and page = NULL
    machine = small()
    cgroup, memcg = group_of(machine, 10)
    process, _ = somebody(machine, cgroup)
    free = sum(zone.vm_stat[0] for zone in machine.vm.zones)
    with machine.running(process), pytest.raises(PageAllocationFailure) as error:
        machine.alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_NORETRY, 5)
    assert (str(error.value), error.value.report) == (NO_ROOM, "")
    machine.drain_all_pages()
    assert sum(zone.vm_stat[0] for zone in machine.vm.zones) == free
    assert (memcg.kmem, memcg.memory.usage) == (0, 0)


# memory.high


@pytest.mark.parametrize(
    ("over", "milliseconds"),
    [
        # the table in front of MEMCG_DELAY_SCALING_SHIFT: high is 100 MiB
        (0, 0), (1, 6), (2, 25), (3, 57), (4, 102), (5, 159), (6, 230), (7, 313), (8, 409),
        (9, 518), (10, 639), (11, 774), (12, 921), (13, 1081), (14, 1254), (15, 1439), (16, 1638),
        (17, 1849),
    ],
)  # fmt: skip
def test_the_delay_is_the_kernel_s_own_table_in_jiffies_of_4_ms(
    over: int, milliseconds: int
) -> None:
    overage = calculate_overage((100 + over) * 256, 100 * 256)
    jiffies = calculate_high_delay(64, overage)
    assert jiffies == milliseconds // 4 or jiffies == (milliseconds + 1) // 4
    assert calculate_high_delay(16, overage) == jiffies * 16 // 64


def test_above_high_current_reclaims_17_times_on_its_way_out_and_then_would_wait() -> None:
    # mem_cgroup_handle_over_high(): one attempt and MAX_RECLAIM_RETRIES more, each MEMCG_HIGH; the
    # overage of 64 pages over 0 is clamped to 2 seconds
    machine = small()
    cgroup = machine.cgroup("web", high=0)
    memcg = machine.memcg(cgroup)
    _, region = somebody(machine, cgroup)
    machine.touch(region, 0)
    assert (events(memcg), memcg.high_delay, memcg.memory.usage) == ({"high": 17}, 500, 64)
    # the other 63 come from stock, and notice nothing
    touch(machine, region, 63, 1)
    assert events(memcg) == {"high": 17}
    machine.touch(region, 64)
    assert (events(memcg), memcg.high_delay) == ({"high": 34}, 1000)
    assert machine.vm.oom.log == []


def test_above_high_page_cache_goes_and_nobody_waits() -> None:
    machine = small()
    cgroup = machine.cgroup("web", high="400K")
    memcg = machine.memcg(cgroup)
    process, _ = somebody(machine, cgroup)
    read(machine, process, machine.open("data", "4 MiB"), 800)
    assert memcg.memory.usage <= 100 + 64
    assert (memcg.high_delay, set(events(memcg))) == (0, {"high"})


def test_a_high_below_use_reclaims_and_kills_nobody() -> None:
    # memory_high_write()
    machine = small()
    cgroup, memcg = group_of(machine, 1000)
    process, region = somebody(machine, cgroup)
    read(machine, process, machine.open("data", "4 MiB"), 300)
    touch(machine, region, 100)
    machine.cgroup_write(cgroup, "memory.high", "200K")
    assert 100 <= memcg.memory.usage <= 101
    assert events(memcg) == {}


def test_who_charges_more_than_a_batch_above_high_reclaims_before_it_has_its_page() -> None:
    # try_charge_memcg(): memcg_nr_pages_over_high > MEMCG_CHARGE_BATCH, so reclaim comes at once
    machine = small()
    cgroup = machine.cgroup("web", high="200K")
    memcg = machine.memcg(cgroup)
    process, _ = somebody(machine, cgroup)
    file = machine.open("data", "1 MiB")
    read(machine, process, file, 40)
    machine.lru_add_drain_all()
    with machine.running(process):
        machine.alloc_pages(GFP_KERNEL_ACCOUNT, 7)
    assert machine.vm.folios.mappings[file.id].nrpages < 40
    assert events(memcg)["high"] >= 1


def test_below_high_nothing_is_reclaimed() -> None:
    machine = small()
    _, memcg = group_of(machine, 100)
    assert reclaim_high(machine.vm, memcg, 32, GFP_KERNEL) == 0
    assert events(memcg) == {}


# Files


def test_memory_stat_has_the_kernel_s_rows_in_its_order() -> None:
    # memory_stats[], then memcg_vm_event_stat[] as memcg_stat_format() prints them
    machine = small()
    rows = [name for name, _ in read_rows(machine, machine.cgroup("web"))]
    assert rows[:10] == [
        "anon", "file", "kernel", "kernel_stack", "pagetables", "sec_pagetables", "percpu", "sock",
        "vmalloc", "shmem",
    ]  # fmt: skip
    assert rows[rows.index("slab_unreclaimable") + 1] == "slab"
    assert rows[rows.index("pgpromote_success") + 1 :][:4] == [
        "pgscan", "pgsteal", "pgscan_kswapd", "pgscan_direct",
    ]  # fmt: skip
    assert (len(rows), rows[-1]) == (len(set(rows)), "numa_hint_faults")


def test_memory_events_and_the_others_read_as_the_kernel_prints_them() -> None:
    machine, memcg, _ = full()
    cgroup = Cgroup(memcg.id, "web")
    assert read_cgroup_file(machine, cgroup, "memory.events") == (
        "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"
    )
    assert read_cgroup_file(machine, cgroup, "memory.current") == "409600\n"
    assert read_cgroup_file(machine, cgroup, "memory.peak") == "409600\n"
    assert read_cgroup_file(machine, cgroup, "memory.oom.group") == "0\n"
    assert read_cgroup_file(machine, cgroup, "memory.swap.current") == "0\n"


def test_faults_are_counted_for_who_takes_them() -> None:
    # mm_account_fault(): a page that is mapped already takes none
    machine, memcg, region = full()
    machine.touch(region, 0)
    rows = dict(read_rows(machine, Cgroup(memcg.id, "web")))
    assert (rows["pgfault"], rows["pgmajfault"], rows["anon"]) == ("100", "0", "409600")


# Invariants


def _another_charge(memcg: MemCgroup, machine: Machine) -> None:
    memcg.memory.usage += 1


def _too_much_in_stock(memcg: MemCgroup, machine: Machine) -> None:
    machine.vm.folios.memcgs.stock[0].nr_pages = 65
    machine.vm.folios.memcgs.stock[0].cached = 9


def _above_its_watermark(memcg: MemCgroup, machine: Machine) -> None:
    memcg.swap.usage = 1


def _a_free_slot(memcg: MemCgroup, machine: Machine) -> None:
    machine.vm.folios.memcgs.swap_cgroup[200] = memcg.id


def _a_longer_list(memcg: MemCgroup, machine: Machine) -> None:
    memcg.lru_zone_size[0][2] += 1


def _more_anon(memcg: MemCgroup, machine: Machine) -> None:
    memcg.nodeinfo[0].vm_stat[NR_ANON_MAPPED] += 1


def _more_kmem(memcg: MemCgroup, machine: Machine) -> None:
    memcg.kmem += 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_another_charge, "What a memcg's counter has"), (_too_much_in_stock, "A stock is a"),
        (_above_its_watermark, "No counter is below 0"), (_a_free_slot, "Slots that are charged"),
        (_a_longer_list, "lru_zone_size"), (_more_anon, "anon, file, file_mapped"),
        (_more_kmem, "kmem counts"),
    ],
)  # fmt: skip
def test_each_invariant_refuses_what_breaks_it(
    spoil: Callable[[MemCgroup, Machine], None], says: str
) -> None:
    machine = small(swap="1 MiB")
    cgroup, memcg = group_of(machine, 1000)
    _, region = somebody(machine, cgroup)
    touch(machine, region, 64)
    machine.validate()
    spoil(memcg, machine)
    told = list(broken_invariants(machine.vm))
    assert any(says in line for line in told), told


# Bad input

BAD: list[tuple[Callable[[Machine, Cgroup], object], str]] = [
    (lambda m, c: m.cgroup("web"), "name='web': EEXIST: there is one already"),
    (lambda m, c: m.cgroup(".."), "name='..': EEXIST: there is one already"),
    (lambda m, c: m.cgroup("a/b"), "name='a/b': NOT MODELLED: a cgroup below a cgroup"),
    (lambda m, c: m.cgroup(""), "name='': should be 1 to 255 printable characters"),
    (lambda m, c: m.cgroup("a\n"), "should be 1 to 255 printable characters"),
    (lambda m, c: m.cgroup("b", max="lots"), "memory.max='lots': EINVAL: should be bytes, with K"),
    (lambda m, c: m.cgroup("b", max=-1), "memory.max='-1': EINVAL"),
    (lambda m, c: m.cgroup("b", max=1.5), "memory.max='1.5': should be bytes, or text"),
    (lambda m, c: m.cgroup("b", max=True), "memory.max='True': should be bytes, or text"),
    (lambda m, c: m.cgroup_write(c, "memory.max", "64 MiB"), "memory.max='64 MiB': EINVAL"),
    (lambda m, c: m.cgroup_write(c, "memory.oom.group", "2"), "EINVAL: should be 0 or 1"),
    (lambda m, c: m.cgroup_write(c, "memory.stat", "1"), "file='memory.stat': should be one of"),
    (lambda m, c: m.cgroup_write("web", "memory.max", 1), "'web': should be what cgroup() gave"),
    (lambda m, c: m.cgroup_write(Cgroup(9, "x"), "memory.max", 1), "x: is not there any more"),
    (lambda m, c: m.process("", c), "comm='': should be 1 to 15 printable characters"),
    (lambda m, c: m.process("p" * 16), "should be 1 to 15 printable characters"),
    (lambda m, c: m.process("p", oom_score_adj=1001), "=1001: should be -1000 to 1000"),
    (lambda m, c: m.process("p", "web"), "'web': should be what cgroup() gave"),
    (lambda m, c: m.exit(Process(7, "x")), "x: pid 7 is not there any more"),
    (lambda m, c: m.exit("x"), "'x': should be what process() gave"),
    (lambda m, c: read_cgroup_file(m, c, "cgroup.procs"), "should be one of memory.current"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "says"), BAD)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    call: Callable[[Machine, Cgroup], object], says: str
) -> None:
    machine = small()
    cgroup = machine.cgroup("web")
    before, operations = state_of(machine), len(machine.history)
    with pytest.raises(BadRequest) as error:
        call(machine, cgroup)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert (state_of(machine), len(machine.history)) == (before, operations)


def test_a_machine_without_reclaim_has_no_cgroups() -> None:
    machine = Machine("16 MiB")
    for call in (lambda: machine.cgroup("web"), lambda: machine.process("nginx")):
        with pytest.raises(BadRequest, match="this machine has no reclaim=True"):
            call()


def test_there_are_64_cgroups_at_most() -> None:
    machine = small()
    for number in range(64):
        machine.cgroup(f"group{number}")
    with pytest.raises(BadRequest, match="NOT MODELLED: more than 64 cgroups"):
        machine.cgroup("another")
    for _ in range(64):
        machine.undo()
    assert machine.cgroup("again").id == 2
    machine.validate()

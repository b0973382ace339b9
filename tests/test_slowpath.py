"""The slow path, arm by arm, worked by hand from mm/page_alloc.c and mm/vmscan.c."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from memsim import Machine
from memsim.mm import kswapd
from memsim.mm.mmzone import PglistData, Zone
from memsim.mm.page_alloc import slow_request, zone_walk
from memsim.mm.page_alloc.highatomic import reserve_highatomic_pageblock
from memsim.mm.page_alloc.slowpath import MAX_ROUNDS, _alloc_pages_slowpath
from memsim.mm.page_alloc.zone_walk import AllocContext, prepare_alloc_pages
from memsim.mm.pressure import Pressure
from memsim.trace.pressure_events import CompactRetry, MmVmscanWakeupKswapd, ReclaimRetryZone
from memsim.trace.slowpath_steps import SENTENCES, Decision, NodeField, SlowPath
from memsim.words.alloc_flags import (
    ALLOC_CPUSET,
    ALLOC_KSWAPD,
    ALLOC_MIN_RESERVE,
    ALLOC_NO_WATERMARKS,
    ALLOC_OOM,
    ALLOC_WMARK_HIGH,
    show_alloc_flags,
)
from memsim.words.compaction import (
    COMPACT_COMPLETE,
    COMPACT_DEFERRED,
    COMPACT_PRIO_ASYNC,
    COMPACT_PRIO_SYNC_FULL,
    COMPACT_PRIO_SYNC_LIGHT,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    COMPACTION_WITHDRAWN,
)
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_DMA,
    __GFP_MEMALLOC,
    __GFP_NOFAIL,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_RETRY_MAYFAIL,
    __GFP_THISNODE,
    GFP_ATOMIC,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_NOWAIT,
)
from memsim.words.mmzone import (
    MAX_RECLAIM_RETRIES,
    NULL,
    WMARK_HIGH,
    ZONE_BOOSTED_WATERMARK,
    ZONE_NORMAL,
)
from memsim.words.task import PF_DUMPCORE, PF_MEMALLOC

PLAIN = ALLOC_CPUSET | ALLOC_KSWAPD
NOFAIL, NORETRY, THISNODE = __GFP_NOFAIL, __GFP_NORETRY, __GFP_THISNODE
MAYFAIL, NOMEMALLOC = __GFP_RETRY_MAYFAIL, __GFP_NOMEMALLOC


class Script(Pressure):
    """Answers as told; the last answer is repeated. Says what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def _next(self, what: str, default: Any, *about: Any) -> Any:
        self.asked.append((what, *about))
        answers = self.answers.get(what, [default])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer() if callable(answer) else answer

    def times(self, what: str) -> int:
        """How often it was asked this."""
        return sum(asked[0] == what for asked in self.asked)

    def kswapd_wake(self, pgdat: PglistData) -> None:
        self.asked.append(("kswapd", pgdat.nid))

    def wakeup_kcompactd(self, pgdat: PglistData, order: int, highest_zoneidx: int) -> None:
        self.asked.append(("kcompactd", order, highest_zoneidx))

    def try_to_free_pages(self, ac: AllocContext, order: int, gfp_mask: int) -> int:
        return int(self._next("reclaim", 0))

    def try_to_compact_pages(
        self, gfp_mask: int, order: int, alloc_flags: int, ac: AllocContext, prio: int
    ) -> tuple[int, int]:
        result = self._next("compact", COMPACT_SKIPPED, prio)
        return result if isinstance(result, tuple) else (result, NULL)

    def compaction_defer_reset(self, zone: Zone, order: int, alloc_success: bool) -> None:
        self.asked.append(("defer_reset", order, alloc_success))

    def compaction_zonelist_suitable(self, ac: AllocContext, order: int, alloc_flags: int) -> bool:
        return bool(self._next("suitable", False))

    def zone_reclaimable_pages(self, zone: Zone) -> int:
        return int(self._next("reclaimable", 0))

    def out_of_memory(self, gfp_mask: int, order: int, ac: AllocContext) -> bool:
        return bool(self._next("kill", False))


class Short:
    """A machine whose free memory is all below min, and what a request does on it."""

    def __init__(self, nr_free: int = 64, min_pages: int = 1000, **answers: Any) -> None:
        self.machine = Machine.of_pages(nr_free)
        self.vm = self.machine.vm
        self.zone = self.machine.zone()
        self.zone._watermark[:] = [min_pages, min_pages + 10, min_pages + 20, min_pages + 20]
        self.script = Script(**answers)
        self.vm.pressure = self.script

    def ask(self, gfp_mask: int, order: int = 0) -> int:
        """The slow path alone: its answer."""
        ac = prepare_alloc_pages(self.vm, gfp_mask, 0)
        return _alloc_pages_slowpath(self.vm, gfp_mask, order, ac)

    def decided(self) -> list[Decision]:
        """All decisions so far, but for attempts and kswapd."""
        left_out = (Decision.BEGIN, Decision.ATTEMPT, Decision.KSWAPD_WOKEN, Decision.KSWAPD_AWAKE)
        decisions = [Decision(step.decision) for step in self.steps()]
        return [decision for decision in decisions if decision not in left_out]

    def steps(self) -> list[SlowPath]:
        """The slow path's steps."""
        return [step for step in self.vm.trace.journal.read() if isinstance(step, SlowPath)]

    def attempts(self) -> list[int]:
        """alloc_flags of the attempts."""
        return [step.a for step in self.steps() if step.decision == Decision.ATTEMPT]

    def enough(self) -> int:
        """From here on the zone is above its watermarks."""
        self.zone._watermark[:] = [0, 0, 0, 0]
        return 1


# Who may not reclaim. Kernel: __alloc_pages_slowpath(), behind its second attempt


def test_a_request_that_cannot_wait_has_two_attempts() -> None:
    short = Short()
    assert short.ask(GFP_NOWAIT) == NULL
    assert short.decided() == [Decision.NO_DIRECT_RECLAIM, Decision.FAIL]
    assert len(short.attempts()) == 2
    assert short.script.asked == [("kswapd", 0)]


def test_a_request_without_kswapd_wakes_nobody() -> None:
    short = Short()
    assert short.ask(0) == NULL
    assert short.decided() == [Decision.NO_KSWAPD, Decision.NO_DIRECT_RECLAIM, Decision.FAIL]
    assert short.script.asked == []


def test_who_frees_memory_takes_every_reserve_and_does_not_reclaim() -> None:
    short = Short(nr_free=1)
    short.vm.current.flags = PF_MEMALLOC
    assert short.ask(GFP_KERNEL) != NULL
    assert short.attempts() == [PLAIN, ALLOC_NO_WATERMARKS | ALLOC_KSWAPD]
    assert short.ask(GFP_KERNEL) == NULL
    assert short.decided()[-2:] == [Decision.IS_MEMALLOC, Decision.FAIL]
    assert short.script.times("reclaim") == 0


def test_nomemalloc_keeps_reserves_from_who_frees_memory() -> None:
    short = Short()
    short.vm.current.flags = PF_MEMALLOC
    assert short.ask(GFP_KERNEL | NOMEMALLOC) == NULL
    assert short.attempts() == [PLAIN, PLAIN]
    assert short.decided() == [Decision.IS_MEMALLOC, Decision.FAIL]


def test_reclaim_and_compaction_run_with_pf_memalloc() -> None:
    flags: list[int] = []
    short = Short(reclaim=[lambda: flags.append(short.vm.current.flags) or 0])
    short.ask(GFP_KERNEL | NORETRY)
    assert flags == [PF_MEMALLOC]
    assert short.vm.current.flags == 0


@pytest.mark.parametrize(
    ("about", "gfp_mask", "expected"),
    [
        ({"flags": PF_MEMALLOC}, GFP_KERNEL, ALLOC_NO_WATERMARKS),
        ({"flags": PF_MEMALLOC, "in_hardirq": True}, GFP_ATOMIC, 0),
        ({"flags": PF_MEMALLOC, "in_serving_softirq": True}, GFP_ATOMIC, ALLOC_NO_WATERMARKS),
        ({"flags": PF_MEMALLOC, "bh_disabled": True}, GFP_ATOMIC, 0),
        ({"oom_victim": True}, GFP_KERNEL, ALLOC_OOM),
        ({"oom_victim": True, "flags": PF_MEMALLOC}, GFP_KERNEL, ALLOC_NO_WATERMARKS),
        ({"oom_victim": True, "in_serving_softirq": True}, GFP_ATOMIC, 0),
        ({"oom_victim": True}, GFP_KERNEL | NOMEMALLOC, 0),
        ({}, __GFP_MEMALLOC, ALLOC_NO_WATERMARKS),
        ({}, GFP_KERNEL, 0),
    ],
)
def test_reserves_by_task(about: dict[str, Any], gfp_mask: int, expected: int) -> None:
    """Kernel: __gfp_pfmemalloc_flags(), oom_reserves_allowed()"""
    vm = Machine.of_pages(16).vm
    for name, value in about.items():
        setattr(vm.current, name, value)
    assert zone_walk._gfp_pfmemalloc_flags(vm, gfp_mask) == expected


def test_a_realtime_task_gets_half_of_min_but_its_interrupts_do_not() -> None:
    vm = Machine.of_pages(16).vm
    vm.current.rt_or_dl = True
    assert zone_walk.gfp_to_alloc_flags(vm, GFP_KERNEL, 0) == PLAIN | ALLOC_MIN_RESERVE
    vm.current.in_hardirq = True
    assert zone_walk.gfp_to_alloc_flags(vm, GFP_KERNEL, 0) == PLAIN


# One round, or more. Kernel: __alloc_pages_slowpath(), from `retry:` on


def test_reclaim_without_progress_makes_no_attempt() -> None:
    short = Short()
    assert short.ask(GFP_KERNEL | NORETRY) == NULL
    assert short.decided() == [Decision.RECLAIMED_NOTHING, Decision.NORETRY, Decision.FAIL]
    assert short.attempts() == [PLAIN, PLAIN]


def test_after_reclaim_an_attempt_then_reserves_and_pcp_lists_then_another() -> None:
    short = Short(reclaim=[32])
    assert short.ask(GFP_KERNEL | NORETRY) == NULL
    expected = [Decision.RECLAIM, Decision.DRAIN, Decision.NORETRY, Decision.FAIL]
    assert short.decided() == expected
    assert len(short.attempts()) == 4


def test_reclaim_that_frees_enough_ends_the_request() -> None:
    short = Short()
    short.script.answers["reclaim"] = [short.enough]
    assert short.ask(GFP_KERNEL) != NULL
    assert short.decided() == [Decision.RECLAIM]


def test_a_drain_after_reclaim_gives_back_what_cpus_keep() -> None:
    machine = Machine.of_pages(64, pcp=True)
    machine.pageset_update(8, 32, 64)
    taken = [machine.alloc_pages(GFP_KERNEL) for _ in range(64)]
    for pfn in taken[:8]:
        machine.free_pages(pfn)
    assert machine.zone().per_cpu_pageset[0].count == 8
    machine.vm.pressure = Script(reclaim=[1])
    # what the CPU kept has merged
    assert machine.alloc_pages(GFP_KERNEL | NORETRY, order=1) in taken[:8]
    assert "drain_all_pages()" in machine.why()


def test_sixteen_rounds_without_progress_are_enough() -> None:
    short = Short(reclaimable=[5000])
    assert short.ask(GFP_KERNEL) == NULL
    assert short.script.times("reclaim") == MAX_RECLAIM_RETRIES + 1
    retries = events(short, ReclaimRetryZone)
    assert [event.no_progress_loops for event in retries] == list(range(1, 17))
    assert {(e.reclaimable, e.available, e.min_wmark) for e in retries} == {(5000, 5064, 1000)}
    expected = [Decision.TOO_MANY_LOOPS, Decision.OOM, Decision.OOM_NOBODY, Decision.FAIL]
    assert short.decided()[-4:] == expected


def test_progress_starts_the_count_again() -> None:
    short = Short(reclaimable=[5000], reclaim=[*[0] * 16, 1, 0])
    short.ask(GFP_KERNEL)
    assert short.script.times("reclaim") == 16 + 1 + MAX_RECLAIM_RETRIES + 1


def test_progress_counts_nothing_for_a_costly_order() -> None:
    short = Short(reclaimable=[1 << 20], reclaim=[1])
    short.ask(GFP_KERNEL | MAYFAIL, order=4)
    assert short.script.times("reclaim") == MAX_RECLAIM_RETRIES + 1


def test_a_zone_that_could_never_do_is_not_waited_for() -> None:
    short = Short(reclaimable=[100])
    assert short.ask(GFP_KERNEL) == NULL
    assert short.script.times("reclaim") == 1
    assert Decision.NO_RECLAIM_RETRY in short.decided()
    assert [event.wmark_check for event in events(short, ReclaimRetryZone)] == [0]


def test_before_a_kill_reserves_of_atomic_requests_are_given_back() -> None:
    """Kernel: should_reclaim_retry(), unreserve_highatomic_pageblock(ac, true)"""
    machine = Machine.of_pages(512 * 128)
    zone = machine.zone()
    page = machine.alloc_pages(GFP_KERNEL)
    reserve_highatomic_pageblock(zone, page, 0)
    assert zone.nr_reserved_highatomic == 512
    zone._watermark[:] = [zone.managed_pages] * 4
    machine.vm.pressure = Script()
    with pytest.raises(PageAllocationFailure):
        machine.alloc_pages(GFP_KERNEL)
    assert zone.nr_reserved_highatomic == 0
    assert machine.why().count("gave a pageblock back: another round") == 1


def test_a_costly_order_is_not_tried_again() -> None:
    short = Short(compact=[COMPACT_COMPLETE])
    assert short.ask(GFP_KERNEL, order=4) == NULL
    assert short.decided()[-2:] == [Decision.COSTLY, Decision.FAIL]
    assert short.script.times("reclaim") == 1


# Compaction. Kernel: __alloc_pages_direct_compact(), should_compact_retry()


@pytest.mark.parametrize(
    ("gfp_mask", "order", "priorities"),
    [
        (GFP_KERNEL, 0, []),
        (GFP_KERNEL, 1, [COMPACT_PRIO_ASYNC, COMPACT_PRIO_SYNC_LIGHT]),
        (GFP_HIGHUSER_MOVABLE, 3, [COMPACT_PRIO_SYNC_LIGHT]),
        (GFP_HIGHUSER_MOVABLE, 4, [COMPACT_PRIO_ASYNC, COMPACT_PRIO_SYNC_LIGHT]),
        # without __GFP_IO it is asked, and says COMPACT_SKIPPED
        (__GFP_DIRECT_RECLAIM, 1, [COMPACT_PRIO_SYNC_LIGHT]),
        (GFP_KERNEL | __GFP_MEMALLOC, 4, [COMPACT_PRIO_SYNC_LIGHT]),
    ],
)
def test_who_compacts_before_reclaim(gfp_mask: int, order: int, priorities: list[int]) -> None:
    short = Short(nr_free=8)
    short.ask(gfp_mask if order > 3 else gfp_mask | NORETRY, order)
    assert [asked[1] for asked in short.script.asked if asked[0] == "compact"] == priorities


@pytest.mark.parametrize(
    ("gfp_mask", "result", "decision", "reclaims"),
    [
        (0, COMPACT_SKIPPED, Decision.COMPACT_FIRST_NORETRY, 0),
        (0, COMPACT_DEFERRED, Decision.COMPACT_FIRST_NORETRY, 0),
        (0, COMPACT_COMPLETE, Decision.NORETRY, 1),
        (THISNODE, COMPACT_COMPLETE, Decision.COMPACT_FIRST_THISNODE, 0),
    ],
)
def test_a_costly_order_with_noretry_may_be_over_before_reclaim(
    gfp_mask: int, result: int, decision: Decision, reclaims: int
) -> None:
    short = Short(compact=[result])
    assert short.ask(GFP_KERNEL | NORETRY | gfp_mask, order=9) == NULL
    assert short.decided()[-2:] == [decision, Decision.FAIL]
    assert short.script.times("reclaim") == reclaims
    priorities = {asked[1] for asked in short.script.asked if asked[0] == "compact"}
    assert priorities == {COMPACT_PRIO_ASYNC}


def test_a_captured_block_is_the_answer() -> None:
    """It comes off no list: compaction_capture() took it."""
    short = Short()
    machine = short.machine
    short.enough()
    page = machine.alloc_pages(GFP_KERNEL, order=2)
    machine.vm.page_state[page] = 0
    short.zone._watermark[:] = [1000] * 4
    short.script.answers["compact"] = [(COMPACT_SUCCESS, page)]
    assert short.ask(GFP_KERNEL, order=2) == page
    assert short.decided()[-1] == Decision.CAPTURED
    assert ("defer_reset", 2, True) in short.script.asked
    machine.validate()


def test_compaction_that_helped_ends_deferral() -> None:
    short = Short()
    short.script.answers["compact"] = [lambda: short.enough() and COMPACT_SUCCESS]
    assert short.ask(GFP_KERNEL, order=2) != NULL
    assert short.script.asked[-1] == ("defer_reset", 2, True)


def compact_retries(order: int, result: int, **answers: Any) -> list[CompactRetry]:
    """Reclaim gets on, but no zone could ever do; compaction always says result."""
    short = Short(reclaim=[1], compact=[result], **answers)
    short.ask(GFP_KERNEL | (MAYFAIL if order > 3 else 0), order)
    return events(short, CompactRetry)


def test_compaction_that_fails_tries_harder_until_it_cannot() -> None:
    retries = compact_retries(2, COMPACT_COMPLETE)
    assert [(e.priority, e.ret) for e in retries] == [
        (COMPACT_PRIO_SYNC_LIGHT, 1),
        (COMPACT_PRIO_SYNC_FULL, 0),
    ]
    assert [(e.priority, e.ret) for e in compact_retries(4, COMPACT_COMPLETE)] == [(1, 0)]


def test_compaction_that_succeeds_for_others_is_tried_sixteen_times() -> None:
    retries = compact_retries(2, COMPACT_SUCCESS)
    light, full = list(range(17)), list(range(17))
    assert [e.retries for e in retries] == light + full
    assert [e.ret for e in retries] == [1] * 33 + [0]
    assert {e.max_retries for e in retries} == {16}


def test_of_a_costly_order_four_times() -> None:
    retries = compact_retries(4, COMPACT_SUCCESS)
    assert [(e.retries, e.max_retries) for e in retries] == [(n, 4) for n in range(5)]
    assert [e.ret for e in retries] == [1, 1, 1, 1, 0]


def test_compaction_that_lacks_free_pages_waits_for_reclaim_if_that_can_help() -> None:
    retries = compact_retries(2, COMPACT_SKIPPED, suitable=[True, True, False])
    assert [e.ret for e in retries] == [1, 1, 0]
    assert {e.result for e in retries} == {COMPACTION_WITHDRAWN}


def test_a_task_that_is_being_killed_does_not_compact_again() -> None:
    short = Short(reclaim=[1], compact=[COMPACT_COMPLETE])
    short.vm.current.fatal_signal_pending = True
    short.ask(GFP_KERNEL, order=2)
    assert events(short, CompactRetry) == []


# The last resort. Kernel: __alloc_pages_may_oom()


def machine_killing(**answers: Any) -> Short:
    return Short(kill=[True], **answers)


@pytest.mark.parametrize(
    ("gfp_mask", "order", "flags", "decision"),
    [
        (GFP_KERNEL, 0, PF_DUMPCORE, Decision.OOM_DUMPCORE),
        (GFP_KERNEL | MAYFAIL, 5, 0, Decision.OOM_COSTLY),
        (GFP_KERNEL | MAYFAIL, 0, 0, Decision.OOM_MAYFAIL),
        (GFP_KERNEL | THISNODE, 0, 0, Decision.OOM_MAYFAIL),
    ],
)
def test_who_is_not_killed_for(gfp_mask: int, order: int, flags: int, decision: Decision) -> None:
    short = machine_killing()
    short.vm.current.flags = flags
    assert short.ask(gfp_mask, order) == NULL
    assert short.decided()[-3:] == [Decision.OOM, decision, Decision.FAIL]
    assert short.attempts()[-1] == ALLOC_WMARK_HIGH | ALLOC_CPUSET
    assert short.script.times("kill") == 0


def test_nobody_is_killed_for_low_memory() -> None:
    machine = Machine("64 MiB")
    machine.vm.pressure = script = Script(kill=[True])
    for zone in machine.vm.zones:
        zone._watermark[:] = [1 << 20] * 4
    with pytest.raises(PageAllocationFailure):
        machine.alloc_pages(GFP_KERNEL | __GFP_DMA)
    assert "nobody is killed for a zone below Normal" in machine.why()
    assert script.times("kill") == 0


def test_a_kill_is_followed_by_another_round() -> None:
    short = Short()
    short.script.answers["kill"] = [lambda: short.enough() > 0]
    assert short.ask(GFP_KERNEL) != NULL
    assert short.decided()[-2:] == [Decision.OOM, Decision.OOM_KILLED]
    assert short.attempts()[-1] == PLAIN


def test_a_victim_uses_its_reserves_and_gives_up_after_them() -> None:
    short = machine_killing(nr_free=1)
    short.vm.current.oom_victim = True
    short.enough()
    short.machine.alloc_pages(GFP_KERNEL)
    assert short.ask(GFP_KERNEL) == NULL
    assert short.attempts()[-2:] == [ALLOC_OOM | ALLOC_KSWAPD, ALLOC_WMARK_HIGH | ALLOC_CPUSET]
    assert short.decided()[-2:] == [Decision.OOM_VICTIM, Decision.FAIL]


def test_a_victim_gets_a_quarter_of_min() -> None:
    short = Short(nr_free=64, min_pages=100)
    assert short.ask(GFP_KERNEL) == NULL
    short.vm.current.oom_victim = True
    assert short.ask(GFP_KERNEL) != NULL


def test_without_anybody_to_kill_it_fails() -> None:
    short = Short()
    assert short.ask(GFP_KERNEL) == NULL
    assert short.decided()[-3:] == [Decision.OOM, Decision.OOM_NOBODY, Decision.FAIL]


# What may not fail. Kernel: __alloc_pages_slowpath(), behind `nopage:`


def test_nofail_without_direct_reclaim_fails() -> None:
    short = Short()
    assert short.ask(GFP_NOWAIT | NOFAIL) == NULL
    assert short.decided()[-2:] == [Decision.NOFAIL_CANNOT, Decision.FAIL]


def test_nofail_takes_all_reserves_once_nobody_can_be_killed() -> None:
    short = Short(nr_free=1)
    assert short.ask(GFP_KERNEL | NOFAIL) != NULL
    assert short.decided()[-1] == Decision.OOM_NOBODY
    assert short.attempts()[-1] == ALLOC_NO_WATERMARKS | ALLOC_CPUSET


def test_nofail_with_noretry_takes_half_of_min() -> None:
    short = Short(nr_free=64, min_pages=100)
    assert short.ask(GFP_KERNEL | NOFAIL | NORETRY) != NULL
    assert short.decided()[-2:] == [Decision.NORETRY, Decision.NOFAIL]
    assert short.attempts()[-1] == ALLOC_MIN_RESERVE | ALLOC_CPUSET


def test_nofail_of_who_frees_memory_can_only_wait() -> None:
    """Where nothing changes, memsim gives up in the end."""
    short = Short(nr_free=1)
    short.vm.current.flags = PF_MEMALLOC
    short.ask(GFP_KERNEL)
    assert short.ask(GFP_KERNEL | NOFAIL) == NULL
    assert short.decided()[-3:] == [Decision.NOFAIL, Decision.STUCK, Decision.FAIL]
    assert short.steps()[-2].a == MAX_ROUNDS


def test_a_kill_that_frees_nothing_ends_too() -> None:
    short = machine_killing()
    assert short.ask(GFP_KERNEL) == NULL
    assert short.decided()[-2:] == [Decision.STUCK, Decision.FAIL]


def test_a_mask_without_zone_has_no_attempt() -> None:
    short = Short()
    assert short.ask(GFP_KERNEL | __GFP_DMA) == NULL
    assert short.decided() == [Decision.NO_ZONE, Decision.FAIL]


# kswapd. Kernel: mm/vmscan.c wakeup_kswapd()


def events(short: Short, cls: type[Any]) -> list[Any]:
    """Events of this class, oldest first."""
    return [traced.event for traced in short.machine.events() if isinstance(traced.event, cls)]


def wake(short: Short, order: int = 0, gfp_flags: int = GFP_KERNEL) -> Decision:
    return kswapd.wakeup_kswapd(short.zone, gfp_flags, order, ZONE_NORMAL)


def test_kswapd_is_woken_once_and_told_the_largest_wishes() -> None:
    short = Short()
    pgdat = short.vm.nodes[0]
    assert [wake(short, 2), wake(short, 3), wake(short, 1)] == [
        Decision.KSWAPD_WOKEN, Decision.KSWAPD_AWAKE, Decision.KSWAPD_AWAKE,
    ]  # fmt: skip
    assert (pgdat.kswapd_order, pgdat.kswapd_highest_zoneidx) == (3, ZONE_NORMAL)
    assert events(short, MmVmscanWakeupKswapd) == [
        MmVmscanWakeupKswapd(0, ZONE_NORMAL, 2, GFP_KERNEL)
    ]
    assert short.script.asked == [("kswapd", 0)]


def test_each_request_wakes_a_kswapd_whose_nap_is_over() -> None:
    """autoremove_wake_function() takes no task off the queue that is awake already."""
    short = Short()
    short.vm.nodes[0].kswapd_asleep = 0
    assert [wake(short), wake(short)] == [Decision.KSWAPD_WOKEN] * 2
    assert len(events(short, MmVmscanWakeupKswapd)) == 2
    assert short.script.asked == []


@pytest.mark.parametrize(
    ("boost", "failures", "decision"),
    [
        (0, 0, Decision.KSWAPD_BALANCED),
        (5, 0, Decision.KSWAPD_WOKEN),
        (5, MAX_RECLAIM_RETRIES, Decision.KSWAPD_HOPELESS),
        (5, MAX_RECLAIM_RETRIES - 1, Decision.KSWAPD_WOKEN),
    ],
)
def test_a_balanced_node_wakes_kswapd_for_a_boost_only(
    boost: int, failures: int, decision: Decision
) -> None:
    short = Short(nr_free=64, min_pages=0)
    short.zone.watermark_boost = boost
    short.vm.nodes[0].kswapd_failures = failures
    assert wake(short) == decision
    assert bool(short.vm.nodes[0].kswapd_waits) == (decision != Decision.KSWAPD_WOKEN)


def test_kcompactd_is_woken_for_who_cannot_compact() -> None:
    short = Short(nr_free=64, min_pages=0)
    wake(short, 3, GFP_ATOMIC)
    wake(short, 3, GFP_KERNEL)
    assert short.script.asked == [("kcompactd", 3, ZONE_NORMAL)]


def test_pgdat_balanced_asks_for_a_block_of_the_order_above_high() -> None:
    short = Short(nr_free=64, min_pages=0)
    pgdat = short.vm.nodes[0]
    short.enough()
    assert kswapd.pgdat_balanced(pgdat, 6, ZONE_NORMAL)
    assert not kswapd.pgdat_balanced(pgdat, 7, ZONE_NORMAL)
    short.zone._watermark[WMARK_HIGH] = 64
    assert not kswapd.pgdat_balanced(pgdat, 0, ZONE_NORMAL)
    # no managed zone up to there: nothing to balance
    assert kswapd.pgdat_balanced(pgdat, 0, ZONE_NORMAL - 1)


def test_a_request_that_boosted_the_watermark_wakes_kswapd() -> None:
    """Kernel: rmqueue(), its end; the mask is 0."""
    short = Short(nr_free=64, min_pages=0)
    short.zone.watermark_boost = 8
    short.zone.flags |= ZONE_BOOSTED_WATERMARK
    short.machine.alloc_pages(GFP_KERNEL)
    assert events(short, MmVmscanWakeupKswapd) == [MmVmscanWakeupKswapd(0, ZONE_NORMAL, 0, 0)]
    assert not short.zone.flags & ZONE_BOOSTED_WATERMARK


def test_every_node_of_the_zonelist_is_woken_once() -> None:
    machine = Machine(["64 MiB", "64 MiB"])
    machine.vm.pressure = Script()
    for zone in machine.vm.zones:
        zone._watermark[:] = [1 << 20] * 4
    ac = prepare_alloc_pages(machine.vm, GFP_KERNEL, 1)
    slow_request.SlowRequest(machine.vm, GFP_KERNEL, 0, ac).wake_all_kswapds()
    woken = [traced.event for traced in machine.events()]
    assert [e.nid for e in woken if isinstance(e, MmVmscanWakeupKswapd)] == [1, 0]


# Nobody helps: as it was. What is told, and taken back


def test_without_pressure_there_are_two_attempts_and_no_event() -> None:
    short = Short()
    short.vm.pressure = None
    assert short.ask(GFP_KERNEL) == NULL
    assert short.attempts() == [PLAIN, PLAIN]
    assert short.decided() == [Decision.NOBODY, Decision.FAIL]
    assert short.machine.events() == []
    assert short.ask(GFP_KERNEL | NOFAIL) == NULL
    assert short.decided()[-3:] == [Decision.NOFAIL, Decision.STUCK, Decision.FAIL]


def test_a_pressure_that_can_do_nothing_answers_nothing() -> None:
    short = Short()
    short.vm.pressure = Pressure()
    assert short.ask(GFP_KERNEL, order=2) == NULL
    assert short.ask(GFP_NOWAIT) == NULL


def test_why_says_what_was_decided_and_by_which_function() -> None:
    short = Short()
    with pytest.raises(PageAllocationFailure):
        short.machine.alloc_pages(GFP_KERNEL | NORETRY | __GFP_NOWARN, order=1)
    assert short.machine.why().splitlines() == [
        "__alloc_pages_slowpath(): the fast path found nothing above the low watermark (order 1, "
        "GFP_KERNEL|__GFP_NOWARN|__GFP_NORETRY)",
        "wakeup_kswapd(): kswapd of node 0 is woken, for order 1",
        "get_page_from_freelist(): an attempt with ALLOC_WMARK_MIN|ALLOC_CPUSET|ALLOC_KSWAPD: "
        "nothing",
        "__alloc_pages_direct_compact() before any reclaim: order 1 needs a block, and the pages "
        "for it may be there",
        "__alloc_pages_direct_compact(): try_to_compact_pages() with COMPACT_PRIO_ASYNC: skipped",
        "__alloc_pages_direct_compact(): no zone was compacted: no attempt",
        "wakeup_kswapd(): kswapd of node 0 is awake already",
        "get_page_from_freelist(): an attempt with ALLOC_WMARK_MIN|ALLOC_CPUSET|ALLOC_KSWAPD: "
        "nothing",
        "__alloc_pages_direct_reclaim(): try_to_free_pages() reclaimed nothing: no attempt",
        "__alloc_pages_direct_compact(): try_to_compact_pages() with COMPACT_PRIO_SYNC_LIGHT: "
        "skipped",
        "__alloc_pages_direct_compact(): no zone was compacted: no attempt",
        "__GFP_NORETRY: no second round",
        "__alloc_pages_slowpath(): the request fails: warn_alloc()",
    ]


def test_why_of_a_request_that_was_quick_and_of_none() -> None:
    machine = Machine.of_pages(16)
    with pytest.raises(BadRequest, match="nothing was asked for yet"):
        machine.why()
    machine.alloc_pages(GFP_KERNEL)
    assert machine.why().startswith("no request came to the slow path")


@pytest.mark.parametrize("decision", Decision)
def test_every_decision_has_words(decision: Decision) -> None:
    step = SlowPath(1, decision, GFP_KERNEL, 2, 1, 1, 1)
    text = step.text(lambda zone_id: f"zone {zone_id}")
    assert "{" not in text
    assert set(SENTENCES) == set(Decision)
    assert not text.endswith(".")


def test_alloc_flags_in_words() -> None:
    assert show_alloc_flags(ALLOC_WMARK_HIGH | ALLOC_CPUSET) == "ALLOC_WMARK_HIGH|ALLOC_CPUSET"
    assert show_alloc_flags(ALLOC_NO_WATERMARKS) == "ALLOC_NO_WATERMARKS"


def test_what_kswapd_was_told_is_taken_back() -> None:
    short = Short()
    pgdat = short.vm.nodes[0]
    before = of_kswapd(pgdat)
    with pytest.raises(PageAllocationFailure):
        short.machine.alloc_pages(GFP_KERNEL, order=2)
    after = of_kswapd(pgdat)
    assert before != after
    steps: Sequence[object] = short.machine.steps()
    assert {step.field for step in steps if isinstance(step, NodeField)} == {
        "kswapd_order", "kswapd_highest_zoneidx", "kswapd_waits", "kswapd_asleep",
    }  # fmt: skip
    short.machine.undo()
    assert of_kswapd(pgdat) == before
    short.machine.redo()
    assert of_kswapd(pgdat) == after


def of_kswapd(pgdat: PglistData) -> tuple[int, ...]:
    return (
        pgdat.kswapd_order, pgdat.kswapd_highest_zoneidx, pgdat.kswapd_waits, pgdat.kswapd_asleep,
    )  # fmt: skip

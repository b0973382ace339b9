"""The multi-gen LRU, worked by hand from mm/vmscan.c: generations, tiers, aging and eviction."""

from __future__ import annotations

from typing import Any

import pytest
from folio_states import read_all, small, state_of

from memsim import Machine
from memsim.mm.folio import folio_set_flags
from memsim.mm.folio_validate import lru_folios
from memsim.mm.lru_gen.aging import inc_max_seq, try_to_inc_max_seq, try_to_inc_min_seq
from memsim.mm.lru_gen.control import CtrlPos, get_tier_idx, get_type_to_scan, positive_ctrl_err
from memsim.mm.lru_gen.flags import folio_lru_gen, folio_lru_refs, lru_tier_from_refs
from memsim.mm.lru_gen.isolate import isolate_folios
from memsim.mm.lru_gen.shrink import get_nr_to_scan, set_initial_priority, should_run_aging
from memsim.mm.lru_gen.state import AVG_REFAULTED, AVG_TOTAL, EVICTED, PROTECTED, REFAULTED
from memsim.mm.mmzone import Vm
from memsim.mm.vmscan.isolate import move_folios_to_lru
from memsim.mm.vmscan.kswapd import kswapd
from memsim.mm.vmscan.scan_control import ScanControl
from memsim.mm.vmscan.shrink_folio_list import FOLIOREF_KEEP, folio_check_references
from memsim.mm.workingset import unpack_shadow
from memsim.trace.vmscan_events import TP_VMSCAN
from memsim.words.errors import BadDescription
from memsim.words.gfp import GFP_KERNEL, GFP_NOFS, GFP_NOIO
from memsim.words.lru_gen import LRU_GEN_ANON, LRU_GEN_FILE, lru_gen_list
from memsim.words.page_flags import (
    LRU_ACTIVE_ANON,
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_FILE,
    WORKINGSET_ACTIVATE_BASE,
    PG_private,
    PG_referenced,
    PG_workingset,
)

pytestmark = pytest.mark.alone


def machine_with(**how: Any) -> tuple[Machine, Vm]:
    """A small machine with the multi-gen LRU, and its Vm."""
    machine = small(lru_gen=True, **how)
    return machine, machine.vm


def control(mask: int = GFP_KERNEL, reclaim_idx: int = 2) -> ScanControl:
    """A direct reclaimer's."""
    return ScanControl(32, mask, reclaim_idx, 0)


def gen_of(vm: Vm, pfn: int) -> int:
    """The generation of a folio."""
    return folio_lru_gen(vm.folios, pfn)


def read_some(machine: Machine, nr: int) -> list[int]:
    """The folios of a file of nr pages, read once and on their list, the oldest first."""
    file = machine.open("file", nr << 12)
    pfns = [machine.read(file, index) for index in range(nr)]
    machine.lru_add_drain_all()
    return pfns


def isolates(machine: Machine, since: int) -> list[str]:
    """Texts of mm_vmscan_lru_isolate since then."""
    return [
        traced.event.text()
        for traced in machine.events(since)
        if traced.event.NAME == "mm_vmscan_lru_isolate"
    ]


def test_what_is_read_is_old_and_what_a_fault_brings_is_young() -> None:
    machine, vm = machine_with()
    lrugen = vm.nodes[0].lruvec.lrugen
    assert (lrugen.max_seq, lrugen.min_seq(0), lrugen.min_seq(1)) == (3, 0, 0)
    (read,) = read_some(machine, 1)
    touched = machine.touch(machine.mmap("region", 4096), 0)
    mapped = machine.touch(machine.open("mapped", 4096), 0)
    machine.lru_add_drain_all()
    assert [gen_of(vm, pfn) for pfn in (read, touched, mapped)] == [1, 3, 3]
    stat = vm.nodes[0].vm_stat
    assert stat[LRU_INACTIVE_FILE] == stat[LRU_ACTIVE_FILE] == stat[LRU_ACTIVE_ANON] == 1
    machine.validate()


def test_uses_through_a_file_descriptor_are_tiers() -> None:
    machine, vm = machine_with()
    file = machine.open("file", 4096)
    tiers = []
    for _ in range(7):
        pfn = machine.read(file, 0)
        tiers.append(lru_tier_from_refs(folio_lru_refs(vm.folios, pfn)))
    assert tiers == [0, 1, 2, 2, 3, 3, 3]
    assert folio_lru_refs(vm.folios, pfn) == 4


def test_kswapd_isolates_as_recorded_kernels_do() -> None:
    """The first look finds the oldest generation empty; then 64 folios at a time, of 4,096."""
    machine, vm = machine_with()
    machine.vm.trace.mask = TP_VMSCAN
    read_all(machine, machine.open("file", "16 MiB"))
    first = isolates(machine, 0)[:3]
    zone = "classzone=3 order=0"
    assert first == [
        f"{zone} nr_requested=4096 nr_scanned=0 nr_skipped=0 nr_taken=0 lru=inactive_file",
        f"{zone} nr_requested=4096 nr_scanned=64 nr_skipped=0 nr_taken=64 lru=inactive_file",
        f"{zone} nr_requested=4096 nr_scanned=64 nr_skipped=0 nr_taken=64 lru=inactive_file",
    ]
    assert vm.nodes[0].lruvec.lrugen.min_seq(LRU_GEN_FILE) == 1
    machine.validate()


def test_the_oldest_go_first() -> None:
    machine, vm = machine_with()
    pfns = read_some(machine, 100)
    lruvec = vm.nodes[0].lruvec
    try_to_inc_min_seq(vm, lruvec, False)
    scanned, scan = isolate_folios(vm, lruvec, control(), 0)
    assert (scanned, scan.list) == (64, pfns[:64])
    move_folios_to_lru(vm, lruvec, scan.list)
    machine.validate()


def test_a_folio_used_five_times_is_protected() -> None:
    machine, vm = machine_with()
    file = machine.open("file", "400 KiB")
    read_all(machine, file)
    for _ in range(4):
        hot = machine.read(file, 0)
    machine.lru_add_drain_all()
    lruvec = vm.nodes[0].lruvec
    try_to_inc_min_seq(vm, lruvec, False)
    scanned, scan = isolate_folios(vm, lruvec, control(), 0)
    assert scanned == 65
    assert hot not in scan.list
    assert gen_of(vm, hot) == 2
    assert lruvec.lrugen.of_tier(PROTECTED, LRU_GEN_FILE, 3) == 1
    assert not vm.folios.flags[hot] & (PG_referenced | PG_workingset)


def test_anonymous_folios_stay_where_the_request_must_not_write() -> None:
    machine, vm = machine_with(swap="1 MiB")
    region = machine.mmap("region", "400 KiB")
    for index in range(100):
        machine.touch(region, index)
    machine.lru_add_drain_all()
    lruvec = vm.nodes[0].lruvec
    for _ in range(2):
        inc_max_seq(vm, lruvec, True)
    try_to_inc_min_seq(vm, lruvec, True)
    scanned, scan = isolate_folios(vm, lruvec, control(GFP_NOIO), 100)
    assert (scanned, scan.list) == (0, [])
    scanned, scan = isolate_folios(vm, lruvec, control(GFP_NOFS), 100)
    assert scanned == len(scan.list) == 64


def test_an_aging_promotes_what_was_used_and_then_begins_a_generation() -> None:
    machine, vm = machine_with(swap="1 MiB")
    region = machine.mmap("region", 2 << 12)
    used, unused = machine.touch(region, 0), machine.touch(region, 1)
    machine.lru_add_drain_all()
    lruvec = vm.nodes[0].lruvec
    try_to_inc_max_seq(vm, lruvec, control(), True)
    machine.touch(region, 0)
    try_to_inc_max_seq(vm, lruvec, control(), True)
    lrugen = lruvec.lrugen
    assert (lrugen.max_seq, lrugen.min_seq(LRU_GEN_ANON)) == (5, 2)
    assert (gen_of(vm, used), gen_of(vm, unused)) == (0, 3)
    assert vm.folios.young[used] == 0
    assert lru_folios(vm, 0, lru_gen_list(3, LRU_GEN_ANON, 0)) == [unused, used]
    machine.validate()


def test_without_swap_the_oldest_anonymous_generation_becomes_the_youngest() -> None:
    """Cold and hot change places: inc_min_seq() leaves the folios where they are."""
    machine, vm = machine_with()
    touched = machine.touch(machine.mmap("region", 4096), 0)
    machine.lru_add_drain_all()
    lruvec = vm.nodes[0].lruvec
    active = []
    for _ in range(4):
        inc_max_seq(vm, lruvec, False)
        active.append(vm.nodes[0].vm_stat[LRU_ACTIVE_ANON])
    assert active == [1, 0, 0, 1]
    assert gen_of(vm, touched) == 3
    machine.validate()


@pytest.mark.parametrize(
    ("sp", "pv", "answer"),
    [
        ((0, 0, 1), (63, 64, 2), True),
        ((0, 0, 1), (64, 64, 2), False),
        ((0, 1000, 1), (100, 1000, 1), False),
        ((106, 1000, 1), (100, 1000, 1), True),
        ((105, 1000, 1), (100, 1000, 1), False),
    ],
)
def test_the_controller(sp: tuple[int, int, int], pv: tuple[int, int, int], answer: bool) -> None:
    """pv has under 64 refaults, or pv.refaulted (sp.total + 64) <= (sp.refaulted + 1) pv.total."""
    assert positive_ctrl_err(CtrlPos(*sp), CtrlPos(*pv)) is answer


def test_the_kind_that_refaults_less_is_scanned() -> None:
    _, vm = machine_with()
    lrugen = vm.nodes[0].lruvec.lrugen
    assert get_type_to_scan(lrugen, 60) == (LRU_GEN_FILE, 3)
    lrugen.numbers[REFAULTED + 4] = lrugen.numbers[EVICTED + 4] = 1000
    assert get_type_to_scan(lrugen, 60) == (LRU_GEN_ANON, 3)
    lrugen.numbers[AVG_REFAULTED + 1] = lrugen.numbers[AVG_TOTAL + 1] = 500
    assert get_tier_idx(lrugen, LRU_GEN_ANON) == 0
    assert get_tier_idx(lrugen, LRU_GEN_FILE) == 3


def test_an_aging_is_due_when_few_are_old() -> None:
    machine, vm = machine_with()
    lruvec = vm.nodes[0].lruvec
    read_some(machine, 100)
    assert should_run_aging(lruvec, False) == (False, 100)
    try_to_inc_min_seq(vm, lruvec, False)
    assert should_run_aging(lruvec, False) == (False, 100)
    inc_max_seq(vm, lruvec, False)
    inc_max_seq(vm, lruvec, False)
    assert lruvec.lrugen.min_seq(LRU_GEN_FILE) == 2
    sc = control()
    assert get_nr_to_scan(vm, lruvec, sc, False) == 100 >> 12
    sc.priority = 3
    assert get_nr_to_scan(vm, lruvec, sc, False) == 100 >> 3


def test_the_first_priority_fits_what_is_wanted() -> None:
    machine, vm = machine_with()
    read_some(machine, 1000)
    pgdat, sc = vm.nodes[0], control()
    set_initial_priority(vm, pgdat, sc)
    assert sc.priority == 12
    for nr_to_reclaim, priority in ((64, 6), (65, 6)):
        sc = ScanControl(nr_to_reclaim, GFP_KERNEL, 2, 0)
        set_initial_priority(vm, pgdat, sc)
        assert sc.priority == priority


def test_an_eviction_promotes_what_lies_around_a_used_folio() -> None:
    machine, vm = machine_with(swap="1 MiB")
    region = machine.mmap("region", "800 KiB")
    pfns = [machine.touch(region, index) for index in range(200)]
    machine.lru_add_drain_all()
    lruvec = vm.nodes[0].lruvec
    for _ in range(2):
        inc_max_seq(vm, lruvec, True)
    try_to_inc_min_seq(vm, lruvec, True)
    _, scan = isolate_folios(vm, lruvec, control(), 200)
    assert scan.list == pfns[:64]
    assert folio_check_references(vm, pfns[40], control()) == FOLIOREF_KEEP
    young = [index for index, pfn in enumerate(pfns) if vm.folios.young[pfn]]
    assert young == [*range(8), *range(72, 200)]
    marked = [pfn for pfn in pfns[:64] if vm.folios.flags[pfn] & PG_referenced]
    assert marked == pfns[8:64]
    machine.lru_add_drain_all()
    assert [gen_of(vm, pfn) for pfn in (pfns[64], pfns[71], pfns[72])] == [1, 1, 3]


def test_a_refault_from_the_oldest_generation_counts_for_its_tier() -> None:
    machine, vm = machine_with()
    file = machine.open("file", "64 KiB")
    for index in range(16):
        machine.read(file, index)
        machine.read(file, index)
    other = machine.open("other", "16 MiB")
    read_all(machine, other)
    lruvec = vm.nodes[0].lruvec
    shadow = vm.folios.mappings[file.id].i_pages[0]
    _, nid, token, workingset = unpack_shadow(shadow)
    assert (nid, token >> 2, token & 3, workingset) == (0, 1, 0, True)
    assert lruvec.lrugen.min_seq(LRU_GEN_FILE) == 1
    before = lruvec.lrugen.of_tier(REFAULTED, LRU_GEN_FILE, 1)
    machine.read(file, 0)
    assert lruvec.lrugen.of_tier(REFAULTED, LRU_GEN_FILE, 1) == before + 1
    assert vm.nodes[0].vm_stat[WORKINGSET_ACTIVATE_BASE + 1] == 1
    machine.validate()


def test_a_boost_alone_reclaims_nothing() -> None:
    """kswapd may not write then, so lru_gen_shrink_node() leaves at once."""
    machine, vm = machine_with()
    read_some(machine, 1000)
    zone = machine.zone()
    zone.watermark_boost = 100
    free = zone.vm_stat[0]
    kswapd(vm, vm.nodes[0])
    assert zone.vm_stat[0] == free
    assert zone.watermark_boost == 0


def test_folios_change_lists_when_it_is_turned_off_and_on() -> None:
    machine, vm = machine_with()
    pfns = read_some(machine, 10)
    touched = machine.touch(machine.mmap("region", 4096), 0)
    machine.lru_add_drain_all()
    before = state_of(machine)
    machine.lru_gen(False)
    assert lru_folios(vm, 0, LRU_INACTIVE_FILE) == pfns[::-1]
    assert lru_folios(vm, 0, LRU_ACTIVE_ANON) == [touched]
    machine.validate()
    machine.lru_gen(True)
    assert (gen_of(vm, pfns[0]), gen_of(vm, touched)) == (1, 3)
    machine.validate()
    machine.undo()
    machine.undo()
    assert state_of(machine) == before


def test_a_folio_whose_buffers_are_in_use_is_activated() -> None:
    machine, vm = machine_with()
    file = machine.open("file", "16 MiB")
    busy = machine.read(file, 0)
    folio_set_flags(vm.folios, busy, PG_private)
    for index in range(1, file.nr_pages):
        machine.read(file, index)
    assert vm.folios.mappings[file.id].i_pages[0] == busy
    assert gen_of(vm, busy) == 3
    machine.validate()


def test_buffers_in_use_move_along() -> None:
    machine, vm = machine_with()
    busy = read_some(machine, 1500)[-1]
    mapping, index = vm.folios.mappings[vm.folios.mapping[busy]], vm.folios.index[busy]
    folio_set_flags(vm.folios, busy, PG_private)
    machine.alloc_contig_range(busy, busy + 1)
    moved = mapping.i_pages[index]
    assert moved != busy
    assert vm.folios.flags[moved] & PG_private


@pytest.mark.parametrize("how", [{"lru_gen": True}, {"reclaim": True, "lru_gen": 1}])
def test_what_cannot_be(how: dict[str, Any]) -> None:
    with pytest.raises(BadDescription, match="lru_gen"):
        Machine("16 MiB", **how)

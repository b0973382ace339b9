"""Folios that move: what goes with them, what keeps them, and in which order. By hand."""

from __future__ import annotations

import pytest
from movable import START, fill, movable_machine, told

from memsim import Machine
from memsim.mm.folio import folio_get
from memsim.mm.migrate import Targets, count_isolated, migrate_pages, putback_movable_pages
from memsim.mm.mm_inline import folio_isolate_lru
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.trace.folio_steps import WORD_REFCOUNT
from memsim.words.compaction import MIGRATE_ASYNC, MIGRATE_SYNC, MR_COMPACTION
from memsim.words.errno import ENOMEM
from memsim.words.gfp import GFP_HIGHUSER_MOVABLE
from memsim.words.mmzone import NULL
from memsim.words.page_flags import (
    LRU_INACTIVE_ANON,
    NR_ISOLATED_ANON,
    NR_ISOLATED_FILE,
    PG_dirty,
    PG_locked,
    PG_referenced,
    PG_writeback,
)


class Fresh(Targets):
    """Targets are new pages, `limit` of them; what was given and given back."""

    def __init__(self, machine: Machine, limit: int = 1 << 20) -> None:
        self.vm, self.limit = machine.vm, limit
        self.given: list[int] = []
        self.back: list[int] = []

    def get_new_folio(self, src: int) -> int:
        if len(self.given) == self.limit:
            return NULL
        dst = alloc_pages(self.vm, GFP_HIGHUSER_MOVABLE, 0, 0)
        self.vm.folios.words[WORD_REFCOUNT][dst] = 1
        self.given.append(dst)
        return dst

    def put_new_folio(self, dst: int) -> None:
        self.vm.folios.words[WORD_REFCOUNT][dst] = 0
        free_unref_page(self.vm, dst, 0)
        self.back.append(dst)


def isolate(machine: Machine, *folios: int) -> list[int]:
    """Take folios off their LRU lists, as compaction does."""
    for folio in folios:
        assert folio_isolate_lru(machine.vm, folio)
        count_isolated(machine.vm, folio, 1)
    return list(folios)


def test_a_folio_of_a_region_is_found_at_its_new_place() -> None:
    machine = movable_machine(1024)
    region, _ = fill(machine, 3)
    vm, folios = machine.vm, machine.vm.folios
    folios.flags[START + 1] |= PG_referenced
    moving = isolate(machine, START + 1)
    targets = Fresh(machine)
    assert migrate_pages(vm, moving, targets, MIGRATE_ASYNC, MR_COMPACTION) == (0, 1)
    new = targets.given[0]
    assert folios.mappings[region.id].i_pages == {0: START, 1: new, 2: START + 2}
    assert (folios.index[new], folios.mapcount[new], folios.refcount[new]) == (1, 1, 2)
    assert folios.flags[new] & PG_referenced
    assert (folios.mapping[START + 1], folios.refcount[START + 1]) == (0, 0)
    assert vm.page_state[START + 1] & 0x20 == 0
    assert vm.nodes[0].vm_stat[NR_ISOLATED_ANON] == 0
    machine.lru_add_drain_all()
    assert vm.next[vm.nodes[0].lruvec.lists[LRU_INACTIVE_ANON]] == new
    machine.validate()


def test_a_dirty_page_of_a_file_stays_dirty_and_is_counted_where_it_is() -> None:
    machine = movable_machine(1024)
    file = machine.open("file", "1 MiB")
    old = machine.write(file, 7)
    machine.lru_add_drain_all()
    moving = isolate(machine, old)
    assert machine.vm.nodes[0].vm_stat[NR_ISOLATED_FILE] == 1
    targets = Fresh(machine)
    assert migrate_pages(machine.vm, moving, targets, MIGRATE_SYNC, MR_COMPACTION) == (0, 1)
    assert machine.read(file, 7) == targets.given[0]
    assert machine.vm.folios.flags[targets.given[0]] & PG_dirty
    machine.lru_add_drain_all()
    machine.validate()


def test_a_folio_that_somebody_holds_stays_and_its_target_goes_back() -> None:
    machine = movable_machine(1024)
    _, _ = fill(machine, 3)
    folio_get(machine.vm.folios, START + 1)
    moving = isolate(machine, START, START + 1, START + 2)
    targets = Fresh(machine)
    assert migrate_pages(machine.vm, moving, targets, MIGRATE_ASYNC, MR_COMPACTION) == (1, 2)
    assert moving == [START + 1]
    assert targets.back == [targets.given[1]]
    assert told(machine, 0, "mm_migrate_pages")[-1] == (
        "mm_migrate_pages: nr_succeeded=2 nr_failed=1 nr_thp_succeeded=0 nr_thp_failed=0 "
        "nr_thp_split=0 nr_split=0 mode=MIGRATE_ASYNC reason=compaction"
    )
    putback_movable_pages(machine.vm, moving)
    assert machine.vm.nodes[0].vm_stat[NR_ISOLATED_ANON] == 0


def test_sync_migration_tries_once_as_async_does_and_then_alone() -> None:
    """So the one that is held gets a target twice; only the second failure counts."""
    machine = movable_machine(1024)
    fill(machine, 2)
    folio_get(machine.vm.folios, START)
    moving = isolate(machine, START, START + 1)
    targets = Fresh(machine)
    assert migrate_pages(machine.vm, moving, targets, MIGRATE_SYNC, MR_COMPACTION) == (1, 1)
    assert len(targets.given) == 3
    assert len(targets.back) == 2
    assert "nr_succeeded=1 nr_failed=1" in told(machine, 0, "mm_migrate_pages")[-1]


def test_a_folio_that_nobody_has_any_longer_is_freed_without_a_target() -> None:
    machine = movable_machine(1024)
    region, _ = fill(machine, 1)
    moving = isolate(machine, START)
    machine.drop(region, 0)
    targets = Fresh(machine)
    assert migrate_pages(machine.vm, moving, targets, MIGRATE_ASYNC, MR_COMPACTION) == (0, 1)
    assert targets.given == []
    assert machine.vm.page_state[START] & 0x20 == 0
    machine.validate()


def test_without_targets_the_rest_is_not_tried() -> None:
    """Two of four get one, and move; the two others are the caller's."""
    machine = movable_machine(1024)
    fill(machine, 4)
    moving = isolate(machine, *range(START, START + 4))
    found = migrate_pages(machine.vm, moving, Fresh(machine, 2), MIGRATE_ASYNC, MR_COMPACTION)
    assert found == (-ENOMEM, 2)
    assert moving == [START + 2, START + 3]


@pytest.mark.parametrize(("flag", "attempts"), [(PG_writeback, 1), (PG_locked, 10)])
def test_busy_folios_fail_at_once_or_after_ten_passes(flag: int, attempts: int) -> None:
    """-EBUSY is for good; a lock is tried again, each time with a target of its own."""
    machine = movable_machine(1024)
    fill(machine, 1)
    machine.vm.folios.flags[START] |= flag
    targets = Fresh(machine)
    moving = isolate(machine, START)
    assert migrate_pages(machine.vm, moving, targets, MIGRATE_ASYNC, MR_COMPACTION) == (1, 0)
    assert len(targets.given) == len(targets.back) == attempts
    assert moving == [START]


def test_512_pages_are_unmapped_before_the_first_moves() -> None:
    """All targets are had before any folio is freed, 512 at a time."""
    machine = movable_machine(2048)
    fill(machine, 600)
    moving = isolate(machine, *range(START, START + 600))
    before = machine.vm.trace.ring.written
    targets = Fresh(machine)
    migrate_pages(machine.vm, moving, targets, MIGRATE_ASYNC, MR_COMPACTION)
    names = [traced.event.NAME for traced in machine.events(before)]
    names = [name for name in names if name in ("mm_page_alloc", "mm_page_free")]
    runs = [names[:512], names[512:1024], names[1024:1112], names[1112:]]
    assert [set(run) for run in runs] == [{"mm_page_alloc"}, {"mm_page_free"}] * 2
    assert len(names) == 1200

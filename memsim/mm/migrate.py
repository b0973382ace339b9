"""Migration: folios move to other pages, and whoever had them finds them there.

First as many folios as possible get a target and are unmapped, then they are moved one by one.
NOT MODELLED: waiting for locks and for writeback (such a folio fails), splitting of large folios,
hugetlb, movable pages outside of LRU lists, migration entries between the two passes.

Kernel: mm/migrate.c
"""

from __future__ import annotations

from memsim.mm.folio import folio_clear_flags, folio_pgdat, mod_node_page_state
from memsim.mm.mm_inline import folio_is_file_lru
from memsim.mm.mmzone import PG_ORDER, Vm
from memsim.mm.rmap import references_of_places, replace_folio
from memsim.mm.swap import folio_add_lru, folio_put, folio_putback_lru, lru_add_drain
from memsim.trace.compaction_events import (
    MM_MIGRATE_PAGES,
    MM_MIGRATE_PAGES_START,
    MmMigratePages,
)
from memsim.trace.events import TP_COMPACTION
from memsim.words.compaction import (
    MIGRATE_ASYNC,
    MIGRATEPAGE_SUCCESS,
    MIGRATEPAGE_UNMAP,
    NR_MAX_BATCHED_MIGRATION,
)
from memsim.words.errno import EAGAIN, EBUSY, ENOMEM
from memsim.words.mmzone import HPAGE_PMD_ORDER, NULL
from memsim.words.page_flags import (
    NR_ISOLATED_ANON,
    PG_active,
    PG_locked,
    PG_mlocked,
    PG_unevictable,
    PG_writeback,
)

#: Passes over folios that may move at the next one.
NR_MAX_MIGRATE_PAGES_RETRY = 10
NR_MAX_MIGRATE_ASYNC_RETRY = 3
NR_MAX_MIGRATE_SYNC_RETRY = NR_MAX_MIGRATE_PAGES_RETRY - NR_MAX_MIGRATE_ASYNC_RETRY


class Targets:
    """Where folios move to. Kernel: new_folio_t and free_folio_t of include/linux/migrate.h."""

    def get_new_folio(self, src: int) -> int:
        """A page, or block, for src, held once; NULL when there is none."""
        raise NotImplementedError

    def put_new_folio(self, dst: int) -> None:
        """It was not used."""
        raise NotImplementedError


class Migration:
    """One migrate_pages(): mode and targets, what failed for good, and struct migrate_pages_stats.

    Counts are base pages; those of thp folios.
    """

    __slots__ = (
        "mode", "nr_failed_pages", "nr_succeeded", "nr_thp_failed", "nr_thp_succeeded",
        "ret_folios", "targets", "vm",
    )  # fmt: skip

    def __init__(self, vm: Vm, targets: Targets, mode: int) -> None:
        self.vm = vm
        self.targets = targets
        self.mode = mode
        self.ret_folios: list[int] = []
        self.nr_succeeded = self.nr_failed_pages = 0
        self.nr_thp_succeeded = self.nr_thp_failed = 0

    def succeeded(self, order: int) -> None:
        """A folio has moved, or was nobody's."""
        self.nr_succeeded += 1 << order
        self.nr_thp_succeeded += order >= HPAGE_PMD_ORDER

    def failed(self, order: int) -> None:
        """A folio has not."""
        self.nr_failed_pages += 1 << order
        self.nr_thp_failed += order >= HPAGE_PMD_ORDER


def folio_order(vm: Vm, folio: int) -> int:
    """Order of a folio. Kernel: include/linux/mm.h folio_order()."""
    return vm.page_state[folio] & PG_ORDER


def count_isolated(vm: Vm, folio: int, sign: int) -> None:
    """The folio counts in NR_ISOLATED_* of its node (sign 1), or no longer (-1)."""
    item = NR_ISOLATED_ANON + folio_is_file_lru(vm, folio)
    mod_node_page_state(vm, folio_pgdat(vm, folio), item, sign << folio_order(vm, folio))


def putback_movable_pages(vm: Vm, folios: list[int]) -> None:
    """Put isolated folios back: they queue for their LRU lists. The list is empty afterwards.

    Kernel: mm/migrate.c putback_movable_pages()
    """
    for folio in folios:
        count_isolated(vm, folio, -1)
        folio_putback_lru(vm, folio)
    folios.clear()


def migrate_pages(
    vm: Vm, folios: list[int], targets: Targets, mode: int, reason: int
) -> tuple[int, int]:
    """Move isolated folios: (how many did not move, or -ENOMEM; base pages that moved).

    folios keeps those that did not, for putback_movable_pages(). 512 pages are done at a time.
    Kernel: mm/migrate.c migrate_pages()
    """
    if vm.trace.mask & TP_COMPACTION:
        vm.trace.emit(MM_MIGRATE_PAGES_START, mode, reason)
    migration = Migration(vm, targets, mode)
    rc_gather = 0
    while folios:
        batch = _cut_batch(vm, folios)
        if mode == MIGRATE_ASYNC:
            rc = migrate_pages_batch(
                migration, batch, mode, NR_MAX_MIGRATE_PAGES_RETRY, migration.ret_folios
            )
        else:
            rc = migrate_pages_sync(migration, batch)
        migration.ret_folios += batch
        if rc < 0:
            rc_gather = rc
            break
        rc_gather += rc
    folios[:0] = migration.ret_folios
    _trace_end(migration, reason)
    return (rc_gather if folios else 0), migration.nr_succeeded


def _cut_batch(vm: Vm, folios: list[int]) -> list[int]:
    """Take the first folios off, up to NR_MAX_BATCHED_MIGRATION pages."""
    nr_pages = nr_folios = 0
    while nr_folios < len(folios) and nr_pages < NR_MAX_BATCHED_MIGRATION:
        nr_pages += 1 << folio_order(vm, folios[nr_folios])
        nr_folios += 1
    batch = folios[:nr_folios]
    del folios[:nr_folios]
    return batch


def _trace_end(migration: Migration, reason: int) -> None:
    trace = migration.vm.trace
    if trace.mask & TP_COMPACTION:
        event = MmMigratePages(
            migration.nr_succeeded, migration.nr_failed_pages, migration.nr_thp_succeeded,
            migration.nr_thp_failed, 0, 0, migration.mode, reason,
        )  # fmt: skip
        trace.emit(MM_MIGRATE_PAGES, *event.record())


def migrate_pages_sync(migration: Migration, folios: list[int]) -> int:
    """Try all as async migration does, then those that failed one by one: how many failed.

    Kernel: mm/migrate.c migrate_pages_sync()
    """
    attempt = Migration(migration.vm, migration.targets, MIGRATE_ASYNC)
    failed: list[int] = []
    rc = migrate_pages_batch(attempt, folios, MIGRATE_ASYNC, NR_MAX_MIGRATE_ASYNC_RETRY, failed)
    migration.nr_succeeded += attempt.nr_succeeded
    migration.nr_thp_succeeded += attempt.nr_thp_succeeded
    if rc < 0:
        migration.nr_failed_pages += attempt.nr_failed_pages
        migration.nr_thp_failed += attempt.nr_thp_failed
        migration.ret_folios += failed
        return rc
    folios += failed
    nr_failed = 0
    while folios:
        one = [folios.pop(0)]
        rc = migrate_pages_batch(
            migration, one, migration.mode, NR_MAX_MIGRATE_SYNC_RETRY, migration.ret_folios
        )
        migration.ret_folios += one
        if rc < 0:
            return rc
        nr_failed += rc
    return nr_failed


def migrate_pages_batch(
    migration: Migration, folios: list[int], mode: int, nr_pass: int, ret_folios: list[int]
) -> int:
    """Unmap folios, then move them: how many did not move, or -ENOMEM.

    Those that failed for good, or were unmapped in vain, are added to ret_folios; folios keeps the
    others. Kernel: mm/migrate.c migrate_pages_batch()
    """
    unmapped: list[tuple[int, int]] = []
    nr_failed, rc_saved = _unmap_all(migration, folios, mode, nr_pass, unmapped, ret_folios)
    if rc_saved and not unmapped:
        return rc_saved
    nr_failed += _move_all(migration, unmapped, nr_pass)
    for src, dst in unmapped:
        ret_folios.append(src)
        migration.targets.put_new_folio(dst)
    return rc_saved or nr_failed


def _unmap_all(
    migration: Migration,
    folios: list[int],
    mode: int,
    nr_pass: int,
    unmapped: list[tuple[int, int]],
    ret_folios: list[int],
) -> tuple[int, int]:
    """(folios that failed, -ENOMEM or 0): the first pass of migrate_pages_batch(), with retries."""
    nr_failed = retry_pages = 0
    retry = list(folios)
    for _ in range(nr_pass):
        todo, retry, retry_pages = retry, [], 0
        for src in todo:
            order = folio_order(migration.vm, src)
            rc, dst = migrate_folio_unmap(migration, src, mode)
            if rc == -EAGAIN:
                retry.append(src)
                retry_pages += 1 << order
                continue
            if rc == -ENOMEM:
                migration.failed(order)
                migration.nr_failed_pages += retry_pages
                return nr_failed + 1, rc
            folios.remove(src)
            if rc == MIGRATEPAGE_SUCCESS:
                migration.succeeded(order)
            elif rc == MIGRATEPAGE_UNMAP:
                unmapped.append((src, dst))
            else:
                nr_failed += 1
                migration.failed(order)
                ret_folios.append(src)
        if not retry:
            break
    migration.nr_failed_pages += retry_pages
    return nr_failed + len(retry), 0


def migrate_folio_unmap(migration: Migration, src: int, mode: int) -> tuple[int, int]:
    """(MIGRATEPAGE_UNMAP and a target; MIGRATEPAGE_SUCCESS for a folio that nobody has any longer).

    -ENOMEM: no target. -EAGAIN, -EBUSY: it is locked, or being written out, now.
    Kernel: mm/migrate.c migrate_folio_unmap()
    """
    vm = migration.vm
    if vm.folios.refcount[src] == 1:
        folio_clear_flags(vm.folios, src, PG_active | PG_unevictable)
        migrate_folio_done(vm, src)
        return MIGRATEPAGE_SUCCESS, NULL
    dst = migration.targets.get_new_folio(src)
    if dst == NULL:
        return -ENOMEM, NULL
    flags = vm.folios.flags[src]
    if flags & (PG_locked | PG_writeback):
        migration.targets.put_new_folio(dst)
        return (-EAGAIN if flags & PG_locked else -EBUSY), NULL
    return MIGRATEPAGE_UNMAP, dst


def _move_all(migration: Migration, unmapped: list[tuple[int, int]], nr_pass: int) -> int:
    """Move what is unmapped; unmapped keeps what did not move. How many that are.

    A folio that others hold would be tried nr_pass times, in vain: nobody else runs meanwhile.
    """
    left = []
    for src, dst in unmapped:
        order = folio_order(migration.vm, src)
        if migrate_folio_move(migration.vm, src, dst):
            migration.succeeded(order)
        else:
            left.append((src, dst))
            migration.failed(order)
    unmapped[:] = left
    return len(left)


def migrate_folio_move(vm: Vm, src: int, dst: int) -> bool:
    """Let dst take src's place, unless somebody besides its mapping and ptes holds src.

    dst queues for its LRU list, and src is freed. Kernel: mm/migrate.c migrate_folio_move()
    """
    if vm.folios.refcount[src] != 1 + references_of_places(vm, src):
        return False
    mlocked = vm.folios.flags[src] & PG_mlocked
    is_file = folio_is_file_lru(vm, src)
    replace_folio(vm, src, dst)
    folio_add_lru(vm, dst)
    if mlocked:
        lru_add_drain(vm)
    folio_put(vm, dst)
    # what src was is in dst's flags now
    item = NR_ISOLATED_ANON + is_file
    mod_node_page_state(vm, folio_pgdat(vm, src), item, -1 << folio_order(vm, src))
    folio_put(vm, src)
    return True


def migrate_folio_done(vm: Vm, src: int) -> None:
    """A folio is isolated no longer, and let go of. Kernel: mm/migrate.c migrate_folio_done()."""
    count_isolated(vm, src, -1)
    folio_put(vm, src)

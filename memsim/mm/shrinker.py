"""Caches of objects that can be made again: each has a shrinker, two functions in a table.

NOT MODELLED: shrinkers of memcgs (shrink_slab_memcg()), and that another one comes in between.

Kernel: mm/shrinker.c
"""

from __future__ import annotations

from collections.abc import Callable

from memsim.mm.mmzone import Vm
from memsim.trace.events import TP_STEPS
from memsim.trace.folio_steps import SHRINKER
from memsim.trace.vmscan_events import (
    MM_SHRINK_SLAB_END,
    MM_SHRINK_SLAB_START,
    TP_VMSCAN,
    emit,
)

DEFAULT_SEEKS = 2
SHRINK_BATCH = 128
#: What scan_objects returns to stop.
SHRINK_STOP = -1

#: Objects of a node that could be freed.
CountObjects = Callable[[Vm, int], int]
#: (vm, nid, nr_to_scan): objects of a node that were freed, or SHRINK_STOP.
ScanObjects = Callable[[Vm, int, int], int]


class Shrinker:
    """struct shrinker: seeks says how dear an object is to make again; batch 0 is SHRINK_BATCH.

    `nr_deferred` has for each node what earlier rounds should have scanned. `name` is a number.
    """

    __slots__ = ("batch", "count_objects", "id", "name", "nr_deferred", "scan_objects", "seeks")

    def __init__(
        self, id: int, name: int, count: CountObjects, scan: ScanObjects, nr_nodes: int
    ) -> None:
        self.id = id
        self.name = name
        self.count_objects = count
        self.scan_objects = scan
        self.seeks = DEFAULT_SEEKS
        self.batch = 0
        self.nr_deferred = [0] * nr_nodes


def shrinker_register(vm: Vm, name: str, count: CountObjects, scan: ScanObjects) -> Shrinker:
    """A shrinker that reclaim asks from now on, behind those it has; at boot.

    Kernel: mm/shrinker.c shrinker_register()
    """
    shrinkers = vm.folios.shrinkers
    shrinker = Shrinker(len(shrinkers), vm.trace.number_of(name), count, scan, len(vm.nodes))
    shrinkers.append(shrinker)
    return shrinker


def mm_account_reclaimed_pages(vm: Vm, pages: int) -> None:
    """A shrinker's objects gave whole pages back, which count as reclaimed.

    Kernel: include/linux/swap.h mm_account_reclaimed_pages()
    """
    vm.folios.reclaimed_slab += pages


def _set_deferred(vm: Vm, shrinker: Shrinker, nid: int, value: int) -> None:
    old = shrinker.nr_deferred[nid]
    if old != value and vm.trace.mask & TP_STEPS:
        vm.trace.step(SHRINKER, shrinker.id, nid, old, value)
    shrinker.nr_deferred[nid] = value


def shrink_delta(shrinker: Shrinker, freeable: int, priority: int) -> int:
    """Objects that a round should scan for itself. Kernel: mm/shrinker.c do_shrink_slab()."""
    if shrinker.seeks:
        return (freeable >> priority) * 4 // shrinker.seeks
    return freeable // 2


def do_shrink_slab(vm: Vm, shrinker: Shrinker, nid: int, gfp_mask: int, priority: int) -> int:
    """Ask one shrinker: objects freed. What is less than a batch waits for a later round.

    Kernel: mm/shrinker.c do_shrink_slab()
    """
    freeable = shrinker.count_objects(vm, nid)
    if freeable <= 0:
        return 0
    nr = shrinker.nr_deferred[nid]
    _set_deferred(vm, shrinker, nid, 0)
    delta = shrink_delta(shrinker, freeable, priority)
    total_scan = min((nr >> priority) + delta, 2 * freeable)
    if vm.trace.mask & TP_VMSCAN:
        numbers = nr, gfp_mask, freeable, delta, total_scan, priority
        emit(vm.trace, MM_SHRINK_SLAB_START, shrinker.name, nid, *numbers)
    freed, scanned = _scan(vm, shrinker, nid, freeable, total_scan)
    new_nr = min(max(nr + delta - scanned, 0), 2 * freeable)
    _set_deferred(vm, shrinker, nid, new_nr)
    if vm.trace.mask & TP_VMSCAN:
        numbers_left = nr, new_nr, total_scan - scanned, freed
        emit(vm.trace, MM_SHRINK_SLAB_END, shrinker.name, nid, *numbers_left)
    return freed


def _scan(vm: Vm, shrinker: Shrinker, nid: int, freeable: int, total_scan: int) -> tuple[int, int]:
    """(objects freed, scanned), batch by batch; a smaller one only where it is the whole cache."""
    batch_size = shrinker.batch or SHRINK_BATCH
    freed = scanned = 0
    while total_scan >= batch_size or total_scan >= freeable:
        nr_to_scan = min(batch_size, total_scan)
        ret = shrinker.scan_objects(vm, nid, nr_to_scan)
        if ret == SHRINK_STOP:
            break
        freed += ret
        total_scan -= nr_to_scan
        scanned += nr_to_scan
    return freed, scanned


def shrink_slab(vm: Vm, gfp_mask: int, nid: int, priority: int) -> int:
    """Ask all shrinkers, in the order in which they came: objects freed.

    Kernel: mm/shrinker.c shrink_slab()
    """
    return sum(
        do_shrink_slab(vm, shrinker, nid, gfp_mask, priority) for shrinker in vm.folios.shrinkers
    )

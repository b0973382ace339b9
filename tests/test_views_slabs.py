"""Lesson 09's log, widget and counts: where slabs are, by which path a request is served."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from memsim import Machine
from memsim.mm.slub.partial import partial_slabs
from memsim.mm.slub.slab import get_node
from memsim.views import lesson09
from memsim.views.slabs import (
    IN_USE,
    LOCKLESS,
    ON_FREELIST,
    SlabLog,
    SlabSteps,
    all_five_places,
    of_two_cpus,
)


def test_each_path_is_named() -> None:
    story = all_five_places()
    gets = [e.path for e in story.entries if " gets " in e.operation]
    assert set(gets) == {lesson09.FAST, *(path for _, path in lesson09.ALLOC_PATHS)}
    story.machine.validate_caches()


def test_the_log_agrees_with_the_counters_after_each_operation() -> None:
    log = of_two_cpus()
    live: list[int] = []
    for turn in range(120):
        if turn % 5 < 3:
            live.append(log.alloc(turn % 2))
        else:
            log.free(live.pop(turn % len(live)), turn // 2 % 2)
        slabs = log.entries[-1].slabs
        n = get_node(log.cache, 0)
        assert sum(slab.objects.count(IN_USE) for slab in slabs) == len(live)
        assert len(slabs) == n.nr_slabs
        on_node = [slab for slab in slabs if slab.place == "partial list of node 0"]
        assert len(on_node) == len(partial_slabs(log.cache, n)) == n.nr_partial
        for slab in slabs:
            assert slab.frozen == slab.place.endswith("allocates from it")
            assert slab.frozen or LOCKLESS not in slab.objects
            assert slab.place != "on no list" or set(slab.objects) == {IN_USE}


def test_an_object_of_another_cpu_s_slab_waits_on_the_slab_s_freelist() -> None:
    log = of_two_cpus()
    mine = [log.alloc(0), log.alloc(0)]
    log.free(mine[0], 1)
    (slab,) = log.entries[-1].slabs
    assert sorted(slab.objects) == sorted([IN_USE, LOCKLESS, LOCKLESS, ON_FREELIST])
    assert str(slab) == (
        "slab 1: CPU 0 allocates from it, frozen; 1 in use, 2 on the lockless list, "
        "1 on the slab's freelist"
    )


def test_the_names_of_objects_are_their_places() -> None:
    machine = Machine("64 MiB", cpus=2, slab=True)
    log = SlabLog(machine, machine.kmem_cache_create("large", 8192))
    objects = sorted(log.alloc(0) for _ in range(4))
    assert [log.name_of(address) for address in objects] == ["1.0", "1.1", "1.2", "1.3"]
    assert [b - a for a, b in pairwise(objects)] == [8192] * 3


def test_an_empty_slab_that_goes_is_in_the_log_no_more() -> None:
    log = of_two_cpus()
    objects = [log.alloc(0) for _ in range(80)]
    for address in objects:
        log.free(address, 1)
    gone = [e for e in log.entries if e.path == "the slab goes back to the page allocator"]
    assert gone
    assert len(gone[0].slabs) < 20


def test_the_widget_shows_the_operation_of_its_slider() -> None:
    steps = SlabSteps(all_five_places())
    assert steps.text() == "A new cache."
    steps.operation.value = 1
    told = r"CPU 0 gets 1\.[0-3]: a new slab\.\n  slab 1: CPU 0 allocates"
    assert re.match(told, steps.text())
    assert "allocate_slab(): 8 pages" in steps.picture.value
    assert steps.picture.value.count("set_freepointer") == 0
    steps.operation.value = 1000
    assert steps.operation.value == len(steps.story.entries) - 1


@pytest.mark.parametrize("under_way", [0, 3, 300])
def test_counts_are_complete(under_way: int) -> None:
    counts = lesson09.pass_on(1000, under_way)
    assert sum(counts.allocs.values()) == 1000
    assert sum(counts.frees.values()) == 1000 - under_way
    assert counts.frees[lesson09.FAST] == 0
    moved = counts.frees["the CPU's partial list, which moves to the node"]
    assert counts.moved >= counts.allocs["the node's partial list"] + moved
    assert counts.list_lock == counts.moved + counts.emptied


def test_the_free_that_empties_a_slab_takes_list_lock() -> None:
    counted = lesson09.Counted(8192)  # four objects in a slab
    objects = [counted.alloc(0) for _ in range(5)]
    for address in objects[:3]:
        counted.free(address, 1)
    assert counted.counts.list_lock == 0
    counted.free(objects[3], 1)
    assert (counted.counts.emptied, counted.counts.moved) == (1, 0)
    counted.free(objects[4], 1)  # of the slab that CPU 0 allocates from: frozen
    assert counted.counts.list_lock == 1


def test_a_slab_of_one_object_is_full_before_it_is_empty() -> None:
    counted = lesson09.Counted(32_768)
    assert counted.cache.oo[1] == 1
    first, _ = counted.alloc(0), counted.alloc(0)
    counted.free(first, 1)
    assert counted.counts.list_lock == 0


def test_one_cpu_needs_no_lock() -> None:
    assert lesson09.ping_pong(200).list_lock == 0
    counts = lesson09.take(1000)
    assert (counts.allocs["a new slab"], counts.list_lock) == (16, 0)

"""Counters of a cache and fields of its snapshot that lie are found; and estimates of /proc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_replay_slab import snapshot_of

from memsim import GFP_KERNEL, Machine
from memsim.mm.kmalloc import kfree_sensitive
from memsim.mm.restore import Field, restore
from memsim.mm.slub import stats
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.debug_options import setup_slub_debug
from memsim.mm.slub.debug_state import SlabDebug
from memsim.mm.slub.debug_validate import validate_slab_cache
from memsim.mm.slub.free import _kmem_cache_free_bulk, slab_free
from memsim.mm.slub.partial import put_partials
from memsim.mm.slub.restore import restore_slab
from memsim.mm.slub.slab import KmemCache, Random, Slab, get_node
from memsim.mm.slub.snapshot import cache_lists
from memsim.mm.slub.store import store
from memsim.mm.slub.validate import validate_caches
from memsim.trace.trace import Trace
from memsim.words.errno import EINVAL
from memsim.words.errors import BadInput, ValidationError
from memsim.words.mmzone import NULL
from memsim.words.slab import (
    NUMA_NO_NODE,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_NO_MERGE,
    SLAB_POISON,
    SLAB_STORE_USER,
)


class Lived:
    """Four objects a slab: 3 is CPU 0's, 2 and 1 are its partial slabs, 0 is on the node's list."""

    def __init__(self) -> None:
        self.machine = Machine("64 MiB", cpus=2, slab=True, steps=False)
        self.s = self.machine.kmem_cache_create("mine", 8192, flags=SLAB_NO_MERGE)
        self.s.random_seq = []
        self.slabs: list[Slab] = []
        for _ in range(13):
            got = slab_alloc_node(self.s, GFP_KERNEL, NUMA_NO_NODE)
            assert got is not None
            if got[1] == 0:
                self.slabs.append(got[0])
        slab_free(self.s, self.slabs[0], 0)
        put_partials(self.s, self.s.cpu_slab[0])
        for number in (1, 2):
            slab_free(self.s, self.slabs[number], 0)


def debugged(flags: int, size: int = 100) -> tuple[KmemCache, Slab]:
    """A cache that debugs, with one object out."""
    machine = Machine("64 MiB", slab=True, steps=False)
    s = machine.kmem_cache_create("mine", size, flags=flags)
    got = slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE)
    assert got is not None
    return s, got[0]


@pytest.mark.parametrize(
    ("counter", "line"),
    [
        ("nr_partial", "SLUB mine: 1 partial slabs counted but counter=4"),
        ("nr_slabs", "SLUB: mine 1 slabs counted but counter=4"),
    ],
)
def test_a_node_s_counters_are_held_against_its_lists(counter: str, line: str) -> None:
    """Kernel: mm/slub.c validate_slab_node()."""
    s, _ = debugged(SLAB_STORE_USER)
    setattr(get_node(s, 0), counter, 4)
    s.vm.slab.debug.kunit_errors = 0
    assert validate_slab_cache(s) == 1
    assert s.vm.slab.log == [line]
    assert s.vm.slab.debug.kunit_errors == 1


def test_a_slab_that_counts_too_few_objects_is_put_right() -> None:
    """All are in use but the first. Kernel: mm/slub.c on_freelist()."""
    s, slab = debugged(SLAB_CONSISTENCY_CHECKS)
    fits = slab.objects
    for _ in range(fits - 1):
        slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE)
    slab_free(s, slab, 0)
    slab.objects = fits - 1
    validate_slab_cache(s)
    told = [line.partition(": ")[2] for line in s.vm.slab.log if line.startswith(("BUG", "FIX"))]
    assert told == [
        f"Wrong number of objects. Found {fits - 1} but should be {fits}",
        "Number of objects adjusted",
    ]
    assert slab.objects == fits


def test_of_one_byte_only_the_end_is_poisoned() -> None:
    """Kernel: mm/slub.c check_object(), init_object()."""
    s, slab = debugged(SLAB_POISON, size=1)
    assert slab.memory is not None
    at = slab.freelist * s.size
    assert slab.memory[at] == 0xA5
    slab.memory[at] = 0x6B
    validate_slab_cache(s)
    (told,) = [line for line in s.vm.slab.log if line.startswith("[")]
    assert told.startswith("[End Poison overwritten] 0x")
    assert told.endswith("First byte 0x6b instead of 0xa5")


def test_empty_blocks_of_slab_debug_are_skipped() -> None:
    """Kernel: mm/slub.c parse_slub_debug_flags()."""
    plain, padded = SlabDebug(), SlabDebug()
    setup_slub_debug(plain, "F,mine;Z")
    setup_slub_debug(padded, ";;F,mine;;;Z")
    assert padded.slub_debug == plain.slub_debug != 0


def test_a_very_long_list_is_estimated_from_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six slabs with 1, 1, 1, 2, 3 and 3 of 4 objects free; the outer two each: 8 of 4, 12 of 6.

    Kernel: mm/slub.c count_partial_free_approx()
    """
    lived = Lived()
    s = lived.s
    objects = [slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE) for _ in range(40)]
    by_slab: dict[int, list[int]] = {}
    slabs: list[Slab] = []
    for got in objects:
        assert got is not None
        if got[0] not in slabs:
            slabs.append(got[0])
        by_slab.setdefault(slabs.index(got[0]), []).append(got[1])
    whole = [number for number, taken in by_slab.items() if len(taken) == 4][:6]
    for number, nr in zip(whole, (1, 1, 1, 2, 3, 3), strict=True):
        slab_free(s, slabs[number], by_slab[number][0])
        put_partials(s, s.cpu_slab[0])
        for obj in by_slab[number][1:nr]:
            slab_free(s, slabs[number], obj)
    n = get_node(s, 0)
    assert n.nr_partial == 6
    assert stats.count_partial_free_approx(s, n) == 11
    monkeypatch.setattr(stats, "MAX_PARTIAL_TO_SCAN", 4)
    assert stats.count_partial_free_approx(s, n) == 12


# Snapshots


def of(snapshot: Any, **wanted: int) -> Any:
    """A cache of the snapshot whose CPU has a slab, with these numbers."""
    return next(
        cache
        for cache in snapshot["slab"]
        if cache["cpu"][0]["slab"] and all(cache[key] == value for key, value in wanted.items())
    )


def same_address(snapshot: Any) -> str:
    snapshot["slab"][1]["addr"] = snapshot["slab"][0]["addr"]
    return "slab[1].addr: is that of another cache too"


def long_address(snapshot: Any) -> str:
    snapshot["slab"][0]["addr"] = "0x" + 20 * "f"
    return "slab[0].addr: "


def twice_in_sequence(snapshot: Any) -> str:
    sequence = of(snapshot, oo_order=0)["random_seq"]
    sequence[0] = sequence[1]
    return "random_seq: has an offset twice"


def a_list_without_a_slab(snapshot: Any) -> str:
    empty = next(cache for cache in snapshot["slab"] if not cache["cpu"][0]["slab"])
    empty["cpu"][0]["freelist"] = [0]
    return "cpu[0].freelist: the CPU has no slab"


def another_order(snapshot: Any) -> str:
    large = of(snapshot, oo_order=3)["cpu"][0]["slab"]["pfn"]
    of(snapshot, oo_order=0)["cpu"][0]["slab"]["pfn"] = large
    return f"pfn {large:#x} is no block of order 0 in use"


def an_order_that_is_not_the_cache_s(snapshot: Any) -> str:
    large = of(snapshot, oo_order=3)["cpu"][0]["slab"]["pfn"]
    small = of(snapshot, oo_order=0)
    small["cpu"][0]["slab"]["pfn"] = large
    small["slab_order_exceptions"] = [[large, 3]]
    return "order 3 is none of the cache's"


def in_two_caches(snapshot: Any) -> str:
    small = [c for c in snapshot["slab"] if c["cpu"][0]["slab"] and c["oo_order"] == 0]
    one, two, *_ = small
    two["cpu"][0]["slab"]["pfn"] = one["cpu"][0]["slab"]["pfn"]
    return f"pfn {one['cpu'][0]['slab']['pfn']:#x} is in another slab too"


@pytest.mark.parametrize(
    "lie",
    [
        same_address, long_address, twice_in_sequence, a_list_without_a_slab, another_order,
        an_order_that_is_not_the_cache_s, in_two_caches,
    ],
)  # fmt: skip
def test_a_snapshot_that_lies_is_refused_by_field(lie: Callable[[Any], str]) -> None:
    snapshot = snapshot_of("snapshot_start")
    said = lie(snapshot)
    vm = restore(snapshot, Trace(mask=0))
    with pytest.raises(BadInput) as refused:
        restore_slab(vm, Field(snapshot["slab"], "slab"), Random(0))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_node_without_memory_is_told_back() -> None:
    snapshot = snapshot_of("snapshot_start")
    empty = next(
        cache
        for cache in snapshot["slab"]
        if not cache["cpu"][0]["slab"] and not cache["node"][0]["nr_slabs"]
    )
    empty["node"] = [None]
    vm = restore(snapshot, Trace(mask=0))
    caches = restore_slab(vm, Field(snapshot["slab"], "slab"), Random(0))
    assert cache_lists(caches[int(empty["addr"], 16)])["node"] == [None]


# Invariants, broken in ways that tests/test_slub_validate.py does not


def test_a_slab_in_two_places_is_refused() -> None:
    lived = Lived()
    lived.s.cpu_slab[0].partial = lived.slabs[0]
    with pytest.raises(ValidationError, match="is in 2 places"):
        validate_caches(lived.machine.vm)


def test_a_free_object_that_is_none_of_its_slab_is_refused() -> None:
    lived = Lived()
    lived.slabs[1].freelist = -2
    lived.slabs[1].next_object[2] = NULL
    with pytest.raises(ValidationError, match="every free object has an index"):
        validate_caches(lived.machine.vm)


def test_a_page_of_a_slab_that_is_another_s_is_refused() -> None:
    lived = Lived()
    lived.machine.vm.slab.page_slab[lived.slabs[1].pfn + 1] = lived.slabs[2]
    with pytest.raises(ValidationError, match="a page is another slab's"):
        validate_caches(lived.machine.vm)


def test_one_written_to_shrink_gives_empty_slabs_back() -> None:
    """Anything else is an error. Kernel: mm/slub.c shrink_store()."""
    lived = Lived()
    for number in (0, 1):
        for obj in range(1, 4):
            slab_free(lived.s, lived.slabs[number], obj)
    assert store(lived.s, "shrink", "0") == -EINVAL
    assert get_node(lived.s, 0).nr_slabs == 4
    assert store(lived.s, "shrink", "1\n") == 0
    assert get_node(lived.s, 0).nr_slabs == 2


def test_an_object_twice_in_objects_that_nobody_has_seen_is_the_end() -> None:
    """Kernel: mm/slub.c __kmem_cache_free_bulk(), set_freepointer()."""
    lived = Lived()
    before = [(slab.inuse, slab.freelist) for slab in lived.slabs]
    _kmem_cache_free_bulk([(lived.slabs[0], 3), (lived.slabs[0], 3)])
    assert lived.machine.vm.slab.debug.oops.startswith("kernel BUG at mm/slub.c:")
    assert [(slab.inuse, slab.freelist) for slab in lived.slabs] == before


def test_nothing_is_wiped_at_an_address_that_cannot_be_freed() -> None:
    """Kernel: mm/slab_common.c kfree_sensitive()."""
    lived = Lived()
    since = lived.machine.vm.trace.ring.written
    assert kfree_sensitive(lived.machine.vm, 12345) == "is in no slab, and in no allocated page"
    assert lived.machine.events(since) == []

"""kmalloc(), kfree() and their like: addresses, events at the kernel's moments, bad pointers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memsim import GFP_KERNEL, Machine
from memsim.mm.kmalloc import (
    kfree,
    kmalloc,
    kmalloc_gfp_adjust,
    krealloc,
    ksize,
    kvmalloc_attempt,
)
from memsim.mm.kmalloc_caches import kmalloc_slab, kmem_buckets_create
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.bulk import kmem_cache_alloc_bulk
from memsim.mm.slub.kmem_cache import (
    address_of,
    kmem_cache_alloc,
    kmem_cache_free,
    virt_to_cache,
    virt_to_slab,
)
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.validate import validate_caches
from memsim.words.errno import EINVAL
from memsim.words.errors import BadFree, BadRequest, PageAllocationFailure
from memsim.words.gfp import (
    __GFP_ACCOUNT,
    __GFP_COMP,
    __GFP_DMA,
    __GFP_DMA32,
    __GFP_NOFAIL,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_RECLAIMABLE,
    __GFP_RETRY_MAYFAIL,
)
from memsim.words.slab import (
    KMALLOC_SIZES,
    NULL_PTR,
    NUMA_NO_NODE,
    SLAB_ACCOUNT,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_RED_ZONE,
    SLAB_TYPESAFE_BY_RCU,
    ZERO_SIZE_PTR,
)


@pytest.fixture
def machine() -> Machine:
    return Machine("64 MiB", slab=True, steps=False)


def told(machine: Machine, since: int) -> list[str]:
    """The texts of the events since then, without those on the way to the free lists."""
    lines = [f"{t.event.NAME}: {t.event.text()}" for t in machine.events(since)]
    return [line for line in lines if not line.startswith("mm_page_alloc_zone_locked")]


def made(machine: Machine, name: str, size: int, flags: int = 0) -> KmemCache:
    """A cache of its own."""
    s, _ = kmem_cache_create(machine.vm, name, size, flags, KmemCacheArgs(usersize=1))
    assert s is not None
    return s


@pytest.mark.parametrize(
    ("gfp", "prefix"),
    [
        (GFP_KERNEL, "kmalloc"),
        (GFP_KERNEL | __GFP_ACCOUNT, "kmalloc-cg"),
        (GFP_KERNEL | __GFP_RECLAIMABLE | __GFP_ACCOUNT, "kmalloc-rcl"),
        (GFP_KERNEL | __GFP_DMA | __GFP_RECLAIMABLE, "dma-kmalloc"),
    ],
)
def test_each_size_and_type_has_its_cache(machine: Machine, gfp: int, prefix: str) -> None:
    """The largest size of a class, and one byte above it."""
    sizes = sorted(KMALLOC_SIZES)
    for size, following in zip(sizes, [*sizes[1:], 0], strict=True):
        address = kmalloc(machine.vm, size, gfp)
        s = virt_to_cache(machine.vm.slab, address)
        assert s is not None
        named = f"{size >> 10}k" if size >= 1024 else f"{size}"
        assert s.name == f"{prefix}-{named}"
        assert (address - 0xFFFF888000000000) % (size & -size) == 0
        if following:
            above = virt_to_cache(machine.vm.slab, kmalloc(machine.vm, size + 1, gfp))
            assert above is not None
            assert above.object_size == following


def test_events_come_at_the_kernel_s_moments(machine: Machine) -> None:
    """kmalloc after the mm_page_alloc it caused, kfree before the mm_page_free."""
    vm = machine.vm
    site = vm.trace.number_of("test+0x1/0x2")
    seen = vm.trace.ring.written
    address = kmalloc(vm, 100, GFP_KERNEL | __GFP_ACCOUNT, call_site=site)
    page, ours = told(machine, seen)
    assert page.startswith("mm_page_alloc: page=ffffea")
    assert ours == (
        f"kmalloc: call_site=test+0x1/0x2 ptr={address:016x} bytes_req=100 bytes_alloc=128 "
        "gfp_flags=GFP_KERNEL_ACCOUNT node=-1 accounted=true"
    )
    seen = vm.trace.ring.written
    large = kmalloc(vm, 8193, GFP_KERNEL, node=0, call_site=site)
    page, helper, ours = told(machine, seen)
    assert "order=2 migratetype=0 gfp_flags=GFP_KERNEL|__GFP_COMP" in page
    assert helper == ours.replace("test+0x1/0x2", "__kmalloc_node_noprof+0x34a/0x430")
    assert ours.endswith("bytes_req=8193 bytes_alloc=16384 gfp_flags=GFP_KERNEL node=0 "
                         "accounted=false")  # fmt: skip
    seen = vm.trace.ring.written
    assert kfree(vm, large, site) == ""
    ours, page = told(machine, seen)
    assert ours == f"kfree: call_site=test+0x1/0x2 ptr={large:016x}"
    assert page.startswith("mm_page_free: ")
    assert page.endswith(f"pfn={large - 0xFFFF888000000000 >> 12:#x} order=2")


def test_cache_events_name_sizes_and_cache(machine: Machine) -> None:
    vm = machine.vm
    s = made(machine, "mine", 100, SLAB_ACCOUNT)
    seen = vm.trace.ring.written
    address = address_of(kmem_cache_alloc(s, GFP_KERNEL, 0))
    assert kmem_cache_free(s, address) == ""
    page, alloc, free = told(machine, seen)
    assert page.startswith("mm_page_alloc: ")
    assert alloc == (
        f"kmem_cache_alloc: call_site=0x0 ptr={address:016x} bytes_req=100 bytes_alloc=104 "
        "gfp_flags=GFP_KERNEL node=0 accounted=true"
    )
    assert free == f"kmem_cache_free: call_site=0x0 ptr={address:016x} name=mine"


def test_nothing_is_asked_for_and_nothing_is_there(machine: Machine) -> None:
    vm = machine.vm
    before = machine.snapshot()
    seen = vm.trace.ring.written
    assert kmalloc(vm, 0, GFP_KERNEL) == ZERO_SIZE_PTR
    assert told(machine, seen) == []
    for size in ((4 << 20) + 1, 1 << 40, (1 << 64) - 1):
        assert kmalloc(vm, size, GFP_KERNEL) == NULL_PTR
    assert "ptr=0000000000000000 bytes_req=4194305 bytes_alloc=8388608 " in told(machine, seen)[1]
    assert len(told(machine, seen)) == 6
    for address in (NULL_PTR, ZERO_SIZE_PTR):
        seen = vm.trace.ring.written
        assert kfree(vm, address) == ""
        assert told(machine, seen) == [f"kfree: call_site=0x0 ptr={address:016x}"]
        assert ksize(vm, address) == 0
    assert machine.snapshot() == before


def test_pointers_that_cannot_be_freed_change_nothing(machine: Machine) -> None:
    """Foreign, interior, freed: each by its own words, for kfree(), krealloc() and ksize()."""
    vm = machine.vm
    address, freed = kmalloc(vm, 64, GFP_KERNEL), kmalloc(vm, 64, GFP_KERNEL)
    assert kfree(vm, freed) == ""
    free_page = machine.alloc_pages(GFP_KERNEL)
    machine.free_pages(free_page)
    before, seen = machine.snapshot(), vm.trace.ring.written
    nowhere = "is in no slab, and in no allocated page"
    for pointer, wrong in (
        (address + 8, "is not the start of an object of cache kmalloc-64"),
        (freed, "is an object of cache kmalloc-64 that is free already"),
        (0xFFFF888000000000 + (free_page << 12), nowhere),
        (0xFFFF888000000000 + (1 << 40), nowhere),
        (0xFFFF887FFFFFF000, nowhere),
        ((1 << 64) - 12, nowhere),
        (12345, nowhere),
        (-1, nowhere),
    ):
        assert kfree(vm, pointer) == wrong
        assert krealloc(vm, pointer, 10, GFP_KERNEL) == (NULL_PTR, wrong)
        assert krealloc(vm, pointer, 0, GFP_KERNEL) == (NULL_PTR, wrong)
        assert ksize(vm, pointer) == -EINVAL or "object" in wrong
    assert machine.snapshot() == before
    assert told(machine, seen) == []


def test_kfree_takes_pages_as_the_kernel_does(machine: Machine) -> None:
    """Any address in a block frees all of it; a single page is warned of, once."""
    vm = machine.vm
    for order in (3, 0, 0):
        pfn = machine.alloc_pages(GFP_KERNEL | __GFP_COMP, order)
        inside = 0xFFFF888000000000 + (pfn << 12) + 100
        assert ksize(vm, inside) == 0
        assert ksize(vm, inside - 100) == (32768 if order else 0)
        assert kfree(vm, inside) == ""
        assert kfree(vm, inside) == "is in no slab, and in no allocated page"
        machine.validate()
    assert len(vm.slab.log) == 1
    assert vm.slab.log[0].startswith("object pointer: 0xffff8880")


def test_krealloc_keeps_what_fits(machine: Machine) -> None:
    """Up to the object's whole size; then a new object, and the old one is freed after it."""
    vm = machine.vm
    first, _ = krealloc(vm, NULL_PTR, 33, GFP_KERNEL)
    assert ksize(vm, first) == 64
    assert krealloc(vm, first, 64, GFP_KERNEL) == (first, "")
    seen = vm.trace.ring.written
    second, _ = krealloc(vm, first, 65, GFP_KERNEL)
    assert ksize(vm, second) == 96
    names = [line.split(":")[0] for line in told(machine, seen)]
    assert names == ["mm_page_alloc", "kmalloc", "kfree"]
    assert "free already" in kfree(vm, first)
    large, _ = krealloc(vm, second, 20_000, GFP_KERNEL)
    assert ksize(vm, large) == 32768
    assert krealloc(vm, large, 1, GFP_KERNEL) == (large, "")
    assert krealloc(vm, large, 5 << 20, GFP_KERNEL) == (NULL_PTR, "")
    assert krealloc(vm, large, 0, GFP_KERNEL) == (ZERO_SIZE_PTR, "")
    assert krealloc(vm, large, 0, GFP_KERNEL)[1] != ""
    validate_caches(vm)


def test_krealloc_of_null_fires_kfree_of_null(machine: Machine) -> None:
    """Kernel: krealloc_noprof() compares the pointers only."""
    seen = machine.vm.trace.ring.written
    krealloc(machine.vm, NULL_PTR, 8, GFP_KERNEL)
    assert told(machine, seen)[-1] == "kfree: call_site=krealloc_noprof ptr=0000000000000000"


def test_ksize_stops_before_what_is_kept_behind_an_object(machine: Machine) -> None:
    sizes = {}
    for name, flags in (("plain", 0), ("rcu", SLAB_TYPESAFE_BY_RCU), ("red", SLAB_RED_ZONE)):
        s = made(machine, name, 100, flags)
        sizes[name] = ksize(machine.vm, address_of(slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE)))
    assert sizes == {"plain": 104, "rcu": 104, "red": 100}


def test_kvmalloc_tries_hard_up_to_a_page_only(machine: Machine) -> None:
    nofail = GFP_KERNEL | __GFP_NOFAIL
    assert kmalloc_gfp_adjust(nofail, 4096) == nofail
    assert kmalloc_gfp_adjust(nofail, 4097) == GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY
    retry = GFP_KERNEL | __GFP_RETRY_MAYFAIL
    assert kmalloc_gfp_adjust(retry, 4097) == retry | __GFP_NOWARN
    seen = machine.vm.trace.ring.written
    address = kvmalloc_attempt(machine.vm, 9000, GFP_KERNEL)
    assert ksize(machine.vm, address) == 16384
    sites = [line.split()[1] for line in told(machine, seen)[1:]]
    assert sites == [
        "call_site=__kmalloc_node_noprof+0x34a/0x430", "call_site=__kvmalloc_node_noprof+0x37/0xd0",
    ]  # fmt: skip


def test_buckets_are_caches_of_their_own(machine: Machine) -> None:
    vm = machine.vm
    buckets = kmem_buckets_create(vm, "msg_msg", SLAB_ACCOUNT, 48, 4096, False)
    s = virt_to_cache(vm.slab, kmalloc(vm, 100, GFP_KERNEL, buckets=buckets))
    assert s is not None
    assert (s.name, s.usersize) == ("msg_msg-128", 80)
    assert kmalloc_slab(vm.slab, 100, -1, GFP_KERNEL).name == "kmalloc-128"


def test_an_object_of_another_cache_goes_back_to_its_own_with_a_warning(machine: Machine) -> None:
    vm = machine.vm
    one, other = made(machine, "one", 100), made(machine, "other", 200)
    obj = kmem_cache_alloc(one, GFP_KERNEL, NUMA_NO_NODE)
    seen = vm.trace.ring.written
    assert kmem_cache_free(other, address_of(obj)) == ""
    assert vm.slab.log == ["cache_from_obj: Wrong slab cache. other but object is from one"]
    assert told(machine, seen)[0].endswith(" name=one")
    assert "free already" in kmem_cache_free(one, address_of(obj))
    before = machine.snapshot()
    assert kmem_cache_free(one, 0xFFFF888000000000) == ""
    assert vm.slab.log[1:] == ["virt_to_cache: Object is not a Slab page!"]
    assert machine.snapshot() == before
    assert virt_to_slab(vm.slab, 0) is None


def test_bulk_gives_the_objects_that_one_by_one_would(machine: Machine) -> None:
    """It counts each run of the lockless list once, and the slow path as always."""
    other = Machine("64 MiB", slab=True, steps=False)
    bulk, single = (made(m, "mine", 100) for m in (machine, other))
    tid = bulk.cpu_slab[0].tid
    per_slab = bulk.oo[1]
    seen = machine.vm.trace.ring.written
    got = kmem_cache_alloc_bulk(bulk, GFP_KERNEL, 2 * per_slab + 3)
    assert {line.split(":")[0] for line in told(machine, seen)} == {"mm_page_alloc"}
    one_by_one = [slab_alloc_node(single, GFP_KERNEL, NUMA_NO_NODE) for _ in got]
    assert [address_of(obj) for obj in got] == [address_of(obj) for obj in one_by_one]
    assert len({address_of(obj) for obj in got}) == len(got)
    # three new slabs: an empty run before each, a run in each, and the slow path's own
    slow_path = single.cpu_slab[0].tid - tid - 8192 * len(got)
    assert bulk.cpu_slab[0].tid - tid == 8192 * (1 + 3 + 3) + slow_path
    validate_caches(machine.vm)
    assert kmem_cache_alloc_bulk(bulk, GFP_KERNEL, 0) == []


def test_bulk_gives_all_or_none() -> None:
    machine = Machine("16 MiB", slab=True, steps=False)
    s = made(machine, "mine", 4096)
    assert kmem_cache_alloc_bulk(s, GFP_KERNEL, 5000) == []
    validate_caches(machine.vm)
    machine.validate()
    assert len(kmem_cache_alloc_bulk(s, GFP_KERNEL, 100)) == 100


def test_a_cache_that_debugs_reports_a_second_free_itself(machine: Machine) -> None:
    s = made(machine, "debugged", 100, SLAB_RED_ZONE | SLAB_CONSISTENCY_CHECKS)
    objects = kmem_cache_alloc_bulk(s, GFP_KERNEL, 3)
    for _ in range(2):
        assert kmem_cache_free(s, address_of(objects[1])) == ""
    assert any("BUG debugged" in line and "Object already free" in line
               for line in machine.vm.slab.log)  # fmt: skip


def test_a_mask_that_slab_must_not_have_is_fixed_and_said(machine: Machine) -> None:
    vm = machine.vm
    told_flags = "(GFP_DMA32). Fixing up to gfp: 0xcc0 (GFP_KERNEL). Fix your code!"
    for size in (20_000, 64):
        seen = vm.trace.ring.written
        assert kmalloc(vm, size, GFP_KERNEL | __GFP_DMA32) != NULL_PTR
        assert vm.slab.log.pop() == f"Unexpected gfp: 0x4 {told_flags}"
        page, *ours = told(machine, seen)
        assert "DMA32" not in page
        assert all("gfp_flags=GFP_KERNEL|GFP_DMA32 " in line for line in ours)


# By way of Machine


@pytest.fixture
def undoable() -> Machine:
    return Machine("64 MiB", cpus=2, slab=True)


def test_requests_by_size_can_be_taken_back(undoable: Machine) -> None:
    before = undoable.snapshot()
    small, large = undoable.kmalloc(100), undoable.kmalloc(100_000, cpu=1)
    undoable.kfree(small)
    undoable.kfree(large, cpu=1)
    grown = undoable.krealloc(undoable.kmalloc(8), 9000)
    assert undoable.ksize(grown) == 16384
    cache = undoable.kmem_cache_create("mine", 300, usersize=1)
    assert len(set(undoable.kmem_cache_alloc_bulk(cache, 40))) == 40
    undoable.validate_caches()
    after = undoable.snapshot()
    operations = len(undoable.history)
    while undoable.history:
        undoable.undo()
    assert undoable.snapshot() == before
    undoable.validate_caches()
    for _ in range(operations):
        undoable.redo()
    assert undoable.snapshot() == after


def test_bad_requests_and_pointers_get_one_line_and_change_nothing(undoable: Machine) -> None:
    machine = undoable
    cache = machine.cache("kmalloc-64")
    address = machine.kmalloc(64)
    pfn = machine.alloc_pages(GFP_KERNEL)
    machine.free_pages(pfn)
    before, history = machine.snapshot(), len(machine.history)
    refused: list[tuple[type[Exception], Callable[[], object]]] = [
        (BadRequest, lambda: machine.kmalloc(-1)),
        (BadRequest, lambda: machine.kmalloc("8")),  # type: ignore[arg-type]
        (BadRequest, lambda: machine.kmalloc(1 << 64)),
        (BadRequest, lambda: machine.kmalloc(8, 1 << 40)),
        (BadRequest, lambda: machine.kmalloc(8, cpu=2)),
        (BadRequest, lambda: machine.kmalloc(8, nid=1)),
        (BadRequest, lambda: machine.kmalloc(8, buckets=7)),
        (BadFree, lambda: machine.kfree(address + 1)),
        (BadFree, lambda: machine.kfree((1 << 64) - 12)),
        (BadFree, lambda: machine.kfree(0xFFFF888000000000 + (pfn << 12))),
        (BadFree, lambda: machine.krealloc(address + 8, 100)),
        (BadRequest, lambda: machine.kfree(None)),  # type: ignore[arg-type]
        (BadRequest, lambda: machine.ksize(5)),
        (BadRequest, lambda: machine.kmem_cache_alloc_bulk(cache, -1)),
        (BadRequest, lambda: machine.kmem_cache_alloc_bulk(cache, 1 << 20)),
        (BadRequest, lambda: Machine("64 MiB").kmalloc(8)),
        (BadRequest, lambda: Machine("64 MiB").kfree(8)),
    ]
    for error, call in refused:
        with pytest.raises(error, match=r"^[ -~]{1,200}$"):
            call()
    assert machine.snapshot() == before
    assert len(machine.history) == history
    for size in (4 << 20 | 1, (1 << 64) - 1):
        with pytest.raises(PageAllocationFailure, match="no memory"):
            machine.kmalloc(size)
    machine.kfree(NULL_PTR)
    machine.kfree(machine.kmalloc(0))
    assert machine.snapshot() == before
    other = machine.kmalloc(64)
    machine.kfree(address)
    machine.kfree(other)
    with pytest.raises(BadFree, match="free already"):
        machine.kfree(address)

"""Making caches: steps that no recorded cache shows, each worked by hand."""

from __future__ import annotations

import pytest

from memsim import GFP_KERNEL, Machine, PageAllocationFailure
from memsim.mm.kmalloc import kmalloc_size_roundup
from memsim.mm.mmzone import Vm
from memsim.mm.slab_common import (
    KmemCacheArgs,
    calculate_alignment,
    kmem_cache_create,
    kmem_cache_destroy,
)
from memsim.mm.slub.validate import validate_caches
from memsim.words.errno import EINVAL, ENOMEM
from memsim.words.gfp import __GFP_COMP, __GFP_DMA32, __GFP_MEMALLOC, __GFP_NOWARN
from memsim.words.slab import (
    SLAB_CACHE_DMA32,
    SLAB_HWCACHE_ALIGN,
    SLAB_NO_MERGE,
    SLAB_RECLAIM_ACCOUNT,
    SLAB_RED_ZONE,
)


@pytest.fixture
def vm() -> Vm:
    return Machine("64 MiB", slab=True, steps=False).vm


def machine_full() -> Machine:
    """A machine whose every page is taken."""
    machine = Machine("32 MiB", slab=True, steps=False)
    try:
        while True:
            machine.alloc_pages(GFP_KERNEL | __GFP_MEMALLOC | __GFP_NOWARN)
    except PageAllocationFailure:
        return machine


@pytest.mark.parametrize(
    ("size", "align"), [(8, 8), (9, 16), (16, 16), (17, 32), (20, 32), (33, 64), (100, 64)]
)
def test_small_objects_share_a_cache_line(size: int, align: int) -> None:
    """64, halved while the object fits twice. Kernel: calculate_alignment()."""
    assert calculate_alignment(SLAB_HWCACHE_ALIGN, 0, size) == align
    assert calculate_alignment(SLAB_HWCACHE_ALIGN, 128, size) == 128
    assert calculate_alignment(0, 0, size) == 8


@pytest.mark.parametrize(("size", "order"), [(32_768, 3), (32_769, 4), (100_000, 5), (4 << 20, 10)])
def test_objects_of_more_than_a_slab_have_blocks_of_their_own(
    vm: Vm, size: int, order: int
) -> None:
    """Kernel: mm/slub.c calculate_order(): the last resort, get_order(size)."""
    s, error = kmem_cache_create(vm, "large", size, SLAB_NO_MERGE, KmemCacheArgs())
    assert error == 0
    assert s is not None
    assert s.oo == (order, 1)


def test_what_debugging_makes_too_large_is_refused(vm: Vm) -> None:
    """4 MiB and a red zone are more than a block of order 10. Kernel: calculate_sizes()."""
    caches = list(vm.slab.slab_caches)
    made = kmem_cache_create(vm, "large", 4 << 20, SLAB_RED_ZONE, KmemCacheArgs())
    assert made == (None, -EINVAL)
    assert vm.slab.slab_caches == caches


def test_memory_of_zone_dma32_is_asked_for_by_the_cache(vm: Vm) -> None:
    """Kernel: mm/slub.c calculate_sizes()."""
    s, _ = kmem_cache_create(vm, "low", 100, SLAB_CACHE_DMA32, KmemCacheArgs())
    assert s is not None
    assert s.allocflags == __GFP_COMP | __GFP_DMA32


def test_caches_of_two_kinds_are_not_shared_and_a_shared_one_stays_until_the_last_goes(
    vm: Vm,
) -> None:
    """Kernel: mm/slab_common.c find_mergeable(), kmem_cache_destroy()."""
    made = [
        kmem_cache_create(vm, name, 200, flags, KmemCacheArgs())[0]
        for name, flags in (("a", 0), ("b", SLAB_RECLAIM_ACCOUNT), ("c", 0))
    ]
    a, b, c = made
    assert a is not None
    assert a is c is not b
    assert kmem_cache_destroy(a)
    assert a.refcount == 1
    assert a in vm.slab.slab_caches
    assert kmem_cache_destroy(a)
    assert a not in vm.slab.slab_caches


def test_without_pages_there_is_no_cache_and_no_large_memory() -> None:
    """Objects for the structs run out first. Kernel: create_cache(), ___kmalloc_large_node()."""
    machine = machine_full()
    vm, error, nr = machine.vm, 0, 0
    while not error:
        before = list(vm.slab.slab_caches)
        nr += 1
        _, error = kmem_cache_create(vm, f"a{nr}", 100, SLAB_NO_MERGE, KmemCacheArgs())
    assert error == -ENOMEM
    assert vm.slab.slab_caches == before
    validate_caches(vm)
    with pytest.raises(PageAllocationFailure, match="no memory"):
        machine.kmalloc(8193)
    with pytest.raises(PageAllocationFailure, match="failed with error -12"):
        machine.kmem_buckets_create("none")


def test_what_kmalloc_cannot_give_is_not_rounded_up(vm: Vm) -> None:
    """Kernel: mm/slab_common.c kmalloc_size_roundup()."""
    state = vm.slab
    assert kmalloc_size_roundup(state, 0) == 0
    assert kmalloc_size_roundup(state, (4 << 20) + 1) == (4 << 20) + 1

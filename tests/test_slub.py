"""Objects out of caches and back: no object twice, none lost, pages given back in the end."""

from __future__ import annotations

import random

import pytest

from memsim import GFP_KERNEL, Machine, PageAllocationFailure
from memsim.mm.kmalloc_caches import kmalloc_slab, kmem_cache_init
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create, kmem_cache_destroy
from memsim.mm.slub.alloc import Object, chain_of, slab_alloc_node
from memsim.mm.slub.bulk import kmem_cache_alloc_bulk
from memsim.mm.slub.free import kmem_cache_free_bulk, slab_free
from memsim.mm.slub.shrink import kmem_cache_shrink
from memsim.mm.slub.slab import KmemCache
from memsim.words.gfp import __GFP_MEMALLOC
from memsim.words.slab import NUMA_NO_NODE, SLAB_HWCACHE_ALIGN


def booted(**description: object) -> Machine:
    """A machine with its slab allocator up."""
    machine = Machine("64 MiB", steps=False, **description)  # type: ignore[arg-type]
    kmem_cache_init(machine.vm, seed=1)
    return machine


def lived(machine: Machine, s: KmemCache, seed: int) -> list[Object]:
    """The objects that 20,000 random requests and frees on any CPU leave in use."""
    chance = random.Random(seed)
    live: list[Object] = []
    for _ in range(20_000):
        machine.vm.set_cpu(chance.randrange(machine.vm.nr_cpus))
        draw = chance.random()
        if draw < 0.52 or len(live) < 8:
            got = slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE)
            assert got is not None
            live.append(got)
        elif draw < 0.95:
            place = chance.randrange(len(live))
            live[place], live[-1] = live[-1], live[place]
            slab, obj = live.pop()
            slab_free(s, slab, obj)
        else:
            batch, live = live[-8:], live[:-8]
            kmem_cache_free_bulk(batch)
    return live


@pytest.mark.parametrize("cpus", [1, 3])
@pytest.mark.parametrize("size", [8, 64, 1000, 8192])
def test_no_object_is_given_twice_and_all_come_back(size: int, cpus: int) -> None:
    machine = booted(cpus=cpus)
    free_before = [zone.vm_stat[0] for zone in machine.vm.zones]
    s = kmalloc_slab(machine.vm.slab, size, -1, GFP_KERNEL)
    live = lived(machine, s, seed=size + cpus)
    assert len({(slab.pfn, obj) for slab, obj in live}) == len(live)
    for slab, obj in live:
        slab_free(s, slab, obj)
    assert not kmem_cache_shrink(s)
    machine.drain_all_pages()
    for cpu in range(cpus):
        machine.vmstat_update(cpu=cpu)
    assert [zone.vm_stat[0] for zone in machine.vm.zones] >= free_before
    machine.validate()


def test_caches_of_one_kind_are_shared() -> None:
    """Less than a word apart, same flags: one cache; with a usercopy region, one of its own."""
    state = booted().vm.slab
    vm = state.slab_caches[0].vm
    first, _ = kmem_cache_create(vm, "a", 200, SLAB_HWCACHE_ALIGN, KmemCacheArgs())
    same, _ = kmem_cache_create(vm, "b", 250, SLAB_HWCACHE_ALIGN, KmemCacheArgs())
    own, _ = kmem_cache_create(vm, "c", 250, SLAB_HWCACHE_ALIGN, KmemCacheArgs(usersize=8))
    assert first is same
    assert own is not first
    assert first is not None
    assert (first.refcount, first.object_size) == (2, 250)


def test_a_cache_with_objects_out_cannot_be_taken_away_whole() -> None:
    vm = booted().vm
    s, _ = kmem_cache_create(vm, "mine", 100, 0, KmemCacheArgs(usersize=1))
    assert s is not None
    got = slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE)
    assert got is not None
    assert not kmem_cache_destroy(s)
    assert s not in vm.slab.slab_caches
    assert vm.slab.log[-1] == (
        "kmem_cache_destroy mine: Slab cache still has objects when called from 0x0"
    )


def test_a_cache_s_structs_lie_on_the_nodes_they_are_for() -> None:
    """struct kmem_cache on this CPU's node, each struct kmem_cache_node on its own."""
    vm = Machine(["64 MiB"] * 3, cpus=3, slab=True).vm
    s, _ = kmem_cache_create(vm, "mine", 100, 0, KmemCacheArgs(usersize=1))
    assert s is not None
    assert [(slab.slab_cache.name, slab.nid) for slab, _ in s.structs] == [
        ("kmem_cache", 0), ("kmem_cache_node", 0), ("kmem_cache_node", 1), ("kmem_cache_node", 2),
    ]  # fmt: skip


def exhaust(machine: Machine) -> None:
    """Take every page there is; the next request raises."""
    while True:
        machine.alloc_pages(GFP_KERNEL | __GFP_MEMALLOC)


def test_a_bulk_request_that_fails_leaves_the_freelist_as_it_was() -> None:
    """What it took was never seen by a user: it goes back unturned, unlike what users free."""
    machine = booted()
    s = kmalloc_slab(machine.vm.slab, 512, -1, GFP_KERNEL)
    taken = kmem_cache_alloc_bulk(s, GFP_KERNEL, 3)
    c = s.cpu_slab[0]
    assert c.slab is not None
    before = chain_of(c.slab, c.freelist)
    assert len(before) > 1
    with pytest.raises(PageAllocationFailure):
        exhaust(machine)
    assert kmem_cache_alloc_bulk(s, GFP_KERNEL, 1000) == []
    slab, obj = taken[0]
    slab_free(s, slab, obj)
    assert chain_of(slab, slab.freelist if c.slab is not slab else c.freelist) == [obj, *before]

"""A Machine whose caches debug: frees of anything are the kernel's to judge, and undone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import BadRequest, KernelBug, Machine
from memsim.mm.slub.slab import KmemCache
from memsim.trace.steps import SlabFreelist
from memsim.views.narrate_slab import narrate_slab
from memsim.words.slab import SLAB_CONSISTENCY_CHECKS, SLAB_NO_MERGE, SLAB_POISON


def held(cache: KmemCache) -> list[tuple[int, int, bool, int, bytes]]:
    """All that the cache's slabs hold."""
    return [
        (pfn, slab.inuse, slab.frozen, slab.freelist, bytes(slab.memory or b""))
        for pfn, slab in sorted(cache.vm.slab.page_slab.items())
        if slab.slab_cache is cache
    ]


def test_what_the_kernel_judges_itself() -> None:
    """Frees of a free object and of a pointer into one are reports, not errors."""
    machine = Machine("32 MiB", slab=True, slab_debug="F,kmalloc-64")
    cache = machine.cache("kmalloc-64")
    obj = machine.kmem_cache_alloc(cache)
    machine.kmem_cache_free(cache, obj + 8)
    machine.kmem_cache_free(cache, obj)
    machine.kmem_cache_free(cache, machine.kmem_cache_alloc(cache))
    machine.kmem_cache_free(cache, obj)
    machine.validate_caches()
    titles = [line.partition("): ")[2] for line in machine.slab_log() if line.startswith("BUG")]
    assert titles == [
        f"Invalid object pointer 0x{obj + 8:016x}",
        "Slab has 0 allocated objects but 1 are to be freed",
    ]


def test_without_checks_the_kernel_dies_and_nothing_has_happened() -> None:
    machine = Machine("32 MiB", slab=True)
    cache = machine.kmem_cache_create("x", 64, flags=SLAB_POISON)
    first, second = (machine.kmem_cache_alloc(cache) for _ in range(2))
    machine.kmem_cache_free(cache, first)
    before = held(cache)
    with pytest.raises(KernelBug, match=r"^kernel BUG at mm/slub\.c:547!$"):
        machine.kmem_cache_free(cache, first)
    assert held(cache) == before
    machine.kmem_cache_free(cache, second)


def test_memory_that_is_not_kept() -> None:
    machine = Machine("32 MiB", slab=True)
    plain = machine.kmem_cache_create("plain", 64, flags=SLAB_NO_MERGE)
    kept = machine.kmem_cache_create("kept", 64, flags=SLAB_POISON)
    obj, other = machine.kmem_cache_alloc(plain), machine.kmem_cache_alloc(kept)
    for address in (obj, 0, -1):
        with pytest.raises(BadRequest, match="in no slab of a cache that debugs"):
            machine.read_memory(address, 1)
    with pytest.raises(BadRequest, match="count=40960: not all of it is in the slab"):
        machine.write_memory(other, bytes(40960))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1 << 16)), max_size=40))
def test_any_misuse_is_survived_and_taken_back(steps: list[tuple[int, int]]) -> None:
    """Writes anywhere, frees of anything: no hang, no traceback, and undo brings all back."""
    machine = Machine("32 MiB", slab=True)
    flags = SLAB_POISON | (SLAB_CONSISTENCY_CHECKS if len(steps) % 2 else 0)
    cache = machine.kmem_cache_create("x", 500, flags=flags)
    first = held(cache)
    nr = len(machine.history)
    got = [machine.kmem_cache_alloc(cache)]
    for kind, value in steps:
        try:
            if kind == 0:
                got.append(machine.kmem_cache_alloc(cache))
            elif kind == 1 and machine.slab_at(got[value % len(got)]):
                machine.kmem_cache_free(cache, got[value % len(got)] + value % 2)
            elif kind == 2 and machine.slab_at(got[0]):
                machine.write_memory(got[0] + value % 400, value.to_bytes(3, "little"))
            else:
                machine.validate_slab_cache(cache)
        except KernelBug:
            continue
    while len(machine.history) > nr:
        machine.undo()
    assert held(cache) == first


def test_steps_of_a_corrupt_list_are_told() -> None:
    """The wild pointer that a request makes the slab's freelist is named as one."""
    machine = Machine("32 MiB", slab=True)
    cache = machine.kmem_cache_create("x", 64, flags=SLAB_POISON)
    obj = machine.kmem_cache_alloc(cache)
    machine.kmem_cache_free(cache, obj)
    machine.write_memory(obj + cache.offset, b"\x00" * 8)
    first = len(machine.steps())
    machine.kmem_cache_alloc(cache)
    told = [narrate_slab(s) for s in machine.steps(first) if isinstance(s, SlabFreelist)]
    assert [line.partition("freelist ")[2] for line in told] == [
        "begins with a wild pointer, inuse 1, not frozen"
    ]

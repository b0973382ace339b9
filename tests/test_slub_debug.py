"""SLUB's debugging: what the KUnit suite expects, every report, and no change unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memsim import GFP_KERNEL, Machine
from memsim.lib.list import list_for_each
from memsim.mm.kmalloc import kmem_cache_init
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create, kmem_cache_destroy
from memsim.mm.slub.alloc import Object, slab_alloc_node
from memsim.mm.slub.debug_track import skip_orig_size_check
from memsim.mm.slub.debug_validate import validate_slab_cache
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.memory import obj_to_ptr, read_bytes, write_bytes
from memsim.mm.slub.slab import KmemCache
from memsim.words.slab import (
    NUMA_NO_NODE,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_KMALLOC,
    SLAB_NO_MERGE,
    SLAB_NO_USER_FLAGS,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
)

EXAMPLES = Path(__file__).parent / "data" / "worked_examples_slab.json"


DEBUG = SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER


def created(name: str, size: int, flags: int) -> KmemCache:
    """A cache on a machine of its own."""
    machine = Machine("64 MiB", steps=False)
    kmem_cache_init(machine.vm, seed=1)
    args = KmemCacheArgs()
    s, _ = kmem_cache_create(machine.vm, name, size, flags | SLAB_NO_USER_FLAGS, args)
    assert s is not None
    return s


def allocated(s: KmemCache, orig_size: int = 0) -> Object:
    got = slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE, orig_size)
    assert got is not None
    return got


def poke(got: Object, offset: int, data: bytes) -> None:
    """Write to an object, or beyond it."""
    assert write_bytes(got[0], obj_to_ptr(*got) + offset, data)


def peek(got: Object, offset: int, count: int) -> bytes:
    data = read_bytes(got[0], obj_to_ptr(*got) + offset, count)
    assert data is not None
    return data


class Kunit:
    """One case of the suite: a cache whose errors are counted."""

    def __init__(self, size: int, flags: int) -> None:
        self.s = created("TestSlub", size, flags)
        self.debug = self.s.vm.slab.debug
        self.debug.kunit_errors = 0

    def validated(self) -> int | None:
        """Errors since the last time, with those of a check of the whole cache."""
        validate_slab_cache(self.s)
        return self.counted()

    def counted(self) -> int | None:
        errors, self.debug.kunit_errors = self.debug.kunit_errors, 0
        return errors


def kunit() -> dict[str, int | None]:
    """The errors in each case of lib/slub_kunit.c."""
    found: dict[str, int | None] = {}
    test = Kunit(64, SLAB_RED_ZONE)
    got = allocated(test.s)
    poke(got, 64, b"\x12")
    found["write past end with red zone"] = test.validated()
    slab_free(test.s, *got)
    assert kmem_cache_destroy(test.s)

    test = Kunit(64, SLAB_POISON)
    got = allocated(test.s)
    slab_free(test.s, *got)
    before = peek(got, test.s.offset, 8)
    poke(got, test.s.offset, bytes([before[0] ^ 0xFF]))
    found["corrupt free pointer (poison)"] = test.validated()
    poke(got, test.s.offset, before)
    found["…after restoring the pointer"] = test.validated()
    found["…validated again"] = test.validated()
    assert kmem_cache_destroy(test.s)

    for case, at, value in (("first byte", 0, b"\x78"), ("50th byte", 50, b"\x9a")):
        test = Kunit(64, SLAB_POISON)
        got = allocated(test.s)
        slab_free(test.s, *got)
        poke(got, at, value)
        found[f"{case} after free (poison)"] = test.validated()

    test = Kunit(64, SLAB_RED_ZONE)
    got = allocated(test.s)
    slab_free(test.s, *got)
    poke(got, 64, b"\xab")
    found["red zone after free"] = test.validated()

    test = Kunit(32, SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE)
    got = allocated(test.s, 18)
    poke(got, 18, b"\xab\xab")
    found["kmalloc(18) in 32-byte cache, write bytes 18-19"] = test.validated()

    test = Kunit(64, SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE)
    got = allocated(test.s, 48)
    for new_size in (40, 56):
        # krealloc() of 6.12 asks ksize(), and zeroes what is left.
        skip_orig_size_check(*got)
        poke(got, new_size, bytes(64 - new_size))
    found["krealloc shrink/grow"] = test.validated()

    test = Kunit(64, SLAB_NO_MERGE)
    allocated(test.s)
    assert not kmem_cache_destroy(test.s)
    found["destroy cache with one live object (test_leak_destroy, in this 6.12 too)"] = (
        test.counted()
    )

    test = Kunit(16, SLAB_NO_MERGE)
    # kmem_cache_destroy() waits for kfree_rcu() first: by then the object is free.
    slab_free(test.s, *allocated(test.s))
    assert kmem_cache_destroy(test.s)
    found["kfree_rcu, then destroy (test_kfree_rcu)"] = test.counted()
    return found


def test_the_kunit_suite_counts_the_same_errors() -> None:
    cases = json.loads(EXAMPLES.read_text("utf-8"))
    (expected,) = [case["expected"] for case in cases if case["id"] == "slub-kunit"]
    assert kunit() == expected


def held(s: KmemCache) -> list[object]:
    """All that slabs of a cache hold, and the node's lists."""
    state = s.vm.slab
    (n,) = [n for n in s.node if n is not None]
    found: list[object] = [list(list_for_each(state.next, head)) for head in (n.partial, n.full)]
    for _, slab in sorted(state.by_id.items()):
        if slab.slab_cache is s:
            following = [slab.next_object[obj] for obj in range(slab.objects)]
            counters = (slab.freelist, slab.inuse, slab.frozen)
            found.append((slab.id, counters, bytes(slab.memory or b""), following))
    return found


@pytest.mark.parametrize("flags", [DEBUG, SLAB_RED_ZONE, SLAB_POISON, SLAB_NO_MERGE])
def test_bytes_are_taken_back_and_done_again(flags: int) -> None:
    """Also those of slabs whose pages were given back."""
    machine = Machine("64 MiB", slab=True)
    s = machine.kmem_cache_create("x", 1000, flags=flags)
    seen = [held(s)]
    live: list[int] = []
    for step in range(60):
        if step % 12 < 8:
            live.append(machine.kmem_cache_alloc(s))
        else:
            machine.kmem_cache_free(s, live.pop(step % len(live)))
        seen.append(held(s))
    machine.kmem_cache_free_bulk(live)
    seen.append(held(s))
    machine.kmem_cache_shrink(s)
    seen.append(held(s))
    assert seen[-1] == [[], []]
    for before in reversed(seen[:-1]):
        machine.undo()
        assert held(s) == before
    for after in seen[1:]:
        machine.redo()
        assert held(s) == after
    assert machine.vm.slab.log == []

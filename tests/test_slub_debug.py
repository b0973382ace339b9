"""SLUB's debugging: what the KUnit suite expects, every report, and no change unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slub_objects import allocated, created, poke

from memsim import GFP_KERNEL, Machine
from memsim.lib.list import list_for_each
from memsim.mm.kmalloc import krealloc
from memsim.mm.slab_common import kmem_cache_destroy
from memsim.mm.slub.alloc import Object
from memsim.mm.slub.debug_validate import validate_slab_cache
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.memory import obj_to_ptr, read_bytes, slab_start, write_bytes
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.words.gfp import __GFP_ZERO
from memsim.words.slab import (
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


def peek(got: Object, offset: int, count: int) -> bytes:
    data = read_bytes(got[0], obj_to_ptr(*got) + offset, count)
    assert data is not None
    return data


class Kunit:
    """One case of the suite: a cache whose errors are counted."""

    def __init__(self, size: int, flags: int) -> None:
        self.s = created("TestSlub", size, flags | SLAB_NO_USER_FLAGS)
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
    poke(got, 0, b"\xff" * 48)
    vm, address = test.s.vm, obj_to_ptr(*got)
    for new_size in (40, 56):
        assert krealloc(vm, address, new_size, GFP_KERNEL | __GFP_ZERO) == (address, "")
    assert peek(got, 0, 64) == b"\xff" * 40 + bytes(24)
    found["krealloc shrink/grow"] = test.validated()
    larger, _ = krealloc(vm, address, 112, GFP_KERNEL | __GFP_ZERO)
    assert larger != address
    assert kmem_cache_destroy(test.s)

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


def checked(slab: Slab, live: dict[int, int]) -> tuple[set[int], set[int]]:
    """(offsets of bytes that are checked, offsets of pointers and sizes that steer the checks).

    Written down from the layout that mm/slub.c describes above check_pad_bytes(). live: the size
    that was asked for, of each object in use.
    """
    s = slab.slab_cache
    zones: set[int] = set()
    steering: set[int] = set()
    red, poison, user = (s.flags & f for f in (SLAB_RED_ZONE, SLAB_POISON, SLAB_STORE_USER))
    for obj in range(slab.objects):
        start = obj * s.size + (s.red_left_pad if red else 0)
        zones |= set(range(obj * s.size, start))
        if red or poison:
            zones |= set(range(start + s.object_size, start + s.inuse))
        if red and user and s.flags & SLAB_KMALLOC and obj in live:
            zones |= set(range(start + live[obj], start + s.object_size))
        if poison and obj not in live:
            zones |= set(range(start, start + s.object_size))
        end = start + s.inuse
        if s.offset >= s.inuse:
            end += 8
        steering |= set(range(start + s.offset, start + s.offset + 8))
        end += 64 if user else 0
        if user and s.flags & SLAB_KMALLOC:
            steering |= set(range(end, end + 8))
            end += 8
        if poison:
            zones |= set(range(end, (obj + 1) * s.size))
    if poison:
        assert slab.memory is not None
        zones |= set(range(slab.objects * s.size, len(slab.memory)))
    return zones, steering


Change = tuple[int, int]
CHANGES = st.lists(st.tuples(st.integers(0, 1 << 15), st.integers(0, 255)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(
    flags=st.sampled_from([0, SLAB_CONSISTENCY_CHECKS]),
    kinds=st.sets(st.sampled_from([SLAB_RED_ZONE, SLAB_POISON, SLAB_STORE_USER]), min_size=1),
    kmalloc=st.booleans(),
    size=st.integers(8, 300),
    freed=st.sets(st.integers(0, 5)),
    changes=CHANGES,
)
def test_a_change_is_found_if_and_only_if_it_is_in_a_checked_zone(
    flags: int, kinds: set[int], kmalloc: bool, size: int, freed: set[int], changes: list[Change]
) -> None:
    """And it is put back; what nobody checks stays as it was written."""
    s = created("mine", size, flags | sum(kinds) | (SLAB_KMALLOC if kmalloc else 0))
    got = [allocated(s, max(size - nr, 1)) for nr in range(6)]
    slab = got[0][0]
    live = {obj: max(size - nr, 1) for nr, (at, obj) in enumerate(got) if at is slab}
    for nr in sorted(freed):
        slab_free(s, *got[nr])
        live.pop(got[nr][1], None) if got[nr][0] is slab else None
    assert slab.memory is not None
    validate_slab_cache(s)
    assert s.vm.slab.log == []
    zones, steering = checked(slab, live)
    before = bytes(slab.memory)
    for place, value in changes:
        at = place % len(before)
        if at not in steering:
            write_bytes(slab, slab_start(slab) + at, bytes([value]))
    written = bytes(slab.memory)
    found = any(written[at] != before[at] for at in zones)
    assert _validated_until_sound(s) == found
    for at, now in enumerate(bytes(slab.memory)):
        assert now == (before if at in zones else written)[at]


def _validated_until_sound(s: KmemCache) -> bool:
    """Was there a report? A check ends at the first object that is wrong, so it is repeated."""
    first = True
    while True:
        s.vm.slab.log.clear()
        validate_slab_cache(s)
        if not s.vm.slab.log:
            return not first
        first = False


def test_memory_is_bounded() -> None:
    """Nothing is read or written beyond a slab, or in one without bytes."""
    got = allocated(created("mine", 24, SLAB_POISON))
    start, size = slab_start(got[0]), 4096 << got[0].order
    for address, count in ((start - 1, 1), (start, size + 1), (start + size, 1), (0, 8)):
        assert read_bytes(got[0], address, count) is None
        assert not write_bytes(got[0], address, bytes(count))
    plain = allocated(created("mine", 24, SLAB_NO_MERGE))
    assert read_bytes(plain[0], slab_start(plain[0]), 8) is None

"""A Machine with a slab allocator: what it refuses, and that nothing has changed then."""

from __future__ import annotations

from typing import Any

import pytest
from slab_states import state_of

from memsim import BadFree, BadRequest, Machine
from memsim.words.slab import SLAB_SKIP_KFENCE


@pytest.fixture
def machine() -> Machine:
    return Machine("32 MiB", slab=True)


@pytest.mark.parametrize(
    ("name", "size", "more", "text"),
    [
        ("", 8, {}, "name='': should be 1 to 255 characters"),
        (" a", 8, {}, "name=' a': should be 1 to 255 characters, no blank at either end"),
        ("a\nb", 8, {}, "name='a\\\\nb': should be printable ASCII"),
        ("é", 8, {}, "name='é': should be printable ASCII"),
        (b"a", 8, {}, "name=\"b'a'\": should be printable ASCII"),
        ("x" * 256, 8, {}, "name='xxxx"),
        ("x", 0, {}, "object_size=0: should be 1 byte or more"),
        ("x", (4 << 20) + 1, {}, "kmem_cache_create('x') failed with error -22"),
        ("x", 2.5, {}, "object_size='2.5': should be a whole number"),
        ("x", 8, {"align": 24}, "align=24: should be a power of two"),
        ("x", 8, {"flags": 1 << 30}, "kmem_cache_create('x') failed with error -22"),
        ("x", 8, {"flags": SLAB_SKIP_KFENCE}, "kmem_cache_create('x') failed with error -22"),
        ("x", 8, {"flags": -1}, "flags=-1: should be 0 to 2**32 - 1"),
        ("x", 64, {"freeptr_offset": 8}, "kmem_cache_create('x') failed with error -22"),
        ("x", 64, {"freeptr_offset": "8"}, "freeptr_offset='8': should be a whole number"),
        ("x", 64, {"usersize": None}, "usersize='None': should be a whole number"),
        ("x", 64, {"usersize": 8, "useroffset": -8}, "useroffset=-8: should be 0 to 2**32 - 1"),
        ("x", 64, {"cpu": 1}, "cpu=1: this machine has CPUs 0 to 0"),
    ],
)
def test_a_cache_that_cannot_be(
    machine: Machine, name: str, size: Any, more: dict[str, int], text: str
) -> None:
    before = state_of(machine)
    with pytest.raises(BadRequest) as refused:
        machine.kmem_cache_create(name, size, **more)
    assert str(refused.value).startswith(text)
    assert state_of(machine) == before
    assert not machine.history


def test_what_is_no_object_is_refused(machine: Machine) -> None:
    cache, other = (machine.kmem_cache_create(n, s) for n, s in (("a", 100), ("b", 3000)))
    address = machine.kmem_cache_alloc(cache)
    machine.kmem_cache_alloc(other)
    for bad in (0, 1, 16, address + 1, address - 1, address + (1 << 40), -1, (1 << 64) - 22):
        with pytest.raises(BadFree):
            machine.kmem_cache_free(cache, bad)
    with pytest.raises(BadRequest, match="this machine has CPUs 0 to 0"):
        machine.kmem_cache_free(cache, address, cpu=1)
    machine.kmem_cache_free(cache, address)


def test_without_slab_there_is_none() -> None:
    with pytest.raises(BadRequest, match="boot it with slab=True"):
        Machine("32 MiB").kmem_cache_create("a", 100)


def test_a_cache_that_is_gone_is_refused(machine: Machine) -> None:
    cache = machine.kmem_cache_create("a", 100)
    assert machine.kmem_cache_destroy(cache)
    with pytest.raises(BadRequest, match="that was not taken away"):
        machine.kmem_cache_alloc(cache)
    machine.undo()
    assert machine.kmem_cache_alloc(cache)

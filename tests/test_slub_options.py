"""The boot option slab_debug=: which caches debug what."""

from __future__ import annotations

import pytest

from memsim import GFP_KERNEL, Machine
from memsim.mm.kmalloc_caches import kmalloc_slab, kmem_cache_init
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create
from memsim.mm.slub.debug_options import kmem_cache_flags, setup_slub_debug
from memsim.mm.slub.debug_state import SlabDebug
from memsim.mm.slub.debug_validate import validate_slab_cache
from memsim.words.slab import (
    DEBUG_DEFAULT_FLAGS,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_DEBUG_FLAGS,
    SLAB_NO_USER_FLAGS,
    SLAB_NOLEAKTRACE,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TRACE,
)

F, Z, P, U, T = (
    SLAB_CONSISTENCY_CHECKS, SLAB_RED_ZONE, SLAB_POISON, SLAB_STORE_USER, SLAB_TRACE,
)  # fmt: skip
ALL = DEBUG_DEFAULT_FLAGS


@pytest.mark.parametrize(
    ("value", "name", "flags"),
    [
        ("", "dentry", ALL),
        ("FZPU", "dentry", F | Z | P | U),
        ("-", "dentry", 0),
        ("fz-t", "dentry", T),
        ("P,kmalloc-64", "kmalloc-64", P),
        ("P,kmalloc-64", "kmalloc-6", 0),
        ("P,kmalloc-6", "kmalloc-64", 0),
        ("P,kmalloc-*", "kmalloc-64", P),
        ("P,*", "anything", P),
        (",dentry", "dentry", ALL),
        (",dentry", "inode", 0),
        ("Z,a,b,c", "b", Z),
        ("Z,a;P,b", "b", P),
        ("Z,a;P,b", "a", Z),
        ("Z;;P,b", "b", P),
        ("Z;;P,b", "a", Z),
        ("Z,a;P", "a", Z),
        ("Z,a;P", "b", P),
        ("Z,a,", "a", Z),
        ("Z,", "a", 0),
        ("OP", "a", P),
        ("A", "a", 0),
    ],
)
def test_flags_of_a_cache(value: str, name: str, flags: int) -> None:
    debug = SlabDebug()
    assert setup_slub_debug(debug, value) == []
    assert kmem_cache_flags(debug, 0, name) == flags


def test_some_caches_are_left_alone() -> None:
    debug = SlabDebug()
    setup_slub_debug(debug, "FU")
    assert kmem_cache_flags(debug, SLAB_NO_USER_FLAGS, "a") == SLAB_NO_USER_FLAGS
    assert kmem_cache_flags(debug, SLAB_NOLEAKTRACE, "a") == SLAB_NOLEAKTRACE | F


def test_unknown_letters_are_told() -> None:
    debug = SlabDebug()
    assert setup_slub_debug(debug, "FxZ,a;q") == [
        "slab_debug option 'x' unknown. skipped",
        "slab_debug option 'q' unknown. skipped",
    ]


def test_no_debugging_where_slabs_would_grow() -> None:
    """4096 bytes with red zones need two pages; 64 with them still fit into one."""
    machine = Machine("64 MiB", steps=False)
    kmem_cache_init(machine.vm, seed=1, slab_debug="FZPUO")
    state = machine.vm.slab
    large, small = (kmalloc_slab(state, size, -1, GFP_KERNEL) for size in (4096, 64))
    assert (large.flags & SLAB_DEBUG_FLAGS, large.size) == (F, 4096)
    assert small.flags & SLAB_DEBUG_FLAGS == ALL


def test_a_kernel_that_debugs_everything_boots_sound() -> None:
    machine = Machine("64 MiB", steps=False)
    kmem_cache_init(machine.vm, seed=1, slab_debug="")
    state = machine.vm.slab
    assert all(s.flags & SLAB_DEBUG_FLAGS == ALL for s in state.slab_caches)
    twins = [kmem_cache_create(machine.vm, name, 200, 0, KmemCacheArgs())[0] for name in "ab"]
    assert twins[0] is not twins[1]
    for s in state.slab_caches:
        validate_slab_cache(s)
    assert state.log == []

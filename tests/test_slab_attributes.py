"""What /sys/kernel/slab/NAME/ tells of a cache, file by file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from memsim import GFP_KERNEL, Machine
from memsim.mm.slub.attributes import attributes
from memsim.words.slab import (
    SLAB_ACCOUNT,
    SLAB_HWCACHE_ALIGN,
    SLAB_RECLAIM_ACCOUNT,
    SLAB_TYPESAFE_BY_RCU,
)

SYSFS = Path("/sys/kernel/slab")


def test_a_new_cache_shows_its_geometry_and_nothing_else() -> None:
    machine = Machine("64 MiB", cpus=2, slab=True, steps=False)
    flags = SLAB_HWCACHE_ALIGN | SLAB_RECLAIM_ACCOUNT | SLAB_TYPESAFE_BY_RCU
    s = machine.kmem_cache_create("mine", 200, flags=flags, useroffset=8, usersize=16, ctor=True)
    shown = attributes(s)
    assert {name: text for name, text in shown.items() if text not in ("0", "")} == {
        "slab_size": "256", "object_size": "200", "objs_per_slab": "16",
        "min_partial": "5", "cpu_partial": "52", "align": "64", "hwcache_align": "1",
        "reclaim_account": "1", "destroy_by_rcu": "1", "ctor": "ctor", "usersize": "16",
        "remote_node_defrag_ratio": "100", "slabs_cpu_partial": "0(0)",
    }  # fmt: skip


def test_files_are_those_of_the_kernel() -> None:
    """slab_attrs[] as Debian 13 configures it."""
    shown = attributes(Machine("64 MiB", slab=True).cache("kmalloc-8"))
    assert " ".join(sorted(shown)) == (
        "aliases align cache_dma cpu_partial cpu_slabs ctor destroy_by_rcu hwcache_align "
        "min_partial object_size objects objects_partial objs_per_slab order partial poison "
        "reclaim_account red_zone remote_node_defrag_ratio sanity_checks shrink skip_kfence "
        "slab_size slabs slabs_cpu_partial store_user total_objects trace usersize validate"
    )


def test_aliases_are_the_other_names() -> None:
    machine = Machine("64 MiB", slab=True, steps=False)
    first = machine.kmem_cache_create("first", 1000, flags=SLAB_ACCOUNT)
    assert machine.kmem_cache_create("second", 998, flags=SLAB_ACCOUNT) is first
    assert attributes(first)["aliases"] == "1"
    assert attributes(machine.cache("kmem_cache"))["aliases"] == "0"


def test_slabs_and_objects_are_told_for_each_node_and_cpu() -> None:
    """kmalloc-4k, 8 objects a slab, on two nodes: two slabs of node 0, four of node 1."""
    machine = Machine(["64 MiB", "64 MiB"], cpus=2, slab=True, steps=False)
    s = machine.cache("kmalloc-4k")
    far = [machine.kmem_cache_alloc(s, GFP_KERNEL, cpu=1, nid=1) for _ in range(25)]
    for _ in range(16):
        machine.kmem_cache_alloc(s, GFP_KERNEL, cpu=0, nid=0)
    shown = attributes(s)
    assert shown["slabs"] == "6 N0=2 N1=4"
    assert shown["total_objects"] == shown["objects"] == "48 N0=16 N1=32"
    assert shown["cpu_slabs"] == "2 N0=1 N1=1"
    assert shown["partial"] == shown["objects_partial"] == "0"
    for obj in far[:16:4]:
        machine.kmem_cache_free(s, obj, cpu=0)
    shown = attributes(s)
    assert shown["slabs_cpu_partial"] == "8(2) C0=8(2)"
    assert shown["cpu_slabs"] == "4 N0=1 N1=3"
    machine.kmem_cache_shrink(s)
    shown = attributes(s)
    assert shown["slabs_cpu_partial"] == "0(0)"
    assert shown["partial"] == "3 N1=3"
    assert shown["objects_partial"] == "13 N1=13"
    assert shown["objects"] == "37 N0=16 N1=21"


@pytest.mark.skipif(not os.access(SYSFS / "kmalloc-64/slab_size", os.R_OK),
                    reason="this machine shows no /sys/kernel/slab")  # fmt: skip
def test_forms_are_those_of_this_machine_s_kernel() -> None:
    """Where sysfs can be read, each file that both have has the same form there."""
    shown = attributes(Machine("64 MiB", slab=True).cache("kmalloc-64"))
    for name, text in shown.items():
        path = SYSFS / "kmalloc-64" / name
        if os.access(path, os.R_OK) and text:
            form = re.compile(r"-?\d+(\(\d+\))?( [NC]\d+=\d+(\(\d+\))?)*\n")
            assert form.fullmatch(path.read_text()), name
            assert form.fullmatch(f"{text}\n"), name

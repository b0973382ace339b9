"""Sizes, orders and limits of every recorded cache, computed again; recorded slabinfo's too."""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from proc_texts import recorded, texts_of

from memsim import Machine
from memsim.mm.kmalloc_caches import KMALLOC_TYPES, kmem_cache_init
from memsim.mm.slab_common import (
    KmemCacheArgs,
    calculate_alignment,
    do_kmem_cache_create,
    kmem_cache_create,
)
from memsim.mm.slub.sizes import calculate_order, order_objects
from memsim.mm.slub.slab import KmemCache
from memsim.proc.slabinfo import parse_slabinfo
from memsim.proc.zoneinfo_parse import parse_zoneinfo
from memsim.words.slab import (
    CMPXCHG_DOUBLE,
    KMALLOC_SIZES,
    OBJECT_POISON,
    SLAB_FLAGS_PERMITTED,
    SLAB_TYPESAFE_BY_RCU,
)

Row = dict[str, Any]
#: What a caller, or boot, says; all else is computed.
GIVEN = {"cpus", "nodes", "name", "object_size", "align", "ctor", "names", "refcount"}
#: Each is one cache under several names, of which a later one had the larger objects.
GROWN = {"PING", "iommu_iova", "signal_cache"}


@cache
def rows() -> list[Row]:
    """The recorded caches of three kinds of machine."""
    with lzma.open(Path(__file__).parent / "data/caches.json.xz") as file:
        fields, *told = json.load(file)
    return [dict(zip(fields, row, strict=True)) for row in told]


@cache
def booted(cpus: int, nodes: int) -> Machine:
    machine = Machine(["32 MiB"] * nodes, cpus=cpus, steps=False)
    kmem_cache_init(machine.vm, seed=1)
    return machine


def computed(s: KmemCache) -> Row:
    """The cache's numbers, as snapshots name them."""
    direct = {name: getattr(s, name) for name in KmemCache.__slots__ if hasattr(s, name)}
    (oo_order, oo_objects), (min_order, min_objects) = s.oo, s.min
    return direct | {
        "oo_order": oo_order, "oo_objects": oo_objects, "min_order": min_order,
        "min_objects": min_objects,
    }  # fmt: skip


def differing(s: KmemCache, row: Row) -> Row:
    """{field: (computed, recorded)} of those that are not equal."""
    ours = computed(s)
    return {key: (ours[key], row[key]) for key in row.keys() - GIVEN if ours[key] != row[key]}


def freeptr_offset(row: Row) -> int:
    """A TYPESAFE_BY_RCU cache whose free pointer lies in the object was given a place for it."""
    inside = row["flags"] & SLAB_TYPESAFE_BY_RCU and row["offset"] < row["object_size"]
    return row["offset"] if inside else -1


def made(row: Row, object_size: int) -> KmemCache:
    """The cache that do_kmem_cache_create() makes, with flags as callers may give them."""
    vm = booted(row["cpus"], row["nodes"]).vm
    flags = row["flags"] & ~(CMPXCHG_DOUBLE | OBJECT_POISON)
    s = KmemCache(vm, row["name"], object_size, row["align"], flags)
    s.ctor, s.useroffset, s.usersize = row["ctor"], row["useroffset"], row["usersize"]
    assert do_kmem_cache_create(s, freeptr_offset(row)) == 0
    return s


def test_every_recorded_cache_has_the_recorded_geometry() -> None:
    """189 caches, on one CPU, on two, and on two nodes."""
    assert len(rows()) == 3 * 189
    wrong = {}
    for row in rows():
        flags, align, size = row["flags"], row["align"], row["object_size"]
        assert calculate_alignment(flags, align, size) == align, row["name"]
        different = differing(made(row, size), row)
        if different:
            wrong[row["name"], row["cpus"], row["nodes"]] = set(different)
    assert {name for name, _, _ in wrong} == GROWN
    assert all(fields == {"offset"} for fields in wrong.values())


@pytest.mark.parametrize(
    "row",
    [row for row in rows() if row["name"] in GROWN],
    ids=lambda row: f"{row['name']}-{row['cpus']}-{row['nodes']}",
)
def test_a_cache_that_grew_keeps_the_free_pointer_where_its_first_name_put_it(row: Row) -> None:
    """The first name's objects were smaller: twice the offset or up to 15 bytes more.

    A later name with larger objects shares the cache; object_size and inuse grow, nothing else.
    """
    assert len(row["names"]) == row["refcount"] > 1
    machine = Machine(["32 MiB"] * row["nodes"], cpus=row["cpus"], steps=False)
    kmem_cache_init(machine.vm, seed=1)
    flags = row["flags"] & SLAB_FLAGS_PERMITTED & ~CMPXCHG_DOUBLE
    names = [row["name"], *(name for name in row["names"] if name != row["name"])]
    sizes = [2 * row["offset"] + 8] + [row["object_size"]] * (len(names) - 1)
    assert sizes[0] < sizes[1]
    made_of = [
        kmem_cache_create(machine.vm, name, size, flags, KmemCacheArgs())[0]
        for name, size in zip(names, sizes, strict=True)
    ]
    s = made_of[0]
    assert s is not None
    assert all(other is s for other in made_of)
    assert (s.refcount, s.object_size) == (row["refcount"], row["object_size"])
    assert differing(s, row) == {}


def test_boot_makes_the_recorded_kmalloc_caches() -> None:
    """The caches that boot makes are as recorded, in the recorded order."""
    for cpus, nodes in {(row["cpus"], row["nodes"]) for row in rows()}:
        told = [row for row in rows() if (row["cpus"], row["nodes"]) == (cpus, nodes)]
        ours = booted_caches(cpus, nodes)
        boots = [row for row in told if row["name"] in ours]
        assert [row["name"] for row in boots] == list(ours)
        assert len(ours) == len(KMALLOC_TYPES) * len(KMALLOC_SIZES) + 3
        for row in boots:
            assert differing(ours[row["name"]], row) == {}, row["name"]
            assert ours[row["name"]].object_size == row["object_size"]
            assert ours[row["name"]].refcount == row["refcount"]


def booted_caches(cpus: int, nodes: int) -> dict[str, KmemCache]:
    machine = Machine(["32 MiB"] * nodes, cpus=cpus, steps=False)
    kmem_cache_init(machine.vm, seed=1)
    return {s.name: s for s in machine.vm.slab.slab_caches}


def test_orders_of_every_recorded_slabinfo() -> None:
    """objperslab and pagesperslab follow from objsize and the number of CPUs."""
    seen = 0
    for where, text in texts_of("slabinfo"):
        zones = parse_zoneinfo(recorded()[where.replace("slabinfo", "zoneinfo")])
        cpus = max(len(zone.pagesets) for zone in zones)
        for row in parse_slabinfo(text):
            order = calculate_order(row.objsize, cpus)
            expected = (1 << order, order_objects(order, row.objsize))
            assert (row.pagesperslab, row.objperslab) == expected, (where, row.name)
            seen += 1
    assert seen == 36 * 189

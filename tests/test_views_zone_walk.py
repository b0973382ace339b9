"""Lesson 04: the watched walk is the model's own, and the widget shows it whatever is chosen."""

from __future__ import annotations

import sys

import pytest

from memsim import GFP_ATOMIC, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, BadRequest, Machine
from memsim.mm.mmzone import page_zone
from memsim.views.lesson04 import counters, fill, send, zone_label, zonelist
from memsim.views.zone_walk import BITS, MACHINES, NOT_SENT, ZoneWalk


def server() -> Machine:
    return Machine(["5 GiB", "5 GiB"], cpus=2, steps=False)


@pytest.mark.parametrize("nr_zones", range(5))
@pytest.mark.parametrize("gfp_mask", [GFP_KERNEL, GFP_ATOMIC, GFP_HIGHUSER_MOVABLE])
def test_a_walk_ends_where_the_page_is(nr_zones: int, gfp_mask: int) -> None:
    machine = server()
    fill(machine, nr_zones)
    walk = send(machine, gfp_mask)
    zone = page_zone(machine.vm, walk.pfn)
    assert walk.zone is zone
    last = walk.passes[-1].looks[-1]
    assert (last.pfn, last.has_room) == (walk.pfn, True)
    refused = [look for p in walk.passes for look in p.looks[:-1]]
    assert all(look.usable <= look.needed for look in refused)
    machine.validate()


def test_a_walk_asks_zones_in_the_order_of_the_zonelist() -> None:
    machine = server()
    fill(machine, 4)
    first, second, third = send(machine, GFP_KERNEL).passes
    names = zonelist(machine, GFP_KERNEL)
    assert [zone_label(look.zone) for look in first.looks] == names[:3]  # those of the node
    assert [zone_label(look.zone) for look in second.looks] == names
    assert [zone_label(look.zone) for look in third.looks] == names[:1]
    assert [p.mark for p in (first, second, third)] == ["low, ALLOC_NOFRAGMENT", "low", "min"]


def test_a_refused_request_is_a_walk_too() -> None:
    machine = Machine("16 MiB")
    while (walk := send(machine, GFP_KERNEL, 10)).zone:
        pass
    assert walk.pfn == -1
    assert str(walk).endswith("page allocation failure")
    assert "but no block of order 10 or more" in str(walk)


def test_nobody_watches_afterwards() -> None:
    before = sys.getprofile()
    machine = server()
    send(machine, GFP_KERNEL)
    with pytest.raises(BadRequest):
        send(machine, GFP_KERNEL, order=11)
    assert sys.getprofile() is before


def test_full_zones_are_at_their_low_mark_and_the_next_is_free() -> None:
    machine = server()
    fill(machine, 1)
    normal, dma32, *_ = machine.vm.nodes[0].node_zonelists[0]
    assert normal.vm_stat[0] <= normal._watermark[1]
    assert dma32.vm_stat[0] > dma32.managed_pages - 2048
    fill(machine, 4)
    assert zone_label(send(machine, GFP_KERNEL).passes[-1].looks[-1].zone) == "node 0 Normal"


def test_counters_name_both_nodes() -> None:
    machine = server()
    fill(machine, 2)
    send(machine, GFP_KERNEL)
    told = dict(counters(machine.vm.zones))
    assert told["node 1 Normal"] == {"numa_hit": 0, "numa_miss": 1, "numa_foreign": 0}
    assert told["node 0 Normal"]["numa_foreign"] == 1


def test_the_widget_tells_bits_that_exclude_each_other() -> None:
    zone_walk = ZoneWalk()
    zone_walk.choose("__GFP_DMA", "__GFP_DMA32")
    assert zone_walk.send().endswith("its zone bits exclude each other. No caller may ask that.")
    assert zone_walk.picture.value.count("no list") == 4
    with pytest.raises(BadRequest, match="zone bits 0x5 exclude each other"):
        zonelist(zone_walk.machine, zone_walk.gfp_mask)


def test_a_choice_forgets_the_walk_and_a_sent_page_is_kept() -> None:
    zone_walk = ZoneWalk()
    first = zone_walk.send()
    assert zone_walk.send() != first  # another page
    assert zone_walk.counted(zone_walk.walk.zone)[0] == 2  # type: ignore[union-attr, arg-type]
    zone_walk.order.value = 3
    assert zone_walk.text().endswith(NOT_SENT)


@pytest.mark.parametrize("kind", MACHINES)
def test_every_machine_with_every_bit_is_shown(kind: str) -> None:
    zone_walk = ZoneWalk("four nodes of 4 GiB in a ring")
    zone_walk.node.value = 3
    zone_walk.full.value = 6
    zone_walk.kind.value = kind
    assert zone_walk.node.value < len(zone_walk.machine.vm.nodes)
    for name in (None, *BITS):
        zone_walk.choose(*filter(None, [name]))
        said = zone_walk.send()
        assert "gives pfn" in said or "page allocation failure" in said
        assert said.replace("&", "&amp;") in zone_walk.picture.value

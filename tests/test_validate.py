"""Each invariant of mm/validate.py notices when it is broken, and says so in its own sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memsim import GFP_HIGHUSER_MOVABLE, Machine, ValidationError
from memsim.lib.list import list_del, list_insert_after
from memsim.mm.mmzone import PG_BUDDY, PG_INUSE, Zone
from memsim.mm.validate import INVARIANTS, broken_invariants
from memsim.words.mmzone import MIGRATE_MOVABLE, NR_FREE_CMA_PAGES, NR_FREE_PAGES


def machine_with_a_bit_of_everything() -> Machine:
    """Free blocks of several orders, pages on a pcp list, pages in use."""
    machine = Machine.of_pages(1024, pcp=True)
    pfns = [machine.alloc_pages(GFP_HIGHUSER_MOVABLE, order) for order in (0, 0, 2, 4, 9)]
    machine.free_pages(pfns[0])
    machine.validate()
    return machine


def first_free(zone: Zone, order: int) -> int:
    """The head of a free list."""
    return zone.next[zone.free_area[order].free_list[MIGRATE_MOVABLE]]


def largest(zone: Zone) -> int:
    """The largest order that has a free block."""
    return max(order for order, area in enumerate(zone.free_area) if area.nr_free)


def break_links(zone: Zone) -> None:
    zone.prev[first_free(zone, largest(zone))] = 7


def break_alignment(zone: Zone) -> None:
    order = largest(zone)
    page = first_free(zone, order)
    head = zone.free_area[order].free_list[MIGRATE_MOVABLE]
    list_del(zone.next, zone.prev, page)
    list_insert_after(zone.next, zone.prev, page + 1, head)


def break_marks(zone: Zone) -> None:
    zone.page_state[first_free(zone, largest(zone))] = 0


def break_marks_by_a_stray_one(zone: Zone) -> None:
    zone.page_state[zone.zone_end_pfn - 1] = PG_BUDDY | 0


def break_disjoint(zone: Zone) -> None:
    zone.page_state[first_free(zone, largest(zone)) + 1] = PG_INUSE


def break_pageblock_type(zone: Zone) -> None:
    page = first_free(zone, largest(zone))
    zone.pageblock[page >> 9] = 2


def break_merged(zone: Zone) -> None:
    order = largest(zone)
    page = first_free(zone, order)
    area = zone.free_area[order]
    list_del(zone.next, zone.prev, page)
    area.nr_free -= 1
    lower = zone.free_area[order - 1]
    for half in (page, page + (1 << order - 1)):
        list_insert_after(zone.next, zone.prev, half, lower.free_list[MIGRATE_MOVABLE])
        zone.page_state[half] = PG_BUDDY | order - 1
        lower.nr_free += 1


def break_nr_free(zone: Zone) -> None:
    zone.free_area[3].nr_free += 1


def break_nr_free_pages(zone: Zone) -> None:
    zone.vm_stat[NR_FREE_PAGES] -= 1


def break_nr_free_cma(zone: Zone) -> None:
    zone.vm_stat[NR_FREE_CMA_PAGES] += 1


def break_highatomic(zone: Zone) -> None:
    zone.nr_free_highatomic = 4


def break_drift(zone: Zone) -> None:
    zone.vm_stat[NR_FREE_PAGES] -= 126 - zone.per_cpu_zonestats[0].vm_stat_diff[NR_FREE_PAGES]
    zone.per_cpu_zonestats[0].vm_stat_diff[NR_FREE_PAGES] = 126


def break_pcp_count(zone: Zone) -> None:
    zone.per_cpu_pageset[0].count += 1


def break_pcp_pages(zone: Zone) -> None:
    pcp = zone.per_cpu_pageset[0]
    zone.page_state[zone.next[pcp.lists[MIGRATE_MOVABLE]]] = PG_INUSE


def break_states(zone: Zone) -> None:
    zone.page_state[zone.zone_end_pfn - 1] = PG_BUDDY | PG_INUSE


BREAKS: dict[str, Callable[[Zone], None]] = {
    "_links": break_links,
    "_alignment": break_alignment,
    "_marks": break_marks,
    "_disjoint": break_disjoint,
    "_pageblock_type": break_pageblock_type,
    "_merged": break_merged,
    "_nr_free": break_nr_free,
    "_nr_free_pages": break_nr_free_pages,
    "_nr_free_cma": break_nr_free_cma,
    "_highatomic": break_highatomic,
    "_drift": break_drift,
    "_pcp_count": break_pcp_count,
    "_pcp_pages": break_pcp_pages,
    "_states": break_states,
}


def test_every_invariant_is_broken_once() -> None:
    """No check goes without a test that makes it fail."""
    assert [check.__name__ for check in INVARIANTS] == list(BREAKS)


@pytest.mark.parametrize("check", INVARIANTS, ids=lambda check: check.__name__)
def test_a_broken_invariant_is_named(check: Callable[[Zone], object]) -> None:
    """The check's sentence is among what is reported, and validate() raises."""
    machine = machine_with_a_bit_of_everything()
    BREAKS[check.__name__](machine.zone())
    reported = list(broken_invariants(machine.vm))
    assert any(str(check.__doc__) in line for line in reported)
    with pytest.raises(ValidationError, match="Normal: "):
        machine.validate()


def test_a_stray_mark_is_noticed() -> None:
    """PageBuddy on a page that is on no list."""
    machine = machine_with_a_bit_of_everything()
    break_marks_by_a_stray_one(machine.zone())
    assert any("only such a block, is PageBuddy" in line for line in broken_invariants(machine.vm))

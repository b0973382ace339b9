"""memsim on the bench, at four levels of what is switched on."""

from __future__ import annotations

from array import array
from functools import partial

from bench.drive import NULL, Alloc, Free, Outcome, drive, outcome
from bench.workloads import Workload
from memsim.machine import Machine
from memsim.mm.description import set_min_free_kbytes
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.mm.page_alloc.setup import zone_pcp_disable
from memsim.mm.vmstat import zone_page_state_snapshot
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import __GFP_NOWARN
from memsim.words.mmzone import NR_FREE_PAGES

LEVELS = {
    "functions": "alloc_pages() and free_unref_page() of mm/, nothing traced",
    "events": "the same, with kernel events",
    "machine": "Machine(steps=False): requests are checked too",
    "steps": "Machine(): every step journalled, so that it can be undone",
}


def boot(workload: Workload, *, pcp: bool, level: str = "functions") -> Machine:
    """A machine of the workload's one zone."""
    machine = Machine.of_pages(workload.nr_pages, pcp=pcp, steps=level == "steps")
    if workload.min_free_kbytes:
        set_min_free_kbytes(machine.vm, workload.min_free_kbytes)
    if not pcp:
        zone_pcp_disable(machine.zone())
    if level == "functions":
        machine.vm.trace.mask = 0
    return machine


def functions(machine: Machine, level: str) -> tuple[Alloc, Free]:
    """What a request and a free call at this level."""
    if level in ("functions", "events"):
        return partial(alloc_pages, machine.vm), partial(free_unref_page, machine.vm)
    return partial(_alloc_or_null, machine), machine.free_pages


def _alloc_or_null(machine: Machine, gfp_mask: int, order: int, nid: int) -> int:
    try:
        return machine.alloc_pages(gfp_mask | __GFP_NOWARN, order, nid=nid)
    except PageAllocationFailure:
        return NULL


def run(machine: Machine, operations: array[int], level: str = "functions") -> Outcome:
    """Do the operations. Boot is not in the seconds."""
    pfns, seconds = drive(operations, *functions(machine, level))
    return outcome(pfns, zone_page_state_snapshot(machine.zone(), NR_FREE_PAGES), seconds)

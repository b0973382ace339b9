"""What nobody may ask: each refusal is one line that names the number."""

from __future__ import annotations

from operator import index

from memsim.mm.mmzone import PG_INUSE, PG_ORDER, Vm, page_zone
from memsim.words.errors import BadFree, BadRequest
from memsim.words.gfp import __GFP_BITS_MASK, gfp_migratetype, gfp_zone
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATE_PCPTYPES


def whole(name: str, value: object) -> None:
    """Numbers may be of any kind that counts, as numpy's do; not "2", 2.0 or None."""
    if not hasattr(value, "__index__"):
        raise BadRequest(f"{name}={str(value)[:40]!r}: should be a whole number")
    if abs(index(value)) >> 64:
        raise BadRequest(f"{name}: a number of over 64 bits")


def check_order(order: int) -> None:
    """BadRequest unless order is one."""
    whole("order", order)
    if not 0 <= order <= MAX_PAGE_ORDER:
        raise BadRequest(f"order={order}: should be 0 to {MAX_PAGE_ORDER}")


def check_cpu(vm: Vm, cpu: int) -> None:
    """BadRequest unless the machine has this CPU."""
    whole("cpu", cpu)
    if not 0 <= cpu < vm.nr_cpus:
        raise BadRequest(f"cpu={cpu}: this machine has CPUs 0 to {vm.nr_cpus - 1}")


def check_gfp_mask(gfp_mask: int) -> None:
    """BadRequest for bits that are no flag."""
    whole("gfp_mask", gfp_mask)
    if not 0 <= gfp_mask <= __GFP_BITS_MASK:
        raise BadRequest(f"gfp_mask={gfp_mask:#x}: has bits that are no flag")


def check_request(vm: Vm, gfp_mask: int, order: int, cpu: int, nid: int) -> None:
    """BadRequest for what no caller of alloc_pages() may ask."""
    check_order(order)
    check_cpu(vm, cpu)
    whole("nid", nid)
    check_gfp_mask(gfp_mask)
    if not 0 <= nid < len(vm.nodes):
        raise BadRequest(f"nid={nid}: this machine has nodes 0 to {len(vm.nodes) - 1}")
    if gfp_zone(gfp_mask, vm.arch) < 0:
        raise BadRequest(f"gfp_mask={gfp_mask:#x}: its zone bits exclude each other")
    if gfp_migratetype(gfp_mask) >= MIGRATE_PCPTYPES:
        raise BadRequest(f"gfp_mask={gfp_mask:#x}: both __GFP_MOVABLE and __GFP_RECLAIMABLE")


def check_free(vm: Vm, pfn: int, order: int | None) -> int:
    """The order of the allocated block at pfn."""
    whole("pfn", pfn)
    if page_zone(vm, pfn) is None:
        raise BadFree(f"pfn {pfn} is in no zone")
    state = vm.page_state[pfn]
    if not state & PG_INUSE:
        raise BadFree(f"pfn {pfn} is not the first page of an allocated block")
    if order not in (None, state & PG_ORDER):
        raise BadFree(f"pfn {pfn} was allocated with order {state & PG_ORDER}, not {order}")
    return state & PG_ORDER

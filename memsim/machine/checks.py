"""What nobody may ask: each refusal is one line that names the number."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from memsim.lib.bits import PAGE_SHIFT
from memsim.lib.sizes import parse_size
from memsim.lib.text import one_line
from memsim.mm.mempool import pool_with
from memsim.mm.mmzone import PG_INUSE, PG_ORDER, Vm, page_zone
from memsim.trace.mempool_steps import shown
from memsim.words.arch import X86_64
from memsim.words.errors import BadDescription, BadFree, BadRequest, MemsimError
from memsim.words.gfp import __GFP_BITS_MASK, gfp_migratetype, gfp_zone
from memsim.words.mmzone import MAX_PAGE_ORDER, MIGRATE_PCPTYPES
from memsim.words.slab import NUMA_NO_NODE

_MAX_NAME = 255
_MAX_SWAPPINESS = 200
_MAX_SWAP_PAGES = 1 << 28
_MAX_ALIGN = 1 << 22
_MAX_UINT = (1 << 32) - 1
#: COMMAND_LINE_SIZE of x86.
_MAX_OPTION = 2048


def whole(name: str, value: object) -> None:
    """BadRequest for "2", 2.0 or None; of numpy's numbers plain() has made Python's."""
    if not isinstance(value, int):
        raise BadRequest(f"{name}={one_line(value, 40)!r}: should be a whole number")
    if abs(value) >> 64:
        raise BadRequest(f"{name}: a number of over 64 bits")


def listed(name: str, values: Iterable[int], what: str, most: int = 1 << 20) -> list[int]:
    """A list of them. BadRequest unless there are several of them, and not too many."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise BadRequest(f"{name}={one_line(values, 40)!r}: should be a list of {what}")
    found = list(islice(values, most + 1))
    if len(found) > most:
        raise BadRequest(f"{name}: should be {most} at most")
    return found


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


def check_nid(vm: Vm, nid: int) -> None:
    """BadRequest unless the machine has this NUMA node; NUMA_NO_NODE is any."""
    whole("nid", nid)
    if not NUMA_NO_NODE <= nid < len(vm.nodes):
        raise BadRequest(f"nid={nid}: should be -1 to {len(vm.nodes) - 1}")


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
    slab = vm.slab.page_slab.get(pfn) if hasattr(vm, "slab") else None
    if slab is not None:
        raise BadFree(f"pfn {pfn} is in a slab of cache {slab.slab_cache.name}: free its objects")
    if hasattr(vm, "vmalloc") and pfn in vm.vmalloc.init_mm.tables:
        raise BadFree(f"pfn {pfn} is a page table of the kernel")
    if hasattr(vm, "folios") and vm.folios.refcount[pfn]:
        raise BadFree(f"pfn {pfn} is a folio of a file or region: drop() that page of it")
    check_not_reserved(vm, pfn)
    state = vm.page_state[pfn]
    if not state & PG_INUSE:
        raise BadFree(f"pfn {pfn} is not the first page of an allocated block")
    if order is not None:
        whole("order", order)
    if order not in (None, state & PG_ORDER):
        raise BadFree(f"pfn {pfn} was allocated with order {state & PG_ORDER}, not {order}")
    return state & PG_ORDER


def check_not_reserved(vm: Vm, element: int) -> None:
    """BadFree for a pfn or an address that a memory pool keeps in reserve: nobody has it."""
    pool = pool_with(vm, element)
    if pool is not None:
        raise BadFree(f"{shown(element)} is in the reserve of mempool {pool.id}")


def check_cache_name(name: object) -> None:
    """BadRequest unless /proc/slabinfo can show it."""
    if not isinstance(name, str) or not (name.isascii() and name.isprintable()):
        raise BadRequest(f"name={one_line(name, 40)!r}: should be printable ASCII characters")
    if not 0 < len(name) <= _MAX_NAME or name.strip() != name:
        text = f"should be 1 to {_MAX_NAME} characters, no blank at either end"
        raise BadRequest(f"name={name[:40]!r}: {text}")


def check_cache_numbers(numbers: dict[str, int]) -> None:
    """BadRequest for a size, alignment, offset or flags that no caller can mean."""
    for what, value in numbers.items():
        whole(what, value)
        least = -1 if what == "freeptr_offset" else 0
        if value < least or value > _MAX_UINT:
            raise BadRequest(f"{what}={value}: should be {least} to 2**32 - 1")
    size, align = numbers["object_size"], numbers["align"]
    if size < 1:
        raise BadRequest(f"object_size={size}: should be 1 byte or more")
    if align & (align - 1) or align > _MAX_ALIGN:
        raise BadRequest(f"align={align}: should be a power of two up to 4 MiB, or 0")


def check_switch(name: str, value: object, error: type[MemsimError] = BadDescription) -> None:
    """Refuse what is not True or False: BadRequest where a request has it."""
    if not isinstance(value, bool):
        raise error(f"{name}={one_line(value, 40)!r}: should be True or False")


def check_reclaim(reclaim: bool, swap: int | str, swappiness: int, lru_gen: bool) -> int:
    """The pages of the swap device. BadDescription for sizes that are none, or without reclaim."""
    check_switch("reclaim", reclaim)
    check_switch("lru_gen", lru_gen)
    if lru_gen and not reclaim:
        raise BadDescription("lru_gen=True: needs reclaim=True")
    try:
        slots = parse_size(swap) >> PAGE_SHIFT
    except ValueError as error:
        raise BadDescription(f"swap={error}") from None
    if slots and not reclaim:
        raise BadDescription(f"swap={one_line(swap, 40)!r}: needs reclaim=True")
    if slots > _MAX_SWAP_PAGES or slots == 1:
        raise BadDescription(f"swap={one_line(swap, 40)!r}: should be 8 KiB to 1 TiB, or 0")
    if not isinstance(swappiness, int) or not 0 <= swappiness <= _MAX_SWAPPINESS:
        raise BadDescription(
            f"swappiness={one_line(swappiness, 40)!r}: should be 0 to {_MAX_SWAPPINESS}"
        )
    return slots


def check_slab_options(
    options: dict[str, bool], slab_debug: str | None, seed: int, arch: str
) -> None:
    """BadDescription for boot options of the slab allocator that are none, or without it."""
    for name, value in options.items():
        check_switch(name, value)
        if value and not options["slab"]:
            raise BadDescription(f"{name}=True: needs slab=True")
    if not isinstance(seed, int) or abs(seed) >> 64:
        raise BadDescription(f"seed={one_line(seed, 40)!r}: should be a whole number of 64 bits")
    if options["slab"] and arch != X86_64.name:
        raise BadDescription("slab=True: NOT MODELLED on 32 bits")
    if slab_debug is None:
        return
    if not isinstance(slab_debug, str) or len(slab_debug) > _MAX_OPTION:
        raise BadDescription(f"slab_debug={one_line(slab_debug, 40)!r}: should be text like 'FZPU'")
    if not slab_debug.isascii() or not (slab_debug or "x").isprintable():
        raise BadDescription(f"slab_debug={slab_debug[:40]!r}: should be printable ASCII")
    if not options["slab"]:
        raise BadDescription(f"slab_debug={slab_debug[:40]!r}: needs slab=True")

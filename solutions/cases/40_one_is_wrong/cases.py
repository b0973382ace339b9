"""Rounds of four statements about Linux 6.12, one of them with a wrong number.

Each sentence is there with the right number, and with one that is wrong and has been published or
is often believed. Where memsim has the number, it is memsim's.
"""

import textwrap
from typing import NamedTuple

from memsim.mm.kmalloc_caches import kmalloc_index
from memsim.mm.page_alloc.setup import min_free_kbytes_for, zone_batchsize
from memsim.mm.vmalloc.state import lazy_max_pages
from memsim.words import gfp, mmzone, slab
from memsim.words.arch import X86_64

ROUNDS, STATEMENTS = 6, 4


class Fact(NamedTuple):
    """A sentence with {} for its number; `old`: the wrong one was true once, or elsewhere."""

    text: str
    right: int
    wrong: int
    source: str
    old: bool = False


FACTS = (
    Fact("The largest block of the page allocator has order {}.",
         mmzone.MAX_PAGE_ORDER, 11, "include/linux/mmzone.h MAX_PAGE_ORDER", True),
    Fact("With memory cgroups a struct page has {} bytes.",
         mmzone.SIZEOF_STRUCT_PAGE, 32, "include/linux/mm_types.h page", True),
    Fact("kmalloc() has caches for requests of up to {} bytes; above that it takes pages.",
         slab.KMALLOC_MAX_CACHE_SIZE, 4096, "include/linux/slab.h KMALLOC_MAX_CACHE_SIZE"),
    Fact("One kmalloc() can give at most {} KiB.",
         slab.KMALLOC_MAX_SIZE >> 10, 128, "include/linux/slab.h KMALLOC_MAX_SIZE", True),
    Fact("Besides huge pages, the largest blocks that pcp lists keep have order {}.",
         mmzone.PAGE_ALLOC_COSTLY_ORDER, 0, "mm/page_alloc.c pcp_allowed_order", True),
    Fact("With a min of 800 pages, and no lowmem_reserve, GFP_ATOMIC gets a page while more than "
         "{} are free.", 800 * 3 // 8, 200, "mm/page_alloc.c __zone_watermark_ok"),
    Fact("With 10 as watermark_scale_factor and a small min, low of a zone of 1000000 managed "
         "pages is {} above min.", 1000, 100_000, "mm/page_alloc.c __setup_per_zone_wmarks"),
    Fact("DMA32 keeps a page for every {} pages of Normal, from requests that could use Normal.",
         X86_64.lowmem_reserve_ratio[1], 32, "mm/page_alloc.c sysctl_lowmem_reserve_ratio"),
    Fact("Unless objects are too large for it, a slab's order is at most {}.",
         slab.SLUB_MAX_ORDER, 1, "mm/slub.c slub_max_order", True),
    Fact("However large the machine, the min_free_kbytes that the page allocator computes is at "
         "most {}.", min_free_kbytes_for(1 << 40), 65536,
         "mm/page_alloc.c calculate_min_free_kbytes", True),
    Fact("With four levels of page tables vmalloc has {} TiB of addresses.",
         32, 64, "arch/x86/include/asm/pgtable_64_types.h VMALLOC_SIZE_TB_L4"),
    Fact("A pageblock has {} pages.",
         1 << X86_64.pageblock_order, 1024, "include/linux/pageblock-flags.h pageblock_order"),
    Fact("The distance of a NUMA node to itself is {}.",
         10, 0, "include/linux/topology.h LOCAL_DISTANCE"),
    Fact("With one CPU freed addresses of vmalloc are set aside until there are more than {} MiB.",
         lazy_max_pages(1) >> 8, 4, "mm/vmalloc.c lazy_max_pages"),
    Fact("The OOM killer is called for requests up to order {}.",
         mmzone.PAGE_ALLOC_COSTLY_ORDER, 5, "mm/page_alloc.c __alloc_pages_may_oom"),
    Fact("Without KASAN a task's kernel stack has {} KiB.",
         16, 8, "arch/x86/include/asm/page_64_types.h THREAD_SIZE", True),
    Fact("A table of ptes has {} entries.",
         512, 1024, "arch/x86/include/asm/pgtable_64_types.h PTRS_PER_PTE", True),
    Fact("Of the classes kmalloc-8 to kmalloc-8k, {} are no powers of two.",
         sum(size.bit_count() > 1 for size in slab.KMALLOC_SIZES), 1,
         "mm/slab_common.c kmalloc_info"),
    Fact("The smallest class of kmalloc() has objects of {} bytes.",
         slab.KMALLOC_MIN_SIZE, 32, "include/linux/slab.h KMALLOC_MIN_SIZE", True),
    Fact("With several CPUs the largest purged area that a vmap_node's pool takes has {} pages.",
         256, 64, "mm/vmalloc.c MAX_VA_SIZE_PAGES"),
    Fact("struct pages are made for sections of {} MiB.",
         mmzone.PAGES_PER_SECTION >> 8, 64, "arch/x86/include/asm/sparsemem.h SECTION_SIZE_BITS"),
    Fact("The smallest min_partial that the kernel sets is {}: from so many partial slabs on a "
         "node an empty one is given back.",
         slab.MIN_PARTIAL, 2, "mm/slub.c MIN_PARTIAL"),
    Fact("Where objects are below 256 bytes, a CPU's partial list is made for {} free objects.",
         120, 30, "mm/slub.c set_cpu_partial", True),
    Fact("In a zone of 4 GiB the batch of the pcp lists is {} pages.",
         zone_batchsize(1 << 20), 31, "mm/page_alloc.c zone_batchsize", True),
    Fact("GFP_KERNEL is the number {}.",
         gfp.GFP_KERNEL, 0xD0, "include/linux/gfp_types.h GFP_KERNEL", True),
    Fact("kmalloc(0) does not return NULL, but address {}.",
         slab.ZERO_SIZE_PTR, 8, "include/linux/slab.h ZERO_SIZE_PTR"),
    Fact("vmalloc(1) takes {} bytes of addresses.",
         2 * mmzone.PAGE_SIZE, 4096, "mm/vmalloc.c __get_vm_area_node"),
    Fact("Of the 16 combinations of the zone bits {} are forbidden.",
         X86_64.gfp_zone_table.count(-1), 4, "include/linux/gfp.h GFP_ZONE_BAD"),
    Fact("kmalloc(65) takes {} bytes.",
         slab.KMALLOC_SIZES[kmalloc_index(65) - 1], 128, "mm/slab_common.c kmalloc_size_index"),
    Fact("Direct reclaim sets out to free {} pages.",
         32, 128, "include/linux/swap.h SWAP_CLUSTER_MAX"),
    Fact("The smallest percpu_pagelist_high_fraction above 0 is {}.",
         mmzone.MIN_PERCPU_PAGELIST_HIGH_FRACTION, 4,
         "mm/page_alloc.c MIN_PERCPU_PAGELIST_HIGH_FRACTION"),
    Fact("Of a gfp_mask the lowest {} bits choose the highest zone.",
         gfp.GFP_ZONEMASK.bit_count(), 3, "include/linux/gfp_types.h GFP_ZONEMASK"),
)  # fmt: skip
_BY_SOURCE = {fact.source: fact for fact in FACTS}


def _facts(statements):
    return [(number, _BY_SOURCE[source]) for _, number, source in statements]


def RIGHT(given):
    return [_right(statements) for statements in given["rounds"]]


def _right(statements):
    (found,) = [
        [at, fact.right]
        for at, (number, fact) in enumerate(_facts(statements), 1)
        if number != fact.right
    ]
    return found


def as_printed(given):
    rounds = zip(given["rounds"], RIGHT(given), strict=True)
    return [[at, statements[at - 1][1]] for statements, (at, _) in rounds]


def from_zero(given):
    return [[at - 1, number] for at, number in RIGHT(given)]


def old_book(given):
    return [_doubted(statements) for statements in given["rounds"]]


def _doubted(statements):
    return next(
        [at, fact.wrong]
        for at, (number, fact) in enumerate(_facts(statements), 1)
        if number == fact.right and fact.old
    )


def right_one(given):
    rounds = zip(given["rounds"], RIGHT(given), strict=True)
    others = [(statements, 2 if at == 1 else 1) for statements, (at, _) in rounds]
    return [[at, statements[at - 1][1]] for statements, at in others]


MISTAKES = {
    "as_printed": as_printed,
    "from_zero": from_zero,
    "old_book": old_book,
    "right_one": right_one,
}


def draw(rng):
    old = rng.sample([fact for fact in FACTS if fact.old], ROUNDS)
    others = [fact for fact in FACTS if fact not in old]
    rng.shuffle(others)
    rounds = []
    for n in range(ROUNDS):
        wrong, *right = others[3 * n : 3 * n + 3]
        told = [(wrong, wrong.wrong), *((fact, fact.right) for fact in [old[n], *right])]
        rng.shuffle(told)
        rounds.append([[_text(fact, number), number, fact.source] for fact, number in told])
    cases = [
        {"name": f"round {row + 1}", "pick": row, "visible": row < 3,
         "group": "rounds", "hint": "Look the number up where the statement says; then compute."}
        for row in range(ROUNDS)
    ]  # fmt: skip
    shown = "\n\n".join(_round(n, statements) for n, statements in enumerate(rounds, 1))
    return {"shown": shown, "given": {"rounds": rounds}, "cases": cases}


def _text(fact, number):
    return fact.text.format(hex(number) if "number" in fact.text[-12:] else number)


def _round(number, statements):
    lines = [f"round {number}"]
    for at, (text, _, source) in enumerate(statements, 1):
        lines += textwrap.wrap(f"  {at}. {text}", 88, subsequent_indent="     ")
        lines += [f"     ({source})"]
    return "\n".join(lines)

"""What the allocator computes from the size of zones: watermarks, reserves, pcp limits.

Kernel: mm/page_alloc.c zone_batchsize() to zone_set_pageset_high_and_batch(),
setup_per_zone_lowmem_reserve() to init_per_zone_wmark_min(), setup_pcp_cacheinfo()
"""

from __future__ import annotations

from memsim.lib.bits import clamp, int_sqrt, mult_frac, rounddown_pow_of_two
from memsim.mm.mmzone import Vm, Zone, is_highmem, populated_zones
from memsim.mm.page_alloc.pcp import drain_all_pages
from memsim.mm.vmstat import high_wmark_pages, low_wmark_pages, refresh_zone_stat_thresholds
from memsim.words.mmzone import (
    MIN_PERCPU_PAGELIST_HIGH_FRACTION,
    PAGE_SHIFT,
    PAGE_SIZE,
    PCPF_FREE_HIGH_BATCH,
    WMARK_HIGH,
    WMARK_LOW,
    WMARK_MIN,
    WMARK_PROMO,
)
from memsim.words.page_flags import SWAP_CLUSTER_MAX

_SZ_1M = 1 << 20
#: A CPU's part of the largest data cache, in bytes. Kernel: drivers/base/cacheinfo.c
PER_CPU_DATA_SLICE_SIZE = 2 << 20


def zone_batchsize(managed_pages: int) -> int:
    """Pages moved at once between a pcp list and the zone: about 0.1 % of it, 2**n - 1, up to 63.

    Kernel: mm/page_alloc.c zone_batchsize()
    """
    batch = max(min(managed_pages >> 10, _SZ_1M // PAGE_SIZE) // 4, 1)
    return rounddown_pow_of_two(batch + batch // 2) - 1


def zone_highsize(zone: Zone, batch: int, high_fraction: int) -> int:
    """Pages that one CPU may keep: the low watermark, or a fraction of the zone, by local CPUs.

    A node without CPUs is shared by all. Kernel: mm/page_alloc.c zone_highsize()
    """
    total = zone.managed_pages // high_fraction if high_fraction else low_wmark_pages(zone)
    nr_split_cpus = zone.vm.cpu_to_node.count(zone.node) or zone.vm.nr_cpus
    return max(total // nr_split_cpus, batch << 2)


def zone_set_pageset_high_and_batch(zone: Zone) -> None:
    """Compute a zone's pcp limits and give them to every CPU.

    Kernel: mm/page_alloc.c zone_set_pageset_high_and_batch()
    """
    batch = max(1, zone_batchsize(zone.managed_pages))
    fraction = zone.vm.percpu_pagelist_high_fraction
    high_min = zone_highsize(zone, batch, fraction)
    high_max = zone_highsize(zone, batch, fraction or MIN_PERCPU_PAGELIST_HIGH_FRACTION)
    zone.pageset_high_min, zone.pageset_high_max = high_min, high_max
    zone.pageset_batch = batch
    _zone_set_pageset_high_and_batch(zone, high_min, high_max, batch)


def _zone_set_pageset_high_and_batch(zone: Zone, high_min: int, high_max: int, batch: int) -> None:
    """Give every CPU's pcp these limits.

    Kernel: mm/page_alloc.c __zone_set_pageset_high_and_batch(), pageset_update()
    """
    for pcp in zone.per_cpu_pageset:
        pcp.batch, pcp.high_min, pcp.high_max = batch, high_min, high_max


def setup_pcp_cacheinfo(vm: Vm) -> None:
    """Let a CPU keep a batch of high-order pages where its caches hold more than three batches.

    NOT MODELLED: caches; every CPU has PER_CPU_DATA_SLICE_SIZE.
    Kernel: mm/page_alloc.c setup_pcp_cacheinfo(), zone_pcp_update_cacheinfo()
    """
    for zone in populated_zones(vm):
        for pcp in zone.per_cpu_pageset:
            if 3 * pcp.batch < PER_CPU_DATA_SLICE_SIZE >> PAGE_SHIFT:
                pcp.flags |= PCPF_FREE_HIGH_BATCH
            else:
                pcp.flags &= ~PCPF_FREE_HIGH_BATCH


def zone_pcp_disable(zone: Zone) -> None:
    """Keep no pages on pcp lists any more: what is there, and what is freed, goes to the zone.

    Kernel: mm/page_alloc.c zone_pcp_disable()
    """
    _zone_set_pageset_high_and_batch(zone, 0, 0, 1)
    drain_all_pages(zone.vm, zone)


def zone_pcp_enable(zone: Zone) -> None:
    """Give the pcp lists their limits back. Kernel: mm/page_alloc.c zone_pcp_enable()."""
    _zone_set_pageset_high_and_batch(
        zone, zone.pageset_high_min, zone.pageset_high_max, zone.pageset_batch
    )


def nr_free_buffer_pages(vm: Vm) -> int:
    """Managed pages up to ZONE_NORMAL, less the high watermarks.

    Kernel: mm/page_alloc.c nr_free_buffer_pages(), nr_free_zone_pages()
    """
    total = 0
    for zone in populated_zones(vm):
        if zone.idx <= vm.arch.ZONE_NORMAL:
            total += max(zone.managed_pages - high_wmark_pages(zone), 0)
    return total


def min_free_kbytes_for(lowmem_kbytes: int) -> int:
    """min_free_kbytes by the size of memory: 4 * sqrt(KiB), from 128 to 262144.

    Kernel: mm/page_alloc.c calculate_min_free_kbytes()
    """
    return clamp(int_sqrt(lowmem_kbytes * 16), 128, 262144)


def calculate_min_free_kbytes(vm: Vm) -> None:
    """Set min_free_kbytes by the size of memory; a user's (user_min_free_kbytes) wins if larger.

    Kernel: mm/page_alloc.c calculate_min_free_kbytes()
    """
    lowmem_kbytes = nr_free_buffer_pages(vm) * (PAGE_SIZE >> 10)
    if int_sqrt(lowmem_kbytes * 16) > vm.user_min_free_kbytes:
        vm.min_free_kbytes = min_free_kbytes_for(lowmem_kbytes)


def setup_per_zone_wmarks(vm: Vm) -> None:
    """Every zone's watermarks from min_free_kbytes and watermark_scale_factor; then pcp limits.

    Kernel: mm/page_alloc.c setup_per_zone_wmarks(), __setup_per_zone_wmarks()
    """
    pages_min = vm.min_free_kbytes >> (PAGE_SHIFT - 10)
    lowmem_pages = sum(z.managed_pages for z in vm.zones if not _needs_no_reserve(z))
    for zone in vm.zones:
        share = pages_min * zone.managed_pages // lowmem_pages if lowmem_pages else 0
        low_min = share
        if _needs_no_reserve(zone):
            low_min = clamp(zone.managed_pages // 1024, SWAP_CLUSTER_MAX, 128)
        gap = max(share >> 2, mult_frac(zone.managed_pages, vm.watermark_scale_factor, 10000))
        zone.watermark_boost = 0
        zone._watermark[WMARK_MIN] = low_min
        zone._watermark[WMARK_LOW] = low_min + gap
        zone._watermark[WMARK_HIGH] = low_min + 2 * gap
        zone._watermark[WMARK_PROMO] = low_min + 3 * gap
    calculate_totalreserve_pages(vm)
    for zone in vm.zones:
        zone_set_pageset_high_and_batch(zone)


def _needs_no_reserve(zone: Zone) -> bool:
    """HIGHMEM and MOVABLE: the kernel's own requests, which may use reserves, never go there."""
    return is_highmem(zone) or zone.idx == zone.vm.arch.ZONE_MOVABLE


def setup_per_zone_lowmem_reserve(vm: Vm) -> None:
    """How many pages each zone keeps from requests that could use a higher zone.

    Kernel: mm/page_alloc.c setup_per_zone_lowmem_reserve()
    """
    for pgdat in vm.nodes:
        for i in range(vm.arch.MAX_NR_ZONES - 1):
            zone = pgdat.node_zones[i]
            ratio = vm.lowmem_reserve_ratio[i]
            managed_pages = 0
            for j in range(i + 1, vm.arch.MAX_NR_ZONES):
                managed_pages += pgdat.node_zones[j].managed_pages
                usable = ratio and zone.managed_pages
                zone.lowmem_reserve[j] = managed_pages // ratio if usable else 0
    calculate_totalreserve_pages(vm)


def calculate_totalreserve_pages(vm: Vm) -> None:
    """Pages that are nobody's to fill: the largest reserve and the high mark of each zone.

    Kernel: mm/page_alloc.c calculate_totalreserve_pages()
    """
    for pgdat in vm.nodes:
        pgdat.totalreserve_pages = sum(
            min(max(zone.lowmem_reserve[zone.idx :]) + high_wmark_pages(zone), zone.managed_pages)
            for zone in pgdat.node_zones
        )
    vm.totalreserve_pages = sum(pgdat.totalreserve_pages for pgdat in vm.nodes)


def init_per_zone_wmark_min(vm: Vm) -> None:
    """All of the above, at boot. Kernel: mm/page_alloc.c init_per_zone_wmark_min()."""
    calculate_min_free_kbytes(vm)
    setup_per_zone_wmarks(vm)
    refresh_zone_stat_thresholds(vm)
    setup_per_zone_lowmem_reserve(vm)

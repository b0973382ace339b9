/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A twin in C of memsim's page allocator: the same algorithm, so the same pfns.
 *
 * One zone from pfn 0, one CPU. Names are the kernel's; pages are pfns; lists are flat arrays with
 * their heads behind the last pfn, as in memsim.
 * NOT MODELLED: HIGHATOMIC, CMA and ISOLATE lists, the LRU bit, events and steps.
 */
#ifndef TWIN_PAGE_ALLOC_H
#define TWIN_PAGE_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_PAGE_ORDER 10
#define NR_PAGE_ORDERS (MAX_PAGE_ORDER + 1)
#define NR_LOWORDER_PCP_LISTS 12
#define NR_PCP_LISTS (NR_LOWORDER_PCP_LISTS + 2)
#define NULL_PAGE (-1)

enum migratetype { MIGRATE_UNMOVABLE, MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE, MIGRATE_PCPTYPES };
enum zone_watermarks { WMARK_MIN, WMARK_LOW, WMARK_HIGH, NR_WMARK };

struct free_area {
	int free_list[MIGRATE_PCPTYPES];	/* indexes of the list heads */
	int nr_free;
};

struct per_cpu_pages {
	int count, high, high_min, high_max, batch;
	int flags, alloc_factor, free_count;
	int lists[NR_PCP_LISTS];
};

struct zone {
	int32_t *next, *prev;			/* by pfn; list heads follow */
	uint8_t *page_state;			/* by pfn: 0, PG_BUDDY | order, PG_INUSE | order */
	uint8_t *pageblock;			/* migratetypes */
	int zone_end_pfn;
	int watermark[NR_WMARK], watermark_boost;
	int flags;
	int vm_stat, vm_stat_diff, stat_threshold;	/* of NR_FREE_PAGES alone */
	bool tail_rule;				/* false: buddy_merge_likely() never is */
	struct free_area free_area[NR_PAGE_ORDERS];
	struct per_cpu_pages pcp;
	long nr_extfrag;			/* claims and steals so far */
};

/* What is the same in every run of a workload: the zone's size and its limits, in pages. */
struct zone_limits {
	int32_t nr_pages, watermark[NR_WMARK];
	int32_t batch, high_min, high_max, pcp_flags, stat_threshold, tail_rule;
};

bool zone_create(struct zone *zone, const struct zone_limits *limits);
void zone_boot(struct zone *zone, const struct zone_limits *limits);
int alloc_pages(struct zone *zone, int order, int migratetype);
void free_unref_page(struct zone *zone, int page, int order);

#endif

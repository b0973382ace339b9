/* SPDX-License-Identifier: GPL-2.0-only */
/* Kernel: mm/page_alloc.c, in the order of memsim/mm/page_alloc/. */
#include "page_alloc.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_ALLOC_COSTLY_ORDER 3
#define HPAGE_PMD_ORDER 9
#define pageblock_order 9
#define pageblock_nr_pages (1 << pageblock_order)
#define CONFIG_PCP_BATCH_SCALE_MAX 5
#define WATERMARK_BOOST_FACTOR 15000

#define PG_BUDDY 0x10
#define PG_INUSE 0x20
#define PG_ORDER 0x0f

#define PCPF_PREV_FREE_HIGH_ORDER 1
#define PCPF_FREE_HIGH_BATCH 2
#define ZONE_BOOSTED_WATERMARK 1
#define ZONE_BELOW_HIGH 4

/* Every request may sleep and wakes kswapd: GFP_KERNEL and its like. */
#define ALLOC_WMARK_MASK 0x03
#define ALLOC_NOFRAGMENT 0x100
#define ALLOC_KSWAPD 0x800

enum rmqueue_mode { RMQUEUE_NORMAL, RMQUEUE_CLAIM, RMQUEUE_STEAL };

static const int fallbacks[MIGRATE_PCPTYPES][MIGRATE_PCPTYPES - 1] = {
	[MIGRATE_UNMOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE },
	[MIGRATE_MOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE },
	[MIGRATE_RECLAIMABLE] = { MIGRATE_UNMOVABLE, MIGRATE_MOVABLE },
};

static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }

static inline int clamp(int value, int low, int high)
{
	return value >= high ? high : max(value, low);
}

/* lib/list.py */

static inline void init_list_head(struct zone *zone, int head)
{
	zone->next[head] = zone->prev[head] = head;
}

static inline bool list_empty(const struct zone *zone, int head)
{
	return zone->next[head] == head;
}

static inline void list_insert_after(struct zone *zone, int page, int after)
{
	int following = zone->next[after];

	zone->next[page] = following;
	zone->prev[page] = after;
	zone->prev[following] = page;
	zone->next[after] = page;
}

static inline void list_add(struct zone *zone, int page, int head, bool tail)
{
	list_insert_after(zone, page, tail ? zone->prev[head] : head);
}

static inline void list_del(struct zone *zone, int page)
{
	int before = zone->prev[page], following = zone->next[page];

	zone->next[before] = following;
	zone->prev[following] = before;
}

/* free_list.py */

static inline int get_pageblock_migratetype(const struct zone *zone, int page)
{
	return zone->pageblock[page >> pageblock_order];
}

static inline void account_freepages(struct zone *zone, int nr_pages)
{
	int x = zone->vm_stat_diff + nr_pages;

	if (abs(x) > zone->stat_threshold) {
		zone->vm_stat += x;
		x = 0;
	}
	zone->vm_stat_diff = x;
}

static inline void add_to_free_list(struct zone *zone, int page, int order, int migratetype,
				    bool tail)
{
	struct free_area *area = &zone->free_area[order];

	list_add(zone, page, area->free_list[migratetype], tail);
	area->nr_free++;
	zone->page_state[page] = PG_BUDDY | order;
}

static inline void del_page_from_free_list(struct zone *zone, int page, int order)
{
	list_del(zone, page);
	zone->page_state[page] = 0;
	zone->free_area[order].nr_free--;
}

static inline int get_page_from_free_area(const struct zone *zone, int order, int migratetype)
{
	int head = zone->free_area[order].free_list[migratetype];
	int page = zone->next[head];

	return page == head ? NULL_PAGE : page;
}

/* buddy.py */

static inline bool pcp_allowed_order(int order)
{
	return order <= PAGE_ALLOC_COSTLY_ORDER || order == HPAGE_PMD_ORDER;
}

static inline bool page_is_buddy(const struct zone *zone, int buddy, int order)
{
	return buddy < zone->zone_end_pfn && zone->page_state[buddy] == (PG_BUDDY | order);
}

static inline bool buddy_merge_likely(const struct zone *zone, int page, int buddy, int order)
{
	if (order >= MAX_PAGE_ORDER - 1 || !zone->tail_rule)
		return false;
	return page_is_buddy(zone, (buddy & page) ^ 1 << (order + 1), order + 1);
}

static void change_pageblock_range(struct zone *zone, int page, int order, int migratetype)
{
	memset(&zone->pageblock[page >> pageblock_order], migratetype,
	       1 << (order - pageblock_order));
}

static void free_one_page(struct zone *zone, int page, int order, int migratetype, bool to_tail)
{
	int buddy = page;

	account_freepages(zone, 1 << order);
	while (order < MAX_PAGE_ORDER) {
		buddy = page ^ 1 << order;
		if (!page_is_buddy(zone, buddy, order))
			break;
		del_page_from_free_list(zone, buddy, order);
		if (order >= pageblock_order &&
		    get_pageblock_migratetype(zone, buddy) != migratetype)
			change_pageblock_range(zone, buddy, order, migratetype);
		page &= buddy;
		order++;
	}
	to_tail = to_tail || buddy_merge_likely(zone, page, buddy, order);
	add_to_free_list(zone, page, order, migratetype, to_tail);
}

static void split_large_buddy(struct zone *zone, int page, int order)
{
	int end = page + (1 << order);

	for (order = min(order, pageblock_order); page < end; page += 1 << order)
		free_one_page(zone, page, order, get_pageblock_migratetype(zone, page), false);
}

static inline int expand(struct zone *zone, int page, int low, int high, int migratetype)
{
	int nr_added = 0;

	while (high > low) {
		high--;
		add_to_free_list(zone, page + (1 << high), high, migratetype, false);
		nr_added += 1 << high;
	}
	return nr_added;
}

static inline void page_del_and_expand(struct zone *zone, int page, int low, int high,
				       int migratetype)
{
	del_page_from_free_list(zone, page, high);
	account_freepages(zone, expand(zone, page, low, high, migratetype) - (1 << high));
}

static int rmqueue_smallest(struct zone *zone, int order, int migratetype)
{
	for (int current_order = order; current_order < NR_PAGE_ORDERS; current_order++) {
		int page = get_page_from_free_area(zone, current_order, migratetype);

		if (page == NULL_PAGE)
			continue;
		page_del_and_expand(zone, page, order, current_order, migratetype);
		return page;
	}
	return NULL_PAGE;
}

/* pageblock.py */

static int count_free(const struct zone *zone, int start)
{
	int num_free = 0;

	for (int pfn = start; pfn < start + pageblock_nr_pages;) {
		int nr_pages = 1;

		if (zone->page_state[pfn] & PG_BUDDY) {
			nr_pages = 1 << (zone->page_state[pfn] & PG_ORDER);
			num_free += nr_pages;
		}
		pfn += nr_pages;
	}
	return num_free;
}

static void move_freepages_block(struct zone *zone, int start, int new_mt)
{
	for (int pfn = start; pfn < start + pageblock_nr_pages;) {
		int order = 0;

		if (zone->page_state[pfn] & PG_BUDDY) {
			order = zone->page_state[pfn] & PG_ORDER;
			del_page_from_free_list(zone, pfn, order);
			add_to_free_list(zone, pfn, order, new_mt, true);
			account_freepages(zone, -(1 << order));
			account_freepages(zone, 1 << order);
		}
		pfn += 1 << order;
	}
	zone->pageblock[start >> pageblock_order] = new_mt;
}

/* fallback.py */

static bool boost_watermark(struct zone *zone)
{
	int max_boost = (int64_t)zone->watermark[WMARK_HIGH] * WATERMARK_BOOST_FACTOR / 10000;

	if (pageblock_nr_pages * 4 > zone->zone_end_pfn || !max_boost)
		return false;
	max_boost = max(pageblock_nr_pages, max_boost);
	zone->watermark_boost = min(zone->watermark_boost + pageblock_nr_pages, max_boost);
	return true;
}

/* Are at least half of the pageblock's pages free or alike? No page is on an LRU list here. */
static bool is_worth_claiming(const struct zone *zone, int start, int start_type, int block_type)
{
	int num_free = count_free(zone, start);
	int alike = 0;

	if (start_type != MIGRATE_MOVABLE && block_type == MIGRATE_MOVABLE)
		alike = pageblock_nr_pages - num_free;
	return num_free + alike >= pageblock_nr_pages / 2;
}

static int try_to_steal_block(struct zone *zone, int page, int current_order, int order,
			      int start_type, int block_type, int alloc_flags)
{
	int start = page & -pageblock_nr_pages;

	if (current_order >= pageblock_order) {
		del_page_from_free_list(zone, page, current_order);
		account_freepages(zone, -(1 << current_order));
		change_pageblock_range(zone, page, current_order, start_type);
		account_freepages(zone, expand(zone, page, order, current_order, start_type));
		return page;
	}
	if (boost_watermark(zone) && alloc_flags & ALLOC_KSWAPD)
		zone->flags |= ZONE_BOOSTED_WATERMARK;
	if (start + pageblock_nr_pages > zone->zone_end_pfn)
		return NULL_PAGE;
	if (!is_worth_claiming(zone, start, start_type, block_type))
		return NULL_PAGE;
	move_freepages_block(zone, start, start_type);
	return rmqueue_smallest(zone, order, start_type);
}

static int find_suitable_fallback(const struct zone *zone, int order, int migratetype)
{
	if (!zone->free_area[order].nr_free)
		return -1;
	for (int i = 0; i < MIGRATE_PCPTYPES - 1; i++) {
		int fallback_mt = fallbacks[migratetype][i];

		if (!list_empty(zone, zone->free_area[order].free_list[fallback_mt]))
			return fallback_mt;
	}
	return -1;
}

static bool can_steal_fallback(int order, int start_mt)
{
	return order >= pageblock_order / 2 || start_mt != MIGRATE_MOVABLE;
}

static int rmqueue_claim(struct zone *zone, int order, int start_mt, int alloc_flags)
{
	int min_order = alloc_flags & ALLOC_NOFRAGMENT ? max(order, pageblock_order) : order;

	for (int current_order = MAX_PAGE_ORDER; current_order >= min_order; current_order--) {
		int fallback_mt = find_suitable_fallback(zone, current_order, start_mt);
		int page;

		if (fallback_mt == -1)
			continue;
		if (!can_steal_fallback(current_order, start_mt))
			break;
		page = get_page_from_free_area(zone, current_order, fallback_mt);
		page = try_to_steal_block(zone, page, current_order, order, start_mt,
					  get_pageblock_migratetype(zone, page), alloc_flags);
		if (page != NULL_PAGE) {
			zone->nr_extfrag++;
			return page;
		}
	}
	return NULL_PAGE;
}

static int rmqueue_steal(struct zone *zone, int order, int start_mt)
{
	for (int current_order = order; current_order < NR_PAGE_ORDERS; current_order++) {
		int fallback_mt = find_suitable_fallback(zone, current_order, start_mt);
		int page;

		if (fallback_mt == -1)
			continue;
		page = get_page_from_free_area(zone, current_order, fallback_mt);
		page_del_and_expand(zone, page, order, current_order, fallback_mt);
		zone->nr_extfrag++;
		return page;
	}
	return NULL_PAGE;
}

/* __rmqueue() of the kernel. mode is remembered over one rmqueue_bulk(). */
static int rmqueue_core(struct zone *zone, int order, int migratetype, int alloc_flags,
			enum rmqueue_mode *mode)
{
	int page = NULL_PAGE;

	if (*mode == RMQUEUE_NORMAL)
		page = rmqueue_smallest(zone, order, migratetype);
	if (page == NULL_PAGE && *mode <= RMQUEUE_CLAIM) {
		page = rmqueue_claim(zone, order, migratetype, alloc_flags);
		if (page != NULL_PAGE)
			*mode = RMQUEUE_NORMAL;
	}
	if (page == NULL_PAGE && !(alloc_flags & ALLOC_NOFRAGMENT)) {
		page = rmqueue_steal(zone, order, migratetype);
		if (page != NULL_PAGE)
			*mode = RMQUEUE_STEAL;
	}
	return page;
}

/* watermark.py */

static inline int wmark_pages(const struct zone *zone, int wmark)
{
	return zone->watermark[wmark] + zone->watermark_boost;
}

static inline int zone_page_state(const struct zone *zone)
{
	return max(zone->vm_stat, 0);
}

/* A free block of at least this order. The lists of other types than the three stay empty here. */
static bool has_free_block(const struct zone *zone, int order)
{
	for (; order < NR_PAGE_ORDERS; order++)
		if (zone->free_area[order].nr_free)
			return true;
	return false;
}

static inline bool zone_watermark_ok(const struct zone *zone, int order, int mark)
{
	if (zone_page_state(zone) - ((1 << order) - 1) <= mark)
		return false;
	return !order || has_free_block(zone, order);
}

/* pcp.py */

static inline int order_to_pindex(int migratetype, int order)
{
	if (order > PAGE_ALLOC_COSTLY_ORDER)
		return NR_LOWORDER_PCP_LISTS + (migratetype == MIGRATE_MOVABLE);
	return MIGRATE_PCPTYPES * order + migratetype;
}

static inline int pindex_to_order(int pindex)
{
	return pindex >= NR_LOWORDER_PCP_LISTS ? HPAGE_PMD_ORDER : pindex / MIGRATE_PCPTYPES;
}

static int rmqueue_bulk(struct zone *zone, int order, int count, int head, int migratetype,
			int alloc_flags)
{
	enum rmqueue_mode mode = RMQUEUE_NORMAL;

	for (int i = 0; i < count; i++) {
		int page = rmqueue_core(zone, order, migratetype, alloc_flags, &mode);

		if (page == NULL_PAGE)
			return i;
		list_add(zone, page, head, true);
	}
	return count;
}

static int nr_pcp_alloc(struct per_cpu_pages *pcp, const struct zone *zone, int order)
{
	int base_batch = pcp->batch, batch = base_batch;
	int high = pcp->high = clamp(pcp->high, pcp->high_min, pcp->high_max);

	if (high < base_batch)
		return 1;
	if (!order)
		batch <<= pcp->alloc_factor;
	if (pcp->high_min != pcp->high_max && !(zone->flags & ZONE_BELOW_HIGH))
		high = pcp->high = min(high + batch, pcp->high_max);
	if (!order) {
		int max_nr_alloc = max(high - pcp->count - base_batch, base_batch);

		if (batch <= max_nr_alloc && pcp->alloc_factor < CONFIG_PCP_BATCH_SCALE_MAX)
			pcp->alloc_factor++;
		batch = min(batch, max_nr_alloc);
	}
	return batch > 1 ? max(batch >> order, 2) : batch;
}

static int rmqueue_pcplist(struct zone *zone, int order, int migratetype, int alloc_flags)
{
	struct per_cpu_pages *pcp = &zone->pcp;
	int head = pcp->lists[order_to_pindex(migratetype, order)];
	int page;

	pcp->free_count >>= 1;
	if (list_empty(zone, head)) {
		int batch = nr_pcp_alloc(pcp, zone, order);
		int alloced = rmqueue_bulk(zone, order, batch, head, migratetype, alloc_flags);

		pcp->count += alloced << order;
		if (!alloced)
			return NULL_PAGE;
	}
	page = zone->next[head];
	list_del(zone, page);
	pcp->count -= 1 << order;
	return page;
}

static void free_pcppages_bulk(struct zone *zone, int count, struct per_cpu_pages *pcp, int pindex)
{
	count = min(pcp->count, count);
	while (count > 0) {
		int head = pcp->lists[pindex], order = pindex_to_order(pindex);

		while (count > 0 && !list_empty(zone, head)) {
			int page = zone->prev[head];

			list_del(zone, page);
			count -= 1 << order;
			pcp->count -= 1 << order;
			free_one_page(zone, page, order, get_pageblock_migratetype(zone, page),
				      false);
		}
		pindex = pindex == NR_PCP_LISTS - 1 ? 0 : pindex + 1;
	}
}

static int nr_pcp_free(const struct per_cpu_pages *pcp, int batch, int high, bool free_high)
{
	if (free_high)
		return min(pcp->count, batch << CONFIG_PCP_BATCH_SCALE_MAX);
	if (high < batch)
		return 1;
	return clamp(pcp->free_count, batch, high - batch);
}

static int nr_pcp_high(struct per_cpu_pages *pcp, const struct zone *zone, int batch,
		       bool free_high)
{
	int high_min = pcp->high_min, high_max = pcp->high_max;
	int high = pcp->high = clamp(pcp->high, high_min, high_max);

	if (!high)
		return 0;
	if (free_high) {
		pcp->high = max(high - (batch << CONFIG_PCP_BATCH_SCALE_MAX), high_min);
		return 0;
	}
	if (high_min == high_max)
		return high;
	if (zone->flags & ZONE_BELOW_HIGH) {
		pcp->high = max(high - max(pcp->free_count, batch), high_min);
		return max(pcp->count, high_min);
	}
	if (pcp->count >= high && pcp->high < pcp->free_count + batch)
		pcp->high = clamp(pcp->free_count + batch, high_min, high_max);
	return high;
}

static inline bool frees_high_orders_in_a_row(struct per_cpu_pages *pcp, int order, int batch)
{
	bool free_high = false;

	if (order && order <= PAGE_ALLOC_COSTLY_ORDER) {
		free_high = pcp->free_count >= batch && pcp->flags & PCPF_PREV_FREE_HIGH_ORDER &&
			    (!(pcp->flags & PCPF_FREE_HIGH_BATCH) || pcp->count >= batch);
		pcp->flags |= PCPF_PREV_FREE_HIGH_ORDER;
	} else {
		pcp->flags &= ~PCPF_PREV_FREE_HIGH_ORDER;
	}
	return free_high;
}

static void free_unref_page_commit(struct zone *zone, struct per_cpu_pages *pcp, int page,
				   int migratetype, int order)
{
	int pindex = order_to_pindex(migratetype, order), batch = pcp->batch, high;
	bool free_high;

	pcp->alloc_factor >>= 1;
	list_add(zone, page, pcp->lists[pindex], false);
	pcp->count += 1 << order;
	free_high = frees_high_orders_in_a_row(pcp, order, batch);
	if (pcp->free_count < batch << CONFIG_PCP_BATCH_SCALE_MAX)
		pcp->free_count += 1 << order;
	high = nr_pcp_high(pcp, zone, batch, free_high);
	if (pcp->count < high)
		return;
	free_pcppages_bulk(zone, nr_pcp_free(pcp, batch, high, free_high), pcp, pindex);
	if (zone->flags & ZONE_BELOW_HIGH &&
	    zone_watermark_ok(zone, 0, wmark_pages(zone, WMARK_HIGH)))
		zone->flags &= ~ZONE_BELOW_HIGH;
}

/* rmqueue.py, freelist.py */

static int rmqueue(struct zone *zone, int order, int migratetype, int alloc_flags)
{
	int page = NULL_PAGE;

	if (pcp_allowed_order(order))
		page = rmqueue_pcplist(zone, order, migratetype, alloc_flags);
	if (page == NULL_PAGE) {
		enum rmqueue_mode mode = RMQUEUE_NORMAL;

		page = rmqueue_core(zone, order, migratetype, alloc_flags, &mode);
	}
	if (alloc_flags & ALLOC_KSWAPD)
		zone->flags &= ~ZONE_BOOSTED_WATERMARK;
	return page;
}

/* The high mark is asked first; a zone below it is marked, and its pcp lists shrink. */
static inline bool zone_has_room(struct zone *zone, int order, int alloc_flags)
{
	if (!(zone->flags & ZONE_BELOW_HIGH)) {
		if (zone_watermark_ok(zone, order, wmark_pages(zone, WMARK_HIGH)))
			return true;
		zone->flags |= ZONE_BELOW_HIGH;
	}
	return zone_watermark_ok(zone, order, wmark_pages(zone, alloc_flags & ALLOC_WMARK_MASK));
}

static int get_page_from_freelist(struct zone *zone, int order, int migratetype, int alloc_flags)
{
	int page = NULL_PAGE;

	if (zone_has_room(zone, order, alloc_flags))
		page = rmqueue(zone, order, migratetype, alloc_flags);
	if (page != NULL_PAGE)
		zone->page_state[page] = PG_INUSE | order;
	else if (alloc_flags & ALLOC_NOFRAGMENT)
		page = get_page_from_freelist(zone, order, migratetype,
					      alloc_flags & ~ALLOC_NOFRAGMENT);
	return page;
}

/* alloc.py, free.py */

int alloc_pages(struct zone *zone, int order, int migratetype)
{
	int page = get_page_from_freelist(zone, order, migratetype,
					  WMARK_LOW | ALLOC_KSWAPD | ALLOC_NOFRAGMENT);

	/* the slow path's two attempts; nobody reclaims between them */
	for (int attempt = 0; page == NULL_PAGE && attempt < 2; attempt++)
		page = get_page_from_freelist(zone, order, migratetype, WMARK_MIN | ALLOC_KSWAPD);
	return page;
}

void free_unref_page(struct zone *zone, int page, int order)
{
	zone->page_state[page] = 0;
	if (pcp_allowed_order(order))
		free_unref_page_commit(zone, &zone->pcp, page,
				       get_pageblock_migratetype(zone, page), order);
	else
		split_large_buddy(zone, page, order);
}

/* mm_init.py */

bool zone_create(struct zone *zone, const struct zone_limits *limits)
{
	size_t nr_pages = limits->nr_pages;
	size_t nr_indexes = nr_pages + NR_PAGE_ORDERS * MIGRATE_PCPTYPES + NR_PCP_LISTS;

	zone->next = calloc(nr_indexes, sizeof(*zone->next));
	zone->prev = calloc(nr_indexes, sizeof(*zone->prev));
	zone->page_state = calloc(nr_pages, 1);
	zone->pageblock = calloc((nr_pages >> pageblock_order) + 1, 1);
	return zone->next && zone->prev && zone->page_state && zone->pageblock;
}

static int new_list_head(struct zone *zone, int *next_head)
{
	init_list_head(zone, *next_head);
	return (*next_head)++;
}

/* Every page free, in the largest blocks; the first runs of a machine touch no cold memory. */
void zone_boot(struct zone *zone, const struct zone_limits *limits)
{
	int next_head = limits->nr_pages;

	for (int order = 0; order < NR_PAGE_ORDERS; order++) {
		zone->free_area[order].nr_free = 0;
		for (int mt = 0; mt < MIGRATE_PCPTYPES; mt++)
			zone->free_area[order].free_list[mt] = new_list_head(zone, &next_head);
	}
	zone->pcp = (struct per_cpu_pages){ .batch = limits->batch,
					    .high_min = limits->high_min,
					    .high_max = limits->high_max,
					    .flags = limits->pcp_flags };
	for (int pindex = 0; pindex < NR_PCP_LISTS; pindex++)
		zone->pcp.lists[pindex] = new_list_head(zone, &next_head);
	zone->zone_end_pfn = limits->nr_pages;
	memcpy(zone->watermark, limits->watermark, sizeof(zone->watermark));
	zone->watermark_boost = zone->flags = zone->vm_stat = zone->vm_stat_diff = 0;
	zone->stat_threshold = 0;
	zone->tail_rule = limits->tail_rule;
	zone->nr_extfrag = 0;
	memset(zone->page_state, 0, limits->nr_pages);
	memset(zone->pageblock, MIGRATE_MOVABLE, (limits->nr_pages >> pageblock_order) + 1);
	for (int page = 0, order; page < limits->nr_pages; page += 1 << order) {
		for (order = MAX_PAGE_ORDER; page & ((1 << order) - 1) ||
					     page + (1 << order) > limits->nr_pages;)
			order--;
		free_one_page(zone, page, order, MIGRATE_MOVABLE, limits->tail_rule);
	}
	zone->stat_threshold = limits->stat_threshold;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* Kernel: mm/slub.c, in the order of memsim/mm/slub/. */
#include "slub.h"

#include <stdlib.h>

static inline int16_t *free_pointer(struct kmem_cache *s, int slab, int object)
{
	return &s->free_pointers[(long)slab * s->objects_per_page + object];
}

/* update.py, partial.py */

static void add_partial(struct kmem_cache *s, int slab, bool tail)
{
	int after = tail ? s->slabs[s->head].prev : s->head;
	int following = s->slabs[after].next;

	s->slabs[slab].next = following;
	s->slabs[slab].prev = after;
	s->slabs[following].prev = slab;
	s->slabs[after].next = slab;
	s->slabs[slab].on_partial = true;
	s->nr_partial++;
}

static void remove_partial(struct kmem_cache *s, int slab)
{
	struct slab *it = &s->slabs[slab];

	s->slabs[it->prev].next = it->next;
	s->slabs[it->next].prev = it->prev;
	it->on_partial = false;
	s->nr_partial--;
}

static void discard_slab(struct kmem_cache *s, int slab)
{
	s->nr_slabs--;
	free_unref_page(s->zone, slab, s->limits.order);
}

/* A chain of slabs goes to the tail of the node's list; the empty ones, last in first out, back. */
static void put_partials(struct kmem_cache *s, int chain)
{
	int to_discard = NONE;

	while (chain != NONE) {
		struct slab *it = &s->slabs[chain];
		int slab = chain;

		chain = it->cpu_next;
		if (!it->inuse && s->nr_partial >= s->limits.min_partial) {
			it->cpu_next = to_discard;
			to_discard = slab;
		} else {
			add_partial(s, slab, true);
		}
	}
	while (to_discard != NONE) {
		int slab = to_discard;

		to_discard = s->slabs[slab].cpu_next;
		discard_slab(s, slab);
	}
}

static void put_cpu_partial(struct kmem_cache *s, int slab, bool drain)
{
	int oldslab = s->cpu_partial, slab_to_put = NONE;

	if (oldslab != NONE && drain && s->slabs[oldslab].slabs >= s->limits.cpu_partial_slabs) {
		slab_to_put = oldslab;
		oldslab = NONE;
	}
	s->slabs[slab].slabs = 1 + (oldslab == NONE ? 0 : s->slabs[oldslab].slabs);
	s->slabs[slab].cpu_next = oldslab;
	s->cpu_partial = slab;
	if (slab_to_put != NONE)
		put_partials(s, slab_to_put);
}

static int get_partial_node(struct kmem_cache *s)
{
	int first = NONE, more = 0;

	for (int slab = s->slabs[s->head].next, next; slab != s->head; slab = next) {
		next = s->slabs[slab].next;
		remove_partial(s, slab);
		if (first == NONE) {
			first = slab;
			if (!s->limits.cpu_partial_slabs)
				break;
			continue;
		}
		put_cpu_partial(s, slab, false);
		if (++more > s->limits.cpu_partial_slabs / 2)
			break;
	}
	return first;
}

/* freelist.py, pages.py */

static int new_slab(struct kmem_cache *s)
{
	int slab = alloc_pages(s->zone, s->limits.order, MIGRATE_UNMOVABLE);
	int last = s->limits.objects - 1;

	if (slab == NULL_PAGE)
		return NONE;
	s->slabs[slab] = (struct slab){ .cpu_next = NONE };
	for (int object = 0; object < last; object++)
		*free_pointer(s, slab, object) = object + 1;
	*free_pointer(s, slab, last) = NONE;
	s->nr_slabs++;
	return slab;
}

/* Take a slab's whole freelist; if it is empty, the slab is no CPU's any more. */
static int get_freelist(struct kmem_cache *s, int slab)
{
	struct slab *it = &s->slabs[slab];
	int freelist = it->freelist;

	it->freelist = NONE;
	it->inuse = s->limits.objects;
	it->frozen = freelist != NONE;
	return freelist;
}

/* alloc.py */

static int64_t load_freelist(struct kmem_cache *s, int object)
{
	s->cpu_freelist = *free_pointer(s, s->cpu_slab, object);
	return (int64_t)s->cpu_slab << 16 | object;
}

static int64_t slab_alloc_slow(struct kmem_cache *s)
{
	if (s->cpu_slab != NONE) {
		int freelist = get_freelist(s, s->cpu_slab);

		if (freelist != NONE)
			return load_freelist(s, freelist);
	}
	s->cpu_slab = s->cpu_partial;
	if (s->cpu_slab != NONE) {
		s->cpu_partial = s->slabs[s->cpu_slab].cpu_next;
	} else {
		s->cpu_slab = get_partial_node(s);
		if (s->cpu_slab == NONE)
			s->cpu_slab = new_slab(s);
		if (s->cpu_slab == NONE)
			return NONE;
	}
	return load_freelist(s, get_freelist(s, s->cpu_slab));
}

int64_t slab_alloc(struct kmem_cache *s)
{
	return s->cpu_freelist == NONE ? slab_alloc_slow(s) : load_freelist(s, s->cpu_freelist);
}

/* free.py */

static void slab_free_slow(struct kmem_cache *s, int slab, int object)
{
	struct slab *it = &s->slabs[slab];
	int prior = it->freelist;

	*free_pointer(s, slab, object) = prior;
	it->freelist = object;
	it->inuse--;
	if (it->frozen)
		return;
	if (prior == NONE) {
		put_cpu_partial(s, slab, true);
	} else if (!it->inuse && it->on_partial && s->nr_partial >= s->limits.min_partial) {
		remove_partial(s, slab);
		discard_slab(s, slab);
	}
}

void slab_free(struct kmem_cache *s, int64_t object)
{
	int slab = object >> 16, number = object & 0xffff;

	if (slab != s->cpu_slab) {
		slab_free_slow(s, slab, number);
		return;
	}
	*free_pointer(s, slab, number) = s->cpu_freelist;
	s->cpu_freelist = number;
}

/* slab_common.py */

bool cache_create(struct kmem_cache *s, const struct cache_limits *limits, struct zone *zone)
{
	size_t nr_pages = zone->zone_end_pfn;

	s->limits = *limits;
	s->zone = zone;
	s->head = nr_pages;
	s->objects_per_page = (limits->objects >> limits->order) + 1;
	s->slabs = calloc(nr_pages + 1, sizeof(*s->slabs));
	s->free_pointers = calloc(nr_pages * s->objects_per_page, sizeof(*s->free_pointers));
	return s->slabs && s->free_pointers;
}

void cache_boot(struct kmem_cache *s)
{
	s->slabs[s->head].next = s->slabs[s->head].prev = s->head;
	s->nr_partial = s->nr_slabs = 0;
	s->cpu_slab = s->cpu_freelist = s->cpu_partial = NONE;
}

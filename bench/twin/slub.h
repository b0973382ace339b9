/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A twin in C of memsim's slab allocator: one cache, one CPU, one node, slabs from the twin's pages.
 *
 * A free object's free pointer is kept in an array beside the pages, as in memsim.
 * NOT MODELLED: freelist randomisation and hardening, debugging, the fallback to smaller slabs.
 */
#ifndef TWIN_SLUB_H
#define TWIN_SLUB_H

#include "page_alloc.h"

/* No object, or no slab. */
#define NONE (-1)

/* What is the same in every run: struct kmem_cache's sizes, in bytes, and its limits, in slabs. */
struct cache_limits {
	int32_t size, order, objects, min_partial, cpu_partial_slabs;
};

/* By the slab's first page. */
struct slab {
	int freelist, inuse;
	bool frozen, on_partial;
	int cpu_next, slabs;			/* on the CPU's partial list */
	int next, prev;				/* on the node's partial list */
};

struct kmem_cache {
	struct cache_limits limits;
	struct zone *zone;
	struct slab *slabs;			/* the last is the head of the node's partial list */
	int16_t *free_pointers;
	int head, objects_per_page;
	int nr_partial, nr_slabs;
	int cpu_slab, cpu_freelist, cpu_partial;
};

bool cache_create(struct kmem_cache *s, const struct cache_limits *limits, struct zone *zone);
void cache_boot(struct kmem_cache *s);
/* An object is its slab's first page << 16 | its number there; negative is none. */
int64_t slab_alloc(struct kmem_cache *s);
void slab_free(struct kmem_cache *s, int64_t object);

#endif

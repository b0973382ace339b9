/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * twin FILE [RUNS]: does the operations of FILE to a newly booted zone, RUNS times.
 *
 * FILE holds 32-bit integers: struct zone_limits, struct cache_limits, then the operations as
 * bench/workloads.py writes them: for pages, or for objects if the cache has any in a slab.
 * Prints what the last run gave, as `name value` lines, then each run's CPU seconds.
 */
#include "slub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Types in the order of bench/workloads.py REQUESTERS. */
static const int migratetypes[] = { MIGRATE_MOVABLE, MIGRATE_UNMOVABLE, MIGRATE_RECLAIMABLE };

struct operations {
	int32_t *v;
	long nr, nr_allocs;
};

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void do_operations(struct zone *zone, const struct operations *operations, int32_t *pages,
			  uint8_t *orders)
{
	long serial = 0;

	for (long i = 0; i < operations->nr; i++) {
		int v = operations->v[i];

		if (v >= 0) {
			orders[serial] = v & 15;
			pages[serial++] = alloc_pages(zone, v & 15, migratetypes[v >> 4]);
		} else if (pages[-(v + 1)] != NULL_PAGE) {
			free_unref_page(zone, pages[-(v + 1)], orders[-(v + 1)]);
		}
	}
}

/* Where the kernel maps physical memory. */
#define PAGE_OFFSET 0xffff888000000000u

static void do_object_operations(struct kmem_cache *s, const struct operations *operations,
				 int64_t *objects)
{
	long serial = 0;

	for (long i = 0; i < operations->nr; i++) {
		int v = operations->v[i];

		if (v >= 0)
			objects[serial++] = slab_alloc(s);
		else if (objects[-(v + 1)] != NONE)
			slab_free(s, objects[-(v + 1)]);
	}
}

static uint64_t address_of(const struct kmem_cache *s, int64_t object)
{
	return PAGE_OFFSET + ((uint64_t)(object >> 16) << 12) + (object & 0xffff) * s->limits.size;
}

struct limits {
	struct zone_limits zone;
	struct cache_limits cache;
};

static bool read_file(const char *name, struct limits *limits, struct operations *operations)
{
	FILE *file = fopen(name, "rb");
	long size;
	bool whole;

	if (!file || fread(limits, sizeof(*limits), 1, file) != 1)
		return false;
	fseek(file, 0, SEEK_END);
	size = ftell(file) - (long)sizeof(*limits);
	fseek(file, sizeof(*limits), SEEK_SET);
	operations->nr = size / (long)sizeof(*operations->v);
	operations->v = malloc(size + 1);
	whole = operations->v && fread(operations->v, 1, size, file) == (size_t)size;
	fclose(file);
	operations->nr_allocs = 0;
	for (long i = 0; whole && i < operations->nr; i++)
		operations->nr_allocs += operations->v[i] >= 0;
	return whole;
}

static uint64_t hashed(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 1099511628211u;
}

static void print_result(const struct zone *zone, const struct kmem_cache *s, const int32_t *pages,
			 const int64_t *objects, long nr_allocs)
{
	uint64_t hash = 14695981039346656037u;
	long failures = 0;

	for (long i = 0; i < nr_allocs; i++) {
		if (s->limits.objects ? objects[i] == NONE : pages[i] == NULL_PAGE)
			failures++;
		else
			hash = hashed(hash, s->limits.objects ? address_of(s, objects[i]) :
								(uint64_t)pages[i]);
	}
	printf("hash %016" PRIx64 "\nfailures %ld\nextfrag %ld\nslabs %d\n", hash, failures,
	       zone->nr_extfrag, s->nr_slabs);
	printf("free_pages %d\nnr_free", zone->vm_stat + zone->vm_stat_diff);
	for (int order = 0; order < NR_PAGE_ORDERS; order++)
		printf(" %d", zone->free_area[order].nr_free);
	printf("\nseconds");
}

int main(int argc, char **argv)
{
	int runs = argc > 2 ? atoi(argv[2]) : 1;
	struct operations operations;
	struct limits limits;
	struct kmem_cache s = { 0 };
	struct zone zone;
	int32_t *pages;
	int64_t *objects;
	uint8_t *orders;
	double *seconds;

	if (argc < 2 || runs < 1 || !read_file(argv[1], &limits, &operations)) {
		fprintf(stderr, "usage: twin FILE [RUNS]\n");
		return 2;
	}
	pages = calloc(operations.nr_allocs + 1, sizeof(*pages));
	objects = calloc(operations.nr_allocs + 1, sizeof(*objects));
	orders = calloc(operations.nr_allocs + 1, sizeof(*orders));
	seconds = calloc(runs, sizeof(*seconds));
	if (!pages || !objects || !orders || !seconds || !zone_create(&zone, &limits.zone)) {
		fprintf(stderr, "twin: out of memory\n");
		return 1;
	}
	for (int run = 0; run < runs; run++) {
		zone_boot(&zone, &limits.zone);
		if (limits.cache.objects && !run && !cache_create(&s, &limits.cache, &zone)) {
			fprintf(stderr, "twin: out of memory\n");
			return 1;
		}
		if (limits.cache.objects)
			cache_boot(&s);
		seconds[run] = -cpu_seconds();
		if (limits.cache.objects)
			do_object_operations(&s, &operations, objects);
		else
			do_operations(&zone, &operations, pages, orders);
		seconds[run] += cpu_seconds();
	}
	print_result(&zone, &s, pages, objects, operations.nr_allocs);
	for (int run = 0; run < runs; run++)
		printf(" %.9f", seconds[run]);
	printf("\n");
	return 0;
}

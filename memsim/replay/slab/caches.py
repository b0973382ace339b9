"""Which cache each request of a recording asked: the events do not name it.

Told by rules, in this order, each counted; never by the answer. `sizes`: one cache only has
objects of these sizes, and is accounted like that. `new slab`: the request made one, and the probe
names its cache. `later free`: the object's kmem_cache_free names it. `call site`: requests from
there were told by the rules above, all of one cache. `most at call site`: of several caches.
`kmalloc`: by size and gfp_mask. `buckets`: memory by size, but accounted as caches of msg_msg are,
or asked as memdup_user() does. `most shared`: the one
of the caches with these sizes that most kmem_cache_create() share.
"""

from __future__ import annotations

from array import array
from collections import Counter

from memsim.mm.kmalloc_caches import kmalloc_slab
from memsim.mm.slub.slab import KmemCache, SlabState
from memsim.replay.rows.inputs import Kind, Rows
from memsim.replay.rows.slab_fields import word_of
from memsim.words.gfp import __GFP_ACCOUNT, __GFP_NOWARN, GFP_USER
from memsim.words.slab import KMALLOC_MAX_CACHE_SIZE, SLAB_ACCOUNT

#: No cache: memory that comes straight from the page allocator, or sizes that no cache has.
NO_CACHE = -1
_UNKNOWN = -2
_ACCOUNT = __GFP_ACCOUNT
_MSG_MSG, _MEMDUP_USER = 0, 1

#: Rows that tell something.
_FREES = frozenset({Kind.kmem_cache_free})
_TELLING = _FREES | {Kind.kmem_cache_alloc, Kind.kmalloc, Kind.newslab}

#: (call site, bytes_req, bytes_alloc, accounted): requests like each other.
_Site = tuple[int, int, int, int]


class CachesOfRequests:
    """By row of kmem_cache_alloc and kmalloc: the number of its cache in `caches`."""

    def __init__(self, rows: Rows, state: SlabState, addresses: dict[int, KmemCache]) -> None:
        self.caches = state.slab_caches
        self.rules: Counter[str] = Counter()
        self._rows = rows
        self._state = state
        self._number = {id(s): number for number, s in enumerate(self.caches)}
        self._addresses = addresses
        self._by_name = {word_of(s.name): number for number, s in enumerate(self.caches)}
        sets = (*state.kmalloc_caches, *state.buckets)
        self._of_kmalloc_only = {self._number[id(s)] for caches in sets for s in caches.values()}
        self._of_sizes: dict[_Site, list[int]] = {}
        self._at_site: dict[_Site, Counter[int]] = {}
        self._cache = array("h", bytes(2 * len(rows)))
        self._tell()

    def of(self, row: int) -> KmemCache | None:
        """The cache that the row's request asked; None if it is none of the slab allocator's."""
        number = self._cache[row]
        return None if number < 0 else self.caches[number]

    def _tell(self) -> None:
        """Two passes: what each request itself tells, then what others from there tell."""
        live: dict[int, int] = {}
        new_slab: dict[int, int] = {}
        rows = self._rows
        for row in rows.of_kinds(_TELLING):
            kind, context = rows.kind[row], rows.context[row]
            if kind in _FREES:
                request = live.pop(rows.argument(row, 0), -1)
                if request >= 0:
                    number = self._by_name.get(rows.argument(row, 2), _UNKNOWN)
                    self._freed(request, number)
            elif kind == Kind.kmem_cache_alloc:
                self._cache[row] = self._alone(row, new_slab.pop(context, _UNKNOWN))
                if self._cache[row] == _UNKNOWN:
                    live[rows.argument(row, 0)] = row
            elif kind == Kind.kmalloc:
                new_slab.pop(context, None)
                self._cache[row] = self._of_kmalloc(row)
            else:
                s = self._addresses.get(rows.argument(row, 0) & (1 << 64) - 1)
                if s is not None:
                    new_slab[context] = self._number[id(s)]
        for row in rows.of_kinds({Kind.kmem_cache_alloc}):
            if self._cache[row] == _UNKNOWN:
                self._cache[row] = self._by_site(row)

    def _site(self, row: int) -> _Site:
        _, site, bytes_req, bytes_alloc, _, where = self._rows[row]
        return site, bytes_req, bytes_alloc, where & 1

    def _alone(self, row: int, new_slab: int) -> int:
        """Told by sizes alone, or by the new slab that the request needed."""
        candidates = self._candidates(row)
        if len(candidates) == 1:
            self.rules["sizes"] += 1
            return candidates[0]
        if not candidates:
            self.rules["no such cache"] += 1
            return NO_CACHE
        if new_slab in candidates:
            self._learn(row, new_slab)
            self.rules["new slab"] += 1
            return new_slab
        return _UNKNOWN

    def _candidates(self, row: int) -> list[int]:
        """Caches whose objects have these sizes, and are accounted when these are."""
        _, _, bytes_req, bytes_alloc, gfp_mask, where = self._rows[row]
        key = (gfp_mask & _ACCOUNT != 0, bytes_req, bytes_alloc, where & 1)
        if key not in self._of_sizes:
            self._of_sizes[key] = [
                number
                for number, s in enumerate(self.caches)
                if (s.object_size, s.size) == (bytes_req, bytes_alloc)
                and number not in self._of_kmalloc_only
                and bool(where & 1) == (key[0] or s.flags & SLAB_ACCOUNT != 0)
            ]
        return self._of_sizes[key]

    def _freed(self, row: int, number: int) -> None:
        """The request's object is freed, and its cache named."""
        if number in self._candidates(row):
            self._cache[row] = number
            self._learn(row, number)
            self.rules["later free"] += 1

    def _learn(self, row: int, number: int) -> None:
        self._at_site.setdefault(self._site(row), Counter())[number] += 1

    def _by_site(self, row: int) -> int:
        known = self._at_site.get(self._site(row))
        if known is None:
            self.rules["most shared"] += 1
            return max(self._candidates(row), key=lambda number: self.caches[number].refcount)
        self.rules["call site" if len(known) == 1 else "most at call site"] += 1
        return known.most_common(1)[0][0]

    def _of_kmalloc(self, row: int) -> int:
        """By size and gfp_mask; None of a larger size."""
        _, _, size, bytes_alloc, gfp_mask, where = self._rows[row]
        if max(size, bytes_alloc) > KMALLOC_MAX_CACHE_SIZE:
            self.rules["large kmalloc"] += 1
            return NO_CACHE
        buckets = _buckets(gfp_mask, bool(where & 1))
        try:
            s = kmalloc_slab(self._state, size, buckets, gfp_mask)
        except (KeyError, IndexError):
            self.rules["no such cache"] += 1
            return NO_CACHE
        self.rules["kmalloc" if buckets < 0 else "buckets"] += 1
        return self._number[id(s)]


def _buckets(gfp_mask: int, accounted: bool) -> int:
    """Of which set of caches kmalloc's memory is; -1: its own."""
    if accounted and not gfp_mask & __GFP_ACCOUNT:
        return _MSG_MSG
    return _MEMDUP_USER if gfp_mask == GFP_USER | __GFP_NOWARN else -1

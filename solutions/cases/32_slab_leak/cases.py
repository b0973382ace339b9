"""Three copies of slabinfo, an hour apart: one cache leaks, others grow for other reasons."""

from functools import lru_cache

from memsim.proc.slabinfo import SlabinfoCache, parse_slabinfo, write_slabinfo

#: name, objsize, objperslab, pagesperslab: as 6.12.107 has them on a machine with two CPUs.
_CACHES = [
    ("dentry", 192, 21, 1), ("ext4_inode_cache", 1168, 14, 4), ("inode_cache", 632, 25, 4),
    ("filp", 192, 21, 1), ("radix_tree_node", 584, 14, 2), ("buffer_head", 104, 39, 1),
    ("vm_area_struct", 176, 23, 1), ("skbuff_head_cache", 256, 16, 1), ("anon_vma", 104, 39, 1),
    ("sock_inode_cache", 832, 19, 4), ("kmalloc-64", 64, 64, 1), ("kmalloc-128", 128, 32, 1),
    ("kmalloc-256", 256, 16, 1), ("kmalloc-1k", 1024, 16, 4), ("signal_cache", 1152, 14, 4),
    ("task_struct", 8448, 3, 8),
]  # fmt: skip
#: The one whose objects leave nearly a quarter of a slab unused: objsize does not tell the pages.
_LOOSE = _CACHES[-1]


def RIGHT(slabinfos, available_kib):
    """The cache that loses as many objects in the second hour as in the first, or nearly."""
    first, middle, last = _active(slabinfos)
    for name, row in last.items():
        one = middle[name].active_objs - first[name].active_objs
        two = row.active_objs - middle[name].active_objs
        if one > 500 and 0.8 < two / one < 1.25:
            return _answer(row, (one + two) / 2, available_kib)
    return None


def _active(slabinfos):
    return [_parsed(text) for text in slabinfos]


@lru_cache(64)
def _parsed(text):
    return {row.name: row for row in parse_slabinfo(text)}


def _answer(row, per_hour, available_kib):
    kib = per_hour / row.objperslab * row.pagesperslab * 4
    return [row.name, round(per_hour), round(available_kib / kib, 1)]


def grew_most(slabinfos, available_kib):
    first, _, last = _active(slabinfos)
    row = max(last.values(), key=lambda row: row.active_objs - first[row.name].active_objs)
    return _answer(row, (row.active_objs - first[row.name].active_objs) / 2, available_kib)


def counts_slabs(slabinfos, available_kib):
    first, _, last = _active(slabinfos)

    def grown(row):
        return (row.num_slabs - first[row.name].num_slabs) * row.pagesperslab

    row = max(last.values(), key=grown)
    return _answer(row, (row.num_objs - first[row.name].num_objs) / 2, available_kib)


def largest(slabinfos, available_kib):
    first, _, last = _active(slabinfos)
    row = max(last.values(), key=lambda row: row.num_slabs * row.pagesperslab)
    return _answer(row, (row.active_objs - first[row.name].active_objs) / 2 or 1, available_kib)


def both_hours(slabinfos, available_kib):
    first, _, last = _active(slabinfos)
    name = RIGHT(slabinfos, available_kib)[0]
    return _answer(last[name], last[name].active_objs - first[name].active_objs, available_kib)


def num_objs(slabinfos, available_kib):
    first, _, last = _active(slabinfos)
    name = RIGHT(slabinfos, available_kib)[0]
    return _answer(last[name], (last[name].num_objs - first[name].num_objs) / 2, available_kib)


def by_objsize(slabinfos, available_kib):
    name, per_hour, _ = RIGHT(slabinfos, available_kib)
    objsize = _active(slabinfos)[-1][name].objsize
    return [name, per_hour, round(available_kib * 1024 / (per_hour * objsize), 1)]


def swapped(slabinfos, available_kib):
    name, per_hour, hours = RIGHT(slabinfos, available_kib)
    return [name, hours, per_hour]


MISTAKES = {
    "grew_most": grew_most, "counts_slabs": counts_slabs, "largest": largest,
    "both_hours": both_hours, "num_objs": num_objs, "by_objsize": by_objsize, "swapped": swapped,
}  # fmt: skip


def draw(rng):
    loose = rng.randrange(2)  # one of the visible cases
    cases = [_case(rng, n < 2, n == loose or (n == 2 and rng.random() < 0.5)) for n in range(3)]
    shown = [_text(n, *case["args"]) for n, case in enumerate(cases) if case["visible"]]
    return {"shown": f"{_OMITTED}\n\n" + "\n\n".join(shown), "cases": cases}


_OMITTED = "(without tunables, active_slabs and sharedavail; what your function is given has them)"
_HEAD = f"{'name':<17} active_objs num_objs objsize objperslab pagesperslab num_slabs"


def _text(number, texts, available):
    """The columns that count, so that a row fits a cell."""
    lines = [f"server {number}: MemAvailable at 10:00: {available} kB"]
    for hour, text in zip((8, 9, 10), texts, strict=True):
        lines.append(f"{hour:>2}:00  {_HEAD}")
        for row in _parsed(text).values():
            numbers = f"{row.active_objs:>11} {row.num_objs:>8} {row.objsize:>7}"
            slab = f"{row.objperslab:>10} {row.pagesperslab:>12} {row.num_slabs:>9}"
            lines.append(f"{'':>5}  {row.name:<17} {numbers} {slab}")
    return "\n".join(lines)


def _case(rng, visible, loose):
    texts, parts = _copies(rng, loose)
    available = rng.randrange(200, 900) * 1024
    right = RIGHT(texts, available)
    wrong = [mistaken(texts, available) for mistaken in (num_objs, by_objsize)]
    decoys = {name: mistake for mistake, name in parts.items()}
    return {
        "name": f"{available // 1024} MiB available", "call": "find_leak",
        "args": [texts, available], "visible": visible,
        "expected": {"right": right, "decoys": decoys,
                     "num_objs": wrong[0][1], "by_objsize": wrong[1][2]},
        "group": "another server",
        "hint": "Other caches, other sizes: read objperslab and pagesperslab of the row.",
    }  # fmt: skip


def _copies(rng, loose):
    """Three texts; and which caches only look like the leak, by the mistake they invite."""
    big = rng.choice(_CACHES[1:3] if loose else _CACHES[:3])
    kinds = [kind for kind in _CACHES if kind is not big and not (loose and kind is _LOOSE)]
    pages = sorted(rng.sample(kinds, 6 if loose else 7), key=lambda kind: kind[3] / kind[2])
    leaks = _LOOSE if loose else pages.pop(rng.randrange(3))
    warms, swells = pages.pop(rng.randrange(2)), pages.pop()
    leak = rng.randrange(1500, 4000) if loose else rng.randrange(9000, 24_000)
    told = [_leaks(rng, leaks, leak), _warms(rng, warms, leak), _is_large(rng, big)]
    told.append(_swells(rng, swells, leaks, warms, leak))
    told += [_shrinks(rng, pages[0]), _breathes(rng, pages[1], leak)]
    told += [_late(rng, pages[2], leak), _steady(rng, pages[3])]
    rng.shuffle(told)
    texts = [write_slabinfo([rows[hour] for rows in told]) for hour in range(3)]
    return texts, {"grew_most": warms[0], "counts_slabs": swells[0], "largest": big[0]}


def _rows(rng, kind, active, spare=(0, 0, 0)):
    """A cache at three times. Noise: objects that lie free with the CPUs count as active."""
    name, size, per_slab, pages = kind
    rows = []
    for objects, free in zip(active, spare, strict=True):
        objects += rng.randrange(2 * per_slab)
        slabs = -(-(objects + free) // per_slab)
        rows.append(SlabinfoCache(name, objects, slabs * per_slab, size, per_slab, pages,
                                  active_slabs=slabs, num_slabs=slabs))  # fmt: skip
    return rows


def _leaks(rng, kind, leak):
    """What it leaks fills partial slabs first, so that num_objs grows less than active_objs."""
    start = rng.randrange(2000, 3000) if kind is _LOOSE else rng.randrange(5000, 20_000)
    free = leak * rng.randrange(45, 70) // 100
    return _rows(rng, kind, [start, start + leak, start + 2 * leak], [free, free // 3, 0])


def _warms(rng, kind, leak):
    """Grows more than the leak in the first hour, and hardly in the second."""
    start, grown = rng.randrange(2000, 9000), leak * rng.randrange(24, 32) // 10
    return _rows(rng, kind, [start, start + grown, start + grown + rng.randrange(leak // 4)])


def _swells(rng, kind, leaks, warms, leak):
    """Takes more slabs each hour, more pages than all others; its objects stay as many."""
    start = rng.randrange(1000, 3000)
    pages = max(leak * many * other[3] / other[2] for other, many in ((leaks, 2), (warms, 3.5)))
    hour = int(0.65 * pages / kind[3] * kind[2])
    return _rows(rng, kind, [start, start - 40, start + 30], [60, 60 + hour, 60 + 2 * hour])


def _is_large(rng, kind):
    start = rng.randrange(300_000, 400_000)
    return _rows(rng, kind, [start, start + 90, start - 60])


def _shrinks(rng, kind):
    start = rng.randrange(6000, 9000)
    return _rows(rng, kind, [start, start * 2 // 3, start // 2])


def _breathes(rng, kind, leak):
    start, grown = rng.randrange(2000, 5000), leak * rng.randrange(40, 70) // 100
    return _rows(rng, kind, [start, start + grown, start + 50], [0, 0, 700])


def _late(rng, kind, leak):
    start = rng.randrange(2000, 5000)
    return _rows(rng, kind, [start, start + 20, start + leak * rng.randrange(50, 80) // 100])


def _steady(rng, kind):
    start = rng.randrange(500, 5000)
    return _rows(rng, kind, [start, start, start])

"""Reservations and frees, and memblock.reserved after each: memsim's own memblock says it."""

from memsim.mm.memblock.add import memblock_reserve
from memsim.mm.memblock.region import Memblock
from memsim.mm.memblock.remove import memblock_phys_free

PAGE_SHIFT = 12


def RIGHT(given):
    memblock, after = Memblock(), []
    for call, base, size in given["calls"]:
        run = memblock_reserve if call == "reserve" else memblock_phys_free
        run(memblock, base << PAGE_SHIFT, size << PAGE_SHIFT)
        regions = memblock.reserved.regions
        after.append([[r.base >> PAGE_SHIFT, r.end >> PAGE_SHIFT] for r in regions])
    return after


def _used(given):
    """The pages in use after each call."""
    used, after = set(), []
    for call, base, size in given["calls"]:
        pages = set(range(base, base + size))
        used = used | pages if call == "reserve" else used - pages
        after.append(used)
    return after


def never_merged(given):
    regions, after = [], []
    for (call, base, size), used in zip(given["calls"], _used(given), strict=True):
        if call == "reserve":
            had = {page for start, end in regions for page in range(start, end)}
            regions = sorted(regions + _runs(set(range(base, base + size)) - had, 1))
        else:
            kept = [_runs(set(range(start, end)) & used, 1) for start, end in regions]
            regions = [run for runs in kept for run in runs]
        after.append(regions)
    return after


def added_twice(given):
    regions, after = [], []
    for call, base, size in given["calls"]:
        if call == "reserve":
            regions = sorted([*regions, [base, base + size]])
        else:
            pages = set(range(base, base + size))
            kept = [_runs(set(range(start, end)) - pages, 1) for start, end in regions]
            regions = sorted(run for runs in kept for run in runs)
        after.append(regions)
    return after


def freed_whole(given):
    used, after = set(), []
    for call, base, size in given["calls"]:
        pages = set(range(base, base + size))
        if call == "reserve":
            used |= pages
        else:
            for start, end in _runs(used, 1):
                if start < base + size and base < end:
                    used -= set(range(start, end))
        after.append(_runs(used, 1))
    return after


def gap_closed(given):
    return [_runs(used, 2) for used in _used(given)]


def _runs(pages, step):
    """[first, behind the last] of each run; step 2 passes over a single gap."""
    runs = []
    for page in sorted(pages):
        if runs and page <= runs[-1][1] + step - 1:
            runs[-1][1] = page + 1
        else:
            runs.append([page, page + 1])
    return runs


MISTAKES = {
    "never_merged": never_merged,
    "added_twice": added_twice,
    "freed_whole": freed_whole,
    "gap_closed": gap_closed,
}


def draw(rng):
    given = {"calls": _calls(rng)}
    right = RIGHT(given)
    while any(wrong(given)[4] == right[4] for wrong in MISTAKES.values()):
        given = {"calls": _calls(rng)}
        right = RIGHT(given)
    cases = [
        {"name": f"after call {row + 1}", "pick": row, "visible": row < 5,
         "group": "arrays", "hint": "Sorted, none overlapping, none touching."}
        for row in range(len(right))
    ]  # fmt: skip
    lines = [
        f"{n}. {'memblock_reserve' if call == 'reserve' else 'memblock_phys_free'}({base}, {size})"
        for n, (call, base, size) in enumerate(given["calls"], 1)
    ]
    return {"shown": "\n".join(lines), "given": given, "cases": cases}


def _calls(rng):
    """Nine calls; the first five have what each mistake gets wrong."""
    at = rng.randrange(2, 20)
    one, two, gap = rng.randrange(5, 9), rng.randrange(4, 8), rng.randrange(2, 6)
    second = at + one + gap
    cut = at + rng.randrange(1, 4)
    calls = [
        ["reserve", at, one],
        ["reserve", second, two],
        ["reserve", at + one - 1, gap + 1],
        ["reserve", second + two + 1, rng.randrange(2, 6)],
        ["free", cut, rng.randrange(1, 3)],
    ]
    for _ in range(4):
        call = rng.choice(["reserve", "reserve", "free"])
        calls.append([call, rng.randrange(at, second + two + 6), rng.randrange(1, 8)])
    return calls

"""RAM and what of it is in use; which place memsim's memblock_find_in_range() finds."""

from memsim.mm.memblock.add import memblock_add, memblock_reserve
from memsim.mm.memblock.find import memblock_find_in_range
from memsim.mm.memblock.region import Memblock

PAGE_SHIFT = 12


def RIGHT(memory, reserved, start, end, size, align):
    memblock = Memblock()
    for base, behind in memory:
        memblock_add(memblock, base << PAGE_SHIFT, behind - base << PAGE_SHIFT)
    for base, behind in reserved:
        memblock_reserve(memblock, base << PAGE_SHIFT, behind - base << PAGE_SHIFT)
    request = (value << PAGE_SHIFT for value in (start, end, size, align))
    return memblock_find_in_range(memblock, *request) >> PAGE_SHIFT


def _gaps(memory, reserved):
    """RAM that is not in use, lowest first."""
    gaps = []
    for base, behind in memory:
        at = base
        for first, last in [*reserved, [10**6, 10**6]]:
            if at < min(first, behind):
                gaps.append([at, min(first, behind)])
            at = max(at, last)
    return gaps


def _search(gaps, start, end, size, align):
    """As the kernel does, of these gaps."""
    for first, last in reversed(gaps):
        first, last = max(first, start, 1), min(last, end)
        at = (last - size) // align * align
        if at >= first:
            return at
    return 0


def bottom_up(memory, reserved, start, end, size, align):
    for first, last in _gaps(memory, reserved):
        first, last = max(first, start, 1), min(last, end)
        at = -(-first // align) * align
        if at + size <= last:
            return at
    return 0


def rounds_up(memory, reserved, start, end, size, align):
    for first, last in reversed(_gaps(memory, reserved)):
        first, last = max(first, start, 1), min(last, end)
        if last - size >= first:
            return -(-(last - size) // align) * align
    return 0


def no_limits(memory, reserved, start, end, size, align):
    return _search(_gaps(memory, reserved), 0, 10**6, size, align)


def no_start(memory, reserved, start, end, size, align):
    return _search(_gaps(memory, reserved), 0, end, size, align)


def no_end(memory, reserved, start, end, size, align):
    return _search(_gaps(memory, reserved), start, 10**6, size, align)


def past_end(memory, reserved, start, end, size, align):
    return _search(_gaps(memory, reserved), start, end + size - 1, size, align)


def skips_cut(memory, reserved, start, end, size, align):
    inside = [gap for gap in _gaps(memory, reserved) if gap[0] >= start and gap[1] <= end]
    return _search(inside, start, end, size, align)


def strict_fit(memory, reserved, start, end, size, align):
    for first, last in reversed(_gaps(memory, reserved)):
        first, last = max(first, start, 1), min(last, end)
        at = (last - size) // align * align
        if at > first:
            return at
    return 0


def bank_by_bank(memory, reserved, start, end, size, align):
    whole = [[memory[0][0], memory[-1][1]]]
    return _search(_gaps(whole, reserved), start, end, size, align)


MISTAKES = {
    "bottom_up": bottom_up,
    "rounds_up": rounds_up,
    "no_limits": no_limits,
    "no_start": no_start,
    "no_end": no_end,
    "past_end": past_end,
    "skips_cut": skips_cut,
    "strict_fit": strict_fit,
    "bank_by_bank": bank_by_bank,
}
#: How each mistake is told from all that are right.
NAMES = {
    "bottom_up": "any place",
    "rounds_up": "an alignment",
    "no_limits": "limits that cut gaps",
    "no_start": "start alone",
    "no_end": "end alone",
    "past_end": "a gap across the end",
    "skips_cut": "limits that cut gaps, again",
    "strict_fit": "an exact fit",
    "bank_by_bank": "across the hole",
}


def draw(rng):
    cases = []
    for wrong in MISTAKES:
        for visible in (True, False):
            request = _telling(rng, wrong)
            cases.append({
                "name": NAMES[wrong] + ("" if visible else ", another"),
                "call": "find_top_down", "args": request, "visible": visible,
                "group": "" if visible else NAMES[wrong],
                "hint": "" if visible else "Cut the gap to the limits; round down from its end.",
            })  # fmt: skip
    shown = "\n".join(_shown(case) for case in cases if case["visible"])
    return {"shown": shown, "cases": cases}


def _shown(case):
    memory, reserved, start, end, size, align = case["args"]
    free = " ".join(f"[{first},{last})" for first, last in _gaps(memory, reserved))
    return f"{case['name']}: free {free}; {size} pages, align {align}, within [{start},{end})"


def _telling(rng, wrong):
    """A request that this mistake gets wrong, and for which there is a place.

    Where start alone decides there is none: whatever lies below it is refused too.
    """
    while True:
        request = _request(rng, wrong)
        right, answer = RIGHT(*request), MISTAKES[wrong](*request)
        if answer != right and bool(right) == (wrong != "no_start"):
            if _is_across(answer, request, wrong):
                return request


def _is_across(place, request, wrong):
    """Of one limit: does the place begin before it and end behind it, so that its gap is cut?"""
    start, end, size = request[2:5]
    limit = {"no_start": start, "past_end": end}.get(wrong)
    return limit is None or place < limit < place + size


def _request(rng, wrong):
    low, hole = rng.randrange(16, 48), rng.randrange(4, 24)
    memory = [[0, low], [low + hole, low + hole + rng.randrange(16, 48)]]
    top, reserved = memory[1][1], []
    at = rng.randrange(0, 4)
    while at < top:
        behind = min(at + rng.randrange(1, 7), top)
        reserved.append([at, behind])
        at = behind + rng.randrange(1, 12)
    reserved = [r for r in reserved if rng.random() < 0.8] or reserved
    return [memory, reserved, *_limits(rng, wrong, top), rng.randrange(1, 9),
            rng.choice([1, 1, 2, 4, 8])]  # fmt: skip


def _limits(rng, wrong, top):
    """[start, end) of which both cut, or one, or none."""
    first, last = sorted(rng.sample(range(1, top), 2))
    if wrong in ("no_limits", "skips_cut"):
        return first, last
    return first if wrong == "no_start" else 0, last if wrong in ("no_end", "past_end") else top

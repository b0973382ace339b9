"""Bursts of requests and frees: which batch and high save most trips to zone->lock?"""


def RIGHT(given):
    """The best batch for the highest high; [batch, high]."""
    high = given["bound"] + 1
    return [min(_batches(high), key=lambda batch: trips(given["trace"], batch, high)), high]


def _batches(high):
    return range(1, min(high // 4, 63) + 1)


def trips(trace, batch, high):
    """Trips to zone->lock, counted without any pages: how many the CPU holds is enough."""
    count = alloc_factor = free_count = taken = 0
    for burst in trace:
        for _ in range(abs(burst)):
            if burst > 0:
                free_count >>= 1
                if count == 0:
                    taken += 1
                    most = max(high - batch, batch)
                    pages = batch << alloc_factor
                    alloc_factor += pages <= most and alloc_factor < 5
                    pages = min(pages, most)
                    count = max(pages, 2) if pages > 1 else pages
                count -= 1
                continue
            alloc_factor >>= 1
            count += 1
            free_count += free_count < batch << 5
            if count >= high:
                taken += 1
                count -= min(max(free_count, batch), high - batch)
    return taken


def over_the_bound(given):
    return [63, 252]


def smallest_batch(given):
    return [1, given["bound"] + 1]


def largest_batch(given):
    return [(given["bound"] + 1) // 4, given["bound"] + 1]


def high_is_bound(given):
    """One less than may be: the list gives pages back when it would hold just what it may."""
    high = given["bound"]
    return [min(_batches(high), key=lambda batch: trips(given["trace"], batch, high)), high]


def holds_too_little(given):
    return [1, 4]


MISTAKES = {
    "over_the_bound": over_the_bound, "smallest_batch": smallest_batch,
    "largest_batch": largest_batch, "high_is_bound": high_is_bound,
    "holds_too_little": holds_too_little,
}  # fmt: skip


_GUESSES = (smallest_batch, largest_batch, high_is_bound)


def draw(rng):
    cases = [_case(rng, number == 0) for number in range(2)]
    given = cases[0]["args"][0]
    bursts = " ".join(f"{burst:+}" for burst in given["trace"])
    shown = (
        f"bursts (+: pages taken, -: pages given back):\n{bursts}\n"
        f"the CPU may hold {given['bound']} pages"
    )
    return {"shown": shown, "cases": cases}


def _case(rng, visible):
    given, few = _drawn(rng)
    while few is None:
        given, few = _drawn(rng)
    return {
        "name": f"{len(given['trace'])} bursts, {given['bound']} pages may be held",
        "call": "tune", "args": [given], "visible": visible,
        "expected": given | {"none": 3 * few, "full": few}, "group": "another trace",
        "hint": "The best batch depends on the trace: count the trips, do not guess.",
    }  # fmt: skip


def _drawn(rng):
    """A trace, and the fewest trips; None where a guess does as well."""
    trace, live = [], 0
    size = rng.randrange(6, 11)
    for _ in range(rng.randrange(7, 10)):
        up = rng.randrange(size // 2, 2 * size)
        down = min(live + up, rng.randrange(size // 2, 2 * size))
        trace += [up, -down]
        live += up - down
    given = {"trace": trace, "bound": rng.randrange(size, 2 * size) + 6}
    few = trips(trace, *RIGHT(given))
    guesses = [trips(trace, *guess(given)) for guess in _GUESSES]
    return given, few if min(guesses) > few else None

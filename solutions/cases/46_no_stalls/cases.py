"""Machines whose kswapd is late: which marks leave no request to reclaim for itself?"""

#: The machine, and the pages of its one zone, as memsim boots it.
RAM, MANAGED = "16 MiB", 3935
#: Pages for counters that lag.
LAG = 8


def RIGHT(given):
    distance = given["late"] + LAG
    return [given["reserve"], -(-distance * 10_000 // given["managed"])]


def stalls(given):
    """The factor for half of what is needed."""
    return [given["reserve"], given["late"] * 5_000 // given["managed"]]


def no_lag(given):
    """Half of the pages for counters that lag: enough on this machine."""
    return [given["reserve"], -(-(given["late"] + LAG // 2) * 10_000 // given["managed"])]


def min_instead(given):
    """A quarter of min is the distance, with the factor that is the default."""
    return [16 * (given["late"] + LAG), 10]


def far_too_much(given):
    return [given["reserve"], 3 * RIGHT(given)[1]]


def below_reserve(given):
    return [given["reserve"] // 2, RIGHT(given)[1]]


MISTAKES = {
    "stalls": stalls, "no_lag": no_lag, "min_instead": min_instead,
    "far_too_much": far_too_much, "below_reserve": below_reserve,
}  # fmt: skip


def draw(rng):
    cases = [_case(rng, number == 0) for number in range(3)]
    given = cases[0]["args"][0]
    shown = (
        f"{given['ram']}, {given['managed']} pages in one zone; kswapd is {given['late']} requests "
        f"late; interrupts may need {given['reserve']} KiB"
    )
    return {"shown": shown, "cases": cases}


def _case(rng, visible):
    given = {
        "ram": RAM, "managed": MANAGED, "late": rng.randrange(45, 110),
        "reserve": 4 * rng.randrange(30, 70),
    }  # fmt: skip
    return {
        "name": f"{given['late']} requests late, a reserve of {given['reserve']} KiB",
        "call": "tune", "args": [given], "visible": visible,
        "expected": given | {"right": RIGHT(given)},
        "group": "another machine", "hint": "What is taken before kswapd runs must fit below low.",
    }  # fmt: skip

"""Moments of recorded kernels: a CPU's lists, the free lists behind them, and the next requests.

moments.json is cut from recordings of 6.12.107 (virtual machines, one CPU). Lists are those before
the first request; "kernel" is what the recording says.
"""

import json
from pathlib import Path

MOMENTS = json.loads((Path(__file__).parent / "moments.json").read_text())
_DID = {
    "fork_exec": "processes are born and end",
    "net_loopback": "packets are sent to the machine itself",
    "thp_on": "programs touch much memory, huge pages are on",
    "tree_walk": "a large tree of files is walked",
    "two_zones": "programs touch memory in two zones",
}


def pages(moment, tail=False, skips_pcp=False, upper=False):
    """The page of each request, as a list of a CPU's lists and free lists gives it."""
    pcp = {(order, kind): list(pfns) for order, kind, _, pfns in moment["pcp"]}
    free = {kind: [list(pfns) for pfns in orders] for kind, orders in moment["free"].items()}
    got = []
    for what, *entry in moment["next"]:
        if what == "free":
            pfn, *key = entry
            pcp[tuple(key)].insert(99 if tail else 0, pfn)
        elif pcp[tuple(entry)] and not skips_pcp:
            got.append(pcp[tuple(entry)].pop(0))
        else:
            got.append(_from_buddy(free[entry[1]], entry[0], upper))
    return got


def _from_buddy(free_area, order, upper):
    high = next((n for n in range(order, 11) if free_area[n]), None)
    if high is None:
        return None
    pfn = free_area[high].pop(0)
    while high > order:
        high -= 1
        free_area[high].insert(0, pfn if upper else pfn + (1 << high))
        pfn += (1 << high) * upper
    return pfn


def frees_to_tail(given):
    return [pages(moment, tail=True) for moment in given["moments"]]


def skips_pcp(given):
    return [pages(moment, skips_pcp=True) for moment in given["moments"]]


def upper_half(given):
    return [pages(moment, upper=True) for moment in given["moments"]]


MISTAKES = {"frees_to_tail": frees_to_tail, "skips_pcp": skips_pcp, "upper_half": upper_half}


def draw(rng):
    refills, frees = rng.sample(MOMENTS["refill"], 2), rng.sample(MOMENTS["frees"], 2)
    drawn = [moment for pair in zip(refills, frees, strict=True) for moment in pair]
    given = {"moments": [{k: v for k, v in m.items() if k != "kernel"} for m in drawn]}
    cases = [
        {"name": f"moment {row}", "pick": row, "expected": moment["kernel"], "visible": row < 2,
         "group": "another moment",
         "hint": "The same rules: first the list of the CPU, then free lists."}
        for row, moment in enumerate(drawn)
    ]  # fmt: skip
    shown = "\n\n".join(_text(row, moment) for row, moment in enumerate(drawn))
    return {"shown": shown, "given": given, "cases": cases}


def _text(row, moment):
    lines = [f"moment {row}: zone {moment['zone']}, CPU 0; {_DID[moment['from']]}"]
    for order, kind, count, pfns in moment["pcp"]:
        rest = f" ... {count} in all" if count > len(pfns) else ""
        lines.append(f"  pcp list, order {order}, {kind}: {_row(pfns)}{rest}")
    for kind, orders in moment["free"].items():
        lines.append(f"  free_area, {kind}:")
        lines += [f"    order {n:2}: {_row(pfns)}" for n, pfns in enumerate(orders) if pfns]
    return "\n".join([*lines, "  then:", *_then(moment["next"])])


def _then(entries):
    lines, number = [], 0
    for what, *entry in entries:
        if what == "free":
            pfn, order, kind = entry
            lines.append(f"       free pfn {pfn}, order {order}, {kind}")
        else:
            number += 1
            lines.append(f"  {number:2}.  a block of order {entry[0]}, {entry[1]}: pfn ?")
    return lines


def _row(pfns):
    return " ".join(map(str, pfns)) or "empty"

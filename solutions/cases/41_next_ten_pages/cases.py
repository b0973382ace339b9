"""Moments of recorded kernels: a CPU's lists, the free lists behind them, and the next requests.

moments.json is cut from recordings of 6.12.107 (virtual machines, one CPU). Lists are those before
the first request; "kernel" is what the recording says. A moment of "refill" has splits, and pages
that do not just count on; of "splits" three splits or more, from two lists; of "frees" blocks that
come back in the reverse order of their frees.
"""

import json
from pathlib import Path

MOMENTS = json.loads((Path(__file__).parent / "moments.json").read_text())
_DID = {
    "fork_exec": "processes are born and end",
    "net_loopback": "packets are sent to the machine itself",
    "thp_on": "programs touch much memory, huge pages are on",
    "tree_walk": "a large tree of files is walked",
}


def pages(moment, frees_to=lambda unused: 0, skips_pcp=False, upper=False, drops=False):
    """The page of each request, as a list of a CPU's lists and free lists gives it.

    frees_to: where a freed block joins its list, of which so many were freed just before.
    """
    pcp = {(order, kind): list(pfns) for order, kind, _, pfns in moment["pcp"]}
    free = {kind: [list(pfns) for pfns in orders] for kind, orders in moment["free"].items()}
    got, unused = [], dict.fromkeys(pcp, 0)
    for what, *entry in moment["next"]:
        if what == "free":
            pfn, key = entry[0], tuple(entry[1:])
            pcp[key].insert(frees_to(unused[key]), pfn)
            unused[key] += 1
            continue
        key = tuple(entry)
        unused[key] = max(unused[key] - 1, 0)
        if pcp[key] and not skips_pcp:
            got.append(pcp[key].pop(0))
        else:
            got.append(_from_buddy(free[key[1]], key[0], upper, drops))
    return got


def _from_buddy(free_area, order, upper, drops):
    high = next((n for n in range(order, 11) if free_area[n]), None)
    if high is None:
        return None
    pfn = free_area[high].pop(0)
    while high > order:
        high -= 1
        if not drops:
            free_area[high].insert(0, pfn if upper else pfn + (1 << high))
        pfn += (1 << high) * upper
    return pfn


def frees_to_tail(given):
    return [pages(moment, lambda unused: 99) for moment in given["moments"]]


def first_freed_first(given):
    return [pages(moment, lambda unused: unused) for moment in given["moments"]]


def skips_pcp(given):
    return [pages(moment, skips_pcp=True) for moment in given["moments"]]


def upper_half(given):
    return [pages(moment, upper=True) for moment in given["moments"]]


def drops_halves(given):
    return [pages(moment, drops=True) for moment in given["moments"]]


MISTAKES = {
    "frees_to_tail": frees_to_tail, "first_freed_first": first_freed_first,
    "skips_pcp": skips_pcp, "upper_half": upper_half, "drops_halves": drops_halves,
}  # fmt: skip


def draw(rng):
    frees = rng.sample(MOMENTS["frees"], 2)
    drawn = [rng.choice(MOMENTS["refill"]), frees[0], rng.choice(MOMENTS["splits"]), frees[1]]
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
        head = f"  pcp list, order {order}, {kind}"
        if count > len(pfns):
            lines += [f"{head}, {count} in all:", f"    {_row(pfns)} ..."]
        else:
            lines.append(f"{head}: {_row(pfns)}")
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

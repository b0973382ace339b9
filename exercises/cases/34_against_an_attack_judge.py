"""Do these defences stop all of these attacks, and how dear are they?"""

from memsim.lab.compare import Judged


def attacks_stopped(expected, got):
    """Half for attacks stopped; all for the cheapest set that stops them all, less for a dearer."""
    prices = expected["prices"]
    if not isinstance(got, list) or any(not isinstance(n, str) or n not in prices for n in got):
        return Judged(0.0, "should be a list of names of the table of defences")
    if len(set(got)) != len(got):
        return Judged(0.0, "a defence is named twice")
    open_to = [
        attack
        for attack, ways in expected["stops"]
        if not any(set(way) <= set(got) for way in ways)
    ]
    mistake = _mistake(expected, got, open_to)
    if open_to:
        score = 0.5 * (1 - len(open_to) / len(expected["stops"])) if got else 0.0
        return Judged(score, f"not stopped: {', '.join(open_to)}{_why(got, open_to)}", mistake)
    price = sum(prices[name] for name in got)
    told = f"all are stopped, for {price}; it can be done for {expected['cheapest']}"
    if price == expected["cheapest"]:
        return Judged(1.0, told)
    return Judged(0.5 + 0.5 * expected["cheapest"] / price * 0.9, told, mistake)


def _why(got, open_to):
    """Of the reports, why they are not made."""
    if not any(attack.startswith("report_") for attack in open_to):
        return ""
    if "slab_debug=F" in got:
        return " (F looks, but only at bytes that are known)"
    return " (known bytes help only if somebody looks)" if _KEEP & set(got) else ""


#: What keeps known bytes in and around an object.
_KEEP = {"slab_debug=Z", "slab_debug=P"}


def _mistake(expected, got, open_to):
    if len(got) == len(expected["prices"]):
        return "everything"
    if sorted(got) == ["slab_debug=F", "slab_debug=P", "slab_debug=Z"]:
        return "debug_for_all"
    unlooked = _KEEP & set(got) and "slab_debug=F" not in got
    if unlooked and any(attack.startswith("report_") for attack in open_to):
        return "nobody_looks"
    return ""

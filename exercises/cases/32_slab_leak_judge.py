"""Is the right cache named, how fast does it leak, and when is memory used up?"""

from memsim.lab.compare import Judged

#: The CPUs' free objects count as active, so that no figure is exact.
WITHIN = 0.1


def leak_found(expected, got):
    """Half for the cache, a quarter each for objects per hour and for the hours left."""
    if not isinstance(got, list) or len(got) != 3 or not isinstance(got[0], str):
        return Judged(0.0, "should be [name of the cache, objects per hour, hours left]")
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in got[1:]):
        return Judged(0.0, "objects per hour and hours left should be numbers")
    name, per_hour, hours = expected["right"]
    if got[0] != name:
        return Judged(0.0, f"{got[0][:30]} is not the leak", expected["decoys"].get(got[0], ""))
    notes, score = [], 0.5
    if _near(got[1], hours) and _near(got[2], per_hour):
        return Judged(score, "are rate and hours swapped?", "swapped")
    parts = [("objects per hour", per_hour, got[1], "of active_objs? in one hour?")]
    parts.append(("hours left", hours, got[2], "bytes or KiB? objects or slabs?"))
    for part, right, answer, ask in parts:
        near = _near(answer, right)
        score += 0.25 * near
        notes += [] if near else [f"{part}: not within a tenth of what is right ({ask})"]
    told = "; ".join(notes) or f"{name} it is, and both numbers are within a tenth"
    return Judged(score, told, _mistake(expected, got) if notes else "")


def _mistake(expected, got):
    _, per_hour, hours = expected["right"]
    if _near(got[1], 2 * per_hour):
        return "both_hours"
    if _near(got[1], per_hour):
        wrong = expected["by_objsize"]
        return "by_objsize" if not _near(got[2], hours) and _near(got[2], wrong) else ""
    return "num_objs" if abs(got[1] - expected["num_objs"]) <= 1 else ""


def _near(answer, right):
    return abs(answer - right) <= WITHIN * right

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
    notes, score, mistake = [], 0.5, ""
    parts = [("objects per hour", per_hour, got[1]), ("hours left", hours, got[2])]
    for part, right, answer in parts:
        near = abs(answer - right) <= WITHIN * right
        score += 0.25 * near
        notes += [] if near else [f"{part}: not within a tenth of what is right"]
    if abs(got[1] - 2 * per_hour) <= WITHIN * 2 * per_hour:
        mistake = "both_hours"
    return Judged(score, "; ".join(notes), mistake)

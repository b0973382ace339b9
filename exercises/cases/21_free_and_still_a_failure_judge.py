"""Is the cause right, and are the two numbers that the kernel compares?"""

from memsim.lab.compare import Judged

CAUSES = ("watermark", "lowmem_reserve", "highatomic", "cma", "type", "fragmentation")


def why(expected, got):
    """Half for the cause, a quarter for each of the numbers."""
    if not isinstance(got, list) or len(got) != 3 or got[0] not in CAUSES:
        return Judged(0.0, f"should be [cause, usable, mark], the cause one of {', '.join(CAUSES)}")
    right = [type(a) is type(b) and a == b for a, b in zip(expected, got, strict=True)]
    names = [name for name, ok in zip(("cause", "usable", "mark"), right, strict=True) if not ok]
    score = 0.5 * right[0] + 0.25 * right[1] + 0.25 * right[2]
    if not names:
        return Judged(score)
    return Judged(score, f"not right: {', '.join(names)}")

"""Is the cause right, and are the two numbers that the kernel compares?"""

from memsim.lab.compare import Judged

CAUSES = ("watermark", "lowmem_reserve", "highatomic", "cma", "type", "fragmentation")
#: In short, beside the case, what each known mistake is.
_SHORT = {
    "kib_for_pages": "kB: divide by 4",
    "forgets_the_order": "2^order - 1 pages are taken off",
    "forgets_the_reserve": "lowmem_reserve[] of a low zone counts too",
    "atomic_is_not_lower": "GFP_ATOMIC goes below min",
    "lists_first": "the mark is looked at before the lists",
    "fragmented": "fragmentation comes last",
}


def why(expected, got):
    """Half for the cause, a quarter for each of the numbers, of one report."""
    row, reports = expected["row"], expected["reports"]
    if not isinstance(got, list) or len(got) != reports:
        entries = f"{len(got)} entries" if isinstance(got, list) else "no list"
        return Judged(0.0, f"{entries}, there are {reports} reports")
    return _one(expected["right"], expected["wrong"], got[row])


def _one(expected, wrong, got):
    if not isinstance(got, list) or len(got) != 3 or got[0] not in CAUSES:
        return Judged(0.0, f"should be [cause, usable, mark], the cause one of {', '.join(CAUSES)}")
    right = [type(a) is type(b) and a == b for a, b in zip(expected, got, strict=True)]
    names = [name for name, ok in zip(("cause", "usable", "mark"), right, strict=True) if not ok]
    score = 0.5 * right[0] + 0.25 * right[1] + 0.25 * right[2]
    if not names:
        return Judged(score, f"{got[0]}, {got[1]}, {got[2]}")
    mistake = _mistake(expected, wrong, got)
    short = f" ({_SHORT[mistake]})" if mistake else ""
    return Judged(score, f"not right: {', '.join(names)}{short}", mistake)


def _mistake(expected, wrong, got):
    """By a number that is just what the mistake makes of it; else by the cause."""
    for key, numbers in wrong.items():
        pairs = zip(expected[1:], numbers, got[1:], strict=True)
        if any(mistaken == said != right for right, mistaken, said in pairs):
            return key
    if got[0] == expected[0]:
        return ""
    if got[0] == "type" and expected[0] in ("cma", "highatomic"):
        return "lists_first"
    return "fragmented" if got[0] == "fragmentation" else ""

"""Is what was lacking right, and how many pages were missing?"""

from memsim.lab.compare import Judged

LACKS = ("time", "memory", "block", "dying")


def lacked(expected, got):
    """Half for the word, half for the number, of one log."""
    row, logs = expected["row"], expected["logs"]
    if not isinstance(got, list) or len(got) != logs:
        entries = f"{len(got)} entries" if isinstance(got, list) else "no list"
        return Judged(0.0, f"{entries}, there are {logs} logs")
    return _one(expected["right"], got[row], _mistake(expected["wrong"], got, row))


def _mistake(wrong, got, row):
    """By all answers together; else by this one, where only one mistake gives it."""
    whole = [key for key, told in wrong.items() if told == got]
    alike = [key for key, told in wrong.items() if told[row] == got[row]]
    return whole[0] if whole else alike[0] if len(alike) == 1 else ""


def _one(right, got, mistake):
    if not isinstance(got, list) or len(got) != 2 or got[0] not in LACKS or type(got[1]) is not int:
        return Judged(0.0, f"should be [what, pages], what being one of {', '.join(LACKS)}")
    score = 0.5 * (got[0] == right[0]) + 0.5 * (got[1] == right[1])
    if score == 1:
        return Judged(1.0, f"{got[0]}, {got[1]}")
    names = [name for name, a, b in zip(("what", "pages"), got, right, strict=True) if a != b]
    return Judged(score, f"not right: {', '.join(names)}", mistake)

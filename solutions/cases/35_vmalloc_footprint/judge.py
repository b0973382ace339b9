"""Three numbers: the first that is wrong is named."""

from memsim.lab.compare import Judged, equal

COLUMNS = ("pages of memory", "bytes of addresses", "tables of ptes")


def by_column(expected, got):
    three = isinstance(got, list) and len(got) == 3 and all(type(n) is int for n in got)
    if equal(expected, got) or not three or max(n.bit_length() for n in got) > 64:
        return equal(expected, got)
    wrong = [name for name, *pair in zip(COLUMNS, expected, got, strict=True) if pair[0] != pair[1]]
    return Judged(0, f"expected {expected}, got {got}: look at the {wrong[0]} first")

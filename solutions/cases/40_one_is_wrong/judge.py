"""Pairs of a statement and its number: which of the two is wrong is said."""

from memsim.lab.compare import Judged, equal


def in_words(expected, got):
    pair = isinstance(got, list) and len(got) == 2 and all(type(n) is int for n in got)
    if equal(expected, got) or not pair or max(n.bit_length() for n in got) > 64:
        return equal(expected, got)
    at = got[0]
    if at == expected[0]:
        told = "statement found; the number is another"
    elif 1 <= at <= 4:
        told = f"statement {at} is right as it stands"
    else:
        told = "statements have the numbers 1 to 4"
    return Judged(0, f"expected {expected}, got {got}: {told}")

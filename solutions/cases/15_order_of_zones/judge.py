"""Lists of zones: the first that does not belong there is named."""

from memsim.lab.compare import Judged, equal


def in_order(expected, got):
    if equal(expected, got) or not isinstance(got, list) or len(str(got)) > 400:
        return equal(expected, got)
    return Judged(0, f"expected {expected}, got {got}: {_differs(expected, got)}")


def _differs(expected, got):
    for zone in got:
        if zone not in expected:
            return f"{zone} is not tried: its node has none, or the request may not take from it"
    for zone in expected:
        if zone not in got:
            return f"{zone} is left out"
    return "the order is another" if len(got) == len(expected) else "a zone stands there twice"

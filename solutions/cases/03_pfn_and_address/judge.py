"""Numbers, told in hexadecimal where they differ."""

from memsim.lab.compare import Judged, equal


def in_hex(expected, got):
    right = equal(expected, got)
    numbers = type(expected) is int and type(got) is int
    if right or not numbers or got.bit_length() > 64:
        return right
    return Judged(0, f"expected {expected:#x}, got {got:#x}")

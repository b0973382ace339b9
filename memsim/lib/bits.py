"""Order and bit arithmetic. Orders are exponents: a block of order k is 2**k pages.

Kernel: include/linux/log2.h, include/linux/align.h, include/asm-generic/getorder.h
"""

from __future__ import annotations

from math import isqrt

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
GOLDEN_RATIO_64 = 0x61C8864680B583EB


def align_down(value: int, size: int) -> int:
    """The multiple of size at or below value; size is a power of two. Kernel: ALIGN_DOWN()."""
    return value & ~(size - 1)


def align_up(value: int, size: int) -> int:
    """The multiple of size at or above value; size is a power of two. Kernel: ALIGN()."""
    return (value + size - 1) & ~(size - 1)


def bitmap_print_list(mask: int) -> str:
    """The set bits as %*pbl prints them: ranges, with commas between.

    Kernel: lib/vsprintf.c bitmap_list_string()

    >>> bitmap_print_list(0b101111)
    '0-3,5'
    """
    ranges = []
    start = 0
    while mask >> start:
        start += (mask >> start & -(mask >> start)).bit_length() - 1
        length = (~(mask >> start) & (mask >> start) + 1).bit_length() - 1
        ranges.append(f"{start}-{start + length - 1}" if length > 1 else str(start))
        start += length
    return ",".join(ranges)


def clamp(value: int, low: int, high: int) -> int:
    """value, or the bound it passed. high is tested first: it counts even when it is below low.

    Kernel: include/linux/minmax.h clamp()
    """
    if value >= high:
        return high
    return low if value <= low else value


def fls(value: int) -> int:
    """Position of the highest set bit, counted from 1; 0 for 0. Kernel: fls()."""
    return value.bit_length()


def get_order(size: int) -> int:
    """The smallest order whose block holds size bytes (size > 0).

    Kernel: include/asm-generic/getorder.h get_order()
    """
    return ((size - 1) >> PAGE_SHIFT).bit_length()


def hash_64(value: int, bits: int) -> int:
    """The highest bits of value times the golden ratio. Kernel: include/linux/hash.h hash_64()."""
    return (value * GOLDEN_RATIO_64 & (1 << 64) - 1) >> 64 - bits


def int_sqrt(value: int) -> int:
    """The square root, rounded down. Kernel: lib/math/int_sqrt.c int_sqrt()."""
    return isqrt(value)


def mult_frac(value: int, numerator: int, denominator: int) -> int:
    """value * numerator / denominator, rounded down. Kernel: include/linux/math.h mult_frac()."""
    return value * numerator // denominator


def nr_pages_of(size: int) -> int:
    """Pages that hold size bytes. Kernel: DIV_ROUND_UP(size, PAGE_SIZE)."""
    return (size + PAGE_SIZE - 1) >> PAGE_SHIFT


def rounddown_pow_of_two(value: int) -> int:
    """The power of two at or below value (value > 0). Kernel: rounddown_pow_of_two()."""
    return 1 << (value.bit_length() - 1)


def unsigned(value: int) -> int:
    """The last 64 bits as a number from 0 on."""
    return value & (1 << 64) - 1


def signed(value: int) -> int:
    """The last 64 bits as a number with a sign: what a record or a column holds."""
    return (value & (1 << 64) - 1 ^ 1 << 63) - (1 << 63)

"""Sizes as the kernel reads them: decimal, 0x, or octal behind a 0, then K, M, G, T, P or E.

Kernel: lib/cmdline.c memparse(), lib/vsprintf.c simple_strtoull()
"""

from __future__ import annotations

import re

_U64 = (1 << 64) - 1
_NUMBER = re.compile(r"0[xX]([0-9a-fA-F]+)|0([0-7]*)|([0-9]+)", re.ASCII)
_SUFFIXES = "KMGTPE"


def memparse(text: str) -> tuple[int, str]:
    """(bytes, what of the text was not read); 64 bits, as they overflow. No number is 0.

    >>> memparse("64M"), memparse("0x10k"), memparse("1 MiB"), memparse("")
    ((67108864, ''), (16384, ''), (1, ' MiB'), (0, ''))
    """
    match = _NUMBER.match(text)
    size, rest = 0, text
    if match:
        size, rest = _number(match), text[match.end() :]
    power = _SUFFIXES.find(rest[:1].upper()) + 1 if rest[:1].isascii() and rest else 0
    return size << 10 * power & _U64, rest[1:] if power else rest


def _number(match: re.Match[str]) -> int:
    hexadecimal, octal, decimal = match.groups()
    if decimal is not None:
        return int(decimal) & _U64
    return int(hexadecimal, 16) & _U64 if hexadecimal else int(octal or "0", 8) & _U64

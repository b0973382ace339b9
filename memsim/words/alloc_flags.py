"""alloc_flags: what get_page_from_freelist() may do, worked out from the gfp_mask.

Kernel: mm/internal.h ALLOC_*
"""

from __future__ import annotations

from memsim.words.mmzone import WMARK_HIGH, WMARK_LOW, WMARK_MIN

ALLOC_WMARK_MIN = WMARK_MIN
ALLOC_WMARK_LOW = WMARK_LOW
ALLOC_WMARK_HIGH = WMARK_HIGH
ALLOC_NO_WATERMARKS = 0x04
ALLOC_WMARK_MASK = ALLOC_NO_WATERMARKS - 1
ALLOC_OOM = 0x08
ALLOC_NON_BLOCK = 0x10
ALLOC_MIN_RESERVE = 0x20
ALLOC_CPUSET = 0x40
ALLOC_CMA = 0x80
ALLOC_NOFRAGMENT = 0x100
ALLOC_HIGHATOMIC = 0x200
ALLOC_KSWAPD = 0x800
#: Flags whose owner may go below the min watermark.
ALLOC_RESERVES = ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_HIGHATOMIC | ALLOC_OOM

_WMARK_TEXTS = ("ALLOC_WMARK_MIN", "ALLOC_WMARK_LOW", "ALLOC_WMARK_HIGH", "ALLOC_WMARK_PROMO")
_FLAG_TEXTS = (
    (ALLOC_NO_WATERMARKS, "ALLOC_NO_WATERMARKS"), (ALLOC_OOM, "ALLOC_OOM"),
    (ALLOC_NON_BLOCK, "ALLOC_NON_BLOCK"), (ALLOC_MIN_RESERVE, "ALLOC_MIN_RESERVE"),
    (ALLOC_CPUSET, "ALLOC_CPUSET"), (ALLOC_CMA, "ALLOC_CMA"),
    (ALLOC_NOFRAGMENT, "ALLOC_NOFRAGMENT"), (ALLOC_HIGHATOMIC, "ALLOC_HIGHATOMIC"),
    (ALLOC_KSWAPD, "ALLOC_KSWAPD"),
)  # fmt: skip


def show_alloc_flags(alloc_flags: int) -> str:
    """alloc_flags in words; the watermark is left out where ALLOC_NO_WATERMARKS makes it void."""
    texts = [text for flag, text in _FLAG_TEXTS if alloc_flags & flag]
    if not alloc_flags & ALLOC_NO_WATERMARKS:
        texts.insert(0, _WMARK_TEXTS[alloc_flags & ALLOC_WMARK_MASK])
    return "|".join(texts)

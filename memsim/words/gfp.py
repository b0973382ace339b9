"""gfp_mask: how to allocate, as bits in five groups.

Kernel: include/linux/gfp_types.h, include/linux/gfp.h, include/trace/events/mmflags.h
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from memsim.words.arch import X86_64, Arch

# Zone
__GFP_DMA = 1 << 0
__GFP_HIGHMEM = 1 << 1
__GFP_DMA32 = 1 << 2
__GFP_MOVABLE = 1 << 3
# Mobility and placement
__GFP_RECLAIMABLE = 1 << 4
__GFP_WRITE = 1 << 12
__GFP_HARDWALL = 1 << 20
__GFP_THISNODE = 1 << 21
__GFP_ACCOUNT = 1 << 22
__GFP_NO_OBJ_EXT = 1 << 24
# Watermark
__GFP_HIGH = 1 << 5
__GFP_MEMALLOC = 1 << 17
__GFP_NOMEMALLOC = 1 << 19
# Reclaim
__GFP_IO = 1 << 6
__GFP_FS = 1 << 7
__GFP_DIRECT_RECLAIM = 1 << 10
__GFP_KSWAPD_RECLAIM = 1 << 11
__GFP_RECLAIM = __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM
__GFP_RETRY_MAYFAIL = 1 << 14
__GFP_NOFAIL = 1 << 15
__GFP_NORETRY = 1 << 16
# Action
__GFP_ZERO = 1 << 8
__GFP_NOWARN = 1 << 13
__GFP_COMP = 1 << 18
__GFP_ZEROTAGS = 1 << 23

GFP_ZONEMASK = __GFP_DMA | __GFP_HIGHMEM | __GFP_DMA32 | __GFP_MOVABLE
GFP_MOVABLE_MASK = __GFP_RECLAIMABLE | __GFP_MOVABLE
__GFP_BITS_MASK = (1 << 25) - 1

# Useful combinations
GFP_ATOMIC = __GFP_HIGH | __GFP_KSWAPD_RECLAIM
GFP_KERNEL = __GFP_RECLAIM | __GFP_IO | __GFP_FS
GFP_KERNEL_ACCOUNT = GFP_KERNEL | __GFP_ACCOUNT
GFP_NOWAIT = __GFP_KSWAPD_RECLAIM | __GFP_NOWARN
GFP_NOIO = __GFP_RECLAIM
GFP_NOFS = __GFP_RECLAIM | __GFP_IO
GFP_USER = __GFP_RECLAIM | __GFP_IO | __GFP_FS | __GFP_HARDWALL
#: What of a mask says how hard to try, and not where. Kernel: mm/internal.h
GFP_RECLAIM_MASK = (
    __GFP_RECLAIM | __GFP_HIGH | __GFP_IO | __GFP_FS | __GFP_NOWARN | __GFP_RETRY_MAYFAIL
    | __GFP_NOFAIL | __GFP_NORETRY | __GFP_MEMALLOC | __GFP_NOMEMALLOC
)  # fmt: skip
GFP_DMA = __GFP_DMA
GFP_DMA32 = __GFP_DMA32
GFP_HIGHUSER = GFP_USER | __GFP_HIGHMEM
GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER | __GFP_MOVABLE
GFP_TRANSHUGE_LIGHT = (
    GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOMEMALLOC | __GFP_NOWARN
) & ~__GFP_RECLAIM
GFP_TRANSHUGE = GFP_TRANSHUGE_LIGHT | __GFP_DIRECT_RECLAIM

#: Names in the order in which the kernel prints them: most bits first, then what is left.
#: Kernel: include/trace/events/mmflags.h __def_gfpflag_names
GFP_FLAG_NAMES = (
    (GFP_TRANSHUGE, "GFP_TRANSHUGE"),
    (GFP_TRANSHUGE_LIGHT, "GFP_TRANSHUGE_LIGHT"),
    (GFP_HIGHUSER_MOVABLE, "GFP_HIGHUSER_MOVABLE"),
    (GFP_HIGHUSER, "GFP_HIGHUSER"),
    (GFP_USER, "GFP_USER"),
    (GFP_KERNEL_ACCOUNT, "GFP_KERNEL_ACCOUNT"),
    (GFP_KERNEL, "GFP_KERNEL"),
    (GFP_NOFS, "GFP_NOFS"),
    (GFP_ATOMIC, "GFP_ATOMIC"),
    (GFP_NOIO, "GFP_NOIO"),
    (GFP_NOWAIT, "GFP_NOWAIT"),
    (GFP_DMA, "GFP_DMA"),
    (__GFP_HIGHMEM, "__GFP_HIGHMEM"),
    (GFP_DMA32, "GFP_DMA32"),
    (__GFP_HIGH, "__GFP_HIGH"),
    (__GFP_IO, "__GFP_IO"),
    (__GFP_FS, "__GFP_FS"),
    (__GFP_NOWARN, "__GFP_NOWARN"),
    (__GFP_RETRY_MAYFAIL, "__GFP_RETRY_MAYFAIL"),
    (__GFP_NOFAIL, "__GFP_NOFAIL"),
    (__GFP_NORETRY, "__GFP_NORETRY"),
    (__GFP_COMP, "__GFP_COMP"),
    (__GFP_ZERO, "__GFP_ZERO"),
    (__GFP_NOMEMALLOC, "__GFP_NOMEMALLOC"),
    (__GFP_MEMALLOC, "__GFP_MEMALLOC"),
    (__GFP_HARDWALL, "__GFP_HARDWALL"),
    (__GFP_THISNODE, "__GFP_THISNODE"),
    (__GFP_RECLAIMABLE, "__GFP_RECLAIMABLE"),
    (__GFP_MOVABLE, "__GFP_MOVABLE"),
    (__GFP_ACCOUNT, "__GFP_ACCOUNT"),
    (__GFP_WRITE, "__GFP_WRITE"),
    (__GFP_RECLAIM, "__GFP_RECLAIM"),
    (__GFP_DIRECT_RECLAIM, "__GFP_DIRECT_RECLAIM"),
    (__GFP_KSWAPD_RECLAIM, "__GFP_KSWAPD_RECLAIM"),
    (__GFP_ZEROTAGS, "__GFP_ZEROTAGS"),
)


def gfp_zone(gfp_mask: int, arch: Arch = X86_64) -> int:
    """Index of the highest zone the request may use; -1 for a forbidden combination.

    Kernel: include/linux/gfp.h gfp_zone(), GFP_ZONE_TABLE, GFP_ZONE_BAD
    """
    return arch.gfp_zone_table[gfp_mask & GFP_ZONEMASK]


def gfp_migratetype(gfp_mask: int) -> int:
    """The migratetype of the request, 0 to 2; 3 when both mobility bits are set, which is a bug.

    Kernel: include/linux/gfp.h gfp_migratetype()
    """
    return (gfp_mask & GFP_MOVABLE_MASK) >> 3


def show_gfp_flags(gfp_mask: int) -> str:
    """The mask as tracepoints print it, "GFP_KERNEL|__GFP_COMP"; bits without a name in hex.

    Kernel: include/trace/events/mmflags.h show_gfp_flags()

    >>> show_gfp_flags(GFP_KERNEL | __GFP_ZERO)
    'GFP_KERNEL|__GFP_ZERO'
    """
    if not gfp_mask:
        return "none"
    words = []
    for bits, name in GFP_FLAG_NAMES:
        if (gfp_mask & bits) == bits:
            words.append(name)
            gfp_mask &= ~bits
    if gfp_mask:
        words.append(f"{gfp_mask:#x}")
    return "|".join(words)


def parse_gfp_flags(text: str) -> int:
    """The mask behind show_gfp_flags()'s text. ValueError names the word that is no flag.

    Names of kernels since 4.9 are known too; what has no flag today (__GFP_COLD) counts nothing.
    A number alone is a mask of the reference kernel. Beside names it is what its kernel had no
    name for, so a bit that has a name today means something else there, and counts nothing.
    Cost: one pass over the words.
    """
    words = text.split("|")
    gfp_mask = 0
    for word in words:
        bits = _GFP_BY_NAME.get(word)
        if bits is None and word.startswith("0x"):
            bits = int(word, 16)
            bits &= -1 if len(words) == 1 else ~_NAMED_BITS
        gfp_mask |= _known(bits, word)
    return gfp_mask


def _known(bits: int | None, word: str) -> int:
    if bits is None:
        raise ValueError(f"unknown gfp flag {word[:40]!r}")
    return bits


#: All bits that show_gfp_flags() has names for.
_NAMED_BITS = reduce(or_, (bits for bits, _ in GFP_FLAG_NAMES))

#: Names that tracepoints of kernels since 4.9 print, and the reference kernel does not.
_OLDER_NAMES = {
    "__GFP_REPEAT": __GFP_RETRY_MAYFAIL,  # renamed (in v4.13)
    "GFP_TEMPORARY": GFP_KERNEL | __GFP_RECLAIMABLE,  # removed (in v4.14)
    "__GFP_COLD": 0,  # removed (in v4.15)
    "__GFP_NOTRACK": 0,  # removed (in v4.15)
    "__GFP_OTHER_NODE": 0,  # removed (in v4.10)
    "__GFP_ATOMIC": 0,  # removed (in v6.3); GFP_ATOMIC still has __GFP_HIGH
    "__GFP_SKIP_ZERO": 0,  # memory tags (arm64), as the next three
    "__GFP_SKIP_KASAN_POISON": 0,
    "__GFP_SKIP_KASAN_UNPOISON": 0,
    "__GFP_SKIP_KASAN": 0,
    "__GFP_NOLOCKDEP": 0,
}

_GFP_BY_NAME = {
    **_OLDER_NAMES,
    **{name: bits for bits, name in GFP_FLAG_NAMES},
    "none": 0,
    "__GFP_DMA": __GFP_DMA,
    "__GFP_DMA32": __GFP_DMA32,
    "__GFP_NO_OBJ_EXT": __GFP_NO_OBJ_EXT,
}

#: What each flag does in memsim. A flag that only concerns what is not modelled says so.
GFP_FLAG_EFFECTS = (
    ("__GFP_DMA", "highest zone is DMA"),
    ("__GFP_HIGHMEM", "with __GFP_MOVABLE: highest zone is MOVABLE; alone: HIGHMEM where there is "
     "one, else NORMAL, as on x86-64"),
    ("__GFP_DMA32", "highest zone is DMA32; NORMAL where there is none"),
    ("__GFP_MOVABLE", "migratetype MOVABLE; may use CMA"),
    ("__GFP_RECLAIMABLE", "migratetype RECLAIMABLE"),
    ("__GFP_WRITE", "NOT MODELLED: spreading by dirty limits; no node is ever over its limit"),
    ("__GFP_HARDWALL", "NOT MODELLED: cpusets; every node is allowed"),
    ("__GFP_THISNODE", "the zonelist holds only the preferred node"),
    ("__GFP_ACCOUNT", "the bulk allocator gives one page at a time when memcg is online; "
     "NOT MODELLED: the charge"),
    ("__GFP_NO_OBJ_EXT", "NOT MODELLED: slab object extensions"),
    ("__GFP_HIGH", "slow path: half of the min watermark may be used"),
    ("__GFP_MEMALLOC", "slow path: no watermarks"),
    ("__GFP_NOMEMALLOC", "slow path: the reserves stay closed, also to __GFP_MEMALLOC"),
    ("__GFP_IO", "reclaim may swap and write, compaction may run; absent: neither"),
    ("__GFP_FS", "reclaim may call into the filesystem; absent: the OOM killer kills nobody"),
    ("__GFP_DIRECT_RECLAIM", "absent: ALLOC_NON_BLOCK in the slow path; "
     "with Machine(reclaim=True) the request reclaims and compacts for itself"),
    ("__GFP_KSWAPD_RECLAIM", "a fallback may set ZONE_BOOSTED_WATERMARK; "
     "the slow path wakes kswapd"),
    ("__GFP_RETRY_MAYFAIL", "slow path: costly orders are retried too; nobody is killed"),
    ("__GFP_NOFAIL", "slow path: attempts with half of min, again and again; "
     "NOT MODELLED: for ever, it ends after 1000 rounds"),
    ("__GFP_NORETRY", "slow path: one round of reclaim and compaction"),
    ("__GFP_ZERO", "NOT MODELLED: pages have no bytes"),
    ("__GFP_NOWARN", "a failure prints no report"),
    ("__GFP_COMP", "the block is compound: it is freed whole and not by split_page()"),
    ("__GFP_ZEROTAGS", "NOT MODELLED: memory tags (arm64)"),
)  # fmt: skip

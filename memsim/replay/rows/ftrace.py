"""Events' fields from text. One regular expression for each event.

Kernel: include/trace/events/*.h TP_printk
"""

from __future__ import annotations

import re
from collections.abc import Callable

from memsim.replay.rows.inputs import Kind
from memsim.replay.rows.slab_fields import MAX_SLAB_TEXT, SLAB_EVENTS, is_slab, slab_values
from memsim.replay.rows.vmalloc_fields import VMALLOC_EVENTS, is_vmalloc, vmalloc_values
from memsim.trace.text import parse_fields
from memsim.words.gfp import parse_gfp_flags
from memsim.words.mmzone import SIZEOF_STRUCT_PAGE

#: An event's text longer than this is refused.
MAX_TEXT = 1024
#: Events of pages, `page=… pfn=…` and then these fields, in whatever order, others between them.
#: The page is an address, hashed or not; of the number of a pfn only its 0x says what it is.
_PAGE_FIELDS = {
    Kind.mm_page_alloc: ("order", "migratetype", "gfp_flags"),
    Kind.mm_page_free: ("order",),
    Kind.mm_page_free_batched: (),
    Kind.mm_page_alloc_zone_locked: ("order", "migratetype", "percpu_refill"),
    Kind.mm_page_alloc_extfrag: (
        "alloc_order", "fallback_order", "alloc_migratetype", "fallback_migratetype",
        "change_ownership",
    ),
    Kind.mm_page_pcpu_drain: ("order", "migratetype"),
    Kind.mm_lru_insertion: (),
}  # fmt: skip
#: The events that every kernel has: a trace without probes is read for these.
PAGE_KINDS = frozenset(_PAGE_FIELDS)
_PAGE = re.compile(r"(?:page|folio)=\s*(\S+) pfn=(0x[0-9a-f]{1,17}|\d{1,21})(?:\s(.*))?$", re.ASCII)
#: A page that is none, as %p prints it; only pfn 0 says so where pointers are not shown.
_NO_PAGE = re.compile(r"\((?:null|nil)\)|(?:0x)?0+", re.ASCII)
_NOT_SHOWN = "(____ptrval____)"
#: Kind.mm_page_alloc prints it, or perf script for it, when there is no page.
_NO_PFN = (1 << 64) - 1

#: Of events other than those of pages. Patterns give numbers: a hex group starts with 0x,
#: everything else is decimal. In `page=0x…` of probes the group is the address of a struct page.
_PATTERNS = {
    Kind.direct: r".* zone=(0x\w+) pfn=(0x\w+) order=(\d+) fpi=(\d+)",
    Kind.bulk: r".* gfp=(0x\w+) nid=(-?\d+) nr=(-?\d+) ",
    Kind.bulk_ret: r".* nr=(-?\d+) ret=(\d+)",
    Kind.refresh: r".* do=(\d+)",
    Kind.decay: r".* zone=(0x\w+)",
    Kind.drain_zone: r".* zone=(0x\w+)",
    Kind.drain_pages: r".* cpu=(\d+) zone=(0x\w+)",
    Kind.gpf: r".* gfp=(0x\w+) order=(\d+) aflags=(0x\w+)",
    Kind.apn: r".* gfp=0x\w+ order=\d+ nid=(\d+)",
    Kind.isolate: r".* page=(0x\w+) order=(\d+)",
    Kind.isolate_ret: r"\((\w+)\+.* ret=(\d+)",
    Kind.putback: r".* page=(0x\w+) order=(\d+) mt=(\d+)",
    Kind.balance: r".* pgdat=(0x\w+) order=(\d+) hzi=(\d+)",
    Kind.balance_ret: r"()",
    Kind.mm_vmscan_kswapd_wake: r"nid=(\d+)",
    Kind.mm_vmscan_kswapd_sleep: r"nid=(\d+)",
    Kind.movepb: r".* zone=(0x\w+) start=(0x\w+) old=(\d+) new=(\d+)",
    Kind.pcpfree: r".* zone=(0x\w+) count=(\d+) pcpcount=(\d+) pcphigh=(\d+) pindex=(\d+)",
    Kind.mm_compaction_try_to_compact_pages: (r"order=(\d+) gfp_mask=(\S+) priority=(\d+)"),
    Kind.mm_compaction_begin: (
        r"zone_start=(0x\w+) migrate_pfn=(0x\w+) free_pfn=(0x\w+) zone_end=(0x\w+)"
    ),
    Kind.mm_compaction_finished: r"node=(\d+) zone=\w+\s+order=(-?\d+) ret=(\w+)",
    Kind.mm_compaction_isolate_migratepages: (
        r"range=\((0x\w+) ~ (0x\w+)\) nr_scanned=(\d+) nr_taken=(\d+)"
    ),
    Kind.mm_compaction_isolate_freepages: (
        r"range=\((0x\w+) ~ (0x\w+)\) nr_scanned=(\d+) nr_taken=(\d+)"
    ),
    Kind.mm_compaction_fast_isolate_freepages: (
        r"range=\((0x\w+) ~ (0x\w+)\) nr_scanned=(\d+) nr_taken=(\d+)"
    ),
    Kind.mm_compaction_migratepages: r"nr_migrated=(\d+) nr_failed=(\d+)",
    Kind.setpb: r".* flags=(0x\w+) pfn=(0x\w+) mask=(0x\w+)",
    Kind.mm_compaction_end: r"()",
}
_EVENTS = {kind: re.compile(text, re.ASCII) for kind, text in _PATTERNS.items()}
#: The events that are read, by name; those of slab and vmalloc only where they are wanted.
KINDS = {kind.name: kind for kind in (*_PAGE_FIELDS, *_EVENTS)} | SLAB_EVENTS | VMALLOC_EVENTS
#: The names of the others.
EVENT_NAMES = frozenset(KINDS) - frozenset(SLAB_EVENTS) - frozenset(VMALLOC_EVENTS)
_PAGE_POINTER_FIRST = frozenset({Kind.isolate, Kind.putback})


class Fields:
    """Numbers from events' texts.

    vmemmap_base: the address of the array of struct page, in which probes name pages.
    """

    def __init__(self, vmemmap_base: int) -> None:
        self._vmemmap_base = vmemmap_base
        #: Is there a gfp_flags that is a bare number?
        self.hex_flags = False

    def values(self, kind: int, text: str) -> list[int] | None:
        """The event's numbers; None without its fields. ValueError says which cannot be."""
        limit = MAX_SLAB_TEXT if is_slab(kind) else MAX_TEXT
        if len(text) > limit:
            raise ValueError(f"over {limit} characters of fields")
        if is_slab(kind):
            values = slab_values(Kind(kind), text, self._vmemmap_base)
        elif kind in _PAGE_FIELDS:
            values = self._page_values(kind, text)
        elif is_vmalloc(kind):
            values = vmalloc_values(Kind(kind), text)
        else:
            values = self._other_values(kind, text)
        return None if values is None else [_signed(value) for value in values]

    def _page_values(self, kind: int, text: str) -> list[int] | None:
        match = _PAGE.match(text)
        if match is None:
            return None
        numbers = self._end_values(kind, match[3] or "")
        return None if numbers is None else [self._pfn(kind, match[1], match[2]), *numbers]

    def _pfn(self, kind: int, page: str, text: str) -> int:
        pfn = int(text, 16 if text.startswith("0x") else 10)
        if kind != Kind.mm_page_alloc:
            return pfn
        nothing = _NO_PAGE.fullmatch(page) or (page == _NOT_SHOWN and pfn == 0) or pfn == _NO_PFN
        return -1 if nothing else pfn

    def _end_values(self, kind: int, end: str) -> list[int] | None:
        """Numbers of what follows the pfn; None when a field is missing, or there twice."""
        fields = parse_fields(end)
        words = [word.partition("=")[0] for word in end.split() if "=" in word]
        keys = _PAGE_FIELDS[Kind(kind)]
        if any(words.count(key) != 1 for key in keys):
            return None
        if "gfp_flags" in keys:
            self.hex_flags |= fields["gfp_flags"].startswith("0x")
        return [_flags_or_number(key, fields[key]) for key in keys]

    def _other_values(self, kind: int, text: str) -> list[int] | None:
        match = _EVENTS[Kind(kind)].match(text)
        if match is None:
            return None
        values = _CONVERT.get(Kind(kind), _numbers)(match.groups())
        if kind in _PAGE_POINTER_FIRST:
            values[0] = (values[0] - self._vmemmap_base) // SIZEOF_STRUCT_PAGE
        return values


def _signed(value: int) -> int:
    """As the columns hold 64 bits."""
    value = value - (1 << 64) if value >= 1 << 63 else value
    if not -1 << 63 <= value < 1 << 63:
        raise ValueError("a number of over 64 bits")
    return value


def _flags_or_number(key: str, text: str) -> int:
    if key == "gfp_flags":
        return parse_gfp_flags(text)
    if not text.isdecimal():
        raise ValueError(f"{key}={text[:40]!r} is no number")
    return int(text)


def _numbers(groups: tuple[str, ...]) -> list[int]:
    return [int(text, 16 if text.startswith("0x") else 10) for text in groups if text]


def _isolate_ret(groups: tuple[str, ...]) -> list[int]:
    """[1 if compaction's fast search called, pages isolated]."""
    caller, returned = groups
    return [int(caller.startswith(("compaction_alloc", "fast_isolate"))), int(returned)]


def _try_to_compact(groups: tuple[str, ...]) -> list[int]:
    """[order, gfp_mask, priority]."""
    order, flags, priority = groups
    return [int(order), parse_gfp_flags(flags), int(priority)]


def _mm_compaction_finished(groups: tuple[str, ...]) -> list[int]:
    """[node, order, 1 if compaction goes on]."""
    node, order, ret = groups
    return [int(node), int(order), int(ret in ("continue", "no_suitable_page"))]


_CONVERT: dict[Kind, Callable[[tuple[str, ...]], list[int]]] = {
    Kind.isolate_ret: _isolate_ret,
    Kind.mm_compaction_try_to_compact_pages: _try_to_compact,
    Kind.mm_compaction_finished: _mm_compaction_finished,
}

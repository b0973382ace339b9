"""/proc/slabinfo, version 2.1: how many objects and slabs each cache has.

Version 2.1 has been the same since before 4.9. SLUB has no tunables: they are 0, and every slab
counts as active. Caches that share one are told once, under the first name.
Kernel: mm/slab_common.c print_slabinfo_header(), cache_show()
"""

from __future__ import annotations

from dataclasses import dataclass, field

from memsim.mm.mmzone import Vm
from memsim.mm.slub.slab import KmemCache
from memsim.mm.slub.stats import get_slabinfo
from memsim.proc.text import COPY_AGAIN, MAX_NUMBER, Line, lines_of

VERSION = "slabinfo - version: 2.1"
COLUMNS = (
    "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
    " : tunables <limit> <batchcount> <sharedfactor>"
    " : slabdata <active_slabs> <num_slabs> <sharedavail>"
)
#: Bytes that a name may have, and caches that a text may have: more than any kernel's.
MAX_NAME = 256
MAX_CACHES = 100_000
_MAX_UINT = (1 << 32) - 1
_PARTS = {
    "cache": ("active_objs", "num_objs", "objsize", "objperslab", "pagesperslab"),
    "tunables": ("limit", "batchcount", "sharedfactor"),
    "slabdata": ("active_slabs", "num_slabs", "sharedavail"),
}
#: unsigned long; the others are unsigned int.
_WIDE = ("active_objs", "num_objs", "active_slabs", "num_slabs", "sharedavail")


@dataclass(frozen=True)
class SlabinfoCache:
    """A row. objsize is in bytes and counts what is kept beside the object: kmem_cache->size.

    Two caches may have one name. `line` is where it was read.
    """

    name: str
    active_objs: int
    num_objs: int
    objsize: int
    objperslab: int
    pagesperslab: int
    limit: int = 0
    batchcount: int = 0
    sharedfactor: int = 0
    active_slabs: int = 0
    num_slabs: int = 0
    sharedavail: int = 0
    line: int = field(default=0, compare=False)


def parse_slabinfo(text: str, name: str = "slabinfo") -> list[SlabinfoCache]:
    """The rows of a copy. BadInput names line and field; `name` is how it calls the file."""
    lines = lines_of(text, name)
    first = next(lines, Line(name, 1, ""))
    if first.text != VERSION:
        raise first.unknown(f"'{VERSION}'")
    second = next(lines, Line(name, 2, ""))
    if second.text.split() != COLUMNS.split():
        raise second.unknown("the names of the columns, '# name <active_objs>' and so on")
    rows: list[SlabinfoCache] = []
    for line in lines:
        if len(rows) == MAX_CACHES:
            raise line.bad(f"over {MAX_CACHES} caches; {COPY_AGAIN}")
        rows.append(_row(line))
    if not rows:
        raise second.bad(f"no cache at all; {COPY_AGAIN}")
    return rows


def _row(line: Line) -> SlabinfoCache:
    head, *parts = line.text.rsplit(" : ", 2)
    name, *numbers = head.rsplit(maxsplit=5)
    words = [["cache", *numbers], *(part.split(maxsplit=4) for part in parts)]
    if [part[0] for part in words] != list(_PARTS) or not _is_name(name):
        raise line.unknown("'NAME', 5 numbers, ': tunables', 3, ': slabdata' and 3")
    told: dict[str, int] = {}
    for (part, fields), found in zip(_PARTS.items(), words, strict=True):
        if len(found) != len(fields) + 1:
            raise line.bad(f"{part}: should be {len(fields)} numbers; {COPY_AGAIN}")
        for key, word in zip(fields, found[1:], strict=True):
            told[key] = line.integer(word, key, MAX_NUMBER if key in _WIDE else _MAX_UINT)
    row = SlabinfoCache(name, line=line.number, **told)
    _check(line, row)
    return row


def _is_name(name: str) -> bool:
    return name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME


def _check(line: Line, row: SlabinfoCache) -> None:
    """What no kernel prints, however much happened while it counted."""
    if row.active_objs > row.num_objs:
        what = f"active_objs: {row.active_objs} of {row.num_objs}"
    elif row.active_slabs > row.num_slabs:
        what = f"active_slabs: {row.active_slabs} of {row.num_slabs}"
    elif row.pagesperslab.bit_count() != 1:
        what = f"pagesperslab: {row.pagesperslab} is not a power of two"
    elif not row.objsize or not row.objperslab:
        what = "objsize, objperslab: 0"
    else:
        return
    raise line.bad(f"{what}; {COPY_AGAIN}")


def write_slabinfo(rows: list[SlabinfoCache]) -> str:
    """The text, as Linux 6.12 prints it; without caches there is none. Kernel: cache_show()."""
    if not rows:
        return ""
    lines = [VERSION, COLUMNS]
    for r in rows:
        lines.append(
            f"{r.name:<17} {r.active_objs:6} {r.num_objs:6} {r.objsize:6} {r.objperslab:4} "
            f"{r.pagesperslab:4} : tunables {r.limit:4} {r.batchcount:4} {r.sharedfactor:4}"
            f" : slabdata {r.active_slabs:6} {r.num_slabs:6} {r.sharedavail:6}"
        )
    return "".join(f"{line}\n" for line in lines)


def slabinfo_of(vm: Vm) -> list[SlabinfoCache]:
    """What slabinfo says on this machine, the newest cache first."""
    return [_row_of(s) for s in vm.slab.slab_caches]


def _row_of(s: KmemCache) -> SlabinfoCache:
    told = get_slabinfo(s)
    return SlabinfoCache(
        s.name, told.active_objs, told.num_objs, s.size, told.objects_per_slab,
        1 << told.cache_order, active_slabs=told.active_slabs, num_slabs=told.num_slabs,
    )  # fmt: skip

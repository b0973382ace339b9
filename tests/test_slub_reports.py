"""Each report of SLUB in full, written down from the kernel's format strings.

In the texts `<+n>` stands for the address n bytes behind the first object of the first slab, and
`<slab>` for that of its struct page.
"""

from __future__ import annotations

import re

import pytest
from slub_objects import allocated, created, poke

from memsim import GFP_KERNEL
from memsim.mm.slab_common import KmemCacheArgs, kmem_cache_create, kmem_cache_destroy
from memsim.mm.slub.alloc import Object, slab_alloc_node
from memsim.mm.slub.debug_requests import cache_from_obj
from memsim.mm.slub.debug_validate import validate_slab_cache
from memsim.mm.slub.free import do_slab_free, kmem_cache_free_bulk, slab_free
from memsim.mm.slub.memory import obj_to_ptr, ptr_to_obj, read_bytes, slab_start, write_bytes
from memsim.mm.slub.slab import KmemCache
from memsim.words.mmzone import NULL
from memsim.words.slab import (
    NUMA_NO_NODE,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_KMALLOC,
    SLAB_NO_MERGE,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TRACE,
)

DOUBLE, SINGLE = "=" * 77, "-" * 77
CHECKS = SLAB_CONSISTENCY_CHECKS
FLAGS = "flags=0xfffffc0000200(workingset|node=0|zone=1|lastcpupid=0x1fffff)"
FULL_FLAGS = "flags=0xfffffc0000000(node=0|zone=1|lastcpupid=0x1fffff)"
TAINTED = "Tainted: G    B   W         "


def in_order(size: int, flags: int, name: str = "mine") -> KmemCache:
    """A cache whose slabs hand out their objects from the first to the last."""
    s = created(name, size, flags)
    s.random_seq = []
    return s


def corrupt_pointer(got: Object) -> None:
    """Change a byte of the free pointer, far from what may be an object."""
    offset = got[0].slab_cache.offset
    kept = read_bytes(got[0], obj_to_ptr(*got) + offset, 8)
    assert kept is not None
    poke(got, offset + 3, bytes([kept[3] ^ 0x40]))


def logged(got: Object) -> list[str]:
    """What was logged since the last time, addresses counted from the first object."""
    slab, log = got[0], got[0].slab_cache.vm.slab.log
    first = obj_to_ptr(slab, 0)

    def relative(match: re.Match[str]) -> str:
        address = int(match[0], 16)
        return "<slab>" if match[0].startswith("ffffea") else f"<{address - first:+}>"

    shown = [re.sub("ffff[8e]8?[8a][0-9a-f]{10,11}", relative, line) for line in log]
    log.clear()
    return shown


def report(title: str, *body: str) -> list[str]:
    return [DOUBLE, f"BUG mine ({title}", SINGLE, "", *body]


def test_left_redzone_in_full() -> None:
    """The object is not freed; who allocated and who freed it before is told."""
    s = in_order(24, CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)
    debug = s.vm.slab.debug
    opened = s.vm.trace.number_of("open_it+0x1a/0x30 [mine]")
    debug.pid, debug.jiffies = 41, 1000
    debug.call_site = s.vm.trace.number_of("close_it+0x8/0x10 [mine]")
    slab_free(s, *allocated(s))
    debug.pid, debug.jiffies, debug.call_site = 42, 1100, opened
    got = allocated(s)
    poke(got, 0, b"Hello, \x7f world!")
    poke(got, -2, b"\x00")
    debug.jiffies = 1207
    slab_free(s, *got)
    fp = s.size
    assert logged(got) == [
        "[Left Redzone overwritten] 0x<-2>-0x<-2> @offset=6. First byte 0x0 instead of 0xcc",
        *report(
            "Not tainted): Object corrupt",
            "Allocated in open_it+0x1a/0x30 [mine] age=107 cpu=0 pid=42",
            "object allocation/free stack trace missing",
            "Freed in close_it+0x8/0x10 [mine] age=207 cpu=0 pid=41",
            "object allocation/free stack trace missing",
            f"Slab 0x<slab> objects=34 used=1 fp=0x<{fp:+}> {FLAGS}",
            f"Object 0x<+0> @offset=8 fp=0x<{fp:+}>",
            "",
            "Redzone  <-8>: cc cc cc cc cc cc 00 cc                          ........",
            "Object   <+0>: 48 65 6c 6c 6f 2c 20 7f 20 77 6f 72 6c 64 21 6b  Hello, . world!k",
            "Object   <+16>: 6b 6b 6b 6b 6b 6b 6b a5                          kkkkkkk.",
            "Redzone  <+24>: cc cc cc cc cc cc cc cc                          ........",
            "Padding  <+104>: 5a 5a 5a 5a 5a 5a 5a 5a                          ZZZZZZZZ",
        ),
        "FIX mine: Restoring Left Redzone 0x<-2>-0x<-2>=0xcc",
        "FIX mine: Object at 0x<+0> not freed",
    ]
    slab_free(s, *got)
    assert logged(got) == []


def test_only_the_first_finding_shows_the_object() -> None:
    s = in_order(64, SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE | CHECKS)
    got = allocated(s, 50)
    poke(got, 50, b"abc")
    poke(got, 64, b"\x01\x02")
    poke(got, -8, b"\x03")
    validate_slab_cache(s)
    lines = logged(got)
    findings = [line for line in lines if line.startswith(("[", "FIX", "BUG"))]
    assert findings == [
        "[Left Redzone overwritten] 0x<-8>-0x<-8> @offset=0. First byte 0x3 instead of 0xcc",
        "BUG mine (Not tainted): Object corrupt",
        "FIX mine: Restoring Left Redzone 0x<-8>-0x<-8>=0xcc",
        "[Right Redzone overwritten] 0x<+64>-0x<+65> @offset=72. First byte 0x1 instead of 0xcc",
        "FIX mine: Restoring Right Redzone 0x<+64>-0x<+65>=0xcc",
        "[kmalloc Redzone overwritten] 0x<+50>-0x<+52> @offset=58. First byte 0x61 instead of 0xcc",
        "FIX mine: Restoring kmalloc Redzone 0x<+50>-0x<+52>=0xcc",
    ]


@pytest.mark.parametrize(
    ("at", "what", "first", "last", "value"),
    [(3, "Poison", 3, 3, 0x6B), (23, "End Poison", 23, 23, 0xA5)],
)
def test_use_after_free_is_found_when_the_object_is_wanted(
    at: int, what: str, first: int, last: int, value: int
) -> None:
    """The slab is given up: its objects count as used, and another slab serves the request."""
    s = in_order(24, CHECKS | SLAB_POISON)
    got = allocated(s)
    slab_free(s, *got)
    assert read_bytes(got[0], obj_to_ptr(*got), 24) == b"\x6b" * 23 + b"\xa5"
    poke(got, at, b"!")
    other = allocated(s)
    lines = logged(got)
    place = f"0x<+{first}>-0x<+{last}>"
    told = f"@offset={at}. First byte 0x21 instead of 0x{value:x}"
    assert lines[0] == f"[{what} overwritten] {place} {told}"
    assert lines[2] == "BUG mine (Not tainted): Object corrupt"
    assert lines[5] == f"Slab 0x<slab> objects=128 used=1 fp=0x<+32> {FLAGS}"
    assert lines[-2:] == [
        f"FIX mine: Restoring {what} {place}=0x{value:x}",
        "FIX mine: Marking all objects used",
    ]
    assert other[0] is not got[0]
    assert (got[0].inuse, got[0].freelist, got[0].frozen) == (128, NULL, True)
    assert not got[0].on_node_partial
    slab_free(s, *got)
    assert logged(got)[1] == (
        f"BUG mine ({TAINTED}): Slab disabled since SLUB metadata consistency check failed"
    )


def test_freepointer_of_an_object_in_use() -> None:
    s = in_order(24, CHECKS | SLAB_POISON)
    got, behind = allocated(s), allocated(s)
    corrupt_pointer(got)
    slab_free(s, *got)
    lines = logged(got)
    assert lines[1] == "BUG mine (Not tainted): Freepointer corrupt"
    assert lines[4] == f"Slab 0x<slab> objects=128 used=2 fp=0x<+64> {FLAGS}"
    assert lines[-1] == "FIX mine: Object at 0x<+0> not freed"
    assert got[0].next_object[got[1]] == NULL
    slab_free(s, *got)
    slab_free(s, *behind)
    assert logged(got) == []


def test_freechain() -> None:
    """Freeing another object of the slab finds it; the rest of the list is lost."""
    s = in_order(24, CHECKS | SLAB_POISON)
    got, other = allocated(s), allocated(s)
    slab_free(s, *got)
    corrupt_pointer(got)
    slab_free(s, *other)
    lines = logged(got)
    said = [line for line in lines if line.startswith(("BUG", "FIX"))]
    assert said == [
        "BUG mine (Not tainted): Freechain corrupt",
        f"BUG mine ({TAINTED}): Wrong object count. Counter is 1 but counted were 127",
        "FIX mine: Object count adjusted",
    ]
    assert got[0].inuse == 126
    assert got[0].next_object[got[1]] == NULL


def test_object_already_free() -> None:
    s = in_order(24, CHECKS)
    kept, got = allocated(s), allocated(s)
    slab_free(s, *got)
    slab_free(s, *got)
    slab, s = kept[0], kept[0].slab_cache
    assert logged(kept) == [
        *report(
            "Not tainted): Object already free",
            f"Slab 0x<slab> objects=170 used=1 fp=0x<+24> {FLAGS}",
            "Object 0x<+24> @offset=24 fp=0x<+48>",
            "",
            f"Bytes b4 <+8>: {hexes(kept, 8, 16)}",
            f"Object   <+24>: {hexes(kept, 24, 16)}",
            f"Object   <+40>: {hexes(kept, 40, 8)}",
        ),
        "FIX mine: Object at 0x<+24> not freed",
    ]
    assert slab.inuse == 1


def hexes(got: Object, offset: int, count: int) -> str:
    """A row of a dump: the encoded pointer in it is random."""
    data = read_bytes(got[0], obj_to_ptr(got[0], 0) + offset, count)
    assert data is not None
    text = " ".join(f"{byte:02x}" for byte in data)
    shown = "".join(chr(byte) if 32 <= byte <= 126 else "." for byte in data)
    return text + " " * (49 - len(text)) + shown


def test_a_pointer_into_an_object() -> None:
    s = in_order(24, CHECKS | SLAB_RED_ZONE)
    got = allocated(s)
    slab_free(s, got[0], ptr_to_obj(got[0], obj_to_ptr(*got) + 8))
    assert logged(got) == [
        *report(
            "Not tainted): Invalid object pointer 0x<+8>",
            f"Slab 0x<slab> objects=85 used=1 fp=0x<+48> {FLAGS}",
        ),
        "FIX mine: Object at 0x<+8> not freed",
    ]
    assert got[0].inuse == 1


def test_wrong_slab_cache() -> None:
    s = in_order(24, CHECKS | SLAB_STORE_USER)
    other, _ = kmem_cache_create(s.vm, "other", 100, SLAB_NO_MERGE, KmemCacheArgs())
    assert other is not None
    s.vm.slab.debug.call_site = 0xABC
    got = allocated(s)
    assert cache_from_obj(other, *got) is s
    assert logged(got) == [
        "cache_from_obj: Wrong slab cache. other but object is from mine",
        "Allocated in 0xabc age=0 cpu=0 pid=0",
        "object allocation/free stack trace missing",
    ]


@pytest.mark.parametrize("flags", [SLAB_NO_MERGE, SLAB_STORE_USER])
def test_objects_remaining(flags: int) -> None:
    s = in_order(24, flags)
    s.vm.slab.debug.call_site = 0xABC
    got, freed, third = allocated(s), allocated(s), allocated(s)
    slab_free(s, *freed)
    assert not kmem_cache_destroy(s)
    track = ["Allocated in 0xabc age=0 cpu=0 pid=0", "object allocation/free stack trace missing"]
    track = track if flags == SLAB_STORE_USER else []
    slab = got[0]
    at = s.size * third[1]
    assert logged(got) == [
        *report(
            "Not tainted): Objects remaining on __kmem_cache_shutdown()",
            "Object 0x<+0> @offset=0",
            *track,
            f"Object 0x<{at:+}> @offset={at}",
            *track,
            f"Slab 0x<slab> objects={slab.objects} used=2 fp=0x<{s.size:+}> {FLAGS}",
        ),
        "kmem_cache_destroy mine: Slab cache still has objects when called from 0xabc",
    ]


def test_the_end_of_the_slab() -> None:
    """The report names a range, and dumps all bytes that no object uses."""
    s = in_order(1000, CHECKS | SLAB_POISON)
    slab = allocated(s)[0]
    size = slab.objects * s.size
    total = 4096 << slab.order
    assert write_bytes(slab, slab_start(slab) + size + 3, b"\x00Z\x01")
    assert not s.vm.slab.log
    validate_slab_cache(s)
    lines = logged((slab, 0))
    assert lines[:4] == report(
        f"Not tainted): Padding overwritten. 0x<+{size + 3}>-0x<+{size + 5}> @offset={size + 3}"
    )
    assert lines[4] == (
        f"Padding <+{size}>: 5a 5a 5a 00 5a 01 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a  ZZZ.Z.ZZZZZZZZZZ"
    )
    assert len(lines) == 4 + -(-(total - size) // 16) + 2
    assert lines[-1] == f"FIX mine: Restoring slab padding 0x<+{size + 3}>-0x<+{size + 5}>=0x5a"


@pytest.mark.parametrize(
    ("flags", "at", "what"),
    [
        (SLAB_POISON, 21, "Alignment padding"),
        (SLAB_RED_ZONE | SLAB_POISON, 35, "Object padding"),
    ],
)
def test_paddings(flags: int, at: int, what: str) -> None:
    s = in_order(20, flags | CHECKS)
    got = allocated(s)
    poke(got, at, b"\xff")
    validate_slab_cache(s)
    place = f"0x<+{at}>-0x<+{at}>"
    lines = logged(got)
    offset = at + s.red_left_pad
    told = f"@offset={offset}. First byte 0xff instead of 0x5a"
    assert lines[0] == f"[{what} overwritten] {place} {told}"
    assert lines[-1] == f"FIX mine: Restoring {what} {place}=0x5a"


def test_traced_requests() -> None:
    s = in_order(8, SLAB_TRACE)
    got = allocated(s)
    poke(got, 0, b"memories")
    slab_free(s, *got)
    assert logged(got) == [
        "TRACE mine alloc 0x<+0> inuse=1 fp=0x<+8>",
        "TRACE mine free 0x<+0> inuse=1 fp=0x<+8>",
        "Object <+0>: 6d 65 6d 6f 72 69 65 73                          memories",
    ]


def test_without_checks_a_corrupt_list_kills() -> None:
    """The wild pointer becomes the slab's freelist; the next request oopses and does nothing."""
    s = in_order(24, SLAB_POISON)
    got = allocated(s)
    slab_free(s, *got)
    corrupt_pointer(got)
    assert allocated(s) == got
    wild = obj_to_ptr(got[0], got[0].freelist) + s.offset
    assert slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE) is None
    assert s.vm.slab.debug.oops == f"BUG: unable to handle page fault for address: {wild:016x}"
    assert got[0].inuse == 1
    s.vm.slab.debug.oops = ""
    s.vm.slab.log.clear()
    validate_slab_cache(s)
    said = [line for line in logged(got) if line.startswith(("BUG", "FIX"))]
    assert said == [
        "BUG mine (Not tainted): Freepointer corrupt",
        "FIX mine: Freelist cleared",
    ]
    assert (got[0].freelist, got[0].inuse) == (NULL, got[0].objects)


def test_more_freed_than_there_are() -> None:
    s = in_order(24, CHECKS)
    got, other = allocated(s), allocated(s)
    do_slab_free(s, got[0], got[1], got[1], 3)
    assert logged(got) == [
        *report(
            "Not tainted): Slab has 2 allocated objects but 3 are to be freed",
            "",
        )[:2],
        "",
        SINGLE,
        "",
        f"Slab 0x<slab> objects=170 used=2 fp=0x<+48> {FLAGS}",
        "FIX mine: Object at 0x<+0> not freed",
    ]
    do_slab_free(s, got[0], got[1], got[1], 2)
    assert logged(got)[1] == f"BUG mine ({TAINTED}): Bulk free expected 2 objects but found 1"
    assert got[0].inuse == 1
    slab_free(s, *other)


@pytest.mark.parametrize("cpus_slab", [True, False])
def test_double_free_without_debugging(cpus_slab: bool) -> None:
    """Hardened free pointers: an object that is first on its list already kills the kernel."""
    s = in_order(24, SLAB_NO_MERGE)
    live = [allocated(s) for _ in range(300)]
    slab, obj = live[-1] if cpus_slab else live[0]
    slab_free(s, slab, obj)
    c = s.cpu_slab[0]
    before = (slab.freelist, slab.inuse, list_of(slab.next_object), c.freelist, c.tid)
    slab_free(s, slab, obj)
    assert s.vm.slab.debug.oops == "kernel BUG at mm/slub.c:547!"
    assert before == (slab.freelist, slab.inuse, list_of(slab.next_object), c.freelist, c.tid)


def list_of(pointers: object) -> list[int]:
    assert isinstance(pointers, list)
    return list(pointers)


def test_the_same_object_twice_in_a_batch() -> None:
    s = in_order(24, SLAB_NO_MERGE)
    got = allocated(s)
    kmem_cache_free_bulk([got, got])
    assert s.vm.slab.debug.oops == "kernel BUG at mm/slub.c:547!"

"""SLUB's reports, line by line as the kernel logs them.

Addresses are shown as with no_hash_pointers on the command line; without it the kernel shows a
hash of each. NOT MODELLED: the "WARNING: CPU:" block with registers and call trace that follows
each report (WARN_ON), and stack traces of allocations: a kernel with CONFIG_STACKDEPOT shows them
where the model says that they are missing.

Kernel: mm/slub.c print_section() to slab_err(), lib/hexdump.c print_hex_dump()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE
from memsim.mm.mmzone import Vm, page_zone
from memsim.mm.slub.debug_track import (
    TRACK_ALLOC,
    TRACK_FREE,
    Track,
    get_info_end,
    get_track,
    slub_debug_orig_size,
)
from memsim.mm.slub.memory import check_valid_pointer, obj_offset, obj_to_ptr, section, slab_start
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.words.mmzone import NULL, VMEMMAP_START
from memsim.words.slab import (
    SIZEOF_POINTER,
    SIZEOF_TRACK,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
)

_DOUBLE_RULE = "=" * 77
_RULE = "-" * 77
_ROW = 16

#: What the kernel dies with of an object that is freed while it is first on its freelist.
DOUBLE_FREE = "kernel BUG at mm/slub.c:547!"

# The first report taints the kernel with TAINT_BAD_PAGE and, as it warns, TAINT_WARN.
_TAINTED = "Tainted: G    B   W         "

# Kernel: include/linux/page-flags-layout.h, as distributions configure x86-64.
_NODES_PGSHIFT, _ZONES_PGSHIFT, _LAST_CPUPID_PGSHIFT = 54, 51, 30
_NO_CPUPID = 0x1FFFFF
_PG_HEAD, _PG_WORKINGSET = 1 << 6, 1 << 9


def pointer(ptr: int) -> str:
    """An address as 0x%p shows it, not hashed."""
    return f"0x{ptr:016x}"


def pr_err(s: KmemCache, text: str) -> None:
    """Log text, which may be of several lines. Kernel: pr_err()."""
    s.vm.slab.log += text.split("\n")


def warn_on(vm: Vm, where: str) -> None:
    """Log a WARN_ON() that says nothing but where it stands: file, line and function."""
    vm.slab.log.append(f"WARNING: CPU: {vm.cpu} PID: {vm.slab.debug.pid} at {where}")


def warn_on_once(vm: Vm, where: str) -> None:
    """warn_on(), but not for a second time."""
    if not any(line.endswith(f" at {where}") for line in vm.slab.log):
        warn_on(vm, where)


def oops(s: KmemCache, text: str) -> None:
    """Log what the kernel dies of, and leave it in the state for the caller to find."""
    s.vm.slab.debug.oops = text
    pr_err(s, text)


def died(s: KmemCache) -> bool:
    """Has the kernel died in this request?"""
    return bool(s.vm.slab.debug.oops)


def print_tainted(s: KmemCache) -> str:
    """Has there been a report before? Kernel: kernel/panic.c print_tainted()."""
    return _TAINTED if s.vm.slab.debug.tainted else "Not tainted"


def print_section(slab: Slab, text: str, at: int, length: int) -> None:
    """Dump bytes of the slab from an offset on, 16 a line, as numbers and as characters.

    Kernel: mm/slub.c print_section(), lib/hexdump.c print_hex_dump()
    """
    data = section(slab, at, length)
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        where = slab_start(slab) + at + start
        pr_err(slab.slab_cache, f"{text}{where:016x}: {row.hex(' '):<49}{shown}")


def symbol(s: KmemCache, call_site: int) -> str:
    """A code address as %pS shows it; one that was overwritten is no number of a name."""
    names = s.vm.trace.names
    return names[call_site] if call_site < len(names) else f"0x{call_site:x}"


def _print_track(s: KmemCache, what: str, track: Track) -> None:
    if not track.addr:
        return
    age = (s.vm.slab.debug.jiffies - track.when) % (1 << 64)
    where = symbol(s, track.addr)
    pr_err(s, f"{what} in {where} age={age} cpu={track.cpu} pid={track.pid}")
    pr_err(s, "object allocation/free stack trace missing")


def print_tracking(s: KmemCache, slab: Slab, obj: int) -> None:
    """Who allocated an object, and who freed it. Kernel: mm/slub.c print_tracking()."""
    if s.flags & SLAB_STORE_USER:
        _print_track(s, "Allocated", get_track(slab, obj, TRACK_ALLOC))
        _print_track(s, "Freed", get_track(slab, obj, TRACK_FREE))


def page_flags(slab: Slab) -> str:
    """The flags of the slab's first page as %pGp shows them.

    NOT MODELLED: flags that SLUB neither sets nor clears. Kernel: lib/vsprintf.c
    """
    zone = page_zone(slab.slab_cache.vm, slab.pfn)
    idx = zone.idx if zone is not None else 0
    flags = _NO_CPUPID << _LAST_CPUPID_PGSHIFT | idx << _ZONES_PGSHIFT
    flags |= slab.nid << _NODES_PGSHIFT
    fields = [f"node={slab.nid}", f"zone={idx}", f"lastcpupid=0x{_NO_CPUPID:x}"]
    if slab.order:
        flags |= _PG_HEAD
        fields.insert(0, "head")
    if slab.on_node_partial:
        flags |= _PG_WORKINGSET
        fields.insert(0, "workingset")
    return f"0x{flags:x}({'|'.join(fields)})"


def print_slab_info(slab: Slab) -> None:
    """The line about the slab. Kernel: mm/slub.c print_slab_info()."""
    s = slab.slab_cache
    page = VMEMMAP_START + slab.pfn * s.vm.arch.sizeof_struct_page
    fp = pointer(obj_to_ptr(slab, slab.freelist))
    pr_err(
        s,
        f"Slab {pointer(page)} objects={slab.objects} used={slab.inuse} fp={fp} "
        f"flags={page_flags(slab)}",
    )


def slab_bug(s: KmemCache, text: str) -> None:
    """The head of a report. Kernel: mm/slub.c slab_bug()."""
    pr_err(s, _DOUBLE_RULE)
    pr_err(s, f"BUG {s.name} ({print_tainted(s)}): {text}")
    pr_err(s, _RULE + "\n")


def slab_fix(s: KmemCache, text: str) -> None:
    """Say what was repaired. Kernel: mm/slub.c slab_fix()."""
    if not s.vm.slab.debug.slab_add_kunit_errors():
        pr_err(s, f"FIX {s.name}: {text}")


def size_from_object(s: KmemCache) -> int:
    """Bytes from an object to the next one's left red zone. Kernel: size_from_object()."""
    return s.size - s.red_left_pad if s.flags & SLAB_RED_ZONE else s.size


def padding_offset(s: KmemCache) -> int:
    """Where the padding begins: behind free pointer, tracks and original size; bytes."""
    at = get_info_end(s)
    if s.flags & SLAB_STORE_USER:
        at += 2 * SIZEOF_TRACK
    return at + (SIZEOF_POINTER if slub_debug_orig_size(s) else 0)


def print_trailer(s: KmemCache, slab: Slab, obj: int) -> None:
    """All about an object, and its bytes. Kernel: mm/slub.c print_trailer()."""
    print_tracking(s, slab, obj)
    print_slab_info(slab)
    at = obj_offset(slab, obj)
    fp = pointer(obj_to_ptr(slab, slab.next_object[obj]))
    pr_err(s, f"Object {pointer(obj_to_ptr(slab, obj))} @offset={at} fp={fp}\n")
    if s.flags & SLAB_RED_ZONE:
        print_section(slab, "Redzone  ", at - s.red_left_pad, s.red_left_pad)
    elif at > 16:
        print_section(slab, "Bytes b4 ", at - 16, 16)
    print_section(slab, "Object   ", at, min(s.object_size, PAGE_SIZE))
    if s.flags & SLAB_RED_ZONE:
        print_section(slab, "Redzone  ", at + s.object_size, s.inuse - s.object_size)
    pad = padding_offset(s)
    if pad != size_from_object(s):
        print_section(slab, "Padding  ", at + pad, size_from_object(s) - pad)


def object_err(s: KmemCache, slab: Slab, obj: int, reason: str) -> None:
    """Report an object. Kernel: mm/slub.c object_err()."""
    if s.vm.slab.debug.slab_add_kunit_errors():
        return
    slab_bug(s, reason)
    if obj == NULL or not check_valid_pointer(obj):
        print_slab_info(slab)
        pr_err(s, f"Invalid pointer {pointer(obj_to_ptr(slab, obj))}")
    else:
        print_trailer(s, slab, obj)
    s.vm.slab.debug.tainted = True


def slab_err(s: KmemCache, slab: Slab, text: str) -> None:
    """Report a slab. Kernel: mm/slub.c slab_err()."""
    if s.vm.slab.debug.slab_add_kunit_errors():
        return
    slab_bug(s, text)
    warn_slab(slab)


def warn_slab(slab: Slab) -> None:
    """Show the slab and taint the kernel, unless a KUnit test runs. Kernel: __slab_err()."""
    debug = slab.slab_cache.vm.slab.debug
    if debug.kunit_errors is None:
        print_slab_info(slab)
        debug.tainted = True

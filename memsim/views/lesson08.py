"""What lesson 08 runs more than once: objects taken, kmalloc's sizes, a slabinfo to read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from memsim.machine import Machine
from memsim.mm.kmalloc_caches import kmalloc_slab
from memsim.mm.slub.sizes import calculate_order, order_objects
from memsim.mm.slub.slab import KmemCache
from memsim.proc.slabinfo import SlabinfoCache, parse_slabinfo, slabinfo_of
from memsim.words.errors import MemsimError
from memsim.words.gfp import GFP_KERNEL

OWN = Path("/proc/slabinfo")
#: Longer texts are not read.
MAX_CHARACTERS = 1 << 24


def with_objects(object_size: int, nr: int) -> tuple[Machine, KmemCache]:
    """A machine with a cache of such objects, nr of them taken one by one."""
    machine = Machine("64 MiB", slab=True)
    s = machine.kmem_cache_create("my_object", object_size)
    for _ in range(nr):
        machine.kmem_cache_alloc(s)
    return machine, s


def row_of(machine: Machine, s: KmemCache) -> SlabinfoCache:
    """What /proc/slabinfo says of a cache."""
    return next(row for row in slabinfo_of(machine.vm) if row.name == s.name)


def pages_of(machine: Machine, s: KmemCache) -> int:
    """Pages of all slabs of a cache."""
    row = row_of(machine, s)
    return row.num_slabs * row.pagesperslab


def kmalloc_caches(sizes: Iterable[int]) -> list[KmemCache]:
    """The cache that serves each request of so many bytes, up to 8,192."""
    state = Machine("16 MiB", slab=True).vm.slab
    return [kmalloc_slab(state, size, -1, GFP_KERNEL) for size in sizes]


def rounding_waste(max_size: int) -> dict[str, list[int]]:
    """Bytes wasted by a request of 0 to max_size bytes: as kmalloc does it, and without 96, 192."""
    sizes = range(1, max_size + 1)
    really = [s.size - size for s, size in zip(kmalloc_caches(sizes), sizes, strict=True)]
    powers = [(1 << max(size - 1, 7).bit_length()) - size for size in sizes]
    return {"powers of two only": [0, *powers], "with 96 and 192": [0, *really]}


def computed_again(row: SlabinfoCache, cpus: int) -> bool:
    """Do objects and pages of a slab follow from the size of an object?"""
    order = calculate_order(row.objsize, cpus)
    objects = order_objects(order, row.objsize)
    return (row.objperslab, row.pagesperslab) == (objects, 1 << order)


def slabinfo_to_read(recorded: Path, own: Path = OWN) -> tuple[str, list[SlabinfoCache]]:
    """This machine's own rows where root may read them, else the recorded ones; and which."""
    try:
        with own.open(encoding="utf-8", errors="replace") as file:
            return f"this machine's own {own}", parse_slabinfo(file.read(MAX_CHARACTERS))
    except OSError as error:
        why = error.strerror or "it cannot be read"
    except MemsimError as error:
        why = str(error)
    told = f"the recorded {recorded.name}; this machine's own {own} was not read: {why}"
    return told, parse_slabinfo(recorded.read_text(encoding="utf-8"))

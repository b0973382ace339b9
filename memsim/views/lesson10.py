"""What lesson 10 runs more than once: an object whose bytes are spoilt, what is logged, sprays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from memsim.machine import Machine
from memsim.mm.kmalloc import kmalloc
from memsim.mm.slub.freelist import freelist_ptr_encode
from memsim.mm.slub.kmem_cache import address_of, kmem_cache_alloc, kmem_cache_free
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.words.errors import BadRequest, KernelBug
from memsim.words.gfp import GFP_KERNEL
from memsim.words.slab import NUMA_NO_NODE, SIZEOF_POINTER

OPENED, CLOSED = "open_it+0x1a/0x30 [mine]", "close_it+0x8/0x10 [mine]"
MINE, KMALLOC = "mine", "kmalloc-32"
#: Bytes of an object of the cache MINE, and bytes that kmalloc() is asked for.
OBJECT_SIZE, ASKED = 24, 20


class Debugged:
    """A machine whose caches MINE and KMALLOC debug what the letters of slab_debug= say.

    Who asks and who frees is told as a module would be; NOT MODELLED: time and tasks, so that
    reports say age=0 and pid=0.
    """

    def __init__(self, letters: str = "FZPU", name: str = MINE) -> None:
        debug = f"{letters},{name}" if letters else None
        self.machine = Machine("16 MiB", slab=True, steps=False, slab_debug=debug)
        self.vm = self.machine.vm
        self.cache: KmemCache = (
            self.machine.cache(KMALLOC)
            if name == KMALLOC
            else self.machine.kmem_cache_create(name, OBJECT_SIZE)
        )

    def take(self) -> int:
        """An object's address, asked for by OPENED."""
        site = self.vm.trace.number_of(OPENED)
        if self.cache.name == KMALLOC:
            return kmalloc(self.vm, ASKED, GFP_KERNEL, call_site=site)
        return address_of(kmem_cache_alloc(self.cache, GFP_KERNEL, NUMA_NO_NODE, site))

    def free(self, address: int, cache: KmemCache | None = None) -> None:
        """An object back, by CLOSED; perhaps to a cache that it is not of."""
        kmem_cache_free(cache or self.cache, address, self.vm.trace.number_of(CLOSED))

    def poke(self, address: int, data: bytes) -> None:
        """Write there, as any code could."""
        self.machine.write_memory(address, data)

    def slab(self, address: int) -> Slab:
        """The slab of an object."""
        slab = self.machine.slab_at(address)
        assert slab is not None
        return slab

    def place(self, address: int) -> str:
        """Where the slab of an object is, and how many of its objects count as in use."""
        slab = self.slab(address)
        where = "on the partial list" if slab.on_node_partial else "on no partial list"
        disabled = ", disabled" if slab.frozen else ""
        return f"{where}{disabled}, used={slab.inuse} of {slab.objects}"

    def log(self) -> list[str]:
        """Every line that was logged."""
        return self.machine.slab_log()


def titles(log: list[str]) -> list[str]:
    """The lines of a log that say what was found and what was done of it."""
    return [line for line in log if line.startswith(("[", "BUG", "FIX", "cache_from_obj", "Oops"))]


def number(text: str, behind: str) -> int:
    """The first hexadecimal number behind some words of a log. ValueError if there is none."""
    found = re.search(rf"{re.escape(behind)}\W*(?:0x)?([0-9a-f]+)", text)
    if not found:
        raise ValueError(f"no number behind {behind!r}")
    return int(found[1], 16)


def tried(call: Callable[..., object], *args: object) -> str:
    """What a call returns, or the line with which the kernel dies of it, or why it is refused."""
    try:
        result = call(*args)
    except (KernelBug, BadRequest) as error:
        return str(error)
    return hex(result) if isinstance(result, int) else "done"


def words(machine: Machine, address: int, nr: int) -> list[str]:
    """nr numbers of 64 bits from an address on, in hexadecimal."""
    data = machine.read_memory(address, SIZEOF_POINTER * nr)
    return [
        f"{int.from_bytes(data[at : at + SIZEOF_POINTER], 'little'):#018x}"
        for at in range(0, len(data), SIZEOF_POINTER)
    ]


def cost(object_size: int) -> dict[str, int]:
    """Bytes that an object takes, by the letters of slab_debug=."""
    sizes = {}
    for letters in ("", "F", "Z", "P", "U", "FZPU"):
        machine = Machine("16 MiB", slab=True, slab_debug=f"{letters or '-'},{MINE}")
        sizes[letters or "none"] = machine.kmem_cache_create(MINE, object_size).size
    return sizes


# Free pointers


def encode_before_5_7(random: int, ptr: int, ptr_addr: int) -> int:
    """A free pointer as kernels from 4.14 to 5.6 kept it: without swab()."""
    return ptr ^ random ^ ptr_addr


def random_of(kept: int, ptr: int, ptr_addr: int) -> int:
    """The cache's random number, for someone who knows the other three."""
    return freelist_ptr_encode(kept, ptr, ptr_addr)


def chained() -> tuple[Machine, KmemCache, list[int]]:
    """A cache that poisons but does not check, and its first slab's objects as they are handed out.

    Its free pointers are hardened as every cache's, and its bytes can be read.
    """
    machine = Machine("16 MiB", slab=True, slab_debug=f"P,{MINE}")
    cache = machine.kmem_cache_create(MINE, OBJECT_SIZE)
    addresses = [machine.kmem_cache_alloc(cache) for _ in range(8)]
    for address in reversed(addresses):
        machine.kmem_cache_free(cache, address)
    return machine, cache, addresses


def orders(nr_slabs: int) -> tuple[list[int], list[list[int]]]:
    """A cache's random sequence, and the order in which each of nr_slabs slabs is handed out.

    Objects are told by their index.
    """
    machine = Machine("16 MiB", slab=True)
    cache = machine.kmem_cache_create("twelve", 640)
    slabs: dict[int, list[int]] = {}
    per_slab = cache.oo[1]
    for _ in range(nr_slabs * per_slab):
        address = machine.kmem_cache_alloc(cache)
        slab = machine.slab_at(address)
        assert slab is not None
        first = address_of((slab, 0))
        slabs.setdefault(slab.pfn, []).append((address - first) // cache.size)
    return [offset // cache.size for offset in cache.random_seq], list(slabs.values())


def turned(sequence: list[int], first: int) -> list[int]:
    """The same ring, beginning with another of its numbers."""
    at = sequence.index(first)
    return sequence[at:] + sequence[:at]


def recorded_pointers(path: Path) -> list[tuple[str, int, int, int]]:
    """(before or after v5.7, pointer, where it is kept, what is kept there) of a recorded list."""
    rows, when = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            when = line[1:].partition(":")[0].strip()
        else:
            ptr, ptr_addr, kept = (int(word, 16) for word in line.split())
            rows.append((when, ptr, ptr_addr, kept))
    return rows


def recorded_freelists(path: Path) -> tuple[list[int], list[list[int]]]:
    """A recorded cache's random sequence, and the freelists of its slabs, as object indexes."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    sequence = [offset // kept["size"] for offset in kept["random_seq"]]
    return sequence, [slab["freelist"] for slab in kept["slabs"]]


def sprayed(nr: int, own_buckets: bool) -> int:
    """How many of nr objects of memdup_user() get the place of an object that was just freed.

    own_buckets: with CONFIG_SLAB_BUCKETS.
    """
    machine = Machine("64 MiB", slab=True, steps=False)
    buckets = machine.kmem_buckets_create("memdup_user", usersize=(1 << 31) - 1)
    victim = machine.kmalloc(ASKED)
    machine.kfree(victim)
    chosen = buckets if own_buckets else -1
    return [machine.kmalloc(ASKED, buckets=chosen) for _ in range(nr)].count(victim)


def boots_that_share(boots: int, one: int, other: int) -> int:
    """In how many boots two callers, by their addresses, get objects of one cache.

    With CONFIG_RANDOM_KMALLOC_CACHES.
    """
    shared = 0
    for seed in range(boots):
        machine = Machine("16 MiB", slab=True, steps=False, random_kmalloc_caches=True, seed=seed)
        slabs = [machine.slab_at(machine.kmalloc(ASKED, caller=caller)) for caller in (one, other)]
        shared += len({slab.slab_cache.name for slab in slabs if slab}) == 1
    return shared

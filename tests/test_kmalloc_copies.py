"""Copies of kmalloc's caches, chosen by the caller; and sets of caches for one use alone."""

from __future__ import annotations

import pytest
from test_slub_geometry import differing, rows

from memsim import GFP_KERNEL, BadRequest, Machine, PageAllocationFailure
from memsim.lib.bits import hash_64
from memsim.mm.slub.attributes import attributes
from memsim.mm.slub.validate import validate_caches
from memsim.proc.slabinfo import parse_slabinfo, slabinfo_of, write_slabinfo
from memsim.words.gfp import (
    __GFP_ACCOUNT,
    __GFP_DMA,
    __GFP_MEMALLOC,
    __GFP_NOWARN,
    __GFP_RECLAIMABLE,
)
from memsim.words.slab import KMALLOC_SIZES, SLAB_ACCOUNT

INT_MAX = (1 << 31) - 1
SEED = 0x123456789ABCDEF0


@pytest.fixture
def machine() -> Machine:
    return Machine("64 MiB", slab=True, random_kmalloc_caches=True)


def cache_of(machine: Machine, address: int) -> str:
    """The name of the cache that an object is of."""
    slab = machine.slab_at(address)
    assert slab is not None
    return slab.slab_cache.name


def oldest_first(machine: Machine) -> list[str]:
    return [s.name for s in reversed(machine.caches())]


def test_boot_makes_fifteen_copies_behind_the_first(machine: Machine) -> None:
    """Kernel: include/linux/slab.h enum kmalloc_cache_type, mm/slab_common.c kmalloc_info[]."""
    sizes = ["96", "192", "8", "16", "32", "64", "128", "256", "512", "1k", "2k", "4k", "8k"]
    sets = ["kmalloc", *(f"kmalloc-rnd-{copy:02}" for copy in range(1, 16)), "kmalloc-rcl"]
    sets += ["dma-kmalloc", "kmalloc-cg"]
    expected = [f"{prefix}-{size}" for prefix in sets for size in sizes]
    assert oldest_first(machine)[2:] == [*expected, "kmalloc_buckets"]
    for size in sizes:
        first, copy = (machine.cache(f"{prefix}-{size}") for prefix in (sets[0], sets[15]))
        assert (copy.flags, copy.size, copy.oo) == (first.flags, first.size, first.oo)
        assert (copy.align, copy.usersize) == (first.align, first.usersize)
    told = [row.name for row in parse_slabinfo(write_slabinfo(slabinfo_of(machine.vm)))]
    assert told == [s.name for s in machine.caches()]


@pytest.mark.parametrize(
    ("differs", "copy"),
    [(0, ""), (1, "-rnd-06"), (2, "-rnd-12"), (3, "-rnd-02"), (4, "-rnd-08"), (8, "")],
)
def test_the_highest_four_bits_of_a_product_choose_the_copy(
    machine: Machine, differs: int, copy: str
) -> None:
    """0x61c8... is the golden ratio; twice it is c391..., three times 2559... after the carry.

    Four times it is 8722..., eight times 0e44...: bits 63 to 60 are the copy's number.
    Kernel: include/linux/slab.h kmalloc_type(), include/linux/hash.h hash_64()
    """
    machine.vm.slab.random_kmalloc_seed = SEED
    caller = SEED ^ differs
    for size in (64, 100, 8192):
        address = machine.kmalloc(size, caller=caller)
        named = {64: "64", 100: "128", 8192: "8k"}[size]
        assert cache_of(machine, address) == f"kmalloc{copy}-{named}"
        event = machine.events()[-1].event
        assert event.text().startswith(f"call_site={caller:#x} ptr={address:016x} ")
    grown = machine.krealloc(machine.kmalloc(8), 500, caller=caller)
    assert cache_of(machine, grown) == f"kmalloc{copy}-512"


def test_hash_64_keeps_as_many_bits_as_asked() -> None:
    """Kernel: include/linux/hash.h hash_64_generic()."""
    assert hash_64(1, 64) == 0x61C8864680B583EB
    assert hash_64(1, 16) == 0x61C8
    assert hash_64((1 << 64) - 1, 8) == 0x9E


def test_only_normal_memory_has_copies(machine: Machine) -> None:
    machine.vm.slab.random_kmalloc_seed = SEED
    buckets = machine.kmem_buckets_create("mine")
    for flags, name in (
        (__GFP_DMA, "dma-kmalloc-64"),
        (__GFP_RECLAIMABLE, "kmalloc-rcl-64"),
        (__GFP_ACCOUNT, "kmalloc-cg-64"),
    ):
        address = machine.kmalloc(64, GFP_KERNEL | flags, caller=SEED ^ 1)
        assert cache_of(machine, address) == name
    assert cache_of(machine, machine.kmalloc(64, buckets=buckets, caller=SEED ^ 1)) == "mine-64"


def test_without_copies_the_caller_chooses_nothing() -> None:
    machine = Machine("64 MiB", slab=True)
    names = {cache_of(machine, machine.kmalloc(64, caller=caller)) for caller in range(40)}
    assert names == {"kmalloc-64"}
    assert not any("rnd" in name for name in oldest_first(machine))


def test_boot_draws_the_seed(machine: Machine) -> None:
    """Sixteen callers spread over the copies, on another machine otherwise."""
    spread = []
    for seed in (0, 0, 1):
        other = Machine("64 MiB", slab=True, random_kmalloc_caches=True, seed=seed)
        callers = range(0xFFFFFFFF81000000, 0xFFFFFFFF81000100, 16)
        spread.append([cache_of(other, other.kmalloc(64, caller=caller)) for caller in callers])
    assert spread[0] == spread[1] != spread[2]
    assert len(set(spread[0])) > 4


def test_copies_have_files_and_options_by_their_own_names() -> None:
    """Kernel: mm/slub.c kmem_cache_flags(), slab_size_show()."""
    machine = Machine(
        "64 MiB", slab=True, random_kmalloc_caches=True, slab_debug="F,kmalloc-rnd-0*"
    )
    checked = [s.name for s in machine.caches() if attributes(s)["sanity_checks"] == "1"]
    assert {name[:14] for name in checked} == {f"kmalloc-rnd-{copy:02}" for copy in range(1, 10)}
    assert len(checked) == 9 * len(KMALLOC_SIZES)
    told = attributes(machine.cache("kmalloc-rnd-15-192"))
    assert (told["object_size"], told["usersize"], told["aliases"]) == ("192", "192", "0")


# Buckets


@pytest.mark.parametrize("where", [(1, 1), (2, 1), (2, 2)], ids=str)
def test_the_kernel_s_own_buckets_are_as_recorded(where: tuple[int, int]) -> None:
    """memdup_user and msg_msg, in the recorded order, and the cache that holds such sets.

    Kernel: mm/util.c init_user_buckets(), ipc/msgutil.c init_msg_buckets()
    """
    cpus, nodes = where
    machine = Machine(["32 MiB"] * nodes, cpus=cpus, slab=True)
    assert machine.kmem_buckets_create("memdup_user", usersize=INT_MAX) == 0
    assert machine.kmem_buckets_create("msg_msg", SLAB_ACCOUNT, 48, 4096 - 48) == 1
    told = {
        row["name"]: row
        for row in rows()
        if (row["cpus"], row["nodes"]) == where
        and row["name"].startswith(("msg_msg-", "memdup_user-", "kmalloc_buckets"))
    }
    ours = {s.name: s for s in machine.caches() if s.name in told}
    assert len(told) == 2 * len(KMALLOC_SIZES) + 1
    assert list(ours) == list(told)
    for name, row in told.items():
        assert differing(ours[name], row) == {}, name
        assert ours[name].object_size == row["object_size"]
        assert ours[name].refcount == row["refcount"] == 1


def test_a_set_of_buckets_takes_an_object_that_points_to_its_caches() -> None:
    machine = Machine("64 MiB", slab=True)
    since = machine.vm.trace.ring.written
    machine.kmem_buckets_create("mine", ctor=True)
    first, *_ = (t.event for t in machine.events(since) if t.event.NAME == "kmem_cache_alloc")
    assert first.text().endswith(
        "bytes_req=112 bytes_alloc=112 gfp_flags=GFP_KERNEL|__GFP_ZERO node=-1 accounted=false"
    )
    assert all(machine.cache(f"mine-{size}").ctor for size in ("8", "96", "8k"))


def test_buckets_that_were_taken_back_are_none_until_they_are_there_again() -> None:
    machine = Machine("64 MiB", slab=True)
    before = oldest_first(machine)
    number = machine.kmem_buckets_create("mine")
    made = oldest_first(machine)
    machine.undo()
    assert oldest_first(machine) == before
    with pytest.raises(BadRequest, match=f"buckets={number}: no such set of buckets"):
        machine.kmalloc(64, buckets=number)
    machine.redo()
    assert oldest_first(machine) == made
    assert cache_of(machine, machine.kmalloc(64, buckets=number)) == "mine-64"


def test_buckets_that_cannot_be_change_nothing() -> None:
    machine = Machine("64 MiB", slab=True)
    machine.kmem_buckets_create("mine")
    before, state = oldest_first(machine), machine.snapshot()
    cache = machine.cache("kmalloc_buckets")
    in_use = cache.cpu_slab[0].freelist
    for name, more, said in (
        ("y", {"flags": 1 << 30}, "failed with error -22"),
        ("a\nb", {}, r"name='a\\nb': should be printable ASCII"),
        ("x", {"useroffset": -1}, "useroffset=-1: should be"),
        ("x", {"usersize": 1 << 32}, "usersize=4294967296: should be"),
        ("x", {"flags": "8"}, "flags='8': should be a whole number"),
    ):
        with pytest.raises(BadRequest, match=r"^[ -~]{1,200}$") as refused:
            machine.kmem_buckets_create(name, **more)  # type: ignore[arg-type]
        assert said in str(refused.value)
    assert oldest_first(machine) == before
    assert machine.snapshot() == state
    assert cache.cpu_slab[0].freelist == in_use
    for bad in (-2, 1, "0"):
        with pytest.raises(BadRequest, match="buckets="):
            machine.kmalloc(8, buckets=bad)  # type: ignore[arg-type]
    for caller in (-1, 1 << 64, "0x0"):
        with pytest.raises(BadRequest, match="caller"):
            machine.kmalloc(8, caller=caller)  # type: ignore[arg-type]


def test_without_memory_for_all_caches_of_a_set_there_are_none() -> None:
    """What was made is taken away again. Kernel: mm/slab_common.c kmem_buckets_create() fail."""
    machine = Machine("32 MiB", slab=True)
    machine.kmem_buckets_create("first")
    before = oldest_first(machine)
    try:
        while True:
            machine.alloc_pages(GFP_KERNEL | __GFP_MEMALLOC | __GFP_NOWARN)
    except PageAllocationFailure:
        pass
    made, error = 0, ""
    while not error:
        try:
            machine.kmem_buckets_create("abcdefgh"[made])
            made += 1
        except PageAllocationFailure as refused:
            error = str(refused)
    assert error == f"kmem_buckets_create({'abcdefgh'[made]!r}) failed with error -12: no memory"
    assert len(machine.caches()) == len(before) + made * len(KMALLOC_SIZES)
    assert len(machine.vm.slab.buckets) == made + 1
    validate_caches(machine.vm)

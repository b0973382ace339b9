"""What a Machine with a slab allocator does where the kernel has an answer of its own."""

from __future__ import annotations

import pytest
from slab_states import state_of

from memsim import (
    GFP_ATOMIC,
    GFP_KERNEL,
    BadFree,
    BadRequest,
    KernelBug,
    Machine,
    PageAllocationFailure,
)
from memsim.proc.slabinfo import parse_slabinfo, slabinfo_of, write_slabinfo
from memsim.words.gfp import __GFP_NOWARN, __GFP_ZERO
from memsim.words.slab import (
    SLAB_CONSISTENCY_CHECKS,
    SLAB_NO_MERGE,
    SLAB_PANIC,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TYPESAFE_BY_RCU,
    ZERO_SIZE_PTR,
)

FULL = SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER


@pytest.fixture
def machine() -> Machine:
    return Machine("64 MiB", cpus=2, slab=True)


# Caches


def test_a_name_that_is_taken_is_warned_of(machine: Machine) -> None:
    """Kernel: kmem_cache_sanity_check() warns, and goes on."""
    first = machine.kmem_cache_create("mine", 100)
    assert machine.kmem_cache_create("mine", 100) is first
    other = machine.kmem_cache_create("mine", 100, flags=SLAB_NO_MERGE)
    assert other is not first
    assert machine.slab_log() == ["kmem_cache of name 'mine' already exists"] * 2
    assert machine.cache("mine") is other
    machine.kmem_cache_create("a name", 3000)
    assert machine.slab_log()[2].endswith("at mm/slab_common.c:110 kmem_cache_sanity_check")
    rows = slabinfo_of(machine.vm)
    assert parse_slabinfo(write_slabinfo(rows)) == rows


@pytest.mark.parametrize(
    ("region", "line"), [((8, 0), 315), ((0, 101), 316), ((93, 8), 316), (((1 << 32) - 1, 1), 316)]
)
def test_a_usercopy_region_outside_the_object_is_left_out(
    machine: Machine, region: tuple[int, int], line: int
) -> None:
    first = machine.kmem_cache_create("first", 100)
    useroffset, usersize = region
    args = {"useroffset": useroffset, "usersize": usersize}
    assert machine.kmem_cache_create("second", 100, **args) is first
    where = f"mm/slab_common.c:{line} __kmem_cache_create_args"
    assert machine.slab_log() == [f"WARNING: CPU: 0 PID: 0 at {where}"]
    whole = machine.kmem_cache_create("third", 100, useroffset=92, usersize=8)
    assert whole is not first
    assert (whole.useroffset, whole.usersize) == (92, 8)


def test_what_is_shared_is_not_asked_for_room(machine: Machine) -> None:
    """Kernel: __kmem_cache_alias() comes before create_cache(), which looks at freeptr_offset."""
    with pytest.raises(BadRequest, match=r"^kmem_cache_create\('a'\) failed with error -22$"):
        machine.kmem_cache_create("a", 100, freeptr_offset=8)
    assert machine.slab_log() == ["__kmem_cache_create_args(a) failed with error -22"]
    first = machine.kmem_cache_create("first", 100)
    assert machine.kmem_cache_create("a", 100, freeptr_offset=8) is first
    rcu = machine.kmem_cache_create("b", 100, flags=SLAB_TYPESAFE_BY_RCU, freeptr_offset=8)
    assert rcu.offset == 8


def test_slab_panic_panics_and_nothing_has_changed(machine: Machine) -> None:
    before = state_of(machine)
    with pytest.raises(KernelBug) as died:
        machine.kmem_cache_create("big", 5 << 20, flags=SLAB_PANIC)
    assert str(died.value) == (
        "Kernel panic - not syncing: __kmem_cache_create_args: Failed to create slab 'big'. "
        "Error -22"
    )
    assert state_of(machine) == before
    assert not machine.history
    machine.kmem_cache_create("big", 4 << 20, flags=SLAB_PANIC)


def test_slab_nomerge_keeps_alike_caches_apart() -> None:
    apart = Machine("64 MiB", slab=True, slab_nomerge=True)
    first, second = (apart.kmem_cache_create(name, 100) for name in ("first", "second"))
    assert first is not second
    assert apart.kmem_cache_destroy(first)
    assert second in apart.caches()


def test_kmalloc_normal_is_never_shared_the_others_are(machine: Machine) -> None:
    """With CONFIG_MEMCG kmalloc-normal caches carry SLAB_NO_MERGE, and all have a usersize."""
    assert machine.kmem_cache_create("alike", 64).name == "alike"
    assert all(s.usersize for s in machine.caches() if s.name.startswith("kmalloc-"))


def test_null_is_no_cache_to_destroy(machine: Machine) -> None:
    before = state_of(machine)
    assert machine.kmem_cache_destroy(None)
    buckets = machine.kmem_buckets_create("mine")
    for name in (
        "kmem_cache",
        "kmem_cache_node",
        "kmalloc-8",
        "kmalloc-cg-8k",
        "kmalloc_buckets",
        "mine-96",
    ):
        with pytest.raises(BadRequest, match=f"^cache {name}: the allocator itself needs it$"):
            machine.kmem_cache_destroy(machine.cache(name))
    assert machine.kmalloc(50, buckets=buckets)
    machine.undo()
    machine.undo()
    assert state_of(machine) == before
    with pytest.raises(BadRequest, match=r"^buckets=0: no such set of buckets$"):
        machine.kmalloc(50, buckets=buckets)
    machine.redo()
    assert machine.slab_at(machine.kmalloc(50, buckets=buckets)).slab_cache.name == "mine-64"  # type: ignore[union-attr]


def test_buckets_that_cannot_be_leave_no_cache(machine: Machine) -> None:
    before = state_of(machine)
    with pytest.raises(BadRequest, match=r"^kmem_buckets_create\('b'\) failed with error -22$"):
        machine.kmem_buckets_create("b", flags=1 << 30)
    assert state_of(machine) == before


# sysfs


def test_files_of_a_cache_can_be_written_to(machine: Machine) -> None:
    s = machine.kmem_cache_create("mine", 100, flags=SLAB_NO_MERGE)
    before = state_of(machine)
    for file, text, shown in (
        ("remote_node_defrag_ratio", "0", "0"),
        ("remote_node_defrag_ratio", "+55\n", "55"),
        ("min_partial", "1234567890123\n", "1234567890123"),
        ("cpu_partial", "0", "0"),
        ("cpu_partial", "4294967295", "4294967295"),
        ("skip_kfence", "1", "1"),
        ("skip_kfence", "0\n", "0"),
    ):
        machine.store(s, file, text)
        assert s.attributes()[file] == shown
    while len(machine.history) > 1:
        machine.undo()
    assert state_of(machine) == before


@pytest.mark.parametrize(
    ("file", "text", "error"),
    [
        ("remote_node_defrag_ratio", "101", "-34"),
        ("remote_node_defrag_ratio", "-1", "-22"),
        ("remote_node_defrag_ratio", "", "-22"),
        ("min_partial", "1.5", "-22"),
        ("min_partial", " 5", "-22"),
        ("min_partial", "5\n\n", "-22"),
        ("min_partial", "\u0669", "-22"),
        ("min_partial", "9" * 30, "-34"),
        ("min_partial", "9" * 5000, "-22"),
        ("cpu_partial", "4294967296", "-34"),
        ("shrink", "0", "-22"),
        ("shrink", "", "-22"),
        ("validate", "1", "-22"),
        ("skip_kfence", "2", "-22"),
        ("slab_size", "64", "-5"),
        ("aliases", "", "-5"),
    ],
)
def test_what_sysfs_refuses(machine: Machine, file: str, text: str, error: str) -> None:
    s = machine.kmem_cache_create("mine", 100, flags=SLAB_NO_MERGE)
    before, history = state_of(machine), len(machine.history)
    with pytest.raises(BadRequest, match=f"^store[^\n]* failed with error {error}$"):
        machine.store(s, file, text)
    assert (state_of(machine), len(machine.history)) == (before, history)
    with pytest.raises(BadRequest, match="has no such file"):
        machine.store(s, "alloc_fastpath", "0")


def test_caches_that_debug_keep_nothing_on_cpus(machine: Machine) -> None:
    s = machine.kmem_cache_create("mine", 100, flags=FULL)
    machine.store(s, "validate", "1\n")
    machine.store(s, "cpu_partial", "0")
    with pytest.raises(BadRequest, match="failed with error -22"):
        machine.store(s, "cpu_partial", "1")


def test_a_lower_ratio_keeps_requests_on_their_node() -> None:
    """With ratio 0 a request makes a new slab, though another node has partial ones to spare."""
    nodes = {}
    for ratio in ("0", "100"):
        machine = Machine(["64 MiB", "64 MiB"], cpus=2, slab=True, seed=1)
        s = machine.kmem_cache_create("mine", 1024, flags=SLAB_NO_MERGE)
        far = [machine.kmem_cache_alloc(s, cpu=1, nid=1) for _ in range(320)]
        for address in far[::2]:
            machine.kmem_cache_free(s, address, cpu=1)
        machine.kmem_cache_shrink(s)
        machine.store(s, "remote_node_defrag_ratio", ratio)
        slab = machine.slab_at(machine.kmem_cache_alloc(s, cpu=0))
        assert slab is not None
        nodes[ratio] = slab.nid
    assert nodes == {"0": 0, "100": 1}


def test_each_cpu_flushes_its_own_slabs(machine: Machine) -> None:
    """Kernel: flush_cpu_slab() runs there: the page goes to that CPU's pcp list."""
    s = machine.kmem_cache_create("mine", 64, flags=SLAB_NO_MERGE)
    machine.store(s, "min_partial", "0")
    address = machine.kmem_cache_alloc(s, cpu=1)
    machine.kmem_cache_free(s, address, cpu=1)
    pfn = address - 0xFFFF888000000000 >> 12
    since = len(machine.events()) and machine.vm.trace.ring.written
    machine.kmem_cache_shrink(s, cpu=0)
    [freed] = [t for t in machine.events(since) if t.event.NAME == "mm_page_free"]
    assert freed.event.pfn == pfn  # type: ignore[union-attr]
    assert freed.cpu == 1
    assert machine.alloc_pages(GFP_KERNEL, cpu=1) == pfn
    assert machine.vm.cpu == 1


# Objects


def test_an_object_of_another_cache_goes_back_to_its_own(machine: Machine) -> None:
    one = machine.kmem_cache_create("one", 100, flags=SLAB_NO_MERGE)
    other = machine.kmem_cache_create("other", 100, flags=SLAB_NO_MERGE)
    address = machine.kmem_cache_alloc(one)
    machine.kmem_cache_free(other, address)
    assert machine.slab_log() == ["cache_from_obj: Wrong slab cache. other but object is from one"]
    assert machine.kmem_cache_alloc(one) == address


def test_a_page_of_no_slab_is_left_alone_with_one_warning(machine: Machine) -> None:
    s = machine.kmem_cache_create("one", 100, flags=SLAB_NO_MERGE)
    pages = [machine.alloc_pages(GFP_KERNEL) for _ in range(2)]
    before = (machine.snapshot(), state_of(machine))
    for pfn in pages:
        machine.kmem_cache_free(s, 0xFFFF888000000000 + (pfn << 12))
    assert machine.slab_log() == ["virt_to_cache: Object is not a Slab page!"]
    assert (machine.snapshot(), state_of(machine)) == before
    with pytest.raises(BadFree, match="is in no slab"):
        machine.kmem_cache_free(s, 0xFFFF888000000000 + (1 << 40))


@pytest.mark.parametrize("remote", [False, True])
def test_the_double_free_that_the_kernel_notices(machine: Machine, remote: bool) -> None:
    """Hardened free pointers: an object that is first on its list; another is refused here."""
    s = machine.kmem_cache_create("one", 100, flags=SLAB_NO_MERGE)
    first, second = (machine.kmem_cache_alloc(s) for _ in range(2))
    for address in (first, second):
        machine.kmem_cache_free(s, address, cpu=int(remote))
    before = (machine.snapshot(), state_of(machine), len(machine.history))
    frees = [
        lambda: machine.kmem_cache_free(s, second, cpu=int(remote)),
        lambda: machine.kfree(second, cpu=int(remote)),
        lambda: machine.kmem_cache_free_bulk([second], cpu=int(remote)),
        lambda: machine.krealloc(second, 8, cpu=int(remote)),
        lambda: machine.kfree_sensitive(second, cpu=int(remote)),
    ]
    for free in frees:
        with pytest.raises(KernelBug, match=r"^kernel BUG at mm/slub\.c:547!$"):
            free()
        with pytest.raises(BadFree, match="of cache one that is free already"):
            machine.kmem_cache_free(s, first, cpu=int(remote))
    assert (machine.snapshot(), state_of(machine), len(machine.history)) == before


def test_pages_of_slabs_are_not_freed_behind_their_back(machine: Machine) -> None:
    s = machine.kmem_cache_create("one", 2000, flags=SLAB_NO_MERGE)
    slab = machine.slab_at(machine.kmem_cache_alloc(s))
    assert slab is not None
    before = (machine.snapshot(), state_of(machine))
    for pfn in (slab.pfn, slab.pfn + 1):
        for free in (
            lambda: machine.free_pages(pfn),  # noqa: B023
            lambda: machine.free_folios([pfn]),  # noqa: B023
            lambda: machine.free_pages_exact(pfn, 1),  # noqa: B023
            lambda: machine.split_page(pfn),  # noqa: B023
            lambda: machine.lru_add(pfn),  # noqa: B023
        ):
            with pytest.raises(BadFree, match=f"pfn {pfn} is in a slab of cache one"):
                free()
    assert (machine.snapshot(), state_of(machine)) == before


def test_zeros_asked_of_a_cache_with_a_constructor_are_warned_of_once(machine: Machine) -> None:
    s = machine.kmem_cache_create("mine", 4000, ctor=True)
    for _ in range(20):
        machine.kmem_cache_alloc(s, GFP_KERNEL | __GFP_ZERO)
    assert machine.slab_log() == ["WARNING: CPU: 0 PID: 0 at mm/slub.c:2697 new_slab"]


def test_out_of_memory_is_reported_as_the_kernel_does() -> None:
    machine = Machine("16 MiB", slab=True)
    s = machine.kmem_cache_create("mine", 4096, flags=SLAB_NO_MERGE | SLAB_RED_ZONE)
    got: list[int] = []
    with pytest.raises(PageAllocationFailure) as refused:
        got.extend(machine.kmem_cache_alloc(s) for _ in range(10_000))
    n = s.node[0]
    assert n is not None
    told = [
        "SLUB: Unable to allocate memory on CPU 0 (of node 0) on node -1, gfp=0xcc0(GFP_KERNEL)",
        f"  cache: mine, object size: 4096, buffer size: {s.size}, default order: 3, min order: 1",
        "  mine debugging increased min order, use slab_debug=O to disable.",
        f"  node 0: slabs: {n.nr_slabs}, objs: {n.total_objects}, free: 0",
    ]
    assert machine.slab_log() == told
    assert refused.value.report.splitlines()[-4:] == told
    assert refused.value.report.startswith("memsim: page allocation failure: order:1, mode:")
    assert n.total_objects == len(got)
    with pytest.raises(PageAllocationFailure) as refused:
        machine.kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOWARN)
    assert (refused.value.report, len(machine.slab_log())) == ("", 4)
    assert machine.kmem_cache_alloc_bulk(s, 3) == []
    machine.validate_caches()
    for address in got:
        machine.kmem_cache_free(s, address)
    assert not machine.kmem_cache_shrink(s)


@pytest.mark.parametrize("slab_debug", ["F", "FZ", "FZPU"])
def test_kfree_of_a_pointer_into_an_object_is_reported(slab_debug: str) -> None:
    """Caches that check see the pointer itself; the object stays in use.

    krealloc() asks ksize(), which, where users are tracked, writes to where a size would be kept.
    """
    machine = Machine("64 MiB", slab=True, slab_debug=f"{slab_debug},kmalloc-64")
    address = machine.kmalloc(64)
    machine.kfree(address + 8)
    machine.krealloc(address + 8, 200)
    bad = f"0x{address + 8:016x}"
    told = [line.partition("): ")[2] for line in machine.slab_log() if line.startswith("BUG")]
    assert told == [f"Invalid object pointer {bad}"] * 2
    fixes = [line for line in machine.slab_log() if line.startswith("FIX")]
    assert fixes == [f"FIX kmalloc-64: Object at {bad} not freed"] * 2
    machine.kfree(address)
    found = [line for line in machine.slab_log() if line.startswith("[")]
    assert [line.split("]")[0] for line in found] == (
        ["[Object padding overwritten"] if "U" in slab_debug else []
    )
    machine.validate_caches()


# By size


def test_arrays_and_what_overflows(machine: Machine) -> None:
    assert machine.ksize(machine.kmalloc_array(10, 100)) == 1024
    assert machine.kmalloc_array(0, 1 << 60) == ZERO_SIZE_PTR
    before, history = machine.snapshot(), len(machine.history)
    for n, size in ((1 << 32, 1 << 32), ((1 << 64) - 1, 2), (1 << 40, 1 << 40)):
        with pytest.raises(PageAllocationFailure, match="bytes overflow 64 bits"):
            machine.kmalloc_array(n, size)
    with pytest.raises(BadRequest, match=r"^n=-1: should be 0 or more$"):
        machine.kcalloc(-1, 8)
    assert (machine.snapshot(), len(machine.history)) == (before, history)
    with pytest.raises(PageAllocationFailure, match="no memory"):
        machine.kmalloc_array(1 << 31, 1 << 31)
    with pytest.raises(PageAllocationFailure) as refused:
        [machine.kmalloc(4 << 20) for _ in range(20)]
    assert refused.value.report.startswith("memsim: page allocation failure: order:10, mode:")


def test_zeros_where_bytes_are_kept() -> None:
    machine = Machine("64 MiB", slab=True, slab_debug="P,kmalloc-64")
    address = machine.kcalloc(6, 10)
    assert machine.read_memory(address, 64) == bytes(64)
    machine.write_memory(address, b"secret")
    machine.kfree_sensitive(address)
    assert machine.read_memory(address, 6) == b"kkkkkk"
    machine.undo()
    assert machine.read_memory(address, 6) == b"secret"
    machine.kfree_sensitive(0)
    machine.kfree_sensitive(ZERO_SIZE_PTR)
    assert machine.read_memory(address, 6) == b"secret"


def test_kvmalloc_goes_on_where_kmalloc_does_not(machine: Machine) -> None:
    assert machine.ksize(machine.kvmalloc(100)) == 128
    assert machine.ksize(machine.kvmalloc(20_000)) == 32_768
    assert machine.kvmalloc(0) == ZERO_SIZE_PTR
    with pytest.raises(PageAllocationFailure) as refused:
        machine.kvmalloc(4 << 20 | 1)
    assert "__GFP_NOWARN|__GFP_NORETRY" in str(refused.value)
    assert refused.value.report == ""


def test_sizes_are_rounded_up_as_kmalloc_does(machine: Machine) -> None:
    sizes = (0, 1, 8, 9, 65, 96, 97, 129, 193, 8192, 8193, 4 << 20, 4 << 20 | 1)
    rounded = [machine.kmalloc_size_roundup(size) for size in sizes]
    assert rounded == [
        0, 8, 8, 16, 96, 96, 128, 192, 256, 8192, 16384, 4 << 20, 4 << 20 | 1,
    ]  # fmt: skip


def test_who_asks_is_in_events_and_in_reports() -> None:
    machine = Machine("64 MiB", slab=True)
    s = machine.kmem_cache_create("mine", 32, flags=FULL)
    machine.called_from("open_it+0x1a/0x30", pid=42, jiffies=100)
    seen = machine.vm.trace.ring.written
    address = machine.kmem_cache_alloc(s, GFP_ATOMIC)
    machine.kfree(machine.kmalloc(8, GFP_KERNEL | __GFP_ZERO))
    sites = [getattr(t.event, "call_site", None) for t in machine.events(seen)]
    assert [site for site in sites if site] == ["open_it+0x1a/0x30"] * 3
    machine.write_memory(address + 32, b"!")
    machine.called_from("close_it+0x1/0x2", pid=43, jiffies=107)
    machine.kmem_cache_free(s, address)
    assert "Allocated in open_it+0x1a/0x30 age=7 cpu=0 pid=42" in machine.slab_log()
    for bad in ("", "a\nb", None, "x" * 256):
        with pytest.raises(BadRequest, match=r"^call_site"):
            machine.called_from(bad)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match=r"^pid=-1: should be 0 to 4194304$"):
        machine.called_from("a", pid=-1)


def test_without_a_name_it_is_memsim_that_asks() -> None:
    machine = Machine("64 MiB", slab=True)
    s = machine.kmem_cache_create("mine", 32, flags=FULL)
    got = machine.kmem_cache_alloc_bulk(s, 2)
    machine.kmem_cache_free_bulk(got[1:])
    machine.write_memory(got[0] - 1, b"!")
    machine.kmem_cache_free(s, got[0])
    assert "Allocated in memsim age=0 cpu=0 pid=0" in machine.slab_log()
    assert not machine.kmem_cache_destroy(s)
    assert machine.slab_log()[-1] == (
        "kmem_cache_destroy mine: Slab cache still has objects when called from memsim"
    )

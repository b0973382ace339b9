"""The slow path of caches that debug, each step on a case worked by hand from mm/slub.c.

Their objects come one by one from a node's slabs; CPUs keep nothing.
"""

from __future__ import annotations

import pytest

from memsim import GFP_KERNEL, KernelBug, Machine, PageAllocationFailure
from memsim.lib.list import list_for_each
from memsim.mm.slub import pages
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.debug_check import setup_slab_debug
from memsim.mm.slub.debug_requests import (
    free_debug_processing,
    get_partial_node_debug,
    page_fault,
)
from memsim.mm.slub.debug_track import get_orig_size
from memsim.mm.slub.memory import (
    memset,
    obj_to_ptr,
    ptr_to_obj,
    read_bytes,
    slab_start,
    write_bytes,
)
from memsim.mm.slub.partial import partial_slabs
from memsim.mm.slub.slab import KmemCache, Random, Slab, get_node
from memsim.mm.slub.validate import validate_caches
from memsim.words.gfp import __GFP_MEMALLOC, __GFP_NOWARN, __GFP_ZERO
from memsim.words.mmzone import NULL
from memsim.words.slab import (
    NUMA_NO_NODE,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_KMALLOC,
    SLAB_POISON,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
)

USERS = SLAB_STORE_USER
CHECKED = SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE


class Debugged:
    """A cache that debugs, in order; of 8000 bytes with two tracks, 8064, four are in 32 KiB."""

    def __init__(self, flags: int = USERS, size: int = 8000, nodes: int = 1) -> None:
        self.machine = Machine(["64 MiB"] * nodes, cpus=nodes, slab=True)
        self.s: KmemCache = self.machine.kmem_cache_create("mine", size, flags=flags)
        self.s.random_seq = []
        self.objects: list[int] = []

    def take(self, nr: int) -> None:
        """So many objects, remembered in their order."""
        self.objects += [self.machine.kmem_cache_alloc(self.s) for _ in range(nr)]

    def free(self, number: int) -> None:
        """The object that was the number-th."""
        self.machine.kmem_cache_free(self.s, self.objects[number])

    def lists(self) -> tuple[list[int], list[int]]:
        """The node's partial and full slabs, by their first objects' numbers divided by four."""
        validate_caches(self.machine.vm)
        n, state = get_node(self.s, 0), self.machine.vm.slab
        full = [state.by_id[entry] for entry in list_for_each(state.next, n.full)]
        return [self._number(slab) for slab in partial_slabs(self.s, n)], [
            self._number(slab) for slab in full
        ]

    def _number(self, slab: Slab) -> int:
        first = obj_to_ptr(slab, 0)
        return self.objects.index(first) // self.s.oo[1]

    def said(self) -> list[str]:
        """Titles of reports and repairs, without the cache's name and what is tainted."""
        log = self.machine.slab_log()
        return [line.partition(": ")[2] for line in log if line.startswith(("BUG", "FIX"))]


def test_full_slabs_of_a_cache_that_tracks_users_are_listed_and_taken_back() -> None:
    """A full slab goes to the head of the full list; its first free object to partial's tail.

    Kernel: mm/slub.c alloc_single_from_partial(), free_to_partial_list()
    """
    d = Debugged()
    assert d.s.oo == (3, 4)
    d.take(3)
    assert d.lists() == ([0], [])
    d.take(5)
    seen = [d.lists()]
    assert seen[-1] == ([], [1, 0])
    for number, expected in ((2, ([0], [1])), (5, ([0, 1], [])), (4, ([0, 1], []))):
        d.free(number)
        seen.append(d.lists())
        assert seen[-1] == expected
    d.machine.kmem_cache_alloc(d.s)
    assert d.lists() == ([1], [0])
    d.machine.undo()
    for before in reversed(seen[:-1]):
        d.machine.undo()
        assert d.lists() == before
    for after in seen[1:]:
        d.machine.redo()
        assert d.lists() == after


@pytest.mark.parametrize(("others", "stays"), [(4, True), (5, False)])
def test_an_empty_slab_stays_while_its_node_has_few(others: int, stays: bool) -> None:
    """With itself it is the sixth: min_partial is log2(8064) / 2 = 6.

    Kernel: mm/slub.c free_to_partial_list()
    """
    d = Debugged()
    assert d.s.min_partial == 6
    d.take(4 * others + 1)
    for other in range(others):
        d.free(4 * other)
    d.free(4 * others)
    partial, full = d.lists()
    assert (partial, full) == ([others] * stays + list(range(others)), [])
    assert get_node(d.s, 0).nr_slabs == others + stays


@pytest.mark.parametrize(("min_partial", "stays"), [(7, True), (0, False)])
def test_a_slab_of_one_object_is_full_at_once_and_empty_at_once(
    min_partial: int, stays: bool
) -> None:
    """30,064 bytes take a slab of 32 KiB; 0 was written to min_partial, or not.

    Kernel: mm/slub.c alloc_single_from_new_slab(), free_to_partial_list()
    """
    d = Debugged(size=30_000)
    assert (d.s.oo, d.s.min_partial) == ((3, 1), 7)
    d.s.min_partial = min_partial
    d.take(1)
    assert d.lists() == ([], [0])
    d.free(0)
    assert d.lists() == ([0] if stays else [], [])
    assert get_node(d.s, 0).nr_slabs == stays


@pytest.mark.parametrize(("kmalloc", "zeros"), [(0, 100), (SLAB_KMALLOC, 70)])
def test_zero_is_written_as_far_as_was_asked_for(kmalloc: int, zeros: int) -> None:
    """Behind it kmalloc's red zone begins: 0xcc. Kernel: mm/slub.c slab_post_alloc_hook()."""
    flags = SLAB_RED_ZONE | SLAB_POISON | USERS | kmalloc
    d = Debugged(flags, size=100)
    got = slab_alloc_node(d.s, GFP_KERNEL | __GFP_ZERO, NUMA_NO_NODE, 70)
    assert got is not None
    data = read_bytes(got[0], obj_to_ptr(*got), 100)
    assert data == bytes(zeros) + b"\xcc" * (100 - zeros)


def test_without_pages_there_is_no_object() -> None:
    """Kernel: mm/slub.c ___slab_alloc()."""
    d = Debugged()
    d.take(4)
    try:
        while True:
            d.machine.alloc_pages(GFP_KERNEL | __GFP_MEMALLOC | __GFP_NOWARN)
    except PageAllocationFailure:
        pass
    with pytest.raises(PageAllocationFailure, match="no page for a slab"):
        d.take(1)
    assert d.lists() == ([], [0])


def test_a_new_slab_that_is_corrupt_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes into it while it is made: the next new slab serves the request.

    Kernel: mm/slub.c alloc_single_from_new_slab(), ___slab_alloc()
    """
    bad: list[Slab] = []

    def setup_and_write(s: KmemCache, slab: Slab) -> None:
        setup_slab_debug(s, slab)
        if not bad:
            bad.append(slab)
            slab.memory[0] = 0  # type: ignore[index]

    d = Debugged(CHECKED, size=100)
    monkeypatch.setattr(pages, "setup_slab_debug", setup_and_write)
    d.take(1)
    assert d.machine.slab_at(d.objects[0]) is not bad[0]
    start = f"0x{obj_to_ptr(bad[0], 0) - 8:016x}"
    restored = f"Restoring Left Redzone {start}-{start}=0xbb"
    assert d.said() == ["Object corrupt", restored, "Marking all objects used"]
    assert (bad[0].inuse, bad[0].frozen) == (bad[0].objects, True)
    assert get_node(d.s, 0).nr_slabs == 1


def test_a_remote_slab_that_is_corrupt_is_passed_over() -> None:
    """Node 1 has one partial slab too many, and its free object is overwritten: nothing is taken.

    Kernel: mm/slub.c get_any_partial(), get_partial_node(), alloc_debug_processing()
    """
    d = Debugged(CHECKED, size=100, nodes=2)
    d.s.min_partial = 0
    remote = d.machine.kmem_cache_alloc(d.s, cpu=1)
    slab = d.machine.slab_at(remote)
    assert slab is not None
    assert slab.nid == 1
    write_bytes(slab, remote + d.s.size + 100, b"\0")
    d.machine.vm.slab.random = _NoCycles(0)
    d.take(1)
    own = d.machine.slab_at(d.objects[0])
    assert own is not None
    assert own.nid == 0
    first, *_ = d.machine.slab_log()
    assert first.startswith("[Right Redzone overwritten] 0x")
    assert d.said()[-1] == "Marking all objects used"
    assert get_node(d.s, 1).nr_partial == 0


class _NoCycles(Random):
    def get_cycles(self) -> int:
        """In favour of a remote node."""
        return 0


@pytest.mark.parametrize(
    ("field", "value", "title"),
    [
        ("objects", 99, "objects 99 > max {fits}"),
        ("inuse", 99, "inuse 100 > max {fits}"),
        ("frozen", True, "Slab disabled since SLUB metadata consistency check failed"),
    ],
)
def test_numbers_of_a_slab_that_cannot_be(field: str, value: int, title: str) -> None:
    """The slab is given up, a new one serves the request. Kernel: mm/slub.c check_slab()."""
    d = Debugged(CHECKED, size=100)
    d.take(1)
    slab = d.machine.slab_at(d.objects[0])
    assert slab is not None
    fits = slab.objects
    setattr(slab, field, value)
    d.take(1)
    assert d.said() == [title.format(fits=fits), "Marking all objects used"]
    assert d.machine.slab_at(d.objects[1]) is not slab
    assert (slab.inuse, slab.freelist, slab.frozen) == (slab.objects, NULL, True)


def test_a_freelist_that_begins_inside_an_object() -> None:
    """Kernel: mm/slub.c alloc_consistency_checks(), object_err()."""
    d = Debugged(CHECKED, size=100)
    d.take(1)
    slab = d.machine.slab_at(d.objects[0])
    assert slab is not None
    inside = obj_to_ptr(slab, 3) + 8
    slab.freelist = ptr_to_obj(slab, inside)
    d.take(1)
    assert d.said() == ["Freelist Pointer check fails", "Marking all objects used"]
    assert f"Invalid pointer 0x{inside:016x}" in d.machine.slab_log()


def test_an_object_of_a_slab_that_is_another_cache_s() -> None:
    """Kernel: mm/slub.c free_consistency_checks()."""
    d = Debugged(CHECKED, size=100)
    other = d.machine.kmem_cache_create("other", 100, flags=CHECKED)
    d.take(1)
    slab = d.machine.slab_at(d.objects[0])
    assert slab is not None
    assert free_debug_processing(other, slab, 0, 0, 1) == 0
    assert d.said() == [
        "page slab pointer corrupt.", f"Object at 0x{d.objects[0]:016x} not freed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "line"),
    [
        (8, "BUG: kernel NULL pointer dereference, address: 0000000000000008"),
        (
            0x6B6B6B6B6B6B6B6B,
            "Oops: general protection fault, probably for non-canonical address 0x6b6b6b6b6b6b6b6b",
        ),
        (0x7FFFFFFFF000, "BUG: unable to handle page fault for address: 00007ffffffff000"),
        (-4096, "BUG: unable to handle page fault for address: fffffffffffff000"),
    ],
)
def test_how_the_kernel_dies_of_a_pointer(address: int, line: str) -> None:
    """Kernel: arch/x86/mm/fault.c, arch/x86/kernel/traps.c."""
    assert page_fault(address) == line


def test_a_free_pointer_that_nobody_checks_kills() -> None:
    """Only poisoned: what lies in the pointer is followed. Kernel: mm/slub.c get_freepointer()."""
    d = Debugged(SLAB_POISON, size=100)
    d.take(1)
    slab = d.machine.slab_at(d.objects[0])
    assert slab is not None
    following = obj_to_ptr(slab, slab.freelist)
    write_bytes(slab, following + d.s.offset, bytes(8))
    d.take(1)
    with pytest.raises(KernelBug):
        d.take(1)


def test_what_lies_outside_of_a_slab_is_neither_read_nor_written() -> None:
    """Before its first byte, and behind its last: pointers that went wrong point there."""
    d = Debugged(CHECKED, size=100)
    d.take(1)
    slab = d.machine.slab_at(d.objects[0])
    assert slab is not None
    assert slab.memory is not None
    before = bytes(slab.memory)
    size = len(before)
    for address in (slab_start(slab) - 4096, slab_start(slab) + size):
        wild = ptr_to_obj(slab, address)
        slab.next_object[wild] = 1
        assert slab.next_object[wild] == NULL
    memset(slab, -20, 0, 20)
    memset(slab, size, 0, 20)
    assert bytes(slab.memory) == before
    memset(slab, -20, 1, 21)
    memset(slab, size - 1, 2, 20)
    assert bytes(slab.memory) == b"\1" + before[1:-1] + b"\2"
    assert len(slab.next_object) == slab.objects


def test_a_cache_that_keeps_no_sizes_was_asked_for_whole_objects() -> None:
    """Kernel: mm/slub.c get_orig_size(); get_partial_node() of a node without memory."""
    d = Debugged(USERS, size=100)
    d.take(1)
    slab = d.machine.slab_at(d.objects[0])
    assert slab is not None
    assert get_orig_size(d.s, slab, 0) == 100
    assert get_partial_node_debug(d.s, None, 0) is None

"""Page cache, filesystem, network, DMA: what each asks for, and what it does without memory."""

from __future__ import annotations

import lzma
import re
from collections.abc import Callable
from pathlib import Path as FilePath

import pytest

from memsim import Machine
from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.words.errors import BadRequest, PageAllocationFailure
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_FS,
    GFP_ATOMIC,
    GFP_DMA,
    GFP_DMA32,
    GFP_KERNEL,
    GFP_NOFS,
    parse_gfp_flags,
)
from memsim.workload import (
    CoherentBuffer,
    DmaPool,
    File,
    Filesystem,
    Habits,
    Kernel,
    NetworkRing,
    Process,
    Request,
    Requester,
    Share,
    Socket,
    Thp,
    Users,
    Workload,
)
from memsim.workload.dma import SIZEOF_DMA_POOL
from memsim.workload.kernel import free_pages
from memsim.workload.page_cache import get_init_ra_size, get_next_ra_size

DATA = FilePath(__file__).parent / "data"


def kernel_of(ram: str = "64 MiB", **description: object) -> Kernel:
    return Kernel(Machine(ram, slab=True, vmalloc=True, **description))  # type: ignore[arg-type]


def orders(kernel: Kernel, what: str) -> list[int]:
    return [request.order for request in kernel.log if request.path.what == what]


def whats(kernel: Kernel) -> list[str]:
    return [request.path.what for request in kernel.log]


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request from now on is refused."""

    def refuse(self: Requester, *arguments: object) -> None:
        self._write(*arguments[:5], None)  # type: ignore[arg-type]

    monkeypatch.setattr(Requester, "_ask", refuse)
    monkeypatch.setattr(Requester, "alloc_pages_bulk", lambda *_: [])
    monkeypatch.setattr(Requester, "kmem_cache_alloc_bulk", lambda *_: [])


# Masks and orders against the recordings


#: What the events of pages and of slab tell of a request: its order or bytes, and its gfp_mask.
EVENTS = {
    "pages": rb" mm_page_alloc: .*order=(\d+) .*gfp_flags=(\S+)",
    "slab": rb" kmem_cache_alloc: .*bytes_req=(\d+) .*gfp_flags=(\S+)",
}


def recorded() -> dict[str, set[tuple[int, int]]]:
    """(order or bytes, gfp_mask) of each such event in the recordings that are here."""
    found: dict[str, set[tuple[int, int]]] = {allocator: set() for allocator in EVENTS}
    for trace in sorted(DATA.glob("*/*/trace.txt.xz")):
        text = lzma.decompress(trace.read_bytes())
        for allocator, form in EVENTS.items():
            pairs = set(re.findall(form, text))
            found[allocator] |= {(int(n), parse_gfp_flags(gfp.decode())) for n, gfp in pairs}
    return found


def asked(request: Request) -> tuple[int, int]:
    """What an event would tell of it."""
    amount = request.order if request.allocator == "pages" else request.size
    return amount, request.gfp_mask


def test_orders_sizes_and_masks_are_those_of_recorded_kernels() -> None:
    """Requests of which the recordings at hand have none are named, so none is left out unseen."""
    kernel = kernel_of("128 MiB")
    shares: list[Callable[[Kernel], Requester]] = [Users, Filesystem, NetworkRing, Socket]
    workload = Workload(kernel.machine, [Share(make) for make in shares], 1)
    workload.run(300)
    process = Process(workload.kernel, Thp.ALWAYS)
    assert process.start()
    for hugepage in (False, True):
        process.fault(process.mmap(2 << 20, hugepage=hugepage) or 0)
    known = recorded()
    not_recorded = {
        request.path.what
        for request in workload.log
        if request.allocator in EVENTS and asked(request) not in known[request.allocator]
    }
    assert not_recorded == {
        "transparent huge page",  # with madvise(): defrag=madvise may compact
        "coherent buffer",
        "pages to receive into",
        "page cache, to be written",
        "buffer_head",  # of a file that is written
        "sk_buffs, sixteen at once",  # a bulk request has no event
    }
    thp = {r.gfp_mask for r in workload.log if r.path.what == "transparent huge page"}
    assert any((9, mask) in known["pages"] for mask in thp), "without madvise() it is recorded"


# Page cache


@pytest.mark.parametrize(
    ("size", "first", "after"),
    [(1, 4, 4), (2, 4, 4), (4, 8, 8), (8, 16, 16), (9, 32, 18), (20, 32, 32)],
)
def test_windows_begin_small_and_double(size: int, first: int, after: int) -> None:
    assert get_init_ra_size(size, 32) == first
    assert get_next_ra_size(size, 32) == after


def test_reading_a_file_through_reads_ahead_of_the_reader_in_growing_windows() -> None:
    kernel = kernel_of()
    file = File(Requester(kernel), 100)
    cached = []
    for index in range(28):
        assert file.filemap_read(index, 1) == 1
        cached.append(file.cached)
    assert cached[0] == 4, "the first window: four pages for one"
    assert sorted(set(cached)) == [4, 12, 28, 60], "then windows of 8, 16 and 32"
    assert set(orders(kernel, "page cache, read ahead")) == {0}


def test_large_folios_grow_by_two_orders_a_window() -> None:
    kernel = kernel_of()
    file = File(Requester(kernel), 400, large_folios=True)
    for index in range(200):
        assert file.filemap_read(index, 1) == 1
    grown = [folio.order for folio in file.folios()]
    # windows of pages 0 to 3, 4 to 11, 12 to 27, 28 to 59
    assert grown[:10] == [*[2], *[2, 2], *[2, 3, 2], *[2, 4, 3, 2]]
    assert max(grown) == 4, "each window begins with a small folio, and the mark is on that"
    for folio in file.folios():
        assert folio.index % (1 << folio.order) == 0
        assert file.folio_at(folio.index + (1 << folio.order) - 1) is folio
    assert sum(1 << order for order in grown) == file.cached


def test_large_folios_end_with_the_file() -> None:
    file = File(Requester(kernel_of()), 7, large_folios=True)
    assert file.filemap_read(0, 7) == 7
    assert file.cached == 7


def test_a_random_read_brings_what_was_asked_for_alone() -> None:
    file = File(Requester(kernel_of()), 1000)
    assert file.filemap_read(500, 3) == 3
    assert file.cached == 3


def test_reading_stops_at_the_end_of_the_file() -> None:
    file = File(Requester(kernel_of()), 5)
    assert file.filemap_read(3, 10) == 2
    assert file.filemap_read(5, 10) == 0


def test_readahead_is_nofs_and_its_nodes_may_not_wait() -> None:
    kernel = kernel_of()
    File(Requester(kernel), 70).filemap_read(0, 70)
    pages = [r for r in kernel.log if r.allocator == "pages"]
    nodes = [r for r in kernel.log if r.path.what == "xarray node of the page cache"]
    assert all(not r.gfp_mask & __GFP_FS for r in pages)
    assert all(not r.gfp_mask & __GFP_DIRECT_RECLAIM for r in nodes)
    assert len(nodes) == 3, "two leaves of 64 pages and the node above them"


def test_a_page_at_index_0_alone_needs_no_node() -> None:
    kernel = kernel_of()
    File(Requester(kernel), 1).filemap_read(0, 1)
    assert whats(kernel) == ["page cache, read ahead"]


def test_without_memory_for_large_folios_readahead_falls_back_to_pages() -> None:
    kernel = kernel_of("16 MiB", pcp=False)
    machine = kernel.machine
    kept = []
    for zone, mask in (("DMA32", GFP_DMA32), ("DMA", GFP_DMA)):
        for order in range(10, 1, -1):
            while (
                zone in [z.name for z in machine.vm.zones if z.present_pages]
                and (machine.nr_free(zone)[order])
            ):
                pfn = machine.alloc_pages(mask, order)
                machine.split_page(pfn)
                for page in range(pfn, pfn + (1 << order)):
                    (kept.append if page % 2 else machine.free_pages)(page)
    file = File(Requester(kernel), 64, large_folios=True)
    assert file.filemap_read(0, 1) == 1
    (failed,) = [r for r in kernel.log if r.result is None]
    assert failed.order == 2
    assert failed.outcome == "reads ahead in single pages instead"
    assert {folio.order for folio in file.folios()} == {0}


def test_without_any_memory_reading_stops_and_nothing_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = File(Requester(kernel_of()), 64, large_folios=True)
    with monkeypatch.context() as patch:
        no_memory(patch)
        assert file.filemap_read(0, 8) == 0
        assert file.filemap_fault(3) is None
        assert file.write_begin(3) is None
    assert file.cached == 0
    assert file.filemap_read(0, 8) == 8


# Filesystem


def test_an_inode_is_asked_for_with_nofs_and_a_name_for_a_moment() -> None:
    kernel = kernel_of()
    filesystem = Filesystem(kernel)
    inode = filesystem.lookup(10)
    assert inode is not None
    by_what = {request.path.what: request for request in kernel.log}
    assert by_what["inode"].gfp_mask == GFP_NOFS
    assert by_what["dentry"].gfp_mask == GFP_KERNEL
    names = kernel.caches["names_cache"]
    assert kernel.machine.kmem_cache_alloc(names) == by_what["path name, for a moment"].result


def test_sixteen_inodes_share_a_block_of_the_inode_table() -> None:
    kernel = kernel_of()
    filesystem = Filesystem(kernel)
    for _ in range(33):
        filesystem.lookup(1)
    assert whats(kernel).count("block of the inode table") == 3


def test_a_page_gets_a_buffer_head_when_it_is_first_written() -> None:
    kernel = kernel_of()
    filesystem = Filesystem(kernel)
    inode = filesystem.lookup(4)
    assert inode is not None
    filesystem.read(inode, 0, 4)
    assert "buffer_head" not in whats(kernel), "what is only read needs none"
    for _ in range(2):
        filesystem.write(inode, 1, 2)
        assert whats(kernel).count("buffer_head") == 2


@pytest.mark.parametrize("large_folios", [False, True])
def test_what_is_written_is_in_the_cache_and_evict_frees_it(large_folios: bool) -> None:
    kernel = kernel_of()
    filesystem = Filesystem(kernel, large_folios=large_folios)
    inode = filesystem.lookup(3)
    assert inode is not None
    assert filesystem.write(inode, 2, 4) == 4
    assert inode.file.nr_pages == 6
    assert filesystem.read(inode, 0, 9) == 6
    pages = inode.file.cached
    kernel.machine.drain_all_pages()
    before = free_pages(kernel.machine)
    filesystem.evict(inode)
    kernel.machine.drain_all_pages()
    assert free_pages(kernel.machine) >= before + pages
    with pytest.raises(BadRequest, match="forgotten"):
        filesystem.read(inode, 0, 1)


def test_a_file_that_is_mapped_stays() -> None:
    kernel = kernel_of()
    filesystem = Filesystem(kernel)
    inode = filesystem.lookup(3)
    process = Process(kernel)
    assert inode is not None
    assert process.start()
    process.mmap(PAGE_SIZE, inode.file)
    with pytest.raises(BadRequest, match="1 areas map"):
        filesystem.evict(inode)
    process.exit()
    filesystem.evict(inode)


def test_a_lookup_without_memory_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernel_of()
    filesystem = Filesystem(kernel)
    with monkeypatch.context() as patch:
        no_memory(patch)
        assert filesystem.lookup(3) is None
    assert filesystem.inodes == []


# Network


def test_a_ring_is_filled_in_atomic_context_by_bulk_requests_of_64() -> None:
    kernel = kernel_of()
    ring = NetworkRing(kernel, size=100)
    assert ring.start()
    assert len(ring.ring) == 100
    refills = [r for r in kernel.log if r.path.what == "pages to receive into"]
    assert [r.size for r in refills] == [64 * PAGE_SIZE] * 2
    assert all((r.gfp_mask & GFP_ATOMIC) == GFP_ATOMIC for r in refills)
    assert all(not r.gfp_mask & __GFP_DIRECT_RECLAIM for r in refills)


def test_a_ring_with_more_than_a_page_of_descriptors_gives_all_of_them_back() -> None:
    kernel = kernel_of()
    kernel.machine.drain_all_pages()
    before = free_pages(kernel.machine)
    ring = NetworkRing(kernel, size=600)
    assert ring.start()
    assert orders(kernel, "coherent buffer") == [2]
    ring.stop()
    kernel.machine.drain_all_pages()
    assert free_pages(kernel.machine) == before


def test_pages_that_were_read_go_round_and_nothing_is_asked() -> None:
    kernel = kernel_of()
    ring = NetworkRing(kernel, size=64)
    ring.start()
    for _ in range(10):
        assert ring.poll(16) == 16
        assert ring.recvmsg(99) == 16
    assert whats(kernel).count("pages to receive into") == 2
    assert ring.dropped == 0


def test_without_memory_packets_are_dropped_until_a_later_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = kernel_of()
    ring = NetworkRing(kernel, size=64)
    ring.start()
    with monkeypatch.context() as patch:
        no_memory(patch)
        assert ring.poll(64) == 0
        assert ring.dropped == 64, "no sk_buff"
        assert len(ring.ring) == 64, "their pages stay in the ring"
    assert ring.poll(64) == 64
    with monkeypatch.context() as patch:
        no_memory(patch)
        ring.poll(64)
    assert ring.refill() == 64
    ring.stop()


def test_a_socket_sends_from_blocks_of_32_kib_and_falls_back_to_a_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = kernel_of()
    socket = Socket(kernel)
    for _ in range(8):
        assert socket.sendmsg(PAGE_SIZE)
    assert orders(kernel, "data to be sent, 32 KiB") == [3]
    real = kernel.machine.alloc_pages

    def no_blocks(gfp_mask: int, order: int = 0, **where: int) -> int:
        if order:
            raise PageAllocationFailure("none", "")
        return real(gfp_mask, order, **where)

    monkeypatch.setattr(kernel.machine, "alloc_pages", no_blocks)
    assert socket.sendmsg(PAGE_SIZE)
    assert whats(kernel)[-1] == "data to be sent, one page"
    monkeypatch.undo()
    assert socket.acknowledge(100) == 9
    socket.stop()


def test_a_send_without_memory_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = Socket(kernel_of())
    with monkeypatch.context() as patch:
        no_memory(patch)
        assert not socket.sendmsg(100)
    assert socket.in_flight == []


# DMA


@pytest.mark.parametrize(("mask_bits", "zone"), [(24, GFP_DMA), (32, GFP_DMA32), (64, 0)])
def test_the_zone_is_that_of_the_devices_address_lines(mask_bits: int, zone: int) -> None:
    kernel = kernel_of()
    buffer = CoherentBuffer(kernel, 10_000, mask_bits)
    assert buffer.start()
    (request,) = kernel.log
    assert request.gfp_mask == GFP_KERNEL | zone
    assert request.order == 2
    assert buffer.pfn is not None
    assert (buffer.pfn << PAGE_SHIFT) + 10_000 <= 1 << mask_bits
    buffer.stop()


def test_what_lies_too_high_for_the_device_is_asked_for_again_lower() -> None:
    kernel = kernel_of("6 GiB", steps=False)
    buffer = CoherentBuffer(kernel, PAGE_SIZE, 33)
    assert buffer.start()
    low = CoherentBuffer(kernel, PAGE_SIZE, 30)
    assert low.start()
    assert low.pfn is not None
    assert low.pfn << PAGE_SHIFT < 1 << 30
    masks = [r.gfp_mask & (GFP_DMA | GFP_DMA32) for r in kernel.log]
    assert masks[1:] in ([GFP_DMA32], [GFP_DMA32, GFP_DMA])


def test_a_pool_cuts_pages_into_blocks_and_gives_the_last_freed_first() -> None:
    kernel = kernel_of()
    pool = DmaPool(kernel, size=1000)
    assert pool.start()
    assert kernel.log[0].size == SIZEOF_DMA_POOL
    blocks = [pool.dma_pool_alloc() for _ in range(5)]
    assert len(pool.pages) == 2, "four in a page"
    assert len(set(blocks)) == 5
    pool.dma_pool_free(blocks[1] or 0)
    assert pool.dma_pool_alloc() == blocks[1]
    with pytest.raises(BadRequest, match="no block in use"):
        pool.dma_pool_free(7)
    pool.stop()


@pytest.mark.parametrize(
    "make",
    [
        lambda kernel: CoherentBuffer(kernel, 0),
        lambda kernel: CoherentBuffer(kernel, 5 << 20),
        lambda kernel: CoherentBuffer(kernel, 4096, 23),
        lambda kernel: DmaPool(kernel, 7),
        lambda kernel: DmaPool(kernel, 4097),
        lambda kernel: Filesystem(kernel).lookup(0),
        lambda kernel: Filesystem(kernel).lookup("x"),  # type: ignore[arg-type]
        lambda kernel: CoherentBuffer(kernel, None),  # type: ignore[arg-type]
        lambda kernel: DmaPool(kernel, mask_bits=65),
        lambda kernel: DmaPool(kernel, mask_bits=0),
        lambda kernel: DmaPool(kernel, most=0),
        lambda kernel: NetworkRing(kernel, 0),
        lambda kernel: NetworkRing(kernel, "x"),  # type: ignore[arg-type]
        lambda kernel: NetworkRing(kernel).poll(-1),
        lambda kernel: NetworkRing(kernel).recvmsg(1.5),  # type: ignore[arg-type]
        lambda kernel: Socket(kernel, 0),
        lambda kernel: Socket(kernel).sendmsg(-1),
        lambda kernel: Socket(kernel).sendmsg(PAGE_SIZE + 1),
        lambda kernel: Socket(kernel).acknowledge(None),  # type: ignore[arg-type]
        lambda kernel: Filesystem(kernel, file_pages=-1),
        lambda kernel: Filesystem(kernel, memory=float("nan")),
        lambda kernel: Filesystem(kernel, write="x"),  # type: ignore[arg-type]
        lambda kernel: File(Filesystem(kernel), -1),
        lambda kernel: Users(kernel, Habits(most=0)),
        lambda kernel: Users(kernel, Habits(memory=2)),
        lambda kernel: Users(kernel, Habits(thp="always")),  # type: ignore[arg-type]
        lambda kernel: Users(kernel, 0),  # type: ignore[arg-type]
        lambda kernel: Process(kernel, "always"),  # type: ignore[arg-type]
    ],
)
def test_what_no_requester_can_be_or_be_asked_is_refused(make: Callable[[Kernel], object]) -> None:
    kernel = kernel_of()
    done = len(kernel.machine.history)
    with pytest.raises(BadRequest, match="should be"):
        make(kernel)
    assert len(kernel.machine.history) == done
    assert kernel.log == []

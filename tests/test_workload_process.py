"""A process: what fork shares and copies, what faults take, what an end gives back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memsim import Machine
from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.mm.mmzone import PG_LRU
from memsim.words.errors import BadRequest
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_NORETRY,
    __GFP_THISNODE,
    GFP_KERNEL,
    GFP_TRANSHUGE,
    GFP_TRANSHUGE_LIGHT,
)
from memsim.words.mmzone import HPAGE_PMD_ORDER
from memsim.workload import File, Kernel, Process, Request, Thp
from memsim.workload.gather import MmuGather
from memsim.workload.kernel import free_pages
from memsim.workload.mm import HPAGE_PMD_NR
from memsim.workload.requester import Requester

HUGE = HPAGE_PMD_NR * PAGE_SIZE


def kernel_of(ram: str = "64 MiB", **description: object) -> Kernel:
    return Kernel(Machine(ram, slab=True, vmalloc=True, **description))  # type: ignore[arg-type]


def process_of(kernel: Kernel, thp: Thp = Thp.MADVISE) -> Process:
    process = Process(kernel, thp)
    assert process.start()
    return process


def mapped(process: Process, size: int, *, hugepage: bool = False) -> int:
    address = process.mmap(size, hugepage=hugepage)
    assert address is not None
    return address


def forked(process: Process) -> Process:
    child = process.fork()
    assert child is not None
    return child


def settled(kernel: Kernel) -> int:
    """Free pages when no cpu and no cache keeps any, and no stack waits for the next task."""
    machine = kernel.machine
    for cpu, stacks in enumerate(kernel.cached_stacks):
        for i, address in enumerate(stacks):
            if address is not None:
                machine.vfree(address, cpu=cpu)
                stacks[i] = None
    machine.purge_vmap_area_lazy()
    for cache in machine.caches():
        machine.kmem_cache_shrink(cache)
    machine.drain_all_pages()
    kept = len(machine.vm.vmalloc.init_mm.tables)
    kept += sum(node.nr_slabs for node in machine.cache("vmap_area").node)
    return free_pages(machine) + kept


def asked(kernel: Kernel, what: str, since: int = 0) -> list[Request]:
    return [request for request in kernel.log[since:] if request.path.what == what]


def test_a_write_after_fork_copies_the_page_once_and_the_last_holder_keeps_it() -> None:
    kernel = kernel_of()
    parent = process_of(kernel)
    address = mapped(parent, PAGE_SIZE)
    pfn = parent.fault(address)
    child = forked(parent)
    assert child.translate(address) == pfn
    copy = child.fault(address)
    assert copy != pfn
    assert parent.translate(address) == pfn
    assert len(asked(kernel, "copy on write")) == 1
    assert parent.fault(address) == pfn, "nobody else holds it: no copy"
    assert len(asked(kernel, "copy on write")) == 1


def test_a_read_after_fork_copies_nothing() -> None:
    kernel = kernel_of()
    parent = process_of(kernel)
    address = mapped(parent, PAGE_SIZE)
    pfn = parent.fault(address)
    child = forked(parent)
    assert child.fault(address, write=False) == pfn
    assert asked(kernel, "copy on write") == []


@pytest.mark.parametrize("first", ["parent", "child"])
def test_a_shared_page_is_freed_by_the_last_exit(first: str) -> None:
    kernel = kernel_of()
    parent = process_of(kernel)
    address = mapped(parent, PAGE_SIZE)
    pfn = parent.fault(address)
    assert pfn is not None
    child = forked(parent)
    vma = parent.mm.find_vma(address >> 12)
    assert vma is not None
    folio = vma.ptes[address >> 12].folio
    assert folio is not None
    assert (folio.refcount, folio.mapcount) == (2, 2)
    one, other = (parent, child) if first == "parent" else (child, parent)
    one.exit()
    assert (folio.refcount, folio.mapcount) == (1, 1)
    assert other.fault(address) == pfn
    assert kernel.machine.vm.page_state[pfn], "in use"
    other.exit()
    assert (folio.refcount, folio.mapcount) == (0, 0)
    with pytest.raises(Exception, match="not the first page of an allocated block"):
        kernel.machine.free_pages(pfn)


def test_three_generations_give_everything_back() -> None:
    kernel = kernel_of()
    before = settled(kernel)
    first = process_of(kernel)
    address = mapped(first, 20 * PAGE_SIZE)
    for page in range(20):
        first.fault(address + page * PAGE_SIZE)
    second = forked(first)
    third = forked(second)
    second.fault(address + PAGE_SIZE)
    third.fault(address + 2 * PAGE_SIZE)
    first.exit()
    fourth = forked(third)
    second.exit()
    fourth.fault(address)
    third.exit()
    kernel.machine.validate_caches()
    fourth.exit()
    assert settled(kernel) == before
    assert all(node.nr_slabs == 0 for node in kernel.caches["anon_vma"].node)


def test_a_read_of_untouched_memory_maps_the_zero_page_and_a_write_then_takes_one() -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    address = mapped(process, PAGE_SIZE)
    since = len(kernel.log)
    assert process.fault(address, write=False) == 0
    assert {r.path.what for r in kernel.log[since:]} == {
        f"page table, {level}" for level in ("PUD", "PMD", "PTE")
    }
    assert process.mm.rss == 0
    pfn = process.fault(address)
    assert pfn
    assert process.mm.rss == 1
    assert len(asked(kernel, "copy on write")) == 1


def test_the_second_fault_of_a_table_takes_a_page_alone() -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    address = mapped(process, 2 * PAGE_SIZE)
    process.fault(address)
    since = len(kernel.log)
    process.fault(address + PAGE_SIZE)
    assert [request.path.what for request in kernel.log[since:]] == ["anonymous page"]
    process.fault(address + PAGE_SIZE)
    assert len(kernel.log) == since + 1, "it is there: nothing is asked"


def test_a_page_on_the_lru_counts_as_movable() -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    pfn = process.fault(mapped(process, PAGE_SIZE))
    assert pfn is not None
    assert kernel.machine.vm.page_state[pfn] & PG_LRU


def test_pages_of_a_program_are_the_page_caches_and_outlive_the_process() -> None:
    kernel = kernel_of()
    one, other = process_of(kernel), process_of(kernel)
    file = File(one, 40)
    addresses = [process.mmap(40 * PAGE_SIZE, file) for process in (one, other)]
    assert None not in addresses
    pfns = {
        process.fault(address or 0, write=False)
        for process, address in zip((one, other), addresses, strict=True)
    }
    folio = file.folio_at(0)
    assert folio is not None
    assert pfns == {folio.pfn}
    assert folio.mapcount == 2
    assert folio.refcount == 3
    own = one.fault((addresses[0] or 0) + PAGE_SIZE)
    cached = file.folio_at(1)
    assert cached is not None
    assert own != cached.pfn, "a private mapping writes to a copy"
    assert len(asked(kernel, "private copy of a file's page")) == 1
    one.exit()
    other.exit()
    assert folio.refcount == 1
    assert folio.mapcount == 0
    file.truncate()
    assert folio.refcount == 0


def test_fork_copies_no_entries_of_a_file_that_was_only_read() -> None:
    kernel = kernel_of()
    parent = process_of(kernel)
    file = File(parent, 4)
    address = parent.mmap(4 * PAGE_SIZE, file)
    assert address is not None
    parent.fault(address, write=False)
    child = forked(parent)
    assert child.translate(address) is None
    parent.fault(address + PAGE_SIZE)
    second = forked(parent)
    assert second.translate(address) == parent.translate(address)
    assert second.translate(address) is not None


def test_execve_begins_anew_and_the_parent_keeps_its_pages() -> None:
    kernel = kernel_of()
    parent = process_of(kernel)
    address = mapped(parent, PAGE_SIZE)
    pfn = parent.fault(address)
    child = forked(parent)
    assert child.execve(File(parent, 8))
    with pytest.raises(BadRequest, match="nothing is mapped"):
        child.fault(address)
    assert parent.translate(address) == pfn
    assert child.fault(0x400 << 12, write=False)


# Transparent huge pages


def test_thp_always_takes_one_block_of_order_9_and_a_table_to_split_it() -> None:
    kernel = kernel_of()
    process = process_of(kernel, Thp.ALWAYS)
    address = mapped(process, HUGE)
    assert address % HUGE == 0
    pfn = process.fault(address + 5 * PAGE_SIZE)
    assert pfn is not None
    assert (pfn - 5) % HPAGE_PMD_NR == 0
    (thp,) = asked(kernel, "transparent huge page")
    assert thp.order == HPAGE_PMD_ORDER
    assert thp.gfp_mask == GFP_TRANSHUGE_LIGHT | __GFP_NORETRY | __GFP_THISNODE
    assert process.mm.rss == HPAGE_PMD_NR
    assert asked(kernel, "anonymous page") == []


def test_madvise_may_compact_and_asks_twice() -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    address = mapped(process, HUGE, hugepage=True)
    no_blocks(kernel.machine, HPAGE_PMD_ORDER)
    assert process.fault(address) is not None
    first, second = asked(kernel, "transparent huge page")
    assert first.gfp_mask == GFP_TRANSHUGE | __GFP_NORETRY | __GFP_THISNODE
    assert second.gfp_mask == GFP_TRANSHUGE
    assert second.gfp_mask & __GFP_DIRECT_RECLAIM
    assert first.outcome == second.outcome == "falls back to a single page"
    (page,) = asked(kernel, "anonymous page")
    assert page.order == 0
    assert page.outcome == "ok"


def test_without_madvise_the_default_asks_for_no_huge_page() -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    process.fault(mapped(process, HUGE))
    assert asked(kernel, "transparent huge page") == []


def test_a_write_to_a_shared_huge_page_splits_the_mapping_and_copies_one_page() -> None:
    kernel = kernel_of()
    before = settled(kernel)
    parent = process_of(kernel, Thp.ALWAYS)
    address = mapped(parent, HUGE)
    pfn = parent.fault(address)
    child = forked(parent)
    since = len(kernel.log)
    copy = child.fault(address + PAGE_SIZE)
    assert pfn is not None
    assert copy not in range(pfn, pfn + HPAGE_PMD_NR)
    assert child.translate(address) == pfn
    assert [r.path.what for r in kernel.log[since:]] == ["copy on write"], "the table was there"
    parent.exit()
    assert child.translate(address + 2 * PAGE_SIZE) == pfn + 2
    child.exit()
    assert settled(kernel) == before
    kernel.machine.validate()


def test_a_huge_page_that_is_no_longer_shared_is_kept_whole() -> None:
    kernel = kernel_of()
    parent = process_of(kernel, Thp.ALWAYS)
    address = mapped(parent, HUGE)
    pfn = parent.fault(address)
    forked(parent).exit()
    since = len(kernel.log)
    assert parent.fault(address) == pfn
    assert len(kernel.log) == since


# Without memory


def no_blocks(machine: Machine, order: int) -> list[int]:
    """Take every free block of this order or above, but for its last page, one by one."""
    kept = []
    for zone in ("DMA32", "DMA"):
        while any(machine.nr_free(zone)[order:]):
            pfn = machine.alloc_pages(GFP_KERNEL if zone == "DMA32" else 1, order)
            machine.split_page(pfn)
            kept.extend(range(pfn + 1, pfn + (1 << order)))
            machine.free_pages(pfn, 0)
    machine.drain_all_pages()
    return kept


def refuse_after(monkeypatch: pytest.MonkeyPatch, requests: int) -> None:
    """From now on so many requests are answered, and none after them."""
    left = [requests]
    real: Callable[..., int | None] = Requester._ask

    def ask(self: Requester, *arguments: object) -> int | None:
        left[0] -= 1
        if left[0] < 0:
            self._write(*arguments[:5], None)  # type: ignore[arg-type]
            return None
        return real(self, *arguments)

    monkeypatch.setattr(Requester, "_ask", ask)


def family(kernel: Kernel) -> Process:
    parent = process_of(kernel, Thp.ALWAYS)
    address = mapped(parent, HUGE + 3 * PAGE_SIZE)
    for page in (0, HPAGE_PMD_NR, HPAGE_PMD_NR + 1):
        parent.fault(address + page * PAGE_SIZE)
    return parent


def length_of_a_fork() -> int:
    kernel = kernel_of()
    parent = family(kernel)
    since = len(kernel.log)
    forked(parent)
    return len(kernel.log) - since


LENGTH = length_of_a_fork()


@pytest.mark.parametrize("answered", range(LENGTH))
def test_a_fork_without_memory_gives_back_what_it_had(
    answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in the fork memory ends, but where the kernel asks a second time."""
    kernel = kernel_of()
    parent = family(kernel)
    before = settled(kernel)
    with monkeypatch.context() as patch:
        refuse_after(patch, answered)
        assert parent.fork() is None
    assert settled(kernel) == before
    kernel.machine.validate_caches()
    child = forked(parent)
    child.exit()
    parent.exit()


@pytest.mark.parametrize("answered", range(8))
def test_a_fault_without_memory_ends_the_process_and_frees_all_it_had(
    answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = kernel_of()
    before = settled(kernel)
    process = process_of(kernel, Thp.ALWAYS)
    address = mapped(process, 2 * HUGE)
    small = mapped(process, PAGE_SIZE)
    with monkeypatch.context() as patch:
        refuse_after(patch, answered)
        got = process.fault(small), process.alive and process.fault(address)
    if got[0] is None:
        assert process.killed
        assert not process.alive
    process.stop()
    assert settled(kernel) == before


@pytest.mark.parametrize("answered", range(6))
def test_execve_without_memory_changes_nothing(
    answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    address = mapped(process, PAGE_SIZE)
    pfn = process.fault(address)
    file = File(process, 8)
    before = settled(kernel)
    with monkeypatch.context() as patch:
        refuse_after(patch, answered)
        assert not process.execve(file)
    assert process.translate(address) == pfn
    assert file.mappings == 0
    assert settled(kernel) == before


def test_a_machine_that_is_full_ends_the_process() -> None:
    kernel = kernel_of("16 MiB")
    process = process_of(kernel)
    address = mapped(process, 32 << 20)
    page = 0
    while process.fault(address + page * PAGE_SIZE) is not None:
        page += 1
    assert process.killed
    assert page > 1000
    assert kernel.log[-1].result is None or kernel.log[-1].path.what == "list of pages to unmap"
    kernel.machine.validate()


# Stacks, areas


def test_each_cpu_keeps_two_stacks_for_the_next_tasks() -> None:
    kernel = kernel_of()
    processes = [process_of(kernel) for _ in range(4)]
    assert len(asked(kernel, "kernel stack")) == 4
    for process in processes:
        process.exit()
    assert None not in kernel.cached_stacks[0]
    assert len(kernel.cached_stacks[0]) == 2
    again = [process_of(kernel) for _ in range(3)]
    assert len(asked(kernel, "kernel stack")) == 5
    assert len(again) == 3


def test_munmap_frees_tables_that_no_other_area_needs() -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    keep = mapped(process, PAGE_SIZE)
    process.fault(keep)
    tables = dict(process.mm.page_tables.tables)
    far = mapped(process, 1 << 30)
    process.fault(far)
    assert len(process.mm.page_tables.tables) > len(tables)
    process.munmap(far)
    assert process.mm.page_tables.tables == tables
    assert process.fault(keep) is not None


def test_tables_go_by_address_and_a_table_goes_behind_those_below_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    process.fault(mapped(process, PAGE_SIZE))
    big = mapped(process, 2 << 30)
    for touched in (0, 2 << 20, 1 << 30, (2 << 30) - 1):
        process.fault(big + touched)
    known = {pfn: key for key, pfn in process.mm.page_tables.tables.items()}
    keys: list[tuple[int, int]] = []
    monkeypatch.setattr(MmuGather, "tlb_remove_table", lambda _, pfn: keys.append(known[pfn]))
    process.exit()
    assert sorted(keys) == sorted(known.values())
    assert [level for level, _ in keys].count(2) > 1, "of more than one PMD table"
    for at, (level, index) in enumerate(keys):
        below = [i >> 9 * (level - each) for each, i in keys[at:] if each < level]
        assert index not in below, "what a table leads to goes before it"
        assert all(i < index for each, i in keys[:at] if each == level), "by address"
    assert keys.index(next(key for key in keys if key[0] == 2)) < len(keys) - 3, "none waits"


def test_an_area_of_terabytes_is_unmapped_at_once() -> None:
    process = process_of(kernel_of())
    far = mapped(process, 1 << 45)
    assert process.fault(far + (1 << 44)) is not None
    process.munmap(far)
    assert process.mm.find_vma(far >> PAGE_SHIFT) is None


BAD = [
    (lambda p: p.fault(0), "nothing is mapped at 0x0"),
    (lambda p: p.fault(-1), "nothing is mapped at -0x1"),
    (lambda p: p.fault("x"), "address='x'"),
    (lambda p: p.munmap(4096), "nothing is mapped at 0x1000"),
    (lambda p: p.mmap(0), "mmap.0"),
    (lambda p: p.mmap(-5), "mmap.-5"),
    (lambda p: p.mmap(4096, offset=7), "whole pages"),
    (lambda p: p.mmap(1 << 60), "not user space"),
    (lambda p: p.mmap(9 * 4096, File(p, 8)), "the file has 8 pages"),
    (lambda p: p.mmap(1.5), "size='1.5'"),
    (lambda p: p.mmap(4096, "x"), "file='x': should be a File"),
    (lambda p: p.execve(0), "file='0': should be a File"),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_what_no_process_can_ask_is_refused(call: Callable[[Process], object], text: str) -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    done = len(kernel.machine.history), len(kernel.log)
    with pytest.raises(BadRequest, match=text):
        call(process)
    assert (len(kernel.machine.history), len(kernel.log)) == done


def test_a_process_that_ended_asks_for_nothing() -> None:
    kernel = kernel_of()
    process = process_of(kernel)
    process.exit()
    for call in (process.fork, process.exit, process.execve, lambda: process.mmap(1)):
        with pytest.raises(BadRequest, match="does not live"):
            call()

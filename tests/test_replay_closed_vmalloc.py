"""The closed loop of vmalloc: areas take pages and page tables from the model."""

from __future__ import annotations

from memsim import Machine
from memsim.lib.bits import PAGE_SIZE, signed
from memsim.mm import pgtable
from memsim.mm.mmzone import Vm
from memsim.replay.rows.inputs import ARGUMENTS, Kind, Rows
from memsim.replay.run import Replay
from memsim.replay.vmalloc.closed import ClosedVmallocRun
from memsim.words.gfp import __GFP_COMP, __GFP_HIGHMEM, __GFP_ZERO, GFP_KERNEL
from memsim.words.vmalloc import VMALLOC_END, VMALLOC_START

GFP_TABLE = GFP_KERNEL | __GFP_ZERO | __GFP_COMP
GFP_AREA = GFP_KERNEL | __GFP_HIGHMEM


class Loop:
    """Rows, done to a machine whose areas are all free; and a twin that foretells them."""

    def __init__(self) -> None:
        self.twin = Machine("64 MiB", vmalloc=True, pcp=False)
        self.vm: Vm = Machine("64 MiB", vmalloc=True, pcp=False).vm
        self.rows = Rows()

    def row(self, kind: Kind, *arguments: int, context: int = 1) -> None:
        rows = self.rows
        rows.kind.append(kind)
        rows.cpu.append(0)
        rows.line.append(len(rows))
        rows.time.append(float(len(rows)))
        rows.context.append(context)
        rows.task.append(context)
        rows.arguments.extend((*arguments, *(0,) * (ARGUMENTS - len(arguments))))

    def area(self, address: int, nr_pages: int) -> None:
        """Rows that make a busy area."""
        limits = signed(VMALLOC_START), signed(VMALLOC_END)
        self.row(Kind.alloc_vmap_area, signed(address), (nr_pages + 1) * PAGE_SIZE, 1, *limits, 0)

    def bulk(self, asked: int, given: int | None = None) -> None:
        """Rows of a bulk request."""
        self.row(Kind.bulk, GFP_AREA, 0, asked)
        self.row(Kind.bulk_ret, asked, asked if given is None else given)

    def page(self, pfn: int, gfp_mask: int = GFP_TABLE) -> None:
        """A row of a request for a page."""
        self.row(Kind.mm_page_alloc, pfn, 0, 0, gfp_mask, 0)

    def free(self, address: int, pfns: list[int]) -> None:
        """Rows of a vfree()."""
        self.row(Kind.free_vmap_area_noflush, signed(address), 0, 0)
        for pfn in pfns:
            self.row(Kind.mm_page_free, pfn, 0)

    def done(self) -> ClosedVmallocRun:
        """Do all rows."""
        replay = Replay(self.vm, self.rows, {}, {}, "a trace")
        run = replay.vmalloc = ClosedVmallocRun(self.vm, self.rows)
        run.open(replay, replay.handlers_of_pages())
        for _ in replay.run():
            pass
        self.replay = replay
        return run


def pages_of(machine: Machine, address: int, nr_pages: int) -> list[int]:
    return [machine.vmalloc_to_pfn(address + n * PAGE_SIZE) for n in range(nr_pages)]


def tables_of(machine: Machine, address: int) -> list[int]:
    """The tables below a PUD, which is there since boot, in the order in which they were made."""
    return [entry.table_pfn for entry in machine.walk(address)[2:]]


def filled(loop: Loop) -> tuple[int, list[int], list[int]]:
    """An area of three pages is made and filled: its address, its pages, its tables."""
    address = loop.twin.vmalloc(3 * PAGE_SIZE)
    pfns, tables = pages_of(loop.twin, address, 3), tables_of(loop.twin, address)
    loop.area(address, 3)
    loop.bulk(3)
    for table in tables:
        loop.page(table)
    return address, pfns, tables


def test_an_area_is_filled_mapped_and_emptied_by_the_model_alone() -> None:
    loop = Loop()
    address, pfns, tables = filled(loop)
    loop.free(address, pfns)
    run = loop.done()
    assert (run.result.freed.equal, run.result.freed.total) == (3, 3)
    assert (run.result.tables.equal, run.result.tables.total) == (len(tables), len(tables))
    assert (loop.replay.result.exact, loop.replay.result.requests) == (len(tables), len(tables))
    assert not run.result.notes
    assert pgtable.vmalloc_to_pfn(loop.vm, address) == -1
    loop.twin.vfree(address)
    assert [z.vm_stat[0] for z in loop.vm.zones] == [z.vm_stat[0] for z in loop.twin.vm.zones]


def test_pages_that_the_recording_frees_in_another_order_are_told() -> None:
    loop = Loop()
    address, pfns, _ = filled(loop)
    loop.free(address, [pfns[1], pfns[0], pfns[2]])
    run = loop.done()
    assert (run.result.freed.equal, run.result.freed.total) == (1, 3)


def test_how_many_pages_is_the_model_s_own_count() -> None:
    """A recorded bulk request for another number is none of the area's."""
    loop = Loop()
    loop.area(VMALLOC_START, 3)
    loop.bulk(2)
    run = loop.done()
    assert run.result.notes["bulk requests that no area makes"] == 1
    assert run._filled[VMALLOC_START].pages == []


def test_above_a_hundred_pages_an_area_asks_more_than_once() -> None:
    loop = Loop()
    loop.area(VMALLOC_START, 130)
    loop.bulk(100)
    loop.bulk(30)
    run = loop.done()
    assert not run.result.notes
    assert len(run._filled[VMALLOC_START].pages) == 130


def test_where_a_bulk_request_gives_too_little_single_pages_follow() -> None:
    loop = Loop()
    loop.area(VMALLOC_START, 3)
    loop.bulk(3, given=2)
    loop.page(5, GFP_AREA)
    run = loop.done()
    area = run._filled[VMALLOC_START]
    assert len(area.pages) == 3
    assert not area.lacks


def test_an_area_for_page_pointers_is_filled_before_the_one_it_is_for() -> None:
    """__vmalloc_area_node(): 600 pointers are more than a page."""
    loop = Loop()
    inner = VMALLOC_START + 601 * PAGE_SIZE
    loop.area(VMALLOC_START, 600)
    loop.area(inner, 2)
    loop.bulk(2)
    for _ in range(6):
        loop.bulk(100)
    run = loop.done()
    assert not run.result.notes["bulk requests that no area makes"]
    assert len(run._filled[inner].pages) == 2
    assert len(run._filled[VMALLOC_START].pages) == 600


def test_a_table_that_nobody_asks_for_was_there_before_and_is_there_from_then_on() -> None:
    loop = Loop()
    for number in range(2):
        loop.area(VMALLOC_START + 2 * number * PAGE_SIZE, 1)
        loop.bulk(1)
        loop.page(100 + number, GFP_AREA)
    loop.area(VMALLOC_START + 4 * PAGE_SIZE, 1)
    at_boot = set(loop.vm.vmalloc.init_mm.tables)
    run = loop.done()
    levels = len(tables_of(loop.twin, loop.twin.vmalloc(1)))
    assert run.result.notes["page tables found in place at first use"] == levels
    assert all(pfn >= loop.vm.max_pfn for pfn in set(loop.vm.vmalloc.init_mm.tables) - at_boot)


def test_a_table_that_the_model_has_is_asked_for_all_the_same_and_told() -> None:
    """Two CPUs map in one place at the same time: one of them frees its table again."""
    loop = Loop()
    address = loop.twin.vmalloc(PAGE_SIZE)
    loop.area(address, 1)
    tables = tables_of(loop.twin, address)
    for table in [*tables, 4000]:
        loop.page(table)
    run = loop.done()
    assert (run.result.tables.equal, run.result.tables.total) == (len(tables), len(tables) + 1)
    assert loop.replay.result.requests == len(tables) + 1


def test_another_context_s_requests_are_none_of_the_area_s() -> None:
    loop = Loop()
    loop.area(VMALLOC_START, 3)
    loop.row(Kind.bulk, GFP_AREA, 0, 3, context=2)
    loop.row(Kind.bulk_ret, 3, 3, context=2)
    run = loop.done()
    assert run._filled[VMALLOC_START].pages == []

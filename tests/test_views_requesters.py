"""Lesson 13's widgets and helpers: who answers whom, four calls on a fragmented zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from memsim.lib.bits import PAGE_SIZE, get_order
from memsim.mm.vmstat import nr_free_by_order
from memsim.proc.vmallocinfo import parse_vmallocinfo
from memsim.views import lesson13
from memsim.views.chooser import CALLS, HELD, SIZES, Chooser, fragmented, got, largest_order
from memsim.views.mixed import MixedMachine, by_allocator, by_order, worked
from memsim.views.requesters import (
    ADDRESSES,
    PAGES,
    REQUESTERS,
    SLAB,
    VMALLOC,
    WhoAnswers,
    answered,
    new_machine,
)

DATA = Path(__file__).parents[1] / "notebooks/data"
#: An event without which the allocator cannot have answered.
PROOF = {
    PAGES: {"mm_page_alloc"},
    SLAB: {"kmem_cache_alloc", "kmalloc"},
    VMALLOC: {"alloc_vmap_area"},
    ADDRESSES: {"alloc_vmap_area"},
}


def test_each_answer_is_proved_by_an_event() -> None:
    machine = new_machine()
    answers = [answered(machine, requester) for requester in REQUESTERS]
    assert {answer.allocator for answer in answers} == set(PROOF)
    for answer in answers:
        assert PROOF[answer.allocator] & set(answer.events), answer
        if answer.allocator in (PAGES, SLAB):
            assert "alloc_vmap_area" not in answer.events
    machine.validate()
    machine.validate_caches()
    machine.validate_vmalloc()


def test_the_zone_is_the_one_that_was_asked_for() -> None:
    answers = {a.requester.wants: a for a in WhoAnswers().answers}
    assert answers["16 KiB in one piece below 4 GiB"].zone == "DMA32"
    assert answers["a page of zeros"].zone == "Normal"
    assert answers["its stack, 16 KiB"].zone == ""


def test_the_table_follows_its_slider() -> None:
    widget = WhoAnswers()
    assert widget.told().startswith("a process touches a new page: a page of zeros: page allocator")
    widget.row.value = 1000
    assert widget.row.value == len(REQUESTERS)
    assert "alloc_fdtable(), fs/file.c. Events:" in widget.told()
    assert widget.picture.value.count("outline: 3px") == 1
    assert len(widget.text().splitlines()) == len(REQUESTERS) + 1


@pytest.mark.parametrize("held", HELD[1:])
def test_no_block_is_larger_than_the_gap_between_held_pages(held: int) -> None:
    machine = fragmented(held)
    machine.validate()
    assert 1 << largest_order(machine) < held
    assert nr_free_by_order(machine.zone("DMA32"))[largest_order(machine)]


@pytest.mark.parametrize("held", [0, 256, 16, 2])
def test_kmalloc_needs_a_block_and_vmalloc_only_pages(held: int) -> None:
    machine = fragmented(held)
    order = largest_order(machine)
    for size in SIZES:
        answers = {call: got(machine, call, size) for call in CALLS}
        if size > 2 * PAGE_SIZE:  # smaller ones may find a slab that is there
            assert bool(answers["kmalloc"].taken) == (get_order(size) <= order)
            assert answers["kvmalloc"].by_vmalloc == (not answers["kmalloc"].taken)
            assert answers["vmalloc"].taken == -(-size // PAGE_SIZE) * PAGE_SIZE
            assert answers["vmalloc"].tlb_entries == -(-size // PAGE_SIZE)
        for answer in answers.values():
            assert not answer.taken or answer.taken >= size
            assert answer.pieces <= answer.taken // 8
    machine.validate_vmalloc()


def test_the_chooser_says_who_is_refused() -> None:
    widget = Chooser()
    assert "kmalloc(65,536): refused; vmalloc(65,536): 64 KiB in 16 pieces" in widget.text()
    assert widget.picture.value.count("refused") == 2  # in the table and in words
    widget.held.value = 0
    assert widget.text().startswith("Nothing held, largest free block order 10. ")
    widget.size.value = 6 << 20
    assert "kmalloc(6,291,456): refused" in widget.text()
    assert "kvmalloc(6,291,456): by vmalloc 6 MiB" in widget.text()


def test_a_refusal_is_logged_unless_it_was_to_be_quiet() -> None:
    machine = fragmented(16)
    assert "page allocation failure: order:9" in lesson13.refusal(machine, "kmalloc", 2 << 20)
    assert lesson13.refusal(machine, "kmalloc", 8 << 20) == ""
    with pytest.raises(ValueError, match="gives 0xffffc9"):
        lesson13.refusal(machine, "kvmalloc", 2 << 20)


def test_pages_by_caller_are_all_pages() -> None:
    rows = parse_vmallocinfo((DATA / "vmallocinfo_two_zones.txt").read_text())
    told = lesson13.pages_by_caller(rows)
    assert sum(pages for _, pages in told) == sum(row.pages for row in rows) == 1835
    assert told[0] == ("pcpu_create_chunk", 1063)


def test_a_mix_is_counted_whole_and_the_same_each_time() -> None:
    workload = worked("desktop", 200)
    assert sum(by_allocator(workload).values()) == len(workload.log)
    assert sum(by_order(workload).values()) == sum(r.allocator == "pages" for r in workload.log)
    assert worked("desktop", 200).log == workload.log
    assert worked("desktop", 200, seed=2).log != workload.log


def test_the_mixed_machine_follows_its_controls() -> None:
    widget = MixedMachine(steps=100)
    assert widget.text().startswith("desktop, 100 steps: ")
    widget.preset.value = "web server"
    assert widget.text().startswith("web server, 100 steps: ")
    assert "sk_buffs, sixteen at once" in widget.picture.value
    widget.steps.value = 0
    assert widget.steps.value == 100
    assert widget.picture.value.count("<tr") == 13

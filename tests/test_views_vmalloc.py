"""Lesson 11's widgets and helpers: the map of addresses, the search stepped, fits, footprints."""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import Machine
from memsim.lib.bits import PAGE_SIZE
from memsim.mm.vmalloc.clip import FitType
from memsim.mm.vmalloc.tree import find_vmap_lowest_match
from memsim.proc.vmallocinfo import parse_vmallocinfo, vmallocinfo_of
from memsim.views import lesson11
from memsim.views.vmalloc_map import (
    BUSY,
    FREE,
    GUARD,
    LAZY,
    POOL,
    AddressSpace,
    map_html,
    map_text,
    spans_of,
    spans_of_rows,
)
from memsim.views.vmalloc_search import Request, TreeSearch, name_of, search, tree_text
from memsim.words.vmalloc import VMALLOC_END, VMALLOC_START

DATA = Path(__file__).parents[1] / "notebooks/data"


def busy_machine(seed: int, cpus: int = 1) -> Machine:
    """A machine after a hundred requests and frees."""
    chance = random.Random(seed)
    machine = Machine("64 MiB", vmalloc=True, cpus=cpus, steps=False)
    live: list[int] = []
    for _ in range(100):
        if live and chance.random() < 0.5:
            machine.vfree(live.pop(chance.randrange(len(live))), cpu=chance.randrange(cpus))
        else:
            live.append(machine.vmalloc(chance.randrange(1, 12) * PAGE_SIZE))
        if chance.random() < 0.1:
            machine.purge_vmap_area_lazy()
    return machine


@pytest.mark.parametrize("cpus", [1, 2])
def test_the_map_has_no_gaps_and_every_page_once(cpus: int) -> None:
    machine = busy_machine(3, cpus)
    spans = spans_of(machine.vm.vmalloc)
    assert spans[0].start == VMALLOC_START
    assert spans[-1].end == VMALLOC_END + 1
    assert all(one.end == other.start for one, other in pairwise(spans))
    rows = vmallocinfo_of(machine.vm)
    busy = [row for row in rows if "vmalloc" in row.words]
    assert sum(s.end - s.start for s in spans if s.kind in (BUSY, GUARD)) == sum(
        row.size for row in busy
    )
    assert sum(s.kind == GUARD for s in spans) == len(busy)
    kinds = {span.kind for span in spans}
    assert {FREE, BUSY, GUARD, LAZY} <= kinds
    assert (POOL in kinds) == (cpus > 1)


def test_a_copy_gives_the_same_map_as_the_machine() -> None:
    machine = busy_machine(5)
    ours = [s for s in spans_of(machine.vm.vmalloc) if s.kind != LAZY]
    rows = [row for row in vmallocinfo_of(machine.vm) if row.pages]
    theirs = spans_of_rows(rows)
    busy = [(s.start, s.end) for s in ours if s.kind == BUSY]
    assert [(s.start, s.end) for s in theirs if s.kind == BUSY] == busy
    recorded = spans_of_rows(parse_vmallocinfo((DATA / "vmallocinfo_two_zones.txt").read_text()))
    assert all(one.end == other.start for one, other in pairwise(recorded))


def test_a_page_and_32_tib_are_both_to_be_seen() -> None:
    spans = spans_of(lesson11.with_holes().vm.vmalloc)
    picture = map_html(spans, 0)
    assert picture.count("outline: 3px") == 1
    assert picture.count('title="+') == len(spans)
    assert "width: 24px" in picture
    assert "width: 344px" in picture
    assert map_text(spans).splitlines()[-1] == "+0x36000 to +0x200000000000: 32 TiB free"


def test_the_widget_asks_frees_purges_and_refuses() -> None:
    widget = AddressSpace()
    widget.span.value = 2
    widget.vfree.click()
    assert "lazily freed" in widget.told()
    widget.vfree.click()
    assert widget.said.startswith("Refused: Trying to vfree() nonexistent vm area")
    widget.purge.click()
    assert widget.said == "Purged, with 1 TLB flush."
    widget.purge.click()
    assert widget.said == "Purged, with 0 TLB flushes."
    widget.size.value = 16 << 20
    for _ in range(5):
        widget.vmalloc.click()
    assert widget.said.startswith("Refused: vmalloc(16777216) failed")
    widget.machine.validate_vmalloc()
    widget.span.value = 10_000
    assert widget.span.value == len(widget.spans) - 1


@given(seed=st.integers(0, 9), pages=st.integers(1, 40), order=st.integers(0, 4))
def test_the_stepped_search_is_the_search(seed: int, pages: int, order: int) -> None:
    root = busy_machine(seed).vm.vmalloc.free_vmap_area_root
    request = Request(pages * PAGE_SIZE, PAGE_SIZE << order)
    found, steps = search(root, request)
    assert found is find_vmap_lowest_match(
        root, request.size, request.align, request.vstart, request.adjust_search_size
    )
    assert steps[0].area is root.rb_node
    assert steps[-1].area is found
    for one, other in pairwise(steps[:-1]):
        assert other.area in (one.area.rb_left, one.area.rb_right, one.area.rb_parent)
        told = {"left": one.area.rb_left, "right": one.area.rb_right, "up": one.area.rb_parent}
        word = next(word for word in told if f" {word}" in other.why.split(":")[0])
        assert told[word] is other.area


def test_a_search_in_vain_is_told() -> None:
    root = lesson11.free_tree(lesson11.with_holes())
    found, steps = search(root, Request(1 << 60))
    assert found is None
    assert steps[-1].why == "nothing fits: the request is refused"
    assert sys.gettrace() is None or "coverage" in repr(sys.gettrace())


def test_the_tree_is_told_with_its_largest_sizes() -> None:
    text = tree_text(lesson11.free_tree(lesson11.with_holes()))
    assert len(text.splitlines()) == 7
    assert text.splitlines()[0] == "root: +0x24000, 13 pages, subtree_max_size 16 EiB"
    assert "      right: +0xc000, 6 pages, subtree_max_size 6 pages" in text


def test_the_search_widget_follows_its_sliders() -> None:
    widget = TreeSearch(lesson11.free_tree(lesson11.with_holes()))
    assert widget.told() == "Step 0 of 6: at +0x24000, begins at the root."
    widget.step.value = 1000
    assert widget.told() == "Step 6 of 6: at +0xc000, fits: 4 pages at +0xc000."
    assert widget.picture.value.count("▶") == 1
    assert "return node" in widget.picture.value.split("▶")[1].split("\n")[0]
    widget.pages.value = 9
    assert widget.step.value == 0
    assert widget.found is not None
    assert name_of(widget.found) == "+0x24000"


@pytest.mark.parametrize(
    ("first", "pages", "fit", "left"),
    [
        (0, 8, FitType.FL_FIT_TYPE, []),
        (0, 3, FitType.LE_FIT_TYPE, [(3, 5)]),
        (5, 3, FitType.RE_FIT_TYPE, [(0, 5)]),
        (2, 3, FitType.NE_FIT_TYPE, [(0, 2), (5, 3)]),
        (6, 3, FitType.NOTHING_FIT, [(0, 8)]),
    ],
)
def test_fits(first: int, pages: int, fit: FitType, left: list[tuple[int, int]]) -> None:
    assert lesson11.clip(first, pages) == (fit, left)


def test_the_fit_widget_says_what_is_left() -> None:
    widget = lesson11.FourFits()
    widget.first.value, widget.pages.value = 2, 1
    assert widget.text() == (
        "1 page from page 2 on: NE_FIT_TYPE: left over pages 0 to 1 and pages 3 to 7."
    )
    assert widget.picture.value.count("taken") == 1


@given(size=st.integers(1, 1 << 18), order=st.integers(0, 4))
def test_a_footprint_is_pages_a_guard_and_the_alignment(size: int, order: int) -> None:
    align = PAGE_SIZE << order
    pages = -(-size // PAGE_SIZE)
    stride = -(-(pages + 1) * PAGE_SIZE // align) * align
    assert lesson11.footprint(size, align) == (size, pages, stride)


def test_a_range_runs_out_while_memory_is_free() -> None:
    full = lesson11.exhausted()
    assert (full.areas, full.largest) == (734, 17 * PAGE_SIZE)
    assert full.left > 4 << 20
    assert "vm_struct allocation failed" in "".join(full.log)

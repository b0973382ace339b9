"""Lesson 06: masks taken apart, the zone table, who may sleep where, how deep each mask goes."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from memsim.views import lesson06
from memsim.views.contexts import (
    CONTEXTS,
    DEADLOCK,
    LUCK,
    MASKS,
    MEANS,
    OUT_OF_REACH,
    PAGE,
    REFUSED,
    SLEEPS,
    WAITS,
    CanISleep,
    outcomes,
    outcomes_text,
    picture,
)
from memsim.views.gfp_masks import NAMED, OTHER, GfpMask, mask_text, read_mask, zone_picture
from memsim.words.arch import X86_32, X86_64
from memsim.words.gfp import GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT

BITS = lesson06.BITS


def test_a_machine_has_just_so_many_pages_free() -> None:
    for free in (0, 1, 375, 1000, 1600):
        machine = lesson06.at_level(free)
        assert lesson06.free_pages(machine, "DMA32") == free
        assert lesson06.free_pages(machine, "DMA") == 0
        machine.validate()


def test_asking_leaves_the_machine_as_it_was() -> None:
    machine = lesson06.at_level(1100)
    before = machine.nr_free("DMA32")
    assert lesson06.ask(machine, GFP_KERNEL).served
    assert not lesson06.ask(lesson06.at_level(900), GFP_KERNEL).served
    assert machine.nr_free("DMA32") == before


@pytest.mark.parametrize(
    "mask",
    [
        GFP_KERNEL,
        GFP_NOWAIT,
        GFP_ATOMIC,
        GFP_ATOMIC | BITS["NOMEMALLOC"],
        GFP_KERNEL | BITS["HIGH"],
        GFP_KERNEL | BITS["MEMALLOC"],
        GFP_KERNEL | BITS["MEMALLOC"] | BITS["NOMEMALLOC"],
        GFP_KERNEL | BITS["NOFAIL"],
        GFP_NOWAIT | BITS["NOFAIL"],
    ],
)
def test_what_is_said_of_reserves_is_what_the_model_gives(mask: int) -> None:
    said = mask_text(mask)
    share = Fraction(1)
    if found := re.search(r"down to (\d)/(\d) of min", said):
        share = Fraction(int(found[1]), int(found[2]))
    elif "to the last page" in said:
        share = Fraction(0)
    assert lesson06.last_served(mask) - 1 == share * lesson06.MIN


def test_half_of_the_zone_table_is_forbidden_on_both_machines() -> None:
    for arch in (X86_64, X86_32):
        zones = [row.zone for row in lesson06.zone_table(arch)]
        assert zones.count(lesson06.FORBIDDEN) == 8
        assert zone_picture(0, arch).count("this mask") == 1
    assert lesson06.zone_name(BITS["HIGHMEM"], X86_64) == "Normal"
    assert lesson06.zone_name(BITS["HIGHMEM"], X86_32) == "HighMem"


def test_who_names_two_zones_is_told_so() -> None:
    assert "exclude each other" in lesson06.refusal(GFP_KERNEL | BITS["DMA"] | BITS["DMA32"])
    assert lesson06.refusal(GFP_KERNEL) == ""


def test_each_control_of_a_mask_moves_the_others() -> None:
    view = GfpMask()
    assert (view.named.value, view.mask.value) == ("GFP_KERNEL", "0xcc0")
    view.bits["FS"].value = False
    assert view.named.value == "GFP_NOFS"
    view.bits["ZERO"].value = True
    assert view.named.value == OTHER
    view.named.value = "GFP_ATOMIC"
    assert [name for name, box in view.bits.items() if box.value] == ["HIGH", "KSWAPD_RECLAIM"]
    view.mask.value = "GFP_KERNEL | __GFP_ZERO"
    assert view.gfp_mask == GFP_KERNEL | BITS["ZERO"]
    view.arch.value = "x86-32"
    assert "Highest zone: Normal" in view.text()
    for mask in NAMED.values():
        view.mask.value = hex(mask)
        assert view.gfp_mask == mask


def test_a_bit_without_a_box_stays() -> None:
    view = GfpMask(GFP_KERNEL | 1 << 23)  # __GFP_ZEROTAGS
    view.bits["ZERO"].value = True
    assert view.gfp_mask == GFP_KERNEL | BITS["ZERO"] | 1 << 23


@pytest.mark.parametrize("text", ["", "coffee", "0xfffffffff", "-1", "0x", "<b>", "1e3", "GFP_"])
def test_what_is_no_mask_is_refused_and_the_last_one_stays(text: str) -> None:
    assert read_mask(text) is None
    view = GfpMask(GFP_ATOMIC)
    view.mask.value = text
    assert "is no mask" in view.said.value
    assert "<b>" not in view.said.value
    assert view.gfp_mask == GFP_ATOMIC


def test_places_and_masks_come_to_what_they_must() -> None:
    plenty, short, nearly_none = outcomes(1600), outcomes(600), outcomes(300)
    call, spinlock, interrupt, fs, block, device = (context.name for context in CONTEXTS)
    assert plenty[call, "GFP_KERNEL"] == plenty[fs, "GFP_NOFS"] == PAGE
    assert plenty[spinlock, "GFP_KERNEL"] == plenty[interrupt, "GFP_NOIO"] == SLEEPS
    assert plenty[fs, "GFP_KERNEL"] == plenty[block, "GFP_NOFS"] == LUCK
    assert plenty[device, "GFP_ATOMIC"] == OUT_OF_REACH
    assert plenty[device, "GFP_KERNEL | GFP_DMA32"] == PAGE
    assert short[call, "GFP_KERNEL"] == short[block, "GFP_NOIO"] == WAITS
    assert short[call, "GFP_KERNEL | __GFP_NOFAIL"] == WAITS
    assert short[fs, "GFP_KERNEL"] == short[block, "GFP_NOFS"] == DEADLOCK
    assert short[interrupt, "GFP_NOWAIT"] == REFUSED
    assert short[interrupt, "GFP_ATOMIC"] == PAGE
    assert nearly_none[interrupt, "GFP_ATOMIC"] == REFUSED
    assert set(MEANS) >= {*plenty.values(), *short.values()}


def test_the_sleep_table_follows_its_controls() -> None:
    view = CanISleep()
    assert view.outcome == PAGE
    view.free.value = 500
    assert view.outcome == WAITS
    assert "500 pages free, min 1000; a system call, GFP_KERNEL" in view.text()
    view.free.value = 10**9
    assert view.free.value == lesson06.MAX_FREE
    assert view.picture.value == picture(view.outcomes, view.context.value, view.mask.value)
    assert view.picture.value.count("outline: 3px") == 1
    assert len(outcomes_text(view.outcomes).splitlines()) == len(CONTEXTS)
    assert view.picture.value.count("<td") == len(CONTEXTS) * len(MASKS)


def test_recorded_masks_are_counted() -> None:
    masks = lesson06.recorded_masks("   7 GFP_KERNEL\n  3 GFP_ATOMIC|__GFP_NOWARN\n\n")
    assert masks == {"GFP_KERNEL": 7, "GFP_ATOMIC|__GFP_NOWARN": 3}
    assert lesson06.may_sleep(masks) == ["GFP_KERNEL"]

"""gfp_mask: values, texts, and a table that leaves no flag out."""

from __future__ import annotations

from memsim.words import gfp
from memsim.words.gfp import GFP_FLAG_EFFECTS, gfp_migratetype, show_gfp_flags

SINGLE = {
    name: value
    for name, value in vars(gfp).items()
    if name.startswith("__GFP_") and isinstance(value, int) and value.bit_count() == 1
}


def test_every_flag_has_its_effect_in_the_table() -> None:
    """Each single bit is listed once, and says what it does or NOT MODELLED."""
    assert sorted(name for name, _ in GFP_FLAG_EFFECTS) == sorted(SINGLE)
    assert all(effect for _, effect in GFP_FLAG_EFFECTS)


def test_bits_are_the_kernel_s() -> None:
    """include/linux/gfp_types.h: bit 9 is unused, 24 is the last with CONFIG_SLAB_OBJ_EXT."""
    assert sorted(SINGLE.values()) == [1 << bit for bit in range(25) if bit != 9]


def test_masks_that_a_recorded_kernel_printed() -> None:
    """The numbers that the probe gpf printed beside the words of mm_page_alloc."""
    assert gfp.parse_gfp_flags("GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO") == 0x140DCA
    assert show_gfp_flags(0x52820) == "GFP_ATOMIC|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP"


def test_combinations() -> None:
    """GFP_TRANSHUGE adds direct reclaim only; the mobility bits make migratetypes 0 to 2."""
    assert SINGLE["__GFP_DIRECT_RECLAIM"] == gfp.GFP_TRANSHUGE & ~gfp.GFP_TRANSHUGE_LIGHT
    masks = (gfp.GFP_KERNEL, gfp.GFP_HIGHUSER_MOVABLE, SINGLE["__GFP_RECLAIMABLE"])
    assert [gfp_migratetype(mask) for mask in masks] == [0, 1, 2]
    assert show_gfp_flags(0) == "none"

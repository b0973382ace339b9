"""Lesson 08's widget and counts: a cache's geometry, kmalloc's waste, which slabinfo is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import Machine
from memsim.proc.slabinfo import parse_slabinfo
from memsim.views import lesson08
from memsim.views.geometry import (
    ALIGNS,
    CPUS,
    KINDS,
    LEFT_OVER,
    MAX_SIZE,
    POINTER,
    CacheGeometry,
    geometry,
    geometry_of,
    parts_of,
    picture,
)

RECORDED = Path(__file__).parents[1] / "notebooks/data/slabinfo_mixed_smp.txt"


@given(
    size=st.integers(1, MAX_SIZE),
    align=st.sampled_from(ALIGNS),
    kind=st.sampled_from(list(KINDS)),
    cpus=st.sampled_from(CPUS),
)
def test_parts_and_slabs_have_no_gaps(size: int, align: int, kind: str, cpus: int) -> None:
    flags, ctor = KINDS[kind]
    g = geometry(size, align, flags, ctor=ctor, cpus=cpus)
    at = 0
    for part in parts_of(g):
        assert part.start == at < part.end
        at = part.end
    assert at == g.size
    assert [p.end - p.start for p in parts_of(g) if p.kind == POINTER] == [8]
    assert 0 <= g.left_over < g.size
    assert g.size % max(align, 8) == 0


@pytest.mark.parametrize("cpus", [1, 2])
def test_the_geometry_is_that_of_a_cache_that_is_made(cpus: int) -> None:
    machine = Machine("64 MiB", cpus=cpus, slab=True)
    for size in (9, 100, 700, 1032, 5000):
        s = machine.kmem_cache_create(f"of_{size}", size, ctor=True)
        assert geometry(size, ctor=True, cpus=cpus) == geometry_of(s)


def test_the_widget_says_and_draws_what_is_chosen() -> None:
    widget = CacheGeometry(1032)
    assert widget.text() == (
        "object_size 1032, align 8: an object takes 1032 bytes. While it is free, the pointer to "
        "the next free one is at byte 512, in the object. With 1 CPU a slab is a block of order "
        "2, 4 pages: 15 objects, 904 bytes left over. In no object: 904 of 16384 bytes, 5.5 %."
    )
    assert widget.text() in widget.picture.value
    assert f"{LEFT_OVER}: byte 15480 to 16383" in widget.picture.value
    assert widget.picture.value.count("M4096 0V10") == 1
    widget.kind.value = "a constructor"
    assert "at byte 1032, behind the object" in widget.text()
    widget.size.value = 0
    assert widget.size.value == 1


def test_nothing_left_over_is_not_drawn() -> None:
    assert f"{LEFT_OVER}: byte" not in picture(geometry(64))


def test_a_size_that_no_slab_holds() -> None:
    with pytest.raises(ValueError, match="no slab holds an object of 8388608 bytes"):
        geometry(8 << 20)


def test_no_smaller_class_would_do() -> None:
    sizes = range(1, 8193)
    served = lesson08.kmalloc_caches(sizes)
    classes = sorted({s.size for s in served})
    for size, s in zip(sizes, served, strict=True):
        assert s.size == min(c for c in classes if c >= size)


def test_waste_with_and_without_the_two_odd_classes() -> None:
    powers, really = lesson08.rounding_waste(256).values()
    differ = [size for size in range(257) if powers[size] != really[size]]
    assert differ == [*range(65, 97), *range(129, 193)]


def test_own_slabinfo_where_it_can_be_read(tmp_path: Path) -> None:
    own = tmp_path / "slabinfo"
    lines = RECORDED.read_text().splitlines(keepends=True)
    own.write_text("".join(lines[:3]))
    where, rows = lesson08.slabinfo_to_read(RECORDED, own)
    assert where == f"this machine's own {own}"
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory"),
        ("slabinfo - version: 1.1\n", "slabinfo: line 1"),
        ("".join(RECORDED.read_text().splitlines(keepends=True)[:2]), "slabinfo: line 2"),
    ],
)
def test_else_the_recorded_one(tmp_path: Path, text: str | None, why: str) -> None:
    own = tmp_path / "slabinfo"
    if text is not None:
        own.write_text(text)
    where, rows = lesson08.slabinfo_to_read(RECORDED, own)
    assert where.startswith("the recorded slabinfo_mixed_smp.txt; ")
    assert f"was not read: {why}" in where
    assert rows == parse_slabinfo(RECORDED.read_text())

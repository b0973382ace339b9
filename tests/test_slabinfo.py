"""/proc/slabinfo: read and written byte for byte, told of a live machine, refused when spoilt."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proc_texts import texts_of

from memsim import GFP_KERNEL, Machine
from memsim.mm.kmalloc_caches import kmalloc_slab, kmem_cache_init
from memsim.mm.slub import stats
from memsim.mm.slub.alloc import slab_alloc_node
from memsim.mm.slub.free import slab_free
from memsim.mm.slub.partial import partial_slabs
from memsim.proc.slabinfo import (
    COLUMNS,
    VERSION,
    SlabinfoCache,
    parse_slabinfo,
    slabinfo_of,
    write_slabinfo,
)
from memsim.words.errors import BadInput
from memsim.words.slab import NUMA_NO_NODE

ROW = "bio-128  21  22  192  21  1 : tunables  1  2  3 : slabdata  4  5  6"


def text_of(row: str) -> str:
    """A slabinfo of one row."""
    return f"{VERSION}\n{COLUMNS}\n{row}\n"


def refusal(text: str) -> str:
    """The one line that says why."""
    with pytest.raises(BadInput) as refused:
        parse_slabinfo(text)
    told = str(refused.value)
    assert told.isprintable()
    assert len(told) < 400
    return told


def test_what_was_recorded_is_written_again_byte_for_byte() -> None:
    texts = texts_of("slabinfo")
    assert len(texts) == 36
    for where, text in texts:
        assert write_slabinfo(parse_slabinfo(text)) == text, where


def test_each_number_lands_in_its_field() -> None:
    [row] = parse_slabinfo(text_of(ROW))
    assert row == SlabinfoCache("bio-128", 21, 22, 192, 21, 1, 1, 2, 3, 4, 5, 6)
    assert row.line == 3


@given(st.lists(st.integers(0, 1 << 40), min_size=11, max_size=11), st.from_regex(
    r"[a-zA-Z][a-zA-Z0-9_:() .-]{0,40}[a-z]", fullmatch=True))  # fmt: skip
def test_whatever_a_kernel_prints_is_read_back(numbers: list[int], name: str) -> None:
    """Names with blanks and colons, as some drivers give them, too."""
    active, more, size, objects, order, *tunables, slabs, more_slabs, shared = numbers
    row = SlabinfoCache(
        name, active, active + more, size % (1 << 22) + 1, objects % 512 + 1, 1 << order % 11,
        *(n % (1 << 32) for n in tunables), slabs, slabs + more_slabs, shared,
    )  # fmt: skip
    written = write_slabinfo([row, row])
    assert parse_slabinfo(written) == [row, row]
    assert write_slabinfo(parse_slabinfo(written)) == written


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (ROW.replace("192", "-1"), "objsize: '-1' is not a number"),
        (ROW.replace("192", "4294967296"), "objsize: 4294967296 is over 4294967295"),
        (ROW.replace("192", "9" * 10_000), "objsize: '9999"),
        (ROW.replace("192", "１"), "objsize: '１' is not a number"),
        (ROW.replace(" 192", ""), "cache: should be 5 numbers"),
        (ROW.replace("bio-128  21  22  192", "21"), "cache: should be 5 numbers"),
        (ROW.replace("1  2  3", "1  2"), "tunables: should be 3 numbers"),
        (ROW.replace("4  5  6", "4  5  6  7"), "slabdata: should be 3 numbers"),
        (ROW.replace("tunables", "tuneables"), "should be 'NAME'"),
        (ROW.replace("21  22", "23  22"), "active_objs: 23 of 22"),
        (ROW.replace("4  5  6", "6  5  6"), "active_slabs: 6 of 5"),
        (ROW.replace("  1 : t", "  3 : t"), "pagesperslab: 3 is not a power of two"),
        (ROW.replace("192  21", "192  0"), "objsize, objperslab: 0"),
        (ROW.replace("bio-128", "b\0o"), "should be 'NAME'"),
        (ROW.replace("bio-128", "b" * 10_000), "should be 'NAME'"),
        (ROW[:40], "should be 'NAME'"),
        ("", "no cache at all"),
    ],
)
def test_a_spoilt_row_is_refused_by_line_and_field(row: str, what: str) -> None:
    told = refusal(text_of(row))
    assert re.match(r"slabinfo: line [23]: ", told)
    assert what in told


def test_spoilt_heads_and_cut_texts_are_refused() -> None:
    good = text_of(ROW)
    assert "line 1: should be 'slabinfo - version: 2.1'" in refusal("")
    assert "(statistics)" in refusal(good.replace("2.1", "2.1 (statistics)"))
    assert "line 2: should be the names" in refusal(good.replace("<limit>", "<limits>"))
    assert "line 2: should be the names" in refusal(f"{VERSION}\n")
    assert "line 3: cut off" in refusal(good[:-10])


def test_texts_spoilt_by_chance_are_read_or_refused() -> None:
    text = texts_of("slabinfo")[0][1][:2000].rpartition("\n")[0] + "\n"
    refused = 0
    for seed in range(2000):
        chance = random.Random(seed)
        spoilt = list(text)
        for _ in range(chance.choice((1, 3, 30))):
            at = chance.randrange(len(spoilt))
            spoilt[at] = chance.choice(("", " ", ":", "\n", "0", "-", "\0", "é", spoilt[at] * 2))
        try:
            rows = parse_slabinfo("".join(spoilt))
        except BadInput:
            refusal("".join(spoilt))
            refused += 1
        else:
            assert parse_slabinfo(write_slabinfo(rows)) == rows
    assert 0 < refused < 2000


def test_a_live_machine_tells_what_was_asked_of_it() -> None:
    """What CPUs keep counts as active; what lies free in the node's partial slabs does not."""
    vm = Machine("64 MiB", steps=False).vm
    kmem_cache_init(vm, seed=1)
    s = kmalloc_slab(vm.slab, 4096, -1, GFP_KERNEL)
    got = [slab_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE) for _ in range(100)]

    def told() -> SlabinfoCache:
        rows = slabinfo_of(vm)
        assert parse_slabinfo(write_slabinfo(rows)) == rows
        assert [row.name for row in rows[-2:]] == ["kmem_cache_node", "kmem_cache"]
        return next(row for row in rows if row.name == "kmalloc-4k")

    assert told() == SlabinfoCache(
        "kmalloc-4k", 104, 104, 4096, 8, 8, active_slabs=13, num_slabs=13
    )
    for obj in got[::2]:
        assert obj is not None
        slab_free(s, *obj)
    n = s.node[0]
    assert n is not None
    before = told()
    free = sum(slab.objects - slab.inuse for slab in partial_slabs(s, n))
    assert (before.num_objs, before.active_objs) == (104, 104 - free)
    assert 0 < free < 50


def test_a_very_long_partial_list_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten slabs with 1 to 10 free objects, of which the outer four are looked at."""
    slabs = [SimpleNamespace(objects=20, inuse=20 - free) for free in range(1, 11)]
    monkeypatch.setattr(stats, "partial_slabs", lambda s, n: slabs)
    node = SimpleNamespace(nr_partial=10, total_objects=200)
    assert stats.count_partial_free_approx(None, node) == 55  # type: ignore[arg-type]
    monkeypatch.setattr(stats, "MAX_PARTIAL_TO_SCAN", 4)
    slabs[0].inuse = 0
    # 20 and 2 from the head, 9 and 10 from the tail: 41 * 10 / 4
    assert stats.count_partial_free_approx(None, node) == 102  # type: ignore[arg-type]
    node.total_objects = 100
    assert stats.count_partial_free_approx(None, node) == 100  # type: ignore[arg-type]

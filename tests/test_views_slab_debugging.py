"""Lesson 10's widgets and helpers: an object's bytes, one of them spoilt, free pointers decoded."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import Machine
from memsim.mm.slub.debug_report import padding_offset
from memsim.views import lesson10
from memsim.views.free_pointers import TARGET, DecodePointer, FreePointers, same_bytes
from memsim.views.object_bytes import (
    ALLOCATED,
    FREE,
    FREED,
    IN_USE,
    LEFT,
    OBJECT,
    PADDING,
    POINTER,
    REQUEST,
    RIGHT,
    SLACK,
    VALIDATE,
    WRITES,
    CorruptByte,
    Span,
    spans_of,
    spoil,
)

DATA = Path(__file__).parents[1] / "notebooks/data"
each_letters = st.sets(st.sampled_from("FZPU")).map(lambda chosen: "".join(sorted(chosen)))
names = st.sampled_from([lesson10.MINE, lesson10.KMALLOC])


@given(letters=each_letters, name=names, is_free=st.booleans())
@settings(deadline=None)
def test_spans_have_no_gaps(letters: str, name: str, is_free: bool) -> None:
    cache = lesson10.Debugged(letters, name).cache
    spans = spans_of(cache, is_free)
    assert all(one.end == other.start for one, other in pairwise(spans))
    assert spans[-1].end - spans[0].start == cache.size
    pointers = [span for span in spans if span.kind == POINTER]
    if is_free or cache.offset >= cache.inuse:
        assert pointers == [(POINTER, cache.offset, cache.offset + 8)]
    else:
        assert pointers == []
    if "U" in letters:
        assert spans[-1].kind in (PADDING, FREED, "bytes asked for")
        assert [s.end - s.start for s in spans if s.kind in (ALLOCATED, FREED)] == [32, 32]
    assert spans[-1].kind != PADDING or spans[-1].start == padding_offset(cache)


@pytest.mark.parametrize(
    ("is_free", "kind", "byte"),
    [(False, LEFT, 0xCC), (False, RIGHT, 0xCC), (True, LEFT, 0xBB), (True, RIGHT, 0xBB)],
)
@pytest.mark.parametrize("name", [lesson10.MINE, lesson10.KMALLOC])
def test_what_a_span_is_called_is_what_is_in_it(
    name: str, is_free: bool, kind: str, byte: int
) -> None:
    debugged = lesson10.Debugged("FZPU", name)
    address = debugged.take()
    if is_free:
        debugged.free(address)
    spans = spans_of(debugged.cache, is_free)
    read = debugged.machine.read_memory
    (span,) = (span for span in spans if span.kind == kind)
    assert set(read(address + span.start, span.end - span.start)) == {byte}
    (padding,) = (span for span in spans if span.kind == PADDING)
    assert set(read(address + padding.start, padding.end - padding.start)) == {0x5A}
    for span in spans:
        if span.kind == SLACK:
            assert set(read(address + span.start, span.end - span.start)) == {0xCC}


#: Of each kind of byte the title, for an object in use and for a free one; None: nobody notices.
TITLES: dict[str, tuple[str | None, str | None]] = {
    LEFT: ("[Left Redzone overwritten]", "[Left Redzone overwritten]"),
    OBJECT: (None, "[Poison overwritten]"),
    SLACK: ("[kmalloc Redzone overwritten]", None),
    RIGHT: ("[Right Redzone overwritten]", "[Right Redzone overwritten]"),
    POINTER: ("Freepointer corrupt", "Freepointer corrupt"),
    ALLOCATED: (None, None),
    FREED: (None, None),
    "bytes asked for": (None, None),
    PADDING: ("[Object padding overwritten]", "[Object padding overwritten]"),
}


@pytest.mark.parametrize("is_free", [False, True])
@pytest.mark.parametrize("name", [lesson10.MINE, lesson10.KMALLOC])
def test_each_byte_is_reported_as_what_it_is(name: str, is_free: bool) -> None:
    spans = spans_of(lesson10.Debugged("FZPU", name).cache, is_free)
    seen = set()
    for at in range(spans[0].start, spans[-1].end):
        spoilt = spoil("FZPU", name, is_free, at, WRITES["add 1 to it"], REQUEST)
        if spoilt.kind == POINTER and at == spans_start(spans, POINTER) + 1:
            continue  # by chance it may point to another object of the slab
        title = TITLES[spoilt.kind][is_free]
        if is_free and spoilt.kind == OBJECT and at == spans_end(spans, OBJECT) - 1:
            title = "[End Poison overwritten]"
        assert bool(spoilt.log) == (title is not None), at
        assert title is None or title in "\n".join(spoilt.log[:3])
        assert spoilt.data[at - spans[0].start] == spoilt.after == (spoilt.before + 1) % 256
        seen.add(spoilt.kind)
    assert len(seen) >= 7


def spans_start(spans: list[Span], kind: str) -> int:
    return min(span.start for span in spans if span.kind == kind)


def spans_end(spans: list[Span], kind: str) -> int:
    return max(span.end for span in spans if span.kind == kind)


def test_without_checks_only_root_notices() -> None:
    write = WRITES["0x41, an A"]
    assert spoil("ZP", lesson10.MINE, True, 3, write, REQUEST).log == []
    log = spoil("ZP", lesson10.MINE, True, 3, write, VALIDATE).log
    assert log[0].startswith("[Poison overwritten]")


def test_what_becomes_of_the_slab() -> None:
    write = WRITES["0x00"]
    given_up = spoil("FZPU", lesson10.MINE, True, 0, write, REQUEST)
    assert given_up.place == "on no partial list, disabled, used=34 of 34"
    lost = spoil("FZPU", lesson10.MINE, False, 24, write, REQUEST)
    assert lost.place == "on the partial list, used=1 of 34"
    assert lost.log[-1].endswith("not freed")


def test_the_widget_shows_and_says_what_is_chosen() -> None:
    widget = CorruptByte()
    assert (widget.byte.min, widget.byte.max, widget.state.value) == (-8, 111, FREE)
    assert widget.said().startswith(
        "slab_debug=FZPU,mine. Byte 0, object: 0x6b becomes 0x6c. Noticed, in 19 lines."
    )
    assert "[Poison overwritten]" in widget.picture.value
    assert widget.picture.value.count("<td title=") == 120
    assert widget.picture.value.count("outline: 3px") == 1
    widget.state.value = IN_USE
    assert "Nobody notices" in widget.said()
    assert "<pre" not in widget.picture.value
    widget.byte.value = 10_000
    assert widget.byte.value == 111
    widget.write.value = WRITES["0x41, an A"]
    widget.byte.value = -8
    assert "Byte -8, left red zone: 0xcc becomes 0x41" in widget.said()


def test_a_byte_that_is_what_it_was() -> None:
    widget = CorruptByte()
    widget.write.value = WRITES["0x00"]
    widget.byte.value = 103
    assert widget.said().endswith("Byte 103, who freed it: 0x00 already. Nothing is changed.")


@pytest.mark.parametrize("name", [lesson10.MINE, lesson10.KMALLOC])
def test_without_any_flag_there_is_nothing_to_look_at(name: str) -> None:
    widget = CorruptByte("")
    widget.object.value = name
    assert "No flag: the kernel keeps no bytes that it knows" in widget.text()
    assert "··" in widget.picture.value
    for box in widget.flags.values():
        box.value = True
    assert re.search(f"slab_debug=FZPU,{name}", widget.text())


# Free pointers


@given(number=st.integers(0, 127), swabbed=st.booleans())
def test_the_terms_of_a_pointer_agree(number: int, swabbed: bool) -> None:
    pointers = FreePointers()
    p = pointers.pointer(number, swabbed)
    assert p.kept ^ p.random ^ p.mixed == p.ptr == [*pointers.objects, 0][number + 1]


def test_what_is_kept_is_what_lies_in_memory() -> None:
    machine, cache, addresses = lesson10.chained()
    pointers = FreePointers()
    assert pointers.objects[:8] == addresses
    for number, address in enumerate(addresses):
        (kept,) = lesson10.words(machine, address + cache.offset, 1)
        assert int(kept, 16) == pointers.pointer(number).kept


def test_the_widget_decodes_what_is_chosen() -> None:
    widget = DecodePointer()
    assert widget.said().endswith("object 1 of the list.")
    widget.swab.value = False
    same = same_bytes(widget.pointer.kept, widget.pointer.random)
    assert same >= 6  # both addresses are in one page, near each other
    assert widget.said().endswith(f"The first {same} bytes in memory are those of random.")
    assert widget.picture.value.count("outline") == 2 * same
    widget.overwritten.value = True
    assert "no object of the slab. Who follows it dies: Oops: general" in widget.said()
    assert widget.pointer.kept == TARGET
    widget.overwritten.value = False
    widget.object.value = 1000
    assert widget.object.value == 127
    assert "NULL: the list ends here" in widget.said()


def test_bytes_in_common() -> None:
    assert same_bytes(5, 5) == 8
    assert same_bytes(0x0100000000000000, 0) == 0
    assert same_bytes(0x0100000000000001, 0x0100000000000000) == 7


# Helpers


def test_recorded_pointers_are_those_of_one_random_number() -> None:
    rows = lesson10.recorded_pointers(DATA / "free_pointers.txt")
    after = [row for row in rows if row[0] == "after"]
    before = [row for row in rows if row[0] == "before"]
    assert len({lesson10.random_of(kept, ptr, at) for _, ptr, at, kept in after}) == 1
    assert len({lesson10.encode_before_5_7(kept, ptr, at) for _, ptr, at, kept in before}) == 1


def test_every_slab_s_order_is_the_cache_s_sequence_turned() -> None:
    for sequence, slabs in (
        lesson10.orders(5),
        lesson10.recorded_freelists(DATA / "freelists_mixed_smp.json"),
    ):
        assert sorted(sequence) == list(range(12))
        assert len({order[0] for order in slabs}) > 1
        assert all(lesson10.turned(sequence, order[0]) == order for order in slabs)


def test_a_spray_hits_only_what_it_shares_a_cache_with() -> None:
    assert lesson10.sprayed(50, own_buckets=False) == 1
    assert lesson10.sprayed(50, own_buckets=True) == 0


def test_callers_seldom_share_a_random_copy() -> None:
    assert lesson10.boots_that_share(20, 0xFFFFFFFF81234560, 0xFFFFFFFF81234560) == 20
    shared = lesson10.boots_that_share(100, 0xFFFFFFFF81234560, 0xFFFFFFFF81ABCDE0)
    assert 0 < shared < 20  # of 16 sets


def test_the_wrong_cache_is_told_and_the_right_one_gets_the_object() -> None:
    debugged = lesson10.Debugged("FZPU")
    address = debugged.take()
    debugged.free(address, debugged.machine.kmem_cache_create("other", 24))
    assert debugged.log()[:2] == [
        "cache_from_obj: Wrong slab cache. other but object is from mine",
        f"Allocated in {lesson10.OPENED} age=0 cpu=0 pid=0",
    ]
    assert debugged.slab(address).inuse == 0


def test_a_call_is_tried() -> None:
    machine = Machine("16 MiB", slab=True)
    assert re.fullmatch("0x[0-9a-f]{16}", lesson10.tried(machine.kmalloc, 8))
    assert "no such set" in lesson10.tried(lambda: machine.kmalloc(8, buckets=7))
    machine, cache, _ = lesson10.chained()
    _, twice = (machine.kmem_cache_alloc(cache) for _ in range(2))
    assert lesson10.tried(machine.kmem_cache_free, cache, twice) == "done"
    said = lesson10.tried(machine.kmem_cache_free, cache, twice)
    assert said == "kernel BUG at mm/slub.c:547!"


def test_a_number_in_a_log() -> None:
    assert lesson10.number("RAX: 6b RBX: ffffa0b1", "RBX:") == 0xFFFFA0B1
    assert lesson10.number("First byte 0x6c instead", "First byte") == 0x6C
    with pytest.raises(ValueError, match="no number behind 'RCX:'"):
        lesson10.number("RAX: 6b", "RCX:")

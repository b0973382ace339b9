"""Bad input by chance, over all that a Machine offers for slabs: one line of refusal, no change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from slab_states import state_of

from memsim import BadFree, BadRequest, KernelBug, Machine, MemsimError
from memsim.words.slab import SLAB_CONSISTENCY_CHECKS, SLAB_NO_MERGE, SLAB_POISON, SLAB_STORE_USER

#: What nobody should pass where a number is wanted, and numbers at the borders.
numbers = st.one_of(
    st.sampled_from([-1, 0, 1, 2, 7, 8, 16, 64, 4095, 4096, 8192, 8193, 4 << 20, 4 << 20 | 1]),
    st.integers(-(1 << 70), 1 << 70),
    st.integers(0, 1 << 20).map(lambda number: 1 << number % 70),
    st.floats(),
    st.sampled_from([None, True, "8", b"8", [], {}, 8.0, 1j, 10**400]),
    st.builds(lambda: Odd()),
)
texts = st.one_of(
    st.text(max_size=300),
    st.sampled_from([None, 3, b"x", "", " ", "kmalloc-64", "a b", "\n", "\0", "x" * 1000, "min"]),
    st.sampled_from(["min_partial", "cpu_partial", "remote_node_defrag_ratio", "shrink", "1"]),
)
masks = st.one_of(numbers, st.integers(0, (1 << 27) - 1), st.just(0xCC0))


class Odd:
    """What can stand as an index, and is no number."""

    def __index__(self) -> int:
        return 8


class Target:
    """A machine with a cache of each kind, and pointers of every kind to its memory.

    first: its state before anything was asked of it.
    """

    def __init__(self) -> None:
        self.machine = m = Machine(["16 MiB", "16 MiB"], cpus=2, slab=True, steps=True)
        self.first = (m.snapshot(), state_of(m))
        kinds = (0, SLAB_NO_MERGE, SLAB_POISON | SLAB_CONSISTENCY_CHECKS, SLAB_STORE_USER)
        self.caches: list[Any] = [
            m.kmem_cache_create(f"c{i}", 40 * i + 50, flags=f) for i, f in enumerate(kinds)
        ]
        gone = m.kmem_cache_create("gone", 999, flags=SLAB_NO_MERGE)
        m.kmem_cache_destroy(gone)
        live = [m.kmem_cache_alloc(s) for s in self.caches for _ in range(3)]
        large = m.kmalloc(20_000)
        page = 0xFFFF888000000000 + (m.alloc_pages(0xCC0) << 12)
        freed = [m.kmalloc(64) for _ in range(3)]
        for address in freed:
            m.kfree(address)
        inside = [address + 4 for address in live[::3]] + [large + 5, page + 9]
        self.pointers = [0, 16, -22, (1 << 64) - 22, *live, large, page, *freed, *inside]
        other = Machine("16 MiB", slab=True, steps=False)
        self.caches += [gone, None, "c0", 3, other.cache("kmalloc-64"), m.cache("kmem_cache")]

    def state(self) -> Any:
        """All that must be the same after a refusal."""
        return self.machine.snapshot(), state_of(self.machine), len(self.machine.history)


def calls(draw: st.DrawFn, t: Target) -> Callable[[], object]:
    """One call of the public face, with arguments that may be anything."""
    m = t.machine
    cache = draw(st.sampled_from(t.caches))
    pointer = draw(st.one_of(st.sampled_from(t.pointers), numbers))
    one, two, three = draw(numbers), draw(numbers), draw(numbers)
    gfp, text, more = draw(masks), draw(texts), draw(texts)
    cpu = draw(st.one_of(st.just(0), st.just(1), numbers))
    nid = draw(st.one_of(st.just(-1), st.just(1), numbers))
    new = {"align": one, "flags": two, "useroffset": three, "usersize": cpu, "ctor": text}
    some = draw(st.lists(st.sampled_from([*t.pointers, None, "x"]), max_size=4))
    batch = draw(st.sampled_from([some, one, text]))
    return draw(
        st.sampled_from(
            [
                lambda: m.kmem_cache_create(text, one),
                lambda: m.kmem_cache_create("new", two, flags=one),
                lambda: m.kmem_cache_create("new", 100, **new),
                lambda: m.kmem_cache_create("new", 100, freeptr_offset=one, cpu=cpu),
                lambda: m.kmem_cache_destroy(cache, cpu=cpu),
                lambda: m.kmem_cache_shrink(cache, cpu=cpu),
                lambda: m.store(cache, text, more),
                lambda: m.store(cache, "cpu_partial", str(one)),
                lambda: m.kmem_cache_alloc(cache, gfp, cpu=cpu, nid=nid),
                lambda: m.kmem_cache_alloc_bulk(cache, one, gfp, cpu=cpu),
                lambda: m.kmem_cache_alloc_bulk(cache, 5, gfp),
                lambda: m.kmem_cache_free(cache, pointer, cpu=cpu),
                lambda: m.kmem_cache_free_bulk(batch, cpu=cpu),
                lambda: m.kmalloc(one, gfp, cpu=cpu, nid=nid),
                lambda: m.kmalloc(100, gfp, buckets=two),
                lambda: m.kmalloc_array(one, two, gfp, cpu=cpu),
                lambda: m.kcalloc(one, 8, gfp, nid=nid),
                lambda: m.kvmalloc(one, gfp, cpu=cpu, nid=nid, buckets=two),
                lambda: m.kfree(pointer, cpu=cpu),
                lambda: m.kfree_sensitive(pointer, cpu=cpu),
                lambda: m.krealloc(pointer, one, gfp, cpu=cpu),
                lambda: m.ksize(pointer),
                lambda: m.kmalloc_size_roundup(one),
                lambda: m.kmem_buckets_create(text, flags=one, useroffset=two, usersize=three),
                lambda: m.called_from(text, pid=one, jiffies=two),
                lambda: m.cache(text),
                lambda: m.slab_at(pointer),
                lambda: m.read_memory(pointer, one),
                lambda: m.write_memory(pointer, draw(st.sampled_from([b"", b"12", "x", one]))),
                lambda: m.validate_slab_cache(cache),
                lambda: m.free_pages(pointer if one is None else one),
                lambda: m.undo(),
                lambda: m.redo(),
            ]
        )
    )


# A failing life is told as it is: making it shorter takes minutes.
@settings(max_examples=50, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.data())
def test_whatever_is_passed_is_done_or_refused_by_one_line_and_taken_back(
    data: st.DataObject,
) -> None:
    t = Target()
    for _ in range(data.draw(st.integers(1, 25))):
        call = calls(data.draw, t)
        before = t.state()
        refusal = refused_with(call)
        if isinstance(refusal, BadRequest | BadFree | KernelBug):
            assert t.state() == before
        assert refusal is None or one_line(refusal)
        t.machine.validate()
    while t.machine.history:
        t.machine.undo()
    assert (t.machine.snapshot(), state_of(t.machine)) == t.first


def refused_with(call: Callable[[], object]) -> MemsimError | None:
    """Why it was refused, or None. What is no MemsimError goes on."""
    try:
        call()
    except MemsimError as refusal:
        return refusal
    return None


def one_line(error: MemsimError) -> bool:
    """Is its text a line that says something?"""
    text = str(error)
    return bool(text) and text.isprintable() and len(text) < 400


@pytest.mark.parametrize(
    "option",
    [
        {"slab": 1}, {"slab": None}, {"slab": "yes"}, {"slab_debug": 5}, {"slab_debug": "F\n"},
        {"slab_debug": "é"}, {"slab_debug": "x" * 5000}, {"slab_debug": b"F"}, {"seed": "x"},
        {"seed": None}, {"seed": 1.5}, {"seed": 1 << 70}, {"slab_nomerge": 1}, {"arch": "x86-32"},
        {"random_kmalloc_caches": None}, {"slab": False, "slab_debug": "F"},
        {"slab": False, "slab_nomerge": True},
    ],
    ids=str,
)  # fmt: skip
def test_boot_options_that_are_none(option: dict[str, Any]) -> None:
    with pytest.raises(MemsimError) as refused:
        Machine("64 MiB", **{"slab": True} | option)
    assert one_line(refused.value)
    assert str(refused.value).startswith(("slab", "seed=", "random_kmalloc_caches="))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="fzputao-,;* kmalloc64denytry", max_size=40))
def test_any_slab_debug_boots(text: str) -> None:
    """Whatever stands behind slab_debug=, the machine boots, and its caches work."""
    machine = Machine("16 MiB", slab=True, slab_debug=text, steps=False)
    for size in (8, 64, 100):
        machine.kfree(machine.kmalloc(size))
    machine.validate_caches()
    machine.validate()

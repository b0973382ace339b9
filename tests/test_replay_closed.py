"""The closed loop: recorded slabs replaced by simulated ones, down to the page allocator."""

from __future__ import annotations

from pathlib import Path

import pytest

from memsim import Machine
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.replay.outcome import replay_capture
from memsim.replay.pages.live import Pages
from memsim.replay.rows.inputs import ARGUMENTS, Kind, Rows
from memsim.replay.slab.closed import ClosedSlabRun
from memsim.words.slab import SLAB_TYPESAFE_BY_RCU

RECORDINGS = Path(__file__).parent / "data" / "slab"
#: What a recorded free can turn out to be: how its block came to a list.
FREES = (Kind.mm_page_free, Kind.free_then_batched, Kind.free_then_direct)


@pytest.mark.parametrize("name", ["thp_on", "tree_walk"])
def test_pages_and_objects_are_as_exact_as_in_the_open_loop(name: str) -> None:
    opened, closed = (replay_capture(RECORDINGS / name, closed=loop) for loop in (False, True))
    assert opened.slab is not None
    assert closed.slab is not None
    assert closed.pages_exact
    assert closed.slab.causes == opened.slab.causes
    assert closed.slab.notes == opened.slab.notes
    assert (closed.slab.exact, closed.caches) == (opened.slab.exact, opened.caches)
    assert all(stream.equal == stream.total for stream in closed.streams.values())


class Loop:
    """A closed loop of a Machine's slabs, with rows that free a slab's pages."""

    def __init__(self, *, flags: int = 0) -> None:
        self.machine = Machine("16 MiB", slab=True)
        self.cache: KmemCache = self.machine.kmem_cache_create("things", 1000, flags=flags)
        self.machine.kmem_cache_alloc(self.cache)
        slab = self.cache.cpu_slab[0].slab
        assert slab is not None
        self.slab: Slab = slab
        self.rows = Rows()
        self.fed_in: list[int] = []

    def row(self, kind: Kind, *arguments: int, context: int = 0) -> int:
        """One more row: its number."""
        self.rows.kind.append(kind)
        for column in (self.rows.cpu, self.rows.line):
            column.append(0)
        self.rows.context.append(context)
        self.rows.task.append(context)
        self.rows.arguments.extend((*arguments, *(0,) * (ARGUMENTS - len(arguments))))
        return len(self.rows) - 1

    def open(self) -> ClosedSlabRun:
        """The rows so far are all."""
        vm = self.machine.vm
        run = ClosedSlabRun(vm, self.rows, {}, Pages(vm), 1 << 47)
        run.open(
            lambda row, *_: None, dict.fromkeys(FREES, lambda row, *_: self.fed_in.append(row))
        )
        return run

    def nr_free(self) -> int:
        """Pages on the pcp lists and the free lists."""
        zones = self.machine.vm.zones
        return sum(zone.vm_stat[0] + zone.per_cpu_pageset[0].count for zone in zones)


@pytest.mark.parametrize("kind", FREES)
def test_discarded_pages_are_freed_when_and_how_the_recording_tells(kind: Kind) -> None:
    """`fragmentation`: pcp->lock was taken, and a slab's page went straight to the buddy."""
    loop = Loop()
    row = loop.row(kind, loop.slab.pfn, loop.slab.order)
    run = loop.open()
    free = loop.nr_free()
    run.give_back(loop.slab)
    assert (loop.fed_in, loop.nr_free()) == ([], free)
    run.instead[row](row, *loop.rows[row])
    assert loop.fed_in == [row]
    assert not run.result.notes


def test_pages_of_a_slab_that_memsim_keeps_are_not_freed() -> None:
    loop = Loop()
    row = loop.row(Kind.mm_page_free, loop.slab.pfn, loop.slab.order)
    run = loop.open()
    run.instead[row](row, *loop.rows[row])
    assert loop.fed_in == []
    assert run.result.notes == {"page frees of slabs that memsim keeps": 1}


@pytest.mark.parametrize("flags", [0, SLAB_TYPESAFE_BY_RCU])
def test_what_only_memsim_discards_is_freed_before_its_context_goes_on(flags: int) -> None:
    """But for a grace period, whose end only the recording tells."""
    loop = Loop(flags=flags)
    other = loop.row(Kind.kfree, context=1)
    mine = loop.row(Kind.kfree)
    run = loop.open()
    free, kfree = loop.nr_free(), run.handlers()[Kind.kfree]
    kfree(mine, 0)
    run.give_back(loop.slab)
    kfree(other, 0)
    assert loop.nr_free() == free
    kfree(mine, 0)
    assert loop.nr_free() == free + (0 if flags else 1 << loop.slab.order)
    assert run.result.notes["slabs that memsim gives back alone"] == (0 if flags else 1)


def test_a_probe_within_a_free_does_not_end_it() -> None:
    """`pagecache_stream`: a free that discards, then put_cpu_partial()'s probe, then the pages."""
    loop = Loop()
    freed = loop.row(Kind.kmem_cache_free)
    probe = loop.row(Kind.putcpup, 0, 0, 1)
    pages = loop.row(Kind.mm_page_free, loop.slab.pfn, loop.slab.order)
    run = loop.open()
    run._in_context(lambda *_: run.give_back(loop.slab), freed)
    run._in_context(lambda *_: None, probe)
    run.instead[pages](pages, *loop.rows[pages])
    assert loop.fed_in == [pages]
    assert not run.result.notes

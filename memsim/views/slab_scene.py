"""The slab pane: where each slab of a cache is, and in which order its free objects are handed out.

A SlabScene starts from what a recording says of its caches; steps take it along, both ways.
slab.js draws it, and makes the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from memsim.trace.steps import (
    CpuFreelist,
    CpuPartial,
    Freepointer,
    FullAdd,
    FullDel,
    NewSlab,
    SlabAdd,
    SlabChain,
    SlabDel,
    SlabFreelist,
    SlabGone,
    Step,
)
from memsim.views.cells import Cells, Key
from memsim.words.mmzone import NULL

NOTHING = "no step of a slab"
NO_LIST = "on no list"
#: Places in their order: slabs of CPUs, their partial lists, the nodes', full lists, no list.
_GROUP = 1000

Place = tuple[str, int]


@dataclass
class ShownSlab:
    """A slab as the pane knows it; objects by index, slabs by pfn."""

    pfn: int
    next_object: list[int]
    order: int = 0
    inuse: int = 0
    frozen: bool = False
    freelist: int = NULL
    next: int = NULL


class ShownCache:
    """A cache: its slabs by pfn, [slab, freelist, partial] of each CPU, and the nodes' lists."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.name = str(data["name"])
        self.objects = dict([data["min"], data["oo"]])
        self.cpus = [list(cpu) for cpu in data["cpus"]]
        self.partial = [list(pfns) for pfns in data["partial"]]
        self.full = [list(pfns) for pfns in data["full"]]
        self.slabs = {slab["pfn"]: ShownSlab(**slab) for slab in _copied(data["slabs"])}

    def places(self) -> dict[int, Place]:
        """Of each slab: where it is, and a number that sorts places."""
        found: dict[int, Place] = {}
        for cpu, (slab, _, first) in enumerate(self.cpus):
            found[slab] = f"CPU {cpu} allocates from it", cpu
            chain = self._chain(first)
            found |= _ranked(f"partial list of CPU {cpu}", chain, _GROUP + cpu)
        for nid, pfns in enumerate(self.partial):
            found |= _ranked(f"partial list of node {nid}", pfns, 2 * _GROUP + nid)
        for nid, pfns in enumerate(self.full):
            found |= _ranked(f"full list of node {nid}", pfns, 3 * _GROUP + nid)
        return found

    def _chain(self, pfn: int) -> list[int]:
        pfns: list[int] = []
        while pfn in self.slabs and pfn not in pfns:
            pfns.append(pfn)
            pfn = self.slabs[pfn].next
        return pfns

    def lockless(self, pfn: int) -> int:
        """The first object of the lockless list of the CPU that has this slab; NULL for none."""
        return next((first for slab, first, _ in self.cpus if slab == pfn), NULL)


def _copied(slabs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**slab, "next_object": list(slab["next_object"])} for slab in slabs]


def _ranked(place: str, pfns: Sequence[int], group: int) -> dict[int, Place]:
    return {pfn: (place, group * _GROUP + rank) for rank, pfn in enumerate(pfns)}


def objects_from(slab: ShownSlab, first: int) -> list[int]:
    """Free objects, the next to be handed out first; it ends where a pointer leads astray."""
    found: list[int] = []
    while 0 <= first < len(slab.next_object) and first not in found:
        found.append(first)
        first = slab.next_object[first]
    return found


class SlabScene:
    """The caches that a recording's steps name, at one moment."""

    TITLE: ClassVar[str] = "Slabs, by the place they are in"

    def __init__(self, caches: Sequence[Mapping[str, Any]]) -> None:
        self.caches = {data["id"]: ShownCache(data) for data in caches}

    def apply(self, step: Step, *, backwards: bool = False) -> None:
        """One step, forwards or backwards; those of other things change nothing."""
        match step:
            case CpuFreelist() if step.cache in self.caches:
                slab = step.old_slab if backwards else step.new_slab
                first = step.old_freelist if backwards else step.new_freelist
                self.caches[step.cache].cpus[step.cpu][:2] = [slab, first]
            case CpuPartial() if step.cache in self.caches:
                first = step.old if backwards else step.new
                self.caches[step.cache].cpus[step.cpu][2] = first
            case SlabAdd() | SlabDel() | FullAdd() | FullDel() if step.cache in self.caches:
                self._move(step, isinstance(step, SlabAdd | FullAdd) != backwards)
            case NewSlab() | SlabGone() if step.cache in self.caches:
                self._make(step, isinstance(step, NewSlab) != backwards)
            case Freepointer() | SlabFreelist() | SlabChain():
                slab_at = self._slab(step.pfn)
                if slab_at is not None:
                    _change(slab_at, step, backwards)

    def _slab(self, pfn: int) -> ShownSlab | None:
        found = (cache.slabs[pfn] for cache in self.caches.values() if pfn in cache.slabs)
        return next(found, None)

    def _move(self, step: SlabAdd | SlabDel | FullAdd | FullDel, joins: bool) -> None:
        cache = self.caches[step.cache]
        lists = cache.full if isinstance(step, FullAdd | FullDel) else cache.partial
        pfns = lists[step.nid]
        if joins:
            pfns.insert(pfns.index(step.after) + 1 if step.after != NULL else 0, step.pfn)
        else:
            pfns.remove(step.pfn)

    def _make(self, step: NewSlab | SlabGone, make: bool) -> None:
        cache = self.caches[step.cache]
        if make:
            empty = [NULL] * cache.objects.get(step.order, 0)
            cache.slabs[step.pfn] = ShownSlab(step.pfn, empty, step.order)
        else:
            del cache.slabs[step.pfn]

    def cells(self) -> dict[Key, Any]:
        """[place, rank, objects, inuse, frozen, lockless list, freelist] of each slab."""
        found: dict[Key, Any] = {}
        for number, cache in self.caches.items():
            places = cache.places()
            for pfn, slab in cache.slabs.items():
                place = places.get(pfn, (NO_LIST, 4 * _GROUP * _GROUP))
                lockless = objects_from(slab, cache.lockless(pfn))
                free = objects_from(slab, slab.freelist)
                numbers = [len(slab.next_object), slab.inuse, int(slab.frozen)]
                found["slab", number, pfn] = [*place, *numbers, lockless, free]
        return found

    def lines(self) -> list[str]:
        """Each cache, and a line for each of its slabs."""
        cells, lines = self.cells(), []
        for number, cache in self.caches.items():
            own = [(pfn, value) for (_, n, pfn), value in cells.items() if n == number]
            lines.append(f"cache {cache.name}: {len(own)} slab{'' if len(own) == 1 else 's'}")
            ordered = sorted(own, key=lambda item: (item[1][1], item[0]))
            lines += [f"  {slab_words(pfn, value)}" for pfn, value in ordered]
        return lines or [NOTHING]

    def layout(self, cells: Cells) -> dict[str, Any]:
        """[number, name] of each cache; [cell, cache, pfn] of each slab there ever was."""
        return {
            "caches": [[number, cache.name] for number, cache in self.caches.items()],
            "cells": [[n, cache, pfn] for (_, cache, pfn), n in cells.of("slab").items()],
        }


def _change(slab: ShownSlab, step: Freepointer | SlabFreelist | SlabChain, backwards: bool) -> None:
    match step:
        case Freepointer():
            slab.next_object[step.obj] = step.old if backwards else step.new
        case SlabChain():
            slab.next = step.old_next if backwards else step.new_next
        case SlabFreelist():
            counters = step.old_counters if backwards else step.new_counters
            slab.freelist = step.old_freelist if backwards else step.new_freelist
            slab.inuse, slab.frozen = counters >> 1, bool(counters & 1)


def slab_words(pfn: int, value: Sequence[Any]) -> str:
    """A slab in words; lists as objects' indexes, the next to be handed out first."""
    place, _, objects, _, frozen, lockless, free = value
    in_use = objects - len(lockless) - len(free)
    words = f"pfn {pfn}: {place}{', frozen' if frozen else ''}; {in_use} of {objects} in use"
    for name, listed in (("lockless list", lockless), ("freelist", free)):
        words += f"; {name} {' '.join(map(str, listed))}" if listed else ""
    return words

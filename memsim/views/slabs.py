"""Where each slab of a cache is, after each operation: a log in words, and a widget over it."""

from __future__ import annotations

import html
import re
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.machine import Machine
from memsim.mm.slub.alloc import chain_of
from memsim.mm.slub.slab import KmemCache, Slab, obj_to_index
from memsim.mm.slub.validate import slabs_of
from memsim.trace.steps import Freepointer, NewSlab, SlabStep, Step
from memsim.views.controls import FULL, Controls, status
from memsim.views.lesson09 import alloc_path, free_path
from memsim.views.narrate_slab import narrate_slab
from memsim.words.slab import PAGE_OFFSET

IN_USE, LOCKLESS, ON_FREELIST = "in use", "on the lockless list", "on the slab's freelist"
_STYLES = {
    IN_USE: "background: #56b4e9;",
    LOCKLESS: "background: repeating-linear-gradient(45deg, #f6c860 0 4px, #8a5a00 4px 6px);",
    ON_FREELIST: "background: radial-gradient(#444 1px, #e4e4e4 1.5px) 0 0 / 6px 6px;",
}
NO_LIST = "on no list"


class SlabAt(NamedTuple):
    """A slab: its number, counted from 1; where it is; what each of its objects is."""

    number: int
    place: str
    frozen: bool
    objects: list[str]

    def __str__(self) -> str:
        counts = [(state, self.objects.count(state)) for state in _STYLES]
        told = ", ".join(f"{count} {state}" for state, count in counts if count)
        return f"slab {self.number}: {self.place}{', frozen' if self.frozen else ''}; {told}"


class Entry(NamedTuple):
    """An operation: in words, by which path, its steps as sentences, and the slabs after it."""

    operation: str
    path: str
    sentences: list[str]
    slabs: list[SlabAt]

    def told(self) -> str:
        """What was done, and by which path."""
        return f"{self.operation}: {self.path}." if self.path else f"{self.operation}."


def places_of(s: KmemCache) -> list[str]:
    """Everywhere that a slab can be."""
    cpus = [c.cpu for c in s.cpu_slab]
    return [
        *(f"CPU {cpu} allocates from it" for cpu in cpus),
        *(f"partial list of CPU {cpu}" for cpu in cpus),
        *(f"partial list of node {nid}" for nid in range(len(s.node))),
        NO_LIST,
    ]


def place_of(s: KmemCache, slab: Slab) -> str:
    """Who has the slab."""
    for c in s.cpu_slab:
        if c.slab is slab:
            return f"CPU {c.cpu} allocates from it"
        following = c.partial
        while following is not None:
            if following is slab:
                return f"partial list of CPU {c.cpu}"
            following = following.next
    return f"partial list of node {slab.nid}" if slab.on_node_partial else NO_LIST


def objects_of(s: KmemCache, slab: Slab) -> list[str]:
    """What each object of the slab is: in use, or on which list."""
    objects = [IN_USE] * slab.objects
    for obj in chain_of(slab, slab.freelist):
        objects[obj] = ON_FREELIST
    for c in s.cpu_slab:
        for obj in chain_of(slab, c.freelist) if c.slab is slab else ():
            objects[obj] = LOCKLESS
    return objects


class SlabLog:
    """A cache of which every operation is written down. Objects are told by slab and index: 1.3."""

    def __init__(self, machine: Machine, cache: KmemCache) -> None:
        self.machine = machine
        self.cache = cache
        self._numbers: dict[int, int] = {}
        self.entries = [Entry("A new cache", "", [], [])]

    def alloc(self, cpu: int) -> int:
        """An object, on this CPU: its address."""
        first = self._position()
        address = self.machine.kmem_cache_alloc(self.cache, cpu=cpu)
        steps = self.machine.steps(first)
        slabs = self._slabs()
        self._write(f"CPU {cpu} gets {self.name_of(address)}", alloc_path(steps), steps, slabs)
        return address

    def free(self, address: int, cpu: int) -> None:
        """An object back, on this CPU."""
        name, first = self.name_of(address), self._position()
        self.machine.kmem_cache_free(self.cache, address, cpu=cpu)
        steps = self.machine.steps(first)
        self._write(f"CPU {cpu} frees {name}", free_path(steps), steps, self._slabs())

    def name_of(self, address: int) -> str:
        """An object as the log names it."""
        slab = self.machine.slab_at(address)
        assert slab is not None
        obj = obj_to_index(self.cache, slab, address, PAGE_OFFSET)
        return f"{self._numbers[slab.pfn]}.{obj}"

    def _position(self) -> int:
        history = self.machine.history
        return history[-1].last_step if history else 0

    def _slabs(self) -> list[SlabAt]:
        for slab in slabs_of(self.cache):
            self._numbers.setdefault(slab.pfn, len(self._numbers) + 1)
        return sorted(
            SlabAt(
                self._numbers[slab.pfn],
                place_of(self.cache, slab),
                slab.frozen,
                objects_of(self.cache, slab),
            )
            for slab in slabs_of(self.cache)
        )

    def _write(self, operation: str, path: str, steps: list[Step], slabs: list[SlabAt]) -> None:
        told = [self._by_number(sentence) for sentence in sentences_of(steps)]
        self.entries.append(Entry(operation, path, told, slabs))

    def _by_number(self, sentence: str) -> str:
        """A sentence in which slabs have the log's numbers."""
        return re.sub(
            r"the slab at pfn (\d+)",
            lambda found: f"slab {self._numbers[int(found[1])]} (pfn {found[1]})",
            sentence,
        )

    def text(self, number: int = -1) -> str:
        """An operation and the slabs after it; the last one by default."""
        entry = self.entries[number]
        return "\n".join([entry.told(), *(f"  {slab}" for slab in entry.slabs)])

    def paths(self) -> str:
        """Every operation, a line each."""
        return "\n".join(f"{e.operation}: {e.path}" for e in self.entries[1:])


def of_two_cpus() -> SlabLog:
    """A log of a new cache of large objects: two CPUs, four objects in a slab."""
    machine = Machine("64 MiB", cpus=2, slab=True)
    return SlabLog(machine, machine.kmem_cache_create("large", 8192))


def all_five_places() -> SlabLog:
    """A log in which requests find their object in each of the five places."""
    log = of_two_cpus()
    objects = [log.alloc(0) for _ in range(17)]
    log.free(objects[16], 1)
    for _ in range(4):
        log.alloc(0)
    for slab in range(4):
        log.free(objects[4 * slab], 1)
    for cpu in (0, 0, 1, 1):
        log.alloc(cpu)
    return log


def sentences_of(steps: list[Step]) -> list[str]:
    """Steps of slabs in words; the chaining of a new slab's objects is left out."""
    is_new = any(isinstance(step, NewSlab) for step in steps)
    return [
        narrate_slab(step)
        for step in steps
        if isinstance(step, SlabStep) and not (is_new and isinstance(step, Freepointer))
    ]


class SlabSteps(Controls):
    """A log under a slider: where each slab is after each operation, and what happened."""

    def __init__(self, story: SlabLog) -> None:
        self.story = story
        self.operation = widgets.IntSlider(
            min=0,
            max=len(story.entries) - 1,
            description="operation",
            layout=widgets.Layout(**FULL),
        )
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.operation.observe(self._show, names="value")
        self._show()
        super().__init__([self.operation, self.picture])

    def _show(self, _: Any = None) -> None:
        entry = self.story.entries[self.operation.value]
        steps = "".join(f"<li>{html.escape(text)}</li>" for text in entry.sentences)
        said = status(" ".join([entry.told(), *(f"{slab}." for slab in entry.slabs)]))
        drawn = picture(entry, places_of(self.story.cache))
        self.picture.value = f"{drawn}{said}<ol>{steps}</ol>"

    def text(self) -> str:
        """What is shown, in words."""
        return self.story.text(self.operation.value)


def picture(entry: Entry, places: list[str]) -> str:
    """The slabs, a row for each place. HTML."""
    rows = "".join(
        '<div style="display: flex; flex-wrap: wrap; align-items: center; min-height: 26px">'
        f'<span style="width: 13em">{place}</span>'
        f"{''.join(_slab(slab) for slab in entry.slabs if slab.place == place)}</div>"
        for place in places
    )
    keys = "".join(
        f'<span style="display: inline-block; margin-right: 1.2em">{_cell(state)} {state}</span>'
        for state in _STYLES
    )
    return (
        '<div aria-hidden="true" style="max-width: 60em">'
        f'{rows}<div style="margin: 8px 0; font-size: 13px">{keys}</div></div>'
    )


def _slab(slab: SlabAt) -> str:
    cells = "".join(_cell(state) for state in slab.objects)
    return f'<span style="margin: 0 1.2em 4px 0; white-space: nowrap">{slab.number}: {cells}</span>'


def _cell(state: str) -> str:
    return (
        f'<span title="{state}" style="display: inline-block; width: 22px; height: 16px; '
        f'border: 1px solid #808080; vertical-align: middle; {_STYLES[state]}"></span>'
    )

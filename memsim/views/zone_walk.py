"""A request under checkboxes: which zones it may ask, which it asks, and where it stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from memsim.lib.sizes import show_size
from memsim.machine import Machine
from memsim.mm.mmzone import Zone, populated_zones
from memsim.mm.vmstat import zone_page_state
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.lesson04 import (
    COUNTERS,
    Look,
    Pass,
    Walk,
    fill,
    send,
    zone_label,
    zonelist,
)
from memsim.words.errors import BadRequest
from memsim.words.gfp import (
    __GFP_DMA,
    __GFP_DMA32,
    __GFP_HIGH,
    __GFP_HIGHMEM,
    __GFP_MOVABLE,
    __GFP_THISNODE,
    GFP_KERNEL,
    gfp_zone,
    show_gfp_flags,
)
from memsim.words.mmzone import MAX_PAGE_ORDER, NR_FREE_PAGES, NULL, PAGE_SHIFT, ZONELIST_FALLBACK

#: Bits that can be added to GFP_KERNEL.
BITS = {
    "__GFP_DMA": __GFP_DMA,
    "__GFP_DMA32": __GFP_DMA32,
    "__GFP_HIGHMEM": __GFP_HIGHMEM,
    "__GFP_MOVABLE": __GFP_MOVABLE,
    "__GFP_THISNODE": __GFP_THISNODE,
    "__GFP_HIGH": __GFP_HIGH,
}
#: Each node's neighbours are at 20, the one opposite is at 30.
RING = [[10, 20, 30, 20], [20, 10, 20, 30], [30, 20, 10, 20], [20, 30, 20, 10]]
MACHINES: dict[str, Callable[[], Machine]] = {
    "two nodes of 8 GiB": lambda: Machine(["8 GiB", "8 GiB"], cpus=4, steps=False),
    "the same, with movablecore=8G": lambda: Machine(
        ["8 GiB", "8 GiB"], cpus=4, movablecore="8 GiB", steps=False
    ),
    "four nodes of 4 GiB in a ring": lambda: Machine(
        ["4 GiB"] * 4, cpus=4, node_distance=RING, steps=False
    ),
    "a laptop: one node of 16 GiB": lambda: Machine.preset("laptop", steps=False),
    "a PC with 32 bits: 1 GiB": lambda: Machine.preset("pc32", steps=False),
}
NOT_SENT = "Not sent yet."
_CELL = "padding: 3px 7px; text-align: left; white-space: nowrap; border: 1px solid #8888;"
_HEAD = f"{_CELL} white-space: normal; max-width: 8em;"
_TAKEN = f"{_CELL} font-weight: bold; box-shadow: inset 5px 0 #009e73;"
_REFUSED = f"{_CELL} box-shadow: inset 5px 0 #d55e00;"
_FADED = f"{_CELL} font-style: italic;"


class ZoneWalk(Controls):
    """Chosen bits, node and order make a request; a button sends it down the zonelist."""

    def __init__(self, machine: str = "two nodes of 8 GiB") -> None:
        wide = widgets.Layout(**FULL)
        self.kind = widgets.Dropdown(
            options=list(MACHINES), value=machine, description="machine", layout=wide
        )
        self.full = widgets.IntSlider(
            max=0, description="full zones", continuous_update=False, layout=wide
        )
        self.node = widgets.IntSlider(max=0, description="from node", layout=wide)
        self.order = widgets.IntSlider(max=MAX_PAGE_ORDER, description="order", layout=wide)
        self.bits = {
            name: widgets.Checkbox(description=name, indent=False, layout={"width": "12em"})
            for name in BITS
        }
        self.button = widgets.Button(description="Send the request", button_style="primary")
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._listen()
        self._boot()
        wrap = widgets.Layout(flex_flow="row wrap")
        bits = widgets.HBox([widgets.Label("GFP_KERNEL |"), *self.bits.values()], layout=wrap)
        super().__init__(
            [self.kind, self.full, self.node, bits, self.order, self.button, self.picture]
        )

    def _listen(self) -> None:
        self.kind.observe(self._boot, names="value")
        self.full.observe(self._fill, names="value")
        for control in (self.node, self.order, *self.bits.values()):
            control.observe(self._forget, names="value")
        self.button.on_click(lambda _: self.send())

    def _boot(self, _: Any = None) -> None:
        """Another machine; the sliders get its sizes."""
        self._fill()
        self.node.max = len(self.machine.vm.nodes) - 1
        self.full.max = len(populated_zones(self.machine.vm))

    def _fill(self, _: Any = None) -> None:
        """A new machine, as full as the slider says; counters count from here."""
        self.machine = MACHINES[self.kind.value]()
        fill(self.machine, self.full.value)
        self._before = {zone.id: list(zone.vm_numa_event) for zone in self.machine.vm.zones}
        self._forget()

    def _forget(self, _: Any = None) -> None:
        self.walk: Walk | None = None
        self._show()

    @property
    def gfp_mask(self) -> int:
        """GFP_KERNEL and the bits that are ticked."""
        return GFP_KERNEL | sum(BITS[name] for name, box in self.bits.items() if box.value)

    def choose(self, *names: str) -> None:
        """Tick these bits and no others."""
        for name, box in self.bits.items():
            box.value = name in names

    def send(self) -> str:
        """Send the request; what happened, in words. The page that it gets stays allocated."""
        try:
            self.walk = send(self.machine, self.gfp_mask, self.order.value, self._nid())
        except BadRequest:
            self.walk = None
        self._show()
        return self.text()

    def _show(self) -> None:
        self.picture.value = self._table() + status(self.text())

    def _zones(self) -> list[Zone]:
        """The whole zonelist of the chosen node."""
        return self.machine.vm.nodes[self._nid()].node_zonelists[ZONELIST_FALLBACK]

    def _nid(self) -> int:
        """The chosen node; the slider may still be at one that another machine had."""
        return int(min(self.node.value, len(self.machine.vm.nodes) - 1))

    def _allowed(self) -> list[str]:
        """Zones that the request may use, by name; none where its bits exclude each other."""
        try:
            return zonelist(self.machine, self.gfp_mask, self._nid())
        except BadRequest:
            return []

    def counted(self, zone: Zone) -> list[int]:
        """numa_hit, numa_miss and numa_foreign of a zone since it was filled."""
        before = self._before[zone.id]
        return [zone.vm_numa_event[item] - before[item] for item in COUNTERS.values()]

    def text(self) -> str:
        """What is shown, in words."""
        name = f"{show_gfp_flags(self.gfp_mask)}, order {self.order.value}"
        highest = gfp_zone(self.gfp_mask, self.machine.vm.arch)
        if highest < 0:
            return f"{name}: its zone bits exclude each other. No caller may ask that."
        zones = ", ".join(self._allowed()) or "none"
        head = f"{name}: highest zone {self.machine.vm.arch.zone_names[highest]}; may ask {zones}."
        return f"{head} {self._outcome()}"

    def _outcome(self) -> str:
        if self.walk is None:
            return NOT_SENT
        asked = sum(len(p.looks) for p in self.walk.passes)
        if self.walk.zone is None:
            return f"All refuse, {asked} times in {_passes(self.walk)}: page allocation failure."
        where, mark = zone_label(self.walk.zone), self.walk.passes[-1].mark
        return (
            f"{asked} asked in {_passes(self.walk)}; {where} gives pfn {self.walk.pfn} "
            f"(mark: {mark})."
        )

    def _table(self) -> str:
        """The zonelist, a row for each zone, a column for each pass. HTML."""
        passes = self.walk.passes if self.walk else []
        heads = ["zone", "free of managed", "in the list?"]
        heads += [f"pass {number}: {_short(p.mark)}" for number, p in enumerate(passes, 1)]
        heads += [name.replace("_", " ") for name in COUNTERS]
        head = "".join(f'<th scope="col" style="{_HEAD}">{name}</th>' for name in heads)
        rows = "".join(self._row(zone, passes) for zone in self._zones())
        style = "border-collapse: collapse; font-size: 13px"
        table = f'<table style="{style}"><tr>{head}</tr>{rows}</table>'
        attributes = 'role="region" tabindex="0" aria-label="the zonelist, in order"'
        return scrolling(table, attributes)

    def _row(self, zone: Zone, passes: Sequence[Pass]) -> str:
        allowed = zone_label(zone) in self._allowed()
        free = show_size(zone_page_state(zone, NR_FREE_PAGES) << PAGE_SHIFT)
        size = f"{free} of {show_size(zone.managed_pages << PAGE_SHIFT)}"
        cells = [(_CELL, size), (_CELL, "yes") if allowed else (_FADED, self._why_not(zone))]
        for p in passes:
            cells.append(_verdict(next((x for x in p.looks if x.zone is zone), None)))
        cells += [(_CELL, str(count)) for count in self.counted(zone)]
        row = "".join(f'<td style="{style}">{text}</td>' for style, text in cells)
        return f'<tr><th scope="row" style="{_CELL}">{zone_label(zone)}</th>{row}</tr>'

    def _why_not(self, zone: Zone) -> str:
        highest = gfp_zone(self.gfp_mask, self.machine.vm.arch)
        if highest < 0:
            return "no list"
        name = self.machine.vm.arch.zone_names[highest]
        return f"no: above {name}" if zone.idx > highest else "no: another node"


def _passes(walk: Walk) -> str:
    return "1 pass" if len(walk.passes) == 1 else f"{len(walk.passes)} passes"


def _short(mark: str) -> str:
    return mark.replace("ALLOC_NOFRAGMENT", "no mixing")


def _verdict(look: Look | None) -> tuple[str, str]:
    """The style and the text of a zone's cell in one pass."""
    if look is None:
        return _FADED, "not asked"
    if look.pfn != NULL:
        return _TAKEN, f"✓ pfn {look.pfn}"
    if look.has_room:
        return _REFUSED, "✗ other types only"
    if look.usable <= look.needed:
        return _REFUSED, f"✗ {look.usable} ≤ {look.needed}"
    return _REFUSED, f"✗ no block of order {look.order}"

"""All three allocators under a workload, on one page: what the demonstration shows.

The player has the last operations; undo takes one back, and shows the ones before it.
"""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from memsim.machine import Machine, Recording
from memsim.proc.buddyinfo import buddyinfo_of, write_buddyinfo
from memsim.proc.slabinfo import slabinfo_of, write_slabinfo
from memsim.proc.vmallocinfo import vmallocinfo_of, write_vmallocinfo
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.player import Player
from memsim.words.errors import MemsimError
from memsim.workload import PRESETS, Workload

RAM = ("64 MiB", "128 MiB", "256 MiB", "512 MiB", "1 GiB")
PANES = ("code", "zones", "slab", "vmalloc")
#: Steps of the workload that the player has after a run.
RECORDED = 10
#: Operations that it has after undo and redo.
SHOWN = 20


class Demo(Controls):
    """A workload, a machine and a seed to choose; the player with all panes; the texts of /proc."""

    def __init__(self, preset: str = "desktop", steps: int = 200) -> None:
        full = widgets.Layout(**FULL)
        self.preset = widgets.Dropdown(
            options=list(PRESETS), value=preset, description="workload", layout=full
        )
        self.ram = widgets.Dropdown(options=RAM, value=RAM[0], description="RAM", layout=full)
        self.cpus = widgets.IntSlider(value=2, min=1, max=4, description="CPUs", layout=full)
        self.seed = widgets.IntSlider(value=1, min=0, max=100, description="seed", layout=full)
        self.steps = widgets.IntSlider(
            value=steps, min=10, max=1000, step=10, description="steps", layout=full
        )
        self.run = self._button("Run", self._run)
        self.undo = self._button("Undo", self._undo)
        self.redo = self._button("Redo", self._redo)
        self.said = widgets.HTML(layout=full)
        self.texts = widgets.HTML(layout=widgets.Layout(width="100%"))
        said, recording = self._run()
        self.player = Player(recording, panes=PANES)
        self._tell(said)
        row = widgets.HBox(
            [self.run, self.undo, self.redo], layout=widgets.Layout(flex_flow="wrap")
        )
        choices = [self.preset, self.ram, self.cpus, self.seed, self.steps]
        super().__init__([*choices, row, self.said, self.player, self.texts])

    def _button(self, name: str, action: Callable[[], tuple[str, Recording]]) -> widgets.Button:
        button = widgets.Button(description=name)
        button.on_click(lambda _: self._do(action))
        return button

    def text(self) -> str:
        """What was said last, the player's picture, and the texts of /proc."""
        told = (f"/proc/{name}\n{text}" for name, text in self.proc().items())
        return "\n".join([self._said, self.player.text(), *told])

    def proc(self) -> dict[str, str]:
        """What the machine's /proc would have now, by name."""
        vm = self.machine.vm
        return {
            "buddyinfo": write_buddyinfo(buddyinfo_of(vm)),
            "slabinfo": write_slabinfo(slabinfo_of(vm)),
            "vmallocinfo": write_vmallocinfo(vmallocinfo_of(vm)),
        }

    def _do(self, action: Callable[[], tuple[str, Recording]]) -> None:
        """What a button does; a refusal is a line of text, and changes nothing."""
        try:
            said, recording = action()
        except MemsimError as error:
            self._tell(f"Refused: {error}")
            return
        self.player.show(recording, at_end=True)
        self._tell(said)

    def _run(self) -> tuple[str, Recording]:
        """The machine at its boot, then the workload; its last steps are recorded."""
        machine = Machine(self.ram.value, cpus=self.cpus.value, slab=True, vmalloc=True)
        workload = Workload(machine, self.preset.value, self.seed.value)
        workload.run(self.steps.value - RECORDED)
        with machine.recording() as recording:
            workload.run(RECORDED)
        self.machine = machine
        vain = sum(request.result is None for request in workload.log)
        said = f"{self.preset.value}, {self.ram.value}: {self.steps.value} steps"
        said += f", {len(workload.log):,} requests, {vain:,} in vain."
        return f"{said} The player has the last {RECORDED} steps.", recording

    def _undo(self) -> tuple[str, Recording]:
        return f"Undone: {self.machine.undo().name}.", self._last()

    def _redo(self) -> tuple[str, Recording]:
        return f"Done again: {self.machine.redo().name}.", self._last()

    def _last(self) -> Recording:
        """The last operations, taken back and done again; which code did them is not known."""
        back = min(SHOWN, len(self.machine.history))
        for _ in range(back):
            self.machine.undo()
        with self.machine.recording() as recording:
            for _ in range(back):
                self.machine.redo()
        return recording

    def _tell(self, said: str) -> None:
        self._said = said
        self.said.value = status(said)
        self.texts.value = "".join(_pre(name, text) for name, text in self.proc().items())


def _pre(name: str, text: str) -> str:
    """A text of /proc under its name; long ones scroll, by keys too."""
    region = f'role="region" tabindex="0" aria-label="/proc/{name}"'
    inner = f'<pre style="line-height: 1.2; overflow: visible">{html.escape(text)}</pre>'
    return f"<div><b>/proc/{name}</b></div>{scrolling(inner, region, height='16em')}"

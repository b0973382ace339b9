"""A recording made ready to be shown: its frames, its payload, and every picture in words."""

from __future__ import annotations

from collections.abc import Sequence

from memsim.trace.steps import Step
from memsim.views import zones
from memsim.views.cells import back_to_start
from memsim.views.code import code_text, emitters_of
from memsim.views.payload import Recording, checked_panes, frames_of, make_payload, scenes_of
from memsim.views.scene import Scene
from memsim.views.svg import scene_svg
from memsim.views.text import scene_text


class Film:
    """A recording with a title and the chosen panes; picture 0 is before the first step."""

    def __init__(self, recording: Recording, title: str, panes: Sequence[str]) -> None:
        self.panes = checked_panes(panes)
        self.payload = make_payload(recording, title, self.panes)
        self._recording = recording
        self._steps: list[Step] = list(recording.steps)
        self._frames = frames_of(self._steps, recording.operations)

    @property
    def last(self) -> int:
        """How many steps there are."""
        return len(self._frames)

    def narration(self, number: int) -> str:
        """What that step did, in one sentence."""
        if not number:
            return "Before the first step." if self.last else "There is no step to show."
        return str(self.payload["frames"][number - 1][0])

    def scene(self, number: int) -> Scene:
        """Lists and pages after that step."""
        scene = Scene(self._recording.snapshot)
        scene.apply_all(self._steps[: self._done(number)])
        return scene

    def _done(self, number: int) -> int:
        return self._frames[number - 1].last if number else 0

    def text(self, number: int, address: str = "") -> str:
        """The picture after that step in words; always the same."""
        scene = self.scene(number)
        head = f"Step {number} of {self.last}: {self.narration(number)}"
        return f"{head}\n{scene_text(scene, self._more(scene, number, address))}"

    def _more(self, scene: Scene, number: int, address: str) -> dict[str, list[str]]:
        """What the chosen panes say of the moment: {title: lines}."""
        more = {}
        if "zones" in self.panes:
            more[zones.TITLE] = zones.zone_lines(self._recording.snapshot, scene)
        for pane in scenes_of(self._recording, self.panes, address).values():
            back_to_start(pane, self._steps[self._done(number) :])
            more[pane.TITLE] = pane.lines()
        return more

    def svg(self, number: int) -> str:
        """The picture after that step as SVG; always the same."""
        marks = self.payload["frames"][number - 1][1] if number else []
        title, text = str(self.payload["title"]), self.text(number)
        return scene_svg(self.scene(number), self.narration(number), marks, title, text)

    def code(self, number: int) -> str:
        """Where that step came from: file, line, function, callers."""
        emitters = emitters_of(self._recording)
        main = self._frames[number - 1].main if number else -1
        emitter = emitters[main] if 0 <= main < len(emitters) else ()
        return code_text(emitter, self.narration(number))

"""Two machines side by side: two recordings stepped together, their first difference marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest

from memsim.views.film import Film
from memsim.views.page import Page
from memsim.views.payload import Payload, Recording, checked_panes
from memsim.words.errors import BadRequest

#: A stop: which frame each of the two machines shows.
Stop = tuple[int, int]


def stops_of(one: Payload, other: Payload) -> list[Stop]:
    """Operation by operation, and within one step by step: the shorter one waits at its end."""
    stops = [(0, 0)]
    for first, second in zip_longest(_operations(one), _operations(other), fillvalue=None):
        ends = [stops[-1][n] if op is None else op[1] for n, op in enumerate((first, second))]
        while stops[-1] != tuple(ends):
            a, b = stops[-1]
            stops.append((min(a + 1, ends[0]), min(b + 1, ends[1])))
    return stops


def _operations(payload: Payload) -> Iterator[tuple[int, int]]:
    """Frames [first, last) of each operation; all frames are one where there are none."""
    for _, first, last in payload["operations"] or [["", 0, len(payload["frames"])]]:
        yield first, last


def first_difference(one: Payload, other: Payload, stops: Sequence[Stop]) -> int:
    """The first step that only one takes, or that is told otherwise of the two; -1: none."""
    for number, ((a0, b0), (a, b)) in enumerate(pairwise(stops), 1):
        if (a == a0) != (b == b0):
            return number
        if one["frames"][a - 1][:2] != other["frames"][b - 1][:2]:
            return number
    return -1


class SideBySide(Page):
    """Shows two recordings; step 0 is before the first step of either.

    Setting `step` moves both; what is out of range moves them as far as they go.
    """

    def __init__(
        self,
        recording: Recording,
        other: Recording,
        title: str = "",
        *,
        names: Sequence[str] = ("Machine A", "Machine B"),
        panes: Sequence[str] = (),
    ) -> None:
        titles = [str(name) for name in names]
        if len(titles) != 2:
            raise BadRequest(f"names: {len(titles)} of them; should be two")
        chosen = [name for name in checked_panes(panes) if name != "predict"]
        self._films = [Film(recording, titles[0], chosen), Film(other, titles[1], chosen)]
        one, two = (film.payload for film in self._films)
        self._stops = stops_of(one, two)
        #: The first step at which the two do not do the same; -1 if there is none.
        self.first = first_difference(one, two, self._stops)
        payload = {
            "title": title,
            "machines": [one, two],
            "stops": self._stops,
            "first": self.first,
        }
        super().__init__(payload)

    @property
    def last_step(self) -> int:
        """How many steps the two take together."""
        return len(self._stops) - 1

    def text(self, step: int | None = None) -> str:
        """Both pictures after that step (default: the present one) in words; always the same."""
        number = self._number(step)
        parts = [f"Step {number} of {self.last_step}; {self._difference(number)}"]
        for film, frame in zip(self._films, self._stops[number], strict=True):
            parts += [str(film.payload["title"]), film.text(frame)]
        return "\n".join(parts)

    def _difference(self, number: int) -> str:
        if self.first < 0:
            return "no step differs"
        where = "here" if number == self.first else f"at step {self.first}"
        return f"the first difference is {where}"

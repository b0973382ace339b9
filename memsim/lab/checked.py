"""What check() says: case by case, in words, as a table, and in the player where one can see it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memsim.lab.apart import parted, side_by_side
from memsim.lab.script import in_words, shortened
from memsim.lab.spec import Spec
from memsim.lab.verdict import Verdict, points, recognised
from memsim.views.controls import scrolling, status
from memsim.views.side import SideBySide

_LENGTH = 300
_PRACTICE = "This is practice, not the grade."


@dataclass(frozen=True)
class Checked:
    """The verdicts on the visible cases. `hidden`: how many more there are at grading."""

    spec: Spec
    verdicts: Sequence[Verdict]
    hidden: int
    hints: int
    #: What of memsim is not as it came, if anything.
    changed: str

    @property
    def ok(self) -> bool:
        """Every visible case is right."""
        return not self.changed and all(verdict.is_right for verdict in self.verdicts)

    @property
    def mistake(self) -> str:
        """Which of the exercise's known mistakes explains what is wrong; "": none."""
        return recognised(self.verdicts)

    @property
    def points(self) -> float:
        """What it is worth, of all cases that were looked at; nbgrader takes a number as points."""
        return points(self.spec, self.verdicts)

    def side(self) -> SideBySide | None:
        """Yours beside the kernel's, of the first case where they part ways and can be shown."""
        for verdict in self.verdicts:
            if not verdict.is_right and verdict.case.player and isinstance(verdict.got, list):
                return side_by_side(verdict.case, verdict.got)
        return None

    def __str__(self) -> str:
        return "\n".join([self._head(), *map(_line, self.verdicts), *self._said()])

    __repr__ = __str__

    def _head(self) -> str:
        right, cases = sum(v.is_right for v in self.verdicts), len(self.verdicts)
        if not self.hidden:
            return f"{right} of all {cases} cases are right."
        more = f"{self.hidden} more {'is' if self.hidden == 1 else 'are'}"
        seen = f"{right} of {cases} visible cases {'is' if cases == 1 else 'are'} right"
        return f"{seen}; {more} looked at when it is graded. {_PRACTICE}"

    def _said(self) -> list[str]:
        said = [self.spec.mistakes[self.mistake]] if self.mistake in self.spec.mistakes else []
        if self.changed:
            said.append(f"{self.changed} is not memsim's own any more: restart the kernel.")
        return said

    def _repr_html_(self) -> str:
        rows = "".join(map(_row, self.verdicts))
        head = "".join(f'<th scope="col">{h}</th>' for h in ("case", "", "expected", "yours"))
        table = scrolling(
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>",
            'tabindex="0" role="region" aria-label="The visible cases"',
        )
        said = "".join(status(line, "alert") for line in self._said())
        return f"{status(self._head())}{table}{said}"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        told = {"text/plain": str(self), "text/html": self._repr_html_()}
        display(told, raw=True)  # type: ignore[no-untyped-call]
        side = self.side()
        if side is not None:
            display(side)  # type: ignore[no-untyped-call]


def _line(verdict: Verdict) -> str:
    told = _told(verdict)
    return f"  {_word(verdict)}: {verdict.case.name}{': ' if told else ''}{told}"


def _word(verdict: Verdict) -> str:
    if verdict.is_right:
        return "right"
    return f"{verdict.score:.0%}" if verdict.score else "wrong"


def _told(verdict: Verdict) -> str:
    if verdict.failure or verdict.note:
        return verdict.failure or verdict.note
    if verdict.is_right:
        return ""
    expected, got = _compared(verdict)
    return f"expected {expected}, got {got}"


def _compared(verdict: Verdict) -> tuple[str, str]:
    """Expected and got; of a script, where the two first differ."""
    case, got = verdict.case, verdict.got
    at = parted(case.expected, got) if case.every else -1
    if at < 0:
        return shortened(case.expected, _LENGTH), shortened(got, _LENGTH)
    call = f"from call {at + 1}, {in_words(case.script[at])}: "
    return call + shortened(case.expected[at], _LENGTH), shortened(got[at], _LENGTH)


def _row(verdict: Verdict) -> str:
    cells: list[Any] = [verdict.case.name, _word(verdict)]
    if verdict.failure or verdict.note:  # who wrote nothing yet is not told what is right
        cells += ["", verdict.failure or verdict.note]
    else:
        cells += _compared(verdict)
    return f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>"

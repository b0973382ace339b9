"""What check() says: case by case, in words, as a table, and in the player where one can see it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memsim.lab.apart import parted, side_by_side
from memsim.lab.compare import Comparator
from memsim.lab.plain import WORDS
from memsim.lab.script import Script, in_words, shortened
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
    #: What of memsim is not as it came, if anything.
    changed: str = ""
    remarks: Sequence[str] = ()
    #: The beginning of what the student's code printed.
    printed: str = ""
    #: Comparators of the exercise's own.
    own: Mapping[str, Comparator] = field(default_factory=dict)

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
        printed = [f"It printed:\n{self.printed.rstrip()}"] if self.printed else []
        return "\n".join([self._head(), *map(_line, self.verdicts), *self._said(), *printed])

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
        said += self.remarks
        if self.changed:
            said.append(f"{self.changed} is not memsim's own any more: restart the kernel.")
        return said

    def _repr_html_(self) -> str:
        rows = "".join(_row(verdict, self._is_judged(verdict)) for verdict in self.verdicts)
        names = ("case", "", "expected", "yours")
        head = "".join(f'<th scope="col" style="text-align: left">{name}</th>' for name in names)
        table = scrolling(
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>",
            'tabindex="0" role="region" aria-label="The visible cases"',
        )
        said = "".join(status(line, "alert") for line in self._said())
        pre = f'<pre tabindex="0">{html.escape(self.printed)}</pre>' if self.printed else ""
        printed = f"<details><summary>It printed</summary>{pre}</details>" if pre else ""
        return f"{status(self._head())}{table}{said}{printed}"

    def _is_judged(self, verdict: Verdict) -> bool:
        """By a judge of the exercise's own? What that expects is no answer."""
        return (verdict.case.compare or self.spec.compare) in self.own

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
        return _two(case.expected, got)
    expected, answer = _two(case.expected[at], got[at])
    return f"from call {at + 1}, {_call(case.script, at)}: {expected}", answer


def _call(script: Script, at: int) -> str:
    """A call in words; one without arguments comes with the one before it."""
    called = in_words(script[at])
    return f"{in_words(script[at - 1])}, {called}" if at and not script[at][2] else called


def _two(expected: Any, got: Any) -> tuple[str, str]:
    """Both values; with the word for what they are, where only that tells them apart."""
    told = shortened(expected, _LENGTH), shortened(got, _LENGTH)
    if type(expected) is type(got) or isinstance(expected, (list, dict)) or got is None:
        return told
    return f"{told[0]}, {WORDS[type(expected)]}", f"{told[1]}, {WORDS[type(got)]}"


def _row(verdict: Verdict, is_judged: bool) -> str:
    cells: list[Any] = [verdict.case.name, _word(verdict)]
    if verdict.is_right and (is_judged or verdict.case.every):
        cells += ["", verdict.note]
    elif verdict.failure or verdict.note:  # who wrote nothing yet is not told what is right
        cells += ["", verdict.failure or verdict.note]
    else:
        cells += _compared(verdict)
    return f"<tr>{''.join(map(_cell, cells))}</tr>"


def _cell(value: Any) -> str:
    return f'<td style="text-align: left">{html.escape(str(value))}</td>' if value else "<td></td>"

"""An exercise, as a student meets it: shown, predicted, hinted at, checked.

What check() says is practice. The grade is given elsewhere, with cases that are not here.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memsim.lab.cases import Case
from memsim.lab.checked import Checked
from memsim.lab.guard import NO_ALARM, has_alarm
from memsim.lab.hint_box import HintBox
from memsim.lab.hints import Hint, Hints
from memsim.lab.places import find, find_all
from memsim.lab.session import Session
from memsim.lab.tampered import Seal
from memsim.views.controls import Question

_SEAL = Seal()
LEVEL_NAMES = {
    "read": "read and predict",
    "write": "write or repair",
    "design": "design and diagnose",
}
#: Columns of a /proc text stay columns, in a narrow window too.
_UNWRAPPED = "overflow-x: auto; white-space: pre"


class Exercise:
    """The exercise of that name, from the folder `cases` beside the notebook.

    `puzzle`: another one of the same kind, to practise with; the same number, the same puzzle.
    BadInput, in one line, where there is no such exercise.
    """

    def __init__(self, name: str, puzzle: int | None = None, folder: str | Path = ".") -> None:
        self._folder = Path(folder).resolve()
        found = find(name, puzzle, self._folder)
        self.spec, self._puzzle, self._own = found.spec, found.puzzle, found.own
        self._hints = Hints(self.spec, self._folder)

    @property
    def given(self) -> Any:
        """What the puzzle gives your code to work on."""
        return self._puzzle.given

    def predict(self) -> Question:
        """A question to answer before you write anything."""
        asked = self.spec.predict
        return Question(asked.question, asked.answers, asked.right)

    def hint(self) -> Hint:
        """One more of three hints: the idea, what to use, nearly the code. They are counted."""
        return self._hints.next()

    def hints(self) -> HintBox:
        """The same with a button."""
        return HintBox(self._hints)

    def check(self, *things: Any) -> Checked:
        """Runs what you wrote on the visible cases: at once, here, for practice.

        `things`: functions or classes, in place of those of that name in your notebook.
        """
        names = dict(sys._getframe(1).f_globals)
        names.update({thing.__name__: thing for thing in things})
        visible = [case for case in self._puzzle.cases if case.visible]
        hidden = self._puzzle.hidden + len(self._puzzle.cases) - len(visible)
        return self._checked(names, visible, hidden)

    def check_all(self, *things: Any) -> Checked:
        """The same with the hidden cases. BadInput where they are not: with a student."""
        names = dict(sys._getframe(1).f_globals)
        names.update({thing.__name__: thing for thing in things})
        cases = find_all(self.spec.name, self._puzzle.number, self._folder).puzzle.cases
        return self._checked(names, cases, 0)

    def _checked(self, names: Mapping[str, Any], cases: Sequence[Case], hidden: int) -> Checked:
        if not has_alarm():
            print(NO_ALARM)
        changed, session = _SEAL.broken(), Session(self.spec, names, self._own)
        verdicts = [session.verdict(case) for case in cases]
        changed = changed or _SEAL.broken()
        remarks = session.remarks(cases, len(cases) + hidden)
        return Checked(self.spec, verdicts, hidden, changed, remarks, session.printed, self._own)

    def __str__(self) -> str:
        spec = self.spec
        told = f"{LEVEL_NAMES[spec.level]}, about {spec.minutes} minutes, {spec.points} points"
        return f"{spec.title} ({told}), puzzle {self._puzzle.number}\n{self._puzzle.shown}".rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, _, shown = str(self).partition("\n")
        block = f'<pre tabindex="0" style="{_UNWRAPPED}">{html.escape(shown)}</pre>'
        return f"<div><b>{html.escape(head)}</b>{block if shown else ''}</div>"

"""One check of what a student wrote: case by case, guarded, with what is noticed on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memsim.lab.cases import Case
from memsim.lab.compare import Comparator
from memsim.lab.guard import Ran, run_guarded
from memsim.lab.script import in_words, run_script
from memsim.lab.spec import Spec
from memsim.lab.verdict import Answer, Verdict, judge


class Session:
    """Runs cases on the functions and classes of a notebook."""

    def __init__(self, spec: Spec, names: Mapping[str, Any], own: Mapping[str, Comparator]) -> None:
        self._spec, self._names, self._own = spec, names, own
        self._ran = Ran()
        self._rows = -1
        #: The beginning of what the student's code printed, in the first case in which it did.
        self.printed = ""

    def verdict(self, case: Case) -> Verdict:
        """What becomes of one case; none is tried behind one that takes too long."""
        if self._ran.is_over_time:
            return Verdict(case, 0.0, failure="not tried: another case takes too long")
        answers: list[Any] = []
        run = lambda: run_script(self._names, case.script, answers)  # noqa: E731
        self._ran = run_guarded(run, self._spec.seconds)
        self.printed = self.printed or self._ran.printed
        if answers and isinstance(answers[-1], list):
            self._rows = len(answers[-1])
        return judge(self._spec, case, Answer(answers, self._failure(case, answers)), self._own)

    def _failure(self, case: Case, answers: Sequence[Any]) -> str:
        """What went wrong, and at which call of several."""
        failure, done = self._ran.failure, len(answers)
        if failure and 1 < len(case.script) > done:
            return f"call {done + 1}, {in_words(case.script[done])}: {failure}"
        return failure

    def remarks(self, cases: Sequence[Case], rows: int) -> list[str]:
        """Too few or too many rows: it would cost those that are not looked at here."""
        if not all(isinstance(case.pick, int) for case in cases) or self._rows in (-1, rows):
            return []
        entries = "entry" if self._rows == 1 else "entries"
        return [f"Your list has {self._rows} {entries}; there are {rows} rows."]

"""What check() says of code that is not written yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from exercises import EXERCISES, ROOT
from memsim.lab import Exercise


def unwritten(*_: object) -> None:
    raise NotImplementedError("write it")


@pytest.mark.parametrize(
    ("name", "function", "shown"),
    [("05_buddy_of_a_pfn", "answers", True), ("34_against_an_attack", "defend", False)],
)
def test_what_a_judge_needs_to_know_is_not_shown_as_the_answer(
    name: str, function: str, shown: bool
) -> None:
    unwritten.__name__ = function
    exercise = Exercise(name, folder=Path(ROOT) / EXERCISES)
    checked = exercise.check(unwritten)
    expected = str(checked.verdicts[0].case.expected)[:12]
    assert (expected.replace("'", "&#x27;") in checked._repr_html_()) == shown

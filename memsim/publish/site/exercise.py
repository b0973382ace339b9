"""An exercise as a student is handed it, as the body of a page; and the list of all of them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from memsim.lab.cases import Case
from memsim.lab.exercise import LEVEL_NAMES, Exercise
from memsim.lab.places import Found, find
from memsim.lab.script import in_words, shortened
from memsim.publish.executed import read_notebook
from memsim.publish.shown import Link, markdown, source
from memsim.publish.site.places import Course, Place

_CALLS = 4
_TABLE = '<div class="table" tabindex="0"><table>'


def exercise_body(place: Place, link: Link) -> str:
    """Its text, puzzle, prediction, stub and visible cases; no answer, no hint."""
    folder, name = place.source.parent, place.source.stem
    exercise, found = Exercise(name, folder=folder), find(name, None, folder)
    parts: list[str] = []
    for cell in read_notebook(place.source).cells:
        if cell.cell_type == "markdown":
            kernel = _heading("In the kernel") if parts else ""
            parts.append(kernel + markdown(cell.source, link))
        elif "exercise.predict()" in cell.source:
            asked = f'<div class="memsim-still">{exercise.predict().still()}</div>'
            parts.append(f'<div class="question"><p class="kind">Predict</p>{asked}</div>\n')
        elif "Exercise(" in cell.source:
            parts.append(_download(place) + _puzzle(exercise))
        elif "exercise.check()" in cell.source:
            parts.append(_cases(found))
        elif "exercise.hints()" not in cell.source:
            yours = cell.metadata.get("nbgrader", {}).get("solution")
            parts.append(_heading("What you write") * bool(yours) + source(cell.source))
    return "".join(parts)


def _heading(text: str) -> str:
    return f'<h2 id="{text.replace(" ", "-")}">{text}</h2>\n'


def _download(place: Place) -> str:
    name = html.escape(place.source.name)
    return (
        f'<p class="live"><a href="{name}" download>{name}</a> is the notebook, with '
        "<code>check()</code> and three hints: <code>make lab</code> has it in "
        "<code>exercises/</code>.</p>\n"
    )


def _puzzle(exercise: Exercise) -> str:
    head, _, shown = str(exercise).partition("\n")
    block = f'<pre class="printed" tabindex="0">{html.escape(shown)}</pre>' if shown else ""
    return f"<p><b>{html.escape(head)}</b></p>{block}\n"


def _cases(found: Found) -> str:
    """The visible cases as a table; what a judge of the exercise's own expects is no answer."""
    cases = [case for case in found.puzzle.cases if case.visible]
    rows = "".join(_case(case, (case.compare or found.spec.compare) in found.own) for case in cases)
    hidden = found.puzzle.hidden + len(found.puzzle.cases) - len(cases)
    more = f"<p>{hidden} more are looked at when it is graded.</p>\n" if hidden else ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("case", "calls", "expected"))
    return (
        f"{_heading('The visible cases')}{_TABLE}<thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>\n{more}"
    )


def _case(case: Case, is_judged: bool) -> str:
    said = "<br>".join(_code(in_words(entry)) for entry in case.script[:_CALLS])
    if len(case.script) > _CALLS:
        said += f"<br>and {len(case.script) - _CALLS} more"
    expected = "judged" if is_judged else _code(shortened(_expected(case), 160))
    return f"<tr><td>{html.escape(case.name)}</td><td>{said}</td><td>{expected}</td></tr>"


def _expected(case: Case) -> Any:
    """Of a long script the last answer."""
    if case.every and isinstance(case.expected, list) and len(case.script) == 1:
        return case.expected[-1]
    return case.expected


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def list_body(course: Course) -> str:
    """All exercises, by the lesson that they go with."""
    by_lesson: dict[str, list[tuple[Place, Any]]] = {}
    for place in course.exercises:
        spec = find(place.source.stem, None, place.source.parent).spec
        by_lesson.setdefault(spec.lesson, []).append((place, spec))
    return (
        '<h1 id="Exercises">Exercises</h1>\n<p>Each asks for a prediction first. The notebooks '
        "have three hints, and <code>check()</code>, which tells at once what is right: "
        "<code>make lab</code> opens them.</p>\n"
    ) + "".join(_group(lesson, by_lesson.get(lesson.source.stem, [])) for lesson in course.lessons)


def _group(lesson: Place, exercises: Sequence[tuple[Place, Any]]) -> str:
    if not exercises:
        return ""
    rows = "".join(
        f'<tr><td><a href="{place.page}">{html.escape(place.title)}</a></td>'
        f"<td>{LEVEL_NAMES[spec.level]}</td><td>{spec.minutes}</td></tr>"
        for place, spec in exercises
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("exercise", "what", "minutes"))
    return (
        f'<h2 id="{lesson.source.stem}"><a href="{lesson.page}">{html.escape(lesson.short)}</a>'
        f"</h2>\n{_TABLE}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )

"""The shape of an exercise: what is looked at whenever it is cut, as it would harm unseen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from memsim.lab.places import WORKED, Found
from memsim.lab.verdict import comparator

_BEGIN, _HIDDEN = "### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS"


def shape_faults(notebook: Any, found: Found) -> Iterator[str]:
    """What is wrong with a solution's notebook and its puzzle, one line each."""
    cells = notebook.cells
    if not any(f'Exercise("{found.spec.name}"' in cell.source for cell in cells):
        yield f'no cell has Exercise("{found.spec.name}")'
    if not any(WORKED in cell.metadata.get("tags", []) for cell in cells):
        yield f"no cell has the tag {WORKED}, which keeps the worked solution from students"
    yield from _answer_faults(cells)
    yield from _check_faults(cells, found.spec.points)
    yield from _case_faults(found)


def _answer_faults(cells: Any) -> Iterator[str]:
    answers = [cell for cell in cells if _mark(cell, "solution")]
    if not answers:
        yield "no cell is an answer: one needs nbgrader's metadata with solution true"
    for cell in answers:
        if _BEGIN not in cell.source:
            yield f"cell {cell.get('id')}: has no {_BEGIN}, so all of it would be taken away"
        elif not _says_what_to_do(cell.source):
            yield f"cell {cell.get('id')}: its function or class has no docstring"


def _says_what_to_do(source: str) -> bool:
    defined = (ast.FunctionDef, ast.ClassDef)
    try:
        parts = [node for node in ast.parse(source).body if isinstance(node, defined)]
    except SyntaxError:
        return True  # said when it is run
    return bool(parts) and all(map(ast.get_docstring, parts))


def _check_faults(cells: Any, points: int) -> Iterator[str]:
    checks = [cell for cell in cells if _mark(cell, "grade")]
    if not checks:
        yield "no cell is graded: one needs nbgrader's metadata with grade true"
    for cell in checks:
        told = cell.metadata["nbgrader"].get("points")
        if told != points:
            yield f"cell {cell.get('id')}: {told} points, and {points} in exercise.json"
        if _HIDDEN not in cell.source:
            yield f"cell {cell.get('id')}: has no {_HIDDEN}"


def _mark(cell: Any, key: str) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get(key))


def _case_faults(found: Found) -> Iterator[str]:
    cases = found.puzzle.cases
    if len({case.visible for case in cases}) < 2:
        yield "cases: some should be visible, and some hidden"
    if not all(case.name for case in cases):
        yield "cases: one has no name"
    for name in {case.compare or found.spec.compare for case in cases}:
        comparator(name, found.own)

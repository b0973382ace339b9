"""A notebook's bytes become the code to run: which cells, in which order. Nothing of it is run.

The course says which cells are the answer and which the check; what the notebook says of itself,
its points, outputs and kernel, counts for nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memsim.lab.grader.handed_in import Unreadable, read_bounded
from memsim.lab.places import SOLUTIONS
from memsim.lab.spec import Json
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

MAX_NESTING = 64
#: Lists and dicts, and entries of them: each is memory, many times what it takes in the file.
_MAX_LISTS = 200_000
_MAX_ENTRIES = 2_000_000
_FORMAT = 4
#: Of code, in characters: many jobs wait with theirs. What is large in a notebook is its outputs.
_MAX_CODE = 1 << 20
#: Cells that only ask memsim something: there is nobody to answer.
_SHOWS = re.compile(r"(?:checked\s*=\s*)?exercise\.(?:check|predict|hints?)\(\)(?:\s*checked)?")
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", re.DOTALL)
#: What a cell defines, as far as one sees it without running it.
_DEFINED = re.compile(r"^(?:(?:async[ \t]+)?def|class)[ \t]+(\w+)|^(\w+)[ \t]*=[^=]", re.MULTILINE)
#: Texts, comments and brackets, so that what stands in them is not taken for a line of IPython's.
_TOKEN = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\Z)|\'\'\'(?:[^'\\]|\\.|'(?!''))*(?:\'\'\'|\Z)'''
    r"""|"(?:[^"\\\n]|\\.)*|'(?:[^'\\\n]|\\.)*|\#[^\n]*|[(\[{]|[)\]}]"""
    r"""|^(?P<indent>[ \t]*)(?P<magic>[%!](?!=)[^\n]*|\?{1,2}[\w.]+[ \t]*$|[\w.]+\?{1,2}[ \t]*$)""",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Form:
    """What an exercise's notebook is like, as the course has it. `answers`: grade_ids.

    `checks`: by grade_id what a check cell says, as its author has it and as it is handed out.
    """

    name: str
    answers: frozenset[str]
    checks: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Cells:
    """The code to run and what is to be said of the notebook. `problem`: there is no answer."""

    sources: tuple[str, ...]
    flags: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class _Cell:
    kind: str
    source: str
    grade_id: str


def form_of(course: Path, name: str) -> Form:
    """The form of an exercise of a course. BadInput where its notebook marks no answer."""
    path = course / SOLUTIONS / f"{name}.ipynb"
    try:
        cells = _notebook(read_bounded(path))["cells"]
    except Unreadable as error:
        raise BadInput(f"{path}: {error}") from None
    marked = [(_nbgrader(cell), _source(cell)) for cell in cells]
    answers = frozenset(_grade_id(mark) for mark, _ in marked if mark.get("solution") is True)
    checks = {
        _grade_id(mark): frozenset({source.strip(), _HIDDEN.sub("", source).strip()})
        for mark, source in marked
        if mark.get("grade") is True and mark.get("solution") is not True
    }
    if not answers - {""}:
        raise BadInput(f"{path}: no cell has nbgrader's metadata of a solution, with a grade_id")
    return Form(name, answers - {""}, checks)


def is_notebook(content: bytes) -> bool:
    """Whether it can be read as a notebook, of whatever exercise."""
    try:
        return bool(_notebook(content))
    except Unreadable:
        return False


def cells_of(content: bytes, form: Form) -> Cells:
    """The code of a notebook. Unreadable, in words, where it is none.

    Of answer cells with the same grade_id the last counts; one before it runs only if it defines
    other names, as where a cell was split.
    """
    told = _notebook(content)["cells"]
    cells = [cell for cell in map(_cell, told) if cell]
    flags = [] if len(cells) == len(told) else ["something in it is no cell"]
    if sum(len(cell.source) for cell in cells if cell.kind == "code") > _MAX_CODE:
        raise Unreadable(f"has more than {_MAX_CODE >> 20} MiB of code")
    last = _last_answers(cells, form)
    flags += _flags(cells, form, last)
    sources = tuple(_runnable(cells, form, last))
    if last:
        return Cells(sources, tuple(flags))
    turned = {cell.kind for cell in cells if cell.grade_id in form.answers}
    what = f"was turned to {sorted(turned)[0]}" if turned else "is missing"
    return Cells((), tuple(flags), f"the answer cell {what}")


def _last_answers(cells: Sequence[_Cell], form: Form) -> dict[str, int]:
    """Where the last code cell of each answer is."""
    return {
        cell.grade_id: at
        for at, cell in enumerate(cells)
        if cell.grade_id in form.answers and cell.kind == "code"
    }


def _runnable(cells: Sequence[_Cell], form: Form, last: dict[str, int]) -> Iterator[str]:
    newest = {name: _defined(cells[at].source) for name, at in last.items()}
    for at, cell in enumerate(cells):
        if cell.kind != "code" or cell.grade_id in form.checks or _only_shows(cell.source):
            continue
        is_older = last.get(cell.grade_id, at) != at
        if not is_older or newest[cell.grade_id].isdisjoint(_defined(cell.source)):
            yield without_magics(cell.source)


def _flags(cells: Sequence[_Cell], form: Form, last: dict[str, int]) -> Iterator[str]:
    for name in sorted(form.answers):
        count = sum(cell.grade_id == name for cell in cells)
        if count > 1:
            yield f"cells marked {name}: {count}; the last that is code counts"
        if last and name not in last:
            yield f"the cell marked {name} is missing or no code"
    for name, sources in sorted(form.checks.items()):
        found = [cell.source for cell in cells if cell.grade_id == name]
        if not found:
            yield "the check cell is missing, which costs nothing"
        elif any(text.strip() not in sources for text in found):
            yield "the check cell was changed; it is not run"


def _only_shows(source: str) -> bool:
    return len(source) < 4096 and bool(_SHOWS.fullmatch(_COMMENT.sub("", source).strip()))


def _defined(source: str) -> set[str]:
    return {name for found in _DEFINED.findall(source) for name in found if name}


def without_magics(source: str) -> str:
    r"""The code without lines that are IPython's alone; the other lines keep their numbers.

    >>> without_magics("%matplotlib inline\nif x:\n    !ls\ny = (a\n     % b)")
    '\nif x:\n    pass\ny = (a\n     % b)'
    """
    kept, end, depth = [], 0, 0
    for token in _TOKEN.finditer(source):
        text = token.group()
        depth += (text in "([{") - (text in ")]}") if len(text) == 1 else 0
        if token["magic"] and depth <= 0:
            kept += [source[end : token.start()], token["indent"] + "pass" * bool(token["indent"])]
            end = token.end()
    return "".join([*kept, source[end:]])


def _notebook(content: bytes) -> Json:
    """The decoded notebook. Unreadable: what is wrong with it."""
    told = _decoded(content)
    if not isinstance(told, dict):
        raise Unreadable(f"is no notebook: a {type(told).__name__}")
    version = told.get("nbformat")
    if type(version) is not int:
        raise Unreadable("is no notebook: it has no nbformat")
    if version != _FORMAT:
        which = one_line(version, 20)
        raise Unreadable(f"is of nbformat {which}; open it in JupyterLab and save it as 4")
    if not isinstance(told.get("cells"), list):
        raise Unreadable("is no notebook: it has no cells")
    return told


def _decoded(content: bytes) -> Any:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8: byte {error.start}") from None
    if text.count("[") + text.count("{") > _MAX_LISTS or text.count(",") > _MAX_ENTRIES:
        raise Unreadable("has more entries than a notebook needs")
    try:
        told = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise Unreadable(f"is nested deeper than {MAX_NESTING}") from None
    except ValueError as error:
        raise Unreadable(f"is not JSON: {str(error)[:100]}") from None
    _check_nesting(told)
    return told


def _check_nesting(told: Any) -> None:
    level: list[Any] = [told]
    for _ in range(MAX_NESTING + 1):
        inner = [thing for thing in level if isinstance(thing, (list, dict))]
        level = [
            entry
            for thing in inner
            for entry in (thing.values() if isinstance(thing, dict) else thing)
        ]
        if not inner:
            return
    raise Unreadable(f"is nested deeper than {MAX_NESTING}")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} in it")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number in it is too large")
    return number


def _cell(told: Any) -> _Cell | None:
    """A cell; None for what is none."""
    if not isinstance(told, dict) or not isinstance(told.get("cell_type"), str):
        return None
    source = told.get("source")
    if not isinstance(source, str) and not (
        isinstance(source, list) and all(isinstance(line, str) for line in source)
    ):
        return None
    return _Cell(_kind(told["cell_type"]), _source(told), _grade_id(_nbgrader(told)))


def _kind(told: str) -> str:
    return told if told in ("code", "markdown") else "raw"


def _source(cell: Any) -> str:
    source = cell.get("source", "") if isinstance(cell, dict) else ""
    return source if isinstance(source, str) else "".join(map(str, source))


def _nbgrader(cell: Any) -> Json:
    """What nbgrader's metadata says of a cell; nothing where there is none."""
    about = cell.get("metadata") if isinstance(cell, dict) else None
    mark = about.get("nbgrader") if isinstance(about, dict) else None
    return mark if isinstance(mark, dict) else {}


def _grade_id(mark: Json) -> str:
    name = mark.get("grade_id", "")
    return name if isinstance(name, str) else ""

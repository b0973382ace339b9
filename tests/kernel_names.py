"""Names of the kernel in lessons, exercises, docstrings: where they stand, and in which file."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lessons import ALL, sources

from memsim.proc.explain.meanings import COUNTERS, LAST, REQUEST, TASKS

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data" / "kernel_names.tsv"

_PATH = re.compile(r"(?:[a-z][\w-]*/)+[\w.-]+\.(?:c|h|S|rst)\b")
_SPAN = re.compile(r"`([^`\n]+)`")
_TAGGED = re.compile(r"(?:struct|enum|union) (\w+)(?: \*)?")
_CALL = re.compile(r"(\w+)\([^()]*\)")
_FIELD = re.compile(r"(\w+)->(\w+)(?:[\[.].*)?")
_WORD = re.compile(r"[A-Za-z_]\w{2,}")
#: A docstring's "Kernel: mm/file.c function(), other(); include/linux/file.h third()".
_CLAIM = re.compile(rf"(?P<path>{_PATH.pattern})|(?P<function>\b[A-Za-z_]\w*)\(\)")
#: A version that a text names: "v5.14", "4.x", "in 2.6".
VERSION = re.compile(r"\bv?\d\.(?:\d+|x)\b")


class Named(NamedTuple):
    """A name, the kernel file that it is said to be in ("": any), and the text around it."""

    name: str
    file: str
    where: str
    text: str


def of_lessons() -> Iterator[Named]:
    """Every name in the prose of the lessons. A table's row comes with the table's head."""
    for lesson in ALL:
        for cell in sources(lesson, "markdown"):
            for text in _paragraphs(cell):
                for span in _SPAN.findall(text):
                    yield from (Named(name, "", lesson, text) for name in names_in(span))


def of_exercises() -> Iterator[Named]:
    """Where exercises say that the kernel does it, and what they tell of it when one is done."""
    for path in sorted((ROOT / "solutions").glob("*.ipynb")):
        told = json.loads((path.parent / "cases" / path.stem / "exercise.json").read_text("utf-8"))
        for where in told["kernel"]:
            file, _, name = where.partition(" ")
            yield Named(file, "", path.stem, where)
            if name:
                yield Named(name.removesuffix("()"), file, path.stem, where)
        cells = json.loads(path.read_text("utf-8"))["cells"]
        (kernel,) = ["".join(c["source"]) for c in cells if c["id"].endswith("-kernel")]
        for text in _paragraphs(kernel):
            for span in _SPAN.findall(text):
                yield from (Named(name, "", path.stem, text) for name in names_in(span))


def _paragraphs(cell: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", re.sub(r"```.*?```", "", cell, flags=re.S)):
        lines = paragraph.splitlines()
        if len(lines) > 2 and lines[1].startswith("|--"):
            yield from (f"{lines[0]}\n{line}" for line in lines[2:])
        else:
            yield paragraph


def names_in(span: str) -> list[str]:
    """The kernel's names in a span of code; none where it is a command, a number or a line."""
    if _PATH.fullmatch(span):
        return [span]
    for pattern in (_TAGGED, _CALL, _FIELD, _WORD):
        match = pattern.fullmatch(span)
        if match:
            return list(match.groups()) or [span]
    return []


def of_docstrings() -> Iterator[Named]:
    """Every function that a docstring gives as the kernel's, and the file it gives before it.

    And those that a report's words are said to come from.
    """
    for table in (COUNTERS, LAST, REQUEST, TASKS):
        for meaning in table.values():
            yield from claims_of(meaning.place)
    for path in sorted((ROOT / "memsim").rglob("*.py")):
        where = str(path.relative_to(ROOT))
        for text in _docstrings(path):
            for claims in re.findall(r"Kernel: (.*?)(?:\n\s*\n|\Z|NOT MODELLED)", text, re.S):
                yield from _claims(claims, where)


def _docstrings(path: Path) -> Iterator[str]:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, kinds):
            yield ast.get_docstring(node) or ""


def claims_of(place: str) -> list[Named]:
    """The names in a place of memsim/proc/explain/meanings.py: constants of the kernel too."""
    constants = re.findall(r"\b(?:NR|WMARK|MM)_[A-Z_]+\b", place)
    named = [Named(name, "", "meanings", place) for name in constants]
    return [*named, *_claims(place, "meanings")]


def _claims(text: str, where: str) -> Iterator[Named]:
    file = ""
    for match in _CLAIM.finditer(text):
        if match["path"]:
            file = match["path"]
            yield Named(file, "", where, text)
        else:
            yield Named(match["function"], file, where, text)


def known() -> set[tuple[str, str]]:
    """What tools/kernel_names.py found in the kernel: names, each with the file asked for."""
    lines = DATA.read_text(encoding="utf-8").splitlines()
    return {(name, file) for name, file in (line.split("\t") for line in lines if line)}

"""A new exercise to begin with: a notebook with nbgrader's metadata, exercise.json, cases.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from memsim.lab.places import CASES, SOLUTIONS, WORKED
from memsim.lab.spec import Json
from memsim.words.errors import BadInput

_NAME = re.compile(r"\d\d_[a-z0-9_]{1,40}")

_SPEC: Json = {
    "title": "Double it",
    "lesson": "00_start",
    "level": "read",
    "topic": "numbers",
    "teaches": "What a student can do afterwards.",
    "minutes": 5,
    "points": 4,
    "predict": {
        "question": "What is twice 21?",
        "answers": {"42": "21 + 21.", "441": "That is 21 squared."},
        "right": "42",
    },
    "hints": ["The idea.", "What to use.", "Nearly the code."],
    "mistakes": {"squared": "You multiplied each number by itself."},
    "kernel": ["mm/page_alloc.c __alloc_pages_noprof()"],
}

_CASES = '''"""Draws the numbers of {name}."""


def RIGHT(given):
    return [2 * number for number in given["numbers"]]


def squared(given):
    return [number * number for number in given["numbers"]]


MISTAKES = {{"squared": squared}}


def draw(rng):
    given = {{"numbers": rng.sample(range(3, 100), 4)}}
    cases = [
        {{"name": f"twice {{number}}", "pick": row, "visible": row < 2,
         "group": "numbers", "hint": "Add the number to itself."}}
        for row, number in enumerate(given["numbers"])
    ]
    return {{"shown": f"Numbers: {{given['numbers']}}", "given": given, "cases": cases}}
'''

_INTRO = """# {number} Double it

What is asked, in plain words, with all that a student needs to know. Its lesson is
[00](../notebooks/00_start.ipynb).

`answers(given)` returns a list: of each number, twice the number, in the order shown."""

_ANSWER = '''def answers(given):
    """Twice each number, a list in the order shown; given["numbers"] has the numbers."""
    ### BEGIN SOLUTION
    return [2 * number for number in given["numbers"]]
    ### END SOLUTION'''

_CHECK = """checked = exercise.check()
checked
### BEGIN HIDDEN TESTS
exercise.check_all().points
### END HIDDEN TESTS"""

_KERNEL = """<details><summary>What the kernel really does (when you are done)</summary>

Where the kernel does this: `mm/page_alloc.c`, `__alloc_pages_noprof()`.

</details>"""

_WORKED = """## The worked solution

Why the solution is right, step by step. A cell with the tag `worked` is not handed out."""


NBGRADER_CONFIG = '''"""For an nbgrader course made of these notebooks: keeps worked solutions."""

from nbconvert.preprocessors import TagRemovePreprocessor
from nbgrader.converters import GenerateAssignment

c = get_config()  # noqa: F821  (nbgrader's)

c.GenerateAssignment.preprocessors = [
    TagRemovePreprocessor,
    *GenerateAssignment.preprocessors.default_args[0],
]
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"worked"}
'''


def new_exercise(course: Path, name: str) -> list[Path]:
    """Writes the files of a new exercise that works as it is; returns them.

    BadInput if there is one of that name, or the name is not of the form NN_name.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name}: should be two digits, _, and small letters: 01_name")
    folder = course / SOLUTIONS / CASES / name
    files = {
        course / SOLUTIONS / f"{name}.ipynb": json.dumps(_notebook(name), indent=1),
        folder / "exercise.json": json.dumps(_SPEC, indent=1),
        folder / "cases.py": _CASES.format(name=name).rstrip(),
    }
    for path in files:
        if path.exists():
            raise BadInput(f"{path}: is there already")
    try:
        folder.mkdir(parents=True)
        config = course / SOLUTIONS / "nbgrader_config.py"
        if not config.exists():
            config.write_text(NBGRADER_CONFIG, "utf-8")
        for path, text in files.items():
            path.write_text(f"{text}\n", "utf-8")
    except OSError as error:
        raise BadInput(f"{error.filename or folder}: {error.strerror}") from None
    return list(files)


def _notebook(name: str) -> Json:
    setup = f'from memsim.lab import Exercise\n\nexercise = Exercise("{name}")\nexercise'
    cells = [
        _cell("markdown", "intro", _INTRO.format(number=name[:2])),
        _cell("code", "setup", setup),
        _cell("code", "predict", "exercise.predict()"),
        _cell("code", "answer", _ANSWER, solution=True),
        _cell("code", "check", _CHECK, grade=True, points=_SPEC["points"]),
        _cell("code", "hints", "exercise.hints()"),
        _cell("markdown", "kernel", _KERNEL),
        _cell("markdown", "worked", _WORKED),
    ]
    cells[-1]["metadata"]["tags"] = [WORKED]
    for cell in cells:
        cell["id"] = f"x{name[:2]}-{cell['id']}"
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, name: str, text: str, **nbgrader: Any) -> Json:
    cell: Json = {"cell_type": kind, "id": name, "metadata": {}, "source": text}
    if nbgrader:
        cell["metadata"]["nbgrader"] = {
            "grade": False, "solution": False, "locked": "grade" in nbgrader, "task": False,
            "grade_id": name, "schema_version": 3, **nbgrader,
        }  # fmt: skip
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})

"""Exercises, cut from their solutions by nbgrader's own preprocessors; so nbgrader can take over.

`solutions/NAME.ipynb` becomes `exercises/NAME.ipynb`: solutions give way to a stub, hidden tests,
worked solutions and outputs go, nbgrader's metadata stays. `solutions/cases/NAME/` becomes
`exercises/cases/NAME.json`: one puzzle, without its hidden cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memsim.lab.places import CASES, SOLUTIONS, WORKED, Found, handed_json, of_author
from memsim.lab.variants import PUBLIC, draw
from memsim.words.errors import BadInput

CODE_STUB = (
    '# YOUR CODE HERE, in place of this line and the next.\nraise NotImplementedError("write it")'
)

#: Called with each exercise's name before it is cut.
Progress = Callable[[str], None]


def names_in(course: Path) -> list[str]:
    """The exercises of a course, by name. BadInput where there are none."""
    folder = course / SOLUTIONS
    names = sorted(path.stem for path in folder.glob("*.ipynb"))
    if not names:
        raise BadInput(f"{folder}: there are no notebooks in it")
    for name in names:
        if not (folder / CASES / name / "exercise.json").is_file():
            raise BadInput(f"{folder / CASES / name / 'exercise.json'}: is missing")
    return names


def cut_course(course: Path, into: Path, numbers: Callable[[str], int], practice: int = 0,
               progress: Progress = lambda name: None) -> None:  # fmt: skip
    """Cut every exercise of a course into a folder.

    `numbers` tells the puzzle of each, `practice` how many more are added. BadInput in one line for
    what is wrong with an exercise.
    """
    (into / CASES).mkdir(parents=True, exist_ok=True)
    for name in names_in(course):
        progress(name)
        for path, content in _files(course / SOLUTIONS, name, numbers(name), practice):
            (into / path).write_bytes(content)


def cut_public(course: Path, into: Path) -> None:
    """The exercises of a reader who has no instructor."""
    cut_course(course, into, lambda name: PUBLIC)


def _files(folder: Path, name: str, number: int, practice: int) -> Iterator[tuple[str, bytes]]:
    """The files of one exercise: path in the folder of exercises, and content."""
    found = of_author(folder / CASES / name, number)
    _check_mistakes(found, folder / CASES / name)
    puzzles = [draw(folder / CASES / name, n) for n in range(1, practice + 1)]
    handed = json.dumps(handed_json(found, puzzles), ensure_ascii=False)
    yield f"{CASES}/{name}.json", f"{handed}\n".encode()
    yield f"{name}.ipynb", cut_notebook(folder / f"{name}.ipynb")
    judge = folder / CASES / name / "judge.py"
    if judge.is_file():
        yield f"{CASES}/{name}_judge.py", judge.read_bytes()


def _check_mistakes(found: Found, folder: Path) -> None:
    """Cases and exercise.json speak of the same mistakes."""
    named = {key for case in found.puzzle.cases for key in case.mistakes}
    unknown = sorted(named - found.spec.mistakes.keys())
    if unknown:
        raise BadInput(f"{folder / 'exercise.json'}: mistakes: nothing is said to {unknown[0]!r}")


def cut_notebook(path: Path) -> bytes:
    """A solution's notebook as it is handed out. BadInput where nbgrader refuses it."""
    import nbformat
    from nbconvert.preprocessors import TagRemovePreprocessor
    from nbgrader import preprocessors

    steps = [
        TagRemovePreprocessor(enabled=True, remove_cell_tags={WORKED}),  # type: ignore[no-untyped-call]
        preprocessors.LockCells(),
        preprocessors.ClearSolutions(code_stub={"python": CODE_STUB}),
        preprocessors.ClearOutput(),
        preprocessors.CheckCellMetadata(),
        preprocessors.ClearHiddenTests(),
    ]
    try:
        notebook: Any = nbformat.read(path, 4)  # type: ignore[no-untyped-call]
        for step in steps:
            notebook, _ = step.preprocess(notebook, {})
    except Exception as error:
        raise BadInput(f"{path}: {str(error).strip()[:300]}") from None
    return f"{nbformat.writes(notebook)}\n".encode()  # type: ignore[no-untyped-call]

"""Exercises, cut from their solutions by nbgrader's own preprocessors; so nbgrader can take over.

`solutions/NAME.ipynb` becomes `exercises/NAME.ipynb`: solutions give way to a stub, hidden tests,
worked solutions and outputs go, nbgrader's metadata stays. `solutions/cases/NAME/` becomes
`exercises/cases/NAME.json`: one puzzle, without its hidden cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memsim.lab.cases import Puzzle
from memsim.lab.places import CASES, SOLUTIONS, WORKED, Found, handed_json, of_author
from memsim.lab.shape import shape_faults
from memsim.lab.variants import PUBLIC, draw
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

CODE_STUB = (
    '# YOUR CODE HERE, in place of this line and the next.\nraise NotImplementedError("write it")'
)

#: Puzzles to practise with that are handed out with each exercise, beside the student's own.
PRACTICE = 3
#: Called with each exercise's name before it is cut.
Progress = Callable[[str], None]


def names_in(course: Path) -> list[str]:
    """The exercises of a course, by name. BadInput where there are none."""
    folder = course / SOLUTIONS
    names = sorted(path.stem for path in folder.glob("*.ipynb"))
    if not names:
        raise BadInput(
            f"{folder.resolve()}: there are no notebooks in it; a course has them in {SOLUTIONS}/: "
            "say where it is, with --course DIR, or for exercises its folder"
        )
    authors = {path.parent.name for path in (folder / CASES).glob("*/exercise.json")}
    for name in sorted(authors ^ set(names)):
        what = "has no exercise.json in" if name in names else "is not there; but there is"
        raise BadInput(f"{folder / name}.ipynb: {what} {folder / CASES / name}")
    return names


def chosen(names: Sequence[str], told: str) -> list[str]:
    """Those of the names that a list with commas names, by number or name: "05,07_find_the_buddy".

    An empty list: all of them. BadInput where one is none of them.
    """
    asked = [part.strip() for part in told.split(",") if part.strip()]
    found = {part: [n for n in names if part in (n, n.partition("_")[0])] for part in asked}
    for part in asked:
        if not found[part]:
            some = ", ".join(names[:3])
            raise BadInput(f"{one_line(part, 60)}: is no exercise; there are {some} and so on")
    wanted = {name for inner in found.values() for name in inner}
    return [name for name in names if not asked or name in wanted]


@dataclass(frozen=True)
class Cut:
    """An exercise as it is handed out, but for the puzzle, which each student has another of."""

    name: str
    author: Path
    notebook: bytes
    practice: list[Puzzle]

    def files(self, number: int) -> Iterator[tuple[str, bytes]]:
        """Its files with that puzzle: path in the folder of exercises, and content."""
        found = of_author(self.author, number)
        _check_mistakes(found, self.author)
        handed = json.dumps(handed_json(found, self.practice), ensure_ascii=False)
        yield f"{self.name}.ipynb", self.notebook
        yield f"{CASES}/{self.name}.json", f"{handed}\n".encode()
        judge = self.author / "judge.py"
        if judge.is_file():
            yield f"{CASES}/{self.name}_judge.py", judge.read_bytes()


def cut_course(course: Path, progress: Progress = lambda name: None, only: str = "") -> list[Cut]:
    """The exercises of a course; `only`: see chosen(). BadInput in one line for what is wrong."""
    names = chosen(names_in(course), only)
    return [_cut(course / SOLUTIONS, name, progress) for name in names]


def _cut(folder: Path, name: str, progress: Progress) -> Cut:
    progress(name)
    author = folder / CASES / name
    for fault in shape_faults(_read(folder / f"{name}.ipynb"), of_author(author, PUBLIC)):
        raise BadInput(f"{folder / name}.ipynb: {fault}")
    practice = [draw(author, number) for number in range(1, PRACTICE + 1)]
    return Cut(name, author, cut_notebook(folder / f"{name}.ipynb"), practice)


def write_exercises(cuts: Sequence[Cut], into: Path, number: Callable[[str], int]) -> None:
    """The files of all exercises in a folder; `number` tells the puzzle of each."""
    (into / CASES).mkdir(parents=True, exist_ok=True)
    for cut in cuts:
        for path, content in cut.files(number(cut.name)):
            (into / path).write_bytes(content)


def _check_mistakes(found: Found, folder: Path) -> None:
    """Cases and exercise.json speak of the same mistakes."""
    named = {key for case in found.puzzle.cases for key in case.mistakes}
    unknown = sorted(named - found.spec.mistakes.keys())
    if unknown:
        raise BadInput(f"{folder / 'exercise.json'}: mistakes: nothing is said to {unknown[0]!r}")


def _read(path: Path) -> Any:
    """A notebook. BadInput where it is none."""
    import nbformat

    try:
        return nbformat.read(path, 4)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise BadInput(f"{path}: is no notebook: {one_line(error, 200)}") from None


def cut_notebook(path: Path) -> bytes:
    """A solution's notebook as it is handed out. BadInput where nbgrader refuses it, or is not."""
    try:
        import nbformat
        from nbconvert.preprocessors import TagRemovePreprocessor
        from nbgrader import preprocessors
    except ImportError as error:
        raise BadInput(
            f"{error}: to cut exercises, install nbgrader (memsim's extra teach)"
        ) from None

    steps = [
        TagRemovePreprocessor(enabled=True, remove_cell_tags={WORKED}),  # type: ignore[no-untyped-call]
        preprocessors.LockCells(),
        preprocessors.ClearSolutions(code_stub={"python": CODE_STUB}),
        preprocessors.ClearOutput(),
        preprocessors.CheckCellMetadata(),
        preprocessors.ClearHiddenTests(),
    ]
    notebook = _read(path)
    try:
        for step in steps:
            notebook, _ = step.preprocess(notebook, {})
    except Exception as error:
        raise BadInput(f"{path}: {str(error).strip()[:300]}") from None
    return f"{nbformat.writes(notebook)}\n".encode()  # type: ignore[no-untyped-call]

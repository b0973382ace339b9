"""What a reader predicted and answered, kept in the reader's own course folder.

Only the first prediction and the first answer count. Nothing is kept in a folder that `memsim
course` did not make, nor where Jupyter does not say which notebook runs.
"""

from __future__ import annotations

import html
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from memsim.files import write_whole
from memsim.words.course import MANIFEST, PROGRESS

#: {lesson: {kind: {what was asked: was it right?}}}
Kept = dict[str, dict[str, dict[str, bool]]]
PREDICTED, ANSWERED = "predictions", "questions"
_MAX_BYTES = 1 << 20


def note(kind: str, asked: str, right: bool) -> None:
    """Keep a first prediction or answer, if there is a place; a full disk costs no lesson."""
    folder = Path.cwd()
    lesson = Path(os.environ.get("JPY_SESSION_NAME", "")).stem
    if not lesson or not (folder / MANIFEST).is_file():
        return
    kept = read(folder)
    answers = kept.setdefault(lesson, {}).setdefault(kind, {})
    if asked not in answers:
        answers[asked] = right
        with suppress(OSError):
            write_whole(folder / PROGRESS, json.dumps(kept, indent=1).encode())


def read(folder: Path) -> Kept:
    """What is kept; what cannot be read, or is something else, counts as nothing."""
    path = folder / PROGRESS
    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(lesson): _kinds(kinds) for lesson, kinds in _items(told)}


def _kinds(told: Any) -> dict[str, dict[str, bool]]:
    return {
        kind: {str(asked): bool(right) for asked, right in _items(answers)}
        for kind, answers in _items(told)
        if kind in (PREDICTED, ANSWERED)
    }


def _items(told: Any) -> list[tuple[str, Any]]:
    return list(told.items()) if isinstance(told, dict) else []


class Progress:
    """A table of what is kept: by lesson, how many were right of those given."""

    def __init__(self, folder: Path | None = None) -> None:
        self.rows = [
            (lesson, *(_right_of(kinds.get(kind, {})) for kind in (PREDICTED, ANSWERED)))
            for lesson, kinds in sorted(read(folder or Path.cwd()).items())
        ]

    def __str__(self) -> str:
        if not self.rows:
            return "Nothing yet: predictions and answers are kept in a folder of `memsim course`."
        return "\n".join(f"{name}: predictions {p}, questions {q}" for name, p, q in self.rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{html.escape(str(self))}</p>"
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{p}</td><td>{q}</td></tr>"
            for name, p, q in self.rows
        )
        head = "<tr><th>lesson</th><th>predicted right</th><th>right at once</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{cells}</tbody></table>"


def _right_of(answers: dict[str, bool]) -> str:
    return f"{sum(answers.values())} of {len(answers)}"

"""Variants: the same seed, the same puzzle. A course's secret and a student's id draw the seed.

The folder of an exercise has either cases.json, one puzzle, or cases.py, which draws them:

    def draw(rng): return {"shown": TEXT, "given": DATA, "cases": [CASE, ...]}
    RIGHT = ...        a function or class that answers right, for cases without "expected"
    MISTAKES = {...}   the same for the mistakes that exercise.json names

It is an instructor's file and is trusted: it runs as it is.
"""

from __future__ import annotations

import hmac
import random
import runpy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from traceback import extract_tb
from typing import Any

from memsim.lab.cases import GIVEN, Case, Puzzle, case_of, puzzle_of
from memsim.lab.plain import NotPlain, plain
from memsim.lab.script import Missing, names_used, run_script
from memsim.lab.spec import Json, checked, read_json
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: The puzzle of a reader who has no instructor.
PUBLIC = 0
_BITS = 48
#: No student's id begins with such a byte.
_FINGERPRINT = b"\0fingerprint"


def seed_of(secret: bytes, student: str, exercise: str) -> int:
    """A student's puzzle number, which tells nothing of the secret or of anybody else's."""
    digest = hmac.digest(secret, f"{student}\0{exercise}".encode(), "sha256")
    return int.from_bytes(digest[: _BITS // 8])


def fingerprint_of(secret: bytes | None) -> str:
    """What tells a secret from another, and nothing else of it; "": none."""
    return hmac.digest(secret, _FINGERPRINT, "sha256").hex()[:16] if secret else ""


def mistakes_in(folder: Path) -> Mapping[str, Callable[..., Any]]:
    """The functions or classes that make the mistakes of that exercise, by the mistake's name."""
    found: Mapping[str, Callable[..., Any]] = _module(folder / "cases.py").get("MISTAKES", {})
    return found


def draw(folder: Path, number: int) -> Puzzle:
    """The puzzle of that number, of the exercise in that folder. BadInput if there is none."""
    static = folder / "cases.json"
    if static.is_file():
        return puzzle_of(read_json(static), number, str(static))
    path = folder / "cases.py"
    with author_s(path):
        module = _module(path)
        told = checked(module["draw"](random.Random(number)), dict, f"{path}: draw()")
        given = told.get("given")
        cases = checked(told.get("cases"), list, f"{path}: draw(): cases")
        told["cases"] = [
            _filled(checked(case, dict, f"{path}: case {n}"), module, given, f"{path}: case {n}")
            for n, case in enumerate(cases)
        ]
    return puzzle_of(told, number, str(path))


@contextmanager
def author_s(path: Path) -> Iterator[None]:
    """What goes wrong in a file of an exercise's author is one line, with the line there."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        lines = [f.lineno for f in extract_tb(error.__traceback__) if f.filename == str(path)]
        at = getattr(error, "lineno", None) or (lines[-1] if lines else 0)
        where = f"{path}: line {at}" if at else str(path)
        said = f"{type(error).__name__}: {error}"
        raise BadInput(f"{where}: {one_line(said, 300)}") from error


def _module(path: Path) -> Json:
    if not path.is_file():
        raise BadInput(f"{path.parent}: has neither cases.json nor cases.py")
    return _as_run(path, path.stat().st_mtime_ns)


@cache
def _as_run(path: Path, changed: int) -> Json:
    module = runpy.run_path(str(path))
    if not callable(module.get("draw")):
        raise BadInput(f"{path}: has no function draw(rng)")
    return module


def _filled(told: Json, module: Mapping[str, Any], given: Any, where: str) -> Json:
    """The case with what is expected, and what comes of each mistake, where it does not say so."""
    full: Json = dict(told) if "script" in told else {"call": "answers", "args": GIVEN, **told}
    blank = case_of({"expected": None, **full}, where, given)
    if "expected" not in full:
        full["expected"] = _right(blank, module, where)
    mistakes = dict(full.get("mistakes", {}))
    for key, mistaken in module.get("MISTAKES", {}).items():
        with suppress(Exception):
            mistakes.setdefault(key, answer_of(blank, mistaken))
    full["mistakes"] = {k: v for k, v in mistakes.items() if v != full["expected"]}
    return full


def _right(case: Case, module: Mapping[str, Any], where: str) -> Any:
    """What RIGHT answers."""
    if "RIGHT" not in module:
        raise BadInput(f"{where}: has no expected, and there is no RIGHT to ask")
    try:
        return answer_of(case, module["RIGHT"])
    except (LookupError, NotPlain, Missing) as error:
        raise BadInput(f"{where}: RIGHT: {type(error).__name__}: {error}") from error


def answer_of(case: Case, thing: Callable[..., Any]) -> Any:
    """What comes of the case if that function or class stands for the student's."""
    names = dict.fromkeys(names_used(case.script), thing)
    return plain(case.got(run_script(names, case.script, [])))

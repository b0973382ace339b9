"""What an exercise is: exercise.json, read and checked. docs/EXERCISES.md says what is in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from memsim.lab.plain import WORDS
from memsim.words.errors import BadInput

T = TypeVar("T")
Json = dict[str, Any]

LEVELS = ("read", "write", "design")
#: exercise.json, and what a bundle has, are small.
MAX_BYTES = 4 << 20
_MAX_SECONDS = 20


@dataclass(frozen=True)
class Prediction:
    """What is asked before anything is written, and what is said to each answer."""

    question: str
    answers: dict[str, str]
    right: str


@dataclass(frozen=True)
class Spec:
    """An exercise without its cases; `seconds` is the time for one of them."""

    name: str
    title: str
    lesson: str
    level: str
    topic: str
    teaches: str
    minutes: int
    points: int
    predict: Prediction
    hints: list[str]
    mistakes: dict[str, str]
    kernel: list[str]
    compare: str = "equal"
    seconds: float = 2.0
    raw: Json = field(default_factory=dict, compare=False, repr=False)


def read_spec(path: Path, name: str) -> Spec:
    """The exercise of that file. BadInput: what is wrong in which field."""
    return spec_of(read_json(path), name, str(path))


def spec_of(told: Any, name: str, where: str) -> Spec:
    """The exercise that a decoded exercise.json describes."""
    told = checked(told, dict, where)
    level = _field(told, "level", str, where)
    if level not in LEVELS:
        raise BadInput(f"{where}: level: {level!r}: should be of {', '.join(LEVELS)}")
    spec = Spec(
        name=name,
        **{key: _field(told, key, str, where) for key in ("title", "lesson", "topic", "teaches")},
        level=level,
        minutes=_positive(told, "minutes", where),
        points=_positive(told, "points", where),
        predict=_prediction(_field(told, "predict", dict, where), f"{where}: predict"),
        hints=_texts(told, "hints", where),
        mistakes=_mistakes(told, where),
        kernel=_texts(told, "kernel", where),
        compare=str(told.get("compare", "equal")),
        seconds=_seconds(told, where),
        raw=told,
    )
    if len(spec.hints) != 3:
        raise BadInput(f"{where}: hints: {len(spec.hints)}; should be 3: idea, what to use, code")
    return spec


def read_json(path: Path) -> Any:
    """The value in a JSON file. BadInput where it cannot be read, or is too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: larger than {MAX_BYTES} bytes")
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not JSON: {str(error)[:100]}") from None


def checked(value: Any, kind: type[T], where: str) -> T:
    """The value, if it is of that type. BadInput otherwise."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadInput(f"{where}: is {WORDS[type(value)]}; should be {WORDS[kind]}")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} in it")


def _field(told: Json, key: str, kind: type[T], where: str) -> T:
    if key not in told:
        raise BadInput(f"{where}: {key}: is missing")
    value = checked(told[key], kind, f"{where}: {key}")
    if not value:
        raise BadInput(f"{where}: {key}: is empty")
    return value


def _positive(told: Json, key: str, where: str) -> int:
    number = _field(told, key, int, where)
    if not 0 < number <= 1000:
        raise BadInput(f"{where}: {key}: {number}; should be 1 to 1000")
    return number


def _texts(told: Json, key: str, where: str) -> list[str]:
    texts = _field(told, key, list, where)
    return [checked(text, str, f"{where}: {key}[{n}]") for n, text in enumerate(texts)]


def _prediction(told: Json, where: str) -> Prediction:
    answers = _field(told, "answers", dict, where)
    for answer in answers:
        checked(answers[answer], str, f"{where}: answers: {answer}")
    right = _field(told, "right", str, where)
    if right not in answers:
        raise BadInput(f"{where}: right: {right!r}: is none of the answers")
    return Prediction(_field(told, "question", str, where), answers, right)


def _mistakes(told: Json, where: str) -> dict[str, str]:
    mistakes = _field(told, "mistakes", dict, where)
    return {key: checked(said, str, f"{where}: mistakes: {key}") for key, said in mistakes.items()}


def _seconds(told: Json, where: str) -> float:
    seconds = told.get("seconds", 2)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise BadInput(f"{where}: seconds: {seconds!r}; should be a number")
    if not 0 < seconds <= _MAX_SECONDS:
        raise BadInput(f"{where}: seconds: {seconds}; should be above 0, at most {_MAX_SECONDS}")
    return float(seconds)

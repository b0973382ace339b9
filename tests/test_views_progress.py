"""What a reader predicted and answered is kept, in the reader's own folder only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memsim.lab.handout import hand_out
from memsim.views.controls import Predictions, Question
from memsim.views.progress import Progress, read
from memsim.words.course import MANIFEST, PROGRESS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's own folder, where a kernel runs lesson 02."""
    (tmp_path / MANIFEST).write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", "some/where/02_buddy.ipynb")
    return tmp_path


def predict(chosen: str | None) -> None:
    predictions = Predictions()
    predictions.ask("n", "How many?", ["one", "two"]).radio.value = chosen
    predictions.reveal("n", "two", "Because.")


def answer(chosen: str) -> None:
    Question("Which?", {"a": "No.", "b": "Yes."}, right="b").radio.value = chosen


def test_only_the_first_prediction_and_the_first_answer_count(folder: Path) -> None:
    predict(None)
    predict("two")
    predict("one")
    answer("a")
    answer("b")
    assert str(Progress()) == "02_buddy: predictions 1 of 1, questions 0 of 1"
    assert "<td>1 of 1</td><td>0 of 1</td>" in Progress()._repr_html_()


def test_an_update_of_the_course_leaves_it(folder: Path) -> None:
    predict("one")
    before = (folder / PROGRESS).read_bytes()
    course = folder / "elsewhere"
    course.mkdir()
    (course / "02_buddy.ipynb").write_text('{"cells": []}')
    hand_out(course, folder)
    assert (folder / PROGRESS).read_bytes() == before
    predict("two")
    assert str(Progress()) == "02_buddy: predictions 0 of 1, questions 0 of 0"


def test_nothing_is_kept_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME")
    predict("two")
    monkeypatch.setenv("JPY_SESSION_NAME", "02_buddy.ipynb")
    (folder / MANIFEST).unlink()
    predict("two")
    assert not (folder / PROGRESS).exists()
    assert str(Progress()).startswith("Nothing yet")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "7", '{"02_buddy": 3}', '{"02_buddy": {"predictions": [1]}}', "[" * 100_000],
)
def test_what_cannot_be_read_is_nothing_and_lessons_go_on(folder: Path, content: str) -> None:
    (folder / PROGRESS).write_text(content)
    assert not any(kinds.get("predictions") for kinds in read(folder).values())
    predict("two")
    assert json.loads((folder / PROGRESS).read_text())["02_buddy"]["predictions"]


def test_a_folder_that_cannot_be_written_costs_no_lesson(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("memsim.files.tempfile.mkstemp", refuse)
    predict("two")
    assert not (folder / PROGRESS).exists()

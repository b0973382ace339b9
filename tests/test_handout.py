"""A reader's own folder of lessons: brought up to date, and nothing in it is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from memsim import BadInput, cli
from memsim.lab.handout import Fate, hand_out
from memsim.words.course import MANIFEST, PROGRESS


def notebook(*cells: str, outputs: bool = False) -> dict[str, Any]:
    output = [{"output_type": "stream", "name": "stdout", "text": ["out"]}] if outputs else []
    return {
        "cells": [
            {"cell_type": "code", "source": [text], "outputs": output, "metadata": {}}
            for text in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def course(tmp_path: Path) -> Path:
    write(tmp_path / "course" / "00_start.ipynb", notebook("1 + 1"))
    write(tmp_path / "course" / "01_pages.ipynb", notebook("2 + 2"))
    (tmp_path / "course" / "data").mkdir()
    (tmp_path / "course" / "data" / "zoneinfo.txt").write_text("Node 0\n")
    return tmp_path / "course"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "my course"


def test_a_new_folder_gets_everything(course: Path, mine: Path) -> None:
    assert set(hand_out(course, mine).values()) == {Fate.NEW}
    assert (mine / "data" / "zoneinfo.txt").read_text() == "Node 0\n"


def test_an_untouched_lesson_follows_the_course_also_when_it_was_run(
    course: Path, mine: Path
) -> None:
    hand_out(course, mine)
    write(mine / "00_start.ipynb", notebook("1 + 1", outputs=True))
    write(course / "00_start.ipynb", notebook("1 + 2"))
    assert hand_out(course, mine)["00_start.ipynb"] is Fate.UPDATED
    assert json.loads((mine / "00_start.ipynb").read_text())["cells"][0]["source"] == ["1 + 2"]


def test_a_lesson_that_was_run_keeps_its_outputs_while_the_course_stays(
    course: Path, mine: Path
) -> None:
    hand_out(course, mine)
    write(mine / "00_start.ipynb", notebook("1 + 1", outputs=True))
    assert hand_out(course, mine)["00_start.ipynb"] is Fate.SAME
    assert json.loads((mine / "00_start.ipynb").read_text())["cells"][0]["outputs"]


def test_what_a_reader_wrote_is_never_overwritten(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    own = notebook("1 + 1", "my own notes", outputs=True)
    write(mine / "00_start.ipynb", own)
    assert hand_out(course, mine)["00_start.ipynb"] is Fate.KEPT
    write(course / "00_start.ipynb", notebook("1 + 2"))
    assert hand_out(course, mine)["00_start.ipynb"] is Fate.BESIDE
    assert json.loads((mine / "00_start.ipynb").read_text()) == own
    beside = json.loads((mine / "00_start (new).ipynb").read_text())
    assert beside == notebook("1 + 2")
    assert hand_out(course, mine)["00_start.ipynb"] is Fate.KEPT


def test_what_a_reader_wrote_into_the_version_beside_it_is_not_overwritten_either(
    course: Path, mine: Path
) -> None:
    hand_out(course, mine)
    write(mine / "00_start.ipynb", notebook("mine"))
    write(course / "00_start.ipynb", notebook("1 + 2"))
    hand_out(course, mine)
    own = notebook("1 + 2", "my own notes, in the newer version")
    write(mine / "00_start (new).ipynb", own)
    write(course / "00_start.ipynb", notebook("1 + 3"))
    assert hand_out(course, mine)["00_start.ipynb"] is Fate.BESIDE
    assert json.loads((mine / "00_start (new).ipynb").read_text()) == own
    assert json.loads((mine / "00_start (new 2).ipynb").read_text()) == notebook("1 + 3")


def test_files_of_the_reader_s_own_and_progress_stay(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    for name in (PROGRESS, "my experiment.ipynb", "data/mine.txt"):
        (mine / name).write_text("mine")
    write(course / "02_buddy.ipynb", notebook("3"))
    fates = hand_out(course, mine)
    assert fates["02_buddy.ipynb"] is Fate.NEW
    for name in (PROGRESS, "my experiment.ipynb", "data/mine.txt"):
        assert (mine / name).read_text() == "mine"


def test_a_deleted_lesson_comes_back(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    (mine / "01_pages.ipynb").unlink()
    assert hand_out(course, mine)["01_pages.ipynb"] is Fate.NEW


@pytest.mark.parametrize("content", ["", "[]", '{"files": 7}', "[" * 100_000])
def test_without_a_readable_manifest_nothing_is_overwritten(
    course: Path, mine: Path, content: str
) -> None:
    hand_out(course, mine)
    (mine / MANIFEST).write_text(content)
    write(mine / "00_start.ipynb", notebook("mine"))
    assert hand_out(course, mine)["00_start.ipynb"] is Fate.BESIDE
    assert json.loads((mine / "00_start.ipynb").read_text()) == notebook("mine")


@pytest.mark.parametrize("content", ["no notebook", "[" * 100_000, '{"cells": 3}', "{}"])
def test_what_is_no_notebook_any_more_is_kept_byte_for_byte(
    course: Path, mine: Path, content: str
) -> None:
    hand_out(course, mine)
    (mine / "00_start.ipynb").write_text(content)
    hand_out(course, mine)
    assert (mine / "00_start.ipynb").read_text() == content


def test_bad_folders_are_refused_in_one_line(tmp_path: Path, course: Path) -> None:
    with pytest.raises(BadInput, match="no notebooks"):
        hand_out(tmp_path / "nothing", tmp_path / "mine")
    with pytest.raises(BadInput, match="where the lessons come from"):
        hand_out(course, course)
    with pytest.raises(BadInput, match="where the lessons come from"):
        hand_out(course, course / "mine")
    assert not (course / "mine").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file: (File exists|Not a directory)"):
        hand_out(course, tmp_path / "file")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(course: Path, mine: Path) -> None:
    mine.mkdir(mode=0o500)
    with pytest.raises(BadInput, match="Permission denied"):
        hand_out(course, mine)


def test_what_is_no_more_in_the_course_stays_and_is_told(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    (course / "01_pages.ipynb").unlink()
    assert hand_out(course, mine)["01_pages.ipynb"] is Fate.GONE
    assert (mine / "01_pages.ipynb").exists()


def test_the_command_wants_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["course", ""])
    assert ended.value.code == 2
    assert "should be a folder" in capsys.readouterr().err


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["course", str(tmp_path / "mine")]) == 0
    said = capsys.readouterr().out
    assert "new" in said
    for name in ("notebooks/00_start.ipynb", "exercises/08_expand.ipynb", "exercises/cases"):
        assert (tmp_path / "mine" / name).exists()
    assert cli.main(["course", str(tmp_path / "mine")]) == 0
    assert "the same" in capsys.readouterr().out

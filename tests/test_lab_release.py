"""What students are handed: each has own puzzles, nothing is lost or given away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from memsim.cli import main
from memsim.lab.cases import puzzle_of
from memsim.lab.cut import cut_notebook
from memsim.lab.roster import read_roster
from memsim.lab.skeleton import new_exercise
from memsim.lab.variants import draw, seed_of
from memsim.words.errors import BadInput

ROOT = Path(__file__).parents[1]
NAME = "01_double"


@pytest.fixture
def course(tmp_path: Path) -> Path:
    new_exercise(tmp_path / "course", NAME)
    return tmp_path / "course"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_an_instructor_begins_an_exercise_cuts_and_releases_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course = tmp_path / "mine"
    status, out, _ = run(capsys, "exercises", course, "--new", NAME)
    assert (status, len(out.splitlines())) == (0, 3)
    assert run(capsys, "exercises", course)[1] == f"{course / 'exercises'}: 2 new\n"
    assert run(capsys, "release", tmp_path / "out", "--course", course)[0] == 0
    handed = sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert handed == [".memsim-course.json", "01_double.ipynb", "01_double.json"]


def test_each_student_has_own_puzzles_and_practice(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "roster.csv").write_text("id,name\nann,Ann\nbob,Bob\n")
    told = run(capsys, "release", tmp_path / "out", "--course", course, "--roster",
               tmp_path / "roster.csv", "--secret", tmp_path / "secret", "--json")  # fmt: skip
    assert json.loads(told[1]).keys() == {"ann", "bob"}
    secret = (tmp_path / "secret").read_bytes().strip()
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
    for student in ("ann", "bob"):
        handed = json.loads((tmp_path / "out" / student / "cases" / f"{NAME}.json").read_text())
        number = seed_of(secret, student, NAME)
        mine = draw(course / "solutions" / "cases" / NAME, number)
        assert puzzle_of(handed["puzzle"], number, "").given == mine.given
        assert [puzzle["number"] for puzzle in handed["practice"]] == [1, 2, 3]
    texts = [p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert not any(secret.decode() in text or "BEGIN SOLUTION" in text for text in texts)
    assert seed_of(secret, "ann", NAME) != seed_of(secret, "bob", NAME)


def test_the_same_secret_gives_the_same_puzzles_again() -> None:
    assert seed_of(b"s" * 16, "ann", NAME) == seed_of(b"s" * 16, "ann", NAME)
    assert seed_of(b"s" * 16, "ann", NAME) != seed_of(b"t" * 16, "ann", NAME)


def test_hidden_cases_are_not_handed_out(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "release", tmp_path / "out", "--course", course)
    told = json.loads((tmp_path / "out" / "cases" / f"{NAME}.json").read_text())
    everything = draw(course / "solutions" / "cases" / NAME, 0)
    hidden = [case.expected for case in everything.cases if not case.visible]
    assert hidden
    assert told["puzzle"]["hidden"] == len(hidden)
    assert not {case["expected"] for case in told["puzzle"]["cases"]} & set(hidden)


def test_a_notebook_that_a_student_changed_stays(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "exercises", course)
    mine = course / "exercises" / f"{NAME}.ipynb"
    notebook = nbformat.read(mine, 4)
    notebook.cells[3].source = "def answers(given): return [1]"
    nbformat.write(notebook, mine)
    before = mine.read_bytes()
    solution = course / "solutions" / f"{NAME}.ipynb"
    solution.write_text(solution.read_text().replace("in plain words", "in plainer words"))
    assert "yours, kept" in run(capsys, "exercises", course)[1]
    assert mine.read_bytes() == before
    assert "plainer" in (course / "exercises" / f"{NAME} (new).ipynb").read_text()


def test_nbgrader_metadata_is_kept_and_cells_are_locked(course: Path) -> None:
    cut: Any = nbformat.reads(cut_notebook(course / "solutions" / f"{NAME}.ipynb"), 4)
    marks = [c.metadata["nbgrader"] for c in cut.cells if "nbgrader" in c.metadata]
    assert [(m["grade_id"], m["grade"], m["solution"]) for m in marks] == [
        ("answer", False, True),
        ("check", True, False),
    ]
    assert marks[1]["points"] == 4
    text = "\n".join(cell.source for cell in cut.cells)
    assert "YOUR CODE HERE" in text
    assert not [word for word in ("2 * number", "check_all", "worked solution") if word in text]


def broken_cases(course: Path, text: str) -> None:
    (course / "solutions" / "cases" / NAME / "cases.json").write_text(text)


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ("[1]", "a list; should be a dict"),
        ('{"cases": []}', "cases: there is none"),
        ('{"cases": [{"call": "f"}]}', "cases[0]: expected: is missing"),
        ('{"cases": [{"expected": 1}]}', "cases[0]: script: a NoneType; should be a list"),
        ('{"cases": [{"expected": 1, "call": "f", "args": 3}]}', "cases[0]: script[0]: should be"),
        ('{"cases": [{"expected": 1, "script": [["do", "m", []]]}]}', "before any is new"),
        ('{"cases": [{"expected": 1, "call": "f", "points": 3}]}', "points: is no field of a case"),
        ('{"cases": [{"expected": 1, "call": "f", "visible": 3}]}', "visible: a int"),
        ('{"cases": [{"expected": 1, "call": "f", "mistakes": {"x": 2}}]}', "nothing is said to"),
    ],
)
def test_a_wrong_exercise_is_one_line_and_nothing_is_handed_out(
    course: Path, capsys: pytest.CaptureFixture[str], cases: str, said: str
) -> None:
    broken_cases(course, cases)
    status, out, err = run(capsys, "exercises", course)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert not (course / "exercises").exists()


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ("def draw(rng:", "cases.py: line 1: SyntaxError: "),
        ("", "cases.py: has no function draw(rng)"),
        ("def draw(rng):\n    return 1 // 0", "cases.py: line 2: ZeroDivisionError: "),
        ("def draw(rng): return {}", "cases.py: line ?: KeyError: 'cases'"),
        ("def draw(rng): return {'cases': [{'name': 'x'}]}", "cases.py: line ?: KeyError: 'RIGHT'"),
        ("RIGHT = min\ndef draw(rng): return {'cases': [3]}", "cases.py: line ?: TypeError: "),
    ],
)
def test_what_goes_wrong_in_cases_py_is_said_with_its_line(
    course: Path, capsys: pytest.CaptureFixture[str], cases: str, said: str
) -> None:
    (course / "solutions" / "cases" / NAME / "cases.py").write_text(cases)
    status, _, err = run(capsys, "exercises", course)
    assert (status, len(err.splitlines())) == (2, 1)
    assert said in err


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("level", "hard", "level: 'hard': should be of read, write, design"),
        ("points", 0, "points: is empty"),
        ("points", -1, "points: -1; should be 1 to 1000"),
        ("minutes", "five", "minutes: a str; should be a int"),
        ("hints", ["one"], "hints: 1; should be 3"),
        ("predict", {"question": "?", "answers": {"a": "b"}, "right": "c"}, "none of the answers"),
        ("seconds", 1e9, "seconds: 1000000000.0; should be above 0, at most 20"),
        ("mistakes", {"a": 1}, "mistakes: a: a int; should be a str"),
    ],
)
def test_a_wrong_field_of_exercise_json_is_named(
    course: Path, capsys: pytest.CaptureFixture[str], field: str, value: Any, said: str
) -> None:
    path = course / "solutions" / "cases" / NAME / "exercise.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    status, _, err = run(capsys, "exercises", course)
    assert (status, len(err.splitlines())) == (2, 1)
    assert said in err


def test_a_notebook_that_is_none_is_one_line(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (course / "solutions" / f"{NAME}.ipynb").write_text("{}")
    status, _, err = run(capsys, "exercises", course)
    assert (status, len(err.splitlines())) == (2, 1)
    assert f"{NAME}.ipynb: " in err


@pytest.mark.parametrize(
    ("roster", "said"),
    [
        ("name\nann\n", "line 1: has no column named id"),
        ("id\nann\nann\n", "line 3: id: ann: is there twice"),
        ("id\n../../etc\n", "line 2: id: '../../etc': should be letters"),
        ("id\n\n", "there are no students in it"),
        ("id\n=1+1\n", "line 2: id: '=1+1': should be letters"),
    ],
)
def test_a_wrong_roster_is_one_line(tmp_path: Path, roster: str, said: str) -> None:
    (tmp_path / "roster.csv").write_text(roster)
    with pytest.raises(BadInput) as error:
        read_roster(tmp_path / "roster.csv")
    assert said in str(error.value)


def test_a_roster_in_another_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_bytes("id\nJosé\n".encode("latin-1"))
    with pytest.raises(BadInput, match="is not UTF-8"):
        read_roster(tmp_path / "roster.csv")


def test_a_roster_needs_a_secret_that_is_long_enough(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roster, secret = tmp_path / "roster.csv", tmp_path / "secret"
    roster.write_text("id\nann\n")
    out = tmp_path / "out"
    told = run(capsys, "release", out, "--course", course, "--roster", roster)
    assert (told[0], "a roster needs --secret FILE" in told[2]) == (2, True)
    secret.write_text("short")
    told = run(capsys, "release", out, "--course", course, "--roster", roster, "--secret", secret)
    assert (told[0], "a secret of 5 bytes; should be at least 16" in told[2]) == (2, True)
    assert not out.exists()


def test_a_course_without_solutions_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, "release", tmp_path / "out", "--course", tmp_path)
    assert (status, len(err.splitlines())) == (2, 1)
    assert "there are no notebooks in it" in err


def nbgrader(folder: Path, *arguments: str) -> None:
    programs = Path(sys.executable).parent  # nbgrader calls alembic by its name
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "MEMSIM_COURSE": str(ROOT)}
    done = subprocess.run(
        ["nbgrader", *arguments], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.long
def test_nbgrader_generates_collects_and_autogrades_an_exercise(tmp_path: Path) -> None:
    """Full marks for a solution, none for an exercise that nobody touched."""
    name = "05_buddy_of_a_pfn"
    source = tmp_path / "source" / "memsim"
    (source / "cases").mkdir(parents=True)
    shutil.copy(ROOT / "solutions" / f"{name}.ipynb", source)
    shutil.copy(ROOT / "exercises" / "cases" / f"{name}.json", source / "cases")
    shutil.copy(ROOT / "solutions" / "nbgrader_config.py", tmp_path)
    nbgrader(tmp_path, "generate_assignment", "memsim", "--create")
    released = tmp_path / "release" / "memsim" / f"{name}.ipynb"
    assert "YOUR CODE HERE" in released.read_text()
    files = [p for p in released.parent.rglob("*") if p.is_file()]
    assert not [p for p in files if "worked solution" in p.read_text()]
    for student, notebook in (("ann", source / f"{name}.ipynb"), ("bob", released)):
        place = tmp_path / "submitted" / student / "memsim"
        shutil.copytree(released.parent, place)
        shutil.copy(notebook, place / f"{name}.ipynb")
    nbgrader(tmp_path, "autograde", "memsim", "--create")
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        scores = {s.student.id: s.score for s in book.assignment_submissions("memsim")}
    assert scores == {"ann": 8, "bob": 0}

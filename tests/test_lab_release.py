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
from memsim.lab.skeleton import NBGRADER_CONFIG, new_exercise
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
        ("[1]", "cases.json: is a list; should be a dict"),
        ('{"cases": []}', "cases: there is none"),
        ('{"cases": [{"call": "f"}]}', "cases[0]: expected: is missing"),
        ('{"cases": [{"expected": 1}]}', "cases[0]: script: is null; should be a list"),
        ('{"cases": [{"expected": 1, "call": "f", "args": 3}]}', "cases[0]: script[0]: should be"),
        ('{"cases": [{"expected": 1, "script": [["do", "m", []]]}]}', "before any is new"),
        ('{"cases": [{"expected": 1, "call": "f", "points": 3}]}', "points: is no field of a case"),
        (
            '{"cases": [{"expected": 1, "call": "f", "visible": 3}]}',
            "visible: is a whole number; should be a bool",
        ),
        (
            '{"cases": [{"name": "a", "expected": 1, "call": "f", "mistakes": {"x": 2}},'
            ' {"name": "b", "expected": 1, "call": "f", "visible": false}]}',
            "nothing is said to 'x'",
        ),
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
        ("def draw(rng): pass", "cases.py: draw(): is null; should be a dict"),
        ("def draw(rng): return {}", "cases.py: draw(): cases: is null; should be a list"),
        (
            "def draw(rng): return {'cases': [3]}",
            "cases.py: case 0: is a whole number; should be a",
        ),
        ("def draw(rng): return {'cases': [{'name': 'x'}]}", "case 0: has no expected, and there"),
        (
            "RIGHT = list\ndef draw(rng): return {'cases': [{'pick': 9, 'args': [[1]]}]}",
            "case 0: RIGHT: LookupError: 9",
        ),
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
        ("minutes", "five", "minutes: is a text; should be a whole number"),
        ("hints", ["one"], "hints: 1; should be 3"),
        ("predict", {"question": "?", "answers": {"a": "b"}, "right": "c"}, "none of the answers"),
        ("seconds", 1e9, "seconds: 1000000000.0; should be above 0, at most 20"),
        ("mistakes", {"a": 1}, "mistakes: a: is a whole number; should be a text"),
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


def change(course: Path, old: str, new: str) -> None:
    """The solution's notebook, with another text in its place."""
    path = course / "solutions" / f"{NAME}.ipynb"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"worked"\n', '"other"\n', "no cell has the tag worked"),
        ('Exercise(\\"01_double', 'Exercise(\\"02_double', 'no cell has Exercise("01_double")'),
        ('"points": 4', '"points": 5', "cell x01-check: 5 points, and 4 in exercise.json"),
        ("### BEGIN HIDDEN TESTS", "###", "cell x01-check: has no ### BEGIN HIDDEN TESTS"),
        ("### BEGIN SOLUTION", "###", "cell x01-answer: has no ### BEGIN SOLUTION"),
        ('\\"\\"\\"Twice', '#\\"\\"\\"Twice', "cell x01-answer: its function or class has no doc"),
        ('"grade": true', '"grade": false', "no cell is graded"),
    ],
)
def test_what_would_harm_unseen_is_refused_when_it_is_cut(
    course: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    change(course, old, new)
    status, _, err = run(capsys, "exercises", course)
    assert (status, len(err.splitlines())) == (2, 1)
    assert said in err
    assert not (course / "exercises").exists()


@pytest.mark.parametrize("seen", [True, False])
def test_an_exercise_has_cases_of_both_kinds(
    course: Path, capsys: pytest.CaptureFixture[str], seen: bool
) -> None:
    path = course / "solutions" / "cases" / NAME / "cases.py"
    path.write_text(path.read_text().replace('"visible": row < 2', f'"visible": {seen}'))
    assert "some should be visible, and some hidden" in run(capsys, "exercises", course)[2]


def test_a_judge_is_looked_at_when_it_is_cut(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = course / "solutions" / "cases" / NAME
    text = (folder / "cases.py").read_text()
    (folder / "cases.py").write_text(text.replace('"group"', '"compare": "mine", "group"'))
    assert "compare: 'mine': should be of equal, " in run(capsys, "exercises", course)[2]
    (folder / "judge.py").write_text("import nothing_of_that_name\n")
    assert "judge.py: line 1: ModuleNotFoundError: " in run(capsys, "exercises", course)[2]


def test_notebooks_and_folders_belong_together(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(course / "solutions" / "cases" / NAME, course / "solutions/cases/02_lost")
    assert "02_lost.ipynb: is not there; but there is" in run(capsys, "exercises", course)[2]


def test_nothing_is_released_over_the_course_itself(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in (course, course / "solutions"):
        status, _, err = run(capsys, "release", target, "--course", course)
        assert (status, "is where the course's own files are" in err) == (2, True)


def test_an_exercise_that_works_is_fit(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "exercises", course, "--check", "--puzzles", 20)
    assert told[:2] == (0, "1 of 1 exercises are fit, in 20 puzzles each\n")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("nb", "return [2 * number", "return [3 * number", "the solution is wrong: it answers"),
        ("nb", "return [2 * number", "return [2 * nmber", "NameError"),
        ("nb", "def answers", "def answer", "Missing"),
        ("cases.py", "return [number * number", "return [2 * number", "squared: gets full marks"),
        (
            "cases.py",
            '"squared": squared',
            '"cubed": squared',
            "cubed: is in one of exercise.json and",
        ),
        (
            "cases.py",
            "rng.sample(",
            "__import__('random').sample(",
            "the same number gives another",
        ),
        ("cases.py", "rng.sample(range(3, 100), 4)", "[3, 4, 5, 6]", "only 1 of 20 puzzles"),
        ("exercise.json", '"squared"', '"cubed"', "cubed: is in one of exercise.json and MISTAKES"),
    ],
)
def test_what_is_not_fit_is_told(
    course: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, said: str
) -> None:
    if file == "nb":
        change(course, old, new)
    else:
        path = course / "solutions" / "cases" / NAME / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    status, out, _ = run(capsys, "exercises", course, "--check", "--puzzles", 20)
    assert status == 1
    assert said in out
    assert out.endswith("0 of 1 exercises are fit, in 20 puzzles each\n")


def test_a_new_course_has_nbgrader_s_configuration(course: Path) -> None:
    for folder in (course, ROOT):
        assert (folder / "solutions" / "nbgrader_config.py").read_text() == NBGRADER_CONFIG


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
        ("mail,name\na@b,A\n", "line 1: has no column named id, but: mail, name"),
        ("id\nann\nbob\nann\n", "line 4: id: ann: is there twice, first in line 2"),
        ("id\nann\nAnn\n", "line 3: id: Ann: differs from that of line 2 in case only"),
        ("id,name\nann,Example, Ann\n", "line 2: has 3 cells, line 1 has 2: put a text with a"),
        ("id\n" + "x" * 200_000, "line 2: field larger than field limit"),
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


ROSTERS = {
    "commas": b"id,name\n007,Jos\xc3\xa9\n",
    "Excel's semicolons, mark, line ends and empty lines": (
        b"\xef\xbb\xbfID; Name \r\n007;Jos\xc3\xa9\r\n\r\n ; \r\n"
    ),
    "tabs in UTF-16": "id\tname\n007\tJosé\n".encode("utf-16"),
    "Moodle's participants": "Full name,ID number\nJosé,007\n".encode(),
    "Canvas's gradebook": (
        "Student,ID,SIS User ID,SIS Login ID,Section,w1 (12)\n,,,,,Manual Posting\n"
        "    Points Possible,,,,,10\nJosé,007,s7,jo,A,\n"
    ).encode(),
}


@pytest.mark.parametrize("name", ROSTERS)
def test_a_roster_is_read_as_spreadsheets_and_courses_write_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_bytes(ROSTERS[name])
    roster = read_roster(tmp_path / "roster.csv")
    assert {student: about["name"] for student, about in roster.items()} == {"007": "José"}
    if "Canvas" in name:
        about = {"canvas_id": "007", "sis_id": "s7", "login": "jo", "section": "A"}
        assert roster["007"].items() >= about.items()


def test_some_exercises_of_a_course_are_released_and_a_wrong_name_is_one_line(
    course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_exercise(course, "02_other")
    out = tmp_path / "out"
    assert run(capsys, "release", out, "--course", course, "--exercises", "02, ")[0] == 0
    assert [path.name for path in out.glob("*.ipynb")] == ["02_other.ipynb"]
    status, _, err = run(capsys, "release", out, "--course", course, "--exercises", "2")
    assert (status, "2: is no exercise; there are" in err) == (2, True)


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

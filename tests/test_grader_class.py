"""A class graded from end to end: thirty students, two of them hostile; killed, and gone on."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pytest

from memsim.cli import main
from memsim.lab.grader import judged
from memsim.lab.grader.audit import AuditLog
from memsim.lab.grader.course_run import Class, grade_class
from memsim.lab.grader.eta import Eta
from memsim.lab.grader.journal import Journal
from memsim.lab.grader.results import Intake, grader_failed
from memsim.lab.release import release_class
from memsim.lab.skeleton import new_exercise
from memsim.words.errors import BadInput
from tests.grading import (
    HALF,
    NAME,
    NO_WALLS,
    RIGHT,
    SECRET,
    SQUARED,
    class_of,
    expected,
    scores,
    write,
)

pytestmark = pytest.mark.skipif(NO_WALLS, reason="no sandbox here: neither bwrap nor Landlock")


def test_thirty_students_two_of_them_hostile(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 30)
    graded = grade_class(about, handed_in, tmp_path / "out")
    assert scores(tmp_path / "out") == expected(30)
    assert graded.newly == 30
    assert {r.student: r.mistake for r in graded.results}["s05"] == "squared"
    made = tmp_path / "out" / "grades-moodle.csv"
    rows = list(csv.reader(made.read_text().splitlines()))
    assert len(rows) == 31
    feedback = (tmp_path / "out" / "feedback" / "s03.html").read_text()
    assert "4 of 4" in feedback
    assert (tmp_path / "out" / "class.html").stat().st_size > 1000


def test_a_second_run_grades_nothing_again_and_a_regrade_gives_the_same(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 4)
    first = grade_class(about, handed_in, tmp_path / "out")
    assert grade_class(about, handed_in, tmp_path / "out").newly == 0
    again = grade_class(about, handed_in, tmp_path / "out", regrade=True)
    assert again.newly == 4
    assert [r.score for r in again.results] == [r.score for r in first.results]
    with Journal(tmp_path / "out" / "journal.sqlite") as journal:
        assert len(journal.history("s03", NAME)) == 2


def test_what_is_handed_in_again_is_graded_again(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 5)
    grade_class(about, handed_in, tmp_path / "out")
    notebook: Any = nbformat.read(handed_in / "s04" / f"{NAME}.ipynb", 4)
    (cell,) = [c for c in notebook.cells if c.source == HALF]
    cell.source = RIGHT
    nbformat.write(notebook, handed_in / "s04" / f"{NAME}.ipynb")
    assert grade_class(about, handed_in, tmp_path / "out").newly == 1
    assert scores(tmp_path / "out")["s04"] == 4.0


def test_killed_three_times_it_goes_on_and_grades_the_same(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 24)
    (tmp_path / "secret").write_bytes(SECRET)
    command = [sys.executable, "-m", "memsim.cli", "grade", handed_in, "--course", about.course,
               "--roster", tmp_path / "roster.csv", "--secret", tmp_path / "secret",
               "--out", tmp_path / "out", "--jobs", "2", "--json"]  # fmt: skip
    for _ in range(3):
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        time.sleep(3)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["results"]
    assert {row["student"]: row["score"] for row in told} == expected(24)
    with Journal(tmp_path / "out" / "journal.sqlite") as journal:
        assert len(journal) == 24


def test_any_executor_will_do(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 4)
    with ThreadPoolExecutor(2) as pool:
        grade_class(about, handed_in, tmp_path / "out", executor=pool)
        assert pool.submit(int).result() == 0, "it was left open"
    assert scores(tmp_path / "out") == expected(4)


def test_who_handed_in_nothing_has_no_points_and_is_told(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 4)
    (handed_in / "s03" / f"{NAME}.ipynb").unlink()
    graded = grade_class(about, handed_in, tmp_path / "out")
    (row,) = [r for r in graded.results if r.student == "s03"]
    assert (row.score, row.outcome) == (0, "missing")


def test_what_nobody_can_read_has_no_grade_and_the_rest_is_graded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, handed_in = class_of(tmp_path, 4)
    (handed_in / "s03" / f"{NAME}.ipynb").write_text("{")
    (tmp_path / "secret").write_bytes(SECRET)
    status = main(["grade", str(handed_in), "--course", str(about.course), "--out",
                   str(tmp_path / "out"), "--roster", str(tmp_path / "roster.csv"),
                   "--secret", str(tmp_path / "secret")])  # fmt: skip
    said = capsys.readouterr().out
    assert status == 1
    assert "s03: 0 of 0, 1 without a grade" in said
    assert "look at: s03 01_double: " in said
    assert scores(tmp_path / "out")["s02"] == 0.0


def test_the_log_is_whole_and_a_changed_line_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, handed_in = class_of(tmp_path, 3)
    grade_class(about, handed_in, tmp_path / "out")
    log = tmp_path / "out" / "audit.jsonl"
    assert main(["grade", "--verify", str(log)]) == 0
    assert "4 lines, whole" in capsys.readouterr().out
    log.write_text(log.read_text().replace('"score": 0.0', '"score": 4.0', 1))
    assert main(["grade", "--verify", str(log)]) == 1


def test_a_judge_that_fails_costs_one_grade_and_no_points(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 6)
    folder = about.author(NAME)
    cases = (folder / "cases.py").read_text()
    (folder / "cases.py").write_text(cases.replace('"group"', '"compare": "mine", "group"'))
    (folder / "judge.py").write_text(
        "def mine(expected, got):\n"
        "    assert got != 9, 'no such answer'\n"
        "    return 1.0 if got == expected else 0.0\n"
    )
    notebook: Any = nbformat.read(handed_in / "s04" / f"{NAME}.ipynb", 4)
    (cell,) = [c for c in notebook.cells if c.source == HALF]
    cell.source = "def answers(given):\n    return [9] * 4\n"
    nbformat.write(notebook, handed_in / "s04" / f"{NAME}.ipynb")
    graded = grade_class(about, handed_in, tmp_path / "out")
    found = {result.student: (result.score, result.outcome) for result in graded.results}
    assert found["s03"] == (4.0, "ran")
    assert found["s04"] == (None, "grader failed")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("while True: pass", "judge.py: took more than 0.5 s"),
        ("10 ** 10 ** 9", "judge.py: took more than 0.5 s"),
        ("bytearray(1 << 40)", "judge.py: MemoryError"),
        ("raise SystemExit", "judge.py: ended its process"),
        ("raise RuntimeError(expected)", "judge.py: RuntimeError: "),
    ],
)
def test_a_judge_is_bounded_and_what_it_dies_of_is_not_told_to_students(
    does: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judged, "SECONDS", 0.5)
    about, handed_in = class_of(tmp_path, 4)
    folder = about.author(NAME)
    cases = (folder / "cases.py").read_text()
    (folder / "cases.py").write_text(cases.replace('"group"', '"compare": "mine", "group"'))
    (folder / "judge.py").write_text(
        f"def mine(expected, got):\n    if got is True:\n        {does}\n"
        "    return 1.0 if got == expected else 0.0\n"
    )
    write_over(handed_in / "s02" / f"{NAME}.ipynb", "def answers(given):\n    return [True] * 4\n")
    graded = grade_class(about, handed_in, tmp_path / "out", jobs=1)
    found = {result.student: result for result in graded.results}
    assert found["s03"].score == 4.0
    assert (found["s02"].score, found["s02"].outcome) == (None, "grader failed")
    assert said in found["s02"].flags[0]
    assert "judge.py" not in (tmp_path / "out" / "feedback" / "s02.html").read_text()


def write_over(path: Path, source: str) -> None:
    """Another answer than the one that was written."""
    notebook: Any = nbformat.read(path, 4)
    (answer,) = [cell for cell in notebook.cells if cell.source in (RIGHT, HALF, SQUARED)]
    answer.source = source
    nbformat.write(notebook, path)


def test_a_link_that_was_handed_in_is_no_hole_in_the_sandbox(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 3)
    (handed_in / "0").symlink_to(os.__file__)
    deep = handed_in / "00"
    for _ in range(40):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert len(grade_class(about, handed_in, tmp_path / "out").results) == 3


def test_a_cell_that_fails_is_the_reason_and_costs_none_who_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, handed_in = class_of(tmp_path, 4)
    write_over(handed_in / "s02" / f"{NAME}.ipynb", "print('so')\ndef answers(given)\n    1")
    write_over(handed_in / "s03" / f"{NAME}.ipynb", f"{RIGHT}\n1 / 0")
    grade_class(about, handed_in, tmp_path / "out")
    with Journal(tmp_path / "out" / "journal.sqlite") as journal:
        ((wrong,), (right,)) = (journal.history(student, NAME) for student in ("s02", "s03"))
    assert (right.score, right.reason, right.flags) == (4.0, "", ())
    assert "cell 2: raises ZeroDivisionError" in right.printed
    assert wrong.reason == "cell 2 raised SyntaxError: expected ':' (<cell 2>, line 2)"
    page = (tmp_path / "out" / "feedback" / "s02.html").read_text()
    assert page.index("cell 2 raised SyntaxError") < page.index("<table")
    assert "run the cell that defines it" not in page
    assert html.escape(wrong.reason) in (tmp_path / "out" / "class.html").read_text()
    assert main(["grade", "--course", str(about.course), "--out", str(tmp_path / "out"), "--why",
                 "s02"]) == 0  # fmt: skip
    assert f"  flag: {wrong.reason}" in capsys.readouterr().out


def test_from_another_folder_it_is_said_where_it_looks_and_what_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handed-in").mkdir()
    for command in (["grade", "handed-in"], ["release", "out"], ["exercises", "."]):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert f"{tmp_path / 'solutions'}: there are no notebooks in it; " in err
        assert ("--course DIR" in err, err.count("\n")) == (True, 1)


def test_a_large_answer_is_not_kept_whole(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 3)
    write_over(handed_in / "s02" / f"{NAME}.ipynb",
               "def answers(given):\n    return ['x' * 60_000] * 4\n")  # fmt: skip
    grade_class(about, handed_in, tmp_path / "out")
    with Journal(tmp_path / "out" / "journal.sqlite") as journal:
        (row,) = journal.history("s02", NAME)
    assert {len(case["got"]) for case in row.cases} == {2050}


def test_of_two_graders_at_once_one_is_refused(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 2)
    (tmp_path / "out").mkdir()
    with (
        closing(AuditLog(tmp_path / "out" / "audit.jsonl")),
        pytest.raises(BadInput, match="another grader is writing it"),
    ):
        grade_class(about, handed_in, tmp_path / "out")


def test_a_killed_grader_leaves_no_process(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 4)
    for student in ("s02", "s03"):
        write_over(handed_in / student / f"{NAME}.ipynb", "while True: pass")
    command = [sys.executable, "-c", "import sys; from memsim.cli import main; main(sys.argv[1:])",
               "grade", str(handed_in), "--course", str(about.course), "--jobs", "2",
               "--out", str(tmp_path / "out")]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    time.sleep(2.5)
    process.kill()
    process.communicate(timeout=5)  # whoever is left holds the other end


def test_an_exercise_that_contradicts_itself_is_one_line(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 2)
    (about.course / "solutions" / "cases" / NAME / "exercise.json").write_text("{}")
    with pytest.raises(BadInput, match="level: is missing"):
        grade_class(about, handed_in, tmp_path / "out")


def test_nothing_to_grade_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new_exercise(tmp_path / "course", NAME)
    (tmp_path / "empty").mkdir()
    for arguments in ([], [str(tmp_path / "nowhere")], [str(tmp_path / "empty")]):
        assert main(["grade", *arguments, "--course", str(tmp_path / "course")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_another_secret_or_none_grades_nothing_and_takes_no_grade(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, handed_in = class_of(tmp_path, 4)
    for name, secret in (("right", SECRET), ("wrong", SECRET[::-1])):
        (tmp_path / name).write_bytes(secret)
    command = ["grade", str(handed_in), "--course", str(about.course), "--out",
               str(tmp_path / "out"), "--roster", str(tmp_path / "roster.csv")]  # fmt: skip
    assert main([*command, "--secret", str(tmp_path / "right")]) == 0
    capsys.readouterr()
    for more, said in (
        (["--secret", str(tmp_path / "wrong")], "draws other puzzles; give the --secret of before"),
        ([], "without a secret, which draws other puzzles"),
    ):
        assert main([*command, *more]) == 2
        *notes, err = capsys.readouterr().err.splitlines()
        assert said in err
        assert len(notes) == (not more)
    assert scores(tmp_path / "out") == expected(4)
    assert SECRET not in (tmp_path / "out" / "journal.sqlite").read_bytes()


def test_with_a_roster_and_no_secret_all_have_the_public_puzzle_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, handed_in = class_of(tmp_path, 4)
    assert main(["grade", str(handed_in), "--course", str(about.course), "--out",
                 str(tmp_path / "out"), "--roster", str(tmp_path / "roster.csv")]) == 0  # fmt: skip
    assert scores(tmp_path / "out")["s03"] == 4.0
    assert "roster.csv: no --secret: everybody is graded with" in capsys.readouterr().err


def test_a_file_that_is_no_notebook_is_no_grade_until_the_notebook_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, handed_in = class_of(tmp_path, 4)
    (tmp_path / "secret").write_bytes(SECRET)
    notebook = handed_in / "s03" / f"{NAME}.ipynb"
    kept = notebook.read_bytes()
    notebook.unlink()
    (handed_in / "s03" / "scan<b>.jpg").write_bytes(b"")
    command = ["grade", str(handed_in), "--course", str(about.course), "--out",
               str(tmp_path / "out"), "--roster", str(tmp_path / "roster.csv"),
               "--secret", str(tmp_path / "secret")]  # fmt: skip
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "s03: 0 of 0, 1 without a grade" in said
    assert f"look at: s03 {NAME}: what was handed in is no notebook that can be read" in said
    assert "look at: s03/scan<b>.jpg: is no notebook that can be read" in said
    assert "scan&lt;b&gt;.jpg" in (tmp_path / "out" / "feedback" / "s03.html").read_text()
    (handed_in / "s03" / "scan<b>.jpg").unlink()
    assert main(command) == 0
    assert scores(tmp_path / "out")["s03"] == 0
    notebook.write_bytes(kept)
    assert main(command) == 0
    assert scores(tmp_path / "out") == expected(4)


def test_what_is_not_handed_in_again_keeps_its_grade(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 5)
    (handed_in / "s04" / f"{NAME}.ipynb").unlink()
    answerless = handed_in / "s03" / f"{NAME}.ipynb"
    answerless.write_text(answerless.read_text().replace('"grade_id": "answer"', '"grade_id": ""'))
    first = grade_class(about, handed_in, tmp_path / "out")
    assert {r.student: r.score for r in first.results}["s04"] == 0
    release_class(about.course, tmp_path / "late", ["s04"], SECRET)
    write(tmp_path / "late" / "s04" / f"{NAME}.ipynb", RIGHT)
    late = grade_class(about, tmp_path / "late", tmp_path / "out")
    assert late.newly == 1
    before = {r.student: (r.score, r.flags) for r in first.results}
    assert {r.student: (r.score, r.flags) for r in late.results} == before | {"s04": (4.0, ())}
    assert "the answer cell is missing" in before["s03"][1]


def test_files_of_a_namesake_take_no_grade_away(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 4)
    for student in ("s00", "s03"):
        about.roster[student]["name"] = "Ann Example"
    first = grade_class(about, handed_in, tmp_path / "out")
    os.rename(handed_in / "s03", handed_in / "Ann Example_7_assignsubmission_file_")
    again = grade_class(about, handed_in, tmp_path / "out")
    assert (again.newly, again.has_strays) == (0, True)
    assert [r.score for r in again.results] == [r.score for r in first.results]


def test_an_exercise_that_was_not_set_is_nobody_s_0(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 4)
    new_exercise(about.course, "02_other")
    release_class(about.course, handed_in, ["s03"], SECRET)
    set_ = Class(about.course, about.roster, SECRET, "01")
    graded = grade_class(set_, handed_in, tmp_path / "out")
    assert {result.exercise for result in graded.results} == {NAME}
    other = grade_class(Class(about.course, about.roster, SECRET, "02"), handed_in, tmp_path / "o")
    assert {result.exercise for result in other.results} == {"02_other"}
    with pytest.raises(BadInput, match="03: is no exercise; there are 01_double, 02_other"):
        grade_class(Class(about.course, about.roster, SECRET, "03"), handed_in, tmp_path / "x")


def test_why_tells_an_instructor_each_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about, handed_in = class_of(tmp_path, 5)
    release_class(about.course, tmp_path / "again", ["s03"], SECRET)
    write(tmp_path / "again" / "s03" / f"{NAME}.ipynb", "print('so\\x1b[2J')\n" + HALF)
    os.replace(*(folder / "s03" / f"{NAME}.ipynb" for folder in (tmp_path / "again", handed_in)))
    grade_class(about, handed_in, tmp_path / "out")
    command = ["grade", "--course", str(about.course), "--out", str(tmp_path / "out"), "--why"]
    assert main([*command, "s03"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"s03 {NAME}: 2 of 4 points, ran\n")
    assert said.count("  right ") == said.count("  wrong ") == 2
    assert "expected " in said
    assert "printed: so[2J" in said
    assert (main([*command, "eve"]), capsys.readouterr().err.count("\n")) == (2, 1)
    page = (tmp_path / "out" / "feedback" / "s03.html").read_text()
    assert "<summary>What your code printed</summary><pre>so[2J" in page
    assert "2 of 4 cases are right" in page


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_of_a_terminal_and_none_of_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = grader_failed(Intake("s01", "an_exercise_of_a_long_name" * 3, (), (), ""), 1, "", "")
    for out, lines in ((Terminal(), 1), (io.StringIO(), 0)):
        with Eta(out) as eta:
            eta(1, 3, result)
            eta(2, 3, result)
        said = out.getvalue()
        assert (said.count("\n"), said.count("2 of 3")) == (0, lines)
        assert all(len(part) < 40 for part in said.split("\r\033[K"))
        assert said.endswith("\r\033[K") or not lines

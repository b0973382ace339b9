"""The journal loses no result and has none twice, whatever kills the grader; the log is whole."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from memsim.cli import main
from memsim.lab.grader import journal as journal_module
from memsim.lab.grader.audit import START, AuditLog, verify
from memsim.lab.grader.journal import Journal, key_of
from memsim.lab.grader.results import (
    ASIDE,
    GRADER_FAILED,
    MISSING,
    NOTHING,
    RAN,
    UNREADABLE,
    UNSURE,
    Intake,
    Result,
    as_json,
    grader_failed,
    not_run,
    of_json,
)
from memsim.lab.grader.verified import verify_beside
from memsim.lab.variants import fingerprint_of
from memsim.words.errors import BadInput
from tests.submissions import NAME

RESULT = Result(
    "ada", NAME, 3.5, 4, RAN, ("a flag",), [{"name": "x", "got": [1]}], "", "k", "bwrap", 0.1
)

# A grader whose runner is slow: each result takes a moment, and a line says that it is in.
SLOW = """
import sys, time
from pathlib import Path
from memsim.lab.grader.journal import Journal
from memsim.lab.grader.results import RAN, Result

path, count, pause, regrade = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
tasks = [(f"s{n:03}", f"{e:02}_x", f"key {n} {e}") for n in range(count // 3) for e in range(3)]
with Journal(Path(path)) as journal:
    run = journal.begin(regrade=bool(regrade))
    done = journal.done(run)
    for task in tasks:
        if task in done:
            continue
        time.sleep(pause)
        student, exercise, key = task
        score = float(sum(map(ord, student + exercise)) % 9)
        cases = [{"name": "c" * 300, "got": list(range(50))}]
        journal.add(run, Result(student, exercise, score, 8, RAN, (), cases, "", key, "fake", 0.0))
        print(student, flush=True)
    journal.end(run)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def slow_grader(path: Path, count: int, pause: float, *regrade: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", SLOW, str(path), str(count), str(pause), *regrade]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen[str], lines: int) -> None:
    """kill -9 in the middle of a result, when so many have been told."""
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate()
    assert process.returncode == 0


@pytest.mark.alone
def test_three_kills_lose_nothing_and_nothing_is_there_twice(path: Path, tmp_path: Path) -> None:
    told = 0
    for lines in (40, 1, 90):
        kill_after(slow_grader(path, 300, 0.002), lines)
        told += lines
        with Journal(path) as journal:
            assert told <= len(journal) < 300
            told = len(journal)
    finish(slow_grader(path, 300, 0))
    finish(slow_grader(tmp_path / "whole.sqlite", 300, 0))
    with Journal(path) as killed, Journal(tmp_path / "whole.sqlite") as whole:
        assert len(killed) == len(whole) == 300
        assert list(killed.results()) == list(whole.results())


@pytest.mark.alone
def test_a_regrade_that_is_killed_goes_on_and_old_rows_stay(path: Path) -> None:
    finish(slow_grader(path, 60, 0))
    kill_after(slow_grader(path, 60, 0.002, "regrade"), 20)
    finish(slow_grader(path, 60, 0, "regrade"))
    with Journal(path) as journal:
        assert len(journal) == 120
        assert len(list(journal.results())) == 60
        assert len(journal.history("s000", "00_x")) == 2
    finish(slow_grader(path, 60, 0, "regrade"))
    finish(slow_grader(path, 60, 0))
    with Journal(path) as journal:
        assert len(journal) == 180


def test_two_graders_at_once_have_no_result_twice(path: Path) -> None:
    both = [slow_grader(path, 60, 0.001) for _ in range(2)]
    for process in both:
        finish(process)
    with Journal(path) as journal:
        assert len(journal) == len(list(journal.results())) == 60


def test_others_read_while_it_is_written(path: Path) -> None:
    with Journal(path) as writer, Journal(path) as reader:
        writer.add(writer.begin(), RESULT)
        assert list(reader.results()) == [RESULT]
        assert sqlite3.connect(path).execute("pragma journal_mode").fetchone() == ("wal",)


def test_what_is_added_comes_back_as_it_was(path: Path) -> None:
    intake = Intake("bob", NAME, (), ("odd",), "", "the answer cell is missing", MISSING)
    odd = [
        not_run(intake, 4, "k"),
        not_run(replace(intake, student="eve", outcome=UNREADABLE), 4, "k"),
    ]
    text = [
        {"got": "\ud800 \x00 \u2028 '); drop table result", "expected": {"1": [None, True, 1.5]}}
    ]
    every = sorted([replace(RESULT, cases=text), *odd], key=lambda result: result.student)
    with Journal(path) as journal:
        run = journal.begin()
        assert all(journal.add(run, result) for result in every)
    with Journal(path) as again:
        assert list(again.results()) == every
    assert [(result.score, result.flags) for result in odd] == [
        (0.0, ("the answer cell is missing", "odd")),
        (None, ("the answer cell is missing", "odd")),
    ]


def test_the_newest_counts_also_where_an_older_submission_comes_back(path: Path) -> None:
    first, second = (
        replace(RESULT, key="first", score=1.0),
        replace(RESULT, key="second", score=2.0),
    )
    with Journal(path) as journal:
        run = journal.begin()
        assert [journal.add(run, r) for r in (first, first, second, second, first)] == [
            True, False, True, False, True,
        ]  # fmt: skip
        assert journal.done(run) == {("ada", NAME, "first")}
        assert list(journal.results()) == [first]
        assert journal.history("ada", NAME) == [first, second, first]


def test_what_the_grader_failed_at_is_tried_again_and_is_never_0(path: Path) -> None:
    intake = Intake("ada", NAME, ("x",), (), "abc")
    failed = grader_failed(intake, 4, "k", "bwrap: no space")
    with Journal(path) as journal:
        run = journal.begin()
        assert journal.add(run, failed)
        assert (failed.score, failed.outcome) == (None, GRADER_FAILED)
        assert journal.done(run) == set()
        assert journal.add(run, RESULT)
        assert not journal.add(run, RESULT)
        assert journal.done(run) == {("ada", NAME, "k")}
        assert list(journal.results()) == [RESULT]


def test_a_grader_that_fails_at_a_regrade_takes_no_grade_away_and_it_is_flagged(path: Path) -> None:
    failed = grader_failed(Intake("ada", NAME, ("x",), (), "abc"), 4, "k", "judge.py: took long")
    better = replace(RESULT, score=3.0)
    with Journal(path) as journal:
        journal.add(journal.begin(), RESULT)
        journal.end(1)
        journal.add(journal.begin(regrade=True), failed)
        (kept,) = journal.results()
        assert (kept.score, kept.outcome, kept.cases) == (RESULT.score, "ran", RESULT.cases)
        assert kept.flags == (
            "graded again since, and the grader failed at it: this is the result before",
            *RESULT.flags,
        )
        assert journal.done(2) == set(), "it is tried again"
        journal.add(2, better)
        assert list(journal.results()) == [better]


def test_a_run_that_ended_begins_anew_only_to_regrade(path: Path) -> None:
    with Journal(path) as journal:
        assert [journal.begin(), journal.begin(), journal.begin(regrade=True)] == [1, 1, 1]
        journal.end(1)
        assert journal.begin() == 1
        journal.end(1)
        assert [journal.begin(regrade=True), journal.begin()] == [2, 2]


def test_the_key_is_of_submission_cases_grader_and_python(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key_of("a", "cases"), key_of("b", "cases"), key_of("a", "others")}
    monkeypatch.setattr(journal_module, "GRADER", 2)
    keys.add(key_of("a", "cases"))
    monkeypatch.setattr(journal_module.platform, "python_version", lambda: "4.0")
    keys.add(key_of("a", "cases"))
    assert len(keys) == 5
    assert key_of("a", "cases") == key_of("a", "cases")


def no_database(path: Path) -> None:
    path.write_bytes(b"hello " * 1000)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table bookmarks (url)")


def of_another_version(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("pragma user_version = 99")


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_database, "file is not a database"),
        (of_another_program, "is no journal of this grader"),
        (of_another_version, "is no journal of this grader"),
        (a_folder, "unable to open database file"),
    ],
)
def test_what_is_no_journal_is_one_line_and_stays(
    make: Callable[[Path], None], said: str, path: Path
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(BadInput, match=said):
        Journal(path)
    assert before == (path.read_bytes() if path.is_file() else b"")


@pytest.mark.parametrize(
    "change",
    [
        "'{}'",
        "json_set(result, '$.score', 'x')",
        "json_set(result, '$.student', 5)",
        "json_set(result, '$.flags', json('[5]'))",
        "json_set(result, '$.cases', json('[5]'))",
    ],
)
def test_a_result_that_is_none_is_one_line(change: str, path: Path) -> None:
    with Journal(path) as journal:
        journal.add(journal.begin(), RESULT)
        with sqlite3.connect(path) as database:
            database.execute(f"update result set result = {change}")
        with pytest.raises(BadInput, match="is no result of this grader"):
            list(journal.results())
    with pytest.raises(BadInput, match="is no result"):
        of_json({**as_json(RESULT), "outcome": "splendid"}, "x")
    assert of_json(json.loads(json.dumps(as_json(RESULT))), "x") == RESULT


# A full disk is a limit on the size of files in a process of its own.

FULL = """
import resource, signal, sys
from dataclasses import replace
from pathlib import Path
from memsim.lab.grader.audit import AuditLog
from memsim.lab.grader.journal import Journal
from memsim.words.errors import BadInput
from tests.test_grader_journal import RESULT

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
what, path = sys.argv[1], Path(sys.argv[2])
added = 0
try:
    if what == "journal":
        journal = Journal(path)
        run = journal.begin()
        while True:
            journal.add(run, replace(RESULT, key=str(added)))
            added += 1
    log = AuditLog(path)
    while True:
        log.add({"n": added, "text": "x" * 777})
        added += 1
except BadInput as error:
    print(added, error)
"""


@pytest.mark.parametrize(("what", "said"), [("journal", "disk"), ("audit", "No space left")])
def test_a_full_disk_is_one_line_and_what_was_added_stays(
    what: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / what
    ran = subprocess.run(
        [sys.executable, "-c", FULL, what, str(path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    added, _, line = ran.stdout.strip().partition(" ")
    assert line.startswith(f"{path}: ")
    assert said in line
    assert "\n" not in line
    assert int(added) > 5
    if what == "journal":
        with Journal(path) as journal:
            assert len(journal) == int(added)
            assert journal.add(journal.begin(), RESULT)
    else:
        assert (verify(path).lines, verify(path).problem) == (int(added), "")
        AuditLog(path).add({})
        assert verify(path).problem == ""


# What it knows of itself.


def test_a_journal_is_of_one_secret_and_of_its_fingerprint_alone(path: Path) -> None:
    first, other = fingerprint_of(b"s" * 16), fingerprint_of(b"t" * 16)
    assert len({first, other, fingerprint_of(None)}) == 3
    with Journal(path) as journal:
        journal.hold_to(first)
    with Journal(path) as journal:
        journal.hold_to(first)
        for wrong, said in ((other, f"with the secret {other}"), ("", "without a secret")):
            with pytest.raises(BadInput, match=f"was graded with the secret {first}, .* {said}"):
                journal.hold_to(wrong)
        assert journal.add(journal.begin(), RESULT)
    assert b"s" * 16 not in path.read_bytes()


def test_a_journal_without_a_secret_stays_without(path: Path) -> None:
    with Journal(path) as journal:
        journal.hold_to("")
        with pytest.raises(BadInput, match="was graded without a secret, and this is with the"):
            journal.hold_to(fingerprint_of(b"s" * 16))


def test_a_journal_of_before_is_read_and_given_the_first_secret_that_comes(path: Path) -> None:
    with Journal(path) as journal:
        journal.add(journal.begin(), RESULT, "a head")
    with sqlite3.connect(path) as database:
        database.execute("drop table about")
        database.execute("update result set result = json_remove(result, '$.reason', '$.printed')")
    with Journal(path) as journal:
        assert (list(journal.results()), journal.head) == ([RESULT], "")
        journal.hold_to(fingerprint_of(b"s" * 16))
    with Journal(path) as journal, pytest.raises(BadInput, match="other puzzles"):
        journal.hold_to("")


def test_no_grade_for_files_nobody_can_read_gives_way_to_what_comes_later(path: Path) -> None:
    with Journal(path) as journal:
        run = journal.begin()
        for problem in (NOTHING, UNSURE, ASIDE):
            none = Intake("ada", NAME, (), ("x",), problem, problem, UNREADABLE)
            assert journal.add(run, not_run(none, 4, problem))
        assert journal.handed_in() == set()
        journal.add(run, RESULT)
        assert journal.handed_in() == {("ada", NAME)}


# The audit log.


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path)
    for n in range(5):
        audit.add_result(replace(RESULT, score=float(n)), "f" * 64, "teacher")
    audit.close()
    return path


def test_a_log_that_nobody_touched_is_whole(log: Path) -> None:
    found = verify(log)
    assert (found.lines, found.problem) == (5, "")
    again = AuditLog(log)
    assert again.head == found.head
    again.add({"event": "graded"})
    assert verify(log).lines == 6
    assert verify(log, found.head).problem == ""
    told = json.loads(log.read_text().splitlines()[4])
    assert told["previous"] == json.loads(log.read_text().splitlines()[3])["hash"]
    assert (told["who"], told["student"], told["score"], told["mode"]) == (
        "teacher",
        "ada",
        4,
        "bwrap",
    )
    assert told["submission"] == "f" * 64


def changed(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[2].replace('"score": 2.0', '"score": 4.0'), *lines[3:]]


def changed_with_its_hash(lines: list[str]) -> list[str]:
    told = json.loads(changed(lines)[2])
    del told["hash"]
    told["hash"] = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return [*lines[:2], json.dumps(told), *lines[3:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed, "line 3: was changed"),
        (changed_with_its_hash, "line 4: does not follow the line before"),
        (lambda lines: lines[:2] + lines[3:], "line 3: does not follow the line before"),
        (lambda lines: lines[1:], "line 1: does not follow the line before"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "line 4: does not follow"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1: does not follow"),
        (lambda lines: [*lines[:3], "", *lines[3:]], "line 4: is none of an audit log"),
        (lambda lines: [*lines[:3], "[]", *lines[3:]], "line 4: is none of an audit log"),
        (lambda lines: [*lines[:3], "[" * 9999, *lines[3:]], "line 4: is none of an audit log"),
    ],
)
def test_a_changed_log_is_seen(
    change: Callable[[list[str]], list[str]], said: str, log: Path
) -> None:
    lines = change(log.read_text().splitlines())
    log.write_text("".join(f"{line}\n" for line in lines))
    assert verify(log).problem.startswith(said)


def test_what_is_cut_off_at_the_end_is_seen_by_the_head(log: Path) -> None:
    head = verify(log).head
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:3]))
    assert verify(log).problem == ""
    assert verify(log, head).problem == f"the line with the hash {head} is gone"


def beside(log: Path, results: int, head: str = "") -> None:
    """A journal of so many results, which knows that head."""
    with Journal(log.with_name("journal.sqlite")) as journal:
        for n in range(results):
            journal.add(journal.begin(), replace(RESULT, key=str(n)), head)


@pytest.mark.parametrize("knows_head", [True, False])
def test_what_is_cut_off_at_the_end_is_seen_by_the_journal_beside_it(
    knows_head: bool, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside(log, 5, verify(log).head if knows_head else "")
    whole = log.read_text().splitlines(keepends=True)
    assert main(["grade", "--verify", str(log)]) == 0
    assert "5 lines, whole; its head is " in capsys.readouterr().out
    log.write_text("".join(whole[:3]))
    assert main(["grade", "--verify", str(log)]) == 1
    said = "3 lines, its end is gone: journal.sqlite has 5 results, the log 3; its head"
    assert said in capsys.readouterr().out
    log.write_text("".join([*whole[:2], *whole[3:]]))
    assert verify_beside(log).problem.startswith("line 3: does not follow")


def test_a_line_that_is_no_grade_is_missed_too(log: Path) -> None:
    whole = log.read_text()
    beside(log, 5, AuditLog(log).add({"event": "began"}))
    assert verify_beside(log).problem == ""
    log.write_text(whole)
    assert verify_beside(log).problem.startswith("its end is gone")


def test_without_a_journal_the_head_is_asked_for(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = verify(log).head
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:3]))
    assert main(["grade", "--verify", str(log)]) == 0
    assert "no journal.sqlite is beside it, so lines may be gone" in capsys.readouterr().out
    assert main(["grade", "--verify", str(log), "--head", head]) == 1
    assert f"the line with the hash {head} is gone" in capsys.readouterr().out


def test_a_torn_last_line_is_cut_and_told(log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"at": "2026')
    assert verify(log).problem == "line 6: is not whole"
    AuditLog(log).close()
    assert verify(log).problem == ""
    assert json.loads(log.read_text().splitlines()[5])["event"] == "torn"


def test_a_new_log_begins_the_chain_and_no_log_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    assert AuditLog(path).head == START
    assert (verify(path).lines, verify(path).problem) == (0, "")
    path.write_text("hello\n")
    with pytest.raises(BadInput, match="its last line is none of an audit log"):
        AuditLog(path)
    for other in (tmp_path, tmp_path / "no" / "such"):
        with pytest.raises(BadInput, match=r"Is a directory|No such file"):
            AuditLog(other)
    with pytest.raises(BadInput, match="No such file"):
        verify(tmp_path / "none")
    with pytest.raises(BadInput, match="too long for the log"):
        AuditLog(tmp_path / "new").add({"x": "y" * (1 << 20)})

"""Many submissions: on more than one machine, killed and gone on, graded again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memsim.cli import main
from memsim.lab.grader import more_machines
from memsim.lab.grader.course_run import grade_class
from memsim.lab.grader.journal import Journal
from memsim.lab.grader.more_machines import dask_executor
from memsim.words.errors import BadInput
from tests.grading import NAME, NO_WALLS, SECRET, class_of, expected, scores

pytestmark = pytest.mark.skipif(NO_WALLS, reason="no sandbox here: neither bwrap nor Landlock")


@pytest.fixture
def dask() -> Iterator[str]:
    """A cluster of two workers, on this machine; its address."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    settings: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster:
        yield cluster.scheduler_address


def test_two_workers_of_dask_give_the_same_results(dask: str, tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 40)
    here = grade_class(about, handed_in, tmp_path / "here", jobs=2)
    with dask_executor(dask) as executor:
        there = grade_class(about, handed_in, tmp_path / "there", executor=executor)
    assert [_told(r) for r in there.results] == [_told(r) for r in here.results]
    assert scores(tmp_path / "there") == expected(40)


def _told(result: Any) -> tuple[Any, ...]:
    """A result without how long it took."""
    return (result.student, result.score, result.max, result.outcome, result.flags, result.mistake,
            result.key, result.mode)  # fmt: skip


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(more_machines, "PATIENCE", 1)
    with (
        pytest.raises(BadInput, match=r"--dask: tcp://127\.0\.0\.1:1: "),
        dask_executor("tcp://127.0.0.1:1"),
    ):
        pass


def command(about: Any, tmp_path: Path, handed_in: Path, out: str) -> list[str]:
    (tmp_path / "secret").write_bytes(SECRET)
    parts = [sys.executable, "-m", "memsim.cli", "grade", handed_in, "--course", about.course,
             "--roster", tmp_path / "roster.csv", "--secret", tmp_path / "secret",
             "--out", tmp_path / out, "--jobs", "2", "--json"]  # fmt: skip
    return [str(part) for part in parts]


def rows(folder: Path) -> int:
    """How many results its journal has; 0: there is none yet."""
    if not (folder / "journal.sqlite").exists():
        return 0
    with Journal(folder / "journal.sqlite") as journal:
        return len(journal)


def kill_at(nr_results: int, order: list[str], folder: Path) -> int:
    """Kills the run, and all that it started, when so many results are there; how many are."""
    process = subprocess.Popen(order, start_new_session=True, stdout=subprocess.DEVNULL)
    while rows(folder) < nr_results and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "it ended by itself"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return rows(folder)


@pytest.mark.long
def test_three_hundred_killed_three_times_are_as_if_uninterrupted(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 300)
    order = command(about, tmp_path, handed_in, "killed")
    at = [kill_at(n, order, tmp_path / "killed") for n in (50, 130, 210)]
    done = subprocess.run(order, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(f"killed at {at} results of 300")
    assert at == sorted(set(at))
    assert rows(tmp_path / "killed") == 300, "one each, none double"
    grade_class(about, handed_in, tmp_path / "whole", jobs=2)
    assert scores(tmp_path / "killed") == scores(tmp_path / "whole") == expected(300)
    log = str(tmp_path / "killed" / "audit.jsonl")
    assert main(["grade", "--verify", log]) == 0


@pytest.mark.long
def test_a_thousand_regrades_give_the_same(tmp_path: Path) -> None:
    about, handed_in = class_of(tmp_path, 50)
    for _ in range(20):
        grade_class(about, handed_in, tmp_path / "out", jobs=2, regrade=True)
    with Journal(tmp_path / "out" / "journal.sqlite") as journal:
        assert len(journal) == 1000
        for student in about.roster:
            graded = journal.history(student, NAME)
            assert len(graded) == 20
            assert len({(r.score, r.outcome, r.mistake, r.key) for r in graded}) == 1
    assert scores(tmp_path / "out") == expected(50)

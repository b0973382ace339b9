"""The grader beside nbgrader's autograde, on the same submissions of the same exercise.

    python -m bench.grader [--submissions N] [--nbgrader N] [--jobs N] [--json]

Both are called as an instructor calls them, from the command line, start-up included. memsim grades
every submission behind its walls, case by case in two processes; nbgrader runs notebooks in its
own account, one after another, as that is what it does. --nbgrader 0 leaves it out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.figures import tell
from bench.memory import pss_of_tree
from bench.report import as_data, table
from memsim.lab.grader.journal import Journal
from memsim.lab.grader.results import Result

ROOT = Path(__file__).parents[1]
NAME = "05_buddy_of_a_pfn"
POINTS = 8
PROGRAMS = Path(sys.executable).parent


class WrongGrade(Exception):
    """A grade that is not what the work is worth: nothing else that was measured counts."""


class Row(NamedTuple):
    """A grader; submissions, wall seconds of the whole command, a minute's worth, peak memory."""

    name: str
    submissions: int
    seconds: float
    a_minute: float
    #: Bytes of all its processes together, shared pages counted once.
    peak: int


def hand_in(folder: Path, submissions: int) -> None:
    """So many students' work, as nbgrader collects it: odd ones are right, even ones untouched."""
    right = (ROOT / "solutions" / f"{NAME}.ipynb").read_text(encoding="utf-8")
    untouched = (ROOT / "exercises" / f"{NAME}.ipynb").read_text(encoding="utf-8")
    for number in range(submissions):
        place = folder / student(number) / "memsim"
        place.mkdir(parents=True)
        text = (untouched, right)[number % 2].replace("# ", f"# {number} ", 1)
        (place / f"{NAME}.ipynb").write_text(text, encoding="utf-8")


def student(number: int) -> str:
    """The id of one."""
    return f"student{number:05}"


def due(submissions: int) -> dict[str, float]:
    """What each is to get."""
    return {student(number): POINTS * (number % 2) for number in range(submissions)}


def measure(command: list[str | Path], folder: Path, name: str, submissions: int) -> Row:
    """A command from its start to its end. CalledProcessError: it fails."""
    env = os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "MEMSIM_COURSE": str(ROOT)}
    log = folder / "log"
    began, peak = time.monotonic(), 0
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=file, stderr=file)
        while process.poll() is None:
            peak = max(peak, pss_of_tree(process.pid))
            time.sleep(0.2)
    seconds = time.monotonic() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, name, log.read_bytes()[-2000:])
    return Row(name, submissions, seconds, 60 * submissions / seconds, peak)


def measure_memsim(folder: Path, submissions: int, jobs: int) -> Row:
    """`memsim grade`. WrongGrade."""
    tell(f"memsim: {submissions} submissions")
    hand_in(folder / "submitted", submissions)
    command: list[str | Path] = [PROGRAMS / "memsim", "grade", "submitted", "--course", ROOT,
                                 "--out", "graded", "--jobs", str(jobs)]  # fmt: skip
    row = measure(command, folder, "memsim", submissions)
    check({r.student: r.score for r in _results(folder / "graded")}, submissions)
    return row


def _results(graded: Path) -> list[Result]:
    with Journal(graded / "journal.sqlite") as journal:
        return list(journal.results())


def check(scores: dict[str, float | None], submissions: int) -> None:
    """WrongGrade: somebody has another grade than is due, or none."""
    wrong = [s for s, points in due(submissions).items() if scores.get(s) != points]
    if wrong:
        raise WrongGrade(f"{len(wrong)} wrong of {submissions}: {wrong[0]}: {scores.get(wrong[0])}")


def measure_nbgrader(folder: Path, submissions: int) -> Row:
    """`nbgrader autograde`, one process, its default; the assignment is made before. WrongGrade."""
    tell(f"nbgrader: {submissions} submissions")
    source = folder / "source" / "memsim"
    (source / "cases").mkdir(parents=True)
    shutil.copy(ROOT / "solutions" / f"{NAME}.ipynb", source)
    shutil.copy(ROOT / "exercises" / "cases" / f"{NAME}.json", source / "cases")
    shutil.copy(ROOT / "solutions" / "nbgrader_config.py", folder)
    nbgrader = PROGRAMS / "nbgrader"
    measure([nbgrader, "generate_assignment", "memsim", "--create"], folder, "generate", 1)
    hand_in(folder / "submitted", submissions)
    for number in range(submissions):
        cases = folder / "submitted" / student(number) / "memsim" / "cases"
        shutil.copytree(source / "cases", cases)
    row = measure([nbgrader, "autograde", "memsim", "--create"], folder, "nbgrader", submissions)
    check(_gradebook(folder), submissions)
    return row


def _gradebook(folder: Path) -> dict[str, float | None]:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        return {s.student.id: s.score for s in book.assignment_submissions("memsim")}


def of_grader(rows: list[Row]) -> str:
    """Submissions a minute, how many times the last row's, and memory."""
    slowest = rows[-1].a_minute
    cells = [
        [
            row.name, f"{row.submissions:,}", f"{row.seconds:.1f}", f"{row.a_minute:,.0f}",
            f"×{row.a_minute / slowest:.1f}", f"{row.peak / 1e6:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    head = ["grader", "submissions", "s", "a minute", "ratio", "peak MB"]
    return table(head, cells)


def main(arguments: list[str] | None = None) -> int:
    """Measure; returns the exit status: 0 measured, 1 a wrong grade, 2 a grader that fails."""
    parser = argparse.ArgumentParser(prog="python -m bench.grader", description=__doc__)
    parser.add_argument("--submissions", type=int, default=300, help="for memsim, else 300")
    parser.add_argument("--nbgrader", type=int, default=10, help="of them for nbgrader, else 10")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="of memsim")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        with TemporaryDirectory() as one, TemporaryDirectory() as other:
            rows = [measure_memsim(Path(one), asked.submissions, asked.jobs)]
            if asked.nbgrader:
                rows.append(measure_nbgrader(Path(other), asked.nbgrader))
        tell("")
    except WrongGrade as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"bench: {error.cmd} failed: {error.output.decode(errors='replace')}", file=sys.stderr
        )
        return 2
    print(json.dumps(as_data(rows)) if asked.json else of_grader(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())

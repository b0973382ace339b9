"""`memsim grade`: a class graded, and its log held to be whole."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from memsim.cli.stderr import refuse
from memsim.cli.told import add_chosen
from memsim.lab.cut import chosen, names_in
from memsim.lab.grader import summary
from memsim.lab.grader.course_run import Class, grade_class
from memsim.lab.grader.eta import Eta
from memsim.lab.grader.journal import JOURNAL
from memsim.lab.grader.more_machines import dask_executor
from memsim.lab.grader.verified import verify_beside
from memsim.lab.grader.why import why
from memsim.lab.release import read_secret
from memsim.lab.roster import read_roster
from memsim.words.errors import BadInput

_MAY_BE_CUT = "lines may be gone at its end: only --head, from an earlier day, tells"


def add(commands: Any) -> None:
    """The command that grades, and holds its log to be whole."""
    grade = commands.add_parser(
        "grade", help="grade a notebook, or a folder or zip of them; code runs in a sandbox"
    )
    grade.add_argument("submissions", type=Path, nargs="?", help="STUDENT/NN_name.ipynb in it")
    grade.add_argument(
        "--course", type=Path, default=Path("."), metavar="DIR", help="has solutions/; else ."
    )
    grade.add_argument("--out", type=Path, default=Path("graded"), help="where to; else graded")
    grade.add_argument("--roster", type=Path, help="CSV with a column id: who is in the class")
    grade.add_argument("--secret", type=Path, help="the one that the exercises were released with")
    add_chosen(grade)
    grade.add_argument("--jobs", type=int, default=0, metavar="N", help="at once; else one a CPU")
    grade.add_argument(
        "--dask", metavar="ADDRESS",
        help="of a Dask scheduler: its workers grade, with --course at the same path",
    )  # fmt: skip
    grade.add_argument("--regrade", action="store_true", help="again; older results are kept")
    grade.add_argument(
        "--i-trust-these", action="store_true",
        help="grade without a sandbox where there is none: code runs as you",
    )  # fmt: skip
    grade.add_argument(
        "--why", metavar="STUDENT", help="each case of a student, as graded before in --out"
    )
    grade.add_argument("--verify", type=Path, metavar="LOG", help="is an audit.jsonl whole?")
    grade.add_argument("--head", default="", help="of LOG, as --verify told it on an earlier day")
    grade.add_argument("--json", action="store_true", help="print the results as JSON")
    grade.set_defaults(run=_grade)


def _grade(options: argparse.Namespace) -> int:
    """`memsim grade`: status 1 if somebody has no grade, or the log is not whole."""
    try:
        return _graded(options)
    except KeyboardInterrupt:
        return refuse("interrupted; the same command goes on from there", 130)


def _graded(options: argparse.Namespace) -> int:
    if options.verify is not None:
        return _verify(options)
    if options.why is not None:
        names = chosen(names_in(options.course), options.exercises)
        print("\n".join(why(options.out, options.why, names)))
        return 0
    if options.submissions is None:
        raise BadInput("grade: name a notebook, or a folder or zip of submissions")
    roster = read_roster(options.roster) if options.roster else {}
    secret = _secret(options)
    cluster = dask_executor(options.dask) if options.dask else nullcontext()
    with cluster as executor, Eta(sys.stderr) as eta:
        graded = grade_class(
            Class(options.course, roster, secret, options.exercises), options.submissions,
            options.out, trust=options.i_trust_these, regrade=options.regrade, jobs=options.jobs,
            executor=executor, progress=_silent if options.json else eta,
        )  # fmt: skip
    print(json.dumps(summary.as_json(graded)) if options.json else summary.as_text(graded))
    is_whole = all(result.score is not None for result in graded.results)
    return 0 if is_whole and not graded.has_strays else 1


def _secret(options: argparse.Namespace) -> bytes | None:
    """The course's secret; None: all have the public puzzle. With a roster that is said aloud."""
    if options.secret:
        return read_secret(options.secret)
    if options.roster:
        told = (
            "no --secret: everybody is graded with the public puzzle, as released without a roster"
        )
        print(f"memsim: {options.roster}: {told}", file=sys.stderr)
    return None


def _verify(options: argparse.Namespace) -> int:
    """`memsim grade --verify LOG`."""
    found = verify_beside(options.verify, options.head)
    if options.json:
        told = {"lines": found.lines, "head": found.head, "problem": found.problem}
        print(json.dumps({**told, "journal": found.is_compared}))
    else:
        beside = "" if found.is_compared else f"; no {JOURNAL} is beside it, so {_MAY_BE_CUT}"
        said = found.problem or f"whole{beside}"
        print(f"{options.verify}: {found.lines} lines, {said}; its head is {found.head}")
    return 1 if found.problem else 0


def _silent(done: int, total: int, result: object) -> None:
    """Nobody watches."""

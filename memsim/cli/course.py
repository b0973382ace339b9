"""`memsim doctor`, `course`, `exercises` and `release`: the course for readers and students."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path
from typing import Any

from memsim.cli.stderr import show_nothing
from memsim.cli.told import add_chosen, by_file, named, print_fates, shown_names
from memsim.doctor import doctor
from memsim.lab.cut import names_in
from memsim.lab.handout import as_lines, hand_out_course
from memsim.lab.places import EXERCISES
from memsim.lab.prove import faults
from memsim.lab.release import cut_exercises, new_secret, read_secret, release, release_class
from memsim.lab.roster import read_roster
from memsim.lab.skeleton import new_exercise
from memsim.words.errors import BadInput


def add(commands: Any) -> None:
    """These commands."""
    _add_doctor(commands)
    _add_course(commands)
    _add_exercises(commands)
    _add_release(commands)


def _add_doctor(commands: Any) -> None:
    looks = commands.add_parser("doctor", help="can the course run here, and what is to be done?")
    looks.add_argument("--json", action="store_true", help="print what was found as JSON")
    looks.set_defaults(run=_doctor)


def _add_course(commands: Any) -> None:
    course = commands.add_parser(
        "course", help="lessons and exercises in a folder of your own, or brought up to date there"
    )
    course.add_argument("folder", metavar="DIR", type=named, help="what you changed in it stays")
    course.add_argument("--json", action="store_true", help="print what became of each file")
    course.set_defaults(run=_course)


def _add_exercises(commands: Any) -> None:
    """The command that cuts exercises, or begins one."""
    cut = commands.add_parser(
        "exercises", help="cut DIR/exercises from DIR/solutions, or begin a new exercise there"
    )
    cut.add_argument("folder", metavar="DIR", type=named, nargs="?", default=Path("."))
    cut.add_argument("--new", metavar="NAME", help="write an exercise to begin with: 01_name")
    cut.add_argument(
        "--check", action="store_true",
        help="run what the authors wrote: solutions, stubs and mistakes, in --puzzles N",
    )  # fmt: skip
    cut.add_argument("--puzzles", type=int, default=50, metavar="N", help="else 50")
    cut.add_argument("--json", action="store_true", help="print what became of each file")
    cut.set_defaults(run=_exercises)


def _add_release(commands: Any) -> None:
    """The command that makes what students are handed."""
    hand = commands.add_parser(
        "release", help="what students are handed: no solutions, hidden cases or secret"
    )
    hand.add_argument("folder", metavar="DIR", type=named, help="where to; what is changed stays")
    hand.add_argument(
        "--course", type=Path, default=Path("."), metavar="DIR", help="has solutions/; else ."
    )
    hand.add_argument("--roster", type=Path, help="CSV with a column id: each has own puzzles")
    hand.add_argument(
        "--secret", type=Path, help="file of the course's secret, made if it is not there; keep it"
    )
    add_chosen(hand)
    hand.add_argument("--json", action="store_true", help="print what became of each file")
    hand.set_defaults(run=_release)


def _doctor(options: argparse.Namespace) -> int:
    """`memsim doctor`."""
    report = doctor()
    print(json.dumps(report.as_json()) if options.json else report)
    return 0 if report.can_run else 1


def _course(options: argparse.Namespace) -> int:
    """`memsim course DIR`."""
    fates = hand_out_course(options.folder)
    print_fates(options, fates, options.folder)
    return 0


def _exercises(options: argparse.Namespace) -> int:
    """`memsim exercises`."""
    if options.new is not None:
        paths = [str(path) for path in new_exercise(options.folder, options.new)]
        print(json.dumps(paths) if options.json else "\n".join(paths))
        return 0
    if options.check:
        return _check(options)
    fates = cut_exercises(options.folder, shown_names(options))
    print_fates(options, fates, options.folder / EXERCISES)
    return 0


def _check(options: argparse.Namespace) -> int:
    """`memsim exercises --check`: status 1 if one is not fit for students."""
    if not 1 <= options.puzzles <= 100_000:
        raise BadInput(f"--puzzles: {options.puzzles}; should be 1 to 100000")
    show, told = shown_names(options), {}
    for name in names_in(options.folder):
        show(name)
        told[name] = list(faults(options.folder, name, options.puzzles))
    show_nothing(options.json or not sys.stderr.isatty())
    lines = [f"{name}: {fault}" for name, wrong in told.items() for fault in wrong]
    fit = sum(not wrong for wrong in told.values())
    lines.append(f"{fit} of {len(told)} exercises are fit, in {options.puzzles} puzzles each")
    print(json.dumps(told) if options.json else "\n".join(lines))
    return 0 if fit == len(told) else 1


def _release(options: argparse.Namespace) -> int:
    """`memsim release`."""
    if options.roster is None:
        fates = release(options.course, options.folder, shown_names(options), options.exercises)
        print_fates(options, fates, options.folder)
        return 0
    if options.secret is None:
        raise BadInput(f"{options.roster}: a roster needs --secret FILE, which draws the puzzles")
    students = read_roster(options.roster)
    if not options.secret.exists():
        new_secret(options.secret, secrets.token_hex(32))
        print(f"{options.secret}: a new secret; keep it, all puzzles come from it", file=sys.stderr)
    secret = read_secret(options.secret)
    fates_of = release_class(
        options.course, options.folder, students, secret, shown_names(options), options.exercises
    )
    show_nothing(options.json or not sys.stderr.isatty())
    told = {name: by_file(fates) for name, fates in fates_of.items()}
    lines = [as_lines(fates, options.folder / name) for name, fates in fates_of.items()]
    print(json.dumps(told) if options.json else "\n".join(lines))
    return 0

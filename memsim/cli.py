"""The command: `memsim replay`, `proc`, `workload`, `doctor`, `course`, `slides`, `grade`, ...

Output is for people; `--json` is for programs.

Exit status: 0 all exact, a trace replayed, the course can run; 1 not; 2 bad input or bad usage;
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from memsim.doctor import doctor
from memsim.lab.cut import chosen, names_in
from memsim.lab.grader import summary
from memsim.lab.grader.audit import verify
from memsim.lab.grader.course_run import Class, grade_class
from memsim.lab.grader.eta import Eta
from memsim.lab.grader.more_machines import dask_executor
from memsim.lab.grader.why import why
from memsim.lab.handout import Fate, as_lines, came_with, hand_out_course
from memsim.lab.places import EXERCISES
from memsim.lab.prove import faults
from memsim.lab.release import cut_exercises, new_secret, read_secret, release, release_class
from memsim.lab.roster import read_roster
from memsim.lab.skeleton import new_exercise
from memsim.lib.text import one_line
from memsim.proc import report as proc_report
from memsim.proc.copies import end_buddyinfo
from memsim.proc.machine import machine_from_proc
from memsim.replay.inexact import report as inexact_report
from memsim.replay.inexact.run import replay_trace
from memsim.replay.outcome import replay_capture
from memsim.replay.report import as_json, as_text
from memsim.replay.rows.unxz import STDIN
from memsim.words.baseline import KERNEL, KERNEL_VERSION
from memsim.words.errors import BadInput, MemsimError
from memsim.workload import PRESETS
from memsim.workload import report as workload_report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except MemsimError as error:
        return _refuse(one_line(error, 5000), 2)
    except MemoryError:
        return _refuse("out of memory", 2)
    except BrokenPipeError:
        # whoever read has seen enough; nothing is left to be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _refuse("interrupted", 130)


def _refuse(what: str, status: int) -> int:
    print(f"memsim: {what}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="memsim", description=f"How the kernel manages memory, as a model of {KERNEL}."
    )
    parser.add_argument("--version", action="version", version=f"memsim for {KERNEL_VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    replay = commands.add_parser(
        "replay", help="feed a recorded kernel's requests to the model and compare every answer"
    )
    replay.add_argument(
        "recording", type=Path,
        help="a capture: folder with meta.json, snapshots and trace; or, with --proc, a trace: "
        "text of ftrace, trace-cmd report or perf script, .xz and .gz too, - for standard input",
    )  # fmt: skip
    replay.add_argument(
        "--proc", type=Path, metavar="DIR",
        help="copies of /proc/zoneinfo, buddyinfo and pagetypeinfo from when the trace began; "
        "end_buddyinfo, if it is there, is compared with",
    )  # fmt: skip
    replay.add_argument(
        "--closed", action="store_true",
        help="with a capture: slabs and areas of vmalloc ask memsim's own page allocator, and give "
        "pages back to it",
    )  # fmt: skip
    replay.add_argument("--seed", type=int, default=0, help="draws what /proc does not tell")
    replay.add_argument("--json", action="store_true", help="print the outcome as JSON")
    replay.set_defaults(run=_replay)
    proc = commands.add_parser(
        "proc", help="the machine that /proc/zoneinfo, buddyinfo and pagetypeinfo tell of"
    )
    proc.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="copies; else /proc")
    proc.add_argument("--seed", type=int, default=0, help="draws what the files do not tell")
    proc.add_argument("--json", action="store_true", help="print the machine as JSON")
    proc.set_defaults(run=_proc)
    work = commands.add_parser(
        "workload", help="who asks for memory: a preset's requesters on a simulated machine"
    )
    work.add_argument("name", metavar="NAME", help=f"one of: {', '.join(PRESETS)}")
    work.add_argument("--ram", default="256 MiB", help='of the machine, as "1 GiB"')
    work.add_argument("--cpus", type=int, default=2, help="of the machine")
    work.add_argument("--steps", type=int, default=2000, help="how long; some requests a step")
    work.add_argument("--seed", type=int, default=0, help="the same seed, the same run")
    work.add_argument("--json", action="store_true", help="print the outcome as JSON")
    work.set_defaults(run=_workload)
    looks = commands.add_parser("doctor", help="can the course run here, and what is to be done?")
    looks.add_argument("--json", action="store_true", help="print what was found as JSON")
    looks.set_defaults(run=_doctor)
    course = commands.add_parser(
        "course", help="lessons and exercises in a folder of your own, or brought up to date there"
    )
    course.add_argument("folder", metavar="DIR", type=_named, help="what you changed in it stays")
    course.add_argument("--json", action="store_true", help="print what became of each file")
    course.set_defaults(run=_course)
    _add_exercises(commands)
    _add_slides(commands)
    _add_site(commands)
    return parser


def _add_exercises(commands: Any) -> None:
    """The commands for instructors: what is done with the folder `solutions` of a course."""
    cut = commands.add_parser(
        "exercises", help="cut DIR/exercises from DIR/solutions, or begin a new exercise there"
    )
    cut.add_argument("folder", metavar="DIR", type=_named, nargs="?", default=Path("."))
    cut.add_argument("--new", metavar="NAME", help="write an exercise to begin with: 01_name")
    cut.add_argument(
        "--check", action="store_true",
        help="run what the authors wrote: solutions, stubs and mistakes, in --puzzles N",
    )  # fmt: skip
    cut.add_argument("--puzzles", type=int, default=50, metavar="N", help="else 50")
    cut.add_argument("--json", action="store_true", help="print what became of each file")
    cut.set_defaults(run=_exercises)
    hand = commands.add_parser(
        "release", help="what students are handed: no solutions, hidden cases or secret"
    )
    hand.add_argument("folder", metavar="DIR", type=_named, help="where to; what is changed stays")
    hand.add_argument(
        "--course", type=Path, default=Path("."), metavar="DIR", help="has solutions/; else ."
    )
    hand.add_argument("--roster", type=Path, help="CSV with a column id: each has own puzzles")
    hand.add_argument(
        "--secret", type=Path, help="file of the course's secret, made if it is not there; keep it"
    )
    _add_chosen(hand)
    hand.add_argument("--json", action="store_true", help="print what became of each file")
    hand.set_defaults(run=_release)
    _add_grade(commands)


def _add_chosen(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--exercises", default="", metavar="NN,NN", help="these, by number or name; else all"
    )


def _add_grade(commands: Any) -> None:
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
    _add_chosen(grade)
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
    grade.add_argument("--json", action="store_true", help="print the results as JSON")
    grade.set_defaults(run=_grade)


def _add_slides(commands: Any) -> None:
    """The command that makes what a lecturer shows."""
    slides = commands.add_parser(
        "slides", help="a deck of slides for each lesson, with speaker's notes; needs no network"
    )
    slides.add_argument("lessons", metavar="LESSON", nargs="*", help="02 or 02_buddy; else all")
    slides.add_argument(
        "--out", type=_named, default=Path("slides"), metavar="DIR", help="where to; else slides"
    )
    slides.add_argument(
        "--course", type=_named, metavar="DIR", help="has notebooks/; else memsim's own"
    )
    slides.add_argument("--pdf", action="store_true", help="handouts with notes too; by Chromium")
    slides.add_argument("--jobs", type=int, default=0, metavar="N", help="at once; else one a CPU")
    slides.add_argument("--json", action="store_true", help="print what was built as JSON")
    slides.set_defaults(run=_slides)


def _add_site(commands: Any) -> None:
    """The command that makes pages."""
    site = commands.add_parser(
        "site", help="the course as static pages: they need no kernel, no server and no network"
    )
    site.add_argument(
        "--out", type=_named, default=Path("site"), metavar="DIR", help="where to; else site"
    )
    site.add_argument("--jobs", type=int, default=0, metavar="N", help="at once; else one a CPU")
    site.add_argument("--json", action="store_true", help="print the files and their sizes")
    site.set_defaults(run=_site)


def _named(folder: str) -> Path:
    """A folder that has a name: DIR is often a variable of a shell, and empty by mistake."""
    if not folder:
        raise argparse.ArgumentTypeError("should be a folder; . is the one you are in")
    return Path(folder)


def _course(options: argparse.Namespace) -> int:
    """`memsim course DIR`."""
    fates = hand_out_course(options.folder)
    _print_fates(options, fates, options.folder)
    return 0


def _exercises(options: argparse.Namespace) -> int:
    """`memsim exercises`."""
    if options.new is not None:
        paths = [str(path) for path in new_exercise(options.folder, options.new)]
        print(json.dumps(paths) if options.json else "\n".join(paths))
        return 0
    if options.check:
        return _check(options)
    fates = cut_exercises(options.folder, _shown_names(options))
    _print_fates(options, fates, options.folder / EXERCISES)
    return 0


def _check(options: argparse.Namespace) -> int:
    """`memsim exercises --check`: status 1 if one is not fit for students."""
    if not 1 <= options.puzzles <= 100_000:
        raise BadInput(f"--puzzles: {options.puzzles}; should be 1 to 100000")
    show, told = _shown_names(options), {}
    for name in names_in(options.folder):
        show(name)
        told[name] = list(faults(options.folder, name, options.puzzles))
    _show_nothing(options.json or not sys.stderr.isatty())
    lines = [f"{name}: {fault}" for name, wrong in told.items() for fault in wrong]
    fit = sum(not wrong for wrong in told.values())
    lines.append(f"{fit} of {len(told)} exercises are fit, in {options.puzzles} puzzles each")
    print(json.dumps(told) if options.json else "\n".join(lines))
    return 0 if fit == len(told) else 1


def _release(options: argparse.Namespace) -> int:
    """`memsim release`."""
    if options.roster is None:
        fates = release(options.course, options.folder, _shown_names(options), options.exercises)
        _print_fates(options, fates, options.folder)
        return 0
    if options.secret is None:
        raise BadInput(f"{options.roster}: a roster needs --secret FILE, which draws the puzzles")
    students = read_roster(options.roster)
    if not options.secret.exists():
        new_secret(options.secret, secrets.token_hex(32))
        print(f"{options.secret}: a new secret; keep it, all puzzles come from it", file=sys.stderr)
    secret = read_secret(options.secret)
    fates_of = release_class(
        options.course, options.folder, students, secret, _shown_names(options), options.exercises
    )
    _show_nothing(options.json or not sys.stderr.isatty())
    told = {name: _by_file(fates) for name, fates in fates_of.items()}
    lines = [as_lines(fates, options.folder / name) for name, fates in fates_of.items()]
    print(json.dumps(told) if options.json else "\n".join(lines))
    return 0


def _grade(options: argparse.Namespace) -> int:
    """`memsim grade`: status 1 if somebody has no grade, or the log is not whole."""
    try:
        return _graded(options)
    except KeyboardInterrupt:
        return _refuse("interrupted; the same command goes on from there", 130)


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
    secret = read_secret(options.secret) if options.secret else None
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


def _no_course(command: str, error: ImportError) -> BadInput:
    return BadInput(
        f"{command}: {error.name} is missing, which the course needs: make setup, or "
        'pip install "memsim[course]"'
    )


def _check_jobs(jobs: int) -> None:
    if jobs < 0:
        raise BadInput(f"--jobs: {jobs}; should be 0, one a CPU, or more")


def _slides(options: argparse.Namespace) -> int:
    """`memsim slides`: status 1 if a lesson is not fit to be a lecture."""
    try:
        from memsim.publish import paper, slides
    except ImportError as error:
        raise _no_course("slides", error) from None
    _check_jobs(options.jobs)
    folder = options.course / "notebooks" if options.course else came_with("notebooks")
    lessons = slides.find_lessons(folder, options.lessons)
    chromium = paper.need_chromium() if options.pdf else None
    plan = slides.Plan(lessons, options.out, chromium)
    built = slides.build(plan, options.jobs, _shown_names(options))
    _show_nothing(options.json or not sys.stderr.isatty())
    told = [one.as_json() for one in built]
    print(json.dumps(told) if options.json else slides.as_text(built, options.out))
    return 1 if any(one.faults for one in built) else 0


def _site(options: argparse.Namespace) -> int:
    """`memsim site`."""
    try:
        from memsim.publish.site.build import build_site
    except ImportError as error:
        raise _no_course("site", error) from None
    _check_jobs(options.jobs)
    quiet = options.json or not sys.stderr.isatty()
    made = build_site(options.out, jobs=options.jobs, progress=None if quiet else _show_pages)
    _show_nothing(quiet)
    pages = sum(name.endswith(".html") for name in made)
    told = f"{options.out / 'index.html'}: {pages} pages, {sum(made.values()) / 1e6:.1f} MB"
    print(json.dumps(made) if options.json else told)
    return 0


def _silent(done: int, total: int, result: object) -> None:
    """Nobody watches."""


def _verify(options: argparse.Namespace) -> int:
    """`memsim grade --verify LOG`."""
    found = verify(options.verify)
    said = found.problem or "whole"
    if options.json:
        print(json.dumps({"lines": found.lines, "head": found.head, "problem": found.problem}))
    else:
        print(f"{options.verify}: {found.lines} lines, {said}; its head is {found.head}")
    return 1 if found.problem else 0


def _print_fates(options: argparse.Namespace, fates: dict[str, Fate], folder: Path) -> None:
    _show_nothing(options.json or not sys.stderr.isatty())
    print(json.dumps(_by_file(fates)) if options.json else as_lines(fates, folder))


def _by_file(fates: dict[str, Fate]) -> dict[str, str]:
    return {name: fate.name.lower() for name, fate in fates.items()}


def _shown_names(options: argparse.Namespace) -> Callable[[str], None]:
    """What shows at which exercise or student the work is."""
    if options.json or not sys.stderr.isatty():
        return lambda name: None
    return lambda name: print(f"\r\033[K{name}", end="", file=sys.stderr, flush=True)


def _doctor(options: argparse.Namespace) -> int:
    """`memsim doctor`."""
    report = doctor()
    print(json.dumps(report.as_json()) if options.json else report)
    return 0 if report.can_run else 1


def _replay(options: argparse.Namespace) -> int:
    """`memsim replay CAPTURE` or `memsim replay TRACE --proc DIR`."""
    if options.proc is not None:
        return _replay_trace(options)
    _check_capture(options.recording)
    quiet = options.json or not sys.stderr.isatty()
    outcome = replay_capture(options.recording, *_shown(quiet), closed=options.closed)
    _show_nothing(quiet)
    print(json.dumps(as_json(outcome)) if options.json else as_text(outcome))
    return 0 if outcome.all_exact else 1


def _proc(options: argparse.Namespace) -> int:
    """`memsim proc [DIR]`."""
    machine, origin = machine_from_proc(options.folder, seed=options.seed, steps=False)
    if options.json:
        print(json.dumps(proc_report.as_json(machine, origin)))
    else:
        print(proc_report.as_text(machine, origin))
    return 0


def _workload(options: argparse.Namespace) -> int:
    """`memsim workload NAME`."""
    quiet = options.json or not sys.stderr.isatty()
    outcome = workload_report.run_workload(
        options.name, options.ram, options.cpus, options.seed, options.steps,
        None if quiet else _show_steps,
    )  # fmt: skip
    _show_nothing(quiet)
    if options.json:
        print(json.dumps(workload_report.as_json(outcome)))
    else:
        print(workload_report.text_of(outcome))
    return 0


def _check_capture(path: Path) -> None:
    """A trace alone is no capture: say what else is needed."""
    if path == STDIN or os.path.isfile(path):
        raise BadInput(
            f"{path}: a trace does not tell the state it began in: add --proc DIR, a folder with "
            "copies of /proc/zoneinfo, buddyinfo and pagetypeinfo from then; or give the folder "
            "of a capture"
        )


def _replay_trace(options: argparse.Namespace) -> int:
    """`memsim replay TRACE --proc DIR`."""
    trace, folder = options.recording, options.proc
    if options.closed:
        raise BadInput(f"{trace}: --closed goes with a capture: a trace does not tell of slabs")
    if os.path.isdir(trace):
        raise BadInput(f"{trace}: a folder; --proc goes with a trace, a capture needs none")
    machine, origin = machine_from_proc(folder, seed=options.seed, steps=False)
    recorded = end_buddyinfo(folder)
    quiet = options.json or not sys.stderr.isatty()
    progress, reading = _shown(quiet)
    outcome = replay_trace(trace, machine.vm, seed=options.seed, progress=progress, reading=reading)
    _show_nothing(quiet)
    form = inexact_report.as_json if options.json else inexact_report.as_text
    said = form(outcome, str(origin), {(row.node, row.zone): row.nr_free for row in recorded})
    print(json.dumps(said) if options.json else said)
    return 0


def _shown(quiet: bool) -> tuple[Callable[[int, int], None] | None, Callable[[int], None] | None]:
    """What shows the progress of a replay, and of the reading before it."""
    return (None, None) if quiet else (_show_progress, _show_reading)


def _show_nothing(quiet: bool) -> None:
    if not quiet:
        print("\r\033[K", end="", file=sys.stderr)


def _show_progress(done: int, total: int) -> None:
    """One line on a terminal, written over itself."""
    print(f"\rreplaying: {done} of {total} events", end="", file=sys.stderr, flush=True)


def _show_steps(done: int, steps: int) -> None:
    """The same for a workload."""
    print(f"\rrunning: {done} of {steps} steps", end="", file=sys.stderr, flush=True)


def _show_pages(done: int, pages: int) -> None:
    """The same for the site."""
    print(f"\rmaking: {done} of {pages} pages", end="", file=sys.stderr, flush=True)


def _show_reading(lines: int) -> None:
    """The same, before the replay: every so many lines."""
    print(f"\rreading: {lines} lines", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

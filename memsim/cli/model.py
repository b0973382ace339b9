"""`memsim replay`, `proc`, `workload` and `explain`: what the model does."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from memsim.cli.stderr import show_nothing
from memsim.lib.text import one_line
from memsim.proc import report as proc_report
from memsim.proc.explain import explain_log
from memsim.proc.explain.text import as_json as explanation_as_json
from memsim.proc.explain.text import as_text as explanation_as_text
from memsim.proc.fit import end_buddyinfo
from memsim.proc.machine import machine_from_proc
from memsim.replay.inexact import report as inexact_report
from memsim.replay.inexact.run import replay_trace
from memsim.replay.outcome import replay_capture
from memsim.replay.report import as_json, as_text
from memsim.replay.rows.capture import FILES
from memsim.replay.rows.unxz import STDIN, contents
from memsim.words.errors import BadInput
from memsim.workload import PRESETS
from memsim.workload import report as workload_report

#: A log may have so many bytes; the kernel's own buffer has at most 32 MiB.
_MAX_LOG = 32 << 20


def add(commands: Any) -> None:
    """These commands."""
    _add_replay(commands)
    _add_proc(commands)
    _add_workload(commands)
    _add_explain(commands)


def _add_replay(commands: Any) -> None:
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


def _add_proc(commands: Any) -> None:
    proc = commands.add_parser(
        "proc", help="the machine that /proc/zoneinfo, buddyinfo and pagetypeinfo tell of"
    )
    proc.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="copies; else /proc")
    proc.add_argument("--seed", type=int, default=0, help="draws what the files do not tell")
    proc.add_argument("--json", action="store_true", help="print the machine as JSON")
    proc.set_defaults(run=_proc)


def _add_workload(commands: Any) -> None:
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


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain", help="a page allocation failure or an OOM kill from a kernel's log, line by line"
    )
    explain.add_argument(
        "file", metavar="FILE", type=Path,
        help="text of dmesg or journalctl with the report in it, .xz and .gz too; - for standard "
        "input",
    )  # fmt: skip
    explain.add_argument("--json", action="store_true", help="print it as JSON")
    explain.set_defaults(run=_explain)


def _replay(options: argparse.Namespace) -> int:
    """`memsim replay CAPTURE` or `memsim replay TRACE --proc DIR`."""
    if options.proc is not None:
        return _replay_trace(options)
    _check_capture(options.recording)
    quiet = options.json or not sys.stderr.isatty()
    outcome = replay_capture(options.recording, *_shown(quiet), closed=options.closed)
    show_nothing(quiet)
    print(json.dumps(as_json(outcome)) if options.json else as_text(outcome))
    return 0 if outcome.all_exact else 1


def _replay_trace(options: argparse.Namespace) -> int:
    """`memsim replay TRACE --proc DIR`."""
    trace, folder = options.recording, options.proc
    if options.closed:
        raise BadInput(f"{trace}: --closed goes with a capture: a trace does not tell of slabs")
    if os.path.isdir(trace):
        raise BadInput(f"{trace}: a folder; --proc goes with a trace, a capture needs none")
    machine, origin = machine_from_proc(folder, seed=options.seed, steps=False)
    recorded = end_buddyinfo(folder, machine.vm)
    quiet = options.json or not sys.stderr.isatty()
    progress, reading = _shown(quiet)
    outcome = replay_trace(trace, machine.vm, seed=options.seed, progress=progress, reading=reading)
    show_nothing(quiet)
    form = inexact_report.as_json if options.json else inexact_report.as_text
    said = form(outcome, str(origin), {(row.node, row.zone): row.nr_free for row in recorded})
    print(json.dumps(said) if options.json else said)
    return 0


def _check_capture(path: Path) -> None:
    """A trace alone is no capture, nor is any folder: say what else is needed."""
    if path == STDIN or os.path.isfile(path):
        raise BadInput(
            f"{path}: a trace does not tell the state it began in: add --proc DIR, a folder with "
            "copies of /proc/zoneinfo, buddyinfo and pagetypeinfo from then; or give the folder "
            "of a capture"
        )
    if _has_none(path, FILES):
        raise BadInput(
            f"{one_line(path, 200)}: no capture: it has none of {', '.join(FILES)}; a trace that "
            "was recorded without them is replayed by memsim replay TRACE --proc DIR"
        )


def _has_none(folder: Path, names: tuple[str, ...]) -> bool:
    """Is it a folder with none of these? One that cannot be read is not known to be."""
    with suppress(OSError, ValueError):
        return not set(names) & set(os.listdir(folder))
    return False


def _proc(options: argparse.Namespace) -> int:
    """`memsim proc [DIR]`."""
    machine, origin = machine_from_proc(options.folder, seed=options.seed, steps=False)
    if options.json:
        print(json.dumps(proc_report.as_json(machine, origin)))
    else:
        print(proc_report.as_text(machine, origin))
    return 0


def _explain(options: argparse.Namespace) -> int:
    """`memsim explain FILE`."""
    name = one_line(options.file, 200)
    explained = explain_log(contents(options.file, _MAX_LOG).decode("utf-8", "replace"), name)
    if options.json:
        print(json.dumps(explanation_as_json(explained)))
    else:
        print(explanation_as_text(explained))
    return 0


def _workload(options: argparse.Namespace) -> int:
    """`memsim workload NAME`."""
    quiet = options.json or not sys.stderr.isatty()
    outcome = workload_report.run_workload(
        options.name, options.ram, options.cpus, options.seed, options.steps,
        None if quiet else _show_steps,
    )  # fmt: skip
    show_nothing(quiet)
    if options.json:
        print(json.dumps(workload_report.as_json(outcome)))
    else:
        print(workload_report.text_of(outcome))
    return 0


def _shown(quiet: bool) -> tuple[Callable[[int, int], None] | None, Callable[[int], None] | None]:
    """What shows the progress of a replay, and of the reading before it."""
    return (None, None) if quiet else (_show_progress, _show_reading)


def _show_progress(done: int, total: int) -> None:
    """One line on a terminal, written over itself."""
    print(f"\rreplaying: {done} of {total} events", end="", file=sys.stderr, flush=True)


def _show_reading(lines: int) -> None:
    """The same, before the replay: every so many lines."""
    print(f"\rreading: {lines} lines", end="", file=sys.stderr, flush=True)


def _show_steps(done: int, steps: int) -> None:
    """The same for a workload."""
    print(f"\rrunning: {done} of {steps} steps", end="", file=sys.stderr, flush=True)

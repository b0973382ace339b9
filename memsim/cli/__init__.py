"""The command: `memsim replay`, `proc`, `workload`, `explain`, `doctor`, `course`, `grade`, ...

Output is for people; `--json` is for programs.

Exit status: 0 all exact, a trace replayed, the course can run; 1 not; 2 bad input or bad usage;
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

from memsim.cli.stderr import refuse
from memsim.lib.text import one_line
from memsim.words.baseline import KERNEL, KERNEL_VERSION
from memsim.words.errors import MemsimError

#: The parts of the command, and their commands.
_PARTS = {
    "model": ("replay", "proc", "workload", "explain"),
    "course": ("doctor", "course", "exercises", "release"),
    "grade": ("grade",),
    "publish": ("slides", "site"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    if sys.stdout is None:
        return refuse("standard output is closed: nothing could be printed", 2)
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except MemsimError as error:
        return refuse(one_line(error, 5000), 2)
    except MemoryError:
        return refuse("out of memory", 2)
    except BrokenPipeError:
        # whoever read has seen enough
        _print_no_more()
        return 1
    except OSError as error:
        if error.filename is None:
            _print_no_more()
        where = one_line(error.filename or "standard output", 200)
        return refuse(f"{where}: {error.strerror or type(error).__name__}", 2)
    except KeyboardInterrupt:
        return refuse("interrupted", 130)


def _run(arguments: Sequence[str]) -> int:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = _parser(arguments).parse_args(arguments)
        return int(options.run(options))
    finally:
        sys.stdout.flush()


def _print_no_more() -> None:
    """What was printed and could not be written is not tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the part that has the command; if no command is named, with all of them."""
    parser = argparse.ArgumentParser(
        prog="memsim", description=f"How the kernel manages memory, as a model of {KERNEL}."
    )
    parser.add_argument("--version", action="version", version=f"memsim for {KERNEL_VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    asked = [part for part, names in _PARTS.items() if arguments and arguments[0] in names]
    for part in asked or _PARTS:
        import_module(f"memsim.cli.{part}").add(commands)
    return parser

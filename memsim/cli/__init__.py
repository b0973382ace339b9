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
from io import TextIOWrapper

from memsim.cli import course, grade, model, publish
from memsim.cli.told import refuse
from memsim.lib.text import one_line
from memsim.words.baseline import KERNEL, KERNEL_VERSION
from memsim.words.errors import MemsimError


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
        return refuse(one_line(error, 5000), 2)
    except MemoryError:
        return refuse("out of memory", 2)
    except BrokenPipeError:
        # whoever read has seen enough; nothing is left to be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return refuse("interrupted", 130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="memsim", description=f"How the kernel manages memory, as a model of {KERNEL}."
    )
    parser.add_argument("--version", action="version", version=f"memsim for {KERNEL_VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for part in (model, course, grade, publish):
        part.add(commands)
    return parser

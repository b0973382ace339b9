"""What commands have in common: folders that are named, and what is said while they work."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from memsim.cli.stderr import show_nothing
from memsim.lab.handout import Fate, as_lines
from memsim.words.errors import BadInput


def named(folder: str) -> Path:
    """A folder that has a name: DIR is often a variable of a shell, and empty by mistake."""
    if not folder:
        raise argparse.ArgumentTypeError("should be a folder; . is the one you are in")
    return Path(folder)


def add_chosen(command: argparse.ArgumentParser) -> None:
    """The option that names exercises."""
    command.add_argument(
        "--exercises", default="", metavar="NN,NN", help="these, by number or name; else all"
    )


def check_jobs(jobs: int) -> None:
    """BadInput: --jobs is no number of jobs."""
    if jobs < 0:
        raise BadInput(f"--jobs: {jobs}; should be 0, one a CPU, or more")


def print_fates(options: argparse.Namespace, fates: dict[str, Fate], folder: Path) -> None:
    """What became of files, for people or as JSON."""
    show_nothing(options.json or not sys.stderr.isatty())
    print(json.dumps(by_file(fates)) if options.json else as_lines(fates, folder))


def by_file(fates: dict[str, Fate]) -> dict[str, str]:
    """What became of each file, as plain data."""
    return {name: fate.name.lower() for name, fate in fates.items()}


def shown_names(options: argparse.Namespace) -> Callable[[str], None]:
    """What shows at which exercise or student the work is."""
    if options.json or not sys.stderr.isatty():
        return lambda name: None
    return lambda name: print(f"\r\033[K{name}", end="", file=sys.stderr, flush=True)

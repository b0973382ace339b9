"""How often captures drive each function of memsim/mm/page_alloc.

    python tools/function_counts.py CAPTURE [CAPTURE ...]

Prints a Markdown table: a row for each function, a column for each capture. A function with a row
of zeros is driven by no capture, and owes a test of its own.
"""

from __future__ import annotations

import cProfile
import inspect
import pkgutil
import pstats
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import memsim.mm.page_alloc as room
from memsim.replay.outcome import replay_capture


def functions() -> Iterator[tuple[str, str, int]]:
    """(file name, function name, first line) of every function of the room."""
    for info in pkgutil.iter_modules(room.__path__):
        module = import_module(f"{room.__name__}.{info.name}")
        for name, value in sorted(vars(module).items()):
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                yield info.name, name, value.__code__.co_firstlineno


def calls(capture: Path) -> dict[tuple[str, str], int]:
    """Calls of each function, by (file name, function name), during a replay."""
    profile = cProfile.Profile()
    profile.runcall(replay_capture, capture)
    counted = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    return {
        (Path(file).stem, name): nr_calls
        for (file, _, name), (_, nr_calls, *_) in counted.items()
        if Path(file).parent.name == "page_alloc"
    }


def main() -> None:
    """Replay every capture named and print the table."""
    captures = [Path(argument) for argument in sys.argv[1:]]
    if not captures:
        sys.exit(__doc__)
    columns = []
    for capture in captures:
        print(f"replaying {capture.name}", file=sys.stderr)
        columns.append(calls(capture))
    print("| function | " + " | ".join(capture.name for capture in captures) + " |")
    print("|---|" + "---:|" * len(captures))
    for file, name, _ in functions():
        counts = [column.get((file, name), 0) for column in columns]
        print(f"| {file}.{name} | " + " | ".join(map(str, counts)) + " |")


if __name__ == "__main__":
    main()

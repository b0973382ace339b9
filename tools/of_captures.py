"""The command of a tool that holds the model beside captures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from memsim.words.errors import BadInput

T = TypeVar("T")


def run_of_captures(
    usage: str | None, compare: Callable[[Path], T], table: Callable[[list[tuple[str, T]]], str]
) -> int:
    """Print the table of the captures that are named; 2, and a line, for what is none."""
    folders = [Path(argument) for argument in sys.argv[1:]]
    if not folders or any(folder.name.startswith("-") for folder in folders):
        print(usage, file=sys.stderr)
        return 2
    try:
        print(table([(folder.name, compare(folder)) for folder in folders]))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0

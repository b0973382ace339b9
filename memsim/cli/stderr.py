"""What goes to stderr: why a command refuses, and what shows that it is at work."""

from __future__ import annotations

import sys


def refuse(what: str, status: int) -> int:
    """One line on stderr; returns the status."""
    print(f"memsim: {what}", file=sys.stderr)
    return status


def show_nothing(quiet: bool) -> None:
    """Take away what was shown while the work went on."""
    if not quiet:
        print("\r\033[K", end="", file=sys.stderr)

"""Memory of a process and all that it started: Linux only."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def pss_of_tree(pid: int) -> int:
    """Bytes of a process and its descendants; what several share is counted once. 0: it is gone."""
    parents = _parents()
    family, found = {pid}, 1
    while found:
        more = {child for child, parent in parents.items() if parent in family} - family
        family, found = family | more, len(more)
    return sum(map(_pss, family))


def _parents() -> dict[int, int]:
    """Of every process: its parent."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                # the name stands in parentheses, and may hold any
                state = (folder / "stat").read_text(errors="replace").rpartition(")")[2]
                found[int(folder.name)] = int(state.split()[1])
    return found


def _pss(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0

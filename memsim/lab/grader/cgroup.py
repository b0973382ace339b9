"""Control groups around a child, where the grader is root: memory and processes, bound once more.

A child is one process with a limit on its memory already; should that ever not hold, this does. It
is done as well as can be: where there are no groups to be had, the walls stand without.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_NAME = "memsim-{}"
#: bwrap is two processes, and Python is one.
_PROCESSES = 8
#: What bwrap itself needs, and the kernel for both.
_MORE = 64 << 20
#: A shell makes the group named after itself, enters it, and becomes the command.
_ENTER = """
limit=$1 processes=$2; shift 2
while [ "$1" != -- ]; do
    group=$1/memsim-$$; shift
    mkdir $group
    [ -e $group/memory.max ] && echo $limit >$group/memory.max
    [ -e $group/memory.limit_in_bytes ] && echo $limit >$group/memory.limit_in_bytes
    [ -e $group/memory.swap.max ] && echo 0 >$group/memory.swap.max
    [ -e $group/pids.max ] && echo $processes >$group/pids.max
    echo 0 >$group/cgroup.procs
done 2>/dev/null
shift
exec "$@"
"""
_TRIES, _PAUSE = 200, 0.001


@cache
def hierarchies() -> tuple[Path, ...]:
    """The folders that groups can be made in, within what the grader itself may take.

    Version 2 has one, beside the grader's own group; version 1 has one for each of the two.
    """
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return ()
    with suppress(OSError):
        return _hierarchies(Path("/proc/self/cgroup").read_text(), _ROOT)
    return ()


def _hierarchies(own: str, root: Path) -> tuple[Path, ...]:
    """Of a process whose /proc/self/cgroup says that, lines of number:controllers:path."""
    paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in own.splitlines()}
    if "" in paths:
        beside = (root / paths[""].lstrip("/")).parent if paths[""] != "/" else root
        handed_on = beside / "cgroup.subtree_control"
        if handed_on.is_file() and {"memory", "pids"} <= {*handed_on.read_text().split()}:
            return (beside,) if os.access(beside, os.W_OK) else ()
    both = [root / name / paths[name].lstrip("/") for name in ("memory", "pids") if name in paths]
    return tuple(path for path in both if path.is_dir() and os.access(path, os.W_OK))


def around(memory: int) -> list[str]:
    """What to put before a command, for it to run in groups of its own."""
    if not hierarchies():
        return []
    limits = [str(memory + _MORE), str(_PROCESSES)]
    return ["/bin/sh", "-c", _ENTER, "sh", *limits, *map(str, hierarchies()), "--"]


def leave(pid: int) -> None:
    """The groups of that process go, as soon as its last child has ended."""
    for group in _groups(pid):
        for _ in range(_TRIES):
            if _is_gone(group):
                break
            time.sleep(_PAUSE)


def sweep() -> None:
    """Groups of graders that were killed go."""
    for folder in hierarchies():
        for group in folder.glob(_NAME.format("*")):
            _is_gone(group)


def _groups(pid: int) -> Iterator[Path]:
    return (folder / _NAME.format(pid) for folder in hierarchies())


def _is_gone(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True

"""Before anybody is graded: the walls are tried, and a right answer is found right.

A sandbox that does not start gives everybody nothing, and one that leaks gives some everything.
Both look well from outside, so both are tried each time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from memsim.lab.grader.runner import RAN, run
from memsim.lab.grader.walls import PACKAGE, Limits, Walls
from memsim.machine.machine import Machine
from memsim.words.errors import BadInput
from memsim.words.gfp import GFP_KERNEL

#: What a cell of a student would try. Each attempt that succeeds is named in what it returns.
_ATTEMPTS = """
import os

def done(what):
    try:
        return what() is not None
    except (OSError, MemoryError, ImportError, RuntimeError):
        return False

def read(path):
    return open(path, "rb").read(1)

def write(path):
    open(path, "w").close()
    os.unlink(path)
    return path

def execute():
    try:
        os.execv("/no/such/program", ["it"])
    except FileNotFoundError:
        return "it was looked for"

def attempts(paths, grader):
    import socket
    tried = {
        "read /etc/passwd": lambda: read("/etc/passwd"),
        "read the grader's environment": lambda: read(f"/proc/{grader}/environ"),
        "see the grader's memory": lambda: read(f"/proc/{grader}/maps"),
        "signal another process": lambda: os.kill(grader, 0) or 1,
        "write a file here": lambda: write("memsim_probe"),
        "write a file in /tmp": lambda: write("/tmp/memsim_probe"),
        "make a socket": lambda: socket.socket(),
        "make a local socket": lambda: socket.socketpair(),
        "make a process": lambda: os._exit(1) if os.fork() == 0 else 1,
        "run a program": execute,
        "take 1 GiB of memory": lambda: bytearray(1 << 30),
        "be root": lambda: None if os.getuid() else 1,
    }
    tried.update({f"read {path}": lambda path=path: read(path) for path in paths})
    return [name for name, what in tried.items() if done(what)]

def right(ram, gfp_mask):
    from memsim import Machine
    return Machine(ram).alloc_pages(gfp_mask, order=2)
"""
_RAM = "64 MiB"
_TEST, _NONE = "the self-test of the sandbox ({})", "nobody is graded"
#: A file to try to read is looked for so deep in a folder, which a student may have made endless.
_DEPTH = 6
#: A slow machine is no broken sandbox.
_PATIENCE = 3


def prove(walls: Walls, secret: Sequence[Path] = ()) -> None:
    """Tries the walls. `secret`: files and folders that no student's code may read.

    BadInput, in one line, if something can be done that must not be, or nothing can be done.
    """
    expected = Machine(_RAM).alloc_pages(GFP_KERNEL, order=2)
    if (got := _asked(walls, "right", [_RAM, GFP_KERNEL])) != expected:
        raise BadInput(f"{_TEST.format(walls.mode)} answers {got}, not {expected}; {_NONE}")
    if walls.mode == "plain":
        return
    with tempfile.NamedTemporaryFile("w", prefix="memsim-") as planted:
        os.chmod(planted.name, 0o644)
        paths = [planted.name, *filter(None, map(_file_in, secret))]
        done = _asked(walls, "attempts", [paths, os.getpid()])
    if done != []:
        raise BadInput(f"{_TEST.format(walls.mode)} can {', '.join(done)}; {_NONE}")


def _file_in(path: Path) -> str:
    """A file that is there, or is in there, and that is not memsim's own; "": there is none.

    No link: a student may have handed in one, to what anybody may read.
    """
    below = (path.glob("/".join("*" * depth)) for depth in range(1, _DEPTH))
    files = (file for file in chain([path], *below) if not file.is_symlink() and file.is_file())
    return str(next((file for file in files if PACKAGE not in file.resolve().parents), ""))


def _asked(walls: Walls, name: str, args: list[Any]) -> Any:
    limits = Limits().times(_PATIENCE)
    ran = run(walls, [_ATTEMPTS], None, [[["call", name, args]]], limits.cells_seconds, limits)
    if ran.outcome != RAN or ran.answers[0].failure:
        why = ran.problem or ran.answers[0].failure
        raise BadInput(f"{_TEST.format(walls.mode)}: {why}; {_NONE}")
    return ran.answers[0].answers[0]

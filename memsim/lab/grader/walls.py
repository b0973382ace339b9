"""Walls around a student's code: which there are on this machine, and a child started behind them.

    bwrap     bubblewrap: a file system with Python and memsim alone, and no other process in sight
    landlock  the kernel's Landlock: the same files can be read, and no others
    plain     a process with limits and no walls: for work that one trusts

The first two have a seccomp filter and limits too, and never run as root.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from memsim.lab.grader import cgroup, child, landlock, seccomp
from memsim.lab.grader.frames import packed
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

MODES = ("bwrap", "landlock", "plain")
#: How long a child may take to close its walls: what is slower is broken.
START_SECONDS = 60.0
#: memsim itself, which students' code may read.
PACKAGE = Path(__file__).parents[2]
_ENVIRONMENT: Mapping[str, str] = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
#: -I would leave out PYTHONHASHSEED; what else it leaves out is not in the environment.
_PYTHON = ("-s", "-S", "-P", "-B", "-u")
#: Libraries of the system: nothing of a person's is in these.
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")


@dataclass(frozen=True)
class Limits:
    """What one submission may take for one exercise; bytes and seconds."""

    cells_seconds: float = 8.0
    exercise_seconds: float = 20.0
    memory: int = 640 << 20
    printed: int = 64 << 10
    answer: int = 1 << 20

    def times(self, factor: float) -> Limits:
        """The same with more time: for a second try, alone."""
        return replace(
            self,
            cells_seconds=self.cells_seconds * factor,
            exercise_seconds=self.exercise_seconds * factor,
        )


class NoStart(Exception):
    """A child did not start: that is the grader's failure, never the student's."""


@dataclass(frozen=True)
class Walls:
    """One of the modes; a child starts behind it."""

    mode: str

    def start(self, limits: Limits) -> subprocess.Popen[bytes]:
        """A child whose walls are closed, and which has read nothing yet. NoStart if it is not."""
        try:
            command = [*cgroup.around(limits.memory), *self._outside(), *_python(), child.BOOT]
            process = subprocess.Popen(
                [*command, str(PACKAGE), self._told(limits)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env=dict(_ENVIRONMENT),
                start_new_session=True,
            )
        except OSError as error:
            raise NoStart(str(error)) from None
        _await_ready(process)
        return process

    def _told(self, limits: Limits) -> str:
        return json.dumps(
            {
                "mode": self.mode,
                "read": [*map(str, _readable()), str(PACKAGE)],
                "search": os.getuid() == 0 and _needs_root(self.mode),
                "memory": limits.memory,
                "cpu": int(limits.exercise_seconds) + 2,
                "answer": limits.answer,
            }
        )

    def _outside(self) -> list[str]:
        if self.mode != "bwrap":
            return []
        found = shutil.which("bwrap")
        if not found:
            raise NoStart("bwrap: there is none; it is in the package bubblewrap")
        return [found, *_namespaces(), *_files(), "--remount-ro", "/", "--chdir", "/", "--"]


def _python() -> list[str]:
    return [str(_executable()), *_PYTHON, "-c"]


@cache
def _executable() -> Path:
    """Python itself, not a link of an environment to it."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()


@cache
def _readable() -> tuple[Path, ...]:
    """What Python needs to run: libraries of the system, and its own."""
    prefix = Path(sys.base_prefix).resolve()
    own = prefix / sys.platlibdir, prefix / "lib"
    wanted = dict.fromkeys([*map(Path, _LIBRARIES), *own])
    return tuple(path for path in wanted if path.is_dir())


@cache
def _needs_root(mode: str) -> bool:
    """Python or memsim is not anybody's to read; in bwrap the folders around them do not count."""
    library = Path(os.__file__).parent
    around = [*library.parents, *PACKAGE.parents] if mode == "landlock" else []
    inside = [library, library / "lib-dynload", *PACKAGE.rglob("*"), PACKAGE]
    folders = [path for path in [*around, *inside] if path.is_dir()]
    files = [path for path in [*inside, Path(os.__file__)] if path.is_file()]
    return not (all(_allows(p, stat.S_IXOTH) for p in folders) and all(map(_allows, files)))


def _allows(path: Path, bit: int = stat.S_IROTH) -> bool:
    return bool(path.stat().st_mode & bit)


def _namespaces() -> list[str]:
    """As root the child drops root itself: Python may lie where root alone may go."""
    if os.getuid() == 0:
        own = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        own += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
        kept = ("SETUID", "SETGID", *["DAC_READ_SEARCH"] * _needs_root("bwrap"))
        own += [word for name in kept for word in ("--cap-add", f"CAP_{name}")]
    else:
        own = ["--unshare-all", "--uid", str(child.NOBODY), "--gid", str(child.NOBODY)]
        own += ["--cap-drop", "ALL"]
    clean = [word for name, value in _ENVIRONMENT.items() for word in ("--setenv", name, value)]
    return [*own, "--die-with-parent", "--new-session", "--clearenv", *clean]


def _files() -> Iterator[str]:
    """The file system inside: no /etc, /home, /tmp, /proc or /dev."""
    paths = [*_readable(), _executable(), PACKAGE]
    links = [path for path in paths if path.is_symlink() and path.parent == Path("/")]
    paths = [path for path in paths if path not in links]
    above = {folder for path in paths for folder in path.parents}
    for folder in sorted(above - {Path("/")}):  # bwrap would make them root's alone
        yield from ("--perms", "0755", "--dir", str(folder))
    for link in links:
        yield from ("--symlink", os.readlink(link), str(link))
    for path in sorted(paths):
        yield from ("--ro-bind", str(path), str(path))


def _await_ready(process: subprocess.Popen[bytes]) -> None:
    """The child has said that its walls are closed."""
    assert process.stdout
    handle, ready = process.stdout.fileno(), packed(child.READY)
    said, until = b"", time.monotonic() + START_SECONDS
    with selectors.DefaultSelector() as waits:
        waits.register(handle, selectors.EVENT_READ)
        while said != ready:
            here = waits.select(max(until - time.monotonic(), 0))
            more = os.read(handle, len(ready) - len(said)) if here else b""
            said += more
            if not more or not ready.startswith(said):
                raise NoStart(_why(process, "ended" if here else "said nothing"))


def _why(process: subprocess.Popen[bytes], what: str) -> str:
    process.kill()
    _, said = process.communicate()
    cgroup.leave(process.pid)
    lines = said.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return one_line(f"the child {what} before it began: {last}", 300)


def choose(trust: bool = False) -> Walls:
    """The strongest walls that stand on this machine. `trust`: none at all, if need be.

    BadInput where there are none: why, and what to do.
    """
    if os.name != "posix":
        raise BadInput("grading needs Linux or macOS; on Windows, grade inside WSL 2")
    cgroup.sweep()
    reasons = []
    for mode in MODES[:2]:
        why = why_not(mode)
        if not why:
            return Walls(mode)
        reasons.append(f"{mode}: {why}")
    if trust:
        return Walls("plain")
    raise BadInput(
        f"there is no sandbox here ({'; '.join(reasons)}): students' code would run as you, with "
        "your files and your network; install bubblewrap on a Linux, or say --i-trust-these"
    )


def why_not(mode: str) -> str:
    """Why those walls do not stand here; "": they do."""
    if mode != "plain" and not seccomp.is_known():
        return "needs a Linux of 64 bits on x86-64 or ARM"
    if mode == "landlock" and not landlock.abi():
        return "this kernel has none, or it is turned off"
    try:
        process = Walls(mode).start(Limits())
    except NoStart as error:
        return str(error)
    end(process)
    return ""


def end(process: subprocess.Popen[bytes]) -> int:
    """Ends it at once, whatever it does; returns how it ended: its status, or -signal."""
    if process.poll() is None:  # else the number may be another's by now
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)
        process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()
    status = process.wait()
    cgroup.leave(process.pid)
    return status


def end_with_parent() -> None:
    """This process ends when the one that made it is killed, as far as the system has that."""
    with suppress(OSError, AttributeError):
        seccomp.prctl(child.PR_SET_PDEATHSIG, signal.SIGKILL)


def described(walls: Walls) -> dict[str, Any]:
    """For reports: the mode, and what holds in it."""
    told = {
        "bwrap": "own file system, no network, no other process; seccomp and limits",
        "landlock": "Python and memsim can be read, nothing else; seccomp and limits",
        "plain": "NOT isolated: limits alone",
    }
    return {"mode": walls.mode, "walls": told[walls.mode]}

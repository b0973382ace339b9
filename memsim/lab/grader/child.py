"""The child: runs a student's cells and answers calls, behind walls that it closes itself.

Nothing in here is secret, and none of it is trusted once the first cell runs: whatever it says is
the student's answer. It is kept light, for it starts anew for each submission and exercise.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import memsim.lab
from memsim.lab.failures import in_words
from memsim.lab.grader import frames, landlock, seccomp
from memsim.lab.plain import NotPlain
from memsim.lab.script import Missing, run_script

#: Who the code of students runs as, where the grader is root: nobody, who owns nothing.
NOBODY = 65534
#: The first frame: the walls are closed.
READY = "ready"
PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _SIGKILL = 1, 8, 9
_CAPSET: Mapping[str, int] = {"x86_64": 126, "aarch64": 91}
_CAP_VERSION, _CAP_DAC_READ_SEARCH = 0x20080522, 2
_TEXT = 400
#: Of so many cells that failed it is told.
_MOST_RAISED = 3


def main(told: Mapping[str, Any]) -> None:
    """Serves the grader, over what are stdin and stdout now; never returns."""
    hears, says = _take_channel()
    modes = {"plain": _limit, "landlock": _close_landlock, "bwrap": _close_bwrap}
    modes[told["mode"]](told)
    frames.send(says, frames.packed(READY))
    with suppress(EOFError, BrokenPipeError):
        _serve(hears, says, told["answer"])
    os._exit(0)


def _take_channel() -> tuple[int, int]:
    """The channel moves elsewhere: stdin is empty for students, what they print goes to stderr."""
    channel = os.dup(0), os.dup(1)
    empty, end = os.pipe()
    os.dup2(empty, 0)
    os.dup2(2, 1)
    os.close(empty)
    os.close(end)
    return channel


def _close_bwrap(told: Mapping[str, Any]) -> None:
    _limit(told)
    _drop(told)
    seccomp.close()


def _close_landlock(told: Mapping[str, Any]) -> None:
    _limit(told)
    landlock.close(told["read"])
    _drop(told)
    seccomp.prctl(PR_SET_PDEATHSIG, _SIGKILL)
    seccomp.close()


def _limit(told: Mapping[str, Any]) -> None:
    """Memory, time, files: as far as this system has such limits."""
    import resource

    limits = {"AS": told["memory"], "CPU": told["cpu"], "FSIZE": 0, "CORE": 0, "NOFILE": 64}
    if told["mode"] != "plain":  # there it counts the user's other processes
        limits["NPROC"] = 0
    for name, limit in limits.items():
        try:
            kind = getattr(resource, f"RLIMIT_{name}")
            _, most = resource.getrlimit(kind)
            lower = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(kind, (lower, lower))
        except (OSError, ValueError, AttributeError):
            if told["mode"] != "plain":
                raise


def _drop(told: Mapping[str, Any]) -> None:
    """Root becomes nobody, who may read root's files still if Python or memsim are among them."""
    if os.getuid() != 0:
        return
    if told["search"]:
        seccomp.prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    if told["search"]:
        _keep_search()


def _keep_search() -> None:
    """Of all capabilities one is left: to read root's files, those within the walls."""
    head = (ctypes.c_uint32 * 2)(_CAP_VERSION, 0)
    bit = 1 << _CAP_DAC_READ_SEARCH
    sets = (ctypes.c_uint32 * 6)(bit, bit, 0, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(_CAPSET[os.uname().machine]), head, sets):
        raise OSError(ctypes.get_errno(), "capset() is refused")


def _serve(hears: int, says: int, limit: int) -> None:
    names: dict[str, Any] = {}
    while True:
        asked = frames.receive(hears)
        if "cells" in asked:
            names, raised = _run_cells(asked["cells"], asked["given"])
            told: dict[str, Any] = {"answers": [], "raised": raised}
        else:
            told = _answered(names, asked["script"])
        frames.send(says, _fitting(asked["id"], told, limit))


def _run_cells(cells: Sequence[str], given: Any) -> tuple[dict[str, Any], list[list[Any]]]:
    """The names that the cells define; and which cells failed at what, for the next one runs."""
    names, raised = _notebook(given), []
    for number, cell in enumerate(cells, 1):
        try:
            exec(compile(cell, f"<cell {number}>", "exec", dont_inherit=True), names)
        except BaseException as error:
            said = _said(error)
            raised.append([number, said])
            with suppress(BaseException):  # what was printed before may have ended no line
                print(f"\ncell {number}: {said}", file=sys.stderr)
    return names, raised[:_MOST_RAISED]


def _notebook(given: Any) -> dict[str, Any]:
    """What a notebook begins with. memsim itself is loaded when a cell asks for it."""
    exercise = type("Exercise", (_Mute,), {"given": given})
    memsim.lab.__dict__["Exercise"] = exercise
    sys.modules["memsim.lab.exercise"] = memsim.lab
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    module.__dict__["display"] = lambda *things, **options: None
    return module.__dict__


class _Mute:
    """An exercise where it is graded: it gives what it gives, and says nothing."""

    def __init__(self, *args: Any, **options: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self


def _answered(names: Mapping[str, Any], script: Any) -> dict[str, Any]:
    answers: list[Any] = []
    try:
        run_script(names, script, answers)
    except BaseException as error:
        return {"answers": answers, "failure": _said(error), "kind": _kind(error)}
    return {"answers": answers}


def _kind(error: BaseException) -> str:
    kinds = ((Missing, "not defined"), (NotPlain, "not plain data"), (MemoryError, "memory"))
    return next((kind for of, kind in kinds if isinstance(error, of)), "ran")


def _said(error: BaseException) -> str:
    try:
        return in_words(error)[:_TEXT]
    except BaseException:
        return "raises an error that cannot be told"


def _fitting(number: str, told: dict[str, Any], limit: int) -> bytes:
    """The frame, if it is not too long and fit for JSON; else one that says so."""
    with suppress(ValueError, RecursionError, MemoryError, TypeError):
        frame = frames.packed({"id": number, **told})
        if len(frame) <= limit:
            return frame
    failure = f"returns more than {limit >> 10} KiB"
    return frames.packed(
        {"id": number, "answers": [], "failure": failure, "kind": "not plain data"}
    )


def lazy_package(package: ModuleType) -> None:
    """Makes memsim load itself when it is first asked for a name; its rooms can be had without."""

    def whole(name: str) -> Any:
        spec = package.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        del package.__dict__["__getattr__"]
        spec.loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = whole


#: What Python runs to become a child: memsim's own file is not run, for it loads all of the model.
BOOT = """
import sys, json, importlib.util as util
spec = util.spec_from_file_location(
    "memsim", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["memsim"] = util.module_from_spec(spec)
from memsim.lab.grader import child
child.lazy_package(sys.modules["memsim"])
child.main(json.loads(sys.argv[2]))
"""

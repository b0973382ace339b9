"""Why there is no answer, in words for a student: what an error of student code is told as."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType

from memsim.lab.plain import NotPlain
from memsim.lab.script import Missing

TOO_LONG = "takes longer than {:g} s: is there a loop without an end?"
#: How files are named that are cells: in a notebook's kernel, in a browser, where it is graded.
_CELLS = ("<ipython", "<cell ")
_TEXT = 200


def in_words(error: BaseException) -> str:
    """One line, for whatever student code raises; its text is the student's and may be anything."""
    if isinstance(error, Missing):
        return str(error)
    if isinstance(error, NotPlain):
        return f"returns something else than expected: {error}"
    if isinstance(error, NotImplementedError):
        return f"is not written yet: {error}".rstrip(": ")
    if isinstance(error, RecursionError):
        return "calls itself too deeply: is there a case where it stops?"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if isinstance(error, SystemExit):
        return "ends Python: exit() has no place here"
    if isinstance(error, KeyboardInterrupt):
        return "was interrupted"
    return _raised(error)


def _raised(error: BaseException) -> str:
    what = f"raises {type(error).__name__}"
    with suppress(Exception):
        what += f": {str(error)[:_TEXT]}" if str(error) else ""
        lines = _lines(error.__traceback__)
        what += f" (line {lines[-1]} of its cell)" if lines else ""
    return what


def _lines(trace: TracebackType | None) -> list[int]:
    """The lines of cells that it went through, the last called last."""
    lines = []
    while trace is not None:
        if _is_cell(trace.tb_frame.f_code.co_filename):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return lines


def _is_cell(filename: str) -> bool:
    return "ipykernel_" in filename or filename.startswith(_CELLS)

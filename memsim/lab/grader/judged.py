"""The judge.py of an exercise, bounded: no answer of a student makes it hang or fill memory.

It is its author's and is trusted, but no author thinks of every answer. So it runs in a process of
its own, which is ended when its time is up; that is the grader's failure, and costs no points.
Windows has no fork(): there it is not bounded.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import NoReturn

from memsim.lab.cases import Case
from memsim.lab.places import Found
from memsim.lab.verdict import Answer, Verdict, judge
from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: For all cases of an exercise; memory in bytes.
SECONDS = 20.0
_MEMORY = 2 << 30

Work = Callable[[], list[Verdict]]


def judged(found: Found, answers: Iterable[tuple[Case, Answer]]) -> list[Verdict]:
    """The verdicts on an exercise's cases. BadInput where its judge.py fails at one."""

    def work() -> list[Verdict]:
        return [judge(found.spec, case, answer, found.own) for case, answer in answers]

    return _bounded(work) if found.own and hasattr(os, "fork") else work()


def _bounded(work: Work) -> list[Verdict]:
    here, there = Pipe(duplex=False)
    process = os.fork()  # multiprocessing's own are refused to the workers of a Dask cluster
    if process == 0:
        _tell(there, work)
    there.close()
    try:
        told = here.recv() if here.poll(SECONDS) else f"took more than {SECONDS:g} s"
    except EOFError:
        told = "ended its process"
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        here.close()
    if isinstance(told, str):
        raise BadInput(f"judge.py: {told}")
    verdicts: list[Verdict] = told
    return verdicts


def _tell(there: Connection, work: Work) -> NoReturn:
    told: list[Verdict] | str
    try:
        _limit_memory()
        try:
            told = work()
        except Exception as error:
            told = f"{type(error).__name__}: {one_line(error, 300)}"
        there.send(told)
    finally:
        os._exit(0)


def _limit_memory() -> None:
    import resource  # here, as a browser has none

    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        lower = _MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most)
        resource.setrlimit(resource.RLIMIT_AS, (lower, most))

"""Work of a class, shared among the workers of a Dask cluster: more machines, the same grades.

A worker needs the same memsim and Python, its own sandbox, and the course at the same path; what
students wrote goes to it with each job. One without that sandbox gives no grades, never wrong ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: Seconds to wait for a scheduler.
PATIENCE = 10


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """The cluster whose scheduler is at this address, "tcp://HOST:8786". BadInput: none is."""
    try:
        from distributed import Client
    except ImportError:
        raise BadInput(
            '--dask: needs the package distributed: pip install "memsim[dask]"'
        ) from None
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise BadInput(f"--dask: {address}: {one_line(error, 200)}") from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise BadInput(f"--dask: {address}: has no workers")
        yield client.get_executor()

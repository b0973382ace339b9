"""An operation that breaks off in the middle is taken back, whatever it was that broke it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from memsim import GFP_KERNEL, Machine
from memsim.machine import daemons
from memsim.machine.tasks import UserTask


@contextmanager
def interrupted(nr_calls: int) -> Iterator[None]:
    """Control-C, as it were, when the model has called its nr_calls-th function."""
    left = nr_calls

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= event == "call" and "/memsim/mm/" in frame.f_code.co_filename
        if not left:
            raise KeyboardInterrupt

    had = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(had)


def used_machine() -> Machine:
    """With everything, and little of it free."""
    machine = Machine("32 MiB", slab=True, vmalloc=True, reclaim=True, swap="8 MiB")
    heap = machine.task("app").mmap("heap", "16 MiB")
    file = machine.open("data", "16 MiB")
    for index in range(1000):
        machine.read(file, index)
        machine.tasks()[0].touch(heap, index)
    return machine


def touch(machine: Machine) -> None:
    task: UserTask = machine.tasks()[0]
    task.touch(task.regions()[0], 2000)


OPERATIONS: list[Callable[[Machine], object]] = [
    touch,
    lambda machine: machine.alloc_pages(GFP_KERNEL, 3),
    lambda machine: machine.kmalloc(4000),
    lambda machine: machine.vmalloc(50_000),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_interrupted_operation_changes_nothing(operation: Callable[[Machine], object]) -> None:
    machine = used_machine()
    before, steps = machine.snapshot(), len(machine.steps())
    operations, asks = list(machine.history), machine.vm.oom.current
    for nr_calls in (*range(1, 40), *range(40, 400, 7)):
        try:
            with interrupted(nr_calls):
                operation(machine)
        except KeyboardInterrupt:
            assert machine.history == operations
        else:
            break
        assert machine.vm.oom.current is asks
        assert machine.snapshot() == before
        assert len(machine.vm.trace.journal) == steps
        machine.validate()
        machine.validate_caches()
        machine.validate_vmalloc()
    assert nr_calls > 30
    while machine.history:
        machine.undo()
    machine.validate()


def test_what_a_daemon_breaks_off_is_taken_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked got no answer, so nothing was done for them."""

    def fails(*_: object) -> None:
        raise MemoryError

    machine = used_machine()
    machine.vm.nodes[0].kswapd_asleep = 0
    before, operations = machine.snapshot(), list(machine.history)
    monkeypatch.setattr(daemons, "kswapd", fails)
    with pytest.raises(MemoryError):
        machine.alloc_pages(GFP_KERNEL)
    assert machine.history == operations
    assert machine.snapshot() == before


def test_a_pageblock_that_is_refused_is_no_operation() -> None:
    machine = Machine("64 MiB")
    machine.alloc_pages(GFP_KERNEL)
    machine.undo()
    with pytest.raises(Exception, match="not wholly in zone DMA"):
        machine.isolate_pageblock(1)
    assert machine.history == []
    machine.redo()

"""Everything together: a request that finds no memory reclaims, compacts, and at last kills."""

from __future__ import annotations

from contextlib import suppress

import pytest

from memsim import GFP_KERNEL, Machine, PageAllocationFailure
from memsim.mm.oom_kill.task import Mm, add_process


def filled() -> tuple[Machine, list[int]]:
    """A machine whose pages are all in use by requests that nothing can take back."""
    machine = Machine("32 MiB", reclaim=True, steps=False)
    taken = []
    with suppress(PageAllocationFailure):
        while True:
            taken.append(machine.alloc_pages(GFP_KERNEL))
    return machine, taken


def test_with_nobody_to_kill_the_request_fails() -> None:
    machine, _ = filled()
    with pytest.raises(PageAllocationFailure):
        machine.alloc_pages(GFP_KERNEL)
    assert machine.vm.oom.nr_oom_kill == 0


def test_a_task_is_killed_and_the_request_gets_its_memory() -> None:
    machine, taken = filled()
    hog = taken[-1000:]
    add_process(machine.vm.oom, 42, "hog", Mm(total_vm=1000, anonpages=1000, pages=hog))
    add_process(machine.vm.oom, 43, "small", Mm(total_vm=10, anonpages=10))
    machine.alloc_pages(GFP_KERNEL)
    assert machine.vm.oom.nr_oom_kill == 1
    log = "\n".join(machine.vm.oom.log)
    assert "Out of memory: Killed process 42 (hog) total-vm:4000kB" in log
    machine.validate()

"""Every invariant of tasks and of kswapd's sleep, each one sentence and one check.

mm/validate.py asks for them. They hold between operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.exit import dies
from memsim.mm.oom_kill.task import Mm, Task
from memsim.mm.vmscan.kswapd import kswapd_naps_until


def _threads(vm: Vm) -> list[Task]:
    return [task for process in vm.oom.processes for task in process.signal.threads]


def _users(vm: Vm) -> dict[Mm, int]:
    """How many threads have each address space."""
    users: dict[Mm, int] = {}
    for task in _threads(vm):
        if task.mm is not None:
            users[task.mm] = users.get(task.mm, 0) + 1
    return users


def _mm_users(vm: Vm) -> Iterator[str]:
    """mm_users counts the threads that have an address space."""
    for mm, users in _users(vm).items():
        if mm.mm_users != users:
            yield f"mm_users {mm.mm_users}, there are {users}"


def _areas(vm: Vm) -> Iterator[str]:
    """A region of an address space is an anonymous mapping, and no other one's."""
    seen: set[int] = set()
    for mm in _users(vm):
        for number, _ in mm.areas:
            mapping = vm.folios.mappings.get(number)
            if number in seen or mapping is None or not mapping.is_anon:
                yield f"mapping {number}"
            seen.add(number)


def _total_vm(vm: Vm) -> Iterator[str]:
    """An address space that has regions has as many pages as they, and nothing lies beyond them."""
    for mm in _users(vm):
        if mm.areas and mm.total_vm != sum(nr_pages for _, nr_pages in mm.areas):
            yield f"total_vm {mm.total_vm}"
        for number, nr_pages in mm.areas:
            if any(not 0 <= index < nr_pages for index in vm.folios.mappings[number].i_pages):
                yield f"mapping {number} has more than {nr_pages} pages"


def _oom_victims(vm: Vm) -> Iterator[str]:
    """oom_victims counts the threads that may use the reserves to die."""
    memdie = sum(task.memdie for task in _threads(vm))
    if vm.oom.oom_victims != memdie:
        yield f"oom_victims {vm.oom.oom_victims}, there are {memdie}"


def _dying(vm: Vm) -> Iterator[str]:
    """OomState.dying says whether somebody was killed and is still there."""
    if vm.oom.dying != any(dies(process) for process in vm.oom.processes):
        yield f"dying {vm.oom.dying}"


def _init(vm: Vm) -> Iterator[str]:
    """The first process is init, who asks when no task does; no pid is used twice."""
    pids = [task.pid for task in _threads(vm)]
    if pids[:1] != [1] or len(set(pids)) != len(pids):
        yield f"pids {pids[:20]}"


def _kswapd(vm: Vm) -> Iterator[str]:
    """A kswapd that is asleep naps, or has nothing on its stack, and its wakers see it."""
    for pgdat in vm.nodes:
        asleep_in_the_middle = pgdat.kswapd_stack and kswapd_naps_until(vm, pgdat) < 0
        if pgdat.kswapd_asleep and (asleep_in_the_middle or not pgdat.kswapd_waits):
            yield f"node {pgdat.nid}"


#: Every invariant of tasks; its sentence is the docstring.
TASK_INVARIANTS: tuple[Callable[[Vm], Iterator[str]], ...] = (
    _mm_users, _areas, _total_vm, _oom_victims, _dying, _init, _kswapd,
)  # fmt: skip

"""What a Machine did, step by step, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from memsim.machine.checks import check_switch, whole
from memsim.machine.emitters import Emitter, EmitterJournal
from memsim.machine.plain import plain_numbers
from memsim.mm.apply import redo_steps, undo_steps
from memsim.mm.journal import start_steps, step_fields
from memsim.mm.mmzone import Vm
from memsim.mm.oom_kill.journal import step_tasks
from memsim.mm.slub.snapshot import whole_cache
from memsim.mm.snapshot import Snapshot, take_snapshot
from memsim.mm.vmalloc.whole import whole_vmalloc
from memsim.trace.events import TP_KERNEL_EVENTS
from memsim.trace.steps import OF_A_CACHE, OF_A_SLAB, Step
from memsim.words.errors import BadRequest
from memsim.words.mmzone import NULL

T = TypeVar("T")


@dataclass(frozen=True)
class Operation:
    """Something the Machine was asked to do: its name, and its steps [first_step, last_step).

    daemon: nobody asked; the operation in front of it woke who did it.
    """

    name: str
    first_step: int
    last_step: int
    daemon: bool = False


@dataclass
class Recording:
    """A stretch of a Machine's life: the snapshot before it, its steps, its operations.

    Step numbers in `operations` count from the recording's first step. `emitters` says of each
    step which functions were running.
    """

    snapshot: Snapshot
    steps: list[Step] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    emitters: list[Emitter] = field(default_factory=list, compare=False, repr=False)
    #: The caches that steps name, or whose slabs they name, as they are behind the last step.
    caches: list[dict[str, Any]] = field(default_factory=list, repr=False)
    #: All of vmalloc behind the last step; empty where the machine has none.
    vmalloc: dict[str, Any] = field(default_factory=dict, repr=False)


@plain_numbers
class History:
    """The state of a Machine, and the operations that led to it."""

    vm: Vm
    seed: int
    history: list[Operation]
    _undone: list[Operation]
    #: Daemons run when their turn comes, not behind the operation that woke them.
    _scheduled: bool

    def __init_subclass__(cls) -> None:
        plain_numbers(cls)

    def _adopt(self, vm: Vm, seed: int, steps: bool) -> None:
        check_switch("steps", steps)
        self.vm = vm
        self.seed = seed
        self.history = []
        self._undone = []
        self._scheduled = False
        vm.trace.mask = TP_KERNEL_EVENTS
        if steps:
            start_steps(vm)

    def snapshot(self) -> Snapshot:
        """The state of the page allocator as plain data; mm/snapshot.py says what is in it.

        NOT MODELLED: slabs, files, regions and CMA areas in it: to a machine made from it their
        pages are in use, or lent, no more.
        """
        return take_snapshot(self.vm)

    def steps(self, start: int = 0) -> list[Step]:
        """Steps of all operations that are not undone, from number `start` on."""
        whole("start", start)
        if start < 0:
            raise BadRequest(f"start={start}: should be 0 or more")
        return list(self.vm.trace.journal.read(start, self._position()))

    def undo(self) -> Operation:
        """Take the last operation back. BadRequest when there is none."""
        if not self.history:
            raise BadRequest("nothing to undo")
        operation = self.history.pop()
        undo_steps(self.vm, self._steps_of(operation))
        self._undone.append(operation)
        return operation

    def redo(self) -> Operation:
        """Do the operation again that undo() took back last. BadRequest when there is none."""
        if not self._undone:
            raise BadRequest("nothing to redo")
        operation = self._undone.pop()
        redo_steps(self.vm, self._steps_of(operation))
        self.history.append(operation)
        return operation

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """Record what happens inside the with block, for a player."""
        recording = Recording(self.snapshot())
        first_operation, first_step = len(self.history), self._position()
        with self._emitters_kept() as journal:
            yield recording
        recording.steps = self.steps(first_step)
        recording.emitters = journal.emitters(first_step, self._position())
        recording.caches = self._caches_of(recording.steps)
        if hasattr(self.vm, "vmalloc"):
            recording.vmalloc = whole_vmalloc(self.vm.vmalloc)
        recording.operations = [
            replace(op, first_step=op.first_step - first_step, last_step=op.last_step - first_step)
            for op in self.history[first_operation:]
        ]

    def _caches_of(self, steps: list[Step]) -> list[dict[str, Any]]:
        if not hasattr(self.vm, "slab"):
            return []
        state = self.vm.slab
        named = {step.cache for step in steps if isinstance(step, OF_A_CACHE)}
        pfns = {step.pfn for step in steps if isinstance(step, OF_A_SLAB)}
        named |= {slab.slab_cache.id for slab in state.by_id.values() if slab.pfn in pfns}
        return [whole_cache(state.caches[number]) for number in sorted(named)]

    @contextmanager
    def _emitters_kept(self) -> Iterator[EmitterJournal]:
        """Inside the with block the journal keeps who writes; outside it costs nothing."""
        trace, journal = self.vm.trace, self.vm.trace.journal
        if not isinstance(journal, EmitterJournal):
            trace.journal = EmitterJournal(journal)
        assert isinstance(trace.journal, EmitterJournal)
        try:
            yield trace.journal
        finally:
            trace.journal = journal

    def _do(self, name: str, cpu: int, call: Callable[[], T], daemon: bool = False) -> T:
        """Run one operation on a CPU, and remember its steps; none is done by half."""
        journal = self.vm.trace.journal
        journal.cut(self._position())
        self._undone.clear()
        self.vm.oom.before = None
        first_step, flags = len(journal), self.vm.current.flags
        self.vm.set_cpu(cpu)
        try:
            result = call()
            if self.vm.fields_seen:
                self._step_numbers()
                shown = f"{name}{_shown(result)}"
                self.history.append(Operation(shown, first_step, len(journal), daemon))
        except BaseException:
            self.vm.current.flags = flags
            self._break_off(first_step)
            raise
        return result

    def _break_off(self, first_step: int) -> None:
        """Take back what an operation did so far; with steps=False nobody knows it.

        What an interrupt hits between a step and its change, one line on, may not be as it was.
        """
        if self.vm.fields_seen:
            self._step_numbers()
            journal = self.vm.trace.journal
            undo_steps(self.vm, list(journal.read(first_step)))
            journal.cut(first_step)

    def _step_numbers(self) -> None:
        for zone in self.vm.zones:
            step_fields(zone)
        step_tasks(self.vm)

    def _go_back_to(self, nr_operations: int) -> None:
        """Take back all operations behind the first so many, never to be done again."""
        if len(self.history) > nr_operations:
            while len(self.history) > nr_operations:
                self.undo()
            self._undone.clear()

    def _position(self) -> int:
        return self.history[-1].last_step if self.history else 0

    def _steps_of(self, operation: Operation) -> list[Step]:
        return list(self.vm.trace.journal.read(operation.first_step, operation.last_step))


def _shown(result: object) -> str:
    """What an operation gave, as its name says it."""
    if isinstance(result, bool) or result is None:
        return ""
    if isinstance(result, int):
        error = " = NULL" if result == NULL else f" = error {-result}"
        return f" = pfn {result}" if result >= 0 else error
    return f" = {len(result)} pages" if isinstance(result, list) else ""

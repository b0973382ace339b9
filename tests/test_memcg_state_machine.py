"""Random lives of cgroups under their limits: every invariant after each step, and all undone."""

from __future__ import annotations

import contextlib

import pytest
from folio_states import state_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memsim import BadRequest, Machine, PageAllocationFailure
from memsim.machine.cgroup import Process
from memsim.machine.pages import Pages
from memsim.words.gfp import GFP_KERNEL_ACCOUNT

pytestmark = pytest.mark.alone

cpus = st.integers(0, 1)
starts = st.integers(0, 400)
lengths = st.one_of(st.integers(1, 40), st.integers(1, 300))
sizes = st.sampled_from(("0", "40K", "256K", "400K", "1M", "max"))


class Groups(RuleBasedStateMachine):
    """Two cgroups, whose processes come, read, write and map, and are killed."""

    swap: int | str = "1 MiB"

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine("16 MiB", cpus=2, reclaim=True, swap=self.swap, min_free_kbytes=512)
        self.first = state_of(self.machine)
        self.groups = [self.machine.cgroup("a", max="400K"), self.machine.cgroup("b", high="256K")]
        self.file = self.machine.open("file", "2 MiB")
        self.regions: list[tuple[Process, Pages]] = []
        self.blocks: list[int] = []
        for which in (0, 0, 1):
            self.process(which, 0)

    @rule(which=st.integers(0, 2), adj=st.sampled_from((-1000, 0, 500)))
    def process(self, which: int, adj: int) -> None:
        """In one of the groups, or in the root."""
        group = self.groups[which] if which < 2 else None
        comm = f"p{len(self.machine.history)}"
        process = self.machine.process(comm, group, oom_score_adj=adj)
        with self.machine.running(process):
            self.regions.append((process, self.machine.mmap(comm, "2 MiB")))

    def _use(self, pages: Pages, call: str, start: int, nr: int, cpu: int) -> None:
        for index in range(start, min(start + nr, pages.nr_pages)):
            with contextlib.suppress(PageAllocationFailure, BadRequest):
                getattr(self.machine, call)(pages, index, cpu=cpu)

    @rule(who=st.integers(0, 9), start=starts, nr=lengths, cpu=cpus)
    def touch(self, who: int, start: int, nr: int, cpu: int) -> None:
        """A process uses its region, until it is killed."""
        _, region = self.regions[who % len(self.regions)]
        self._use(region, "touch", start, nr, cpu)

    @rule(
        who=st.integers(0, 9), call=st.sampled_from(("read", "write", "touch")), start=starts,
        nr=lengths, cpu=cpus,
    )  # fmt: skip
    def file_of(self, who: int, call: str, start: int, nr: int, cpu: int) -> None:
        """A process uses a file that others use too."""
        process, _ = self.regions[who % len(self.regions)]
        with contextlib.suppress(BadRequest), self.machine.running(process):
            self._use(self.file, call, start, nr, cpu)

    @rule(who=st.integers(0, 9), start=starts, nr=lengths, cpu=cpus)
    def drop(self, who: int, start: int, nr: int, cpu: int) -> None:
        """Unmapped, or truncated."""
        _, region = self.regions[who % len(self.regions)]
        self._use(region if who % 2 else self.file, "drop", start, nr, cpu)

    @rule(
        which=st.integers(0, 1), size=sizes, cpu=cpus,
        file=st.sampled_from(
            ("memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.max")
        ),
    )  # fmt: skip
    def write(self, which: int, file: str, size: str, cpu: int) -> None:
        """Limits above and below what is used."""
        self.machine.cgroup_write(self.groups[which], file, size, cpu=cpu)

    @rule(who=st.integers(0, 9), order=st.integers(0, 5), nr=st.integers(1, 20), cpu=cpus)
    def kernel_pages(self, who: int, order: int, nr: int, cpu: int) -> None:
        """Charged to who asks, and freed by somebody."""
        process, _ = self.regions[who % len(self.regions)]
        with contextlib.suppress(PageAllocationFailure, BadRequest), self.machine.running(process):
            for _ in range(nr):
                self.blocks.append(self.machine.alloc_pages(GFP_KERNEL_ACCOUNT, order, cpu=cpu))

    @rule(nr=st.integers(1, 20), cpu=cpus)
    def free_pages(self, nr: int, cpu: int) -> None:
        """Some of them."""
        for _ in range(min(nr, len(self.blocks))):
            self.machine.free_pages(self.blocks.pop(), cpu=cpu)

    @rule(which=st.sampled_from(("kswapd", "write_back", "lru_add_drain_all", "compact_memory")))
    def daemon(self, which: str) -> None:
        """Folios move, and go."""
        getattr(self.machine, which)()

    @rule(who=st.integers(0, 9))
    def exit(self, who: int) -> None:
        """A process ends by itself."""
        if len(self.regions) > 1:
            process, _ = self.regions.pop(who % len(self.regions))
            with contextlib.suppress(BadRequest):
                self.machine.exit(process)

    @rule(nr=st.integers(1, 200))
    def back_and_forth(self, nr: int) -> None:
        """Operations undone and done again leave the same state."""
        before = state_of(self.machine)
        undone = min(nr, len(self.machine.history))
        for _ in range(undone):
            self.machine.undo()
        self.machine.validate()
        for _ in range(undone):
            self.machine.redo()
        assert state_of(self.machine) == before

    @invariant()
    def valid(self) -> None:
        """Every sentence of mm/validate.py, mm/folio_validate.py and mm/memcontrol/validate.py."""
        self.machine.validate()

    def teardown(self) -> None:
        """Nothing is left of it all."""
        while self.machine.history:
            self.machine.undo()
        assert state_of(self.machine) == self.first


class NoSwap(Groups):
    """All anonymous memory has to stay."""

    swap = 0


_settings = settings(max_examples=4, stateful_step_count=12, deadline=None)
TestGroups = Groups.TestCase
TestGroups.settings = _settings
TestNoSwap = NoSwap.TestCase
TestNoSwap.settings = _settings

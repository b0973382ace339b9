"""memblock against bytes: a dictionary has their nodes and flags, a search tries every address."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, product

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memsim.lib.bits import PAGE_SIZE, align_up
from memsim.mm.memblock.add import memblock_add, memblock_add_node, memblock_reserve
from memsim.mm.memblock.alloc import memblock_alloc_exact_nid_raw, memblock_alloc_try_nid
from memsim.mm.memblock.iterate import for_each_free_mem_range, for_each_free_mem_range_reverse
from memsim.mm.memblock.region import (
    Memblock,
    MemblockType,
    memblock_is_map_memory,
    memblock_is_memory,
    memblock_is_region_memory,
    memblock_is_region_reserved,
    memblock_is_reserved,
)
from memsim.mm.memblock.remove import (
    memblock_clear_hotplug,
    memblock_clear_nomap,
    memblock_mark_hotplug,
    memblock_mark_mirror,
    memblock_mark_nomap,
    memblock_phys_free,
    memblock_remove,
    memblock_reserved_mark_noinit,
    memblock_set_node,
)
from memsim.words.memblock import (
    MAX_NUMNODES,
    MEMBLOCK_DRIVER_MANAGED,
    MEMBLOCK_HOTPLUG,
    MEMBLOCK_MIRROR,
    MEMBLOCK_NOMAP,
    MEMBLOCK_NONE,
    MEMBLOCK_RSRV_NOINIT,
)
from memsim.words.slab import NUMA_NO_NODE

#: All that happens: a few bytes of the first page, which is never given, and some behind it.
LOW, HIGH = PAGE_SIZE - 16, PAGE_SIZE + 80
END = HIGH + 40
ADDRESS, SIZE = st.integers(LOW, HIGH), st.integers(0, 40)
NODE = st.sampled_from([0, 1, MAX_NUMNODES])
MARKS = {
    memblock_mark_hotplug: (MEMBLOCK_HOTPLUG, True),
    memblock_clear_hotplug: (MEMBLOCK_HOTPLUG, False),
    memblock_mark_nomap: (MEMBLOCK_NOMAP, True),
    memblock_clear_nomap: (MEMBLOCK_NOMAP, False),
    memblock_mark_mirror: (MEMBLOCK_MIRROR, True),
}

Bytes = dict[int, tuple[int, int]]
Mark = Callable[[Memblock, int, int], int]


def runs(held: Bytes) -> list[tuple[int, int, int, int]]:
    """What touches and is alike: base, size, nid, flags."""
    numbered = enumerate(sorted(held))
    found = []
    for (_, attributes), group in groupby(
        numbered, lambda item: (item[1] - item[0], held[item[1]])
    ):
        addresses = [address for _, address in group]
        found.append((addresses[0], len(addresses), *attributes))
    return found


class MemblockMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.memblock = Memblock()
        self.memory: Bytes = {}
        self.reserved: Bytes = {}

    @initialize(mirrored=st.booleans(), movable_node=st.booleans(), base=ADDRESS)
    def boot(self, mirrored: bool, movable_node: bool, base: int) -> None:
        self.memblock.mirrored_kernelcore = mirrored
        self.memblock.movable_node = movable_node
        self.add(base, HIGH - base)

    @rule(bottom_up=st.booleans(), limit=st.none() | ADDRESS)
    def look_from(self, bottom_up: bool, limit: int | None) -> None:
        self.memblock.bottom_up = bottom_up
        self.memblock.current_limit = END if limit is None else limit

    @rule(base=ADDRESS, size=SIZE)
    def add(self, base: int, size: int) -> None:
        assert memblock_add(self.memblock, base, size) == 0
        self._fill(self.memory, base, size, MAX_NUMNODES, MEMBLOCK_NONE)

    @rule(base=ADDRESS, size=SIZE, nid=NODE, flags=st.sampled_from([0, MEMBLOCK_DRIVER_MANAGED]))
    def add_node(self, base: int, size: int, nid: int, flags: int) -> None:
        assert memblock_add_node(self.memblock, base, size, nid, flags) == 0
        self._fill(self.memory, base, size, nid, flags)

    @rule(base=ADDRESS, size=SIZE)
    def reserve(self, base: int, size: int) -> None:
        assert memblock_reserve(self.memblock, base, size) == 0
        self._fill(self.reserved, base, size, MAX_NUMNODES, MEMBLOCK_NONE)

    @rule(base=ADDRESS, size=SIZE)
    def remove(self, base: int, size: int) -> None:
        assert memblock_remove(self.memblock, base, size) == 0
        self._clear(self.memory, base, size)

    @rule(base=ADDRESS, size=SIZE)
    def free(self, base: int, size: int) -> None:
        assert memblock_phys_free(self.memblock, base, size) == 0
        self._clear(self.reserved, base, size)

    @rule(base=ADDRESS, size=SIZE, mark=st.sampled_from(list(MARKS)))
    def mark(self, base: int, size: int, mark: Mark) -> None:
        assert mark(self.memblock, base, size) == 0
        if mark is not memblock_mark_mirror or self.memblock.mirrored_kernelcore:
            self._flag(self.memory, base, size, *MARKS[mark])

    @rule(base=ADDRESS, size=SIZE)
    def mark_noinit(self, base: int, size: int) -> None:
        assert memblock_reserved_mark_noinit(self.memblock, base, size) == 0
        self._flag(self.reserved, base, size, MEMBLOCK_RSRV_NOINIT, True)

    @rule(base=ADDRESS, size=SIZE, nid=NODE, in_memory=st.booleans())
    def set_node(self, base: int, size: int, nid: int, in_memory: bool) -> None:
        type_ = self.memblock.memory if in_memory else self.memblock.reserved
        assert memblock_set_node(self.memblock, base, size, type_, nid) == 0
        held = self.memory if in_memory else self.reserved
        for address in held.keys() & range(base, base + size):
            held[address] = nid, held[address][1]

    @rule(
        size=st.integers(1, 24), align=st.sampled_from([1, 4, 16]), min_addr=st.just(0) | ADDRESS,
        max_addr=st.just(0) | ADDRESS, nid=st.sampled_from([NUMA_NO_NODE, 0, 1]),
        exact=st.booleans(),
    )  # fmt: skip
    def alloc(
        self, size: int, align: int, min_addr: int, max_addr: int, nid: int, exact: bool
    ) -> None:
        expect = self._best(size, align, min_addr, max_addr, nid, exact)
        ask = memblock_alloc_exact_nid_raw if exact else memblock_alloc_try_nid
        assert ask(self.memblock, size, align, min_addr, max_addr, nid) == expect
        if expect:
            self._fill(self.reserved, expect, size, MAX_NUMNODES, MEMBLOCK_NONE)

    def _fill(self, held: Bytes, base: int, size: int, nid: int, flags: int) -> None:
        for address in range(base, base + size):
            held.setdefault(address, (nid, flags))

    def _clear(self, held: Bytes, base: int, size: int) -> None:
        for address in held.keys() & range(base, base + size):
            del held[address]

    def _flag(self, held: Bytes, base: int, size: int, flag: int, set_: bool) -> None:
        for address in held.keys() & range(base, base + size):
            nid, flags = held[address]
            held[address] = nid, flags | flag if set_ else flags & ~flag

    def _best(
        self, size: int, align: int, min_addr: int, max_addr: int, nid: int, exact: bool
    ) -> int:
        """By every address: first where it was asked for, then with ever fewer wishes."""
        high = min(max_addr or self.memblock.current_limit, self.memblock.current_limit)
        mirrors = [True, False] if self.memblock.system_has_some_mirror else [False]
        nids = [nid] if exact or nid == NUMA_NO_NODE else [nid, NUMA_NO_NODE]
        for low, mirror, node in product((min_addr, 0), mirrors, nids):
            first = align_up(max(low, PAGE_SIZE), align)
            window = range(first, min(high, END) - size + 1, align)
            fits = [address for address in window if self._fits(address, size, node, mirror)]
            if fits:
                return fits[0] if self.memblock.bottom_up else fits[-1]
        return 0

    def _fits(self, base: int, size: int, node: int, mirror: bool) -> bool:
        """All of it is RAM that may be given, of one region, and not in use."""
        held = {self.memory.get(address) for address in range(base, base + size)}
        if len(held) > 1 or self.reserved.keys() & range(base, base + size):
            return False
        attributes = held.pop()
        return attributes is not None and self._may(attributes, node, mirror)

    def _may(self, attributes: tuple[int, int], node: int, mirror: bool) -> bool:
        nid, flags = attributes
        pulled = self.memblock.movable_node and flags & MEMBLOCK_HOTPLUG
        hidden = flags & (MEMBLOCK_NOMAP | MEMBLOCK_DRIVER_MANAGED)
        unlike = mirror and not flags & MEMBLOCK_MIRROR
        return node in (nid, NUMA_NO_NODE) and not (pulled or hidden or unlike)

    @invariant()
    def regions_are_what_bytes_say(self) -> None:
        """Sorted, none overlapping, and neighbours that are alike are one."""
        for type_, held in self._both():
            assert [(r.base, r.size, r.nid, r.flags) for r in type_.regions] == runs(held)
            assert type_.total_size == len(held)

    @invariant()
    def every_byte_is_found(self) -> None:
        for address in range(LOW - 1, END + 1):
            held = self.memory.get(address)
            assert memblock_is_memory(self.memblock, address) == (held is not None)
            mapped = held is not None and not held[1] & MEMBLOCK_NOMAP
            assert memblock_is_map_memory(self.memblock, address) == mapped
            assert memblock_is_reserved(self.memblock, address) == (address in self.reserved)

    @rule(base=ADDRESS, size=st.integers(1, 40))
    def ranges_are_found(self, base: int, size: int) -> None:
        within = any(b <= base and base + size <= b + s for b, s, _, _ in runs(self.memory))
        assert memblock_is_region_memory(self.memblock, base, size) == within
        some = bool(self.reserved.keys() & range(base, base + size))
        assert memblock_is_region_reserved(self.memblock, base, size) == some

    @invariant()
    def what_is_free_is_ram_that_is_not_in_use(self) -> None:
        for node in (NUMA_NO_NODE, 0, 1):
            free = list(for_each_free_mem_range(self.memblock, node, MEMBLOCK_NONE))
            assert free == list(for_each_free_mem_range_reverse(self.memblock, node, 0))[::-1]
            found = [address for start, end, _ in free for address in range(start, end)]
            may = [a for a, held in sorted(self.memory.items()) if self._may(held, node, False)]
            assert found == [address for address in may if address not in self.reserved]

    def _both(self) -> list[tuple[MemblockType, Bytes]]:
        memblock = self.memblock
        return [(memblock.memory, self.memory), (memblock.reserved, self.reserved)]


TestMemblockMachine = MemblockMachine.TestCase
TestMemblockMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

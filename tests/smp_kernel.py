"""Several CPUs and their interrupts at work on one model, and the trace that a kernel would write.

Operations are coroutines. What they do between two yields happens at once; a yield lets time pass,
in which other CPUs run and interrupts come in. Locks, the places of the events and the times follow
mm/page_alloc.c; what the model answers is the truth that a replay of the trace has to find again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from memsim.mm.description import Description, boot_vm
from memsim.mm.mmzone import PerCpuPages, Vm, Zone, numa_node_id, page_zone, populated_zones
from memsim.mm.page_alloc.alloc import fast_path, prepare_bulk, take_bulk
from memsim.mm.page_alloc.buddy import free_one_page
from memsim.mm.page_alloc.free import commit_batched, free_pages_prepare, pcp_migratetype
from memsim.mm.page_alloc.pcp import (
    free_pcppages_bulk,
    free_unref_page_commit,
    lower_pcp_high,
    order_to_pindex,
)
from memsim.mm.page_alloc.zone_walk import prepare_alloc_pages
from memsim.mm.vmstat import fold_zone_diffs
from memsim.trace.events import (
    MM_PAGE_ALLOC_EXTFRAG,
    MM_PAGE_PCPU_DRAIN,
    TP_MM_PAGE_ALLOC_EXTFRAG,
    TP_MM_PAGE_ALLOC_ZONE_LOCKED,
    TP_MM_PAGE_PCPU_DRAIN,
)
from memsim.trace.trace import Trace
from memsim.words.gfp import gfp_migratetype, parse_gfp_flags, show_gfp_flags
from memsim.words.mmzone import FPI_NONE, NULL, PAGE_ALLOC_COSTLY_ORDER

MASK = TP_MM_PAGE_ALLOC_EXTFRAG | TP_MM_PAGE_ALLOC_ZONE_LOCKED | TP_MM_PAGE_PCPU_DRAIN
GFP = {
    name: parse_gfp_flags(name)
    for name in ("GFP_KERNEL", "GFP_HIGHUSER_MOVABLE|__GFP_COMP", "GFP_ATOMIC")
}
#: Microseconds: from an interrupt to its first line, and from its last to where it came in.
WAY_IN = 60.0
WAY_BACK = 12.0
ZEROING = 9.0

Steps = Generator[float, None, None]


@dataclass
class Context:
    """A task, or a softirq in one."""

    cpu: int
    pid: int
    in_softirq: bool = False
    irqs_off: int = 0
    depth: int = 0
    #: Since its last line: two interrupts between two lines look like one.
    was_interrupted: bool = False


@dataclass
class Cpu:
    """What runs on a CPU: coroutines, the interrupted ones below."""

    time: float = 0.0
    stack: list[tuple[Context, Steps]] = field(default_factory=list)


class SmpKernel:
    """The kernel: `lines` of its trace, `answers` by line number of each request."""

    def __init__(self, vm: Vm, seed: int, *, apn: bool = False, interrupts: float = 0.05) -> None:
        self.vm = vm
        self.rng = random.Random(seed)
        self.apn = apn
        self.interrupts = interrupts
        self.lines: list[str] = []
        self.pool: list[tuple[int, int]] = []
        self.cpus = [Cpu(time=cpu * 3.7) for cpu in range(vm.nr_cpus)]
        self.holders: dict[int, Context] = {}
        self.events = vm.trace.ring.written
        self.counts: dict[str, int] = {}

    # The machinery

    def run(self, nr_operations: int) -> None:
        """Every CPU does its share; then all come to an end."""
        left = [nr_operations // self.vm.nr_cpus] * self.vm.nr_cpus
        while True:
            ready = [i for i, cpu in enumerate(self.cpus) if cpu.stack or left[i]]
            if not ready:
                return
            index = min(ready, key=lambda i: self.cpus[i].time)
            cpu = self.cpus[index]
            if not cpu.stack:
                left[index] -= 1
                task = Context(index, 100 + index * 10 + self.rng.randrange(2))
                cpu.stack.append((task, self.operation(task)))
            self.step(cpu)

    def step(self, cpu: Cpu) -> None:
        context, steps = cpu.stack[-1]
        self.vm.set_cpu(context.cpu)
        self.now = cpu.time
        try:
            cpu.time += next(steps)
        except StopIteration:
            cpu.stack.pop()
            cpu.time += WAY_BACK if context.in_softirq else 5.0
            return
        may_come = not (context.in_softirq or context.irqs_off or context.was_interrupted)
        if may_come and self.rng.random() < self.interrupts:
            context.was_interrupted = True
            softirq = Context(context.cpu, context.pid, True, depth=context.depth)
            cpu.stack.append((softirq, self.softirq(softirq)))
            cpu.time += WAY_IN

    def log(self, context: Context, name: str, text: str) -> None:
        flags = (
            ("d" if context.irqs_off else "."),
            ".",
            ("s" if context.in_softirq else "."),
            (str(context.depth) if context.depth else "."),
            ".",
        )
        self.counts[name] = self.counts.get(name, 0) + 1
        context.was_interrupted = False
        self.lines.append(
            f"  task-{context.pid}  [{context.cpu:03d}] {''.join(flags)} "
            f"{self.now / 1e6:.6f}: {name}: {text}\n"
        )

    def under_zone_lock(
        self, context: Context, zone: Zone, do: Callable[[], None], before: str = ""
    ) -> Steps:
        """Wait for zone->lock, do it, write the events that it fired, each in its time."""
        context.irqs_off += 1
        context.depth += 1
        while zone.id in self.holders:
            yield 0.7
        self.holders[zone.id] = context
        if before:
            self.log(context, "direct", before)
        do()
        for name, text in self.fired():
            yield 2.9
            self.log(context, name, text)
        del self.holders[zone.id]
        context.irqs_off -= 1
        context.depth -= 1

    def fired(self) -> list[tuple[str, str]]:
        """Lines of what the model fired since the last time."""
        ring = self.vm.trace.ring
        found = []
        for record in ring.read(self.events):
            found.append(_text_of(record[1] & 0xFF, *record[2:]))
        self.events = ring.written
        return found

    # Operations

    def operation(self, task: Context) -> Steps:
        """Something that a task does."""
        chosen = self.rng.random()
        if chosen < 0.42:
            yield from self.some_requests(task, "GFP_KERNEL", "GFP_HIGHUSER_MOVABLE|__GFP_COMP")
        elif chosen < 0.70:
            yield from self.some_frees(task)
        elif chosen < 0.88:
            yield from self.batch(task)
        elif chosen < 0.95:
            yield from self.bulk(task, self.rng.randint(2, 90))
        elif chosen < 0.98:
            yield from self.vmstat(task)
        else:
            yield from self.drain_all(task)

    def softirq(self, softirq: Context) -> Steps:
        """RCU callbacks and receiving packets."""
        self.other(softirq)
        yield 2.0
        for _ in range(self.rng.randint(1, 3)):
            if self.rng.random() < 0.6:
                yield from self.some_frees(softirq)
            else:
                yield from self.some_requests(softirq, "GFP_ATOMIC")
            self.other(softirq)
            yield 1.0
        self.other(softirq)

    def other(self, context: Context) -> None:
        self.log(context, "kmem_cache_free", "call_site=x ptr=y name=z")

    def some_requests(self, context: Context, *gfps: str) -> Steps:
        gfp = GFP[self.rng.choice(gfps)]
        order = self.rng.choice((0, 0, 0, 0, 0, 1, 2, 3, 5))
        for _ in range(self.rng.randint(1, 40) if not order else 2):
            yield from self.alloc(context, gfp, order)
            yield 2.0

    def some_frees(self, context: Context) -> Steps:
        for _ in range(self.rng.randint(1, 30)):
            if self.pool:
                yield from self.free(context, *self.pick())
                self.other(context)
                yield 1.0

    def pick(self) -> tuple[int, int]:
        """Something of the pool, rather of those that came together."""
        index = self.rng.randrange(max(0, len(self.pool) - 400), len(self.pool))
        return self.pool.pop(index)

    def alloc(self, context: Context, gfp: int, order: int) -> Steps:
        """A request, logged at its end."""
        nid = numa_node_id(self.vm)
        if self.apn:
            context.depth += 1
            self.log(context, "apn", f"(x) gfp={gfp:#x} order={order} nid={nid} nodemask=0x0")
            context.depth -= 1
        yield 1.0
        # an interrupt right before the lock is taken looks like one right after
        context.irqs_off += 1
        yield 4.0
        context.irqs_off -= 1
        ac = prepare_alloc_pages(self.vm, gfp, nid)
        zone = ac.zonelist[0]
        pcp = zone.per_cpu_pageset[context.cpu]
        page = [NULL]

        def take() -> None:
            page[0] = fast_path(self.vm, gfp, order, ac)

        if order > PAGE_ALLOC_COSTLY_ORDER:
            yield from self.under_zone_lock(context, zone, take)
        elif pcp.locked:
            self.counts["locked out"] = self.counts.get("locked out", 0) + 1
            yield from self.under_zone_lock(context, zone, _with(pcp, True, take))
        else:
            yield from self.pcp_lock(context, pcp)
            head = pcp.lists[order_to_pindex(ac.migratetype, order)]
            if zone.next[head] == head:
                yield from self.under_zone_lock(context, zone, _with(pcp, False, take))
            else:
                _with(pcp, False, take)()
            yield from self.pcp_unlock(context, pcp)
        yield from self.zero(1 << order)
        self.allocated(context, page[0], order, gfp)

    def zero(self, nr_pages: int) -> Steps:
        for _ in range(3 * nr_pages):
            yield ZEROING / 3

    def allocated(self, context: Context, page: int, order: int, gfp: int) -> None:
        assert page != NULL
        self.pool.append((page, order))
        self.log(
            context, "mm_page_alloc",
            f"page={page << 6:016x} pfn={page:#x} order={order} "
            f"migratetype={gfp_migratetype(gfp)} gfp_flags={show_gfp_flags(gfp)}",
        )  # fmt: skip

    def pcp_lock(self, context: Context, pcp: PerCpuPages) -> Steps:
        pcp.locked = True
        context.depth += 2
        yield 0.3

    def pcp_unlock(self, context: Context, pcp: PerCpuPages) -> Steps:
        yield 0.3
        pcp.locked = False
        context.depth -= 1
        yield 0.1
        context.depth -= 1

    def prepare(self, context: Context, page: int, order: int) -> Zone:
        """The first half of a free: its event."""
        zone = page_zone(self.vm, page)
        assert zone is not None
        self.log(context, "mm_page_free", f"page={page << 6:016x} pfn={page:#x} order={order}")
        free_pages_prepare(zone, page, order)
        return zone

    def free(self, context: Context, page: int, order: int) -> Steps:
        """A free, logged when it begins."""
        zone = self.prepare(context, page, order)
        context.depth += 2
        yield 0.5
        context.depth -= 2
        yield 0.5
        pcp = zone.per_cpu_pageset[context.cpu]
        if order > PAGE_ALLOC_COSTLY_ORDER or pcp.locked:
            yield from self.direct(context, zone, page, order)
            return
        migratetype = pcp_migratetype(zone, page)
        yield from self.pcp_lock(context, pcp)
        yield from self.under_zone_lock(
            context, zone,
            _with(
                pcp, False,
                lambda: free_unref_page_commit(zone, pcp, page, migratetype, order),
            ),
        )  # fmt: skip
        yield from self.pcp_unlock(context, pcp)

    def direct(self, context: Context, zone: Zone, page: int, order: int) -> Steps:
        yield from self.under_zone_lock(
            context, zone, lambda: free_one_page(zone, page, order, FPI_NONE),
            f"(x) zone={_address(zone):#x} pfn={page:#x} order={order} fpi=0",
        )  # fmt: skip

    def batch(self, context: Context) -> Steps:
        """free_unref_folios() of up to 31 folios of order 0."""
        chosen = [self.pick() for _ in range(min(len(self.pool), self.rng.randint(1, 31)))]
        self.pool += [block for block in chosen if block[1]]
        blocks = [(self.prepare(context, *block), block[0]) for block in chosen if not block[1]]
        yield 1.0
        held: Zone | None = None
        for zone, page in blocks:
            pcp = zone.per_cpu_pageset[context.cpu]
            if held is not zone:
                if held is not None:
                    yield from self.pcp_unlock(context, held.per_cpu_pageset[context.cpu])
                held = None
                if pcp.locked:
                    yield from self.direct(context, zone, page, 0)
                    continue
                yield from self.pcp_lock(context, pcp)
                held = zone
            self.log(context, "mm_page_free_batched", f"page=0 pfn={page:#x} order=0")
            commit = _with(pcp, False, lambda zone=zone, page=page: commit_batched(zone, page, 0))
            yield from self.under_zone_lock(context, zone, commit)
        if held is not None:
            yield from self.pcp_unlock(context, held.per_cpu_pageset[context.cpu])
        self.other(context)

    def bulk(self, context: Context, nr_pages: int) -> Steps:
        gfp, nid = GFP["GFP_KERNEL"], numa_node_id(self.vm)
        context.depth += 1
        self.log(context, "bulk", f"(x) gfp={gfp:#x} nid={nid} nr={nr_pages} list=0x0 arr=0x0")
        context.depth -= 1
        yield 1.0
        pages = yield from self._bulk(context, gfp, nid, nr_pages)
        yield 1.0
        self.log(context, "bulk_ret", f"(x) nr={nr_pages} ret={len(pages) or 1}")
        self.pool += [(page, 0) for page in pages]

    def _bulk(self, context: Context, gfp: int, nid: int, nr_pages: int) -> Any:
        zone, migratetype, alloc_flags = prepare_bulk(self.vm, gfp, nid, nr_pages)
        if zone is None:
            yield from self.alloc(context, gfp, 0)
            return []
        pcp = zone.per_cpu_pageset[context.cpu]
        yield from self.pcp_lock(context, pcp)
        pages: list[int] = []

        def take() -> None:
            pages.extend(take_bulk(zone, migratetype, alloc_flags, 1, 1 << 20)[0])

        for _ in range(nr_pages):
            head = pcp.lists[order_to_pindex(migratetype, 0)]
            if zone.next[head] == head:
                yield from self.under_zone_lock(context, zone, _with(pcp, False, take))
            else:
                _with(pcp, False, take)()
            yield from self.zero(1)
        yield from self.pcp_unlock(context, pcp)
        return pages

    def vmstat(self, context: Context) -> Steps:
        """The vmstat worker: counters are folded, pcp lists decay."""
        self.log(context, "refresh", "(x) do=1")
        for zone in populated_zones(self.vm):
            fold_zone_diffs(zone, context.cpu)
        yield 1.0
        for zone in populated_zones(self.vm):
            self.log(context, "decay", f"(x) zone={_address(zone):#x}")
            pcp = zone.per_cpu_pageset[context.cpu]
            to_drain = lower_pcp_high(pcp)
            while to_drain > 0:
                batch = min(to_drain, pcp.batch)
                yield from self.give_back(context, zone, pcp, batch)
                to_drain -= batch
            yield 1.0

    def give_back(self, context: Context, zone: Zone, pcp: PerCpuPages, nr_pages: int) -> Any:
        """free_pcppages_bulk() under both locks: pages left. pcp->lock is waited for."""
        while pcp.locked:
            yield 0.6
        yield from self.pcp_lock(context, pcp)
        left = max(0, pcp.count - nr_pages)
        if pcp.count:
            give = _with(pcp, False, lambda: free_pcppages_bulk(zone, nr_pages, pcp, 0))
            yield from self.under_zone_lock(context, zone, give)
        yield from self.pcp_unlock(context, pcp)
        return left

    def drain_all(self, context: Context) -> Steps:
        """drain_all_pages(): every CPU's lists, by this CPU."""
        for cpu in range(self.vm.nr_cpus):
            for zone in populated_zones(self.vm):
                pcp = zone.per_cpu_pageset[cpu]
                self.log(context, "drain_pages", f"(x) cpu={cpu} zone={_address(zone):#x}")
                yield 0.5
                while (yield from self.give_back(context, zone, pcp, pcp.batch << 5)):
                    pass


def _with(pcp: PerCpuPages, locked: bool, do: Callable[[], None]) -> Callable[[], None]:
    """Do it as whoever has, or has not, pcp->lock."""

    def done() -> None:
        before, pcp.locked = pcp.locked, locked
        do()
        pcp.locked = before

    return done


def _address(zone: Zone) -> int:
    return 0xFFFF888000000000 + 0x600 * zone.id


def zones_by_address(vm: Vm) -> dict[int, Zone]:
    """As the replay is given them."""
    return {_address(zone) - (1 << 64): zone for zone in vm.zones}


def _text_of(event: int, pfn: int, *fields: int) -> tuple[str, str]:
    """Name and fields of an event."""
    if event == MM_PAGE_ALLOC_EXTFRAG:
        return "mm_page_alloc_extfrag", (
            f"page=0 pfn={pfn:#x} alloc_order={fields[0]} fallback_order={fields[1]} "
            f"pageblock_order=9 alloc_migratetype={fields[2]} fallback_migratetype={fields[3]} "
            f"fragmenting=0 change_ownership={fields[4]}"
        )
    text = f"page=0 pfn={pfn:#x} order={fields[0]} migratetype={fields[1]}"
    if event == MM_PAGE_PCPU_DRAIN:
        return "mm_page_pcpu_drain", text
    return "mm_page_alloc_zone_locked", f"{text} percpu_refill={fields[2]}"


def boot(ram: list[str], cpus: int) -> Vm:
    """A machine whose trace has what a replay compares."""
    return boot_vm(Description(ram, cpus=cpus), Trace(mask=MASK))

"""Frees that an interrupt came into halfway: their slab has its object, and is on no list yet.

put_cpu_partial() is probed where it begins. An interrupt right behind the probe's line, with
preemption off, came into the probe: the slab joins the CPU's partial list after the interrupt. Of a
bulk free it is the last slab, with preemption on too.
NOT MODELLED: the same on several CPUs, where other rules of order meet this one.
Kernel: mm/slub.c __slab_free(), put_cpu_partial()
"""

from __future__ import annotations

from array import array

from memsim.mm.slub.slab import Slab
from memsim.mm.slub.update import chain, set_percpu_partial
from memsim.replay.rows.inputs import Kind, Rows
from memsim.replay.rows.interrupts import Interrupt, interrupts_in

_FREES = frozenset({Kind.kmem_cache_free, Kind.kfree})


def frees_halfway(rows: Rows) -> dict[int, Interrupt]:
    """Row of the free's probe -> the interrupt that came behind it."""
    if max(rows.cpu, default=0):
        return {}
    return {
        interrupt.before: interrupt
        for interrupt in interrupts_in(rows.interrupts)
        if interrupt.before >= 0
        and rows.kind[interrupt.before] == Kind.putcpup
        and rows.argument(interrupt.before, 2)
        and _is_halfway(rows.kind[_free_of(rows, interrupt.before)], interrupt)
    }


def _is_halfway(kind: int, interrupt: Interrupt) -> bool:
    return kind == Kind.bulk_free or (kind in _FREES and interrupt.depth > 0)


def order_halfway(rows: Rows, when: array[float]) -> None:
    """Move the probes behind the interrupts: there the slabs join their list."""
    for probe, interrupt in frees_halfway(rows).items():
        when[probe] = max(when[probe], interrupt.last + 0.3)


def probes_of_frees(rows: Rows) -> dict[int, int]:
    """Row of a free -> that of its probe, where an interrupt came behind it."""
    return {_free_of(rows, probe): probe for probe in frees_halfway(rows)}


def _free_of(rows: Rows, probe: int) -> int:
    """The context's row before its probes, where nothing came in between."""
    row = probe - 1
    while row > 0 and rows.kind[row] in (Kind.objects, Kind.putcpup, Kind.putpart):
        row -= 1
    return row if row >= 0 and rows.context[row] == rows.context[probe] else probe


def hold_back(slab: Slab, cpu: int) -> bool:
    """Take the slab off the CPU's partial list again. False: it is not its first, or is alone."""
    s = slab.slab_cache
    c = s.cpu_slab[cpu]
    if c.partial is not slab or slab.next is None:
        return False
    set_percpu_partial(s, c, slab.next)
    chain(slab, None, 0)
    return True

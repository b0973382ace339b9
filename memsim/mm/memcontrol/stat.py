"""The rows of memory.stat.

NOT MODELLED, so 0: kernel stacks, page tables, percpu, sockets, vmalloc, shmem, zswap, writeback
that takes time, huge pages, slab, demotion and NUMA balancing.

Kernel: mm/memcontrol.c memcg_stat_format()
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE
from memsim.mm.memcontrol.state import MemCgroup
from memsim.words.memcontrol import (
    MEMCG_VM_EVENTS,
    MEMORY_STATS,
    PGSCAN_KHUGEPAGED,
    PGSCAN_KSWAPD,
    PGSTEAL_KHUGEPAGED,
    PGSTEAL_KSWAPD,
)
from memsim.words.page_flags import NODE_STAT_ITEMS

#: Counted one by one where the others count pages, and are shown in bytes.
_EVENTS = ("WORKINGSET_", "PGDEMOTE_", "PGPROMOTE_")


def memcg_page_state(memcg: MemCgroup, item: str) -> int:
    """A counter over all nodes; "" is one that is always 0. Kernel: memcg_page_state()."""
    if item == "MEMCG_KMEM":
        return memcg.kmem
    if not item:
        return 0
    return sum(lruvec.vm_stat[NODE_STAT_ITEMS.index(item)] for lruvec in memcg.nodeinfo)


def memcg_page_state_output(memcg: MemCgroup, item: str) -> int:
    """The counter as memory.stat has it: bytes, or events. Kernel: memcg_page_state_output()."""
    return memcg_page_state(memcg, item) * (1 if item.startswith(_EVENTS) else PAGE_SIZE)


def memcg_stat_format(memcg: MemCgroup) -> list[tuple[str, int]]:
    """(name, number) of each row. Kernel: mm/memcontrol.c memcg_stat_format()."""
    rows = []
    for name, item in MEMORY_STATS:
        rows.append((name, memcg_page_state_output(memcg, item)))
        if name == "slab_unreclaimable":
            rows.append(("slab", rows[-1][1] + rows[-2][1]))
    scans = memcg.vm_events[PGSCAN_KSWAPD : PGSCAN_KHUGEPAGED + 1]
    steals = memcg.vm_events[PGSTEAL_KSWAPD : PGSTEAL_KHUGEPAGED + 1]
    rows += [("pgscan", sum(scans)), ("pgsteal", sum(steals))]
    return rows + list(zip(MEMCG_VM_EVENTS, memcg.vm_events, strict=True))

"""What of a Machine with folios its steps may change, as plain data; and small machines."""

from __future__ import annotations

from typing import Any

from memsim import Machine
from memsim.machine.pages import Pages
from memsim.mm.folio_validate import lru_folios
from memsim.mm.memcontrol.state import MemCgroup
from memsim.trace.folio_steps import NODE_FIELDS
from memsim.words.lru_gen import LRUVEC_LISTS
from memsim.words.memcontrol import COUNTER_FIELDS

_NUMBERS = [name.partition(".")[2] for name in NODE_FIELDS if name.startswith("lruvec.")]
_KSWAPD = (
    "kswapd_order",
    "kswapd_highest_zoneidx",
    "kswapd_failures",
    "kswapd_waits",
    "kswapd_asleep",
)


def state_of(machine: Machine) -> dict[str, Any]:
    """Pages, folios, lists, counters, mappings, batches, swap, kswapd."""
    vm = machine.vm
    folios = vm.folios
    return {
        "pages": machine.snapshot(),
        "words": [list(words) for words in folios.words],
        "mappings": {
            m.id: (m.kind, m.name, dict(m.i_pages), m.nrpages) for m in folios.mappings.values()
        },
        "next": folios.next_mapping,
        "batches": [[list(batch) for batch in batches] for batches in folios.fbatches],
        "lists": [
            [lru_folios(vm, node.nid, lru) for lru in range(len(LRUVEC_LISTS))] for node in vm.nodes
        ],
        "counters": [list(node.vm_stat) for node in vm.nodes],
        "lrugen": [list(node.lruvec.lrugen.numbers) for node in vm.nodes],
        "lruvec": [[getattr(node.lruvec, name) for name in _NUMBERS] for node in vm.nodes],
        "kswapd": [[getattr(node, name) for name in _KSWAPD] for node in vm.nodes],
        "swap": (bytes(folios.swap.swap_map), folios.swap.nr_swap_pages, folios.swap.cluster_next),
        "deferred": [list(shrinker.nr_deferred) for shrinker in folios.shrinkers],
        "memcgs": [memcg_of(memcg) for memcg in folios.memcgs.groups.values()],
        "stock": [(stock.cached, stock.nr_pages) for stock in folios.memcgs.stock],
        "walks": list(folios.memcgs.iter_position),
        "swap_cgroup": dict(folios.memcgs.swap_cgroup),
        "tasks": [
            (t.pid, t.mm and (t.mm.total_vm, list(t.mm.regions)), t.fatal_signal, t.signal.oom_mm)
            for t in vm.oom.processes
        ],
        "log": list(vm.oom.log),
    }


def memcg_of(memcg: MemCgroup) -> dict[str, Any]:
    """All numbers of a group, and what is on its lists."""
    counters = [[getattr(c, name) for name in COUNTER_FIELDS] for c in (memcg.memory, memcg.swap)]
    return {
        "id": (memcg.id, memcg.path),
        "counters": counters,
        "own": (memcg.oom_group, memcg.kmem, memcg.high_delay),
        "events": (list(memcg.events), list(memcg.vm_events)),
        "sizes": [list(sizes) for sizes in memcg.lru_zone_size],
        "stat": [list(lruvec.vm_stat) for lruvec in memcg.nodeinfo],
        "lruvec": [[getattr(lruvec, name) for name in _NUMBERS] for lruvec in memcg.nodeinfo],
    }


def small(**how: Any) -> Machine:
    """A machine whose folios one can count."""
    return Machine("16 MiB", reclaim=True, min_free_kbytes=256, **how)


def listed(machine: Machine, lru: int) -> list[int]:
    """The folios of node 0's list."""
    return lru_folios(machine.vm, 0, lru)


def read_all(machine: Machine, file: Pages) -> None:
    """Every page of a file, once, in order."""
    for index in range(file.nr_pages):
        machine.read(file, index)

"""All that vmalloc of a Machine knows, and the allocators below it, as plain data to compare."""

from __future__ import annotations

from typing import Any

from slab_states import state_of as slab_state_of

from memsim import Machine
from memsim.mm.vmalloc.snapshot import vmalloc_lists


def state_of(machine: Machine) -> Any:
    """Pages, objects, areas and what they are for, blocks, page tables, counters."""
    state = machine.vm.vmalloc
    return (
        machine.snapshot(),
        slab_state_of(machine) if hasattr(machine.vm, "slab") else None,
        vmalloc_lists(state),
        {start: _area(va.vm) for start, va in sorted(state.areas.items())},
        {
            start: (vb.cpu, vb.free, vb.dirty, vb.dirty_min, vb.dirty_max, vb.used_map)
            for start, vb in sorted(state.vmap_blocks.items())
        },
        [[vb.va.va_start for vb in queue] for queue in state.vmap_block_queue],
        {pfn: (t.level, sorted(t.entries.items())) for pfn, t in state.init_mm.tables.items()},
        list(state.ne_fit_preload_node),
        state.vmap_lazy_nr,
        state.nr_tlb_flushes,
        state.nr_vmalloc_pages,
        state.drain_vmap_work,
    )


def _area(area: Any) -> Any:
    return area and (area.addr, area.size, area.flags, list(area.pages), area.array, area.phys_addr)

"""All of vmalloc's state that steps can change, as plain data, and back.

More than a recorded kernel's snapshot tells: vm_structs, blocks and page tables too.
"""

from __future__ import annotations

from typing import Any

from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import Table
from memsim.mm.restore import Field
from memsim.mm.vmalloc.area import VmStruct
from memsim.mm.vmalloc.restore import restore_vmalloc
from memsim.mm.vmalloc.snapshot import vmalloc_lists
from memsim.mm.vmalloc.state import VmallocState, VmapBlock
from memsim.trace.vmalloc_steps import BLOCK_FIELDS, FIELDS


def whole_vmalloc(state: VmallocState) -> dict[str, Any]:
    """The state of now. It shares nothing with state."""
    areas = sorted(state.areas.items())
    return {
        **vmalloc_lists(state),
        "fields": {name: getattr(state, name) for name in FIELDS},
        "vm_structs": [
            [area.flags, area.caller, area.requested_size, area.nr_pages]
            for area in state.vm_structs
        ],
        "vm": [[start, va.vm.id] for start, va in areas if va.vm is not None],
        "structs": [[start, va.object, va.flags] for start, va in areas],
        "preload": list(state.ne_fit_preload_node),
        "blocks": [_block(vb) for _, vb in sorted(state.vmap_blocks.items())],
        "queues": [[vb.va.va_start for vb in queue] for queue in state.vmap_block_queue],
        "tables": [
            [table.pfn, table.level, sorted(table.entries.items())]
            for _, table in sorted(state.init_mm.tables.items())
        ],
    }


def _block(vb: VmapBlock) -> list[int]:
    return [vb.va.va_start, vb.cpu, vb.used_map, *(getattr(vb, name) for name in BLOCK_FIELDS)]


def restore_whole_vmalloc(vm: Vm, data: dict[str, Any]) -> VmallocState:
    """Give vm what whole_vmalloc() said."""
    restore_vmalloc(vm, Field(data, "vmalloc"), data["fields"]["vmap_lazy_nr"])
    state = vm.vmalloc
    for name, value in data["fields"].items():
        setattr(state, name, value)
    for number, (flags, caller, size, nr_pages) in enumerate(data["vm_structs"]):
        state.vm_structs.append(VmStruct(number, flags, caller, size))
        state.vm_structs[-1].nr_pages = nr_pages
    for start, number in data["vm"]:
        state.areas[start].vm = state.vm_structs[number]
    for start, obj, flags in data["structs"]:
        state.areas[start].object, state.areas[start].flags = obj, flags
    state.ne_fit_preload_node[:] = data["preload"]
    _restore_blocks(state, data)
    for pfn, level, entries in data["tables"]:
        table = state.init_mm.tables.setdefault(pfn, Table(pfn, level))
        table.entries.update(entries)
    return state


def _restore_blocks(state: VmallocState, data: dict[str, Any]) -> None:
    bits = state.layout.VMAP_BBMAP_BITS
    for start, cpu, used_map, *numbers in data["blocks"]:
        vb = state.vmap_blocks[start] = VmapBlock(state.areas[start], cpu, bits)
        vb.used_map = used_map
        for name, value in zip(BLOCK_FIELDS, numbers, strict=True):
            setattr(vb, name, value)
    for queue, starts in zip(state.vmap_block_queue, data["queues"], strict=True):
        queue[:] = [state.vmap_blocks[start] for start in starts]

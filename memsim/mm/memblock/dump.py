"""Both arrays in words: what a kernel booted with memblock=debug prints.

Kernel: mm/memblock.c memblock_dump_all()
"""

from __future__ import annotations

from memsim.mm.memblock.iterate import numa_valid_node
from memsim.mm.memblock.region import Memblock, MemblockType


def memblock_dump_all(memblock: Memblock) -> list[str]:
    """The lines. Kernel: mm/memblock.c __memblock_dump_all()."""
    sizes = [f"{t.name} size = {t.total_size:#018x}" for t in (memblock.memory, memblock.reserved)]
    head = ["MEMBLOCK configuration:", " " + " ".join(sizes)]
    return head + memblock_dump(memblock.memory) + memblock_dump(memblock.reserved)


def memblock_dump(type_: MemblockType) -> list[str]:
    """How many regions, and each. Kernel: mm/memblock.c memblock_dump()."""
    lines = [f" {type_.name}.cnt  = {len(type_.regions):#x}"]
    for idx, region in enumerate(type_.regions):
        node = f" on node {region.nid}" if numa_valid_node(region.nid) else ""
        place = f"[{region.base:#018x}-{region.end - 1:#018x}], {region.size:#018x} bytes"
        lines.append(f" {type_.name}[{idx:#x}]\t{place}{node} flags: {region.flags:#x}")
    return lines

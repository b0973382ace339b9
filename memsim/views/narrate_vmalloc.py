"""A sentence for each step of vmalloc."""

from __future__ import annotations

from memsim.lib.sizes import show_size
from memsim.mm.pgtable import LEVEL_NAMES as LEVELS
from memsim.trace.vmalloc_steps import (
    BlockField,
    BlockGone,
    BlockNew,
    BlockQueue,
    BlockUsed,
    PteSet,
    TableGone,
    TableNew,
    VmallocStep,
    VmapClip,
    VmapField,
    VmapFlags,
    VmapGone,
    VmapLink,
    VmapNew,
    VmapPaint,
    VmapPoolAdd,
    VmapPoolDel,
    VmapPreload,
    VmapRotate,
    VmapSwap,
    VmapTakeAll,
    VmapUnlink,
    VmStructSet,
)


def _tree(step: VmapLink | VmapUnlink | VmapSwap | VmapRotate | VmapPaint) -> str:
    kind, node = step.tree
    return "the tree of free areas" if kind == "free" else f"the {kind} tree of vmap_node {node}"


def _range(start: int, end: int) -> str:
    return f"{start:#x} to {end:#x}, {show_size(end - start)}"


def narrate_vmalloc(step: VmallocStep) -> str:
    """What a step did, as one sentence without a full stop."""
    match step:
        case VmapLink() | VmapUnlink() | VmapSwap() | VmapRotate() | VmapPaint():
            return _shape(step)
        case VmapNew():
            return f"a struct vmap_area for {_range(step.va_start, step.va_end)}"
        case VmapGone():
            return f"the struct of the area {_range(step.va_start, step.va_end)} is freed"
        case VmapClip():
            old = _range(step.va_start, step.va_end)
            return f"the area {old}, becomes {_range(step.new_start, step.new_end)}"
        case VmapFlags():
            return f"flags of the area at {step.va_start:#x}: {step.old:#x} becomes {step.new:#x}"
        case VmapPoolAdd():
            place = "last" if step.tail else "first"
            pool = f"pool of {step.pool + 1} pages of vmap_node {step.node}"
            return f"the area at {step.va_start:#x} joins the {pool}, {place}"
        case VmapPoolDel():
            pool = f"pool of {step.pool + 1} pages of vmap_node {step.node}"
            return f"the area at {step.va_start:#x} leaves the {pool}"
        case VmapTakeAll():
            return f"vmap_node {step.tree.node}: all of {step.tree.kind} go to {step.target.kind}"
        case VmapPreload():
            return f"ne_fit_preload_node of CPU {step.cpu} is {step.new:#x}"
        case PteSet():
            return _entry(step)
        case TableNew():
            return f"the page at pfn {step.pfn} becomes a table of {LEVELS[step.level]} entries"
        case TableGone():
            return f"the table of {LEVELS[step.level]} entries at pfn {step.pfn} is freed"
        case VmStructSet():
            has = "gets its vm_struct" if step.new >= 0 else "has no vm_struct any more"
            return f"the area at {step.va_start:#x} {has}"
        case BlockNew() | BlockGone() | BlockField() | BlockUsed() | BlockQueue():
            return _block(step)
        case VmapField():
            return f"{step.field}: {step.old} becomes {step.new}"


def _block(step: BlockNew | BlockGone | BlockField | BlockUsed | BlockQueue) -> str:
    block = f"the vmap_block at {step.va_start:#x}"
    match step:
        case BlockNew():
            return f"the area at {step.va_start:#x} becomes a vmap_block of CPU {step.cpu}"
        case BlockGone():
            return f"{block} is an area again"
        case BlockField():
            return f"{step.field} of {block}: {step.old} becomes {step.new}"
        case BlockUsed():
            last = step.offset + step.pages - 1
            use = "in use" if step.used else "given back"
            return f"pages {step.offset} to {last} of {block} are {use}"
        case BlockQueue():
            return f"{block} {'joins' if step.joins else 'leaves'} its CPU's queue"


def _entry(step: PteSet) -> str:
    table = "swapper_pg_dir" if step.pfn < 0 else f"the table at pfn {step.pfn}"
    if not step.new:
        return f"entry {step.index} of {table} is cleared"
    return f"entry {step.index} of {table} leads to pfn {step.new >> 12 & (1 << 40) - 1}"


def _shape(step: VmapLink | VmapUnlink | VmapSwap | VmapRotate | VmapPaint) -> str:
    area, tree = f"the area at {step.va_start:#x}", _tree(step)
    match step:
        case VmapLink():
            side = "right" if step.side else "left"
            under = "is the root of" if step.parent < 0 else f"hangs {side} of {step.parent:#x} in"
            return f"{area} {under} {tree}"
        case VmapUnlink():
            return f"{area} leaves {tree}"
        case VmapSwap():
            return f"{area} and its successor at {step.successor:#x} change places in {tree}"
        case VmapRotate():
            side = "right" if step.side else "left"
            return f"{area} is rotated {side} under {step.top:#x} in {tree}"
        case VmapPaint():
            return f"{area} is painted {'red' if step.red else 'black'} in {tree}"

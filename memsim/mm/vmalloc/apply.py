"""Steps of vmalloc done again, or undone. No rule of the allocator is asked."""

from __future__ import annotations

from memsim.lib.rbtree import RbRoot
from memsim.mm.mmzone import Vm
from memsim.mm.pgtable import Table, put_entry
from memsim.mm.vmalloc.area import VmapArea
from memsim.mm.vmalloc.state import VmallocState, VmapBlock
from memsim.mm.vmalloc.tree import AreaTree, FreeTree
from memsim.mm.vmalloc.update import mark_pages
from memsim.trace.vmalloc_steps import (
    BlockField,
    BlockGone,
    BlockNew,
    BlockQueue,
    BlockUsed,
    PteSet,
    TableGone,
    TableNew,
    TreeName,
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


def apply_vmalloc_step(vm: Vm, step: VmallocStep, backwards: bool) -> None:
    """Do one step to vm, or undo it. Tracing of steps must be off."""
    state = vm.vmalloc
    match step:
        case VmapLink() | VmapUnlink():
            _hang(state, step, isinstance(step, VmapLink) != backwards)
        case VmapSwap() | VmapRotate() | VmapPaint():
            _reshape(state, step, backwards)
        case VmapNew() | VmapGone():
            _make_or_forget(state, step, isinstance(step, VmapNew) != backwards)
        case VmapClip():
            _clip(state, step, backwards)
        case VmapFlags():
            state.areas[step.va_start].flags = step.old if backwards else step.new
        case VmapPoolAdd() | VmapPoolDel():
            _pool(state, step, isinstance(step, VmapPoolAdd) != backwards)
        case VmapTakeAll():
            pair = _tree(state, step.tree), _tree(state, step.target)
            source, target = pair[::-1] if backwards else pair
            target.rb_node, source.rb_node = source.rb_node, None
        case VmapPreload():
            state.ne_fit_preload_node[step.cpu] = step.old if backwards else step.new
        case PteSet():
            table = state.init_mm.tables[step.pfn]
            put_entry(table, step.index, step.old if backwards else step.new)
        case TableNew() | TableGone():
            _table(state, step, isinstance(step, TableNew) != backwards)
        case VmStructSet():
            number = step.old if backwards else step.new
            state.areas[step.va_start].vm = state.vm_structs[number] if number >= 0 else None
        case BlockNew() | BlockGone() | BlockField() | BlockUsed() | BlockQueue():
            _block(state, step, backwards)
        case VmapField():
            setattr(state, step.field, step.old if backwards else step.new)


def _table(state: VmallocState, step: TableNew | TableGone, make: bool) -> None:
    tables = state.init_mm.tables
    if make:
        tables[step.pfn] = Table(step.pfn, step.level)
    else:
        del tables[step.pfn]


def _block(
    state: VmallocState,
    step: BlockNew | BlockGone | BlockField | BlockUsed | BlockQueue,
    backwards: bool,
) -> None:
    start = step.va_start
    match step:
        case BlockNew() | BlockGone():
            if isinstance(step, BlockNew) != backwards:
                bits = state.layout.VMAP_BBMAP_BITS
                state.vmap_blocks[start] = VmapBlock(state.areas[start], step.cpu, bits)
            else:
                del state.vmap_blocks[start]
        case BlockField():
            value = step.old if backwards else step.new
            setattr(state.vmap_blocks[start], step.field, value)
        case BlockUsed():
            used = bool(step.used) != backwards
            mark_pages(state.vmap_blocks[start], step.offset, step.pages, used)
        case BlockQueue():
            vb = state.vmap_blocks[start]
            queue = state.vmap_block_queue[vb.cpu]
            if bool(step.joins) != backwards:
                queue.insert(step.place, vb)
            else:
                del queue[step.place]


def _tree(state: VmallocState, name: TreeName) -> AreaTree:
    if name.kind == "free":
        return state.free_vmap_area_root
    tree = getattr(state.vmap_nodes[name.node], name.kind)
    assert isinstance(tree, AreaTree)
    return tree


def _hang(state: VmallocState, step: VmapLink | VmapUnlink, joins: bool) -> None:
    """Put an area into its tree, or take it out; neither changes the rest of the tree."""
    tree, va = _tree(state, step.tree), state.areas[step.va_start]
    parent = state.areas.get(step.parent)
    if not joins:
        RbRoot.unlink(tree, va)
        _refresh(tree, parent)
        return
    sides = step.side if isinstance(step, VmapLink) else step.sides
    RbRoot.link(tree, va, parent, sides & 1)
    if isinstance(step, VmapUnlink):
        _get_back_child(state, step, va)
    _refresh(tree, va)


def _get_back_child(state: VmallocState, step: VmapUnlink, va: VmapArea) -> None:
    """The child that took va's place hangs under it again."""
    va.rb_red = bool(step.sides & 4)
    child = state.areas.get(step.child)
    if child is None:
        return
    child.rb_parent = va
    if step.sides & 2:
        va.rb_right = child
    else:
        va.rb_left = child


def _reshape(state: VmallocState, step: VmapSwap | VmapRotate | VmapPaint, backwards: bool) -> None:
    tree, va = _tree(state, step.tree), state.areas[step.va_start]
    match step:
        case VmapPaint():
            va.rb_red = bool(step.red) != backwards
        case VmapRotate():
            turned = state.areas[step.top] if backwards else va
            RbRoot.rotate(tree, turned, 1 - step.side if backwards else step.side)
        case VmapSwap():
            successor = state.areas[step.successor]
            upper, lower = (successor, va) if backwards else (va, successor)
            RbRoot.swap(tree, upper, lower)
            _refresh(tree, upper)


def _make_or_forget(state: VmallocState, step: VmapNew | VmapGone, make: bool) -> None:
    if make:
        state.areas[step.va_start] = VmapArea(step.va_start, step.va_end, step.flags, step.object)
    else:
        del state.areas[step.va_start]


def _clip(state: VmallocState, step: VmapClip, backwards: bool) -> None:
    """Change an area's addresses, and what the nodes above it say of it."""
    was, now = (step.va_start, step.va_end), (step.new_start, step.new_end)
    if backwards:
        was, now = now, was
    va = state.areas.pop(was[0])
    va.va_start, va.va_end = now
    state.areas[now[0]] = va
    _refresh(state.free_vmap_area_root, va)


def _pool(state: VmallocState, step: VmapPoolAdd | VmapPoolDel, joins: bool) -> None:
    pool, va = state.vmap_nodes[step.node].pool[step.pool], state.areas[step.va_start]
    tail = isinstance(step, VmapPoolAdd) and step.tail
    if joins and tail:
        pool.append(va)
    elif joins:
        pool.appendleft(va)
    elif tail:
        pool.pop()
    else:
        pool.popleft()


def _refresh(tree: AreaTree, node: VmapArea | None) -> None:
    """Compute the values of subtrees from node up to the root."""
    while node is not None and isinstance(tree, FreeTree):
        tree.compute(node)
        node = node.rb_parent

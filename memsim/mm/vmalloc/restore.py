"""vmalloc's state from a snapshot. Everything in it is checked: it may come from anywhere."""

from __future__ import annotations

from itertools import pairwise

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.rbtree import rb_violations
from memsim.mm.mmzone import Vm
from memsim.mm.restore import Field
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.state import VmallocState, VmapNode, layout_of
from memsim.mm.vmalloc.tree import AreaTree, FreeTree, insert_vmap_area, insert_vmap_area_augment
from memsim.words.vmalloc import MAX_VA_SIZE_PAGES, ULONG_MAX

_MAX_AREAS = 1 << 20
_MAX_NODES = 128
#: Gaps between areas in use are smaller, what is left between regions is larger.
_LARGE = 128 << 20
_MAX_FLAGS = (1 << 16) - 1


def restore_vmalloc(vm: Vm, field: Field, vmap_lazy_nr: int) -> None:
    """Give vm the areas of a snapshot's "vmalloc". BadInput names the field that is wrong.

    Where the trees' shapes are not told, they are made as they came about most likely.
    """
    nodes = field["nodes"].items(1, _MAX_NODES)
    state = vm.vmalloc = VmallocState(vm.trace, vm.nr_cpus, len(nodes), layout_of(vm))
    areas = _Areas(state)
    areas.tree(state.free_vmap_area_root, field["free"], field.get("shape", None))
    for vn, node in zip(state.vmap_nodes, nodes, strict=True):
        shape = node.get("shape", {})
        for name in ("busy", "lazy", "purge_list"):
            areas.tree(getattr(vn, name), node[name], shape.get(name, None))
        areas.pools(vn, node["pool"])
    areas.check_apart(field)
    state.vmap_lazy_nr = vmap_lazy_nr


class _Areas:
    """The areas met so far, all of which must be apart."""

    def __init__(self, state: VmallocState) -> None:
        self._areas = state.areas

    def tree(self, tree: AreaTree, field: Field, shape: Field) -> None:
        areas = [self._area(item) for item in field.items(0, _MAX_AREAS)]
        for before, behind in pairwise(areas):
            if behind.va_start < before.va_end:
                raise field.bad(f"{behind.va_start:#x} is not above the area before it")
        if shape.value is not None:
            _build(tree, areas, shape)
            return
        if isinstance(tree, FreeTree):
            for va in _order_of_history(areas):
                insert_vmap_area_augment(va, None, tree)
        else:
            for va in areas:
                insert_vmap_area(va, tree)

    def pools(self, vn: VmapNode, field: Field) -> None:
        if not isinstance(field.value, dict):
            raise field.bad("should be an object")
        for key in field.value:
            if not key.isdecimal() or not 1 <= int(key[:9]) <= MAX_VA_SIZE_PAGES:
                raise field.bad(f"{key[:20]!r} is no number of pages that has a pool")
            for item in field[key].items(0, _MAX_AREAS):
                va = self._area(item)
                if va_size(va) != int(key) * PAGE_SIZE:
                    raise item.bad(f"has another size than the areas of pool {key}")
                vn.pool[int(key) - 1].append(va)

    def _area(self, field: Field) -> VmapArea:
        start, end, *flags = field.items(2, 3)
        va_start, va_end = _address(start), _address(end)
        if va_end <= va_start:
            raise field.bad("should begin below its end")
        if va_start in self._areas or len(self._areas) >= _MAX_AREAS:
            raise field.bad("is there already" if va_start in self._areas else "is one too many")
        va = VmapArea(va_start, va_end, flags[0].integer(0, _MAX_FLAGS) if flags else 0)
        self._areas[va_start] = va
        return va

    def check_apart(self, field: Field) -> None:
        end = 0
        for start in sorted(self._areas):
            if start < end:
                raise field.bad(f"the area at {start:#x} overlaps with the one below it")
            end = self._areas[start].va_end


def _order_of_history(areas: list[VmapArea]) -> list[VmapArea]:
    """Free areas in the order in which they came: those of boot, then the gaps between.

    At boot there is one area, which stays the last; the first is cut off below VMALLOC_START, and
    large ones between. A purge then gives areas back from the highest to the lowest. Alignments
    above a page can tell shapes apart; with this one all recorded addresses come out.

    Kernel: mm/vmalloc.c vmap_init_free_space(), purge_vmap_node()
    """
    large = [va for va in areas if va_size(va) > _LARGE]
    gaps = [va for va in areas if va_size(va) <= _LARGE]
    return large[-1:] + large[:-1][:1] + large[1:-1][::-1] + gaps[::-1]


def _address(field: Field) -> int:
    text = field.value
    try:
        value = int(text, 16) if isinstance(text, str) and len(text) < 20 else -1
    except ValueError:
        value = -1
    if not 0 <= value <= ULONG_MAX:
        raise field.bad("should be an address like '0xffffc90000000000'")
    return value


def _build(tree: AreaTree, areas: list[VmapArea], shape: Field) -> None:
    """Link areas, which are in address order, as their depths say."""
    depths = shape.integers(-256, 255)
    if len(depths) != len(areas):
        raise shape.bad(f"should have a depth for each of {len(areas)} areas")
    spine: list[VmapArea] = []
    depth_of: dict[VmapArea, int] = {}
    for va, coded in zip(areas, depths, strict=True):
        va.rb_red = coded < 0
        depth = depth_of[va] = -coded - 1 if coded < 0 else coded
        below: VmapArea | None = None
        while spine and depth_of[spine[-1]] > depth:
            below = spine.pop()
        va.rb_left = below
        if below is not None:
            below.rb_parent = va
        if spine:
            spine[-1].rb_right, va.rb_parent = va, spine[-1]
        spine.append(va)
    tree.rb_node = spine[0] if spine else None
    if wrong := _misshapen(tree, depth_of):
        raise shape.bad(wrong)
    _fill(tree, areas, depth_of)


def _misshapen(tree: AreaTree, depth_of: dict[VmapArea, int]) -> str:
    for va, depth in depth_of.items():
        if depth != (0 if va.rb_parent is None else depth_of[va.rb_parent] + 1):
            return f"the area at {va.va_start:#x} cannot be at depth {depth}"
    return "; ".join(rb_violations(tree)[:1])


def _fill(tree: AreaTree, areas: list[VmapArea], depth_of: dict[VmapArea, int]) -> None:
    """Compute each value of a subtree, the deepest first."""
    for va in sorted(areas, key=depth_of.__getitem__, reverse=True):
        tree.compute(va)

"""An area of kernel addresses, and what it is for.

An area is known by its va_start: no two areas overlap, be they free, busy, lazily freed or in a
pool. Addresses are bytes; an area's last byte is va_end - 1.

Kernel: include/linux/vmalloc.h struct vmap_area, struct vm_struct
"""

from __future__ import annotations

from memsim.lib.rbtree import RbNode


class VmStruct:
    """struct vm_struct: what an area is for. `pages` are pfns; `size` counts the guard page."""

    __slots__ = (
        "addr", "array", "caller", "flags", "id", "nr_pages", "object", "page_order", "pages",
        "phys_addr", "requested_size", "size",
    )  # fmt: skip

    def __init__(self, number: int, flags: int, caller: str, requested_size: int) -> None:
        #: Its place in VmallocState.vm_structs, which forgets none.
        self.id = number
        #: Addresses of this struct and of its array of pages; 0 without a slab allocator.
        self.object = self.array = 0
        self.addr = self.size = 0
        self.flags = flags
        self.caller = caller
        self.requested_size = requested_size
        self.pages: list[int] = []
        self.nr_pages = self.page_order = self.phys_addr = 0


class VmapArea(RbNode):
    """struct vmap_area: in one tree, or in one pool, at a time.

    `subtree_max_size` is kept in the tree of free areas only: the largest size below this node,
    or its own. `flags`: VMAP_RAM, VMAP_BLOCK, and the vmap_node whose pool it goes back to.
    """

    __slots__ = ("flags", "object", "subtree_max_size", "va_end", "va_start", "vm")

    def __init__(self, va_start: int, va_end: int, flags: int = 0, object: int = 0) -> None:
        super().__init__()
        self.va_start = va_start
        self.va_end = va_end
        self.subtree_max_size = 0
        self.flags = flags
        #: Address of this struct itself; 0 where there is no slab allocator.
        self.object = object
        self.vm: VmStruct | None = None


def va_size(va: VmapArea) -> int:
    """Bytes. Kernel: mm/vmalloc.c va_size()."""
    return va.va_end - va.va_start

"""The tree under a file's page cache: nodes of 64 slots, from the slab allocator."""

from __future__ import annotations

from memsim.words.gfp import __GFP_ACCOUNT, __GFP_NOWARN, GFP_NOWAIT, GFP_RECLAIM_MASK
from memsim.workload.request import Path
from memsim.workload.requester import Requester

#: Kernel: include/linux/xarray.h XA_CHUNK_SHIFT
XA_CHUNK_SHIFT = 6

XAS_ALLOC = Path(
    "filesystem", "xarray node of the page cache",
    "mm/filemap.c __filemap_add_folio() -> lib/xarray.c xas_create() -> xas_alloc()"
    " -> kmem_cache_alloc_lru()",
    "asks again, outside the lock, with the mapping's mask",
)  # fmt: skip
XAS_NOMEM = Path(
    "filesystem", "xarray node of the page cache",
    "mm/filemap.c __filemap_add_folio() -> lib/xarray.c xas_nomem() -> kmem_cache_alloc_lru()",
    "the folio is freed again: ENOMEM",
)  # fmt: skip

GFP_XAS_ALLOC = GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT


def gfp_xas_nomem(gfp_mask: int) -> int:
    """How hard the folio itself was asked for. Kernel: mm/filemap.c __filemap_add_folio()."""
    return (gfp_mask & GFP_RECLAIM_MASK) | __GFP_ACCOUNT


class XArray:
    """Which nodes there are; what is in their slots is the mapping's own list of folios.

    A node at level 0 has 64 pages, at level 1 64 such nodes, and so on. A lone entry at index 0
    needs no node. NOT MODELLED: the tree growing lower again, and shadow entries.
    """

    def __init__(self, requester: Requester) -> None:
        self.requester = requester
        #: (level, index >> 6 * (level + 1)): address
        self.nodes: dict[tuple[int, int], int] = {}
        self._levels = 0
        self._empty = True

    def store(self, index: int, order: int, gfp_mask: int) -> bool:
        """Make the nodes for a folio at index; True when there was memory for them.

        A folio of 64 pages is one entry a level higher. Kernel: lib/xarray.c xas_store()
        """
        if not self._expand(_levels_for(index + (1 << order) - 1), gfp_mask):
            return False
        lowest = order // XA_CHUNK_SHIFT
        for level in range(self._levels - 1, lowest - 1, -1):
            if not self._node(level, index >> XA_CHUNK_SHIFT * (level + 1), gfp_mask):
                return False
        self._empty = False
        return True

    def destroy(self) -> None:
        """Free every node. Kernel: lib/xarray.c xas_delete_node(), for the last entry of each."""
        for node in self.nodes.values():
            self.requester.kmem_cache_free("radix_tree_node", node)
        self.nodes.clear()
        self._levels = 0
        self._empty = True

    def _expand(self, levels: int, gfp_mask: int) -> bool:
        """Make the tree so high; what it holds goes below the new top. Kernel: xas_expand()."""
        while self._levels < levels:
            if not self._empty and not self._node(self._levels, 0, gfp_mask):
                return False
            self._levels += 1
        return True

    def _node(self, level: int, index: int, gfp_mask: int) -> bool:
        if (level, index) in self.nodes:
            return True
        address = self.requester.kmem_cache_alloc(XAS_ALLOC, "radix_tree_node", GFP_XAS_ALLOC)
        if address is None:
            mask = gfp_xas_nomem(gfp_mask)
            address = self.requester.kmem_cache_alloc(XAS_NOMEM, "radix_tree_node", mask)
        if address is None:
            return False
        self.nodes[level, index] = address
        return True


def _levels_for(last: int) -> int:
    """How high a tree has to be for this index."""
    levels = 0
    while last >> XA_CHUNK_SHIFT * levels:
        levels += 1
    return levels

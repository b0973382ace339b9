"""Requests by size that go on with vmalloc() where kmalloc() fails.

>>> from memsim.machine import Machine
>>> machine = Machine("64 MiB", slab=True, vmalloc=True)
>>> address = machine.kvmalloc(5 << 20)
>>> hex(address)[:6]
'0xffff'
>>> machine.kvfree(address)
"""

from __future__ import annotations

from memsim.machine.slab_debug import SlabDebugRequests
from memsim.machine.vmap import VmapRequests
from memsim.mm import kmalloc, util
from memsim.mm.vmalloc.state import is_vmalloc_addr
from memsim.words.gfp import GFP_KERNEL, show_gfp_flags
from memsim.words.slab import NUMA_NO_NODE


class KvmallocRequests(SlabDebugRequests, VmapRequests):
    """The part of a Machine that hands out memory of either kind."""

    def kvmalloc(
        self,
        size: int,
        gfp_mask: int = GFP_KERNEL,
        *,
        cpu: int = 0,
        nid: int = NUMA_NO_NODE,
        buckets: int = -1,
    ) -> int:
        """The address of size bytes: kmalloc()'s, above a page without trying hard, or vmalloc()'s.

        PageAllocationFailure where neither has any; without vmalloc=True where kmalloc() has none.
        Kernel: mm/util.c __kvmalloc_node_noprof()
        """
        self._check_kmalloc(size, gfp_mask, cpu, nid)
        self._check_buckets(buckets)
        if not hasattr(self.vm, "vmalloc") or not util.goes_on_with_vmalloc(size, gfp_mask):
            return self._address(
                "kvmalloc", size, kmalloc.kmalloc_gfp_adjust(gfp_mask, size), cpu, nid,
                lambda: kmalloc.kvmalloc_attempt(self.vm, size, gfp_mask, nid, buckets),
            )  # fmt: skip
        shown = f"kvmalloc({size}, {show_gfp_flags(gfp_mask)})"
        call = lambda: util.kvmalloc_node(self.vm, size, gfp_mask, nid, buckets)  # noqa: E731
        return self._area("kvmalloc", size, shown, cpu, call)

    def kvfree(self, address: int, *, cpu: int = 0) -> None:
        """Free what kvmalloc(), kmalloc() or vmalloc() gave. Kernel: mm/util.c kvfree()."""
        if hasattr(self.vm, "vmalloc") and isinstance(address, int):
            if is_vmalloc_addr(self.vm.vmalloc, address):
                self.vfree(address, cpu=cpu)
                return
        self.kfree(address, cpu=cpu)

"""anon_vma: from an anonymous page back to the vm_area_structs that may map it."""

from __future__ import annotations

from memsim.words.gfp import __GFP_NOWARN, GFP_KERNEL, GFP_NOWAIT
from memsim.workload.request import Path
from memsim.workload.requester import Requester

PREPARE = Path(
    "process", "anon_vma",
    "mm/rmap.c __anon_vma_prepare() -> anon_vma_alloc() -> kmem_cache_alloc()",
    "the fault finds no memory: OOM",
)  # fmt: skip
CHAIN = Path(
    "process", "anon_vma_chain",
    "mm/rmap.c __anon_vma_prepare() -> anon_vma_chain_alloc() -> kmem_cache_alloc()",
    "the fault finds no memory: OOM",
)  # fmt: skip
FORK = Path(
    "process", "anon_vma",
    "mm/rmap.c anon_vma_fork() -> anon_vma_alloc() -> kmem_cache_alloc()",
    "fork() returns ENOMEM",
)  # fmt: skip
CLONE = Path(
    "process", "anon_vma_chain",
    "mm/rmap.c anon_vma_clone() -> anon_vma_chain_alloc() -> kmem_cache_alloc()",
    "asks again with GFP_KERNEL",
)  # fmt: skip
FORK_CHAIN = Path(
    "process", "anon_vma_chain",
    "mm/rmap.c anon_vma_fork() -> anon_vma_chain_alloc() -> kmem_cache_alloc()",
    "fork() returns ENOMEM",
)  # fmt: skip

GFP_CLONE = GFP_NOWAIT | __GFP_NOWARN


class AnonVma:
    """struct anon_vma. links: anon_vma_chains that lead here, and for a root its descendants."""

    def __init__(self, address: int, root: AnonVma | None) -> None:
        self.address = address
        self.root = root
        self.links = 0


class AnonVmaChains:
    """The anon_vma_chains of one vm_area_struct, the oldest first.

    own: where new pages of the area belong, None before its first anonymous page.
    NOT MODELLED: find_mergeable_anon_vma(), and anon_vma_clone()'s reuse of an anon_vma without
    areas.
    """

    def __init__(self, requester: Requester) -> None:
        self.requester = requester
        self.chain: list[tuple[int, AnonVma]] = []
        self.own: AnonVma | None = None

    def anon_vma_prepare(self) -> bool:
        """The area is to have its first anonymous page; True when there was memory."""
        if self.own is not None:
            return True
        return self._add_own(CHAIN, PREPARE, None, chain_first=True)

    def anon_vma_fork(self, parent: AnonVmaChains) -> bool:
        """Chains to all that the parent has, and an anon_vma for new pages.

        False when there was no memory; what there is of it is freed by unlink_anon_vmas().
        """
        if parent.own is None:
            return True
        for _, anon_vma in reversed(parent.chain):
            if not self._clone(anon_vma):
                return False
        return self._add_own(FORK_CHAIN, FORK, parent.own.root or parent.own, chain_first=False)

    def unlink_anon_vmas(self) -> None:
        """Free every chain, and each anon_vma that nothing leads to any more."""
        for address, anon_vma in reversed(self.chain):
            self.requester.kmem_cache_free("anon_vma_chain", address)
            self._put(anon_vma)
        self.chain.clear()
        self.own = None

    def _clone(self, anon_vma: AnonVma) -> bool:
        """One more chain to an anon_vma."""
        address = self._chain(CLONE, GFP_CLONE)
        if address is None:
            address = self._chain(FORK_CHAIN, GFP_KERNEL)
        if address is None:
            return False
        self._link(address, anon_vma)
        return True

    def _add_own(
        self, chain_path: Path, path: Path, root: AnonVma | None, *, chain_first: bool
    ) -> bool:
        """An anon_vma and the chain to it; nothing is left of one without the other."""
        chain = self._chain(chain_path, GFP_KERNEL) if chain_first else None
        if chain_first and chain is None:
            return False
        address = self.requester.kmem_cache_alloc(path, "anon_vma", GFP_KERNEL)
        if address is not None and chain is None:
            chain = self._chain(chain_path, GFP_KERNEL)
        if address is None or chain is None:
            if address is not None:
                self.requester.kmem_cache_free("anon_vma", address)
            if chain is not None:
                self.requester.kmem_cache_free("anon_vma_chain", chain)
            return False
        self.own = AnonVma(address, root)
        if root is not None:
            root.links += 1
        self._link(chain, self.own)
        return True

    def _chain(self, path: Path, gfp_mask: int) -> int | None:
        return self.requester.kmem_cache_alloc(path, "anon_vma_chain", gfp_mask)

    def _link(self, address: int, anon_vma: AnonVma) -> None:
        anon_vma.links += 1
        self.chain.append((address, anon_vma))

    def _put(self, anon_vma: AnonVma) -> None:
        """Kernel: mm/rmap.c __put_anon_vma()."""
        anon_vma.links -= 1
        if anon_vma.links:
            return
        self.requester.kmem_cache_free("anon_vma", anon_vma.address)
        if anon_vma.root is not None:
            self._put(anon_vma.root)

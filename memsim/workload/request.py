"""A request: who asked which allocator for what, and what came of it."""

from __future__ import annotations

from typing import NamedTuple


class Path(NamedTuple):
    """A way through the kernel that ends at an allocator.

    kernel: the file and the functions, outermost first. failure: what follows when there is
    no memory.
    """

    who: str
    what: str
    kernel: str
    failure: str


class Request(NamedTuple):
    """One request, as the log keeps it.

    step: the workload's step, from 1; 0 before the first. allocator: "pages", "slab", "kmalloc"
    or "vmalloc". order: of a request for pages, else -1. size: bytes. result: a pfn for pages,
    else an address; None when there was no memory. For a bulk request order is 0, size is of all
    pages that came, and result is the first of them.
    """

    step: int
    who: str
    path: Path
    allocator: str
    gfp_mask: int
    order: int
    size: int
    result: int | None

    @property
    def outcome(self) -> str:
        """What came of it: "ok", or what follows for the one who asked in vain."""
        return "ok" if self.result is not None else self.path.failure

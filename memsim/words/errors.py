"""Errors that memsim raises. A refused operation changes nothing."""

from __future__ import annotations


class MemsimError(Exception):
    """Any refusal by memsim; its text is one line: what, where, and what to do."""


class BadDescription(MemsimError):
    """A Machine was described that cannot exist."""


class BadRequest(MemsimError):
    """A request no kernel caller could make: order, flags, CPU or node out of range."""


class BadFree(MemsimError):
    """A page was freed that is not allocated, or with another order than it has."""


class KernelBug(MemsimError):
    """The kernel would have died of this request: the text is the first line of what it logs."""


class BadInput(MemsimError):
    """A file handed in is not what it should be; the text names file and line or field."""


class PageAllocationFailure(MemsimError):
    """alloc_pages() returned NULL.

    `report` is the text that the kernel would log: warn_alloc() and show_mem().
    """

    def __init__(self, text: str, report: str) -> None:
        super().__init__(text)
        self.report = report


class ValidationError(MemsimError):
    """The allocator's state breaks an invariant: a bug in memsim, or a bad snapshot."""

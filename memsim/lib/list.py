"""Doubly linked lists of pages, on two flat arrays: next[] and prev[].

A page is its pfn; a list head is an index above every pfn. A list is circular, as the kernel's:
the head's next is the first page, its prev the last. Cost: O(1) each.

Kernel: include/linux/list.h
"""

from __future__ import annotations

from collections.abc import Iterator

from memsim.lib.flat import Ints


def INIT_LIST_HEAD(next: Ints, prev: Ints, head: int) -> None:
    """Make head an empty list. Kernel: INIT_LIST_HEAD()."""
    next[head] = head
    prev[head] = head


def list_empty(next: Ints, head: int) -> bool:
    """Is there no page behind this head? Kernel: list_empty()."""
    return next[head] == head


def list_insert_after(next: Ints, prev: Ints, page: int, after: int) -> None:
    """Put page right behind after, which is a page on a list or a head. Kernel: __list_add()."""
    following = next[after]
    next[page] = following
    prev[page] = after
    prev[following] = page
    next[after] = page


def list_del(next: Ints, prev: Ints, page: int) -> None:
    """Take page off the list it is on. Kernel: list_del()."""
    before = prev[page]
    following = next[page]
    next[before] = following
    prev[following] = before


def list_for_each(next: Ints, head: int) -> Iterator[int]:
    """The pages behind head, first to last. Kernel: list_for_each_entry()."""
    page = next[head]
    while page != head:
        yield page
        page = next[page]

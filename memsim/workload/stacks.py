"""Kernel stacks: 16 KiB each by vmalloc, of which every CPU keeps two for the next task."""

from __future__ import annotations

from memsim.words.gfp import __GFP_ZERO, GFP_KERNEL
from memsim.workload.request import Path
from memsim.workload.requester import Requester

#: Kernel: arch/x86/include/asm/page_64_types.h
THREAD_SIZE = 16384
#: THREADINFO_GFP & ~__GFP_ACCOUNT
GFP_STACK = GFP_KERNEL | __GFP_ZERO

STACK = Path(
    "process", "kernel stack",
    "kernel/fork.c dup_task_struct() -> alloc_thread_stack_node() -> __vmalloc_node_range()",
    "fork() returns ENOMEM",
)  # fmt: skip


def alloc_thread_stack_node(requester: Requester) -> int | None:
    """A stack's address: one that the CPU kept, else a new one, which is a request.

    Kernel: kernel/fork.c alloc_thread_stack_node(). NOT MODELLED: THREAD_ALIGN; a stack begins
    at any page.
    """
    cached_stacks = requester.kernel.cached_stacks[requester.cpu]
    for i, address in enumerate(cached_stacks):
        if address is not None:
            cached_stacks[i] = None
            return address
    return requester.vmalloc(STACK, THREAD_SIZE, GFP_STACK)


def free_thread_stack(requester: Requester, address: int) -> None:
    """Keep the stack if its CPU has room for it, else free it.

    Kernel: kernel/fork.c free_thread_stack(). NOT MODELLED: the RCU grace period before vfree().
    """
    cached_stacks = requester.kernel.cached_stacks[requester.cpu]
    if None in cached_stacks:
        cached_stacks[cached_stacks.index(None)] = address
    else:
        requester.machine.vfree(address, cpu=requester.cpu)

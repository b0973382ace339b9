"""memsim: how the Linux kernel manages memory, as a model that predicts a real kernel's pages.

>>> from memsim import GFP_KERNEL, Machine
>>> machine = Machine("64 MiB")
>>> pfn = machine.alloc_pages(GFP_KERNEL, order=2)
>>> machine.free_pages(pfn)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memsim.words.baseline import KERNEL, KERNEL_VERSION
from memsim.words.errors import (
    BadDescription,
    BadFree,
    BadInput,
    BadRequest,
    KernelBug,
    MemsimError,
    PageAllocationFailure,
    ValidationError,
)
from memsim.words.gfp import (
    GFP_ATOMIC,
    GFP_DMA,
    GFP_DMA32,
    GFP_HIGHUSER,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_KERNEL_ACCOUNT,
    GFP_NOFS,
    GFP_NOIO,
    GFP_NOWAIT,
    GFP_TRANSHUGE,
    GFP_TRANSHUGE_LIGHT,
    GFP_USER,
)
from memsim.words.slab import (
    NUMA_NO_NODE,
    SLAB_ACCOUNT,
    SLAB_CACHE_DMA,
    SLAB_CONSISTENCY_CHECKS,
    SLAB_HWCACHE_ALIGN,
    SLAB_NO_MERGE,
    SLAB_PANIC,
    SLAB_POISON,
    SLAB_RECLAIM_ACCOUNT,
    SLAB_RED_ZONE,
    SLAB_STORE_USER,
    SLAB_TRACE,
    SLAB_TYPESAFE_BY_RCU,
    ZERO_SIZE_PTR,
)

if TYPE_CHECKING:
    from memsim.machine import Job, Machine, Operation, Recording, Schedule
    from memsim.proc.machine import machine_from_proc

__version__ = "0.1.0"

#: Loaded when asked for: who interrupts the command meanwhile is answered by it.
_LATER = {
    **dict.fromkeys(("Job", "Machine", "Operation", "Recording", "Schedule"), "memsim.machine"),
    "machine_from_proc": "memsim.proc.machine",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_LATER]


__all__ = [
    "SLAB_ACCOUNT",
    "SLAB_CACHE_DMA",
    "SLAB_CONSISTENCY_CHECKS",
    "SLAB_HWCACHE_ALIGN",
    "SLAB_NO_MERGE",
    "SLAB_PANIC",
    "SLAB_POISON",
    "SLAB_RECLAIM_ACCOUNT",
    "SLAB_RED_ZONE",
    "SLAB_STORE_USER",
    "SLAB_TRACE",
    "SLAB_TYPESAFE_BY_RCU",
    "ZERO_SIZE_PTR",
    "NUMA_NO_NODE",
    "GFP_ATOMIC",
    "GFP_DMA",
    "GFP_DMA32",
    "GFP_HIGHUSER",
    "GFP_HIGHUSER_MOVABLE",
    "GFP_KERNEL",
    "GFP_KERNEL_ACCOUNT",
    "GFP_NOFS",
    "GFP_NOIO",
    "GFP_NOWAIT",
    "GFP_TRANSHUGE",
    "GFP_TRANSHUGE_LIGHT",
    "GFP_USER",
    "KERNEL",
    "KERNEL_VERSION",
    "BadDescription",
    "BadFree",
    "BadInput",
    "BadRequest",
    "Job",
    "KernelBug",
    "Machine",
    "MemsimError",
    "Operation",
    "PageAllocationFailure",
    "Recording",
    "Schedule",
    "ValidationError",
    "__version__",
    "machine_from_proc",
]

"""What /proc/sys/vm has of node reclaim. NOT MODELLED: all others, which boot options give.

Kernel: mm/page_alloc.c page_alloc_sysctl_table; zone_reclaim_mode is in the table of all of vm.
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.mm.mmzone import Vm
from memsim.trace.events import TP_STEPS
from memsim.trace.mempolicy_steps import SYSCTL, SYSCTL_NAMES


class Sysctl(NamedTuple):
    """What Vm calls it, and the largest number that it takes."""

    field: str
    most: int


SYSCTLS = {
    "zone_reclaim_mode": Sysctl("node_reclaim_mode", (1 << 31) - 1),
    "min_unmapped_ratio": Sysctl("sysctl_min_unmapped_ratio", 100),
    "min_slab_ratio": Sysctl("sysctl_min_slab_ratio", 100),
}


def set_sysctl(vm: Vm, name: str, value: int) -> None:
    """Give a sysctl, one of SYSCTLS, this value. Kernel: proc_dointvec_minmax()."""
    field = SYSCTLS[name].field
    old = getattr(vm, field)
    if old != value and vm.trace.mask & TP_STEPS:
        vm.trace.step(SYSCTL, SYSCTL_NAMES.index(field), old, value)
    setattr(vm, field, value)

"""NUMA memory policies, and whether a node is reclaimed before another is asked.

>>> from memsim import GFP_KERNEL, Machine
>>> machine = Machine(["64 MiB", "64 MiB"])
>>> machine.set_mempolicy("interleave", nodes=[0, 1])
>>> pfns = [machine.alloc_pages(GFP_KERNEL) for _ in range(4)]
>>> [machine.nid_of(pfn) for pfn in pfns]
[0, 1, 0, 1]
>>> machine.get_mempolicy()
('interleave', [0, 1])
>>> machine.set_mempolicy("default")
"""

from __future__ import annotations

from collections.abc import Iterable

from memsim.lib.bits import bitmap_print_list
from memsim.lib.text import one_line
from memsim.machine.checks import check_nid, listed, whole
from memsim.machine.history import History
from memsim.mm.mempolicy import do_set_mempolicy, mpol_new, mpol_to_str, set_il_weight
from memsim.mm.mmzone import Vm, page_zone
from memsim.mm.oom_kill.constraint import nodes_with_memory
from memsim.mm.sysctl import SYSCTLS, set_sysctl
from memsim.words.errors import BadRequest
from memsim.words.mempolicy import (
    MAX_NUMNODES,
    MODE_NAMES,
    MPOL_DEFAULT,
    MPOL_LOCAL,
    MPOL_MAX,
    MPOL_MODE_FLAGS,
)

_MAX_WEIGHT = 255


class PolicyRequests(History):
    """The part of a Machine that says on which nodes memory should be."""

    def set_mempolicy(self, mode: str | int, nodes: Iterable[int] = ()) -> None:
        """From now on the running task's memory comes from these nodes, as the mode says.

        mode: "default", "local", "preferred", "preferred-many", "bind", "interleave",
        "weighted-interleave", or the kernel's number for it. The policy holds for requests that
        name no node. BadRequest, with the kernel's error, for what set_mempolicy(2) refuses.
        Kernel: mm/mempolicy.c kernel_set_mempolicy()
        """
        number, mask = _mode(mode), _nodemask(nodes)
        error, got_mode, got_nodes = mpol_new(self.vm, number, mask)
        if error:
            raise BadRequest(_refusal(self.vm, number, mask))
        name = f"set_mempolicy({mpol_to_str(got_mode, got_nodes)})"
        self._do(name, 0, lambda: (do_set_mempolicy(self.vm, number, mask), None)[1])

    def get_mempolicy(self) -> tuple[str, list[int]]:
        """(mode, nodes) of the running task's policy. Kernel: mm/mempolicy.c do_get_mempolicy()."""
        policy = self.vm.oom.current.mempolicy
        nids = range(len(self.vm.nodes))
        return MODE_NAMES[policy.mode], [nid for nid in nids if policy.nodes >> nid & 1]

    def weighted_interleave(self, nid: int, weight: int) -> None:
        """How many pages weighted interleaving takes from this node in its turn; 0: the default, 1.

        As /sys/kernel/mm/mempolicy/weighted_interleave/nodeN. Kernel: mm/mempolicy.c node_store()
        """
        check_nid(self.vm, nid)
        whole("weight", weight)
        if nid < 0:
            raise BadRequest(f"nid={nid}: should be a node's number")
        if not 0 <= weight <= _MAX_WEIGHT:
            raise BadRequest(f"weight={weight}: EINVAL: should be 0 to {_MAX_WEIGHT}")
        name = f"weighted_interleave(node {nid}, {weight})"
        self._do(name, 0, lambda: set_il_weight(self.vm, nid, weight))

    def sysctl(self, name: str, value: int) -> None:
        """Write to /proc/sys/vm: zone_reclaim_mode, min_unmapped_ratio, min_slab_ratio.

        zone_reclaim_mode is 0, or a sum of RECLAIM_ZONE 1, RECLAIM_WRITE 2, RECLAIM_UNMAP 4.
        BadRequest, with the kernel's error, for a number that is out of bounds.
        """
        if not isinstance(name, str) or name not in SYSCTLS:
            known = ", ".join(SYSCTLS)
            raise BadRequest(f"name={one_line(name, 40)!r}: should be one of {known}")
        whole(name, value)
        most = SYSCTLS[name].most
        if not 0 <= value <= most:
            raise BadRequest(f"{name}={value}: EINVAL: should be 0 to {most}")
        self._do(f"sysctl(vm.{name}={value})", 0, lambda: set_sysctl(self.vm, name, value))

    def nid_of(self, pfn: int) -> int:
        """The node that has this page. Kernel: include/linux/mm.h page_to_nid()."""
        whole("pfn", pfn)
        zone = page_zone(self.vm, pfn)
        if zone is None:
            raise BadRequest(f"pfn {pfn} is in no zone")
        return zone.node


def _mode(mode: str | int) -> int:
    """The mode's number."""
    if isinstance(mode, str):
        if mode not in MODE_NAMES:
            known = ", ".join(MODE_NAMES)
            raise BadRequest(f"mode={one_line(mode, 40)!r}: EINVAL: should be one of {known}")
        return MODE_NAMES.index(mode)
    whole("mode", mode)
    if mode >= 0 and mode & MPOL_MODE_FLAGS:
        raise BadRequest(f"mode={mode:#x}: flags of a mode, MPOL_F_*: NOT MODELLED")
    if not 0 <= mode < MPOL_MAX:
        raise BadRequest(f"mode={mode}: EINVAL: should be 0 to {MPOL_MAX - 1}")
    return mode


def _nodemask(nodes: Iterable[int]) -> int:
    """The nodes as a mask."""
    mask = 0
    for nid in listed("nodes", nodes, "nodes, as [0, 1]", MAX_NUMNODES):
        whole("nodes", nid)
        if not 0 <= nid < MAX_NUMNODES:
            raise BadRequest(f"nodes: node {nid}: EINVAL: should be 0 to {MAX_NUMNODES - 1}")
        mask |= 1 << nid
    return mask


def _refusal(vm: Vm, mode: int, mask: int) -> str:
    """Why the kernel answers EINVAL."""
    name = MODE_NAMES[mode]
    if mode in (MPOL_DEFAULT, MPOL_LOCAL):
        return f"set_mempolicy({name}): EINVAL: takes no nodes"
    if not mask:
        return f"set_mempolicy({name}): EINVAL: needs nodes, as nodes=[0]"
    there = bitmap_print_list(nodes_with_memory(vm))
    shown = mpol_to_str(mode, mask)
    return f"set_mempolicy({shown}): EINVAL: none of these nodes has memory; there are {there}"

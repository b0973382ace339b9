"""NUMA memory policies: their numbers, and the words by which the kernel and numactl know them.

Kernel: include/linux/mempolicy.h, include/linux/numa.h
"""

from __future__ import annotations

#: 1 << CONFIG_NODES_SHIFT, as Debian's x86-64 kernels have it.
MAX_NUMNODES = 1 << 10

MPOL_DEFAULT = 0
MPOL_PREFERRED = 1
MPOL_BIND = 2
MPOL_INTERLEAVE = 3
MPOL_LOCAL = 4
MPOL_PREFERRED_MANY = 5
MPOL_WEIGHTED_INTERLEAVE = 6
MPOL_MAX = 7

#: Flags that set_mempolicy(2) takes together with a mode.
MPOL_F_STATIC_NODES = 1 << 15
MPOL_F_RELATIVE_NODES = 1 << 14
MPOL_F_NUMA_BALANCING = 1 << 13
MPOL_MODE_FLAGS = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING

#: As /proc/PID/numa_maps prints them. Kernel: mm/mempolicy.c policy_modes[]
POLICY_MODES = (
    "default", "prefer", "bind", "interleave", "local", "prefer (many)", "weighted interleave",
)  # fmt: skip
#: What a caller may write for a mode, by its number: the names of the constants, as numactl(8)
#: has them for options.
MODE_NAMES = (
    "default", "preferred", "bind", "interleave", "local", "preferred-many", "weighted-interleave",
)  # fmt: skip
#: The modes that take nodes in turn, and so remember where they are.
INTERLEAVING = (MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE)

#: Who asks has no index of a page: nodes are taken in turn.
NO_INTERLEAVE_INDEX = -1

#: zone_reclaim_mode, a sum of these. Kernel: include/uapi/linux/mempolicy.h
RECLAIM_ZONE = 1 << 0
RECLAIM_WRITE = 1 << 1
RECLAIM_UNMAP = 1 << 2
RECLAIM_MODES = RECLAIM_ZONE | RECLAIM_WRITE | RECLAIM_UNMAP
#: Kernel: include/linux/topology.h RECLAIM_DISTANCE
RECLAIM_DISTANCE = 30

#: What node_reclaim() answers. Kernel: mm/internal.h
NODE_RECLAIM_NOSCAN = -2
NODE_RECLAIM_FULL = -1
NODE_RECLAIM_SOME = 0
NODE_RECLAIM_SUCCESS = 1

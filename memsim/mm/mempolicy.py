"""The memory policy of a task: on which nodes its pages should be, and which of them is next.

Masks of nodes are ints with bit n for node n; NULL where there is none, and every node will do.

NOT MODELLED: policies of regions and files (mbind(), set_mempolicy_home_node(), tmpfs' mpol=), so
there is no home_node; MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES and the rebinding of policies when
a cpuset changes; MPOL_F_NUMA_BALANCING; move_pages() and migrate_pages(); huge pages of a region,
which try the preferred node alone first; the interleaving of what boot itself asks for.

Kernel: mm/mempolicy.c
"""

from __future__ import annotations

from memsim.lib.bits import bitmap_print_list, signed
from memsim.mm.current import TaskPolicy, in_interrupt, in_task
from memsim.mm.mmzone import Vm, Zone, numa_node_id, page_zone, populated_zones
from memsim.mm.oom_kill.constraint import mems_allowed, nodes_with_memory
from memsim.mm.page_alloc.alloc import alloc_pages, alloc_pages_bulk
from memsim.mm.page_alloc.zone_walk import (
    _gfp_pfmemalloc_flags,
    gfp_to_alloc_flags,
    node_zonelist,
    zones_of_nodes,
)
from memsim.trace.events import TP_STEPS
from memsim.trace.mempolicy_steps import (
    IL_WEIGHT,
    TASK_POLICY,
    TASK_POLICY_FIELD_NAMES,
    IlWeight,
    MempolicyStep,
    TaskPolicyField,
)
from memsim.words.alloc_flags import ALLOC_CPUSET
from memsim.words.errno import EINVAL
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_NOFAIL,
    __GFP_NOWARN,
    __GFP_THISNODE,
    GFP_KERNEL,
    gfp_zone,
)
from memsim.words.mempolicy import (
    INTERLEAVING,
    MAX_NUMNODES,
    MPOL_BIND,
    MPOL_DEFAULT,
    MPOL_INTERLEAVE,
    MPOL_LOCAL,
    MPOL_PREFERRED,
    MPOL_PREFERRED_MANY,
    MPOL_WEIGHTED_INTERLEAVE,
    NO_INTERLEAVE_INDEX,
    POLICY_MODES,
)
from memsim.words.mmzone import NULL, NUMA_INTERLEAVE_HIT

# Setting a policy


def mpol_new(vm: Vm, mode: int, nodes: int) -> tuple[int, int, int]:
    """(0 or -EINVAL, mode, nodes): what a task gets that asks for this mode and these nodes.

    Nodes without memory are left out; the preferred node is the first. Preferring none is local.
    Kernel: mm/mempolicy.c mpol_new(), mpol_set_nodemask()
    """
    if mode == MPOL_PREFERRED and not nodes:
        mode = MPOL_LOCAL
    if mode in (MPOL_DEFAULT, MPOL_LOCAL):
        return (-EINVAL if nodes else 0), mode, 0
    nodes &= mems_allowed(vm, vm.oom.current) & nodes_with_memory(vm)
    if mode == MPOL_PREFERRED:
        nodes &= -nodes
    return (0 if nodes else -EINVAL), mode, nodes


def do_set_mempolicy(vm: Vm, mode: int, nodes: int) -> int:
    """Give the running task this policy: 0, or -EINVAL and it keeps the one it has.

    Kernel: mm/mempolicy.c do_set_mempolicy()
    """
    error, mode, nodes = mpol_new(vm, mode, nodes)
    if error:
        return error
    _set_field(vm, "mode", mode)
    _set_field(vm, "nodes", nodes)
    if mode in INTERLEAVING:
        _set_field(vm, "il_prev", MAX_NUMNODES - 1)
        _set_field(vm, "il_weight", 0)
    return 0


def _set_field(vm: Vm, field: str, value: int) -> None:
    """Give a number of the task's policy, one of TASK_POLICY_FIELD_NAMES, this value."""
    policy = vm.current.mempolicy
    old = getattr(policy, field)
    if old != value and vm.trace.mask & TP_STEPS:
        index = TASK_POLICY_FIELD_NAMES.index(field)
        vm.trace.step(TASK_POLICY, index, signed(old), signed(value))
    setattr(policy, field, value)
    _tell_oom_killer(vm, policy)


def _tell_oom_killer(vm: Vm, policy: TaskPolicy) -> None:
    """Its view of the task has the nodes of a policy that binds, and no others.

    Kernel: mm/mempolicy.c mempolicy_in_oom_domain()
    """
    vm.oom.current.mempolicy = policy.nodes if policy.mode == MPOL_BIND else NULL


def set_il_weight(vm: Vm, nid: int, weight: int) -> None:
    """How many pages weighted interleaving takes from a node in its turn; 0 is the default, 1.

    Kernel: mm/mempolicy.c node_store()
    """
    if vm.iw_table[nid] != weight and vm.trace.mask & TP_STEPS:
        vm.trace.step(IL_WEIGHT, nid, vm.iw_table[nid], weight)
    vm.iw_table[nid] = weight


def apply_mempolicy_step(vm: Vm, step: MempolicyStep, backwards: bool) -> None:
    """Do a step again, or undo it."""
    value = step.old if backwards else step.new
    if isinstance(step, IlWeight):
        vm.iw_table[step.nid] = value
    elif isinstance(step, TaskPolicyField):
        setattr(vm.current.mempolicy, step.field, value)
        _tell_oom_killer(vm, vm.current.mempolicy)
    else:
        setattr(vm, step.field, value)


def mpol_to_str(mode: int, nodes: int) -> str:
    """A policy as /proc/PID/numa_maps prints it. Kernel: mm/mempolicy.c mpol_to_str()."""
    return POLICY_MODES[mode] + (f":{bitmap_print_list(nodes)}" if nodes else "")


# Choosing a node


def first_node(nodes: int) -> int:
    """The lowest node of a mask. Kernel: include/linux/nodemask.h first_node()."""
    return (nodes & -nodes).bit_length() - 1


def next_node_in(node: int, nodes: int) -> int:
    """The next higher node of a mask, after the last one the first. Kernel: next_node_in()."""
    higher = nodes >> node + 1 << node + 1
    return first_node(higher or nodes)


def get_il_weight(vm: Vm, nid: int) -> int:
    """Pages that weighted interleaving takes from a node. Kernel: get_il_weight()."""
    return vm.iw_table[nid] or 1


def interleave_nodes(vm: Vm, policy: TaskPolicy) -> int:
    """The node whose turn it is. Kernel: mm/mempolicy.c interleave_nodes()."""
    nid = next_node_in(policy.il_prev, policy.nodes)
    _set_field(vm, "il_prev", nid)
    return nid


def weighted_interleave_nodes(vm: Vm, policy: TaskPolicy) -> int:
    """The node whose turn it is, until it has given as many pages as it weighs.

    A weight that is changed counts from the node's next turn on.
    Kernel: mm/mempolicy.c weighted_interleave_nodes()
    """
    if not policy.il_weight or not policy.nodes >> policy.il_prev & 1:
        node = next_node_in(policy.il_prev, policy.nodes)
        _set_field(vm, "il_prev", node)
        _set_field(vm, "il_weight", get_il_weight(vm, node))
    _set_field(vm, "il_weight", policy.il_weight - 1)
    return policy.il_prev


def interleave_nid(policy: TaskPolicy, ilx: int) -> int:
    """The node for a page with index ilx, whoever came before. Kernel: interleave_nid()."""
    nid = first_node(policy.nodes)
    for _ in range(ilx % policy.nodes.bit_count()):
        nid = next_node_in(nid, policy.nodes)
    return nid


def weighted_interleave_nid(vm: Vm, policy: TaskPolicy, ilx: int) -> int:
    """The node for a page with index ilx, where nodes weigh. Kernel: weighted_interleave_nid()."""
    nids = [nid for nid in range(len(vm.nodes)) if policy.nodes >> nid & 1]
    target = ilx % sum(get_il_weight(vm, nid) for nid in nids)
    for nid in nids:
        weight = get_il_weight(vm, nid)
        if target < weight:
            return nid
        target -= weight
    return nids[0]


def policy_zone(vm: Vm) -> int:
    """The highest zone that has pages on any node, MOVABLE left out.

    Kernel: include/linux/mempolicy.h check_highest_zone()
    """
    return max(zone.idx for zone in populated_zones(vm) if _is_kernels(zone))


def _is_kernels(zone: Zone) -> bool:
    return zone.idx != zone.vm.arch.ZONE_MOVABLE


def apply_policy_zone(vm: Vm, nodes: int, zone_idx: int) -> bool:
    """Does a policy that binds hold for a request that may use zones up to this one?

    Not for lower zones, which not every node has. Where the nodes have nothing but ZONE_MOVABLE it
    holds for movable requests only. Kernel: mm/mempolicy.c apply_policy_zone()
    """
    zones = [zone for zone in populated_zones(vm) if nodes >> zone.node & 1]
    if not any(map(_is_kernels, zones)):
        return zone_idx >= vm.arch.ZONE_MOVABLE
    return zone_idx >= policy_zone(vm)


def policy_nodemask(vm: Vm, gfp_mask: int, ilx: int, nid: int) -> tuple[int, int]:
    """(nodes the request is confined to or NULL, the node where it begins) by the task's policy.

    ilx: the index of a page, or NO_INTERLEAVE_INDEX. nid: where it begins without a policy.
    Kernel: mm/mempolicy.c policy_nodemask()
    """
    policy = vm.current.mempolicy
    in_turn = ilx == NO_INTERLEAVE_INDEX
    if policy.mode == MPOL_PREFERRED:
        return NULL, first_node(policy.nodes)
    if policy.mode == MPOL_PREFERRED_MANY:
        return policy.nodes, nid
    if policy.mode == MPOL_BIND:
        holds = apply_policy_zone(vm, policy.nodes, gfp_zone(gfp_mask, vm.arch))
        return policy.nodes if holds else NULL, nid
    if policy.mode == MPOL_INTERLEAVE:
        return NULL, interleave_nodes(vm, policy) if in_turn else interleave_nid(policy, ilx)
    if policy.mode == MPOL_WEIGHTED_INTERLEAVE:
        if in_turn:
            return NULL, weighted_interleave_nodes(vm, policy)
        return NULL, weighted_interleave_nid(vm, policy, ilx)
    return NULL, nid


def mempolicy_slab_node(vm: Vm) -> int:
    """The node where a search for partial slabs begins; a turn of interleaving is used up.

    Kernel: mm/mempolicy.c mempolicy_slab_node()
    """
    node, policy = numa_node_id(vm), vm.current.mempolicy
    if policy.mode == MPOL_DEFAULT or not in_task(vm.current):
        return node
    if policy.mode in (MPOL_BIND, MPOL_PREFERRED_MANY):
        zonelist = node_zonelist(vm, node, 0, gfp_zone(GFP_KERNEL, vm.arch))
        zones = zones_of_nodes(zonelist, policy.nodes)
        return zones[0].node if zones else node
    return policy_nodemask(vm, GFP_KERNEL, NO_INTERLEAVE_INDEX, node)[1]


# Asking


def has_policy(vm: Vm, gfp_mask: int) -> bool:
    """Does a policy of the running task hold for this request? Not for __GFP_THISNODE.

    Kernel: mm/mempolicy.c alloc_pages_noprof(), get_task_policy()
    """
    if vm.current.mempolicy.mode == MPOL_DEFAULT:
        return False
    return not gfp_mask & __GFP_THISNODE and not in_interrupt(vm.current)


def alloc_pages_noprof(vm: Vm, gfp_mask: int, order: int) -> int:
    """Allocate where the task's policy says; without one, on the CPU's own node first.

    Kernel: mm/mempolicy.c alloc_pages_noprof()
    """
    return alloc_pages_mpol(vm, gfp_mask, order, NO_INTERLEAVE_INDEX)


def alloc_pages_mpol(vm: Vm, gfp_mask: int, order: int, ilx: int) -> int:
    """Allocate by the task's policy: the first pfn, or NULL. ilx: the index of a page in a region.

    Kernel: mm/mempolicy.c alloc_pages_mpol_noprof()
    """
    nid = numa_node_id(vm)
    if not has_policy(vm, gfp_mask):
        return alloc_pages(vm, gfp_mask, order, nid)
    mode = vm.current.mempolicy.mode
    nodemask, nid = policy_nodemask(vm, gfp_mask, ilx, nid)
    if mode == MPOL_PREFERRED_MANY:
        return alloc_pages_preferred_many(vm, gfp_mask, order, nid, nodemask)
    page = alloc_pages(vm, gfp_mask, order, nid, nodemask)
    zone = page_zone(vm, page)
    if mode == MPOL_INTERLEAVE and zone is not None and zone.node == nid:
        zone.vm_numa_event[NUMA_INTERLEAVE_HIT] += 1
    return page


def alloc_pages_preferred_many(
    vm: Vm, gfp_mask: int, order: int, nid: int, nodemask: int
) -> int:  # fmt: skip
    """First from the preferred nodes, without reclaim and silently; then from any, trying hard.

    Kernel: mm/mempolicy.c alloc_pages_preferred_many()
    """
    page = alloc_pages(vm, preferred_gfp(gfp_mask), order, nid, nodemask)
    return page if page != NULL else alloc_pages(vm, gfp_mask, order, nid)


def preferred_gfp(gfp_mask: int) -> int:
    """The mask of the first pass. Kernel: mm/mempolicy.c alloc_pages_preferred_many()."""
    return (gfp_mask | __GFP_NOWARN) & ~(__GFP_DIRECT_RECLAIM | __GFP_NOFAIL)


def alloc_pages_bulk_mempolicy(vm: Vm, gfp_mask: int, nr_pages: int) -> list[int]:
    """Up to nr_pages single pages where the task's policy says.

    Kernel: mm/mempolicy.c alloc_pages_bulk_array_mempolicy_noprof()
    """
    policy, nid = vm.current.mempolicy, numa_node_id(vm)
    if not has_policy(vm, gfp_mask):
        return alloc_pages_bulk(vm, gfp_mask, nid, nr_pages)
    if policy.mode == MPOL_INTERLEAVE:
        return _bulk_interleave(vm, gfp_mask, policy, nr_pages)
    if policy.mode == MPOL_WEIGHTED_INTERLEAVE:
        return _bulk_weighted_interleave(vm, gfp_mask, policy, nr_pages)
    if policy.mode == MPOL_PREFERRED_MANY:
        pages = alloc_pages_bulk(vm, preferred_gfp(gfp_mask), nid, nr_pages, policy.nodes)
        return pages + alloc_pages_bulk(vm, gfp_mask, nid, nr_pages - len(pages))
    nodemask, nid = policy_nodemask(vm, gfp_mask, NO_INTERLEAVE_INDEX, nid)
    return alloc_pages_bulk(vm, gfp_mask, nid, nr_pages, nodemask)


def _bulk_interleave(vm: Vm, gfp_mask: int, policy: TaskPolicy, nr_pages: int) -> list[int]:
    """As many from each node, the first ones one more.

    Kernel: mm/mempolicy.c alloc_pages_bulk_array_interleave()
    """
    nodes = policy.nodes.bit_count()
    nr_pages_per_node, delta = divmod(nr_pages, nodes)
    pages: list[int] = []
    for i in range(nodes):
        wanted = nr_pages_per_node + (i < delta)
        pages += alloc_pages_bulk(vm, gfp_mask, interleave_nodes(vm, policy), wanted)
    return pages


def _bulk_weighted_interleave(
    vm: Vm, gfp_mask: int, policy: TaskPolicy, nr_pages: int
) -> list[int]:
    """The rest of the turn that was begun, then one request for each node, for all its turns.

    NOT MODELLED: that it has no memory for the weights; that without a table of weights the kernel
    takes what lies in that memory for them. Kernel: alloc_pages_bulk_array_weighted_interleave()
    """
    node, weight = policy.il_prev, policy.il_weight
    pages: list[int] = []
    left = nr_pages
    if weight and policy.nodes >> node & 1:
        pages += alloc_pages_bulk(vm, gfp_mask, node, min(left, weight))
        if left <= weight:
            _set_field(vm, "il_weight", weight - left)
            return pages
        left -= weight
    shares, resume_node, resume_weight = _weighted_shares(vm, policy, left)
    for nid, node_pages in shares:
        pages += alloc_pages_bulk(vm, gfp_mask, nid, node_pages)
    _set_field(vm, "il_prev", resume_node)
    _set_field(vm, "il_weight", resume_weight)
    return pages


def _weighted_shares(
    vm: Vm, policy: TaskPolicy, nr_pages: int
) -> tuple[list[tuple[int, int]], int, int]:
    """([(node, its pages), …] from the next node on, the node to go on with, what it may give)."""
    nids = [next_node_in(policy.il_prev, policy.nodes)]
    while len(nids) < policy.nodes.bit_count():
        nids.append(next_node_in(nids[-1], policy.nodes))
    weights = [get_il_weight(vm, nid) for nid in nids]
    rounds, delta = divmod(nr_pages, sum(weights))
    resume_node, resume_weight = nids[0], weights[0]
    shares = []
    for nid, weight in zip(nids, weights, strict=True):
        more = min(delta, weight)
        if delta and delta <= weight:
            resume_node, resume_weight = nid, weight - delta
        delta -= more
        if weight * rounds + more:
            shares.append((nid, weight * rounds + more))
    return shares, resume_node, resume_weight


def nodemask_of_failure(vm: Vm, gfp_mask: int, order: int) -> int:
    """The nodes that a failed request was confined to at its end, or NULL.

    Who may use reserves is let out of its nodes by the slow path.
    Kernel: mm/page_alloc.c __alloc_pages_slowpath(), warn_alloc()
    """
    policy = vm.current.mempolicy
    if policy.mode != MPOL_BIND or not has_policy(vm, gfp_mask):
        return NULL
    kept = gfp_to_alloc_flags(vm, gfp_mask, order) & ALLOC_CPUSET
    if not kept or _gfp_pfmemalloc_flags(vm, gfp_mask):
        return NULL
    return policy_nodemask(vm, gfp_mask, NO_INTERLEAVE_INDEX, 0)[0]

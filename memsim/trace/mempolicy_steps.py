"""Steps of NUMA memory policies: the task's own, the weights of nodes, and sysctls of reclaim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from memsim.lib.bits import bitmap_print_list, unsigned
from memsim.words.mempolicy import POLICY_MODES

TASK_POLICY = 104
IL_WEIGHT = 105
SYSCTL = 106

#: Numbers of a task's policy, by the number that stands in a record. `nodes` is a mask.
TASK_POLICY_FIELD_NAMES = ("mode", "nodes", "il_prev", "il_weight")
#: Numbers of Vm that /proc/sys/vm has, by the number that stands in a record.
SYSCTL_NAMES = ("node_reclaim_mode", "sysctl_min_unmapped_ratio", "sysctl_min_slab_ratio")


@dataclass(frozen=True, slots=True)
class TaskPolicyField:
    """A number of the running task's memory policy changed."""

    NAME: ClassVar[str] = "sim:task_policy"
    seq: int
    field: str
    old: int
    new: int

    def text(self) -> str:
        """One sentence."""
        if self.field == "mode":
            old, new = POLICY_MODES[self.old], POLICY_MODES[self.new]
            return f"do_set_mempolicy(): the task's policy was {old} and is {new} now"
        if self.field == "nodes":
            new = bitmap_print_list(self.new) or "none"
            return f"do_set_mempolicy(): the nodes of the task's policy are {new} now"
        return f"current->{self.field}: {self.old} becomes {self.new}"


@dataclass(frozen=True, slots=True)
class IlWeight:
    """The weight of a node in iw_table changed; 0 stands for the default, which is 1."""

    NAME: ClassVar[str] = "sim:il_weight"
    seq: int
    nid: int
    old: int
    new: int

    def text(self) -> str:
        """One sentence."""
        return f"node_store(): the weight of node {self.nid} was {self.old} and is {self.new} now"


@dataclass(frozen=True, slots=True)
class SysctlField:
    """A sysctl changed: `field` is what Vm calls it."""

    NAME: ClassVar[str] = "sim:sysctl"
    seq: int
    field: str
    old: int
    new: int

    def text(self) -> str:
        """One sentence."""
        return f"{self.field}: {self.old} becomes {self.new}"


MempolicyStep = TaskPolicyField | IlWeight | SysctlField


def is_mempolicy_step(kind: int) -> bool:
    """Is it one of these?"""
    return TASK_POLICY <= kind <= SYSCTL


def mempolicy_step(seq: int, kind: int, arguments: Sequence[int]) -> MempolicyStep:
    """The step that a record of the journal stands for."""
    a, b, c = arguments[:3]
    if kind == IL_WEIGHT:
        return IlWeight(seq, a, b, c)
    if kind == SYSCTL:
        return SysctlField(seq, SYSCTL_NAMES[a], b, c)
    # a mask of 64 nodes takes all bits of a number in a record
    return TaskPolicyField(seq, TASK_POLICY_FIELD_NAMES[a], unsigned(b), unsigned(c))

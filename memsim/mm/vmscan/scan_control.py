"""What one reclaim wants, may do, and has found so far.

Kernel: mm/vmscan.c struct scan_control, include/linux/vmstat.h struct reclaim_stat
"""

from __future__ import annotations

from memsim.mm.lru_gen.promote import MmWalk
from memsim.mm.memcontrol.state import MemCgroup
from memsim.mm.mmzone import Vm
from memsim.words.task import PF_KSWAPD

#: The first pass scans a list's size >> DEF_PRIORITY. Kernel: include/linux/mmzone.h
DEF_PRIORITY = 12
DEACTIVATE_ANON = 1
DEACTIVATE_FILE = 2
MAX_SWAPPINESS = 200


def current_is_kswapd(vm: Vm) -> bool:
    """Is it kswapd that runs? Kernel: include/linux/swap.h current_is_kswapd()."""
    return (vm.current.flags & PF_KSWAPD) != 0


def cgroup_reclaim(sc: ScanControl) -> bool:
    """Is it for a memcg's limit? Kernel: mm/vmscan.c cgroup_reclaim()."""
    return sc.target_mem_cgroup is not None


class ScanControl:
    """struct scan_control. Pages that dirty_..., taken and others of `nr` count are sc->nr's.

    target_mem_cgroup None: memory is short; else a memcg has too much. memcg_low_reclaim: what
    memory.low protects goes too. NOT MODELLED: nodemask, proactive and hibernation reclaim.
    """

    __slots__ = (
        "anon_cost", "cache_trim_mode", "cache_trim_mode_failed", "compaction_ready", "congested",
        "dirty", "file_cost", "file_is_tiny", "file_taken", "force_deactivate", "gfp_mask",
        "immediate", "may_deactivate", "may_swap", "may_unmap", "may_writepage",
        "memcg_full_walk", "memcg_low_reclaim", "memcg_low_skipped", "mm_walk",
        "no_cache_trim_mode", "nr_reclaimed", "nr_scanned", "nr_to_reclaim", "order", "priority",
        "reclaim_idx", "skipped_deactivate", "taken", "target_mem_cgroup", "unqueued_dirty",
        "writeback",
    )  # fmt: skip

    def __init__(
        self,
        nr_to_reclaim: int,
        gfp_mask: int,
        reclaim_idx: int,
        order: int,
        *,
        may_writepage: bool = True,
        may_swap: bool = True,
        target_mem_cgroup: MemCgroup | None = None,
    ) -> None:
        self.target_mem_cgroup = target_mem_cgroup
        self.memcg_low_reclaim = self.memcg_low_skipped = False
        self.nr_to_reclaim = nr_to_reclaim
        self.gfp_mask = gfp_mask
        self.reclaim_idx = reclaim_idx
        self.order = order
        self.priority = DEF_PRIORITY
        self.may_writepage, self.may_swap, self.may_unmap = may_writepage, may_swap, True
        self.nr_scanned = self.nr_reclaimed = 0
        self.anon_cost = self.file_cost = 0
        self.may_deactivate = 0
        self.force_deactivate = self.skipped_deactivate = False
        self.cache_trim_mode = self.cache_trim_mode_failed = self.no_cache_trim_mode = False
        self.file_is_tiny = self.compaction_ready = self.memcg_full_walk = False
        #: current->reclaim_state->mm_walk, of the multi-gen LRU.
        self.mm_walk: MmWalk | None = None
        self.forget_nr()

    def forget_nr(self) -> None:
        """memset(&sc->nr, 0, …): what one pass over a node counts."""
        self.dirty = self.unqueued_dirty = self.congested = self.writeback = 0
        self.immediate = self.file_taken = self.taken = 0


class ReclaimStat:
    """struct reclaim_stat: what became of the folios of one batch, in pages."""

    __slots__ = (
        "nr_activate", "nr_congested", "nr_dirty", "nr_immediate", "nr_pageout", "nr_ref_keep",
        "nr_unmap_fail", "nr_unqueued_dirty", "nr_writeback",
    )  # fmt: skip

    def __init__(self) -> None:
        self.nr_dirty = self.nr_unqueued_dirty = self.nr_congested = self.nr_writeback = 0
        self.nr_immediate = self.nr_pageout = self.nr_ref_keep = self.nr_unmap_fail = 0
        self.nr_activate = [0, 0]

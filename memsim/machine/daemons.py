"""Who runs unasked: kcompactd, the flusher, kswapd, the reaper, and who was killed.

Each runs right behind the operation that woke it, as an operation of its own; with a Schedule,
when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable

from memsim.machine.history import History, T
from memsim.mm.compaction.kcompactd import kcompactd
from memsim.mm.filemap import write_back
from memsim.mm.jiffies import pass_jiffies
from memsim.mm.mmzone import PglistData
from memsim.mm.oom_kill.exit import can_die, exit_process
from memsim.mm.oom_kill.reaper import oom_reaper_due, run_oom_reaper
from memsim.mm.oom_kill.task import Task
from memsim.mm.vmscan.kswapd import kswapd, kswapd_nap_is_over, kswapd_turn
from memsim.mm.vmstat_work import quiet_vmstat, refresh_cpu_vm_stats
from memsim.words.page_flags import LRUVEC_WAKE_FLUSHERS


class Daemons(History):
    """The part of a Machine that lets daemons run."""

    def _do(self, name: str, cpu: int, call: Callable[[], T], daemon: bool = False) -> T:
        """Run an operation, and behind it, each as one of its own, the daemons that it woke."""
        nr_operations = len(self.history)
        result = super()._do(name, cpu, call, daemon)
        if not self._scheduled:
            try:
                self._run_unasked(cpu)
            except BaseException:
                self._go_back_to(nr_operations)
                raise
        return result

    def _run_unasked(self, cpu: int) -> None:
        if hasattr(self.vm, "folios"):
            self._run_woken(cpu)
        if self.vm.oom.dying or self.vm.oom.waiting:
            self._end_the_killed()

    def _run_woken(self, cpu: int) -> None:
        self._run_kcompactds(cpu)
        for pgdat in self.vm.nodes:
            if pgdat.lruvec.flags & LRUVEC_WAKE_FLUSHERS:
                self._run_flusher(cpu)
                self._run_kcompactds(cpu)
            if not pgdat.kswapd_asleep:
                self._run_kswapd(pgdat, True)

    def _run_flusher(self, cpu: int) -> None:
        super()._do("write_back()", cpu, lambda: write_back(self.vm), True)

    def _run_kswapd(self, pgdat: PglistData, daemon: bool = False) -> None:
        cpu = self._cpu_of(pgdat)
        super()._do(f"kswapd({pgdat.nid})", cpu, lambda: kswapd(self.vm, pgdat), daemon)
        self._run_kcompactds(cpu)

    def _kswapd_turn(self, pgdat: PglistData) -> None:
        cpu, name = self._cpu_of(pgdat), f"kswapd({pgdat.nid}): a turn"
        super()._do(name, cpu, lambda: kswapd_turn(self.vm, pgdat), True)

    def _run_kcompactds(self, cpu: int) -> None:
        for pgdat in self.vm.nodes:
            if pgdat.kcompactd_awake and not self._scheduled:
                self._run_kcompactd(pgdat, cpu, True)

    def _run_kcompactd(self, pgdat: PglistData, cpu: int, daemon: bool = False) -> int:
        # in a tuple: the operation's name would show a number as a pfn
        name, call = f"kcompactd({pgdat.nid})", kcompactd
        (timeout,) = super()._do(name, cpu, lambda: (call(self.vm, pgdat),), daemon)
        return timeout

    def _end_the_killed(self) -> None:
        """The reaper, whose two seconds are over, and everybody who was killed and can die."""
        if oom_reaper_due(self.vm):
            self._run_reaper()
        for process in [process for process in self.vm.oom.processes if can_die(process)]:
            self._exit(process)

    def _run_reaper(self) -> None:
        super()._do("oom_reaper()", 0, lambda: run_oom_reaper(self.vm), True)

    def _exit(self, process: Task, daemon: bool = True) -> None:
        name = f"exit({process.comm}, pid {process.pid})"
        super()._do(name, process.cpu, lambda: exit_process(self.vm, process), daemon)

    def _tick(self, jiffies: int, daemon: bool = True) -> None:
        """Time passes; who sleeps for some of it wakes, and runs when its turn comes."""
        super()._do(f"tick({jiffies})", self.vm.cpu, lambda: self._pass(jiffies), daemon)

    def _pass(self, jiffies: int) -> None:
        pass_jiffies(self.vm, jiffies)
        for pgdat in self.vm.nodes:
            kswapd_nap_is_over(self.vm, pgdat)

    def _vmstat_update(self, cpu: int, daemon: bool = False) -> bool:
        """Is there more to do?"""
        call = refresh_cpu_vm_stats
        return super()._do(f"vmstat_update({cpu})", cpu, lambda: call(self.vm, True), daemon)

    def _quiet_vmstat(self, cpu: int) -> None:
        super()._do(f"quiet_vmstat({cpu})", cpu, lambda: quiet_vmstat(self.vm), True)

    def _cpu_of(self, pgdat: PglistData) -> int:
        """The first CPU of a node; the first of all where it has none."""
        here = [cpu for cpu, nid in enumerate(self.vm.cpu_to_node) if nid == pgdat.nid]
        return here[0] if here else 0

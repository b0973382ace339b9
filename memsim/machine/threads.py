"""Who may be given a CPU by a Schedule: the kernel's threads, and tasks with what they do.

A thread has no state but one alarm, the jiffy at which it wants to run, or -1, which the Schedule
keeps; everything else is the machine's, so it goes back with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from memsim.machine.checks import whole
from memsim.machine.machine import Machine
from memsim.machine.plain import plain
from memsim.machine.tasks import UserTask
from memsim.mm.compaction.kcompactd import HPAGE_FRAG_CHECK_INTERVAL_MSEC
from memsim.mm.jiffies import msecs_to_jiffies
from memsim.mm.mmzone import PglistData
from memsim.mm.oom_kill.exit import can_die
from memsim.mm.oom_kill.reaper import oom_reaper_due
from memsim.mm.vmscan.kswapd import kswapd_naps_until
from memsim.mm.vmstat_work import need_update, stat_interval
from memsim.words.errors import BadRequest
from memsim.words.page_flags import LRUVEC_WAKE_FLUSHERS

#: What a task does when its turn comes, at most one request: called with the task, the number of
#: its turns so far, and this turn's chance. It gives the jiffies that it sleeps then, or None.
#: What it does may depend on these and on the machine alone: then it can be taken back.
Program = Callable[[UserTask, int, Random], int | None]
NEVER = -1


@dataclass(frozen=True)
class Job:
    """A task, and its program."""

    task: UserTask
    program: Program


class Thread:
    """Somebody who runs on one CPU, a step at a time."""

    def __init__(self, machine: Machine, name: str, cpu: int) -> None:
        self.machine, self.name, self.cpu = machine, name, cpu

    def first_alarm(self) -> int:
        """When it wants to run first; NEVER: when somebody wakes it."""
        return NEVER

    def ready(self, alarm: int) -> bool:
        """Would it run now?"""
        return 0 <= alarm <= self.machine.vm.jiffies

    def due(self, alarm: int) -> int:
        """The jiffy when it will be ready unless it is woken earlier; NEVER."""
        return alarm

    def step(self, turns: int, chance: Random) -> int:
        """Run; its next alarm. turns: how often it ran before."""
        raise NotImplementedError


class Kswapd(Thread):
    """A node's kswapd: a step is a priority of balance_pgdat(), or the end of a nap."""

    def __init__(self, machine: Machine, pgdat: PglistData) -> None:
        super().__init__(machine, f"kswapd{pgdat.nid}", machine._cpu_of(pgdat))
        self.pgdat = pgdat

    def ready(self, alarm: int) -> bool:
        """Is it awake?"""
        return not self.pgdat.kswapd_asleep

    def due(self, alarm: int) -> int:
        """The end of its nap."""
        return kswapd_naps_until(self.machine.vm, self.pgdat)

    def step(self, turns: int, chance: Random) -> int:
        """It goes by the machine's state alone."""
        self.machine._kswapd_turn(self.pgdat)
        return NEVER


class Kcompactd(Thread):
    """A node's kcompactd. NOT MODELLED: that it loses its CPU: a step is all that it does."""

    def __init__(self, machine: Machine, pgdat: PglistData) -> None:
        super().__init__(machine, f"kcompactd{pgdat.nid}", machine._cpu_of(pgdat))
        self.pgdat = pgdat

    def first_alarm(self) -> int:
        """Half a second."""
        return self._after(HPAGE_FRAG_CHECK_INTERVAL_MSEC)

    def ready(self, alarm: int) -> bool:
        """Was it woken, or is its timeout over?"""
        return bool(self.pgdat.kcompactd_awake) or super().ready(alarm)

    def step(self, turns: int, chance: Random) -> int:
        """What it was woken for, or proactive compaction."""
        return self._after(self.machine._run_kcompactd(self.pgdat, self.cpu, True))

    def _after(self, msecs: int) -> int:
        vm = self.machine.vm
        if not vm.sysctl_compaction_proactiveness:
            return NEVER
        return vm.jiffies + msecs_to_jiffies(vm, msecs)


class Flusher(Thread):
    """Who writes dirty pages when reclaim meets many. NOT MODELLED: that it takes time."""

    def ready(self, alarm: int) -> bool:
        """Did reclaim wake it?"""
        return any(node.lruvec.flags & LRUVEC_WAKE_FLUSHERS for node in self.machine.vm.nodes)

    def step(self, turns: int, chance: Random) -> int:
        """All dirty pages, at once."""
        self.machine._run_flusher(self.cpu)
        return NEVER


class OomReaper(Thread):
    """oom_reaper, which unmaps what a victim did not give back within two seconds."""

    def ready(self, alarm: int) -> bool:
        """Are somebody's two seconds over?"""
        return oom_reaper_due(self.machine.vm)

    def due(self, alarm: int) -> int:
        """The first victim's time."""
        waiting = self.machine.vm.oom.waiting
        return waiting[0].oom_reaper_timer if waiting else NEVER

    def step(self, turns: int, chance: Random) -> int:
        """All whose time is over."""
        self.machine._run_reaper()
        return NEVER


class Exit(Thread):
    """Tasks that were killed. NOT MODELLED: that each takes its own CPU's turn for it."""

    def ready(self, alarm: int) -> bool:
        """Is there one that can end?"""
        oom = self.machine.vm.oom
        return oom.dying and any(can_die(process) for process in oom.processes)

    def step(self, turns: int, chance: Random) -> int:
        """The first of them ends."""
        process = next(process for process in self.machine.vm.oom.processes if can_die(process))
        self.machine._exit(process)
        return NEVER


class VmstatWorker(Thread):
    """A CPU's vmstat_update(): while there is more to do it comes again.

    NOT MODELLED: that it is put off while its CPU is idle (INIT_DEFERRABLE_WORK).
    """

    def step(self, turns: int, chance: Random) -> int:
        """Counters folded, pcp lists decayed."""
        more = self.machine._vmstat_update(self.cpu, True)
        return self.machine.vm.jiffies + stat_interval(self.machine.vm) if more else NEVER


class VmstatShepherd(Thread):
    """vmstat_shepherd(): looks each second which CPUs have changes, and no worker under way."""

    def first_alarm(self) -> int:
        """A second."""
        return self.step(0, Random(0))

    def step(self, turns: int, chance: Random) -> int:
        """The workers are queued by the Schedule, which has their alarms."""
        return self.machine.vm.jiffies + stat_interval(self.machine.vm)

    def wants(self, worker: VmstatWorker) -> bool:
        """Has this worker's CPU changes?"""
        return need_update(self.machine.vm, worker.cpu)


class Task(Thread):
    """A task that does what its program says."""

    def __init__(self, machine: Machine, job: Job) -> None:
        super().__init__(machine, f"{job.task.name}/{job.task.pid}", job.task.cpu)
        self.job = job

    def ready(self, alarm: int) -> bool:
        """Is it there, not killed, and not asleep?"""
        process = self.job.task.process
        asleep = alarm > self.machine.vm.jiffies or process.uninterruptible
        return self.job.task.alive and not process.fatal_signal and not asleep

    def due(self, alarm: int) -> int:
        """The end of its sleep, if it sleeps."""
        process = self.job.task.process
        runs = self.job.task.alive and not process.fatal_signal and not process.uninterruptible
        return alarm if runs else NEVER

    def step(self, turns: int, chance: Random) -> int:
        """Its program, once."""
        sleeps: int | None = plain(self.job.program(self.job.task, turns, chance))
        if sleeps is None:
            return NEVER
        whole(f"{self.name} sleeps", sleeps)
        if not 0 <= sleeps < 1 << 32:
            raise BadRequest(f"{self.name} sleeps {sleeps}: should be 0 or more jiffies, or None")
        return self.machine.vm.jiffies + sleeps


def kernel_threads(machine: Machine) -> list[Thread]:
    """The kernel's own, the shepherd behind the workers."""
    vm = machine.vm
    nodes: list[Thread] = [Kswapd(machine, pgdat) for pgdat in vm.nodes]
    nodes += [Kcompactd(machine, pgdat) for pgdat in vm.nodes]
    workers = [VmstatWorker(machine, f"vmstat_update/{cpu}", cpu) for cpu in range(vm.nr_cpus)]
    others = (Flusher, "flusher"), (OomReaper, "oom_reaper"), (Exit, "exit")
    once = [kind(machine, name, 0) for kind, name in others]
    return [*nodes, *once, *workers, VmstatShepherd(machine, "vmstat_shepherd", 0)]

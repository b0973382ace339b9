"""The clock: jiffies since boot, HZ of them a second. It stands still until time is let pass.

NOT MODELLED: INITIAL_JIFFIES, five minutes before the counter of 32 bits is full: here it begins
at 0 and has no end.

Kernel: include/linux/jiffies.h
"""

from __future__ import annotations

from memsim.mm.mmzone import Vm
from memsim.trace.events import TP_STEPS
from memsim.trace.task_steps import CLOCK

_MSEC_PER_SEC, _USEC_PER_SEC = 1000, 1_000_000


def pass_jiffies(vm: Vm, nr: int) -> None:
    """Let nr jiffies pass; who waits for one of them is not called here."""
    if nr and vm.trace.mask & TP_STEPS:
        vm.trace.step(CLOCK, vm.jiffies, vm.jiffies + nr)
    vm.jiffies += nr


def msecs_to_jiffies(vm: Vm, msecs: int) -> int:
    """Rounded up. Kernel: include/linux/jiffies.h msecs_to_jiffies()."""
    return -(-msecs * vm.HZ // _MSEC_PER_SEC)


def jiffies_to_usecs(vm: Vm, nr: int) -> int:
    """Microseconds. Kernel: include/linux/jiffies.h jiffies_to_usecs()."""
    return nr * _USEC_PER_SEC // vm.HZ


def round_jiffies_relative(vm: Vm, nr: int) -> int:
    """In about nr jiffies, at a whole second, so that the work of all CPUs is done at one time.

    Each CPU has its own three jiffies of it. Kernel: kernel/time/timer.c round_jiffies_relative()
    """
    skew = 3 * vm.cpu
    at = vm.jiffies + nr + skew
    rest = at % vm.HZ
    rounded = at - rest - skew + (vm.HZ if rest >= vm.HZ // 4 else 0)
    return rounded - vm.jiffies if rounded > vm.jiffies else nr

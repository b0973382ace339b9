"""A run of a schedule, printed: its turns, then its trace, then its log. Argument: the seed."""

from __future__ import annotations

import sys

from test_schedule import busy, machine_of

from memsim.trace.text import event_text

if __name__ == "__main__":
    machine = machine_of()
    schedule = busy(machine, int(sys.argv[1]), ("4 MiB", "6 MiB", "3 MiB"))
    for turn in schedule.run(steps=3000):
        print(turn)
    for traced in machine.events():
        print(event_text(traced.event))
    print("\n".join(machine.vm.oom.log))

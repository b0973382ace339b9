"""Boot time and memory of large machines, each in a process of its own.

    python -m bench.boot

Prints, for each size, the seconds that Machine() took and by how much the process grew, in MB.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from memsim.machine import Machine

SIZES = ("1 GiB", "16 GiB", "64 GiB", "1 TiB")


def measure(ram: str) -> None:
    """Boot once, and print what it cost."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    machine = Machine(ram)
    seconds = time.perf_counter() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    pages = sum(zone.managed_pages for zone in machine.vm.zones)
    print(f"{ram:>7}: {seconds * 1000:7.1f} ms, {grown:6.1f} MB more, {pages} pages managed")


def main() -> None:
    """Measure every size; with an argument, only that one, in this process."""
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    for ram in SIZES:
        subprocess.run([sys.executable, "-m", "bench.boot", ram], check=True)


if __name__ == "__main__":
    main()

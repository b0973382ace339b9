"""Boot time and memory of large machines, each in a process of its own.

    python -m bench.boot RAM

prints, for one machine, as JSON: CPU seconds that Machine() took, and bytes that the process grew.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from bench.figures import Spread, spread, tell
from memsim.machine import Machine

SIZES = ("1 GiB", "16 GiB", "64 GiB", "1 TiB")


class BootRow(NamedTuple):
    """A machine's RAM and managed pages, CPU seconds to boot, bytes of memory it took.

    `bytes_per_page` is what that makes for each page, `array_bytes_per_page` what it is at
    most, once every page has been touched.
    """

    ram: str
    pages: int
    seconds: Spread
    grown: int
    bytes_per_page: float
    array_bytes_per_page: float


def resident_bytes() -> int:
    """Memory that this process has in use; where the system does not tell, the most it had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def boot_here(ram: str) -> dict[str, float]:
    """Boot once in this process, and say what it cost."""
    before = resident_bytes()
    started = time.process_time()
    machine = Machine(ram)
    seconds = time.process_time() - started
    grown = resident_bytes() - before
    vm = machine.vm
    arrays = (vm.next, vm.prev, vm.page_state, vm.pageblock, vm.pageblock_skip)
    nr_bytes = sum(_size(array) for array in arrays)
    return {
        "seconds": seconds,
        "grown": grown,
        "pages": sum(zone.managed_pages for zone in vm.zones),
        "array_bytes_per_page": nr_bytes / vm.max_pfn,
    }


def _size(array: list[int] | bytearray | memoryview[int]) -> int:
    """Bytes of a flat array; of a list, with an int object of its own for each entry."""
    if isinstance(array, list):
        return sys.getsizeof(array) + len(array) * sys.getsizeof(1 << 20)
    return memoryview(array).nbytes


def measure(ram: str, rounds: int) -> BootRow:
    """Boot in new processes, `rounds` of them."""
    tell(f"boot: {ram}")
    command = [sys.executable, "-m", "bench.boot", ram]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for _ in range(rounds)
    ]
    grown, pages = int(spread(run["grown"] for run in runs).median), int(runs[0]["pages"])
    seconds = spread(run["seconds"] for run in runs)
    return BootRow(ram, pages, seconds, grown, grown / pages, runs[0]["array_bytes_per_page"])


if __name__ == "__main__":
    print(json.dumps(boot_here(sys.argv[1])))

"""Who asks for memory: processes, drivers, filesystems, each on the kernel's own path.

>>> from memsim.machine import Machine
>>> from memsim.workload import Workload
>>> machine = Machine("64 MiB", slab=True, vmalloc=True)
>>> workload = Workload(machine, "desktop", seed=1)
>>> workload.run(100)
>>> {request.allocator for request in workload.log} >= {"pages", "slab", "vmalloc"}
True
>>> workload.stop()
"""

from memsim.workload.dma import CoherentBuffer, DmaPool
from memsim.workload.fault import Thp
from memsim.workload.filesystem import Filesystem
from memsim.workload.kernel import Kernel
from memsim.workload.network import NetworkRing, Socket
from memsim.workload.page_cache import File
from memsim.workload.presets import PRESETS, Share
from memsim.workload.process import Process
from memsim.workload.request import Path, Request
from memsim.workload.requester import Requester
from memsim.workload.table import Row
from memsim.workload.users import Habits, Users
from memsim.workload.workload import Workload

__all__ = [
    "PRESETS",
    "CoherentBuffer",
    "DmaPool",
    "File",
    "Filesystem",
    "Habits",
    "Kernel",
    "NetworkRing",
    "Path",
    "Process",
    "Request",
    "Requester",
    "Row",
    "Share",
    "Socket",
    "Thp",
    "Users",
    "Workload",
]

"""What a task is in the middle of, as its allocations see it.

Kernel: include/linux/sched.h PF_*
"""

from __future__ import annotations

PF_EXITING = 0x0000_0004
PF_WQ_WORKER = 0x0000_0020
PF_DUMPCORE = 0x0000_0200
#: It frees memory, and may use every reserve for that.
PF_MEMALLOC = 0x0000_0800
PF_KCOMPACTD = 0x0001_0000
PF_KSWAPD = 0x0002_0000

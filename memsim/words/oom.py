"""Constants of the OOM killer.

Kernel: include/uapi/linux/oom.h, include/linux/oom.h, include/linux/sched.h,
include/linux/sched/coredump.h
"""

from __future__ import annotations

OOM_SCORE_ADJ_MIN = -1000
OOM_SCORE_ADJ_MAX = 1000

CONSTRAINT_NONE = 0
CONSTRAINT_CPUSET = 1
CONSTRAINT_MEMORY_POLICY = 2
CONSTRAINT_MEMCG = 3
#: Kernel: mm/oom_kill.c oom_constraint_text[]
OOM_CONSTRAINT_TEXT = (
    "CONSTRAINT_NONE",
    "CONSTRAINT_CPUSET",
    "CONSTRAINT_MEMORY_POLICY",
    "CONSTRAINT_MEMCG",
)

PF_EXITING = 0x4
PF_KTHREAD = 0x200000

MMF_OOM_SKIP = 1 << 21
MMF_UNSTABLE = 1 << 22
MMF_OOM_REAP_QUEUED = 1 << 25
MMF_MULTIPROCESS = 1 << 26

LONG_MIN = -(1 << 63)
LONG_MAX = (1 << 63) - 1
#: A limit that is none, in pages. Kernel: include/linux/page_counter.h
PAGE_COUNTER_MAX = LONG_MAX // 4096
MAX_OOM_REAP_RETRIES = 10

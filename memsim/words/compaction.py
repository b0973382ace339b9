"""What compaction answers, and how hard it tries.

Kernel: include/linux/compaction.h enum compact_result, enum compact_priority
"""

from __future__ import annotations

COMPACT_NOT_SUITABLE_ZONE = 0
COMPACT_SKIPPED = 1
COMPACT_DEFERRED = 2
COMPACT_NO_SUITABLE_PAGE = 3
COMPACT_CONTINUE = 4
COMPACT_COMPLETE = 5
COMPACT_PARTIAL_SKIPPED = 6
COMPACT_CONTENDED = 7
COMPACT_SUCCESS = 8

#: As tracepoints print them. Kernel: include/trace/events/mmflags.h COMPACTION_STATUS
COMPACTION_STATUS = (
    "not_suitable_zone", "skipped", "deferred", "no_suitable_page", "continue", "complete",
    "partial_skipped", "contended", "success",
)  # fmt: skip

#: The lower the number, the harder it tries.
COMPACT_PRIO_SYNC_FULL = 0
COMPACT_PRIO_SYNC_LIGHT = 1
COMPACT_PRIO_ASYNC = 2
MIN_COMPACT_PRIORITY = COMPACT_PRIO_SYNC_FULL
MIN_COMPACT_COSTLY_PRIORITY = COMPACT_PRIO_SYNC_LIGHT
DEF_COMPACT_PRIORITY = COMPACT_PRIO_SYNC_LIGHT
INIT_COMPACT_PRIORITY = COMPACT_PRIO_ASYNC

#: Kernel: include/trace/events/mmflags.h COMPACTION_PRIORITY
COMPACTION_PRIORITY = ("COMPACT_PRIO_SYNC_FULL", "COMPACT_PRIO_SYNC_LIGHT", "COMPACT_PRIO_ASYNC")


COMPACTION_FAILED = 1
COMPACTION_WITHDRAWN = 2
COMPACTION_PROGRESS = 3
#: As tracepoints print them, from 1 on. Kernel: include/trace/events/mmflags.h COMPACTION_FEEDBACK
COMPACTION_FEEDBACK = ("failed", "withdrawn", "progress")


def compact_result_to_feedback(result: int) -> int:
    """How a compact_result looks from afar: COMPACTION_FAILED, WITHDRAWN or PROGRESS.

    Kernel: include/trace/events/mmflags.h compact_result_to_feedback()
    """
    if result == COMPACT_COMPLETE:
        return COMPACTION_FAILED
    return COMPACTION_PROGRESS if result == COMPACT_SUCCESS else COMPACTION_WITHDRAWN

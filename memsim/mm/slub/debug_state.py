"""What the debugging of all caches shares: who is calling, what was reported, what was asked for.

Kernel: mm/slub.c slub_debug, slab_errors of lib/slub_kunit.c; kernel/panic.c tainted_mask
"""

from __future__ import annotations


class SlabDebug:
    """The state behind SLUB's reports.

    `call_site`, `pid` and `jiffies` are what a request is tracked with: the number of the caller's
    name in Trace.names (0: nothing is shown of it), current->pid, ticks.
    `wild` has pointers that were met though they are no object's, `wild_code` their numbers.

    `kunit_errors` is None, or, while a KUnit test runs, the errors counted instead of reported.
    `oops` is "", or the line with which the kernel would have died: the request did nothing
    then. Whoever tells the caller of it empties it.

    `slub_debug`, `slub_debug_string` and `disable_higher_order_debug` come from slab_debug=.
    """

    __slots__ = (
        "call_site", "disable_higher_order_debug", "jiffies", "kunit_errors", "oops",
        "pid", "slub_debug", "slub_debug_string", "tainted", "wild", "wild_code",
    )  # fmt: skip

    def __init__(self) -> None:
        self.call_site = self.pid = self.jiffies = 0
        self.wild: list[int] = []
        self.wild_code: dict[int, int] = {}
        self.kunit_errors: int | None = None
        self.tainted = False
        self.oops = ""
        self.slub_debug = 0
        self.slub_debug_string = ""
        self.disable_higher_order_debug = False

    def slab_add_kunit_errors(self) -> bool:
        """Count an error if a KUnit test runs. Kernel: mm/slub.c slab_add_kunit_errors()."""
        if self.kunit_errors is None:
            return False
        self.kunit_errors += 1
        return True

"""Mixes of requesters by name. What is in them is chosen, not measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from memsim.workload.dma import CoherentBuffer, DmaPool
from memsim.workload.fault import Thp
from memsim.workload.filesystem import Filesystem
from memsim.workload.kernel import Kernel
from memsim.workload.network import NetworkRing, Socket
from memsim.workload.requester import Requester
from memsim.workload.users import Habits, Users


@dataclass(frozen=True)
class Share:
    """A requester to be made, and its weight: steps of the workload in proportion to it."""

    make: Callable[[Kernel], Requester]
    weight: int = 1


_DESKTOP = Habits(most=16, area_pages=1200, hugepage=0.2)
_WORKERS = Habits(most=24, fork=8, exit=6, mmap=5, execve=0.0, area_pages=200)
_COMPILERS = Habits(most=12, fork=12, exit=12, mmap=20, execve=1.0, touches=12, thp=Thp.ALWAYS)
_APPS = Habits(most=10, fork=4, exit=3, execve=0.0, area_pages=400, hugepage=0.0)

PRESETS: dict[str, tuple[Share, ...]] = {
    # windows, a sound card, USB, some network
    "desktop": (
        Share(partial(Users, habits=_DESKTOP), 50),
        Share(Filesystem, 30),
        Share(CoherentBuffer, 1),
        Share(DmaPool, 9),
        Share(partial(NetworkRing, size=128), 6),
        Share(Socket, 4),
    ),
    # workers forked from one process that never exec; small files; the network does most
    "web server": (
        Share(partial(Users, habits=_WORKERS), 25),
        Share(partial(Filesystem, file_pages=32, write=0.05), 25),
        Share(NetworkRing, 25),
        Share(Socket, 25),
    ),
    # compilers come and go, read and write files in large folios
    "build machine": (
        Share(partial(Users, habits=_COMPILERS), 55),
        Share(partial(Filesystem, large_folios=True, write=0.4), 43),
        Share(DmaPool, 2),
    ),
    # apps forked from one that has everything loaded; a camera that needs 4 MiB in one piece
    "phone": (
        Share(partial(Users, habits=_APPS), 55),
        Share(partial(Filesystem, file_pages=64), 28),
        Share(partial(CoherentBuffer, size=4 << 20), 2),
        Share(partial(NetworkRing, size=64), 10),
        Share(Socket, 5),
    ),
}

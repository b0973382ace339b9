"""A machine on which kswapd gets a CPU late, as on a busy one: what lesson 15 measures."""

from __future__ import annotations

from typing import Any

from memsim.machine.checks import whole
from memsim.machine.machine import Machine
from memsim.mm.mmzone import PglistData
from memsim.words.errors import BadRequest


class LateKswapd(Machine):
    """Reclaims, and kswapd runs behind the `late`-th operation since it was woken, that included.

    `late` is 1 or more, else BadRequest; the rest is as for Machine. Without steps: how many
    operations went by is nothing that undo could take back. kswapd() runs it at once, and under a
    Schedule it runs when its turn comes.
    """

    def __init__(self, ram: str, late: int = 1, **how: Any) -> None:
        whole("late", late)
        if late < 1:
            raise BadRequest(f"late={late}: should be 1 or more")
        self.late, self._waited = late, 0
        super().__init__(ram, reclaim=True, steps=False, **how)

    def _run_kswapd(self, pgdat: PglistData, daemon: bool = False) -> None:
        self._waited += 1
        if self._waited >= self.late or not daemon:
            self._waited = 0
            super()._run_kswapd(pgdat, daemon)

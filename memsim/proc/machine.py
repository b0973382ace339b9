"""A Machine from copies of /proc: the numbers are the files', positions are drawn by seed.

NOT MODELLED: what the files do not tell. Where a free or used block lies, in which order lists
are, what orders pages in use have (all are 0), which pages are on pcp lists (order 0 alone), the
holes in a zone (taken to be at its end), and what is deferred in per-CPU counters (nothing).
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from memsim.machine import Machine
from memsim.mm.journal import start_steps
from memsim.mm.mmzone import populated_zones
from memsim.mm.populate import deduce
from memsim.mm.snapshot import Snapshot
from memsim.proc.copies import Copies, read_copies
from memsim.proc.fit import Zones, check
from memsim.proc.numbers import numbers_of
from memsim.proc.origin import Origin
from memsim.proc.zones import ToldZone
from memsim.words.errors import BadInput


def machine_from_proc(
    folder: str | Path | None, *, seed: int = 0, steps: bool = True
) -> tuple[Machine, Origin]:
    """A machine with the zones, counts and limits that copies of /proc tell, and where from.

    folder holds zoneinfo and buddyinfo, and pagetypeinfo where somebody was root, with or without
    `.txt`, or with `start_` before the names; None is this machine's own /proc. The same seed
    draws the same positions. BadInput names file, line and field.
    """
    copies = read_copies(folder)
    arch, populated = check(copies)
    machine = _machine(copies, numbers_of(copies, arch), seed)
    rng = Random(seed)
    notes = [f"Positions of blocks and pages are drawn by seed {seed}: no file tells them."]
    notes += _general_notes(copies, machine)
    told = _told_zones(copies, populated)
    notes += _fill(machine, told, rng)
    deduce(machine.vm)
    if steps:
        start_steps(machine.vm)
    return machine, Origin(str(copies.folder), copies.used, copies.missing, seed, tuple(notes))


def _machine(copies: Copies, numbers: Snapshot, seed: int) -> Machine:
    """The machine of these numbers; what mm/restore.py refuses is zoneinfo's fault."""
    try:
        return Machine.from_snapshot(numbers, seed=seed, steps=False)
    except BadInput as error:
        raise BadInput(f"{copies.used['zoneinfo']}: {error}") from None


def _told_zones(copies: Copies, populated: Zones) -> dict[tuple[int, str], ToldZone]:
    types = {
        (pgdat.node, told.zone): (pgdat, told)
        for pgdat in copies.pagetypeinfo or []
        for told in pgdat.zones
    }
    return {
        (row.node, row.zone): ToldZone(
            copies, populated[row.node, row.zone], row, types.get((row.node, row.zone))
        )
        for row in copies.buddyinfo
    }


def _fill(machine: Machine, told: dict[tuple[int, str], ToldZone], rng: Random) -> list[str]:
    """Populate every zone, the lowest first: the next one may begin amid its last pageblock."""
    vm = machine.vm
    zones = sorted(populated_zones(vm), key=lambda zone: zone.zone_start_pfn)
    allowed = {
        zone.zone_start_pfn >> vm.pageblock_order: told[zone.node, zone.name].types_there(zone)
        for zone in zones[1:]
    }
    fixed: dict[int, int] = {}
    notes = []
    for zone in zones:
        notes += told[zone.node, zone.name].fill(zone, fixed, allowed, rng)
    return notes


def _general_notes(copies: Copies, machine: Machine) -> list[str]:
    """What no file told of the machine as a whole."""
    vm = machine.vm
    notes = [
        f"min_free_kbytes {vm.min_free_kbytes} and watermark_scale_factor "
        f"{vm.watermark_scale_factor} are deduced from the watermarks."
    ]
    if copies.pagetypeinfo is None:
        notes.append("Migratetypes are drawn too: pagetypeinfo would tell them.")
        if any(zone.pages.get("cma") for zone in copies.zoneinfo):
            notes.append("CMA is left out: pagetypeinfo would tell where it is.")
    if len(vm.nodes) > 1:
        notes.append("Which node a CPU is on, and how far nodes are apart, is assumed.")
    cpus = next([p.cpu for p in zone.pagesets] for zone in copies.zoneinfo if zone.populated)
    if cpus != list(range(len(cpus))):
        notes.append(f"CPUs are numbered from 0 here: CPU {len(cpus) - 1} was {cpus[-1]}.")
    return notes

"""What recorded machines were made of, and the numbers that their kernels computed from it.

    python tools/recorded_machines.py CAPTURE... > tests/data/machines.json

RAM and its nodes are read from dmesg, reserved pages and the computed numbers from the snapshot.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

_RAM = re.compile(r"\] +node +(\d+): \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]")
#: What the firmware and the boot loader told.
_FIRMWARE = re.compile(r"(?:BIOS-e820: \[|ACPI: SRAT: Node |RAMDISK: ).*")
_RAMDISK = re.compile(r"RAMDISK: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]")
_KERNEL_START = 0x1000
#: Kernel: include/linux/mmzone.h PCPF_FREE_HIGH_BATCH
_FREE_HIGH_BATCH = 2
_COMPUTED = (
    "spanned_pages", "present_pages", "managed_pages", "watermark", "lowmem_reserve",
    "percpu_drift_mark", "pageset_high_min", "pageset_high_max", "pageset_batch",
)  # fmt: skip


def pfns(match: re.Match[str], first: int) -> list[int]:
    """[start, end) of an inclusive range of bytes in hex."""
    return [int(match[first], 16) >> 12, int(match[first + 1], 16) + 1 >> 12]


def dmesg_of(capture: Path) -> str:
    """The kernel's log of the capture."""
    with tarfile.open(capture / "proc.tar.xz") as tar:
        member = next(name for name in tar.getnames() if name.endswith("dmesg.txt"))
        file = tar.extractfile(member)
        assert file is not None
        return file.read().decode()


def freed_later(dmesg: str, reserved: list[list[int]]) -> list[list[int]]:
    """What was reserved until init was over: gaps in the kernel's image of today, and the initrd.

    The locks of SMP alternatives, which lie behind the init sections, were freed before.
    """
    image = [r for r in reserved if _KERNEL_START <= r[0] < _KERNEL_START + 0x4000]
    gaps = [[before[1], after[0]] for before, after in pairwise(image)]
    initmem, locks = (freed_pages(dmesg, what) for what in ("initmem", "SMP alternatives"))
    for gap in gaps:
        if gap[1] - gap[0] == initmem + locks:
            gap[1] -= locks
    ramdisk = _RAMDISK.search(dmesg)
    assert ramdisk is not None
    return [*gaps, pfns(ramdisk, 1)]


def freed_pages(dmesg: str, what: str) -> int:
    """Pages of the line `Freeing … what … memory: …K`."""
    match = re.search(rf"Freeing .*{what}.*memory: (\d+)K", dmesg)
    assert match is not None
    return int(match[1]) // 4


def machine_of(capture: Path) -> dict[str, Any]:
    """One entry of the file."""
    dmesg = dmesg_of(capture)
    with lzma.open(capture / "snapshot_start.json.xz") as file:
        snapshot = json.load(file)
    runs = snapshot["page_kinds"]["runs"]
    reserved = [[pfn, pfn + count] for pfn, count, kind, _ in runs if kind == "R"]
    names = ("min_free_kbytes", "watermark_scale_factor", "totalreserve_pages")
    return {
        "name": capture.name,
        "cpus": snapshot["nr_cpus"],
        "firmware": [match[0] for match in _FIRMWARE.finditer(dmesg)],
        "ram": [[int(m[1]), *pfns(m, 2)] for m in _RAM.finditer(dmesg)],
        "reserved": reserved,
        "freed_later": freed_later(dmesg, reserved),
        "transparent_hugepage": bool(snapshot["vars"]["transparent_hugepage_flags"] & 2),
        "vars": {name: snapshot["vars"][name] for name in names},
        "zonelists": [node["zonelists"] for node in snapshot["nodes"]],
        "zones": [zone_of(zone) for node in snapshot["nodes"] for zone in node["zones"]],
    }


def zone_of(zone: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a zone, and of its CPUs."""
    numbers = {name: zone[name] for name in _COMPUTED}
    numbers["stat_threshold"] = [stat["stat_threshold"] for stat in zone.get("percpu_stat", [])]
    numbers["pcp"] = [
        [pcp["high_min"], pcp["high_max"], pcp["batch"], pcp["flags"] & _FREE_HIGH_BATCH]
        for pcp in zone.get("pcp", [])
    ]
    return numbers


if __name__ == "__main__":
    machines = [machine_of(Path(name)) for name in sys.argv[1:]]
    print("[", ",\n".join(json.dumps(m, separators=(",", ":")) for m in machines), "]", sep="\n")

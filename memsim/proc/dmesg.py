"""What a kernel's log says of its firmware: the e820 map, nodes by SRAT, and the initrd.

Kernel: arch/x86/kernel/e820.c e820__print_table(), drivers/acpi/numa/srat.c,
arch/x86/kernel/setup.c early_reserve_initrd()
"""

from __future__ import annotations

import re

from memsim.mm.e820 import E820_TYPE_NAMES, E820Entry
from memsim.mm.setup_arch import Firmware
from memsim.words.errors import BadInput
from memsim.words.memblock import MAX_NUMNODES

_RANGE = r"\[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\]"
_E820 = re.compile(rf"BIOS-e820: {_RANGE} (.*?)\s*$")
_SRAT = re.compile(rf"SRAT: Node (\d{{1,4}}) PXM \d+ {_RANGE}")
_RAMDISK = re.compile(rf"RAMDISK: {_RANGE}")
_TYPES = {name: number for number, name in E820_TYPE_NAMES.items()}
_OTHER_TYPE = re.compile(r"type (\d{1,10})$")
#: As many as a kernel has room for. Kernel: arch/x86/include/asm/e820/types.h E820_MAX_ENTRIES
_MAX_ENTRIES = 128 + 3 * MAX_NUMNODES


def parse_firmware(text: str) -> Firmware:
    """The firmware of a log, as `dmesg` prints it. BadInput: names line and field."""
    e820, nodes, initrd = [], [], None
    for number, line in enumerate(text.splitlines(), 1):
        if found := _E820.search(line):
            e820.append(E820Entry(*_range(found, 1, number), _type(found[3], number)))
        elif found := _SRAT.search(line):
            nodes.append((int(found[1]), *_range(found, 2, number)))
        elif found := _RAMDISK.search(line):
            initrd = _range(found, 1, number)
    if not e820:
        raise BadInput('dmesg: no line has "BIOS-e820: [mem": is it from boot on, and of a PC?')
    if len(e820) > _MAX_ENTRIES:
        raise BadInput(f"dmesg: {len(e820)} e820 entries: should be {_MAX_ENTRIES} at most")
    return Firmware(e820, nodes, initrd)


def _range(found: re.Match[str], first: int, number: int) -> tuple[int, int]:
    """[start, end) of bytes; the log has the last one."""
    start, last = int(found[first], 16), int(found[first + 1], 16)
    if last < start:
        raise BadInput(f"dmesg: line {number}: [mem {start:#x}-{last:#x}] ends before it begins")
    return start, last + 1


def _type(name: str, number: int) -> int:
    if other := _OTHER_TYPE.match(name):
        return int(other[1])
    if name not in _TYPES:
        known = ", ".join(_TYPES)
        raise BadInput(f"dmesg: line {number}: type {name[:40]!r}: should be one of {known}")
    return _TYPES[name]

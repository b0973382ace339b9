"""What no firmware tells: refused before boot begins, by field and entry."""

from __future__ import annotations

from collections.abc import Sequence

from memsim.lib.text import one_line
from memsim.mm.cma_area import CmaRequest
from memsim.mm.description import MAX_NODES, MAX_RAM
from memsim.mm.e820 import E820_TYPE_RAM, E820Entry
from memsim.mm.setup_arch import Firmware
from memsim.words.errors import BadDescription

_MAX_ADDRESS = 1 << 64
_MAX_ENTRIES = 3200
_MAX_ORDER_PER_BIT = 31


def check_firmware(firmware: object) -> None:
    """BadDescription names what is no Firmware, or what no firmware could mean."""
    if not isinstance(firmware, Firmware):
        raise BadDescription(f"firmware={one_line(firmware, 40)!r}: should be a Firmware")
    for name, entry in _entries("e820", firmware.e820):
        _check_e820(name, entry)
    for name, entry in _entries("nodes", firmware.nodes):
        _check_node(name, entry)
    _check_range("image", firmware.image)
    if firmware.initrd is not None:
        _check_range("initrd", firmware.initrd)
    for name, entry in _entries("cma", firmware.cma):
        _check_cma(name, entry)


def _entries(name: str, entries: object) -> list[tuple[str, object]]:
    """Each with its name, as e820[0]."""
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        raise BadDescription(f"{name}={one_line(entries, 40)!r}: should be a list")
    if len(entries) > _MAX_ENTRIES:
        raise BadDescription(f"{name}: {len(entries)} entries: should be {_MAX_ENTRIES} at most")
    return [(f"{name}[{number}]", entry) for number, entry in enumerate(entries)]


def _check_e820(name: str, entry: object) -> None:
    if not isinstance(entry, E820Entry):
        raise BadDescription(f"{name}={one_line(entry, 40)!r}: should be an E820Entry")
    _check_range(name, entry[:2])
    _check_number(f"{name}.type", entry.type, (1 << 32) - 1)
    if entry.type == E820_TYPE_RAM and entry.end > MAX_RAM:
        most = MAX_RAM >> 30
        raise BadDescription(f"{name}: RAM up to {entry.end >> 30} GiB: should be {most} at most")


def _check_node(name: str, entry: object) -> None:
    if not isinstance(entry, tuple | list) or len(entry) != 3:
        raise BadDescription(f"{name}={one_line(entry, 40)!r}: should be (nid, start, end)")
    _check_number(f"{name}: nid", entry[0], MAX_NODES - 1)
    _check_range(name, entry[1:])


def _check_range(name: str, entry: object) -> None:
    if not isinstance(entry, tuple | list) or len(entry) != 2:
        raise BadDescription(f"{name}={one_line(entry, 40)!r}: should be (start, end)")
    start, end = entry
    _check_number(f"{name}: start", start, _MAX_ADDRESS)
    _check_number(f"{name}: end", end, _MAX_ADDRESS)
    if start > end:
        raise BadDescription(f"{name}: {start:#x} to {end:#x}: ends before it begins")


def _check_cma(name: str, entry: object) -> None:
    if not isinstance(entry, CmaRequest):
        raise BadDescription(f"{name}={one_line(entry, 40)!r}: should be a CmaRequest")
    for field in ("size", "base", "limit", "alignment"):
        _check_number(f"{name}.{field}", getattr(entry, field), _MAX_ADDRESS - 1)
    _check_number(f"{name}.order_per_bit", entry.order_per_bit, _MAX_ORDER_PER_BIT)
    if not isinstance(entry.fixed, bool):
        raise BadDescription(f"{name}.fixed={one_line(entry.fixed, 40)!r}: should be True or False")
    if not isinstance(entry.name, str) or not (entry.name or "x").isprintable():
        raise BadDescription(f"{name}.name={one_line(entry.name, 40)!r}: should be printable text")


def _check_number(name: str, value: object, most: int) -> None:
    if not isinstance(value, int) or not 0 <= value <= most:
        shown = one_line(value, 40)
        raise BadDescription(f"{name}={shown!r}: should be a whole number, 0 to {most}")

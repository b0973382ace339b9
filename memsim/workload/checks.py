"""What no requester can be made of or asked: each refusal is one line that names the number."""

from __future__ import annotations

from memsim.machine.checks import whole
from memsim.words.errors import BadRequest

#: Of anything that is counted here: files, packets, processes, blocks.
MOST = 1 << 20


def between(name: str, value: int, least: int, most: int = MOST) -> None:
    """BadRequest unless value is a whole number from least to most."""
    whole(name, value)
    if not least <= value <= most:
        raise BadRequest(f"{name}={value}: should be {least} to {most}")


def part(name: str, value: object) -> None:
    """BadRequest unless value is a share of 1."""
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise BadRequest(f"{name}={str(value)[:40]!r}: should be 0 to 1")


def kind(name: str, value: object, wanted: type) -> None:
    """BadRequest unless value is one of these."""
    if not isinstance(value, wanted):
        raise BadRequest(f"{name}={str(value)[:40]!r}: should be a {wanted.__name__}")

"""The /proc texts that tests read: of 18 recorded machines, and of other kernels, made by hand."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data" / "proc"
#: What a machine is made from; captures have slabinfo too.
NAMES = ("buddyinfo", "pagetypeinfo", "zoneinfo")
#: Written from the source of these kernels, numbers made up; each a folder.
OTHER_KERNELS = ("aarch64-6.1-cma", "i686-4.19", "x86_64-4.9", "x86_64-6.18")


@cache
def recorded() -> dict[str, str]:
    """`capture/start_zoneinfo.txt` and so on: the texts of all captures."""
    with tarfile.open(DATA / "captures.tar.xz") as tar:
        return {
            member.name: tar.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in tar.getmembers()
        }


def captures() -> list[str]:
    """The names of the recorded machines."""
    return sorted({name.partition("/")[0] for name in recorded()})


def texts_of(name: str) -> list[tuple[str, str]]:
    """(where, text) of every recorded zoneinfo, say."""
    return [(where, text) for where, text in recorded().items() if where.endswith(f"_{name}.txt")]


def other(kernel: str, name: str) -> str:
    """A text of another kernel."""
    return (DATA / kernel / name).read_text()


def put(folder: Path, texts: dict[str, str | bytes]) -> Path:
    """A folder with these files."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def copies_of(capture: str, moment: str = "start") -> dict[str, str | bytes]:
    """The three files of a capture, under the kernel's names."""
    return {name: recorded()[f"{capture}/{moment}_{name}.txt"] for name in NAMES}

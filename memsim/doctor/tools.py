"""Programs beside Python, memory, and whether the model itself runs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from memsim.doctor.check import COURSE, TESTS, Check
from memsim.lib.sizes import show_size
from memsim.machine import Machine
from memsim.words.gfp import GFP_KERNEL

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: A JupyterLab, its kernel and a browser.
MEMORY = 1 << 30


def find_chromium() -> str | None:
    """The path of a Chromium: $MEMSIM_CHROMIUM, or the first of the usual names that is there."""
    return shutil.which(os.environ.get("MEMSIM_CHROMIUM", "")) or next(
        (path for path in map(shutil.which, CHROMIUM_NAMES) if path), None
    )


def check_model() -> Check:
    """A machine boots, gives a page, takes it back, and is what it was."""
    machine = Machine("16 MiB")
    before = machine.nr_free()
    machine.free_pages(machine.alloc_pages(GFP_KERNEL))
    machine.validate()
    machine.undo()
    machine.undo()
    is_ok = machine.nr_free() == before
    to_do = "" if is_ok else "Report it: this is a bug of memsim"
    return Check(COURSE, "the model", is_ok, "boots, gives a page and takes it back", to_do)


def check_programs() -> list[Check]:
    """make and git, and a browser for the tests."""
    checks = []
    for name, purpose in (("make", "make lab, make test"), ("git", "newer lessons")):
        is_there = shutil.which(name) is not None
        to_do = "" if is_there else f"It is for {purpose}; the README has other ways"
        checks.append(Check(TESTS, name, is_there, "is there" if is_there else "none", to_do))
    path = find_chromium()
    to_do = "" if path else "Browser tests are skipped; name one in MEMSIM_CHROMIUM, or install it"
    return [*checks, Check(TESTS, "Chromium", bool(path), path or "none", to_do)]


def check_memory(meminfo: Path = Path("/proc/meminfo")) -> Check:
    """Is there room for JupyterLab and a browser?"""
    available = _available(meminfo)
    if available is None:
        return Check(COURSE, "memory", True, f"not known on {sys.platform}")
    is_enough = available >= MEMORY
    to_do = "" if is_enough else f"Close something: {show_size(MEMORY)} is comfortable"
    return Check(COURSE, "memory", True, f"{show_size(available)} available", to_do)


def _available(meminfo: Path) -> int | None:
    """MemAvailable in bytes; None where there is no such file or line."""
    try:
        lines = meminfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[:1] == ["MemAvailable:"] and len(words) > 1 and words[1].isdecimal():
            return int(words[1]) << 10
    return None

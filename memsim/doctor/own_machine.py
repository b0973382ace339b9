"""What of this machine's own can be read: its kernel, its /proc texts, its tracepoints.

The lessons need none of it: they bring recorded copies.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from memsim.doctor.check import YOUR_MACHINE, Check
from memsim.doctor.packages import version_tuple
from memsim.lib.text import one_line
from memsim.proc.buddyinfo import parse_buddyinfo
from memsim.proc.iomem import parse_iomem
from memsim.proc.pagetypeinfo_parse import parse_pagetypeinfo
from memsim.proc.zoneinfo_parse import parse_zoneinfo
from memsim.words.baseline import KERNEL_VERSION
from memsim.words.errors import MemsimError

COPIES = "The lessons have recorded copies"
#: What reads each file of /proc.
PARSERS: Mapping[str, Callable[[str], object]] = {
    "buddyinfo": parse_buddyinfo,
    "zoneinfo": parse_zoneinfo,
    "pagetypeinfo": parse_pagetypeinfo,
    "iomem": parse_iomem,
}
#: Longer files are not read.
MAX_CHARACTERS = 1 << 24


def check_kernel(system: str = "", release: str = "") -> Check:
    """Is it Linux, and how far from the one that memsim models?"""
    system, release = system or platform.system(), release or platform.release()
    if system != "Linux":
        return Check(YOUR_MACHINE, "kernel", False, one_line(system, 40), COPIES)
    model, own = version_tuple(KERNEL_VERSION)[:2], version_tuple(release)[:2]
    told = f"Linux {one_line(release, 60)}"
    if own == model:
        return Check(YOUR_MACHINE, "kernel", True, told)
    age = "newer" if own > model else "older"
    boxes = "lessons say what changed" if own > (4, 8) else "its /proc texts may differ"
    note = f"memsim models {'.'.join(map(str, model))}; yours is {age}: {boxes}"
    return Check(YOUR_MACHINE, "kernel", True, told, note)


def check_proc(proc: Path = Path("/proc")) -> list[Check]:
    """Can each file be read, and understood?"""
    return [_check_file(proc / name, parse) for name, parse in PARSERS.items()]


def _check_file(path: Path, parse: Callable[[str], object]) -> Check:
    name = str(path)
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_CHARACTERS)
        parse(text)
    except PermissionError:
        return Check(YOUR_MACHINE, name, False, "only root may read it", f"sudo cat {name}")
    except OSError:
        return Check(YOUR_MACHINE, name, False, "there is no such file here", COPIES)
    except MemsimError as error:
        return Check(YOUR_MACHINE, name, False, one_line(error, 200), COPIES)
    return Check(YOUR_MACHINE, name, True, "can be read")


def check_tracing(tracing: Path = Path("/sys/kernel/tracing")) -> Check:
    """Are the tracepoints of the page allocator there, and may they be read?"""
    events, name = tracing / "events/kmem/mm_page_alloc/format", "tracing"
    try:
        with events.open("rb") as file:
            file.read(1)
    except PermissionError:
        to_do = "Try it as root; a recording can be made with sudo and read without"
        return Check(YOUR_MACHINE, name, False, "only root may read it", to_do)
    except OSError:
        return Check(YOUR_MACHINE, name, False, _no_tracing(tracing), COPIES)
    return Check(YOUR_MACHINE, name, True, "the kmem tracepoints can be read")


def _no_tracing(tracing: Path) -> str:
    if not tracing.is_dir():
        return f"there is no {tracing}"
    if not os.access(tracing, os.R_OK | os.X_OK):
        return "only root may read it"
    return f"{tracing} has no kmem events: it is not mounted, or the kernel has none"

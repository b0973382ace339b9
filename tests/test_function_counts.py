"""tools/function_counts.py counts what it says: entries of functions, and of their arms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = ROOT / "tests" / "data" / "slab" / "net_loopback"


def counted(room: str) -> subprocess.CompletedProcess[str]:
    """What the tool says of a room and the small recording."""
    command = [sys.executable, "tools/function_counts.py", room, str(SMALL)]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True, check=False)


def test_of_two_arms_one_is_entered_each_time() -> None:
    head, line, *rows = counted("slub.partial,slub.free").stdout.splitlines()
    assert head == "| function: step | kernel | net_loopback |"
    assert line == "|---|---|---:|"
    steps = {}
    for row in rows:
        name, kernel, count = row.removeprefix("| ").removesuffix(" |").split(" | ")
        steps[name] = (kernel.strip(), int(count))
    kernel, frees = steps["slub.free._slab_free"]
    assert kernel == "mm/slub.c __slab_free()"
    assert frees > 1000
    arms = [f"slub.free._slab_free: {arm} slab.frozen" for arm in ("if", "else of")]
    assert sum(steps[arm][1] for arm in arms) == frees
    assert not any("TP_" in name for name in steps)


def test_a_room_that_is_none_is_said() -> None:
    done = counted("attic")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "attic: no folder or file of memsim/mm"

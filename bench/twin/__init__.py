"""The C twin of memsim's page and slab allocators: built here, run as a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from array import array
from pathlib import Path
from typing import NamedTuple

from bench.drive import Outcome
from memsim.mm.mmzone import Zone
from memsim.mm.slub.slab import KmemCache

SOURCES = ("main.c", "page_alloc.c", "slub.c")
FLAGS = ("-O2", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror")


class CannotBuild(Exception):
    """The compiler that is there refuses the twin."""


class TwinOutcome(NamedTuple):
    """The Outcome of the last run, CPU seconds of each run, claims and steals, blocks by order.

    slabs: those that the cache has at the end.
    """

    outcome: Outcome
    seconds: list[float]
    extfrag: int
    nr_free: list[int]
    slabs: int


def compiler() -> str | None:
    """The C compiler: $CC, or the first of cc, gcc and clang that is there."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    return None


def build(folder: Path) -> Path:
    """The twin's program, newly compiled into folder. There must be a compiler()."""
    cc = compiler()
    assert cc is not None
    program = folder / "twin"
    sources = [str(Path(__file__).with_name(name)) for name in SOURCES]
    built = subprocess.run(
        [cc, *FLAGS, "-o", str(program), *sources], capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise CannotBuild(f"{cc} cannot build the twin:\n{built.stderr}")
    return program


def limits(zone: Zone, *, tail_rule: bool = True) -> array[int]:
    """struct zone_limits of page_alloc.h, from memsim's zone."""
    pcp = zone.per_cpu_pageset[0]
    return array("i", [
        zone.managed_pages, *zone._watermark[:3], pcp.batch, pcp.high_min, pcp.high_max,
        pcp.flags, zone.per_cpu_zonestats[0].stat_threshold, tail_rule,
    ])  # fmt: skip


#: struct cache_limits of slub.h for operations on pages.
NO_CACHE = array("i", [0] * 5)


def cache_limits(s: KmemCache) -> array[int]:
    """struct cache_limits of slub.h, from memsim's cache."""
    return array("i", [s.size, *s.oo, s.min_partial, s.cpu_partial_slabs])


def write(
    path: Path, zone_limits: array[int], operations: array[int], cache: array[int] = NO_CACHE
) -> None:
    """The file that the twin reads. cache: cache_limits() if the operations are on objects."""
    with open(path, "wb") as file:
        file.write(zone_limits.tobytes() + cache.tobytes() + operations.tobytes())


def run(program: Path, path: Path, runs: int = 1) -> TwinOutcome:
    """Do the operations of a file, `runs` times, each to a newly booted zone."""
    done = subprocess.run(
        [str(program), str(path), str(runs)], capture_output=True, text=True, check=True
    )
    values = {name: rest for name, *rest in (line.split() for line in done.stdout.splitlines())}
    seconds = [float(value) for value in values["seconds"]]
    outcome = Outcome(
        values["hash"][0], int(values["failures"][0]), int(values["free_pages"][0]), seconds[-1]
    )
    return TwinOutcome(
        outcome,
        seconds,
        int(values["extfrag"][0]),
        [int(n) for n in values["nr_free"]],
        int(values["slabs"][0]),
    )

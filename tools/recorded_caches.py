"""What recorded kernels made of each cache: its geometry, for every number of CPUs and nodes.

    python tools/recorded_caches.py CAPTURE... | xz -9 > tests/data/caches.json.xz

Read from the snapshots; the names that share a cache from slab_aliases.txt. Equal rows are told
once.
"""

from __future__ import annotations

import json
import lzma
import sys
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

FIELDS = (
    "name", "flags", "align", "object_size", "size", "offset", "inuse", "red_left_pad",
    "oo_order", "oo_objects", "min_order", "min_objects", "min_partial", "cpu_partial",
    "cpu_partial_slabs", "allocflags", "refcount", "useroffset", "usersize",
)  # fmt: skip


def aliases_of(capture: Path) -> dict[str, list[str]]:
    """All names of the cache that a name stands for, where it could be shared."""
    with tarfile.open(capture / "proc.tar.xz") as tar:
        member = next(name for name in tar.getnames() if name.endswith("slab_aliases.txt"))
        file = tar.extractfile(member)
        assert file is not None
        pairs = [line.split() for line in file.read().decode().splitlines()]
    shared = defaultdict(list)
    for name, unique_id in pairs:
        shared[unique_id].append(name)
    return {name: shared[unique_id] for name, unique_id in pairs}


def rows_of(capture: Path) -> list[list[Any]]:
    """[CPUs, nodes, fields, is there a constructor?, names that share it] of each cache."""
    with lzma.open(capture / "snapshot_start.json.xz") as file:
        snapshot = json.load(file)
    names = aliases_of(capture)
    where = [snapshot["nr_cpus"], len(snapshot["nodes"])]
    return [
        [*where, *(s[field] for field in FIELDS), s["ctor"] != "0x0", names.get(s["name"], [])]
        for s in snapshot["slab"]
    ]


if __name__ == "__main__":
    rows = {json.dumps(r): None for name in sys.argv[1:] for r in rows_of(Path(name))}
    fields = json.dumps(["cpus", "nodes", *FIELDS, "ctor", "names"])
    print("[", ",\n".join([fields, *rows]), "]", sep="\n")

#!/usr/bin/env python3
"""A recording made small enough to be kept with the tests:
`strip_capture.py FROM TO [--slab | --vmalloc]`.

FROM and TO are folders. What memsim's page replay and slow_paths.py do not read is left out: lines
of other events (those kept are kept byte for byte), and the snapshots' `slab` and `vmalloc`
sections; with --slab those of the slab allocator are kept. With --vmalloc only vmalloc's are kept:
its events, the frees of its structs, by which a purge shows how far it is, and its section; `slab`
is empty, and the last snapshot has the pages of the first, as no event of theirs is there. The
window and the counts in meta.json are made to fit. Everything else stays as it was recorded.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from memsim.replay.rows.forms import LINE
from memsim.replay.rows.ftrace import EVENT_NAMES, KINDS
from memsim.replay.rows.unxz import lines
from memsim.replay.rows.vmalloc_fields import VMALLOC_EVENTS

#: Not read by the replay, but by slow_paths.py.
SLOW_PATHS = frozenset({
    "mark_victim", "mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end",
    "mm_vmscan_lru_shrink_inactive", "mm_vmscan_wakeup_kswapd", "reclaim_retry_zone",
})  # fmt: skip
#: By option: the events to keep, what the snapshots have instead of their sections; None: nothing.
KEPT: dict[str, tuple[frozenset[str], dict[str, list[Any] | None]]] = {
    "": (frozenset(EVENT_NAMES) | SLOW_PATHS, {"slab": None, "vmalloc": None}),
    "--slab": (frozenset(KINDS) - frozenset(VMALLOC_EVENTS), {"vmalloc": None}),
    "--vmalloc": (frozenset(VMALLOC_EVENTS), {"slab": []}),
}
SNAPSHOTS = ("snapshot_start.json.xz", "snapshot_end.json.xz")
STRUCT_FREED = " name=vmap_area\n"


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument not in KEPT]
    option = next((argument for argument in sys.argv[1:] if argument in KEPT), "")
    if len(arguments) != 2 or len(sys.argv) > 4:
        print(__doc__, file=sys.stderr)
        return 2
    source, target = Path(arguments[0]), Path(arguments[1])
    target.mkdir(parents=True, exist_ok=True)
    meta = json.loads((source / "meta.json").read_bytes())
    _pack(target / "trace.txt.xz", "".join(strip_trace(source / "trace.txt.xz", meta, option)))
    (target / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    start, end = (_read(source / name) for name in SNAPSHOTS)
    if option == "--vmalloc":
        end = start | {key: end[key] for key in ("phase", "trace_position", "vars", "vmalloc")}
    for name, snapshot in zip(SNAPSHOTS, (start, end), strict=True):
        _pack(target / name, strip_snapshot(snapshot, option))
    print(f"{target}: {sum(path.stat().st_size for path in target.iterdir()) >> 10} KiB")
    return 0


def strip_trace(path: Path, meta: dict[str, Any], option: str) -> Iterator[str]:
    """The lines to keep. meta's window and counts become theirs when all have been taken."""
    window = meta["window"]
    wanted, _ = KEPT[option]
    read, kept, kinds = Counter[int](), Counter[int](), Counter[str]()
    first, last = ([0] * len(window["first"]) for _ in range(2))
    for line in lines(path):
        if line.startswith("#"):
            if "entries-written" not in line:
                yield line
            continue
        match = LINE.match(line)
        if match is None:
            raise SystemExit(f"{path}: {line!r}")
        cpu, name = int(match[2]), match[5]
        before, behind = read[cpu] < window["first"][cpu], read[cpu] < window["last"][cpu]
        read[cpu] += 1
        if name in wanted or (option == "--vmalloc" and line.endswith(STRUCT_FREED)):
            yield line
            kept[cpu] += 1
            first[cpu] += before
            last[cpu] += behind
            kinds[name] += behind and not before
    meta["stripped"] = "of all events but those the page replay reads; see tools/strip_capture.py"
    meta["window"] |= {"first": first, "last": last}
    meta["trace_lines_per_cpu"] = {str(cpu): kept[cpu] for cpu in sorted(read)}
    meta["events_in_window"] = sum(kinds.values())
    meta["events_by_kind"] = dict(kinds.most_common())
    meta.pop("trace_header", None)


def _read(path: Path) -> dict[str, Any]:
    snapshot: dict[str, Any] = json.loads(lzma.decompress(path.read_bytes()))
    return snapshot


def strip_snapshot(snapshot: dict[str, Any], option: str) -> str:
    _, instead = KEPT[option]
    kept = {key: instead.get(key, value) for key, value in snapshot.items()}
    kept = {key: value for key, value in kept.items() if value is not None}
    return json.dumps(kept, separators=(",", ":"))


def _pack(path: Path, text: str) -> None:
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    sys.exit(main())

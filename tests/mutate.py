"""Captures spoilt on purpose, by seed, and `memsim replay` run on them.

    python tests/mutate.py --seeds 0:1000 [--jobs 2] [--keep FOLDER]

Each seed is one mutation of tests/data/captures/net_loopback. Each replay is a forked process, so
that its exit status, its stderr and its peak memory (ru_maxrss, with what it got by the fork) are
its own. The outcome is printed as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from memsim import cli  # noqa: E402
from memsim.replay.rows import unxz  # noqa: E402

BASE = ROOT / "tests" / "data" / "captures" / "net_loopback"
START, END, TRACE = "snapshot_start.json.xz", "snapshot_end.json.xz", "trace.txt.xz"
MAX_RSS_MB = 500
TIMEOUT = 120

WEIRD: tuple[Any, ...] = (
    -1, 0, 1, 2, 7, 77, 4095, 1 << 24, (1 << 24) + 1, 1 << 31, 1 << 40, 1 << 63, 1 << 64, 10**300,
    -(1 << 70), 0.5, float("nan"), float("inf"), None, True, "", "x", "a\nb\x1b[31m", "\ud800",
    "0xffffea0000000000", [], [0], [[]], {}, {"a": 1}, [1] * 50, [-1, -1], "9" * 5000,
)  # fmt: skip


@dataclass
class Spoilt:
    """A capture in memory. `raw` replaces a file's bytes; None there takes the file away."""

    meta: Any
    start: Any
    end: Any
    lines: list[str]
    raw: dict[str, bytes | None] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        files = {
            "meta.json": lambda: json.dumps(self.meta).encode(),
            START: lambda: pack(json.dumps(self.start).encode()),
            END: lambda: pack(json.dumps(self.end).encode()),
            TRACE: lambda: pack("".join(self.lines).encode("utf-8", "surrogatepass")),
        }
        for name, make in files.items():
            data = self.raw[name] if name in self.raw else make()
            if data is not None:
                (folder / name).write_bytes(data)


Mutation = Callable[[Spoilt, random.Random], None]
MUTATIONS: list[Mutation] = []
#: These have the most to find, and come three times as often.
OFTEN = ("hostile_trace", "hostile_events_one_by_one", "weird_value", "weird_allocator_value")


def mutation(function: Mutation) -> Mutation:
    MUTATIONS.extend([function] * (3 if function.__name__ in OFTEN else 1))
    return function


def pack(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def load(base: Path = BASE) -> Spoilt:
    start, end = (json.loads(unxz.contents(base / name, 1 << 24)) for name in (START, END))
    meta = json.loads((base / "meta.json").read_bytes())
    return Spoilt(meta, start, end, list(unxz.lines(base / TRACE)))


# Places


def nodes_of(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a JSON value; of long lists only some."""
    found: list[tuple[Any, Any]] = []
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys if len(keys) <= 40 else [*keys][:20]:
        found.append((tree, key))
        if isinstance(tree[key], dict | list):
            found += nodes_of(tree[key], (*path, key))
    return found


def some_snapshot(spoilt: Spoilt, rng: random.Random) -> Any:
    return rng.choice((spoilt.start, spoilt.start, spoilt.end))


def some_zone(spoilt: Spoilt, rng: random.Random) -> Any:
    return spoilt.start["nodes"][0]["zones"][rng.choice((0, 1, 1, 1, 2))]


def lists_of(zone: Any) -> list[list[int]]:
    """All free lists and pcp lists of a zone."""
    lists = [pages for area in zone.get("free_area", []) for pages in area]
    return lists + [pages for pcp in zone.get("pcp", []) for pages in pcp["lists"]]


def events_at(spoilt: Spoilt) -> list[int]:
    return [i for i, line in enumerate(spoilt.lines) if not line.startswith("#")]


def make_it_fit(spoilt: Spoilt) -> None:
    """Times in order, and meta.json's counts as they are: only the replay itself can refuse it."""
    at = events_at(spoilt)
    counts = [0] * spoilt.start["nr_cpus"]
    for i, index in enumerate(at):
        before, _, behind = spoilt.lines[index].partition("] ")
        counts[int(before[-3:])] += 1
        flags, _, rest = behind.strip().partition(" ")
        text = rest.partition(": ")[2]
        spoilt.lines[index] = f"{before}] {flags} {10 + i / 1000:12.6f}: {text}".rstrip("\n") + "\n"
    spoilt.meta["window"] |= {"first": [0] * len(counts), "last": counts}
    spoilt.meta["trace_lines_per_cpu"] = {str(cpu): nr for cpu, nr in enumerate(counts)}


# Files


@mutation
def missing_file(spoilt: Spoilt, rng: random.Random) -> None:
    spoilt.raw[rng.choice(("meta.json", START, END, TRACE))] = None


@mutation
def garbage_file(spoilt: Spoilt, rng: random.Random) -> None:
    data = rng.choice((b"", rng.randbytes(rng.randrange(1, 5000)), b"\0" * 100, b"{", b"null"))
    data = data if rng.random() < 0.5 else pack(data)
    spoilt.raw[rng.choice(("meta.json", START, END, TRACE))] = data


@mutation
def cut_xz(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, TRACE))
    data = (BASE / name).read_bytes()
    spoilt.raw[name] = data[: rng.randrange(len(data))]


@mutation
def flip_xz_bytes(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, TRACE))
    spoilt.raw[name] = flipped((BASE / name).read_bytes(), rng)


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


@mutation
def xz_with_a_tail(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, TRACE))
    data = (BASE / name).read_bytes()
    spoilt.raw[name] = data + rng.choice((data, b"\0\0\0\0", b"garbage"))


@mutation
def xz_bomb(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, TRACE))
    line = spoilt.lines[-1].encode()
    unit = rng.choice((b"\0", b"[", b"[],", b" ", b"#\n", b"\n", b"{", line, line, b"9", b'"a",'))
    packer = lzma.LZMACompressor(preset=rng.choice((0, 0, 0, 9)))
    block = unit * ((1 << 20) // len(unit))
    size = rng.choice((20, 64, 200, 500))
    spoilt.raw[name] = b"".join([packer.compress(block) for _ in range(size)] + [packer.flush()])


@mutation
def json_bomb(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, "meta.json"))
    unit = rng.choice((b"[]", b"{}", b"1000", b'"ab"', b"1e5", b'{"a":0}', b"[[[[]]]]", b"1"))
    number = rng.choice((100_000, 700_000, 2_000_000, 8_000_000))
    data = b'{"nodes":[' + (unit + b",") * number + unit + b"]}"
    spoilt.raw[name] = data if name == "meta.json" else pack(data)


@mutation
def xz_that_wants_a_large_dictionary(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, TRACE))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 4096}]
    data = bytearray(lzma.compress(unxz.contents(BASE / name, 1 << 24), filters=filters))
    at = data.index(b"\x21\x01")  # LZMA2, one byte of properties: the dictionary's size
    data[at + 2] = rng.choice((37, 38, 39, 40))
    header_end = 12 + 4 * (data[12] + 1)
    crc = _crc32(bytes(data[12 : header_end - 4]))
    data[header_end - 4 : header_end] = crc.to_bytes(4, "little")
    spoilt.raw[name] = bytes(data)


def _crc32(data: bytes) -> int:
    import zlib

    return zlib.crc32(data)


# Text of the trace and of the snapshots


@mutation
def flip_text_bytes(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, TRACE, TRACE, TRACE))
    spoilt.raw[name] = pack(flipped(unxz.contents(BASE / name, 1 << 24), rng))


@mutation
def cut_text(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, TRACE, TRACE))
    data = unxz.contents(BASE / name, 1 << 24)
    spoilt.raw[name] = pack(data[: rng.randrange(len(data))])


@mutation
def replace_a_number(spoilt: Spoilt, rng: random.Random) -> None:
    """Any number of a snapshot's or the meta's text becomes another literal."""
    name = rng.choice((START, START, END, "meta.json"))
    text = unxz.contents(BASE / name, 1 << 24).decode()
    at = rng.choice([i for i, char in enumerate(text) if char.isdigit()])
    end = at
    while end < len(text) and text[end].isdigit():
        end += 1
    literal = rng.choice(
        ("-1", "1e999", "NaN", "-Infinity", "9" * 4000, "9" * 6000, "0.1", "null", "[" * 9999)
    )
    changed = (text[:at] + literal + text[end:]).encode()
    spoilt.raw[name] = changed if name == "meta.json" else pack(changed)


@mutation
def deep_nesting(spoilt: Spoilt, rng: random.Random) -> None:
    name = rng.choice((START, END, "meta.json"))
    depth = rng.choice((100, 5000, 1_000_000))
    unit = rng.choice(("[", '{"a":'))
    data = (unit * depth).encode()
    spoilt.raw[name] = data if name == "meta.json" else pack(data)


@mutation
def long_line(spoilt: Spoilt, rng: random.Random) -> None:
    index = rng.choice(events_at(spoilt))
    unit = rng.choice(("x", " zone=0x1", "0", " ", "[000]", "\0"))
    length = rng.choice((500, 2000, 8000, 10_000_000))
    spoilt.lines[index] = spoilt.lines[index][:-1] + unit * (length // len(unit)) + "\n"


@mutation
def lines_deleted_doubled_or_moved(spoilt: Spoilt, rng: random.Random) -> None:
    what = rng.randrange(4)
    for _ in range(rng.choice((1, 1, 5, 200))):
        a, b = rng.choices(events_at(spoilt), k=2)
        if what == 0:
            del spoilt.lines[a]
        elif what == 1:
            spoilt.lines.insert(b, spoilt.lines[a])
        elif what == 2:
            spoilt.lines[a], spoilt.lines[b] = spoilt.lines[b], spoilt.lines[a]
        else:
            a, b = sorted((a, b))
            rest = spoilt.lines[a:b]
            rng.shuffle(rest)
            spoilt.lines[a:b] = rest
    if rng.random() < 0.6:
        make_it_fit(spoilt)


@mutation
def other_lines(spoilt: Spoilt, rng: random.Random) -> None:
    texts = (
        "CPU:0 [LOST 12 EVENTS]\n", "\r\n", "\0\n", "é\ud800\n", "[000]\n", ": :\n", "-1 [0]\n",
        "a-" + "9" * 5000 + " [000] ..... 1.0: mm_page_free: \n",
        "a-1 [" + "9" * 5000 + "] ..... 1.0: mm_page_free: \n",
        "a-1 [511] ..... 1.0: x: \n", "a-1 [000] ..... " + "9" * 400 + ".0: x: \n",
    )  # fmt: skip
    spoilt.lines.insert(rng.choice(events_at(spoilt)), rng.choice(texts))


@mutation
def numbers_in_lines(spoilt: Spoilt, rng: random.Random) -> None:
    """Fields of some lines become what no kernel prints."""
    numbers = ("77", "-1", "0x0", "0x" + "f" * 16, "0x" + "f" * 40, "9" * 19, "9" * 5000, "0xzz",
               "", "nan", "1_0", "11", "10", "0x3ffff", "GFP_KERNEL|__GFP_WHAT", "0x7")  # fmt: skip
    for _ in range(rng.choice((1, 3, 50))):
        index = rng.choice(events_at(spoilt))
        words = spoilt.lines[index].rstrip("\n").split(" ")
        places = [i for i, word in enumerate(words) if "=" in word]
        if places:
            at = rng.choice(places)
            words[at] = words[at].split("=")[0] + "=" + rng.choice(numbers)
            spoilt.lines[index] = " ".join(words) + "\n"


# Traces that are well formed, and hostile


def block_for(rng: random.Random, wild: bool) -> tuple[int, int]:
    """(pfn, order) such as a kernel could print; wild: or not."""
    order = rng.choice((0, 0, 0, 1, 3, 5, 9, 10))
    pfn = rng.choice((rng.randrange(262109), rng.randrange(0xD800, 0xDC00), 0, 1, 4095))
    pfn = min(pfn, 261120) & -(1 << order)
    if wild and rng.random() < 0.05:
        order = rng.choice((11, 77))
    if wild and rng.random() < 0.05:
        pfn = rng.choice((pfn + 1, 262109, 1 << 24, (1 << 52) - 1))
    return pfn, order


def hostile_event(spoilt: Spoilt, rng: random.Random, wild: bool) -> str:
    """`name: fields` of a random event."""
    pfn, order = block_for(rng, wild)
    return rng.choice((page_event, input_event, compaction_event))(spoilt, rng, wild, pfn, order)


def page_event(spoilt: Spoilt, rng: random.Random, wild: bool, pfn: int, order: int) -> str:
    flags = ["GFP_KERNEL", "GFP_HIGHUSER_MOVABLE", "GFP_ATOMIC", "GFP_DMA", "none", "GFP_NOWAIT",
             "GFP_KERNEL|__GFP_THISNODE", "GFP_NOWAIT|__GFP_MEMALLOC",
             "GFP_KERNEL|__GFP_RECLAIMABLE"]  # fmt: skip
    flags += ["0x1ffffff", "__GFP_DMA|__GFP_HIGHMEM"] if wild else []
    mt = rng.randrange(5 + wild)
    got = f"page={0xFFFFEA0000000000 + pfn * 64:016x} pfn={pfn:#x}"
    if rng.random() < 0.2:
        got = f"page={0:016x} pfn=0x0"
    return rng.choice((
        f"mm_page_alloc: {got} order={order} migratetype={mt} gfp_flags={rng.choice(flags)}",
        f"mm_page_alloc: {got} order={order} migratetype={mt} gfp_flags={rng.choice(flags)}",
        f"mm_page_free: page=1 pfn={pfn:#x} order={order}",
        f"mm_page_free: page=1 pfn={pfn:#x} order={order}",
        f"mm_page_free_batched: page=1 pfn={pfn:#x} order=0",
        f"mm_lru_insertion: folio=1 pfn={pfn:#x} lru=0 flags=Ma bd ",
        f"mm_page_pcpu_drain: page=1 pfn={pfn:#x} order={order} migratetype={mt}",
    ))  # fmt: skip


def input_event(spoilt: Spoilt, rng: random.Random, wild: bool, pfn: int, order: int) -> str:
    node = spoilt.start["nodes"][0]
    zone = rng.choice(node["zones"])["addr"]
    pgdat = node["addr"]
    if wild and rng.random() < 0.1:
        zone, pgdat = pgdat, "0xffff888000000000"
    nr = rng.choice((-1, 0, 1, 4, 100, 5000, *((70000, 1 << 40) if wild else ())))
    gfp = rng.randrange(1 << 25) if wild else rng.choice((0xCC0, 0x140DCA, 0x820, 0x2DC2, 0x1))
    aflags = rng.choice((0x840, 0x241, 0x4, 0xFFFFFFFF, 0x8, 0x3F0, 0xB30))
    nid = int(wild and rng.random() < 0.1)
    mt = rng.randrange(5 + wild)
    return rng.choice((
        f"direct: (x+0) zone={zone} pfn={pfn:#x} order={order} fpi={rng.randrange(4)}",
        f"bulk: (x+0) gfp={gfp:#x} nid=0 nr={nr} list=0x0",
        f"bulk_ret: (x <- y) nr={nr} ret={max(nr, 0)}",
        "refresh: (x+0) do=1", f"decay: (x+0) zone={zone}", f"drain_zone: (x+0) zone={zone}",
        f"drain_pages: (x+0) cpu={nid} zone={zone}",
        f"apn: (x+0) gfp={gfp:#x} order={order} nid={nid}",
        f"gpf: (x+0) gfp={gfp:#x} order={order} aflags={aflags:#x}",
        f"balance: (x+0) pgdat={pgdat} order={order} hzi={rng.choice((0, 3, 99))}",
        "balance_ret: (x <- y) ret=0", "mm_vmscan_kswapd_wake: nid=0 order=0",
        f"mm_vmscan_kswapd_sleep: nid={nid}",
        f"movepb: (x+0) zone={zone} start={pfn:#x} old=3 new={mt}",
        f"setpb: (x+0) flags={rng.randrange(16):#x} pfn={pfn:#x} mask={rng.choice((7, 8)):#x}",
    ))  # fmt: skip


def compaction_event(spoilt: Spoilt, rng: random.Random, wild: bool, pfn: int, order: int) -> str:
    page = 0xFFFFEA0000000000 + pfn * 64
    other = rng.randrange(262109)
    span = f"range=({pfn:#x} ~ {other:#x}) nr_scanned=1 nr_taken={rng.randrange(64)}"
    caller = rng.choice(("isolate_freepages_block", "fast_isolate_freepages"))
    return rng.choice((
        f"mm_compaction_try_to_compact_pages: order={order} gfp_mask=GFP_KERNEL priority=0",
        f"gpf: (x+0) gfp=0xcc0 order={order} aflags=0x840",
        f"isolate: (x+0) page={page:#x} order={order}",
        f"isolate_ret: ({caller}+0x1 <- x) ret={rng.choice((0, 1 << min(order, 10)))}",
        f"putback: (x+0) page={page:#x} order={order} mt={rng.randrange(5 + wild)}",
        f"mm_compaction_begin: zone_start=0x1000 migrate_pfn={pfn:#x} free_pfn={other:#x} "
        "zone_end=0x3ffdd, mode=sync",
        "mm_compaction_end: zone_start=0x1000",
        f"mm_compaction_finished: node=0 zone=DMA32    order={rng.choice((-1, 0, order, 9))} "
        f"ret={rng.choice(('continue', 'continue', 'success'))}",
        f"mm_compaction_isolate_migratepages: {span}", f"mm_compaction_isolate_freepages: {span}",
        f"mm_compaction_fast_isolate_freepages: {span}",
        "mm_compaction_migratepages: nr_migrated=1 nr_failed=0",
    ))  # fmt: skip


def hostile_lines(spoilt: Spoilt, rng: random.Random, wild: bool) -> list[str]:
    lines = []
    kinds = rng.choice(("", "", "", "mm_comp", "isolat", "mm_page_free", "bulk", "gpf", "mm_page"))
    for _ in range(rng.choice((10, 300, 3000, 9000))):
        text = hostile_event(spoilt, rng, wild)
        if kinds in text or rng.random() < 0.3:
            flags = rng.choice((".....", ".....", "..s2.", "d.h2."))
            cpu = rng.randrange(spoilt.start["nr_cpus"])
            lines.append(f"{'x':>16}-{rng.randrange(4):<7} [{cpu:03d}] {flags} 1.0: {text}\n")
    return lines


@mutation
def hostile_trace(spoilt: Spoilt, rng: random.Random) -> None:
    """Random events between the recorded ones, or instead of them."""
    if rng.random() < 0.5:
        del spoilt.lines[events_at(spoilt)[rng.randrange(1, 200)] :]
    at = len(spoilt.lines) if rng.random() < 0.5 else rng.choice(events_at(spoilt))
    spoilt.lines[at:at] = hostile_lines(spoilt, rng, rng.random() < 0.2)
    make_it_fit(spoilt)


@mutation
def hostile_events_one_by_one(spoilt: Spoilt, rng: random.Random) -> None:
    lines = hostile_lines(spoilt, rng, False)
    at = events_at(spoilt)
    for line in lines:
        spoilt.lines.insert(rng.choice(at), line)
    make_it_fit(spoilt)


@mutation
def hostile_trace_of_a_strange_machine(spoilt: Spoilt, rng: random.Random) -> None:
    possible_but_strange(spoilt, rng)
    hostile_trace(spoilt, rng)


@mutation
def hostile_trace_of_two_cpus(spoilt: Spoilt, rng: random.Random) -> None:
    spoilt.start["nr_cpus"] = 2
    for zone in spoilt.start["nodes"][0]["zones"] + spoilt.end["nodes"][0]["zones"]:
        for name in ("pcp", "percpu_stat"):
            if zone.get(name):
                zone[name].append(json.loads(json.dumps(zone[name][0])))
        for pcp in zone.get("pcp", [])[1:]:
            pcp |= {"count": 0, "lists": [[] for _ in pcp["lists"]]}
    hostile_trace(spoilt, rng)


@mutation
def hostile_trace_of_a_large_machine(spoilt: Spoilt, rng: random.Random) -> None:
    """64 GiB, all free from where the recorded machine ends, and who takes it in bulk."""
    zone = spoilt.start["nodes"][0]["zones"][1]
    pages = (1 << 24) - zone["zone_start_pfn"]
    zone |= {"spanned_pages": pages, "present_pages": pages, "managed_pages": pages}
    blocks = range(1 << 18, 1 << 24, 1 << 10)
    zone["free_area"][10][1] += blocks
    zone["vm_stat"]["NR_FREE_PAGES"] += len(blocks) << 10
    types = spoilt.start["pageblocks"]["blocks"]
    types[:] = [block for block in types if block[0] < 1 << 18]
    types += [[pfn, 1, 0] for pfn in range(1 << 18, 1 << 24, 1 << 9)]
    del spoilt.lines[events_at(spoilt)[0] :]
    nr = 1 << 14
    for _ in range(40 * rng.randrange(4)):
        spoilt.lines += [
            f"x-1 [000] ..... 1.0: bulk: (x+0) gfp=0x2dc2 nid=0 nr={nr} list=0x0\n",
            f"x-1 [000] ..... 1.0: bulk_ret: (x <- y) nr={nr} ret={nr}\n",
        ]
    for pfn in range(1 << 20, 1 << 24, 1 << rng.randrange(6, 14)):
        spoilt.lines.append(
            f"x-{pfn % 1000} [000] ..... 1.0: mm_page_alloc: page=1 pfn={pfn:#x} order=0 "
            "migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE\n"
        )
    make_it_fit(spoilt)


@mutation
def frees_doubled(spoilt: Spoilt, rng: random.Random) -> None:
    """Frees again, with other orders, of pages that are free or somebody else's."""
    for index in reversed(events_at(spoilt)):
        line = spoilt.lines[index]
        if "mm_page_free:" in line and rng.random() < 0.3:
            order = rng.choice((0, 1, 2, 3, 5, 9, 10))
            pfn = int(line.split("pfn=")[1].split()[0], 16) & -(1 << order)
            again = f"{line.split('page=')[0]}page=0 pfn={pfn:#x} order={order}\n"
            spoilt.lines.insert(index + rng.randrange(3), again)
    make_it_fit(spoilt)


# Values of the snapshots and of meta.json


@mutation
def weird_value(spoilt: Spoilt, rng: random.Random) -> None:
    tree = rng.choice((spoilt.start, spoilt.start, spoilt.start, spoilt.end, spoilt.meta))
    container, key = rng.choice(nodes_of(tree))
    container[key] = rng.choice(WEIRD)


@mutation
def weird_allocator_value(spoilt: Spoilt, rng: random.Random) -> None:
    """As weird_value(), where the page allocator looks."""
    zone = some_zone(spoilt, rng)
    container, key = rng.choice(nodes_of(rng.choice((zone, zone, spoilt.start["vars"]))))
    container[key] = rng.choice(WEIRD)


@mutation
def key_or_entry_gone(spoilt: Spoilt, rng: random.Random) -> None:
    tree = rng.choice((spoilt.start, some_zone(spoilt, rng), spoilt.end, spoilt.meta))
    container, key = rng.choice(nodes_of(tree))
    del container[key]


@mutation
def entry_doubled(spoilt: Spoilt, rng: random.Random) -> None:
    places = [(c, k) for c, k in nodes_of(some_snapshot(spoilt, rng)) if isinstance(c, list)]
    container, key = rng.choice(places)
    container.insert(rng.randrange(len(container) + 1), container[key])


@mutation
def other_shape(spoilt: Spoilt, rng: random.Random) -> None:
    nodes = spoilt.start["nodes"]
    spoilt.start |= rng.choice((
        {"nr_cpus": rng.choice((0, 2, 512, 513))}, {"nodes": []}, {"nodes": nodes * 2},
        {"nodes": nodes * 64, "nr_cpus": 512}, {"pageblocks": {"blocks": []}},
        {"pageblock_order": rng.choice((0, 1, 4, 8, 10, 11))}, {"page_kinds": {"runs": []}},
        {"config": {"cma": True}}, {"vmemmap_base": rng.choice(("", "0x1", "-0x1", "zz"))},
    ))  # fmt: skip


@mutation
def window_or_name(spoilt: Spoilt, rng: random.Random) -> None:
    spoilt.meta["name"] = rng.choice(("a\nb", "\x1b]0;x\x07", "\ud800", "x" * 10**5, 7, None, "é"))
    window = spoilt.meta["window"]
    window[rng.choice(("first", "last"))] = rng.choice((
        [], [0], [-1], [10**9], [10**400], [0, 0], ["0"], [None], None, {}, [1] * 600,
        window["last"],
    ))  # fmt: skip


@mutation
def lists_mixed_up(spoilt: Spoilt, rng: random.Random) -> None:
    """A page on two lists, on the wrong list, twice on one list, or not aligned."""
    zone = some_zone(spoilt, rng)
    lists = lists_of(zone) or [[]]
    for _ in range(rng.choice((1, 1, 4))):
        source, target = rng.choice([pages for pages in lists if pages] or [[1]]), rng.choice(lists)
        page = rng.choice(source)
        what = rng.randrange(4)
        if what == 0:
            target.append(page)
        elif what == 1:
            source.remove(page)
            target.insert(0, page)
        elif what == 2:
            source[0] = page + rng.choice((-1, 1, 512, -(10**6)))
        else:
            source.reverse()


@mutation
def zone_moved(spoilt: Spoilt, rng: random.Random) -> None:
    zone = some_zone(spoilt, rng)
    name = rng.choice(("zone_start_pfn", "spanned_pages", "present_pages", "managed_pages"))
    near = (zone[name] - 1, zone[name] + 1)
    zone[name] = rng.choice((0, 1, 100, 4096, 5000, 262109, 1 << 24, *near))


@mutation
def possible_but_strange(spoilt: Spoilt, rng: random.Random) -> None:
    """Numbers within bounds that no boot would give: the model has to cope."""
    zone = spoilt.start["nodes"][0]["zones"][1]
    numbers = (0, 1, 2, 63, 1000, 200_000, 1 << 20)
    for name in ("watermark_boost", "nr_reserved_highatomic", "flags", "percpu_drift_mark"):
        if rng.random() < 0.3:
            zone[name] = rng.choice(numbers)
    for pcp in zone["pcp"]:
        for name in ("high", "high_min", "high_max", "batch", "free_count", "flags"):
            if rng.random() < 0.4:
                pcp[name] = rng.choice(numbers[1:5])
    for name in zone["watermark"]:
        if rng.random() < 0.4:
            zone["watermark"][name] = rng.choice(numbers)
    for pages in lists_of(zone):
        rng.shuffle(pages)


# Running


@dataclass
class Ran:
    """What one replay did."""

    seed: int
    mutation: str
    status: int
    seconds: float
    rss_mb: float
    stdout: str
    stderr: str

    def faults(self) -> list[str]:
        """What is wrong with it; empty when all is well."""
        lines = self.stderr.splitlines()
        one_line = len(lines) == 1 and lines[0].startswith("memsim: ")
        checks = (
            (self.status in (0, 1, 2), f"exit {self.status}"),
            ("Traceback" not in self.stderr, "traceback"),
            (self.status != 2 or one_line, "not one line"),
            (self.status != 2 or not self.stdout, "output besides the error"),
            (self.status == 2 or not lines, "stderr without an error"),
            (self.rss_mb < MAX_RSS_MB, f"{self.rss_mb:.0f} MB"),
        )  # fmt: skip
        return [fault for good, fault in checks if not good]


def spoil(seed: int, folder: Path) -> str:
    """Write the mutation of this seed; its name."""
    rng = random.Random(seed)
    spoilt = load()
    chosen = MUTATIONS[seed % len(MUTATIONS)]
    chosen(spoilt, rng)
    spoilt.write(folder)
    return chosen.__name__


def run(seed: int) -> Ran:
    """Spoil a capture and replay it, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="memsim-") as name:
        folder = Path(name)
        capture = folder / "capture"
        capture.mkdir()
        what = spoil(seed, capture)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _replay(capture, folder, ["--json"] if seed % 2 else [])
        _, status, usage = os.wait4(child, 0)
        seconds = time.monotonic() - started
        texts = [(folder / stream).read_text(errors="replace") for stream in ("stdout", "stderr")]
        code = os.waitstatus_to_exitcode(status)
        return Ran(seed, what, code, seconds, usage.ru_maxrss / 1024, *texts)


def _replay(capture: Path, folder: Path, arguments: list[str]) -> None:
    """In the child: as `memsim replay` would, and never back."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    signal.alarm(TIMEOUT)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    status = 1
    try:
        status = cli.main(["replay", *arguments, str(capture)])
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def summary(runs: list[Ran], seconds: float) -> dict[str, Any]:
    bad = [(r.seed, r.mutation, r.faults(), r.stderr[-1500:]) for r in runs if r.faults()]
    slowest = max(runs, key=lambda r: r.seconds)
    largest = max(runs, key=lambda r: r.rss_mb)
    return {
        "mutations": len(runs),
        "exits": dict(sorted(Counter(r.status for r in runs).items())),
        "max_rss_mb": round(largest.rss_mb, 1),
        "max_rss_of": [largest.seed, largest.mutation],
        "slowest_seconds": round(slowest.seconds, 1),
        "slowest": [slowest.seed, slowest.mutation],
        "seconds": round(seconds, 1),
        "bad": bad,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0:60")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="write the first seed's capture here, and stop")
    parser.add_argument("--all", action="store_true", help="print every run")
    options = parser.parse_args()
    first, last = map(int, options.seeds.split(":"))
    if options.keep:
        shutil.rmtree(options.keep, ignore_errors=True)
        options.keep.mkdir(parents=True)
        print(spoil(first, options.keep))
        return 0
    started = time.monotonic()
    seeds = range(first, last)
    with ProcessPoolExecutor(options.jobs) as pool:
        runs = list(pool.map(run, seeds, chunksize=5))
    for r in runs if options.all else []:
        numbers = f"exit {r.status} {r.seconds:.1f} s {r.rss_mb:.0f} MB"
        print(r.seed, r.mutation, numbers, r.stderr.strip())
    result = summary(runs, time.monotonic() - started)
    print(json.dumps(result))
    return 1 if result["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())

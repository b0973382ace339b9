"""Recorded slab objects replayed: exact, in the open and in the closed loop; and bad recordings."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from memsim import cli
from memsim.mm.restore import Field, restore
from memsim.mm.slub.restore import restore_slab
from memsim.mm.slub.slab import Random
from memsim.mm.slub.snapshot import cache_lists
from memsim.replay.outcome import Outcome, replay_capture
from memsim.replay.pages.misses import NO_SLAB, OBJECT_NOT_FREED
from memsim.replay.rows.inputs import Kind
from memsim.replay.rows.slab_fields import slab_values, word_of
from memsim.trace.trace import Trace
from memsim.words.errors import BadInput

DATA = Path(__file__).parent / "data"
SMALL = DATA / "slab" / "net_loopback"
WITHOUT_SLAB = DATA / "captures" / "net_loopback"
MEMMAP = 0xFFFFEA0000000000


def altered(folder: Path, change: Callable[[list[str]], None], **snapshots: Any) -> Path:
    """A copy of the recording whose trace, or a snapshot, is another."""
    folder.mkdir()
    for path in SMALL.iterdir():
        if path.suffix != ".columns":
            (folder / path.name).write_bytes(path.read_bytes())
    lines = lzma.decompress((SMALL / "trace.txt.xz").read_bytes()).decode().splitlines(True)
    before = len(lines)
    change(lines)
    assert len(lines) == before
    (folder / "trace.txt.xz").write_bytes(lzma.compress("".join(lines).encode(), preset=0))
    for name, snapshot in snapshots.items():
        packed = lzma.compress(json.dumps(snapshot).encode(), preset=0)
        (folder / f"{name}.json.xz").write_bytes(packed)
    return folder


def snapshot_of(name: str) -> Any:
    return json.loads(lzma.decompress((SMALL / f"{name}.json.xz").read_bytes()))


def nothing(_lines: list[str]) -> None:
    """The trace stays as it is."""


@pytest.fixture(scope="module", params=[False, True], ids=["open", "closed"])
def outcome(request: pytest.FixtureRequest) -> Outcome:
    return replay_capture(SMALL, closed=request.param)


def test_every_object_every_cache_and_every_page_is_the_kernels(outcome: Outcome) -> None:
    assert outcome.slab is not None
    assert outcome.slab.requests == outcome.slab.exact > 20_000
    assert outcome.caches.equal == outcome.caches.total > 100
    assert outcome.all_exact


def test_each_request_is_told_by_one_rule(outcome: Outcome) -> None:
    slab = outcome.slab
    assert slab is not None
    told = slab.rules.total() - slab.rules["large kmalloc"] - slab.rules["no such cache"]
    assert told == slab.requests
    assert slab.put_right == 0


def test_new_slabs_ask_for_what_the_kernels_asked_for(outcome: Outcome) -> None:
    assert outcome.slab is not None
    assert not [note for note in outcome.slab.notes if note.startswith("page requests")]


def test_recorded_slabs_have_no_obj_ext_arrays() -> None:
    """No cgroup besides the root is there, and no slab asks kmalloc() for one while it is made."""
    key = "key:memcg_kmem_online_key"
    assert [snapshot_of(f"snapshot_{end}")["vars"][key] for end in ("start", "end")] == [0, 0]
    lines = lzma.decompress((SMALL / "trace.txt.xz").read_bytes()).decode().splitlines()
    order = [
        line.partition(": ")[2].partition(":")[0]
        for line in lines
        if " newslab" in line or " kmalloc: " in line
    ]
    assert order.count("newslab") == order.count("newslab_ret") > 10
    for event, following in pairwise(order):
        assert event != "newslab" or following == "newslab_ret"


def test_a_recording_without_slab_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(WITHOUT_SLAB)]) == 0
    assert "not in this recording" in capsys.readouterr().out
    with pytest.raises(BadInput, match="neither slab nor vmalloc: there is no loop to close"):
        replay_capture(WITHOUT_SLAB, closed=True)


def test_closed_goes_with_captures_only(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["replay", str(SMALL / "trace.txt.xz"), "--proc", str(DATA / "proc"), "--closed"]
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert "--closed goes with a capture" in said
    assert said.count("\n") == 1


def test_another_answer_is_a_miss_and_the_replay_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed: list[int] = []

    def change(lines: list[str]) -> None:
        for index, line in enumerate(lines[20_000:], 20_000):
            if " kmem_cache_alloc: " in line and "bytes_req=192 " in line:
                pointer = line.partition(" ptr=")[2].split(" ")[0]
                # an address where no slab is
                lines[index] = line.replace(pointer, "ffff888000001000")
                changed.append(index + 1)
                return

    folder = altered(tmp_path / "altered", change)
    outcome = replay_capture(folder)
    slab = outcome.slab
    assert slab is not None
    assert slab.first_miss is not None
    assert slab.first_miss.line == changed[0]
    assert 0 < slab.requests - slab.exact < 20
    assert not outcome.all_exact
    assert outcome.pages_exact
    assert slab.causes[NO_SLAB] == 1
    assert slab.causes.total() == slab.requests - slab.exact
    assert cli.main(["replay", str(folder)]) == 1
    said = capsys.readouterr().out
    assert f"  misses, by cause:\n          1 object   {NO_SLAB}\n" in said
    assert "(100.00 %)" not in said.partition("slab objects")[2]


def test_an_object_whose_free_is_missing_is_no_earlier_miss(tmp_path: Path) -> None:
    """Its free, right before the request that gets it again, is taken out of the trace."""
    changed: list[int] = []

    def change(lines: list[str]) -> None:
        for index, (line, after) in enumerate(pairwise(lines)):
            pointer = line.partition(" ptr=")[2].partition(" ")[0]
            if " kmem_cache_free: " in line and f" ptr={pointer} bytes_req=" in after:
                lines[index] = line.replace("kmem_cache_free: ", "mm_not_read: ")
                changed.append(index + 2)
                return

    slab = replay_capture(altered(tmp_path / "altered", change)).slab
    assert slab is not None
    assert slab.first_miss is not None
    assert slab.first_miss.line == changed[0]
    # the kernel gave it again and again
    assert slab.causes[OBJECT_NOT_FREED] > 1


def test_the_json_form_has_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "--json", str(SMALL)]) == 0
    slab = json.loads(capsys.readouterr().out)["slab"]
    assert slab["requests"] == slab["exact"]
    assert slab["first_miss"] is None
    caches, each = slab["caches"], slab["each_cache"]
    assert caches["total"] == caches["equal"] == caches["all_exact"] == caches["all_exact_equal"]
    assert len(each) == caches["total"]
    assert sum(cache["requests"] for cache in each.values()) == slab["requests"]
    assert each["filp"]["requests"] == each["filp"]["exact"] > 100
    assert each["filp"]["equal"] is True


@pytest.mark.parametrize("closed", [[], ["--closed"]], ids=["open", "closed"])
@pytest.mark.parametrize("event", ["kmem_cache_alloc", "kmalloc", "newslab"])
@pytest.mark.parametrize("node", ["77", "1", "-2"])
def test_a_node_that_the_machine_has_not_is_named(
    event: str, node: str, closed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed: list[int] = []

    def change(lines: list[str]) -> None:
        index = next(i for i, line in enumerate(lines[500:], 500) if f" {event}: " in line)
        lines[index] = re.sub(r" node=-?\d+", f" node={node}", lines[index])
        changed.append(index + 1)

    folder = altered(tmp_path / "altered", change)
    assert cli.main(["replay", str(folder), *closed]) == 2
    trace = folder / "trace.txt.xz"
    said = f"memsim: {trace}: line {changed[0]}: node {node} is not in the snapshot\n"
    assert capsys.readouterr().err == said


def test_a_cache_without_a_miss_that_ends_otherwise_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = snapshot_of("snapshot_end")
    filp = next(cache for cache in end["slab"] if cache["name"] == "filp")
    filp["cpu"][0]["tid"] += 1
    folder = altered(tmp_path / "altered", nothing, snapshot_end=end)
    assert cli.main(["replay", str(folder)]) == 1
    said = capsys.readouterr().out
    tid = filp["cpu"][0]["tid"]
    assert f"    filp: no miss, but cpu[0].tid: expected {tid}, got {tid - 1}" in said
    assert cli.main(["replay", "--json", str(folder)]) == 1
    slab = json.loads(capsys.readouterr().out)["slab"]
    assert slab["caches"]["all_exact_equal"] == slab["caches"]["all_exact"] - 1
    assert [name for name, cache in slab["each_cache"].items() if not cache["equal"]] == ["filp"]


def test_what_a_snapshot_tells_is_told_back() -> None:
    for name in ("snapshot_start", "snapshot_end"):
        snapshot = snapshot_of(name)
        vm = restore(snapshot, Trace(mask=0))
        caches = restore_slab(vm, Field(snapshot["slab"], "slab"), Random(0))
        for told, s in zip(snapshot["slab"], caches.values(), strict=True):
            assert cache_lists(s) == {"cpu": told["cpu"], "node": told["node"]}


def _with(path: list[str | int], value: Any) -> Any:
    snapshot = snapshot_of("snapshot_start")
    inner = snapshot["slab"]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return snapshot


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ([0, "addr"], "rubbish", "slab[0].addr: 'rubbish' is not an address"),
        ([0, "size"], 0, "slab[0].size: 0 is not between 1"),
        ([0, "name"], 7, "slab[0].name: should be a cache's name"),
        ([0, "oo_objects"], 10**9, "slab[0].oo_objects: 1000000000 is not between"),
        ([0, "random_seq"], [1], "slab[0].random_seq: should be empty or the offsets of"),
        ([0, "cpu", 0, "tid"], 5, "slab[0].cpu[0].tid: 5 is none of this CPU"),
        ([0, "cpu", 0, "freelist"], [0, 0], "slab[0].cpu[0].freelist: has an object twice"),
        ([0, "cpu", 0, "freelist"], [10**6], "slab[0].cpu[0].freelist: [0] should be a number"),
        ([0, "cpu"], [], "slab[0].cpu: should be a list of 1 to 1"),
        ([0, "full_slabs"], [0], "slab[0].full_slabs[0]: pfn 0x0 is in no zone"),
        ([0, "node", 0, "nr_slabs"], 77, "slab[0].node[0].nr_slabs: 77 is not between"),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused_in_one_line(
    tmp_path: Path, path: list[str | int], value: Any, said: str
) -> None:
    folder = altered(tmp_path / "bad", nothing, snapshot_start=_with(path, value))
    with pytest.raises(BadInput) as refused:
        replay_capture(folder)
    assert "snapshot_start.json.xz: " + said in str(refused.value)


def test_fields_of_slab_events() -> None:
    site = "site+0x1/0x2"
    alloc = f"call_site={site} ptr=ffff888000001040 bytes_req=40 bytes_alloc=64 "
    text = alloc + "gfp_flags=GFP_NOWAIT node=1 accounted=true"
    assert slab_values(Kind.kmalloc, text, MEMMAP) == [
        0xFFFF888000001040, word_of(site), 40, 64, 0x2000 | 0x800, 3,
    ]  # fmt: skip
    text = f"call_site={site} ptr=(null)"
    assert slab_values(Kind.kfree, text, MEMMAP) == [0, word_of(site), 0, 0]
    purge = "reclaim_list_global.part.0+0x2cf/0x5f0"
    text = f"call_site={purge} ptr=ffff888000001000 name=vmap_area"
    assert slab_values(Kind.kmem_cache_free, text, MEMMAP) == [
        0xFFFF888000001000, word_of(purge), word_of("vmap_area"), 1,
    ]  # fmt: skip
    text = "(free_bulk+0x4/0x20) s=0x0 size=2 p={0xffff888000001000,0xffff888000002000,0x0}"
    assert slab_values(Kind.bulk_free, text, MEMMAP) == [
        0, 2, 0, 0, 0, 0, 0xFFFF888000001000, 0xFFFF888000002000,
    ]  # fmt: skip
    text = f"(___slab_alloc+0x7c0/0xc80 <- allocate_slab) slab={MEMMAP + 64 * 5:#x}"
    assert slab_values(Kind.newslab_ret, text, MEMMAP) == [5]


@pytest.mark.parametrize("kind", [k for k in Kind if Kind.kmem_cache_alloc <= k < Kind.flushcpu])
def test_rubbish_has_no_fields(kind: Kind) -> None:
    for text in ("", "rubbish", "call_site= ptr= bytes_req=", "s=0x size=", "ptr=zz name=x"):
        assert slab_values(kind, text, MEMMAP) is None

"""A trace and copies of /proc, without a snapshot: what is counted, compared, said and refused."""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proc_texts import recorded

from memsim import cli
from memsim.mm.mmzone import PG_INUSE, page_zone
from memsim.mm.validate import validate
from memsim.proc.machine import machine_from_proc
from memsim.replay.inexact.run import NR_SAMPLES, InexactOutcome, replay_trace
from memsim.replay.rows.unxz import line_lists

DATA = Path(__file__).parent / "data"
TREE_WALK = DATA / "captures" / "tree_walk" / "trace.txt.xz"
SMALL = DATA / "traces"
HEAD = "              wl-152     [000] .....    24.442168: "


def copies(tmp_path: Path, capture: str) -> Path:
    """A folder with a recorded machine's /proc texts of both ends."""
    folder = tmp_path / f"proc_{capture}"
    folder.mkdir()
    for name, text in recorded().items():
        if name.startswith(f"{capture}/"):
            (folder / name.partition("/")[2]).write_text(text)
    return folder


def trace_of(tmp_path: Path, *events: str) -> Path:
    """A trace of these events, `name: fields`."""
    path = tmp_path / "trace.txt"
    path.write_text("".join(f"{HEAD}{event}\n" for event in events))
    return path


def alloc(pfn: int, order: int = 0, flags: str = "GFP_KERNEL") -> str:
    return f"mm_page_alloc: page=1 pfn={pfn:#x} order={order} migratetype=0 gfp_flags={flags}"


def free(pfn: int, order: int = 0) -> str:
    return f"mm_page_free: page=1 pfn={pfn:#x} order={order}"


def replayed(trace: Path, folder: Path, seed: int = 0) -> InexactOutcome:
    """The outcome; the machine must be sound afterwards."""
    machine, _ = machine_from_proc(folder, seed=seed, steps=False)
    outcome = replay_trace(trace, machine.vm, seed=seed)
    validate(machine.vm)
    return outcome


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli.main(["replay", *map(str, arguments)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that is said."""
    assert cli.main(["replay", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err[:-1].isprintable()
    return said.err.removeprefix("memsim: ").rstrip("\n")


# What is counted


def counted() -> dict[str, Counter[str]]:
    """Words of the trace's lines, found by splitting them."""
    found: dict[str, Counter[str]] = {"kind": Counter(), "order": Counter(), "type": Counter()}
    for lines in line_lists(TREE_WALK):
        for line in lines:
            if not line.startswith("#"):
                _, name, fields = line.split(": ", 2)
                found["kind"][name] += 1
                if name == "mm_page_alloc":
                    words = dict(word.split("=") for word in fields.split())
                    found["order"][words["order"]] += 1
                    found["type"][words["migratetype"]] += 1
                if name == "mm_page_free":
                    found["order"]["free " + fields.split("order=")[1]] += 1
    return found


@pytest.fixture(scope="module")
def tree_walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, InexactOutcome]:
    folder = copies(tmp_path_factory.mktemp("tree_walk"), "tree_walk")
    return folder, replayed(TREE_WALK, folder)


def test_what_the_trace_holds_is_counted(tree_walk: tuple[Path, InexactOutcome]) -> None:
    outcome, lines = tree_walk[1], counted()
    counts = outcome.counts
    assert counts.requests == lines["kind"]["mm_page_alloc"] == 21_251
    assert counts.frees == lines["kind"]["mm_page_free"] == 569
    orders = {str(order): nr for order, nr in counts.orders.items()}
    orders |= {f"free {order}": nr for order, nr in counts.order_frees.items()}
    assert orders == lines["order"]
    assert {str(mt): nr for mt, nr in counts.migratetypes.items()} == lines["type"]
    assert counts.zones.total() == counts.requests - counts.failed
    assert counts.zones_in_memsim.total() == counts.requests - counts.failed_in_memsim
    for kind, stream in outcome.streams.items():
        assert stream.total == lines["kind"][kind.name]


def test_memory_is_looked_at_over_time(tree_walk: tuple[Path, InexactOutcome]) -> None:
    samples = tree_walk[1].samples
    assert len(samples) == NR_SAMPLES + 1
    assert [s.row for s in samples] == sorted({s.row for s in samples})
    assert [s.time for s in samples] == sorted(s.time for s in samples)
    for zone in samples[-1].zones:
        assert len(zone.nr_free) == 11
        assert all(0 <= index <= 1000 for index in zone.unusable)


def test_no_page_comes_from_nowhere_or_is_lost(tree_walk: tuple[Path, InexactOutcome]) -> None:
    """Free pages fall by what memsim gave and rise by what was freed in it."""
    outcome = tree_walk[1]
    free_pages = [
        sum(zone.free_pages + zone.pcp_pages for zone in sample.zones)
        for sample in (outcome.samples[0], outcome.samples[-1])
    ]
    assert outcome.none_left == 0
    assert {key for key in outcome.notes if "free" in key} <= {
        "frees of pages that memsim does not have"
    }
    left_out = outcome.notes["frees of pages that memsim does not have"]
    assert left_out == outcome.untraced
    assert outcome.counts.failed == outcome.counts.failed_in_memsim == 0
    given = outcome.counts.nr_pages
    assert free_pages[0] - given + outcome.counts.nr_pages_freed - left_out == free_pages[1]


def test_a_seed_draws_always_the_same(tree_walk: tuple[Path, InexactOutcome]) -> None:
    folder, outcome = tree_walk
    again, other = replayed(TREE_WALK, folder), replayed(TREE_WALK, folder, seed=7)
    assert again.samples == outcome.samples
    assert other.counts.orders == outcome.counts.orders
    assert other.samples != outcome.samples


def test_every_text_form_gives_the_same_replay(tmp_path: Path) -> None:
    """Where the clock counts no seconds, no vmstat worker runs."""
    folder = copies(tmp_path, "mixed_smp")
    expected = replayed(SMALL / "tracefs.txt", folder)
    assert expected.counts.failed == 2
    for path in sorted(SMALL.glob("*.txt")):
        outcome = replayed(path, folder)
        assert outcome.counts == expected.counts
        same = [s.zones for s in outcome.samples] == [s.zones for s in expected.samples]
        assert (path.name, same) == (path.name, path.name != "counter.txt")


# Pages that the trace never saw allocated


def test_a_page_in_use_before_has_a_stand_in(tmp_path: Path) -> None:
    """As many pages of the same zone become free, wherever they are, and never the kernel's own."""
    folder = copies(tmp_path, "fork_exec")
    machine, _ = machine_from_proc(folder, seed=3, steps=False)
    in_use = [state & PG_INUSE for state in machine.vm.page_state]
    trace = trace_of(tmp_path, free(5000), free(20_000, 2), free(70_001), free(79_872, 4))
    outcome = replay_trace(trace, machine.vm, seed=3)
    before, after = outcome.samples[0].zones[1], outcome.samples[-1].zones[1]
    pages = 1 + 4 + 1 + 16
    assert after.free_pages + after.pcp_pages == before.free_pages + before.pcp_pages + pages
    assert (outcome.stood_in, outcome.none_left, outcome.untraced) == (4, 0, 0)
    freed = [
        pfn for pfn, was in enumerate(in_use) if was and not machine.vm.page_state[pfn] & PG_INUSE
    ]
    assert len(freed) == pages
    assert {page_zone(machine.vm, pfn).name for pfn in freed} == {"DMA32"}  # type: ignore[union-attr]
    validate(machine.vm)


def test_pages_that_lie_together_have_stand_ins_that_do(tmp_path: Path) -> None:
    """A hundred pages in a row, freed one by one, merge to few blocks."""
    folder = copies(tmp_path, "fork_exec")
    machine, _ = machine_from_proc(folder, seed=0, steps=False)
    in_use = bytes(state & PG_INUSE for state in machine.vm.page_state)
    replay_trace(trace_of(tmp_path, *(free(65_536 + k) for k in range(400))), machine.vm)
    freed = [
        pfn for pfn, was in enumerate(in_use) if was and not machine.vm.page_state[pfn] & PG_INUSE
    ]
    assert len(freed) == 400
    assert freed[-1] - freed[0] < 4 * 400


def test_a_page_freed_twice_was_allocated_untraced(tmp_path: Path) -> None:
    """A bulk request gave it: nothing is freed for it, as nothing was taken."""
    folder = copies(tmp_path, "fork_exec")
    locked = "mm_page_alloc_zone_locked: page=1 pfn=0x3000 order=0 migratetype=0 percpu_refill=1"
    drained = "mm_page_pcpu_drain: page=1 pfn=0x4000 order=1 migratetype=0"
    trace = trace_of(
        tmp_path, alloc(0x2000), free(0x2000), free(0x2000), locked, free(0x3000), drained,
        free(0x4001),
    )  # fmt: skip
    outcome = replayed(trace, folder)
    assert (outcome.stood_in, outcome.untraced) == (0, 3)


def test_more_frees_than_pages_in_use_are_told(tmp_path: Path) -> None:
    """The zone DMA has 32 pages in use that the allocator manages."""
    folder = copies(tmp_path, "fork_exec")
    trace = trace_of(tmp_path, *(free(pfn) for pfn in range(1, 101)))
    outcome = replayed(trace, folder)
    assert (outcome.stood_in, outcome.none_left) == (32, 68)


def test_failures_of_both_sides(tmp_path: Path) -> None:
    """The kernel refused one that memsim can serve; memsim cannot serve 64 of what it was asked."""
    folder = copies(tmp_path, "fork_exec")
    refused_one = "mm_page_alloc: page=(null) pfn=0 order=3 migratetype=0 gfp_flags=GFP_KERNEL"
    many = [alloc(0x10000 + 1024 * k, 10) for k in range(100)] * 3
    outcome = replayed(trace_of(tmp_path, refused_one, *many), folder)
    counts = outcome.counts
    assert (counts.failed, counts.failed_orders) == (1, {3: 1})
    assert counts.failed_in_memsim == 300 - (194 + 3)
    assert set(counts.failed_orders_in_memsim) == {10}


# What is said


def test_the_text_says_first_that_placement_is_not_exact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = command(capsys, TREE_WALK, "--proc", copies(tmp_path, "tree_walk"), "--seed", 5)
    lines = said.splitlines()
    assert lines[1].startswith("Placement is not exact: no snapshot tells where blocks lay. ")
    assert "drawn by seed 5" in lines[1]
    assert re.search(r"^  requests             21251 \(\d+/s\), \d+ pages$", said, re.M)
    assert re.search(r"^  frees                \d+ \(\d+/s\), \d+ pages$", said, re.M)
    assert said.count("not known: ") == 5
    assert said.count("at the end, Node 0 ") == 2
    assert re.search(r"^ +time +free +on pcp +0 +1 ", said, re.M)


def test_the_last_state_is_compared_with_the_recorded_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the numbers of the text; without a copy of the end there is no comparison."""
    folder = copies(tmp_path, "tree_walk")
    said = command(capsys, TREE_WALK, "--proc", folder)
    recorded_line = (folder / "end_buddyinfo.txt").read_text().splitlines()[1].split()[4:]
    end = said[said.index("at the end, Node 0 DMA32") :]
    rows = {line.split()[0]: [int(n) for n in line.split()[1:]] for line in end.splitlines()[1:4]}
    assert rows["recorded"][1:] == [int(n) for n in recorded_line]
    assert rows["difference"] == [
        ours - theirs for ours, theirs in zip(rows["memsim"], rows["recorded"], strict=True)
    ]
    (folder / "end_buddyinfo.txt").unlink()
    assert "at the end" not in command(capsys, TREE_WALK, "--proc", folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("DMA32", "Normal"), "line 2: Node 0, zone Normal: zoneinfo has"),
        (lambda text: text.splitlines(True)[1], "it has no Node 0, zone DMA; are the files of one"),
        (lambda text: text.replace(" \n", " 9999 \n"), "line 1: Node 0, zone DMA: 12 orders"),
        (lambda text: text.replace("     3 ", "     3999 ", 1), "free pages, but 3840 managed"),
    ],
    ids=range(4),
)
def test_a_last_state_of_another_machine_is_refused(
    change: Callable[[str], str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copies(tmp_path, "tree_walk")
    end = folder / "end_buddyinfo.txt"
    end.write_text(change(end.read_text()))
    said = refused(capsys, TREE_WALK, "--proc", folder)
    assert said.startswith(f"{end}: ")
    assert says in said


def test_the_json_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copies(tmp_path, "tree_walk")
    said: dict[str, Any] = json.loads(command(capsys, TREE_WALK, "--proc", folder, "--json"))
    assert (said["exact"], said["seed"], said["requests"]["total"]) == (False, 0, 21_251)
    assert len(said["samples"]) == NR_SAMPLES + 1
    assert [zone["zone"] for zone in said["end"]] == ["DMA", "DMA32"]
    assert all(len(zone["recorded_nr_free"]) == 11 for zone in said["end"])
    assert 10 < said["seconds_covered"] < 100


def test_doubts_about_the_trace_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.txt"
    lines = (SMALL / "counter.txt").read_text().splitlines(keepends=True)
    lines[3], lines[4] = lines[4], lines[3]
    head = "# entries-in-buffer/entries-written: 47/90   #P:2\n"
    path.write_text(
        head + "CPU:0 [LOST 12 EVENTS]\n" + "".join(lines).replace("GFP_KERNEL", "0xcc0")
    )
    said = command(capsys, path, "--proc", copies(tmp_path, "mixed_smp"))
    assert "  12 events are missing in the trace" in said
    assert "  43 events at its beginning were overwritten" in said
    assert "  1 lines are earlier than the line above" in said
    assert "its clock counts 322 ticks of unknown length: no rates" in said
    assert "/s)" not in said


def test_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (SMALL / "perf_callchain.txt").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    said = command(capsys, "-", "--proc", copies(tmp_path, "mixed_smp"))
    assert said.startswith("-: 47 events, 47 of pages, ")


# What is refused


def test_a_trace_alone_is_told_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    for trace in (TREE_WALK, "-"):
        said = refused(capsys, trace)
        assert said.startswith(f"{trace}: a trace does not tell the state it began in: add --proc")


def test_a_capture_needs_no_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copies(tmp_path, "tree_walk")
    said = refused(capsys, TREE_WALK.parent, "--proc", folder)
    assert said.endswith("a folder; --proc goes with a trace, a capture needs none")


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (alloc(1 << 30), "pfn 0x40000000 is in no zone of the copies of /proc: are both of one"),
        (free(0x3FFDD), "pfn 0x3ffdd is in no zone of the copies of /proc"),
        (free(0), "pfn 0x0 is in no zone of the copies of /proc"),
        (free(1 << 62), "pfn 0x4000000000000000 is in no zone of the copies of /proc"),
        (free(5000, 99), "order 99 is above MAX_PAGE_ORDER"),
        (free(5000, 11), "order 11 is above MAX_PAGE_ORDER"),
        (alloc(5000, 99), "order 99 is above MAX_PAGE_ORDER"),
        (free(5001, 1), "pfn 0x1389 is not aligned to order 1"),
        (alloc(5000, 0, "0x3"), "gfp_mask 0x3 has forbidden zone or mobility bits"),
        (alloc(5000, 0, "GFP_NONE"), "mm_page_alloc: unknown gfp flag 'GFP_NONE'"),
        (alloc(5000).replace("type=0", "type=99"), "migratetype 99: a request has 0 to 2"),
        (alloc(5000).replace("page_", "p\xff\0ge_", 1), "not a trace line: "),
        (alloc(5000).replace("alloc: ", "alloc\0: ", 1), "not a trace line: "),
        (alloc(5000).replace("alloc: ", "alloc\xff ", 1), "not a trace line: "),
        ("\xff", "not a trace line: "),
    ],
    ids=range(15),
)
def test_events_that_cannot_be_name_their_line(
    event: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the trace is of another machine than the copies."""
    trace = trace_of(tmp_path, alloc(5000), event)
    said = refused(capsys, trace, "--proc", copies(tmp_path, "fork_exec"))
    assert said.startswith(f"{trace}: line 2: {what}")


def test_a_cpu_that_the_machine_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, SMALL / "tracefs.txt", "--proc", copies(tmp_path, "fork_exec"))
    assert re.search(r": line \d+: CPU 1 is not in the copies of /proc", said)


def test_a_trace_without_page_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copies(tmp_path, "fork_exec")
    for events in ((), ("kfree: call_site=x ptr=0",)):
        said = refused(capsys, trace_of(tmp_path, *events), "--proc", folder)
        assert said.endswith("no page event in it: record kmem:mm_page_alloc and kmem:mm_page_free")


def test_a_folder_without_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no zoneinfo" in refused(capsys, TREE_WALK, "--proc", tmp_path)
    assert "not a folder" in refused(capsys, TREE_WALK, "--proc", tmp_path / "nowhere")
    folder = copies(tmp_path, "fork_exec")
    (folder / "end_buddyinfo.txt").write_text("nonsense\n")
    assert "end_buddyinfo.txt: line 1" in refused(capsys, TREE_WALK, "--proc", folder)


def test_traces_spoilt_by_seed_are_refused_or_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events of random pages, orders and flags, some of which cannot be."""
    folder = copies(tmp_path, "fork_exec")
    replayed_ones = 0
    for seed in range(60):
        rng = random.Random(seed)
        wild = seed % 3 == 0
        trace = trace_of(tmp_path, *(hostile_event(rng, wild) for _ in range(300)))
        status = cli.main(["replay", str(trace), "--proc", str(folder), "--seed", str(seed)])
        said = capsys.readouterr()
        assert status in ((0, 2) if wild else (0,)), said.err
        assert status == 0 or re.match(r"memsim: \S+: line \d+: [ -~]+\n$", said.err)
        replayed_ones += status == 0
    assert replayed_ones >= 40


def mutations(seeds: str) -> dict[str, Any]:
    """Each is replayed in one process of their own, whose peak memory counts."""
    command = [sys.executable, str(Path(__file__).parent / "mutate_traces.py"), "--seeds", seeds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.stderr == ""
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def test_a_hundred_mutations_are_refused_or_replayed() -> None:
    outcome = mutations("0:100")
    assert outcome["bad"] == []
    assert set(outcome["exits"]) == {"0", "2"}


@pytest.mark.long
def test_five_thousand_mutations_are_refused_or_replayed() -> None:
    outcome = mutations("1000:6000")
    print(outcome)
    assert outcome["bad"] == []


def hostile_event(rng: random.Random, wild: bool) -> str:
    order = rng.choice((0, 0, 0, 0, 1, 3, 9, 10))
    pfn = rng.choice((rng.randrange(1024, 261_000), rng.randrange(0xD800, 0xDC00))) & -(1 << order)
    if wild and rng.random() < 0.01:
        pfn, order = rng.choice(((0, 0), (1 << 40, 0), (pfn, 11), (pfn | 1, 1)))
    flags = rng.choice(("GFP_KERNEL", "GFP_HIGHUSER_MOVABLE", "GFP_ATOMIC", "GFP_DMA", "none"))
    page = f"page=1 pfn={pfn:#x}"
    return rng.choice((
        alloc(pfn, order, flags), alloc(pfn, order, flags), free(pfn, order), free(pfn, order),
        f"mm_page_free_batched: {page} order=0", f"mm_lru_insertion: folio=1 pfn={pfn:#x} lru=1",
        f"mm_page_pcpu_drain: {page} order={order} migratetype={rng.randrange(7)}",
        f"mm_page_alloc_zone_locked: {page} order={order} migratetype=1 percpu_refill=1",
    ))  # fmt: skip

"""Recorded kernels replayed: exact, explained where not, and no recorded pfn gets in."""

from __future__ import annotations

import itertools
import json
import lzma
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memsim import cli
from memsim.replay.outcome import replay_capture
from memsim.replay.pages.misses import PAGE_ELSEWHERE, PAGE_NOT_FREED
from memsim.replay.pages.requests import Requests
from memsim.replay.report import as_json, as_text
from memsim.replay.rows import unxz
from memsim.replay.rows.forms import LINE

CAPTURES = Path(__file__).parent / "data" / "captures"
NAMES = sorted(folder.name for folder in CAPTURES.iterdir())
SMALL = CAPTURES / "net_loopback"
ALLOC = re.compile(r" mm_page_alloc: page=(\w+) pfn=(0x\w+) order=0 ")
#: Events that say what becomes of a page; renamed with it.
FOLLOWS = ("mm_page_free:", "mm_page_free_batched:", "mm_lru_insertion:", "direct:")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_replays_exactly(name: str) -> None:
    """Every request, every list in its order, every counter, every tracepoint."""
    outcome = replay_capture(CAPTURES / name)
    recorded = json.loads((CAPTURES / name / "meta.json").read_text())
    result = outcome.result
    assert outcome.all_exact
    assert (result.exact, result.first_miss) == (result.requests, None)
    assert outcome.events == recorded["events_in_window"]
    assert result.requests == recorded["events_by_kind"]["mm_page_alloc"]
    for what, tally in outcome.comparison.tallies().items():
        assert (what, tally.equal, tally.differences) == (what, tally.total, [])
        assert tally.total > 0
    for kind, stream in outcome.streams.items():
        assert (kind, stream.equal) == (kind, stream.total)
        assert stream.total == recorded["events_by_kind"].get(kind.name, 0)


# The command


def test_the_command_prints_a_table_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(SMALL)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "page requests        2192 of 2192 exact (100.00 %)" in said.out
    assert "first miss" not in said.out


def test_the_json_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "--json", str(SMALL)]) == 0
    said = json.loads(capsys.readouterr().out)
    named = ["capture", "kernel", "events", "seconds", "inputs", "page_alloc", "slab", "vmalloc"]
    assert list(said) == [*named, "misses"]
    assert said["slab"] is None
    assert said["misses"] == []
    assert (said["capture"], said["events"]) == ("net_loopback", 6528)
    assert said["kernel"].startswith("6.12.")
    assert isinstance(said["seconds"], float)
    assert said["inputs"]["mm_page_alloc"] == 2192
    assert all(type(count) is int for count in said["inputs"].values())
    page_alloc = said["page_alloc"]
    numbers = (page_alloc["requests"], page_alloc["exact"], page_alloc["first_miss"])
    assert numbers == (2192, 2192, None)
    for what in ("free_lists", "pcp_lists", "counters", "pageblocks"):
        assert page_alloc[what]["equal"] == page_alloc[what]["total"] > 0


# Altered recordings


class Altered:
    """A copy of a capture in which lines of the trace may be rewritten."""

    def __init__(self, folder: Path, source: Path = SMALL) -> None:
        self.folder = folder / "altered"
        shutil.copytree(source, self.folder)
        self.lines = list(unxz.lines(self.folder / "trace.txt.xz"))

    def write(self) -> Path:
        packed = lzma.compress("".join(self.lines).encode(), preset=0)
        (self.folder / "trace.txt.xz").write_bytes(packed)
        return self.folder

    def requests(self) -> list[int]:
        """Indexes of the lines that are requests of order 0 that got a page."""
        found = [(i, ALLOC.search(line)) for i, line in enumerate(self.lines)]
        return [i for i, match in found if match and match[1].strip("0")]

    def rename(self, index: int, new: int) -> int:
        """Another pfn for the answer in this line, and wherever that page is spoken of later."""
        match = ALLOC.search(self.lines[index])
        assert match is not None
        old = match[2]
        self._put(index, old, new)
        for i in range(index + 1, len(self.lines)):
            words = self.lines[i].split()
            if f"pfn={old}" in words and any(name in words for name in FOLLOWS):
                self._put(i, old, new)
            elif f"pfn={old}" in words and "mm_page_alloc:" in words:
                break
        return int(old, 16)

    def _put(self, index: int, old: str, new: int) -> None:
        self.lines[index] = re.sub(rf"\bpfn={old} ", f"pfn={new:#x} ", self.lines[index])


def unused_pfns() -> Iterator[int]:
    """Pfns that the recording never speaks of: far up in DMA32."""
    return itertools.count(0x30000)


def test_an_answer_that_differs_is_a_miss_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Altered(tmp_path)
    index = altered.requests()[1000]
    recorded = altered.rename(index, 0x30000)
    nr_before = sum(" mm_page_alloc: " in line for line in altered.lines[: index + 1])
    window = json.loads((SMALL / "meta.json").read_text())["window"]
    nr_outside = sum(
        " mm_page_alloc: " in line
        for line in [line for line in altered.lines if line[0] != "#"][: window["first"][0]]
    )
    folder = altered.write()
    assert cli.main(["replay", "--json", str(folder)]) == 1
    said = json.loads(capsys.readouterr().out)
    page_alloc = said["page_alloc"]
    assert page_alloc["exact"] == page_alloc["requests"] - 1
    assert said["misses"] == [{"of": "page", "cause": PAGE_ELSEWHERE, "count": 1}]
    miss = page_alloc["first_miss"]
    assert (miss["expected"], miss["got"]) == (0x30000, recorded)
    assert (miss["line"], miss["request"]) == (index + 1, nr_before - nr_outside)
    flags = altered.lines[index].split("gfp_flags=")[1].strip()
    assert (miss["order"], miss["cpu"], miss["gfp_flags"]) == (0, 0, flags)
    assert any(line.startswith("DMA32: free ") for line in miss["around"])


def test_a_page_whose_free_is_missing_is_no_earlier_miss(tmp_path: Path) -> None:
    altered = Altered(tmp_path)
    lines = altered.lines
    for index, line in enumerate(lines):
        pfn = line.partition(" pfn=")[2].partition(" ")[0]
        is_free = " mm_page_free: " in line and line.endswith("order=0\n")
        if is_free and f" pfn={pfn} order=0" in lines[index + 1]:
            lines[index] = line.replace("mm_page_free: ", "mm_not_read: ")
            break
    outcome = replay_capture(altered.write())
    assert outcome.result.first_miss is not None
    assert outcome.result.first_miss.line == index + 2
    assert outcome.result.causes[PAGE_NOT_FREED] == 1


def test_the_explanation_is_for_people_too(tmp_path: Path) -> None:
    altered = Altered(tmp_path)
    index = altered.requests()[7]
    recorded = altered.rename(index, 0x30000)
    text = as_text(replay_capture(altered.write()))
    assert f"line {index + 1} of the trace" in text
    assert f"the kernel gave pfn 0x30000, memsim pfn {recorded:#x}" in text
    assert f"  misses, by cause:\n          1 page   {PAGE_ELSEWHERE}\n" in text


def test_a_last_state_that_differs_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Altered(tmp_path)
    path = altered.folder / "snapshot_end.json.xz"
    end: Any = json.loads(lzma.decompress(path.read_bytes()))
    zone = end["nodes"][0]["zones"][1]
    pages = next(pages for area in zone["free_area"] for pages in area if len(pages) > 1)
    pages.reverse()
    zone["pcp"][0]["high"] += 1
    path.write_bytes(lzma.compress(json.dumps(end).encode(), preset=0))
    assert cli.main(["replay", str(altered.write())]) == 1
    said = capsys.readouterr().out
    assert "free_lists     109 of 110 equal" in said
    assert "counters       33 of 34 equal" in said
    assert re.search(r"pcp\[0\] high: expected (\d+), got (\d+)", said)


def answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], dict[str, Any]]:
    """memsim's answer to every request, and the whole last state's comparison."""
    given: list[int] = []
    compare = Requests._compare

    def noted(self: Requests, row: int, page: int, *rest: int) -> None:
        given.append(page)
        compare(self, row, page, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Requests, "_compare", noted)
        outcome = replay_capture(folder)
    return given, as_json(outcome)["page_alloc"]


def test_no_recorded_pfn_enters_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth recorded answer is another pfn: memsim's answers and last state stay."""
    clean, outcome = answers(SMALL, monkeypatch)
    altered = Altered(tmp_path)
    unused = unused_pfns()
    renamed = [altered.rename(index, next(unused)) for index in altered.requests()[::10]]
    got, spoilt = answers(altered.write(), monkeypatch)
    assert len(renamed) == 146
    assert got == clean
    assert spoilt["exact"] == outcome["exact"] - len(renamed)
    for what in ("free_lists", "pcp_lists", "counters", "pageblocks"):
        assert spoilt[what] == outcome[what]


def test_pfns_of_answers_that_nothing_speaks_of_later_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inconsistent on purpose: the pfn of the answer alone is replaced, by one already in use."""
    clean, _ = answers(SMALL, monkeypatch)
    altered = Altered(tmp_path)
    last = [i for i in altered.requests() if spoken_of_last(altered.lines, i)][:10]
    in_use = next(ALLOC.search(altered.lines[i])[2] for i in last)  # type: ignore[index]
    for i in last:
        match = ALLOC.search(altered.lines[i])
        assert match is not None
        altered._put(i, match[2], int(in_use, 16))
    got, _ = answers(altered.write(), monkeypatch)
    assert len(last) == 10
    assert got == clean


def spoken_of_last(lines: list[str], index: int) -> bool:
    """Is this line the last that names its page?"""
    match = ALLOC.search(lines[index])
    assert match is not None
    return not any(f"pfn={match[2]} " in line for line in lines[index + 1 :])


def test_pfns_of_the_tracepoints_on_the_way_are_only_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, _ = answers(SMALL, monkeypatch)
    altered = Altered(tmp_path)
    nr = 0
    for i, line in enumerate(altered.lines):
        if " mm_page_pcpu_drain: " in line or " mm_page_alloc_zone_locked: " in line:
            altered.lines[i] = re.sub(r"\bpfn=0x\w+ ", "pfn=0x77 ", line)
            nr += 1
    got, spoilt = answers(altered.write(), monkeypatch)
    assert nr > 1900
    assert got == clean
    assert spoilt["tracepoints"]["mm_page_pcpu_drain"]["equal"] == 0
    assert spoilt["exact"] == spoilt["requests"]


def test_lost_events_are_told_and_nothing_is_called_exact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Altered(tmp_path)
    altered.lines.insert(500, "CPU:0 [LOST 7 EVENTS]\n")
    folder = altered.write()
    assert cli.main(["replay", str(folder)]) == 1
    assert "  7 events are missing in the trace: it cannot be exact" in capsys.readouterr().out
    assert cli.main(["replay", "--json", str(folder)]) == 1
    assert json.loads(capsys.readouterr().out)["lost"] == 7


# Refusals that name file and line


def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that `memsim replay` says."""
    assert cli.main(["replay", str(folder)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err.removeprefix(f"memsim: {folder}/").rstrip("\n")


def test_lines_missing_doubled_or_out_of_order_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Altered(tmp_path)
    whole = altered.lines
    end = len(whole)
    altered.lines = whole[:-1]
    said = refused(altered.write(), capsys)
    said_window = "CPU 0 has 6527 lines; meta.json's window is 0 to 6528"
    assert said == f"trace.txt.xz: line {end - 1}: {said_window}"
    altered.lines = [*whole, whole[-1]]
    said = refused(altered.write(), capsys)
    assert said == f"trace.txt.xz: line {end + 1}: CPU 0 has 6529 lines; meta.json tells 6528"
    altered.lines = [*whole[:500], whole[900], *whole[501:900], whole[500], *whole[901:]]
    assert refused(altered.write(), capsys).startswith("trace.txt.xz: line 502: its time, ")
    altered.lines = [*whole[:-1], whole[-1][:40]]
    assert refused(altered.write(), capsys).startswith(
        f"trace.txt.xz: line {end}: cut off, it has no end: "
    )


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ("mm_page_free: page=1 pfn=0x1 order=11", "order 11 is above MAX_PAGE_ORDER"),
        ("mm_page_free: page=1 pfn=0x3 order=1", "pfn 0x3 is not aligned to order 1"),
        ("mm_page_free: page=1 pfn=0x40000 order=0", "pfn 0x40000 is not in the snapshot"),
        ("mm_page_free: page=1 order=0", "mm_page_free without its fields"),
        ("mm_page_free: page=1 pfn=0x1 order=" + "9" * 999, "a number of over 64 bits"),
        ("decay: (x+0) zone=0x1234", "zone 0x1234 is not in the snapshot"),
        ("mm_vmscan_kswapd_wake: nid=1 order=0", "node 1 is not in the snapshot"),
        ("mm_page_alloc: page=1 pfn=0x1 order=0 migratetype=0 gfp_flags=GFP_X", "unknown gfp flag"),
        ("mm_page_alloc: page=1 pfn=0x1 order=0 migratetype=0 gfp_flags=0x3", "gfp_mask 0x3 has"),
        ("putback: (x+0) page=0xffffea0000000040 order=0 mt=5", "migratetype 5 does not exist"),
        (
            "mm_page_alloc: page=1 pfn=0x1 order=0 migratetype=77 gfp_flags=0x0",
            "migratetype 77: a r",
        ),
        ("mm_page_al\0c: page=1 pfn=0x1 order=0 migratetype=0 gfp_flags=0x0", "it has NUL bytes: "),
        ("mm_page_al\xffc: page=1 pfn=0x1 order=0 migratetype=0 gfp_flags=0x0", "not a trace line"),
    ],
    ids=range(13),
)
def test_fields_that_cannot_be_are_named(
    fields: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Altered(tmp_path)
    line = altered.lines[300]
    match = LINE.match(line)
    assert match is not None
    altered.lines[300] = line[: match.start(5)] + fields + "\n"
    said = refused(altered.write(), capsys)
    assert said.startswith("trace.txt.xz: line 301: ")
    assert what in said


@pytest.mark.parametrize("name", ["meta.json", "snapshot_start.json.xz", "snapshot_end.json.xz",
                                  "trace.txt.xz"])  # fmt: skip
def test_a_file_missing_cut_or_of_garbage_is_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Altered(tmp_path).folder
    data = (folder / name).read_bytes()
    for spoilt in (b"", data[: len(data) // 2], b"\xff\0" * 999, data + b"\n x"):
        (folder / name).write_bytes(spoilt)
        assert refused(folder, capsys).startswith(f"{name}: ")
    (folder / name).unlink()
    assert refused(folder, capsys) == f"{name}: cannot be read: No such file or directory"
    (folder / name).mkdir()
    assert refused(folder, capsys) == f"{name}: not a file"


def test_a_folder_without_a_capture_is_told_what_one_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").write_text("")
    assert cli.main(["replay", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"memsim: {tmp_path}: no capture: it has none of meta.json, snapshot_")
    assert "memsim replay TRACE --proc DIR" in said
    assert said.count("\n") == 1


def test_a_machine_with_more_cpus_than_the_window_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Altered(tmp_path)
    altered.lines = [line.replace("[000]", "[001]") for line in altered.lines]
    assert "CPU 1 is not in meta.json's window" in refused(altered.write(), capsys)

"""The bench: it refuses a wrong answer, says in one line what it cannot do, and writes JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import captures, compare, levels, twin, vmalloc, vmalloc_report
from bench.figures import Spread
from bench.first_fit import FirstFit
from bench.report import as_data, of_workloads
from memsim.lib.bits import PAGE_SIZE
from memsim.mm.page_alloc import buddy
from memsim.mm.vmalloc import clip, tree
from memsim.words.vmalloc import LAZY_PAGES, VMALLOC_END, VMALLOC_START

CUT = 1000


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[compare.Case]:
    return compare.cases(tmp_path_factory.mktemp("cases"), CUT)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if twin.compiler() is None:
        pytest.skip("no C compiler: the twin cannot be built")
    return twin.build(tmp_path_factory.mktemp("twin"))


def test_every_case_is_compared(cases: list[compare.Case], program: Path) -> None:
    rows = compare.compare(cases, program, 2)
    assert [(row.name, row.pcp) for row in rows] == [(c.workload.name, c.pcp) for c in cases]
    assert len(rows) == 12
    for row in rows:
        assert row.ratio is not None
        assert row.ratio.low <= row.ratio.median <= row.ratio.high


def test_another_answer_is_refused(
    cases: list[compare.Case], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buddy, "buddy_merge_likely", lambda *_: False)
    with pytest.raises(compare.WrongAnswer, match="W1, no pcp: hash of memsim"):
        compare.compare(cases, program, 1)


def test_published_hashes_are_held(program: Path, tmp_path: Path) -> None:
    compare.check_published(program, tmp_path)


def test_another_published_hash_is_refused(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compare.LIFO, "W1", compare.TAIL_RULE["W1"])
    with pytest.raises(compare.WrongAnswer, match="W1, the twin"):
        compare.check_published(program, tmp_path)


def test_without_a_compiler_the_rest_is_measured(cases: list[compare.Case]) -> None:
    rows = compare.compare(cases[:2], None, 1)
    assert [row.twin for row in rows] == [None, None]
    assert "Without a C compiler there is no twin" in of_workloads(rows)


def test_no_compiler_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert command._twin(tmp_path) is None
    assert "no C compiler found" in capsys.readouterr().err


def test_all_levels_give_the_same_pfns(cases: list[compare.Case]) -> None:
    for case in cases[-6:]:
        row = levels.measure(case, 1)
        assert all(figures.median > 0 for figures in row.microseconds.values())


def test_a_folder_of_captures_or_a_capture(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = captures.folders([captures.RECORDED])
    assert {folder.name for folder in recorded} >= {"net_loopback", "tree_walk"}
    one = captures.RECORDED / "net_loopback"
    assert command.main(["captures", "--json", "--quick", "--captures", str(one)]) == 0
    [row] = json.loads(capsys.readouterr().out)["captures"]
    meta = json.loads((one / "meta.json").read_text())
    assert row["guest"] == meta["window_seconds_guest"]
    assert row["all_exact"] is True
    assert row["lines"] >= row["events"] > 6000


def test_what_is_no_capture_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "meta.json").write_text("[")
    for folder in (tmp_path, tmp_path / "nothing"):
        assert command.main(["captures", "--captures", str(folder)]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"bench: {folder}")


def test_a_part_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["speed"])
    assert stopped.value.code == 2
    assert (
        "'speed': should be one of workloads, slab, vmalloc, boot, captures"
        in capsys.readouterr().err
    )


def test_seconds_that_are_not_told_are_null() -> None:
    row = captures.CaptureRow("a", 1, 1, 0.1, 0.1, 0.2, math.nan, True)
    assert as_data([row])[0]["guest"] is None


def test_first_fit_from_boot_gives_memsims_addresses() -> None:
    """From one free area on, through every free and purge: not from a state that memsim made."""
    vm, areas, operations = vmalloc.model(0, whole=False)
    chance = vmalloc.Operations(60)
    del vm, operations
    fit = FirstFit([(VMALLOC_START, VMALLOC_END)], {}, LAZY_PAGES * PAGE_SIZE)
    plain = vmalloc.Side(lambda pages: fit.alloc((pages + 1) * PAGE_SIZE), fit.free, fit.purge, [])
    for work in (chance.first(), chance.more(3000)):
        areas.run(work)
        plain.run(work)
    assert areas.addresses == plain.addresses
    assert len(set(plain.addresses)) < len(plain.addresses), "addresses came back by purges"


def test_vmalloc_and_first_fit_agree_among_more_and_more_areas() -> None:
    rows = [vmalloc.measure(live, 1, 400) for live in (100, 1000)]
    assert [row.live for row in rows] == [100, 1000]
    assert rows[1].holes > rows[0].holes > 10
    assert rows[1].looked_at > 5 * rows[0].looked_at
    assert rows[0].height < rows[1].height < 20
    assert vmalloc_report.faster_than_logarithm(rows) == []
    said = vmalloc_report.of_vmalloc(rows)
    assert "Cost ratio per tenfold of areas: lines ×1." in said
    assert said.endswith("Lines grow no faster than the logarithm of the live areas.")


def test_another_area_than_first_fits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lowest match the highest free area answers."""

    def highest(root: tree.FreeTree, *_: object) -> tree.VmapArea | None:
        return next(
            va for va in reversed([*tree_nodes(root)]) if va.va_start < VMALLOC_END - (1 << 30)
        )

    tree_nodes = vmalloc.rb_nodes
    monkeypatch.setattr(clip, "find_vmap_lowest_match", highest)
    with pytest.raises(compare.WrongAnswer, match="100 live areas: hash of memsim"):
        vmalloc.measure(100, 1, 400)


def test_a_search_through_all_areas_grows_too_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers, found one by one from the lowest on, are told by the lines they take."""

    def scan(
        root: tree.FreeTree, size: int, align: int, vstart: int, _adjust: bool
    ) -> tree.VmapArea | None:
        for va in vmalloc.rb_nodes(root):
            if tree.is_within_this_va(va, size, align, vstart):
                return va
        return None

    monkeypatch.setattr(clip, "find_vmap_lowest_match", scan)
    rows = [vmalloc.measure(live, 1, 400) for live in (100, 1000)]
    assert vmalloc_report.faster_than_logarithm(rows) == [1000]
    assert "Lines grow faster than the logarithm at 1,000." in vmalloc_report.summary(rows)


def test_growth_is_that_of_each_row_to_the_next() -> None:
    one = Spread(1.0, 1.0, 1.0)
    rows = [
        vmalloc.VmallocRow(10**k, 1, 1, one, one, one, lines, 1.0, "")
        for k, lines in ((2, 200.0), (3, 299.0), (4, 400.0))
    ]
    assert vmalloc_report.ratios(rows, vmalloc_report.COSTS["lines"]) == [299 / 200, 400 / 299]
    assert vmalloc_report.faster_than_logarithm(rows) == [10_000]


def test_the_vmalloc_part_writes_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vmalloc, "LIVE", (100, 1_000_000))
    assert command.main(["vmalloc", "--json", "--quick"]) == 0
    [row] = json.loads(capsys.readouterr().out)["vmalloc"]
    assert row["live"] == 100
    assert row["areas"]["low"] <= row["areas"]["median"] <= row["areas"]["high"]

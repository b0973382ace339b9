"""The bench: it refuses a wrong answer, says in one line what it cannot do, and writes JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import captures, compare, levels, twin
from bench.report import as_data, of_workloads
from memsim.mm.page_alloc import buddy

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
    assert "'speed': should be one of workloads, slab, boot, captures" in capsys.readouterr().err


def test_seconds_that_are_not_told_are_null() -> None:
    row = captures.CaptureRow("a", 1, 1, 0.1, 0.1, 0.2, math.nan, True)
    assert as_data([row])[0]["guest"] is None

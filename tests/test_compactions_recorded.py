"""The model's compaction scanners beside a recorded kernel's: tools/compactions.py.

The recording is anon_pressure up to the end of its first compaction, when the free scanner comes
to the min watermark. Its last snapshot is the first one again, and is not looked at.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from memsim.mm.compaction import free_scanner, migrate_block
from memsim.mm.compaction.control import CompactControl
from memsim.mm.restore import restore
from memsim.mm.snapshot import take_snapshot
from memsim.replay.rows.capture import Capture
from memsim.trace.trace import Trace

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
compactions = importlib.import_module("compactions")
CAPTURE = ROOT / "tests" / "data" / "compaction" / "anon_pressure"
FREE, FAST, MIGRATE = compactions.FREE, compactions.FAST, compactions.MIGRATE


def test_every_recorded_scan_is_the_models_too() -> None:
    """To the page; and the model's scans leave the replay as it was."""
    counts = compactions.compactions(CAPTURE)
    assert dict(counts.differences) == {}
    assert counts.recorded == {FREE: 75, MIGRATE: 14}
    assert counts.equal == counts.recorded
    assert counts.pages == "35,289 of 35,289"


def test_scanners_that_go_otherwise_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many pages to migrate at a time, and at most every second page is left out."""
    monkeypatch.setattr(migrate_block, "COMPACT_CLUSTER_MAX", 64)
    monkeypatch.setattr(free_scanner, "COMPACT_CLUSTER_MAX", 2)
    counts = compactions.compactions(CAPTURE)
    assert counts.equal[MIGRATE] == 13
    assert 0 < counts.equal[FREE] < 75
    what = {text.partition(" (")[0] for text in counts.differences}
    assert {f"{MIGRATE}: takes fewer pages", f"{FREE}: looks at other pages"} <= what
    assert counts.pages == "35,289 of 35,289"


def test_a_trial_with_a_fast_search_is_undone() -> None:
    """Lists are as they were, rotation too: the same call finds the same again."""
    vm = restore(Capture(CAPTURE).start, Trace(mask=0, capacity=1))
    trials, zone = compactions.Trials(vm), vm.zones[1]
    before = take_snapshot(vm)
    found = []
    for _ in range(2):
        cc = CompactControl(zone, 9, zone.zone_start_pfn, (zone.zone_end_pfn - 1) & -512)
        cc.nr_migratepages = 2048
        found.append(trials.free(cc))
        assert take_snapshot(vm) == before
    assert found[0] == found[1]
    assert found[0][0].kind == FAST
    assert found[0][0].taken > 0
    assert len(vm.trace.journal) == 0


def test_the_table_has_a_row_for_each_capture_and_a_line_for_each_difference() -> None:
    counts = compactions.Counts(pages="5 of 5")
    counts.recorded[FREE] += 3
    counts.equal[FREE] += 2
    counts.differs("free scan: begins elsewhere (no reason known)", 7)
    lines = compactions.table([("one", counts), ("two", compactions.Counts())]).splitlines()
    assert lines[2] == "| `one` | 2 of 3 | 0 of 0 | 0 of 0 | 5 of 5 |"
    assert lines[3].startswith("| `two` | 0 of 0 |")
    assert lines[4:] == ["one: 1 × free scan: begins elsewhere (no reason known), first in line 7"]

"""The model's slow path beside a recorded kernel's: tools/slow_paths.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from memsim.mm.page_alloc import direct, retry
from memsim.words.alloc_flags import ALLOC_WMARK_MIN

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
slow_paths = importlib.import_module("slow_paths")
CAPTURE = ROOT / "tests" / "data" / "captures" / "highatomic"


def test_every_recorded_decision_is_the_models_too() -> None:
    """Direct reclaim, should_reclaim_retry() to its end, OOM kills, victims with their reserves."""
    counts = slow_paths.slow_paths(CAPTURE)
    assert dict(counts.differences) == {}
    assert (counts.requests, counts.requests_equal) == (8379, 8379)
    assert (counts.attempts, counts.attempts_equal) == (8895, 8895)
    assert (counts.reclaims, counts.reclaims_equal) == (173, 173)
    assert (counts.zones, counts.zones_equal) == (320, 320)
    assert (counts.wakeups, counts.wakeups_equal, counts.wakeups_fired) == (1, 1, 1)
    assert counts.pages == "21,709 of 21,709"


@pytest.mark.alone
def test_a_model_that_decides_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round less before OOM, an attempt above min there instead of high."""
    monkeypatch.setattr(retry, "MAX_RECLAIM_RETRIES", 15)
    monkeypatch.setattr(direct, "ALLOC_WMARK_HIGH", ALLOC_WMARK_MIN)
    counts = slow_paths.slow_paths(CAPTURE)
    assert set(counts.differences) == {
        "alloc_flags 0x40 instead of 0x840",
        "other numbers in should_reclaim_retry()",
    }
    assert 0 < counts.requests - counts.requests_equal < 10


def test_the_table_has_a_row_for_each_capture_and_a_line_for_each_difference() -> None:
    counts = slow_paths.Counts(requests=3, requests_equal=2, pages="5 of 5")
    counts.differs("gives up where the kernel went on", 7)
    lines = slow_paths.table([("one", counts), ("two", slow_paths.Counts())]).splitlines()
    assert lines[2].startswith("| `one` | 3 | 2 | 0 |")
    assert lines[3].startswith("| `two` | 0 |")
    assert lines[4:] == ["one: 1 × gives up where the kernel went on, first in line 7"]

"""The model's own reclaim beside a recorded kernel's: tools/pressure.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
pressure = importlib.import_module("pressure")
CAPTURE = ROOT / "tests" / "data" / "captures" / "highatomic"


def test_the_models_kswapd_frees_what_the_recorded_one_did() -> None:
    """All that could be freed; then direct reclaim finds nothing, and a task is killed.

    The copy of the capture has no mm_vmscan_lru_isolate. What differs: DESIGN.md.
    """
    compared = pressure.pressure(CAPTURE)
    recorded, model = compared.recorded, compared.model
    assert (recorded["reclaimed by kswapd"], model["reclaimed by kswapd"]) == (8013, 8013)
    assert (recorded["mm_vmscan_kswapd_wake"], model["mm_vmscan_kswapd_wake"]) == (22, 21)
    direct = "mm_vmscan_direct_reclaim_begin"
    assert (recorded[direct], model[direct]) == (173, 139)
    assert recorded["reclaimed by direct"] == model["reclaimed by direct"] == 0
    assert (recorded["failed"], model["failed"]) == (296, 318)
    assert (recorded["mark_victim"], model["mark_victim"]) == (3, 1)
    assert model["mm_vmscan_lru_isolate"] == 1273
    assert (recorded["free"], model["free"]) == (60472, 60476)


def test_the_table_has_two_columns_for_each_capture() -> None:
    compared = pressure.Compared()
    compared.recorded["failed"], compared.model["failed"] = 3, 4000
    lines = pressure.table([("one", compared), ("two", pressure.Compared())]).splitlines()
    assert lines[0] == "| | `one` recorded | model | `two` recorded | model |"
    assert "| failed requests | 3 | 4,000 | 0 | 0 |" in lines
    assert {line.count("|") for line in lines} == {6}

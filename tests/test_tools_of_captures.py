"""The commands that hold the model beside captures, called with none, or with what is none."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))


@pytest.fixture(params=["slow_paths", "compactions", "pressure"])
def tool(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_without_a_capture_it_says_how_it_is_called(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tool.py"])
    assert tool.main() == 2
    assert f"tools/{tool.__name__}.py CAPTURE..." in capsys.readouterr().err


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_that_is_no_capture_gets_one_line(
    tool: ModuleType,
    made: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path if made else tmp_path / "none"
    monkeypatch.setattr(sys, "argv", ["tool.py", str(folder)])
    assert tool.main() == 2
    message = capsys.readouterr().err
    assert str(folder) in message
    assert message.count("\n") == 1

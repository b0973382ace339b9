"""What a notebook shows: the player, charts, controls, and the source of what ran.

Needs the `course` extra; the rest of memsim does without it.
"""

from __future__ import annotations

from importlib.util import find_spec

_MISSING = [name for name in ("anywidget", "ipywidgets", "plotly") if not find_spec(name)]
if _MISSING:
    raise ImportError(
        f"memsim.views needs {', '.join(_MISSING)}: python -m pip install 'memsim[course]'"
    )

from memsim.views.bench import Bench  # noqa: E402
from memsim.views.controls import Predictions, Question  # noqa: E402
from memsim.views.player import Player  # noqa: E402
from memsim.views.side import SideBySide  # noqa: E402
from memsim.views.source import source  # noqa: E402

__all__ = ["Bench", "Player", "Predictions", "Question", "SideBySide", "source"]

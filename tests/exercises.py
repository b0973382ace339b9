"""The exercises of the course."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from memsim.lab.places import CASES, SOLUTIONS

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / SOLUTIONS).glob("*.ipynb"))


def folder_of(name: str) -> Path:
    """Where the exercise's author has it."""
    return ROOT / SOLUTIONS / CASES / name


def notebook_of(folder: str, name: str) -> Any:
    return nbformat.read(ROOT / folder / f"{name}.ipynb", 4)

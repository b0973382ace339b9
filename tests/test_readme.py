"""What the README shows is true: its Python runs, its relative links lead somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def test_the_taste_runs() -> None:
    """Every >>> line, with the output beside it."""
    results = doctest.testfile(str(README), module_relative=False)
    assert results.attempted > 0
    assert results.failed == 0


def test_relative_links_lead_somewhere() -> None:
    """Files that README and DESIGN name by a link."""
    for page in (README, ROOT / "DESIGN.md", ROOT / "CONTRIBUTING.md"):
        links = re.findall(r"\]\(([^):#]+)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (ROOT / link).exists()] == [], page.name

"""The course as a whole: links lead somewhere, the index has every lesson."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from lessons import ALL, LESSONS, NOTEBOOKS, notebook_of, path_of, sources

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_OUTSIDE = ("https://", "http://", "mailto:")
each_notebook = pytest.mark.parametrize("name", ALL)


def anchors(name: str) -> set[str]:
    """Where links into a notebook may lead: JupyterLab's names for its headings."""
    text = "\n".join(sources(name, "markdown"))
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {heading.strip().replace(" ", "-").replace("`", "") for heading in headings}


def links(name: str) -> Iterator[str]:
    """Every link of a notebook into the course."""
    for cell in sources(name, "markdown"):
        for target in _LINK.findall(cell):
            if not target.startswith(_OUTSIDE):
                yield target


def broken(target: str) -> bool:
    file, _, anchor = target.partition("#")
    if not (NOTEBOOKS / file).exists():
        return True
    return bool(anchor) and anchor not in anchors(file.removesuffix(".ipynb"))


@each_notebook
def test_every_link_leads_somewhere(name: str) -> None:
    assert [target for target in links(name) if broken(target)] == []


def test_a_broken_link_is_told() -> None:
    assert broken("99_nothing.ipynb")
    assert broken("02_buddy.ipynb#9-Nothing")
    assert not broken("02_buddy.ipynb#4-The-merge")


def test_the_index_has_every_lesson_and_each_question_an_answer() -> None:
    linked = {target.partition("#")[0] for target in links("index")}
    assert {f"{name}.ipynb" for name in LESSONS} | {"glossary.ipynb"} <= linked
    (table,) = [cell for cell in sources("index", "markdown") if "| asked |" in cell]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 15
    for answer in rows:
        assert ".ipynb" in answer or "below" in answer or "NOT MODELLED" in answer


def test_the_glossary_gives_each_word_once_with_a_place_and_a_lesson() -> None:
    text = "\n".join(sources("glossary", "markdown"))
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "word"]
    assert all(len(row) == 4 and all(row) for row in rows)
    words = [row[0].lower() for row in rows]
    assert len(words) == len(set(words)) > 40


@pytest.mark.parametrize("name", sorted(set(ALL) - set(LESSONS)))
def test_index_and_glossary_are_small_and_without_state(name: str) -> None:
    assert path_of(name).stat().st_size < 50_000
    assert "widgets" not in notebook_of(name)["metadata"]

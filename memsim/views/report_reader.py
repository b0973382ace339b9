"""A kernel's report, a line at a time: what each number is, where it comes from, what follows."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

from memsim.proc.explain import explain_log
from memsim.proc.explain.reading import Reading, Word, read_lines
from memsim.views.controls import FULL, Controls, scrolling, status

#: Lines about the stack and the registers, by how what they are begins.
STACK = ("the stack", "a function of the stack", "registers", "the machine")
_HEADS = ("word", "printed", "is", "means", "kept, or computed, in")
#: A line in the list is cut here; the whole of it stands below.
_CUT = 96


def reading_text(reading: Reading) -> str:
    """A line in words: where it is, what prints it, each word, and what follows from it."""
    lines = [f"line {reading.number}: {reading.about} ({reading.printed_by})"]
    lines += [f"  {_word_text(word)}" for word in reading.words]
    return "\n".join([*lines, *(f"  So: {one}" for one in reading.follows)])


def _word_text(word: Word) -> str:
    shown = f"{word.name} {word.value}".rstrip() + (f" ({word.size})" if word.size else "")
    return f"{shown}: {word.says}" if word.says else shown


class ReportReader(Controls):
    """The lines of each report of a log in a list; the chosen one is taken apart below."""

    def __init__(self, log: str) -> None:
        self.reports = read_lines(log)
        titles = [f"line {one.report.line}: {one.title}" for one in explain_log(log)]
        wide = widgets.Layout(**{**FULL, "max_width": "62em"})
        self.report = widgets.Dropdown(
            options=[(title, at) for at, title in enumerate(titles)],
            description="report", layout=wide,
        )  # fmt: skip
        self.stack = widgets.Checkbox(description="the stack and the registers too", indent=False)
        self.line = widgets.Select(description="line", rows=14, layout=wide)
        self.line.add_class("memsim-report-lines")
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.report.observe(self._fill, names="value")
        self.stack.observe(self._fill, names="value")
        self.line.observe(self._show, names="value")
        self._fill()
        super().__init__([self.report, self.stack, self.line, self.picture])

    def lines(self) -> list[Reading]:
        """Those in the list."""
        return [
            reading
            for reading in self.reports[self.report.value]
            if self.stack.value or not reading.about.startswith(STACK)
        ]

    def choose(self, begins: str) -> str:
        """Choose the first line that begins so; what is shown then, in words."""
        chosen = next(one for one in self.lines() if one.text.strip().startswith(begins))
        self.line.value = chosen.number
        return self.text()

    def told(self, begins: str, *names: str) -> str:
        """As choose(), but of these words alone."""
        self.choose(begins)
        chosen = self._chosen()
        words = [word for word in chosen.words if word.name in names]
        return reading_text(chosen._replace(words=words))

    def text(self) -> str:
        """The chosen line in words."""
        return reading_text(self._chosen())

    def still(self) -> str:
        """Every line of the list, to be opened."""
        return "".join(
            f"<details><summary><code>{html.escape(one.text)}</code></summary>{_taken_apart(one)}"
            "</details>"
            for one in self.lines()
        )

    def _chosen(self) -> Reading:
        return next(one for one in self.lines() if one.number == self.line.value)

    def _fill(self, _: Any = None) -> None:
        """The list of another report, or with other lines; the same line stays chosen."""
        before, shown = self.line.value, self.lines()
        numbers = [one.number for one in shown]
        self.line.options = [(_label(one), one.number) for one in shown]
        self.line.value = before if before in numbers else numbers[0]
        self._show()

    def _show(self, _: Any = None) -> None:
        if self.line.value is None:  # while the list is being changed
            return
        one = self._chosen()
        line = f'<pre style="white-space: pre-wrap; margin: 4px 0">{html.escape(one.text)}</pre>'
        told = [f"line {one.number}: {one.about}. Printed by {one.printed_by}."]
        told += [f"So: {follows}" for follows in one.follows]
        region = 'role="region" tabindex="0" aria-label="the words of this line"'
        words = scrolling(_table(one.words), region, "22em") if one.words else ""
        self.picture.value = line + status("\n".join(told)) + words


def _label(one: Reading) -> str:
    mark = "➤" if one.follows else "\u2007"
    text = one.text.strip()
    return f"{mark} {one.number} {text[:_CUT]}{'…' if len(text) > _CUT else ''}"


def _taken_apart(one: Reading) -> str:
    follows = "".join(f"<p><b>So: {html.escape(text)}</b></p>" for text in one.follows)
    about = html.escape(f"{one.about}. Printed by {one.printed_by}.")
    return f"<p>{about}</p>{follows}{_table(one.words) if one.words else ''}"


def _table(words: list[Word]) -> str:
    """The words of a line; columns that are empty throughout are left out."""
    rows = [tuple(word) for word in words]
    kept = [at for at in range(len(_HEADS)) if any(row[at] for row in rows)]
    style = "text-align: left; padding: 1px 8px; vertical-align: top"
    heads = "".join(f'<th scope="col" style="{style}">{_HEADS[at]}</th>' for at in kept)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{style}{_wrap(at)}">{html.escape(row[at])}</td>' for at in kept)
        + "</tr>"
        for row in rows
    )
    rows_html = f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
    return f'<table style="line-height: 1.4">{rows_html}</table>'


def _wrap(column: int) -> str:
    """Sizes stay in one piece; a mask may break anywhere, so that what it means has room."""
    return {
        "is": "; white-space: nowrap",
        "printed": "; overflow-wrap: anywhere; max-width: 18em",
        "means": "; min-width: 14em",
    }.get(_HEADS[column], "")

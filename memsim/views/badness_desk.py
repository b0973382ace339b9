"""Who is killed: the table of a report, one oom_score_adj under a slider, and every sum."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any

import ipywidgets as widgets

from memsim.mm.oom_kill.lines import TaskRow
from memsim.proc.explain.victim import worst
from memsim.proc.failure import FailureReport, points, totalpages
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.words.oom import LONG_MIN, OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN

_HEADS = ("pid", "name", "rss", "swapents", "page tables", "oom_score_adj", "counts as", "points")


class BadnessDesk(Controls):
    """The processes of a report; a slider writes one's oom_score_adj, and the victim is marked."""

    def __init__(self, report: FailureReport) -> None:
        self.recorded = report
        self.weight = totalpages(report) // 1000
        wide = widgets.Layout(**FULL)
        names = [(f"{row.name} ({row.pid})", row.pid) for row in report.tasks]
        self.process = widgets.Dropdown(options=names, description="process", layout=wide)
        self.adj = widgets.IntSlider(
            min=OOM_SCORE_ADJ_MIN, max=OOM_SCORE_ADJ_MAX, step=50, description="oom_score_adj",
            layout=wide, style={"description_width": "initial"},
        )  # fmt: skip
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._written = {row.pid: row.oom_score_adj for row in report.tasks}
        self._look()
        self.process.observe(self._look, names="value")
        self.adj.observe(self._write, names="value")
        super().__init__([self.process, self.adj, self.picture])

    def report(self) -> FailureReport:
        """The report as it would have been."""
        rows = [row._replace(oom_score_adj=self._written[row.pid]) for row in self.recorded.tasks]
        return replace(self.recorded, tasks=rows)

    def text(self) -> str:
        """The sums, and who dies."""
        rows = [_HEADS, *(_cells(row, self.weight, score) for row, score in self._sums())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.rjust, cells, widths)) for cells in rows)
        return "\n".join([self._told(), *lines])

    def _sums(self) -> list[tuple[TaskRow, int]]:
        return points(self.report())

    def _told(self) -> str:
        victim = worst(self.report())
        if victim is None:
            return "Nobody may be killed: the kernel panics, “System is deadlocked on memory”."
        score = next(score for row, score in self._sums() if row.pid == victim.pid)
        tables = victim.pgtables_bytes // 4096
        return (
            f"{victim.name} ({victim.pid}) is killed: {victim.rss:,} rss + {victim.swapents:,} "
            f"swapents + {tables:,} page tables + {victim.oom_score_adj} × {self.weight:,} = "
            f"{score:,} points."
        )

    def _look(self, _: Any = None) -> None:
        """The slider stands where the chosen process is."""
        self.adj.value = self._written[self.process.value]
        self._show()

    def _write(self, _: Any = None) -> None:
        self._written[self.process.value] = self.adj.value
        self._show()

    def _show(self) -> None:
        victim = worst(self.report())
        pid = None if victim is None else victim.pid
        rows = "".join(
            _row_html(_cells(row, self.weight, score), row.pid == pid)
            for row, score in self._sums()
        )
        style = "text-align: left; padding: 2px 8px"
        heads = "".join(f'<th scope="col" style="{style}">{head}</th>' for head in _HEADS)
        region = 'role="region" tabindex="0" aria-label="table of processes"'
        table = f'<table style="line-height: 1.4"><tr>{heads}</tr>{rows}</table>'
        self.picture.value = scrolling(table, region) + status(self._told())


def _cells(row: TaskRow, weight: int, score: int) -> tuple[str, ...]:
    shown = "never killed" if score == LONG_MIN else f"{score:,}"
    numbers = (row.rss, row.swapents, row.pgtables_bytes // 4096, row.oom_score_adj,
               row.oom_score_adj * weight)  # fmt: skip
    return str(row.pid), row.name, *(f"{number:,}" for number in numbers), shown


def _row_html(cells: tuple[str, ...], is_victim: bool) -> str:
    frame = ' style="outline: 3px solid var(--jp-brand-color1, #0b62c4)"' if is_victim else ""
    style = "text-align: left; padding: 2px 8px; white-space: nowrap"
    data = "".join(f'<td style="{style}">{html.escape(cell)}</td>' for cell in cells)
    return f"<tr{frame}>{data}</tr>"

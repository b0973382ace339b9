"""The charts of the class report, with Plotly's script in the page itself."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from memsim.lab.grader.pages import paragraph
from memsim.lab.grader.tally import ClassTally
from memsim.views.charts import COLOURS, CONFIG, FOLLOW_THEME, PATTERNS, themed

#: What the axes show: in the page, where it wraps, and not in a chart, where it would be cut.
_SHOWN = {
    "points": "Points in percent. Box: the middle half; line in it: the median; dashes: the mean.",
    "cases": "How many percent of the students have a case right.",
    "mistakes": "How many students made a mistake.",
}
_ROW, _LINE = 12, 17
#: So many characters of a row's name stand on a line.
_NAME = 26
_MOST_MISTAKES = 30
#: From few to all; black numbers can be read on each.
_SCALE = ((0.0, "#e07b5f"), (0.5, "#f5edd6"), (1.0, "#6fb0dc"))


def charts(whole: ClassTally, titles: Mapping[str, str]) -> dict[str, str]:
    """By name: points, cases and mistakes, where there is something to draw; and the script."""
    made = {
        "points": points(whole, titles),
        "cases": cases(whole, titles),
        "mistakes": mistakes(whole, titles),
    }
    drawn = {name: _drawn(name, figure) for name, figure in made.items() if figure.data}
    return {"script": f"<script>{get_plotlyjs()}</script>{FOLLOW_THEME}", **drawn}


def points(whole: ClassTally, titles: Mapping[str, str]) -> go.Figure:
    """A box for each exercise, of the points in percent."""
    graded = [one for one in whole.exercises.values() if one.scores]
    figure = go.Figure()
    if graded:
        shares = [[100 * number / one.max for number in one.quartiles] for one in graded]
        low, lower, middle, upper, high = zip(*shares, strict=True)
        figure.add_box(
            y=[_wrapped(titles[one.exercise]) for one in graded], orientation="h",
            lowerfence=low, q1=lower, median=middle, q3=upper, upperfence=high,
            mean=[100 * one.share for one in graded],
            marker={"color": COLOURS[0]}, showlegend=False,
        )  # fmt: skip
    figure.update_xaxes(range=[-2, 102])
    return _upright(figure)


def cases(whole: ClassTally, titles: Mapping[str, str]) -> go.Figure:
    """A row for each exercise, a field for each case: how many percent have it right."""
    ran = [one for one in whole.exercises.values() if one.cases]
    figure = go.Figure()
    if ran:
        longest = max(len(one.cases) for one in ran)
        shares: list[list[float | None]] = [
            [round(100 * case.share) for case in one.cases] + [None] * (longest - len(one.cases))
            for one in ran
        ]
        figure.add_heatmap(
            x=list(range(1, longest + 1)), y=[_wrapped(titles[one.exercise]) for one in ran],
            z=shares,
            zmin=0, zmax=100, colorscale=_SCALE, xgap=2, ygap=2, hoverongaps=False,
            texttemplate="%{z}", textfont={"color": "#000000"}, colorbar={"title": "% right"},
            hovertemplate="%{y}, case %{x}: %{z} % have it right<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title={"text": "case", "standoff": 8}, dtick=1)
    return _upright(figure)


def mistakes(whole: ClassTally, titles: Mapping[str, str]) -> go.Figure:
    """A bar for each known mistake, the most frequent first."""
    counts = sorted(
        ((count, f"{titles[one.exercise]}: {mistake}")
         for one in whole.exercises.values() for mistake, count in one.mistakes.items()),
        reverse=True,
    )[:_MOST_MISTAKES]  # fmt: skip
    figure = go.Figure()
    if counts:
        figure.add_bar(
            x=[count for count, _ in counts], y=[_wrapped(name) for _, name in counts],
            orientation="h",
            text=[count for count, _ in counts], textposition="outside", cliponaxis=False,
            marker={"color": COLOURS[1], "pattern": {"shape": PATTERNS[1]}},
        )  # fmt: skip
    figure.update_xaxes(rangemode="tozero")
    return _upright(figure)


def _wrapped(name: str) -> str:
    return "<br>".join(wrap(name, _NAME))


def _upright(figure: go.Figure) -> go.Figure:
    """Themed, first row on top, as high as its rows need, with room for their names."""
    names = [name for trace in figure.data for name in trace.y]
    lines = 1 + max((name.count("<br>") for name in names), default=0)
    themed(figure).update_layout(
        height=100 + (_ROW + _LINE * lines) * len(names),
        margin={"t": 20, "l": 10, "r": 30, "b": 60}, template="none",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True, type="category", dtick=1)
    return figure


def _drawn(name: str, figure: go.Figure) -> str:
    made: Any = figure.to_html(
        full_html=False, include_plotlyjs=False, config={**CONFIG, "responsive": True},
        div_id=f"chart-{name}",
    )  # fmt: skip
    label = f'role="img" tabindex="0" aria-label="Chart: {name}; the table below has its numbers"'
    chart = f'<div class="scrolls" {label}><div class="chart">{made}</div></div>'
    return f"{paragraph(_SHOWN[name], 'soft')}{chart}"

"""Plotly charts that follow the theme, send nothing anywhere, and say in words what they show."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go
from IPython.display import display

#: No link to plotly's makers, nothing to upload, no mode that a mouse alone reaches.
CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "displayModeBar": False,
}

#: Of Okabe and Ito; the first two differ in lightness too.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
PATTERNS = ("", "/", "x", ".")
DASHES = ("solid", "dash", "dot", "dashdot")
#: Digits that have room side by side above the bars of a chart.
_CROWDED = 60
#: Letters on a line of what stands below a bar.
_LABEL = 16

#: Mid-grey reads on light and on dark; where the page knows the theme's colour, that is taken.
GREY = "#787878"
#: A style for the page that a chart is on.
FOLLOW_THEME = (
    "<style>.js-plotly-plot .infolayer text, .js-plotly-plot .cartesianlayer-above text, "
    ".js-plotly-plot .xaxislayer-above text, .js-plotly-plot .yaxislayer-above text, "
    ".js-plotly-plot .textpoint text, .js-plotly-plot .bartext "
    f"{{ fill: var(--jp-ui-font-color1, {GREY}) !important; }}</style>"
)


def bars(
    groups: Mapping[str, Sequence[int]],
    title: str,
    x: str,
    y: str,
    labels: Sequence[str | int] | None = None,
) -> go.Figure:
    """Grouped bars: each group is a list of numbers, told apart by colour and hatching.

    labels say what the numbers of a group stand for; without them it is 0, 1, 2, …
    """
    figure = go.Figure()
    # numbers stand on end where they would run into each other
    crowded = sum(len(str(value)) for values in groups.values() for value in values) > _CROWDED
    for index, (name, values) in enumerate(groups.items()):
        colour = COLOURS[index % len(COLOURS)]
        marker = {
            "color": colour,
            "pattern": {
                "shape": PATTERNS[index % len(PATTERNS)],
                "fgcolor": "#000000",
                "bgcolor": colour,
            },
        }
        text = [str(value) if value else "" for value in values]
        names = list(range(len(values))) if labels is None else [_folded(label) for label in labels]
        figure.add_bar(
            x=names, y=list(values), name=name, marker=marker, text=text,
            textposition="outside", cliponaxis=False, textangle=-90 if crowded else 0,
        )  # fmt: skip
    axis: dict[str, Any] = {"dtick": 1} if labels is None else {"type": "category"}
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper"},
        xaxis={"title": x, "automargin": True, **axis},
        yaxis={"title": y},
    )
    return figure


def _folded(label: str | int) -> str:
    """On several lines, so that it stands upright below its bar."""
    return "<br>".join(wrap(str(label), _LABEL, break_long_words=False, break_on_hyphens=False))


def lines(groups: Mapping[str, Sequence[int]], title: str, x: str, y: str) -> go.Figure:
    """A line for each group of numbers, told apart by colour and dashes; x counts from 0."""
    figure = go.Figure()
    for index, (name, values) in enumerate(groups.items()):
        line = {"color": COLOURS[index % len(COLOURS)], "dash": DASHES[index % len(DASHES)]}
        figure.add_scatter(
            x=list(range(len(values))), y=list(values), name=name, mode="lines", line=line
        )
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper"}, xaxis={"title": x}, yaxis={"title": y}
    )
    return figure


def themed(figure: go.Figure) -> go.Figure:
    """The figure with a transparent background and grey lines, for light and dark pages."""
    line = {"gridcolor": "rgba(128,128,128,0.3)", "zerolinecolor": GREY, "linecolor": GREY}
    clear = "rgba(0,0,0,0)"
    figure.update_layout(
        template="none", paper_bgcolor=clear, plot_bgcolor=clear, font={"color": GREY, "size": 14},
        margin={"l": 60, "r": 20, "t": 70, "b": 55}, height=360,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )  # fmt: skip
    figure.update_xaxes(**line, showgrid=False)
    # pfns and pages are read to the last digit: 16,125, not 16.125k
    digits: dict[str, Any] = {"exponentformat": "none", "separatethousands": True}
    figure.update_yaxes(**line, **digits, automargin=True, title_standoff=10)
    return figure


def bundle(figure: go.Figure, alt: str) -> dict[str, Any]:
    """What a front end gets: the chart, and its words."""
    chart = {**themed(figure).to_plotly_json(), "config": CONFIG}
    return {"application/vnd.plotly.v1+json": chart, "text/plain": alt}


def show(figure: go.Figure, alt: str) -> None:
    """Display a chart with its text alternative below, for everyone to read."""
    put: Callable[..., None] = display
    put(bundle(figure, alt), raw=True)
    caption = f'{FOLLOW_THEME}<p class="memsim-alt">{html.escape(alt)}</p>'
    put({"text/html": caption, "text/plain": alt}, raw=True)

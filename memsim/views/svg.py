"""One picture of the player as SVG, for a static page or for paper; always the same bytes.

It stands alone: no script, no font, no reference to anything, colours of the light theme. Its
description is the text form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from xml.sax.saxutils import escape

from memsim.views.scene import (
    ALLOCATED,
    FREE,
    ON_NO_LIST,
    PCP,
    RESERVED,
    Block,
    Scene,
)
from memsim.views.text import MAX_LIST, list_sort_key

#: As player.js has it: more pages than these are condensed to cells.
MAX_PAGES = 4096
_CELLS = 2048
_WIDTH, _GUTTER, _LINE = 960, 76, 20
_FILLS = {
    FREE: "#56b4e9",
    PCP: "url(#pcp)",
    ALLOCATED: "url(#allocated)",
    ON_NO_LIST: "#f0e442",
    RESERVED: "url(#reserved)",
}
_NAMES = {
    FREE: "free",
    PCP: "on a pcp list",
    ALLOCATED: "allocated",
    ON_NO_LIST: "on no list",
    RESERVED: "reserved",
}
#: Each kind has a hatching too, so that nothing hangs on the colour.
_PATTERNS = (
    ("pcp", "#e69f00", "#b87f00", "M1 0V6"),
    ("allocated", "#454545", "#ffffff", "M0 6L6 0"),
    ("reserved", "#c9c9c9", "#ffffff", "M0 6L6 0M0 0L6 6"),
)

Mark = Sequence[object]
#: Left, top, width, height.
Rect = tuple[float, float, float, float]


def scene_svg(scene: Scene, sentence: str, marks: Sequence[Mark], title: str, text: str) -> str:
    """The scene, the step's sentence above it, and what the step is about outlined."""
    strip = _Strip(scene)
    body = [
        *_text(8, 18, title, bold=True),
        *_wrapped(8, 38, sentence),
        *strip.draw(70),
        *strip.outlines(70, marks),
    ]
    at = 70 + strip.height + 22
    body += [*_legend(at), *_lists(scene, at + 2 * _LINE)]
    height = at + 2 * _LINE + _LINE * (len(list(_list_lines(scene))) + 1)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" font-family="sans-serif" '
            'font-size="13" fill="#202020">',
            f"<title>{escape(title or 'memsim player')}</title>",
            f"<desc>{escape(text)}</desc>",
            "<defs>",
            *(_pattern(*pattern) for pattern in _PATTERNS),
            "</defs>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _pattern(name: str, back: str, line: str, path: str) -> str:
    return (
        f'<pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<rect width="6" height="6" fill="{back}"/><path d="{path}" stroke="{line}"/></pattern>'
    )


def _text(x: float, y: float, words: str, *, bold: bool = False, anchor: str = "") -> list[str]:
    if not words:
        return []
    weight = ' font-weight="bold"' if bold else ""
    where = f' text-anchor="{anchor}"' if anchor else ""
    return [f'<text x="{x:g}" y="{y:g}"{weight}{where}>{escape(words)}</text>']


def _wrapped(x: float, y: float, words: str) -> list[str]:
    """Two lines at most; the description has all."""
    if len(words) <= 130:
        return _text(x, y, words)
    cut = words.rfind(" ", 0, 130)
    return [*_text(x, y, words[:cut]), *_text(x, y + 16, words[cut + 1 : cut + 130])]


def _only(kinds: list[int]) -> int | None:
    """The only kind that a cell's pages have; None if there are several."""
    found = [kind for kind, count in enumerate(kinds) if count]
    return found[0] if len(found) == 1 else None


class _Strip:
    """Address order: rows of 2**n cells; a cell is a page, or many pages of a large machine."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        pages = scene.end - scene.start
        self.per_cell = 1
        while pages > MAX_PAGES and pages > self.per_cell * _CELLS:
            self.per_cell *= 2
        cells = -(-pages // self.per_cell)
        self.row = 32 if cells <= 64 else 64 if cells <= 1024 else 128
        self.top = scene.start // self.per_cell // self.row
        self.rows = -(-scene.end // self.per_cell // self.row) - self.top
        self.cw = (_WIDTH - _GUTTER - 8) / self.row
        self.ch = min(max(300 // self.rows, 8), 34)
        self.height = self.rows * self.ch

    def draw(self, y: int) -> Iterator[str]:
        """Labels of rows, then the pages."""
        every = -(-14 // self.ch)
        for row in range(0, self.rows, every):
            pfn = max((self.top + row) * self.row * self.per_cell, self.scene.start)
            yield from _text(_GUTTER - 6, y + row * self.ch + 13, str(pfn), anchor="end")
        yield from _shapes(self._cells(y)) if self.per_cell > 1 else self._blocks(y)

    def _blocks(self, y: int) -> Iterator[str]:
        """Each block with its border; the free ones say their order where there is room."""
        blocks = list(self.scene.blocks())
        rects = ((b.kind, rect) for b in blocks for rect in self._rects(y, b.pfn, b.nr_pages))
        yield from _shapes(rects, stroke="#1b1b1b")
        if self.ch >= 14:
            for block in blocks:
                if block.kind == FREE:
                    yield from self._label(y, block)

    def _label(self, y: int, block: Block) -> Iterator[str]:
        x, top, width, height = next(self._rects(y, block.pfn, block.nr_pages))
        if width >= 12:
            label = str(block.order) if width < 64 else f"order {block.order}"
            yield from _text(x + width / 2, top + height / 2 + 5, label, anchor="middle")

    def _rects(self, y: int, pfn: int, nr_pages: int) -> Iterator[Rect]:
        """Where cells are: whole rows as one, the rest row by row."""
        at, end = pfn // self.per_cell, -(-(pfn + nr_pages) // self.per_cell)
        while at < end:
            row, column = divmod(at, self.row)
            whole = (end - at) // self.row if column == 0 else 0
            cells = self.row if whole else min(end - at, self.row - column)
            rows = max(whole, 1)
            yield (
                _GUTTER + column * self.cw,
                y + (row - self.top) * self.ch,
                cells * self.cw,
                rows * self.ch,
            )
            at += cells * rows

    def _cells(self, y: int) -> Iterator[tuple[int, Rect]]:
        """Each cell filled from above as its pages are; runs of cells of one kind as one."""
        for kind, run in groupby(self._counts(), key=lambda cell: _only(cell[1])):
            cells = list(run)
            if kind is not None:
                pages = len(cells) * self.per_cell
                for rect in self._rects(y, cells[0][0] * self.per_cell, pages):
                    yield kind, rect
                continue
            for cell, kinds in cells:
                yield from self._mixed(y, cell, kinds)

    def _mixed(self, y: int, cell: int, kinds: list[int]) -> Iterator[tuple[int, Rect]]:
        x, top, width, height = next(self._rects(y, cell * self.per_cell, self.per_cell))
        for kind, count in enumerate(kinds):
            part = height * count / self.per_cell
            if count:
                yield kind, (x, top, width, part)
            top += part

    def _counts(self) -> list[tuple[int, list[int]]]:
        """Of each cell, how many of its pages are of each kind."""
        counts: dict[int, list[int]] = {}
        for block in self.scene.blocks():
            pfn, left = block.pfn, block.nr_pages
            while left:
                cell = pfn // self.per_cell
                part = min(left, (cell + 1) * self.per_cell - pfn)
                counts.setdefault(cell, [0] * len(_FILLS))[block.kind] += part
                pfn, left = pfn + part, left - part
        return sorted(counts.items())

    def outlines(self, y: int, marks: Sequence[Mark]) -> Iterator[str]:
        """What the step is about; a buddy dashed."""
        for pfn, nr_pages, role in marks:
            dashed = ' stroke-dasharray="6 4"' if role == "buddy" else ""
            assert isinstance(pfn, int)
            assert isinstance(nr_pages, int)
            for rect in self._rects(y, pfn, nr_pages):
                yield _rect(rect, "none", f'stroke="#d55e00" stroke-width="3"{dashed}')


def _shapes(parts: Iterable[tuple[int, Rect]], stroke: str = "none") -> Iterator[str]:
    """All that is of one kind as one shape.

    A PDF has the hatching of each shape as a bitmap of its own: 100 kB, whatever the shape's size.
    """
    paths: dict[int, list[str]] = {}
    for kind, (x, y, width, height) in parts:
        path = f"M{x:.2f} {y:.2f}h{width:.2f}v{height:.2f}h-{width:.2f}z"
        paths.setdefault(kind, []).append(path)
    for kind, rects in sorted(paths.items()):
        dashed = ' stroke-dasharray="3 3"' if kind == ON_NO_LIST else ""
        yield f'<path d="{"".join(rects)}" fill="{_FILLS[kind]}" stroke="{stroke}"{dashed}/>'


def _rect(at: Rect, fill: str, more: str) -> str:
    x, y, width, height = at
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'fill="{fill}" {more}/>'
    )


def _legend(y: int) -> Iterator[str]:
    for number, (kind, name) in enumerate(_NAMES.items()):
        x = 8 + number * 140
        yield _rect((x, y - 11, 20, 14), _FILLS[kind], 'stroke="#1b1b1b"')
        yield from _text(x + 26, y, name)


def _lists(scene: Scene, y: int) -> Iterator[str]:
    yield from _text(8, y, "List order, head first", bold=True)
    for number, line in enumerate(_list_lines(scene), 1):
        yield from _text(8, y + number * _LINE, line)


def _list_lines(scene: Scene) -> Iterator[str]:
    """Each list that is not empty: free lists, then those of CPUs."""
    used = sorted((name for name, pages in scene.lists.items() if pages), key=list_sort_key)
    for name in used:
        pages = scene.lists[name]
        shown = min(MAX_LIST // 4, len(pages))
        more = f" and {len(pages) - shown} more" if len(pages) > shown else ""
        yield f"{scene.names.list(name)}: {' → '.join(map(str, pages[:shown]))}{more}"

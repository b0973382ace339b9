"""find_vmap_lowest_match() node by node: the function itself is run, and watched line by line."""

from __future__ import annotations

import ast
import html
import inspect
import sys
import textwrap
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, NamedTuple

import ipywidgets as widgets

from memsim.lib.bits import PAGE_SIZE
from memsim.lib.rbtree import rb_nodes
from memsim.lib.sizes import show_size
from memsim.mm.vmalloc import tree
from memsim.mm.vmalloc.area import VmapArea, va_size
from memsim.mm.vmalloc.tree import FreeTree, is_within_this_va
from memsim.views.controls import FULL, Controls, scrolling, status
from memsim.views.source import source
from memsim.views.vmalloc_map import offset_of
from memsim.words.vmalloc import VMALLOC_START

WATCHED: tuple[Callable[..., Any], ...] = (tree.find_vmap_lowest_match, tree._roll_back)


class Request(NamedTuple):
    """What is looked for: bytes, alignment, and the lowest address."""

    size: int
    align: int = PAGE_SIZE
    vstart: int = VMALLOC_START

    @property
    def adjust_search_size(self) -> bool:
        """As take_free_area() decides it for a range that is large."""
        return self.align > PAGE_SIZE

    @property
    def length(self) -> int:
        """What a subtree must have for the search to enter it."""
        return self.size + self.align - 1 if self.adjust_search_size else self.size


class Step(NamedTuple):
    """Where the search stands, why it came there, and the line that decided it."""

    area: VmapArea | None
    why: str
    function: Callable[..., Any]
    line: int


class _Seen(NamedTuple):
    function: Callable[..., Any]
    line: int
    area: VmapArea | None
    vstart: int


def search(root: FreeTree, request: Request) -> tuple[VmapArea | None, list[Step]]:
    """Run find_vmap_lowest_match(): what it finds, and each node that it came to."""
    seen: list[_Seen] = []
    found = _watched(seen, root, request)
    steps: list[Step] = []
    for before, now in zip([None, *seen], seen, strict=False):
        if now.area is not None and (not steps or steps[-1].area is not now.area):
            came_from = steps[-1].area if steps else None
            line = before or now
            why = _why(came_from, now.area, request, now.vstart)
            steps.append(Step(now.area, why, line.function, line.line))
    last = seen[-1]
    told = f"fits: {_fit(found, request)}" if found else "nothing fits: the request is refused"
    steps.append(Step(found, told, last.function, last.line))
    return found, steps


def _watched(seen: list[_Seen], root: FreeTree, request: Request) -> VmapArea | None:
    codes = {function.__code__: function for function in WATCHED}
    before = sys.gettrace()
    sys.settrace(lambda frame, event, _: _watch(seen, codes, frame))
    try:
        return tree.find_vmap_lowest_match(
            root, request.size, request.align, request.vstart, request.adjust_search_size
        )
    finally:
        sys.settrace(before)


def _watch(
    seen: list[_Seen], codes: dict[CodeType, Callable[..., Any]], frame: FrameType
) -> Callable[[FrameType, str, Any], Any] | None:
    """A function that sees each line of the two; None for any other function."""
    function = codes.get(frame.f_code)
    if function is None:
        return None

    def each_line(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        names = frame.f_locals
        area = names.get("above", names.get("node"))
        if event == "line":
            seen.append(_Seen(function, frame.f_lineno, area, names["vstart"]))
        return each_line

    return each_line


def _why(before: VmapArea | None, now: VmapArea, request: Request, vstart: int) -> str:
    """Why the search went from one node to the other."""
    length = pages_of(request.length)
    if before is None:
        return "begins at the root"
    if before.rb_left is now:
        largest = pages_of(now.subtree_max_size)
        return f"goes left: subtree_max_size there is {largest}, {length} are looked for"
    if before.rb_parent is now:
        return f"rolls back up: {name_of(before)} has {usable(before, request)} to offer"
    largest = pages_of(now.subtree_max_size)
    moved = "" if vstart == request.vstart else f"; vstart is {offset_of(vstart)} from here on"
    return f"goes right: {_no_left(before, request)}; to the right there are {largest}{moved}"


def _no_left(area: VmapArea, request: Request) -> str:
    left = area.rb_left
    if left is None:
        told = "nothing to the left"
    elif left.subtree_max_size < request.length:
        told = f"at most {pages_of(left.subtree_max_size)} to the left"
    else:
        told = "the left is searched or too low"
    return f"{told}, {usable(area, request)} here"


def usable(area: VmapArea, request: Request) -> str:
    """What an area has for this request, once start and alignment are respected."""
    start = -(-max(area.va_start, request.vstart) // request.align) * request.align
    return pages_of(max(0, area.va_end - start))


def _fit(area: VmapArea, request: Request) -> str:
    start = -(-max(area.va_start, request.vstart) // request.align) * request.align
    assert is_within_this_va(area, request.size, request.align, request.vstart)
    return f"{pages_of(request.size)} at {offset_of(start)}"


def pages_of(size: int) -> str:
    """Bytes as pages, or, where they are many, as a size."""
    pages = size // PAGE_SIZE
    if size >= 1 << 60:
        return f"{size / (1 << 60):.0f} EiB"
    if pages >= 1 << 18:
        return show_size(size)
    more = f" and {size % PAGE_SIZE:,} bytes" if size % PAGE_SIZE else ""
    return f"{pages} page{'' if pages == 1 else 's'}{more}"


def name_of(area: VmapArea) -> str:
    """A free area by where it begins."""
    return "all below VMALLOC_START" if area.va_start < VMALLOC_START else offset_of(area.va_start)


def tree_text(root: FreeTree) -> str:
    """The tree in words: a line for each node, those below it indented; left comes first."""
    lines: list[str] = []
    stack = [(root.rb_node, 0, "root")]
    while stack:
        node, depth, side = stack.pop()
        if node is not None:
            largest = pages_of(node.subtree_max_size)
            told = f"{name_of(node)}, {pages_of(va_size(node))}, subtree_max_size {largest}"
            lines.append(f"{'  ' * depth}{side}: {told}")
            stack += [(node.rb_right, depth + 1, "right"), (node.rb_left, depth + 1, "left")]
    return "\n".join(lines)


WIDTH, HEIGHT, GAP = 104, 52, 34


def tree_svg(root: FreeTree, visited: list[VmapArea], at: VmapArea | None) -> str:
    """The tree: nodes in address order, children below; where the search was, and where it is."""
    areas = list(rb_nodes(root))
    places = {va: (number * (WIDTH + 8) + 4, _depth(va)) for number, va in enumerate(areas)}
    lines, boxes = [], []
    for va, (x, depth) in places.items():
        y = depth * (HEIGHT + GAP) + 4
        if va.rb_parent is not None:
            px, pdepth = places[va.rb_parent]
            py = pdepth * (HEIGHT + GAP) + 4 + HEIGHT
            lines.append(
                f'<line x1="{x + WIDTH // 2}" y1="{y}" x2="{px + WIDTH // 2}" y2="{py}" '
                'stroke="#808080" stroke-width="2"/>'
            )
        boxes.append(_node_svg(va, x, y, va in visited, va is at))
    width = len(areas) * (WIDTH + 8) + 8
    height = (max((depth for _, depth in places.values()), default=0) + 1) * (HEIGHT + GAP)
    return (
        f'<svg width="{width}" height="{height}" style="font: 12px sans-serif" '
        f'aria-hidden="true">{"".join(lines)}{"".join(boxes)}</svg>'
    )


def _depth(va: VmapArea) -> int:
    depth = 0
    while va.rb_parent is not None:
        va, depth = va.rb_parent, depth + 1
    return depth


def _node_svg(va: VmapArea, x: int, y: int, was_here: bool, is_here: bool) -> str:
    stroke = "var(--jp-brand-color1, #0b62c4)" if is_here else "#808080"
    width = 5 if is_here else 3 if was_here else 1
    dash = "" if is_here or not was_here else ' stroke-dasharray="6 3"'
    if va.va_start < VMALLOC_START:
        words = ["all below", "", f"max {pages_of(va.subtree_max_size)}"]
    else:
        size = pages_of(va_size(va))
        words = [name_of(va), size, f"max {pages_of(va.subtree_max_size)}"]
    text = "".join(
        f'<text x="{x + WIDTH // 2}" y="{y + 15 + 15 * row}" text-anchor="middle" '
        f'fill="var(--jp-content-font-color1, currentColor)">{html.escape(word)}</text>'
        for row, word in enumerate(words)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4" fill="none" '
        f'stroke="{stroke}" stroke-width="{width}"{dash}/>{text}'
    )


def lit_source(function: Callable[..., Any], line: int) -> str:
    """The function without its docstring, the line that decided marked. HTML."""
    quoted = source(function)
    lines, first = inspect.getsourcelines(function)
    body = ast.parse(textwrap.dedent("".join(lines))).body[0]
    assert isinstance(body, ast.FunctionDef)
    begin = body.body[1].lineno - 1  # behind the docstring
    shown = []
    for number, text in enumerate(quoted.text.splitlines()[begin:], first + begin):
        lit = "font-weight: bold; background: rgba(86, 180, 233, 0.35);" if number == line else ""
        mark = "▶" if number == line else " "
        shown.append(f'<span style="{lit}">{mark} {html.escape(text)}</span>')
    label = f'<div style="font-size: 13px">{html.escape(f"{function.__name__}()")}</div>'
    code = f'<pre style="line-height: 1.3; margin: 4px 0">{chr(10).join(shown)}</pre>'
    return label + scrolling(code, 'role="region" tabindex="0" aria-label="source"')


class TreeSearch(Controls):
    """A search through the tree of free areas under sliders, step by step both ways."""

    def __init__(self, root: FreeTree, pages: int = 4, max_pages: int = 16) -> None:
        self.root = root
        full = widgets.Layout(**FULL)
        self.pages = widgets.IntSlider(
            value=pages, min=1, max=max_pages, description="pages", layout=full
        )
        self.align = widgets.SelectionSlider(
            options=[(f"{PAGE_SIZE << order >> 10} KiB", PAGE_SIZE << order) for order in range(5)],
            description="alignment", layout=full,
        )  # fmt: skip
        self.step = widgets.IntSlider(min=0, max=0, description="step", layout=full)
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._search()
        for control in (self.pages, self.align):
            control.observe(self._search, names="value")
        self.step.observe(self._show, names="value")
        super().__init__([self.pages, self.align, self.step, self.picture])

    def _search(self, _: Any = None) -> None:
        request = Request(self.pages.value * PAGE_SIZE, self.align.value)
        self.found, self.steps = search(self.root, request)
        self.step.max = len(self.steps) - 1
        self.step.value = 0
        self._show()

    def _show(self, _: Any = None) -> None:
        at = self.steps[self.step.value]
        visited = [step.area for step in self.steps[: self.step.value + 1] if step.area]
        picture = tree_svg(self.root, visited, at.area)
        drawn = scrolling(picture, 'role="region" tabindex="0" aria-label="tree of free areas"')
        self.picture.value = drawn + status(self.told()) + lit_source(at.function, at.line)

    def told(self) -> str:
        """The step under the slider, in one sentence."""
        at = self.steps[self.step.value]
        where = f"at {name_of(at.area)}, " if at.area else ""
        return f"Step {self.step.value} of {len(self.steps) - 1}: {where}{at.why}."

    def text(self) -> str:
        """What is shown, in words."""
        return f"{self.told()}\n{tree_text(self.root)}"

"""How often captures drive each function of a room of memsim/mm, and each arm of its branches.

    python tools/function_counts.py ROOM[,ROOM...] [--closed] CAPTURE... [TEST.py...]

ROOM: a folder or file of memsim/mm, such as page_alloc, or slub,kmalloc. Prints a Markdown table: a
row for each function with what of the kernel it stands for, one for each arm behind it, a column
for each capture. A row of zeros is driven by no capture, and owes a test of its own: a file of
tests is a column too. Arms that only tell who looks (TP_...) are left out.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

_KERNEL = re.compile(r"Kernel: (.*?)(?=\.?(?:\n\s*\n|\s*$))", re.DOTALL)
_COUNTS = "_counts_of_arms"


class Counted:
    """The rows, and what was counted of them since the last column."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.counts: list[int] = []
        self.columns: list[tuple[str, dict[int, int]]] = []

    def row(self, name: str, kernel: str = "") -> int:
        """A new row's number."""
        self.rows.append((name, kernel))
        self.counts.append(0)
        return len(self.rows) - 1

    def column(self, name: str) -> None:
        """What was counted until now is a column."""
        self.columns.append((name, dict(enumerate(self.counts))))
        self.counts[:] = [0] * len(self.counts)


class Arms(ast.NodeTransformer):
    """Lets each function and each arm of one module count how often it is entered."""

    def __init__(self, module: str, counted: Counted) -> None:
        self._within = module
        self._counted = counted

    def _count(self, name: str, kernel: str = "") -> ast.stmt:
        number = self._counted.row(name, kernel)
        return ast.parse(f"{_COUNTS}[{number}] += 1").body[0]

    def _arm(self, text: str) -> ast.stmt:
        return self._count(f"{self._within}: {text}")

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._named(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        told = ast.get_docstring(node) or ""
        if ast.unparse(node.body[-1]) == "...":
            return node
        kernel = " ".join(" ".join(_KERNEL.findall(told)).split())
        entry = self._count(f"{self._within}.{node.name}", kernel)
        self._named(node)
        node.body.insert(1 if told else 0, entry)
        return node

    def _named(self, node: ast.ClassDef | ast.FunctionDef) -> ast.AST:
        outer, self._within = self._within, f"{self._within}.{node.name}"
        self.generic_visit(node)
        self._within = outer
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        text = ast.unparse(node.test)
        if "TP_" in text:
            return self.generic_visit(node)
        taken = self._arm(f"if {text}")
        is_elif = len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
        other = [] if is_elif else [self._arm(f"else of {text}")]
        self.generic_visit(node)
        node.body.insert(0, taken)
        node.orelse = other + node.orelse
        return node

    def _loop(self, node: ast.For | ast.While, text: str) -> ast.AST:
        again = self._arm(text)
        self.generic_visit(node)
        node.body.insert(0, again)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._loop(node, f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}")

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._loop(node, f"while {ast.unparse(node.test)}")

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        guard = f" if {ast.unparse(node.guard)}" if node.guard else ""
        taken = self._arm(f"case {ast.unparse(node.pattern)}{guard}")
        self.generic_visit(node)
        node.body.insert(0, taken)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        text = ast.unparse(node.test)
        arms = {"body": f"if {text}", "orelse": f"else of {text}"}
        for field, label in arms.items():
            number = self._counted.row(f"{self._within}: {label}")
            call = f"{_COUNTS}.__setitem__({number}, {_COUNTS}[{number}] + 1)"
            first = ast.parse(f"({call}, 0)[1]", mode="eval").body
            assert isinstance(first, ast.Subscript)
            assert isinstance(first.value, ast.Tuple)
            first.value.elts[1] = getattr(node, field)
            setattr(node, field, first)
        return self.generic_visit(node)


class _Loader(SourceFileLoader):
    """Loads a module of the rooms with its arms counted, from its source every time."""

    counted = Counted()

    def get_code(self, fullname: str) -> CodeType:
        name = fullname.removeprefix("memsim.mm.")
        tree = Arms(name, self.counted).visit(ast.parse(self.get_data(self.path)))
        return compile(ast.fix_missing_locations(tree), self.path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[_COUNTS] = self.counted.counts
        super().exec_module(module)


class Rooms(MetaPathFinder):
    """Finds the modules of the rooms before anybody else does."""

    def __init__(self, rooms: Sequence[str]) -> None:
        self._rooms = tuple(f"memsim.mm.{room}." for room in rooms)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not f"{fullname}.".startswith(self._rooms):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def count(rooms: Sequence[str], paths: Sequence[Path], closed: bool) -> Counted:
    """Replay each capture, run each file of tests, count what that drives."""
    sys.meta_path.insert(0, Rooms(rooms))
    import pytest

    from memsim.replay.outcome import replay_capture

    counted = _Loader.counted
    counted.column("import")
    counted.columns.clear()
    for path in paths:
        print(f"running {path.name}", file=sys.stderr)
        if path.suffix == ".py":
            assert pytest.main(["-q", "-n0", "-p", "no:cacheprovider", str(path)]) == 0, path
        else:
            replay_capture(path, closed=closed)
        counted.column(path.stem)
    return counted


def table(counted: Counted) -> list[str]:
    """The rows of the table, in Markdown, its head first."""
    names = [name for name, _ in counted.columns]
    lines = [
        "| function: step | kernel | " + " | ".join(names) + " |",
        "|---|---|" + "---:|" * len(names),
    ]
    for number, (name, kernel) in enumerate(counted.rows):
        counts = " | ".join(str(counts.get(number, 0)) for _, counts in counted.columns)
        step = name.replace("|", "\\|")
        lines.append(f"| {step} | {kernel} | {counts} |")
    return lines


def main() -> None:
    """Print the table."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--closed"]
    if len(arguments) < 2:
        sys.exit(__doc__)
    paths = [Path(argument) for argument in arguments[1:]]
    counted = count(arguments[0].split(","), paths, "--closed" in sys.argv)
    if not counted.rows:
        sys.exit(f"{arguments[0]}: no folder or file of memsim/mm")
    print("\n".join(table(counted)))


if __name__ == "__main__":
    main()

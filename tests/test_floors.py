"""The house keeps its shape: who may import whom, how long things may get, and no state on its own.

Every rule is a function from a source tree to its offences, so that each is also shown a small
tree that breaks it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# The floor of each room, a folder or a file of memsim. A room sees lower floors and itself only,
# so rooms on one floor never see each other: not proc, replay and workload; not views and doctor.
FLOORS = {
    "files": 0,
    "lib": 0,
    "words": 1,
    "trace": 2,
    "mm": 3,
    "machine": 4,
    "proc": 5,
    "replay": 5,
    "workload": 5,
    "doctor": 6,
    "views": 6,
    "lab": 7,  # shows what views draw
    "publish": 8,  # shows exercises as lab hands them out
    "__init__": 9,  # what `import memsim` shows: nothing inside the house asks for it
    "cli": 10,
    "__main__": 11,
}
THIRD_PARTY_ROOMS = {"views", "lab", "publish"}
# The core is a function of its state and its requests: no chance, no clock, no reader.
CORE_FLOOR = 3
NOT_IN_CORE = {"random", "secrets", "time", "datetime", "numpy", "IPython"}

FILE_LINES = 500
FUNCTION_LINES = 60

CONTAINERS = {"list", "dict", "set", "bytearray", "array", "deque", "defaultdict", "Counter"}
CONTAINERS |= {"OrderedDict", "ChainMap"}
CHANGES = {"append", "add", "insert", "extend", "update", "setdefault", "pop", "popitem", "remove"}
CHANGES |= {"discard", "clear", "sort", "reverse", "appendleft", "popleft", "extendleft"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """One file of the package, parsed."""

    name: str  # dotted; of an __init__.py: its package's
    path: Path
    is_package: bool
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else "__init__"


class Import(NamedTuple):
    """One module asked for by another."""

    target: str  # dotted
    line: int
    at_load: bool  # done when the module itself is imported


def read_tree(package: Path) -> dict[str, Module]:
    """Every module of a package folder, by dotted name."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        text = path.read_text()
        modules[name] = Module(name, path, is_package, text, ast.parse(text))
    return modules


def imports(module: Module, modules: dict[str, Module]) -> Iterator[Import]:
    """Everything a module imports, at its top or later."""
    for node, at_load in _walk(module.tree, at_load=True):
        for target in _targets(node, module, modules):
            yield Import(target, node.lineno, at_load)


def _walk(tree: ast.AST, at_load: bool) -> Iterator[tuple[ast.AST, bool]]:
    for node in ast.iter_child_nodes(tree):
        yield node, at_load
        later = isinstance(node, Function | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        yield from _walk(node, at_load and not later)


def _targets(node: ast.AST, module: Module, modules: dict[str, Module]) -> Iterator[str]:
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            base = node.module or ""
            if node.level:
                up = module.name.split(".")
                up = up[: len(up) - node.level + module.is_package]
                base = ".".join([*up, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules else base
        case ast.Call(
            func=ast.Name("__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(str(target)), *_],
        ):
            yield target


def rooms_without_a_floor(modules: dict[str, Module]) -> list[str]:
    return [f"{m.name}: no room of this name" for m in modules.values() if m.room not in FLOORS]


def imports_from_above(modules: dict[str, Module]) -> list[str]:
    offences = []
    for module in modules.values():
        for found in imports(module, modules):
            parts = found.target.split(".")
            if parts[0] != "memsim":
                continue
            room = parts[1] if len(parts) > 1 else "__init__"
            if room != module.room and FLOORS.get(room, 99) >= FLOORS.get(module.room, -1):
                offences.append(f"{module.name}:{found.line} imports {found.target}")
    return offences


def third_party_imports(modules: dict[str, Module]) -> list[str]:
    return [
        f"{module.name}:{found.line} imports {found.target}"
        for module in modules.values()
        if module.room not in THIRD_PARTY_ROOMS
        for found in imports(module, modules)
        if found.target.partition(".")[0] not in sys.stdlib_module_names | {"memsim"}
    ]


def chance_and_clocks_in_core(modules: dict[str, Module]) -> list[str]:
    return [
        f"{module.name}:{found.line} imports {found.target}"
        for module in modules.values()
        if FLOORS.get(module.room, 99) <= CORE_FLOOR
        for found in imports(module, modules)
        if found.target.partition(".")[0] in NOT_IN_CORE
    ]


def import_cycles(modules: dict[str, Module]) -> list[str]:
    """Modules that, loading, wait for themselves. Each cycle once, as `a -> b -> a`."""
    asks = {
        name: sorted({i.target for i in imports(m, modules) if i.at_load and i.target in modules})
        for name, m in modules.items()
    }
    cycles, done, trail = [], set(), list[str]()

    def visit(name: str) -> None:
        if name in trail:
            cycles.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            trail.append(name)
            for target in asks[name]:
                visit(target)
            trail.pop()
            done.add(name)

    for name in asks:
        visit(name)
    return cycles


def long_files(modules: dict[str, Module]) -> list[str]:
    return [
        f"{m.name}: {lines} lines"
        for m in modules.values()
        if (lines := len(m.text.splitlines())) > FILE_LINES
    ]


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def function_lines(function: Function) -> int:
    """Lines from `def` to the end, the docstring left out."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        text = function.body[0]
        lines -= (text.end_lineno or 0) - text.lineno + 1
    return lines


def long_functions(modules: dict[str, Module]) -> list[str]:
    return [
        f"{m.name}:{function.lineno} {function.name}: {lines} lines"
        for m in modules.values()
        for function in functions(m.tree)
        if (lines := function_lines(function)) > FUNCTION_LINES
    ]


def without_docstring(modules: dict[str, Module]) -> list[str]:
    offences = [f"{m.name}: module" for m in modules.values() if not ast.get_docstring(m.tree)]
    for module in modules.values():
        offences += [
            f"{module.name}:{node.lineno} {node.name}"
            for node in _public(module.tree)
            if not ast.get_docstring(node)
        ]
    return offences


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Public functions and classes, and the public methods of public classes."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        marks = {getattr(d, "attr", getattr(d, "id", "")) for d in node.decorator_list}
        if not marks & {"setter", "deleter", "overload", "override"}:
            yield node
        if isinstance(node, ast.ClassDef):
            yield from _public(node)


def module_state(modules: dict[str, Module]) -> list[str]:
    """Containers at module level that are not constants, and whatever changes one that is."""
    return [
        f"{module.name}:{line} {what}"
        for module in modules.values()
        for line, what in sorted({*_open_containers(module.tree), *_changes(module.tree)})
    ]


def _open_containers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for name, node, is_final in _module_names(tree):
        if not _is_container(node.value) or name == "__all__":
            continue
        if not (is_final or name.isupper()):
            yield node.lineno, f"{name}: mutable at module level"
        elif not isinstance(node.value, ast.ListComp | ast.DictComp | ast.SetComp) and _is_empty(
            node.value
        ):
            yield node.lineno, f"{name}: empty, so somebody fills it"


def _module_names(tree: ast.Module) -> Iterator[tuple[str, ast.Assign | ast.AnnAssign, bool]]:
    """Names bound when the module loads; not those of functions and classes."""
    stack: list[ast.AST] = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                is_final = isinstance(node, ast.AnnAssign) and "Final" in ast.dump(node.annotation)
                names = (t.id for t in targets if isinstance(t, ast.Name))
                yield from ((name, node, is_final) for name in names)
            elif not isinstance(node, Function | ast.ClassDef | ast.expr):
                stack.append(node)


def _is_container(value: ast.expr | None) -> bool:
    literals = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    if isinstance(value, ast.Call):
        function = value.func
        return getattr(function, "attr", getattr(function, "id", "")) in CONTAINERS
    return isinstance(value, literals)


def _is_empty(value: ast.expr | None) -> bool:
    match value:
        case ast.List(elts=inside) | ast.Dict(keys=inside) | ast.Call(args=inside, keywords=[]):
            return not inside
    return False


def _changes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    held = {name for name, node, _ in _module_names(tree) if _is_container(node.value)}
    for function in functions(tree):
        arguments = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
        stored = {n.id for n in ast.walk(function) if _is_stored(n) and isinstance(n, ast.Name)}
        shared = held - arguments - stored
        for node in ast.walk(function):
            match node:
                case ast.Global(names=names):
                    yield node.lineno, f"global {', '.join(names)}"
                case ast.Subscript(value=ast.Name(name)) if name in shared and _is_stored(node):
                    yield node.lineno, f"{name}: changed"
                case ast.Call(func=ast.Attribute(value=ast.Name(name), attr=attr)) if (
                    name in shared and attr in CHANGES
                ):
                    yield node.lineno, f"{name}: changed"


def _is_stored(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)


Rule = Callable[[dict[str, Module]], list[str]]

RULES: tuple[Rule, ...] = (
    rooms_without_a_floor,
    imports_from_above,
    third_party_imports,
    chance_and_clocks_in_core,
    import_cycles,
    long_files,
    long_functions,
    without_docstring,
    module_state,
)


@pytest.fixture(scope="module")
def house() -> dict[str, Module]:
    return read_tree(ROOT / "memsim")


def test_the_house_is_read(house: dict[str, Module]) -> None:
    assert {"lib", "words", "mm"} <= {module.room for module in house.values()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_offence(rule: Rule, house: dict[str, Module]) -> None:
    assert rule(house) == []


def plant(root: Path, files: dict[str, str]) -> dict[str, Module]:
    """A package `memsim` of these files alone."""
    for name, text in files.items():
        path = root / "memsim" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_tree(root / "memsim")


LONG = "".join(f"    a = {n}\n" for n in range(FUNCTION_LINES))

OFFENCES: tuple[tuple[Rule, dict[str, str], list[str]], ...] = (
    (rooms_without_a_floor, {"attic/a.py": ""}, ["memsim.attic.a: no room of this name"]),
    (
        imports_from_above,
        {"mm/a.py": "from memsim.machine import Machine\n"},
        ["memsim.mm.a:1 imports memsim.machine"],
    ),
    (
        imports_from_above,  # a neighbour on the same floor
        {"replay/a.py": "from memsim.proc.b import f\n", "proc/b.py": ""},
        ["memsim.replay.a:1 imports memsim.proc.b"],
    ),
    (
        imports_from_above,  # relative
        {"views/a.py": "from ..lab import check\n", "lab/check.py": ""},
        ["memsim.views.a:1 imports memsim.lab.check"],
    ),
    (
        imports_from_above,  # the door, from a package's own file
        {"views/__init__.py": "from .. import cli\n", "cli.py": ""},
        ["memsim.views:1 imports memsim.cli"],
    ),
    (
        imports_from_above,  # late, and by way of the front
        {"words/a.py": "def f():\n    import memsim\n"},
        ["memsim.words.a:2 imports memsim"],
    ),
    (
        imports_from_above,  # by name
        {"mm/a.py": "import importlib\nimportlib.import_module('memsim.proc.b')\n"},
        ["memsim.mm.a:2 imports memsim.proc.b"],
    ),
    (
        imports_from_above,  # for a type alone
        {"lib/a.py": "if TYPE_CHECKING:\n    import memsim.words.gfp\n"},
        ["memsim.lib.a:2 imports memsim.words.gfp"],
    ),
    (
        third_party_imports,
        {"proc/a.py": "import numpy.linalg\n"},
        ["memsim.proc.a:1 imports numpy.linalg"],
    ),
    (
        chance_and_clocks_in_core,
        {"mm/a.py": "from random import random\n", "mm/b.py": "def f():\n    import time\n"},
        ["memsim.mm.a:1 imports random", "memsim.mm.b:2 imports time"],
    ),
    (
        import_cycles,
        {"mm/a.py": "from memsim.mm import b\n", "mm/b.py": "from memsim.mm.a import f\n"},
        ["memsim.mm.a -> memsim.mm.b -> memsim.mm.a"],
    ),
    (
        import_cycles,  # through the package's own file
        {"mm/__init__.py": "from .a import f\n", "mm/a.py": "from memsim.mm import g\n"},
        ["memsim.mm -> memsim.mm.a -> memsim.mm"],
    ),
    (long_files, {"mm/a.py": "#\n" * (FILE_LINES + 1)}, ["memsim.mm.a: 501 lines"]),
    (long_functions, {"mm/a.py": "def f():\n" + LONG}, ["memsim.mm.a:1 f: 61 lines"]),
    (
        without_docstring,
        {"mm/a.py": '"""A."""\nclass A:\n    """A."""\n    def f(self): ...\ndef g(): ...\n'},
        ["memsim.mm.a:4 f", "memsim.mm.a:5 g"],
    ),
    (without_docstring, {"mm/a.py": ""}, ["memsim.mm.a: module"]),
    (
        module_state,
        {"mm/a.py": "cache = {}\nif True:\n    seen: set[int] = set()\nSEEN = []\n"},
        [
            "memsim.mm.a:1 cache: mutable at module level",
            "memsim.mm.a:3 seen: mutable at module level",
            "memsim.mm.a:4 SEEN: empty, so somebody fills it",
        ],
    ),
    (
        module_state,
        {
            "mm/a.py": "TABLE = {1: 2}\nn = 0\n"
            "def f():\n    global n\n    TABLE[2] = 3\n    TABLE.pop(1)\n    del TABLE[2]\n"
        },
        [
            "memsim.mm.a:4 global n",
            "memsim.mm.a:5 TABLE: changed",
            "memsim.mm.a:6 TABLE: changed",
            "memsim.mm.a:7 TABLE: changed",
        ],
    ),
)


@pytest.mark.parametrize(
    ("rule", "files", "offences"), OFFENCES, ids=[case[0].__name__ for case in OFFENCES]
)
def test_an_offence_is_seen(
    rule: Rule, files: dict[str, str], offences: list[str], tmp_path: Path
) -> None:
    assert rule(plant(tmp_path, files)) == offences


def test_every_rule_is_shown_an_offence() -> None:
    assert {case[0] for case in OFFENCES} == set(RULES)


def test_what_is_allowed_is_no_offence(tmp_path: Path) -> None:
    modules = plant(
        tmp_path,
        {
            "__init__.py": '"""M."""\nfrom memsim.machine import Machine\n__all__ = ["Machine"]\n',
            "machine.py": '"""M."""\nimport random\nfrom memsim.mm import a\n',
            "mm/__init__.py": '"""M."""\n',
            "mm/a.py": '"""M."""\nfrom memsim.mm.b import f\nORDERS: Final = [0, 1]\n_T = {1: 2}\n'
            'def g(_T):\n    """G."""\n    _T[1] = 3\n',
            "mm/b.py": '"""M."""\nwords = (1, 2)\n'
            'def f():\n    """' + "F.\n" * 100 + '"""\n    from memsim.mm import a\n',
            "views/a.py": '"""M."""\nimport anywidget\n',
            "cli.py": '"""M."""\nimport memsim\n',
            "__main__.py": '"""M."""\nfrom memsim import cli\n',
        },
    )
    assert [offence for rule in RULES for offence in rule(modules)] == []

"""Honest submissions in unusual styles: each gets exactly what is due, through the whole grader."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memsim.lab.grader.course_run import Class, grade_class
from memsim.lab.grader.journal import Journal
from memsim.lab.grader.results import Result
from memsim.lab.grader.walls import why_not
from tests.exercises import ROOT, notebook_of

NO_WALLS = bool(why_not("bwrap") and why_not("landlock"))
pytestmark = pytest.mark.skipif(NO_WALLS, reason="no sandbox here: neither bwrap nor Landlock")

BUDDY, ADDRESS, PARSE = "05_buddy_of_a_pfn", "03_pfn_and_address", "11_parse_buddyinfo"
MAY_MERGE, EXPAND, MERGE = "07_find_the_buddy", "08_expand", "09_merge"
OBJECTS, VMAP, INDEX = "27_objects_per_slab", "37_vmap_merge", "38_page_table_index"
#: The answer of the notebook in solutions/, whatever stands around it.
OWN = "OWN"

#: By name: the exercise, the cells (a "+" begins one beside the answer), the points due.
HONEST: dict[str, tuple[str, list[str], float]] = {
    "recursion": (BUDDY, ["""
def answers(given):
    def rest(blocks):
        if not blocks:
            return []
        (pfn, order), *more = blocks
        return [[pfn ^ 1 << order, pfn & ~(1 << order)], *rest(more)]
    return rest(given["blocks"])
"""], 8),
    "a generator, turned to a list": (BUDDY, ["""
def found(given):
    for pfn, order in given["blocks"]:
        buddy = pfn ^ 1 << order
        yield [buddy, min(pfn, buddy)]
def answers(given):
    return list(found(given))
"""], 8),
    "a lambda, and tuples for lists": (BUDDY, ["""
answers = lambda given: [(p ^ 1 << o, p >> o + 1 << o + 1) for p, o in given["blocks"]]
"""], 8),
    "strings of bits": (BUDDY, ["""
def answers(given):
    found = []
    for pfn, order in given["blocks"]:
        bits = list(f"{pfn:064b}")
        bits[63 - order] = "1" if bits[63 - order] == "0" else "0"
        buddy = int("".join(bits), 2)
        found.append([buddy, sorted([pfn, buddy])[0]])
    return found
"""], 8),
    "the model's own function": (BUDDY, ["""
from memsim.mm.page_alloc.buddy import _find_buddy_pfn
def answers(given):
    pairs = [(pfn, _find_buddy_pfn(pfn, order)) for pfn, order in given["blocks"]]
    return [[buddy, pfn & buddy] for pfn, buddy in pairs]
"""], 8),
    "prints at each call": (
        BUDDY,
        [
            OWN,
            """+
_quiet = answers
def answers(given):
    print("asked")
    return _quiet(given)
""",
        ],
        8,
    ),
    "every second block left out": (BUDDY, ["""
def answers(given):
    right = [[pfn ^ 1 << order, pfn & ~(1 << order)] for pfn, order in given["blocks"]]
    return [pair if row % 2 else None for row, pair in enumerate(right)]
"""], 4),
    "fails behind the first three blocks": (BUDDY, ["""
def answers(given):
    class Late(list):
        pass
    found = Late()
    for row, (pfn, order) in enumerate(given["blocks"]):
        found.append([pfn ^ 1 << order, pfn & ~(1 << order)] if row < 3 else [0, 0])
    return list(found)
"""], 3),
    "only the buddies": (BUDDY, ["""
def answers(given):
    return [[pfn ^ 1 << order, -1] for pfn, order in given["blocks"]]
"""], 0),
    "prints, a warning and a docstring": (ADDRESS, ["+print('Größe →', '<b>', 12)", OWN, """+
import sys, warnings
warnings.warn("mind the gap")
print("done", file=sys.stderr)
"""], 8),
    "type hints and a dataclass": (ADDRESS, ["""
from __future__ import annotations
from dataclasses import dataclass
from typing import Any

@dataclass(frozen=True, slots=True)
class Page:
    pfn: int
    @property
    def zone(self) -> str:
        return "DMA" if self.pfn < 4096 else "DMA32" if self.pfn < 1 << 20 else "Normal"

VMEMMAP: int = 0xFFFFEA0000000000

def answers(given: dict[str, Any]) -> list[int | str]:
    def page(told: str, value: int) -> Page:
        match told:
            case "physical address": return Page(value >> 12)
            case "struct page": return Page((value - VMEMMAP) // 64)
            case _: return Page(value)
    def say(page: Page, asked: str) -> int | str:
        return {"pfn": page.pfn, "physical address": page.pfn * 4096,
                "struct page": VMEMMAP + 64 * page.pfn, "zone": page.zone}[asked]
    return [say(page(told, value), asked) for told, value, asked in given["rows"]]
"""], 8),
    "names that are not ASCII": (OBJECTS, ["""
def aufgerundet(größe, π): return -(-größe // π) * π
def answers(given):
    ergebnis = []
    for 大きさ, align, ctor, order in given["rows"]:
        Σ = aufgerundet(aufgerundet(大きさ, 8) + 8 * ctor, align)
        n = (4096 << order) // Σ
        ergebnis.append([Σ, n, (4096 << order) - n * 大きさ])
    return ergebnis
"""], 8),
    "a helper in the cell before": (OBJECTS, ["+def up(n, to): return n + -n % to", """
def answers(given):
    rows = []
    for size, align, ctor, order in given["rows"]:
        taken = up(up(size, 8) + 8 * ctor, align)
        rows.append([taken, (4096 << order) // taken, (4096 << order) % taken
                     + (4096 << order) // taken * (taken - size)])
    return rows
"""], 8),
    "a helper in the cell behind": (OBJECTS, ["""
def answers(given):
    return [row_of(*row) for row in given["rows"]]
""", """+
def row_of(size, align, ctor, order):
    taken = up(up(size, 8) + 8 * ctor, align)
    objects = (4096 << order) // taken
    return [taken, objects, (4096 << order) - objects * size]
def up(n, to): return n + -n % to
"""], 8),
    "waste counted in slots, so that no row is whole": (OBJECTS, ["""
def answers(given):
    return [[0, 0, 0] for _ in given["rows"]]
"""], 0),
    "divmod and map": (INDEX, ["""
def answers(given):
    def row(levels, address):
        rest, byte = divmod(address & (1 << 57) - 1, 4096)
        entries = []
        for _ in range(5):
            rest, entry = divmod(rest, 512)
            entries.insert(0, entry)
        if levels == 4:
            entries[:2] = [entries[1], 0]
        return [*entries, byte]
    return list(map(lambda pair: row(*pair), given["rows"]))
"""], 8),
    "slow, but in time": (INDEX, ["+import time", OWN, """+
_quick = answers
def answers(given):
    time.sleep(0.1)
    return _quick(given)
"""], 8),
    "lines of IPython": (INDEX, ["%matplotlib inline\n" + OWN, "+!ls\n%time 1\nanswers?"], 8),
    "a method for a function": (MAY_MERGE, ["""
class Table:
    def __init__(self, blocks): self.rows = {pfn: more for pfn, *more in blocks}
    def buddy(self, pfn, order):
        asked = self.rows.get(pfn ^ 1 << order)
        return pfn ^ 1 << order if asked == [order, "free", self.rows[pfn][2]] else None
def find_buddy(pfn, order, blocks):
    return Table(blocks).buddy(pfn, order)
"""], 8),
    "a class with a base, and super()": (EXPAND, ["""
import abc
class Lists(abc.ABC):
    def __init__(self, largest):
        super().__init__()
        self.free_area = [[] for _ in range(largest)] + [[0]]
    def free_lists(self):
        return [list(pfns) for pfns in self.free_area]
    @abc.abstractmethod
    def alloc(self, order): ...
class Buddy(Lists):
    def alloc(self, order):
        if order >= len(self.free_area):
            return None
        if not self.free_area[order]:
            if (whole := self.alloc(order + 1)) is None:
                return None
            self.free_area[order] = [whole, whole + (1 << order)]
        return self.free_area[order].pop(0)
"""], 12),
    "deques, and state in a closure": (EXPAND, ["""
from collections import deque
def Buddy(largest):
    area = [deque() for _ in range(largest)] + [deque([0])]
    class It:
        def free_lists(self): return [list(pfns) for pfns in area]
        def alloc(self, order):
            high = next((h for h in range(order, len(area)) if area[h]), None)
            if high is None:
                return None
            pfn = area[high].popleft()
            for lower in reversed(range(order, high)):
                area[lower].appendleft(pfn + (1 << lower))
            return pfn
    return It()
"""], 12),
    "its own names, a property and __slots__": (MERGE, ["""
class Buddy:
    __slots__ = ("_by_order", "_top")
    def __init__(self, largest):
        self._top = largest
        self._by_order = {order: [] for order in range(largest + 1)}
    @property
    def area(self): return [self._by_order[order] for order in range(self._top + 1)]
    def free_lists(self): return self.area
    def _has(self, pfn, order): return pfn in self._by_order.get(order, ())
    def free(self, pfn, order):
        while order < self._top and self._has(pfn ^ 1 << order, order):
            self._by_order[order].remove(pfn ^ 1 << order)
            pfn, order = pfn & ~(1 << order), order + 1
        merged = pfn & ~(1 << order)
        tail = order + 1 < self._top and self._has(merged ^ 2 << order, order + 1)
        at = len(self._by_order[order]) if tail else 0
        self._by_order[order].insert(at, pfn)
"""], 14),
    "the course's own answer": (MERGE, [OWN], 14),
    "split, not with a regular expression": (PARSE, ["""
def parse(text):
    rows = []
    for line in text.split("\\n"):
        words = line.split()
        if not words:
            continue
        if len(words) < 5 or words[0] != "Node" or words[2] != "zone" or words[1][-1] != ",":
            return None
        numbers = [words[1][:-1], *words[4:]]
        if not all(n.isascii() and n.isdigit() for n in numbers) or not words[3].isalnum():
            return None
        rows.append([int(numbers[0]), words[3], [int(n) for n in numbers[1:]]])
    keys = {(node, zone) for node, zone, _ in rows}
    if not text.endswith("\\n") or len(keys) < len(rows):
        return None
    return rows if len({len(nr_free) for *_, nr_free in rows}) == 1 else None
"""], 10),
    "a generator that a class keeps": (VMAP, ["""
class FreeAreas:
    def __init__(self, areas):
        self.pages = {page for start, end in areas for page in range(start, end)}
    def _runs(self):
        start = last = None
        for page in sorted(self.pages):
            if start is not None and page != last + 1:
                yield [start, last + 1]
                start = None
            start, last = (page if start is None else start), page
        if start is not None:
            yield [start, last + 1]
    def free_areas(self):
        return list(self._runs())
    def add(self, start, end):
        new = set(range(start, end))
        if new & self.pages:
            return None
        self.pages |= new
        return next(run for run in self._runs() if run[0] <= start < run[1])
"""], 12),
}  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """All of them, graded in one run in the best sandbox there is here; by name."""
    folder = tmp_path_factory.mktemp("honest")
    names = {f"s{number:02}": name for number, name in enumerate(HONEST)}
    for student, name in names.items():
        exercise, cells, _ = HONEST[name]
        (folder / "in" / student).mkdir(parents=True)
        told = json.dumps(handed_in(exercise, cells))
        (folder / "in" / student / f"{exercise}.ipynb").write_text(told)
    grade_class(Class(ROOT), folder / "in", folder / "out", jobs=2)
    with Journal(folder / "out" / "journal.sqlite") as journal:
        return {names[result.student]: result for result in journal.results()}


def handed_in(exercise: str, cells: list[str]) -> Any:
    """The exercise as handed out, with the answer in its cell and the other cells around it."""
    notebook: Any = notebook_of("exercises", exercise)
    (at,) = [
        i for i, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("solution")
    ]
    marked = notebook.cells[at]
    own = next(
        c.source for c in notebook_of("solutions", exercise).cells
        if c.metadata.get("nbgrader", {}).get("solution")
    )  # fmt: skip
    made = []
    for source in cells:
        extra = source.startswith("+")
        metadata = {} if extra else marked.metadata
        text = source.removeprefix("+").replace(OWN, own)
        made.append({**marked, "metadata": metadata, "source": text})
    notebook.cells[at : at + 1] = made
    return notebook


def test_they_are_many_and_of_many_exercises() -> None:
    assert len(HONEST) >= 20
    assert len({exercise for exercise, _, _ in HONEST.values()}) >= 6


@pytest.mark.parametrize("name", HONEST)
def test_each_gets_exactly_what_is_due(name: str, graded: dict[str, Result]) -> None:
    result = graded[name]
    wrong = [case for case in result.cases if case["score"] < 1]
    assert (result.score, result.outcome) == (HONEST[name][2], "ran"), wrong[:2]
    assert result.mode in ("bwrap", "landlock")


def test_what_was_printed_is_kept_and_what_hidden_cases_print_is_not(
    graded: dict[str, Result],
) -> None:
    printed = graded["prints, a warning and a docstring"].printed
    assert printed.startswith("Größe → <b> 12\n")
    assert printed.endswith("done\n")
    result = graded["prints at each call"]
    assert result.printed == "asked\n" * sum(case["visible"] for case in result.cases)
    assert not all(case["visible"] for case in result.cases)

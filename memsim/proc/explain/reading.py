"""A report line by line: what each line is, its words one by one, and what follows from it.

Lines of other things between them are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from memsim.lib.sizes import show_size
from memsim.mm.mem_info import LAST_LINES
from memsim.proc import failure_forms as forms
from memsim.proc.explain.explanation import Explanation, explain_log
from memsim.proc.explain.meanings import COUNTERS, FUNCTIONS, LAST, REQUEST, TASKS, Meaning

_STACK = re.compile(r" (\? )?([\w.]+)\+0x([0-9a-f]{1,8})/0x([0-9a-f]{1,8})$", re.ASCII)
_INFO = re.compile(r"CPU: (\d+) (?:UID: (\d+) )?PID: (\d+) Comm: ", re.ASCII)
_REGISTERS = re.compile(r"(?:RIP|RSP|RAX|RDX|RBP|R10|R13|Code): ", re.ASCII)
_LAST_KEYS = {(before, behind): key for key, before, behind in LAST_LINES}
_UNKNOWN = Meaning("", "")


class Word(NamedTuple):
    """A word of a line: its name, its number as printed and as a size, its meaning, its place."""

    name: str
    value: str
    size: str
    says: str
    place: str


class Reading(NamedTuple):
    """A line: its number in the log, its text, what prints it, what it is, words, and findings.

    follows: what memsim's explanation says of this line: which check refused, who has most points.
    """

    number: int
    text: str
    about: str
    printed_by: str
    words: list[Word]
    follows: list[str]


def read_lines(text: str, name: str = "log") -> list[list[Reading]]:
    """The lines of each report of a log. BadInput names a line that is wrong."""
    lines = text.split("\n")
    explained = explain_log(text, name)
    starts = [explanation.report.line for explanation in explained] + [len(lines) + 1]
    return [
        list(_of_report(lines, explanation, starts[at + 1]))
        for at, explanation in enumerate(explained)
    ]


def _of_report(lines: list[str], explanation: Explanation, end: int) -> Iterator[Reading]:
    reader = _Lines()
    for number in range(explanation.report.line, end):
        bare = forms.PREFIX.sub("", lines[number - 1], count=1).rstrip()
        read = reader.read(bare)
        if read is not None:
            follows = [one.says for one in explanation.findings if one.line == number]
            yield Reading(number, bare, *read, follows)


_Read = tuple[str, str, list[Word]]


class _Lines:
    """The lines of one report, in order: a table's rows need its head."""

    def __init__(self) -> None:
        self.columns: list[str] = []

    def read(self, line: str) -> _Read | None:
        """(about, printed by, words), or None for what is no line of a report."""
        for pattern, take in _TAKERS:
            if found := pattern.match(line):
                return take(self, found)
        return None

    def first(self, found: re.Match[str]) -> _Read:
        """The first line of either kind."""
        told = found.groupdict()
        names = {"comm": "comm", "mask": "gfp_mask", "order": "order", "adj": "oom_score_adj",
                 "nodemask": "nodemask", "cpuset": "cpuset", "mems": "mems_allowed"}  # fmt: skip
        if "what" in told:
            order = forms.ORDER.search(told["what"])
            told["order"] = order[1] if order else "0"
        words = [
            _word(REQUEST, shown, _value_of(told, key), _size_of_order(shown, told[key]))
            for key, shown in names.items()
            if told.get(key)
        ]
        if "what" in told:
            return "a request failed", "mm/page_alloc.c warn_alloc()", words
        return "the OOM killer was asked", "mm/oom_kill.c dump_header()", words

    def info(self, found: re.Match[str]) -> _Read:
        """CPU, user and thread."""
        named = zip(("CPU", "UID", "PID"), found.groups(), strict=True)
        words = [_word(REQUEST, name, value) for name, value in named if value]
        return "who asked, and where", "lib/dump_stack.c dump_stack_print_info()", words

    def stack(self, found: re.Match[str]) -> _Read:
        """A function that was running."""
        unsure, function, offset, size = found.groups()
        plain = re.sub(r"\.(?:cold|constprop\.\d+|isra\.\d+|part\.\d+)", "", function)
        at = f"0x{offset} bytes into it, of 0x{size}"
        says = FUNCTIONS.get(plain, "waits for the function above it")
        if unsure:
            says = "? : an address that lay on the stack, perhaps of an earlier call"
        about = "a function of the stack, the last called first"
        return about, "arch/x86/kernel/dumpstack.c", [Word(plain, at, "", says, "")]

    def totals(self, found: re.Match[str]) -> _Read:
        """Counters of all nodes, in pages."""
        words = [_counter(name, value, 4) for name, value in _pairs(found[0])]
        return "all nodes together, in pages", "mm/show_mem.c show_free_areas()", words

    def node(self, found: re.Match[str]) -> _Read:
        """Counters of a node, in kB."""
        words = [_counter(name, value, 1) for name, value in _pairs(found[2])]
        words.append(_word(COUNTERS, "all_unreclaimable?", found[3]))
        return f"node {found[1]}, in kB", "mm/show_mem.c show_free_areas()", words

    def zone(self, found: re.Match[str]) -> _Read:
        """Counters of a zone, in kB."""
        words = [_counter(name, value, 1) for name, value in _pairs(found[3])]
        about = f"zone {found[2]}, in kB: free, and the marks it is held against"
        return about, "mm/show_mem.c show_free_areas()", words

    def reserve(self, found: re.Match[str]) -> _Read:
        """What the zone above keeps, from whom."""
        place = "mm/page_alloc.c setup_per_zone_lowmem_reserve()"
        words = [
            Word(f"[{at}]", value, _pages(int(value)), "kept from requests that may go up to "
                 f"zone number {at}: added to the mark", place)
            for at, value in enumerate(found[1].split())
        ]  # fmt: skip
        about = "what the zone above keeps back, in pages"
        return about, "mm/show_mem.c show_free_areas()", words

    def blocks(self, found: re.Match[str]) -> _Read:
        """The free blocks of a zone."""
        words = [
            Word(f"order {order}", block[0], show_size(int(block[1]) * int(block[2]) << 10),
                 _types(block[3] or ""), "zone->free_area, mm/page_alloc.c __add_to_free_list()")
            for order, block in enumerate(forms.BLOCK.finditer(found[3]))
        ]  # fmt: skip
        about = f"zone {found[2]}: free blocks by order, counted under zone->lock"
        return about, "mm/show_mem.c show_free_areas()", words

    def huge(self, found: re.Match[str]) -> _Read:
        """Huge pages of one size."""
        about = f"huge pages of {show_size(int(found[5]) << 10)}, set aside by vm.nr_hugepages"
        return about, "mm/hugetlb.c hugetlb_show_meminfo_node()", []

    def last(self, found: re.Match[str]) -> _Read:
        """A total behind the zones."""
        key = _LAST_KEYS.get((found["before"], found["behind"]), "")
        kb = 1 if found["behind"] == "kB" else 4
        name = (found["before"] or found["behind"]).strip(" =")
        meaning = LAST.get(key, _UNKNOWN)
        size = show_size(int(found["number"]) * kb << 10)
        word = Word(name, found["number"], size, *meaning)
        return "a total", meaning.place.split(", ")[-1], [word]

    def head(self, found: re.Match[str]) -> _Read:
        """The columns of the table of tasks."""
        self.columns = ["pid", *found[1].split()]
        words = [_word(TASKS, name, "") for name in [*self.columns, "name"]]
        return "the table of tasks: sizes in pages", "mm/oom_kill.c dump_tasks()", words

    def task(self, found: re.Match[str]) -> _Read | None:
        """A row of the table."""
        values = [found[1], *found[2].split()]
        if len(values) != len(self.columns):
            return None
        words = [
            _word(TASKS, name, value, _task_size(name, int(value)))
            for name, value in zip(self.columns, values, strict=True)
        ]
        return f"{found[3]}, a process", "mm/oom_kill.c dump_task()", words

    def chosen(self, found: re.Match[str]) -> _Read:
        """The line that sums up."""
        told = found[0].removeprefix("oom-kill:")
        names = r"(\w+)=(.*?)(?=,\w+=|,global_oom|$)"
        words = [_word(TASKS, name, value) for name, value in re.findall(names, told)]
        if ",global_oom," in told:
            words.append(_word(TASKS, "global_oom", ""))
        return "the choice in one line", "mm/oom_kill.c dump_oom_victim()", words

    def killed(self, found: re.Match[str]) -> _Read:
        """What the victim had."""
        words = [
            _word(TASKS, name, value, show_size(int(value) << 10) if unit else "")
            for name, value, unit in re.findall(r"([\w-]+):(-?\d+)(kB)?", found[0])
        ]
        return "the kill", "mm/oom_kill.c __oom_kill_process()", words

    def reaped(self, found: re.Match[str]) -> _Read:
        """What the reaper left."""
        words = [
            _word(TASKS, name, value, show_size(int(value) << 10))
            for name, value in re.findall(r"([\w-]+):(\d+)kB", found[0])
        ]
        return "the reaper: what the victim still has", "mm/oom_kill.c oom_reap_task_mm()", words


def _plain(about: str, place: str) -> Callable[[_Lines, re.Match[str]], _Read]:
    """A line without numbers that matter."""
    return lambda reader, found: (about, place, [])


_TAKERS: list[tuple[re.Pattern[str], Callable[[_Lines, re.Match[str]], _Read | None]]] = [
    (forms.INVOKED, _Lines.first),
    (forms.FAILED, _Lines.first),
    (_INFO, _Lines.info),
    (re.compile(r"Hardware name: "), _plain("the machine", "lib/dump_stack.c")),
    (re.compile(r"Call Trace:|<TASK>|</TASK>| <TASK>| </TASK>"),
     _plain("the stack of who asked", "arch/x86/kernel/dumpstack.c")),
    (_STACK, _Lines.stack),
    (_REGISTERS, _plain("registers of the process at the moment of the fault",
                        "arch/x86/kernel/process_64.c")),
    (re.compile(r"Mem-Info:"), _plain("from here on: the state of memory",
                                      "mm/show_mem.c __show_mem()")),
    (forms.TOTALS, _Lines.totals),
    (forms.NODE, _Lines.node),
    (forms.ZONE, _Lines.zone),
    (forms.RESERVE, _Lines.reserve),
    (forms.BLOCKS, _Lines.blocks),
    (forms.HUGE, _Lines.huge),
    (forms.LAST, _Lines.last),
    (re.compile(r"Tasks state"), _plain("from here on: who could be killed",
                                        "mm/oom_kill.c dump_tasks()")),
    (forms.TASKS, _Lines.head),
    (forms.TASK, _Lines.task),
    (forms.CHOSEN, _Lines.chosen),
    (forms.KILLED, _Lines.killed),
    (forms.REAPED, _Lines.reaped),
]  # fmt: skip


def _word(table: dict[str, Meaning], name: str, value: str, size: str = "") -> Word:
    return Word(name, value, size, *table.get(name, _UNKNOWN))


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    for found in forms.COUNTER.finditer(line):
        yield found[1], found[2]


def _counter(name: str, value: str, kb: int) -> Word:
    return _word(COUNTERS, name, value, show_size(int(value) * kb << 10))


def _pages(pages: int) -> str:
    return show_size(pages << 12)


def _size_of_order(name: str, value: str) -> str:
    return _pages(1 << int(value)) if name == "order" and 0 <= int(value) < 20 else ""


def _value_of(told: dict[str, str | None], key: str) -> str:
    """The mask comes with its names."""
    value = told[key] or ""
    return f"0x{value}, {told['names']}" if key == "mask" and told.get("names") else value


def _task_size(name: str, value: int) -> str:
    """Columns that are sizes."""
    if name == "pgtables_bytes":
        return show_size(value)
    return _pages(value) if name in ("total_vm", "swapents") or name.startswith("rss") else ""


def _types(letters: str) -> str:
    """The letters behind a number of blocks. Kernel: mm/show_mem.c show_migration_types()."""
    names = {"U": "unmovable", "M": "movable", "E": "reclaimable", "H": "HIGHATOMIC", "C": "CMA",
             "I": "isolated"}  # fmt: skip
    return ", ".join(names[letter] for letter in letters)

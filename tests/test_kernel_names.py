"""What lessons and docstrings call the kernel's is the kernel's."""

from __future__ import annotations

import kernel_names
import pytest
from kernel_names import VERSION, Named, names_in

import memsim
from memsim.machine import Machine

KNOWN = kernel_names.known()
ANY_FILE = {name for name, _ in KNOWN}
#: Spans of code in the lessons that are nobody's names: commands, an address, a column.
OTHER_WORDS = frozenset({"sudo", "ffffea0000000000", "exercises"})


def is_memsims(name: str) -> bool:
    return name in memsim.__all__ or hasattr(Machine, name)


def unknown(named: Named) -> str | None:
    """What is wrong with a name that is not 6.12's, not another version's and not memsim's."""
    name, file, where, text = named
    if (name, file) in KNOWN or is_memsims(name) or name in OTHER_WORDS:
        return None
    if not file and VERSION.search(text):
        return None
    return f"{where}: {name} is not in {file or 'Linux 6.12'}, and no version stands beside it"


def test_names_in_lessons_are_those_of_6_12_or_carry_their_version() -> None:
    assert [wrong for named in kernel_names.of_lessons() if (wrong := unknown(named))] == []


def test_names_in_exercises_are_those_of_6_12_or_carry_their_version() -> None:
    assert [wrong for named in kernel_names.of_exercises() if (wrong := unknown(named))] == []


def test_functions_that_docstrings_name_are_in_the_file_that_they_name() -> None:
    assert [wrong for named in kernel_names.of_docstrings() if (wrong := unknown(named))] == []


def test_the_list_has_only_names_that_are_used() -> None:
    used = {(n.name, n.file) for n in kernel_names.of_lessons()}
    used |= {(n.name, n.file) for n in kernel_names.of_docstrings()}
    used |= {(n.name, n.file) for n in kernel_names.of_exercises()}
    assert used >= KNOWN


@pytest.mark.parametrize(
    ("span", "names"),
    [
        ("__free_pages(page, order)", ["__free_pages"]),
        ("struct page *", ["page"]),
        ("zone->free_area[order].free_list", ["zone", "free_area"]),
        ("mm/page_alloc.c", ["mm/page_alloc.c"]),
        ("cat /proc/buddyinfo", []),
        ("pfn ^ (1 << order)", []),
    ],
)
def test_names_are_found_in_spans_of_code(span: str, names: list[str]) -> None:
    assert names_in(span) == names


def test_a_wrong_name_is_told() -> None:
    assert unknown(Named("no_such_function", "", "a lesson", "`no_such_function()` does it."))
    assert unknown(Named("expand", "mm/slub.c", "a module", "Kernel: mm/slub.c expand()"))
    assert unknown(Named("__GFP_COLD", "", "a lesson", "`__GFP_COLD` asks for the tail."))
    assert not unknown(Named("__GFP_COLD", "", "a lesson", "`__GFP_COLD` is gone (in v4.15)."))

"""A report taken apart: every line read, every word known, and its places are the kernel's."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from kernel_names import known

from memsim import GFP_ATOMIC, Machine, PageAllocationFailure
from memsim.proc.explain.meanings import COUNTERS, LAST, REQUEST, TASKS, Meaning
from memsim.proc.explain.reading import Reading, read_lines
from memsim.words.errors import BadInput
from tests.kernel_names import claims_of

DATA = Path(__file__).parent / "data" / "oom"
DMESG = lzma.decompress((DATA / "highatomic_dmesg.txt.xz").read_bytes()).decode()
REPORTS = read_lines(DMESG)
ALL = [reading for report in REPORTS for reading in report]
EVERY_MEANING = [m for table in (COUNTERS, LAST, REQUEST, TASKS) for m in table.values()]


def line(number: int) -> Reading:
    return next(reading for reading in ALL if reading.number == number)


def word(number: int, name: str) -> tuple[str, str]:
    """(printed, its size) of a word of a line."""
    return next((w.value, w.size) for w in line(number).words if w.name == name)


def test_every_line_of_a_recorded_log_is_read_from_the_first_report_on() -> None:
    lines = DMESG.rstrip("\n").split("\n")
    assert [reading.number for reading in ALL] == list(range(3, len(lines) + 1))
    assert [len(report) for report in REPORTS] == [66, 55, 67, 67]
    assert all(reading.text in lines[reading.number - 1] for reading in ALL)


def test_every_word_is_known_and_every_line_says_who_prints_it() -> None:
    assert [
        w for reading in ALL for w in reading.words if not w.says and "order" not in w.name
    ] == []
    assert all(reading.about and "/" in reading.printed_by for reading in ALL)


def test_sizes_follow_the_unit_of_the_line() -> None:
    assert word(35, "inactive_anon") == ("101439", "396.2 MiB")  # pages
    assert word(43, "inactive_anon") == ("405756", "396.2 MiB")  # kB
    assert word(44, "managed") == ("15360", "15 MiB")
    assert word(45, "[1]") == ("563", "2.2 MiB")
    assert word(48, "order 8") == ("1*1024kB (E)", "1 MiB")
    assert word(56, "pages RAM") == ("163707", "639.5 MiB")
    assert word(55, "Total swap") == ("0", "0 B")


def test_a_row_of_the_table_has_the_columns_of_its_head() -> None:
    row = next(r for r in REPORTS[0] if r.about == "wl, a process" and "177" in r.text)
    assert [w.name for w in row.words] == [
        "pid", "uid", "tgid", "total_vm", "rss", "rss_anon", "rss_file", "rss_shmem",
        "pgtables_bytes", "swapents", "oom_score_adj",
    ]  # fmt: skip
    told = {w.name: (w.value, w.size) for w in row.words}
    assert told["rss"] == ("106292", "415.2 MiB")
    assert told["pgtables_bytes"] == ("897024", "876 KiB")
    assert told["oom_score_adj"] == ("1000", "")


def test_what_follows_stands_at_its_line() -> None:
    assert "18 too few" in line(44).follows[0]
    assert "728 too few" in line(46).follows[0]
    assert line(45).follows == []
    chosen = next(r for r in REPORTS[0] if r.text.startswith("oom-kill:"))
    assert {w.name: w.value for w in chosen.words}["constraint"] == "CONSTRAINT_NONE"
    assert "global_oom" in {w.name for w in chosen.words}


def test_a_function_of_the_stack_and_what_only_lay_there() -> None:
    assert [w[:2] for w in line(12).words] == [
        ("__alloc_pages_slowpath", "0xc27 bytes into it, of 0xdc0")
    ]
    assert "perhaps of an earlier call" in line(15).words[0].says


def test_a_report_of_the_model_is_read_too() -> None:
    machine = Machine("64 MiB", steps=False)
    text = ""
    while not text:
        try:
            machine.alloc_pages(GFP_ATOMIC)
        except PageAllocationFailure as failure:
            text = failure.report
    [report] = read_lines(text)
    assert report[0].about == "a request failed"
    assert any("for __GFP_HIGH" in said for reading in report for said in reading.follows)


def test_lines_of_others_are_left_out_and_no_report_is_told() -> None:
    first, *rest = DMESG.split("\n")[2:68]
    mixed = "\n".join([first, "[   26.24] usb 1-1: new device", *rest])
    [report] = read_lines(mixed)
    assert [reading.text for reading in report] == [reading.text for reading in REPORTS[0]]
    with pytest.raises(BadInput, match="no line has 'invoked oom-killer'"):
        read_lines("nothing\n")


@pytest.mark.parametrize("meaning", EVERY_MEANING, ids=lambda meaning: meaning.says[:30])
def test_a_place_is_in_the_kernel(meaning: Meaning) -> None:
    assert meaning.says
    assert [n for n in claims_of(meaning.place) if (n.name, n.file) not in known()] == []

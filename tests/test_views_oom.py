"""Lesson 16's widgets and helpers: a report's lines, the sums of a choice, remedies, programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from memsim import GFP_KERNEL
from memsim.proc.failure_parse import parse_reports
from memsim.views import clinic, lesson16
from memsim.views.badness_desk import BadnessDesk
from memsim.views.clinic import PATIENTS, REMEDIES, Clinic, treated
from memsim.views.report_reader import ReportReader, reading_text
from memsim.workload.programs import Programs

LOG = (Path(__file__).parents[1] / "notebooks/data/dmesg_highatomic.txt").read_text()
KILLS = [report for report in parse_reports(LOG) if report.is_oom]


# The reader


def test_the_reader_begins_at_the_first_line_and_hides_the_stack() -> None:
    reader = ReportReader(LOG)
    assert reader.text().startswith(
        "line 3: the OOM killer was asked (mm/oom_kill.c dump_header())"
    )
    assert not any("function of the stack" in one.about for one in reader.lines())
    hidden = len(reader.lines())
    reader.stack.value = True
    assert len(reader.lines()) == 66 > hidden
    assert "a page fault, of any kind of memory" in reader.choose("handle_mm_fault")
    reader.stack.value = False  # that line is gone: the first is chosen
    assert reader.line.value == 3


def test_another_report_has_other_lines() -> None:
    reader = ReportReader(LOG)
    reader.choose("Node 0 DMA free")
    reader.report.value = 1
    assert reader.text().startswith("line 69: a request failed (mm/page_alloc.c warn_alloc())")
    assert "half" not in reader.told("Node 0 DMA32 free", "free")
    assert "for a task that is killed 364" in reader.told("Node 0 DMA32 free", "free")
    assert "min 2912" not in reader.told("Node 0 DMA32 free", "free")


def test_what_is_shown_is_text_and_no_markup_of_a_log() -> None:
    evil = LOG.replace("wl invoked", "<script>alert(1)</script> invoked", 1)
    reader = ReportReader(evil)
    assert "<script>" not in reader.picture.value
    assert "<script>" not in reader.still()
    assert "&lt;script&gt;" in reader.picture.value


def test_the_still_opens_every_line() -> None:
    reader = ReportReader(LOG)
    assert reader.still().count("<details>") == len(reader.lines())
    assert all(reading_text(one) for one in reader.lines())


# The sums


def test_the_desk_has_the_kernel_s_sums_and_its_victim() -> None:
    for report in KILLS:
        desk = BadnessDesk(report)
        assert report.chosen is not None
        assert desk.text().startswith(f"wl ({report.chosen.pid}) is killed: ")
    assert "= 257,511 points." in BadnessDesk(KILLS[0]).text()


def test_a_slider_writes_one_oom_score_adj_and_keeps_it() -> None:
    desk = BadnessDesk(KILLS[0])
    desk.process.value, desk.adj.value = 177, -1000
    assert desk.text().startswith("sh (173) is killed: 400 rss + 0 swapents + 9 page tables + 0")
    desk.process.value = 172
    assert desk.adj.value == 0
    desk.adj.value = 50
    assert desk.text().startswith("orc (172) is killed: 242 rss + 0 swapents + 9 page tables + 50")
    desk.process.value = 177
    assert desk.adj.value == -1000


def test_with_nobody_left_it_says_what_the_kernel_dies_of() -> None:
    desk = BadnessDesk(KILLS[0])
    for pid in (172, 173, 176, 177):
        desk.process.value, desk.adj.value = pid, -1000
    assert "System is deadlocked on memory" in desk.text()


def test_the_model_kills_whom_the_kernel_killed_with_its_line() -> None:
    assert [lesson16.killed_by_the_model(report) in LOG for report in KILLS] == [True] * 3


def test_uses_below_a_hundredth_are_told_together() -> None:
    told = lesson16.shares_told(KILLS[0])
    assert sum(told.values()) == 163_707 - 12_682
    assert list(told)[-2:] == ["all else", "no counter tells of"]
    assert min(told[what] for what in list(told)[:-2]) * 100 >= sum(told.values())


# Programs


def test_who_grows_beyond_memory_is_killed_and_gives_all_back() -> None:
    machine = Programs("32 MiB")
    editor, hog = machine.start("editor", "8 MiB"), machine.start("hog", "96 MiB")
    machine.touch_first(editor, 500)
    touched = machine.touch_first(hog, 20_000)
    assert machine.killed == ["hog"]
    assert 5000 < touched < 8192
    free = sum(n << at for zone in ("DMA", "DMA32") for at, n in enumerate(machine.nr_free(zone)))
    assert free > touched
    assert len(machine.pages_of(editor)) == 500
    machine.validate()


def test_with_swap_nobody_is() -> None:
    machine = Programs("32 MiB", swap="64 MiB")
    hog = machine.start("hog", "48 MiB")
    assert machine.touch_first(hog, 12_000) == 12_000
    assert machine.killed == []
    assert 6000 < len(machine.pages_of(hog)) < 8192


def test_another_s_request_kills_and_is_served() -> None:
    machine = Programs("16 MiB")
    victim = machine.start("victim", "16 MiB")
    machine.touch_first(machine.start("spared", "16 MiB", oom_score_adj=-1000), 2000)
    machine.touch_first(victim, 1000)
    machine.vm.oom.current = machine.programs[1].task
    while not machine.killed:
        machine.alloc_pages(GFP_KERNEL)
    assert machine.killed == ["victim"]
    assert victim.task.mm is None
    assert machine.pages_of(victim) == {}


# The clinic


def test_every_remedy_helps_somebody_but_flags_and_nothing_and_nothing_helps_all() -> None:
    for remedy in REMEDIES:
        words = [treated(patient, remedy).word for patient in PATIENTS]
        helps = words.count(clinic.SERVED)
        assert helps < len(PATIENTS)
        assert (helps == 0) == (remedy.name == "nothing" or bool(remedy.flags)), remedy.name


def test_flags_save_the_others() -> None:
    table = PATIENTS[-1]
    assert str(treated(table, REMEDIES[0])).startswith("killed: editor, player; the driver has")
    for remedy in REMEDIES:
        if remedy.flags:
            assert treated(table, remedy).word == clinic.REFUSED


def test_the_clinic_keeps_what_was_tried() -> None:
    widget = Clinic()
    widget.patient.value, widget.remedy.value = 2, 8
    assert widget.text().endswith("With kvmalloc(): served: at vmalloc's addresses")
    assert {(0, 0), (2, 8)} <= set(widget.tried)
    assert "outline" in widget.picture.value


# What the lesson runs


def test_sixteen_rounds_then_a_kill_and_the_page_is_the_victim_s() -> None:
    machine, database = lesson16.nearly_full()
    had = set(machine.pages_of(machine.programs[0]).values())
    pfn = machine.touch(database.region, len(machine.pages_of(database)))
    assert machine.killed == ["shell"]
    assert pfn in had
    texts = [step.text(str) for step in lesson16.decisions(machine)]
    assert sum("another round (no_progress_loops" in text for text in texts) == 16


def test_without_compaction_order_2_kills_with_memory_free() -> None:
    machine = lesson16.scattered(compacts=False)
    assert machine.nr_free("DMA32") == [4500, *[0] * 10]
    machine.alloc_pages(GFP_KERNEL, order=2)
    assert machine.killed == ["server"]
    machine = lesson16.scattered(compacts=True)
    machine.alloc_pages(GFP_KERNEL, order=2)
    assert machine.killed == []
    machine.validate()


@pytest.mark.parametrize(
    ("name", "word", "killed"),
    [
        ("GFP_KERNEL", "a block", ["editor"]),
        ("GFP_KERNEL | __GFP_NORETRY", "NULL", []),
        ("GFP_KERNEL | __GFP_RETRY_MAYFAIL", "NULL", []),
        ("GFP_NOFS", "no end", []),
        ("GFP_ATOMIC", "a block", []),
        ("GFP_KERNEL, order 3", "a block", ["editor"]),
        ("GFP_KERNEL, order 4", "NULL", []),
    ],
)
def test_who_is_killed_for(name: str, word: str, killed: list[str]) -> None:
    outcome = lesson16.on_a_full_machine(*lesson16.REQUESTS[name])
    assert (outcome.word, outcome.killed) == (word, killed)


def test_the_reaper_leaves_shared_memory_and_gives_up_at_a_lock() -> None:
    stuck = lesson16.stuck()
    assert (stuck.has(), stuck.badness()) == (300, "300")
    assert "oom_reaper: reaped process 42 (hog)" in stuck.two_seconds_later()
    assert (stuck.has(), stuck.badness()) == (40, "none: never again")
    stuck = lesson16.stuck(locked=True)
    assert stuck.two_seconds_later() == "oom_reaper: unable to reap pid:42 (hog)"
    assert (stuck.has(), stuck.badness()) == (300, "none: never again")


def test_what_a_request_was_limited_to() -> None:
    told = {constraint: pages for _, constraint, pages in lesson16.constraints()}
    assert list(told) == ["CONSTRAINT_NONE", "CONSTRAINT_MEMORY_POLICY", "CONSTRAINT_CPUSET"]
    assert told["CONSTRAINT_NONE"] < sum(list(told.values())[1:])  # managed, not present


def test_a_cgroup_kills_its_own_with_the_machine_nearly_free() -> None:
    free, report = lesson16.cgroup_at_its_limit()
    assert free > 3_900
    assert report[0].startswith("memory: usage 1024kB, limit 1024kB, failcnt ")
    assert "constraint=CONSTRAINT_MEMCG" in report[-2]
    assert "oom_memcg=/web" in report[-2]
    assert report[-1].startswith("Memory cgroup out of memory: Killed process 100 (nginx) ")

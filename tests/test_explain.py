"""Reports of a log read by machine: of any kernel, of the model itself, and what is no report."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import (
    GFP_ATOMIC,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    Machine,
    PageAllocationFailure,
)
from memsim.cli import main
from memsim.mm.page_alloc.watermark import zone_watermark_fast
from memsim.mm.page_alloc.zone_walk import gfp_to_alloc_flags
from memsim.mm.vmstat import min_wmark_pages
from memsim.proc.explain import Explanation, explain_log
from memsim.proc.explain.text import as_json, as_text
from memsim.proc.explain.zones import ENOUGH, TOO_HIGH
from memsim.proc.failure import totalpages, write_report
from memsim.proc.failure_parse import parse_reports
from memsim.words.errors import BadInput
from memsim.words.gfp import __GFP_HIGH, gfp_zone

DATA = Path(__file__).parent / "data" / "oom"
DMESG = lzma.decompress((DATA / "highatomic_dmesg.txt.xz").read_bytes()).decode()

NODE = (
    "Node 0 active_anon:40kB inactive_anon:400000kB active_file:0kB inactive_file:0kB "
    "unevictable:0kB isolated(anon):0kB isolated(file):0kB mapped:0kB dirty:0kB writeback:0kB "
    "shmem:0kB shmem_thp: 0kB shmem_pmdmapped: 0kB anon_thp: 0kB writeback_tmp:0kB "
    "all_unreclaimable? no"
).replace(": 0kB", ":0kB")


def zone(name: str, free: int, low: int, reserve: str, blocks: str, more: str = "") -> list[str]:
    """A zone's three lines: free and min in kB, blocks from order 0 on; of others there are 0."""
    words, total = [], 0
    for order, word in enumerate([*blocks.split(), *["0"] * 11][:11]):
        number, _, types = word.partition("(")
        total += int(number) * 4 << order
        words.append(f"{number}*{4 << order}kB" + f" ({types}" * bool(types))
    return [
        f"Node 0 {name} free:{free}kB min:{low}kB low:{low * 2}kB high:{low * 3}kB {more}"
        "active_anon:0kB present:1048576kB managed:1048576kB free_pcp:0kB local_pcp:0kB "
        "free_cma:0kB",
        f"lowmem_reserve[]: {reserve}",
        f"Node 0 {name}: {' '.join(words)} = {total}kB",
    ]


def log(first: str, *zones: list[str]) -> str:
    """A report with these zones."""
    lines = [first, "Call Trace:", " dump_stack+0x6b/0x83", "Mem-Info:", NODE]
    lines += [line for lines in zones for line in lines[:2]]
    lines += [lines[2] for lines in zones]
    return "\n".join([*lines, f"{262144 * len(zones)} pages RAM", "0 pages hwpoisoned", ""])


ATOMIC = "kworker/u8:1: page allocation failure: order:{}, mode:0x{}, nodemask=(null)"
FRAGMENTED = log(
    ATOMIC.format(4, "a20(GFP_ATOMIC)") + ",cpuset=/,mems_allowed=0",
    zone("DMA32", 400000, 4000, "0 0 0 0 0", "60000(UME) 20000(UM) 10(M)"),
)


def only(text: str) -> Explanation:
    [explained] = explain_log(text)
    return explained


def said(explained: Explanation, about: str) -> str:
    return next(finding.says for finding in explained.findings if finding.about.startswith(about))


# What is explained


def test_fragmentation_is_told_from_lack_of_memory() -> None:
    explained = only(FRAGMENTED)
    assert explained.problem == "order"
    assert explained.zones[0].blocks == 0
    assert "none of order 4 or more; the largest is of order 2" in said(explained, "free blocks")
    assert "the request" not in said(explained, "zone DMA32")
    assert "kvmalloc()" in explained.remedies[0].do
    # it may not sleep: nothing can be compacted for it
    assert not any("compact_memory" in remedy.do for remedy in explained.remedies)


def test_an_atomic_request_s_floor_is_three_eighths_of_min() -> None:
    first = ATOMIC.format(0, "a20(GFP_ATOMIC)")
    low = only(log(first, zone("DMA32", 1500, 4000, "0 0 0 0 0", "375(U)")))
    assert (low.zones[0].floor, low.zones[0].missing, low.problem) == (375, 1, "amount")
    assert "for __GFP_HIGH 375" in said(low, "zone DMA32")
    enough = only(log(first, zone("DMA32", 1504, 4000, "0 0 0 0 0", "376(U)")))
    assert (enough.zones[0].answer, enough.problem) == (ENOUGH, "past")
    assert [remedy.do.split()[1] for remedy in low.remedies[:2]] == [
        "vm.min_free_kbytes", "vm.watermark_scale_factor",
    ]  # fmt: skip


def test_the_zone_that_refused_for_others_sake_is_told() -> None:
    explained = only(
        log(
            "cp: page allocation failure: order:0, mode:0x14200ca(GFP_HIGHUSER_MOVABLE)",
            zone("DMA32", 40000, 4000, "0 0 30000 30000 30000", "10000(M)"),
            zone("Normal", 400, 4000, "0 0 0 0 0", "100(U)"),
        )
    )
    assert [verdict.answer for verdict in explained.zones] == ["lowmem_reserve", "amount"]
    assert explained.zones[0].missing == 21001
    assert any("lowmem_reserve_ratio" in remedy.do for remedy in explained.remedies)


def test_a_request_for_low_memory_is_told_that_higher_zones_have_some() -> None:
    explained = only(
        log(
            "insmod: page allocation failure: order:0, mode:0xcc4(GFP_KERNEL|GFP_DMA32)",
            zone("DMA32", 400, 4000, "0 0 0 0 0", "100(U)"),
            zone("Normal", 400000, 4000, "0 0 0 0 0", "100000(U)"),
        )
    )
    assert [verdict.answer for verdict in explained.zones] == ["amount", TOO_HIGH]
    assert "wider DMA mask" in explained.remedies[0].do


def test_blocks_that_others_have_are_no_blocks_for_the_request() -> None:
    explained = only(
        log(
            "cat: page allocation failure: order:2, mode:0xcc0(GFP_KERNEL)",
            zone(
                "DMA32", 40000, 4000, "0 0 0 0 0", "9000(U) 0 250(H)", "reserved_highatomic:4096KB "
            ),
        )
    )
    [verdict] = explained.zones
    assert (verdict.answer, verdict.reserved, verdict.blocks) == ("order", True, 0)
    # three pages of order 2 itself, and what may be free of the reserve
    assert verdict.usable == 10000 - 3 - 1000
    assert "of types that others have" in said(explained, "free blocks")


def test_a_boosted_min_does_not_stop_an_atomic_page() -> None:
    first = ATOMIC.format("{}", "a20(GFP_ATOMIC)")
    told = zone("DMA32", 3000, 8000, "0 0 0 0 0", "0 0 0 0 0 23(U)", "boost:4000kB ")
    assert only(log(first.format(0), told)).zones[0].floor == 375
    assert only(log(first.format(1), told)).zones[0].floor == 750


def test_a_memcg_s_kill_is_told_from_one_of_the_machine() -> None:
    explained = only(MEMCG)
    assert explained.problem == "memcg"
    assert explained.report.memcg_path == "/app"
    assert explained.report.memcg_stat == [("anon", 104857600), ("file", 0)]
    assert "uses 102400 of 102400 kB, and ran into its limit 37 times" in said(explained, "memcg")
    assert "memory.max of /app" in explained.remedies[0].do
    assert "= 25690" in said(explained, "points")


MEMCG = """\
Nov 30 12:00:00 host kernel: eater invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
Nov 30 12:00:00 host kernel: CPU: 1 UID: 0 PID: 4242 Comm: eater Not tainted 6.12.0 #1
Nov 30 12:00:00 host kernel: memory: usage 102400kB, limit 102400kB, failcnt 37
Nov 30 12:00:00 host kernel: swap: usage 0kB, limit 0kB, failcnt 0
Nov 30 12:00:00 host kernel: Memory cgroup stats for /app:
Nov 30 12:00:00 host kernel: anon 104857600
Nov 30 12:00:00 host kernel: file 0
Nov 30 12:00:00 host kernel: Tasks state (memory values in pages):
Nov 30 12:00:00 host kernel: [  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name
Nov 30 12:00:00 host kernel: [   4242]  1000  4242    26000    25600    25400      200         0   368640        0             0 eater
Nov 30 12:00:00 host kernel: oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/app,task_memcg=/app,task=eater,pid=4242,uid=1000
Nov 30 12:00:00 host kernel: Memory cgroup out of memory: Killed process 4242 (eater) total-vm:104000kB, anon-rss:101600kB, file-rss:800kB, shmem-rss:0kB, UID:1000 pgtables:360kB oom_score_adj:0
Nov 30 12:00:02 host kernel: oom_reaper: reaped process 4242 (eater), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB
"""  # noqa: E501


@pytest.mark.parametrize(
    ("swap", "total"),
    [
        ("swap: usage 0kB, limit 0kB", 25600),
        ("swap: usage 0kB, limit 4000kB", 26600),
        ("swap: usage 0kB, limit 9007199254740988kB", 25600),
        ("memory+swap: usage 102400kB, limit 106400kB", 26600),
    ],
)
def test_a_memcg_s_swap_counts_where_its_limit_is_told(swap: str, total: int) -> None:
    text = MEMCG.replace("swap: usage 0kB, limit 0kB", swap)
    assert totalpages(only(text).report) == total


#: As 4.19 has it: other columns, and no node in the sum.
OLD = """\
[12345.678901] java invoked oom-killer: gfp_mask=0x6200ca(GFP_HIGHUSER_MOVABLE), nodemask=(null), order=0, oom_score_adj=0
[12345.678902] java cpuset=/ mems_allowed=0
[12345.678903] CPU: 3 PID: 77 Comm: java Not tainted 4.19.0 #1
[12345.678904] Mem-Info:
[12345.678905] Node 0 DMA32 free:4000kB min:5000kB low:6000kB high:7000kB active_anon:0kB present:1000000kB managed:900000kB mlocked:0kB kernel_stack:0kB pagetables:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB
[12345.678906] lowmem_reserve[]: 0 0 0 0 0
[12345.678907] Node 0 DMA32: 1000*4kB (UME) 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 4000kB
[12345.678908] 262144 pages RAM
[12345.678909] 37144 pages reserved
[12345.678910] [ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name
[12345.678911] [   77]  1000    77   300000   200000     500       5        0             0 java
[12345.678912] [   80]     0    80     1000      100      10       3        0         -1000 sshd
[12345.678913] Out of memory: Kill process 77 (java) score 900 or sacrifice child
[12345.678914] Killed process 77 (java) total-vm:1200000kB, anon-rss:800000kB, file-rss:0kB, shmem-rss:0kB
"""  # noqa: E501


def test_an_older_kernel_s_report_is_read_by_its_own_columns() -> None:
    explained = only(OLD)
    [java, sshd] = explained.report.tasks
    assert (java.rss, java.pgtables_bytes, sshd.oom_score_adj) == (200000, 500 * 4096, -1000)
    assert [killed.pid for killed in explained.report.killed] == [77]
    assert "java (77) with 200000 rss + 0 swap + 500 page tables" in said(explained, "points")
    assert (explained.problem, explained.zones[0].missing) == ("amount", 251)


def test_a_failure_of_who_was_killed_before_is_said_to_be_that() -> None:
    explained = explain_log(DMESG, "dmesg")
    assert [e.problem for e in explained] == ["amount", "killed before", "amount", "amount"]
    assert "for a task that is killed 364" in said(explained[1], "zone DMA32")
    first = explained[0]
    assert "refused, 728 too few" in said(first, "zone DMA32")
    assert "106292 rss + 0 swap + 219 page tables + oom_score_adj 1000 × 151 = 257511" in (
        said(first, "points")
    )
    # the recorder's trace buffer, of 128 MiB, is what no counter tells of
    assert "no counter tells of 36116 pages" in said(first, "memory")


def test_others_die_for_a_spared_process_only_if_it_is_the_largest() -> None:
    def why(text: str) -> str:
        remedies = explain_log(text)[0].remedies
        return next(remedy.why for remedy in remedies if "-1000 protects" in remedy.do)

    # the victim, 177, has 106292 pages
    assert why(DMESG) == "wl (152) has 102568 pages (400.7 MiB), which no kill can free"
    larger = DMESG.replace("102775   102568", "112775   112568", 1)
    assert why(larger) == "wl (152) is the largest, and others die for it"


def test_a_vmalloc_failure_is_one_too() -> None:
    first = "modprobe: vmalloc error: size 8192, page order 0, failed to allocate pages, "
    explained = only(
        log(first + "mode:0xcc2(GFP_KERNEL|__GFP_HIGHMEM), nodemask=(null),cpuset=/,mems_allowed=0",
            zone("DMA32", 400, 4000, "0 0 0 0 0", "100(U)"))
    )  # fmt: skip
    assert (explained.report.order, explained.problem) == (0, "amount")
    assert explained.title.startswith("vmalloc error: size 8192")


# Against the model


@settings(max_examples=40)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from([GFP_KERNEL, GFP_ATOMIC, GFP_HIGHUSER_MOVABLE, GFP_KERNEL | __GFP_HIGH]),
    st.integers(0, 10),
)
def test_a_failure_of_the_model_is_explained_by_the_check_that_refused(
    seed: int, gfp_mask: int, order: int
) -> None:
    machine = Machine("32 MiB", pcp=False, steps=False)
    draw = random.Random(seed)
    taken: list[int] = []
    while True:
        try:
            taken.append(machine.alloc_pages(gfp_mask, draw.choice([0, 0, 1, order])))
            if draw.random() < 0.3:
                machine.free_pages(taken.pop(draw.randrange(len(taken))))
        except PageAllocationFailure as failure:
            report = failure.report
            break
    explained = only(report)
    lines = [line for line in report.split("\n") if line]
    assert write_report(explained.report) == lines
    vm, asked = machine.vm, explained.report.order
    for verdict in explained.zones:
        zone = machine.zone(verdict.zone.name)
        if "H" in "".join(verdict.zone.types) or verdict.answer == TOO_HIGH:
            continue
        flags = gfp_to_alloc_flags(vm, gfp_mask, asked)
        mark = min_wmark_pages(zone)
        granted = zone_watermark_fast(zone, asked, mark, gfp_zone(gfp_mask), flags)
        assert (verdict.answer == ENOUGH) is granted is False


# What is cut off or damaged

SPOILED = b"\xff\x00".decode("utf-8", "replace")
ZONE_DMA = DMESG.index("lowmem_reserve[]:")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("lowmem_reserve[]:", f"lowmem_res{SPOILED}rve[]:", 44, "no whole lowmem_reserve[] of"),
        (": 0 563 563 563 563", ": 0 563 56", 44, "no whole lowmem_reserve[] of zone DMA follows"),
        ("Node 0 DMA: ", f"Node 0 DM{SPOILED}A: ", 44, "the free blocks of zone DMA do not follow"),
        ("DMA: 1*4kB", "DMA: 9*4kB", 48, "blocks of zone DMA are 2284 kB, not 2252 kB"),
        ("min:76kB", "min:94600kB", 44, "zone DMA: min is above low"),
        ("163707 pages RAM", "-163707 pages RAM", 59, "no line 'pages RAM'"),
        ("163707 pages RAM", "0 pages RAM", 56, "0 pages RAM, 12682 of them reserved, but the zo"),
        ("12682 pages reserved", "163706 pages reserved", 56, "the zones above manage 151025"),
        ("inactive_anon:101439", "inactive_anon:1014390", 35, "of 151025 in all"),
        ("order=0", "order=12", 48, "zone DMA has 11 orders: none asks for 12"),
    ],
)
def test_a_report_that_contradicts_itself_gets_no_verdict(
    old: str, new: str, line: int, says: str
) -> None:
    _is_damaged(DMESG.replace(old, new, 1), line, says)


@pytest.mark.parametrize("length", [0, 10, 30])
def test_a_report_that_is_cut_off_gets_no_verdict(length: int) -> None:
    cut = DMESG[: ZONE_DMA + length]
    _is_damaged(cut, 44, "zone DMA")
    _is_damaged(cut, 44 if length < 30 else 45, "no line 'pages RAM' up to here")


def _is_damaged(text: str, line: int, says: str) -> None:
    """The first report of the text is said to be damaged there, and nothing rests on it."""
    explained = explain_log(text)[0]
    assert explained.problem == "damaged"
    assert "is cut off or damaged: it cannot be told who refused" in explained.title
    told = [one for one in explained.findings if one.about == "cut off or damaged"]
    assert any(one.line == line and says in one.says for one in told), told
    assert explained.remedies[0].do.startswith("read the log again")
    assert not any("granted" in one.says for one in explained.findings)


def test_of_a_damaged_report_is_kept_what_does_not_rest_on_the_damage() -> None:
    text = DMESG.replace("lowmem_reserve[]:", f"lowmem_res{SPOILED}rve[]:", 1)
    one_zone = explain_log(text)[0]
    assert [verdict.zone.name for verdict in one_zone.zones] == ["DMA32"]
    assert "= 257511" in said(one_zone, "points")
    assert "of 151025 pages" in said(one_zone, "memory")
    no_total = explain_log(DMESG.replace("163707 pages RAM", "0 pages RAM", 1))[0]
    assert [verdict.missing for verdict in no_total.zones] == [18, 728]
    assert not {"points", "memory"} & {finding.about for finding in no_total.findings}
    assert "Victim: wl (177)" in said(no_total, "choice")
    # nor are there points where nothing tells of RAM at all
    lines = [line for line in DMESG.split("\n") if "pages RAM" not in line]
    assert explain_log("\n".join(lines))[0].problem == "damaged"
    short = "\n".join(lines[:34] + lines[42:])
    short_one = explain_log(short)[0]
    assert short_one.problem == "amount"
    assert [verdict.missing for verdict in short_one.zones] == [18, 728]
    assert "points" not in {finding.about for finding in short_one.findings}
    # who dies in a memory cgroup does not rest on the machine's memory
    assert explain_log(MEMCG)[0].problem == "memcg"


# What is no report


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "log: no line has 'invoked oom-killer' or 'page allocation failure'"),
        ("[    0.000000] Linux version 6.12\n", "log: no line has"),
        ("x\nwl invoked oom-killer: gfp_mask=0x", "log: line 2: not as the kernel prints it"),
        ("a: page allocation failure: order:99, mode:0xcc0(GFP_KERNEL)", "order: 99 is not from"),
        ("a: page allocation failure: order:50, mode:0xcc0(GFP_KERNEL)", "not from 0 to 15"),
        ("a: page allocation failure: order:0, mode:0xcc0(GFP_WRONG)", "unknown gfp flag"),
        (FRAGMENTED.replace("free:400000kB", "free:4x0kB"), "line 6: 'free:4x0kB' is not"),
        (FRAGMENTED.replace("min:4000kB ", ""), "line 6: no min: in it"),
        (FRAGMENTED.replace("Node 0 DMA32:", "Node 0 Normal:"), "line 8: free blocks of a zone"),
        ("a: page allocation failure: order:0, mode:0x0\n" * 1001, "line 1001: more than 1000"),
        (OLD.replace("   80]     0    80", "   80]     0"), "line 12: 7 numbers for 8 columns"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, error: str) -> None:
    with pytest.raises(BadInput) as caught:
        explain_log(text)
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    [
        "", "[    1.234567] ", "<4>[12345.678901] ", "[ 1.234567] [   T77] ", "<6>",
        "[Mon Nov 30 20:00:00 2026] ", "Nov  3 12:00:00 host kernel: ",
        "2026-11-30T20:00:00,123456+00:00 host kernel: [  1.5] ",
    ],
)  # fmt: skip
def test_a_log_s_own_words_before_a_line_are_passed_over(prefix: str) -> None:
    text = "".join(f"{prefix}{line}\r\n" for line in FRAGMENTED.split("\n"))
    assert as_text(explain_log(text)) == as_text(explain_log(FRAGMENTED))


@given(st.data())
def test_a_log_that_was_cut_or_changed_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([DMESG, MEMCG, OLD, FRAGMENTED]))
    at = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 200))
    new = data.draw(
        st.text(max_size=8) | st.sampled_from(["9" * 20, "-", "*", "\n", ":", "(", " "])
    )
    text = whole[:at] + new + whole[at + length :]
    explained, error = [], ""
    try:
        explained = explain_log(text)
    except BadInput as refused:
        error = str(refused)
    assert bool(explained) is not bool(error)
    assert "\n" not in error
    assert all(line.isprintable() for line in as_text(explained).split("\n"))
    json.dumps(as_json(explained))


# The command


def test_explain_prints_a_report_for_people_and_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dmesg"
    path.write_text(FRAGMENTED)
    assert main(["explain", str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("line 1: page allocation failure: order:4: enough is free, but not in")
    assert max(map(len, text.split("\n"))) <= 100
    assert main(["explain", str(DATA / "highatomic_dmesg.txt.xz"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["reports"]
    victims = [[victim["pid"] for victim in report["killed"]] for report in told]
    assert victims == [[177], [], [179], [181]]
    dma32 = told[0]["zones"][1]
    assert (dma32["zone"], dma32["answer"], dma32["missing"]) == ("DMA32", "amount", 728)


def test_explain_says_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "empty").write_text("")
    assert main(["explain", str(tmp_path / "empty")]) == 2
    assert "no line has 'invoked oom-killer'" in capsys.readouterr().err


def test_a_memcg_s_report_is_written_again() -> None:
    for report in parse_reports(MEMCG):
        assert write_report(report)[1:5] == [
            "memory: usage 102400kB, limit 102400kB, failcnt 37",
            "swap: usage 0kB, limit 0kB, failcnt 0",
            "Memory cgroup stats for /app:",
            "anon 104857600",
        ]

"""The same events come out of every usual text form of a trace; what is no trace is refused.

tests/data/traces has 47 recorded events, written in each form: see its README.md.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import lzma
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from memsim.replay.rows import reader
from memsim.replay.rows.inputs import ARGUMENTS, Kind, Rows
from memsim.replay.rows.reader import MAX_CPUS, read_rows
from memsim.replay.rows.unxz import MAX_LINE, line_lists
from memsim.trace.text import parse_event
from memsim.words.errors import BadInput
from memsim.words.gfp import GFP_KERNEL, parse_gfp_flags

TRACES = Path(__file__).parent / "data" / "traces"
FORMS = sorted(path.name for path in TRACES.glob("*.txt"))
RECORDED = TRACES / "tracefs.txt"
#: Forms that do not say whether an interrupt runs.
WITHOUT_FLAGS = {
    "no_irq_info.txt", "trace_cmd.txt", "perf.txt", "perf_header_pair.txt", "perf_callchain.txt",
    "odd_names_perf.txt",
}  # fmt: skip

HEAD = "              wl-152     [000] b.s1.    24.442168: "
ALLOC = "mm_page_alloc: page=ffffea0000357d00 pfn=0xd5f4 order=0 migratetype=0 gfp_flags="


def rows_of(path: Path) -> Rows:
    return read_rows(line_lists(path), None, 0, str(path), {})


def rows_of_text(text: str | bytes, tmp_path: Path) -> Rows:
    path = tmp_path / "trace.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return rows_of(path)


def refusal(text: str | bytes, tmp_path: Path) -> str:
    """What is said about this text, which must be one line, without the file's name."""
    with pytest.raises(BadInput) as refused:
        rows_of_text(text, tmp_path)
    said = str(refused.value)
    assert said.isprintable()
    assert len(said) < 400
    assert said.startswith(f"{tmp_path / 'trace.txt'}: ")
    return said.removeprefix(f"{tmp_path / 'trace.txt'}: ")


def renamed(numbers: Iterable[int]) -> list[int]:
    """Numbers by the order in which they first appear."""
    names: dict[int, int] = {}
    return [names.setdefault(number, len(names)) for number in numbers]


def events(rows: Rows) -> list[tuple[int, int, list[int]]]:
    return [(rows.kind[row], rows.cpu[row], list(rows[row])) for row in range(len(rows))]


def expected_events() -> list[tuple[int, int, list[int]]]:
    """What is in tracefs.txt, found by splitting its lines."""
    found = []
    for line in RECORDED.read_text().splitlines():
        if not line.startswith("#"):
            name, fields = re.split(r"\d: ", line, maxsplit=1)[1].split(": ")
            found.append((Kind[name], int(line.split("[")[1][:3]), arguments(name, fields)))
    return [(kind, cpu, values + [0] * (ARGUMENTS - len(values))) for kind, cpu, values in found]


def arguments(name: str, fields: str) -> list[int]:
    if name == "mm_lru_insertion":
        return [int(fields.split()[1].removeprefix("pfn="), 16)]
    event = parse_event(name, fields)
    values = [getattr(event, key) for key in event.__slots__]
    if name == "mm_page_alloc":  # the row has the mask last
        values[2], values[3] = values[3], values[2]
    return values


def test_the_recorded_form() -> None:
    rows = rows_of(RECORDED)
    assert events(rows) == expected_events()
    assert len(rows) == rows.facts.events == 47
    assert sorted(set(rows.kind)) == list(range(7))
    assert list(rows[23]) == [-1, 0, 0, 0x2800, 0, 0]
    assert (rows.facts.first, rows.facts.last) == (24.442168, 28.476415)
    assert (rows.facts.lost, rows.facts.backwards, rows.facts.in_seconds) == (0, 0, 1)


def test_what_perf_counts_is_no_part_of_a_name(tmp_path: Path) -> None:
    """`perf script -F +period` puts a number before it, in lines with the same head too."""
    text = (TRACES / "perf.txt").read_text()
    counted = re.sub(r": +(kmem|pagemap):", r":          1 \1:", text)
    assert counted.count(" 1 kmem:") > 20
    assert events(rows_of_text(counted, tmp_path)) == events(rows_of(TRACES / "perf.txt"))


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_events(name: str) -> None:
    rows, recorded = rows_of(TRACES / name), rows_of(RECORDED)
    assert events(rows) == events(recorded)
    assert renamed(rows.task) == renamed(recorded.task)
    if name in WITHOUT_FLAGS:
        assert rows.context == rows.task
    else:
        assert renamed(rows.context) == renamed(recorded.context)
        assert rows.context != rows.task
    assert rows.facts.in_seconds == (name != "counter.txt")


def test_lines_are_those_of_the_file() -> None:
    lines = RECORDED.read_text().splitlines()
    rows = rows_of(RECORDED)
    assert [lines[number - 1].split("pfn=")[0].split()[-2] for number in rows.line] == [
        Kind(kind).name + ":" for kind in rows.kind
    ]


def test_packed_traces(tmp_path: Path) -> None:
    """By name or by what is in it; gzip in several members; chunks that end anywhere."""
    recorded, text = rows_of(RECORDED), RECORDED.read_bytes() * 40
    whole = rows_of_text(text, tmp_path)
    assert len(whole) == 40 * len(recorded)
    for name, packed in {
        "a.xz": lzma.compress(text),
        "b.gz": gzip.compress(text),
        "c.gz": gzip.compress(text[:99_999]) + gzip.compress(text[99_999:]),
        "d": gzip.compress(text),
        "e": lzma.compress(text),
    }.items():
        (tmp_path / name).write_bytes(packed)
        assert events(rows_of(tmp_path / name)) == events(whole)


def test_standard_input() -> None:
    code = (
        "from memsim.replay.rows.reader import read_rows; from memsim.replay.rows.unxz import *;"
        "print(len(read_rows(line_lists(STDIN), None, 0, '-', {})))"
    )
    for data in (RECORDED.read_bytes(), gzip.compress(RECORDED.read_bytes())):
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True)
        assert (done.stdout, done.stderr) == (b"47\n", b"")


@pytest.mark.parametrize(
    ("marker", "lost"),
    [("CPU:1 [LOST 123 EVENTS]", 123), ("CPU:0 [LOST EVENTS]", 1), ("CPU:7 [204600 EVENTS DROPPED]",
     204600), ("CPU:0 [EVENTS DROPPED]", 1), ("   wl   152 [000]    24.4: PERF_RECORD_LOST lost 87",
     87)],
)  # fmt: skip
def test_lost_events_are_counted(marker: str, lost: int, tmp_path: Path) -> None:
    lines = RECORDED.read_text().splitlines()
    text = "\n".join([*lines[:30], marker, *lines[30:], marker, ""])
    rows = rows_of_text(text, tmp_path)
    assert rows.facts.lost == 2 * lost
    assert events(rows) == expected_events()


def test_a_buffer_that_overran_is_counted(tmp_path: Path) -> None:
    text = "# entries-in-buffer/entries-written: 47/100   #P:2\n" + RECORDED.read_text()
    assert rows_of_text(text, tmp_path).facts.overwritten == 53


def test_lines_out_of_order_are_counted(tmp_path: Path) -> None:
    """As trace_pipe has them from several CPUs."""
    lines = (TRACES / "no_header.txt").read_text().splitlines(keepends=True)
    lines[10], lines[11] = lines[11], lines[10]
    assert rows_of_text("".join(lines), tmp_path).facts.backwards == 1


# Flags


def test_flags_of_older_kernels() -> None:
    assert parse_gfp_flags("GFP_KERNEL|__GFP_REPEAT") == parse_gfp_flags(
        "GFP_KERNEL|__GFP_RETRY_MAYFAIL"
    )
    assert parse_gfp_flags("GFP_KERNEL|__GFP_COLD|__GFP_NOTRACK|__GFP_OTHER_NODE") == GFP_KERNEL
    assert parse_gfp_flags("GFP_TEMPORARY") == parse_gfp_flags("GFP_KERNEL|__GFP_RECLAIMABLE")


def test_a_number_beside_names_counts_where_it_has_no_name_today() -> None:
    assert parse_gfp_flags("GFP_KERNEL|0x100000") == GFP_KERNEL
    assert parse_gfp_flags("GFP_KERNEL|0x1000000") == GFP_KERNEL | 0x1000000


def test_a_number_alone_is_a_mask_and_is_told(tmp_path: Path) -> None:
    """As trace-cmd prints it for kernels whose flags it cannot name."""
    rows = rows_of_text(HEAD + ALLOC + "0x152c4a\n", tmp_path)
    assert (rows[0][3], rows.facts.hex_flags) == (0x152C4A, 1)
    assert rows_of(RECORDED).facts.hex_flags == 0


# What is refused

FREE = "mm_page_free: page=ffffea0000357d00 pfn=0xd5f4 order=0"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hello", "not a trace line: 'hello': lines of ftrace, trace-cmd report or perf script"),
        (HEAD[:-1] + FREE, "not a trace line: "),
        (HEAD.replace("24.44", "24,44") + FREE, "its time has a comma: record with LC_ALL=C"),
        ("0) | /* " + FREE + " */", "it is of the function_graph tracer: set current_tracer"),
        ("  wl-152     0d..2.    5us+: " + FREE, "switch the trace option latency-format off"),
        ("PERFILE2 x", "it is perf's file: give the output of `perf script`"),
        ("\x17\x08\x44tracing6", "it is trace-cmd's file: give the output of `trace-cmd report`"),
        ("\0" * 50, "it has NUL bytes"),
        (HEAD.replace("000", "-01") + FREE, "not a trace line: "),
        (HEAD.replace("000", "1000000000") + FREE, f"CPU 1000000000: traces of up to {MAX_CPUS}"),
        (HEAD.replace("000", "9" * 9999)[:8000] + FREE, "not a trace line: "),
        (HEAD.replace("24.4", "9" * 7000 + ".4") + FREE, "no clock gives the time 9999"),
        (HEAD.replace("24.4", "9" * 20 + ".4") + FREE, "no clock gives the time 9999"),
        (HEAD + FREE.replace("0xd5f4", "9" * 900), "mm_page_free without its fields"),
        (HEAD + FREE.replace("0xd5f4", "9" * 21), "mm_page_free: a number of over 64 bits"),
        (HEAD + FREE.replace("0xd5f4", "0xd5_4"), "mm_page_free without its fields"),
        (HEAD + FREE.replace("0xd5f4", "-5"), "mm_page_free without its fields"),
        (HEAD + FREE + "0" * 2000, "mm_page_free: over 1024 characters of fields"),
        (HEAD + FREE + " order=1", "mm_page_free without its fields"),
        (HEAD + FREE.replace("order=0", "order=x"), "mm_page_free: order='x' is no number"),
        (HEAD + FREE.replace("order=0", "order=-1"), "mm_page_free: order='-1' is no number"),
        (HEAD + FREE[:60].removesuffix(" order=0"), "mm_page_free without its fields"),
        (HEAD + ALLOC + "GFP_KERNEL|__GFP_MAYBE", "mm_page_alloc: unknown gfp flag '__GFP_MAYBE'"),
        (HEAD + ALLOC + "0xzz", "mm_page_alloc: "),
        ("x" * 9000, "over 8192 bytes long"),
    ],
    ids=range(25),
)
def test_a_line_that_cannot_be_is_named(line: str, said: str, tmp_path: Path) -> None:
    """Also where lines like it were read before, which is another way through the reader."""
    text = RECORDED.read_text()
    number = text.count("\n") + 1
    heard = refusal(text + line + "\n" + text, tmp_path)
    assert heard.startswith(f"line {number}: ")
    assert said in heard


@pytest.mark.parametrize("name", FORMS)
def test_a_trace_cut_off_or_wrapped_is_refused(name: str, tmp_path: Path) -> None:
    data = (TRACES / name).read_bytes()
    lines = data.count(b"\n", 0, len(data) - 20) + 1
    assert refusal(data[:-20], tmp_path) == (
        f"line {lines}: cut off, it has no end: delete that line or record again"
    )
    wrapped = re.sub(rb"([^\n]{80})", rb"\1\n", data)
    assert refusal(wrapped, tmp_path).startswith("line ")


def test_packed_traces_cut_off_are_refused(tmp_path: Path) -> None:
    text = RECORDED.read_bytes()
    for packed in (gzip.compress(text)[:-9], lzma.compress(text)[:-9], b"\x1f\x8b garbage"):
        assert refusal(packed, tmp_path).startswith("cannot be read: ")


@pytest.mark.parametrize("unit", [b"\n", b"x", b"# x\n", HEAD.encode() + b"x: \n"], ids=range(4))
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_bombs_are_read_in_pieces(
    unit: bytes, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Lines from some kilobytes: never more than a piece of them in memory."""
    path = tmp_path / "trace.txt"
    path.write_bytes(pack(unit * (4_000_000 // len(unit))))
    longest = 0
    with contextlib.suppress(BadInput):
        for lines in line_lists(path):
            longest = max(longest, sum(len(line) + 1 for line in lines))
    assert (longest == 0) == (unit == b"x")
    assert longest <= (1 << 16) + MAX_LINE


def test_endless_traces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_LINES", 1000)
    monkeypatch.setattr(reader, "MAX_ROWS", 500)
    for line, what in (("", "over 1000 lines"), (HEAD + FREE, "over 500 events")):
        with pytest.raises(BadInput, match=what):
            read_rows(itertools.repeat([line] * 100), None, 0, "x", {})


def test_spoilt_lines_are_refused_or_read(tmp_path: Path) -> None:
    """1,000 traces spoilt by seed: one line that names file and line, or rows."""
    read = 0
    for seed in range(1000):
        rng = random.Random(seed)
        data = bytearray((TRACES / rng.choice(FORMS)).read_bytes())
        for _ in range(rng.choice((1, 3, 30))):
            at = rng.randrange(len(data))
            what = rng.randrange(4)
            if what == 0:
                data[at] = rng.randrange(256)
            elif what == 1:
                del data[at : at + rng.choice((1, 5, 500))]
            elif what == 2:
                data[at:at] = rng.choice(
                    (b"\n", b" ", b"0" * 40, b"-1", b": ", b"[", b"\xff", b"=")
                )
            else:
                data[at:at] = data[rng.randrange(len(data)) :][:200]
        said = outcome(bytes(data), tmp_path)
        read += said is None
        assert said is None or (said.isprintable() and re.search(r": line \d+: ", said))
    assert 50 < read < 900


def outcome(data: bytes, tmp_path: Path) -> str | None:
    """What is said about a trace; None if it is read."""
    try:
        rows_of_text(data, tmp_path)
    except BadInput as error:
        return str(error)
    return None

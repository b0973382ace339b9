"""Columns beside a trace: the same rows, quicker; and never anything else than those rows."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from memsim import cli
from memsim.replay.rows import columns, reader, rows_of
from memsim.replay.rows.inputs import ARGUMENTS, MAX_ROWS, Kind, Rows
from memsim.replay.rows.interrupts import NUMBERS
from memsim.replay.rows.rows_of import rows_of_trace
from memsim.words.errors import BadInput

ROOT = Path(__file__).parents[1]
TRACES = Path(__file__).parent / "data" / "traces"
CAPTURE = Path(__file__).parent / "data" / "captures" / "net_loopback"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A trace of 470 rows, with interrupts, and of all facts."""
    path = tmp_path / "trace.txt"
    lines = (TRACES / "tracefs.txt").read_text() * 10
    path.write_text(
        "# entries-in-buffer/entries-written: 4/9   #P:2\n" + lines + "CPU:0 [LOST EVENTS]\n"
    )
    return path


def columns_of(rows: Rows) -> dict[str, Any]:
    lists = {name: list(getattr(rows, name)) for name in Rows.__slots__ if name != "facts"}
    return lists | {"facts": asdict(rows.facts)}


def was_parsed(trace: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Is the trace parsed when its rows are asked for? They must be right in any case."""
    parsed = []

    def read_rows(*given: Any) -> Rows:
        parsed.append(given)
        return reader.read_rows(*given)

    right = columns_of(reader.read_rows(rows_of.line_lists(trace), None, 0, str(trace), {}))
    with monkeypatch.context() as patch:
        patch.setattr(rows_of, "read_rows", read_rows)
        assert columns_of(rows_of_trace(trace, None)) == right
    return bool(parsed)


def test_the_second_time_nothing_is_parsed(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of_trace(trace, None)
    assert (len(rows), rows.facts.lost, rows.facts.overwritten) == (470, 1, 5)
    assert rows.facts.interrupts == 40
    assert [path.name for path in trace.parent.glob("*columns*")] == ["trace.txt.columns"]
    assert not was_parsed(trace, monkeypatch)


def test_no_rows_are_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("# tracer: nop\n")
    assert was_parsed(path, monkeypatch)
    assert not was_parsed(path, monkeypatch)


def test_a_trace_that_changed_is_parsed_again(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when size and time stay the same."""
    rows_of_trace(trace, None)
    before = trace.stat()
    trace.write_text(trace.read_text().replace("order=0", "order=1"))
    os.utime(trace, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert trace.stat().st_size == before.st_size
    assert was_parsed(trace, monkeypatch)
    assert not was_parsed(trace, monkeypatch)


def test_a_copy_elsewhere_needs_no_parsing(
    trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of_trace(trace, None)
    shutil.copytree(trace.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    assert not was_parsed(tmp_path / "copy" / trace.name, monkeypatch)


def test_another_version_parses_again(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of_trace(trace, None)
    monkeypatch.setattr(columns, "VERSION", columns.VERSION + 1)
    assert was_parsed(trace, monkeypatch)


def test_another_window_parses_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "capture"
    shutil.copytree(CAPTURE, folder, ignore=shutil.ignore_patterns("*.columns"))
    said = []
    for last in (6528, 6528, 6000):
        meta = json.loads((folder / "meta.json").read_text())
        meta["window"]["last"] = [last]
        (folder / "meta.json").write_text(json.dumps(meta))
        cli.main(["replay", "--json", str(folder)])
        said.append(json.loads(capsys.readouterr().out) | {"seconds": 0})
    assert said[0] == said[1]
    assert (said[0]["events"], said[2]["events"]) == (6528, 6000)


def test_a_trace_that_is_refused_leaves_nothing(trace: Path) -> None:
    trace.write_text(trace.read_text() + "nonsense\n")
    with pytest.raises(BadInput):
        rows_of_trace(trace, None)
    assert list(trace.parent.glob("*columns*")) == []


@pytest.mark.parametrize("how", ["folder", "replace", "full"])
def test_where_nothing_can_be_written_there_are_no_columns(
    how: str, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no")

    if how == "folder":
        monkeypatch.setattr("memsim.files.tempfile.mkstemp", refuse)
    elif how == "replace":
        monkeypatch.setattr("memsim.files.os.replace", refuse)
    else:
        columns.beside(trace).mkdir()
    assert was_parsed(trace, monkeypatch)
    assert was_parsed(trace, monkeypatch)
    assert [p.name for p in trace.parent.glob(".memsim-*")] == []


def test_a_folder_marked_read_only_is_left_alone_by_root_too(trace: Path) -> None:
    trace.parent.chmod(0o555)
    try:
        rows_of_trace(trace, None)
        assert [path.name for path in trace.parent.iterdir()] == [trace.name]
    finally:
        trace.parent.chmod(0o755)


# Files that are not what was written


def parts(trace: Path) -> tuple[bytes, dict[str, Any], bytes]:
    magic, header, packed = columns.beside(trace).read_bytes().split(b"\n", 2)
    return magic, json.loads(header), packed


def write(trace: Path, magic: bytes, header: Any, packed: bytes, vouched: bool = True) -> None:
    """The file, with the digest that vouches for it."""
    if vouched:
        header["digest"] = hashlib.blake2b(packed, digest_size=32).hexdigest()
    columns.beside(trace).write_bytes(b"\n".join((magic, json.dumps(header).encode(), packed)))


def test_any_bit_that_is_wrong_is_noticed(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of_trace(trace, None)
    whole = columns.beside(trace).read_bytes()
    rng = random.Random(1)
    for seed in range(60):
        spoilt = bytearray(whole)
        if seed % 3 == 0:
            del spoilt[rng.randrange(len(spoilt)) :]
        elif seed % 3 == 1:
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        else:
            spoilt += b"x"
        columns.beside(trace).write_bytes(bytes(spoilt))
        was_parsed(trace, monkeypatch)
        assert columns.beside(trace).read_bytes() == whole


def test_what_a_digest_vouches_for_is_checked_all_the_same(
    trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of_trace(trace, None)
    whole = parts(trace)
    plain = zlib.decompress(whole[2])
    n = 470
    numbers = {
        "cpu": ("H", n),
        "context": ("i", 3 * n),
        "task": ("i", 7 * n),
        "line": ("i", 11 * n),
    }
    spoilt = [plain[:-1], plain + b"x", b"", plain * 2, bytes([Kind.free_of_nothing]) + plain[1:]]
    for (code, at), value in zip(numbers.values(), (512, -1, 1 << 20, 0), strict=True):
        spoilt.append(plain[:at] + struct.pack(code, value) + plain[at + struct.calcsize(code) :])
    for row, field in ((470, 0), (-1, 1), (470, 2), (470, 3)):
        at = n * (15 + 8 * ARGUMENTS) + 4 * (NUMBERS + field)
        spoilt.append(plain[:at] + struct.pack("i", row) + plain[at + 4 :])
    for time in (float("nan"), float("inf"), -1.0):
        spoilt.append(plain[:-8] + struct.pack("d", time))
    for content in spoilt:
        write(trace, whole[0], dict(whole[1]), zlib.compress(content))
        assert was_parsed(trace, monkeypatch)
    for packed in (b"", b"garbage", whole[2][:-3], whole[2] + b"x", zlib.compress(bytes(1 << 27))):
        write(trace, whole[0], dict(whole[1]), packed)
        assert was_parsed(trace, monkeypatch)
    write(trace, *whole)
    assert not was_parsed(trace, monkeypatch)


@pytest.mark.parametrize(
    "spoil",
    [{"rows": -1}, {"rows": 469}, {"rows": MAX_ROWS + 1}, {"rows": 10**30}, {"rows": "470"},
     {"rows": True}, {"rows": None}, {"key": None}, {"key": "0" * 64}, {"digest": 7}, {"facts": {}},
     {"facts": []}, {"facts": {"lost": 1}}],
    ids=range(13),
)  # fmt: skip
def test_headers_that_cannot_be(
    spoil: dict[str, Any], trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of_trace(trace, None)
    magic, header, packed = parts(trace)
    write(trace, magic, header | spoil, packed, vouched="digest" not in spoil)
    assert was_parsed(trace, monkeypatch)


@pytest.mark.parametrize("name", ["events", "first", "lost", "in_seconds", "interrupts"])
@pytest.mark.parametrize("value", [-1, 1e300, float("nan"), "1", None, 10**40, []], ids=range(7))
def test_facts_that_cannot_be(
    name: str, value: Any, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of_trace(trace, None)
    magic, header, packed = parts(trace)
    header["facts"][name] = value
    write(trace, magic, header, packed)
    assert was_parsed(trace, monkeypatch)


@pytest.mark.parametrize(
    "content", [b"", b"memsim columns\n", b"memsim columns\n[]\n", b"memsim columns\n{}\n",
                b"memsim columns\n" + b"[" * 4000 + b"\n", b"\0" * 9999, b"memsim columns\n7\nx",
                b"memsim columns\n" + b"x" * (1 << 20)], ids=range(8)
)  # fmt: skip
def test_files_that_are_no_columns(
    content: bytes, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns.beside(trace).write_bytes(content)
    assert was_parsed(trace, monkeypatch)
    assert not was_parsed(trace, monkeypatch)


def test_git_does_not_see_them() -> None:
    name = columns.beside(Path("tests/data/captures/net_loopback/trace.txt.xz"))
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git here to ask")
    done = subprocess.run(["git", "check-ignore", str(name)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0

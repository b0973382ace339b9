"""/proc/meminfo, read and written; what a machine knows of it, and what was recorded."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path

import pytest
from proc_texts import DATA

from memsim import GFP_KERNEL, BadInput, Machine
from memsim.lib.bits import PAGE_SIZE
from memsim.proc.buddyinfo import buddyinfo_of
from memsim.proc.meminfo import meminfo_of, parse_meminfo, write_meminfo
from memsim.proc.vmallocinfo import parse_vmallocinfo, write_vmallocinfo
from memsim.replay.rows.capture import Capture
from memsim.words.vmalloc import VMALLOC_END, VMALLOC_START

CAPTURES = Path(__file__).parent / "data" / "captures"


@cache
def recorded() -> dict[str, str]:
    """`capture/start_meminfo.txt` and `capture/start_vmallocinfo.txt` of 18 machines."""
    with tarfile.open(DATA / "vmalloc.tar.xz") as tar:
        return {m.name: tar.extractfile(m).read().decode() for m in tar.getmembers()}  # type: ignore[union-attr]


def names() -> list[str]:
    return sorted({name.partition("/")[0] for name in recorded()})


def values(text: str) -> dict[str, int]:
    return {row.name: row.value for row in parse_meminfo(text)}


@pytest.mark.parametrize("name", names())
def test_a_recorded_meminfo_is_read_and_written_byte_by_byte(name: str) -> None:
    text = recorded()[f"{name}/start_meminfo.txt"]
    assert write_meminfo(parse_meminfo(text)) == text


@pytest.mark.parametrize("name", names())
def test_a_recorded_vmallocinfo_is_read_and_written_byte_by_byte(name: str) -> None:
    text = recorded()[f"{name}/start_vmallocinfo.txt"]
    assert write_vmallocinfo(parse_vmallocinfo(text)).split() == text.split()


def test_vmalloc_used_counts_the_pages_of_all_areas() -> None:
    """In mixed_smp the other CPU made a stack of 4 pages between both reads."""
    differ = {}
    for name in names():
        rows = parse_vmallocinfo(recorded()[f"{name}/start_vmallocinfo.txt"])
        used = sum(row.pages for row in rows if "vmalloc" in row.words) * 4
        differ[name] = used - values(recorded()[f"{name}/start_meminfo.txt"])["VmallocUsed"]
    assert {name: kb for name, kb in differ.items() if kb} == {"mixed_smp": 16}
    assert len(differ) == 18


def test_vmalloc_total_is_the_range_that_the_model_has() -> None:
    rows = {row.name: row.value for row in meminfo_of(Machine("64 MiB", vmalloc=True).vm)}
    assert rows["VmallocTotal"] == VMALLOC_END - VMALLOC_START >> 10
    for name in names():
        told = values(recorded()[f"{name}/start_meminfo.txt"])
        assert (told["VmallocTotal"], told["VmallocChunk"]) == (rows["VmallocTotal"], 0)


@pytest.mark.parametrize("name", ["net_loopback", "highatomic", "tree_walk"])
def test_a_machine_in_a_recorded_state_has_the_recorded_memory(name: str) -> None:
    machine = Machine.from_snapshot(Capture(CAPTURES / name).start)
    (total, free, *rest) = meminfo_of(machine.vm)
    told = values(recorded()[f"{name}/start_meminfo.txt"])
    assert total.value == told["MemTotal"]
    assert free.value == sum(zone.free_pages for zone in buddyinfo_of(machine.vm)) * 4
    assert not rest


def test_what_a_machine_does_shows() -> None:
    machine = Machine("64 MiB", vmalloc=True)
    before = {row.name: row.value for row in meminfo_of(machine.vm)}
    machine.vmap(machine.alloc_pages_bulk(GFP_KERNEL, 3))
    address = machine.vmalloc(5 * PAGE_SIZE)
    after = {row.name: row.value for row in meminfo_of(machine.vm)}
    assert (after["VmallocUsed"], before["VmallocUsed"]) == (20, 0), "vmap() has no pages"
    machine.vfree(address)
    text = write_meminfo(meminfo_of(machine.vm))
    assert text.splitlines()[-3:] == [
        "VmallocTotal:   34359738367 kB",
        "VmallocUsed:           0 kB",
        "VmallocChunk:          0 kB",
    ]
    assert [row.name for row in parse_meminfo(text)] == list(before)


def test_with_32_bits_memory_is_high_and_low() -> None:
    machine = Machine("1 GiB", arch="x86-32", vmalloc=True)
    rows = {row.name: row.value for row in meminfo_of(machine.vm)}
    assert list(rows)[:6] == ["MemTotal", "MemFree", "HighTotal", "HighFree", "LowTotal", "LowFree"]
    assert rows["HighTotal"] + rows["LowTotal"] == rows["MemTotal"]
    assert rows["HighTotal"] == machine.zone("HighMem").managed_pages * 4
    assert rows["VmallocTotal"] == (0xFEFF_E000 - 0xF880_0000) >> 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line at all"),
        ("MemTotal: 5 kB", "cut off"),
        ("MemTotal: -5 kB\n", "line 1: should be 'NAME: NUMBER kB'"),
        ("MemTotal: 5 MB\n", "line 1: should be"),
        ("A: 5 kB\nA: 6 kB\n", "line 2: A comes twice"),
        ("A: 999999999999999999999 kB\n", "A: '999999999999999999999' is not a number"),
        ("A: 99999999999999999999 kB\n", "A: 99999999999999999999 is over"),
        ("".join(f"A{i}: 5 kB\n" for i in range(300)), "line 257"),
    ],
)
def test_what_is_no_meminfo_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=r"^copy: ") as refusal:
        parse_meminfo(text, "copy")
    assert message in str(refusal.value)

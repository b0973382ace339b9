"""Recorded vmalloc addresses replayed: exact, with purges and pools; and bad recordings."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memsim import cli
from memsim.replay.outcome import Outcome, replay_capture
from memsim.replay.pages.compare import Tally

DATA = Path(__file__).parent / "data" / "vmalloc"
ONE_CPU = DATA / "bpf_vmalloc"
TWO_CPUS = DATA / "bpf_vmalloc_smp"
SNAPSHOTS = ("snapshot_start", "snapshot_end")


def unpacked(path: Path) -> str:
    return lzma.decompress(path.read_bytes()).decode()


def snapshot_of(folder: Path, name: str) -> Any:
    return json.loads(unpacked(folder / f"{name}.json.xz"))


def altered(
    source: Path, folder: Path, change: Callable[[list[str]], None] = list.copy, **snapshots: Any
) -> Path:
    """A copy of a recording whose trace, or a snapshot, is another."""
    folder.mkdir()
    (folder / "meta.json").write_bytes((source / "meta.json").read_bytes())
    lines = unpacked(source / "trace.txt.xz").splitlines(True)
    change(lines)
    texts = {"trace.txt": "".join(lines)}
    for name in SNAPSHOTS:
        snapshot = snapshots.get(name) or snapshot_of(source, name)
        texts[f"{name}.json"] = json.dumps(snapshot)
    for name, text in texts.items():
        (folder / f"{name}.xz").write_bytes(lzma.compress(text.encode(), preset=0))
    return folder


def events(folder: Path, name: str) -> list[str]:
    return [line for line in unpacked(folder / "trace.txt.xz").splitlines() if f" {name}: " in line]


@pytest.fixture(scope="module")
def one_cpu() -> Outcome:
    return replay_capture(ONE_CPU)


@pytest.fixture(scope="module")
def two_cpus() -> Outcome:
    return replay_capture(TWO_CPUS)


def test_every_address_and_every_area_is_the_kernels(one_cpu: Outcome) -> None:
    result = one_cpu.vmalloc
    assert result is not None
    assert result.requests == result.exact == len(events(ONE_CPU, "alloc_vmap_area")) == 4639
    assert (result.first_miss, result.put_right, +result.causes) == (None, 0, {})
    assert one_cpu.areas == {
        "busy": Tally(105, 105), "free": Tally(108, 108), "lazy": Tally(63, 63), "pool": Tally(),
    }  # fmt: skip
    assert one_cpu.all_exact


def test_frees_and_purges_print_the_kernels_numbers(one_cpu: Outcome) -> None:
    result = one_cpu.vmalloc
    assert result is not None
    nr_purges = len(events(ONE_CPU, "purge_vmap_area_lazy"))
    assert result.num_purged == Tally(nr_purges, nr_purges) == Tally(45, 45)
    assert result.nr_lazy == Tally(4636, 4636)
    assert not result.notes


def test_two_cpus_pools_and_all_addresses_but_one(two_cpus: Outcome) -> None:
    """Of two CPUs that search at the same time, the trace does not tell who found its area first.

    The one such search is put right, so it is the only miss, and every set ends equal.
    """
    result = two_cpus.vmalloc
    assert result is not None
    assert (result.requests, result.requests - result.exact, result.put_right) == (4052, 1, 1)
    assert +result.causes == {"its area was free: a search that is logged later was done before": 1}
    assert two_cpus.areas == {
        "busy": Tally(126, 126), "free": Tally(252, 252), "lazy": Tally(162, 162),
        "pool": Tally(171, 171),
    }  # fmt: skip
    assert result.num_purged == Tally(20, 20)
    assert len(snapshot_of(TWO_CPUS, "snapshot_end")["vmalloc"]["nodes"]) == 2
    assert two_cpus.pages_exact


def test_pools_fill_while_two_cpus_are_recorded() -> None:
    """Without areas in pools at the end, two_cpus.areas["pool"] would compare nothing."""
    start, end = (snapshot_of(TWO_CPUS, name)["vmalloc"]["nodes"] for name in SNAPSHOTS)
    assert not any(node["pool"] for node in start)
    assert all(node["pool"] for node in end)


def test_without_a_purge_later_addresses_are_missed(tmp_path: Path) -> None:
    def change(lines: list[str]) -> None:
        """One purge takes place only when the next one does."""
        for name in (" vmpurge: ", " vmdecay: ", " purge_vmap_area_lazy: "):
            number = next(i for i, line in enumerate(lines) if name in line)
            lines[number] = lines[number].replace(name, " not_read: ")

    outcome = replay_capture(altered(ONE_CPU, tmp_path / "altered", change))
    assert outcome.vmalloc is not None
    assert outcome.vmalloc.requests == 4639
    assert outcome.vmalloc.exact < 4639
    assert outcome.vmalloc.num_purged == Tally(44, 43)
    assert not outcome.all_exact


def test_another_address_is_one_miss_and_the_replay_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed: list[int] = []

    def change(lines: list[str]) -> None:
        """The last address that is asked for lies where memory is mapped one to one."""
        number = max(i for i, line in enumerate(lines) if " alloc_vmap_area: " in line)
        recorded = lines[number].partition("va_start: ")[2].partition(" ")[0]
        lines[number] = lines[number].replace(recorded, str(0xFFFF_8880_0000_0000))
        changed.append(number + 1)

    folder = altered(ONE_CPU, tmp_path / "altered", change)
    result = replay_capture(folder).vmalloc
    assert result is not None
    assert (result.requests, result.exact) == (4639, 4638)
    assert result.first_miss is not None
    assert result.first_miss.line == changed[0]
    assert result.first_miss.expected == 0xFFFF_8880_0000_0000
    assert cli.main(["replay", str(folder)]) == 1
    assert "  vmalloc addresses    4638 of 4639 exact (99.98 %)\n" in capsys.readouterr().out


def test_an_area_more_at_the_end_is_told(tmp_path: Path) -> None:
    end = snapshot_of(ONE_CPU, "snapshot_end")
    lazy = end["vmalloc"]["nodes"][0]["lazy"].pop()
    end["vmalloc"]["nodes"][0]["busy"].append(lazy)
    outcome = replay_capture(altered(ONE_CPU, tmp_path / "altered", snapshot_end=end))
    assert (outcome.areas["lazy"].total, outcome.areas["lazy"].equal) == (63, 62)
    assert (outcome.areas["busy"].total, outcome.areas["busy"].equal) == (106, 105)
    assert not outcome.vmalloc_exact


@pytest.mark.parametrize(
    ("event", "old", "new"),
    [
        ("alloc_vmap_area", "size=", "sice="),
        ("alloc_vmap_area", "vstart=0x", "vstart=-0x"),
        ("free_vmap_area_noflush", "va_start=0x", "va_start=(null)0x"),
        ("purge_vmap_area_lazy", "num_purged=", "num_purged=-"),
        ("vmpurge", "full=", "full=z"),
        ("vmdecay", "vn=0x", "vn=("),
    ],
)
def test_an_event_without_its_fields_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], event: str, old: str, new: str
) -> None:
    changed: list[int] = []

    def change(lines: list[str]) -> None:
        number = [i for i, line in enumerate(lines) if f" {event}: " in line][10]
        assert old in lines[number]
        lines[number] = lines[number].replace(old, new)
        changed.append(number + 1)

    folder = altered(ONE_CPU, tmp_path / "bad", change)
    assert cli.main(["replay", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith(
        f"memsim: {folder / 'trace.txt.xz'}: line {changed[0]}: {event} without its fields: "
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["free"], None, "vmalloc.free: should be a list"),
        (["free", 0], ["0x1"], "vmalloc.free[0]: should be a list of 2 to 3"),
        (["free", 0, 1], "0x0", "vmalloc.free[0]: should begin below its end"),
        (["free", 0, 0], "rubbish", "vmalloc.free[0][0]: should be an address like"),
        (["free", 1, 0], "0x1", "vmalloc.free[1]: is there already"),
        (["nodes"], [], "vmalloc.nodes: should be a list of 1 to 128"),
        (["nodes", 0, "busy", 0, 2], -1, "vmalloc.nodes[0].busy[0][2]: -1 is not between"),
        (["nodes", 0, "pool"], [], "vmalloc.nodes[0].pool: should be an object"),
        (["nodes", 0, "pool"], {"257": []}, "vmalloc.nodes[0].pool: '257' is no number of pages"),
        (
            ["nodes", 0, "pool"], {"2": [["0x1000", "0x2000", 0]]},
            "vmalloc.nodes[0].pool.2[0]: has another size than the areas of pool 2",
        ),
        (
            ["nodes", 0, "pool"], {"1": [["0xffffc90000001000", "0xffffc90000002000", 0]]},
            "vmalloc: the area at 0xffffc90000001000 overlaps with the one below it",
        ),
    ],
)  # fmt: skip
def test_a_snapshot_that_cannot_be_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
    path: list[str | int], value: Any, said: str,
) -> None:  # fmt: skip
    start = snapshot_of(ONE_CPU, "snapshot_start")
    inner = start["vmalloc"]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    folder = altered(ONE_CPU, tmp_path / "bad", snapshot_start=start)
    assert cli.main(["replay", str(folder)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    where = folder / "snapshot_start.json.xz"
    assert told.err.splitlines()[-1].startswith(f"memsim: {where}: {said}")


def test_another_number_of_vmap_nodes_at_the_end_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = snapshot_of(TWO_CPUS, "snapshot_end")
    del end["vmalloc"]["nodes"][1]
    folder = altered(TWO_CPUS, tmp_path / "bad", snapshot_end=end)
    assert cli.main(["replay", str(folder)]) == 2
    where = folder / "snapshot_end.json.xz"
    said = f"memsim: {where}: vmalloc.nodes: should be a list of 2"
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)

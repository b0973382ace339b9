"""Copies of /proc that cannot be: one line names file, line and field, and nothing hangs."""

from __future__ import annotations

import json
import os
import re
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from proc_mutations import MUTATIONS, mutate, outcome
from proc_texts import DATA, captures, copies_of, put

from memsim import cli, machine_from_proc
from memsim.proc.copies import MAX_FILE
from memsim.words.errors import BadInput

Copies = dict[str, str | bytes]
HUGE = "9" * 10_000


def refusal(folder: Path | str, **options: int) -> str:
    """The text of the refusal, which must be one line."""
    with pytest.raises(BadInput) as refused:
        machine_from_proc(folder, **options)
    text = str(refused.value)
    assert text.isprintable()
    assert 0 < len(text) < 600
    return text


def sub(name: str, pattern: str, new: str, count: int = 1) -> Callable[[Copies], None]:
    def spoil(copies: Copies) -> None:
        text, nr = re.subn(pattern, lambda _: new, str(copies[name]), count=count, flags=re.M)
        assert nr, pattern
        copies[name] = text

    return spoil


def whole(name: str, change: Callable[[str], str | bytes]) -> Callable[[Copies], None]:
    def spoil(copies: Copies) -> None:
        copies[name] = change(str(copies[name]))

    return spoil


def wrapped(text: str) -> str:
    lines = (textwrap.wrap(line, 80, drop_whitespace=False) or [""] for line in text.split("\n"))
    return "\n".join(part for parts in lines for part in parts)


def of(name: str, capture: str) -> Callable[[Copies], None]:
    def spoil(copies: Copies) -> None:
        copies[name] = copies_of(capture)[name]

    return spoil


def twice(name: str) -> Callable[[Copies], None]:
    return whole(name, lambda text: text + text)


ZONE = "zoneinfo: line 87: Node 0, zone DMA32: "
TYPES = "pagetypeinfo: line 10: Node 0, zone DMA32: "
#: (how a capture's copies are spoilt, what the refusal says)
CASES: list[tuple[str, Callable[[Copies], None], str]] = [
    # cut
    ("cut", whole("zoneinfo", lambda t: t[:2000]), "zoneinfo: line 78: cut off, it has no end"),
    (
        "cut at a line",
        whole("zoneinfo", lambda t: t[: t.index("  pagesets")]),
        "zoneinfo: line 1: Node 0, zone DMA has no cpu: cut",
    ),
    ("cut lines", sub("zoneinfo", r"^ +managed.*\n", ""), "zone DMA has no managed: cut"),
    ("cut pcp", sub("zoneinfo", r"^ +batch.*\n", ""), "zone DMA has no batch of cpu 0: cut"),
    ("cut start_pfn", sub("zoneinfo", r"^ +start_pfn.*\n", ""), "zone DMA has no start_pfn: cut"),
    (
        "cut columns",
        whole("buddyinfo", lambda t: "".join(f"{x[:60]}\n" for x in t.split("\n")[:-1])),
        "buddyinfo: line 1: Node 0, zone DMA: 5 orders; memsim has 11, 0 to 10",
    ),
    ("cut row", sub("buddyinfo", r" +[0-9]+ $", ""), "line 2: 11 orders, but 10 in line 1: cut or"),
    (
        "cut blocks",
        whole("pagetypeinfo", lambda t: t[: t.rindex("Node 0")]),
        "pagetypeinfo: line 1: Node 0, zone DMA32 has no number of blocks: cut",
    ),
    (
        "cut types",
        whole("pagetypeinfo", lambda t: t[: t.index("\nNumber")]),
        "zone DMA has no number of blocks: cut",
    ),
    (
        "two machines",
        of("buddyinfo", "two_zones"),
        "Node 0, zone Normal: zoneinfo has no such zone",
    ),
    ("empty", whole("zoneinfo", lambda t: ""), "zoneinfo: line 1: no zone at all"),
    ("empty", whole("buddyinfo", lambda t: "\n\n"), "buddyinfo: line 1: no zone at all"),
    ("empty", whole("pagetypeinfo", lambda t: ""), "pagetypeinfo: line 1: no node at all"),
    # wrapped at 80 columns
    (
        "wrapped",
        whole("buddyinfo", wrapped),
        "buddyinfo: line 2: should be 'Node N, zone NAME' and",
    ),
    ("wrapped", whole("pagetypeinfo", wrapped), "pagetypeinfo: line 5: should be a line of"),
    # translated, or something else
    ("translated", sub("buddyinfo", "Node 0, zone", "Nœud 0, zone"), "is 'Nœud 0, zone"),
    (
        "translated",
        sub("zoneinfo", "^ +pages free", "  Seiten frei"),
        "zoneinfo: line 50: Seiten: 'frei     3808' is not a number",
    ),
    (
        "translated",
        sub("pagetypeinfo", "Page block order:", "Ordre des blocs :"),
        "pagetypeinfo: line 1: should be 'Page block order: N'",
    ),
    (
        "other file",
        whole("zoneinfo", lambda t: "MemTotal: 1000 kB\n"),
        "should be 'Node N, zone NAME'",
    ),
    ("utf-16", whole("buddyinfo", lambda t: t.encode("utf-16")), "buddyinfo: line 1: should be"),
    ("binary", whole("zoneinfo", lambda t: bytes(range(256)) * 9), "zoneinfo: line 1: should be"),
    (
        "thousands",
        sub("zoneinfo", "spanned  192477", "spanned  192,477"),
        "spanned: '192,477' is not",
    ),
    # of two machines
    (
        "two machines",
        of("buddyinfo", "mixed_numa"),
        "buddyinfo: line 2: Node 0, zone DMA32: 588519 free pages, but 179441 managed ones",
    ),
    (
        "two machines",
        of("zoneinfo", "mixed_numa"),
        "Node 1, zone DMA32: buddyinfo has no such zone; are the files of one machine",
    ),
    (
        "two machines",
        of("buddyinfo", "net_loopback"),
        "buddyinfo: line 2: Node 0, zone DMA32: 200536 free pages, but 179441 managed ones",
    ),
    (
        "two machines",
        of("pagetypeinfo", "two_zones"),
        "pagetypeinfo: line 10: Node 0, zone DMA32: 200 pageblocks, but zoneinfo has room for",
    ),
    ("two machines", of("pagetypeinfo", "net_loopback"), f"{TYPES}200536 free pages, but 179441"),
    ("two machines", of("pagetypeinfo", "mixed_numa"), "Node 0, zone DMA32: 588457 free pages"),
    # hostile
    ("huge", sub("zoneinfo", "spanned  192477", f"spanned  {HUGE}"), "spanned: '999"),
    ("huge", sub("buddyinfo", "DMA32 +3 ", f"DMA32 {HUGE} "), "line 2: free blocks: '999"),
    ("huge", sub("pagetypeinfo", r"Unmovable +0 ", f"Unmovable {HUGE} "), "type Unmovable: '999"),
    (
        "64 bits",
        sub("zoneinfo", "spanned  192477", "spanned  18446744073709551616"),
        "spanned: 18446744073709551616 is over 18446744073709551615",
    ),
    (
        "63 bits",
        sub("zoneinfo", "spanned  192477", "spanned  9223372036854775807"),
        f"{ZONE}spanned: 9223372036854775807 is not between 0 and 2147483648",
    ),
    (
        "too large",
        sub("zoneinfo", "start_pfn:           4096", "start_pfn:           99999999"),
        f"{ZONE}it ends at pfn 100192476; memsim takes copies of machines whose memory ends",
    ),
    (
        "negative",
        sub("zoneinfo", "managed  179441", "managed  -5"),
        "managed: '-5' is not a number",
    ),
    ("negative", sub("buddyinfo", "DMA32 +3 ", "DMA32 -3 "), "free blocks: '-3' is not a number"),
    ("negative", sub("zoneinfo", "count: 2985", "count: -1"), "count: '-1' is not a number"),
    ("float", sub("zoneinfo", "managed  179441", "managed  1e5"), "managed: '1e5' is not a number"),
    ("other digits", sub("buddyinfo", "DMA32 +3 ", "DMA32 ३ "), "free blocks: '३' is not a number"),
    ("NUL", sub("zoneinfo", "nr_bounce", "nr_\0bounce"), "is 'nr_\\x00bounce    0'"),
    ("NUL", sub("buddyinfo", "DMA32", "DMA\0"), "buddyinfo: line 2: should be"),
    ("escape", sub("pagetypeinfo", "type", "\x1b[31m"), "\\x1b[31m"),
    ("twice", twice("zoneinfo"), "zoneinfo: line 161: Node 0, zone DMA comes twice"),
    ("twice", twice("buddyinfo"), "buddyinfo: line 3: Node 0, zone DMA comes twice"),
    ("twice", twice("pagetypeinfo"), "pagetypeinfo: line 19: Node 0 comes twice"),
    (
        "twice",
        sub("zoneinfo", r"^( +nr_mlock +0)$", "nr_mlock 0\nnr_mlock 0"),
        "nr_mlock comes twice",
    ),
    ("twice", sub("zoneinfo", "^ +cpu: 0$", "cpu: 0\ncpu: 0"), "cpu: 0 behind 0"),
    (
        "batch 0",
        sub("zoneinfo", "batch: 63", "batch: 0"),
        f"{ZONE}cpu 0: batch: 0 is not between 1",
    ),
    (
        "threshold",
        sub("zoneinfo", "threshold: 8", "threshold: 999"),
        "threshold: 999 is not between",
    ),
    (
        "sizes",
        sub("zoneinfo", "managed  179441", "managed  192478"),
        f"{ZONE}managed: 192478 is more than present, 192477",
    ),
    (
        "sizes",
        sub("zoneinfo", "present  192477", "present  192478"),
        f"{ZONE}present: 192478 is more than spanned, 192477",
    ),
    (
        "marks",
        sub("zoneinfo", "min      [0-9]+", "min      94600"),
        "Node 0, zone DMA: min: 94600 is more than low, ",
    ),
    (
        "overlap",
        sub("zoneinfo", "start_pfn:           4096", "start_pfn:           4095"),
        f"{ZONE}start_pfn 4095 lies in Node 0, zone DMA too",
    ),
    (
        "zone",
        sub("zoneinfo", "zone    DMA32", "zone      DMA3"),
        "DMA3: no machine of memsim has it",
    ),
    (
        "node",
        sub("zoneinfo", "Node 0, zone    DMA32", "Node 7, zone    DMA32"),
        "zoneinfo: line 87: Node 7, zone DMA32: the nodes are [0, 7]; memsim's nodes are numbered",
    ),
    ("node", sub("zoneinfo", "Node 0, zone    DMA32", "Node 70000, zone    DMA32"), "is over 1023"),
    (
        "cpus",
        sub("zoneinfo", "^ +cpu: 0$", "    cpu: 3"),
        f"{ZONE}its CPUs are not those of Node 0",
    ),
    ("cpus", sub("zoneinfo", "^ +cpu: 0$", "    cpu: 99999999"), "cpu: 99999999 is over 65536"),
    ("no memory", sub("zoneinfo", "(?s)present  .*", "present 0\nprotection: (0)\n"), "cut"),
    (
        "protection",
        sub("zoneinfo", r"\(0, 0, 0, 0, 0\)", "(0, 0, 0, 0, 0, 0, 0)"),
        f"{ZONE}protection has 7 entries, for 5 zones",
    ),
    ("protection", sub("zoneinfo", r"\(0, 0, 0, 0, 0\)", "(0, x)"), "protection: 'x' is not a"),
    ("orders", whole("buddyinfo", lambda t: t.replace(" \n", " 0 \n")), "12 orders; memsim has 11"),
    (
        "too many",
        sub("buddyinfo", "DMA32 .*", "DMA32 " + "1 " * 9999),
        "free blocks: over 32 numbers",
    ),
    (
        "too many",
        whole("pagetypeinfo", lambda t: t.replace("order  ", "order " + "1 " * 99)),
        "order: over 32 numbers",
    ),
    (
        "pageblocks",
        sub("pagetypeinfo", "order: 9", "order: 11"),
        "Pages per block: 512 is not 2 to",
    ),
    (
        "pageblocks",
        whole(
            "pagetypeinfo",
            lambda t: t.replace("order: 9", "order: 0").replace("block:  512", "block:  1"),
        ),
        "Page block order: 0; memsim has 1 to 10",
    ),
    (
        "types",
        whole("pagetypeinfo", lambda t: t.replace("HighAtomic", "Reserve   ")),
        "type Reserve: memsim has Unmovable, Movable, Reclaimable, HighAtomic, CMA, Isolate",
    ),
    (
        "types",
        sub("pagetypeinfo", "Number of blocks type     Unm", "Number of blocks type   Um"),
        "types are not those of free blocks",
    ),
    (
        "orders",
        sub("pagetypeinfo", "order       0      1", "order       1      0"),
        "the orders 0, 1",
    ),
    (
        "blocks",
        sub("pagetypeinfo", r"^Node 0, zone +DMA .*", "Node 0, zone DMA 1 1 1 1 1"),
        "Node 0, zone DMA: 5 pageblocks, but zoneinfo has room for 8 to 8",
    ),
    (
        "blocks",
        sub("pagetypeinfo", r"^Node 0, zone +DMA .*", "Node 0, zone DMA 1 1"),
        "2 numbers for",
    ),
]


@pytest.mark.parametrize(("spoil", "says"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_one_line_says_what_is_wrong_and_where(
    spoil: Callable[[Copies], None], says: str, tmp_path: Path
) -> None:
    copies = copies_of("holes")
    spoil(copies)
    assert says in refusal(put(tmp_path / "p", copies)).removeprefix(f"{tmp_path}/p/")


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    copies = copies_of("holes") | {"buddyinfo": "Node 0\n"}
    text = refusal(put(tmp_path / "p", copies))
    assert text == (
        f"{tmp_path}/p/buddyinfo: line 1: should be 'Node N, zone NAME' and numbers, is 'Node 0'; "
        "copy the file again as the kernel prints it, with cp and not from a screen"
    )


def test_more_free_blocks_than_there_is_room_for(tmp_path: Path) -> None:
    """351 of the 376 pageblocks free in blocks of order 9: of two neighbours one at most can be."""
    copies = copies_of("holes")
    del copies["pagetypeinfo"]
    sub("buddyinfo", "DMA32 .*", "DMA32 0 0 0 0 0 0 0 0 0 340 0 ")(copies)
    text = refusal(put(tmp_path / "p", copies))
    assert "Node 0, zone DMA32: 340 free blocks of order 9, but there is room for 188" in text


def test_more_small_free_blocks_than_there_is_room_for(tmp_path: Path) -> None:
    """Half of all pages free, one by one, needs every pageblock; some are free as a whole."""
    copies = copies_of("holes")
    del copies["pagetypeinfo"]
    sub("buddyinfo", "DMA32 .*", "DMA32 90000 0 0 0 0 0 0 0 0 0 50 ")(copies)
    text = refusal(put(tmp_path / "p", copies))
    assert "free blocks below order 9 need 351 pageblocks, but there are 275" in text


# Folders and files


def test_folders_that_are_none() -> None:
    for folder in ("nowhere", "x" * 5000, "a\0b", "a\nb\x1b[31m", __file__):
        assert "not a folder; give one with copies of /proc/zoneinfo" in refusal(folder)


@pytest.mark.parametrize("name", ["zoneinfo", "buddyinfo"])
def test_a_file_that_is_needed_is_not_there(name: str, tmp_path: Path) -> None:
    copies = copies_of("holes")
    del copies[name]
    folder = put(tmp_path / "p", copies)
    assert refusal(folder) == (
        f"{folder}: no {name}, {name}.txt or start_{name}.txt in it; copy /proc/{name} there"
    )


@pytest.mark.parametrize("name", ["zoneinfo", "buddyinfo", "pagetypeinfo"])
def test_what_is_not_a_file_is_not_opened(name: str, tmp_path: Path) -> None:
    """A FIFO would wait for ever."""
    copies = copies_of("holes")
    del copies[name]
    folder = put(tmp_path / "p", copies)
    os.mkfifo(folder / name)
    assert refusal(folder) == f"{folder / name}: not a file"


@pytest.mark.parametrize("name", ["zoneinfo", "buddyinfo", "pagetypeinfo"])
def test_a_file_of_a_gigabyte_is_not_read(name: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "p", copies_of("holes"))
    with open(folder / name, "r+b") as file:
        file.truncate(1 << 30)
    assert refusal(folder) == f"{folder / name}: over 4 MiB; no /proc file of this name is"


@pytest.mark.parametrize(
    "line",
    [
        "Node 0, zone A 1 \n",
        "Node 0, zone A\n",
        "Number of blocks type A\n",
        "Page block order: 9\n",
        "a" * 79 + "\n",
        "cpu: 1\n",
        "\n",
        "Number of blocks type " + "a" * 4000 + "!\n",
        "1 " * 9000,
    ],
    ids=lambda line: line[:30],
)
@pytest.mark.parametrize("name", ["zoneinfo", "buddyinfo", "pagetypeinfo"])
def test_four_mebibytes_of_one_line_are_refused_at_once(
    name: str, line: str, tmp_path: Path
) -> None:
    text = line * (MAX_FILE // len(line) - 1)
    refusal(put(tmp_path / "p", copies_of("holes") | {name: text}))


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but root may read pagetypeinfo; root may read all, so open() refuses here."""

    def refuse(path: Path, mode: str) -> object:
        if path.name == closed:
            raise PermissionError(13, "Permission denied")
        return open(path, mode)

    monkeypatch.setattr("memsim.proc.copies.open", refuse, raising=False)
    folder = put(tmp_path / "p", copies_of("holes"))
    closed = "pagetypeinfo"
    machine, origin = machine_from_proc(folder)
    machine.validate()
    assert origin.missing == {"pagetypeinfo": "Permission denied"}
    assert "not read: pagetypeinfo: Permission denied" in str(origin)
    closed = "zoneinfo"
    assert refusal(folder) == f"{folder}/zoneinfo: cannot be read: Permission denied"


@pytest.fixture
def closed_folder() -> Iterator[str]:
    """A folder that its owner may not look into; root, who may, is nobody meanwhile."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0)
        if user == 0:
            os.seteuid(65534)
        yield folder
        os.seteuid(user)
        os.chmod(folder, 0o700)


@pytest.mark.parametrize("arguments", [["proc", "{}"], ["replay", "{}/x", "--proc", "{}"],
                                       ["proc", "{}/inner"], ["replay", "{}"]])  # fmt: skip
def test_a_folder_that_may_not_be_read(
    arguments: list[str], closed_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([word.format(closed_folder) for word in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"memsim: {closed_folder}")
    assert "cannot be read: Permission denied" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("pattern", ["{}", "{}.txt", "start_{}", "start_{}.txt"])
def test_names_that_copies_have(pattern: str, tmp_path: Path) -> None:
    copies = {pattern.format(name): text for name, text in copies_of("holes").items()}
    _, origin = machine_from_proc(put(tmp_path / "p", copies))
    assert [Path(path).name for path in origin.used.values()] == [
        pattern.format(name) for name in ("zoneinfo", "buddyinfo", "pagetypeinfo")
    ]


# The door


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["proc", str(DATA / "x86_64-4.9"), "--seed", "4"]) == 0
    said = capsys.readouterr().out.split("\n")
    assert said[0] == f"read: {DATA}/x86_64-4.9/zoneinfo"
    assert said[3] == "Positions of blocks and pages are drawn by seed 4: no file tells them."
    rows = [" ".join(line.split()) for line in said]
    assert "Node 0 DMA32 56984 42363 121 552 690 828 10 0.021" in rows


def test_the_command_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["proc", str(DATA / "x86_64-4.9"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    dma32 = told["zones"][1]
    assert dma32["nr_free"] == [31, 22, 14, 9, 5, 3, 2, 1, 1, 1, 40]
    assert dma32["watermark"] == {"min": 552, "low": 690, "high": 828, "promo": 966}
    assert dma32["unusable_index"] == 21
    assert told["origin"]["seed"] == 0


def test_the_command_refuses_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("nowhere", "tests", "a\nb\x1b[31m", str(DATA)):
        assert cli.main(["proc", folder]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("memsim: ")
        assert said.err.count("\n") == 1
        assert said.err[:-1].isprintable()


def test_a_seed_is_a_number() -> None:
    for seed in ("x", "1.5", HUGE, ""):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["proc", str(DATA / "x86_64-4.9"), "--seed", seed])
        assert stopped.value.code == 2


def test_this_machine() -> None:
    """Where /proc is Linux's; elsewhere one line says what is missing."""
    if not Path("/proc/buddyinfo").exists():
        assert "/proc" in refusal(Path("/proc"))
        return
    machine, origin = machine_from_proc(None, steps=False)
    machine.validate()
    assert origin.used["zoneinfo"] == "/proc/zoneinfo"
    assert set(origin.used) | set(origin.missing) == {"zoneinfo", "buddyinfo", "pagetypeinfo"}


# Spoilt by seed


@pytest.mark.parametrize("seed", range(3 * len(MUTATIONS)))
def test_spoilt_copies_are_refused_or_make_a_sound_machine(seed: int, tmp_path: Path) -> None:
    assert outcome(mutate(seed, captures()), tmp_path / "p", seed) in ("refused", "made")


@pytest.mark.long
def test_ten_thousand_spoilt_copies(tmp_path: Path) -> None:
    names = captures()
    outcomes = {outcome(mutate(seed, names), tmp_path / f"{seed}", seed) for seed in range(10_000)}
    assert outcomes == {"refused", "made"}


def test_more_cpus_and_nodes_than_memsim_takes_names_the_file(tmp_path: Path) -> None:
    """Each is within its bound; 512 CPUs on 18 nodes are too many pcps."""
    copies = copies_of("holes")
    text = str(copies["zoneinfo"])
    pageset = re.compile(r"    cpu: 0\n((?:.*\n){3}  vm stats .*\n)")
    text = pageset.sub(lambda one: "".join(f"    cpu: {cpu}\n{one[1]}" for cpu in range(512)), text)
    empty = text[text.index("Node 0, zone   Normal") :]
    copies["zoneinfo"] = text + "".join(empty.replace("Node 0", f"Node {n}") for n in range(1, 18))
    folder = put(tmp_path / "p", copies)
    assert refusal(folder) == f"{folder}/zoneinfo: nr_cpus: 512 is not between 1 and 455"

"""What cannot be is refused: one line, the right error, and nothing has changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import GFP_KERNEL, Machine, MemsimError, cli
from memsim.lib.text import one_line
from memsim.machine import Job, Schedule
from memsim.proc.machine import machine_from_proc
from memsim.words.errors import BadDescription, BadFree, BadInput, BadRequest
from memsim.words.gfp import __GFP_DMA, __GFP_DMA32, __GFP_MOVABLE, __GFP_RECLAIMABLE

ROOT = Path(__file__).parents[1]
DMA_AND_DMA32 = __GFP_DMA | __GFP_DMA32
BOTH_MOBILITIES = __GFP_MOVABLE | __GFP_RECLAIMABLE
HUGE = 10**5000


def short(value: object) -> str:
    """What pytest calls a case."""
    return "huge" if isinstance(value, int) and abs(value) > 1 << 99 else ascii(value)[:30]


def refusal(error: type[MemsimError], call: Callable[[], object]) -> str:
    """The text of the refusal, which must be one line."""
    with pytest.raises(error) as refused:
        call()
    text = str(refused.value)
    assert type(refused.value) is error
    assert text
    assert text.isprintable()
    assert len(text) < 400
    return text


# Descriptions


@pytest.mark.parametrize(
    "ram",
    [-1, 0, 1, "", "64 apples", "64 MiB 64 MiB", "-64 MiB", "1.5 GiB", "64\nMiB", "६४ MiB", None,
     [], 1.5, float("nan"), True, "15 MiB", "4097 GiB", 2**80, HUGE, "9" * 5000, b"64 MiB"],
    ids=short,
)  # fmt: skip
def test_ram_that_cannot_be(ram: Any) -> None:
    assert refusal(BadDescription, lambda: Machine(ram)).startswith("ram=")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("cpus", cpus) for cpus in (0, -1, 513, 1.5, "2", None, HUGE, -HUGE)),
        *(("cma", cma) for cma in (-1, "1 GiB", "33 MiB", "all", 0.5, HUGE, None, [], {})),
        *(("min_free_kbytes", kbytes) for kbytes in (-1, 1 << 31, "1", 1.5, HUGE)),
        *(("watermark_scale_factor", factor) for factor in (-1, 3001, "x", 1.5, None)),
        *(("movablecore", size) for size in (-1, "65 MiB", "half", None, HUGE)),
        *(("transparent_hugepage", on) for on in ("never", None, 1)),
        *(("pcp", on) for on in ("no", None, 0)),
        *(("vmalloc", on) for on in ("x", -1, None, float("nan"))),
        *(("steps", on) for on in ("x", 1, None)),
        *(("seed", seed) for seed in ("x", None, HUGE)),
        ("swappiness", "a\nb"),
        *(("arch", arch) for arch in ("arm64", "", None, HUGE, "x" * 5000)),
    ],
    ids=short,
)
def test_a_description_that_cannot_be_names_its_field(field: str, value: Any) -> None:
    text = refusal(BadDescription, lambda: Machine("64 MiB", **{field: value}))
    assert text.startswith(f"{field}=")


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ({"ram": ["16 MiB"] * 65}, "ram=65 sizes: should be 1 to 64"),
        ({"ram": ["16 MiB", "1 MiB"]}, "ram[1]='1 MiB': should be 16 MiB"),
        ({"ram": ["4096 GiB"] * 2}, "ram=8192 GiB in all: should be 4096"),
        ({"ram": [["64 MiB"]]}, "ram[0]="),
        ({"ram": ["16 MiB"] * 64, "cpus": 129}, "cpus=129: should be 1 to 128"),
        ({"ram": ["64 MiB"] * 2, "arch": "x86-32"}, "ram=2 nodes: NOT MODELLED"),
        ({"ram": "4 GiB", "arch": "x86-32"}, "ram='4 GiB': should be 16 MiB to 3072 MiB"),
        ({"ram": ["64 MiB"] * 2, "node_distance": [[10]]}, "node_distance: should have 2 rows"),
        ({"ram": ["64 MiB"] * 2, "node_distance": 5}, "node_distance: should have 2 rows"),
        ({"ram": ["64 MiB"] * 2, "node_distance": [[10, 20], 5]}, "node_distance[1]: should"),
        ({"ram": ["64 MiB"] * 2, "node_distance": [[10, 20], [20, 11]]}, "node_distance[1][1]=11"),
        ({"ram": ["64 MiB"] * 2, "node_distance": [[10, 2**90], [20, 10]]}, "node_distance[0][1]"),
    ],
)  # fmt: skip
def test_nodes_that_cannot_be(description: dict[str, Any], text: str) -> None:
    assert refusal(BadDescription, lambda: Machine(**description)).startswith(text)


@pytest.mark.parametrize("name", ["", None, "x" * 5000, ["vm"], 3])
def test_a_preset_that_is_none(name: Any) -> None:
    text = refusal(BadDescription, lambda: Machine.preset(name))
    assert text.endswith("should be one of vm, laptop, server, pc32")


@pytest.mark.parametrize(
    "description",
    [{"nr_pages": 0}, {"nr_pages": -1}, {"nr_pages": (1 << 20) + 1}, {"nr_pages": "64"},
     {"nr_pages": 64.0}, {"nr_pages": HUGE}, {"nr_pages": 64, "start_pfn": -1},
     {"nr_pages": 64, "start_pfn": 1 << 40}, {"nr_pages": 64, "cpus": 0}],
    ids=lambda description: "-".join(description),
)  # fmt: skip
def test_few_pages_that_cannot_be(description: dict[str, Any]) -> None:
    refusal(BadDescription, lambda: Machine.of_pages(**description))


@pytest.mark.parametrize("ram", ["16 MiB", "17 MiB", "33 MiB", "64 MiB"])
@pytest.mark.parametrize("part", [2, 3, 8, 1 << 40])
def test_a_cma_area_lies_in_free_memory_or_is_refused(ram: str, part: int) -> None:
    size = (int(ram.split()[0]) << 20) // part
    if (ram, part) == ("33 MiB", 2):
        text = refusal(BadDescription, lambda: Machine(ram, cma=size))
        assert text == "cma=16 MiB: only 14 MiB are free in one piece"
        return
    machine = Machine(ram, cma=max(size, 1))
    machine.validate()
    nr_pages = machine.vm.pageblock.count(machine.vm.MIGRATE_CMA) << machine.vm.pageblock_order
    listed = sum(zone.vm_stat[10] for zone in machine.vm.zones)
    assert size <= nr_pages * 4096 < size + (2 << 20) + 1
    assert listed == nr_pages


@given(st.integers(16 << 20, 1 << 31), st.integers(1, 8), st.integers(0, 1 << 20))
def test_any_other_description_boots(ram: int, cpus: int, kbytes: int) -> None:
    machine = Machine(ram, cpus=cpus, min_free_kbytes=kbytes)
    assert sum(machine.nr_free()) > 0


@pytest.mark.parametrize("folder", [5, b"/proc", ["/proc"]])
def test_a_folder_that_is_none(folder: Any) -> None:
    assert "should be the path of a folder" in refusal(BadInput, lambda: machine_from_proc(folder))


@pytest.mark.parametrize(
    "snapshot", [None, [], {}, {"nodes": []}, {"nodes": 7}, {"nodes": [{}], "nr_cpus": 1}]
)
def test_a_snapshot_that_is_none(snapshot: Any) -> None:
    refusal(BadInput, lambda: Machine.from_snapshot(snapshot))


def spoilt_snapshots() -> list[tuple[str, Callable[[Any], None]]]:
    """(what the refusal must name, how to spoil it). The second zone is the populated one."""

    def zone(snapshot: Any) -> Any:
        return snapshot["nodes"][0]["zones"][2]

    def pcp(snapshot: Any) -> Any:
        return zone(snapshot)["pcp"][0]

    def first_free(snapshot: Any) -> Any:
        return next(pages for area in zone(snapshot)["free_area"] for pages in area if pages)

    path = "nodes[0].zones[2]"
    return [
        (f"{path}.pcp[0].count", lambda s: pcp(s).update(count=pcp(s)["count"] + 1)),
        (f"{path}.pcp[0].batch", lambda s: pcp(s).update(batch=0)),
        (f"{path}.pcp[0].high", lambda s: pcp(s).update(high=-1)),
        (f"{path}.pcp", lambda s: zone(s)["pcp"].append(pcp(s))),
        (f"{path}.percpu_stat", lambda s: zone(s)["percpu_stat"].clear()),
        (f"{path}.vm_stat: NR_FREE_PAGES", lambda s: zone(s)["vm_stat"].update(NR_FREE_PAGES=1)),
        (f"{path}.free_area", lambda s: first_free(s).append(first_free(s)[0])),
        (f"{path}.free_area", lambda s: first_free(s).append(1 << 30)),
        (f"{path}.free_area", lambda s: zone(s)["free_area"][3][0].append(1)),
        (f"{path}.free_area", lambda s: zone(s)["free_area"].pop()),
        (f"{path}.present_pages", lambda s: zone(s).update(spanned_pages=100)),
        (f"{path}.spanned_pages", lambda s: zone(s).update(spanned_pages=1 << 30)),
        ("pageblocks.blocks[0][1]", lambda s: s["pageblocks"]["blocks"][0].__setitem__(1, 7)),
        ("pageblocks.blocks[0][0]", lambda s: s["pageblocks"]["blocks"][0].__setitem__(0, 5)),
        ("is in a pageblock", lambda s: s["pageblocks"]["blocks"][2].__setitem__(1, 0)),
        ("there is another block", lambda s: s["page_kinds"]["runs"].append([512, 1, "U", 0])),
        ("page_kinds.runs", lambda s: s["page_kinds"]["runs"].append([0, 1 << 40, "U", 0])),
        ("no kind of page", lambda s: s["page_kinds"]["runs"].append([0, 1, [], 0])),
        ("zonelists", lambda s: s["nodes"][0]["zonelists"][0].append([0, 2])),
        ("zonelists", lambda s: s["nodes"][0]["zonelists"][0].append([1, 2])),
        ("nr_cpus", lambda s: s.update(nr_cpus=513)),
        ("nr_cpus", lambda s: s.update(nr_cpus=True)),
        ("pageblock_order", lambda s: s.update(pageblock_order=float("nan"))),
        ("vars.min_free_kbytes", lambda s: s["vars"].update(min_free_kbytes=HUGE // 7)),
    ]


@pytest.mark.parametrize(("named", "spoil"), spoilt_snapshots())
def test_a_snapshot_that_cannot_be_names_the_field(
    named: str, spoil: Callable[[Any], None]
) -> None:
    machine = Machine.of_pages(4096, pcp=True)
    machine.free_pages(machine.alloc_pages(GFP_KERNEL))
    snapshot = machine.snapshot()
    Machine.from_snapshot(snapshot).validate()
    spoil(snapshot)
    assert named in refusal(BadInput, lambda: Machine.from_snapshot(snapshot))


def test_zones_may_not_overlap() -> None:
    snapshot = Machine("64 MiB").snapshot()
    snapshot["nodes"][0]["zones"][0]["spanned_pages"] += 100
    text = refusal(BadInput, lambda: Machine.from_snapshot(snapshot))
    assert text == "nodes[0].zones[1]: pfn 0x1000 to 0x1063 is in nodes[0].zones[0] too"


# Requests and frees


class Used:
    """A machine with a block of order 2, a page, and a page that was freed."""

    def __init__(self) -> None:
        self.machine = Machine("64 MiB", cpus=2)
        self.block = self.machine.alloc_pages(GFP_KERNEL, 2)
        self.page = self.machine.alloc_pages(GFP_KERNEL)
        self.freed = self.machine.alloc_pages(GFP_KERNEL)
        self.machine.free_pages(self.freed)


Call = Callable[[Machine, Used], object]
BAD_REQUESTS: list[Call] = [
    *(lambda m, u, mask=mask: m.alloc_pages(mask)
      for mask in (-1, 1 << 25, DMA_AND_DMA32, BOTH_MOBILITIES, "GFP_KERNEL", None, 0.5, HUGE)),
    *(lambda m, u, order=order: m.alloc_pages(GFP_KERNEL, order)
      for order in (-1, 11, 77, 1.0, "2", None, HUGE)),
    *(lambda m, u, cpu=cpu: m.alloc_pages(GFP_KERNEL, cpu=cpu) for cpu in (-1, 2, "0", None, HUGE)),
    *(lambda m, u, nid=nid: m.alloc_pages(GFP_KERNEL, nid=nid) for nid in (-1, 1, "0")),
    *(lambda m, u, nr=nr: m.alloc_pages_bulk(GFP_KERNEL, nr) for nr in (-1, 1 << 21, 1.5, None)),
    *(lambda m, u, size=size: m.alloc_pages_exact(size, GFP_KERNEL)
      for size in (0, -1, 1 << 40, 1.5, "4096", None, [HUGE])),
    *(lambda m, u, order=order: m.free_pages(u.page, order) for order in (0.0, "a\nb", "9" * 5000)),
    *(lambda m, u, pfns=pfns: m.free_folios(pfns) for pfns in (None, 5, "x")),
    *(lambda m, u, pfn=pfn: m.free_contig_range(pfn, 4) for pfn in (None, "x")),
    *(lambda m, u, start=start: m.steps(start) for start in (-1, None, "x")),
    *(lambda m, u, since=since: m.events(since) for since in (None, "x")),
    *(lambda m, u, size=size: m.free_pages_exact(u.page, size) for size in (0, 1 << 50, "x", None)),
    *(lambda m, u, pfn=pfn: m.isolate_pageblock(pfn) for pfn in (-1, 1 << 40, 1, "x", None)),
    *(lambda m, u, pfn=pfn: m.unisolate_pageblock(pfn) for pfn in (-1, 4096, "x")),
    lambda m, u: m.vmstat_update(cpu=2),
    lambda m, u: m.vmstat_update(cpu="x"),
    lambda m, u: m.zone("Moo\n"),
    lambda m, u: m.zone("x" * 10**6),
    lambda m, u: m.extfrag_index(11),
    lambda m, u: m.unusable_index("x"),
    lambda m, u: m.free_pages(u.page, cpu=9),
    lambda m, u: m.redo(),
]  # fmt: skip
#: What only a machine with everything can be asked.
BAD_CALLS: list[Callable[[Machine], object]] = [
    *(lambda m, pfn=pfn: m.cma_release(pfn, 4) for pfn in (None, "x")),
    lambda m: m.cma_alloc(4, no_warn="no"),
    lambda m: m.kmem_cache_create("x", 8, ctor="x"),
    lambda m: m.kmem_buckets_create("x", ctor=1),
    lambda m: m.kmem_cache_free_bulk(5),
    lambda m: m.vmap([m.zone().zone_start_pfn], put_pages="x"),
    lambda m: m.cgroup("web", oom_group="yes"),
    lambda m: m.lru_gen("x"),
    lambda m: Schedule(m, seed=1, jobs=None),
    lambda m: Schedule(m, seed=1, jobs=[Job(m.tasks()[0], None)]),
]
BAD_FREES: list[Call] = [
    lambda m, u: m.free_pages(u.freed),
    lambda m, u: m.free_pages(u.block + 1),
    lambda m, u: m.free_pages(u.block, 1),
    lambda m, u: m.free_pages(u.block, 99),
    lambda m, u: m.free_pages(u.page, 2),
    *(lambda m, u, pfn=pfn: m.free_pages(pfn) for pfn in (-1, 0, 1, 4096, 16384, 1 << 40)),
    lambda m, u: m.free_folios([u.block, u.block]),
    lambda m, u: m.free_folios([u.block, u.freed]),
    lambda m, u: m.free_folios([u.block, -1]),
    lambda m, u: m.free_pages_exact(u.block, 4096),
    lambda m, u: m.free_pages_exact(u.page, 8192),
    lambda m, u: m.free_pages_exact(-5, 4096),
    lambda m, u: m.split_page(u.freed),
    lambda m, u: m.split_page(-1),
    lambda m, u: m.lru_add(u.freed),
    lambda m, u: m.lru_add(u.block + 3),
]


@pytest.mark.parametrize("call", BAD_REQUESTS)
def test_a_bad_request_is_refused_and_changes_nothing(call: Call) -> None:
    used = Used()
    before, steps = used.machine.snapshot(), used.machine.steps()
    operations = list(used.machine.history)
    refusal(BadRequest, lambda: call(used.machine, used))
    assert used.machine.history == operations
    assert used.machine.snapshot() == before
    assert used.machine.steps() == steps


@pytest.mark.parametrize("call", BAD_CALLS)
def test_a_bad_call_is_refused_and_changes_nothing(call: Callable[[Machine], object]) -> None:
    machine = Machine("64 MiB", cma="8 MiB", slab=True, vmalloc=True, reclaim=True)
    machine.task("app")
    before, operations = machine.snapshot(), list(machine.history)
    refusal(BadRequest, lambda: call(machine))
    assert machine.snapshot() == before
    assert machine.history == operations


@pytest.mark.parametrize("call", BAD_FREES)
def test_a_bad_free_is_refused_and_changes_nothing(call: Call) -> None:
    used = Used()
    before, events = used.machine.snapshot(), used.machine.events()
    refusal(BadFree, lambda: call(used.machine, used))
    assert used.machine.snapshot() == before
    assert used.machine.events() == events


@pytest.mark.parametrize("pfn", ["x", None, 1.5, [1], 10**400])
def test_a_pfn_is_a_number(pfn: Any) -> None:
    used = Used()
    for call in (used.machine.free_pages, used.machine.split_page, used.machine.lru_add):
        refusal(BadRequest, lambda call=call: call(pfn))
    refusal(BadRequest, lambda: used.machine.free_folios([used.page, pfn]))
    used.machine.free_folios([used.page])


# Text and the command


@given(st.text(), st.integers(1, 50))
def test_one_line_can_be_printed_and_is_short(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= 10 * limit


CAPTURE = str(ROOT / "tests" / "data" / "captures" / "net_loopback")
DMESG = str(ROOT / "tests" / "data" / "oom" / "highatomic_dmesg.txt.xz")


def memsim(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memsim.cli", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        cwd=ROOT,
        env=os.environ | environment,
        timeout=60,
    )


@pytest.mark.parametrize(
    "arguments", [[], ["replay"], ["replai"], ["--nothing"], ["replay", "a", "b"]]
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    "path", ["nowhere", "", "/dev/null", "README.md", "x" * 5000, "a\nb\x1b[31m", "tests"]
)
def test_a_path_that_is_no_capture_exits_2_with_one_line(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", path]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("memsim: ")
    assert said.err.count("\n") == 1
    assert said.err[:-1].isprintable()


def test_output_that_nobody_reads_to_its_end_is_no_traceback() -> None:
    capture = ROOT / "tests" / "data" / "captures" / "net_loopback"
    command = f"{sys.executable} -m memsim.cli replay {capture} | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stdout, done.stderr) == (done.stdout[:1], "")


@pytest.mark.parametrize(
    "arguments",
    [["replay", CAPTURE], ["explain", DMESG], ["workload", "desktop", "--steps", "1"], ["--help"]],
)
@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("> /dev/full", "memsim: standard output: No space left on device\n"),
        (">&-", "memsim: standard output is closed: nothing could be printed\n"),
    ],
)
def test_output_that_cannot_be_written_exits_2_with_one_line(
    arguments: list[str], output: str, says: str
) -> None:
    command = shlex.join([sys.executable, "-m", "memsim.cli", *arguments])
    environment = {name: told for name, told in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        f"{command} {output}", shell=True, capture_output=True, text=True, cwd=ROOT, timeout=60,
        env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, says)


INTERRUPTED = """
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from memsim.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("module", ["memsim.machine", "memsim.cli.model", "memsim.replay.run"])
def test_who_interrupts_a_command_that_is_loaded_gets_no_traceback(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module, "replay", CAPTURE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "memsim: interrupted\n")


def test_a_command_loads_its_own_modules_alone() -> None:
    code = (
        "import sys; from memsim.cli import main; main(['explain', 'nowhere']); "
        "print(*(name for name in sys.modules if name.startswith('memsim.lab')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == "\n"


def test_names_that_the_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.symlink(ROOT / "tests" / "data" / "captures" / "net_loopback", folder)
    shown = memsim("replay", os.fsdecode(folder), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (shown.returncode, shown.stderr) == (0, "")

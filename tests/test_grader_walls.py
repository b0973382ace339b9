"""Student code cannot influence its grade: walls, protocol, and a corpus of attacks on both.

The corpus is tests/attacks/corpus.py; drive.py runs it, as root and as an ordinary user.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from memsim.lab.grader import cgroup, child, landlock, probe, runner, walls
from memsim.lab.grader.runner import Ran, run
from memsim.lab.grader.walls import Limits, NoStart, Walls
from memsim.lab.places import of_author
from memsim.lab.verdict import judge, points
from memsim.words.errors import BadInput
from tests.attacks.corpus import ATTACKS

ROOT = Path(__file__).parents[1]
NOBODY = ["--reuid", "65534", "--regid", "65534", "--clear-groups"]
SANDBOXES = ("bwrap", "landlock")
#: A loaded machine is no reason for a wrong answer.
PATIENT = Limits(cells_seconds=60, exercise_seconds=120)


def stands(mode: str) -> Walls:
    why = walls.why_not(mode)
    if why:
        pytest.skip(f"{mode}: {why}")
    return Walls(mode)


@pytest.fixture(scope="module", params=walls.MODES)
def any_walls(request: pytest.FixtureRequest) -> Walls:
    return stands(request.param)


@pytest.fixture(scope="module", params=SANDBOXES)
def sandbox(request: pytest.FixtureRequest) -> Walls:
    return stands(request.param)


def asked(walls: Walls, cells: Sequence[str], *args: Any, **options: Any) -> Ran:
    """f(arg) for each of args."""
    scripts = [[["call", "f", [arg]]] for arg in args]
    options = {"seconds_per_case": 60.0, "limits": PATIENT, "given": None, **options}
    return run(walls, list(cells), options.pop("given"), scripts, **options)


# ---- what comes of honest code


@pytest.mark.parametrize("name", ["07_find_the_buddy", "09_merge", "31_slab_fast_path"])
def test_a_solution_gets_full_marks(any_walls: Walls, name: str) -> None:
    found = of_author(ROOT / "solutions" / "cases" / name, 5)
    notebook = json.loads((ROOT / "solutions" / f"{name}.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    scripts = [case.script for case in found.puzzle.cases]
    ran = run(any_walls, cells, found.puzzle.given, scripts, 60, PATIENT)
    pairs = zip(found.puzzle.cases, ran.answers, strict=True)
    verdicts = [judge(found.spec, case, answer, found.own) for case, answer in pairs]
    assert (ran.outcome, points(found.spec, verdicts)) == ("ran", found.spec.points)


def test_a_failing_cell_costs_its_own_names_only(any_walls: Walls) -> None:
    ran = asked(any_walls, ["1 / 0", "def f(n):\n    return n + exercise", "exercise = 4"], 3)
    assert (ran.answers[0].answers, ran.outcome) == ([7], "ran")
    said = "ZeroDivisionError: division by zero (line 1 of its cell)"
    assert ran.printed == f"\ncell 1: raises {said}\n"
    assert ran.raised == (f"cell 1 raised {said}",)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("def f(n)\n    return n", "cell 2 raised SyntaxError: expected ':' (<cell 2>, line 1)"),
        ("import no_such\ndef f(n): return n",
         "cell 2 raised ModuleNotFoundError: No module named 'no_such' (line 1 of its cell)"),
        ("n = input('name?')\ndef f(n): return n", "cell 2 raised EOFError"),
        ("import sys; sys.exit()\ndef f(n): return n", "cell 2 ends Python: exit() has no place"),
    ],
)  # fmt: skip
def test_where_a_cell_failed_that_is_why_its_names_are_missing(
    any_walls: Walls, cell: str, said: str
) -> None:
    ran = asked(any_walls, ["x = 1", cell], 1)
    assert ran.outcome == "not defined"
    assert len(ran.raised) == 1
    assert ran.raised[0].startswith(said)
    assert ran.answers[0].failure.startswith(f"f is not defined: {said}")
    assert "run the cell" not in ran.answers[0].failure
    told = ran.printed.splitlines()[-1]
    assert told.startswith("cell 2: "), "not behind what was printed"


def test_cells_that_failed_are_told_bounded_and_once(sandbox: Walls) -> None:
    failing = "raise ValueError('\\x1b' + 'x' * 9999)"
    ending = "def f(n):\n    if n: return n\n    import os; os._exit(1)"
    ran = asked(sandbox, [*[failing] * 9, ending], 1, 0, 2)
    begun = [f"cell {n} raised ValueError: " for n in (1, 2, 3)]
    assert [told.partition("\\x1b")[0] for told in ran.raised] == begun
    assert max(map(len, ran.raised)) < 320
    assert ran.raised[0].isprintable()
    assert "is not defined" not in ran.answers[0].failure


@pytest.mark.parametrize(
    "told",
    [None, 7, {}, [7], [[1]], [[1, 2]], [["1", "x"]], [[0, "x"]], [[True, "x"]], [[10**99, "x"]],
     [[1, "x", 2]]],
)  # fmt: skip
def test_what_a_child_says_of_its_cells_may_be_anything(told: object) -> None:
    assert runner._raised(told) == []
    assert runner._raised([told, [2, "\x1b<b>"]]) == ["cell 2 \\x1b<b>"]


def test_the_exercise_gives_the_puzzle_and_is_mute(any_walls: Walls) -> None:
    cell = (
        "from memsim.lab import Exercise\nexercise = Exercise('x')\nexercise.predict()\n"
        "checked = exercise.check()\nassert checked.ok\ndisplay(exercise.hints())\n"
        "def f(n):\n    return [exercise.given, n]"
    )
    ran = asked(any_walls, [cell], 1, given={"a": [1]})
    assert (ran.answers[0].answers, ran.printed) == ([[{"a": [1]}, 1]], "")


def test_memsim_is_there_and_hashes_do_not_vary(sandbox: Walls) -> None:
    cell = (
        "import memsim\nfrom memsim import Machine\n"
        "from memsim.proc.slabinfo import parse_slabinfo\n"
        "import bisect, collections, dataclasses, heapq, itertools, json, random, re, statistics\n"
        "def f(n):\n    pfn = Machine('64 MiB').alloc_pages(0, order=n)\n"
        "    return [memsim.KERNEL, pfn, hash('a')]"
    )
    first, again = asked(sandbox, [cell], 1), asked(sandbox, [cell], 1)
    assert first.answers == again.answers
    assert not first.answers[0].failure


def test_a_child_begins_without_the_model(sandbox: Walls) -> None:
    """It must be light; the model is loaded when a cell asks for it."""
    cell = (
        "import sys\nhere = [n for n in sys.modules if n.startswith('memsim.')]\n"
        "def f(n):\n    return here"
    )
    (answer,) = asked(sandbox, [cell], 1).answers
    assert set(answer.answers[0]) <= {
        "memsim.lab", "memsim.lab.exercise", "memsim.lab.failures", "memsim.lab.plain",
        "memsim.lab.script", *(f"memsim.lab.grader{m}" for m in
        ("", ".child", ".frames", ".landlock", ".seccomp")),
    }  # fmt: skip


def test_printed_is_what_cells_and_visible_cases_print(any_walls: Walls) -> None:
    cell = "print('cell')\ndef f(n):\n    print('asked', n)"
    assert asked(any_walls, [cell], 1, 2, 3, visible=2).printed == "cell\nasked 1\nasked 2\n"
    assert asked(any_walls, [cell], 1).printed == "cell\n"


def test_much_is_printed_and_little_kept(any_walls: Walls) -> None:
    ran = asked(any_walls, ["print('x' * (1 << 20))\ndef f(n):\n    return n"], 1)
    assert (len(ran.printed), ran.answers[0].answers) == (64 << 10, [1])


@pytest.mark.parametrize(
    ("body", "outcome", "said"),
    [
        ("raise ValueError('no')", "ran", "raises ValueError: no (line 3 of its cell)"),
        ("return {1, 2}", "not plain data", "has a set"),
        ("import os; os._exit(3)", "crashed", "ends Python"),
        ("import ctypes; ctypes.string_at(1)", "crashed", "ends Python: Segmentation fault"),
        ("return bytearray(1 << 40)", "memory", "needs more memory than there is"),
        ("while True: pass", "time limit", "takes longer than 0.5 s"),
        ("return ['x' * 60000] * 40", "not plain data", "returns more than 1024 KiB"),
    ],
)
def test_one_bad_case_costs_its_own_answer_only(
    any_walls: Walls, body: str, outcome: str, said: str
) -> None:
    cell = f"def f(n):\n    if n != 2: return n\n    {body}"
    limit = 0.5 if outcome == "time limit" else 60.0
    ran = asked(any_walls, [cell], 1, 2, 3, seconds_per_case=limit)
    assert [a.answers for a in ran.answers] == [[1], [], [3]]
    assert [a.failure == "" for a in ran.answers] == [True, False, True]
    assert said in ran.answers[1].failure
    assert ran.outcome == outcome


def test_a_failure_in_a_script_says_in_which_call(sandbox: Walls) -> None:
    cell = "class A:\n    def g(self, n):\n        return 1 // n"
    script = [["new", "A", []], ["do", "g", [1]], ["do", "g", [0]]]
    (answer,) = run(sandbox, [cell], None, [script], 60, PATIENT).answers
    assert answer.answers == [None, 1]
    assert answer.failure.startswith("call 3, g(0): raises ZeroDivisionError")


def test_what_is_missing_is_said(sandbox: Walls) -> None:
    ran = asked(sandbox, ["x = 1"], 1)
    assert (ran.outcome, ran.answers[0].failure[:16]) == ("not defined", "f is not defined")


def test_cells_that_never_end_leave_no_case(sandbox: Walls) -> None:
    ran = asked(sandbox, ["while True: pass"], 1, 2, limits=Limits(cells_seconds=0.5))
    assert ran.outcome == "time limit"
    assert [a.failure.split(": ")[0] for a in ran.answers] == ["the notebook's cells"] * 2


def test_the_time_of_an_exercise_ends_for_all_its_cases(sandbox: Walls) -> None:
    cell = "import time\ndef f(n):\n    time.sleep(99)"
    ran = asked(sandbox, [cell], *range(9), limits=Limits(exercise_seconds=1), seconds_per_case=0.6)
    assert len(ran.answers) == 9
    assert ran.answers[-1].failure.startswith(("was not run", "the notebook's cells"))


def test_three_times_the_time() -> None:
    assert Limits().times(3) == Limits(cells_seconds=24, exercise_seconds=60)


# ---- a grader that fails


def test_a_sandbox_that_does_not_start_is_no_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    ran = asked(Walls("bwrap"), ["def f(n):\n    return n"], 1)
    assert (ran.answers, ran.outcome) == ([], "grader failed")
    assert ran.problem.endswith("setting up uid map: Permission denied")


def test_without_a_sandbox_it_says_why_and_grades_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "why_not", lambda mode: "there is none")
    with pytest.raises(BadInput, match=r"bwrap: there is none; .*--i-trust-these"):
        walls.choose()
    assert walls.choose(trust=True) == Walls("plain")


def test_the_strongest_walls_are_chosen_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "why_not", lambda mode: "" if mode != "bwrap" else "gone")
    assert walls.choose() == walls.choose(trust=True) == Walls("landlock")


def test_where_bwrap_fails_landlock_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands("landlock")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert walls.choose() == Walls("landlock")


def test_the_self_test_finds_these_walls_good(any_walls: Walls) -> None:
    probe.prove(any_walls, [ROOT / "solutions", ROOT / "README.md"])


class _Leaky(Walls):
    """Says that it is a sandbox."""

    def start(self, limits: Limits) -> subprocess.Popen[bytes]:
        return Walls("plain").start(limits)


def test_the_self_test_finds_a_hole() -> None:
    with pytest.raises(BadInput, match=r"can read /etc/passwd, .*solutions.*; nobody is graded"):
        probe.prove(_Leaky("bwrap"), [ROOT / "solutions"])


class _Dead(Walls):
    def start(self, limits: Limits) -> subprocess.Popen[bytes]:
        raise NoStart("no room")


def test_the_self_test_finds_that_nothing_runs() -> None:
    with pytest.raises(BadInput, match="no room; nobody is graded"):
        probe.prove(_Dead("bwrap"))


@pytest.mark.parametrize("mode", SANDBOXES)
def test_a_child_ends_with_its_grader(mode: str) -> None:
    stands(mode)
    code = (
        "import sys, time\nfrom memsim.lab.grader import frames, walls\n"
        f"p = walls.Walls({mode!r}).start(walls.Limits())\n"
        "frames.send(p.stdin.fileno(), frames.packed("
        "{'id': '', 'cells': ['while True: pass'], 'given': 0}))\n"
        "print(p.pid, flush=True)\ntime.sleep(600)"
    )
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert grader.stdout
    pid = int(grader.stdout.readline())
    grader.kill()
    grader.communicate()
    until = time.monotonic() + 60
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)
    cgroup.leave(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- control groups


def test_as_root_a_child_has_control_groups_that_go_with_it(sandbox: Walls) -> None:
    if not cgroup.hierarchies():
        pytest.skip("is not root, or there are no control groups to be had")
    process = sandbox.start(Limits())
    groups = [folder / f"memsim-{process.pid}" for folder in cgroup.hierarchies()]
    assert all(str(process.pid) in (g / "cgroup.procs").read_text().split() for g in groups)
    told = {f.name: f.read_text().strip() for g in groups for f in g.iterdir() if f.is_file()
            and f.name in ("pids.max", "memory.max", "memory.limit_in_bytes")}  # fmt: skip
    assert set(told.values()) == {"8", str(Limits().memory + (64 << 20))}
    walls.end(process)
    assert not any(group.exists() for group in groups)


def test_where_control_groups_are_made(tmp_path: Path) -> None:
    for name in ("memory/a/b", "pids", "system.slice/x"):
        (tmp_path / name).mkdir(parents=True)
    first = "8:pids:/\n4:memory:/a/b\n0::/\n"
    both = (tmp_path / "memory/a/b", tmp_path / "pids")
    assert cgroup._hierarchies(first, tmp_path) == both
    second = "0::/system.slice/x\n"
    assert cgroup._hierarchies(second, tmp_path) == ()
    (tmp_path / "system.slice/cgroup.subtree_control").write_text("cpu memory pids\n")
    assert cgroup._hierarchies(second, tmp_path) == (tmp_path / "system.slice",)


def test_a_kernel_without_landlock_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "_CREATE", 9999)
    assert landlock.abi() == 0
    assert walls.why_not("landlock") == "this kernel has none, or it is turned off"
    with pytest.raises(OSError, match="no Landlock"):
        landlock.close([])


# ---- the corpus


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


def driven(who: str, mode: str, folder: Path, *names: str) -> dict[str, Any]:
    """What drive.py says, run as root or as nobody, who has a copy of what it needs."""
    python, at, before = sys.executable, ROOT, []
    if who == "user" and os.getuid() == 0:
        python, at, before = _for_nobody(folder)
    env = {"PYTHONPATH": str(at), "PATH": os.environ["PATH"], "MEMSIM_TEST_SECRET": "5" * 31 + "a"}
    command = [*before, python, str(at / "tests" / "attacks" / "drive.py"), mode, *names]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd="/", timeout=1200)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _for_nobody(folder: Path) -> tuple[str, Path, list[str]]:
    python, setpriv = "/usr/bin/python3", shutil.which("setpriv")
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not setpriv or subprocess.run([python, "-c", check], check=False).returncode:
        pytest.skip("needs setpriv and a Python >= 3.11 in /usr/bin that an ordinary user may run")
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "memsim", folder / "memsim", ignore=skip)
    shutil.copytree(ROOT / "tests" / "attacks", folder / "tests" / "attacks", ignore=skip)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return python, folder, [setpriv, *NOBODY]


@pytest.fixture
def open_folder() -> Any:
    """A folder that anybody may come to; pytest's own are one user's."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _as_whom_and_behind_what() -> Iterator[Any]:
    """Root tries each wall as two users; with one user for each the other pair is `long`."""
    for who, mode in product(["root", "user"], SANDBOXES):
        is_other = os.name == "posix" and os.getuid() == 0 and (who == "root") != (mode == "bwrap")
        yield pytest.param(who, mode, marks=[pytest.mark.long] if is_other else [])


@pytest.mark.alone
@pytest.mark.parametrize(("who", "mode"), list(_as_whom_and_behind_what()))
def test_no_attack_succeeds(who: str, mode: str, open_folder: Path) -> None:
    if who == "root" and os.getuid() != 0:
        pytest.skip("is not root")
    stands(mode)
    told = driven(who, mode, open_folder)
    assert told.keys() == {attack.name for attack in ATTACKS}
    assert {name: t for name, t in told.items() if _succeeded(t)} == {}


def _succeeded(told: dict[str, Any]) -> bool:
    is_well = told["score"] == 0 and told["after"] == [12.0, "ran"]
    return not is_well or bool(told["leaks"] or told["harm"])


#: What needs walls: without them these succeed, so it is the walls that hold them.
NEED_WALLS = (
    "cases by path", "cases by import", "cases by places", "cases by variants", "by sqlite",
    "by ctypes open", "a file of anybodys", "a connection", "a local socket",
)  # fmt: skip


def test_the_corpus_has_teeth(open_folder: Path) -> None:
    told = driven("user", "plain", open_folder, *NEED_WALLS, "equal to all", "comparators")
    assert {name for name, t in told.items() if _succeeded({**t, "harm": []})} >= {*NEED_WALLS[:6]}
    assert all(told[name]["harm"] for name in NEED_WALLS[6:])
    assert told["equal to all"]["score"] == told["comparators"]["score"] == 0


def test_a_signal_that_no_child_can_refuse_ends_it(sandbox: Walls) -> None:
    process = sandbox.start(Limits())
    assert walls.end(process) == -signal.SIGKILL
    assert process.returncode is not None


def test_nobody_is_who_runs_student_code(sandbox: Walls) -> None:
    cell = "import os\ndef f(n):\n    return [os.getuid(), os.geteuid(), os.getgid()]"
    uids = asked(sandbox, [cell], 1).answers[0].answers[0]
    alone = sandbox.mode == "bwrap" or os.getuid() == 0
    assert uids == ([child.NOBODY] * 3 if alone else [os.getuid(), os.getuid(), os.getgid()])

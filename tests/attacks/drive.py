"""Runs the corpus in one sandbox, as whoever runs this: python drive.py MODE [NAME...]

Prints as JSON what became of each attack: its score, what leaked into its answers or what it
printed, and whether an honest notebook after it still gets full marks.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpus import ATTACKS, Attack

from memsim.lab.cases import Case
from memsim.lab.grader.runner import Ran, run
from memsim.lab.grader.walls import Limits, Walls
from memsim.lab.spec import spec_of
from memsim.lab.verdict import judge, points

#: Short, for attacks that wait; what it is for others is in runner's own tests.
LIMITS = Limits(cells_seconds=0.8, exercise_seconds=1.0, memory=320 << 20)
SECONDS = 0.3
SECRET = os.environ.get("MEMSIM_TEST_SECRET", "") or os.urandom(16).hex()
VISIBLE = (0, 1)
HIDDEN = (70_812_345, 70_812_346, 70_812_347, 70_812_348)
SPEC = spec_of(
    {
        **dict.fromkeys(("title", "lesson", "topic", "teaches"), "target"),
        "level": "write", "minutes": 1, "points": 12, "hints": ["a", "b", "c"],
        "predict": {"question": "?", "answers": {"a": "b"}, "right": "a"},
        "mistakes": {"none": "none"}, "kernel": ["none"],
    },
    "01_target", "target",
)  # fmt: skip


def right(n: int) -> Any:
    """Nobody's guess: a text, a number, or a list."""
    token = hashlib.sha256(f"{SECRET}{n}".encode()).hexdigest()[:32]
    return [token, int(token[:12], 16), [token, True]][n % 3]


EXPECTED = {n: right(n) for n in (*VISIBLE, *HIDDEN)}
CASES = [
    Case(f"case {n}", [["call", "answer", [n]]], EXPECTED[n], n in VISIBLE, compare="equal")
    for n in EXPECTED
]
HONEST = (f"TABLE = {EXPECTED!r}\ndef answer(n):\n    return TABLE[n]",)


def lay_course(folder: Path) -> None:
    """A course that everybody on this machine may read: the walls alone keep it."""
    target = folder / "solutions" / "cases" / "01_target"
    target.mkdir(parents=True)
    (folder / "exercises").mkdir()
    told = [{"script": c.script, "expected": c.expected, "visible": c.visible} for c in CASES]
    (target / "cases.json").write_text(json.dumps({"cases": told}))
    (target / "exercise.json").write_text(json.dumps(SPEC.raw))
    (target.parent / "cheat.py").write_text(f"ANSWERS = {EXPECTED!r}\n")
    (folder / "secret.txt").write_text(SECRET)
    with sqlite3.connect(folder / "gradebook.db") as book:
        book.execute("create table grades (id text, answer text)")
        book.execute("insert into grades values ('x', ?)", [str(EXPECTED)])
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def contents(folder: Path) -> dict[str, bytes]:
    """All that attacks must not change."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Target:
    """What there is to be attacked, besides the grade."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lay_course(folder / "course")
        self.open = folder / "open" / "anybody.txt"
        self.open.parent.mkdir()
        self.open.write_text("as it was")
        self.open.parent.chmod(0o777)
        self.open.chmod(0o666)
        folder.chmod(0o755)
        self.servers = [socket.create_server(("127.0.0.1", 0))]
        self.port = self.servers[0].getsockname()[1]
        self.servers.append(socket.socket(socket.AF_UNIX))
        self.servers[1].bind(f"\0memsim-{self.port}")
        self.servers[1].listen()
        for server in self.servers:
            server.setblocking(False)
        self.before = contents(folder)

    def cells(self, attack: Attack) -> list[str]:
        names = {"COURSE": self.folder / "course", "PID": os.getpid(), "OPEN": self.open}
        cells = list(attack.cells)
        for name, value in {**names, "PORT": self.port}.items():
            cells = [cell.replace(f"@{name}@", str(value)) for cell in cells]
        return cells

    def harm(self) -> list[str]:
        """What was done to it since it was made."""
        done = [] if contents(self.folder) == self.before else ["files are changed"]
        for server in self.servers:
            try:
                server.accept()
                done.append("somebody is connected")
            except BlockingIOError:
                pass
        return done


def graded(ran: Ran) -> float:
    verdicts = [judge(SPEC, case, answer) for case, answer in zip(CASES, ran.answers, strict=True)]
    return points(SPEC, verdicts)


def leaks(ran: Ran) -> list[str]:
    """Secrets in what came back, and hidden questions in what was printed."""
    came = repr(ran.answers) + ran.printed
    secrets = [SECRET, *(str(v if not isinstance(v, list) else v[0]) for v in EXPECTED.values())]
    return [s for s in secrets if s in came] + [str(n) for n in HIDDEN if str(n) in ran.printed]


def attacked(walls: Walls, target: Target, attack: Attack) -> dict[str, Any]:
    scripts = [case.script for case in CASES]
    ran = run(walls, target.cells(attack), None, scripts, SECONDS, LIMITS, visible=len(VISIBLE))
    after = run(walls, HONEST, None, scripts, 20, Limits(exercise_seconds=60), visible=2)
    return {
        "score": graded(ran) if ran.answers else None,
        "outcome": ran.outcome,
        "leaks": leaks(ran),
        "harm": target.harm(),
        "after": [graded(after), after.outcome],
        "failures": [answer.failure for answer in ran.answers],
        "printed": len(ran.printed),
        "seconds": round(ran.seconds, 3),
    }


def main(mode: str, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Target(Path(folder).resolve())
        wanted = [attack for attack in ATTACKS if not names or attack.name in names]
        told = {attack.name: attacked(Walls(mode), target, attack) for attack in wanted}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""`import memsim` needs the standard library and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDS_COURSE = ("memsim.views", "memsim.lab", "memsim.publish")

LOAD = """
import importlib, json, sys
root, names = sys.argv[1], sys.argv[2:]
sys.path.insert(0, root)
before = set(sys.modules)
for name in names:
    importlib.import_module(name)
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names - set(names)))
"""


def third_party_after(*names: str, root: Path = ROOT, flags: str = "-I") -> set[str]:
    """Top-level packages, neither the standard library's nor asked for, that importing loads."""
    done = subprocess.run(
        [sys.executable, flags, "-c", LOAD, str(root), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def modules() -> list[str]:
    """Every module of memsim that must do without the course's packages."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "memsim").rglob("*.py"))
    names = (".".join(path.parts).removesuffix(".__init__") for path in paths)
    return sorted(
        name for name in names if not name.startswith(NEEDS_COURSE) and "__main__" not in name
    )


def test_import_memsim_loads_nothing_third_party() -> None:
    assert third_party_after("memsim") == set()


def test_every_module_below_the_views_loads_nothing_third_party() -> None:
    assert third_party_after(*modules()) <= {"memsim"}


def test_every_module_below_the_views_loads_where_nothing_is_installed() -> None:
    # -S: no site-packages at all.
    assert third_party_after(*modules(), flags="-IS") <= {"memsim"}


def test_a_third_party_import_is_seen(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("import pytest\n")
    assert "pytest" in third_party_after("planted", root=tmp_path)

"""Python, the packages that pyproject.toml asks for, and their parts inside JupyterLab."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from memsim.doctor.check import COURSE, TESTS, Check

#: The first Python that the course was not tried with.
UNTRIED_PYTHON = (3, 14)
ROOT = Path(__file__).parents[2]

#: Front ends, as JupyterLab calls them, and the package that brings each.
FRONT_ENDS = {
    "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets",
    "anywidget": "anywidget",
    "jupyterlab-plotly": "plotly",
}

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:[^;]*?>=([0-9.]+))?")


def requirements(extra: str) -> list[tuple[str, str]]:
    """(package, least version) of an extra: by what is installed, or else by pyproject.toml."""
    try:
        wanted = metadata.requires("memsim") or []
        texts = [text for text in wanted if f'extra == "{extra}"' in text.replace("'", '"')]
    except metadata.PackageNotFoundError:
        texts = _in_pyproject(extra)
    matches = [match for text in texts if (match := _REQUIREMENT.match(text))]
    return [(match[1], match[2] or "0") for match in matches]


def _in_pyproject(extra: str) -> list[str]:
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return list(project["optional-dependencies"][extra])
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return []


def version_tuple(version: str) -> tuple[int, ...]:
    """The numbers that a version starts with: "4.6.6rc1" is (4, 6, 6)."""
    numbers = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """3.11 or newer."""
    found = ".".join(map(str, version))
    if version < (3, 11):
        return Check(COURSE, "Python", False, found, "Install 3.11 or newer, then: make setup")
    untried = "Should it fail, try 3.13" if version >= UNTRIED_PYTHON else ""
    return Check(COURSE, "Python", True, found, untried)


def check_packages(extra: str) -> list[Check]:
    """One check for each package of an extra."""
    purpose = COURSE if extra == "course" else TESTS
    wanted = requirements(extra)
    if not wanted:
        return [Check(purpose, "memsim", False, "is not installed", "Run: make setup")]
    return [_check_package(purpose, name, least) for name, least in wanted]


def _check_package(purpose: str, name: str, least: str) -> Check:
    python = Path(sys.executable).name or "python3"
    to_do = f"Run: make setup, or: {python} -m pip install '{name}>={least}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(purpose, name, False, "is not installed", to_do)
    if version_tuple(version) < version_tuple(least):
        return Check(purpose, name, False, f"{version} is too old, {least} is needed", to_do)
    return Check(purpose, name, True, version)


def data_folders() -> list[Path]:
    """Where Jupyter looks for its parts. Like `jupyter --paths`, without starting it."""
    told = [Path(path) for path in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if path]
    home = Path(os.path.expanduser("~"))
    own = [home / ".local/share/jupyter", home / "Library/Jupyter"]
    shared = [Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter")]
    return [*told, Path(sys.prefix) / "share/jupyter", *own, *shared]


def check_front_ends() -> list[Check]:
    """Does JupyterLab know how to draw sliders, the player and charts?"""
    folders = [folder / "labextensions" for folder in data_folders()]
    checks = []
    for name, package in FRONT_ENDS.items():
        is_there = any((folder / name / "package.json").is_file() for folder in folders)
        found = "is there" if is_there else "JupyterLab has no such extension"
        to_do = "" if is_there else f"Install {package} where jupyterlab is, then restart it"
        checks.append(Check(COURSE, f"front end {name}", is_there, found, to_do))
    return checks

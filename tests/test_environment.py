"""The lists of packages agree, the lock is fit for any machine, `make lab` opens the course."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[1]

# Where conda-forge calls a package of PyPI's otherwise.
CONDA_NAMES = {"playwright": "playwright-python"}

LOCKED = re.compile(r"^([a-z0-9._-]+)==([^ ;]+)[^\n]*((?:\n    --hash=\S+(?: \\)?)*)", re.MULTILINE)


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def extras() -> list[str]:
    """The requirements of all extras, as pyproject.toml has them."""
    of_each = pyproject()["project"]["optional-dependencies"]
    return [requirement for extra in of_each.values() for requirement in extra]


def conda_packages(text: str) -> list[str]:
    """The packages of an environment.yml, without python, pip and what pip installs."""
    lines = re.findall(r"^  - (\S+)$", text.partition("\ndependencies:\n")[2], re.MULTILINE)
    return [line for line in lines if not re.match(r"pip:?$|python>", line)]


def drift(wanted: list[str], environment: str) -> set[str]:
    """Packages that only one of the two lists has, or that they bound differently."""
    as_conda = set()
    for requirement in wanted:
        package = name(requirement)
        as_conda.add(CONDA_NAMES.get(package, package) + requirement.removeprefix(package))
    return as_conda ^ set(conda_packages(environment))


def name(requirement: str) -> str:
    """The package a requirement is about."""
    return re.split(r"[<>=~! ;\[]", requirement, maxsplit=1)[0]


def lock_faults(wanted: list[str], lock: str) -> list[str]:
    """What keeps a lock from being installed anywhere: one line a fault."""
    locked = {match[1]: match[3] for match in LOCKED.finditer(lock)}
    faults = [f"{r}: not in the lock" for r in wanted if name(r) not in locked]
    faults += [f"{package}: no hash" for package, hashes in locked.items() if not hashes]
    requirements = [line for line in lock.splitlines() if line and line.lstrip()[0] != "#"]
    faults += [
        f"{line}: not a pinned package"
        for line in requirements
        if not line.startswith("    --hash=sha256:") and not LOCKED.match(line)
    ]
    return faults + [f"{found}: an address" for found in re.findall(r"\S*(?://|file:)\S*", lock)]


def test_environment_yml_lists_what_the_extras_list() -> None:
    assert drift(extras(), (ROOT / "environment.yml").read_text()) == set()


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ("  - plotly>=6.1\n", "", {"plotly>=6.1"}),
        ("plotly>=6.1", "plotly>=6.0", {"plotly>=6.1", "plotly>=6.0"}),
        ("  - mypy>=1.13\n", "  - mypy>=1.13\n  - numpy>=2\n", {"numpy>=2"}),
    ],
)
def test_drift_of_environment_yml_is_seen(before: str, after: str, differs: set[str]) -> None:
    text = (ROOT / "environment.yml").read_text()
    assert before in text
    assert drift(extras(), text.replace(before, after)) == differs


def test_conda_and_pyproject_ask_for_the_same_python() -> None:
    environment = (ROOT / "environment.yml").read_text()
    least = re.search(r"^  - python(>=[\d.]+)", environment, re.MULTILINE)
    assert least is not None
    assert pyproject()["project"]["requires-python"] == least[1]


def test_the_lock_pins_everything_with_hashes_and_names_no_address() -> None:
    wanted = extras() + pyproject()["dependency-groups"]["build"]
    assert lock_faults(wanted, (ROOT / "requirements.lock").read_text()) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("absent>=1", "absent>=1: not in the lock"),
        ("a==1", "a: no hash"),
        ("a>=1", "a>=1: not a pinned package"),
        ("--find-links wheels", "--find-links wheels: not a pinned package"),
        ("# via https://example.org/simple", "https://example.org/simple: an address"),
    ],
)
def test_a_lock_that_will_not_do_is_seen(line: str, fault: str) -> None:
    assert fault in lock_faults(["absent>=1"], line + "\n")


def test_the_lock_serves_other_systems() -> None:
    # A package with compiled parts has a file for each system: few hashes would be one system's.
    locked = {m[1]: m[3] for m in LOCKED.finditer((ROOT / "requirements.lock").read_text())}
    assert {"appnope", "colorama", "pywinpty"} <= set(locked)  # macOS, Windows, Windows
    assert all(locked[package].count("--hash") > 10 for package in ("pyzmq", "debugpy", "rpds-py"))


def test_binder_installs_the_course_extra_at_the_lock_s_versions() -> None:
    script = (ROOT / "binder" / "postBuild").read_text()
    course = pyproject()["project"]["optional-dependencies"]["course"]
    assert f"pinned '{'|'.join(map(name, course))}'" in script


def ask(lab: Any, path: str) -> Any:
    """What JupyterLab's REST interface answers."""
    request = Request(lab.url + path, headers={"Authorization": f"token {lab.token}"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_make_lab_prints_its_address_and_serves_the_lessons(jupyterlab: Any) -> None:
    assert "no display" in jupyterlab.said
    with urlopen(f"{jupyterlab.url}/lab?token={jupyterlab.token}", timeout=60) as answer:
        assert answer.status == 200
        assert "JupyterLab" in answer.read().decode()
    names = {entry["name"] for entry in ask(jupyterlab, "/api/contents")["content"]}
    assert names == {p.name for p in (ROOT / "notebooks").iterdir() if p.name[0] not in "._"}


def test_make_lab_brings_the_course_s_settings(jupyterlab: Any) -> None:
    plugin = ask(jupyterlab, "/lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert plugin["schema"]["properties"]["fetchNews"]["default"] == "false"
    assert plugin["settings"] == {}  # and writes none into the reader's own


@pytest.mark.browser
def test_jupyterlab_opens_on_the_lessons_with_no_pop_up(jupyterlab: Any, page: Any) -> None:
    page.goto(f"{jupyterlab.url}/lab?token={jupyterlab.token}&reset")
    page.wait_for_selector(".jp-DirListing-itemName :text-is('LICENSE.md')")
    page.evaluate("window.jupyterapp.restored")
    page.wait_for_timeout(1_000)  # the question about news comes after the restoring
    assert page.locator(".Toastify__toast, .jp-Dialog").count() == 0
    assert page.locator(":text-is('Nbgrader')").count() == 0, "students have no use for its menu"


@pytest.mark.skipif(os.name == "nt", reason="`make lab` is for systems that have make")
def test_make_lab_hands_the_lessons_out_to_a_folder_of_one_s_own(tmp_path: Path) -> None:
    course = tmp_path / "my course"
    command = [ROOT / "tools" / "lab", sys.prefix, "--version"]
    environment = os.environ | {"COURSE": str(course), "HOME": str(tmp_path)}
    for said in ("new", "the same"):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert said in done.stderr
    for part in ("notebooks", "exercises"):
        handed = {path.name for path in (course / part).glob("*.ipynb")}
        assert handed == {path.name for path in (ROOT / part).glob("*.ipynb")} != set()

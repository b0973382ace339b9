"""memsim doctor: what is missing is said with what to do; nothing makes it fail itself."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from memsim import cli
from memsim.doctor import Report, doctor, packages
from memsim.doctor.check import COURSE, TESTS, YOUR_MACHINE, Check
from memsim.doctor.own_machine import check_kernel, check_proc, check_tracing
from memsim.doctor.packages import (
    FRONT_ENDS,
    check_front_ends,
    check_packages,
    check_python,
    requirements,
    version_tuple,
)
from memsim.doctor.tools import check_memory, check_model, check_programs

ROOT = Path(__file__).parents[1]


def test_here_the_course_can_run_and_every_line_says_what_was_found() -> None:
    report = doctor()
    assert report.can_run, report
    assert all(check.found for check in report.checks)
    assert all(check.to_do for check in report.checks if not check.is_ok)
    lines = repr(report).splitlines()
    assert lines[-1] == "The course can run here."
    assert len(lines) == len(report.checks) + 4
    assert {check.purpose for check in report.checks} == {COURSE, TESTS, YOUR_MACHINE}


# Packages


def test_requirements_are_those_of_pyproject(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {extra: requirements(extra) for extra in ("course", "test")}

    def not_installed(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", not_installed)
    assert {extra: sorted(requirements(extra)) for extra in installed} == {
        extra: sorted(wanted) for extra, wanted in installed.items()
    }
    assert ("jupyterlab", "4.4") in installed["course"]


def test_without_any_list_of_packages_it_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: None)
    (check,) = check_packages("course")
    assert check.blocks
    assert check.to_do == "Run: make setup"
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    assert packages._in_pyproject("course") == []


@pytest.mark.parametrize(
    ("version", "is_ok", "said"),
    [
        ("4.4", True, "4.4"),
        ("4.10.1", True, "4.10.1"),  # as numbers, not as text
        ("5.0.0rc1", True, "5.0.0rc1"),
        ("4.3.9", False, "4.3.9 is too old, 4.4 is needed"),
        ("weird", False, "weird is too old"),
    ],
)
def test_a_package_is_new_enough_or_not(
    version: str, is_ok: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    check = packages._check_package(COURSE, "jupyterlab", "4.4")
    assert check.is_ok == is_ok
    assert said in check.found
    assert ("pip install 'jupyterlab>=4.4'" in check.to_do) == (not is_ok)


def test_versions_are_compared_as_numbers() -> None:
    assert version_tuple("6.18.44-fc-v657") == (6, 18, 44)
    assert version_tuple("") == ()


@pytest.mark.parametrize(
    ("version", "is_ok", "to_do"),
    [
        ((3, 10, 9), False, "Install 3.11 or newer, then: make setup"),
        ((3, 11, 0), True, ""),
        ((3, 14, 0), True, "Should it fail, try 3.13"),
    ],
)
def test_python_is_new_enough_or_not(version: tuple[int, ...], is_ok: bool, to_do: str) -> None:
    check = check_python(version)
    assert (check.is_ok, check.to_do) == (is_ok, to_do)


def test_front_ends_are_found_where_jupyter_looks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nothing"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(packages, "data_folders", lambda: [tmp_path])
    assert not any(check.is_ok for check in check_front_ends())
    for name in FRONT_ENDS:
        folder = tmp_path / "labextensions" / name
        folder.mkdir(parents=True)
        (folder / "package.json").write_text("{}")
    assert all(check.is_ok for check in check_front_ends())


def test_jupyter_path_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", "/one:/two")
    assert packages.data_folders()[:2] == [Path("/one"), Path("/two")]


# Tools


def test_the_model_is_tried_and_leaves_nothing() -> None:
    assert check_model() == Check(COURSE, "the model", True, check_model().found)


def test_programs_that_are_not_there_are_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("MEMSIM_CHROMIUM", raising=False)
    checks = check_programs()
    assert [(check.name, check.is_ok) for check in checks] == [
        ("make", False),
        ("git", False),
        ("Chromium", False),
    ]
    assert not any(check.blocks for check in checks)


@pytest.mark.parametrize(
    ("text", "found", "to_do"),
    [
        ("MemAvailable:   2097152 kB\n", "2 GiB available", ""),
        ("MemAvailable:   524288 kB\n", "512 MiB available", "Close something: 1 GiB"),
        ("MemAvailable:\nMemAvailable: x kB\n\xff", "not known", ""),
    ],
)
def test_memory_is_told(text: str, found: str, to_do: str, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(text, encoding="latin-1")
    check = check_memory(tmp_path / "meminfo")
    assert found in check.found
    assert to_do in check.to_do
    assert not check.blocks
    assert "not known" in check_memory(tmp_path / "none").found


# This machine


@pytest.mark.parametrize(
    ("system", "release", "said"),
    [
        ("Linux", "6.12.107+deb13-cloud-amd64", ""),
        ("Linux", "6.18.44", "yours is newer: lessons say what changed"),
        ("Linux", "5.10.0", "yours is older: lessons say what changed"),
        ("Linux", "2.6.32", "yours is older: its /proc texts may differ"),
        ("Linux", "what\x1b[0m", "yours is older"),
        ("Darwin", "23.1.0", "The lessons have recorded copies"),
    ],
)
def test_the_kernel_is_compared_with_the_model_s(system: str, release: str, said: str) -> None:
    check = check_kernel(system, release)
    assert said in check.to_do
    assert check.is_ok == (system == "Linux")
    assert "\x1b" not in check.found


def test_each_file_of_proc_is_read_or_it_says_why_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "buddyinfo").write_text("Node 0, zone      DMA" + " 1" * 11 + "\n")
    (tmp_path / "zoneinfo").write_text("no zone\n" * 3)
    (tmp_path / "pagetypeinfo").write_text("")
    (tmp_path / "iomem").write_text("00000000-00000000 : Reserved\n")
    by_name = {check.name.rpartition("/")[2]: check for check in check_proc(tmp_path)}
    assert by_name["buddyinfo"].is_ok
    assert not by_name["zoneinfo"].is_ok
    assert "zoneinfo: line 1: " in by_name["zoneinfo"].found
    assert "as for all but root" in by_name["iomem"].found
    assert check_proc(tmp_path / "none")[0].found == "there is no such file here"

    def refused(*args: Any, **kwargs: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refused)
    checks = check_proc(tmp_path)
    assert {check.found for check in checks} == {"only root may read it"}
    assert checks[0].to_do == f"sudo cat {tmp_path / 'buddyinfo'}"
    assert "as root" in check_tracing(tmp_path).to_do


def test_tracing_is_there_or_it_says_why_not(tmp_path: Path) -> None:
    assert check_tracing(tmp_path / "none").found == f"there is no {tmp_path / 'none'}"
    assert "has no kmem events" in check_tracing(tmp_path).found
    event = tmp_path / "events/kmem/mm_page_alloc"
    event.mkdir(parents=True)
    (event / "format").write_text("name: mm_page_alloc\n")
    assert check_tracing(tmp_path).is_ok


# Showing it


def broken() -> Report:
    return Report(
        [
            Check(COURSE, "<b>x</b>", False, "is not there", "Do & see"),
            Check(COURSE, "y", True, "1"),
            Check(TESTS, "z", False, "none", "Install it"),
        ]
    )


def test_what_is_missing_is_named_and_only_the_course_s_needs_count() -> None:
    report = broken()
    assert not report.can_run
    assert repr(report) == (
        "For the course\n"
        "  missing  <b>x</b>: is not there. Do & see\n"
        "  ok       y: 1\n"
        "For its tests\n"
        "  missing  z: none. Install it\n"
        "The course cannot run here yet. Missing: <b>x</b>."
    )
    assert Report(report.checks[1:]).can_run


def test_a_notebook_shows_it_folded_and_text_stays_text() -> None:
    shown = broken()._repr_html_()
    assert "<details open><summary>For the course: 1 of 2 ok</summary>" in shown
    assert "<details><summary>For its tests: 0 of 1 ok</summary>" in shown
    assert "<b>x</b>" not in shown


def test_the_command_prints_lines_or_json_and_says_by_its_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("The course can run here.\n")
    monkeypatch.setattr("memsim.cli.course.doctor", broken)
    assert cli.main(["doctor", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["can_run"] is False
    assert [check["blocks"] for check in printed["checks"]] == [True, False, False]


def test_without_the_course_s_packages_it_still_speaks() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from memsim.cli import main; "
        "sys.exit(main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "missing  jupyterlab: is not installed. Run: make setup, or: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("The course cannot run here yet. Missing: ")
    assert done.stderr == ""

"""Python for the browser: Pyodide's core from npm, the wheels of requirements.lock, a list of both.

Pyodide's own builds of packages are only on its network. Those that the course needs are pure
Python, so what pip has will do, and every hash is checked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

VERSION = "314.0.7"
INTEGRITY = (
    "sha512-"
    "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
)
#: Of what npm has, what a browser loads.
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LOCK = "pyodide-lock.json"
#: What a requirement's condition is held against.
BROWSER = {"python_version": "3.14", "python_full_version": "3.14.2", "sys_platform": "emscripten"}
#: Any system's wheels, their hashes checked. Twice quiet: an index that lacks one is no news.
PIP = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--require-hashes"]
PIP += ["--platform", "any", "--implementation", "py", "--abi", "none", "--only-binary", ":all:"]
PIP += ["--python-version", BROWSER["python_version"]]
#: What the kernel and the course import; what these need comes along.
ROOTS = ("anywidget", "comm", "ipython", "ipywidgets", "micropip", "plotly")
#: Front ends, which a server would serve; here they are among the site's files.
FRONT_ENDS = {"jupyterlab-widgets", "widgetsnbextension"}


def fetch_core(cache: Path, folder: Path) -> None:
    """Pyodide's core, from npm unless the cache has it. SystemExit if it is not what is pinned."""
    archive = cache / f"pyodide-{VERSION}.tgz"
    if not archive.is_file():
        npm = ["npm", "pack", f"pyodide@{VERSION}", "--silent", "--pack-destination", str(cache)]
        _fetch(npm)
    if integrity(archive.read_bytes()) != INTEGRITY:
        archive.unlink()
        raise SystemExit(f"memsim: {archive}: is not the Pyodide {VERSION} that is pinned; removed")
    with tarfile.open(archive) as tar:
        for name in (*CORE, LOCK):
            (folder / name).write_bytes(tar.extractfile(f"package/{name}").read())  # type: ignore[union-attr]


def integrity(content: bytes) -> str:
    """npm's way to write a hash."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def fetch_wheels(pinned: str, cache: Path, folder: Path) -> None:
    """The wheels of ROOTS and of what they need, as requirements.lock (its text) pins them."""
    text = "\n".join(lines_of(pinned, closure(ROOTS)))
    wheels = cache / hashlib.sha256(text.encode()).hexdigest()[:16]
    if not wheels.is_dir():
        wanted, fetched = cache / "wheels.txt", cache / "fetched"
        wanted.write_text(text)
        shutil.rmtree(fetched, ignore_errors=True)
        _fetch([*PIP, "--requirement", str(wanted), "--dest", str(fetched)])
        fetched.rename(wheels)
    copy_wheels(wheels.iterdir(), folder)


def _fetch(command: list[str]) -> None:
    """Runs it; what it said is shown where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stderr}memsim: fetching failed: see above; is there a network?")


def closure(roots: Iterable[str]) -> set[str]:
    """The packages and all that they need in a browser, by what is installed here."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found | FRONT_ENDS:
            found.add(name)
            waiting += needs(_requirements(name))
    return found


def _requirements(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # micropip is for browsers alone
        return []


def needs(requirements: Iterable[str], extra: str = "") -> list[str]:
    """The packages among the requirements that are needed in a browser."""
    read = map(Requirement, requirements)
    there = {**BROWSER, "extra": extra}
    return [canonicalize_name(r.name) for r in read if r.marker is None or r.marker.evaluate(there)]


def lines_of(pinned: str, names: set[str]) -> Iterator[str]:
    """The lines of a lock that are about these packages. SystemExit if one has none.

    Without conditions: pip holds them against the Python that it runs on.
    """
    blocks = re.findall(r"^([a-z0-9._-]+)(==.*(?:\n    --hash.*)*)", pinned, re.MULTILINE)
    if missing := names - {name for name, _ in blocks}:
        raise SystemExit(f"memsim: not in requirements.lock: {', '.join(sorted(missing))}")
    return (name + re.sub(r" ;[^\\]*", " ", rest) for name, rest in blocks if name in names)


def write_lock(folder: Path) -> None:
    """Pyodide's list of packages: those that lie in the folder, and no others."""
    lock = json.loads((folder / LOCK).read_text())
    entries = [entry(wheel) for wheel in sorted(folder.glob("*.whl"))]
    there = {package["name"] for package in entries}
    for package in entries:
        package["depends"] = sorted(there & set(package["depends"]))
    lock["packages"] = {package["name"]: package for package in entries}
    (folder / LOCK).write_text(json.dumps(lock, indent=1))


def entry(wheel: Path) -> dict[str, Any]:
    """What the list says of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        paths = archive.namelist()
        told = next(path for path in paths if path.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(archive.read(told).decode())
    return {
        "name": canonicalize_name(about["Name"]),
        "version": about["Version"],
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": sorted(modules(paths)),
        "depends": needs(about.get_all("Requires-Dist", []), extra="course"),
        "unvendored_tests": False,
    }


def modules(paths: Iterable[str]) -> set[str]:
    """What can be imported of a wheel with these files."""
    tops = {path.split("/")[0] for path in paths if path.endswith(".py")}
    return {top.removesuffix(".py") for top in tops if top.removesuffix(".py").isidentifier()}


def copy_wheels(sources: Iterable[Path], folder: Path) -> None:
    """More wheels beside Pyodide."""
    for source in sources:
        shutil.copy2(source, folder)

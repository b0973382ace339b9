"""Lays out what JupyterLite is built from, in build/lite, and builds it.

Usage: python -m tools.jupyterlite.build BUILDER OUTPUT
BUILDER is a virtual environment with jupyterlite-core and jupyterlite-pyodide-kernel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.jupyterlite import pyodide

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "lite-cache"
SITE = ROOT / "build" / "lite"
NAME = "jupyter-lite.json"
KERNEL = "@jupyterlite/pyodide-kernel-extension"
EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget", "jupyterlab-plotly")
#: The wheels of the kernel's front end that are loaded; its stand-ins for what is there are not.
KERNEL_WHEELS = ("ipykernel-*", "piplite-*", "pyodide_kernel-*")
#: What a kernel begins with; everything else is loaded where a cell imports it.
FIRST = ("comm", "ipykernel", "ipython", "jedi", "micropip", "piplite", "pyodide-kernel")


def lay_out(builder: Path) -> None:
    """build/lite: Pyodide and wheels, the course as `memsim course` hands it out, settings."""
    shutil.rmtree(SITE, ignore_errors=True)
    folder = SITE / "static" / "pyodide"
    folder.mkdir(parents=True)
    CACHE.mkdir(exist_ok=True)
    pyodide.fetch_core(CACHE, folder)
    pyodide.fetch_wheels((ROOT / "requirements.lock").read_text(), CACHE, folder)
    extension = builder / "share/jupyter/labextensions" / KERNEL / "static/pypi"
    pyodide.copy_wheels((w for name in KERNEL_WHEELS for w in extension.glob(name)), folder)
    here = Path(sys.executable).parent
    _run(here / "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    pyodide.write_lock(folder)
    _run(here / "memsim", "course", str(SITE / "files"))
    (SITE / NAME).write_text(json.dumps(settings()))


def settings() -> dict[str, object]:
    """Where the kernel finds Python; whatever is not there is not looked for elsewhere."""
    kernel = {"disablePyPIFallback": True, "loadPyodideOptions": {"packages": FIRST}}
    config = {
        "appName": "memsim",
        "exposeAppInBrowser": True,
        "litePluginSettings": {f"{KERNEL}:kernel": kernel},
    }
    return {"jupyter-lite-schema-version": 0, "jupyter-config-data": config}


def build(builder: Path, output: Path) -> None:
    """The site, from build/lite; what was in its folder goes."""
    shutil.rmtree(output, ignore_errors=True)
    extensions = Path(sys.prefix) / "share/jupyter/labextensions"
    config = {
        "apps": ["lab"],
        "federated_extensions": [str(extensions / name) for name in EXTENSIONS],
        "no_sourcemaps": True,
        "output_dir": str(output.absolute()),
    }
    (SITE / "jupyter_lite_config.json").write_text(json.dumps({"LiteBuildConfig": config}))
    _run(builder.absolute() / "bin" / "jupyter-lite", "build", folder=SITE)
    shutil.copy2(output / "lab" / "favicon.ico", output)  # every browser asks for it there


def _run(program: Path, *words: str, folder: Path = ROOT) -> None:
    """A program that is heard only if it fails."""
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run([program, *words], cwd=folder, env=quiet, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}memsim: {program.name} failed: see above")


def _is_ours(output: Path) -> bool:
    """Nothing, or a site that was built before: what may be removed."""
    return not output.exists() or not any(output.iterdir()) or (output / NAME).is_file()


def main(builder: Path, output: Path) -> None:
    """Lay out, then build. SystemExit, in one line, where that cannot be."""
    if not _is_ours(output):
        raise SystemExit(f"memsim: {output}: is there and is no JupyterLite: move it away first")
    if not shutil.which("npm"):
        raise SystemExit("memsim: npm is needed, which brings Pyodide: install Node.js")
    lay_out(builder)
    build(builder, output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

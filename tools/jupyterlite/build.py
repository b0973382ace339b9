"""Lays out what JupyterLite is built from, in build/lite, and builds it.

Usage: python -m tools.jupyterlite.build BUILDER OUTPUT
BUILDER is a virtual environment with jupyterlite-core and jupyterlite-pyodide-kernel.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tools.jupyterlite import pyodide

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "lite-cache"
SITE = ROOT / "build" / "lite"
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
    _run("hatchling", "build", "--target", "wheel", "--directory", str(folder))
    pyodide.write_lock(folder)
    _run("memsim", "course", str(SITE / "files"))
    (SITE / "jupyter-lite.json").write_text(json.dumps(settings()))
    shutil.copy2(Path(__file__).with_name("overrides.json"), SITE)


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
    subprocess.run([builder.absolute() / "bin" / "jupyter-lite", "build"], check=True, cwd=SITE)
    shutil.copy2(output / "lab" / "favicon.ico", output)  # every browser asks for it there


def _run(program: str, *words: str) -> None:
    command = [Path(sys.executable).with_name(program), *words]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
    build(Path(sys.argv[1]), Path(sys.argv[2]))

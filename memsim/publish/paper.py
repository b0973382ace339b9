"""A page printed to PDF by a Chromium, without a network."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from memsim.doctor.tools import find_chromium
from memsim.words.errors import BadInput

#: Of a page's own clock, for its charts; and of ours, until Chromium is given up.
_PAGE_MILLISECONDS = 20_000
_SECONDS = 180


def need_chromium() -> str:
    """The path of a Chromium. BadInput: there is none."""
    found = find_chromium()
    if found is None:
        raise BadInput(
            "--pdf: no Chromium found to print with; install one, or name it in MEMSIM_CHROMIUM"
        )
    return found


def print_pdf(chromium: str, page: Path, pdf: Path) -> None:
    """Print a page of this machine, as the style sheet has it for paper. BadInput: no PDF came."""
    with tempfile.TemporaryDirectory(prefix="memsim-") as profile:
        made = Path(profile) / "made.pdf"
        command = [
            chromium, "--headless", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--virtual-time-budget={_PAGE_MILLISECONDS}",
            "--no-pdf-header-footer", f"--print-to-pdf={made}", page.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses root otherwise; the page is ours
        try:
            subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)
            pdf.write_bytes(made.read_bytes())
        except (OSError, subprocess.SubprocessError) as error:
            raise BadInput(
                f"no PDF: {chromium}: {_why(error)}; print {page} from a browser"
            ) from None


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {_SECONDS} seconds"
    if isinstance(error, subprocess.CalledProcessError):
        return f"ended with status {error.returncode}"
    return str(error)

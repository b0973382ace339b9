"""A notebook, run from its first cell to its last: what decks and pages are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from memsim.lib.text import one_line
from memsim.words.errors import BadInput

#: Seconds that a cell may take; the slowest of the course takes about one.
CELL_SECONDS = 120


def read_notebook(path: Path) -> Any:
    """A notebook as it is written. BadInput: it is none, or cannot be read."""
    try:
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (ValueError, AttributeError, nbformat.reader.NotJSONError) as error:
        raise BadInput(f"{path}: is no notebook: {one_line(error, 200)}") from None


def executed(path: Path) -> Any:
    """The notebook with the outputs of all its cells; its file stays as it is.

    Widgets are told by the HTML that each shows without a kernel. BadInput: a cell fails.
    """
    notebook = read_notebook(path)
    there = {"metadata": {"path": str(path.parent)}}
    if not any(cell.cell_type == "code" for cell in notebook.cells):
        return notebook
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, store_widget_state=False, resources=there,
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors: that it uses TCP, we know
    )  # fmt: skip
    try:
        return client.execute()
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        last = str(error).strip().splitlines()[-1]
        raise BadInput(f"{path}: a cell fails: {one_line(last, 300)}") from None

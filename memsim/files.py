"""Files are written whole, or not at all: whoever reads them may come at any time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

#: As open() makes files; tempfile's are nobody else's to read.
_MODE = 0o644


def write_whole(path: Path, *parts: bytes | bytearray) -> None:
    """A whole file in the place of whatever was there; its folder must be. OSError: nothing is."""
    handle, name = tempfile.mkstemp(".new", ".memsim-", path.parent)
    try:
        with open(handle, "wb") as file:
            for part in parts:
                file.write(part)
        os.chmod(name, _MODE)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

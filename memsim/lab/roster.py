"""The roster: who is in the class. A CSV file with a column `id`, and more that are kept."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from memsim.words.errors import BadInput

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_MAX_BYTES = 16 << 20

#: A row of the roster, by column.
Student = dict[str, str]


def read_roster(path: Path) -> dict[str, Student]:
    """The students by id. BadInput: what is wrong in which line."""
    rows = csv.DictReader(io.StringIO(_text(path)))
    if "id" not in (rows.fieldnames or []):
        raise BadInput(f"{path}: line 1: has no column named id")
    students: dict[str, Student] = {}
    for row in rows:
        student = (row["id"] or "").strip()
        if not _ID.fullmatch(student):
            raise BadInput(
                f"{path}: line {rows.line_num}: id: {student[:40]!r}: should be letters, digits "
                "and . _ @ + -, beginning with a letter or digit"
            )
        if student in students:
            raise BadInput(f"{path}: line {rows.line_num}: id: {student}: is there twice")
        students[student] = {k: v or "" for k, v in row.items() if isinstance(k, str)}
    if not students:
        raise BadInput(f"{path}: there are no students in it")
    return students


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BadInput(f"{path}: larger than {_MAX_BYTES} bytes")
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start}: is not UTF-8") from None

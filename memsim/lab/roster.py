"""The roster: who is in the class. A CSV file with a column `id`, and more that are kept.

As spreadsheets write it: with commas, semicolons or tabs, with empty lines, the columns in any
order and case. What Canvas and Moodle export is a roster too.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from memsim.lib.text import one_line
from memsim.words.errors import BadInput

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_MAX_BYTES = 16 << 20
#: What Excel's "Unicode Text" begins with.
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = (",", ";", "\t")
#: What Canvas's gradebook and Moodle's participants call the columns.
_COLUMNS = {
    "student": "name", "full name": "name", "first name": "first_name", "last name": "last_name",
    "surname": "last_name", "id number": "id", "sis user id": "sis_id", "sis login id": "login",
    "email address": "email",
}  # fmt: skip
#: The second row of Canvas's gradebook.
_POINTS = "Points Possible"

#: A row of the roster, by column.
Student = dict[str, str]


def read_roster(path: Path) -> dict[str, Student]:
    """The students by id. BadInput: what is wrong in which line."""
    students: dict[str, Student] = {}
    lines: dict[str, int] = {}
    for line, about in _rows(path):
        student, where = about["id"], f"{path}: line {line}: id"
        if not _ID.fullmatch(student):
            raise BadInput(
                f"{where}: {student[:40]!r}: should be letters, digits "
                "and . _ @ + -, beginning with a letter or digit"
            )
        if student in students:
            raise BadInput(f"{where}: {student}: is there twice, first in line {lines[student]}")
        if student.casefold() in lines:
            first = lines[student.casefold()]
            raise BadInput(f"{where}: {student}: differs from that of line {first} in case only")
        students[student] = about
        lines[student] = lines[student.casefold()] = line
    if not students:
        raise BadInput(f"{path}: there are no students in it")
    return students


def _rows(path: Path) -> Iterator[tuple[int, Student]]:
    """Each student's line and columns."""
    text = _text(path)
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text), delimiter=max(_DELIMITERS, key=head.count))
    try:
        columns = _columns(next(rows, []), path)
        for cells in rows:
            if any(cell.strip() for cell in cells) and not _is_head(cells, columns):
                yield rows.line_num, _student(cells, columns, f"{path}: line {rows.line_num}")
    except csv.Error as error:
        raise BadInput(f"{path}: line {rows.line_num}: {error}") from None


def _columns(head: Sequence[str], path: Path) -> list[str]:
    plain = [cell.strip().casefold() for cell in head]
    columns = [_COLUMNS.get(cell, cell) for cell in plain]
    if "id" not in columns:
        told = ", ".join(cell for cell in plain if cell)
        raise BadInput(f"{path}: line 1: has no column named id, but: {one_line(told, 200)}")
    if "sis login id" in plain:  # of Canvas's gradebook, whose "ID" is Canvas's own
        columns[plain.index("id")] = "canvas_id"
    return columns


def _is_head(cells: Sequence[str], columns: Sequence[str]) -> bool:
    """Rows of Canvas's gradebook that are nobody's: the points, and who posts by hand."""
    return "canvas_id" in columns and cells[0].strip() in ("", _POINTS)


def _student(cells: Sequence[str], columns: Sequence[str], where: str) -> Student:
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise BadInput(
            f"{where}: has {len(cells)} cells, line 1 has {len(columns)}: put a text with a "
            'comma in it in "quotes"'
        )
    padded = [*cells, *[""] * len(columns)]
    about = {column: cell.strip() for column, cell in zip(columns, padded, strict=False) if column}
    return {"id": about.get("canvas_id", ""), **about}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BadInput(f"{path}: larger than {_MAX_BYTES} bytes")
        content = path.read_bytes()
        return content.decode("utf-16" if content[:2] in _UTF_16 else "utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput(
            f"{path}: line {line}: is not UTF-8; in Excel, save it as CSV UTF-8; elsewhere: "
            f"iconv -f WINDOWS-1252 -t UTF-8 {path} > new.csv"
        ) from None

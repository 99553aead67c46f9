"""Spreadsheets, in the types of their cells; several sheets are one table, their rows counted on."""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.byte_streams import Progress
from components.ingest.files.file_system import locate
from components.ingest.files.jsonl_reader import typed_cells
from components.ingest.files.rows import FilePart, MalformedRow, Rows, shorten
from components.ingest.files.text_check import check_text

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

NAME = "a spreadsheet"
EMPTY = "it has not a single byte. Expected a spreadsheet such as Excel's .xlsx"
IS_TEXT = False

BATCH_ROWS = 1 << 15
MOST_DIGITS = 15
"""Excel keeps so many digits of a number."""


def expected(table: Table) -> str:
    """Return what a file of the table should be."""
    return "a spreadsheet such as Excel's .xlsx"


def parts(table: Table, file: str, part_bytes: int) -> list[FilePart]:
    """Return the whole file: a spreadsheet is unpacked as one."""
    return [FilePart(file)]


def column_names(table: Table, file: str) -> list[str]:
    """The first sheet's header.

    Raises:
        UserError: If there is no such sheet, or the sheets' headers differ.
    """
    system, path = locate(file)
    info = system.get_file_info(path)
    headers = _headers(file, table.sheet, table.skip_lines, table.header, info.mtime_ns, info.size)
    first = headers[0]
    for header in headers[1:]:
        if header.names != first.names:
            raise UserError(
                f"{file}: sheet {header.sheet!r} has the columns {', '.join(header.names) or 'none'}; sheet "
                f"{first.sheet!r} has {', '.join(first.names) or 'none'}. Expected sheets that are alike. "
                "Say with 'sheet' in domain.yaml which one to read."
            )
    return list(first.names)


def sheet_names(file: str) -> list[str]:
    """Return the names of a spreadsheet's sheets, in its order.

    Raises:
        UserError: If the reader is not installed, or the spreadsheet has a password.
        OSError: If the file is no whole spreadsheet.
    """
    with _open(file) as book:
        return list(book.sheet_names)


def read(table: Table, part: FilePart, columns: Sequence[str], progress: Progress) -> Iterator[Rows]:
    """Streams the file.

    Args:
        table: Says which sheets, and what stands above their rows.
        part: The file.
        columns: Names in the header, each once.
        progress: Is told how far it got.
    """
    first = 1
    with _open(part.file) as book:
        for name in _sheet_names(part.file, book.sheet_names, table.sheet):
            rows = _rows(book.get_sheet_by_name(name))
            header = _header(table.skip_lines, table.header, rows)
            places = [header.index(column) for column in columns]
            while batch := list(islice(rows, BATCH_ROWS)):
                yield _batch(part.file, first, batch, places, columns)
                first += len(batch)
                progress.row = first - 1


class _Header(NamedTuple):
    """A sheet's columns."""

    sheet: str
    names: tuple[str, ...]


@lru_cache(maxsize=16)
def _headers(
    file: str, wanted: str | None, skipped: int, names: tuple[str, ...] | None, changed: int, size: int
) -> tuple[_Header, ...]:
    """The headers of the wanted sheets; remembered, as a sheet is unpacked whole for its first row.

    Args:
        file: Path or URI.
        wanted: Glob of the sheets.
        skipped: Rows above the header.
        names: The columns, where the sheets have no header.
        changed: When the file changed last: another moment is another file.
        size: Its bytes.
    """
    with _open(file) as book:
        return tuple(
            _Header(sheet, tuple(_header(skipped, names, _rows(book.get_sheet_by_name(sheet)))))
            for sheet in _sheet_names(file, book.sheet_names, wanted)
        )


@contextmanager
def _open(file: str) -> Iterator[CalamineWorkbook]:
    try:
        import python_calamine
    except ImportError:
        raise UserError(
            f"{file} is a spreadsheet, and the package that reads those is not installed. Expected "
            "python-calamine. Install it with: pip install python-calamine (the extra 'xlsx' of this "
            "package), or save the sheet as CSV."
        ) from None
    system, path = locate(file)
    with system.open_input_file(path) as source:
        content = io.BytesIO(source.read())
    try:
        book = python_calamine.load_workbook(content)
    except python_calamine.PasswordError:
        raise UserError(
            f"{file} is protected by a password. Expected a spreadsheet that opens without one. Save it "
            "so, or save the sheet as CSV."
        ) from None
    except python_calamine.CalamineError as error:
        raise OSError(f"it is no whole spreadsheet ({error})") from error
    try:
        yield book
    except python_calamine.CalamineError as error:
        raise OSError(str(error)) from error
    finally:
        book.close()


def _sheet_names(file: str, there: list[str], wanted: str | None) -> list[str]:
    names = there[:1] if wanted is None else [name for name in there if fnmatch.fnmatchcase(name, wanted)]
    if wanted in there:
        # A name may hold brackets.
        names = [wanted]
    if not names:
        raise UserError(
            f"{file} has no sheet {wanted!r}; the sheets there are: {', '.join(there) or 'none'}. Expected "
            "one of those, or a glob. Set 'sheet' in domain.yaml."
        )
    return names


def _rows(sheet: CalamineSheet) -> Iterator[list[Any]]:
    """The sheet's rows from the first that is not empty."""
    return iter(sheet.to_python(skip_empty_area=True))


def _header(skipped: int, names: tuple[str, ...] | None, rows: Iterator[list[Any]]) -> list[str]:
    """Pass what stands above the rows; return the columns."""
    for _ in islice(rows, skipped):
        pass
    if names is not None:
        return list(names)
    return [_text(cell) or "" for cell in next(rows, [])]


def _batch(
    file: str, first: int, rows: list[list[Any]], places: Sequence[int], columns: Sequence[str]
) -> Rows:
    numbers = np.arange(first, first + len(rows))
    kept = np.array([any(cell not in ("", None) for cell in row) for row in rows], bool)
    malformed: list[MalformedRow] = []
    arrays = []
    for place, column in zip(places, columns, strict=True):
        cells = [_cell(row[place]) if place < len(row) else None for row in rows]
        for at, cell in enumerate(cells):
            if kept[at] and isinstance(cell, float) and abs(cell) >= 10**MOST_DIGITS and cell.is_integer():
                reason = (
                    f"column {column!r} holds a number of more than {MOST_DIGITS} digits, of which a "
                    "spreadsheet keeps only the first; expected text there"
                )
                malformed.append(MalformedRow(int(numbers[at]), shorten(str(int(cell))) or "", reason))
                kept[at] = False
        arrays.append(_typed(cells))
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    if not kept.all():
        batch, numbers = batch.filter(pa.array(kept)), numbers[kept]
    return check_text(Rows(file, numbers, batch, tuple(malformed)), "utf-8")


def _cell(cell: Any) -> Any:
    """A cell as it is; empty ones as None, whole numbers and days as such, and durations as text."""
    if cell == "":
        return None
    if type(cell) is date:
        return datetime(cell.year, cell.month, cell.day)
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 10**MOST_DIGITS:
        return int(cell)
    return cell if isinstance(cell, str | int | float | datetime) else _text(cell)


def _typed(cells: list[Any]) -> pa.Array:
    """[n] cells of one type: moments where all are, numbers where all are, else text."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if datetime in kinds and kinds != {datetime}:
        cells = [_text(cell) for cell in cells]
    elif kinds == {int, float}:
        cells = [None if cell is None else float(cell) for cell in cells]
    return typed_cells(cells)[0]


def _text(cell: Any) -> str | None:
    """A cell as a person would write it."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 10**MOST_DIGITS:
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, datetime | date) else str(cell)

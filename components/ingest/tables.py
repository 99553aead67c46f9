"""The user's CSV and Parquet files, read as Arrow record batches that know their file and rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from components.ingest.columns import Column, as_text
from components.ingest.declaration import Table
from components.ingest.errors import UserError

BATCH_ROWS = 1 << 17
"""Rows of a Parquet batch."""
BLOCK_BYTES = 8 << 20
"""Bytes of a CSV batch."""
SHOWN_CHARACTERS = 200
"""A cell or line quoted in a message or dead letter is cut here."""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of one file.

    Attributes:
        file: Path of the file.
        numbers: [n] int64, each row's number in the file: 1 for the first row of data.
        batch: [n] rows of the columns asked for, of the types in the file (CSV: all strings).
        malformed: Rows of the file up to here that have too many or too few cells, not told before.
    """

    file: str
    numbers: np.ndarray
    batch: pa.RecordBatch
    malformed: tuple[MalformedRow, ...] = ()


@dataclass(frozen=True)
class MalformedRow:
    """A line of a CSV file whose number of cells is not the header's."""

    number: int
    text: str
    reason: str


def table_files(table: Table, data_dir: str) -> list[str]:
    """Paths of a table's files, sorted.

    Raises:
        UserError: If there is none.
    """
    return matching_files(os.path.join(absolute_directory(data_dir), table.files))


def absolute_directory(data_dir: str) -> str:
    """The directory's absolute path; an object store's URI as it is."""
    return data_dir if "://" in data_dir else os.path.abspath(data_dir)


def matching_files(pattern: str) -> list[str]:
    """Paths or URIs matching a pattern, sorted.

    Raises:
        UserError: If there is none.
    """
    files = sorted(_glob(pattern))
    if not files:
        folder = os.path.dirname(pattern)
        beside = [os.path.basename(path.rstrip("/")) for path in _glob(os.path.join(folder, "*"), True)]
        nothing = "nothing" if "://" in folder or os.path.isdir(folder) else "no such directory"
        raise UserError(
            f"found no file {pattern} (in {folder}: {', '.join(sorted(beside)[:20]) or nothing}); expected "
            "at least one. Put the data there, or mend 'files' in domain.yaml."
        )
    return files


def _glob(pattern: str, folders_too: bool = False) -> list[str]:
    """What matches a pattern; only files, unless said."""
    if "://" not in pattern:
        return [path for path in glob.glob(pattern) if folders_too or os.path.isfile(path)]
    # Brings TensorFlow along, which reading local tables need not wait for.
    from tfx.dsl.io import fileio

    return [str(path) for path in fileio.glob(pattern) if folders_too or not fileio.isdir(path)]


def check_columns(table: Table, files: Iterable[str], required: Sequence[str]) -> None:
    """Looks at every file's header, before any row is read.

    Raises:
        UserError: If a file cannot be read, lacks a column, or has one twice. Names the file, the
            column, and the columns that are there.
    """
    for file in files:
        names = _column_names(table, file)
        for column in required:
            if names.count(column) == 1:
                continue
            fault = "has no column" if column not in names else f"has {names.count(column)} columns called"
            raise UserError(
                f"{file} {fault} {column!r}; the columns there are: {', '.join(names) or 'none'}. "
                f"Expected exactly one column of that name{_delimiter_hint(table, names)}. "
                "Mend the file's header, or the column's name in domain.yaml."
            )


def read_batches(table: Table, file: str, columns: Sequence[str]) -> Iterator[Rows]:
    """Streams one file.

    Args:
        table: Says format and delimiter.
        file: Path of the file.
        columns: Names of the columns to read.

    Raises:
        UserError: If the file is not what ``table`` says.
    """
    reader = _read_csv if table.resolved_format == "csv" else _read_parquet
    yield from reader(table, file, columns)


def read_columns(table: Table, files: Iterable[str], columns: Sequence[Column], key: str) -> pa.Table:
    """Reads a whole table into typed columns, and insists that every cell is right.

    For tables with a row an entity, not for event logs.

    Args:
        table: Says format and delimiter.
        files: Paths of its files.
        columns: Columns to read; see :class:`~components.ingest.columns.Column` for their types.
        key: Name of the column whose cells identify the rows: required and unique.

    Returns:
        Rows sorted by ``key``, bytewise.

    Raises:
        UserError: For a cell of the wrong type, a row without key, a key that comes twice; names file,
            row, column and value.
    """
    files = list(files)
    check_columns(table, files, [column.name for column in columns])
    schema = pa.schema([(column.name, _ARROW_TYPES[column.type]) for column in columns])
    batches, numbers, owners = [], [], []
    for index, file in enumerate(files):
        for rows in read_batches(table, file, [column.name for column in columns]):
            _refuse_malformed(rows)
            arrays = [_convert_or_refuse(column, rows, key) for column in columns]
            batches.append(pa.record_batch(arrays, schema=schema))
            numbers.append(rows.numbers)
            owners.append(np.full(len(rows.numbers), index))
    whole = pa.Table.from_batches(batches, schema=schema)
    if whole.num_rows == 0:
        raise UserError(
            f"{', '.join(files)}: found no rows below the header; expected at least one. "
            "Fill the file, or mend 'files' in domain.yaml."
        )
    order = pc.sort_indices(whole, sort_keys=[(key, "ascending")])
    _refuse_duplicates(whole[key].take(order), order, files, np.concatenate(owners), np.concatenate(numbers))
    return whole.take(order).combine_chunks()


_ARROW_TYPES = {
    "string": pa.string(),
    "strings": pa.list_(pa.string()),
    "number": pa.float64(),
    "moment": pa.int64(),
}


def _convert_or_refuse(column: Column, rows: Rows, key: str) -> pa.Array:
    cells = rows.batch.column(column.name)
    values, wrong = column.convert(cells)
    if column.name == key:
        wrong = wrong | values.is_null().to_numpy(zero_copy_only=False)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        value = as_text(cells.slice(first, 1))[0].as_py()
        expected = "an id in every row" if column.name == key else column.expected
        raise UserError(
            f"{rows.file}, row {rows.numbers[first]}, column {column.name!r}: found {shorten(value)!r}, "
            f"expected {expected} ({int(wrong.sum())} such cells near there). Mend the file, or the "
            "column's kind in domain.yaml."
        )
    return values


def _refuse_malformed(rows: Rows) -> None:
    if rows.malformed:
        row = rows.malformed[0]
        raise UserError(
            f"{rows.file}, row {row.number}: {row.reason}: {row.text!r}. Mend the row (a cell that holds "
            "the delimiter needs quotes), or the table's delimiter in domain.yaml."
        )


def _refuse_duplicates(
    keys: pa.ChunkedArray, order: pa.Array, files: list[str], owners: np.ndarray, numbers: np.ndarray
) -> None:
    if len(keys) < 2:
        return
    same = pc.equal(keys.slice(1), keys.slice(0, len(keys) - 1)).to_numpy()
    if not same.any():
        return
    place = int(np.flatnonzero(same)[0])
    first, second = (int(order[at].as_py()) for at in (place, place + 1))
    raise UserError(
        f"id {keys[place].as_py()!r} comes twice: {files[owners[first]]}, row {numbers[first]}, and "
        f"{files[owners[second]]}, row {numbers[second]} ({int(same.sum())} rows repeat an id). Expected "
        "one row an id. Remove or merge the repeated rows."
    )


def shorten(text: str | None) -> str | None:
    """Text cut to what is shown of a cell."""
    return text if text is None or len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _column_names(table: Table, file: str) -> list[str]:
    if table.resolved_format == "parquet":
        with _blaming(table, file), _open(file) as source:
            return list(pq.read_schema(source).names)
    with _blaming(table, file), _open(file) as source:
        empty = source.size() == 0
    if empty:
        raise UserError(
            f"{file} is empty: it has not even a header. Expected a header row with the columns' names, "
            "then the rows. Fill it, or mend 'files' in domain.yaml."
        )
    with _blaming(table, file), _open_csv(table, file, [], lambda row: "skip") as reader:
        return list(reader.schema.names)


def _locate(file: str) -> tuple[pa_fs.FileSystem, str]:
    """The file system a path or URI is of, and the path there."""
    return pa_fs.FileSystem.from_uri(file) if "://" in file else (pa_fs.LocalFileSystem(), file)


def _open(file: str) -> pa.NativeFile:
    system, path = _locate(file)
    return system.open_input_file(path)


def _read_parquet(table: Table, file: str, columns: Sequence[str]) -> Iterator[Rows]:
    first = 1
    with _blaming(table, file), _open(file) as opened, pq.ParquetFile(opened) as source:
        for batch in source.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
            yield Rows(file, np.arange(first, first + batch.num_rows), batch)
            first += batch.num_rows


def _read_csv(table: Table, file: str, columns: Sequence[str]) -> Iterator[Rows]:
    malformed: list[MalformedRow] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        reason = f"found {row.actual_columns} cells, expected {row.expected_columns}"
        # Arrow counts the header as row 1.
        malformed.append(MalformedRow(row.number - 1, shorten(row.text) or "", reason))
        return "skip"

    good, told = 0, 0
    with _blaming(table, file), _open_csv(table, file, columns, skip) as reader:
        for batch in reader:
            fresh = tuple(malformed[told:])
            told += len(fresh)
            yield Rows(file, _row_numbers(good, batch.num_rows, malformed), batch, fresh)
            good += batch.num_rows
        if malformed[told:]:
            nothing = pa.RecordBatch.from_pylist([], schema=reader.schema)
            yield Rows(file, np.empty(0, np.int64), nothing, tuple(malformed[told:]))


def _row_numbers(start: int, count: int, malformed: Sequence[MalformedRow]) -> np.ndarray:
    """[count] numbers in the file of the well-formed rows from the ``start``-th (from 0) on."""
    skipped = np.array([row.number for row in malformed], np.int64)
    ordinals = np.arange(start + 1, start + count + 1)
    # The j-th skipped row stands before a good one if no more than number - j good ones precede it.
    return ordinals + np.searchsorted(skipped - np.arange(len(skipped)), ordinals, side="right")


def _open_csv(
    table: Table, file: str, columns: Sequence[str], on_malformed: Callable[[pa_csv.InvalidRow], str]
) -> pa_csv.CSVStreamingReader:
    """Every column as a string, so that '007' stays an id and a wrong cell can be shown as it is."""
    system, path = _locate(file)
    return pa_csv.open_csv(
        system.open_input_stream(path),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=pa_csv.ParseOptions(
            delimiter=table.delimiter, newlines_in_values=True, invalid_row_handler=on_malformed
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=list(columns),
            column_types={name: pa.string() for name in columns},
            strings_can_be_null=False,
        ),
    )


def _delimiter_hint(table: Table, names: list[str]) -> str:
    suspects = [sign for sign in (",", ";", "\t", "|") if len(names) == 1 and sign in names[0]]
    if table.resolved_format != "csv" or not suspects:
        return ""
    return f" (the header looks delimited by {suspects[0]!r}, not {table.delimiter!r}: see 'delimiter')"


@contextmanager
def _blaming(table: Table, file: str) -> Iterator[None]:
    """Turns a reader's refusal into advice."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        expected = {
            "csv": f"a CSV file in UTF-8 with a header row, delimited by {table.delimiter!r}",
            "parquet": "a Parquet file",
        }[table.resolved_format]
        raise UserError(
            f"{file} cannot be read: {error}. Expected {expected}. Write it again in that form, or mend "
            "'format' and 'delimiter' in domain.yaml."
        ) from error

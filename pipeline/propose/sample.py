"""A bounded look at a table: all of a small one, stretches from all over a large one."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest.declaration import Compression
from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.tables import read_batches
from pipeline.propose.dialect import read_head
from pipeline.propose.given import GivenTable

WHOLE_BYTES = 48 << 20
"""Tables up to this size are read as a whole."""
WHOLE_PARQUET_ROWS = 2_000_000
"""Parquet packs tightly: tables of up to so many rows are read as a whole."""
STRETCHES = 16
"""A larger table is looked at in so many places, the beginning and the end among them."""
STRETCH_BYTES = 1 << 20
STRETCH_ROWS = 16_384
COMPRESSED_HEAD_BYTES = 32 << 20
"""Compressed text cannot be entered in the middle: so much of its beginning is read."""
KEY_BYTES = 2 << 30
KEY_ROWS = 30_000_000
"""A column of a larger table is not read as a whole, not even for a join."""


@dataclass(frozen=True)
class Sample:
    """Rows of a table.

    Attributes:
        rows: [n] rows, all columns, as ingestion's reader gives them.
        total: Rows of the table; an estimate unless ``whole``.
        whole: Whether ``rows`` are all there are.
        malformed: Rows looked at that have too many or too few cells.
        note: What was looked at, for people.
    """

    rows: pa.Table
    total: int
    whole: bool
    malformed: int
    note: str


def take_sample(given: GivenTable) -> Sample:
    """Looks at a table.

    Raises:
        UserError: If a file is not what it seemed, or there is no row in the whole table.
    """
    if given.format == "parquet":
        sample = _sample_parquet(given)
    elif given.format in ("json", "xlsx"):
        sample = _sample_first_rows(given)
    elif given.compression == "none" and given.dialect.encoding != "utf-16":
        sample = _sample_text(given)
    else:
        sample = _sample_beginnings(given)
    if not sample.rows.num_rows:
        raise UserError(
            f"{given.pattern} holds no rows, only columns: {', '.join(given.dialect.columns)}. Expected at "
            "least one row."
        )
    return sample


def whole_column(given: GivenTable, column: str) -> pa.Array | None:
    """All cells of one column as text, in the files' order, null where missing.

    Returns:
        [rows of the table] strings; None where the table is too large to read even one column of it.
    """
    if given.format == "parquet":
        if sum(pq.ParquetFile(file).metadata.num_rows for file in given.files) > KEY_ROWS:
            return None
    elif sum(os.path.getsize(file) for file in given.files) > KEY_BYTES:
        return None
    wanted = Column(name=column)
    cells = [
        wanted.convert(rows.batch.column(column)).values
        for file in given.files
        for rows in read_batches(given.as_table(), file, [column])
        if rows.batch.num_rows
    ]
    return pa.chunked_array(cells, pa.string()).combine_chunks()


def _sample_parquet(given: GivenTable) -> Sample:
    sizes = [pq.ParquetFile(file).metadata.num_rows for file in given.files]
    total = sum(sizes)
    if total <= WHOLE_PARQUET_ROWS and sum(map(os.path.getsize, given.files)) <= 4 * WHOLE_BYTES:
        return _everything(given)
    groups = [
        (file, group) for file in given.files for group in range(pq.ParquetFile(file).metadata.num_row_groups)
    ]
    chosen = [groups[at] for at in _spread(len(groups))]
    rows_each = STRETCHES * STRETCH_ROWS // len(chosen)
    batches = []
    for file, group in chosen:
        with pq.ParquetFile(file) as source:
            reader = source.iter_batches(batch_size=rows_each, row_groups=[group])
            batches += [pa.Table.from_batches([batch]) for batch in _first(reader)]
    rows = _joined(batches, given)
    return Sample(rows, total, False, 0, f"{rows.num_rows:,} of {total:,} rows, from all over the table")


def _sample_text(given: GivenTable) -> Sample:
    sizes = [os.path.getsize(file) for file in given.files]
    if sum(sizes) <= WHOLE_BYTES:
        return _everything(given)
    chosen = _spread(len(given.files))
    stretches = max(1, STRETCHES // len(chosen))
    parts, malformed, looked_at = [], 0, 0
    for at in chosen:
        header, body = _stretches(given, given.files[at], stretches)
        looked_at += len(body)
        rows, wrong = _read_text(given, header + body)
        parts.append(rows)
        malformed += wrong
    rows = _joined(parts, given)
    total = round(rows.num_rows * sum(sizes) / max(1, looked_at))
    note = f"{rows.num_rows:,} of about {_rounded(total):,} rows, from all over the table"
    return Sample(rows, total, False, malformed, note)


def _sample_beginnings(given: GivenTable) -> Sample:
    """For text that cannot be entered in its middle."""
    if sum(map(os.path.getsize, given.files)) <= WHOLE_BYTES // 8:
        return _everything(given)
    parts, malformed, looked_at, whole = [], 0, 0, len(given.files) <= STRETCHES
    chosen = _spread(len(given.files))
    budget = COMPRESSED_HEAD_BYTES // len(chosen)
    for at in chosen:
        file, compression = given.files[at], given.compression
        head = read_head(file, compression, budget)
        whole &= len(read_head(file, compression, budget + 1)) == len(head) and len(head) < budget // 2
        rows, wrong = _read_text(given, head)
        parts.append(rows)
        malformed += wrong
        looked_at += _compressed_size(file, compression, len(head))
    rows = _joined(parts, given)
    total = (
        rows.num_rows
        if whole
        else round(rows.num_rows * sum(map(os.path.getsize, given.files)) / max(1, looked_at))
    )
    note = f"{rows.num_rows:,} of about {_rounded(total):,} rows, from the beginnings of the files"
    return Sample(rows, total, whole, malformed, note)


def _sample_first_rows(given: GivenTable) -> Sample:
    """For files that can be read from their beginning only, object by object or cell by cell."""
    if sum(map(os.path.getsize, given.files)) <= WHOLE_BYTES:
        return _everything(given)
    parts, malformed, left = [], 0, STRETCHES * STRETCH_ROWS
    for file in given.files:
        for rows in read_batches(given.as_table(), file, list(given.dialect.columns)):
            malformed += len(rows.malformed)
            parts.append(pa.Table.from_batches([rows.batch]))
            left -= rows.batch.num_rows
            if left <= 0:
                break
    rows = _joined(parts, given)
    if left > 0:
        return Sample(rows, rows.num_rows, True, malformed, "all rows")
    total = round(rows.num_rows * sum(map(os.path.getsize, given.files)) / max(1, 2 * rows.nbytes))
    total = max(total, rows.num_rows)
    note = f"{rows.num_rows:,} of about {_rounded(total):,} rows, from the beginnings of the files"
    return Sample(rows, total, False, malformed, note)


def _compressed_size(file: str, compression: Compression, plain: int) -> int:
    """Bytes of the file that hold the first ``plain`` bytes of its text."""
    if compression == "none":
        return plain
    if compression == "zip":
        with zipfile.ZipFile(file) as archive:
            sizes = [(member.compress_size, member.file_size) for member in archive.infolist()]
        return round(plain * sum(packed for packed, _ in sizes) / max(1, sum(size for _, size in sizes)))
    with open(file, "rb") as raw:
        source = pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression)
        done = 0
        while done < plain and (part := source.read(min(1 << 20, plain - done))):
            done += len(part)
        return raw.tell()


def _everything(given: GivenTable) -> Sample:
    parts, malformed = [], 0
    for file in given.files:
        for rows in read_batches(given.as_table(), file, list(given.dialect.columns)):
            malformed += len(rows.malformed)
            parts.append(pa.Table.from_batches([rows.batch]))
    rows = _joined(parts, given)
    return Sample(rows, rows.num_rows, True, malformed, "all rows")


def _stretches(given: GivenTable, file: str, count: int) -> tuple[bytes, bytes]:
    """The lines down to the header, and whole lines from ``count`` places in a file, the last included."""
    size = os.path.getsize(file)
    keys = given.dialect.keys
    above = keys.get("skip_lines", 0) + ("header" not in keys)
    with open(file, "rb") as source:
        header = b"".join(source.readline() for _ in range(above))
        first, last = source.tell(), max(source.tell(), size - STRETCH_BYTES)
        parts: list[bytes] = []
        end = 0
        for start in np.linspace(first, last, count).astype(int):
            source.seek(max(int(start), end))
            if source.tell() > first:
                source.readline()  # The line that was entered in its middle.
            block = source.read(STRETCH_BYTES)
            parts.append(block + source.readline())
            end = source.tell()
    body = b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts if part)
    return header, body


def _read_text(given: GivenTable, content: bytes) -> tuple[pa.Table, int]:
    """Reads bytes of a CSV or JSON Lines file just as ingestion would read the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sample")
        with open(path, "wb") as target:
            target.write(content)
        table = given.as_table().model_copy(update={"files": path, "compression": "none"})
        parts, malformed = [], 0
        for rows in read_batches(table, path, list(given.dialect.columns)):
            malformed += len(rows.malformed)
            parts.append(pa.Table.from_batches([rows.batch]))
    return _joined(parts, given), malformed


def _joined(parts: Sequence[pa.Table], given: GivenTable) -> pa.Table:
    if not parts:
        return pa.table({name: pa.nulls(0, pa.string()) for name in given.dialect.columns})
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(
            f"{given.pattern}: the files disagree on a column's type: {error}. Expected one type a column; "
            "write the files again alike."
        ) from error


def _spread(count: int) -> list[int]:
    """Up to STRETCHES numbers below ``count``, evenly spread, the first and the last among them."""
    return sorted({int(at) for at in np.linspace(0, count - 1, min(count, STRETCHES))})


def _first(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        return


def _rounded(count: int) -> int:
    """An estimate with the two digits it can vouch for."""
    return round(count, 2 - len(str(count)))

"""Parquet files, in the types they were written with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.parquet as pq

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.byte_streams import Progress
from components.ingest.files.file_system import locate
from components.ingest.files.rows import FilePart, Rows
from components.ingest.files.text_check import check_text

NAME = "Parquet"
EMPTY = "it has not a single byte. Expected a Parquet file"
IS_TEXT = False

BATCH_ROWS = 1 << 17
"""Rows of a batch."""

_MAGIC = b"PAR1"


def expected(table: Table) -> str:
    """Return what a file of the table should be."""
    return "a Parquet file"


def column_names(table: Table, file: str) -> list[str]:
    """The file's top-level columns, in its order."""
    with _open(file) as source:
        return list(source.schema_arrow.names)


def read(table: Table, part: FilePart, columns: Sequence[str], progress: Progress) -> Iterator[Rows]:
    """Streams a part.

    Args:
        table: The table the file is of.
        part: What to read.
        columns: Names in the file, each once.
        progress: Is told how far it got.
    """
    with _open(part.file) as source:
        groups = range(part.start, source.num_row_groups if part.end is None else part.end)
        first = part.first_row
        for batch in source.iter_batches(BATCH_ROWS, row_groups=list(groups), columns=list(columns)):
            numbers = np.arange(first, first + batch.num_rows)
            first += batch.num_rows
            yield check_text(Rows(part.file, numbers, batch.select(list(columns))), "utf-8")
            progress.row = first - 1


def parts(table: Table, file: str, part_bytes: int) -> list[FilePart]:
    """Row groups, as many together as ``part_bytes`` uncompressed hold; at least one a part."""
    with _open(file) as source:
        groups = [source.metadata.row_group(place) for place in range(source.num_row_groups)]
        found: list[FilePart] = []
        start, first, row, held = 0, 1, 1, 0
        for place, group in enumerate(groups):
            if held and held + group.total_byte_size > part_bytes:
                found.append(FilePart(file, len(found), start, place, first))
                start, first, held = place, row, 0
            held += group.total_byte_size
            row += group.num_rows
        found.append(FilePart(file, len(found), start, None, first))
        return found


def _open(file: str) -> pq.ParquetFile:
    system, path = locate(file)
    with system.open_input_file(path) as opened:
        size = opened.size()
        ends = (opened.read(4), opened.seek(max(0, size - 4)) and opened.read(4))
    if ends[0] == _MAGIC and ends[1] != _MAGIC:
        raise UserError(
            f"{file} was cut off: it begins as a Parquet file, but its end is missing, without which no row "
            "(0 so far) can be read. Fetch or write it again."
        )
    return pq.ParquetFile(path, filesystem=system)

"""CSV files, every cell as text, so that '007' stays an id and a wrong cell can be shown as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from components.ingest.byte_streams import Progress, is_utf8, open_text, unmarked
from components.ingest.declaration import Table
from components.ingest.rows import FilePart, MalformedRow, Rows, shorten
from components.ingest.text_check import LATIN_1_HINT, check_text

BLOCK_BYTES = 8 << 20
"""Bytes of a batch; no row can be longer."""


def column_names(table: Table, file: str) -> list[str]:
    """The header's columns, in the file's order."""
    with _Reader(table, FilePart(file), []) as reader:
        return list(reader.names)


def read(table: Table, part: FilePart, columns: Sequence[str], progress: Progress) -> Iterator[Rows]:
    """Streams a part.

    Args:
        table: Says delimiter, compression and encoding.
        part: What to read.
        columns: Names in the file, each once.
        progress: Is told how many rows were read.
    """
    told = part.first_row - 1
    try:
        for rows in _read(table, part, columns, False):
            told = max([told, *rows.numbers[-1:].tolist(), *(row.number for row in rows.malformed)])
            progress.rows = told
            yield rows
    except pa.ArrowInvalid as error:
        # What Arrow says when it cannot show us a row of the wrong length because it is not UTF-8.
        if "Expected" not in str(error) or not is_utf8(table):
            raise
        for rows in _read(table, part, columns, True):
            rows = _after(rows, told)
            progress.rows = max([progress.rows, *rows.numbers[-1:].tolist()])
            yield rows


def _read(table: Table, part: FilePart, columns: Sequence[str], marking: bool) -> Iterator[Rows]:
    hint = LATIN_1_HINT if is_utf8(table) else ""
    with _Reader(table, part, columns, marking) as reader, _BlankLines(table, part, marking) as blanks:
        for index, batch in enumerate(reader):
            numbers, malformed = reader.place(batch.num_rows)
            empty = blanks.among(index, batch)
            if empty is not None:
                numbers, batch = numbers[~empty], batch.filter(pa.array(~empty))
            yield check_text(Rows(part.file, numbers, batch, malformed), table.encoding, hint)
        _, malformed = reader.place(0)
        if malformed:
            nothing = pa.RecordBatch.from_pylist(
                [], schema=pa.schema([(name, pa.string()) for name in columns])
            )
            yield Rows(part.file, np.empty(0, np.int64), nothing, malformed)


def _after(rows: Rows, told: int) -> Rows:
    """The rows that come after the one numbered ``told``."""
    kept = rows.numbers > told
    malformed = tuple(row for row in rows.malformed if row.number > told)
    return Rows(rows.file, rows.numbers[kept], rows.batch.filter(pa.array(kept)), malformed)


class _Reader:
    """Arrow's reader of a part, which also remembers the rows of the wrong length it left out."""

    def __init__(self, table: Table, part: FilePart, columns: Sequence[str], marking: bool = False) -> None:
        self._part = part
        self._skipped: list[int] = []
        self._malformed: list[MalformedRow] = []
        self._good = 0
        self._stream = open_text(table, part, marking)
        self._reader = pa_csv.open_csv(
            self._stream,
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=list(part.header) or None
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=table.delimiter,
                # Parts of a file are made only where no newline is quoted.
                newlines_in_values=part.is_whole,
                # Arrow gives numbers to the lines it does not ignore.
                ignore_empty_lines=False,
                invalid_row_handler=self._skip,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(columns),
                column_types={name: pa.binary() for name in columns},
                strings_can_be_null=False,
            ),
        )

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._stream.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self._reader)

    @property
    def names(self) -> list[str]:
        """The columns read."""
        return list(self._reader.schema.names)

    def place(self, count: int) -> tuple[np.ndarray, tuple[MalformedRow, ...]]:
        """The [count] numbers of the next well-formed rows, and the rows left out since last asked."""
        ordinals = np.arange(self._good + 1, self._good + count + 1)
        if self._skipped:
            # The j-th skipped row stands before a good one if no more than number - j good ones precede it.
            skipped = np.array(self._skipped, np.int64) - np.arange(len(self._skipped))
            ordinals += np.searchsorted(skipped, ordinals, side="right")
        self._good += count
        malformed, self._malformed = tuple(self._malformed), []
        return ordinals + self._part.first_row - 1, malformed

    def _skip(self, row: pa_csv.InvalidRow) -> str:
        # Arrow counts a header as row 1.
        number = row.number if self._part.header else row.number - 1
        self._skipped.append(number)
        reason = f"found {row.actual_columns} cells, expected {row.expected_columns}"
        text = shorten(unmarked(row.text)) or ""
        self._malformed.append(MalformedRow(number + self._part.first_row - 1, text, reason))
        return "skip"


class _BlankLines:
    """Tells blank lines from rows whose columns asked for happen to be empty, by reading the others."""

    def __init__(self, table: Table, part: FilePart, marking: bool) -> None:
        self._table, self._part, self._marking = table, part, marking
        self._everything: _Reader | None = None
        self._batches: Iterator[tuple[int, pa.RecordBatch]] = iter(())

    def __enter__(self) -> _BlankLines:
        return self

    def __exit__(self, *_: object) -> None:
        if self._everything is not None:
            self._everything.__exit__()

    def among(self, index: int, batch: pa.RecordBatch) -> np.ndarray | None:
        """[n] bool, the blank lines among the rows of the ``index``-th batch; None where there is none."""
        empty = _all_empty(batch)
        if not empty.any():
            return None
        if self._everything is None:
            names = column_names(self._table, self._part.file)
            self._everything = _Reader(self._table, self._part, list(dict.fromkeys(names)), self._marking)
            self._batches = enumerate(self._everything)
        # Batches are cut by bytes, so they are the same whichever columns are read.
        whole = next(whole for place, whole in self._batches if place == index)
        return _all_empty(whole)


def _all_empty(batch: pa.RecordBatch) -> np.ndarray:
    empty = np.ones(batch.num_rows, bool)
    for cells in batch.columns:
        empty &= pc.binary_length(cells).to_numpy(zero_copy_only=False) == 0
        if not empty.any():
            break
    return empty

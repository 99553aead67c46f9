"""CSV files, every cell as text, so that '007' stays an id and a wrong cell can be shown as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from components.ingest.declaration import Table
from components.ingest.files.byte_streams import Progress, is_utf8, open_text, unmarked
from components.ingest.files.rows import FilePart, MalformedRow, Rows, shorten
from components.ingest.files.text_check import LATIN_1_HINT, check_text

BLOCK_BYTES = 8 << 20
"""Bytes of a batch; no row can be longer."""

_HEADER_BLOCK_BYTES = 1 << 20
_UNCLOSED = "a double quote is opened in this row and never closed"


def column_names(table: Table, file: str) -> list[str]:
    """The header's columns, in the file's order."""
    # Asked for no column, Arrow infers the types of all, from a block that need not be large.
    with _Reader(table, FilePart(file), [], min(BLOCK_BYTES, _HEADER_BLOCK_BYTES)) as reader:
        return [unmarked(name) for name in reader.names]


def read(table: Table, part: FilePart, columns: Sequence[str], progress: Progress) -> Iterator[Rows]:
    """Streams a part.

    Args:
        table: Says delimiter, compression and encoding.
        part: What to read.
        columns: Names in the file, each once.
        progress: Is told how far it got.
    """
    hint = LATIN_1_HINT if is_utf8(table) else ""
    with _Reader(table, part, columns) as reader, _WholeRows(table, part) as whole_rows:
        for index, (batch, is_last) in enumerate(_with_last(reader)):
            numbers, malformed = reader.place(batch.num_rows)
            kept = np.ones(batch.num_rows, bool)
            empty = _all_empty(batch)
            if empty.any():
                # Blank lines, or rows that are empty only in the columns asked for?
                kept &= ~_all_empty(whole_rows.batch(index))
            if is_last and reader.quotes % 2:
                lost = _unclosed(whole_rows.batch(index))
                if lost is not None:
                    kept[-1] = False
                    malformed += (MalformedRow(int(numbers[-1]), lost, _UNCLOSED),)
            if not kept.all():
                numbers, batch = numbers[kept], batch.filter(pa.array(kept))
            rows = check_text(Rows(part.file, numbers, batch, malformed), table.encoding, hint)
            progress.row = max([progress.row, *numbers[-1:].tolist()])
            yield rows
        _, malformed = reader.place(0)
        if reader.fault is not None:
            raise reader.fault
        if malformed:
            schema = pa.schema([(name, pa.string()) for name in columns])
            yield Rows(part.file, np.empty(0, np.int64), pa.RecordBatch.from_pylist([], schema), malformed)


def _with_last(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Each batch, and whether it is the last."""
    waiting = None
    try:
        for batch in batches:
            if waiting is not None:
                yield waiting, False
            waiting = batch
    except pa.ArrowException:
        if waiting is not None:
            yield waiting, False
        raise
    if waiting is not None:
        yield waiting, True


def _unclosed(batch: pa.RecordBatch) -> str | None:
    """What the batch's last row swallowed, of the columns with a newline."""
    cells = [column[-1].as_py() for column in batch.columns] if batch.num_rows else []
    swallowed = next((cell for cell in cells if b"\n" in cell), None)
    return None if swallowed is None else shorten(unmarked(swallowed.decode()))


class _Reader:
    """Arrow's reader of a part, which also remembers the rows of the wrong length it left out."""

    def __init__(
        self, table: Table, part: FilePart, columns: Sequence[str], block_bytes: int | None = None
    ) -> None:
        self._part, self._block_bytes = part, block_bytes or BLOCK_BYTES
        self._skipped: list[int] = []
        self._malformed: list[MalformedRow] = []
        self._good = 0
        self._text = open_text(table, part)
        try:
            self._reader = self._open(table.delimiter, columns)
        except pa.ArrowInvalid:
            # Without the rest of the file, what there is may be no CSV.
            if self._text.fault is not None:
                raise self._text.fault from None
            raise

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._text.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self._reader)

    @property
    def names(self) -> list[str]:
        """The columns read."""
        return list(self._reader.schema.names)

    @property
    def fault(self) -> OSError | None:
        """Why the file ended early."""
        return self._text.fault

    @property
    def quotes(self) -> int:
        """How many double quotes were read."""
        return self._text.quotes

    def _open(self, delimiter: str, columns: Sequence[str]) -> pa_csv.CSVStreamingReader:
        return pa_csv.open_csv(
            pa.PythonFile(self._text, "r"),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=self._block_bytes, column_names=list(self._part.header) or None
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter,
                # Parts of a file are made only where no newline is quoted.
                newlines_in_values=self._part.is_whole,
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


class _WholeRows:
    """The batches of a part with all their columns, for the rare ones where that matters."""

    def __init__(self, table: Table, part: FilePart) -> None:
        self._table, self._part = table, part
        self._reader: _Reader | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._read = 0
        self._latest: pa.RecordBatch | None = None

    def __enter__(self) -> _WholeRows:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.__exit__()

    def batch(self, index: int) -> pa.RecordBatch:
        """The ``index``-th batch; asked for in ascending order.

        Batches are cut by bytes, so they are of the same rows whichever columns are read.
        """
        if self._reader is None:
            names = column_names(self._table, self._part.file)
            self._reader = _Reader(self._table, self._part, list(dict.fromkeys(names)))
            self._batches = iter(self._reader)
        while self._read <= index:
            self._latest = next(self._batches)
            self._read += 1
        return self._latest


def _all_empty(batch: pa.RecordBatch) -> np.ndarray:
    empty = np.ones(batch.num_rows, bool)
    for cells in batch.columns:
        empty &= pc.binary_length(cells).to_numpy(zero_copy_only=False) == 0
        if not empty.any():
            break
    return empty

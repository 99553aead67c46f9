"""CSV files, every cell as text, so that '007' stays an id and a wrong cell can be shown as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from components.ingest.declaration import Table
from components.ingest.files.byte_streams import Progress, is_utf8, open_text, unmarked
from components.ingest.files.csv_layout import layout_of
from components.ingest.files.rows import FilePart, MalformedRow, Rows, shorten
from components.ingest.files.text_check import LATIN_1_HINT, check_text
from components.ingest.files.text_parts import text_parts

NAME = "CSV"
EMPTY = "it has not even a header. Expected a header row with the columns' names, then the rows"
IS_TEXT = True

BLOCK_BYTES = 8 << 20
"""Bytes of a batch; no row can be longer."""

_HEADER_BLOCK_BYTES = 1 << 20
_UNCLOSED = "a quote is opened in this row and never closed; if quotes mean nothing there, say quote: ''"


def expected(table: Table) -> str:
    """Return what a file of the table should be."""
    header = "without a header row" if table.header else "with a header row"
    return f"a CSV file in {table.encoding.upper()} {header}, delimited by {table.delimiter!r}"


def parts(table: Table, file: str, part_bytes: int) -> list[FilePart]:
    """Return parts cut at newlines; see :func:`~components.ingest.files.text_parts.text_parts`."""
    names = layout_of(table, FilePart(file)).names
    above = table.skip_lines + (table.header is None)
    return text_parts(table, file, part_bytes, names, above) if names else [FilePart(file)]


def column_names(table: Table, file: str) -> list[str]:
    """The header's columns, in the file's order."""
    layout = layout_of(table, FilePart(file))
    if layout.explicit:
        return [unmarked(name) for name in layout.header]
    # Asked for no column, Arrow infers the types of all, from a block that need not be large.
    with _Reader(table, FilePart(file), [], min(BLOCK_BYTES, _HEADER_BLOCK_BYTES)) as reader:
        return [unmarked(name) for name in reader.names]


def read(table: Table, part: FilePart, columns: Sequence[str], progress: Progress) -> Iterator[Rows]:
    """Streams a part.

    Args:
        table: Says how cells are divided and quoted, compression and encoding.
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
            if reader.beyond:
                for place in np.flatnonzero(kept & ~_all_empty(batch.select(reader.beyond))):
                    kept[place] = False
                    malformed += (reader.too_long(whole_rows.batch(index), int(place), int(numbers[place])),)
            if not kept.all():
                numbers, batch = numbers[kept], batch.filter(pa.array(kept))
            if reader.beyond:
                batch = batch.select(list(columns))
            numbers, batch = reader.with_repaired(numbers, batch)
            rows = check_text(Rows(part.file, numbers, batch, malformed), table.encoding, hint)
            progress.row = max([progress.row, *numbers[-1:].tolist()])
            yield rows
        _, malformed = reader.place(0)
        if reader.fault is not None:
            raise reader.fault
        schema = pa.schema([(name, pa.binary()) for name in columns])
        numbers, batch = reader.with_repaired(np.empty(0, np.int64), pa.RecordBatch.from_pylist([], schema))
        if malformed or len(numbers):
            yield check_text(Rows(part.file, numbers, batch, malformed), table.encoding, hint)


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
        self._table, self._part, self._block_bytes = table, part, block_bytes or BLOCK_BYTES
        self._layout = layout_of(table, part)
        self._columns = list(columns)
        self._skipped: list[int] = []
        self._malformed: list[MalformedRow] = []
        self._repaired: list[tuple[int, str]] = []
        self._good = 0
        # With an escape, the number of quotes says nothing.
        self._text = open_text(table, part, "" if table.escape else table.quote)
        try:
            self._reader = self._open()
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
    def beyond(self) -> list[str]:
        """The columns read that the header does not have."""
        return list(self._layout.beyond)

    @property
    def fault(self) -> Exception | None:
        """Why the file ended early."""
        return self._text.fault

    @property
    def quotes(self) -> int:
        """How many quotes were read, where cells cannot hold any but doubled ones."""
        return self._text.counted

    def _open(self) -> pa_csv.CSVStreamingReader:
        return pa_csv.open_csv(
            pa.PythonFile(self._text, "r"),
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                block_size=self._block_bytes,
                skip_rows=self._layout.skipped,
                column_names=list(self._layout.names) if self._layout.explicit else None,
            ),
            parse_options=self._parse_options(self._skip),
            convert_options=_converting([*self._columns, *self.beyond] if self._columns else []),
        )

    def _parse_options(self, handler: Callable[[pa_csv.InvalidRow], str] | None) -> pa_csv.ParseOptions:
        quoted = bool(self._table.quote or self._table.escape)
        return pa_csv.ParseOptions(
            delimiter=self._table.delimiter,
            quote_char=self._table.quote or False,
            escape_char=self._table.escape or False,
            # Parts of a file are made only where no newline is quoted.
            newlines_in_values=self._part.is_whole and quoted,
            # Arrow gives numbers to the lines it does not ignore.
            ignore_empty_lines=False,
            invalid_row_handler=handler,
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

    def with_repaired(self, numbers: np.ndarray, batch: pa.RecordBatch) -> tuple[np.ndarray, pa.RecordBatch]:
        """Add the repaired rows up to the last of these; of no rows: all that are left."""
        last = int(numbers[-1]) if len(numbers) else None
        chosen = [entry for entry in self._repaired if last is None or entry[0] < last]
        if not chosen:
            return numbers, batch
        self._repaired = self._repaired[len(chosen) :]
        content = "".join(f"{text}\n" for _, text in chosen).encode()
        table = pa_csv.read_csv(
            pa.BufferReader(content),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=len(content) + 1, column_names=list(self._layout.names)
            ),
            parse_options=self._parse_options(None),
            convert_options=_converting(self._columns),
        )
        whole = pa.concat_tables([pa.Table.from_batches([batch]), table])
        order = np.argsort(places := np.append(numbers, [number for number, _ in chosen]), kind="stable")
        return places[order], whole.take(pa.array(order)).combine_chunks().to_batches()[0]

    def too_long(self, batch: pa.RecordBatch, place: int, number: int) -> MalformedRow:
        """Return what to say of a row with a cell beyond the header.

        Args:
            batch: All columns of some rows.
            place: The row's place among them.
            number: Its number in the file.
        """
        cells = [cells[place].as_py().decode() for cells in batch.columns]
        text = self._table.delimiter.join(cells).rstrip(self._table.delimiter)
        found = max(at for at, name in enumerate(self._layout.names, 1) if batch.column(name)[place].as_py())
        return self._wrong_length(number, text, found)

    def _wrong_length(
        self, number: int, text: str, found: int, expected: int = 0, hint: str = ""
    ) -> MalformedRow:
        expected = len(self._layout.header) or expected
        reason = f"found {found} cells, expected {expected}{hint}"
        return MalformedRow(number, shorten(unmarked(text)) or "", reason)

    def _skip(self, row: pa_csv.InvalidRow) -> str:
        # Arrow counts the lines it skips, and a header.
        number = row.number - self._layout.skipped - (not self._layout.explicit)
        self._skipped.append(number)
        number += self._part.first_row - 1
        repaired = self._repair(row)
        if repaired is not None:
            self._repaired.append((number, repaired))
        else:
            wrong = self._wrong_length(
                number, row.text, row.actual_columns, row.expected_columns, self._hint(row)
            )
            self._malformed.append(wrong)
        return "skip"

    def _repair(self, row: pa_csv.InvalidRow) -> str | None:
        """The row with as many cells as the others, if all that it lacks or has too many are empty."""
        table, width = self._table, len(self._layout.names)
        if width != row.expected_columns or (not table.escape and row.text.count(table.quote or "\0") % 2):
            return None
        missing = width - row.actual_columns
        if missing > 0 and (table.ragged == "pad" or row.actual_columns >= self._layout.needed):
            return str(row.text) + table.delimiter * missing
        if missing < 0 and row.text.endswith(table.delimiter * -missing):
            return str(row.text[:missing])
        return None

    def _hint(self, row: pa_csv.InvalidRow) -> str:
        """What to say of a row of the wrong length."""
        table = self._table
        if table.quote and not table.escape and f"\\{table.quote}" in row.text:
            return (
                f"; it has a backslash before {table.quote}: if that means the sign itself, say escape: '\\'"
            )
        return "; ragged: pad fills such rows" if row.actual_columns < self._layout.needed else ""


def _converting(columns: Sequence[str]) -> pa_csv.ConvertOptions:
    """Every cell as it is."""
    return pa_csv.ConvertOptions(
        include_columns=list(columns),
        column_types={name: pa.binary() for name in columns},
        strings_can_be_null=False,
    )


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
            names = layout_of(self._table, self._part).header or column_names(self._table, self._part.file)
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

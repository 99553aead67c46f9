"""Rows of the event log that could not be used, kept so that they can be corrected."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest.errors import UserError
from components.ingest.files.file_system import locate

DEAD_LETTERS_FILE = "dead_letters.parquet"
"""Name within the examples artifact, beside the splits."""
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
    ]
)
"""A dead letter: file, row in it (1 is the first row of data), first column at fault, its cell, why."""

_SHOWN_ROWS = 5


def write_dead_letters(batches: Iterable[pa.RecordBatch], path: str) -> None:
    """Writes dead letters as one Parquet file, a batch at a time, under its name only when complete.

    Args:
        batches: Record batches of :data:`SCHEMA`.
        path: Where to; a path or URI.
    """
    system, place = locate(path)
    unfinished = f"{place}.part"
    with system.open_output_stream(unfinished) as sink, pq.ParquetWriter(sink, SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
    system.move(unfinished, place)


def read_dead_letters(path: str) -> Iterable[pa.RecordBatch]:
    """Streams what :func:`write_dead_letters` wrote."""
    system, place = locate(path)
    with system.open_input_file(place) as source, pq.ParquetFile(source) as file:
        yield from file.iter_batches()


def too_many_bad_rows(
    letters: Iterable[pa.RecordBatch],
    by_reason: dict[str, int],
    rows: int,
    allowed: float,
    path: str,
    expected: Sequence[str],
) -> UserError:
    """The error for a log with more unusable rows than allowed.

    Args:
        letters: The dead letters.
        by_reason: How many rows were refused for each reason.
        rows: Rows read altogether.
        allowed: The declared ``max_bad_fraction``.
        path: Where the dead letters are and stay.
        expected: What every row must have, in words.
    """
    shown = itertools.islice((letter for batch in letters for letter in batch.to_pylist()), _SHOWN_ROWS)
    first = [
        f"  {letter['file']}, row {letter['row']}"
        + (
            f", column {letter['column']!r}: found {letter['value'] or 'nothing'!r}"
            if letter["column"]
            else ""
        )
        + f": {letter['reason']}"
        for letter in shown
    ]
    reasons = [f"  {count:,} × {reason}" for reason, count in by_reason.items()]
    bad = sum(by_reason.values())
    return UserError(
        "\n".join(
            [
                f"{bad:,} of {rows:,} interactions cannot be used ({bad / rows:.2%}); at most {allowed:.2%} "
                f"are allowed. Expected in every row: {', '.join(expected)}, as declared. By reason:",
                *reasons,
                "The first of them:",
                *first,
                f"All of them: {path}",
                "Correct the rows, or the declaration in domain.yaml; to leave such rows out instead, raise "
                "max_bad_fraction there.",
            ]
        )
    )

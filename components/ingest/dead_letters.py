"""Rows of the event log that could not be used, kept so that they can be mended."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tfx.dsl.io import fileio

from components.ingest.errors import UserError

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


def write_dead_letters(batches: Iterable[pa.RecordBatch], path: str) -> dict[str, int]:
    """Writes all dead letters as one Parquet file, by file and row.

    Args:
        batches: Record batches of :data:`SCHEMA`.
        path: Where to; local or anything TFX' file io knows.

    Returns:
        How many rows were refused for each reason, the most frequent reason first.
    """
    letters = pa.Table.from_batches(batches, schema=SCHEMA)
    letters = letters.sort_by([("file", "ascending"), ("row", "ascending")])
    sink = pa.BufferOutputStream()
    pq.write_table(letters, sink)
    # TFX' local runner has made the output's directory; Kubeflow leaves that to the step.
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "wb") as file:
        file.write(sink.getvalue().to_pybytes())
    counts = Counter(
        {entry["values"]: entry["counts"] for entry in pc.value_counts(letters["reason"]).to_pylist()}
    )
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def read_dead_letters(path: str) -> pa.Table:
    """Reads what :func:`write_dead_letters` wrote."""
    with fileio.open(path, "rb") as file:
        return pq.read_table(pa.BufferReader(file.read()))


def too_many_bad_rows(
    letters: pa.Table, by_reason: dict[str, int], rows: int, allowed: float, path: str, ids: Sequence[str]
) -> UserError:
    """The error for a log with more unusable rows than allowed.

    Args:
        letters: The dead letters.
        by_reason: How many rows were refused for each reason.
        rows: Rows read altogether.
        allowed: The declared ``max_bad_fraction``.
        path: Where the dead letters are and stay.
        ids: Names of the query's and the candidate's id columns.
    """
    first = [
        f"  {letter['file']}, row {letter['row']}"
        + (
            f", column {letter['column']!r}: found {letter['value'] or 'nothing'!r}"
            if letter["column"]
            else ""
        )
        + f": {letter['reason']}"
        for letter in letters.slice(0, _SHOWN_ROWS).to_pylist()
    ]
    reasons = [f"  {count:,} × {reason}" for reason, count in by_reason.items()]
    bad = letters.num_rows
    return UserError(
        "\n".join(
            [
                f"{bad:,} of {rows:,} interactions cannot be used ({bad / rows:.2%}); at most {allowed:.2%} "
                f"are allowed. Expected in every row: ids in {ids[0]!r} and {ids[1]!r}, a time and a rating "
                "as declared. By reason:",
                *reasons,
                "The first of them:",
                *first,
                f"All of them: {path}",
                "Mend the rows, or the declaration in domain.yaml; to leave such rows out instead, raise "
                "max_bad_fraction there.",
            ]
        )
    )

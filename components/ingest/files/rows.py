"""What reading the user's files yields: parts of files, and rows that know where they stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

SHOWN_CHARACTERS = 200
"""A cell or line quoted in a message or dead letter is cut here."""


@dataclass(frozen=True)
class FilePart:
    """Consecutive rows of a file that can be read without the rest of it.

    Attributes:
        file: Path or URI of the file.
        number: The part's place in the file, from 0.
        start: First byte, or first row group of a Parquet file.
        end: Where the next part starts; None at the end of the file.
        first_row: Number of the part's first row of data in the file, from 1.
        header: The file's columns, where the part does not start with them (CSV only).
    """

    file: str
    number: int = 0
    start: int = 0
    end: int | None = None
    first_row: int = 1
    header: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the part is the whole file."""
        return self.start == 0 and self.end is None


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of one file.

    Attributes:
        file: Path of the file.
        numbers: [n] int64, each row's number in the file: 1 for the first row of data. Malformed rows
            and blank lines have numbers too, so without quoted newlines it is the line's number, not
            counting a header.
        batch: [n] rows of the columns asked for, of the types in the file (CSV: all strings).
        malformed: Rows of the file, about here, that could not be read, not told before.
        left_out: How many rows, about here, the table's ``where`` leaves out.
    """

    file: str
    numbers: np.ndarray
    batch: pa.RecordBatch
    malformed: tuple[MalformedRow, ...] = ()
    left_out: int = 0

    @property
    def read(self) -> int:
        """How many rows these were in the file; of cells that list several, as many as they list."""
        return len(self.numbers) + len(self.malformed) + self.left_out


@dataclass(frozen=True)
class MalformedRow:
    """A row that is not of the file's format, or that a rule of its table cannot be applied to.

    Attributes:
        number: Its number in the file, as in :class:`Rows`.
        text: What is there, cut to what is shown.
        reason: What is wrong with it.
        column: The column at fault, where it is one.
    """

    number: int
    text: str
    reason: str
    column: str | None = None


def shorten(text: str | None) -> str | None:
    """Text cut to what is shown of a cell."""
    return text if text is None or len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"

"""Turns what readers raise into advice for the user."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.byte_streams import Progress
from components.ingest.files.readers import READERS

_CUT_OFF = (
    *("truncated", "unexpected end", "ended before", "eof", "end-of-stream", "incomplete"),
    *("file is not a zip file", "bad crc-32"),
)


@contextmanager
def blaming(table: Table, file: str) -> Iterator[Progress]:
    """Turn a reader's refusal into advice; whoever reads keeps what this yields up to date.

    Raises:
        UserError: Names the file, how far it could be read, and what was expected.
    """
    progress = Progress()
    try:
        yield progress
    except (
        *(pa.ArrowException, OSError, EOFError, KeyError, UnicodeError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise UserError(_advice(table, file, progress.row, error)) from error


def _advice(table: Table, file: str, row: int, error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    after = f" after row {row:,}" if row else ""
    if any(sign in text.lower() for sign in _CUT_OFF):
        return (
            f"{file} was cut off{after or ' before the first row'}: its compressed data ended too early "
            f"({text}). Expected the whole file. Fetch or write it again."
        )
    if "straddles" in text:
        return (
            f"{file} cannot be read{after}: the next row is longer than 8 MiB. Expected shorter rows: is a "
            "double quote opened near there that is never closed? Close it, or write it twice where it is "
            "part of the text; say quote: '' in domain.yaml if quotes mean nothing in this file."
        )
    reader = READERS[table.resolved_format]
    expected = reader.expected(table)
    packed = table.compression_of(file)
    if packed != "none" and reader.IS_TEXT:
        expected += f", compressed with {packed}"
    return (
        f"{file} cannot be read{after}: {text}. Expected {expected}. Write it again in that form, or correct "
        "'format', 'compression', 'encoding' and 'delimiter' in domain.yaml."
    )

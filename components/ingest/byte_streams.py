"""The bytes of the user's files: a range of them, decompressed, in UTF-8."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from components.ingest.declaration import Compression, Table
from components.ingest.errors import UserError
from components.ingest.file_system import locate
from components.ingest.rows import FilePart

MARKED_BYTES = 0x10FF00
"""A byte that its encoding does not know becomes the (private) character of this code plus the byte."""

_MARKING = "westwork-mark"
_DECODED_BYTES = 1 << 20
_CUT_OFF = ("truncated", "unexpected end", "ended before", "eof", "end-of-stream", "incomplete")


@dataclass
class Progress:
    """How far the reading of a file got."""

    rows: int = 0


def is_utf8(table: Table) -> bool:
    """Whether the table's text needs no decoding."""
    return codecs.lookup(table.encoding).name in ("utf-8", "utf-8-sig", "ascii")


def open_bytes(table: Table, part: FilePart) -> pa.NativeFile:
    """A part's bytes, decompressed."""
    system, path = locate(part.file)
    if not part.is_whole:
        # The stream reads from the file, so the file is closed with the last of the two.
        file = system.open_input_file(path)
        end = file.size() if part.end is None else part.end
        return file.get_stream(part.start, end - part.start)
    compression: Compression = table.compression_of(part.file)
    return system.open_input_stream(path, compression=None if compression == "none" else compression)


def open_text(table: Table, part: FilePart, marking: bool = False) -> pa.NativeFile:
    """A part's text in UTF-8, decompressed.

    Args:
        table: Says compression and encoding.
        part: What to read.
        marking: Whether to mark bytes that are no UTF-8 (see :data:`MARKED_BYTES`) instead of leaving
            them as they are. Other encodings' are always marked.
    """
    stream = open_bytes(table, part)
    if is_utf8(table) and not marking:
        return stream
    return pa.PythonFile(_Transcoded(stream, "utf-8" if is_utf8(table) else table.encoding), "r")


class _Transcoded(io.RawIOBase):
    """Another stream's text, decoded and encoded again as UTF-8."""

    def __init__(self, source: pa.NativeFile, encoding: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)(_MARKING)
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        pieces, missing = [self._ready], size - len(self._ready)
        while (size < 0 or missing > 0) and not self._ended:
            encoded = self._source.read(_DECODED_BYTES)
            self._ended = not encoded
            pieces.append(self._decoder.decode(encoded, self._ended).encode())
            missing -= len(pieces[-1])
        whole = b"".join(pieces)
        size = len(whole) if size < 0 else size
        self._ready = whole[size:]
        return whole[:size]

    def close(self) -> None:
        self._source.close()
        super().close()


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(chr(MARKED_BYTES + byte) for byte in wrong), error.end


codecs.register_error(_MARKING, _mark)


def unmarked(text: str) -> str:
    r"""Text as shown to people: marked bytes as ``\xe9``."""
    return "".join(
        f"\\x{ord(sign) - MARKED_BYTES:02x}" if ord(sign) >= MARKED_BYTES else sign for sign in text
    )


@contextmanager
def blaming(table: Table, file: str) -> Iterator[Progress]:
    """Turns a reader's refusal into advice; whoever reads keeps count of the rows in what this yields.

    Raises:
        UserError: Names the file, how far it could be read, and what was expected.
    """
    progress = Progress()
    try:
        yield progress
    except (pa.ArrowException, OSError, EOFError, UnicodeError) as error:
        raise UserError(_advice(table, file, progress.rows, error)) from error


def _advice(table: Table, file: str, rows: int, error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    after = f" after {rows:,} rows" if rows else ""
    if isinstance(error, UnicodeDecodeError):
        return (
            f"{file}: the header is not UTF-8 (byte 0x{error.object[error.start]:02X}). If the file is "
            "Latin-1, say encoding: latin-1 beside its 'files' in domain.yaml; or write it again in UTF-8."
        )
    if any(sign in text.lower() for sign in _CUT_OFF):
        return (
            f"{file} was cut off: {rows:,} rows could be read, then its compressed data ended too early "
            f"({text}). Expected the whole file. Fetch or write it again."
        )
    if "straddles" in text:
        return (
            f"{file} cannot be read{after}: the next row is longer than 8 MiB. Expected shorter rows: is a "
            "double quote opened near there that is never closed? Close it, or write it twice where it is "
            "part of the text."
        )
    expected = {
        "csv": f"a CSV file in {table.encoding.upper()} with a header row, delimited by {table.delimiter!r}",
        "parquet": "a Parquet file",
        "jsonl": f"JSON Lines in {table.encoding.upper()}: an object a line",
    }[table.resolved_format]
    packed = table.compression_of(file)
    if packed != "none" and table.resolved_format != "parquet":
        expected += f", compressed with {packed}"
    return (
        f"{file} cannot be read{after}: {text}. Expected {expected}. Write it again in that form, or mend "
        "'format', 'compression', 'encoding' and 'delimiter' in domain.yaml."
    )

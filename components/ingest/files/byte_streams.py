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
from components.ingest.files.file_system import locate
from components.ingest.files.rows import FilePart

MARKED_BYTES = 0x10FF00
"""A byte that its encoding does not know becomes the (private) character of this code plus the byte."""

_MARKING = "westwork-mark"
_READ_BYTES = 1 << 20
_CUT_OFF = ("truncated", "unexpected end", "ended before", "eof", "end-of-stream", "incomplete")


@dataclass
class Progress:
    """How far the reading of a file got: the number of the last row read."""

    row: int = 0


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


def open_text(table: Table, part: FilePart) -> Text:
    """A part's text, decompressed."""
    encoding = "utf-8" if is_utf8(table) else table.encoding
    return Text(open_bytes(table, part), encoding)


class Text(io.RawIOBase):
    """A stream of bytes as valid UTF-8 that ends in a newline.

    Bytes that are none of the encoding's text are marked: see :data:`MARKED_BYTES`.

    Attributes:
        quotes: How many double quotes were read.
        fault: Why the stream ended early, after its last whole line; None if it did not.
    """

    def __init__(self, source: pa.NativeFile, encoding: str) -> None:
        """Args: the stream, and what its text is encoded in."""
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)(_MARKING)
        self._plain = encoding == "utf-8"
        self._undecoded = b""
        self._ready = b""
        self._last = b"\n"
        self._ended = False
        self.quotes = 0
        self.fault: OSError | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, or all for -1; fewer only at the end.

        Arrow takes what it gets for a block, and no row may reach over a whole one.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_READ_BYTES), b""))
        pieces, held = [self._ready] if self._ready else [], len(self._ready)
        while held < size and not self._ended:
            pieces.append(self._next(size - held))
            held += len(pieces[-1])
        whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._ready = whole[size:]
        return whole[:size]

    def _next(self, size: int) -> bytes:
        encoded = self._fetch(size)
        self._ended = len(encoded) < size
        decoded = self._decode(encoded)
        if self.fault is not None:
            # What comes after the last newline is not a whole row.
            decoded = decoded[: decoded.rfind(b"\n") + 1]
        self._last = decoded[-1:] or self._last
        self.quotes += decoded.count(b'"')
        return decoded + b"\n" if self._ended and self._last != b"\n" else decoded

    def _fetch(self, size: int) -> bytes:
        """Exactly ``size`` bytes, unless the stream ends; in pieces, so as to get close to a fault."""
        pieces: list[bytes] = []
        while size:
            try:
                pieces.append(self._source.read(min(size, _READ_BYTES)))
            except OSError as error:
                self.fault = error
                break
            if not pieces[-1]:
                break
            size -= len(pieces[-1])
        return b"".join(pieces)

    def _decode(self, encoded: bytes) -> bytes:
        if not self._plain:
            return self._decoder.decode(encoded, self._ended).encode()
        encoded = self._undecoded + encoded
        if encoded.isascii():
            self._undecoded = b""
            return encoded
        try:
            _, length = codecs.utf_8_decode(encoded, "strict", self._ended)
        except UnicodeDecodeError:
            text, length = codecs.utf_8_decode(encoded, _MARKING, self._ended)
            self._undecoded = encoded[length:]
            return text.encode()
        self._undecoded = encoded[length:]
        return encoded[:length]

    def close(self) -> None:
        """Closes the bytes' stream, too."""
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
    """Turns a reader's refusal into advice; whoever reads keeps what this yields up to date.

    Raises:
        UserError: Names the file, how far it could be read, and what was expected.
    """
    progress = Progress()
    try:
        yield progress
    except (pa.ArrowException, OSError, EOFError, KeyError, UnicodeError) as error:
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

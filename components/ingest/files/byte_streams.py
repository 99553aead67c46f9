"""The bytes of the user's files: a range of them, decompressed, in UTF-8."""

from __future__ import annotations

import codecs
import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Protocol

from components.ingest.declaration import Compression, Table
from components.ingest.files.file_system import locate
from components.ingest.files.rows import FilePart
from components.ingest.files.zip_archives import open_member

MARKED_BYTES = 0x10FF00
"""A byte that its encoding does not know becomes the (private) character of this code plus the byte."""

_MARKING = "westwork-mark"
_READ_BYTES = 1 << 20


class ByteStream(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


@dataclass
class Progress:
    """How far the reading of a file got: the number of the last row read."""

    row: int = 0


def is_utf8(table: Table) -> bool:
    """Whether the table's text needs no decoding."""
    return codecs.lookup(table.encoding).name in ("utf-8", "utf-8-sig", "ascii")


def open_bytes(table: Table, part: FilePart) -> ByteStream:
    """A part's bytes, decompressed.

    Raises:
        UserError: If a zip archive has not exactly one member.
    """
    system, path = locate(part.file)
    if not part.is_whole:
        # The stream reads from the file, so the file is closed with the last of the two.
        file = system.open_input_file(path)
        end = file.size() if part.end is None else part.end
        return file.get_stream(part.start, end - part.start)
    compression: Compression = table.compression_of(part.file)
    if compression == "zip":
        return open_member(part.file)
    return system.open_input_stream(path, compression=None if compression == "none" else compression)


def open_text(table: Table, part: FilePart, counted: str = "") -> Text:
    """A part's text, decompressed.

    Args:
        table: Says compression and encoding.
        part: What to read.
        counted: An ASCII character whose occurrences are counted; empty: none are.
    """
    encoding = "utf-8" if is_utf8(table) else table.encoding
    return Text(open_bytes(table, part), encoding, counted)


class Text(io.RawIOBase):
    """A stream of bytes as valid UTF-8 that ends in a newline.

    Bytes that are none of the encoding's text are marked: see :data:`MARKED_BYTES`.

    Attributes:
        counted: How many of the characters asked for were read.
        fault: Why the stream ended early, after its last whole line; None if it did not.
    """

    def __init__(self, source: ByteStream, encoding: str, counted: str = "") -> None:
        """Args: the stream, what its text is encoded in, and an ASCII character to count."""
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)(_MARKING)
        self._plain = encoding == "utf-8"
        self._undecoded = b""
        self._ready = b""
        self._last = b"\n"
        self._ended = False
        self._sign = counted.encode()
        self.counted = 0
        self.fault: Exception | None = None

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
        if self._sign:
            self.counted += decoded.count(self._sign)
        return decoded + b"\n" if self._ended and self._last != b"\n" else decoded

    def _fetch(self, size: int) -> bytes:
        """Exactly ``size`` bytes, unless the stream ends; in pieces, so as to get close to a fault."""
        pieces: list[bytes] = []
        while size:
            try:
                pieces.append(self._source.read(min(size, _READ_BYTES)))
            except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
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

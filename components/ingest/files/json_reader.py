"""A JSON array of objects; the numbers of rows are the places of the objects, from 1."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from components.ingest.declaration import Table
from components.ingest.files.byte_streams import Progress, Text, is_utf8, open_text, unmarked
from components.ingest.files.jsonl_reader import NAMED_FROM_ROWS, kind_of, object_rows
from components.ingest.files.rows import FilePart, MalformedRow, Rows, shorten
from components.ingest.files.text_check import LATIN_1_HINT, check_text

NAME = "a JSON array"
EMPTY = "it has not a single sign. Expected one JSON array of objects"
IS_TEXT = True

BATCH_ROWS = 1 << 14
BLOCK_BYTES = 4 << 20
MOST_BYTES = 64 << 20
"""No object can be longer."""

_LONGEST_SIGN = 16
"""Characters of a literal or an escape, or more."""
_SPACE = " \t\r\n"


def expected(table: Table) -> str:
    """Return what a file of the table should be."""
    return f"one JSON array of objects in {table.encoding.upper()}: [{{...}}, {{...}}]"


def begins_an_array(table: Table, file: str) -> bool:
    """Whether a file's first character opens an array."""
    with open_text(table, FilePart(file)) as stream:
        return _without_mark(stream.read(1024)).lstrip().startswith(b"[")


def parts(table: Table, file: str, part_bytes: int) -> list[FilePart]:
    """Return the whole file: where an object begins shows only from the beginning."""
    return [FilePart(file)]


def column_names(table: Table, file: str) -> list[str]:
    """The keys of the first thousand objects, in the order they appear."""
    names: dict[str, None] = {}
    with open_text(table, FilePart(file)) as stream:
        for element in islice(_elements(stream), NAMED_FROM_ROWS):
            if isinstance(element, dict):
                names.update(dict.fromkeys(element))
    return list(names)


def mentions(table: Table, file: str, name: str) -> bool:
    """Whether any object has a key; for those that few objects have."""
    with open_text(table, FilePart(file)) as stream:
        return any(isinstance(element, dict) and name in element for element in _elements(stream))


def read(table: Table, part: FilePart, columns: Sequence[str], progress: Progress) -> Iterator[Rows]:
    """Streams the file. A key that an object lacks is a missing cell.

    Args:
        table: Says compression and encoding.
        part: The file.
        columns: Keys, each once.
        progress: Is told how far it got.
    """
    hint = LATIN_1_HINT if is_utf8(table) else ""
    with open_text(table, part) as stream:
        elements, first = _elements(stream), 1
        while True:
            objects: list[dict[str, Any]] = []
            numbers: list[int] = []
            malformed: list[MalformedRow] = []
            fault: Exception | None = None
            try:
                for number, element in enumerate(islice(elements, BATCH_ROWS), first):
                    first = number + 1
                    if isinstance(element, dict):
                        objects.append(element)
                        numbers.append(number)
                    else:
                        text = shorten(unmarked(json.dumps(element, ensure_ascii=False))) or ""
                        reason = f"not a JSON object but {kind_of(element)}"
                        malformed.append(MalformedRow(number, text, reason))
            except (pa.ArrowInvalid, OSError) as error:
                # What stands before the fault is whole.
                fault = error
            if objects or malformed:
                rows = object_rows(part.file, objects, np.array(numbers, np.int64), columns, malformed)
                yield check_text(rows, table.encoding, hint)
                progress.row = first - 1
            if fault is not None:
                raise fault
            if not objects and not malformed:
                return


class _Scanner:
    """Text that comes in blocks, and a place in it."""

    def __init__(self, stream: Text) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ended = False
        self.text = self._decode(stream.read(BLOCK_BYTES)).removeprefix("\ufeff")
        self.at = 0

    def _decode(self, block: bytes) -> str:
        self._ended = len(block) < BLOCK_BYTES
        return self._decoder.decode(block, self._ended)

    def more(self) -> bool:
        """Read on; what was passed is forgotten. False at the end of the text."""
        if self._ended:
            return False
        self.text = self.text[self.at :] + self._decode(self._stream.read(BLOCK_BYTES))
        self.at = 0
        if len(self.text) > MOST_BYTES:
            raise pa.ArrowInvalid("the next object is longer than 64 MiB")
        return True

    def next_sign(self) -> str:
        """Pass white space; return the sign after it, empty at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _SPACE:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""


def _elements(stream: Text) -> Iterator[Any]:
    """The array's elements, one after the other.

    Raises:
        pyarrow.ArrowInvalid: Where the text is no JSON array.
    """
    scanner, decode = _Scanner(stream), json.JSONDecoder().raw_decode
    if (sign := scanner.next_sign()) != "[":
        raise pa.ArrowInvalid(f"found {sign or 'nothing'!r} at its beginning, where '[' was expected")
    scanner.at += 1
    if scanner.next_sign() == "]":
        return
    while True:
        scanner.next_sign()
        try:
            element, end = decode(scanner.text, scanner.at)
        except json.JSONDecodeError as error:
            if _may_go_on(error, scanner.text) and scanner.more():
                continue
            raise _fault(stream, f"not JSON: {error.msg}") from None
        if end == len(scanner.text) and scanner.more():
            # A number may go on.
            continue
        yield element
        scanner.at = end
        sign = scanner.next_sign()
        if sign == ",":
            scanner.at += 1
            continue
        if sign != "]":
            raise _fault(stream, f"found {sign or 'the end'!r} where ',' or ']' was expected")
        scanner.at += 1
        if rest := scanner.next_sign():
            raise pa.ArrowInvalid(f"found {rest!r} after the array's end")
        return


def _may_go_on(error: json.JSONDecodeError, text: str) -> bool:
    """Whether it is the end of the text that keeps an element from being read."""
    return error.msg.startswith("Unterminated") or error.pos > len(text) - _LONGEST_SIGN


def _fault(stream: Text, text: str) -> Exception:
    """Why the array cannot be read on; where the file itself ended early, that."""
    return stream.fault or pa.ArrowInvalid(text)


def _without_mark(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8)

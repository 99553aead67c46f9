"""Files that are not of the kind their table declares, told by their first bytes."""

from __future__ import annotations

import codecs
import re
import zipfile
from contextlib import closing
from typing import NamedTuple

import numpy as np

from components.ingest.declaration import Format, Table
from components.ingest.errors import UserError
from components.ingest.files.byte_streams import open_bytes
from components.ingest.files.file_system import locate
from components.ingest.files.readers import READERS, reader_of
from components.ingest.files.rows import FilePart
from components.ingest.files.zip_archives import OLD_OFFICE, is_spreadsheet, members, shown

_HEAD_BYTES = 4096

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_ZIP = b"PK\x03\x04"
_UNPACK = "Unpack it, and name the files in it under 'files' in domain.yaml"
_AS_SHEET = "Say format: xlsx in domain.yaml if it is a spreadsheet"
_AS_TABLE = "Write it as CSV, JSON Lines or Parquet, and name that under 'files' in domain.yaml"
_OTHER_FORMS: tuple[tuple[bytes, str, str], ...] = (
    (b"SQLite format 3", "an SQLite database", _AS_TABLE),
    (OLD_OFFICE, "a spreadsheet or document of old Office", _AS_SHEET),
    (b"%PDF", "a PDF document", _AS_TABLE),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"ARROW1", "an Arrow (Feather) file", _AS_TABLE),
    (b"Obj\x01", "an Avro file", _AS_TABLE),
    (b"ORC", "an ORC file", _AS_TABLE),
    (b"\x89HDF", "an HDF5 file", _AS_TABLE),
    (b"\x93NUMPY", "a NumPy file", _AS_TABLE),
    (b"\x80\x04\x95", "a Python pickle", _AS_TABLE),
    (b"\x80\x05\x95", "a Python pickle", _AS_TABLE),
    (b"\x89PNG", "a picture", _AS_TABLE),
    (b"\xff\xd8\xff", "a picture", _AS_TABLE),
    (b"RDX", "an R data file", _AS_TABLE),
    (
        b"<!doctype html",
        "a web page (HTML)",
        "Fetch the data itself: what came is a page about it, or an error",
    ),
    (b"<html", "a web page (HTML)", "Fetch the data itself: what came is a page about it, or an error"),
    (b"<?xml", "an XML document", _AS_TABLE),
    (b"version https://git-lfs.github.com", "a pointer of Git LFS", "Fetch the data itself: git lfs pull"),
)
"""First bytes (lower case where a file is text), what they are of, and what to do."""

_TAR_AT, _TAR = 257, b"ustar"
_TEXT_MARKS = (
    # Longer marks first: one of UTF-32 begins like one of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_FEW_ZEROS = 0.1
"""Share of a text's bytes: with fewer of them NUL, it is hardly in UTF-16."""


def refuse_other_kinds(table: Table, file: str) -> None:
    """Look at a file's first bytes.

    Raises:
        UserError: If there are none, or they are those of another kind of file.
    """
    reader = READERS[table.resolved_format]
    packed = table.compression_of(file) if reader.IS_TEXT else "none"
    head = _raw_head(file)
    if packed != "none" and head:
        _refuse_if_not_packed(file, head, packed)
        with closing(open_bytes(table, FilePart(file))) as stream:
            head = stream.read(_HEAD_BYTES)
    if not head:
        raise UserError(f"{file} is empty: {reader.EMPTY}. Fill it, or correct 'files' in domain.yaml.")
    found = _form_of(head, file, packed != "none")
    if found is not None and found.format != table.resolved_format:
        raise UserError(f"{file} is {found.name}, expected {reader.expected(table)}. {found.advice}.")
    if reader.IS_TEXT:
        _refuse_other_encodings(table, file, head)
        _refuse_other_json(table, file, head)


class _Form(NamedTuple):
    """What a file is."""

    name: str
    advice: str
    format: Format | None = None


def _raw_head(file: str) -> bytes:
    system, path = locate(file)
    with system.open_input_file(path) as source:
        return bytes(source.read(_HEAD_BYTES))


def _refuse_if_not_packed(file: str, head: bytes, packed: str) -> None:
    """Insist on the first bytes of a compression, where those are always the same."""
    magic = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "zip": b"PK"}.get(packed, b"")
    if not head.startswith(magic):
        raise UserError(
            f"{file} is not compressed with {packed}, expected that by its name or 'compression' in "
            "domain.yaml. Say compression: none there, or fetch the file again."
        )


def _form_of(head: bytes, file: str, packed: bool) -> _Form | None:
    """What the first bytes are of, where that is no text; None where they may be text."""
    if head.startswith(b"PAR1"):
        return _Form("a Parquet file", "Say format: parquet in domain.yaml", "parquet")
    for magic, compression in _COMPRESSED.items():
        if head.startswith(magic):
            return _Form(f"compressed with {compression}", f"Say compression: {compression} in domain.yaml")
    if head.startswith(_ZIP):
        return _zip_form(file) if not packed else _Form("a zip archive in another archive", _UNPACK)
    if head[_TAR_AT:].startswith(_TAR):
        return _Form("a tar archive", _UNPACK)
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    for magic, name, advice in _OTHER_FORMS:
        if head.startswith(magic) or text.startswith(magic):
            return _Form(name, advice, "xlsx" if "spreadsheet" in name else None)
    return None


def _zip_form(file: str) -> _Form:
    """What kind of zip archive a file is."""
    try:
        names = members(file)
    except zipfile.BadZipFile:
        return _Form("a zip archive or a spreadsheet, cut off or damaged", "Fetch or write it again")
    if is_spreadsheet(names):
        return _Form("a spreadsheet", "Say format: xlsx in domain.yaml, or save the sheet as CSV", "xlsx")
    if len(names) == 1:
        return _Form(
            f"a zip archive that holds {names[0]}", "Unpack it, or say compression: zip in domain.yaml"
        )
    return _Form(f"a zip archive of {len(names)} files ({shown(names)})", _UNPACK)


def _refuse_other_encodings(table: Table, file: str, head: bytes) -> None:
    """Tell UTF-16 and UTF-32 from encodings that leave ASCII as it is."""
    declared = codecs.lookup(table.encoding).name
    found = next((name for mark, name in _TEXT_MARKS if head.startswith(mark)), None) or _wide_text(head)
    if found and declared not in _WIDE:
        raise UserError(
            f"{file} looks like {found.upper()}, expected {_in_encoding(table)}. Say encoding: {found} "
            "beside its 'files' in domain.yaml, or write it again in UTF-8."
        )
    if declared in _WIDE and not found and b"\0" not in head:
        raise UserError(
            f"{file} does not look like {declared.upper()}: it has no NUL byte. Expected that by 'encoding' "
            "in domain.yaml. Remove 'encoding' there if the file is in UTF-8, or name the right one."
        )
    if found and found != declared and not declared.startswith(found) and not found.startswith(declared):
        raise UserError(
            f"{file} looks like {found.upper()}, expected {_in_encoding(table)}. Say encoding: {found} "
            "beside its 'files' in domain.yaml."
        )


def _in_encoding(table: Table) -> str:
    return f"{READERS[table.resolved_format].NAME} in {table.encoding.upper()}"


def _wide_text(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark: its NUL bytes are at the same places of each character."""
    places = np.flatnonzero(np.frombuffer(head, np.uint8) == 0)
    if len(places) < max(2, _FEW_ZEROS * len(head)):
        return None
    by_quarter = np.bincount(places % 4, minlength=4)
    if len(head) >= 8 and not by_quarter[0] and by_quarter[1:].all() and by_quarter[2] == by_quarter[3]:
        return "utf-32-le"
    if len(head) >= 8 and not by_quarter[3] and by_quarter[:3].all() and by_quarter[0] == by_quarter[1]:
        return "utf-32-be"
    odd = int((places % 2).sum())
    return {len(places): "utf-16-le", 0: "utf-16-be"}.get(odd)


def _refuse_other_json(table: Table, file: str, head: bytes) -> None:
    """Tell JSON Lines, JSON arrays and CSV from each other."""
    text = head.decode(table.encoding, "replace").lstrip("\ufeff \t\r\n")
    if reader_of(table, file) is READERS["json"]:
        if text.startswith("{"):
            raise UserError(
                f"{file} begins with an object, expected {READERS['json'].expected(table)}. Say format: "
                "jsonl in domain.yaml if it has an object a line; if a list within an object holds the rows, "
                "write that list as a file of its own."
            )
        return
    if table.resolved_format == "jsonl" and text.startswith("["):
        raise UserError(
            f"{file} is one JSON array, expected JSON Lines: an object a line. Say format: json in "
            "domain.yaml."
        )
    if table.resolved_format == "csv" and re.match(r"\{\s*\"|\[\s*\{", text):
        kind: Format = "json" if text.startswith("[") else "jsonl"
        raise UserError(
            f"{file} looks like {READERS[kind].NAME}, expected CSV. Say format: {kind} in domain.yaml."
        )

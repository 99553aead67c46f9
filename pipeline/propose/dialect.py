"""How one file is written: format, compression, encoding, delimiter and columns."""

from __future__ import annotations

import codecs
import glob
import json
import re
import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes

from components.ingest.declaration import Compression, Format, Table
from components.ingest.errors import UserError
from components.ingest.files.tables import column_names
from components.ingest.files.zip_archives import OLD_OFFICE, is_spreadsheet, members, open_member
from pipeline.propose.csv_form import sniff_csv
from pipeline.propose.spreadsheets import spreadsheet_layout

HEAD_BYTES = 4 << 20
"""So much of a file's beginning says how it is written."""
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\x03\x04", "zip"),
)
_WESTERN = ("cp1252", "iso8859-1")
_WESTERN_NAMES = frozenset({"cp1252", "latin_1"})  # As charset-normalizer calls them.
# Encodings whole files were commonly written in; the rarer ones differ from these in a few signs only, and
# a short text would be taken for one of them as easily.
_USUAL = [
    *("cp1252", "latin_1", "cp1250", "iso8859_2", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("cp932", "euc_jp", "gb18030", "big5", "euc_kr"),
]
_AS_GOOD = 0.02


@dataclass(frozen=True)
class Dialect:
    """What must be known of a file to read it.

    Attributes:
        columns: Names of the columns, as in the file.
        delimiter: Between the cells; CSV only.
        encoding: Python's name of the encoding.
        unsure: What speaks against the encoding or delimiter; empty where nothing does.
        keys: Further keys of the table in the domain file, such as ``header`` and ``skip_lines``.
        why: What speaks for these.
    """

    columns: tuple[str, ...]
    delimiter: str = ","
    encoding: str = "utf-8"
    unsure: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


def dialect_of(file: str) -> tuple[Format, Compression, Dialect]:
    """Looks at a file's beginning.

    Raises:
        UserError: If the file is empty, cannot be read, is in a form the domain file cannot declare, or
            has no header.
    """
    try:
        with open(file, "rb") as source:
            magic = source.read(8)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from error
    if not magic:
        raise UserError(f"{file} is empty. Expected a table: Parquet, JSON Lines, or CSV with a header row.")
    if magic.startswith(b"PAR1"):
        return "parquet", "none", Dialect(_parquet_columns(file))
    packed = _members(file) if magic.startswith(b"PK\x03\x04") else None
    if magic.startswith(OLD_OFFICE) or (packed is not None and is_spreadsheet(packed)):
        names, keys, why = spreadsheet_layout(file)
        return "xlsx", "none", Dialect(names, keys=keys, why=why)
    if packed is not None:
        _refuse_several(file, packed)
    _refuse_other_forms(file, magic)
    compression = next((kind for start, kind in _MAGIC if magic.startswith(start)), None)
    compression = compression or Table(files=file).compression_of(file)
    head = read_head(file, compression, HEAD_BYTES)
    if not head.strip():
        raise UserError(f"{file} is empty. Expected a table: JSON Lines, or CSV with a header row.")
    text, encoding, unsure = _decode(file, head)
    first = text.lstrip()[0]
    if re.match(r"\[\s*(\{|\])", text.lstrip()):
        table = Table(files=glob.escape(file), format="json", compression=compression, encoding=encoding)
        return "json", compression, Dialect(_array_keys(table, file), encoding=encoding, unsure=unsure)
    if first == "{":
        return "jsonl", compression, Dialect(_json_keys(file, text), encoding=encoding, unsure=unsure)
    layout = sniff_csv(file, text)
    return (
        "csv",
        compression,
        Dialect(layout.columns, layout.delimiter, encoding, unsure, layout.keys, layout.why),
    )


def read_head(file: str, compression: Compression, size: int) -> bytes:
    """The first bytes of a file, decompressed; up to the last line that is whole."""
    if compression == "zip":
        with open_member(file) as member:
            head = member.read(size + 1)
        return head if len(head) <= size else head[: head.rfind(b"\n", 0, size) + 1] or head[:size]
    try:
        with pa.input_stream(file, compression=None if compression == "none" else compression) as source:
            head = _read_fully(source, size + 1)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{file} cannot be decompressed as {compression}: {error}. Expected a whole file; fetch or "
            "write it again."
        ) from error
    if len(head) <= size:
        return head
    return head[: head.rfind(b"\n", 0, size) + 1] or head[:size]


def _read_fully(source: pa.NativeFile, size: int) -> bytes:
    parts, missing = [], size
    while missing and (part := source.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _refuse_other_forms(file: str, magic: bytes) -> None:
    form, advice = None, ""
    if magic.startswith(b"SQLite"):
        form, advice = "an SQLite database", "Write its tables as CSV or Parquet"
    elif magic.startswith(
        (b"ARROW1", b"Obj\x01", b"ORC", b"\x89HDF", b"\x93NUMPY", b"\x80\x04", b"\x80\x05")
    ):
        form, advice = "in a binary form of another library", "Write it as Parquet"
    if form:
        raise UserError(
            f"{file} is {form}. Expected CSV, Parquet or JSON Lines. {advice}, and give that instead."
        )


def _members(file: str) -> list[str]:
    """The names of the files in a zip archive; refuses one that is damaged."""
    try:
        return members(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(
            f"{file} is a zip archive or a spreadsheet, but damaged: {error}. Expected a whole one; fetch or "
            "write it again."
        ) from error


def _refuse_several(file: str, names: list[str]) -> None:
    """Refuse a zip archive that does not hold one file."""
    if len(names) != 1:
        raise UserError(
            f"{file} is a zip archive of {len(names)} files ({', '.join(names[:10])}). Expected a table, "
            "or an "
            f"archive of one. Unpack it, and give the folder: unzip {shlex.quote(file)} -d raw"
        )


def _parquet_columns(file: str) -> tuple[str, ...]:
    try:
        return tuple(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{file} cannot be read as Parquet: {error}. Fetch or write it again: its end may be missing."
        ) from error


def _decode(file: str, head: bytes) -> tuple[str, str, str]:
    """The text, its encoding, and doubts about that."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if head.startswith(mark):
            return _decode_as(file, head, encoding), encoding, ""
    try:
        # Not final: a cut in the middle of a character is no fault.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return _guess_encoding(file, head)
    if "\0" in text:
        raise UserError(
            f"{file} is not text: byte {text.index(chr(0)) + 1} is zero. Expected CSV, Parquet or JSON Lines."
        )
    return text.removeprefix("\ufeff"), "utf-8", ""


def _guess_encoding(file: str, head: bytes) -> tuple[str, str, str]:
    # Plain lines teach nothing about the encoding; those with other bytes do.
    telling = b"\n".join(line for line in head.splitlines() if not line.isascii())[: 1 << 18]
    matches = list(from_bytes(telling, cp_isolation=_USUAL))
    guesses = [codecs.lookup(match.encoding).name for match in matches]
    western = any(
        _WESTERN_NAMES.intersection((match.encoding, *match.could_be_from_charset))
        and match.chaos <= matches[0].chaos + _AS_GOOD
        for match in matches
    )
    # C1 control characters stand in no table: bytes 0x80-0x9f mean Windows' variant.
    has_c1 = any(0x80 <= byte <= 0x9F for byte in telling)
    latin = "cp1252" if has_c1 else "iso8859-1"
    encoding = latin if western or not guesses else guesses[0]
    try:
        text = _decode_as(file, head, encoding)
    except UserError:
        encoding = "iso8859-1"
        text = _decode_as(file, head, encoding)
    others = [name for name in dict.fromkeys((*guesses, *_WESTERN)) if name != encoding][:2]
    shown = next((line for line in text.splitlines() if not line.isascii()), "").strip()
    place = next((at for at, sign in enumerate(shown) if not sign.isascii()), 0)
    return (
        text,
        encoding,
        f"not UTF-8; read as {encoding} it says {shown[max(0, place - 20) : place + 20]!r}. Also possible: "
        f"{', '.join(others)}",
    )


def _decode_as(file: str, head: bytes, encoding: str) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError as error:
        raise UserError(f"{file} cannot be read as {encoding}: {error}. Write it again in UTF-8.") from error


def _json_keys(file: str, text: str) -> tuple[str, ...]:
    keys: dict[str, None] = {}
    for number, line in enumerate(text.split("\n")[:5000], 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{file}, line {number}, is not JSON: {error}. Expected JSON Lines: an object a line."
            ) from error
        if not isinstance(row, dict):
            raise UserError(
                f"{file}, line {number}: found {type(row).__name__}, expected an object such as "
                '{"user": "a", "item": "b"}.'
            )
        keys.update(dict.fromkeys(row))
    return tuple(keys)


def _array_keys(table: Table, file: str) -> tuple[str, ...]:
    names = column_names(table, file)
    if not names:
        raise UserError(f'{file} is an empty JSON array. Expected objects such as {{"user": "a"}} in it.')
    return tuple(names)

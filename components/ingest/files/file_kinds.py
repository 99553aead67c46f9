"""Files that are not of the kind their table declares, told by their first bytes."""

from __future__ import annotations

import codecs

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.byte_streams import is_utf8, open_bytes
from components.ingest.files.file_system import locate
from components.ingest.files.rows import FilePart

_HEAD_BYTES = 1024

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def head_of(table: Table, file: str) -> bytes:
    """A file's first bytes, decompressed unless it is Parquet."""
    if table.resolved_format != "parquet":
        with open_bytes(table, FilePart(file)) as stream:
            return stream.read(_HEAD_BYTES)
    system, path = locate(file)
    with system.open_input_file(path) as source:
        return source.read(_HEAD_BYTES)


def refuse_other_kinds(table: Table, file: str, head: bytes) -> None:
    """Looks at a file's first bytes.

    Raises:
        UserError: If there are none, or they are those of another kind of file.
    """
    kind = table.resolved_format
    if not head:
        missing = {
            "csv": "it has not even a header. Expected a header row with the columns' names, then the rows",
            "jsonl": "it has not a single line. Expected a JSON object a line",
            "parquet": "it has not a single byte. Expected a Parquet file",
        }[kind]
        raise UserError(f"{file} is empty: {missing}. Fill it, or mend 'files' in domain.yaml.")
    if kind == "parquet":
        return
    if head.startswith(b"PAR1"):
        raise UserError(
            f"{file} is a Parquet file, expected {_name(kind)}. Say format: parquet in domain.yaml."
        )
    for magic, compression in _COMPRESSED.items():
        if head.startswith(magic):
            raise UserError(
                f"{file} is compressed with {compression}, expected {_name(kind)}. Say compression: "
                f"{compression} in domain.yaml."
            )
    if is_utf8(table) and (head.startswith(_UTF_16) or _alternates(head)):
        raise UserError(
            f"{file} looks like UTF-16, expected {_name(kind)} in UTF-8. Say encoding: utf-16 beside its "
            "'files' in domain.yaml, or write it again in UTF-8."
        )
    if kind == "jsonl" and head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        raise UserError(
            f"{file} is one JSON list, expected JSON Lines: an object a line. Write it again in that form, "
            "for example with: jq -c '.[]'"
        )


def _name(kind: str) -> str:
    return {"csv": "CSV", "jsonl": "JSON Lines"}[kind]


def _alternates(head: bytes) -> bool:
    """Whether every other byte is NUL, as in UTF-16 without a byte order mark."""
    pairs = head[: len(head) // 2 * 2]
    return len(pairs) > 2 and (not any(pairs[::2]) or not any(pairs[1::2]))

"""The formats of the user's tables: one reader each, registered here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from components.ingest.declaration import Format, Table
from components.ingest.files import csv_reader, json_reader, jsonl_reader, parquet_reader, xlsx_reader
from components.ingest.files.byte_streams import Progress
from components.ingest.files.rows import FilePart, Rows


class Reader(Protocol):
    """What a module must have to read files of a format."""

    @property
    def NAME(self) -> str:
        """What people call the format."""
        ...

    @property
    def EMPTY(self) -> str:
        """What an empty file lacks, and what was expected."""
        ...

    @property
    def IS_TEXT(self) -> bool:
        """Whether the files are text, which may be compressed and is in an encoding."""
        ...

    def expected(self, table: Table) -> str:
        """Return what a file of the table should be, for a message."""
        ...

    def column_names(self, table: Table, file: str) -> list[str]:
        """Return the file's columns, by their names there."""
        ...

    def read(
        self, table: Table, part: FilePart, columns: Sequence[str], progress: Progress
    ) -> Iterator[Rows]:
        """Stream a part: the columns named, each once; ``progress`` is told how far it got."""
        ...

    def parts(self, table: Table, file: str, part_bytes: int) -> list[FilePart]:
        """Return parts that together are the file, in its order, each of about so many bytes."""
        ...


READERS: Mapping[Format, Reader] = {
    "csv": csv_reader,
    "parquet": parquet_reader,
    "jsonl": jsonl_reader,
    "json": json_reader,
    "xlsx": xlsx_reader,
}


def reader_of(table: Table, file: str) -> Reader:
    """Return the reader of one of a table's files."""
    if table.may_be_an_array and json_reader.begins_an_array(table, file):
        return json_reader
    return READERS[table.resolved_format]
